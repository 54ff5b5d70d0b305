//! Whether answers come as soon as they can while nothing is in their way.
//!
//! Liveness gives replicas seconds, because faults may lie shortly behind them. A replica that takes half a second for what
//! needs one round trip passes it. So where nothing at all disturbs the replicas, they are held to what their network and
//! their disks allow.
//!
//! A run has up to two *calm periods*: before its first fault, and after its last one. In a calm period all replicas are up
//! and work without restriction, all links between them are whole, and there is a bound on how long messages and syncs take.
//! (A dead replica costs time: a leader may ask it first, and others when that has timed out.) A request of a calm period is
//! judged if
//!
//! - the observed leader has been the same for some time and stays the same until the answer is due, and
//! - this leader has acknowledged a write that was sent in the same calm period since it was first observed. So a quorum
//!   has all that was committed by then: replicas that fell behind before keep no client waiting any more.
//!
//! The unit of the bound is the longest time that a write takes which its leader passes on at once: four messages and two
//! syncs, one of which may have to end before the other can begin. Where requests wait for each other, because one router
//! carries all messages or batches are small, each open one counts.
//!
//! All of this is seen from outside: in the clients' history, the leader that messages are stamped with, and the scenario.
//! Only how many units an answer may take, and how long replicas need to settle, the protocol must say. One that does not is
//! not judged.

use serde_json::json;

use super::opinion::{Checker, Finding, Opinion};
use super::panel::Evidence;
use super::shape::Shape;
use crate::chaos::{ConnectivityMatrix, Fault};
use crate::id::{ReplicaId, ReplicaSet};
use crate::record::{Attempt, RunRecord, World};
use crate::scenario::{Delay, Network, Scenario};
use crate::time::{Span, Time};

/// The kind of the finding that an answer came late, or not at all.
pub const SLOW_ANSWER: &str = "slow answer";

/// How soon the replicas of a protocol answer in calm periods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promptness {
    /// An answer may take this many times as long as a write that its leader passes on at once.
    pub times: u64,
    /// Another replica than the leader may take this much longer.
    pub redirect: Span,
    /// For this long, nothing must have happened and the leader must have been the same.
    pub settle: Span,
    /// Whether requests may wait for each other, because little of the log is sent at a time.
    pub one_by_one: bool,
}

/// On the course's LAN, more replicas than this may keep the router busy even if no client asks anything.
const ROUTED_MAX: usize = 9;

/// The longest that an exponential distribution is taken to draw, in means: longer is one of 8,000 draws. Sums of some are
/// what matters, and these are far shorter.
const EXPONENTIAL_MEANS: u64 = 9;

/// The opinion on a run in which an answer came late; none on all others.
pub fn opinion(evidence: &Evidence<'_>) -> Option<Opinion> {
    let finding = Measure::of(evidence)?.first_late()?;
    let mut opinion = Opinion::new(Checker::PROMPTNESS, "Promptness", "late", finding.text.clone());
    let time = finding.when.map(|(time, _)| time.as_secs_f64());
    opinion.figures = vec![("kind", json!(finding.kind)), ("time", json!(time)), ("explanation", json!(finding.text))];
    opinion.findings.push(finding);
    Some(opinion)
}

/// What the answers of one run are measured by.
struct Measure<'e> {
    evidence: &'e Evidence<'e>,
    promptness: Promptness,
    /// The longest that four messages take, apart from what they wait for each other.
    messages: Span,
    /// The longest that two syncs take.
    syncs: Span,
    /// When attempts were answered, in order.
    answered: Vec<Time>,
}

impl<'e> Measure<'e> {
    /// None if the run has no such measure.
    fn of(evidence: &'e Evidence<'e>) -> Option<Measure<'e>> {
        let promptness = evidence.promptness?;
        let (scenario, record) = (evidence.scenario, evidence.record);
        let is_virtual = matches!(record.world, World::Virtual | World::Lan);
        let is_whole = record.died == 0 && !record.packet_storm && !record.request_storm && record.obstacle.is_none();
        // Links with another delay, and losses by number, would make calm periods rare and hard to see.
        let is_plain = scenario.losses.is_empty() && scenario.links.is_empty();
        if !is_virtual || !is_whole || !is_plain {
            return None;
        }
        let messages = match scenario.network {
            Network::Course { .. } if scenario.replicas > ROUTED_MAX => return None,
            // An append to each replica, and an answer from each, pass the router.
            Network::Course { service } => times(longest(service)?, 4 * scenario.replicas as u64),
            Network::Links { delay, .. } => times(longest(delay)?, 4),
        };
        let syncs = times(scenario.disk.map_or(Some(Span::ZERO), longest)?, 2);
        let answers = record.history.attempts.iter().filter_map(|attempt| Some(attempt.answer.as_ref()?.0));
        let mut answered: Vec<Time> = answers.collect();
        answered.sort_unstable();
        Some(Measure { evidence, promptness, messages, syncs, answered })
    }

    /// The first answer that was late in a calm period.
    fn first_late(&self) -> Option<Finding> {
        let periods = Calm::periods(self.evidence.scenario, self.evidence.record);
        periods.iter().find_map(|calm| self.first_late_in(calm))
    }

    fn first_late_in(&self, calm: &Calm) -> Option<Finding> {
        let settled = self.settled(calm);
        let attempts = &self.evidence.record.history.attempts;
        let sent = attempts.partition_point(|attempt| attempt.sent < calm.from);
        attempts[sent..].iter().find_map(|attempt| {
            let tenure = self.tenure(attempt.sent)?;
            let due = attempt.sent + self.bound(attempt, tenure.leader);
            let is_steady = attempt.sent >= settled[tenure.place] && due < calm.to.min(tenure.until);
            let is_late = attempt.answer.as_ref().is_none_or(|answer| answer.0 > due);
            (is_steady && is_late).then(|| finding(attempt, tenure.leader, due))
        })
    }

    /// From when on each leader counts as settled, by its place in the list of observed leaders: never if that does not
    /// happen in this calm period.
    fn settled(&self, calm: &Calm) -> Vec<Time> {
        let record = self.evidence.record;
        // Elections of replicas that are far from each other take longer, too.
        let settle = self.promptness.settle + self.unit(1);
        let mut settled = vec![Time::NEVER; record.leaders.len()];
        for attempt in record.history.attempts.iter().filter(|attempt| attempt.sent >= calm.from && attempt.is_done()) {
            if let Some(tenure) = self.tenure(attempt.sent)
                && tenure.leader == attempt.replica
                && !self.evidence.reads(&attempt.operation)
                && let Some((answered, _)) = attempt.answer
            {
                let earliest = answered.max(tenure.since.max(calm.from) + settle);
                settled[tenure.place] = settled[tenure.place].min(earliest);
            }
        }
        settled
    }

    /// The leader that was observed at some time, if there was one.
    fn tenure(&self, time: Time) -> Option<Tenure> {
        let leaders = &self.evidence.record.leaders;
        let place = leaders.partition_point(|belief| belief.since <= time).checked_sub(1)?;
        let until = leaders.get(place + 1).map_or(Time::NEVER, |belief| belief.since);
        Some(Tenure { place, leader: leaders[place].leader?, since: leaders[place].since, until })
    }

    /// How long the answer to an attempt may take.
    fn bound(&self, attempt: &Attempt, leader: ReplicaId) -> Span {
        let sent = self.evidence.record.history.attempts.partition_point(|other| other.sent <= attempt.sent);
        let open = sent - self.answered.partition_point(|&answered| answered < attempt.sent);
        let redirect = if attempt.replica == leader { Span::ZERO } else { self.promptness.redirect };
        times(self.unit(open as u64), self.promptness.times) + redirect
    }

    /// The longest that a write takes which its leader passes on at once while this many requests are open.
    fn unit(&self, open: u64) -> Span {
        let is_routed = matches!(self.evidence.scenario.network, Network::Course { .. });
        let messages = if is_routed { times(self.messages, open + 1) } else { self.messages };
        times(messages + self.syncs, if self.promptness.one_by_one { open } else { 1 })
    }
}

fn times(span: Span, times: u64) -> Span {
    Span(span.nanos().saturating_mul(times))
}

/// The longest that something is expected to take; none if it has a heavy tail.
fn longest(delay: Delay) -> Option<Span> {
    match delay {
        Delay::Constant(span) => Some(span),
        Delay::Uniform { max, .. } => Some(max),
        Delay::Exponential { floor, mean } => Some(floor + times(mean, EXPONENTIAL_MEANS)),
        Delay::HeavyTail { .. } => None,
    }
}

fn finding(attempt: &Attempt, leader: ReplicaId, due: Time) -> Finding {
    let Attempt { replica, sent, .. } = attempt;
    let operation = attempt.operation.name();
    let (answer, until) = match &attempt.answer {
        Some((answered, _)) => (format!("was answered only at {answered}"), *answered),
        None => ("was not answered".to_owned(), due),
    };
    let text = format!(
        "a {operation} that was sent to replica {replica} at {sent} {answer}; it was due at {due}, because nothing \
         disturbed the replicas and {leader} led all the time"
    );
    let asked = if *replica == leader { "at the leader" } else { "at another replica than the leader" };
    let shape = Shape::PLAIN.with(operation.to_owned()).with(asked);
    Finding::new(Checker::PROMPTNESS, SLOW_ANSWER, text).during(*sent, until).shaped(shape)
}

/// For how long a leader was the observed one.
struct Tenure {
    /// Its place in the list of observed leaders.
    place: usize,
    leader: ReplicaId,
    since: Time,
    until: Time,
}

/// A calm period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Calm {
    from: Time,
    to: Time,
}

impl Calm {
    /// The calm periods of a run.
    fn periods(scenario: &Scenario, record: &RunRecord) -> Vec<Calm> {
        let mut periods = Vec::new();
        let mut links = Links::at_start(scenario);
        if let Some(first) = record.struck.first()
            && links.are_whole()
        {
            periods.push(Calm { from: Time::ZERO, to: first.time });
        }
        record.struck.iter().for_each(|struck| links.apply(&scenario.events[struck.event].fault));
        let is_over = record.struck.len() == scenario.events.len();
        if is_over && record.able == ReplicaSet::all(scenario.replicas) && links.are_whole() {
            let from = record.struck.last().map_or(Time::ZERO, |struck| struck.time);
            periods.push(Calm { from, to: record.end });
        }
        periods
    }
}

/// What faults have done to the links between replicas. Messages that come twice disturb nothing.
struct Links<'s> {
    original: &'s ConnectivityMatrix,
    matrix: ConnectivityMatrix,
    is_cut: bool,
    damage: f64,
    /// Those that have got another delay.
    slow: Vec<(ReplicaId, ReplicaId)>,
}

impl Links<'_> {
    fn at_start(scenario: &Scenario) -> Links<'_> {
        let (original, matrix) = (&scenario.matrix, scenario.matrix.clone());
        Links { original, matrix, is_cut: false, damage: scenario.damage, slow: Vec::new() }
    }

    fn apply(&mut self, fault: &Fault) {
        match *fault {
            Fault::PartEasy | Fault::PartHard | Fault::Partition(_) | Fault::Isolate(_) => self.is_cut = true,
            Fault::PartEnd => self.is_cut = false,
            Fault::Heal => {
                self.is_cut = false;
                self.matrix.clone_from(self.original);
            }
            Fault::SetMatrix(ref matrix) => self.matrix.clone_from(matrix),
            Fault::SetLink { from, to, value } => {
                self.matrix.set(from.index(), to.index(), value).expect("a link of the scenario, and a probability");
            }
            Fault::Damage(share) => self.damage = share,
            Fault::DelayLink { from, to, delay } => {
                self.slow.retain(|&link| link != (from, to));
                self.slow.extend(delay.map(|_| (from, to)));
            }
            Fault::KillLeader | Fault::KillNonLeader | Fault::Duplicate(_) | Fault::Host { .. } => {}
        }
    }

    /// Whether all messages arrive undamaged, and none later than the network's delay. A replica hears itself whatever the
    /// matrix says.
    fn are_whole(&self) -> bool {
        let all = || ReplicaId::all(self.matrix.replicas());
        let is_lossless = |from| all().all(|to| from == to || self.matrix.loss(from, to) == 0.0);
        !self.is_cut && self.damage == 0.0 && self.slow.is_empty() && all().all(is_lossless)
    }
}
