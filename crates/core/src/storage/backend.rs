//! What stands between redb and the file: it counts, it remembers the first failure, and it stops at it.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::StorageBackend;

use super::Sync;

/// A file, or what a test puts in its place.
pub(super) trait Medium: Debug + Send + std::marker::Sync + 'static {
    fn len(&self) -> io::Result<u64>;
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

impl Medium for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(out, offset)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    /// Linux marks pages as written whose write has failed, and a later sync succeeds without them. They are dropped
    /// from memory, so that the next program that opens the file reads what the disk has.
    fn sync(&self) -> io::Result<()> {
        self.sync_data().inspect_err(|_| {
            #[cfg(target_os = "linux")]
            let _ = rustix::fs::fadvise(self, 0, None, rustix::fs::Advice::DontNeed);
        })
    }
}

/// What the storage and its backend both know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// How many records a restart would read.
    pub(super) records: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) file_bytes: AtomicU64,
    is_stopped: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

/// The first operation of the system that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// What was tried, as a verb.
    pub(super) action: &'static str,
    pub(super) error: io::Error,
}

impl Shared {
    /// The failure, once.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Refuses all writes from now on.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}

/// The file as redb sees it.
#[derive(Debug)]
pub(super) struct Backend {
    medium: Box<dyn Medium>,
    sync: Sync,
    shared: Arc<Shared>,
}

impl Backend {
    pub(super) fn new(medium: Box<dyn Medium>, sync: Sync, shared: Arc<Shared>) -> io::Result<Backend> {
        shared.file_bytes.store(medium.len()?, Ordering::Relaxed);
        Ok(Backend { medium, sync, shared })
    }

    /// Remembers the first failure. redb tells only some of the errors that it meets, and none while it closes.
    fn noting<T>(&self, action: &'static str, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            let copy = match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            };
            let mut failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(Failure { action, error: copy });
            self.shared.stop();
        })
    }

    /// After a failure nothing is known about the file, so nothing more is written, also not while redb closes it.
    fn writing<T>(&self, action: &'static str, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.shared.is_stopped() {
            return Err(io::Error::other("an earlier write failed"));
        }
        self.noting(action, write())
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.noting("read", self.medium.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let result = self.medium.read(offset, out);
        // The file is shorter than redb believes: it is damaged, and the disk has not failed.
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            return result;
        }
        self.noting("read", result)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writing("extend", || self.medium.set_len(len))?;
        self.shared.file_bytes.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.sync {
            Sync::Never => self.writing("sync", || Ok(())),
            Sync::Always => {
                self.writing("sync", || self.medium.sync())?;
                self.shared.syncs.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.writing("write", || self.medium.write(offset, data))?;
        self.shared.bytes_written.fetch_add(data.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}
