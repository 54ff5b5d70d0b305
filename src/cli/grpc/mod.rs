//! The commands of the gRPC cluster: its servers and its clients.

mod bench;
pub(super) mod chaos;
pub(super) mod cluster;
mod connection;
pub(super) mod kv;
mod play;
pub(super) mod serve;
pub(super) mod status;
