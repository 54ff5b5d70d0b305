use super::*;
use crate::digest::Digest;
use seedbed_core::check::{Checker, fixture};
use seedbed_core::id::ReplicaId;

fn schema() -> Schema {
    let columns = Columns::of(["append", "vote", "append"]);
    Schema { names: vec!["drops".to_owned(), "partition".to_owned()], columns }
}

fn key() -> Key {
    Key {
        run: 17,
        scenario: "a, \"b\"".to_owned(),
        values: vec!["0.25".to_owned(), "none".to_owned()],
        protocol: "raft".to_owned(),
        seed: u64::MAX,
    }
}

fn rows() -> Vec<Row> {
    let mut tally = Tally::of_links(&["append", "vote"], 5);
    tally.note_sent(ReplicaId(0), ReplicaId(1), 0);
    let mut rows: Vec<Row> = [fixture::record(), fixture::failed_record()]
        .iter()
        .map(|record| {
            let judgement = Judgement::of(&fixture::scenario(), record);
            let findings = judgement.findings();
            Row::new(
                key(),
                &schema().columns,
                Some((&fixture::scenario(), record, &judgement)),
                &findings,
                &tally,
                "seedbed run x".to_owned(),
            )
        })
        .collect();
    let panic = Finding::new(Checker::INVARIANTS, "panic", "the run panicked: 7");
    rows.push(Row::new(key(), &schema().columns, None, &[panic], &tally, String::new()));
    rows
}

#[test]
fn what_is_read_is_what_was_written() {
    let schema = schema();
    let header = read_line(&schema.csv_header()).unwrap();
    assert_eq!(Schema::read_header(&header), Ok(schema.clone()));
    for row in rows() {
        let line = schema.csv(&row);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(schema.read_csv(&read_line(&line).unwrap(), 1), Ok(row.clone()));
        let json: serde_json::Value = serde_json::from_slice(&schema.json(&row)).unwrap();
        assert_eq!(json.as_object().unwrap().len(), schema.header().len());
        assert_eq!(
            (&json["drops"], &json["partition"], &json["seed"]),
            (&0.25.into(), &"none".into(), &u64::MAX.into())
        );
    }
}

#[test]
fn a_row_says_what_the_run_was_and_what_it_does_not_have_is_missing() {
    let rows = rows();
    let [passed, failed, panicked] = &rows[..] else { panic!("three rows") };
    assert!(passed.passed() && !failed.passed() && !panicked.passed());
    assert_eq!(passed.measure("messages"), &Value::Count(6_370));
    assert_eq!((passed.measure("tier_messages"), failed.measure("tier_messages")), (&Value::Count(3), &Value::Missing));
    assert_eq!((passed.measure("messages_append"), passed.measure("elections")), (&Value::Count(1), &Value::Missing));
    assert_eq!(panicked.measure("messages"), &Value::Missing);
    assert_eq!(panicked.measure("findings"), &Value::Text("invariants: the run panicked: 7".to_owned()));
}

#[test]
fn what_no_sweep_writes_is_refused_and_named() {
    let schema = schema();
    let header = String::from_utf8(schema.csv_header()).unwrap();
    for wrong in ["run,scenario\n", "a,b,c\n", &header.replace("messages_dropped", "x"), &header.replace("run,", "")] {
        assert_eq!(Schema::read_header(&read_line(wrong.as_bytes()).unwrap()), Err(RowError::Header));
    }
    let line = String::from_utf8(schema.csv(&rows()[0])).unwrap();
    let refused = |line: String| schema.read_csv(&read_line(line.as_bytes()).unwrap(), 3).unwrap_err().to_string();
    assert_eq!(refused(line.replace("6370", "many")), "row 3: `messages` is \"many\", which no sweep writes");
    assert_eq!(refused(line.replace("17,", "-17,")), "row 3: `run` is \"-17\", which no sweep writes");
    assert_eq!(refused("1,2,3\n".to_owned()), format!("row 3: is not a row of {} values", schema.header().len()));
}

#[test]
fn every_column_has_its_own_name_and_those_that_are_shown_are_numbers() {
    let schema = schema();
    let header = schema.header();
    for (place, name) in header.iter().enumerate() {
        assert!(!header[..place].contains(name), "{name} is there twice");
    }
    for name in MAIN.iter().chain(&FEW) {
        assert!(schema.columns.get(schema.columns.find(name).unwrap()).unit.is_number(), "{name}");
    }
    assert!(FEW.iter().all(|name| MAIN.contains(name)));
}

#[test]
fn details_have_a_line_for_each_answer_and_for_each_link_that_was_used() {
    let (schema, record) = (schema(), fixture::record());
    let mut out = Details::Latencies.csv_header(&schema);
    write_latencies(&key(), &record, &mut out);
    let text = String::from_utf8(out).unwrap();
    let answers = record.history.attempts.iter().filter(|attempt| attempt.answer.is_some()).count();
    assert!(answers > 50 && text.lines().count() == answers + 1);
    let start = "17,\"a, \"\"b\"\"\",0.25,none,raft,18446744073709551615,";
    assert!(text.lines().skip(1).all(|line| line.starts_with(start)), "{text}");
    let mut tally = Tally::of_links(&["append", "vote"], 5);
    tally.note_sent(ReplicaId(0), ReplicaId(3), 1);
    tally.note_dropped(ReplicaId(0), ReplicaId(3), 1);
    let mut out = Vec::new();
    write_messages(&key(), &tally, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), format!("{start}0000,0003,vote,1,1\n"));
}

#[test]
fn no_file_makes_a_panic() {
    let schema = schema();
    let mut whole = PartMark { shard: Shard::WHOLE, runs: 3, sweep: 1 }.to_string().into_bytes();
    whole.extend(schema.csv_header());
    for run in 0..3 {
        let mut row = rows()[0].clone();
        row.key.run = run;
        whole.extend(schema.csv(&row));
    }
    whole.extend(PartMark { shard: Shard::WHOLE, runs: 3, sweep: 1 }.end().as_bytes());
    let merged = |bytes: &[u8]| -> bool {
        Merge::open(vec![Part::new("p".to_owned(), bytes)]).is_ok_and(|merge| {
            let mut digest = merge.schema().map(Digest::usual);
            merge.write(&mut Vec::new(), digest.as_mut()).is_ok()
        })
    };
    assert!(merged(&whole));
    let mut dice = seedbed_core::rng::Stream::new(1, "bytes");
    for _ in 0..3_000 {
        let mut bytes = whole.clone();
        for _ in 0..dice.between(1, 3) {
            let place = dice.below(bytes.len() as u64) as usize;
            match dice.below(3) {
                0 => bytes[place] = dice.below(256) as u8,
                1 => drop(bytes.drain(place..(place + dice.below(40) as usize).min(bytes.len()))),
                _ => bytes.insert(place, *dice.pick(b",\"\n#0").expect("bytes")),
            }
        }
        merged(&bytes);
    }
}
