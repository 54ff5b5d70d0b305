//! `seedbed scenarios`: the files that come with the program.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Outcome;
use super::error::CliError;
use super::output::{self, plural};
use super::program::protocols;
use super::selection::ALL;
use crate::lab::Repro;
use crate::report::describe;
use crate::scenario::library::{self, BuiltIn, FILES, FOLDER, Kind, Place};
use crate::scenario::{Scenario, builtin_matrix};

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
    let mut named = Vec::new();
    for name in &args.names {
        named.push((name, find(name)?));
    }
    // As everywhere, `-` is standard output.
    if let Some(folder) = args.output.as_ref().filter(|folder| *folder != Path::new("-")) {
        return write(&named, folder, args.force);
    }
    let mut out = output::stdout();
    match &named[..] {
        [] => write_list(&mut out, &library::folders())?,
        [(_, Place::BuiltIn(file))] => out.write_all(file.text.as_bytes())?,
        [(_, Place::BuiltInFolder(folder))] => write_folder(&mut out, folder)?,
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

/// Writes files into a folder, with the folders that they are in. Nothing is written if a file would be replaced.
fn write(named: &[(&PathBuf, Place)], folder: &Path, force: bool) -> Result<Outcome, CliError> {
    let is_named = |file: &&BuiltIn| {
        named.is_empty()
            || named.iter().any(|(_, place)| match place {
                Place::BuiltIn(other) => other.path == file.path,
                Place::BuiltInFolder(folder) => *folder == file.folder(),
                Place::File(_) | Place::Folder(_) => false,
            })
    };
    let mut todo = Vec::new();
    for file in FILES.iter().filter(is_named) {
        let path = folder.join(file.path);
        match fs::read(&path) {
            Ok(old) if old == file.text.as_bytes() => {}
            Ok(_) if !force => return Err(CliError::Differs { path }),
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(CliError::Unreadable { path, source });
            }
            Ok(_) | Err(_) => todo.push((path, file)),
        }
    }
    for (path, file) in &todo {
        let made = fs::create_dir_all(output::folder(path));
        made.map_err(|source| CliError::File { path: path.clone(), source })?;
        output::write_file(path, |out| out.write_all(file.text.as_bytes()))?;
    }
    let files = plural(todo.len() as u64, "file", "files");
    output::note(&format!("{files} written to {}", crate::printable::printable(&folder.display().to_string())));
    Ok(Outcome::Correct)
}

fn write_list(out: &mut impl Write, folders: &[&str]) -> io::Result<()> {
    for folder in folders {
        write_folder(out, folder)?;
        writeln!(out)?;
    }
    writeln!(out, "`seedbed scenarios NAME` prints a file, `seedbed scenarios NAME -o DIR` writes it to a folder.")
}

/// Writes what a folder is for, and a line for each of its files.
fn write_folder(out: &mut impl Write, folder: &str) -> io::Result<()> {
    writeln!(out, "{}", heading(folder))?;
    let width = FILES.iter().map(|file| file.name().len()).max().unwrap_or(0);
    for file in library::files_in(folder) {
        writeln!(out, "  {:width$}  {}", file.name(), summary(file))?;
    }
    Ok(())
}

/// What the files of a folder are for.
fn heading(folder: &str) -> String {
    match folder {
        "" => "The course's scenarios (`seedbed run all` plays all of them):".to_owned(),
        "chaos" => "Links that lose messages (`seedbed run chaos`):".to_owned(),
        "examples" => "Examples to begin with:".to_owned(),
        "field" => "After public reports of Raft bugs, each for one rule (`seedbed run field`):".to_owned(),
        "harsh" => "Harder than the course (`seedbed run harsh`):".to_owned(),
        "matrices" => "Connectivity matrices, for --matrix and `seedbed chaos upload`:".to_owned(),
        "repros" => "Repro files, for `seedbed replay` and `seedbed shrink`:".to_owned(),
        other => format!("{other}:"),
    }
}

/// What a file holds, in a few words.
fn summary(file: &BuiltIn) -> String {
    match file.kind() {
        Kind::Scenario => Scenario::builtin(file.name())
            .map(|scenario| format!("{} replicas, {}", scenario.replicas, in_sentence(&describe(&scenario)))),
        Kind::Matrix => builtin_matrix(file.name()).map(|matrix| format!("for {} replicas", matrix.rows().count())),
        Kind::Repro => Repro::parse(file.path, file.text, protocols()).ok().map(|loaded| {
            let case = loaded.repro.case;
            let protocol = match case.protocol.broken() {
                Some(rule) => format!("{} without {rule}", case.protocol),
                None => case.protocol.to_string(),
            };
            format!("{} replicas, {protocol}", case.scenario.replicas)
        }),
    }
    .unwrap_or_default()
}

/// A text that goes on after a comma.
fn in_sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
