//! The state of clients that the course's clients do not have.

use std::fmt;

use super::generator::{Generator, Lesson, Turn};
use super::names::Names;
use super::patience::Requests;
use super::{CLIENTS, Plan};
use crate::id::Mid;
use crate::rng::Stream;
use crate::service::{Operation, Text};
use crate::specification::Answer;
use crate::time::Time;

/// Generators, names of updates and the state of requests.
pub(super) struct Further {
    seed: u64,
    mix: f64,
    /// One for each client; none if operations are listed, or drawn as in the course.
    generators: Vec<Box<dyn Generator>>,
    /// How many requests of each client there were.
    counts: [u64; CLIENTS],
    names: Option<Names>,
    pub requests: Requests,
}

impl Further {
    /// None if this is a plan for the course's clients.
    pub fn new(plan: &Plan, seed: u64) -> Option<Box<Further>> {
        let drawn = plan.operations.is_none();
        let generators = if drawn { plan.kind.generators(CLIENTS) } else { None };
        let names = (drawn && plan.kind.has_updates()).then(|| Names::new(CLIENTS, seed));
        if generators.is_none() && names.is_none() && plan.patience.is_none() {
            return None;
        }
        Some(Box::new(Further {
            seed,
            mix: plan.mix,
            generators: generators.unwrap_or_default(),
            counts: [0; CLIENTS],
            names,
            requests: Requests::default(),
        }))
    }

    /// Whether it draws the operations.
    pub fn draws(&self) -> bool {
        !self.generators.is_empty()
    }

    /// The next operation of a client, if it has one.
    pub fn draw(&mut self, now: Time, client: usize) -> Option<Operation> {
        let number = self.counts[client];
        self.counts[client] += 1;
        let mut random = Stream::link(self.seed, "operations", client as u64, number);
        let read = random.chance(self.mix);
        self.generators[client].next(&mut Turn { client, number, now, read, random })
    }

    /// The operation as it is sent: with a name, if it is a write that needs one.
    pub fn named(&mut self, client: usize, operation: Operation) -> Operation {
        match &mut self.names {
            Some(names) => names.name(client, operation),
            None => operation,
        }
    }

    /// Records that the first attempt of a client's newest request is sent.
    pub fn begin(&mut self, client: usize, first: Mid) {
        self.requests.begin(self.counts[client].saturating_sub(1), first);
    }

    /// Records that a client's request was answered `ok`.
    pub fn complete(&mut self, now: Time, client: usize, mid: Mid, operation: &Operation, answer: Option<&Text>) {
        if let Some(names) = &mut self.names {
            names.settle(client, operation);
        }
        self.close(now, client, mid, operation, Answer::Done(answer));
    }

    /// Records that a client has abandoned a request.
    pub fn give_up(&mut self, now: Time, client: usize, mid: Mid, operation: &Operation) {
        self.close(now, client, mid, operation, Answer::Unknown);
    }

    fn close(&mut self, now: Time, client: usize, mid: Mid, operation: &Operation, answer: Answer<'_>) {
        let request = self.requests.request_mut(mid);
        if request.over {
            return;
        }
        request.over = true;
        let number = request.number;
        if let Some(generator) = self.generators.get_mut(client) {
            generator.learn(&Lesson { number, operation, answer, now });
        }
    }
}

impl fmt::Debug for Further {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Further").field("counts", &self.counts).field("names", &self.names).finish_non_exhaustive()
    }
}
