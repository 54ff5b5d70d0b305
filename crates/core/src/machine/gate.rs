//! The gate at which effects wait for a disk: clause 3 of the contract, for every host that has one.

use std::collections::VecDeque;
use std::fmt;

use super::{Effect, Emission, Exit, Machine, Outbox};

/// A disk's queue of writes, as a [`Gate`] uses it. Records are numbered from 1.
pub trait Writes<R> {
    /// Appends a record.
    fn persist(&mut self, record: R);

    /// Asks for a sync of all records so far. Returns the number of the last one, or none if all are on the disk.
    fn want_sync(&mut self) -> Option<u64>;
}

/// Holds back the effects behind a sync until the disk has come as far.
pub struct Gate<M: Machine> {
    /// What waits, in order, each with the number of the record that has to be on the disk first.
    waiting: VecDeque<(u64, Emission<M>)>,
}

impl<M: Machine> Gate<M> {
    /// A gate at which nothing waits.
    pub const fn new() -> Gate<M> {
        Gate { waiting: VecDeque::new() }
    }

    /// Takes the effects of one input: hands the records to the disk, keeps what has to wait, and leaves all other
    /// emissions in `passed`. Returns the reason if the machine ends.
    pub fn sort_out(
        &mut self,
        effects: &mut Outbox<M>,
        disk: &mut impl Writes<M::Record>,
        passed: &mut Outbox<M>,
    ) -> Option<Exit> {
        let mut held = None;
        for effect in effects.drain() {
            match effect {
                Effect::Persist(record) => disk.persist(record),
                Effect::Sync => held = disk.want_sync(),
                Effect::Emit(emission) => match held {
                    Some(number) => self.waiting.push_back((number, emission)),
                    None => passed.emit(emission),
                },
                Effect::Exit(why) => return Some(why),
            }
        }
        None
    }

    /// The disk has come as far as this record: leaves in `passed` what waited for it.
    pub fn open(&mut self, up_to: u64, passed: &mut Outbox<M>) {
        let ready = self.waiting.partition_point(|(number, _)| *number <= up_to);
        self.waiting.drain(..ready).for_each(|(_, emission)| passed.emit(emission));
    }

    /// Drops all that waits: it has not happened.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// The effects of one input on a host without a disk: records are dropped, and nothing waits. Returns the reason if the
/// machine ends.
pub fn pass<M: Machine>(effects: &mut Outbox<M>, passed: &mut Outbox<M>) -> Option<Exit> {
    for effect in effects.drain() {
        match effect {
            Effect::Emit(emission) => passed.emit(emission),
            Effect::Persist(_) | Effect::Sync => {}
            Effect::Exit(why) => return Some(why),
        }
    }
    None
}

impl<M: Machine> Default for Gate<M> {
    fn default() -> Gate<M> {
        Gate::new()
    }
}

impl<M: Machine> fmt::Debug for Gate<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("waiting", &self.waiting).finish()
    }
}
