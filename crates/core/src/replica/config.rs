//! The parameters of a replica.

use crate::raft::{self, ConfigError};
use crate::time::Span;

/// The parameters of a replica.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The parameters of consensus.
    pub raft: raft::Config,
    /// How many requests a replica holds at most, while it knows no leader or cannot answer yet.
    pub held_requests_max: usize,
    /// How long it holds a request before it answers `fail`.
    pub held_time_max: Span,
    /// A request for another replica waits this long for a message from the leader, before the leader is asked to show
    /// that it is alive. On a busy cluster the leader is heard from all the time, and asking costs messages.
    pub probe_after: Span,
    /// How many requests it remembers, so as to answer each at most once.
    pub remembered_requests: usize,
    /// Once the applied part of the log takes more bytes than this, about half of it is dropped. By default the log is
    /// never compacted, which is cheapest for runs that end soon.
    pub log_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            raft: raft::Config::default(),
            held_requests_max: 4_096,
            held_time_max: Span::from_secs(8),
            probe_after: Span::from_millis(20),
            remembered_requests: 8_192,
            log_bytes_max: usize::MAX,
        }
    }
}

impl Config {
    /// Checks that the parameters make sense.
    ///
    /// # Errors
    /// Names the first parameter that does not make sense, and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.raft.validate()?;
        for (key, value) in
            [("held_requests_max", self.held_requests_max), ("remembered_requests", self.remembered_requests)]
        {
            if !(1..=10_000_000).contains(&value) {
                return Err(ConfigError::new(key, value, "1 to 10000000"));
            }
        }
        if self.remembered_requests < self.held_requests_max {
            let allowed = format!("at least held_requests_max ({})", self.held_requests_max);
            return Err(ConfigError::new("remembered_requests", self.remembered_requests, allowed));
        }
        if self.log_bytes_max == 0 {
            return Err(ConfigError::new("log_bytes_max", self.log_bytes_max, "at least 1"));
        }
        let spans = [("held_time_max", self.held_time_max), ("probe_after", self.probe_after)];
        for (key, span) in spans {
            if span > Span::from_secs(3_600) {
                return Err(ConfigError::new(key, format!("{} s", span.as_secs_f64()), "up to an hour"));
            }
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
    fn every_parameter_is_checked_and_named() {
        type Spoil = fn(&mut Config);
        let cases: [(Spoil, &str); 7] = [
            (
                |c| c.remembered_requests = 100,
                "remembered_requests is 100; allowed is at least held_requests_max (4096)",
            ),
            (|c| c.held_requests_max = 0, "held_requests_max is 0; allowed is 1 to 10000000"),
            (
                |c| c.remembered_requests = usize::MAX,
                "remembered_requests is 18446744073709551615; allowed is 1 to 10000000",
            ),
            (|c| c.held_time_max = Span::from_secs(3_601), "held_time_max is 3601 s; allowed is up to an hour"),
            (|c| c.probe_after = Span::from_secs(4_000), "probe_after is 4000 s; allowed is up to an hour"),
            (|c| c.log_bytes_max = 0, "log_bytes_max is 0; allowed is at least 1"),
            (|c| c.raft.suspect_after = 0, "suspect_after is 0; allowed is 1 to 1000000"),
        ];
        for (spoil, message) in cases {
            let mut config = Config::default();
            spoil(&mut config);
            assert_eq!(config.validate().map_err(|error| error.to_string()), Err(message.to_string()));
        }
    }
}
