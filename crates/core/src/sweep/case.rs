//! One run of a shipped protocol with all that decides it, and with all checkers.

use super::tally::Counter;
use std::sync::Arc;

use super::{ProtocolName, RaftWatcher, Watcher};
use crate::broadcast::Broadcast;
use crate::check::liveness::{self, diagnose};
use crate::check::raft::Invariants;
use crate::check::{Checker, Finding, Inside, Judgement};
use crate::kv::Command;
use crate::machine::{Boot, Exit};
use crate::raft::{Mutant, Record, Rule, Rules, Sound};
use crate::record::{Observer, RunRecord, Tally};
use crate::replica::{Config, Replica};
use crate::scenario::Scenario;
use crate::time::Span;
use crate::world::catch_quietly;
use crate::world::simulation::Simulation;

/// What is tested.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// The protocol.
    pub protocol: ProtocolName,
    /// The parameters of its replicas; those of Raft.
    pub config: Config,
    /// The rule that this Raft does not keep: an animal of the zoo.
    pub broken: Option<Rule>,
}

/// Everything that decides a run: a run is a pure function of this and of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What happens to the cluster.
    pub scenario: Scenario,
    /// All dice.
    pub seed: u64,
    /// What the replicas run.
    pub subject: Subject,
}

/// A run and what all checkers say of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The run.
    pub record: RunRecord,
    /// What the checkers say.
    pub judgement: Judgement,
}

/// What came of a case that may even have panicked.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The run; none, if a replica panicked.
    pub judged: Option<Judged>,
    /// Everything that was found, the most telling first.
    pub findings: Vec<Finding>,
}

/// The kind of the finding that a replica panicked.
pub const PANIC: &str = "panic";

impl Trial {
    /// The trace's hash; none, if a replica panicked.
    pub fn trace(&self) -> Option<u64> {
        self.judged.as_ref()?.record.trace
    }

    /// Whether nothing was found.
    pub fn passed(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Subject {
    /// A replica of this Raft, with or without one of its rules.
    ///
    /// # Errors
    /// If its disk is damaged.
    ///
    /// # Panics
    /// If the configuration makes no sense; a subject is made from what was checked.
    fn boot<R: Rules>(&self, boot: Boot<Record<Arc<Command>>>, rules: R) -> Result<Replica<R>, Exit> {
        Replica::boot(boot, self.config.clone(), rules)
    }

    /// How long progress may take this Raft: as long as any, or, if its timeouts are long, eight elections or as long
    /// as it may hold a request.
    fn progress_bound(&self) -> Span {
        let elections = Span(self.config.raft.election_timeout_max.nanos().saturating_mul(8));
        let held = self.config.held_time_max + Span::from_secs(1);
        liveness::BOUND.max(elections).max(held)
    }
}

impl Case {
    /// Runs the case, with all checkers.
    ///
    /// # Panics
    /// If the protocol does.
    pub fn run(&self) -> Judged {
        self.run_with(())
    }

    /// The same; the watcher sees each event and changes nothing.
    ///
    /// # Panics
    /// If the protocol does.
    pub fn run_observed(&self, watcher: &mut dyn Watcher) -> Judged {
        self.run_with(watcher)
    }

    fn run_with<O: Watcher>(&self, observer: O) -> Judged {
        match self.subject.protocol {
            ProtocolName::Raft => self.run_raft(observer),
            ProtocolName::Broadcast => {
                let mut simulation = Simulation::observed(&self.scenario, self.seed, observer, Broadcast::new);
                while simulation.step() {}
                let record = simulation.finish();
                let judgement = Judgement::of(&self.scenario, &record, None);
                Judged { record, judgement }
            }
        }
    }

    /// Runs the case with replicas of Raft, whatever its protocol is.
    ///
    /// # Panics
    /// If a replica does.
    pub(super) fn run_raft<O: RaftWatcher>(&self, observer: O) -> Judged {
        match self.subject.broken {
            None => self.run_raft_by(Sound, observer),
            Some(rule) => self.run_raft_by(Mutant(rule), observer),
        }
    }

    fn run_raft_by<R: Rules>(&self, rules: R, observer: impl Observer<Replica<R>>) -> Judged {
        let mut invariants = Invariants::new();
        let mut simulation = self.simulation(rules, (&mut invariants, observer));
        while simulation.step() {}
        let diagnosis = diagnose(simulation.replicas(), simulation.director().living());
        let record = simulation.finish();
        let inside = Inside { invariants: invariants.into_verdict(), bound: self.subject.progress_bound(), diagnosis };
        let judgement = Judgement::of(&self.scenario, &record, Some(inside));
        Judged { record, judgement }
    }

    /// A run of Raft at its beginning.
    pub(super) fn simulation<R: Rules, O: Observer<Replica<R>>>(
        &self,
        rules: R,
        observer: O,
    ) -> Simulation<'_, Replica<R>, O> {
        Simulation::booting(&self.scenario, self.seed, observer, move |boot| self.subject.boot(boot, rules))
    }

    /// Runs the case; a panic of a replica is a finding, too, and prints nothing.
    pub fn attempt(&self) -> Trial {
        Trial::of(|| self.run())
    }

    /// The same, and counts messages in this tally. The tally of a run that panicked ends there.
    pub fn attempt_counted(&self, tally: Tally) -> (Trial, Tally) {
        let mut counter = Counter(tally);
        let trial = Trial::of(|| self.run_with(&mut counter));
        (trial, counter.0)
    }
}

impl Trial {
    /// What comes of a run that may panic. A panic prints nothing.
    pub fn of(run: impl FnOnce() -> Judged) -> Trial {
        match catch_quietly(run) {
            Ok(judged) => Trial { findings: judged.judgement.findings(), judged: Some(judged) },
            Err(panic) => {
                let text = format!("a replica panicked: {panic}");
                let finding = Finding { checker: Checker::Invariants, kind: PANIC.to_owned(), text };
                Trial { judged: None, findings: vec![finding] }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic;

    use super::*;
    use crate::sweep::explore::draw;

    #[test]
    fn a_panic_is_a_finding_with_its_text() {
        let texts = [
            Trial::of(|| panic!("on purpose")),
            Trial::of(|| panic!("on {}", "purpose")),
            Trial::of(|| panic::panic_any(7)),
        ]
        .map(|trial| {
            assert_eq!((trial.judged.is_none(), trial.trace(), trial.passed()), (true, None, false));
            let [finding] = &trial.findings[..] else { panic!("one finding: {:?}", trial.findings) };
            assert_eq!((finding.checker, finding.kind.as_str()), (Checker::Invariants, PANIC));
            finding.text.clone()
        });
        for (text, said) in texts.iter().zip(["on purpose", "on purpose", "a panic without words"]) {
            assert!(text.starts_with(&format!("a replica panicked: {said} ({}:", file!())), "{text}");
        }
    }

    #[test]
    fn a_case_that_does_not_panic_is_judged_and_its_run_is_the_bare_one() {
        let drawn = draw(1);
        for protocol in ProtocolName::ALL {
            let case = Case { subject: Subject { protocol, ..Subject::default() }, ..drawn.clone() };
            let trial = case.attempt();
            assert_eq!(trial.trace(), protocol.simulate(&case.scenario, case.seed).trace);
            let judgement = trial.judged.expect("nobody panics").judgement;
            assert_eq!(trial.findings, judgement.findings());
            assert_eq!(judgement.invariants.is_some(), protocol == ProtocolName::Raft, "only Raft can be watched");
        }
    }
}
