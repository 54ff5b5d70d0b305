//! The files that a program consists of.

use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

/// A program's folder is copied for each run if it has no more files than this.
const COUNT_MAX: usize = 4_000;

/// And no more bytes.
const BYTES_MAX: u64 = 64 << 20;

/// Folders that no program needs to run.
const LEFT_OUT: &[&str] = &[".git", "__pycache__"];

/// Folders that few need, and that may be large.
const LEFT_OUT_IF_LARGE: &[&str] = &[".git", "__pycache__", ".venv", "node_modules"];

/// The content of a program's folder, or of its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    entries: Vec<Entry>,
    /// The program's own file, from the folder's place.
    program: PathBuf,
    /// How much was taken.
    extent: Extent,
    digest: String,
}

/// How much of what surrounds a program is copied for its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The whole repository that it is in.
    Repository,
    /// The folder that it is in, with all below.
    Folder,
    /// The program alone: its folder is too large.
    Program,
}

/// One file, by its path from the folder's place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    path: PathBuf,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Folder,
    File { bytes: Vec<u8>, executable: bool },
    Link(PathBuf),
}

impl Files {
    /// The files of the program at this path: those of its repository (the folder with `.git`), or else those of its folder,
    /// or else the program alone. The first of these is taken that has at most 4,000 files and 64 MiB.
    ///
    /// # Errors
    /// If something cannot be read.
    pub fn of(program: &Path) -> io::Result<Files> {
        let parent = program.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Only the folder is resolved: the program itself may be a link.
        let folder = parent.canonicalize()?;
        let name = program.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
        let repository = folder.ancestors().find(|folder| folder.join(".git").exists());
        let candidates = [(repository, Extent::Repository), (Some(&*folder), Extent::Folder)];
        for (root, extent) in candidates.into_iter().filter_map(|(root, extent)| Some((root?, extent))) {
            for left_out in [LEFT_OUT, LEFT_OUT_IF_LARGE] {
                if let Some(entries) = read(root, left_out)? {
                    let place = folder.strip_prefix(root).unwrap_or(Path::new(""));
                    return Ok(Files::new(entries, place.join(name), extent));
                }
            }
        }
        let path = PathBuf::from(name);
        let what = What::File { bytes: fs::read(program)?, executable: true };
        Ok(Files::new(vec![Entry { path: path.clone(), what }], path, Extent::Program))
    }

    fn new(entries: Vec<Entry>, program: PathBuf, extent: Extent) -> Files {
        let digest = digest(&entries, &program);
        Files { entries, program, extent, digest }
    }

    /// The program's own file, from the place to which the files are copied.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// How much was taken.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// A hash of all names and contents: 32 hexadecimal digits. It does not depend on where the folder is.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Writes all of them into an empty folder.
    ///
    /// # Errors
    /// If something cannot be written.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        for Entry { path, what } in &self.entries {
            let path = folder.join(path);
            match what {
                What::Folder => fs::create_dir(&path)?,
                What::Link(target) => std::os::unix::fs::symlink(target, &path)?,
                What::File { bytes, executable } => {
                    fs::write(&path, bytes)?;
                    let mode = if *executable { 0o755 } else { 0o644 };
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
                }
            }
        }
        Ok(())
    }
}

/// All below a folder, in the order of their names; none if it is too much.
fn read(root: &Path, left_out: &[&str]) -> io::Result<Option<Vec<Entry>>> {
    let mut paths = Vec::new();
    let mut bytes = 0;
    if !list(root, Path::new(""), left_out, &mut paths, &mut bytes)? {
        return Ok(None);
    }
    let entry = |(path, kind): (PathBuf, FileType)| -> io::Result<Entry> {
        let full = root.join(&path);
        let what = if kind.is_dir() {
            What::Folder
        } else if kind.is_symlink() {
            What::Link(fs::read_link(full)?)
        } else {
            let executable = fs::metadata(&full)?.permissions().mode() & 0o111 != 0;
            What::File { bytes: fs::read(full)?, executable }
        };
        Ok(Entry { path, what })
    };
    paths.into_iter().map(entry).collect::<io::Result<Vec<_>>>().map(Some)
}

/// Lists what is in a folder. False as soon as it is too much.
fn list(
    root: &Path,
    folder: &Path,
    left_out: &[&str],
    paths: &mut Vec<(PathBuf, FileType)>,
    bytes: &mut u64,
) -> io::Result<bool> {
    let mut entries = fs::read_dir(root.join(folder))?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (kind, name) = (entry.file_type()?, entry.file_name());
        let path = folder.join(&name);
        if kind.is_dir() && left_out.contains(&&*name.to_string_lossy()) {
            continue;
        }
        if !(kind.is_dir() || kind.is_file() || kind.is_symlink()) {
            continue;
        }
        paths.push((path.clone(), kind));
        if kind.is_file() {
            *bytes += entry.metadata()?.len();
        }
        if paths.len() > COUNT_MAX
            || *bytes > BYTES_MAX
            || (kind.is_dir() && !list(root, &path, left_out, paths, bytes)?)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn digest(entries: &[Entry], program: &Path) -> String {
    let mut hash = Md5::new();
    // Each part with its length before it, so that no two lists of files are the same text.
    let mut add = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(b'p', program.as_os_str().as_encoded_bytes());
    for Entry { path, what } in entries {
        add(b'n', path.as_os_str().as_encoded_bytes());
        match what {
            What::Folder => add(b'd', b""),
            What::Link(target) => add(b'l', target.as_os_str().as_encoded_bytes()),
            What::File { bytes, executable } => add(if *executable { b'x' } else { b'f' }, bytes),
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a program `bin/run` and a file beside it.
    fn folder(is_repository: bool) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("bin")).expect("a folder");
        fs::write(folder.path().join("bin/run"), "#!/bin/sh\n").expect("a file");
        fs::set_permissions(folder.path().join("bin/run"), fs::Permissions::from_mode(0o755)).expect("a file");
        fs::write(folder.path().join("library"), "text").expect("a file");
        if is_repository {
            fs::create_dir(folder.path().join(".git")).expect("a folder");
            fs::write(folder.path().join(".git/index"), "large").expect("a file");
        }
        folder
    }

    fn files(folder: &tempfile::TempDir) -> Files {
        Files::of(&folder.path().join("bin/run")).expect("they can be read")
    }

    #[test]
    fn a_repository_is_taken_whole_but_for_what_no_program_needs_and_otherwise_the_folder() {
        let (one, other) = (folder(true), folder(false));
        let (repository, own) = (files(&one), files(&other));
        assert_eq!((repository.extent(), repository.program()), (Extent::Repository, Path::new("bin/run")));
        assert_eq!((own.extent(), own.program()), (Extent::Folder, Path::new("run")));
        let copy = tempfile::tempdir().expect("a folder");
        repository.write_to(copy.path()).expect("they can be written");
        assert_eq!(fs::read_to_string(copy.path().join("library")).expect("a file"), "text");
        let mode = fs::metadata(copy.path().join("bin/run")).expect("a file").permissions().mode();
        assert_eq!((mode & 0o777, copy.path().join(".git").exists()), (0o755, false));
    }

    #[test]
    fn what_is_installed_beside_a_program_is_taken_unless_that_is_too_much() {
        let folder = folder(true);
        let installed = folder.path().join(".venv");
        fs::create_dir(&installed).expect("a folder");
        let count = |files: &Files| files.entries.iter().filter(|entry| entry.path.starts_with(".venv")).count();
        fs::write(installed.join("python"), "").expect("a file");
        assert_eq!(count(&files(&folder)), 2);
        for number in 0..COUNT_MAX {
            fs::write(installed.join(number.to_string()), "").expect("a file");
        }
        let without = files(&folder);
        assert_eq!((count(&without), without.extent()), (0, Extent::Repository));
    }

    #[test]
    fn a_digest_depends_on_contents_and_names_and_not_on_where_they_are() {
        let (one, other) = (folder(true), folder(true));
        assert_eq!(files(&one).digest(), files(&other).digest());
        fs::write(other.path().join("library"), "other").expect("a file");
        assert_ne!(files(&one).digest(), files(&other).digest());
        assert_eq!(files(&one).digest().len(), 32);
    }

    #[test]
    fn of_a_folder_that_is_too_large_the_program_alone_is_taken() {
        let large = folder(false);
        let file = fs::File::create(large.path().join("bin/data")).expect("a file");
        file.set_len(BYTES_MAX + 1).expect("it takes no space");
        let files = files(&large);
        assert_eq!((files.extent(), files.program(), files.entries.len()), (Extent::Program, Path::new("run"), 1));
    }
}
