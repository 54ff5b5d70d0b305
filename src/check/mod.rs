//! Judging a run. Checks read records and scenarios, never a world.
//!
//! - [`course`]: the verdict of the course's runner, from its counters.
//! - [`linear`]: whether the whole history is linearizable.
//! - [`raft`]: the invariants of Raft, while a run goes on.
//! - [`liveness`]: whether there is progress once all faults are over.

pub mod course;
pub mod linear;
pub mod liveness;
pub mod raft;

#[cfg(test)]
pub(crate) mod fixture;
