//! Servers without I/O, on a network of this test. It is a driver of the engine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use seedbed::engine::{Ahead, Carrier, Delay, Due, Engine, State};
use seedbed::id::{ClientId, Mid, ReplicaId};
use seedbed::machine::{Boot, Effect, Emission, Exit, Identity, Input, Machine, Outbox};
use seedbed::rng::Stream;
use seedbed::service::{Operation, RequestId, Response, Update};
use seedbed::time::{Span, Time};
use seedbed_core::raft::Sound;
use seedbed_core::server::{Config, Message, Record, Server};

/// How long every message is under way.
const DELAY: Span = Span::from_micros(200);

/// One client asks everything; its requests differ by number.
const CLIENT: ClientId = ClientId(0);

const DONE: Response = Response::Ok { value: None };

fn value(value: &str) -> Response {
    Response::Ok { value: Some(value.into()) }
}

/// A server whose clients say how long they wait.
struct Asked(Server);

/// A client's request.
#[derive(Debug)]
struct Request {
    operation: Operation,
    /// How long the client waits for the answer.
    patience: Span,
}

impl Machine for Asked {
    type Message = Message;
    type Request = Request;
    type Response = Response;
    type Record = Record;

    fn handle(&mut self, now: Time, input: Input<Asked>, out: &mut Outbox<Asked>) {
        let mut left = Outbox::new();
        match input {
            Input::Timeout => self.0.handle(now, Input::Timeout, &mut left),
            Input::Peer { from, message } => self.0.handle(now, Input::Peer { from, message }, &mut left),
            Input::Client { from, mid, request: Request { operation, patience } } => {
                self.0.handle_request(now, (from, mid), operation, now + patience, &mut left);
            }
            Input::Synced { up_to } => self.0.handle(now, Input::Synced { up_to }, &mut left),
            Input::DiskFull | Input::StepDown => panic!("no test does that"),
        }
        for effect in left.drain() {
            match effect {
                Effect::Emit(Emission::Send { to, message }) => out.send(to, message),
                Effect::Emit(Emission::Reply { to, mid, response }) => out.reply(to, mid, response),
                Effect::Persist(record) => out.persist(record),
                Effect::Sync => out.sync(),
                Effect::Exit(why) => out.exit(why),
            }
        }
    }

    fn poll_timeout(&self) -> Time {
        self.0.poll_timeout()
    }
}

/// Whether a message is lost, by a choice of the test.
type Lose = Box<dyn FnMut(ReplicaId, ReplicaId, &Message) -> bool>;

/// What carries messages and answers.
struct Wires {
    lose: Lose,
    answers: BTreeMap<u64, Response>,
}

impl Wires {
    /// Wires on which nothing is lost.
    fn new() -> Wires {
        Wires { lose: Box::new(|_, _, _| false), answers: BTreeMap::new() }
    }
}

impl Carrier<Asked, Infallible> for Wires {
    fn carry(&mut self, now: Time, from: ReplicaId, emission: Emission<Asked>, ahead: &mut Ahead<Asked, Infallible>) {
        match emission {
            Emission::Send { to, message } => {
                if !(self.lose)(from, to, &message) {
                    ahead.input(now + DELAY, to, Input::Peer { from, message });
                }
            }
            Emission::Reply { to, mid, response } => {
                assert_eq!(to, CLIENT);
                assert_eq!(self.answers.insert(mid.0, response), None, "no client is answered twice");
            }
        }
    }
}

struct Network {
    engine: Engine<'static, Asked, Infallible>,
    wires: Wires,
}

impl Network {
    fn new(servers: usize, forward: bool) -> Network {
        let start = move |identity: Identity| {
            let config = Config { forward, ..Config::default() };
            let boot = Boot { identity, incarnation: 0, now: Time::ZERO, disk: None };
            Asked(Server::boot(boot, config, Sound).expect("without a disk there is nothing to refuse"))
        };
        Network { engine: Engine::new(servers, 7, start), wires: Wires::new() }
    }

    /// Servers with disks, whose syncs take half a millisecond. Their logs are short, so they write many checkpoints, each
    /// of several parts.
    fn with_disks(servers: usize, seed: u64) -> Network {
        let start = |boot: Boot<Record>| {
            let mut config = Config { log_bytes_max: 600, ..Config::default() };
            config.raft.batch_bytes_max = 200;
            Server::boot(boot, config, Sound).map(Asked)
        };
        let sync = Delay::Constant(Span::from_micros(500));
        Network { engine: Engine::booting(servers, seed, Some(sync), start), wires: Wires::new() }
    }

    /// The power of these servers fails, and comes back after a while.
    fn restart(&mut self, servers: impl IntoIterator<Item = usize>, after: Span) {
        let servers: Vec<ReplicaId> = servers.into_iter().map(|server| ReplicaId(server as u8)).collect();
        for &server in &servers {
            self.engine.fail_power(server);
        }
        self.run(after);
        for &server in &servers {
            assert_eq!(self.engine.restart(server), Ok(()));
        }
    }

    /// Asks one server after the other until one has done it.
    fn surely(&mut self, number: u64, operation: &Operation) -> Response {
        for attempt in 0..40 {
            let server = (number as usize + attempt) % self.engine.machines().len();
            if self.engine.conditions()[server].state != State::Up {
                continue;
            }
            let mid = number * 100 + attempt as u64;
            self.ask(server, mid, operation.clone(), Span::from_secs(1));
            self.run(Span::from_secs(1));
            match self.wires.answers.remove(&mid) {
                Some(Response::Fail) | None => {}
                Some(done) => return done,
            }
        }
        panic!("{operation:?} is never done");
    }

    /// A network with a leader, and the leader's place.
    fn with_leader(servers: usize, forward: bool) -> (Network, usize) {
        let mut network = Network::new(servers, forward);
        network.run(Span::from_secs(3));
        let leader = network.engine.machines()[0].0.raft().leader().expect("a leader").index();
        (network, leader)
    }

    fn ask(&mut self, server: usize, number: u64, operation: Operation, patience: Span) {
        let request = Request { operation, patience };
        self.hand(ReplicaId(server as u8), Input::Client { from: CLIENT, mid: Mid(number), request });
    }

    fn hand(&mut self, to: ReplicaId, input: Input<Asked>) {
        assert_eq!(self.engine.handle(to, input, &mut self.wires), None);
    }

    /// Lets time pass. No server ends meanwhile.
    fn run(&mut self, span: Span) {
        let end = self.engine.now() + span;
        while self.engine.next_arrival().min(self.engine.next_timeout()) <= end {
            assert_eq!(self.step(), None);
        }
        self.engine.advance(end);
    }

    /// Does what is due next. Returns the reason if a server ends.
    fn step(&mut self) -> Option<Exit> {
        let (arrival, timeout) = (self.engine.next_arrival(), self.engine.next_timeout());
        self.engine.advance(arrival.min(timeout));
        if timeout < arrival {
            let next = self.engine.next_to_time_out();
            return self.engine.handle(next, Input::Timeout, &mut self.wires);
        }
        match self.engine.take_arrival()? {
            Due::Input { to, input } if self.engine.conditions()[to.index()].state == State::Up => {
                self.engine.handle(to, input, &mut self.wires)
            }
            Due::Input { .. } => None,
            Due::Event(never) => match never {},
            Due::Synced { to, .. } => self.engine.handle_synced(to, &mut self.wires),
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

/// After this, all servers have welcomed each other. No leader is elected yet.
const ADMISSION: Span = Span::from_millis(10);

#[test]
fn every_server_answers_and_all_servers_know_the_result() {
    let (mut network, _) = Network::with_leader(5, true);
    for server in 0..5 {
        let number = server as u64;
        network.ask(server, number, put("name", &format!("Ada {server}")), PATIENCE);
        network.run(Span::from_millis(10));
        assert_eq!(network.wires.answers.remove(&number), Some(DONE));
        for other in 0..5 {
            network.ask(other, 99, get("name"), PATIENCE);
            network.run(Span::from_millis(10));
            assert_eq!(network.wires.answers.remove(&99), Some(value(&format!("Ada {server}"))));
        }
    }
    assert!(network.engine.machines().iter().all(|server| server.0.open_requests() == 0));
}

#[test]
fn without_forwarding_a_follower_says_that_it_does_not_lead() {
    let (mut network, leader) = Network::with_leader(3, false);
    for server in 0..3 {
        network.ask(server, server as u64, put("k", "v"), PATIENCE);
        network.run(Span::from_secs(1));
        let expected = if server == leader { DONE } else { Response::Redirect };
        assert_eq!(network.wires.answers[&(server as u64)], expected);
    }
}

#[test]
fn a_put_whose_answer_is_lost_is_sent_again_and_carried_out_once() {
    let (mut network, leader) = Network::with_leader(3, true);
    let follower = (leader + 1) % 3;
    let mut lost = 0;
    network.wires.lose = Box::new(move |_, _, message| {
        let loses = matches!(message, Message::Forwarded { .. }) && lost < 3;
        lost += u32::from(loses);
        loses
    });
    let swap = Update { key: "k".into(), value: "new".into(), expected: Some("".into()), request: None };
    network.ask(follower, 1, Operation::Update(Arc::new(swap)), PATIENCE);
    network.run(Span::from_millis(50));
    assert!(network.wires.answers.is_empty(), "the answer is lost");
    // If it were carried out twice, the second time would find the first one's value in place of the expected one.
    network.run(Span::from_secs(3));
    assert_eq!(network.wires.answers[&1], DONE);
}

#[test]
fn requests_move_to_the_next_leader_when_the_leader_dies() {
    let (mut network, leader) = Network::with_leader(5, true);
    let follower = (leader + 1) % 5;
    network.engine.fail_power(ReplicaId(leader as u8));
    network.ask(follower, 1, put("k", "v"), PATIENCE);
    network.ask(follower, 2, get("k"), PATIENCE);
    network.run(Span::from_secs(4));
    assert_eq!(network.wires.answers[&1], DONE);
    assert!(matches!(network.wires.answers[&2], Response::Ok { value: Some(_) }));
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
    assert_eq!((&network.wires.answers[&1], &network.wires.answers[&2]), (&Response::Fail, &Response::Fail));
}

#[test]
fn a_request_that_no_client_waits_for_is_not_carried_out_by_a_later_leader() {
    let mut network = Network::new(3, true);
    network.run(ADMISSION);
    network.wires.lose = Box::new(|_, _, _| true);
    network.ask(0, 1, put("k", "v"), Span::from_millis(100));
    network.ask(0, 2, get("k"), Span::from_millis(100));
    network.ask(0, 3, put("l", "v"), PATIENCE);
    network.run(Span::from_millis(200));
    assert_eq!((&network.wires.answers[&1], &network.wires.answers[&2]), (&Response::Fail, &Response::Fail));
    network.wires.lose = Box::new(|_, _, _| false);
    network.run(Span::from_secs(3));
    assert_eq!(network.wires.answers[&3], DONE);
    network.ask(1, 4, get("k"), PATIENCE);
    network.run(Span::from_secs(1));
    assert_eq!(network.wires.answers[&4], value(""));
}

#[test]
fn a_request_that_comes_while_there_is_no_leader_waits_for_one() {
    let mut network = Network::new(3, true);
    network.ask(0, 9, put("k", "v"), PATIENCE);
    assert!(network.wires.answers.is_empty(), "it does not take part yet, but may soon");
    network.run(ADMISSION);
    for server in 0..3 {
        network.ask(server, server as u64, put(&format!("k{server}"), "v"), PATIENCE);
    }
    network.run(Span::from_secs(4));
    assert!([0, 1, 2, 9].iter().all(|number| network.wires.answers[number] == DONE), "{:?}", network.wires.answers);
}

#[test]
fn a_server_that_cannot_take_part_fails_requests_soon() {
    let mut network = Network::new(3, true);
    network.wires.lose = Box::new(|_, _, _| true);
    network.ask(0, 1, put("k", "v"), PATIENCE);
    network.run(Span::from_millis(1_900));
    assert!(network.wires.answers.is_empty());
    network.run(Span::from_millis(200));
    assert_eq!(network.wires.answers[&1], Response::Fail);
}

#[test]
fn an_update_under_the_same_name_is_carried_out_once_whichever_server_is_asked() {
    let (mut network, _) = Network::with_leader(3, true);
    let name = Some(RequestId { client: 5, number: 1 });
    for server in 0..3 {
        let update = Update { key: "k".into(), value: format!("v{server}").into(), expected: None, request: name };
        network.ask(server, server as u64, Operation::Update(Arc::new(update)), PATIENCE);
        network.run(Span::from_millis(20));
        assert_eq!(network.wires.answers[&(server as u64)], DONE);
    }
    network.ask(0, 9, get("k"), PATIENCE);
    network.run(Span::from_millis(20));
    assert_eq!(network.wires.answers[&9], value("v0"));
}

/// The tokens of the requests that are passed on, from now on. All of these messages are lost.
fn lose_forwards(network: &mut Network) -> Rc<RefCell<Vec<u64>>> {
    let tokens = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&tokens);
    network.wires.lose = Box::new(move |_, _, message| match message {
        Message::Forward { token, .. } => {
            seen.borrow_mut().push(*token);
            true
        }
        _ => false,
    });
    tokens
}

#[test]
fn answers_that_match_no_request_are_ignored() {
    let (mut network, leader) = Network::with_leader(3, true);
    let follower = (leader + 1) % 3;
    let tokens = lose_forwards(&mut network);
    network.ask(follower, 1, get("k"), PATIENCE);
    let (from, to) = (ReplicaId(leader as u8), ReplicaId(follower as u8));
    let own = tokens.borrow()[0];
    for (token, response) in [(own, DONE), (own, Response::Redirect), (own, Response::Outdated), (own + 1, value("v"))]
    {
        network.hand(to, Input::Peer { from, message: Message::Forwarded { token, response } });
    }
    assert!(network.wires.answers.is_empty());
    network.hand(to, Input::Peer { from, message: Message::Forwarded { token: own, response: value("v") } });
    assert_eq!(network.wires.answers[&1], value("v"));
}

#[test]
fn a_failure_counts_only_if_it_comes_from_the_leader_that_was_asked_last() {
    let (mut network, leader) = Network::with_leader(3, true);
    let (follower, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let tokens = lose_forwards(&mut network);
    network.ask(follower, 1, put("k", "v"), PATIENCE);
    let token = tokens.borrow()[0];
    let failure = |from: usize| Input::Peer {
        from: ReplicaId(from as u8),
        message: Message::Forwarded { token, response: Response::Fail },
    };
    network.hand(ReplicaId(follower as u8), failure(other));
    assert!(network.wires.answers.is_empty());
    network.hand(ReplicaId(follower as u8), failure(leader));
    assert_eq!(network.wires.answers[&1], Response::Fail);
}

#[test]
fn a_server_that_never_hears_the_leader_is_served_through_the_others() {
    let (mut network, leader) = Network::with_leader(5, true);
    let deaf = (leader + 1) % 5;
    network.wires.lose = Box::new(move |from, to, _| (from.index(), to.index()) == (leader, deaf));
    for (number, operation) in [(1, put("k", "v")), (2, get("k"))] {
        network.ask(deaf, number, operation, PATIENCE);
        network.run(PATIENCE);
    }
    assert_eq!((&network.wires.answers[&1], &network.wires.answers[&2]), (&DONE, &value("v")));
    // It knows by now that it hears of no leader.
    network.ask(deaf, 3, put("k", "w"), PATIENCE);
    network.run(Span::from_millis(300));
    assert_eq!(network.wires.answers[&3], DONE);
    assert_eq!(network.engine.machines()[deaf].0.raft().leader(), None);
}

#[test]
fn a_server_that_the_leader_never_hears_is_served_through_the_others_and_then_at_once() {
    let (mut network, leader) = Network::with_leader(5, true);
    let mute = (leader + 1) % 5;
    network.wires.lose = Box::new(move |from, to, message| {
        (from.index(), to.index()) == (mute, leader) && matches!(message, Message::Forward { .. })
    });
    network.ask(mute, 1, put("k", "v"), PATIENCE);
    network.run(Span::from_millis(900));
    assert!(network.wires.answers.is_empty());
    network.run(Span::from_millis(800));
    assert_eq!(network.wires.answers[&1], DONE);
    for number in 2..5 {
        network.ask(mute, number, put("k", "w"), PATIENCE);
        network.run(Span::from_millis(50));
        assert_eq!(network.wires.answers[&number], DONE, "it knows by now that the leader does not answer");
    }
}

#[test]
fn one_update_that_comes_by_several_routes_is_in_the_log_once_and_answered_each_time() {
    let (mut network, leader) = Network::with_leader(3, true);
    let before = network.engine.machines()[leader].0.raft().log().last_index();
    let request = Some(RequestId { client: 5, number: 1 });
    let update = Arc::new(Update { key: "k".into(), value: "v".into(), expected: None, request });
    for number in 0..6 {
        network.ask(number as usize % 3, number, Operation::Update(Arc::clone(&update)), PATIENCE);
    }
    network.run(Span::from_millis(50));
    assert!((0..6).all(|number| network.wires.answers[&number] == DONE), "{:?}", network.wires.answers);
    assert_eq!(network.engine.machines()[leader].0.raft().log().last_index(), before + 1);
}

#[test]
fn an_update_that_a_later_one_of_its_client_has_overtaken_is_outdated() {
    let (mut network, _) = Network::with_leader(3, true);
    for (place, number) in [(0, 2), (1, 1)] {
        let request = Some(RequestId { client: 5, number });
        let update = Update { key: "k".into(), value: format!("v{number}").into(), expected: None, request };
        network.ask(place as usize, place, Operation::Update(Arc::new(update)), PATIENCE);
        network.run(Span::from_millis(50));
    }
    assert_eq!((&network.wires.answers[&0], &network.wires.answers[&1]), (&DONE, &Response::Outdated));
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
                Response::Ok { value: None } => current = next,
                // It failed, but may have been carried out; a read shows that.
                Response::Fail => {
                    let read = 1_000 + number;
                    network.ask(server, read, get("k"), Span::from_secs(60));
                    network.run(Span::from_secs(60));
                    let Response::Ok { value: Some(value) } = &network.wires.answers[&read] else { continue };
                    assert!(**value == *current || **value == *next, "{value}");
                    current = value.to_string();
                }
                other => panic!("seed {seed}, {number}: {other:?}, current {current}"),
            }
        }
    }
}

#[test]
fn servers_that_start_again_have_everything_that_was_acknowledged_and_take_part_at_once() {
    for seed in 0..8 {
        let mut network = Network::with_disks(5, seed);
        network.run(Span::from_secs(3));
        let mut random = Stream::new(seed, "restarts");
        let mut newest: BTreeMap<u64, String> = BTreeMap::new();
        for round in 0..30_u64 {
            let (key, text) = (random.below(6), format!("value {round} {}", "x".repeat(random.below(90) as usize)));
            let put = put(&format!("key {key}"), &text);
            assert_eq!(network.surely(2 * round, &put), DONE);
            newest.insert(key, text);
            // A majority, or all.
            let first = random.below(5) as usize;
            let count = 3 + random.below(3) as usize;
            network.restart((first..first + count).map(|server| server % 5), Span::from_millis(random.below(2_000)));
            let admitted = network.engine.machines().iter().filter(|server| server.0.admission().is_admitted());
            assert_eq!(admitted.count(), 5, "seed {seed}, round {round}");
            let asked = random.below(6);
            let expected = newest.get(&asked).cloned().unwrap_or_default();
            let found = network.surely(2 * round + 1, &get(&format!("key {asked}")));
            assert_eq!(found, value(&expected), "seed {seed}, round {round}");
        }
        let compacted = network.engine.machines().iter().filter(|server| server.0.raft().log().first_index() > 1);
        assert!(compacted.count() >= 3, "seed {seed}: the disks have checkpoints");
    }
}

#[test]
fn an_update_that_is_sent_again_after_all_servers_have_started_again_is_carried_out_once() {
    let mut network = Network::with_disks(3, 7);
    network.run(Span::from_secs(3));
    let request = Some(RequestId { client: 5, number: 1 });
    let swap = Update { key: "k".into(), value: "new".into(), expected: Some("".into()), request };
    let swap = Operation::Update(Arc::new(swap));
    assert_eq!(network.surely(1, &swap), DONE);
    for round in 2..12 {
        // The memory of the client is in a snapshot by and by.
        assert_eq!(network.surely(100 * round, &put("other", &"x".repeat(100))), DONE);
        network.restart(0..3, Span::from_millis(10));
        // Without that memory, it would find the first one's value in place of the expected one.
        assert_eq!(network.surely(100 * round + 50, &swap), DONE, "round {round}");
    }
    assert!(network.engine.machines()[0].0.raft().log().first_index() > 1);
}

#[test]
fn a_server_whose_disk_was_wiped_is_refused_and_ends() {
    let mut network = Network::with_disks(3, 7);
    network.run(Span::from_secs(3));
    let server = ReplicaId(1);
    network.engine.fail_power(server);
    network.engine.disk_mut(server).expect("a disk").wipe();
    assert_eq!(network.engine.restart(server), Ok(()));
    let mut ends = Vec::new();
    for _ in 0..200 {
        if network.engine.conditions()[1].state == State::Down {
            break;
        }
        ends.extend(network.step());
    }
    assert!(ends.iter().any(|Exit(why)| why.contains("has lost its memory")), "{ends:?}");
}
