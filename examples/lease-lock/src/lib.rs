//! Files behind a lock with leases.
//!
//! Every replica is a worker: to append lines for its clients, it takes the lock, reads the file, and writes it with the
//! lines at its end. Replica 0 also keeps the lock, which it grants for a while only, so that a worker that stops cannot
//! keep it for ever. Replica 1 also stores the files.
//!
//! A lease is not enough. A worker whose clock is slow, that was paused, or whose write took long, writes after its lease
//! has ended; what another worker has appended meanwhile is lost. The cure is *fencing*: each grant has a higher number, the
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
        "Files behind a lock with leases"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Replica, Exit> {
        Ok(Replica::new(boot.identity, *self))
    }

    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        vec![Parameter::millis("lease_ms", &mut self.lease).within(1.0, 60_000.0)]
    }

    fn workload(&self) -> workload::Kind {
        workload::Kind::List { count: 2 }
    }

    fn tolerates(&self) -> Tolerance {
        Tolerance { kills: false, ..Tolerance::of::<Infallible>() }
    }

    fn mutants(&self) -> Vec<Mutant> {
        let unfenced = LeaseLock { is_fenced: false, ..*self };
        vec![Mutant::new("fence", "lets a worker write after another one took the lock", unfenced)]
    }
}

/// The replica that keeps the lock, and the one that stores the files.
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
    /// The holder of a grant reads a file.
    Read { token: u64, key: Text },
    /// What is in it.
    Lines { token: u64, lines: Vec<Text> },
    /// The holder of a grant replaces a file.
    Write { token: u64, key: Text, lines: Vec<Text> },
    /// Whether that was done.
    Written { token: u64, done: bool },
    /// A worker reads a file for a client, without the lock.
    Look { number: u64, key: Text },
    /// What is in it.
    Seen { number: u64, lines: Vec<Text> },
}

/// A line that a client wants to have in a file.
#[derive(Debug)]
struct Job {
    client: ClientId,
    mid: Mid,
    key: Text,
    line: Text,
}

/// How far a worker has come with its first job, and all others on the same file.
#[derive(Clone, Debug)]
enum Step {
    Idle,
    Acquiring,
    /// The worker trusts its lease until then, on its own clock.
    Reading {
        token: u64,
        until: Time,
    },
    /// The last lines are those of this number of jobs.
    Writing {
        token: u64,
        lines: Vec<Text>,
        jobs: usize,
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

/// The lock: who has it, by which grant, until when on its clock, and who waits for it. A worker is there with its wish.
#[derive(Debug, Default)]
struct Lock {
    holder: Option<(ReplicaId, u64)>,
    token: u64,
    until: Time,
    waiting: VecDeque<(ReplicaId, u64)>,
}

/// The files, the highest grant that has read any, and the grants that have written.
#[derive(Debug, Default)]
struct Store {
    files: BTreeMap<Text, Vec<Text>>,
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
            Operation::Append { key, value: line } => {
                self.jobs.push_back(Job { client: from, mid, key, line });
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
        let key = key.clone();
        match self.step {
            Step::Idle => {}
            Step::Acquiring => out.send(LOCK, Message::Acquire { wish: self.wish }),
            Step::Reading { token, .. } => out.send(STORE, Message::Read { token, key }),
            Step::Writing { token, ref lines, .. } => {
                out.send(STORE, Message::Write { token, key, lines: lines.clone() });
            }
        }
    }

    fn handle_granted(&mut self, now: Time, wish: u64, token: u64, out: &mut Outbox<Replica>) {
        if matches!(self.step, Step::Acquiring) && wish == self.wish {
            self.step = Step::Reading { token, until: now + self.rules.lease };
            self.send_again(out);
        }
    }

    fn handle_lines(&mut self, now: Time, of: u64, mut lines: Vec<Text>, out: &mut Outbox<Replica>) {
        let (&Step::Reading { token, until }, Some(first)) = (&self.step, self.jobs.front()) else { return };
        if of != token {
            return;
        }
        if now >= until {
            return self.acquire(out);
        }
        let before = lines.len();
        lines.extend(self.jobs.iter().filter(|job| job.key == first.key).map(|job| job.line.clone()));
        self.step = Step::Writing { token, jobs: lines.len() - before, lines };
        self.send_again(out);
    }

    fn handle_written(&mut self, of: u64, done: bool, out: &mut Outbox<Replica>) {
        let (&Step::Writing { token, jobs, .. }, Some(first)) = (&self.step, self.jobs.front()) else { return };
        if of != token {
            return;
        }
        if !done {
            return self.acquire(out);
        }
        out.send(LOCK, Message::Release { token });
        let (key, mut left) = (first.key.clone(), jobs);
        self.jobs.retain(|job| {
            let is_done = left > 0 && job.key == key;
            if is_done {
                left -= 1;
                out.reply(job.client, job.mid, Response::Ok { value: None });
            }
            !is_done
        });
        self.step = Step::Idle;
        if !self.jobs.is_empty() {
            self.acquire(out);
        }
    }

    fn handle_peer(&mut self, now: Time, from: ReplicaId, message: Message, out: &mut Outbox<Replica>) {
        match message {
            Message::Acquire { wish } => {
                self.lock.ask(from, wish);
                self.lock.grant(now, self.rules.lease, out);
            }
            Message::Release { token } => {
                self.lock.release(token);
                self.lock.grant(now, self.rules.lease, out);
            }
            Message::Granted { wish, token } => self.handle_granted(now, wish, token, out),
            Message::Read { token, key } => {
                let lines = self.store.read(token, &key);
                out.send(from, Message::Lines { token, lines });
            }
            Message::Lines { token, lines } => self.handle_lines(now, token, lines, out),
            Message::Write { token, key, lines } => {
                let done = self.store.write(token, key, lines, self.rules.is_fenced);
                out.send(from, Message::Written { token, done });
            }
            Message::Written { token, done } => self.handle_written(token, done, out),
            Message::Look { number, key } => {
                let lines = self.store.files.get(&key).cloned().unwrap_or_default();
                out.send(from, Message::Seen { number, lines });
            }
            Message::Seen { number, lines } => {
                if let Some((client, mid, _)) = self.looks.remove(&number) {
                    out.reply(client, mid, Response::Ok { value: Some(list_text(&lines)) });
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
    /// Puts a worker in line, once. A wish that is older than the one that is known of the worker is a late message.
    fn ask(&mut self, worker: ReplicaId, wish: u64) {
        match self.holder {
            Some((holder, newest)) if holder == worker && wish <= newest => return,
            // It has given up its earlier wish.
            Some((holder, _)) if holder == worker => self.holder = None,
            _ => {}
        }
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == worker) {
            Some((_, newest)) => *newest = wish.max(*newest),
            None => self.waiting.push_back((worker, wish)),
        }
    }

    fn release(&mut self, token: u64) {
        if token == self.token {
            self.holder = None;
        }
    }

    /// Grants the lock to the first worker in line, if it is free or its lease has ended.
    fn grant(&mut self, now: Time, lease: Span, out: &mut Outbox<Replica>) {
        if self.holder.is_some() && now < self.until {
            return;
        }
        self.holder = self.waiting.pop_front();
        if let Some((worker, wish)) = self.holder {
            self.token += 1;
            self.until = now + lease;
            out.send(worker, Message::Granted { wish, token: self.token });
        }
    }
}

impl Store {
    fn read(&mut self, token: u64, key: &Text) -> Vec<Text> {
        self.newest = self.newest.max(token);
        self.files.get(key).cloned().unwrap_or_default()
    }

    /// Whether the write is done, now or before. A grant writes once.
    fn write(&mut self, token: u64, key: Text, lines: Vec<Text>, is_fenced: bool) -> bool {
        let is_new = !self.written.contains(&token);
        if is_new && is_fenced && token < self.newest {
            return false;
        }
        if is_new {
            self.written.insert(token);
            self.files.insert(key, lines);
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
            Input::Timeout | Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
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
