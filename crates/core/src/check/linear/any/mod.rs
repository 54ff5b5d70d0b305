//! Linearizability of objects of any type: [`Specification`] says what is right.
//!
//! What counts as an operation is the same as for registers (see [`check::linear`](super)). Two things come on top:
//!
//! - *Any* operation that failed or stayed unanswered may take effect later or never, unless it is a read.
//! - Updates with the same [`RequestId`] on the same object are one operation, which was sent several times and takes
//!   effect once at most: after the first sending, and before the first `ok`. A later `ok` must say the same.
//!
//! How it goes: objects are judged one by one. Of each, the specification's study may show a contradiction at once. If
//! not, `search.rs` looks for an order. Of an object that is wrong, bisection finds the shortest wrong prefix.

mod explain;
mod memo;
mod ready;
mod search;

use std::collections::BTreeMap;

use crate::check::linear::{Budget, NEVER, Verdict, interval};
use crate::id::Mid;
use crate::record::{Attempt, History, Outcome};
use crate::service::{Operation, RequestId};
use crate::specification::{Answer, Call, Reason, Specification, Timed};
use crate::time::Time;

pub use ready::{AnySpecification, READY, UnknownSpecification, by_name, fitting, of_kind};
use search::Search;

/// A history has an operation that a specification does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the specification `{specification}` has no operation `{operation}`")]
pub struct Stranger {
    /// The name of the specification.
    pub specification: String,
    /// The name of the operation.
    pub operation: String,
    /// The attempt with it.
    pub mid: Mid,
}

/// Checks a history against a specification.
///
/// # Errors
/// If the history has an operation that the specification does not know.
///
/// # Panics
/// If the history has 2^31 attempts or more.
pub fn check_against<S: Specification>(spec: &S, history: &History, budget: Budget) -> Result<Verdict, Stranger> {
    assert!(history.attempts.len() < 1 << 31, "attempts are numbered with 31 bits");
    let mut objects: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (number, attempt) in history.attempts.iter().enumerate() {
        let operation = &attempt.operation;
        if !spec.knows(operation) {
            let (specification, operation) = (spec.name().to_owned(), operation.name().to_owned());
            return Err(Stranger { specification, operation, mid: Mid(number as u64) });
        }
        if counts(spec, attempt) {
            objects.entry(spec.object(operation)).or_default().push(number as u32);
        }
    }
    let check = Check { spec, attempts: &history.attempts };
    let objects = objects.into_iter().map(|(name, attempts)| Object { name, attempts }).collect();
    Ok(check.run(objects, budget))
}

/// Whether an attempt is an operation.
fn counts<S: Specification>(spec: &S, attempt: &Attempt) -> bool {
    match attempt.answer {
        Some((_, Outcome::Ok(_))) => true,
        Some((_, Outcome::Redirect)) => false,
        _ => !spec.is_read(&unanswered(attempt)),
    }
}

/// The call of an attempt as if there were no answer.
fn unanswered(attempt: &Attempt) -> Call<'_> {
    Call { client: attempt.client, operation: &attempt.operation, answer: Answer::Unknown }
}

/// An object and the attempts on it that count, by their numbers in the history.
struct Object<'h> {
    name: &'h str,
    attempts: Vec<u32>,
}

/// A place in the history: up to the answer that was given at this time to this attempt.
type Until = (u64, u32);

/// The whole history.
const ALL: Until = (NEVER, u32::MAX);

/// Operations on an object, as some place in the history shows them.
struct Ops<'h> {
    calls: Vec<Timed<'h>>,
    /// For each call, the attempt that was answered, or else the first one.
    attempts: Vec<u32>,
    /// An answer to a repeated update that is not the first one's: when, and the attempt.
    other_answer: Option<Until>,
}

/// What is known of some operations.
enum Judged {
    Right,
    /// With a reason, if a few operations are the reason.
    Wrong(Option<Reason>),
    /// The budget was spent.
    Unknown,
}

/// The answer with which an object became wrong.
struct FirstWrong {
    at: Until,
    /// Whether everything before it is known to be right.
    minimal: bool,
}

struct Check<'h, S> {
    spec: &'h S,
    attempts: &'h [Attempt],
}

impl<'h, S: Specification> Check<'h, S> {
    fn run(&self, objects: Vec<Object<'h>>, budget: Budget) -> Verdict {
        let (mut operations, keys) = (0, objects.len());
        let mut search = Search::new(budget);
        let (mut undecided, mut wrong) = (Vec::new(), Vec::new());
        // A short one more likely needs few steps: what is hard shall not take them from what is easy.
        let mut by_size = objects;
        by_size.sort_by_key(|object| object.attempts.len());
        for object in by_size {
            let ops = self.ops(&object, ALL);
            let count = ops.calls.len();
            operations += count;
            match self.judge(&ops, &mut search) {
                Judged::Right => {}
                Judged::Wrong(_) => wrong.push(object),
                Judged::Unknown => undecided.push((object, count)),
            }
        }
        let found = wrong.into_iter().map(|object| {
            let first = self.first_wrong(&object, &mut search);
            (object, first)
        });
        if let Some((object, first)) = found.min_by_key(|(_, first)| first.at) {
            let minimal = first.minimal && undecided.is_empty();
            return Verdict::Violation(Box::new(self.violation(&object, first.at, minimal)));
        }
        match undecided.into_iter().min_by_key(|(object, _)| object.attempts[0]) {
            Some((object, operations)) => Verdict::Unknown { key: object.name.into(), operations },
            None => Verdict::Linearizable { operations, keys },
        }
    }

    fn judge(&self, ops: &Ops<'h>, search: &mut Search) -> Judged {
        if ops.other_answer.is_some() {
            return Judged::Wrong(None);
        }
        let study = self.spec.study(&ops.calls);
        if let Some(reason) = study.contradiction {
            return Judged::Wrong(Some(reason));
        }
        match search.run(self.spec, &ops.calls, study) {
            Some(true) => Judged::Right,
            Some(false) => Judged::Wrong(None),
            None => Judged::Unknown,
        }
    }

    /// The operations on an object as they are known with this answer: what was answered later is pending, what was
    /// sent later has not happened.
    fn ops(&self, object: &Object<'_>, until: Until) -> Ops<'h> {
        let mut ops = Ops { calls: Vec::new(), attempts: Vec::new(), other_answer: None };
        let mut named: BTreeMap<(u64, u64), usize> = BTreeMap::new();
        for &number in &object.attempts {
            let attempt = &self.attempts[number as usize];
            let (invoked, answered) = interval(attempt);
            let is_pending = answered == NEVER || (answered, number) > until;
            if invoked > until.0 || (is_pending && self.spec.is_read(&unanswered(attempt))) {
                continue;
            }
            let answer = match &attempt.answer {
                Some((_, Outcome::Ok(value))) if !is_pending => Answer::Done(value.as_ref()),
                _ => Answer::Unknown,
            };
            let call = Call { answer, ..unanswered(attempt) };
            let answered = if is_pending { Time::NEVER } else { Time(answered) };
            let timed = Timed { call, invoked: Time(invoked), answered };
            if let Some(RequestId { client, number: name }) = request(&attempt.operation) {
                let place = *named.entry((client, name)).or_insert(ops.calls.len());
                if place < ops.calls.len() && ops.calls[place].call.operation == &attempt.operation {
                    ops.merge(place, number, timed);
                    continue;
                }
            }
            ops.calls.push(timed);
            ops.attempts.push(number);
        }
        ops
    }

    /// Finds the answer with which an object became wrong, which it is known to be.
    fn first_wrong(&self, object: &Object<'_>, search: &mut Search) -> FirstWrong {
        let all = self.ops(object, ALL);
        let calls = all.calls.iter().zip(&all.attempts).filter(|(timed, _)| timed.is_required());
        let mut answers: Vec<Until> = calls.map(|(timed, &attempt)| (timed.answered.nanos(), attempt)).collect();
        answers.sort_unstable();
        if let Some(other) = all.other_answer {
            // It is wrong by itself, but something may have been wrong before.
            answers.truncate(answers.partition_point(|&answer| answer < other));
            answers.push(other);
        }
        let mut minimal = true;
        // All prefixes before `right` are right or undecided; the one at `wrong` is wrong.
        let refuted = self.first_refuted(object, &answers);
        let (mut right, mut wrong) = (0, refuted);
        while right < wrong {
            // Mostly the first prefix that is refuted without a search is the first wrong one.
            let middle = if wrong == refuted && right == 0 { wrong - 1 } else { right + (wrong - right) / 2 };
            match self.judge(&self.ops(object, answers[middle]), search) {
                Judged::Wrong(_) => wrong = middle,
                Judged::Right => right = middle + 1,
                Judged::Unknown => {
                    minimal = false;
                    right = middle + 1;
                }
            }
        }
        FirstWrong { at: answers[wrong], minimal }
    }

    /// The first of these prefixes that is wrong without a search, as far as bisection can tell; the last one is wrong
    /// in any case.
    fn first_refuted(&self, object: &Object<'_>, answers: &[Until]) -> usize {
        let (mut before, mut refuted) = (0, answers.len() - 1);
        while before < refuted {
            let middle = before + (refuted - before) / 2;
            let ops = self.ops(object, answers[middle]);
            let is_refuted = ops.other_answer.is_some() || self.spec.study(&ops.calls).contradiction.is_some();
            if is_refuted { refuted = middle } else { before = middle + 1 }
        }
        refuted
    }
}

impl<'h> Ops<'h> {
    /// Takes in another sending of an update.
    fn merge(&mut self, place: usize, number: u32, other: Timed<'h>) {
        let first = &mut self.calls[place];
        first.invoked = first.invoked.min(other.invoked);
        if !other.is_required() {
            return;
        }
        let (mine, theirs) = ((first.answered, self.attempts[place]), (other.answered, number));
        let differs = first.is_required() && first.call.answer != other.call.answer;
        if !first.is_required() || theirs < mine {
            (first.answered, first.call) = (other.answered, other.call);
            self.attempts[place] = number;
        }
        if differs {
            let later = mine.max(theirs);
            let later = (later.0.nanos(), later.1);
            self.other_answer = Some(self.other_answer.map_or(later, |known| known.min(later)));
        }
    }
}

fn request(operation: &Operation) -> Option<RequestId> {
    match operation {
        Operation::Update(update) => update.request,
        _ => None,
    }
}

#[cfg(test)]
mod tests;
