//! Grow-only counters that every replica adds to by itself (a state-based CRDT: Shapiro et al. 2011, "A comprehensive study
//! of convergent and commutative replicated data types", specification 6).
//!
//! A replica keeps what each replica has added, as far as it knows, and now and then sends all of it to another one,
//! which takes the larger number of each. So copies that come late, twice or not at all do no harm, and once messages get
//! through all replicas agree.
//!
//! Reads may be old: this is *eventual* consistency, and no order of all operations has to explain the answers
//! ([`Subject::specification`] says none). [`Convergence`] is what is demanded instead.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use seedbed::prelude::*;

/// The protocol, and how copies are merged.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrowOnlyCounter {
    /// What a replica does with a copy of another one's counts.
    pub merge: Merge,
}

/// What a replica does with a copy of another one's counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// It takes the larger number of each.
    #[default]
    Larger,
    /// It adds them up: what comes twice counts twice.
    Sum,
    /// It takes the copy in place of its own counts: what the copy lacks is lost.
    Replace,
}

impl Subject for GrowOnlyCounter {
    type Machine = Replica;

    fn name(&self) -> &'static str {
        "grow-only-counter"
    }

    fn summary(&self) -> &'static str {
        "Counters that gossip what each replica has added"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Replica, Exit> {
        Ok(Replica::new(boot.identity, *self))
    }

    fn workload(&self) -> workload::Kind {
        workload::Kind::custom("grow-only-counter", |_| Adder)
    }

    fn specification(&self, _: &Scenario) -> Option<&'static dyn AnySpecification> {
        None
    }

    fn checks(&self) -> Vec<Box<dyn Check<Replica>>> {
        vec![Box::new(Convergence::default())]
    }

    fn tolerates(&self) -> Tolerance {
        Tolerance { kills: false, ..Tolerance::of::<Infallible>() }
    }

    fn mutants(&self) -> Vec<Mutant> {
        let sum = GrowOnlyCounter { merge: Merge::Sum };
        let replace = GrowOnlyCounter { merge: Merge::Replace };
        vec![
            Mutant::new("take-the-larger", "adds up copies in place of taking the larger number", sum),
            Mutant::new("keep-what-a-copy-lacks", "takes a copy in place of its own counts", replace),
        ]
    }
}

/// How often a replica sends what it knows.
const GOSSIP: Span = Span::from_millis(100);

/// A client: adds a small number, or reads.
struct Adder;

impl Generator for Adder {
    fn next(&mut self, turn: &mut Turn) -> Option<Operation> {
        let key = turn.object("counter", 2);
        Some(match turn.read {
            true => Operation::Get { key },
            false => Operation::Add { key, amount: turn.random.between(1, 9) as i64 },
        })
    }
}

/// What each replica has added to each counter, by the place of the replica.
type Counts = BTreeMap<Text, Vec<i64>>;

/// One replica.
#[derive(Debug)]
pub struct Replica {
    me: Identity,
    rules: GrowOnlyCounter,
    random: Stream,
    counts: Counts,
    gossip_at: Time,
}

impl Replica {
    fn new(me: Identity, rules: GrowOnlyCounter) -> Replica {
        let random = Stream::link(me.seed, "gossip", me.id.index() as u64, 0);
        Replica { me, rules, random, counts: Counts::new(), gossip_at: Time::ZERO + GOSSIP }
    }

    fn value(&self, key: &str) -> i64 {
        self.counts.get(key).map_or(0, |counts| counts.iter().sum())
    }

    fn counts_of(&mut self, key: &Text) -> &mut Vec<i64> {
        self.counts.entry(key.clone()).or_insert_with(|| vec![0; self.me.replicas])
    }

    fn handle_request(&mut self, from: ClientId, mid: Mid, operation: &Operation, out: &mut Outbox<Replica>) {
        let value = match operation {
            Operation::Get { key } => Some(self.value(key).to_string().into()),
            Operation::Add { key, amount } if *amount >= 0 => {
                let own = self.me.id.index();
                self.counts_of(key)[own] += amount;
                None
            }
            _ => return out.reply(from, mid, Response::Fail),
        };
        out.reply(from, mid, Response::Ok { value });
    }

    fn merge(&mut self, copy: Counts) {
        let rule = self.rules.merge;
        if rule == Merge::Replace {
            self.counts.clear();
        }
        for (key, counts) in copy {
            for (own, other) in self.counts_of(&key).iter_mut().zip(counts) {
                *own = if rule == Merge::Sum { *own + other } else { other.max(*own) };
            }
        }
    }

    fn gossip(&mut self, now: Time, out: &mut Outbox<Replica>) {
        let step = self.random.between(1, self.me.replicas as u64 - 1) as usize;
        let to = ReplicaId(((self.me.id.index() + step) % self.me.replicas) as u8);
        out.send(to, self.counts.clone());
        self.gossip_at = now + GOSSIP;
    }
}

impl Machine for Replica {
    type Message = Counts;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Replica>, out: &mut Outbox<Replica>) {
        match input {
            Input::Client { from, mid, request } => self.handle_request(from, mid, &request, out),
            Input::Peer { message, .. } => self.merge(message),
            Input::Timeout if now >= self.gossip_at => self.gossip(now, out),
            Input::Timeout | Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
        }
    }

    fn poll_timeout(&self) -> Time {
        self.gossip_at
    }
}

impl Service for Replica {
    fn leader(&self) -> Option<ReplicaId> {
        None
    }
}

/// What is demanded of eventual counters: no read is above what was added by then, and in the end, when messages get through
/// again, all replicas agree on what was added.
#[derive(Debug, Default)]
pub struct Convergence {
    /// What each replica had when it was last looked at.
    values: Vec<BTreeMap<Text, i64>>,
}

impl Convergence {
    fn value(&self, replica: ReplicaId, key: &Text) -> i64 {
        self.values.get(replica.index()).and_then(|values| values.get(key)).copied().unwrap_or(0)
    }
}

impl Observer<Replica> for Convergence {
    fn handled(&mut self, scene: &Scene<'_, Replica>, replica: ReplicaId) {
        self.values.resize(scene.replicas.len(), BTreeMap::new());
        let watched = &scene.replicas[replica.index()];
        self.values[replica.index()] =
            watched.counts.iter().map(|(key, counts)| (key.clone(), counts.iter().sum())).collect();
    }
}

impl Check<Replica> for Convergence {
    fn judge(&mut self, evidence: &Evidence<'_>) -> Opinion {
        const CHECKER: Checker = Checker::named("convergence");
        let (record, attempts) = (evidence.record, &evidence.record.history.attempts);
        // What was added to a counter by some time, at least and at most: an addition without an answer may be done.
        let added = |key: &Text, by: Time| {
            let adds = attempts.iter().filter(|attempt| attempt.operation.key() == key && attempt.sent <= by);
            adds.map(amount).fold((0, 0), |sum, add| (sum.0 + add.0, sum.1 + add.1))
        };
        let mut opinion = Opinion::new(CHECKER, "Convergence", "ok", "all replicas have what was added");
        let mut find = |kind: &str, text: String| opinion.findings.push(Finding::new(CHECKER, kind, text));
        for attempt in attempts {
            let Some((time, Outcome::Ok(Some(text)))) = &attempt.answer else { continue };
            let (key, most) = (attempt.operation.key(), added(attempt.operation.key(), *time).1);
            if text.parse().map_or(true, |value: i64| value > most) {
                find(
                    "too much",
                    format!("client {} read {text} of {key} at {time}, of at most {most}", attempt.client),
                );
                break;
            }
        }
        // Messages get through from then on, and each replica hears of all others within seconds.
        if record.calm.is_some_and(|calm| record.end.since(calm) > Span::from_secs(10)) {
            let keys: BTreeSet<&Text> = attempts.iter().map(|attempt| attempt.operation.key()).collect();
            for key in keys {
                let values: Vec<i64> = record.able.iter().map(|id| self.value(id, key)).collect();
                let (lowest, highest) =
                    (values.iter().min().copied().unwrap_or(0), values.iter().max().copied().unwrap_or(0));
                let (least, most) = added(key, record.end);
                if lowest < highest || lowest < least || highest > most {
                    let has = format!("replicas have from {lowest} to {highest} of {key}");
                    find("no convergence", format!("in the end {has}, and from {least} to {most} was added"));
                    break;
                }
            }
        }
        if let Some(finding) = opinion.findings.first() {
            (opinion.word, opinion.remark) = ("violation", finding.text.clone());
        }
        opinion
    }
}

/// What an attempt adds, at least and at most.
fn amount(attempt: &Attempt) -> (i64, i64) {
    match (&attempt.operation, &attempt.answer) {
        (Operation::Add { amount, .. }, Some((_, Outcome::Ok(_)))) => (*amount, *amount),
        (Operation::Add { amount, .. }, None) => (0, *amount),
        _ => (0, 0),
    }
}
