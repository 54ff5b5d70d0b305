//! A real, monotonic clock, for the programs and worlds that live in real time.

#![expect(clippy::disallowed_types, reason = "the one place where real time comes in")]

use std::time::Instant;

use rustix::event::Timespec;

use crate::time::{Span, Time};

/// A clock that was at [`Time::ZERO`] when it was started. It never goes backwards.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts a clock.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// The time since the start.
    #[inline]
    pub fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A span in the form that the system's wait functions take.
pub fn timespec(span: Span) -> Timespec {
    let nanos = span.nanos();
    Timespec { tv_sec: (nanos / 1_000_000_000) as _, tv_nsec: (nanos % 1_000_000_000) as _ }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_keeps_its_nanoseconds_when_the_system_is_asked_to_wait() {
        let wait = timespec(Span(3_000_000_007));
        assert_eq!((wait.tv_sec, wait.tv_nsec), (3, 7));
    }

    #[test]
    fn a_clock_starts_near_zero_and_never_goes_back() {
        let clock = Clock::start();
        let times: Vec<Time> = (0..1_000).map(|_| clock.now()).collect();
        assert!(times.is_sorted() && times[0].as_secs_f64() < 10.0);
    }
}
