//! What one row cannot hold: a line for each answer, and one for each link and kind of message.

use super::{Key, Schema, csv_line};
use seedbed_core::record::{Outcome, RunRecord, Tally};

/// A file of details of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Details {
    /// One line for each answer to a client.
    Latencies,
    /// One line for each link and kind of message.
    Messages,
}

impl Details {
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Details::Latencies => &["mid", "client", "replica", "operation", "outcome", "sent", "latency"],
            Details::Messages => &["from", "to", "kind", "sent", "dropped"],
        }
    }

    /// The header as a line of CSV.
    pub fn csv_header(self, schema: &Schema) -> Vec<u8> {
        csv_line(schema.key_columns().chain(self.columns().iter().copied()))
    }
}

/// A line of CSV for each answer of a run, in the order in which requests were sent. Times are in seconds.
pub fn write_latencies(key: &Key, record: &RunRecord, out: &mut Vec<u8>) {
    let start = key.cells();
    for (mid, attempt) in record.history.attempts.iter().enumerate() {
        let Some((answered, outcome)) = &attempt.answer else { continue };
        let outcome = match outcome {
            Outcome::Ok(_) => "ok",
            Outcome::Fail => "fail",
            Outcome::Redirect => "redirect",
        };
        let cells = [
            mid.to_string(),
            attempt.client.to_string(),
            attempt.replica.to_string(),
            if attempt.operation.is_get() { "get" } else { "put" }.to_owned(),
            outcome.to_owned(),
            attempt.sent.as_secs_f64().to_string(),
            answered.since(attempt.sent).as_secs_f64().to_string(),
        ];
        out.extend(csv_line(start.iter().chain(&cells)));
    }
}

/// A line of CSV for each link and kind of message that a run had.
pub fn write_messages(key: &Key, tally: &Tally, out: &mut Vec<u8>) {
    let start = key.cells();
    for link in tally.links() {
        let cells = [
            link.from.to_string(),
            link.to.to_string(),
            link.kind.to_owned(),
            link.sent.to_string(),
            link.dropped.to_string(),
        ];
        out.extend(csv_line(start.iter().chain(&cells)));
    }
}
