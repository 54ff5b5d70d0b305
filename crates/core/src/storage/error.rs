//! What can be wrong with a folder, or go wrong with its file. Every message names the place and says what to do.

use std::io;
use std::path::PathBuf;

use super::Owner;

/// What to do about a folder that has lost records.
const ANEW: &str = "remove this server from the cluster, and start it anew in an empty folder; an older copy of this \
                    folder would not help, because it lacks what the server has promised since";

/// Why a folder cannot be used, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The folder is missing and cannot be created.
    #[error("cannot create the folder {}: {source}; the folder that it is in must exist and be writable", .folder.display())]
    Create {
        /// The folder as it was given.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is something else where the folder should be.
    #[error("{} is not a folder; name a folder for the data, or remove this file", .folder.display())]
    NotAFolder {
        /// The path as it was given.
        folder: PathBuf,
    },
    /// A file of the folder cannot be opened, created, renamed or removed.
    #[error("cannot {action} {}: {source}; the folder must be readable and writable", .file.display())]
    Access {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another program, or another part of this one, has opened the folder.
    #[error("the folder {} is in use; stop the server that uses it, or name another folder", .folder.display())]
    InUse {
        /// The folder as it was given.
        folder: PathBuf,
    },
    /// The folder's records are those of another replica.
    #[error("the folder {} belongs to {found} and not to {given}; name another folder", .folder.display())]
    Foreign {
        /// The folder as it was given.
        folder: PathBuf,
        /// Whose records it has.
        found: Box<Owner>,
        /// Who wanted to open it.
        given: Box<Owner>,
    },
    /// A newer version of this program has written the file.
    #[error(
        "{} has format {found}, and this program knows formats up to {known}; start the newer program again",
        .file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The file is not what was written, or records that were synced are missing.
    #[error("{} is damaged: {what}; {ANEW}", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is no room for a write.
    #[error("no room to write {}: {source}; make room on its file system, then start the server again", .file.display())]
    Full {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A read, a write or a sync failed. What a server cannot write it cannot promise, so it must end.
    #[error(
        "cannot {action} {}: {source}; what cannot be written cannot be promised, so the server must end: \
         check the disk, then start it again",
        .file.display()
    )]
    Failed {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A record has no form in bytes: a fault of the program, not of the disk.
    #[error("cannot encode record {number} for {}: {what}; this is a fault of the program, please report it", .file.display())]
    Unencodable {
        /// The file.
        file: PathBuf,
        /// The record's number.
        number: u64,
        /// What is wrong with it.
        what: String,
    },
    /// An earlier write failed, and nothing is written any more.
    #[error("{} takes no more records since a write has failed; start the server again", .file.display())]
    Stopped {
        /// The file.
        file: PathBuf,
    },
}

impl StorageError {
    /// The error for a failed operation of the system: a lack of room is an error of its own.
    pub(super) fn of(action: &'static str, file: PathBuf, source: io::Error) -> StorageError {
        if is_lack_of_room(&source) {
            StorageError::Full { file, source }
        } else {
            StorageError::Failed { action, file, source }
        }
    }
}

/// Whether an operation failed because a disk, a quota or the longest file is full. A write of no bytes at all is the
/// last sign that some file systems give.
pub(super) fn is_lack_of_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull, WriteZero};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | WriteZero)
}
