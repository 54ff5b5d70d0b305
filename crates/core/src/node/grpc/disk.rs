//! The disk of a server: the thread that writes, and what waits for it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::machine::{Exit, Gate, Outbox, Writes};
use crate::server::{Record, Server};
use crate::storage::{Progress, Storage, Usage, Writer};

/// How far a disk has come.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// How many records of this run are synced.
    pub synced: u64,
    /// Why no more will be.
    pub over: Option<Over>,
}

/// Why a disk takes no more records.
#[derive(Clone, Debug)]
pub(super) enum Over {
    /// It is full.
    Full,
    /// It has failed, as this message says.
    Failed(Arc<str>),
}

/// The disk of a server that runs.
#[derive(Debug)]
pub(super) struct Disk {
    queue: Queue,
    gate: Gate<Server>,
    /// What has been handed to the server of the writer's progress.
    synced: u64,
    was_full: bool,
    progress: watch::Receiver<State>,
}

/// The writer's queue.
#[derive(Debug)]
struct Queue {
    writer: Writer<Record>,
    persisted: u64,
    synced: u64,
    /// Whether a sync is wanted. The writer hears of it at the end of a turn, so that one sync serves the whole turn.
    is_wanted: bool,
}

impl Writes<Record> for Queue {
    fn persist(&mut self, record: Record) {
        self.persisted += 1;
        self.writer.persist(record);
    }

    fn want_sync(&mut self) -> Option<u64> {
        let wanted = self.synced < self.persisted;
        self.is_wanted |= wanted;
        wanted.then_some(self.persisted)
    }
}

/// What a disk has to tell the server.
#[derive(Debug)]
pub(super) enum News {
    /// This many records are synced.
    Synced(u64),
    /// There is no room.
    Full,
    /// It must end.
    Failed(Exit),
}

impl Disk {
    /// Begins to write to a storage.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(storage: Storage<Record>) -> std::io::Result<Disk> {
        let (sender, progress) = watch::channel(State::default());
        let writer = Writer::spawn(storage, move |progress| {
            sender.send_modify(|state| match progress {
                Progress::Synced { up_to } => state.synced = up_to,
                Progress::Full => state.over = Some(Over::Full),
                Progress::Failed(error) => state.over = Some(Over::Failed(error.to_string().into())),
            });
        })?;
        let queue = Queue { writer, persisted: 0, synced: 0, is_wanted: false };
        Ok(Disk { queue, gate: Gate::new(), synced: 0, was_full: false, progress })
    }

    /// Takes the effects of one input, and leaves in `passed` those that need not wait.
    pub fn sort_out(&mut self, effects: &mut Outbox<Server>, passed: &mut Outbox<Server>) -> Option<Exit> {
        self.gate.sort_out(effects, &mut self.queue, passed)
    }

    /// Has the records of this turn written, if a sync of them is wanted.
    pub fn flush(&mut self) {
        if std::mem::take(&mut self.queue.is_wanted) {
            self.queue.writer.sync();
        }
    }

    /// Returns when there may be news.
    pub async fn changed(&mut self) {
        if self.progress.changed().await.is_err() {
            // The writer has ended, and has told why.
            std::future::pending().await
        }
    }

    /// What the server must hear next. What waited for it is left in `passed`.
    pub fn news(&mut self, passed: &mut Outbox<Server>) -> Option<News> {
        let State { synced, over } = self.progress.borrow_and_update().clone();
        if synced > self.synced {
            (self.synced, self.queue.synced) = (synced, synced);
            self.gate.open(synced, passed);
            return Some(News::Synced(synced));
        }
        match over? {
            Over::Failed(why) => Some(News::Failed(Exit((*why).into()))),
            Over::Full if self.was_full => None,
            Over::Full => {
                self.was_full = true;
                Some(News::Full)
            }
        }
    }

    /// How much the storage holds and has done.
    pub fn usage(&self) -> Usage {
        self.queue.writer.usage()
    }
}
