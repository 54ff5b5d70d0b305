//! Many runs of shipped protocols.
//!
//! Here the two sides meet: what is tested, and what tests it.
//!
//! - [`Case`]: one run with all that decides it, judged by all checkers.
//! - [`explore`]: random scenarios, one a seed.
//! - [`Repro`]: a case and what came of it, as a file.
//! - [`zoo`]: Rafts without one of its rules, which the checkers must convict.

mod case;
pub mod explore;
mod repro;
mod runner;
pub mod shrink;
pub mod zoo;

pub use case::{Case, Judged, PANIC, Subject, Trial};
pub use repro::{LoadedRepro, Repro};
pub use runner::{ProtocolName, UnknownProtocol};
