//! Clients that abandon attempts, and requests that take several attempts.

use std::collections::VecDeque;

use crate::id::Mid;
use crate::time::{Span, Time};

/// When clients give up: the scenario's `clients`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a client waits for the answer to an attempt.
    pub timeout: Span,
    /// How often it sends a request again because an attempt timed out.
    pub retries: u32,
}

/// One request over all its attempts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Its number among those of its client.
    pub number: u64,
    /// The newest attempt.
    pub newest: Mid,
    /// How often an attempt has timed out and was repeated.
    pub retried: u32,
    /// Whether the client no longer waits for an answer: there was one, or it has given up.
    pub over: bool,
}

/// All requests of a run, and the timeouts of their attempts.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    list: Vec<Request>,
    /// The request of each attempt.
    of: Vec<u32>,
    /// When the attempts that may still time out do so. All timeouts have the same length, so the first sent is the
    /// first due.
    timers: VecDeque<(Time, Mid)>,
}

impl Requests {
    /// Records that a request's first attempt is sent.
    pub fn begin(&mut self, number: u64, first: Mid) {
        self.of.push(self.list.len() as u32);
        self.list.push(Request { number, newest: first, retried: 0, over: false });
    }

    /// Records that a request is sent again.
    pub fn repeat(&mut self, earlier: Mid, again: Mid) {
        self.of.push(self.of[earlier.0 as usize]);
        self.request_mut(earlier).newest = again;
    }

    /// Sets when the attempt that was just sent times out.
    pub fn time(&mut self, due: Time, mid: Mid) {
        self.timers.push_back((due, mid));
    }

    /// The request that an attempt belongs to.
    pub fn request_mut(&mut self, mid: Mid) -> &mut Request {
        &mut self.list[self.of[mid.0 as usize] as usize]
    }

    /// Whether the client still waits for this attempt, and for no newer one.
    pub fn is_current(&self, mid: Mid) -> bool {
        let request = &self.list[self.of[mid.0 as usize] as usize];
        request.newest == mid && !request.over
    }

    /// When the next attempt times out; [`Time::NEVER`] if none does.
    pub fn due(&mut self) -> Time {
        while let Some(&(due, mid)) = self.timers.front() {
            if self.is_current(mid) {
                return due;
            }
            self.timers.pop_front();
        }
        Time::NEVER
    }

    /// The attempt that times out next.
    pub fn next(&self) -> Option<Mid> {
        self.timers.front().map(|&(_, mid)| mid)
    }
}
