//! Judging a finished run. Checks read records and scenarios, never a world.
//!
//! - [`course`]: the verdict of the course's runner, from its counters.
//! - [`linear`]: whether the whole history is linearizable.

pub mod course;
pub mod linear;

#[cfg(test)]
pub(crate) mod fixture;
