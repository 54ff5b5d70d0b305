//! Runs that fail: what is told of them, and how they are repeated.

use std::collections::BTreeSet;

use super::{Done, Folder};

/// A Raft that answers before it is sure. Its leader is cut off, so that shows with some of these seeds.
const ANIMAL: &str = "hard.json --without answer-after-commit --drops 0,0.1 --seeds 6..15";

/// The lines of a text that follow this word, without it.
fn lines_after<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(word)).collect()
}

/// The commands of the runs that failed, as printed.
fn failed_commands(done: &Done) -> Vec<&str> {
    let listed = done.out.split_once("\nRuns that failed:\n").expect("a list").1;
    listed.lines().filter(|line| line.starts_with("  seedbed run ")).map(str::trim_start).collect()
}

#[test]
fn an_animal_of_the_zoo_is_convicted_and_its_failures_can_be_repeated() {
    let folder = Folder::new();
    let mut command = folder.command(&format!("sweep {ANIMAL} --csv rows.csv --failures"));
    let done = Done::of(command.arg("my repros").output());
    assert_eq!((done.code, done.note()), (1, "note: 18 runs"), "{}", done.out);
    let rows = folder.rows("rows.csv");
    let mut failed: Vec<_> = rows.iter().filter(|row| row["passed"] == "false").collect();
    // The same seeds fail in both cells, and the first failure of each cell is told first.
    failed.sort_by_key(|row| row["seed"].parse::<u64>().expect("a seed"));
    assert!(failed.len() >= 4 && failed.len() < 10, "few enough to be listed: {}", failed.len());
    assert!(done.out.contains(&format!("\n{} of 18 runs passed, in 2 cells\n", 18 - failed.len())), "{}", done.out);

    // Text and rows name the same runs, with the same findings.
    let commands = failed_commands(&done);
    assert_eq!(commands, failed.iter().map(|row| row["command"].as_str()).collect::<Vec<_>>());
    let findings = lines_after(&done.out, "Error: ");
    assert_eq!(findings, failed.iter().map(|row| row["findings"].as_str()).collect::<Vec<_>>());
    let replays = lines_after(&done.out, "Replay: ");
    assert_eq!(replays.len(), failed.len());
    assert_eq!(replays.iter().collect::<BTreeSet<_>>().len(), failed.len(), "each run has a file of its own");

    for ((row, command), (finding, replay)) in failed.iter().zip(commands).zip(findings.into_iter().zip(replays)) {
        let replayed = folder.shell(replay);
        assert_eq!((replayed.code, replayed.err.as_str()), (0, ""), "{replay}");
        let last = format!("\nThe same failure, to the bit: trace {}\n", row["trace"]);
        assert!(replayed.out.ends_with(&last), "{replay}: {}", replayed.out);
        let repeated = folder.shell(command);
        assert_eq!(repeated.code, 1, "{command}: {}", repeated.err);
        assert!(repeated.out.starts_with(&format!("{command}\n")), "{}", repeated.out);
        assert!(repeated.out.ends_with(&format!("\nTrace: {}\n", row["trace"])), "{}", repeated.out);
        for finding in finding.split("; ") {
            let finding = finding.trim_start_matches("linearizability: ");
            assert!(repeated.out.contains(finding), "{finding}\n{}", repeated.out);
        }
    }
}

#[test]
fn a_junit_file_has_a_test_case_for_each_cell_that_names_its_failures() {
    let folder = Folder::new();
    let words = format!("sweep {ANIMAL} --junit j.xml --csv rows.csv").replace("hard.json", "hard.json calm.json");
    let done = folder.run(&words);
    assert_eq!(done.code, 1, "{}", done.err);
    let (rows, xml) = (folder.rows("rows.csv"), folder.text("j.xml"));
    let document = roxmltree::Document::parse(&xml).expect("XML");
    let children = |node: roxmltree::Node<'_, '_>, name: &str| {
        node.children().filter(|child| child.has_tag_name(name)).map(|child| child.id()).collect::<Vec<_>>()
    };
    let node = |id| document.get_node(id).expect("a node");
    let count = |node: roxmltree::Node<'_, '_>, name: &str| -> usize {
        node.attribute(name).unwrap_or_else(|| panic!("{name}: {xml}")).parse().expect("a number")
    };
    let root = document.root_element();
    assert!(root.has_tag_name("testsuites"));
    let suites = children(root, "testsuite");
    let names: Vec<_> = suites.iter().map(|suite| node(*suite).attribute("name")).collect();
    assert_eq!(names, [Some("hard"), Some("calm")]);
    let (mut cases, mut failed_cases) = (0, 0);
    for suite in suites.into_iter().map(node) {
        let scenario = suite.attribute("name").expect("a name");
        let mut failed_here = 0;
        for case in children(suite, "testcase").into_iter().map(node) {
            assert_eq!(case.attribute("classname"), Some(scenario));
            let name = case.attribute("name").expect("a name");
            let axes = name.strip_prefix(scenario).and_then(|rest| rest.strip_prefix(", drops="));
            let drops = axes.and_then(|rest| rest.split_once(", ")).expect("a value").0;
            assert!(name.ends_with(", raft without answer-after-commit"), "{name}");
            let of_cell = |row: &&_| {
                let row: &std::collections::BTreeMap<String, String> = row;
                row["scenario"] == scenario && row["drops"] == drops
            };
            let failed: Vec<_> = rows.iter().filter(of_cell).filter(|row| row["passed"] == "false").collect();
            let failures = children(case, "failure");
            assert_eq!(failures.len(), usize::from(!failed.is_empty()), "{scenario} {name}");
            cases += 1;
            failed_here += failures.len();
            for failure in failures.into_iter().map(node) {
                assert_eq!(failure.attribute("message"), Some(format!("{} of 9 runs failed", failed.len()).as_str()));
                let text = failure.text().expect("a text");
                let expected: String = failed
                    .iter()
                    .map(|row| {
                        let file = format!("{scenario}-drops_{drops}-{}-answer-after-commit", row["seed"]);
                        let replay = format!("seedbed replay repros/{file}.json");
                        format!("seed {}: {}\n  {}\n  {replay}\n", row["seed"], row["findings"], row["command"])
                    })
                    .collect();
                assert_eq!(text.trim_end(), expected.trim_end());
            }
        }
        assert_eq!((count(suite, "failures"), count(suite, "errors")), (failed_here, 0));
        failed_cases += failed_here;
    }
    assert_eq!((count(root, "tests"), count(root, "failures"), cases), (4, failed_cases, 4));
    assert!(failed_cases >= 2);
}

#[test]
fn annotations_of_github_are_one_escaped_line_for_each_of_the_first_ten_failed_runs() {
    let folder = Folder::new();
    folder.rename("hard.json", "100% hard, or: not.json");
    let mut command = folder.command("sweep --protocol broadcast --seeds 0..12 --github --csv rows.csv --failures r%d");
    let done = Done::of(command.arg("100% hard, or: not.json").output());
    assert_eq!(done.code, 1, "{}", done.err);
    let rows = folder.rows("rows.csv");
    assert!(rows.iter().all(|row| row["passed"] == "false"), "otherwise the next lines prove nothing");
    let annotations = lines_after(&done.out, "::error ");
    assert_eq!(annotations.len(), 10);
    let unescaped = |text: &str| {
        let text = text.replace("%3A", ":").replace("%2C", ",");
        text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    };
    for (annotation, row) in annotations.into_iter().zip(&rows) {
        let (title, text) = annotation.strip_prefix("title=").and_then(|rest| rest.split_once("::")).expect("a title");
        assert!(!title.contains([':', ',']), "{title}");
        let seed = &row["seed"];
        assert_eq!(unescaped(title), format!("100% hard, or: not with broadcast, seed {seed} failed"));
        assert!(title.starts_with("100%25 hard%2C or%3A not"), "{title}");
        let text = unescaped(text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], [&row["findings"], &row["command"]]);
        assert_eq!(lines[2], format!("seedbed replay r%d/100__hard__or__not-{seed}-broadcast.json"));
        assert_eq!((folder.shell(lines[1]).code, folder.shell(lines[2]).code), (1, 0), "{text}");
    }
    assert!(done.out.contains("\n  ... and 2 more\n"), "{}", done.out);
    let calm = folder.sweep("calm.json --seeds 0..2 --github");
    assert!(!calm.out.contains("::error"), "{}", calm.out);
}

#[test]
fn failures_of_many_cells_keep_their_own_repro_files() {
    // What tells the cells apart stands at the end of a long name.
    let folder = Folder::new();
    let long = "--set raft.election_timeout_min_ms=800 --set raft.election_timeout_max_ms=1200 \
                --set raft.round_trip_guess_ms=50 --set raft.batch_bytes_max=32768 --set events[2].time=7,7.5,8";
    let words = format!("sweep hard.json --without answer-after-commit --seeds 4..7 {long}");
    let done = folder.run(&words);
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    let (commands, replays) = (failed_commands(&done), lines_after(&done.out, "Replay: "));
    assert!(replays.len() >= 6, "{}", done.out);
    assert_eq!(replays.iter().collect::<BTreeSet<_>>().len(), replays.len(), "{}", done.out);
    for (command, replay) in commands.into_iter().zip(replays) {
        let (repeated, replayed) = (folder.shell(command), folder.shell(replay));
        let trace = repeated.out.lines().last().and_then(|line| line.strip_prefix("Trace: ")).expect("a trace");
        assert!(
            replayed.out.ends_with(&format!("The same failure, to the bit: trace {trace}\n")),
            "{command} {replay}"
        );
    }
    let files = folder.content().len();
    assert_eq!(folder.run(&words).out, done.out);
    assert_eq!(folder.content().len(), files, "the same failures replace their files");
}

#[test]
fn repro_files_that_cannot_be_written_are_warned_of_once_and_the_sweep_goes_on() {
    let folder = Folder::new();
    let done = folder.run(&format!("sweep {ANIMAL} --failures hard.json --csv rows.csv --junit j.xml"));
    assert_eq!(done.code, 1, "{}", done.err);
    let failed = folder.rows("rows.csv").iter().filter(|row| row["passed"] == "false").count();
    assert!(failed > 1 && lines_after(&done.err, "warning: hard.json/hard-drops_").len() == 1, "{}", done.err);
    assert!(!done.out.contains("Replay: ") && !folder.text("j.xml").contains("seedbed replay"), "{}", done.out);
}
