//! Clients of each kind against a correct server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::service::{Custom, RequestId, list_text};

/// All objects in memory, in one place: every request is applied at one moment.
#[derive(Default)]
pub(super) struct Server {
    pub values: BTreeMap<Text, Text>,
    lists: BTreeMap<Text, Vec<Text>>,
    counters: BTreeMap<Text, i64>,
    queues: BTreeMap<Text, VecDeque<Text>>,
    pub locks: BTreeMap<Text, ClientId>,
    /// The newest update of each client, and its answer.
    sessions: BTreeMap<u64, (u64, Option<Text>)>,
    /// How many updates were applied, and how many were repeated.
    pub applied: u64,
    pub repeated: u64,
}

impl Server {
    pub fn apply(&mut self, from: ClientId, operation: &Operation) -> Response {
        let value = match operation {
            Operation::Get { key } if self.lists.contains_key(key) => Some(list_text(&self.lists[key])),
            Operation::Get { key } if self.counters.contains_key(key) => Some(self.counters[key].to_string().into()),
            Operation::Get { key } => Some(self.values.get(key).cloned().unwrap_or_default()),
            Operation::Put { key, value } => {
                self.values.insert(key.clone(), value.clone());
                None
            }
            Operation::Update(update) => return self.update(update),
            Operation::Append { key, value } => {
                self.lists.entry(key.clone()).or_default().push(value.clone());
                None
            }
            Operation::Add { key, amount } => {
                *self.counters.entry(key.clone()).or_default() += amount;
                None
            }
            Operation::Enqueue { key, value } => {
                self.queues.entry(key.clone()).or_default().push_back(value.clone());
                None
            }
            Operation::Dequeue { key } => self.queues.entry(key.clone()).or_default().pop_front(),
            Operation::Acquire { key } if self.locks.contains_key(key) => None,
            Operation::Acquire { key } => {
                self.locks.insert(key.clone(), from);
                Some("token".into())
            }
            Operation::Release { key } if self.locks.get(key) == Some(&from) => {
                self.locks.remove(key);
                None
            }
            Operation::Release { .. } => Some("not yours".into()),
            Operation::Custom(custom) => custom.argument.clone(),
        };
        Response::Ok { value }
    }

    fn update(&mut self, update: &crate::service::Update) -> Response {
        if let Some(RequestId { client, number }) = update.request
            && let Some((newest, found)) = self.sessions.get(&client)
            && number <= *newest
        {
            self.repeated += 1;
            return if number == *newest { Response::Ok { value: found.clone() } } else { Response::Fail };
        }
        let present = self.values.get(&update.key).cloned().unwrap_or_default();
        let found = update.expected.as_ref().filter(|expected| **expected != present).map(|_| present);
        if found.is_none() {
            self.values.insert(update.key.clone(), update.value.clone());
            self.applied += 1;
        }
        if let Some(request) = update.request {
            self.sessions.insert(request.client, (request.number, found.clone()));
        }
        Response::Ok { value: found }
    }
}

enum Due {
    Request(Dispatch),
    Answer(Dispatch, Response),
}

/// A run against a server. Messages take a random time, and some are lost.
pub(super) struct Run {
    pub history: History,
    pub server: Server,
}

impl Run {
    /// Messages take up to `delay`, and this share of them is lost.
    pub fn new(plan: Plan, seed: u64, delay: Span, loss: f64) -> Run {
        let end = plan.start + plan.lifetime + Span::from_secs(10);
        let mut workload = Workload::new(plan, seed);
        let mut network = Stream::new(seed, "network of a test");
        let mut due = BTreeMap::<(Time, u64), Due>::new();
        let (mut server, mut sent) = (Server::default(), 0);
        loop {
            let arrival = due.keys().next().map_or(Time::NEVER, |&(time, _)| time);
            let now = arrival.min(workload.poll_due());
            if now > end {
                return Run { history: workload.take_history(), server };
            }
            let next = if now == workload.poll_due() {
                let dispatch = workload.handle_due(now, living());
                dispatch.map(Due::Request)
            } else {
                match due.pop_first().expect("something is due").1 {
                    Due::Request(dispatch) => {
                        let response = server.apply(dispatch.from, &dispatch.operation);
                        Some(Due::Answer(dispatch, response))
                    }
                    Due::Answer(dispatch, response) => {
                        let leader = Some(ReplicaId(0));
                        let answered =
                            workload.handle_answer(now, dispatch.from, dispatch.mid, leader, &response, living());
                        answered.again.map(Due::Request)
                    }
                }
            };
            let Some(next) = next else { continue };
            sent += 1;
            let at = now + Span(1 + network.below(delay.nanos()));
            if !network.chance(loss) {
                due.insert((at, sent), next);
            }
        }
    }
}

pub(super) fn plan_of(kind: Kind, requests: u64) -> Plan {
    Plan { kind, requests, ..plan(0.5, Keys::Private) }
}

const DELAY: Span = Span::from_millis(20);

fn all_kinds() -> Vec<(Kind, &'static [&'static str])> {
    vec![
        (Kind::Kv { keys: Keys::Shared { count: 3 }, updates: false }, &["get", "put"]),
        (Kind::Kv { keys: Keys::Private, updates: true }, &["get", "update"]),
        (Kind::Cas { count: 3, updates: false }, &["get", "put", "update"]),
        (Kind::Cas { count: 3, updates: true }, &["get", "update"]),
        (Kind::List { count: 3 }, &["append", "get"]),
        (Kind::Counter { count: 3 }, &["add", "get"]),
        (Kind::Queue { count: 3 }, &["dequeue", "enqueue"]),
        (Kind::Lock { count: 3, hold_max: Span::from_secs(1) }, &["acquire", "release"]),
    ]
}

#[test]
fn every_kind_sends_all_of_its_operations_and_no_other_and_knows_them() {
    for (kind, expected) in all_kinds() {
        for seed in 0..20 {
            let Run { history, .. } = Run::new(plan_of(kind.clone(), 300), seed, DELAY, 0.0);
            let names: BTreeSet<&str> = history.attempts.iter().map(|attempt| attempt.operation.name()).collect();
            assert_eq!(names.into_iter().collect::<Vec<_>>(), expected, "seed {seed}");
            assert!(history.attempts.iter().all(|attempt| kind.knows(&attempt.operation)));
            assert_eq!(history.unanswered().total(), 0);
            assert_eq!(history.attempts.len() as u64 + history.idle, 300);
        }
    }
}

#[test]
fn every_value_of_a_run_is_written_once() {
    for (kind, _) in all_kinds() {
        // A client's own key gets the MD5 of the value that it holds.
        if matches!(kind, Kind::Kv { keys: Keys::Private, .. }) {
            continue;
        }
        for seed in 0..20 {
            let Run { history, .. } = Run::new(plan_of(kind.clone(), 300), seed, DELAY, 0.0);
            let values = history.attempts.iter().filter_map(|attempt| attempt.operation.value());
            let mut values: Vec<&Text> = values.filter(|value| !value.is_empty()).collect();
            let count = values.len();
            values.sort();
            values.dedup();
            assert_eq!(values.len(), count, "{kind:?}, seed {seed}");
        }
    }
}

#[test]
fn a_run_of_any_kind_is_the_same_again_and_as_a_list_of_operations() {
    for (kind, _) in all_kinds() {
        for (patience, loss) in
            [(None, 0.0), (Some(Patience { timeout: Span::from_millis(30), retries: 2 }), 0.2), (None, 0.2)]
        {
            let plan = Plan { patience, ..plan_of(kind.clone(), 200) };
            let once = Run::new(plan.clone(), 5, DELAY, loss).history;
            assert_eq!(Run::new(plan.clone(), 5, DELAY, loss).history, once);
            assert_ne!(Run::new(plan.clone(), 6, DELAY, loss).history, once);
            let operations = plan.script(&once);
            assert_eq!(operations.len() as u64, once.requests().total());
            let requests = operations.len() as u64;
            let kind = plan.kind.clone().with_operations(&operations, 3);
            assert_eq!(kind.name(), plan.kind.name());
            let scripted = Plan { requests, kind, operations: Some(operations.into()), ..plan };
            let again = Run::new(scripted, 5, DELAY, loss).history;
            assert_eq!(again.attempts, once.attempts, "{}", again.attempts.len());
        }
    }
}

#[test]
fn answers_to_other_clients_do_not_change_the_requests_of_a_client() {
    // One run in which client 0 is answered alone, and one in which all are.
    for (kind, _) in all_kinds() {
        // The course's values for shared keys are numbers of attempts.
        if matches!(kind, Kind::Kv { .. }) {
            continue;
        }
        let asked = |answers: &dyn Fn(usize) -> bool| {
            let mut workload = Workload::new(plan_of(kind.clone(), 300), 7);
            let (mut server, mut asked) = (Server::default(), Vec::new());
            while workload.poll_due() != Time::NEVER {
                let Some(dispatch) = workload.handle_due(workload.poll_due(), living()) else { continue };
                let client = dispatch.from.number(LIVING).unwrap();
                if client == 0 {
                    asked.push(dispatch.operation.clone());
                }
                if answers(client) {
                    // All others ask another server, so that client 0 sees the same answers.
                    let response = match client {
                        0 => server.apply(dispatch.from, &dispatch.operation),
                        _ => Server::default().apply(dispatch.from, &dispatch.operation),
                    };
                    answer(&mut workload, &dispatch, response);
                }
            }
            asked
        };
        let alone = asked(&|client| client == 0);
        assert!(alone.len() > 10);
        assert_eq!(alone, asked(&|_| true), "{kind:?}");
    }
}

#[test]
fn compare_and_swap_mostly_expects_the_value_that_the_client_saw_last_and_sometimes_fails() {
    let (mut done, mut found, mut deletes) = (0, 0, 0);
    for seed in 0..20 {
        let Run { history, .. } = Run::new(plan_of(Kind::Cas { count: 2, updates: false }, 300), seed, DELAY, 0.0);
        for Attempt { operation, answer, .. } in &history.attempts {
            if let (Operation::Update(update), Some((_, Outcome::Ok(value)))) = (operation, answer) {
                deletes += u64::from(update.expected.is_none() && update.value.is_empty());
                let counter = if value.is_none() { &mut done } else { &mut found };
                *counter += u64::from(update.expected.is_some());
            }
        }
    }
    // Of 6,000 requests half are writes, and 6 of 10 writes swap.
    assert!((1_700..1_900).contains(&(done + found)), "{done} + {found}");
    assert!(done > 300 && found > 300, "{done} done, {found} not");
    assert!((500..700).contains(&deletes), "{deletes}");
}

#[test]
fn names_of_updates_ascend_and_one_is_under_way_at_a_time() {
    for (kind, _) in all_kinds().into_iter().filter(|(kind, _)| kind.has_updates()) {
        for seed in 0..20 {
            // Answers take long, so that requests of one client overlap.
            let Run { history, .. } = Run::new(plan_of(kind.clone(), 300), seed, Span::from_secs(1), 0.0);
            let mut newest = BTreeMap::<u64, (u64, Time, ClientId)>::new();
            let mut sessions = BTreeSet::new();
            for attempt in &history.attempts {
                let Operation::Update(update) = &attempt.operation else { continue };
                let RequestId { client, number } = update.request.expect("every write has a name");
                let answered = attempt.answer.as_ref().map_or(Time::NEVER, |&(time, _)| time);
                if let Some(&(before, until, who)) = newest.get(&client) {
                    assert!(number == before + 1 && attempt.sent >= until && attempt.client == who);
                } else {
                    assert_eq!(number, 1);
                }
                newest.insert(client, (number, answered, attempt.client));
                sessions.insert(client);
            }
            assert!(sessions.len() > CLIENTS, "some clients began anew");
            assert!(newest.values().any(|&(number, ..)| number > 1), "some went on");
        }
    }
}

#[test]
fn lock_clients_hold_their_locks_as_long_as_they_want_and_release_them() {
    let (mut granted, mut refused, mut idle) = (0, 0, 0);
    for seed in 0..20 {
        let kind = Kind::Lock { count: 2, hold_max: Span::from_secs(5) };
        let Run { history, server } = Run::new(plan_of(kind, 400), seed, DELAY, 0.0);
        idle += history.idle;
        let mut holds = BTreeMap::<ClientId, (Text, Time)>::new();
        for Attempt { client, operation, answer, sent, .. } in &history.attempts {
            let Some((time, Outcome::Ok(value))) = answer else { panic!("every request is answered") };
            match operation {
                Operation::Acquire { key } => {
                    assert!(!holds.contains_key(client), "a client wants one lock at a time");
                    if value.is_some() {
                        granted += 1;
                        holds.insert(*client, (key.clone(), *time));
                    } else {
                        refused += 1;
                    }
                }
                Operation::Release { key } => {
                    // An acquire may have been in flight when the next request was due.
                    if let Some((held, since)) = holds.remove(client) {
                        assert_eq!(held, *key);
                        assert!(*sent < since || value.is_none(), "the client had it");
                    }
                }
                other => panic!("{other:?} is not for locks"),
            }
        }
        // A client that holds a lock at the end had no request left.
        assert!(server.locks.values().all(|client| holds.contains_key(client)));
    }
    assert!(granted > 300 && refused > 500 && idle > 500, "{granted} granted, {refused} refused, {idle} left out");
}

#[test]
fn locks_become_free_again_although_messages_are_lost() {
    for seed in 0..20 {
        let kind = Kind::Lock { count: 1, hold_max: Span::ZERO };
        let patience = Some(Patience { timeout: Span::from_millis(50), retries: 0 });
        let plan = Plan { patience, ..plan_of(kind, 1_000) };
        let Run { history, .. } = Run::new(plan.clone(), seed, DELAY, 0.3);
        let granted = history.attempts.iter().filter(|attempt| {
            matches!(attempt.operation, Operation::Acquire { .. })
                && matches!(attempt.answer, Some((time, Outcome::Ok(Some(_)))) if time > plan.start + Span::from_secs(25))
        });
        assert!(granted.count() > 0, "seed {seed}: no client gets the lock any more");
    }
}

/// A semaphore: a client enters, and leaves with its next request.
#[derive(Default)]
struct Visitor {
    inside: bool,
    lessons: u64,
}

impl Generator for Visitor {
    fn next(&mut self, turn: &mut Turn) -> Option<Operation> {
        let name = if self.inside { "leave" } else { "enter" };
        let argument = Some(format!("{} {}", turn.number, self.lessons).into());
        Some(Operation::Custom(Custom { name: name.into(), key: "room".into(), argument }.into()))
    }

    fn learn(&mut self, lesson: &Lesson<'_>) {
        let Operation::Custom(custom) = lesson.operation else { panic!("it asks nothing else") };
        let expected = format!("{} {}", lesson.number, self.lessons);
        assert_eq!(custom.argument.as_deref(), Some(&*expected));
        self.inside = &*custom.name == "enter";
        self.lessons += 1;
    }
}

#[test]
fn a_custom_kind_draws_its_operations_and_learns_their_outcomes() {
    let plan = plan_of(Kind::custom("semaphore", |_client| Visitor::default()), 200);
    let Run { history, .. } = Run::new(plan.clone(), 1, Span::from_micros(10), 0.0);
    assert_eq!(history.completed().total(), 200);
    for client in 0..CLIENTS {
        let from = ClientId::numbered(client, LIVING);
        let own = history.attempts.iter().filter(|attempt| attempt.client == from);
        let names: Vec<&str> = own.map(|attempt| attempt.operation.name()).collect();
        assert!(names.chunks(2).all(|pair| pair[0] == "enter" && pair.get(1).is_none_or(|name| *name == "leave")));
    }
    let operations = plan.script(&history);
    assert_eq!(Kind::of(&operations, 1), None, "its name does not follow from its operations");
    let scripted = plan.kind.clone().with_operations(&operations, 1);
    assert_eq!(scripted, Kind::Custom(CustomKind::named("semaphore")));
    assert_ne!(scripted, plan.kind);
    assert_eq!(plan.kind.clone(), plan.kind);
}
