//! The parameters of Raft's replicas by name.

use crate::lab::{Parameter, ParameterError};
use crate::raft::{self, ConfigError};
use crate::replica::Config;
use crate::server;

/// The parameters of consensus. Their names begin with `raft.`.
fn of_raft(config: &mut raft::Config) -> Vec<Parameter<'_>> {
    vec![
        Parameter::millis("raft.election_timeout_min_ms", &mut config.election_timeout_min),
        Parameter::millis("raft.election_timeout_max_ms", &mut config.election_timeout_max),
        Parameter::millis("raft.heartbeat_ms", &mut config.heartbeat),
        Parameter::fraction("raft.clock_drift_max", &mut config.clock_drift_max),
        Parameter::millis("raft.round_trip_guess_ms", &mut config.round_trip_guess),
        Parameter::millis("raft.retry_min_ms", &mut config.retry_min),
        Parameter::few("raft.suspect_after", &mut config.suspect_after),
        Parameter::count("raft.batch_bytes_max", &mut config.batch_bytes_max),
        Parameter::few("raft.inflight_max", &mut config.inflight_max),
    ]
}

/// Every parameter of a replica.
pub(in crate::subjects) fn parameters(config: &mut Config) -> Vec<Parameter<'_>> {
    let mut all = of_raft(&mut config.raft);
    all.extend([
        Parameter::count("held_requests_max", &mut config.held_requests_max),
        Parameter::millis("held_time_max_ms", &mut config.held_time_max),
        Parameter::millis("probe_after_ms", &mut config.probe_after),
        Parameter::count("remembered_requests", &mut config.remembered_requests),
        Parameter::limit("log_bytes_max", &mut config.log_bytes_max),
    ]);
    all
}

/// Every parameter of a server of the cluster, but whether it passes requests on.
pub(in crate::subjects) fn of_server(config: &mut server::Config) -> Vec<Parameter<'_>> {
    let mut all = of_raft(&mut config.raft);
    all.extend([
        Parameter::count("open_requests_max", &mut config.open_requests_max),
        Parameter::limit("open_bytes_max", &mut config.open_bytes_max),
        Parameter::millis("request_time_max_ms", &mut config.request_time_max),
        Parameter::limit("log_bytes_max", &mut config.log_bytes_max),
    ]);
    all
}

/// Checks that all parameters of a replica together make sense.
pub(in crate::subjects) fn validate(config: &Config) -> Result<(), ParameterError> {
    explained(config.validate(), &parameters(&mut Config::default()))
}

/// The error of a configuration in terms of these parameters.
pub(in crate::subjects) fn explained(
    result: Result<(), ConfigError>,
    parameters: &[Parameter<'_>],
) -> Result<(), ParameterError> {
    result.map_err(|error| {
        let ConfigError { value, allowed, .. } = &error;
        let name = name_of(&error, parameters).to_owned();
        ParameterError::Value { name, value: value.clone(), allowed: allowed.clone() }
    })
}

/// The parameter name of the field that an error concerns.
fn name_of(error: &ConfigError, parameters: &[Parameter<'_>]) -> &'static str {
    let plain = |name: &'static str| {
        let name = name.strip_prefix("raft.").unwrap_or(name);
        name.strip_suffix("_ms").unwrap_or(name)
    };
    parameters.iter().map(Parameter::name).find(|name| plain(name) == error.key).unwrap_or(error.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_a_parameter_with_a_place_of_its_own() {
        let fields = format!("{:?}", Config::default());
        let count = parameters(&mut Config::default()).len();
        // One colon per field; the configuration of consensus is a field, too.
        assert_eq!(fields.matches(": ").count() - 1, count, "{fields}");
        for place in 0..count {
            let mut config = Config::default();
            let parameter = &mut parameters(&mut config)[place];
            let value = parameter.get();
            parameter.set(if parameter.name() == "raft.clock_drift_max" { 0.5 } else { value + 1.0 }).unwrap();
            let values = |config: &mut Config| -> Vec<f64> { parameters(config).iter().map(Parameter::get).collect() };
            let pairs = values(&mut config).into_iter().zip(values(&mut Config::default()));
            let changed: Vec<usize> =
                pairs.enumerate().filter(|(_, (own, default))| own != default).map(|(place, _)| place).collect();
            assert_eq!(changed, [place]);
        }
    }

    #[test]
    fn errors_of_the_whole_configuration_name_parameters() {
        for (name, value) in [("raft.heartbeat_ms", 0.0), ("held_time_max_ms", 1e9), ("raft.batch_bytes_max", 0.0)] {
            let mut config = Config::default();
            parameters(&mut config).iter_mut().find(|parameter| parameter.name() == name).unwrap().set(value).unwrap();
            let ParameterError::Value { name: named, .. } = validate(&config).unwrap_err() else { panic!("a value") };
            assert_eq!(named, name);
        }
    }
}
