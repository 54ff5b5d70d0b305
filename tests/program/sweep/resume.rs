//! Sweeps that are interrupted, and what `--resume` makes of what is left of them.

use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::common::processes;

use super::{Done, Folder, KINDS, row_files};

/// About a second on one core.
const LONG_ONE: &str = "long.json --drops 0,0.05 --seeds 0..400 --jobs 1";

/// Few runs, of several cells, with failures.
const FAILING: &str = "hard.json --without answer-after-commit --drops 0,0.1 --seeds 3..8";

/// Starts a sweep, waits until a file that grows has more than so many bytes, and sends a signal. Returns how it ended
/// and what it said.
fn interrupt(folder: &Folder, words: &str, file: &str, more_than: u64, signal: Signal) -> (ExitStatus, String) {
    let mut command = folder.command(&format!("sweep {words}"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("seedbed starts");
    wait_until_larger(folder, &mut child, file, more_than);
    let output = processes::end_with(signal, child);
    (output.status, String::from_utf8(output.stderr).expect("text"))
}

#[expect(clippy::disallowed_methods, reason = "a process writes in real time")]
fn wait_until_larger(folder: &Folder, child: &mut Child, file: &str, more_than: u64) {
    let size = || std::fs::metadata(folder.path(file)).map_or(0, |found| found.len());
    while size() <= more_than {
        assert!(child.try_wait().expect("a state").is_none(), "it ended too early: {file} has {} bytes", size());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn length(folder: &Folder, file: &str) -> u64 {
    folder.read(file).len() as u64
}

#[test]
fn an_interrupted_sweep_is_gone_on_with_to_the_same_bytes_however_often_it_is_interrupted() {
    let folder = Folder::new();
    let whole = folder.sweep(&format!("{LONG_ONE} {} --summary whole-s --junit whole-x", row_files("whole-")));
    let part = format!("{LONG_ONE} {}", row_files("x-"));
    let statistics = "--summary x-s --junit x-x";
    // A loss of power in between: nothing is said, and nothing is tidied up.
    for (attempt, signal) in [Signal::INT, Signal::KILL, Signal::TERM, Signal::KILL].into_iter().enumerate() {
        let resume = if attempt == 0 { "" } else { "--resume" };
        let before = if attempt == 0 { 2_000 } else { length(&folder, "x-csv.part") + 20_000 };
        let (status, told) = interrupt(&folder, &format!("{part} {statistics} {resume}"), "x-csv.part", before, signal);
        match signal {
            Signal::KILL => assert!(status.code().is_none() && told.is_empty(), "{status} {told}"),
            _ => {
                assert_eq!(status.code(), Some(128 + signal.as_raw()), "{told}");
                let command = "seedbed sweep long.json --drops 0,0.05 --seeds 0..400";
                let again = format!("error: interrupted; this continues: {command} {} {statistics}", row_files("x-"));
                let words = |text: &str| text.split(' ').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
                assert_eq!(words(told.trim_end()), words(&format!("{again} --resume")));
                assert!(told.starts_with("error: interrupted; this continues: seedbed sweep long.json"), "{told}");
                // What is finished is not lost.
                let ends = KINDS.map(|kind| folder.text(&format!("x-{kind}.part")).ends_with('\n'));
                assert_eq!(ends, [true; 4]);
            }
        }
        for kind in KINDS {
            assert!(folder.is_there(&format!("x-{kind}.part")) && !folder.is_there(&format!("x-{kind}")), "{kind}");
        }
        assert!(!folder.is_there("x-s") && !folder.is_there("x-x"), "statistics are of whole sweeps");
    }
    let left = folder.content();
    let refused = folder.assert_refused(&format!("sweep {part}"), "x-csv.part: belongs to an interrupted sweep; ");
    assert!(refused.ends_with("pass --resume to continue it, or --force to begin again\n"), "{refused}");

    // On any number of cores.
    let done = folder.sweep(&format!("{part} {statistics} --resume").replace("--jobs 1", "--jobs 3"));
    assert_eq!(done.out, whole.out);
    for kind in KINDS.into_iter().chain(["s", "x"]) {
        assert!(folder.read(&format!("x-{kind}")) == folder.read(&format!("whole-{kind}")), "{kind}");
        assert!(!folder.is_there(&format!("x-{kind}.part")), "{kind}");
    }
    let runs: u64 = done.note().split(' ').nth(1).expect("a number").parse().expect("a number");
    assert!((1..800).contains(&runs), "only what was missing: {runs}");

    // Once more from what was left, with one file that lost all and one whose name was already given to it.
    for (path, bytes) in left {
        std::fs::write(path, bytes).expect("a file");
    }
    for kind in ["csv", "latencies", "messages"] {
        folder.remove(&format!("x-{kind}"));
    }
    folder.remove("x-json.part");
    folder.sweep(&format!("{part} --resume"));
    for kind in KINDS {
        assert!(folder.read(&format!("x-{kind}")) == folder.read(&format!("whole-{kind}")), "{kind}");
    }
}

#[test]
fn a_part_of_a_sweep_is_gone_on_with_too() {
    let folder = Folder::new();
    for kind in ["csv", "messages"] {
        folder.sweep(&format!("{LONG_ONE} --shard 2/3 --{kind} whole-{kind}"));
    }
    let part = format!("{LONG_ONE} --shard 2/3 --csv x-csv --messages x-messages");
    let (status, _) = interrupt(&folder, &part, "x-csv.part", 2_000, Signal::INT);
    assert_eq!(status.code(), Some(130));
    let error = "x-csv.part: cannot be resumed: it is of another sweep, or of another version of seedbed";
    for other in ["1/3", "2/4"] {
        folder.assert_refused(&format!("sweep {part} --resume").replace("2/3", other), error);
    }
    folder.assert_refused(&format!("sweep {part} --resume").replace("--shard 2/3", ""), error);
    folder.assert_refused(&format!("sweep {part} --resume").replace("0..400", "0..401"), error);
    let refused = folder.run("merge x-csv.part");
    refused.assert_error("merge", "2 of 3 parts missing: 1/3, 3/3");
    folder.sweep(&format!("{part} --resume"));
    for kind in ["csv", "messages"] {
        assert!(folder.read(&format!("x-{kind}")) == folder.read(&format!("whole-{kind}")), "{kind}");
    }
}

#[test]
fn whatever_is_left_of_files_they_are_gone_on_with_to_the_same_bytes_and_statistics() {
    for shard in ["", "--shard 2/2"] {
        let folder = Folder::new();
        let sweep = format!("sweep {FAILING} {shard} --summary s.csv --junit j.xml {}", row_files("x-"));
        let whole = folder.run(&sweep);
        assert_eq!(whole.code, 1, "{}", whole.err);
        let names = KINDS.map(|kind| format!("x-{kind}"));
        let files = names.each_ref().map(|name| folder.read(name));
        let statistics = ["s.csv", "j.xml"].map(|name| folder.text(name));
        assert!(statistics[1].contains("seedbed replay repros/"), "{}", statistics[1]);
        let places: Vec<Vec<usize>> = files.iter().map(|bytes| places_to_tear(bytes)).collect();
        for round in 0..places.iter().map(Vec::len).max().expect("four files") {
            for (place, (name, bytes)) in names.iter().zip(&files).enumerate() {
                folder.remove(name);
                // Not all are torn at the same run.
                let length = places[place][(round * (2 * place + 1)) % places[place].len()];
                folder.write(&format!("{name}.part"), &bytes[..length]);
            }
            let done = folder.run(&format!("{sweep} --resume"));
            assert_eq!((done.code, &done.out), (1, &whole.out), "{}", done.err);
            for (name, bytes) in names.iter().zip(&files) {
                assert!(folder.read(name) == *bytes && !folder.is_there(&format!("{name}.part")), "{name} {round}");
            }
            assert!(["s.csv", "j.xml"].map(|name| folder.text(name)) == statistics, "{round}");
        }
    }
}

/// Places in a file after which it may end: in all lines of its beginning, in its end, and in others.
fn places_to_tear(bytes: &[u8]) -> Vec<usize> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1);
    let ends: Vec<usize> = ends.collect();
    let chosen = ends.iter().copied().enumerate().filter(|(nth, _)| *nth < 3 || *nth + 3 > ends.len() || nth % 97 == 5);
    let around = chosen.flat_map(|(_, end)| [end.saturating_sub(20), end - 1, end, end + 1, end + 9]);
    let mut places: Vec<usize> = around.chain([0, 1]).filter(|place| *place <= bytes.len()).collect();
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn with_resume_a_sweep_begins_if_there_is_nothing_and_does_nothing_if_all_is_there() {
    let folder = Folder::new();
    let sweep = format!("sweep {FAILING} --summary s.csv --junit j.xml {}", row_files("x-"));
    let plain = folder.run(&sweep);
    let (content, statistics) = (KINDS.map(|kind| folder.read(&format!("x-{kind}"))), folder.text("j.xml"));
    KINDS.iter().for_each(|kind| folder.remove(&format!("x-{kind}")));
    let first = folder.run(&format!("{sweep} --resume"));
    assert_eq!((first.code, first.note(), &first.out), (1, "note: 10 runs", &plain.out));
    assert!(KINDS.map(|kind| folder.read(&format!("x-{kind}"))) == content);
    let changed = |name: &str| std::fs::metadata(folder.path(name)).expect("a file").modified().expect("a time");
    let before = KINDS.map(|kind| changed(&format!("x-{kind}")));
    folder.remove("j.xml");
    let second = folder.run(&format!("{sweep} --resume"));
    assert_eq!((second.code, second.note(), &second.out), (1, "note: 0 runs", &plain.out));
    assert!(KINDS.map(|kind| changed(&format!("x-{kind}"))) == before, "they are only read");
    assert_eq!(folder.text("j.xml"), statistics);
    // Without it, files of a whole sweep are made anew.
    let again = folder.run(&sweep);
    assert_eq!((again.note(), &again.out), ("note: 10 runs", &plain.out));
    assert!(KINDS.map(|kind| folder.read(&format!("x-{kind}"))) == content);
}

#[test]
fn files_of_another_sweep_are_refused_and_untouched() {
    let folder = Folder::new();
    folder.sweep(&format!("calm.json --drops 0,0.1 --seeds 0..3 {}", row_files("x-")));
    let whole = KINDS.map(|kind| folder.read(&format!("x-{kind}")));
    let (calm, all) = (folder.text("calm.json"), row_files("x-"));
    let another = "has another result now";
    for (words, old, new, problem) in [
        // Also with the same number of runs and the same columns.
        ("calm.json --drops 0,0.1 --seeds 1..4", "", "", another),
        ("calm.json --drops 0,0.2 --seeds 0..3", "", "", another),
        ("hard.json --drops 0,0.1 --seeds 0..3", "", "", another),
        ("calm.json --drops 0,0.1 --seeds 0..3 --protocol broadcast", "", "", another),
        ("calm.json --drops 0,0.1 --seeds 0..3 --without vote-once", "", "", another),
        ("calm.json --drops 0,0.1 --seeds 0..3", "\"requests\": 30", "\"requests\": 31", another),
        ("calm.json --drops 0,0.1 --seeds 0..3", "[100, 200, 300]", "[10, 20, 30]", another),
        ("calm.json --mix 0,0.1 --seeds 0..3", "", "", "it is of another sweep, or of another version of seedbed"),
    ] {
        folder.write("calm.json", calm.replace(old, new));
        assert!(old.is_empty() || folder.text("calm.json") != calm, "{old}");
        // Interrupted near the end, just begun, and whole.
        for (end, rows) in [(".part", usize::MAX), (".part", 2), ("", usize::MAX)] {
            // What differs in the last row only cannot be seen in the first.
            if rows == 2 && words.contains("0,0.2") {
                continue;
            }
            for (kind, bytes) in KINDS.into_iter().zip(&whole) {
                let _ = std::fs::remove_file(folder.path(&format!("x-{kind}")));
                let _ = std::fs::remove_file(folder.path(&format!("x-{kind}.part")));
                let kept = match (kind, rows) {
                    ("csv", 2) => bytes.split_inclusive(|byte| *byte == b'\n').take(2).flatten().copied().collect(),
                    ("json", 2) => bytes.split_inclusive(|byte| *byte == b'\n').take(1).flatten().copied().collect(),
                    _ => bytes.clone(),
                };
                folder.write(&format!("x-{kind}{end}"), kept);
            }
            let error = folder.assert_refused(&format!("sweep {words} {all} --resume"), "x-");
            assert!(error.contains(": cannot be resumed: ") && error.contains(problem), "{words}: {error}");
            // Asking twice does not help.
            folder.assert_refused(&format!("sweep {words} {all} --resume"), "x-");
        }
    }
}

#[test]
fn a_single_file_of_another_sweep_is_refused_and_untouched() {
    let folder = Folder::new();
    for (seeds, start) in [("0..4", "a-"), ("5..9", "b-")] {
        folder.sweep(&format!("calm.json --seeds {seeds} {}", row_files(start)));
    }
    for kind in KINDS {
        let there = KINDS.map(|other| format!("{}-{other}", if other == kind { "b" } else { "a" }));
        let options: Vec<String> = KINDS.iter().zip(&there).map(|(kind, name)| format!("--{kind} {name}")).collect();
        let sweep = format!("sweep calm.json --seeds 0..4 --resume {}", options.join(" "));
        folder.assert_refused(&sweep, &format!("b-{kind}: cannot be resumed: run 3 has another result now"));
    }
    // Nor is it lost if another file is not there yet.
    folder.rename("b-csv", "b-csv.part");
    let sweep = "sweep calm.json --seeds 0..4 --csv b-csv --json new.json --resume";
    folder.assert_refused(sweep, "b-csv: cannot be resumed: run 3 has another result now");
    for (text, problem) in [("garbage\n", "it is of another sweep"), ("run,scenario,x\n0,", "it is of another sweep")] {
        folder.write("b-csv.part", text);
        let error = folder.assert_refused(sweep, "b-csv.part: cannot be resumed: ");
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_sweep_to_standard_output_is_interrupted_at_a_whole_row() {
    let folder = Folder::new();
    let mut command = folder.command(&format!("sweep {LONG_ONE} --csv - --json x.json"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("seedbed starts");
    wait_until_larger(&folder, &mut child, "x.json.part", 2_000);
    let done = Done::of(Ok(processes::end_with(Signal::INT, child)));
    assert_eq!(done.code, 130, "{}", done.err);
    let rows = super::rows(done.out.as_bytes());
    assert!(done.out.ends_with('\n') && !rows.is_empty());
    for (run, (row, line)) in rows.iter().zip(folder.text("x.json.part").lines()).enumerate() {
        assert_eq!(row["run"], run.to_string());
        assert!(line.starts_with(&format!("{{\"run\":{run},")), "{line}");
    }
}

#[test]
fn a_scenario_that_was_changed_before_the_last_rows_is_noticed_too() {
    let folder = Folder::new();
    let words = "calm.json hard.json --seeds 0..4 --csv rows.csv";
    folder.sweep(words);
    let whole = folder.text("rows.csv");
    folder.remove("rows.csv");
    let calm = folder.text("calm.json");
    assert!(calm.contains("\"mix\": 0.4"), "{calm}");
    folder.write("calm.json", calm.replace("\"mix\": 0.4", "\"mix\": 0.3"));
    // All but the last row, which is one of the scenario that is still the same.
    let torn = whole.lines().take(8).map(|line| format!("{line}\n")).collect::<String>();
    folder.write("rows.csv.part", &torn);
    let error = "rows.csv: cannot be resumed: run 3 has another result now";
    folder.assert_refused(&format!("sweep {words} --resume"), error);
    folder.write("calm.json", &calm);
    folder.sweep(&format!("{words} --resume"));
    assert_eq!(folder.text("rows.csv"), whole);
}

#[test]
fn the_whole_file_of_another_sweep_is_replaced_only_by_force() {
    let folder = Folder::new();
    let files = row_files("x-");
    folder.sweep(&format!("calm.json --drops 0,0.1 --seeds 0..3 {files}"));
    let before = folder.content();
    for other in
        ["--drops 0,0.1 --seeds 0..2", "--drops 0,0.1 --seeds 1..4", "--drops 0,0.2 --seeds 0..3", "--seeds 0..6"]
    {
        let words = format!("sweep calm.json {other} {files}");
        folder.assert_refused(&words, "x-csv: holds the rows of another sweep; pass --force to replace it");
        for kind in &KINDS[1..] {
            let words = format!("sweep calm.json {other} --{kind} x-{kind}");
            let error = format!("x-{kind}: holds the rows of another sweep; pass --force to replace it");
            // Of details, only the number of runs may differ, which these files do not tell.
            if ["csv", "json"].contains(kind) || other != "--drops 0,0.1 --seeds 0..2" {
                folder.assert_refused(&words, &error);
            }
        }
    }
    assert!(folder.content() == before);
    // The same sweep makes the same file again.
    folder.sweep(&format!("calm.json --drops 0,0.1 --seeds 0..3 {files}"));
    assert!(folder.content() == before);
    folder.sweep(&format!("calm.json --seeds 0..2 {files} --force"));
    assert_eq!(folder.rows("x-csv").len(), 2);
    folder.write("notes", "mine");
    folder.sweep("calm.json --seeds 0..2 --csv notes");
}

#[test]
fn force_begins_again_what_was_interrupted_and_a_running_sweep_is_left_alone() {
    let folder = Folder::new();
    folder.write("x.csv.part", "what is left");
    folder.sweep("calm.json --seeds 0..2 --csv x.csv --force");
    assert_eq!((folder.rows("x.csv").len(), folder.is_there("x.csv.part")), (2, false));
    let file = std::fs::File::create(folder.path("y.csv.part")).expect("a file");
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    for option in ["", "--resume", "--force"] {
        let words = format!("sweep calm.json --seeds 0..2 --csv y.csv {option}");
        folder.assert_refused(&words, "y.csv.part: is being written by another process");
    }
}

#[test]
fn rows_go_where_a_link_leads() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("disk")).expect("a folder");
    std::os::unix::fs::symlink("disk/rows.csv", folder.path("x.csv")).expect("a link");
    for _ in 0..2 {
        folder.sweep("calm.json --seeds 0..2 --csv x.csv --resume --summary disk/s.csv");
        assert!(folder.path("x.csv").is_symlink());
        assert_eq!((folder.rows("disk/rows.csv").len(), folder.is_there("x.csv.part")), (2, false));
    }
}
