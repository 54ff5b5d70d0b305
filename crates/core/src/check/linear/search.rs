//! The search for a linearization, for what zones cannot decide.
//!
//! It is the search of Wing & Gong (1993, "Testing and verifying concurrent objects"): an operation may come next if no
//! other that is left ended before it began; take one, go on with the rest, and take another one if that leads nowhere.
//! Lowe (2017, "Testing for linearizability") adds the memo: states from which the search failed are not tried again.
//! It is iterative, with a trail of what to undo.
//!
//! For registers, much of the choice does not matter. Each of these rules takes any linearization of the rest and moves or swaps
//! operations of it so that it goes on as the rule says. So no verdict depends on them:
//!
//! - *A get of the present value that may come next comes next.* Moved to the front it reads the same.
//! - *A put that no get follows before the next put is put off as long as may be.* Overwritten at once, it can stand
//!   right before any later put instead. It has to take effect when it is what must end first: then no gets can follow
//!   the present value without it. So it is put *below* the present value if it may come right before the put of that,
//!   or else it comes next.
//! - *So any other put that is chosen is followed by a get of its value,* but for puts below it.
//! - *A put whose value none of the rest reads goes below at once* when it must end first: no get misses it.
//! - *Of the puts of a value that may come next, the one that must end first comes first.* The other can take the place
//!   of this one later. Puts that may never take effect come last, in the order of their invocations.
//! - *A put that may never take effect is left out if no get follows it at once*, so for good if its value is never
//!   read from its invocation on.
//! - *If it is the only put of a value that is read, it must take effect*, before the first of these gets ends.
//!
//! And two states are known to lead nowhere: the present value will be read again but not put again; the operation that
//! must end first is a get of a value that no put can bring about by then.

use hashbrown::HashTable;

use crate::check::linear::register::{INITIAL, Op};
use crate::check::linear::{Budget, NEVER};
use crate::hash::StableHasher;

/// What is left of a check's budget.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// Steps that are left.
    pub steps: u64,
    memo_words: usize,
}

impl Search {
    /// With a whole budget.
    pub fn new(budget: Budget) -> Search {
        Search { steps: budget.steps, memo_words: budget.memo_words }
    }

    /// Whether operations on one register, with values numbered below `values`, are linearizable; none if the steps did
    /// not suffice.
    pub fn run(&mut self, ops: &[Op], values: u32) -> Option<bool> {
        // Without a step left, not even small searches begin: what they cost beside steps is not counted.
        self.steps = self.steps.checked_sub(ops.len() as u64)?;
        let Some(mut walk) = Walk::new(ops, values as usize) else { return Some(false) };
        let mut memo = Memo::new(self.memo_words);
        walk.run(&mut memo, &mut self.steps)
    }
}

/// The register holds a value that is read no more.
const NOTHING: u32 = u32::MAX;

/// In the trail and among choices: a put that may never take effect, by its value.
const SPARE: u32 = 1 << 31;

/// Among choices: the put that must end first, below the present value.
const BELOW: u32 = u32::MAX;

/// A state of the search and how it was reached.
struct Walk {
    /// What must take effect, in the order of invocations.
    ops: Vec<Op>,
    /// Places in `ops` in the order of answers.
    by_answer: Vec<u32>,
    /// For each of these, how many operations were invoked by then.
    begun: Vec<u32>,
    puts: Vec<u64>,
    values: Vec<PerValue>,
    /// Values with spare puts.
    spares: Vec<u32>,

    /// What has not taken effect yet, one bit for each of `ops`.
    left: Vec<u64>,
    mark: Mark,
    trail: Vec<u32>,
    frames: Vec<Frame>,
    choices: Vec<Choice>,
    /// For each value, the choice that it has at present; for use within [`Walk::choose`].
    chosen: Vec<u32>,
}

/// One value of the register.
#[derive(Clone, Debug, Default)]
struct PerValue {
    /// Gets of it, as places in `ops`. They take effect in this order.
    gets: Vec<u32>,
    gets_done: usize,
    /// When puts of it were invoked that may never take effect. They take effect in this order.
    spares: Vec<u64>,
    spares_done: usize,
    /// Puts of it that have not taken effect, spare ones included.
    puts_left: usize,
}

impl PerValue {
    fn next_get(&self) -> Option<usize> {
        self.gets.get(self.gets_done).map(|&get| get as usize)
    }
}

/// The part of a state that is not undone step by step.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// What the register holds.
    value: u32,
    /// The earliest answer to the put of this value and to the gets since: what was invoked later cannot come before
    /// them.
    barrier: u64,
    /// Whether a get has to follow before the next put.
    unread: bool,
    /// All before this place in `by_answer` has taken effect.
    next: usize,
    /// All before this word of `left` has taken effect.
    front: usize,
    /// The length of the trail.
    trail: usize,
}

/// A state that has choices.
struct Frame {
    mark: Mark,
    /// The first of its choices that is left; they end where the next frame's begin.
    first: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    /// The put: a place in `ops`, or [`SPARE`] and a value.
    put: u32,
    /// How soon it should be tried.
    urgency: u64,
}

/// What a state has come to.
enum Settled {
    /// All that must take effect has.
    Finished,
    /// No way leads on.
    Stuck,
    /// A put has to be chosen.
    Open,
}

impl Walk {
    /// The state at the beginning; none if some get returned what was never put by then.
    fn new(all: &[Op], count: usize) -> Option<Walk> {
        let mut values = vec![PerValue::default(); count];
        let mut acknowledged = vec![0; count];
        let (mut first_read, mut last_read) = (vec![NEVER; count], vec![0; count]);
        for op in all {
            let value = op.value as usize;
            if !op.is_put {
                first_read[value] = first_read[value].min(op.answered);
                last_read[value] = last_read[value].max(op.answered);
            } else if op.answered != NEVER {
                acknowledged[value] += 1;
            }
        }
        let mut ops: Vec<Op> = all.iter().filter(|op| op.answered != NEVER).copied().collect();
        for op in all.iter().filter(|op| op.answered == NEVER && op.invoked <= last_read[op.value as usize]) {
            values[op.value as usize].spares.push(op.invoked);
        }
        for (number, value) in values.iter_mut().enumerate() {
            value.spares.sort_unstable();
            let is_read = first_read[number] != NEVER;
            if is_read && number != INITIAL as usize && acknowledged[number] == 0 {
                let invoked = *value.spares.first().filter(|&&invoked| invoked <= first_read[number])?;
                if value.spares.len() == 1 {
                    value.spares.clear();
                    ops.push(Op {
                        attempt: 0,
                        value: number as u32,
                        is_put: true,
                        invoked,
                        answered: first_read[number],
                    });
                }
            }
            value.puts_left = value.spares.len();
        }
        ops.sort_by_key(|op| op.invoked);
        let words = ops.len().div_ceil(64);
        let (mut puts, mut left) = (vec![0; words], vec![0; words]);
        for (place, op) in ops.iter().enumerate() {
            left[place / 64] |= 1 << (place % 64);
            if op.is_put {
                puts[place / 64] |= 1 << (place % 64);
                values[op.value as usize].puts_left += 1;
            } else {
                values[op.value as usize].gets.push(place as u32);
            }
        }
        let mut by_answer: Vec<u32> = (0..ops.len() as u32).collect();
        by_answer.sort_by_key(|&place| ops[place as usize].answered);
        let begun_by = |&place: &u32| ops.partition_point(|op| op.invoked <= ops[place as usize].answered) as u32;
        let begun = by_answer.iter().map(begun_by).collect();
        let spares = (0..count as u32).filter(|&value| !values[value as usize].spares.is_empty()).collect();
        Some(Walk {
            ops,
            by_answer,
            begun,
            puts,
            values,
            spares,
            left,
            mark: Mark { value: INITIAL, barrier: 0, unread: false, next: 0, front: 0, trail: 0 },
            trail: Vec::new(),
            frames: Vec::new(),
            choices: Vec::new(),
            chosen: vec![NOTHING; count],
        })
    }

    fn run(&mut self, memo: &mut Memo, steps: &mut u64) -> Option<bool> {
        let mut settled = self.settle(steps)?;
        loop {
            match settled {
                Settled::Finished => return Some(true),
                Settled::Open if memo.is_new(self, steps)? => self.choose(steps)?,
                Settled::Open | Settled::Stuck => {}
            }
            let choice = loop {
                let Some(frame) = self.frames.last_mut() else { return Some(false) };
                let mark = frame.mark;
                let choice = (frame.first < frame.end).then(|| self.choices[frame.first]);
                frame.first += 1;
                self.undo(mark);
                match choice {
                    Some(choice) => break choice,
                    None => {
                        self.frames.pop();
                        self.choices.truncate(self.frames.last().map_or(0, |frame| frame.end));
                    }
                }
            };
            match choice.put {
                BELOW => self.put_below(self.by_answer[self.mark.next]),
                put => self.put(put),
            }
            settled = self.settle(steps)?;
        }
    }

    /// Lets everything take effect that needs no choice.
    fn settle(&mut self, steps: &mut u64) -> Option<Settled> {
        loop {
            while self.mark.next < self.ops.len() && !self.is_left(self.by_answer[self.mark.next] as usize) {
                self.mark.next += 1;
                *steps = steps.checked_sub(1)?;
            }
            if self.mark.next == self.ops.len() {
                return Some(Settled::Finished);
            }
            while self.left[self.mark.front] == 0 {
                self.mark.front += 1;
            }
            if self.get_all(steps)? {
                continue;
            }
            let place = self.by_answer[self.mark.next];
            let first = self.ops[place as usize];
            let is_dead = first.is_put && self.values[first.value as usize].next_get().is_none();
            if is_dead && self.may_go_below(&first) {
                self.put_below(place);
            } else if self.mark.unread {
                return Some(if self.may_go_below(&first) { Settled::Open } else { Settled::Stuck });
            } else if is_dead {
                if !self.may_overwrite() {
                    return Some(Settled::Stuck);
                }
                self.put(place);
                self.mark.unread = false;
            } else {
                return Some(Settled::Open);
            }
        }
    }

    /// Lets all gets of the present value take effect that may. Says whether there were any.
    fn get_all(&mut self, steps: &mut u64) -> Option<bool> {
        if self.mark.value == NOTHING {
            *steps = steps.checked_sub(1)?;
            return Some(false);
        }
        let begun = self.begun();
        let value = &mut self.values[self.mark.value as usize];
        let before = value.gets_done;
        while let Some(get) = value.next_get().filter(|&get| get < begun) {
            value.gets_done += 1;
            self.left[get / 64] &= !(1 << (get % 64));
            self.trail.push(get as u32);
            self.mark.barrier = self.mark.barrier.min(self.ops[get].answered);
            self.mark.unread = false;
        }
        let done = value.gets_done - before;
        if value.gets_done == value.gets.len() {
            // Nothing is lost with this value, so what goes below it may as well come after it.
            self.mark = Mark { value: NOTHING, barrier: NEVER, unread: false, ..self.mark };
        }
        *steps = steps.checked_sub(1 + done as u64)?;
        Some(done > 0)
    }

    /// How many operations have begun when the first one must end: these may come next.
    fn begun(&self) -> usize {
        self.begun[self.mark.next] as usize
    }

    /// Whether this operation, which must end first, may take effect right before the present value was put.
    fn may_go_below(&self, first: &Op) -> bool {
        first.is_put && first.invoked <= self.mark.barrier
    }

    /// Whether the present value is not needed any more or can come again.
    fn may_overwrite(&self) -> bool {
        self.mark.value == NOTHING || self.values[self.mark.value as usize].puts_left > 0
    }

    /// Makes a frame of the present state and its choices, the most urgent first.
    fn choose(&mut self, steps: &mut u64) -> Option<()> {
        let start = self.choices.len();
        let first = self.ops[self.by_answer[self.mark.next] as usize];
        let value = &self.values[first.value as usize];
        if self.may_go_below(&first) && (value.puts_left > 1 || first.value == self.mark.value) {
            // Before all others, unless a get waits for it.
            let is_waited_for = value.next_get().is_some_and(|get| get < self.begun());
            self.choices.push(Choice { put: BELOW, urgency: if is_waited_for { NEVER } else { 0 } });
        }
        if !self.mark.unread && self.may_overwrite() {
            self.choose_puts(&first, steps)?;
        }
        *steps = steps.checked_sub((self.choices.len() - start) as u64)?;
        self.choices[start..].sort_by_key(|choice| choice.urgency);
        self.mark.trail = self.trail.len();
        self.frames.push(Frame { mark: self.mark, first: start, end: self.choices.len() });
        Some(())
    }

    /// Lists one put of each value that may come next.
    fn choose_puts(&mut self, first: &Op, steps: &mut u64) -> Option<()> {
        let start = self.choices.len();
        let begun = self.begun();
        for word in self.mark.front..begun.div_ceil(64) {
            let mut puts = self.left[word] & self.puts[word] & up_to(begun, word);
            *steps = steps.checked_sub(1 + u64::from(puts.count_ones()))?;
            while puts != 0 {
                let place = word * 64 + puts.trailing_zeros() as usize;
                puts &= puts - 1;
                let put = self.ops[place];
                let choice = Choice { put: place as u32, urgency: put.answered };
                match self.chosen[put.value as usize] {
                    NOTHING if self.values[put.value as usize].next_get().is_none() => {}
                    NOTHING => {
                        self.chosen[put.value as usize] = self.choices.len() as u32;
                        self.choices.push(choice);
                    }
                    known if put.answered < self.choices[known as usize].urgency => {
                        self.choices[known as usize] = choice;
                    }
                    _ => {}
                }
            }
        }
        *steps = steps.checked_sub(self.spares.len() as u64)?;
        for &number in &self.spares {
            let value = &self.values[number as usize];
            let has_begun = value.spares.get(value.spares_done).is_some_and(|&invoked| invoked <= first.answered);
            let makes_sense = value.next_get().is_some() && self.mark.value != number;
            if has_begun && makes_sense && self.chosen[number as usize] == NOTHING {
                self.chosen[number as usize] = self.choices.len() as u32;
                self.choices.push(Choice { put: SPARE | number, urgency: NEVER });
            }
        }
        let can_come = first.is_put || self.chosen[first.value as usize] != NOTHING;
        for choice in &mut self.choices[start..] {
            let number =
                if choice.put & SPARE == 0 { self.ops[choice.put as usize].value } else { choice.put & !SPARE };
            self.chosen[number as usize] = NOTHING;
            let get = self.values[number as usize].next_get();
            choice.urgency = choice.urgency.min(get.map_or(NEVER, |get| self.ops[get].answered));
        }
        if !can_come {
            self.choices.truncate(start);
        }
        Some(())
    }

    /// Lets the put that must end first take effect right before the present value was put.
    fn put_below(&mut self, place: u32) {
        let mark = self.mark;
        self.put(place);
        self.mark = mark;
    }

    /// Lets a put take effect.
    fn put(&mut self, put: u32) {
        let number = if put & SPARE == 0 {
            self.left[put as usize / 64] &= !(1 << (put % 64));
            self.ops[put as usize].value
        } else {
            self.values[(put & !SPARE) as usize].spares_done += 1;
            put & !SPARE
        };
        self.values[number as usize].puts_left -= 1;
        self.trail.push(put);
        // What must end first may come for its end alone, and be overwritten at once.
        let unread = self.by_answer[self.mark.next] != put;
        let barrier = if put & SPARE == 0 { self.ops[put as usize].answered } else { NEVER };
        self.mark = Mark { value: number, barrier, unread, ..self.mark };
    }

    /// Goes back to an earlier state.
    fn undo(&mut self, mark: Mark) {
        while self.trail.len() > mark.trail {
            let step = self.trail.pop().expect("a trail that is longer than that");
            if step & SPARE != 0 {
                let value = &mut self.values[(step & !SPARE) as usize];
                value.spares_done -= 1;
                value.puts_left += 1;
                continue;
            }
            self.left[step as usize / 64] |= 1 << (step % 64);
            let op = self.ops[step as usize];
            let value = &mut self.values[op.value as usize];
            if op.is_put {
                value.puts_left += 1
            } else {
                value.gets_done -= 1
            };
        }
        self.mark = mark;
    }

    fn is_left(&self, place: usize) -> bool {
        self.left[place / 64] >> (place % 64) & 1 == 1
    }

    /// Writes down the state: what the register holds, which operations have taken effect among those that have begun
    /// (all before `front` have), and how many spare puts.
    fn write_state(&self, state: &mut Vec<u64>) {
        state.push(u64::from(self.mark.value) << 32 | self.mark.front as u64);
        // Of the barrier, it matters which operations it lets pass that are left.
        let passed = self.ops.partition_point(|op| op.invoked <= self.mark.barrier).max(64 * self.mark.front);
        state.push((passed as u64) << 1 | u64::from(self.mark.unread));
        state.extend_from_slice(&self.left[self.mark.front..self.begun().div_ceil(64)]);
        for &number in &self.spares {
            let value = &self.values[number as usize];
            // What is read no more needs no puts: how many there were makes no difference.
            state.push(if value.next_get().is_some() { value.spares_done as u64 } else { 0 });
        }
    }
}

/// The bits of a word that stand for places below `end`.
fn up_to(end: usize, word: usize) -> u64 {
    match end - word * 64 {
        bits @ 0..64 => (1 << bits) - 1,
        _ => u64::MAX,
    }
}

/// The states that the search has been in, in full: one taken for another could make a wrong verdict.
struct Memo {
    words: Vec<u64>,
    /// Begin and end of each state in `words`.
    table: HashTable<(u32, u32)>,
    words_max: usize,
}

/// What an entry of the table takes, in words.
const ENTRY_WORDS: usize = 2;

impl Memo {
    fn new(words_max: usize) -> Memo {
        Memo { words: Vec::new(), table: HashTable::new(), words_max: words_max.min(u32::MAX as usize) }
    }

    /// Whether the search comes to this state for the first time, as far as that is known.
    fn is_new(&mut self, walk: &Walk, steps: &mut u64) -> Option<bool> {
        let start = self.words.len();
        walk.write_state(&mut self.words);
        *steps = steps.checked_sub((self.words.len() - start) as u64)?;
        let (known, state) = self.words.split_at(start);
        let hash = hash(state);
        if self.table.find(hash, |&(start, end)| known[start as usize..end as usize] == *state).is_some() {
            self.words.truncate(start);
            return Some(false);
        }
        let end = self.words.len();
        if end + ENTRY_WORDS * (self.table.len() + 1) > self.words_max {
            self.words.truncate(start);
            return Some(true);
        }
        let words = &self.words;
        let rehash = |&(start, end): &(u32, u32)| self::hash(&words[start as usize..end as usize]);
        self.table.insert_unique(hash, (start as u32, end as u32), rehash);
        Some(true)
    }
}

fn hash(state: &[u64]) -> u64 {
    let mut hasher = StableHasher::new();
    for &word in state {
        hasher.word(word);
    }
    hasher.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memo_never_grows_above_its_bound() {
        // A put and a get of each of two values in turn, all at a time, and one get too many in the end.
        let op = |number: u64, is_put: bool, invoked: u64, answered: u64| Op {
            attempt: 0,
            value: 1 + number as u32 % 2,
            is_put,
            invoked,
            answered,
        };
        let puts = (0..60).map(|put| op(put, true, 1 + put, 1_000 + put));
        let gets = (0..61).map(|get| op(get, false, 100 + 2 * get, 101 + 2 * get));
        let ops: Vec<Op> = puts.chain(gets).collect();
        for words_max in [0, 10, 100] {
            let mut memo = Memo::new(words_max);
            let mut walk = Walk::new(&ops, 3).expect("everything read was put");
            assert_eq!(walk.run(&mut memo, &mut 1_000_000), Some(false));
            assert!(memo.words.len() + ENTRY_WORDS * memo.table.len() <= words_max);
            assert!(words_max < 100 || memo.table.len() > 5, "the memo is put to use");
        }
    }
}
