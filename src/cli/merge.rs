//! `seedbed merge`: the parts of a sweep that was shared out become one file again.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::Outcome;
use super::error::CliError;
use super::output::{self, Stdout};
use super::sweep::SummaryArgs;
use crate::report::digest::Digest;
use crate::report::rows::{Layout, Merge, MergeError, Part, Schema, read_line};

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

/// Every part is an open file, and the usual limit is low: raises it as far as the system allows.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If that is refused, opening one file too many tells so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Carries out the command.
pub(super) fn execute(args: &Args) -> Result<Outcome, CliError> {
    allow_many_files();
    let mut places = args.summary.places();
    places.extend(args.output.as_deref().map(|path| ("--output", path)));
    let inputs: Vec<&Path> = args.parts.iter().map(PathBuf::as_path).collect();
    output::check(&places, &inputs)?;
    args.summary.check()?;
    let merge = Merge::open(args.parts.iter().map(|path| open(path)).collect::<Result<_, _>>()?)?;
    let mut statistics = match merge.layout() {
        Layout::Rows => Some(Statistics::new(args, merge.header())),
        Layout::Details | Layout::JsonLines => None,
    };
    if let (None, Some(option)) = (&statistics, args.summary.first_option()) {
        return Err(CliError::NoRows { option });
    }
    let mut out = output::stdout();
    let watch = |line: &[u8]| statistics.as_mut().map_or(Ok(()), |statistics| statistics.add(line));
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    match args.output.as_deref() {
        Some(_) if to_stdout => merge.write(&mut out, watch).map_err(of_stdout)?,
        Some(path) => write_file(merge, path, watch)?,
        None => merge.write(&mut io::sink(), watch)?,
    }
    match statistics {
        Some(statistics) => statistics.finish(args, !to_stdout, &mut out),
        None => Ok(out.flush().map(|()| Outcome::Correct)?),
    }
}

fn open(path: &Path) -> Result<Part<BufReader<File>>, CliError> {
    let file = File::open(path).map_err(|source| CliError::Unreadable { path: path.to_owned(), source })?;
    Ok(Part::new(crate::printable::printable(&path.to_string_lossy()), BufReader::new(file)))
}

fn of_stdout(error: MergeError) -> CliError {
    match error {
        MergeError::Write(source) => CliError::Stdout(source),
        other => CliError::Merge(other),
    }
}

/// The whole, or nothing.
fn write_file(
    merge: Merge<BufReader<File>>,
    path: &Path,
    watch: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), CliError> {
    let mut refused = None;
    let written = output::write_file(path, |out| match merge.write(out, watch) {
        Ok(()) => Ok(()),
        Err(MergeError::Write(source)) => Err(source),
        Err(error) => {
            refused = Some(error);
            Err(io::ErrorKind::InvalidData.into())
        }
    });
    match refused {
        Some(error) => Err(CliError::Merge(error)),
        None => written,
    }
}

/// What is made of rows.
struct Statistics {
    schema: Schema,
    digest: Digest,
    rows: u64,
}

impl Statistics {
    fn new(args: &Args, header: &[u8]) -> Statistics {
        let schema =
            read_line(header).and_then(|record| Schema::read_header(&record).ok()).expect("the header was read before");
        Statistics { digest: args.summary.digest(&schema), schema, rows: 0 }
    }

    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        self.rows += 1;
        let record = read_line(line).ok_or("is no line of CSV")?;
        self.digest.add(&self.schema.read_csv(&record, self.rows).map_err(|error| error.to_string())?);
        Ok(())
    }

    fn finish(mut self, args: &Args, with_text: bool, out: &mut Stdout) -> Result<Outcome, CliError> {
        self.digest.finish();
        args.summary.write(&self.digest, with_text, |_| None, out)?;
        Ok(Outcome::of(self.digest.failed() == 0))
    }
}
