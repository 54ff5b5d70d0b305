//! A lock.

use std::collections::BTreeMap;

use super::{Answer, Call, Reason, Specification, Study, Timed};
use crate::id::ClientId;
use crate::service::Operation;
use crate::time::Time;

/// A lock that one client at a time has. Tokens that come with a grant may be anything.
///
/// A client that has the lock and asks for it again is refused, like any other: a lock does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock;

impl Specification for Lock {
    /// The client that has it.
    type State = Option<ClientId>;

    fn name(&self) -> &str {
        "lock"
    }

    fn initial(&self) -> Option<ClientId> {
        None
    }

    fn knows(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::Acquire { .. } | Operation::Release { .. })
    }

    fn step(&self, state: &Option<ClientId>, call: &Call<'_>) -> Option<Option<ClientId>> {
        let is_mine = *state == Some(call.client);
        match (call.operation, call.answer) {
            (Operation::Acquire { .. }, Answer::Done(Some(_))) => state.is_none().then_some(Some(call.client)),
            (Operation::Acquire { .. }, Answer::Done(None)) => state.is_some().then_some(*state),
            (Operation::Acquire { .. }, Answer::Unknown) => Some(state.or(Some(call.client))),
            (Operation::Release { .. }, Answer::Done(None)) => is_mine.then_some(None),
            (Operation::Release { .. }, Answer::Done(Some(_))) => (!is_mine).then_some(*state),
            (Operation::Release { .. }, Answer::Unknown) => Some(state.filter(|_| !is_mine)),
            _ => None,
        }
    }

    fn is_read(&self, call: &Call<'_>) -> bool {
        match call.operation {
            Operation::Acquire { .. } => call.answer == Answer::Done(None),
            _ => matches!(call.answer, Answer::Done(Some(_))),
        }
    }

    fn study<'h>(&self, calls: &[Timed<'h>]) -> Study<'h, Option<ClientId>> {
        if let Some(reason) = granted_twice(calls).or_else(|| out_of_nowhere(calls)) {
            return Study::contradiction(reason);
        }
        let latest = |wanted: &dyn Fn(&Timed<'_>) -> bool| {
            let wanted = calls.iter().filter(|timed| timed.is_required() && wanted(timed));
            wanted.map(|timed| timed.answered).max().unwrap_or(Time::ZERO)
        };
        // That a client has the lock shows when others are refused, and when it gives it up. That a lock is free shows
        // in whatever comes after the next acquire, which may be of unknown outcome, too.
        let (refused, any) = (latest(&is_refused), latest(&|_| true));
        let mut released: BTreeMap<ClientId, Time> = BTreeMap::new();
        for timed in calls.iter().filter(|timed| timed.is_required() && !is_acquire(timed)) {
            let last = released.entry(timed.call.client).or_insert(Time::ZERO);
            *last = timed.answered.max(*last);
        }
        let shows_until = calls.iter().map(|timed| {
            let own = released.get(&timed.call.client).copied().unwrap_or(Time::ZERO);
            own.max(if is_acquire(timed) { refused } else { any })
        });
        Study { shows_until: shows_until.collect(), ..Study::nothing(calls.len()) }
    }
}

fn is_acquire(timed: &Timed<'_>) -> bool {
    matches!(timed.call.operation, Operation::Acquire { .. })
}

fn is_granted(timed: &Timed<'_>) -> bool {
    is_acquire(timed) && matches!(timed.call.answer, Answer::Done(Some(_)))
}

fn is_refused(timed: &Timed<'_>) -> bool {
    is_acquire(timed) && matches!(timed.call.answer, Answer::Done(None))
}

/// A release that may have been done.
fn may_release(timed: &Timed<'_>) -> bool {
    !is_acquire(timed) && !matches!(timed.call.answer, Answer::Done(Some(_)))
}

/// For each client, its releases that may have been done, by the time they began.
fn releases(calls: &[Timed<'_>]) -> BTreeMap<ClientId, Vec<usize>> {
    let mut releases: BTreeMap<ClientId, Vec<usize>> = BTreeMap::new();
    for place in (0..calls.len()).filter(|&place| may_release(&calls[place])) {
        releases.entry(calls[place].call.client).or_default().push(place);
    }
    for places in releases.values_mut() {
        places.sort_by_key(|&place| calls[place].invoked);
    }
    releases
}

/// A lock was granted while another grant held for certain: since its answer, and until the next release of that client
/// began.
fn granted_twice(calls: &[Timed<'_>]) -> Option<Reason> {
    let releases = releases(calls);
    let mut grants: Vec<usize> = (0..calls.len()).filter(|&place| is_granted(&calls[place])).collect();
    grants.sort_by_key(|&place| calls[place].answered);
    // For each grant its release, the first one that was not over when it began: an earlier one is not of this grant.
    let release = |grant: usize| {
        let places = releases.get(&calls[grant].call.client)?;
        places.iter().copied().find(|&place| !calls[place].is_before(&calls[grant]))
    };
    let held: Vec<(usize, Option<usize>)> = grants.iter().map(|&grant| (grant, release(grant))).collect();
    let end = |release: Option<usize>| release.map_or(Time::NEVER, |release| calls[release].invoked);
    // Among the grants that were over before another began, the one that is held longest.
    let mut longest: Vec<usize> = Vec::with_capacity(held.len());
    for place in 0..held.len() {
        let last = longest.last().copied().unwrap_or(place);
        longest.push(if end(held[place].1) > end(held[last].1) { place } else { last });
    }
    grants.iter().find_map(|&grant| {
        let before = grants.partition_point(|&other| calls[other].is_before(&calls[grant]));
        let (other, release) = held[*longest[..before].last()?];
        (end(release) > calls[grant].answered).then(|| {
            let reason = Reason::of(grant).client(other).words(" had it from ").answered(other);
            match release {
                Some(release) => reason.words(" until ").invoked(release).words(" at least"),
                None => reason.words(" on and did not release it"),
            }
        })
    })
}

/// A client was told that it, or another one, has the lock, but none can have it: none asked for it by then.
fn out_of_nowhere(calls: &[Timed<'_>]) -> Option<Reason> {
    let may_grant = |timed: &&Timed<'_>| is_acquire(timed) && !is_refused(timed);
    let mut first: BTreeMap<ClientId, Time> = BTreeMap::new();
    for timed in calls.iter().filter(may_grant) {
        let earliest = first.entry(timed.call.client).or_insert(Time::NEVER);
        *earliest = timed.invoked.min(*earliest);
    }
    let earliest = first.values().min().copied().unwrap_or(Time::NEVER);
    calls.iter().enumerate().find_map(|(place, timed)| {
        if is_refused(timed) && earliest > timed.answered {
            return Some(Reason::of(place).words("no client can have had it by then"));
        }
        let is_release = !is_acquire(timed) && matches!(timed.call.answer, Answer::Done(None));
        let own = first.get(&timed.call.client).copied().unwrap_or(Time::NEVER);
        (is_release && own > timed.answered).then(|| Reason::of(place).words("it cannot have had it by then"))
    })
}
