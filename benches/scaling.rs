//! What a run costs, and how that grows: with the scenario, the threads, the replicas, the requests and the losses. It
//! prints tables in Markdown, as `docs/performance.md` has them.
//!
//! ```sh
//! cargo bench --bench scaling                        # all tables, some minutes and up to some gigabytes
//! cargo bench --bench scaling -- replicas drops      # some of: scenarios, threads, replicas, requests, drops
//! ```
//!
//! A point of the last three tables is a process of its own, since it has a peak of memory of its own: this program
//! starts itself with the point as arguments. Without checkers and with them takes turns, round by round.

use std::fmt;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use seedbed::lab::Case;
use seedbed::scenario::Scenario;
use seedbed::subjects;
use seedbed_core::clock::Clock;

/// How often everything is measured. Beyond [`LONG_SECONDS`] once has to do.
const ROUNDS: usize = 5;

/// A measurement takes at least so long. Short runs are repeated, each with the next seed.
const SECONDS_MIN: f64 = 0.3;

/// A run that takes longer is not repeated in other rounds.
const LONG_SECONDS: f64 = 5.0;

/// Requests in a second of virtual time, in the last three tables.
const RATE: f64 = 100.0;

/// With this as its first argument, the program measures one point.
const POINT: &str = "--point";

/// A table: its name and what prints it.
const TABLES: [(&str, fn()); 5] = [
    ("scenarios", by_scenario),
    ("threads", by_threads),
    ("replicas", by_replicas),
    ("requests", by_requests),
    ("drops", by_drops),
];

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == POINT) {
        let point = Point::from_arguments(&arguments[1..]).expect("the point that this program has written itself");
        println!("{}", point.measure());
        return ExitCode::SUCCESS;
    }
    // `cargo bench` says that it measures. `cargo test` does not, and is not to take minutes.
    let measures = arguments.iter().any(|argument| argument == "--bench");
    let tests = arguments.iter().any(|argument| argument == "--test");
    arguments.retain(|argument| argument != "--bench" && argument != "--test");
    if let Some(unknown) = arguments.iter().find(|argument| TABLES.iter().all(|(name, _)| name != argument)) {
        eprintln!("unknown table `{unknown}`; allowed is {}", TABLES.map(|(name, _)| name).join(", "));
        return ExitCode::from(2);
    }
    if measures && !tests {
        for (_, print) in TABLES.iter().filter(|(name, _)| arguments.is_empty() || arguments.iter().any(|a| a == name))
        {
            print();
            println!();
        }
    }
    ExitCode::SUCCESS
}

/// The same figure from several rounds.
struct Figure(Vec<f64>);

impl Figure {
    fn of<T>(rounds: &[T], value: impl Fn(&T) -> f64) -> Figure {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        Figure(values)
    }

    fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }
}

impl fmt::Display for Figure {
    /// The median with the lowest and the highest, as far as there is more than one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (short(self.0[0]), short(self.0[self.0.len() - 1]));
        write!(f, "{}", short(self.median()))?;
        if low == high { Ok(()) } else { write!(f, " ({low} to {high})") }
    }
}

/// Three digits or all that are in front of the point.
fn short(value: f64) -> String {
    match value {
        value if value >= 99.95 => thousands(value.round() as u64),
        value if value >= 9.995 => format!("{value:.1}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

fn thousands(value: u64) -> String {
    if value < 1_000 { value.to_string() } else { format!("{},{:03}", thousands(value / 1_000), value % 1_000) }
}

/// What some runs took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    runs: u64,
    events: u64,
    seconds: f64,
}

impl Cost {
    /// Runs a scenario with one seed after another until it has taken long enough, all checkers included or none. The
    /// first run is not counted, unless it is long.
    fn of(scenario: &Scenario, judged: bool) -> Cost {
        let mut total = Cost { runs: 0, events: 0, seconds: 0.0 };
        for seed in 1.. {
            let clock = Clock::start();
            let events = run(scenario, seed, judged);
            let seconds = clock.now().as_secs_f64();
            if seed > 1 || seconds >= SECONDS_MIN {
                total = Cost { runs: total.runs + 1, events: total.events + events, seconds: total.seconds + seconds };
            }
            if total.seconds >= SECONDS_MIN {
                break;
            }
        }
        total
    }

    fn runs_a_second(&self) -> f64 {
        self.runs as f64 / self.seconds
    }

    fn millis_a_run(&self) -> f64 {
        self.seconds * 1e3 / self.runs as f64
    }

    fn nanos_an_event(&self) -> f64 {
        self.seconds * 1e9 / self.events as f64
    }

    fn events_a_run(&self) -> f64 {
        self.events as f64 / self.runs as f64
    }
}

/// One run with set-up and take-down, and the verdict of all checkers or of none: how many events it had.
fn run(scenario: &Scenario, seed: u64, judged: bool) -> u64 {
    if judged {
        let case = Case { scenario: scenario.clone(), seed, protocol: subjects::raft() };
        black_box(case.run()).record.events
    } else {
        black_box(subjects::raft().simulate(scenario, seed)).events
    }
}

/// The course's suite.
fn suite() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of scenarios")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    files.iter().map(|file| Scenario::load(file).expect("a scenario of the repository").scenario).collect()
}

fn by_scenario() {
    println!(
        "| scenario | events a run | runs a second, unjudged | by all checkers \
         | ns an event, unjudged | by all checkers |"
    );
    println!("|---|---|---|---|---|---|");
    for scenario in suite() {
        let rounds =
            rounds(|| [false, true].map(|judged| Cost::of(&scenario, judged)), |costs| costs[1].millis_a_run());
        let figure = |judged: usize, value: fn(&Cost) -> f64| Figure::of(&rounds, |costs| value(&costs[judged]));
        println!(
            "| `{}` | {} | {} | {} | {} | {} |",
            scenario.name,
            short(figure(0, Cost::events_a_run).median()),
            figure(0, Cost::runs_a_second),
            figure(1, Cost::runs_a_second),
            figure(0, Cost::nanos_an_event),
            figure(1, Cost::nanos_an_event),
        );
    }
}

/// Measures several times, or once where that takes long.
fn rounds<T>(mut measure: impl FnMut() -> T, millis: impl Fn(&T) -> f64) -> Vec<T> {
    let first = measure();
    let more = if millis(&first) > LONG_SECONDS * 1e3 { 0 } else { ROUNDS - 1 };
    std::iter::once(first).chain((0..more).map(|_| measure()).collect::<Vec<T>>()).collect()
}

/// The suite with so many seeds, so that a pool is busy for a second.
const SEEDS: u64 = 100;

fn by_threads() {
    let scenarios = suite();
    let work: Vec<(&Scenario, u64)> =
        (1..=SEEDS).flat_map(|seed| scenarios.iter().map(move |scenario| (scenario, seed))).collect();
    let pools = [1, 2].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool"));
    println!("| {} runs of the suite | 1 thread, runs a second | 2 threads | ratio |", thousands(work.len() as u64));
    println!("|---|---|---|---|");
    for (name, judged) in [("unjudged", false), ("by all checkers", true)] {
        let measure = || {
            pools.each_ref().map(|pool| {
                let clock = Clock::start();
                pool.install(|| work.par_iter().for_each(|&(scenario, seed)| _ = run(scenario, seed, judged)));
                work.len() as f64 / clock.now().as_secs_f64()
            })
        };
        measure();
        let rounds = rounds(measure, |_| 0.0);
        println!(
            "| {name} | {} | {} | {} |",
            Figure::of(&rounds, |rates| rates[0]),
            Figure::of(&rounds, |rates| rates[1]),
            Figure::of(&rounds, |rates| rates[1] / rates[0]),
        );
    }
}

fn by_replicas() {
    let replicas = [3, 5, 9, 15, 21, 33, 51, 75, 101];
    points("replicas", replicas.map(|replicas| (replicas.to_string(), Point { replicas, ..Point::USUAL })));
}

fn by_requests() {
    let requests = [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    points("requests", requests.map(|requests| (thousands(requests), Point { requests, ..Point::USUAL })));
}

fn by_drops() {
    let drops = [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5];
    points("drops", drops.map(|drops| (format!("{:.0} %", drops * 100.0), Point { drops, ..Point::USUAL })));
}

/// One row of a table.
#[derive(Clone, Copy, Debug)]
struct Point {
    replicas: u64,
    requests: u64,
    drops: f64,
    judged: bool,
}

/// What a point costs, and the most memory that its process had.
#[derive(Clone, Copy, Debug)]
struct Measurement {
    cost: Cost,
    peak_kib: Option<u64>,
}

impl Point {
    /// Links of 1 to 10 ms, half of the requests gets, and keys of their own for all clients.
    const USUAL: Point = Point { replicas: 5, requests: 1_000, drops: 0.05, judged: false };

    fn scenario(self) -> Scenario {
        let Point { replicas, requests, drops, .. } = self;
        let text = format!(
            r#"{{
                "lifetime": {}, "replicas": {replicas}, "requests": {requests}, "mix": 0.5, "drops": {drops},
                "network": {{"model": "links", "delay": {{"kind": "uniform", "min_ms": 1, "max_ms": 10}}}},
                "tests": {{"benchmarks": {{
                    "total_msgs": [0, 0, 0], "failures": [0, 0, 0], "duplicates": [0, 0, 0], "median_latency": [0, 0, 0]
                }}}}
            }}"#,
            requests as f64 / RATE
        );
        Scenario::parse("point", "point", &text).expect("the scenario is valid").scenario
    }

    fn arguments(self) -> [String; 4] {
        let Point { replicas, requests, drops, judged } = self;
        [replicas.to_string(), requests.to_string(), drops.to_string(), judged.to_string()]
    }

    fn from_arguments(arguments: &[String]) -> Option<Point> {
        let [replicas, requests, drops, judged] = arguments else { return None };
        Some(Point {
            replicas: replicas.parse().ok()?,
            requests: requests.parse().ok()?,
            drops: drops.parse().ok()?,
            judged: judged.parse().ok()?,
        })
    }

    fn measure(self) -> Measurement {
        let cost = Cost::of(&self.scenario(), self.judged);
        Measurement { cost, peak_kib: peak_kib() }
    }

    /// The same in a process of its own.
    fn measure_apart(self) -> Measurement {
        let program = std::env::current_exe().expect("the path of this program");
        let output = Command::new(program).arg(POINT).args(self.arguments()).output().expect("this program starts");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{self:?}: {}", String::from_utf8_lossy(&output.stderr));
        Measurement::parse(&text).unwrap_or_else(|| panic!("{self:?}: {text}"))
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { runs, events, seconds } = self.cost;
        write!(f, "{runs} {events} {seconds} {}", self.peak_kib.unwrap_or(0))
    }
}

impl Measurement {
    fn parse(text: &str) -> Option<Measurement> {
        let mut words = text.split_whitespace();
        let cost = Cost {
            runs: words.next()?.parse().ok()?,
            events: words.next()?.parse().ok()?,
            seconds: words.next()?.parse().ok()?,
        };
        let peak: u64 = words.next()?.parse().ok()?;
        Some(Measurement { cost, peak_kib: Some(peak).filter(|&peak| peak > 0) })
    }
}

/// The most memory that this process has had so far. Only Linux tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

fn points<const N: usize>(name: &str, rows: [(String, Point); N]) {
    println!(
        "| {name} | events a run | ns an event, unjudged | by all checkers | ms a run, unjudged | by all checkers \
         | peak MiB, unjudged | by all checkers |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, point) in rows {
        let both = || [false, true].map(|judged| Point { judged, ..point }.measure_apart());
        let rounds = rounds(both, |both| both[1].cost.millis_a_run());
        let figure = |judged: usize, value: fn(&Cost) -> f64| Figure::of(&rounds, |both| value(&both[judged].cost));
        let peak = |judged: usize| {
            let peaks: Option<Vec<u64>> = rounds.iter().map(|both| both[judged].peak_kib).collect();
            peaks.map_or("-".to_owned(), |peaks| short(Figure::of(&peaks, |&peak| peak as f64 / 1024.0).median()))
        };
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            short(figure(0, Cost::events_a_run).median()),
            figure(0, Cost::nanos_an_event),
            figure(1, Cost::nanos_an_event),
            figure(0, Cost::millis_a_run),
            figure(1, Cost::millis_a_run),
            peak(0),
            peak(1),
        );
    }
}
