//! The library from outside: whole runs, what they guarantee, and the files that they come from.

#[path = "../common/mod.rs"]
mod common;

mod determinism;
mod exactly_once;
mod explicit;
mod field;
mod guarantees;
mod judge;
mod linearizability;
mod node;
mod power;
mod raft_scripts;
mod redirects;
mod safety;
mod scenario_files;
mod scenario_writing;
mod server;
mod shrink;
mod verify;
mod workloads;
