//! Exploration: random cases, one a seed, on all cores, each judged by all checkers.

mod coverage;
mod draw;
mod hosts;

use std::ops::RangeInclusive;

use super::{Case, Subject, Trial, in_order};
use crate::raft::Rule;
use crate::replica::Config;

pub use coverage::{Coverage, Seen, Situation, Watch};
pub use draw::draw;

/// So many runs must do to meet every situation.
pub const RUNS_FOR_COVERAGE: u64 = 10_000;

/// A case that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The case.
    pub case: Case,
    /// What came of it.
    pub trial: Trial,
}

/// What an exploration has come to so far.
#[derive(Clone, Debug, Default)]
pub struct Exploration {
    /// The rule that the explored Raft does not keep, if it is to be a broken one.
    pub broken: Option<Rule>,
    /// How many cases were run.
    pub runs: u64,
    /// How many events they had.
    pub events: u64,
    /// How many of them failed.
    pub failures: u64,
    /// What occurred in them.
    pub coverage: Coverage,
}

/// The case of a seed, with a rule of Raft broken if there is one. A broken Raft keeps its whole log, unless the rule is
/// about just that: it is to be detected by what it does with its log, not by what follows from the states that it
/// spreads.
pub fn case(seed: u64, broken: Option<Rule>) -> Case {
    let Case { scenario, seed, mut subject } = draw(seed);
    if broken.is_some_and(|rule| rule != Rule::ReplaceInOneStep) {
        subject.config.log_bytes_max = Config::default().log_bytes_max;
    }
    Case { scenario, seed, subject: Subject { broken, ..subject } }
}

/// Why an exploration ends before its last seed.
enum End<E> {
    /// It was told to.
    Told,
    /// Who was told of a failure could not take it.
    Failed(E),
}

/// What came of one seed.
struct Outcome {
    seen: Seen,
    events: u64,
    failure: Option<Box<Failure>>,
}

fn attempt(seed: u64, broken: Option<Rule>) -> Outcome {
    let case = case(seed, broken);
    let mut watch = Watch::new();
    let trial = Trial::of(|| case.run_raft(&mut watch));
    let events = trial.judged.as_ref().map_or(0, |judged| judged.record.events);
    let failure = (!trial.passed()).then(|| Box::new(Failure { case, trial }));
    Outcome { seen: watch.seen(), events, failure }
}

impl Exploration {
    /// Explores these seeds on all cores of the present thread pool.
    ///
    /// Failures are handed to `failed` in the order of their seeds, whatever the order in which they are found. The
    /// exploration ends when `goes_on`, which is asked after each run, says so; the first is always run. `progress` is
    /// told of each.
    ///
    /// # Errors
    /// The first of `failed`.
    pub fn explore<E>(
        &mut self,
        seeds: RangeInclusive<u64>,
        progress: impl Fn(),
        mut failed: impl FnMut(Failure) -> Result<(), E>,
        goes_on: impl Fn(&Exploration) -> bool,
    ) -> Result<(), E> {
        let broken = self.broken;
        let (first, last) = seeds.into_inner();
        // Of all seeds there are one too many for a range; nobody comes so far.
        let count = last.saturating_sub(first).saturating_add(u64::from(first <= last));
        let explored = in_order(
            0..count,
            |nth| attempt(first + nth, broken),
            |_, outcome| {
                progress();
                self.runs += 1;
                self.events += outcome.events;
                self.coverage.add(outcome.seen);
                if let Some(failure) = outcome.failure {
                    self.failures += 1;
                    failed(*failure).map_err(End::Failed)?;
                }
                if goes_on(self) { Ok(()) } else { Err(End::Told) }
            },
        );
        match explored {
            Err(End::Failed(error)) => Err(error),
            Ok(()) | Err(End::Told) => Ok(()),
        }
    }

    /// The situations that ought to have occurred by now and have not.
    pub fn gaps(&self) -> Vec<Situation> {
        if self.runs < RUNS_FOR_COVERAGE { Vec::new() } else { self.coverage.missing().collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;
    use crate::chaos::Fault;

    fn explore(seeds: RangeInclusive<u64>, goes_on: impl Fn(&Exploration) -> bool) -> (Exploration, Vec<u64>) {
        let (mut exploration, mut failures) = (Exploration::default(), Vec::new());
        let failed = |failure: Failure| {
            failures.push(failure.case.seed);
            Ok::<(), Infallible>(())
        };
        exploration.explore(seeds, || {}, failed, goes_on).expect("it cannot fail");
        (exploration, failures)
    }

    #[test]
    fn every_seed_is_run_once_and_counted_on_any_number_of_threads() {
        let runs = Cell::new(0);
        let mut whole = Exploration::default();
        let count = || runs.set(runs.get() + 1);
        whole.explore(100..=1_299, count, |_| Ok::<(), Infallible>(()), |_| true).expect("it cannot fail");
        assert_eq!((whole.runs, whole.failures, runs.get()), (1_200, 0, 1_200));
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        let (single, _) = one.install(|| explore(100..=1_299, |_| true));
        assert_eq!((single.events, single.coverage), (whole.events, whole.coverage));
    }

    #[test]
    fn failures_come_in_the_order_of_their_seeds_until_it_is_told_to_end() {
        let failing = |goes_on: &dyn Fn(&Exploration) -> bool| {
            let mut exploration = Exploration { broken: Some(Rule::ReadAfterOwnCommit), ..Exploration::default() };
            let mut seeds = Vec::new();
            let failed = |failure: Failure| {
                assert_eq!(failure.case.subject.broken, Some(Rule::ReadAfterOwnCommit));
                assert!(!failure.case.attempt().passed(), "the case alone repeats the failure");
                seeds.push(failure.case.seed);
                Ok::<(), Infallible>(())
            };
            exploration.explore(0..=99, || {}, failed, goes_on).expect("it cannot fail");
            assert_eq!(exploration.failures, seeds.len() as u64);
            (exploration.runs, seeds)
        };
        let (runs, all) = failing(&|_| true);
        assert!(runs == 100 && all.len() > 3 && all.is_sorted(), "{all:?}");
        let (runs, first) = failing(&|exploration| exploration.failures == 0);
        assert_eq!((runs, first), (all[0] + 1, vec![all[0]]), "what was run ahead does not count");
    }

    #[test]
    fn an_error_of_who_is_told_of_failures_ends_it() {
        let mut exploration = Exploration { broken: Some(Rule::AnswerAfterCommit), ..Exploration::default() };
        assert_eq!(exploration.explore(0..=99, || {}, |_| Err("full disk"), |_| true), Err("full disk"));
    }

    #[test]
    fn some_seeds_damage_messages_until_their_faults_end() {
        let cases: Vec<_> = (0..300).map(|seed| draw(seed).scenario).collect();
        for scenario in &cases {
            let ends: Vec<_> = scenario.events.iter().filter(|event| matches!(event.fault, Fault::Damage(_))).collect();
            match scenario.damage > 0.0 {
                true => assert!(ends.len() == 1 && ends[0].fault == Fault::Damage(0.0), "{}", scenario.name),
                false => assert_eq!(ends.len(), 0, "{}", scenario.name),
            }
        }
        let damaging = cases.iter().filter(|scenario| scenario.damage > 0.0).count();
        // Five standard deviations: 26.
        assert!(damaging.abs_diff(30) < 26, "{damaging}");
        let (exploration, failures) = explore(0..=299, |_| true);
        assert_eq!(failures, [0; 0]);
        let refused = exploration.coverage.runs(Situation::DamagedMessageRefused);
        assert!(refused > 0 && refused <= damaging as u64, "{refused} of {damaging}");
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let (exploration, _) = explore(0..=u64::MAX, |exploration| exploration.runs < 1_000);
        assert_eq!(exploration.runs, 1_000);
    }

    #[test]
    fn the_last_of_all_seeds_is_a_seed_too() {
        let (exploration, _) = explore(u64::MAX - 2..=u64::MAX, |_| true);
        assert_eq!(exploration.runs, 3);
        let (exploration, _) = explore(u64::MAX..=u64::MAX, |_| false);
        assert_eq!(exploration.runs, 1, "the first is always run");
    }

    #[test]
    fn gaps_are_reported_only_after_enough_runs() {
        let few = Exploration { runs: RUNS_FOR_COVERAGE - 1, ..Exploration::default() };
        assert_eq!(few.gaps(), []);
        let many = Exploration { runs: RUNS_FOR_COVERAGE, ..Exploration::default() };
        assert_eq!(many.gaps(), Situation::ALL);
    }
}
