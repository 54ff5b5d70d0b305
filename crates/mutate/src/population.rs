//! Which sources are mutated.

use std::fs;
use std::path::Path;

use crate::Error;

/// A project whose copy can have mutants.
#[derive(Clone, Copy, Debug)]
pub struct Project {
    /// The folder of the sources, from the root of the workspace.
    pub sources: &'static str,
    /// Files and folders in it whose code is mutated.
    pub files: &'static [&'static str],
    /// Files and folders among these whose code is not.
    pub without: &'static [&'static str],
    /// Arguments of `cargo check` that compile all of this.
    pub check: &'static [&'static str],
    /// The tests that should detect mutants.
    pub tests: &'static [Tests],
}

/// Tests of one program.
#[derive(Clone, Copy, Debug)]
pub struct Tests {
    /// Arguments of `cargo test` that compile it.
    pub build: &'static [&'static str],
    /// Which of its tests run, as arguments of the program.
    pub which: &'static [&'static str],
}

/// The replicas: consensus, the store, the clients' requests, the node, and the server of the cluster.
/// Left out are the rules, which only say what is to be broken.
pub const SEEDBED: Project = Project {
    sources: "crates/core/src",
    files: &[
        "raft",
        "replicated",
        "replica",
        "server",
        "kv",
        "node/mod.rs",
        "node/log.rs",
        "node/members.rs",
        "node/mids.rs",
        "node/window.rs",
    ],
    without: &["raft/rules.rs"],
    check: &["-p", "seedbed-core"],
    tests: &[
        Tests {
            build: &["-p", "seedbed-core", "--lib"],
            which: &["raft::", "replica::", "server::", "kv::", "node::", "--skip", "subjects::"],
        },
        Tests {
            build: &["-p", "seedbed", "--test", "library"],
            // A search for what broken replicas lose depends on luck, which any change of behaviour changes.
            which: &[
                "raft_scripts::",
                "node::",
                "server::",
                "exactly_once::",
                "redirects::",
                "--skip",
                "counts_are_lost",
            ],
        },
    ],
};

impl Project {
    /// The files of the population, by their paths in the sources, in order.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn list(&self, root: &Path) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for file in self.files {
            self.list_into(root, file, &mut found)?;
        }
        found.sort();
        Ok(found)
    }

    fn list_into(&self, root: &Path, name: &str, found: &mut Vec<String>) -> Result<(), Error> {
        let path = root.join(self.sources).join(name);
        if self.without.contains(&name) {
            return Ok(());
        }
        if !path.is_dir() {
            // A module of tests in a file of its own.
            if name.ends_with(".rs") && !name.ends_with("/tests.rs") {
                found.push(name.to_owned());
            }
            return Ok(());
        }
        for entry in fs::read_dir(&path).map_err(Error::file(&path))? {
            let entry = entry.map_err(Error::file(&path))?;
            let inner = format!("{name}/{}", entry.file_name().to_string_lossy());
            self.list_into(root, &inner, found)?;
        }
        Ok(())
    }
}
