//! Judging a finished run. Checks read records and scenarios, never a world.
//!
//! - [`course`]: the verdict of the course's runner, from its counters.

pub mod course;

#[cfg(test)]
pub(crate) mod fixture;
