//! `seedbed scenarios`: the files that come with the program.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::error::CliError;
use super::output::{self, plural};
use super::program::protocols;
use super::selection::ALL;
use crate::report::library as report;
use crate::scenario::library::{self, FOLDER, Place};

/// List the built-in scenarios, print one, or write them as files
///
/// The scenarios, matrices and repro files listed here are part of the program: every command takes
/// their names, in any folder. A file or folder of the same name is used instead of a built-in one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed scenarios                         what there is
  seedbed scenarios crash-3 > mine.json     a file to change, for `seedbed run mine.json`
  seedbed scenarios chaos harsh -o .        the files of two folders, written to ./chaos and ./harsh
  seedbed scenarios -o scenarios            all of them; `seedbed run all` then plays these files

Exit codes: 0 done, 2 bad usage or input.")]
pub(super) struct Args {
    /// Built-in files or folders
    #[arg(value_name = "NAME")]
    names: Vec<PathBuf>,

    /// Write them as files into this folder; all of them if none is named
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Replace files that are there and differ
    #[arg(long, requires = "output")]
    force: bool,
}

/// Carries out the command.
pub(super) fn execute(args: &Args) -> Result<Outcome, CliError> {
    let named = args.names.iter().map(|name| find(name)).collect::<Result<Vec<Place>, _>>()?;
    // As everywhere, `-` is standard output.
    if let Some(folder) = args.output.as_ref().filter(|folder| *folder != Path::new("-")) {
        return write(&named, folder, args.force);
    }
    let mut out = output::stdout();
    match &named[..] {
        [] => report::write_all(&mut out, protocols())?,
        [Place::BuiltIn(file)] => out.write_all(file.text.as_bytes())?,
        [Place::BuiltInFolder(folder)] => report::write_folder(&mut out, folder, protocols())?,
        _ => return Err(CliError::PrintsOne),
    }
    out.flush()?;
    Ok(Outcome::Correct)
}

/// The built-in file or folder of this name.
fn find(name: &Path) -> Result<Place, CliError> {
    let name = if name == Path::new(ALL) { Path::new(FOLDER) } else { name };
    library::find_built_in(name).ok_or_else(|| CliError::NotBuiltIn { name: name.to_owned() })
}

/// Writes what is named into a folder.
fn write(named: &[Place], folder: &Path, force: bool) -> Result<Outcome, CliError> {
    let files = library::write_files(named, folder, force)?;
    let files = plural(files as u64, "file", "files");
    output::note(&format!("{files} written to {}", crate::printable::printable(&folder.display().to_string())));
    Ok(Outcome::Correct)
}
