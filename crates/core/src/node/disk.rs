//! The disk of a program: the thread that writes, and what waits for it.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::machine::{Exit, Gate, Input, Machine, Outbox, Record, Writes};
use crate::storage::{Progress, Storage, Usage, Writer};
use crate::time::{Span, Time};

/// The disk of a machine that runs in a program of its own.
pub struct Disk<M: Machine> {
    queue: Queue<M::Record>,
    gate: Gate<M>,
    was_full: bool,
    progress: Arc<Mutex<State>>,
}

/// How far a disk has come.
#[derive(Clone, Debug, Default)]
struct State {
    /// How many records of this run are synced.
    synced: u64,
    /// Why no more will be.
    over: Option<Over>,
}

/// Why a disk takes no more records, in words.
#[derive(Clone, Debug)]
enum Over {
    /// It is full.
    Full(Box<str>),
    /// It has failed.
    Failed(Box<str>),
}

/// The writer's queue.
struct Queue<R> {
    writer: Writer<R>,
    persisted: u64,
    synced: u64,
    /// How many checkpoints were persisted.
    checkpoints: u64,
    /// When a sync was asked for that has not come, or since when another one is due.
    waits_since: Option<Time>,
    /// Whether a sync is wanted. The writer hears of it at the end of a turn, so that one sync serves the whole turn.
    is_wanted: bool,
}

impl<R: Record> Writes<R> for Queue<R> {
    fn persist(&mut self, record: R) {
        self.persisted += 1;
        self.checkpoints += u64::from(record.ends_checkpoint());
        self.writer.persist(record);
    }

    fn want_sync(&mut self) -> Option<u64> {
        let wanted = self.synced < self.persisted;
        self.is_wanted |= wanted;
        wanted.then_some(self.persisted)
    }
}

impl<M: Machine> Disk<M> {
    /// Begins to write to a storage. `notify` is called on another thread whenever there is news.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(storage: Storage<M::Record>, notify: impl Fn() + Send + 'static) -> io::Result<Disk<M>>
    where
        M::Record: Serialize + DeserializeOwned + Send + 'static,
    {
        let progress = Arc::new(Mutex::new(State::default()));
        let told = Arc::clone(&progress);
        let writer = Writer::spawn(storage, move |progress| {
            let mut state = told.lock().unwrap_or_else(PoisonError::into_inner);
            match progress {
                Progress::Synced { up_to } => state.synced = up_to,
                Progress::Full(error) => state.over = Some(Over::Full(error.to_string().into())),
                Progress::Failed(error) => state.over = Some(Over::Failed(error.to_string().into())),
            }
            drop(state);
            notify();
        })?;
        let queue = Queue { writer, persisted: 0, synced: 0, checkpoints: 0, waits_since: None, is_wanted: false };
        Ok(Disk { queue, gate: Gate::new(), was_full: false, progress })
    }

    /// Takes the effects of one input, and leaves in `passed` those that need not wait.
    pub fn sort_out(&mut self, effects: &mut Outbox<M>, passed: &mut Outbox<M>) -> Option<Exit> {
        self.gate.sort_out(effects, &mut self.queue, passed)
    }

    /// Has the records of this turn written, if a sync of them is wanted.
    pub fn flush(&mut self, now: Time) {
        if std::mem::take(&mut self.queue.is_wanted) {
            self.queue.waits_since.get_or_insert(now);
            self.queue.writer.sync();
        }
    }

    /// What the machine must hear next, or why it must end. What waited for it is left in `passed`.
    pub fn news(&mut self, now: Time, passed: &mut Outbox<M>) -> Option<Result<Input<M>, Exit>> {
        let State { synced, over } = self.state().clone();
        if synced > self.queue.synced {
            self.queue.synced = synced;
            self.queue.waits_since = (synced < self.queue.persisted).then_some(now);
            self.gate.open(synced, passed);
            return Some(Ok(Input::Synced { up_to: synced }));
        }
        match over? {
            Over::Failed(why) => Some(Err(Exit(why))),
            Over::Full(_) if self.was_full => None,
            Over::Full(_) => {
                self.was_full = true;
                Some(Ok(Input::DiskFull))
            }
        }
    }

    /// Why the machine ends: as it says, unless the disk knows better.
    pub fn explain(&self, why: Exit) -> Exit {
        match &self.state().over {
            Some(Over::Full(text) | Over::Failed(text)) => Exit(text.clone()),
            None => why,
        }
    }

    /// For how long the oldest request for a sync has had no answer.
    pub fn waits(&self, now: Time) -> Span {
        self.queue.waits_since.map_or(Span::ZERO, |since| now.since(since))
    }

    /// Writes and syncs all that is queued. The machine has ended.
    ///
    /// # Errors
    /// If something cannot be written. It has not been promised.
    pub fn close(self) -> Result<(), Exit> {
        let Disk { queue, progress, .. } = self;
        drop(queue);
        let state = progress.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.over {
            Some(Over::Full(text) | Over::Failed(text)) => Err(Exit(text.clone())),
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much the storage holds and has done.
    pub fn usage(&self) -> Usage {
        self.queue.writer.usage()
    }

    /// How many snapshots were handed to it since its start.
    pub fn snapshots(&self) -> u64 {
        self.queue.checkpoints
    }
}

impl<M: Machine> fmt::Debug for Disk<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Queue { persisted, synced, .. } = self.queue;
        f.debug_struct("Disk").field("persisted", &persisted).field("synced", &synced).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;
    use crate::id::ReplicaId;
    use crate::machine::{Emission, Recovered};
    use crate::server::admission::{Fact, Memory};
    use crate::server::{self, Message, Server};
    use crate::storage::{Owner, Sync};

    fn open(folder: &Path) -> (Storage<server::Record>, Recovered<server::Record>) {
        let owner =
            Owner { program: "test".to_owned(), cluster: "blue".to_owned(), replica: ReplicaId(0), replicas: 3 };
        Storage::open(folder, &owner, Sync::Always).expect("a folder")
    }

    /// A disk in this folder, and what hears its bell.
    fn start(folder: &Path) -> (Disk<Server>, Receiver<()>) {
        let (ring, rung) = channel();
        // The test may not listen any more.
        let ring = move || ring.send(()).unwrap_or_default();
        let disk = Disk::start(open(folder).0, ring).expect("a thread");
        (disk, rung)
    }

    fn hello(number: u64) -> Message {
        Message::Hello { memory: Memory(number) }
    }

    /// Leaves a message, a record and a sync, and another message.
    fn leave(number: u64, out: &mut Outbox<Server>) {
        out.send(ReplicaId(1), hello(number));
        out.persist(server::Record::Fact(Fact::Own(Memory(number))));
        out.sync();
        out.send(ReplicaId(1), hello(number + 1));
    }

    fn sent(passed: &mut Outbox<Server>) -> Vec<u64> {
        let numbers = passed.emissions().map(|emission| match emission {
            Emission::Send { message: Message::Hello { memory: Memory(number) }, .. } => number,
            _ => panic!("only hellos are sent"),
        });
        numbers.collect()
    }

    #[test]
    fn what_stands_behind_a_sync_waits_for_the_disk_and_nothing_else_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut disk, rung) = start(folder.path());
        let (mut out, mut passed) = (Outbox::new(), Outbox::new());
        let now = Time::ZERO;
        leave(10, &mut out);
        assert_eq!(disk.sort_out(&mut out, &mut passed), None);
        // Another input holds nothing up that it does not wait for itself.
        out.send(ReplicaId(2), hello(20));
        assert_eq!(disk.sort_out(&mut out, &mut passed), None);
        assert_eq!(sent(&mut passed), [10, 20]);
        assert!(disk.news(now, &mut passed).is_none(), "no sync was asked for yet");
        disk.flush(now);
        assert_eq!(disk.waits(now + Span::from_secs(2)), Span::from_secs(2));
        rung.recv_timeout(Duration::from_secs(20)).expect("the bell");
        assert!(matches!(disk.news(now, &mut passed), Some(Ok(Input::Synced { up_to: 1 }))));
        assert_eq!(sent(&mut passed), [11]);
        assert!(disk.news(now, &mut passed).is_none());
        assert_eq!(disk.waits(now + Span::from_secs(2)), Span::ZERO);
        // All is on the disk, so nothing waits.
        out.sync();
        out.send(ReplicaId(1), hello(30));
        assert_eq!(disk.sort_out(&mut out, &mut passed), None);
        assert_eq!(sent(&mut passed), [30]);
        assert_eq!((disk.usage().records, disk.snapshots()), (1, 0));
    }

    #[test]
    fn a_disk_that_is_closed_has_all_that_was_queued_and_what_waited_has_not_happened() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut disk, _rung) = start(folder.path());
        let (mut out, mut passed) = (Outbox::new(), Outbox::new());
        (0..5).for_each(|number| leave(10 * number, &mut out));
        out.exit(Exit("as planned".into()));
        assert_eq!(disk.sort_out(&mut out, &mut passed), Some(Exit("as planned".into())));
        assert_eq!(sent(&mut passed), [0], "later messages stand behind a sync");
        assert_eq!(disk.explain(Exit("as planned".into())), Exit("as planned".into()), "the disk knows no better");
        assert_eq!(disk.close(), Ok(()));
        assert_eq!(open(folder.path()).1.records.len(), 5);
    }
}
