//! Servers without I/O, on a network of this test. It is a driver of the engine.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use super::{Answer, Core, Effect, PeerMessage};
use crate::engine::{Ahead, Carrier, Due, Engine, State};
use crate::id::{ClientId, Mid, ReplicaId};
use crate::machine::{Emission, Identity, Input, Machine, Outbox};
use crate::node::grpc::default_replica_config;
use crate::replica::Replica;
use crate::rng::Stream;
use crate::service::{Operation, RequestId, Update};
use crate::time::{Span, Time};

/// How long every message is under way.
const DELAY: Span = Span::from_micros(200);

/// One client asks everything; its requests differ by number.
const CLIENT: ClientId = ClientId(0);

type Server = Core<(ClientId, Mid)>;

/// A client's request.
#[derive(Debug)]
pub struct Request {
    operation: Operation,
    /// How long the client waits for the answer.
    patience: Span,
}

impl Machine for Server {
    type Message = PeerMessage;
    type Request = Request;
    type Response = Answer;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Server>, out: &mut Outbox<Server>) {
        match input {
            Input::Timeout => self.handle_timeout(now),
            Input::Peer { from, message } => self.handle_message(now, from, message),
            Input::Client { from, mid, request: Request { operation, patience } } => {
                self.handle_request(now, (from, mid), operation, now + patience);
            }
            // It has no disk.
            Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
        }
        for effect in self.effects().drain(..) {
            match effect {
                Effect::Send { to, message } => out.send(to, message),
                Effect::Answer { ticket: (client, mid), answer } => out.reply(client, mid, answer),
            }
        }
    }

    fn poll_timeout(&self) -> Time {
        // The core's own method, which takes precedence over the trait's.
        Core::poll_timeout(self)
    }
}

/// Whether a message is lost, by a choice of the test.
type Lose = Box<dyn FnMut(ReplicaId, ReplicaId, &PeerMessage) -> bool>;

/// What carries messages and answers.
struct Wires {
    lose: Lose,
    answers: BTreeMap<u64, Answer>,
}

impl Carrier<Server, Infallible> for Wires {
    fn carry(&mut self, now: Time, from: ReplicaId, emission: Emission<Server>, ahead: &mut Ahead<Server, Infallible>) {
        match emission {
            Emission::Send { to, message } => {
                if !(self.lose)(from, to, &message) {
                    ahead.input(now + DELAY, to, Input::Peer { from, message });
                }
            }
            Emission::Reply { to, mid, response } => {
                assert_eq!(to, CLIENT);
                assert_eq!(self.answers.insert(mid.0, response), None, "nobody is answered twice");
            }
        }
    }
}

struct Network {
    engine: Engine<'static, Server, Infallible>,
    wires: Wires,
}

impl Network {
    fn new(servers: usize, forward: bool) -> Network {
        let start = move |identity: Identity| {
            let id = identity.id;
            let replica = Replica::new(identity, default_replica_config()).expect("a sound configuration");
            Core::new(id, replica, forward, 100 + u64::from(id.0))
        };
        let wires = Wires { lose: Box::new(|_, _, _| false), answers: BTreeMap::new() };
        Network { engine: Engine::new(servers, 7, start), wires }
    }

    /// A network with a leader, and the leader's place.
    fn with_leader(servers: usize, forward: bool) -> (Network, usize) {
        let mut network = Network::new(servers, forward);
        network.run(Span::from_secs(3));
        let leader = network.engine.machines()[0].replica().raft().leader().expect("a leader").index();
        (network, leader)
    }

    fn ask(&mut self, server: usize, number: u64, operation: Operation, patience: Span) {
        let request = Request { operation, patience };
        self.hand(ReplicaId(server as u8), Input::Client { from: CLIENT, mid: Mid(number), request });
    }

    fn hand(&mut self, to: ReplicaId, input: Input<Server>) {
        assert_eq!(self.engine.handle(to, input, &mut self.wires), None);
    }

    fn run(&mut self, span: Span) {
        let end = self.engine.now() + span;
        loop {
            let (arrival, timeout) = (self.engine.next_arrival(), self.engine.next_timeout());
            if arrival.min(timeout) > end {
                return self.engine.advance(end);
            }
            self.engine.advance(arrival.min(timeout));
            if timeout < arrival {
                self.hand(self.engine.next_to_time_out(), Input::Timeout);
                continue;
            }
            match self.engine.take_arrival() {
                Some(Due::Input { to, input }) => {
                    if self.engine.conditions()[to.index()].state == State::Up {
                        self.hand(to, input);
                    }
                }
                Some(Due::Event(never)) => match never {},
                Some(Due::Synced { .. }) | None => {}
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
fn every_server_answers_and_all_servers_know_the_result() {
    let (mut network, _) = Network::with_leader(5, true);
    for server in 0..5 {
        let number = server as u64;
        network.ask(server, number, put("name", &format!("Ada {server}")), PATIENCE);
        network.run(Span::from_millis(10));
        assert_eq!(network.wires.answers.remove(&number), Some(Answer::Done));
        for other in 0..5 {
            network.ask(other, 99, get("name"), PATIENCE);
            network.run(Span::from_millis(10));
            assert_eq!(network.wires.answers.remove(&99), Some(Answer::Value(format!("Ada {server}").into())));
        }
    }
    assert!(network.engine.machines().iter().all(|core| core.open() == 0));
}

#[test]
fn without_forwarding_a_follower_says_that_it_does_not_lead() {
    let (mut network, leader) = Network::with_leader(3, false);
    for server in 0..3 {
        network.ask(server, server as u64, put("k", "v"), PATIENCE);
        network.run(Span::from_secs(1));
        let expected = if server == leader { Answer::Done } else { Answer::NotLeader };
        assert_eq!(network.wires.answers[&(server as u64)], expected);
    }
}

#[test]
fn a_put_whose_answer_is_lost_is_sent_again_and_carried_out_once() {
    let (mut network, leader) = Network::with_leader(3, true);
    let follower = (leader + 1) % 3;
    let mut lost = 0;
    network.wires.lose = Box::new(move |_, _, message| {
        let loses = matches!(message, PeerMessage::Forwarded { .. }) && lost < 3;
        lost += u32::from(loses);
        loses
    });
    let swap = Update { key: "k".into(), value: "new".into(), expected: Some("".into()), request: None };
    network.ask(follower, 1, Operation::Update(Arc::new(swap)), PATIENCE);
    network.run(Span::from_millis(50));
    assert!(network.wires.answers.is_empty(), "the answer is lost");
    // If it were carried out twice, the second time would find the first one's value in place of the expected one.
    network.run(Span::from_secs(3));
    assert_eq!(network.wires.answers[&1], Answer::Done);
}

#[test]
fn requests_move_to_the_next_leader_when_the_leader_dies() {
    let (mut network, leader) = Network::with_leader(5, true);
    let follower = (leader + 1) % 5;
    network.engine.fail_power(ReplicaId(leader as u8));
    network.ask(follower, 1, put("k", "v"), PATIENCE);
    network.ask(follower, 2, get("k"), PATIENCE);
    network.run(Span::from_secs(4));
    assert_eq!(network.wires.answers[&1], Answer::Done);
    assert!(matches!(network.wires.answers[&2], Answer::Value(_)));
}

#[test]
fn a_request_that_cannot_be_answered_in_time_times_out() {
    let (mut network, leader) = Network::with_leader(3, true);
    let follower = (leader + 1) % 3;
    network.wires.lose = Box::new(|_, _, _| true);
    network.ask(leader, 1, put("k", "v"), Span::from_millis(300));
    network.ask(follower, 2, put("k", "w"), Span::from_millis(300));
    network.run(Span::from_millis(290));
    assert!(network.wires.answers.is_empty());
    network.run(Span::from_millis(40));
    assert_eq!((&network.wires.answers[&1], &network.wires.answers[&2]), (&Answer::TimedOut, &Answer::TimedOut));
}

#[test]
fn a_request_that_no_client_waits_for_is_not_carried_out_by_a_later_leader() {
    let mut network = Network::new(3, true);
    network.wires.lose = Box::new(|_, _, _| true);
    network.ask(0, 1, put("k", "v"), Span::from_millis(100));
    network.ask(0, 2, get("k"), Span::from_millis(100));
    network.ask(0, 3, put("l", "v"), PATIENCE);
    network.run(Span::from_millis(200));
    assert_eq!((&network.wires.answers[&1], &network.wires.answers[&2]), (&Answer::TimedOut, &Answer::TimedOut));
    network.wires.lose = Box::new(|_, _, _| false);
    network.run(Span::from_secs(3));
    assert_eq!(network.wires.answers[&3], Answer::Done);
    network.ask(1, 4, get("k"), PATIENCE);
    network.run(Span::from_secs(1));
    assert_eq!(network.wires.answers[&4], Answer::Value("".into()));
}

#[test]
fn a_request_that_comes_while_there_is_no_leader_waits_for_one() {
    let mut network = Network::new(3, true);
    for server in 0..3 {
        network.ask(server, server as u64, put(&format!("k{server}"), "v"), PATIENCE);
    }
    network.run(Span::from_secs(4));
    assert!((0..3).all(|number| network.wires.answers[&number] == Answer::Done), "{:?}", network.wires.answers);
}

#[test]
fn an_update_under_the_same_name_is_carried_out_once_whichever_server_is_asked() {
    let (mut network, _) = Network::with_leader(3, true);
    let name = Some(RequestId { client: 5, number: 1 });
    for server in 0..3 {
        let update = Update { key: "k".into(), value: format!("v{server}").into(), expected: None, request: name };
        network.ask(server, server as u64, Operation::Update(Arc::new(update)), PATIENCE);
        network.run(Span::from_millis(20));
        assert_eq!(network.wires.answers[&(server as u64)], Answer::Done);
    }
    network.ask(0, 9, get("k"), PATIENCE);
    network.run(Span::from_millis(20));
    assert_eq!(network.wires.answers[&9], Answer::Value("v0".into()));
}

#[test]
fn answers_that_match_no_request_are_ignored() {
    let (mut network, leader) = Network::with_leader(3, true);
    let follower = (leader + 1) % 3;
    network.wires.lose = Box::new(|_, _, message| matches!(message, PeerMessage::Forward { .. }));
    network.ask(follower, 1, get("k"), PATIENCE);
    let (from, to) = (ReplicaId(leader as u8), ReplicaId(follower as u8));
    for (token, answer) in [(0, Answer::Done), (0, Answer::NotLeader), (7, Answer::Value("v".into()))] {
        network.hand(to, Input::Peer { from, message: PeerMessage::Forwarded { token, answer } });
    }
    assert!(network.wires.answers.is_empty());
    let answer = Answer::Value("v".into());
    network.hand(to, Input::Peer { from, message: PeerMessage::Forwarded { token: 0, answer: answer.clone() } });
    assert_eq!(network.wires.answers[&1], answer);
}

#[test]
fn under_heavy_loss_every_put_is_carried_out_at_most_once_and_reads_are_never_stale() {
    for seed in 0..20 {
        let (mut network, _) = Network::with_leader(3, true);
        let mut random = Stream::new(seed, "loss");
        network.wires.lose = Box::new(move |_, _, _| random.chance(0.3));
        let mut random = Stream::new(seed, "clients");
        let mut current = "".to_owned();
        for number in 0..40 {
            // One client, one request at a time: each compare-and-swap expects the value of the last one.
            let next = format!("{number}");
            let update = Update {
                key: "k".into(),
                value: next.as_str().into(),
                expected: Some(current.as_str().into()),
                request: None,
            };
            let server = random.below(3) as usize;
            network.ask(server, number, Operation::Update(Arc::new(update)), Span::from_secs(60));
            for _ in 0..600 {
                network.run(Span::from_millis(100));
                if network.wires.answers.contains_key(&number) {
                    break;
                }
            }
            match &network.wires.answers[&number] {
                Answer::Done => current = next,
                // It failed, but may have been carried out; a read shows that.
                Answer::Failed => {
                    let read = 1_000 + number;
                    network.ask(server, read, get("k"), Span::from_secs(60));
                    network.run(Span::from_secs(60));
                    let Answer::Value(value) = &network.wires.answers[&read] else { continue };
                    assert!(**value == *current || **value == *next, "{value}");
                    current = value.to_string();
                }
                other => panic!("seed {seed}, {number}: {other:?}, current {current}"),
            }
        }
    }
}
