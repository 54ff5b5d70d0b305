use super::*;
use crate::record::Outage;
use crate::time::Span;
use crate::workload::Workload;

const SCENARIO: &str = r#"{"lifetime": 5, "replicas": 3, "requests": 50, "mix": 0.5, "wait": 1, "end_wait": 1,
    "events": [{"type": "kill", "time": 2, "replica": 2}],
    "tests": {"maximum_get_generation_fail_fraction": 1, "maximum_appends_batched_fraction": 1, "benchmarks": {
        "total_msgs": [1, 2, 3], "failures": [1, 2, 3], "duplicates": [1, 2, 3], "median_latency": [1, 2, 3]}}}"#;

/// Records all effects of the LAN.
#[derive(Default)]
struct Notes {
    sent: Vec<(ReplicaId, String)>,
    acts: Vec<(ReplicaId, Act)>,
    events: Vec<String>,
    complaints: Vec<String>,
}

impl Wires for Notes {
    fn send(&mut self, _now: Time, to: ReplicaId, bytes: &[u8]) {
        self.sent.push((to, String::from_utf8(bytes.to_vec()).expect("text")));
    }

    fn act(&mut self, _now: Time, replica: ReplicaId, act: Act) {
        self.acts.push((replica, act));
    }

    fn witness(&mut self, _now: Time, event: &Event<'_, &str>) {
        self.events.push(event.outline().to_string());
    }
}

impl Inspector for Notes {
    fn complain(&mut self, _now: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        self.complaints.push(format!("{about} {}", what()));
    }
}

fn scenario() -> Scenario {
    Scenario::parse("lan", "lan.json", SCENARIO).expect("a scenario").scenario
}

fn at(millis: u64) -> Time {
    Time::ZERO + Span::from_millis(millis)
}

const ALL: [ReplicaId; 3] = [ReplicaId(0), ReplicaId(1), ReplicaId(2)];

fn datagram(src: &str, dst: &str, kind: &str, rest: &str) -> String {
    format!(r#"{{"src":"{src}","dst":"{dst}","leader":"0000","type":"{kind}"{rest}}}"#)
}

/// A LAN on which all replicas have sent hello.
fn greeted(scenario: &Scenario) -> (Lan<'_>, Notes) {
    let (mut lan, mut notes) = (Lan::new(scenario, 1), Notes::default());
    for replica in ALL {
        let hello = datagram(&replica.to_string(), "FFFF", "hello", "");
        lan.handle_datagram(at(1), replica, hello.as_bytes(), &mut notes);
    }
    (lan, notes)
}

#[test]
fn messages_go_to_their_destination_and_are_counted() {
    let scenario = scenario();
    let (mut lan, mut notes) = greeted(&scenario);
    let (one, all) = (datagram("0000", "0001", "x", ""), datagram("0000", "FFFF", "y", ""));
    lan.handle_datagram(at(2), ALL[0], one.as_bytes(), &mut notes);
    lan.handle_datagram(at(3), ALL[0], all.as_bytes(), &mut notes);
    assert_eq!(notes.sent, [(ALL[1], one), (ALL[1], all.clone()), (ALL[2], all)]);
    let record = lan.finish(World::Live, at(9));
    assert_eq!((record.sent, record.died, record.malformed, notes.complaints), (3, 0, 0, vec![]));
}

/// For each of 200 messages on a LAN that damages this share of them, the number of bits in which the delivered message
/// differs. Also returns how many of them count as dropped.
fn flipped_bits(share: f64) -> (Vec<u32>, u64) {
    #[derive(Default)]
    struct Bytes(Vec<Vec<u8>>, Vec<String>);
    impl Inspector for Bytes {}
    impl Wires for Bytes {
        fn send(&mut self, _now: Time, _to: ReplicaId, bytes: &[u8]) {
            self.0.push(bytes.to_vec());
        }

        fn act(&mut self, _now: Time, _replica: ReplicaId, _act: Act) {}

        fn witness(&mut self, _now: Time, event: &Event<'_, &str>) {
            self.1.push(event.to_string());
        }
    }
    let mut scenario = scenario();
    scenario.damage = share;
    let (mut lan, _) = greeted(&scenario);
    let mut wires = Bytes::default();
    let message = datagram("0000", "0001", "x", r#","MID":"1","n":7"#);
    for _ in 0..200 {
        lan.handle_datagram(at(2), ALL[0], message.as_bytes(), &mut wires);
    }
    let differs = |sent: &Vec<u8>| -> u32 {
        assert_eq!(sent.len(), message.len());
        sent.iter().zip(message.as_bytes()).map(|(sent, meant)| (sent ^ meant).count_ones()).sum()
    };
    let bits: Vec<u32> = wires.0.iter().map(differs).collect();
    let damaged = wires.1.iter().filter(|event| event.starts_with("damage 0000 -> 0001: \"{")).count() as u64;
    let record = lan.finish(World::Live, at(9));
    assert_eq!((record.sent, record.dropped, record.malformed), (200, damaged, 0));
    (bits, damaged)
}

#[test]
fn a_share_of_the_messages_between_replicas_is_delivered_with_one_bit_flipped() {
    assert_eq!(flipped_bits(0.0), (vec![0; 200], 0));
    assert_eq!(flipped_bits(1.0), (vec![1; 200], 200));
    let (bits, damaged) = flipped_bits(0.3);
    assert!(bits.len() == 200 && bits.iter().sum::<u32>() as u64 == damaged, "{bits:?}");
    // Five standard deviations: 32.
    assert!(damaged.abs_diff(60) < 32, "{damaged}");
    assert_eq!(flipped_bits(0.3), (bits, damaged), "the same seed damages the same messages");
}

#[test]
fn messages_of_clients_are_never_damaged() {
    let mut scenario = scenario();
    scenario.damage = 1.0;
    let (mut lan, mut notes) = greeted(&scenario);
    lan.handle_due(at(1_900), &mut notes);
    let asked: Vec<String> = notes.sent.drain(..).map(|(_, text)| text).collect();
    assert!(asked.len() > 5 && asked.iter().all(|text| text.contains(r#""type":"put""#)), "{asked:?}");
    let answer = |text: &String| {
        let datagram = Datagram::parse(text.as_bytes()).expect("a request");
        let (own, client) = (datagram.dst.to_string(), datagram.src.to_string());
        let mid = datagram.mid.expect("a MID").into_owned();
        let place = ReplicaId(datagram.dst.0 as u8);
        (place, self::datagram(&own, &client, "ok", &format!(r#","MID":"{mid}""#)))
    };
    for (from, text) in asked.iter().map(answer) {
        lan.handle_datagram(at(1_950), from, text.as_bytes(), &mut notes);
    }
    assert_eq!(notes.complaints, [""; 0]);
    let record = lan.finish(World::Live, at(2_000));
    assert_eq!((record.malformed, record.history.incorrect_gets), (0, 0));
    assert_eq!(record.history.attempts.len(), asked.len());
}

#[test]
fn a_message_to_a_replica_before_its_hello_counts_it_as_died_and_it_hears_its_peers_later() {
    let scenario = scenario();
    let (mut lan, mut notes) = (Lan::new(&scenario, 1), Notes::default());
    let hello = |replica: ReplicaId| datagram(&replica.to_string(), "FFFF", "hello", "");
    lan.handle_datagram(at(1), ALL[0], hello(ALL[0]).as_bytes(), &mut notes);
    lan.handle_datagram(at(1), ALL[2], hello(ALL[2]).as_bytes(), &mut notes);
    let early = datagram("0000", "FFFF", "ping", "");
    lan.handle_datagram(at(2), ALL[0], early.as_bytes(), &mut notes);
    assert_eq!(notes.sent, [(ALL[2], early.clone())]);
    assert_eq!(notes.acts, [], "it runs on");
    lan.handle_datagram(at(3), ALL[1], hello(ALL[1]).as_bytes(), &mut notes);
    lan.handle_datagram(at(4), ALL[0], early.as_bytes(), &mut notes);
    assert_eq!(notes.sent[1..], [(ALL[1], early.clone()), (ALL[2], early)]);
    let expected = "0001 was sent a message of replica 0000 before it said hello: the course's runner takes it off the list \
                    of living replicas, and it counts as died";
    assert_eq!(notes.complaints, [expected]);
    // Clients no longer ask it.
    notes.sent.clear();
    lan.handle_due(at(6_000), &mut notes);
    assert!(notes.sent.len() > 20 && notes.sent.iter().all(|(to, _)| *to == ALL[0]), "{:?}", notes.sent);
    assert_eq!(lan.finish(World::Live, at(7_000)).died, 1);
}

#[test]
fn an_empty_datagram_or_bytes_that_are_not_text_close_the_replica() {
    for bytes in [&b""[..], b"{\"n\": \"\xe9\"}"] {
        let scenario = scenario();
        let (mut lan, mut notes) = greeted(&scenario);
        lan.handle_datagram(at(2), ALL[1], bytes, &mut notes);
        assert_eq!(notes.acts, [(ALL[1], Act::Kill)]);
        let end = if bytes.is_empty() { "counts as died" } else { "counts as died: {\"n\": \"\u{FFFD}\"}" };
        assert!(notes.complaints[0].ends_with(end), "{:?}", notes.complaints);
        let more = datagram("0001", "0000", "x", "");
        lan.handle_datagram(at(3), ALL[1], more.as_bytes(), &mut notes);
        lan.note_end(at(4), ALL[1]);
        let record = lan.finish(World::Live, at(9));
        assert_eq!((record.died, record.malformed, record.sent), (1, 0, 0), "it is heard no more, and died once");
    }
}

#[test]
fn json_that_only_python_accepts_is_routed_unchanged_with_one_warning_and_anything_else_is_incorrect() {
    let scenario = scenario();
    let (mut lan, mut notes) = greeted(&scenario);
    let odd =
        [r#","age":Infinity"#, r#","type":"x""#, r#","note":"\ud800""#].map(|rest| datagram("0000", "0001", "x", rest));
    for bytes in &odd {
        lan.handle_datagram(at(2), ALL[0], bytes.as_bytes(), &mut notes);
    }
    assert_eq!(notes.sent, odd.map(|bytes| (ALL[1], bytes)));
    assert_eq!(notes.complaints.len(), 1);
    assert!(notes.complaints[0].starts_with("0000 sends JSON that only Python accepts (NaN or Infinity): "));
    for bytes in [
        "\u{feff}{}",
        "[]",
        "{",
        r#"{"src":"0000","dst":"0001","leader":"FFFF"}"#,
        r#"{"src":"000","dst":"0001","leader":"FFFF","type":"x"}"#,
        &datagram("0000", "0003", "x", ""),
        &datagram("0000", "0012", "maybe", r#","MID":"1""#),
        &datagram("0000", "0013", "ok", ""),
    ] {
        let before = lan.stage.malformed;
        lan.handle_datagram(at(3), ALL[0], bytes.as_bytes(), &mut notes);
        assert_eq!(lan.stage.malformed, before + 1, "{bytes}");
    }
    let record = lan.finish(World::Live, at(9));
    assert_eq!((record.malformed, record.died, notes.sent.len()), (8, 0, 3));
}

#[test]
fn another_src_is_only_a_warning() {
    let scenario = scenario();
    let (mut lan, mut notes) = greeted(&scenario);
    for _ in 0..3 {
        let wrong = datagram("FFFF", "0001", "ping", "");
        lan.handle_datagram(at(2), ALL[0], wrong.as_bytes(), &mut notes);
    }
    assert_eq!((notes.sent.len(), notes.complaints.len()), (3, 1));
    assert!(notes.complaints[0].starts_with("0000 sends a src that is not its own"), "{:?}", notes.complaints);
    assert_eq!(lan.finish(World::Live, at(9)).malformed, 0);
}

#[test]
fn a_type_or_mid_that_is_not_a_string_is_delivered_to_peers_and_is_not_an_answer() {
    let scenario = scenario();
    let (mut lan, mut notes) = (Lan::new(&scenario, 1), Notes::default());
    for replica in ALL {
        let hello = datagram(&replica.to_string(), "FFFF", "hello", r#","MID":17"#);
        lan.handle_datagram(at(1), replica, hello.as_bytes(), &mut notes);
    }
    let odd = r#"{"src":"0000","dst":"0001","leader":"0000","type":7,"MID":[1]}"#;
    lan.handle_datagram(at(2), ALL[0], odd.as_bytes(), &mut notes);
    assert_eq!((notes.sent.clone(), notes.complaints.clone()), (vec![(ALL[1], odd.to_owned())], vec![]));
    lan.handle_datagram(at(3), ALL[0], datagram("0000", "0013", "ok", r#","MID":17"#).as_bytes(), &mut notes);
    let record = lan.finish(World::Live, at(9));
    assert_eq!((record.died, record.malformed, record.history.unknown), (0, 0, 1));
}

#[test]
fn a_destination_in_lower_case_is_unknown_and_a_dropped_message_counts_no_replica_as_died() {
    let scenario = scenario();
    let (mut lan, mut notes) = greeted(&scenario);
    for bytes in [datagram("0000", "ffff", "x", ""), datagram("0000", "001a", "ok", r#","MID":"1""#)] {
        lan.handle_datagram(at(2), ALL[0], bytes.as_bytes(), &mut notes);
    }
    assert_eq!((notes.sent.len(), notes.complaints.len(), lan.stage.malformed), (0, 2, 2));
    assert!(notes.complaints[0].contains("in lower case"), "{:?}", notes.complaints);
    let deaf =
        Scenario { matrix: crate::chaos::ConnectivityMatrix::uniform(3, 1.0).expect("a matrix"), ..scenario.clone() };
    let mut lan = Lan::new(&deaf, 1);
    lan.handle_datagram(at(1), ALL[0], datagram("0000", "0001", "ping", "").as_bytes(), &mut notes);
    let record = lan.finish(World::Live, at(9));
    assert_eq!((record.sent, record.dropped, record.died), (1, 1, 0));
}

#[test]
fn faults_kill_and_the_dead_are_neither_heard_nor_asked() {
    let scenario = scenario();
    let (mut lan, mut notes) = greeted(&scenario);
    assert_eq!(lan.poll_due(), at(1_000));
    lan.handle_due(at(3_000), &mut notes);
    assert_eq!(notes.acts, [(ALL[2], Act::Kill)]);
    notes.sent.clear();
    let late = datagram("0002", "0000", "x", "");
    lan.handle_datagram(at(3_001), ALL[2], late.as_bytes(), &mut notes);
    lan.handle_datagram(at(3_002), ALL[0], datagram("0000", "0002", "x", "").as_bytes(), &mut notes);
    assert_eq!(notes.sent, []);
    lan.handle_due(at(6_000), &mut notes);
    assert!(notes.sent.iter().all(|(to, _)| *to != ALL[2]));
    let record = lan.finish(World::Live, at(7_000));
    assert_eq!((record.killed, record.died, record.sent), (1, 0, 1));
}

/// The same scenario with these events.
fn with_events(events: &str) -> Scenario {
    let kill = r#"{"type": "kill", "time": 2, "replica": 2}"#;
    Scenario::parse("lan", "lan.json", &SCENARIO.replace(kill, events)).expect("a scenario").scenario
}

/// Sends a message from replica 0 to this replica.
fn ping(lan: &mut Lan<'_>, notes: &mut Notes, now: Time, to: ReplicaId) {
    lan.handle_datagram(now, ALL[0], datagram("0000", &to.to_string(), "ping", "").as_bytes(), notes);
}

fn hello(lan: &mut Lan<'_>, notes: &mut Notes, now: Time, from: ReplicaId) {
    lan.handle_datagram(now, from, datagram(&from.to_string(), "FFFF", "hello", "").as_bytes(), notes);
}

const CRASH: &str = r#"{"type": "crash", "time": 1, "replica": 2}, {"type": "restart", "time": 2}"#;

#[test]
fn messages_to_a_crashed_replica_are_lost_until_its_next_hello_and_do_not_count_it_as_died() {
    let scenario = with_events(CRASH);
    let (mut lan, mut notes) = greeted(&scenario);
    lan.handle_due(at(2_000), &mut notes);
    assert_eq!(notes.acts, [(ALL[2], Act::Crash)]);
    (notes.sent, notes.events) = (Vec::new(), Vec::new());
    ping(&mut lan, &mut notes, at(2_001), ALL[2]);
    lan.handle_datagram(at(2_002), ALL[2], datagram("0002", "0000", "late", "").as_bytes(), &mut notes);
    assert_eq!((&notes.sent[..], &notes.events[..]), (&[][..], &["lost -> 0002".to_owned()][..]));

    // No more requests, because some of them would go to it.
    notes.events.clear();
    lan.stage.workload = Workload::new(Scenario { requests: 0, ..scenario.clone() }.plan(), 1);
    lan.handle_due(at(3_000), &mut notes);
    assert_eq!(notes.acts[1..], [(ALL[2], Act::Restart { wipe: false })]);
    ping(&mut lan, &mut notes, at(3_050), ALL[2]);
    assert_eq!(
        (&notes.sent[..], &notes.events[1..]),
        (&[][..], &["start 0002".to_owned(), "lost -> 0002".to_owned()][..])
    );
    hello(&mut lan, &mut notes, at(3_100), ALL[2]);
    ping(&mut lan, &mut notes, at(3_200), ALL[2]);
    assert_eq!(notes.sent, [(ALL[2], datagram("0000", "0002", "ping", ""))]);
    assert_eq!(notes.complaints, [""; 0]);
    let record = lan.finish(World::Live, at(9_000));
    assert_eq!((record.died, record.killed, record.sent, record.living.len(), record.able.len()), (0, 0, 3, 3, 3));
    let outage = Outage { replica: ALL[2], from: at(2_000), until: at(3_100) };
    assert_eq!(record.outages, [outage], "it lasts until the hello");
}

#[test]
fn a_restarted_replica_that_stays_silent_gets_one_complaint_and_remains_out_of_reach() {
    let scenario = with_events(CRASH);
    let (mut lan, mut notes) = greeted(&scenario);
    lan.handle_due(at(3_000), &mut notes);
    lan.note_silence(at(3_999), &mut notes);
    assert_eq!(notes.complaints, [""; 0]);
    lan.note_silence(at(4_000), &mut notes);
    lan.note_silence(at(5_000), &mut notes);
    assert_eq!(notes.complaints, ["0002 has not said hello yet: whatever is sent to it before is lost"]);
    let record = lan.finish(World::Live, at(7_000));
    assert_eq!((record.died, record.outages[0].until), (0, Time::NEVER));
}

#[test]
fn a_paused_replica_is_sent_everything_and_its_silence_causes_no_complaint() {
    let scenario = with_events(r#"{"type": "pause", "time": 0, "replica": 2}, {"type": "resume", "time": 3}"#);
    let (mut lan, mut notes) = greeted(&scenario);
    lan.handle_due(at(1_000), &mut notes);
    ping(&mut lan, &mut notes, at(2_000), ALL[2]);
    assert_eq!(notes.acts, [(ALL[2], Act::Pause)]);
    assert_eq!(notes.sent.last(), Some(&(ALL[2], datagram("0000", "0002", "ping", ""))));

    // The same before its hello.
    let (mut lan, mut notes) = (Lan::new(&scenario, 1), Notes::default());
    hello(&mut lan, &mut notes, at(1), ALL[0]);
    hello(&mut lan, &mut notes, at(1), ALL[1]);
    lan.handle_due(at(1_000), &mut notes);
    ping(&mut lan, &mut notes, at(2_000), ALL[2]);
    lan.note_silence(at(3_999), &mut notes);
    lan.handle_due(at(4_000), &mut notes);
    lan.note_silence(at(4_100), &mut notes);
    hello(&mut lan, &mut notes, at(4_200), ALL[2]);
    ping(&mut lan, &mut notes, at(4_300), ALL[2]);
    assert_eq!(notes.acts, [(ALL[2], Act::Pause), (ALL[2], Act::Resume)]);
    assert!(notes.sent.contains(&(ALL[2], datagram("0000", "0002", "ping", ""))), "{:?}", notes.sent);
    assert_eq!((notes.complaints, lan.finish(World::Live, at(7_000)).died), (vec![], 0));
}

#[test]
fn a_replica_that_ended_by_itself_can_be_restarted_but_still_counts_as_died() {
    let scenario = with_events(r#"{"type": "restart", "time": 2}"#);
    let (mut lan, mut notes) = greeted(&scenario);
    ALL.into_iter().for_each(|replica| lan.note_end(at(500), replica));
    assert!(!lan.is_over(at(600)), "a restart is to come");
    lan.handle_due(at(3_000), &mut notes);
    assert_eq!(notes.acts, ALL.map(|replica| (replica, Act::Restart { wipe: false })));
    ALL.into_iter().for_each(|replica| hello(&mut lan, &mut notes, at(3_100), replica));
    ping(&mut lan, &mut notes, at(3_200), ALL[1]);
    assert!(notes.sent.iter().any(|(to, text)| *to == ALL[1] && text.contains("ping")));
    lan.note_end(at(4_000), ALL[1]);
    let record = lan.finish(World::Live, at(7_000));
    assert_eq!((record.died, record.living.len(), record.outages.len()), (4, 2, 4), "{:?}", record.outages);
}

#[test]
fn the_complaint_about_an_incorrect_answer_names_the_runners_rule() {
    let scenario = scenario();
    let (mut lan, mut notes) = greeted(&scenario);
    lan.handle_due(at(1_000), &mut notes);
    let (to, request) = notes.sent.pop().expect("a request");
    let request = Datagram::parse(request.as_bytes()).expect("a datagram");
    let (client, mid) = (request.src.to_string(), request.mid.as_deref().expect("a MID").to_owned());
    let own = to.to_string();
    let mut answer = |kind: &str, mid: &str| {
        let bytes = datagram(&own, &client, kind, &format!(r#","MID":"{mid}""#));
        lan.handle_datagram(at(1_001), to, bytes.as_bytes(), &mut notes);
    };
    answer("redirect", &mid);
    answer("ok", &mid);
    answer("ok", "never");
    assert_eq!(
        notes.complaints,
        [
            format!(
                "{to} incorrect answer to client {client}, MID {mid}, no value: this MID was answered `redirect` or \
                 `fail` before"
            ),
            format!(
                "{to} incorrect answer to client {client}, MID never, no value: the client sent no request with this MID"
            ),
        ]
    );
    assert_eq!(lan.finish(World::Live, at(9)).history.unknown, 2);
}
