//! Clients of real servers: what they get, also when servers hang, die, or send them elsewhere.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use seedbed_core::client::{Kv, Servers, Settings};
use seedbed_core::clock::Clock;

use crate::cluster::{Cluster, millis, pause, seedbed, text, told};
use crate::common::processes;

/// A timeline of four seconds.
const TIMELINE: &str = r#"{
    "lifetime": 4, "replicas": 5, "requests": 0,
    "events": [
        {"type": "part_hard", "time": 0.5},
        {"type": "isolate", "replica": 3, "time": 1},
        {"type": "heal", "time": 2},
        {"type": "set_link", "from": 0, "to": 1, "value": 0.25, "time": 2.5}
    ],
    "tests": {"benchmarks": {
        "total_msgs": [1, 2, 3], "failures": [1, 2, 3], "duplicates": [1, 2, 3], "median_latency": [1, 2, 3]
    }}
}"#;

const ZEROS: &str =
    "0.0 0.0 0.0 0.0 0.0\n0.0 0.0 0.0 0.0 0.0\n0.0 0.0 0.0 0.0 0.0\n0.0 0.0 0.0 0.0 0.0\n0.0 0.0 0.0 0.0 0.0\n";

fn kv(cluster: &Cluster) -> Kv {
    let settings = Settings { timeout: Duration::from_secs(20), try_timeout: millis(500), ..Settings::default() };
    Kv::new(Servers::new(&cluster.addresses, None).expect("servers"), settings).expect("a client")
}

#[test]
fn values_are_stored_fetched_swapped_and_taken_out_whichever_server_is_asked() {
    let cluster = Cluster::start(3, &[]);
    assert_eq!(cluster.expect("kv put name Ada", 0), "");
    for address in &cluster.addresses {
        assert_eq!(cluster.expect(&format!("kv get name --servers {address}"), 0), "Ada\n");
    }
    let output = cluster.run("kv cas name Bob Eve");
    assert_eq!(
        (output.status.code(), told(&output)),
        (Some(1), "note: `name` is `Ada`; nothing has changed\n".to_owned())
    );
    assert_eq!(cluster.expect("kv cas name Ada Grace", 0), "");
    assert_eq!(cluster.expect("kv get name", 0), "Grace\n");
    assert_eq!(cluster.expect("kv delete name", 0), "");
    let output = cluster.run("kv get name");
    assert_eq!((output.status.code(), told(&output)), (Some(1), "note: `name` has no value\n".to_owned()));

    let mut put = cluster.command("kv put page -").stdin(Stdio::piped()).spawn().expect("seedbed starts");
    put.stdin.take().expect("a pipe").write_all(b"two\nlines").expect("it reads");
    assert!(put.wait().expect("it ends").success());
    assert_eq!(cluster.expect("kv get page", 0), "two\nlines\n");
}

#[test]
fn servers_that_pass_nothing_on_send_clients_to_the_leader() {
    let cluster = Cluster::start(3, &["--forward", "false"]);
    for (number, address) in cluster.addresses.iter().enumerate() {
        cluster.expect(&format!("kv put key-{number} v --servers {address}"), 0);
        assert_eq!(cluster.expect(&format!("kv get key-{number}"), 0), "v\n");
    }
}

#[test]
fn a_server_that_is_stopped_costs_a_client_one_try_and_a_leader_that_dies_an_election() {
    let mut cluster = Cluster::start(5, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    let mut client = kv(&cluster);
    let leader = cluster.leader();
    let follower = (leader + 1) % 5;
    cluster.signal(follower, Signal::STOP);
    let clock = Clock::start();
    for number in 0..30 {
        runtime.block_on(client.put("k", &number.to_string())).expect("a majority is there");
    }
    let took = clock.now().as_secs_f64();
    assert!(took < 5.0, "{took} s for 30 puts, of which one or two may have cost a try");
    let output = cluster.run("status --timeout 1");
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains(&format!("{}: no answer in time", cluster.addresses[follower])),
        "{}",
        told(&output)
    );
    cluster.signal(follower, Signal::CONT);

    cluster.servers[leader].kill().expect("it lives");
    cluster.servers[leader].wait().expect("it dies");
    for number in 30..60 {
        runtime.block_on(client.put("k", &number.to_string())).expect("a majority is there");
    }
    assert_eq!(runtime.block_on(client.get("k", false)), Ok(Some("59".to_owned())));
    assert_ne!(cluster.leader(), leader);
    let output = cluster.run("status");
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains(&format!("{}: Connection refused", cluster.addresses[leader])), "{}", told(&output));
}

#[test]
fn a_matrix_is_uploaded_to_all_servers_changed_shown_and_taken_back() {
    let cluster = Cluster::start(5, &["--chaos", "true", "--chaos-token", "sesame"]);
    let output = cluster.run("chaos show");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(told(&output).matches("the chaos monkey wants its token").count(), 5, "{}", told(&output));

    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    fs::write(&token, "sesame\n").expect("a file");
    let token = format!("--token-file {}", token.display());
    cluster.expect(&format!("chaos upload matrices/isolate-3.json {token}"), 0);
    cluster.expect(&format!("chaos set 0 1 0.1 {token}"), 0);
    let shown =
        "0.0 0.1 0.0 1.0 0.0\n0.0 0.0 0.0 1.0 0.0\n0.0 0.0 0.0 1.0 0.0\n1.0 1.0 1.0 1.0 1.0\n0.0 0.0 0.0 1.0 0.0\n";
    assert_eq!(cluster.expect("chaos show --token sesame", 0), shown);

    cluster.expect(&format!("chaos set 4 0 0.5 --token sesame --servers {}", cluster.addresses[2]), 0);
    let output = cluster.run("chaos show --token sesame");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "warning: servers have different matrices\n");
    assert!(text(&output.stdout).contains(&format!("\n{}:\n", cluster.addresses[2])), "{}", told(&output));

    let output = cluster.run("chaos set 9 0 0.5 --token sesame");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(told(&output).lines().count(), 5, "{}", told(&output));
    cluster.expect("chaos clear --token sesame", 0);
    assert_eq!(cluster.expect("chaos show --token sesame", 0), ZEROS);
}

#[test]
fn a_scenario_is_played_in_real_time_and_taken_back_also_when_it_is_interrupted() {
    let cluster = Cluster::start(5, &["--chaos", "true"]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("timeline.json");
    fs::write(&path, TIMELINE).expect("a file");
    let play = format!("chaos play {} --seed 7", path.display());

    let playing = cluster.command(&play).stdout(Stdio::piped()).spawn().expect("seedbed starts");
    pause(1_500);
    let shown = cluster.expect("chaos show", 0);
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(rows[3], ["1.0", "1.0", "1.0", "0.0", "1.0"], "3 is isolated");
    assert!(rows[0].contains(&"1.0"), "and the others are parted");
    let output = playing.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", told(&output));
    let told_lines = text(&output.stdout);
    let lines: Vec<&str> = told_lines.lines().map(str::trim).collect();
    assert_eq!(lines[0], format!("seedbed {play}"));
    assert_eq!(lines[2], "0.0 s  begins, with 5 servers");
    assert!(lines[3].starts_with("0.5 s  part_hard: ") && lines[3].contains(" | "), "{lines:?}");
    assert_eq!(
        lines[4..],
        [
            "1.0 s  isolate: 3",
            "2.0 s  heal",
            "2.5 s  set_link: 0 to 1 loses 0.25",
            "4.0 s  over; nothing is lost any more"
        ]
    );
    assert_eq!(cluster.expect("chaos show", 0), ZEROS);

    let playing = cluster.command(&play).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("seedbed starts");
    pause(1_200);
    let output = processes::end_with(Signal::INT, playing);
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    assert_eq!(told(&output), format!("error: interrupted; this begins again: seedbed {play}\n"));
    assert_eq!(cluster.expect("chaos show", 0), ZEROS);

    let output = cluster.run("chaos play advanced-1.json");
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("stops or starts servers (kill_leader at 20 s)"), "{}", told(&output));

    let cluster = Cluster::start(5, &[]);
    let output = cluster.run("chaos play partition-1.json --seed 7");
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.starts_with("error: no server has taken the first matrix: 127.0.0.1:"), "{error}");
    assert!(error.ends_with(": this server carries no chaos monkey; --chaos gives it one\n"), "{error}");
}

#[test]
fn a_bench_counts_and_measures_in_both_loops() {
    let cluster = Cluster::start(3, &[]);
    let closed = "kv bench --clients 8 --warm-up 0 --requests 400 --keys 50 --route leader --connections 2 --csv -";
    let open = "kv bench --clients 8 --warm-up 0.2 --duration 1 --rate 200 --keys 50 --gets 0 --csv -";
    for (arguments, requests) in [(closed, 400), (open, 200)] {
        let csv = cluster.expect(arguments, 0);
        let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), ["kind", "get", "put", "all"]);
        let number = |row: usize, column: usize| rows[row][column].parse::<f64>().expect("a number");
        assert_eq!((number(3, 1), number(3, 2)), (f64::from(requests), f64::from(requests)), "{csv}");
        assert!(number(3, 7) > 0.0 && number(3, 7) <= number(3, 11), "{csv}");
    }
    let table = cluster.expect("kv bench --clients 2 --warm-up 0 --requests 50 --stale-reads --gets 1", 0);
    assert!(table.starts_with("2 clients, 1000 keys, values of 100 bytes, 100% gets, closed loop, "), "{table}");
}

#[test]
fn what_makes_no_sense_is_refused_before_any_server_is_asked() {
    for (arguments, message) in [
        (
            "kv get x --servers nowhere",
            "error: --servers: 'nowhere' is no address; allowed is HOST:PORT, as in 127.0.0.1:7001 or [::1]:7001",
        ),
        (
            "kv get x --timeout 0",
            "error: invalid value '0' for '--timeout <SECONDS>': allowed is a number of seconds from 0.001 to 86400",
        ),
        ("kv get x --tls-cert a.pem --servers 127.0.0.1:1", "error: --tls-cert needs --tls-key, too"),
        (
            "chaos upload nowhere.json",
            "error: nowhere.json: no such file, and no built-in matrix has this name (`seedbed scenarios` lists them)",
        ),
        ("chaos set 0 1 1.5", "error: invalid value '1.5' for '<VALUE>': allowed is a number from 0 to 1"),
        ("chaos show --token-file nowhere", "error: nowhere: cannot be read: No such file or directory (os error 2)"),
        ("kv bench --rate 0", "error: invalid value '0' for '--rate <N>': allowed is a number from 0.001 to 1000000"),
        (
            "chaos play partition-1.json --servers 127.0.0.1:1,127.0.0.1:2",
            "error: no server answers at 127.0.0.1:1, 127.0.0.1:2; --servers says where there are some",
        ),
        ("chaos set -1 0 0.5", "error: invalid value '-1' for '<FROM>': -1 is not in 0..=255"),
        (
            "kv get x --timeout -1",
            "error: invalid value '-1' for '--timeout <SECONDS>': allowed is a number of seconds from 0.001 to 86400",
        ),
        (
            "chaos play x.json",
            "error: x.json: no such file, and no built-in scenario has this name (`seedbed scenarios` lists them)",
        ),
    ] {
        let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
        let output = command.args(arguments.split_whitespace()).output().expect("seedbed starts");
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", told(&output));
        assert_eq!(text(&output.stderr).lines().next(), Some(message), "{arguments}");
        assert_eq!(text(&output.stdout), "", "{arguments}");
    }
}

#[test]
fn a_cluster_that_is_not_there_is_an_error_that_names_the_reasons() {
    let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
    let arguments = ["kv", "put", "k", "v", "--timeout", "1", "--servers", "127.0.0.1:1,no-such-host.invalid:7001"];
    let output = command.args(arguments).output().expect("seedbed starts");
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.starts_with("error: no server could be reached within 1 s: "), "{message}");
    assert!(message.contains("127.0.0.1:1: Connection refused (os error 111)"), "{message}");
    assert!(message.contains("no-such-host.invalid:7001: failed to lookup address"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}
