//! `seedbed explore` and `seedbed zoo` as processes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Output, Stdio};

use crate::common::processes;
use rustix::process::Signal;

use tempfile::TempDir;

fn seedbed(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = processes::seedbed();
    command.current_dir(folder.path()).args(arguments).output().expect("seedbed starts")
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary directory")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("standard output is text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("standard error is text")
}

#[test]
fn what_an_exploration_prints_is_a_function_of_its_seeds_on_any_number_of_cores() {
    let folder = folder();
    let one = seedbed(&folder, &["explore", "--seeds", "100..1700", "-j", "1"]);
    let two = seedbed(&folder, &["explore", "--seeds", "100..1700", "-j", "2"]);
    assert_eq!(one.status.code(), Some(0), "{}", stderr(&one));
    assert_eq!(stdout(&one), stdout(&two));
    let text = stdout(&one);
    assert!(text.starts_with(
        "seedbed explore --seeds 100..1700\n\nNo failure in 1600 runs\n\nHow many runs had each situation "
    ));
    assert!(text.contains("\n  split vote  "), "{text}");
    let last = text.lines().last().expect("a last line");
    assert!(last.starts_with("1600 seeds explored, ") && last.ends_with(" events, 0 failed"), "{last}");
    assert!(!folder.path().join("repros").exists(), "nothing failed, so nothing is written");
}

#[test]
fn an_exploration_ends_at_the_first_failure_and_writes_it_down() {
    let folder = folder();
    let arguments = ["explore", "--seeds", "0..500", "--without", "read-after-own-commit", "--repros", "found"];
    let output = seedbed(&folder, &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    let repeat = text.lines().find_map(|line| line.trim().strip_prefix("Replay: ")).expect("a command that repeats it");
    assert_eq!(text.matches("Replay: ").count(), 1, "{text}");
    assert_eq!(fs::read_dir(folder.path().join("found")).expect("the folder").count(), 1);
    let words: Vec<&str> = repeat.split(' ').collect();
    assert_eq!(words[..2], ["seedbed", "replay"]);
    let replay = seedbed(&folder, &words[1..]);
    assert_eq!(replay.status.code(), Some(0), "{}{}", stdout(&replay), stderr(&replay));
}

#[test]
fn an_exploration_that_keeps_going_reports_every_failure_in_order() {
    let folder = folder();
    let arguments = ["explore", "--seeds", "0..60", "--without", "answer-after-commit", "--keep-going"];
    let output = seedbed(&folder, &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    let seeds: Vec<u64> =
        text.lines().filter_map(|line| line.strip_prefix("seed ")?.strip_suffix(" fails")?.parse().ok()).collect();
    assert!(seeds.len() > 30 && seeds.is_sorted(), "{text}");
    assert_eq!(fs::read_dir(folder.path().join("repros")).expect("the folder").count(), seeds.len());
    assert!(
        text.ends_with(&format!("60 seeds explored, {} failed\n", text_after(&text, "60 seeds explored, "))),
        "{text}"
    );
}

#[test]
fn a_corpus_is_kept_in_a_folder_and_an_exploration_goes_on_from_it_on_any_number_of_cores() {
    let folders = [folder(), folder()];
    let mut said = folders.each_ref().map(|_| Vec::new());
    for ((folder, cores), said) in folders.iter().zip(["1", "2"]).zip(&mut said) {
        for seeds in ["0..300", "300..400"] {
            let arguments = ["explore", "--seeds", seeds, "--corpus", "corpus", "-j", cores];
            let output = seedbed(folder, &arguments);
            assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
            said.push(stdout(&output));
        }
    }
    assert_eq!(said[0], said[1]);
    let last = said[0][1].lines().last().expect("a last line");
    assert!(last.starts_with("100 seeds and ") && last.contains(" kept cases explored, "), "{last}");
    let names = |folder: &TempDir| {
        let files = fs::read_dir(folder.path().join("corpus")).expect("the corpus").map(|file| file.expect("a file"));
        let mut names: Vec<_> = files.map(|file| file.file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&folders[0]), names(&folders[1]));
    let kept = &names(&folders[0])[0];
    let path = format!("corpus/{}", kept.to_str().expect("digits"));
    let replay = seedbed(&folders[0], &["replay", &path]);
    assert_eq!(replay.status.code(), Some(0), "{}{}", stdout(&replay), stderr(&replay));

    let broken = ["explore", "--seeds", "0..1", "--corpus", "corpus", "--without", "answer-after-commit"];
    let broken = stdout(&seedbed(&folders[1], &broken));
    let is_named =
        |name: &std::ffi::OsString| broken.contains(&format!("corpus/{} of the corpus fails", name.display()));
    assert!(names(&folders[0]).iter().any(is_named), "{broken}");

    fs::write(folders[0].path().join("corpus/bad.json"), "{}").expect("a file");
    let refused = seedbed(&folders[0], &["explore", "--seeds", "0..9", "--corpus", "corpus"]);
    assert_eq!((refused.status.code(), stdout(&refused).as_str()), (Some(2), ""), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("--corpus: corpus/bad.json: `seedbed_repro` is missing"), "{}", stderr(&refused));
}

#[test]
fn a_corpus_has_what_the_last_seeds_met_too_and_what_failed() {
    let folder = folder();
    let few = seedbed(&folder, &["explore", "--seeds", "0..10", "--corpus", "few"]);
    assert!(stdout(&few).contains(" edges met; "), "{}", stdout(&few));
    assert!(fs::read_dir(folder.path().join("few")).expect("the corpus").count() > 1);

    let failing = ["explore", "--seeds", "0..100", "--corpus", "failing", "--without", "answer-after-commit"];
    assert_eq!(seedbed(&folder, &failing).status.code(), Some(1));
    let again = stdout(&seedbed(&folder, &failing));
    assert!(again.contains(" of the corpus fails"), "{again}");
}

#[test]
fn a_corpus_that_cannot_be_written_is_refused_before_the_first_seed() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").expect("a file");
    for path in ["file", "file/corpus"] {
        let refused = seedbed(&folder, &["explore", "--seeds", "0..9", "--corpus", path]);
        assert_eq!((refused.status.code(), stdout(&refused).as_str()), (Some(2), ""), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(&format!("--corpus: {path}")), "{}", stderr(&refused));
    }
}

/// What stands between the last of these words and ` failed`.
fn text_after<'a>(text: &'a str, words: &str) -> &'a str {
    text.rsplit(words).next().and_then(|rest| rest.strip_suffix(" failed\n")).expect("these words")
}

#[test]
fn an_exploration_by_time_begins_at_a_seed_that_it_prints() {
    let folder = folder();
    let output = seedbed(&folder, &["explore", "--for", "0.2s", "--from", "7"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("seedbed explore --for 0.2s --from 7\n"), "{}", stdout(&output));
    let output = seedbed(&folder, &["explore", "--for", "0.1s"]);
    assert!(stdout(&output).starts_with("seedbed explore --for 0.1s --from "), "{}", stdout(&output));
}

#[test]
fn bad_arguments_are_refused_before_anything_runs() {
    let folder = folder();
    for (arguments, words) in [
        (&["explore"][..], "--seeds"),
        (&["explore", "--seeds", "9..3"], "9 is not below 3"),
        (&["explore", "--seeds", "0..9", "--for", "1s"], "cannot be used with"),
        (&["explore", "--for", "10"], "allowed is a number with s, m or h"),
        (&["explore", "--seeds", "0..9", "--from", "3"], "--from"),
        (&["explore", "--seeds", "0..9", "--without", "vote-twice"], "invalid value 'vote-twice'"),
        (&["explore", "--seeds", "0..9", "-j", "0"], "0 is not in 1..=1024"),
        (&["explore", "--seeds", "0..9", "--corpus", "c", "--no-learning"], "cannot be used with"),
        (&["zoo", "--rule", "all"], "invalid value 'all' for '--rule <RULE>'"),
        (&["zoo", "--starts", "0"], "0 is not in 1..=1000"),
    ] {
        let output = seedbed(&folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_repro_that_cannot_be_written_is_warned_of_and_stops_nothing() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").expect("a file");
    let arguments = ["explore", "--seeds", "0..50", "--without", "answer-after-commit", "--repros", "file/in", "-k"];
    let output = seedbed(&folder, &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stderr(&output).contains("warning: file/in/explore-"), "{}", stderr(&output));
    assert!(stdout(&output).contains("\n50 seeds explored, "), "{}", stdout(&output));
}

#[test]
fn the_zoo_prints_a_kill_matrix_and_says_what_escapes() {
    let folder = folder();
    let arguments =
        ["zoo", "--rule", "answer-after-commit", "--rule", "commit-own-term", "--starts", "2", "--seeds", "3"];
    let output = seedbed(&folder, &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    let row =
        |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{text}")).to_owned();
    assert!(row("answer-after-commit").ends_with(char::is_numeric), "{text}");
    assert!(row("commit-own-term").ends_with("  !"), "{text}");
    let words: Vec<String> = row("nothing: the correct one").split_whitespace().map(str::to_owned).collect();
    assert_eq!(words[4..], ["-"; 6], "{text}");
    assert!(text.contains("Error: commit-own-term escapes: it commits entries of older terms by counting (figure 8)"));
    assert!(text.ends_with("1 of 2 mutants detected from every start\n"), "{text}");
    assert!(text.contains("\n-: not detected. ") && text.contains("!: a check failed.\n"), "{text}");
    let calm = seedbed(&folder, &["zoo", "--rule", "answer-after-commit", "--starts", "2"]);
    assert_eq!(calm.status.code(), Some(0), "{}{}", stdout(&calm), stderr(&calm));
    assert!(!stdout(&calm).contains("!:"), "what is not there is not explained: {}", stdout(&calm));
}

#[test]
fn a_build_without_drawn_mutants_says_how_to_make_one_that_has_some() {
    let folder = folder();
    let whole = seedbed(&folder, &["zoo", "--starts", "1", "--seeds", "1"]);
    let line = "\nThis build has no drawn mutants; `cargo run -p seedbed-mutate -- copy` makes one that has \
                (docs/checking.md).\n";
    assert!(stdout(&whole).ends_with(line), "{}", stdout(&whole));
    let drawn = seedbed(&folder, &["zoo", "--drawn"]);
    assert_eq!((drawn.status.code(), stdout(&drawn)), (Some(2), String::new()));
    assert!(stderr(&drawn).contains("this build has no drawn mutants of raft; `cargo run"), "{}", stderr(&drawn));
}

#[test]
fn a_csv_file_of_the_zoo_has_the_seeds_of_each_start_and_checker() {
    let folder = folder();
    let arguments = ["zoo", "--rule", "answer-after-commit", "--starts", "2", "--csv", "found.csv"];
    let output = seedbed(&folder, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let text = fs::read_to_string(folder.path().join("found.csv")).expect("a file");
    assert_eq!(text.lines().count(), 1 + 2 * 2 * 6, "{text}");
    let found = |line: &&str| line.starts_with("raft,answer-after-commit,") && line.contains(",black-box,");
    let seeds = text.lines().filter(found).filter_map(|line| line.rsplit(',').next()?.parse::<u64>().ok());
    assert_eq!(seeds.filter(|seeds| (1..=2_000).contains(seeds)).count(), 2, "{text}");
}

#[test]
fn a_mutant_that_is_named_twice_is_hunted_once() {
    let folder = folder();
    let rule = ["--rule", "answer-after-commit"];
    let output = seedbed(&folder, &["zoo", rule[0], rule[1], rule[0], rule[1], "--starts", "1", "--seeds", "9"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert_eq!(text.lines().filter(|line| line.starts_with("answer-after-commit")).count(), 1, "{text}");
    assert!(text.contains("median/worst of 1 start, at most 9 seeds each."), "{text}");
    assert!(text.ends_with("1 of 1 mutant detected from the only start\n"), "{text}");
    assert!(stderr(&output).starts_with("note: 1 mutant in "), "{}", stderr(&output));
}

#[test]
fn what_the_zoo_shrinks_replaces_no_file_that_is_not_its_own() {
    let folder = folder();
    fs::write(folder.path().join("answer-after-commit-0.json"), "mine").expect("a file");
    let arguments = ["zoo", "--rule", "answer-after-commit", "--starts", "1", "--shrink", "."];
    for _ in 0..2 {
        let output = seedbed(&folder, &arguments);
        assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).lines().next().expect("a line").ends_with("--starts 1 --shrink ."));
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 2);
    }
    assert_eq!(fs::read_to_string(folder.path().join("answer-after-commit-0.json")).expect("a file"), "mine");
}

#[test]
fn what_the_zoo_finds_is_shrunk_to_files_that_replay() {
    let folder = folder();
    let arguments = ["zoo", "--rule", "read-after-own-commit", "--starts", "2", "--shrink", "small/er"];
    let output = seedbed(&folder, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let text = stdout(&output);
    let last: Vec<&str> = text.lines().last().expect("a last line").split_whitespace().collect();
    assert_eq!((last[..2].join(" "), last[4]), ("any rule".to_owned(), "2/2"), "{text}");
    for start in 0..2 {
        let file = format!("small/er/read-after-own-commit-{start}.json");
        let replay = seedbed(&folder, &["replay", &file]);
        assert_eq!(replay.status.code(), Some(0), "{}{}", stdout(&replay), stderr(&replay));
    }
}

/// Sends SIGINT after the first line of the output; returns the rest of it and what is on standard error.
fn interrupted(folder: &TempDir, arguments: &[&str]) -> (String, String) {
    let mut child = processes::seedbed()
        .current_dir(folder.path())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("seedbed starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    out.read_line(&mut first).expect("the first line");
    // Handlers for signals were installed before that line was written.
    let output = processes::end_with(Signal::INT, child);
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{rest}{error}");
    (rest, error)
}

#[test]
fn an_interrupted_command_tells_what_it_has_done_and_how_to_begin_again() {
    let folder = folder();
    for (arguments, done) in [
        ("explore --for 20s --from 0 --repros mine", " explored, "),
        ("verify all --seeds 0..2000", " of 17 scenarios verified so far, "),
        ("zoo", "Interrupted after "),
        ("shrink stale-read --budget 10000000", "\nReplay: seedbed replay stale-read-shrunk.json\n"),
    ] {
        let (rest, error) = interrupted(&folder, &arguments.split(' ').collect::<Vec<_>>());
        assert!(rest.contains(done), "{arguments}: {rest}");
        let again = format!("error: interrupted; this begins again: seedbed {arguments}\n");
        assert!(error.ends_with(&again), "{arguments}: {error}");
    }
    assert_eq!(seedbed(&folder, &["replay", "stale-read-shrunk.json"]).status.code(), Some(0));
}
