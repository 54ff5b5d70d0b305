//! The built-in files, and the lookup of names: a name leads to a file on disk or to a built-in one.
//!
//! Everything in the folder `scenarios` of the repository is part of the program, so that `crash-3` or
//! `matrices/isolate-3` work in any folder. A file on disk always wins. A name is tried, in this order,
//!
//! 1. as the path of a file or folder,
//! 2. with `.json` at its end,
//! 3. both ways in the folder `scenarios`,
//! 4. as a built-in file or folder, with or without `scenarios/` and `.json`.
//!
//! A folder without files (`*.json`) is used only if nothing else has the name. Repro files and matrices are also found
//! without the name of their folder: `figure-8` is `repros/figure-8`. A path that is absolute, or has `.` or `..` in
//! it, always means a file on disk.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use super::error::ScenarioError;
use super::order::course_order;
use super::reader::read;
use super::{Loaded, Scenario};
use crate::files;
use crate::hint::nearest;
use crate::printable::printable;

/// The folder of scenarios: in the repository, and in a user's own folder.
pub const FOLDER: &str = "scenarios";

/// The ending of all files.
const ENDING: &str = ".json";

/// A file that comes with the program.
#[derive(Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its path below [`FOLDER`], as in `chaos/tour.json`.
    pub path: &'static str,
    /// Its content.
    pub text: &'static str,
}

/// The kind of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A scenario.
    Scenario,
    /// A connectivity matrix.
    Matrix,
    /// A repro file: a failed run.
    Repro,
}

/// The place that a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file on disk, or a device or a pipe.
    File(PathBuf),
    /// A folder on disk.
    Folder(PathBuf),
    /// A built-in file.
    BuiltIn(&'static BuiltIn),
    /// A built-in folder, by its path below [`FOLDER`]; empty for the course's scenarios.
    BuiltInFolder(&'static str),
}

macro_rules! built_in {
    ($($path:literal),* $(,)?) => {
        &[$(BuiltIn { path: $path, text: include_str!(concat!("../../scenarios/", $path)) }),*]
    };
}

/// All files that come with the program: the course's in its order, then the others by folder and name. A test compares
/// this list with the folder.
pub static FILES: &[BuiltIn] = built_in![
    "simple-1.json",
    "simple-2.json",
    "unreliable-1.json",
    "unreliable-2.json",
    "unreliable-3.json",
    "crash-1.json",
    "crash-2.json",
    "crash-3.json",
    "crash-4.json",
    "partition-1.json",
    "partition-2.json",
    "partition-3.json",
    "partition-4.json",
    "advanced-1.json",
    "advanced-2.json",
    "advanced-3.json",
    "advanced-4.json",
    "chaos/bridge.json",
    "chaos/isolate-3.json",
    "chaos/one-way.json",
    "chaos/ring-lossy.json",
    "chaos/seed-example.json",
    "chaos/slope.json",
    "chaos/tour.json",
    "examples/my-first.json",
    "field/all-of-the-log.json",
    "field/damaged-record.json",
    "field/early-snapshot.json",
    "field/forgotten-vote.json",
    "field/full-disk.json",
    "field/kill-nine.json",
    "field/leader-ahead-of-its-disk.json",
    "field/old-appends-that-come-twice.json",
    "field/page-cache.json",
    "field/paused-leader-reads.json",
    "field/restarted-cluster-reads.json",
    "field/rolling-restart.json",
    "field/slow-clock-lease.json",
    "field/slow-disk-of-the-leader.json",
    "field/torn-commit-index.json",
    "field/truncation-forgotten.json",
    "field/vote-before-sync.json",
    "field/votes-that-come-twice.json",
    "harsh/asymmetric-7.json",
    "harsh/flapping-links.json",
    "harsh/flapping-partitions.json",
    "harsh/large-101.json",
    "harsh/large-21.json",
    "harsh/shared-keys.json",
    "matrices/healthy.json",
    "matrices/isolate-3.json",
    "matrices/minority.json",
    "matrices/one-way.json",
    "matrices/seed.json",
    "matrices/ten-percent.json",
    "repros/figure-8.json",
    "repros/stale-read.json",
];

impl Kind {
    /// The folder that files of this kind are in, if they have one of their own.
    const fn folder(self) -> Option<&'static str> {
        match self {
            Kind::Scenario => None,
            Kind::Matrix => Some("matrices"),
            Kind::Repro => Some("repros"),
        }
    }

    /// The kind of such a file, and the command that takes it.
    const fn use_of(self) -> &'static str {
        match self {
            Kind::Scenario => "a scenario, which `seedbed run` takes",
            Kind::Matrix => "a connectivity matrix, which `--matrix` takes",
            Kind::Repro => "a repro file, which `seedbed replay` takes",
        }
    }

    /// The noun for such a file.
    pub const fn noun(self) -> &'static str {
        match self {
            Kind::Scenario => "scenario",
            Kind::Matrix => "matrix",
            Kind::Repro => "repro file",
        }
    }
}

impl BuiltIn {
    /// Its name: the path without the ending, as in `chaos/tour`.
    pub fn name(&self) -> &'static str {
        self.path.strip_suffix(ENDING).unwrap_or(self.path)
    }

    /// Its folder below [`FOLDER`]; empty for the course's scenarios.
    pub fn folder(&self) -> &'static str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The kind of its content.
    pub fn kind(&self) -> Kind {
        let mut kinds = [Kind::Matrix, Kind::Repro].into_iter();
        kinds.find(|kind| kind.folder() == Some(self.folder())).unwrap_or(Kind::Scenario)
    }

    /// Where it is in the repository. This names it in any folder.
    pub fn full_path(&self) -> PathBuf {
        Path::new(FOLDER).join(self.path)
    }

    /// The name without its folder.
    fn stem(&self) -> &'static str {
        self.name().rsplit('/').next().unwrap_or_default()
    }
}

/// The place to which a name of a file of this kind leads; none if nothing has that name. Only scenarios have folders.
pub fn find(kind: Kind, name: &Path) -> Option<Place> {
    let wanted = |place: &Place| kind == Kind::Scenario || matches!(place, Place::File(_) | Place::BuiltIn(_));
    let mut places: Vec<Place> = on_disk(name).filter(wanted).collect();
    let plain = plain(name);
    if plain.is_some() {
        for folder in [Some(""), kind.folder()].into_iter().flatten() {
            // Where failed runs are written to, and where they are in the repository.
            for path in [Path::new(folder).join(name), Path::new(FOLDER).join(folder).join(name)] {
                places.extend(on_disk(&path).filter(wanted));
            }
        }
    }
    let is_full = |place: &&Place| !matches!(place, Place::Folder(folder) if !may_hold_files(folder));
    let full = places.iter().find(is_full).cloned();
    full.or_else(|| built_in(kind, &plain?).filter(wanted)).or_else(|| places.into_iter().next())
}

/// Whether a folder holds files that may be scenarios, or cannot be read.
fn may_hold_files(folder: &Path) -> bool {
    let is_file = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().ends_with(ENDING);
    fs::read_dir(folder).map_or(true, |entries| entries.flatten().any(|entry| is_file(&entry)))
}

/// The built-in file of any kind, or the built-in folder, that a name leads to, whatever is on disk.
pub fn find_built_in(name: &Path) -> Option<Place> {
    let name = plain(name)?;
    [Kind::Scenario, Kind::Matrix, Kind::Repro].into_iter().find_map(|kind| built_in(kind, &name))
}

/// The file on disk that a name leads to, if it leads to one.
pub fn file(kind: Kind, name: &Path) -> Option<PathBuf> {
    match find(kind, name)? {
        Place::File(path) => Some(path),
        _ => None,
    }
}

/// The names of the scenarios that a name leads to: of one, or of all directly in a folder, in the course's order.
///
/// # Errors
/// If a folder cannot be read, or holds none. Whether a single name leads to a scenario is checked only when it is
/// read.
pub fn scenarios(name: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    match find(Kind::Scenario, name) {
        Some(Place::Folder(_) | Place::BuiltInFolder(_)) => scenarios_in(name),
        Some(Place::File(_) | Place::BuiltIn(_)) | None => Ok(vec![name.to_owned()]),
    }
}

/// The names of all scenarios directly in the folder that a name leads to, in the course's order.
///
/// # Errors
/// If there is no such folder, or it cannot be read or holds no scenario.
pub fn scenarios_in(folder: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    let mut paths = match find(Kind::Scenario, folder) {
        Some(Place::Folder(found)) => json_files_in(&found)?,
        Some(Place::BuiltInFolder(found)) => files_in(found).map(BuiltIn::full_path).collect(),
        None if may_be_built_in(folder) => return Err(not_found(Kind::Scenario, folder)),
        // Reading it reports what is wrong.
        _ => json_files_in(folder)?,
    };
    // The order in which a folder lists its files is not the same everywhere.
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    paths.sort();
    paths.sort_by(|left, right| course_order(&stem(left), &stem(right)));
    Ok(paths)
}

/// The files directly in a folder on disk that may be scenarios.
fn json_files_in(folder: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    let file = || printable(&folder.to_string_lossy());
    let unreadable = |source| ScenarioError::Folder { file: file(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") && !path.is_dir() {
            paths.push(path);
        }
    }
    if paths.is_empty() { Err(ScenarioError::EmptyFolder { file: file() }) } else { Ok(paths) }
}

/// The built-in files directly in a folder below [`FOLDER`].
pub fn files_in(folder: &str) -> impl Iterator<Item = &'static BuiltIn> {
    FILES.iter().filter(move |file| file.folder() == folder)
}

/// Why built-in files were not written to a folder.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file with other content would be replaced.
    #[error("{}: differs from the built-in file; --force replaces it", shown(path))]
    Differs {
        /// The file on disk.
        path: PathBuf,
    },
    /// It is unknown whether a file with other content would be replaced.
    #[error("{}: cannot be read: {source}", shown(path))]
    Unreadable {
        /// The file on disk.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", shown(path))]
    Unwritable {
        /// The file on disk.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The path in one line, whatever it holds.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Writes built-in files to a folder on disk, with the folders that they are in: those at these places, or all if no
/// places are given. Returns how many it wrote: identical files stay.
///
/// # Errors
/// If a file exists and differs, unless `force` replaces it; nothing is written then. If a file cannot be read or
/// written.
pub fn write_files(places: &[Place], folder: &Path, force: bool) -> Result<usize, WriteError> {
    let is_wanted = |file: &&BuiltIn| {
        let holds = |place: &Place| match place {
            Place::BuiltIn(other) => other.path == file.path,
            Place::BuiltInFolder(folder) => *folder == file.folder(),
            Place::File(_) | Place::Folder(_) => false,
        };
        places.is_empty() || places.iter().any(holds)
    };
    let mut missing = Vec::new();
    for file in FILES.iter().filter(is_wanted) {
        let path = folder.join(file.path);
        match fs::read(&path) {
            Ok(old) if old == file.text.as_bytes() => {}
            Ok(_) if !force => return Err(WriteError::Differs { path }),
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(WriteError::Unreadable { path, source });
            }
            Ok(_) | Err(_) => missing.push((path, file)),
        }
    }
    for (path, file) in &missing {
        let made = fs::create_dir_all(files::folder(path));
        let written = made.and_then(|()| files::write_whole(path, |out| out.write_all(file.text.as_bytes())));
        written.map_err(|source| WriteError::Unwritable { path: path.clone(), source })?;
    }
    Ok(missing.len())
}

/// The folders of built-in files, each once, in order. The first is the empty one of the course's scenarios.
pub fn folders() -> Vec<&'static str> {
    let mut folders: Vec<&str> = FILES.iter().map(BuiltIn::folder).collect();
    folders.dedup();
    folders
}

/// The folders of built-in files of this kind.
fn folders_of(kind: Kind) -> impl Iterator<Item = &'static str> {
    folders().into_iter().filter(move |folder| files_in(folder).any(|file| file.kind() == kind))
}

/// The entries on disk at this path, without and with the ending of all files. A link that leads nowhere counts as a
/// file, so that no other file silently replaces it.
fn on_disk(path: &Path) -> impl Iterator<Item = Place> + use<> {
    let there = |path: &Path| {
        let place = if path.is_dir() { Place::Folder } else { Place::File };
        fs::symlink_metadata(path).is_ok().then(|| place(path.to_owned()))
    };
    let with_ending = path.file_name().map(|name| {
        let mut name = name.to_owned();
        name.push(ENDING);
        path.with_file_name(name)
    });
    let with_ending = with_ending.and_then(|path| there(&path)).filter(|place| matches!(place, Place::File(_)));
    there(path).into_iter().chain(with_ending)
}

/// The built-in file or folder of this name.
pub(super) fn built_in(kind: Kind, name: &str) -> Option<Place> {
    let below = if name == FOLDER { "" } else { below_folder(name) };
    if let Some(folder) = folders_of(kind).find(|folder| *folder == below) {
        return Some(Place::BuiltInFolder(folder));
    }
    let bare = below.strip_suffix(ENDING).unwrap_or(below);
    let of_kind = || FILES.iter().filter(|file| file.kind() == kind);
    let found = of_kind().find(|file| file.name() == bare);
    let alone = || of_kind().find(|file| kind.folder().is_some() && file.stem() == bare);
    found.or_else(alone).map(Place::BuiltIn)
}

/// The name without the folder that all built-in files are in.
fn below_folder(name: &str) -> &str {
    name.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name)
}

/// The name with `/` between its parts, if it may be that of a built-in file: each part is a plain word.
fn plain(name: &Path) -> Option<String> {
    let parts = name.components().map(|part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    });
    let parts: Vec<&str> = parts.collect::<Option<_>>()?;
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// A file that was found and read.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its name in messages.
    pub(crate) file: String,
    /// Its name without folder and ending.
    pub(crate) stem: String,
    pub(crate) text: Cow<'static, str>,
}

/// Reads the file that a name leads to.
pub(crate) fn load(kind: Kind, name: &Path) -> Result<Found, ScenarioError> {
    let path = match find(kind, name) {
        Some(Place::BuiltIn(built_in)) => {
            let file = built_in.full_path().display().to_string();
            return Ok(Found { file, stem: built_in.stem().to_owned(), text: Cow::Borrowed(built_in.text) });
        }
        Some(Place::File(path) | Place::Folder(path)) => path,
        // Reading it reports what is wrong.
        _ if !may_be_built_in(name) || name.exists() => name.to_owned(),
        _ => return Err(not_found(kind, name)),
    };
    let file = printable(&path.display().to_string());
    let stem = printable(&path.file_stem().unwrap_or(OsStr::new("")).to_string_lossy());
    Ok(Found { text: Cow::Owned(read(&path, &file)?), file, stem })
}

/// Whether a name may be that of a built-in file: it is a relative path without `.` and `..`.
fn may_be_built_in(name: &Path) -> bool {
    plain(name).is_some()
}

/// The error that nothing of this kind has this name. It gives the name that may be meant, or the kind of the file that
/// has this name.
fn not_found(kind: Kind, name: &Path) -> ScenarioError {
    let file = printable(&name.display().to_string());
    match find_built_in(name) {
        Some(Place::BuiltIn(other)) => ScenarioError::OtherKind { file, what: other.kind().use_of() },
        Some(Place::BuiltInFolder(folder)) if kind == Kind::Scenario && !folder.is_empty() => {
            ScenarioError::OtherKind { file, what: "a folder without scenarios; `seedbed scenarios` lists its files" }
        }
        _ => {
            let meant = plain(name).and_then(|name| meant(kind, &name)).map(str::to_owned);
            ScenarioError::NotFound { file, noun: kind.noun(), meant }
        }
    }
}

/// The built-in file of any kind, or the folder, that may be meant by a name.
pub fn similar(name: &Path) -> Option<&'static str> {
    let name = plain(name)?;
    [Kind::Scenario, Kind::Matrix, Kind::Repro].into_iter().find_map(|kind| meant(kind, &name))
}

/// The built-in file of this kind, or the folder of scenarios, that may be meant.
fn meant(kind: Kind, name: &str) -> Option<&'static str> {
    let name = below_folder(name).strip_suffix(ENDING).unwrap_or(below_folder(name));
    let of_kind = || FILES.iter().filter(|file| file.kind() == kind);
    let folders = folders_of(kind).filter(|_| kind == Kind::Scenario);
    nearest(name, of_kind().map(BuiltIn::name).chain(folders))
        .or_else(|| of_kind().find(|file| file.stem() == name).map(BuiltIn::name))
        .or_else(|| {
            let stem = nearest(name, of_kind().map(BuiltIn::stem))?;
            of_kind().find(|file| file.stem() == stem).map(BuiltIn::name)
        })
}

impl Scenario {
    /// Reads the scenario that a name leads to: a file on disk, or a built-in one.
    ///
    /// # Errors
    /// If there is no scenario of this name, or its file does not hold a valid one.
    pub fn find(name: &Path) -> Result<Loaded, ScenarioError> {
        let Found { file, stem, text } = load(Kind::Scenario, name)?;
        Scenario::parse(&stem, &file, &text)
    }

    /// A built-in scenario, by its name as in `crash-3` or `chaos/tour`, whatever is on disk.
    ///
    /// ```
    /// # use seedbed_core as seedbed;
    /// use seedbed::scenario::Scenario;
    ///
    /// let scenario = Scenario::builtin("crash-3").expect("it comes with the program");
    /// assert_eq!((scenario.name.as_str(), scenario.replicas), ("crash-3", 5));
    /// ```
    pub fn builtin(name: &str) -> Option<Scenario> {
        let Some(Place::BuiltIn(built_in)) = built_in(Kind::Scenario, name) else { return None };
        Scenario::parse(built_in.stem(), built_in.path, built_in.text).ok().map(|loaded| loaded.scenario)
    }
}

#[cfg(test)]
mod tests;
