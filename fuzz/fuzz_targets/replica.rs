//! Whatever comes in, and whenever, a replica neither panics nor sends anything that it should not.

#![no_main]

use std::collections::BTreeSet;
use std::sync::Arc;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use seedbed_core::kv::Command;
use seedbed::node::{Members, Node};
use seedbed::service::Operation;
use seedbed_core::raft::{AppendEntries, AppendOutcome, AppendReply, Entry, InstallSnapshot, Message, RequestVote, Vote};
use seedbed_core::replica::{Config, Replica};
use seedbed::time::{Span, Time};
use seedbed::wire::{Address, DATAGRAM_BYTES_MAX, Datagram, Datagrams, Envelope, PeerMessage};

/// The replica that is fuzzed, and its peers.
const OWN: Address = Address(1);
const PEERS: [Address; 2] = [Address(0), Address(2)];

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    Wait { micros: u32 },
    Raw(&'a [u8]),
    Peer { second: bool, numbers: [Number; 5], message: PeerStep<'a> },
    Request { client: u8, mid: u8, key: &'a str, value: Option<&'a str> },
}

#[derive(Debug, Arbitrary)]
enum PeerStep<'a> {
    RequestVote { pre: bool, handed_over: bool },
    Vote { granted: bool, pre: bool },
    Append { now: bool, entries: Vec<(Number, Option<(&'a str, &'a str)>)> },
    Reply { now: bool, outcome: u8 },
    Probe,
    TimeoutNow,
    Part { offset: u8, done: bool, puts: Vec<(&'a str, &'a str)> },
}

/// Mostly a number that might make sense.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Number {
    Small(u8),
    /// Near the replica's term, or the end of its log.
    Near(i8),
    Large(u8),
    Any(u64),
}

impl Number {
    fn value(self, near: u64) -> u64 {
        match self {
            Number::Near(difference) => near.saturating_add_signed(i64::from(difference % 4)),
            Number::Small(number) => u64::from(number % 8),
            Number::Large(number) => u64::MAX - u64::from(number % 8),
            Number::Any(number) => number,
        }
    }
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    // An odd number of steps finds a replica that drops what is applied as soon as it can.
    let log_bytes_max = if steps.len() % 2 == 1 { 1 } else { usize::MAX };
    let config = Config { log_bytes_max, ..Config::default() };
    let members = Members::new(OWN, &PEERS).unwrap();
    let mut node = Node::new(members, 7, |identity| Replica::new(identity, config).unwrap());
    node.outgoing().clear();
    let (mut now, mut asked, mut written) = (Time::ZERO, BTreeSet::new(), Datagrams::new());
    for step in steps {
        written.clear();
        match step {
            Step::Wait { micros } => now += Span::from_micros(u64::from(micros)),
            Step::Raw(bytes) => {
                if let Ok(Datagram { src, mid: Some(mid), .. }) = Datagram::parse(bytes) {
                    asked.insert((src, mid.into_owned()));
                }
                node.handle_datagram(now, bytes);
            }
            Step::Peer { second, numbers, message } => {
                let src = PEERS[usize::from(second)];
                let envelope = Envelope { src, dst: OWN, leader: Address::BROADCAST, mid: "1" };
                peer_message(now, &node, numbers, message).encode(&envelope, &mut written);
            }
            Step::Request { client, mid, key, value } => {
                let mid = mid.to_string();
                let src = Address(0x100 + u16::from(client));
                let envelope = Envelope { src, dst: OWN, leader: Address::BROADCAST, mid: &mid };
                let operation = match value {
                    None => Operation::Get { key: key.into() },
                    Some(value) => Operation::Put { key: key.into(), value: value.into() },
                };
                written.push_operation(&envelope, &operation);
                asked.insert((src, mid));
            }
        }
        for bytes in written.iter() {
            node.handle_datagram(now, bytes);
        }
        for turn in 0.. {
            assert!(turn < 100, "the replica does not come to rest");
            if node.poll_timeout() > now {
                break;
            }
            node.handle_timeout(now);
        }
        for bytes in node.outgoing().iter() {
            assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
            let datagram = Datagram::parse(bytes).expect("what is written can be read");
            assert_eq!(datagram.src, OWN);
            if datagram.response().is_some() {
                let answered = (datagram.dst, datagram.mid.unwrap().into_owned());
                assert!(asked.remove(&answered), "an answer that nobody waits for");
            } else {
                assert!(PEERS.contains(&datagram.dst) && Message::<Arc<Command>>::decode(&datagram).is_some());
            }
        }
        node.outgoing().clear();
    }
});

fn peer_message(now: Time, node: &Node<Replica>, numbers: [Number; 5], step: PeerStep<'_>) -> Message<Arc<Command>> {
    let raft = node.protocol().raft();
    let [term, a, b, c, sent] = numbers;
    let (term, b) = (term.value(raft.term()), b.value(raft.term()));
    let (a, c) = (a.value(raft.log().last_index()), c.value(raft.log().last_index()));
    let sent = sent.value(now.nanos());
    match step {
        PeerStep::RequestVote { pre, handed_over } => {
            Message::RequestVote(RequestVote { term, last_index: a, last_term: b, pre, handed_over })
        }
        PeerStep::Vote { granted, pre } => Message::Vote(Vote { term, granted, pre }),
        PeerStep::Append { now: is_now, entries } => {
            let entries = entries.into_iter().map(|(term, command)| {
                let command = command.map(|(key, value)| Arc::new(Command::new(key.into(), value.into())));
                Entry { term: term.value(raft.term()), command }
            });
            let sent = if is_now { now } else { Time(sent) };
            let entries = entries.collect();
            Message::AppendEntries(AppendEntries { term, prev_index: a, prev_term: b, commit_index: c, sent, entries })
        }
        PeerStep::Reply { now: is_now, outcome } => {
            let outcome = match outcome % 5 {
                4 => AppendOutcome::Received { index: a, count: c },
                0 => AppendOutcome::Matched { index: a },
                1 => AppendOutcome::Conflict { index: a, term: None },
                2 => AppendOutcome::Conflict { index: a, term: Some(b) },
                _ => AppendOutcome::Stale,
            };
            Message::AppendReply(AppendReply { term, sent: if is_now { now } else { Time(sent) }, outcome })
        }
        PeerStep::Probe => Message::Probe { term },
        PeerStep::TimeoutNow => Message::TimeoutNow { term },
        PeerStep::Part { offset, done, puts } => {
            let command = |(key, value): (&str, &str)| Arc::new(Command::new(key.into(), value.into()));
            let (offset, commands) = (u64::from(offset), puts.into_iter().map(command).collect());
            let (last_index, last_term, digest, sent) = (a, b, c, Time(sent));
            let part = InstallSnapshot { term, last_index, last_term, digest, offset, done, sent, commands };
            Message::InstallSnapshot(Box::new(part))
        }
    }
}
