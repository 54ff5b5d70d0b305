//! What stands behind a [`Protocol`](super::Protocol): a subject whose type is known here alone, of typed machines or of
//! [stations](super::StationSubject).
//!
//! Every function of [`Tested`] is a whole run or more. So the loop of a run is compiled for its machine, and nothing in
//! it goes through a table of functions but what watches.

use std::sync::Arc;

use super::case::{Case, Judged};
use super::explore::{Flavour, Met, Seen, Survey, Tracker, variant};
use super::panicked::Rerun;
use super::parameter::{Parameter, ParameterError};
use super::plays::{self, Played, Plays, judged};
use super::protocol::Mutant;
use super::shrink::Log;
use super::subject::{MessageOf, Subject, TIMEOUT_LEAST, Timing, Tolerance};
use super::verify::{Agreement, Divergence, verify_played};
use crate::chaos::Director;
use crate::check::linear::AnySpecification;
use crate::check::promptness::Promptness;
use crate::check::{Check, liveness};
use crate::consensus::Consensus;
use crate::id::ReplicaSet;
use crate::machine::Machine;
use crate::record::{Observer, RunRecord, Tally, Watcher, World};
use crate::rng::Stream;
use crate::scenario::Scenario;
use crate::time::Span;
use crate::wire::{Datagrams, Envelope, Pulse};
use crate::workload;
use crate::world::Run;
use crate::world::simulation::Simulation;

/// Runs that a verification plays twice.
pub type Runs<'r, 's> = &'r mut (dyn Iterator<Item = (&'s Scenario, u64)> + Send);

/// A subject of any type. [`Subject`] says what the functions mean that are named alike.
pub(super) trait Tested: Send + Sync {
    /// The world in which its runs are.
    fn world(&self) -> World;
    fn name(&self) -> &'static str;
    fn summary(&self) -> &'static str;
    fn kinds(&self) -> &'static [&'static str];
    fn parameters(&self) -> Vec<(&'static str, f64)>;
    /// Which of the parameters are lengths of time.
    fn times(&self) -> Vec<bool>;
    fn with(&self, name: &str, value: f64) -> Result<Arc<dyn Tested>, ParameterError>;
    fn validate(&self) -> Result<(), ParameterError>;
    fn mutants(&self) -> Vec<Mutant>;
    fn mutated(&self) -> &'static [&'static str];
    fn progress_bound(&self) -> Span;
    fn tolerates(&self) -> Tolerance;
    fn timing(&self) -> Timing;
    fn varied(&self, seed: u64, random: &mut Stream, flavour: Flavour) -> Arc<dyn Tested>;
    fn situations(&self) -> &'static [&'static str];
    fn workload(&self) -> workload::Kind;
    fn serves(&self, kind: &workload::Kind) -> bool;
    /// Whether anything says which answers are right in a scenario: a specification, or a checker of the protocol's own.
    fn judges_answers(&self, scenario: &Scenario) -> bool;

    /// Runs a scenario without checkers.
    fn simulate(&self, scenario: &Scenario, seed: u64, watcher: Option<&mut dyn Watcher>) -> RunRecord;
    /// Runs a case of it, with all checkers.
    fn run(&self, case: &Case) -> Judged;
    /// The same, watched; counts its messages, too.
    fn run_watched(&self, case: &Case, watcher: &mut dyn Watcher, tally: &mut Tally) -> Judged;
    /// The same, and counts its messages. What was counted before a panic stays.
    fn run_counted(&self, case: &Case, tally: &mut Tally) -> Judged;
    /// The same, and looks for situations. What was seen before a panic stays.
    fn run_surveyed(&self, case: &Case, seen: &mut Seen) -> Judged;
    /// The same, and records all that is met, edges included. What was met before a panic stays.
    fn run_tracked(&self, case: &Case, met: &mut Met) -> Judged;
    /// Runs a case without checkers, up to its end or a panic, and records what happens to messages and replicas.
    fn log(&self, case: &Case, log: &mut Log) -> RunRecord;
    /// Runs a case without checkers, up to its end or a panic, and says which event was the newest.
    fn rerun(&self, case: &Case) -> Rerun;
    /// Plays runs twice.
    fn verify(&self, runs: Runs<'_, '_>, watch: &(dyn Fn(&Scenario) + Sync)) -> Result<Agreement, Box<Divergence>>;
}

impl<S: Subject> Tested for S {
    fn world(&self) -> World {
        World::Virtual
    }

    fn name(&self) -> &'static str {
        Subject::name(self)
    }

    fn summary(&self) -> &'static str {
        Subject::summary(self)
    }

    fn kinds(&self) -> &'static [&'static str] {
        Subject::kinds(self)
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        values(&Subject::parameters(&mut self.clone()))
    }

    fn times(&self) -> Vec<bool> {
        Subject::parameters(&mut self.clone()).iter().map(Parameter::is_time).collect()
    }

    fn with(&self, name: &str, value: f64) -> Result<Arc<dyn Tested>, ParameterError> {
        let mut changed = self.clone();
        set(&mut Subject::parameters(&mut changed), name, value)?;
        Ok(Arc::new(changed))
    }

    fn validate(&self) -> Result<(), ParameterError> {
        Subject::validate(self)
    }

    fn mutants(&self) -> Vec<Mutant> {
        Subject::mutants(self)
    }

    fn mutated(&self) -> &'static [&'static str] {
        Subject::mutated(self)
    }

    fn progress_bound(&self) -> Span {
        Subject::progress_bound(self).max(liveness::BOUND)
    }

    fn tolerates(&self) -> Tolerance {
        Subject::tolerates(self)
    }

    fn timing(&self) -> Timing {
        orderly(Subject::timing(self))
    }

    fn varied(&self, seed: u64, random: &mut Stream, flavour: Flavour) -> Arc<dyn Tested> {
        let mut changed = self.clone();
        changed.vary(seed, random, flavour);
        Arc::new(changed)
    }

    fn situations(&self) -> &'static [&'static str] {
        Subject::situations(self)
    }

    fn workload(&self) -> workload::Kind {
        Subject::workload(self)
    }

    fn serves(&self, kind: &workload::Kind) -> bool {
        Subject::serves(self, kind)
    }

    fn judges_answers(&self, scenario: &Scenario) -> bool {
        Subject::specification(self, scenario).is_some() || !Subject::checks(self).is_empty()
    }

    fn simulate(&self, scenario: &Scenario, seed: u64, watcher: Option<&mut dyn Watcher>) -> RunRecord {
        plays::simulate(self, scenario, seed, watcher)
    }

    fn run(&self, case: &Case) -> Judged {
        judged(self, case, ())
    }

    fn run_watched(&self, case: &Case, watcher: &mut dyn Watcher, tally: &mut Tally) -> Judged {
        plays::watched(self, case, watcher, tally)
    }

    fn run_counted(&self, case: &Case, tally: &mut Tally) -> Judged {
        plays::counted(self, case, tally)
    }

    fn run_surveyed(&self, case: &Case, seen: &mut Seen) -> Judged {
        let Some(mut survey) = self.survey() else { return Tested::run(self, case) };
        // What was seen before a panic counts, too.
        let surveying = Surveying { survey: &mut *survey, seen };
        judged(self, case, &mut *surveying.survey)
    }

    fn run_tracked(&self, case: &Case, met: &mut Met) -> Judged {
        judged(self, case, Tracker::new(self, &case.scenario, self.survey(), met))
    }

    fn log(&self, case: &Case, log: &mut Log) -> RunRecord {
        Log::watch(self.begin(&case.scenario, case.seed, log))
    }

    fn rerun(&self, case: &Case) -> Rerun {
        plays::rerun(self, case)
    }

    fn verify(&self, runs: Runs<'_, '_>, watch: &(dyn Fn(&Scenario) + Sync)) -> Result<Agreement, Box<Divergence>> {
        verify_played(runs, watch, self)
    }
}

/// Hands on what was seen when it ends, also by a panic.
struct Surveying<'v, 's, M: Machine> {
    survey: &'v mut dyn Survey<M>,
    seen: &'s mut Seen,
}

impl<M: Machine> Drop for Surveying<'_, '_, M> {
    fn drop(&mut self) {
        *self.seen = self.survey.seen();
    }
}

/// The values of parameters, by name.
pub(super) fn values(parameters: &[Parameter<'_>]) -> Vec<(&'static str, f64)> {
    parameters.iter().map(|parameter| (parameter.name(), parameter.get())).collect()
}

/// Sets one of these parameters.
///
/// # Errors
/// If there is no such parameter, or it cannot have this value.
pub(super) fn set(parameters: &mut [Parameter<'_>], name: &str, value: f64) -> Result<(), ParameterError> {
    let names: Vec<&str> = parameters.iter().map(Parameter::name).collect();
    let allowed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    match parameters.iter_mut().find(|parameter| parameter.name() == name) {
        Some(parameter) => parameter.set(value),
        None => Err(ParameterError::Unknown { name: name.to_owned(), allowed }),
    }
}

/// The times of a subject, in order.
pub(super) fn orderly(timing: Timing) -> Timing {
    let timeout_min = timing.timeout_min.max(TIMEOUT_LEAST);
    Timing { timeout_min, timeout_max: timing.timeout_max.max(timeout_min), ..timing }
}

impl<S: Subject> Plays for S {
    type Machine = S::Machine;

    fn begin<'r, O: Observer<S::Machine> + 'r>(
        &'r self,
        scenario: &'r Scenario,
        seed: u64,
        observer: O,
    ) -> impl Run<S::Machine> + 'r {
        Simulation::booting(scenario, seed, observer, |boot| self.boot(boot))
    }
}

impl<S: Subject> Played for S {
    fn window<'m>(&self, machine: &'m S::Machine) -> Option<&'m dyn Consensus> {
        Subject::window(self, machine)
    }

    fn kind(&self, message: &MessageOf<S>) -> usize {
        Subject::kind(self, message)
    }

    fn sort(&self, message: &MessageOf<S>) -> u64 {
        variant(message)
    }

    fn relation(&self, machine: &S::Machine, message: &MessageOf<S>) -> u64 {
        Subject::relation(self, machine, message)
    }

    fn write_message(&self, message: &MessageOf<S>, envelope: &Envelope<'_>, out: &mut Datagrams) {
        Subject::write_message(self, message, envelope, out);
    }

    fn pulse(&self, message: &MessageOf<S>) -> Option<Pulse> {
        Subject::pulse(self, message)
    }

    fn checks(&self) -> Vec<Box<dyn Check<S::Machine>>> {
        Subject::checks(self)
    }

    fn specification(&self, scenario: &Scenario) -> Option<&'static dyn AnySpecification> {
        Subject::specification(self, scenario)
    }

    fn participants(&self, replicas: &[S::Machine], director: &Director) -> ReplicaSet {
        Subject::participants(self, replicas, director)
    }

    fn bound(&self) -> Span {
        Tested::progress_bound(self)
    }

    fn promptness(&self) -> Option<Promptness> {
        Subject::promptness(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Checker;
    use crate::check::course::CourseError;
    use crate::lab::explore::draw;
    use crate::lab::{subject, tests::odd::Odd};

    /// A run in which replicas answer with values that are no longer the newest.
    fn stale(specification: Option<&'static str>) -> Judged {
        let is_stale = |seed: &u64| {
            let trial = draw(&subject(Odd::default()), *seed).attempt();
            trial.findings.iter().any(|finding| finding.kind == CourseError::IncorrectResponses.kind())
        };
        let seed = (0..100).find(is_stale).expect("broadcast is not linearizable");
        draw(&subject(Odd { specification, ..Odd::default() }), seed).run()
    }

    #[test]
    fn values_are_judged_as_those_of_registers_only_if_the_protocol_promises_registers() {
        let register = stale(Some("register"));
        assert_eq!(register.judgement.word(&Checker::LINEARIZABILITY), "violation");
        assert!(register.judgement.course.errors.contains(&CourseError::IncorrectResponses));
        assert!(!register.judgement.wrong_reads(&register.record.history).is_empty());

        let nothing = stale(None);
        assert_eq!(nothing.record.trace, register.record.trace, "it is the same run");
        assert_eq!(nothing.judgement.word(&Checker::LINEARIZABILITY), "not judged");
        assert!(!nothing.judgement.course.errors.contains(&CourseError::IncorrectResponses));
        assert_eq!(nothing.judgement.wrong_reads(&nothing.record.history), []);
        let said = nothing.judgement.opinion(&Checker::LINEARIZABILITY).expect("one of the standard checkers");
        assert!(said.remark.starts_with("no checker judges the answers"), "{}", said.remark);
    }
}
