//! Many runs of shipped protocols, and of others.
//!
//! Here the two sides meet: what is tested, and what tests it.
//!
//! - [`Case`]: one run with all that decides it, judged by all checkers.
//! - [`explore`]: random scenarios, one a seed.
//! - [`shrink`]: a failing case made small.
//! - [`verify`]: every run twice, to see that it is the same.
//! - [`Repro`]: a case and what came of it, as a file.
//! - [`zoo`]: Rafts without one of their rules, which the checkers must convict.

mod case;
pub mod explore;
mod repro;
mod runner;
pub mod shrink;
pub mod verify;
pub mod zoo;

pub use case::{Case, Judged, PANIC, Subject, Trial};
pub use repro::{LoadedRepro, Repro};
pub use runner::{ProtocolName, UnknownProtocol};
