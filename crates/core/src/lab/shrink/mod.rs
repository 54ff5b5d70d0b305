//! Makes a failing case smaller, as long as it fails the same way.
//!
//! A candidate is a case with something taken away or made simpler. It is run, and takes the place of the case if one
//! of its findings is that of the original, by checker and kind, and if it is smaller by [`Size`]. Nothing else counts,
//! so what comes out fails as what went in, whatever the passes do:
//!
//! 1. Requests become a list of operations. Operations, events and replicas are taken away in ever smaller pieces
//!    (delta debugging: Zeller & Hildebrandt 2002), and the end is cut off.
//! 2. The losses that happened become a list, and this is thinned. There are three ways to do so, from those lost by
//!    chance to all that partitions swallowed; the smallest result counts.
//! 3. What seems to be as small as it gets is tried with other seeds, and with one event in place of many losses or the
//!    other way round. One that fails is thinned again.
//! 4. What is left is made readable: few clients and keys, round times, default parameters.
//!
//! A failure must not slip: no failure that a sound protocol would have under these faults may take the place of the
//! one that was found. If the protocol breaks a rule, a candidate counts only if the protocol with this rule kept passes:
//! no checker finds anything at all. (If it finds something in the original case, candidates may have no other kinds of
//! findings.) Where there is no sound protocol to ask, as with a user's protocol or a program, a candidate must have the
//! [shape](crate::check::Shape) of the original failure besides its kind.
//!
//! No case is run twice: what did not fail once is not tried again.

mod polish;
mod reduce;
mod size;
mod tried;
mod watch;

use std::iter;
use std::ops::ControlFlow;

use rayon::prelude::*;

use crate::check::{Finding, liveness};
use crate::lab::{Case, Trial};
use crate::scenario::Scenario;
use crate::time::Span;
use crate::workload::ScriptedOperation;

pub use size::Size;
use tried::{Digest, Tried};
pub(in crate::lab) use watch::Log;
use watch::{Scope, explicit};

/// The budget of [`shrink`] unless it is told otherwise: some seconds, half a minute at most on the machine of
/// `docs/performance.md`.
pub const BUDGET: u64 = 100_000;

/// A run of more events than this counts as several, so that a budget bounds the time.
const EVENTS_PER_RUN: u64 = 1_000;

/// How far it has come.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// The smallest case so far.
    pub case: &'a Case,
    /// Runs until now.
    pub runs: u64,
    /// Runs at most.
    pub budget: u64,
}

/// What a case was shrunk to.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest case that fails the same way.
    pub case: Case,
    /// What comes of it.
    pub trial: Trial,
    /// How much of the budget was used: a run counts once, and once more for each thousand events; where a rule is
    /// broken, the runs that keep it count, too.
    pub runs: u64,
}

/// Shrinks a case. None if it does not fail like `finding` in the first place.
///
/// The result is a pure function of the arguments. `progress` is called after every run; after it breaks, nothing more is
/// tried, and the result is the smallest case so far.
pub fn shrink(
    case: &Case,
    finding: &Finding,
    budget: u64,
    progress: impl FnMut(&Step<'_>) -> ControlFlow<()>,
) -> Option<Shrunk> {
    // A run of a program is slow, so each core gets one.
    let width = if case.protocol.program().is_some() { rayon::current_num_threads() } else { 1 };
    shrink_at(width, case, finding, budget, progress)
}

/// The same with `width` runs at a time. That changes nothing of the result.
fn shrink_at(
    width: usize,
    case: &Case,
    finding: &Finding,
    budget: u64,
    mut progress: impl FnMut(&Step<'_>) -> ControlFlow<()>,
) -> Option<Shrunk> {
    let trial = case.attempt();
    // A finding that was read from a file has no shape, so the one that comes of the case is the target.
    let target = trial.findings.iter().find(|other| other.is_like(finding))?.clone();
    let mut shrinker = Shrinker {
        width,
        target: &target,
        excused: None,
        tried: Tried::default(),
        best: Standing { size: Size::of(case), case: case.clone(), trial },
        runs: 1,
        // Some runs are kept for the last touch.
        limit: budget - BRANCH_RUNS.min(budget / 10),
        budget,
        seeds: 0,
        first_seed: 0,
        is_stopped: false,
        progress: &mut progress,
    };
    shrinker.excused = shrinker.findings_of_sound(case);
    shrinker.work();
    let Standing { case, trial, .. } = shrinker.best;
    Some(Shrunk { case, trial, runs: shrinker.runs })
}

/// A case that fails as it shall.
#[derive(Clone, Debug)]
struct Standing {
    case: Case,
    trial: Trial,
    size: Size,
}

struct Shrinker<'a> {
    /// How many cases are run at a time.
    width: usize,
    target: &'a Finding,
    /// What the protocol with all its rules fails by in the original case, and so may fail by in others; mostly nothing.
    /// None if the protocol breaks no rule.
    excused: Option<Vec<Finding>>,
    tried: Tried,
    best: Standing,
    runs: u64,
    /// Where the present work ends.
    limit: u64,
    budget: u64,
    /// How many other seeds a candidate is tried with, and the first of them.
    seeds: u64,
    first_seed: u64,
    is_stopped: bool,
    progress: &'a mut dyn FnMut(&Step<'_>) -> ControlFlow<()>,
}

/// The runs that other forms of a case may take.
const BRANCH_RUNS: u64 = 3_000;

/// So many other seeds are tried at a time.
const SEEDS: u64 = 20;

/// A file holds at most so many operations, and so many losses.
const THINGS_MAX: usize = 100_000;

/// After so many rounds in which nothing could be done it ends.
const IDLE_ROUNDS: u32 = 2;

/// A case with more things than this is begun anew with other seeds, so often.
const LARGE: usize = 10;
const RESTARTS: u64 = 4_000;

impl Shrinker<'_> {
    fn work(&mut self) {
        self.write_operations_down();
        let whole = self.best.case.clone();
        self.reduce_all();
        self.improve();
        // A case that stays large was a long chain of events. With other seeds a shorter one may lead to the same
        // failure.
        let mut seed = 0;
        while self.best.size.things > LARGE && seed < RESTARTS && !self.is_spent() {
            if self.branch(Case { seed, ..whole.clone() }, 3 * BRANCH_RUNS, Self::reduce_all) {
                self.improve();
            }
            seed += 1;
        }
        // What is read by people is made in any case.
        self.limit = self.budget;
        self.polish();
        self.rename();
    }

    /// From a whole case to a small one.
    fn reduce_all(&mut self) {
        self.reduce();
        self.simplify_network();
        self.reduce();
        self.write_losses_down();
    }

    /// Other forms of what seems to be as small as it gets.
    fn improve(&mut self) {
        let mut idle = 0;
        while idle < IDLE_ROUNDS && !self.is_spent() {
            let before = self.best.size;
            self.polish();
            self.try_other_seeds();
            self.trade();
            self.hunt();
            idle = if self.best.size < before { 0 } else { idle + 1 };
        }
    }

    fn is_spent(&self) -> bool {
        self.is_stopped || self.runs >= self.limit
    }

    /// Runs a case: what comes of it, if it fails as it shall.
    fn fails(&mut self, case: &Case) -> Option<Trial> {
        self.first_failing([(0, case.clone())]).map(|(_, _, trial)| trial)
    }

    /// Runs numbered cases until one fails as it shall. Returns its number, itself, and what comes of it. Several are run at a time
    /// if that is worth it. What comes out is what would come out one after another: the runs after the first that fails
    /// are dropped, and do not count.
    fn first_failing(&mut self, cases: impl IntoIterator<Item = (usize, Case)>) -> Option<(usize, Case, Trial)> {
        let mut cases = cases.into_iter().map(|(number, case)| (number, Digest::of(&case), case));
        while !self.is_spent() {
            let vain = &self.tried.vain;
            let new = cases.by_ref().filter(|(_, digest, _)| !vain.contains(digest));
            let several: Vec<(usize, Digest, Case)> = new.take(self.width).collect();
            if several.is_empty() {
                return None;
            }
            let trials: Vec<Trial> = match &several[..] {
                [(.., only)] => vec![only.attempt()],
                all => all.par_iter().map(|(.., case)| case.attempt()).collect(),
            };
            for ((number, digest, case), trial) in several.into_iter().zip(trials) {
                if self.is_spent() {
                    return None;
                }
                // The same case may have been run beside itself.
                if self.tried.vain.contains(&digest) {
                    continue;
                }
                if self.counts(&case, &trial) {
                    return Some((number, case, trial));
                }
                self.tried.vain.insert(digest);
            }
        }
        None
    }

    /// Whether a case fails as it shall, by what has come of it.
    fn counts(&mut self, case: &Case, trial: &Trial) -> bool {
        self.charge(trial);
        let step = Step { case: &self.best.case, runs: self.runs, budget: self.budget };
        self.is_stopped = (self.progress)(&step).is_break();
        let is_target = |finding: &Finding| match self.excused {
            Some(_) => finding.is_like(self.target),
            None => finding.has_shape_of(self.target),
        };
        trial.findings.iter().any(is_target) && self.is_no_slip(case)
    }

    /// Whether the protocol with all its rules has no finding in this case that it does not have in the original one.
    fn is_no_slip(&mut self, case: &Case) -> bool {
        let Some(findings) = self.findings_of_sound(case) else { return true };
        let excused = self.excused.as_deref().unwrap_or_default();
        findings.iter().all(|finding| excused.iter().any(|known| known.is_like(finding)))
    }

    fn charge(&mut self, trial: &Trial) {
        self.runs += 1 + trial.judged.as_ref().map_or(0, |judged| judged.record.events / EVENTS_PER_RUN);
    }

    /// Runs a case and takes down what happened. That counts, too.
    fn log_of(&mut self, case: &Case) -> Log {
        let log = Log::of(case);
        self.runs += 1 + log.events / EVENTS_PER_RUN;
        log
    }

    /// What is found if the protocol keeps the rule that it breaks; none if it breaks none.
    fn findings_of_sound(&mut self, case: &Case) -> Option<Vec<Finding>> {
        case.protocol.broken()?;
        let kept = Case { protocol: case.protocol.sound(), ..case.clone() };
        let trial = kept.attempt();
        self.charge(&trial);
        Some(trial.findings)
    }

    /// Takes a candidate if it fails and is smaller.
    fn take(&mut self, case: Case) -> bool {
        self.take_first(vec![case]).is_some()
    }

    /// Takes the first of some candidates that fails and is smaller. Returns its number.
    fn take_first(&mut self, candidates: Vec<Case>) -> Option<usize> {
        let (others, best) = (self.first_seed..self.first_seed + self.seeds, self.best.size);
        let smaller = candidates.into_iter().enumerate().filter(|(_, case)| Size::of(case) < best);
        let cases = smaller.flat_map(|(number, case)| {
            let own = case.seed;
            let others = others.clone().filter(move |&seed| seed != own);
            iter::once(own).chain(others).map(move |seed| (number, Case { seed, ..case.clone() }))
        });
        let (number, case, trial) = self.first_failing(cases)?;
        self.best = Standing { size: Size::of(&case), case, trial };
        Some(number)
    }

    /// Takes the first of these candidates that fails and is smaller, as [`Shrinker::take_first`]. Each is made of the
    /// smallest case so far by `change`, and no more of them at a time than are run.
    fn take_any<T>(&mut self, mut things: impl Iterator<Item = T>, change: impl Fn(&Self, &T) -> Case) -> Option<T> {
        loop {
            let mut several: Vec<T> = things.by_ref().take(self.width).collect();
            if several.is_empty() || self.is_spent() {
                return None;
            }
            let candidates = several.iter().map(|thing| change(self, thing)).collect();
            if let Some(number) = self.take_first(candidates) {
                return Some(several.swap_remove(number));
            }
        }
    }

    /// Works with so many other seeds for each candidate that does not fail with its own.
    fn trying_seeds<T>(&mut self, seeds: u64, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.seeds, seeds);
        let result = work(self);
        self.seeds = before;
        result
    }

    /// Takes away what can go with any of a few seeds.
    fn hunt(&mut self) {
        let limit = self.limit;
        self.limit = limit.min(self.runs + 2 * BRANCH_RUNS);
        self.trying_seeds(SEEDS, Self::reduce);
        self.limit = limit;
        self.first_seed += SEEDS;
    }

    /// Works on another form of the case, which may be larger at first, and takes what comes of it if that is smaller.
    fn branch(&mut self, start: Case, runs: u64, work: impl FnOnce(&mut Self)) -> bool {
        // What came of it once was not smaller than the best case then, and that one has not grown since.
        if !self.tried.begun.insert(Digest::of(&start)) {
            return false;
        }
        let Some(trial) = self.fails(&start) else { return false };
        let before = self.best.clone();
        let limit = self.limit;
        self.limit = limit.min(self.runs + runs);
        self.best = Standing { size: Size::of(&start), case: start, trial };
        work(self);
        self.limit = limit;
        if self.best.size < before.size {
            return true;
        }
        self.best = before;
        false
    }

    /// The smallest case after a change of its scenario and operations.
    fn changed(&self, change: impl FnOnce(&mut Scenario, &mut Vec<ScriptedOperation>)) -> Case {
        let mut case = self.best.case.clone();
        let written = case.scenario.operations.take().map(|list| list.to_vec());
        let are_written = written.is_some();
        let mut operations = written.unwrap_or_default();
        change(&mut case.scenario, &mut operations);
        // As long as requests are left to dice, only the rest can be changed.
        if are_written {
            case.scenario = case.scenario.with_operations(operations);
        }
        case
    }

    fn operations(&self) -> &[ScriptedOperation] {
        self.best.case.scenario.operations.as_deref().unwrap_or_default()
    }

    /// Requests become operations. That alone changes nothing.
    fn write_operations_down(&mut self) {
        if self.best.case.scenario.operations.is_some() {
            return;
        }
        let mut case = self.best.case.clone();
        let script = case.scenario.plan().script(&self.log_of(&case).history);
        if script.len() > THINGS_MAX {
            return;
        }
        case.scenario = case.scenario.with_operations(script);
        if let Some(trial) = self.fails(&case) {
            self.best = Standing { size: Size::of(&case), case, trial };
        }
    }

    /// Losses become a list, in several ways, if some are left to chance.
    fn write_losses_down(&mut self) {
        if !self.best.size.chance {
            return;
        }
        self.hunt();
        let start = self.best.case.clone();
        let log = self.log_of(&start);
        if log.drops.len() > THINGS_MAX {
            return;
        }
        // Losses are faults, and liveness is judged when all of these are over.
        let quiet = log.end - (liveness::BOUND + Span::from_secs(1));
        for until in [log.end, quiet, log.calm.unwrap_or(quiet)] {
            for scope in Scope::ALL {
                self.branch(explicit(&start, &log, scope, until), 2 * BRANCH_RUNS, Self::reduce);
            }
            if !self.best.size.chance {
                break;
            }
        }
    }

    /// With other seeds other things happen: something may be left out then.
    fn try_other_seeds(&mut self) {
        let start = self.best.case.clone();
        for seed in self.first_seed..self.first_seed + SEEDS {
            if seed != start.seed {
                self.branch(Case { seed, ..start.clone() }, BRANCH_RUNS, Self::reduce);
            }
        }
    }

    /// What an event does may be done by a few losses, and the other way round.
    fn trade(&mut self) {
        let start = self.best.case.clone();
        let log = self.log_of(&start);
        if log.drops.len() > THINGS_MAX {
            return;
        }
        self.branch(explicit(&start, &log, Scope::All, log.end), BRANCH_RUNS, Self::reduce);
        let mut number = start.scenario.events.len();
        while number > 0 {
            number -= 1;
            let mut case = start.clone();
            case.scenario.events.remove(number);
            case.scenario.losses = log.drops.iter().map(|drop| drop.loss).collect();
            self.branch(case, BRANCH_RUNS, Self::reduce);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::explore::draw;
    use crate::subjects;

    #[test]
    fn several_runs_at_a_time_change_nothing_of_the_result() {
        let mutant = subjects::raft().without("vote-once").expect("a rule of Raft");
        let cases = (0..4_000).map(|seed| draw(&mutant, seed)).map(|case| (case.attempt(), case));
        let (trial, case) = cases.into_iter().find(|(trial, _)| !trial.passed()).expect("it fails");
        let shrunk = |width| {
            let mut steps = Vec::new();
            let shrunk = shrink_at(width, &case, &trial.findings[0], 1_500, |step| {
                steps.push((step.runs, step.case.seed));
                ControlFlow::Continue(())
            });
            let Shrunk { case, runs, .. } = shrunk.expect("it fails");
            (case.scenario, case.seed, runs, steps)
        };
        let alone = shrunk(1);
        assert!(alone.0.requests < case.scenario.requests, "it becomes smaller");
        assert_eq!(shrunk(3), alone);
    }
}
