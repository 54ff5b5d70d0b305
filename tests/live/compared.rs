//! `seedbed compare`: a program simulated and live, beside a built-in protocol.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use seedbed_core::world::program::examine;
use serde_json::{Value, json};

use crate::common::processes;
use crate::{Folder, write_script};

/// A variable that only simulated programs have.
const IS_SIMULATED: &str = r#"test -n "$OPENSSL_ia32cap""#;

/// Writes programs that behave in one way if they are simulated, and in another if they are not. Their folder is their
/// own, because that of a simulated program is copied.
pub fn write_programs(folder: &Path, good: &Path, bad: &Path) {
    fs::create_dir(folder).expect("a folder");
    let (good, bad) = (good.display(), bad.display());
    let write = |name: &str, text: &str| write_script(&folder.join(name), &format!("#!/bin/sh\n{text}\n"));
    write("good", &format!("exec '{good}' \"$@\""));
    write("bad", &format!("exec '{bad}' \"$@\""));
    write("changes", &format!("if {IS_SIMULATED}; then exec '{bad}' \"$@\"; else exec '{good}' \"$@\"; fi"));
    write("stops", &format!("if {IS_SIMULATED}; then kill -STOP $$; fi\nexec '{good}' \"$@\""));
}

/// `seedbed compare` with one of these programs.
fn compare(folder: &Folder, program: &str) -> Command {
    let mut command = processes::seedbed();
    command.arg("compare").arg(folder.path("short.json")).args(["--seed", "7"]);
    command.arg("-r").arg(folder.path("compared").join(program));
    command
}

/// What came of a comparison with one of these programs. None if programs cannot be simulated on this machine.
fn compared(folder: &Folder, program: &str) -> Option<Compared> {
    if examine().iter().any(|check| check.problem.is_some()) {
        eprintln!("programs cannot be simulated here, so the comparison with `{program}` was NOT run");
        return None;
    }
    Some(Compared::of(&compare(folder, program).output().expect("seedbed starts")))
}

struct Compared {
    code: Option<i32>,
    text: String,
    stderr: String,
}

impl Compared {
    fn of(output: &Output) -> Compared {
        let [text, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Compared { code: output.status.code(), text, stderr }
    }

    /// The verdicts: of the program simulated and live, and of the protocol.
    fn verdicts(&self) -> [&str; 3] {
        let rows = self.text.split_once("\nshort\n").expect("the scenario").1;
        let mut rows = rows.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        ["simulated", "live", "raft"].map(|name| {
            let row = rows.next().expect("a row");
            assert_eq!(row[0], name, "{}", self.text);
            row[1]
        })
    }
}

pub fn side_by_side(folder: &Folder) {
    let Some(compared) = compared(folder, "good") else { return };
    assert_eq!(compared.code, Some(0), "{}{}", compared.text, compared.stderr);
    assert_eq!((compared.verdicts(), compared.stderr.as_str()), (["pass"; 3], ""));
    assert!(compared.text.contains("\nSame verdict: 1 of 1; raft: 1\n"), "{}", compared.text);

    let result = folder.path("compared.out");
    let output =
        compare(folder, "good").arg("--json").arg(&result).args(["--env", "A=B"]).output().expect("seedbed starts");
    assert_eq!(output.status.code(), Some(0));
    let json: Value = serde_json::from_str(&fs::read_to_string(&result).expect("the result")).expect("JSON");
    let [simulated, live, protocol] = ["virtual_program", "live", "virtual"].map(|run| &json["pairs"][0][run]);
    let worlds = [simulated, live, protocol].map(|run| &run["world"]);
    assert_eq!(worlds, [&json!("lan"), &json!("live"), &json!("virtual")]);
    let requests = |run: &Value| {
        let count = |statistic| run["statistics"][statistic].as_u64().expect("a count");
        (count("gets") + count("gets_not_generated"), count("gets") + count("puts"))
    };
    assert_eq!((requests(simulated), requests(protocol)), (requests(live), requests(live)));
    let commands = [simulated, live, protocol].map(|run| run["command"].as_str().expect("a command"));
    let program = folder.path("compared/good");
    let endings = [
        format!("short.json --seed 7 --virtual --env A=B -r {}", program.display()),
        format!("short.json --seed 7 --env A=B -r {}", program.display()),
        "short.json --seed 7".to_owned(),
    ];
    for (command, ending) in commands.iter().zip(&endings) {
        assert!(command.starts_with("seedbed run ") && command.ends_with(ending), "{command}");
    }
}

pub fn predicted(folder: &Folder) {
    let Some(compared) = compared(folder, "bad") else { return };
    assert_eq!(compared.verdicts(), ["fail", "fail", "pass"], "{}", compared.stderr);
    assert_eq!(compared.code, Some(0), "the protocol is shown and not judged: {}", compared.text);
    assert!(compared.text.contains("\nSame verdict: 1 of 1; raft: 0\n"), "{}", compared.text);
}

pub fn apart(folder: &Folder) {
    let Some(compared) = compared(folder, "changes") else { return };
    assert_eq!(compared.verdicts(), ["fail", "pass", "pass"], "{}", compared.stderr);
    assert_eq!(compared.code, Some(1), "{}", compared.text);
    assert!(compared.text.contains("\nSame verdict: 0 of 1; raft: 1\n"), "{}", compared.text);
}

pub fn not_simulated(folder: &Folder) {
    let Some(compared) = compared(folder, "stops") else { return };
    assert_eq!(compared.verdicts(), ["-", "pass", "pass"], "{}", compared.stderr);
    assert_eq!(compared.code, Some(0), "{}", compared.text);
    assert!(compared.text.contains("\nSame verdict: 1 of 1\n"), "{}", compared.text);
    let note = "note: short: the program cannot be simulated: replica ";
    assert!(compared.stderr.starts_with(note), "{}", compared.stderr);
    assert!(compared.stderr.ends_with("; so the protocol is judged in its place\n"), "{}", compared.stderr);
    assert_eq!(compared.stderr.lines().count(), 1, "{}", compared.stderr);
}

pub fn no_choice(folder: &Folder) {
    for option in ["--virtual", "--show-output"] {
        let output = compare(folder, "good").arg(option).output().expect("seedbed starts");
        let refused = Compared::of(&output);
        assert_eq!((refused.code, refused.text.as_str()), (Some(2), ""), "{option}");
        let names = [option, "--replica <PROGRAM>", " cannot be used with "];
        assert!(names.iter().all(|name| refused.stderr.contains(name)), "{}", refused.stderr);
    }
}
