//! Workloads of other kinds than the course's in whole runs.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use crate::common::{boot, scenario, suite};
use seedbed::check::linear::AnySpecification;
use seedbed::check::{Checker, Judgement};
use seedbed::id::{ClientId, ReplicaId};
use seedbed::lab::Subject;
use seedbed::machine::{Boot, Exit, Identity, Input, Machine, Outbox};
use seedbed::record::{History, Outcome, RunRecord};
use seedbed::scenario::{Delay, Network, Order, Scenario};
use seedbed::service::{Custom, Operation, Response, Service, Text};
use seedbed::time::{Span, Time};
use seedbed::workload::{Generator, Keys, Kind, Lesson, Patience, Turn};
use seedbed::world::simulation::{simulate, simulate_booting};

/// Clients of this kind that give up after 60 ms, in a cluster that loses messages and replicas.
fn impatient(kind: Kind) -> Scenario {
    let patience = Some(Patience { timeout: Span::from_millis(60), retries: 4 });
    Scenario { kind: Some(kind), patience, mix: 0.2, requests: 600, ..suite("advanced-2") }
}

fn raft(scenario: &Scenario, seed: u64) -> RunRecord {
    simulate_booting(scenario, seed, (), boot)
}

/// How often a value was swapped out that had been swapped out before. All values of a run are different, so that is
/// never if each write is applied once.
fn swapped_out_again(history: &History) -> usize {
    let mut swapped = BTreeMap::<&Text, BTreeSet<&Text>>::new();
    for attempt in &history.attempts {
        let (Operation::Update(update), Some((_, Outcome::Ok(None)))) = (&attempt.operation, &attempt.answer) else {
            continue;
        };
        if let Some(expected) = update.expected.as_ref().filter(|expected| !expected.is_empty()) {
            swapped.entry(expected).or_default().insert(&update.value);
        }
    }
    swapped.values().filter(|by| by.len() > 1).count()
}

/// How many requests were sent again because nothing was heard of them.
fn timed_out(history: &History) -> usize {
    let mut retries =
        history.attempts.iter().filter_map(|attempt| Some((attempt, history.attempt(attempt.retry_of?)?)));
    let late = |(retry, first): &(&seedbed::record::Attempt, &seedbed::record::Attempt)| {
        first.answer.as_ref().is_none_or(|(time, _)| *time > retry.sent)
    };
    retries.by_ref().filter(late).count()
}

#[test]
fn raft_applies_named_updates_once_and_others_as_often_as_they_arrive() {
    let run = |updates| {
        let (mut again, mut repeated) = (0, 0);
        for seed in 0..10 {
            // Messages overtake each other, so that an attempt that timed out may arrive long after the next one.
            let delay = Delay::Exponential { floor: Span::from_millis(1), mean: Span::from_millis(20) };
            let network = Network::Links { delay, order: Order::Any };
            let scenario = Scenario { network, requests: 2_000, ..impatient(Kind::Cas { count: 1, updates }) };
            let record = raft(&scenario, seed);
            assert!(!record.request_storm);
            again += swapped_out_again(&record.history);
            repeated += timed_out(&record.history);
        }
        assert!(repeated > 100, "{repeated} requests were repeated");
        again
    };
    assert_eq!(run(true), 0);
    assert!(run(false) > 0, "the test cannot see what is applied twice");
}

#[test]
fn a_run_of_raft_is_the_same_when_its_requests_are_written_down_whatever_their_kind() {
    let shared = Keys::Shared { count: 3 };
    for kind in [
        Kind::Kv { keys: shared, updates: true },
        Kind::Kv { keys: Keys::Private, updates: true },
        Kind::Kv { keys: shared, updates: false },
        Kind::Cas { count: 3, updates: false },
        Kind::Cas { count: 3, updates: true },
    ] {
        let drawn = impatient(kind);
        let record = raft(&drawn, 3);
        let script = drawn.plan().script(&record.history);
        let written = drawn.clone().with_operations(script);
        assert_eq!(written.kind().name(), drawn.kind().name());
        let again = raft(&written, 3);
        assert_eq!((again.trace, &again.history.attempts), (record.trace, &record.history.attempts));
        let text = written.to_json().to_string();
        let read = Scenario::parse(&written.name, "written.json", &text).expect("what was written").scenario;
        assert_eq!(read, written);
    }
}

/// A table of objects on replica 0. All other replicas redirect.
#[derive(Default)]
struct Table {
    id: usize,
    lists: BTreeMap<Text, Vec<Text>>,
    counters: BTreeMap<Text, i64>,
    locks: BTreeMap<Text, ClientId>,
    inside: BTreeSet<ClientId>,
}

impl Table {
    fn new(identity: Identity) -> Table {
        Table { id: identity.id.index(), ..Table::default() }
    }

    fn apply(&mut self, from: ClientId, operation: Operation) -> Option<Text> {
        let queue = |lists: &mut BTreeMap<Text, Vec<Text>>, key| {
            let queue = lists.entry(key).or_default();
            (!queue.is_empty()).then(|| queue.remove(0))
        };
        match operation {
            Operation::Append { key, value } | Operation::Enqueue { key, value } => {
                self.lists.entry(key).or_default().push(value);
                None
            }
            Operation::Dequeue { key } => queue(&mut self.lists, key),
            Operation::Add { key, amount } => {
                *self.counters.entry(key).or_default() += amount;
                None
            }
            Operation::Acquire { key } => {
                let is_free = !self.locks.contains_key(&key);
                is_free.then(|| {
                    self.locks.insert(key, from);
                    "yes".into()
                })
            }
            Operation::Release { key } => {
                let had = self.locks.get(&key) == Some(&from);
                self.locks.retain(|lock, _| !had || *lock != key);
                (!had).then(|| "no".into())
            }
            // At most two clients are inside.
            Operation::Custom(custom) if &*custom.name == "enter" => (self.inside.len() < 2).then(|| {
                self.inside.insert(from);
                "in".into()
            }),
            Operation::Custom(_) => {
                self.inside.remove(&from);
                None
            }
            Operation::Get { key } => Some(self.counters.get(&key).map_or_else(String::new, i64::to_string).into()),
            other => panic!("{other:?} is not asked here"),
        }
    }
}

impl Machine for Table {
    type Message = u64;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, _: Time, input: Input<Table>, out: &mut Outbox<Table>) {
        if let Input::Client { from, mid, request } = input {
            let answer =
                if self.id > 0 { Response::Redirect } else { Response::Ok { value: self.apply(from, request) } };
            out.reply(from, mid, answer);
        }
    }

    fn poll_timeout(&self) -> Time {
        Time::NEVER
    }
}

impl Service for Table {
    fn leader(&self) -> Option<ReplicaId> {
        Some(ReplicaId(0))
    }
}

#[test]
fn a_protocol_of_ones_own_can_serve_every_kind() {
    let base = scenario("scenarios/simple-1.json");
    for (kind, name) in [
        (Kind::List { count: 2 }, "append"),
        (Kind::Counter { count: 2 }, "add"),
        (Kind::Queue { count: 2 }, "dequeue"),
        (Kind::Lock { count: 2, hold_max: Span::from_millis(100) }, "release"),
    ] {
        let scenario = Scenario { kind: Some(kind), mix: 0.5, ..base.clone() };
        let record = simulate(&scenario, 1, Table::new);
        let requests = record.history.requests().total();
        assert_eq!(requests + record.history.idle, base.requests);
        assert_eq!(record.history.completed().total(), requests);
        assert!(record.history.attempts.iter().any(|attempt| attempt.operation.name() == name));
        assert_eq!(record.history.incorrect_gets, 0);
    }
}

/// A client of a room for two: it tries to enter until it may, and leaves with its next request.
#[derive(Default)]
struct Visitor {
    is_inside: bool,
}

impl Generator for Visitor {
    fn next(&mut self, _: &mut Turn) -> Option<Operation> {
        let name = if self.is_inside { "leave" } else { "enter" };
        Some(Operation::Custom(Custom { name: name.into(), key: "room".into(), argument: None }.into()))
    }

    fn learn(&mut self, lesson: &Lesson<'_>) {
        self.is_inside = matches!(lesson.answer, seedbed::specification::Answer::Done(Some(_)));
    }
}

#[test]
fn a_semaphore_is_a_kind_of_ones_own() {
    let kind = Kind::custom("semaphore", |_client| Visitor::default());
    let scenario = Scenario { kind: Some(kind), ..scenario("scenarios/simple-1.json") };
    assert_eq!(scenario.specification_name(), "semaphore");
    let record = simulate(&scenario, 1, Table::new);
    let (mut inside, mut refused) = (BTreeSet::new(), 0);
    for attempt in &record.history.attempts {
        match (attempt.operation.name(), &attempt.answer) {
            ("enter", Some((_, Outcome::Ok(Some(_))))) => drop(inside.insert(attempt.client)),
            ("enter", Some((_, Outcome::Ok(None)))) => refused += 1,
            ("leave", Some((_, Outcome::Ok(None)))) => assert!(inside.remove(&attempt.client), "it was inside"),
            (_, Some((_, Outcome::Redirect))) => {}
            other => panic!("{other:?}"),
        }
        assert!(inside.len() <= 2);
    }
    assert!(refused > 10);
}

/// The protocol of the table, with clients of the room, whose type has the name of a ready one.
#[derive(Clone)]
struct Room;

impl Subject for Room {
    type Machine = Table;

    fn name(&self) -> &'static str {
        "room"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Table, Exit> {
        Ok(Table::new(boot.identity))
    }

    fn workload(&self) -> Kind {
        Kind::custom("queue", |_client| Visitor::default())
    }
}

#[test]
fn only_the_subject_says_what_answers_of_a_kind_of_ones_own_are_right() {
    let scenario = Scenario { kind: Some(Room.workload()), ..scenario("scenarios/simple-1.json") };
    assert!(Room.specification(&scenario).is_none());
    let record = simulate(&scenario, 1, Table::new);
    let judgement = Judgement::of(&scenario, &record);
    assert_eq!(judgement.word(&Checker::LINEARIZABILITY), "not judged");
    assert!(judgement.findings().iter().all(|finding| finding.checker != Checker::LINEARIZABILITY));
    assert_eq!(judgement.wrong_reads(&record.history), []);
    let queue = Scenario { kind: Some(Kind::Queue { count: 2 }), ..scenario };
    assert_eq!(Room.specification(&queue).map(AnySpecification::name), Some("queue"), "a ready kind has its own");
}
