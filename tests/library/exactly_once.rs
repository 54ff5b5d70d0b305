//! Clients that never give up: each counts with compare-and-swap and sends every update again until it is answered, to
//! any replica. Whatever the network loses, repeats and delays, and however often leaders hand over, logs are compacted
//! and replicas start again from their disks, the counter is in the end what was counted, and Raft's invariants hold after
//! each input.

use seedbed::check::raft::Invariants;
use seedbed::engine::{Ahead, Carrier, Delay, Due, Engine, State};
use seedbed::id::{ClientId, Mid, ReplicaId, ReplicaSet};
use seedbed::machine::{Boot, Emission, Input};
use seedbed::rng::Stream;
use seedbed::service::{Operation, RequestId, Response, Text, Update};
use seedbed::time::{Span, Time};
use seedbed_core::raft::{self, Entry, Mutant, Rule, Rules, Sound};
use seedbed_core::replica::{Config, Replica};

const CLIENTS: usize = 4;

enum Event {
    Request {
        client: usize,
        to: ReplicaId,
        mid: Mid,
    },
    Answer {
        client: usize,
        mid: Mid,
        response: Response,
    },
    /// A client sends its update, for the first time or again.
    Send {
        client: usize,
        number: u64,
    },
    HandOver,
    /// The power of this many replicas fails.
    Crash(u64),
    /// All that are down start again.
    Restart,
}

/// What a client is about: it counts one further than it believes the counter to be.
#[derive(Default)]
struct Counter {
    number: u64,
    believed: Text,
    counted: u64,
}

#[derive(Debug, Default)]
struct Tally {
    counted: u64,
    handovers: u64,
    /// Elections of those to whom leadership was handed over.
    successors: u64,
    installed: u64,
    retries: u64,
    restarts: u64,
    /// Power failures that took records that were not synced.
    forgotten: u64,
}

/// A network that loses, repeats and delays.
struct Network {
    dice: Stream,
    loss: f64,
}

impl Network {
    /// When the copies of one message arrive: mostly soon, seldom very late, and now and then twice or never.
    fn arrivals(&mut self, now: Time) -> impl Iterator<Item = Time> {
        let copies = if self.dice.chance(self.loss) { 0 } else { 1 + usize::from(self.dice.chance(0.05)) };
        let times = [(); 2].map(|()| {
            let most = if self.dice.chance(0.02) { 400_000 } else { 4_000 };
            now + Span::from_micros(1 + self.dice.below(most))
        });
        times.into_iter().take(copies)
    }
}

impl<R: Rules> Carrier<Replica<R>, Event> for Network {
    fn carry(
        &mut self,
        now: Time,
        from: ReplicaId,
        emission: Emission<Replica<R>>,
        ahead: &mut Ahead<Replica<R>, Event>,
    ) {
        match emission {
            Emission::Send { to, message } => {
                for at in self.arrivals(now) {
                    ahead.input(at, to, Input::Peer { from, message: message.clone() });
                }
            }
            Emission::Reply { to, mid, response } => {
                for at in self.arrivals(now) {
                    ahead.event(at, Event::Answer { client: usize::from(to.0), mid, response: response.clone() });
                }
            }
        }
    }
}

struct Cluster<R: Rules> {
    engine: Engine<'static, Replica<R>, Event>,
    network: Network,
    log_bytes_max: usize,
    invariants: Invariants,
    attempts: u64,
    dice: Stream,
    clients: [Counter; CLIENTS],
    tally: Tally,
    /// To which replica leadership was handed over last.
    successor: Option<ReplicaId>,
}

impl<R: Rules> Cluster<R> {
    fn new(seed: u64, rules: R) -> Cluster<R> {
        let mut dice = Stream::new(seed, "exactly once");
        let replicas = *dice.pick(&[2, 3, 3, 5]).expect("sizes");
        let config = Config {
            raft: raft::Config {
                election_timeout_min: Span::from_millis(100),
                election_timeout_max: Span::from_millis(200),
                heartbeat: Span::from_millis(50),
                round_trip_guess: Span::from_millis(10),
                batch_bytes_max: *dice.pick(&[1, 200, 32_768]).expect("sizes"),
                ..raft::Config::default()
            },
            held_time_max: Span::from_millis(500),
            log_bytes_max: *dice.pick(&[1, 300, usize::MAX]).expect("sizes"),
            ..Config::default()
        };
        let log_bytes_max = config.log_bytes_max;
        let start = move |boot: Boot<_>| Replica::boot(boot, config.clone(), rules);
        let syncs = Delay::Uniform { min: Span::from_micros(100), max: Span::from_millis(20) };
        let mut cluster = Cluster {
            engine: Engine::booting(replicas, seed, Some(syncs), start),
            network: Network { loss: dice.unit() * 0.3, dice: Stream::new(seed, "network") },
            log_bytes_max,
            invariants: Invariants::new(),
            attempts: 0,
            dice,
            clients: Default::default(),
            tally: Tally::default(),
            successor: None,
        };
        for client in 0..CLIENTS {
            cluster.begin(client);
        }
        for millis in (300..3_000).step_by(170) {
            let at = Time::ZERO + Span::from_millis(millis + cluster.dice.below(100));
            cluster.engine.ahead().event(at, Event::HandOver);
        }
        for millis in (500..2_900).step_by(400) {
            let at = Time::ZERO + Span::from_millis(millis + cluster.dice.below(200));
            let back = at + Span::from_millis(cluster.dice.below(150));
            let replicas = 1 + cluster.dice.below(replicas as u64);
            cluster.engine.ahead().event(at, Event::Crash(replicas));
            cluster.engine.ahead().event(back, Event::Restart);
        }
        cluster
    }

    /// A client begins with its next update.
    fn begin(&mut self, client: usize) {
        let number = self.clients[client].number + 1;
        self.clients[client].number = number;
        let now = self.engine.now();
        self.engine.ahead().event(now, Event::Send { client, number });
    }

    fn update(&self, client: usize) -> Update {
        let Counter { number, believed, .. } = &self.clients[client];
        let next: u64 = if believed.is_empty() { 1 } else { believed.parse::<u64>().expect("a count") + 1 };
        let request = Some(RequestId { client: client as u64, number: *number });
        Update { key: "counter".into(), value: next.to_string().into(), expected: Some(believed.clone()), request }
    }

    fn run(&mut self, end: Time) {
        loop {
            let (arrival, timeout) = (self.engine.next_arrival(), self.engine.next_timeout());
            if arrival.min(timeout) > end {
                return;
            }
            self.engine.advance(arrival.min(timeout));
            if timeout < arrival {
                self.hand(self.engine.next_to_time_out(), Input::Timeout);
                continue;
            }
            match self.engine.take_arrival() {
                Some(Due::Input { to, input }) => self.hand(to, input),
                Some(Due::Event(event)) => self.handle_event(event),
                Some(Due::Synced { to, .. }) => {
                    assert_eq!(self.engine.handle_synced(to, &mut self.network), None);
                    self.look(to);
                }
                None => {}
            }
        }
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Request { client, to, mid } => {
                // A late one is of an older update, which the replicas must tell by its number. The world here has
                // forgotten it, so it is left out.
                if mid.0 >> 32 == self.clients[client].number {
                    let request = Operation::Update(self.update(client).into());
                    self.hand(to, Input::Client { from: ClientId(client as u16), mid, request });
                }
            }
            Event::Answer { client, mid, response } => self.answer(client, mid, &response),
            Event::Send { client, number } => self.send(client, number),
            Event::HandOver => self.hand_over(),
            Event::Crash(replicas) => (0..replicas).for_each(|_| self.crash()),
            Event::Restart => self.restart(),
        }
    }

    fn replicas(&self) -> impl Iterator<Item = ReplicaId> + use<R> {
        ReplicaId::all(self.engine.machines().len())
    }

    fn is_up(&self, id: ReplicaId) -> bool {
        self.engine.conditions()[id.index()].state == State::Up
    }

    fn leader(&self) -> Option<ReplicaId> {
        self.replicas().find(|&id| self.is_up(id) && self.engine.machines()[id.index()].raft().is_leader())
    }

    /// The power of the leader or of any other replica fails.
    fn crash(&mut self) {
        let any = ReplicaId(self.dice.below(self.engine.machines().len() as u64) as u8);
        let leader = self.leader().filter(|_| self.dice.chance(0.5));
        let failure = self.engine.fail_power(leader.unwrap_or(any));
        self.tally.forgotten += u64::from(failure.lost > 0);
    }

    fn restart(&mut self) {
        for id in self.replicas().filter(|&id| !self.is_up(id)).collect::<Vec<_>>() {
            self.engine.restart(id).expect("no record is damaged");
            self.tally.restarts += 1;
            self.invariants.look_again(self.engine.now(), self.engine.machines(), id);
        }
    }

    fn send(&mut self, client: usize, number: u64) {
        if number != self.clients[client].number {
            return;
        }
        let to = ReplicaId(self.dice.below(self.engine.machines().len() as u64) as u8);
        let leader = self.leader().filter(|_| self.dice.chance(0.7));
        self.attempts += 1;
        // The number of the update, and of the attempt.
        let (to, mid) = (leader.unwrap_or(to), Mid((number << 32) + self.attempts));
        let now = self.engine.now();
        for at in self.network.arrivals(now) {
            self.engine.ahead().event(at, Event::Request { client, to, mid });
        }
        let again = now + Span::from_millis(20 + self.dice.below(200));
        self.engine.ahead().event(again, Event::Send { client, number });
        self.tally.retries += 1;
    }

    fn answer(&mut self, client: usize, mid: Mid, response: &Response) {
        let next = self.update(client).value;
        let counter = &mut self.clients[client];
        if mid.0 >> 32 != counter.number {
            return;
        }
        match response {
            Response::Ok { value: None } => {
                counter.counted += 1;
                self.tally.counted += 1;
                counter.believed = next;
            }
            Response::Ok { value: Some(found) } => counter.believed = found.clone(),
            // It is sent again in time.
            Response::Fail | Response::Redirect | Response::Outdated => return,
        }
        self.begin(client);
    }

    fn hand_over(&mut self) {
        let Some(leader) = self.leader() else { return };
        (self.successor, _) = self.engine.act(leader, &mut self.network, Replica::hand_over);
        self.tally.handovers += u64::from(self.successor.is_some());
        self.look(leader);
    }

    fn hand(&mut self, id: ReplicaId, input: Input<Replica<R>>) {
        if !self.is_up(id) {
            return;
        }
        let replica = &self.engine.machines()[id.index()];
        let (applied, led) = (replica.applied(), replica.raft().is_leader());
        assert_eq!(self.engine.handle(id, input, &mut self.network), None);
        let replica = &self.engine.machines()[id.index()];
        self.tally.installed += u64::from(replica.raft().log().first_index() > applied + 1);
        self.tally.successors += u64::from(replica.raft().is_leader() && !led && self.successor == Some(id));
        self.look(id);
    }

    fn look(&mut self, id: ReplicaId) {
        let living: ReplicaSet = self.replicas().filter(|&id| self.is_up(id)).collect();
        self.invariants.look(self.engine.now(), self.engine.machines(), living, id);
    }

    /// Runs to the end, and says what is wrong then.
    fn play(&mut self) -> Option<String> {
        self.run(Time::ZERO + Span::from_secs(3));
        // Nothing is lost any more, nobody begins anything new, and all come to the same.
        self.network.loss = 0.0;
        let pending = self.clients.each_ref().map(|client| client.number);
        self.run(Time::ZERO + Span::from_secs(5));
        if let Some(violation) = self.invariants.violation() {
            return Some(violation.explanation.clone());
        }
        if self.clients.iter().zip(pending).any(|(client, number)| client.number <= number) {
            return Some("a client makes no progress".to_owned());
        }
        for replica in self.engine.machines().iter().filter(|_| self.log_bytes_max < usize::MAX) {
            let log = replica.raft().log();
            let bytes: usize = log.from(1).iter().map(Entry::bytes).sum();
            if bytes > 2_000 || log.last_index() < 100 {
                return Some(format!("a log up to {} has {bytes} bytes", log.last_index()));
            }
        }
        let newest = self.engine.machines().iter().max_by_key(|replica| replica.applied())?;
        let value: u64 = newest.store().get("counter").map_or(0, |value| value.parse().expect("a count"));
        let acknowledged: u64 = self.clients.iter().map(|client| client.counted).sum();
        let under_way = value.checked_sub(acknowledged);
        let is_right = under_way.is_some_and(|some| some <= CLIENTS as u64);
        (!is_right).then(|| format!("{acknowledged} were acknowledged, and {value} counted"))
    }
}

#[test]
fn what_is_counted_is_what_was_acknowledged_whatever_happens() {
    let mut sum = Tally::default();
    for seed in 0..300 {
        let mut cluster = Cluster::new(seed, Sound);
        assert_eq!(cluster.play(), None, "seed {seed}");
        let Tally { counted, handovers, successors, installed, retries, restarts, forgotten } = cluster.tally;
        sum.counted += counted;
        sum.handovers += handovers;
        sum.successors += successors;
        sum.installed += installed;
        sum.retries += retries;
        sum.restarts += restarts;
        sum.forgotten += forgotten;
    }
    println!("{sum:?}");
    assert!(sum.counted > 10_000 && sum.retries > sum.counted, "{sum:?}");
    assert!(sum.successors > sum.handovers / 3 && sum.handovers > 1_000, "{sum:?}");
    assert!(sum.installed > 100, "{sum:?}");
    assert!(sum.restarts > 2_000 && sum.forgotten > 400, "{sum:?}");
}

#[test]
fn counts_are_lost_by_replicas_that_acknowledge_before_their_disks_have_it() {
    for rule in [Rule::SyncBeforeAcknowledging, Rule::CountOwnSync, Rule::PersistTruncations] {
        let problem = (0..300).find_map(|seed| Cluster::new(seed, Mutant(rule)).play());
        assert!(problem.is_some(), "{rule} loses nothing");
    }
}
