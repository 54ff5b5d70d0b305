//! The requests of clients at a server, and those that other servers have passed on to it.
//!
//! The leader takes requests on. Every other server passes them on to the leader and returns the answer. A request that is
//! passed on may be lost, so it is sent again until there is an answer or the client's time has run out. That is harmless:
//! reads change nothing, and updates have names ([`RequestId`]), under which the store carries them out once. An update that
//! comes without a name gets one here.
//!
//! A server may hear nothing from a leader that all others hear, or not be heard by it. So what has gone unanswered for long is
//! passed on through another server, too: one that does not lead passes it on to the leader, and the answer comes back by the same
//! route.
//!
//! An update that comes to the leader by several routes is proposed once at a time; the others wait for its outcome.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::{SmallVec, smallvec};

use super::{Message, Names, Server};
use crate::id::{ClientId, Mid, ReplicaId};
use crate::kv::Applied;
use crate::machine::Outbox;
use crate::raft::Rules;
use crate::replicated::{Outcome, Read};
use crate::service::{Operation, RequestId, Response, Text};
use crate::time::{Span, Time};

/// How long a request that was passed on waits for its answer before it is sent again the first time. Each further wait
/// is twice as long, up to [`PAUSE_MAX`].
const PAUSE_MIN: Span = Span::from_millis(100);

/// The longest wait before a request is passed on again.
const PAUSE_MAX: Span = Span::from_secs(1);

/// Requests are looked through no more often than this.
const LOOK_INTERVAL: Span = Span::from_millis(20);

/// How long a request of another server is kept at most.
const FOREIGN_TIME_MAX: Span = Span::from_secs(30);

/// A leader that has answered nothing for this long may not hear this server, or not be heard.
const RELAY_AFTER: Span = Span::from_secs(1);

/// A server that does not take part yet holds a request no longer than this. It may soon take part, and a leader be elected.
const JOINING_PATIENCE: Span = Span::from_secs(2);

/// A server that has known no leader for this many of the longest election timeouts asks another server to pass requests
/// on. Elections mostly end before.
const LEADERLESS_TIMEOUTS: u64 = 2;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client, with its own number for the request.
    Client(ClientId, Mid),
    /// Another server, with its token for the request. It may want it passed on.
    Server { from: ReplicaId, token: u64, relay: bool },
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the replicated store of this server.
    Here,
    /// It waits until a leader is known.
    Waiting,
    /// Passed on to the leader.
    There { to: ReplicaId },
}

/// A request without an answer.
#[derive(Clone, Debug)]
struct Open {
    origin: Origin,
    operation: Operation,
    arrived: Time,
    deadline: Time,
    /// Its name, if that is one of [`Names`].
    assigned: Option<RequestId>,
    place: Place,
    /// When it is sent again.
    again: Time,
    pause: Span,
}

impl Open {
    fn due(&self) -> Time {
        self.deadline.min(self.again)
    }

    fn is_of_client(&self) -> bool {
        matches!(self.origin, Origin::Client(..))
    }

    /// Whether it is passed on if another server leads.
    fn travels(&self) -> bool {
        matches!(self.origin, Origin::Client(..) | Origin::Server { relay: true, .. })
    }
}

/// What the replicated store knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    token: u64,
    /// The name of an update, if it has one.
    name: Option<RequestId>,
}

/// Requests of one name. Mostly it is one.
type Waiting = SmallVec<[u64; 1]>;

/// The requests at a server.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    /// Those without an answer, by token, which is the order in which they came.
    open: BTreeMap<u64, Open>,
    /// Those of other servers among them, by server and its token for the request.
    foreign: BTreeMap<(ReplicaId, u64), u64>,
    next_token: u64,
    names: Names,
    /// Whether this server takes requests on, and the leader, as they were when requests found their places.
    belief: (bool, Option<ReplicaId>),
    /// Since when no server takes requests on, as far as is known.
    leaderless: Time,
    /// When a request was passed on to the leader first since it last answered one; [`Time::NEVER`] if it has answered all.
    unanswered: Time,
    /// How many bytes the requests take, about.
    bytes: usize,
    /// The updates in the replicated store that have names, each with all requests of that name.
    proposed: BTreeMap<RequestId, Waiting>,
    /// When requests are looked through next.
    look: Time,
    /// Counts requests that were passed on through other servers, so that each of these has its turn.
    relays: usize,
}

impl Requests {
    /// None yet. Tokens begin with this one: an answer to an earlier start's request must fit no request.
    pub fn new(names: Names, first_token: u64, now: Time) -> Requests {
        Requests {
            open: BTreeMap::new(),
            foreign: BTreeMap::new(),
            // There is room for more than will ever be used.
            next_token: first_token >> 1,
            names,
            belief: (false, None),
            leaderless: now,
            unanswered: Time::NEVER,
            bytes: 0,
            proposed: BTreeMap::new(),
            look: Time::NEVER,
            relays: 0,
        }
    }

    #[inline]
    pub fn look(&self) -> Time {
        self.look
    }

    /// Puts a request somewhere else, and says when it is sent again.
    fn place(&mut self, token: u64, place: Place, again: Time) {
        let Some(open) = self.open.get_mut(&token) else { return };
        (open.place, open.again, open.pause) = (place, again, PAUSE_MIN);
        self.look = self.look.min(open.due());
    }

    /// A request wants this update proposed. True if nothing of this name is proposed yet. If something is, the request waits
    /// for its outcome.
    fn is_to_be_proposed(&mut self, token: u64, name: RequestId) -> bool {
        let waiting = self.proposed.entry(name).or_default();
        waiting.push(token);
        waiting.len() == 1
    }

    /// The requests that waited for the outcome of what was handed to the replicated store under this ticket.
    fn waiting_for(&mut self, Ticket { token, name }: Ticket) -> Waiting {
        name.and_then(|name| self.proposed.remove(&name)).unwrap_or_else(|| smallvec![token])
    }

    fn remove(&mut self, token: u64) -> Option<Open> {
        let open = self.open.remove(&token)?;
        self.bytes -= bytes(&open.operation);
        if let Some(name) = open.assigned {
            self.names.release(name);
        }
        if let Origin::Server { from, token, .. } = open.origin {
            self.foreign.remove(&(from, token));
        }
        Some(open)
    }
}

/// How many bytes a request takes, about.
fn bytes(operation: &Operation) -> usize {
    let expected = if let Operation::Update(update) = operation { update.expected.as_ref() } else { None };
    let text = |text: Option<&Text>| text.map_or(0, |text| text.len());
    size_of::<Open>() + operation.key().len() + text(operation.value()) + text(expected)
}

impl<R: Rules> Server<R> {
    /// How many requests have no answer yet.
    pub fn open_requests(&self) -> usize {
        self.requests.open.len()
    }

    /// When the oldest request without an answer is overdue, on its own clock; none if there is none.
    pub fn first_deadline(&self) -> Option<Time> {
        self.requests.open.values().map(|open| open.deadline).min()
    }

    /// Takes a client's request; the client waits until `deadline`. Like
    /// [`Machine::handle`](crate::machine::Machine::handle) with one, whose deadline is that of the
    /// [configuration](super::Config::request_time_max).
    pub fn handle_request(
        &mut self,
        now: Time,
        (from, mid): (ClientId, Mid),
        operation: Operation,
        deadline: Time,
        out: &mut Outbox<Self>,
    ) {
        if !self.has_room() {
            return out.reply(from, mid, Response::Fail);
        }
        let Some((operation, assigned)) = self.requests.names.assign(operation) else {
            return out.reply(from, mid, Response::Fail);
        };
        let deadline = if self.is_admitted() { deadline } else { deadline.min(now + JOINING_PATIENCE) };
        self.admit(now, Origin::Client(from, mid), operation, deadline, assigned, out);
        if self.is_admitted() {
            self.settle(now, out);
        }
    }

    /// Whether there is room for one more request. Updates that are overdue, but still in the log without being committed, take
    /// room, too.
    fn has_room(&self) -> bool {
        let most = self.config.open_requests_max;
        self.open_requests() < most
            && self.replicated.open_updates() < most
            && self.requests.bytes < self.config.open_bytes_max
    }

    /// Takes a request that another server has passed on. One that is open already has been sent again.
    pub(super) fn take_foreign(
        &mut self,
        now: Time,
        origin: Origin,
        operation: Operation,
        patience: Span,
        out: &mut Outbox<Self>,
    ) {
        let Origin::Server { from, token, relay } = origin else { return };
        if let Some(&own) = self.requests.foreign.get(&(from, token)) {
            return if relay {
                self.relay_now(now, own, out)
            };
        }
        if self.has_room() {
            let deadline = now + patience.min(FOREIGN_TIME_MAX);
            self.requests.foreign.insert((from, token), self.requests.next_token);
            self.admit(now, origin, operation, deadline, None, out);
        }
    }

    /// A request that waits here for a leader to be known is to be passed on from now on.
    fn relay_now(&mut self, now: Time, token: u64, out: &mut Outbox<Self>) {
        let Some(open) = self.requests.open.get_mut(&token) else { return };
        if let Origin::Server { relay, .. } = &mut open.origin
            && !std::mem::replace(relay, true)
            && open.place == Place::Waiting
        {
            self.dispatch(now, token, out);
        }
    }

    /// Takes a request in and finds a place for it.
    fn admit(
        &mut self,
        now: Time,
        origin: Origin,
        operation: Operation,
        deadline: Time,
        assigned: Option<RequestId>,
        out: &mut Outbox<Self>,
    ) {
        let token = self.requests.next_token;
        self.requests.next_token += 1;
        self.requests.bytes += bytes(&operation);
        let (place, again, pause) = (Place::Waiting, Time::NEVER, PAUSE_MIN);
        let open = Open { origin, operation, arrived: now, deadline, assigned, place, again, pause };
        self.requests.open.insert(token, open);
        self.dispatch(now, token, out);
    }

    /// Finds a place for a request: the store of the leader, wherever that is.
    fn dispatch(&mut self, now: Time, token: u64, out: &mut Outbox<Self>) {
        let Some(open) = self.requests.open.get(&token) else { return };
        if self.replicated.takes_on() {
            let (arrived, operation) = (open.arrived, open.operation.clone());
            self.requests.place(token, Place::Here, Time::NEVER);
            let name = if let Operation::Update(update) = &operation { update.request } else { None };
            if name.is_some_and(|name| !self.requests.is_to_be_proposed(token, name)) {
                return;
            }
            let ticket = Ticket { token, name };
            return self.replicated.take_on(now, arrived, ticket, operation, &mut self.ledger.exits(out));
        }
        match self.raft().leader().filter(|&leader| leader != self.id) {
            Some(to) if self.config.forward && open.travels() => {
                let is_relayed = open.is_of_client() && now >= self.requests.unanswered + RELAY_AFTER;
                self.requests.place(token, Place::There { to }, now + PAUSE_MIN);
                self.pass_on(now, token, to, false, out);
                if is_relayed {
                    self.relay(now, token, Some(to), out);
                }
            }
            Some(_) => self.answer(token, Response::Redirect, out),
            None => {
                let is_relayed = self.config.forward && open.is_of_client() && self.is_admitted();
                let patience = Span(self.config.raft.election_timeout_max.nanos() * LEADERLESS_TIMEOUTS);
                let again = if is_relayed { now.max(self.requests.leaderless + patience) } else { Time::NEVER };
                self.requests.place(token, Place::Waiting, again);
            }
        }
    }

    fn pass_on(&mut self, now: Time, token: u64, to: ReplicaId, relay: bool, out: &mut Outbox<Self>) {
        if !relay {
            self.requests.unanswered = self.requests.unanswered.min(now);
        }
        let Some(open) = self.requests.open.get(&token) else { return };
        let (operation, patience) = (open.operation.clone(), open.deadline.since(now));
        out.send(to, Message::Forward { token, operation, relay, patience });
    }

    /// Takes the answer to a request that was passed on. A failure, which says that no such operation is served, counts only if
    /// it comes from the leader that the request was passed on to last.
    pub(super) fn handle_forwarded(&mut self, from: ReplicaId, token: u64, response: Response, out: &mut Outbox<Self>) {
        if self.raft().leader() == Some(from) {
            self.requests.unanswered = Time::NEVER;
        }
        // An answer to a request that is not open may be late or nonsense.
        let Some(open) = self.requests.open.get(&token) else { return };
        let counts = match (&response, open.place) {
            (_, Place::Here) => false,
            (Response::Ok { value }, _) => !open.operation.is_get() || value.is_some(),
            (Response::Outdated, _) => !open.operation.is_get(),
            (Response::Fail, place) => place == Place::There { to: from },
            // It is sent again soon, and by then one of the two servers may know the current leader.
            (Response::Redirect, _) => false,
        };
        if counts {
            self.answer(token, response, out);
        }
    }

    /// Tells clients and servers what became of their requests. What is certain not to be done, and what may or may not
    /// be, is handed in again: an update is carried out once all the same.
    pub(super) fn tell_completed(&mut self, now: Time, out: &mut Outbox<Self>) {
        let mut completed = std::mem::take(&mut self.ledger.completed);
        for (ticket, outcome) in completed.drain(..) {
            let response = match outcome {
                Outcome::Applied(Applied::Done) => Some(Response::Ok { value: None }),
                Outcome::Applied(Applied::Found(value)) | Outcome::Read(value) => {
                    Some(Response::Ok { value: Some(value) })
                }
                Outcome::Applied(Applied::Outdated) => Some(Response::Outdated),
                Outcome::Unserved => Some(Response::Fail),
                Outcome::RuledOut | Outcome::Unknown => None,
            };
            for token in self.requests.waiting_for(ticket) {
                match &response {
                    Some(response) => self.answer(token, response.clone(), out),
                    None => self.dispatch(now, token, out),
                }
            }
        }
        if self.ledger.completed.is_empty() {
            // Its memory is used again.
            self.ledger.completed = completed;
        }
    }

    /// Finds new places for the reads of a leader that was deposed.
    pub(super) fn yield_reads(&mut self, now: Time, out: &mut Outbox<Self>) {
        for Read { ticket, .. } in self.replicated.yield_reads(&mut self.ledger.exits(out)) {
            self.dispatch(now, ticket.token, out);
        }
    }

    /// Finds new places for requests that waited for a leader, or went to an earlier one.
    pub(super) fn follow_leader(&mut self, now: Time, out: &mut Outbox<Self>) {
        let belief = (self.replicated.takes_on(), self.raft().leader());
        if belief == self.requests.belief {
            return;
        }
        let (takes_on, leader) = belief;
        // A leader that hands over takes nothing on either.
        if !takes_on && leader.is_none_or(|leader| leader == self.id) {
            self.requests.leaderless = now;
        }
        self.requests.unanswered = Time::NEVER;
        self.requests.belief = belief;
        let is_astray = |open: &Open| match open.place {
            Place::Here => false,
            Place::Waiting => true,
            Place::There { to } => leader.is_some_and(|leader| leader != to),
        };
        let astray: Vec<u64> =
            self.requests.open.iter().filter(|(_, open)| is_astray(open)).map(|(&token, _)| token).collect();
        astray.into_iter().for_each(|token| self.dispatch(now, token, out));
    }

    /// Looks through all requests: those that have timed out have failed, and those that were passed on long ago are sent
    /// again.
    pub(super) fn look_through(&mut self, now: Time, out: &mut Outbox<Self>) {
        if now < self.requests.look {
            return;
        }
        let (mut overdue, mut again) = (BTreeSet::new(), Vec::new());
        for (&token, open) in &self.requests.open {
            if now >= open.deadline {
                overdue.insert(token);
            } else if now >= open.again {
                again.push(token);
            }
        }
        if !overdue.is_empty() {
            self.replicated.withdraw_reads(|ticket| overdue.contains(&ticket.token));
        }
        for token in overdue {
            if let Some(Open { origin: Origin::Client(from, mid), .. }) = self.requests.remove(token) {
                out.reply(from, mid, Response::Fail);
            }
            // Another server looks after the deadlines of its clients itself.
        }
        again.into_iter().for_each(|token| self.send_again(now, token, out));
        let next = self.requests.open.values().map(Open::due).min().unwrap_or(Time::NEVER);
        self.requests.look = next.max(now + LOOK_INTERVAL);
    }

    /// Sends a request again that has no answer: to the leader, and if it is late through another server, too.
    fn send_again(&mut self, now: Time, token: u64, out: &mut Outbox<Self>) {
        let Some(open) = self.requests.open.get_mut(&token) else { return };
        let (place, is_late) = (open.place, now >= open.arrived + RELAY_AFTER);
        open.pause = Span(open.pause.nanos() * 2).min(PAUSE_MAX);
        open.again = now + open.pause;
        let is_of_client = open.is_of_client();
        let leader = match place {
            Place::There { to } => Some(to),
            Place::Here | Place::Waiting => None,
        };
        if let Some(to) = leader {
            self.pass_on(now, token, to, false, out);
        }
        if is_of_client && (leader.is_none() || is_late) {
            self.relay(now, token, leader, out);
        }
    }

    /// Passes a request on through another server than the leader.
    fn relay(&mut self, now: Time, token: u64, leader: Option<ReplicaId>, out: &mut Outbox<Self>) {
        if let Some(helper) = self.next_helper(leader) {
            self.pass_on(now, token, helper, true, out);
        }
    }

    /// The server through which the next request is passed on: each but this one and the leader in turn.
    fn next_helper(&mut self, leader: Option<ReplicaId>) -> Option<ReplicaId> {
        let id = self.id;
        let helpers = || ReplicaId::all(self.servers).filter(|&other| other != id && Some(other) != leader);
        let count = helpers().count();
        let helper = helpers().nth(self.requests.relays % count.max(1))?;
        self.requests.relays = self.requests.relays.wrapping_add(1);
        Some(helper)
    }

    /// Answers a request.
    fn answer(&mut self, token: u64, response: Response, out: &mut Outbox<Self>) {
        match self.requests.remove(token).map(|open| open.origin) {
            Some(Origin::Client(from, mid)) => out.reply(from, mid, response),
            Some(Origin::Server { from, token, .. }) => out.send(from, Message::Forwarded { token, response }),
            None => {}
        }
    }
}
