//! Showing finished runs: one file for each output.
//!
//! - [`text`]: one run in the layout of the course's runner.
//! - [`suite`]: many runs as the course's table.
//! - [`compare`]: two worlds side by side.
//! - [`json`] and [`csv`]: one run or many, for other programs.
//! - [`rows`]: the runs of a sweep; [`digest`]: their statistics; [`cells`]: what is shown of these.
//! - [`plot`]: data of any origin as pictures; [`figures`]: runs and sweeps as such data.
//! - [`sweep`]: a whole sweep, which writes such rows, can be interrupted and continued, and can be done in parts.
//! - [`library`]: the built-in files. [`explore`]: an exploration; [`zoo`]: which checkers detect which mutants.
//! - [`repro`]: what a repro file holds, whether a run shows the same failure, and what it was shrunk to.
//!
//! All of them read [`RunSummary`], so their numbers agree. [`trace`] writes the events of a run while it goes on, [`history`] what its clients did. None
//! shows wall-clock time or the machine: a report is as repeatable as its run.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod advice;
#[cfg(feature = "grpc")]
pub mod bench;
pub mod cells;
#[cfg(feature = "grpc")]
pub mod chaos;
mod checkers;
pub mod compare;
pub mod csv;
mod describe;
pub mod digest;
pub mod explore;
#[cfg(feature = "plot")]
pub mod figures;
pub mod history;
pub mod json;
pub mod library;
#[cfg(feature = "plot")]
pub mod plot;
pub mod repro;
pub mod rows;
#[cfg(feature = "grpc")]
pub mod status;
pub mod suite;
mod summary;
pub mod sweep;
pub mod text;
pub mod trace;
mod verdicts;
mod waits;
pub mod zoo;

pub use describe::describe;
pub use summary::{IdleFault, Latency, RunSummary, Statistics, SuiteSummary};
