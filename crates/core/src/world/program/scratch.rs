//! The copy of a program's files that one run has.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FlockOperation, flock};

use super::Files;

/// Where copies are. Programs see their paths, so these are the same on every machine and for every user.
const BASE: &str = "/tmp/seedbed";

/// How many runs have copies at the same time, at most.
const SLOTS: usize = 1_000;

/// A folder with a copy of a program's files, and one for temporary files. It is removed when this is dropped. If this
/// process is killed, the next run that has the same place removes it.
#[derive(Debug)]
pub struct Scratch {
    slot: PathBuf,
    /// Locked while the copy is used.
    _lock: File,
}

impl Scratch {
    /// A copy at the first place that no other run has: a single run on a machine always has the same one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(files: &Files) -> io::Result<Scratch> {
        make_base()?;
        let (slot, lock) = take_slot()?;
        let scratch = Scratch { slot, _lock: lock };
        remove(&scratch.slot)?;
        fs::DirBuilder::new().mode(0o755).create(&scratch.slot)?;
        fs::create_dir(scratch.root())?;
        fs::create_dir(scratch.temporary())?;
        files.write_to(&scratch.root())?;
        Ok(scratch)
    }

    /// All of it.
    pub fn folder(&self) -> &Path {
        &self.slot
    }

    /// Where the files are.
    pub fn root(&self) -> PathBuf {
        self.slot.join("run")
    }

    /// The folder for temporary files.
    pub fn temporary(&self) -> PathBuf {
        self.slot.join("tmp")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a program has made unreadable stays until the next run that has the place.
        let _ = remove(&self.slot);
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// All users share it.
fn make_base() -> io::Result<()> {
    match fs::create_dir(BASE) {
        // As `/tmp` itself. The mode of a new folder is reduced by the process's mask, so it is set afterwards.
        Ok(()) => fs::set_permissions(BASE, fs::Permissions::from_mode(0o1777)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn take_slot() -> io::Result<(PathBuf, File)> {
    let mut last = io::Error::other(format!("all places in {BASE} are taken"));
    for number in 0..SLOTS {
        let slot = Path::new(BASE).join(format!("{number:03}"));
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).mode(0o600).custom_flags(NO_LINKS);
        match options.open(slot.with_extension("lock")) {
            Ok(file) if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() => {
                remove_abandoned(number + 1);
                return Ok((slot, file));
            }
            Ok(_) => {}
            // Another user's.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Removes what runs that were killed have left at later places. Once is enough for each process.
fn remove_abandoned(first: usize) {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    for number in first..SLOTS {
        let slot = Path::new(BASE).join(format!("{number:03}"));
        // Without a lock there was never a copy, here or further on.
        let options =
            OpenOptions::new().read(true).write(true).custom_flags(NO_LINKS).open(slot.with_extension("lock"));
        match options {
            Ok(file) if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() => drop(remove(&slot)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            _ => {}
        }
    }
}

/// O_NOFOLLOW: other users may write to the folder.
const NO_LINKS: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_have_different_copies_and_nothing_is_left_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("program");
        fs::write(&program, "text").expect("a file");
        let files = Files::of(&program).expect("files");
        let (one, other) = (Scratch::new(&files).expect("a copy"), Scratch::new(&files).expect("a copy"));
        assert_ne!(one.folder(), other.folder());
        assert_eq!(fs::read_to_string(one.root().join("program")).expect("a file"), "text");
        fs::write(one.root().join("more"), "").expect("a file");
        let place = one.folder().to_owned();
        drop(one);
        assert!(!place.exists() && other.folder().exists());
    }
}
