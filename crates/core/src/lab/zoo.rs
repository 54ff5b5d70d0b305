//! The zoo: mutants of a protocol, which lack one rule each, and how soon the checkers detect them.
//!
//! A judge is worth what it finds. So every rule that a protocol's safety or progress rests on is broken by itself
//! ([`Mutant`](super::Mutant)), and random cases are run until a checker detects it. A *hunt* is one such search: it
//! starts at a seed of its own and counts the seeds until each checker's first finding.
//!
//! The rules and the explorer have the same authors. So there are other mutants, drawn by chance ([`crate::mutation`]), in
//! builds that have some; their [`Score`] says how many of them a hunt detects.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::explore::{Choice, Coverage, Failure, Learner, RUNS_FOR_COVERAGE};
use super::shrink::{Shrunk, shrink};
use super::{PANIC, Protocol, Protocols, Repro, UnknownMutant};
use crate::check::{Checker, Finding, UNKNOWN};
use crate::mutation::{DRAWN, DrawnMutant, Judgement};

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
    /// Whether a hunt learns from each case for the next ones.
    pub learning: bool,
}

impl Default for Effort {
    fn default() -> Effort {
        Effort { starts: 10, seeds_max: 2_000, learning: true }
    }
}

/// One search for a conviction.
#[derive(Clone, Debug, Default)]
pub struct Hunt {
    /// How many seeds it took until each checker's first finding, in the order in which they came.
    pub convictions: Vec<(Checker, u64)>,
    /// How many seeds it took until a run panicked. A replica that dies can be seen from outside.
    pub panicked: Option<u64>,
    /// A situation that never occurred in as many runs as should meet each ([`RUNS_FOR_COVERAGE`]): what the mutant no
    /// longer does.
    pub gap: Option<&'static str>,
    /// The first case in which something was found that can be seen from outside, or else anything.
    pub failure: Option<Box<Failure>>,
}

impl Hunt {
    /// How many seeds it took until something was found that clients can see: by linearizability, liveness, answers or
    /// promptness, or because a run panicked.
    pub fn by_general(&self) -> Option<u64> {
        let general = [Checker::LINEARIZABILITY, Checker::LIVENESS, Checker::ANSWERS, Checker::PROMPTNESS];
        let seen = self.first(|one| general.contains(one));
        seen.into_iter().chain(self.panicked).min()
    }

    /// How many seeds it took until any checker found something, or until a situation should have occurred that never did.
    pub fn by_any(&self) -> Option<u64> {
        self.first(|_| true).into_iter().chain(self.gap.map(|_| RUNS_FOR_COVERAGE)).min()
    }

    /// How many seeds it took until this checker found something.
    pub fn by(&self, checker: &Checker) -> Option<u64> {
        self.first(|other| other == checker)
    }

    fn first(&self, counts: impl Fn(&Checker) -> bool) -> Option<u64> {
        self.convictions.iter().filter(|(checker, _)| counts(checker)).map(|(_, seeds)| *seeds).min()
    }

    fn note(&mut self, seeds: u64, findings: &[Finding]) {
        for finding in findings.iter().filter(|finding| finding.kind != UNKNOWN) {
            if finding.kind == PANIC {
                self.panicked.get_or_insert(seeds);
            }
            if self.by(&finding.checker).is_none() {
                self.convictions.push((finding.checker.clone(), seeds));
            }
        }
    }
}

/// A protocol without one rule, or with all of them, and all hunts for it.
#[derive(Clone, Debug)]
pub struct Animal {
    /// The protocol.
    pub protocol: Protocol,
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

    /// Whether some hunt ended before any checker detected it. The sound protocol should escape each.
    pub fn escapes(&self) -> bool {
        self.hunts.iter().any(|hunt| hunt.by_any().is_none())
    }

    /// Whether every hunt detected the mutant, or none found anything wrong with the sound protocol.
    pub fn is_as_expected(&self) -> bool {
        match self.protocol.broken() {
            Some(_) => !self.escapes(),
            None => self.hunts.iter().all(|hunt| hunt.by_any().is_none()),
        }
    }
}

/// The mutants of a protocol that have these names, each once, and then the protocol itself. Without a name, it is all
/// mutants that lack a rule.
///
/// # Errors
/// If the protocol has no such mutant.
pub fn animals(protocol: &Protocol, rules: &[String]) -> Result<Vec<Protocol>, UnknownMutant> {
    let mut names: Vec<&str> = Vec::new();
    for rule in rules {
        if !names.contains(&rule.as_str()) {
            names.push(rule);
        }
    }
    if names.is_empty() {
        names = protocol.mutants().iter().filter(|mutant| mutant.drawn.is_none()).map(|mutant| mutant.name).collect();
    }
    let mutants = names.into_iter().map(|rule| protocol.without(rule));
    mutants.chain([Ok(protocol.clone())]).collect()
}

/// The mutants of a protocol that were drawn by chance.
pub fn drawn(protocol: &Protocol) -> Vec<Protocol> {
    let drawn = protocol.mutants().into_iter().filter(|mutant| mutant.drawn.is_some());
    drawn.filter_map(|mutant| protocol.without(mutant.name).ok()).collect()
}

/// How many drawn mutants of this build are not in the code of this protocol.
pub fn drawn_elsewhere(protocol: &Protocol) -> usize {
    DRAWN.len() - drawn(protocol).len()
}

/// How many of some drawn mutants were detected, from every start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Those that a client could notice. All other numbers but two count some of these.
    pub mutants: usize,
    /// Detected by what needs no knowledge of the protocol.
    pub by_general: usize,
    /// Detected by any checker.
    pub by_any: usize,
    /// Detected by none, and a test is known that does.
    pub by_script: usize,
    /// Mutants that change no behaviour.
    pub equivalent: usize,
    /// Mutants that no client could notice.
    pub invisible: usize,
}

impl Score {
    /// Counts these mutants.
    pub fn of<'a>(mutants: impl IntoIterator<Item = (&'a DrawnMutant, &'a Animal)>) -> Score {
        let mut score = Score::default();
        for (drawn, animal) in mutants {
            match drawn.judgement {
                Judgement::Equivalent(_) => score.equivalent += 1,
                Judgement::Invisible(_) => score.invisible += 1,
                Judgement::None | Judgement::Script(_) => {
                    let is_detected = !animal.escapes();
                    score.mutants += 1;
                    score.by_any += usize::from(is_detected);
                    score.by_general += usize::from(animal.hunts.iter().all(|hunt| hunt.by_general().is_some()));
                    score.by_script += usize::from(!is_detected && drawn.judgement != Judgement::None);
                }
            }
        }
        score
    }
}

/// Whether hunts contradict what a person said of a mutant: something was found that should not be there to find.
pub fn is_misjudged(judgement: Judgement, animal: &Animal) -> bool {
    match judgement {
        Judgement::Equivalent(_) => animal.hunts.iter().any(|hunt| hunt.by_any().is_some()),
        Judgement::Invisible(_) => animal.hunts.iter().any(|hunt| hunt.by_general().is_some()),
        Judgement::None | Judgement::Script(_) => false,
    }
}

/// What a hunt found, made small.
#[derive(Clone, Debug)]
pub struct Specimen {
    /// The rule that the mutant lacks.
    pub broken: &'static str,
    /// The number of the hunt.
    pub start: u64,
    /// What is left of the failure.
    pub shrunk: Shrunk,
    /// Whether a file of it, when read, has the same run with the same findings.
    pub replays: bool,
}

impl Specimen {
    fn new(broken: &'static str, start: u64, failure: &Failure, budget: u64) -> Option<Specimen> {
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
    let protocols = Protocols::new([repro.case.protocol.plain()]);
    Repro::parse(&repro.case.scenario.name, &text, &protocols).is_ok_and(|loaded| {
        let trial = loaded.repro.case.attempt();
        repro.is_like(&trial) && trial.trace() == repro.trace
    })
}

/// Shrinks the failure of every hunt for a mutant, each in at most `budget` runs ([`shrink`]). `progress` is called
/// after each. Once `goes_on` is false, no other is begun.
pub fn specimens(
    animals: &[Animal],
    budget: u64,
    progress: impl Fn() + Sync,
    goes_on: impl Fn() -> bool + Sync,
) -> Vec<Specimen> {
    let failures: Vec<(&'static str, u64, &Failure)> = animals
        .iter()
        .filter_map(|animal| Some((animal.protocol.broken()?, &animal.hunts)))
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

/// Hunts for failures of this protocol, from the start of this number; none if it is to stop before its end.
fn hunt(protocol: &Protocol, start: u64, effort: Effort, goes_on: impl Fn() -> bool) -> Option<Hunt> {
    let mut hunt = Hunt::default();
    let protocol = protocol.clone();
    let mut coverage = Coverage::of(protocol.situations());
    let mut learner = if effort.learning { Learner::new(protocol) } else { Learner::drawing(protocol) };
    for seeds in 1..=effort.seeds_max {
        if !goes_on() {
            return None;
        }
        let choice = learner.choose(start * START_DISTANCE + seeds - 1);
        let (trial, met) = learner.attempt(&choice.case);
        coverage.add(met.seen);
        learner.learn(&choice, &trial, met);
        if seeds == RUNS_FOR_COVERAGE {
            hunt.gap = coverage.missing().next();
        }
        let before = hunt.by_general();
        hunt.note(seeds, &trial.findings);
        if hunt.failure.is_none() || (before.is_none() && hunt.by_general().is_some()) {
            let Choice { case, origin } = choice;
            hunt.failure = (!trial.passed()).then(|| Box::new(Failure { origin, case, trial })).or(hunt.failure);
        }
        let all = Checker::STANDARD.iter().all(|checker| hunt.by(checker).is_some());
        if hunt.by_general().is_some() && (all || seeds >= SEEDS_MIN) {
            break;
        }
    }
    Some(hunt)
}

/// Hunts for each of these animals, on all cores of the present thread pool; the result does not depend on how many
/// they are. `progress` is told after each hunt. Hunts that `goes_on` ends before their time are left out.
pub fn visit(
    animals: &[Protocol],
    effort: Effort,
    progress: impl Fn() + Sync,
    goes_on: impl Fn() -> bool + Sync,
) -> Vec<Animal> {
    let starts = effort.starts;
    let hunts: Vec<(&Protocol, u64)> =
        animals.iter().flat_map(|protocol| (0..starts).map(move |start| (protocol, start))).collect();
    let mut hunts = hunts
        .into_par_iter()
        .with_max_len(1)
        .map(|(protocol, start)| hunt(protocol, start, effort, &goes_on))
        .inspect(|_| progress())
        .collect::<Vec<_>>()
        .into_iter();
    let animal = |protocol: &Protocol| Animal {
        protocol: protocol.clone(),
        hunts: hunts.by_ref().take(starts as usize).flatten().collect(),
    };
    animals.iter().map(animal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects;

    #[test]
    fn a_hunt_keeps_the_first_finding_of_each_checker_and_an_unknown_is_none() {
        let finding = |checker, kind: &str| Finding::new(checker, kind, "");
        let mut hunt = Hunt::default();
        hunt.note(1, &[finding(Checker::LINEARIZABILITY, UNKNOWN)]);
        hunt.note(2, &[finding(Checker::INVARIANTS, "log matching"), finding(Checker::COURSE, "nothing stored")]);
        hunt.note(3, &[finding(Checker::INVARIANTS, "log matching"), finding(Checker::LIVENESS, "no answer")]);
        assert_eq!((hunt.by(&Checker::INVARIANTS), hunt.by(&Checker::LINEARIZABILITY)), (Some(2), None));
        assert_eq!((hunt.by_any(), hunt.by_general()), (Some(2), Some(3)));
    }

    #[test]
    fn a_situation_that_never_occurs_is_found_when_there_were_enough_runs() {
        let mut hunt = Hunt { gap: Some("leader hands over"), ..Hunt::default() };
        assert_eq!((hunt.by_any(), hunt.by_general()), (Some(RUNS_FOR_COVERAGE), None));
        hunt.note(RUNS_FOR_COVERAGE + 1, &[Finding::new(Checker::LIVENESS, "no answer", "")]);
        assert_eq!((hunt.by_any(), hunt.by_general()), (Some(RUNS_FOR_COVERAGE), Some(RUNS_FOR_COVERAGE + 1)));
        hunt.note(7, &[Finding::new(Checker::INVARIANTS, "log matching", "")]);
        assert_eq!(hunt.by_any(), Some(7));
    }

    #[test]
    fn a_replica_that_dies_is_seen_from_outside() {
        let mut hunt = Hunt::default();
        hunt.note(4, &[Finding::new(Checker::INVARIANTS, PANIC, "")]);
        assert_eq!((hunt.by(&Checker::INVARIANTS), hunt.by_general()), (Some(4), Some(4)));
    }

    #[test]
    fn a_tally_has_the_median_and_the_worst_of_those_hunts_that_found_something() {
        let hunts = [Some(5), None, Some(1), Some(9), Some(7)].map(|seeds| Hunt {
            convictions: seeds.map(|seeds| (Checker::LINEARIZABILITY, seeds)).into_iter().collect(),
            ..Hunt::default()
        });
        let animal = Animal { protocol: subjects::raft(), hunts: hunts.to_vec() };
        assert_eq!(animal.tally(Hunt::by_any), Some(Tally { convicted: 4, median: 7, worst: 9 }));
        assert_eq!(animal.tally(|hunt| hunt.by(&Checker::COURSE)), None);
        assert!(animal.escapes());
    }

    #[test]
    fn the_rules_that_are_named_come_once_each_and_the_sound_protocol_last() {
        let raft = subjects::raft();
        let rules = |named: &[&str]| {
            let named: Vec<String> = named.iter().map(|rule| (*rule).to_owned()).collect();
            animals(&raft, &named).map(|animals| animals.iter().map(Protocol::broken).collect::<Vec<_>>())
        };
        let named = rules(&["vote-once", "commit-own-term", "vote-once"]).expect("rules");
        assert_eq!(named, [Some("vote-once"), Some("commit-own-term"), None]);
        assert_eq!(rules(&[]).expect("rules").len(), raft.mutants().len() + 1);
        assert!(rules(&["no-such-rule"]).is_err());
    }

    #[test]
    fn a_score_counts_what_clients_could_notice_and_the_rest_apart() {
        let hunt = |checker: Option<Checker>| Hunt {
            convictions: checker.map(|checker| (checker, 5)).into_iter().collect(),
            ..Hunt::default()
        };
        let animal = |checkers: &[Option<Checker>]| Animal {
            protocol: subjects::raft(),
            hunts: checkers.iter().cloned().map(hunt).collect(),
        };
        let (black_box, inner) = (Some(Checker::LIVENESS), Some(Checker::INVARIANTS));
        let all = [
            (Judgement::None, animal(&[black_box.clone(), black_box.clone()])),
            (Judgement::None, animal(&[black_box.clone(), inner.clone()])),
            (Judgement::None, animal(&[black_box.clone(), None])),
            (Judgement::Script("a test"), animal(&[None, None])),
            (Judgement::Script("a test"), animal(&[inner.clone(), inner.clone()])),
            (Judgement::Equivalent("why"), animal(&[None, None])),
            (Judgement::Invisible("why"), animal(&[inner.clone(), None])),
        ];
        let mutants = all.clone().map(|(judgement, animal)| (drawn_mutant(judgement), animal));
        let score = Score::of(mutants.iter().map(|(drawn, animal)| (drawn, animal)));
        let expected = Score { mutants: 5, by_general: 1, by_any: 3, by_script: 1, equivalent: 1, invisible: 1 };
        assert_eq!(score, expected);
        assert!(!all.iter().any(|(judgement, animal)| is_misjudged(*judgement, animal)));
        assert!(is_misjudged(Judgement::Equivalent("why"), &animal(&[inner, None])));
        assert!(is_misjudged(Judgement::Invisible("why"), &animal(&[None, black_box])));
    }

    fn drawn_mutant(judgement: Judgement) -> DrawnMutant {
        DrawnMutant { number: 1, name: "drawn-001", place: "a.rs:1", function: "f", change: "delete !", judgement }
    }

    #[test]
    fn a_mutant_is_detected_from_every_start_and_the_same_way_on_one_thread() {
        let raft = subjects::raft();
        let animals = ["answer-after-commit", "read-after-own-commit"].map(|rule| raft.without(rule).expect("a rule"));
        let effort = Effort { starts: 3, seeds_max: 300, learning: true };
        let figures = |zoo: Vec<Animal>| -> Vec<_> {
            zoo.into_iter().flat_map(|animal| animal.hunts).map(|hunt| hunt.convictions).collect()
        };
        let many = visit(&animals, effort, || {}, || true);
        assert!(!many.iter().any(Animal::escapes));
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        assert_eq!(figures(one.install(|| visit(&animals, effort, || {}, || true))), figures(many));
    }
}
