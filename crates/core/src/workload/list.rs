//! `list`: clients that append to lists and read them.

use super::generator::{Generator, Turn};
use crate::service::Operation;

/// One client.
pub(super) struct ListClient {
    count: u32,
}

impl ListClient {
    pub fn new(count: u32) -> ListClient {
        ListClient { count }
    }
}

impl Generator for ListClient {
    fn next(&mut self, turn: &mut Turn) -> Option<Operation> {
        let key = turn.object("list", self.count);
        Some(if turn.read { Operation::Get { key } } else { Operation::Append { key, value: turn.unique() } })
    }
}
