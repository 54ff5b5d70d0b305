//! Judging a finished run. Checks read records and scenarios, never a world.
//!
//! - [`raft`]: the invariants of Raft, while a run goes on.
//! - [`course`]: the verdict of the course's runner, from its counters.

pub mod course;
pub mod liveness;
pub mod raft;

#[cfg(test)]
pub(crate) mod fixture;
