//! Judging a run. Checks read records and scenarios, never a world.
//!
//! - [`course`]: the verdict of the course's runner, from its counters.
//! - [`linear`]: whether the whole history is linearizable.
//! - [`raft`]: the invariants of Raft, during a run.
//! - [`answers`]: whether each request is answered once, by an answer that was asked for.
//! - [`growth`]: whether what a protocol bounds stays within its bounds.
//! - [`liveness`]: whether there is progress once all faults are over.
//! - [`promptness`]: whether answers come soon while nothing disturbs the replicas.
//! - [`faithfulness`]: whether programs did what cannot be simulated.
//! - [`Check`]: the trait of all checkers, also of a protocol's own; [`invariant`] makes one of a closure. [`Panel`]:
//!   the list of checkers that judge a run. [`Judgement`]: the opinions of all of them.

pub mod answers;
pub mod course;
pub mod faithfulness;
pub mod growth;
mod judgement;
pub mod linear;
pub mod liveness;
mod opinion;
mod panel;
pub mod promptness;
pub mod raft;
mod shape;

// For tests and benchmarks of all packages.
#[doc(hidden)]
pub mod fixture;
#[doc(hidden)]
pub mod load;

pub use judgement::{Judgement, LAG_MAX};
pub use opinion::{CUT_SHORT, Checker, Finding, NOT_JUDGED, NOT_WATCHED, OBSTACLE, OK, Opinion, UNKNOWN};
pub use panel::{Both, Check, Evidence, Panel, invariant};
pub use shape::Shape;
