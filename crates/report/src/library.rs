//! The list of the built-in files.

use std::io::{self, Write};

use super::describe;
use seedbed_core::lab::{Protocols, Repro};
use seedbed_core::scenario::library::{self, BuiltIn, FILES, Kind};
use seedbed_core::scenario::{Scenario, builtin_matrix};

/// Writes all folders, and how to see a file.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_all(out: &mut impl Write, protocols: &Protocols) -> io::Result<()> {
    for folder in library::folders() {
        write_folder(out, folder, protocols)?;
        writeln!(out)?;
    }
    writeln!(out, "`seedbed scenarios NAME` prints a file, `seedbed scenarios NAME -o DIR` writes it to a folder.")
}

/// Writes what a folder is for, and a line for each of its files. These are the protocols of its repro files.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_folder(out: &mut impl Write, folder: &str, protocols: &Protocols) -> io::Result<()> {
    writeln!(out, "{}", heading(folder))?;
    let width = FILES.iter().map(|file| file.name().len()).max().unwrap_or(0);
    for file in library::files_in(folder) {
        writeln!(out, "  {:width$}  {}", file.name(), summary(file, protocols))?;
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
fn summary(file: &BuiltIn, protocols: &Protocols) -> String {
    match file.kind() {
        Kind::Scenario => Scenario::builtin(file.name())
            .map(|scenario| format!("{} replicas, {}", scenario.replicas, in_sentence(&describe(&scenario)))),
        Kind::Matrix => builtin_matrix(file.name()).map(|matrix| format!("for {} replicas", matrix.rows().count())),
        Kind::Repro => Repro::parse(file.path, file.text, protocols).ok().map(|loaded| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::subjects;

    #[test]
    fn every_file_that_is_built_in_is_listed_once_with_what_it_holds() {
        let mut out = Vec::new();
        write_all(&mut out, &subjects::builtin()).expect("memory");
        let text = String::from_utf8(out).expect("text");
        for file in FILES {
            let lines: Vec<&str> =
                text.lines().filter(|line| line.split_whitespace().next() == Some(file.name())).collect();
            let [line] = lines[..] else { panic!("{}: {lines:?}", file.path) };
            assert!(line.contains(" replicas"), "{line}");
        }
    }
}
