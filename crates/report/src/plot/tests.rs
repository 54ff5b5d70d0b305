//! Whole pictures: their content, what they must never contain, and that they do not change.

use std::collections::BTreeMap;

use super::scene::{Anchor, Mark, Scene, Text, WIDTH};
use super::*;
use seedbed_core::hash::StableHasher;

const MESSAGES: Unit = Unit::Count("messages");
/// Names that try to break out of an SVG or out of their place.
const NASTY: &str =
    "<&\"'>]]> --> \u{0}\u{1b}[31m\u{FFFF}\u{202E} é 日本 µ and so on without an end in sight, or nearly so";

fn point(x: f64, low: f64, median: f64, high: f64) -> Point {
    Point { x, low, median, high }
}

/// `count` series over these values. Their points are `value` of the swept value and the number of the series.
fn panel(unit: Unit, count: usize, xs: &[f64], value: fn(f64, usize) -> f64) -> Panel {
    let series = |n| {
        let at = |&x: &f64| point(x, 0.9 * value(x, n), value(x, n), 1.2 * value(x, n));
        Series { name: format!("series {n}"), look: Look::nth(n), points: xs.iter().map(at).collect() }
    };
    Panel { title: "Messages between replicas".to_owned(), unit, series: (0..count).map(series).collect() }
}

fn lines(panels: Vec<Panel>) -> Chart {
    let x = XAxis::Numbers { label: "loss (%)".to_owned() };
    Chart::Lines(Lines { title: "Raft under loss".to_owned(), subtitle: "crash-3, 200 runs".to_owned(), x, panels })
}

fn dots(names: usize, series: usize, panels: usize) -> Chart {
    let places: Vec<f64> = (0..names).map(|i| i as f64).collect();
    let panels = (0..panels).map(|_| panel(Unit::Seconds, series, &places, |x, n| 0.001 * (x + n as f64))).collect();
    let names = (0..names).map(|i| format!("partition-{i}")).collect();
    let x = XAxis::Names { label: "scenario".to_owned(), names };
    Chart::Lines(Lines { title: "Scenarios".to_owned(), subtitle: String::new(), x, panels })
}

fn sweep(panels: usize, series: usize) -> Chart {
    let xs = [0.0, 5.0, 10.0, 20.0, 30.0];
    lines((0..panels).map(|_| panel(MESSAGES, series, &xs, |x, n| 1400.0 + 40.0 * x + 300.0 * n as f64)).collect())
}

fn heat(rows: usize, columns: usize, panels: usize, unit: Unit, value: fn(usize, usize) -> Option<f64>) -> Chart {
    let values = || (0..rows).map(|row| (0..columns).map(|column| value(row, column)).collect()).collect();
    Chart::HeatMaps(HeatMaps {
        title: "Loss and size".to_owned(),
        subtitle: "medians".to_owned(),
        x_label: "loss".to_owned(),
        y_label: "replicas".to_owned(),
        columns: (0..columns).map(|i| format!("{} %", 10 * i)).collect(),
        rows: (0..rows).map(|i| format!("{} replicas", 2 * i + 3)).collect(),
        panels: (0..panels).map(|i| HeatPanel { title: format!("Metric {i}"), unit, values: values() }).collect(),
    })
}

/// A grid of panels of lines, for tests.
fn cdf(panels: usize, series: usize, steps: usize) -> Chart {
    let step = |n: usize, i: usize| (0.0002 * (n + 1) as f64 * (1.0 + i as f64), (i + 1) as f64 / steps as f64);
    let line = |n: usize| CdfSeries {
        name: format!("variant {n}"),
        look: Look::ordered(n, series).dashed(n),
        steps: (0..steps).map(|i| step(n, i)).collect(),
    };
    let title = |panel: usize| if panels == 1 { String::new() } else { format!("replicas {panel}") };
    let panel = |panel| CdfPanel { title: title(panel), series: (0..series).map(line).collect() };
    let (title, subtitle) = ("Latencies".to_owned(), String::new());
    Chart::Cdf(Cdf { title, subtitle, panels: (0..panels).map(panel).collect() })
}

fn timeline() -> Timeline {
    let kinds = [AnswerKind::Get, AnswerKind::Put, AnswerKind::Redirect, AnswerKind::Fail];
    let answer = |i: u32| {
        let latency = if (20..30).contains(&(i % 50)) { 0.5 } else { 0.0004 };
        Answer { time: 2.0 + 0.25 * f64::from(i), latency, kind: kinds[i as usize % 4] }
    };
    let fault = |(time, label): (f64, &str)| FaultMark { time, label: label.to_owned() };
    let reign = |(from, to, label): (f64, f64, &str)| Reign { from, to, label: label.to_owned() };
    Timeline {
        title: "One run".to_owned(),
        subtitle: "seed 7".to_owned(),
        verdict: String::new(),
        clock: "virtual time",
        end: 30.0,
        answers: (0..100).map(answer).collect(),
        faults: [(10.0, "kill 0002"), (10.3, "kill 0003"), (29.9, "heal everything")].map(fault).to_vec(),
        cuts: vec![CutSpan { from: 5.0, to: 8.0, label: "{0, 1} | {2, 3, 4}".to_owned() }],
        reigns: [(0.8, 10.0, "0002, term 1"), (11.0, 30.0, "0001, term 2")].map(reign).to_vec(),
        unanswered: vec![10.1, 10.2],
        wrong: Vec::new(),
        alarms: Vec::new(),
    }
}

/// A run in which every checker has a finding.
fn failed_timeline() -> Timeline {
    let alarm = |(from, to, label): (f64, f64, &str)| Alarm { from, to, label: label.to_owned() };
    Timeline {
        verdict: "FAILED: not linearizable at 6.50 s; one vote per term violated at 10.00 s".to_owned(),
        wrong: vec![WrongAnswer { answer: 40, missed: Some(17) }, WrongAnswer { answer: 44, missed: None }],
        alarms: [(10.0, 10.0, "one vote per term violated"), (12.0, 22.0, "no write acknowledged")].map(alarm).to_vec(),
        ..timeline()
    }
}

fn words(facts: usize) -> Chart {
    let fact = |i| (format!("Metric {i}"), "3.71 messages/put (3.6 to 3.9)".to_owned());
    Chart::Words(Words {
        title: "crash-3".to_owned(),
        subtitle: "One cell".to_owned(),
        facts: (0..facts).map(fact).collect(),
    })
}

/// Pictures of each kind: usual ones and extreme ones.
fn zoo() -> Vec<(&'static str, Chart)> {
    let with = |unit, xs: &[f64], value| lines(vec![panel(unit, 2, xs, value)]);
    let some = [0.0, 1.0, 2.0];
    let many: Vec<f64> = (0..500).map(f64::from).collect();
    vec![
        ("a sweep", sweep(3, 2)),
        ("a panel", sweep(1, 1)),
        ("twelve panels of twelve series", sweep(12, 12)),
        ("no panel", sweep(0, 0)),
        ("no series", sweep(2, 0)),
        ("a point", with(MESSAGES, &[5.0], |_, _| 7.0)),
        ("no point", with(MESSAGES, &[], |_, _| 7.0)),
        ("equal values", with(Unit::Seconds, &some, |_, _| 0.0004)),
        ("zeros", with(Unit::Fraction, &some, |_, _| 0.0)),
        ("huge values", with(MESSAGES, &some, |_, _| 1e18)),
        ("tiny values", with(Unit::Plain, &some, |x, _| 1e-9 * (x + 1.0))),
        ("all magnitudes", with(Unit::Plain, &[1.0, 1e3, 1e9], |x, _| x * x * x)),
        ("the ends of numbers", with(Unit::Plain, &[f64::MIN, f64::MIN_POSITIVE, f64::MAX], |x, _| x)),
        ("no numbers", with(Unit::Seconds, &[f64::NAN, 1.0, f64::INFINITY], |x, n| if n == 0 { x } else { f64::NAN })),
        ("negative values", with(Unit::Plain, &some, |x, _| 1.0 - x)),
        ("500 points", with(Unit::Seconds, &many, |x, n| 0.001 * (1.0 + x + n as f64))),
        ("all scenarios", dots(17, 2, 4)),
        ("scenarios of three variants", dots(17, 3, 2)),
        ("a name", dots(1, 2, 1)),
        ("no name", dots(0, 1, 1)),
        ("a hundred names", dots(100, 1, 2)),
        ("heat", heat(4, 5, 3, MESSAGES, |row, column| Some((1000 * row + 300 * column) as f64))),
        ("heat without some values", heat(3, 3, 2, Unit::Seconds, |row, column| (row != column).then_some(0.04))),
        ("heat without values", heat(2, 2, 1, Unit::Plain, |_, _| None)),
        ("heat without numbers", heat(2, 2, 1, Unit::Plain, |_, _| Some(f64::NAN))),
        ("heat without tiles", heat(0, 0, 2, Unit::Plain, |_, _| None)),
        ("much heat", heat(40, 40, 2, Unit::Fraction, |row, column| Some((row * column) as f64 / 1600.0))),
        (
            "heat with zeros and an outlier",
            heat(3, 3, 2, Unit::Seconds, |row, column| Some((row * column) as f64 * 1e-3)),
        ),
        ("latencies", cdf(1, 3, 400)),
        ("latencies of twelve", cdf(1, 12, 50)),
        ("latencies in panels", cdf(3, 5, 50)),
        ("latencies in many panels", cdf(24, 1, 50)),
        ("a latency", cdf(1, 1, 1)),
        ("no latency", cdf(1, 1, 0)),
        ("nothing to compare", cdf(1, 0, 0)),
        ("no panel of latencies", cdf(0, 0, 0)),
        ("words", words(5)),
        ("no words", words(0)),
        ("a run", Chart::Timeline(timeline())),
        ("a run that failed", Chart::Timeline(failed_timeline())),
        ("a run of nothing", Chart::Timeline(nothing())),
        ("a run of everything", Chart::Timeline(everything())),
    ]
}

fn nothing() -> Timeline {
    Timeline {
        title: String::new(),
        subtitle: String::new(),
        clock: "real time",
        end: 0.0,
        answers: Vec::new(),
        faults: Vec::new(),
        cuts: Vec::new(),
        reigns: Vec::new(),
        unanswered: Vec::new(),
        verdict: String::new(),
        wrong: Vec::new(),
        alarms: Vec::new(),
    }
}

fn everything() -> Timeline {
    let fault = |i: u32| FaultMark { time: 0.5 * f64::from(i), label: format!("kill {i:04}") };
    let reign = |i: u32| Reign { from: 0.3 * f64::from(i), to: 0.3 * f64::from(i + 1), label: format!("{i}, {NASTY}") };
    let mut run = timeline();
    run.faults = (0..64).map(fault).collect();
    run.reigns = (0..100).map(reign).collect();
    run.cuts.push(CutSpan { from: -3.0, to: f64::INFINITY, label: NASTY.to_owned() });
    run.answers.push(Answer { time: f64::NAN, latency: 1.0, kind: AnswerKind::Get });
    run.answers.push(Answer { time: 1.0, latency: f64::NEG_INFINITY, kind: AnswerKind::Get });
    run.answers.push(Answer { time: 1.0, latency: 0.0, kind: AnswerKind::Get });
    run.unanswered.push(f64::NAN);
    run.wrong = (0..200).map(|i| WrongAnswer { answer: i, missed: Some(200 - i) }).collect();
    run.alarms.push(Alarm { from: f64::NAN, to: f64::INFINITY, label: NASTY.to_owned() });
    run.alarms.push(Alarm { from: 3.0, to: f64::INFINITY, label: NASTY.to_owned() });
    run.alarms.push(Alarm { from: -1.0, to: -2.0, label: NASTY.to_owned() });
    run
}

/// The same picture with all its texts replaced by a nasty one.
fn with_nasty_texts(chart: Chart) -> Chart {
    let all = |texts: &mut [&mut String]| texts.iter_mut().for_each(|text| NASTY.clone_into(text));
    match chart {
        bars @ Chart::Bars(_) => bars,
        Chart::Lines(mut lines) => {
            all(&mut [&mut lines.title, &mut lines.subtitle]);
            match &mut lines.x {
                XAxis::Numbers { label } => all(&mut [label]),
                XAxis::Names { label, names } => {
                    all(&mut [label]);
                    all(&mut names.iter_mut().collect::<Vec<_>>());
                }
            }
            for panel in &mut lines.panels {
                all(&mut [&mut panel.title]);
                all(&mut panel.series.iter_mut().map(|series| &mut series.name).collect::<Vec<_>>());
                panel.unit = if matches!(panel.unit, Unit::Count(_)) { Unit::Count(NASTY) } else { panel.unit };
            }
            Chart::Lines(lines)
        }
        Chart::HeatMaps(mut maps) => {
            all(&mut [&mut maps.title, &mut maps.subtitle, &mut maps.x_label, &mut maps.y_label]);
            all(&mut maps.columns.iter_mut().chain(&mut maps.rows).collect::<Vec<_>>());
            all(&mut maps.panels.iter_mut().map(|panel| &mut panel.title).collect::<Vec<_>>());
            Chart::HeatMaps(maps)
        }
        Chart::Cdf(mut cdf) => {
            all(&mut [&mut cdf.title, &mut cdf.subtitle]);
            for panel in &mut cdf.panels {
                all(&mut [&mut panel.title]);
                all(&mut panel.series.iter_mut().map(|series| &mut series.name).collect::<Vec<_>>());
            }
            Chart::Cdf(cdf)
        }
        Chart::Timeline(mut run) => {
            all(&mut [&mut run.title, &mut run.subtitle, &mut run.verdict]);
            all(&mut run.alarms.iter_mut().map(|alarm| &mut alarm.label).collect::<Vec<_>>());
            all(&mut run.faults.iter_mut().map(|fault| &mut fault.label).collect::<Vec<_>>());
            Chart::Timeline(run)
        }
        Chart::Words(mut words) => {
            all(&mut [&mut words.title, &mut words.subtitle]);
            all(&mut words.facts.iter_mut().flat_map(|(name, value)| [name, value]).collect::<Vec<_>>());
            Chart::Words(words)
        }
    }
}

fn all_charts() -> impl Iterator<Item = (String, Chart)> {
    let named = |(name, chart): (&str, Chart)| {
        [(name.to_owned(), chart.clone()), (format!("nasty: {name}"), with_nasty_texts(chart))]
    };
    zoo().into_iter().flat_map(named)
}

fn texts(scene: &Scene) -> Vec<&Text> {
    scene.marks.iter().filter_map(|mark| if let Mark::Text(text) = mark { Some(text) } else { None }).collect()
}

/// The rectangle that a text takes: left, top, right, bottom.
fn bounds(text: &Text) -> [f64; 4] {
    let long = font::width(&text.text, text.size);
    let before = match text.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => long / 2.0,
        Anchor::End => long,
    };
    let (up, down) = (font::ASCENT * text.size, 0.24 * text.size);
    let (x, y) = text.at;
    if text.upwards {
        [x - up, y + before - long, x + down, y + before]
    } else {
        [x - before, y - up, x - before + long, y + down]
    }
}

fn svg_of(chart: &Chart) -> String {
    String::from_utf8(chart.render(Format::Svg)).expect("an SVG is text")
}

/// All texts of an SVG, without the line breaks that `plotters` puts around them.
fn svg_texts(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).expect("well-formed XML");
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.map(|node| node.text().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn a_format_is_known_by_its_extension() {
    let format = |path: &str| Format::of(Path::new(path));
    assert_eq!((format("a/b.svg"), format("b.PNG")), (Some(Format::Svg), Some(Format::Png)));
    assert_eq!((format("b.pdf"), format("svg"), format(".svg"), format("")), (None, None, None, None));
}

#[test]
fn no_text_is_cut_off_and_no_two_overlap() {
    for (name, chart) in all_charts() {
        let scene = chart.scene();
        let texts = texts(&scene);
        for (i, text) in texts.iter().enumerate() {
            let [left, top, right, bottom] = bounds(text);
            let is_inside = left >= 0.0 && top >= 0.0 && right <= WIDTH && bottom <= scene.height;
            assert!(is_inside, "{name}: {text:?} leaves the picture");
            assert!(text.size >= 12.0, "{name}: {text:?} is too small");
            for other in &texts[i + 1..] {
                let [other_left, other_top, other_right, other_bottom] = bounds(other);
                let is_apart = right <= other_left || other_right <= left || bottom <= other_top || other_bottom <= top;
                assert!(is_apart, "{name}: {text:?} overlaps {other:?}");
            }
        }
    }
}

#[test]
fn nothing_is_drawn_outside_the_picture() {
    for (name, chart) in all_charts() {
        let scene = chart.scene();
        assert!(scene.height.fract() == 0.0 && scene.height < 20_000.0, "{name}: {}", scene.height);
        for mark in &scene.marks {
            let points = match mark {
                Mark::Line { points, .. } | Mark::Area { points, .. } => points.clone(),
                Mark::Box { from, to, .. } => vec![*from, *to],
                Mark::Disc { at, .. } | Mark::Text(Text { at, .. }) => vec![*at],
            };
            let is_inside = |(x, y): &(f64, f64)| (0.0..=WIDTH).contains(x) && (0.0..=scene.height).contains(y);
            assert!(points.iter().all(is_inside), "{name}: {mark:?}");
        }
    }
}

#[test]
fn every_svg_is_well_formed() {
    for (name, chart) in all_charts() {
        let svg = svg_of(&chart);
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        let root = document.root_element();
        assert_eq!((root.tag_name().name(), root.attribute("width")), ("svg", Some("800")), "{name}");
    }
}

#[test]
fn an_svg_contains_all_words_and_a_line_for_each_series_and_panel() {
    let svg = svg_of(&sweep(3, 2));
    let texts = svg_texts(&svg);
    let count = |word: &str| texts.iter().filter(|text| *text == word).count();
    assert_eq!((count("Raft under loss"), count("crash-3, 200 runs")), (1, 1));
    assert_eq!((count("series 0"), count("series 1"), count("Messages between replicas")), (1, 1, 3));
    assert_eq!((count("messages"), count("loss (%)"), count("30")), (3, 3, 3));
    let document = roxmltree::Document::parse(&svg).unwrap();
    for stroke in ["#0072B2", "#E69F00"] {
        let is_line = |node: &roxmltree::Node<'_, '_>| {
            let points = node.attribute("points").unwrap_or_default().split_whitespace().count();
            node.has_tag_name("polyline") && node.attribute("stroke") == Some(stroke) && points == 5
        };
        assert_eq!(document.descendants().filter(is_line).count(), 3, "{stroke}");
    }
}

#[test]
fn a_run_shows_its_faults_its_leaders_and_its_unanswered_requests() {
    let texts = svg_texts(&svg_of(&Chart::Timeline(timeline())));
    for word in ["kill 0002", "kill 0003", "heal everything", "{0, 1} | {2, 3, 4}", "0002, term 1", "unanswered"] {
        assert!(texts.iter().any(|text| text == word), "{word} is missing in {texts:?}");
    }
    for kind in ["get", "put", "redirect", "fail"] {
        assert!(texts.iter().any(|text| text == kind), "{kind} is missing in {texts:?}");
    }
}

/// The lines and areas of a picture in this colour, whatever their opacity.
fn marks_in(scene: &Scene, rgb: (u8, u8, u8)) -> Vec<&Mark> {
    let is_wanted = |mark: &&Mark| match mark {
        Mark::Line { ink, .. } | Mark::Area { ink, .. } | Mark::Box { ink, .. } | Mark::Disc { ink, .. } => {
            ink.rgb == rgb
        }
        Mark::Text(_) => false,
    };
    scene.marks.iter().filter(is_wanted).collect()
}

#[test]
fn a_failed_run_is_red_at_its_errors_and_a_passed_run_is_red_nowhere() {
    let passed = Chart::Timeline(timeline()).scene();
    assert!(marks_in(&passed, scene::RED.rgb).is_empty());
    let failed = Chart::Timeline(failed_timeline()).scene();
    let rings = |scene: &Scene| {
        let is_ring = |mark: &&Mark| matches!(mark, Mark::Line { points, .. } if points.len() > 20);
        marks_in(scene, scene::RED.rgb).into_iter().filter(is_ring).count()
    };
    assert_eq!(rings(&failed), 2 + 1, "two wrong answers and the legend");
    let texts: Vec<&str> =
        texts(&failed).iter().filter(|text| text.ink == scene::RED).map(|text| text.text.as_str()).collect();
    let verdict = failed_timeline().verdict;
    assert_eq!(texts, [verdict.as_str(), "one vote per term violated", "no write acknowledged"]);
    assert!(svg_texts(&svg_of(&Chart::Timeline(failed_timeline()))).contains(&verdict));
}

#[test]
fn no_leader_has_the_colour_of_a_kind_of_answer() {
    let mut run = Timeline { answers: Vec::new(), ..timeline() };
    run.reigns = (0..9).map(|i| Reign { from: i.into(), to: (i + 1).into(), label: format!("000{i}") }).collect();
    let scene = Chart::Timeline(run).scene();
    for ink in color::SERIES.iter().take(6) {
        assert!(marks_in(&scene, ink.rgb).is_empty(), "{ink:?}");
    }
}

#[test]
fn leaders_of_the_same_time_do_not_hide_each_other() {
    let names = |reigns: &[(f64, f64, &str)]| {
        let reign = |(from, to, label): &(f64, f64, &str)| Reign { from: *from, to: *to, label: (*label).to_owned() };
        let run = Timeline { reigns: reigns.iter().map(reign).collect(), ..timeline() };
        let scene = Chart::Timeline(run).scene();
        let found: Vec<(String, f64)> = texts(&scene)
            .iter()
            .filter(|text| text.text.contains(", term"))
            .map(|text| (text.text.clone(), text.at.1))
            .collect();
        found
    };
    let after = names(&[(1.0, 10.0, "0001, term 1"), (10.0, 30.0, "0002, term 2")]);
    assert!(after.len() == 2 && after[0].1 == after[1].1, "one after the other: {after:?}");
    let beside = names(&[(1.0, 20.0, "0001, term 1"), (10.0, 30.0, "0002, term 2"), (21.0, 29.0, "0003, term 3")]);
    assert!(beside[0].1 < beside[1].1 && beside[2].1 == beside[0].1, "{beside:?}");
}

#[test]
fn a_legend_says_how_many_faults_have_no_label() {
    let legend = |run: Timeline| {
        let texts = svg_texts(&svg_of(&Chart::Timeline(run)));
        texts.into_iter().find(|text| text.starts_with("fault")).expect("a legend of faults")
    };
    assert_eq!(legend(timeline()), "fault");
    let crowded = legend(everything());
    let (left_out, all) = crowded.strip_prefix("fault (").and_then(|text| text.split_once(" of ")).expect(&crowded);
    assert_eq!(all, "61 without a label)", "only those until the end of the run");
    let labelled =
        svg_texts(&svg_of(&Chart::Timeline(everything()))).iter().filter(|text| text.starts_with("kill")).count();
    assert_eq!(left_out.parse::<usize>().expect("a number") + labelled, 61);
}

#[test]
fn every_swept_value_has_a_line_and_every_panel_the_name_of_its_axis() {
    let chart = lines((0..3).map(|_| panel(MESSAGES, 1, &[10.0, 20.0, 50.0, 100.0, 140.0], |x, _| x)).collect());
    let texts = svg_texts(&svg_of(&chart));
    let count = |word: &str| texts.iter().filter(|text| *text == word).count();
    for value in ["10", "20", "140", "loss (%)"] {
        assert_eq!(count(value), 3, "{value} in {texts:?}");
    }
}

#[test]
fn intervals_between_few_values_are_bars_and_between_many_a_band() {
    let areas = |values: &[f64]| {
        let scene = lines(vec![panel(MESSAGES, 1, values, |x, _| x + 1.0)]).scene();
        scene.marks.iter().filter(|mark| matches!(mark, Mark::Area { .. })).count()
    };
    let many: Vec<f64> = (0..500).map(f64::from).collect();
    assert_eq!((areas(&[0.0, 1.0, 2.0, 3.0]), areas(&many)), (0, 1));
}

#[test]
fn series_side_by_side_do_not_hide_each_other() {
    let scene = sweep(1, 3).scene();
    let lines: Vec<f64> = scene
        .marks
        .iter()
        .filter_map(|mark| match mark {
            Mark::Line { points, width, .. } if points.len() == 5 && *width == 2.0 => Some(points[0].0),
            _ => None,
        })
        .collect();
    assert!(lines.len() == 3 && lines[0] < lines[1] && lines[1] < lines[2], "{lines:?}");
}

#[test]
fn a_map_of_many_tiles_is_low_and_states_the_range_of_its_values() {
    let wide = heat(7, 26, 5, Unit::Seconds, |row, column| Some(0.001 * (1 + row * column) as f64));
    assert!(wide.scene().height < 900.0, "{}", wide.scene().height);
    let texts = svg_texts(&svg_of(&wide));
    assert!(texts.iter().any(|text| text == "Metric 0, 1 ms to 0.151 s"), "{texts:?}");
}

#[test]
fn a_tile_shows_its_number() {
    let texts = svg_texts(&svg_of(&heat(2, 2, 1, MESSAGES, |row, column| Some((1483 * row + 12 * column) as f64))));
    for number in ["12", "1483", "1495"] {
        assert!(texts.iter().any(|text| text == number), "{number} is missing in {texts:?}");
    }
}

#[test]
fn a_point_that_is_not_a_number_is_left_out_and_the_others_stay() {
    let points = vec![point(0.0, 1.0, 2.0, 3.0), point(1.0, 1.0, f64::NAN, 3.0), point(2.0, 1.0, 2.0, 3.0)];
    let series = vec![Series { name: "one".to_owned(), look: Look::nth(0), points: points.clone() }];
    let broken = Panel { title: "Metric".to_owned(), unit: Unit::Plain, series };
    let mut whole = broken.clone();
    whole.series[0].points.remove(1);
    assert_eq!(lines(vec![broken]).scene(), lines(vec![whole]).scene());
}

#[test]
fn points_may_come_in_any_order() {
    let mut turned = panel(MESSAGES, 1, &[0.0, 1.0, 2.0], |x, _| x);
    let chart = lines(vec![turned.clone()]);
    turned.series[0].points.reverse();
    assert_eq!(lines(vec![turned]).scene(), chart.scene());
}

/// The pixels of a PNG with its width and height.
fn decode(png: &[u8]) -> (Vec<u8>, u32, u32) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a picture");
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    (pixels, info.width, info.height)
}

#[test]
fn a_png_has_twice_as_many_pixels_as_the_svg_and_shows_all_colours() {
    let chart = sweep(3, 2);
    let (pixels, wide, high) = decode(&chart.render(Format::Png));
    assert_eq!((wide, f64::from(high)), (1600, 2.0 * chart.scene().height));
    let mut colours: BTreeMap<[u8; 3], usize> = BTreeMap::new();
    for pixel in pixels.as_chunks::<3>().0 {
        *colours.entry(*pixel).or_default() += 1;
    }
    for colour in [[0x00, 0x72, 0xB2], [0xE6, 0x9F, 0x00], [0x22, 0x22, 0x22]] {
        assert!(colours.get(&colour).is_some_and(|count| *count > 100), "{colour:?}");
    }
    assert_eq!(colours.into_iter().max_by_key(|(_, count)| *count).map(|(colour, _)| colour), Some([255; 3]));
}

#[test]
fn letters_of_a_png_are_where_the_layout_puts_them() {
    let mut scene = Scene::new();
    scene.height = 100.0;
    scene.text((400.0, 60.0), Anchor::Middle, 20.0, scene::BLACK, "middle");
    let (pixels, wide, _) = decode(&paint::png(&scene));
    let dark = pixels.as_chunks::<3>().0.iter().enumerate().filter(|(_, pixel)| pixel[0] < 128);
    let places: Vec<(u32, u32)> = dark.map(|(i, _)| (i as u32 % wide, i as u32 / wide)).collect();
    let ends =
        |of: fn(&(u32, u32)) -> u32| (places.iter().map(of).min().unwrap(), places.iter().map(of).max().unwrap());
    let ((left, right), (top, bottom)) = (ends(|place| place.0), ends(|place| place.1));
    let half = font::width("middle", 20.0);
    assert!((f64::from(left + right) / 2.0 - 800.0).abs() < 4.0, "{left} to {right}");
    assert!((f64::from(right - left) - 2.0 * half).abs() < 8.0, "{left} to {right}");
    // The letters d and l rise by 0.76 sizes. Only round letters go below the baseline, a little.
    assert!((119..=121).contains(&bottom) && top.abs_diff(120 - 30) <= 2, "{top} to {bottom}");
}

#[test]
fn a_png_can_be_read() {
    // Pixels take long here, because the report is not optimised. The content is the same for both formats.
    for (name, chart) in zoo().into_iter().step_by(6) {
        let (_, wide, high) = decode(&chart.render(Format::Png));
        assert_eq!((wide, f64::from(high)), (1600, 2.0 * chart.scene().height), "{name}");
    }
}

#[test]
fn equal_charts_give_equal_bytes() {
    for format in [Format::Svg, Format::Png] {
        assert_eq!(sweep(3, 2).render(format), sweep(3, 2).render(format));
    }
}

#[test]
fn pictures_do_not_change() {
    // Written down once. If they should change, look at the pictures before you write the new hashes down.
    let hash = |chart: &Chart, format| format!("{:016x}", StableHasher::of(&chart.render(format)));
    let run = Chart::Timeline(timeline());
    let failed = Chart::Timeline(failed_timeline());
    let map = heat(4, 5, 2, MESSAGES, |row, column| Some((row * column) as f64));
    let found = [
        hash(&sweep(3, 2), Format::Svg),
        hash(&dots(17, 2, 2), Format::Svg),
        hash(&map, Format::Svg),
        hash(&cdf(1, 3, 40), Format::Svg),
        hash(&run, Format::Svg),
        hash(&run, Format::Png),
        hash(&failed, Format::Svg),
    ];
    let expected = [
        "984e1adbcc3ca52e",
        "9d525d3aabd72372",
        "d85ba841fdb4ba5d",
        "11cf8738d0f3ca85",
        "6e5efb3359e833f7",
        "7403a682a87247c2",
        "11e2de2016e25f90",
    ];
    assert_eq!(found, expected);
}
