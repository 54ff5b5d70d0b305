//! Linearizability of a whole history: is there one order of all operations, in line with time, in which every get
//! returns what the newest put before it wrote?
//!
//! # What is judged
//!
//! Every key is a register of its own that holds "" at first. An object made of parts is linearizable exactly if each
//! part is (Herlihy & Wing 1990, "Linearizability: a correctness condition for concurrent objects", locality), so keys
//! are judged one by one. Of the clients' attempts,
//!
//! - a put answered `ok` took effect once, between its sending and its answer;
//! - a put that failed or stayed unanswered may take effect at any time after its sending, or never;
//! - a put that was redirected has not taken effect and never will, so it is no operation at all: the replica said "not
//!   me", and a redirect that leaves something in a log is a bug that this finds;
//! - a get answered `ok` read its value at one point between its sending and its answer;
//! - any other get counts for nothing;
//! - an `ok` for a get that carries no value is wrong by itself;
//! - an attempt that repeats another is one more operation.
//!
//! One operation comes before another only if its answer is earlier than the other's sending. If both are at the same
//! time, either order will do.
//!
//! # How
//!
//! 1. One pass over the history gathers the operations of each key by value, and one sweep over these *zones* looks for
//!    two that get in each other's way (`zones.rs`, after Gibbons & Korach 1997). That takes the time of a sort. It
//!    decides every key whose puts all have values of their own, and finds a proof for almost every other key that is
//!    linearizable. Most checks end here.
//! 2. What is left is searched, with a memo of what led nowhere (`search.rs`, after Wing & Gong 1993 and Lowe 2017).
//!    This problem is NP-complete, so the search has a [`Budget`]. When it is spent, the verdict is *unknown*, never
//!    *pass*.
//! 3. Of a key that is wrong, bisection finds the shortest prefix that is. Every prefix of a linearizable history is
//!    linearizable, so there is one answer with which it became wrong, and [`Violation`] tells of it.
//!
//! All this is about registers. [`check_against`] judges objects of any other type by the same rules, against a
//! [`Specification`](crate::specification::Specification); [`READY`] lists those that come with seedbed.

mod any;
mod explain;
mod opinion;
mod register;
mod search;
mod words;
mod wrong;
mod zones;

use hashbrown::HashTable;

use crate::hash::StableHasher;
use crate::record::{Attempt, History, Outcome};
use crate::service::Text;

pub use any::{AnySpecification, READY, Stranger, UnknownSpecification, by_name, check_against, fitting, of_kind};
pub use explain::Violation;
pub use opinion::{Linearizability, opinion};
use register::{Op, Register};
use search::Search;
pub use wrong::{WrongRead, wrong_reads};
use zones::{Block, Zone};

/// How much work a check may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Steps of all searches of one check together: a step is a look at one operation, some nanoseconds.
    pub steps: u64,
    /// The size of a search's memo in words of 8 bytes; tables grow by doubling, so it takes up to twice the memory. A
    /// full memo learns nothing more, which costs steps.
    pub memo_words: usize,
}

impl Default for Budget {
    /// Less than a second, and 256 MiB, at most.
    fn default() -> Budget {
        Budget { steps: 40_000_000, memo_words: 16 << 20 }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains every answer.
    Linearizable {
        /// The operations that counted: puts, and gets that were answered `ok`.
        operations: usize,
        /// The keys that they are about.
        keys: usize,
    },
    /// The budget was spent before that was known. No key is known to be wrong.
    Unknown {
        /// The first key that was not decided.
        key: Text,
        /// The operations on it.
        operations: usize,
    },
    /// No order explains the answers.
    Violation(Box<Violation>),
}

impl Verdict {
    /// Whether the history is known to be linearizable.
    pub fn is_linearizable(&self) -> bool {
        matches!(self, Verdict::Linearizable { .. })
    }
}

/// Checks a history within the default budget. To check many, keep a [`Checker`].
pub fn check(history: &History) -> Verdict {
    Checker::new(Budget::default()).check(history)
}

/// A check that keeps its memory, so that checking many histories allocates little.
#[derive(Clone, Debug)]
pub struct Checker {
    budget: Budget,
    key_table: HashTable<u32>,
    keys: Vec<Key>,
    value_table: HashTable<u32>,
    values: Vec<Value>,
    /// For each attempt that counts its number in the history, its key and its value.
    places: Vec<Place>,
    blocks: Vec<Block>,
    /// Keys that the zones leave in doubt.
    suspects: Vec<u32>,
}

/// A key of the history.
#[derive(Clone, Copy, Debug)]
struct Key {
    hash: u64,
    /// An attempt that is about it.
    attempt: u32,
}

/// A value of a key.
#[derive(Clone, Copy, Debug)]
struct Value {
    hash: u64,
    key: u32,
    /// An attempt that writes or reads it.
    attempt: u32,
    zone: Zone,
}

/// Where an attempt belongs.
#[derive(Clone, Copy, Debug)]
struct Place {
    attempt: u32,
    key: u32,
    /// [`NO_VALUE`] if the answer to a get carries none.
    value: u32,
}

const NO_VALUE: u32 = u32::MAX;

impl Checker {
    /// A checker with this budget for each check.
    pub fn new(budget: Budget) -> Checker {
        Checker {
            budget,
            key_table: HashTable::new(),
            keys: Vec::new(),
            value_table: HashTable::new(),
            values: Vec::new(),
            places: Vec::new(),
            blocks: Vec::new(),
            suspects: Vec::new(),
        }
    }

    /// Checks a history.
    ///
    /// # Panics
    /// If the history has 2^31 attempts or more.
    pub fn check(&mut self, history: &History) -> Verdict {
        self.gather(&history.attempts);
        self.sweep();
        if self.suspects.is_empty() {
            return Verdict::Linearizable { operations: self.places.len(), keys: self.keys.len() };
        }
        self.investigate(history)
    }

    /// Sorts all operations by key and value.
    fn gather(&mut self, attempts: &[Attempt]) {
        assert!(attempts.len() < 1 << 31, "attempts are numbered with 31 bits");
        self.key_table.clear();
        self.keys.clear();
        self.value_table.clear();
        self.values.clear();
        self.places.clear();
        self.suspects.clear();
        for (number, attempt) in attempts.iter().enumerate() {
            if !counts(attempt) {
                continue;
            }
            let key = self.key(attempts, number, attempt.operation.key());
            let value = match value(attempt) {
                Some(text) => {
                    let value = self.value(attempts, number, key, text);
                    let (invoked, answered) = interval(attempt);
                    let zone = &mut self.values[value as usize].zone;
                    if attempt.operation.is_get() {
                        zone.get(invoked, answered)
                    } else {
                        zone.put(invoked, answered)
                    };
                    value
                }
                None => {
                    self.suspects.push(key);
                    NO_VALUE
                }
            };
            self.places.push(Place { attempt: number as u32, key, value });
        }
    }

    /// The number of a key.
    fn key(&mut self, attempts: &[Attempt], number: usize, key: &Text) -> u32 {
        let hash = StableHasher::of(&**key);
        let keys = &mut self.keys;
        let same = |&other: &u32| {
            let other = keys[other as usize];
            other.hash == hash && same_text(attempts[other.attempt as usize].operation.key(), key)
        };
        if let Some(&known) = self.key_table.find(hash, same) {
            return known;
        }
        let new = keys.len() as u32;
        keys.push(Key { hash, attempt: number as u32 });
        self.key_table.insert_unique(hash, new, |&other| keys[other as usize].hash);
        new
    }

    /// The number of a value of a key.
    fn value(&mut self, attempts: &[Attempt], number: usize, key: u32, text: &Text) -> u32 {
        let hash = StableHasher::of(&(key, &**text));
        let values = &mut self.values;
        let same = |&other: &u32| {
            let other = values[other as usize];
            let written = || value(&attempts[other.attempt as usize]).expect("an attempt with a value");
            other.hash == hash && other.key == key && same_text(written(), text)
        };
        if let Some(&known) = self.value_table.find(hash, same) {
            return known;
        }
        let new = values.len() as u32;
        let zone = if text.is_empty() { Zone::INITIAL } else { Zone::EMPTY };
        values.push(Value { hash, key, attempt: number as u32, zone });
        self.value_table.insert_unique(hash, new, |&other| values[other as usize].hash);
        new
    }

    /// Finds the keys whose values do not fit one after the other.
    fn sweep(&mut self) {
        self.blocks.clear();
        for (number, value) in self.values.iter().enumerate() {
            if value.zone.is_from_nowhere() {
                self.suspects.push(value.key);
            } else {
                self.blocks.extend(value.zone.block(value.key, number as u32));
            }
        }
        zones::sort(&mut self.blocks);
        for blocks in self.blocks.chunk_by(|one, other| one.key == other.key) {
            if zones::conflict(blocks).is_some() {
                self.suspects.push(blocks[0].key);
            }
        }
    }

    /// Looks closer at the keys in doubt.
    fn investigate(&mut self, history: &History) -> Verdict {
        let mut registers = self.registers(&history.attempts);
        // A short one more likely needs few steps: what is hard shall not take them from what is easy.
        registers.sort_by_key(|register| register.ops.len());
        let mut search = Search::new(self.budget);
        let mut undecided: Option<u32> = None;
        let mut wrong: Vec<Register> = Vec::new();
        for register in registers {
            match register.is_linearizable(&mut search) {
                Some(true) if register.valueless.is_empty() => {}
                None if register.valueless.is_empty() => {
                    undecided = Some(undecided.map_or(register.key, |key| key.min(register.key)));
                }
                _ => wrong.push(register),
            }
        }
        let findings = wrong.iter().map(|register| (register, register.first_wrong(&mut search)));
        if let Some((register, first)) = findings.min_by_key(|(_, first)| (first.answered, first.attempt)) {
            let minimal = first.minimal && undecided.is_none();
            return Verdict::Violation(Box::new(explain::violation(history, register, first, minimal)));
        }
        match undecided {
            Some(key) => Verdict::Unknown {
                key: history.attempts[self.keys[key as usize].attempt as usize].operation.key().clone(),
                operations: self.places.iter().filter(|place| place.key == key).count(),
            },
            None => Verdict::Linearizable { operations: self.places.len(), keys: self.keys.len() },
        }
    }

    /// The keys in doubt with all their operations.
    fn registers(&mut self, attempts: &[Attempt]) -> Vec<Register> {
        self.suspects.sort_unstable();
        self.suspects.dedup();
        let suspects = &self.suspects;
        let mut places = self.places.clone();
        places.retain(|place| suspects.binary_search(&place.key).is_ok());
        places.sort_by_key(|place| place.key);
        let mut registers = Vec::with_capacity(suspects.len());
        for places in places.chunk_by(|one, other| one.key == other.key) {
            let mut register = Register::new(places[0].key);
            for place in places {
                let attempt = &attempts[place.attempt as usize];
                let (invoked, answered) = interval(attempt);
                let is_put = !attempt.operation.is_get();
                match value(attempt) {
                    Some(text) => {
                        let value = if text.is_empty() { None } else { Some(place.value) };
                        register.ops.push(Op {
                            attempt: place.attempt,
                            value: register::INITIAL,
                            is_put,
                            invoked,
                            answered,
                        });
                        register.names.push(value);
                    }
                    None => register.valueless.push((answered, place.attempt)),
                }
            }
            register.number_values();
            registers.push(register);
        }
        registers
    }
}

/// Whether an attempt is an operation: a get that was not answered with `ok` says nothing, and what was redirected did
/// nothing.
fn counts(attempt: &Attempt) -> bool {
    match attempt.answer {
        Some((_, Outcome::Ok(_))) => true,
        Some((_, Outcome::Redirect)) => false,
        _ => !attempt.operation.is_get(),
    }
}

/// What an operation wrote or read. No history has updates; one without a condition would be a put.
fn value(attempt: &Attempt) -> Option<&Text> {
    attempt.operation.value().or(match &attempt.answer {
        Some((_, Outcome::Ok(value))) => value.as_ref(),
        _ => None,
    })
}

/// When an operation began and ended, in nanoseconds from 1: what the register holds at first was put at 0. A put that
/// was not acknowledged ends [`NEVER`].
fn interval(attempt: &Attempt) -> (u64, u64) {
    let invoked = attempt.sent.nanos().saturating_add(1).min(NEVER - 1);
    match attempt.answer {
        Some((time, Outcome::Ok(_))) => (invoked, time.nanos().saturating_add(1).clamp(invoked, NEVER - 1)),
        _ => (invoked, NEVER),
    }
}

/// Later than all answers.
const NEVER: u64 = u64::MAX;

/// Whether two texts are equal. What a get returns is mostly the very text that was put.
fn same_text(one: &Text, other: &Text) -> bool {
    Text::ptr_eq(one, other) || one == other
}

#[cfg(test)]
mod tests;
