//! How long answers take in the live world, against the floor: a program that answers at once without replicating.
//!
//! Rounds alternate between that program and `3700kvstore`, under the same router, with the same requests. Each round has
//! its median of gets and of puts; the ratios are those of the rounds next to each other. Best run alone on the machine:
//!
//! ```sh
//! cargo bench --bench live                 # 5 rounds of each
//! cargo bench --bench live -- 20           # 20 rounds of each
//! ```

#[path = "../tests/live/programs.rs"]
#[expect(dead_code, reason = "of all programs only one is wanted here")]
mod programs;

use std::path::PathBuf;
use std::process::ExitCode;

use seedbed::check::course;
use seedbed::id::ReplicaId;
use seedbed::record::{History, Outcome};
use seedbed::scenario::Scenario;
use seedbed::time::{Span, Time};
use seedbed::world::live::{Interrupt, Setup, Spectator, play};

/// Eight seconds with 200 requests, half of them gets: about as many a second as in the course's suite.
const SCENARIO: &str = r#"{
    "lifetime": 8, "replicas": 5, "requests": 200, "mix": 0.5, "wait": 2, "end_wait": 0.2,
    "tests": {"benchmarks": {
        "total_msgs": [0, 0, 0], "failures": [0, 0, 0], "duplicates": [0, 0, 0], "median_latency": [0, 0, 0]
    }}
}"#;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [] => measure(5),
        [rounds] => measure(rounds.parse().expect("a number of rounds")),
        replica => programs::main(&[&["stub".to_owned()], replica].concat()),
    }
}

fn measure(rounds: u64) -> ExitCode {
    let scenario = Scenario::parse("latency", "latency", SCENARIO).expect("the scenario is valid").scenario;
    let setup = |program| Setup { program, silence: true };
    let floor = setup(std::env::current_exe().expect("the path of this program"));
    let replica = setup(PathBuf::from(env!("CARGO_BIN_EXE_3700kvstore")));
    let interrupt = Interrupt::install().expect("signals");
    println!("medians in microseconds   floor: get   put   3700kvstore: get   put   ratio: get   put");
    let (mut gets, mut puts) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let medians = [&floor, &replica].map(|setup| {
            let record = play(&scenario, round, setup, &Nobody, &interrupt).expect("the run is played");
            [true, false].map(|gets| median(&record.history, gets) * 1e6)
        });
        let [[floor_get, floor_put], [get, put]] = medians;
        gets.push(get / floor_get);
        puts.push(put / floor_put);
        println!(
            "round {round:3} {floor_get:29.0} {floor_put:5.0} {get:18.0} {put:5.0} {:12.2} {:5.2}",
            get / floor_get,
            put / floor_put
        );
    }
    for (name, ratios) in [("get", &mut gets), ("put", &mut puts)] {
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
        println!("{name}: median ratio {:.2}, lowest {low:.2}, highest {high:.2}", ratios[ratios.len() / 2]);
    }
    ExitCode::SUCCESS
}

/// The median time to an `ok`, in seconds.
fn median(history: &History, gets: bool) -> f64 {
    let mut latencies: Vec<Span> = history
        .attempts
        .iter()
        .filter(|attempt| attempt.operation.is_get() == gets)
        .filter_map(|attempt| match &attempt.answer {
            Some((time, Outcome::Ok(_))) => Some(time.since(attempt.sent)),
            _ => None,
        })
        .collect();
    latencies.sort_unstable();
    course::percentile(&latencies, 50).map_or(f64::NAN, Span::as_secs_f64)
}

struct Nobody;

impl Spectator for Nobody {
    fn progress(&self, _: Time) {}
    fn printed(&self, _: Time, _: ReplicaId, _: &str) {}
    fn complaint(&self, now: Time, replica: ReplicaId, complaint: &str) {
        eprintln!("[{now}  Replica {replica}] {complaint}");
    }
}
