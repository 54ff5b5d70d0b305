use super::parse::PACKETS_MAX;
use super::*;
use crate::chaos::{Fault, Rulebook};
use crate::id::ReplicaId;
use crate::time::Time;
use crate::workload::Keys;

mod embedded;
mod explicit;
mod worlds;

const TESTS: &str = r#"{"benchmarks": {"total_msgs": [1, 2, 3], "failures": [0, 1, 2], "duplicates": [0, 2, 5],
    "median_latency": [0.0004, 0.002, 0.05]}}"#;

/// A valid file with one more key, or with another value for one of its keys, or (`""`) without the key.
fn file(changes: &[(&str, &str)]) -> String {
    let mut entries = vec![("lifetime", "30"), ("replicas", "5"), ("requests", "100"), ("tests", TESTS)];
    for &(key, value) in changes {
        entries.retain(|entry| entry.0 != key);
        entries.push((key, value));
    }
    let written = entries.iter().filter(|entry| !entry.1.is_empty());
    format!("{{{}}}", written.map(|(key, value)| format!("\"{key}\": {value}")).collect::<Vec<_>>().join(",\n"))
}

fn loaded(changes: &[(&str, &str)]) -> Loaded {
    Scenario::parse("s", "s.json", &file(changes)).unwrap()
}

fn error(text: &str) -> String {
    Scenario::parse("s", "s.json", text).unwrap_err().to_string()
}

/// Clients that share this many keys.
fn shared(count: u32) -> Kind {
    Kind::Kv { keys: Keys::Shared { count }, updates: false }
}

#[track_caller]
fn assert_messages(table: &[(&str, &str, &str)]) {
    for (key, value, expected) in table {
        assert_eq!(error(&file(&[(key, value)])), format!("s.json: {expected}"), "for {key} = {value}");
    }
}

#[test]
fn a_file_with_only_the_required_keys_gets_the_defaults_of_the_handout() {
    let expected = Scenario {
        links: Vec::new(),
        duplicate: 0.0,
        damage: 0.0,
        disk: None,
        name: "s".to_owned(),
        replicas: 5,
        rules: Rulebook::Handout,
        wait: None,
        lifetime: Span::from_secs(30),
        end_wait: Span::from_secs(2),
        requests: 100,
        burst: 1,
        mix: 0.8,
        seed: None,
        matrix: ConnectivityMatrix::uniform(5, 0.0).unwrap(),
        network: Network::default(),
        kind: None,
        process: ProcessModel::default(),
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
                total_msgs: [1.0, 2.0, 3.0],
                failures: [0.0, 1.0, 2.0],
                duplicates: [0.0, 2.0, 5.0],
                median_latency: [0.0004, 0.002, 0.05],
            },
        },
    };
    assert_eq!(loaded(&[]), Loaded { scenario: expected, warnings: Vec::new() });
}

#[test]
fn every_key_at_the_top_is_read() {
    let scenario = loaded(&[
        ("wait", "1.5"),
        ("end_wait", "0"),
        ("mix", "1"),
        ("seed", "18446744073709551615"),
        ("drops", "0.25"),
        ("max_packets", "900000"),
        ("workload", r#"{"keys": "shared", "count": 7}"#),
    ])
    .scenario;
    assert_eq!((scenario.wait, scenario.end_wait), (Some(Span::from_millis(1_500)), Span::ZERO));
    assert_eq!((scenario.mix, scenario.seed, scenario.max_packets), (1.0, Some(u64::MAX), 900_000));
    assert_eq!(scenario.matrix, ConnectivityMatrix::uniform(5, 0.25).unwrap());
    assert_eq!(scenario.kind, Some(shared(7)));
}

#[test]
fn whole_numbers_may_be_written_with_a_point() {
    let scenario = loaded(&[("replicas", "21.0"), ("requests", "1e2"), ("seed", "5.0")]).scenario;
    assert_eq!((scenario.replicas, scenario.requests, scenario.seed), (21, 100, Some(5)));
}

#[test]
fn wait_has_two_names() {
    assert_eq!(loaded(&[("start_wait", "3")]).scenario.wait(), Span::from_secs(3));
    assert_eq!(loaded(&[("start_wait", "3"), ("wait", "3.0")]).scenario.wait(), Span::from_secs(3));
}

#[test]
fn many_requests_raise_the_default_of_max_packets_and_its_limit() {
    for (requests, expected) in [("500", 20_000), ("501", 20_040), ("20000", 800_000), ("10000000", 400_000_000)] {
        assert_eq!(loaded(&[("requests", requests)]).scenario.max_packets, expected);
        let most = expected.max(PACKETS_MAX).to_string();
        loaded(&[("requests", requests), ("max_packets", &most)]);
    }
}

#[test]
fn more_replicas_than_the_course_has_raise_the_default_of_max_packets_and_its_limit_with_their_square() {
    let most = |replicas: &str, max_packets: &str| {
        loaded(&[("replicas", replicas), ("max_packets", max_packets)]).scenario.max_packets
    };
    for (replicas, default, limit) in [("21", 20_000, 900_000), ("42", 80_000, 3_600_000), ("101", 462_630, 20_818_367)]
    {
        assert_eq!(loaded(&[("replicas", replicas)]).scenario.max_packets, default);
        assert_eq!(most(replicas, &limit.to_string()), limit);
    }
    let error = error(&file(&[("replicas", "42"), ("max_packets", "3600001")]));
    assert!(error.ends_with("allowed is a whole number from 100 (`requests`) to 3600000"), "{error}");
    assert_eq!(loaded(&[("replicas", "101"), ("requests", "10000")]).scenario.max_packets, 9_252_607);
}

#[test]
fn damage_is_a_fraction_of_either_network_and_of_an_event() {
    let links = r#""model": "links", "delay": {"kind": "constant", "ms": 1}"#;
    for model in [r#""model": "course""#, links] {
        let network = |rest: &str| format!("{{{model}{rest}}}");
        let damage = |rest: &str| loaded(&[("network", &network(rest))]).scenario.damage;
        assert_eq!((damage(""), damage(r#", "damage": 0.25"#), damage(r#", "damage": 1"#)), (0.0, 0.25, 1.0));
        for value in ["-0.1", "1.1", "true"] {
            let error = error(&file(&[("network", &network(&format!(r#", "damage": {value}"#)))]));
            assert_eq!(error, format!("s.json: `network.damage` is {value}; allowed is a number from 0 to 1"));
        }
    }
    let event = |value: &str| format!(r#"[{{"type": "damage", "time": 1, "value": {value}}}]"#);
    let read = loaded(&[("events", &event("0.25"))]).scenario;
    assert_eq!((&read.events[0].fault, read.damage), (&Fault::Damage(0.25), 0.0));
    let error = error(&file(&[("events", &event("2"))]));
    assert_eq!(error, "s.json: `events[0].value` is 2; allowed is a number from 0 to 1");
}

#[test]
fn every_network_is_read() {
    let network = |value| loaded(&[("network", value)]).scenario.network;
    let (ms, us) = (Span::from_millis, Span::from_micros);
    assert_eq!(network(r#"{"model": "course"}"#), Network::default());
    assert_eq!(
        network(r#"{"model": "course", "service": {"kind": "uniform", "min_ms": 0.05, "max_ms": 0.15}}"#),
        Network::Course { service: Delay::Uniform { min: us(50), max: us(150) } }
    );
    assert_eq!(
        network(r#"{"model": "links", "delay": {"kind": "constant", "ms": 0.001}}"#),
        Network::Links { delay: Delay::Constant(us(1)), order: Order::Any }
    );
    assert_eq!(
        network(
            r#"{"model": "links", "delay": {"kind": "exponential", "floor_ms": 1, "mean_ms": 3}, "order": "fifo"}"#
        ),
        Network::Links { delay: Delay::Exponential { floor: ms(1), mean: ms(3) }, order: Order::Fifo }
    );
}

#[test]
fn events_are_sorted_by_time_and_stay_in_order_within_one_time() {
    let events = r#"[{"type": "heal", "time": 9}, {"type": "part_hard", "time": 4}, {"type": "isolate", "time": 9,
        "replica": 4}, {"type": "set_link", "time": 0, "from": 0, "to": 4, "value": 1},
        {"type": "part_end", "time": 9}]"#;
    let events = loaded(&[("wait", "3"), ("events", events)]).scenario.events;
    let names: Vec<_> = events.iter().map(|event| (event.time, event.fault.name())).collect();
    let at = |seconds| Time::ZERO + Span::from_secs(seconds);
    let expected = [(3, "set_link"), (7, "part_hard"), (12, "heal"), (12, "isolate"), (12, "part_end")];
    assert_eq!(names, expected.map(|(seconds, name)| (at(seconds), name)));
    assert_eq!(events[0].fault, Fault::SetLink { from: ReplicaId(0), to: ReplicaId(4), value: 1.0 });
}

#[test]
fn a_text_that_is_not_json_is_refused_with_line_and_column() {
    for (text, expected) in [
        ("", "line 1, column 0: cannot be read as JSON: EOF while parsing a value"),
        ("\u{feff}\n{\"replicas\" 5}", "line 2, column 13: cannot be read as JSON: expected `:`"),
        ("{\"mix\": NaN}", "line 1, column 9: cannot be read as JSON: expected value"),
        ("{\"mix\": 1e999}", "line 1, column 13: cannot be read as JSON: number out of range"),
        ("{} {}", "line 1, column 4: cannot be read as JSON: trailing characters"),
        ("null", "the file holds null; allowed is an object"),
        ("[5]", "the file holds [5]; allowed is an object"),
    ] {
        assert_eq!(error(text), format!("s.json: {expected}"), "for {text}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(error(&deep), "s.json: line 1, column 128: cannot be read as JSON: recursion limit exceeded");
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert!(Scenario::parse("s", "s.json", &format!("\u{feff}{}", file(&[]))).is_ok());
}

#[test]
fn missing_keys_are_named_and_so_are_their_likely_misspellings() {
    assert_messages(&[
        ("lifetime", "", "`lifetime` is missing; allowed is a number of seconds from 0.001 to 1000000"),
        ("replicas", "", "`replicas` is missing; allowed is a whole number from 2 to 101"),
        ("requests", "", "`requests` is missing; allowed is a whole number from 0 to 10000000"),
        (
            "tests",
            "",
            "`tests` is missing; allowed is the thresholds of the four benchmarks, as in {\"benchmarks\": {\"total_msgs\": \
             [2500, 4000, 5000], \"failures\": [0, 1, 5], \"duplicates\": [0, 2, 5], \"median_latency\": [0.001, 0.005, \
             0.05]}}",
        ),
        (
            "tests",
            "{}",
            "`tests.benchmarks` is missing; allowed is four lists of thresholds, as in {\"total_msgs\": [2500, 4000, 5000], \"failures\": [0, 1, 5], \"duplicates\": [0, 2, 5], \"median_latency\": [0.001, 0.005, 0.05]}",
        ),
        (
            "tests",
            r#"{"benchmarks": {"total_msg": [1, 2, 3]}}"#,
            "`tests.benchmarks.total_msgs` is missing; allowed is a list of three numbers from 0 up, none less \
             than the one before; is `total_msg` meant to be it?",
        ),
        (
            "events",
            r#"[{"typ": "part_end", "time": 1}]"#,
            "`events[0].type` is missing; allowed is kill_leader, kill_non_leader, part_easy, part_hard, part_end, \
             partition, set_matrix, set_link, isolate, heal, duplicate, damage, delay_link, kill, crash, restart, pause, \
             resume, clock, slow_disk, full_disk, corrupt_disk, lying_disk, mend_disk, step_down; is `typ` meant to be it?",
        ),
        (
            "network",
            r#"{"model": "links", "delay": {"kind": "uniform", "min_ms": 1}}"#,
            "`network.delay.max_ms` is missing; allowed is a number of milliseconds from 1 (`min_ms`) to 60000",
        ),
    ]);
    let misspelt = error(&file(&[("replicas", ""), ("Replica", "5")]));
    let expected = "`replicas` is missing; allowed is a whole number from 2 to 101; is `Replica` meant to be it?";
    assert_eq!(misspelt, format!("s.json: {expected}"));
}

#[test]
fn values_of_the_wrong_type_or_out_of_range_are_shown_with_what_is_allowed() {
    assert_messages(&[
        ("replicas", "1", "`replicas` is 1; allowed is a whole number from 2 to 101"),
        ("replicas", "102", "`replicas` is 102; allowed is a whole number from 2 to 101"),
        ("replicas", "5.5", "`replicas` is 5.5; allowed is a whole number from 2 to 101"),
        ("replicas", "-5", "`replicas` is -5; allowed is a whole number from 2 to 101"),
        ("replicas", "\"5\"", "`replicas` is \"5\"; allowed is a whole number from 2 to 101; write it without quotes"),
        ("replicas", "null", "`replicas` is null; allowed is a whole number from 2 to 101"),
        ("lifetime", "0.0009", "`lifetime` is 0.0009; allowed is a number of seconds from 0.001 to 1000000"),
        ("lifetime", "1e300", "`lifetime` is 1e+300; allowed is a number of seconds from 0.001 to 1000000"),
        ("requests", "-1", "`requests` is -1; allowed is a whole number from 0 to 10000000"),
        ("requests", "10000001", "`requests` is 10000001; allowed is a whole number from 0 to 10000000"),
        ("mix", "1.01", "`mix` is 1.01; allowed is a number from 0 to 1"),
        ("mix", "true", "`mix` is true; allowed is a number from 0 to 1"),
        ("wait", "-0.1", "`wait` is -0.1; allowed is a number of seconds from 0 to 1000000"),
        ("start_wait", "[]", "`start_wait` is []; allowed is a number of seconds from 0 to 1000000"),
        ("end_wait", "1000001", "`end_wait` is 1000001; allowed is a number of seconds from 0 to 1000000"),
        ("seed", "-1", "`seed` is -1; allowed is a whole number from 0 to 18446744073709551615"),
        ("seed", "0.5", "`seed` is 0.5; allowed is a whole number from 0 to 18446744073709551615"),
        (
            "seed",
            "18446744073709551616",
            "`seed` is 1.8446744073709552e+19; allowed is a whole number from 0 to 18446744073709551615",
        ),
        ("drops", "-0.1", "`drops` is -0.1; allowed is a number from 0 to 1"),
        ("max_packets", "99", "`max_packets` is 99; allowed is a whole number from 100 (`requests`) to 900000"),
        ("max_packets", "900001", "`max_packets` is 900001; allowed is a whole number from 100 (`requests`) to 900000"),
        ("matrix", "0.5", "`matrix` is 0.5; allowed is a list of 5 rows, one for each replica"),
        ("matrix", "[[0]]", "`matrix` is a list of 1; allowed is a list of 5 rows, one for each replica"),
        (
            "matrix",
            "[[0,0,0,0,0],[0,0],[],[],[]]",
            "`matrix[1]` is a list of 2; allowed is a list of 5 numbers, one for each replica",
        ),
        ("matrix", "[[0,0,0,0,0],[0,0,0,1.5,0],[],[],[]]", "`matrix[1][3]` is 1.5; allowed is a number from 0 to 1"),
    ]);
}

#[test]
fn network_and_workload_are_checked() {
    assert_messages(&[
        ("network", "\"links\"", "`network` is \"links\"; allowed is an object"),
        ("network", "{}", "`network.model` is missing; allowed is course, links"),
        (
            "network",
            r#"{"model": "link"}"#,
            "`network.model` is \"link\"; allowed is course, links; did you mean `links`?",
        ),
        (
            "network",
            r#"{"model": "links"}"#,
            "`network.delay` is missing; allowed is a delay, as in {\"kind\": \"constant\", \"ms\": 5}",
        ),
        (
            "network",
            r#"{"model": "links", "order": "FIFO", "delay": {}}"#,
            "`network.order` is \"FIFO\"; allowed is any, fifo; did you mean `fifo`?",
        ),
        (
            "network",
            r#"{"model": "links", "delay": {"kind": "normal"}}"#,
            "`network.delay.kind` is \"normal\"; allowed is constant, uniform, exponential, heavy_tail",
        ),
        (
            "network",
            r#"{"model": "links", "delay": {"kind": "constant", "ms": 0}}"#,
            "`network.delay.ms` is 0; allowed is a number of milliseconds from 0.001 to 60000",
        ),
        (
            "network",
            r#"{"model": "links", "delay": {"kind": "uniform", "min_ms": 5, "max_ms": 4}}"#,
            "`network.delay.max_ms` is 4; allowed is a number of milliseconds from 5 (`min_ms`) to 60000",
        ),
        (
            "network",
            r#"{"model": "course", "service": {"kind": "exponential", "floor_ms": 60001, "mean_ms": 1}}"#,
            "`network.service.floor_ms` is 60001; allowed is a number of milliseconds from 0.001 to 60000",
        ),
        (
            "network",
            r#"{"model": "course", "service": {"kind": "exponential", "floor_ms": 1, "mean_ms": -1}}"#,
            "`network.service.mean_ms` is -1; allowed is a number of milliseconds from 0 to 60000",
        ),
        (
            "network",
            r#"{"model": "links", "delay": {"kind": "constant", "ms": 1},
                "links": [{"from": 1, "to": 1, "delay": {"kind": "constant", "ms": 2}}]}"#,
            "`network.links[0].to` is 1; allowed is another replica than `from`",
        ),
        (
            "network",
            r#"{"model": "links", "delay": {"kind": "constant", "ms": 1},
                "links": [{"from": 0, "to": 1, "delay": {"kind": "constant", "ms": 2}},
                          {"from": 1, "to": 0, "delay": {"kind": "constant", "ms": 2}},
                          {"from": 0, "to": 1, "delay": {"kind": "constant", "ms": 3}}]}"#,
            "`network.links[2]` is {\"from\":0,\"to\":1,\"delay\":{\"kind\":\"constant\",\"ms\":3}}; \
             allowed is a link that does not stand in the list already",
        ),
        ("workload", "[]", "`workload` is []; allowed is an object"),
        ("workload", r#"{"keys": 7}"#, "`workload.keys` is 7; allowed is private, shared"),
        (
            "workload",
            r#"{"keys": "share"}"#,
            "`workload.keys` is \"share\"; allowed is private, shared; did you mean `shared`?",
        ),
        (
            "workload",
            r#"{"keys": "shared"}"#,
            "`workload.count` is missing; allowed is a whole number from 1 to 1000000",
        ),
        (
            "workload",
            r#"{"keys": "shared", "count": 0}"#,
            "`workload.count` is 0; allowed is a whole number from 1 to 1000000",
        ),
    ]);
}

#[test]
fn events_are_checked() {
    assert_messages(&[
        ("events", "{}", "`events` is {}; allowed is a list of events"),
        ("events", "[7]", "`events[0]` is 7; allowed is an object"),
        (
            "events",
            r#"[{"type": "part_end", "time": 1}, {"type": "kil_leader", "time": 1}]"#,
            "`events[1].type` is \"kil_leader\"; allowed is kill_leader, kill_non_leader, part_easy, part_hard, \
             part_end, partition, set_matrix, set_link, isolate, heal, duplicate, damage, delay_link, kill, crash, restart, \
             pause, resume, clock, slow_disk, full_disk, corrupt_disk, lying_disk, mend_disk, step_down; did you mean `kill_leader`?",
        ),
        (
            "events",
            r#"[{"type": "part_end"}]"#,
            "`events[0].time` is missing; allowed is a number of seconds from 0 to 30 (`lifetime`)",
        ),
        (
            "events",
            r#"[{"type": "part_end", "time": 30.5}]"#,
            "`events[0].time` is 30.5; allowed is a number of seconds from 0 to 30 (`lifetime`)",
        ),
        (
            "events",
            r#"[{"type": "set_matrix", "time": 1, "matrix": []}]"#,
            "`events[0].matrix` is a list of 0; allowed is a list of 5 rows, one for each replica",
        ),
        (
            "events",
            r#"[{"type": "set_link", "time": 1, "from": 5, "to": 0, "value": 0}]"#,
            "`events[0].from` is 5; allowed is a replica's number, from 0 to 4",
        ),
        (
            "events",
            r#"[{"type": "set_link", "time": 1, "from": 0, "to": "4", "value": 0}]"#,
            "`events[0].to` is \"4\"; allowed is a replica's number, from 0 to 4; write it without quotes",
        ),
        (
            "events",
            r#"[{"type": "set_link", "time": 1, "from": 0, "to": 4, "value": 2}]"#,
            "`events[0].value` is 2; allowed is a number from 0 to 1",
        ),
        (
            "events",
            r#"[{"type": "isolate", "time": 1}]"#,
            "`events[0].replica` is missing; allowed is a replica's number, from 0 to 4, or \"leader\" or \"follower\"",
        ),
    ]);
}

#[test]
fn tests_are_checked() {
    let benchmarks = |failures: &str| TESTS.replace("[0, 1, 2]", failures);
    for (value, expected) in [
        (
            "7".to_owned(),
            "`tests` is 7; allowed is the thresholds of the four benchmarks, as in {\"benchmarks\": {\"total_msgs\": [2500, \
             4000, 5000], \"failures\": [0, 1, 5], \"duplicates\": [0, 2, 5], \"median_latency\": [0.001, 0.005, 0.05]}}",
        ),
        (
            r#"{"benchmarks": null}"#.to_owned(),
            "`tests.benchmarks` is null; allowed is four lists of thresholds, as in {\"total_msgs\": [2500, 4000, 5000], \"failures\": [0, 1, 5], \"duplicates\": [0, 2, 5], \"median_latency\": [0.001, 0.005, 0.05]}",
        ),
        (
            r#"{"maximum_get_fail_fraction": 1.5}"#.to_owned(),
            "`tests.maximum_get_fail_fraction` is 1.5; allowed is a number from 0 to 1",
        ),
        (
            benchmarks("[0, 1]"),
            "`tests.benchmarks.failures` is a list of 2; allowed is a list of three numbers from 0 up, none less \
             than the one before",
        ),
        (
            benchmarks("[0, 5, 2]"),
            "`tests.benchmarks.failures` is [0,5,2]; allowed is a list of three numbers from 0 up, none less than \
             the one before",
        ),
        (benchmarks("[-1, 1, 2]"), "`tests.benchmarks.failures[0]` is -1; allowed is a number from 0 up"),
        (benchmarks(r#"[0, 1, "many"]"#), "`tests.benchmarks.failures[2]` is \"many\"; allowed is a number from 0 up"),
    ] {
        assert_eq!(error(&file(&[("tests", &value)])), format!("s.json: {expected}"));
    }
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    assert_eq!(
        error(&file(&[("wait", "2"), ("start_wait", "3")])),
        "s.json: both `wait` and `start_wait` are given; allowed is one of them, or the same value in both"
    );
    assert_eq!(
        error(&file(&[("drops", "0"), ("matrix", "[]")])),
        "s.json: both `matrix` and `drops` are given; allowed is one of them"
    );
}

#[test]
fn a_key_given_twice_is_refused_wherever_it_stands() {
    let twice = |text: &str| error(&file(&[("events", text)]));
    assert_eq!(error(r#"{"mix": 1, "mix": 1}"#), "s.json: `mix` is given more than once; allowed is once");
    assert_eq!(
        twice(r#"[{"type": "heal", "time": 1, "time": 2}]"#),
        "s.json: `events[0].time` is given more than once; allowed is once"
    );
}

#[test]
fn unknown_keys_are_warnings_that_name_the_nearest_known_one() {
    for (changes, expected) in [
        ([("drop", "0.5")], "unknown key `drop` is ignored; did you mean `drops`?"),
        ([("comment", "\"hi\"")], "unknown key `comment` is ignored"),
    ] {
        assert_eq!(loaded(&changes).warnings, [format!("s.json: {expected}")]);
    }
}

#[test]
fn unknown_keys_in_objects_of_our_own_are_errors_that_name_the_nearest_known_one() {
    for (changes, expected) in [
        (
            [("events", r#"[{"type": "part_end", "time": 1, "replica": 1}]"#)],
            "unknown key `events[0].replica`; allowed is type, time",
        ),
        (
            [("events", r#"[{"type": "kill", "tine": 1, "replica": 1}]"#)],
            "unknown key `events[0].tine`; allowed is type, time, replica; did you mean `time`?",
        ),
        (
            [("network", r#"{"model": "course", "servce": 1}"#)],
            "unknown key `network.servce`; allowed is model, service, duplicate, damage; did you mean `service`?",
        ),
        (
            [("network", r#"{"model": "course", "service": {"kind": "constant", "ms": 1, "mean_ms": 1}}"#)],
            "unknown key `network.service.mean_ms`; allowed is kind, ms",
        ),
        (
            [("workload", r#"{"keys": "private", "count": 5}"#)],
            "unknown key `workload.count`; allowed is keys, kind, updates",
        ),
    ] {
        assert_eq!(error(&file(&changes)), format!("s.json: {expected}"));
    }
}

#[test]
fn a_key_of_tests_that_stands_at_the_top_is_ignored_with_a_warning_as_in_the_courses_files() {
    let Loaded { scenario, warnings } = loaded(&[("maximum_get_generation_fail_fraction", "0.2")]);
    assert_eq!(scenario.tests.maximum_get_generation_fail_fraction, 0.1);
    assert_eq!(
        warnings,
        ["s.json: unknown key `maximum_get_generation_fail_fraction` is ignored; did you mean \
             `tests.maximum_get_generation_fail_fraction`?"]
    );
}

#[test]
fn no_name_and_no_value_breaks_the_line_of_a_message() {
    let long = format!("[{}0]", "0,".repeat(100_000));
    let shown =
        format!("s.json: `lifetime` is [{}0...; allowed is a number of seconds from 0.001 to 1000000", "0,".repeat(29));
    assert_eq!(error(&file(&[("lifetime", &long)])), shown);
    let odd = Scenario::parse("s", "a\nb", &file(&[("c\\nd", "1")])).unwrap();
    assert_eq!(odd.warnings, ["a\\nb: unknown key `c\\nd` is ignored"]);
}
