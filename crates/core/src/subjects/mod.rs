//! The built-in protocols, each as a [`Subject`](crate::lab::Subject). No other module names a protocol.
//!
//! - [`Raft`]: the key-value store, with all rules or without one of them.
//! - [`Broadcast`]: naive replication, which the testbed must detect.

mod broadcast;
mod raft;

use crate::lab::{Protocol, Protocols, subject};

pub use broadcast::Broadcast;
pub use raft::Raft;

/// The built-in protocols, Raft first.
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
