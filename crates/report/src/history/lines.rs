//! Reading what [`write`](super::write) has written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::VERSION;
use super::read::{ATTEMPTS_MAX, Input, ReadError, TIME_MAX, Texts, excerpt, next_line};
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
    custom: Option<bool>,
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

pub(super) fn read(mut input: Input<'_>, watch: &mut dyn FnMut(u64)) -> Result<History, ReadError> {
    let mut reader = Reader::default();
    let (mut bytes, mut number, mut position) = (Vec::new(), 0, 0);
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
        reader.add(&line).map_err(at)?;
    }
    if reader.part != Part::Over {
        let read = reader.history.attempts.len();
        return Err(ReadError::Whole(format!(
            "is cut off: after {read} operations there is no line with `type` `end`"
        )));
    }
    Ok(reader.history)
}

/// Which lines may come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// The first one.
    #[default]
    Header,
    /// Operations, or the last one.
    Operations,
    /// None.
    Over,
}

/// What is read of a file so far.
#[derive(Default)]
struct Reader {
    part: Part,
    history: History,
    texts: Texts,
    /// For each update with a name the first attempt that has it.
    requests: BTreeMap<[u64; 2], usize>,
}

impl Reader {
    fn add(&mut self, line: &Line<'_>) -> Result<(), String> {
        match (self.part, &*line.kind) {
            (Part::Header, "begin") => {
                begin(line)?;
                self.part = Part::Operations;
            }
            (Part::Header, other) => {
                let other = excerpt(other);
                return Err(format!(
                    "`type` is `{other}`; the first line must have `type` `begin` and `seedbed_history` {VERSION}"
                ));
            }
            (Part::Operations, "operation") => self.operation(line)?,
            (Part::Operations, "end") => {
                let found = self.history.attempts.len() as u64;
                let said = *wanted(&line.operations, "operations")?;
                if said != found {
                    return Err(format!("`operations` is {said}, but there are {found} before it"));
                }
                self.part = Part::Over;
            }
            (Part::Operations, "begin") => return Err("is a second line with `type` `begin`".to_owned()),
            (Part::Operations, other) => {
                return Err(format!("`type` is `{}`; allowed are operation and end", excerpt(other)));
            }
            (Part::Over, _) => return Err("comes after the line with `type` `end`".to_owned()),
        }
        Ok(())
    }

    fn operation(&mut self, line: &Line<'_>) -> Result<(), String> {
        let number = self.history.attempts.len();
        let attempt = line.attempt(number, &mut self.texts)?;
        if let Some(earlier) = attempt.retry_of.and_then(|mid| self.history.attempt(mid))
            && (&earlier.operation, earlier.client) != (&attempt.operation, attempt.client)
        {
            let mid = line.retry_of.as_deref().unwrap_or_default();
            return Err(format!("`retry_of` is `{mid}`, which has another client, operation, key or value"));
        }
        if let Some(name) = line.request {
            let first = *self.requests.entry(name).or_insert(number);
            if let Some(earlier) = self.history.attempts.get(first)
                && earlier.operation != attempt.operation
            {
                let ([client, update], mid) = (name, Mid(first as u64));
                return Err(format!(
                    "`request` is [{client},{update}], which names an update of another key or value in `{mid}`"
                ));
            }
        }
        self.history.attempts.push(attempt);
        Ok(())
    }
}

/// What serde says, without its own number of the line.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    format!("{} (column {})", excerpt(text), error.column())
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
    number.ok_or_else(|| format!("`{name}` is `{}`; allowed are {digits} hexadecimal digits", excerpt(text)))
}

fn time(nanos: Option<u64>, name: &str) -> Result<Time, String> {
    match *wanted(&nanos, name)? {
        nanos if nanos > TIME_MAX => Err(format!("`{name}` is {nanos}; allowed are up to {TIME_MAX}")),
        nanos => Ok(Time(nanos)),
    }
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
                format!("`retry_of` is `{}`; allowed is the `mid` of an earlier line", excerpt(text))
            })?),
        };
        let replica = hex(wanted(&self.replica, "replica")?, "replica", 4)?;
        let (operation, answer) = (self.operation(texts)?, self.answer(texts)?);
        self.only(&operation)?;
        Ok(Attempt {
            client: ClientId(hex(wanted(&self.client, "client")?, "client", 4)?),
            replica: ReplicaId(u8::try_from(replica).map_err(|_| "`replica` is above `00FF`".to_owned())?),
            operation,
            sent: time(self.invoked_ns, "invoked_ns")?,
            retry_of,
            answer,
        })
    }

    fn operation(&self, texts: &mut Texts) -> Result<Operation, String> {
        let name = wanted(&self.operation, "operation")?;
        let key = texts.keep(wanted(&self.key, "key")?);
        let mut value = || -> Result<Text, String> { Ok(texts.keep(wanted(&self.value, "value")?)) };
        Ok(match &**name {
            _ if self.custom == Some(true) => self.own(name, key, texts),
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
            name => self.own(name, key, texts),
        })
    }

    /// An operation of a type of one's own.
    fn own(&self, name: &str, key: Text, texts: &mut Texts) -> Operation {
        let (name, argument) = (texts.keep(name), self.value.as_ref().map(|value| texts.keep(value)));
        Operation::Custom(Custom { name, key, argument }.into())
    }

    /// Refuses what this operation does not have: a `value` beside a `get` may be what the get returned, in the wrong
    /// field.
    fn only(&self, operation: &Operation) -> Result<(), String> {
        let is_update = matches!(operation, Operation::Update(_));
        for (field, is_there, is_allowed) in [
            ("value", self.value.is_some(), operation.value().is_some()),
            ("amount", self.amount.is_some(), matches!(operation, Operation::Add { .. })),
            ("expected", self.expected.is_some(), is_update),
            ("request", self.request.is_some(), is_update),
            ("result", self.result.is_some(), self.answer.as_deref() == Some("ok")),
            ("completed_ns", self.completed_ns.is_some(), self.answer.is_some()),
        ] {
            if is_there && !is_allowed {
                return Err(match field {
                    "result" => "`result` is there, but `answer` is not `ok`".to_owned(),
                    "completed_ns" => "`completed_ns` is there, but `answer` is missing".to_owned(),
                    _ => format!("`{field}` is there, but `operation` is `{}`", excerpt(operation.name())),
                });
            }
        }
        Ok(())
    }

    fn answer(&self, texts: &mut Texts) -> Result<Option<(Time, Outcome)>, String> {
        let outcome = match self.answer.as_deref() {
            None => return Ok(None),
            Some("ok") => Outcome::Ok(self.result.as_ref().map(|result| texts.keep(result))),
            Some("fail") => Outcome::Fail,
            Some("redirect") => Outcome::Redirect,
            Some(other) => {
                return Err(format!("`answer` is `{}`; allowed are ok, fail and redirect", excerpt(other)));
            }
        };
        let completed = time(self.completed_ns, "completed_ns")?;
        if Some(completed.0) < self.invoked_ns {
            return Err("`completed_ns` is before `invoked_ns`".to_owned());
        }
        Ok(Some((completed, outcome)))
    }
}
