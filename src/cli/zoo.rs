//! `seedbed zoo`: mutants of a protocol that lack one rule each, or were drawn by chance, and how soon each checker detects
//! them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::command::Words;
use super::cores::Cores;
use super::error::CliError;
use super::files::OutputFile;
use super::output::{self, plural};
use super::program::{self, default_protocol};
use super::progress::Progress;
use super::repro;
use crate::clock::Clock;
use crate::lab::shrink;
use crate::lab::zoo::{self, Animal, Effort, Specimen};
use crate::lab::{Protocol, Repro};
use crate::report::zoo as report;
use crate::world::processes::Interrupt;

/// Break the rules of a protocol one at a time, and see which checkers notice, and how soon
///
/// A checker is worth what it finds. Each mutant of the zoo is the protocol without one of the rules that
/// its safety or progress depends on. From several starts, random scenarios run until it is detected
/// black-box: by linearizability, liveness, answers or promptness, or because a replica panics. The table has the median
/// and the worst number of seeds until each checker first detects the mutant.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed zoo
  seedbed zoo --rule commit-own-term --starts 3
  seedbed zoo --shrink repros/zoo       and a shrunk repro file of each failure
  seedbed zoo --drawn --csv found.csv   the mutation score (in a build of seedbed-mutate)

Exit codes: 0 every mutant is detected and the correct protocol passes, 1 a check failed, 2 bad usage.")]
pub(super) struct Args {
    /// Only the mutant without this rule, or the drawn mutant of this name (repeatable)
    #[arg(long = "rule", value_name = "RULE", value_parser = program::rules())]
    rules: Vec<String>,

    /// The protocol whose mutants are looked for
    #[arg(long, value_name = "NAME", default_value_t = default_protocol(), value_parser = program::protocol_names())]
    protocol: Protocol,

    /// How many times each mutant is looked for, from seeds that are far apart
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Effort::default().starts, value_parser = clap::value_parser!(u64).range(1..=1000))]
    starts: u64,

    /// The number of seeds after which a mutant has escaped
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Effort::default().seeds_max, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,

    /// Draw each case from its seed alone, and learn nothing from those before
    #[arg(long)]
    no_learning: bool,

    /// Shrink the failure of every hunt as `seedbed shrink` does, and write the repro files to this folder
    #[arg(long, value_name = "DIR")]
    shrink: Option<PathBuf>,

    /// Only the mutants that were drawn by chance, which a build of `seedbed-mutate` has: a table of their own, with
    /// the score, which is how many of them are detected
    #[arg(long, conflicts_with = "rules")]
    drawn: bool,

    /// Also write a row for each mutant, start and checker: the seeds until its first finding
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    #[command(flatten)]
    cores: Cores,
}

/// Carries out the command.
pub(super) fn execute(args: Args) -> Result<Outcome, CliError> {
    args.protocol.check_explorable()?;
    let animals = wanted(&args)?;
    let csv = args.csv.as_deref().map(OutputFile::open).transpose()?;
    args.cores.use_them()?;
    let effort = Effort { starts: args.starts, seeds_max: args.seeds, learning: !args.no_learning };
    let interrupt = Interrupt::install().map_err(CliError::Signals)?;
    let hold = interrupt.hold();
    let mut out = output::stdout();
    writeln!(out, "{}\n", command(&args))?;
    out.flush()?;
    let progress = Progress::in_hunts(animals.len() as u64 * effort.starts);
    let clock = Clock::start();
    let animals = zoo::visit(&animals, effort, || progress.end(), || interrupt.signal().is_none());
    progress.clear();
    if let Some(signal) = interrupt.signal() {
        report::write_interrupted(&mut out, &animals, effort)?;
        out.flush()?;
        return Err(CliError::Interrupted { signal, command: command(&args), goes_on: false });
    }
    let mutants = plural(animals.len() as u64 - 1, "mutant", "mutants");
    output::note(&format!("{mutants} in {:.1} s", clock.now().as_secs_f64()));
    write_tables(&mut out, &args, &animals, effort)?;
    out.flush()?;
    if let Some(file) = csv {
        let mut file = file.begin(&mut out)?;
        let written = report::write_csv(&mut file, &animals);
        file.finish(written)?;
    }
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
    let (drawn, rules): (Vec<Animal>, Vec<Animal>) =
        animals.into_iter().partition(|animal| animal.protocol.drawn().is_some());
    let as_expected = rules.iter().all(Animal::is_as_expected) && report::is_as_expected(&drawn);
    Ok(Outcome::of(all_replay && as_expected))
}

/// The mutants that are asked for, and then the correct protocol.
fn wanted(args: &Args) -> Result<Vec<Protocol>, CliError> {
    let protocol = &args.protocol;
    if !args.rules.is_empty() {
        return Ok(zoo::animals(protocol, &args.rules)?);
    }
    let mut mutants = zoo::drawn(protocol);
    if args.drawn && mutants.is_empty() {
        return Err(CliError::NoDrawnMutants { protocol: protocol.name() });
    }
    if args.drawn {
        mutants.push(protocol.clone());
    } else {
        let rules = zoo::animals(protocol, &[])?;
        let place = rules.len() - 1;
        mutants = rules[..place].iter().cloned().chain(mutants).chain([rules[place].clone()]).collect();
    }
    if mutants.len() == 1 { Err(CliError::NoMutants { protocol: protocol.name() }) } else { Ok(mutants) }
}

/// Writes the table of the rules and that of the drawn mutants, as far as there are some.
fn write_tables(out: &mut impl Write, args: &Args, animals: &[Animal], effort: Effort) -> Result<(), CliError> {
    let with_sound = |is_drawn: bool| -> Vec<Animal> {
        let is_wanted = |animal: &&Animal| match animal.protocol.broken() {
            Some(_) => animal.protocol.drawn().is_some() == is_drawn,
            None => true,
        };
        animals.iter().filter(is_wanted).cloned().collect()
    };
    let (rules, drawn) = (with_sound(false), with_sound(true));
    if rules.len() > 1 {
        report::write_matrix(out, &rules, effort)?;
    }
    if drawn.len() > 1 {
        if rules.len() > 1 {
            writeln!(out)?;
        }
        let elsewhere = if args.rules.is_empty() { zoo::drawn_elsewhere(&args.protocol) } else { 0 };
        report::write_drawn(out, &drawn, elsewhere, effort)?;
    } else if args.rules.is_empty() && args.protocol.is_mutated() {
        report::write_none(out)?;
    }
    Ok(())
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
    Ok(report::write_sizes(out, protocol, specimens)?)
}

fn command(args: &Args) -> String {
    let default = Effort::default();
    let words = Words::new("zoo").unless(default_protocol().name(), "--protocol", args.protocol.name());
    let words = args.rules.iter().fold(words, |words, rule| words.option("--rule", rule));
    let words = words.unless(default.starts, "--starts", args.starts).unless(default.seeds_max, "--seeds", args.seeds);
    let words = if args.no_learning { words.with("--no-learning") } else { words };
    let words = if args.drawn { words.with("--drawn") } else { words };
    words.path("--shrink", args.shrink.as_deref()).path("--csv", args.csv.as_deref()).to_string()
}
