//! The scenario files that ship, and what happens to files that are damaged.

use std::fs;
use std::path::{Path, PathBuf};

use seedbed::chaos::{ConnectivityMatrix, Fault, FaultEvent, Target};
use seedbed::id::{REPLICAS_MAX, REPLICAS_MIN, ReplicaId};
use seedbed::rng::Stream;
use seedbed::scenario::{Network, Scenario, ScenarioError, load_matrix};
use seedbed::time::{Span, Time};
use seedbed::workload::{CLIENTS, Kind, ScriptedOperation};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// The scenario files in a folder of `scenarios/`, in order of their names.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    assert!(files.iter().all(|path| path.extension().is_some_and(|ending| ending == "json")), "{files:?}");
    files
}

fn all_files() -> Vec<PathBuf> {
    ["", "chaos", "harsh"].into_iter().flat_map(files).collect()
}

fn load(path: &Path) -> Scenario {
    Scenario::load(path).unwrap_or_else(|error| panic!("{error}")).scenario
}

/// The published suite: name | requests, mix, drops, maximum_get_generation_fail_fraction, end_wait | events |
/// thresholds of total_msgs | failures | duplicates | median_latency. Events: L kills the leader, N another replica, E
/// is an easy and H a hard partition, X its end.
const SUITE: &str = "\
advanced-1 | 250 0.2 0.1 0.2 2 | H5 X8 H12 X15 L20 | 1000 3000 4000 | 1 10 100 | 0 3 6 | 0.00015 0.005 0.05
advanced-2 | 300 0.2 0.15 0.2 5 | L8 L16 | 1000 3000 4000 | 1 10 100 | 0 5 10 | 0.00015 0.005 0.05
advanced-3 | 200 0.2 0.3 0.2 10 | L5 | 1000 3000 4000 | 1 10 100 | 0 6 20 | 0.0002 0.005 0.1
advanced-4 | 300 0.2 0.1 0.2 5 | H5 X8 H12 X15 H19 X21 L25 | 1000 4000 5000 | 1 10 100 | 0 6 10 | 0.0002 0.005 0.1
crash-1 | 500 0.2 0 0.1 2 | N15 | 2500 4000 5000 | 0 1 5 | 0 2 5 | 0.001 0.005 0.05
crash-2 | 500 0.2 0 0.1 2 | N10 N20 | 2500 4000 5000 | 0 1 5 | 0 2 5 | 0.001 0.005 0.05
crash-3 | 400 0.2 0 0.1 2 | L10 | 2000 4000 5000 | 0 2 5 | 0 2 10 | 0.0002 0.005 0.05
crash-4 | 300 0.2 0 0.1 2 | L8 L16 | 1800 4000 5000 | 1 4 10 | 0 2 10 | 0.00015 0.005 0.05
partition-1 | 400 0.2 0 0.1 2 | E5 X10 | 2200 4000 5000 | 0 1 5 | 0 2 5 | 0.0002 0.005 0.05
partition-2 | 300 0.2 0 0.1 2 | E5 X10 E18 X23 | 1800 4000 5000 | 0 1 5 | 0 2 5 | 0.0002 0.005 0.05
partition-3 | 400 0.2 0 0.1 2 | H5 X10 | 2200 4000 5000 | 0 10 30 | 0 2 5 | 0.00025 0.005 0.05
partition-4 | 300 0.2 0 0.1 2 | H5 X10 H18 X23 | 1800 4000 5000 | 0 20 60 | 0 2 5 | 0.00025 0.005 0.05
simple-1 | 500 0.8 0 0.1 2 | | 1200 3000 5000 | 0 1 2 | 0 2 5 | 0.0004 0.002 0.05
simple-2 | 500 0.2 0 0.1 2 | | 2200 4000 5000 | 0 1 2 | 0 2 5 | 0.001 0.005 0.05
unreliable-1 | 500 0.2 0.05 0.1 2 | | 2200 4500 5500 | 0 1 2 | 0 2 5 | 0.001 0.005 0.05
unreliable-2 | 500 0.2 0.1 0.1 2 | | 2300 4500 6000 | 0 1 2 | 0 2 5 | 0.001 0.005 0.05
unreliable-3 | 500 0.2 0.15 0.2 2 | | 2300 4500 6000 | 0 1 5 | 0 3 6 | 0.001 0.005 0.05";

/// A scenario as a line of [`SUITE`].
fn line(scenario: &Scenario) -> String {
    let start = scenario.start();
    let event = |event: &FaultEvent| {
        let letter = match event.fault {
            Fault::KillLeader => "L",
            Fault::KillNonLeader => "N",
            Fault::PartEasy => "E",
            Fault::PartHard => "H",
            Fault::PartEnd => "X",
            _ => "?",
        };
        format!("{letter}{} ", event.time.since(start).as_secs_f64())
    };
    let events: String = scenario.events.iter().map(event).collect();
    let (requests, mix, loss) = (scenario.requests, scenario.mix, loss(scenario));
    let generation = scenario.tests.maximum_get_generation_fail_fraction;
    let end_wait = scenario.end_wait.as_secs_f64();
    let benchmarks = &scenario.tests.benchmarks;
    let thresholds = [benchmarks.total_msgs, benchmarks.failures, benchmarks.duplicates, benchmarks.median_latency];
    let thresholds = thresholds.map(|list| list.map(|number| number.to_string()).join(" ")).join(" | ");
    format!("{} | {requests} {mix} {loss} {generation} {end_wait} | {events}| {thresholds}", scenario.name)
}

/// The loss on one link, which stands for all where the matrix is uniform.
fn loss(scenario: &Scenario) -> f64 {
    scenario.matrix.loss(ReplicaId(0), ReplicaId(1))
}

#[test]
fn the_suite_is_the_courses() {
    let scenarios: Vec<Scenario> = files("").iter().map(|path| load(path)).collect();
    let lines: Vec<String> = scenarios.iter().map(line).collect();
    assert_eq!(lines, SUITE.lines().collect::<Vec<_>>());
    for scenario in &scenarios {
        let name = &scenario.name;
        assert_eq!((scenario.replicas, scenario.lifetime), (5, Span::from_secs(30)), "{name}");
        assert_eq!((scenario.wait(), scenario.max_packets), (Span::from_secs(2), 20_000), "{name}");
        assert_eq!(scenario.matrix, ConnectivityMatrix::uniform(5, loss(scenario)).unwrap(), "{name}");
        assert_eq!((&scenario.network, scenario.kind()), (&Network::default(), &Kind::COURSE), "{name}");
    }
}

#[test]
fn all_shipped_files_load_without_warnings() {
    let files = all_files();
    assert!(files.len() > 25, "{files:?}");
    for path in files {
        let loaded = Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.warnings, [""; 0]);
        assert_eq!(Some(loaded.scenario.name.as_str()), path.file_stem().unwrap().to_str());
    }
}

#[test]
fn the_example_of_the_seed_document_is_shipped_as_it_stands_there() {
    let rows: Vec<Vec<f64>> =
        load(&root().join("chaos/seed-example.json")).matrix.rows().map(<[f64]>::to_vec).collect();
    let expected = [
        [0.0, 0.1, 0.5, 1.0, 0.0],
        [1.0, 0.0, 0.4, 1.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.0],
        [1.0, 1.0, 1.0, 1.0, 1.0],
        [0.4, 0.0, 0.1, 1.0, 0.3],
    ];
    assert_eq!(rows, expected);
}

#[test]
fn each_matrix_is_for_five_replicas_and_is_what_its_name_says() {
    let says = |name: &str, from: usize, to: usize| {
        let cut = |is_cut: bool| f64::from(u8::from(is_cut));
        match name {
            "healthy" => 0.0,
            "ten-percent" => 0.1 * cut(from != to),
            "isolate-3" => cut(from == 3 || to == 3),
            "minority" => cut((from < 2) != (to < 2)),
            "one-way" => cut(from == 0 && to != 0),
            "seed" => {
                load(&root().join("chaos/seed-example.json")).matrix.loss(ReplicaId(from as u8), ReplicaId(to as u8))
            }
            _ => panic!("{name}: what does this say?"),
        }
    };
    let files = files("matrices");
    assert_eq!(files.len(), 6, "{files:?}");
    for path in files {
        let matrix = load_matrix(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(matrix.replicas(), 5);
        let name = path.file_stem().unwrap().to_str().unwrap();
        for (from, row) in matrix.rows().enumerate() {
            let expected: Vec<f64> = (0..5).map(|to| says(name, from, to)).collect();
            assert_eq!(row, expected, "{name}, row {from}");
        }
    }
}

#[test]
fn the_examples_of_the_documentation_load_without_warnings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scenarios.md");
    let text = fs::read_to_string(path).unwrap();
    let examples: Vec<&str> = text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    // Whole files start with a brace; other examples are values of one key.
    let whole = examples.iter().filter(|example| example.contains("\"lifetime\""));
    assert!(whole.clone().count() > 0);
    for example in whole {
        let loaded = Scenario::parse("example", "docs/scenarios.md", example).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.warnings, [""; 0]);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| {
        let message = Scenario::load(path).unwrap_err().to_string();
        message.replace(&folder.path().display().to_string(), "FOLDER")
    };
    let written = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    assert_eq!(
        message(&folder.path().join("none.json")),
        "FOLDER/none.json: cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(message(folder.path()), "FOLDER: cannot be read: Is a directory (os error 21)");
    assert_eq!(
        message(&written("latin1.json", b"{\"note\": \"caf\xe9\"}")),
        "FOLDER/latin1.json: is not text: the byte at offset 13 is not UTF-8"
    );
    assert_eq!(
        message(&written("empty.json", b"")),
        "FOLDER/empty.json: line 1, column 0: cannot be read as JSON: EOF while parsing a value"
    );
    // A file with a hole, which takes no room on the disk.
    let large = written("large.json", b"");
    fs::File::options().write(true).open(&large).unwrap().set_len(24 * 1024 * 1024 + 1).unwrap();
    assert_eq!(message(&large), "FOLDER/large.json: is too large; allowed is a file of at most 25165824 bytes");
}

#[test]
fn no_damage_to_a_file_causes_a_panic_or_an_invalid_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.json");
    let mut originals: Vec<String> = all_files().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    originals.extend(vec![EXPLICIT.to_owned(); originals.len() / 4]);
    let mut stream = Stream::new(1, "damage");
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..8_000 {
        let original = stream.pick(&originals).unwrap();
        let damaged = damage(original, &mut stream);
        fs::write(&path, &damaged).unwrap();
        match Scenario::load(&path) {
            Ok(loaded) => {
                accepted += 1;
                assert_valid(&loaded.scenario);
                loaded.warnings.iter().for_each(|warning| assert_message(warning, &path));
            }
            Err(error) => {
                refused += 1;
                assert_message(&error.to_string(), &path);
                assert!(!matches!(error, ScenarioError::Read { .. }), "{error}");
            }
        }
    }
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} accepted, {refused} refused: the damage is one-sided");
}

/// A file with the keys that the shipped ones do not have.
const EXPLICIT: &str = r#"{
  "lifetime": 0.5,
  "replicas": 3,
  "events": [{"type": "kill", "time": 0.25, "replica": 2}],
  "losses": [{"from": 0, "to": 1, "nth": 17}, {"from": 0, "to": 1, "nth": 18}, {"from": 1, "to": 2, "nth": 1}],
  "operations": [
    {"time": 0, "client": 0, "put": "key", "value": "first"},
    {"time": 0.5, "client": 1, "put": "key", "value": "second"},
    {"time": 0.5, "client": 0, "get": "key"}
  ],
  "tests": {"benchmarks": {
    "total_msgs": [1, 2, 3], "failures": [0, 1, 2], "duplicates": [0, 2, 5], "median_latency": [0.001, 0.01, 0.1]
  }}
}"#;

#[track_caller]
fn assert_message(message: &str, path: &Path) {
    assert!(message.starts_with(&path.display().to_string()), "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(message.len() < 1_000, "{message}");
}

#[track_caller]
fn assert_valid(scenario: &Scenario) {
    let text = format!("{scenario:?}");
    assert!((REPLICAS_MIN..=REPLICAS_MAX).contains(&scenario.replicas), "{text}");
    assert!(scenario.lifetime >= Span::from_millis(1) && scenario.requests <= 10_000_000, "{text}");
    assert!((0.0..=1.0).contains(&scenario.mix), "{text}");
    assert_eq!(scenario.matrix.replicas(), scenario.replicas, "{text}");
    assert!(scenario.matrix.rows().flatten().all(|loss| (0.0..=1.0).contains(loss)), "{text}");
    assert!(scenario.max_packets >= scenario.requests, "{text}");
    assert!(scenario.events.is_sorted_by_key(|event| event.time), "{text}");
    let (first, last) = (scenario.start(), scenario.start() + scenario.lifetime);
    assert!(scenario.events.iter().all(|event| (first..=last).contains(&event.time)), "{text}");
    assert!((1..=1_000).contains(&scenario.burst), "{text}");
    let replicas = 0..scenario.replicas;
    let mut losses = scenario.losses.clone();
    losses.sort_unstable();
    losses.dedup();
    assert_eq!(losses.len(), scenario.losses.len(), "{text}");
    for loss in losses {
        assert!(replicas.contains(&loss.from.index()) && replicas.contains(&loss.to.index()), "{text}");
        assert!(loss.from != loss.to && loss.nth >= 1, "{text}");
    }
    for kill in scenario.events.iter().filter_map(|event| match event.fault {
        Fault::Host { at: Some(Target::Replica(replica)), .. } => Some(replica),
        _ => None,
    }) {
        assert!(replicas.contains(&kill.index()), "{text}");
    }
    if let Some(operations) = &scenario.operations {
        assert_eq!(operations.len() as u64, scenario.requests, "{text}");
        assert!(operations.is_sorted_by_key(|scripted| scripted.time), "{text}");
        for ScriptedOperation { time, client, operation, .. } in operations.iter() {
            assert!(*time <= scenario.lifetime && *client < CLIENTS, "{text}");
            assert!((1..=1_000).contains(&operation.key().chars().count()), "{text}");
        }
    }
    assert!(scenario.end() < Time::NEVER, "{text}");
}

/// The file with one or two things wrong: bytes cut, flipped, inserted or repeated, values replaced, keys renamed.
fn damage(original: &str, stream: &mut Stream) -> Vec<u8> {
    let mut bytes = original.as_bytes().to_vec();
    for _ in 0..stream.between(1, 2) {
        let at = stream.below(bytes.len() as u64 + 1) as usize;
        match stream.below(15) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, stream.below(256) as u8),
            2 if at < bytes.len() => bytes[at] ^= 1 << stream.below(8),
            3 => {
                let end = stream.between(at as u64, bytes.len() as u64) as usize;
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                if let Ok(mut value) = serde_json::from_slice(&bytes) {
                    damage_value(&mut value, stream);
                    bytes = serde_json::to_vec(&value).unwrap();
                }
            }
        }
    }
    bytes
}

/// Walks down to a random value and replaces it, removes it or renames its key.
fn damage_value(value: &mut Value, stream: &mut Stream) {
    let deeper = stream.below(10) > 0;
    match value {
        Value::Object(entries) if deeper && !entries.is_empty() => {
            let keys: Vec<String> = entries.keys().cloned().collect();
            let key = stream.pick(&keys).unwrap();
            match stream.below(12) {
                0 => drop(entries.remove(key)),
                1 => {
                    let moved = entries.remove(key).unwrap();
                    entries.insert(format!("{key}s"), moved);
                }
                _ => damage_value(&mut entries[key], stream),
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = stream.below(items.len() as u64) as usize;
            match stream.below(12) {
                0 => drop(items.remove(at)),
                1 => items.insert(at, items[at].clone()),
                2 => items.reverse(),
                _ => damage_value(&mut items[at], stream),
            }
        }
        _ => *value = nudged(value, stream).unwrap_or_else(|| odd_value(stream)),
    }
}

/// Mostly, for a number: one that is near enough to have a chance of being valid.
fn nudged(value: &Value, stream: &mut Stream) -> Option<Value> {
    let number = value.as_f64().filter(|_| stream.below(3) > 0)?;
    stream.pick(&[number / 2.0, number * 1.01, number + 1.0, number - 1.0, -number]).map(|&nudged| json!(nudged))
}

fn odd_value(stream: &mut Stream) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(""),
        json!("kill_leader"),
        json!("5"),
        json!("\n\u{7f}\u{2028}"),
        json!("x".repeat(10_000)),
        json!([]),
        json!({}),
        json!([[]]),
        json!({"": {"": null}}),
        json!(0),
        json!(1),
        json!(-1),
        json!(5.0),
        json!(0.5),
        json!(-0.0),
        json!(5e-324),
        json!(f64::MAX),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(21),
    ];
    stream.pick(&values).unwrap().clone()
}
