//! `queue`: clients that add values to queues and take them out.

use super::generator::{Generator, Turn};
use crate::service::Operation;

/// One client.
pub(super) struct QueueClient {
    count: u32,
}

impl QueueClient {
    pub fn new(count: u32) -> QueueClient {
        QueueClient { count }
    }
}

impl Generator for QueueClient {
    /// `mix` is the share of requests that take a value out.
    fn next(&mut self, turn: &mut Turn) -> Option<Operation> {
        let key = turn.object("queue", self.count);
        Some(if turn.read { Operation::Dequeue { key } } else { Operation::Enqueue { key, value: turn.unique() } })
    }
}
