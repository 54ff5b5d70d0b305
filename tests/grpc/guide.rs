//! The commands of docs/grpc.md work as they say.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use crate::cluster::{Cluster, pause, seedbed, told};
use crate::common::processes;

/// How a command begins that this test runs, or others in this folder.
const RUN: &str = "cargo run --release --features grpc -- ";

/// What clients do. The other commands run servers, until somebody ends them; the other tests here do.
const CLIENTS: [&str; 3] = ["kv", "chaos", "status"];

#[test]
fn every_command_of_a_client_in_the_guide_works_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/grpc.md")).expect("docs/grpc.md");
    let cluster = Cluster::start(5, &["--chaos", "true"]);
    let folder = tempfile::tempdir().expect("a folder");
    symlink(root.join("scenarios"), folder.path().join("scenarios")).expect("a link to the scenarios");
    let mut count = 0;
    for (command, code) in commands(&text) {
        if !CLIENTS.contains(&command.split_whitespace().next().expect("a word")) {
            continue;
        }
        let mut run = seedbed(folder.path());
        run.args(command.split_whitespace()).env("SEEDBED_SERVERS", cluster.list());
        let output = if command.starts_with("chaos play ") { interrupted(run) } else { run.output() };
        let output = output.expect("seedbed starts");
        assert_eq!(output.status.code(), Some(code), "{command}: {}", told(&output));
        count += 1;
    }
    assert!(count >= 8, "only {count} commands found");
}

/// The commands in fenced blocks, each with the code that its comment announces, else 0. What is played takes half a
/// minute, so it is interrupted.
fn commands(text: &str) -> Vec<(&str, i32)> {
    let lines = text.lines().filter_map(|line| line.trim_start_matches("$ ").strip_prefix(RUN));
    lines
        .map(|line| {
            let (command, comment) = line.split_once(" #").unwrap_or((line, ""));
            let code = comment.split("exit code ").nth(1).and_then(|rest| {
                rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
            });
            let command = command.trim();
            let code = if command.starts_with("chaos play ") { Some(130) } else { code };
            (command, code.unwrap_or(0))
        })
        .collect()
}

/// Runs a command for a while and ends it as Ctrl-C does.
fn interrupted(mut command: Command) -> std::io::Result<Output> {
    let playing = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    pause(1_000);
    Ok(processes::end_with(Signal::INT, playing))
}
