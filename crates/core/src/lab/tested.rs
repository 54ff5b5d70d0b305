//! What stands behind a [`Protocol`](super::Protocol): a subject whose type is known here alone.
//!
//! Every function of [`Tested`] is a whole run or more. So the loop of a run is compiled for its machine, and nothing in
//! it goes through a table of functions but what watches.

use std::sync::Arc;

use super::case::{Case, Judged};
use super::explore::{Flavour, Seen, Survey};
use super::panicked::{Newest, Rerun};
use super::parameter::{Parameter, ParameterError};
use super::protocol::Mutant;
use super::shrink::Log;
use super::subject::{MessageOf, Subject, TIMEOUT_LEAST, Timing, Tolerance};
use super::verify::{Agreement, Divergence, verify_all};
use crate::check::{Evidence, Judgement, Panel, liveness};
use crate::consensus::Consensus;
use crate::id::ReplicaId;
use crate::machine::Machine;
use crate::record::{Event, Observer, RunRecord, Said, Scene, Tally, View, Watcher, Windows};
use crate::rng::Stream;
use crate::scenario::Scenario;
use crate::specification::{Register, Specification};
use crate::time::Span;
use crate::wire::{Datagrams, Envelope, Pulse};
use crate::workload;
use crate::world::catch_quietly;
use crate::world::simulation::{Simulation, simulate_booting};

/// Runs that a verification plays twice.
pub type Runs<'r, 's> = &'r mut (dyn Iterator<Item = (&'s Scenario, u64)> + Send);

/// A subject of any type. [`Subject`] says what the functions mean that are named alike.
pub(super) trait Tested: Send + Sync {
    fn name(&self) -> &'static str;
    fn summary(&self) -> &'static str;
    fn kinds(&self) -> &'static [&'static str];
    fn parameters(&self) -> Vec<(&'static str, f64)>;
    /// Which of the parameters are lengths of time.
    fn times(&self) -> Vec<bool>;
    fn with(&self, name: &str, value: f64) -> Result<Arc<dyn Tested>, ParameterError>;
    fn validate(&self) -> Result<(), ParameterError>;
    fn mutants(&self) -> Vec<Mutant>;
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
    /// Runs a case without checkers, up to its end or a panic, and records what happens to messages and replicas.
    fn log(&self, case: &Case, log: &mut Log) -> RunRecord;
    /// Runs a case without checkers, up to its end or a panic, and says which event was the newest.
    fn rerun(&self, case: &Case) -> Rerun;
    /// Plays runs twice.
    fn verify(&self, runs: Runs<'_, '_>, watch: &(dyn Fn(&Scenario) + Sync)) -> Result<Agreement, Box<Divergence>>;
}

impl<S: Subject> Tested for S {
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
        Subject::parameters(&mut self.clone()).iter().map(|parameter| (parameter.name(), parameter.get())).collect()
    }

    fn times(&self) -> Vec<bool> {
        Subject::parameters(&mut self.clone()).iter().map(Parameter::is_time).collect()
    }

    fn with(&self, name: &str, value: f64) -> Result<Arc<dyn Tested>, ParameterError> {
        let mut changed = self.clone();
        let mut parameters = Subject::parameters(&mut changed);
        match parameters.iter_mut().find(|parameter| parameter.name() == name) {
            Some(parameter) => parameter.set(value)?,
            None => {
                let names: Vec<&str> = parameters.iter().map(Parameter::name).collect();
                let allowed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(ParameterError::Unknown { name: name.to_owned(), allowed });
            }
        }
        drop(parameters);
        Ok(Arc::new(changed))
    }

    fn validate(&self) -> Result<(), ParameterError> {
        Subject::validate(self)
    }

    fn mutants(&self) -> Vec<Mutant> {
        Subject::mutants(self)
    }

    fn progress_bound(&self) -> Span {
        Subject::progress_bound(self).max(liveness::BOUND)
    }

    fn tolerates(&self) -> Tolerance {
        Subject::tolerates(self)
    }

    fn timing(&self) -> Timing {
        let timing = Subject::timing(self);
        let timeout_min = timing.timeout_min.max(TIMEOUT_LEAST);
        Timing { timeout_min, timeout_max: timing.timeout_max.max(timeout_min), ..timing }
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
        self.specification(scenario).is_some() || !self.checks().is_empty()
    }

    fn simulate(&self, scenario: &Scenario, seed: u64, watcher: Option<&mut dyn Watcher>) -> RunRecord {
        match watcher {
            None => simulate_booting(scenario, seed, (), |boot| self.boot(boot)),
            Some(watcher) => {
                simulate_booting(scenario, seed, Looking { subject: self, watcher }, |boot| self.boot(boot))
            }
        }
    }

    fn run(&self, case: &Case) -> Judged {
        judged(self, case, ())
    }

    fn run_watched(&self, case: &Case, watcher: &mut dyn Watcher, tally: &mut Tally) -> Judged {
        judged(self, case, (Looking { subject: self, watcher }, Counter { subject: self, tally }))
    }

    fn run_counted(&self, case: &Case, tally: &mut Tally) -> Judged {
        judged(self, case, Counter { subject: self, tally })
    }

    fn run_surveyed(&self, case: &Case, seen: &mut Seen) -> Judged {
        let Some(mut survey) = self.survey() else { return Tested::run(self, case) };
        // What was seen before a panic counts, too.
        let surveying = Surveying { survey: &mut *survey, seen };
        judged(self, case, &mut *surveying.survey)
    }

    fn log(&self, case: &Case, log: &mut Log) -> RunRecord {
        Log::watch(simulation(self, case, log))
    }

    fn rerun(&self, case: &Case) -> Rerun {
        let mut newest = Newest::default();
        let run = catch_quietly(|| {
            let mut simulation = simulation(self, case, &mut newest);
            // What a panic leaves of the simulation is good for what has happened before.
            let panicked = catch_quietly(|| while simulation.step() {}).is_err();
            (simulation.finish(), panicked)
        });
        match run {
            Ok((record, panicked)) => Rerun { record: Some(record), newest, panicked },
            // A replica may panic as soon as it starts, and what makes the clients may, too.
            Err(_) => Rerun { record: None, newest, panicked: true },
        }
    }

    fn verify(&self, runs: Runs<'_, '_>, watch: &(dyn Fn(&Scenario) + Sync)) -> Result<Agreement, Box<Divergence>> {
        verify_all(runs, watch, |boot| self.boot(boot))
    }
}

/// A run of a case at its beginning.
fn simulation<'c, S: Subject, O: Observer<S::Machine>>(
    subject: &'c S,
    case: &'c Case,
    observer: O,
) -> Simulation<'c, S::Machine, O> {
    Simulation::booting(&case.scenario, case.seed, observer, |boot| subject.boot(boot))
}

/// Runs a case with all checkers and an observer.
fn judged<S: Subject>(subject: &S, case: &Case, observer: impl Observer<S::Machine>) -> Judged {
    let mut panel = Panel::new(subject.checks());
    let mut simulation = simulation(subject, case, (&mut panel, observer));
    while simulation.step() {}
    let (machines, living) = (simulation.replicas(), simulation.director().living());
    let diagnosis = liveness::diagnose(living, |id| subject.window(&machines[id.index()]));
    let mut record = simulation.finish();
    let spec = subject.specification(&case.scenario);
    if spec.is_none_or(|spec| spec.name() != Specification::name(&Register)) {
        // The course's clients judge values as those of registers, and this protocol does not promise registers.
        (record.history.incorrect_gets, record.history.unacknowledged_reads) = (0, 0);
    }
    let evidence = Evidence {
        bound: Tested::progress_bound(subject),
        diagnosis: diagnosis.as_deref(),
        ..Evidence::of(&case.scenario, &record, spec)
    };
    let judgement = Judgement::by(&mut panel, evidence);
    Judged { record, judgement }
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

/// Shows a run to a watcher that knows no machine.
struct Looking<'s, 'w, S> {
    subject: &'s S,
    watcher: &'w mut dyn Watcher,
}

/// The machines of a scene, seen through their windows.
struct Behind<'s, 'm, S: Subject> {
    subject: &'s S,
    machines: &'m [S::Machine],
}

impl<S: Subject> Windows for Behind<'_, '_, S> {
    fn window(&self, replica: ReplicaId) -> Option<&dyn Consensus> {
        self.subject.window(&self.machines[replica.index()])
    }
}

/// A message with the subject that can say what it means.
struct Message<'s, 'm, S: Subject> {
    subject: &'s S,
    message: &'m MessageOf<S>,
}

impl<S: Subject> Said for Message<'_, '_, S> {
    fn write(&self, envelope: &Envelope<'_>, out: &mut Datagrams) {
        self.subject.write_message(self.message, envelope, out);
    }

    fn pulse(&self) -> Option<Pulse> {
        self.subject.pulse(self.message)
    }
}

impl<S: Subject> Observer<S::Machine> for Looking<'_, '_, S> {
    fn event(&mut self, scene: &Scene<'_, S::Machine>, event: &Event<'_, MessageOf<S>>) {
        let behind = Behind { subject: self.subject, machines: scene.replicas };
        let view = View { now: scene.now, windows: &behind };
        let said = event.message().map(|message| Message { subject: self.subject, message });
        self.watcher.event(&view, &event.without_message(), said.as_ref().map(|said| said as &dyn Said));
    }

    fn handled(&mut self, scene: &Scene<'_, S::Machine>, replica: ReplicaId) {
        let behind = Behind { subject: self.subject, machines: scene.replicas };
        self.watcher.handled(&View { now: scene.now, windows: &behind }, replica);
    }
}

/// Counts the messages of a run while it goes on.
struct Counter<'s, 't, S> {
    subject: &'s S,
    tally: &'t mut Tally,
}

impl<S: Subject> Observer<S::Machine> for Counter<'_, '_, S> {
    #[inline]
    fn event(&mut self, _: &Scene<'_, S::Machine>, event: &Event<'_, MessageOf<S>>) {
        if let Event::Dropped { from, to, message } | Event::Damaged { from, to, message } = event {
            self.tally.note_dropped(*from, *to, self.subject.kind(message));
        }
    }

    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &MessageOf<S>) {
        self.tally.note_sent(from, to, self.subject.kind(message));
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
