//! Clients, as a state machine without I/O: the course's clients, and those of other kinds.
//!
//! A [`Workload`] is all clients of a run. A world asks it when the next request is due, sends its requests, and gives
//! it every answer. In all worlds the same code chooses keys, follows redirects, tries failed requests again and judges
//! answers.
//!
//! What the clients do (the course's runner, version 2):
//!
//! 1. Requests are sent at even intervals, each by a random one of eight clients. It is a get with probability `mix`.
//! 2. A get asks for a random key among those for which this client has an acknowledged put. If there is none yet, a
//!    put is sent.
//! 3. A put sets, with equal chance, a fresh key to the MD5 of that key, or one of the client's own keys to the MD5 of
//!    the value that the client holds for it.
//! 4. A client remembers the leader that the newest answer to an open attempt named, and asks it. At every sending it
//!    first checks whether that replica is alive, and forgets it if not. While it knows no leader, it asks a random
//!    living replica for each request. All clients forget their leader when it is killed or cut off from its quorum.
//! 5. On `redirect` and `fail` it sends the same operation again at once, under a new MID, however often. It never
//!    times out.
//! 6. A second answer to an attempt that was answered `ok` is a duplicate. An answer to an attempt that was redirected
//!    or failed before, or that the client never sent, is incorrect. Neither has any other effect.
//!
//! With [`Keys::Shared`] all clients use the same few keys and every put has a value of its own, for contention.
//!
//! Clients of another [`Kind`] are separate state machines ([`Generator`]), in place of 2 and 3. If such a client has
//! nothing to ask, its request is left out and counted. Clients with [`Patience`] abandon an attempt that takes too
//! long, and may send the request again to another replica. Such an attempt stays open: if its answer comes later, it
//! is recorded with its time, and nothing is repeated.
//!
//! In place of all that, a plan can have a list of operations ([`ScriptedOperation`]). The list then replaces 1 to 3,
//! and all keys count as shared. 4 and 5 stay, but an operation may be aimed at a replica.
//!
//! Caveats: the values of gets are judged here only for the kind `kv` without updates. The other kinds are left to the
//! specifications. If a request has several attempts, the answer to one of them ends the request; those to the others
//! only end attempts.

mod cas;
mod counter;
mod further;
mod generator;
mod keys;
mod kind;
mod list;
mod lock;
mod names;
mod patience;
mod queue;
mod reads;
mod script;

use std::fmt;
use std::sync::Arc;

use crate::chaos::Target;
use crate::id::{ClientId, Mid, ReplicaId, ReplicaSet};
use crate::record::{Attempt, History, Outcome};
use crate::rng::Stream;
use crate::service::{Operation, Response};
use crate::time::{Span, Time};

use further::Further;
pub use generator::{Generator, Lesson, Turn};
pub use keys::Keys;
use keys::{Choice, KeySpace, Place};
pub use kind::{CustomKind, Kind};
pub use patience::Patience;
pub use reads::{may_return, newest_done};
pub use script::ScriptedOperation;

/// How many clients a run has.
pub const CLIENTS: usize = 8;

/// A run is cut short after this many attempts, or after [`ATTEMPTS_PER_REQUEST`] for each request if that is more: a
/// bound for the memory of a history. Clients ask again at once, so replicas that redirect in circles reach the bound
/// in about a minute on the course's network, which takes about 0.065 ms for a message.
const ATTEMPTS_MAX: u64 = 1_000_000;

/// Runs with more requests may have more attempts.
const ATTEMPTS_PER_REQUEST: u64 = 40;

/// The plan of the clients: the times, number and kinds of their requests.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many replicas there are to ask.
    pub replicas: usize,
    /// When the first request is sent.
    pub start: Time,
    /// The time over which the requests are spread.
    pub lifetime: Span,
    /// How many requests there are.
    pub requests: u64,
    /// How many requests are sent at one time, at least 1.
    pub burst: u64,
    /// The probability that a request is a get; of queues, that it is a dequeue.
    pub mix: f64,
    /// The kind of workload.
    pub kind: Kind,
    /// When clients give up; none means never.
    pub patience: Option<Patience>,
    /// The requests, in order of time, if they are listed. Then `requests` is their number, and `burst` and `mix` are
    /// ignored.
    pub operations: Option<Arc<[ScriptedOperation]>>,
}

impl Plan {
    /// When the n-th request is due, counted from 0; never, if there are no more than n requests.
    fn due(&self, number: u64) -> Time {
        if number >= self.requests {
            return Time::NEVER;
        }
        if let Some(operations) = &self.operations {
            return self.start + operations[number as usize].time;
        }
        let number = number - number % self.burst;
        let lifetime = self.lifetime.nanos();
        let share = match lifetime.checked_mul(number) {
            Some(product) => product / self.requests,
            None => (u128::from(lifetime) * u128::from(number) / u128::from(self.requests)) as u64,
        };
        self.start + Span(share)
    }
}

/// A request on its way to a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// The client that sends it.
    pub from: ClientId,
    /// The replica that it goes to. It is alive, unless no replica is, or the operation was aimed at this one.
    pub to: ReplicaId,
    /// The leader that the client remembers.
    pub leader: Option<ReplicaId>,
    /// Names the attempt.
    pub mid: Mid,
    /// The operation.
    pub operation: Operation,
}

/// A client's reaction to an answer, and the course's objection to the answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reaction {
    /// The next attempt, if the request was redirected or failed and no newer attempt is under way.
    pub again: Option<Dispatch>,
    /// Why the answer is incorrect, if it is.
    pub incorrect: Option<Incorrect>,
}

/// Why the course's runner counts an answer as incorrect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incorrect {
    /// The client has not sent the request that it answers.
    NeverSent,
    /// The attempt was answered `redirect` or `fail` before.
    Closed,
    /// A get without a value, or with one that the key cannot have.
    WrongValue,
    /// A get with a value that the client itself had put, but without an acknowledgement. Linearizability allows this.
    Unacknowledged,
}

impl fmt::Display for Incorrect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Incorrect::NeverSent => "the client sent no request with this MID",
            Incorrect::Closed => "this MID was answered `redirect` or `fail` before",
            Incorrect::WrongValue => "the key cannot have this value",
            Incorrect::Unacknowledged => {
                "the client's put of this value is not acknowledged yet (lawful, but the course's runner counts it)"
            }
        })
    }
}

/// All clients of a run.
#[derive(Debug)]
pub struct Workload {
    plan: Plan,
    /// The leader that each client remembers; clients are numbered from 0 here.
    leaders: [Option<ReplicaId>; CLIENTS],
    /// The observed leader, at which operations can be aimed.
    observed: Option<ReplicaId>,
    /// Which replica a client asks while it knows no leader: one stream per client.
    routes: Vec<Stream>,
    /// The clients and contents of requests: four draws for each request, used or not. If clients are separate state
    /// machines, there is one draw, which chooses the client.
    arrivals: Stream,
    /// Whether the values of gets are judged by the puts of their keys.
    judges: bool,
    keys: KeySpace,
    /// The keys of the operations, if these are listed.
    scripted: Vec<Place>,
    /// The state that the course's clients do not have.
    further: Option<Box<Further>>,
    issued: u64,
    /// When the next request is due, and when anything is.
    request_due: Time,
    due: Time,
    attempts_max: u64,
    history: History,
    /// Beside the history: which key each attempt is about.
    places: Vec<Place>,
}

impl Workload {
    /// The clients of the run with this seed.
    ///
    /// # Panics
    /// If the plan has `operations` and `requests` is not their number. If it has none, and its kind is
    /// [`Kind::Custom`] without a generator.
    pub fn new(plan: Plan, seed: u64) -> Workload {
        let (keys, scripted) = match (&plan.operations, &plan.kind) {
            (None, Kind::Kv { keys, .. }) => (KeySpace::new(*keys, seed), Vec::new()),
            (None, _) => (KeySpace::new(Keys::Private, seed), Vec::new()),
            (Some(operations), _) => {
                assert_eq!(plan.requests, operations.len() as u64, "a plan has as many requests as operations");
                KeySpace::scripted(operations, seed)
            }
        };
        // Most requests take one attempt.
        let expected = plan.requests.min(1 << 20) as usize;
        Workload {
            request_due: plan.due(0),
            due: plan.due(0),
            judges: matches!(plan.kind, Kind::Kv { .. }),
            further: Further::new(&plan, seed),
            attempts_max: ATTEMPTS_MAX.max(plan.requests.saturating_mul(ATTEMPTS_PER_REQUEST)),
            plan,
            leaders: [None; CLIENTS],
            observed: None,
            routes: (0..CLIENTS as u64).map(|client| Stream::link(seed, "routes", client, 0)).collect(),
            arrivals: Stream::new(seed, "arrivals"),
            keys,
            scripted,
            issued: 0,
            history: History { attempts: Vec::with_capacity(expected), ..History::default() },
            places: Vec::with_capacity(expected),
        }
    }

    /// When the next request is due, or the next attempt times out; [`Time::NEVER`] when all requests have been sent and
    /// none times out.
    #[inline]
    pub fn poll_due(&self) -> Time {
        self.due
    }

    /// Sends the next request, if one is due, or repeats one that has timed out. If several are due at one time, call
    /// it again. Returns none only if nothing more is due.
    pub fn handle_due(&mut self, now: Time, living: ReplicaSet) -> Option<Dispatch> {
        while now >= self.due {
            // If both are due, the one that was due first comes first.
            let is_request = self.further.is_none() || self.timeout_due() > self.request_due;
            let dispatch = if is_request { self.begin(now, living) } else { self.time_out(now, living) };
            self.reckon();
            if dispatch.is_some() {
                return dispatch;
            }
        }
        None
    }

    /// When the next attempt times out.
    fn timeout_due(&mut self) -> Time {
        self.further.as_mut().map_or(Time::NEVER, |further| further.requests.due())
    }

    /// Recomputes when anything is due.
    #[inline]
    fn reckon(&mut self) {
        self.due = match self.further {
            None => self.request_due,
            Some(_) => self.request_due.min(self.timeout_due()),
        };
    }

    /// Sends the next request, unless its client has nothing to ask.
    #[inline]
    fn begin(&mut self, now: Time, living: ReplicaSet) -> Option<Dispatch> {
        let number = self.issued as usize;
        self.issued += 1;
        self.request_due = self.plan.due(self.issued);
        let Some(operations) = &self.plan.operations else {
            let (client, operation, place) = self.draw(now)?;
            return Some(self.dispatch(now, client, operation, place, None, None, living));
        };
        let ScriptedOperation { client, aim, operation, .. } = operations[number].clone();
        let to = aim.and_then(|aim| self.aimed(aim, client, living));
        Some(self.dispatch(now, client, operation, self.scripted[number], None, to, living))
    }

    /// Draws the next request; none if its client has nothing to ask.
    #[inline]
    fn draw(&mut self, now: Time) -> Option<(usize, Operation, Place)> {
        let client = self.arrivals.below(CLIENTS as u64) as usize;
        if self.further.as_ref().is_some_and(|further| further.draws()) {
            let operation = self.draw_own(now, client)?;
            return Some((client, operation, Place::default()));
        }
        let get = self.arrivals.chance(self.plan.mix);
        let choice = Choice { fresh: self.arrivals.chance(0.5), pick: self.arrivals.next_u64() };
        let get = if get { self.keys.get(client, &choice) } else { None }.or_else(|| {
            self.history.gets_not_generated += u64::from(get);
            None
        });
        let mid = self.next_mid();
        let (mut operation, place) = get.unwrap_or_else(|| self.keys.put(client, &choice, mid));
        if let Some(further) = self.further.as_mut() {
            operation = further.named(client, operation);
        }
        Some((client, operation, place))
    }

    /// Draws the next operation of a client that is a separate state machine.
    fn draw_own(&mut self, now: Time, client: usize) -> Option<Operation> {
        let further = self.further.as_mut()?;
        let operation = further.draw(now, client).map(|operation| further.named(client, operation));
        self.history.idle += u64::from(operation.is_none());
        operation
    }

    /// Handles the timeout of an attempt: the client sends the request again to another replica, or abandons it.
    fn time_out(&mut self, now: Time, living: ReplicaSet) -> Option<Dispatch> {
        let (further, patience) = (self.further.as_mut()?, self.plan.patience?);
        let mid = further.requests.next()?;
        let attempt = &self.history.attempts[mid.0 as usize];
        let (operation, silent) = (attempt.operation.clone(), attempt.replica);
        let client = attempt.client.number(self.plan.replicas)?;
        let request = further.requests.request_mut(mid);
        if request.retried >= patience.retries {
            further.give_up(now, client, mid, &operation);
            return None;
        }
        request.retried += 1;
        self.leaders[client] = self.leaders[client].filter(|&leader| leader != silent);
        let others = living.without(silent);
        let living = if others.is_empty() { living } else { others };
        Some(self.dispatch(now, client, operation, self.places[mid.0 as usize], Some(mid), None, living))
    }

    /// Takes an answer that has reached a client.
    pub fn handle_answer(
        &mut self,
        now: Time,
        to: ClientId,
        mid: Mid,
        leader: Option<ReplicaId>,
        response: &Response,
        living: ReplicaSet,
    ) -> Reaction {
        let Some(client) = to.number(self.plan.replicas).filter(|&client| client < CLIENTS) else {
            return self.unexpected(Incorrect::NeverSent);
        };
        let number = usize::try_from(mid.0).unwrap_or(usize::MAX);
        let attempt = match self.history.attempts.get_mut(number) {
            // The client does not matter: the runner has one list of completed requests.
            Some(Attempt { answer: Some((_, Outcome::Ok(_))), .. }) => {
                self.history.duplicates += 1;
                return Reaction::default();
            }
            Some(attempt) if attempt.client != to => return self.unexpected(Incorrect::NeverSent),
            Some(attempt) if attempt.answer.is_none() => attempt,
            Some(_) => return self.unexpected(Incorrect::Closed),
            None => return self.unexpected(Incorrect::NeverSent),
        };
        self.leaders[client] = leader;
        let outcome = Outcome::from(response);
        let done = matches!(outcome, Outcome::Ok(_));
        attempt.answer = Some((now, outcome));
        if done {
            if self.further.is_some() {
                self.note_done(now, client, mid);
            }
            return Reaction { again: None, incorrect: self.complete(number) };
        }
        if self.further.as_ref().is_some_and(|further| !further.requests.is_current(mid)) {
            // The client has repeated the request already, or abandoned it.
            return Reaction::default();
        }
        let operation = attempt.operation.clone();
        let again = self.dispatch(now, client, operation, self.places[number], Some(mid), None, living);
        self.reckon();
        Reaction { again: Some(again), incorrect: None }
    }

    /// Records that the request of this attempt is done.
    fn note_done(&mut self, now: Time, client: usize, mid: Mid) {
        let Some(further) = self.further.as_mut() else { return };
        if let Attempt { operation, answer: Some((_, Outcome::Ok(value))), .. } = &self.history.attempts[mid.0 as usize]
        {
            further.complete(now, client, mid, operation, value.as_ref());
        }
        self.reckon();
    }

    /// An answer that no open attempt waits for changes nothing else.
    fn unexpected(&mut self, incorrect: Incorrect) -> Reaction {
        self.history.unknown += 1;
        Reaction { again: None, incorrect: Some(incorrect) }
    }

    /// All clients forget their leader.
    pub fn forget_leaders(&mut self) {
        self.leaders = [None; CLIENTS];
    }

    /// From now on, the observed leader is another one.
    pub fn observe_leader(&mut self, leader: Option<ReplicaId>) {
        self.observed = leader;
    }

    /// Whether clients have had to ask again so often that the run is cut short. Such a run never passes.
    #[inline]
    pub fn is_storm(&self) -> bool {
        self.history.attempts.len() as u64 > self.attempts_max
    }

    /// Sets after how many attempts a run is cut short, if that is more than usual.
    pub fn allow_attempts(&mut self, attempts: u64) {
        self.attempts_max = self.attempts_max.max(attempts);
    }

    /// The history so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Ends the run and returns the history.
    pub fn take_history(&mut self) -> History {
        std::mem::take(&mut self.history)
    }

    fn next_mid(&self) -> Mid {
        Mid(self.history.attempts.len() as u64)
    }

    /// Sends an attempt, to the replica at which it is aimed if there is one.
    #[expect(clippy::too_many_arguments, reason = "each is another fact about the attempt")]
    fn dispatch(
        &mut self,
        now: Time,
        client: usize,
        operation: Operation,
        place: Place,
        retry_of: Option<Mid>,
        aim: Option<ReplicaId>,
        living: ReplicaSet,
    ) -> Dispatch {
        let mid = self.next_mid();
        let from = ClientId::numbered(client, self.plan.replicas);
        let leader = self.leaders[client].filter(|&leader| living.contains(leader));
        self.leaders[client] = leader;
        let to = aim.or(leader).unwrap_or_else(|| self.random_replica(client, living));
        let attempt =
            Attempt { client: from, replica: to, operation: operation.clone(), sent: now, retry_of, answer: None };
        self.history.attempts.push(attempt);
        self.places.push(place);
        if self.judges && !operation.is_get() {
            self.keys.note_put(place, mid);
        }
        if let Some(further) = self.further.as_mut() {
            match retry_of {
                None => further.begin(client, mid),
                Some(earlier) => further.requests.repeat(earlier, mid),
            }
            if let Some(patience) = self.plan.patience {
                further.requests.time(now + patience.timeout, mid);
            }
        }
        Dispatch { from, to, leader, mid, operation }
    }

    /// The replica that an operation is aimed at; none if that is the leader and none is known, or a follower and there
    /// is none.
    fn aimed(&mut self, aim: Target, client: usize, living: ReplicaSet) -> Option<ReplicaId> {
        match aim {
            Target::Replica(replica) => Some(replica),
            Target::Leader => self.observed,
            Target::Follower => {
                let followers = self.observed.map_or(living, |leader| living.without(leader));
                (!followers.is_empty()).then(|| self.random_replica(client, followers))
            }
        }
    }

    /// A random living replica; if no replica lives, a dead one, where the request is lost.
    fn random_replica(&mut self, client: usize, living: ReplicaSet) -> ReplicaId {
        let candidates = if living.is_empty() { ReplicaSet::all(self.plan.replicas) } else { living };
        let place = self.routes[client].below(candidates.len() as u64) as usize;
        candidates.iter().nth(place).expect("a place within the set")
    }

    /// Applies the consequences of an attempt's `ok`.
    fn complete(&mut self, number: usize) -> Option<Incorrect> {
        if !self.judges {
            return None;
        }
        let attempt = &self.history.attempts[number];
        match &attempt.operation {
            Operation::Put { value, .. } => self.keys.acknowledge(self.places[number], value),
            Operation::Update(update) => self.keys.acknowledge(self.places[number], &update.value),
            // An update that is sent again is done once, perhaps long before the second attempt is answered.
            Operation::Get { .. } if self.plan.kind.has_updates() => {}
            Operation::Get { .. } => {
                let incorrect = self.judge(number)?;
                let counter = match incorrect {
                    Incorrect::Unacknowledged => &mut self.history.unacknowledged_reads,
                    _ => &mut self.history.incorrect_gets,
                };
                *counter += 1;
                return Some(incorrect);
            }
            _ => {}
        }
        None
    }

    /// Judges the value that a get returned, as far as one key's puts allow. Returns why it is incorrect, if it is.
    fn judge(&self, number: usize) -> Option<Incorrect> {
        let get = &self.history.attempts[number];
        let Some((answered, Outcome::Ok(Some(value)))) = &get.answer else { return Some(Incorrect::WrongValue) };
        let key = self.keys.key(self.places[number]);
        if key.held.as_ref() == Some(value) && !self.keys.shared() {
            return None;
        }
        let puts = key.puts.iter().map(|mid| &self.history.attempts[mid.0 as usize]);
        match may_return(get.sent, *answered, value, puts) {
            false => Some(Incorrect::WrongValue),
            true => (!self.keys.shared()).then_some(Incorrect::Unacknowledged),
        }
    }
}

#[cfg(test)]
mod tests;
