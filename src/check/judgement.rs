//! What all checkers together say of a run.

use std::fmt;

use super::{course, linear, liveness, raft};
use crate::record::RunRecord;
use crate::scenario::Scenario;

/// Who judges. The order is that of preference when one failure has to stand for a run: what a user of the store can see
/// and prove comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checker {
    /// Whether the answers fit together ([`linear`]).
    Linearizability,
    /// Whether the replicas keep Raft's invariants ([`raft`]).
    Invariants,
    /// Whether there is progress ([`liveness`]).
    Liveness,
    /// What the course's runner says ([`course`]).
    Course,
}

impl Checker {
    /// All of them.
    pub const ALL: [Checker; 4] = [Checker::Linearizability, Checker::Invariants, Checker::Liveness, Checker::Course];

    /// Its name in reports and files.
    pub const fn name(self) -> &'static str {
        match self {
            Checker::Linearizability => "linearizability",
            Checker::Invariants => "invariants",
            Checker::Liveness => "liveness",
            Checker::Course => "course",
        }
    }
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One reason why a run did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Who found it.
    pub checker: Checker,
    /// What kind of failure it is. Two runs fail the same way if checker and kind are the same.
    pub kind: String,
    /// What happened, in one line.
    pub text: String,
}

impl Finding {
    /// Whether it is the same failure as another one, apart from the circumstances.
    pub fn is_like(&self, other: &Finding) -> bool {
        self.checker == other.checker && self.kind == other.kind
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.text)
    }
}

/// The kind of a finding when the budget of the search did not suffice: neither right nor wrong.
pub const UNKNOWN: &str = "unknown";

/// What all checkers say of one run.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The course's verdict.
    pub course: course::Verdict,
    /// Whether the answers fit together.
    pub linear: linear::Verdict,
    /// The invariants of Raft, if the replicas could be watched; then the first violation, if there was one.
    pub invariants: Option<Option<raft::Violation>>,
    /// Whether there was progress.
    pub liveness: liveness::Verdict,
}

impl Judgement {
    /// Judges a run. `invariants` comes from who watched it, `diagnosis` from who saw the replicas at the end.
    pub fn of(
        scenario: &Scenario,
        record: &RunRecord,
        invariants: Option<Option<raft::Violation>>,
        diagnosis: Option<String>,
    ) -> Judgement {
        Judgement {
            course: course::judge(scenario, record),
            linear: linear::check(&record.history),
            invariants,
            liveness: liveness::judge(record, diagnosis),
        }
    }

    /// Whether nobody has found anything.
    pub fn passed(&self) -> bool {
        self.findings().is_empty()
    }

    /// Everything that was found, in the order of [`Checker::ALL`].
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |checker, kind: &str, text| findings.push(Finding { checker, kind: kind.to_owned(), text });
        match &self.linear {
            linear::Verdict::Linearizable { .. } => {}
            linear::Verdict::Unknown { key, .. } => {
                let text = format!("nothing could be said of key {key} within the budget of the search");
                add(Checker::Linearizability, UNKNOWN, text);
            }
            linear::Verdict::Violation(violation) => {
                add(Checker::Linearizability, "not linearizable", violation.explanation.clone());
            }
        }
        if let Some(Some(violation)) = &self.invariants {
            add(Checker::Invariants, violation.invariant.name(), violation.to_string());
        }
        if let liveness::Verdict::Stuck(stuck) = &self.liveness {
            add(Checker::Liveness, stuck.lack.name(), stuck.to_string());
        }
        for error in &self.course.errors {
            add(Checker::Course, error.kind(), error.to_string());
        }
        findings
    }
}
