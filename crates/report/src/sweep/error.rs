//! What can keep a sweep from its files.

use std::io;
use std::path::{Path, PathBuf};

use seedbed_core::printable::printable;

/// What can keep a sweep from its files. Each message is one line.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", shown(path))]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of an earlier attempt cannot be read.
    #[error("{}: cannot be read: {source}", shown(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The sweep's stream cannot be written.
    #[error("the stream of the sweep cannot be written: {0}")]
    Stream(io::Error),
    /// An interrupted attempt has left its unfinished file.
    #[error(
        "{}: belongs to an interrupted sweep; pass --resume to continue it, or --force to begin again",
        shown(path)
    )]
    PartThere {
        /// The unfinished file.
        path: PathBuf,
    },
    /// A file would be replaced that another sweep has written.
    #[error("{}: holds the rows of another sweep; pass --force to replace it", shown(path))]
    OtherSweep {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes the file.
    #[error("{}: is being written by another process", shown(path))]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A file of an earlier attempt does not fit this sweep.
    #[error("{}: cannot be resumed: {problem}", shown(path))]
    Resume {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// An earlier attempt cannot be continued without the statistics of its runs.
    #[error("a sweep can be resumed only if it writes rows as CSV, since its statistics are read from there")]
    ResumeWithoutRows,
}

/// The error that this file cannot be written.
pub(super) fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> SweepError + '_ {
    |source| SweepError::Unwritable { path: path.to_owned(), source }
}

/// The path in one line, whatever it holds.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
