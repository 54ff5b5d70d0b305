//! The outputs of commands: files, which are written whole or not at all ([`crate::files`]), and standard output. The rows
//! of a sweep have files that can be continued: see [`crate::report::sweep`].

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::CliError;
use super::output::Stdout;
use crate::files::{Unfinished, Way, empty, is_stdout};
pub(super) use crate::files::{is_same, probe, write_whole};

/// The same paths, borrowed.
pub(super) fn paths(paths: &[PathBuf]) -> Vec<&Path> {
    paths.iter().map(PathBuf::as_path).collect()
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

/// A file for writing, or standard output. The old content of the file stays until the new content is whole.
#[derive(Debug)]
pub(super) enum OutputFile {
    Stdout,
    File(PathBuf),
    /// Written in place: a device, a pipe, or a file in a folder where no file can be created.
    InPlace(PathBuf, File),
}

/// An output that is being written.
pub(super) enum Writing<'a> {
    Stdout(&'a mut Stdout),
    File(PathBuf, BufWriter<Unfinished>),
    InPlace(PathBuf, BufWriter<File>),
}

impl OutputFile {
    /// Checks that the file can be written, and keeps its content; `-` is standard output.
    pub fn open(path: &Path) -> Result<OutputFile, CliError> {
        if path == Path::new("-") || is_stdout(path) {
            return Ok(OutputFile::Stdout);
        }
        match probe(path).map_err(unwritable(path))? {
            Way::Replace => Ok(OutputFile::File(path.to_owned())),
            Way::InPlace => {
                let file = File::options().write(true).open(path).map_err(unwritable(path))?;
                Ok(OutputFile::InPlace(path.to_owned(), file))
            }
        }
    }

    /// Whether it is not a file.
    pub fn is_stdout(&self) -> bool {
        matches!(self, OutputFile::Stdout)
    }

    /// Begins the new content.
    pub fn begin(self, stdout: &mut Stdout) -> Result<Writing<'_>, CliError> {
        Ok(match self {
            OutputFile::Stdout => Writing::Stdout(stdout),
            OutputFile::InPlace(path, file) => {
                empty(&file).map_err(unwritable(&path))?;
                Writing::InPlace(path, BufWriter::new(file))
            }
            OutputFile::File(path) => {
                let mut unfinished = Unfinished::create(&path).map_err(unwritable(&path))?;
                unfinished.keep_in_a_panic();
                Writing::File(path, BufWriter::new(unfinished))
            }
        })
    }
}

impl Write for Writing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Writing::Stdout(out) => out.write(bytes),
            Writing::File(_, out) => out.write(bytes),
            Writing::InPlace(_, out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Writing::Stdout(out) => out.flush(),
            Writing::File(_, out) => out.flush(),
            Writing::InPlace(_, out) => out.flush(),
        }
    }
}

impl Writing<'_> {
    /// Ends the output, after everything was written or after an error.
    pub fn finish(mut self, written: io::Result<()>) -> Result<(), CliError> {
        let written = written.and_then(|()| self.flush());
        match self {
            Writing::Stdout(_) => written.map_err(CliError::Stdout),
            Writing::InPlace(path, _) => written.map_err(unwritable(&path)),
            Writing::File(path, out) => {
                let whole = written.and_then(|()| out.into_inner().map_err(io::IntoInnerError::into_error));
                whole.and_then(Unfinished::finish).map_err(unwritable(&path))
            }
        }
    }
}

/// As [`write_whole`], with the error that names the file.
pub(super) fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut dyn Write>) -> io::Result<()>,
) -> Result<(), CliError> {
    write_whole(path, write).map_err(unwritable(path))
}

/// The error that this file cannot be written.
pub(super) fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> CliError + '_ {
    |source| CliError::File { path: path.to_owned(), source }
}

/// As [`probe`], with the error that names the file.
pub(super) fn check_writable(path: &Path) -> Result<(), CliError> {
    probe(path).map(drop).map_err(unwritable(path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::panic::{self, AssertUnwindSafe};

    use super::*;

    /// The names in a folder, in order.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    fn begin<'a>(path: &Path, stdout: &'a mut Stdout) -> Writing<'a> {
        OutputFile::open(path).and_then(|file| file.begin(stdout)).expect("it can be written")
    }

    #[test]
    fn the_old_content_stays_until_the_new_content_is_whole() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("x");
        fs::write(&path, "old").expect("a file");
        let mut stdout = crate::cli::output::stdout();
        let read = || fs::read_to_string(&path).expect("a file");
        let mut writing = begin(&path, &mut stdout);
        writing.write_all(b"new").expect("room");
        writing.flush().expect("room");
        assert_eq!(read(), "old");
        assert!(writing.finish(Err(io::ErrorKind::StorageFull.into())).is_err());
        assert_eq!((read(), names(folder.path())), ("old".to_owned(), vec!["x".to_owned()]));
        let mut writing = begin(&path, &mut stdout);
        let written = writing.write_all(b"new");
        writing.finish(written).expect("room");
        assert_eq!((read(), names(folder.path())), ("new".to_owned(), vec!["x".to_owned()]));
    }

    #[test]
    fn output_written_before_a_panic_is_kept() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("x");
        let panics = || {
            let mut stdout = crate::cli::output::stdout();
            let mut writing = begin(&path, &mut stdout);
            writing.write_all(b"until here").expect("room");
            panic!("on purpose");
        };
        assert!(panic::catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(fs::read_to_string(&path).expect("a file"), "until here");
        assert_eq!(names(folder.path()), ["x"]);
    }
}
