//! Where commands write: standard output, standard error and files.

use std::fs::{self, File};
use std::io::{self, BufWriter, StdoutLock, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use super::error::CliError;
use crate::report::compare::{Comparison, Pair};
use crate::report::{RunSummary, SuiteSummary, csv, json};

/// Standard output: buffered, and without colours unless it is a terminal that wants them.
pub(super) type Stdout = BufWriter<AutoStream<StdoutLock<'static>>>;

/// Standard output. Flush it: what is left in the buffer at its end may be lost without an error.
pub(super) fn stdout() -> Stdout {
    BufWriter::new(AutoStream::auto(io::stdout().lock()))
}

/// One line on standard error about why the command ends.
pub(super) fn error(message: &impl ToString) {
    complain("error", AnsiColor::Red.on_default().bold(), &message.to_string());
}

/// One line on standard error about something odd.
pub(super) fn warning(message: &str) {
    complain("warning", AnsiColor::Yellow.on_default().bold(), message);
}

/// One line on standard error that helps.
pub(super) fn note(message: &str) {
    complain("note", Style::new().bold(), message);
}

fn complain(kind: &str, style: Style, message: &str) {
    // If standard error cannot be written, nobody can be told.
    let _ = writeln!(anstream::stderr(), "{style}{kind}:{style:#} {message}");
}

/// Where machine-readable reports are to go.
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
    /// The options that are there, with their files.
    pub fn places(&self) -> Vec<(&'static str, &Path)> {
        let options = [("--json", &self.json), ("--csv", &self.csv)];
        options.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?))).collect()
    }
}

/// The machine-readable reports that a command is asked for. Their files are created before the first run, so that a
/// path that cannot be written is known at once.
#[derive(Debug)]
pub(super) struct Exports {
    exports: Vec<Export>,
}

#[derive(Debug)]
struct Export {
    format: Format,
    file: OutputFile,
}

/// A file that is to be written, or standard output. What is in the file stays until there is something to write.
#[derive(Debug)]
pub(super) struct OutputFile {
    /// None is standard output.
    file: Option<(PathBuf, File)>,
}

/// An output that is being written. Flush it.
pub(super) struct Writing<'a> {
    /// Where to write.
    pub out: Box<dyn Write + 'a>,
    path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Json,
    Csv,
}

/// Whether two paths lead to one place, however they are written: also if they are two names of one file. Of a file
/// that is not there yet the folder counts.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let named = |folder: PathBuf| path.file_name().map(|name| folder.join(name));
        path.canonicalize().ok().or_else(|| named(folder(path).canonicalize().ok()?))
    };
    let file = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    one == other
        || (place(one).is_some() && place(one) == place(other))
        || (file(one).is_some() && file(one) == file(other))
}

/// The same paths, borrowed.
pub(super) fn paths(paths: &[PathBuf]) -> Vec<&Path> {
    paths.iter().map(PathBuf::as_path).collect()
}

/// The folder that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// So many of them.
pub(super) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Refuses options whose files are inputs of the command or the same as another option's.
pub(super) fn check(options: &[(&'static str, &Path)], inputs: &[&Path]) -> Result<(), CliError> {
    for (place, &(option, path)) in options.iter().enumerate() {
        if inputs.iter().any(|input| is_same(input, path)) {
            return Err(CliError::Overwrites { path: path.to_owned() });
        }
        if let Some(&(earlier, _)) = options[..place].iter().find(|(_, other)| is_same(other, path)) {
            return Err(CliError::SamePlace { one: earlier, other: option });
        }
    }
    Ok(())
}

impl OutputFile {
    /// Creates the file, and leaves what is in it; `-` is standard output.
    pub fn create(path: &Path) -> Result<OutputFile, CliError> {
        if path == Path::new("-") {
            return Ok(OutputFile { file: None });
        }
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|source| CliError::File { path: path.to_owned(), source })?;
        Ok(OutputFile { file: Some((path.to_owned(), file)) })
    }

    /// Whether it is not a file.
    pub fn is_stdout(&self) -> bool {
        self.file.is_none()
    }

    /// Takes out what is in the file.
    pub fn begin(self, stdout: &mut Stdout) -> Writing<'_> {
        match self.file {
            None => Writing { out: Box::new(stdout), path: None },
            Some((path, file)) => {
                // Only regular files have a length.
                let _ = file.set_len(0);
                Writing { out: Box::new(BufWriter::new(file)), path: Some(path) }
            }
        }
    }
}

impl Writing<'_> {
    /// Ends it, after everything was written or an error.
    pub fn finish(mut self, written: io::Result<()>) -> Result<(), CliError> {
        written.and_then(|()| self.out.flush()).map_err(|source| match self.path {
            Some(path) => CliError::File { path, source },
            None => CliError::Stdout(source),
        })
    }
}

/// A file that takes the place of another one once it is whole; else it is removed.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    /// Creates one in the folder of the file that it is to be.
    fn create(path: &Path) -> io::Result<Unfinished> {
        let mut number = 1_u64;
        loop {
            let path = folder(path).join(format!(".unfinished-{number}"));
            match File::create_new(&path) {
                Ok(file) => return Ok(Unfinished { path, file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After an error; otherwise it has another name by now. If it cannot be removed, it stays.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes a file under another name first, so that there is a whole one or none.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> io::Result<()> {
    if is_special(path) {
        // A device or a pipe: it is written to and not replaced.
        let mut file = File::options().write(true).open(path)?;
        let mut out = BufWriter::new(&mut file);
        return write(&mut out).and_then(|()| out.flush());
    }
    let mut unfinished = Unfinished::create(path)?;
    let mut out = BufWriter::new(&mut unfinished.file);
    write(&mut out).and_then(|()| out.flush())?;
    drop(out);
    fs::rename(&unfinished.path, path)
}

/// As [`write_whole`], with the error that names the file.
pub(super) fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), CliError> {
    write_whole(path, write).map_err(|source| CliError::File { path: path.to_owned(), source })
}

/// As [`probe`], with the error that names the file.
pub(super) fn check_writable(path: &Path) -> Result<(), CliError> {
    probe(path).map_err(|source| CliError::File { path: path.to_owned(), source })
}

/// Whether it is there and neither a file nor a folder: a device or a pipe.
pub(super) fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Whether [`write_whole`] can write this file, as far as that is known before.
pub(super) fn probe(path: &Path) -> io::Result<()> {
    if path == Path::new("-") {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "standard output is not for this; allowed is a file"));
    }
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if is_special(path) {
        // To open a pipe would wait for its reader.
        return Ok(());
    }
    if path.exists() {
        File::options().write(true).open(path)?;
    }
    Unfinished::create(path).map(drop)
}

/// What there is to export.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report<'a> {
    One(&'a RunSummary),
    Many(&'a SuiteSummary),
    Comparison(&'a Comparison),
}

impl Exports {
    /// Creates the files; what is in them stays until there is something to write. `-` is standard output. Refuses, and
    /// touches nothing, if that would destroy one of the files that the command reads, or if two are the same.
    pub fn open(args: &ExportArgs, inputs: &[&Path]) -> Result<Exports, CliError> {
        check(&args.places(), inputs)?;
        let mut exports = Vec::new();
        for (format, path) in [(Format::Json, &args.json), (Format::Csv, &args.csv)] {
            if let Some(path) = path {
                exports.push(Export { format, file: OutputFile::create(path)? });
            }
        }
        Ok(Exports { exports })
    }

    /// Whether standard output is free for people.
    pub fn leaves_stdout(&self) -> bool {
        !self.exports.iter().any(|export| export.file.is_stdout())
    }

    /// Writes all of them.
    pub fn write(self, report: Report<'_>, stdout: &mut Stdout) -> Result<(), CliError> {
        for Export { format, file } in self.exports {
            let mut writing = file.begin(stdout);
            let written = format.write(report, &mut writing.out);
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
            (Format::Csv, Report::One(run)) => csv::write(out, [run]),
            (Format::Csv, Report::Many(suite)) => csv::write(out, &suite.runs),
            (Format::Csv, Report::Comparison(comparison)) => {
                csv::write(out, comparison.pairs.iter().flat_map(Pair::runs))
            }
        }
    }
}
