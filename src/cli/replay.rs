//! `seedbed replay`: runs what a repro file holds, and says whether it fails as it did.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Outcome;
use super::command;
use super::error::CliError;
use super::output::{self, Stdout};
use super::repro;
use super::run::{title_of_picture, write_picture};
use super::sweep::{draw, picture};
use super::trace::{TraceArgs, TraceFile};
use crate::lab::{Case, Judged, Trial};
use crate::record::Reigns;
use crate::report::trace::Heading;
use crate::report::{describe, figures};

/// Run a repro file again, and say whether verdict and trace are the same
///
/// A repro file holds everything that decides a run: scenario, seed, protocol and its parameters. It
/// also says what was found, and the hash of the run's trace. docs/output.md lists its keys.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed replay figure-8                            a built-in one
  seedbed replay figure-8 --timeline figure-8.svg    a picture of what happened
  seedbed replay figure-8 --trace events.jsonl       every event
  seedbed replay repros/crash-3-7.json               one that `seedbed run` has written

Exit codes: 0 the same findings and the same trace as the file says, 1 they differ, 2 bad usage or input.")]
pub(super) struct Args {
    /// A repro file, or the name of a built-in one: `seedbed scenarios` lists them
    ///
    /// It is also looked for in the folder `repros`, where failed runs are written to.
    #[arg(value_name = "REPRO")]
    file: PathBuf,

    #[command(flatten)]
    trace: TraceArgs,

    /// Draw the run over time: answers, wrong ones too, faults, leaders (.svg or .png)
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
}

/// Carries out the command.
pub(super) fn execute(args: &Args) -> Result<Outcome, CliError> {
    let mut repro = repro::load(&args.file)?;
    if args.trace.tells_calls() {
        if repro.case.protocol.program().is_none() {
            return Err(CliError::Calls);
        }
        repro.case.protocol = repro.case.protocol.telling_calls();
    }
    let inputs: Vec<PathBuf> = repro::file(&args.file).into_iter().collect();
    let mut places = Vec::new();
    if let Some(path) = &args.timeline {
        picture(path)?;
        places.push(("--timeline", path.as_path()));
        output::check(&places, &output::paths(&inputs))?;
        output::check_writable(path)?;
    }
    let trace = args.trace.open(places, &output::paths(&inputs))?;
    let with_text = trace.as_ref().is_none_or(TraceFile::leaves_stdout);
    let mut out = output::stdout();
    let command = command::replay(&args.file);
    if with_text {
        writeln!(out, "{command}\n")?;
        repro::write_case(&mut out, &repro.case)?;
        out.flush()?;
    }
    let mut reigns = Reigns::default();
    let (trial, traced) = run(&repro.case, &command, trace, &mut reigns, &mut out)?;
    let (same, text) = repro::compare(&repro, &trial);
    if with_text {
        write_outcome(&mut out, &trial, &text)?;
    }
    if let (Some(path), Some(judged)) = (&args.timeline, &trial.judged) {
        draw_timeline(path, &repro.case, judged, reigns)?;
        if with_text {
            write_picture(&mut out, Some(path))?;
        }
    }
    out.flush()?;
    traced?;
    Ok(Outcome::of(same))
}

/// Runs the case, and writes its trace if that is asked for.
fn run(
    case: &Case,
    command: &str,
    trace: Option<TraceFile>,
    reigns: &mut Reigns,
    out: &mut Stdout,
) -> Result<(Trial, Result<(), CliError>), CliError> {
    let Some(trace) = trace else { return Ok((Trial::of(|| case.run_watched(reigns)), Ok(()))) };
    let (scenario, seed, protocol) = (&case.scenario, case.seed, case.protocol.name());
    trace.write(&Heading { scenario, seed, protocol, command }, out, 0, |writer| {
        let trial = Trial::of(|| case.run_watched(&mut (writer, reigns)));
        let record = trial.judged.as_ref().map(|judged| judged.record.clone());
        Ok((trial, record))
    })
}

/// Draws the run as `seedbed run --timeline` does.
fn draw_timeline(path: &Path, case: &Case, judged: &Judged, reigns: Reigns) -> Result<(), CliError> {
    let scenario = &case.scenario;
    let title = title_of_picture(&scenario.name, case.seed, "", Some(&case.protocol));
    let description = describe(scenario);
    let heading = (title.as_str(), description.as_str());
    let chart = figures::timeline(scenario, &judged.record, &judged.judgement, &reigns.into_vec(), heading);
    draw(path, &chart)
}

fn write_outcome(out: &mut impl Write, trial: &Trial, text: &str) -> io::Result<()> {
    writeln!(out)?;
    if !trial.passed() {
        repro::write_findings(out, trial)?;
        writeln!(out)?;
    }
    writeln!(out, "{text}")
}
