//! Clients that abandon attempts, and operations that are aimed.

use super::kinds::{Run, plan_of};
use super::*;
use crate::chaos::Target;

const TIMEOUT: Span = Span::from_millis(250);

fn impatient(retries: u32, requests: u64) -> Plan {
    let kind = Kind::Kv { keys: Keys::Shared { count: 2 }, updates: false };
    Plan { patience: Some(Patience { timeout: TIMEOUT, retries }), mix: 0.0, ..plan_of(kind, requests) }
}

#[test]
fn an_attempt_that_takes_too_long_is_repeated_at_another_replica_as_often_as_is_allowed() {
    for seed in 0..50 {
        let plan = impatient(2, 1);
        let mut workload = Workload::new(plan.clone(), seed);
        let mut dispatches = Vec::new();
        while workload.poll_due() != Time::NEVER {
            let due = workload.poll_due();
            assert!(workload.handle_due(due - Span(1), living()).is_none());
            dispatches.extend(workload.handle_due(due, living()));
        }
        let attempts = &workload.history().attempts;
        let expected: Vec<(Time, Option<Mid>)> = vec![
            (plan.start, None),
            (plan.start + TIMEOUT, Some(Mid(0))),
            (plan.start + TIMEOUT + TIMEOUT, Some(Mid(1))),
        ];
        assert_eq!(attempts.iter().map(|one| (one.sent, one.retry_of)).collect::<Vec<_>>(), expected);
        assert!(attempts.windows(2).all(|pair| pair[0].replica != pair[1].replica));
        assert!(attempts.iter().all(|attempt| attempt.operation == attempts[0].operation && attempt.answer.is_none()));
        assert_eq!(dispatches.len(), 3);
        assert_eq!(workload.history().requests().total(), 1);
    }
}

#[test]
fn an_answer_in_time_ends_the_wait_and_a_redirect_begins_a_new_one() {
    let mut workload = Workload::new(impatient(5, 1), 7);
    let first = next(&mut workload);
    let sent = workload.history().attempts[0].sent;
    let later = sent + Span::from_millis(200);
    let again = workload.handle_answer(later, first.from, first.mid, Some(ReplicaId(3)), &Response::Redirect, living());
    let again = again.again.expect("another attempt");
    assert_eq!(workload.poll_due(), later + TIMEOUT);
    workload.handle_answer(later + Span(1), again.from, again.mid, None, &ok(None), living());
    assert_eq!(workload.poll_due(), Time::NEVER);
    assert_eq!(workload.history().attempts.len(), 2);
}

#[test]
fn a_late_answer_is_recorded_with_its_time_and_repeats_nothing() {
    for late in [Response::Redirect, Response::Fail, ok(None)] {
        let mut workload = Workload::new(impatient(1, 1), 7);
        let first = next(&mut workload);
        let second = next(&mut workload);
        assert_eq!(second.operation, first.operation);
        let now = workload.history().attempts[1].sent + Span(5);
        let reaction = workload.handle_answer(now, first.from, first.mid, None, &late, living());
        assert_eq!(reaction, Reaction::default(), "{late:?}");
        assert_eq!(workload.history().attempts[0].answer.as_ref().unwrap().0, now);
        // Only a late `ok` ends the wait for the second attempt.
        assert_eq!(workload.poll_due() == Time::NEVER, late == ok(None), "{late:?}");
        let reaction = workload.handle_answer(now, second.from, second.mid, None, &ok(None), living());
        assert_eq!((reaction, workload.poll_due()), (Reaction::default(), Time::NEVER));
        assert_eq!(workload.history().completed().total(), if late == ok(None) { 2 } else { 1 });
        assert_eq!((workload.history().unknown, workload.history().duplicates), (0, 0));
    }
}

#[test]
fn an_abandoned_request_is_not_repeated_after_a_late_failure() {
    let mut workload = Workload::new(impatient(0, 1), 7);
    let first = next(&mut workload);
    assert!(workload.handle_due(workload.poll_due(), living()).is_none());
    assert_eq!(workload.poll_due(), Time::NEVER);
    let now = Time(9_000_000_000);
    let reaction = workload.handle_answer(now, first.from, first.mid, None, &Response::Fail, living());
    assert_eq!(reaction, Reaction::default());
    assert_eq!(workload.history().attempts.len(), 1);
}

#[test]
fn a_leader_that_does_not_answer_is_forgotten_and_the_only_living_replica_is_asked_again() {
    let mut workload = Workload::new(impatient(1, 300), 7);
    for _ in 0..100 {
        let dispatch = next(&mut workload);
        let now = workload.history().attempts.last().unwrap().sent;
        workload.handle_answer(now, dispatch.from, dispatch.mid, Some(ReplicaId(2)), &ok(None), living());
    }
    let request = next(&mut workload);
    assert_eq!(request.to, ReplicaId(2));
    while workload.history().attempts.last().unwrap().retry_of != Some(request.mid) {
        next(&mut workload);
    }
    assert_ne!(workload.history().attempts.last().unwrap().replica, ReplicaId(2));

    let alone: ReplicaSet = [ReplicaId(4)].into_iter().collect();
    let mut workload = Workload::new(impatient(1, 1), 7);
    let asked = [(); 2].map(|()| workload.handle_due(workload.poll_due(), alone).expect("an attempt").to);
    assert_eq!(asked, [ReplicaId(4); 2]);
}

#[test]
fn updates_that_are_sent_again_have_the_same_name_and_are_applied_once() {
    let (mut repeated, mut late, mut given_up) = (0, 0, 0_usize);
    for seed in 0..30 {
        let patience = Some(Patience { timeout: Span::from_millis(30), retries: 3 });
        let kind = Kind::Cas { count: 3, updates: true };
        let Run { history, server } = Run::new(Plan { patience, ..plan_of(kind, 300) }, seed, TIMEOUT, 0.1);
        repeated += server.repeated;
        let mut updates = std::collections::BTreeMap::new();
        for attempt in &history.attempts {
            let Operation::Update(update) = &attempt.operation else { continue };
            let name = update.request.map(|name| (name.client, name.number)).expect("every write has a name");
            let first = updates.entry(name).or_insert(update);
            assert_eq!(*first, update, "what has one name is one update");
            let is_late =
                attempt.answer.as_ref().is_some_and(|(time, _)| time.since(attempt.sent) > Span::from_millis(30));
            late += u64::from(is_late);
        }
        assert!(server.applied <= updates.len() as u64, "{} of {}", server.applied, updates.len());
        given_up += history.attempts.iter().filter(|attempt| attempt.answer.is_none()).count();
    }
    assert!(repeated > 1_000 && late > 1_000 && given_up > 1_000, "{repeated}, {late}, {given_up}");
}

#[test]
fn clients_without_patience_are_never_due_because_of_an_answer() {
    let mut workload = Workload::new(Plan { patience: None, ..impatient(1, 1) }, 7);
    next(&mut workload);
    assert_eq!(workload.poll_due(), Time::NEVER);
}

fn aimed(aim: Option<Target>, count: usize) -> Workload {
    let operation = Operation::Put { key: "k".into(), value: "v".into() };
    let operations = vec![ScriptedOperation { time: Span::ZERO, client: 3, aim, operation }; count];
    Workload::new(with_operations(operations), 7)
}

#[test]
fn an_aimed_operation_goes_where_it_is_aimed_and_its_retry_where_the_client_wants() {
    let mut workload = aimed(Some(Target::Replica(ReplicaId(4))), 3);
    // The request goes even to a dead replica, and whatever the client remembers.
    let dead = living().without(ReplicaId(4));
    let first = workload.handle_due(workload.poll_due(), dead).expect("a request");
    assert_eq!(first.to, ReplicaId(4));
    let now = workload.poll_due();
    let leader = Some(ReplicaId(1));
    let again = workload.handle_answer(now, first.from, first.mid, leader, &Response::Redirect, living());
    assert_eq!(again.again.expect("a retry").to, ReplicaId(1));
    let second = workload.handle_due(workload.poll_due(), living()).expect("a request");
    assert_eq!((second.to, second.leader), (ReplicaId(4), leader));
}

#[test]
fn an_operation_for_the_leader_or_a_follower_goes_to_the_observed_one_or_to_another() {
    let mut workload = aimed(Some(Target::Leader), 2);
    workload.observe_leader(Some(ReplicaId(2)));
    assert_eq!(next(&mut workload).to, ReplicaId(2));
    workload.observe_leader(None);
    next(&mut workload);

    let mut workload = aimed(Some(Target::Follower), 200);
    workload.observe_leader(Some(ReplicaId(2)));
    let asked: ReplicaSet = (0..100).map(|_| next(&mut workload).to).collect();
    assert_eq!(asked, living().without(ReplicaId(2)));
    workload.observe_leader(None);
    let asked: ReplicaSet = (0..100).map(|_| next(&mut workload).to).collect();
    assert_eq!(asked, living());
}

#[test]
fn a_script_of_aimed_operations_has_their_aims() {
    let operation = |aim| ScriptedOperation { aim, ..scripted(0, 1, "a", None) };
    let operations = vec![operation(Some(Target::Leader)), operation(None), operation(Some(Target::Follower))];
    let plan = with_operations(operations.clone());
    let mut workload = Workload::new(plan.clone(), 7);
    (0..3).for_each(|_| drop(next(&mut workload)));
    assert_eq!(plan.script(workload.history()), operations);
}
