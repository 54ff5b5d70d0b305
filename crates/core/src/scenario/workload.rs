//! The service that clients use, and when they give up: the file's `workload` and `clients`.

use serde::Serialize;

use super::error::ScenarioError;
use super::parse::{millis, whole_number};
use super::reader::{Field, Object, Variant};
use super::write::{Plain, unless};
use crate::service::Operation;
use crate::workload::{CustomKind, Keys, Kind, Patience, ScriptedOperation};

/// The most keys, lists, counters, queues or locks.
const COUNT_MAX: u64 = 1_000_000;

/// `count` of a file that does not set it. The kind `kv` requires it.
const COUNT_DEFAULT: u32 = 3;

/// `mix` of a file that does not set it: the handout's value, and the one for all kinds but the course's.
const MIX_DEFAULT: f64 = 0.8;
const MIX_DEFAULT_OF_OTHERS: f64 = 0.5;

/// The shortest `timeout_ms`.
const TIMEOUT_MS_MIN: f64 = 1.0;

/// The most times that a request is repeated because an attempt timed out.
const RETRIES_MAX: u64 = 1_000;

/// The most characters of the name of a type.
const NAME_CHARS_MAX: usize = 100;

const KINDS: [Variant; 7] = [
    Variant { name: "kv", keys: &["keys", "count", "updates"] },
    Variant { name: "cas", keys: &["count", "updates"] },
    Variant { name: "list", keys: &["count"] },
    Variant { name: "counter", keys: &["count"] },
    Variant { name: "queue", keys: &["count"] },
    Variant { name: "lock", keys: &["count", "hold_ms"] },
    Variant { name: "custom", keys: &["name"] },
];

/// `mix` of a file that does not set it.
pub(super) fn mix_default(kind: &Kind) -> f64 {
    if matches!(kind, Kind::Kv { .. }) { MIX_DEFAULT } else { MIX_DEFAULT_OF_OTHERS }
}

/// The kind of a workload that clients draw.
pub(super) fn drawn(field: &Field<'_>) -> Result<Kind, ScenarioError> {
    let mut object = field.object()?;
    let name = if object.holds("kind") { object.variant("kind", &[], &KINDS)? } else { "kv" };
    if name == "kv" {
        return kv(&mut object);
    }
    if name == "custom" {
        return custom(&object);
    }
    let count = count(&object)?;
    Ok(match name {
        "cas" => Kind::Cas { count, updates: updates(&object)? },
        "list" => Kind::List { count },
        "counter" => Kind::Counter { count },
        "queue" => Kind::Queue { count },
        _ => {
            let given = object.has("hold_ms").then(|| millis(&object, "hold_ms", 0.0, "")).transpose()?;
            Kind::Lock { count, hold_max: given.unwrap_or(Kind::HOLD_DEFAULT) }
        }
    })
}

fn kv(object: &mut Object<'_>) -> Result<Kind, ScenarioError> {
    const KEYS: [Variant; 2] = [Variant { name: "private", keys: &[] }, Variant { name: "shared", keys: &["count"] }];
    let keys = match object.variant("keys", &["kind", "updates"], &KEYS)? {
        "private" => Keys::Private,
        _ => Keys::Shared { count: object.get("count").integer(1..=COUNT_MAX, &whole_number(1, COUNT_MAX))? as u32 },
    };
    Ok(Kind::Kv { keys, updates: updates(object)? })
}

/// A type that only the protocol knows.
fn custom(object: &Object<'_>) -> Result<Kind, ScenarioError> {
    let allowed = format!("the name of a type, a text of 1 to {NAME_CHARS_MAX} characters");
    Ok(Kind::Custom(CustomKind::named(object.get("name").text(1..=NAME_CHARS_MAX, &allowed)?)))
}

fn count(object: &Object<'_>) -> Result<u32, ScenarioError> {
    let read = |field: &Field<'_>| field.integer(1..=COUNT_MAX, &whole_number(1, COUNT_MAX));
    Ok(object.get("count").optional(read)?.map_or(COUNT_DEFAULT, |count| count as u32))
}

fn updates(object: &Object<'_>) -> Result<bool, ScenarioError> {
    Ok(object.get("updates").optional(Field::truth)?.unwrap_or(false))
}

/// The kind of listed operations: it follows from them, unless the file sets it.
pub(super) fn scripted(top: &Object<'_>, operations: &[ScriptedOperation]) -> Result<Kind, ScenarioError> {
    const CUSTOM: &str = r#"{"kind": "custom", "name": NAME}, as operations of a type of your own have no other name"#;
    let has_custom = operations.iter().any(|scripted| matches!(scripted.operation, Operation::Custom(_)));
    let Some(kind) = top.get("workload").optional(|field| named(top, field, operations))? else {
        if has_custom {
            return Err(top.get("workload").invalid_or_missing(CUSTOM));
        }
        let several = "operations of one kind: gets and puts, or lists, or counters, or queues, or locks";
        return Kind::of(operations, 0).ok_or_else(|| top.get("operations").invalid(several));
    };
    if let Some(place) = operations.iter().position(|scripted| !kind.knows(&scripted.operation)) {
        let items = top.get("operations").list(None, "a list")?;
        return Err(items[place].invalid(&format!("an operation of the kind `{}` (`workload.kind`)", kind.name())));
    }
    Ok(kind)
}

/// The kind that stands beside operations. All other keys of a workload concern drawn requests.
fn named(top: &Object<'_>, field: &Field<'_>, operations: &[ScriptedOperation]) -> Result<Kind, ScenarioError> {
    let mut object = field.object()?;
    if object.entries().any(|(key, _)| !["kind", "name"].contains(&key)) {
        let allowed = "one of them, or nothing but a kind as `workload`";
        return Err(top.conflict("operations", "workload", allowed));
    }
    let is_custom = object.entries().any(|(key, field)| key == "kind" && field.is_word("custom"));
    object.only(if is_custom { &["kind", "name"] } else { &["kind"] })?;
    let word = object.get("kind").word(&Kind::NAMES)?;
    if let Some(kind) = Kind::scripted(word, operations, 0) {
        return Ok(kind);
    }
    custom(&object)
}

/// When clients give up.
pub(super) fn patience(field: &Field<'_>) -> Result<Patience, ScenarioError> {
    let mut object = field.object_like(r#"an object with `timeout_ms`, as in {"timeout_ms": 500, "retries": 3}"#)?;
    object.only(&["timeout_ms", "retries"])?;
    let retries = |field: &Field<'_>| field.integer(0..=RETRIES_MAX, &whole_number(0, RETRIES_MAX));
    Ok(Patience {
        timeout: millis(&object, "timeout_ms", TIMEOUT_MS_MIN, "")?,
        retries: object.get("retries").optional(retries)?.unwrap_or(0) as u32,
    })
}

/// `workload`, for writing.
#[derive(Serialize, Default)]
pub(super) struct WorkloadFile<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updates: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_ms: Option<Plain>,
}

impl<'a> WorkloadFile<'a> {
    /// What is to be said of a kind that the scenario names: nothing, if it follows from the operations.
    pub fn new(kind: &'a Kind, operations: Option<&[ScriptedOperation]>) -> Option<WorkloadFile<'a>> {
        let name = match kind {
            Kind::Custom(custom) => Some(custom.name()),
            _ => None,
        };
        let named = WorkloadFile { kind: Some(kind.name()), name, ..WorkloadFile::default() };
        if let Some(operations) = operations {
            let follows = Kind::of(operations, 0).is_some_and(|derived| derived.name() == kind.name());
            return (!follows).then_some(named);
        }
        let count = |count: u32| unless(COUNT_DEFAULT, count);
        Some(match *kind {
            Kind::Kv { keys, updates } => {
                let (keys, count) = match keys {
                    Keys::Private => ("private", None),
                    Keys::Shared { count } => ("shared", Some(count)),
                };
                WorkloadFile { keys: Some(keys), count, updates: unless(false, updates), ..WorkloadFile::default() }
            }
            Kind::Cas { count: keys, updates } => {
                WorkloadFile { count: count(keys), updates: unless(false, updates), ..named }
            }
            Kind::List { count: objects } | Kind::Counter { count: objects } | Kind::Queue { count: objects } => {
                WorkloadFile { count: count(objects), ..named }
            }
            Kind::Lock { count: locks, hold_max } => {
                let hold_ms = unless(Kind::HOLD_DEFAULT, hold_max).map(Plain::millis);
                WorkloadFile { count: count(locks), hold_ms, ..named }
            }
            Kind::Custom(_) => named,
        })
    }
}

/// `clients`, for writing.
#[derive(Serialize)]
pub(super) struct ClientsFile {
    timeout_ms: Plain,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
}

impl From<Patience> for ClientsFile {
    fn from(Patience { timeout, retries }: Patience) -> ClientsFile {
        ClientsFile { timeout_ms: Plain::millis(timeout), retries: unless(0, retries) }
    }
}
