//! What the commands that write or read repro files share.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::command::Words;
use super::error::CliError;
use super::output;
use super::program::protocols;
use crate::lab::folder::{self, REPROS, changed_name, plain};
use crate::lab::{Repro, ReproFolder};
use crate::report::RunSummary;
pub(super) use crate::report::repro::{amount, compare, write_case, write_findings};
use crate::scenario::library::{self, Kind};

/// Reads the repro that a name leads to, and passes its warnings on.
pub(super) fn load(name: &Path) -> Result<Repro, CliError> {
    let loaded = Repro::find(name, protocols())?;
    for warning in &loaded.warnings {
        output::warning(warning);
    }
    Ok(loaded.repro)
}

/// The file on disk that the name of a repro leads to, if it leads to one.
pub(super) fn file(name: &Path) -> Option<PathBuf> {
    library::file(Kind::Repro, name)
}

/// Where failed runs are written to.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Repros {
    /// Folder for repro files: a failed run is written there, and `seedbed replay` repeats it
    #[arg(long = "repros", visible_alias = "failures", value_name = "DIR", default_value = REPROS)]
    directory: PathBuf,
}

impl Repros {
    /// The folder, for the protocols of this program.
    pub fn folder(&self) -> ReproFolder {
        ReproFolder::new(&self.directory, protocols().clone())
    }

    /// Writes a repro and returns its path, as [`ReproFolder::write`] does.
    pub fn write(&self, repro: &Repro) -> Result<PathBuf, CliError> {
        self.write_of(repro, "")
    }

    /// As [`Repros::write`], for a run whose scenario is changed as `label` says, which then is in the name.
    pub fn write_of(&self, repro: &Repro, label: &str) -> Result<PathBuf, CliError> {
        self.folder().write(repro, label).map_err(|(path, source)| CliError::Repro { path, source })
    }

    /// Writes what the replicas of a failed run printed and returns the path. The name says which scenario, changes, seed and
    /// program it is of; the file of an earlier run of the same is replaced.
    pub fn write_output(&self, run: &RunSummary, label: &str, output: &[u8]) -> Result<PathBuf, CliError> {
        let program = Path::new(&run.protocol).file_name().unwrap_or_default();
        let (name, program) = (changed_name(&run.scenario, label), plain(&program.to_string_lossy()));
        let path = self.directory.join(format!("{name}-{}-{program}.log", run.seed));
        fs::create_dir_all(&self.directory)
            .and_then(|()| output::write_whole(&path, |out| out.write_all(output)))
            .map_err(|source| CliError::Repro { path: path.clone(), source })?;
        Ok(path)
    }

    /// With the option that names the folder, if it is not the usual one.
    pub fn words(&self, words: Words) -> Words {
        let is_usual = self.directory == Path::new(REPROS);
        words.path("--repros", (!is_usual).then_some(&*self.directory))
    }
}

/// Where a repro of this name goes: a file that is not there yet, or a repro that may be replaced.
pub(super) fn place(folder: &Path, stem: &str, replaceable: impl Fn(&Repro) -> bool) -> PathBuf {
    folder::place(folder, stem, protocols(), replaceable)
}

/// Writes a repro file under another name first, so that there is a whole one or none.
pub(super) fn write_new(path: &Path, repro: &Repro) -> io::Result<()> {
    output::write_whole(path, |out| repro.write(out))
}
