//! Trace files: what they hold, and that writing one changes nothing.

use std::fs;
use std::io::{self, Write};
use std::process::Output;

use crate::common::processes;
use crate::common::{raft, scenario};
use seedbed::lab::Protocol;
use seedbed::machine::Machine;
use seedbed::record::{Event, Observer, RunRecord, Scene};
use seedbed::report::trace::{Heading, TraceWriter};
use seedbed::scenario::{Delay, Scenario};
use seedbed::subjects;
use seedbed::time::Span;
use seedbed::wire::{Datagram, PeerMessage, Pulse};
use seedbed::world::simulation::simulate_observed;
use seedbed_core::kv;
use seedbed_core::replica::Replica;
use serde_json::Value;
use std::sync::Arc;

const CRASH: &str = "scenarios/crash-3.json";
/// Partitions, and a leader that is killed.
const ADVANCED: &str = "scenarios/advanced-4.json";

/// A run's record and its trace file.
fn traced(path: &str, protocol: &Protocol, heartbeats: bool) -> (RunRecord, String) {
    trace_of(&scenario(path), 7, protocol, heartbeats)
}

fn trace_of(scenario: &Scenario, seed: u64, protocol: &Protocol, heartbeats: bool) -> (RunRecord, String) {
    let mut file = Vec::new();
    let heading = Heading { scenario, seed, protocol: protocol.name(), command: "seedbed run x" };
    let mut writer = TraceWriter::new(&mut file, &heading, heartbeats);
    let record = protocol.simulate_watched(scenario, seed, &mut writer);
    writer.finish(&record).expect("memory can be written to");
    (record, String::from_utf8(file).expect("text"))
}

/// Header, events and footer.
fn parsed(file: &str) -> (Value, Vec<Value>, Value) {
    let mut lines: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let footer = lines.pop().expect("a last line");
    let header = lines.remove(0);
    (header, lines, footer)
}

#[test]
fn a_trace_has_every_event_in_order_between_a_header_and_a_footer() {
    for (path, protocol) in [(ADVANCED, subjects::raft()), (CRASH, subjects::broadcast())] {
        let (record, file) = traced(path, &protocol, true);
        let (header, events, footer) = parsed(&file);
        assert_eq!((&header["seedbed_trace"], &header["type"]), (&Value::from(1), &Value::from("begin")));
        assert_eq!((&header["protocol"], &header["seed"]), (&Value::from(protocol.name()), &Value::from(7)));
        assert_eq!(header["program"], env!("CARGO_PKG_VERSION"));
        let numbers: Vec<u64> = events.iter().map(|event| event["n"].as_u64().expect("a number")).collect();
        assert!(numbers.into_iter().eq(1..=record.events));
        assert!(events.is_sorted_by_key(|event| event["ns"].as_u64().expect("nanoseconds")));
        assert_eq!((&footer["type"], &footer["events"]), (&Value::from("end"), &Value::from(record.events)));
        assert_eq!(footer["trace"], format!("{:016x}", record.trace.expect("a hash")));
        assert!(file.ends_with('\n'));
    }
}

#[test]
fn a_trace_tells_of_hosts_what_happened_to_them_and_why() {
    let (_, file) = traced("scenarios/field/full-disk.json", &subjects::raft(), false);
    let (_, events, _) = parsed(&file);
    let at = |seconds: f64| move |event: &&Value| event["time"].as_f64() == Some(seconds);
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    // The scenario's times count from the end of its `wait`, 2 s. The disk is full, so the replica ends before its crash.
    let exit = of("exit")[0];
    assert_eq!((&exit["to"], &exit["why"]), (&Value::from("0000"), &Value::from("the disk is full")));
    assert!((5.0..6.0).contains(&exit["time"].as_f64().expect("a time")), "{exit}");
    assert!(!of("crash").iter().any(at(6.0)));
    let starts: Vec<&Value> = of("start").into_iter().filter(at(6.2)).collect();
    assert_eq!(starts.iter().map(|start| &start["to"]).collect::<Vec<_>>(), ["0000"]);
    assert!(of("synced").iter().all(|synced| ["0000", "0001", "0002"].map(Value::from).contains(&synced["to"])));

    let (_, file) = traced("scenarios/field/page-cache.json", &subjects::raft(), false);
    let (_, events, _) = parsed(&file);
    let crashes: Vec<&Value> = events.iter().filter(|event| event["type"] == "crash").collect();
    let hit = crashes.iter().filter(|crash| at(6.0)(crash)).map(|crash| &crash["to"]).collect::<Vec<_>>();
    assert_eq!(hit, ["0000", "0001", "0002"], "the leader is down already");

    // Slow disks have not written all that they were given.
    let slow =
        Scenario { disk: Some(Delay::Constant(Span::from_millis(50))), ..scenario("scenarios/field/page-cache.json") };
    let crashes: Vec<Value> = (0..20)
        .flat_map(|seed| parsed(&trace_of(&slow, seed, &subjects::raft(), false).1).1)
        .filter(|event| event["type"] == "crash")
        .collect();
    assert!(crashes.iter().any(|crash| crash["lost"].as_u64() > Some(0) && crash["torn"] == true));
    assert!(crashes.iter().all(|crash| crash["lost"].as_u64() > Some(0) || crash["torn"] == false));
}

#[test]
fn a_trace_tells_of_all_kinds_of_events_what_the_record_does() {
    let (record, file) = traced(ADVANCED, &subjects::raft(), true);
    let (_, events, _) = parsed(&file);
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("drop").len() as u64, record.dropped);
    assert!(!of("deliver").is_empty() && !of("timeout").is_empty() && !of("lost").is_empty());
    let faults: Vec<(&str, bool)> = of("fault")
        .iter()
        .map(|event| (event["name"].as_str().expect("a name"), event["killed"].is_string()))
        .collect();
    let expected: Vec<(&str, bool)> =
        ["part_hard", "part_end", "kill_leader"].map(|name| (name, name == "kill_leader")).into();
    for fault in expected {
        assert!(faults.contains(&fault), "{faults:?}");
    }
    // Each answer in the history is an event, with the same words at the same time.
    for (mid, attempt) in record.history.attempts.iter().enumerate() {
        let mid = format!("{mid:012X}");
        let asked = events.iter().find(|event| event["type"] == "request" && event["mid"] == mid.as_str());
        let told = events.iter().find(|event| event["type"] == "answer" && event["mid"] == mid.as_str());
        if let Some(asked) = asked {
            assert_eq!(asked["message"]["key"], **attempt.operation.key());
            assert_eq!(asked["message"]["type"], if attempt.operation.is_get() { "get" } else { "put" });
            assert_eq!(
                (&asked["from"], &asked["to"]),
                (&attempt.client.to_string().into(), &attempt.replica.to_string().into())
            );
        }
        assert_eq!(
            told.map(|told| told["ns"].as_u64().expect("a time")),
            attempt.answer.as_ref().map(|(time, _)| time.nanos())
        );
    }
}

#[test]
fn a_trace_is_the_same_to_the_byte_for_the_same_seed_and_does_not_change_the_run() {
    for heartbeats in [true, false] {
        let (record, file) = traced(ADVANCED, &subjects::raft(), heartbeats);
        assert_eq!(file, traced(ADVANCED, &subjects::raft(), heartbeats).1);
        let plain = subjects::raft().simulate(&scenario(ADVANCED), 7);
        assert_eq!((record.trace, record.events, record.history), (plain.trace, plain.events, plain.history));
    }
}

/// Whether an event is about an append without entries, or about a reply that brings back its `s`.
fn pulses(events: &[Value]) -> Vec<bool> {
    let is_beat = |event: &Value| event["message"]["e"].as_array().is_some_and(Vec::is_empty);
    let answers = |reply: &Value, beat: &Value| {
        is_beat(beat)
            && beat["type"] == "deliver"
            && (&beat["from"], &beat["to"]) == (&reply["to"], &reply["from"])
            && beat["message"]["s"] == reply["message"]["s"]
    };
    let is_pulse = |(place, event): (usize, &Value)| {
        is_beat(event)
            || event["message"]["type"] == "AppendReply" && events[..place].iter().any(|beat| answers(event, beat))
    };
    events.iter().enumerate().map(is_pulse).collect()
}

#[test]
fn heartbeats_and_their_answers_can_be_left_out_and_nothing_else_changes() {
    let (_, whole) = traced(ADVANCED, &subjects::raft(), true);
    let (record, short) = traced(ADVANCED, &subjects::raft(), false);
    let (_, whole, _) = parsed(&whole);
    let (header, short, footer) = parsed(&short);
    let pulses = pulses(&whole);
    let expected: Vec<&Value> =
        whole.iter().zip(&pulses).filter(|&(_, &pulse)| !pulse).map(|(event, _)| event).collect();
    assert!(pulses.iter().filter(|&&pulse| pulse).count() > 50);
    assert!(short.iter().eq(expected), "the rest is there, with its true numbers");
    assert_eq!((&header["heartbeats"], &footer["events"]), (&Value::from(false), &Value::from(record.events)));
    assert_eq!(footer["written"], short.len());
}

/// Takes down what is delivered.
#[derive(Default)]
struct Delivered(Vec<<Replica as Machine>::Message>);

impl Observer<Replica> for Delivered {
    fn event(&mut self, _: &Scene<'_, Replica>, event: &Event<'_, <Replica as Machine>::Message>) {
        if let Event::Delivered { message, .. } = event {
            self.0.push((*message).clone());
        }
    }
}

#[test]
fn a_message_in_a_trace_is_the_one_on_the_wire_without_its_envelope() {
    let mut delivered = Delivered::default();
    simulate_observed(&scenario(CRASH), 7, &mut delivered, raft);
    let (_, file) = traced(CRASH, &subjects::raft(), true);
    let deliveries: Vec<&str> = file.lines().filter(|line| line.contains(r#""type":"deliver""#)).collect();
    assert_eq!(deliveries.len(), delivered.0.len());
    for (line, message) in deliveries.iter().zip(&delivered.0) {
        let (_, body) = line.split_once(r#""message":{"#).expect("a message");
        let body = body.strip_suffix("}").expect("the line's own brace");
        let datagram = format!(r#"{{"src":"0000","dst":"0001","leader":"FFFF",{body}"#);
        let read = PeerMessage::decode(&Datagram::parse(datagram.as_bytes()).expect("a datagram"));
        assert_eq!(read.as_ref(), Some(message));
    }
    assert!(delivered.0.iter().any(|message| matches!(message.pulse(), Some(Pulse::Beat(_)))));
    let copy = Arc::new(kv::Command::new("k".into(), "v".into()));
    assert_eq!(copy.pulse(), None, "only who says so has heartbeats");
}

/// A disk with room for so many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_of_at_the_end_and_does_not_stop_the_run() {
    let scenario = scenario(CRASH);
    let plain = subjects::raft().simulate(&scenario, 7);
    for room in [0, 10_000] {
        let heading = Heading { scenario: &scenario, seed: 7, protocol: "raft", command: "" };
        let mut disk = Disk(room);
        let mut writer = TraceWriter::new(&mut disk, &heading, true);
        let record = subjects::raft().simulate_watched(&scenario, 7, &mut writer);
        assert_eq!(record.trace, plain.trace);
        assert_eq!(writer.finish(&record).expect_err("no room").kind(), io::ErrorKind::StorageFull);
    }
}

fn run(arguments: &[&str]) -> Output {
    let mut command = processes::seedbed();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("run").args(arguments);
    command.output().expect("seedbed starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// The command ends with code 2 and this line.
fn assert_refused(arguments: &[&str], message: &str) {
    let output = run(arguments);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{arguments:?}");
    assert_eq!(text(&output.stderr).lines().next(), Some(message), "{arguments:?}");
}

#[test]
fn the_option_writes_a_trace_and_the_report_stays_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trace.jsonl");
    fs::write(&file, "old and longer than what comes. ".repeat(100_000)).expect("an old file");
    let path = file.to_str().expect("text");
    let plain = run(&[CRASH, "--seed", "7"]);
    assert_eq!(run(&[CRASH, "--seed", "7", "--trace", path]), plain);
    let written = fs::read_to_string(&file).expect("a trace");
    let (header, _, footer) = parsed(&written);
    assert_eq!(header["command"], "seedbed run scenarios/crash-3.json --seed 7");
    let trace = footer["trace"].as_str().expect("a hash");
    assert_eq!(text(&plain.stdout).lines().last(), Some(format!("Trace: {trace}").as_str()));
    // Standard output instead, in place of the text.
    let output = run(&[CRASH, "--seed", "7", "--trace", "-"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), written.as_str()));
    let short = run(&[CRASH, "--seed", "7", "--trace", "-", "--no-heartbeats"]);
    assert!(short.stdout.len() < written.len());
    // A run that is convicted has a trace, too.
    let output = run(&["scenarios/unreliable-1.json", "--seed", "7", "--protocol", "broadcast", "--trace", path]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(parsed(&fs::read_to_string(&file).expect("a trace")).0["protocol"], "broadcast");
}

/// The shipped replica on the LAN: what it sends, and nothing of its timers.
#[test]
fn the_trace_of_the_node_has_every_datagram_when_it_is_sent_and_when_it_arrives() {
    let output = run(&[CRASH, "--seed", "7", "--protocol", "node", "--trace", "-"]);
    assert_eq!(output.status.code(), Some(0));
    let lines = text(&output.stdout).lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let lines: Vec<Value> = lines.collect();
    let of_type = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    let sent = of_type("send");
    assert_eq!(sent[0]["message"]["type"], "hello");
    assert_eq!((&sent[0]["ns"], &sent[0]["from"]), (&0.into(), &"0000".into()));
    let messages = sent.iter().filter(|line| line["message"]["type"] == "AppendEntries").count();
    let delivered = of_type("deliver").into_iter().filter(|line| line["message"]["type"] == "AppendEntries").count();
    assert!(messages > 500 && delivered > 500 && delivered <= messages, "{delivered} of {messages}");
    assert!(of_type("timeout").is_empty());
    assert_eq!((of_type("fault").len(), of_type("request").len() > 399), (1, true));
}

#[test]
fn a_trace_that_cannot_be_written_is_refused_or_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let mine = folder.path().join("mine.json");
    fs::copy(CRASH, &mine).expect("a scenario");
    let (mine, none) = (mine.to_str().expect("text"), folder.path().join("none/x"));
    let none = none.to_str().expect("text");
    assert_refused(
        &["all", "--trace", "-"],
        "error: --trace shows a single run; allowed is one scenario with one seed",
    );
    assert_refused(&[CRASH, "--no-heartbeats"], "error: the following required arguments were not provided:");
    let same = "error: --json and --trace cannot be written to the same place";
    assert_refused(&[CRASH, "--trace", "-", "--json", "-"], same);
    assert_refused(&[CRASH, "--trace", none, "--json", none], same);
    let replaces = format!("error: {mine}: is a file that this command reads; the result would replace it");
    assert_refused(&[mine, "--trace", mine], &replaces);
    assert_eq!(fs::read(mine).expect("the scenario"), fs::read(CRASH).expect("the scenario"));
    let missing = format!("error: {none}: cannot be written: No such file or directory (os error 2)");
    assert_refused(&[CRASH, "--trace", none], &missing);
}

#[test]
#[cfg(target_os = "linux")]
fn a_trace_on_a_full_disk_names_the_file_and_the_run_is_still_reported() {
    let output = run(&[CRASH, "--seed", "7", "--trace", "/dev/full"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr), "error: /dev/full: cannot be written: No space left on device (os error 28)\n");
    assert!(text(&output.stdout).contains("All correctness tests passed"));
}
