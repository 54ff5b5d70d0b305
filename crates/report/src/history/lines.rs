//! Reading what [`write`](super::write) has written.

use std::borrow::Cow;
use std::io::BufRead;

use serde::Deserialize;

use super::VERSION;
use super::read::{ATTEMPTS_MAX, ReadError, Texts, next_line};
use seedbed_core::id::{ClientId, Mid, ReplicaId};
use seedbed_core::record::{Attempt, History, Outcome};
use seedbed_core::service::{Custom, Operation, RequestId, Text, Update};
use seedbed_core::time::Time;

/// Any line. Which fields are there depends on its type; others may be added in time.
#[derive(Deserialize)]
struct Line<'a> {
    seedbed_history: Option<u32>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    operations: Option<u64>,
    #[serde(borrow)]
    mid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    retry_of: Option<Cow<'a, str>>,
    #[serde(borrow)]
    client: Option<Cow<'a, str>>,
    #[serde(borrow)]
    replica: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Option<Cow<'a, str>>,
    amount: Option<i64>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
    #[serde(borrow)]
    expected: Option<Cow<'a, str>>,
    request: Option<[u64; 2]>,
    invoked_ns: Option<u64>,
    completed_ns: Option<u64>,
    #[serde(borrow)]
    answer: Option<Cow<'a, str>>,
    #[serde(borrow)]
    result: Option<Cow<'a, str>>,
}

pub(super) fn read(mut input: impl BufRead, watch: &mut dyn FnMut(u64)) -> Result<History, ReadError> {
    let (mut history, mut texts) = (History::default(), Texts::default());
    let (mut bytes, mut number, mut position) = (Vec::new(), 0, 0);
    let mut ended = false;
    while next_line(&mut input, &mut bytes, number + 1)? {
        number += 1;
        position += bytes.len() as u64 + 1;
        if number % 1_000 == 0 {
            watch(position);
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let at = |problem: String| ReadError::line(number, problem);
        let line: Line<'_> = serde_json::from_slice(&bytes).map_err(|error| at(json_problem(&error)))?;
        match &*line.kind {
            _ if ended => return Err(at("comes after the line with `type` `end`".to_owned())),
            "begin" => begin(&line).map_err(at)?,
            "operation" => {
                let attempt = line.attempt(history.attempts.len(), &mut texts).map_err(at)?;
                history.attempts.push(attempt);
            }
            "end" => {
                let found = history.attempts.len() as u64;
                if line.operations != Some(found) {
                    let told = line.operations.map_or("none".to_owned(), |told| told.to_string());
                    return Err(at(format!("`operations` is {told}, but there are {found} before it")));
                }
                ended = true;
            }
            other => {
                let other = seedbed_core::printable::printable(other);
                return Err(at(format!("`type` is `{other}`; allowed are begin, operation and end")));
            }
        }
    }
    if !ended {
        let read = history.attempts.len();
        return Err(ReadError::Whole(format!(
            "is cut off: after {read} operations there is no line with `type` `end`"
        )));
    }
    Ok(history)
}

/// What serde says, without its own number of the line.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    format!("{} (column {})", seedbed_core::printable::printable(text), error.column())
}

fn begin(line: &Line<'_>) -> Result<(), String> {
    match line.seedbed_history {
        Some(VERSION) => Ok(()),
        Some(other) => Err(format!("`seedbed_history` is {other}; this program reads version {VERSION}")),
        None => Err("`seedbed_history`, the version of the format, is missing".to_owned()),
    }
}

fn wanted<'l, T>(field: &'l Option<T>, name: &str) -> Result<&'l T, String> {
    field.as_ref().ok_or_else(|| format!("`{name}` is missing"))
}

fn hex(text: &str, name: &str, digits: usize) -> Result<u16, String> {
    let number = u16::from_str_radix(text, 16).ok().filter(|_| text.len() == digits && !text.starts_with('+'));
    number.ok_or_else(|| {
        let text = seedbed_core::printable::printable(text);
        format!("`{name}` is `{text}`; allowed are {digits} hexadecimal digits")
    })
}

impl Line<'_> {
    /// The attempt with this number.
    fn attempt(&self, number: usize, texts: &mut Texts) -> Result<Attempt, String> {
        if number >= ATTEMPTS_MAX {
            return Err(format!("a history has at most {ATTEMPTS_MAX} operations"));
        }
        let expected = Mid(number as u64).to_string();
        if **wanted(&self.mid, "mid")? != *expected {
            return Err(format!("`mid` must be `{expected}`: operations are numbered from 0"));
        }
        let retry_of = match &self.retry_of {
            None => None,
            Some(text) => Some(text.parse::<Mid>().ok().filter(|mid| mid.0 < number as u64).ok_or_else(|| {
                format!("`retry_of` is `{}`; allowed is the `mid` of an earlier line", printable(text))
            })?),
        };
        let replica = hex(wanted(&self.replica, "replica")?, "replica", 4)?;
        Ok(Attempt {
            client: ClientId(hex(wanted(&self.client, "client")?, "client", 4)?),
            replica: ReplicaId(u8::try_from(replica).map_err(|_| "`replica` is above `00FF`".to_owned())?),
            operation: self.operation(texts)?,
            sent: Time(*wanted(&self.invoked_ns, "invoked_ns")?),
            retry_of,
            answer: self.answer(texts)?,
        })
    }

    fn operation(&self, texts: &mut Texts) -> Result<Operation, String> {
        let name = wanted(&self.operation, "operation")?;
        let key = texts.keep(wanted(&self.key, "key")?);
        let mut value = || -> Result<Text, String> { Ok(texts.keep(wanted(&self.value, "value")?)) };
        Ok(match &**name {
            "get" => Operation::Get { key },
            "put" => Operation::Put { key, value: value()? },
            "append" => Operation::Append { key, value: value()? },
            "enqueue" => Operation::Enqueue { key, value: value()? },
            "add" => Operation::Add { key, amount: *wanted(&self.amount, "amount")? },
            "dequeue" => Operation::Dequeue { key },
            "acquire" => Operation::Acquire { key },
            "release" => Operation::Release { key },
            "update" => {
                let value = value()?;
                let expected = self.expected.as_ref().map(|expected| texts.keep(expected));
                let request = self.request.map(|[client, number]| RequestId { client, number });
                Operation::Update(Update { key, value, expected, request }.into())
            }
            name => {
                let (name, argument) = (texts.keep(name), self.value.as_ref().map(|value| texts.keep(value)));
                Operation::Custom(Custom { name, key, argument }.into())
            }
        })
    }

    fn answer(&self, texts: &mut Texts) -> Result<Option<(Time, Outcome)>, String> {
        let outcome = match self.answer.as_deref() {
            None => return Ok(None),
            Some("ok") => Outcome::Ok(self.result.as_ref().map(|result| texts.keep(result))),
            Some("fail") => Outcome::Fail,
            Some("redirect") => Outcome::Redirect,
            Some(other) => {
                return Err(format!("`answer` is `{}`; allowed are ok, fail and redirect", printable(other)));
            }
        };
        let completed = Time(*wanted(&self.completed_ns, "completed_ns")?);
        if Some(completed.0) < self.invoked_ns {
            return Err("`completed_ns` is before `invoked_ns`".to_owned());
        }
        Ok(Some((completed, outcome)))
    }
}

fn printable(text: &str) -> String {
    seedbed_core::printable::printable(text)
}
