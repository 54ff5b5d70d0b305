//! The operations of a scenario file, and the messages that are to be lost.

use std::collections::BTreeSet;

use super::error::ScenarioError;
use super::parse::{Frame, whole_number};
use super::reader::{Field, Object};
use crate::chaos::Loss;
use crate::service::{Operation, Text};
use crate::workload::{CLIENTS, ScriptedOperation};

/// The most operations, and the most losses. Both bound the length of a file that is worth reading.
const OPERATIONS_MAX: usize = 100_000;
const LOSSES_MAX: usize = 100_000;

/// The most characters of a key or a value.
const TEXT_CHARS_MAX: usize = 1_000;

/// The largest number of a message on its link. No run has so many.
const NTH_MAX: u64 = 1_000_000_000;

/// All operations in the file's order.
pub(super) fn operations(field: &Field<'_>, frame: &Frame) -> Result<Vec<ScriptedOperation>, ScenarioError> {
    let items = field.list_up_to(OPERATIONS_MAX, "operations")?;
    items.iter().map(|item| operation(item, frame)).collect()
}

fn operation(item: &Field<'_>, frame: &Frame) -> Result<ScriptedOperation, ScenarioError> {
    let mut object = item.object()?;
    let puts = object.holds("put");
    object.only(if puts { &["time", "client", "get", "put", "value"] } else { &["time", "client", "get", "put"] })?;
    if puts && object.has("get") {
        return Err(object.conflict("get", "put", "one of them"));
    }
    let last = CLIENTS as u64 - 1;
    let client = object.get("client").integer(0..=last, &format!("a client's number, from 0 to {last}"))?;
    let operation = if puts {
        Operation::Put { key: text(&object, "put", "")?, value: text(&object, "value", "")? }
    } else {
        Operation::Get { key: text(&object, "get", ", or else a `put`")? }
    };
    Ok(ScriptedOperation { time: frame.time(&object)?, client: client as usize, operation })
}

fn text(object: &Object<'_>, key: &'static str, or_else: &str) -> Result<Text, ScenarioError> {
    let allowed = format!("a text of 1 to {TEXT_CHARS_MAX} characters{or_else}");
    object.get(key).text(1..=TEXT_CHARS_MAX, &allowed).map(Text::from)
}

/// All losses in the file's order.
pub(super) fn losses(field: &Field<'_>, replicas: usize) -> Result<Vec<Loss>, ScenarioError> {
    let items = field.list_up_to(LOSSES_MAX, "losses")?;
    let mut seen = BTreeSet::new();
    let mut losses = Vec::with_capacity(items.len());
    for item in &items {
        let loss = loss(item, replicas)?;
        if !seen.insert(loss) {
            return Err(item.invalid("each loss once"));
        }
        losses.push(loss);
    }
    Ok(losses)
}

fn loss(item: &Field<'_>, replicas: usize) -> Result<Loss, ScenarioError> {
    let mut object = item.object()?;
    object.only(&["from", "to", "nth"])?;
    let from = object.get("from").replica(replicas)?;
    let to = object.get("to").replica(replicas)?;
    if from == to {
        return Err(object.get("to").invalid("another replica than `from`"));
    }
    let nth = object.get("nth").integer(1..=NTH_MAX, &whole_number(1, NTH_MAX))?;
    Ok(Loss { from, to, nth })
}
