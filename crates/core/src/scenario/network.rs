//! How long messages take: the timing models.

use crate::engine::Delay;
use crate::id::ReplicaId;
use crate::time::Span;

/// How messages travel in the virtual world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Network {
    /// As in the course: one router handles all messages, including those of clients, one after another in order of
    /// arrival. Each takes a drawn service time.
    Course {
        /// Time that the router spends on a message.
        service: Delay,
    },
    /// Every message takes a one-way delay of its own, drawn from the link's stream; links never wait for each other.
    Links {
        /// One-way delay of a message.
        delay: Delay,
        /// Whether messages of one link can overtake each other.
        order: Order,
    },
}

impl Default for Network {
    /// One router at 35 to 95 microseconds a message. With this, latencies are close to those of the live world on the
    /// machine that it was fitted on (`docs/fidelity.md`). The runner of the course's authors was seen to take 50 to
    /// 150.
    fn default() -> Network {
        Network::Course { service: Delay::Uniform { min: Span::from_micros(35), max: Span::from_micros(95) } }
    }
}

/// One link between replicas that has another delay than the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkDelay {
    /// The sender.
    pub from: ReplicaId,
    /// The receiver.
    pub to: ReplicaId,
    /// One-way delay of a message.
    pub delay: Delay,
}

/// Whether messages of one link can overtake each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A message with a shorter delay overtakes, as on a datagram network.
    Any,
    /// Messages of one link arrive in the order of sending, as on a stream.
    Fifo,
}
