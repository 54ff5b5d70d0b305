//! Reading histories of Jepsen, as EDN or as its old programs printed them.
//!
//! An event has a process, a type (`:invoke`, and then `:ok`, `:fail` or `:info`), a function and a value. `:ok` is an
//! answer; `:fail` says that the operation did not take effect, which in our histories a redirect says; after `:info` it
//! may take effect at any later time or never.
//!
//! `docs/checking.md` says which functions there are, and how keys are recognised.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::edn::{EdnError, Reader, Value};
use super::read::{ATTEMPTS_MAX, ReadError, Texts, next_line};
use seedbed_core::id::{ClientId, ReplicaId};
use seedbed_core::printable::printable;
use seedbed_core::record::{Attempt, History, Outcome};
use seedbed_core::service::{Operation, Text, Update, list_text};
use seedbed_core::time::Time;

/// The key of operations that name none.
const KEY: &str = "x";

/// Without times, the n-th event is at n times this, in nanoseconds.
const STEP: u64 = 1_000_000;

/// What stands before an event in a log.
const LOG_MARK: &str = "jepsen.util - ";

pub(super) fn read_edn(input: impl BufRead, watch: &mut dyn FnMut(u64)) -> Result<History, ReadError> {
    let mut reader = Reader::new(input);
    let mut builder = Builder::default();
    while let Some((line, value)) = reader.next()? {
        if line % 1_000 == 0 {
            watch(reader.position);
        }
        let Value::Map(pairs) = value else {
            return Err(ReadError::line(line, "is not an event; allowed are maps with :process, :type, :f and :value"));
        };
        builder.add(Event::of(line, pairs)?)?;
    }
    builder.finish()
}

pub(super) fn read_log(mut input: impl BufRead, watch: &mut dyn FnMut(u64)) -> Result<History, ReadError> {
    let (mut bytes, mut line, mut position) = (Vec::new(), 0, 0);
    let mut builder = Builder::default();
    while next_line(&mut input, &mut bytes, line + 1)? {
        line += 1;
        position += bytes.len() as u64 + 1;
        if line % 1_000 == 0 {
            watch(position);
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((_, event)) = text.split_once(LOG_MARK) else { continue };
        builder.add(Event::of_log(line, event)?)?;
    }
    if builder.events == 0 {
        let problem = "is no history; allowed are JSON lines of seedbed, EDN maps, and logs with lines like \
                       `INFO  jepsen.util - 0 :invoke :write 3`";
        return Err(ReadError::Whole(problem.to_owned()));
    }
    builder.finish()
}

impl From<EdnError> for ReadError {
    fn from(error: EdnError) -> ReadError {
        match error {
            EdnError::Read(error) => ReadError::Read(error),
            EdnError::Syntax(line, problem) => ReadError::Line { line, problem },
        }
    }
}

/// An event as it stands in the file.
struct Event {
    line: u64,
    process: Value,
    kind: String,
    function: String,
    value: Value,
    key: Option<Value>,
    time: Option<u64>,
}

/// A keyword's or string's name.
fn name(value: &Value) -> Option<&str> {
    match value {
        Value::Keyword(name) | Value::String(name) | Value::Symbol(name) => Some(name),
        _ => None,
    }
}

impl Event {
    fn of(line: u64, pairs: Vec<(Value, Value)>) -> Result<Event, ReadError> {
        let mut fields: BTreeMap<String, Value> = BTreeMap::new();
        for (key, value) in pairs {
            if let Value::Keyword(key) = key {
                fields.insert(key, value);
            }
        }
        let mut take = |name: &str| fields.remove(name);
        let missing = |name: &str| ReadError::line(line, format!("{name} is missing"));
        let (process, kind) = (take("process").ok_or(missing(":process"))?, take("type").ok_or(missing(":type"))?);
        let function = take("f").ok_or(missing(":f"))?;
        let time = match take("time") {
            None | Some(Value::Nil) => None,
            Some(Value::Number(text)) => Some(text.parse::<u64>().map_err(|_| {
                ReadError::line(line, format!(":time is {}; allowed are whole nanoseconds from 0", printable(&text)))
            })?),
            Some(_) => return Err(ReadError::line(line, ":time is not a number")),
        };
        let text = |value: &Value, field: &str| {
            let name = name(value).map(str::to_owned);
            name.ok_or_else(|| ReadError::line(line, format!("{field} is not a keyword")))
        };
        Ok(Event {
            line,
            kind: text(&kind, ":type")?,
            // What the nemesis does is skipped, whatever it is called.
            function: name(&function).unwrap_or_default().to_owned(),
            process,
            value: take("value").unwrap_or(Value::Nil),
            key: take("key").filter(|key| *key != Value::Nil),
            time,
        })
    }

    /// `3 :invoke :cas [0 1]`. More words may follow, which say why.
    fn of_log(line: u64, text: &str) -> Result<Event, ReadError> {
        let mut reader = Reader::new(text.as_bytes());
        let at = |error| match ReadError::from(error) {
            ReadError::Line { problem, .. } => ReadError::line(line, problem),
            other => other,
        };
        let mut next = || reader.next().map(|next| next.map(|(_, value)| value)).map_err(at);
        let process = next()?.unwrap_or(Value::Nil);
        let nobody = |process| Event {
            line,
            process,
            kind: String::new(),
            function: String::new(),
            value: Value::Nil,
            key: None,
            time: None,
        };
        if !matches!(process, Value::Number(_)) {
            return Ok(nobody(process));
        }
        let (kind, function) = (next()?, next()?);
        let (Some(Value::Keyword(kind)), Some(Value::Keyword(function))) = (kind, function) else {
            return Err(ReadError::line(line, "is not an event; allowed is a process, its :type, :f and value"));
        };
        // The rest of the line is the value. A vector in it would be walked through, so it is read anew.
        let rest = text.split_once(&format!(":{function}")).map_or("", |(_, rest)| rest);
        let wrapped = format!("[{rest}]");
        let value = match kind.as_str() {
            "invoke" | "ok" => Reader::new(wrapped.as_bytes()).next().map_err(at)?.map(|(_, value)| value),
            _ => None,
        };
        Ok(Event { kind, function, value: value.unwrap_or(Value::Nil), ..nobody(process) })
    }

    fn error<T>(&self, problem: impl Into<String>) -> Result<T, ReadError> {
        Err(ReadError::line(self.line, problem))
    }
}

/// A history that grows event by event.
#[derive(Default)]
struct Builder {
    attempts: Vec<Attempt>,
    /// The process of each attempt.
    processes: Vec<u64>,
    /// For each process its operation that is under way, with its line.
    open: BTreeMap<u64, (usize, u64)>,
    texts: Texts,
    events: u64,
    /// Whether events have times.
    timed: Option<bool>,
    /// Whether values have their keys with them.
    tuples: Option<bool>,
    /// Whether something was appended, and where a read returned something else than a list.
    appends: bool,
    no_list: Option<u64>,
}

impl Builder {
    fn add(&mut self, event: Event) -> Result<(), ReadError> {
        self.events += 1;
        let Value::Number(process) = &event.process else { return Ok(()) };
        let Ok(process) = process.parse::<u64>() else { return event.error(":process is not a whole number from 0") };
        if *self.timed.get_or_insert(event.time.is_some()) != event.time.is_some() {
            return event.error("either all events of processes have a :time, or none");
        }
        let time = Time(event.time.unwrap_or_else(|| self.events.saturating_mul(STEP)));
        match event.kind.as_str() {
            "invoke" => self.invoke(event, process, time),
            "ok" | "fail" | "info" => self.complete(&event, process, time),
            other => event.error(format!(":type is {}; allowed are :invoke, :ok, :fail and :info", printable(other))),
        }
    }

    fn invoke(&mut self, event: Event, process: u64, time: Time) -> Result<(), ReadError> {
        if let Some((_, line)) = self.open.get(&process) {
            return event.error(format!("process {process} has an operation under way since line {line}"));
        }
        if self.attempts.len() >= ATTEMPTS_MAX {
            return event.error(format!("a history has at most {ATTEMPTS_MAX} operations"));
        }
        let is_tuple = event.key.is_none() && is_tuple(&event.function, &event.value);
        if *self.tuples.get_or_insert(is_tuple) != is_tuple {
            return event.error("either all values are vectors of a key and a value, or none");
        }
        let operation = self.operation(&event)?;
        self.open.insert(process, (self.attempts.len(), event.line));
        self.processes.push(process);
        let (client, replica) = (ClientId(0), ReplicaId(0));
        self.attempts.push(Attempt { client, replica, operation, sent: time, retry_of: None, answer: None });
        Ok(())
    }

    fn complete(&mut self, event: &Event, process: u64, time: Time) -> Result<(), ReadError> {
        let Some((place, _)) = self.open.remove(&process) else {
            // Some programs tell something about a process with :info.
            return if event.kind == "info" {
                Ok(())
            } else {
                event.error(format!("process {process} has no operation under way"))
            };
        };
        if time < self.attempts[place].sent {
            return event.error(":time is before that of the invocation");
        }
        let outcome = match event.kind.as_str() {
            "ok" => Outcome::Ok(self.result(place, event)?),
            "fail" => Outcome::Redirect,
            _ => return Ok(()),
        };
        self.attempts[place].answer = Some((time, outcome));
        Ok(())
    }

    /// The value without the key that may be with it.
    fn bare<'v>(&self, value: &'v Value) -> &'v Value {
        match value {
            Value::Sequence(pair) if self.tuples == Some(true) && pair.len() == 2 => &pair[1],
            other => other,
        }
    }

    fn text(&mut self, value: &Value) -> Text {
        match value {
            Value::Nil => self.texts.keep(""),
            Value::String(text) | Value::Number(text) => self.texts.keep(text),
            other => self.texts.keep(&other.to_string()),
        }
    }

    fn operation(&mut self, event: &Event) -> Result<Operation, ReadError> {
        let key = match (&event.key, &event.value) {
            (Some(key), _) => self.text(&key.clone()),
            (None, Value::Sequence(pair)) if self.tuples == Some(true) => self.text(&pair[0].clone()),
            _ => self.texts.keep(KEY),
        };
        let value = self.bare(&event.value);
        Ok(match event.function.as_str() {
            "read" | "get" => Operation::Get { key },
            "write" | "put" => Operation::Put { key, value: self.text(value) },
            "append" => {
                self.appends = true;
                Operation::Append { key, value: self.text(value) }
            }
            "enqueue" => Operation::Enqueue { key, value: self.text(value) },
            "dequeue" => Operation::Dequeue { key },
            "acquire" => Operation::Acquire { key },
            "release" => Operation::Release { key },
            "add" => match value {
                Value::Number(text) if text.parse::<i64>().is_ok() => {
                    Operation::Add { key, amount: text.parse().unwrap_or_default() }
                }
                _ => return event.error(":value of an :add is not a whole number of 64 bits"),
            },
            "cas" => match value {
                Value::Sequence(pair) if pair.len() == 2 => {
                    let (expected, value) = (Some(self.text(&pair[0])), self.text(&pair[1]));
                    Operation::Update(Update { key, value, expected, request: None }.into())
                }
                _ => return event.error(":value of a :cas is not a vector of the old and the new value"),
            },
            other => {
                return event.error(format!(
                    ":f is {}; allowed are :read, :write, :cas, :append, :add, :enqueue, :dequeue, :acquire and :release",
                    printable(other)
                ));
            }
        })
    }

    /// What an operation was told.
    fn result(&mut self, place: usize, event: &Event) -> Result<Option<Text>, ReadError> {
        let value = self.bare(&event.value);
        Ok(match &self.attempts[place].operation {
            Operation::Get { .. } => Some(match value {
                Value::Sequence(values) => {
                    let values: Vec<Text> = values.iter().map(|value| self.text(value)).collect();
                    self.texts.keep(&list_text(&values))
                }
                Value::Nil => self.text(value),
                _ => {
                    self.no_list.get_or_insert(event.line);
                    self.text(value)
                }
            }),
            Operation::Dequeue { .. } if *value != Value::Nil => Some(self.text(value)),
            Operation::Acquire { .. } => Some(self.text(value)),
            _ => None,
        })
    }

    fn finish(mut self) -> Result<History, ReadError> {
        if let Some(line) = self.no_list.filter(|_| self.appends) {
            return Err(ReadError::line(
                line,
                ":value of a :read is no vector, although there is an :append, which is to a list",
            ));
        }
        // Operations stand in the order of sending. With times, events need not.
        let mut order: Vec<usize> = (0..self.attempts.len()).collect();
        order.sort_by_key(|&place| self.attempts[place].sent);
        let clients = clients(&self.processes)?;
        for (attempt, process) in self.attempts.iter_mut().zip(&self.processes) {
            attempt.client = clients[process];
        }
        let mut attempts: Vec<Option<Attempt>> = self.attempts.into_iter().map(Some).collect();
        let attempts = order.into_iter().filter_map(|place| attempts[place].take());
        Ok(History { attempts: attempts.collect(), ..History::default() })
    }
}

/// Whether the value of an invocation has its key with it, as `jepsen.independent` writes it: `[key value]`. The value of
/// a `:cas` is a vector of two anyway; with a key, the second of them is one.
fn is_tuple(function: &str, value: &Value) -> bool {
    let pair = |value: &Value| matches!(value, Value::Sequence(values) if values.len() == 2);
    match value {
        Value::Sequence(values) if function == "cas" => values.len() == 2 && pair(&values[1]),
        value => pair(value),
    }
}

/// Addresses for processes: their own numbers, if all are small enough; else they are numbered in order.
fn clients(processes: &[u64]) -> Result<BTreeMap<u64, ClientId>, ReadError> {
    let mut clients: BTreeMap<u64, ClientId> = processes.iter().map(|&process| (process, ClientId(0))).collect();
    let all_small = clients.keys().all(|&process| process <= u64::from(u16::MAX));
    if clients.len() > usize::from(u16::MAX) + 1 {
        return Err(ReadError::Whole(format!("has {} processes; allowed are 65536", clients.len())));
    }
    for (number, (&process, client)) in clients.iter_mut().enumerate() {
        *client = ClientId(if all_small { process as u16 } else { number as u16 });
    }
    Ok(clients)
}
