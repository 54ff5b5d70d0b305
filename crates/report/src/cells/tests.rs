use super::*;
use crate::rows::{Columns, Key, Row, Schema, Value};

fn schema(names: &[&str]) -> Schema {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Schema { names, columns: Columns::of(["append"]) }
}

fn row(scenario: &str, drops: &str, seed: u64, passed: bool) -> Row {
    let columns = schema(&[]).columns;
    let mut measures = vec![Value::Missing; columns.len()];
    let mut set = |name, value| measures[columns.find(name).unwrap()] = value;
    set("passed", Value::Flag(passed));
    set("messages", Value::Count(1_000 + 10 * seed));
    set("put_latency_p50", Value::Number(0.000_387 + 1e-6 * seed as f64));
    if !passed {
        set("findings", Value::Text("liveness: no <write> & 100% stuck".to_owned()));
    }
    let values = vec![drops.to_owned()];
    let key = Key { run: seed, scenario: scenario.to_owned(), values, protocol: "raft".to_owned(), seed };
    Row { key, columns, measures, command: format!("seedbed run {scenario}.json --seed {seed} --drops {drops}") }
}

fn digest() -> Digest {
    let mut digest = Digest::new(&schema(&["drops"]), &["messages", "put_latency_p50", "failover_max"]);
    for (scenario, drops, failed) in [("a", "0", None), ("a", "0.5", Some(3)), ("b", "0", None)] {
        (0..5).for_each(|seed| digest.add(&row(scenario, drops, seed, failed != Some(seed))));
    }
    digest.finish();
    digest
}

fn replay(run: u64) -> Option<String> {
    (run == 3).then(|| "seedbed replay repros/a-3.json".to_owned())
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

#[test]
fn the_table_shows_each_cell_and_how_to_repeat_what_is_worst() {
    let expected = "\
scenario  drops  runs  passed             messages          put_latency_p50   failover_max  worst
a         0      5     100% (56.6-100.0)  1020 (1000-1040)  389 µs (387-391)  -             0
a         0.5    5     80.0% (37.6-96.4)  1020 (1000-1040)  389 µs (387-391)  -             3
b         0      5     100% (56.6-100.0)  1020 (1000-1040)  389 µs (387-391)  -             0

Numbers are the median of the runs (and where 90 % of them are); `passed` has its 95 % interval.

The worst run of each cell:
  seedbed run a.json --seed 0 --drops 0
  seedbed run a.json --seed 3 --drops 0.5
  seedbed run b.json --seed 0 --drops 0

Runs that failed:
  seedbed run a.json --seed 3 --drops 0.5
    Error: liveness: no <write> & 100% stuck
    Replay: seedbed replay repros/a-3.json

14 of 15 runs passed, in 3 cells
Trace: ";
    let found = text(|out| write_text(out, &digest(), None, replay));
    assert!(found.starts_with(expected), "{found}");
}

#[test]
fn a_share_has_as_many_digits_as_its_runs_can_tell_apart() {
    let share = |passed, runs| {
        let mut cell = digest().cells[0].clone();
        (cell.passed, cell.runs) = (passed, runs);
        super::passed(&cell)
    };
    for (passed, runs, expected) in [
        (4, 5, "80.0% (37.6-96.4)"),
        (999, 1_000, "99.9% (99.4-100.0)"),
        (9_999, 10_000, "99.99% (99.94-100.00)"),
        (99_996, 100_000, "99.996% (99.990-99.998)"),
        (1, 1_000_000, "0.0001% (0.0000-0.0006)"),
        (0, 10, "0% (0.0-27.8)"),
        (10, 10, "100% (72.2-100.0)"),
    ] {
        assert_eq!(share(passed, runs), expected);
    }
    for runs in [1_u64, 2, 100, 101, 1_000, 1_001, 10_001, 1_000_000_000] {
        assert!(!share(runs.saturating_sub(1), runs).starts_with("100"), "{runs}");
    }
}

#[test]
fn a_narrow_table_leaves_out_its_last_metrics_and_names_them() {
    let table = |width| text(|out| write_text(out, &digest(), width, replay));
    let widest = |text: &str| text.lines().take_while(|line| !line.is_empty()).map(|line| line.chars().count()).max();
    let unbounded = table(None);
    let width = widest(&unbounded).expect("a table");
    assert_eq!(table(Some(width)), unbounded);
    assert!(!unbounded.contains("Too wide"), "{unbounded}");
    let narrow = table(Some(width - 1));
    assert!(widest(&narrow) < Some(width), "{narrow}");
    assert!(
        narrow.contains("\nToo wide for this terminal: failover_max; --csv and --summary write them\n"),
        "{narrow}"
    );
    let narrowest = table(Some(20));
    assert!(narrowest.contains("terminal: messages, put_latency_p50, failover_max; "), "{narrowest}");
    assert!(narrowest.starts_with("scenario  ") || narrowest.contains("runs  passed"), "{narrowest}");
}

#[test]
fn csv_has_a_row_for_each_cell_and_what_no_run_has_is_empty() {
    let expected = "\
scenario,drops,protocol,runs,passed,passed_low,passed_high,worst_seed,messages_low,messages_median,messages_high,\
put_latency_p50_low,put_latency_p50_median,put_latency_p50_high,failover_max_low,failover_max_median,failover_max_high,\
worst_command
a,0,raft,5,5,0.5655,1.0000,0,1000,1020,1040,0.000387,0.000389,0.000391,,,,seedbed run a.json --seed 0 --drops 0
";
    let found = text(|out| write_csv(out, &digest()));
    let digits = |text: &str| text.lines().next().map(str::len);
    assert_eq!(digits(&found), digits(expected));
    assert_eq!((found.lines().count(), found.lines().next()), (4, expected.lines().next()));
    let cells: Vec<&str> = found.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(cells[..11], expected.lines().nth(1).unwrap().split(',').collect::<Vec<_>>()[..11]);
    assert_eq!(cells[14..], ["", "", "", "seedbed run a.json --seed 0 --drops 0"]);
}

#[cfg(feature = "junit")]
#[test]
fn junit_has_a_suite_for_each_scenario_and_a_case_for_each_cell_with_the_commands_of_failures() {
    let xml = text(|out| write_junit(out, &digest(), "seedbed sweep", replay));
    let document = roxmltree::Document::parse(&xml).expect("well-formed XML");
    let named = |name: &'static str| document.descendants().filter(move |node| node.has_tag_name(name));
    assert_eq!(named("testsuite").map(|node| node.attribute("tests")).collect::<Vec<_>>(), [Some("2"), Some("1")]);
    assert_eq!(
        named("testcase").filter_map(|node| node.attribute("name")).collect::<Vec<_>>(),
        ["a, drops=0, raft", "a, drops=0.5, raft", "b, drops=0, raft"]
    );
    let failures: Vec<_> = named("failure").collect();
    let [failure] = &failures[..] else { panic!("one failure: {xml}") };
    assert_eq!(failure.attribute("message"), Some("1 of 5 runs failed"));
    let told = failure.text().unwrap();
    for part in
        ["seed 3: liveness: no <write> & 100% stuck", "seedbed run a.json --seed 3", "seedbed replay repros/a-3.json"]
    {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn annotations_are_one_line_each_and_escaped() {
    let found = text(|out| write_annotations(out, &digest(), replay));
    let expected = "::error title=a with drops=0.5%2C raft%2C seed 3 failed::liveness: no <write> & 100%25 stuck%0A\
                    seedbed run a.json --seed 3 --drops 0.5%0Aseedbed replay repros/a-3.json\n";
    assert_eq!(found, expected);
}

#[test]
fn numbers_have_three_digits_and_the_unit_that_suits_them() {
    let shown = |number: f64, unit| spread_text(&Spread { low: number / 2.0, median: number, high: number }, unit);
    assert_eq!(shown(0.000_387, Unit::Seconds), "387 µs (194-387)");
    assert_eq!(shown(0.012_34, Unit::Seconds), "12.3 ms (6.17-12.3)");
    assert_eq!(shown(1.5, Unit::Seconds), "1.5 s (0.75-1.5)");
    assert_eq!(shown(3.712_5, Unit::Ratio("messages/put")), "3.71 (1.86-3.71)");
    assert_eq!(shown(0.0, Unit::Count("answers")), "0 (0-0)");
    assert_eq!(shown(12_345.0, Unit::Count("messages")), "12345 (6172-12345)");
}
