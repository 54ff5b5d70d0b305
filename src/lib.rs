//! seedbed: a deterministic simulation testbed for replicated systems, with a built-in Raft key-value store.
//!
//! One idea carries everything: *one scenario, one replica, many worlds*. A [`scenario`] says what happens to a
//! cluster; a replica is a state machine without I/O behind the [`protocol`] seam; a [`world`] runs the one on the
//! other and leaves a [`record`]; a [`check`] judges the record and a [`report`] shows it.
//!
//! A protocol of your own is an implementation of [`protocol::Protocol`] in a crate of yours; run it with
//! [`world::simulation::simulate`]:
//!
//! ```
//! use std::path::Path;
//! use seedbed::broadcast::Broadcast;
//! use seedbed::scenario::Scenario;
//! use seedbed::world::simulation::simulate;
//!
//! let scenario = Scenario::load(Path::new("scenarios/unreliable-1.json"))?.scenario;
//! let record = simulate(&scenario, 7, Broadcast::new);
//! assert!(record.history.incorrect_gets > 0, "naive replication loses updates");
//! # Ok::<(), seedbed::scenario::ScenarioError>(())
//! ```
//!
//! `docs/ARCHITECTURE.md` is the map of the modules; `tests/repository/layers.rs` holds them to it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod broadcast;
pub mod chaos;
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "grpc")]
pub mod client;
pub mod clock;
pub mod consensus;
pub mod hash;
pub mod id;
pub mod kv;
pub mod node;
pub mod printable;
pub mod protocol;
pub mod raft;
pub mod record;
pub mod replica;
pub mod report;
pub mod rng;
#[cfg(feature = "grpc")]
pub mod rpc;
pub mod scenario;
pub mod sweep;
pub mod time;
pub mod wire;
pub mod workload;
pub mod world;
