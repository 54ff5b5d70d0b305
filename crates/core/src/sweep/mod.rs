//! Many runs of shipped protocols, and of others.
//!
//! Here the two sides meet: what is tested, and what tests it.
//!
//! - [`Case`]: one run with all that decides it, judged by all checkers.
//! - [`grid`]: scenarios, swept values, protocols and seeds, and the run of each combination.
//! - [`in_order`]: runs on all cores, whose results are handed on in order.
//! - [`explore`]: random scenarios, one a seed.
//! - [`shrink`]: a failing case made small.
//! - [`verify`]: every run twice, to see that it is the same.
//! - [`Repro`]: a case and what came of it, as a file.
//! - [`zoo`]: Rafts without one of their rules, which the checkers must convict.

mod case;
pub mod explore;
pub mod grid;
mod ordered;
mod repro;
mod runner;
mod seeds;
pub mod shrink;
mod tally;
pub mod verify;
pub mod zoo;

pub use case::{Case, Judged, PANIC, Subject, Trial};
pub use ordered::in_order;
pub use repro::{LoadedRepro, Repro};
pub use runner::{ProtocolName, RaftWatcher, UnknownProtocol, Watcher};
pub use seeds::{SeedRange, SeedsError};
pub use tally::Reigns;
