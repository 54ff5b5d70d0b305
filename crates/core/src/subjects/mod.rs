//! The protocols that come with the testbed, each as a [`Subject`](crate::lab::Subject). Nothing else names a protocol.
//!
//! - [`Raft`]: the key-value store, sound or without one of its rules.
//! - [`Broadcast`]: naive replication, which the testbed must detect.

mod broadcast;
mod raft;

use crate::lab::{Protocol, Protocols, subject};

pub use broadcast::Broadcast;
pub use raft::Raft;

/// The protocols that come with the testbed, Raft first.
pub fn builtin() -> Protocols {
    Protocols::new([raft(), broadcast()])
}

/// The built-in Raft, with its default parameters.
pub fn raft() -> Protocol {
    subject(<Raft>::default())
}

/// Naive replication by broadcast.
pub fn broadcast() -> Protocol {
    subject(Broadcast)
}

#[cfg(test)]
mod tests;
