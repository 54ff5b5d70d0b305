//! Draws a whole case from a seed.
//!
//! Every seed draws not only what happens, but from which repertoire: which faults there are at all, how fast they
//! come, how small batches are. Runs that differ in kind find more than runs that all mix everything ("swarm testing":
//! Groce et al. 2012). A run is short and hectic: elections, faults and requests come in each other's way. Then all
//! faults end, and there is time enough to demand progress.

mod extras;
mod hosts;
mod switches;

use self::switches::{Switch, Switches};
use super::ending::Parts;
use super::tolerance;
use crate::chaos::{ConnectivityMatrix, Fault, FaultEvent, Rulebook};
use crate::id::ReplicaId;
use crate::lab::{Case, Protocol, Timing};
use crate::rng::Stream;
use crate::scenario::{Benchmarks, Delay, Network, Order, ProcessModel, Scenario, Tests};
use crate::time::{Span, Time};
use crate::workload::{self, Keys};

pub(super) use extras::{late_by, slow_for_ever, two};
pub(super) use hosts::{Frame, HostFaults};
pub use switches::SWITCHES;

/// The most messages of a run: as many as a scenario file allows.
const PACKETS_MAX: u64 = 900_000;

/// What an explored run is about. It suits protocols that elect leaders and agree on a log; others get runs that differ
/// as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Anything.
    Any,
    /// Appends carry one entry or few, and take long: logs differ for long.
    Slow,
    /// Leaders are cut off while most requests are reads: deposed leaders that still answer would be caught.
    Readers,
    /// Leaders are cut off about as fast as others are elected, and appends carry one entry: entries of many terms
    /// compete for the same places in the log (figure 8 of the paper).
    Duel,
}

/// What each of ten seeds is about. Duels are the rarest to end in a figure 8, so there are most of them.
const FLAVOURS: [Flavour; 10] = [
    Flavour::Any,
    Flavour::Any,
    Flavour::Slow,
    Flavour::Readers,
    Flavour::Readers,
    Flavour::Readers,
    Flavour::Duel,
    Flavour::Duel,
    Flavour::Duel,
    Flavour::Duel,
];

/// A kind of fault, or of a few faults that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kill,
    Hard,
    Easy,
    EndOfPartition,
    Isolation,
    Link,
    Deaf,
    Mute,
    Pair,
    Matrix,
    Heal,
}

const KINDS: [Kind; 11] = [
    Kind::Kill,
    Kind::Hard,
    Kind::Easy,
    Kind::EndOfPartition,
    Kind::Isolation,
    Kind::Link,
    Kind::Deaf,
    Kind::Mute,
    Kind::Pair,
    Kind::Matrix,
    Kind::Heal,
];

/// The case that a seed stands for, with this protocol: its parameters are drawn, too.
pub fn draw(protocol: &Protocol, seed: u64) -> Case {
    let mut dice = Stream::new(seed, "explore");
    let flavour = *dice.pick(&FLAVOURS).expect("there are flavours");
    let protocol = protocol.varied(seed, &mut dice, flavour);
    let switches = Switches { seed, is_about_leases: flavour == Flavour::Readers };
    let sketch = Sketch::new(&mut dice, flavour, protocol.timing().timeout_max, switches);
    let (mut scenario, mut parts) = sketch.scenario(&mut dice, &protocol);
    scenario.kind = Some(clients(&protocol, scenario.kind()));
    extras::add(&switches, &mut scenario, &mut parts, &protocol);
    parts.join(&mut scenario);
    tolerance::fit(&mut scenario, &protocol);
    if protocol.program().is_some() {
        // A process needs a moment to start. Clients that ask before do not find a fault of the protocol.
        delay(&mut scenario, START);
    }
    Case { scenario, seed, protocol }
}

/// The clients of a run: the protocol's own. Those of the course share keys, as drawn.
fn clients(protocol: &Protocol, drawn: &workload::Kind) -> workload::Kind {
    match (protocol.workload(), drawn) {
        (workload::Kind::Kv { updates, .. }, &workload::Kind::Kv { keys, .. }) => workload::Kind::Kv { keys, updates },
        (own, _) => own,
    }
}

/// How long programs have to start before anything happens.
const START: Span = Span::from_secs(2);

/// Lets everything happen so much later.
fn delay(scenario: &mut Scenario, by: Span) {
    scenario.set_wait(scenario.wait() + by);
    for event in &mut scenario.events {
        event.time += by;
    }
}

/// The outline of a run.
struct Sketch {
    flavour: Flavour,
    switches: Switches,
    replicas: usize,
    /// The longest election timeout: what happens is measured against it.
    pace: Span,
    /// For how long faults strike.
    hectic: Span,
    /// The mean time from fault to fault.
    gap: Span,
}

impl Sketch {
    fn new(dice: &mut Stream, flavour: Flavour, pace: Span, switches: Switches) -> Sketch {
        let mut replicas = dice.weighted(sizes(flavour));
        if let Some(mut stream) = switches.stream(Switch::Many) {
            replicas = stream.between(10, 31) as usize;
        }
        let (paces, gap) = match flavour {
            Flavour::Any | Flavour::Slow => (dice.between(3, 9), dice.between(10, 160)),
            Flavour::Readers => (dice.between(3, 9), dice.between(80, 120)),
            Flavour::Duel => (dice.between(16, 30), dice.between(80, 120)),
        };
        Sketch {
            flavour,
            switches,
            replicas,
            pace,
            hectic: Span(pace.nanos() * paces),
            gap: Span(pace.nanos() * gap / 100),
        }
    }

    fn scenario(&self, dice: &mut Stream, protocol: &Protocol) -> (Scenario, Parts) {
        let seed = self.switches.seed;
        let timing = &protocol.timing();
        let wait = if dice.chance(0.2) { Span::ZERO } else { self.pace };
        let (requests, mix, keys) = match self.flavour {
            Flavour::Any => {
                (dice.between(50, 250), 0.2 + 0.4 * dice.unit(), *dice.pick(&[1, 1, 2, 3, 6]).expect("some"))
            }
            Flavour::Slow => (dice.between(40, 80), 0.2 + 0.4 * dice.unit(), dice.between(1, 6) as u32),
            Flavour::Readers => (dice.between(200, 300), 0.7 + 0.15 * dice.unit(), dice.between(1, 2) as u32),
            Flavour::Duel => (dice.between(120, 240), 0.55 + 0.2 * dice.unit(), 100),
        };
        let burst = self.switches.stream(Switch::Bursts).map_or(1, |mut stream| stream.between(2, 12));
        let matrix = self.matrix(dice);
        let network = self.network(dice, timing);
        let start = Time::ZERO + wait;
        let hosts = HostFaults::draw(
            &self.switches,
            Frame {
                replicas: self.replicas,
                span: (start, start + self.hectic),
                gap: self.gap,
                timeout: timing.timeout_min,
                drift_max: timing.clock_drift_max,
                has_links: matches!(network, Network::Links { .. }),
                is_about_leases: self.flavour == Flavour::Readers,
                has_small_batches: timing.small_batches,
                may_wipe: protocol.tolerates().wipes,
            },
        );
        let damage = |mut stream: Stream| *stream.pick(&[0.01, 0.05, 0.2]).expect("shares");
        let damage = self.switches.stream(Switch::Damage).map_or(0.0, damage);
        // Where replicas crash, requests are lost with them, so more of them come after that.
        let calm = if hosts.events.is_empty() { 2 } else { 4 };
        let scenario = Scenario {
            name: format!("explore-{seed}"),
            rules: Rulebook::Handout,
            replicas: self.replicas,
            wait: Some(wait),
            lifetime: self.hectic + Span(calm * self.pace.nanos()),
            end_wait: protocol.progress_bound() + Span::from_secs(1),
            requests: if hosts.quiet { requests / 10 + 10 } else { requests },
            burst,
            mix,
            seed: None,
            matrix,
            network,
            links: Vec::new(),
            duplicate: hosts.duplicate,
            damage,
            disk: hosts.disk,
            process: ProcessModel::default(),
            kind: Some(workload::Kind::Kv { keys: Keys::Shared { count: keys }, updates: false }),
            patience: None,
            max_packets: PACKETS_MAX,
            events: Vec::new(),
            losses: Vec::new(),
            operations: None,
            tests: tests(),
        };
        let parts = self.events(dice, start, hosts);
        (scenario, parts)
    }

    /// None, the same loss everywhere, pairs that never hear each other, or some links that are worse than others in
    /// one direction.
    fn matrix(&self, dice: &mut Stream) -> ConnectivityMatrix {
        let uniform = |loss| ConnectivityMatrix::uniform(self.replicas, loss).expect("a probability");
        match (self.flavour, dice.below(5)) {
            (Flavour::Duel, _) => uniform(0.2 * dice.unit()),
            (Flavour::Readers, 0..3) | (_, 0) => uniform(0.0),
            (Flavour::Readers, _) => uniform(0.1 * dice.unit()),
            (_, 1 | 2) => uniform(0.25 * dice.unit()),
            (_, 3) => {
                let mut matrix = uniform(0.0);
                for _ in 0..dice.between(1, self.replicas as u64 / 2) {
                    let (one, other) = self.two(dice);
                    set(&mut matrix, one, other, 1.0);
                    set(&mut matrix, other, one, 1.0);
                }
                matrix
            }
            _ => {
                let mut matrix = uniform(0.1 * dice.unit());
                for _ in 0..self.replicas {
                    let (from, to) = self.two(dice);
                    set(&mut matrix, from, to, dice.unit());
                }
                matrix
            }
        }
    }

    /// Any timing model. Round trips leave elections time enough; and where batches are small, those that come in are
    /// carried off.
    fn network(&self, dice: &mut Stream, timing: &Timing) -> Network {
        let slow = matches!(self.flavour, Flavour::Slow | Flavour::Duel);
        // Delays are drawn in milliseconds, however short the timeouts are.
        let eighth = (timing.timeout_min.nanos() / 1_000_000 / 8).max(2);
        let most = if timing.small_batches && !slow { eighth.min(10) } else { eighth };
        let millis = Span::from_millis;
        let any = |delay| Network::Links { delay, order: Order::Any };
        if self.replicas > 9 {
            // One router would be the bottleneck, and elections would wait in its queue.
            return any(Delay::Uniform { min: millis(1), max: millis(5) });
        }
        let model = match self.flavour {
            Flavour::Any | Flavour::Slow => dice.below(5),
            // Deposed leaders answer soon, or not at all.
            Flavour::Readers => dice.below(2),
            // What is replicated one by one must take its time.
            Flavour::Duel => 2,
        };
        match model {
            0 => Network::default(),
            1 => any(Delay::Constant(millis(dice.between(1, most.min(20))))),
            2 | 3 => {
                let min = dice.between(1, most / 2);
                let delay = Delay::Uniform { min: millis(min), max: millis(dice.between(min, most)) };
                Network::Links { delay, order: if dice.chance(0.7) { Order::Any } else { Order::Fifo } }
            }
            _ => any(Delay::Exponential { floor: millis(1), mean: millis(dice.between(1, most / 2)) }),
        }
    }

    /// Faults of a repertoire.
    fn events(&self, dice: &mut Stream, start: Time, hosts: HostFaults) -> Parts {
        let repertoire: Vec<Kind> = match (self.flavour, dice.below(4)) {
            (Flavour::Duel, _) => vec![Kind::Hard],
            (Flavour::Readers, 0) => vec![Kind::Hard, Kind::EndOfPartition, Kind::Kill, Kind::Isolation, Kind::Pair],
            (Flavour::Readers, _) => vec![Kind::Hard, Kind::EndOfPartition],
            (_, 0) => KINDS.to_vec(),
            _ => (0..dice.between(2, 4)).map(|_| *dice.pick(&KINDS).expect("kinds")).collect(),
        };
        let end = start + self.hectic;
        let mut events: Vec<FaultEvent> = Vec::new();
        let mut kills_left = ((self.replicas - 1) / 2).saturating_sub(hosts.lost);
        let mut now = start + Span(dice.below(self.gap.nanos()));
        while now < end && events.len() < 40 {
            let kind = *dice.pick(&repertoire).expect("a repertoire");
            if kind != Kind::Kill || kills_left > 0 {
                kills_left -= usize::from(kind == Kind::Kill);
                events.extend(self.faults(dice, kind).into_iter().map(|fault| FaultEvent { time: now, fault }));
            }
            now += Span(1 + dice.below(2 * self.gap.nanos()));
        }
        events.extend(hosts.events);
        Parts { faults: events, calm: end, lasting: Vec::new() }
    }

    fn faults(&self, dice: &mut Stream, kind: Kind) -> Vec<Fault> {
        let link = |from, to, value| Fault::SetLink { from, to, value };
        let others = |one: ReplicaId| ReplicaId::all(self.replicas).filter(move |&other| other != one);
        match kind {
            Kind::Kill => vec![if dice.chance(0.7) { Fault::KillLeader } else { Fault::KillNonLeader }],
            Kind::Hard => vec![Fault::PartHard],
            Kind::Easy => vec![Fault::PartEasy],
            Kind::EndOfPartition => vec![Fault::PartEnd],
            Kind::Isolation => vec![Fault::isolate(self.two(dice).0)],
            Kind::Link => {
                let (from, to) = self.two(dice);
                vec![link(from, to, *dice.pick(&[0.0, 0.5, 1.0]).expect("probabilities"))]
            }
            Kind::Deaf => {
                let (one, _) = self.two(dice);
                others(one).map(|other| link(other, one, 1.0)).collect()
            }
            Kind::Mute => {
                let (one, _) = self.two(dice);
                others(one).map(|other| link(one, other, 1.0)).collect()
            }
            Kind::Pair => {
                let (one, other) = self.two(dice);
                vec![link(one, other, 1.0), link(other, one, 1.0)]
            }
            Kind::Matrix => {
                let mut entry = || if dice.chance(0.3) { 1.0 } else { 0.2 * dice.unit() };
                let rows: Vec<Vec<f64>> =
                    (0..self.replicas).map(|_| (0..self.replicas).map(|_| entry()).collect()).collect();
                let matrix = ConnectivityMatrix::from_rows(self.replicas, &rows).expect("a square of probabilities");
                vec![Fault::SetMatrix(matrix)]
            }
            Kind::Heal => vec![Fault::Heal],
        }
    }

    /// Two different replicas.
    fn two(&self, dice: &mut Stream) -> (ReplicaId, ReplicaId) {
        two(dice, self.replicas)
    }
}

/// How many replicas there are, each number with its share of runs. Even ones are nearly as likely as odd ones. Duels with few
/// replicas are the likeliest to end as in figure 8 of the paper.
fn sizes(flavour: Flavour) -> &'static [(usize, u64)] {
    match flavour {
        Flavour::Any | Flavour::Slow => &[(2, 2), (3, 6), (4, 6), (5, 6), (6, 4), (7, 3), (8, 3), (9, 2)],
        Flavour::Readers => &[(2, 1), (3, 9), (4, 4), (5, 4)],
        Flavour::Duel => &[(3, 6), (4, 6), (5, 2), (6, 1), (7, 1)],
    }
}

fn set(matrix: &mut ConnectivityMatrix, from: ReplicaId, to: ReplicaId, loss: f64) {
    matrix.set(from.index(), to.index(), loss).expect("a link of the cluster and a probability");
}

/// Nothing is expected of performance, and no share of answers: under these faults any share may be lost.
pub(in crate::lab::explore) fn tests() -> Tests {
    let none = [0.0; 3];
    Tests {
        maximum_get_fail_fraction: 1.0,
        maximum_put_fail_fraction: 1.0,
        maximum_get_generation_fail_fraction: 1.0,
        maximum_appends_batched_fraction: 1.0,
        benchmarks: Benchmarks { total_msgs: none, failures: none, duplicates: none, median_latency: none },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::liveness;
    use crate::lab::explore::tolerance::REQUESTS_OF_VARIED_MAX;
    use crate::lab::{subject, tests::odd::Odd};
    use crate::subjects;

    fn drawn(protocol: &Protocol) -> Vec<Case> {
        (0..1_000).map(|seed| draw(protocol, seed)).collect()
    }

    fn assert_can_be_read(scenario: &Scenario) {
        let mut file = Vec::new();
        scenario.write_json(&mut file).expect("memory");
        let text = String::from_utf8(file).expect("text");
        let read = Scenario::parse(&scenario.name, "drawn.json", &text).expect("a valid scenario").scenario;
        assert_eq!(read, *scenario, "{}", scenario.name);
    }

    #[test]
    fn every_run_lasts_long_enough_to_demand_progress() {
        let slow = |bound| subject(Odd { bound, ..Odd::default() });
        let protocols = [subjects::raft(), slow(Span::ZERO), slow(Span::from_secs(40))];
        for case in protocols.iter().flat_map(drawn) {
            let bound = case.protocol.progress_bound();
            assert!(bound >= liveness::BOUND);
            assert!(case.scenario.end_wait > bound, "{} of {}", case.scenario.name, case.protocol.name());
        }
        let bounds = drawn(&protocols[0]).into_iter().map(|case| case.protocol.progress_bound());
        assert!(bounds.filter(|&bound| bound > liveness::BOUND).count() > 20, "some have long timeouts");
    }

    #[test]
    fn a_protocol_may_have_timeouts_of_any_length() {
        for timeout in [
            Span::ZERO,
            Span(1),
            Span::from_micros(700),
            Span::from_millis(10),
            Span::from_secs(100),
            Span::from_secs(1_000),
        ] {
            let (timeout_min, timeout_max) = (timeout, Span(timeout.nanos() / 2));
            let timing = Timing { timeout_min, timeout_max, ..Timing::default() };
            for case in drawn(&subject(Odd { timing, ..Odd::default() })) {
                assert!(case.scenario.lifetime > Span::ZERO, "{}", case.scenario.name);
                assert_can_be_read(&case.scenario);
            }
        }
    }

    /// In how many of some cases this holds, and five standard deviations of a binomial distribution around its share.
    fn assert_share(cases: &[Case], what: &str, share: f64, holds: impl Fn(&Case) -> bool) {
        let count = cases.iter().filter(|case| holds(case)).count() as f64;
        let (mean, all) = (share * cases.len() as f64, cases.len() as f64);
        let deviation = (all * share * (1.0 - share)).sqrt();
        assert!((count - mean).abs() < 5.0 * deviation, "{what}: {count} of {all}, {mean} expected");
    }

    fn has(case: &Case, name: &str) -> bool {
        case.scenario.events.iter().any(|event| event.fault.name() == name)
    }

    /// The share of all runs in which a switch is on. Three of ten are about leases.
    fn share(switch: Switch) -> f64 {
        let of = |is_about_leases| Switches { seed: 0, is_about_leases }.share(switch);
        0.7 * of(false) + 0.3 * of(true)
    }

    #[test]
    fn each_switch_is_on_in_its_share_of_runs() {
        let cases: Vec<Case> = (0..4_000).map(|seed| draw(&subjects::raft(), seed)).collect();
        let assert = |what, switch, holds: fn(&Case) -> bool| assert_share(&cases, what, share(switch), holds);
        assert("duplicates", Switch::Duplicates, |case| case.scenario.duplicate > 0.0);
        assert("damage", Switch::Damage, |case| case.scenario.damage > 0.0);
        assert("step down", Switch::StepDown, |case| has(case, "step_down"));
        assert("updates", Switch::Updates, |case| case.scenario.has_updates());
        assert("patience", Switch::Patience, |case| case.scenario.patience.is_some());
        assert("bursts", Switch::Bursts, |case| case.scenario.burst > 1);
        assert("many", Switch::Many, |case| case.scenario.replicas > 9);
        let lasting = |case: &Case| !Parts::of(&case.scenario).lasting.is_empty();
        assert!(cases.iter().filter(|case| lasting(case)).count() > 4_000 / 10);
        let is_heavy =
            |case: &Case| case.scenario.links.iter().any(|link| matches!(link.delay, Delay::HeavyTail { .. }));
        assert!(cases.iter().filter(|case| is_heavy(case)).count() > 4_000 / 30);
        assert_share(&cases, "even sizes", 0.42, |case| case.scenario.replicas.is_multiple_of(2));
    }

    #[test]
    fn clients_that_ask_more_than_gets_and_puts_or_are_refused_ask_little() {
        let cases = drawn(&subjects::raft());
        let wants_few_clients = |case: &Case| case.protocol.timing().wants_few_clients;
        assert!(cases.iter().filter(|case| wants_few_clients(case)).count() > 20);
        let is_varied =
            |case: &&Case| case.scenario.has_updates() || case.scenario.patience.is_some() || wants_few_clients(case);
        let (varied, plain): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(is_varied);
        assert!(varied.iter().all(|case| case.scenario.requests <= REQUESTS_OF_VARIED_MAX));
        assert!(plain.iter().any(|case| case.scenario.requests > REQUESTS_OF_VARIED_MAX));
        let count = |is: fn(&workload::Kind) -> bool| cases.iter().filter(|case| is(case.scenario.kind())).count();
        assert!(count(|kind| matches!(kind, workload::Kind::Cas { updates: true, .. })) > 20);
        assert!(count(|kind| matches!(kind, workload::Kind::Cas { updates: false, .. })) > 5);
        assert!(count(|kind| matches!(kind, workload::Kind::Kv { updates: true, .. })) > 20);
    }

    #[test]
    fn clients_of_any_kind_give_up_in_some_runs_and_ask_only_what_the_protocol_serves() {
        let lock = workload::Kind::Lock { count: 2, hold_max: workload::Kind::HOLD_DEFAULT };
        for kind in [workload::Kind::COURSE, lock] {
            let cases = drawn(&subject(Odd { workload: kind, ..Odd::default() }));
            assert_share(&cases, "patience", share(Switch::Patience), |case| case.scenario.patience.is_some());
            assert!(cases.iter().all(|case| case.protocol.serves(case.scenario.kind())));
        }
    }

    #[test]
    fn drawn_scenarios_can_be_written_and_read() {
        drawn(&subjects::raft()).iter().for_each(|case| assert_can_be_read(&case.scenario));
    }
}
