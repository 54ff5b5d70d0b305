//! The operations of a scenario file, and the messages that must be lost.

use std::collections::BTreeSet;

use serde::Serialize;

use super::error::ScenarioError;
use super::events::target;
use super::parse::{Frame, whole_number};
use super::reader::{Field, Object};
use super::write::{Plain, TargetFile};
use crate::chaos::Loss;
use crate::service::{Custom, Operation, RequestId, Text, Update};
use crate::workload::{CLIENTS, ScriptedOperation};

/// The most operations, and the most losses. Both bound the length of a file that is worth reading.
const OPERATIONS_MAX: usize = 100_000;
const LOSSES_MAX: usize = 100_000;

/// The most characters of a key or a value.
const TEXT_CHARS_MAX: usize = 1_000;

/// The largest number of a message on its link. No run has this many.
const NTH_MAX: u64 = 1_000_000_000;

/// The keys that all operations have.
const COMMON: [&str; 3] = ["time", "client", "replica"];

/// The forms of an operation. The word is a key whose value is the object's key; the value of `custom` is the
/// operation's name. These further keys may stand beside it.
const FORMS: [(&str, &[&str]); 10] = [
    ("get", &[]),
    ("put", &["value"]),
    ("update", &["value", "expected", "name"]),
    ("append", &["value"]),
    ("add", &["amount"]),
    ("enqueue", &["value"]),
    ("dequeue", &[]),
    ("acquire", &[]),
    ("release", &[]),
    ("custom", &["key", "argument"]),
];

/// All operations in the file's order.
pub(super) fn operations(field: &Field<'_>, frame: &Frame) -> Result<Vec<ScriptedOperation>, ScenarioError> {
    let items = field.list_up_to(OPERATIONS_MAX, "operations")?;
    items.iter().map(|item| scripted(item, frame)).collect()
}

fn scripted(item: &Field<'_>, frame: &Frame) -> Result<ScriptedOperation, ScenarioError> {
    let mut object = item.object()?;
    let word = word(&mut object)?;
    let last = CLIENTS as u64 - 1;
    let client = object.get("client").integer(0..=last, &format!("a client's number, from 0 to {last}"))?;
    let aim = object.get("replica").optional(|field| target(field, frame.replicas))?;
    let operation = operation(word, &object)?;
    Ok(ScriptedOperation { time: frame.time(&object)?, client: client as usize, aim, operation })
}

/// The word that names an operation. Refuses all keys that do not belong to it.
fn word(object: &mut Object<'_>) -> Result<&'static str, ScenarioError> {
    let mut given = FORMS.iter().filter(|(word, _)| object.holds(word));
    let (first, second) = (given.next(), given.next());
    if let (Some(&(first, _)), Some(&(second, _))) = (first, second) {
        return Err(object.conflict(first, second, "one of them"));
    }
    let words = FORMS.iter().map(|&(word, _)| word);
    let Some(&(word, further)) = first else {
        let known: Vec<&'static str> = COMMON.into_iter().chain(words.clone()).collect();
        object.only(&known)?;
        let others: Vec<&str> = words.skip(1).collect();
        let allowed = format!("a text of 1 to {TEXT_CHARS_MAX} characters, or else one of {}", others.join(", "));
        return Err(object.get("get").invalid_or_missing(&allowed));
    };
    let known: Vec<&'static str> = COMMON.into_iter().chain([word]).chain(further.iter().copied()).collect();
    object.only(&known)?;
    Ok(word)
}

fn operation(word: &'static str, object: &Object<'_>) -> Result<Operation, ScenarioError> {
    let key = text(object, word, 1)?;
    Ok(match word {
        "get" => Operation::Get { key },
        "put" => Operation::Put { key, value: text(object, "value", 1)? },
        "update" => {
            let value = text(object, "value", 0)?;
            let expected = object.has("expected").then(|| text(object, "expected", 0)).transpose()?;
            Operation::Update(Update { key, value, expected, request: object.get("name").optional(name)? }.into())
        }
        "append" => Operation::Append { key, value: text(object, "value", 1)? },
        "add" => Operation::Add { key, amount: object.get("amount").signed("a whole number")? },
        "enqueue" => Operation::Enqueue { key, value: text(object, "value", 1)? },
        "dequeue" => Operation::Dequeue { key },
        "acquire" => Operation::Acquire { key },
        "release" => Operation::Release { key },
        _ => {
            let argument = object.has("argument").then(|| text(object, "argument", 0)).transpose()?;
            Operation::Custom(Custom { name: key, key: text(object, "key", 1)?, argument }.into())
        }
    })
}

fn text(object: &Object<'_>, key: &'static str, min: usize) -> Result<Text, ScenarioError> {
    let allowed = format!("a text of {min} to {TEXT_CHARS_MAX} characters");
    object.get(key).text(min..=TEXT_CHARS_MAX, &allowed).map(Text::from)
}

/// The name of an update: the number of the client, and that of the update.
fn name(field: &Field<'_>) -> Result<RequestId, ScenarioError> {
    let numbers = field.list(Some(2), "a list of two whole numbers, that of the client and that of the update")?;
    let number = |item: &Field<'_>| item.integer(0..=u64::MAX, &whole_number(0, u64::MAX));
    Ok(RequestId { client: number(&numbers[0])?, number: number(&numbers[1])? })
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

/// An operation, for writing.
#[derive(Serialize)]
pub(super) struct OperationFile<'a> {
    time: Plain,
    client: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<TargetFile>,
    #[serde(flatten)]
    form: FormFile<'a>,
}

/// The keys of [`FORMS`].
#[derive(Serialize, Default)]
struct FormFile<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    get: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    put: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    append: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enqueue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dequeue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acquire: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    argument: Option<&'a str>,
}

impl<'a> From<&'a ScriptedOperation> for OperationFile<'a> {
    fn from(scripted: &'a ScriptedOperation) -> OperationFile<'a> {
        OperationFile {
            time: Plain::seconds(scripted.time),
            client: scripted.client,
            replica: scripted.aim.map(TargetFile::from),
            form: FormFile::from(&scripted.operation),
        }
    }
}

impl<'a> From<&'a Operation> for FormFile<'a> {
    fn from(operation: &'a Operation) -> FormFile<'a> {
        let key = Some(&**operation.key());
        let value = operation.value().map(|value| &**value);
        let form = FormFile::default();
        match operation {
            Operation::Get { .. } => FormFile { get: key, ..form },
            Operation::Put { .. } => FormFile { put: key, value, ..form },
            Operation::Update(update) => FormFile {
                update: key,
                value,
                expected: update.expected.as_deref(),
                name: update.request.map(|request| [request.client, request.number]),
                ..form
            },
            Operation::Append { .. } => FormFile { append: key, value, ..form },
            Operation::Add { amount, .. } => FormFile { add: key, amount: Some(*amount), ..form },
            Operation::Enqueue { .. } => FormFile { enqueue: key, value, ..form },
            Operation::Dequeue { .. } => FormFile { dequeue: key, ..form },
            Operation::Acquire { .. } => FormFile { acquire: key, ..form },
            Operation::Release { .. } => FormFile { release: key, ..form },
            Operation::Custom(custom) => FormFile { custom: Some(&custom.name), key, argument: value, ..form },
        }
    }
}
