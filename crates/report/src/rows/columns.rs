//! The columns that measure a run. `docs/output.md` has a row for each.

use std::borrow::Cow;
use std::sync::Arc;

use super::Value;
use super::facts::{Facts, Known};
use seedbed_core::check::Checker;
use seedbed_core::hint::{did_you_mean, nearest};

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
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in files.
    pub name: Cow<'static, str>,
    /// Its name for people.
    pub title: Cow<'static, str>,
    /// Its unit.
    pub unit: Unit,
    source: Source,
}

/// Where the value of a column is from.
#[derive(Clone, Debug)]
enum Source {
    Facts(fn(&Facts<'_>) -> Value),
    /// How many messages of this kind were sent.
    Kind(Cow<'static, str>),
}

impl Column {
    const fn new(name: &'static str, title: &'static str, unit: Unit, of: fn(&Facts<'_>) -> Value) -> Column {
        let (name, title) = (Cow::Borrowed(name), Cow::Borrowed(title));
        Column { name, title, unit, source: Source::Facts(of) }
    }

    /// The column that counts messages of a kind.
    fn of_kind(kind: Cow<'static, str>) -> Column {
        let title = KIND_TITLES.iter().find(|(known, _)| *known == kind).map(|(_, title)| Cow::Borrowed(*title));
        Column {
            name: format!("{KIND}{kind}").into(),
            title: title.unwrap_or_else(|| format!("Messages of the kind {kind}").into()),
            unit: Unit::Count("messages"),
            source: Source::Kind(kind),
        }
    }

    pub(super) fn value(&self, facts: &Facts<'_>) -> Value {
        match &self.source {
            Source::Facts(of) => of(facts),
            Source::Kind(kind) => facts.known.as_ref().map_or(Value::Missing, |known| known.sent(kind).into()),
        }
    }
}

/// How the names of columns begin that count messages of a kind.
const KIND: &str = "messages_";

/// The columns between which those of kinds are.
const KINDS_BETWEEN: [&str; 2] = ["messages_dropped", "messages_per_put"];

/// What the kinds of the built-in protocols are, for people.
const KIND_TITLES: [(&str, &str); 8] = [
    ("append", "Appends with entries"),
    ("heartbeat", "Heartbeats"),
    ("append_reply", "Replies to appends"),
    ("pre_vote", "Pre-vote requests"),
    ("request_vote", "Vote requests"),
    ("vote", "Votes"),
    ("probe", "Probes of leaders"),
    ("copy", "Copies of puts"),
];

/// The columns of some rows, in order: the same for all protocols but for those that count messages by their kind.
#[derive(Clone, Debug)]
pub struct Columns(Arc<[Column]>);

impl Columns {
    /// With these kinds of messages. One that comes twice has one column.
    pub fn of<K: Into<Cow<'static, str>>>(kinds: impl IntoIterator<Item = K>) -> Columns {
        let mut columns: Vec<Column> = Vec::new();
        let mut kinds = Some(kinds.into_iter().map(Into::into));
        for column in COLUMNS.iter() {
            columns.push(column.clone());
            if column.name == KINDS_BETWEEN[0] {
                for kind in kinds.take().into_iter().flatten() {
                    let column = Column::of_kind(kind);
                    if columns.iter().all(|known| known.name != column.name) {
                        columns.push(column);
                    }
                }
            }
        }
        Columns(columns.into())
    }

    /// Those of a header with these names, of which the last ones are these columns. None if they are no columns of rows.
    pub(super) fn read(names: &[&str]) -> Option<Columns> {
        let [from, to] = KINDS_BETWEEN.map(|name| names.iter().rposition(|known| *known == name));
        let kinds = names.get(from? + 1..to?)?.iter().map(|name| Some(name.strip_prefix(KIND)?.to_owned()));
        Some(Columns::of(kinds.collect::<Option<Vec<String>>>()?))
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there always are some")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Column> {
        self.0.iter()
    }

    /// A column by its place.
    pub fn get(&self, place: usize) -> &Column {
        &self.0[place]
    }

    /// The place of the column with this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|column| column.name == name)
    }

    /// The place of the numeric column with this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn metric(&self, name: &str) -> Result<usize, UnknownMetric> {
        let place = self.find(name).filter(|place| self.get(*place).unit.is_number());
        place.ok_or_else(|| {
            let numeric = || self.iter().filter(|column| column.unit.is_number()).map(|column| &*column.name);
            let all = || format!("allowed is {}", numeric().collect::<Vec<_>>().join(", "));
            let allowed = nearest(name, numeric()).map_or_else(all, did_you_mean);
            UnknownMetric { name: name.to_owned(), allowed }
        })
    }
}

/// A name that is not that of a numeric column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a numeric column; {allowed}")]
pub struct UnknownMetric {
    name: String,
    /// What may be meant, or what there is.
    allowed: String,
}

/// Of rows that are written alike.
impl PartialEq for Columns {
    fn eq(&self, other: &Columns) -> bool {
        self.iter().map(|column| &column.name).eq(other.iter().map(|column| &column.name))
    }
}

impl Eq for Columns {}

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
        Column::new($name, $title, $unit, |facts| {
            let value: fn(&Known<'_>) -> _ = $value;
            facts.known.as_ref().map_or(Value::Missing, |known| Value::from(value(known)))
        })
    };
}

/// Those that all rows have, in their order.
static COLUMNS: [Column; 48] = [
    Column::new("passed", "Passed", Unit::Flag, |facts| Value::Flag(facts.findings.is_empty())),
    known!("linearizability", "Linearizability", Unit::Text, |known| known.word(&Checker::LINEARIZABILITY)),
    known!("invariants", "Invariants", Unit::Text, |known| known.word(&Checker::INVARIANTS)),
    known!("liveness", "Liveness", Unit::Text, |known| known.word(&Checker::LIVENESS)),
    known!("course", "Course's checks", Unit::Text, |known| if known.judgement.course.passed() {
        "ok"
    } else {
        "failed"
    }),
    known!("own_checkers", "The protocol's own checkers", Unit::Text, |known| known.own_checkers()),
    Column::new("findings", "Findings", Unit::Text, |facts| facts.findings()),
    known!("tier_messages", "Tier of messages", Unit::Count("tier"), |known| known.tier(0)),
    known!("tier_failures", "Tier of failures", Unit::Count("tier"), |known| known.tier(1)),
    known!("tier_duplicates", "Tier of duplicates", Unit::Count("tier"), |known| known.tier(2)),
    known!("tier_latency", "Tier of latency", Unit::Count("tier"), |known| known.tier(3)),
    known!("messages", "Messages between replicas", Unit::Count("messages"), |known| known.record.sent),
    known!("messages_dropped", "Messages dropped", Unit::Count("messages"), |known| known.record.dropped),
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
    known!("world", "World", Unit::Text, |known| known.record.world.name()),
    Column::new("outcome", "Outcome", Unit::Text, |facts| facts.outcome()),
    known!("lag", "How late the machine was", Unit::Seconds, |known| Some(known.record.lag.as_secs_f64())),
    known!("incorrect", "Incorrect answers to the course", Unit::Count("answers"), |known| known.incorrect()),
    known!("malformed", "Malformed datagrams", Unit::Count("datagrams"), |known| known.record.malformed),
    known!("lost_with_replicas", "Requests lost with replicas", Unit::Count("requests"), |known| {
        known.judgement.lost_with_replicas
    }),
    known!("trace", "Trace", Unit::Text, |known| known.record.trace.map(|hash| format!("{hash:016x}"))),
];
