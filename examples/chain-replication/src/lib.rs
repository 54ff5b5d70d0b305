//! A key-value store by chain replication (van Renesse & Schneider 2004, "Chain replication for supporting high throughput
//! and availability").
//!
//! The replicas form a chain. Writes enter at the head, which numbers them, and each replica hands them to the next one. A
//! write is done when the tail has it. Reads are answered by the tail, which has exactly what is done. Any replica takes
//! requests and asks the head or the tail for its client.
//!
//! The chain is fixed: the original's master, which takes a dead replica out, is not here. So the protocol stands lost and
//! repeated messages and paused replicas, and says so ([`Subject::tolerates`]); a dead one stops it.

use std::collections::BTreeMap;
use std::convert::Infallible;

use seedbed::prelude::*;

/// The protocol, and where it cuts corners.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain {
    /// A replica answers reads by itself: quick, and old or not done yet.
    pub reads_its_copy: bool,
    /// The head answers writes at once: quick, and the tail may not have them yet.
    pub answers_early: bool,
}

impl Subject for Chain {
    type Machine = Replica;

    fn name(&self) -> &'static str {
        "chain"
    }

    fn summary(&self) -> &'static str {
        "Writes from the head to the tail of a chain, reads at the tail"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Replica, Exit> {
        Ok(Replica::new(boot.identity, *self))
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["ask", "forward", "done", "answer"]
    }

    fn kind(&self, message: &Message) -> usize {
        match message {
            Message::Ask { .. } => 0,
            Message::Forward { .. } => 1,
            Message::Done { .. } => 2,
            Message::Answer { .. } => 3,
        }
    }

    fn tolerates(&self) -> Tolerance {
        Tolerance { kills: false, ..Tolerance::of::<Infallible>() }
    }

    fn checks(&self) -> Vec<Box<dyn Check<Replica>>> {
        // The update propagation invariant of the paper: a replica never knows more than its predecessor.
        vec![invariant("update propagation", |scene: &Scene<'_, Replica>| {
            // Logs only grow, so it is enough to look at the newest write.
            let knows_more = |pair: &&[Replica]| {
                let [before, after] = pair else { return false };
                after.log.last() != before.log.get(..after.log.len()).and_then(<[Write]>::last)
            };
            match scene.replicas.windows(2).find(knows_more) {
                Some(pair) => Err(format!("replica {} has a write that its predecessor has not", pair[1].me.id)),
                None => Ok(()),
            }
        })]
    }

    fn mutants(&self) -> Vec<Mutant> {
        let copy = Chain { reads_its_copy: true, ..*self };
        let early = Chain { answers_early: true, ..*self };
        vec![
            Mutant::new("read-at-the-tail", "answers reads from any replica's copy", copy),
            Mutant::new("answer-from-the-tail", "answers writes before the tail has them", early),
        ]
    }
}

/// How long a replica waits before it sends again what may be lost.
const RETRY: Span = Span::from_millis(200);

/// At most this many writes are sent again at a time.
const WINDOW: usize = 64;

/// Names a request: the replica that a client asked, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    asked: ReplicaId,
    number: u64,
}

/// A write with its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    name: Name,
    key: Text,
    value: Text,
}

/// What replicas send each other. Writes are numbered from 0 in the order of the chain.
#[derive(Clone, Debug, Hash)]
pub enum Message {
    /// The replica that was asked wants this done: by the head if there is a value, else by the tail.
    Ask { name: Name, key: Text, value: Option<Text> },
    /// A write goes down the chain.
    Forward { place: usize, write: Write },
    /// The sender has this many writes, and the tail has that many.
    Done { has: usize, count: usize },
    /// The request of this number is done; a read carries the value.
    Answer { number: u64, value: Option<Text> },
}

/// A request that a client waits for.
#[derive(Debug)]
struct Pending {
    client: ClientId,
    mid: Mid,
    key: Text,
    value: Option<Text>,
}

/// One replica of the chain.
#[derive(Debug)]
pub struct Replica {
    me: Identity,
    rules: Chain,
    log: Vec<Write>,
    /// Writes that came before the ones before them, by place.
    early: BTreeMap<usize, Write>,
    store: BTreeMap<Text, Text>,
    /// The next replica has this many writes, and the tail that many, as far as this replica knows.
    next_has: usize,
    done: usize,
    /// The place of each write, at the head.
    places: BTreeMap<Name, usize>,
    pending: BTreeMap<u64, Pending>,
    requests: u64,
    retry_at: Time,
}

impl Replica {
    fn new(me: Identity, rules: Chain) -> Replica {
        Replica {
            me,
            rules,
            log: Vec::new(),
            early: BTreeMap::new(),
            store: BTreeMap::new(),
            next_has: 0,
            done: 0,
            places: BTreeMap::new(),
            pending: BTreeMap::new(),
            requests: 0,
            retry_at: Time::NEVER,
        }
    }

    fn next(&self) -> Option<ReplicaId> {
        ReplicaId::all(self.me.replicas).nth(self.me.id.index() + 1)
    }

    fn previous(&self) -> Option<ReplicaId> {
        ReplicaId::all(self.me.replicas).nth(self.me.id.index().checked_sub(1)?)
    }

    fn handle_request(&mut self, from: ClientId, mid: Mid, operation: Operation, out: &mut Outbox<Replica>) {
        let (key, value) = match operation {
            Operation::Get { key } if self.rules.reads_its_copy => {
                let value = self.store.get(&key).cloned().unwrap_or_default();
                return out.reply(from, mid, Response::Ok { value: Some(value) });
            }
            Operation::Get { key } => (key, None),
            Operation::Put { key, value } => (key, Some(value)),
            _ => return out.reply(from, mid, Response::Fail),
        };
        self.requests += 1;
        self.pending.insert(self.requests, Pending { client: from, mid, key, value });
        self.ask(self.requests, out);
    }

    fn ask(&self, number: u64, out: &mut Outbox<Replica>) {
        let Pending { key, value, .. } = &self.pending[&number];
        let all = ReplicaId::all(self.me.replicas);
        let to = if value.is_some() { all.clone().next() } else { all.clone().next_back() };
        let name = Name { asked: self.me.id, number };
        let ask = Message::Ask { name, key: key.clone(), value: value.clone() };
        to.into_iter().for_each(|to| out.send(to, ask.clone()));
    }

    fn handle_ask(&mut self, name: Name, key: Text, value: Option<Text>, out: &mut Outbox<Replica>) {
        let Some(value) = value else {
            let value = self.store.get(&key).cloned().unwrap_or_default();
            return out.send(name.asked, Message::Answer { number: name.number, value: Some(value) });
        };
        let known = self.places.get(&name).copied();
        if known.is_some_and(|place| place < self.done) || self.rules.answers_early {
            out.send(name.asked, Message::Answer { number: name.number, value: None });
        }
        if known.is_none() {
            self.places.insert(name, self.log.len());
            self.append(Write { name, key, value }, out);
        }
    }

    fn append(&mut self, write: Write, out: &mut Outbox<Replica>) {
        let place = self.log.len();
        self.store.insert(write.key.clone(), write.value.clone());
        match self.next() {
            Some(next) => out.send(next, Message::Forward { place, write: write.clone() }),
            None => {
                self.done = place + 1;
                out.send(write.name.asked, Message::Answer { number: write.name.number, value: None });
            }
        }
        self.log.push(write);
    }

    fn handle_forward(&mut self, place: usize, write: Write, out: &mut Outbox<Replica>) {
        if place < self.log.len() {
            // It comes again, so the predecessor does not know.
            return self.tell(out);
        }
        self.early.insert(place, write);
        while let Some(write) = self.early.remove(&self.log.len()) {
            self.append(write, out);
        }
        if self.next().is_none() {
            self.tell(out);
        }
    }

    /// Tells its predecessor what it has, and how much is done.
    fn tell(&self, out: &mut Outbox<Replica>) {
        let told = Message::Done { has: self.log.len(), count: self.done };
        self.previous().into_iter().for_each(|to| out.send(to, told.clone()));
    }

    fn handle_done(&mut self, has: usize, count: usize, out: &mut Outbox<Replica>) {
        self.next_has = self.next_has.max(has);
        if count > self.done {
            self.done = count;
            self.tell(out);
        }
    }

    fn handle_answer(&mut self, number: u64, value: Option<Text>, out: &mut Outbox<Replica>) {
        if let Some(Pending { client, mid, .. }) = self.pending.remove(&number) {
            out.reply(client, mid, Response::Ok { value });
        }
    }

    fn retry(&self, out: &mut Outbox<Replica>) {
        self.pending.keys().for_each(|&number| self.ask(number, out));
        if let Some(next) = self.next().filter(|_| self.done < self.log.len()) {
            // If the next one has them all, the last one asks how much is done.
            let first = self.next_has.min(self.log.len() - 1);
            for (place, write) in self.log.iter().enumerate().skip(first).take(WINDOW) {
                out.send(next, Message::Forward { place, write: write.clone() });
            }
        }
    }
}

impl Machine for Replica {
    type Message = Message;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Replica>, out: &mut Outbox<Replica>) {
        match input {
            Input::Client { from, mid, request } => self.handle_request(from, mid, request, out),
            Input::Peer { message, .. } => match message {
                Message::Ask { name, key, value } => self.handle_ask(name, key, value, out),
                Message::Forward { place, write } => self.handle_forward(place, write, out),
                Message::Done { has, count } => self.handle_done(has, count, out),
                Message::Answer { number, value } => self.handle_answer(number, value, out),
            },
            Input::Timeout if now >= self.retry_at => {
                self.retry(out);
                self.retry_at = Time::NEVER;
            }
            Input::Timeout | Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
        }
        let waits = !self.pending.is_empty() || self.done < self.log.len();
        self.retry_at = if waits { self.retry_at.min(now + RETRY) } else { Time::NEVER };
    }

    fn poll_timeout(&self) -> Time {
        self.retry_at
    }
}

impl Service for Replica {
    /// Any replica can be asked.
    fn leader(&self) -> Option<ReplicaId> {
        None
    }
}
