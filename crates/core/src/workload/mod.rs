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
//! 4. A client remembers the leader that the newest answer named and asks it; while it knows none, it asks a random
//!    living replica for each request. All forget their leader when it is killed or cut off from its quorum.
//! 5. On `redirect` and `fail` it sends the same operation again at once, under a new MID. It never times out.
//!
//! With [`Keys::Shared`] all clients use the same few keys and every put has a value of its own, for contention.
//!
//! In place of all that, a plan can have a list of operations ([`ScriptedOperation`]). Then 1 to 3 are written down,
//! and all keys count as shared. 4 and 5 stay.

mod keys;
mod reads;
mod script;

use std::sync::Arc;

use crate::id::{ClientId, Mid, ReplicaId, ReplicaSet};
use crate::protocol::{Operation, Request, Response};
use crate::record::{Attempt, History, Outcome};
use crate::rng::Stream;
use crate::time::{Span, Time};

pub use keys::Keys;
use keys::{Choice, KeySpace, Place};
pub use reads::{may_return, newest_done};
pub use script::ScriptedOperation;

/// How many clients a run has.
pub const CLIENTS: usize = 8;

/// A run is stopped when clients have sent so many messages for each request, redirects and failures followed.
const ATTEMPTS_PER_REQUEST_MAX: u64 = 40;

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
    /// The replica that it goes to, alive or not.
    pub to: ReplicaId,
    /// Whom the client believes to lead.
    pub leader: Option<ReplicaId>,
    /// What it asks.
    pub request: Request,
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

    /// Takes an answer that has reached a client. Hands out the next attempt if the request is to be sent again.
    pub fn handle_answer(
        &mut self,
        now: Time,
        to: ClientId,
        mid: Mid,
        leader: Option<ReplicaId>,
        response: &Response,
        living: ReplicaSet,
    ) -> Option<Dispatch> {
        let Some(client) = to.number(self.plan.replicas).filter(|&client| client < CLIENTS) else {
            self.history.unknown += 1;
            return None;
        };
        self.leaders[client] = leader;
        let number = usize::try_from(mid.0).unwrap_or(usize::MAX);
        let Some(attempt) = self.history.attempts.get_mut(number).filter(|attempt| attempt.client == to) else {
            self.history.unknown += 1;
            return None;
        };
        if attempt.answer.is_some() {
            self.history.duplicates += 1;
            return None;
        }
        let outcome = match response {
            Response::Ok { value } => Outcome::Ok(value.clone()),
            Response::Fail => Outcome::Fail,
            Response::Redirect => Outcome::Redirect,
        };
        let done = matches!(outcome, Outcome::Ok(_));
        attempt.answer = Some((now, outcome));
        if done {
            self.complete(number);
            return None;
        }
        let operation = attempt.operation.clone();
        Some(self.dispatch(now, client, operation, self.places[number], Some(mid), living))
    }

    /// All clients forget their leader.
    pub fn forget_leaders(&mut self) {
        self.leaders = [None; CLIENTS];
    }

    /// Whether clients have had to try again so often that the run is stopped: they do so at once, so replicas that
    /// fail everything could keep them busy for ever.
    #[inline]
    pub fn is_storm(&self) -> bool {
        self.history.attempts.len() as u64 > self.plan.requests.saturating_mul(ATTEMPTS_PER_REQUEST_MAX)
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
        let leader = self.leaders[client];
        let to = leader.unwrap_or_else(|| self.random_replica(client, living));
        let attempt =
            Attempt { client: from, replica: to, operation: operation.clone(), sent: now, retry_of, answer: None };
        self.history.attempts.push(attempt);
        self.places.push(place);
        if !operation.is_get() {
            self.keys.note_put(place, mid);
        }
        Dispatch { from, to, leader, request: Request { mid, operation } }
    }

    /// A random living replica; when none lives, a dead one, where the request is lost.
    fn random_replica(&mut self, client: usize, living: ReplicaSet) -> ReplicaId {
        let candidates = if living.is_empty() { ReplicaSet::all(self.plan.replicas) } else { living };
        let place = self.routes[client].below(candidates.len() as u64) as usize;
        candidates.iter().nth(place).expect("a place within the set")
    }

    /// Draws the consequences of an attempt's `ok`.
    fn complete(&mut self, number: usize) {
        let attempt = &self.history.attempts[number];
        match &attempt.operation {
            Operation::Put { value, .. } => self.keys.acknowledge(self.places[number], value),
            // The course's clients send none.
            Operation::Update(update) => self.keys.acknowledge(self.places[number], &update.value),
            Operation::Get { .. } => match self.judge(number) {
                Verdict::Right => {}
                Verdict::Unacknowledged => self.history.unacknowledged_reads += 1,
                Verdict::Wrong => self.history.incorrect_gets += 1,
            },
        }
    }

    /// Judges the value that a get returned, as far as one key's puts can tell.
    fn judge(&self, number: usize) -> Verdict {
        let get = &self.history.attempts[number];
        let Some((answered, Outcome::Ok(Some(value)))) = &get.answer else { return Verdict::Wrong };
        let key = self.keys.key(self.places[number]);
        if key.held.as_ref() == Some(value) && !self.keys.shared() {
            return Verdict::Right;
        }
        let puts = key.puts.iter().map(|mid| &self.history.attempts[mid.0 as usize]);
        match may_return(get.sent, *answered, value, puts) {
            false => Verdict::Wrong,
            true if self.keys.shared() => Verdict::Right,
            true => Verdict::Unacknowledged,
        }
    }
}

/// What to think of a value that a get returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It may be the key's value.
    Right,
    /// It may be, but the client has not (yet) been told that it was put.
    Unacknowledged,
    /// It cannot be.
    Wrong,
}

#[cfg(test)]
mod tests;
