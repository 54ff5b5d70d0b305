//! Counters behind a lock with leases.
//!
//! Every replica is a worker: for each addition of its clients it takes the lock, reads the counter, and writes the sum.
//! Replica 0 also keeps the lock, which it grants for a while only, so that a worker that stops cannot keep it for ever.
//! Replica 1 also stores the counters.
//!
//! A lease is not enough. A worker whose clock is slow, that was paused, or whose write took long, writes after its lease
//! has ended; what another worker has added meanwhile is lost. The cure is *fencing*: each grant has a higher number, the
//! store remembers the highest one that it has seen, and refuses writes with a lower one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;

use seedbed::prelude::*;

/// The protocol, with or without fencing.
#[derive(Clone, Copy, Debug)]
pub struct LeaseLock {
    /// Whether the store refuses writes of earlier holders of the lock.
    pub is_fenced: bool,
    /// For how long the lock is granted.
    pub lease: Span,
}

impl Default for LeaseLock {
    fn default() -> LeaseLock {
        LeaseLock { is_fenced: true, lease: Span::from_millis(500) }
    }
}

impl Subject for LeaseLock {
    type Machine = Replica;

    fn name(&self) -> &'static str {
        "lease-lock"
    }

    fn summary(&self) -> &'static str {
        "Counters behind a lock with leases"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Replica, Exit> {
        Ok(Replica::new(boot.identity, *self))
    }

    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        vec![Parameter::millis("lease_ms", &mut self.lease).within(1.0, 60_000.0)]
    }

    fn workload(&self) -> workload::Kind {
        workload::Kind::Counter { count: 2 }
    }

    fn tolerates(&self) -> Tolerance {
        Tolerance { kills: false, ..Tolerance::of::<Infallible>() }
    }

    fn mutants(&self) -> Vec<Mutant> {
        let unfenced = LeaseLock { is_fenced: false, ..*self };
        vec![Mutant::new("fence", "lets a worker write after another one took the lock", unfenced)]
    }
}

/// The replica that keeps the lock, and the one that stores the counters.
const LOCK: ReplicaId = ReplicaId(0);
const STORE: ReplicaId = ReplicaId(1);

/// How long a worker waits before it sends again what may be lost.
const RETRY: Span = Span::from_millis(100);

/// What replicas send each other.
#[derive(Clone, Debug, Hash)]
pub enum Message {
    /// A worker wants the lock. The number tells this wish from its earlier ones.
    Acquire { wish: u64 },
    /// It has the lock from now on, with this number of the grant.
    Granted { wish: u64, token: u64 },
    /// It needs the lock no longer.
    Release { token: u64 },
    /// The holder of a grant reads a counter.
    Read { token: u64, key: Text },
    /// What it is.
    Value { token: u64, value: i64 },
    /// The holder of a grant writes a counter.
    Write { token: u64, key: Text, value: i64 },
    /// Whether that was done.
    Written { token: u64, done: bool },
    /// A worker reads a counter for a client, without the lock.
    Look { number: u64, key: Text },
    /// What it is.
    Seen { number: u64, value: i64 },
}

/// An addition that a client waits for.
#[derive(Debug)]
struct Job {
    client: ClientId,
    mid: Mid,
    key: Text,
    amount: i64,
}

/// How far a worker has come with its first job.
#[derive(Clone, Copy, Debug)]
enum Step {
    Idle,
    Acquiring,
    /// The worker trusts its lease until then, on its own clock.
    Reading {
        token: u64,
        until: Time,
    },
    Writing {
        token: u64,
        value: i64,
    },
}

/// One replica: a worker, and perhaps the lock or the store.
#[derive(Debug)]
pub struct Replica {
    rules: LeaseLock,
    jobs: VecDeque<Job>,
    step: Step,
    wish: u64,
    /// Reads that clients wait for.
    looks: BTreeMap<u64, (ClientId, Mid, Text)>,
    looked: u64,
    retry_at: Time,
    lock: Lock,
    store: Store,
}

/// The lock: who has it, by which grant, and until when on its clock.
#[derive(Debug, Default)]
struct Lock {
    holder: Option<ReplicaId>,
    token: u64,
    until: Time,
}

/// The counters, the highest grant that has read any, and the grants that have written.
#[derive(Debug, Default)]
struct Store {
    counters: BTreeMap<Text, i64>,
    newest: u64,
    written: BTreeSet<u64>,
}

impl Replica {
    fn new(_: Identity, rules: LeaseLock) -> Replica {
        Replica {
            rules,
            jobs: VecDeque::new(),
            step: Step::Idle,
            wish: 0,
            looks: BTreeMap::new(),
            looked: 0,
            retry_at: Time::NEVER,
            lock: Lock::default(),
            store: Store::default(),
        }
    }

    fn handle_request(&mut self, from: ClientId, mid: Mid, operation: Operation, out: &mut Outbox<Replica>) {
        match operation {
            Operation::Get { key } => {
                self.looked += 1;
                out.send(STORE, Message::Look { number: self.looked, key: key.clone() });
                self.looks.insert(self.looked, (from, mid, key));
            }
            Operation::Add { key, amount } => {
                self.jobs.push_back(Job { client: from, mid, key, amount });
                if matches!(self.step, Step::Idle) {
                    self.acquire(out);
                }
            }
            _ => out.reply(from, mid, Response::Fail),
        }
    }

    fn acquire(&mut self, out: &mut Outbox<Replica>) {
        self.wish += 1;
        self.step = Step::Acquiring;
        self.send_again(out);
    }

    /// Sends what its step waits for an answer to.
    fn send_again(&self, out: &mut Outbox<Replica>) {
        let Some(Job { key, .. }) = self.jobs.front() else { return };
        match self.step {
            Step::Idle => {}
            Step::Acquiring => out.send(LOCK, Message::Acquire { wish: self.wish }),
            Step::Reading { token, .. } => out.send(STORE, Message::Read { token, key: key.clone() }),
            Step::Writing { token, value } => out.send(STORE, Message::Write { token, key: key.clone(), value }),
        }
    }

    fn handle_granted(&mut self, now: Time, wish: u64, token: u64, out: &mut Outbox<Replica>) {
        if matches!(self.step, Step::Acquiring) && wish == self.wish {
            self.step = Step::Reading { token, until: now + self.rules.lease };
            self.send_again(out);
        }
    }

    fn handle_value(&mut self, now: Time, of: u64, value: i64, out: &mut Outbox<Replica>) {
        let (Step::Reading { token, until }, Some(job)) = (self.step, self.jobs.front()) else { return };
        if of != token {
            return;
        }
        if now >= until {
            return self.acquire(out);
        }
        self.step = Step::Writing { token, value: value + job.amount };
        self.send_again(out);
    }

    fn handle_written(&mut self, of: u64, done: bool, out: &mut Outbox<Replica>) {
        if !matches!(self.step, Step::Writing { token, .. } if token == of) {
            return;
        }
        if !done {
            return self.acquire(out);
        }
        out.send(LOCK, Message::Release { token: of });
        if let Some(Job { client, mid, .. }) = self.jobs.pop_front() {
            out.reply(client, mid, Response::Ok { value: None });
        }
        self.step = Step::Idle;
        if !self.jobs.is_empty() {
            self.acquire(out);
        }
    }

    fn handle_peer(&mut self, now: Time, from: ReplicaId, message: Message, out: &mut Outbox<Replica>) {
        match message {
            Message::Acquire { wish } => {
                if let Some(token) = self.lock.grant(now, from, self.rules.lease) {
                    out.send(from, Message::Granted { wish, token });
                }
            }
            Message::Release { token } if token == self.lock.token => self.lock.holder = None,
            Message::Release { .. } => {}
            Message::Granted { wish, token } => self.handle_granted(now, wish, token, out),
            Message::Read { token, key } => {
                let value = self.store.read(token, &key);
                out.send(from, Message::Value { token, value });
            }
            Message::Value { token, value } => self.handle_value(now, token, value, out),
            Message::Write { token, key, value } => {
                let done = self.store.write(token, key, value, self.rules.is_fenced);
                out.send(from, Message::Written { token, done });
            }
            Message::Written { token, done } => self.handle_written(token, done, out),
            Message::Look { number, key } => {
                let value = self.store.counters.get(&key).copied().unwrap_or_default();
                out.send(from, Message::Seen { number, value });
            }
            Message::Seen { number, value } => {
                if let Some((client, mid, _)) = self.looks.remove(&number) {
                    out.reply(client, mid, Response::Ok { value: Some(value.to_string().into()) });
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox<Replica>) {
        match self.step {
            Step::Reading { until, .. } if now >= until => self.acquire(out),
            _ => self.send_again(out),
        }
        for (&number, (.., key)) in &self.looks {
            out.send(STORE, Message::Look { number, key: key.clone() });
        }
        self.retry_at = Time::NEVER;
    }
}

impl Lock {
    /// Grants the lock, if nobody has it or its lease has ended.
    fn grant(&mut self, now: Time, to: ReplicaId, lease: Span) -> Option<u64> {
        let is_free = self.holder.is_none_or(|holder| holder == to) || now >= self.until;
        is_free.then(|| {
            (self.holder, self.until) = (Some(to), now + lease);
            self.token += 1;
            self.token
        })
    }
}

impl Store {
    fn read(&mut self, token: u64, key: &Text) -> i64 {
        self.newest = self.newest.max(token);
        self.counters.get(key).copied().unwrap_or_default()
    }

    /// Whether the write is done, now or before. A grant writes once.
    fn write(&mut self, token: u64, key: Text, value: i64, is_fenced: bool) -> bool {
        let is_new = !self.written.contains(&token);
        if is_new && is_fenced && token < self.newest {
            return false;
        }
        if is_new {
            self.written.insert(token);
            self.counters.insert(key, value);
        }
        true
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
            Input::Peer { from, message } => self.handle_peer(now, from, message, out),
            Input::Timeout if now >= self.retry_at => self.handle_timeout(now, out),
            Input::Timeout | Input::Synced { .. } | Input::DiskFull => {}
        }
        let waits = !matches!(self.step, Step::Idle) || !self.looks.is_empty();
        self.retry_at = if waits { self.retry_at.min(now + RETRY) } else { Time::NEVER };
    }

    fn poll_timeout(&self) -> Time {
        self.retry_at
    }
}

impl Service for Replica {
    /// Any worker can be asked.
    fn leader(&self) -> Option<ReplicaId> {
        None
    }
}
