//! What is refused: with one line, and with no file touched.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;

use super::{Folder, shipped};

/// Outputs of all kinds, into files that are there and files that are not.
const OUTPUTS: &str = "--csv new.csv --json old.json --latencies new-l.csv --messages new-m.csv --summary old.csv \
                       --junit new.xml --plot new.svg --cdf new-c.png";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("old.json", "what was there");
    folder.write("old.csv", "what was there");
    folder
}

#[test]
fn what_makes_no_grid_is_refused_and_named_with_what_is_allowed() {
    let folder = folder();
    folder.write("empty/readme.txt", "no scenario");
    folder.write("broken.json", "{\"lifetime\": 4,");
    folder.write("narrow.json", "[[0]]");
    folder.write("wide.json", "[[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0]]");
    for (name, line) in [("axes", r#""axes": [{"drops": true}]"#), ("protocols", r#""protocols": ["paxos"]"#)] {
        let text = format!("{{\"seedbed_sweep\": 1, \"scenarios\": [\"calm.json\"], {line}}}");
        folder.write(&format!("wrong-{name}.json"), text);
    }
    folder.write("future.json", r#"{"seedbed_sweep": 2, "scenarios": ["calm.json"]}"#);
    folder.write("none.json", r#"{"seedbed_sweep": 1, "scenarios": []}"#);
    folder.write("fine.json", r#"{"seedbed_sweep": 1, "scenarios": ["calm.json"]}"#);
    folder.write("other/calm.json", super::CALM);
    for (words, error) in [
        ("calm.json --set raft.hartbeat_ms=50", "unknown path `raft.hartbeat_ms`; did you mean `raft.heartbeat_ms`?"),
        ("calm.json --set drosp=0.1", "unknown path `drosp`"),
        ("hard.json --set events[0].tme=1", "hard.json with events[0].tme=1: unknown key `events[0].tme`; allowed is "),
        ("calm.json --drops 0.5,1.5", "calm.json with drops=1.5: `drops` is 1.5; allowed is "),
        ("calm.json --replicas 3,1", "calm.json with replicas=1: `replicas` is 1; allowed is "),
        ("calm.json --mix half", "calm.json with mix=half: `mix` is \"half\"; allowed is "),
        ("calm.json --requests=-1", "calm.json with requests=-1: `requests` is -1; allowed is "),
        ("calm.json --drops 0,,1", "values of `drops`: a value is empty; allowed is a list as in 1,2,5 or a range"),
        ("calm.json --drops 0:1", "values of `drops`: `0:1` is not a range; allowed is START:STOP:STEP"),
        ("calm.json --drops 0.5:0:0.1", "values of `drops`: the range `0.5:0:0.1` holds no value: "),
        ("calm.json --drops 0:1:0", "values of `drops`: the range `0:1:0` holds no value: "),
        ("calm.json --drops 0,0.1,0.0", "values of `drops`: 0 is given twice"),
        ("calm.json --set raft.heartbeat_ms", "`raft.heartbeat_ms` sets nothing; allowed is PATH=VALUES"),
        ("calm.json --set raft.heartbeat_ms=fast", "`raft.heartbeat_ms` is fast; allowed is a number"),
        (
            "calm.json --set events[0].time=1",
            "calm.json: `events[0].time`: the scenario has no `events`; --event adds some",
        ),
        ("hard.json --set events[3].time=1", "hard.json: `events[3].time`: the list `events` has 3 items"),
        (
            "calm.json --set a..b=1",
            "`a..b` is not a path; allowed is a key as in drops, or a path as in events[0].time",
        ),
        ("calm.json --set seed=1,2", "`seed` cannot be swept; the seeds of a sweep are given with --seeds"),
        ("calm.json --set drops=0.1 --drops 0.2", "`drops` is swept twice; allowed is once"),
        ("calm.json --set mix=0,1+drops=0", "`mix` has 2 values and `drops` has 1; allowed is the same number"),
        ("calm.json --partition easy,soft", "`partition` is soft; allowed is none, easy, hard, flapping"),
        ("calm.json --matrix nowhere.json", "nowhere.json: no such file, and no built-in "),
        ("calm.json --matrix narrow.json", "narrow.json: `matrix` is [[0]]; allowed is a list of 2 to 101 rows"),
        (
            "calm.json --matrix wide.json",
            "calm.json with matrix=wide: `matrix` is a list of 4; allowed is a list of 3 rows",
        ),
        ("calm.json --seeds 5..5", "invalid value '5..5' for '--seeds <A..B>': there is no seed in it"),
        ("calm.json --seeds x", "invalid value 'x' for '--seeds <A..B>': allowed is N, A..B"),
        ("calm.json --protocol paxos", "invalid value 'paxos' for '--protocol <NAMES>'"),
        ("calm.json --protocol raft,broadcast,raft", "`raft` is swept twice; allowed is once"),
        ("calm.json --without sleep", "invalid value 'sleep' for '--without <RULE>'"),
        ("calm.json --jobs 0", "invalid value '0' for '--jobs <N>'"),
        (
            "calm.json --without vote-once --protocol broadcast",
            "unknown mutant `vote-once` of broadcast, which has no mutants",
        ),
        (
            "calm.json --without vote-once --protocol raft,broadcast",
            "unknown mutant `vote-once` of broadcast, which has no mutants",
        ),
        (
            "calm.json other/calm.json",
            "other/calm.json: is named `calm`, and so is calm.json; allowed is each name once",
        ),
        ("calm.json calm.json", "calm.json: is named `calm`, and so is calm.json; allowed is each name once"),
        ("empty", "empty: holds no scenarios (*.json)"),
        ("nowhere.json", "nowhere.json: no such file, and no built-in "),
        (
            "all -c chaoss",
            "chaoss: no such file, and no built-in scenario has this name (`seedbed scenarios` lists them); did you mean \
             `chaos`?",
        ),
        ("calm.json broken.json", "broken.json: line 1, column 15: cannot be read as JSON: "),
        ("wrong-axes.json", "wrong-axes.json: `axes[0].drops` is true; allowed is a list of numbers and texts"),
        (
            "wrong-protocols.json",
            "wrong-protocols.json: `protocols[0]` is \"paxos\"; allowed is raft, broadcast, node, cluster",
        ),
        ("future.json", "future.json: `seedbed_sweep` is 2; allowed is the whole number 1"),
        ("none.json", "the grid is empty: it has no scenario"),
        ("fine.json calm.json", "fine.json: is a sweep file; allowed is one sweep file, without other names"),
        (
            "calm.json --set raft.election_timeout_min_ms=1000+raft.election_timeout_max_ms=900",
            "calm.json with raft.election_timeout_min_ms=1000, raft.election_timeout_max_ms=900: `raft.election_timeout",
        ),
    ] {
        folder.assert_refused(&format!("sweep {words} {OUTPUTS}"), error);
    }
    for (words, hint) in [
        ("--set raft.hartbeat_ms=50", "did you mean `raft.heartbeat_ms`?"),
        ("--set drosp=0.1", "did you mean `drops`?"),
        ("--set events[0].tme=1", "did you mean `time`?"),
    ] {
        let error = folder.assert_refused(&format!("sweep hard.json {words} {OUTPUTS}"), "");
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn too_much_is_refused_before_anything_is_begun() {
    let folder = folder();
    let many = "--seeds 0..1000000001";
    let error = "the sweep has 1000000001 runs, more than 1000000000; add --yes if that is meant";
    folder.assert_refused(&format!("sweep calm.json {many} {OUTPUTS}"), error);
    let all = format!("sweep calm.json --drops 0,0.1 --seeds 0..={} {OUTPUTS}", u64::MAX);
    folder.assert_refused(&all, "the sweep has 18446744073709551615 runs, ");
    let cells = "--drops 0:1:0.001 --mix 0:1:0.01";
    let error = "the grid has 101101 cells; allowed is up to 100000, with any number of seeds each";
    folder.assert_refused(&format!("sweep calm.json {cells} --yes {OUTPUTS}"), error);
    let huge = "--set events[0].time=0:1:0.00001 --drops 0:1:0.00001 --mix 0:1:0.00001";
    folder
        .assert_refused(&format!("sweep hard.json {huge} {OUTPUTS}"), "values of `drops`: there are more than 100000");
    // With --yes it begins: one part of a billion and one runs.
    let done = folder.sweep(&format!("calm.json {many} --yes --shard 100000/100000 --save plan.json"));
    assert_eq!((done.out.as_str(), folder.is_there("plan.json")), ("", true), "it is only written down");
    let mut command = folder.command(&format!("sweep calm.json {many} --yes --csv -"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("seedbed starts");
    let mut out = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    for start in ["run,scenario,", "0,calm,", "1,calm,"] {
        line.clear();
        std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
        assert!(line.starts_with(start), "{line}");
    }
    drop(out);
    assert_eq!(child.wait().expect("it ends").code(), Some(141), "nobody reads any more");
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_first_run() {
    let folder = folder();
    folder.write("in/matrix.json", "[[0,0,0],[0,0,0],[0,0,0]]");
    folder.write("sweep.json", r#"{"seedbed_sweep": 1, "scenarios": ["calm.json"]}"#);
    std::os::unix::fs::symlink("calm.json", folder.path("link.csv")).expect("a link");
    std::fs::create_dir(folder.path("folder.svg")).expect("a folder");
    let replaces = |name: &str| format!("{name}: is a file that this command reads; the result would replace it");
    for option in ["--csv", "--json", "--latencies", "--messages", "--summary", "--junit", "--plot", "--cdf"] {
        // Pictures want their ending.
        let end = if ["--plot", "--cdf"].contains(&option) { ".svg" } else { "" };
        let other = if option == "--csv" { "--json old.json" } else { "--csv new.csv" };
        let nowhere = format!("no/where{end}: cannot be written: No such file or directory");
        folder.assert_refused(&format!("sweep calm.json {other} {option} no/where{end}"), &nowhere);
        folder.assert_refused(
            &format!("sweep calm.json {other} {option} folder.svg"),
            "folder.svg: cannot be written: is a directory",
        );
        folder.assert_refused(&format!("sweep calm.json {option} calm.json"), &replaces("calm.json"));
        folder.assert_refused(&format!("sweep calm.json {option} in/../calm.json"), &replaces("in/../calm.json"));
        folder.assert_refused(&format!("sweep calm.json {option} link.csv"), &replaces("link.csv"));
        folder.assert_refused(&format!("sweep sweep.json {option} sweep.json"), &replaces("sweep.json"));
        let matrix = format!("sweep calm.json --matrix in/matrix.json {option} in/matrix.json");
        folder.assert_refused(&matrix, &replaces("in/matrix.json"));
    }
    for (words, error) in [
        ("--csv a --json a", "--csv and --json cannot be written to the same place"),
        ("--csv a --latencies in/../a", "--csv and --latencies cannot be written to the same place"),
        ("--csv old.csv --summary ./old.csv", "--csv and --summary cannot be written to the same place"),
        ("--csv a.csv --json a.csv.part", "--json and --csv cannot be written to the same place"),
        ("--csv - --json -", "--csv and --json cannot be written to the same place"),
        ("--plot p.svg --cdf p.svg", "--plot and --cdf cannot be written to the same place"),
        ("--csv - --github", "--csv and --github cannot be written to the same place"),
        ("--summary -", "-: cannot be written: this cannot be standard output; allowed is a file"),
        ("--junit -", "-: cannot be written: this cannot be standard output; allowed is a file"),
        ("--save -", "-: cannot be written: this cannot be standard output; allowed is a file"),
        ("--plot p.gif", "p.gif: cannot be drawn: allowed is a file whose name ends in .svg or .png"),
        ("--plot p", "p: cannot be drawn: allowed is a file whose name ends in .svg or .png"),
        ("--cdf p.pdf", "p.pdf: cannot be drawn: allowed is a file whose name ends in .svg or .png"),
        ("--metrics messages,sped", "--metrics: `sped` is not a numeric column; allowed is tier_messages, "),
        ("--metrics findings", "--metrics: `findings` is not a numeric column; allowed is tier_messages, "),
        ("--save calm.json", "calm.json: is a file that this command reads; the result would replace it"),
        ("--save no/plan.json", "no/plan.json: cannot be written: No such file or directory"),
        ("--shard 9/8", "invalid value '9/8' for '--shard <K/N|auto>': allowed is K/N with K from 1 to N"),
        ("--shard 0/8", "invalid value '0/8' for '--shard <K/N|auto>': allowed is K/N with K from 1 to N"),
        ("--shard auto", "--shard auto: neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set"),
        ("--shard auto/8", "--shard auto: neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set"),
        ("--resume", "the following required arguments were not provided:"),
        ("--resume --latencies l.csv", "the following required arguments were not provided:"),
        ("--resume --csv -", "-: cannot be resumed: it keeps nothing of an earlier attempt; allowed is a file"),
        ("--resume --csv new.csv --cdf c.svg", "the argument '--resume' cannot be used with '--cdf <FILE>'"),
    ] {
        // The shared part writes other files, which must not be made either.
        let others = if words.contains("new.csv") || words.contains("--resume") { "" } else { "--messages new-m.csv" };
        let before = folder.content();
        let done = folder.run(&format!("sweep calm.json --seeds 0..2 {words} {others}"));
        assert_eq!(done.code, 2, "{words}: {}", done.err);
        assert!(done.err.starts_with(&format!("error: {error}")), "{words}: {}", done.err);
        assert!(!done.out.contains("calm"), "{words}: {}", done.out);
        assert!(folder.content() == before, "{words}: {:?}", folder.content().keys());
    }
}

#[test]
fn a_pipe_is_written_to_and_not_replaced() {
    let folder = folder();
    folder.sweep("calm.json --seeds 0..2 --csv rows.csv --summary summary.csv");
    for (option, expected) in [("--csv", "rows.csv"), ("--summary", "summary.csv")] {
        assert!(std::process::Command::new("mkfifo").arg(folder.path("pipe")).status().expect("mkfifo").success());
        // Open for both ends, it neither waits for the other one nor breaks, and holds what is written.
        let mut pipe = File::options().read(true).write(true).open(folder.path("pipe")).expect("a pipe");
        folder.sweep(&format!("calm.json --seeds 0..2 {option} pipe"));
        assert!(!std::fs::metadata(folder.path("pipe")).expect("it is there").is_file());
        // So that there is something to read in any case.
        pipe.write_all(b"end").expect("room");
        let mut bytes = vec![0; 1 << 16];
        let length = pipe.read(&mut bytes).expect("bytes");
        assert!(bytes[..length] == [&folder.read(expected)[..], b"end"].concat(), "{option}");
        assert!(!folder.is_there("pipe.part"));
        folder.remove("pipe");
    }
}

#[test]
fn a_run_takes_one_value_of_each() {
    let folder = folder();
    let error = "`drops` has 2 values; allowed is one for a run, and `seedbed sweep` takes several";
    folder.assert_refused("run calm.json --seed 1 --drops 0,0.1 --json new.json --csv old.csv", error);
    let error = "`mix` has 3 values; ";
    folder.assert_refused("run calm.json --seed 1 --set mix=0:1:0.5+drops=0:0.2:0.1 --csv new.csv", error);
    folder.assert_refused("run calm.json --seed 1 --set drosp=0.1 --csv new.csv", "unknown path `drosp`");
    let error = "unknown mutant `vote-once` of broadcast, which has no mutants";
    folder.assert_refused("run calm.json --seed 1 --without vote-once --protocol broadcast --csv new.csv", error);
    let program = format!("run {} --seed 1 --set raft.heartbeat_ms=50 -r ./replica", shipped("simple-1.json"));
    folder.assert_refused(&program, "`raft.heartbeat_ms` is a parameter of simulated replicas; a program has its own");
}

#[test]
fn a_closed_standard_output_leaves_nothing_that_is_in_the_way() {
    let folder = Folder::new();
    let mut command = folder.command("sweep calm.json --seeds 0..2 --csv rows.csv");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = command.stdout(writer).stderr(Stdio::null()).status().expect("seedbed starts");
    assert_eq!(status.code(), Some(141));
    assert!(!folder.is_there("rows.csv.part") && !folder.is_there("rows.csv"));
}
