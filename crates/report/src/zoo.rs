//! The zoo: which checkers detect which mutants, how soon, and how small the failures become.

mod curves;
mod drawn;

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::text::{BAD, GOOD};
use seedbed_core::check::Checker;
use seedbed_core::lab::Protocol;
use seedbed_core::lab::shrink::Size;
use seedbed_core::lab::zoo::{Animal, Effort, Hunt, Specimen, Tally};
use seedbed_core::printable::plural;

pub use curves::write_csv;
pub use drawn::{BUILD, is_as_expected, write_drawn, write_none};

/// Writes the kill matrix: a row for each mutant and the correct protocol, a column for each checker, also for each of the
/// protocol's own that found something. Below it are the mutants that escape and the total.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_matrix(out: &mut impl Write, animals: &[Animal], effort: Effort) -> io::Result<()> {
    let checkers = checkers(animals);
    let rows: Vec<Vec<String>> = animals.iter().map(|animal| cells(animal, &checkers, effort)).collect();
    write_legend(out, animals, &rows, effort)?;
    let title = animals.first().map_or_else(String::new, |animal| format!("{} without", animal.protocol));
    write!(out, "{title:28}")?;
    let names: Vec<&str> = checkers.iter().map(Checker::name).chain(["any", "black-box"]).collect();
    let widths: Vec<usize> = names.iter().map(|name| name.chars().count().max(15)).collect();
    for (name, width) in names.iter().zip(&widths) {
        write!(out, " {name:>width$}")?;
    }
    writeln!(out)?;
    for (animal, row) in animals.iter().zip(&rows) {
        write!(out, "{:28}", animal.protocol.broken().unwrap_or("nothing: the correct one"))?;
        for (cell, width) in row.iter().zip(&widths) {
            write!(out, " {cell:>width$}")?;
        }
        writeln!(out, "{}", if animal.is_as_expected() { "" } else { "  !" })?;
    }
    writeln!(out)?;
    animals.iter().filter(|animal| !animal.is_as_expected()).try_for_each(|animal| write_error(out, animal))?;
    write_total(out, animals, effort)
}

/// Writes what an interrupted visit has found: the matrix of those that all hunts are done for, as far as they lack rules.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_interrupted(out: &mut impl Write, animals: &[Animal], effort: Effort) -> io::Result<()> {
    let done: usize = animals.iter().map(|animal| animal.hunts.len()).sum();
    writeln!(out, "Interrupted after {done} of {} hunts.", animals.len() as u64 * effort.starts)?;
    // What is said of a mutant is true only after all of its hunts.
    let is_finished =
        |animal: &&Animal| animal.hunts.len() as u64 == effort.starts && animal.protocol.drawn().is_none();
    let finished: Vec<Animal> = animals.iter().filter(is_finished).cloned().collect();
    if finished.is_empty() { Ok(()) } else { write_matrix(out, &finished, effort) }
}

/// Writes how small the failures of a protocol's mutants became, by rule and in all.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_sizes(out: &mut impl Write, protocol: &Protocol, specimens: &[Specimen]) -> io::Result<()> {
    writeln!(out, "\nFailures shrunk, median/worst. Faults are fault events and losses.\n")?;
    let title = format!("{protocol} without");
    writeln!(out, "{title:28} {:>10} {:>10} {:>10}", "requests", "faults", "replay")?;
    for mutant in protocol.mutants() {
        let own: Vec<&Specimen> = specimens.iter().filter(|specimen| specimen.broken == mutant.name).collect();
        write_size(out, mutant.name, &own)?;
    }
    write_size(out, "any rule", &specimens.iter().collect::<Vec<_>>())
}

/// The checkers that have a column in any case.
const CHECKERS: [Checker; 4] = [Checker::COURSE, Checker::LINEARIZABILITY, Checker::INVARIANTS, Checker::LIVENESS];

/// The checkers that have a column: those, and the protocol's own that found something, in the order of their names.
fn checkers(animals: &[Animal]) -> Vec<Checker> {
    let hunts = animals.iter().flat_map(|animal| &animal.hunts);
    let found = hunts.flat_map(|hunt| hunt.convictions.iter().map(|(checker, _)| checker.clone()));
    let own: BTreeSet<Checker> = found.filter(|checker| !CHECKERS.contains(checker)).collect();
    CHECKERS.into_iter().chain(own).collect()
}

/// The row of a mutant, without its name.
fn cells(animal: &Animal, checkers: &[Checker], effort: Effort) -> Vec<String> {
    let any = [animal.tally(Hunt::by_any), animal.tally(Hunt::by_general)];
    let each = checkers.iter().map(|checker| animal.tally(|hunt| hunt.by(checker)));
    each.chain(any).map(|tally| figures(tally, effort)).collect()
}

/// The seeds of an animal's hunts, as a cell.
fn figures(tally: Option<Tally>, effort: Effort) -> String {
    match tally {
        None => "-".to_owned(),
        Some(Tally { convicted, median, worst }) if convicted as u64 == effort.starts => format!("{median}/{worst}"),
        Some(Tally { convicted, median, worst }) => format!("{median}/{worst} ({convicted})"),
    }
}

fn write_legend(out: &mut impl Write, animals: &[Animal], rows: &[Vec<String>], effort: Effort) -> io::Result<()> {
    writeln!(out, "{}", starts_and_seeds(effort))?;
    let some = rows.iter().flatten().any(|cell| cell.contains('('));
    let some = if some { "(7): only from 7 of the starts. " } else { "" };
    let rest = if animals.iter().all(Animal::is_as_expected) { "" } else { "!: a check failed." };
    writeln!(out, "{}", format!("-: not detected. {some}{rest}").trim_end())?;
    writeln!(
        out,
        "black-box: detected by linearizability, liveness, answers or promptness, or by a panic: by what clients can see.\n"
    )
}

/// What the figures of a table mean.
fn starts_and_seeds(effort: Effort) -> String {
    let (starts, seeds) = (plural(effort.starts, "start", "starts"), plural(effort.seeds_max, "seed", "seeds"));
    format!("Seeds until first detected, median/worst of {starts}, at most {seeds} each.")
}

fn write_error(out: &mut impl Write, animal: &Animal) -> io::Result<()> {
    let mutants = animal.protocol.mutants();
    match mutants.iter().find(|mutant| Some(mutant.name) == animal.protocol.broken()) {
        Some(mutant) => {
            let (rule, breaks, source) = (mutant.name, mutant.breaks, mutant.source);
            let source = if source.is_empty() { String::new() } else { format!("; the rule: {source}") };
            writeln!(out, "{BAD}Error:{BAD:#} {rule} escapes: it {breaks}{source}")
        }
        None => writeln!(out, "{BAD}Error:{BAD:#} the correct protocol failed a check"),
    }
}

fn write_total(out: &mut impl Write, animals: &[Animal], effort: Effort) -> io::Result<()> {
    let mutants = || animals.iter().filter(|animal| animal.protocol.broken().is_some());
    let detected = mutants().filter(|animal| !animal.escapes()).count();
    let all = plural(mutants().count() as u64, "mutant", "mutants");
    let colour = if animals.iter().all(Animal::is_as_expected) { GOOD } else { BAD };
    let from = if effort.starts == 1 { "the only start" } else { "every start" };
    writeln!(out, "{colour}{detected} of {all} detected from {from}{colour:#}")
}

fn write_size(out: &mut impl Write, name: &str, specimens: &[&Specimen]) -> io::Result<()> {
    let figures = |size: fn(&Size) -> usize| {
        let mut sizes: Vec<usize> = specimens.iter().map(|specimen| size(&Size::of(&specimen.shrunk.case))).collect();
        sizes.sort_unstable();
        sizes.last().map(|worst| format!("{}/{worst}", sizes[sizes.len() / 2]))
    };
    let (Some(requests), Some(faults)) = (figures(|size| size.things - size.faults), figures(|size| size.faults))
    else {
        return Ok(());
    };
    let replaying = specimens.iter().filter(|specimen| specimen.replays).count();
    writeln!(out, "{name:28} {requests:>10} {faults:>10} {:>10}", format!("{replaying}/{}", specimens.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::subjects;

    /// A mutant of Raft, or Raft itself, with hunts that each took this many seeds until linearizability failed.
    pub(super) fn animal(rule: Option<&str>, seeds: &[Option<u64>]) -> Animal {
        let raft = subjects::raft();
        let protocol = rule.map_or_else(|| raft.clone(), |rule| raft.without(rule).expect("a rule"));
        let hunt = |seeds: &Option<u64>| Hunt {
            convictions: seeds.map(|seeds| (Checker::LINEARIZABILITY, seeds)).into_iter().collect(),
            ..Hunt::default()
        };
        Animal { protocol, hunts: seeds.iter().map(hunt).collect() }
    }

    pub(super) fn text(write: impl FnOnce(&mut anstream::StripStream<Vec<u8>>) -> io::Result<()>) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write(&mut out).expect("memory");
        String::from_utf8(out.into_inner()).expect("text")
    }

    #[test]
    fn a_mutant_that_escapes_from_one_start_is_marked_and_named_with_its_rule() {
        let animals = [animal(Some("vote-once"), &[Some(3), None]), animal(None, &[None, None])];
        let effort = Effort { starts: 2, seeds_max: 10, learning: true };
        let text = text(|out| write_matrix(out, &animals, effort));
        assert!(text.starts_with("Seeds until first detected, median/worst of 2 starts, at most 10 seeds each.\n"));
        assert!(text.contains("\n-: not detected. (7): only from 7 of the starts. !: a check failed.\n"), "{text}");
        assert!(text.contains("3/3 (1)"), "{text}");
        assert!(text.contains("\nError: vote-once escapes: it "), "{text}");
        assert!(text.ends_with("\n0 of 1 mutant detected from every start\n"), "{text}");
    }

    #[test]
    fn a_checker_of_the_protocols_own_has_a_column_if_it_found_something() {
        let found = |checker: Checker, seeds| Hunt { convictions: vec![(checker, seeds)], ..Hunt::default() };
        let mut mutant = animal(Some("vote-once"), &[]);
        mutant.hunts = vec![found(Checker::named("a-checker-with-a-long-name"), 7), found(Checker::COURSE, 9)];
        let text = text(|out| write_matrix(out, &[mutant], Effort { starts: 2, seeds_max: 10, learning: true }));
        let row = |begin: &str| {
            let line = text.lines().find(|line| line.starts_with(begin)).expect("a row");
            line[28..].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let names = ["course", "linearizability", "invariants", "liveness", "a-checker-with-a-long-name", "any"];
        let head = text.lines().find(|line| line.starts_with("raft without")).expect("a head");
        let head: Vec<&str> = head.split_whitespace().skip(2).take(names.len()).collect();
        assert_eq!(head, names);
        assert_eq!(row("vote-once"), ["9/9 (1)", "-", "-", "-", "7/7 (1)", "9/9", "-"]);
    }

    #[test]
    fn an_interrupted_visit_shows_only_those_that_all_hunts_are_done_for() {
        let animals = [animal(Some("vote-once"), &[Some(3)]), animal(None, &[])];
        let effort = Effort { starts: 1, seeds_max: 10, learning: true };
        let text = text(|out| write_interrupted(out, &animals, effort));
        assert!(text.starts_with("Interrupted after 1 of 2 hunts.\nSeeds until first detected"), "{text}");
        assert!(text.contains("vote-once") && !text.contains("the correct one"), "{text}");
    }
}
