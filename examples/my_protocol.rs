//! A protocol of your own, tested by seedbed: replica 0 is the primary for ever, and copies each put to a majority
//! before it answers.
//!
//! `cargo run --release --example my_protocol` shows that this is right as long as messages are merely lost, and that
//! it stops for good when the primary dies.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;

use seedbed::check::Judgement;
use seedbed::id::{ClientId, Mid, ReplicaId, ReplicaSet};
use seedbed::lab::verify::verify;
use seedbed::machine::{Identity, Input, Machine, Outbox};
use seedbed::scenario::Scenario;
use seedbed::service::{Operation, Response, Service, Text};
use seedbed::time::{Span, Time};
use seedbed::world::simulation::simulate;

const PRIMARY: ReplicaId = ReplicaId(0);

/// How long the primary waits before it sends again what was not acknowledged.
const RETRY: Span = Span::from_millis(50);

/// One replica. It has no clock, socket or thread: it takes an input and leaves effects in an outbox.
struct Replica {
    identity: Identity,
    store: BTreeMap<Text, Text>,
    /// Puts that the primary has not answered yet, by their number.
    pending: BTreeMap<u64, Pending>,
    puts: u64,
    retry_at: Time,
}

struct Pending {
    client: ClientId,
    mid: Mid,
    key: Text,
    value: Text,
    acknowledged: ReplicaSet,
}

/// What replicas send each other. `Hash` feeds the hash of the run's trace.
#[derive(Clone, Debug, Hash)]
enum Message {
    Copy { number: u64, key: Text, value: Text },
    Copied { number: u64 },
}

impl Replica {
    fn new(identity: Identity) -> Replica {
        let (store, pending) = (BTreeMap::new(), BTreeMap::new());
        Replica { identity, store, pending, puts: 0, retry_at: Time::NEVER }
    }

    /// Sends a pending put to the replicas that have not acknowledged it.
    fn copy(&self, number: u64, out: &mut Outbox<Replica>) {
        let put = &self.pending[&number];
        let all = ReplicaId::all(self.identity.replicas);
        for to in all.filter(|&to| to != PRIMARY && !put.acknowledged.contains(to)) {
            out.send(to, Message::Copy { number, key: put.key.clone(), value: put.value.clone() });
        }
    }

    fn handle_operation(
        &mut self,
        now: Time,
        from: ClientId,
        mid: Mid,
        operation: Operation,
        out: &mut Outbox<Replica>,
    ) {
        match operation {
            _ if self.identity.id != PRIMARY => out.reply(from, mid, Response::Redirect),
            Operation::Get { key } => {
                let value = self.store.get(&key).cloned().unwrap_or_default();
                out.reply(from, mid, Response::Ok { value: Some(value) });
            }
            Operation::Put { key, value } => {
                self.puts += 1;
                let put = Pending { client: from, mid, key, value, acknowledged: ReplicaSet::EMPTY };
                self.pending.insert(self.puts, put);
                self.copy(self.puts, out);
                self.retry_at = self.retry_at.min(now + RETRY);
            }
            _ => out.reply(from, mid, Response::Fail),
        }
    }

    fn handle_copied(&mut self, number: u64, from: ReplicaId, out: &mut Outbox<Replica>) {
        let Some(put) = self.pending.get_mut(&number) else { return };
        put.acknowledged.insert(from);
        // The primary has it, too.
        if 2 * (put.acknowledged.len() + 1) > self.identity.replicas {
            let Pending { client, mid, key, value, .. } = self.pending.remove(&number).expect("it is pending");
            self.store.insert(key, value);
            out.reply(client, mid, Response::Ok { value: None });
        }
    }
}

impl Machine for Replica {
    type Message = Message;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Replica>) {
        match input {
            Input::Client { from, mid, request } => self.handle_operation(now, from, mid, request, out),
            Input::Peer { from, message: Message::Copied { number } } => self.handle_copied(number, from, out),
            Input::Peer { from, message: Message::Copy { number, key, value } } => {
                self.store.insert(key, value);
                out.send(from, Message::Copied { number });
            }
            Input::Timeout if now >= self.retry_at => {
                self.pending.keys().for_each(|&number| self.copy(number, out));
                self.retry_at = if self.pending.is_empty() { Time::NEVER } else { now + RETRY };
            }
            Input::Timeout | Input::Synced { .. } | Input::DiskFull => {}
        }
    }

    fn poll_timeout(&self) -> Time {
        self.retry_at
    }
}

impl Service for Replica {
    /// The replica that clients are told to ask.
    fn leader(&self) -> Option<ReplicaId> {
        Some(PRIMARY)
    }
}

/// What the checkers say of one run of a scenario that comes with seedbed.
pub fn judge(name: &str) -> Result<Judgement, Box<dyn Error>> {
    let scenario = Scenario::builtin(name).ok_or("no scenario of this name comes with seedbed")?;
    // Is the protocol deterministic? Each run is played twice; if two differ, the first event that does is named.
    verify(&scenario, 0..20, Replica::new)?;
    let record = simulate(&scenario, 7, Replica::new);
    Ok(Judgement::of(&scenario, &record))
}

fn main() -> Result<(), Box<dyn Error>> {
    for name in ["simple-1", "unreliable-3", "crash-3"] {
        let judgement = judge(name)?;
        println!("{name}: {}", if judgement.passed() { "passed" } else { "failed" });
        for finding in judgement.findings() {
            println!("  {finding}");
        }
    }
    Ok(())
}
