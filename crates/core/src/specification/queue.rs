//! A first-in-first-out queue.

use std::collections::BTreeMap;

use super::study::last_answered;
use super::{Answer, Call, Reason, Sequence, Specification, Study, Timed};
use crate::service::{Operation, Text};
use crate::time::Time;

/// A queue, empty at first: values leave it in the order in which they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue;

impl Specification for Queue {
    type State = Sequence;

    fn name(&self) -> &str {
        "queue"
    }

    fn initial(&self) -> Sequence {
        Sequence::new()
    }

    fn knows(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::Enqueue { .. } | Operation::Dequeue { .. })
    }

    fn step(&self, state: &Sequence, call: &Call<'_>) -> Option<Sequence> {
        match (call.operation, call.answer) {
            (Operation::Enqueue { value, .. }, _) => Some(state.with(value)),
            (Operation::Dequeue { .. }, Answer::Unknown) => {
                Some(state.without_first().unwrap_or_else(|| state.clone()))
            }
            (Operation::Dequeue { .. }, Answer::Done(None)) => state.is_empty().then(|| state.clone()),
            (Operation::Dequeue { .. }, Answer::Done(value)) => {
                if state.first() == value {
                    state.without_first()
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    fn is_read(&self, call: &Call<'_>) -> bool {
        matches!((call.operation, call.answer), (Operation::Dequeue { .. }, Answer::Done(None)))
    }

    fn minds_clients(&self) -> bool {
        false
    }

    fn study<'h>(&self, calls: &[Timed<'h>]) -> Study<'h, Sequence> {
        let matches = Matches::of(calls);
        if let Some(reason) = matches.contradiction() {
            return Study::contradiction(reason);
        }
        let last = matches.taken.values().flatten().chain(&matches.empty).map(|&place| calls[place].answered).max();
        let shows_until = calls.iter().map(|timed| match timed.call.operation {
            Operation::Enqueue { value, .. } => {
                let taken = matches.taken.get(&**value).into_iter().flatten();
                taken.map(|&place| calls[place].answered).max().unwrap_or(Time::ZERO)
            }
            _ => last.unwrap_or(Time::ZERO),
        });
        let (ranks, shows_until) = (matches.ranks(), shows_until.collect());
        let mut leaves: BTreeMap<&'h str, (Time, Time)> = BTreeMap::new();
        for (&value, places) in matches.put.iter().filter(|(_, places)| places.len() == 1) {
            leaves.insert(value, matches.leaves(places[0]));
        }
        let values: Vec<Option<&'h Text>> = calls.iter().map(|timed| timed.call.operation.value()).collect();
        let takes: Vec<bool> = calls.iter().map(|timed| timed.call.answer != Answer::Unknown).collect();
        let dooms = move |state: &Sequence, call: usize, _: &[usize]| match values[call] {
            // A value must not stand behind one that leaves later. Those right before it are enough to look at.
            Some(value) => leaves.get(&**value).is_some_and(|&(_, ended)| {
                let stands_in_the_way = |before: &Text| leaves.get(&**before).is_some_and(|&(began, _)| began > ended);
                state.backwards().take(LOOK_BACK).any(stands_in_the_way)
            }),
            // A dequeue of unknown outcome takes nothing that another one was told.
            None if takes[call] => false,
            None => {
                state.first().and_then(|first| leaves.get(&**first)).is_some_and(|&(_, ended)| ended != Time::NEVER)
            }
        };
        let shown_by = matches.pairs().into_iter().filter_map(|(put, taken)| Some((put, calls[taken?].answered)));
        let shown_by = shown_by.collect();
        Study { contradiction: None, ranks, shows_until, shown_by, dooms: Some(Box::new(dooms)) }
    }
}

/// How many values at the end of a queue are compared with the next one.
const LOOK_BACK: usize = 32;

/// Which calls put and which took each value.
struct Matches<'c, 'h> {
    calls: &'c [Timed<'h>],
    put: BTreeMap<&'h str, Vec<usize>>,
    taken: BTreeMap<&'h str, Vec<usize>>,
    /// Dequeues that found nothing.
    empty: Vec<usize>,
    /// When dequeues of unknown outcome were sent, in order. Each may have taken any value.
    unknown: Vec<Time>,
}

impl<'c, 'h> Matches<'c, 'h> {
    fn of(calls: &'c [Timed<'h>]) -> Matches<'c, 'h> {
        let (put, taken) = (BTreeMap::new(), BTreeMap::new());
        let mut matches = Matches { calls, put, taken, empty: Vec::new(), unknown: Vec::new() };
        for (place, timed) in calls.iter().enumerate() {
            match (timed.call.operation, timed.call.answer) {
                (Operation::Enqueue { value, .. }, _) => matches.put.entry(value).or_default().push(place),
                (_, Answer::Done(Some(value))) => matches.taken.entry(value).or_default().push(place),
                (_, Answer::Done(None)) => matches.empty.push(place),
                (_, Answer::Unknown) => matches.unknown.push(timed.invoked),
            }
        }
        matches.unknown.sort_unstable();
        matches
    }

    /// When the value of an enqueue leaves, as far as that is certain: the dequeue began no earlier and ended no later.
    fn leaves(&self, put: usize) -> (Time, Time) {
        let Operation::Enqueue { value, .. } = self.calls[put].call.operation else { return (Time::ZERO, Time::NEVER) };
        if self.put.get(&**value).is_none_or(|places| places.len() > 1) {
            return (Time::ZERO, Time::NEVER);
        }
        match self.taken.get(&**value).map(Vec::as_slice) {
            Some(&[taken]) => (self.calls[taken].invoked, self.calls[taken].answered),
            _ if self.unknown.is_empty() => (Time::NEVER, Time::NEVER),
            _ => (Time::ZERO, Time::NEVER),
        }
    }

    /// Dequeues first: they keep the queue short. Then the value that leaves first. One that no dequeue was told left
    /// before those that came after it and left, if it left at all.
    fn ranks(&self) -> Vec<u64> {
        let calls = self.calls;
        let mut left: Vec<(Time, Time)> = Vec::new();
        for &(put, taken) in &self.pairs() {
            left.extend(taken.map(|taken| (calls[put].invoked, calls[taken].invoked)));
        }
        left.sort_unstable();
        let mut soonest = vec![Time::NEVER; left.len() + 1];
        for place in (0..left.len()).rev() {
            soonest[place] = soonest[place + 1].min(left[place].1);
        }
        let rank = |(place, timed): (usize, &Timed<'_>)| match (timed.call.operation, self.leaves(place)) {
            (Operation::Enqueue { .. }, (_, Time::NEVER)) => {
                soonest[left.partition_point(|&(put, _)| put <= timed.answered)].nanos()
            }
            (Operation::Enqueue { .. }, (began, _)) => began.nanos(),
            _ => 0,
        };
        calls.iter().enumerate().map(rank).collect()
    }

    fn contradiction(&self) -> Option<Reason> {
        self.out_of_nowhere().or_else(|| self.overtaken()).or_else(|| self.passed_over()).or_else(|| self.not_empty())
    }

    /// A value was taken more often than it was put by then.
    fn out_of_nowhere(&self) -> Option<Reason> {
        let calls = self.calls;
        self.taken.iter().find_map(|(value, taken)| {
            let mut taken = taken.clone();
            taken.sort_by_key(|&place| (calls[place].answered, place));
            let mut put: Vec<usize> = self.put.get(value).cloned().unwrap_or_default();
            put.sort_by_key(|&place| calls[place].invoked);
            (0..taken.len()).find_map(|number| {
                let place = taken[number];
                let is_there = put.get(number).is_some_and(|&put| calls[put].invoked <= calls[place].answered);
                if is_there {
                    return None;
                }
                let reason = Reason::of(place);
                let other = number.checked_sub(1).map(|before| taken[before]);
                Some(match (other, put.first()) {
                    (None, None) => reason.words("that was never enqueued"),
                    (None, Some(&put)) => {
                        reason.words("that was first enqueued by ").client(put).words(" at ").invoked(put)
                    }
                    (Some(other), _) if number == 1 => {
                        let reason = reason.client(other).words(" had dequeued it at ").answered(other);
                        reason.words(", and it was enqueued once by then")
                    }
                    (Some(_), _) => reason.words(format!("it was enqueued only {number} times by then")),
                })
            })
        })
    }

    /// Enqueues whose values were enqueued once, and taken once or not at all, with their dequeues.
    fn pairs(&self) -> Vec<(usize, Option<usize>)> {
        let once = self.put.iter().filter_map(|(value, put)| match (put.as_slice(), self.taken.get(value)) {
            (&[put], None) => Some((put, None)),
            (&[put], Some(taken)) => Some((put, Some(taken[0]))),
            _ => None,
        });
        once.collect()
    }

    /// A value left before one that had come before it.
    fn overtaken(&self) -> Option<Reason> {
        let calls = self.calls;
        let mut older: Vec<(usize, usize)> =
            self.pairs().iter().filter_map(|&(put, taken)| Some((put, taken?))).collect();
        older.sort_by_key(|&(put, _)| calls[put].answered);
        // Of those that were over by then, the one whose dequeue began last.
        let mut latest: Vec<(usize, usize)> = Vec::with_capacity(older.len());
        for &pair in &older {
            let last = latest.last().copied().unwrap_or(pair);
            latest.push(if calls[pair.1].invoked > calls[last.1].invoked { pair } else { last });
        }
        older.iter().find_map(|&(put, taken)| {
            let before = older.partition_point(|&(other, _)| calls[other].is_before(&calls[put]));
            let (other_put, other_taken) = *latest[..before].last()?;
            calls[taken].is_before(&calls[other_taken]).then(|| {
                let wrong = last_answered(calls, taken, other_taken);
                let value = |place: usize| calls[place].call.operation.value();
                // The wrong value had come first: the enqueue of this one began after it was acknowledged.
                let reason = Reason::of(wrong).value(value(put)).words(", whose enqueue began at ").invoked(put);
                let reason = reason.words(" after it was acknowledged at ").answered(other_put);
                reason.words(", had already been dequeued by ").client(taken).words(" at ").answered(taken)
            })
        })
    }

    /// A value left although older ones were still there: more than dequeues of unknown outcome can have taken.
    fn passed_over(&self) -> Option<Reason> {
        let calls = self.calls;
        let pairs = self.pairs();
        let mut left: Vec<usize> = pairs
            .iter()
            .filter(|(put, taken)| taken.is_none() && calls[*put].is_required())
            .map(|pair| pair.0)
            .collect();
        left.sort_by_key(|&put| calls[put].answered);
        pairs.iter().find_map(|&(put, taken)| {
            let taken = taken?;
            let older = left.partition_point(|&other| calls[other].is_before(&calls[put]));
            let lost = self.unknown.partition_point(|&time| time <= calls[taken].answered);
            (older > lost).then(|| {
                let (first, reason) = (left[0], Reason::of(taken).value(calls[left[0]].call.operation.value()));
                let reason = reason.words(" had been enqueued before it by ").client(first);
                let reason = reason.words(", was acknowledged at ").answered(first).words(" and is still there");
                match lost {
                    0 => reason,
                    _ => reason.words(format!(
                        ", or one of {older} such values: only {lost} dequeues of unknown outcome can have taken any"
                    )),
                }
            })
        })
    }

    /// A queue was called empty although at each time some value was in it for certain: since its enqueue was
    /// acknowledged, and until its dequeue began.
    fn not_empty(&self) -> Option<Reason> {
        let calls = self.calls;
        let is_sure = |taken: Option<usize>| taken.is_some() || self.unknown.is_empty();
        let pairs = self.pairs().into_iter().filter(|&(put, taken)| calls[put].is_required() && is_sure(taken));
        let end = |taken: Option<usize>| taken.map_or(Time::NEVER, |taken| calls[taken].invoked);
        let mut there: Vec<(usize, Option<usize>)> =
            pairs.filter(|&(put, taken)| calls[put].answered < end(taken)).collect();
        there.sort_by_key(|&(put, _)| calls[put].answered);
        let mut longest: Vec<(usize, Option<usize>)> = Vec::with_capacity(there.len());
        for &pair in &there {
            let last = longest.last().copied().unwrap_or(pair);
            longest.push(if end(pair.1) > end(last.1) { pair } else { last });
        }
        self.empty.iter().find_map(|&empty| {
            let (mut reached, mut shown) = (calls[empty].invoked, Vec::new());
            // Each of them is there before the one before it is gone.
            while shown.is_empty() || reached <= calls[empty].answered {
                let before = there.partition_point(|&(put, _)| calls[put].answered < reached);
                let next = *longest[..before].last()?;
                if end(next.1) <= reached {
                    return None;
                }
                reached = end(next.1);
                shown.push(next.0);
            }
            let value = |put: usize| calls[put].call.operation.value();
            let reason = Reason::of(empty).value(value(shown[0]));
            let reason = reason.words(" had been enqueued and acknowledged at ").answered(shown[0]);
            Some(match shown.len() {
                1 => reason.words(" and was still there"),
                count => reason.words(format!(
                    " and was still there when the next of {count} values came, and so on until the end"
                )),
            })
        })
    }
}
