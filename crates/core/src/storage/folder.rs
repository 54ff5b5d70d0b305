//! The folder and its files: created so that a crash leaves all or nothing, and open in one place at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::StorageError;
use crate::files;

/// How often a lock is tried again, and the pause in between.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// The records.
const RECORDS: &str = "seedbed.redb";
/// The records while the file is created. It holds none yet, so one that a crash left is written anew.
const UNFINISHED: &str = "seedbed.redb.unfinished";
/// How many of them are synced: [`super::watermark`].
const SYNCED: &str = "synced";

/// A folder for the records of one replica.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Creates the folder if it is missing, and its entry survives a power failure from then on.
    pub(super) fn open(path: &Path) -> Result<Folder, StorageError> {
        let folder = Folder { path: path.to_owned() };
        match fs::create_dir(path) {
            Ok(()) => sync_entries(files::folder(path)).map_err(|source| folder.cannot_create(source))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if path.is_dir() => drop(error),
            Err(source) => return Err(folder.cannot_create(source)),
        }
        if path.is_dir() { Ok(folder) } else { Err(StorageError::NotAFolder { folder: folder.path }) }
    }

    fn cannot_create(&self, source: io::Error) -> StorageError {
        StorageError::Create { folder: self.path.clone(), source }
    }

    /// As it was given.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the records.
    pub(super) fn records(&self) -> PathBuf {
        self.path.join(RECORDS)
    }

    /// The file that says how many records are synced.
    pub(super) fn synced(&self) -> PathBuf {
        self.path.join(SYNCED)
    }

    /// Opens the file of the records, locked. If it is missing, `create` fills an empty one, which becomes the file
    /// when it is whole.
    pub(super) fn open_records(
        &self,
        create: impl FnOnce(File, &Path) -> Result<(), StorageError>,
    ) -> Result<File, StorageError> {
        let place = self.records();
        match File::options().read(true).write(true).open(&place) {
            Ok(file) => self.lock(file, &place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create_records(&place, create),
            Err(source) => Err(cannot("open", &place, source)),
        }
    }

    fn create_records(
        &self,
        place: &Path,
        create: impl FnOnce(File, &Path) -> Result<(), StorageError>,
    ) -> Result<File, StorageError> {
        let path = self.path.join(UNFINISHED);
        let unfinished = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = self.lock(unfinished.map_err(|source| cannot("create", &path, source))?, &path)?;
        // Another program may have finished the file between the look for it and the lock.
        if place.exists() {
            return Err(self.in_use());
        }
        file.set_len(0).map_err(|source| cannot("empty", &path, source))?;
        // A duplicate holds the same lock, so it stays when redb closes its own.
        create(file.try_clone().map_err(|source| cannot("open", &path, source))?, &path)?;
        fs::rename(&path, place).map_err(|source| cannot("rename", &path, source))?;
        self.sync_entries()?;
        Ok(file)
    }

    /// Takes the lock of a file, which the system releases when the file is closed, however the program ends.
    fn lock(&self, file: File, path: &Path) -> Result<File, StorageError> {
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // A program that was killed, or a child of one that has not begun yet, may hold it for a moment longer.
                Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => thread::park_timeout(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(self.in_use()),
                Err(TryLockError::Error(source)) => return Err(cannot("lock", path, source)),
            }
            tries += 1;
        }
        // The lock belongs to the file and not to its name. If another program has renamed the file in between, it is
        // not the one that was meant.
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let locked = file.metadata().map(identity).map_err(|source| cannot("open", path, source))?;
        if fs::metadata(path).map(identity).is_ok_and(|named| named == locked) { Ok(file) } else { Err(self.in_use()) }
    }

    fn in_use(&self) -> StorageError {
        StorageError::InUse { folder: self.path.clone() }
    }

    /// The names of created and removed files survive a power failure from now on.
    pub(super) fn sync_entries(&self) -> Result<(), StorageError> {
        sync_entries(&self.path).map_err(|source| cannot("sync", &self.path, source))
    }
}

fn sync_entries(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The error for a file that cannot be opened, created or removed.
pub(super) fn cannot(action: &'static str, file: &Path, source: io::Error) -> StorageError {
    if super::error::is_lack_of_room(&source) {
        StorageError::Full { file: file.to_owned(), source }
    } else {
        StorageError::Access { action, file: file.to_owned(), source }
    }
}
