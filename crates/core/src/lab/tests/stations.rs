//! The instruments, with replicas on the course's LAN: naive replication, and ones with odd habits.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::check::Checker;
use crate::lab::explore::draw;
use crate::lab::shrink::shrink;
use crate::lab::{Case, PANIC, Protocol, Protocols, Repro, StationSubject, Subject, station};
use crate::machine::{Boot, Exit, Identity, Input, Machine, Outbox};
use crate::node::{Members, Node};
use crate::record::{Event, Said, View, Watcher, World};
use crate::scenario::Scenario;
use crate::subjects::Broadcast;
use crate::time::Time;
use crate::wire::{Address, Datagrams, Envelope};
use crate::world::lan::{Station, address};

/// What a replica does besides naive replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    None,
    /// Its seed differs from run to run.
    Fickle,
    /// It panics at this many seconds.
    Panics(u64),
    /// It does what cannot be simulated then.
    Hinders(u64),
    /// It prints every request.
    Talks,
}

/// Naive replication on the LAN.
#[derive(Clone)]
struct Naive(Habit);

struct Replica {
    node: Node<<Broadcast as Subject>::Machine>,
    habit: Habit,
    now: Time,
    printed: Vec<String>,
}

/// Counts the starts of fickle replicas in this process.
static STARTS: AtomicU64 = AtomicU64::new(0);

impl StationSubject for Naive {
    type Machine = Replica;
    type Premises = ();

    fn name(&self) -> &'static str {
        "naive"
    }

    fn premises(&self, _: &Scenario, _: u64) {}

    fn boot(&self, (): &(), identity: Identity, _: u32, now: Time) -> Result<Replica, Exit> {
        let all = crate::id::ReplicaId::all(identity.replicas).map(address);
        let others: Vec<Address> = all.filter(|&other| other != address(identity.id)).collect();
        let members = Members::new(address(identity.id), &others).expect("a cluster");
        let printed = match self.0 {
            Habit::Fickle => vec![format!("start {}", STARTS.fetch_add(1, Ordering::Relaxed))],
            _ => Vec::new(),
        };
        let start =
            |identity| Broadcast.boot(Boot { identity, incarnation: 0, now, disk: None }).expect("it refuses nothing");
        Ok(Replica { node: Node::new(members, identity.seed, start), habit: self.0, now, printed })
    }
}

impl Machine for Replica {
    type Message = Box<[u8]>;
    type Request = Infallible;
    type Response = Infallible;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Replica>, out: &mut Outbox<Replica>) {
        self.now = now;
        assert!(!matches!(self.habit, Habit::Panics(seconds) if now.as_secs_f64() >= seconds as f64), "on purpose");
        if let (Habit::Talks, Input::Peer { message, .. }) = (self.habit, &input) {
            self.printed.push(String::from_utf8_lossy(message).into_owned());
        }
        crate::machine::delegate(&mut self.node, now, input, out);
    }

    fn poll_timeout(&self) -> Time {
        Machine::poll_timeout(&self.node)
    }
}

impl Station for Replica {
    fn printed(&mut self, line: &mut dyn FnMut(&str)) {
        self.printed.drain(..).for_each(|printed| line(&printed));
    }

    fn obstacle(&self) -> Option<String> {
        let is_hindered = matches!(self.habit, Habit::Hinders(seconds) if self.now.as_secs_f64() >= seconds as f64);
        is_hindered.then(|| "opens a TCP socket".to_owned())
    }
}

fn naive(habit: Habit) -> Protocol {
    station(Naive(habit))
}

fn scenario() -> Scenario {
    let text = r#"{"lifetime": 10, "replicas": 3, "requests": 100, "mix": 0.5, "drops": 0.2, "tests": {
        "benchmarks": {"total_msgs": [0, 0, 0], "failures": [0, 0, 0], "duplicates": [0, 0, 0],
            "median_latency": [0, 0, 0]}}}"#;
    Scenario::parse("s", "s.json", text).expect("a scenario").scenario
}

fn case(habit: Habit) -> Case {
    Case { scenario: scenario(), seed: 7, protocol: naive(habit) }
}

/// The case as a file, read again.
fn through_a_file(repro: &Repro) -> Repro {
    let mut file = Vec::new();
    repro.write(&mut file).expect("memory can be written to");
    let text = String::from_utf8(file).expect("JSON is text");
    let protocols = Protocols::new([naive(Habit::None)]);
    Repro::parse("r.json", &text, &protocols).unwrap_or_else(|error| panic!("{error}\n{text}")).repro
}

#[test]
fn a_failure_on_the_lan_becomes_small_and_its_file_replays_to_the_bit() {
    let drawn = (0..200).map(|seed| draw(&naive(Habit::None), seed)).map(|case| (case.attempt(), case));
    let is_wrong = |(trial, _): &(super::super::Trial, Case)| {
        trial.findings.first().is_some_and(|finding| finding.checker == Checker::LINEARIZABILITY)
    };
    let (trial, case) = drawn.into_iter().find(is_wrong).expect("naive replication is wrong");
    let finding = &trial.findings[0];
    let small = shrink(&case, finding, 3_000, |_| ControlFlow::Continue(())).expect("it fails");
    let Scenario { requests, events, losses, .. } = &small.case.scenario;
    assert!(*requests <= 4 && events.len() + losses.len() <= 3, "{requests} requests, {events:?}, {losses:?}");
    assert!(small.trial.findings.iter().any(|other| other.is_like(finding)));
    assert_eq!(small.case.scenario.unplayable(World::Lan), None);

    let repro = Repro::of(&small.case, &small.trial);
    let again = through_a_file(&repro);
    assert_eq!(again, repro);
    assert_eq!(again.case.attempt().trace(), small.trial.trace());
}

#[test]
fn runs_that_differ_are_shown_from_their_first_event_that_does() {
    let scenario = scenario();
    let sound = naive(Habit::Talks).verify(&mut [(&scenario, 7), (&scenario, 8)].into_iter(), &|_| {});
    assert_eq!(sound.map(|agreement| agreement.runs).map_err(|divergence| divergence.to_string()), Ok(2));
    let divergence = naive(Habit::Fickle).verify(&mut [(&scenario, 7)].into_iter(), &|_| {}).unwrap_err();
    let text = divergence.to_string();
    assert!(text.contains("two runs part at event 2") && text.contains("print 0000: start "), "{text}");
}

#[test]
fn a_station_that_panics_is_a_finding_with_its_newest_event() {
    let trial = case(Habit::Panics(4)).attempt();
    assert_eq!(trial.findings[0].kind, PANIC);
    let judged = case(Habit::Panics(4)).judge_panic("on purpose");
    assert_eq!(judged.record.world, World::Lan);
    let lines = &judged.judgement.opinions[0].lines;
    assert!(lines[0].starts_with("at 4.") && lines[0].contains("with or soon after event"), "{lines:?}");
}

#[test]
fn a_run_with_an_obstacle_never_passes_and_can_be_shrunk_as_such() {
    let trial = case(Habit::Hinders(5)).attempt();
    let finding = trial.findings.iter().find(|finding| finding.kind == "obstacle").expect("it is found");
    assert_eq!(finding.checker, Checker::LIVENESS);
    let small = shrink(&case(Habit::Hinders(5)), finding, 300, |_| ControlFlow::Continue(())).expect("it fails");
    assert!(small.case.scenario.requests <= 1, "{}", small.case.scenario.requests);
}

/// What a watcher sees of a run.
#[derive(Default)]
struct Seen {
    printed: Vec<String>,
    messages: Vec<String>,
}

impl Watcher for Seen {
    fn event(&mut self, _: &View<'_>, event: &Event<'_, ()>, said: Option<&dyn Said>) {
        if let Event::Printed { line, .. } = event {
            self.printed.push((*line).to_owned());
        }
        if let Some(said) = said {
            let mut out = Datagrams::bare();
            let to_all = Address::BROADCAST;
            said.write(&Envelope { src: to_all, dst: to_all, leader: to_all, mid: "" }, &mut out);
            self.messages.extend(out.iter().map(|text| String::from_utf8(text.to_vec()).expect("JSON is text")));
        }
    }
}

#[test]
fn a_watcher_sees_what_is_printed_and_every_datagram_as_json() {
    let mut seen = Seen::default();
    let (judged, tally) = case(Habit::Talks).run_counted(Some(&mut seen));
    assert_eq!(tally.sent("message"), Some(judged.record.sent));
    assert!(seen.printed.len() > 100 && seen.printed.iter().all(|line| line.starts_with('{')), "{:?}", seen.printed);
    assert!(seen.messages.len() > 200);
    for text in &seen.messages {
        assert!(serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.is_object()), "{text}");
    }
    assert_eq!(judged.record.trace, case(Habit::Talks).run().record.trace, "watching changes nothing");
    assert_ne!(judged.record.trace, case(Habit::None).run().record.trace, "what is printed is part of the trace");
}
