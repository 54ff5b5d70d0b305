//! The `seedbed` program as a process: what it prints where, and its exit codes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::processes;
use serde_json::Value;
use tempfile::TempDir;

const CRASH: &str = "scenarios/crash-3.json";
const LOSSY: &str = "scenarios/unreliable-3.json";

/// A scenario in the handout's format that takes little time.
const SMALL: &str = r#"{
    "lifetime": 5, "replicas": 3, "requests": 50, "mix": 0.5,
    "tests": {"maximum_get_generation_fail_fraction": 1, "benchmarks": {
        "total_msgs": [1000, 3000, 5000], "failures": [1, 2, 3],
        "duplicates": [1, 2, 3], "median_latency": [0.01, 0.1, 1]
    }}
}"#;

fn seedbed() -> Command {
    let mut command = processes::seedbed();
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn run(arguments: &[&str]) -> Output {
    seedbed().arg("run").args(arguments).output().expect("seedbed starts")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("standard output is text")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("standard error is text")
}

fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(output), stderr(output));
}

/// The command ends with code 2, prints nothing but this line (and, for clap's errors, help below it).
fn assert_refused(arguments: &[&str], message: &str) {
    let output = run(arguments);
    assert_code(&output, 2);
    assert_eq!((stdout(&output), stderr(&output).lines().next()), ("", Some(message)), "{arguments:?}");
}

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("a file in it");
    }
    directory
}

fn path(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn a_single_run_prints_its_command_the_courses_report_and_its_hash() {
    let output = run(&[CRASH, "--seed", "7"]);
    assert_code(&output, 0);
    assert_eq!(stderr(&output), "");
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines[0], "seedbed run scenarios/crash-3.json --seed 7");
    assert_eq!(lines[1..5], ["", "# Simulation Finished", "", "## Useful Information and Statistics"]);
    assert!(lines.contains(&"Replicas that died/were killed: 0/1"), "{lines:?}");
    assert!(lines.contains(&"All correctness tests passed"), "{lines:?}");
    assert!(lines.contains(&"## <test metric>: <your score> <benchmark score>, <test result>"), "{lines:?}");
    let section = lines.iter().position(|line| *line == "## What the Other Checkers Say").expect("it has a section");
    let begins = ["Linearizability: ok, ", "Raft invariants: ok, ", "Liveness: ok, ", "", "Trace: "];
    assert!(lines[section + 1..].iter().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{lines:?}");
    let trace = lines.last().and_then(|line| line.strip_prefix("Trace: ")).expect("the last line is the hash");
    assert!(trace.len() == 16 && trace.bytes().all(|byte| byte.is_ascii_hexdigit()), "{trace}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_run() {
    let once = run(&[LOSSY, "--seed", "7"]);
    assert_eq!(once, run(&[LOSSY, "--seed", "7"]));
    assert_eq!(once, run(&[LOSSY, "--seed", "7", "--silence", "-c", "elsewhere"]));
    let other = run(&[LOSSY, "--seed", "8"]);
    assert_ne!(stdout(&once).lines().last(), stdout(&other).lines().last());
}

#[test]
fn a_run_without_a_seed_draws_one_and_its_first_line_repeats_it() {
    let directory = directory(&[("it's small.json", SMALL)]);
    let first = run(&[&path(&directory, "it's small.json"), "--protocol", "broadcast"]);
    assert_eq!(first, repeat(&first));
    let second = run(&[&path(&directory, "it's small.json"), "--protocol", "broadcast"]);
    // Two draws are the same once in 2^32.
    assert_ne!(stdout(&first).lines().next(), stdout(&second).lines().next());
}

#[test]
fn jobs_do_not_change_results_nor_their_order() {
    let [one, four] = ["1", "4"].map(|jobs| run(&["all", "--seed", "7", "-j", jobs]));
    assert_code(&one, 0);
    assert_eq!(stdout(&one), stdout(&four));
}

#[test]
fn the_first_line_of_all_repeats_them_all() {
    let directory = directory(&[("a.json", SMALL), ("b.json", &SMALL.replacen('{', r#"{"seed": 3,"#, 1))]);
    let first = run(&["all", "-c", &path(&directory, "")]);
    assert_code(&first, 0);
    assert_eq!(first, repeat(&first));
}

#[test]
fn the_shipped_node_passes_the_suite_in_virtual_time_and_its_command_repeats_the_run() {
    let output = run(&["all", "--seed", "7", "--protocol", "node"]);
    assert_code(&output, 0);
    assert!(stdout(&output).contains("Passed 17 out of 17 tests"), "{}", stdout(&output));
    assert_eq!(output, repeat(&output));
    let single = run(&["crash-3", "--seed", "7", "--protocol", "node"]);
    let begin =
        "seedbed run crash-3 --seed 7 --protocol node\n\nPlayed on the course's LAN, in 34.0 s of virtual time\n";
    assert!(stdout(&single).starts_with(begin), "{}", stdout(&single));
    assert!(stdout(&single).contains("\nRaft invariants: ok, "), "{}", stdout(&single));
    let disks = run(&["crash-3", "--protocol", "node", "--event", "full_disk:0@4"]);
    assert_code(&disks, 2);
    let refusal =
        "`events` is a list with `full_disk`; allowed is a list without faults of disks, as node has no disks";
    assert!(String::from_utf8_lossy(&disks.stderr).contains(refusal), "{disks:?}");
}

#[test]
fn a_failing_row_names_the_command_that_repeats_its_run() {
    let output = run(&["all", "--seed", "7", "--protocol", "broadcast"]);
    assert_code(&output, 1);
    let row = stdout(&output).lines().find(|line| line.starts_with("    Repeat: ")).expect("something fails");
    assert!(stdout(&output).contains("[FAIL]\n    Error: linearizability: client "), "{}", stdout(&output));
    let single = shell(row.trim_start_matches("    Repeat: "));
    assert_code(&single, 1);
    assert!(stdout(&single).contains("Error: >0 incorrect responses to get()"));
}

#[test]
fn a_failing_run_is_written_to_a_file_that_replays_and_replaces_no_other() {
    let folder = directory(&[]);
    fs::create_dir(folder.path().join("repros")).expect("a folder");
    fs::write(folder.path().join("repros/mine-7-broadcast.json"), "mine").expect("a file");
    let lossy = SMALL.replacen('{', r#"{"drops": 0.4,"#, 1);
    for name in ["a b.json", "a_b.json", "mine.json"] {
        fs::write(folder.path().join(name), &lossy).expect("a file");
    }
    let seedbed = |arguments: &[&str]| {
        let mut command = seedbed();
        command.current_dir(folder.path()).args(arguments).output().expect("seedbed starts")
    };
    let arguments = ["run", "all", "-c", ".", "--seed", "7", "--protocol", "broadcast"];
    let output = seedbed(&arguments);
    assert_code(&output, 1);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    let below = lines.windows(2).filter(|pair| pair[0].starts_with("    Repeat: "));
    let replays: Vec<&str> = below.map(|pair| pair[1].trim_start()).collect();
    assert_eq!(replays.len(), 3, "{lines:?}");
    for replay in ["a_b-7-broadcast.json", "a_b-7-broadcast-2.json", "mine-7-broadcast-2.json"] {
        let replay = format!("repros/{replay}");
        assert!(replays.contains(&format!("Replay: seedbed replay {replay}").as_str()), "{replays:?}");
        assert_code(&seedbed(&["replay", &replay]), 0);
    }
    assert_eq!(seedbed(&arguments), output, "the same files are written again");
    assert_eq!(fs::read_dir(folder.path().join("repros")).expect("a folder").count(), 4);
    assert_eq!(fs::read_to_string(folder.path().join("repros/mine-7-broadcast.json")).expect("a file"), "mine");
    let machine = seedbed(&["run", "mine.json", "--seed", "7", "--protocol", "broadcast", "--json", "-"]);
    let replay = "seedbed replay repros/mine-7-broadcast-2.json";
    assert_eq!(stderr(&machine), format!("note: mine with seed 7 failed; this repeats it: {replay}\n"));
}

/// Executes a report's first line, as a person would who copies it.
fn repeat(report: &Output) -> Output {
    shell(stdout(report).lines().next().expect("a first line"))
}

fn shell(command: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_seedbed"));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir(env!("CARGO_MANIFEST_DIR"));
    shell.env("PATH", program.parent().expect("a directory")).output().expect("sh starts")
}

#[test]
fn the_files_own_seed_counts_for_a_single_run_only() {
    let directory = directory(&[("s.json", &SMALL.replacen('{', r#"{"seed": 3,"#, 1))]);
    let first_line = |arguments: &[&str]| stdout(&run(arguments)).lines().next().unwrap_or_default().to_owned();
    let (file, folder) = (path(&directory, "s.json"), path(&directory, ""));
    assert!(first_line(&[&file]).ends_with("s.json --seed 3"));
    assert!(first_line(&[&file, "--seed", "4"]).ends_with("s.json --seed 4"));
    let suite = run(&["all", "-c", &folder, "--seed", "4", "--json", "-"]);
    assert_eq!(parsed(&suite.stdout)["runs"][0]["seed"], 4);
}

#[test]
fn all_prints_the_courses_table_in_the_courses_order() {
    let output = run(&["all", "--seed", "7"]);
    assert_code(&output, 0);
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "seedbed run all --seed 7");
    let headings: Vec<&str> = lines.iter().copied().filter(|line| line.ends_with("):")).collect();
    assert_eq!(headings.len(), 5);
    assert_eq!(headings[0], "Basic tests (5 replicas, 30 seconds, 500 requests):");
    let names: Vec<&str> = lines.iter().filter(|line| line.contains("[PASS]")).map(|line| word(line)).collect();
    assert_eq!((names.len(), names[0], names[2], names[16]), (17, "simple-1", "unreliable-1", "advanced-4"));
    assert!(lines[3].starts_with("simple-1      No drops, no failures, 80% read  "), "{}", lines[3]);
    assert_eq!(lines[lines.len() - 2], "Passed 17 out of 17 tests");
    assert!(lines[lines.len() - 1].starts_with("Trace: "));
    assert_eq!(output, run(&["all", "--config_directory", "scenarios", "--seed", "7"]));
}

#[test]
fn several_seeds_are_the_same_runs_as_one_by_one_in_one_row_for_each_scenario() {
    let folder = directory(&[("a.json", SMALL), ("b.json", SMALL)]);
    let (all, file) = (path(&folder, ""), path(&folder, "a.json"));
    let output = run(&["all", "-c", &all, "--seeds", "3..6", "--protocol", "broadcast", "-j", "2"]);
    assert_code(&output, 0);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert!(lines[0].starts_with("seedbed run all -c ") && lines[0].contains(" --seeds 3..6 "), "{lines:?}");
    let rows: Vec<&&str> = lines.iter().filter(|line| line.contains("[PASS]  3/3     Performance Tiers: ")).collect();
    assert_eq!(rows.iter().map(|row| word(row)).collect::<Vec<_>>(), ["a", "b"], "{lines:?}");
    assert_eq!(lines[lines.len() - 2], "Passed 6 out of 6 runs, and 2 out of 2 tests with every seed");

    let machine = |arguments: &[&str]| run(&[arguments, &["--json", "-"]].concat());
    let together = parsed(&machine(&[&file, "--seeds", "3..=5"]).stdout);
    let traces: Vec<&Value> = together["runs"].as_array().expect("a list").iter().map(|run| &run["trace"]).collect();
    let alone = ["3", "4", "5"].map(|seed| parsed(&machine(&[&file, "--seed", seed]).stdout)["trace"].clone());
    assert_eq!(traces, alone.iter().collect::<Vec<_>>());
    let csv = run(&["all", "-c", &all, "--seeds", "3..6", "--csv", "-"]);
    let seeds =
        |text: &str| text.lines().skip(1).map(|row| row.split(',').nth(3).map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(seeds(stdout(&csv)).into_iter().flatten().collect::<Vec<_>>(), ["3", "4", "5", "3", "4", "5"]);
}

#[test]
fn failed_seeds_are_named_with_commands_that_repeat_them() {
    let output = run(&["scenarios/unreliable-1.json", "--seeds", "7..9", "--protocol", "broadcast"]);
    assert_code(&output, 1);
    assert!(stdout(&output).contains("    Error: seed 7: linearizability: client "), "{}", stdout(&output));
    let row = stdout(&output).lines().find(|line| line.starts_with("    Repeat: ")).expect("something fails");
    assert!(row.contains(" --seed 7 "), "{row}");
    assert_code(&shell(row.trim_start_matches("    Repeat: ")), 1);
}

#[test]
fn one_seed_in_a_range_is_that_seed_and_what_shows_one_run_refuses_more() {
    assert_eq!(run(&[CRASH, "--seeds", "7..8"]), run(&[CRASH, "--seed", "7"]));
    let single = "allowed is one scenario with one seed";
    for option in ["--trace", "--timeline"] {
        let message = format!("error: {option} shows a single run; {single}");
        assert_refused(&[CRASH, "--seeds", "0..2", option, "x.svg"], &message);
    }
    let message = "error: the argument '--seeds <A..B>' cannot be used with '--seed <N>'";
    assert_refused(&[CRASH, "--seeds", "0..2", "--seed", "1"], message);
    let message = "error: 10001 runs are too many for `seedbed run`; allowed are up to 10000, and `seedbed sweep` takes \
                   more";
    assert_refused(&[CRASH, "--seeds", "0..10001"], message);
    assert_refused(
        &["all", "--seeds", "0..=18446744073709551615"],
        &message.replace("10001 ", "18446744073709551615 "),
    );
}

/// All four of the course's limits are wide but for the gets that cannot be generated, which is a matter of chance.
#[test]
fn a_run_that_fails_by_chance_alone_says_what_to_do() {
    let unlucky = SMALL.replace("_generation_fail_fraction\": 1", "_generation_fail_fraction\": 0");
    let folder = directory(&[("unlucky.json", &unlucky)]);
    let file = path(&folder, "unlucky.json");
    let output = run(&[&file, "--seed", "1"]);
    assert_code(&output, 1);
    let text = stdout(&output);
    let section = text.split("\n## What to Look at First\n").nth(1).expect("a section");
    assert!(section.starts_with("1. gets not generated: A client reads only keys"), "{section}");
    assert!(text.contains("Error: insufficient get() requests generated ("), "the verdict stays the course's: {text}");
    let remedy = "--set tests.maximum_get_generation_fail_fraction=1";
    assert!(section.contains(remedy), "{section}");
    let [option, value] = remedy.split(' ').collect::<Vec<_>>()[..] else { panic!("an option and a value") };
    assert_code(&run(&[&file, "--seed", "1", option, value]), 0);
    let suite = run(&["all", "-c", &path(&folder, ""), "--seed", "1"]);
    assert!(
        stdout(&suite).contains("\n    Note: this is about the clients' random choices and not about the program"),
        "{}",
        stdout(&suite)
    );
    let json = parsed(&run(&[&file, "--seed", "1", "--json", "-"]).stdout);
    assert!(json["checkers"]["findings"][0]["advice"].as_str().is_some_and(|advice| advice.contains(remedy)), "{json}");
}

fn word(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

#[test]
fn only_scenarios_directly_in_the_directory_are_run() {
    let directory = directory(&[("b10.json", SMALL), ("b9.json", SMALL), ("notes.txt", "not JSON")]);
    fs::create_dir(directory.path().join("deeper.json")).expect("a folder");
    fs::write(directory.path().join("deeper.json/c.json"), SMALL).expect("a file");
    let output = run(&["all", "-c", &path(&directory, ""), "--seed", "1"]);
    let names: Vec<&str> = stdout(&output).lines().filter(|line| line.contains("[PASS]")).map(word).collect();
    assert_eq!(names, ["b9", "b10"]);
}

#[test]
fn a_file_named_all_is_reached_by_its_path() {
    let directory = directory(&[("all", SMALL)]);
    let output = seedbed().args(["run", "./all", "--seed", "1"]).current_dir(directory.path()).output().unwrap();
    assert_code(&output, 0);
    assert!(stdout(&output).starts_with("seedbed run ./all --seed 1\n"));
}

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).expect("valid JSON")
}

#[test]
fn json_and_csv_say_what_the_text_says() {
    let directory = directory(&[]);
    let (json, csv) = (path(&directory, "run.json"), path(&directory, "run.csv"));
    fs::write(&json, "old and longer than what comes. ".repeat(1_000)).expect("an old file");
    let output = run(&[CRASH, "--seed", "7", "--json", &json, "--csv", &csv]);
    assert_code(&output, 0);
    let value = parsed(&fs::read(&json).expect("a JSON file"));
    let trace = value["trace"].as_str().expect("a hash");
    assert_eq!(stdout(&output).lines().last(), Some(format!("Trace: {trace}").as_str()));
    assert_eq!(value["command"], "seedbed run scenarios/crash-3.json --seed 7");
    assert_eq!(value["correctness"]["passed"], true);
    let checkers = &value["checkers"];
    let words = ["linearizability", "invariants", "liveness"].map(|checker| checkers[checker]["verdict"].clone());
    assert_eq!((&checkers["passed"], words), (&Value::from(true), [(); 3].map(|()| Value::from("ok"))));
    let mut reader = csv::Reader::from_path(&csv).expect("a CSV file");
    let headers = reader.headers().expect("a header").clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    let cell = |name| &rows[0][headers.iter().position(|header| header == name).expect("a column")];
    assert_eq!((rows.len(), cell("scenario"), cell("seed"), cell("trace")), (1, "crash-3", "7", trace));
    let words = ["passed", "findings", "linearizability", "invariants", "liveness"].map(cell);
    assert_eq!(words, ["true", "", "ok", "ok", "ok"]);
    assert_eq!(run(&[CRASH, "--seed", "7", "--json", "-"]).stdout, fs::read(&json).unwrap());
    assert_eq!(run(&[CRASH, "--seed", "7", "--csv", "-"]).stdout, fs::read(&csv).unwrap());
}

#[test]
fn a_suite_in_json_and_csv_has_every_run() {
    let output = run(&["all", "--seed", "7", "--protocol", "broadcast", "--json", "-"]);
    assert_code(&output, 1);
    let suite = parsed(&output.stdout);
    let runs = suite["runs"].as_array().expect("runs");
    let passed = runs.iter().filter(|run| run["checkers"]["passed"] == true).count();
    assert_eq!((&suite["total"], &suite["passed"]), (&Value::from(17), &Value::from(passed)));
    assert!(runs.iter().all(|run| run["performance"].is_null() != (run["correctness"]["passed"] == true)));
    let table = run(&["all", "--seed", "7", "--csv", "-"]);
    assert_eq!(csv::Reader::from_reader(table.stdout.as_slice()).records().map(Result::unwrap).count(), 17);
}

#[test]
fn there_are_no_colours_in_a_pipe_unless_they_are_forced() {
    let output = run(&[CRASH, "--seed", "7"]);
    assert!(!stdout(&output).contains('\u{1b}'));
    let with = |name: &str| seedbed().args(["run", CRASH, "--seed", "7"]).env(name, "1").output().expect("it starts");
    assert_eq!(with("NO_COLOR"), output);
    let forced = with("CLICOLOR_FORCE");
    assert!(stdout(&forced).contains("\u{1b}[32mAll correctness tests passed\u{1b}[0m"));
}

#[test]
fn an_incorrect_run_has_exit_code_one() {
    let output = run(&[LOSSY, "--seed", "7", "--protocol", "broadcast"]);
    assert_code(&output, 1);
    let text = stdout(&output);
    assert!(text.starts_with("seedbed run scenarios/unreliable-3.json --seed 7 --protocol broadcast\n"));
    assert!(text.contains("Error: >0 incorrect responses to get()\n"));
    assert!(text.contains("## Correctness Checks Failed, Skipping Performance Tests\n"));
    assert!(text.contains("\nLinearizability: violated, no order of the operations explains every answer\nclient "));
    assert!(!text.contains("Raft"), "broadcast has no invariants: {text}");
}

#[test]
fn bad_usage_has_exit_code_two_and_says_what_is_allowed() {
    let seeds = "allowed is a whole number from 0 to 18446744073709551615";
    for seed in ["-1", "x", "1.5", "18446744073709551616", ""] {
        let message = format!("error: invalid value '{seed}' for '--seed <N>': {seeds}");
        if seed.is_empty() {
            assert_code(&run(&[CRASH, "--seed", seed]), 2);
        } else {
            assert_refused(&[CRASH, "--seed", seed], &message);
        }
    }
    assert_refused(&[CRASH, "--protocol", "paxos"], "error: invalid value 'paxos' for '--protocol <NAME>'");
    assert_refused(&[], "error: the following required arguments were not provided:");
    let same = "error: --json and --csv cannot be written to the same place";
    assert_refused(&[CRASH, "--json", "-", "--csv", "-"], same);
    assert_refused(&[CRASH, "--json", "x", "--csv", "x"], same);
    assert_refused(
        &[CRASH, "-r", "./3700kvstore", "--protocol", "raft"],
        "error: the argument '--replica <PROGRAM>' cannot be used with '--protocol <NAME>'",
    );
    let jobs = "error: invalid value '0' for '--jobs <N>': 0 is not in 1..=1024";
    assert_refused(&["all", "--jobs", "0"], jobs);
    let no_program = seedbed().args(["compare", CRASH]).output().unwrap();
    assert_code(&no_program, 2);
    assert!(stderr(&no_program).contains("--replica <PROGRAM>"), "{}", stderr(&no_program));
    assert_code(&seedbed().output().unwrap(), 2);
    assert_code(&seedbed().arg("walk").output().unwrap(), 2);
}

#[test]
fn bad_input_has_exit_code_two_and_one_line_that_names_the_file() {
    let directory = directory(&[("bad.json", "{\"lifetime\": 5,"), ("short.json", r#"{"lifetime": 0}"#)]);
    let within = |name| path(&directory, name);
    let missing = within("none.json");
    for (file, cause) in [
        (missing.as_str(), "cannot be read: No such file or directory (os error 2)"),
        (&within("bad.json"), "line 1, column 15: cannot be read as JSON: EOF while parsing a value"),
        (&within("short.json"), "`lifetime` is 0; allowed is a number of seconds from 0.001 to 1000000"),
    ] {
        assert_refused(&[file], &format!("error: {file}: {cause}"));
        assert_eq!(stderr(&run(&[file])).lines().count(), 1);
    }
    // One bad file is enough to refuse all.
    assert_refused(
        &["all", "-c", directory.path().to_str().unwrap()],
        &format!("error: {}: line 1, column 15: cannot be read as JSON: EOF while parsing a value", within("bad.json")),
    );
}

#[test]
fn a_directory_without_scenarios_is_an_error() {
    let directory = directory(&[("notes.txt", "")]);
    let folder = directory.path().to_str().unwrap();
    assert_refused(&["all", "-c", folder], &format!("error: {folder}: holds no scenarios (*.json)"));
    let cause = "cannot be read as a directory of scenarios: No such file or directory (os error 2)";
    assert_refused(&["all", "-c", &path(&directory, "none")], &format!("error: {folder}/none: {cause}"));
}

#[test]
fn a_result_that_cannot_be_written_is_known_before_the_run() {
    let directory = directory(&[]);
    for option in ["--json", "--csv"] {
        let file = path(&directory, "none/run");
        let message = format!("error: {file}: cannot be written: No such file or directory (os error 2)");
        assert_refused(&[CRASH, option, &file], &message);
        assert_refused(&["all", option, &file], &message);
    }
}

#[test]
fn odd_keys_of_a_scenario_are_warnings_on_standard_error() {
    let directory = directory(&[("odd.json", &SMALL.replacen('{', r#"{"drop": 0.5,"#, 1))]);
    let file = path(&directory, "odd.json");
    let output = run(&[&file, "--seed", "1"]);
    assert_code(&output, 0);
    let warning = format!("warning: {file}: unknown key `drop` is ignored; did you mean `drops`?\n");
    assert_eq!(stderr(&output), warning);
    assert!(!stdout(&output).contains("warning"));
}

#[test]
fn a_closed_standard_output_ends_the_program_quietly() {
    for arguments in [[CRASH, "--seed", "7"], ["all", "--seed", "7"], [CRASH, "--json", "-"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = seedbed().arg("run").args(arguments).stdout(writer).output().expect("it starts");
        assert_eq!((output.status.code(), stderr(&output)), (Some(141), ""), "{arguments:?}");
    }
}

#[test]
fn a_reader_may_stop_after_the_first_line() {
    let mut child = seedbed()
        .args(["run", "all", "--seed", "7"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut first = String::new();
    BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut first).expect("a first line");
    let code = child.wait().expect("it ends").code();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).expect("text");
    assert_eq!((first.as_str(), errors.as_str()), ("seedbed run all --seed 7\n", ""));
    // It may have written all before the pipe was closed.
    assert!(matches!(code, Some(0 | 141)), "{code:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let output = seedbed().args(["run", CRASH, "--seed", "7"]).stdout(full).output().expect("it starts");
    assert_code(&output, 2);
    let message = "error: standard output cannot be written: No space left on device (os error 28)\n";
    assert_eq!(stderr(&output), message);
    let output = run(&[CRASH, "--seed", "7", "--csv", "/dev/full"]);
    assert_code(&output, 2);
    assert_eq!(stderr(&output), "error: /dev/full: cannot be written: No space left on device (os error 28)\n");
}

#[test]
#[cfg(target_os = "linux")]
fn an_option_with_a_negative_number_is_told_what_is_allowed_and_an_unknown_one_is_no_file() {
    for (arguments, error) in [
        ("run crash-3 -j -1", "error: invalid value '-1' for '--jobs <N>': -1 is not in 1..=1024"),
        ("sweep crash-3 -j -1", "error: invalid value '-1' for '--jobs <N>': -1 is not in 1..=1024"),
        ("explore --for -10s", "error: invalid value '-10s' for '--for <TIME>': allowed is a number with s, m or h"),
        ("zoo --starts -1", "error: invalid value '-1' for '--starts <N>': "),
        ("shrink figure-8 --budget -1", "error: invalid value '-1' for '--budget <RUNS>': allowed is a whole number"),
        ("run crash-3 --foo", "error: unexpected argument '--foo' found"),
    ] {
        let output = seedbed().args(arguments.split(' ')).output().expect("it starts");
        assert_code(&output, 2);
        assert!(stderr(&output).starts_with(error), "{arguments}: {}", stderr(&output));
        assert!(!stderr(&output).contains("tip:"), "{arguments}: {}", stderr(&output));
    }
    assert_refused(
        &[CRASH, "--drops", "nan"],
        "error: scenarios/crash-3.json with drops=nan: `drops` is \"nan\"; allowed is a number from 0 to 1",
    );
    let program = "no such program";
    let message = "cannot be started as a replica: No such file or directory (os error 2); PROGRAM is one file without \
                   arguments: write a script that runs the rest with \"$@\" at its end";
    assert_refused(&[CRASH, "-r", program], &format!("error: {program}: {message}"));
}

#[test]
fn help_and_version() {
    let version = seedbed().arg("--version").output().unwrap();
    assert_eq!(stdout(&version), format!("seedbed {}\n", env!("CARGO_PKG_VERSION")));
    let commands: [(&str, &[&str]); 12] = [
        ("help", &["--help"]),
        ("help_run", &["run", "--help"]),
        ("help_scenarios", &["scenarios", "--help"]),
        ("help_compare", &["compare", "--help"]),
        ("help_verify", &["verify", "--help"]),
        ("help_sweep", &["sweep", "--help"]),
        ("help_merge", &["merge", "--help"]),
        ("help_check", &["check", "--help"]),
        ("help_explore", &["explore", "--help"]),
        ("help_zoo", &["zoo", "--help"]),
        ("help_replay", &["replay", "--help"]),
        ("help_shrink", &["shrink", "--help"]),
    ];
    for (name, arguments) in commands {
        if cfg!(feature = "grpc") && name == "help" {
            // It lists more commands.
            continue;
        }
        let output = seedbed().args(arguments).output().unwrap();
        assert_code(&output, 0);
        assert!(stdout(&output).lines().all(|line| line.len() <= 120), "lines fit a screen");
        insta::assert_snapshot!(name, stdout(&output));
    }
}

#[cfg(not(feature = "grpc"))]
#[test]
fn commands_of_the_grpc_cluster_say_what_is_missing() {
    let message = "error: this program was built without gRPC; build it with: cargo build --release --features grpc\n";
    for arguments in ["kv get name", "kv --help", "chaos", "serve --id 0 -x", "cluster", "status --watch 1 -- --"] {
        let output = seedbed().args(arguments.split(' ')).output().expect("it starts");
        assert_code(&output, 2);
        assert_eq!((stdout(&output), stderr(&output)), ("", message), "{arguments}");
    }
}

#[test]
fn a_result_never_replaces_a_scenario_nor_another_result() {
    let folder = directory(&[("mine.json", SMALL)]);
    let path = folder.path().join("mine.json");
    let detour = folder.path().join(".").join("mine.json");
    let (path, detour) = (path.to_str().expect("a path in text"), detour.to_str().expect("a path in text"));
    for option in ["--json", "--csv"] {
        let message = format!("error: {detour}: is a file that this command reads; the result would replace it");
        assert_refused(&[path, "--seed", "1", option, detour], &message);
        let folder = folder.path().to_str().expect("a path in text");
        assert_refused(&["all", "-c", folder, "--seed", "1", option, detour], &message);
    }
    assert_eq!(fs::read_to_string(path).expect("the scenario"), SMALL);
    // A matrix is an input, too.
    let matrix = folder.path().join("matrix.json");
    fs::write(&matrix, "[[0, 0, 0], [0, 0, 0], [0, 0, 0]]").expect("a file");
    let matrix = matrix.to_str().expect("a path in text");
    for option in ["--json", "--csv", "--trace"] {
        let message = format!("error: {matrix}: is a file that this command reads; the result would replace it");
        assert_refused(&[path, "--matrix", matrix, option, matrix], &message);
    }
    let (one, other) = (format!("{path}.out"), format!("{detour}.out"));
    let message = "error: --json and --csv cannot be written to the same place";
    assert_refused(&[path, "--json", &one, "--csv", &other], message);
}

/// Runs seedbed in a folder outside the repository.
fn within(folder: &TempDir, arguments: &[&str]) -> Output {
    seedbed().args(arguments).current_dir(folder.path()).output().expect("seedbed starts")
}

#[test]
fn the_program_knows_its_scenarios_in_any_folder() {
    let folder = directory(&[]);
    for (arguments, same) in [
        (&["run", "all", "--seed", "7"][..], None),
        (&["run", "all", "-c", "scenarios/chaos", "--seed", "7"], None),
        (&["run", "chaos", "--seed", "7"], None),
        (&["run", "scenarios/crash-3.json", "--seed", "7"], None),
        (&["run", "crash-3", "--seed", "7", "--matrix", "matrices/minority.json"], None),
        (&["verify", "simple-1", "--seeds", "0..2"], None),
        (&["sweep", "all", "chaos", "--seeds", "0..2", "--csv", "-"], None),
        (&["replay", "scenarios/repros/figure-8.json"], None),
        (&["replay", "figure-8"], Some("repros/figure-8")),
        (&["run", "crash-3.json", "--seed", "7"], Some("scenarios/crash-3")),
    ] {
        let outside = within(&folder, arguments);
        let inside = seedbed().args(arguments).output().expect("seedbed starts");
        assert!(matches!(outside.status.code(), Some(0 | 1)), "{arguments:?}: {}", stderr(&outside));
        assert_eq!(outside.stdout, inside.stdout, "{arguments:?}");
        if let Some(name) = same {
            let last = arguments.len() - 1;
            let mut others = arguments.to_vec();
            others[1.min(last)] = name;
            let last_line = |output: &Output| stdout(output).lines().last().unwrap_or_default().to_owned();
            assert_eq!(last_line(&within(&folder, &others)), last_line(&outside), "{arguments:?}");
        }
    }
}

#[test]
fn what_a_run_of_a_built_in_scenario_prints_repeats_it() {
    let folder = directory(&[]);
    let in_shell = |command: &str| {
        let program = Path::new(env!("CARGO_BIN_EXE_seedbed")).parent().expect("a folder");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).current_dir(folder.path()).env("PATH", program).output().expect("sh starts")
    };
    let output = within(&folder, &["run", "unreliable-1", "--seed", "7", "--protocol", "broadcast"]);
    assert_code(&output, 1);
    let line = |start: &str| stdout(&output).lines().find_map(|line| line.strip_prefix(start)).expect(start).to_owned();
    assert_eq!(line("Repeat: "), "seedbed run unreliable-1 --seed 7 --protocol broadcast");
    assert_eq!(in_shell(&line("Repeat: ")), output);
    assert_code(&in_shell(&line("Replay: ")), 0);
    let shrunk = within(&folder, &["shrink", "repros/stale-read", "--budget", "50"]);
    assert_code(&shrunk, 0);
    assert!(stdout(&shrunk).starts_with("seedbed shrink repros/stale-read --budget 50\n"), "{}", stdout(&shrunk));
    assert!(stdout(&shrunk).ends_with("\nReplay: seedbed replay stale-read-shrunk.json\n"), "{}", stdout(&shrunk));
    assert_code(&in_shell("seedbed replay stale-read-shrunk"), 0);
}

#[test]
fn a_file_or_folder_of_the_same_name_is_used_instead_of_a_built_in_one() {
    let folder = directory(&[("crash-3.json", SMALL)]);
    let report = |arguments: &[&str]| stdout(&within(&folder, arguments)).to_owned();
    assert!(report(&["run", "crash-3", "--seed", "1"]).contains("get()/put() requests: 2"), "the small one");
    assert!(report(&["run", "scenarios/crash-3.json", "--seed", "7"]).contains("Trace: 34f0eccbeb3bb8c8"));
    fs::create_dir(folder.path().join("scenarios")).expect("a folder");
    fs::write(folder.path().join("scenarios/mine.json"), SMALL).expect("a file");
    assert!(report(&["run", "all", "--seed", "1"]).contains("Passed 1 out of 1 tests"));
    let output = folder.path().join("scenarios/mine.json");
    let refused = within(&folder, &["run", "mine", "--json", "scenarios/mine.json"]);
    assert_code(&refused, 2);
    let error = "error: scenarios/mine.json: is a file that this command reads; the result would replace it\n";
    assert_eq!((stderr(&refused), fs::read_to_string(output).expect("a file")), (error, SMALL.to_owned()));
}

#[test]
fn a_folder_without_scenarios_hides_no_built_in_one_and_other_kinds_of_files_are_named() {
    let folder = directory(&[("matrix.json", "[[0, 0, 0], [0, 0, 0], [0, 0, 0]]")]);
    for empty in ["crash-3", "scenarios"] {
        fs::create_dir(folder.path().join(empty)).expect("a folder");
    }
    assert!(stdout(&within(&folder, &["run", "crash-3", "--seed", "7"])).contains("Trace: 34f0eccbeb3bb8c8"));
    assert!(stdout(&within(&folder, &["run", "all", "--seed", "7"])).contains("Passed 17 out of 17 tests"));
    for (arguments, error) in [
        (&["run", "figure-8"][..], "figure-8: is a repro file, which `seedbed replay` takes"),
        (&["run", "repros/figure-8"], "repros/figure-8: is a repro file, which `seedbed replay` takes"),
        (&["replay", "crash-4"], "crash-4: is a scenario, which `seedbed run` takes"),
        (&["run", "simple-1", "--matrix", "crash-4"], "crash-4: is a scenario, which `seedbed run` takes"),
        (&["run", "matrices"], "matrices: is a folder without scenarios; `seedbed scenarios` lists its files"),
        (
            &["run", "matrix.json"],
            "matrix.json: is a list of lists, perhaps a connectivity matrix, which `--matrix` takes; allowed is a scenario",
        ),
    ] {
        let refused = within(&folder, arguments);
        assert_code(&refused, 2);
        assert_eq!(stderr(&refused), format!("error: {error}\n"));
    }
}

#[test]
fn the_word_all_is_the_suite_even_beside_a_file_of_that_name() {
    let folder = directory(&[("all.json", "{")]);
    let sweep = within(&folder, &["sweep", "all", "--seeds", "0..1"]);
    assert!(stdout(&sweep).contains("of 17 runs passed"), "{}", stderr(&sweep));
}

#[test]
fn a_result_never_replaces_the_program_that_is_played() {
    let folder = directory(&[("mine.json", SMALL), ("replica", "#!/bin/sh\n")]);
    for command in ["run", "compare"] {
        let refused = within(&folder, &[command, "mine.json", "-r", "replica", "--csv", "./replica"]);
        assert_code(&refused, 2);
        let error = "error: ./replica: is a file that this command reads; the result would replace it\n";
        assert_eq!(stderr(&refused), error);
    }
    assert_eq!(fs::read_to_string(folder.path().join("replica")).expect("a file"), "#!/bin/sh\n");
}

#[test]
fn a_result_can_go_to_the_file_that_standard_output_is_and_loses_nothing() {
    let folder = directory(&[("mine.json", SMALL)]);
    let file = fs::File::create(folder.path().join("out")).expect("a file");
    let status = seedbed()
        .args(["run", "mine.json", "--seed", "1", "--json", "/dev/stdout"])
        .current_dir(folder.path())
        .stdout(file)
        .status()
        .expect("seedbed starts");
    assert!(status.success());
    let text = fs::read(folder.path().join("out")).expect("a file");
    assert_eq!(parsed(&text)["seed"], 1);
    let refused = within(&folder, &["run", "mine.json", "--csv", "none/"]);
    assert_code(&refused, 2);
    assert_eq!(stderr(&refused), "error: none/: cannot be written: is a directory\n");
}

#[test]
fn a_folder_is_named_the_same_way_in_all_commands() {
    let folder = directory(&[("a.json", SMALL), ("b.json", SMALL)]);
    let path = path(&folder, "");
    for (command, option) in [("run", "--seed"), ("verify", "--seeds"), ("sweep", "--seeds")] {
        let first = |arguments: &[&str]| {
            let output = seedbed().arg(command).args(arguments).args([option, "1"]).output().expect("seedbed starts");
            assert_code(&output, 0);
            stdout(&output).split_once('\n').map(|(first, rest)| (first.to_owned(), rest.to_owned())).expect("lines")
        };
        let (named, of_all) = (first(&[&path]), first(&["all", "-c", &path]));
        assert_eq!(named.1, of_all.1, "{command}");
        assert_eq!(named.0, format!("seedbed {command} {path} {option} 1"));
    }
}

#[test]
fn built_in_files_are_listed_printed_and_written() {
    let folder = directory(&[]);
    let list = within(&folder, &["scenarios"]);
    assert_code(&list, 0);
    for name in
        ["crash-3", "chaos/tour", "harsh/large-101", "matrices/isolate-3", "repros/figure-8", "examples/my-first"]
    {
        assert!(stdout(&list).contains(&format!("\n  {name} ")), "{name}: {}", stdout(&list));
    }
    let tour = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/chaos/tour.json")).expect("a file");
    assert_eq!(within(&folder, &["scenarios", "chaos/tour"]).stdout, tour);
    assert_eq!(stdout(&within(&folder, &["scenarios", "harsh"])).lines().count(), 7);
    assert_code(&within(&folder, &["scenarios", "-o", "scenarios"]), 0);
    assert_eq!(fs::read(folder.path().join("scenarios/chaos/tour.json")).expect("a file"), tour);
    assert_eq!(stderr(&within(&folder, &["scenarios", "-o", "scenarios"])), "note: 0 files written to scenarios\n");
    fs::write(folder.path().join("scenarios/crash-3.json"), SMALL).expect("a file");
    let refused = within(&folder, &["scenarios", "-o", "scenarios"]);
    assert_code(&refused, 2);
    let error = "error: scenarios/crash-3.json: differs from the built-in file; --force replaces it\n";
    assert_eq!(stderr(&refused), error);
    assert_eq!(
        stderr(&within(&folder, &["scenarios", "crash-3", "-o", "scenarios", "--force"])),
        "note: 1 file written to scenarios\n"
    );
    assert_eq!(within(&folder, &["scenarios", "chaos/tour", "-o", "-"]).stdout, tour);
    fs::create_dir_all(folder.path().join("odd/crash-3.json")).expect("a folder");
    assert_code(&within(&folder, &["scenarios", "-o", "odd"]), 2);
    assert_eq!(fs::read_dir(folder.path().join("odd")).expect("a folder").count(), 1, "nothing is written");
    for (arguments, error) in [
        (
            &["scenarios", "figre-8"][..],
            "figre-8: no built-in file or folder has this name; did you mean `repros/figure-8`?",
        ),
        (&["scenarios", "crush-3"], "crush-3: no built-in file or folder has this name; did you mean `crash-3`?"),
        (
            &["scenarios", "crash-3", "crash-4"],
            "only one file can be printed; write several to a folder with --output DIR",
        ),
    ] {
        let output = within(&folder, arguments);
        assert_code(&output, 2);
        assert_eq!(stderr(&output), format!("error: {error}\n"));
    }
}

#[test]
fn clients_that_are_always_failed_do_not_try_for_ever() {
    let scenario = r#"{"lifetime": 5, "replicas": 3, "requests": 20000, "mix": 0, "drops": 1,
        "network": {"model": "links", "delay": {"kind": "constant", "ms": 0.001}},
        "tests": {"benchmarks": {"total_msgs": [1, 2, 3], "failures": [1, 2, 3], "duplicates": [1, 2, 3],
        "median_latency": [1, 2, 3]}}}"#;
    let folder = directory(&[("storm.json", scenario)]);
    let path = folder.path().join("storm.json");
    let output = run(&[path.to_str().expect("a path in text"), "--seed", "1"]);
    assert_code(&output, 1);
    assert!(stdout(&output).contains("Warning: request storm"), "{}", stdout(&output));
}

/// What small files of the course's kind have in common.
const THRESHOLDS: &str = r#""benchmarks": {"total_msgs": [600, 1200, 2500], "failures": [1, 10, 60],
    "duplicates": [0, 3, 10], "median_latency": [0.001, 0.01, 0.1]}"#;

#[test]
fn the_limit_on_gets_that_cannot_be_generated_is_a_fraction_of_the_gets_that_were_drawn() {
    let scenario = format!(
        r#"{{"lifetime": 6, "replicas": 3, "requests": 60, "mix": 0.5, "start_wait": 3, "end_wait": 1,
        "tests": {{"maximum_get_generation_fail_fraction": 0.25, {THRESHOLDS}}}}}"#
    );
    let folder = directory(&[("gen.json", &scenario)]);
    let path = path(&folder, "gen.json");
    // 7 of 32 gets that were drawn, of which 25 were sent: 7 is less than a quarter of 32, and more than one of 25.
    let report = parsed(&run(&[&path, "--seed", "39", "--json", "-"]).stdout);
    let statistic = |name: &str| report["statistics"][name].as_u64().expect("a count");
    assert_eq!((statistic("gets_not_generated"), statistic("gets")), (7, 25));
    assert_eq!(report["correctness"]["passed"], true, "{report}");
}

#[test]
fn a_replica_that_is_cut_off_by_a_matrix_never_keeps_kill_leader_from_finding_the_leader() {
    let cut = "[[0,0,0,0,1],[0,0,0,0,1],[0,0,0,0,1],[0,0,0,0,1],[1,1,1,1,0]]";
    for event in [
        format!(r#"{{"type": "set_matrix", "time": 3, "matrix": {cut}}}"#),
        r#"{"type": "isolate", "time": 3, "replica": 4}"#.to_owned(),
    ] {
        let scenario = format!(
            r#"{{"lifetime": 20, "replicas": 5, "requests": 100, "mix": 0.2, "wait": 3, "end_wait": 3,
            "events": [{event}, {{"type": "kill_leader", "time": 8}}],
            "tests": {{"maximum_get_generation_fail_fraction": 1, "maximum_appends_batched_fraction": 1, {THRESHOLDS}}}}}"#
        );
        let folder = directory(&[("cut.json", &scenario)]);
        let output = run(&[&path(&folder, "cut.json"), "--seeds", "0..40", "--json", "-"]);
        let report = parsed(&output.stdout);
        let runs = report["runs"].as_array().expect("runs");
        assert_eq!(runs.len(), 40);
        for run in runs {
            let (idle, killed) = (&run["statistics"]["idle_faults"], &run["statistics"]["replicas_killed"]);
            assert_eq!((idle, killed), (&serde_json::json!([]), &serde_json::json!(1)), "seed {}", run["seed"]);
        }
    }
}

#[test]
fn an_event_that_does_nothing_is_said_in_text_json_and_csv() {
    let events =
        r#""events": [{"type": "kill", "time": 1, "replica": 2}, {"type": "kill", "time": 2, "replica": 2}], "tests""#;
    let folder = directory(&[("kill.json", &SMALL.replacen("\"tests\"", events, 1))]);
    let path = path(&folder, "kill.json");
    let text = run(&[&path, "--seed", "1"]);
    assert!(stdout(&text).contains(" s did nothing: replica 0002 was dead already\n"), "{}", stdout(&text));
    let report = parsed(&run(&[&path, "--seed", "1", "--json", "-"]).stdout);
    assert_eq!(report["statistics"]["idle_faults"][0]["type"], "kill");
    let csv = run(&[&path, "--seed", "1", "--csv", "-"]);
    let mut rows = csv::Reader::from_reader(&csv.stdout[..]);
    let place = rows.headers().expect("a heading").iter().position(|name| name == "idle_faults").expect("the column");
    assert_eq!(&rows.records().next().expect("a row").expect("a row")[place], "1");
}

#[test]
fn a_file_without_tests_is_refused_with_the_lists_to_write() {
    let old = r#"{"lifetime": 30, "replicas": 5, "requests": 500, "mix": 0.2, "events": [{"type": "kill_non_leader", "time": 15}]}"#;
    let folder = directory(&[("crash.json", old)]);
    let output = run(&[&path(&folder, "crash.json")]);
    assert_code(&output, 2);
    let error = stderr(&output);
    assert!(error.contains("`tests` is missing; allowed is the thresholds of the four benchmarks, as in {\"benchmarks\": {\"total_msgs\": ["));
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn the_rules_of_the_courses_runner_are_chosen_by_an_option_or_a_key_and_the_report_says_so() {
    let waiting = SMALL.replacen("\"lifetime\"", "\"wait\": 2, \"lifetime\"", 1);
    let keyed = SMALL.replacen("\"lifetime\"", "\"rules\": \"runner\", \"lifetime\"", 1);
    let folder = directory(&[("plain.json", SMALL), ("waiting.json", &waiting), ("keyed.json", &keyed)]);
    let seconds = |file: &str, rules: &[&str]| {
        let path = path(&folder, file);
        let report = parsed(&run(&[&[&path, "--seed", "1", "--json", "-"], rules].concat()).stdout);
        (report["seconds"].as_f64().expect("a time"), report["rules"].as_str().expect("a name").to_owned())
    };
    let (handout, runner) = (["--rules", "handout"], ["--rules", "runner"]);
    assert_eq!(seconds("plain.json", &[]), (9.0, "handout".to_owned()));
    assert_eq!(seconds("plain.json", &runner), (12.0, "runner".to_owned()), "the runner waits for 5 s");
    assert_eq!(seconds("waiting.json", &runner), (9.0, "runner".to_owned()), "unless the file says how long");
    assert_eq!(seconds("keyed.json", &[]), (12.0, "runner".to_owned()));
    assert_eq!(seconds("keyed.json", &handout), (9.0, "handout".to_owned()), "the option counts");

    let said = "\n\nPlayed by the rules of the course's runner, where they are not the handout's (rules: runner)\n\n";
    let plain = path(&folder, "plain.json");
    for (arguments, is_said) in [
        (&[&plain, "--seed", "1", "--rules", "runner"][..], true),
        (&["all", "-c", folder.path().to_str().expect("a path in text"), "--seed", "1", "--rules", "runner"], true),
        (&[&plain, "--seed", "1"], false),
    ] {
        let output = run(arguments);
        assert_eq!(stdout(&output).contains(said), is_said, "{}", stdout(&output));
    }
    assert_refused(
        &[CRASH, "--rules", "grader"],
        "error: scenarios/crash-3.json with rules=grader: `rules` is \"grader\"; allowed is handout, runner",
    );
}

#[test]
fn the_runners_hard_partition_leaves_some_leaders_their_quorum_and_the_handouts_none() {
    // A leader that keeps its quorum answers writes all the time.
    let stalled = |rules: &str| {
        let output = seedbed()
            .args(["sweep", "partition-3", "--seeds", "0..40", "--set", "wait=2", "--csv", "-", "--rules", rules])
            .output()
            .expect("it starts");
        assert_code(&output, 0);
        let mut rows = csv::Reader::from_reader(&output.stdout[..]);
        let place = rows.headers().expect("a heading").iter().position(|name| name == "write_gap");
        let gaps = rows.records().map(|row| row.expect("a row")[place.expect("the column")].parse::<f64>());
        gaps.filter(|gap| *gap.as_ref().expect("a number") > 0.6).count()
    };
    assert_eq!(stalled("handout"), 40);
    assert!((10..30).contains(&stalled("runner")));
}

#[test]
fn a_history_has_a_line_for_each_attempt_of_a_client_between_a_header_and_an_end() {
    let folder = directory(&[]);
    let path = path(&folder, "history");
    let report = parsed(&run(&[CRASH, "--seed", "7", "--history", &path, "--json", "-"]).stdout);
    let text = fs::read_to_string(&path).expect("a history");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!((&first["seedbed_history"], &first["seed"], &first["world"]), (&1.into(), &7.into(), &"virtual".into()));
    assert_eq!(last["operations"], lines.len() - 2);
    let count = |answer: &str| lines.iter().filter(|line| line["answer"] == answer).count();
    assert_eq!(report["statistics"]["redirects"], count("redirect"));
    let retries = lines.iter().filter(|line| line["retry_of"].is_string()).count();
    assert_eq!(retries, count("redirect") + count("fail"), "each is sent again");
    assert_refused(
        &[CRASH, "--seeds", "0..2", "--history", "-"],
        "error: --history shows a single run; allowed is one scenario with one seed",
    );
}
