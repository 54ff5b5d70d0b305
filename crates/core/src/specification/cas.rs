//! A register with compare-and-swap.

use std::collections::{BTreeMap, BinaryHeap};

use super::study::last_answered;
use super::{Answer, Call, Reason, Specification, Study, Timed};
use crate::service::{Operation, Text};
use crate::time::Time;

/// A value, "" at first, that clients get, put, and update: perhaps only if it is what they expect. To put "" is to
/// delete it.
///
/// An update that was not done, because the value was another one, found that value: it counts as a read of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cas;

impl Specification for Cas {
    type State = Text;

    fn name(&self) -> &str {
        "cas"
    }

    fn initial(&self) -> Text {
        "".into()
    }

    fn knows(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::Get { .. } | Operation::Put { .. } | Operation::Update(_))
    }

    fn step(&self, state: &Text, call: &Call<'_>) -> Option<Text> {
        match (call.operation, call.answer) {
            (Operation::Get { .. }, Answer::Unknown) => Some(state.clone()),
            (Operation::Get { .. }, Answer::Done(read)) => read.filter(|read| *read == state).cloned(),
            (Operation::Put { value, .. }, _) => Some(value.clone()),
            (Operation::Update(update), answer) => {
                let is_met = update.expected.as_ref().is_none_or(|expected| expected == state);
                match answer {
                    Answer::Done(None) => is_met.then(|| update.value.clone()),
                    Answer::Done(Some(found)) => (!is_met && found == state).then(|| state.clone()),
                    Answer::Unknown if is_met => Some(update.value.clone()),
                    Answer::Unknown => Some(state.clone()),
                }
            }
            _ => None,
        }
    }

    fn is_read(&self, call: &Call<'_>) -> bool {
        call.operation.is_get()
            || matches!((call.operation, call.answer), (Operation::Update(_), Answer::Done(Some(_))))
    }

    fn minds_clients(&self) -> bool {
        false
    }

    fn study<'h>(&self, calls: &[Timed<'h>]) -> Study<'h, Text> {
        let values = Values::of(calls);
        if let Some(reason) = values.contradiction(calls) {
            return Study::contradiction(reason);
        }
        let until = values.read_until(calls);
        let shows_until = calls.iter().map(|timed| {
            let value = timed.call.operation.value();
            value.and_then(|value| until.get(&**value)).copied().unwrap_or(Time::ZERO)
        });
        let (shows_until, shown_by) = (shows_until.collect(), values.shown_by(calls));
        Study { shows_until, shown_by, ..Study::nothing(calls.len()) }
    }
}

/// The value that was there when a call took effect, as its answer says, if it says so.
fn seen<'h>(timed: &Timed<'h>) -> Option<&'h Text> {
    match (timed.call.operation, timed.call.answer) {
        (Operation::Get { .. }, Answer::Done(read)) => read,
        (Operation::Update(_), Answer::Done(Some(found))) => Some(found),
        (Operation::Update(update), Answer::Done(None)) => update.expected.as_ref(),
        _ => None,
    }
}

/// Whether a call may have written.
fn may_write(timed: &Timed<'_>) -> bool {
    match (timed.call.operation, timed.call.answer) {
        (Operation::Put { .. }, _) => true,
        (Operation::Update(_), answer) => !matches!(answer, Answer::Done(Some(_))),
        _ => false,
    }
}

/// What calls write and see, by value.
struct Values<'h> {
    writes: BTreeMap<&'h str, Writes>,
    /// Calls whose answer says what was there.
    reads: Vec<(usize, &'h Text)>,
}

/// The calls that may write a value.
struct Writes {
    count: usize,
    /// The one that was sent first.
    first: usize,
    /// When the last of them was over.
    over: Time,
}

impl<'h> Values<'h> {
    fn of(calls: &[Timed<'h>]) -> Values<'h> {
        let mut values = Values { writes: BTreeMap::new(), reads: Vec::new() };
        for (place, timed) in calls.iter().enumerate() {
            if let Some(value) = timed.call.operation.value().filter(|_| may_write(timed)) {
                let writes = values.writes.entry(value).or_insert(Writes { count: 0, first: place, over: Time::ZERO });
                writes.count += 1;
                writes.over = writes.over.max(timed.answered);
                if timed.invoked < calls[writes.first].invoked {
                    writes.first = place;
                }
            }
            if let Some(value) = seen(timed) {
                values.reads.push((place, value));
            }
        }
        values
    }

    fn contradiction(&self, calls: &[Timed<'_>]) -> Option<Reason> {
        let none = calls
            .iter()
            .position(|timed| timed.call.operation.is_get() && matches!(timed.call.answer, Answer::Done(None)));
        if let Some(get) = none {
            return Some(Reason::of(get).words("an answer to a get must carry a value"));
        }
        let out_of_nowhere = self.reads.iter().find_map(|&(read, value)| self.out_of_nowhere(calls, read, value));
        out_of_nowhere.or_else(|| self.overwritten(calls)).or_else(|| self.taken_twice(calls))
    }

    /// A value was seen before any call wrote it.
    fn out_of_nowhere(&self, calls: &[Timed<'_>], read: usize, value: &Text) -> Option<Reason> {
        if value.is_empty() {
            return None;
        }
        let Some(writes) = self.writes.get(&**value) else {
            return Some(Reason::of(read).words("no client ever put that"));
        };
        let is_later = calls[read].is_before(&calls[writes.first]);
        is_later.then(|| {
            Reason::of(read).words("that was first put by ").client(writes.first).words(" at ").invoked(writes.first)
        })
    }

    /// A value was seen although all writes of it were over before another one began, which was acknowledged in time.
    fn overwritten(&self, calls: &[Timed<'_>]) -> Option<Reason> {
        let is_sure = |place: &usize| calls[*place].is_required() && may_write(&calls[*place]);
        let mut sure: Vec<usize> = (0..calls.len()).filter(is_sure).collect();
        sure.sort_by_key(|&place| calls[place].answered);
        // For each the one up to it that began last.
        let mut newest: Vec<usize> = Vec::with_capacity(sure.len());
        for &write in &sure {
            let last = newest.last().copied().unwrap_or(write);
            newest.push(if calls[write].invoked > calls[last].invoked { write } else { last });
        }
        self.reads.iter().find_map(|&(read, value)| {
            let over = match self.writes.get(&**value) {
                Some(writes) => writes.over,
                None => Time::ZERO,
            };
            let by_then = sure.partition_point(|&write| calls[write].is_before(&calls[read]));
            let newest = *newest[..by_then].last()?;
            let overwrites = calls[newest].invoked > over || (value.is_empty() && !self.writes.contains_key(&**value));
            (overwrites && newest != read).then(|| {
                let reason = Reason::of(read).value(calls[newest].call.operation.value());
                reason.words(" had been acknowledged at ").answered(newest)
            })
        })
    }

    /// More updates replaced a value than calls wrote it.
    fn taken_twice(&self, calls: &[Timed<'_>]) -> Option<Reason> {
        let mut taken: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for &(place, value) in &self.reads {
            let is_update = matches!(calls[place].call.operation, Operation::Update(_));
            if is_update && may_write(&calls[place]) && calls[place].call.operation.value() != Some(value) {
                taken.entry(value).or_default().push(place);
            }
        }
        taken.into_iter().find_map(|(value, taken)| {
            let written = self.writes.get(value).map_or(0, |writes| writes.count) + usize::from(value.is_empty());
            let last = taken.iter().copied().reduce(|one, other| last_answered(calls, one, other))?;
            let other = *taken.iter().find(|&&place| place != last)?;
            (taken.len() > written).then(|| {
                let reason = Reason::of(last).words("the update of ").client(other).words(" had replaced it by ");
                let reason = reason.answered(other).words(", and it was put ");
                match (value.is_empty(), written) {
                    (false, 1) => reason.words("once"),
                    _ => reason.words(format!("{written} times, counting what a key holds at first")),
                }
            })
        })
    }

    /// The only write of a value is there by the time that it is seen.
    fn shown_by(&self, calls: &[Timed<'_>]) -> Vec<(usize, Time)> {
        let shown = self.reads.iter().filter_map(|&(read, value)| {
            let only = self.writes.get(&**value).filter(|writes| writes.count == 1 && !value.is_empty())?;
            Some((only.first, calls[read].answered))
        });
        shown.collect()
    }

    /// Until when each value can be seen: directly, or because an update replaces it whose outcome is unknown and whose
    /// own value can be seen.
    fn read_until(&self, calls: &[Timed<'h>]) -> BTreeMap<&'h str, Time> {
        let mut sources: BTreeMap<&str, Vec<&'h str>> = BTreeMap::new();
        for timed in calls.iter().filter(|timed| !timed.is_required()) {
            if let Operation::Update(update) = timed.call.operation
                && let Some(expected) = &update.expected
            {
                sources.entry(&update.value).or_default().push(expected);
            }
        }
        let mut open: BinaryHeap<(Time, &'h str)> =
            self.reads.iter().map(|&(read, value)| (calls[read].answered, &**value)).collect();
        let mut until = BTreeMap::new();
        // The latest first, so the first time that a value comes up is its last.
        while let Some((time, value)) = open.pop() {
            if let std::collections::btree_map::Entry::Vacant(entry) = until.entry(value) {
                entry.insert(time);
                open.extend(sources.get(value).into_iter().flatten().map(|&source| (time, source)));
            }
        }
        until
    }
}
