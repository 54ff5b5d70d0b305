//! The laboratory: everything that is done with runs of one protocol, whichever it is.
//!
//! - [`Subject`]: what the instruments need to know of a protocol. [`StationSubject`]: the same for replicas on the
//!   course's LAN. [`Protocol`]: a subject of any type, by name.
//! - [`Case`]: one run with all that decides it, judged by all checkers.
//! - [`in_order`]: runs on all cores, whose results are handed on in order.
//! - [`explore`]: random scenarios, one a seed.
//! - [`shrink`]: a failing case made small.
//! - [`verify`]: every run twice, to see that it is the same.
//! - [`Repro`]: a case and what came of it, as a file.
//! - [`ReproFolder`]: where failed runs leave repro files.
//! - [`zoo`]: mutants of a protocol, which the checkers must detect.

mod case;
mod drawn;
pub mod explore;
mod fewer;
pub mod folder;
mod names;
mod ordered;
mod panicked;
mod parameter;
mod plays;
mod program;
mod protocol;
mod repro;
mod seeds;
mod served;
pub mod shrink;
mod station;
mod subject;
mod tested;
pub mod verify;
pub mod zoo;

pub use case::{Case, Judged, PANIC, Trial};
pub use folder::ReproFolder;
pub use ordered::in_order;
pub use parameter::{Parameter, ParameterError};
pub use protocol::{Mutant, Protocol, Protocols, UnknownMutant, UnknownProtocol, station, subject};
pub use repro::{LoadedRepro, Repro};
pub use seeds::{SeedRange, SeedsError};
pub use served::{Unexplorable, Unserved};
pub use station::StationSubject;
pub use subject::{MessageOf, RecordOf, Subject, Timing, Tolerance};
pub use tested::Runs;

#[cfg(test)]
mod tests;
