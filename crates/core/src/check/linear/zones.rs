//! Judging a register by its zones: fast, and exact where no value is put twice (Gibbons & Korach 1997, "Testing shared
//! memories", section 4).
//!
//! Take all operations that write or read one value and let them take effect as one *block*, a put first, with nothing
//! in between. Let *f* be the earliest answer in the block and *s* the latest invocation. Some operation of block X
//! ends before some operation of block Y begins exactly if f(X) < s(Y), and then X must come first. X and Y are in
//! *conflict* if that holds both ways.
//!
//! **Without conflicts there is an order of the blocks.** Say X → Y if f(X) < s(Y), and take a shortest cycle X1 → X2 →
//! ... → Xk → X1 with k > 2. It has no short cuts, nor has it arrows backwards, as these would be conflicts. So f(Xi)
//! >= s(Xi+2), and s(Xi+2) > f(Xi+1) since Xi+1 → Xi+2. So f falls all the way round the cycle, which cannot be.
//!
//! **The blocks in this order are a linearization**, if each can begin with a put: one invoked no later than the first
//! answer to a get. The earliest invocation is the best choice, acknowledged or not. Acknowledged puts of the same
//! value and gets follow it in the order of their invocations. Other puts never take effect.
//!
//! **Where a value is put once, its operations are a block in every linearization.** So a conflict of two such values
//! is a proof of the contrary, whatever the other values are: leaving out all operations on other values leaves the
//! gets of these two right. A put that was not acknowledged but read did take effect; one that was not read can be left
//! out, since no get came right after it.
//!
//! What stays undecided is a register whose conflicts all involve a value that was put twice. Clients here do that when
//! they send a put again, and then both puts mostly do make one block.

use crate::check::linear::NEVER;

/// What the operations on one value of a register come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zone {
    /// The earliest answer to an acknowledged put or a get: *f*.
    first_answer: u64,
    /// The latest invocation of an acknowledged put or a get: *s*, but for the put that the block begins with.
    last_invocation: u64,
    /// The earliest invocation of a put.
    first_put: u64,
    /// The earliest answer to a get.
    first_read: u64,
    puts: u32,
}

impl Zone {
    /// Nothing yet.
    pub const EMPTY: Zone =
        Zone { first_answer: NEVER, last_invocation: 0, first_put: NEVER, first_read: NEVER, puts: 0 };

    /// Of the value that the register holds at first: it was put before everything else.
    pub const INITIAL: Zone = Zone { first_answer: 0, last_invocation: 0, first_put: 0, first_read: NEVER, puts: 1 };

    /// Takes in a put, whose answer is [`NEVER`] if it was not acknowledged.
    #[inline]
    pub fn put(&mut self, invoked: u64, answered: u64) {
        self.puts += 1;
        self.first_put = self.first_put.min(invoked);
        if answered != NEVER {
            self.first_answer = self.first_answer.min(answered);
            self.last_invocation = self.last_invocation.max(invoked);
        }
    }

    /// Takes in a get.
    #[inline]
    pub fn get(&mut self, invoked: u64, answered: u64) {
        self.first_read = self.first_read.min(answered);
        self.first_answer = self.first_answer.min(answered);
        self.last_invocation = self.last_invocation.max(invoked);
    }

    /// Whether a get returned the value before any put of it was invoked. No order explains that.
    #[inline]
    pub fn is_from_nowhere(&self) -> bool {
        self.first_read < self.first_put
    }

    /// Whether the value was put at most once.
    pub fn is_unique(&self) -> bool {
        self.puts <= 1
    }

    /// The block of these operations, unless none of them needs to take effect.
    #[inline]
    pub fn block(&self, key: u32, value: u32) -> Option<Block> {
        let begin = self.first_answer;
        (begin != NEVER).then(|| Block { key, value, begin, end: self.last_invocation.max(self.first_put) })
    }
}

/// A zone that takes part in the sweep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// The register.
    pub key: u32,
    /// The value.
    pub value: u32,
    /// *f*: some operation has ended.
    pub begin: u64,
    /// *s*: some operation has not begun before.
    pub end: u64,
}

/// Sorts blocks as [`conflict`] wants them.
pub(super) fn sort(blocks: &mut [Block]) {
    blocks.sort_unstable_by_key(|block| (block.key, block.begin));
}

/// Two blocks of a register that are in conflict, if any are. The blocks come in the order of their begin.
///
/// Of two blocks X and Y in this order, X → Y and Y → X mean f(X) < s(Y) and f(Y) < s(X). Of the blocks X before Y it
/// is enough to look at the one with the largest s: if two of them had f(Y) < s(X), they would be in conflict
/// themselves, and that was found before.
pub(super) fn conflict(blocks: &[Block]) -> Option<[Block; 2]> {
    let (first, rest) = blocks.split_first()?;
    let mut longest = first;
    for block in rest {
        if block.begin < longest.end && longest.begin < block.end {
            return Some([*longest, *block]);
        }
        if block.end > longest.end {
            longest = block;
        }
    }
    None
}
