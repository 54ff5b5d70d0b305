//! Scenarios under a key of another file.

use super::*;

/// Reads a file that has a scenario under the key `scenario`, and other keys, too.
fn read(text: &str) -> Result<(u64, String, Loaded), ScenarioError> {
    let source = reader::Source::new("r.json");
    let json = source.parse(text)?;
    let mut top = source.top(&json)?;
    top.expect(&["seed", "note", "scenario"], &[]);
    let seed = top.get("seed").integer(0..=u64::MAX, "a seed")?;
    let note = top.get("note").text(0..=3, "a note")?.to_owned();
    let scenario = Scenario::from_object("s", &mut top.get("scenario").object()?)?;
    Ok((seed, note, Loaded { scenario, warnings: source.into_warnings() }))
}

fn embedded(scenario: &str) -> Result<(u64, String, Loaded), ScenarioError> {
    read(&format!(r#"{{"seed": 7, "note": "why", "scenario": {scenario}}}"#))
}

#[test]
fn a_scenario_is_read_from_under_a_key_of_another_file() {
    let (seed, note, read) = embedded(&file(&[("mix", "0.25")])).unwrap();
    assert_eq!((seed, &*note, read), (7, "why", loaded(&[("mix", "0.25")])));
}

#[test]
fn a_scenario_is_written_as_a_part_of_another_file() {
    #[derive(serde::Serialize)]
    struct Whole<'a> {
        seed: u64,
        note: &'a str,
        scenario: &'a Scenario,
    }
    let losses = r#"[{"from": 0, "to": 1, "nth": 17}, {"from": 1, "to": 2, "nth": 18}]"#;
    let expected = loaded(&[("losses", losses)]);
    let mut text = Vec::new();
    pretty::write_pretty(&Whole { seed: 7, note: "why", scenario: &expected.scenario }, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let start = r#"{
  "seed": 7,
  "note": "why",
  "scenario": {
    "lifetime": 30,
    "replicas": 5,
    "requests": 100,
    "losses": [
      {"from": 0, "to": 1, "nth": 17},
      {"from": 1, "to": 2, "nth": 18}
    ],
"#;
    assert!(text.starts_with(start), "{text}");
    assert_eq!(read(&text).unwrap(), (7, "why".to_owned(), expected));
}

#[test]
fn messages_about_a_scenario_within_another_file_have_whole_paths() {
    let operations = r#"[{"time": 0, "client": 0, "get": "k"}]"#;
    for (changes, expected) in [
        (vec![("replicas", "")], "`scenario.replicas` is missing; allowed is a whole number from 2 to 101"),
        (
            vec![("events", r#"[{"type": "heal", "time": 1}, {"type": "heal", "time": 99}]"#)],
            "`scenario.events[1].time` is 99; allowed is a number of seconds from 0 to 30 (`scenario.lifetime`)",
        ),
        (
            vec![("max_packets", "1")],
            "`scenario.max_packets` is 1; allowed is a whole number from 100 (`scenario.requests`) to 900000",
        ),
        (
            vec![("wait", "1"), ("start_wait", "2")],
            "both `scenario.wait` and `scenario.start_wait` are given; allowed is one of them, or the same value in both",
        ),
        (
            vec![("requests", ""), ("mix", "1"), ("operations", operations)],
            "both `scenario.operations` and `scenario.mix` are given; allowed is one of them",
        ),
    ] {
        assert_eq!(embedded(&file(&changes)).unwrap_err().to_string(), format!("r.json: {expected}"));
    }
    assert_eq!(embedded("7").unwrap_err().to_string(), "r.json: `scenario` is 7; allowed is an object");
    let (_, _, Loaded { warnings, .. }) = embedded(&file(&[("drop", "1"), ("benchmarks", "1")])).unwrap();
    let expected = [
        "r.json: unknown key `scenario.drop` is ignored; did you mean `drops`?",
        "r.json: unknown key `scenario.benchmarks` is ignored; did you mean `scenario.tests.benchmarks`?",
    ];
    assert_eq!(warnings, expected);
}
