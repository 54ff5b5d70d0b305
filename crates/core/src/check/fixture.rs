//! A scenario and runs made by hand, for tests of checkers and reports: the handout's sample output.

use super::{Judgement, Opinion, raft};
use crate::chaos::{ConnectivityMatrix, Rulebook};
use crate::id::{ClientId, Mid, ReplicaId};
use crate::record::{Attempt, Belief, History, Outcome, RunRecord, StrayAnswers, World};
use crate::scenario::{Benchmarks, Network, Scenario, Tests};
use crate::service::Operation;
use crate::time::{Span, Time};

/// A scenario under which the handout's sample scores get the sample's results.
pub fn scenario() -> Scenario {
    Scenario {
        name: "sample".to_owned(),
        replicas: 5,
        rules: Rulebook::Handout,
        wait: None,
        lifetime: Span::from_secs(30),
        end_wait: Span::from_secs(2),
        requests: 100,
        burst: 1,
        mix: 0.6,
        seed: None,
        matrix: ConnectivityMatrix::uniform(5, 0.0).unwrap(),
        links: Vec::new(),
        duplicate: 0.0,
        damage: 0.0,
        disk: None,
        network: Network::default(),
        kind: None,
        process: crate::scenario::ProcessModel::default(),
        patience: None,
        operations: None,
        max_packets: 20_000,
        events: Vec::new(),
        losses: Vec::new(),
        tests: Tests {
            maximum_get_fail_fraction: 0.5,
            maximum_put_fail_fraction: 0.5,
            maximum_get_generation_fail_fraction: 0.1,
            maximum_appends_batched_fraction: 0.5,
            benchmarks: Benchmarks {
                total_msgs: [100.0, 500.0, 1_000.0],
                failures: [10.0, 60.0, 100.0],
                duplicates: [0.0, 2.0, 4.0],
                median_latency: [0.0002, 0.005, 0.05],
            },
        },
    }
}

/// The observed leader, from the start on.
fn belief(leader: Option<ReplicaId>) -> Belief {
    Belief { since: Time::ZERO, leader }
}

/// The run of the handout's second sample, which passes.
pub fn record() -> RunRecord {
    let gets = Answers { generated: 60, unanswered: 0, failed: 15, redirected: 12 };
    let puts = Answers { generated: 40, unanswered: 3, failed: 31, redirected: 7 };
    RunRecord {
        world: World::Virtual,
        seed: 7,
        leaders: [None, Some(ReplicaId(1)), None, Some(ReplicaId(3))].map(belief).to_vec(),
        struck: Vec::new(),
        died: 0,
        killed: 2,
        sent: 6_370,
        dropped: 183,
        malformed: 0,
        complaints: Vec::new(),
        history: History { duplicates: 3, ..history(gets, puts) },
        stray_answers: StrayAnswers::default(),
        packet_storm: false,
        request_storm: false,
        obstacle: None,
        unfaithful: Vec::new(),
        lag: Span::ZERO,
        end: Time::ZERO + Span::from_secs(34),
        living: [0, 2, 4].into_iter().map(ReplicaId).collect(),
        able: [0, 2, 4].into_iter().map(ReplicaId).collect(),
        connected: [0, 2, 4].into_iter().map(ReplicaId).collect(),
        served: [0, 2, 4].into_iter().map(ReplicaId).collect(),
        outages: Vec::new(),
        calm: None,
        events: 12_345,
        trace: Some(0x0123_4567_89AB_CDEF),
    }
}

/// A judgement with this opinion in place of that of the same checker.
pub fn with(mut judgement: Judgement, opinion: Opinion) -> Judgement {
    for own in judgement.opinions.iter_mut().filter(|own| own.checker == opinion.checker) {
        *own = opinion.clone();
    }
    judgement
}

/// The opinion of the checker of Raft's invariants after this many changes. A violation has a name, a time and an
/// explanation.
pub fn invariants(changes: u64, terms: usize, violation: Option<(&'static str, Time, &str)>) -> Opinion {
    let broken = violation.map(|(name, time, what)| raft::BrokenInvariant { name, time, what });
    raft::opinion("Raft invariants", changes, Some(terms), broken)
}

/// The run of the handout's first sample, which fails.
pub fn failed_record() -> RunRecord {
    let gets = Answers { generated: 60, unanswered: 33, failed: 15, redirected: 12 };
    let puts = Answers { generated: 40, unanswered: 3, failed: 31, redirected: 7 };
    let history = History { duplicates: 3, incorrect_gets: 5, unknown: 2, ..history(gets, puts) };
    RunRecord { history, ..record() }
}

/// How requests of one kind are answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    /// Requests that clients begin with.
    pub generated: u64,
    /// Requests that end without an answer; all others end with `ok`.
    pub unanswered: u64,
    /// Attempts answered with `fail`; each is followed by another one.
    pub failed: u64,
    /// Attempts answered with `redirect`; each is followed by another one.
    pub redirected: u64,
}

/// A history with these answers, each of which took 100 microseconds.
pub fn history(gets: Answers, puts: Answers) -> History {
    let mut history = History::default();
    let (key, value) = ("key".into(), "value".into());
    push(&mut history, &Operation::Get { key }, gets);
    push(&mut history, &Operation::Put { key: "key".into(), value }, puts);
    history
}

fn push(history: &mut History, operation: &Operation, answers: Answers) {
    let again = answers.failed + answers.redirected;
    for i in 0..answers.generated + again {
        let outcome = match i {
            _ if i < answers.failed => Some(Outcome::Fail),
            _ if i < again => Some(Outcome::Redirect),
            _ if i < again + answers.unanswered => None,
            _ => Some(Outcome::Ok(operation.is_get().then(|| "value".into()))),
        };
        history.attempts.push(Attempt {
            client: ClientId(21),
            replica: ReplicaId(0),
            operation: operation.clone(),
            sent: Time::ZERO,
            retry_of: (i >= answers.generated).then_some(Mid(0)),
            answer: outcome.map(|outcome| (Time::ZERO + Span::from_micros(100), outcome)),
        });
    }
}
