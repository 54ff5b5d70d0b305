//! The built-in protocols, each as a [`Subject`](crate::lab::Subject). No other module names a protocol.
//!
//! - [`Raft`]: the key-value store, with all rules or without one of them.
//! - [`Broadcast`]: naive replication, which the testbed must detect.
//! - [`Node`]: the key-value store as `3700kvstore` ships it, a [`StationSubject`](crate::lab::StationSubject).

mod broadcast;
mod node;
mod raft;

use crate::lab::{Protocol, Protocols, station, subject};

pub use broadcast::Broadcast;
pub use node::Node;
pub use raft::Raft;

/// The built-in protocols, Raft first.
pub fn builtin() -> Protocols {
    Protocols::new([raft(), broadcast(), node()])
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

#[cfg(test)]
mod tests;
