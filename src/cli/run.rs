//! `seedbed run`: one scenario, or all of a directory, in the virtual world.

use std::fs;
use std::io::Write;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use rand::TryRng;
use rand::rngs::SysRng;

use super::error::CliError;
use super::output::{self, Exports, Report};
use super::{Outcome, command};
use crate::report::suite::{self, Table};
use crate::report::{RunSummary, SuiteSummary, text};
use crate::scenario::Scenario;
use crate::sweep::ProtocolName;

/// Run one scenario, or all of a directory, and judge the replicas as the course does
///
/// A run is a simulation: it takes no real time, and is a pure function of the program, the scenario
/// and the seed. The first line of the report is the command that repeats the run to the bit; the last
/// is the hash of its trace, which two runs share exactly if they had the same events.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
Examples:
  seedbed run scenarios/crash-3.json             one scenario, with a random seed that is printed
  seedbed run scenarios/crash-3.json --seed 7    the same run every time
  seedbed run all --seed 7                       the course's suite as a table
  seedbed run all -c scenarios/chaos             all scenarios of another directory
  seedbed run scenarios/unreliable-1.json --protocol broadcast
                                                 naive replication, which must fail
  seedbed run all --json - | jq '.runs[].latency'

Exit codes: 0 all correct, 1 a correctness check failed, 2 bad usage or input."
)]
pub(super) struct Args {
    /// A scenario file, or `all` for every *.json in the directory of scenarios
    ///
    /// A file that is itself named `all` is `./all`.
    #[arg(value_name = "FILE|all")]
    test: PathBuf,

    /// Seed of all randomness in the run
    ///
    /// Without it, a single scenario runs with the `seed` of its file, if it has one, and else with a
    /// random seed. `all` runs every scenario with the same seed, this one or a random one, and does
    /// not use the `seed` of any file. Whatever the seed is, it is printed.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_seed, verbatim_doc_comment)]
    seed: Option<u64>,

    /// Directory of scenarios, only used with `all`
    #[arg(short, long, value_name = "DIR", alias = "config_directory", default_value = command::DEFAULT_DIRECTORY)]
    config_directory: PathBuf,

    /// Do not show what replicas print (in the virtual world they print nothing)
    #[arg(short, long)]
    silence: bool,

    /// What the replicas run
    #[arg(long, value_name = "NAME", default_value_t, value_parser = protocols())]
    protocol: ProtocolName,

    /// Write the result as JSON; `-` is standard output, in place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the result as CSV; `-` is standard output, in place of the text
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("allowed is a whole number from 0 to {}", u64::MAX))
}

fn protocols() -> impl TypedValueParser<Value = ProtocolName> {
    let value = |protocol: ProtocolName| PossibleValue::new(protocol.name()).help(protocol.summary());
    PossibleValuesParser::new(ProtocolName::ALL.map(value)).try_map(|name| name.parse::<ProtocolName>())
}

/// Carries out the command.
pub(super) fn execute(args: Args) -> Result<Outcome, CliError> {
    if args.test == Path::new("all") { run_all(&args) } else { run_one(&args) }
}

fn run_one(args: &Args) -> Result<Outcome, CliError> {
    let scenario = load(&args.test)?;
    let seed = match args.seed.or(scenario.seed) {
        Some(seed) => seed,
        None => draw_seed()?,
    };
    let exports = Exports::open(args.json.as_deref(), args.csv.as_deref(), &[&args.test])?;
    let with_text = exports.leaves_stdout();
    let command = command::one(&args.test, seed, args.protocol);
    let mut out = output::stdout();
    if with_text {
        // Before the run, so that it is there whatever happens.
        writeln!(out, "{command}\n")?;
        out.flush()?;
    }
    let run = simulate(&scenario, seed, args.protocol, command);
    exports.write(Report::One(&run), &mut out)?;
    if with_text {
        text::write(&mut out, &run)?;
        writeln!(out)?;
        if !run.verdict.passed() {
            writeln!(out, "Repeat: {}", run.command)?;
        }
        text::write_trace(&mut out, run.trace)?;
    }
    out.flush()?;
    Ok(if run.verdict.passed() { Outcome::Correct } else { Outcome::Incorrect })
}

fn run_all(args: &Args) -> Result<Outcome, CliError> {
    let scenarios = load_all(&args.config_directory)?;
    let seed = match args.seed {
        Some(seed) => seed,
        None => draw_seed()?,
    };
    let inputs: Vec<&Path> = scenarios.iter().map(|(path, _)| path.as_path()).collect();
    let exports = Exports::open(args.json.as_deref(), args.csv.as_deref(), &inputs)?;
    let with_text = exports.leaves_stdout();
    let command = command::all(&args.config_directory, seed, args.protocol);
    let mut out = output::stdout();
    if with_text {
        writeln!(out, "{command}\n")?;
        out.flush()?;
    }
    let table = Table::new(&scenarios.iter().map(|(_, scenario)| scenario).collect::<Vec<_>>());
    let mut suite = SuiteSummary { command, runs: Vec::with_capacity(scenarios.len()) };
    let progress = progress_bar(scenarios.len());
    for (row, (path, scenario)) in scenarios.iter().enumerate() {
        progress.set_message(scenario.name.clone());
        let run = simulate(scenario, seed, args.protocol, command::one(path, seed, args.protocol));
        if with_text {
            // The bar makes way, as the table may go to the same terminal.
            progress.suspend(|| table.write_row(&mut out, row, &run).and_then(|()| out.flush()))?;
        }
        suite.runs.push(run);
        progress.inc(1);
    }
    progress.finish_and_clear();
    exports.write(Report::Many(&suite), &mut out)?;
    if with_text {
        writeln!(out)?;
        suite::write_total(&mut out, &suite)?;
        text::write_trace(&mut out, suite.trace())?;
    }
    out.flush()?;
    Ok(if suite.passed() == suite.runs.len() { Outcome::Correct } else { Outcome::Incorrect })
}

/// Reads a scenario and passes its warnings on.
fn load(path: &Path) -> Result<Scenario, CliError> {
    let loaded = Scenario::load(path)?;
    for warning in &loaded.warnings {
        output::warning(warning);
    }
    Ok(loaded.scenario)
}

/// Reads all scenarios directly in a directory, in the course's order.
fn load_all(directory: &Path) -> Result<Vec<(PathBuf, Scenario)>, CliError> {
    let unreadable = |source| CliError::Directory { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") && !path.is_dir() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(CliError::NoScenarios { path: directory.to_owned() });
    }
    // The order in which a directory lists its files is not the same everywhere.
    let name = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    paths.sort();
    paths.sort_by(|left, right| suite::course_order(&name(left), &name(right)));
    paths.into_iter().map(|path| load(&path).map(|scenario| (path, scenario))).collect()
}

/// A seed from the operating system, for a run that anybody can repeat because the seed is printed. It has 32 bits:
/// enough to draw from, short to type, and exact in every JSON reader.
fn draw_seed() -> Result<u64, CliError> {
    SysRng.try_next_u32().map(u64::from).map_err(CliError::NoSeed)
}

/// Runs and judges one scenario. If the protocol panics, says how to repeat that.
fn simulate(scenario: &Scenario, seed: u64, protocol: ProtocolName, command: String) -> RunSummary {
    let tell = || output::note(&format!("this repeats the run that panicked: {command}"));
    let record = telling_of_panics(|| protocol.simulate(scenario, seed), tell);
    RunSummary::new(scenario, &record, protocol.name(), command)
}

/// Calls `tell` if `run` panics, and then lets the panic go on.
fn telling_of_panics<T>(run: impl FnOnce() -> T, tell: impl FnOnce()) -> T {
    // Nothing that the closure may have left half done is used again.
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        tell();
        panic::resume_unwind(panic)
    })
}

/// A bar on standard error, if that is a terminal.
fn progress_bar(runs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}").expect("the template is valid");
    ProgressBar::new(runs as u64).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_of_and_goes_on() {
        let mut told = 0;
        assert_eq!(telling_of_panics(|| 7, || told += 1), 7);
        assert_eq!(told, 0);

        let panics = AssertUnwindSafe(|| telling_of_panics(|| panic!("on purpose"), || told += 1));
        let caught = panic::catch_unwind(panics);
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
        assert_eq!(told, 1);
    }
}
