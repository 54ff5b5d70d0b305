//! Worlds: ways to run a scenario. Each takes a scenario, a seed and a protocol and leaves a
//! [`RunRecord`](crate::record::RunRecord). They differ only in where time comes from and how bytes travel.
//!
//! - [`simulation`]: the virtual world, in one process, on a virtual clock.
//! - [`live`]: real processes over real UDP, in real time. Its rules are those of the course's LAN, [`lan`].
//! - `grpc`: servers of a gRPC cluster, in real time; only with the feature `grpc`.

#[cfg(feature = "grpc")]
pub mod grpc;
pub mod lan;
pub mod live;
pub mod processes;
mod quiet;
pub mod simulation;
mod stage;

pub use quiet::catch_quietly;
