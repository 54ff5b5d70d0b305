//! Makes what is left good to read: plain events, default parameters, round times, few clients and short names.

use std::collections::BTreeMap;

use super::{SEEDS, Shrinker};
use crate::chaos::{ConnectivityMatrix, Fault, FaultEvent, Target};
use crate::id::{ReplicaId, ReplicaSet};
use crate::lab::{Case, Protocol};
use crate::scenario::{Delay, Network, Order, packets_default};
use crate::service::Text;
use crate::time::{Span, Time};
use crate::workload::{Patience, ScriptedOperation};

/// Times are rounded to multiples of these, in milliseconds; the first that will do counts.
const ROUND_MS: [u64; 8] = [1_000, 500, 100, 50, 10, 5, 1, 0];

impl Shrinker<'_> {
    /// All of it but names.
    pub(super) fn polish(&mut self) {
        self.simplify_network();
        self.simplify_events();
        self.reset_parameters();
        self.simplify_clients();
        self.merge_clients();
        self.take(
            self.changed(|scenario, _| scenario.max_packets = packets_default(scenario.requests, scenario.replicas)),
        );
        self.close_gaps();
        self.round_times();
    }

    /// Delays that are always the same, or the default network.
    pub(super) fn simplify_network(&mut self) {
        let delay = match self.best.case.scenario.network {
            Network::Links { delay, .. } | Network::Course { service: delay } => delay,
        };
        let (floor, mean) = match delay {
            Delay::Constant(span) => (span, span),
            Delay::Uniform { min, max } => (min, Span((min + max).nanos() / 2)),
            Delay::Exponential { floor, mean: rest } | Delay::HeavyTail { floor, median: rest } => {
                (floor, floor + rest)
            }
        };
        let millis = |span: Span| Span::from_millis(span.nanos().div_ceil(1_000_000).max(1));
        let spans = [millis(mean), millis(floor), Span::from_millis(1), Span::from_millis(10), floor];
        let links = |order| move |span| Network::Links { delay: Delay::Constant(span), order };
        let candidates = [Network::default()].into_iter().chain(spans.map(links(Order::Any)));
        let mut candidates: Vec<Network> = candidates.chain(spans.map(links(Order::Fifo))).collect();
        candidates.push(Network::Links { delay, order: Order::Any });
        for network in candidates {
            let changed = self.changed(|scenario, _| {
                scenario.network = network;
                // Only links have delays of their own.
                if !matches!(network, Network::Links { .. }) {
                    scenario.links.clear();
                    scenario.events.retain(|event| !matches!(event.fault, Fault::DelayLink { .. }));
                }
            });
            if self.take(changed) {
                break;
            }
        }
        for place in (0..self.best.case.scenario.links.len()).rev() {
            self.take(self.changed(|scenario, _| {
                scenario.links.remove(place);
            }));
        }
        self.take(self.changed(|scenario, _| scenario.duplicate = 0.0));
        self.take(self.changed(|scenario, _| scenario.damage = 0.0));
        for disk in [None, Some(Delay::Constant(Span::from_millis(1))), Some(Delay::Constant(Span::from_millis(5)))] {
            if self.best.case.scenario.disk.is_none() || self.take(self.changed(|scenario, _| scenario.disk = disk)) {
                return;
            }
        }
    }

    /// Events that name whom they hit, in place of those that choose.
    fn simplify_events(&mut self) {
        let mut log = self.log_of(&self.best.case.clone());
        for place in (0..self.best.case.scenario.events.len()).rev() {
            if self.is_spent() {
                return;
            }
            let replicas = self.best.case.scenario.replicas;
            let strike = log.strikes.get(place).copied();
            let leader = strike.and_then(|strike| strike.leader);
            let hit = strike.map_or(ReplicaSet::EMPTY, |strike| strike.hit);
            let isolations = leader.into_iter().chain(ReplicaId::all(replicas)).map(Fault::isolate);
            let candidates: Vec<Fault> = match &self.best.case.scenario.events[place].fault {
                fault @ (Fault::KillLeader | Fault::KillNonLeader | Fault::Host { .. }) => simpler_acts(fault, hit),
                Fault::Isolate(Target::Leader | Target::Follower) => hit.iter().map(Fault::isolate).collect(),
                Fault::Partition(groups) if groups.len() > 1 => {
                    groups.iter().map(|&group| Fault::Partition(vec![group])).collect()
                }
                Fault::DelayLink { from, to, delay: Some(_) } => {
                    let mean = Delay::Constant(Span::from_millis(100));
                    vec![Fault::DelayLink { from: *from, to: *to, delay: Some(mean) }]
                }
                Fault::Duplicate(share) if *share < 1.0 => vec![Fault::Duplicate(1.0)],
                Fault::PartHard | Fault::PartEasy => isolations.collect(),
                Fault::Heal => vec![Fault::PartEnd],
                Fault::SetMatrix(matrix) => isolations.chain(simpler(matrix)).collect(),
                _ => Vec::new(),
            };
            for fault in candidates {
                if self.take(self.changed(|scenario, _| scenario.events[place].fault = fault)) {
                    log = self.log_of(&self.best.case.clone());
                    break;
                }
            }
        }
    }

    /// Default parameters: all with times in proportion, all, or one by one.
    fn reset_parameters(&mut self) {
        let (own, plain) = (self.best.case.protocol.clone(), self.best.case.protocol.plain());
        if own.changed_parameters().is_empty() {
            return;
        }
        let timeout = |protocol: &Protocol| protocol.timing().timeout_min.nanos().max(1) as f64;
        let slow = self.stretched(timeout(&plain) / timeout(&own));
        let with = |case: &Case, wanted: &dyn Fn(bool) -> bool| Case {
            protocol: own.with_parameters(&plain.parameters(), wanted),
            ..case.clone()
        };
        let best = &self.best.case;
        let candidates = [with(&slow, &|_| true), with(best, &|_| true), with(&slow, &|is_time| is_time)];
        for case in candidates {
            if self.trying_seeds(SEEDS, |shrinker| shrinker.take(case)) {
                break;
            }
        }
        for (name, value) in plain.parameters() {
            let mut case = self.best.case.clone();
            if case.protocol.set(name, value).is_ok() && case.protocol.validate().is_ok() {
                self.take(case);
            }
        }
    }

    /// The case in which everything takes this many times as long.
    fn stretched(&self, share: f64) -> Case {
        let span = |span: Span| Span((span.nanos() as f64 * share / 1e6).ceil() as u64 * 1_000_000);
        self.changed(|scenario, operations| {
            let (start, wait) = (scenario.start(), span(scenario.wait()));
            for event in &mut scenario.events {
                event.time = Time::ZERO + wait + span(event.time.since(start));
            }
            scenario.set_wait(wait);
            scenario.lifetime = span(scenario.lifetime);
            for scripted in operations {
                scripted.time = span(scripted.time);
            }
        })
    }

    /// Clients that never give up, or soon, and choose the replicas that they ask.
    fn simplify_clients(&mut self) {
        self.take(self.changed(|scenario, _| scenario.patience = None));
        if let Some(patience) = self.best.case.scenario.patience {
            for retries in 0..patience.retries.min(4) {
                if self.take(self.changed(|scenario, _| scenario.patience = Some(Patience { retries, ..patience }))) {
                    break;
                }
            }
            for quantum in ROUND_MS {
                let timeout = rounded(patience.timeout, quantum).max(Span::from_millis(1));
                let shorter = |patience: Patience| Patience { timeout, ..patience };
                if self.take(self.changed(|scenario, _| scenario.patience = scenario.patience.map(shorter))) {
                    break;
                }
            }
        }
        for place in 0..self.operations().len() {
            self.take(self.changed(|_, operations| operations[place].aim = None));
        }
    }

    /// All requests come from few clients.
    fn merge_clients(&mut self) {
        self.take(self.changed(|_, operations| operations.iter_mut().for_each(|scripted| scripted.client = 0)));
        for from in (1..crate::workload::CLIENTS).rev() {
            for to in 0..from {
                let merged = self.changed(|_, operations| {
                    for scripted in operations.iter_mut().filter(|scripted| scripted.client == from) {
                        scripted.client = to;
                    }
                });
                if self.take(merged) {
                    break;
                }
            }
        }
    }

    /// Nothing happens for as short as may be.
    fn close_gaps(&mut self) {
        let start = |shrinker: &Self| shrinker.best.case.scenario.start();
        // The time before the first request is a gap, too.
        self.take(self.changed(|scenario, operations| {
            operations.iter_mut().for_each(|scripted| scripted.time = scripted.time + scenario.wait());
            scenario.lifetime = scenario.lifetime + scenario.wait();
            scenario.set_wait(Span::ZERO);
        }));
        let times = |shrinker: &Self| {
            let scenario = &shrinker.best.case.scenario;
            let operations = shrinker.operations().iter().map(|scripted| start(shrinker) + scripted.time);
            let mut times: Vec<Time> = operations.chain(scenario.events.iter().map(|event| event.time)).collect();
            times.extend([start(shrinker), scenario.end()]);
            times.sort_unstable();
            times.dedup();
            times
        };
        let mut place = times(self).len();
        while place > 0 && !self.is_spent() {
            place -= 1;
            for share in [1, 2, 4, 8] {
                let times = times(self);
                let Some(&time) = times.get(place) else { break };
                let before = if place == 0 { Time::ZERO } else { times[place - 1] };
                self.take(self.sooner(time, Span(time.since(before).nanos() / share)));
            }
        }
    }

    /// The case in which all from this time on comes sooner.
    fn sooner(&self, from: Time, by: Span) -> Case {
        let case = self.changed(|scenario, operations| {
            let start = scenario.start();
            if from <= start {
                scenario.set_wait((start - by).since(Time::ZERO));
                scenario.events.iter_mut().for_each(|event| event.time = event.time - by);
                return;
            }
            for scripted in operations.iter_mut().filter(|scripted| start + scripted.time >= from) {
                scripted.time = (start + scripted.time - by).since(start);
            }
            for event in scenario.events.iter_mut().filter(|event| event.time >= from) {
                event.time = (event.time - by).max(start);
            }
            let end = start + scenario.lifetime;
            let sooner = |time: Time| if time >= from { time - by } else { time };
            let (lifetime, all) = (sooner(end).since(start), sooner(end + scenario.end_wait));
            scenario.lifetime = lifetime.max(Span::from_millis(1));
            scenario.end_wait = all.since(start + scenario.lifetime);
        });
        fitted(case)
    }

    /// Times with few digits: all at once, then one by one.
    fn round_times(&mut self) {
        for quantum in ROUND_MS {
            let all = self.changed(|scenario, operations| {
                operations.iter_mut().for_each(|scripted| scripted.time = rounded(scripted.time, quantum));
                let start = scenario.start();
                for event in &mut scenario.events {
                    event.time = start + rounded(event.time.since(start), quantum);
                }
            });
            if self.take(fitted(all)) {
                break;
            }
        }
        for place in (0..self.operations().len()).rev() {
            ROUND_MS.into_iter().any(|quantum| {
                let case = self.changed(|_, operations| {
                    operations[place].time = rounded(operations[place].time, quantum);
                });
                self.take(fitted(case))
            });
        }
        for place in (0..self.best.case.scenario.events.len()).rev() {
            ROUND_MS.into_iter().any(|quantum| {
                let case = self.changed(|scenario, _| {
                    let start = scenario.start();
                    let event = &mut scenario.events[place];
                    event.time = start + rounded(event.time.since(start), quantum);
                    scenario.events.sort_by_key(|event| event.time);
                });
                self.take(fitted(case))
            });
        }
        for quantum in ROUND_MS {
            let spans = self.changed(|scenario, _| {
                let (start, wait) = (scenario.start(), rounded(scenario.wait(), quantum));
                for event in &mut scenario.events {
                    event.time = Time::ZERO + wait + event.time.since(start);
                }
                scenario.set_wait(wait);
            });
            self.take(spans);
            self.take(self.changed(|scenario, _| {
                let longer = Span(scenario.lifetime.nanos().next_multiple_of(quantum.max(1) * 1_000_000));
                scenario.end_wait = scenario.end().since(scenario.start() + longer);
                scenario.lifetime = longer;
            }));
            self.take(self.changed(|scenario, _| scenario.end_wait = rounded(scenario.end_wait, quantum)));
        }
    }

    /// Keys become `x`, `y` and so on, values `a`, `b` and so on, and the clients in the names of updates 1, 2 and so on.
    pub(super) fn rename(&mut self) {
        self.take(self.renamed(|_| 0, |_| 1));
        self.take(self.renamed(|key| key, |_| 1));
        // Small batches count bytes, so names may have to stay as long as they are.
        self.take(self.renamed(|_| 0, str::len));
    }

    /// With keys by number, and values of this length.
    fn renamed(&self, key: impl Fn(usize) -> usize, length: impl Fn(&str) -> usize) -> Case {
        let mut keys = Numbers::default();
        let mut clients = Numbers::default();
        let mut values: BTreeMap<Text, Text> = BTreeMap::new();
        let mut new_value = |old: &Text| {
            // "" is what was never put.
            if old.is_empty() {
                return old.clone();
            }
            let next = values.len();
            let new = |old: &Text| {
                let name = letters("abcdefghijklmnopqrst", next);
                Text::from(format!("{name:.<width$}", width = length(old)))
            };
            values.entry(old.clone()).or_insert_with_key(new).clone()
        };
        self.changed(|_, operations| {
            for ScriptedOperation { operation, .. } in operations {
                let name = letters("xyzuvw", key(keys.of(operation.key().clone()))).into();
                *operation = operation.renamed(name, &mut new_value, |client| 1 + clients.of(client) as u64);
            }
        })
    }
}

/// Numbers things in the order in which they come.
struct Numbers<T>(BTreeMap<T, usize>);

impl<T> Default for Numbers<T> {
    fn default() -> Numbers<T> {
        Numbers(BTreeMap::new())
    }
}

impl<T: Ord> Numbers<T> {
    fn of(&mut self, thing: T) -> usize {
        let next = self.0.len();
        *self.0.entry(thing).or_insert(next)
    }
}

/// A letter, and a number where there are not enough of them.
fn letters(alphabet: &str, number: usize) -> String {
    let letter = alphabet.chars().nth(number % alphabet.len()).unwrap_or('x');
    match number / alphabet.len() {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

/// The same on a host that is named, and acts of the same kind that are easier to follow.
fn simpler_acts(fault: &Fault, hit: ReplicaSet) -> Vec<Fault> {
    let Some(act) = fault.act() else { return Vec::new() };
    let is_named = matches!(fault, Fault::Host { at: Some(Target::Replica(_)), .. });
    let named = hit.iter().filter(|_| !is_named).map(|one| Fault::Host { at: Some(Target::Replica(one)), act });
    let at = if let Fault::Host { at, .. } = fault { *at } else { Some(Target::Leader) };
    named.chain(act.simpler().into_iter().map(|act| Fault::Host { at, act })).collect()
}

/// Matrices that lose less, or a single link in place of one.
fn simpler(matrix: &ConnectivityMatrix) -> Vec<Fault> {
    let size = matrix.replicas();
    let links: Vec<(usize, usize)> = (0..size)
        .flat_map(|from| (0..size).map(move |to| (from, to)))
        .filter(|&(from, to)| matrix.rows().nth(from).is_some_and(|row| row[to] > 0.0))
        .collect();
    let mut faults = vec![Fault::Heal, Fault::PartEnd];
    faults.extend(links.iter().map(|&(from, to)| {
        let (from, to) = (ReplicaId(from as u8), ReplicaId(to as u8));
        Fault::SetLink { from, to, value: matrix.loss(from, to) }
    }));
    faults.extend(links.iter().map(|&(from, to)| {
        let mut clear = matrix.clone();
        clear.set(from, to, 0.0).expect("a link of the cluster");
        Fault::SetMatrix(clear)
    }));
    faults
}

/// The nearest multiple of so many milliseconds; of 0, of a tenth of one.
fn rounded(span: Span, quantum_ms: u64) -> Span {
    let quantum = if quantum_ms == 0 { 100_000 } else { quantum_ms * 1_000_000 };
    Span((span.nanos() + quantum / 2) / quantum * quantum)
}

/// With events in order of time, and a lifetime that holds all that happens; the run ends when it did, if it can.
fn fitted(mut case: Case) -> Case {
    let scenario = &mut case.scenario;
    let (start, end) = (scenario.start(), scenario.end());
    scenario.events.sort_by_key(|event: &FaultEvent| event.time);
    let events = scenario.events.iter().map(|event| event.time.since(start));
    let operations = scenario.operations.iter().flat_map(|list| list.iter()).map(|scripted| scripted.time);
    scenario.lifetime = events.chain(operations).max().unwrap_or_default().max(Span::from_millis(1));
    scenario.end_wait = end.since(start + scenario.lifetime);
    case
}
