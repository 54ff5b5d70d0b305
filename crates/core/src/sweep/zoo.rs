//! The zoo: Rafts that lack one rule each, and how soon the checkers convict them.
//!
//! A judge is worth what it finds. So every rule that Raft's safety or progress rests on ([`Rule`]) is broken by
//! itself, and random cases are run until a checker convicts. A *hunt* is one such search: it starts at a seed of its
//! own and counts the seeds until each checker's first conviction.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::Repro;
use super::explore::{Failure, case};
use super::shrink::{Shrunk, shrink};
use crate::check::{Checker, Finding, UNKNOWN};
use crate::raft::Rule;

/// Hunts of one animal begin so far apart.
const START_DISTANCE: u64 = 1_000_000;

/// A hunt goes on to here, even if all that is needed has been found, so that every checker has its chance.
const SEEDS_MIN: u64 = 200;

/// How hard animals are hunted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// How many hunts each animal gets.
    pub starts: u64,
    /// How many seeds a hunt takes at most.
    pub seeds_max: u64,
}

impl Default for Effort {
    fn default() -> Effort {
        Effort { starts: 10, seeds_max: 2_000 }
    }
}

/// One search for a conviction.
#[derive(Clone, Debug, Default)]
pub struct Hunt {
    /// How many seeds it took until each checker's first conviction, in the order of [`Checker::ALL`].
    pub convictions: [Option<u64>; Checker::ALL.len()],
    /// The first case that a general checker convicted, or else any.
    pub failure: Option<Box<Failure>>,
}

impl Hunt {
    /// How many seeds it took until a checker that sees only what clients see convicted: one of linearizability and
    /// liveness.
    pub fn by_general(&self) -> Option<u64> {
        self.first(|checker| matches!(checker, Checker::Linearizability | Checker::Liveness))
    }

    /// How many seeds it took until any checker convicted.
    pub fn by_any(&self) -> Option<u64> {
        self.first(|_| true)
    }

    /// How many seeds it took until this checker convicted.
    pub fn by(&self, checker: Checker) -> Option<u64> {
        self.first(|other| other == checker)
    }

    fn first(&self, counts: impl Fn(Checker) -> bool) -> Option<u64> {
        let convictions = Checker::ALL.into_iter().zip(self.convictions);
        convictions.filter(|&(checker, _)| counts(checker)).filter_map(|(_, seeds)| seeds).min()
    }

    fn note(&mut self, seeds: u64, findings: &[Finding]) {
        for finding in findings.iter().filter(|finding| finding.kind != UNKNOWN) {
            let place = Checker::ALL.iter().position(|&checker| checker == finding.checker).expect("one of all");
            self.convictions[place].get_or_insert(seeds);
        }
    }
}

/// A Raft without one rule, or the sound one, and all hunts for it.
#[derive(Clone, Debug)]
pub struct Animal {
    /// The rule that it lacks; none for the sound Raft.
    pub broken: Option<Rule>,
    /// The hunts, in the order of their starts.
    pub hunts: Vec<Hunt>,
}

/// Median and worst number of seeds of several hunts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// In how many hunts there was a conviction.
    pub convicted: usize,
    /// The median over these: the element n/2.
    pub median: u64,
    /// The most seeds that one of these took.
    pub worst: u64,
}

impl Animal {
    /// Sums up the hunts; none if none ended in a conviction.
    pub fn tally(&self, seeds: impl Fn(&Hunt) -> Option<u64>) -> Option<Tally> {
        let mut seeds: Vec<u64> = self.hunts.iter().filter_map(seeds).collect();
        seeds.sort_unstable();
        Some(Tally { convicted: seeds.len(), median: *seeds.get(seeds.len() / 2)?, worst: *seeds.last()? })
    }

    /// Whether some hunt ended before any checker detected it. The sound Raft escapes if none ever does.
    pub fn escapes(&self) -> bool {
        self.hunts.iter().any(|hunt| hunt.by_any().is_none())
    }
}

/// What a hunt found, made small.
#[derive(Clone, Debug)]
pub struct Specimen {
    /// The rule that the animal lacks.
    pub broken: Rule,
    /// The number of the hunt.
    pub start: u64,
    /// What is left of the failure.
    pub shrunk: Shrunk,
    /// Whether a file of it, when read, has the same run with the same findings.
    pub replays: bool,
}

impl Specimen {
    fn new(broken: Rule, start: u64, failure: &Failure, budget: u64) -> Option<Specimen> {
        let finding = failure.trial.findings.first()?;
        let shrunk = shrink(&failure.case, finding, budget, |_| ControlFlow::Continue(()))?;
        let fails_alike = shrunk.trial.findings.iter().any(|other| other.is_like(finding));
        let replays = fails_alike && replays(&Repro::of(&shrunk.case, &shrunk.trial));
        Some(Specimen { broken, start, shrunk, replays })
    }
}

/// Whether a file of this repro says enough to repeat it to the bit.
fn replays(repro: &Repro) -> bool {
    let mut file = Vec::new();
    repro.write(&mut file).expect("memory can be written to");
    let text = String::from_utf8_lossy(&file);
    Repro::parse(&repro.case.scenario.name, &text).is_ok_and(|loaded| {
        let trial = loaded.repro.case.attempt();
        repro.is_like(&trial) && trial.trace() == repro.trace
    })
}

/// Shrinks the failure of every hunt for a broken Raft, each in at most `budget` runs ([`shrink`]). `progress` is called
/// after each. Once `goes_on` is false, no other is begun.
pub fn specimens(
    animals: &[Animal],
    budget: u64,
    progress: impl Fn() + Sync,
    goes_on: impl Fn() -> bool + Sync,
) -> Vec<Specimen> {
    let failures: Vec<(Rule, u64, &Failure)> = animals
        .iter()
        .filter_map(|animal| Some((animal.broken?, &animal.hunts)))
        .flat_map(|(rule, hunts)| (0..).zip(hunts).map(move |(start, hunt)| (rule, start, hunt)))
        .filter_map(|(rule, start, hunt)| Some((rule, start, hunt.failure.as_deref()?)))
        .collect();
    let wanted = failures.into_par_iter().with_max_len(1).filter(|_| goes_on());
    let specimens = wanted.map(|(rule, start, failure)| {
        let specimen = Specimen::new(rule, start, failure, budget);
        progress();
        specimen
    });
    specimens.flatten_iter().collect()
}

/// Hunts for a Raft without this rule, from the start of this number; none if it is to stop before its end.
fn hunt(broken: Option<Rule>, start: u64, effort: Effort, goes_on: impl Fn() -> bool) -> Option<Hunt> {
    let mut hunt = Hunt::default();
    for seeds in 1..=effort.seeds_max {
        if !goes_on() {
            return None;
        }
        let case = case(start * START_DISTANCE + seeds - 1, broken);
        let trial = case.attempt();
        let before = hunt.by_general();
        hunt.note(seeds, &trial.findings);
        if hunt.failure.is_none() || (before.is_none() && hunt.by_general().is_some()) {
            hunt.failure = (!trial.passed()).then(|| Box::new(Failure { case, trial })).or(hunt.failure);
        }
        let all = hunt.convictions.iter().all(Option::is_some);
        if hunt.by_general().is_some() && (all || seeds >= SEEDS_MIN) {
            break;
        }
    }
    Some(hunt)
}

/// Hunts for each of these animals, on all cores of the present thread pool; the result does not depend on how many
/// they are. `progress` is told after each hunt. Hunts that `goes_on` ends before their time are left out.
pub fn visit(
    animals: &[Option<Rule>],
    effort: Effort,
    progress: impl Fn() + Sync,
    goes_on: impl Fn() -> bool + Sync,
) -> Vec<Animal> {
    let starts = effort.starts;
    let hunts: Vec<(Option<Rule>, u64)> =
        animals.iter().flat_map(|&broken| (0..starts).map(move |start| (broken, start))).collect();
    let mut hunts = hunts
        .into_par_iter()
        .with_max_len(1)
        .map(|(broken, start)| hunt(broken, start, effort, &goes_on))
        .inspect(|_| progress())
        .collect::<Vec<_>>()
        .into_iter();
    let animal =
        |&broken: &Option<Rule>| Animal { broken, hunts: hunts.by_ref().take(starts as usize).flatten().collect() };
    animals.iter().map(animal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunt_keeps_the_first_conviction_of_each_checker_and_an_unknown_is_none() {
        let finding = |checker, kind: &str| Finding { checker, kind: kind.to_owned(), text: String::new() };
        let mut hunt = Hunt::default();
        hunt.note(1, &[finding(Checker::Linearizability, UNKNOWN)]);
        hunt.note(2, &[finding(Checker::Invariants, "log matching"), finding(Checker::Course, "nothing stored")]);
        hunt.note(3, &[finding(Checker::Invariants, "log matching"), finding(Checker::Liveness, "no answer")]);
        assert_eq!((hunt.by(Checker::Invariants), hunt.by(Checker::Linearizability)), (Some(2), None));
        assert_eq!((hunt.by_any(), hunt.by_general()), (Some(2), Some(3)));
    }

    #[test]
    fn a_tally_has_the_median_and_the_worst_of_those_hunts_that_convicted() {
        let hunts = [Some(5), None, Some(1), Some(9), Some(7)].map(|seeds| {
            let mut hunt = Hunt::default();
            hunt.convictions[0] = seeds;
            hunt
        });
        let animal = Animal { broken: Some(Rule::VoteOnce), hunts: hunts.to_vec() };
        assert_eq!(animal.tally(Hunt::by_any), Some(Tally { convicted: 4, median: 7, worst: 9 }));
        assert_eq!(animal.tally(|hunt| hunt.by(Checker::Course)), None);
        assert!(animal.escapes());
    }

    #[test]
    fn an_animal_is_caught_from_every_start_and_the_same_way_on_one_thread() {
        let animals = [Some(Rule::AnswerAfterCommit), Some(Rule::ReadAfterOwnCommit)];
        let effort = Effort { starts: 3, seeds_max: 300 };
        let figures = |zoo: Vec<Animal>| -> Vec<_> {
            zoo.into_iter().flat_map(|animal| animal.hunts).map(|hunt| hunt.convictions).collect()
        };
        let many = visit(&animals, effort, || {}, || true);
        assert!(!many.iter().any(Animal::escapes));
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        assert_eq!(figures(one.install(|| visit(&animals, effort, || {}, || true))), figures(many));
    }
}
