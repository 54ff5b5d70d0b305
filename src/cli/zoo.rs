//! `seedbed zoo`: mutants of a protocol that lack one rule each, and how soon each checker detects them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Outcome;
use super::command::Words;
use super::cores::Cores;
use super::error::CliError;
use super::output::{self, plural};
use super::program::{self, default_protocol};
use super::progress::Progress;
use super::repro;
use crate::check::Checker;
use crate::clock::Clock;
use crate::lab::shrink::{self, Size};
use crate::lab::zoo::{self, Animal, Effort, Hunt, Specimen, Tally};
use crate::lab::{Protocol, Repro};
use crate::report::text::{BAD, GOOD};
use crate::world::processes::Interrupt;

/// Break the rules of a protocol one at a time, and see which checkers notice, and how soon
///
/// A checker is worth what it finds. Each mutant of the zoo is a protocol, the built-in Raft unless told otherwise,
/// without one of the rules that its safety or progress depends on. From several starts, random scenarios run until a checker that sees
/// only what clients see (linearizability or liveness) detects it. The table has the median and the worst
/// number of seeds until each checker first detects the mutant.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed zoo
  seedbed zoo --rule commit-own-term --starts 3
  seedbed zoo --shrink repros/zoo       and a shrunk repro file of each failure

Exit codes: 0 every mutant is detected and the correct protocol passes, 1 a check failed, 2 bad usage.")]
pub(super) struct Args {
    /// Only the mutant without this rule (repeatable)
    #[arg(long = "rule", value_name = "RULE", value_parser = program::rules())]
    rules: Vec<String>,

    /// The protocol whose mutants are hunted
    #[arg(long, value_name = "NAME", default_value_t = default_protocol(), value_parser = program::protocol_names())]
    protocol: Protocol,

    /// How many times each mutant is hunted, from seeds that are far apart
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Effort::default().starts, value_parser = clap::value_parser!(u64).range(1..=1000))]
    starts: u64,

    /// The number of seeds after which a mutant has escaped
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Effort::default().seeds_max, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,

    /// Shrink the failure of every hunt as `seedbed shrink` does, and write the repro files to this folder
    #[arg(long, value_name = "DIR")]
    shrink: Option<PathBuf>,

    #[command(flatten)]
    cores: Cores,
}

/// Carries out the command.
pub(super) fn execute(args: Args) -> Result<Outcome, CliError> {
    args.cores.use_them()?;
    let effort = Effort { starts: args.starts, seeds_max: args.seeds };
    let animals = args.animals()?;
    let interrupt = Interrupt::install().map_err(CliError::Signals)?;
    let hold = interrupt.hold();
    let mut out = output::stdout();
    writeln!(out, "{}\n", command(&args))?;
    out.flush()?;
    let progress = Progress::in_hunts(animals.len() as u64 * effort.starts);
    let clock = Clock::start();
    let all = animals.len() as u64 * effort.starts;
    let animals = zoo::visit(&animals, effort, || progress.end(), || interrupt.signal().is_none());
    progress.clear();
    if let Some(signal) = interrupt.signal() {
        write_interrupted(&mut out, &animals, all, effort)?;
        out.flush()?;
        return Err(CliError::Interrupted { signal, command: command(&args), goes_on: false });
    }
    output::note(&format!("{} in {:.1} s", in_animals(animals.len() as u64 - 1), clock.now().as_secs_f64()));
    write_matrix(&mut out, &animals, effort)?;
    out.flush()?;
    let mut all_replay = true;
    if let Some(folder) = &args.shrink {
        let progress = Progress::in_hunts(animals.len() as u64 * effort.starts);
        let specimens = zoo::specimens(&animals, shrink::BUDGET, || progress.end(), || interrupt.signal().is_none());
        progress.clear();
        write_specimens(&mut out, &args.protocol, &specimens, folder)?;
        out.flush()?;
        if let Some(signal) = interrupt.signal() {
            return Err(CliError::Interrupted { signal, command: command(&args), goes_on: false });
        }
        all_replay = specimens.iter().all(|specimen| specimen.replays);
    }
    drop(hold);
    Ok(Outcome::of(all_replay && animals.iter().all(is_as_it_should_be)))
}

impl Args {
    /// The mutants, and then the correct protocol.
    fn animals(&self) -> Result<Vec<Protocol>, CliError> {
        let mut rules = self.rules.clone();
        if rules.is_empty() {
            rules = self.protocol.mutants().iter().map(|mutant| mutant.name.to_owned()).collect();
        }
        let mut seen = BTreeSet::new();
        rules.retain(|rule| seen.insert(rule.clone()));
        let mutants = rules.iter().map(|rule| self.protocol.without(rule));
        let mut animals = mutants.collect::<Result<Vec<Protocol>, _>>()?;
        animals.push(self.protocol.clone());
        Ok(animals)
    }
}

/// Writes what the hunts have found that ended before a signal came.
fn write_interrupted(out: &mut impl Write, animals: &[Animal], all: u64, effort: Effort) -> io::Result<()> {
    let done: usize = animals.iter().map(|animal| animal.hunts.len()).sum();
    writeln!(out, "Interrupted after {done} of {all} hunts.")?;
    // What is said of an animal is true only after all of its hunts.
    let is_finished = |animal: &&Animal| animal.hunts.len() as u64 == effort.starts;
    let finished: Vec<Animal> = animals.iter().filter(is_finished).cloned().collect();
    if finished.is_empty() { Ok(()) } else { write_matrix(out, &finished, effort) }
}

/// Writes what failures were shrunk to: a file each, and a table.
fn write_specimens(
    out: &mut impl Write,
    protocol: &Protocol,
    specimens: &[Specimen],
    folder: &Path,
) -> Result<(), CliError> {
    for Specimen { broken, start, shrunk, .. } in specimens {
        // What another visit has left is replaced, and nothing else.
        let path =
            repro::place(folder, &format!("{broken}-{start}"), |old| old.case.protocol.broken() == Some(*broken));
        let result = Repro::of(&shrunk.case, &shrunk.trial);
        let written = fs::create_dir_all(folder).and_then(|()| repro::write_new(&path, &result));
        written.map_err(|source| CliError::File { path, source })?;
    }
    writeln!(out, "\nFailures shrunk, median/worst. Faults are fault events and losses.\n")?;
    let title = format!("{protocol} without");
    writeln!(out, "{title:28} {:>10} {:>10} {:>10}", "requests", "faults", "replay")?;
    for mutant in protocol.mutants() {
        let own: Vec<&Specimen> = specimens.iter().filter(|specimen| specimen.broken == mutant.name).collect();
        write_sizes(out, mutant.name, &own)?;
    }
    write_sizes(out, "any rule", &specimens.iter().collect::<Vec<_>>())?;
    Ok(())
}

fn write_sizes(out: &mut impl Write, name: &str, specimens: &[&Specimen]) -> io::Result<()> {
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

fn command(args: &Args) -> String {
    let default = Effort::default();
    let words = Words::new("zoo").unless(default_protocol().name(), "--protocol", args.protocol.name());
    let words = args.rules.iter().fold(words, |words, rule| words.option("--rule", rule));
    let words = words.unless(default.starts, "--starts", args.starts).unless(default.seeds_max, "--seeds", args.seeds);
    words.path("--shrink", args.shrink.as_deref()).to_string()
}

fn in_animals(count: u64) -> String {
    plural(count, "mutant", "mutants")
}

/// Broken ones are detected, and the correct one is not.
fn is_as_it_should_be(animal: &Animal) -> bool {
    match animal.protocol.broken() {
        Some(_) => !animal.escapes(),
        None => animal.hunts.iter().all(|hunt| hunt.by_any().is_none()),
    }
}

/// Writes the kill matrix: a row for each animal, and a column for each checker.
fn write_matrix(out: &mut impl Write, animals: &[Animal], effort: Effort) -> io::Result<()> {
    let checkers = [Checker::COURSE, Checker::LINEARIZABILITY, Checker::INVARIANTS, Checker::LIVENESS];
    let columns = |animal: &Animal| {
        let any = [animal.tally(Hunt::by_any), animal.tally(Hunt::by_general)];
        let each = checkers.iter().map(|checker| animal.tally(|hunt| hunt.by(checker)));
        each.chain(any).map(|tally| shown(tally, effort)).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = animals.iter().map(columns).collect();
    let is_there = |part: &str| rows.iter().flatten().any(|cell| cell.contains(part));
    let (starts, seeds) = (plural(effort.starts, "start", "starts"), plural(effort.seeds_max, "seed", "seeds"));
    writeln!(out, "Seeds until first detected, median/worst of {starts}, at most {seeds} each.")?;
    let rest = if animals.iter().all(is_as_it_should_be) { "" } else { "!: a check failed." };
    let some = if is_there("(") { "(7): only from 7 of the starts. " } else { "" };
    let legend = format!("-: not detected. {some}{rest}");
    writeln!(out, "{}", legend.trim_end())?;
    writeln!(out, "client's view: detected by linearizability or liveness, which need only what clients see.\n")?;
    let title = animals.first().map_or_else(String::new, |animal| format!("{} without", animal.protocol));
    write!(out, "{title:28}")?;
    for name in checkers.iter().map(Checker::name).chain(["any", "client's view"]) {
        write!(out, " {name:>15}")?;
    }
    writeln!(out)?;
    for (animal, row) in animals.iter().zip(&rows) {
        write!(out, "{:28}", animal.protocol.broken().unwrap_or("nothing: the correct one"))?;
        for cell in row {
            write!(out, " {cell:>15}")?;
        }
        writeln!(out, "{}", if is_as_it_should_be(animal) { "" } else { "  !" })?;
    }
    writeln!(out)?;
    for animal in animals.iter().filter(|animal| !is_as_it_should_be(animal)) {
        let mutants = animal.protocol.mutants();
        match mutants.iter().find(|mutant| Some(mutant.name) == animal.protocol.broken()) {
            Some(mutant) => {
                let (rule, breaks, source) = (mutant.name, mutant.breaks, mutant.source);
                writeln!(out, "{BAD}Error:{BAD:#} {rule} escapes: it {breaks}; the rule: {source}")?;
            }
            None => writeln!(out, "{BAD}Error:{BAD:#} the correct protocol failed a check")?,
        }
    }
    let convicted = animals.iter().filter(|animal| animal.protocol.broken().is_some() && !animal.escapes()).count();
    let broken = in_animals(animals.iter().filter(|animal| animal.protocol.broken().is_some()).count() as u64);
    let colour = if animals.iter().all(is_as_it_should_be) { GOOD } else { BAD };
    let from = if effort.starts == 1 { "the only start" } else { "every start" };
    writeln!(out, "{colour}{convicted} of {broken} detected from {from}{colour:#}")
}

fn shown(tally: Option<Tally>, effort: Effort) -> String {
    match tally {
        None => "-".to_owned(),
        Some(Tally { convicted, median, worst }) if convicted as u64 == effort.starts => format!("{median}/{worst}"),
        Some(Tally { convicted, median, worst }) => format!("{median}/{worst} ({convicted})"),
    }
}
