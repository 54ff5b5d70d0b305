//! The requests of clients and their answers in one run, as JSON lines.
//!
//! The first line is a header. The last one has the number of operations, so that a file that was cut off is recognised.
//! Between them stands an object for each attempt, in order of sending. `docs/output.md` lists all fields; names of fields
//! are stable, and new ones may be added. All worlds write the same.
//!
//! [`read()`] reads these files again, and besides them histories of [Jepsen](https://jepsen.io).

mod edn;
mod jepsen;
mod lines;
mod read;
pub mod verdicts;

use std::io::{self, Write};

use serde::Serialize;

use super::trace::{Heading, write_line};
use seedbed_core::record::{Attempt, Outcome, RunRecord};
use seedbed_core::service::Operation;
use seedbed_core::time::Time;

pub use read::{Format, ReadError, ReadHistory, Skipped, read};
pub use verdicts::CheckedHistory;

/// The version of the format. It changes when a field goes away or comes to mean something else.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize)]
struct Header<'a> {
    seedbed_history: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    program: &'static str,
    command: &'a str,
    scenario: &'a str,
    seed: u64,
    protocol: &'a str,
    world: &'static str,
}

/// The last line.
#[derive(Serialize)]
struct Footer {
    #[serde(rename = "type")]
    kind: &'static str,
    operations: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    mid: String,
    retry_of: Option<String>,
    client: String,
    replica: String,
    operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<[u64; 2]>,
    invoked_ns: u64,
    invoked: f64,
    completed_ns: Option<u64>,
    completed: Option<f64>,
    answer: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a str>,
}

/// Writes the history of a run.
///
/// # Errors
/// If writing fails.
pub fn write(out: &mut dyn Write, heading: &Heading<'_>, record: &RunRecord) -> io::Result<()> {
    let &Heading { scenario, seed, protocol, command } = heading;
    let header = Header {
        seedbed_history: VERSION,
        kind: "begin",
        program: env!("CARGO_PKG_VERSION"),
        command,
        scenario: &scenario.name,
        seed,
        protocol,
        world: record.world.name(),
    };
    write_line(out, &header)?;
    let attempts = &record.history.attempts;
    for (mid, attempt) in (0..).zip(attempts) {
        write_line(out, &Line::new(seedbed_core::id::Mid(mid).to_string(), attempt))?;
    }
    write_line(out, &Footer { kind: "end", operations: attempts.len() })?;
    out.flush()
}

impl<'a> Line<'a> {
    fn new(mid: String, attempt: &'a Attempt) -> Line<'a> {
        let update = match &attempt.operation {
            Operation::Update(update) => Some(update),
            _ => None,
        };
        let (answer, result) = match attempt.answer.as_ref().map(|(_, outcome)| outcome) {
            Some(Outcome::Ok(result)) => (Some("ok"), result.as_deref()),
            Some(Outcome::Fail) => (Some("fail"), None),
            Some(Outcome::Redirect) => (Some("redirect"), None),
            None => (None, None),
        };
        let completed = attempt.answer.as_ref().map(|&(time, _)| time);
        Line {
            kind: "operation",
            mid,
            retry_of: attempt.retry_of.map(|mid| mid.to_string()),
            client: attempt.client.to_string(),
            replica: attempt.replica.to_string(),
            operation: attempt.operation.name(),
            custom: matches!(attempt.operation, Operation::Custom(_)).then_some(true),
            amount: match attempt.operation {
                Operation::Add { amount, .. } => Some(amount),
                _ => None,
            },
            key: attempt.operation.key(),
            value: attempt.operation.value().map(|value| &**value),
            expected: update.and_then(|update| update.expected.as_deref()),
            request: update.and_then(|update| update.request).map(|request| [request.client, request.number]),
            invoked_ns: attempt.sent.nanos(),
            invoked: attempt.sent.as_secs_f64(),
            completed_ns: completed.map(Time::nanos),
            completed: completed.map(Time::as_secs_f64),
            answer,
            result,
        }
    }
}

#[cfg(test)]
mod tests;
