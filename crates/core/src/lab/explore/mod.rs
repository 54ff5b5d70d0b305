//! Exploration: random cases, one a seed, on all cores, each judged by all checkers.

mod change;
mod corpus;
mod coverage;
mod draw;
mod edges;
mod ending;
mod learn;
mod store;
mod tolerance;

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::{Case, Protocol, Trial, in_order};
use corpus::Lesson;

pub use coverage::{Coverage, Seen, Survey};
pub use draw::{Flavour, SWITCHES, draw};
pub use edges::{Edges, Met};
pub(in crate::lab) use edges::{Tracker, variant};
pub use learn::{Choice, Learner, Origin};
pub use store::{CorpusError, CorpusFolder};

/// This many runs should meet every situation.
pub const RUNS_FOR_COVERAGE: u64 = 10_000;

/// A case that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where the case comes from.
    pub origin: Origin,
    /// The case.
    pub case: Case,
    /// What came of it.
    pub trial: Trial,
}

/// What an exploration has come to so far.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// What chooses the cases, with all that it has learned.
    pub learner: Arc<Learner>,
    /// How many cases were run.
    pub runs: u64,
    /// How many of them were in the corpus from the start.
    pub kept: u64,
    /// How many events they had.
    pub events: u64,
    /// How many of them failed.
    pub failures: u64,
    /// What occurred in them.
    pub coverage: Coverage,
}

/// Why an exploration ends before its last seed.
enum End<E> {
    /// It was told to.
    Stopped,
    /// The callback for failures returned an error.
    Failed(E),
}

impl Exploration {
    /// One that has not begun. Its cases are those of this learner.
    pub fn new(learner: Learner) -> Exploration {
        let coverage = Coverage::of(learner.protocol().situations());
        Exploration { learner: Arc::new(learner), runs: 0, kept: 0, events: 0, failures: 0, coverage }
    }

    /// The protocol that is explored.
    pub fn protocol(&self) -> &Protocol {
        self.learner.protocol()
    }

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
        let (first, last) = seeds.into_inner();
        // There is one seed more than a `u64` can count. No exploration runs all of them.
        let count = last.saturating_sub(first).saturating_add(u64::from(first <= last));
        let mut next = 0;
        while next < count {
            let round = next..count.min(next.saturating_add(self.learner.round_left()));
            next = round.end;
            match self.round(round, first, &progress, &mut failed, &goes_on) {
                Err(End::Failed(error)) => return Err(error),
                Err(End::Stopped) => break,
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Runs cases that were kept before: a corpus.
    ///
    /// # Errors
    /// The first of `failed`.
    pub fn begin_with<E>(
        &mut self,
        cases: &[Choice],
        progress: impl Fn(),
        mut failed: impl FnMut(Failure) -> Result<(), E>,
        goes_on: impl Fn(&Exploration) -> bool,
    ) -> Result<(), E> {
        // Some at a time, so that not all that they have met waits to be learned.
        for cases in cases.chunks(learn::ROUND) {
            let before = self.runs;
            let choose = |nth| cases[nth as usize].clone();
            let (lessons, ended) = self.run(0..cases.len() as u64, choose, &progress, &mut failed, &goes_on);
            self.kept += self.runs - before;
            self.learn(lessons);
            Arc::make_mut(&mut self.learner).end_round();
            match ended {
                Err(End::Failed(error)) => return Err(error),
                Err(End::Stopped) => break,
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Learns from the last round, too, though it is not full. The corpus is complete then. An exploration that goes on after
    /// this chooses other cases than one that was never finished.
    pub fn finish(&mut self) {
        Arc::make_mut(&mut self.learner).end_round();
    }

    /// Explores some seeds at one time, and then learns from them.
    fn round<E>(
        &mut self,
        places: Range<u64>,
        first: u64,
        progress: &impl Fn(),
        failed: &mut impl FnMut(Failure) -> Result<(), E>,
        goes_on: &impl Fn(&Exploration) -> bool,
    ) -> Result<(), End<E>> {
        let learner = Arc::clone(&self.learner);
        let choose = |nth| learner.choose(first + nth);
        let (lessons, ended) = self.run(places, choose, progress, failed, goes_on);
        // As long as there are two handles, what it knows would have to be copied.
        drop(learner);
        self.learn(lessons);
        ended
    }

    fn learn(&mut self, lessons: Vec<Lesson>) {
        let learner = Arc::make_mut(&mut self.learner);
        lessons.into_iter().for_each(|lesson| learner.take(lesson));
    }

    /// Runs cases at one time. Returns what is to be learned from them.
    fn run<E>(
        &mut self,
        places: Range<u64>,
        choose: impl Fn(u64) -> Choice + Sync,
        progress: &impl Fn(),
        failed: &mut impl FnMut(Failure) -> Result<(), E>,
        goes_on: &impl Fn(&Exploration) -> bool,
    ) -> (Vec<Lesson>, Result<(), End<E>>) {
        let (mut lessons, learner) = (Vec::new(), Arc::clone(&self.learner));
        let attempt = |nth| {
            let choice = choose(nth);
            let (trial, met) = learner.attempt(&choice.case);
            (choice, trial, met)
        };
        let ended = in_order(places, attempt, |_, (choice, trial, met)| {
            progress();
            self.runs += 1;
            self.events += trial.events();
            self.coverage.add(met.seen);
            let failure = (!trial.passed()).then(|| choice.clone());
            if learner.tracks() {
                lessons.push(Lesson::new(choice, &trial, met));
            }
            if let Some(Choice { case, origin }) = failure {
                self.failures += 1;
                failed(Failure { origin, case, trial }).map_err(End::Failed)?;
            }
            if goes_on(self) { Ok(()) } else { Err(End::Stopped) }
        });
        (lessons, ended)
    }

    /// The situations that ought to have occurred by now and have not.
    pub fn gaps(&self) -> Vec<&'static str> {
        if self.runs < RUNS_FOR_COVERAGE { Vec::new() } else { self.coverage.missing().collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;
    use crate::chaos::Fault;
    use crate::subjects;

    fn without(rule: &str) -> Protocol {
        subjects::raft().without(rule).expect("a rule of Raft")
    }

    fn explore(seeds: RangeInclusive<u64>, goes_on: impl Fn(&Exploration) -> bool) -> (Exploration, Vec<u64>) {
        let (mut exploration, mut failures) = (Exploration::new(Learner::new(subjects::raft())), Vec::new());
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
        let mut whole = Exploration::new(Learner::new(subjects::raft()));
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
            let mut exploration = Exploration::new(Learner::drawing(without("read-after-own-commit")));
            let mut seeds = Vec::new();
            let failed = |failure: Failure| {
                assert_eq!(failure.case.protocol.broken(), Some("read-after-own-commit"));
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
    fn an_error_of_the_callback_for_failures_ends_it() {
        let mut exploration = Exploration::new(Learner::new(without("answer-after-commit")));
        assert_eq!(exploration.explore(0..=99, || {}, |_| Err("full disk"), |_| true), Err("full disk"));
    }

    #[test]
    fn some_seeds_damage_messages_until_their_faults_end() {
        let cases: Vec<_> = (0..300).map(|seed| draw(&subjects::raft(), seed).scenario).collect();
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
        let refused = exploration.coverage.runs("damaged message refused");
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
    fn a_finished_exploration_has_learned_from_its_last_round_too() {
        let explore = |protocol: Protocol, seeds| {
            let mut exploration = Exploration::new(Learner::new(protocol));
            let failed = |failure: Failure| Err(failure.case.seed);
            let ended = exploration.explore(seeds, || {}, failed, |_| true);
            let before = exploration.learner.cases();
            exploration.finish();
            (ended, before, exploration.learner.cases())
        };
        let (ended, before, after) = explore(subjects::raft(), 0..=62);
        assert!(ended == Ok(()) && before == 0 && after > 30, "{after}");
        let (ended, before, after) = explore(without("answer-after-commit"), 0..=62);
        assert!(ended.is_err() && before == 0 && after > 0, "the failure that ended it is in the corpus");
        let mut drawing = Exploration::new(Learner::drawing(subjects::raft()));
        drawing.finish();
        assert_eq!(drawing.learner.cases(), 0);
    }

    #[test]
    fn gaps_are_reported_only_after_enough_runs() {
        let few = Exploration { runs: RUNS_FOR_COVERAGE - 1, ..Exploration::new(Learner::new(subjects::raft())) };
        assert!(few.gaps().is_empty());
        let many = Exploration { runs: RUNS_FOR_COVERAGE, ..few };
        assert_eq!(many.gaps(), subjects::raft().situations());
    }
}
