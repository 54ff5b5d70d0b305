//! A counter.

use super::{Answer, Call, Reason, Specification, Study, Timed};
use crate::service::{Operation, Text};
use crate::time::Time;

/// A number, 0 at first, that clients add to and get. It has no bounds. An answer "" means 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

impl Specification for Counter {
    type State = i128;

    fn name(&self) -> &str {
        "counter"
    }

    fn initial(&self) -> i128 {
        0
    }

    fn knows(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::Get { .. } | Operation::Add { .. })
    }

    fn step(&self, state: &i128, call: &Call<'_>) -> Option<i128> {
        match (call.operation, call.answer) {
            (Operation::Get { .. }, Answer::Unknown) => Some(*state),
            (Operation::Get { .. }, Answer::Done(read)) => number(read?).filter(|read| read == state),
            // A history has fewer than 2^31 operations, so their sum has fewer than 96 bits.
            (Operation::Add { amount, .. }, _) => Some(state.saturating_add(i128::from(*amount))),
            _ => None,
        }
    }

    fn minds_clients(&self) -> bool {
        false
    }

    fn study<'h>(&self, calls: &[Timed<'h>]) -> Study<'h, i128> {
        if let Some(reason) = contradiction(calls) {
            return Study::contradiction(reason);
        }
        let gets = calls.iter().filter(|timed| timed.call.operation.is_get());
        let last = gets.map(|get| get.answered).max().unwrap_or(Time::ZERO);
        let shows_until = calls.iter().map(|timed| match timed.call.operation {
            Operation::Add { amount: 0, .. } => Time::ZERO,
            _ => last,
        });
        let dooms = is_beside_all_gets(calls);
        Study { shows_until: shows_until.collect(), dooms: Some(Box::new(dooms)), ..Study::nothing(calls.len()) }
    }
}

/// Tells of an add of unknown outcome whether no get that may come next can return a sum with it.
fn is_beside_all_gets<'h>(calls: &[Timed<'h>]) -> impl Fn(&i128, usize, &[usize]) -> bool + 'h {
    let of = |timed: &Timed<'h>| match (timed.call.operation, timed.call.answer) {
        (Operation::Add { amount, .. }, Answer::Unknown) => (Some(i128::from(*amount)), None),
        (Operation::Get { .. }, Answer::Done(read)) => (None, read.and_then(number)),
        _ => (None, None),
    };
    let (amounts, reads): (Vec<Option<i128>>, Vec<Option<i128>>) = calls.iter().map(of).unzip();
    let sum = |of: fn(i128) -> i128| amounts.iter().flatten().copied().map(of).sum::<i128>();
    let (less, more) = (sum(|amount| amount.min(0)), sum(|amount| amount.max(0)));
    move |state, call, next| {
        let Some(amount) = amounts[call] else { return false };
        let after = state + amount;
        // Others of unknown outcome may come in between.
        !next.iter().filter_map(|&get| reads[get]).any(|read| (after + less..=after + more).contains(&read))
    }
}

fn number(text: &Text) -> Option<i128> {
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

/// Adds in the order of some time, with sums of what is added up to each.
struct Sums {
    times: Vec<Time>,
    /// What is certain: adds that must take effect.
    sure: Vec<i128>,
    /// What may make it more, and what may make it less.
    more: Vec<i128>,
    less: Vec<i128>,
}

impl Sums {
    fn new(calls: &[Timed<'_>], time: impl Fn(&Timed<'_>) -> Time) -> Sums {
        let mut adds: Vec<(Time, i128)> = Vec::new();
        for timed in calls {
            if let Operation::Add { amount, .. } = timed.call.operation {
                adds.push((time(timed), i128::from(*amount)));
            }
        }
        adds.sort_unstable();
        let mut sums = Sums { times: Vec::new(), sure: vec![0], more: vec![0], less: vec![0] };
        let (mut sure, mut more, mut less) = (0, 0, 0);
        for (time, amount) in adds {
            sums.times.push(time);
            sure += amount;
            more += amount.max(0);
            less += amount.min(0);
            sums.sure.push(sure);
            sums.more.push(more);
            sums.less.push(less);
        }
        sums
    }
}

/// A get that is no number, or outside of what can have been added by then.
fn contradiction(calls: &[Timed<'_>]) -> Option<Reason> {
    let (ended, begun) = (Sums::new(calls, |timed| timed.answered), Sums::new(calls, |timed| timed.invoked));
    calls.iter().enumerate().find_map(|(place, timed)| {
        let (Operation::Get { .. }, Answer::Done(read)) = (timed.call.operation, timed.call.answer) else {
            return None;
        };
        let Some(read) = read.and_then(number) else {
            return Some(Reason::of(place).words("that is not a number"));
        };
        // Adds that were over before it began are in it, those that began by its end may be.
        let before = ended.times.partition_point(|&time| time < timed.invoked);
        let by_then = begun.times.partition_point(|&time| time <= timed.answered);
        let sure = ended.sure[before];
        let low = sure + begun.less[by_then] - ended.less[before];
        let high = sure + begun.more[by_then] - ended.more[before];
        (read < low || read > high).then(|| {
            let reason = Reason::of(place);
            match low == high {
                true => reason.words(format!("all that was added by then is {low}")),
                false => reason.words(format!(
                    "what was added by then is from {low} to {high}: {sure} for certain, the rest was under way"
                )),
            }
        })
    })
}
