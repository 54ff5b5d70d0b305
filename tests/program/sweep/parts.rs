//! Sweeps that are shared out, and what `seedbed merge` makes of their parts.

use super::{Folder, KINDS, row_files};

/// 14 runs: of eight parts, some have two and some one.
const GRID: &str = "calm.json hard.json --seeds 0..7";

/// The parts of a sweep, with all files of each.
fn shared_out(folder: &Folder, grid: &str, count: u64) {
    for part in 1..=count {
        folder.sweep(&format!("{grid} --shard {part}/{count} {}", row_files(&format!("part-{part}-"))));
    }
}

/// The names of the parts of one kind, as a shell would list them.
fn parts(kind: &str, order: impl IntoIterator<Item = u64>) -> String {
    order.into_iter().map(|part| format!("part-{part}-{kind}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn merged_parts_are_the_undivided_files_and_tell_the_same() {
    let folder = Folder::new();
    let statistics = "--summary s.csv --junit j.xml --plot p.png";
    let whole = folder.sweep(&format!("{GRID} {} {statistics}", row_files("whole-")));
    let told = ["s.csv", "j.xml", "p.png"].map(|name| folder.read(name));
    shared_out(&folder, GRID, 8);
    for kind in KINDS {
        for order in [vec![1, 2, 3, 4, 5, 6, 7, 8], vec![5, 8, 1, 7, 2, 6, 4, 3]] {
            let statistics = if kind == "csv" { statistics } else { "" };
            let done = folder.run(&format!("merge {} -o merged {statistics}", parts(kind, order)));
            assert_eq!((done.code, done.err.as_str()), (0, ""), "{kind}");
            assert!(folder.read("merged") == folder.read(&format!("whole-{kind}")), "{kind}");
            assert_eq!(done.out, if kind == "csv" { whole.table() } else { "" }, "{kind}");
            folder.remove("merged");
        }
        let done = folder.run(&format!("merge {} --output -", parts(kind, 1..=8)));
        assert_eq!((done.code, done.out), (0, folder.text(&format!("whole-{kind}"))), "{kind}");
    }
    assert!(["s.csv", "j.xml", "p.png"].map(|name| folder.read(name)) == told, "pictures and statistics, too");
    let again = folder.run("merge whole-csv --summary again.csv");
    assert_eq!((again.code, again.out.as_str()), (0, whole.table()), "a file of the whole stands alone");
    assert!(folder.read("again.csv") == told[0]);
    let done = folder.run(&format!("merge {}", parts("csv", 1..=8)));
    assert_eq!((done.code, done.out.as_str()), (0, whole.table()), "without any file");
}

#[test]
fn parts_without_runs_are_parts_all_the_same() {
    let folder = Folder::new();
    folder.sweep(&format!("calm.json --seeds 0..3 {}", row_files("whole-")));
    shared_out(&folder, "calm.json --seeds 0..3", 5);
    for kind in KINDS {
        let done = folder.run(&format!("merge {} -o merged", parts(kind, 1..=5)));
        assert_eq!(done.code, 0, "{kind}: {}", done.err);
        assert!(folder.read("merged") == folder.read(&format!("whole-{kind}")), "{kind}");
    }
    let empty = folder.sweep("calm.json --seeds 0..3 --shard 5/5 --plot p.svg --summary s.csv --junit j.xml");
    assert!(empty.out.contains("\n0 of 0 runs passed, in 0 cells\n"), "{}", empty.out);
}

#[test]
fn a_merge_of_failed_runs_fails_and_names_them() {
    let folder = Folder::new();
    let failing = "hard.json --protocol broadcast --seeds 0..4";
    let whole = folder.run(&format!("sweep {failing} --csv whole --failures repros"));
    assert_eq!(whole.code, 1, "{}", whole.out);
    for part in 1..=2 {
        folder.run(&format!("sweep {failing} --shard {part}/2 --csv part-{part} --failures repros"));
    }
    let done = folder.run("merge part-1 part-2 -o merged --junit j.xml --github");
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(folder.read("merged") == folder.read("whole"));
    assert!(folder.text("j.xml").contains("seedbed run hard.json --seed 0 --protocol broadcast"));
    // Where the repro files are, rows do not say.
    let without_replays: String =
        whole.table().lines().filter(|line| !line.contains("    Replay: ")).map(|line| format!("{line}\n")).collect();
    assert!(done.out.starts_with(&without_replays), "{}\n{without_replays}", done.out);
    assert_eq!(done.out[without_replays.len()..].matches("::error title=").count(), 4, "{}", done.out);
}

#[test]
fn files_that_make_no_whole_are_refused_by_name_and_nothing_is_written() {
    let folder = Folder::new();
    shared_out(&folder, GRID, 3);
    for (grid, name) in [
        ("calm.json hard.json --seeds 0..8 --shard 2/3", "seeds"),
        ("calm.json hard.json --seeds 1..8 --shard 2/3", "others"),
        ("calm.json hard.json --drops 0.05 --seeds 0..7 --shard 2/3", "values"),
        ("calm.json hard.json --set raft.heartbeat_ms=500 --seeds 0..7 --shard 2/3", "settings"),
        ("hard.json calm.json --seeds 0..7 --shard 2/3", "order"),
        ("calm.json hard.json --seeds 0..7 --shard 2/4", "count"),
    ] {
        folder.sweep(&format!("{grid} --csv {name}"));
    }
    // The same name, but other content.
    let calm = folder.text("calm.json");
    folder.write("calm.json", calm.replace("\"requests\": 30", "\"requests\": 31"));
    folder.sweep(&format!("{GRID} --shard 2/3 --csv content"));
    folder.write("calm.json", calm);
    folder.write("garbage", "no rows\nat all\n");
    folder.write("empty", "");
    folder.write("binary", [0xff, 0x00, b'\n', 0xfe]);
    let text = folder.text("part-2-csv");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without = |place: usize| lines[..place].concat() + &lines[place + 1..].concat();
    folder.write("torn", &text[..text.len() - 60]);
    folder.write("half", &text[..text.len() / 2]);
    folder.write("beheaded", without(0));
    folder.write("hole", without(3));
    folder.write("cut", without(lines.len() - 1));
    folder.write("doubled", lines[..4].concat() + &lines[3..].concat());
    folder.write("more", text.clone() + lines[3]);
    folder.write("edited", text.replacen("true", "tru", 1));

    let one = "part-1-csv";
    let no_part = "is not a part of a sweep, as `seedbed sweep --shard` writes it";
    let torn = "is not complete; the same command with --resume continues it";
    for (files, error) in [
        ("part-1-csv part-3-csv", "1 of 3 parts missing: 2/3".to_owned()),
        ("part-2-csv", "2 of 3 parts missing: 1/3, 3/3".to_owned()),
        ("part-1-csv part-2-csv part-2-csv", "part-2-csv: is part 2/3, and so is part-2-csv".to_owned()),
        ("part-3-csv part-1-csv part-1-csv part-2-csv", "part-1-csv: is part 1/3, and so is part-1-csv".to_owned()),
        ("part-1-csv seeds part-3-csv", format!("seeds: does not belong to {one}: it is of sweep ")),
        ("part-1-csv others part-3-csv", format!("others: does not belong to {one}: it is of sweep ")),
        ("part-1-csv values part-3-csv", format!("values: does not belong to {one}: it is of sweep ")),
        ("part-1-csv settings part-3-csv", format!("settings: does not belong to {one}: it is of sweep ")),
        ("part-1-csv order part-3-csv", format!("order: does not belong to {one}: it is of sweep ")),
        ("part-1-csv content part-3-csv", format!("content: does not belong to {one}: it is of sweep ")),
        (
            "part-1-csv count part-3-csv",
            format!("count: does not belong to {one}: it is part 2/4, the other one part 1/3"),
        ),
        (
            "part-1-csv part-2-latencies part-3-csv",
            format!("part-2-latencies: does not belong to {one}: it has other columns"),
        ),
        ("part-1-csv part-2-json part-3-csv", format!("part-2-json: does not belong to {one}: it has other columns")),
        (
            "part-1-messages part-2-latencies part-3-messages",
            "part-2-latencies: does not belong to part-1-messages: it has other columns".to_owned(),
        ),
        ("part-1-csv garbage part-3-csv", format!("garbage: {no_part}")),
        ("garbage", format!("garbage: {no_part}")),
        ("empty", format!("empty: {no_part}")),
        ("part-1-csv binary part-3-csv", format!("binary: {no_part}")),
        ("calm.json", format!("calm.json: {no_part}")),
        ("part-1-csv beheaded part-3-csv", format!("beheaded: {no_part}")),
        ("part-1-csv torn part-3-csv", format!("torn: {torn}")),
        ("part-1-csv half part-3-csv", format!("half: {torn}")),
        ("part-1-csv cut part-3-csv", format!("cut: {torn}")),
        ("part-1-csv hole part-3-csv", "hole: line 4: there is run 7 where run 4 should be".to_owned()),
        ("part-1-csv doubled part-3-csv", "doubled: line 5: run 4 is there 2 times".to_owned()),
        ("part-1-csv more part-3-csv", format!("more: line {}: there is more after the end", lines.len() + 1)),
        (
            "part-1-csv edited part-3-csv",
            "edited: line 3: row 2: `passed` is \"tru\", which no sweep writes".to_owned(),
        ),
        ("part-1-csv nowhere part-3-csv", "nowhere: cannot be read: No such file".to_owned()),
        ("part-1-csv . part-3-csv", ".: cannot be read: Is a directory".to_owned()),
    ] {
        // A file that is there stays as it is, and one that is not there is not made.
        folder.write("old", "what was there");
        for output in ["old", "new"] {
            folder.assert_refused(&format!("merge {files} -o {output} --summary s.csv --plot p.svg"), &error);
        }
    }
}

#[test]
fn a_merge_writes_over_none_of_its_parts_and_no_file_twice() {
    let folder = Folder::new();
    shared_out(&folder, GRID, 2);
    std::os::unix::fs::symlink("part-1-csv", folder.path("link")).expect("a link");
    let merge = format!("merge {}", parts("csv", 1..=2));
    for output in ["-o part-2-csv", "-o ./part-2-csv", "-o link", "--summary part-1-csv", "-o m --plot part-1-csv"] {
        let error = folder.assert_refused(&format!("{merge} {output}"), "");
        assert!(error.contains("the result would replace it"), "{output}: {error}");
    }
    for (options, error) in [
        ("-o m --summary m", "--summary and --output cannot be written to the same place"),
        ("-o - --github", "--github and --output cannot be written to the same place"),
        ("-o no/m", "no/m: cannot be written: No such file or directory"),
        ("-o .", ".: cannot be written: "),
        ("-o m --plot p.gif", "p.gif: cannot be drawn: allowed is a file whose name ends in .svg or .png"),
        ("-o m --junit no/j.xml", "no/j.xml: cannot be written: No such file or directory"),
        ("-o m --metrics trace", "--metrics: `trace` is not a numeric column; allowed is tier_messages, "),
    ] {
        folder.assert_refused(&format!("{merge} {options}"), error);
    }
    for (kind, option) in [("json", "--summary s.csv"), ("latencies", "--metrics messages"), ("messages", "--github")] {
        let name = option.split(' ').next().unwrap_or_default();
        let merge = format!("merge {} -o m {option}", parts(kind, 1..=2));
        folder.assert_refused(&merge, &format!("{name} applies to CSV rows only; these are files of another kind"));
    }
}

#[test]
fn a_scheduler_says_which_part_is_to_be_done() {
    let folder = Folder::new();
    let slurm = |task: &'static str, first: &'static str, count: &'static str| {
        [("SLURM_ARRAY_TASK_ID", task), ("SLURM_ARRAY_TASK_MIN", first), ("SLURM_ARRAY_TASK_COUNT", count)].to_vec()
    };
    for (shard, variables, explicit) in [
        ("auto", slurm("0", "0", "3"), "1/3"),
        ("auto", slurm("12", "10", "3"), "3/3"),
        ("auto/5", slurm("2", "1", "3"), "2/5"),
        ("auto/3", vec![("JOB_COMPLETION_INDEX", "1")], "2/3"),
    ] {
        folder.sweep(&format!("{GRID} --shard {explicit} --force {}", row_files("explicit-")));
        let mut command = folder.command(&format!("sweep {GRID} --shard {shard} --force {}", row_files("auto-")));
        let done = super::Done::of(command.envs(variables).output());
        assert_eq!(done.code, 0, "{}", done.err);
        for kind in KINDS {
            assert!(folder.read(&format!("auto-{kind}")) == folder.read(&format!("explicit-{kind}")), "{explicit}");
        }
    }
    let part = |shard: &str, variable: (&str, &str)| {
        let mut command = folder.command(&format!("sweep {GRID} --shard {shard} --csv new.csv"));
        super::Done::of(command.env(variable.0, variable.1).output())
    };
    for (shard, variable, error) in [
        ("auto", ("JOB_COMPLETION_INDEX", "1"), "--shard auto: JOB_COMPLETION_INDEX does not say of how many"),
        ("auto/3", ("JOB_COMPLETION_INDEX", "3"), "--shard auto: there is no such part of 3"),
        ("auto", ("SLURM_ARRAY_TASK_ID", "1"), "--shard auto: SLURM_ARRAY_TASK_COUNT is not set"),
        ("auto", ("SLURM_ARRAY_TASK_ID", "one"), "--shard auto: SLURM_ARRAY_TASK_ID is \"one\"; allowed is a whole"),
    ] {
        part(shard, variable).assert_error(shard, error);
    }
    assert!(!folder.is_there("new.csv.part"));
}
