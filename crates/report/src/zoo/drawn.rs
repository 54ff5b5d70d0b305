//! Mutants that were drawn by chance: how soon each is detected, and the score.

use std::io::{self, Write};

use super::{figures, starts_and_seeds};
use crate::text::{BAD, GOOD};
use seedbed_core::lab::zoo::{Animal, Effort, Hunt, Score, is_misjudged};
use seedbed_core::mutation::{DrawnMutant, Judgement};
use seedbed_core::printable::plural;

/// What makes a build that has drawn mutants.
pub const BUILD: &str = "cargo run -p seedbed-mutate -- copy";

/// Says in a line that this build has no drawn mutants, and how to make one that has.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_none(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nThis build has no drawn mutants; `{BUILD}` makes one that has (docs/checking.md).")
}

/// Writes a row for each drawn mutant and one for the correct protocol, what people found out about those that are not
/// detected, and the score. `elsewhere` is how many mutants of the build are not in this protocol's code.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_drawn(out: &mut impl Write, animals: &[Animal], elsewhere: usize, effort: Effort) -> io::Result<()> {
    let drawn: Vec<(&DrawnMutant, &Animal)> =
        animals.iter().filter_map(|animal| Some((animal.protocol.drawn()?, animal))).collect();
    let sound = animals.iter().find(|animal| animal.protocol.broken().is_none());
    write_rows(out, &drawn, sound, effort)?;
    write_judgements(out, &drawn)?;
    write_score(out, &drawn, elsewhere)
}

/// Whether nothing was found that should not be: the correct protocol passes, and so do mutants that change nothing.
pub fn is_as_expected(animals: &[Animal]) -> bool {
    animals.iter().all(|animal| match animal.protocol.drawn() {
        Some(drawn) => !is_misjudged(drawn.judgement, animal),
        None => animal.is_as_expected(),
    })
}

fn write_rows(
    out: &mut impl Write,
    drawn: &[(&DrawnMutant, &Animal)],
    sound: Option<&Animal>,
    effort: Effort,
) -> io::Result<()> {
    writeln!(out, "Drawn mutants. {}", starts_and_seeds(effort))?;
    writeln!(
        out,
        "-: not detected. black-box: detected by linearizability, liveness, answers or promptness, or by a panic.\n"
    )?;
    writeln!(out, "{:10} {:28} {:>15} {:>15}  change", "mutant", "place", "black-box", "any")?;
    for (mutant, animal) in drawn {
        let change = format!("{}: {}", mutant.function, mutant.change);
        write_row(out, mutant.name, mutant.place, animal, effort)?;
        let mark = if is_misjudged(mutant.judgement, animal) { "  !" } else { "" };
        writeln!(out, "  {change}{}{}{mark}", never(animal), word(mutant.judgement))?;
    }
    if let Some(sound) = sound {
        write_row(out, "nothing: the correct one", "", sound, effort)?;
        writeln!(out, "{}", if sound.is_as_expected() { "" } else { "  !" })?;
    }
    writeln!(out)
}

fn write_row(out: &mut impl Write, name: &str, place: &str, animal: &Animal, effort: Effort) -> io::Result<()> {
    let shown = if place.is_empty() { format!("{name:39}") } else { format!("{name:10} {place:28}") };
    let (general, any) = (figures(animal.tally(Hunt::by_general), effort), figures(animal.tally(Hunt::by_any), effort));
    write!(out, "{shown} {general:>15} {any:>15}")
}

/// The situation by whose absence alone a mutant was detected.
fn never(animal: &Animal) -> String {
    let found = animal.hunts.iter().any(|hunt| !hunt.convictions.is_empty());
    let gap = animal.hunts.iter().find_map(|hunt| hunt.gap).filter(|_| !found);
    gap.map_or_else(String::new, |situation| format!(" (never: {situation})"))
}

/// What a person found out about a mutant, as the end of its row.
fn word(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::None => "",
        Judgement::Equivalent(_) => " (equivalent)",
        Judgement::Invisible(_) => " (invisible)",
        Judgement::Script(_) => " (script)",
    }
}

fn write_judgements(out: &mut impl Write, drawn: &[(&DrawnMutant, &Animal)]) -> io::Result<()> {
    let mut any = false;
    for (mutant, animal) in drawn {
        let (name, is_wrong) = (mutant.name, is_misjudged(mutant.judgement, animal));
        let line = match mutant.judgement {
            Judgement::Equivalent(reason) => format!("{name} changes no behaviour: {reason}"),
            Judgement::Invisible(reason) => format!("{name} is invisible to clients: {reason}"),
            Judgement::Script(test) if animal.escapes() => format!("{name} is detected by {test}"),
            Judgement::Script(_) | Judgement::None => continue,
        };
        let error = if is_wrong { format!("{BAD}Error:{BAD:#} this was detected. ") } else { String::new() };
        writeln!(out, "{error}{line}")?;
        any = true;
    }
    if any { writeln!(out) } else { Ok(()) }
}

fn write_score(out: &mut impl Write, drawn: &[(&DrawnMutant, &Animal)], elsewhere: usize) -> io::Result<()> {
    let score = Score::of(drawn.iter().copied());
    let Score { mutants, by_general, by_any, by_script, equivalent, invisible } = score;
    let percent = |part: usize| if mutants == 0 { 0.0 } else { 100.0 * part as f64 / mutants as f64 };
    let left_out = [
        (equivalent, "changes no behaviour", "change no behaviour"),
        (invisible, "is invisible to clients", "are invisible to clients"),
        (elsewhere, "is not in the code of this protocol", "are not in the code of this protocol"),
    ];
    let left_out = left_out.into_iter().filter(|(count, ..)| *count > 0);
    let left_out: Vec<String> = left_out.map(|(count, one, many)| plural(count as u64, one, many)).collect();
    if !left_out.is_empty() {
        writeln!(out, "Left out of the score: {}.", left_out.join(", "))?;
    }
    let all = plural(mutants as u64, "mutant", "mutants");
    let (general_share, any_share) = (percent(by_general), percent(by_any));
    writeln!(
        out,
        "{GOOD}{by_any} of {all} detected by any checker ({any_share:.0} %), {by_general} black-box ({general_share:.0} %){GOOD:#}"
    )?;
    let none = mutants - by_any - by_script;
    match (by_script, none) {
        (0, 0) => Ok(()),
        _ => writeln!(out, "Of the others, tests detect {by_script}, and nothing is known to detect {none}."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{animal, text};
    use super::*;
    use seedbed_core::check::Checker;

    fn mutant(number: u32, judgement: Judgement) -> DrawnMutant {
        let name = ["drawn-001", "drawn-002", "drawn-003", "drawn-004"][number as usize - 1];
        let (place, function, change) = ("raft/log.rs:107:9", "Log::truncate", "replace <= with >");
        DrawnMutant { number, name, place, function, change, judgement }
    }

    #[test]
    fn each_drawn_mutant_has_a_row_and_the_score_leaves_out_what_no_client_could_notice() {
        let effort = Effort { starts: 2, seeds_max: 10, learning: true };
        let mutants = [
            (mutant(1, Judgement::None), animal(None, &[Some(3), Some(5)])),
            (mutant(2, Judgement::None), animal(None, &[Some(3), None])),
            (mutant(3, Judgement::Script("a_test")), animal(None, &[None, None])),
            (mutant(4, Judgement::Equivalent("both are 0 there")), animal(None, &[None, None])),
        ];
        let drawn: Vec<(&DrawnMutant, &Animal)> = mutants.iter().map(|(drawn, animal)| (drawn, animal)).collect();
        let sound = animal(None, &[None, None]);
        let shown = text(|out| {
            write_rows(out, &drawn, Some(&sound), effort)?;
            write_judgements(out, &drawn)?;
            write_score(out, &drawn, 2)
        });
        let expected = "\
Drawn mutants. Seeds until first detected, median/worst of 2 starts, at most 10 seeds each.
-: not detected. black-box: detected by linearizability, liveness, answers or promptness, or by a panic.

mutant     place                              black-box             any  change
drawn-001  raft/log.rs:107:9                        5/5             5/5  Log::truncate: replace <= with >
drawn-002  raft/log.rs:107:9                    3/3 (1)         3/3 (1)  Log::truncate: replace <= with >
drawn-003  raft/log.rs:107:9                          -               -  Log::truncate: replace <= with > (script)
drawn-004  raft/log.rs:107:9                          -               -  Log::truncate: replace <= with > (equivalent)
nothing: the correct one                              -               -

drawn-003 is detected by a_test
drawn-004 changes no behaviour: both are 0 there

Left out of the score: 1 changes no behaviour, 2 are not in the code of this protocol.
1 of 3 mutants detected by any checker (33 %), 1 black-box (33 %)
Of the others, tests detect 1, and nothing is known to detect 1.
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_mutant_that_is_detected_by_what_it_never_does_is_shown_with_that() {
        let mut lazy = animal(None, &[None, None]);
        lazy.hunts.iter_mut().for_each(|hunt| hunt.gap = Some("leader hands over"));
        let effort = Effort { starts: 2, seeds_max: 20_000, learning: true };
        let shown = text(|out| write_rows(out, &[(&mutant(1, Judgement::None), &lazy)], None, effort));
        let row = "drawn-001  raft/log.rs:107:9                          -     10000/10000  \
                   Log::truncate: replace <= with > (never: leader hands over)\n";
        assert!(shown.contains(row), "{shown}");
        lazy.hunts[1].convictions.push((Checker::INVARIANTS, 12_000));
        assert_eq!(never(&lazy), "", "a checker says more");
    }

    #[test]
    fn a_judgement_that_a_finding_contradicts_is_an_error() {
        let mutants = [(mutant(1, Judgement::Equivalent("none can tell")), animal(None, &[Some(3)]))];
        let drawn: Vec<(&DrawnMutant, &Animal)> = mutants.iter().map(|(drawn, animal)| (drawn, animal)).collect();
        let shown = text(|out| write_judgements(out, &drawn));
        assert_eq!(shown, "Error: this was detected. drawn-001 changes no behaviour: none can tell\n\n");
    }
}
