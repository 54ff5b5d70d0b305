//! `seedbed compare`: the same scenario with a program simulated, with its processes in real time, and with a built-in
//! protocol, side by side.

use std::io::Write;
use std::path::PathBuf;

use clap::{ArgMatches, Command, FromArgMatches};

use super::Outcome;
use super::cast::{self, Booking, Cast};
use super::command::{CommandLine, Words};
use super::error::CliError;
use super::output::{self, ExportArgs, Exports, Report};
use super::program::{self, default_protocol};
use super::selection::{Selected, Selection};
use super::tested::{self, OnUnsupported};
use crate::lab::Protocol;
use crate::report::RunSummary;
use crate::report::compare::{self, Comparison, Pair};
use crate::world::program::examine;

/// Play one scenario, or all of a directory, in all worlds, and show the results side by side
///
/// A program is played twice: simulated in virtual time, and as real processes in real time. A built-in protocol is
/// simulated, too. Clients ask the same each time, and the same faults happen. docs/fidelity.md says what simulations
/// can predict.
///
/// What is judged is whether the simulated program has the verdict of the real one. The protocol is shown beside them.
/// Only where the program cannot be simulated, the protocol is judged in its place; `seedbed doctor` says what this
/// machine lacks.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed compare crash-3 -r ./3700kvstore --seed 7
  seedbed compare all -r ./3700kvstore

Exit codes: 0 the same verdicts simulated and live, 1 a verdict differs, 2 bad usage or input.")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,

    /// The program that is simulated, and played in real time
    #[arg(short, long, value_name = "PROGRAM")]
    replica: PathBuf,

    /// The built-in protocol to show beside the program
    #[arg(long, value_name = "NAME", default_value_t = default_protocol(), value_parser = program::protocol_names())]
    protocol: Protocol,

    #[command(flatten)]
    staging: Staging,

    #[command(flatten)]
    exports: ExportArgs,
}

/// How the program is run. This command simulates it in any case, so it has no options to choose that.
#[derive(Debug)]
struct Staging {
    live: cast::Staging,
    /// What `--env` says.
    env: Vec<String>,
}

/// The options that choose between simulated and real replicas, and what only one of them has.
const CHOICES: [&str; 3] = ["simulates", "show_output", "on_unsupported"];

impl clap::Args for Staging {
    fn augment_args(command: Command) -> Command {
        CHOICES.into_iter().fold(cast::Staging::augment_args(command), |command, option| {
            // The program is always there, so these are always refused.
            command.mut_arg(option, |argument| argument.hide(true).conflicts_with("replica"))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Staging::augment_args(command)
    }
}

impl FromArgMatches for Staging {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Staging, clap::Error> {
        let env = matches.get_many("env").into_iter().flatten().cloned().collect();
        Ok(Staging { live: cast::Staging::from_arg_matches(matches)?, env })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Staging::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Carries out the command.
pub(super) fn execute(args: Args) -> Result<Outcome, CliError> {
    let staging = &args.staging.live;
    let selected = args.selection.load()?;
    let inputs = [selected.files(), vec![args.replica.clone()]].concat();
    let exports = Exports::open(&args.exports, &output::paths(&inputs))?;
    let (built_in, processes) = (Cast::simulated(args.protocol.clone()), Cast::live(&args.replica, staging)?);
    let line = CommandLine {
        verb: "compare",
        protocol: args.protocol.name(),
        program: Some(&args.replica),
        changes: &staging.words(Words::empty()).to_string(),
        grpc: false,
    };
    let simulated = Booking::all(&selected, &CommandLine { verb: "run", program: None, changes: "", ..line });
    let line_of_program = CommandLine { verb: "run", protocol: default_protocol().name(), ..line };
    let live = Booking::all(&selected, &line_of_program);
    let mut out = output::stdout();
    let with_text = exports.leaves_stdout();
    let mut comparison = Comparison { command: selected.command(&line), pairs: Vec::with_capacity(live.len()) };
    if with_text {
        writeln!(out, "{}\n", comparison.command)?;
        compare::write_heading(&mut out, args.protocol.name())?;
        out.flush()?;
    }
    let mut predictions = predict(&args, &selected, &line_of_program)?;
    let played = processes.play_all(&live, staging.jobs(), |place, live, progress| {
        let protocol = built_in.play(&simulated[place], progress)?.run;
        let pair = Pair { program: predictions[place].take(), live: live.run, protocol };
        if with_text {
            progress.suspend(|| compare::write_rows(&mut out, &pair).and_then(|()| out.flush()))?;
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

/// Simulates the program in every scenario. There is no run, but a note, where that cannot be done.
///
/// All this ends before the first live run begins. A simulation would take processor time from that, and it would lose
/// its processes: children that belong to no live run are killed.
fn predict(args: &Args, selected: &Selected, line: &CommandLine<'_>) -> Result<Vec<Option<RunSummary>>, CliError> {
    let changes = args.staging.live.words(Words::empty().with("--virtual")).to_string();
    let bookings = Booking::all(selected, &CommandLine { changes: &changes, ..*line });
    if let Some((what, problem)) = examine().into_iter().find_map(|check| Some((check.what, check.problem?))) {
        output::note(&format!(
            "the program cannot be simulated on this machine, so the protocol is judged in its place: {what}: {problem}; \
             `seedbed doctor` says what helps"
        ));
        return Ok(bookings.iter().map(|_| None).collect());
    }
    let program = Cast::simulated(tested::simulated(&args.replica, &args.staging.env, OnUnsupported::End)?);
    let progress = program.progress(&bookings);
    let run = |booking: &Booking<'_>| match program.play(booking, &progress) {
        Ok(played) => Ok(Some(played.run)),
        Err(error @ CliError::Obstacle(_)) => {
            let note = format!("{}: {error}; so the protocol is judged in its place", booking.name);
            progress.suspend(|| output::note(&note));
            Ok(None)
        }
        Err(error) => Err(error),
    };
    let runs = bookings.iter().map(run).collect();
    progress.clear();
    runs
}
