//! One key that is looked at closer: its operations, whether they are linearizable, and from which answer on not.

use crate::check::linear::NEVER;
use crate::check::linear::search::Search;
use crate::check::linear::zones::{self, Block, Zone};

/// The number of the value that a register holds at first.
pub(super) const INITIAL: u32 = 0;

/// An operation on a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    /// Its number in the history.
    pub attempt: u32,
    /// The value written or read, numbered within the register.
    pub value: u32,
    /// Whether it writes.
    pub is_put: bool,
    /// When it began, from 1.
    pub invoked: u64,
    /// When it ended; [`NEVER`] for a put that may take effect at any later time or never.
    pub answered: u64,
}

/// A key with all its operations.
#[derive(Clone, Debug)]
pub(super) struct Register {
    /// The number of the key.
    pub key: u32,
    /// Its operations in the order of the history.
    pub ops: Vec<Op>,
    /// How many values they write and read, the initial one included.
    pub values: u32,
    /// What the history calls the operations' values; none for the initial one. Empty once they are numbered.
    pub names: Vec<Option<u32>>,
    /// Gets that were answered without a value: when, and their numbers in the history.
    pub valueless: Vec<(u64, u32)>,
}

/// The answer with which a register became wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstWrong {
    /// When it was given.
    pub answered: u64,
    /// The number of its operation in the history.
    pub attempt: u32,
    /// Whether everything before it is known to be right.
    pub minimal: bool,
}

impl Register {
    /// A key without operations.
    pub fn new(key: u32) -> Register {
        Register { key, ops: Vec::new(), values: 1, names: Vec::new(), valueless: Vec::new() }
    }

    /// Gives the operations' values small numbers, from their names.
    pub fn number_values(&mut self) {
        let mut names: Vec<u32> = self.names.iter().flatten().copied().collect();
        names.sort_unstable();
        names.dedup();
        for (op, name) in self.ops.iter_mut().zip(self.names.drain(..)) {
            let place = name.map(|name| names.binary_search(&name).expect("every name is in the list"));
            op.value = place.map_or(INITIAL, |place| place as u32 + 1);
        }
        self.values = names.len() as u32 + 1;
    }

    /// Whether there is an order that explains all values read; none if the budget was too small.
    pub fn is_linearizable(&self, search: &mut Search) -> Option<bool> {
        self.by_zones().or_else(|| search.run(&self.ops, self.values))
    }

    /// The same, as far as zones can tell.
    pub fn by_zones(&self) -> Option<bool> {
        let zones = self.zones();
        if zones.iter().any(Zone::is_from_nowhere) {
            return Some(false);
        }
        let blocks = blocks(&zones, |_| true);
        if zones::conflict(&blocks).is_none() {
            return Some(true);
        }
        zones::conflict(&blocks_of_unique(&zones)).is_some().then_some(false)
    }

    /// Two values that are in each other's way for certain, as blocks, if zones can tell.
    pub fn conflict(&self) -> Option<[Block; 2]> {
        zones::conflict(&blocks_of_unique(&self.zones()))
    }

    fn zones(&self) -> Vec<Zone> {
        let mut zones = vec![Zone::EMPTY; self.values as usize];
        zones[INITIAL as usize] = Zone::INITIAL;
        for op in &self.ops {
            let zone = &mut zones[op.value as usize];
            if op.is_put {
                zone.put(op.invoked, op.answered)
            } else {
                zone.get(op.invoked, op.answered)
            };
        }
        zones
    }

    /// The register at the time of the n-th of its answers, in the order of [`answers`](Register::answers): what was
    /// answered later is pending, what was invoked later has not happened.
    pub fn cut(&self, last: (u64, u32)) -> Register {
        let mut cut = Register::new(self.key);
        cut.values = self.values;
        for op in &self.ops {
            let pending = (op.answered, op.attempt) > last;
            if op.invoked <= last.0 && (op.is_put || !pending) {
                cut.ops.push(Op { answered: if pending { NEVER } else { op.answered }, ..*op });
            }
        }
        cut
    }

    /// Finds the answer with which the register became wrong, which it is known to be.
    pub fn first_wrong(&self, search: &mut Search) -> FirstWrong {
        let valueless = self.valueless.iter().min().copied();
        // Only an answer to a get can be the first wrong one: a put that was answered last may take effect last.
        let gets = self.ops.iter().filter(|op| !op.is_put);
        let mut answers: Vec<(u64, u32)> = gets.map(|op| (op.answered, op.attempt)).collect();
        answers.sort_unstable();
        if let Some(valueless) = valueless {
            answers.truncate(answers.partition_point(|&answer| answer < valueless));
        }
        let mut minimal = true;
        let mut wrong = answers.len();
        if let Some(valueless) = valueless {
            // It is wrong by itself, but something may have been wrong before.
            answers.push(valueless);
        } else {
            wrong -= 1;
        }
        // All prefixes before `right` are right or undecided; the one at `wrong` is wrong.
        let mut right = 0;
        while right < wrong {
            let middle = right + (wrong - right) / 2;
            let verdict = self.cut(answers[middle]).is_linearizable(search);
            minimal &= verdict.is_some();
            if verdict == Some(false) { wrong = middle } else { right = middle + 1 }
        }
        let (answered, attempt) = answers[wrong];
        FirstWrong { answered, attempt, minimal }
    }
}

/// The blocks of these zones in the order of the sweep.
fn blocks(zones: &[Zone], wanted: impl Fn(&Zone) -> bool) -> Vec<Block> {
    let wanted = zones.iter().enumerate().filter(|(_, zone)| wanted(zone));
    let mut blocks: Vec<Block> = wanted.filter_map(|(value, zone)| zone.block(0, value as u32)).collect();
    zones::sort(&mut blocks);
    blocks
}

fn blocks_of_unique(zones: &[Zone]) -> Vec<Block> {
    blocks(zones, |zone| zone.is_unique() && !zone.is_from_nowhere())
}
