//! Machines that answer late, and when that is held against them.

use std::convert::Infallible;

use crate::chaos::{Act, ConnectivityMatrix, Fault, FaultEvent, Target};
use crate::check::promptness::{Promptness, SLOW_ANSWER};
use crate::check::{Checker, Evidence, Finding, fixture, promptness};
use crate::engine::Rate;
use crate::id::{ClientId, Mid, ReplicaId};
use crate::lab::explore::draw;
use crate::lab::{Case, Subject, subject};
use crate::machine::{Boot, Exit, Input, Machine, Outbox};
use crate::scenario::{Delay, LinkDelay, Network, Order, Scenario};
use crate::service::{Operation, Response, Service};
use crate::subjects;
use crate::time::{Span, Time};

/// Replicas that have no need of each other: the first one leads, and all take their time.
#[derive(Clone, Copy)]
struct Slow {
    /// How long the leader takes for a put; it never answers one if this is none.
    put: Option<Span>,
    /// How long it takes for a get.
    get: Option<Span>,
    /// How long others take to redirect.
    redirect: Option<Span>,
    /// Requests may wait for each other.
    one_by_one: bool,
    /// Whether it is to be prompt at all.
    promises: bool,
}

/// Everything within a millisecond.
const PROMPT: Slow = {
    let soon = Some(Span::from_millis(1));
    Slow { put: soon, get: soon, redirect: soon, one_by_one: false, promises: true }
};

struct Server {
    slow: Slow,
    leads: bool,
    waiting: Vec<(Time, ClientId, Mid)>,
}

impl Subject for Slow {
    type Machine = Server;

    fn name(&self) -> &'static str {
        "slow"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Server, Exit> {
        Ok(Server { slow: *self, leads: boot.identity.id == ReplicaId(0), waiting: Vec::new() })
    }

    fn promptness(&self) -> Option<Promptness> {
        let (redirect, settle) = (Span::from_millis(5), Span::from_secs(1));
        self.promises.then_some(Promptness { times: 2, redirect, settle, one_by_one: self.one_by_one })
    }
}

impl Machine for Server {
    type Message = ();
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        if let Input::Client { from, mid, request } = input {
            let Slow { put, get, redirect, .. } = self.slow;
            let takes = match (self.leads, request.is_get()) {
                (false, _) => redirect,
                (true, true) => get,
                (true, false) => put,
            };
            self.waiting.extend(takes.map(|takes| (now + takes, from, mid)));
        }
        let leads = self.leads;
        self.waiting.retain(|&(due, client, mid)| {
            if due <= now {
                out.reply(client, mid, if leads { Response::Ok { value: None } } else { Response::Redirect });
            }
            due > now
        });
    }

    fn poll_timeout(&self) -> Time {
        self.waiting.iter().map(|&(due, ..)| due).min().unwrap_or(Time::NEVER)
    }
}

impl Service for Server {
    fn leader(&self) -> Option<ReplicaId> {
        Some(ReplicaId(0))
    }
}

/// Five replicas at up to 10 ms from each other and from clients, which ask 200 times in 30 s. An answer may take 80 ms.
fn scenario() -> Scenario {
    let delay = Delay::Uniform { min: Span::from_millis(1), max: Span::from_millis(10) };
    Scenario { network: Network::Links { delay, order: Order::Any }, requests: 200, ..fixture::scenario() }
}

/// What the judge of promptness finds.
fn found(slow: Slow, scenario: Scenario) -> Vec<Finding> {
    let trial = Case { scenario, seed: 3, protocol: subject(slow) }.attempt();
    trial.findings.into_iter().filter(|finding| finding.checker == Checker::PROMPTNESS).collect()
}

fn is_found(slow: Slow, scenario: Scenario) -> bool {
    !found(slow, scenario).is_empty()
}

fn slow_gets() -> Slow {
    Slow { get: Some(Span::from_millis(90)), ..PROMPT }
}

/// The scenario with a fault in each of these seconds.
fn with(seconds: impl IntoIterator<Item = u64>, fault: &Fault) -> Scenario {
    let event = |second| FaultEvent { time: Time::ZERO + Span::from_secs(second), fault: fault.clone() };
    Scenario { events: seconds.into_iter().map(event).collect(), ..scenario() }
}

#[test]
fn answers_within_the_bound_are_prompt_and_those_beyond_it_are_slow() {
    assert_eq!(found(PROMPT, scenario()), []);
    let takes = |millis| Slow { get: Some(Span::from_millis(millis)), ..PROMPT };
    assert!(!is_found(takes(60), scenario()), "up to 20 ms of 80 are for the way");
    assert!(is_found(takes(90), scenario()));
    assert!(is_found(Slow { put: Some(Span::from_millis(90)), ..PROMPT }, scenario()));
    let findings = found(takes(90), scenario());
    assert_eq!((findings.len(), findings[0].kind.as_str()), (1, SLOW_ANSWER));
    let Finding { text, shape, .. } = &findings[0];
    assert!(
        text.starts_with("a get that was sent to replica 0000 at ") && text.contains("was answered only"),
        "{text}"
    );
    assert_eq!(shape.to_string(), "get; at the leader");
}

#[test]
fn an_answer_that_never_comes_is_slow() {
    let text = &found(Slow { get: None, ..PROMPT }, scenario())[0].text;
    assert!(text.contains("was not answered; it was due at"), "{text}");
    assert!(!is_found(Slow { get: None, put: None, ..PROMPT }, scenario()), "it never showed that it can lead");
}

#[test]
fn replicas_that_do_not_lead_have_a_little_more_time() {
    let takes = |millis| Slow { redirect: Some(Span::from_millis(millis)), ..PROMPT };
    assert!(!is_found(takes(64), scenario()));
    assert!(is_found(takes(90), scenario()));
}

#[test]
fn a_protocol_that_promises_nothing_is_not_judged() {
    assert!(!is_found(Slow { promises: false, ..slow_gets() }, scenario()));
}

#[test]
fn requests_that_wait_for_each_other_may_take_longer_the_more_there_are() {
    let burst = || Scenario { burst: 10, ..scenario() };
    assert!(is_found(slow_gets(), burst()));
    assert!(!is_found(Slow { one_by_one: true, ..slow_gets() }, burst()));
}

#[test]
fn syncs_count() {
    assert!(!is_found(slow_gets(), Scenario { disk: Some(Delay::Constant(Span::from_millis(20))), ..scenario() }));
}

#[test]
fn nothing_is_judged_where_messages_may_be_lost_or_take_any_time() {
    let matrix = ConnectivityMatrix::uniform(5, 0.01).expect("a probability");
    let tail = Delay::HeavyTail { floor: Span::from_millis(1), median: Span::from_millis(1) };
    let link = LinkDelay { from: ReplicaId(1), to: ReplicaId(2), delay: Delay::Constant(Span::from_secs(1)) };
    let disturbed = [
        Scenario { matrix, ..scenario() },
        Scenario { damage: 0.01, ..scenario() },
        Scenario { network: Network::Links { delay: tail, order: Order::Any }, ..scenario() },
        Scenario { disk: Some(tail), ..scenario() },
        Scenario { links: vec![link], ..scenario() },
    ];
    for scenario in disturbed {
        assert!(!is_found(slow_gets(), scenario.clone()), "{scenario:?}");
    }
}

#[test]
fn a_fault_that_lasts_ends_all_judgement_and_one_that_is_over_does_not() {
    let (one, other) = (ReplicaId(1), ReplicaId(2));
    let at = |act| Fault::Host { at: Some(Target::Replica(one)), act };
    let delay = Some(Delay::Constant(Span::from_millis(100)));
    // From before the first request on.
    let is_judged = |fault: Fault| is_found(slow_gets(), with([1], &fault));
    let rate = Rate::new(0.9).expect("a rate");
    for fault in [
        Fault::PartEasy,
        Fault::isolate(one),
        Fault::SetLink { from: one, to: other, value: 0.5 },
        Fault::Damage(0.1),
        Fault::DelayLink { from: one, to: other, delay },
        at(Act::Pause),
        at(Act::Kill),
        at(Act::Clock { rate, jump: Span::ZERO }),
    ] {
        assert!(!is_judged(fault.clone()), "{}", fault.name());
    }
    for fault in [Fault::Heal, Fault::Duplicate(0.1), at(Act::StepDown)] {
        assert!(is_judged(fault.clone()), "{}", fault.name());
    }
}

#[test]
fn faults_that_come_again_and_again_leave_no_calm_period_between_them() {
    // Before the first and after the last there is nothing to answer.
    assert!(!is_found(slow_gets(), with(1..34, &Fault::Heal)));
    assert!(is_found(slow_gets(), with(1..20, &Fault::Heal)), "after them");
    assert!(is_found(slow_gets(), with(15..34, &Fault::Heal)), "before them");
}

#[test]
fn the_sound_raft_is_prompt_in_the_calm_periods_of_explored_runs() {
    let (mut judged, mut settled) = (0, 0);
    for seed in 0..400 {
        let case = draw(&subjects::raft(), seed);
        let record = case.protocol.simulate(&case.scenario, seed);
        let as_raft = <subjects::Raft>::default().promptness().expect("a bound");
        let of = |times| {
            let promptness = Some(Promptness { times, one_by_one: true, redirect: Span::from_millis(100), ..as_raft });
            let spec = crate::check::linear::of_kind(case.scenario.kind());
            let evidence = Evidence { promptness, ..Evidence::of(&case.scenario, &record, spec) };
            promptness::opinion(&evidence)
        };
        assert_eq!(of(as_raft.times), None, "seed {seed}");
        assert!(case.attempt().passed(), "seed {seed}");
        judged += 1;
        settled += u32::from(of(0).is_some());
    }
    assert!(settled > judged / 20, "{settled} of {judged}");
}
