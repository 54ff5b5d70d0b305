//! The results of a bench: counts and latencies.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Measured;
use crate::time::{Span, Time};

/// Latencies are kept to this many significant digits.
const DIGITS: u8 = 3;

/// At most this many clients have a tally of their own; further clients share them in turn. A tally takes half a
/// megabyte.
const STRIPES_MAX: usize = 16;

/// The columns of the CSV. Times are in seconds.
const COLUMNS: [&str; 13] = [
    "kind",
    "requests",
    "answered",
    "errors",
    "unsent",
    "seconds",
    "answered_per_second",
    "latency_p50",
    "latency_p90",
    "latency_p99",
    "latency_p999",
    "latency_max",
    "reasons",
];

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To read a key.
    Get,
    /// To set the value of a key.
    Put,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::Get, Kind::Put];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Get => "get",
            Kind::Put => "put",
        }
    }
}

/// The outcomes of requests.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Latencies of answered requests, in nanoseconds.
    latencies: Histogram<u64>,
    /// How many failed, by kind of error.
    pub errors: BTreeMap<Cow<'static, str>, u64>,
}

/// How long answers took. Each is accurate to three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of the answers took at most this long.
    pub p50: Duration,
    /// 90 % of the answers took at most this long.
    pub p90: Duration,
    /// 99 % of the answers took at most this long.
    pub p99: Duration,
    /// 99.9 % of the answers took at most this long.
    pub p999: Duration,
    /// No answer took longer.
    pub max: Duration,
}

impl Tally {
    fn new() -> Tally {
        Tally { latencies: Histogram::new(DIGITS).expect("three digits are allowed"), errors: BTreeMap::new() }
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.answered() + self.failed()
    }

    /// How many were answered.
    pub fn answered(&self) -> u64 {
        self.latencies.len()
    }

    /// How many failed.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// How long answers took; none if there were no answers.
    pub fn latency(&self) -> Option<Latency> {
        let at = |quantile| Duration::from_nanos(self.latencies.value_at_quantile(quantile));
        let max = Duration::from_nanos(self.latencies.max());
        let latency = Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max };
        (!self.latencies.is_empty()).then_some(latency)
    }

    /// The kinds of errors with their numbers, in one line; empty if there were none.
    pub fn reasons(&self) -> String {
        self.errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join("; ")
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Tally) -> Tally {
        self.latencies.add(&other.latencies).expect("the histogram grows as far as it must");
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        self
    }

    fn record(&mut self, latency: Span, result: Result<(), Cow<'static, str>>) {
        match result {
            Ok(()) => self.latencies.record(latency.nanos()).expect("the histogram grows as far as it must"),
            Err(kind) => *self.errors.entry(kind).or_default() += 1,
        }
    }
}

/// Tallies, each shared by few clients, so that clients hardly ever wait for each other.
#[derive(Debug)]
pub(super) struct Stripes(Vec<Mutex<Stripe>>);

#[derive(Debug)]
struct Stripe {
    tallies: [Tally; 2],
    /// When the last answer came.
    last: Time,
}

impl Stripes {
    pub fn new(clients: usize) -> Stripes {
        let stripe = || Mutex::new(Stripe { tallies: [Tally::new(), Tally::new()], last: Time::ZERO });
        Stripes((0..clients.clamp(1, STRIPES_MAX)).map(|_| stripe()).collect())
    }

    /// Records the outcome of a request of this client.
    pub fn record(&self, client: usize, kind: Kind, now: Time, latency: Span, result: Result<(), Cow<'static, str>>) {
        let mut stripe = lock(&self.0[client % self.0.len()]);
        stripe.last = stripe.last.max(now);
        stripe.tallies[kind as usize].record(latency, result);
    }

    /// How many requests were answered so far, and how many failed.
    pub fn counts(&self) -> (u64, u64) {
        self.0.iter().fold((0, 0), |(answered, failed), stripe| {
            let stripe = lock(stripe);
            let [gets, puts] = &stripe.tallies;
            (answered + gets.answered() + puts.answered(), failed + gets.failed() + puts.failed())
        })
    }

    /// All tallies together, and when the last answer came.
    pub fn sum(&self) -> ([Tally; 2], Time) {
        self.0.iter().fold(([Tally::new(), Tally::new()], Time::ZERO), |([gets, puts], last), stripe| {
            let stripe = lock(stripe);
            ([gets.plus(&stripe.tallies[0]), puts.plus(&stripe.tallies[1])], last.max(stripe.last))
        })
    }
}

fn lock(stripe: &Mutex<Stripe>) -> MutexGuard<'_, Stripe> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a row for each kind and one for both together, always with the same columns. `unsent` requests had no kind
/// yet and stand in the last row.
///
/// # Errors
/// If it cannot be written.
pub fn write_csv(out: &mut impl io::Write, measured: &Measured) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    let all = measured.all();
    let rows = Kind::ALL.map(Kind::name).into_iter().zip(&measured.tallies).chain([("all", &all)]);
    for (name, tally) in rows {
        let unsent = if name == "all" { measured.unsent } else { 0 };
        let seconds = measured.elapsed.as_secs_f64();
        let times = tally.latency().map(|l| [l.p50, l.p90, l.p99, l.p999, l.max]);
        let mut row = vec![name.to_owned()];
        row.extend([tally.requests(), tally.answered(), tally.failed(), unsent].map(|count| count.to_string()));
        row.push(format!("{seconds:.6}"));
        row.push(if seconds > 0.0 { format!("{:.3}", tally.answered() as f64 / seconds) } else { String::new() });
        match times {
            Some(times) => row.extend(times.map(|time| format!("{:.9}", time.as_secs_f64()))),
            None => row.extend([const { String::new() }; 5]),
        }
        row.push(tally.reasons());
        writer.write_record(&row)?;
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_all_columns_whether_there_were_answers_or_not() {
        let stripes = Stripes::new(100);
        for millis in 1..=1_000 {
            let span = Span::from_millis(millis);
            stripes.record(millis as usize, Kind::Put, Time::ZERO + span, span, Ok(()));
        }
        stripes.record(7, Kind::Put, Time::ZERO, Span::ZERO, Err("timed out".into()));
        stripes.record(8, Kind::Put, Time::ZERO, Span::ZERO, Err("denied".into()));
        assert_eq!(stripes.counts(), (1_000, 2));
        let (tallies, last) = stripes.sum();
        let measured = Measured { tallies, elapsed: Duration::from_nanos(last.nanos()), unsent: 3 };
        let mut out = Vec::new();
        write_csv(&mut out, &measured).expect("memory can be written");
        let text = String::from_utf8(out).expect("text");
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert!(rows.len() == 4 && rows.iter().all(|row| row.len() == COLUMNS.len()), "{text}");
        assert_eq!(rows[1][..7], ["get", "0", "0", "0", "0", "1.000000", "0.000"]);
        assert_eq!(rows[2][..7], ["put", "1002", "1000", "2", "0", "1.000000", "1000.000"]);
        assert_eq!((rows[3][0], rows[3][4], rows[3][12]), ("all", "3", "denied 1; timed out 1"));
        let latency = measured.all().latency().expect("answers");
        for (found, millis) in [(latency.p50, 500), (latency.p99, 990), (latency.p999, 999), (latency.max, 1_000)] {
            let expected = Duration::from_millis(millis);
            assert!(found.abs_diff(expected) <= expected / 1_000, "{found:?} for {expected:?}");
        }
    }
}
