use super::*;
use crate::plot::{Cdf, Color};
use crate::rows::{Columns, Key, Row, Schema, Value};
use crate::waits::Waits;

fn schema(names: &[&str]) -> Schema {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Schema { names, columns: Columns::of(["append"]) }
}

/// A digest of cells with these scenarios, values and protocols. All cells have different numbers of messages.
fn digest(names: &[&str], cells: &[(&str, &[&str], &str)]) -> Digest {
    let mut digest = Digest::new(&schema(names), &["messages", "failover_max"]);
    for (number, (scenario, values, protocol)) in cells.iter().enumerate() {
        let columns = schema(&[]).columns;
        let mut measures = vec![Value::Missing; columns.len()];
        measures[columns.find("passed").unwrap()] = Value::Flag(true);
        measures[columns.find("messages").unwrap()] = Value::Count(100 + number as u64);
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let (scenario, protocol) = ((*scenario).to_owned(), (*protocol).to_owned());
        let key = Key { run: number as u64, scenario, values, protocol, seed: 0 };
        digest.add(&Row { key, columns, measures, command: String::new() });
    }
    digest.finish();
    digest
}

fn lines_of(digest: &Digest) -> Lines {
    match chart(digest) {
        Some(Chart::Lines(lines)) => lines,
        other => panic!("lines: {other:?}"),
    }
}

#[test]
fn a_swept_number_is_the_axis_and_everything_else_makes_series() {
    let cells: Vec<(&str, &[&str], &str)> = vec![
        ("a", &["0"], "raft"),
        ("a", &["0"], "broadcast"),
        ("a", &["0.1"], "raft"),
        ("a", &["0.1"], "broadcast"),
        ("a", &["0.2"], "raft"),
        ("a", &["0.2"], "broadcast"),
    ];
    let lines = lines_of(&digest(&["drops"], &cells));
    assert_eq!(lines.x, XAxis::Numbers { label: "drops".to_owned() });
    let [panel, failovers] = &lines.panels[..] else { panic!("the two that were asked for: {:?}", lines.panels) };
    assert!(failovers.series.iter().all(|series| series.points.is_empty()), "no run has a failover, and that is said");
    let series: Vec<(&str, Vec<(f64, f64)>)> = panel
        .series
        .iter()
        .map(|series| (series.name.as_str(), series.points.iter().map(|point| (point.x, point.median)).collect()))
        .collect();
    assert_eq!(
        series,
        [
            ("raft", vec![(0.0, 100.0), (0.1, 102.0), (0.2, 104.0)]),
            ("broadcast", vec![(0.0, 101.0), (0.1, 103.0), (0.2, 105.0)]),
        ]
    );
}

#[test]
fn two_swept_numbers_are_a_heat_map_and_names_are_an_axis_of_names() {
    let numbers = ["1", "2", "3"];
    let pairs: Vec<[&str; 2]> = numbers.iter().flat_map(|x| numbers.map(|y| [*x, y])).collect();
    let cells: Vec<(&str, &[&str], &str)> = pairs.iter().map(|pair| ("a", &pair[..], "raft")).collect();
    let Some(Chart::HeatMaps(maps)) = chart(&digest(&["x", "y"], &cells)) else { panic!("heat maps") };
    assert_eq!((maps.x_label.as_str(), maps.rows.len(), maps.columns.len()), ("x", 3, 3));
    assert_eq!(maps.rows, ["3", "2", "1"], "the second goes up");
    assert_eq!(maps.panels[0].values[0], [Some(102.0), Some(105.0), Some(108.0)]);
    let few: Vec<(&str, &[&str], &str)> = pairs.iter().map(|pair| ("a", &pair[..], "raft")).take(6).collect();
    let lines = lines_of(&digest(&["x", "y"], &few));
    assert_eq!(lines.panels[0].series.len(), 2, "two values are two series and no axis of a map");
    let down: Vec<(&str, &[&str], &str)> = vec![("a", &["3"], "raft"), ("a", &["1"], "raft")];
    let points = &lines_of(&digest(&["x"], &down)).panels[0].series[0].points;
    assert!(points[0].x < points[1].x, "in the order of the axis");
    let cells: Vec<(&str, &[&str], &str)> = vec![("a", &["none"], "raft"), ("a", &["hard"], "raft")];
    let lines = lines_of(&digest(&["partition"], &cells));
    assert_eq!(
        lines.x,
        XAxis::Names { label: "partition".to_owned(), names: vec!["none".to_owned(), "hard".to_owned()] }
    );
    assert_eq!(chart(&digest(&[], &[])), None);
}

#[test]
fn values_that_are_varied_together_are_one_axis() {
    let cells: Vec<(&str, &[&str], &str)> =
        vec![("a", &["150", "300"], "raft"), ("a", &["300", "600"], "raft"), ("a", &["600", "1200"], "raft")];
    let lines = lines_of(&digest(&["min", "max"], &cells));
    assert_eq!(lines.x, XAxis::Numbers { label: "min".to_owned() });
    assert_eq!(lines.panels[0].series.len(), 1);
}

#[test]
fn a_single_cell_is_described_in_words() {
    let Some(Chart::Words(words)) = chart(&digest(&["drops"], &[("a", &["0.1"], "raft")])) else { panic!("words") };
    assert_eq!(words.title, "a, drops 0.1");
    assert!(words.subtitle.starts_with("One cell, in which 1 of 1 runs passed."), "{}", words.subtitle);
    let facts: Vec<(&str, &str)> = words.facts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        facts,
        [("Messages between replicas", "100 messages (100 to 100)"), ("Longest failover", "no run has it")]
    );
}

#[test]
fn every_metric_that_was_asked_for_is_drawn_and_beyond_twelve_the_others_are_named() {
    let columns = schema(&[]).columns;
    let numbers = columns.iter().filter(|column| column.unit.is_number());
    let names: Vec<&str> = numbers.map(|column| &*column.name).take(14).collect();
    let drawn = |count: usize| {
        let mut digest = Digest::new(&schema(&["drops"]), &names[..count]);
        for drops in ["0", "0.1"] {
            let columns = schema(&[]).columns;
            let measures = vec![Value::Count(1); columns.len()];
            let (scenario, protocol) = ("a".to_owned(), "raft".to_owned());
            let key = Key { run: 0, scenario, values: vec![drops.to_owned()], protocol, seed: 0 };
            digest.add(&Row { key, columns, measures, command: String::new() });
        }
        digest.finish();
        let lines = lines_of(&digest);
        let metrics = lines.panels.iter().filter(|panel| !panel.title.starts_with("Runs that pass")).count();
        (metrics, lines.subtitle)
    };
    assert_eq!(drawn(8).0, 8);
    assert_eq!(drawn(12), (12, "1 run in each cell".to_owned()));
    let (metrics, subtitle) = drawn(14);
    assert_eq!(metrics, METRICS_MAX);
    assert_eq!(subtitle, format!("1 run in each cell; not drawn: {}, {}", names[12], names[13]));
}

#[test]
fn a_title_says_what_varies() {
    let title_of = |names: &[&str], cells: &[(&str, &[&str], &str)]| lines_of(&digest(names, cells)).title;
    assert_eq!(title_of(&[], &[("a", &[], "raft"), ("b", &[], "raft")]), "2 scenarios");
    assert_eq!(title_of(&["drops"], &[("a", &["0"], "raft"), ("a", &["1"], "raft")]), "a, varying drops");
    let cells: Vec<(&str, &[&str], &str)> =
        vec![("a", &["0"], "raft"), ("a", &["1"], "raft"), ("b", &["0"], "raft"), ("b", &["1"], "broadcast")];
    assert_eq!(title_of(&["drops"], &cells), "2 scenarios, varying drops and protocol");
}

/// A picture of the latencies of this many values of two names.
fn cdf_of(drops: usize, replicas: usize) -> Cdf {
    let (mut all, mut values) = (Waits::default(), Vec::new());
    for drop in 0..drops {
        for replica in 0..replicas {
            all.add(values.len(), &[1_000]);
            values.push([format!("0.{drop}"), (3 + 2 * replica).to_string()]);
        }
    }
    let values: Vec<[&str; 2]> = values.iter().map(|pair| [pair[0].as_str(), pair[1].as_str()]).collect();
    let cells: Vec<(&str, &[&str], &str)> = values.iter().map(|pair| ("a", &pair[..], "raft")).collect();
    match all.chart(&digest(&["drops", "replicas"], &cells)) {
        Chart::Cdf(cdf) => cdf,
        other => panic!("distributions: {other:?}"),
    }
}

#[test]
fn latencies_in_two_dimensions_differ_in_colour_and_dash_or_have_separate_panels() {
    let few = cdf_of(3, 2);
    let [panel] = &few.panels[..] else { panic!("one panel: {few:?}") };
    let looks: Vec<(Color, usize)> = panel.series.iter().map(|series| (series.look.color, series.look.dash)).collect();
    let colors = [0.0, 0.5, 1.0].map(Color::Place);
    assert_eq!(looks, colors.iter().flat_map(|color| [(*color, 0), (*color, 1)]).collect::<Vec<_>>());

    let many = cdf_of(5, 3);
    let titles: Vec<&str> = many.panels.iter().map(|panel| panel.title.as_str()).collect();
    assert_eq!(titles, ["replicas 3", "replicas 5", "replicas 7"]);
    for panel in &many.panels {
        let names: Vec<&str> = panel.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["drops 0.0", "drops 0.1", "drops 0.2", "drops 0.3", "drops 0.4"], "all are drawn");
        assert!(panel.series.iter().zip(&many.panels[0].series).all(|(one, other)| one.look == other.look));
    }
    assert!(!many.subtitle.contains("not drawn"), "{}", many.subtitle);
}

#[test]
fn waits_of_a_cell_are_one_curve_up_to_all_of_them() {
    let mut all = Waits::default();
    all.add(0, &[1_000, 3_000]);
    all.add(0, &[2_000, 2_000]);
    all.add(1, &[5_000]);
    let cells: [(&str, &[&str], &str); 2] = [("a", &["0"], "raft"), ("a", &["0"], "broadcast")];
    let Chart::Cdf(cdf) = all.chart(&digest(&["drops"], &cells)) else { panic!("a distribution") };
    let [panel] = &cdf.panels[..] else { panic!("one panel: {cdf:?}") };
    let names: Vec<&str> = panel.series.iter().map(|series| series.name.as_str()).collect();
    assert_eq!(names, ["raft", "broadcast"], "protocols are cells apart");
    let fractions: Vec<Vec<f64>> =
        panel.series.iter().map(|series| series.steps.iter().map(|(_, fraction)| *fraction).collect()).collect();
    assert_eq!(fractions, [vec![0.25, 0.75, 1.0], vec![1.0]]);
    assert!(cdf.subtitle.ends_with("; 2 runs"), "{}", cdf.subtitle);
}

#[test]
fn too_many_names_for_one_panel_have_a_panel_each() {
    let names: Vec<String> = (0..30).map(|i| format!("s{i}")).collect();
    let cells: Vec<(&str, &[&str], &str)> = names.iter().map(|name| (name.as_str(), &[][..], "raft")).collect();
    let mut all = Waits::default();
    (0..cells.len()).for_each(|cell| all.add(cell, &[1_000]));
    let Chart::Cdf(cdf) = all.chart(&digest(&[], &cells[..17])) else { panic!("distributions") };
    assert_eq!((cdf.panels.len(), cdf.panels[16].title.as_str()), (17, "s16"));
    let Chart::Cdf(cdf) = all.chart(&digest(&[], &cells)) else { panic!("distributions") };
    assert!(cdf.subtitle.ends_with("; 6 more cells are not drawn"), "{}", cdf.subtitle);
}
