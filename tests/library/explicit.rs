//! Runs whose requests, losses and kills are written down instead of drawn.

use crate::common::scenario;
use seedbed::chaos::{ConnectivityMatrix, Fault, FaultEvent, Loss};
use seedbed::id::ReplicaId;
use seedbed::record::RunRecord;
use seedbed::scenario::Scenario;
use seedbed::subjects;
use seedbed::time::{Span, Time};

/// The scenario with the requests of this run of it.
fn explicit(scenario: &Scenario, run: &RunRecord) -> Scenario {
    scenario.clone().with_operations(scenario.plan().script(&run.history))
}

fn raft(scenario: &Scenario, seed: u64) -> RunRecord {
    subjects::raft().simulate(scenario, seed)
}

/// A run without replicas killed or messages lost by chance.
fn calm() -> Scenario {
    Scenario { end_wait: Span::from_secs(1), ..scenario("scenarios/simple-2.json") }
}

#[test]
fn the_requests_of_a_run_written_down_give_the_same_run() {
    let drawn = scenario("scenarios/harsh/shared-keys.json");
    for seed in 0..10 {
        let run = raft(&drawn, seed);
        assert!(run.history.redirects().total() > 0, "something is sent again");
        let again = raft(&explicit(&drawn, &run), seed);
        assert_eq!(again.history, run.history, "seed {seed}");
        assert_eq!(again, RunRecord { history: again.history.clone(), ..run }, "seed {seed}");
    }
}

#[test]
fn the_requests_of_a_run_with_private_keys_are_sent_again_by_the_same_clients_at_the_same_times() {
    for (path, protocol) in
        [("scenarios/advanced-4.json", subjects::raft()), ("scenarios/unreliable-3.json", subjects::broadcast())]
    {
        let drawn = Scenario { burst: 10, ..scenario(path) };
        let run = protocol.simulate(&drawn, 5);
        let again = protocol.simulate(&explicit(&drawn, &run), 5);
        assert_eq!(again.history.attempts, run.history.attempts, "{path}");
        assert_eq!(again.trace, run.trace, "{path}");
        assert_eq!(again.history.incorrect_gets > 0, run.history.incorrect_gets > 0, "{path}");
    }
}

#[test]
fn a_request_left_out_changes_nothing_before_it_and_no_others_time_or_client() {
    let drawn = scenario("scenarios/harsh/shared-keys.json");
    let run = raft(&drawn, 3);
    let mut operations = drawn.plan().script(&run.history);
    let whole = operations.clone();
    operations.remove(200);
    let rest = drawn.clone().with_operations(operations.clone());
    let shorter = raft(&rest, 3);
    assert_eq!(rest.plan().script(&shorter.history), operations);
    let before = |run: &RunRecord| {
        let first =
            run.history.attempts.iter().filter(|attempt| attempt.sent.since(rest.plan().start) < whole[200].time);
        first.map(|attempt| (attempt.client, attempt.replica, attempt.sent)).collect::<Vec<_>>()
    };
    assert!(before(&run).len() >= 200);
    assert_eq!(before(&shorter), before(&run));
}

#[test]
fn all_requests_of_a_burst_are_sent() {
    let scenario = Scenario { burst: 50, ..calm() };
    let run = raft(&scenario, 1);
    let operations = scenario.plan().script(&run.history);
    assert_eq!(operations.len(), 500);
    for (i, operation) in operations.iter().enumerate() {
        assert_eq!(operation.time, Span::from_secs(i as u64 / 50 * 3), "request {i}");
    }
    assert_eq!(run.history.unanswered().total(), 0);
}

#[test]
fn losses_of_all_messages_of_a_link_are_the_same_as_a_matrix_that_cuts_it() {
    let scenario = scenario("scenarios/unreliable-2.json");
    let chance = raft(&scenario, 4);
    let from = chance.believed_leaders().next().expect("a leader");
    let to = ReplicaId((from.0 + 1) % 5);
    let mut matrix = scenario.matrix.clone();
    matrix.set(from.index(), to.index(), 1.0).unwrap();
    let losses = (1..=20_000).map(|nth| Loss { from, to, nth }).collect();
    let by_matrix = raft(&Scenario { matrix, ..scenario.clone() }, 4);
    let by_number = raft(&Scenario { losses, ..scenario.clone() }, 4);
    // What a matrix does all the time is no fault that ends, but a loss is one.
    assert!(by_number.calm > by_matrix.calm);
    // So a matrix also says who can never be served.
    let (calm, served) = (by_matrix.calm, by_matrix.served);
    assert_eq!(RunRecord { calm, served, ..by_number.clone() }, by_matrix);
    assert_ne!(by_number.trace, chance.trace);
}

#[test]
fn each_loss_drops_one_message_also_of_those_that_are_lost_anyway() {
    let loss = |from, to, nth| Loss { from: ReplicaId(from), to: ReplicaId(to), nth };
    let losses: Vec<Loss> = (0..5).flat_map(|i| [loss(i, (i + 1) % 5, 1), loss(i, (i + 1) % 5, 2)]).collect();
    let plain = Scenario { losses: losses.clone(), ..calm() };
    let dropped = raft(&plain, 1).dropped;
    assert!((5..=10).contains(&dropped), "{dropped}: some links carry less than two messages");
    // Never reached.
    let far = Scenario { losses: vec![loss(0, 1, 1_000_000_000)], ..calm() };
    assert_eq!(raft(&far, 1), raft(&calm(), 1));
    let matrix = ConnectivityMatrix::uniform(5, 1.0).unwrap();
    let deaf = Scenario { matrix, ..calm() };
    assert_eq!(raft(&Scenario { losses, ..deaf.clone() }, 1), raft(&deaf, 1));
}

#[test]
fn a_loss_is_a_fault_so_the_network_is_calm_after_the_last_one() {
    let run = |losses: &[Loss]| raft(&Scenario { losses: losses.to_vec(), ..calm() }, 1);
    let to = run(&[]).believed_leaders().next().expect("a leader, which hears from all");
    let from = ReplicaId((to.0 + 1) % 5);
    let loss = |nth| Loss { from, to, nth };
    let (first, tenth, never) = (run(&[loss(1)]), run(&[loss(10), loss(1)]), run(&[loss(1_000_000)]));
    assert_eq!((run(&[]).calm, never.calm), (Some(Time::ZERO), Some(Time::ZERO)));
    assert!(first.calm > Some(Time::ZERO) && tenth.calm > first.calm, "{:?} {:?}", first.calm, tenth.calm);
}

#[test]
fn kill_kills_the_replica_that_it_names_once() {
    let kill =
        |secs, replica| FaultEvent { time: Time::ZERO + Span::from_secs(secs), fault: Fault::kill(ReplicaId(replica)) };
    let events = vec![kill(5, 3), kill(6, 3), kill(10, 0)];
    let run = raft(&Scenario { events, ..calm() }, 1);
    assert_eq!((run.killed, run.died), (2, 0));
    let after = Time::ZERO + Span::from_secs(15);
    let late: Vec<ReplicaId> =
        run.history.attempts.iter().filter(|attempt| attempt.sent > after).map(|attempt| attempt.replica).collect();
    assert!(late.len() > 100 && !late.contains(&ReplicaId(3)) && !late.contains(&ReplicaId(0)), "{late:?}");
    assert!(run.history.completed().total() >= 490);
}

#[test]
fn killing_the_leader_by_its_number_is_the_same_as_kill_leader() {
    let strike = |fault| {
        let events = vec![FaultEvent { time: Time::ZERO + Span::from_secs(12), fault }];
        raft(&Scenario { events, ..calm() }, 2)
    };
    let by_role = strike(Fault::KillLeader);
    let leader = by_role.believed_leaders().next().expect("a leader");
    assert_eq!(strike(Fault::kill(leader)), by_role);
}
