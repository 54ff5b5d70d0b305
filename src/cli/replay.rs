//! `seedbed replay`: runs what a repro file holds, and says whether it fails as it did.

use std::io::Write;
use std::path::PathBuf;

use super::Outcome;
use super::command::quoted_path;
use super::error::CliError;
use super::output;
use super::repro;

/// Run a repro file again, and say whether verdict and trace are the same
///
/// A repro file holds everything that decides a run: scenario, seed, protocol and its parameters. It
/// also says what was found, and the hash of the run's trace. docs/output.md lists its keys.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
Examples:
  seedbed replay scenarios/repros/figure-8.json

Exit codes: 0 the same findings and the same trace as the file says, 1 not so, 2 bad usage or input."
)]
pub(super) struct Args {
    /// The repro file
    #[arg(value_name = "REPRO")]
    file: PathBuf,
}

/// Carries out the command.
pub(super) fn execute(args: &Args) -> Result<Outcome, CliError> {
    let repro = repro::load(&args.file)?;
    let mut out = output::stdout();
    writeln!(out, "seedbed replay {}\n", quoted_path(&args.file))?;
    repro::write_case(&mut out, &repro.case)?;
    out.flush()?;
    let trial = repro.case.attempt();
    writeln!(out)?;
    if !trial.passed() {
        repro::write_findings(&mut out, &trial)?;
        writeln!(out)?;
    }
    let (same, text) = repro::compare(&repro, &trial);
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(Outcome::of(same))
}
