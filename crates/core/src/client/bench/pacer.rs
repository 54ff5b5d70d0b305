//! Says when requests are due.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;

use tokio::sync::Semaphore;

use crate::clock::{Clock, timespec};
use crate::time::{Span, Time};

/// More permits than there are clients.
const CLIENTS_MAX: usize = 1 << 20;

/// Releases requests when they are due. The runtime's own timers count in milliseconds, which is longer than many
/// requests take. So a thread does the waiting, accurate to about fifty microseconds.
#[derive(Debug)]
pub(super) struct Pacer {
    rate: f64,
    /// A permit for each request that is due and not taken.
    due: Semaphore,
    taken: AtomicU64,
}

impl Pacer {
    /// Releases `rate` requests a second, from time zero of the clock until `end`, and then at once some that are due
    /// later.
    pub fn start(rate: f64, end: Time, clock: Clock) -> Arc<Pacer> {
        let pacer = Arc::new(Pacer { rate, due: Semaphore::new(0), taken: AtomicU64::new(0) });
        let weak = Arc::downgrade(&pacer);
        thread::spawn(move || release(&weak, end, clock));
        pacer
    }

    /// Waits until the next request is due, and returns the time at which it was due.
    pub async fn next(&self) -> Time {
        self.due.acquire().await.expect("nobody closes it").forget();
        self.time(self.taken.fetch_add(1, Ordering::Relaxed))
    }

    /// How many requests are due from one time on and before another.
    pub fn due_between(&self, from: Time, to: Time) -> u64 {
        self.first_at(to) - self.first_at(from)
    }

    /// When the request with this number is due.
    fn time(&self, number: u64) -> Time {
        Time::ZERO + Span::from_secs_f64(number as f64 / self.rate)
    }

    /// The number of the first request that is due at this time or later.
    fn first_at(&self, time: Time) -> u64 {
        let mut number = (time.as_secs_f64() * self.rate) as u64;
        while self.time(number) < time {
            number += 1;
        }
        while number > 0 && self.time(number - 1) >= time {
            number -= 1;
        }
        number
    }
}

/// Releases the requests that are due until the end, or until the bench is gone.
fn release(pacer: &Weak<Pacer>, end: Time, clock: Clock) {
    let mut released = 0;
    loop {
        let Some(pacer) = pacer.upgrade() else { return };
        let now = clock.now();
        // Requests are released as soon as they are due; those due before the end, at the end at the latest.
        let due = pacer.first_at((now + Span(1)).min(end));
        pacer.due.add_permits((due - released) as usize);
        released = due;
        if now >= end {
            // Clients still take the requests released so far, and then each gets one that is due after the end.
            pacer.due.add_permits(CLIENTS_MAX);
            return;
        }
        let wait = pacer.time(released).min(end).since(now);
        drop(pacer);
        // If the wait ends early, the loop checks the clock again.
        let _ = rustix::event::poll(&mut [], Some(&timespec(wait)));
    }
}
