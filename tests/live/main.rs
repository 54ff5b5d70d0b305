//! The live world, with real processes: good replicas, and every kind of bad one.
//!
//! This test program is also the replicas: called with `--replica NAME`, it plays one of `programs`. So it brings its
//! own `main`, and a test harness as a library.

mod compared;
mod hosts;
mod primary;
mod programs;
mod surroundings;

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::Duration;

use common::processes;
use libtest_mimic::{Arguments, Trial};
use rustix::process::{Pid, Signal, test_kill_process};
use seedbed_core::clock::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, rest @ ..] = &arguments[..]
        && flag == "--replica"
    {
        return programs::main(rest);
    }
    let mut arguments = Arguments::from_args();
    // They mostly wait.
    arguments.test_threads.get_or_insert(12);
    let folder = Folder::new();
    let trials = tests().map(|(name, test)| {
        Trial::test(name, move || {
            test(folder);
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().collect());
    folder.remove();
    conclusion.exit_code()
}

type Test = fn(&'static Folder);

fn tests() -> [(&'static str, Test); 71] {
    [
        ("the_real_replicas_pass_a_scenario_with_every_kind_of_fault", real_replicas_pass),
        ("the_same_seed_brings_the_same_requests_and_the_same_faults", same_seed_same_requests),
        ("several_scenarios_run_at_a_time_and_are_reported_in_order", several_at_a_time),
        ("several_seeds_are_one_row_whose_failures_are_named", several_seeds),
        ("a_program_that_is_missing_or_not_executable_is_an_error", missing_program),
        ("replicas_that_quit_at_once_end_the_run_and_are_reported", quits),
        ("replicas_that_never_say_hello_are_reported_and_get_nothing", mute),
        ("the_runs_clock_starts_when_all_replicas_have_said_hello", late),
        ("what_replicas_print_and_what_is_wrong_with_them_stand_in_one_order", one_order),
        ("garbage_is_reported_and_counted_as_incorrect", garbage),
        ("answers_to_unknown_requests_are_incorrect", unknown_mid),
        ("answers_without_a_mid_are_incorrect", no_mid),
        ("answers_of_unknown_types_are_incorrect", odd_type),
        ("messages_to_nobody_are_incorrect", wrong_destination),
        ("messages_in_the_name_of_another_are_routed_with_a_warning", anothers_src),
        ("a_packet_storm_ends_the_run", storm),
        ("a_closed_socket_is_reported_and_stops_nobody", closes),
        ("megabytes_of_output_are_cut_short_and_stop_nobody", chatter),
        ("what_replicas_print_is_shown_with_their_names", silence),
        ("no_process_is_left_of_replicas_that_ignore_their_end", stubborn),
        ("no_process_is_left_after_an_interrupt", interrupted),
        ("replicas_that_die_by_themselves_fail_the_run", dies_of_requests),
        ("second_answers_are_duplicates", twice),
        ("second_redirects_are_incorrect", redirects_twice),
        ("clients_of_replicas_that_fail_everything_ask_again_to_the_end", fails),
        ("clients_do_not_ask_a_dead_leader_that_a_redirect_names", dead_leader),
        ("clients_ask_round_while_nobody_leads_and_the_run_passes", slow_leader),
        ("a_message_before_its_receivers_hello_counts_the_receiver_as_died", early_bird),
        ("what_python_takes_for_json_passes_with_a_warning", odd_json),
        ("bytes_that_are_no_text_close_the_replica", closed_by_bytes),
        ("a_byte_order_mark_is_incorrect", byte_order_mark),
        ("pings_without_a_source_pass_with_a_warning", wrong_src),
        ("a_stale_read_is_not_excused_by_a_redirected_attempt", stale),
        ("wrong_and_missing_values_are_incorrect", lies),
        ("a_kill_comes_at_its_time_as_a_sigterm_and_last_words_are_shown", mortal),
        ("what_a_killed_replica_sends_does_not_count", ghost),
        ("a_replica_that_leaves_its_process_group_is_ended_all_the_same", deserter),
        ("requests_name_the_leader_that_the_client_believes_in", tells_leader),
        ("a_leader_that_does_not_exist_is_reported_and_is_nobody", odd_leader),
        ("no_process_is_left_when_not_all_can_be_started", half_started),
        ("a_hangup_that_is_ignored_stays_ignored", ignored_hangup),
        ("a_standard_error_that_nobody_reads_does_not_stop_the_run", unread),
        ("what_is_finished_before_an_interrupt_is_not_lost", interrupted_suite),
        ("a_program_is_shown_simulated_and_live_beside_a_protocol", compared::side_by_side),
        ("a_failure_that_the_simulated_program_predicts_is_no_difference", compared::predicted),
        ("a_program_that_fails_in_one_world_only_is_a_difference", compared::apart),
        ("where_a_program_cannot_be_simulated_the_protocol_is_judged", compared::not_simulated),
        ("a_program_that_is_compared_is_simulated_without_being_asked", compared::no_choice),
        ("the_python_replica_of_the_guide_passes", python_guide),
        ("whatever_a_replica_has_started_is_gone_after_the_run", surroundings::leaver),
        ("replicas_have_a_small_environment_and_what_the_command_line_adds", surroundings::environment),
        ("what_silent_replicas_print_is_kept_for_a_failed_run", surroundings::output_is_kept),
        ("a_run_on_a_machine_that_is_too_busy_is_not_judged", surroundings::busy),
        ("a_trace_and_a_history_of_processes_can_be_written", surroundings::trace_and_history),
        ("the_runners_clock_starts_with_the_replicas", surroundings::runners_clock),
        ("children_from_before_the_run_are_not_those_of_replicas", surroundings::children_of_before),
        ("a_replica_may_send_from_many_sockets", surroundings::many_sockets),
        ("a_replica_that_prints_all_the_time_passes", surroundings::talk),
        ("a_stale_read_of_a_redirected_put_is_found_once", surroundings::stale_once),
        ("the_real_replicas_pass_while_messages_between_them_are_damaged", hosts::damaged),
        ("a_crashed_replica_starts_again_with_its_files_and_without_its_memory", hosts::files_remain),
        ("replicas_that_crash_at_one_time_all_start_again", hosts::all_at_once),
        ("a_replica_starts_again_with_the_same_arguments_and_is_shown_under_the_same_name", hosts::same_arguments),
        ("a_paused_replica_handles_nothing_and_what_comes_meanwhile_waits", hosts::stopped),
        ("a_paused_replica_ends_by_a_crash_a_kill_and_the_end_of_the_run", hosts::ended_while_stopped),
        ("what_a_crashed_replica_has_started_is_gone", hosts::children_of_the_crashed),
        ("the_real_replicas_pass_crashes_restarts_and_pauses", hosts::real_replicas_start_again),
        ("the_real_replicas_remember_everything_if_they_have_a_folder", hosts::real_replicas_remember),
        ("a_program_that_does_not_start_again_ends_the_run", hosts::does_not_start_again),
        ("replicas_that_quit_by_themselves_start_again_and_count_each_time", hosts::quits_again),
        ("what_only_the_virtual_world_can_do_is_refused_before_any_process_starts", hosts::refused),
    ]
}

/// A folder with scenarios and a script for each program. All is written before the first process is started: a file
/// that is open for writing, be it in a process that is about to become another, cannot be executed.
struct Folder(TempDir);

impl Folder {
    fn new() -> &'static Folder {
        let folder = TempDir::new().expect("a temporary folder");
        let exe = std::env::current_exe().expect("the path of the tests");
        let scripts = folder.path();
        for (name, _) in programs::PROGRAMS {
            let script = format!("#!/bin/sh\nexec '{}' --replica {name} \"$@\"\n", exe.display());
            write_script(&scripts.join(name), &script);
        }
        write_script(&scripts.join("prints"), "#!/bin/sh\necho \"args $*\"\necho problem >&2\nexec sleep 60\n");
        compared::write_programs(&scripts.join("compared"), real(), &scripts.join("stub"));
        write_script(&scripts.join("leaver"), surroundings::LEAVER);
        write_script(&scripts.join("environment"), surroundings::ENVIRONMENT);
        fs::write(scripts.join("not-executable"), "#!/bin/sh\n").expect("a file");
        write_script(&scripts.join("replica.py"), &python_replica());
        let mut patient = scenario(&json!([]));
        // Several interpreters may take long to start.
        patient["wait"] = json!(6);
        fs::write(scripts.join("patient.json"), patient.to_string()).expect("a scenario");
        let short = scenario(&json!([]));
        fs::write(scripts.join("short.json"), short.to_string()).expect("a scenario");
        let events = json!([
            {"type": "part_easy", "time": 0.5}, {"type": "part_end", "time": 1},
            {"type": "kill_non_leader", "time": 1.5}, {"type": "kill_leader", "time": 2},
        ]);
        let mut faults = scenario(&events);
        faults["drops"] = json!(0.1);
        faults["wait"] = json!(1.5);
        faults["end_wait"] = json!(2);
        fs::write(scripts.join("faults.json"), faults.to_string()).expect("a scenario");
        let kill = json!([{"type": "kill", "time": 2, "replica": 3}, {"type": "kill", "time": 2.5, "replica": 3}]);
        fs::write(scripts.join("kill.json"), scenario(&kill).to_string()).expect("a scenario");
        let suite = scripts.join("suite");
        fs::create_dir(&suite).expect("a folder");
        for name in ["simple-1", "simple-2", "simple-10"] {
            fs::write(suite.join(name).with_extension("json"), short.to_string()).expect("a scenario");
        }
        Box::leak(Box::new(Folder(folder)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn remove(&self) {
        let _ = fs::remove_dir_all(self.0.path());
    }
}

/// The program in docs/live.md.
fn python_replica() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/live.md");
    let document = fs::read_to_string(path).expect("docs/live.md");
    let block = document.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    block.expect("a program in Python").to_owned()
}

fn write_script(path: &Path, text: &str) {
    fs::write(path, text).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("an executable script");
}

fn scenario(events: &Value) -> Value {
    json!({
        "lifetime": 5, "wait": 0.6, "end_wait": 0.3, "replicas": 5, "requests": 60, "mix": 0.5, "max_packets": 20_000,
        "events": events,
        "tests": {
            "maximum_get_generation_fail_fraction": 1,
            "benchmarks": {
                "total_msgs": [1000, 2000, 3000], "failures": [1, 2, 3], "duplicates": [1, 2, 3],
                "median_latency": [0.01, 0.05, 0.1],
            },
        },
    })
}

/// `seedbed run` in the live world.
fn command(folder: &Folder, scenario: &str, program: &Path) -> Command {
    let mut command = processes::seedbed();
    command.arg("run").arg(folder.path(scenario)).args(["--seed", "7"]).arg("-r").arg(program);
    command
}

/// What came of a run: exit code, the JSON report, and standard error.
struct Run {
    code: Option<i32>,
    report: Value,
    stderr: String,
}

impl Run {
    fn of(command: &mut Command) -> Run {
        let Output { status, stdout, stderr } = command.args(["--json", "-"]).output().expect("seedbed starts");
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let report = serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        Run { code: status.code(), report, stderr }
    }

    fn bad(folder: &Folder, program: &str) -> Run {
        Run::of(&mut command(folder, "short.json", &folder.path(program)))
    }

    #[track_caller]
    fn says(&self, text: &str) {
        assert!(self.stderr.contains(text), "no {text:?} in:\n{}", self.stderr);
    }

    fn count(&self, statistic: &str) -> u64 {
        self.report["statistics"][statistic].as_u64().expect("a count")
    }

    /// The run failed for this reason, among others.
    #[track_caller]
    fn fails_with(&self, error: &str) {
        assert_eq!(self.code, Some(1), "{}", self.stderr);
        let errors = self.report["correctness"]["errors"].to_string();
        assert!(errors.contains(error), "{errors}");
    }
}

const INCORRECT: &str = ">0 incorrect responses";

fn real() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_3700kvstore"))
}

fn real_replicas_pass(folder: &Folder) {
    let run = Run::of(&mut command(folder, "faults.json", real()));
    assert_eq!(run.code, Some(0), "{}\n{}", run.report, run.stderr);
    assert_eq!((run.count("replicas_killed"), run.count("replicas_died"), run.count("malformed")), (2, 0, 0));
    // What was on its way to the leader when that was killed may be lost.
    let unanswered = run.count("unanswered_gets") + run.count("unanswered_puts");
    assert!(unanswered <= 2 && run.count("incorrect") == 0 && run.count("duplicates") == 0, "{}", run.report);
    assert!(run.count("messages_dropped") > 0 && run.report["statistics"]["leaders"].as_array().unwrap().len() >= 4);
    assert_eq!((&run.report["world"], &run.report["trace"]), (&json!("live"), &Value::Null));
    assert_eq!(run.stderr, "", "good replicas give no reason to complain");
    let word = |checker: &str| run.report["checkers"][checker]["verdict"].as_str();
    assert_eq!(word("linearizability"), Some("ok"));
    assert_eq!(word("invariants"), Some("not watched"), "nobody can look into a process");
    assert!(matches!(word("liveness"), Some("ok" | "not judged")), "{}", run.report);
}

fn same_seed_same_requests(folder: &Folder) {
    let runs = [1, 2].map(|_| Run::of(&mut command(folder, "short.json", &folder.path("stub"))));
    // Which of the gets became puts, for want of an acknowledged key, is a matter of time; how many were wanted is not.
    let wanted = |run: &Run| (run.count("gets") + run.count("gets_not_generated"), run.count("incorrect"));
    assert_eq!(wanted(&runs[0]), wanted(&runs[1]));
    assert_eq!(runs[0].count("gets") + runs[0].count("puts"), 60);
    let leaders = json!(["FFFF", "0000"]);
    assert!(runs.iter().all(|run| run.report["statistics"]["leaders"] == leaders && run.count("incorrect") == 0));
    // It does not replicate at all.
    runs[0].fails_with("too few messages between replicas");
}

fn several_at_a_time(folder: &Folder) {
    let mut command = processes::seedbed();
    command.args(["run", "all", "-j", "3", "--seed", "3", "-c"]).arg(folder.path("suite")).arg("-r").arg(real());
    let clock = Clock::start();
    let output = command.output().expect("seedbed starts");
    // One after another they take 17.7 s.
    assert!(clock.now().as_secs_f64() < 15.0, "not at a time");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("[PASS]")).map(|line| &line[..9]).collect();
    assert_eq!(rows, ["simple-1 ", "simple-2 ", "simple-10"]);
    assert!(text.contains("Passed 3 out of 3 tests") && !text.contains("Trace"), "{text}");
}

fn several_seeds(folder: &Folder) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seedbed"));
    command.arg("run").arg(folder.path("short.json")).args(["--seeds", "3..5", "-j", "2", "-r"]);
    let output = command.arg(folder.path("tells-leader")).output().expect("seedbed starts");
    let (text, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{text}{stderr}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("short.json --seeds 3..5 -r "), "{text}");
    assert!(text.contains("[FAIL]  0/2\n    Error: seed 3: too few messages between replicas"), "{text}");
    for seed in ["3", "4"] {
        let repeat = |line: &&&str| line.starts_with("    Repeat: ") && line.contains(&format!("--seed {seed} -r "));
        assert_eq!(lines.iter().filter(repeat).count(), 1, "{text}");
        assert!(stderr.contains(&format!("  short seed {seed}  Replica 0000] was told")), "{stderr}");
    }
    assert_eq!(lines.last(), Some(&"Passed 0 out of 2 runs, and 0 out of 1 tests with every seed"), "{text}");
}

fn missing_program(folder: &Folder) {
    for (program, reason) in [
        ("missing", "No such file or directory"),
        ("not-executable", "it is not executable"),
        ("suite", "it is not a file"),
    ] {
        let path = folder.path(program);
        let output = command(folder, "short.json", &path).output().expect("seedbed starts");
        assert_eq!(output.status.code(), Some(2));
        let expected = format!("error: {}: cannot be started as a replica: {reason}", path.display());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.starts_with(&expected) && stderr.lines().count() == 1, "{stderr}");
        assert_eq!(output.stdout, b"", "known before anything begins");
    }
}

fn quits(folder: &Folder) {
    let run = Run::bad(folder, "quits");
    run.says("Replica 0000] quit unexpectedly (exit code 3)");
    run.fails_with(">0 replicas died unexpectedly (5)");
    assert!(run.report["seconds"].as_f64().unwrap() < 4.0, "nobody is left to wait for");
}

fn mute(folder: &Folder) {
    let run = Run::bad(folder, "mute");
    run.says("Replica 0004] has not said hello yet: whatever is sent to it before counts it as died");
    assert!(!run.stderr.contains("has said hello"), "{}", run.stderr);
    run.fails_with("no state stored at all");
    let findings = run.report["checkers"]["findings"].as_array().expect("a list");
    let of_kind = |kind: &str| findings.iter().find(|finding| finding["kind"] == kind).expect("a finding");
    let advice = of_kind("nothing stored")["advice"].as_str().expect("a text");
    assert!(advice.contains("each replica says `hello`"), "{advice}");
}

fn late(folder: &Folder) {
    let run = Run::bad(folder, "late");
    // The hello comes after 1.2 s, and the first request 0.6 s after that.
    assert_eq!((run.stderr.as_str(), run.count("unanswered_puts"), run.count("replicas_died")), ("", 0, 0));
    assert!(run.report["seconds"].as_f64().unwrap() < 6.5, "{}", run.report["seconds"]);
}

fn one_order(folder: &Folder) {
    let run = Run::bad(folder, "protester");
    let times: Vec<f64> =
        run.stderr.lines().filter_map(|line| line.split_once('[')?.1.split(' ').next()?.parse().ok()).collect();
    assert!(times.len() >= 5 * (8 + 8 + 8), "{}", run.stderr);
    assert!(times.is_sorted(), "{}", run.stderr);
}

fn garbage(folder: &Folder) {
    let run = Run::bad(folder, "garbage");
    run.says(r"sent a malformed datagram (expected value at line 1 column 1): \u{1b}[2J{");
    assert_eq!(run.count("malformed"), 25);
    run.fails_with(INCORRECT);
}

fn unknown_mid(folder: &Folder) {
    let run = Run::bad(folder, "unknown-mid");
    run.says("Replica 0000] incorrect answer to client 00");
    run.says(", MID not 0000000000");
    run.says(", no value: the client sent no request with this MID");
    run.says("further complaints about this replica are only counted");
    run.fails_with(INCORRECT);
}

fn no_mid(folder: &Folder) {
    let run = Run::bad(folder, "no-mid");
    run.says("answered a client without a MID");
    run.fails_with(INCORRECT);
}

fn odd_type(folder: &Folder) {
    let run = Run::bad(folder, "odd-type");
    run.says("sent a client something that is no answer: {");
    run.fails_with(INCORRECT);
}

fn wrong_destination(folder: &Folder) {
    let run = Run::bad(folder, "wrong-destination");
    // 0015 is the first client; it gets something that is no answer.
    run.says("Replica 0000] sent to an unknown destination: {\"src\":\"0000\",\"dst\":\"ABCD\"");
    run.says("Replica 0000] sent a client something that is no answer: {");
    assert_eq!(run.count("malformed"), 15);
}

fn anothers_src(folder: &Folder) {
    let run = Run::bad(folder, "anothers-src");
    run.says("sends a src that is not its own, which the course's runner does not notice: {\"src\":\"000");
    assert_eq!((run.count("malformed"), run.count("messages_sent"), run.count("replicas_died")), (0, 20, 0));
}

fn storm(folder: &Folder) {
    let run = Run::bad(folder, "storm");
    assert_eq!(run.report["statistics"]["packet_storm"], true);
    assert!(run.count("messages_sent") > 20_000 && run.report["seconds"].as_f64().unwrap() < 4.0, "{}", run.report);
}

fn closes(folder: &Folder) {
    let run = Run::bad(folder, "closes");
    run.says("has closed its socket");
    run.fails_with("no state stored at all");
}

fn chatter(folder: &Folder) {
    let run = Run::bad(folder, "chatter");
    run.says("Replica 0003] lorem ipsum lorem ipsum");
    run.says("Replica 0003] (prints too much; the rest is not shown)");
    assert!(run.stderr.len() < 5 * (2 << 20), "{}", run.stderr.len());
    // It prints from one thread and answers from another.
    assert_eq!((run.count("unanswered_gets"), run.count("unanswered_puts")), (0, 0));
}

fn silence(folder: &Folder) {
    let mut shown = command(folder, "short.json", &folder.path("prints"));
    let stderr = Run::of(&mut shown).stderr;
    let line = stderr.lines().find(|line| line.contains("Replica 0002] args ")).expect("what a replica printed");
    let ids: Vec<&str> = line.split(' ').skip_while(|&word| word != "args").skip(2).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!((ids[0], &sorted[..]), ("0002", &["0000", "0001", "0002", "0003", "0004"][..]), "{line}");
    assert!(stderr.contains("Replica 0004] problem"), "{stderr}");
    let lists = stderr.lines().filter_map(|line| line.split_once(" args ")).map(|(_, args)| args.split(' ').skip(2));
    assert!(lists.into_iter().any(|list| !list.is_sorted()), "peer lists are shuffled: {stderr}");
}

/// The IDs that processes left in a file.
fn pids(path: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| Pid::from_raw(line.parse().expect("a process ID")).expect("a process ID")).collect()
}

/// The option that has processes leave their IDs in a file.
fn pids_to(path: &Path) -> [String; 2] {
    ["--env".to_owned(), format!("{}={}", programs::PIDS, path.display())]
}

/// Waits until so many processes have left their IDs.
#[track_caller]
fn await_pids(path: &Path, count: usize) {
    let clock = Clock::start();
    while pids(path).len() < count {
        assert!(clock.now().as_secs_f64() < 20.0, "only {} processes", pids(path).len());
        pause();
    }
}

#[track_caller]
fn assert_gone(pids: &[Pid]) {
    for &pid in pids {
        // Killed ones that nobody has waited for yet are waited for by the first process of all.
        let gone = (0..100).any(|_| {
            let gone = test_kill_process(pid).is_err();
            if !gone {
                pause();
            }
            gone
        });
        assert!(gone, "process {pid:?} is left");
    }
}

#[expect(clippy::disallowed_methods, reason = "the test waits for a process, in real time")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

fn stubborn(folder: &Folder) {
    let path = folder.path("stubborn.pids");
    let run = Run::of(command(folder, "short.json", &folder.path("stubborn")).args(pids_to(&path)));
    run.fails_with("too few messages");
    let pids = pids(&path);
    assert_eq!(pids.len(), 10);
    assert_gone(&pids);
}

fn interrupted(folder: &Folder) {
    for (number, signal) in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT].into_iter().enumerate() {
        let path = folder.path(&format!("interrupted-{number}.pids"));
        let mut command = command(folder, "short.json", &folder.path("stubborn"));
        let child = command.args(pids_to(&path)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child: Child = child.expect("seedbed starts");
        await_pids(&path, 10);
        let output = processes::end_with(signal, child);
        assert_eq!(output.status.code(), Some(128 + signal.as_raw()));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("error: interrupted; this begins again: seedbed run ") && stderr.contains("--seed 7"));
        assert_gone(&pids(&path));
    }
}

fn dies_of_requests(folder: &Folder) {
    let run = Run::bad(folder, "dies-of-requests");
    run.says("quit unexpectedly (signal 6)");
    run.fails_with(">0 replicas died unexpectedly");
}

fn twice(folder: &Folder) {
    let run = Run::bad(folder, "twice");
    assert!(run.count("duplicates") >= 60, "{}", run.count("duplicates"));
    assert_eq!(run.count("incorrect"), 0);
}

fn fails(folder: &Folder) {
    let run = Run::bad(folder, "fails");
    assert_eq!(run.report["statistics"]["request_storm"], false);
    assert!(run.report["seconds"].as_f64().unwrap() >= 5.9, "{}", run.report["seconds"]);
    assert!(run.count("failed_puts") > 5_000, "{}", run.count("failed_puts"));
    run.fails_with("no state stored at all");
}

fn redirects_twice(folder: &Folder) {
    let run = Run::bad(folder, "redirects-twice");
    run.says(": this MID was answered `redirect` or `fail` before");
    assert_eq!(run.count("duplicates"), 0);
    run.fails_with(INCORRECT);
}

/// A run of a primary with backups, with faults that kill the leader.
fn primary(folder: &Folder, program: &str, events: &Value) -> Run {
    let mut scenario = scenario(events);
    scenario["tests"]["maximum_appends_batched_fraction"] = json!(1);
    let path = folder.path(&format!("{program}.json"));
    fs::write(&path, scenario.to_string()).expect("a scenario");
    Run::of(&mut command(folder, &format!("{program}.json"), &folder.path(program)))
}

fn dead_leader(folder: &Folder) {
    let run = primary(folder, "plain", &json!([{"type": "kill_leader", "time": 2}]));
    assert_eq!((run.code, run.count("replicas_killed")), (Some(0), 1), "{}\n{}", run.report, run.stderr);
    let unanswered = run.count("unanswered_gets") + run.count("unanswered_puts");
    // For a second the others name the dead one, and clients ask round.
    assert!(unanswered <= 2 && run.count("redirects") > 100, "{}", run.report);
}

fn slow_leader(folder: &Folder) {
    let run = primary(folder, "slow", &json!([]));
    assert_eq!((run.code, run.count("unanswered_puts")), (Some(0), 0), "{}\n{}", run.report, run.stderr);
    assert!(run.count("redirects") > 3_000, "more than 40 for each request: {}", run.report);
}

fn early_bird(folder: &Folder) {
    let run = primary(folder, "early", &json!([]));
    run.says("Replica 0003] was sent a message of replica 0000 before it said hello: the course's runner takes it off");
    run.fails_with(">0 replicas died unexpectedly (4)");
}

fn odd_json(folder: &Folder) {
    for (program, what) in [
        ("nan", "NaN or Infinity"),
        ("key-twice", "a key that occurs twice"),
        ("surrogate", "half of a surrogate pair"),
    ] {
        let run = primary(folder, program, &json!([]));
        assert_eq!((run.code, run.count("incorrect")), (Some(0), 0), "{}\n{}", run.report, run.stderr);
        run.says(&format!("Replica 0004] sends JSON that only Python accepts ({what}): {{"));
        assert_eq!(run.stderr.lines().count(), 5, "once for each: {}", run.stderr);
    }
    let run = primary(folder, "lower", &json!([]));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.report);
}

fn closed_by_bytes(folder: &Folder) {
    for (program, what) in [("latin", "sent bytes that are not UTF-8"), ("empty", "sent an empty datagram")] {
        let run = primary(folder, program, &json!([]));
        run.says(&format!("Replica 0002] {what}: the course's runner closes such a replica, and it counts as died"));
        run.fails_with(">0 replicas died unexpectedly (5)");
    }
}

fn byte_order_mark(folder: &Folder) {
    let run = primary(folder, "bom", &json!([]));
    run.says("sent a malformed datagram (expected value at line 1 column 1): ");
    run.fails_with(INCORRECT);
}

fn wrong_src(folder: &Folder) {
    let run = primary(folder, "wrong-src", &json!([]));
    assert_eq!((run.code, run.count("incorrect")), (Some(0), 0), "{}\n{}", run.report, run.stderr);
    run.says("Replica 0001] sends a src that is not its own, which the course's runner does not notice: ");
}

fn stale(folder: &Folder) {
    let run = primary(folder, "stale", &json!([]));
    run.fails_with(INCORRECT);
    assert_eq!(run.report["checkers"]["linearizability"]["verdict"], "violation", "{}", run.report);
}

fn lies(folder: &Folder) {
    for program in ["lies", "no-value"] {
        let run = Run::bad(folder, program);
        run.says("incorrect answer to client 00");
        run.says(": the key cannot have this value");
        run.fails_with(INCORRECT);
    }
}

fn mortal(folder: &Folder) {
    let run = Run::of(&mut command(folder, "kill.json", &folder.path("mortal")));
    assert_eq!((run.count("replicas_killed"), run.count("replicas_died")), (1, 0));
    let mut times: Vec<f64> = run
        .stderr
        .lines()
        .filter(|line| line.ends_with("] last words"))
        .map(|line| line[1..].split(' ').next().expect("a time").parse().expect("a time"))
        .collect();
    times.sort_by(f64::total_cmp);
    assert_eq!(times.len(), 5, "{}", run.stderr);
    // The kill is due at 0.6 s + 2 s, the end at 5.9 s.
    assert!((2.6..4.5).contains(&times[0]) && times[1] >= 5.9, "{times:?}");
}

fn ghost(folder: &Folder) {
    let run = Run::of(&mut command(folder, "kill.json", &folder.path("ghost")));
    assert_eq!((run.count("replicas_killed"), run.count("messages_sent"), run.count("malformed")), (1, 0, 0));
    assert_eq!(run.report["statistics"]["leaders"], json!(["FFFF", "0000"]));
}

fn deserter(folder: &Folder) {
    let path = folder.path("deserter.pids");
    let run = Run::of(command(folder, "kill.json", &folder.path("deserter")).args(pids_to(&path)));
    assert_eq!((run.count("replicas_killed"), run.count("replicas_died")), (1, 0));
    assert_gone(&pids(&path));
}

fn tells_leader(folder: &Folder) {
    let run = Run::bad(folder, "tells-leader");
    run.says("] was told that FFFF leads");
    run.says("Replica 0000] was told that 0000 leads");
}

fn odd_leader(folder: &Folder) {
    let run = Run::bad(folder, "odd-leader");
    run.says("believes in a leader that does not exist: {");
    assert_eq!((&run.report["statistics"]["leaders"], run.count("malformed")), (&json!(["FFFF"]), 0));
}

/// With so few files, the pipes of some replicas can be made and those of others cannot.
fn half_started(folder: &Folder) {
    let path = folder.path("half-started.pids");
    let (exe, scenario, program) = (env!("CARGO_BIN_EXE_seedbed"), folder.path("short.json"), folder.path("stubborn"));
    let [_, variable] = pids_to(&path);
    let script = format!(
        "ulimit -n 27; exec '{exe}' run '{}' -r '{}' --env '{variable}'",
        scenario.display(),
        program.display()
    );
    let output = processes::program("/bin/sh").args(["-c", &script]).output().expect("a shell");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    // Those that were started have been ended before they could leave anything, or would do so by now.
    (0..25).for_each(|_| pause());
    assert_gone(&pids(&path));
}

fn ignored_hangup(folder: &Folder) {
    let (exe, scenario, program) = (env!("CARGO_BIN_EXE_seedbed"), folder.path("short.json"), folder.path("stub"));
    let path = folder.path("hangup.pids");
    let [_, variable] = pids_to(&path);
    let script =
        format!("trap '' HUP; exec '{exe}' run '{}' -r '{}' --env '{variable}'", scenario.display(), program.display());
    let mut command = processes::program("/bin/sh");
    command.args(["-c", &script]).stdout(Stdio::piped());
    let child = command.spawn().expect("a shell");
    await_pids(&path, 5);
    let output = processes::end_with(Signal::HUP, child);
    assert!(String::from_utf8_lossy(&output.stdout).contains("# Simulation Finished"), "it went on to the end");
}

fn unread(folder: &Folder) {
    let path = folder.path("unread.pids");
    let mut command = command(folder, "short.json", &folder.path("chatter"));
    command.args(pids_to(&path)).arg("--json").arg(folder.path("unread.out")).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("seedbed starts");
    let clock = Clock::start();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of this process") {
            break status;
        }
        assert!(clock.now().as_secs_f64() < 30.0, "seedbed hangs");
        pause();
    };
    assert_eq!(status.code(), Some(1), "too few messages, as of any stub");
    assert_gone(&pids(&path));
}

fn interrupted_suite(folder: &Folder) {
    let (path, result) = (folder.path("suite.pids"), folder.path("suite.out"));
    fs::write(&result, "older").expect("an older result");
    let mut command = processes::seedbed();
    command.args(["run", "all", "--seed", "3", "-c"]).arg(folder.path("suite")).arg("-r").arg(folder.path("stub"));
    command.arg("--json").arg(&result).args(pids_to(&path)).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().expect("seedbed starts");
    await_pids(&path, 1);
    assert_eq!(
        fs::read_to_string(&result).expect("a result"),
        "older",
        "nothing is lost before there is something new"
    );
    await_pids(&path, 6);
    let output = processes::end_with(Signal::INT, child);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("interrupted; this begins again: seedbed run all -c "), "{stderr}");
    let json = fs::read_to_string(&result).expect("a result");
    let suite: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&suite["total"], &suite["runs"][0]["scenario"]), (&json!(1), &json!("simple-1")));
    assert_gone(&pids(&path));
}

fn python_guide(folder: &Folder) {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("python3 is not there, so the replica of docs/live.md was NOT run");
        return;
    }
    let run = Run::of(&mut command(folder, "patient.json", &folder.path("replica.py")));
    assert_eq!(run.code, Some(0), "{}\n{}", run.report, run.stderr);
    assert_eq!((run.stderr.as_str(), run.count("incorrect")), ("", 0));
    assert_eq!(run.count("unanswered_gets") + run.count("unanswered_puts"), 0, "{}", run.report);
}
