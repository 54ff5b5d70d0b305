//! Programs in virtual time: `-r PROGRAM --virtual`, and all that takes a program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::processes::{self, end_with};

/// The replica that ships.
const SHIPPED: &str = env!("CARGO_BIN_EXE_3700kvstore");

fn seedbed(folder: &Path, arguments: &str) -> Output {
    let mut command = processes::seedbed();
    command.current_dir(folder).args(arguments.split_whitespace());
    command.output().expect("seedbed starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// What it printed, if it ended with this code.
#[track_caller]
fn printed(output: &Output, code: i32) -> &str {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The hash of the trace that it printed.
#[track_caller]
fn trace(output: &Output, code: i32) -> String {
    let printed = printed(output, code);
    let line = printed.lines().last().and_then(|line| line.strip_prefix("Trace: "));
    line.unwrap_or_else(|| panic!("no trace: {printed}")).to_owned()
}

/// A folder with the shipped replica in it, alone, as `3700kvstore`.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    fs::copy(SHIPPED, folder.path().join("3700kvstore")).expect("a copy");
    folder
}

/// A script in a folder of its own.
fn script(folder: &TempDir, name: &str, lines: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, lines).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file");
    path
}

pub(super) fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs")
}

/// Whether a tool runs. A test that lacks one says that it is skipped.
pub(super) fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let has = found.is_ok_and(|status| status.success());
    if !has {
        eprintln!("SKIPPED: there is no {tool}");
    }
    has
}

#[test]
fn the_shipped_program_passes_the_suite_and_two_runs_are_the_same_on_any_core() {
    let folder = folder();
    let run = |more: &str| {
        let output = seedbed(folder.path(), &format!("run all -r ./3700kvstore --virtual --seed 7{more}"));
        assert!(printed(&output, 0).contains("Passed 17 out of 17 tests"), "{}", text(&output.stdout));
        trace(&output, 0)
    };
    // Two at a time, so most runs are on another core and beside another run.
    assert_eq!(run(""), run(" --jobs 2"));
}

/// A scenario in which nothing that a program does takes time, so that its replicas act when machines would.
fn without_costs(folder: &TempDir, name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name).with_extension("json");
    let mut scenario: Value = serde_json::from_str(&fs::read_to_string(file).expect("a scenario")).expect("JSON");
    scenario["process"] = json!({
        "wake_min_us": 0, "wake_max_us": 0, "send_us": 0, "receive_us": 0, "poll_us": 0, "clock_read_us": 0
    });
    fs::write(folder.path().join("free.json"), scenario.to_string()).expect("a file");
}

#[test]
fn the_shipped_program_decides_as_the_same_replica_does_as_a_machine_of_the_engine() {
    let folder = folder();
    for name in ["simple-1", "unreliable-3", "crash-3", "partition-4", "advanced-4"] {
        without_costs(&folder, name);
        let run = |replicas: &str| {
            let output = seedbed(folder.path(), &format!("run free.json --seed 7 --json - {replicas}"));
            serde_json::from_str::<Value>(printed(&output, 0)).expect("JSON")
        };
        let process = run("-r ./3700kvstore --virtual --env SEEDBED_SEED=7");
        let machine = run("--protocol node");
        // Leaders, messages, answers, redirects, losses.
        assert!(machine["statistics"]["leaders"].as_array().is_some_and(|leaders| leaders.len() > 1), "{name}");
        assert_eq!(process["statistics"], machine["statistics"], "{name}");
    }
}

/// A scenario of some seconds in which messages are lost.
fn short(folder: &TempDir) {
    let scenario = json!({
        "lifetime": 5, "replicas": 3, "requests": 60, "mix": 0.3, "drops": 0.05, "wait": 3, "end_wait": 2,
        "tests": {
            "maximum_get_generation_fail_fraction": 1, "maximum_appends_batched_fraction": 1,
            "maximum_get_fail_fraction": 1, "maximum_put_fail_fraction": 1,
            "benchmarks": {
                "total_msgs": [1, 2, 3], "failures": [1, 2, 3], "duplicates": [1, 2, 3], "median_latency": [1, 2, 3]
            }
        }
    });
    fs::write(folder.path().join("short.json"), scenario.to_string()).expect("a file");
}

#[test]
fn programs_in_every_language_are_repeatable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Those that must be built are there if tests/programs/build.sh was run, as .ci/run does.
    let built = |name: &str| root.join("target/programs").join(name).join("3700kvstore");
    let own = |name: &str| programs().join(name).join("3700kvstore");
    let all = [
        ("true", PathBuf::from(SHIPPED)),
        ("python3", own("python-raft")),
        ("python3", own("python-threads")),
        ("python3", own("python-asyncio")),
        ("node", own("node")),
        ("node", own("typescript")),
        ("java", built("java")),
        ("true", built("go")),
        ("true", built("c")),
        ("true", built("cpp")),
        ("true", built("rust-std")),
        ("true", built("rust-tokio")),
    ];
    let folder = TempDir::new().expect("a folder");
    short(&folder);
    let mut played = 0;
    for (tool, program) in all {
        if !program.exists() {
            eprintln!("SKIPPED: {} is not built", program.display());
            continue;
        }
        if !has(tool) {
            continue;
        }
        let path = program.display();
        let run =
            |seed| trace(&seedbed(folder.path(), &format!("run short.json --seed {seed} -r {path} --virtual")), 0);
        let first = run(1);
        assert_eq!(run(1), first, "{path}");
        assert_ne!(run(2), first, "{path}: each seed has a run of its own");
        played += 1;
    }
    eprintln!("{played} programs played");
    assert!(played > 0, "the shipped one is always there");
}

#[test]
fn a_wrong_program_is_found_and_its_failure_is_the_same_from_a_clone_in_another_folder() {
    if !has("python3") {
        return;
    }
    let clone = || {
        let folder = TempDir::new().expect("a folder");
        fs::create_dir(folder.path().join("raft")).expect("a folder");
        for entry in fs::read_dir(programs().join("python-raft")).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_file() {
                fs::copy(entry.path(), folder.path().join("raft").join(entry.file_name())).expect("a copy");
            }
        }
        folder
    };
    let (one, other) = (clone(), clone());
    let found = seedbed(one.path(), "explore --seeds 0..40 -r raft/early-ack");
    assert!(printed(&found, 1).contains("linearizability: "), "{}", text(&found.stdout));
    let repro = fs::read_dir(one.path().join("repros")).expect("a folder").next().expect("a file").expect("an entry");
    let same = "The same failure, to the bit";
    for folder in [&one, &other] {
        fs::copy(repro.path(), folder.path().join("r.json")).expect("a copy");
        let replayed = seedbed(folder.path(), "replay r.json");
        assert!(printed(&replayed, 0).contains(same), "{}", text(&replayed.stdout));
        assert_eq!(text(&replayed.stderr), "");
    }
    // A program that has changed is said to have.
    fs::write(other.path().join("raft/more.py"), "pass").expect("a file");
    let replayed = seedbed(other.path(), "replay r.json");
    assert!(text(&replayed.stderr).contains("the files of raft/early-ack are no longer those that failed"));
}

#[test]
fn what_cannot_be_simulated_is_said_at_once_by_name() {
    let folder = TempDir::new().expect("a folder");
    script(&folder, "missing", "#!/no/such/interpreter\n");
    script(&folder, "odd", "neither a program nor a script\n");
    fs::write(folder.path().join("plain"), "").expect("a file");
    for (program, error) in [
        ("missing", "its interpreter `/no/such/interpreter`, named in its first line, is missing"),
        ("odd", "cannot be started: "),
        ("plain", "-r plain: it is not executable"),
        ("none", "-r none: No such file or directory"),
    ] {
        let output = seedbed(folder.path(), &format!("run simple-1 --seed 1 -r {program} --virtual"));
        printed(&output, 2);
        assert!(text(&output.stderr).contains(error), "{}", text(&output.stderr));
    }
    let output = seedbed(folder.path(), "run simple-1 --seed 1 -r missing --virtual");
    assert!(text(&output.stderr).starts_with("error: the program cannot be simulated: replica 0000 at 0.000000s: "));
    if has("python3") {
        let tcp = "#!/usr/bin/env python3\nimport socket\nsocket.socket().connect((\"127.0.0.1\", 80))\n";
        script(&folder, "tcp", tcp);
        let output = seedbed(folder.path(), "explore --seeds 0 -r tcp");
        printed(&output, 2);
        let error = text(&output.stderr);
        assert!(error.contains("connect(") && error.contains("there is no other network in virtual time"), "{error}");
    }
}

/// A program that connects by TCP at its start, and goes on as the shipped one if that fails.
fn tries_tcp(folder: &TempDir) {
    let script_text = "#!/usr/bin/env python3
import os, socket, sys
try:
    socket.socket().connect((\"127.0.0.1\", 80))
except OSError as error:
    print(\"no TCP:\", error)
os.execv(\"./3700kvstore\", [\"./3700kvstore\"] + sys.argv[1:])
";
    script(folder, "tcp", script_text);
}

#[test]
fn a_run_that_goes_on_after_what_cannot_be_simulated_is_marked_in_every_output() {
    if !has("python3") {
        return;
    }
    let folder = folder();
    tries_tcp(&folder);
    let run = "run crash-3 --seed 1 -r ./tcp --virtual --on-unsupported warn";
    let files = "--csv r.csv --json r.json --trace t.jsonl --timeline t.svg";
    let output = seedbed(folder.path(), &format!("{run} {files}"));
    let report = printed(&output, 0);
    assert!(report.starts_with("seedbed run crash-3 --seed 1 --virtual --on-unsupported warn -r ./tcp\n"), "{report}");
    assert!(report.contains("\nNot faithful: "), "{report}");
    assert!(report.contains("Faithfulness: not faithful, replica 000"), "{report}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("a file");
    assert!(read("r.csv").contains(",faithfulness not faithful,"), "{}", read("r.csv"));
    let json: Value = serde_json::from_str(&read("r.json")).expect("JSON");
    let mark = &json["checkers"]["faithfulness"];
    assert_eq!(mark["calls"].as_array().map(Vec::len), Some(5), "a call of each replica: {mark}");
    assert_eq!(read("t.jsonl").matches("did what cannot be simulated: ").count(), 5);
    assert!(read("t.svg").contains("not faithful"));
    let suite = seedbed(folder.path(), "run crash-3 --seeds 1..3 -r ./tcp --virtual --on-unsupported warn");
    assert_eq!(printed(&suite, 0).matches("    Not faithful: replica 0").count(), 1, "{}", text(&suite.stdout));
    // A repro file keeps the choice.
    short(&folder);
    let mut hard: Value = serde_json::from_str(&read("short.json")).expect("JSON");
    hard["max_packets"] = json!(60);
    fs::write(folder.path().join("hard.json"), hard.to_string()).expect("a file");
    let failed = seedbed(folder.path(), "run hard.json --seed 1 -r ./tcp --virtual --on-unsupported warn");
    printed(&failed, 1);
    let repro =
        fs::read_dir(folder.path().join("repros")).expect("a folder").next().expect("a file").expect("an entry");
    let kept = fs::read_to_string(repro.path()).expect("a file");
    assert!(kept.contains("\"on_unsupported\": \"warn\""), "{kept}");
    let replayed = seedbed(folder.path(), &format!("replay {}", repro.path().display()));
    assert!(printed(&replayed, 0).contains("The same failure, to the bit"), "{}", text(&replayed.stdout));
}

#[test]
fn the_first_system_call_that_differs_is_named() {
    let folder = folder();
    // It counts its starts in a file that no run forgets.
    script(&folder, "counts", "#!/bin/sh\nread n < $COUNTER; echo $((n + 1)) > $COUNTER\nexec ./3700kvstore \"$@\"\n");
    let outside = TempDir::new().expect("a folder");
    let counter = outside.path().join("counter");
    fs::write(&counter, "1\n").expect("a file");
    let verify = format!("verify simple-1 --seeds 0..3 -r ./counts --env COUNTER={}", counter.display());
    let output = seedbed(folder.path(), &verify);
    let report = printed(&output, 1);
    let marked: Vec<&str> = report.lines().filter(|line| line.starts_with('>')).collect();
    assert_eq!(marked.len(), 2, "{report}");
    assert!(marked.iter().all(|line| line.contains(": read(0, \"")) && marked[0] != marked[1], "{report}");
    assert!(report.contains("openat(-100, \""), "the call that opened it is shown, too: {report}");
}

#[test]
fn system_calls_are_in_the_trace_if_they_are_wanted_and_change_nothing() {
    let folder = folder();
    short(&folder);
    let run = "run short.json --seed 3 -r ./3700kvstore --virtual";
    let plain = trace(&seedbed(folder.path(), run), 0);
    let told = seedbed(folder.path(), &format!("{run} --trace t.jsonl --trace-calls"));
    assert_eq!(trace(&told, 0), plain);
    let lines = fs::read_to_string(folder.path().join("t.jsonl")).expect("a trace");
    let calls: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|line: &Value| line["type"] == "call")
        .collect();
    let first_send = calls.iter().find(|line| line["call"].as_str().is_some_and(|call| call.contains(": sendto(")));
    let call = first_send.expect("it sends")["call"].as_str().expect("text");
    assert!(call.contains("hello") && call.ends_with(" = 68"), "{call}");
    for arguments in
        ["run short.json --trace x --trace-calls", "run short.json -r ./3700kvstore --trace x --trace-calls"]
    {
        let output = seedbed(folder.path(), arguments);
        printed(&output, 2);
        assert!(text(&output.stderr).contains("--trace-calls: "), "{}", text(&output.stderr));
    }
}

#[test]
fn a_program_that_ends_has_died_and_its_last_words_are_told() {
    let folder = TempDir::new().expect("a folder");
    script(&folder, "dies", "#!/bin/sh\necho one\necho two >&2\nsleep 1\nexit 3\n");
    let output = seedbed(folder.path(), "run simple-1 --seed 1 -r dies --virtual --show-output");
    let report = printed(&output, 1);
    assert!(report.contains("quit unexpectedly (exit code 3; last words: one | two)"), "{report}");
    assert!(report.contains("Error: >0 replicas died unexpectedly (5)"), "{report}");
    assert!(text(&output.stderr).contains("Replica 0004] two"), "{}", text(&output.stderr));
}

#[test]
fn nothing_is_left_of_a_run_that_is_interrupted() {
    let folder = TempDir::new().expect("a folder");
    // Nothing else sleeps for so long.
    let marker = "61728394";
    script(&folder, "waits", &format!("#!/bin/sh\nwhile true; do sleep {marker}; done\n"));
    let mut command = processes::seedbed();
    command.current_dir(folder.path()).args(["explore", "--for", "10m", "-r", "waits"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("seedbed starts");
    let marked = || {
        let processes = fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
        let commands = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        commands.filter(|command| String::from_utf8_lossy(command).contains(marker)).count()
    };
    let seen = (0..500).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        marked() > 0
    });
    end_with(Signal::KILL, child);
    assert!(seen, "replicas were running");
    let gone = (0..500).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        marked() == 0
    });
    assert!(gone, "replicas are left");
}

#[test]
fn a_sweep_plays_a_program_in_all_cells_and_names_it_in_its_commands() {
    let folder = folder();
    let sweep = "sweep simple-1 crash-3 -r ./3700kvstore --virtual --seeds 0..2 --drops 0,0.1 --csv rows.csv";
    let output = seedbed(folder.path(), sweep);
    printed(&output, 0);
    let rows = fs::read_to_string(folder.path().join("rows.csv")).expect("rows");
    assert_eq!(rows.lines().count(), 1 + 2 * 2 * 2, "{rows}");
    assert!(rows.contains("--virtual -r ./3700kvstore"), "{rows}");
    let again = seedbed(folder.path(), &format!("{sweep} --force -j 1"));
    printed(&again, 0);
    assert_eq!(rows, fs::read_to_string(folder.path().join("rows.csv")).expect("rows"), "on one core, too");
}

#[test]
fn options_that_need_a_program_or_another_world_are_refused_without_it() {
    let folder = TempDir::new().expect("a folder");
    for arguments in [
        "run simple-1 --virtual",
        "run simple-1 -r x --show-output",
        "run simple-1 -r x --on-unsupported warn",
        "verify simple-1 --seeds 0 --on-unsupported warn",
        "explore --seeds 0 -r x --on-unsupported never",
        "explore --seeds 0 -r x --without votes-once",
        "verify simple-1 --seeds 0 -r x --protocol node",
        "sweep simple-1 -r x",
        "explore --seeds 0 --env A=b",
    ] {
        printed(&seedbed(folder.path(), arguments), 2);
    }
}

#[test]
fn the_doctor_finds_all_that_this_machine_needs() {
    let folder = TempDir::new().expect("a folder");
    let output = seedbed(folder.path(), "doctor");
    let report = printed(&output, 0);
    assert_eq!(report.lines().filter(|line| line.starts_with("ok       ")).count(), 10, "{report}");
    assert!(report.ends_with("Programs can be simulated here: seedbed run all -r PROGRAM --virtual\n"), "{report}");
}
