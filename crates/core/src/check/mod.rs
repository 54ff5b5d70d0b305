//! Judging a run. Checks read records and scenarios, never a world.
//!
//! - [`course`]: the verdict of the course's runner, from its counters.
//! - [`linear`]: whether the whole history is linearizable.
//! - [`raft`]: the invariants of Raft, while a run goes on.
//! - [`liveness`]: whether there is progress once all faults are over.
//! - [`Judgement`]: what all of them say.

pub mod course;
mod judgement;
pub mod linear;
pub mod liveness;
pub mod raft;

// For the tests of both packages.
#[doc(hidden)]
pub mod fixture;

pub use judgement::{CUT_SHORT, Checker, Finding, Inside, Judgement, LAG_MAX, UNKNOWN};
