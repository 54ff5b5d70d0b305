//! `seedbed compare`: the same scenario in the virtual world and with real processes, side by side.

use std::io::Write;
use std::path::PathBuf;

use super::Outcome;
use super::cast::{self, Booking, Cast};
use super::command::{CommandLine, Words};
use super::error::CliError;
use super::output::{self, ExportArgs, Exports, Report};
use super::program::{self, default_protocol};
use super::selection::Selection;
use crate::lab::Protocol;
use crate::report::compare::{self, Comparison, Pair};

/// Play one scenario, or all of a directory, in both worlds, and show the results side by side
///
/// The virtual world simulates a protocol; the live one runs processes of a program, in real time.
/// Clients ask the same in both, and the same faults happen. docs/fidelity.md says what the virtual world
/// can predict.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed compare crash-3 -r ./3700kvstore --seed 7
  seedbed compare all -r ./3700kvstore

Exit codes: 0 the same verdicts in both worlds, 1 a verdict differs, 2 bad usage or input.")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,

    /// The program of the live world
    #[arg(short, long, value_name = "PROGRAM")]
    replica: PathBuf,

    /// The protocol of the virtual world
    #[arg(long, value_name = "NAME", default_value_t = default_protocol(), value_parser = program::protocol_names())]
    protocol: Protocol,

    #[command(flatten)]
    staging: cast::Staging,

    #[command(flatten)]
    exports: ExportArgs,
}

/// Carries out the command.
pub(super) fn execute(args: Args) -> Result<Outcome, CliError> {
    let selected = args.selection.load()?;
    let inputs = [selected.files(), vec![args.replica.clone()]].concat();
    let exports = Exports::open(&args.exports, &output::paths(&inputs))?;
    let (simulation, processes) = (Cast::simulated(args.protocol.clone()), Cast::live(&args.replica, &args.staging)?);
    let line = CommandLine {
        verb: "compare",
        protocol: args.protocol.name(),
        program: Some(&args.replica),
        changes: &args.staging.words(Words::empty()).to_string(),
        grpc: false,
    };
    let simulated = Booking::all(&selected, &CommandLine { verb: "run", program: None, changes: "", ..line });
    let live = Booking::all(&selected, &CommandLine { verb: "run", protocol: default_protocol().name(), ..line });
    let mut out = output::stdout();
    let with_text = exports.leaves_stdout();
    let mut comparison = Comparison { command: selected.command(&line), pairs: Vec::with_capacity(live.len()) };
    if with_text {
        writeln!(out, "{}\n", comparison.command)?;
        compare::write_heading(&mut out)?;
        out.flush()?;
    }
    let played = processes.play_all(&live, args.staging.jobs(), |place, live, progress| {
        let pair = Pair { simulated: simulation.play(&simulated[place], progress)?.run, live: live.run };
        if with_text {
            progress.suspend(|| compare::write_row(&mut out, &pair).and_then(|()| out.flush()))?;
        }
        comparison.pairs.push(pair);
        Ok(())
    });
    if played.is_ok() || !comparison.pairs.is_empty() {
        // Finished results are not lost, even if a later step fails.
        exports.write(Report::Comparison(&comparison), &mut out)?;
    }
    if with_text && played.is_ok() {
        compare::write_total(&mut out, &comparison)?;
    }
    out.flush()?;
    played.map_err(|error| error.of(&args.exports.words(Words::empty().with(&comparison.command)).to_string()))?;
    Ok(Outcome::of(comparison.count(Pair::has_same_verdict) == comparison.pairs.len()))
}
