//! `seedbed run --world grpc` and `seedbed cluster`: what they do, and that they leave nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use seedbed_core::client::{Servers, status};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{millis, runtime, seedbed, text, told, until};
use crate::common::processes;

/// A scenario with a partition and a kill, as a file in a folder of its own.
fn scenario(change: impl FnOnce(&mut Value)) -> (TempDir, PathBuf) {
    let generous = json!([100_000, 200_000, 400_000]);
    let mut scenario = json!({
        "lifetime": 6, "wait": 0.5, "end_wait": 2, "replicas": 5, "requests": 300, "mix": 0.5, "drops": 0.05, "seed": 3,
        "events": [
            {"type": "part_hard", "time": 1},
            {"type": "part_end", "time": 2.5},
            {"type": "kill_leader", "time": 4},
        ],
        "tests": {"benchmarks": {
            "total_msgs": generous, "failures": generous, "duplicates": generous, "median_latency": [1, 2, 4]
        }},
    });
    change(&mut scenario);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("short.json");
    fs::write(&path, scenario.to_string()).expect("a file");
    (folder, path)
}

fn run(scenario: &Path) -> Command {
    let mut command = seedbed(scenario.parent().expect("a folder"));
    command.args(["run", "short.json", "--world", "grpc"]);
    command
}

/// The servers that a process has started. Those that have ended and were not waited for are none.
pub fn servers_of(parent: &Child) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|&pid| is_server(pid) && parent_of(pid) == i32::try_from(parent.id()).ok()).collect()
}

pub fn is_server(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|&byte| byte == 0);
    words.next() == Some(env!("CARGO_BIN_EXE_seedbed").as_bytes()) && words.next() == Some(b"serve")
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which stands in parentheses and may have any in it: the state and the parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Waits until a process has so many servers, and says which they are.
pub fn started(parent: &Child, count: usize) -> Vec<i32> {
    until("all servers have been started", || servers_of(parent).len() == count);
    servers_of(parent)
}

fn assert_gone(servers: &[i32]) {
    until("no server is left", || !servers.iter().any(|&pid| is_server(pid)));
}

fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).expect("it runs");
}

#[test]
fn a_scenario_with_drops_a_partition_and_a_kill_passes_on_real_servers() {
    let (_folder, path) = scenario(|_| ());
    let output = run(&path).args(["--json", "-"]).output().expect("seedbed starts");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let run: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&run["world"], &run["seed"]), (&json!("grpc"), &json!(3)), "{run}");
    assert_eq!(run["command"], "seedbed run short.json --seed 3 --world grpc");
    let statistics = &run["statistics"];
    assert_eq!((&statistics["replicas_killed"], &statistics["replicas_died"]), (&json!(1), &json!(0)), "{run}");
    assert!(statistics["messages_dropped"].as_u64() > Some(0), "{run}");
    assert!(statistics["messages_sent"].as_u64() > statistics["messages_dropped"].as_u64(), "{run}");
    assert!(statistics["leader_changes"].as_u64() >= Some(2), "{run}");
    assert_eq!((&run["correctness"]["passed"], &run["checkers"]["passed"]), (&json!(true), &json!(true)), "{run}");
    let linear = &run["checkers"]["linearizability"];
    assert_eq!(linear["verdict"], "ok", "{run}");
    assert!(linear["operations"].as_u64() > Some(150), "{run}");
}

#[test]
fn a_run_that_is_interrupted_says_how_to_repeat_it_and_leaves_no_server() {
    let (_folder, path) = scenario(|_| ());
    let running = run(&path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("seedbed starts");
    let servers = started(&running, 5);
    let output = processes::end_with(Signal::INT, running);
    assert!(!servers.iter().any(|&pid| is_server(pid)), "{servers:?}");
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    let repeat = "seedbed run short.json --seed 3 --world grpc";
    assert_eq!(text(&output.stderr), format!("error: interrupted; this begins again: {repeat}\n"));
    assert!(text(&output.stdout).starts_with(&format!("{repeat}\n")), "{}", told(&output));
}

#[test]
fn servers_do_not_outlive_a_run_that_is_killed() {
    let (_folder, path) = scenario(|_| ());
    let mut running = run(&path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("seedbed starts");
    let servers = started(&running, 5);
    running.kill().expect("it runs");
    running.wait().expect("it dies");
    assert_gone(&servers);
}

/// Ports in a row that are free now.
fn ports_in_a_row(count: u16) -> u16 {
    let bind = |port: u16| TcpListener::bind(("127.0.0.1", port));
    (0..100)
        .find_map(|_| {
            let first = bind(0).expect("a port");
            let port = first.local_addr().expect("an address").port();
            let others = (1..count).map(|n| port.checked_add(n).and_then(|port| bind(port).ok()));
            others.collect::<Option<Vec<TcpListener>>>().map(|_| port)
        })
        .expect("free ports in a row")
}

#[test]
fn a_cluster_says_where_it_is_serves_and_leaves_nothing_however_it_ends() {
    for (way, code) in [(Signal::TERM, Some(0)), (Signal::KILL, None)] {
        let port = ports_in_a_row(3);
        let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
        command.args(["cluster", "--replicas", "3", "--silence", "--port", &port.to_string()]);
        // Meant for one server, or for another program.
        command.env("SEEDBED_DATA", "/nowhere/at/all").env("SEEDBED_SYNC", "never");
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("seedbed starts");
        let servers = started(&running, 3);
        let addresses: Vec<String> = (port..port + 3).map(|port| format!("127.0.0.1:{port}")).collect();
        let mut told = BufReader::new(running.stdout.take().expect("a pipe"));
        for (number, address) in addresses.iter().enumerate() {
            let mut line = String::new();
            told.read_line(&mut line).expect("a line");
            assert_eq!(line, format!("server {number}: {address}\n"));
        }
        let kv = |arguments: &[&str]| -> Output {
            let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
            command.arg("kv").args(arguments).args(["--timeout", "20", "--servers", &addresses.join(",")]);
            command.output().expect("seedbed starts")
        };
        assert_eq!(kv(&["put", "name", "Ada"]).status.code(), Some(0));
        assert_eq!(text(&kv(&["get", "name"]).stdout), "Ada\n");
        if way != Signal::KILL {
            let servers: Vec<_> = addresses.iter().map(|address| address.parse().expect("an address")).collect();
            let servers = Servers::new(&servers, None).expect("servers");
            let statuses = runtime().block_on(status::of_each(&servers, millis(2_000))).expect("addresses");
            assert!(
                statuses.iter().all(|(_, status)| status.as_ref().is_ok_and(|status| status.chaos)),
                "{statuses:?}"
            );
        }
        signal(&running, way);
        let status = running.wait().expect("it ends");
        assert_eq!(status.code(), code, "{way:?}");
        assert_gone(&servers);
        let mut rest = String::new();
        told.read_to_string(&mut rest).expect("text");
        assert!(rest.contains(&format!("\n  export SEEDBED_SERVERS={}\n", addresses.join(","))), "{rest}");
        assert!(rest.contains("\nThe chaos monkeys' dice have the seed "), "{rest}");
        assert!(
            rest.contains("\nEverything is in memory: if a majority of the servers stops, all data is lost.\n"),
            "{rest}"
        );
        let mut errors = String::new();
        running.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
        assert_eq!(errors, "", "{way:?}");
    }
}

#[test]
fn a_cluster_with_a_folder_has_everything_when_it_is_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("kv");
    let port = ports_in_a_row(3);
    let addresses: Vec<String> = (port..port + 3).map(|port| format!("127.0.0.1:{port}")).collect();
    let start = |replicas: &str| {
        let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
        command.args(["cluster", "--replicas", replicas, "--silence", "--port", &port.to_string()]);
        command.arg("--data").arg(&data).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("seedbed starts")
    };
    let kv = |arguments: &[&str]| -> Output {
        let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
        command.arg("kv").args(arguments).args(["--timeout", "20", "--servers", &addresses.join(",")]);
        command.output().expect("seedbed starts")
    };
    for round in 0..3 {
        let running = start("3");
        started(&running, 3);
        if round > 0 {
            assert_eq!(text(&kv(&["get", "name"]).stdout), format!("Ada {}\n", round - 1));
        }
        assert_eq!(kv(&["put", "name", &format!("Ada {round}")]).status.code(), Some(0));
        // With the second signal, all its servers are killed, too.
        signal(&running, if round == 0 { Signal::TERM } else { Signal::KILL });
        let output = running.wait_with_output().expect("it ends");
        if round == 0 {
            assert!(text(&output.stdout).contains(&format!("\nTheir data is in {}.\n", data.display())));
        }
    }
    let refused = start("2").wait_with_output().expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "all its servers have ended");
}

#[test]
fn a_cluster_whose_port_is_taken_starts_no_server() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
    let output = command.args(["cluster", "--port", &port.to_string()]).output().expect("seedbed starts");
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let message = format!("error: cannot listen at 127.0.0.1:{port}: Address already in use (os error 98)\n");
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), message));
}

#[test]
fn what_real_servers_cannot_do_is_refused_before_any_is_started() {
    let losing = |scenario: &mut Value| scenario["losses"] = json!([{"from": 0, "to": 1, "nth": 2}]);
    let (_folder, path) = scenario(losing);
    let output = run(&path).output().expect("seedbed starts");
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(text(&output.stderr).contains("`losses` happens in the virtual and the live world only"), "{output:?}");

    let (_folder, path) = scenario(|_| ());
    let set = "is a parameter of simulated replicas; a program has its own";
    for (arguments, message) in [
        ("-r ./3700kvstore", "cannot be used with '--replica <PROGRAM>'"),
        ("--protocol broadcast", "cannot be used with '--protocol <NAME>'"),
        ("--without vote-once", "cannot be used with '--without <RULE>'"),
        ("--trace -", "cannot be used with '--trace <FILE>'"),
        ("--set raft.heartbeat_ms=50", set),
    ] {
        let output = run(&path).args(arguments.split(' ')).output().expect("seedbed starts");
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", told(&output));
        assert!(text(&output.stderr).contains(message), "{arguments}: {}", told(&output));
        assert_eq!(text(&output.stdout), "", "{arguments}");
    }
}
