//! What makes one case smaller than another.

use std::collections::BTreeSet;

use crate::chaos::{ConnectivityMatrix, Fault, Target};
use crate::lab::Case;
use crate::scenario::{Delay, Network, Order, Scenario, packets_default};
use crate::service::Operation;
use crate::time::Span;

/// How much there is to a case. The first number that differs says which of two is smaller, so no other can be bought
/// with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// Whether messages are lost by chance: what is left to dice is hard to follow.
    pub chance: bool,
    /// Requests, fault events and losses together.
    pub things: usize,
    /// Fault events and losses alone.
    pub faults: usize,
    /// Replicas.
    pub replicas: usize,
    /// Parameters that are not the default.
    settings: usize,
    /// How hard events and operations are to follow: whom they hit, and when, is drawn or has to be looked up in a matrix,
    /// or clients repeat what takes too long.
    riddles: usize,
    /// How complicated the network is.
    network: usize,
    /// Clients and keys.
    parties: usize,
    /// Seconds, begun ones included.
    seconds: u64,
    /// Digits of all times, characters of keys and values, numbers of clients.
    characters: usize,
}

impl Size {
    /// The size of a case.
    pub fn of(case: &Case) -> Size {
        let scenario = &case.scenario;
        let faults = scenario.events.len() + scenario.losses.len();
        let operations = scenario.operations.iter().flat_map(|operations| operations.iter());
        let clients: BTreeSet<usize> = operations.clone().map(|scripted| scripted.client).collect();
        let keys: BTreeSet<_> = operations.clone().map(|scripted| scripted.operation.key()).collect();
        Size {
            chance: chance(scenario),
            things: scenario.requests as usize + faults,
            faults,
            replicas: scenario.replicas,
            settings: case.protocol.changed_parameters().len(),
            riddles: scenario.events.iter().map(|event| riddles(&event.fault)).sum::<usize>()
                + cells(&scenario.matrix)
                + operations.clone().filter_map(|scripted| scripted.aim).map(|at| aim(Some(at))).sum::<usize>()
                + scenario.patience.map_or(0, |patience| 2 + patience.retries as usize),
            network: network(&scenario.network)
                + scenario.links.iter().map(|link| kind(link.delay)).sum::<usize>()
                + scenario.disk.map_or(0, kind),
            parties: clients.len() + keys.len(),
            seconds: scenario.end().nanos().div_ceil(1_000_000_000),
            characters: characters(scenario),
        }
    }
}

/// Whether a message may be lost or not.
fn is_chance(loss: f64) -> bool {
    loss > 0.0 && loss < 1.0
}

fn chance(scenario: &Scenario) -> bool {
    let uncertain = |matrix: &ConnectivityMatrix| matrix.rows().flatten().any(|&loss| is_chance(loss));
    uncertain(&scenario.matrix)
        || is_chance(scenario.duplicate)
        // Even if all messages are damaged, the bit is drawn.
        || scenario.damage > 0.0
        || scenario.events.iter().any(|event| match &event.fault {
            Fault::SetMatrix(matrix) => uncertain(matrix),
            Fault::SetLink { value, .. } | Fault::Duplicate(value) => is_chance(*value),
            Fault::Damage(value) => *value > 0.0,
            _ => false,
        })
}

fn riddles(fault: &Fault) -> usize {
    match fault {
        Fault::SetLink { .. } | Fault::PartEnd | Fault::Duplicate(_) | Fault::Damage(_) => 1,
        Fault::Isolate(target) => aim(Some(*target)),
        Fault::Host { at, act } => aim(*at) + act.riddles() - 1,
        Fault::DelayLink { delay, .. } => 1 + delay.map_or(0, kind),
        Fault::Partition(groups) => groups.len(),
        Fault::Heal | Fault::KillLeader => 2,
        Fault::KillNonLeader | Fault::PartEasy | Fault::PartHard => 3,
        Fault::SetMatrix(matrix) => 3 + cells(matrix),
    }
}

/// What has to be looked up to see whom a fault hits.
fn aim(at: Option<Target>) -> usize {
    match at {
        Some(Target::Replica(_)) => 1,
        None | Some(Target::Leader) => 2,
        Some(Target::Follower) => 3,
    }
}

fn cells(matrix: &ConnectivityMatrix) -> usize {
    matrix.rows().flatten().filter(|&&loss| loss > 0.0).count()
}

fn network(network: &Network) -> usize {
    match *network {
        Network::Course { .. } if *network == Network::default() => 0,
        Network::Course { service } => 10 + kind(service),
        Network::Links { delay, order } => kind(delay) + usize::from(order == Order::Fifo),
    }
}

fn kind(delay: Delay) -> usize {
    match delay {
        Delay::Constant(_) => 1,
        Delay::Uniform { .. } => 3,
        Delay::Exponential { .. } => 4,
        Delay::HeavyTail { .. } => 5,
    }
}

fn characters(scenario: &Scenario) -> usize {
    let start = scenario.start();
    let events = scenario.events.iter().map(|event| digits(event.time.since(start)));
    let operations = scenario.operations.iter().flat_map(|operations| operations.iter());
    let texts = operations.map(|scripted| {
        let text = scripted.operation.key().len() + scripted.operation.value().map_or(0, |value| value.len());
        text + further_characters(&scripted.operation) + digits(scripted.time) + scripted.client
    });
    let delays = match scenario.network {
        Network::Course { .. } => 0,
        Network::Links { delay, .. } => match delay {
            Delay::Constant(span) => digits(span),
            Delay::Uniform { min, max } => digits(min) + digits(max),
            Delay::Exponential { floor, mean: rest } | Delay::HeavyTail { floor, median: rest } => {
                digits(floor) + digits(rest)
            }
        },
    };
    let timeout = scenario.patience.map_or(0, |patience| digits(patience.timeout));
    let spans = [scenario.wait(), scenario.lifetime, scenario.end_wait].map(digits);
    let limit = if scenario.max_packets == packets_default(scenario.requests, scenario.replicas) { 0 } else { 6 };
    limit + timeout + events.sum::<usize>() + texts.sum::<usize>() + delays + spans.into_iter().sum::<usize>()
}

/// What an operation has besides its key and its value.
fn further_characters(operation: &Operation) -> usize {
    match operation {
        Operation::Update(update) => {
            let name = update.request.map_or(0, |name| whole_digits(name.client) + whole_digits(name.number));
            update.expected.as_ref().map_or(0, |expected| expected.len()) + name
        }
        Operation::Add { amount, .. } => whole_digits(amount.unsigned_abs()) + usize::from(*amount < 0),
        _ => 0,
    }
}

/// The digits of a whole number.
fn whole_digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// The digits of a number of seconds, without zeros at the end.
fn digits(span: Span) -> usize {
    let (mut nanos, mut digits) = (span.nanos(), 9);
    while digits > 0 && nanos % 10 == 0 {
        nanos /= 10;
        digits -= 1;
    }
    digits
}
