//! The events of a scenario file.

use std::sync::LazyLock;

use super::error::ScenarioError;
use super::parse::{Frame, delay, link_between, millis, whole_number};
use super::reader::{Field, Object, Variant};
use crate::chaos::{Act, Fault, FaultEvent, HOST_FAULTS, Target};
use crate::engine::Rate;
use crate::id::{ReplicaId, ReplicaSet};
use crate::time::Span;

/// A type of events, with its keys besides `type` and `time`; optional keys come last.
pub(crate) struct EventType {
    pub name: &'static str,
    pub keys: &'static [&'static str],
    pub required: usize,
}

/// The course's five types, then our own: those about the network, and those about hosts.
static TYPES: LazyLock<Vec<EventType>> = LazyLock::new(|| {
    let own = NETWORK_TYPES.iter().map(|&(name, keys, required)| EventType { name, keys, required });
    let hosts = HOST_FAULTS.iter().map(|row| EventType { name: row.name, keys: row.keys, required: row.required });
    own.chain(hosts).collect()
});

const NETWORK_TYPES: [(&str, &[&str], usize); 13] = [
    ("kill_leader", &[], 0),
    ("kill_non_leader", &[], 0),
    ("part_easy", &[], 0),
    ("part_hard", &[], 0),
    ("part_end", &[], 0),
    ("partition", &["groups"], 1),
    ("set_matrix", &["matrix"], 1),
    ("set_link", &["from", "to", "value"], 3),
    ("isolate", &["replica"], 1),
    ("heal", &[], 0),
    ("duplicate", &["value"], 1),
    ("damage", &["value"], 1),
    ("delay_link", &["from", "to", "delay"], 2),
];

/// The largest factor by which syncs can be slowed down.
const SLOWER_MAX: u64 = 1_000_000;

/// The names of all types.
pub(crate) fn event_types() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|kind| kind.name)
}

/// The type of this name; none if there is no such type.
pub(crate) fn event_type(name: &str) -> Option<&'static EventType> {
    TYPES.iter().find(|kind| kind.name == name)
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
    let variants: Vec<Variant> = TYPES.iter().map(|kind| Variant { name: kind.name, keys: kind.keys }).collect();
    let name = object.variant("type", &["time"], &variants)?;
    let time = frame.start + frame.time(&object)?;
    Ok(FaultEvent { time, fault: fault(name, &object, frame)? })
}

fn fault(name: &str, object: &Object<'_>, frame: &Frame) -> Result<Fault, ScenarioError> {
    let replicas = frame.replicas;
    Ok(match name {
        "kill_leader" => Fault::KillLeader,
        "kill_non_leader" => Fault::KillNonLeader,
        "part_easy" => Fault::PartEasy,
        "part_hard" => Fault::PartHard,
        "part_end" => Fault::PartEnd,
        "partition" => Fault::Partition(groups(&object.get("groups"), replicas)?),
        "set_matrix" => Fault::SetMatrix(object.get("matrix").matrix(replicas)?),
        "set_link" => Fault::SetLink {
            from: object.get("from").replica(replicas)?,
            to: object.get("to").replica(replicas)?,
            value: object.get("value").fraction()?,
        },
        "isolate" => Fault::Isolate(target(&object.get("replica"), replicas)?),
        "heal" => Fault::Heal,
        "duplicate" => Fault::Duplicate(object.get("value").fraction()?),
        "damage" => Fault::Damage(object.get("value").fraction()?),
        "delay_link" if !frame.has_links => {
            return Err(object.get("type").invalid("delay_link only with `\"model\": \"links\"` in `network`"));
        }
        "delay_link" => {
            let (from, to) = link_between(object, replicas)?;
            Fault::DelayLink { from, to, delay: object.get("delay").optional(delay)? }
        }
        _ => host_fault(name, object, replicas)?,
    })
}

fn host_fault(name: &str, object: &Object<'_>, replicas: usize) -> Result<Fault, ScenarioError> {
    let row = event_type(name).expect("only names of types are read");
    let field = object.get("replica");
    let at = if row.required == 0 {
        field.optional(|field| target(field, replicas))?
    } else {
        Some(target(&field, replicas)?)
    };
    let act = match name {
        "kill" => Act::Kill,
        "crash" => Act::Crash,
        "restart" => Act::Restart { wipe: object.get("wipe").optional(Field::truth)?.unwrap_or(false) },
        "pause" => Act::Pause,
        "resume" => Act::Resume,
        "clock" => clock(object)?,
        "slow_disk" => {
            Act::SlowDisk { times: object.get("times").integer(1..=SLOWER_MAX, &whole_number(1, SLOWER_MAX))? }
        }
        "full_disk" => Act::FullDisk,
        "corrupt_disk" => Act::CorruptDisk,
        "lying_disk" => Act::LyingDisk,
        "mend_disk" => Act::MendDisk,
        "step_down" => Act::StepDown,
        other => unreachable!("{other} is not in the table of faults"),
    };
    Ok(Fault::Host { at, act })
}

fn clock(object: &Object<'_>) -> Result<Act, ScenarioError> {
    let (min, max) = Rate::BOUNDS;
    let read = |field: &Field<'_>| field.number(min..=max, &format!("a number from {min} to {max}, where 1 is exact"));
    let rate = object.get("rate").optional(read)?.unwrap_or(1.0);
    let jump = if object.has("jump_ms") { millis(object, "jump_ms", 0.0, "")? } else { Span::ZERO };
    Ok(Act::Clock { rate: Rate::new(rate).expect("a rate within its bounds"), jump })
}

/// A replica's number or role.
pub(super) fn target(field: &Field<'_>, replicas: usize) -> Result<Target, ScenarioError> {
    let last = replicas as u64 - 1;
    let allowed = format!("a replica's number, from 0 to {last}, or \"leader\" or \"follower\"");
    if field.is_text() {
        return match field.word(&["leader", "follower"]) {
            Ok("leader") => Ok(Target::Leader),
            Ok(_) => Ok(Target::Follower),
            Err(_) => Err(field.invalid(&allowed)),
        };
    }
    Ok(Target::Replica(ReplicaId(field.integer(0..=last, &allowed)? as u8)))
}

/// The groups of a partition: lists of replicas that have none in common.
fn groups(field: &Field<'_>, replicas: usize) -> Result<Vec<ReplicaSet>, ScenarioError> {
    const ALLOWED: &str = "a list of lists of replicas, none of them empty, and each replica at most once";
    let (mut groups, mut seen) = (Vec::new(), ReplicaSet::EMPTY);
    for item in field.list(None, ALLOWED)? {
        let mut group = ReplicaSet::EMPTY;
        for member in item.list(None, ALLOWED)? {
            let replica = member.replica(replicas)?;
            if seen.contains(replica) {
                return Err(member.invalid(ALLOWED));
            }
            seen.insert(replica);
            group.insert(replica);
        }
        if group.is_empty() {
            return Err(item.invalid(ALLOWED));
        }
        groups.push(group);
    }
    if groups.is_empty() { Err(field.invalid(ALLOWED)) } else { Ok(groups) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_the_fault_of_the_same_name() {
        let matrix = "[[0,0,0],[0,0,0],[0,0,0]]";
        let values = [
            ("matrix", matrix),
            ("from", "0"),
            ("to", "1"),
            ("value", "0.5"),
            ("replica", "2"),
            ("groups", "[[0],[1,2]]"),
            ("delay", r#"{"kind":"constant","ms":3}"#),
            ("wipe", "true"),
            ("rate", "1.5"),
            ("jump_ms", "20"),
            ("times", "7"),
        ];
        for variant in TYPES.iter() {
            let own = values.iter().filter(|(key, _)| variant.keys.contains(key));
            let own: String = own.map(|(key, value)| format!(r#","{key}":{value}"#)).collect();
            let event = format!(r#"{{"type":"{}","time":1{own}}}"#, variant.name);
            let thresholds =
                r#"{"total_msgs":[0,0,0],"failures":[0,0,0],"duplicates":[0,0,0],"median_latency":[0,0,0]}"#;
            let text = format!(
                r#"{{"lifetime":5,"replicas":3,"requests":0,"network":{{"model":"links","delay":{{"kind":"constant","ms":1}}}},"events":[{event}],"tests":{{"benchmarks":{thresholds}}}}}"#
            );
            let loaded = super::super::Scenario::parse("t", "t.json", &text).unwrap();
            assert_eq!(loaded.scenario.events[0].fault.name(), variant.name);
            assert!(loaded.warnings.is_empty(), "{}", variant.name);
        }
    }
}
