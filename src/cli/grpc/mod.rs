//! The commands of the gRPC cluster: its servers and its clients.

pub(super) mod cluster;
pub(super) mod serve;
