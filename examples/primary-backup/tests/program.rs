//! The program of the crate: every instrument of seedbed takes the protocol.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs the program in a folder, and returns its exit code and what it has written.
fn run(folder: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = env!("CARGO_BIN_EXE_primary-backup");
    let output = Command::new(program).args(arguments).current_dir(folder.path()).output().expect("the program starts");
    let Output { status, stdout, stderr } = output;
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
    (status.code(), out, err)
}

/// Asserts that it ends with this code and says all of this, and returns what it has written.
fn expect(folder: &TempDir, arguments: &[&str], code: i32, words: &[&str]) -> String {
    let (ended, out, err) = run(folder, arguments);
    assert_eq!(ended, Some(code), "{arguments:?}\n{out}\n{err}");
    for word in words {
        assert!(out.contains(word), "{arguments:?} does not say `{word}`:\n{out}\n{err}");
    }
    out
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// The only file of a folder.
fn only_file(folder: &Path) -> String {
    let files: Vec<_> = folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    let [file] = &files[..] else { panic!("one file: {files:?}") };
    file.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_failure_is_found_shrunk_replayed_and_drawn() {
    let folder = folder();
    let wrong = ["explore", "--without", "ask-a-majority", "--seeds", "0..2000"];
    expect(&folder, &wrong, 1, &["primary-backup explore", "fails", "Shrink: primary-backup shrink repros/"]);
    let found = only_file(&folder.path().join("repros"));

    let whole = expect(&folder, &["replay", &found], 0, &["The same failure, to the bit"]);
    let shrunk = folder.path().join("shrunk.json");
    let shrunk = shrunk.to_str().expect("UTF-8");
    expect(&folder, &["shrink", &found, "--output", shrunk], 0, &["without ask-a-majority"]);
    let picture = ["replay", shrunk, "--timeline", "why.svg", "--trace", "why.jsonl"];
    let small = expect(&folder, &picture, 0, &["The same failure, to the bit"]);
    assert!(small.lines().count() < whole.lines().count(), "{small}");
    let [svg, trace] = ["why.svg", "why.jsonl"].map(|name| {
        std::fs::read_to_string(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    });
    assert!(svg.starts_with("<svg"), "{svg:.100}");
    assert!(trace.contains(r#""type":"copy""#), "its messages by their kinds: {trace:.1000}");
}

#[test]
fn the_sound_protocol_runs_is_swept_and_verified_and_its_messages_have_columns() {
    let folder = folder();
    expect(&folder, &["run", "simple-1", "--seed", "7"], 0, &["primary-backup run simple-1", "Linearizability: ok"]);
    let grid = ["sweep", "simple-1", "--drops", "0,0.1", "--seeds", "0..5", "--csv", "rows.csv"];
    expect(&folder, &grid, 0, &["10 runs"]);
    let rows = std::fs::read_to_string(folder.path().join("rows.csv")).expect("rows");
    let (head, rest) = rows.split_once('\n').expect("a head");
    assert_eq!(rest.lines().count(), 10);
    assert!(head.contains(",messages_copy,messages_copied,"), "{head}");
    expect(&folder, &["verify", "simple-1", "--seeds", "0..3"], 0, &["3 runs of 1 scenario verified", "all the same"]);
    expect(&folder, &["explore", "--seeds", "0..200"], 0, &["200 seeds explored", "0 failed"]);
}

#[test]
fn the_zoo_detects_its_mutant_and_what_the_protocol_does_not_have_is_refused() {
    let folder = folder();
    expect(&folder, &["zoo", "--starts", "1"], 0, &["ask-a-majority", "1 of 1 mutant detected"]);
    for (arguments, words) in [
        (&["explore", "--without", "heartbeats", "--seeds", "0..2"][..], "heartbeats"),
        (&["run", "simple-1", "--protocol", "raft"], "[possible values: primary-backup]"),
        (
            &["run", "simple-1", "--set", "workload.kind=queue"],
            "`workload.kind` is \"queue\"; allowed is kv, which primary-backup serves",
        ),
        (&["sweep", "simple-1", "--set", "leese_ms=1"], "leese_ms"),
    ] {
        let (code, out, err) = run(&folder, arguments);
        assert_eq!(code, Some(2), "{arguments:?}\n{out}\n{err}");
        assert!(err.contains(words), "{arguments:?}: {err}");
    }
}
