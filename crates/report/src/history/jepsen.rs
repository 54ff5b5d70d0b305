//! Reading histories of Jepsen, as EDN or as its old programs printed them.
//!
//! An event has a process, a type (`:invoke`, and then `:ok`, `:fail` or `:info`), a function and a value. `:ok` is an
//! answer; `:fail` says that the operation did not take effect, which in our histories a redirect says; after `:info` it
//! may take effect at any later time or never. The event that ends an operation must be about the operation that its
//! process has begun: [`Builder::is_about`] says what may differ.
//!
//! Processes are whole numbers. Events of the nemesis are skipped and counted; any other process is an error, because
//! skipping it could hide a wrong answer.
//!
//! `docs/checking.md` says which functions there are, and how keys are recognised.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::edn::{EdnError, Reader, Value};
use super::read::{ATTEMPTS_MAX, Input, ReadError, Skipped, TIME_MAX, Texts, excerpt, next_line};
use seedbed_core::id::{ClientId, ReplicaId};
use seedbed_core::record::{Attempt, History, Outcome};
use seedbed_core::service::{Operation, Text, Update, list_text};
use seedbed_core::time::Time;

/// The key of operations that name none.
const KEY: &str = "x";

/// Without times, the n-th event is at n times this, in nanoseconds.
const STEP: u64 = 1_000_000;

/// Stands before an event in a log.
const LOG_MARK: &[u8] = b"jepsen.util - ";

/// The process that injects faults.
const NEMESIS: &str = "nemesis";

pub(super) fn read_edn(input: Input<'_>, watch: &mut dyn FnMut(u64)) -> Result<(History, Skipped), ReadError> {
    let mut reader = Reader::new(input);
    let mut builder = Builder::default();
    while let Some((line, value)) = reader.next()? {
        // Not by lines: a history may be a single one.
        if builder.events % 1_000 == 0 {
            watch(reader.position);
        }
        let Value::Map(pairs) = value else {
            return Err(ReadError::line(line, "is not an event; allowed are maps with :process, :type, :f and :value"));
        };
        builder.add(Event::of(line, pairs)?)?;
    }
    builder.finish()
}

pub(super) fn read_log(mut input: Input<'_>, watch: &mut dyn FnMut(u64)) -> Result<(History, Skipped), ReadError> {
    let (mut bytes, mut line, mut position) = (Vec::new(), 0, 0);
    let mut builder = Builder::default();
    while next_line(&mut input, &mut bytes, line + 1)? {
        line += 1;
        position += bytes.len() as u64 + 1;
        if line % 1_000 == 0 {
            watch(position);
        }
        match event_text(&bytes) {
            Some(text) => {
                let text = std::str::from_utf8(text).map_err(|_| ReadError::line(line, "is not UTF-8"))?;
                builder.add(Event::of_log(line, text)?)?;
            }
            None => builder.skipped.lines += u64::from(!bytes.iter().all(u8::is_ascii_whitespace)),
        }
    }
    if builder.events == 0 {
        let problem = "is not a history; allowed are JSON lines of seedbed, EDN maps, and logs with lines like \
                       `INFO  jepsen.util - 0 :invoke :write 3`";
        return Err(ReadError::Whole(problem.to_owned()));
    }
    builder.finish()
}

/// The event in a line of a log; none if it has none. `jepsen.util` prints other messages, too: an event has a type as its
/// second word.
fn event_text(line: &[u8]) -> Option<&[u8]> {
    let place = line.windows(LOG_MARK.len()).position(|bytes| bytes == LOG_MARK)?;
    let text = &line[place + LOG_MARK.len()..];
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (process, kind) = (words.next()?, words.next());
    let is_event = process.first().is_some_and(u8::is_ascii_digit)
        || kind.is_some_and(|kind| [&b":invoke"[..], b":ok", b":fail", b":info"].contains(&kind));
    is_event.then_some(text)
}

impl From<EdnError> for ReadError {
    fn from(error: EdnError) -> ReadError {
        match error {
            EdnError::Read(error) => ReadError::Read(error),
            EdnError::Syntax(line, problem) => ReadError::Line { line, problem },
        }
    }
}

/// An event of a process with a number, as it stands in the file.
struct Event {
    line: u64,
    process: u64,
    kind: String,
    function: String,
    /// None if it is missing.
    value: Option<Value>,
    key: Option<Value>,
    time: Option<u64>,
}

/// A keyword's or string's name.
fn name(value: Value) -> Option<String> {
    match value {
        Value::Keyword(name) | Value::String(name) | Value::Symbol(name) => Some(name),
        _ => None,
    }
}

/// The number of a process; none if it is the nemesis.
fn process(line: u64, process: &Value) -> Result<Option<u64>, ReadError> {
    let number = match process {
        Value::Keyword(name) if name == NEMESIS => return Ok(None),
        Value::Number(number) => number.parse().ok(),
        _ => None,
    };
    let problem =
        || format!(":process is {}; allowed are whole numbers from 0, and :nemesis", excerpt(&process.to_string()));
    number.map(Some).ok_or_else(|| ReadError::line(line, problem()))
}

impl Event {
    /// The event in a map; none if it is the nemesis's, which may have any other fields.
    fn of(line: u64, pairs: Vec<(Value, Value)>) -> Result<Option<Event>, ReadError> {
        let mut fields: BTreeMap<String, Value> = BTreeMap::new();
        for (key, value) in pairs {
            if let Value::Keyword(key) = key {
                match fields.entry(key) {
                    Entry::Vacant(entry) => drop(entry.insert(value)),
                    Entry::Occupied(entry) => {
                        return Err(ReadError::line(line, format!("has :{} twice", excerpt(entry.key()))));
                    }
                }
            }
        }
        let mut take = |name: &str| fields.remove(name);
        let missing = |name: &str| ReadError::line(line, format!("{name} is missing"));
        let Some(process) = process(line, &take("process").ok_or_else(|| missing(":process"))?)? else {
            return Ok(None);
        };
        let kind = take("type").ok_or_else(|| missing(":type"))?;
        let function = take("f").ok_or_else(|| missing(":f"))?;
        let time = match take("time") {
            None | Some(Value::Nil) => None,
            Some(Value::Number(text)) => {
                let time = text.parse().ok().filter(|time| *time <= TIME_MAX);
                let problem =
                    || format!(":time is {}; allowed are whole nanoseconds from 0 to {TIME_MAX}", excerpt(&text));
                Some(time.ok_or_else(|| ReadError::line(line, problem()))?)
            }
            Some(_) => return Err(ReadError::line(line, ":time is not a number")),
        };
        let text = |value: Value, field: &str| {
            name(value).ok_or_else(|| ReadError::line(line, format!("{field} is not a keyword")))
        };
        Ok(Some(Event {
            line,
            process,
            kind: text(kind, ":type")?,
            function: text(function, ":f")?,
            value: take("value"),
            key: take("key").filter(|key| *key != Value::Nil),
            time,
        }))
    }

    /// `3 :invoke :cas [0 1]`. More words may follow, which say why. None if it is the nemesis's.
    fn of_log(line: u64, text: &str) -> Result<Option<Event>, ReadError> {
        let mut reader = Reader::new(text.as_bytes());
        let at = |error| match ReadError::from(error) {
            ReadError::Line { problem, .. } => ReadError::line(line, problem),
            other => other,
        };
        let mut next = || reader.value_or_end().map_err(at);
        let Some(process) = process(line, &next()?.unwrap_or(Value::Nil))? else { return Ok(None) };
        let (kind, function) = (next()?, next()?);
        let (Some(Value::Keyword(kind)), Some(Value::Keyword(function))) = (kind, function) else {
            return Err(ReadError::line(line, "is not an event; allowed is a process, its :type, :f and value"));
        };
        let value = if matches!(kind.as_str(), "invoke" | "ok") { next()? } else { None };
        Ok(Some(Event { line, process, kind, function, value, key: None, time: None }))
    }

    fn error<T>(&self, problem: impl Into<String>) -> Result<T, ReadError> {
        Err(ReadError::line(self.line, problem))
    }
}

/// An operation that is under way.
struct Open {
    /// The place of its attempt.
    place: usize,
    /// The line of its invocation, and the function as it is written there.
    line: u64,
    function: String,
}

/// A history that grows event by event.
#[derive(Default)]
struct Builder {
    attempts: Vec<Attempt>,
    /// The process of each attempt.
    processes: Vec<u64>,
    /// The operations that are under way, by process.
    open: BTreeMap<u64, Open>,
    /// The time and the line of the last event of each process.
    newest: BTreeMap<u64, (Time, u64)>,
    texts: Texts,
    events: u64,
    skipped: Skipped,
    /// Whether events have times.
    timed: Option<bool>,
    /// Whether values have their keys with them.
    tuples: Option<bool>,
    /// Whether something was appended, and where a read returned something else than a list.
    appends: bool,
    no_list: Option<u64>,
}

impl Builder {
    /// Adds an event; none is one of the nemesis.
    fn add(&mut self, event: Option<Event>) -> Result<(), ReadError> {
        self.events += 1;
        let Some(event) = event else {
            self.skipped.nemesis += 1;
            return Ok(());
        };
        if *self.timed.get_or_insert(event.time.is_some()) != event.time.is_some() {
            return event.error("either all events of processes have a :time, or none");
        }
        let time = Time(event.time.unwrap_or_else(|| self.events.saturating_mul(STEP)));
        if let Some((newest, line)) = self.newest.insert(event.process, (time, event.line))
            && time < newest
        {
            return event.error(format!(":time is before that of process {} in line {line}", event.process));
        }
        match event.kind.as_str() {
            "invoke" => self.invoke(event, time),
            "ok" | "fail" | "info" => self.complete(&event, time),
            other => event.error(format!(":type is {}; allowed are :invoke, :ok, :fail and :info", excerpt(other))),
        }
    }

    fn invoke(&mut self, event: Event, time: Time) -> Result<(), ReadError> {
        let process = event.process;
        if let Some(Open { line, .. }) = self.open.get(&process) {
            return event.error(format!("process {process} has an operation under way since line {line}"));
        }
        if self.attempts.len() >= ATTEMPTS_MAX {
            return event.error(format!("a history has at most {ATTEMPTS_MAX} operations"));
        }
        let is_tuple =
            event.key.is_none() && event.value.as_ref().is_some_and(|value| is_tuple(&event.function, value));
        if *self.tuples.get_or_insert(is_tuple) != is_tuple {
            return event.error("either all values are vectors of a key and a value, or none");
        }
        let operation = self.operation(&event)?;
        let Event { line, function, .. } = event;
        self.open.insert(process, Open { place: self.attempts.len(), line, function });
        self.processes.push(process);
        let (client, replica) = (ClientId(0), ReplicaId(0));
        self.attempts.push(Attempt { client, replica, operation, sent: time, retry_of: None, answer: None });
        Ok(())
    }

    fn complete(&mut self, event: &Event, time: Time) -> Result<(), ReadError> {
        let Some(open) = self.open.remove(&event.process) else {
            // Some programs note something about a process with :info.
            if event.kind == "info" {
                self.skipped.info += 1;
                return Ok(());
            }
            return event.error(format!("process {} has no operation under way", event.process));
        };
        self.is_about(event, &open)?;
        let place = open.place;
        let outcome = match event.kind.as_str() {
            "ok" => Outcome::Ok(self.result(place, event)?),
            "fail" => Outcome::Redirect,
            _ => return Ok(()),
        };
        self.attempts[place].answer = Some((time, outcome));
        Ok(())
    }

    /// Refuses an event that cannot be the end of this operation. It must have the same function and the same key. With
    /// `:ok`, what was to be written or added must be the same, too, if the event says it. Two things may differ: the value of
    /// an operation that takes none, as a read's, because it is the answer; and every value with `:fail` and `:info`,
    /// because programs write there why.
    fn is_about(&mut self, event: &Event, open: &Open) -> Result<(), ReadError> {
        let other = |what: &str, found: &str, begun: &str| {
            let (process, line) = (event.process, open.line);
            let [found, begun] = [found, begun].map(excerpt);
            event.error(format!(
                "{what} is {found}, but process {process} has begun this operation with {begun} in line {line}"
            ))
        };
        if event.function != open.function {
            return other(":f", &event.function, &open.function);
        }
        let is_ok = event.kind == "ok";
        let key = match (&event.key, &event.value) {
            (Some(key), _) => Some(key),
            (None, Some(Value::Sequence(pair))) if self.tuples == Some(true) && pair.len() == 2 => Some(&pair[0]),
            (None, Some(_)) if self.tuples == Some(true) && is_ok => {
                return event.error(":value is not a vector of a key and a value, as that of the invocation is");
            }
            _ => None,
        };
        if let Some(key) = key.cloned() {
            let (found, begun) = (self.text(&key), self.attempts[open.place].operation.key());
            if found != *begun {
                return other("the key", &found, begun);
            }
        }
        match &event.value {
            Some(value) if is_ok && !self.is_same_argument(open.place, value) => {
                let begun = argument(&self.attempts[open.place].operation);
                other(":value", &self.bare(value).to_string(), &begun)
            }
            _ => Ok(()),
        }
    }

    /// Whether an answer names what the operation was to write or add; true of operations that take nothing.
    fn is_same_argument(&self, place: usize, value: &Value) -> bool {
        let value = self.bare(value);
        match &self.attempts[place].operation {
            Operation::Put { value: begun, .. }
            | Operation::Append { value: begun, .. }
            | Operation::Enqueue { value: begun, .. } => text(value) == **begun,
            Operation::Add { amount, .. } => text(value).parse() == Ok(*amount),
            Operation::Update(update) => match value {
                Value::Sequence(pair) if pair.len() == 2 => {
                    Some(&*text(&pair[0])) == update.expected.as_deref() && text(&pair[1]) == *update.value
                }
                _ => false,
            },
            _ => true,
        }
    }

    /// The value without the key that may be with it.
    fn bare<'v>(&self, value: &'v Value) -> &'v Value {
        match value {
            Value::Sequence(pair) if self.tuples == Some(true) && pair.len() == 2 => &pair[1],
            other => other,
        }
    }

    fn text(&mut self, value: &Value) -> Text {
        self.texts.keep(&text(value))
    }

    fn operation(&mut self, event: &Event) -> Result<Operation, ReadError> {
        let key = match (&event.key, &event.value) {
            (Some(key), _) => self.text(key),
            (None, Some(Value::Sequence(pair))) if self.tuples == Some(true) => self.text(&pair[0]),
            _ => self.texts.keep(KEY),
        };
        let value = event.value.as_ref().map(|value| self.bare(value));
        let written = || value.map_or_else(|| event.error(":value is missing"), |value| Ok(text(value)));
        Ok(match event.function.as_str() {
            "read" | "get" => Operation::Get { key },
            "write" | "put" => Operation::Put { key, value: self.texts.keep(&written()?) },
            "append" => {
                self.appends = true;
                Operation::Append { key, value: self.texts.keep(&written()?) }
            }
            "enqueue" => Operation::Enqueue { key, value: self.texts.keep(&written()?) },
            "dequeue" => Operation::Dequeue { key },
            "acquire" => Operation::Acquire { key },
            "release" => Operation::Release { key },
            "add" => match value {
                Some(Value::Number(text)) if text.parse::<i64>().is_ok() => {
                    Operation::Add { key, amount: text.parse().unwrap_or_default() }
                }
                _ => return event.error(":value of an :add is not a whole number of 64 bits"),
            },
            "cas" => match value {
                Some(Value::Sequence(pair)) if pair.len() == 2 => {
                    let (expected, value) = (Some(self.text(&pair[0])), self.text(&pair[1]));
                    Operation::Update(Update { key, value, expected, request: None }.into())
                }
                _ => return event.error(":value of a :cas is not a vector of the old and the new value"),
            },
            other => {
                return event.error(format!(
                    ":f is {}; allowed are :read, :write, :cas, :append, :add, :enqueue, :dequeue, :acquire and :release",
                    excerpt(other)
                ));
            }
        })
    }

    /// What an operation returned.
    fn result(&mut self, place: usize, event: &Event) -> Result<Option<Text>, ReadError> {
        let value = event.value.as_ref().map(|value| self.bare(value));
        let is_missing = || event.error(":value is missing: what was returned; allowed is nil, too");
        Ok(match &self.attempts[place].operation {
            Operation::Get { .. } => Some(match value {
                Some(Value::Sequence(values)) => {
                    let values: Vec<Text> = values.iter().map(|value| self.text(value)).collect();
                    self.texts.keep(&list_text(&values))
                }
                Some(Value::Nil) => self.texts.keep(""),
                Some(value) => {
                    self.no_list.get_or_insert(event.line);
                    self.text(value)
                }
                None => return is_missing(),
            }),
            Operation::Dequeue { .. } => match value {
                Some(Value::Nil) => None,
                Some(value) => Some(self.text(value)),
                None => return is_missing(),
            },
            Operation::Acquire { .. } => Some(self.texts.keep(&value.map(text).unwrap_or_default())),
            _ => None,
        })
    }

    fn finish(mut self) -> Result<(History, Skipped), ReadError> {
        if let Some(line) = self.no_list.filter(|_| self.appends) {
            return Err(ReadError::line(
                line,
                ":value of a :read is not a vector, although there is an :append, which is to a list",
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
        Ok((History { attempts: attempts.collect(), ..History::default() }, self.skipped))
    }
}

/// The text of a value. Numbers and strings with the same text are the same value.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Nil => "".into(),
        Value::String(text) | Value::Number(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

/// What an operation was to write or add, for a message.
fn argument(operation: &Operation) -> String {
    match operation {
        Operation::Add { amount, .. } => amount.to_string(),
        Operation::Update(update) => format!("[{} {}]", update.expected.as_deref().unwrap_or_default(), update.value),
        other => other.value().map(ToString::to_string).unwrap_or_default(),
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
