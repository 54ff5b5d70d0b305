//! What the rows say, and where they are written to.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Done, Folder, KINDS, row_files};

const KINDS_OF_MESSAGES: [&str; 8] =
    ["append", "heartbeat", "append_reply", "pre_vote", "request_vote", "vote", "probe", "copy"];

/// The messages of all kinds; a kind that the protocol does not have is an empty cell.
fn messages_of_kinds(row: &BTreeMap<String, String>) -> f64 {
    let cells = KINDS_OF_MESSAGES.map(|kind| row[&format!("messages_{kind}")].clone());
    cells.iter().filter(|cell| !cell.is_empty()).map(|cell| cell.parse::<f64>().expect("a number")).sum()
}

fn number(row: &BTreeMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column}: {row:?}"))
}

#[test]
fn rows_are_numbered_and_their_parts_make_the_whole() {
    let folder = Folder::new();
    let words = "hard.json calm.json --drops 0,0.1 --protocol raft,broadcast --seeds 3..7";
    folder.run(&format!("sweep {words} {}", row_files("x-")));
    let rows = folder.rows("x-csv");
    let text = folder.text("x-csv");
    let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
    assert_eq!(header[..6], ["run", "scenario", "drops", "protocol", "seed", "passed"]);
    assert_eq!((header[header.len() - 2..].join(" ").as_str(), rows.len()), ("trace command", 32));
    for (place, row) in rows.iter().enumerate() {
        assert_eq!(row["run"], place.to_string());
        assert_eq!(row["seed"], (3 + place % 4).to_string());
        assert_eq!(messages_of_kinds(row), number(row, "messages"), "{row:?}");
        let per_put = number(row, "messages") / number(row, "puts");
        assert!((number(row, "messages_per_put") - per_put).abs() < 1e-9, "{row:?}");
        assert_eq!(number(row, "gets") + number(row, "puts"), if row["scenario"] == "hard" { 45.0 } else { 30.0 });
        assert_eq!(row["protocol"] == "broadcast", !row["messages_copy"].is_empty());
        assert_eq!(row["passed"] == "true", row["findings"].is_empty());
        for operation in ["get", "put"] {
            let at = |part: &str| number(row, &format!("{operation}_latency_{part}"));
            assert!(at("p50") <= at("p90") && at("p90") <= at("p99") && at("p99") <= at("max"), "{row:?}");
            assert!(at("mean") <= at("max"), "{row:?}");
        }
        // Only Raft can be looked into.
        assert_eq!(row["protocol"] == "broadcast", row["elections"].is_empty());
    }

    // The other files are about the same runs.
    let (latencies, messages) = (folder.rows("x-latencies"), folder.rows("x-messages"));
    for row in &rows {
        let mine = |line: &&BTreeMap<String, String>| line["run"] == row["run"];
        let key = ["scenario", "drops", "protocol", "seed"];
        let answers: Vec<_> = latencies.iter().filter(mine).collect();
        let links: Vec<_> = messages.iter().filter(mine).collect();
        for line in answers.iter().chain(&links) {
            assert_eq!(key.map(|name| &line[name]), key.map(|name| &row[name]));
        }
        let count = |outcome: &str| answers.iter().filter(|line| line["outcome"] == outcome).count().to_string();
        assert_eq!((count("redirect"), count("fail")), (row["redirects"].clone(), row["failures"].clone()));
        let sum = |column: &str| links.iter().map(|line| number(line, column)).sum::<f64>();
        assert_eq!((sum("sent"), sum("dropped")), (number(row, "messages"), number(row, "messages_dropped")));
        for kind in KINDS_OF_MESSAGES {
            let sent: f64 = links.iter().filter(|line| line["kind"] == kind).map(|line| number(line, "sent")).sum();
            let cell = &row[&format!("messages_{kind}")];
            assert!(cell.is_empty() && sent == 0.0 || cell.parse() == Ok(sent), "{kind}: {cell}, {sent}");
        }
        assert!(links.iter().all(|line| line["from"] != line["to"] && number(line, "sent") >= number(line, "dropped")));
    }

    // JSON lines have the same columns and values, as numbers where they are.
    let text = folder.text("x-json");
    assert_eq!(text.lines().count(), rows.len());
    for (line, row) in text.lines().zip(&rows) {
        let json: serde_json::Map<String, Value> = serde_json::from_str(line).expect("an object");
        assert_eq!(json.len(), header.len());
        for name in &header {
            let shown = match &json[*name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                Value::Number(number) if number.is_f64() => number.as_f64().expect("a number").to_string(),
                other => other.to_string(),
            };
            assert_eq!(shown, row[*name], "{name}");
        }
        assert!(json["drops"].is_number() && json["messages"].is_u64() && json["passed"].is_boolean(), "{line}");
    }
}

#[test]
fn a_row_says_what_its_command_says() {
    let folder = Folder::new();
    let words = "hard.json calm.json --drops 0.05,0.15 --set raft.heartbeat_ms=400 --partition hard,flapping";
    folder.run(&format!("sweep {words} --protocol raft,broadcast --seeds 1..3 --csv x.csv"));
    folder.run("sweep hard.json --without answer-after-commit --seeds 4..6 --csv y.csv");
    let rows: Vec<_> = folder.rows("x.csv").into_iter().chain(folder.rows("y.csv")).collect();
    assert_eq!(rows.len(), 34);
    for row in rows {
        let done = folder.shell(&format!("{} --json -", row["command"]));
        let json: Value = serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {}", done.out));
        assert_eq!(done.code == 0, row["passed"] == "true", "{row:?}");
        for (column, pointer) in [
            ("scenario", "/scenario"),
            ("seed", "/seed"),
            ("messages", "/statistics/messages_sent"),
            ("messages_dropped", "/statistics/messages_dropped"),
            ("gets", "/statistics/gets"),
            ("puts", "/statistics/puts"),
            ("redirects", "/statistics/redirects"),
            ("duplicates", "/statistics/duplicates"),
            ("leader_changes", "/statistics/leader_changes"),
            ("linearizability", "/checkers/linearizability/verdict"),
            ("liveness", "/checkers/liveness/verdict"),
            ("events", "/events"),
            ("trace", "/trace"),
        ] {
            let found = json.pointer(pointer).unwrap_or_else(|| panic!("{pointer}: {json}"));
            let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            assert_eq!(found, row[column], "{column} of {}", row["command"]);
        }
    }
}

#[test]
fn rows_on_standard_output_are_all_that_is_there() {
    let folder = Folder::new();
    let words = "hard.json --drops 0,0.1 --without answer-after-commit --seeds 3..8";
    let plain = folder.run(&format!("sweep {words} {} --junit x.xml", row_files("x-")));
    for kind in KINDS {
        let others = "--junit y.xml --summary y.csv";
        let done = folder.run(&format!("sweep {words} --{kind} - {others}"));
        assert_eq!((done.code, done.out), (plain.code, folder.text(&format!("x-{kind}"))), "{kind}");
        let told: Vec<&str> = done.err.lines().collect();
        assert!(told[0].starts_with("note: 10 runs in ") && told.len() == 2, "{told:?}");
        let first =
            folder.rows("x-csv").iter().find(|row| row["passed"] == "false").expect("a failure")["command"].clone();
        assert!(told[1].ends_with(&format!(" runs failed; this repeats the first of them: {first}")), "{told:?}");
        assert!(folder.read("x.xml") == folder.read("y.xml"));
    }
    let mut command = folder.command("sweep calm.json --seeds 0..3 --csv - --shard 2/2");
    let done = Done::of(command.env("CLICOLOR_FORCE", "1").output());
    assert!(
        done.out.starts_with("#seedbed part 2/2 of 3 runs of sweep ") && !done.out.contains('\u{1b}'),
        "{}",
        done.out
    );
}

#[test]
fn the_summary_counts_what_the_rows_say() {
    let folder = Folder::new();
    let words = "hard.json --without answer-after-commit --drops 0,0.1 --seeds 0..9 --metrics messages,put_latency_p50";
    let done = folder.run(&format!("sweep {words} --csv x.csv --summary s.csv"));
    let (rows, cells) = (folder.rows("x.csv"), folder.rows("s.csv"));
    assert_eq!(cells.len(), 2);
    for cell in &cells {
        let of_cell: Vec<_> = rows.iter().filter(|row| row["drops"] == cell["drops"]).collect();
        let passed = of_cell.iter().filter(|row| row["passed"] == "true").count();
        assert_eq!((cell["runs"].as_str(), cell["passed"].clone()), ("9", passed.to_string()));
        let mut messages: Vec<f64> = of_cell.iter().map(|row| number(row, "messages")).collect();
        messages.sort_by(f64::total_cmp);
        let found = ["low", "median", "high"].map(|part| number(cell, &format!("messages_{part}")));
        // Numbers of up to three digits are exact.
        assert_eq!(found, [messages[0], messages[4], messages[8]]);
        let worst = of_cell.iter().find(|row| row["seed"] == cell["worst_seed"]).expect("a run");
        assert_eq!(worst["passed"], "false", "the worst run is one that failed");
        assert!(done.out.contains(&format!("\n  {}\n", worst["command"])), "{}", done.out);
    }
    assert!(done.out.contains("  messages "), "{}", done.out);
}
