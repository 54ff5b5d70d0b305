//! Runs in progress in virtual time, whatever their world is.

use crate::chaos::Director;
use crate::machine::Machine;
use crate::record::RunRecord;

/// A run in progress in virtual time, of machines of one type: what the laboratory does with runs, it does through this.
pub(crate) trait Run<M: Machine>: Sized {
    /// Makes the next event happen. False if there is no event before the run's end, or the run was stopped.
    fn step(&mut self) -> bool;

    /// Ends the run and returns its record.
    fn finish(self) -> RunRecord;

    /// The replicas; a replica that is down is in the state in which it ended.
    fn replicas(&self) -> &[M];

    /// The living replicas, the observed leader, and which replicas can hear each other.
    fn director(&self) -> &Director;
}
