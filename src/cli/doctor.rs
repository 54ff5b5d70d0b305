//! `seedbed doctor`: whether this machine can simulate programs.

use std::io::Write;

use super::Outcome;
use super::error::CliError;
use super::output;
use crate::world::program::examine;

/// Say whether this machine can simulate programs, and what is missing if not
///
/// `run -r PROGRAM --virtual` and `explore -r PROGRAM` hold the processes of a program and answer their
/// system calls. Linux can do that, but containers often forbid it. Each thing that is needed is tried.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Exit codes: 0 programs can be simulated here, 1 something is missing.")]
pub(super) struct Args {}

/// Carries out the command.
pub(super) fn execute(Args {}: &Args) -> Result<Outcome, CliError> {
    let mut out = output::stdout();
    let checks = examine();
    for check in &checks {
        match &check.problem {
            None => writeln!(out, "ok       {}", check.what)?,
            Some(problem) => {
                writeln!(out, "missing  {}: {problem}", check.what)?;
                writeln!(out, "         {}", check.remedy)?;
            }
        }
    }
    let can = checks.iter().all(|check| check.problem.is_none());
    writeln!(out)?;
    if can {
        writeln!(out, "Programs can be simulated here: seedbed run all -r PROGRAM --virtual")?;
    } else {
        writeln!(
            out,
            "Programs cannot be simulated here. In real time they can be played: seedbed run all -r PROGRAM"
        )?;
    }
    out.flush()?;
    Ok(Outcome::of(can))
}
