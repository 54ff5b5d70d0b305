//! A thread that writes for a machine: one commit for all records that wait.

use std::marker::Send;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::backend::Shared;
use super::{Storage, StorageError, Usage};
use crate::machine::Record;

/// A commit takes records until they have this many bytes. More would keep those that come later waiting for longer.
const COMMIT_BYTES_MAX: usize = 4 << 20;

/// As many records are written without a request to sync them, so that they do not pile up in memory.
const UNASKED_MAX: usize = 1_024;

/// The pause between two commits that only remove what a checkpoint has replaced. A record that comes meanwhile waits
/// for one of them at most.
const TIDY_EVERY: Duration = Duration::from_millis(5);

/// What a [`Writer`] tells.
#[derive(Debug)]
pub enum Progress {
    /// More records are synced.
    Synced {
        /// How many of the records that this writer was given are synced, as in [`crate::machine::Input::Synced`].
        up_to: u64,
    },
    /// There is no room ([`crate::machine::Input::DiskFull`]). Nothing more is written or told.
    Full(StorageError),
    /// The disk has failed. Nothing more is written or told, and the machine must end.
    Failed(StorageError),
}

/// A thread that writes records in the order in which they come. While one commit is under way, others wait, and the
/// next commit has them all.
///
/// Dropping it writes all records that wait, tells how that went, and ends the thread.
#[derive(Debug)]
pub struct Writer<R> {
    queue: Arc<Queue<R>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl<R: Record + Serialize + DeserializeOwned + Send + 'static> Writer<R> {
    /// Starts the thread. It calls `tell` after each commit.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn spawn(storage: Storage<R>, tell: impl FnMut(Progress) + Send + 'static) -> io::Result<Writer<R>> {
        let queue = Arc::new(Queue { waiting: Mutex::new(Waiting::default()), changed: Condvar::new() });
        let shared = storage.shared.clone();
        let work = Work { storage, queue: queue.clone(), written: 0, tell };
        let thread = thread::Builder::new().name("storage".to_owned()).spawn(|| work.run())?;
        Ok(Writer { queue, shared, thread: Some(thread) })
    }
}

impl<R> Writer<R> {
    /// Queues a record. After a failure it is dropped.
    pub fn persist(&self, record: R) {
        let mut waiting = self.queue.lock();
        if waiting.is_over {
            return;
        }
        waiting.records.push(record);
        if waiting.records.len() == UNASKED_MAX {
            self.queue.changed.notify_one();
        }
    }

    /// Asks for a sync of all records that were queued.
    pub fn sync(&self) {
        let mut waiting = self.queue.lock();
        if !waiting.records.is_empty() {
            waiting.is_asked = true;
            self.queue.changed.notify_one();
        }
    }

    /// How much the storage holds and has done.
    pub fn usage(&self) -> Usage {
        Usage::of(&self.shared)
    }
}

impl<R> Drop for Writer<R> {
    fn drop(&mut self) {
        self.queue.lock().is_closing = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of `tell` was shown when it happened.
            let _ = thread.join();
        }
    }
}

/// What the two threads share.
#[derive(Debug)]
struct Queue<R> {
    waiting: Mutex<Waiting<R>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Waiting<R> {
    records: Vec<R>,
    /// A sync of them is wanted.
    is_asked: bool,
    /// No more will come.
    is_closing: bool,
    /// Nothing more is written.
    is_over: bool,
}

impl<R> Default for Waiting<R> {
    fn default() -> Waiting<R> {
        Waiting { records: Vec::new(), is_asked: false, is_closing: false, is_over: false }
    }
}

impl<R> Queue<R> {
    /// No code panics while it holds the lock, so a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, Waiting<R>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on records are dropped, and so are those that wait.
    fn end(&self) {
        let mut waiting = self.lock();
        waiting.is_over = true;
        waiting.records = Vec::new();
    }

    /// Waits for work, and takes all of it.
    fn take(&self, into: &mut Vec<R>, is_untidy: bool) -> Next {
        let mut waiting = self.lock();
        loop {
            if waiting.is_asked || waiting.is_closing || waiting.records.len() >= UNASKED_MAX {
                // The two lists take turns, so that neither allocates in the steady state.
                mem::swap(&mut waiting.records, into);
                waiting.is_asked = false;
                return if waiting.is_closing { Next::Close } else { Next::Write };
            }
            if is_untidy {
                let (guard, timeout) =
                    self.changed.wait_timeout(waiting, TIDY_EVERY).unwrap_or_else(PoisonError::into_inner);
                waiting = guard;
                if timeout.timed_out() && !waiting.is_asked {
                    return Next::Tidy;
                }
            } else {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// What the thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Write,
    Tidy,
    /// Write what was taken, and end.
    Close,
}

/// The thread.
struct Work<R, T> {
    storage: Storage<R>,
    queue: Arc<Queue<R>>,
    /// How many records are written.
    written: u64,
    tell: T,
}

/// However the thread ends, also by a panic of `tell`, records do not pile up that it will never write.
impl<R, T> Drop for Work<R, T> {
    fn drop(&mut self) {
        self.queue.end();
    }
}

impl<R: Record + Serialize + DeserializeOwned, T: FnMut(Progress)> Work<R, T> {
    fn run(mut self) {
        // A machine whose writer has gone must hear of it: it would wait for ever for what it has persisted.
        let written = panic::catch_unwind(AssertUnwindSafe(|| self.write_all()));
        let written = written.unwrap_or_else(|_| Err(self.storage.broken()));
        if let Err(error) = written {
            self.queue.end();
            (self.tell)(match error {
                StorageError::Full { .. } => Progress::Full(error),
                error => Progress::Failed(error),
            });
        }
    }

    /// Writes until it is told to end, or cannot.
    fn write_all(&mut self) -> Result<(), StorageError> {
        let mut records = Vec::new();
        loop {
            let next = self.queue.take(&mut records, self.storage.has_replaced);
            if next == Next::Tidy {
                self.storage.tidy()?;
                continue;
            }
            let mut rest = records.as_slice();
            while !rest.is_empty() {
                let count = self.storage.write_some(rest, COMMIT_BYTES_MAX)?;
                rest = &rest[count..];
                self.written += count as u64;
                (self.tell)(Progress::Synced { up_to: self.written });
            }
            records.clear();
            if next == Next::Close {
                return Ok(());
            }
        }
    }
}
