//! The list of all checkers of a run, behind one trait.

use std::convert::Infallible;
use std::fmt;

use super::linear::{AnySpecification, Linearizability};
use super::opinion::{Checker, Opinion};
use super::promptness::{self, Promptness};
use super::{answers, course, faithfulness, liveness, raft};
use crate::id::ReplicaId;
use crate::machine::{Input, Machine, Outbox};
use crate::record::{Event, Observer, RunRecord, Scene};
use crate::scenario::Scenario;
use crate::service::Operation;
use crate::time::{Span, Time};

/// Judges one run of machines of some type, in progress or after its end.
pub trait Check<M: Machine>: Observer<M> {
    /// Its opinion, after the end of the run.
    fn judge(&mut self, evidence: &Evidence<'_>) -> Opinion;

    /// Whether its opinion is left out of a run in which it found nothing, so that reports stay short.
    fn speaks_only_of_failures(&self) -> bool {
        false
    }
}

/// What is known of a run after its end.
#[derive(Clone, Debug)]
pub struct Evidence<'e> {
    /// What should have happened.
    pub scenario: &'e Scenario,
    /// What happened.
    pub record: &'e RunRecord,
    /// Which answers are right; none if there is no specification.
    pub spec: Option<&'static dyn AnySpecification>,
    /// How long progress may take with the parameters of these machines: [`liveness::BOUND`] or more.
    pub bound: Span,
    /// The state of the machines at the end, if they have a window ([`liveness::diagnose`]).
    pub diagnosis: Option<&'e liveness::Diagnosis>,
    /// How soon answers must come in calm periods, if these machines bound that.
    pub promptness: Option<Promptness>,
    /// The course's verdict.
    pub course: course::Verdict,
}

impl<'e> Evidence<'e> {
    /// What is known of a run of machines without a window.
    pub fn of(
        scenario: &'e Scenario,
        record: &'e RunRecord,
        spec: Option<&'static dyn AnySpecification>,
    ) -> Evidence<'e> {
        let course = course::judge(scenario, record);
        Evidence { scenario, record, spec, bound: liveness::BOUND, diagnosis: None, promptness: None, course }
    }

    /// Whether an operation only looks, so that its acknowledgement is no progress of writes.
    pub fn reads(&self, operation: &Operation) -> bool {
        self.spec.map_or_else(|| operation.is_get(), |spec| spec.reads(operation))
    }
}

/// All checkers of one run. Those that judge every run need only its record; a protocol's own watch it, too.
pub struct Panel<M: Machine> {
    own: Vec<Box<dyn Check<M>>>,
}

impl<M: Machine> Panel<M> {
    /// The checkers that judge every run, and these, which know the protocol.
    pub fn new(own: Vec<Box<dyn Check<M>>>) -> Panel<M> {
        Panel { own }
    }

    /// The opinions of all of them, in the order of preference when one failure has to stand for the run.
    pub fn judge(&mut self, evidence: &Evidence<'_>) -> Vec<Opinion> {
        let standard: [&mut dyn Check<M>; 3] = [&mut Linearizability, &mut liveness::Liveness, &mut course::Course];
        let mut opinions: Vec<Opinion> = standard.into_iter().map(|check| check.judge(evidence)).collect();
        let own = self.own.iter_mut().filter_map(|check| {
            let opinion = check.judge(evidence);
            (!opinion.findings.is_empty() || !check.speaks_only_of_failures()).then_some(opinion)
        });
        opinions.splice(1..1, own);
        if !opinions.iter().any(|opinion| opinion.checker == Checker::INVARIANTS) {
            opinions.insert(1, raft::unwatched());
        }
        if evidence.spec.is_none() && self.own.is_empty() {
            UNJUDGED.clone_into(&mut opinions[0].remark);
        }
        if let Some(opinion) = answers::opinion(evidence.record) {
            opinions.insert(1, opinion);
        }
        if let Some(opinion) = promptness::opinion(evidence) {
            opinions.insert(opinions.len() - 1, opinion);
        }
        opinions.extend(faithfulness::opinion(evidence.record));
        opinions
    }
}

/// The remark on answers that no checker can judge.
const UNJUDGED: &str = "no checker judges the answers: there is neither a specification nor a checker for them";

impl<M: Machine> fmt::Debug for Panel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panel").field("own", &self.own.len()).finish()
    }
}

impl<M: Machine> Observer<M> for Panel<M> {
    #[inline]
    fn event(&mut self, scene: &Scene<'_, M>, event: &Event<'_, M::Message>) {
        for check in &mut self.own {
            check.event(scene, event);
        }
    }

    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &M::Message) {
        for check in &mut self.own {
            check.sent(from, to, message);
        }
    }

    #[inline]
    fn handled(&mut self, scene: &Scene<'_, M>, replica: ReplicaId) {
        for check in &mut self.own {
            check.handled(scene, replica);
        }
    }
}

/// Two checkers that are one to others, so that an event passes one table of functions. The opinion is the first one's, or the
/// second one's if only that found something, with the findings of both.
#[derive(Debug)]
pub struct Both<A, B>(pub A, pub B);

impl<M: Machine, A: Observer<M>, B: Observer<M>> Observer<M> for Both<A, B> {
    #[inline]
    fn event(&mut self, scene: &Scene<'_, M>, event: &Event<'_, M::Message>) {
        self.0.event(scene, event);
        self.1.event(scene, event);
    }

    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &M::Message) {
        self.0.sent(from, to, message);
        self.1.sent(from, to, message);
    }

    #[inline]
    fn handled(&mut self, scene: &Scene<'_, M>, replica: ReplicaId) {
        self.0.handled(scene, replica);
        self.1.handled(scene, replica);
    }
}

impl<M: Machine, A: Check<M>, B: Check<M>> Check<M> for Both<A, B> {
    fn judge(&mut self, evidence: &Evidence<'_>) -> Opinion {
        let (mut first, second) = (self.0.judge(evidence), self.1.judge(evidence));
        if first.findings.is_empty() && !second.findings.is_empty() {
            return second;
        }
        first.findings.extend(second.findings);
        first
    }
}

/// An invariant of a protocol's own: `holds` is called after each input that a machine has handled, and returns what is
/// wrong, if anything. The first violation counts. `name` is the kind of the finding.
pub fn invariant<M, F>(name: &'static str, holds: F) -> Box<dyn Check<M>>
where
    M: Machine + 'static,
    F: FnMut(&Scene<'_, M>) -> Result<(), String> + 'static,
{
    Box::new(OwnInvariant { name, holds, looks: 0, broken: None })
}

struct OwnInvariant<F> {
    name: &'static str,
    holds: F,
    looks: u64,
    broken: Option<(Time, String)>,
}

impl<M: Machine, F: FnMut(&Scene<'_, M>) -> Result<(), String>> Observer<M> for OwnInvariant<F> {
    fn handled(&mut self, scene: &Scene<'_, M>, _: ReplicaId) {
        if self.broken.is_none() {
            self.looks += 1;
            self.broken = (self.holds)(scene).err().map(|what| (scene.now, what));
        }
    }
}

impl<M: Machine, F: FnMut(&Scene<'_, M>) -> Result<(), String>> Check<M> for OwnInvariant<F> {
    fn judge(&mut self, _: &Evidence<'_>) -> Opinion {
        let broken =
            self.broken.as_ref().map(|(time, what)| raft::BrokenInvariant { name: self.name, time: *time, what });
        raft::opinion("Invariants", self.looks, None, broken)
    }
}

/// A machine for runs of programs, whose state is not visible. The type has no values.
pub(super) enum Unseen {}

impl Machine for Unseen {
    type Message = ();
    type Request = ();
    type Response = ();
    type Record = Infallible;

    fn handle(&mut self, _: Time, _: Input<Self>, _: &mut Outbox<Self>) {
        match *self {}
    }

    fn poll_timeout(&self) -> Time {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture;

    /// What two checkers say together, each of which has found a violation of this kind or none.
    fn both(first: Option<&'static str>, second: Option<&'static str>) -> Vec<String> {
        let check = |name: Option<&'static str>| {
            let broken = name.map(|name| (Time::ZERO, format!("{name} is broken")));
            OwnInvariant { name: name.unwrap_or("none"), holds: |_: &Scene<'_, Unseen>| Ok(()), looks: 1, broken }
        };
        let record = fixture::record();
        let opinion = Both(check(first), check(second)).judge(&Evidence::of(&fixture::scenario(), &record, None));
        opinion.findings.into_iter().map(|finding| finding.kind.to_string()).collect()
    }

    #[test]
    fn two_checkers_that_are_one_to_others_have_the_findings_of_both() {
        assert_eq!(both(None, None), [""; 0]);
        assert_eq!(both(Some("a"), None), ["a"]);
        assert_eq!(both(None, Some("b")), ["b"]);
        assert_eq!(both(Some("a"), Some("b")), ["a", "b"]);
    }
}
