//! The built-in protocols, each as a [`Subject`](crate::lab::Subject). No other module names a protocol.
//!
//! - [`Raft`]: the key-value store, with all rules or without one of them.
//! - [`Broadcast`]: naive replication, which the testbed must detect.
//! - [`Node`]: the key-value store as `3700kvstore` ships it, a [`StationSubject`](crate::lab::StationSubject).
//! - [`Cluster`]: the servers of `seedbed cluster` as they ship.

mod broadcast;
mod cluster;
mod node;
mod raft;

use crate::lab::{Protocol, Protocols, station, subject};

pub use broadcast::Broadcast;
pub use cluster::Cluster;
pub use node::Node;
pub use raft::Raft;

/// The built-in protocols, Raft first.
pub fn builtin() -> Protocols {
    Protocols::new([raft(), broadcast(), node(), cluster()])
}

/// The built-in Raft, with its default parameters.
pub fn raft() -> Protocol {
    subject(<Raft>::default())
}

/// Naive replication by broadcast.
pub fn broadcast() -> Protocol {
    subject(Broadcast)
}

/// The replica that `3700kvstore` runs, on the course's LAN, with its default parameters.
pub fn node() -> Protocol {
    station(Node::default())
}

/// The servers of `seedbed cluster`, with their default parameters.
pub fn cluster() -> Protocol {
    subject(<Cluster>::default())
}

#[cfg(test)]
mod tests;
