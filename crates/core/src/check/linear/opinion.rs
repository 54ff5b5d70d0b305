//! Linearizability as one of the checkers of a run.

use serde_json::{Value, json};

use super::{Budget, Verdict};
use crate::check::opinion::{Checker, Finding, NOT_JUDGED, OK, Opinion, UNKNOWN};
use crate::check::panel::{Check, Evidence};
use crate::check::shape::Shape;
use crate::machine::Machine;
use crate::printable::printable;
use crate::record::Observer;

/// Judges whether the answers of a run fit together, by the specification of the run; without one it judges nothing.
#[derive(Clone, Copy, Debug)]
pub struct Linearizability;

impl<M: Machine> Observer<M> for Linearizability {}

impl<M: Machine> Check<M> for Linearizability {
    fn judge(&mut self, evidence: &Evidence<'_>) -> Opinion {
        let Some(spec) = evidence.spec else {
            return without_verdict(NOT_JUDGED, "no specification says which answers are right".to_owned());
        };
        let history = &evidence.record.history;
        match spec.check(history, Budget::default()) {
            Ok(verdict) => {
                let mut opinion = opinion(&verdict);
                let wrong = opinion.wrong.and_then(|wrong| history.attempt(wrong.get));
                let shape =
                    wrong.map_or(Shape::PLAIN, |attempt| Shape::PLAIN.with(attempt.operation.name().to_owned()));
                opinion.findings.iter_mut().for_each(|finding| finding.shape = shape.clone());
                opinion
            }
            Err(stranger) => {
                let mut opinion = without_verdict(UNKNOWN, stranger.to_string());
                opinion.findings.push(Finding::new(Checker::LINEARIZABILITY, UNKNOWN, stranger.to_string()));
                opinion
            }
        }
    }
}

const TITLE: &str = "Linearizability";

/// What is said of a history that could not be judged.
fn without_verdict(word: &'static str, remark: String) -> Opinion {
    let opinion = Opinion::new(Checker::LINEARIZABILITY, TITLE, word, remark);
    with_figures(opinion, [Value::Null, Value::Null, Value::Null, Value::Null])
}

/// What is said of a history with this verdict.
pub fn opinion(verdict: &Verdict) -> Opinion {
    let new = |word, remark| Opinion::new(Checker::LINEARIZABILITY, TITLE, word, remark);
    let (opinion, figures) = match verdict {
        Verdict::Linearizable { operations, keys } => {
            let keyed = if *keys == 1 { "key" } else { "keys" };
            let remark = format!("an order of all {operations} operations on {keys} {keyed} explains every answer");
            (new(OK, remark), [json!(operations), json!(keys), Value::Null, Value::Null])
        }
        Verdict::Unknown { key, operations } => {
            let remark =
                format!("so the run does not pass: {operations} operations on one key have too many orders to try");
            let text = format!("key {}: undecided, the search budget is exhausted", printable(key));
            let mut opinion = new(UNKNOWN, remark);
            opinion.findings.push(Finding::new(Checker::LINEARIZABILITY, UNKNOWN, text));
            (opinion, [json!(operations), Value::Null, json!(**key), Value::Null])
        }
        Verdict::Violation(violation) => {
            let mut opinion = new("violation", "no order of the operations explains every answer".to_owned());
            opinion.lines = violation.to_string().lines().map(str::to_owned).collect();
            opinion.wrong = Some(violation.read);
            let finding = Finding::new(Checker::LINEARIZABILITY, "not linearizable", &*violation.explanation);
            opinion.findings.push(finding.during(violation.at, violation.at));
            (opinion, [Value::Null, Value::Null, json!(*violation.key), json!(violation.at.as_secs_f64())])
        }
    };
    with_figures(opinion, figures)
}

fn with_figures(mut opinion: Opinion, [operations, keys, key, time]: [Value; 4]) -> Opinion {
    let explanation = json!(opinion.findings.first().map(|finding| &finding.text));
    opinion.figures =
        vec![("operations", operations), ("keys", keys), ("key", key), ("time", time), ("explanation", explanation)];
    opinion
}
