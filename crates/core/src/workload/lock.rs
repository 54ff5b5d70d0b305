//! `lock`: clients that acquire a lock, hold it and release it.
//!
//! A client wants one lock at a time. Its next request depends on its state:
//!
//! - It holds none: it asks for a random lock. After a refusal it asks for the same lock again half of the time.
//! - It holds one: it releases the lock once its chosen time has passed. Until then it has nothing to ask, and the
//!   request is left out.
//! - It does not know whether it holds one, because an acquire or a release has no answer yet or was abandoned: it
//!   releases the lock to be sure. The answer says whether the client had it; either is fine.
//!
//! An acquire that has no answer may take effect at any later time. Then all clients, including this one, are refused
//! until this client releases the lock. So if a client is refused a lock, and an acquire of it once had no answer, it
//! releases the lock first.

use std::collections::BTreeSet;

use super::generator::{Generator, Lesson, Turn};
use crate::service::{Operation, Text};
use crate::specification::Answer;
use crate::time::{Span, Time};

/// One client.
pub(super) struct LockClient {
    count: u32,
    hold_max: Span,
    state: State,
    /// How long it wants to hold the lock that it asks for.
    hold: Span,
    /// Locks with an acquire that may still take effect: it had no answer when the client continued.
    haunted: BTreeSet<Text>,
}

/// The state of a client.
enum State {
    /// It holds no lock.
    Free,
    /// It holds no lock, and was refused this one.
    Refused(Text),
    /// An acquire is under way.
    Asked(Text),
    /// It holds this lock and wants it until then.
    Held(Text, Time),
    /// It may hold this lock.
    Unsure(Text),
}

impl LockClient {
    pub fn new(count: u32, hold_max: Span) -> LockClient {
        let (state, haunted) = (State::Free, BTreeSet::new());
        LockClient { count, hold_max, state, hold: Span::ZERO, haunted }
    }

    fn acquire(&mut self, turn: &mut Turn, refused: Option<Text>) -> Operation {
        let again = refused.filter(|_| turn.random.chance(0.5));
        let key = again.unwrap_or_else(|| turn.object("lock", self.count));
        self.hold = Span(turn.random.between(0, self.hold_max.nanos()));
        self.state = State::Asked(key.clone());
        Operation::Acquire { key }
    }

    fn release(&mut self, key: Text) -> Operation {
        self.state = State::Unsure(key.clone());
        Operation::Release { key }
    }

    fn learn_acquired(&mut self, key: &Text, answer: Answer<'_>, now: Time) {
        let is_asked = matches!(&self.state, State::Asked(asked) if asked == key);
        match answer {
            Answer::Done(Some(_)) if is_asked => self.state = State::Held(key.clone(), now + self.hold),
            Answer::Done(None) if is_asked && self.haunted.contains(key) => self.state = State::Unsure(key.clone()),
            Answer::Done(None) if is_asked => self.state = State::Refused(key.clone()),
            // The client continued before it got this answer. Its release may have come before this acquire took
            // effect.
            Answer::Done(Some(_)) if matches!(self.state, State::Free | State::Refused(_)) => {
                self.state = State::Unsure(key.clone());
            }
            Answer::Done(_) => {}
            Answer::Unknown => {
                self.haunted.insert(key.clone());
                if is_asked {
                    self.state = State::Unsure(key.clone());
                }
            }
        }
    }

    fn learn_released(&mut self, key: &Text, answer: Answer<'_>) {
        if matches!(answer, Answer::Done(_)) && matches!(&self.state, State::Unsure(unsure) if unsure == key) {
            self.state = State::Free;
        }
    }
}

impl Generator for LockClient {
    fn next(&mut self, turn: &mut Turn) -> Option<Operation> {
        match std::mem::replace(&mut self.state, State::Free) {
            State::Free => Some(self.acquire(turn, None)),
            State::Refused(key) => Some(self.acquire(turn, Some(key))),
            State::Asked(key) => {
                self.haunted.insert(key.clone());
                Some(self.release(key))
            }
            State::Held(key, until) if turn.now < until => {
                self.state = State::Held(key, until);
                None
            }
            State::Held(key, _) | State::Unsure(key) => Some(self.release(key)),
        }
    }

    fn learn(&mut self, lesson: &Lesson<'_>) {
        match lesson.operation {
            Operation::Acquire { key } => self.learn_acquired(key, lesson.answer, lesson.now),
            Operation::Release { key } => self.learn_released(key, lesson.answer),
            _ => {}
        }
    }
}
