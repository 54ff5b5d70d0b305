//! How the faults of an explored run end: all of them, and then some that last.
//!
//! Progress can be demanded only once faults are over. But what goes wrong while a link stays cut shows only if it stays cut.
//! In some runs, new faults begin when the others end, and last. Among the replicas that they spare is a quorum whose members
//! hear each other.

use crate::chaos::{Act, ConnectivityMatrix, Fault, FaultEvent, Target};
use crate::engine::{Delay, Rate};
use crate::id::{ReplicaId, ReplicaSet};
use crate::lab::Timing;
use crate::rng::Stream;
use crate::scenario::{Network, Scenario};
use crate::time::{Span, Time};

/// What ends all the faults among these events, and those that a scenario has from its start.
fn all_over(scenario: &Scenario, events: &[FaultEvent]) -> Vec<Fault> {
    let has = |is_cause: &dyn Fn(Act) -> bool| events.iter().filter_map(|event| event.fault.act()).any(is_cause);
    let exact = Act::Clock { rate: Rate::EXACT, jump: Span::ZERO };
    let clocks = has(&|act| matches!(act, Act::Clock { .. }));
    let on_time = |one| Fault::Host { at: Some(Target::Replica(one)), act: exact };
    let mut over: Vec<Fault> = ReplicaId::all(scenario.replicas).filter(|_| clocks).map(on_time).collect();
    over.extend(slow_links(events).into_iter().map(|(from, to)| Fault::DelayLink { from, to, delay: None }));
    let ends = [
        (Act::Resume, has(&|act| act == Act::Pause)),
        (Act::MendDisk, has(&|act| matches!(act, Act::SlowDisk { .. } | Act::FullDisk))),
        (Act::Restart { wipe: false }, has(&|act| matches!(act, Act::Crash | Act::FullDisk))),
    ];
    over.extend(ends.into_iter().filter(|(_, has)| *has).map(|(act, _)| Fault::Host { at: None, act }));
    let is_damage = |event: &FaultEvent| matches!(event.fault, Fault::Damage(share) if share > 0.0);
    over.extend((scenario.damage > 0.0 || events.iter().any(is_damage)).then_some(Fault::Damage(0.0)));
    let calm = ConnectivityMatrix::uniform(scenario.replicas, 0.0).expect("a probability");
    // The partition lasts for no time. It makes the clients forget their leader, for which some would otherwise take a
    // dead replica until the end.
    over.extend([Fault::PartHard, Fault::Heal, Fault::SetMatrix(calm)]);
    over
}

/// The links that become slow, each once.
fn slow_links(events: &[FaultEvent]) -> Vec<(ReplicaId, ReplicaId)> {
    let link = |event: &FaultEvent| match event.fault {
        Fault::DelayLink { from, to, delay: Some(_) } => Some((from, to)),
        _ => None,
    };
    let mut links: Vec<_> = events.iter().filter_map(link).collect();
    links.sort_unstable();
    links.dedup();
    links
}

/// The events of an explored run in three parts.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// The faults, until `calm`.
    pub faults: Vec<FaultEvent>,
    /// When they are over.
    pub calm: Time,
    /// The faults that begin then and last.
    pub lasting: Vec<Fault>,
}

impl Parts {
    /// The parts of a scenario that [`Parts::join`] has made. In others, such as those of shrunk repro files, all events are
    /// faults, and they are over when the clients stop.
    pub fn of(scenario: &Scenario) -> Parts {
        let calm = scenario.events.last().map_or(scenario.start(), |event| event.time);
        let cut = scenario.events.partition_point(|event| event.time < calm);
        let (faults, ending) = scenario.events.split_at(cut);
        let is_end = |event: &FaultEvent| matches!(event.fault, Fault::SetMatrix(_));
        if !ending.iter().any(is_end) {
            // It was not drawn: all of its faults are what it is about.
            let calm = scenario.start() + scenario.lifetime;
            return Parts { faults: scenario.events.clone(), calm, lasting: Vec::new() };
        }
        let over = ending.iter().rposition(is_end).map_or(ending.len(), |place| place + 1);
        let lasting = ending[over..].iter().map(|event| event.fault.clone()).collect();
        Parts { faults: faults.to_vec(), calm, lasting }
    }

    /// How many replicas are lost for ever: those that are killed, and those that find a record of their disk damaged.
    pub fn lost(&self) -> usize {
        self.faults.iter().filter(|event| is_loss(&event.fault)).count()
    }

    /// Puts them into a scenario. Faults that come too late are left out.
    pub fn join(self, scenario: &mut Scenario) {
        let Parts { mut faults, calm, lasting } = self;
        faults.retain(|event| event.time < calm);
        faults.sort_by_key(|event| event.time);
        let over = all_over(scenario, &faults);
        faults.extend(over.into_iter().chain(lasting).map(|fault| FaultEvent { time: calm, fault }));
        scenario.events = faults;
    }
}

/// Whether a fault takes a replica away for ever.
pub(super) fn is_loss(fault: &Fault) -> bool {
    fault.kills() || matches!(fault.act(), Some(Act::CorruptDisk | Act::Restart { wipe: true }))
}

/// How long a slow link may take, in shortest election timeouts.
const SLOW_MAX: u64 = 4;

/// Draws faults that last. The replicas that they spare are a quorum of living ones, of which at most `lost` are lost before.
pub(super) fn lasting(dice: &mut Stream, scenario: &Scenario, timing: &Timing, lost: usize) -> Vec<Fault> {
    let timeout = timing.timeout_min;
    let replicas = scenario.replicas;
    let mut order: Vec<ReplicaId> = ReplicaId::all(replicas).collect();
    dice.shuffle(&mut order);
    // Replicas that are dead, or may refuse to start, do not help the quorum, and which they are is not known here.
    let spared = (replicas / 2 + 1 + lost).min(replicas);
    let (quorum, rest) = order.split_at(dice.between(spared as u64, replicas as u64) as usize);
    let quorum: ReplicaSet = quorum.iter().copied().collect();
    let links_can_be_slow = matches!(scenario.network, Network::Links { .. });
    let mut faults = Vec::new();
    let cut = |from, to| Fault::SetLink { from, to, value: 1.0 };
    for &one in rest {
        let others = || order.iter().copied().filter(move |&other| other != one);
        match dice.below(7) {
            0 => faults.push(Fault::Host { at: Some(Target::Replica(one)), act: Act::Pause }),
            // Deaf.
            1 => faults.extend(others().map(|other| cut(other, one))),
            // Mute.
            2 => faults.extend(others().map(|other| cut(one, other))),
            3 => faults.extend(others().flat_map(|other| [cut(other, one), cut(one, other)])),
            4 if scenario.sync().is_some() => {
                faults.push(Fault::Host { at: Some(Target::Replica(one)), act: Act::Crash });
            }
            _ => {
                let share = dice.unit();
                for other in others() {
                    for (from, to) in [(one, other), (other, one)] {
                        if dice.chance(share) {
                            faults.push(match dice.below(4) {
                                0 if links_can_be_slow => {
                                    let delay = Delay::Constant(Span(1 + dice.below(SLOW_MAX * timeout.nanos())));
                                    Fault::DelayLink { from, to, delay: Some(delay) }
                                }
                                1 => Fault::SetLink { from, to, value: dice.unit() },
                                _ => cut(from, to),
                            });
                        }
                    }
                }
            }
        }
    }
    // Links of the quorum may lose a little, unless logs are sent in small pieces: every loss holds up all that follow.
    if !timing.small_batches && dice.chance(0.3) {
        let inner = quorum.iter().flat_map(|from| quorum.iter().map(move |to| (from, to)));
        for (from, to) in inner.filter(|(from, to)| from != to) {
            if dice.chance(0.2) {
                faults.push(Fault::SetLink { from, to, value: 0.1 * dice.unit() });
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::explore::draw;
    use crate::subjects;

    #[test]
    fn the_parts_of_a_scenario_make_the_same_scenario_again() {
        for seed in 0..500 {
            let scenario = draw(&subjects::raft(), seed).scenario;
            let mut again = scenario.clone();
            Parts::of(&scenario).join(&mut again);
            assert_eq!(again, scenario, "seed {seed}");
        }
    }

    #[test]
    fn all_events_of_a_scenario_that_was_not_drawn_are_faults() {
        let drawn = draw(&subjects::raft(), 0).scenario;
        let fault = |time| FaultEvent { time, fault: Fault::PartHard };
        let events = vec![fault(drawn.start()), fault(drawn.start() + Span(5))];
        let parts = Parts::of(&Scenario { events: events.clone(), ..drawn.clone() });
        assert_eq!((parts.faults, parts.calm), (events, drawn.start() + drawn.lifetime));
    }

    #[test]
    fn what_lasts_leaves_a_quorum_whose_members_hear_each_other() {
        let mut lasts = 0;
        for seed in 0..2_000 {
            let case = draw(&subjects::raft(), seed);
            if Parts::of(&case.scenario).lasting.is_empty() {
                continue;
            }
            lasts += 1;
            let record = case.protocol.simulate(&case.scenario, seed);
            let quorum = case.scenario.replicas / 2 + 1;
            // A replica whose disk was full when it crashed may have refused to start.
            assert!(record.calm.is_some() || record.able.len() < quorum, "seed {seed}: {:?}", record.able);
        }
        assert!(lasts > 200, "{lasts}");
    }
}
