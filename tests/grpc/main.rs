//! Clusters of real servers on this machine, and the commands that are about them.

#[path = "../common/mod.rs"]
mod common;

mod clients;
mod cluster;
mod crashes;
mod demo;
mod deploy;
mod guide;
mod restarts;
mod server;
mod soak;
mod stock;
mod world;
