//! Every answer that is wrong by itself.
//!
//! A [`Violation`](super::Violation) tells of the one answer with which a history became wrong, and from there on no
//! order exists. A reader of the history also wants the other answers that no store may give. Each of these is judged
//! alone, by the rule of [`may_return`]: weaker than linearizable, so the violation's answer need not be among them.

use std::collections::BTreeMap;

use super::value;
use crate::id::Mid;
use crate::record::{Attempt, History, Outcome};
use crate::service::Text;
use crate::workload::{may_return, newest_done};

/// A get with a wrong answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrongRead {
    /// The get.
    pub get: Mid,
    /// An operation that shows that it is wrong, as a rule the put that it should have seen.
    pub missed: Option<Mid>,
}

/// All gets of a history whose answers are wrong whatever the other gets were told, in order of sending. The put that
/// each should have seen is the newest one that was acknowledged before it began, if there is one.
pub fn wrong_reads(history: &History) -> Vec<WrongRead> {
    // A put is known by its place, so that it can be named.
    let mut puts: BTreeMap<&Text, Vec<usize>> = BTreeMap::new();
    for (number, attempt) in history.attempts.iter().enumerate().filter(|(_, attempt)| !attempt.operation.is_get()) {
        puts.entry(attempt.operation.key()).or_default().push(number);
    }
    let of_key = |key: &Text| puts.get(key).map_or(&[][..], Vec::as_slice);
    let gets = history.attempts.iter().enumerate().filter(|(_, attempt)| attempt.operation.is_get());
    gets.filter_map(|(number, get)| {
        let puts = of_key(get.operation.key());
        is_wrong(history, get, puts).then(|| WrongRead { get: mid(number), missed: missed(history, get, puts) })
    })
    .collect()
}

fn is_wrong(history: &History, get: &Attempt, puts: &[usize]) -> bool {
    let Some((answered, Outcome::Ok(_))) = &get.answer else { return false };
    let puts = puts.iter().map(|put| &history.attempts[*put]);
    value(get).is_none_or(|value| !may_return(get.sent, *answered, value, puts))
}

fn missed(history: &History, get: &Attempt, puts: &[usize]) -> Option<Mid> {
    let newest = newest_done(get.sent, puts.iter().map(|put| &history.attempts[*put]))?;
    puts.iter().rev().find(|put| std::ptr::eq(&history.attempts[**put], newest)).map(|put| mid(*put))
}

fn mid(number: usize) -> Mid {
    Mid(number as u64)
}
