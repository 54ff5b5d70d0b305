//! What the checkers say, as a part of a run in JSON.

use serde::Serialize;

use super::advice;
use super::summary::RunSummary;
use seedbed_core::check::{Checker, Finding, Judgement, linear, liveness};

/// What all checkers say.
#[derive(Serialize)]
pub(super) struct Checkers {
    passed: bool,
    linearizability: Linearizability,
    invariants: Invariants,
    liveness: Liveness,
    findings: Vec<Found>,
}

#[derive(Serialize)]
struct Linearizability {
    verdict: &'static str,
    operations: Option<usize>,
    keys: Option<usize>,
    key: Option<String>,
    time: Option<f64>,
    explanation: Option<String>,
}

#[derive(Serialize)]
struct Invariants {
    verdict: &'static str,
    changes: Option<u64>,
    invariant: Option<&'static str>,
    time: Option<f64>,
    explanation: Option<String>,
}

#[derive(Serialize)]
struct Liveness {
    verdict: &'static str,
    after: Option<f64>,
    lack: Option<&'static str>,
    explanation: Option<String>,
    lost_with_replicas: u64,
}

#[derive(Serialize)]
struct Found {
    checker: &'static str,
    kind: String,
    text: String,
    advice: String,
}

impl From<&RunSummary> for Checkers {
    fn from(run: &RunSummary) -> Checkers {
        let judgement = &run.judgement;
        let findings = judgement.findings();
        let found = |finding: &Finding| Found {
            checker: finding.checker.name(),
            kind: finding.kind.clone(),
            text: finding.text.clone(),
            advice: advice::on(finding, &findings, run).text,
        };
        Checkers {
            passed: findings.is_empty(),
            linearizability: Linearizability::of(judgement, &findings),
            invariants: Invariants::of(judgement),
            liveness: Liveness::of(judgement),
            findings: findings.iter().map(found).collect(),
        }
    }
}

impl Linearizability {
    fn of(judgement: &Judgement, findings: &[Finding]) -> Linearizability {
        let found = findings.iter().find(|finding| finding.checker == Checker::Linearizability);
        let (operations, keys, key, time) = match &judgement.linear {
            linear::Verdict::Linearizable { operations, keys } => (Some(*operations), Some(*keys), None, None),
            linear::Verdict::Unknown { key, operations } => (Some(*operations), None, Some(key), None),
            linear::Verdict::Violation(violation) => {
                (None, None, Some(&violation.key), Some(violation.at.as_secs_f64()))
            }
        };
        Linearizability {
            verdict: judgement.word(Checker::Linearizability),
            operations,
            keys,
            key: key.map(|key| key.to_string()),
            time,
            explanation: found.map(|finding| finding.text.clone()),
        }
    }
}

impl Invariants {
    fn of(judgement: &Judgement) -> Invariants {
        let violation = judgement.invariants.as_ref().and_then(|verdict| verdict.violation.as_ref());
        Invariants {
            verdict: judgement.word(Checker::Invariants),
            changes: judgement.invariants.as_ref().map(|verdict| verdict.changes),
            invariant: violation.map(|violation| violation.invariant.name()),
            time: violation.map(|violation| violation.time.as_secs_f64()),
            explanation: violation.map(|violation| violation.explanation.clone()),
        }
    }
}

impl Liveness {
    fn of(judgement: &Judgement) -> Liveness {
        let (after, lack, explanation) = match &judgement.liveness {
            liveness::Verdict::Live { after } => (Some(after.as_secs_f64()), None, None),
            liveness::Verdict::NotJudged(excuse) => (None, None, Some(excuse.to_string())),
            liveness::Verdict::Stuck(stuck) => (None, Some(stuck.lack.name()), Some(stuck.to_string())),
            liveness::Verdict::CutShort(flood) => (None, None, Some(flood.to_string())),
        };
        let (verdict, lost_with_replicas) = (judgement.word(Checker::Liveness), judgement.lost_with_replicas);
        Liveness { verdict, after, lack, explanation, lost_with_replicas }
    }
}
