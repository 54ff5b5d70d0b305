//! What switches add to an outline: each function is one switch.

use super::switches::{Switch, Switches};
use crate::chaos::{Act, Fault, FaultEvent, Target};
use crate::engine::Delay;
use crate::id::ReplicaId;
use crate::lab::explore::ending::{Parts, lasting};
use crate::lab::explore::tolerance::REQUESTS_OF_VARIED_MAX;
use crate::lab::{Protocol, Timing};
use crate::rng::Stream;
use crate::scenario::{LinkDelay, Network, Order, Scenario};
use crate::time::{Span, Time};
use crate::workload::{self, Keys, Patience};

/// Two different replicas.
pub(in crate::lab::explore) fn two(dice: &mut Stream, replicas: usize) -> (ReplicaId, ReplicaId) {
    let count = replicas as u64;
    let one = dice.below(count);
    let other = (one + 1 + dice.below(count - 1)) % count;
    (ReplicaId(one as u8), ReplicaId(other as u8))
}

/// How long a link takes that is slow in the whole run: elections must still be possible.
pub(in crate::lab::explore) fn slow_for_ever(dice: &mut Stream, timeout: Span) -> Delay {
    Delay::Constant(Span(1_000 + dice.below(timeout.nanos() / 8)))
}

/// How late messages come that come long after: in the terms of later leaders, too.
pub(in crate::lab::explore) fn late_by(dice: &mut Stream, timeout: Span) -> Delay {
    Delay::Constant(Span(1 + dice.below(6 * timeout.nanos())))
}

/// Adds what the switches of this run ask for.
pub(super) fn add(switches: &Switches, scenario: &mut Scenario, parts: &mut Parts, protocol: &Protocol) {
    let timing = protocol.timing();
    if let Some(mut stream) = switches.stream(Switch::HeavyTail) {
        heavy_tail(&mut stream, scenario);
    }
    if let Some(mut stream) = switches.stream(Switch::SlowLinks) {
        slow_links(&mut stream, scenario, &timing);
    }
    if let Some(mut stream) = switches.stream(Switch::Late) {
        late(&mut stream, scenario, parts, timing.timeout_min);
    }
    if let Some(mut stream) = switches.stream(Switch::StepDown) {
        step_down(&mut stream, scenario, parts);
    }
    if let Some(mut stream) = switches.stream(Switch::Updates) {
        updates(&mut stream, scenario, protocol);
    }
    if let Some(mut stream) = switches.stream(Switch::Patience) {
        patience(&mut stream, scenario, timing.timeout_max);
    }
    if protocol.tolerates().lasting
        && let Some(mut stream) = switches.stream(Switch::Lasting)
    {
        parts.lasting = lasting(&mut stream, scenario, &timing, parts.lost());
    }
}

/// Any time until the faults are over.
fn any_time(dice: &mut Stream, scenario: &Scenario, parts: &Parts) -> Time {
    let start = scenario.start();
    start + Span(dice.below(parts.calm.since(start).nanos().max(1)))
}

/// The links of replicas only: a client that waits for a slow answer has found nothing.
fn heavy_tail(dice: &mut Stream, scenario: &mut Scenario) {
    let millis = Span::from_millis;
    let delay = Delay::Uniform { min: millis(1), max: millis(dice.between(1, 10)) };
    scenario.network = Network::Links { delay, order: Order::Any };
    let median = Span::from_micros(dice.between(100, 3_000));
    let slow = Delay::HeavyTail { floor: Span::from_micros(100), median };
    let share = dice.unit();
    for from in ReplicaId::all(scenario.replicas) {
        for to in ReplicaId::all(scenario.replicas).filter(|&to| to != from) {
            if dice.chance(share) {
                scenario.links.push(LinkDelay { from, to, delay: slow });
            }
        }
    }
}

/// Where logs are sent in small pieces, a slow link that lasts would be in their way for too long.
fn slow_links(dice: &mut Stream, scenario: &mut Scenario, timing: &Timing) {
    if timing.small_batches || !matches!(scenario.network, Network::Links { .. }) {
        return;
    }
    for _ in 0..dice.between(1, scenario.replicas as u64) {
        let (from, to) = two(dice, scenario.replicas);
        let delay = slow_for_ever(dice, timing.timeout_min);
        if scenario.links.iter().all(|link| (link.from, link.to) != (from, to)) {
            scenario.links.push(LinkDelay { from, to, delay });
        }
    }
}

fn late(dice: &mut Stream, scenario: &Scenario, parts: &mut Parts, timeout: Span) {
    if !matches!(scenario.network, Network::Links { order: Order::Any, .. }) {
        return;
    }
    for _ in 0..dice.between(1, 8) {
        let (from, to) = two(dice, scenario.replicas);
        let time = any_time(dice, scenario, parts);
        let until = time + Span(1 + dice.below(timeout.nanos()));
        let delay = late_by(dice, timeout);
        parts.faults.push(FaultEvent { time, fault: Fault::DelayLink { from, to, delay: Some(delay) } });
        parts.faults.push(FaultEvent { time: until, fault: Fault::DelayLink { from, to, delay: None } });
    }
}

fn step_down(dice: &mut Stream, scenario: &Scenario, parts: &mut Parts) {
    for _ in 0..dice.between(1, 6) {
        let time = any_time(dice, scenario, parts);
        let fault = Fault::Host { at: Some(Target::Leader), act: Act::StepDown };
        parts.faults.push(FaultEvent { time, fault });
    }
}

fn updates(dice: &mut Stream, scenario: &mut Scenario, protocol: &Protocol) {
    if let Some(workload::Kind::Kv { keys: Keys::Shared { count }, updates: false }) = scenario.kind {
        let (updates, count) = (dice.chance(0.7), count.max(2));
        let kind = match dice.chance(0.5) {
            true => workload::Kind::Cas { count, updates },
            false => workload::Kind::Kv { keys: Keys::Shared { count }, updates: true },
        };
        if protocol.serves(&kind) {
            scenario.kind = Some(kind);
            scenario.requests = scenario.requests.min(REQUESTS_OF_VARIED_MAX);
        }
    }
}

fn patience(dice: &mut Stream, scenario: &mut Scenario, pace: Span) {
    let timeout = Span(pace.nanos() * dice.between(2, 20) / 10);
    scenario.patience = Some(Patience { timeout, retries: dice.between(0, 5) as u32 });
    scenario.requests = scenario.requests.min(REQUESTS_OF_VARIED_MAX);
}
