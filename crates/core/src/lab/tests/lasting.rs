//! Faults that last to the end of a run: liveness demands something in many such runs, and never too much of the sound
//! Raft.

use crate::chaos::{Act, ConnectivityMatrix, Fault, FaultEvent, Rulebook, Target};
use crate::check::{Checker, Evidence, Finding, NOT_JUDGED, fixture, liveness};
use crate::engine::Delay;
use crate::id::{ReplicaId, ReplicaSet};
use crate::lab::{Case, Judged};
use crate::record::RunRecord;
use crate::rng::Stream;
use crate::scenario::{Network, Order, Scenario};
use crate::service::Operation;
use crate::subjects;
use crate::time::{Span, Time};
use crate::workload::{Keys, Kind, Patience, ScriptedOperation};

fn link(from: usize, to: usize, value: f64) -> Fault {
    Fault::SetLink { from: ReplicaId(from as u8), to: ReplicaId(to as u8), value }
}

/// What one replica of the cluster, or a pair of them, suffers from then on.
fn lasting(replicas: usize, random: &mut Stream) -> Vec<Fault> {
    let one = random.below(replicas as u64) as usize;
    let other = (one + 1 + random.below(replicas as u64 - 1) as usize) % replicas;
    let others = (0..replicas).filter(|&other| other != one);
    let host = |act| Fault::Host { at: Some(Target::Replica(ReplicaId(one as u8))), act };
    match random.below(16) {
        0..5 => vec![link(one, other, 1.0)],
        5..8 => vec![link(one, other, 1.0), link(other, one, 1.0)],
        8 => vec![link(one, other, *random.pick(&[0.1, 0.3, 0.5, 0.9]).expect("values"))],
        9 => {
            let delay = Delay::Constant(Span::from_millis(random.between(20, 5_000)));
            vec![Fault::DelayLink { from: ReplicaId(one as u8), to: ReplicaId(other as u8), delay: Some(delay) }]
        }
        10 => others.map(|other| link(other, one, 1.0)).collect(),
        11 => others.map(|other| link(one, other, 1.0)).collect(),
        12 => vec![host(Act::Pause)],
        13 => vec![Fault::kill(ReplicaId(one as u8))],
        14 => vec![Fault::isolate(ReplicaId(one as u8))],
        _ => {
            let group: ReplicaSet = ReplicaId::all(replicas).filter(|_| random.chance(0.4)).collect();
            if group.is_empty() { vec![] } else { vec![Fault::Partition(vec![group])] }
        }
    }
}

/// A run in which leaders are cut off for a while, and then a few faults come that last.
pub fn drawn(seed: u64) -> Case {
    let mut random = Stream::new(seed, "lasting faults");
    let replicas = random.between(2, 7) as usize;
    let mut events: Vec<(u64, Fault)> = Vec::new();
    for _ in 0..random.below(4) {
        let fault = random.pick(&[Fault::PartHard, Fault::PartEasy, Fault::isolate(ReplicaId(0))]).cloned();
        events.push((random.between(500, 4_000), fault.expect("faults")));
    }
    events.push((4_000, Fault::Heal));
    for _ in 0..random.between(1, 1 + replicas as u64) {
        let time = random.between(4_000, 6_000);
        events.extend(lasting(replicas, &mut random).into_iter().map(|fault| (time, fault)));
    }
    let mut events: Vec<FaultEvent> =
        events.into_iter().map(|(ms, fault)| FaultEvent { time: Time::ZERO + Span::from_millis(ms), fault }).collect();
    events.sort_by_key(|event| event.time);
    let delay = Delay::Uniform { min: Span::from_millis(1), max: Span::from_millis(random.between(1, 50)) };
    let network = if random.chance(0.5) { Network::default() } else { Network::Links { delay, order: Order::Any } };
    let patience = Patience { timeout: Span::from_millis(random.between(200, 3_000)), retries: random.below(4) as u32 };
    let loss = *random.pick(&[0.0, 0.0, 0.1, 0.25]).expect("losses");
    let scenario = Scenario {
        name: format!("lasting-{seed}"),
        rules: Rulebook::Handout,
        replicas,
        wait: Some(Span::from_millis(500)),
        lifetime: Span::from_secs(20),
        end_wait: Span::from_secs(12),
        requests: random.between(8, 60),
        mix: 0.5,
        matrix: ConnectivityMatrix::uniform(replicas, loss).expect("a probability"),
        network,
        kind: Some(Kind::Kv { keys: Keys::Shared { count: 3 }, updates: false }),
        patience: random.chance(0.5).then_some(patience),
        max_packets: 900_000,
        events,
        ..fixture::scenario()
    };
    Case { scenario, seed, protocol: subjects::raft() }
}

/// What is found apart from the course's checks, which know no lasting faults.
fn found(judged: &Judged) -> Vec<Finding> {
    let findings = judged.judgement.findings().into_iter();
    findings.filter(|finding| finding.checker != Checker::COURSE).collect()
}

/// How many runs are played. 100,000 were once, with a demand in 48,613 of them and none that was stuck.
const RUNS: u64 = 3_000;

#[test]
fn the_sound_raft_is_never_stuck_under_faults_that_last_and_something_is_demanded_in_many_runs() {
    let (mut judged, mut calm) = (0, 0);
    for seed in 0..RUNS {
        let run = drawn(seed).run();
        assert_eq!(found(&run), [], "seed {seed}: {:?}", drawn(seed).scenario.events);
        judged += u64::from(run.judgement.word(&Checker::LIVENESS) != NOT_JUDGED);
        calm += u64::from(run.record.calm.is_some());
    }
    eprintln!("of {} runs {calm} had a connected quorum, and progress was demanded in {judged}", RUNS);
    assert!(judged > RUNS * 2 / 5 && judged > calm * 4 / 5, "{judged} of {calm} of {}", RUNS);
}

/// What liveness would say if requests to every member of a connected quorum had to be served.
fn by_membership(case: &Case, run: &Judged) -> liveness::Verdict {
    let record = RunRecord { served: run.record.connected, ..run.record.clone() };
    let evidence = Evidence { bound: case.protocol.progress_bound(), ..Evidence::of(&case.scenario, &record, None) };
    liveness::judge(&evidence)
}

#[test]
fn a_write_at_a_member_of_a_connected_quorum_may_fail_for_ever_if_it_cannot_hear_the_leader() {
    let mut wrongly = 0;
    for seed in 0..500 {
        let case = one_way(seed);
        let run = case.run();
        assert_eq!(found(&run), [], "seed {seed}");
        let is_deaf_to_leader = run.record.connected.minus(run.record.served).contains(ReplicaId(1));
        assert!(is_deaf_to_leader, "seed {seed}: {:?} of {:?}", run.record.served, run.record.connected);
        wrongly += u32::from(matches!(by_membership(&case, &run), liveness::Verdict::Stuck(_)));
    }
    assert!(wrongly > 10, "membership of a quorum would report only {wrongly} runs");
}

/// Five replicas, of which 1 does not hear 0, which may lead. One client writes once, and asks 1.
fn one_way(seed: u64) -> Case {
    let events = vec![FaultEvent { time: Time::ZERO + Span::from_secs(4), fault: link(0, 1, 1.0) }];
    let write = ScriptedOperation {
        time: Span::from_secs(4),
        client: 0,
        aim: Some(Target::Replica(ReplicaId(1))),
        operation: Operation::Put { key: "x".into(), value: "a".into() },
    };
    let scenario = Scenario {
        name: "one-way".to_owned(),
        wait: Some(Span::from_secs(3)),
        end_wait: Span::from_secs(12),
        events,
        ..fixture::scenario()
    };
    let scenario = scenario.with_operations(vec![write]);
    Case { scenario, seed, protocol: subjects::raft() }
}
