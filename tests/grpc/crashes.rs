//! `seedbed run --world grpc` with faults of processes: crashes, restarts and pauses of real servers, and their data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::Signal;
use seedbed::rng::Stream;
use seedbed_core::client::Servers;
use seedbed_core::rpc::ServerAddress;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{millis, received, runtime, seedbed, statuses, text, told, until};
use crate::common::processes;
use crate::world::{is_server, started};

/// A scenario as a file in a folder of its own, and the runs of it.
struct Played {
    folder: TempDir,
}

impl Played {
    /// A scenario, of which only the checkers' findings count.
    fn new(scenario: &Value) -> Played {
        let mut scenario = scenario.clone();
        let none = [0, 0, 0];
        scenario["tests"] = json!({
            "maximum_get_fail_fraction": 1, "maximum_put_fail_fraction": 1, "maximum_get_generation_fail_fraction": 1,
            "benchmarks": {"total_msgs": none, "failures": none, "duplicates": none, "median_latency": none},
        });
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("short.json"), scenario.to_string()).expect("a file");
        fs::create_dir(folder.path().join("tmp")).expect("a folder");
        Played { folder }
    }

    /// The folder for the temporary files of a run.
    fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    fn command(&self) -> Command {
        let mut command = seedbed(self.folder.path());
        command.args(["run", "short.json", "--world", "grpc"]).env("TMPDIR", self.temporary());
        command
    }

    /// Plays it, and returns the report and the operations of the history. All checkers are content, no server has ended by
    /// itself, and no file is left.
    fn pass(&self) -> (Value, Vec<Value>) {
        let output = self.command().args(["--json", "-", "--history", "history.jsonl"]).output().expect("it starts");
        let run: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
        assert_eq!(run["checkers"]["passed"], true, "{}", told(&output));
        assert_eq!(run["checkers"]["linearizability"]["verdict"], "ok", "{}", told(&output));
        let statistics = &run["statistics"];
        let incidents = ["replicas_died", "replicas_killed", "malformed", "incorrect"].map(|name| &statistics[name]);
        assert_eq!((incidents, &statistics["complaints"]), ([&json!(0); 4], &json!([])), "{}", told(&output));
        assert_eq!(fs::read_dir(self.temporary()).expect("a folder").count(), 0);
        let history = fs::read_to_string(self.folder.path().join("history.jsonl")).expect("a history");
        let lines = history.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        (run, lines.filter(|line| line["type"] == "operation").collect())
    }
}

/// A scenario that comes with seedbed, for this many seconds.
fn shortened(name: &str, seconds: f64) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/field").join(name);
    let text = fs::read_to_string(path).expect("a scenario");
    let mut scenario: Value = serde_json::from_str(&text).expect("JSON");
    let lifetime = scenario["lifetime"].as_f64().expect("a number");
    let requests = scenario["requests"].as_f64().expect("a number");
    let is_early = |event: &Value| event["time"].as_f64() < Some(seconds - 1.0);
    scenario["events"].as_array_mut().expect("a list").retain(is_early);
    scenario["lifetime"] = json!(seconds);
    scenario["requests"] = json!((requests * seconds / lifetime) as u64);
    (scenario["wait"], scenario["end_wait"], scenario["seed"]) = (json!(0.2), json!(4), json!(3));
    scenario
}

/// The operations of a history that are updates and were done.
fn done(history: &[Value]) -> impl Iterator<Item = &Value> {
    history.iter().filter(|operation| operation["operation"] == "update" && operation["answer"] == "ok")
}

#[test]
fn a_rolling_restart_under_load_loses_nothing() {
    let (run, history) = Played::new(&shortened("rolling-restart.json", 13.0)).pass();
    let restarts = run["statistics"]["idle_faults"].as_array().expect("a list");
    assert!(restarts.is_empty(), "every server was stopped and started: {run}");
    let answered = history.iter().filter(|operation| operation["answer"] == "ok").count();
    assert!(answered > 230, "{answered} of {}", history.len());
}

#[test]
fn swaps_and_deletes_of_servers_that_are_killed_all_the_time_are_linearizable_and_done_once() {
    let (_, history) = Played::new(&shortened("kill-nine.json", 14.0)).pass();
    let count = |is: &dyn Fn(&Value) -> bool| done(&history).filter(|operation| is(operation)).count();
    let swapped = count(&|operation| operation["expected"].is_string() && operation["found"].is_null());
    let deleted = count(&|operation| operation["expected"].is_null() && operation["value"] == "");
    let put = count(&|operation| operation["expected"].is_null() && operation["value"] != "");
    assert!(swapped > 10 && deleted > 5 && put > 5, "{swapped} swaps, {deleted} deletes, {put} puts");
    let again = history.iter().filter(|operation| operation["retry_of"].is_string());
    for again in again.filter(|operation| operation["operation"] == "update") {
        let first = history.iter().find(|operation| operation["mid"] == again["retry_of"]).expect("an attempt");
        assert_eq!(again["request"], first["request"], "it is sent again under the same name");
        assert!(again["request"].is_array());
    }
}

#[test]
fn a_paused_leader_is_replaced_and_comes_back_as_a_follower() {
    let put = |n: u64| json!({"time": n as f64 / 10.0, "client": n % 8, "replica": "follower", "put": "k", "value": format!("v{n}")});
    let operations: Vec<Value> = (0..80).map(put).collect();
    let events = json!([{"type": "pause", "time": 1, "replica": "leader"}, {"type": "resume", "time": 5}]);
    let (run, history) = Played::new(&json!({
        "lifetime": 8, "wait": 1, "end_wait": 3, "replicas": 3, "seed": 3, "operations": operations, "events": events,
        "clients": {"timeout_ms": 1000, "retries": 5},
    }))
    .pass();
    let leaders = run["statistics"]["leaders"].as_array().expect("a list");
    let mut named = leaders.iter().filter(|leader| *leader != "FFFF");
    let (old, new) = (named.next().expect("a leader"), leaders.last().expect("a leader"));
    assert!(old != new && new != "FFFF", "{leaders:?}");
    let is_back = |put: &Value| &put["replica"] == old && put["invoked"].as_f64() > Some(7.0) && put["answer"] == "ok";
    assert!(history.iter().any(is_back), "{history:?}");
}

/// The arguments of a process.
fn arguments(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn argument(pid: i32, option: &str) -> Option<String> {
    let arguments = arguments(pid);
    let place = arguments.iter().position(|argument| argument == option)?;
    arguments.get(place + 1).cloned()
}

#[test]
fn a_server_that_is_restarted_behind_a_partition_hears_no_message_from_the_other_side() {
    let played = Played::new(&json!({
        "lifetime": 12, "wait": 0.5, "end_wait": 2, "replicas": 3, "requests": 200, "mix": 0.5, "seed": 3,
        "clients": {"timeout_ms": 1000, "retries": 3},
        "events": [
            {"type": "crash", "time": 1, "replica": 2},
            {"type": "isolate", "time": 1.5, "replica": 2},
            {"type": "restart", "time": 2},
        ],
    }));
    let running = played.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let first = started(&running, 3);
    let peers = argument(first[0], "--peers").expect("addresses");
    let addresses: Vec<ServerAddress> = peers.split(',').map(|peer| peer.parse().expect("an address")).collect();
    until("a server has started again", || {
        crate::world::servers_of(&running).iter().any(|&pid| argument(pid, "--chaos-matrix").is_some())
    });
    let restarted = Servers::new(&addresses[2..], None).expect("a server");
    let (mut heard, runtime) = (0, runtime());
    until("the others have tried to reach it", || {
        if let [Some(status)] = &runtime.block_on(statuses(&restarted, millis(500)))[..] {
            let from = [0, 1].map(|from| received(status, from));
            assert!(from.iter().all(|(received, dropped)| received == dropped), "{from:?}");
            heard = from.iter().map(|(received, _)| received).sum();
        }
        heard >= 3
    });
    let output = processes::end_with(Signal::INT, running);
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).expect("a folder").count()
}

#[test]
fn a_run_that_is_interrupted_while_servers_are_down_and_paused_leaves_no_process_and_no_folder() {
    let played = Played::new(&json!({
        "lifetime": 60, "wait": 0.5, "replicas": 3, "requests": 600, "mix": 0.5, "seed": 3,
        "events": [{"type": "crash", "time": 0.5, "replica": 0}, {"type": "pause", "time": 0.5, "replica": 1}],
    }));
    let running = played.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let servers = started(&running, 3);
    assert_eq!(entries(&played.temporary()), 1, "the data of the servers");
    until("one server is down", || !is_server(servers[0]) || !is_server(servers[1]) || !is_server(servers[2]));
    let output = end(running);
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    assert!(!servers.iter().any(|&pid| is_server(pid)), "{servers:?}");
    assert_eq!(entries(&played.temporary()), 0);
    assert!(text(&output.stderr).starts_with("error: interrupted"), "{}", told(&output));
}

fn end(running: Child) -> Output {
    processes::end_with(Signal::INT, running)
}

/// How many rounds the long test has, how long one takes in seconds, and how many requests there are in one.
const ROUNDS: u64 = 200;
const ROUND_SECONDS: f64 = 1.8;
const ROUND_REQUESTS: u64 = 100;

/// Kills of one server, of the leader, of a majority and of all, each followed by the restart of all that are down.
fn rounds(seed: u64) -> Vec<Value> {
    let mut random = Stream::new(seed, "rounds");
    let mut events = Vec::new();
    for round in 0..ROUNDS {
        let time = 1.0 + round as f64 * ROUND_SECONDS;
        let mut servers = [0, 1, 2, 3, 4];
        (1..servers.len()).rev().for_each(|last| servers.swap(last, random.below(last as u64 + 1) as usize));
        let hit = match random.below(10) {
            0..2 => vec![json!("leader")],
            2..5 => vec![json!(servers[0])],
            5..8 => servers[..3].iter().map(|server| json!(server)).collect(),
            _ => servers.iter().map(|server| json!(server)).collect(),
        };
        events.extend(hit.iter().map(|server| json!({"type": "crash", "time": time, "replica": server})));
        let down = 0.05 + random.below(500) as f64 / 1e3;
        events.push(json!({"type": "restart", "time": time + down}));
    }
    events
}

#[test]
#[ignore = "takes six minutes"]
fn two_hundred_rounds_of_kill_nine_lose_nothing() {
    let seed = 19;
    let (run, history) = Played::new(&json!({
        "lifetime": ROUNDS as f64 * ROUND_SECONDS + 2.0, "wait": 1, "end_wait": 8, "replicas": 5, "seed": seed,
        "requests": ROUNDS * ROUND_REQUESTS, "mix": 0.4, "max_packets": 900_000,
        "workload": {"kind": "cas", "count": 24, "updates": true},
        "clients": {"timeout_ms": 700, "retries": 4},
        "events": rounds(seed),
    }))
    .pass();
    let kills = rounds(seed).iter().filter(|event| event["type"] == "crash").count();
    let answered = history.iter().filter(|operation| operation["answer"] == "ok").count();
    println!(
        "{ROUNDS} rounds, {kills} kills, {} attempts, {answered} answered ok, {} without an answer, {} s, {}",
        history.len(),
        history.iter().filter(|operation| operation["answer"].is_null()).count(),
        run["seconds"],
        run["checkers"]["linearizability"],
    );
    assert!(answered as u64 > ROUNDS * ROUND_REQUESTS / 2, "{answered} answers");
}
