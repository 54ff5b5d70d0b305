//! Statistics of a sweep, cell by cell, from its rows.
//!
//! Rows come in the order of their runs, so the rows of a cell come one after another and only one cell is summed up at
//! a time: memory does not grow with the number of runs.

use hdrhistogram::Histogram;

use super::rows::{Column, Columns, Key, MAIN, Row, Schema, Unit, UnknownMetric, Value};
use seedbed_core::hash::StableHasher;

/// At most this many failed runs of each cell are remembered by seed; the others are only counted.
pub const FAILURES_MAX: usize = 20;

/// Once this many are remembered in all, each further cell remembers only one: there may be a hundred thousand cells.
const FAILURES_ALL_MAX: usize = 50_000;

/// Numbers are kept to this many significant digits.
const DIGITS: u8 = 3;

/// Ratios are counted in parts of a million, because histograms hold only integers.
const RATIO_PARTS: f64 = 1e6;

/// The normal distribution's two-sided 95 %.
const Z95: f64 = 1.959_963_984_540_054;

/// The spread of a number over the runs of a cell, to three significant digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// 5 % of the runs are at or below it.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// 95 % of the runs are at or below it.
    pub high: f64,
}

/// A run that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The run's number in its sweep.
    pub run: u64,
    /// Its seed.
    pub seed: u64,
    /// Its findings, in one line.
    pub findings: String,
    /// The command that repeats it.
    pub command: String,
}

/// The run to look at first: a failed one; otherwise the one with the longest time without an acknowledged write;
/// otherwise the one with the slowest put. Among equals it is the one with the lowest seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// Its seed.
    pub seed: u64,
    /// The command that repeats it.
    pub command: String,
    failed: bool,
    gap: f64,
    slowest: f64,
}

/// The statistics of the runs of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellDigest {
    /// The scenario's name.
    pub scenario: String,
    /// The label of each swept value.
    pub values: Vec<String>,
    /// What the replicas ran.
    pub protocol: String,
    /// How many runs there were.
    pub runs: u64,
    /// How many of them passed.
    pub passed: u64,
    /// The first runs that failed.
    pub failures: Vec<Failure>,
    /// The run to look at first.
    pub worst: Worst,
    /// For each metric of the digest; none if no run had it.
    pub spreads: Vec<Option<Spread>>,
}

impl CellDigest {
    /// How many runs failed.
    pub fn failed(&self) -> u64 {
        self.runs - self.passed
    }

    /// The share of runs that pass.
    pub fn pass_rate(&self) -> f64 {
        self.passed as f64 / self.runs as f64
    }

    /// The bounds of the share of passing runs in 95 of 100 such sweeps ([`wilson`]).
    pub fn pass_interval(&self) -> (f64, f64) {
        wilson(self.passed, self.runs)
    }
}

/// Wilson's score interval for a share, at 95 % (Wilson 1927). Unlike the normal one it stays within 0 and 1, and is
/// not empty when all runs pass.
pub fn wilson(passed: u64, runs: u64) -> (f64, f64) {
    if runs == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (runs as f64, passed as f64 / runs as f64);
    let z2 = Z95 * Z95;
    let middle = share + z2 / (2.0 * n);
    let margin = Z95 * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    let low = if passed == 0 { 0.0 } else { (middle - margin) / scale };
    let high = if passed == runs { 1.0 } else { (middle + margin) / scale };
    (low, high)
}

/// An empty histogram, of numbers with three significant digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("three digits are allowed")
}

/// The statistics of a sweep.
#[derive(Clone, Debug)]
pub struct Digest {
    /// The names of the swept values.
    pub names: Vec<String>,
    /// The columns of the rows.
    pub columns: Columns,
    /// The metrics, as places among them.
    pub metrics: Vec<usize>,
    /// Whether these metrics were asked for. If there is little room, only a few of the usual ones are shown; metrics
    /// that were asked for are always shown.
    pub asked: bool,
    /// The cells in order.
    pub cells: Vec<CellDigest>,
    histograms: Vec<Histogram<u64>>,
    /// How many failures are remembered in all cells.
    remembered: usize,
    trace: StableHasher,
}

impl Digest {
    /// A digest of the usual metrics of these rows.
    pub fn usual(schema: &Schema) -> Digest {
        Digest { asked: false, ..Digest::new(schema, &MAIN) }
    }

    /// A digest of the metrics with these names, each once, or of the usual ones if there is no name.
    ///
    /// # Errors
    /// If a name is not that of a numeric column.
    pub fn of(schema: &Schema, names: &[String]) -> Result<Digest, UnknownMetric> {
        let mut metrics: Vec<&str> = Vec::new();
        for name in names {
            schema.columns.metric(name)?;
            if !metrics.contains(&name.as_str()) {
                metrics.push(name);
            }
        }
        Ok(if metrics.is_empty() { Digest::usual(schema) } else { Digest::new(schema, &metrics) })
    }

    /// A digest of metrics of these rows that were asked for.
    ///
    /// # Panics
    /// If a metric is not a numeric column.
    pub fn new(schema: &Schema, metrics: &[&str]) -> Digest {
        let columns = &schema.columns;
        let place = |name: &&str| columns.metric(name).unwrap_or_else(|error| panic!("{error}"));
        Digest {
            names: schema.names.clone(),
            columns: columns.clone(),
            metrics: metrics.iter().map(place).collect(),
            asked: true,
            cells: Vec::new(),
            histograms: metrics.iter().map(|_| histogram()).collect(),
            remembered: 0,
            trace: StableHasher::new(),
        }
    }

    /// The column of one of the metrics, by its place among them.
    pub fn column(&self, metric: usize) -> &Column {
        self.columns.get(self.metrics[metric])
    }

    /// Adds the next run.
    pub fn add(&mut self, row: &Row) {
        if !self.cells.last().is_some_and(|cell| cell.is_of(&row.key)) {
            self.finish();
            self.cells.push(CellDigest::begin(row));
        }
        for (&metric, histogram) in self.metrics.iter().zip(&mut self.histograms) {
            if let Some(number) = row.measures[metric].number() {
                let recorded = histogram.record(whole(number, self.columns.get(metric).unit));
                recorded.expect("the histogram grows as far as it must");
            }
        }
        if let Value::Text(trace) = row.measure("trace") {
            self.trace.word(u64::from_str_radix(trace, 16).unwrap_or_default());
        }
        let most = if self.remembered < FAILURES_ALL_MAX { FAILURES_MAX } else { 1 };
        let cell = self.cells.last_mut().expect("one was just begun");
        let before = cell.failures.len();
        cell.add(row, most);
        self.remembered += cell.failures.len() - before;
    }

    /// After the last run: completes the last cell.
    pub fn finish(&mut self) {
        let Some(cell) = self.cells.last_mut().filter(|cell| cell.spreads.is_empty()) else { return };
        for (&metric, histogram) in self.metrics.iter().zip(&mut self.histograms) {
            cell.spreads.push(spread(histogram, self.columns.get(metric).unit));
            histogram.reset();
        }
    }

    /// How many runs there were.
    pub fn runs(&self) -> u64 {
        self.cells.iter().map(|cell| cell.runs).sum()
    }

    /// How many of them failed.
    pub fn failed(&self) -> u64 {
        self.cells.iter().map(CellDigest::failed).sum()
    }

    /// One hash over the traces of all runs, in order.
    pub fn trace(&self) -> u64 {
        self.trace.value()
    }
}

impl CellDigest {
    fn begin(row: &Row) -> CellDigest {
        let key = row.key.clone();
        CellDigest {
            scenario: key.scenario,
            values: key.values,
            protocol: key.protocol,
            runs: 0,
            passed: 0,
            failures: Vec::new(),
            worst: Worst::of(row),
            spreads: Vec::new(),
        }
    }

    fn is_of(&self, key: &Key) -> bool {
        self.values == key.values && self.scenario == key.scenario && self.protocol == key.protocol
    }

    fn add(&mut self, row: &Row, failures_max: usize) {
        self.runs += 1;
        self.passed += u64::from(row.passed());
        if !row.passed() && self.failures.len() < failures_max {
            let findings = match row.measure("findings") {
                Value::Text(findings) => findings.clone(),
                _ => String::new(),
            };
            let Row { key: Key { run, seed, .. }, command, .. } = row;
            self.failures.push(Failure { run: *run, seed: *seed, findings, command: command.clone() });
        }
        let worst = Worst::of(row);
        if worst.is_worse_than(&self.worst) {
            self.worst = worst;
        }
    }
}

impl Worst {
    fn of(row: &Row) -> Worst {
        let number = |name| row.measure(name).number().unwrap_or(0.0);
        Worst {
            seed: row.key.seed,
            command: row.command.clone(),
            failed: !row.passed(),
            gap: number("write_gap"),
            slowest: number("put_latency_max"),
        }
    }

    fn is_worse_than(&self, other: &Worst) -> bool {
        let badness = |worst: &Worst| (worst.failed, worst.gap, worst.slowest);
        badness(self) > badness(other)
    }
}

/// As an integer: nanoseconds, parts of a ratio, or a count.
fn whole(number: f64, unit: Unit) -> u64 {
    let scaled = number * scale(unit);
    scaled.round() as u64
}

fn scale(unit: Unit) -> f64 {
    match unit {
        Unit::Seconds => 1e9,
        Unit::Ratio(_) => RATIO_PARTS,
        _ => 1.0,
    }
}

fn spread(histogram: &Histogram<u64>, unit: Unit) -> Option<Spread> {
    let at = |quantile| {
        let value = histogram.value_at_quantile(quantile);
        // The middle of those numbers that three digits cannot tell apart.
        let middle = histogram.median_equivalent(value) as f64 / scale(unit);
        // Further digits would only pretend to be precise.
        format!("{middle:.3e}").parse().unwrap_or(middle)
    };
    (!histogram.is_empty()).then(|| Spread { low: at(0.05), median: at(0.5), high: at(0.95) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        Schema { names: vec!["drops".to_owned()], columns: Columns::of(["append"]) }
    }

    fn row(cell: &str, seed: u64, passed: bool, messages: u64, gap: f64) -> Row {
        let columns = schema().columns;
        let mut measures = vec![Value::Missing; columns.len()];
        let mut set = |name, value| measures[columns.find(name).unwrap()] = value;
        set("passed", Value::Flag(passed));
        set("messages", Value::Count(messages));
        set("write_gap", Value::Number(gap));
        set("trace", Value::Text(format!("{seed:016x}")));
        if !passed {
            set("findings", Value::Text("bad".to_owned()));
        }
        let values = vec![cell.to_owned()];
        let key = Key { run: seed, scenario: "s".to_owned(), values, protocol: "raft".to_owned(), seed };
        Row { key, columns, measures, command: format!("run {seed}") }
    }

    fn digest(rows: &[Row]) -> Digest {
        let mut digest = Digest::new(&schema(), &["messages", "write_gap", "failover_max"]);
        rows.iter().for_each(|row| digest.add(row));
        digest.finish();
        digest
    }

    #[test]
    fn each_cell_has_its_runs_its_spreads_and_its_worst_run() {
        let mut rows: Vec<Row> = (1..=100).map(|seed| row("0", seed, true, seed, seed as f64 / 1_000.0)).collect();
        rows.extend((0..10).map(|seed| row("0.1", seed, seed != 4, 1_483, 0.25)));
        let digest = digest(&rows);
        let [calm, lossy] = &digest.cells[..] else { panic!("two cells") };
        assert_eq!((calm.runs, calm.failed(), lossy.runs, lossy.failed()), (100, 0, 10, 1));
        assert_eq!(calm.spreads[0], Some(Spread { low: 5.0, median: 50.0, high: 95.0 }));
        let gap = calm.spreads[1].unwrap();
        for (found, expected) in [(gap.low, 0.005), (gap.median, 0.05), (gap.high, 0.095)] {
            assert!((found - expected).abs() <= expected / 1_000.0, "{found} {expected}");
        }
        assert_eq!((lossy.spreads[0].unwrap().median, lossy.spreads[1].unwrap().median), (1_483.0, 0.25));
        assert_eq!(calm.spreads[2], None);
        assert_eq!((calm.worst.seed, lossy.worst.seed, lossy.worst.command.as_str()), (100, 4, "run 4"));
        assert_eq!(lossy.failures[0].findings, "bad");
        assert_eq!((digest.runs(), digest.failed()), (110, 1));
    }

    #[test]
    fn the_worst_run_has_failed_or_the_longest_gap_or_the_slowest_put() {
        let run = |seed, passed, gap, slowest| {
            let mut row = row("0", seed, passed, 1, gap);
            let place = row.columns.find("put_latency_max").unwrap();
            row.measures[place] = Value::Number(slowest);
            row
        };
        let mut rows = vec![run(0, true, 1.0, 0.5), run(1, true, 1.0, 0.6), run(2, true, 1.0, 0.6)];
        assert_eq!(digest(&rows).cells[0].worst.seed, 1);
        rows.push(run(3, true, 1.1, 0.1));
        assert_eq!(digest(&rows).cells[0].worst.seed, 3);
        rows.push(run(4, false, 0.0, 0.0));
        assert_eq!(digest(&rows).cells[0].worst.seed, 4);
    }

    #[test]
    fn only_the_first_failures_are_remembered_and_all_are_counted() {
        let rows: Vec<Row> = (0..100).map(|seed| row("0", seed, false, 1, 0.0)).collect();
        let digest = digest(&rows);
        assert_eq!((digest.cells[0].failures.len(), digest.failed()), (FAILURES_MAX, 100));
        assert_eq!(digest.cells[0].worst.seed, 0, "of equals the first");
    }

    #[test]
    fn with_very_many_cells_only_the_first_failure_of_each_is_remembered() {
        let cells = 2_600;
        let rows = (0..cells).flat_map(|cell| (0..20).map(move |seed| row(&cell.to_string(), seed, false, 1, 0.0)));
        let mut digest = Digest::new(&schema(), &["messages"]);
        rows.for_each(|row| digest.add(&row));
        digest.finish();
        let remembered = |cell: usize| digest.cells[cell].failures.len();
        assert_eq!((remembered(0), remembered(2_499), remembered(2_500), remembered(2_599)), (20, 20, 1, 1));
        assert_eq!(digest.failed(), cells * 20, "all are counted");
    }

    #[test]
    fn the_hash_is_of_all_traces_in_order() {
        let rows: Vec<Row> = (0..3).map(|seed| row("0", seed, true, 1, 0.0)).collect();
        let reversed: Vec<Row> = rows.iter().rev().cloned().collect();
        assert_eq!(digest(&rows).trace(), digest(&rows.clone()).trace());
        assert_ne!(digest(&rows).trace(), digest(&reversed).trace());
        assert_ne!(digest(&rows).trace(), digest(&rows[..2]).trace());
    }

    #[test]
    fn the_interval_is_wilsons() {
        // Figures of the worked example in Newcombe 1998, Statistics in Medicine 17, table I.
        for (passed, runs, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let (found_low, found_high) = wilson(passed, runs);
            assert!((found_low - low).abs() < 5e-5 && (found_high - high).abs() < 5e-5, "{found_low} {found_high}");
        }
        assert_eq!(wilson(20, 20).1, 1.0);
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }
}
