//! A violation in plain words, with the operations around it.

use std::collections::BTreeSet;
use std::fmt;

use crate::check::linear::register::{FirstWrong, INITIAL, Op, Register};
use crate::check::linear::words::{KEY_CHARACTERS_MAX, Names, seconds, shorten};
use crate::check::linear::{NEVER, WrongRead, value};
use crate::id::Mid;
use crate::printable::printable;
use crate::record::{Attempt, History, Outcome};
use crate::service::Text;
use crate::time::Time;

/// A history that no order of its operations explains.
///
/// As text, it is the explanation in the first line, and then the operations around it, one in each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key.
    pub key: Text,
    /// When the answer was given with which the history became wrong.
    pub at: Time,
    /// How many `ok` there had been then on all keys, this one included: the length of the shortest wrong prefix.
    pub answers: usize,
    /// Whether the history is known to be right up to that answer. If not, the budget was spent before that was known,
    /// and a shorter prefix may be wrong, too.
    pub minimal: bool,
    /// What is wrong, in one line.
    pub explanation: String,
    /// Operations on the key around that answer, in the order of sending.
    pub around: Vec<Attempt>,
    /// The MIDs of these operations.
    pub around_mids: Vec<Mid>,
    /// That answer, and an operation that shows that it is wrong.
    pub read: WrongRead,
    /// All operations that the explanation names besides, by their MIDs.
    pub named: Vec<Mid>,
}

/// The most operations that are shown.
pub(super) const AROUND_MAX: usize = 12;

impl Violation {
    /// What was asked and told in each of the operations around, in words.
    pub fn words_around(&self) -> Vec<String> {
        let names = Names::of(&self.around);
        self.around.iter().map(|attempt| names.operation(attempt)).collect()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explanation)?;
        let times = self.around.iter().map(|attempt| {
            let answered = attempt.answer.as_ref().map_or(Time::NEVER, |answer| answer.0);
            [attempt.sent.to_string(), answered.to_string()]
        });
        let times: Vec<[String; 2]> = times.collect();
        let width = |column: usize| times.iter().map(|times| times[column].len()).max().unwrap_or_default();
        let (sent_width, answered_width) = (width(0), width(1));
        for ((attempt, [sent, answered]), what) in self.around.iter().zip(&times).zip(self.words_around()) {
            let (client, replica) = (attempt.client, attempt.replica);
            write!(f, "\n  {sent:>sent_width$} to {answered:>answered_width$}  client {client} at {replica}  {what}")?;
        }
        Ok(())
    }
}

/// Explains why a register became wrong with an answer.
pub(super) fn violation(history: &History, register: &Register, first: FirstWrong, minimal: bool) -> Violation {
    let attempts = &history.attempts;
    let culprit = &attempts[first.attempt as usize];
    let at = culprit.answer.as_ref().map_or(Time::NEVER, |answer| answer.0);
    let is_by_then = |(number, attempt): &(usize, &Attempt)| {
        let answer = attempt.answer.as_ref();
        answer.is_some_and(|(time, outcome)| {
            matches!(outcome, Outcome::Ok(_)) && (*time, *number) <= (at, first.attempt as usize)
        })
    };
    let cut = register.cut((first.answered, first.attempt));
    let cause = Cause::find(register, &cut, first);
    let shown = around(&cut, first, &cause);
    let around: Vec<Attempt> = shown.iter().map(|&number| attempts[number as usize].clone()).collect();
    let names = Names::of(&around);
    let mut explanation = format!(
        "client {} read {} of key {} at {}, but {}",
        culprit.client,
        names.text(value(culprit)),
        shorten(&printable(culprit.operation.key()), KEY_CHARACTERS_MAX),
        seconds(at),
        cause.words(attempts, culprit, &names),
    );
    if !minimal {
        explanation += " (some earlier answer may be wrong already: the budget was spent)";
    }
    let mid = |attempt: u32| Mid(attempt.into());
    Violation {
        named: cause.ops().iter().map(|op| mid(op.attempt)).collect(),
        read: WrongRead { get: mid(first.attempt), missed: cause.ops().first().map(|op| mid(op.attempt)) },
        key: culprit.operation.key().clone(),
        at,
        answers: attempts.iter().enumerate().filter(is_by_then).count(),
        minimal,
        explanation,
        around,
        around_mids: shown.into_iter().map(mid).collect(),
    }
}

/// Why a get cannot have returned what it did.
enum Cause {
    /// It returned nothing at all.
    Valueless,
    /// No put of the value can have taken effect: there is none, or all were redirected.
    NeverPut,
    /// The value was put later.
    PutLater(Op),
    /// Another put came after all puts of the value, and was acknowledged before the get began.
    Overwritten(Op),
    /// Another value was there before the get began: this operation on it had ended.
    Replaced {
        other: Op,
        /// And it came after the value that the get returned: an operation on that had ended before one on the other
        /// began. None if the get returned what the register held at first.
        order: Option<(Op, Op)>,
    },
    /// No pair of operations is the reason, but this number of them together.
    NoOrder(usize),
}

impl Cause {
    fn find(register: &Register, cut: &Register, first: FirstWrong) -> Cause {
        let Some(&get) = cut.ops.iter().find(|op| op.attempt == first.attempt) else { return Cause::Valueless };
        let is_initial = get.value == INITIAL;
        let puts = || register.ops.iter().filter(|op| op.is_put && op.value == get.value);
        match puts().min_by_key(|put| put.invoked) {
            None if !is_initial => return Cause::NeverPut,
            Some(&put) if !is_initial && put.invoked > get.answered => return Cause::PutLater(put),
            _ => {}
        }
        let puts = cut.ops.iter().filter(|op| op.is_put);
        let newest = puts.clone().filter(|op| op.value == get.value).map(|op| op.answered).max().unwrap_or(0);
        let overwrites = |op: &&Op| op.value != get.value && op.invoked > newest && op.answered < get.invoked;
        if let Some(&put) = puts.filter(overwrites).max_by_key(|op| op.answered) {
            return Cause::Overwritten(put);
        }
        Cause::replaced(cut, &get).unwrap_or(Cause::NoOrder(cut.ops.len()))
    }

    /// If the value of a get and another one are in each other's way, what shows it.
    fn replaced(cut: &Register, get: &Op) -> Option<Cause> {
        let pair = cut.conflict()?;
        let this = pair.iter().find(|block| block.value == get.value)?;
        let other = pair.iter().find(|block| block.value != this.value)?;
        let of = |value: u32| cut.ops.iter().filter(move |op| op.value == value);
        let first_ended = |value| of(value).filter(|op| op.answered != NEVER).min_by_key(|op| op.answered).copied();
        let ended = first_ended(other.value).filter(|op| op.answered < get.invoked)?;
        if get.value == INITIAL {
            return Some(Cause::Replaced { other: ended, order: None });
        }
        let before = first_ended(get.value)?;
        let after = of(other.value).find(|op| op.invoked == other.end && op.invoked > before.answered)?;
        Some(Cause::Replaced { other: ended, order: Some((before, *after)) })
    }

    /// The operations that it speaks of.
    fn ops(&self) -> Vec<Op> {
        match *self {
            Cause::Valueless | Cause::NeverPut | Cause::NoOrder(_) => Vec::new(),
            Cause::PutLater(op) | Cause::Overwritten(op) => vec![op],
            Cause::Replaced { other, order } => {
                [Some(other), order.map(|order| order.0), order.map(|order| order.1)].into_iter().flatten().collect()
            }
        }
    }

    fn words(&self, attempts: &[Attempt], culprit: &Attempt, names: &Names) -> String {
        let attempt = |op: &Op| &attempts[op.attempt as usize];
        let name = |op: &Op| names.text(value(attempt(op)));
        // "acknowledged at 9.377000 s" or "read by client 0018 at 9.377000 s".
        let ended = |op: &Op| {
            let at = seconds(attempt(op).answer.as_ref().map_or(Time::NEVER, |answer| answer.0));
            match op.is_put {
                true => format!("acknowledged at {at}"),
                false => format!("read by client {} at {at}", attempt(op).client),
            }
        };
        match self {
            Cause::Valueless => "an answer to a get must carry a value".to_owned(),
            Cause::NeverPut => {
                redirected_put(attempts, culprit).map_or("no client ever put that".to_owned(), redirected_words)
            }
            Cause::PutLater(put) => {
                if let Some(redirected) = redirected_put(attempts, culprit) {
                    return redirected_words(redirected);
                }
                format!("that was first put by client {} at {}", attempt(put).client, seconds(attempt(put).sent))
            }
            Cause::Overwritten(put) => format!("{} had been {}", name(put), ended(put)),
            Cause::Replaced { other, order: None } => format!("{} had been {}", name(other), ended(other)),
            Cause::Replaced { other, order: Some((before, after)) } => {
                let kind = if after.is_put { "put" } else { "get" };
                format!(
                    "{} had been {}, and came later: {} had been {} before a {kind} of {} began at {}",
                    name(other),
                    ended(other),
                    name(before),
                    ended(before),
                    name(after),
                    seconds(attempt(after).sent),
                )
            }
            Cause::NoOrder(count) => {
                format!("no order of the {count} operations on this key until then explains all answers")
            }
        }
    }
}

/// A put of what a get returned that was redirected before.
fn redirected_put<'a>(attempts: &'a [Attempt], get: &Attempt) -> Option<&'a Attempt> {
    let answered = get.answer.as_ref().map_or(Time::NEVER, |answer| answer.0);
    attempts.iter().find(|put| {
        put.is_redirected()
            && put.sent <= answered
            && put.operation.key() == get.operation.key()
            && put.operation.value() == value(get)
    })
}

fn redirected_words(put: &Attempt) -> String {
    let (client, replica, at) = (put.client, put.replica, seconds(put.sent));
    format!("the put of client {client} at {at} was redirected by {replica}, so it must not take effect")
}

/// The operations to show: the wrong one, those that the cause speaks of, puts of the value, and the newest others.
fn around(cut: &Register, first: FirstWrong, cause: &Cause) -> BTreeSet<u32> {
    let mut shown = BTreeSet::from([first.attempt]);
    shown.extend(cause.ops().iter().map(|op| op.attempt));
    let read = cut.ops.iter().find(|op| op.attempt == first.attempt).map(|op| op.value);
    let puts = cut.ops.iter().filter(|op| op.is_put && Some(op.value) == read);
    let mut newest: Vec<&Op> = cut.ops.iter().collect();
    newest.sort_by_key(|op| std::cmp::Reverse((op.invoked, op.attempt)));
    for op in puts.take(AROUND_MAX / 3).chain(newest) {
        if shown.len() == AROUND_MAX {
            break;
        }
        shown.insert(op.attempt);
    }
    shown
}
