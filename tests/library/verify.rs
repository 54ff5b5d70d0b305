//! A nondeterminism that is planted in a protocol is found, and located to the event.

use std::cell::Cell;
use std::convert::Infallible;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::gossip::Gossip;
use crate::common::processes;
use crate::common::{SUITE, raft, suite};
use seedbed::id::ReplicaId;
use seedbed::lab::verify::{Agreement, Divergence, verify, verify_all};
use seedbed::machine::{Identity, Input, Machine, Outbox, delegate};
use seedbed::record::{Event, Observer, Scene};
use seedbed::scenario::Scenario;
use seedbed::service::{Operation, Response, Service};
use seedbed::subjects;
use seedbed::time::{Span, Time};
use seedbed::world::simulation::{simulate, simulate_observed};
use seedbed_core::replica::Replica;

/// A gossip in which one replica, with one of its inputs, says something from outside of the run.
struct Planted<L> {
    gossip: Gossip,
    identity: Identity,
    handled: u64,
    leak: L,
}

/// The replica, and the number of its input.
const PLACE: (ReplicaId, u64) = (ReplicaId(2), 500);

fn planted<L: Fn() -> Vec<u64>>(identity: Identity, leak: L) -> Planted<L> {
    Planted { gossip: Gossip::new(identity), identity, handled: 0, leak }
}

impl<L: Fn() -> Vec<u64>> Machine for Planted<L> {
    type Message = u64;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        self.handled += 1;
        if (self.identity.id, self.handled) == PLACE {
            for message in (self.leak)() {
                out.send(ReplicaId(0), message);
            }
        }
        delegate(&mut self.gossip, now, input, out);
    }

    fn poll_timeout(&self) -> Time {
        self.gossip.poll_timeout()
    }
}

impl<L: Fn() -> Vec<u64>> Service for Planted<L> {
    fn leader(&self) -> Option<ReplicaId> {
        None
    }
}

/// Takes down all events as text.
#[derive(Default)]
struct Script(Vec<(Time, String)>);

impl<P: Service> Observer<P> for Script {
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        self.0.push((scene.now, event.to_string()));
    }
}

/// Five gossiping replicas for a second: ten thousand events.
fn short() -> Scenario {
    let mut scenario = suite("simple-1");
    (scenario.wait, scenario.lifetime, scenario.end_wait) = (Some(Span::ZERO), Span::from_secs(1), Span::ZERO);
    scenario.requests = 0;
    scenario
}

fn script(scenario: &Scenario, seed: u64, leak: u64) -> Vec<(Time, String)> {
    let mut script = Script::default();
    simulate_observed(scenario, seed, &mut script, |identity| planted(identity, || vec![leak]));
    script.0
}

/// Number, from 1, and time of the event at which what is said at [`PLACE`] is first heard.
fn place(scenario: &Scenario, seed: u64) -> (u64, Time) {
    let (one, other) = (script(scenario, seed, 1), script(scenario, seed, 2));
    let index = one.iter().zip(&other).position(|(one, other)| one != other).expect("they differ");
    (index as u64 + 1, one[index].0)
}

/// What two runs with this leak differ in.
fn divergence(leak: impl Fn() -> Vec<u64> + Sync) -> Divergence {
    *verify(&short(), [7], |identity| planted(identity, &leak)).expect_err("a leak")
}

/// The divergence is found at the right event, which both sides tell in full.
fn assert_located(divergence: &Divergence) {
    let (number, time) = place(&short(), 7);
    assert_eq!(
        (divergence.seed, divergence.number(), divergence.time()),
        (7, Some(number), Some(time)),
        "{divergence}"
    );
    let sighting = divergence.sighting.as_ref().expect("an event");
    assert!(sighting.lockstep && sighting.exact && divergence.again.is_none(), "{divergence}");
    let sound = script(&short(), 7, 1);
    for (line, (time, text)) in sighting.context.iter().zip(&sound[number as usize - 6..]) {
        assert_eq!((&line.time, &line.text), (time, text), "{divergence}");
    }
    assert_eq!(sighting.context.len(), 5);
    let [one, other] = sighting.sides.each_ref().map(|side| side.event.as_ref().expect("an event"));
    for line in [one, other] {
        assert!(line.text.starts_with("deliver 0002 -> 0000: "), "{divergence}");
    }
    assert_ne!(one, other);
    assert!(sighting.sides.iter().all(|side| side.after.len() == 3));
    let shown = divergence.to_string();
    assert!(shown.starts_with(&format!("simple-1 with seed 7: two runs part at event {number}, ")), "{shown}");
    assert!(shown.contains(&one.text) && shown.contains(&other.text), "{shown}");
}

#[test]
fn runs_of_sound_protocols_are_the_same() {
    let scenario = suite("advanced-4");
    let runs: Vec<u64> = (3..40).map(|seed| simulate(&scenario, seed, raft).events).collect();
    let expected = Agreement { runs: 37, events: runs.iter().sum() };
    assert_eq!(verify(&scenario, 3..40, raft), Ok(expected));
    assert!(verify(&short(), 0..3, Gossip::new).is_ok());
    let watched = AtomicU64::new(0);
    let watch = |_: &Scenario| _ = watched.fetch_add(1, Ordering::Relaxed);
    let scenarios = [short(), scenario];
    let runs = scenarios.iter().flat_map(|scenario| (0..20).map(move |seed| (scenario, seed)));
    assert_eq!(verify_all(runs, watch, |boot| Ok(Gossip::new(boot.identity))).expect("they are the same").runs, 40);
    assert_eq!(watched.into_inner(), 80);
}

#[test]
fn no_runs_are_the_same() {
    assert_eq!(verify(&short(), [], Gossip::new), Ok(Agreement { runs: 0, events: 0 }));
}

#[test]
#[expect(clippy::disallowed_types, reason = "the order of a hash map is what is planted")]
fn the_order_of_a_hash_map_is_located() {
    let leak = || {
        let map: std::collections::HashMap<u64, u64> = (0..1_000).map(|key| (key, key)).collect();
        map.into_keys().take(3).collect()
    };
    let divergence = divergence(leak);
    // Of a thousand keys two maps may have the same one in front.
    let (number, _) = place(&short(), 7);
    let found = divergence.number().expect("an event");
    assert!((number..number + 10).contains(&found), "{divergence}");
    let sighting = divergence.sighting.as_ref().expect("an event");
    for side in &sighting.sides {
        assert!(side.event.as_ref().is_some_and(|line| line.text.starts_with("deliver 0002 -> 0000")), "{divergence}");
    }
    if found == number {
        assert_located(&divergence);
    }
}

#[test]
#[expect(clippy::disallowed_types, reason = "the wall clock is what is planted")]
fn the_wall_clock_is_located() {
    let leak = || {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        vec![time.as_nanos() as u64]
    };
    assert_located(&divergence(leak));
    let start = std::time::Instant::now();
    assert_located(&divergence(|| vec![start.elapsed().as_nanos() as u64]));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the thread's name is what is planted")]
fn the_thread_that_a_run_is_on_is_located() {
    assert_located(&divergence(|| {
        let text = format!("{:?}", std::thread::current().id());
        vec![text.chars().filter_map(|c| c.to_digit(10)).fold(0, |id, digit| 10 * id + u64::from(digit))]
    }));
}

#[test]
fn what_a_thread_remembers_of_earlier_runs_is_found() {
    thread_local! {
        static RUNS: Cell<u64> = const { Cell::new(0) };
    }
    let leak = || {
        RUNS.set(RUNS.get() + 1);
        vec![RUNS.get()]
    };
    // The only run of a thread does not show it.
    assert!(verify(&short(), [7], |identity| planted(identity, leak)).is_ok());
    let divergence = *verify(&short(), [7, 8, 9], |identity| planted(identity, leak)).expect_err("a leak");
    let (number, time) = place(&short(), 7);
    assert_eq!((divergence.seed, divergence.number(), divergence.time()), (7, Some(number), Some(time)));
    let sighting = divergence.sighting.as_ref().expect("an event");
    assert!(!sighting.lockstep && divergence.again.is_none(), "two runs on new threads are the same");
    let [one, other] = sighting.sides.each_ref().map(|side| side.event.as_ref().expect("an event"));
    // In the opposite order it is the third run. What the first one's event said is not known any more.
    assert_eq!((one.text.as_str(), other.text.as_str()), ("deliver 0002 -> 0000", "deliver 0002 -> 0000: 3"));
    assert!(divergence.to_string().ends_with("Played again in lockstep, no two runs differ."), "{divergence}");
}

#[test]
fn a_message_that_changes_once_and_never_again_is_located() {
    static OUTSIDE: AtomicBool = AtomicBool::new(false);
    let divergence = divergence(|| vec![1 + u64::from(OUTSIDE.swap(true, Ordering::Relaxed))]);
    let (number, time) = place(&short(), 7);
    assert_eq!((divergence.number(), divergence.time()), (Some(number), Some(time)), "{divergence}");
    let sighting = divergence.sighting.as_ref().expect("an event");
    assert!(sighting.exact && !sighting.lockstep && divergence.again.is_none());
    assert_eq!(sighting.sides[1].event.as_ref().expect("an event").text, "deliver 0002 -> 0000: 2");
}

#[test]
fn an_event_that_only_one_run_has_is_located() {
    /// Wants a single timeout, unless it has had it.
    struct Once(bool);
    impl Machine for Once {
        type Message = u64;
        type Request = Operation;
        type Response = Response;
        type Record = Infallible;

        fn handle(&mut self, _: Time, _: Input<Self>, _: &mut Outbox<Self>) {
            self.0 = true;
        }
        fn poll_timeout(&self) -> Time {
            if self.0 { Time::NEVER } else { Time(1_000) }
        }
    }

    impl Service for Once {
        fn leader(&self) -> Option<ReplicaId> {
            None
        }
    }
    let start = AtomicU64::new(0);
    // Of the first run's five replicas the first gets no timeout; of later runs' all do.
    let build = |_: Identity| Once(start.fetch_add(1, Ordering::Relaxed) == 0);
    let divergence = *verify(&short(), [7], build).expect_err("a timeout is missing");
    assert_eq!((divergence.events, divergence.number()), ([4, 5], Some(1)), "{divergence}");
    let build = |_: Identity| Once(start.fetch_add(1, Ordering::Relaxed) == 24);
    start.store(20, Ordering::Relaxed);
    let divergence = *verify(&short(), [7], build).expect_err("a timeout is missing");
    assert_eq!((divergence.events, divergence.number(), divergence.time()), ([4, 5], Some(5), Some(Time(1_000))));
    let sides = &divergence.sighting.as_ref().expect("an event").sides;
    assert_eq!(sides[0].event, None);
    assert_eq!(sides[1].event.as_ref().expect("an event").text, "timeout 0004");
    assert!(divergence.to_string().contains("nothing: the run had ended"), "{divergence}");
}

#[test]
fn a_panic_in_one_of_two_runs_is_located() {
    static CALM: AtomicBool = AtomicBool::new(false);
    let divergence = divergence(|| {
        assert!(CALM.swap(true, Ordering::Relaxed), "once on purpose");
        Vec::new()
    });
    let sighting = divergence.sighting.as_ref().expect("an event");
    assert_eq!(sighting.number, divergence.events[0] + 1);
    let panic = sighting.sides[0].panic.as_deref().expect("a panic");
    assert!(sighting.sides[0].event.is_none());
    assert!(panic.starts_with("once on purpose (tests/library/verify.rs:"), "{panic}");
    assert!(sighting.sides[1].event.is_some() && sighting.sides[1].panic.is_none());
    // The last common event is the input that it came with.
    assert!(sighting.context.last().expect("context").text.starts_with("deliver "), "{divergence}");
    assert!(divergence.to_string().contains("the run panicked: once on purpose"), "{divergence}");
}

#[test]
fn a_panic_on_one_thread_only_is_seen_in_lockstep() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let divergence = divergence(|| {
        assert!(RUNS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2), "every second time");
        Vec::new()
    });
    let sighting = divergence.sighting.as_ref().expect("an event");
    assert!(sighting.lockstep && divergence.again.is_none(), "{divergence}");
    assert_eq!(sighting.sides.iter().filter(|side| side.panic.is_some()).count(), 1);
    assert_eq!(sighting.number, divergence.events[1] + 1, "the second run panicked");
}

#[test]
fn a_panic_long_after_the_event_that_differs_is_told_of() {
    static REPLICAS: AtomicU64 = AtomicU64::new(0);
    struct Doomed(Planted<Box<dyn Fn() -> Vec<u64>>>, bool);
    impl Machine for Doomed {
        type Message = u64;
        type Request = Operation;
        type Response = Response;
        type Record = Infallible;

        fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
            assert!(!self.1 || self.0.handled < 3 * PLACE.1, "later");
            delegate(&mut self.0, now, input, out);
        }
        fn poll_timeout(&self) -> Time {
            self.0.poll_timeout()
        }
    }

    impl Service for Doomed {
        fn leader(&self) -> Option<ReplicaId> {
            None
        }
    }
    let build = |identity| {
        let run = REPLICAS.fetch_add(1, Ordering::Relaxed) / 5;
        Doomed(planted(identity, Box::new(move || vec![run])), run == 0)
    };
    let divergence = *verify(&short(), [7], build).expect_err("a leak");
    assert_eq!(divergence.number(), Some(place(&short(), 7).0));
    let [Some(panic), None] = &divergence.panics else { panic!("one panic: {divergence}") };
    assert!(panic.starts_with("later (tests/library/verify.rs:"), "{panic}");
    assert!(divergence.to_string().contains("the first run panicked: later"), "{divergence}");
}

#[test]
fn two_runs_that_panic_alike_are_told_of_too() {
    let divergence = divergence(|| panic!("always"));
    let sighting = divergence.sighting.as_ref().expect("the end");
    assert_eq!(sighting.sides[0], sighting.sides[1]);
    let panic = sighting.sides[0].panic.as_deref().expect("a panic");
    assert!(panic.starts_with("always (tests/library/verify.rs:"), "{panic}");
    let events = divergence.events[0];
    assert!(
        divergence.to_string().starts_with(&format!("simple-1 with seed 7: both runs panicked after event {events}"))
    );
}

#[test]
fn records_that_differ_while_events_do_not_are_told_of() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    struct Fickle(Gossip, Option<ReplicaId>);
    impl Machine for Fickle {
        type Message = u64;
        type Request = Operation;
        type Response = Response;
        type Record = Infallible;

        fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
            delegate(&mut self.0, now, input, out);
        }
        fn poll_timeout(&self) -> Time {
            self.0.poll_timeout()
        }
    }

    impl Service for Fickle {
        /// Messages between replicas are stamped with it, but are no other events for that.
        fn leader(&self) -> Option<ReplicaId> {
            self.1
        }
    }
    let build =
        |identity| Fickle(Gossip::new(identity), (RUNS.fetch_add(1, Ordering::Relaxed) < 5).then_some(ReplicaId(1)));
    let divergence = *verify(&short(), [7], build).expect_err("another leader");
    assert_eq!((divergence.number(), divergence.fields.as_slice()), (None, &["leaders"][..]));
    assert!(divergence.to_string().ends_with("of two runs are the same, but not: leaders"), "{divergence}");
}

/// A Raft replica whose third timeout comes late by a time from outside.
struct Late {
    replica: Replica,
    timeouts: u64,
    late: Span,
}

impl Machine for Late {
    type Message = <Replica as Machine>::Message;
    type Request = Operation;
    type Response = Response;
    type Record = <Replica as Machine>::Record;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        self.timeouts += u64::from(matches!(input, Input::Timeout));
        delegate(&mut self.replica, now, input, out);
    }

    fn poll_timeout(&self) -> Time {
        let timeout = self.replica.poll_timeout();
        if self.timeouts == 2 { timeout + self.late } else { timeout }
    }
}

impl Service for Late {
    fn leader(&self) -> Option<ReplicaId> {
        self.replica.leader()
    }
}

#[test]
fn a_timer_that_is_late_by_a_nanosecond_is_located() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let scenario = suite("crash-3");
    let build = |identity: Identity, late| Late { replica: raft(identity), timeouts: 0, late: Span(late) };
    let scripts = [0, 1].map(|late| {
        let mut script = Script::default();
        simulate_observed(&scenario, 7, &mut script, |identity| build(identity, late));
        script.0
    });
    let index = scripts[0].iter().zip(&scripts[1]).position(|(one, other)| one != other).expect("they differ");
    let leaky = |identity| build(identity, RUNS.fetch_add(1, Ordering::Relaxed) / 5 % 2);
    let divergence = *verify(&scenario, [7], leaky).expect_err("another time");
    assert_eq!(divergence.number(), Some(index as u64 + 1), "{divergence}");
    assert_eq!(divergence.time(), Some(scripts[0][index].0.min(scripts[1][index].0)), "{divergence}");
}

#[test]
fn a_very_long_run_is_located_to_the_event_if_it_differs_again() {
    let mut long = short();
    (long.lifetime, long.max_packets) = (Span::from_secs(20), u64::MAX);
    /// Every replica leaks with its 40,000th input.
    struct Long(Gossip, u64, u64);
    impl Machine for Long {
        type Message = u64;
        type Request = Operation;
        type Response = Response;
        type Record = Infallible;

        fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
            self.1 += 1;
            if self.1 == 40_000 {
                out.send(ReplicaId(0), self.2);
            }
            delegate(&mut self.0, now, input, out);
        }
        fn poll_timeout(&self) -> Time {
            self.0.poll_timeout()
        }
    }

    impl Service for Long {
        fn leader(&self) -> Option<ReplicaId> {
            None
        }
    }
    let events = simulate(&long, 7, Gossip::new).events;
    assert!(events > 200_000, "{events} events are not many");
    let start = AtomicU64::new(0);
    let build = |identity| Long(Gossip::new(identity), 0, start.fetch_add(1, Ordering::Relaxed));
    let divergence = *verify(&long, [7], build).expect_err("a leak");
    let sighting = divergence.sighting.as_ref().expect("an event");
    assert!(sighting.exact && sighting.lockstep && sighting.number > 1 << 17, "{divergence}");
    // A leak that does not come again is at least bounded from below.
    let first = AtomicU64::new(0);
    let build = |identity| Long(Gossip::new(identity), 0, u64::from(first.fetch_add(1, Ordering::Relaxed) < 5));
    let bounded = *verify(&long, [7], build).expect_err("a leak");
    let (at_least, exactly) = (bounded.number().expect("an event"), sighting.number);
    assert!(at_least <= exactly && exactly - at_least < 32, "{at_least} {exactly}");
    assert!(!bounded.sighting.as_ref().expect("an event").exact);
}

fn command(arguments: &[&str]) -> Output {
    let mut command = processes::seedbed();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("verify").args(arguments);
    command.output().expect("seedbed starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn the_command_counts_runs_and_their_events() {
    let events: u64 = (3..5).map(|seed| subjects::raft().simulate(&suite("crash-3"), seed).events).sum();
    for seeds in ["3..5", "3..=4"] {
        let output = command(&["scenarios/crash-3.json", "--seeds", seeds]);
        let expected = format!(
            "seedbed verify scenarios/crash-3.json --seeds 3..5\n\n2 runs of 1 scenario verified, {events} events, all the same\n"
        );
        assert_eq!(
            (output.status.code(), text(&output.stdout), text(&output.stderr)),
            (Some(0), expected.as_str(), "")
        );
    }
    let events: u64 = SUITE.iter().map(|name| subjects::broadcast().simulate(&suite(name), 3).events).sum();
    let output = command(&["all", "--seeds", "3", "--protocol", "broadcast"]);
    let expected = format!(
        "seedbed verify all --seeds 3 --protocol broadcast\n\n17 runs of 17 scenarios verified, {events} events, all the same\n"
    );
    assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(0), expected.as_str(), ""));
    let output = command(&["all", "-c", "scenarios/harsh", "--seeds", "0..2"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("seedbed verify all -c scenarios/harsh --seeds 0..2\n"));
}

#[test]
fn the_command_refuses_bad_seeds_and_files_with_the_reason() {
    let format = "allowed is N, A..B (without B) or A..=B, with whole numbers from 0 to 18446744073709551615";
    for (seeds, reason) in [
        ("x", format),
        ("-1..3", format),
        ("1..", format),
        ("0..18446744073709551616", format),
        ("5..5", "there is no seed in it: 5 is not below 5"),
        ("5..=4", "there is no seed in it: 5 is above 4"),
    ] {
        let output = command(&["scenarios/crash-3.json", "--seeds", seeds]);
        let message = format!("error: invalid value '{seeds}' for '--seeds <A..B>': {reason}");
        assert_eq!(output.status.code(), Some(2), "{seeds}");
        assert_eq!((text(&output.stdout), text(&output.stderr).lines().next()), ("", Some(message.as_str())));
    }
    let output = command(&["scenarios/crash-3.json"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "no seeds");
    let output = command(&["none.json", "--seeds", "7"]);
    let message =
        "error: none.json: no such file, and no built-in scenario has this name (`seedbed scenarios` lists them)\n";
    assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(2), "", message));
}
