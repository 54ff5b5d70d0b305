//! The state of a host, apart from the machine that runs on it.

use std::fmt;

use crate::engine::{Clock, Disk};
use crate::machine::{Gate, Machine, Record, Writes};

/// Whether a host's machine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// It runs.
    #[default]
    Up,
    /// It is stopped: messages and timeouts wait for it.
    Paused,
    /// It has ended. Inputs that arrive for it are lost.
    Down,
}

/// The state of one host, for observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether its machine runs.
    pub state: State,
    /// How often its machine was restarted.
    pub incarnation: u32,
    /// Its clock.
    pub clock: Clock,
}

impl Condition {
    /// A host that has just started its machine for the first time.
    pub const FIRST: Condition = Condition { state: State::Up, incarnation: 0, clock: Clock::EXACT };
}

/// The disk of one host, and the effects that wait for it.
pub(super) struct Storage<M: Machine> {
    pub writes: DiskWrites<M::Record>,
    pub gate: Gate<M>,
    /// How many records were on the disk, or had been, when the machine started.
    pub before: u64,
    /// Whether the file ended within a record at the last crash.
    pub torn: bool,
    /// Whether the machine was notified that the disk has refused a record.
    pub told_full: bool,
}

/// A disk that takes nothing any more once it has refused a record.
pub(super) struct DiskWrites<R> {
    pub disk: Disk<R>,
    /// Whether it has refused a record of this machine.
    pub refused: bool,
}

impl<R: Record> Writes<R> for DiskWrites<R> {
    fn persist(&mut self, record: R) {
        // After a refused record the disk takes no more, even if there is room again, because there would be a gap.
        self.refused = self.refused || !self.disk.persist(record);
    }

    fn want_sync(&mut self) -> Option<u64> {
        // A refused record never reaches the disk.
        if self.refused { Some(u64::MAX) } else { self.disk.want_sync().then(|| self.disk.persisted()) }
    }
}

impl<M: Machine> Storage<M> {
    pub const fn new(disk: Disk<M::Record>) -> Storage<M> {
        let writes = DiskWrites { disk, refused: false };
        Storage { writes, gate: Gate::new(), before: 0, torn: false, told_full: false }
    }
}

impl<M: Machine> fmt::Debug for Storage<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("disk", &self.writes.disk).field("gate", &self.gate).finish_non_exhaustive()
    }
}
