//! Shrinks liveness failures of mutants of Raft and looks whether any of them slips: whether the sound Raft, too, has a
//! finding in the case that is left.
//!
//! `cargo run --release --example slips -- [FAILURES] [RULE]...` shrinks this many failures (200), as many of each of
//! these rules, or of each rule whose absence liveness reports. It ends with 1 if one slips.

#![expect(clippy::disallowed_types, reason = "it measures how long shrinking takes")]

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, thread};

use seedbed::check::{Checker, Finding};
use seedbed::lab::Case;
use seedbed::lab::explore::draw;
use seedbed::lab::shrink::{BUDGET, Size, shrink};
use seedbed::subjects;

/// Seeds that are tried for the failures of one rule, for each failure that is wanted.
const SEEDS_PER_FAILURE: u64 = 2_000;

/// Failures of one rule are looked for in no more seeds than this before the first was found.
const SEEDS_MAX: u64 = 4_000;

/// What became of one failure.
struct Outcome {
    rule: &'static str,
    seed: u64,
    finding: Finding,
    size: Size,
    runs: u64,
    took: Duration,
    /// What the sound Raft fails by in the shrunk case.
    slipped: Vec<Finding>,
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let wanted = arguments.next().map_or(200, |count| count.parse().expect("the number of failures"));
    let named: Vec<String> = arguments.collect();
    let known = subjects::raft().mutants().into_iter().map(|mutant| mutant.name);
    let rules: Vec<&'static str> =
        known.filter(|rule| named.is_empty() || named.iter().any(|name| name == rule)).collect();
    let failures = failures(&rules, wanted);
    let jobs = Mutex::new(failures.into_iter());
    let next = || jobs.lock().expect("no thread panics").next();
    let work = || {
        let mut outcomes = Vec::new();
        while let Some((rule, case, finding)) = next() {
            let outcome = outcome(rule, &case, finding);
            show(&outcome);
            outcomes.push(outcome);
        }
        outcomes
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no thread panics")).collect()
    });
    summary(&outcomes)
}

/// Liveness failures, the first ones of each rule, in turn, until there are enough.
fn failures(rules: &[&'static str], wanted: usize) -> Vec<(&'static str, Case, Finding)> {
    let mut by_rule: Vec<_> = rules.iter().map(|&rule| failing(rule, wanted as u64)).collect();
    let mut failures = Vec::new();
    while failures.len() < wanted && !by_rule.is_empty() {
        by_rule.retain_mut(|cases| match cases.next() {
            Some(failure) => {
                failures.push(failure);
                true
            }
            None => false,
        });
    }
    failures.truncate(wanted);
    failures
}

/// The cases that fail without this rule, and whose first finding is one of liveness.
fn failing(rule: &'static str, wanted: u64) -> impl Iterator<Item = (&'static str, Case, Finding)> {
    let mutant = subjects::raft().without(rule).expect("a rule of Raft");
    let mut found = 0;
    let mut seed = 0;
    std::iter::from_fn(move || {
        while seed < SEEDS_MAX.max(found * SEEDS_PER_FAILURE).min(SEEDS_PER_FAILURE * wanted.max(2)) {
            let case = draw(&mutant, seed);
            seed += 1;
            let first = case.attempt().findings.into_iter().next();
            if let Some(finding) = first.filter(|finding| finding.checker == Checker::LIVENESS) {
                found += 1;
                return Some((rule, case, finding));
            }
        }
        None
    })
}

fn outcome(rule: &'static str, case: &Case, finding: Finding) -> Outcome {
    let begun = Instant::now();
    let shrunk = shrink(case, &finding, BUDGET, |_| ControlFlow::Continue(())).expect("it fails");
    let took = begun.elapsed();
    let sound = Case { protocol: shrunk.case.protocol.sound(), ..shrunk.case.clone() };
    let slipped = sound.attempt().findings;
    Outcome { rule, seed: case.seed, finding, size: Size::of(&shrunk.case), runs: shrunk.runs, took, slipped }
}

fn show(outcome: &Outcome) {
    let Outcome { rule, seed, finding, size, runs, took, slipped } = outcome;
    let (things, faults, replicas, kind) = (size.things, size.faults, size.replicas, &finding.kind);
    let slip = slipped.first().map_or(String::new(), |finding| format!("  SLIPPED: {finding}"));
    let line = format!(
        "{rule:28} {seed:5} {kind:22} {things:3} things {faults:3} faults {replicas} replicas {runs:7} runs {:7.1} s{slip}\n",
        took.as_secs_f64()
    );
    // A reader that has gone is no failure.
    let _ = io::stdout().lock().write_all(line.as_bytes());
}

fn summary(outcomes: &[Outcome]) -> ExitCode {
    let slipped = outcomes.iter().filter(|outcome| !outcome.slipped.is_empty()).count();
    let (runs, took) =
        outcomes.iter().fold((0, Duration::ZERO), |(runs, took), outcome| (runs + outcome.runs, took + outcome.took));
    let things: usize = outcomes.iter().map(|outcome| outcome.size.things).sum();
    println!(
        "{} failures, {slipped} slipped; {things} things, {runs} runs, {:.0} s of work",
        outcomes.len(),
        took.as_secs_f64()
    );
    if slipped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
