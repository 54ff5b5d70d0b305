//! `seedbed merge`: the parts of a distributed sweep become one file again.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::Outcome;
use super::error::CliError;
use super::output;
use super::sweep::SummaryArgs;
use crate::report::rows::{Merge, MergeError};

/// Put the parts of a sweep together: the result is, byte for byte, the file of the undivided sweep
///
/// Parts are the files of `seedbed sweep --shard`, all of one kind: rows, lines of JSON, latencies or
/// messages. Parts that do not belong together or overlap are refused, and so is a set with a part
/// missing. For rows, the statistics are shown as at the end of a sweep. You can also give one complete
/// file, to show or draw its statistics again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed merge part-*.csv -o rows.csv --plot drops.svg
  seedbed merge rows.csv --plot more.svg --metrics elections,failover_max

Exit codes: 0 all runs passed, 1 a run failed, 2 bad usage or input.")]
pub(super) struct Args {
    /// The parts, in any order
    #[arg(value_name = "PARTS", required = true)]
    parts: Vec<PathBuf>,

    /// Where to write the whole; `-` is standard output, in place of the text
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    summary: SummaryArgs,
}

/// Carries out the command.
pub(super) fn execute(args: &Args) -> Result<Outcome, CliError> {
    allow_many_files();
    let mut places = args.summary.places();
    places.extend(args.output.as_deref().map(|path| ("--output", path)));
    output::check(&places, &output::paths(&args.parts))?;
    args.summary.check()?;
    let merge = Merge::open_files(&args.parts)?;
    let mut digest = merge.schema().map(|schema| args.summary.digest(schema)).transpose()?;
    if let (None, Some(option)) = (&digest, args.summary.first_option()) {
        return Err(CliError::NoRows { option });
    }
    let mut out = output::stdout();
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    match args.output.as_deref() {
        Some(_) if to_stdout => merge.write(&mut out, digest.as_mut()).map_err(unwritten(CliError::Stdout))?,
        Some(path) => merge.write_file(path, digest.as_mut()).map_err(unwritten(output::unwritable(path)))?,
        None => merge.write(&mut io::sink(), digest.as_mut())?,
    }
    match digest {
        Some(digest) => {
            args.summary.write(&digest, !to_stdout, |_| None, &mut out)?;
            Ok(Outcome::of(digest.failed() == 0))
        }
        None => Ok(out.flush().map(|()| Outcome::Correct)?),
    }
}

/// Every part is an open file, and the usual limit is low: raises it as far as the system allows.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If the system refuses this, opening the first file beyond the limit reports it.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The error of a result that cannot be written names its destination.
fn unwritten(named: impl FnOnce(io::Error) -> CliError) -> impl FnOnce(MergeError) -> CliError {
    |error| match error {
        MergeError::Write(source) => named(source),
        other => CliError::Merge(other),
    }
}
