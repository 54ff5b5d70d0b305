use std::cell::RefCell;
use std::collections::VecDeque;

use super::*;
use crate::id::{ClientId, Mid};
use crate::machine::{Machine, Outbox};
use crate::record::Watcher;
use crate::service::{Operation, Response, Service};
use crate::time::Span;
use crate::wire::Datagram;
use crate::world::lan::address;
use crate::world::simulation::simulate_observed;

const BENCHMARKS: &str = r#""tests": {"maximum_get_generation_fail_fraction": 1, "maximum_appends_batched_fraction": 1,
    "benchmarks": {"total_msgs": [1, 2, 3], "failures": [1, 2, 3], "duplicates": [1, 2, 3],
        "median_latency": [1, 2, 3]}}"#;

/// A scenario of three replicas with these keys beside the usual ones. Its events are counted from 1 s on. Clients only
/// put, so that every `ok` is right.
fn scenario(keys: &str) -> Scenario {
    let text = format!(
        r#"{{"lifetime": 5, "replicas": 3, "requests": 40, "mix": 0, "wait": 1, "end_wait": 1, {keys} {BENCHMARKS}}}"#
    );
    Scenario::parse("s", "s.json", &text).unwrap_or_else(|error| panic!("{error}")).scenario
}

fn with_events(events: &str) -> Scenario {
    scenario(&format!(r#""events": [{events}],"#))
}

fn at(millis: u64) -> Time {
    Time::ZERO + Span::from_millis(millis)
}

const ALL: [ReplicaId; 3] = [ReplicaId(0), ReplicaId(1), ReplicaId(2)];

fn datagram(src: ReplicaId, dst: &str, kind: &str, rest: &str) -> String {
    format!(r#"{{"src":"{src}","dst":"{dst}","leader":"0000","type":"{kind}"{rest}}}"#)
}

/// What a scripted station does next, at a time on its own clock.
#[derive(Clone, Debug)]
enum Deed {
    Send(String),
    Print(&'static str),
    Exit(&'static str),
    Hit(&'static str),
}

/// A station that says hello when it starts, does what a script says, and answers every request with `ok`.
#[derive(Debug)]
struct Scripted {
    own: ReplicaId,
    deeds: VecDeque<(Time, Deed)>,
    printed: Vec<&'static str>,
    obstacle: Option<&'static str>,
    /// What it was handed, with the time on its own clock.
    heard: Vec<(Time, String)>,
    is_off: bool,
}

impl Scripted {
    /// At its start it says hello, and then follows these deeds.
    fn new(own: ReplicaId, now: Time, deeds: Vec<(Time, Deed)>) -> Scripted {
        let hello = (now, Deed::Send(datagram(own, "FFFF", "hello", "")));
        Scripted::silent(own, [hello].into_iter().chain(deeds).collect())
    }

    fn silent(own: ReplicaId, deeds: Vec<(Time, Deed)>) -> Scripted {
        Scripted { own, deeds: deeds.into(), printed: vec![], obstacle: None, heard: vec![], is_off: false }
    }
}

impl Machine for Scripted {
    type Message = Box<[u8]>;
    type Request = Infallible;
    type Response = Infallible;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Scripted>, out: &mut Outbox<Scripted>) {
        assert!(!self.is_off, "it has no power");
        let own = self.own;
        if let Input::Peer { from, message } = input {
            assert_eq!(from, own, "its own place stands for the router");
            let text = String::from_utf8_lossy(&message).into_owned();
            if let Ok(Datagram { src, mid: Some(mid), kind, .. }) = Datagram::parse(&message)
                && ["get", "put"].contains(&&*kind)
            {
                out.send(own, datagram(own, &src.to_string(), "ok", &format!(r#","MID":"{mid}""#)).into_bytes().into());
            }
            self.heard.push((now, text));
        }
        while let Some((_, deed)) = self.deeds.pop_front_if(|(due, _)| *due <= now) {
            match deed {
                Deed::Send(text) => out.send(own, text.into_bytes().into()),
                Deed::Print(line) => self.printed.push(line),
                Deed::Exit(why) => out.exit(Exit(why.into())),
                Deed::Hit(what) => self.obstacle = Some(what),
            }
        }
    }

    fn poll_timeout(&self) -> Time {
        self.deeds.front().map_or(Time::NEVER, |(due, _)| *due)
    }
}

impl Station for Scripted {
    fn printed(&mut self, line: &mut dyn FnMut(&str)) {
        self.printed.drain(..).for_each(line);
    }

    fn obstacle(&self) -> Option<String> {
        self.obstacle.map(str::to_owned)
    }

    fn power_off(&mut self) {
        self.is_off = true;
    }
}

/// Collects the events of a run as text, each with its time.
#[derive(Default)]
struct Events(Vec<(Time, String)>);

impl<M: Machine> Observer<M> for Events {
    fn event(&mut self, scene: &Scene<'_, M>, event: &Event<'_, M::Message>) {
        self.0.push((scene.now, event.outline().to_string()));
    }
}

impl Events {
    /// The times of the events that are shown like this.
    fn times(&self, outline: &str) -> Vec<Time> {
        self.0.iter().filter(|(_, shown)| shown == outline).map(|(time, _)| *time).collect()
    }
}

/// A played run: its record, its events, and its stations as they were at the end.
struct Played {
    record: RunRecord,
    events: Events,
    heard: Vec<Vec<(Time, String)>>,
    are_off: Vec<bool>,
}

/// Plays a scenario with stations that follow a script from the start on. The script says what a replica does in an
/// incarnation that starts at a time.
fn play(scenario: &Scenario, script: impl Fn(ReplicaId, u32, Time) -> Vec<(Time, Deed)>) -> Played {
    let mut events = Events::default();
    let boot = |boot: Boot<Infallible>| {
        let id = boot.identity.id;
        Ok(Scripted::new(id, boot.now, script(id, boot.incarnation, boot.now)))
    };
    let mut run = LanSimulation::new(scenario, 7, &mut events, boot);
    while run.step() {}
    let heard = run.stations().iter().map(|station| station.heard.clone()).collect();
    let are_off = run.stations().iter().map(|station| station.is_off).collect();
    let record = run.finish();
    assert!(record.obstacle.is_some() || record.end >= at(1), "{record:?}");
    Played { record, events, heard, are_off }
}

fn nothing(_: ReplicaId, _: u32, _: Time) -> Vec<(Time, Deed)> {
    Vec::new()
}

/// Replica 0 sends these many messages to replica 1, one each millisecond from this time on.
fn pings(from: Time, count: u64) -> Vec<(Time, Deed)> {
    let ping = |n| {
        let text = datagram(ReplicaId(0), "0001", "ping", &format!(r#","n":{n}"#));
        (from + Span::from_millis(n), Deed::Send(text))
    };
    (0..count).map(ping).collect()
}

fn pinging(id: ReplicaId, from: Time, count: u64) -> Vec<(Time, Deed)> {
    if id == ALL[0] { pings(from, count) } else { Vec::new() }
}

/// A typed machine that sends what a scripted station sends in [`pinging`], and answers requests like it.
struct Typed {
    due: VecDeque<Time>,
    answers: Vec<(ClientId, Mid)>,
}

impl Machine for Typed {
    type Message = u64;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Typed>, out: &mut Outbox<Typed>) {
        if let Input::Client { from, mid, .. } = input {
            self.answers.push((from, mid));
            out.reply(from, mid, Response::Ok { value: None });
        }
        while self.due.pop_front_if(|due| *due <= now).is_some() {
            out.send(ReplicaId(1), 0);
        }
    }

    fn poll_timeout(&self) -> Time {
        self.due.front().copied().unwrap_or(Time::NEVER)
    }
}

impl Service for Typed {
    fn leader(&self) -> Option<ReplicaId> {
        Some(ReplicaId(0))
    }
}

/// The same run with typed machines.
fn play_typed(scenario: &Scenario, from: Time, count: u64) -> (RunRecord, Events) {
    let mut events = Events::default();
    let record = simulate_observed(scenario, 7, &mut events, |identity| Typed {
        due: if identity.id == ALL[0] {
            (0..count).map(|n| from + Span::from_millis(n)).collect()
        } else {
            VecDeque::new()
        },
        answers: Vec::new(),
    });
    (record, events)
}

const NETWORKS: [&str; 5] = [
    "",
    r#""network": {"model": "links", "delay": {"kind": "uniform", "min_ms": 1, "max_ms": 30}},"#,
    r#""network": {"model": "links", "delay": {"kind": "uniform", "min_ms": 1, "max_ms": 30}, "order": "fifo"},"#,
    r#""network": {"model": "links", "delay": {"kind": "constant", "ms": 2}, "duplicate": 0.4,
        "links": [{"from": 0, "to": 1, "delay": {"kind": "uniform", "min_ms": 5, "max_ms": 50}}]},
        "events": [{"type": "delay_link", "time": 0.05, "from": 0, "to": 1, "delay": {"kind": "constant", "ms": 9}},
            {"type": "duplicate", "time": 0.1, "value": 1}],"#,
    r#""drops": 0.3, "events": [{"type": "part_easy", "time": 0.05}, {"type": "part_end", "time": 0.1}],"#,
];

#[test]
fn everything_arrives_when_it_would_in_the_virtual_world_and_meets_the_same_losses() {
    for network in NETWORKS {
        let scenario = scenario(network);
        let lan = play(&scenario, |id, _, _| pinging(id, at(1_000), 200));
        let (record, typed) = play_typed(&scenario, at(1_000), 200);
        let arrivals = |events: &Events| -> Vec<(Time, String)> {
            let arrives = |text: &str| {
                ["deliver", "drop", "request", "answer", "fault"].iter().any(|kind| text.starts_with(kind))
            };
            events.0.iter().filter(|(_, text)| arrives(text)).cloned().collect()
        };
        assert_eq!(arrivals(&lan.events), arrivals(&typed), "{network}");
        assert_eq!((lan.record.sent, lan.record.dropped), (record.sent, record.dropped));
        assert_eq!(lan.record.history, record.history);
        assert_eq!(lan.record.leaders, record.leaders);
        assert!(lan.record.sent == 200 && lan.record.history.attempts.len() == 40);
    }
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let scenario = scenario(NETWORKS[3]);
    let run = |seed| {
        simulate_stations(&scenario, seed, (), |boot| {
            let id = boot.identity.id;
            Ok(Scripted::new(id, boot.now, pinging(id, at(1_000), 200)))
        })
    };
    let (one, again, other) = (run(7), run(7), run(8));
    assert_eq!(one, again);
    assert_ne!(one.trace, other.trace);
    assert_eq!((one.world, one.lag, one.end), (World::Lan, Span::ZERO, scenario.end()));
}

#[test]
fn the_trace_covers_every_byte_that_is_sent_even_if_nobody_gets_it() {
    let trace = |text: &'static str| {
        let script = move |id, _, _| if id == ALL[0] { vec![(at(500), Deed::Send(text.to_owned()))] } else { vec![] };
        play(&scenario(""), script).record.trace
    };
    assert_eq!(trace("{\"a\": 1}"), trace("{\"a\": 1}"));
    assert_ne!(trace("{\"a\": 1}"), trace("{\"a\": 2}"));
}

#[test]
fn a_message_to_a_station_before_its_hello_counts_it_as_died_and_complaints_are_in_the_record() {
    let mut events = Events::default();
    let scenario = scenario("");
    let record = simulate_stations(&scenario, 7, &mut events, |boot| {
        let id = boot.identity.id;
        let hello = (at(2_000), Deed::Send(datagram(id, "FFFF", "hello", "")));
        Ok(match id {
            ReplicaId(0) => Scripted::new(id, boot.now, pings(at(500), 1)),
            ReplicaId(1) => Scripted::silent(id, vec![hello]),
            _ => Scripted::silent(id, Vec::new()),
        })
    });
    let told: Vec<(ReplicaId, &str)> = record.complaints.iter().map(|one| (one.replica, one.what.as_str())).collect();
    let early = |what: &str| {
        format!(
            "was sent {what} before it said hello: the course's runner takes it off the list of living replicas, and it \
             counts as died"
        )
    };
    assert_eq!(told[0], (ALL[1], early("a message of replica 0000").as_str()));
    let late = "has not said hello yet: whatever is sent to it before counts it as died";
    assert_eq!((told[1], record.complaints[1].time), ((ALL[2], late), at(1_000)));
    assert!(told[2].0 == ALL[2] && told[2].1.starts_with("was sent a request of client"), "{told:?}");
    assert_eq!((told.len(), record.died), (3, 2));
    assert_eq!(events.times("complaint 0001"), [record.complaints[0].time]);
    assert_eq!(events.times("lost -> 0001"), events.times("complaint 0001"));
}

#[test]
fn a_killed_station_has_no_power_for_ever() {
    let scenario = with_events(r#"{"type": "kill", "time": 1, "replica": 1}, {"type": "restart", "time": 2}"#);
    let lan = play(&scenario, |id, _, _| pinging(id, at(1_900), 200));
    assert_eq!(lan.are_off, [false, true, false]);
    assert!(lan.heard[1].iter().all(|(time, _)| *time < at(2_000)));
    assert!(lan.events.times("lost -> 0001").len() > 90);
    assert_eq!((lan.record.killed, lan.record.died, lan.record.living.len()), (1, 0, 2));
}

#[test]
fn a_crashed_station_starts_anew_and_is_heard_and_reached_again_after_its_hello() {
    let scenario =
        with_events(r#"{"type": "crash", "time": 1, "replica": 1}, {"type": "restart", "time": 2, "replica": 1}"#);
    let starts = RefCell::new(Vec::new());
    let lan = play(&scenario, |id, incarnation, now| {
        if id == ALL[1] {
            starts.borrow_mut().push((incarnation, now));
        }
        pinging(id, at(1_500), 2_500)
    });
    assert_eq!(*starts.borrow(), [(0, Time::ZERO), (1, at(3_000))]);
    let pings: Vec<Time> =
        lan.heard[1].iter().filter(|(_, text)| text.contains("ping")).map(|(time, _)| *time).collect();
    assert!(pings[0] > at(3_000) && pings.len() > 990, "it has forgotten what it heard before");
    assert_eq!(lan.events.times("crash 0001"), [at(2_000)]);
    assert_eq!(lan.events.times("start 0001"), [at(3_000)]);
    assert!(lan.events.times("lost -> 0001").iter().all(|time| (at(2_000)..=at(3_001)).contains(time)));
    let outage = lan.record.outages[0];
    assert_eq!((outage.from, outage.until, lan.record.died), (at(2_000), at(3_000), 0));
    assert_eq!(lan.record.complaints, []);
}

/// Replica 2 sends these many messages to replica 0, which all clients ask.
fn pinging_the_asked(id: ReplicaId, from: Time, count: u64) -> Vec<(Time, Deed)> {
    let ping = |n| (from + Span::from_millis(n), Deed::Send(datagram(id, "0000", "ping", "")));
    if id == ALL[2] { (0..count).map(ping).collect() } else { Vec::new() }
}

#[test]
fn a_paused_station_gets_messages_and_requests_when_it_is_resumed() {
    let scenario =
        with_events(r#"{"type": "pause", "time": 1, "replica": 0}, {"type": "resume", "time": 2, "replica": 0}"#);
    let lan = play(&scenario, |id, _, _| pinging_the_asked(id, at(1_900), 200));
    let heard = |kind: &str| -> Vec<Time> {
        lan.heard[0].iter().filter(|(_, text)| text.contains(kind)).map(|(time, _)| *time).collect()
    };
    for (kind, waited) in [("ping", 95), ("MID", 3)] {
        let times = heard(kind);
        assert!(!times.iter().any(|time| (at(2_000)..at(3_000)).contains(time)), "{times:?}");
        assert!(times.iter().filter(|time| **time == at(3_000)).count() > waited, "{kind}: {times:?}");
    }
    assert_eq!(heard("ping").len(), 200, "none is lost");
    assert!(lan.record.history.attempts.iter().all(|attempt| attempt.answer.is_some()));
}

#[test]
fn what_waits_for_a_paused_station_is_lost_if_its_power_fails() {
    let scenario = with_events(
        r#"{"type": "pause", "time": 1, "replica": 0}, {"type": "crash", "time": 1.5, "replica": 0},
           {"type": "restart", "time": 1.6, "replica": 0}"#,
    );
    let lan = play(&scenario, |id, _, _| pinging_the_asked(id, at(2_100), 100));
    assert!(!lan.heard[0].iter().any(|(_, text)| text.contains("ping")));
    assert!(lan.record.history.attempts.iter().any(|attempt| attempt.answer.is_none()));
}

#[test]
fn a_station_acts_by_its_own_clock() {
    let scenario = with_events(
        r#"{"type": "clock", "time": 0, "replica": 0, "rate": 0.5},
           {"type": "clock", "time": 0, "replica": 2, "rate": 1, "jump_ms": 1500}"#,
    );
    let script = |id, _, _| if id == ALL[1] { vec![] } else { vec![(at(2_000), Deed::Print("tick"))] };
    let lan = play(&scenario, script);
    assert_eq!(lan.events.times("print 0000"), [at(3_000)], "a second takes two");
    assert_eq!(lan.events.times("print 0002"), [at(1_000)], "it is past its time");
}

#[test]
fn a_damaged_message_is_handed_over_with_one_bit_flipped_and_counts_as_dropped() {
    let scenario = scenario(r#""network": {"model": "course", "damage": 1},"#);
    let lan = play(&scenario, |id, _, _| pinging(id, at(1_000), 50));
    assert_eq!((lan.record.sent, lan.record.dropped, lan.record.malformed), (50, 50, 0));
    assert_eq!(lan.events.times("damage 0000 -> 0001").len(), 50);
    let requests = lan.heard[1].iter().filter(|(_, text)| text.contains("MID")).count();
    assert!(lan.heard[1].len() - requests == 50, "requests are not damaged");
    let damaged = lan.heard[1].iter().filter(|(_, text)| !text.contains("MID"));
    for ((_, sent), (_, heard)) in pings(at(0), 50).into_iter().zip(damaged) {
        let Deed::Send(sent) = sent else { panic!("pings are sent") };
        assert_ne!(sent, *heard);
    }
}

#[test]
fn datagrams_that_make_no_sense_are_counted_and_one_that_is_no_text_closes_the_station() {
    let script = |id, _, _| match id {
        ReplicaId(0) => vec![
            (at(500), Deed::Send("[]".to_owned())),
            (at(501), Deed::Send(datagram(id, "0009", "x", ""))),
            (at(502), Deed::Print("still here")),
        ],
        ReplicaId(1) => vec![(at(600), Deed::Send(String::new())), (at(601), Deed::Print("never"))],
        _ => vec![],
    };
    let lan = play(&scenario(""), script);
    assert_eq!((lan.record.malformed, lan.record.died, lan.are_off), (2, 1, vec![false, true, false]));
    let whats: Vec<&str> = lan.record.complaints.iter().map(|one| one.what.as_str()).collect();
    assert!(
        whats[0].starts_with("sent a malformed datagram") && whats[1].starts_with("sent to an unknown destination")
    );
    assert!(whats[2].starts_with("sent an empty datagram") && whats.len() == 3, "{whats:?}");
    assert_eq!((lan.events.times("print 0000"), lan.events.times("print 0001")), (vec![at(502)], vec![]));
}

#[test]
fn no_station_floods_the_record_with_complaints() {
    let script = |id, _, _| {
        let nonsense = (0..100).map(|n| (at(500 + n), Deed::Send("[]".to_owned())));
        if id == ALL[0] { nonsense.collect() } else { vec![] }
    };
    let record = play(&scenario(""), script).record;
    assert_eq!((record.malformed, record.complaints.len()), (100, 11));
    assert_eq!(record.complaints[10].what, "further complaints about this replica are only counted");
}

#[test]
fn a_station_that_exits_has_died_after_its_last_words_and_has_no_power() {
    let script = |id, _, _| match id {
        ReplicaId(2) => vec![
            (at(1_500), Deed::Print("I quit")),
            (at(1_500), Deed::Send(datagram(id, "0000", "bye", ""))),
            (at(1_500), Deed::Exit("exit status 1\u{7}")),
        ],
        _ => vec![],
    };
    let lan = play(&scenario(""), script);
    let order: Vec<&str> = lan.events.0.iter().map(|(_, shown)| shown.as_str()).collect();
    let place = |outline| order.iter().position(|shown| *shown == outline).expect("it happened");
    let places = ["send 0002", "print 0002", "end 0002", "complaint 0002"]
        .map(|outline| order.iter().rposition(|shown| *shown == outline).expect("it happened"));
    assert!(places.is_sorted() && place("deliver 0002 -> 0000") > places[2], "{places:?}");
    assert_eq!((lan.record.died, lan.are_off), (1, vec![false, false, true]));
    assert_eq!(lan.record.complaints[0].what, "quit unexpectedly (exit status 1\\u{7})");
}

#[test]
fn a_run_ends_early_if_all_stations_have_died() {
    let record = play(&scenario(""), |_, _, _| vec![(at(1_500), Deed::Exit("done"))]).record;
    assert_eq!((record.died, record.end), (3, at(1_500)));
}

#[test]
fn a_station_that_does_not_start_again_has_died() {
    let scenario =
        with_events(r#"{"type": "crash", "time": 1, "replica": 1}, {"type": "restart", "time": 2, "replica": 1}"#);
    let record = simulate_stations(&scenario, 7, (), |boot| match boot.incarnation {
        0 => Ok(Scripted::new(boot.identity.id, boot.now, Vec::new())),
        _ => Err(Exit("no such file".into())),
    });
    assert_eq!((record.died, record.living.len()), (1, 2));
    assert_eq!(record.complaints[0].what, "did not start again (no such file)");
}

#[test]
fn a_station_that_does_what_cannot_be_simulated_ends_the_run_after_its_last_words() {
    let script = |id, _, _| {
        let deeds = vec![(at(4_000), Deed::Print("hm")), (at(4_000), Deed::Hit("opens a TCP socket"))];
        if id == ALL[1] { deeds } else { vec![] }
    };
    let scenario = scenario("");
    let lan = play(&scenario, script);
    let expected = Obstacle { time: at(4_000), replica: ALL[1], what: "opens a TCP socket".to_owned() };
    assert_eq!((lan.record.obstacle.clone(), lan.record.end), (Some(expected), at(4_000)));
    assert_eq!(lan.events.0.last(), Some(&(at(4_000), "print 0001".to_owned())), "its last words are there");
}

#[test]
fn a_packet_storm_ends_a_run() {
    let stormy = Scenario { max_packets: 50, ..scenario("") };
    let record = play(&stormy, |id, _, _| pinging(id, at(1_000), 200)).record;
    assert_eq!((record.packet_storm, record.sent, record.end), (true, 50, at(1_049)));
}

#[test]
fn a_scenario_with_faults_of_disks_is_refused_before_the_run() {
    let scenario = with_events(r#"{"type": "full_disk", "time": 2, "replica": 1}"#);
    let refused = crate::world::catch_quietly(|| play(&scenario, nothing).record).unwrap_err();
    assert!(refused.starts_with("s: `full_disk` happens in the virtual world only"), "{refused}");
}

/// A watcher sees lines and complaints, too.
#[test]
fn what_stations_print_is_an_event_for_watchers_with_its_words() {
    struct Lines(Vec<String>);
    impl Watcher for Lines {}
    impl<M: Machine> Observer<M> for Lines {
        fn event(&mut self, _: &Scene<'_, M>, event: &Event<'_, M::Message>) {
            if let Event::Printed { line, .. } = event.without_message() {
                self.0.push(line.to_owned());
            }
        }
    }
    let (scenario, mut lines) = (scenario(""), Lines(Vec::new()));
    simulate_stations(&scenario, 7, &mut lines, |boot| {
        let id = boot.identity.id;
        let deeds = vec![(at(1), Deed::Print("one")), (at(1), Deed::Print("two"))];
        Ok(Scripted::new(id, boot.now, if id == ALL[1] { deeds } else { vec![] }))
    });
    assert_eq!(lines.0, ["one", "two"]);
    assert_eq!(address(ALL[1]).to_string(), "0001");
}
