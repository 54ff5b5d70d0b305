//! One run of a protocol with all that decides it, and with all checkers.

use super::explore::{Met, Seen};
use super::protocol::Protocol;
use crate::check::{Finding, Judgement};
use crate::record::{RunRecord, Tally, Watcher};
use crate::scenario::Scenario;
use crate::world::catch_quietly;

/// Everything that decides a run: a run is a pure function of this and of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What happens to the cluster.
    pub scenario: Scenario,
    /// The seed of all randomness in the run.
    pub seed: u64,
    /// What the replicas run.
    pub protocol: Protocol,
}

/// A run and what all checkers say of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The run.
    pub record: RunRecord,
    /// What the checkers say.
    pub judgement: Judgement,
}

impl Case {
    /// Runs the case, with all checkers.
    ///
    /// # Panics
    /// If the protocol does.
    pub fn run(&self) -> Judged {
        self.protocol.subject.run(self)
    }

    /// The same; the watcher sees each event and changes nothing.
    ///
    /// # Panics
    /// If the protocol does.
    pub fn run_watched(&self, watcher: &mut dyn Watcher) -> Judged {
        self.protocol.subject.run_watched(self, watcher, &mut Tally::default())
    }

    /// The same, and counts messages by kind.
    ///
    /// # Panics
    /// If the protocol does.
    pub fn run_counted(&self, watcher: Option<&mut dyn Watcher>) -> (Judged, Tally) {
        let mut tally = Tally::of_kinds(self.protocol.kinds());
        let judged = match watcher {
            Some(watcher) => self.protocol.subject.run_watched(self, watcher, &mut tally),
            None => self.protocol.subject.run_counted(self, &mut tally),
        };
        (judged, tally)
    }

    /// Runs the case; a panic is a finding, too, and prints nothing.
    pub fn attempt(&self) -> Trial {
        Trial::of(|| self.run())
    }

    /// The same, and counts messages by kind, and by link if `links` are to be counted. The tally of a run that panicked
    /// ends there.
    pub fn attempt_counted(&self, links: bool) -> (Trial, Tally) {
        let kinds = self.protocol.kinds();
        let mut tally = if links { Tally::of_links(kinds, self.scenario.replicas) } else { Tally::of_kinds(kinds) };
        let trial = Trial::of(|| self.protocol.subject.run_counted(self, &mut tally));
        (trial, tally)
    }

    /// The same with the situations that occurred, as far as the protocol names some.
    pub fn attempt_surveyed(&self) -> (Trial, Seen) {
        let mut seen = Seen::default();
        let trial = Trial::of(|| self.protocol.subject.run_surveyed(self, &mut seen));
        (trial, seen)
    }

    /// The same with all that was met: edges, too. They cost some time.
    pub fn attempt_tracked(&self) -> (Trial, Met) {
        let mut met = Met::default();
        let trial = Trial::of(|| self.protocol.subject.run_tracked(self, &mut met));
        met.add_findings(&trial.findings);
        (trial, met)
    }
}

/// What came of a case that may even have panicked.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The run; none, if it panicked.
    pub judged: Option<Judged>,
    /// Everything that was found, the most telling first.
    pub findings: Vec<Finding>,
}

/// The kind of the finding that a run panicked: a replica, a client or a checker.
pub const PANIC: &str = "panic";

impl Trial {
    /// What comes of a run that may panic. A panic prints nothing.
    pub fn of(run: impl FnOnce() -> Judged) -> Trial {
        match catch_quietly(run) {
            Ok(judged) => Trial { findings: judged.judgement.findings(), judged: Some(judged) },
            Err(panic) => Trial { judged: None, findings: vec![Case::panic_finding(&panic)] },
        }
    }

    /// The trace's hash; none, if the run panicked.
    pub fn trace(&self) -> Option<u64> {
        self.judged.as_ref()?.record.trace
    }

    /// How many events the run had; 0 if it panicked.
    pub fn events(&self) -> u64 {
        self.judged.as_ref().map_or(0, |judged| judged.record.events)
    }

    /// Whether nothing was found.
    pub fn passed(&self) -> bool {
        self.findings.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::panic;

    use crate::check::Checker;

    use super::*;

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
            assert_eq!((&finding.checker, finding.kind.as_str()), (&Checker::INVARIANTS, PANIC));
            finding.text.clone()
        });
        for (text, said) in texts.iter().zip(["on purpose", "on purpose", "a panic without words"]) {
            assert!(text.starts_with(&format!("the run panicked: {said} ({}:", file!())), "{text}");
        }
    }
}
