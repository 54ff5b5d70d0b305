//! The parameters of a replica by name, as numbers: what files and command lines know of them.

use super::Config;
use crate::raft::ConfigError;
use crate::time::Span;

/// Up to here, every whole number is a float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A parameter in place, with its type.
enum Slot<'a> {
    /// In milliseconds.
    Millis(&'a mut Span),
    Count(&'a mut usize),
    /// 0 stands for no limit.
    Limit(&'a mut usize),
    Few(&'a mut u32),
    Fraction(&'a mut f64),
}

type Access = fn(&mut Config) -> Slot<'_>;

/// Every parameter: its name, with the unit at its end, and its place.
const SETTINGS: [(&str, Access); 14] = [
    ("raft.election_timeout_min_ms", |config| Slot::Millis(&mut config.raft.election_timeout_min)),
    ("raft.election_timeout_max_ms", |config| Slot::Millis(&mut config.raft.election_timeout_max)),
    ("raft.heartbeat_ms", |config| Slot::Millis(&mut config.raft.heartbeat)),
    ("raft.clock_drift_max", |config| Slot::Fraction(&mut config.raft.clock_drift_max)),
    ("raft.round_trip_guess_ms", |config| Slot::Millis(&mut config.raft.round_trip_guess)),
    ("raft.retry_min_ms", |config| Slot::Millis(&mut config.raft.retry_min)),
    ("raft.suspect_after", |config| Slot::Few(&mut config.raft.suspect_after)),
    ("raft.batch_bytes_max", |config| Slot::Count(&mut config.raft.batch_bytes_max)),
    ("raft.inflight_max", |config| Slot::Few(&mut config.raft.inflight_max)),
    ("held_requests_max", |config| Slot::Count(&mut config.held_requests_max)),
    ("held_time_max_ms", |config| Slot::Millis(&mut config.held_time_max)),
    ("probe_after_ms", |config| Slot::Millis(&mut config.probe_after)),
    ("remembered_requests", |config| Slot::Count(&mut config.remembered_requests)),
    ("log_bytes_max", |config| Slot::Limit(&mut config.log_bytes_max)),
];

/// Why a parameter cannot be set by name.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingError {
    /// No parameter has this name.
    #[error("unknown setting `{name}`; allowed is {}", Config::setting_names().join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// The parameter cannot hold this number at all.
    #[error("{name} is {value}; allowed is {allowed}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// The number.
        value: f64,
        /// What it can hold.
        allowed: &'static str,
    },
}

impl Slot<'_> {
    fn get(&self) -> f64 {
        match self {
            Slot::Millis(span) => span.nanos() as f64 / 1e6,
            Slot::Count(count) => **count as f64,
            Slot::Limit(limit) => {
                if **limit == usize::MAX {
                    0.0
                } else {
                    **limit as f64
                }
            }
            Slot::Few(count) => f64::from(**count),
            Slot::Fraction(fraction) => **fraction,
        }
    }

    /// False if it cannot hold the number.
    fn set(&mut self, value: f64) -> bool {
        let (least, most, whole) = match self {
            Slot::Millis(_) => (0.0, WHOLE_MAX / 1e6, false),
            Slot::Count(_) | Slot::Limit(_) => (0.0, WHOLE_MAX, true),
            Slot::Few(_) => (0.0, f64::from(u32::MAX), true),
            Slot::Fraction(_) => (f64::MIN, f64::MAX, false),
        };
        if !(least..=most).contains(&value) || (whole && value.fract() != 0.0) {
            return false;
        }
        match self {
            Slot::Millis(span) => **span = Span((value * 1e6).round() as u64),
            Slot::Count(count) => **count = value as usize,
            Slot::Limit(limit) => **limit = if value == 0.0 { usize::MAX } else { value as usize },
            Slot::Few(count) => **count = value as u32,
            Slot::Fraction(fraction) => **fraction = value,
        }
        true
    }

    fn allowed(&self) -> &'static str {
        match self {
            Slot::Millis(_) => "a number of milliseconds from 0 up",
            Slot::Limit(_) => "a whole number from 1 up, or 0 for no limit",
            Slot::Count(_) | Slot::Few(_) => "a whole number from 0 up",
            Slot::Fraction(_) => "a number",
        }
    }
}

impl Config {
    /// The names of all parameters. Those of consensus begin with `raft.`, times end in `_ms`.
    pub fn setting_names() -> [&'static str; SETTINGS.len()] {
        SETTINGS.map(|(name, _)| name)
    }

    /// Every parameter as a number, times in milliseconds, in the order of [`Config::setting_names`]. Nothing is lost:
    /// what
    /// [`Config::set`] makes of the numbers is the same configuration, as long as it is valid and no number is above
    /// 2^53.
    pub fn settings(&self) -> [(&'static str, f64); SETTINGS.len()] {
        let mut copy = self.clone();
        SETTINGS.map(|(name, access)| (name, access(&mut copy).get()))
    }

    /// The parameters that are not what they are by default.
    pub fn changed_settings(&self) -> Vec<(&'static str, f64)> {
        let pairs = self.settings().into_iter().zip(Config::default().settings());
        pairs.filter(|(own, default)| own != default).map(|(own, _)| own).collect()
    }

    /// Sets one parameter by name; times are in milliseconds. Whether all parameters together make sense is for
    /// [`Config::validate`] to say.
    ///
    /// # Errors
    /// If there is no such parameter, or it cannot hold such a number. Nothing is changed then.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), SettingError> {
        let Some((name, access)) = SETTINGS.into_iter().find(|(known, _)| *known == name) else {
            return Err(SettingError::Unknown { name: name.to_owned() });
        };
        let mut slot = access(self);
        if slot.set(value) {
            return Ok(());
        }
        Err(SettingError::Value { name, value, allowed: slot.allowed() })
    }

    /// The name under which the parameter is set that an error of [`Config::validate`] is about.
    pub fn setting_of(error: &ConfigError) -> &'static str {
        let plain = |name: &'static str| {
            let name = name.strip_prefix("raft.").unwrap_or(name);
            name.strip_suffix("_ms").unwrap_or(name)
        };
        Config::setting_names().into_iter().find(|name| plain(name) == error.key).unwrap_or(error.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_has_a_setting() {
        let fields = format!("{:?}", Config::default());
        // One colon a field; the configuration of consensus is a field, too.
        assert_eq!(fields.matches(": ").count() - 1, SETTINGS.len(), "{fields}");
        for (i, (name, _)) in SETTINGS.iter().enumerate() {
            let mut config = Config::default();
            let value = Config::default().settings()[i].1;
            config.set(name, if *name == "raft.clock_drift_max" { 0.5 } else { value + 1.0 }).unwrap();
            let changed = config.changed_settings();
            assert_eq!(changed.iter().map(|(name, _)| name).collect::<Vec<_>>(), [name], "each has its own place");
        }
    }

    #[test]
    fn what_is_set_is_what_was_read_to_the_nanosecond() {
        let mut config = Config::default();
        config.raft.heartbeat = Span(123_456_789);
        config.raft.election_timeout_max = Span(3_599_999_999_999);
        config.raft.clock_drift_max = 0.1 + 0.2;
        config.held_requests_max = 1;
        assert_eq!(config.validate(), Ok(()));
        let mut again = Config::default();
        for (name, value) in config.settings() {
            again.set(name, value).unwrap();
        }
        assert_eq!(again, config);
        assert_eq!(config.changed_settings().len(), 4);
    }

    #[test]
    fn what_cannot_be_set_changes_nothing_and_is_named() {
        let mut config = Config::default();
        let mut refused = |name, value| config.set(name, value).unwrap_err().to_string();
        assert!(refused("heartbeat", 1.0).starts_with("unknown setting `heartbeat`; allowed is raft.election_timeout"));
        let millis = "raft.heartbeat_ms is -1; allowed is a number of milliseconds from 0 up";
        assert_eq!(refused("raft.heartbeat_ms", -1.0), millis);
        let whole = "held_requests_max is 0.5; allowed is a whole number from 0 up";
        assert_eq!(refused("held_requests_max", 0.5), whole);
        assert!(refused("raft.clock_drift_max", f64::NAN).contains("NaN"));
        assert_eq!(config, Config::default());
    }

    #[test]
    fn errors_of_the_whole_are_about_settings() {
        for (name, value) in [("raft.heartbeat_ms", 0.0), ("held_time_max_ms", 1e9), ("raft.batch_bytes_max", 0.0)] {
            let mut config = Config::default();
            config.set(name, value).unwrap();
            assert_eq!(Config::setting_of(&config.validate().unwrap_err()), name);
        }
    }
}
