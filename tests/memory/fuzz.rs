//! A replica takes any well-formed message, however absurd, without a panic and without growing, and answers only who
//! has asked, and once.
//!
//! `SEEDBED_FUZZ_DATAGRAMS=10000000 cargo test --release --test memory fuzz -- --nocapture` takes in ten million and
//! prints the figures. `fuzz/` has fuzzers that learn.

use std::collections::BTreeSet;
use std::sync::Arc;

use seedbed::node::{Members, Node};
use seedbed::rng::Stream;
use seedbed::service::Operation;
use seedbed::time::{Span, Time};
use seedbed::wire::{Address, DATAGRAM_BYTES_MAX, Datagram, Datagrams, Envelope, PeerMessage};
use seedbed_core::clock::Clock;
use seedbed_core::kv::Command;
use seedbed_core::raft::{
    AppendEntries, AppendOutcome, AppendReply, Entry, InstallSnapshot, Message, RequestVote, Vote,
};
use seedbed_core::replica::{Config, Replica};

use crate::counting::peak_bytes;

/// How many datagrams are taken in, unless the environment says otherwise.
const DATAGRAMS: u64 = 200_000;

/// A replica is replaced by a new one after so many datagrams: its log grows for as long as it lives.
const DATAGRAMS_PER_REPLICA: u64 = 2_000;

/// How much more memory the test may need after the first tenth of its work, in bytes.
const GROWTH_MAX: i64 = 4 << 20;

/// The replica that is fuzzed, and its peers.
const OWN: Address = Address(1);
const PEERS: [Address; 4] = [Address(0), Address(2), Address(3), Address(4)];

#[test]
fn absurd_messages_do_no_harm() {
    let datagrams = datagrams_wanted();
    let clock = Clock::start();
    let mut fuzzer = Fuzzer::new(1);
    let (mut taken, mut sent, mut early) = (0, 0, 0);
    while taken < datagrams {
        let count = DATAGRAMS_PER_REPLICA.min(datagrams - taken);
        sent += fuzzer.replica_takes(count);
        taken += count;
        if early == 0 && taken >= datagrams / 10 {
            early = peak_bytes();
        }
    }
    let late = peak_bytes();
    let seconds = clock.now().as_secs_f64();
    let led = fuzzer.led;
    println!("{taken} datagrams in, {led} of them to a leader, {sent} out, {seconds:.1} s");
    println!("{} answers", fuzzer.answered);
    println!("peak of memory: {early} bytes after a tenth, {late} at the end");
    assert!(fuzzer.answered > taken / 100, "the replica mostly does not answer");
    assert!(sent > taken / 100 && led > taken / 100, "the replica mostly does nothing");
    assert!(late < early + GROWTH_MAX, "from {early} to {late} bytes");
}

fn datagrams_wanted() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "it only says how long this test is")]
    let wanted = std::env::var_os("SEEDBED_FUZZ_DATAGRAMS");
    let Some(wanted) = wanted else { return DATAGRAMS };
    let number = wanted.to_str().and_then(|text| text.parse().ok()).filter(|&number| number > 0);
    number.unwrap_or_else(|| panic!("SEEDBED_FUZZ_DATAGRAMS is {wanted:?}; allowed is a whole number from 1 up"))
}

struct Fuzzer {
    /// How many datagrams have found a leader.
    led: u64,
    /// How many requests have been answered.
    answered: u64,
    /// Who waits for which answer from the replica.
    asked: BTreeSet<(Address, String)>,
    /// Who has ever asked it what.
    known: BTreeSet<(Address, String)>,
    dice: Stream,
    written: Datagrams,
    now: Time,
    /// The replica's term and the last index of its log, so that some messages make sense.
    near: (u64, u64),
    /// Whether other leaders are rare, so that the replica may lead itself.
    calm: bool,
}

impl Fuzzer {
    fn new(seed: u64) -> Fuzzer {
        Fuzzer {
            led: 0,
            answered: 0,
            asked: BTreeSet::new(),
            known: BTreeSet::new(),
            dice: Stream::new(seed, "fuzz"),
            written: Datagrams::new(),
            now: Time::ZERO,
            near: (0, 0),
            calm: false,
        }
    }

    /// Lets a new replica take so many datagrams, and returns how many it has sent.
    fn replica_takes(&mut self, datagrams: u64) -> u64 {
        let members = Members::new(OWN, &PEERS).expect("a cluster");
        let seed = self.dice.next_u64();
        // Half of them drop what is applied as soon as they can.
        let log_bytes_max = if self.flip() { 1 } else { usize::MAX };
        let config = Config { log_bytes_max, ..Config::default() };
        let mut node = Node::new(members, seed, |identity| Replica::new(identity, config).expect("valid"));
        (self.now, self.calm) = (Time::ZERO, self.flip());
        node.outgoing().clear();
        self.asked.clear();
        self.known.clear();
        let mut sent = 0;
        for _ in 0..datagrams {
            let raft = node.protocol().raft();
            self.near = (raft.term(), raft.log().last_index());
            self.write_datagram();
            for bytes in self.written.iter() {
                node.handle_datagram(self.now, bytes);
            }
            self.now += Span::from_micros(self.dice.below(200) * self.dice.below(200));
            let mut turns = 0;
            while node.poll_timeout() <= self.now {
                node.handle_timeout(self.now);
                turns += 1;
                assert!(turns < 100, "the replica does not come to rest");
            }
            node.outgoing().iter().for_each(|bytes| self.check_sent(bytes));
            sent += node.outgoing().len() as u64;
            self.led += u64::from(node.leader() == OWN);
            node.outgoing().clear();
        }
        sent
    }

    fn check_sent(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
        let datagram = Datagram::parse(bytes).expect("what is written can be read");
        assert_eq!(datagram.src, OWN);
        if datagram.response().is_some() {
            let mid = datagram.mid.expect("an answer has a MID").into_owned();
            assert!(self.asked.remove(&(datagram.dst, mid)), "an answer that nobody waits for");
            self.answered += 1;
        } else {
            let message = Message::<Arc<Command>>::decode(&datagram);
            assert!(PEERS.contains(&datagram.dst) && message.is_some(), "to {}: {message:?}", datagram.dst);
        }
    }

    fn write_datagram(&mut self) {
        self.written.clear();
        let mid = self.dice.below(1_000).to_string();
        if self.dice.chance(0.1) {
            // Some ask the same again.
            let few = self.flip();
            let src = Address(self.dice.between(5, if few { 8 } else { 0xFFFE }) as u16);
            let operation = self.operation();
            let envelope = Envelope { src, dst: OWN, leader: Address::BROADCAST, mid: &mid };
            self.written.push_operation(&envelope, &operation);
            // One that is asked again is not answered again, so it is not waited for.
            if self.known.insert((src, mid.clone())) {
                self.asked.insert((src, mid));
            }
        } else {
            let src = *self.dice.pick(&PEERS).expect("a peer");
            let message = self.message();
            let envelope = Envelope { src, dst: OWN, leader: Address::BROADCAST, mid: &mid };
            message.encode(&envelope, &mut self.written);
        }
    }

    fn operation(&mut self) -> Operation {
        let key = self.text().into();
        if self.dice.chance(0.5) { Operation::Get { key } } else { Operation::Put { key, value: self.text().into() } }
    }

    fn message(&mut self) -> Message<Arc<Command>> {
        let (term, sent) = (self.term(), self.sent());
        let kinds = if self.calm && self.dice.chance(0.99) { 5 } else { 8 };
        match self.dice.below(kinds) {
            5 => {
                let (last_index, last_term, pre) = (self.number(), self.term(), self.flip());
                let handed_over = self.dice.chance(0.1);
                Message::RequestVote(RequestVote { term, last_index, last_term, pre, handed_over })
            }
            1 | 2 => {
                // A granted pre-vote is for the next term.
                let pre = self.flip();
                let term = if pre && self.flip() { self.near.0.saturating_add(1) } else { term };
                Message::Vote(Vote { term, granted: pre || self.flip(), pre })
            }
            6 | 7 => {
                let entries = self.entries();
                let (prev_index, prev_term, commit_index) = (self.number(), self.term(), self.number());
                let append = AppendEntries { term, prev_index, prev_term, commit_index, sent, entries };
                Message::AppendEntries(append)
            }
            3 | 4 => {
                let index = self.number();
                let outcome = match self.dice.below(5) {
                    3 => AppendOutcome::Received { index, count: self.number() },
                    0 => AppendOutcome::Conflict { index, term: None },
                    1 => AppendOutcome::Conflict { index, term: Some(self.term()) },
                    2 => AppendOutcome::Stale,
                    _ => AppendOutcome::Matched { index },
                };
                Message::AppendReply(AppendReply { term, sent, outcome })
            }
            _ => match self.dice.below(4) {
                0 => Message::Probe { term },
                1 => Message::TimeoutNow { term },
                _ => {
                    let commands = self.entries().into_iter().filter_map(|entry| entry.command).collect();
                    let (last_index, last_term, digest) = (self.number(), self.term(), self.number());
                    let (offset, done) = (self.dice.below(3) * self.dice.below(3), self.flip());
                    let part = InstallSnapshot { term, last_index, last_term, digest, offset, done, sent, commands };
                    Message::InstallSnapshot(Box::new(part))
                }
            },
        }
    }

    fn entries(&mut self) -> seedbed_core::raft::Entries<Arc<Command>> {
        let count = if self.dice.chance(0.01) { self.dice.below(3_000) } else { self.dice.below(4) };
        let mut term = self.term();
        let entries = (0..count).map(|_| {
            if self.dice.chance(0.05) {
                term = self.term();
            }
            let command = self.flip().then(|| Arc::new(Command::new(self.text().into(), self.text().into())));
            Entry { term, command }
        });
        entries.collect()
    }

    fn flip(&mut self) -> bool {
        self.dice.chance(0.5)
    }

    /// Mostly one that might make sense now.
    fn term(&mut self) -> u64 {
        let absurd = if self.calm { 0.001 } else { 0.05 };
        match self.dice.below(8) {
            _ if self.dice.chance(absurd) => self.number(),
            0 => self.dice.below(4),
            1 if !self.calm => self.near.0.saturating_add(self.dice.below(3)),
            2 => self.near.0.saturating_sub(1),
            _ => self.near.0,
        }
    }

    fn number(&mut self) -> u64 {
        let shift = self.dice.below(64);
        match self.dice.below(8) {
            0 | 1 => self.dice.below(8),
            2 | 3 => self.near.1.saturating_sub(self.dice.below(4)),
            4 => u64::MAX - self.dice.below(8),
            5 => (1 << shift) - self.dice.below(2),
            6 => (1 << shift) + self.dice.below(8),
            _ => self.dice.next_u64() >> shift,
        }
    }

    /// Mostly a time at which the replica may have sent something.
    fn sent(&mut self) -> Time {
        match self.dice.below(4) {
            0 => Time(self.number()),
            1 => self.now - Span::from_micros(self.dice.below(20_000)),
            _ => self.now,
        }
    }

    fn text(&mut self) -> String {
        let length = if self.dice.chance(0.001) { self.dice.below(30_000) } else { self.dice.below(20) };
        let letters = ['a', 'b', '"', '\\', '\u{0}', '\u{7f}', 'é', '\u{1F600}'];
        (0..length).map(|_| *self.dice.pick(&letters).expect("a letter")).collect()
    }
}
