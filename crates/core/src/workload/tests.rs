mod kinds;
mod patience;

use super::*;
use crate::service::Text;

const LIVING: usize = 5;

fn plan(mix: f64, keys: Keys) -> Plan {
    let (start, lifetime) = (Time(2_000_000_000), Span::from_secs(30));
    let kind = Kind::Kv { keys, updates: false };
    Plan { replicas: LIVING, start, lifetime, requests: 300, burst: 1, mix, kind, patience: None, operations: None }
}

fn workload(mix: f64, keys: Keys) -> Workload {
    Workload::new(plan(mix, keys), 7)
}

fn living() -> ReplicaSet {
    ReplicaSet::all(LIVING)
}

fn next(workload: &mut Workload) -> Dispatch {
    let due = workload.poll_due();
    workload.handle_due(due, living()).expect("a request that is due")
}

fn answer(workload: &mut Workload, dispatch: &Dispatch, response: Response) -> Option<Dispatch> {
    let now = workload.history().attempts.last().unwrap().sent + Span(1_000);
    workload.handle_answer(now, dispatch.from, dispatch.mid, Some(dispatch.to), &response, living()).again
}

fn ok(value: Option<&str>) -> Response {
    Response::Ok { value: value.map(Text::from) }
}

#[test]
fn requests_are_sent_at_even_intervals_over_the_lifetime() {
    let mut workload = workload(0.2, Keys::Private);
    let mut times = Vec::new();
    while workload.poll_due() != Time::NEVER {
        times.push(workload.poll_due().nanos());
        assert!(workload.handle_due(workload.poll_due() - Span(1), living()).is_none());
        next(&mut workload);
    }
    let expected: Vec<u64> = (0..300).map(|i| 2_000_000_000 + i * 100_000_000).collect();
    assert_eq!(times, expected);
}

#[test]
fn a_burst_is_sent_at_the_time_of_its_first_request() {
    let times = |burst| {
        let mut workload = Workload::new(Plan { burst, requests: 10, ..plan(0.2, Keys::Private) }, 7);
        let mut times = Vec::new();
        while workload.poll_due() != Time::NEVER {
            let due = workload.poll_due();
            while workload.handle_due(due, living()).is_some() {
                times.push(due.nanos() / 1_000_000_000);
            }
        }
        times
    };
    assert_eq!(times(1), [2, 5, 8, 11, 14, 17, 20, 23, 26, 29]);
    assert_eq!(times(4), [2, 2, 2, 2, 14, 14, 14, 14, 26, 26]);
    assert_eq!(times(1_000), [2; 10]);
}

#[test]
fn bursts_move_requests_and_change_none() {
    let sequence = |burst| {
        let mut workload = Workload::new(Plan { burst, ..plan(0.5, Keys::Shared { count: 9 }) }, 7);
        (0..300).map(|_| next(&mut workload)).collect::<Vec<_>>()
    };
    assert_eq!(sequence(1), sequence(64));
}

fn scripted(time: u64, client: usize, key: &str, value: Option<&str>) -> ScriptedOperation {
    let key = Text::from(key);
    let operation = match value {
        Some(value) => Operation::Put { key, value: value.into() },
        None => Operation::Get { key },
    };
    ScriptedOperation { time: Span(time), client, aim: None, operation }
}

fn with_operations(operations: Vec<ScriptedOperation>) -> Plan {
    let requests = operations.len() as u64;
    Plan { requests, operations: Some(operations.into()), ..plan(0.5, Keys::Private) }
}

#[test]
fn operations_are_sent_as_they_are_written_down() {
    let operations = vec![scripted(0, 7, "a", Some("1")), scripted(0, 0, "b", None), scripted(5, 7, "a", None)];
    let plan = with_operations(operations.clone());
    let mut workload = Workload::new(plan.clone(), 7);
    for ScriptedOperation { time, client, operation, .. } in &operations {
        assert_eq!(workload.poll_due(), plan.start + *time);
        let dispatch = next(&mut workload);
        assert_eq!((dispatch.from.number(LIVING), &dispatch.operation), (Some(*client), operation));
    }
    assert_eq!(workload.poll_due(), Time::NEVER);
    assert_eq!(workload.history().gets_not_generated, 0);
    assert_eq!(plan.script(workload.history()), operations);
}

#[test]
fn a_script_has_every_request_once_even_if_it_was_repeated_and_none_after_the_lifetime() {
    let operations = vec![scripted(1, 3, "a", Some("1")), scripted(9, 4, "a", None)];
    let plan = with_operations(operations.clone());
    let mut workload = Workload::new(plan.clone(), 7);
    let first = next(&mut workload);
    assert!(answer(&mut workload, &first, Response::Fail).is_some());
    workload.handle_due(plan.start + Span::from_secs(31), living()).unwrap();
    let expected = [operations[0].clone(), ScriptedOperation { time: plan.lifetime, ..operations[1].clone() }];
    assert_eq!(plan.script(workload.history()), expected);
}

#[test]
fn keys_of_operations_are_shared_by_all_clients() {
    for (value, incorrect) in [("1", 0), ("2", 0), ("", 0), ("3", 1)] {
        let puts = [scripted(0, 1, "a", Some("1")), scripted(0, 2, "a", Some("2")), scripted(0, 3, "b", Some("3"))];
        let mut workload = Workload::new(with_operations([&puts[..], &[scripted(9, 4, "a", None)]].concat()), 7);
        for _ in 0..puts.len() {
            next(&mut workload);
        }
        let get = next(&mut workload);
        answer(&mut workload, &get, ok(Some(value)));
        assert_eq!(workload.history().incorrect_gets, incorrect, "{value:?}");
    }
}

#[test]
fn a_first_get_becomes_a_put_and_counts_as_not_generated() {
    let mut workload = workload(1.0, Keys::Private);
    let dispatch = next(&mut workload);
    assert!(!dispatch.operation.is_get());
    assert_eq!(workload.history().gets_not_generated, 1);
}

#[test]
fn a_fresh_key_gets_its_md5_and_an_own_key_the_md5_of_what_the_client_holds() {
    assert_eq!(&*keys::md5_hex("seedbed"), "29b7fdc45eb7cbef9f20ffb034da6e4e");
    let mut workload = workload(0.0, Keys::Private);
    let mut held = std::collections::BTreeMap::<Text, Text>::new();
    let (mut fresh, mut own) = (0, 0);
    for _ in 0..300 {
        let dispatch = next(&mut workload);
        let Operation::Put { key, value } = dispatch.operation.clone() else { panic!("only puts") };
        let expected = held.get(&key).map_or_else(|| keys::md5_hex(&key), |value| keys::md5_hex(value));
        assert_eq!((key.len(), &value), (32, &expected));
        *(if held.insert(key, value).is_none() { &mut fresh } else { &mut own }) += 1;
        assert!(answer(&mut workload, &dispatch, ok(None)).is_none());
    }
    // Half of each, except for the first put of each client.
    assert!((120..=190).contains(&fresh) && own > 110, "{fresh} fresh, {own} own");
}

#[test]
fn a_redirected_request_is_sent_again_at_once_to_the_leader_that_the_answer_names() {
    let mut workload = workload(0.0, Keys::Private);
    let first = next(&mut workload);
    let leader = Some(ReplicaId(4));
    let now = Time(2_000_500_000);
    let again = workload.handle_answer(now, first.from, first.mid, leader, &Response::Redirect, living());
    let again = again.again.expect("another attempt");
    assert_eq!((again.to, &again.operation), (ReplicaId(4), &first.operation));
    assert_ne!(again.mid, first.mid);
    assert_eq!(workload.history().requests().total(), 1);
    assert_eq!(workload.history().redirects().puts, 1);
    assert_eq!(workload.history().latencies(), [Span(500_000)]);
}

#[test]
fn a_failed_request_without_a_known_leader_goes_to_a_living_replica() {
    for seed in 0..50 {
        let mut workload = Workload::new(plan(0.0, Keys::Private), seed);
        let first = next(&mut workload);
        let alive: ReplicaSet = [ReplicaId(1), ReplicaId(3)].into_iter().collect();
        let mid = first.mid;
        let again = workload.handle_answer(Time(2_000_500_000), first.from, mid, None, &Response::Fail, alive);
        let again = again.again.expect("another attempt");
        assert!(alive.contains(again.to));
        assert_eq!(workload.history().failures().puts, 1);
    }
}

#[test]
fn clients_forget_their_leader_when_told() {
    let mut workload = workload(0.0, Keys::Private);
    for _ in 0..100 {
        let dispatch = next(&mut workload);
        let now = workload.poll_due();
        workload.handle_answer(now, dispatch.from, dispatch.mid, Some(ReplicaId(2)), &ok(None), living());
    }
    assert!((0..20).all(|_| next(&mut workload).to == ReplicaId(2)));
    workload.forget_leaders();
    assert!((0..20).any(|_| next(&mut workload).to != ReplicaId(2)));
}

#[test]
fn a_remembered_leader_is_checked_at_every_sending_and_forgotten_when_it_is_dead() {
    let mut workload = workload(0.0, Keys::Private);
    let dead = ReplicaId(2);
    let alive = living().without(dead);
    for _ in 0..50 {
        let due = workload.poll_due();
        let first = workload.handle_due(due, alive).expect("a request that is due");
        assert_ne!(first.to, dead);
        // Each answer names the dead leader, as followers do until their election timeout.
        let mid = first.mid;
        let again = workload.handle_answer(due, first.from, mid, Some(dead), &Response::Redirect, alive);
        let again = again.again.expect("another attempt");
        assert_eq!((again.to == dead, again.leader), (false, None));
    }
}

#[test]
fn an_answer_that_no_attempt_waits_for_changes_no_remembered_leader() {
    let mut workload = workload(0.0, Keys::Private);
    let first = next(&mut workload);
    let (client, mid) = (first.from, first.mid);
    let told = |workload: &mut Workload, leader, response: &Response| {
        workload.handle_answer(Time(2_000_500_000), client, mid, Some(ReplicaId(leader)), response, living())
    };
    let again = told(&mut workload, 3, &Response::Redirect).again.expect("another attempt");
    // The same MID again, from a replica that names another leader.
    let closed = told(&mut workload, 1, &Response::Redirect);
    assert_eq!(closed, Reaction { again: None, incorrect: Some(Incorrect::Closed) });
    assert_eq!(told(&mut workload, 1, &ok(None)).incorrect, Some(Incorrect::Closed));
    assert_eq!((workload.history().unknown, workload.history().duplicates), (2, 0));
    let mid = again.mid;
    let third = workload.handle_answer(Time(2_000_600_000), client, mid, None, &Response::Fail, living());
    assert!(third.again.is_some());
    assert_eq!(workload.leaders[client.number(LIVING).unwrap()], None, "the newest answer named none");
    let next = told(&mut workload, 4, &ok(None));
    assert_eq!(next.incorrect, Some(Incorrect::Closed));
    assert_eq!(workload.leaders[client.number(LIVING).unwrap()], None);
}

#[test]
fn a_get_that_shows_an_unacknowledged_put_is_linearizable_but_incorrect_for_the_course() {
    let mut workload = workload(0.5, Keys::Private);
    let mut open = std::collections::BTreeMap::new();
    loop {
        let dispatch = next(&mut workload);
        match &dispatch.operation {
            Operation::Put { key, value } => {
                // The first put of a key is acknowledged, later ones are not.
                if open.insert(key.clone(), value.clone()).is_none() {
                    answer(&mut workload, &dispatch, ok(None));
                }
            }
            Operation::Get { key } => {
                let value = &open[key];
                let now = workload.history().attempts.last().unwrap().sent + Span(1_000);
                let (client, mid) = (dispatch.from, dispatch.mid);
                let reaction = workload.handle_answer(now, client, mid, None, &ok(Some(value)), living());
                let puts = workload.history().attempts.iter().filter(|attempt| !attempt.operation.is_get());
                if puts.filter(|put| put.operation.key() == key).count() > 1 {
                    assert_eq!(reaction.incorrect, Some(Incorrect::Unacknowledged));
                    break;
                }
                assert_eq!(reaction.incorrect, None);
            }
            _ => unreachable!("the course's clients send none of the others"),
        }
    }
    assert_eq!((workload.history().unacknowledged_reads, workload.history().incorrect_gets), (1, 0));
}

#[test]
fn a_second_answer_is_a_duplicate_and_an_answer_to_no_request_is_unknown() {
    let mut workload = workload(0.0, Keys::Private);
    let first = next(&mut workload);
    answer(&mut workload, &first, ok(None));
    answer(&mut workload, &first, Response::Fail);
    assert_eq!((workload.history().duplicates, workload.history().failures().total()), (1, 0));
    let another = |client: ClientId| ClientId::numbered((client.number(LIVING).unwrap() + 1) % CLIENTS, LIVING);
    let other = another(first.from);
    workload.handle_answer(Time(3_000_000_000), other, first.mid, None, &ok(None), living());
    assert_eq!(workload.history().duplicates, 2, "what is done is done for all clients");
    let open = next(&mut workload);
    let other = another(open.from);
    for (client, mid) in [(first.from, Mid(99)), (other, open.mid), (ClientId(3), Mid(0)), (first.from, Mid(u64::MAX))]
    {
        workload.handle_answer(Time(3_000_000_000), client, mid, None, &ok(None), living());
    }
    assert_eq!(workload.history().unknown, 4);
}

#[test]
fn a_get_without_a_value_or_with_an_old_or_foreign_one_is_incorrect() {
    for (value, incorrect) in [(None, 1), (Some("nonsense"), 1), (Some(""), 1), (Some("held"), 0)] {
        let mut workload = workload(0.5, Keys::Private);
        let mut held = std::collections::BTreeMap::<Text, Text>::new();
        loop {
            let dispatch = next(&mut workload);
            match &dispatch.operation {
                Operation::Put { key, value } => {
                    held.insert(key.clone(), value.clone());
                    answer(&mut workload, &dispatch, ok(None));
                }
                Operation::Get { key } => {
                    let value = if value == Some("held") { Some(&*held[key]) } else { value };
                    answer(&mut workload, &dispatch, ok(value));
                    break;
                }
                _ => unreachable!("the course's clients send none of the others"),
            }
        }
        assert_eq!(workload.history().incorrect_gets, incorrect, "{value:?}");
    }
}

fn put(sent: u64, answered: Option<u64>, value: &str) -> Attempt {
    Attempt {
        client: ClientId(21),
        replica: ReplicaId(0),
        operation: Operation::Put { key: "k".into(), value: value.into() },
        sent: Time(sent),
        retry_of: None,
        answer: answered.map(|time| (Time(time), Outcome::Ok(None))),
    }
}

#[test]
fn a_get_may_return_a_value_that_was_not_surely_overwritten_before_it_began() {
    let puts = [put(10, Some(20), "a"), put(30, Some(40), "b"), put(35, Some(60), "c"), put(70, None, "d")];
    let may = |sent, answered, value: &str| may_return(Time(sent), Time(answered), value, puts.iter());
    assert!(may(1, 5, "") && may(15, 18, "") && !may(25, 29, ""), "before the first put");
    assert!(may(25, 29, "a") && may(35, 38, "a") && !may(45, 50, "a"), "overwritten once b is acknowledged");
    assert!(may(65, 68, "b") && may(65, 68, "c"), "b and c were under way together");
    assert!(!may(65, 68, "d") && may(65, 70, "d") && may(900, 901, "d"), "a put without answer may happen at any time");
    assert!(may(900, 901, "c") && !may(900, 901, "a") && !may(900, 901, "e"));
}

#[test]
fn shared_keys_are_few_and_every_put_has_a_value_of_its_own() {
    let mut workload = workload(0.0, Keys::Shared { count: 3 });
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let Operation::Put { key, value } = next(&mut workload).operation else { panic!("only puts") };
        keys.push(key);
        values.push(value);
    }
    for list in [&mut keys, &mut values] {
        list.sort();
        list.dedup();
    }
    assert_eq!((keys.len(), values.len()), (3, 300));
}

#[test]
fn what_happens_to_one_request_never_changes_what_later_ones_draw() {
    let sequence = |response: Response| {
        let mut workload = workload(0.0, Keys::Shared { count: 1_000 });
        let dispatches = (0..50).map(|_| {
            let dispatch = next(&mut workload);
            answer(&mut workload, &dispatch, response.clone());
            (dispatch.from, dispatch.operation.key().clone())
        });
        dispatches.collect::<Vec<_>>()
    };
    assert_eq!(sequence(ok(None)), sequence(Response::Fail));
}
