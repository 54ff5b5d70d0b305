//! What learning costs an exploration, and what it brings: runs a second on one thread, and edges met, as runs go on. It
//! prints a table in Markdown.
//!
//! ```sh
//! cargo bench --bench exploring             # up to 20,000 runs each, about a minute
//! cargo bench --bench exploring -- 2000     # only the rows up to this many runs
//! ```
//!
//! Three explorations of the sound Raft take turns, some hundred runs at a time, so that whatever else the computer does
//! slows all of them alike:
//!
//! - *learned*: what `seedbed explore` does;
//! - *drawn*: what `seedbed explore --no-learning` does, which meets edges and does not look;
//! - *counted*: the same cases as *drawn*, with the edges that they meet. Its rate says what looking costs.
//!
//! Edges are counted at the end of each round of 64 runs, so the last few runs of a row are not among them.

use std::process::ExitCode;

use rayon::{ThreadPool, ThreadPoolBuilder};
use seedbed::lab::explore::{Exploration, Failure, Learner};
use seedbed::subjects;
use seedbed_core::clock::Clock;

/// A row of the table after this many runs of each exploration.
const ROWS: [u64; 5] = [1_000, 2_000, 5_000, 10_000, 20_000];

/// An exploration makes this many runs before it is the turn of the next, a fifth of a second or so. It divides all rows.
const TURN: u64 = 200;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` says that it measures. `cargo test` does not, and is not to take minutes.
    let measures = arguments.iter().any(|argument| argument == "--bench");
    let tests = arguments.iter().any(|argument| argument == "--test");
    arguments.retain(|argument| argument != "--bench" && argument != "--test");
    let runs_max = match &arguments[..] {
        [] => Some(u64::MAX),
        [runs] => runs.parse().ok().filter(|&runs| runs >= ROWS[0]),
        _ => None,
    };
    let Some(runs_max) = runs_max else {
        eprintln!("unknown arguments `{}`; allowed is a number of runs, from {}", arguments.join(" "), ROWS[0]);
        return ExitCode::from(2);
    };
    if measures && !tests {
        print_table(runs_max);
    }
    ExitCode::SUCCESS
}

fn print_table(runs_max: u64) {
    let pool = ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let [mut learned, mut drawn, mut counted] =
        [Learner::new, Learner::drawing, Learner::counting].map(|learner| Exploring::of(learner(subjects::raft())));
    println!(
        "| runs | seconds, learned | drawn | counted | runs a second, learned | drawn | counted \
         | edges, learned | counted | cases kept |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for row in ROWS.into_iter().filter(|&row| row <= runs_max) {
        while learned.runs() < row {
            for exploring in [&mut learned, &mut drawn, &mut counted] {
                exploring.take_turn(&pool);
            }
        }
        let all = [&learned, &drawn, &counted];
        let seconds = all.map(|exploring| format!("{:.1}", exploring.seconds)).join(" | ");
        let rates = all.map(|exploring| format!("{:.0}", exploring.runs() as f64 / exploring.seconds)).join(" | ");
        let (edges, cases) = (learned.edges(), learned.exploration.learner.cases());
        println!("| {row} | {seconds} | {rates} | {edges} | {} | {cases} |", counted.edges());
    }
}

/// An exploration, and how long its turns have taken so far.
struct Exploring {
    exploration: Exploration,
    seconds: f64,
}

impl Exploring {
    fn of(learner: Learner) -> Exploring {
        Exploring { exploration: Exploration::new(learner), seconds: 0.0 }
    }

    fn runs(&self) -> u64 {
        self.exploration.runs
    }

    fn edges(&self) -> usize {
        self.exploration.learner.edges()
    }

    /// Makes its next runs. Seeds begin at 0, and follow each other.
    fn take_turn(&mut self, pool: &ThreadPool) {
        let first = self.runs();
        let seeds = first..=first + TURN - 1;
        let failed = |failure: Failure| Err(failure.case.scenario.name);
        let clock = Clock::start();
        let explored = pool.install(|| self.exploration.explore(seeds, || {}, failed, |_| true));
        self.seconds += clock.now().as_secs_f64();
        explored.expect("the sound Raft has no failures");
    }
}
