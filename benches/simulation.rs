//! How fast the virtual world is.
//!
//! `cargo bench --bench simulation` runs all; `docs/performance.md` has figures and says what they mean. Every rate is
//! per core: a run is one thread.

#[path = "../tests/common/gossip.rs"]
mod gossip;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gossip::Gossip;
use seedbed::chaos::ConnectivityMatrix;
use seedbed::check::raft::Invariants;
use seedbed::engine::Delay;
use seedbed::lab::Case;
use seedbed::machine::Boot;
use seedbed::record::Observer;
use seedbed::rng::Stream;
use seedbed::scenario::Scenario;
use seedbed::service::Service;
use seedbed::subjects;
use seedbed::time::Span;
use seedbed::world::simulation::Simulation;
use seedbed_core::raft::Sound;
use seedbed_core::replica::{Config, Replica};

const EVENTS: u64 = 100_000;

fn scenario(path: impl AsRef<Path>) -> Scenario {
    Scenario::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a scenario of the repository").scenario
}

/// Five replicas, links of 1 to 10 ms, 5 % drops, 100 puts a second.
fn links() -> Scenario {
    scenario("benches/raft-links.json")
}

/// Lets so many events happen. What is left is given back, so that taking it down is not measured.
fn step<P: Service, O: Observer<P>>(mut simulation: Simulation<'_, P, O>) -> Simulation<'_, P, O> {
    while simulation.events() < EVENTS && simulation.step() {}
    assert!(simulation.events() >= EVENTS, "the run is long enough");
    simulation
}

/// Raft under load, from the start of the run on, with clients, chaos monkey, history and trace hash.
fn raft(criterion: &mut Criterion) {
    let scenario = links();
    let mut group = criterion.benchmark_group("events");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("raft", |bencher| {
        let build = || Simulation::new(&scenario, 1, |id| Replica::new(id, Config::default()).expect("valid"));
        bencher.iter_batched(build, step, BatchSize::PerIteration);
    });
    group.bench_function("raft, invariants watched", |bencher| {
        let replica = |id| Replica::new(id, Config::default()).expect("valid");
        let build = || Simulation::observed(&scenario, 1, Invariants::new(), replica);
        bencher.iter_batched(build, step, BatchSize::PerIteration);
    });
    let mut durable = scenario.clone();
    durable.disk = Some(Delay::Uniform { min: Span::from_millis(1), max: Span::from_millis(5) });
    group.bench_function("raft, disks of 1 to 5 ms", |bencher| {
        let boot = |boot: Boot<_>| Replica::boot(boot, Config::default(), Sound);
        bencher.iter_batched(|| Simulation::booting(&durable, 1, (), boot), step, BatchSize::PerIteration);
    });
    let mut lossless = scenario.clone();
    lossless.requests = 0;
    lossless.matrix = ConnectivityMatrix::uniform(5, 0.0).expect("a probability");
    group.bench_function("gossip", |bencher| {
        bencher.iter_batched(|| Simulation::new(&lossless, 1, Gossip::new), step, BatchSize::PerIteration);
    });
    group.bench_function("bare heap loop", |bencher| bencher.iter(|| bare_loop(black_box(20))));
    group.finish();
}

/// What remains when there is no protocol, no loss, no trace and no message: a heap of times, and delays of 1 to 10 ms.
fn bare_loop(under_way: u64) -> u64 {
    let mut stream = Stream::new(1, "bare");
    let mut heap: BinaryHeap<Reverse<(u64, u64, u64)>> = (0..under_way).map(|i| Reverse((i, i, i))).collect();
    let mut sum = 0u64;
    for sequence in under_way..under_way + EVENTS {
        let Some(Reverse((now, _, message))) = heap.pop() else { break };
        sum = sum.wrapping_add(message);
        heap.push(Reverse((now + 1_000_000 + stream.below(9_000_000), sequence, message + 1)));
    }
    sum
}

/// Whole runs of the course's suite with set-up; judged as the course does, or by all checkers.
fn suite(criterion: &mut Criterion) {
    let mut files: Vec<_> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"))
        .expect("the folder of scenarios")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    let scenarios: Vec<Scenario> = files.iter().map(scenario).collect();
    assert_eq!(scenarios.len(), 17);
    let mut group = criterion.benchmark_group("suite");
    group.throughput(Throughput::Elements(17));
    let mut seed = 0;
    group.bench_function("17 runs", |bencher| {
        bencher.iter(|| {
            seed += 1;
            for scenario in &scenarios {
                let record = subjects::raft().simulate(scenario, seed);
                black_box(seedbed::check::course::judge(scenario, &record));
            }
        });
    });
    let cases =
        scenarios.iter().map(|scenario| Case { scenario: scenario.clone(), seed: 0, protocol: subjects::raft() });
    let mut cases: Vec<Case> = cases.collect();
    let mut seed = 0;
    group.bench_function("17 runs, all checkers", |bencher| {
        bencher.iter(|| {
            seed += 1;
            for case in &mut cases {
                case.seed = seed;
                black_box(case.run());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, raft, suite);
criterion_main!(benches);
