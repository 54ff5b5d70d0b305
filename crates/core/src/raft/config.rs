//! The parameters of consensus.

use crate::time::Span;

/// The parameters of consensus. The defaults suit a local network with delays of up to some tens of milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// A follower that has heard nothing from a leader for this long may campaign. Until then it refuses its vote to
    /// others; a leader's lease relies on that.
    pub election_timeout_min: Span,
    /// Followers draw their own timeout between the minimum and this, so that they rarely campaign together. A leader
    /// that has heard nothing from a quorum for this long steps down.
    pub election_timeout_max: Span,
    /// The leader contacts every follower whose last acknowledged contact is this long ago. Appends are contacts, so a
    /// busy cluster sends no heartbeats at all.
    pub heartbeat: Span,
    /// The bound on how much faster, as a fraction, one replica's clock may run than another's. Leases are shorter than
    /// `election_timeout_min` by this fraction.
    pub clock_drift_max: f64,
    /// The round trip to assume where none has been measured: how long an unanswered request for a vote, or a leader's
    /// first append, waits before it is sent again.
    pub round_trip_guess: Span,
    /// An append without an answer does not time out until this has passed beyond the mean round trip, however steady
    /// round trips are. It covers delays that round trips do not show: pauses of the scheduler.
    pub retry_min: Span,
    /// After this many appends in a row without an answer, a follower is taken for dead: it is asked last, and ever
    /// more rarely.
    pub suspect_after: u32,
    /// One append carries entries up to this many bytes of commands, but always at least one entry. So does a part of a
    /// snapshot.
    pub batch_bytes_max: usize,
    /// How many appends may be under way to one follower.
    pub inflight_max: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            election_timeout_min: Span::from_millis(800),
            election_timeout_max: Span::from_millis(1_200),
            heartbeat: Span::from_millis(650),
            clock_drift_max: 0.1,
            round_trip_guess: Span::from_millis(50),
            retry_min: Span::from_millis(4),
            suspect_after: 4,
            batch_bytes_max: 32 * 1024,
            inflight_max: 64,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} is {value}; allowed is {allowed}")]
pub struct ConfigError {
    /// The field.
    pub key: &'static str,
    /// What it holds.
    pub value: String,
    /// What it may hold.
    pub allowed: String,
}

impl ConfigError {
    /// An error for this field.
    pub fn new(key: &'static str, value: impl ToString, allowed: impl ToString) -> ConfigError {
        ConfigError { key, value: value.to_string(), allowed: allowed.to_string() }
    }
}

impl Config {
    /// How long a leader may answer reads by itself after the sending of an append that a quorum has acknowledged.
    pub fn lease(&self) -> Span {
        Span((self.election_timeout_min.nanos() as f64 * (1.0 - self.clock_drift_max)) as u64)
    }

    /// Checks that the parameters make sense, each by itself and all together.
    ///
    /// # Errors
    /// Names the first parameter that does not make sense, and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let millis = |span: Span| format!("{} ms", span.nanos() as f64 / 1e6);
        let (min, max) = (self.election_timeout_min, self.election_timeout_max);
        let hour = Span::from_secs(3_600);
        if min < Span::from_millis(1) || min > hour {
            return Err(ConfigError::new("election_timeout_min", millis(min), "1 ms to an hour"));
        }
        if max <= min || max > hour {
            let allowed = format!("more than election_timeout_min ({}), up to an hour", millis(min));
            return Err(ConfigError::new("election_timeout_max", millis(max), allowed));
        }
        if self.heartbeat < Span::from_micros(10) || self.heartbeat >= min {
            let allowed = format!("0.01 ms to less than election_timeout_min ({})", millis(min));
            return Err(ConfigError::new("heartbeat", millis(self.heartbeat), allowed));
        }
        if !(0.0..1.0).contains(&self.clock_drift_max) {
            return Err(ConfigError::new("clock_drift_max", self.clock_drift_max, "0 to less than 1"));
        }
        for (key, span) in [("round_trip_guess", self.round_trip_guess), ("retry_min", self.retry_min)] {
            if span < Span::from_micros(1) || span > min {
                let allowed = format!("0.001 ms to election_timeout_min ({})", millis(min));
                return Err(ConfigError::new(key, millis(span), allowed));
            }
        }
        for (key, value) in [("suspect_after", self.suspect_after), ("inflight_max", self.inflight_max)] {
            if value == 0 || value > 1_000_000 {
                return Err(ConfigError::new(key, value, "1 to 1000000"));
            }
        }
        if self.batch_bytes_max == 0 {
            return Err(ConfigError::new("batch_bytes_max", self.batch_bytes_max, "at least 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_configuration_is_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_lease_ends_before_any_follower_may_campaign() {
        let config = Config::default();
        assert_eq!(config.lease(), Span::from_millis(720));
        assert!(config.lease() < config.election_timeout_min);
    }

    #[test]
    fn every_parameter_is_checked_and_named() {
        type Spoil = fn(&mut Config);
        let cases: [(Spoil, &str); 9] = [
            (|c| c.election_timeout_min = Span::ZERO, "election_timeout_min is 0 ms; allowed is 1 ms to an hour"),
            (
                |c| c.election_timeout_max = Span::from_millis(800),
                "election_timeout_max is 800 ms; allowed is more than election_timeout_min (800 ms), up to an hour",
            ),
            (
                |c| c.heartbeat = Span::from_millis(800),
                "heartbeat is 800 ms; allowed is 0.01 ms to less than election_timeout_min (800 ms)",
            ),
            (|c| c.clock_drift_max = f64::NAN, "clock_drift_max is NaN; allowed is 0 to less than 1"),
            (
                |c| c.round_trip_guess = Span::ZERO,
                "round_trip_guess is 0 ms; allowed is 0.001 ms to election_timeout_min (800 ms)",
            ),
            (
                |c| c.retry_min = Span::from_secs(1),
                "retry_min is 1000 ms; allowed is 0.001 ms to election_timeout_min (800 ms)",
            ),
            (|c| c.suspect_after = 0, "suspect_after is 0; allowed is 1 to 1000000"),
            (|c| c.inflight_max = 0, "inflight_max is 0; allowed is 1 to 1000000"),
            (|c| c.batch_bytes_max = 0, "batch_bytes_max is 0; allowed is at least 1"),
        ];
        for (spoil, message) in cases {
            let mut config = Config::default();
            spoil(&mut config);
            assert_eq!(config.validate().map_err(|error| error.to_string()), Err(message.to_string()));
        }
    }
}
