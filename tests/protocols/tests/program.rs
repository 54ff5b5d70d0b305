//! What the program of a user's protocols says of panics, of clients that are not served, and in its help.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

/// What the program has written, and its exit code.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    /// Asserts its exit code, and that it has written all of this.
    #[track_caller]
    fn expect(self, code: i32, out: &[&str], err: &[&str]) -> Said {
        let Said { out: stdout, err: stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "{stdout}\n{stderr}");
        for word in out {
            assert!(stdout.contains(word), "`{word}` is missing:\n{stdout}\n{stderr}");
        }
        for word in err {
            assert!(stderr.contains(word), "`{word}` is missing on standard error:\n{stderr}");
        }
        for spill in ["stack backtrace", "thread '", "RUST_BACKTRACE=full"] {
            assert!(!stderr.contains(spill) && !stdout.contains(spill), "{spill}:\n{stdout}\n{stderr}");
        }
        self
    }
}

fn run(folder: &TempDir, words: &str) -> Said {
    let program = env!("CARGO_BIN_EXE_odd-protocols");
    let output = Command::new(program).args(words.split(' ')).current_dir(folder.path()).output().expect("it starts");
    let Output { status, stdout, stderr } = output;
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
    Said { code: status.code(), out, err }
}

/// A folder with a folder of three scenarios: two that name no workload, and one of a queue.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let scenario = |more: &str| {
        let rest = r#""lifetime": 3, "replicas": 3, "requests": 30, "tests": {"maximum_get_fail_fraction": 0.5,
            "maximum_put_fail_fraction": 0.5, "maximum_get_generation_fail_fraction": 1,
            "maximum_appends_batched_fraction": 1, "benchmarks": {"total_msgs": [1000, 2000, 3000],
            "failures": [1, 2, 3], "duplicates": [1, 2, 3], "median_latency": [1, 2, 3]}}"#;
        format!("{{{more}{rest}}}")
    };
    fs::create_dir(folder.path().join("mine")).expect("a folder");
    for (name, more) in [("a", ""), ("b", r#""workload": {"kind": "queue"}, "#), ("c", "")] {
        fs::write(folder.path().join(format!("mine/{name}.json")), scenario(more)).expect("a file");
    }
    folder
}

#[test]
fn a_panic_of_a_replica_is_a_failed_run_with_its_place_and_the_command_that_repeats_it() {
    let folder = folder();
    let words = "run mine/a.json --seed 7 --without calm-replica";
    let said = run(&folder, words).expect(
        1,
        &[
            "# Simulation Panicked",
            "Panic: panicked, in a replica, on purpose (tests/protocols/src/main.rs:",
            "Repeat: odd-protocols run mine/a.json --seed 7 --without calm-replica",
            "Replay: odd-protocols replay repros/a-7-calm-replica.json",
        ],
        &[],
    );
    // The event that the replica panicked at, with its time and the replica.
    let line = said.out.lines().find(|line| line.starts_with("at 2.")).unwrap_or_else(|| panic!("{}", said.out));
    assert!(line.contains("with or soon after event ") && line.contains("request"), "{line}");
    run(&folder, "replay repros/a-7-calm-replica.json").expect(0, &["The same failure: no trace"], &[]);
}

#[test]
fn the_other_runs_of_a_folder_go_on_after_a_panic_and_reports_have_all_of_them() {
    let folder = folder();
    let said = run(&folder, "run mine --seed 7 --without calm-replica --json -").expect(1, &[], &[]);
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let runs = report["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 2, "{report}");
    for run in runs {
        assert_eq!(run["checkers"]["findings"][0]["kind"], "panic", "{run}");
        assert_eq!(run["checkers"]["findings"].as_array().map(Vec::len), Some(1), "{run}");
    }
    run(&folder, "run mine --seed 7 --without calm-replica").expect(1, &["Passed 0 out of 2 tests"], &[]);
}

#[test]
fn a_panic_is_reported_by_verify_and_by_a_sweep_as_well() {
    let folder = folder();
    run(&folder, "verify mine/a.json --seeds 7").expect(0, &["1 run of 1 scenario verified"], &[]);
    let sweep = "sweep mine/a.json --without calm-replica --seeds 0..3 --csv rows.csv";
    run(&folder, sweep).expect(1, &["3 runs"], &[]);
    let rows = fs::read_to_string(folder.path().join("rows.csv")).expect("rows");
    assert_eq!(rows.matches("the run panicked: in a replica, on purpose").count(), 3, "{rows}");
    let teller = "verify mine/a.json --protocol teller --seeds 7";
    let repeat = "Repeat: odd-protocols verify mine/a.json --seeds 7 --protocol teller";
    run(&folder, teller).expect(1, &["both runs panicked", "in a client, on purpose", repeat], &[]);
}

#[test]
fn a_panic_at_the_start_in_a_client_or_in_a_checker_is_not_said_to_be_a_replicas() {
    let folder = folder();
    for (options, out) in [
        ("--without calm-start", &["Panic: panicked, at the start, on purpose", "before the first event"][..]),
        (
            "--without calm-checker",
            &["Panic: panicked, in a checker, on purpose", "in a checker or a window: without checkers"],
        ),
        ("--protocol teller", &["Panic: panicked, in a client, on purpose"]),
    ] {
        let said = run(&folder, &format!("run mine/a.json --seed 7 {options}")).expect(1, out, &[]);
        assert!(!said.out.contains("a replica panicked") && said.out.contains("\nRepeat: "), "{}", said.out);
    }
}

#[test]
fn what_is_not_served_is_left_out_of_a_folder_and_refused_if_it_was_asked_for() {
    let folder = folder();
    let why = r#"mine/b.json: `workload.kind` is "queue"; allowed is kv, which fragile serves"#;
    let note = format!("note: left out: {why}");
    let said = run(&folder, "run mine --seed 7 --json -").expect(0, &[], &[&note]);
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let names: Vec<&str> =
        report["runs"].as_array().expect("runs").iter().filter_map(|run| run["scenario"].as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    run(&folder, "run mine --seed 7").expect(0, &["Passed 2 out of 2 tests"], &[&note]);
    run(&folder, "sweep mine --seeds 0..2 --csv rows.csv").expect(0, &["4 runs"], &[&note]);
    let rows = fs::read_to_string(folder.path().join("rows.csv")).expect("rows");
    assert_eq!(rows.lines().count(), 1 + 4, "{rows}");
    run(&folder, "verify mine --seeds 7").expect(0, &["2 runs of 2 scenarios verified"], &[&note]);
    for command in ["run mine/b.json --seed 7", "sweep mine/b.json", "verify mine/b.json --seeds 7"] {
        run(&folder, command).expect(2, &[], &[&format!("error: {why}")]);
    }
    for name in ["a", "c"] {
        fs::remove_file(folder.path().join(format!("mine/{name}.json"))).expect("a file");
    }
    let nothing = format!("error: all scenarios are left out (1); the first one: {why}");
    for command in ["run mine --seed 7", "sweep mine", "verify mine --seeds 7"] {
        run(&folder, command).expect(2, &[], &[&nothing]);
    }
}

#[test]
fn a_scenario_is_not_fitted_to_a_protocol_if_another_program_plays_it() {
    let folder = folder();
    // It is refused for what a real program cannot play, and not for what `fragile` does not serve.
    let said = run(&folder, "run mine/b.json --seed 7 -r /bin/true").expect(2, &[], &["`queue`"]);
    assert!(!said.err.contains("serves"), "{}", said.err);
}

#[test]
fn a_protocol_without_mutants_has_no_zoo_and_one_without_clients_is_not_explored() {
    let folder = folder();
    run(&folder, "zoo --protocol teller").expect(2, &[], &["error: teller has no mutants"]);
    let silent =
        "error: mute cannot be explored: its workload, custom \"silence\", has no generator; `Kind::custom` takes one";
    run(&folder, "explore --protocol mute --seeds 0..2").expect(2, &[], &[silent]);
    let silent = "error: mine/a.json: `operations` is missing; allowed is a list";
    run(&folder, "run mine/a.json --protocol mute").expect(2, &[], &[silent]);
}

#[test]
fn a_misspelled_parameter_or_mutant_is_answered_with_those_that_there_are() {
    let folder = folder();
    let all = "error: unknown path `patience`; allowed is a key of scenario files (docs/scenarios.md) or a parameter of \
               fragile: hold_ms";
    run(&folder, "run mine/a.json --set patience=3").expect(2, &[], &[all]);
    run(&folder, "run mine/a.json --set hold_m=3").expect(2, &[], &["unknown path `hold_m`; did you mean `hold_ms`?"]);
    let mutants = "[possible values: calm-replica, calm-start, calm-checker]";
    run(&folder, "explore --seeds 0..2 --without x").expect(2, &[], &[mutants]);
}

#[test]
fn the_help_is_about_this_program_and_its_protocols() {
    let folder = folder();
    for command in ["run", "scenarios", "verify", "sweep", "merge", "check", "explore", "zoo", "replay", "shrink"] {
        let help = run(&folder, &format!("help {command}")).expect(0, &[], &[]).out;
        assert!(help.contains(&format!("\n  odd-protocols {command}")), "an example: {help}");
        for word in
            ["seedbed ", "Raft", "raft", "broadcast", "3700kvstore", "commit-own-term", "figure-8", "stale-read"]
        {
            assert!(!help.contains(word), "{command} speaks of `{word}`: {help}");
        }
    }
    run(&folder, "help run").expect(0, &["parameter of replicas (hold_ms=5)", "parameters are hold_ms"], &[]);
    let error = "nowhere: no such file, and no built-in scenario has this name (`odd-protocols scenarios` lists them)";
    run(&folder, "run nowhere").expect(2, &[], &[error]);
}

#[test]
fn a_protocol_without_invariants_is_not_said_to_lack_those_of_raft() {
    let folder = folder();
    let said = run(&folder, "run mine/a.json --seed 7").expect(0, &["Linearizability: ok", "Liveness: "], &[]);
    assert!(!said.out.contains("Raft") && !said.out.contains("nvariants"), "{}", said.out);
}
