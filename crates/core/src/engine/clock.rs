//! A host's clock: it may run fast or slow, and it may jump ahead.

use crate::time::{Span, Time};

/// How fast a clock runs: local nanoseconds for each 10^9 nanoseconds of the world.
///
/// An integer, so that no conversion depends on how a machine rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

impl Rate {
    /// As fast as the world's time.
    pub const EXACT: Rate = Rate(1_000_000_000);

    /// The slowest and the fastest rate that a clock may have.
    pub const BOUNDS: (f64, f64) = (0.01, 100.0);

    /// The nearest rate to this many local seconds a second; none if that is out of [`Rate::BOUNDS`].
    pub fn new(rate: f64) -> Option<Rate> {
        let (min, max) = Rate::BOUNDS;
        (min..=max).contains(&rate).then(|| Rate((rate * 1e9).round() as u64))
    }

    /// Local seconds a second.
    pub fn get(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// The clock of one host. It never goes backwards: machines read a monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Whether it was ever set.
    is_set: bool,
    rate: Rate,
    /// The world's time when the rate was set, and what this clock showed then.
    since: Time,
    shown: Time,
}

impl Clock {
    /// A clock that shows the world's time.
    pub const EXACT: Clock = Clock { is_set: false, rate: Rate::EXACT, since: Time::ZERO, shown: Time::ZERO };

    /// What the clock shows at this time of the world.
    #[inline]
    pub fn local(&self, world: Time) -> Time {
        if self.is_set { self.convert(world) } else { world }
    }

    fn convert(&self, world: Time) -> Time {
        let passed = u128::from(world.since(self.since).nanos()) * u128::from(self.rate.0);
        let passed = passed / u128::from(Rate::EXACT.0);
        self.shown + Span(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// The first time of the world at which the clock shows this or more; [`Time::NEVER`] for [`Time::NEVER`].
    #[inline]
    pub fn world(&self, local: Time) -> Time {
        if !self.is_set || local == Time::NEVER { local } else { self.convert_back(local) }
    }

    fn convert_back(&self, local: Time) -> Time {
        let left = u128::from(local.since(self.shown).nanos()) * u128::from(Rate::EXACT.0);
        let left = left.div_ceil(u128::from(self.rate.0));
        self.since + Span(u64::try_from(left).unwrap_or(u64::MAX))
    }

    /// From this time of the world on the clock runs at this rate, and jumps ahead first.
    pub fn set(&mut self, world: Time, rate: Rate, jump: Span) {
        *self = Clock { is_set: true, rate, since: world, shown: self.local(world) + jump };
    }

    /// How fast it runs.
    pub fn rate(&self) -> Rate {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn a_clock_wakes_its_machine_at_the_first_moment_that_is_not_too_early() {
        let mut stream = Stream::new(3, "clock");
        for _ in 0..2_000 {
            let mut clock = Clock::EXACT;
            let mut world = Time(stream.below(1 << 40));
            let rate = Rate::new(0.5 + stream.unit()).expect("a rate within bounds");
            clock.set(world, rate, Span(stream.below(1 << 32)));
            world += Span(stream.below(1 << 40));
            let deadline = clock.local(world) + Span(1 + stream.below(1 << 40));
            let wake = clock.world(deadline);
            assert!(wake > world && clock.local(wake) >= deadline, "{clock:?} at {world}");
            assert!(clock.local(Time(wake.nanos() - 1)) < deadline, "{clock:?} at {world} wakes too late");
        }
    }

    #[test]
    fn a_clock_runs_at_its_rate_and_never_goes_back() {
        let mut clock = Clock::EXACT;
        assert_eq!(clock.local(Time(7)), Time(7));
        clock.set(Time(1_000), Rate::new(2.0).unwrap(), Span(500));
        assert_eq!(clock.local(Time(1_000)), Time(1_500));
        assert_eq!(clock.local(Time(1_100)), Time(1_700));
        clock.set(Time(1_100), Rate::EXACT, Span::ZERO);
        assert_eq!(clock.local(Time(1_200)), Time(1_800));
        assert_eq!(clock.world(Time(1_800)), Time(1_200));
        assert_eq!(clock.world(Time::NEVER), Time::NEVER);
    }

    #[test]
    fn rates_out_of_bounds_are_refused() {
        for rate in [0.0, -1.0, 0.009, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Rate::new(rate), None, "{rate}");
        }
        assert_eq!(Rate::new(1.05).map(Rate::get), Some(1.05));
    }
}
