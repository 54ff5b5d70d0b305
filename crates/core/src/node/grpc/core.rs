//! A server without I/O: the replica, the requests of clients, and the requests that are passed on to the leader.
//!
//! Every server answers clients. The leader hands requests to its replica; every other server passes them on to the
//! leader and returns the answer. A request that is passed on may be lost, so it is sent again until there is an answer
//! or the client's time has run out. That is harmless: reads change nothing, and updates have names ([`RequestId`]),
//! under which the store carries them out once. An update that comes without a name gets one here.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use crate::id::{ClientId, Mid, ReplicaId};
use crate::kv::Command;
use crate::machine::{Emission, Input, Machine, Outbox};
use crate::raft::Message;
use crate::replica::Replica;
use crate::rng::Stream;
use crate::service::{Operation, RequestId, Response, Service, Text, Update};
use crate::time::{Span, Time};

/// How long a request that was passed on waits for its answer before it is sent again the first time. Each further wait
/// is twice as long, up to [`FORWARD_PAUSE_MAX`].
const FORWARD_PAUSE_MIN: Span = Span::from_millis(100);

/// The longest wait before a request is passed on again.
const FORWARD_PAUSE_MAX: Span = Span::from_secs(1);

/// How often the requests are checked for timeouts.
const LOOK_INTERVAL: Span = Span::from_millis(20);

/// How long a request of another server is kept. By then the request has timed out at that server, or is sent again.
const FOREIGN_TIME_MAX: Span = Span::from_secs(30);

/// A request is handed to the replica under its own token and the number of the attempt, because a replica treats two
/// requests of one name as the same.
const ATTEMPTS: u64 = 256;

/// A message between servers of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerMessage {
    /// A message of Raft's.
    Raft(Message<Arc<Command>>),
    /// A client's request, for the leader.
    Forward {
        /// Names the request among those of the sender.
        token: u64,
        /// The client's operation. An update has a name.
        operation: Operation,
    },
    /// The answer to a forwarded request.
    Forwarded {
        /// The token of the request.
        token: u64,
        /// The answer.
        answer: Answer,
    },
}

/// The outcome of a client's request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The update is done.
    Done,
    /// The value read; "" for a key without one.
    Value(Text),
    /// The key had this value in place of the one expected, so nothing was changed.
    Mismatch(Text),
    /// Not done: this server does not lead.
    NotLeader,
    /// Not done, as far as is known.
    Failed,
    /// Not known in time.
    TimedOut,
}

/// What a [`Core`] wants done. With `T` the program finds the client again.
#[derive(Debug)]
pub enum Effect<T> {
    /// Send a message to another server. It may be lost.
    Send {
        /// The receiver.
        to: ReplicaId,
        /// What to send.
        message: PeerMessage,
    },
    /// Answer a client.
    Answer {
        /// The client.
        ticket: T,
        /// The answer.
        answer: Answer,
    },
}

/// A server without I/O. Called like a [`Machine`]; after each call, [`Core::effects`] holds what the caller must do.
#[derive(Debug)]
pub struct Core<T> {
    id: ReplicaId,
    replica: Replica,
    /// Whether requests are passed on to the leader.
    forward: bool,
    out: Outbox<Replica>,
    /// Requests without an answer, by token, which is the order in which they came.
    open: BTreeMap<u64, Open<T>>,
    /// The requests of other servers among them, by server and its token for the request.
    foreign: BTreeMap<(ReplicaId, u64), u64>,
    tokens: u64,
    names: Names,
    /// The server to which requests are passed on.
    leader: Option<ReplicaId>,
    /// When requests are checked for timeouts next.
    look: Time,
    /// Requests that the replica has returned, and which must go to another server.
    astray: Vec<u64>,
    effects: Vec<Effect<T>>,
}

/// A request without an answer.
#[derive(Debug)]
struct Open<T> {
    origin: Origin<T>,
    operation: Operation,
    place: Place,
    attempts: u64,
    deadline: Time,
    /// Its name, if that is one of [`Names`].
    assigned: Option<RequestId>,
}

/// The source of a request.
#[derive(Debug)]
enum Origin<T> {
    Client(T),
    Server { from: ReplicaId, token: u64 },
}

/// Where a request is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the replica of this server.
    Here,
    /// Passed on, and sent again at this time.
    There { to: ReplicaId, again: Time, pause: Span },
}

impl<T> Core<T> {
    /// A server that has just started, with the seed of the names that it assigns.
    pub fn new(id: ReplicaId, replica: Replica, forward: bool, seed: u64) -> Core<T> {
        Core {
            id,
            replica,
            forward,
            out: Outbox::new(),
            open: BTreeMap::new(),
            foreign: BTreeMap::new(),
            tokens: 0,
            names: Names { random: Stream::new(seed, "names"), idle: Vec::new() },
            leader: None,
            look: Time::NEVER,
            astray: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// The replica.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// How many requests have no answer yet.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// What the caller must do, in order. The caller takes the effects out.
    pub fn effects(&mut self) -> &mut Vec<Effect<T>> {
        &mut self.effects
    }

    /// When [`Core::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Time {
        self.replica.poll_timeout().min(self.look)
    }

    /// Does the work that is due.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.replica.poll_timeout() <= now {
            self.replica.handle(now, Input::Timeout, &mut self.out);
        }
        self.settle(now);
        if now >= self.look {
            self.look_through(now);
        }
    }

    /// Takes a client's request, which is of no use to the client after `deadline`.
    pub fn handle_request(&mut self, now: Time, ticket: T, operation: Operation, deadline: Time) {
        let (operation, assigned) = self.names.assign(operation);
        self.admit(now, Origin::Client(ticket), operation, deadline, assigned);
        self.settle(now);
    }

    /// Takes a message of another server.
    pub fn handle_message(&mut self, now: Time, from: ReplicaId, message: PeerMessage) {
        match message {
            PeerMessage::Raft(message) => self.replica.handle(now, Input::Peer { from, message }, &mut self.out),
            PeerMessage::Forward { token, operation } => {
                // A request that is open already has been sent again.
                if !self.foreign.contains_key(&(from, token)) {
                    let origin = Origin::Server { from, token };
                    self.admit(now, origin, operation, now + FOREIGN_TIME_MAX, None);
                }
            }
            PeerMessage::Forwarded { token, answer } => self.handle_forwarded(from, token, answer),
        }
        self.settle(now);
    }

    /// Gives up leadership if possible: hands over to another server. Returns that server, if this one leads.
    pub fn hand_over(&mut self, now: Time) -> Option<ReplicaId> {
        let heir = self.replica.hand_over(now, &mut self.out);
        self.settle(now);
        heir
    }

    /// Takes a request in and finds a place for it.
    fn admit(
        &mut self,
        now: Time,
        origin: Origin<T>,
        operation: Operation,
        deadline: Time,
        assigned: Option<RequestId>,
    ) {
        let token = self.tokens;
        self.tokens += 1;
        if let Origin::Server { from, token: theirs } = origin {
            self.foreign.insert((from, theirs), token);
        }
        self.open.insert(token, Open { origin, operation, place: Place::Here, attempts: 0, deadline, assigned });
        self.look = self.look.min(now + LOOK_INTERVAL);
        self.dispatch(now, token);
    }

    /// Finds a place for a request: the leader's replica, wherever that is; this one's if no leader is known, which
    /// holds it until one is.
    fn dispatch(&mut self, now: Time, token: u64) {
        let leader = self.replica.leader().filter(|&leader| leader != self.id);
        let Some(open) = self.open.get_mut(&token) else { return };
        match (leader, &open.origin) {
            (Some(to), Origin::Client(_)) if self.forward => {
                let pause = FORWARD_PAUSE_MIN;
                open.place = Place::There { to, again: now + pause, pause };
                let message = PeerMessage::Forward { token, operation: open.operation.clone() };
                self.effects.push(Effect::Send { to, message });
            }
            (Some(_), _) => self.answer(token, Answer::NotLeader),
            (None, _) => {
                open.place = Place::Here;
                let mid = Mid(token.wrapping_mul(ATTEMPTS) + open.attempts % ATTEMPTS);
                open.attempts += 1;
                let request = open.operation.clone();
                self.replica.handle(now, Input::Client { from: ClientId(0), mid, request }, &mut self.out);
            }
        }
    }

    /// Takes the answer to a request that was passed on. From a server to which it was passed on earlier, only a
    /// certain outcome counts: a deposed leader may report a failure of a request that the next leader carries out.
    fn handle_forwarded(&mut self, from: ReplicaId, token: u64, answer: Answer) {
        // An answer to a request that is not open may be late or nonsense.
        let Some(open) = self.open.get_mut(&token) else { return };
        let fits = match answer {
            Answer::Done | Answer::Mismatch(_) => !open.operation.is_get(),
            Answer::Value(_) => open.operation.is_get(),
            Answer::NotLeader | Answer::Failed => true,
            Answer::TimedOut => false,
        };
        match (&mut open.place, answer) {
            (Place::There { .. }, _) if !fits => {}
            // It is sent again soon, and by then one of the two servers may know the current leader.
            (Place::There { .. }, Answer::NotLeader) => {}
            (Place::There { to, .. }, Answer::Failed) if *to != from => {}
            (Place::There { .. }, answer) => self.answer(token, answer),
            (Place::Here, _) => {}
        }
    }

    /// Does all work that has become possible.
    fn settle(&mut self, now: Time) {
        loop {
            let mut out = mem::take(&mut self.out);
            for emission in out.emissions() {
                match emission {
                    Emission::Send { to, message } => {
                        self.effects.push(Effect::Send { to, message: PeerMessage::Raft(message) });
                    }
                    Emission::Reply { mid, response, .. } => self.handle_reply(mid.0 / ATTEMPTS, response),
                }
            }
            if self.out.is_empty() {
                // Returned, so that its memory is reused.
                self.out = out;
            }
            self.follow_leader(now);
            for token in mem::take(&mut self.astray) {
                self.dispatch(now, token);
            }
            if self.out.is_empty() && self.astray.is_empty() {
                return;
            }
        }
    }

    /// Takes the replica's answer to a request.
    fn handle_reply(&mut self, token: u64, response: Response) {
        let Some(open) = self.open.get(&token) else { return };
        let answer = match (response, &open.origin) {
            (Response::Ok { value }, _) if open.operation.is_get() => Answer::Value(value.unwrap_or_default()),
            (Response::Ok { value: None }, _) => Answer::Done,
            (Response::Ok { value: Some(found) }, _) => Answer::Mismatch(found),
            (Response::Fail, _) => Answer::Failed,
            (Response::Redirect, Origin::Client(_)) if self.forward => return self.astray.push(token),
            (Response::Redirect, _) => Answer::NotLeader,
        };
        self.answer(token, answer);
    }

    /// Passes requests that went to an earlier leader on to the new one.
    fn follow_leader(&mut self, now: Time) {
        let leader = self.replica.leader();
        if leader == self.leader {
            return;
        }
        self.leader = leader;
        let Some(leader) = leader else { return };
        let elsewhere = |open: &Open<T>| matches!(open.place, Place::There { to, .. } if to != leader);
        self.astray.extend(self.open.iter().filter(|(_, open)| elsewhere(open)).map(|(&token, _)| token));
        self.look = self.look.min(now + LOOK_INTERVAL);
    }

    /// Checks all requests: those that have timed out are answered so, and those that were passed on long ago are sent
    /// again.
    fn look_through(&mut self, now: Time) {
        let mut overdue = BTreeSet::new();
        for (&token, open) in &mut self.open {
            if now >= open.deadline {
                overdue.insert(token);
            } else if let Place::There { to, again, pause } = &mut open.place
                && now >= *again
            {
                *pause = Span(pause.nanos() * 2).min(FORWARD_PAUSE_MAX);
                *again = now + *pause;
                let message = PeerMessage::Forward { token, operation: open.operation.clone() };
                self.effects.push(Effect::Send { to: *to, message });
            }
        }
        if !overdue.is_empty() {
            // The replica would keep them for longer than there is memory for.
            self.replica.withdraw(|mid| overdue.contains(&(mid.0 / ATTEMPTS)));
        }
        for token in overdue {
            self.answer(token, Answer::TimedOut);
        }
        self.look = if self.open.is_empty() { Time::NEVER } else { now + LOOK_INTERVAL };
    }

    /// Answers a request.
    fn answer(&mut self, token: u64, answer: Answer) {
        let Some(open) = self.open.remove(&token) else { return };
        if let Some(name) = open.assigned {
            self.names.release(name);
        }
        match open.origin {
            Origin::Client(ticket) => self.effects.push(Effect::Answer { ticket, answer }),
            Origin::Server { from, token } => {
                self.foreign.remove(&(from, token));
                // That server checks its clients' timeouts itself.
                if answer != Answer::TimedOut {
                    self.effects.push(Effect::Send { to: from, message: PeerMessage::Forwarded { token, answer } });
                }
            }
        }
    }
}

/// Names for updates that come without one. Each client of the store has one update at a time. So there are as many
/// names as there were updates at a time, and names are reused.
#[derive(Debug)]
struct Names {
    random: Stream,
    /// The next name of each client that has no update now.
    idle: Vec<RequestId>,
}

impl Names {
    /// Gives an update a name, if it has none yet.
    fn assign(&mut self, operation: Operation) -> (Operation, Option<RequestId>) {
        let update = match operation {
            Operation::Put { key, value } => Update { key, value, expected: None, request: None },
            Operation::Update(update) if update.request.is_none() => {
                Arc::try_unwrap(update).unwrap_or_else(|shared| (*shared).clone())
            }
            named => return (named, None),
        };
        let name = self.idle.pop().unwrap_or_else(|| RequestId { client: self.random.next_u64(), number: 1 });
        (Operation::Update(Arc::new(Update { request: Some(name), ..update })), Some(name))
    }

    /// The update of this name has been answered. Even if it may still be under way, the next one can be sent: once that
    /// is applied, this one never is.
    fn release(&mut self, name: RequestId) {
        self.idle.push(RequestId { number: name.number + 1, ..name });
    }
}

#[cfg(test)]
mod tests;
