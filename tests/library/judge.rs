//! The judge is worth something: it detects every Raft that lacks a rule, and never the sound one.
//!
//! `cargo test --release --test library judge -- --nocapture` prints the figures.

use std::convert::Infallible;

use seedbed::check::Checker;
use seedbed::lab::Protocol;
use seedbed::lab::explore::{Exploration, Learner, RUNS_FOR_COVERAGE};
use seedbed::lab::zoo::{self, Animal, Effort, Hunt};
use seedbed::subjects;

#[test]
fn every_mutant_of_the_zoo_is_detected_by_some_checker() {
    let raft = subjects::raft();
    let mutants = raft.mutants();
    let animals: Vec<Protocol> =
        mutants.iter().map(|mutant| raft.without(mutant.name).expect("one of its mutants")).collect();
    assert!(animals.len() >= 16);
    let zoo = zoo::visit(&animals, Effort { starts: 2, seeds_max: 2_000, learning: true }, || {}, || true);
    for animal in &zoo {
        let rule = animal.protocol.broken().expect("a broken rule");
        let worst = |seeds: fn(&Hunt) -> Option<u64>| animal.tally(seeds).map(|tally| tally.worst);
        let (any, general) = (worst(Hunt::by_any), worst(Hunt::by_general));
        println!("{rule:28} any {any:?}, black-box {general:?}");
        assert!(!animal.escapes(), "{rule} escapes");
        assert!(any.is_some_and(|seeds| seeds <= 2_000), "{rule}: {any:?}");
    }
    // Each checker is needed: some animal is seen by it and missed by another one.
    let convicts = |animal: &Animal, checker: &Checker| animal.tally(|hunt| hunt.by(checker)).is_some();
    for (one, other) in [
        (Checker::LINEARIZABILITY, Checker::INVARIANTS),
        (Checker::INVARIANTS, Checker::LIVENESS),
        (Checker::LIVENESS, Checker::LINEARIZABILITY),
        (Checker::LINEARIZABILITY, Checker::COURSE),
    ] {
        let found = zoo.iter().any(|animal| convicts(animal, &one) && !convicts(animal, &other));
        assert!(found, "{one} finds nothing that {other} does not");
    }
}

#[test]
fn the_sound_raft_is_never_convicted_and_every_situation_occurs_in_ten_thousand_seeds() {
    let mut exploration = Exploration::new(Learner::new(subjects::raft()));
    let failed = |failure: seedbed::lab::explore::Failure| -> Result<(), Infallible> {
        panic!("seedbed explore --seeds {}: {:?}", failure.case.seed, failure.trial.findings)
    };
    exploration.explore(0..=RUNS_FOR_COVERAGE - 1, || {}, failed, |_| true).expect("it cannot fail");
    assert_eq!((exploration.runs, exploration.gaps()), (RUNS_FOR_COVERAGE, Vec::<&str>::new()));
}
