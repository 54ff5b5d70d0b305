//! From runs and their statistics to pictures.

use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;

use super::cells::shown_metrics;
use super::digest::{CellDigest, Digest, Spread, histogram};
use super::plot::{
    Answer, AnswerKind, Cdf, CdfSeries, Chart, CutSpan, FaultMark, HeatMaps, HeatPanel, Lines, Panel, Point,
    Reign as ReignBar, Series, Timeline, Unit as PlotUnit, XAxis,
};
use super::rows::{COLUMNS, Unit, waits};
use crate::chaos::Fault;
use crate::record::{Outcome, Reign, RunRecord};
use crate::scenario::Scenario;
use crate::time::Time;

/// The most series in one picture: as many as colours and markers can tell apart.
pub const SERIES_MAX: usize = 12;

/// One thing in which cells differ.
struct Dimension {
    name: String,
    /// Its values, in the order in which they come up.
    labels: Vec<String>,
    /// The same as numbers, if all of them are.
    numbers: Option<Vec<f64>>,
    /// For each cell, the place of its value.
    places: Vec<usize>,
}

impl Dimension {
    fn of(name: &str, values: Vec<&String>) -> Dimension {
        let (labels, places) = distinct(values.into_iter().cloned());
        let numbers = labels.iter().map(|label| label.parse().ok()).collect();
        Dimension { name: name.to_owned(), labels, numbers, places }
    }

    /// The value of a cell, with its name if it is a number.
    fn label(&self, cell: usize) -> String {
        let value = &self.labels[self.places[cell]];
        if self.is_numeric() { format!("{} {value}", self.name) } else { value.clone() }
    }

    fn is_numeric(&self) -> bool {
        self.numbers.is_some()
    }
}

/// The distinct ones of these texts in the order in which they come up, and for each text its place among them.
fn distinct(texts: impl Iterator<Item = String>) -> (Vec<String>, Vec<usize>) {
    let (mut found, mut known, mut places) = (Vec::new(), BTreeMap::new(), Vec::new());
    for text in texts {
        let place = *known.entry(text).or_insert_with_key(|text| {
            found.push(text.clone());
            found.len() - 1
        });
        places.push(place);
    }
    (found, places)
}

/// What tells a cell apart from others that differ in these dimensions.
fn name_of(cell: usize, dimensions: &[Dimension]) -> String {
    dimensions.iter().map(|dimension| dimension.label(cell)).collect::<Vec<_>>().join(", ")
}

/// In what the cells of a digest differ: swept values first, then scenario and protocol. Of values that are varied
/// together the first stands for all.
fn dimensions(digest: &Digest) -> Vec<Dimension> {
    let swept = digest.names.iter().enumerate();
    let swept = swept.map(|(i, name)| Dimension::of(name, digest.cells.iter().map(|cell| &cell.values[i]).collect()));
    let scenario = Dimension::of("scenario", digest.cells.iter().map(|cell| &cell.scenario).collect());
    let protocol = Dimension::of("protocol", digest.cells.iter().map(|cell| &cell.protocol).collect());
    let mut found: Vec<Dimension> = Vec::new();
    for dimension in swept.chain([scenario, protocol]).filter(|dimension| dimension.labels.len() > 1) {
        let follows = |other: &Dimension| {
            let pairs: BTreeSet<_> = other.places.iter().zip(&dimension.places).collect();
            pairs.len() == other.labels.len()
        };
        if !found.iter().any(follows) {
            found.push(dimension);
        }
    }
    found
}

/// The picture of a sweep: two swept numbers as heat maps, everything else as lines or intervals over the first swept
/// value, with a series for each combination of the others. No picture, if there is no run.
pub fn chart(digest: &Digest) -> Option<Chart> {
    let first = digest.cells.first()?;
    let mut dimensions = dimensions(digest);
    let scenarios: BTreeSet<&String> = digest.cells.iter().map(|cell| &cell.scenario).collect();
    let title = match scenarios.len() {
        1 => first.scenario.clone(),
        several => format!("{several} scenarios"),
    };
    let seeds = digest.cells.iter().map(|cell| cell.runs).max().unwrap_or(0);
    let is_map = |dimension: &Dimension| dimension.is_numeric() && dimension.labels.len() > 2;
    if let [x, y] = &dimensions[..]
        && is_map(x)
        && is_map(y)
    {
        return Some(Chart::HeatMaps(heat_maps(digest, x, y, title, seeds)));
    }
    let x = dimensions
        .iter()
        .position(|dimension| dimension.is_numeric() && dimension.labels.len() > 2)
        .or_else(|| dimensions.iter().position(Dimension::is_numeric))
        .unwrap_or(0);
    let x = match dimensions.len() {
        0 => Dimension::of("scenario", vec![&first.scenario]),
        _ => dimensions.remove(x),
    };
    Some(Chart::Lines(lines(digest, &x, &dimensions, title, seeds)))
}

fn plot_unit(unit: Unit) -> PlotUnit {
    match unit {
        Unit::Seconds => PlotUnit::Seconds,
        Unit::Count(things) | Unit::Ratio(things) => PlotUnit::Count(things),
        Unit::Flag | Unit::Text => PlotUnit::Plain,
    }
}

/// What is drawn of a digest: a metric, or the share of runs that pass.
#[derive(Clone, Copy)]
enum Drawn {
    Metric(usize),
    Passed,
}

impl Drawn {
    /// The usual metrics, and the share of passing runs if not all do.
    fn all(digest: &Digest) -> Vec<Drawn> {
        let passed = (digest.failed() > 0).then_some(Drawn::Passed);
        passed.into_iter().chain(shown_metrics(digest).into_iter().map(Drawn::Metric)).collect()
    }

    fn title(self, digest: &Digest) -> String {
        match self {
            Drawn::Metric(place) => COLUMNS[digest.metrics[place]].title.to_owned(),
            Drawn::Passed => "Runs that pass, with 95 % interval".to_owned(),
        }
    }

    fn unit(self, digest: &Digest) -> PlotUnit {
        match self {
            Drawn::Metric(place) => plot_unit(COLUMNS[digest.metrics[place]].unit),
            Drawn::Passed => PlotUnit::Fraction,
        }
    }

    fn spread(self, cell: &CellDigest) -> Option<Spread> {
        match self {
            Drawn::Metric(place) => cell.spreads[place],
            Drawn::Passed => {
                let (low, high) = cell.pass_interval();
                Some(Spread { low, median: cell.pass_rate(), high })
            }
        }
    }
}

fn seeds_text(seeds: u64) -> String {
    format!("{seeds} {} in each cell", if seeds == 1 { "run" } else { "runs" })
}

fn lines(digest: &Digest, x: &Dimension, others: &[Dimension], title: String, seeds: u64) -> Lines {
    // The combinations of the other values, in the order in which they come up.
    let (names, series_of) = distinct((0..digest.cells.len()).map(|cell| name_of(cell, others)));
    let numbers = x.numbers.as_ref();
    let panel = |drawn: Drawn| {
        let series = names.iter().take(SERIES_MAX).enumerate().map(|(place, name)| {
            let cells = digest.cells.iter().enumerate().filter(|(cell, _)| series_of[*cell] == place);
            let points = cells.filter_map(|(number, cell)| {
                let spread = drawn.spread(cell)?;
                let place = x.places[number];
                let x = numbers.map_or(place as f64, |numbers| numbers[place]);
                Some(Point { x, low: spread.low, median: spread.median, high: spread.high })
            });
            let mut points: Vec<Point> = points.collect();
            points.sort_by(|one, other| one.x.total_cmp(&other.x));
            Series { name: name.clone(), points }
        });
        Panel { title: drawn.title(digest), unit: drawn.unit(digest), series: series.collect() }
    };
    let label = x.name.clone();
    let more = names.len().saturating_sub(SERIES_MAX);
    let left_out = if more > 0 { format!("; {more} more series are not drawn") } else { String::new() };
    Lines {
        title: if x.labels.len() > 1 { format!("{title}, by {}", x.name) } else { title },
        subtitle: format!("{}{left_out}", seeds_text(seeds)),
        x: match numbers {
            Some(_) => XAxis::Numbers { label },
            None => XAxis::Names { label, names: x.labels.clone() },
        },
        panels: Drawn::all(digest).into_iter().map(panel).collect(),
    }
}

fn heat_maps(digest: &Digest, x: &Dimension, y: &Dimension, title: String, seeds: u64) -> HeatMaps {
    let panel = |drawn: Drawn| {
        let mut values = vec![vec![None; x.labels.len()]; y.labels.len()];
        for (number, cell) in digest.cells.iter().enumerate() {
            values[y.places[number]][x.places[number]] = drawn.spread(cell).map(|spread| spread.median);
        }
        // The first value is the lowest one, as on an axis.
        values.reverse();
        HeatPanel { title: drawn.title(digest), unit: drawn.unit(digest), values }
    };
    HeatMaps {
        title: format!("{title}, by {} and {}", x.name, y.name),
        subtitle: format!("Median; {}", seeds_text(seeds)),
        x_label: x.name.clone(),
        y_label: y.name.clone(),
        columns: x.labels.clone(),
        rows: y.labels.iter().rev().cloned().collect(),
        panels: Drawn::all(digest).into_iter().map(panel).collect(),
    }
}

/// How long clients waited, over all runs of a cell, for each cell that is drawn.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// Only of the first cells: a histogram takes a lot of memory, and no picture has more curves.
    cells: Vec<Histogram<u64>>,
}

impl Waits {
    /// The waits of one run, in nanoseconds: those of gets and of puts together.
    pub fn of(record: &RunRecord) -> Vec<u64> {
        let (gets, puts) = waits(&record.history);
        gets.into_iter().chain(puts).map(|span| span.nanos()).collect()
    }

    /// Adds a run of the cell that has come up as this one, counted from 0.
    pub fn add(&mut self, cell: usize, waits: &[u64]) {
        while self.cells.len() <= cell && self.cells.len() < SERIES_MAX {
            self.cells.push(histogram());
        }
        if let Some(histogram) = self.cells.get_mut(cell) {
            for wait in waits {
                histogram.record(*wait).expect("the histogram grows as far as it must");
            }
        }
    }

    /// The picture of them. The digest is of the same runs, and knows in what their cells differ.
    pub fn chart(&self, digest: &Digest) -> Chart {
        let dimensions = dimensions(digest);
        let series = self.cells.iter().enumerate().map(|(cell, histogram)| {
            let mut below = 0;
            let steps = histogram.iter_recorded().map(|step| {
                below += step.count_since_last_iteration();
                (step.value_iterated_to() as f64 / 1e9, below as f64 / histogram.len() as f64)
            });
            CdfSeries { name: name_of(cell, &dimensions), steps: steps.collect() }
        });
        let more = digest.cells.len().saturating_sub(SERIES_MAX);
        let left_out = if more > 0 { format!("; {more} more cells are not drawn") } else { String::new() };
        Chart::Cdf(Cdf {
            title: "How long clients wait".to_owned(),
            subtitle: format!(
                "From a request's first sending to its answer, redirects included; {} runs{left_out}",
                digest.runs()
            ),
            series: series.collect(),
        })
    }
}

/// The picture of one run over time. Without `reigns`, which say in which term who led, the believed leaders are shown.
pub fn timeline(scenario: &Scenario, record: &RunRecord, reigns: &[Reign], title: &str, subtitle: &str) -> Chart {
    let seconds = Time::as_secs_f64;
    let end = record.end;
    let answers = record.history.attempts.iter().filter_map(|attempt| {
        let (time, outcome) = attempt.answer.as_ref()?;
        let kind = match outcome {
            Outcome::Ok(_) if attempt.operation.is_get() => AnswerKind::Get,
            Outcome::Ok(_) => AnswerKind::Put,
            Outcome::Redirect => AnswerKind::Redirect,
            Outcome::Fail => AnswerKind::Fail,
        };
        Some(Answer { time: seconds(*time), latency: time.since(attempt.sent).as_secs_f64(), kind })
    });
    let unanswered = record.history.attempts.iter().filter(|attempt| attempt.answer.is_none());
    let (faults, cuts) = marks(scenario, record);
    Chart::Timeline(Timeline {
        title: title.to_owned(),
        subtitle: subtitle.to_owned(),
        time: record.world.time(),
        end: seconds(end),
        answers: answers.collect(),
        faults,
        cuts,
        reigns: bars(record, reigns),
        unanswered: unanswered.map(|attempt| seconds(attempt.sent)).collect(),
    })
}

/// The faults as marks, and the partitions as spans.
fn marks(scenario: &Scenario, record: &RunRecord) -> (Vec<FaultMark>, Vec<CutSpan>) {
    let (mut faults, mut cuts) = (Vec::new(), Vec::<CutSpan>::new());
    let mut open: Option<(f64, &str)> = None;
    for struck in &record.struck {
        let (time, fault) = (struck.time.as_secs_f64(), &scenario.events[struck.event].fault);
        let ends = matches!(fault, Fault::PartEasy | Fault::PartHard | Fault::PartEnd | Fault::Heal);
        if ends && let Some((from, label)) = open.take() {
            cuts.push(CutSpan { from, to: time, label: label.to_owned() });
        }
        let label = match (fault, struck.consequence.killed) {
            (Fault::PartEasy, _) => {
                open = Some((time, "easy partition"));
                continue;
            }
            (Fault::PartHard, _) => {
                open = Some((time, "hard partition"));
                continue;
            }
            (Fault::PartEnd, _) => continue,
            (Fault::KillLeader, Some(killed)) => format!("kill leader {killed}"),
            (_, Some(killed)) => format!("kill {killed}"),
            (Fault::Isolate(replica), _) => format!("isolate {replica}"),
            (Fault::SetLink { from, to, value }, _) => format!("{from} to {to}: {value}"),
            (other, _) => other.name().replace('_', " "),
        };
        faults.push(FaultMark { time, label });
    }
    let end = record.end.as_secs_f64();
    cuts.extend(open.map(|(from, label)| CutSpan { from, to: end, label: label.to_owned() }));
    (faults, cuts)
}

/// Who led from when to when.
fn bars(record: &RunRecord, reigns: &[Reign]) -> Vec<ReignBar> {
    let seconds = Time::as_secs_f64;
    if !reigns.is_empty() {
        // The dead lead no longer, but nobody sees them stop.
        let death = |reign: &Reign| {
            let killed = record.struck.iter().find(|struck| struck.consequence.killed == Some(reign.leader));
            killed.map_or(record.end, |struck| struck.time)
        };
        let bar = |reign: &Reign| ReignBar {
            from: seconds(reign.from),
            to: seconds(reign.until.unwrap_or_else(|| death(reign))),
            label: format!("{}, term {}", reign.leader, reign.term),
        };
        return reigns.iter().map(bar).collect();
    }
    let ends = record.leaders.iter().skip(1).map(|belief| belief.since).chain([record.end]);
    let believed = record.leaders.iter().zip(ends).filter_map(|(belief, end)| {
        Some(ReignBar { from: seconds(belief.since), to: seconds(end), label: belief.leader?.to_string() })
    });
    believed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{Consequence, FaultEvent};
    use crate::check::fixture;
    use crate::id::ReplicaId;
    use crate::record::{Struck, World};
    use crate::report::rows::{Key, Row, Value, column};
    use crate::time::Span;

    /// A digest of cells with these scenarios, values and protocols, whose messages are all different.
    fn digest(names: &[&str], cells: &[(&str, &[&str], &str)]) -> Digest {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut digest = Digest::new(&names, &["messages", "failover_max"]);
        for (number, (scenario, values, protocol)) in cells.iter().enumerate() {
            let mut measures = vec![Value::Missing; COLUMNS.len()];
            measures[column("passed").unwrap()] = Value::Flag(true);
            measures[column("messages").unwrap()] = Value::Count(100 + number as u64);
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            let (scenario, protocol) = ((*scenario).to_owned(), (*protocol).to_owned());
            let key = Key { run: number as u64, scenario, values, protocol, seed: 0 };
            digest.add(&Row { key, measures, command: String::new() });
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
        let [panel] = &lines.panels[..] else { panic!("no run has a failover, and all pass: {:?}", lines.panels) };
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
        assert_eq!(lines_of(&digest(&[], &[("a", &[], "raft")])).panels[0].series[0].points.len(), 1);
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
    fn a_time_line_has_every_answer_fault_partition_and_leader() {
        let (mut scenario, mut record) = (fixture::scenario(), fixture::record());
        let at = |secs| Time::ZERO + Span::from_secs(secs);
        let faults =
            [Fault::PartHard, Fault::PartEnd, Fault::KillLeader, Fault::PartEasy, Fault::Isolate(ReplicaId(2))];
        for (event, fault) in faults.into_iter().enumerate() {
            let time = at(5 + event as u64);
            let killed = (fault == Fault::KillLeader).then_some(ReplicaId(1));
            record.struck.push(Struck { time, event, consequence: Consequence { killed, leader_lost: false } });
            scenario.events.push(FaultEvent { time, fault });
        }
        let reign = |leader, term, from, until: Option<u64>| Reign {
            leader: ReplicaId(leader),
            term,
            from: at(from),
            until: until.map(at),
        };
        let reigns = [reign(3, 1, 1, Some(2)), reign(1, 2, 2, None)];
        let Chart::Timeline(line) = timeline(&scenario, &record, &reigns, "t", "s") else { panic!("a time line") };
        let answered = record.history.attempts.iter().filter(|attempt| attempt.answer.is_some()).count();
        assert_eq!((line.answers.len(), line.unanswered.len()), (answered, 3));
        let faults: Vec<&str> = line.faults.iter().map(|fault| fault.label.as_str()).collect();
        assert_eq!(faults, ["kill leader 0001", "isolate 0002"]);
        let cuts: Vec<(f64, f64)> = line.cuts.iter().map(|cut| (cut.from, cut.to)).collect();
        assert_eq!(cuts, [(5.0, 6.0), (8.0, record.end.as_secs_f64())]);
        let reigns: Vec<(&str, f64)> = line.reigns.iter().map(|reign| (reign.label.as_str(), reign.to)).collect();
        assert_eq!(reigns, [("0003, term 1", 2.0), ("0001, term 2", 7.0)], "the dead lead no longer");
        let Chart::Timeline(line) = timeline(&scenario, &record, &[], "t", "s") else { panic!("a time line") };
        assert_eq!((line.reigns.len(), line.time), (2, "virtual time"), "believed leaders");
        for world in [World::Live, World::Grpc] {
            let live = RunRecord { world, ..fixture::record() };
            let Chart::Timeline(line) = timeline(&scenario, &live, &[], "t", "s") else { panic!("a time line") };
            assert_eq!(line.time, "real time");
        }
    }

    #[test]
    fn waits_of_a_cell_are_one_curve_up_to_all_of_them() {
        let mut all = Waits::default();
        all.add(0, &[1_000, 3_000]);
        all.add(0, &[2_000, 2_000]);
        all.add(1, &[5_000]);
        let cells: [(&str, &[&str], &str); 2] = [("a", &["0"], "raft"), ("a", &["0"], "broadcast")];
        let Chart::Cdf(cdf) = all.chart(&digest(&["drops"], &cells)) else { panic!("a distribution") };
        let names: Vec<&str> = cdf.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["raft", "broadcast"], "protocols are cells apart");
        let fractions: Vec<Vec<f64>> =
            cdf.series.iter().map(|series| series.steps.iter().map(|(_, fraction)| *fraction).collect()).collect();
        assert_eq!(fractions, [vec![0.25, 0.75, 1.0], vec![1.0]]);
        assert!(cdf.subtitle.ends_with("; 2 runs"), "{}", cdf.subtitle);
        (0..20).for_each(|cell| all.add(cell, &[1]));
        assert_eq!(all.cells.len(), SERIES_MAX, "nobody draws the others");
    }
}
