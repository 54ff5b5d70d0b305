//! `seedbed replay` and `seedbed shrink` as processes.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::common::processes;
use seedbed::lab::Repro;
use tempfile::TempDir;

/// A read that a deposed leader answers; not shrunk.
const STALE_READ: &str = include_str!("../../scenarios/repros/stale-read.json");

fn seedbed(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = processes::seedbed();
    command.current_dir(folder.path()).args(arguments);
    command.output().expect("seedbed starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file in it");
    }
    folder
}

/// The exit code and the last line of standard output.
fn outcome(output: &Output, code: i32) -> &str {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).lines().last().unwrap_or_default()
}

fn assert_refused(folder: &TempDir, arguments: &[&str], error: &str) {
    let output = seedbed(folder, arguments);
    assert_eq!((outcome(&output, 2), text(&output.stderr)), ("", format!("error: {error}\n").as_str()));
}

/// The stale read in a file that tells of no finding.
fn without_findings() -> String {
    let (before, findings) = STALE_READ.split_once("\"findings\": [").expect("findings");
    let (_, rest) = findings.split_once("\n  ],").expect("an end");
    format!("{before}\"findings\": [],{rest}")
}

#[test]
fn the_shipped_repros_replay_to_the_bit() {
    let repros = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/repros");
    let mut count = 0;
    for entry in fs::read_dir(repros).expect("a folder") {
        let path = entry.expect("an entry").path();
        let path = path.to_str().expect("a path in UTF-8");
        let output = seedbed(&folder(&[]), &["replay", path]);
        assert!(outcome(&output, 0).starts_with("The same failure, to the bit: trace "), "{path}");
        assert_eq!(text(&output.stderr), "");
        count += 1;
    }
    assert!(count >= 2);
}

#[test]
fn a_replay_shows_what_was_found_and_says_what_is_not_the_same() {
    let trace = "158e54d21a58fe33";
    assert!(STALE_READ.contains(trace));
    let (version, old) = (format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION")), "\"version\": \"0.0.1\"");
    assert!(STALE_READ.contains(&version));
    let other_trace = STALE_READ.replace(trace, "0000000000000001");
    let folder = folder(&[
        ("same.json", STALE_READ),
        ("old.json", &other_trace.replace(&version, old)),
        ("none.json", &without_findings()),
        ("trace.json", &other_trace),
        ("panic.json", &STALE_READ.replace(&format!("\"{trace}\""), "null")),
        ("kept.json", &STALE_READ.replace(r#""broken_rule": "read-only-confirmed","#, "")),
        ("other.json", &STALE_READ.replace("incorrect responses\"", "nothing stored\"")),
        ("odd.json", &STALE_READ.replacen('{', r#"{"sed": 1,"#, 1)),
    ]);
    let replay = |name| seedbed(&folder, &["replay", name]);
    let same = replay("same.json");
    assert_eq!(outcome(&same, 0), format!("The same failure, to the bit: trace {trace}"));
    let lines: Vec<&str> = text(&same.stdout).lines().collect();
    assert_eq!(lines[0], "seedbed replay same.json");
    assert_eq!(lines[2], "Scenario: stale-read, seed 36: 3 replicas, 159 requests, 5 fault events, 0 losses");
    assert!(lines[3].starts_with("Protocol: raft without read-only-confirmed (reads without lease or quorum)"));
    assert!(lines[5].starts_with("linearizability: client 0013 read "), "{}", lines[5]);
    assert!(lines[6].starts_with("  ") && lines[6].contains(" put "), "the operations: {}", lines[6]);
    let versions = format!("(written by version 0.0.1, this is {})", env!("CARGO_PKG_VERSION"));
    let other_trace = outcome(&replay("trace.json"), 1).to_owned();
    let text_of_it = format!("The same failure, but another trace: trace {trace}; the file says: 0000000000000001");
    assert_eq!(other_trace, text_of_it);
    assert_eq!(outcome(&replay("old.json"), 1), format!("{text_of_it} {versions}"));
    let no_trace = format!("The same failure, but there is a trace: trace {trace}; the file says: none");
    assert_eq!(outcome(&replay("panic.json"), 1), no_trace);
    assert!(outcome(&replay("kept.json"), 1).starts_with("No failure: trace "));
    let other = "the file says: linearizability: not linearizable; course: nothing stored";
    assert_eq!(outcome(&replay("other.json"), 1), format!("Another failure: trace {trace}; {other}"));
    let none = format!("A failure, but the file says that there is none: trace {trace}");
    assert_eq!(outcome(&replay("none.json"), 1), none);
    let odd = replay("odd.json");
    outcome(&odd, 0);
    assert_eq!(text(&odd.stderr), "warning: odd.json: unknown key `sed` is ignored; did you mean `seed`?\n");
}

#[test]
fn shrinking_writes_a_repro_that_replays_beside_the_first_or_where_it_is_told() {
    let folder = folder(&[("stale.json", STALE_READ), ("old.json", &"x".repeat(100_000))]);
    let output = seedbed(&folder, &["shrink", "stale.json"]);
    assert_eq!(outcome(&output, 0), "Replay: seedbed replay stale-shrunk.json");
    assert_eq!(text(&output.stderr), "");
    let small = Repro::load(&folder.path().join("stale-shrunk.json"), &seedbed::subjects::builtin())
        .expect("a repro")
        .repro
        .case
        .scenario;
    assert!(small.requests <= 4 && small.events.len() <= 2, "{} {:?}", small.requests, small.events);
    let replayed = seedbed(&folder, &["replay", "stale-shrunk.json"]);
    assert!(outcome(&replayed, 0).starts_with("The same failure, to the bit: "));
    outcome(&seedbed(&folder, &["shrink", "stale.json", "-o", "old.json"]), 0);
    let file = |name| fs::read(folder.path().join(name)).expect("a file");
    assert_eq!(file("old.json"), file("stale-shrunk.json"), "nothing of the old file is left");
    let output = seedbed(&folder, &["shrink", "stale.json", "-o", "-"]);
    assert_eq!(output.stdout, file("old.json"));
    assert_eq!(file("stale.json"), STALE_READ.as_bytes());
    let again = seedbed(&folder, &["shrink", "stale-shrunk.json", "--budget", "5"]);
    assert!(text(&again.stdout).contains("\nNothing could be taken away.\n"), "{}", text(&again.stdout));
}

#[test]
fn the_first_line_of_a_shrinking_repeats_it_and_the_result_is_shown_with_its_seed_and_settings() {
    let folder = folder(&[("stale.json", STALE_READ)]);
    let output = seedbed(&folder, &["shrink", "stale.json", "--budget", "200", "-o", "my small.json"]);
    assert_eq!(outcome(&output, 0), "Replay: seedbed replay 'my small.json'");
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines[0], "seedbed shrink stale.json -o 'my small.json' --budget 200");
    let place =
        lines.iter().position(|line| line.ends_with(" of at most 200 runs (--budget), to")).expect("what it took");
    let small =
        Repro::load(&folder.path().join("my small.json"), &seedbed::subjects::builtin()).expect("a repro").repro.case;
    let scenario = format!("Scenario: {}, seed {}: ", small.scenario.name, small.seed);
    assert!(lines[place + 2].starts_with(&scenario), "{lines:?}");
    assert!(lines[place + 3].starts_with("Protocol: raft without read-only-confirmed "), "{lines:?}");
    let plain = seedbed(&folder, &["shrink", "my small.json"]);
    assert!(text(&plain.stdout).starts_with("seedbed shrink 'my small.json'\n"));
}

#[test]
fn a_result_is_whole_even_if_nobody_reads_what_is_printed() {
    let folder = folder(&[("stale.json", STALE_READ)]);
    let mut command = processes::seedbed();
    let mut child = command
        .current_dir(folder.path())
        .args(["shrink", "stale.json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("seedbed starts");
    let mut first = [0];
    std::io::Read::read_exact(&mut child.stdout.take().expect("a pipe"), &mut first).expect("a first byte");
    assert_eq!(child.wait().expect("it ends").code(), Some(141));
    Repro::load(&folder.path().join("stale-shrunk.json"), &seedbed::subjects::builtin()).expect("a whole repro");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing unfinished is left");
}

#[test]
#[cfg(target_os = "linux")]
fn a_device_is_written_to_and_not_replaced() {
    let folder = folder(&[("stale.json", STALE_READ)]);
    let output = seedbed(&folder, &["shrink", "stale.json", "-o", "/dev/full"]);
    assert_eq!(output.status.code(), Some(2));
    let error = "error: /dev/full: cannot be written: No space left on device (os error 28)\n";
    assert_eq!(text(&output.stderr), error);
    let output = seedbed(&folder, &["shrink", "stale.json", "-o", "/dev/null"]);
    assert_eq!(outcome(&output, 0), "Replay: seedbed replay /dev/null");
}

#[test]
fn a_repro_is_not_a_scenario_and_run_says_what_takes_it() {
    let folder = folder(&[("stale.json", STALE_READ)]);
    let hint = "is a repro file, which `seedbed replay` takes";
    let output = seedbed(&folder, &["run", "stale.json"]);
    assert_eq!(outcome(&output, 2), "");
    assert!(text(&output.stderr).ends_with(&format!("error: stale.json: {hint}\n")), "{}", text(&output.stderr));
}

#[test]
fn what_does_not_fail_as_its_file_says_is_not_shrunk_and_leaves_no_file() {
    let folder = folder(&[
        ("kept.json", &STALE_READ.replace(r#""broken_rule": "read-only-confirmed","#, "")),
        ("there.json", "something"),
    ]);
    let output = seedbed(&folder, &["shrink", "kept.json"]);
    assert!(outcome(&output, 1).starts_with("No failure: trace "));
    assert!(!folder.path().join("kept-shrunk.json").exists());
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    outcome(&seedbed(&folder, &["shrink", "kept.json", "-o", "there.json"]), 1);
    assert_eq!(fs::read_to_string(folder.path().join("there.json")).expect("a file"), "something");
}

#[test]
fn bad_input_has_exit_code_two_and_one_line() {
    let scenario = r#"{"lifetime": 5, "replicas": 3}"#;
    let folder = folder(&[
        ("stale.json", STALE_READ),
        ("bad.json", "{\"seedbed_repro\": 1,"),
        ("scenario.json", scenario),
        ("rule.json", &STALE_READ.replace("read-only-confirmed", "read-only-confirmd")),
        ("empty.json", &without_findings()),
    ]);
    for command in ["replay", "shrink"] {
        let missing =
            "none.json: no such file, and no built-in repro file has this name (`seedbed scenarios` lists them)";
        assert_refused(&folder, &[command, "none.json"], missing);
        let json = "bad.json: line 1, column 20: cannot be read as JSON: EOF while parsing a value";
        assert_refused(&folder, &[command, "bad.json"], json);
        let hint = "scenario.json: is a scenario, which `seedbed run` takes";
        assert_refused(&folder, &[command, "scenario.json"], hint);
        let output = seedbed(&folder, &[command, "rule.json"]);
        assert_eq!(outcome(&output, 2), "");
        let error = text(&output.stderr);
        assert!(error.starts_with("error: rule.json: `broken_rule` is \"read-only-confirmd\"; allowed is vote-once"));
        assert!(error.ends_with("; did you mean `read-only-confirmed`?\n") && error.lines().count() == 1, "{error}");
    }
    let nothing = "empty.json: tells of no finding, so there is nothing to shrink";
    assert_refused(&folder, &["shrink", "empty.json"], nothing);
    let replaces = "is a file that this command reads; the result would replace it";
    assert_refused(&folder, &["shrink", "stale.json", "-o", "stale.json"], &format!("stale.json: {replaces}"));
    assert_refused(&folder, &["shrink", "stale.json", "-o", "././stale.json"], &format!("././stale.json: {replaces}"));
    let unwritable = "no/x.json: cannot be written: No such file or directory (os error 2)";
    assert_refused(&folder, &["shrink", "stale.json", "-o", "no/x.json"], unwritable);
    fs::hard_link(folder.path().join("stale.json"), folder.path().join("link.json")).expect("a link");
    assert_refused(&folder, &["shrink", "stale.json", "-o", "link.json"], &format!("link.json: {replaces}"));
    for budget in ["0", "x", "-1"] {
        let output = seedbed(&folder, &["shrink", "stale.json", &format!("--budget={budget}")]);
        assert_eq!(outcome(&output, 2), "");
        assert!(text(&output.stderr).contains(": allowed is a whole number, 1 or more\n"), "{}", text(&output.stderr));
    }
    assert_eq!(fs::read_to_string(folder.path().join("stale.json")).expect("a file"), STALE_READ);
}

#[test]
fn a_replayed_run_can_be_traced() {
    let folder = TempDir::new().expect("a temporary directory");
    let file = folder.path().join("events.jsonl");
    let repro = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/repros/figure-8.json");
    let trace = file.to_str().expect("a path of text");
    let output = processes::seedbed().args(["replay", repro, "--trace", trace]).output();
    let output = output.expect("seedbed starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&file).expect("a trace");
    let last: serde_json::Value = serde_json::from_str(text.lines().last().expect("a footer")).expect("JSON");
    assert_eq!(last["type"], "end");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(printed.trim_end().ends_with(last["trace"].as_str().expect("a hash")), "{printed}");
    let refused = processes::seedbed().args(["replay", repro, "--trace", repro]).output();
    assert_eq!(refused.expect("seedbed starts").status.code(), Some(2), "it does not replace its input");
}

#[test]
fn a_replayed_run_can_be_drawn_and_the_picture_says_what_it_shows() {
    let folder = folder(&[]);
    let drawn = seedbed(&folder, &["replay", "stale-read", "--timeline", "read.svg", "--trace", "read.jsonl"]);
    assert_eq!(outcome(&drawn, 0), "Picture: read.svg");
    let picture = fs::read_to_string(folder.path().join("read.svg")).expect("a picture");
    assert!(picture.contains("stale-read with seed") && picture.contains("without read-only-confirmed"), "{picture}");
    assert!(picture.contains("FAILED: not linearizable at"));
    assert!(fs::read_to_string(folder.path().join("read.jsonl")).expect("a trace").lines().count() > 100);
    assert_refused(
        &folder,
        &["replay", "stale-read", "--timeline", "read.jpg"],
        "read.jpg: cannot be drawn: allowed is a file whose name ends in .svg or .png",
    );
}
