use std::collections::BTreeSet;

use crate::chaos::Fault;
use crate::check::Checker;
use crate::lab::explore::{Seen, draw};
use crate::lab::{Case, Protocol};
use crate::record::{Event, Reigns, Said, Tally, View, Watcher, World};
use crate::scenario::{Scenario, library};

use super::*;

#[test]
fn every_protocol_is_found_by_its_name_and_no_other_is() {
    let protocols = builtin();
    for protocol in protocols.iter() {
        assert_eq!(protocols.find(protocol.name()).as_ref(), Ok(protocol));
    }
    let unknown = protocols.find("paxos").unwrap_err().to_string();
    assert_eq!(unknown, "unknown protocol `paxos`; allowed is raft, broadcast, node, cluster");
}

#[test]
fn a_mutant_is_found_by_the_name_of_its_rule_and_a_misspelled_one_is_hinted_at() {
    let raft = raft();
    let mutant = raft.without("vote-once").expect("a rule of Raft");
    assert_eq!((mutant.name(), mutant.broken(), mutant.sound() == raft), ("raft", Some("vote-once"), true));
    let error = |protocol: &Protocol| protocol.without("vote-onc").unwrap_err().to_string();
    assert_eq!(error(&raft), "unknown mutant `vote-onc` of raft; did you mean `vote-once`?");
    assert_eq!(error(&broadcast()), "unknown mutant `vote-onc` of broadcast, which has no mutants");
}

#[test]
fn a_mutant_keeps_the_parameters_of_the_protocol_and_the_other_way_round() {
    let mut raft = raft();
    raft.set("raft.heartbeat_ms", 123.0).expect("a parameter");
    let mut mutant = raft.without("vote-once").expect("a rule of Raft");
    assert_eq!(mutant.changed_parameters(), [("raft.heartbeat_ms", 123.0)]);
    mutant.set("raft.retry_min_ms", 7.0).expect("a parameter");
    assert_eq!(mutant.sound().changed_parameters(), mutant.changed_parameters());
    assert!(mutant.plain().changed_parameters().is_empty() && mutant.plain().broken().is_none());
}

#[test]
fn a_drawn_mutant_and_its_sound_protocol_have_the_same_parameters() {
    let mutant = raft().without("commit-own-term").expect("a rule of Raft");
    for seed in 0..50 {
        let case = draw(&mutant, seed);
        assert_eq!(case.protocol.sound().parameters(), case.protocol.parameters(), "seed {seed}");
    }
}

#[test]
fn a_judged_run_is_the_bare_one_and_only_replicas_of_raft_are_watched() {
    // A case that all protocols can play.
    let drawn = draw(&node(), 1);
    for protocol in builtin().iter() {
        let case = Case { protocol: protocol.clone(), ..drawn.clone() };
        let trial = case.attempt();
        assert_eq!(trial.trace(), protocol.simulate(&case.scenario, case.seed).trace);
        let judgement = trial.judged.expect("no replica panics").judgement;
        assert_eq!(trial.findings, judgement.findings());
        let is_watched = judgement.word(&Checker::INVARIANTS) != "not watched";
        assert_eq!(is_watched, protocol.name() != "broadcast");
    }
}

#[test]
fn a_survey_does_not_change_the_run() {
    for seed in 0..20 {
        let case = draw(&raft(), seed);
        let (trial, met) = case.attempt_tracked();
        assert_eq!(trial.trace(), case.attempt().trace());
        assert!(met.seen != Seen::default() && !met.edges.is_empty());
        let (surveyed, seen) = case.attempt_surveyed();
        assert_eq!((surveyed.trace(), seen), (trial.trace(), met.seen));
    }
}

/// A scenario with five replicas and lenient expectations.
fn scenario(events: &str) -> Scenario {
    let text = format!(
        r#"{{"lifetime": 10, "replicas": 3, "requests": 50, "wait": 2, "events": [{events}],
            "tests": {{"benchmarks": {{"total_msgs": [0, 0, 0], "failures": [0, 0, 0], "duplicates": [0, 0, 0],
                "median_latency": [0, 0, 0]}}}}}}"#
    );
    Scenario::parse("s", "s.json", &text).expect("a scenario").scenario
}

#[test]
fn the_tenure_of_a_leader_that_crashes_ends() {
    let events = r#"{"type": "crash", "time": 3, "replica": "leader"}, {"type": "restart", "time": 5}"#;
    let case = Case { scenario: scenario(events), seed: 7, protocol: raft() };
    let mut reigns = Reigns::default();
    let record = case.run_watched(&mut reigns).record;
    let crash = record.struck[0].time;
    let reigns = reigns.into_vec();
    assert!(reigns.len() > 1, "another leader is elected: {reigns:?}");
    assert!(reigns[0].from < crash && reigns[0].until == Some(crash), "{reigns:?}");
}

/// Counts messages as a watcher sees them.
#[derive(Default)]
struct Arrivals(u64);

impl Watcher for Arrivals {
    fn event(&mut self, _: &View<'_>, event: &Event<'_, ()>, said: Option<&dyn Said>) {
        assert_eq!(said.is_some(), event.message().is_some());
        self.0 += u64::from(matches!(event, Event::Delivered { .. } | Event::Dropped { .. }));
    }
}

#[test]
fn every_message_is_counted_under_one_kind_and_on_one_link() {
    for protocol in builtin().iter() {
        let mut case = Case { scenario: scenario(""), seed: 7, protocol: protocol.clone() };
        case.scenario.matrix.set(0, 1, 0.5).expect("a link");
        let (trial, tally) = case.attempt_counted(true);
        let record = trial.judged.expect("no replica panics").record;
        let kinds: u64 = protocol.kinds().iter().filter_map(|kind| tally.sent(kind)).sum();
        assert_eq!(kinds, record.sent, "{protocol}");
        let (sent, dropped) = tally.links().fold((0, 0), |sum, link| (sum.0 + link.sent, sum.1 + link.dropped));
        assert_eq!((sent, dropped), (record.sent, record.dropped), "{protocol}");
        let (plain, none) = case.attempt_counted(false);
        assert_eq!((plain.trace(), none.links().count()), (record.trace, 0));
        let mut arrivals = Arrivals::default();
        let watched = case.run_watched(&mut arrivals).record;
        assert_eq!(watched.trace, record.trace);
        assert!(arrivals.0 > 0 && arrivals.0 <= record.sent, "{} of {}", arrivals.0, record.sent);
    }
}

#[test]
fn raft_uses_each_of_its_kinds_but_the_rarest() {
    let mut tally = Tally::of_kinds(raft().kinds());
    for seed in 0..20 {
        let mut case = draw(&raft(), seed);
        case.scenario.events.push(crate::chaos::FaultEvent { time: case.scenario.end(), fault: Fault::Heal });
        let counted = case.attempt_counted(false).1;
        for (place, kind) in raft().kinds().iter().enumerate() {
            for _ in 0..counted.sent(kind).unwrap_or(0).min(1) {
                tally.note_sent(crate::id::ReplicaId(0), crate::id::ReplicaId(1), place);
            }
        }
    }
    for kind in raft().kinds() {
        assert!(tally.sent(kind) > Some(0), "{kind}");
    }
}

/// The scenarios of the course's suite.
fn suite() -> Vec<Scenario> {
    let files = library::files_in("");
    let scenarios: Vec<Scenario> = files.filter_map(|file| Scenario::builtin(file.name())).collect();
    assert_eq!(scenarios.len(), 17);
    scenarios
}

#[test]
fn the_shipped_node_passes_the_courses_suite_in_virtual_time() {
    for scenario in suite() {
        let scenario = node().fit(scenario).expect("it is the course's");
        let judged = Case { scenario, seed: 7, protocol: node() }.run();
        let (record, findings) = (judged.record, judged.judgement.findings());
        assert_eq!((findings, &record.complaints[..], record.malformed), (vec![], &[][..], 0));
        assert_eq!((record.world, record.obstacle), (World::Lan, None));
        let has_outages = record.outages.iter().any(|outage| outage.until != crate::time::Time::NEVER);
        assert!(record.trace.is_some() && !has_outages);
    }
}

#[test]
fn explored_runs_of_the_node_pass_and_meet_every_fault_that_it_stands() {
    let mut faults = BTreeSet::new();
    for seed in 0..400 {
        let case = draw(&node(), seed);
        assert_eq!(case.scenario.unplayable(World::Lan), None);
        if case.scenario.duplicate > 0.0 {
            faults.insert("duplicate");
        }
        faults.extend(case.scenario.events.iter().map(|event| event.fault.name()));
        let trial = case.attempt();
        assert!(trial.passed(), "seed {seed}: {:?}", trial.findings);
    }
    for name in ["kill_leader", "pause", "resume", "clock", "duplicate", "damage", "delay_link", "partition"] {
        assert!(faults.contains(name), "{name} is not in {faults:?}");
    }
    assert!(!faults.contains("crash"), "it has no disk");
}

/// A minority may forget everything and come back; what a majority has forgotten is lost.
#[test]
fn a_node_that_crashes_starts_with_nothing_and_its_cluster_stands_one_such_loss() {
    let events = |replicas: &[u8]| {
        let crash = |replica| format!(r#"{{"type": "crash", "time": 4, "replica": {replica}}}"#);
        let crashes: Vec<String> = replicas.iter().map(crash).collect();
        format!(r#"{}, {{"type": "restart", "time": 5}}"#, crashes.join(", "))
    };
    let run = |replicas: &[u8]| {
        let mut scenario = scenario(&events(replicas));
        // The few requests of so short a run are unlucky.
        scenario.tests.maximum_get_generation_fail_fraction = 1.0;
        Case { scenario, seed: 7, protocol: node() }.run()
    };
    let (one, all) = (run(&[1]), run(&[0, 1, 2]));
    assert_eq!((one.judgement.findings(), one.record.outages.len()), (vec![], 1));
    assert!(all.judgement.findings().iter().any(|finding| finding.checker == Checker::LINEARIZABILITY));
}

#[test]
fn runs_of_the_node_are_the_same_when_they_are_played_twice() {
    let suite = suite();
    let runs = &mut suite.iter().map(|scenario| (scenario, 7));
    let agreement = node().verify(runs, &|_| {}).unwrap_or_else(|divergence| panic!("{divergence}"));
    assert_eq!(agreement.runs, 17);
}
