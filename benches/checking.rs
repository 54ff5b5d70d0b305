//! How fast histories are checked for linearizability.
//!
//! `cargo bench --bench checking` runs all; `docs/performance.md` has figures and says what they mean.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use seedbed::check::linear::{Budget, Checker, READY, Verdict};
use seedbed::check::load;
use seedbed::id::{ClientId, Mid, ReplicaId};
use seedbed::record::{Attempt, History, Outcome};
use seedbed::rng::Stream;
use seedbed::service::{Operation, Text};
use seedbed::time::Time;

/// What clients do to registers that behave.
#[derive(Clone, Copy)]
struct Load {
    operations: u64,
    keys: u64,
    clients: u64,
    /// How long a client waits before it goes on, at most. Everything else takes up to 1,000.
    pause: u64,
    /// How likely a put is not answered; then it may take effect much later, or never.
    lost: f64,
    /// How likely a request is redirected first.
    redirected: f64,
    /// Whether values are told apart by their puts, or few.
    values: Option<u64>,
}

/// A history that is right. Each client waits for an answer before it goes on, unless none comes.
fn history(load: Load, seed: u64) -> History {
    struct Plan {
        client: u64,
        key: usize,
        put: Option<Text>,
        sent: u64,
        effect: u64,
        answered: Option<u64>,
        redirect: bool,
    }
    let mut dice = Stream::new(seed, "checking");
    let text = |number: u64| -> Text { format!("{number:032x}").into() };
    let mut free = vec![0; load.clients as usize];
    let mut plans = Vec::new();
    for number in 0..load.operations {
        let client = (0..load.clients).min_by_key(|&client| free[client as usize]).expect("a client");
        let key = dice.below(load.keys) as usize;
        let put = dice.chance(0.5).then(|| text(load.values.map_or(number, |values| dice.below(values))));
        let sent = free[client as usize] + 1 + dice.below(load.pause);
        let effect = sent + 1 + dice.below(1_000);
        let answered = effect + 1 + dice.below(1_000);
        free[client as usize] = answered;
        if put.is_some() && dice.chance(load.redirected) {
            let (put, redirect, effect) = (put.clone(), true, u64::MAX);
            plans.push(Plan { client, key, put, sent: sent - 1, effect, answered: Some(sent), redirect });
        }
        if put.is_some() && dice.chance(load.lost) {
            let effect = if dice.chance(0.5) { effect + dice.below(100_000) } else { u64::MAX };
            plans.push(Plan { client, key, put, sent, effect, answered: None, redirect: false });
        } else {
            plans.push(Plan { client, key, put, sent, effect, answered: Some(answered), redirect: false });
        }
    }
    plans.sort_by_key(|plan| plan.sent);
    let mut order: Vec<usize> = (0..plans.len()).filter(|&place| plans[place].effect != u64::MAX).collect();
    order.sort_by_key(|&place| plans[place].effect);
    let mut present: Vec<Text> = vec!["".into(); load.keys as usize];
    let mut read = vec![None; plans.len()];
    for place in order {
        match &plans[place].put {
            Some(value) => present[plans[place].key] = value.clone(),
            None => read[place] = Some(present[plans[place].key].clone()),
        }
    }
    let keys: Vec<Text> = (0..load.keys).map(text).collect();
    let attempts = plans.iter().zip(read).map(|(plan, read)| {
        let key = keys[plan.key].clone();
        let outcome = if plan.redirect { Outcome::Redirect } else { Outcome::Ok(read) };
        Attempt {
            client: ClientId(plan.client as u16),
            replica: ReplicaId(0),
            operation: match &plan.put {
                Some(value) => Operation::Put { key, value: value.clone() },
                None => Operation::Get { key },
            },
            sent: Time(plan.sent),
            retry_of: plan.redirect.then_some(Mid(0)),
            answer: plan.answered.map(|answered| (Time(answered), outcome)),
        }
    });
    History { attempts: attempts.collect(), ..History::default() }
}

/// A wrong history that zones cannot decide: three values are put and put again, all at a time, and read in turns once
/// too often.
fn read_once_too_often() -> History {
    let attempt = |number: u64, put: bool, value: &str, sent: u64, answered: u64| Attempt {
        client: ClientId(number as u16),
        replica: ReplicaId(0),
        operation: match put {
            true => Operation::Put { key: "k".into(), value: value.into() },
            false => Operation::Get { key: "k".into() },
        },
        sent: Time(sent),
        retry_of: None,
        answer: Some((Time(answered), Outcome::Ok((!put).then(|| value.into())))),
    };
    let value = |number: u64| ["a", "b", "c"][number as usize % 3];
    let puts = (0..500).map(|put| attempt(put, true, value(put), put, 1_000_000 - put * 7 % 1_000));
    let gets = (0..=500).map(|get| attempt(get, false, value(get + get / 3), 10_000 + 2 * get, 10_001 + 2 * get));
    History { attempts: puts.chain(gets).collect(), ..History::default() }
}

fn right(c: &mut Criterion) {
    let mut group = c.benchmark_group("linear");
    let run = Load { operations: 150, keys: 40, clients: 8, pause: 1_000, lost: 0.0, redirected: 0.1, values: None };
    let hostile = Load { lost: 0.3, ..run };
    let loads = [
        ("run of 150 operations", run),
        ("hostile run of 150 operations", hostile),
        ("run of 500 operations on one key", Load { operations: 500, keys: 1, ..hostile }),
        ("run of 500 operations on one key, 20 values", Load { operations: 500, keys: 1, values: Some(20), ..hostile }),
        ("100,000 operations on 100 keys", Load { operations: 100_000, keys: 100, redirected: 0.0, ..run }),
        ("100,000 operations on 100 keys, 20 values", Load { operations: 100_000, keys: 100, values: Some(20), ..run }),
    ];
    for (name, load) in loads {
        let history = history(load, 1);
        group.throughput(Throughput::Elements(history.attempts.len() as u64));
        let mut checker = Checker::new(Budget::default());
        assert!(checker.check(&history).is_linearizable(), "{name}: {:?}", checker.check(&history));
        group.bench_function(name, |b| b.iter(|| checker.check(black_box(&history))));
    }
    group.finish();
}

fn wrong(c: &mut Criterion) {
    let mut group = c.benchmark_group("linear");
    let run = Load { operations: 150, keys: 10, clients: 8, pause: 1_000, lost: 0.3, redirected: 0.1, values: None };
    let mut history = history(run, 1);
    let gets = history.attempts.iter_mut().filter(|attempt| attempt.operation.is_get());
    let last = gets.last().expect("a get");
    last.answer = last.answer.take().map(|(time, _)| (time, Outcome::Ok(Some("".into()))));
    group.throughput(Throughput::Elements(history.attempts.len() as u64));
    let mut checker = Checker::new(Budget::default());
    assert!(matches!(checker.check(&history), Verdict::Violation(_)));
    group.bench_function("wrong run of 150 operations", |b| b.iter(|| checker.check(black_box(&history))));
    group.finish();
}

fn hard(c: &mut Criterion) {
    let mut group = c.benchmark_group("linear");
    group.sample_size(10);
    let many =
        Load { operations: 1_000, keys: 1, clients: 200, pause: 1_000, lost: 0.0, redirected: 0.0, values: Some(64) };
    let histories = [
        ("1,001 operations on one key, read once too often", read_once_too_often()),
        ("1,000 operations of 200 clients on one key, 64 values", history(many, 1)),
        (
            "1,000 operations of 1,000 clients on one key, 64 values",
            history(Load { clients: 1_000, pause: 10_000, ..many }, 1),
        ),
    ];
    for (name, history) in histories {
        group.throughput(Throughput::Elements(history.attempts.len() as u64));
        let mut checker = Checker::new(Budget::default());
        match checker.check(&history) {
            Verdict::Violation(violation) => println!("{name}: a violation\n{violation}"),
            verdict => println!("{name}: {verdict:?}"),
        }
        group.bench_function(name, |b| b.iter(|| checker.check(black_box(&history))));
    }
    group.finish();
}

/// Each ready specification, by length. `cargo run --release --example histories` writes the same histories as files.
fn any(c: &mut Criterion) {
    let mut group = c.benchmark_group("specification");
    group.sample_size(10);
    for spec in READY {
        let kinds = ["register", "cas", "list", "counter", "queue", "lock"];
        let kind = kinds.into_iter().find(|kind| *kind == spec.name()).expect("one of these");
        for operations in [10, 100, 1_000, 100_000] {
            for is_wrong in [false, true] {
                let objects = if kind == "list" { 1 + operations / 100 } else { 1 };
                let load = load::Load { kind, operations, objects, clients: 5, lost: 0.01, is_wrong };
                let history = load::history(load, 1);
                let check = |history| spec.check(history, Budget::default()).expect("operations of this type");
                let verdict = match check(&history) {
                    Verdict::Linearizable { .. } => "linearizable",
                    Verdict::Violation(_) => "a violation",
                    Verdict::Unknown { .. } => "unknown",
                };
                let name =
                    format!("{kind}, {operations} operations, {verdict}{}", if is_wrong { " (wrong)" } else { "" });
                group.throughput(Throughput::Elements(operations));
                group.bench_function(name, |b| b.iter(|| check(black_box(&history))));
            }
        }
    }
    group.finish();
}

criterion_group!(benches, right, wrong, hard, any);
criterion_main!(benches);
