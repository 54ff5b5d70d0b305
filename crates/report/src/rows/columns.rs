//! The columns that measure a run. `docs/output.md` has a row for each.

use super::Value;
use super::facts::{Facts, Known};
use seedbed_core::check::Checker;

/// What the numbers of a column count, or that it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// True or false.
    Flag,
    /// A whole number of these.
    Count(&'static str),
    /// Seconds of the world's clock.
    Seconds,
    /// A number of one thing for each of another.
    Ratio(&'static str),
    /// A word or a text.
    Text,
}

impl Unit {
    /// Whether there is a number to make statistics of.
    pub const fn is_number(self) -> bool {
        matches!(self, Unit::Count(_) | Unit::Seconds | Unit::Ratio(_))
    }
}

/// One column of the rows of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in files.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Its unit.
    pub unit: Unit,
    pub(super) of: fn(&Facts<'_>) -> Value,
}

/// The columns that summaries show unless told otherwise.
pub const MAIN: [&str; 12] = [
    "messages",
    "messages_per_put",
    "elections",
    "redirects",
    "failures",
    "unanswered",
    "duplicates",
    "get_latency_p50",
    "put_latency_p50",
    "put_latency_p99",
    "write_gap",
    "failover_max",
];

/// Those of them that are shown where there is little room: in tables and pictures.
pub const FEW: [&str; 5] = ["messages_per_put", "put_latency_p50", "put_latency_p99", "write_gap", "failover_max"];

/// A column of known runs: its name, its title, its unit, and its value.
macro_rules! known {
    ($name:literal, $title:literal, $unit:expr, $value:expr) => {
        Column {
            name: $name,
            title: $title,
            unit: $unit,
            of: |facts| {
                let value: fn(&Known<'_>) -> _ = $value;
                facts.known.as_ref().map_or(Value::Missing, |known| Value::from(value(known)))
            },
        }
    };
}

/// All of them, in their order.
pub static COLUMNS: [Column; 49] = [
    Column { name: "passed", title: "Passed", unit: Unit::Flag, of: |facts| Value::Flag(facts.findings.is_empty()) },
    known!("linearizability", "Linearizability", Unit::Text, |known| known.word(&Checker::LINEARIZABILITY)),
    known!("invariants", "Raft's invariants", Unit::Text, |known| known.word(&Checker::INVARIANTS)),
    known!("liveness", "Liveness", Unit::Text, |known| known.word(&Checker::LIVENESS)),
    known!("course", "Course's checks", Unit::Text, |known| if known.judgement.course.passed() {
        "ok"
    } else {
        "failed"
    }),
    Column { name: "findings", title: "Findings", unit: Unit::Text, of: |facts| facts.findings() },
    known!("tier_messages", "Tier of messages", Unit::Count("tier"), |known| known.tier(0)),
    known!("tier_failures", "Tier of failures", Unit::Count("tier"), |known| known.tier(1)),
    known!("tier_duplicates", "Tier of duplicates", Unit::Count("tier"), |known| known.tier(2)),
    known!("tier_latency", "Tier of latency", Unit::Count("tier"), |known| known.tier(3)),
    known!("messages", "Messages between replicas", Unit::Count("messages"), |known| known.record.sent),
    known!("messages_dropped", "Messages dropped", Unit::Count("messages"), |known| known.record.dropped),
    known!("messages_append", "Appends with entries", Unit::Count("messages"), |known| known.sent("append")),
    known!("messages_heartbeat", "Heartbeats", Unit::Count("messages"), |known| known.sent("heartbeat")),
    known!("messages_append_reply", "Replies to appends", Unit::Count("messages"), |known| known.sent("append_reply")),
    known!("messages_pre_vote", "Pre-vote requests", Unit::Count("messages"), |known| known.sent("pre_vote")),
    known!("messages_request_vote", "Vote requests", Unit::Count("messages"), |known| known.sent("request_vote")),
    known!("messages_vote", "Votes", Unit::Count("messages"), |known| known.sent("vote")),
    known!("messages_probe", "Probes of leaders", Unit::Count("messages"), |known| known.sent("probe")),
    known!("messages_copy", "Copies of puts", Unit::Count("messages"), |known| known.sent("copy")),
    known!("messages_per_put", "Messages for each put", Unit::Ratio("messages/put"), |known| known.messages_per_put()),
    known!("elections", "Elections won", Unit::Count("elections"), |known| known.elections()),
    known!("leader_changes", "Changes of the believed leader", Unit::Count("changes"), |known| known
        .record
        .leader_changes()),
    known!("gets", "Gets", Unit::Count("requests"), |known| known.requests.gets),
    known!("puts", "Puts", Unit::Count("requests"), |known| known.requests.puts),
    known!("redirects", "Redirects", Unit::Count("answers"), |known| known.record.history.redirects().total()),
    known!("failures", "Answers `fail`", Unit::Count("answers"), |known| known.record.history.failures().total()),
    known!("unanswered", "Requests without an answer", Unit::Count("requests"), |known| known
        .record
        .history
        .unanswered()
        .total()),
    known!("duplicates", "Duplicate answers", Unit::Count("answers"), |known| known.record.history.duplicates),
    known!("get_latency_mean", "Mean latency of gets", Unit::Seconds, |known| known.gets.mean()),
    known!("get_latency_p50", "Median latency of gets", Unit::Seconds, |known| known.gets.at(50)),
    known!("get_latency_p90", "90th percentile latency of gets", Unit::Seconds, |known| known.gets.at(90)),
    known!("get_latency_p99", "99th percentile latency of gets", Unit::Seconds, |known| known.gets.at(99)),
    known!("get_latency_max", "Slowest get", Unit::Seconds, |known| known.gets.at(100)),
    known!("put_latency_mean", "Mean latency of puts", Unit::Seconds, |known| known.puts.mean()),
    known!("put_latency_p50", "Median latency of puts", Unit::Seconds, |known| known.puts.at(50)),
    known!("put_latency_p90", "90th percentile latency of puts", Unit::Seconds, |known| known.puts.at(90)),
    known!("put_latency_p99", "99th percentile latency of puts", Unit::Seconds, |known| known.puts.at(99)),
    known!("put_latency_max", "Slowest put", Unit::Seconds, |known| known.puts.at(100)),
    known!("write_gap", "Longest time without a write", Unit::Seconds, |known| known.write_gap()),
    known!("first_leader", "Time to the first leader", Unit::Seconds, |known| known.first_leader()),
    known!("failovers", "Failovers", Unit::Count("failovers"), |known| known.failovers.len() as u64),
    known!("failover_median", "Median failover", Unit::Seconds, |known| known.failovers_sorted().at(50)),
    known!("failover_max", "Longest failover", Unit::Seconds, |known| known.failovers_sorted().at(100)),
    known!("failover_times", "Failovers", Unit::Text, |known| known.failover_times()),
    known!("idle_faults", "Fault events that did nothing", Unit::Count("faults"), |known| known.idle_faults()),
    known!("seconds", "Virtual duration", Unit::Seconds, |known| Some(known.record.end.as_secs_f64())),
    known!("events", "Events", Unit::Count("events"), |known| known.record.events),
    known!("trace", "Trace", Unit::Text, |known| known.record.trace.map(|hash| format!("{hash:016x}"))),
];

/// The place of the column with this name.
pub fn column(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}
