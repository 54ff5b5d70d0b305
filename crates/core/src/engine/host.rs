//! The state of a host, apart from the machine that runs on it.

use std::collections::VecDeque;
use std::fmt;

use crate::engine::{Clock, Disk};
use crate::machine::{Emission, Machine};

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
    pub disk: Disk<M::Record>,
    /// How many records were on the disk, or had been, when the machine started.
    pub before: u64,
    /// Emissions that wait, in order, each with the number of records that have to be synced first.
    pub waiting: VecDeque<(u64, Emission<M>)>,
    /// Whether the file ended within a record at the last crash.
    pub torn: bool,
    /// Whether the disk has refused a record of this machine, and whether the machine was notified.
    pub refused: bool,
    pub told_full: bool,
}

impl<M: Machine> Storage<M> {
    pub const fn new(disk: Disk<M::Record>) -> Storage<M> {
        Storage { disk, before: 0, waiting: VecDeque::new(), torn: false, refused: false, told_full: false }
    }
}

impl<M: Machine> fmt::Debug for Storage<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("disk", &self.disk).field("waiting", &self.waiting).finish_non_exhaustive()
    }
}
