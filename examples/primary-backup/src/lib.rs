//! A key-value store with a primary that copies its state to backups.
//!
//! Time is divided into views. View *v* belongs to replica *v* modulo their number, so no view has two primaries. The
//! primary carries out each request, sends its whole state to the backups, and answers when a majority has it. A backup
//! that hears nothing for a while takes over: it begins a view of its own, asks a majority to join, and takes the newest
//! of their states.
//!
//! [`Takeover::Alone`] is the usual mistake: the backup asks no other replica. Then two primaries answer at one time, and what one of
//! them has acknowledged is gone.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use seedbed::prelude::*;

/// The protocol: how a backup takes over.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrimaryBackup {
    /// How a backup takes over.
    pub takeover: Takeover,
}

/// How a backup takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takeover {
    /// With the consent and the newest state of a majority.
    #[default]
    ByMajority,
    /// At once, with its own state.
    Alone,
}

impl Subject for PrimaryBackup {
    type Machine = Replica;

    fn name(&self) -> &'static str {
        "primary-backup"
    }

    fn summary(&self) -> &'static str {
        "A primary that copies its state to backups"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Replica, Exit> {
        Ok(Replica::new(boot.identity, self.takeover))
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["copy", "copied", "join", "joined"]
    }

    fn kind(&self, message: &Message) -> usize {
        match message {
            Message::Copy { .. } => 0,
            Message::Copied { .. } => 1,
            Message::Join { .. } => 2,
            Message::Joined { .. } => 3,
        }
    }

    fn checks(&self) -> Vec<Box<dyn Check<Replica>>> {
        vec![invariant("one primary in a view", |scene: &Scene<'_, Replica>| {
            let mut views: Vec<u64> = scene.replicas.iter().filter_map(Replica::leads).collect();
            views.sort_unstable();
            match views.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => Err(format!("view {} has two primaries", pair[0])),
                None => Ok(()),
            }
        })]
    }

    fn mutants(&self) -> Vec<Mutant> {
        let alone = PrimaryBackup { takeover: Takeover::Alone };
        vec![Mutant::new("ask-a-majority", "takes over without asking a majority", alone)]
    }
}

/// How often a primary shows that it lives, and sends again what may be lost.
const HEARTBEAT: Span = Span::from_millis(200);

/// A backup takes over after a time between these, drawn anew each time, so that two seldom do at once.
const PATIENCE_MS: (u64, u64) = (800, 1_200);

/// The state of the store, and from where it is: the higher (view, number), the newer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    view: u64,
    number: u64,
    store: Arc<BTreeMap<Text, Text>>,
}

/// What replicas send each other. `Hash` feeds the hash of the run's trace.
#[derive(Clone, Debug, Hash)]
pub enum Message {
    /// The primary's state.
    Copy { state: State },
    /// A backup has the primary's state up to this number.
    Copied { view: u64, number: u64 },
    /// A backup begins a view.
    Join { view: u64 },
    /// A replica joins a view, and takes part in no older one from now on.
    Joined { view: u64, state: State },
}

/// What a replica does in its view.
#[derive(Debug)]
enum Role {
    Backup {
        primary: Option<ReplicaId>,
    },
    Candidate {
        joined: ReplicaSet,
        newest: State,
    },
    Primary {
        /// What each replica has.
        copied: Vec<u64>,
        /// Requests without an answer, each with the number of the state that must be copied first.
        pending: VecDeque<(u64, ClientId, Mid, Response)>,
    },
}

/// One replica. It has no clock, socket or thread: it takes an input and leaves effects in an outbox.
#[derive(Debug)]
pub struct Replica {
    me: Identity,
    takeover: Takeover,
    random: Stream,
    /// The newest view that it has joined.
    view: u64,
    state: State,
    role: Role,
    /// Requests that wait until there is a primary to name.
    held: Vec<(ClientId, Mid)>,
    deadline: Time,
}

impl Replica {
    fn new(me: Identity, takeover: Takeover) -> Replica {
        let mut random = Stream::link(me.seed, "patience", me.id.index() as u64, 0);
        let deadline = Time::ZERO + patience(&mut random);
        let (role, state) = (Role::Backup { primary: None }, State::default());
        Replica { me, takeover, random, view: 0, state, role, held: Vec::new(), deadline }
    }

    /// The view in which it is the primary, if it is.
    fn leads(&self) -> Option<u64> {
        matches!(self.role, Role::Primary { .. }).then_some(self.view)
    }

    fn others(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        let me = self.me;
        ReplicaId::all(me.replicas).filter(move |&other| other != me.id)
    }

    fn is_majority(&self, count: usize) -> bool {
        2 * count > self.me.replicas
    }

    fn send_copies(&self, out: &mut Outbox<Replica>) {
        self.others().for_each(|to| out.send(to, Message::Copy { state: self.state.clone() }));
    }

    fn handle_request(&mut self, from: ClientId, mid: Mid, operation: &Operation, out: &mut Outbox<Replica>) {
        let Role::Primary { pending, .. } = &mut self.role else {
            match self.leader() {
                Some(_) => out.reply(from, mid, Response::Redirect),
                None => self.held.push((from, mid)),
            }
            return;
        };
        let value = match operation {
            Operation::Get { key } => Some(self.state.store.get(key).cloned().unwrap_or_default()),
            Operation::Put { key, value } => {
                Arc::make_mut(&mut self.state.store).insert(key.clone(), value.clone());
                None
            }
            _ => return out.reply(from, mid, Response::Fail),
        };
        // A get is answered late, too: by then a majority has confirmed that this is still the primary.
        self.state.number += 1;
        pending.push_back((self.state.number, from, mid, Response::Ok { value }));
        self.send_copies(out);
    }

    fn handle_copy(&mut self, now: Time, from: ReplicaId, state: State, out: &mut Outbox<Replica>) {
        if state.view < self.view || self.leads() == Some(state.view) {
            return;
        }
        self.follow(now, state.view, Some(from), out);
        self.state = state.max(std::mem::take(&mut self.state));
        out.send(from, Message::Copied { view: self.view, number: self.state.number });
    }

    fn handle_copied(&mut self, from: ReplicaId, view: u64, number: u64, out: &mut Outbox<Replica>) {
        let Role::Primary { copied, pending } = &mut self.role else { return };
        if view != self.view {
            return;
        }
        copied[from.index()] = copied[from.index()].max(number);
        let mut numbers = copied.clone();
        numbers[self.me.id.index()] = self.state.number;
        numbers.sort_unstable();
        // Half of the replicas have less, so a majority has this.
        let everywhere = numbers[(self.me.replicas - 1) / 2];
        let ready = pending.partition_point(|(number, ..)| *number <= everywhere);
        pending.drain(..ready).for_each(|(_, client, mid, response)| out.reply(client, mid, response));
    }

    /// Hears of a view, whose primary it may know.
    fn follow(&mut self, now: Time, view: u64, primary: Option<ReplicaId>, out: &mut Outbox<Replica>) {
        self.view = view;
        let before = std::mem::replace(&mut self.role, Role::Backup { primary });
        if let Role::Primary { pending, .. } = before {
            // They may be in a state that survives.
            pending.into_iter().for_each(|(_, client, mid, _)| out.reply(client, mid, Response::Fail));
        }
        if primary.is_some() {
            self.held.drain(..).for_each(|(client, mid)| out.reply(client, mid, Response::Redirect));
        }
        self.deadline = now + patience(&mut self.random);
    }

    fn take_over(&mut self, now: Time, out: &mut Outbox<Replica>) {
        let (count, me) = (self.me.replicas as u64, self.me.id);
        let next = self.view + 1;
        let view = next + (me.index() as u64 + count - next % count) % count;
        self.follow(now, view, None, out);
        if self.takeover == Takeover::Alone {
            return self.lead(now, out);
        }
        let joined = ReplicaSet::EMPTY.with(me);
        self.role = Role::Candidate { joined, newest: self.state.clone() };
        self.others().for_each(|to| out.send(to, Message::Join { view }));
    }

    fn handle_join(&mut self, now: Time, from: ReplicaId, view: u64, out: &mut Outbox<Replica>) {
        if view > self.view {
            self.follow(now, view, None, out);
            out.send(from, Message::Joined { view, state: self.state.clone() });
        }
    }

    fn handle_joined(&mut self, now: Time, from: ReplicaId, view: u64, state: State, out: &mut Outbox<Replica>) {
        let Role::Candidate { joined, newest } = &mut self.role else { return };
        if view != self.view {
            return;
        }
        joined.insert(from);
        let count = joined.len();
        if state > *newest {
            *newest = state;
        }
        self.state = newest.clone();
        if self.is_majority(count) {
            self.lead(now, out);
        }
    }

    fn lead(&mut self, now: Time, out: &mut Outbox<Replica>) {
        self.state.view = self.view;
        self.role = Role::Primary { copied: vec![0; self.me.replicas], pending: VecDeque::new() };
        self.held.drain(..).for_each(|(client, mid)| out.reply(client, mid, Response::Redirect));
        self.send_copies(out);
        self.deadline = now + HEARTBEAT;
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Outbox<Replica>) {
        if self.leads().is_some() {
            self.send_copies(out);
            self.deadline = now + HEARTBEAT;
        } else {
            self.take_over(now, out);
        }
    }
}

fn patience(random: &mut Stream) -> Span {
    Span::from_millis(random.between(PATIENCE_MS.0, PATIENCE_MS.1))
}

impl Machine for Replica {
    type Message = Message;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Replica>, out: &mut Outbox<Replica>) {
        match input {
            Input::Client { from, mid, request } => self.handle_request(from, mid, &request, out),
            Input::Peer { from, message } => match message {
                Message::Copy { state } => self.handle_copy(now, from, state, out),
                Message::Copied { view, number } => self.handle_copied(from, view, number, out),
                Message::Join { view } => self.handle_join(now, from, view, out),
                Message::Joined { view, state } => self.handle_joined(now, from, view, state, out),
            },
            Input::Timeout if now >= self.deadline => self.handle_timeout(now, out),
            Input::Timeout | Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
        }
    }

    fn poll_timeout(&self) -> Time {
        self.deadline
    }
}

impl Service for Replica {
    fn leader(&self) -> Option<ReplicaId> {
        match self.role {
            Role::Backup { primary } => primary,
            Role::Candidate { .. } => None,
            Role::Primary { .. } => Some(self.me.id),
        }
    }
}
