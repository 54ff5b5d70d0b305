//! A few replicas with a clock, a network and clients that a script drives by hand.

use std::collections::{BTreeMap, BTreeSet};

use seedbed::check::raft::Invariants;
use seedbed::id::{ClientId, Mid, ReplicaId, ReplicaSet};
use seedbed::protocol::{Effect, Identity, Input, Operation, Outbox, Protocol, Request};
use seedbed::raft::{self, Role, Vote};
use seedbed::replica::{Config, Replica};
use seedbed::time::{Span, Time};

use super::network::{Filter, Network, Packet};
use super::notation::{Message, Result, show_message, show_operation, show_response, show_status};

/// Delivering this often without getting quiet is an endless exchange.
const ROUNDS_MAX: usize = 200;

#[derive(Default)]
pub struct Cluster {
    pub now: Time,
    replicas: Vec<Replica>,
    /// Those that only stand there: the script plays them.
    played: ReplicaSet,
    pub network: Network,
    /// When the newest append was sent, by sender and receiver.
    appended: BTreeMap<(ReplicaId, ReplicaId), Time>,
    requests: BTreeMap<(ClientId, Mid), Operation>,
    answered: BTreeSet<(ReplicaId, ClientId, Mid)>,
    invariants: Invariants,
    output: String,
    /// The time of the last line of output, and of the last one that the reader saw.
    shown: Time,
    told: Time,
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

impl Cluster {
    pub fn start(ids: impl Iterator<Item = ReplicaId>, replicas: usize, config: &Config) -> Result<Cluster> {
        let start = |id| Ok(Replica::new(Identity { id, replicas, seed: 1 }, config.clone())?);
        let all: Vec<Replica> = ReplicaId::all(replicas).map(start).collect::<Result<_>>()?;
        let running: ReplicaSet = ids.collect();
        let played = ReplicaId::all(replicas).filter(|&id| !running.contains(id)).collect();
        Ok(Cluster { replicas: all, played, ..Cluster::default() })
    }

    /// What has happened since the last call. What the reader does not see does not tell the time.
    pub fn take_output(&mut self, silent: bool) -> String {
        if !silent {
            self.told = self.shown;
        }
        self.shown = self.told;
        std::mem::take(&mut self.output)
    }

    /// Moves the clock to the first whole millisecond at which this replica has a timeout, which it takes.
    pub fn timeout(&mut self, id: ReplicaId) -> Result<()> {
        let due = self.replica(id)?.poll_timeout();
        if due == Time::NEVER {
            return Err("this replica waits for no timeout".into());
        }
        self.now = self.now.max(whole_millisecond(due));
        self.hand(id, [Input::Timeout])
    }

    /// Moves the clock; every replica takes the timeouts that fall due, in order. If asked to, messages arrive at once.
    pub fn wait(&mut self, span: Span, delivering: bool) -> Result<()> {
        let end = self.now + span;
        for _ in 0..ROUNDS_MAX {
            if delivering {
                self.settle()?;
            }
            let alive = self.running().filter(|&(id, _)| !self.network.dead.contains(id));
            let next = alive.map(|(id, replica)| (whole_millisecond(replica.poll_timeout()).max(self.now), id)).min();
            let Some((due, id)) = next.filter(|&(due, _)| due <= end) else {
                self.now = end;
                return Ok(());
            };
            self.now = due;
            self.hand(id, [Input::Timeout])?;
        }
        Err("timeouts without end".into())
    }

    /// Hands a replica inputs of one moment, and then the timeout if they make it due at once.
    pub fn hand(&mut self, id: ReplicaId, inputs: impl IntoIterator<Item = Input<Message>>) -> Result<()> {
        let now = self.now;
        let overdue = self.replica(id)?.poll_timeout() <= now;
        for input in inputs {
            self.step(id, input)?;
        }
        if !overdue && self.replica(id)?.poll_timeout() <= now {
            self.step(id, Input::Timeout)?;
        }
        Ok(())
    }

    fn step(&mut self, id: ReplicaId, input: Input<Message>) -> Result<()> {
        let mut out = Outbox::new();
        self.replica(id)?;
        let now = self.now;
        self.replicas[id.index()].handle(now, input, &mut out);
        self.carry_out_all(id, out);
        Ok(())
    }

    fn carry_out_all(&mut self, id: ReplicaId, mut out: Outbox<Message>) {
        for effect in out.drain() {
            let line = self.carry_out(id, effect);
            if self.shown != self.now {
                self.output += &format!("[{} ms]\n", self.now.nanos() / 1_000_000);
                self.shown = self.now;
            }
            self.output += &line;
            self.output.push('\n');
        }
        let living = ReplicaId::all(self.replicas.len()).filter(|&id| !self.network.dead.contains(id)).collect();
        self.invariants.look(self.now, &self.replicas, living, id);
        assert_eq!(self.invariants.violation(), None);
    }

    fn carry_out(&mut self, id: ReplicaId, effect: Effect<Message>) -> String {
        match effect {
            Effect::Send { to, message } => {
                if matches!(message, Message::AppendEntries(_) | Message::InstallSnapshot(_)) {
                    self.appended.insert((id, to), self.now);
                }
                let lost = self.network.loses(id, to);
                let line = format!("{}→{} {}{}", id.0, to.0, show_message(&message), if lost { " (lost)" } else { "" });
                if !lost && !self.played.contains(to) {
                    self.network.under_way.push(Packet { from: id, to, message });
                }
                line
            }
            Effect::Reply { to, mid, response } => {
                assert!(self.answered.insert((id, to, mid)), "{id} answers {mid} of {to} twice");
                let asked = show_operation(&self.requests[&(to, mid)]);
                format!("{} answers {asked}: {}", id.0, show_response(&response, &self.replicas[id.index()]))
            }
        }
    }

    pub fn deliver(&mut self, filter: &Filter) -> Result<()> {
        for Packet { from, to, message } in self.network.take(filter)? {
            if !self.network.dead.contains(to) {
                self.hand(to, [Input::Peer { from, message }])?;
            }
        }
        Ok(())
    }

    pub fn settle(&mut self) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            if self.network.under_way.is_empty() {
                return Ok(());
            }
            self.deliver(&Filter::default())?;
        }
        Err("messages without end".into())
    }

    /// When the newest append from one replica to another was sent.
    pub fn newest_append(&self, from: ReplicaId, to: ReplicaId) -> Option<Time> {
        self.appended.get(&(from, to)).copied()
    }

    pub fn request(&mut self, id: ReplicaId, from: ClientId, operations: Vec<(Mid, Operation)>) -> Result<()> {
        let inputs = operations.into_iter().map(|(mid, operation)| {
            self.requests.insert((from, mid), operation.clone());
            Input::Client { from, request: Request { mid, operation } }
        });
        let inputs: Vec<Input<Message>> = inputs.collect();
        self.hand(id, inputs)
    }

    /// Tells a replica to hand over; says to whom it does.
    pub fn hand_over(&mut self, id: ReplicaId) -> Result<String> {
        let mut out = Outbox::new();
        self.replica(id)?;
        let successor = self.replicas[id.index()].hand_over(self.now, &mut out);
        self.carry_out_all(id, out);
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
        self.replicas.get(id.index()).filter(runs).ok_or_else(|| "this replica is played by the script".into())
    }

    fn running(&self) -> impl Iterator<Item = (ReplicaId, &Replica)> {
        let all = ReplicaId::all(self.replicas.len()).zip(&self.replicas);
        all.filter(|&(id, _)| !self.played.contains(id))
    }
}

fn whole_millisecond(time: Time) -> Time {
    Time(time.nanos().checked_next_multiple_of(1_000_000).unwrap_or(u64::MAX))
}
