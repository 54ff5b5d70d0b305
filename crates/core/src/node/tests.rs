//! A node, datagram by datagram.

use std::collections::BTreeSet;

use super::*;
use crate::broadcast::Broadcast;
use crate::id::ReplicaId;
use crate::machine::Effect;
use crate::replica::{Config, Replica};
use crate::time::Span;

fn node<P>(own: u16, others: &[u16], start: impl FnOnce(Identity) -> P) -> Node<P>
where
    P: Service<Message: PeerMessage> + fmt::Display,
{
    let others: Vec<Address> = others.iter().copied().map(Address).collect();
    Node::new(Members::new(Address(own), &others).unwrap(), 7, start)
}

fn replica(own: u16, others: &[u16]) -> Node<Replica> {
    node(own, others, |identity| Replica::new(identity, Config::default()).unwrap())
}

/// A node that answers at once, without its hello.
fn broadcast() -> Node<Broadcast> {
    let mut node = node(1, &[0, 2], Broadcast::new);
    node.outgoing().clear();
    node
}

/// Takes the datagrams to send.
fn take<P>(node: &mut Node<P>) -> Vec<String>
where
    P: Service<Message: PeerMessage> + fmt::Display,
{
    let sent = node.outgoing().iter().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect();
    node.outgoing().clear();
    sent
}

/// The node's datagrams in answer to a client's datagram with this type and these further keys.
fn ask<P>(node: &mut Node<P>, rest: &str) -> Vec<String>
where
    P: Service<Message: PeerMessage> + fmt::Display,
{
    let text = format!(r#"{{"src":"001A","dst":"0001","leader":"FFFF","type":{rest}}}"#);
    node.handle_datagram(Time::ZERO, text.as_bytes());
    take(node)
}

/// A datagram from replica to replica, with its checksum.
fn message(link: [u16; 2], mid: &str, kind: &str, body: &str) -> String {
    let [src, dst] = link.map(Address);
    let body: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body).unwrap();
    let mut out = Datagrams::new();
    out.push(&Envelope { src, dst, leader: Address::BROADCAST, mid }, kind, &body);
    let written = out.iter().next().unwrap();
    String::from_utf8(written.to_vec()).unwrap()
}

#[test]
fn a_node_starts_with_a_hello() {
    let mut node = replica(0xF29A, &[0x0AA1]);
    assert_eq!(take(&mut node), [r#"{"src":"F29A","dst":"FFFF","leader":"FFFF","type":"hello","MID":"1"}"#]);
}

#[test]
fn a_mid_is_answered_as_it_came() {
    let longest = "m".repeat(MID_BYTES_MAX);
    for (came, answered) in [
        ("4D61ACF83027", "4D61ACF83027"),
        ("", ""),
        (r#"a \"quote\"\n"#, r#"a \"quote\"\n"#),
        ("é\u{1F600}", "é\u{1F600}"),
        (r"\u00e9\ud83d\ude00", "é\u{1F600}"),
        (&longest, &longest),
    ] {
        let mut node = broadcast();
        let answers = ask(&mut node, &format!(r#""get","MID":"{came}","key":"k""#));
        let answer =
            format!(r#"{{"src":"0001","dst":"001A","leader":"FFFF","type":"ok","MID":"{answered}","value":""}}"#);
        assert_eq!(answers, [answer]);
    }
}

#[test]
fn requests_are_told_apart_by_client_and_mid() {
    let node = broadcast();
    let mids = ["1", "2", "01", "1 "].map(|mid| node.mid_of(mid));
    assert!((1..mids.len()).all(|place| !mids[..place].contains(&mids[place])), "{mids:?}");
    let mut other = node;
    other.seed = 8;
    assert_ne!(mids[0], other.mid_of("1"));
}

#[test]
fn mids_that_differ_in_a_letter_or_two_are_all_answered() {
    let digits = "0123456789ABCDEF";
    for seed in [0, 1, 7, 1 << 40, u64::MAX] {
        let members = Members::new(Address(1), &[Address(2)]).unwrap();
        let mut node = Node::new(members, seed, |identity| Replica::new(identity, Config::default()).unwrap());
        let texts = digits.chars().flat_map(|a| digits.chars().map(move |b| format!("4D61ACF{a}302{b}")));
        let texts: BTreeSet<String> = texts.collect();
        let numbers: BTreeSet<Mid> = texts.iter().map(|text| node.mid_of(text)).collect();
        assert_eq!((texts.len(), numbers.len()), (256, 256), "seed {seed}");
        for text in &texts {
            let rest = format!(r#""get","MID":"{text}","key":"k"}}"#);
            let request = r#"{"src":"001A","dst":"0001","leader":"FFFF","type":"#.to_owned() + &rest;
            node.handle_datagram(Time::ZERO, request.as_bytes());
        }
        // No leader is ever elected, so each gets a `fail` in the end.
        let mut answered = BTreeSet::new();
        while node.poll_timeout() < Time::ZERO + Span::from_secs(60) {
            node.handle_timeout(node.poll_timeout());
            for text in take(&mut node) {
                let datagram = Datagram::parse(text.as_bytes()).unwrap();
                if datagram.response().is_some() {
                    assert!(answered.insert(datagram.mid.unwrap().into_owned()));
                }
            }
        }
        assert_eq!(answered, texts, "seed {seed}");
    }
}

#[test]
fn a_hello_can_be_said_again() {
    let mut node = replica(0xF29A, &[0x0AA1]);
    take(&mut node);
    node.say_hello();
    assert_eq!(take(&mut node), [r#"{"src":"F29A","dst":"FFFF","leader":"FFFF","type":"hello","MID":"2"}"#]);
}

#[test]
fn datagrams_to_replicas_have_names_of_their_own() {
    let mut node = broadcast();
    let sent = ask(&mut node, r#""put","MID":"x","key":"k","value":"v""#);
    let copy = |to, mid| message([1, to], mid, "copy", r#"{"key":"k","value":"v"}"#);
    let answer = r#"{"src":"0001","dst":"001A","leader":"FFFF","type":"ok","MID":"x"}"#.to_owned();
    assert_eq!(sent, [copy(0, "2"), copy(2, "3"), answer]);
}

#[test]
fn a_put_too_large_for_a_datagram_is_counted_and_ignored() {
    let put = |value: &str| format!(r#""put","MID":"x","key":"k","value":"{value}""#);
    let mut node = broadcast();
    // 64 KiB, the smallest value that is too large, and a short string that grows as JSON.
    for value in ["v".repeat(1 << 16), "v".repeat(PUT_BYTES_MAX), r"\u0001".repeat(PUT_BYTES_MAX / 6 + 1)] {
        assert_eq!(ask(&mut node, &put(&value)), [""; 0]);
    }
    assert_eq!(node.ignored().oversized, 3);
    for value in ["v".repeat(PUT_BYTES_MAX - 1), r"\u0001".repeat(PUT_BYTES_MAX / 6 - 1)] {
        let sent = ask(&mut node, &put(&value));
        assert_eq!(sent.len(), 3);
        assert!(sent.iter().all(|text| text.len() <= DATAGRAM_BYTES_MAX));
    }
}

#[test]
fn an_answer_too_large_for_a_datagram_is_a_failure() {
    let mut node = broadcast();
    let value = "v".repeat(DATAGRAM_BYTES_MAX);
    let copy = message([0, 1], "1", "copy", &format!(r#"{{"key":"k","value":"{value}"}}"#));
    node.handle_datagram(Time::ZERO, copy.as_bytes());
    let answers = ask(&mut node, r#""get","MID":"x","key":"k""#);
    assert_eq!(answers, [r#"{"src":"0001","dst":"001A","leader":"FFFF","type":"fail","MID":"x"}"#]);
}

/// How long a datagram is if a router re-encodes it as Python's `json.dumps` does: all in ASCII and with spaces.
fn bytes_in_ascii(datagram: &str) -> usize {
    let bytes = datagram.chars().map(|c| match c {
        ',' | ':' => 2,
        '\u{7f}'..'\u{10000}' => 6,
        '\u{10000}'.. => 12,
        _ => 1,
    });
    bytes.sum()
}

#[test]
fn text_fits_in_datagrams_also_if_a_router_escapes_it() {
    const UDP_BYTES_MAX: usize = 65_507;
    assert_eq!(bytes_in_ascii("{\"a\":\"é\u{1F600}\",\"b\":1}"), r#"{"a": "\u00e9\ud83d\ude00", "b": 1}"#.len());
    for letter in ["é", "\u{7f}", "\u{FFFD}", "\u{1F600}", "\\u0001", "v"] {
        // Of each put, and of what may be asked next to each other in a batch.
        let size = text_bytes(&serde_json::from_str::<String>(&format!("\"{letter}\"")).unwrap());
        for (length, puts) in [((PUT_BYTES_MAX - 1) / size, 1), (10_000 / size, 12), (10, 3_000)] {
            let mut pair = Pair::elected();
            let leader = pair.leader();
            let value = letter.repeat(length);
            for number in 0..puts {
                pair.ask(leader, &format!(r#""put","MID":"{number}","key":"k","value":"{value}""#));
            }
            pair.settle();
            pair.ask(leader, &format!(r#""get","MID":"{}","key":"k""#, "é".repeat(MID_BYTES_MAX / 2)));
            pair.settle();
            assert_eq!(pair.answers.len(), puts + 1);
            assert!(pair.answers.iter().all(|answer| answer.contains(r#""type":"ok""#)));
            assert!(pair.longest_in_ascii <= UDP_BYTES_MAX, "{letter} {length}: {} bytes", pair.longest_in_ascii);
        }
        let mut node = replica(1, &[2]);
        node.outgoing().clear();
        let value = letter.repeat(PUT_BYTES_MAX / size);
        let answers = ask(&mut node, &format!(r#""put","MID":"x","key":"kkkkkkkkkkkkk","value":"{value}""#));
        assert_eq!((answers, node.ignored().oversized), (vec![], 1));
    }
}

#[test]
fn an_invalid_datagram_is_counted_and_changes_nothing() {
    let long_mid = format!(r#"{{"src":"001A","dst":"0001","leader":"FFFF","type":"get","MID":"{}"}}"#, "m".repeat(257));
    let intact = [("get", r#"{"key":"k"}"#), ("Probe", r#"{"t":-1}"#), ("Probe", r#"{"t":1}"#)];
    let intact = intact.map(|(kind, body)| message([0, 1], "x", kind, body));
    let [other_term, other_sender] =
        [(r#""t":1"#, r#""t":3"#), (r#""0000""#, r#""0002""#)].map(|(from, to)| intact[2].replacen(from, to, 1));
    let deep = format!(r#"{{"src":"0000","dst":"0001","leader":"FFFF","type":{}}}"#, "[".repeat(60_000));
    for (bytes, counted) in [
        (&b"\xff"[..], Ignored { malformed: 1, ..Ignored::default() }),
        (b"", Ignored { malformed: 1, ..Ignored::default() }),
        (b"[]", Ignored { malformed: 1, ..Ignored::default() }),
        (deep.as_bytes(), Ignored { malformed: 1, ..Ignored::default() }),
        (
            br#"{"src":"001A","dst":"0001","leader":"FFFF","type":"get","MID":7,"key":"k"}"#,
            Ignored { malformed: 1, ..Ignored::default() },
        ),
        (
            br#"{"src":"001A","dst":"0002","leader":"FFFF","type":"get","MID":"x","key":"k"}"#,
            Ignored { misdirected: 1, ..Ignored::default() },
        ),
        (
            br#"{"src":"0001","dst":"FFFF","leader":"FFFF","type":"hello","MID":"x"}"#,
            Ignored { own: 1, ..Ignored::default() },
        ),
        (
            br#"{"src":"0003","dst":"0001","leader":"FFFF","type":"Probe","MID":"x","t":1}"#,
            Ignored { strange: 1, ..Ignored::default() },
        ),
        (
            br#"{"src":"FFFF","dst":"0001","leader":"FFFF","type":"get","MID":"x","key":"k"}"#,
            Ignored { strange: 1, ..Ignored::default() },
        ),
        (intact[0].as_bytes(), Ignored { senseless: 1, ..Ignored::default() }),
        (intact[1].as_bytes(), Ignored { senseless: 1, ..Ignored::default() }),
        (
            br#"{"src":"0000","dst":"0001","leader":"FFFF","type":"get","MID":"x","key":"k"}"#,
            Ignored { damaged: 1, ..Ignored::default() },
        ),
        (
            br#"{"src":"0000","dst":"0001","leader":"FFFF","type":"Probe","MID":"x","t":1,"sum":1}"#,
            Ignored { damaged: 1, ..Ignored::default() },
        ),
        (other_term.as_bytes(), Ignored { damaged: 1, ..Ignored::default() }),
        (other_sender.as_bytes(), Ignored { damaged: 1, ..Ignored::default() }),
        (
            br#"{"src":"001A","dst":"0001","leader":"FFFF","type":"put","MID":"x","key":"k"}"#,
            Ignored { senseless: 1, ..Ignored::default() },
        ),
        (
            br#"{"src":"001A","dst":"0001","leader":"FFFF","type":"get","key":"k"}"#,
            Ignored { nameless: 1, ..Ignored::default() },
        ),
        (long_mid.as_bytes(), Ignored { nameless: 1, ..Ignored::default() }),
        (br#"{"src":"0002","dst":"FFFF","leader":"FFFF","type":"hello","MID":"x"}"#, Ignored::default()),
    ] {
        let mut node = replica(1, &[0, 2]);
        node.outgoing().clear();
        let (state, timeout) = (node.protocol().to_string(), node.poll_timeout());
        node.handle_datagram(Time::ZERO, bytes);
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(node.ignored(), counted, "{text}");
        assert_eq!(node.ignored().total(), u64::from(counted != Ignored::default()));
        assert!(node.outgoing().is_empty() && node.protocol().ignored() == 0, "{text}");
        assert_eq!((node.protocol().to_string(), node.poll_timeout()), (state, timeout), "{text}");
    }
}

#[test]
fn a_node_counts_damaged_datagrams_and_keeps_working() {
    let mut node = broadcast();
    let copy = message([0, 1], "1", "copy", r#"{"key":"k","value":"v"}"#);
    node.handle_datagram(Time::ZERO, copy.as_bytes());
    node.handle_datagram(Time::ZERO, copy.replace(r#""v""#, r#""w""#).as_bytes());
    assert_eq!(node.ignored(), Ignored { damaged: 1, ..Ignored::default() });
    assert!(node.ignored().to_string().contains("damaged 1, "), "{}", node.ignored());
    let answers = ask(&mut node, r#""get","MID":"x","key":"k""#);
    assert!(answers[0].ends_with(r#""value":"v"}"#), "{answers:?}");
}

#[test]
fn as_a_machine_it_sends_all_its_datagrams_to_the_router() {
    let mut node = replica(1, &[0, 2]);
    let mut out = Outbox::new();
    let mut sent = |node: &mut Node<Replica>, now, input| {
        Machine::handle(node, now, input, &mut out);
        let emissions = out.drain().map(|effect| match effect {
            Effect::Emit(Emission::Send { to, message }) => (to, String::from_utf8(message.into_vec()).unwrap()),
            other => panic!("{other:?}"),
        });
        emissions.collect::<Vec<_>>()
    };
    let own = ReplicaId(1);
    assert_eq!(Machine::poll_timeout(&node), Time::ZERO);
    let hello = r#"{"src":"0001","dst":"FFFF","leader":"FFFF","type":"hello","MID":"1"}"#;
    assert_eq!(sent(&mut node, Time::ZERO, Input::Timeout), [(own, hello.to_owned())]);
    assert!(node.outgoing().is_empty());
    let campaign = Machine::poll_timeout(&node);
    assert_eq!(campaign, node.poll_timeout());
    // The sender of the input does not matter: the datagram names the source.
    let message = br#"{"src":"0002","dst":"0001","leader":"FFFF","type":"hello","MID":"1"}"#.as_slice().into();
    assert_eq!(sent(&mut node, Time::ZERO, Input::Peer { from: own, message }), []);
    assert_eq!(node.ignored(), Ignored::default());
    let asked = sent(&mut node, campaign, Input::Timeout);
    assert!(asked.len() == 2 && asked.iter().all(|(to, _)| *to == own), "{asked:?}");
    for (other, (_, text)) in [0, 2].into_iter().zip(&asked) {
        assert_eq!(Datagram::parse(text.as_bytes()).unwrap().dst, Address(other));
    }
}

/// Two replicas, and the time. What they send each other arrives at once.
struct Pair {
    nodes: [Node<Replica>; 2],
    now: Time,
    answers: Vec<String>,
    /// The length of the longest datagram that was sent, if it is escaped.
    longest_in_ascii: usize,
}

impl Pair {
    fn elected() -> Pair {
        let nodes = [replica(1, &[2]), replica(2, &[1])];
        let mut pair = Pair { nodes, now: Time::ZERO, answers: Vec::new(), longest_in_ascii: 0 };
        while pair.nodes[0].leader() == Address::BROADCAST || pair.nodes[0].leader() != pair.nodes[1].leader() {
            pair.now = pair.nodes.iter().map(Node::poll_timeout).min().unwrap();
            pair.settle();
        }
        pair
    }

    fn leader(&self) -> usize {
        usize::from(self.nodes[0].leader().0) - 1
    }

    fn ask(&mut self, place: usize, rest: &str) {
        let text = format!(r#"{{"src":"001A","dst":"{:04X}","leader":"FFFF","type":{rest}}}"#, place + 1);
        self.nodes[place].handle_datagram(self.now, text.as_bytes());
    }

    /// Runs everything that is due by now.
    fn settle(&mut self) {
        loop {
            for node in &mut self.nodes {
                if node.poll_timeout() <= self.now {
                    node.handle_timeout(self.now);
                }
            }
            let sent: Vec<String> = self.nodes.iter_mut().flat_map(take).collect();
            if sent.is_empty() && self.nodes.iter().all(|node| node.poll_timeout() > self.now) {
                return;
            }
            for text in sent {
                self.longest_in_ascii = self.longest_in_ascii.max(bytes_in_ascii(&text));
                match Datagram::parse(text.as_bytes()).unwrap().dst {
                    Address(dst @ 1..=2) => self.nodes[usize::from(dst) - 1].handle_datagram(self.now, text.as_bytes()),
                    Address(0x1A) => self.answers.push(text),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn two_replicas_elect_a_leader_and_answer() {
    let mut pair = Pair::elected();
    let leader = pair.leader();
    pair.ask(leader, r#""put","MID":"a","key":"k","value":"v""#);
    pair.settle();
    pair.ask(leader, r#""get","MID":"b","key":"k""#);
    pair.settle();
    let own = format!("{:04X}", leader + 1);
    let answer = |rest| format!(r#"{{"src":"{own}","dst":"001A","leader":"{own}","type":{rest}}}"#);
    assert_eq!(pair.answers, [answer(r#""ok","MID":"a""#), answer(r#""ok","MID":"b","value":"v""#)]);
    assert_eq!(pair.nodes[leader].protocol().to_string(), "leader term 1 index 2 commit 2");
    assert_eq!(format!("{:#}", pair.nodes[1 - leader].protocol()), "follower term 1");
}

#[test]
fn a_follower_redirects_to_the_leader() {
    let mut pair = Pair::elected();
    let (leader, follower) = (pair.leader(), 1 - pair.leader());
    pair.ask(follower, r#""get","MID":"a","key":"k""#);
    while pair.answers.is_empty() {
        pair.settle();
        pair.now = pair.nodes.iter().map(Node::poll_timeout).min().unwrap();
    }
    let (own, leader) = (follower + 1, leader + 1);
    let answer = format!(r#"{{"src":"{own:04X}","dst":"001A","leader":"{leader:04X}","type":"redirect","MID":"a"}}"#);
    assert_eq!(pair.answers, [answer]);
}

#[test]
fn a_repeated_request_is_answered_once() {
    let mut pair = Pair::elected();
    for _ in 0..3 {
        pair.ask(pair.leader(), r#""put","MID":"a","key":"k","value":"v""#);
        pair.settle();
        pair.ask(pair.leader(), r#""put","MID":"a","key":"k","value":"v""#);
    }
    pair.settle();
    assert_eq!(pair.answers.len(), 1);
    assert_eq!(pair.nodes[pair.leader()].protocol().ignored(), 5);
}

#[test]
fn requests_that_come_together_share_an_append() {
    let mut pair = Pair::elected();
    let leader = pair.leader();
    for i in 0..10 {
        pair.ask(leader, &format!(r#""put","MID":"{i}","key":"k","value":"v{i}""#));
    }
    assert!(pair.nodes[leader].outgoing().is_empty());
    pair.nodes[leader].handle_timeout(pair.now);
    assert_eq!(pair.nodes[leader].outgoing().len(), 1);
    pair.settle();
    assert_eq!(pair.answers.len(), 10);
}
