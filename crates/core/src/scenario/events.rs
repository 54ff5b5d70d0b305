//! The events of a scenario file.

use super::error::ScenarioError;
use super::parse::Frame;
use super::reader::{Field, Object, Variant};
use crate::chaos::{Fault, FaultEvent};

/// The course's five types, then our own, with the keys that each has besides `type` and `time`.
static TYPES: [Variant; 10] = [
    Variant { name: "kill_leader", keys: &[] },
    Variant { name: "kill_non_leader", keys: &[] },
    Variant { name: "part_easy", keys: &[] },
    Variant { name: "part_hard", keys: &[] },
    Variant { name: "part_end", keys: &[] },
    Variant { name: "kill", keys: &["replica"] },
    Variant { name: "set_matrix", keys: &["matrix"] },
    Variant { name: "set_link", keys: &["from", "to", "value"] },
    Variant { name: "isolate", keys: &["replica"] },
    Variant { name: "heal", keys: &[] },
];

/// The names of all types.
pub(crate) fn event_types() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|variant| variant.name)
}

/// The keys that an event of this type has besides `type` and `time`; none if there is no such type.
pub(crate) fn event_keys(name: &str) -> Option<&'static [&'static str]> {
    TYPES.iter().find(|variant| variant.name == name).map(|variant| variant.keys)
}

/// All events in order of time; those of one time stay in the file's order.
pub(super) fn events(field: &Field<'_>, frame: &Frame) -> Result<Vec<FaultEvent>, ScenarioError> {
    let items = field.optional(|field| field.list(None, "a list of events"))?.unwrap_or_default();
    let events: Result<Vec<_>, _> = items.iter().map(|item| event(item, frame)).collect();
    let mut events = events?;
    events.sort_by_key(|event| event.time);
    Ok(events)
}

fn event(item: &Field<'_>, frame: &Frame) -> Result<FaultEvent, ScenarioError> {
    let mut object = item.object()?;
    let name = object.variant("type", &["time"], &TYPES)?;
    let time = frame.start + frame.time(&object)?;
    Ok(FaultEvent { time, fault: fault(name, &object, frame.replicas)? })
}

fn fault(name: &str, object: &Object<'_>, replicas: usize) -> Result<Fault, ScenarioError> {
    Ok(match name {
        "kill_leader" => Fault::KillLeader,
        "kill_non_leader" => Fault::KillNonLeader,
        "part_easy" => Fault::PartEasy,
        "part_hard" => Fault::PartHard,
        "part_end" => Fault::PartEnd,
        "kill" => Fault::Kill(object.get("replica").replica(replicas)?),
        "set_matrix" => Fault::SetMatrix(object.get("matrix").matrix(replicas)?),
        "set_link" => Fault::SetLink {
            from: object.get("from").replica(replicas)?,
            to: object.get("to").replica(replicas)?,
            value: object.get("value").fraction()?,
        },
        "isolate" => Fault::Isolate(object.get("replica").replica(replicas)?),
        "heal" => Fault::Heal,
        _ => unreachable!("only names of TYPES are read"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_the_fault_of_the_same_name() {
        let matrix = "[[0,0,0],[0,0,0],[0,0,0]]";
        let values = [("matrix", matrix), ("from", "0"), ("to", "1"), ("value", "0.5"), ("replica", "2")];
        for variant in &TYPES {
            let own = values.iter().filter(|(key, _)| variant.keys.contains(key));
            let own: String = own.map(|(key, value)| format!(r#","{key}":{value}"#)).collect();
            let event = format!(r#"{{"type":"{}","time":1{own}}}"#, variant.name);
            let thresholds =
                r#"{"total_msgs":[0,0,0],"failures":[0,0,0],"duplicates":[0,0,0],"median_latency":[0,0,0]}"#;
            let text = format!(
                r#"{{"lifetime":5,"replicas":3,"requests":0,"events":[{event}],"tests":{{"benchmarks":{thresholds}}}}}"#
            );
            let loaded = super::super::Scenario::parse("t", "t.json", &text).unwrap();
            assert_eq!(loaded.scenario.events[0].fault.name(), variant.name);
            assert!(loaded.warnings.is_empty(), "{}", variant.name);
        }
    }
}
