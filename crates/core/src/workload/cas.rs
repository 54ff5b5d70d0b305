//! `cas`: clients that read, write, compare-and-swap and delete shared keys.

use std::collections::BTreeMap;

use super::generator::{Generator, Lesson, Turn};
use crate::service::{Operation, Text, Update};
use crate::specification::Answer;

/// Of ten writes, this many swap the value that the client saw last, swap another value, and delete. The others put.
const SWAPS: u64 = 5;
const WRONG_SWAPS: u64 = 1;
const DELETES: u64 = 2;

/// One client.
pub(super) struct CasClient {
    count: u32,
    /// The newest value that the client knows for each key. A key without one was never seen, and has "".
    seen: BTreeMap<Text, Text>,
}

impl CasClient {
    pub fn new(count: u32) -> CasClient {
        CasClient { count, seen: BTreeMap::new() }
    }
}

impl Generator for CasClient {
    fn next(&mut self, turn: &mut Turn) -> Option<Operation> {
        let key = turn.object("key", self.count);
        if turn.read {
            return Some(Operation::Get { key });
        }
        let value = turn.unique();
        let update = |key, value, expected| Operation::Update(Update { key, value, expected, request: None }.into());
        Some(match turn.random.below(10) {
            0..SWAPS => {
                let expected = self.seen.get(&key).cloned().unwrap_or_default();
                update(key, value, Some(expected))
            }
            draw if draw < SWAPS + WRONG_SWAPS => {
                let expected = format!("not {value}").into();
                update(key, value, Some(expected))
            }
            draw if draw < SWAPS + WRONG_SWAPS + DELETES => update(key, Text::default(), None),
            _ => Operation::Put { key, value },
        })
    }

    fn learn(&mut self, lesson: &Lesson<'_>) {
        let Answer::Done(answer) = lesson.answer else { return };
        // A value in the answer is the key's value; without one, the key has the written value.
        if let Some(value) = answer.or(lesson.operation.value()) {
            self.seen.insert(lesson.operation.key().clone(), value.clone());
        }
    }
}
