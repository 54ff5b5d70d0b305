//! A few replicas with a clock, a network and clients that a script drives by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use seedbed::check::raft::Invariants;
use seedbed::engine::{Ahead, Carrier, Engine};
use seedbed::id::{ClientId, Mid, ReplicaId, ReplicaSet};
use seedbed::machine::{Emission, Input, Machine, Outbox};
use seedbed::service::{Operation, Service};
use seedbed::time::{Span, Time};
use seedbed_core::raft::{self, Role, Vote};
use seedbed_core::replica::{Config, Replica};

use super::network::{Filter, Network, Packet};
use super::notation::{Message, Result, show_message, show_operation, show_response, show_status};

/// Delivering this often without getting quiet is an endless exchange.
const ROUNDS_MAX: usize = 200;

pub struct Cluster {
    engine: Engine<'static, Replica, Infallible>,
    /// Those that only stand there: the script plays them.
    played: ReplicaSet,
    pub wires: Wires,
    invariants: Invariants,
    /// The time that the reader was told last.
    told: Time,
}

/// The network, and what it has carried.
#[derive(Default)]
pub struct Wires {
    pub network: Network,
    /// Those who are played do not get what they are sent.
    played: ReplicaSet,
    /// When the newest append was sent, by sender and receiver.
    appended: BTreeMap<(ReplicaId, ReplicaId), Time>,
    requests: BTreeMap<(ClientId, Mid), Operation>,
    answered: BTreeSet<(ReplicaId, ClientId, Mid)>,
    output: String,
    /// The time of the last line of output.
    shown: Time,
    /// Whom the replica that acts believes to lead.
    leader: Option<ReplicaId>,
}

/// Round numbers, so that a script can be followed in the head.
pub fn config() -> Config {
    Config {
        raft: raft::Config {
            election_timeout_min: Span::from_millis(100),
            election_timeout_max: Span::from_millis(200),
            heartbeat: Span::from_millis(50),
            round_trip_guess: Span::from_millis(20),
            retry_min: Span::from_millis(20),
            suspect_after: 3,
            batch_bytes_max: 1_000,
            inflight_max: 4,
            // The lease is 90 ms.
            ..raft::Config::default()
        },
        held_requests_max: 100,
        held_time_max: Span::from_millis(1_000),
        probe_after: Span::from_millis(5),
        ..Config::default()
    }
}

impl Carrier<Replica, Infallible> for Wires {
    fn begin(&mut self, _: Time, _: ReplicaId, replica: &Replica) {
        self.leader = replica.leader();
    }

    fn carry(&mut self, now: Time, from: ReplicaId, emission: Emission<Replica>, _: &mut Ahead<Replica, Infallible>) {
        let line = self.line(now, from, emission);
        if self.shown != now {
            self.output += &format!("[{} ms]\n", now.nanos() / 1_000_000);
            self.shown = now;
        }
        self.output += &line;
        self.output.push('\n');
    }
}

impl Wires {
    fn line(&mut self, now: Time, from: ReplicaId, emission: Emission<Replica>) -> String {
        match emission {
            Emission::Send { to, message } => {
                if matches!(message, Message::AppendEntries(_) | Message::InstallSnapshot(_)) {
                    self.appended.insert((from, to), now);
                }
                let lost = self.network.loses(from, to);
                let line =
                    format!("{}→{} {}{}", from.0, to.0, show_message(&message), if lost { " (lost)" } else { "" });
                if !lost && !self.played.contains(to) {
                    self.network.under_way.push(Packet { from, to, message });
                }
                line
            }
            Emission::Reply { to, mid, response } => {
                assert!(self.answered.insert((from, to, mid)), "{from} answers {mid} of {to} twice");
                let asked = show_operation(&self.requests[&(to, mid)]);
                format!("{} answers {asked}: {}", from.0, show_response(&response, self.leader))
            }
        }
    }
}

impl Cluster {
    pub fn start(ids: impl Iterator<Item = ReplicaId>, replicas: usize, config: &Config) -> Result<Cluster> {
        config.validate()?;
        let running: ReplicaSet = ids.collect();
        let played = ReplicaId::all(replicas).filter(|&id| !running.contains(id)).collect();
        let config = config.clone();
        let start = move |identity| Replica::new(identity, config.clone()).expect("the configuration is valid");
        Ok(Cluster {
            engine: Engine::new(replicas, 1, start),
            played,
            wires: Wires { played, ..Wires::default() },
            invariants: Invariants::default(),
            told: Time::ZERO,
        })
    }

    pub fn now(&self) -> Time {
        self.engine.now()
    }

    /// What has happened since the last call. What the reader does not see does not tell the time.
    pub fn take_output(&mut self, silent: bool) -> String {
        if !silent {
            self.told = self.wires.shown;
        }
        self.wires.shown = self.told;
        std::mem::take(&mut self.wires.output)
    }

    /// Moves the clock to the first whole millisecond at which this replica has a timeout, which it takes.
    pub fn timeout(&mut self, id: ReplicaId) -> Result<()> {
        let due = self.replica(id)?.poll_timeout();
        if due == Time::NEVER {
            return Err("this replica waits for no timeout".into());
        }
        self.engine.advance(whole_millisecond(due));
        self.hand(id, [Input::Timeout])
    }

    /// Moves the clock; every replica takes the timeouts that fall due, in order. If asked to, messages arrive at once.
    pub fn wait(&mut self, span: Span, delivering: bool) -> Result<()> {
        let end = self.now() + span;
        for _ in 0..ROUNDS_MAX {
            if delivering {
                self.settle()?;
            }
            let alive = self.running().filter(|&(id, _)| !self.wires.network.dead.contains(id));
            let next = alive.map(|(id, replica)| (whole_millisecond(replica.poll_timeout()).max(self.now()), id)).min();
            let Some((due, id)) = next.filter(|&(due, _)| due <= end) else {
                self.engine.advance(end);
                return Ok(());
            };
            self.engine.advance(due);
            self.hand(id, [Input::Timeout])?;
        }
        Err("timeouts without end".into())
    }

    /// Hands a replica inputs of one moment, and then the timeout if they make it due at once.
    pub fn hand(&mut self, id: ReplicaId, inputs: impl IntoIterator<Item = Input<Replica>>) -> Result<()> {
        let overdue = self.replica(id)?.poll_timeout() <= self.now();
        for input in inputs {
            self.act(id, |replica, now, out| replica.handle(now, input, out));
        }
        if !overdue && self.replica(id)?.poll_timeout() <= self.now() {
            self.act(id, |replica, now, out| replica.handle(now, Input::Timeout, out));
        }
        Ok(())
    }

    fn act<T>(&mut self, id: ReplicaId, act: impl FnOnce(&mut Replica, Time, &mut Outbox<Replica>) -> T) -> T {
        let (done, exit) = self.engine.act_once(id, &mut self.wires, act);
        assert_eq!(exit, None);
        let replicas = self.engine.machines();
        let living = ReplicaId::all(replicas.len()).filter(|&id| !self.wires.network.dead.contains(id)).collect();
        self.invariants.look(self.engine.now(), replicas, living, id);
        assert_eq!(self.invariants.violation(), None);
        done
    }

    pub fn deliver(&mut self, filter: &Filter) -> Result<()> {
        for Packet { from, to, message } in self.wires.network.take(filter)? {
            if !self.wires.network.dead.contains(to) {
                self.hand(to, [Input::Peer { from, message }])?;
            }
        }
        Ok(())
    }

    pub fn settle(&mut self) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            if self.wires.network.under_way.is_empty() {
                return Ok(());
            }
            self.deliver(&Filter::default())?;
        }
        Err("messages without end".into())
    }

    /// When the newest append from one replica to another was sent.
    pub fn newest_append(&self, from: ReplicaId, to: ReplicaId) -> Option<Time> {
        self.wires.appended.get(&(from, to)).copied()
    }

    pub fn request(&mut self, id: ReplicaId, from: ClientId, operations: Vec<(Mid, Operation)>) -> Result<()> {
        let inputs = operations.into_iter().map(|(mid, request)| {
            self.wires.requests.insert((from, mid), request.clone());
            Input::Client { from, mid, request }
        });
        let inputs: Vec<Input<Replica>> = inputs.collect();
        self.hand(id, inputs)
    }

    /// Tells a replica to hand over; says to which one it does.
    pub fn hand_over(&mut self, id: ReplicaId) -> Result<String> {
        self.replica(id)?;
        let successor = self.act(id, Replica::hand_over);
        let name = successor.map_or("nobody".to_string(), |id| id.0.to_string());
        Ok(format!("{} hands over to {name}\n", id.0))
    }

    /// Elects a replica; those that the script plays vote for it.
    pub fn elect(&mut self, id: ReplicaId) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            self.settle()?;
            let raft = self.replica(id)?.raft();
            let (role, term) = (raft.role(), raft.term());
            if role == Role::Leader {
                return Ok(());
            }
            if role == Role::Follower || self.played.is_empty() {
                self.timeout(id)?;
                continue;
            }
            let pre = role == Role::PreCandidate;
            let vote = Message::Vote(Vote { term: term + u64::from(pre), granted: true, pre });
            for from in self.played.iter() {
                if self.replica(id)?.raft().role() == role {
                    self.hand(id, [Input::Peer { from, message: vote.clone() }])?;
                }
            }
        }
        Err("it is not elected".into())
    }

    pub fn status(&self, ids: &[ReplicaId]) -> Result<String> {
        let mut text = String::new();
        for (id, replica) in self.running() {
            if ids.is_empty() || ids.contains(&id) {
                text += &format!("{} {}\n", id.0, show_status(replica));
            }
        }
        Ok(text)
    }

    fn replica(&self, id: ReplicaId) -> Result<&Replica> {
        let runs = |_: &&Replica| !self.played.contains(id);
        self.engine.machines().get(id.index()).filter(runs).ok_or_else(|| "this replica is played by the script".into())
    }

    fn running(&self) -> impl Iterator<Item = (ReplicaId, &Replica)> {
        let replicas = self.engine.machines();
        let all = ReplicaId::all(replicas.len()).zip(replicas);
        all.filter(|&(id, _)| !self.played.contains(id))
    }
}

fn whole_millisecond(time: Time) -> Time {
    Time(time.nanos().checked_next_multiple_of(1_000_000).unwrap_or(u64::MAX))
}
