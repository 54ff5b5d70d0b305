//! Which runs a sweep has: scenarios, values, protocols, seeds, and the file that holds all that.

use std::collections::BTreeMap;

use super::{Folder, KINDS, row_files};

type Rows = Vec<BTreeMap<String, String>>;

/// The different values of these columns, in the order in which they come.
fn cells(rows: &Rows, columns: &[&str]) -> Vec<String> {
    let mut cells: Vec<String> = Vec::new();
    for row in rows {
        let cell = columns.iter().map(|column| row[*column].as_str()).collect::<Vec<_>>().join(" ");
        if cells.last() != Some(&cell) {
            cells.push(cell);
        }
    }
    cells
}

#[test]
fn a_saved_sweep_is_the_same_sweep() {
    let folder = Folder::new();
    folder.write("m.json", "[[0,0,0],[0,0,0.5],[0,0.5,0]]");
    folder.write("few/calm.json", super::CALM);
    folder.write("few/other.json", super::HARD);
    for (place, (words, code)) in [
        ("calm.json --drops 0:0.2:0.1 --seeds 4..7", 0),
        ("hard.json calm.json --protocol broadcast,raft --set raft.heartbeat_ms=300,650 --seeds 2", 1),
        ("hard.json --without answer-after-commit --partition none,hard --seeds 3..=5", 1),
        ("calm.json --set requests=20,30+mix=0,0.5 --matrix m.json --seeds 0..2", 0),
        ("few --seeds 0..2 --set wait=1,2", 0),
        ("hard.json", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let saved = folder.run(&format!("sweep {words} --save saved-{place}"));
        assert_eq!((saved.code, saved.out.as_str(), saved.err.as_str()), (0, "", ""), "{words}");
        let plain = folder.run(&format!("sweep {words} --force {}", row_files("a-")));
        let again = folder.run(&format!("sweep saved-{place} --force {}", row_files("b-")));
        assert_eq!((plain.code, again.code), (code, code), "{words}: {}{}", plain.out, plain.err);
        assert_eq!(plain.out, again.out, "{words}");
        for kind in KINDS {
            assert!(folder.read(&format!("a-{kind}")) == folder.read(&format!("b-{kind}")), "{words}");
        }
        // The first line repeats it, too.
        let first = plain.out.lines().next().expect("a line");
        assert_eq!(folder.shell(first).out, plain.out, "{first}");
        let resaved = folder.sweep(&format!("saved-{place} --save resaved"));
        assert_eq!((resaved.out.as_str(), folder.read("resaved")), ("", folder.read(&format!("saved-{place}"))));
    }
}

#[test]
fn the_command_line_counts_more_than_the_file() {
    let folder = Folder::new();
    folder.sweep("calm.json --drops 0,0.1 --mix 0.5 --seeds 0..3 --save s.json");
    let sweep = |words: &str| folder.sweep(&format!("{words} --csv x.csv --force")).out;
    for (more, same) in [
        ("--seeds 7..9", "calm.json --drops 0,0.1 --mix 0.5 --seeds 7..9"),
        ("--drops 0.2", "calm.json --drops 0.2 --mix 0.5 --seeds 0..3"),
        ("--mix 0,1", "calm.json --drops 0,0.1 --mix 0,1 --seeds 0..3"),
        ("--set mix=0.25", "calm.json --drops 0,0.1 --mix 0.25 --seeds 0..3"),
        ("--requests 50", "calm.json --drops 0,0.1 --mix 0.5 --requests 50 --seeds 0..3"),
    ] {
        let expected = sweep(same);
        let rows = folder.read("x.csv");
        assert_eq!(sweep(&format!("s.json {more}")), expected, "{more}");
        assert!(folder.read("x.csv") == rows, "{more}");
    }
    folder.run("sweep s.json --protocol broadcast --csv x.csv --force");
    assert_eq!(cells(&folder.rows("x.csv"), &["protocol"]), ["broadcast"]);
    folder.run("sweep s.json --without vote-once --csv x.csv --force");
    assert_eq!(cells(&folder.rows("x.csv"), &["protocol"]), ["raft without vote-once"]);
}

#[test]
fn files_folders_and_all_are_taken_in_order() {
    let folder = Folder::new();
    for name in ["scenarios/simple-1", "scenarios/crash-1", "scenarios/simple-2", "mine/b", "mine/a"] {
        folder.write(&format!("{name}.json"), super::CALM);
    }
    folder.write("mine/readme.txt", "no scenario");
    folder.write("scenarios/deeper/c.json", super::CALM);
    for (words, expected) in [
        ("all", "simple-1 simple-2 crash-1"),
        ("scenarios", "simple-1 simple-2 crash-1"),
        ("mine", "a b"),
        ("hard.json mine all calm.json", "hard a b simple-1 simple-2 crash-1 calm"),
        ("./calm.json", "calm"),
    ] {
        let done = folder.sweep(&format!("{words} --seeds 0..2 --csv x.csv --junit j.xml --force"));
        assert_eq!(cells(&folder.rows("x.csv"), &["scenario"]).join(" "), expected);
        let count = expected.split(' ').count();
        let cells = if count == 1 { "cell" } else { "cells" };
        let total = format!("\n{0} of {0} runs passed, in {count} {cells}\n", 2 * count);
        assert!(done.out.contains(&total), "{words}: {}", done.out);
    }
}

#[test]
fn cells_come_with_the_scenario_slowest_and_the_seed_fastest() {
    let folder = Folder::new();
    let words = "hard.json calm.json --set raft.heartbeat_ms=300,650 --drops 0,0.1 --protocol raft,broadcast";
    let done = folder.run(&format!("sweep {words} --seeds 5..8 --csv x.csv"));
    let rows = folder.rows("x.csv");
    let mut expected = Vec::new();
    for scenario in ["hard", "calm"] {
        for drops in ["0", "0.1"] {
            for heartbeat in ["300", "650"] {
                for protocol in ["raft", "broadcast"] {
                    for seed in 5..8 {
                        expected.push(format!("{scenario} {drops} {heartbeat} {protocol} {seed}"));
                    }
                }
            }
        }
    }
    let found = cells(&rows, &["scenario", "drops", "raft.heartbeat_ms", "protocol", "seed"]);
    assert_eq!(found, expected);
    // Naive replication loses writes where messages are lost.
    assert_eq!(done.code, 1, "{}", done.err);
    let passed = |protocol: &str| {
        let lossy = rows.iter().filter(|row| row["scenario"] == "hard" && row["protocol"] == protocol);
        lossy.filter(|row| row["passed"] == "true").count()
    };
    assert_eq!((passed("raft"), passed("broadcast")), (12, 0));
}

#[test]
fn ready_made_partitions_do_what_their_names_say() {
    let folder = Folder::new();
    // Their times are parts of the lifetime, also if that is changed, too.
    folder.sweep("hard.json --partition none,easy,hard,flapping --set lifetime=60 --seeds 0..6 --csv x.csv");
    let rows = folder.rows("x.csv");
    assert_eq!(cells(&rows, &["partition"]), ["none", "easy", "hard", "flapping"]);
    let mean = |kind: &str, column: &str| {
        let of_kind = rows.iter().filter(|row| row["partition"] == kind);
        of_kind.map(|row| row[column].parse::<f64>().expect("a number")).sum::<f64>() / 6.0
    };
    // A leader without its quorum is replaced; one that has it stays. The leader is killed in all of them.
    assert!(mean("hard", "elections") > mean("none", "elections"));
    assert!(mean("flapping", "elections") > mean("hard", "elections"));
    assert!(mean("easy", "elections") < mean("hard", "elections"));
    assert!(mean("easy", "messages_dropped") > mean("none", "messages_dropped"));
    assert!(mean("hard", "write_gap") > mean("none", "write_gap"));
}

#[test]
fn matrices_are_named_by_their_files() {
    let folder = Folder::new();
    folder.write("in/whole.json", "[[0,0,0],[0,0,0],[0,0,0]]");
    folder.write("in/it's one.json", "[[0,0,1],[0,0,1],[1,1,0]]");
    let mut command = folder.command("sweep calm.json --seeds 0..3 --csv x.csv --matrix");
    let done = super::Done::of(command.arg("in/whole.json,in/it's one.json").output());
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    let rows = folder.rows("x.csv");
    assert_eq!(cells(&rows, &["matrix"]), ["whole", "it's one"]);
    for row in &rows {
        assert_eq!(row["messages_dropped"] == "0", row["matrix"] == "whole", "{row:?}");
        let repeated = folder.shell(&row["command"]);
        assert!(repeated.out.ends_with(&format!("\nTrace: {}\n", row["trace"])), "{}", repeated.out);
    }
    // What a file of the same name holds counts, not its name.
    folder.write("in/whole.json", "[[0,0.5,0],[0,0,0],[0,0,0]]");
    folder.sweep("calm.json --seeds 0..3 --csv y.csv --matrix in/whole.json");
    assert_ne!(folder.rows("y.csv")[0]["trace"], rows[0]["trace"]);
}

#[test]
fn names_that_are_tied_are_varied_together() {
    let folder = Folder::new();
    let done = folder.sweep("calm.json --set requests=10,20,30+mix=0,0.5,0.2 --seeds 0..2 --csv x.csv");
    let rows = folder.rows("x.csv");
    assert_eq!(cells(&rows, &["requests", "mix"]), ["10 0", "20 0.5", "30 0.2"]);
    assert!(done.out.starts_with("seedbed sweep calm.json --set requests=10,20,30+mix=0,0.5,0.2 --seeds 0..2\n"));
    for row in &rows {
        let requests: u64 = ["gets", "puts"].iter().map(|column| row[*column].parse::<u64>().expect("a number")).sum();
        assert_eq!((requests.to_string(), row["mix"] == "0"), (row["requests"].clone(), row["gets"] == "0"), "{row:?}");
    }
}

#[test]
fn events_are_added_and_swept_over_their_time() {
    let folder = Folder::new();
    let done = folder.sweep("calm.json --event kill_leader@1:3:1,part_hard@1+part_end@2 --seeds 7 --csv x.csv");
    assert_eq!(
        done.out.lines().next(),
        Some(
            "seedbed sweep calm.json --event kill_leader@1,kill_leader@2,kill_leader@3,part_hard@1+part_end@2 --seeds 7"
        )
    );
    let rows = folder.rows("x.csv");
    assert_eq!(cells(&rows, &["event"]), ["kill_leader@1", "kill_leader@2", "kill_leader@3", "part_hard@1+part_end@2"]);
    assert_eq!(rows[3]["command"], "seedbed run calm.json --seed 7 --event part_hard@1+part_end@2");
    for row in &rows {
        let run = folder.run(row["command"].strip_prefix("seedbed ").expect("a command"));
        assert!(run.out.ends_with(&format!("Trace: {}\n", row["trace"])), "{}", run.out);
    }
    // Given apart, they are the same events; those of the scenario stay.
    let trace = |words: &str| folder.run(&format!("run {words}")).out.lines().last().map(str::to_owned);
    assert_eq!(
        trace("calm.json --seed 7 --event part_hard@1 --event part_end@2"),
        Some(format!("Trace: {}", rows[3]["trace"]))
    );
    assert_ne!(trace("hard.json --seed 7 --event kill_leader@8"), trace("hard.json --seed 7"));
    folder.assert_refused("run calm.json --event kil_leader@1", "event `kil_leader@1`: did you mean `kill_leader`?");
    folder.assert_refused(
        "run calm.json --event heal@5",
        "calm.json with event=heal@5: `events[0].time` is 5; allowed is a number of seconds from 0 to 4 (`lifetime`)",
    );
    folder.sweep("calm.json --event kill:1@1,heal@2 --save s.json");
    assert!(folder.sweep("s.json --seeds 0..1").out.contains("\n2 of 2 runs passed, in 2 cells\n"));
}
