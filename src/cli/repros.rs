//! The folder into which failed runs are written, as files that replay them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::CliError;
use crate::sweep::Repro;

/// The folder unless told otherwise.
const DEFAULT_DIRECTORY: &str = "repros";

/// Where failed runs are written to.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Repros {
    /// Folder for repro files: a failed run is written there, and `seedbed replay` repeats it
    #[arg(long = "repros", value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    directory: PathBuf,
}

impl Repros {
    /// Writes a repro, under the scenario's name and the seed, and returns its path. An older one of that name is replaced,
    /// but never left half written.
    pub fn write(&self, repro: &Repro) -> Result<PathBuf, CliError> {
        let name = format!("{}-{}.json", plain(&repro.case.scenario.name), repro.case.seed);
        let path = self.directory.join(name);
        write_new(&path, repro).map_err(|source| CliError::File { path: path.clone(), source })?;
        Ok(path)
    }
}

/// Writes a repro file under another name first, so that there is a whole one or none.
pub(super) fn write_new(path: &Path, repro: &Repro) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension("json.unfinished");
    let mut out = BufWriter::new(File::create(&unfinished)?);
    repro.write(&mut out)?;
    out.flush()?;
    fs::rename(&unfinished, path)
}

/// A name that is a file's name everywhere.
fn plain(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).take(100).collect();
    if plain.trim_matches('.').is_empty() { "scenario".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_the_name_of_a_file() {
        assert_eq!(plain("crash-3"), "crash-3");
        assert_eq!(plain("../my file"), ".._my_file");
        assert_eq!(plain(".."), "scenario");
        assert_eq!(plain(""), "scenario");
        assert_eq!(plain(&"x".repeat(1_000)).len(), 100);
    }
}
