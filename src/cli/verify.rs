//! `seedbed verify`: whether runs are the same every time.

use std::io::Write;

use super::Outcome;
use super::command::{self, Words};
use super::error::CliError;
use super::output::{self, plural};
use super::progress::Progress;
use super::selection::Files;
use super::tested::{self, Tested};
use crate::lab::{Protocol, SeedRange};
use crate::scenario::Scenario;
use crate::world::processes::Interrupt;

/// Run each seed twice, and name the first event that differs
///
/// A run must be a pure function of the program, the scenario and the seed. If anything else has an
/// influence, like the order of a hash map, a clock or the thread, a failure cannot be repeated.
/// Each run is played a second time, on another thread and in another order. If it differs, the
/// first event that differs is shown as it was in both, with the events before and after it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed verify crash-3 --seeds 0..100    the seeds 0 to 99
  seedbed verify all --seeds 7             one seed with the course's suite
  seedbed verify harsh --seeds 0..=9       all scenarios of a folder, here a built-in one
  seedbed verify all --seeds 0..20 -r ./3700kvstore
                                           is this program repeatable here?

Exit codes: 0 all the same, 1 two runs differ or a run panicked, 2 bad usage or input.")]
pub(super) struct Args {
    #[command(flatten)]
    files: Files,

    /// The seeds: one, or a range without (A..B) or with (A..=B) its end
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    seeds: SeedRange,

    #[command(flatten)]
    tested: Tested,
}

/// Carries out the command.
pub(super) fn execute(args: Args) -> Result<Outcome, CliError> {
    let protocol = args.tested.open()?;
    let scenarios = args.files.load_for(&protocol)?;
    let interrupt = Interrupt::install().map_err(CliError::Signals)?;
    let hold = interrupt.hold();
    let mut out = output::stdout();
    writeln!(out, "{}\n", command(&args.files.words(), args.seeds, &protocol))?;
    out.flush()?;
    let count = scenarios.len() as u64;
    let progress = Progress::in_runs(count.saturating_mul(args.seeds.count()).saturating_mul(2), scenarios.len() > 1);
    let runs = scenarios.iter().flat_map(|(_, scenario)| args.seeds.iter().map(move |seed| (scenario, seed)));
    // After a signal no run is begun, and those that were are played a second time.
    let mut runs = runs.take_while(|_| interrupt.signal().is_none());
    let watch = |scenario: &Scenario| {
        progress.begin(&scenario.name);
        progress.end();
    };
    // The first system call that differs says more than the first datagram.
    let verified = protocol.telling_calls().verify(&mut runs, &watch);
    progress.clear();
    drop(hold);
    match &verified {
        Ok(agreement) => {
            let (runs, events) = (agreement.runs, agreement.events);
            let (runs, scenarios) = (plural(runs, "run", "runs"), plural(count, "scenario", "scenarios"));
            let so_far = if interrupt.signal().is_some() { " so far" } else { "" };
            writeln!(out, "{runs} of {scenarios} verified{so_far}, {events} events, all the same")?;
        }
        Err(divergence) => {
            writeln!(out, "{divergence}")?;
            if let Some((path, _)) = scenarios.iter().find(|(_, scenario)| scenario.name == divergence.scenario) {
                let seeds = SeedRange::only(divergence.seed);
                writeln!(out, "\nRepeat: {}", command(&command::file(path), seeds, &protocol))?;
            }
        }
    }
    out.flush()?;
    match interrupt.signal() {
        Some(signal) if verified.is_ok() => {
            let command = command(&args.files.words(), args.seeds, &protocol);
            Err(CliError::Interrupted { signal, command, goes_on: false })
        }
        _ => Ok(Outcome::of(verified.is_ok())),
    }
}

/// The command that does this for these files and seeds.
fn command(files: &str, seeds: SeedRange, protocol: &Protocol) -> String {
    let words = Words::new("verify").with(files).option("--seeds", seeds);
    tested::words_of(words, protocol, None).to_string()
}
