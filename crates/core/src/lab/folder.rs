//! A folder of repro files, one for each case that failed.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Case, Protocols, Repro};
use crate::files::write_whole;
use crate::hash::StableHasher;

/// The folder unless told otherwise.
pub const REPROS: &str = "repros";

/// A folder in which failed runs leave repro files.
#[derive(Clone, Debug)]
pub struct ReproFolder {
    directory: PathBuf,
    protocols: Protocols,
}

impl ReproFolder {
    /// The folder at this path, which need not be there yet, for cases of these protocols.
    pub fn new(directory: impl Into<PathBuf>, protocols: Protocols) -> ReproFolder {
        ReproFolder { directory: directory.into(), protocols }
    }

    /// Its path.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a repro and returns its path. The name says which scenario, seed, protocol and broken rule it is of, and what
    /// is changed in the scenario, which `label` says. An older repro of all these is replaced, but never left half
    /// written; any other file stays, and a number makes the name new.
    ///
    /// # Errors
    /// If the file cannot be written: its path, and why.
    pub fn write(&self, repro: &Repro, label: &str) -> Result<PathBuf, (PathBuf, io::Error)> {
        let stem = stem(&repro.case, label, &self.protocols);
        let path = place(&self.directory, &stem, &self.protocols, |old| is_of(&repro.case, &old.case));
        let written = fs::create_dir_all(&self.directory).and_then(|()| write_whole(&path, |out| repro.write(out)));
        written.map(|()| path.clone()).map_err(|error| (path, error))
    }

    /// Where an earlier attempt has written this case, if it has.
    pub fn find(&self, case: &Case, label: &str) -> Option<PathBuf> {
        let stem = stem(case, label, &self.protocols);
        let path = place(&self.directory, &stem, &self.protocols, |old| is_of(case, &old.case));
        Repro::load(&path, &self.protocols).is_ok_and(|old| old.repro.case == *case).then_some(path)
    }
}

/// What is written of a case that must not be taken for another.
fn is_of(case: &Case, other: &Case) -> bool {
    let key = |case: &Case| (case.protocol.name(), case.protocol.broken(), case.seed);
    case.scenario.name == other.scenario.name && key(case) == key(other)
}

/// The name of a case's file, without its ending. The label says what is special about its scenario.
fn stem(case: &Case, label: &str, protocols: &Protocols) -> String {
    let mut stem = changed_name(&case.scenario.name, label);
    // Scenarios that are drawn are named after their seed.
    if stem != format!("explore-{}", case.seed) {
        let _ = write!(stem, "-{}", case.seed);
    }
    if case.protocol.name() != protocols.default_one().name() {
        let _ = write!(stem, "-{}", plain(&case.protocol.short_name()));
    }
    if let Some(rule) = case.protocol.broken() {
        let _ = write!(stem, "-{rule}");
    }
    stem
}

/// A scenario's name and what is changed in it, as a part of a file's name.
pub fn changed_name(scenario: &str, label: &str) -> String {
    let join = if label.is_empty() { "" } else { "-" };
    let name = format!("{scenario}{join}{label}");
    let mut stem = plain(&name);
    if !label.is_empty() && name.chars().count() > CHARS_MAX {
        // What is cut off may be all that tells two cells apart.
        let _ = write!(stem, "-{:016x}", StableHasher::of(label));
    }
    stem
}

/// A file of this name that is not there yet, or is a repro that may be replaced. If others have the name, the next has
/// the number 2.
pub fn place(folder: &Path, stem: &str, protocols: &Protocols, replaceable: impl Fn(&Repro) -> bool) -> PathBuf {
    let numbers = std::iter::once(String::new()).chain((2_u64..).map(|number| format!("-{number}")));
    let mut paths = numbers.map(|number| folder.join(format!("{stem}{number}.json")));
    let is_free = |path: &PathBuf| match fs::symlink_metadata(path) {
        Ok(file) => file.is_file() && Repro::load(path, protocols).is_ok_and(|old| replaceable(&old.repro)),
        // If it cannot be looked at, writing it tells why.
        Err(_) => true,
    };
    paths.find(is_free).expect("there are more names than files")
}

/// The most characters of a scenario in a file's name.
const CHARS_MAX: usize = 100;

/// A name that is a file's name everywhere.
pub fn plain(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .take(CHARS_MAX)
        .collect();
    if plain.trim_matches('.').is_empty() { "scenario".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects;

    /// A repro without findings, of a scenario of this name.
    fn repro(name: &str, seed: u64) -> Repro {
        let mut case = crate::lab::explore::draw(&subjects::raft(), seed);
        case.scenario.name = name.to_owned();
        case.protocol = subjects::raft();
        Repro::new(case, None, Vec::new())
    }

    #[test]
    fn a_files_name_says_what_decides_the_run_once_each() {
        let mut case = repro("crash 3", 7).case;
        assert_eq!(stem(&case, "", &subjects::builtin()), "crash_3-7");
        case.protocol = subjects::builtin().find("broadcast").expect("it is built in");
        assert_eq!(stem(&case, "", &subjects::builtin()), "crash_3-7-broadcast");
        let mut case = repro("explore-17", 17).case;
        case.protocol = case.protocol.without("vote-once").expect("a rule");
        assert_eq!(stem(&case, "", &subjects::builtin()), "explore-17-vote-once");
        assert_eq!(stem(&repro("a", 7).case, "drops=0.1", &subjects::builtin()), "a-drops_0.1-7");
        let long = |last: &str| stem(&repro("a", 7).case, &format!("{}{last}", "x".repeat(100)), &subjects::builtin());
        assert_ne!(long("1"), long("2"), "what is cut off counts");
    }

    #[test]
    fn a_repro_replaces_one_of_the_same_case_and_no_other_file() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let repros = ReproFolder::new(folder.path().join("a/b"), subjects::builtin());
        let write = |repro: &Repro| {
            let path = repros.write(repro, "").expect("it can be written");
            assert_eq!(Repro::load(&path, &subjects::builtin()).expect("a repro").repro, *repro);
            path.file_name().expect("a name").to_str().expect("text").to_owned()
        };
        assert_eq!(write(&repro("a b", 7)), "a_b-7.json");
        assert_eq!(write(&repro("a_b", 7)), "a_b-7-2.json", "another scenario");
        assert_eq!(write(&repro("a b", 7)), "a_b-7.json");
        assert_eq!(write(&repro("a_b", 7)), "a_b-7-2.json");
        fs::write(repros.directory().join("c-7.json"), "{}").expect("a file");
        assert_eq!(write(&repro("c", 7)), "c-7-2.json", "not a repro");
        assert_eq!(fs::read_to_string(repros.directory().join("c-7.json")).expect("a file"), "{}");
        assert_eq!(fs::read_dir(repros.directory()).expect("a folder").count(), 4, "nothing unfinished is left");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_unfinished() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("there"), "a file").expect("a file");
        let repros = ReproFolder::new(folder.path().join("there"), subjects::builtin());
        let (path, _) = repros.write(&repro("a", 1), "").expect_err("a file is no folder");
        assert_eq!(path, folder.path().join("there/a-1.json"));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn any_name_becomes_the_name_of_a_file() {
        assert_eq!(plain("crash-3"), "crash-3");
        assert_eq!(plain("../my file"), ".._my_file");
        assert_eq!(plain(".."), "scenario");
        assert_eq!(plain(""), "scenario");
        assert_eq!(plain(&"x".repeat(1_000)).len(), 100);
    }
}
