//! What surrounds the replicas of a live run: their environment, what they start and print, a busy machine, files of what
//! happened.

use std::fs;
use std::process::Stdio;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use super::common::processes;
use super::{Folder, Run, assert_gone, await_pids, command, pause, pids, pids_to, scenario};

/// Leaves two processes behind that are in no group of a replica, one of them with an environment of its own. Each shell
/// writes its ID before it sleeps.
pub const LEAVER: &str = "\
#!/bin/sh
leave='echo $$ >> \"$0\"; exec sleep 300'
setsid sh -c \"$leave\" \"$SEEDBED_TEST_PIDS\" &
env -i PATH=\"$PATH\" setsid sh -c \"$leave\" \"$SEEDBED_TEST_PIDS\" &
exec sleep 60
";

/// Prints its environment.
pub const ENVIRONMENT: &str = "#!/bin/sh\nenv\nexec sleep 60\n";

pub fn leaver(folder: &Folder) {
    let path = folder.path("leaver.pids");
    let run = Run::of(command(folder, "kill.json", &folder.path("leaver")).args(pids_to(&path)));
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let left = pids(&path);
    assert_eq!(left.len(), 10, "{}", run.stderr);
    assert_gone(&left);

    let path = folder.path("leaver-interrupted.pids");
    let mut command = command(folder, "short.json", &folder.path("leaver"));
    let child = command.args(pids_to(&path)).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    await_pids(&path, 10);
    let output = processes::end_with(Signal::INT, child.expect("seedbed starts"));
    assert_eq!(output.status.code(), Some(130));
    assert_gone(&pids(&path));
}

pub fn environment(folder: &Folder) {
    let mut command = command(folder, "short.json", &folder.path("environment"));
    command.args(["--env", "GIVEN=a b", "--env", "CALLERS"]).env("CALLERS", "c").env("SECRET_TOKEN", "s3cret");
    let run = Run::of(&mut command);
    let of_first =
        run.stderr.lines().filter_map(|line| line.split_once("Replica 0000] ")).map(|(_, variable)| variable);
    let mut variables: Vec<&str> = of_first.filter(|line| line.contains('=')).collect();
    variables.sort_unstable();
    for expected in ["GIVEN=a b", "CALLERS=c", "LANG=C.UTF-8"] {
        assert!(variables.contains(&expected), "{variables:?}");
    }
    // The shell adds some of its own.
    let known =
        ["GIVEN", "CALLERS", "LANG", "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"];
    let is_known = |variable: &&str| {
        let name = variable.split('=').next().expect("a name");
        known.contains(&name) || name == "SEEDBED_REPLICA"
    };
    assert!(variables.iter().all(is_known), "{variables:?}");
    let command = run.report["command"].as_str().expect("a command");
    assert!(command.contains("--env 'GIVEN=a b' --env CALLERS"), "{command}");

    for (variable, problem) in [("=x", "has no name"), ("", "has no name"), ("NOT_SET_ANYWHERE", "is not set here")] {
        let mut command = super::command(folder, "short.json", &folder.path("environment"));
        let output = command.args(["--env", variable]).output().expect("seedbed starts");
        let error = format!(
            "error: --env `{variable}`: {problem}; allowed is NAME=VALUE, or the NAME of a variable that is set\n"
        );
        assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(2), &*error));
    }
}

pub fn output_is_kept(folder: &Folder) {
    let repros = folder.path("kept");
    let mut silent = command(folder, "short.json", &folder.path("prints"));
    silent.arg("-s").arg("--repros").arg(&repros);
    let output = silent.output().expect("seedbed starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!stderr.contains("args") && !stderr.contains("problem"), "{stderr}");
    let path = repros.join("short-7-prints.log");
    assert!(stdout.contains(&format!("\nOutput of its replicas: {}\n", path.display())), "{stdout}");
    let kept = fs::read_to_string(&path).expect("what replicas printed");
    for replica in 0..5 {
        assert!(kept.contains(&format!("  Replica 000{replica}] problem\n")), "{kept}");
    }
    assert!(kept.contains("has not said hello yet"), "complaints stand among the lines: {kept}");

    let run = Run::of(&mut silent);
    assert_eq!(run.report["output"], json!(path.to_str().expect("text")));
    // A suite names it below the row, and what passes leaves nothing.
    let mut suite = processes::seedbed();
    suite.args(["run", "all", "--seed", "7", "-s", "-j", "3", "-c"]).arg(folder.path("suite"));
    suite.arg("-r").arg(folder.path("prints")).arg("--repros").arg(&repros);
    let output = suite.output().expect("seedbed starts");
    let line = format!("    Output: {}\n", repros.join("simple-10-7-prints.log").display());
    assert!(String::from_utf8_lossy(&output.stdout).contains(&line), "{}", String::from_utf8_lossy(&output.stdout));
}

pub fn busy(folder: &Folder) {
    let path = folder.path("busy.pids");
    let mut command = command(folder, "short.json", &folder.path("stub"));
    command.args(pids_to(&path)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("seedbed starts");
    await_pids(&path, 5);
    // As if other programs had the machine for themselves.
    (0..50).for_each(|_| pause());
    let pid = rustix::process::Pid::from_child(&child);
    kill_process(pid, Signal::STOP).expect("it runs");
    (0..20).for_each(|_| pause());
    kill_process(pid, Signal::CONT).expect("it is there");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("\nNot judged: this machine was too busy: seedbed was up to "), "{text}");
}

pub fn trace_and_history(folder: &Folder) {
    let (trace, history) = (folder.path("kill.trace"), folder.path("kill.history"));
    let mut command = command(folder, "kill.json", &folder.path("plain"));
    command.arg("--trace").arg(&trace).arg("--history").arg(&history);
    let run = Run::of(&mut command);
    let lines = |path| -> Vec<Value> {
        let text = fs::read_to_string(path).expect("a file");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let (events, operations) = (lines(trace), lines(history));
    let of_type = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert_eq!((events.len() - 2) as u64, events.last().expect("an end")["events"].as_u64().expect("a count"));
    assert_eq!(of_type("fault")[0]["killed"], "0003");
    let ping = of_type("deliver").into_iter().find(|event| event["message"]["type"] == "ping").expect("a ping");
    assert_eq!((&ping["from"], &ping["message"]["dst"]), (&ping["message"]["src"], &json!("FFFF")), "it is whole");
    let attempts = operations.len() - 2;
    assert_eq!(operations.last().expect("an end"), &json!({"type": "end", "operations": attempts}));
    assert!((60..=attempts).contains(&of_type("request").len()), "{attempts} attempts");
    let answered = operations.iter().filter(|operation| operation["answer"] == "ok").count() as u64;
    let asked = run.count("gets") + run.count("puts");
    assert_eq!(answered + run.count("unanswered_gets") + run.count("unanswered_puts"), asked);
    let get = operations.iter().find(|operation| operation["operation"] == "get" && operation["answer"] == "ok");
    let get = get.expect("a get");
    assert!(get["result"].is_string() && get["completed_ns"].as_u64() > get["invoked_ns"].as_u64(), "{get}");

    let output = super::command(folder, "kill.json", &folder.path("plain"))
        .args(["--trace", "-", "--no-heartbeats"])
        .output()
        .expect("seedbed starts");
    let error =
        "error: --no-heartbeats: which messages of a program are heartbeats is not known; leave it out with -r\n";
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(2), error));
}

pub fn runners_clock(folder: &Folder) {
    let mut command = command(folder, "short.json", &folder.path("late"));
    // The hello comes after 1.2 s, and the first request 0.6 s after the start.
    let run = Run::of(command.args(["--rules", "runner"]));
    assert!(run.count("replicas_died") > 0 && run.report["rules"] == "runner", "{}", run.report);
    run.says("before it said hello: the course's runner takes it off the list of living replicas");
}

pub fn many_sockets(folder: &Folder) {
    let run = super::primary(folder, "many-sockets", &json!([{"type": "kill_leader", "time": 2}]));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.report);
    assert!(run.count("unanswered_puts") + run.count("unanswered_gets") <= 2, "{}", run.report);
}

pub fn talk(folder: &Folder) {
    let run = super::primary(folder, "talk", &json!([]));
    assert_eq!((run.code, run.count("unanswered_puts")), (Some(0), 0), "{}", run.report);
    run.says("(prints too much; the rest is not shown)");
}

pub fn stale_once(folder: &Folder) {
    let mut once = scenario(&json!([]));
    for key in ["requests", "mix"] {
        once.as_object_mut().expect("an object").remove(key);
    }
    once["operations"] = json!([
        {"time": 0.2, "client": 3, "put": "x", "value": "1"},
        {"time": 0.8, "client": 3, "put": "x", "value": "2"},
        {"time": 1.4, "client": 3, "get": "x"},
    ]);
    once["lifetime"] = json!(2);
    fs::write(folder.path("once.json"), once.to_string()).expect("a scenario");
    // With this seed the first put goes to a replica that redirects it.
    let run = Run::of(&mut command(folder, "once.json", &folder.path("stale")));
    assert!(run.count("redirects") > 0, "{}", run.report);
    run.fails_with(super::INCORRECT);
    assert_eq!(run.report["checkers"]["linearizability"]["verdict"], "violation", "{}", run.report);
}

pub fn children_of_before(folder: &Folder) {
    let path = folder.path("before.pid");
    let script = format!(
        "sleep 60 & echo $! > '{}'; exec '{}' run '{}' --seed 7 -r '{}'",
        path.display(),
        env!("CARGO_BIN_EXE_seedbed"),
        folder.path("short.json").display(),
        folder.path("quits").display(),
    );
    let status = processes::program("/bin/sh")
        .args(["-c", &script])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("a shell");
    assert_eq!(status.code(), Some(1));
    let [pid] = pids(&path)[..] else { panic!("one process") };
    rustix::process::test_kill_process(pid).expect("it is not one of a replica");
    kill_process(pid, Signal::KILL).expect("it runs");
}
