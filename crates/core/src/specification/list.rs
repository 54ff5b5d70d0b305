//! A list that grows at its end.

use std::collections::BTreeMap;

use super::study::last_answered;
use super::{Answer, Call, Reason, Sequence, Specification, Study, Timed};
use crate::service::{Operation, Text, list_text};
use crate::time::Time;

/// A list, empty at first, that clients append to and get as a whole, as [`list_text`].
#[derive(Clone, Copy, Debug, Default)]
pub struct List;

impl Specification for List {
    type State = Sequence;

    fn name(&self) -> &str {
        "list"
    }

    fn initial(&self) -> Sequence {
        Sequence::new()
    }

    fn knows(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::Get { .. } | Operation::Append { .. })
    }

    fn step(&self, state: &Sequence, call: &Call<'_>) -> Option<Sequence> {
        match (call.operation, call.answer) {
            (Operation::Get { .. }, Answer::Unknown) => Some(state.clone()),
            (Operation::Get { .. }, Answer::Done(read)) => is_text_of(read?, state).then(|| state.clone()),
            (Operation::Append { value, .. }, _) => Some(state.with(value)),
            _ => None,
        }
    }

    fn minds_clients(&self) -> bool {
        false
    }

    /// Every get shows the beginning of the list, so the longest one says in which order values were appended.
    fn study<'h>(&self, calls: &[Timed<'h>]) -> Study<'h, Sequence> {
        let gets = match gets(calls) {
            Ok(gets) => gets,
            Err(reason) => return Study::contradiction(reason),
        };
        let Some(longest) = gets.iter().max_by_key(|get| get.len).copied() else {
            // Nobody looked, so any order will do, and nothing shows.
            return Study { shows_until: vec![Time::ZERO; calls.len()], ..Study::nothing(calls.len()) };
        };
        let shown = Shown::of(calls, longest, &gets);
        if let Some(reason) = shown.contradiction(calls) {
            return Study::contradiction(reason);
        }
        let place = |timed: &Timed<'_>| shown.places(timed.call.operation.value()).first().copied();
        let ranks = calls.iter().map(|timed| match timed.call.operation {
            Operation::Append { .. } => place(timed).map_or(u64::MAX, |place| place as u64),
            _ => 0,
        });
        let shows_until = calls.iter().map(|timed| match shown.places(timed.call.operation.value()) {
            [] => Time::ZERO,
            [only] => shown.first_shown(*only),
            _ => Time::NEVER,
        });
        let (ranks, shows_until) = (ranks.collect(), shows_until.collect());
        let shown_by = shown.appends(calls).into_iter().filter(|&(_, place)| place < shown.values.len());
        let shown_by = shown_by.map(|(append, place)| (append, shown.first_shown(place))).collect();
        let appended: Vec<(Option<&'h Text>, bool)> =
            calls.iter().map(|timed| (timed.call.operation.value(), timed.is_required())).collect();
        let values = shown.values;
        let dooms = move |state: &Sequence, call: usize, _: &[usize]| match (appended[call], values.get(state.len())) {
            ((None, _), _) => false,
            ((Some(value), _), Some(next)) => **value != **next,
            // Beyond what is seen only what must happen happens.
            ((Some(_), is_required), None) => !is_required,
        };
        Study { contradiction: None, ranks, shows_until, shown_by, dooms: Some(Box::new(dooms)) }
    }
}

/// Whether this is the text of a list. It is compared from the end, where lists differ.
fn is_text_of(text: &Text, list: &Sequence) -> bool {
    if list.is_empty() {
        return text.is_empty();
    }
    let Some(mut rest) = text.strip_suffix(']') else { return false };
    for (place, value) in list.backwards().enumerate() {
        if place > 0 {
            let Some(before) = rest.strip_suffix(',') else { return false };
            rest = before;
        }
        let Some(before) = without_json(rest, value) else { return false };
        rest = before;
    }
    rest == "["
}

/// What stands before a value in JSON, if the text ends with that.
fn without_json<'t>(text: &'t str, value: &str) -> Option<&'t str> {
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if value.bytes().all(is_plain) {
        return text.strip_suffix('"')?.strip_suffix(value)?.strip_suffix('"');
    }
    text.strip_suffix(&serde_json::to_string(value).ok()?)
}

/// A get and what it returned.
#[derive(Clone, Copy)]
struct Get<'h> {
    place: usize,
    text: &'h Text,
    /// How many values.
    len: usize,
}

/// The values of a list from its text; none if it is not the text of a list.
fn parse(text: &Text) -> Option<Vec<Text>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let values: Vec<Text> = serde_json::from_str::<Vec<String>>(text).ok()?.into_iter().map(Text::from).collect();
    (list_text(&values) == *text).then_some(values)
}

/// All gets in the order of their answers, unless one is not a list.
fn gets<'h>(calls: &[Timed<'h>]) -> Result<Vec<Get<'h>>, Reason> {
    let mut gets = Vec::new();
    for (place, timed) in calls.iter().enumerate() {
        let (Operation::Get { .. }, Answer::Done(read)) = (timed.call.operation, timed.call.answer) else { continue };
        let text = read.ok_or_else(|| Reason::of(place).words("an answer to a get must carry a value"))?;
        let values = parse(text).ok_or_else(|| Reason::of(place).words("that is not the text of a list"))?;
        gets.push(Get { place, text, len: values.len() });
    }
    gets.sort_by_key(|get| (calls[get.place].answered, get.place));
    Ok(gets)
}

/// What the gets show.
struct Shown<'g, 'h> {
    gets: &'g [Get<'h>],
    longest: Get<'h>,
    /// The values of the longest one.
    values: Vec<Text>,
    /// Where each value stands.
    places: BTreeMap<Text, Vec<usize>>,
    /// For each length, the get of that length or more that was answered first, as a time.
    first: Vec<Time>,
}

impl<'g, 'h> Shown<'g, 'h> {
    fn of(calls: &[Timed<'h>], longest: Get<'h>, gets: &'g [Get<'h>]) -> Shown<'g, 'h> {
        let values = parse(longest.text).unwrap_or_default();
        let mut places: BTreeMap<Text, Vec<usize>> = BTreeMap::new();
        for (place, value) in values.iter().enumerate() {
            places.entry(value.clone()).or_default().push(place);
        }
        let mut first = vec![Time::NEVER; values.len() + 1];
        for get in gets {
            let time = &mut first[get.len];
            *time = calls[get.place].answered.min(*time);
        }
        for len in (0..values.len()).rev() {
            first[len] = first[len].min(first[len + 1]);
        }
        Shown { gets, longest, values, places, first }
    }

    fn places(&self, value: Option<&Text>) -> &[usize] {
        value.and_then(|value| self.places.get(value)).map_or(&[], Vec::as_slice)
    }

    /// When a get first showed this place.
    fn first_shown(&self, place: usize) -> Time {
        self.first[place + 1]
    }

    fn contradiction(&self, calls: &[Timed<'_>]) -> Option<Reason> {
        self.other_order(calls)
            .or_else(|| self.out_of_nowhere(calls))
            .or_else(|| self.shorter(calls))
            .or_else(|| self.missing(calls))
            .or_else(|| self.against_time(calls))
    }

    /// A get that is not the beginning of the longest one.
    fn other_order(&self, calls: &[Timed<'_>]) -> Option<Reason> {
        let longest = self.longest.text.strip_suffix(']').unwrap_or_default();
        let begins = |get: &&Get<'_>| match get.text.strip_suffix(']') {
            None => true,
            Some(text) => longest.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with(',')),
        };
        let other = self.gets.iter().find(|get| !begins(get))?;
        let values = parse(other.text)?;
        let place = (0..values.len()).find(|&place| values[place] != self.values[place])?;
        let wrong = last_answered(calls, other.place, self.longest.place);
        let (here, there, before) = match wrong == other.place {
            true => (&values, &self.values, self.longest.place),
            false => (&self.values, &values, other.place),
        };
        let reason = Reason::of(wrong).client(before).words(" had read at ").answered(before).words(" that value ");
        let reason = reason.words(format!("{} is ", place + 1)).value(Some(&there[place]));
        Some(reason.words(", not ").value(Some(&here[place])))
    }

    /// A value is there more often than it was appended by then.
    fn out_of_nowhere(&self, calls: &[Timed<'_>]) -> Option<Reason> {
        let mut appended: BTreeMap<&Text, Vec<Time>> = BTreeMap::new();
        for timed in calls {
            if let Operation::Append { value, .. } = timed.call.operation {
                appended.entry(value).or_default().push(timed.invoked);
            }
        }
        appended.values_mut().for_each(|times| times.sort_unstable());
        self.places.iter().find_map(|(value, places)| {
            let times = appended.get(value).map_or(&[][..], Vec::as_slice);
            places.iter().enumerate().find_map(|(number, &place)| {
                let shown = self.first_shown(place);
                if times.get(number).is_some_and(|&time| time <= shown) {
                    return None;
                }
                let get = self.gets.iter().find(|get| get.len > place)?;
                let by_then = times.partition_point(|&time| time <= shown);
                let reason = Reason::of(get.place).value(Some(value));
                Some(match (by_then, times.len()) {
                    (0, 0) => reason.words(" was never appended"),
                    (0, _) => reason.words(" was not appended until later"),
                    (1, _) => reason.words(" is in it twice and was appended once"),
                    (count, _) => {
                        reason.words(format!(" is in it {} times and was appended {count} times", number + 1))
                    }
                })
            })
        })
    }

    /// A get that is shorter than an earlier one.
    fn shorter(&self, calls: &[Timed<'_>]) -> Option<Reason> {
        let mut longest: Vec<usize> = Vec::with_capacity(self.gets.len());
        for (number, get) in self.gets.iter().enumerate() {
            let last = longest.last().copied().unwrap_or(number);
            longest.push(if get.len > self.gets[last].len { number } else { last });
        }
        self.gets.iter().find_map(|get| {
            let before = self.gets.partition_point(|other| calls[other.place].is_before(&calls[get.place]));
            let other = &self.gets[*longest[..before].last()?];
            (other.len > get.len).then(|| {
                let reason = Reason::of(get.place).value(Some(&self.values[get.len])).words(" is missing: ");
                reason.client(other.place).words(" had read it at ").answered(other.place)
            })
        })
    }

    /// A value was appended and acknowledged before a get began that does not show it. Only of values that are appended
    /// once.
    fn missing(&self, calls: &[Timed<'_>]) -> Option<Reason> {
        let mut appends = self.appends(calls);
        appends.sort_by_key(|&(append, _)| calls[append].answered);
        let mut farthest: Vec<(usize, usize)> = Vec::with_capacity(appends.len());
        for &append in &appends {
            let last = farthest.last().copied().unwrap_or(append);
            farthest.push(if append.1 > last.1 { append } else { last });
        }
        self.gets.iter().find_map(|get| {
            let before = appends.partition_point(|&(append, _)| calls[append].is_before(&calls[get.place]));
            let (append, place) = *farthest[..before].last()?;
            (place >= get.len).then(|| {
                let reason = Reason::of(get.place).value(calls[append].call.operation.value());
                reason.words(" is missing: its append had been acknowledged at ").answered(append)
            })
        })
    }

    /// Two values in the wrong order: the append of the first began after that of the second was acknowledged.
    fn against_time(&self, calls: &[Timed<'_>]) -> Option<Reason> {
        let mut appends = self.appends(calls);
        appends.sort_by_key(|&(_, place)| place);
        // Of those before, the one that began last.
        let mut newest: Option<usize> = None;
        for (append, place) in appends {
            if let Some(before) = newest
                && calls[append].is_before(&calls[before])
                && place < self.values.len()
            {
                let get = self.gets.iter().find(|get| get.len > place)?;
                let reason = Reason::of(get.place).value(calls[before].call.operation.value()).words(" comes before ");
                let reason =
                    reason.value(calls[append].call.operation.value()).words(", whose append was acknowledged at ");
                return Some(reason.answered(append).words(", before that of the other began at ").invoked(before));
            }
            if newest.is_none_or(|newest| calls[append].invoked > calls[newest].invoked) {
                newest = Some(append);
            }
        }
        None
    }

    /// Appends of values that only they append, with their place in the longest get. What it does not show comes after.
    fn appends(&self, calls: &[Timed<'_>]) -> Vec<(usize, usize)> {
        let mut count: BTreeMap<&Text, usize> = BTreeMap::new();
        let value = |place: usize| match calls[place].call.operation {
            Operation::Append { value, .. } => Some(value),
            _ => None,
        };
        (0..calls.len()).filter_map(value).for_each(|value| *count.entry(value).or_default() += 1);
        let once = (0..calls.len()).filter_map(|place| {
            let value = value(place).filter(|value| count[value] == 1)?;
            Some((place, self.places.get(value).map_or(self.values.len(), |places| places[0])))
        });
        once.collect()
    }
}
