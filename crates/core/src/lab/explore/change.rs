//! Changes a case that reached something new into another one that is close to it.
//!
//! A run is a function of its case, so a case with the same seed and one more fault at some time has the same run until
//! then. That is what aiming rests on: a fault at a moment of the old run hits the new run at that very moment.

use std::mem;

use super::corpus::Entry;
use super::draw::{Frame, HostFaults, late_by, slow_for_ever, tests, two};
use super::edges::Moment;
use super::ending::{Parts, is_loss, lasting};
use super::{Flavour, tolerance};
use crate::chaos::{Act, Fault, FaultEvent, Target};
use crate::engine::Delay;
use crate::id::ReplicaId;
use crate::lab::Case;
use crate::lab::fewer::Kept;
use crate::rng::Stream;
use crate::scenario::{LinkDelay, Network, Order};
use crate::time::{Span, Time};

/// One change of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// A new fault at a moment that is rare among all runs.
    Aim,
    /// A new fault of a host at any time.
    Host,
    /// A fault at another time, near or far.
    Move,
    /// A fault twice.
    Double,
    /// One fault less.
    Leave,
    /// Faults of another case, too.
    Join,
    /// A link that is slow all the time.
    Slow,
    /// Another value for one of the protocol's parameters.
    Parameter,
    /// More or fewer requests, or another share of reads.
    Clients,
    /// One or two replicas less.
    Size,
    /// Messages come twice, or another share of them does.
    Repeat,
    /// Other faults that last.
    Last,
    /// Another seed for all that chance decides.
    Seed,
}

/// The changes, each with its share of all.
const CHANGES: [(Change, u64); 13] = [
    (Change::Aim, 12),
    (Change::Host, 4),
    (Change::Move, 5),
    (Change::Double, 3),
    (Change::Leave, 2),
    (Change::Join, 3),
    (Change::Slow, 2),
    (Change::Parameter, 3),
    (Change::Clients, 2),
    (Change::Size, 2),
    (Change::Repeat, 1),
    (Change::Last, 3),
    (Change::Seed, 3),
];

/// More events make no run more telling. A case that has about as many or more may get a few.
const EVENTS_MAX: usize = 80;
const EVENTS_MORE: usize = 10;

/// No case loses replicas if it has no more than these.
const SIZE_LEAST: usize = 3;

/// A case is changed 1, 2 or 4 times: a power of two below this one.
const CHANGES_MAX: u64 = 3;

/// A case that is close to this one, and perhaps to another one. `seed` names it.
pub(super) fn changed(parent: &Entry, other: Option<&Entry>, seed: u64, dice: &mut Stream) -> Case {
    let case = parent.case.clone();
    let parts = Parts::of(&case.scenario);
    let (lost, events_max) = (parts.lost(), EVENTS_MAX.max(parts.faults.len() + EVENTS_MORE));
    let mut draft = Draft { case, parts, moments: &parent.moments, other, dice, seed, lost, events_max };
    for _ in 0..1 << draft.dice.below(CHANGES_MAX) {
        let change = draft.dice.weighted(&CHANGES);
        draft.change(change);
    }
    draft.finish()
}

struct Draft<'d> {
    case: Case,
    parts: Parts,
    moments: &'d [Moment],
    other: Option<&'d Entry>,
    dice: &'d mut Stream,
    seed: u64,
    /// How many replicas were lost for ever when the faults that last were drawn, at most.
    lost: usize,
    /// How many faults there may be.
    events_max: usize,
}

impl Draft<'_> {
    fn finish(self) -> Case {
        let Draft { mut case, mut parts, seed, lost, events_max, .. } = self;
        let kills_max = (case.scenario.replicas - 1) / 2;
        let (mut kills, mut corrupt) = (0, 0);
        // A file cannot say what happens before the clients begin.
        let start = case.scenario.start();
        parts.faults.iter_mut().for_each(|event| event.time = event.time.max(start));
        parts.faults.sort_by_key(|event| event.time);
        parts.faults.retain(|event| {
            kills += usize::from(is_loss(&event.fault));
            let is_corrupt = event.fault.act() == Some(Act::CorruptDisk);
            corrupt += usize::from(is_corrupt);
            (!is_loss(&event.fault) || kills <= kills_max) && (!is_corrupt || corrupt == 1)
        });
        if parts.lost() > lost || !case.protocol.tolerates().lasting {
            // The quorum that they spare may be gone.
            parts.lasting.clear();
        }
        parts.faults.truncate(events_max);
        if !matches!(case.scenario.network, Network::Links { .. }) {
            parts.faults.retain(|event| !matches!(event.fault, Fault::DelayLink { .. }));
            parts.lasting.retain(|fault| !matches!(fault, Fault::DelayLink { .. }));
        }
        parts.join(&mut case.scenario);
        // A file that a person has put into the corpus may expect more.
        case.scenario.tests = tests();
        tolerance::fit(&mut case.scenario, &case.protocol);
        case.scenario.name = format!("explore-{seed}");
        case
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Aim => self.aim(),
            Change::Host => self.add_host_fault(),
            Change::Move => self.shift(),
            Change::Double => self.double(),
            Change::Leave => self.leave(),
            Change::Join => self.join(),
            Change::Slow => self.slow(),
            Change::Parameter => self.set_parameter(),
            Change::Clients => self.change_clients(),
            Change::Size => self.remove_replicas(),
            Change::Repeat => {
                self.case.scenario.duplicate = *self.dice.pick(&[0.0, 0.05, 0.3, 1.0]).expect("shares");
            }
            Change::Last => self.last(),
            Change::Seed => self.case.seed = self.seed,
        }
    }

    fn timeout(&self) -> Span {
        self.case.protocol.timing().timeout_min
    }

    /// A length of time from a microsecond to some election timeouts; each power of ten is as likely.
    fn span(&mut self) -> Span {
        let most = 4 * self.timeout().nanos().max(1_000);
        let decades = libm::log10(most as f64 / 1_000.0);
        Span((1_000.0 * libm::pow(10.0, decades * self.dice.unit())) as u64)
    }

    /// Some time before the faults are over.
    fn any_time(&mut self) -> Time {
        let start = self.case.scenario.start();
        start + Span(self.dice.below(self.parts.calm.since(start).nanos().max(1)))
    }

    fn any_place(&mut self) -> Option<usize> {
        let count = self.parts.faults.len() as u64;
        (count > 0).then(|| self.dice.below(count) as usize)
    }

    fn add(&mut self, time: Time, fault: Fault) {
        self.parts.faults.push(FaultEvent { time, fault });
    }

    fn add_host_fault(&mut self) {
        let timing = self.case.protocol.timing();
        let frame = Frame {
            replicas: self.case.scenario.replicas,
            span: (self.case.scenario.start(), self.parts.calm),
            gap: timing.timeout_min,
            timeout: timing.timeout_min,
            drift_max: timing.clock_drift_max,
            has_links: matches!(self.case.scenario.network, Network::Links { .. }),
            is_about_leases: false,
            has_small_batches: timing.small_batches,
            may_wipe: self.case.protocol.tolerates().wipes,
        };
        self.parts.faults.extend(HostFaults::one(self.dice, frame));
    }

    fn shift(&mut self) {
        let Some(place) = self.any_place() else { return };
        let old = self.parts.faults[place].time;
        let by = self.span();
        let time = match self.dice.below(3) {
            0 => self.any_time(),
            1 => old + by,
            _ => Time(old.nanos().saturating_sub(by.nanos())).max(self.case.scenario.start()),
        };
        self.parts.faults[place].time = time;
    }

    fn double(&mut self) {
        let Some(place) = self.any_place() else { return };
        let FaultEvent { time, fault } = self.parts.faults[place].clone();
        let time = if self.dice.chance(0.5) { self.any_time() } else { time + self.span() };
        self.add(time, fault);
    }

    /// One fault less, or all of one kind.
    fn leave(&mut self) {
        let Some(place) = self.any_place() else { return };
        let gone = self.parts.faults.remove(place);
        if self.dice.chance(0.3) {
            self.parts.faults.retain(|event| event.fault.name() != gone.fault.name());
        }
    }

    /// The faults of another case from some time on, or all of them.
    fn join(&mut self) {
        let Some(other) = self.other else { return };
        if other.case.scenario.replicas > self.case.scenario.replicas {
            return;
        }
        let (parts, replicas) = (Parts::of(&other.case.scenario), self.case.scenario.replicas);
        let from = if self.dice.chance(0.5) { Time::ZERO } else { self.any_time() };
        self.parts.faults.retain(|event| from == Time::ZERO || event.time < from);
        let fits = |event: &FaultEvent| match &event.fault {
            Fault::SetMatrix(matrix) => matrix.replicas() == replicas,
            _ => true,
        };
        self.parts.faults.extend(parts.faults.into_iter().filter(|event| event.time >= from && fits(event)));
    }

    fn any_link(&mut self) -> (ReplicaId, ReplicaId) {
        two(self.dice, self.case.scenario.replicas)
    }

    fn slow(&mut self) {
        if !matches!(self.case.scenario.network, Network::Links { .. }) {
            return;
        }
        let (from, to) = self.any_link();
        if !self.case.protocol.timing().small_batches && self.dice.chance(0.5) {
            let delay = slow_for_ever(self.dice, self.timeout());
            self.case.scenario.links.retain(|link| (link.from, link.to) != (from, to));
            self.case.scenario.links.push(LinkDelay { from, to, delay });
        } else {
            let (time, delay) = (self.any_time(), Delay::Constant(self.span()));
            self.add(time, Fault::DelayLink { from, to, delay: Some(delay) });
            let end = time + self.span();
            self.add(end, Fault::DelayLink { from, to, delay: None });
        }
    }

    /// Takes from another draw the value of one parameter. Lengths of time stay: they belong together, and to the network.
    fn set_parameter(&mut self) {
        let draw = self.dice.next_u64();
        let own = &self.case.protocol;
        let drawn = own.varied(draw, self.dice, Flavour::Any).parameters();
        let pairs = drawn.iter().zip(own.parameters()).zip(own.times());
        let different = pairs.filter(|((new, old), is_time)| new.1 != old.1 && !is_time);
        let different: Vec<_> = different.map(|((new, _), _)| *new).collect();
        let Some(new) = self.dice.pick(&different) else { return };
        let changed = own.with_parameters(&[*new], |_| true);
        // What makes progress slower suits a calmer scenario than this one may be.
        if changed.validate().is_ok() && changed.progress_bound() <= own.progress_bound() {
            if changed.timing().small_batches {
                self.case.scenario.links.clear();
            }
            self.case.protocol = changed;
        }
    }

    fn change_clients(&mut self) {
        if self.case.scenario.operations.is_some() {
            return;
        }
        let Case { scenario, protocol, .. } = &self.case;
        let requests = scenario.requests;
        // What clients vary is hard to judge, and small batches take long to catch up with more.
        let may_be_more = !scenario.has_updates() && scenario.patience.is_none() && !protocol.timing().small_batches;
        match self.dice.below(3) {
            0 => self.case.scenario.requests = (requests / 2).max(2),
            1 if may_be_more => self.case.scenario.requests = (requests * 3 / 2).min(300),
            _ => self.case.scenario.mix = 0.1 + 0.8 * self.dice.unit(),
        }
    }

    /// The replicas that stay have the faults that they had. Those that last would spare another quorum, and the moments
    /// are those of another run.
    ///
    /// Three stay at least. Of two, a partition that the course calls hard leaves no quorum, so a duel of two has hardly
    /// ever a leader.
    fn remove_replicas(&mut self) {
        let Case { scenario, .. } = &mut self.case;
        let spare = scenario.replicas.saturating_sub(SIZE_LEAST).min(2) as u64;
        if scenario.operations.is_some() || spare == 0 {
            return;
        }
        let (one, other) = two(self.dice, scenario.replicas);
        let gone = [one, other];
        let kept = Kept::without(scenario.replicas, &gone[..1 + self.dice.below(spare) as usize]);
        kept.shrink(scenario);
        self.parts.faults = kept.faults(mem::take(&mut self.parts.faults));
        self.parts.lasting.clear();
        self.moments = &[];
    }

    fn last(&mut self) {
        if self.dice.chance(0.3) {
            self.parts.lasting.clear();
            return;
        }
        let timing = self.case.protocol.timing();
        self.lost = self.parts.lost();
        self.parts.lasting = lasting(self.dice, &self.case.scenario, &timing, self.lost);
    }

    /// A fault at a moment of the run, just before what happened there, or soon after.
    fn aim(&mut self) {
        let calm = self.parts.calm;
        let until_calm = &self.moments[..self.moments.partition_point(|moment| moment.time < calm)];
        let Some(&Moment { time, replica, from, .. }) = self.dice.pick(until_calm) else { return };
        let time = match self.dice.below(4) {
            0 => time,
            1 | 2 => time + Span(1),
            _ => time + self.span(),
        };
        let until = time + self.span();
        let link = if from == replica { self.any_link() } else { (from, replica) };
        let (one, other) = if self.dice.chance(0.5) { link } else { (link.1, link.0) };
        let victim = if self.dice.chance(0.7) { replica } else { from };
        let on = |act| Fault::Host { at: Some(Target::Replica(victim)), act };
        let cut = |from, to, value| Fault::SetLink { from, to, value };
        let mut pair = |begin: Fault, end: Fault| {
            self.parts.faults.push(FaultEvent { time, fault: begin });
            self.parts.faults.push(FaultEvent { time: until, fault: end });
        };
        match self.dice.below(13) {
            0..=2 => pair(on(Act::Crash), Fault::Host { at: None, act: Act::Restart { wipe: false } }),
            3 => pair(on(Act::Pause), Fault::Host { at: None, act: Act::Resume }),
            4 | 5 => pair(Fault::isolate(victim), Fault::PartEnd),
            6 | 7 => pair(cut(one, other, 1.0), cut(one, other, 0.0)),
            8 => {
                pair(cut(one, other, 1.0), cut(one, other, 0.0));
                self.parts.faults.push(FaultEvent { time, fault: cut(other, one, 1.0) });
                self.parts.faults.push(FaultEvent { time: until, fault: cut(other, one, 0.0) });
            }
            9 => pair(Fault::PartHard, Fault::PartEnd),
            10 if self.can_be_late() => self.delay(time, one, other),
            11 => self.add(time, on(Act::StepDown)),
            _ => self.add(time, on(Act::Kill)),
        }
    }

    fn can_be_late(&self) -> bool {
        matches!(self.case.scenario.network, Network::Links { order: Order::Any, .. })
    }

    /// What one replica sends another for a short time comes long after.
    fn delay(&mut self, time: Time, from: ReplicaId, to: ReplicaId) {
        let late = late_by(self.dice, self.timeout());
        let until = time + self.span();
        self.add(time, Fault::DelayLink { from, to, delay: Some(late) });
        self.add(until, Fault::DelayLink { from, to, delay: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rate;
    use crate::lab::explore::draw;
    use crate::scenario::Tests;
    use crate::subjects;

    fn draft(case: Case, dice: &mut Stream) -> Draft<'_> {
        let parts = Parts::of(&case.scenario);
        Draft { case, parts, moments: &[], other: None, dice, seed: 1, lost: 0, events_max: 100 }
    }

    #[test]
    fn replicas_are_taken_away_until_three_are_left() {
        let mut dice = Stream::new(1, "test");
        for seed in 0..200 {
            let case = draw(&subjects::raft(), seed);
            let before = case.scenario.replicas;
            let mut draft = draft(case, &mut dice);
            let mut sizes = vec![before];
            for _ in 0..30 {
                draft.remove_replicas();
                sizes.push(draft.case.scenario.replicas);
            }
            assert!(sizes.is_sorted_by(|one, next| (0..=2).contains(&(one - next))), "{sizes:?}");
            assert_eq!(sizes.last(), Some(&before.min(3)), "{sizes:?}");
        }
    }

    #[test]
    fn what_a_case_of_a_person_has_and_no_drawn_one_is_not_in_changed_ones() {
        let mut dice = Stream::new(1, "test");
        let mut case = draw(&subjects::raft(), 3);
        let on = |act| Fault::Host { at: Some(Target::Replica(ReplicaId(0))), act };
        let jump = Act::Clock { rate: Rate::EXACT, jump: Span::from_secs(1) };
        case.scenario.tests = Tests { maximum_get_fail_fraction: 0.1, ..tests() };
        let acts = [Act::Crash, Act::Restart { wipe: true }, Act::LyingDisk, jump];
        case.scenario.events =
            acts.into_iter().map(|act| FaultEvent { time: Time(5_000_000_000), fault: on(act) }).collect();
        let changed = draft(case, &mut dice).finish().scenario;
        assert_eq!(changed.tests, tests());
        let acts: Vec<Act> = changed.events.iter().filter_map(|event| event.fault.act()).collect();
        assert_eq!(acts[..2], [Act::Crash, Act::Restart { wipe: false }]);
        let odd = |act: &&Act| match act {
            Act::Restart { wipe } => *wipe,
            Act::Clock { jump, .. } => *jump > Span::ZERO,
            act => **act == Act::LyingDisk,
        };
        assert_eq!(acts.iter().find(odd), None, "what follows ends the faults");
    }
}
