//! The output of commands: reports on standard output, messages on standard error, and machine-readable reports.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::{Path, PathBuf};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use super::command::Words;
use super::error::CliError;
pub(super) use super::files::*;
use super::program::{columns, reworded};
pub(super) use crate::printable::plural;
use crate::report::compare::{Comparison, Pair};
use crate::report::{RunSummary, SuiteSummary, csv, json};

/// Standard output: buffered, and without colours unless it is a terminal that supports them.
pub(super) type Stdout = BufWriter<AutoStream<StdoutLock<'static>>>;

/// How many characters fit in a line of standard output, if it is a terminal.
pub(super) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// Standard output. Flush it: data left in the buffer at its end may be lost without an error.
pub(super) fn stdout() -> Stdout {
    BufWriter::new(AutoStream::auto(io::stdout().lock()))
}

/// One line on standard error about why the command ends.
pub(super) fn error(message: &impl ToString) {
    complain("error", AnsiColor::Red.on_default().bold(), &message.to_string());
}

/// One line on standard error with a warning.
pub(super) fn warning(message: &str) {
    complain("warning", AnsiColor::Yellow.on_default().bold(), message);
}

/// One line on standard error with a hint.
pub(super) fn note(message: &str) {
    complain("note", Style::new().bold(), message);
}

/// Notes about scenarios that are left out because a protocol does not serve their clients.
pub(super) fn left_out(reasons: &[String]) {
    reasons.iter().for_each(|reason| note(&format!("left out: {reason}")));
}

fn complain(kind: &str, style: Style, message: &str) {
    // If standard error cannot be written, there is no place for a message.
    let _ = writeln!(anstream::stderr(), "{style}{kind}:{style:#} {}", reworded(message));
}

/// The destinations of machine-readable reports.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// Write the result as JSON; `-` is standard output, in place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the result as CSV, a row for each run; `-` is standard output, in place of the text
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

impl ExportArgs {
    /// The given options, with their files.
    pub fn places(&self) -> Vec<(&'static str, &Path)> {
        let options = [("--json", &self.json), ("--csv", &self.csv)];
        options.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?))).collect()
    }
}

impl ExportArgs {
    /// The words of a command line with these options.
    pub fn words(&self, words: Words) -> Words {
        self.places().into_iter().fold(words, |words, (option, path)| words.output(option, Some(path)))
    }
}

/// The machine-readable reports that a command must write. A path that cannot be written is known before the first run.
#[derive(Debug)]
pub(super) struct Exports {
    exports: Vec<Export>,
}

#[derive(Debug)]
struct Export {
    format: Format,
    file: OutputFile,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Json,
    Csv,
}

/// The data to export.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report<'a> {
    One(&'a RunSummary),
    Many(&'a SuiteSummary),
    Comparison(&'a Comparison),
}

impl Exports {
    /// Checks the files; their content stays until there is something to write. `-` is standard output. Refuses a
    /// result that would replace one of the files that the command reads, or another result.
    pub fn open(args: &ExportArgs, inputs: &[&Path]) -> Result<Exports, CliError> {
        check(&args.places(), inputs)?;
        let mut exports = Vec::new();
        for (format, path) in [(Format::Json, &args.json), (Format::Csv, &args.csv)] {
            if let Some(path) = path {
                exports.push(Export { format, file: OutputFile::open(path)? });
            }
        }
        Ok(Exports { exports })
    }

    /// Whether standard output is free for text.
    pub fn leaves_stdout(&self) -> bool {
        !self.exports.iter().any(|export| export.file.is_stdout())
    }

    /// Writes all of them.
    pub fn write(self, report: Report<'_>, stdout: &mut Stdout) -> Result<(), CliError> {
        for Export { format, file } in self.exports {
            let mut writing = file.begin(stdout)?;
            let written = format.write(report, &mut writing);
            writing.finish(written)?;
        }
        Ok(())
    }
}

impl Format {
    fn write(self, report: Report<'_>, out: &mut impl Write) -> io::Result<()> {
        match (self, report) {
            (Format::Json, Report::One(run)) => json::write_run(out, run),
            (Format::Json, Report::Many(suite)) => json::write_suite(out, suite),
            (Format::Json, Report::Comparison(comparison)) => json::write_comparison(out, comparison),
            (Format::Csv, Report::One(run)) => csv::write(out, columns(), [run]),
            (Format::Csv, Report::Many(suite)) => csv::write(out, columns(), &suite.runs),
            (Format::Csv, Report::Comparison(comparison)) => {
                csv::write(out, columns(), comparison.pairs.iter().flat_map(Pair::runs))
            }
        }
    }
}
