//! The search for an order of the operations on one object.
//!
//! It is the search of Wing & Gong (1993, "Testing and verifying concurrent objects"): an operation may come next if no
//! other that is left ended before it began; take one, go on with the rest, and take another one if that leads nowhere.
//! Lowe (2017, "Testing for linearizability") adds the memo: states from which the search failed are not tried again.
//! It is iterative.
//!
//! *Required* operations, which were answered, or whose effect an answer shows, must take effect. *Optional* ones, of unknown outcome, may. A state of
//! the search is the state of the object, the required operations that are left although they have begun (all others
//! have taken effect, or begin later), and the optional ones that were used and can still show. So its size depends on
//! how much goes on at once, not on the length of the history.
//!
//! Not all choices are tried. Each of these rules takes any order of the rest and moves or swaps operations of it so
//! that it goes on as the rule says, so no verdict depends on them:
//!
//! - *A required operation that only looks comes next if it can.* Moved to the front it fits as well.
//! - *Of equal required operations the one that must end first comes first.* The others can take its place later.
//! - *Optional ones come as late as they can.* So right after an optional one comes an operation that would not fit
//!   without it or would not do the same: if it would leave the same state without it, the optional one is left out, and
//!   if both orders leave the same state, it comes after. Of two optional ones for which both orders are the same, the
//!   first in the list comes first.
//! - *An optional one comes no later than something can show it*, as the specification's study says.
//! - *Of equal optional ones the one that was sent first comes first.*

use hashbrown::HashTable;

use super::memo::Memo;
use crate::check::linear::Budget;
use crate::hash::StableHasher;
use crate::specification::{Answer, Specification, Study, Timed};
use crate::time::Time;

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

    /// Whether these calls on one object can be put in order; none if the steps did not suffice.
    pub fn run<'h, S: Specification>(
        &mut self,
        spec: &S,
        calls: &[Timed<'h>],
        study: Study<'h, S::State>,
    ) -> Option<bool> {
        // Without a step left, not even small searches begin: what they cost beside steps is not counted.
        self.steps = self.steps.checked_sub(calls.len() as u64)?;
        Walk::new(spec, calls, study).run(self.memo_words, &mut self.steps)
    }
}

/// Among choices: an optional operation, by its class.
const OPTIONAL: u32 = 1 << 31;

/// Optional operations are listed for this many answers at a time.
const BLOCK: usize = 64;

/// Equal optional operations.
struct Class {
    /// One of them.
    call: u32,
    /// When they were sent, in order. They take effect in this order.
    invoked: Vec<Time>,
    used: usize,
    /// No later than this can they show.
    until: Time,
}

struct Walk<'a, 'h, S: Specification> {
    spec: &'a S,
    calls: &'a [Timed<'h>],
    study: Study<'h, S::State>,
    /// By when each call must have taken effect.
    ended: Vec<Time>,
    /// Required operations in the order of their invocations.
    required: Vec<u32>,
    /// For each of them, a number that equal ones share.
    kinds: Vec<u32>,
    /// Those that are left, as a ring: its beginning is the place after the last.
    next: Vec<u32>,
    previous: Vec<u32>,
    classes: Vec<Class>,
    /// All answers of required operations in order.
    answers: Vec<Time>,
    /// For each [`BLOCK`] of answers, the classes that may be used by then.
    blocks: Vec<Vec<u32>>,
    /// Classes of which some were used, in order.
    used: Vec<u32>,
    frames: Vec<Frame<S::State>>,
    choices: Vec<u32>,
}

/// A state with choices.
struct Frame<S> {
    state: S,
    /// The choice that led to it; none at the beginning.
    taken: Option<u32>,
    /// The state before it, if the choice was an optional operation.
    before: Option<S>,
    /// The first of its choices that is left; they end where all choices end.
    first: usize,
    /// Where its choices begin.
    start: usize,
    /// Whether all its choices are listed. Optional operations are listed once all others led nowhere.
    complete: bool,
}

impl<'a, 'h, S: Specification> Walk<'a, 'h, S> {
    fn new(spec: &'a S, calls: &'a [Timed<'h>], study: Study<'h, S::State>) -> Walk<'a, 'h, S> {
        let mut ended: Vec<Time> = calls.iter().map(|timed| timed.answered).collect();
        for &(call, time) in &study.shown_by {
            // No earlier than it was sent: that there is no order then is for the search to find.
            ended[call] = ended[call].min(time.max(calls[call].invoked));
        }
        let is_required = |call: &u32| ended[*call as usize] != Time::NEVER;
        let mut required: Vec<u32> = (0..calls.len() as u32).filter(is_required).collect();
        required.sort_by_key(|&call| calls[call as usize].invoked);
        let count = required.len() as u32;
        let mut answers: Vec<Time> = required.iter().map(|&call| ended[call as usize]).collect();
        answers.sort_unstable();
        let mut kinds = Kinds { spec, calls, table: HashTable::new(), count: 0 };
        let kind_of_required = required.iter().map(|&call| kinds.number(call).0).collect();
        let mut walk = Walk {
            spec,
            calls,
            study,
            ended,
            required,
            kinds: kind_of_required,
            next: (0..=count).map(|place| if place == count { 0 } else { place + 1 }).collect(),
            previous: (0..=count).map(|place| if place == 0 { count } else { place - 1 }).collect(),
            classes: Vec::new(),
            answers,
            blocks: Vec::new(),
            used: Vec::new(),
            frames: Vec::new(),
            choices: Vec::new(),
        };
        walk.find_classes();
        walk
    }

    /// Gathers the optional operations that can show.
    fn find_classes(&mut self) {
        let mut kinds = Kinds { spec: self.spec, calls: self.calls, table: HashTable::new(), count: 0 };
        for (place, timed) in self.calls.iter().enumerate() {
            let until = self.study.shows_until.get(place).copied().unwrap_or(Time::NEVER);
            if self.ended[place] != Time::NEVER || until < timed.invoked {
                continue;
            }
            let (class, is_new) = kinds.number(place as u32);
            if is_new {
                self.classes.push(Class { call: place as u32, invoked: Vec::new(), used: 0, until });
            }
            let class = &mut self.classes[class as usize];
            class.invoked.push(timed.invoked);
            class.until = class.until.max(until);
        }
        self.blocks = vec![Vec::new(); self.answers.len().div_ceil(BLOCK)];
        for (number, class) in self.classes.iter_mut().enumerate() {
            class.invoked.sort_unstable();
            let first = self.answers.partition_point(|&answer| answer < class.invoked[0]);
            let end = self.answers.partition_point(|&answer| answer <= class.until);
            if first < end {
                self.blocks[first / BLOCK..=(end - 1) / BLOCK].iter_mut().for_each(|block| block.push(number as u32));
            }
        }
    }

    fn run(mut self, memo_words: usize, steps: &mut u64) -> Option<bool> {
        let mut memo = Memo::new(memo_words);
        let (mut state, mut taken, mut before) = (self.spec.initial(), None, None);
        loop {
            if self.is_finished() {
                return Some(true);
            }
            let deadline = self.deadline();
            // After an optional operation some choices are left out, so a failure there says nothing about the state.
            if memo.is_new(&state, self.left(deadline), before.is_none(), steps)? {
                self.open(Frame { state, taken, before, first: 0, start: 0, complete: false }, deadline, steps)?;
            } else {
                self.undo(taken);
            }
            let choice = loop {
                let Some(frame) = self.frames.last_mut() else { return Some(false) };
                if let Some(&choice) = self.choices.get(frame.first) {
                    frame.first += 1;
                    break choice;
                }
                if !frame.complete {
                    self.list_optional(steps)?;
                    continue;
                }
                let taken = frame.taken;
                self.choices.truncate(frame.start);
                self.frames.pop();
                self.undo(taken);
            };
            let frame = self.frames.last().expect("the frame of this choice");
            state = self.step(&frame.state, self.call(choice)).expect("the choice was possible before");
            before = (choice & OPTIONAL != 0).then(|| frame.state.clone());
            taken = Some(choice);
            self.take(choice);
        }
    }

    fn is_finished(&self) -> bool {
        self.next[self.required.len()] as usize == self.required.len()
    }

    /// The required operations that are left, by their places.
    fn ring(&self) -> impl Iterator<Item = u32> + '_ {
        let end = self.required.len() as u32;
        std::iter::successors(Some(self.next[end as usize]), |&place| Some(self.next[place as usize]))
            .take_while(move |&place| place != end)
    }

    fn timed(&self, place: u32) -> &'a Timed<'h> {
        &self.calls[self.required[place as usize] as usize]
    }

    fn ended(&self, place: u32) -> Time {
        self.ended[self.required[place as usize] as usize]
    }

    /// When the first of those that are left must end. What begins later cannot come next.
    fn deadline(&self) -> Time {
        let mut deadline = Time::NEVER;
        for place in self.ring() {
            let timed = self.timed(place);
            if timed.invoked > deadline {
                break;
            }
            deadline = deadline.min(self.ended(place));
        }
        deadline
    }

    /// The required operations that may come next.
    fn begun(&self, deadline: Time) -> impl Iterator<Item = u32> + '_ {
        self.ring().take_while(move |&place| self.timed(place).invoked <= deadline)
    }

    /// The same as the specification's study names them.
    fn calls_begun(&self, deadline: Time) -> Vec<usize> {
        self.begun(deadline).map(|place| self.required[place as usize] as usize).collect()
    }

    /// What is left to do, as numbers.
    fn left(&self, deadline: Time) -> impl Iterator<Item = u32> + '_ {
        let used = self.used.iter().filter(move |&&class| self.classes[class as usize].until >= deadline);
        let used = used.flat_map(|&class| [class, self.classes[class as usize].used as u32]);
        self.begun(deadline).chain([u32::MAX]).chain(used)
    }

    fn call(&self, choice: u32) -> u32 {
        match choice & OPTIONAL {
            0 => self.required[choice as usize],
            _ => self.classes[(choice & !OPTIONAL) as usize].call,
        }
    }

    fn step(&self, state: &S::State, call: u32) -> Option<S::State> {
        self.spec.step(state, &self.calls[call as usize].call)
    }

    /// The state after a call, unless it cannot come next or leads nowhere.
    fn sound_step(&self, state: &S::State, call: u32, begun: &[usize]) -> Option<S::State> {
        let dooms = self.study.dooms.as_ref();
        if dooms.is_some_and(|dooms| dooms(state, call as usize, begun)) { None } else { self.step(state, call) }
    }

    /// Whether a call that leads to this state may as well come without, or before, the optional operation that was
    /// just taken. If both are optional, that is one order too many only if the call comes earlier in the list.
    fn is_needless(&self, frame: &Frame<S::State>, choice: u32, after: &S::State) -> bool {
        let (Some(before), Some(taken)) = (&frame.before, frame.taken) else { return false };
        let Some(alone) = self.step(before, self.call(choice)) else { return false };
        if alone == *after {
            return true;
        }
        let may_swap = choice & OPTIONAL == 0 || choice < taken;
        may_swap && self.step(&alone, self.call(taken)).is_some_and(|other| other == *after)
    }

    /// Adds a frame with its required choices.
    fn open(&mut self, mut frame: Frame<S::State>, deadline: Time, steps: &mut u64) -> Option<()> {
        frame.start = self.choices.len();
        frame.first = frame.start;
        let mut found: Vec<u32> = Vec::new();
        let begun = self.calls_begun(deadline);
        for place in self.begun(deadline) {
            *steps = steps.checked_sub(1)?;
            let Some(after) = self.sound_step(&frame.state, self.required[place as usize], &begun) else { continue };
            if self.is_needless(&frame, place, &after) {
                continue;
            }
            if self.spec.is_read(&self.timed(place).call) {
                found = vec![place];
                frame.complete = true;
                break;
            }
            found.push(place);
        }
        if found.len() > 1 {
            found.sort_by_key(|&place| (self.kinds[place as usize], self.ended(place)));
            found.dedup_by_key(|place| self.kinds[*place as usize]);
            found.sort_by_key(|&place| (self.rank(self.required[place as usize]), self.ended(place)));
        }
        self.choices.extend(found);
        self.frames.push(frame);
        Some(())
    }

    fn rank(&self, call: u32) -> u64 {
        self.study.ranks.get(call as usize).copied().unwrap_or(0)
    }

    /// Adds the optional choices of the last frame.
    fn list_optional(&mut self, steps: &mut u64) -> Option<()> {
        let deadline = self.deadline();
        let block = self.answers.partition_point(|&answer| answer < deadline) / BLOCK;
        let begun = self.calls_begun(deadline);
        let frame = self.frames.last().expect("the frame that is to be completed");
        let mut found: Vec<(bool, u64, Time, u32)> = Vec::new();
        *steps = steps.checked_sub(self.blocks[block].len() as u64)?;
        for &number in &self.blocks[block] {
            let class = &self.classes[number as usize];
            if class.until < deadline || class.invoked.get(class.used).is_none_or(|&invoked| invoked > deadline) {
                continue;
            }
            *steps = steps.checked_sub(1)?;
            let Some(after) = self.sound_step(&frame.state, class.call, &begun) else { continue };
            if after == frame.state || self.is_needless(frame, number | OPTIONAL, &after) {
                continue;
            }
            // One that makes way for something answered comes before one that needs another one after it.
            let makes_way = begun.iter().any(|&call| {
                *steps = steps.saturating_sub(1);
                let call = call as u32;
                self.step(&frame.state, call).is_none() && self.sound_step(&after, call, &begun).is_some()
            });
            found.push((!makes_way, self.rank(class.call), class.until, number | OPTIONAL));
        }
        found.sort_unstable();
        let found = found.into_iter().map(|(.., choice)| choice);
        self.choices.extend(found);
        self.frames.last_mut().expect("the same frame").complete = true;
        Some(())
    }

    fn take(&mut self, choice: u32) {
        if choice & OPTIONAL == 0 {
            let (before, after) = (self.previous[choice as usize], self.next[choice as usize]);
            self.next[before as usize] = after;
            self.previous[after as usize] = before;
            return;
        }
        let number = choice & !OPTIONAL;
        self.classes[number as usize].used += 1;
        if let Err(place) = self.used.binary_search(&number) {
            self.used.insert(place, number);
        }
    }

    /// Takes the last choice back.
    fn undo(&mut self, taken: Option<u32>) {
        let Some(choice) = taken else { return };
        if choice & OPTIONAL == 0 {
            let (before, after) = (self.previous[choice as usize], self.next[choice as usize]);
            self.next[before as usize] = choice;
            self.previous[after as usize] = choice;
            return;
        }
        let number = choice & !OPTIONAL;
        self.classes[number as usize].used -= 1;
        if self.classes[number as usize].used == 0
            && let Ok(place) = self.used.binary_search(&number)
        {
            self.used.remove(place);
        }
    }
}

/// Numbers for calls that equal ones share.
struct Kinds<'a, 'h, S> {
    spec: &'a S,
    calls: &'a [Timed<'h>],
    /// A call of each kind and the number of the kind.
    table: HashTable<(u32, u32)>,
    count: u32,
}

impl<S: Specification> Kinds<'_, '_, S> {
    /// The number of a call, and whether it is the first of its kind.
    fn number(&mut self, call: u32) -> (u32, bool) {
        let (calls, minds_clients) = (self.calls, self.spec.minds_clients());
        let what = |call: u32| {
            let call = &calls[call as usize].call;
            let value = match call.answer {
                Answer::Done(value) => Some(value.map(|value| &**value)),
                Answer::Unknown => None,
            };
            (call.operation, value, minds_clients.then_some(call.client))
        };
        let hash = StableHasher::of(&what(call));
        if let Some(&(_, number)) = self.table.find(hash, |&(other, _)| what(other) == what(call)) {
            return (number, false);
        }
        let number = self.count;
        self.count += 1;
        self.table.insert_unique(hash, (call, number), |&(other, _)| StableHasher::of(&what(other)));
        (number, true)
    }
}
