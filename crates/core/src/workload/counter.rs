//! `counter`: clients that add to counters and read them.

use super::generator::{Generator, Turn};
use crate::service::Operation;

/// The most that a client adds or subtracts at once.
const AMOUNT_MAX: u64 = 9;

/// Of ten amounts, this many are below zero.
const NEGATIVE: u64 = 3;

/// One client.
pub(super) struct CounterClient {
    count: u32,
}

impl CounterClient {
    pub fn new(count: u32) -> CounterClient {
        CounterClient { count }
    }
}

impl Generator for CounterClient {
    fn next(&mut self, turn: &mut Turn) -> Option<Operation> {
        let key = turn.object("counter", self.count);
        if turn.read {
            return Some(Operation::Get { key });
        }
        let amount = turn.random.between(1, AMOUNT_MAX) as i64;
        let sign = if turn.random.below(10) < NEGATIVE { -1 } else { 1 };
        Some(Operation::Add { key, amount: sign * amount })
    }
}
