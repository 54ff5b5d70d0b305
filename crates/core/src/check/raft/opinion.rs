//! The opinion of the checker of invariants, for those of Raft and a protocol's own.

use serde_json::{Value, json};

use super::Invariants;
use crate::check::opinion::{Checker, Finding, NOT_WATCHED, OK, Opinion};
use crate::check::panel::{Check, Evidence};
use crate::consensus::Consensus;
use crate::machine::Machine;
use crate::time::Time;

/// An invariant that did not hold.
pub(in crate::check) struct Broken<'b> {
    pub name: &'static str,
    pub time: Time,
    pub what: &'b str,
}

/// The opinion after this many changes of machines were checked. `terms` is how many terms had a leader, if that could
/// be seen.
pub(in crate::check) fn opinion(
    title: &'static str,
    changes: u64,
    terms: Option<usize>,
    broken: Option<Broken<'_>>,
) -> Opinion {
    let mut opinion =
        Opinion::new(Checker::INVARIANTS, title, OK, format!("after each of {changes} changes of replicas"));
    let mut violation = [Value::Null, Value::Null, Value::Null];
    if let Some(Broken { name, time, what }) = broken {
        opinion.word = "violation";
        opinion.remark = format!("{name} at {time}: {what}");
        let text = format!("{name} violated at {time}: {what}");
        opinion.findings.push(Finding::new(Checker::INVARIANTS, name, text).during(time, time));
        violation = [json!(name), json!(time.as_secs_f64()), json!(what)];
    }
    let [invariant, time, explanation] = violation;
    opinion.figures = figures(json!(changes), invariant, time, explanation, json!(terms));
    opinion
}

/// The opinion on machines without a window.
pub(in crate::check) fn unwatched() -> Opinion {
    let remark = "only simulated replicas of Raft can be";
    let none = || Value::Null;
    Opinion {
        figures: figures(none(), none(), none(), none(), none()),
        ..Opinion::new(Checker::INVARIANTS, "Raft invariants", NOT_WATCHED, remark)
    }
}

fn figures(
    changes: Value,
    invariant: Value,
    time: Value,
    explanation: Value,
    terms: Value,
) -> Vec<(&'static str, Value)> {
    vec![
        ("changes", changes),
        ("invariant", invariant),
        ("time", time),
        ("explanation", explanation),
        ("terms_led", terms),
    ]
}

impl<M: Machine + Consensus> Check<M> for Invariants {
    fn judge(&mut self, _: &Evidence<'_>) -> Opinion {
        let broken = self.violation.as_ref().map(|violation| Broken {
            name: violation.invariant.name(),
            time: violation.time,
            what: &violation.explanation,
        });
        opinion("Raft invariants", self.changes, Some(self.leaders.len()), broken)
    }
}
