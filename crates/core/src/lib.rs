//! The part of seedbed that runs and judges. The package `seedbed` re-exports all of it; other crates depend on that
//! package.
//!
//! `docs/ARCHITECTURE.md` is the map of the modules; `tests/repository/layers.rs` holds them to it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod broadcast;
pub mod campaign;
pub mod chaos;
pub mod check;
#[cfg(feature = "grpc")]
pub mod client;
pub mod clock;
pub mod consensus;
pub mod engine;
pub mod files;
mod free;
pub mod hash;
pub mod hint;
pub mod id;
pub mod kv;
pub mod lab;
pub mod machine;
pub mod mutation;
pub mod node;
pub mod printable;
pub mod raft;
pub mod record;
pub mod replica;
pub mod replicated;
pub mod rng;
#[cfg(feature = "grpc")]
pub mod rpc;
pub mod scenario;
pub mod server;
pub mod service;
pub mod specification;
pub mod storage;
pub mod subjects;
pub mod time;
pub mod wire;
pub mod workload;
pub mod world;
