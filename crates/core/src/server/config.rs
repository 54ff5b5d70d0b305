//! The parameters of a server.

use crate::raft::{self, ConfigError};
use crate::time::Span;

/// The parameters of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The parameters of consensus.
    pub raft: raft::Config,
    /// Once the applied part of the log takes more bytes than this, about half of it is dropped.
    pub log_bytes_max: usize,
    /// How many requests may be without an answer at a time, those of other servers included.
    pub open_requests_max: usize,
    /// How many bytes they may take, about.
    pub open_bytes_max: usize,
    /// How long a request may take, if its client would wait longer.
    pub request_time_max: Span,
    /// Whether requests are passed on to the leader. If not, clients are told to ask it.
    pub forward: bool,
}

/// As in the built-in Raft, with two differences: batches are larger, because no message has to fit in a datagram, and the
/// log is kept short.
impl Default for Config {
    fn default() -> Config {
        Config {
            raft: raft::Config { batch_bytes_max: 256 << 10, ..raft::Config::default() },
            log_bytes_max: 64 << 20,
            open_requests_max: 16_384,
            open_bytes_max: 512 << 20,
            request_time_max: Span::from_secs(5),
            forward: true,
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
        if self.log_bytes_max == 0 {
            return Err(ConfigError::new("log_bytes_max", self.log_bytes_max, "at least 1"));
        }
        if !(1..=10_000_000).contains(&self.open_requests_max) {
            return Err(ConfigError::new("open_requests_max", self.open_requests_max, "1 to 10000000"));
        }
        if self.open_bytes_max == 0 {
            return Err(ConfigError::new("open_bytes_max", self.open_bytes_max, "at least 1"));
        }
        if !(Span::from_millis(1)..=Span::from_secs(3_600)).contains(&self.request_time_max) {
            let seconds = format!("{} s", self.request_time_max.as_secs_f64());
            return Err(ConfigError::new("request_time_max", seconds, "a millisecond to an hour"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_checked_and_named() {
        type Spoil = fn(&mut Config);
        let cases: [(Spoil, &str); 6] = [
            (|c| c.log_bytes_max = 0, "log_bytes_max is 0; allowed is at least 1"),
            (|c| c.open_requests_max = 0, "open_requests_max is 0; allowed is 1 to 10000000"),
            (|c| c.open_bytes_max = 0, "open_bytes_max is 0; allowed is at least 1"),
            (|c| c.request_time_max = Span::ZERO, "request_time_max is 0 s; allowed is a millisecond to an hour"),
            (
                |c| c.request_time_max = Span::from_secs(3_601),
                "request_time_max is 3601 s; allowed is a millisecond to an hour",
            ),
            (|c| c.raft.suspect_after = 0, "suspect_after is 0; allowed is 1 to 1000000"),
        ];
        assert_eq!(Config::default().validate(), Ok(()));
        for (spoil, message) in cases {
            let mut config = Config::default();
            spoil(&mut config);
            assert_eq!(config.validate().map_err(|error| error.to_string()), Err(message.to_string()));
        }
    }
}
