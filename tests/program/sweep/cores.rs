//! The same files, however many cores and processes worked on them.

use super::{Folder, KINDS, all_files, row_files};

const GRID: &str = "calm.json hard.json --drops 0:0.1:0.05 --seeds 3..10";

#[test]
fn all_files_and_the_text_are_the_same_on_any_number_of_cores_and_in_every_process() {
    let folder = Folder::new();
    let mut first = None;
    for (jobs, start) in [("1", "a-"), ("2", "b-"), ("7", "c-"), ("2", "d-")] {
        let files = format!("{} --cdf {start}cdf.png", all_files(start));
        let done = folder.sweep(&format!("{GRID} --jobs {jobs} {files}"));
        // Also the command in the first line: it does not tell of cores, nor of files.
        assert!(done.out.starts_with("seedbed sweep calm.json hard.json --drops 0,0.05,0.1 --seeds 3..10\n\n"));
        assert_eq!(done.note(), "note: 42 runs");
        let names = KINDS.into_iter().chain(["summary.csv", "junit.xml", "plot.svg", "cdf.png"]);
        let files: Vec<(&str, Vec<u8>)> = names
            .map(|name| (name, folder.read(&format!("{start}{name}"))))
            .chain([("text", done.out.into())])
            .collect();
        let first = first.get_or_insert_with(|| files.clone());
        for ((name, bytes), (_, expected)) in files.iter().zip(first.iter()) {
            assert!(bytes.len() > 100, "{name}");
            assert!(bytes == expected, "{name} with --jobs {jobs}");
        }
    }
    assert_eq!(folder.content().len(), 3 + 4 * 8, "nothing unfinished is left");
}

#[test]
fn pictures_of_a_kind_are_the_same_every_time_and_have_the_format_of_their_name() {
    let folder = Folder::new();
    for (jobs, start) in [("1", "a"), ("7", "b")] {
        folder.sweep(&format!("{GRID} --jobs {jobs} --plot {start}.png --cdf {start}.svg"));
    }
    assert!(folder.read("a.png").starts_with(b"\x89PNG\r\n\x1a\n"));
    assert!(folder.read("a.png") == folder.read("b.png"));
    let svg = folder.text("a.svg");
    let root = roxmltree::Document::parse(&svg).expect("XML").root_element().tag_name().name().to_owned();
    assert_eq!((root.as_str(), &svg), ("svg", &folder.text("b.svg")));
}

#[test]
fn scenarios_and_protocols_have_curves_of_their_own() {
    let folder = Folder::new();
    let drawn = |words: &str| {
        folder.run(&format!("sweep {words} --seeds 0..2 --cdf c.svg"));
        let svg = folder.text("c.svg");
        let document = roxmltree::Document::parse(&svg).expect("XML");
        document.descendants().filter_map(|node| node.text().map(|text| text.trim().to_owned())).collect::<Vec<_>>()
    };
    let texts = drawn("calm.json hard.json --drops 0,0.1 --protocol raft,broadcast");
    for name in ["drops 0", "drops 0.1", "calm, raft", "calm, broadcast", "hard, raft", "hard, broadcast"] {
        assert!(texts.iter().any(|text| text == name), "{name}: {texts:?}");
    }
    assert!(drawn("calm.json --drops 0,0.1").iter().any(|text| text == "drops 0.1"), "only what differs is named");
}

#[test]
fn another_seed_or_value_gives_other_rows() {
    // Otherwise the tests above would prove nothing.
    let folder = Folder::new();
    for (seeds, drops, start) in [("0..3", "0.1", "a-"), ("1..4", "0.1", "b-"), ("0..3", "0.2", "c-")] {
        folder.run(&format!("sweep hard.json --seeds {seeds} --drops {drops} {}", row_files(start)));
    }
    for kind in KINDS {
        for other in ["b-", "c-"] {
            assert!(folder.read(&format!("a-{kind}")) != folder.read(&format!("{other}{kind}")), "{kind}");
        }
    }
}
