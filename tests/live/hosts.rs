//! Processes that crash, start again, and are stopped for a while.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Folder, INCORRECT, Run, assert_gone, command, pids, pids_to, programs, real, scenario};

/// A run of this program through these events, with the name of the scenario.
fn through(folder: &Folder, name: &str, program: &Path, events: &Value) -> Command {
    let mut scenario = scenario(events);
    scenario["tests"]["maximum_appends_batched_fraction"] = json!(1);
    let file = format!("{name}.json");
    fs::write(folder.path(&file), scenario.to_string()).expect("a scenario");
    let files = folder.path(&format!("{name}.files"));
    fs::create_dir_all(&files).expect("a folder");
    let mut command = command(folder, &file, program);
    command.arg("--env").arg(format!("{}={}", programs::FOLDER, files.display()));
    command
}

/// The objects in a file of lines.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a file");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

pub fn files_remain(folder: &Folder) {
    let events = json!([{"type": "crash", "time": 1.5, "replica": 0}, {"type": "restart", "time": 2.5}]);
    let run = Run::of(&mut through(folder, "durable", &folder.path("durable"), &events));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.report);
    assert_eq!(run.report["checkers"]["linearizability"]["verdict"], "ok", "{}", run.report);
    assert_eq!((run.count("replicas_died"), run.count("replicas_killed")), (0, 0), "{}", run.report);

    // One that has everything in memory has lost it.
    let run = Run::of(&mut through(folder, "forgetful", &folder.path("stub"), &events));
    run.fails_with(INCORRECT);
    assert_eq!(run.report["checkers"]["linearizability"]["verdict"], "violation", "{}", run.report);
    assert_eq!((run.count("replicas_died"), run.count("replicas_killed")), (0, 0), "{}", run.report);
}

pub fn all_at_once(folder: &Folder) {
    let trace = folder.path("at_once.trace");
    let crashes = (0..5).map(|replica| json!({"type": "crash", "time": 1.5, "replica": replica}));
    let events: Value = crashes.chain([json!({"type": "restart", "time": 2})]).collect();
    let run = Run::of(through(folder, "at_once", &folder.path("durable"), &events).arg("--trace").arg(&trace));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.report);
    assert_eq!(run.report["checkers"]["linearizability"]["verdict"], "ok", "{}", run.report);
    assert_eq!((run.count("replicas_died"), run.count("replicas_killed")), (0, 0), "{}", run.report);
    let events = lines(&trace);
    let of_type = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let starts = of_type("start");
    assert_eq!((of_type("crash").len(), starts.len()), (5, 5));
    let is_later = |event: &&&Value| event["n"].as_u64() > starts[4]["n"].as_u64();
    let answering: BTreeSet<&str> =
        of_type("answer").iter().filter(is_later).filter_map(|event| event["from"].as_str()).collect();
    assert!(answering.len() > 1, "several answer again: {answering:?}");
}

pub fn same_arguments(folder: &Folder) {
    let path = folder.path("arguments.pids");
    let events = json!([
        {"type": "crash", "time": 1, "replica": 3}, {"type": "restart", "time": 1},
        {"type": "crash", "time": 2, "replica": 3}, {"type": "crash", "time": 2, "replica": 4},
        {"type": "restart", "time": 3},
    ]);
    let run = Run::of(through(folder, "arguments", &folder.path("arguments"), &events).args(pids_to(&path)));
    assert_eq!((run.code, run.count("replicas_died")), (Some(0), 0), "{}\n{}", run.report, run.stderr);
    let of = |replica: &str| -> Vec<&str> {
        let lines = run.stderr.lines().filter_map(|line| line.split_once(" started with "));
        lines.filter(|(line, _)| line.ends_with(replica)).map(|(_, arguments)| arguments).collect()
    };
    assert_eq!([of("0000]"), of("0003]"), of("0004]")].map(|lines| lines.len()), [1, 3, 2], "{}", run.stderr);
    for replica in ["0003]", "0004]"] {
        let mut different = of(replica);
        different.dedup();
        assert_eq!(different.len(), 1, "{}", run.stderr);
    }
    assert_eq!(run.stderr.lines().count(), 8, "nothing is wrong: {}", run.stderr);
    assert_eq!(pids(&path).len(), 8);
    assert_gone(&pids(&path));
}

pub fn stopped(folder: &Folder) {
    let history = folder.path("stopped.history");
    let events = json!([{"type": "pause", "time": 1.5, "replica": "leader"}, {"type": "resume", "time": 3}]);
    let run = Run::of(through(folder, "stopped", &folder.path("stub"), &events).arg("--history").arg(&history));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.report);
    let unanswered = run.count("unanswered_gets") + run.count("unanswered_puts");
    assert_eq!((run.count("replicas_died"), unanswered), (0, 0), "what came meanwhile waits: {}", run.report);
    // From 2.1 s to 3.6 s. What was on its way when it was stopped may arrive after that.
    let ns = |operation: &Value, key: &str| operation[key].as_u64().unwrap_or_default();
    let waits = |time: u64| (2_300_000_000..3_600_000_000).contains(&time);
    let operations = lines(&history);
    assert!(!operations.iter().any(|operation| waits(ns(operation, "completed_ns"))));
    let waited = operations.iter().filter(|operation| waits(ns(operation, "invoked_ns"))).count();
    assert!(waited > 5, "{waited}");
}

pub fn ended_while_stopped(folder: &Folder) {
    let path = folder.path("ended-while-stopped.pids");
    let stop = |replica: u8| json!({"type": "pause", "time": 0.5, "replica": replica});
    let events = json!([
        stop(1), {"type": "crash", "time": 1, "replica": 1},
        stop(2), {"type": "kill", "time": 1, "replica": 2},
        stop(3),
    ]);
    let run = Run::of(through(folder, "ended-while-stopped", &folder.path("mortal"), &events).args(pids_to(&path)));
    assert_eq!((run.count("replicas_killed"), run.count("replicas_died")), (1, 0));
    let last_words = |replica: u8| run.stderr.contains(&format!("Replica 000{replica}] last words"));
    // A crash leaves no time for them.
    assert_eq!([0, 1, 2, 3, 4].map(last_words), [true, false, true, true, true], "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 4, "{}", run.stderr);
    assert_eq!(pids(&path).len(), 5);
    assert_gone(&pids(&path));
}

pub fn children_of_the_crashed(folder: &Folder) {
    let path = folder.path("crashed-children.pids");
    let events = json!([{"type": "crash", "time": 1, "replica": 1}, {"type": "restart", "time": 2}]);
    let run = Run::of(through(folder, "crashed-children", &folder.path("stubborn"), &events).args(pids_to(&path)));
    assert_eq!((run.code, run.count("replicas_died")), (Some(0), 0), "{}\n{}", run.report, run.stderr);
    assert_eq!(pids(&path).len(), 12, "each has a child");
    assert_gone(&pids(&path));
}

pub fn real_replicas_start_again(folder: &Folder) {
    let trace = folder.path("again.trace");
    let events = json!([
        {"type": "crash", "time": 1, "replica": "follower"}, {"type": "restart", "time": 2},
        {"type": "crash", "time": 3, "replica": "leader"}, {"type": "restart", "time": 3.6},
        {"type": "pause", "time": 4.2, "replica": "follower"}, {"type": "resume", "time": 4.6},
    ]);
    let run = Run::of(through(folder, "again", real(), &events).arg("--trace").arg(&trace));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.report);
    assert_eq!((run.count("replicas_killed"), run.count("replicas_died"), run.count("malformed")), (0, 0, 0));
    assert_eq!(run.report["checkers"]["linearizability"]["verdict"], "ok", "{}", run.report);
    let events = lines(&trace);
    let of_type = |kind: &str| -> Vec<&Value> { events.iter().filter(|event| event["type"] == kind).collect() };
    let (crashes, starts) = (of_type("crash"), of_type("start"));
    let who = |events: &[&Value]| events.iter().map(|event| event["to"].clone()).collect::<Vec<_>>();
    assert_eq!((crashes.len(), who(&crashes)), (2, who(&starts)));
    let is_lost = |event: &&&Value| {
        let n = |event: &Value| event["n"].as_u64().expect("a number");
        event["to"] == crashes[0]["to"] && (n(crashes[0])..n(starts[0])).contains(&n(event))
    };
    assert!(of_type("lost").iter().filter(is_lost).count() > 0, "heartbeats came for it");
    let takes_part = |event: &&&Value| event["to"] == crashes[1]["to"] && event["n"].as_u64() > starts[1]["n"].as_u64();
    assert!(of_type("deliver").iter().filter(takes_part).count() > 0, "it has said hello again");
}

/// All of them crash at once, and start again: what they have in memory is gone.
pub fn real_replicas_remember(folder: &Folder) {
    let crashes = (0..5).map(|replica| json!({"type": "crash", "time": 1.5, "replica": replica}));
    let events: Value = crashes.chain([json!({"type": "restart", "time": 2})]).collect();
    let run = |name: &str, remembers: bool| {
        let mut command = through(folder, name, real(), &events);
        if remembers {
            let data = folder.path(&format!("{name}.data"));
            fs::create_dir_all(&data).expect("a folder");
            command.arg("--env").arg(format!("SEEDBED_DATA={}", data.display()));
        }
        let run = Run::of(&mut command);
        assert_eq!((run.count("replicas_died"), run.count("replicas_killed")), (0, 0), "{}", run.report);
        run
    };
    let remembering = run("remembering", true);
    assert_eq!((remembering.code, remembering.stderr.as_str()), (Some(0), ""), "{}", remembering.report);
    assert_eq!(remembering.report["checkers"]["linearizability"]["verdict"], "ok", "{}", remembering.report);
    assert!(folder.path("remembering.data/0004").join("seedbed.redb").exists(), "each has a folder with its ID");
    let forgetting = run("forgetting", false);
    forgetting.fails_with(INCORRECT);
    assert_eq!(forgetting.report["checkers"]["linearizability"]["verdict"], "violation", "{}", forgetting.report);
}

pub fn damaged(folder: &Folder) {
    let trace = folder.path("damaged.trace");
    let mut file = scenario(&json!([{"type": "damage", "time": 4.5, "value": 0}]));
    file["network"] = json!({"model": "course", "damage": 0.05});
    file["tests"]["maximum_appends_batched_fraction"] = json!(1);
    // A damaged answer of a leader may cost an election.
    (file["wait"], file["end_wait"]) = (json!(2), json!(2));
    fs::write(folder.path("damaged.json"), file.to_string()).expect("a scenario");
    let run = Run::of(command(folder, "damaged.json", real()).arg("--trace").arg(&trace));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.report);
    assert_eq!((run.count("replicas_died"), run.count("malformed"), run.count("incorrect")), (0, 0, 0));
    let events = lines(&trace);
    let damaged: Vec<&Value> = events.iter().filter(|event| event["type"] == "damage").collect();
    assert!(!damaged.is_empty() && run.count("messages_dropped") == damaged.len() as u64, "{}", run.report);
    assert!(damaged.iter().all(|event| event["message"]["sum"].is_u64()), "as it was sent: {damaged:?}");
}

pub fn does_not_start_again(folder: &Folder) {
    let path = folder.path("vanishes.pids");
    let events = json!([{"type": "crash", "time": 2, "replica": 3}, {"type": "restart", "time": 3}]);
    let program = folder.path("vanishes");
    let output = through(folder, "vanishes", &program, &events).args(pids_to(&path)).output();
    let output = output.expect("seedbed starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let expected = format!("error: {}: cannot be started as a replica: No such file", program.display());
    assert_eq!((output.status.code(), stderr.contains(&expected)), (Some(2), true), "{stderr}");
    assert_eq!(pids(&path).len(), 5);
    assert_gone(&pids(&path));
}

pub fn quits_again(folder: &Folder) {
    let events = json!([{"type": "restart", "time": 1}]);
    let run = Run::of(&mut through(folder, "quits-again", &folder.path("quits"), &events));
    run.fails_with(">0 replicas died unexpectedly (10)");
    assert!(run.report["seconds"].as_f64().expect("a time") < 4.0, "none is left and none starts again");
}

pub fn refused(folder: &Folder) {
    let path = folder.path("refused.pids");
    let crash = json!({"type": "crash", "time": 1, "replica": 0});
    let cases = [
        ("wipe", json!([crash, {"type": "restart", "time": 2, "wipe": true}]), json!({})),
        ("clock", json!([{"type": "clock", "time": 1, "replica": 0, "rate": 1.1}]), json!({})),
        ("full_disk", json!([crash, {"type": "full_disk", "time": 2, "replica": 0}]), json!({})),
        // The servers of the gRPC world have disks of their own.
        ("disk.sync_ms", json!([crash]), json!({"disk": {"sync_ms": {"kind": "constant", "ms": 1}}})),
    ];
    for (what, events, more) in cases {
        let mut file = scenario(&events);
        file.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        fs::write(folder.path("refused.json"), file.to_string()).expect("a scenario");
        let output = command(folder, "refused.json", &folder.path("stub")).args(pids_to(&path)).output();
        let output = output.expect("seedbed starts");
        let world = if what == "disk.sync_ms" { "virtual and the gRPC" } else { "virtual" };
        let error = format!("error: refused: `{what}` happens in the {world} world only\n");
        assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(2), &*error));
    }
    assert_eq!(pids(&path), [], "no process was started");
}
