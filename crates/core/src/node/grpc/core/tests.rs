//! Servers without I/O, on a network of this test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Answer, Core, Effect, PeerMessage};
use crate::id::ReplicaId;
use crate::machine::Identity;
use crate::node::grpc::default_replica_config;
use crate::replica::Replica;
use crate::rng::Stream;
use crate::service::{Operation, RequestId, Update};
use crate::time::{Span, Time};

/// How long every message is under way.
const DELAY: Span = Span::from_micros(200);

/// Whether a message is lost, by a choice of the test.
type Lose = Box<dyn FnMut(ReplicaId, ReplicaId, &PeerMessage) -> bool>;

struct Network {
    now: Time,
    cores: Vec<Core<u32>>,
    wire: VecDeque<(Time, ReplicaId, ReplicaId, PeerMessage)>,
    dead: BTreeSet<usize>,
    lose: Lose,
    answers: BTreeMap<u32, Answer>,
}

impl Network {
    fn new(servers: usize, forward: bool) -> Network {
        let core = |id| {
            let identity = Identity { id, replicas: servers, seed: 7 };
            let replica = Replica::new(identity, default_replica_config()).expect("a sound configuration");
            Core::new(id, replica, forward, 100 + u64::from(id.0))
        };
        Network {
            now: Time::ZERO,
            cores: ReplicaId::all(servers).map(core).collect(),
            wire: VecDeque::new(),
            dead: BTreeSet::new(),
            lose: Box::new(|_, _, _| false),
            answers: BTreeMap::new(),
        }
    }

    /// A network with a leader, and the leader's place.
    fn with_leader(servers: usize, forward: bool) -> (Network, usize) {
        let mut network = Network::new(servers, forward);
        network.run(Span::from_secs(3));
        let leader = network.cores[0].replica().raft().leader().expect("a leader").index();
        (network, leader)
    }

    fn ask(&mut self, server: usize, ticket: u32, operation: Operation, patience: Span) {
        let deadline = self.now + patience;
        self.cores[server].handle_request(self.now, ticket, operation, deadline);
        self.perform(server);
    }

    fn perform(&mut self, server: usize) {
        let from = ReplicaId(server as u8);
        for effect in std::mem::take(self.cores[server].effects()) {
            match effect {
                Effect::Send { to, message } => {
                    if !(self.lose)(from, to, &message) {
                        self.wire.push_back((self.now + DELAY, from, to, message));
                    }
                }
                Effect::Answer { ticket, answer } => {
                    assert_eq!(self.answers.insert(ticket, answer), None, "nobody is answered twice");
                }
            }
        }
    }

    fn run(&mut self, span: Span) {
        let end = self.now + span;
        loop {
            let living = (0..self.cores.len()).filter(|server| !self.dead.contains(server));
            let timeout = living.map(|server| (self.cores[server].poll_timeout().max(self.now), server)).min();
            let arrival = self.wire.front().map_or(Time::NEVER, |message| message.0);
            let (due, server) = timeout.unwrap_or((Time::NEVER, 0));
            if arrival.min(due) > end {
                self.now = end;
                return;
            }
            if arrival <= due {
                let (time, from, to, message) = self.wire.pop_front().expect("it is there");
                self.now = time;
                if !self.dead.contains(&to.index()) {
                    self.cores[to.index()].handle_message(self.now, from, message);
                    self.perform(to.index());
                }
            } else {
                self.now = due;
                self.cores[server].handle_timeout(self.now);
                self.perform(server);
            }
        }
    }
}

fn put(key: &str, value: &str) -> Operation {
    Operation::Put { key: key.into(), value: value.into() }
}

fn get(key: &str) -> Operation {
    Operation::Get { key: key.into() }
}

const PATIENCE: Span = Span::from_secs(5);

#[test]
fn whoever_is_asked_answers_and_every_other_server_knows() {
    let (mut network, _) = Network::with_leader(5, true);
    for server in 0..5 {
        let ticket = server as u32;
        network.ask(server, ticket, put("name", &format!("Ada {server}")), PATIENCE);
        network.run(Span::from_millis(10));
        assert_eq!(network.answers.remove(&ticket), Some(Answer::Done));
        for other in 0..5 {
            network.ask(other, 99, get("name"), PATIENCE);
            network.run(Span::from_millis(10));
            assert_eq!(network.answers.remove(&99), Some(Answer::Value(format!("Ada {server}").into())));
        }
    }
    assert!(network.cores.iter().all(|core| core.open() == 0));
}

#[test]
fn without_forwarding_a_follower_says_that_it_does_not_lead() {
    let (mut network, leader) = Network::with_leader(3, false);
    for server in 0..3 {
        network.ask(server, server as u32, put("k", "v"), PATIENCE);
        network.run(Span::from_secs(1));
        let expected = if server == leader { Answer::Done } else { Answer::NotLeader };
        assert_eq!(network.answers[&(server as u32)], expected);
    }
}

#[test]
fn a_put_whose_answer_is_lost_is_sent_again_and_carried_out_once() {
    let (mut network, leader) = Network::with_leader(3, true);
    let follower = (leader + 1) % 3;
    let mut lost = 0;
    network.lose = Box::new(move |_, _, message| {
        let loses = matches!(message, PeerMessage::Forwarded { .. }) && lost < 3;
        lost += u32::from(loses);
        loses
    });
    let swap = Update { key: "k".into(), value: "new".into(), expected: Some("".into()), request: None };
    network.ask(follower, 1, Operation::Update(Arc::new(swap)), PATIENCE);
    network.run(Span::from_millis(50));
    assert!(network.answers.is_empty(), "the answer is lost");
    // Carried out twice, the second time would find the first one's value in place of the one expected.
    network.run(Span::from_secs(3));
    assert_eq!(network.answers[&1], Answer::Done);
}

#[test]
fn requests_move_to_the_next_leader_when_the_leader_dies() {
    let (mut network, leader) = Network::with_leader(5, true);
    let follower = (leader + 1) % 5;
    network.dead.insert(leader);
    network.ask(follower, 1, put("k", "v"), PATIENCE);
    network.ask(follower, 2, get("k"), PATIENCE);
    network.run(Span::from_secs(4));
    assert_eq!(network.answers[&1], Answer::Done);
    assert!(matches!(network.answers[&2], Answer::Value(_)));
}

#[test]
fn a_request_that_cannot_be_answered_in_time_times_out() {
    let (mut network, leader) = Network::with_leader(3, true);
    let follower = (leader + 1) % 3;
    network.lose = Box::new(|_, _, _| true);
    network.ask(leader, 1, put("k", "v"), Span::from_millis(300));
    network.ask(follower, 2, put("k", "w"), Span::from_millis(300));
    network.run(Span::from_millis(290));
    assert!(network.answers.is_empty());
    network.run(Span::from_millis(40));
    assert_eq!((&network.answers[&1], &network.answers[&2]), (&Answer::TimedOut, &Answer::TimedOut));
}

#[test]
fn a_request_that_nobody_waits_for_any_more_is_not_carried_out_by_a_later_leader() {
    let mut network = Network::new(3, true);
    network.lose = Box::new(|_, _, _| true);
    network.ask(0, 1, put("k", "v"), Span::from_millis(100));
    network.ask(0, 2, get("k"), Span::from_millis(100));
    network.ask(0, 3, put("l", "v"), PATIENCE);
    network.run(Span::from_millis(200));
    assert_eq!((&network.answers[&1], &network.answers[&2]), (&Answer::TimedOut, &Answer::TimedOut));
    network.lose = Box::new(|_, _, _| false);
    network.run(Span::from_secs(3));
    assert_eq!(network.answers[&3], Answer::Done);
    network.ask(1, 4, get("k"), PATIENCE);
    network.run(Span::from_secs(1));
    assert_eq!(network.answers[&4], Answer::Value("".into()));
}

#[test]
fn a_request_that_comes_while_nobody_leads_waits_for_a_leader() {
    let mut network = Network::new(3, true);
    for server in 0..3 {
        network.ask(server, server as u32, put(&format!("k{server}"), "v"), PATIENCE);
    }
    network.run(Span::from_secs(4));
    assert!((0..3).all(|ticket| network.answers[&ticket] == Answer::Done), "{:?}", network.answers);
}

#[test]
fn an_update_under_the_same_name_is_carried_out_once_whoever_is_asked() {
    let (mut network, _) = Network::with_leader(3, true);
    let name = Some(RequestId { client: 5, number: 1 });
    for server in 0..3 {
        let update = Update { key: "k".into(), value: format!("v{server}").into(), expected: None, request: name };
        network.ask(server, server as u32, Operation::Update(Arc::new(update)), PATIENCE);
        network.run(Span::from_millis(20));
        assert_eq!(network.answers[&(server as u32)], Answer::Done);
    }
    network.ask(0, 9, get("k"), PATIENCE);
    network.run(Span::from_millis(20));
    assert_eq!(network.answers[&9], Answer::Value("v0".into()));
}

#[test]
fn answers_that_fit_no_request_are_ignored() {
    let (mut network, leader) = Network::with_leader(3, true);
    let follower = (leader + 1) % 3;
    network.lose = Box::new(|_, _, message| matches!(message, PeerMessage::Forward { .. }));
    network.ask(follower, 1, get("k"), PATIENCE);
    let (from, now) = (ReplicaId(leader as u8), network.now);
    for (token, answer) in [(0, Answer::Done), (0, Answer::NotLeader), (7, Answer::Value("v".into()))] {
        network.cores[follower].handle_message(now, from, PeerMessage::Forwarded { token, answer });
        network.perform(follower);
    }
    assert!(network.answers.is_empty());
    let answer = Answer::Value("v".into());
    network.cores[follower].handle_message(now, from, PeerMessage::Forwarded { token: 0, answer: answer.clone() });
    network.perform(follower);
    assert_eq!(network.answers[&1], answer);
}

#[test]
fn under_heavy_loss_every_put_is_carried_out_at_most_once_and_reads_are_never_stale() {
    for seed in 0..20 {
        let (mut network, _) = Network::with_leader(3, true);
        let mut dice = Stream::new(seed, "loss");
        network.lose = Box::new(move |_, _, _| dice.chance(0.3));
        let mut dice = Stream::new(seed, "clients");
        let mut current = "".to_owned();
        for ticket in 0..40_u32 {
            // One client, one request at a time: each compare-and-swap expects what the last one has set.
            let next = format!("{ticket}");
            let update = Update {
                key: "k".into(),
                value: next.as_str().into(),
                expected: Some(current.as_str().into()),
                request: None,
            };
            let server = dice.below(3) as usize;
            network.ask(server, ticket, Operation::Update(Arc::new(update)), Span::from_secs(60));
            for _ in 0..600 {
                network.run(Span::from_millis(100));
                if network.answers.contains_key(&ticket) {
                    break;
                }
            }
            match &network.answers[&ticket] {
                Answer::Done => current = next,
                // It failed, but may have been carried out; a read tells.
                Answer::Failed => {
                    let read = 1_000 + ticket;
                    network.ask(server, read, get("k"), Span::from_secs(60));
                    network.run(Span::from_secs(60));
                    let Answer::Value(value) = &network.answers[&read] else { continue };
                    assert!(**value == *current || **value == *next, "{value}");
                    current = value.to_string();
                }
                other => panic!("seed {seed}, {ticket}: {other:?}, current {current}"),
            }
        }
    }
}
