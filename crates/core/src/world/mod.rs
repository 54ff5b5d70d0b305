//! Worlds: ways to run a scenario. Each takes a scenario, a seed and a protocol and leaves a
//! [`RunRecord`](crate::record::RunRecord). They differ only in where time comes from and how bytes travel.
//!
//! - [`simulation`]: the virtual world, in one process, on a virtual clock.
//! - [`lan`]: the course's LAN, for machines whose messages are datagrams. [`lan::virtual_time`] plays it on a virtual
//!   clock.
//! - [`program`]: programs of users on that LAN, in virtual time.
//! - [`live`]: real processes over real UDP, in real time, by the rules of that LAN.
//! - `grpc`: servers of a gRPC cluster, in real time; only with the feature `grpc`.

#[cfg(feature = "grpc")]
pub mod grpc;
pub mod lan;
pub mod live;
pub mod processes;
pub mod program;
mod quiet;
mod quota;
mod run;
pub mod simulation;
mod stage;
mod transport;

pub use quiet::catch_quietly;
pub(crate) use run::Run;
pub use transport::{Route, Transport};
