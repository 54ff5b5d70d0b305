//! The course's clients, as a state machine without I/O.
//!
//! A [`Workload`] is all clients of a run. A world asks it when the next request is due, sends what it hands out, and
//! gives it every answer; whatever the world, the same code chooses keys, follows redirects, tries failed requests
//! again and judges what it is told.
//!
//! What the clients do (the course's runner, version 2):
//!
//! 1. Requests are sent at even intervals, each by a random one of eight clients. It is a get with probability `mix`.
//! 2. A get asks for a random key among those that this client has had acknowledged. With none yet, a put is sent.
//! 3. A put sets, with equal chance, a fresh key to the MD5 of that key, or one of the client's own keys to the MD5 of
//!    the value that the client holds for it.
//! 4. A client remembers the leader that the newest answer to an open attempt named, and asks it. At every sending it
//!    first checks whether that replica is alive, and forgets it if not. While it knows no leader, it asks a random
//!    living replica for each request. All clients forget their leader when it is killed or cut off from its quorum.
//! 5. On `redirect` and `fail` it sends the same operation again at once, under a new MID, however often. It never
//!    times out.
//! 6. A second answer to an attempt that was answered `ok` is a duplicate. An answer to an attempt that was redirected or
//!    failed before, or that the client never sent, is incorrect. Neither changes anything else.
//!
//! With [`Keys::Shared`] all clients use the same few keys and every put has a value of its own, for contention.
//!
//! In place of all that, a plan can have a list of operations ([`ScriptedOperation`]). Then 1 to 3 are written down,
//! and all keys count as shared. 4 and 5 stay.

mod keys;
mod reads;
mod script;

use std::fmt;
use std::sync::Arc;

use crate::id::{ClientId, Mid, ReplicaId, ReplicaSet};
use crate::record::{Attempt, History, Outcome};
use crate::rng::Stream;
use crate::service::{Operation, Response};
use crate::time::{Span, Time};

pub use keys::Keys;
use keys::{Choice, KeySpace, Place};
pub use reads::{may_return, newest_done};
pub use script::ScriptedOperation;

/// How many clients a run has.
pub const CLIENTS: usize = 8;

/// A run is cut short after this many attempts, or after [`ATTEMPTS_PER_REQUEST`] for each request if that is more: a
/// bound for the memory of a history. Clients ask again at once, so replicas that redirect in circles get there in
/// about a minute on the course's network, which handles a message in some 0.065 ms.
const ATTEMPTS_MAX: u64 = 1_000_000;

/// Runs with more requests may have more attempts.
const ATTEMPTS_PER_REQUEST: u64 = 40;

/// When clients send how many requests of which kind.
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
    /// How many of them are sent at one time, at least 1.
    pub burst: u64,
    /// The probability that a request is a get.
    pub mix: f64,
    /// Whose keys they use.
    pub keys: Keys,
    /// The requests, in order of time, if they are written down. Then `requests` is their number, and `burst`, `mix`
    /// and `keys` say nothing.
    pub operations: Option<Arc<[ScriptedOperation]>>,
}

impl Plan {
    /// When the n-th request is due, counted from 0; never, if there are not so many.
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
    /// The replica that it goes to. It is alive, unless none is.
    pub to: ReplicaId,
    /// The leader that the client remembers.
    pub leader: Option<ReplicaId>,
    /// Names the attempt.
    pub mid: Mid,
    /// What it asks.
    pub operation: Operation,
}

/// What a client does about an answer, and what the course's runner calls incorrect about it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reaction {
    /// The next attempt, if the request was redirected or failed.
    pub again: Option<Dispatch>,
    /// Why the answer is incorrect, if it is.
    pub incorrect: Option<Incorrect>,
}

/// Why the course's runner counts an answer as incorrect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incorrect {
    /// The client has not sent what it answers.
    NeverSent,
    /// The attempt was answered `redirect` or `fail` before.
    Closed,
    /// A get without a value, or with one that the key cannot have.
    WrongValue,
    /// A get with a value that the client itself had put, but for which it has no acknowledgement. This is lawful.
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
#[derive(Clone, Debug)]
pub struct Workload {
    plan: Plan,
    /// What each client believes; clients are numbered from 0 here.
    leaders: [Option<ReplicaId>; CLIENTS],
    /// Which replica a client asks while it knows no leader: one stream a client.
    routes: Vec<Stream>,
    /// Which client sends what: four draws for each request, whatever comes of them.
    arrivals: Stream,
    keys: KeySpace,
    /// The keys of the operations, if these are written down.
    scripted: Vec<Place>,
    issued: u64,
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
    /// If `requests` is not the number of `operations`, where the plan has some.
    pub fn new(plan: Plan, seed: u64) -> Workload {
        let (keys, scripted) = match &plan.operations {
            None => (KeySpace::new(plan.keys, seed), Vec::new()),
            Some(operations) => {
                assert_eq!(plan.requests, operations.len() as u64, "a plan has as many requests as operations");
                KeySpace::scripted(operations, seed)
            }
        };
        // Most requests take one attempt.
        let expected = plan.requests.min(1 << 20) as usize;
        Workload {
            due: plan.due(0),
            attempts_max: ATTEMPTS_MAX.max(plan.requests.saturating_mul(ATTEMPTS_PER_REQUEST)),
            plan,
            leaders: [None; CLIENTS],
            routes: (0..CLIENTS as u64).map(|client| Stream::link(seed, "routes", client, 0)).collect(),
            arrivals: Stream::new(seed, "arrivals"),
            keys,
            scripted,
            issued: 0,
            history: History { attempts: Vec::with_capacity(expected), ..History::default() },
            places: Vec::with_capacity(expected),
        }
    }

    /// When the next request is due; [`Time::NEVER`] when all have been sent.
    #[inline]
    pub fn poll_due(&self) -> Time {
        self.due
    }

    /// Sends the next request, if one is due. Several can be due at one time: then the next one still is.
    pub fn handle_due(&mut self, now: Time, living: ReplicaSet) -> Option<Dispatch> {
        if now < self.due {
            return None;
        }
        let (client, operation, place) = match &self.plan.operations {
            None => self.draw(),
            Some(operations) => {
                let number = self.issued as usize;
                (operations[number].client, operations[number].operation.clone(), self.scripted[number])
            }
        };
        self.issued += 1;
        self.due = self.plan.due(self.issued);
        Some(self.dispatch(now, client, operation, place, None, living))
    }

    /// Draws the next request.
    fn draw(&mut self) -> (usize, Operation, Place) {
        let client = self.arrivals.below(CLIENTS as u64) as usize;
        let get = self.arrivals.chance(self.plan.mix);
        let choice = Choice { fresh: self.arrivals.chance(0.5), pick: self.arrivals.next_u64() };
        let get = if get { self.keys.get(client, &choice) } else { None }.or_else(|| {
            self.history.gets_not_generated += u64::from(get);
            None
        });
        let mid = self.next_mid();
        let (operation, place) = get.unwrap_or_else(|| self.keys.put(client, &choice, mid));
        (client, operation, place)
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
            // Whosever client it was: the runner has one list of what is done.
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
        let outcome = match response {
            Response::Ok { value } => Outcome::Ok(value.clone()),
            Response::Fail => Outcome::Fail,
            Response::Redirect => Outcome::Redirect,
        };
        let done = matches!(outcome, Outcome::Ok(_));
        attempt.answer = Some((now, outcome));
        if done {
            return Reaction { again: None, incorrect: self.complete(number) };
        }
        let operation = attempt.operation.clone();
        let again = self.dispatch(now, client, operation, self.places[number], Some(mid), living);
        Reaction { again: Some(again), incorrect: None }
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

    /// Whether clients have had to ask again so often that the run is cut short. Such a run never passes.
    #[inline]
    pub fn is_storm(&self) -> bool {
        self.history.attempts.len() as u64 > self.attempts_max
    }

    /// Sets after how many attempts a run is cut short, if that is more than usual.
    pub fn allow_attempts(&mut self, attempts: u64) {
        self.attempts_max = self.attempts_max.max(attempts);
    }

    /// What has been asked and answered so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Ends the run: hands out what was asked and answered.
    pub fn take_history(&mut self) -> History {
        std::mem::take(&mut self.history)
    }

    fn next_mid(&self) -> Mid {
        Mid(self.history.attempts.len() as u64)
    }

    fn dispatch(
        &mut self,
        now: Time,
        client: usize,
        operation: Operation,
        place: Place,
        retry_of: Option<Mid>,
        living: ReplicaSet,
    ) -> Dispatch {
        let mid = self.next_mid();
        let from = ClientId::numbered(client, self.plan.replicas);
        let leader = self.leaders[client].filter(|&leader| living.contains(leader));
        self.leaders[client] = leader;
        let to = leader.unwrap_or_else(|| self.random_replica(client, living));
        let attempt =
            Attempt { client: from, replica: to, operation: operation.clone(), sent: now, retry_of, answer: None };
        self.history.attempts.push(attempt);
        self.places.push(place);
        if !operation.is_get() {
            self.keys.note_put(place, mid);
        }
        Dispatch { from, to, leader, mid, operation }
    }

    /// A random living replica; when none lives, a dead one, where the request is lost.
    fn random_replica(&mut self, client: usize, living: ReplicaSet) -> ReplicaId {
        let candidates = if living.is_empty() { ReplicaSet::all(self.plan.replicas) } else { living };
        let place = self.routes[client].below(candidates.len() as u64) as usize;
        candidates.iter().nth(place).expect("a place within the set")
    }

    /// Draws the consequences of an attempt's `ok`.
    fn complete(&mut self, number: usize) -> Option<Incorrect> {
        let attempt = &self.history.attempts[number];
        match &attempt.operation {
            Operation::Put { value, .. } => self.keys.acknowledge(self.places[number], value),
            // The course's clients send none of the others.
            Operation::Update(update) => self.keys.acknowledge(self.places[number], &update.value),
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

    /// Judges the value that a get returned, as far as one key's puts can tell: why it is incorrect, if it is.
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
