//! Machines that do one thing wrong, and the checker that is there for it.

use std::convert::Infallible;

use super::lasting;
use crate::chaos::{Act, Fault, FaultEvent, Target};
use crate::check::growth::{Growth, HOLDS_TOO_MUCH, MessageBound, TOO_MANY_MESSAGES};
use crate::check::raft::{LEADER_CONTACT, LeaderContact};
use crate::check::{Check, Checker, Evidence, Finding, answers, fixture};
use crate::engine::Rate;
use crate::id::{Mid, ReplicaId};
use crate::lab::shrink::shrink;
use crate::lab::{Case, PANIC, Subject, subject};
use crate::machine::{Boot, Exit, Input, Machine, Outbox};
use crate::scenario::Scenario;
use crate::service::{Operation, Response, Service};
use crate::subjects::Raft;
use crate::time::{Span, Time};
use crate::workload::ScriptedOperation;
use crate::world::simulation::simulate_booting;

/// What a machine does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    AnswersTwice,
    RedirectsAndAnswers,
    AnswersAnotherRequest,
    /// It panics on a get, and at another place on a put after a restart.
    Panics,
}

#[derive(Clone)]
struct Doing(Wrong);

struct Doer {
    wrong: Wrong,
    is_first: bool,
}

impl Subject for Doing {
    type Machine = Doer;

    fn name(&self) -> &'static str {
        "doing"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Doer, Exit> {
        Ok(Doer { wrong: self.0, is_first: boot.incarnation == 0 })
    }
}

impl Machine for Doer {
    type Message = ();
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, _: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        let Input::Client { from, mid, request } = input else { return };
        let ok = Response::Ok { value: request.is_get().then(|| "".into()) };
        match self.wrong {
            Wrong::AnswersTwice => out.reply(from, mid, ok.clone()),
            Wrong::RedirectsAndAnswers => out.reply(from, mid, Response::Redirect),
            Wrong::AnswersAnotherRequest => out.reply(from, Mid(mid.0 + 1_000), ok.clone()),
            Wrong::Panics if request.is_get() => panic!("a get"),
            Wrong::Panics if !self.is_first => panic!("a put after a restart"),
            Wrong::Panics | Wrong::Nothing => {}
        }
        out.reply(from, mid, ok);
    }

    fn poll_timeout(&self) -> Time {
        Time::NEVER
    }
}

impl Service for Doer {
    fn leader(&self) -> Option<ReplicaId> {
        None
    }
}

fn at(millis: u64) -> Time {
    Time::ZERO + Span::from_millis(millis)
}

fn events(faults: Vec<(u64, Fault)>) -> Vec<FaultEvent> {
    faults.into_iter().map(|(millis, fault)| FaultEvent { time: at(millis), fault }).collect()
}

fn of_answers(wrong: Wrong) -> Vec<String> {
    let scenario = Scenario { requests: 10, replicas: 5, ..fixture::scenario() };
    let trial = Case { scenario, seed: 1, protocol: subject(Doing(wrong)) }.attempt();
    let findings = trial.findings.into_iter().filter(|finding| finding.checker == Checker::ANSWERS);
    findings.map(|finding| finding.kind).collect()
}

#[test]
fn an_answer_too_many_of_a_simulated_machine_is_found() {
    assert_eq!(of_answers(Wrong::Nothing), [""; 0]);
    assert_eq!(of_answers(Wrong::AnswersTwice), [answers::ANSWERED_TWICE]);
    assert_eq!(of_answers(Wrong::RedirectsAndAnswers), [answers::CONTRADICTION]);
    assert_eq!(of_answers(Wrong::AnswersAnotherRequest), [answers::UNASKED]);
}

/// One replica of the sound Raft.
type Replica = <Raft as Subject>::Machine;

/// What a checker finds in a run of the sound Raft on five replicas.
fn found(check: &mut impl Check<Replica>, faults: Vec<(u64, Fault)>) -> Vec<Finding> {
    let scenario = Scenario { events: events(faults), requests: 100, ..fixture::scenario() };
    let record = simulate_booting(&scenario, 7, &mut *check, |boot| <Raft>::default().boot(boot));
    check.judge(&Evidence::of(&scenario, &record, None)).findings
}

fn at_leader(act: Act) -> Fault {
    Fault::Host { at: Some(Target::Leader), act }
}

#[test]
fn a_leader_that_leads_on_without_a_quorum_is_found_if_that_takes_longer_than_the_bound() {
    let isolated = || vec![(10_000, Fault::Isolate(Target::Leader))];
    // A leader steps down after 1,200 ms.
    let within = |millis, faults| found(&mut LeaderContact::new(Span::from_millis(millis)), faults);
    let findings = within(500, isolated());
    assert_eq!((findings.len(), findings[0].kind.as_str()), (1, LEADER_CONTACT));
    let said = &findings[0].text;
    assert!(said.contains("leads in term") && said.contains("has heard from no quorum for 0.5"), "{said}");
    assert_eq!(within(1_500, isolated()), []);
    assert_eq!(within(1_500, vec![]), [], "members of a quorum are heard in turn");
}

#[test]
fn a_leader_whose_clock_is_slow_or_that_was_paused_has_more_time_to_step_down() {
    let within = |faults| found(&mut LeaderContact::new(Span::from_millis(1_500)), faults);
    let rate = Rate::new(0.5).expect("a rate");
    let slow = at_leader(Act::Clock { rate, jump: Span::ZERO });
    assert_eq!(within(vec![(9_000, slow), (10_000, Fault::Isolate(Target::Leader))]), []);
    let paused = at_leader(Act::Pause);
    let resumed = Fault::Host { at: None, act: Act::Resume };
    assert_eq!(within(vec![(10_000, paused), (16_000, resumed)]), []);
    let jump = at_leader(Act::Clock { rate: Rate::EXACT, jump: Span::from_secs(60) });
    assert_eq!(within(vec![(10_000, jump)]), []);
}

#[test]
fn too_many_messages_are_found_and_as_many_as_are_needed_are_not() {
    let bound = |times: f64| Some(MessageBound { per_link_second: times * 1.5, per_replica_request: times });
    let kinds = |times| {
        let findings = found(&mut Growth::new(bound(times), |_, _| Ok(())), vec![]);
        findings.into_iter().map(|finding| finding.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(16.0), [""; 0]);
    assert_eq!(kinds(0.1), [TOO_MANY_MESSAGES]);
    assert_eq!(found(&mut Growth::new(None, |_, _| Ok(())), vec![]), []);
}

#[test]
fn a_machine_that_holds_too_much_is_found_while_it_is_up() {
    let holds = |_: Time, replica: &Replica| match replica.applied() {
        0..40 => Ok(()),
        applied => Err(format!("has applied {applied} entries")),
    };
    let findings = found(&mut Growth::new(None, holds), vec![]);
    assert_eq!((findings.len(), findings[0].kind.as_str()), (1, HOLDS_TOO_MUCH));
    assert!(findings[0].text.contains(" has applied 4"), "{}", findings[0].text);
    let all = (0..5).map(|replica| (5_000, Fault::kill(ReplicaId(replica)))).collect();
    assert_eq!(found(&mut Growth::new(None, holds), all), []);
}

#[test]
fn the_case_of_one_panic_does_not_become_that_of_another() {
    let asks = |millis, operation| ScriptedOperation {
        time: Span::from_millis(millis),
        client: 0,
        aim: Some(Target::Replica(ReplicaId(0))),
        operation,
    };
    let put = |value: &str| Operation::Put { key: "x".into(), value: value.into() };
    let operations = vec![asks(10, put("a")), asks(5_000, put("b")), asks(6_000, Operation::Get { key: "x".into() })];
    let host = |act| Fault::Host { at: Some(Target::Replica(ReplicaId(0))), act };
    let faults = vec![(3_000, host(Act::Crash)), (3_500, host(Act::Restart { wipe: false }))];
    let scenario = Scenario { events: events(faults), wait: Some(Span::ZERO), ..fixture::scenario() };
    let scenario = scenario.with_operations(operations);
    let case = Case { scenario, seed: 1, protocol: subject(Doing(Wrong::Panics)) };
    let trial = case.attempt();
    assert_eq!((trial.findings.len(), trial.findings[0].kind.as_str()), (1, PANIC));
    assert!(trial.findings[0].text.contains("a put after a restart"), "{:?}", trial.findings);
    let small = shrink(&case, &trial.findings[0], 2_000, |_| std::ops::ControlFlow::Continue(())).expect("it fails");
    assert!(small.trial.findings[0].text.contains("a put after a restart"), "{:?}", small.trial.findings);
    assert_eq!((small.case.scenario.requests, small.case.scenario.events.len()), (1, 2), "a get alone would be less");
}

#[test]
fn shrunk_failures_of_mutants_under_faults_that_last_are_none_of_the_sound_protocol() {
    let (mut shrunk, mut slips) = (0, 0);
    for (seed, rule) in (0..400).flat_map(|seed| ["back-up-on-conflict", "truncate-conflicts"].map(|rule| (seed, rule)))
    {
        let mut case = lasting::drawn(seed);
        case.protocol = case.protocol.without(rule).expect("a rule of Raft");
        let trial = case.attempt();
        let of_liveness = |finding: &&Finding| finding.checker == Checker::LIVENESS;
        let Some(finding) = trial.findings.iter().find(of_liveness) else { continue };
        let kinds = |case: &Case| {
            let sound = Case { protocol: case.protocol.sound(), ..case.clone() };
            sound.attempt().findings.into_iter().map(|finding| (finding.checker, finding.kind)).collect::<Vec<_>>()
        };
        let before = kinds(&case);
        let small = shrink(&case, finding, 3_000, |_| std::ops::ControlFlow::Continue(())).expect("it fails");
        slips += u32::from(kinds(&small.case).iter().any(|kind| !before.contains(kind)));
        shrunk += 1;
        if shrunk == 10 {
            break;
        }
    }
    assert_eq!((shrunk, slips), (10, 0));
}
