//! Scenarios that are written to files and read again.

use crate::common::{all_scenario_files, scenario};
use seedbed::chaos::{Act, ConnectivityMatrix, Fault, FaultEvent, Loss, Rulebook, Target};
use seedbed::engine::Rate;
use seedbed::id::{ReplicaId, ReplicaSet};
use seedbed::rng::Stream;
use seedbed::scenario::{Benchmarks, Delay, LinkDelay, Network, Order, ProcessModel, Scenario, Tests};
use seedbed::service::{Custom, Operation, RequestId, Text, Update};
use seedbed::time::{Span, Time};
use seedbed::workload::{CLIENTS, CustomKind, Keys, Kind, Patience, ScriptedOperation};

fn written(scenario: &Scenario) -> String {
    let mut out = Vec::new();
    scenario.write_json(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Reads a text without a warning.
#[track_caller]
fn read(name: &str, text: &str) -> Scenario {
    let loaded = Scenario::parse(name, "written.json", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(loaded.warnings, [""; 0]);
    loaded.scenario
}

#[track_caller]
fn assert_comes_back(scenario: &Scenario) {
    let text = written(scenario);
    assert_eq!(&read(&scenario.name, &text), scenario, "{text}");
    assert_eq!(&read(&scenario.name, &scenario.to_json().to_string()), scenario);
}

#[test]
fn every_shipped_scenario_comes_back_from_its_own_file() {
    let files = all_scenario_files();
    assert!(files.len() > 25, "{files:?}");
    for path in files {
        assert_comes_back(&scenario(path));
    }
}

#[test]
fn a_random_scenario_comes_back_to_the_bit() {
    let mut dice = Stream::new(1, "scenarios");
    for _ in 0..400 {
        assert_comes_back(&random_scenario(&mut dice));
    }
}

#[test]
fn as_many_operations_and_losses_as_are_allowed_fit_into_a_file_that_can_be_read() {
    let text = |i: u64| Text::from(format!("{i:032}"));
    let operations = (0..100_000).map(|i| ScriptedOperation {
        time: Span(i * 299_999),
        client: (i % 8) as usize,
        aim: None,
        operation: Operation::Put { key: text(i % 7), value: text(i) },
    });
    let mut scenario = scenario("scenarios/simple-1.json").with_operations(operations.collect());
    let losses = (1..=100_000).map(|nth| Loss { from: ReplicaId(3), to: ReplicaId(4), nth });
    scenario.losses = losses.collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("simple-1.json");
    std::fs::write(&path, written(&scenario)).unwrap();
    assert_eq!(Scenario::load(&path).unwrap().scenario, scenario);
}

#[test]
fn a_written_file_is_short_and_its_lists_have_one_line_for_each_item() {
    let text = r#"{
  "lifetime": 0.25,
  "replicas": 3,
  "seed": 18446744073709551615,
  "matrix": [
    [0, 0.1, 0],
    [1, 0, 0],
    [0, 0, 0]
  ],
  "network": {"model": "links", "delay": {"kind": "uniform", "min_ms": 1.000001, "max_ms": 10}, "order": "fifo"},
  "events": [
    {"type": "part_hard", "time": 0},
    {"type": "kill", "time": 0.1, "replica": 2},
    {"type": "set_link", "time": 0.2, "from": 0, "to": 1, "value": 0.5},
    {"type": "set_matrix", "time": 0.25, "matrix": [[0, 0, 0], [0, 0, 0], [0, 0, 0]]}
  ],
  "losses": [
    {"from": 0, "to": 1, "nth": 17}
  ],
  "operations": [
    {"time": 0, "client": 0, "put": "a \"key\"", "value": "1"},
    {"time": 0.000000001, "client": 7, "get": "a \"key\""}
  ],
  "tests": {
    "maximum_get_fail_fraction": 1,
    "benchmarks": {
      "total_msgs": [1200, 3000, 5000],
      "failures": [0, 1, 2],
      "duplicates": [0, 2, 5],
      "median_latency": [0.0004, 0.002, 0.05]
    }
  }
}
"#;
    let text = text.replace("0.000000001", "1e-9");
    assert_eq!(written(&read("s", &text)), text);
}

#[test]
fn defaults_are_left_out_and_a_file_without_lists_is_written_as_people_write_it() {
    let text = r#"{
  "lifetime": 30,
  "replicas": 5,
  "requests": 400,
  "burst": 8,
  "mix": 0.5,
  "wait": 0,
  "end_wait": 5,
  "drops": 0.1,
  "max_packets": 100000,
  "network": {"model": "course", "service": {"kind": "constant", "ms": 0.05}},
  "workload": {"keys": "shared", "count": 10},
  "tests": {
    "benchmarks": {
      "total_msgs": [5000, 15000, 50000],
      "failures": [20, 100, 200],
      "duplicates": [0, 20, 100],
      "median_latency": [0.01, 0.1, 1]
    }
  }
}
"#;
    assert_eq!(written(&read("s", text)), text);
}

/// A file with these lines after `replicas`.
fn file_with(lines: &str) -> String {
    let tests = r#"  "tests": {
    "benchmarks": {
      "total_msgs": [1, 2, 3],
      "failures": [1, 2, 3],
      "duplicates": [1, 2, 3],
      "median_latency": [1, 2, 3]
    }
  }
"#;
    format!("{{\n  \"lifetime\": 1,\n  \"replicas\": 3,\n{lines}{tests}}}\n")
}

#[test]
fn kinds_and_clients_that_give_up_are_written_as_people_write_them() {
    for (kind, clients) in [
        (r#"{"keys": "private", "updates": true}"#, r#"{"timeout_ms": 250}"#),
        (r#"{"keys": "shared", "count": 3, "updates": true}"#, r#"{"timeout_ms": 1, "retries": 1000}"#),
        (r#"{"kind": "cas"}"#, r#"{"timeout_ms": 1.5}"#),
        (r#"{"kind": "cas", "count": 1, "updates": true}"#, r#"{"timeout_ms": 60000}"#),
        (r#"{"kind": "queue", "count": 4}"#, r#"{"timeout_ms": 250}"#),
        (r#"{"kind": "lock", "count": 1, "hold_ms": 0}"#, r#"{"timeout_ms": 250}"#),
    ] {
        let lines = format!("  \"requests\": 9,\n  \"workload\": {kind},\n  \"clients\": {clients},\n");
        let text = file_with(&lines);
        assert_eq!(written(&read("s", &text)), text);
    }
}

#[test]
fn operations_of_all_kinds_are_written_as_people_write_them() {
    let of_lists = r#"  "workload": {"kind": "list"},
  "operations": [
    {"time": 0, "client": 0, "get": "l"}
  ],
"#;
    let customs = r#"  "workload": {"kind": "custom", "name": "bank"},
  "operations": [
    {"time": 0, "client": 0, "custom": "transfer", "key": "bank", "argument": "0 1 50"},
    {"time": 0, "client": 0, "custom": "balances", "key": "bank"}
  ],
"#;
    let updates = r#"  "operations": [
    {"time": 0, "client": 0, "replica": "leader", "put": "k", "value": "a"},
    {"time": 0, "client": 1, "update": "k", "value": "", "expected": "a", "name": [18446744073709551615, 1]},
    {"time": 0, "client": 1, "replica": 2, "update": "k", "value": "b"},
    {"time": 0.5, "client": 2, "replica": "follower", "get": "k"}
  ],
"#;
    let list = |items: &str| {
        let lines: Vec<String> =
            items.lines().map(|item| format!("    {{\"time\": 0, \"client\": 0, {item}}}")).collect();
        format!("  \"operations\": [\n{}\n  ],\n", lines.join(",\n"))
    };
    for (lines, specification) in [
        (updates.to_owned(), "cas"),
        (of_lists.to_owned(), "list"),
        (customs.to_owned(), "bank"),
        (list("\"get\": \"k\""), "register"),
        (list("\"update\": \"k\", \"value\": \"a\", \"name\": [7, 1]"), "cas"),
        (list("\"update\": \"k\", \"value\": \"a\""), "cas"),
        (list("\"append\": \"l\", \"value\": \"a\"\n\"get\": \"l\""), "list"),
        (list("\"add\": \"n\", \"amount\": -9223372036854775808\n\"get\": \"n\""), "counter"),
        (list("\"enqueue\": \"q\", \"value\": \"a\"\n\"dequeue\": \"q\""), "queue"),
        (list("\"acquire\": \"l\"\n\"release\": \"l\""), "lock"),
    ] {
        let text = file_with(&lines);
        let scenario = read("s", &text);
        assert_eq!((written(&scenario), scenario.specification_name()), (text, specification));
    }
}

#[test]
fn an_empty_list_of_operations_is_not_left_out() {
    let scenario = scenario("scenarios/simple-1.json").with_operations(Vec::new());
    assert_comes_back(&scenario);
    assert!(written(&scenario).contains("\"operations\": []"));
}

/// A valid scenario with anything in it that can be in one.
fn random_scenario(dice: &mut Stream) -> Scenario {
    let replicas = dice.between(3, 101) as usize;
    let lifetime = long(dice).max(Span::from_millis(1));
    let rules = Rulebook::ALL[dice.below(2) as usize];
    let wait = if dice.chance(0.3) { Some(Span::from_secs(2)) } else { dice.chance(0.7).then(|| long(dice)) };
    let start = Time::ZERO + wait.unwrap_or(rules.default_wait());
    let network = network(dice);
    let requests = dice.pick(&[0, 1, 500, 501, 30_000, 10_000_000]).copied().unwrap();
    let mut events: Vec<FaultEvent> = (0..dice.below(8)).map(|_| event(replicas, start, lifetime, dice)).collect();
    events.retain(|event| {
        let delays_link = matches!(event.fault, Fault::DelayLink { .. });
        !delays_link || matches!(network, Network::Links { .. })
    });
    events.sort_by_key(|event| event.time);
    let max_packets = if dice.chance(0.5) { 20_000.max(40 * requests) } else { 900_000.max(requests) };
    let scenario = Scenario {
        name: "random".to_owned(),
        rules,
        replicas,
        wait,
        lifetime,
        end_wait: long(dice),
        requests,
        burst: if dice.chance(0.5) { 1 } else { dice.between(1, 1_000) },
        mix: fraction(dice),
        seed: dice.chance(0.5).then(|| dice.next_u64()),
        matrix: matrix(replicas, dice),
        network,
        links: links(replicas, network, dice),
        duplicate: if dice.chance(0.5) { 0.0 } else { fraction(dice) },
        damage: if dice.chance(0.5) { 0.0 } else { fraction(dice) },
        disk: dice.chance(0.5).then(|| delay(dice)),
        process: if dice.chance(0.5) { ProcessModel::default() } else { process(dice) },
        kind: dice.chance(0.9).then(|| kind(dice)),
        patience: dice
            .chance(0.3)
            .then(|| Patience { timeout: delay_part(1_000_000, dice), retries: any_size(1_000, dice) as u32 }),
        operations: None,
        max_packets,
        events,
        losses: losses(replicas, dice),
        tests: Tests {
            maximum_get_fail_fraction: fraction(dice),
            maximum_put_fail_fraction: fraction(dice),
            maximum_get_generation_fail_fraction: fraction(dice),
            maximum_appends_batched_fraction: fraction(dice),
            benchmarks: Benchmarks {
                total_msgs: thresholds(dice),
                failures: thresholds(dice),
                duplicates: thresholds(dice),
                median_latency: thresholds(dice),
            },
        },
    };
    if dice.chance(0.5) {
        let (count, kind) = (dice.below(12), dice.below(7));
        let operations = (0..count).map(|_| operation(kind, replicas, lifetime, dice)).collect();
        let scenario = scenario.with_operations(operations);
        // Only operations of a type of their own can have a kind that says its name.
        let kind = if kind == 6 { Some(Kind::Custom(CustomKind::named("a type"))) } else { scenario.kind.clone() };
        Scenario { kind, ..scenario }
    } else {
        scenario
    }
}

fn kind(dice: &mut Stream) -> Kind {
    let count = if dice.chance(0.3) { 3 } else { dice.between(1, 1_000_000) as u32 };
    let updates = dice.chance(0.5);
    match dice.below(7) {
        0 => Kind::Kv { keys: Keys::Private, updates },
        1 => Kind::Kv { keys: Keys::Shared { count }, updates },
        2 => Kind::Cas { count, updates },
        3 => Kind::List { count },
        4 => Kind::Counter { count },
        5 => Kind::Queue { count },
        _ => Kind::Lock { count, hold_max: if dice.chance(0.5) { Span::from_secs(1) } else { delay_part(0, dice) } },
    }
}

/// A whole number up to `most`, of any size: as often small as large.
fn any_size(most: u64, dice: &mut Stream) -> u64 {
    let bits = dice.below(65);
    let number = if bits == 0 { 0 } else { dice.next_u64() >> (64 - bits) };
    number.min(most)
}

fn long(dice: &mut Stream) -> Span {
    Span(any_size(1_000_000_000_000_000, dice))
}

fn delay_part(least: u64, dice: &mut Stream) -> Span {
    Span(any_size(60_000_000_000, dice).max(least))
}

fn fraction(dice: &mut Stream) -> f64 {
    let any = [0.0, 1.0, 0.1, 0.5, 0.8, dice.unit(), f64::from_bits(any_size(1.0f64.to_bits(), dice))];
    *dice.pick(&any).unwrap()
}

fn thresholds(dice: &mut Stream) -> [f64; 3] {
    let mut thresholds = [0; 3].map(|_| f64::from_bits(any_size(f64::MAX.to_bits(), dice)));
    thresholds.sort_by(f64::total_cmp);
    thresholds
}

fn matrix(replicas: usize, dice: &mut Stream) -> ConnectivityMatrix {
    if dice.chance(0.5) {
        return ConnectivityMatrix::uniform(replicas, fraction(dice)).unwrap();
    }
    let rows: Vec<Vec<f64>> = (0..replicas).map(|_| (0..replicas).map(|_| fraction(dice)).collect()).collect();
    ConnectivityMatrix::from_rows(replicas, &rows).unwrap()
}

/// Durations of a second at most, each in nanoseconds.
fn process(dice: &mut Stream) -> ProcessModel {
    let mut span = || Span(dice.below(1_000_000_000));
    let (least, more) = (span(), span());
    ProcessModel {
        wake: (least, Span(least.nanos().max(more.nanos()))),
        send: span(),
        receive: span(),
        poll: span(),
        clock_read: span(),
        call: span(),
        drawn_turns: dice.chance(0.5),
    }
}

fn delay(dice: &mut Stream) -> Delay {
    match dice.below(4) {
        0 => Delay::Constant(delay_part(1_000, dice)),
        1 => {
            let (one, other) = (delay_part(1_000, dice), delay_part(1_000, dice));
            Delay::Uniform { min: one.min(other), max: one.max(other) }
        }
        2 => Delay::Exponential { floor: delay_part(1_000, dice), mean: delay_part(0, dice) },
        _ => Delay::HeavyTail { floor: delay_part(1_000, dice), median: delay_part(0, dice) },
    }
}

fn links(replicas: usize, network: Network, dice: &mut Stream) -> Vec<LinkDelay> {
    if !matches!(network, Network::Links { .. }) {
        return Vec::new();
    }
    let mut links = Vec::<LinkDelay>::new();
    for _ in 0..3 {
        let (from, to) = link(replicas, dice);
        if links.iter().all(|other| (other.from, other.to) != (from, to)) {
            links.push(LinkDelay { from, to, delay: delay(dice) });
        }
    }
    links
}

fn link(replicas: usize, dice: &mut Stream) -> (ReplicaId, ReplicaId) {
    let from = replica(replicas, dice);
    let others: Vec<ReplicaId> = ReplicaId::all(replicas).filter(|&other| other != from).collect();
    (from, *dice.pick(&others).expect("there are several replicas"))
}

fn network(dice: &mut Stream) -> Network {
    let delay = delay(dice);
    match dice.below(4) {
        0 => Network::default(),
        1 => Network::Course { service: delay },
        2 => Network::Links { delay, order: Order::Any },
        _ => Network::Links { delay, order: Order::Fifo },
    }
}

fn replica(replicas: usize, dice: &mut Stream) -> ReplicaId {
    ReplicaId(dice.below(replicas as u64) as u8)
}

fn event(replicas: usize, start: Time, lifetime: Span, dice: &mut Stream) -> FaultEvent {
    let fault = match dice.below(15) {
        0 => Fault::KillLeader,
        1 => Fault::KillNonLeader,
        2 => Fault::PartEasy,
        3 => Fault::PartHard,
        4 => Fault::PartEnd,
        5 => {
            let act = act(dice);
            let may_hit_all = act.row().required == 0;
            let at = if may_hit_all && dice.chance(0.5) { None } else { Some(target(replicas, dice)) };
            Fault::Host { at, act }
        }
        6 => Fault::SetMatrix(matrix(replicas, dice)),
        7 => Fault::SetLink { from: replica(replicas, dice), to: replica(replicas, dice), value: fraction(dice) },
        8 => Fault::Isolate(target(replicas, dice)),
        9 => Fault::Duplicate(fraction(dice)),
        12 => Fault::Damage(fraction(dice)),
        10 => {
            let (from, to) = link(replicas, dice);
            Fault::DelayLink { from, to, delay: dice.chance(0.7).then(|| delay(dice)) }
        }
        11 => {
            let one: ReplicaSet = (0..4).map(|_| replica(replicas, dice)).collect();
            let other: ReplicaSet = (0..4).map(|_| replica(replicas, dice)).collect();
            Fault::Partition([one, other.minus(one)].into_iter().filter(|group| !group.is_empty()).collect())
        }
        _ => Fault::Heal,
    };
    FaultEvent { time: start + Span(any_size(lifetime.nanos(), dice)), fault }
}

fn target(replicas: usize, dice: &mut Stream) -> Target {
    let one = Target::Replica(replica(replicas, dice));
    *dice.pick(&[Target::Leader, Target::Follower, one]).unwrap()
}

fn act(dice: &mut Stream) -> Act {
    let jump = if dice.chance(0.5) { Span::ZERO } else { delay_part(0, dice) };
    let rate = if dice.chance(0.5) { Rate::EXACT } else { Rate::new(0.01 + 99.0 * dice.unit()).unwrap() };
    let acts = [
        Act::Kill,
        Act::Crash,
        Act::Restart { wipe: dice.chance(0.5) },
        Act::Pause,
        Act::Resume,
        Act::Clock { rate, jump },
        Act::SlowDisk { times: dice.between(1, 1_000_000) },
        Act::FullDisk,
        Act::CorruptDisk,
        Act::LyingDisk,
        Act::MendDisk,
        Act::StepDown,
    ];
    *dice.pick(&acts).unwrap()
}

fn losses(replicas: usize, dice: &mut Stream) -> Vec<Loss> {
    let mut losses = Vec::new();
    for _ in 0..dice.below(8) {
        let (from, to) = (replica(replicas, dice), replica(replicas, dice));
        let loss = Loss { from, to, nth: any_size(1_000_000_000, dice).max(1) };
        if from != to && !losses.contains(&loss) {
            losses.push(loss);
        }
    }
    losses
}

/// One of the operations of a kind by number.
fn operation(kind: u64, replicas: usize, lifetime: Span, dice: &mut Stream) -> ScriptedOperation {
    let (key, value) = (text(dice), text(dice));
    let first = dice.chance(0.5);
    let operation = match kind {
        0 if first => Operation::Get { key },
        0 => Operation::Put { key, value },
        1 => {
            let perhaps_empty = |text: Text, dice: &mut Stream| if dice.chance(0.2) { Text::default() } else { text };
            let expected = dice.chance(0.5).then(|| text(dice)).map(|text| perhaps_empty(text, dice));
            let name =
                dice.chance(0.5).then(|| RequestId { client: dice.next_u64(), number: any_size(u64::MAX, dice) });
            Operation::Update(Update { key, value: perhaps_empty(value, dice), expected, request: name }.into())
        }
        2 if first => Operation::Get { key },
        2 => Operation::Append { key, value },
        3 if first => Operation::Get { key },
        3 => Operation::Add { key, amount: dice.next_u64() as i64 >> dice.below(64) },
        4 if first => Operation::Dequeue { key },
        4 => Operation::Enqueue { key, value },
        5 if first => Operation::Acquire { key },
        5 => Operation::Release { key },
        _ if first => Operation::Custom(Custom { name: value, key, argument: None }.into()),
        _ => Operation::Custom(Custom { name: text(dice), key, argument: Some(value) }.into()),
    };
    ScriptedOperation {
        time: Span(any_size(lifetime.nanos(), dice)),
        client: dice.below(CLIENTS as u64) as usize,
        aim: dice.chance(0.3).then(|| target(replicas, dice)),
        operation,
    }
}

fn text(dice: &mut Stream) -> Text {
    const LETTERS: [char; 12] = ['a', 'Z', '0', ' ', '"', '\\', '/', '\n', '\0', '\u{7f}', 'é', '\u{1F600}'];
    let length = *dice.pick(&[1, 2, 5, 32, 1_000]).unwrap();
    (0..length).map(|_| *dice.pick(&LETTERS).unwrap()).collect::<String>().into()
}
