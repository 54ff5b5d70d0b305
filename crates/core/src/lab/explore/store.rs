//! A corpus in a folder: each case is a repro file, so `seedbed replay` runs it, and any repro file may be put there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::learn::{Choice, Learner, Origin};
use crate::files::write_whole;
use crate::hash::StableHasher;
use crate::lab::{Case, LoadedRepro, Protocol, Protocols, Repro};
use crate::scenario::ScenarioError;

/// Why a corpus cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file is no case.
    #[error(transparent)]
    Case(#[from] ScenarioError),
    /// A case belongs to another protocol.
    #[error("{}: is a case of {found}; allowed is one of {wanted}", path.display())]
    Protocol {
        /// The file.
        path: PathBuf,
        /// The protocol of the case.
        found: String,
        /// The protocol that is explored.
        wanted: String,
    },
    /// The folder, or a file in it, cannot be read or written.
    #[error("{}: cannot be {verb}: {source}", path.display())]
    Folder {
        /// The folder or the file.
        path: PathBuf,
        /// What cannot be done with it.
        verb: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A folder with a corpus.
#[derive(Clone, Debug)]
pub struct CorpusFolder {
    directory: PathBuf,
    protocols: Protocols,
}

impl CorpusFolder {
    /// The folder at this path, which need not be there yet, for cases of these protocols.
    pub fn new(directory: impl Into<PathBuf>, protocols: Protocols) -> CorpusFolder {
        CorpusFolder { directory: directory.into(), protocols }
    }

    /// Its path.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The cases of the folder in the order of their file names, for a protocol or a mutant of it; none if there is no such
    /// folder. Files that are not named `*.json` are skipped. `warn` is told of each key that is ignored because it means
    /// nothing.
    ///
    /// # Errors
    /// If the folder or a file cannot be read, a file is no repro file, or it belongs to another protocol.
    pub fn read(&self, protocol: &Protocol, mut warn: impl FnMut(&str)) -> Result<Vec<Choice>, CorpusError> {
        self.files()?.into_iter().map(|path| self.case(path, protocol, &mut warn)).collect()
    }

    fn case(&self, path: PathBuf, protocol: &Protocol, warn: &mut impl FnMut(&str)) -> Result<Choice, CorpusError> {
        let LoadedRepro { repro, warnings } = Repro::load(&path, &self.protocols)?;
        warnings.iter().for_each(|warning| warn(warning));
        let Case { scenario, seed, protocol: own } = repro.case;
        if own.name() != protocol.name() {
            let (found, wanted) = (own.name().to_owned(), protocol.name().to_owned());
            return Err(CorpusError::Protocol { path, found, wanted });
        }
        let protocol = protocol.with_parameters(&own.parameters(), |_| true);
        Ok(Choice { case: Case { scenario, seed, protocol }, origin: Origin::Kept { path } })
    }

    /// The files, in the order of their names.
    fn files(&self) -> Result<Vec<PathBuf>, CorpusError> {
        let unreadable = |source| CorpusError::Folder { path: self.directory.clone(), verb: "read", source };
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Makes the folder if need be, and makes sure that files can be written into it.
    ///
    /// # Errors
    /// If they cannot.
    pub fn check_writable(&self) -> Result<(), CorpusError> {
        let path = self.directory.join(".seedbed-was-here");
        fs::create_dir_all(&self.directory).map_err(failed(&self.directory, "written"))?;
        fs::write(&path, b"").map_err(failed(&path, "written"))?;
        fs::remove_file(&path).map_err(failed(&path, "removed"))
    }

    /// Writes few cases of a learner that together meet all edges that any of its cases meets, and returns how many were
    /// written. Those that were written before and are not among them are removed, if the learner knows all cases of the
    /// folder, had to drop none, and learned from the sound protocol.
    ///
    /// # Errors
    /// If something cannot be written or removed.
    pub fn write(&self, learner: &Learner, knows_all: bool) -> Result<usize, CorpusError> {
        let replaces = knows_all && !learner.has_retired() && learner.protocol().broken().is_none();
        let mut files = BTreeMap::new();
        for entry in learner.smallest_corpus() {
            let mut text = Vec::new();
            Repro::new(entry.case.clone(), entry.trace, entry.findings.clone())
                .write(&mut text)
                .expect("memory can be written to");
            files.insert(self.directory.join(name_of(&text)), text);
        }
        fs::create_dir_all(&self.directory).map_err(failed(&self.directory, "written"))?;
        for (path, text) in files.iter().filter(|(path, _)| !path.exists()) {
            write_whole(path, |out| io::Write::write_all(out, text)).map_err(failed(path, "written"))?;
        }
        // What takes their place is there now.
        for old in self.files()?.into_iter().filter(|path| replaces && !files.contains_key(path) && is_ours(path)) {
            fs::remove_file(&old).map_err(failed(&old, "removed"))?;
        }
        Ok(files.len())
    }
}

/// The error that something cannot be done with a folder or a file.
fn failed(path: &Path, verb: &'static str) -> impl FnOnce(io::Error) -> CorpusError {
    let path = path.to_owned();
    move |source| CorpusError::Folder { path, verb, source }
}

/// The name that a case's file has: the hash of its text.
fn name_of(text: &Vec<u8>) -> String {
    format!("{:016x}.json", StableHasher::of(text))
}

/// Whether a file is as [`CorpusFolder::write`] has written it.
fn is_ours(path: &Path) -> bool {
    let text = fs::read(path).unwrap_or_default();
    path.file_name().is_some_and(|name| *name == *name_of(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::subject;
    use crate::lab::tests::odd::Odd;
    use crate::subjects;

    fn learner(seeds: u64) -> Learner {
        let mut learner = Learner::new(subjects::raft());
        for seed in 0..seeds {
            let choice = learner.choose(seed);
            let (trial, met) = choice.case.attempt_tracked();
            learner.learn(&choice, &trial, met);
        }
        learner
    }

    fn folder(directory: &Path) -> CorpusFolder {
        CorpusFolder::new(directory.join("corpus"), subjects::builtin())
    }

    fn read(folder: &CorpusFolder, protocol: &Protocol) -> Result<Vec<Choice>, CorpusError> {
        folder.read(protocol, |warning| panic!("{warning}"))
    }

    #[test]
    fn what_is_written_meets_all_edges_again_with_fewer_cases() {
        let (directory, learner) = (tempfile::tempdir().expect("a folder"), learner(640));
        let folder = folder(directory.path());
        let written = folder.write(&learner, true).expect("it can be written");
        assert!(written < learner.cases(), "{written} of {}", learner.cases());
        let mutant = subjects::raft().without("vote-once").expect("a rule");
        let kept = read(&folder, &subjects::raft()).expect("it can be read");
        assert_eq!(kept.len(), written);
        let mut again = Learner::new(subjects::raft());
        for choice in kept {
            let (trial, met) = choice.case.attempt_tracked();
            again.learn(&choice, &trial, met);
        }
        again.end_round();
        assert_eq!(again.edges(), learner.edges());
        let broken = read(&folder, &mutant).expect("it can be read");
        assert!(broken.iter().all(|choice| choice.case.protocol.broken() == Some("vote-once")));
        assert!(folder.write(&again, true).expect("it can be written") <= written);
    }

    #[test]
    fn only_its_own_files_are_removed() {
        let directory = tempfile::tempdir().expect("a folder");
        let folder = folder(directory.path());
        folder.write(&learner(128), true).expect("it can be written");
        let path = |name: &str| directory.path().join("corpus").join(name);
        let old = folder.files().expect("files");
        let own = [path("0123456789abcdef.json"), path("mine.json"), path("notes.txt")];
        for own in &own {
            fs::copy(&old[0], own).expect("a copy");
        }
        folder.write(&Learner::new(subjects::raft()), false).expect("it can be written");
        assert!(old.iter().all(|old| old.exists()), "a learner that does not know them removes none");
        folder.write(&Learner::new(subjects::raft()), true).expect("it can be written");
        assert!(own.iter().all(|own| own.exists()) && !old.iter().any(|old| old.exists()));
    }

    #[test]
    fn files_whose_edges_no_other_case_meets_any_more_stay() {
        let directory = tempfile::tempdir().expect("a folder");
        let (folder, mut all) = (folder(directory.path()), learner(128));
        folder.write(&all, true).expect("it can be written");
        let old = folder.files().expect("files");
        folder.write(&Learner::new(subjects::raft().without("vote-once").expect("a rule")), true).expect("a mutant");
        assert!(old.iter().all(|old| old.exists()), "what a mutant has learned takes no place of a sound case");
        all.retire(16);
        folder.write(&all, true).expect("it can be written");
        assert!(old.iter().all(|old| old.exists()), "some of them were dropped");
    }

    #[test]
    fn keys_that_mean_nothing_are_named() {
        let directory = tempfile::tempdir().expect("a folder");
        let folder = folder(directory.path());
        folder.write(&learner(64), true).expect("it can be written");
        let path = &folder.files().expect("files")[0];
        let text = fs::read_to_string(path).expect("a case").replacen('{', r#"{"sead": 5, "#, 1);
        fs::write(path, text).expect("a file");
        let mut warnings = Vec::new();
        folder.read(&subjects::raft(), |warning| warnings.push(warning.to_owned())).expect("cases");
        assert!(warnings.len() == 1 && warnings[0].contains("unknown key `sead` is ignored"), "{warnings:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().expect("a folder");
        folder(directory.path()).check_writable().expect("it can be made");
        assert_eq!(fs::read_dir(directory.path().join("corpus")).expect("it is there").count(), 0);
        let file = directory.path().join("file");
        fs::write(&file, "").expect("a file");
        let error = CorpusFolder::new(&file, subjects::builtin()).check_writable().expect_err("it is a file");
        assert!(error.to_string().contains("file: cannot be written"), "{error}");
    }

    #[test]
    fn what_is_no_case_of_the_protocol_is_named() {
        let directory = tempfile::tempdir().expect("a folder");
        let folder = folder(directory.path());
        assert_eq!(read(&folder, &subjects::raft()).expect("there is no folder yet").len(), 0);
        folder.write(&learner(64), true).expect("it can be written");
        let other = read(&folder, &subject(Odd::default())).expect_err("cases of Raft");
        assert!(other.to_string().contains("is a case of raft; allowed is one of odd"), "{other}");
        fs::write(directory.path().join("corpus/bad.json"), "{}").expect("a file");
        let bad = read(&folder, &subjects::raft()).expect_err("no repro");
        assert!(bad.to_string().contains("bad.json"), "{bad}");
    }
}
