//! Runs that ended in a panic: what is known of them up to there.

use super::Case;
use super::case::{Judged, PANIC};
use crate::check::{Checker, Evidence, Finding, Judgement, Opinion, Shape};
use crate::id::{ReplicaId, ReplicaSet};
use crate::machine::Machine;
use crate::record::{Belief, Event, History, Observer, RunRecord, Scene, StrayAnswers};
use crate::time::{Span, Time};

/// The word of the opinion on a run that panicked.
const PANICKED: &str = "panicked";

/// The newest event of a run.
#[derive(Debug, Default)]
pub(in crate::lab) struct Newest {
    /// Its number, from 1; 0 before the first one.
    number: u64,
    time: Time,
    text: String,
}

impl<P: Machine> Observer<P> for Newest {
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        *self = Newest { number: self.number + 1, time: scene.now, text: event.to_string() };
    }
}

/// A run that was played once more without checkers, up to its panic or its end.
#[derive(Debug)]
pub(in crate::lab) struct Rerun {
    /// None if it did not even begin.
    pub record: Option<RunRecord>,
    pub newest: Newest,
    /// Whether it panicked again. If not, a checker did.
    pub panicked: bool,
}

impl Case {
    /// The finding that a run of this case panicked, saying this.
    pub(super) fn panic_finding(panic: &str) -> Finding {
        // The place in the program is the end of the text. Another panic is another failure.
        let place = panic.rfind('(').map_or("", |start| &panic[start..]).to_owned();
        let finding = Finding::new(Checker::INVARIANTS, PANIC, format!("the run panicked: {panic}"));
        finding.shaped(Shape::PLAIN.with(place))
    }

    /// What is known of a run of this case that panicked, saying this: a record up to there, without a trace, and one
    /// finding. The case is run once more for it, without checkers.
    pub fn judge_panic(&self, panic: &str) -> Judged {
        let Rerun { record, newest, panicked } = self.protocol.subject.rerun(self);
        let record = RunRecord { trace: None, ..record.unwrap_or_else(|| nothing(self)) };
        let Newest { number, time, text } = newest;
        let place = match panicked {
            true if number == 0 => "before the first event".to_owned(),
            true => format!("at {time}, with or soon after event {number}: {text}"),
            false => {
                "in a checker or a window: without checkers the run does not panic, unless it is not deterministic"
                    .to_owned()
            }
        };
        let mut opinion = Opinion::new(Checker::INVARIANTS, "Panic", PANICKED, panic);
        opinion.lines.push(place);
        let finding = Case::panic_finding(panic);
        opinion.findings.push(if panicked { finding.during(time, time) } else { finding });
        let judgement = Judgement {
            opinions: vec![opinion],
            course: Evidence::of(&self.scenario, &record, None).course,
            lost_with_replicas: 0,
            too_busy: None,
            specification: None,
        };
        Judged { record, judgement }
    }
}

/// The record of a run that did not begin.
fn nothing(case: &Case) -> RunRecord {
    let replicas: ReplicaSet = ReplicaId::all(case.scenario.replicas).collect();
    RunRecord {
        world: case.protocol.world(),
        seed: case.seed,
        leaders: vec![Belief { since: Time::ZERO, leader: None }],
        struck: Vec::new(),
        died: 0,
        killed: 0,
        sent: 0,
        dropped: 0,
        malformed: 0,
        complaints: Vec::new(),
        history: History::default(),
        stray_answers: StrayAnswers::default(),
        packet_storm: false,
        request_storm: false,
        obstacle: None,
        unfaithful: Vec::new(),
        lag: Span::ZERO,
        end: Time::ZERO,
        living: replicas,
        able: replicas,
        connected: replicas,
        served: replicas,
        outages: Vec::new(),
        calm: None,
        events: 0,
        trace: None,
    }
}
