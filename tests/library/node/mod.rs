//! The real replica: nodes in memory and in virtual time, on the course's LAN.

mod hostile;
mod lan;

use hostile::Hostile;
use lan::Rig;
use seedbed::check::{Checker, Judgement};
use seedbed::node::Ignored;
use seedbed::scenario::Scenario;

/// Some hundred requests, and a fault.
fn scenario(replicas: usize, drops: f64, events: &str) -> Scenario {
    let text = format!(
        r#"{{"lifetime": 15, "replicas": {replicas}, "requests": 300, "mix": 0.4, "wait": 3, "end_wait": 2, "drops": {drops},
            "max_packets": 900000, "events": [{events}],
            "tests": {{"maximum_get_generation_fail_fraction": 1, "maximum_appends_batched_fraction": 1, "benchmarks": {{
                "total_msgs": [1, 2, 3], "failures": [1, 2, 3], "duplicates": [1, 2, 3], "median_latency": [1, 2, 3]}}}}}}"#
    );
    Scenario::parse("node", "node.json", &text).expect("a scenario").scenario
}

#[test]
fn nodes_on_the_courses_lan_elect_a_leader_and_pass_its_checks() {
    let kill = r#"{"type": "kill_leader", "time": 5}"#;
    for (replicas, drops, events) in [(3, 0.0, ""), (5, 0.0, kill), (5, 0.1, kill), (21, 0.05, ""), (101, 0.0, "")] {
        let scenario = scenario(replicas, drops, events);
        let (record, rig) = Rig::new(&scenario, 7, None).run();
        let judgement = Judgement::of(&scenario, &record);
        assert_eq!(judgement.findings(), [], "{replicas} replicas");
        assert_eq!(
            (record.malformed, record.died, rig.cables.complaints.len()),
            (0, 0, 0),
            "{:?}",
            rig.cables.complaints
        );
        assert_eq!((record.dropped > 0, record.killed > 0), (drops > 0.0, !events.is_empty()));
        let ignored: u64 = rig.nodes().iter().map(|node| node.ignored().total()).sum();
        assert_eq!(ignored, 0);
    }
}

#[test]
fn a_node_that_crashed_and_starts_again_takes_part_after_its_new_hello() {
    for whom in [r#""leader""#, r#""follower""#, "0"] {
        let events = format!(
            r#"{{"type": "crash", "time": 4, "replica": {whom}}}, {{"type": "restart", "time": 6}},
               {{"type": "crash", "time": 9, "replica": {whom}}}, {{"type": "restart", "time": 9}}"#
        );
        let scenario = scenario(5, 0.0, &events);
        let (record, rig) = Rig::new(&scenario, 7, None).run();
        assert_eq!(Judgement::of(&scenario, &record).findings(), [], "{whom}");
        assert_eq!((record.died, record.killed, record.living.len()), (0, 0, 5));
        let lasting: Vec<bool> = record.outages.iter().map(|outage| outage.until < record.end).collect();
        assert_eq!((lasting, rig.cables.complaints.len()), (vec![true; 2], 0), "{:?}", rig.cables.complaints);
        let hellos = rig.cables.sent.iter().filter(|text| text.contains(r#""type":"hello""#));
        assert_eq!(hellos.count(), 7);
    }
}

#[test]
fn what_cannot_be_right_changes_nothing() {
    for (replicas, drops) in [(3, 0.0), (5, 0.1)] {
        let scenario = scenario(replicas, drops, "");
        let (_, quiet) = Rig::new(&scenario, 7, None).run();
        let (_, noisy) = Rig::new(&scenario, 7, Some(Hostile::new(9))).run();
        for (place, (left, right)) in quiet.cables.sent.iter().zip(&noisy.cables.sent).enumerate() {
            assert_eq!(left, right, "datagram {place}");
        }
        assert_eq!(quiet.cables.sent.len(), noisy.cables.sent.len());
        let counts: Vec<_> = noisy.nodes().iter().map(|node| node.ignored()).collect();
        for counts in counts {
            let Ignored { malformed, misdirected, own, strange, damaged, senseless, .. } = counts;
            let counts = [malformed, misdirected, own, strange, damaged, senseless];
            assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
        }
        // Clients ask the leader alone once they know it.
        assert!(noisy.nodes().iter().any(|node| node.ignored().nameless > 0));
        assert!(noisy.nodes().iter().any(|node| node.protocol().ignored() > 0));
    }
}

#[test]
fn nodes_read_no_datagram_that_the_lan_has_damaged_and_replace_them_all() {
    for damage in [0.05, 0.3] {
        let scenario = Scenario { damage, ..scenario(5, 0.0, "") };
        let (record, rig) = Rig::new(&scenario, 7, None).run();
        assert_eq!(Judgement::of(&scenario, &record).findings(), [], "{damage}");
        assert_eq!((record.malformed, record.died), (0, 0));
        let ignored: u64 = rig.nodes().iter().map(|node| node.ignored().total()).sum();
        assert!(ignored == record.dropped && ignored > 20, "{ignored} of {} damaged ones", record.dropped);
        let found: u64 = rig.nodes().iter().map(|node| node.ignored().damaged).sum();
        assert!(found > ignored / 4, "JSON alone finds most, but not {found} of {ignored}");
    }
}

#[test]
fn a_lan_with_the_same_seed_runs_the_same_way() {
    let scenario = scenario(5, 0.1, r#"{"type": "part_hard", "time": 5}, {"type": "part_end", "time": 8}"#);
    let run = |seed| {
        let (record, rig) = Rig::new(&scenario, seed, None).run();
        assert_eq!(Judgement::of(&scenario, &record).word(&Checker::LINEARIZABILITY), "ok");
        rig.cables.sent
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
