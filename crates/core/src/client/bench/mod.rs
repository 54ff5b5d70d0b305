//! Loads a store and measures how it answers.
//!
//! - In the *closed* loop each client sends its next request when it has the answer to the last. This shows how much a
//!   store can do. But a stalled store gets fewer requests, so its latencies look better than they are.
//! - In the *open* loop requests are due at a steady rate, answered or not. Latency is measured from the time at which
//!   a request was due, not from when a client was free to send it. So a stall counts for all requests that were due in
//!   the meantime (no "coordinated omission"). Requests that no client was free to send by the end are counted as
//!   `unsent`: the rate was more than the store can take, or there were too few clients.
//!
//! The loop is generic over [`Target`]: another store is measured by the same code as [`Kv`].

mod pacer;
mod tally;

use std::borrow::Cow;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use super::error::Error;
use super::kv::{Kv, span};
use crate::clock::Clock;
use crate::rng::Stream;
use crate::time::{Span, Time};
use pacer::Pacer;
use tally::Stripes;

pub use tally::{Kind, Latency, Tally, write_csv};

/// How often the watcher is called with the progress so far.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// How long after the end a request may be sent that was due before it: the machine may have been busy.
const LATENESS_MAX: Span = Span::from_millis(50);

/// A client that can be measured, with one request at a time. An error is a word or two that name its kind: errors are
/// counted by it.
pub trait Target: Send + 'static {
    /// Reads a key. A key without a value is not an error.
    fn get(&mut self, key: &str) -> impl Future<Output = Result<(), Cow<'static, str>>> + Send;

    /// Sets the value of a key.
    fn put(&mut self, key: &str, value: &str) -> impl Future<Output = Result<(), Cow<'static, str>>> + Send;
}

impl Target for Kv {
    async fn get(&mut self, key: &str) -> Result<(), Cow<'static, str>> {
        Kv::get(self, key, false).await.map(drop).map_err(kind)
    }

    async fn put(&mut self, key: &str, value: &str) -> Result<(), Cow<'static, str>> {
        Kv::put(self, key, value).await.map_err(kind)
    }
}

/// A [`Kv`] whose gets may be stale.
#[derive(Debug)]
pub struct Stale(pub Kv);

impl Target for Stale {
    async fn get(&mut self, key: &str) -> Result<(), Cow<'static, str>> {
        self.0.get(key, true).await.map(drop).map_err(kind)
    }

    async fn put(&mut self, key: &str, value: &str) -> Result<(), Cow<'static, str>> {
        self.0.put(key, value).await.map_err(kind)
    }
}

fn kind(error: Error) -> Cow<'static, str> {
    Cow::Borrowed(error.kind())
}

/// The load of a bench.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Requests per second in all (open loop); none: as fast as answers come (closed loop).
    pub rate: Option<f64>,
    /// The share of gets, 0 to 1.
    pub gets: f64,
    /// How many keys there are, 1 or more. Each request draws one, evenly.
    pub keys: u32,
    /// How many bytes a value has, 1 or more.
    pub value_bytes: usize,
    /// How long requests are sent before they count.
    pub warm_up: Duration,
    /// How long the requests that count are sent.
    pub duration: Duration,
    /// At most this many requests count.
    pub requests: Option<u64>,
    /// The seed that decides keys and kinds.
    pub seed: u64,
}

/// The progress of a bench.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Since the start, warm-up included.
    pub elapsed: Duration,
    /// How many requests that count were answered.
    pub answered: u64,
    /// How many requests that count failed.
    pub errors: u64,
}

/// The measurements.
#[derive(Clone, Debug)]
pub struct Measured {
    /// By kind, in the order of [`Kind::ALL`].
    pub tallies: [Tally; 2],
    /// From the end of the warm-up to the last answer.
    pub elapsed: Duration,
    /// In the open loop: how many requests were due and not sent, because no client was free.
    pub unsent: u64,
}

impl Measured {
    /// Both kinds together.
    pub fn all(&self) -> Tally {
        self.tallies[0].clone().plus(&self.tallies[1])
    }
}

/// The state that all clients share.
struct Shared {
    keys: Vec<String>,
    value: String,
    gets: f64,
    seed: u64,
    clock: Clock,
    /// Requests due from here on count.
    counts_from: Time,
    /// Nothing is sent from here on.
    end: Time,
    /// How many requests that count were begun.
    begun: AtomicU64,
    requests_max: u64,
    pacer: Option<Arc<Pacer>>,
    stripes: Stripes,
}

/// The keys of a bench, all of one length.
fn keys(plan: &Plan) -> Vec<String> {
    (0..plan.keys).map(|number| format!("bench-{number:010}")).collect()
}

/// A value. Its bytes are drawn, so that nothing can make it shorter on its way.
fn value(plan: &Plan) -> String {
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let mut random = Stream::new(plan.seed, "bench value");
    (0..plan.value_bytes).map(|_| letters[random.below(letters.len() as u64) as usize]).collect()
}

/// Puts each key once, so that all gets find a value. The targets share the work.
///
/// # Errors
/// The first error of a put.
///
/// # Panics
/// If there is no target.
pub async fn fill<T: Target>(targets: Vec<T>, plan: &Plan) -> Result<Vec<T>, Cow<'static, str>> {
    let (keys, value): (Arc<[String]>, Arc<str>) = (keys(plan).into(), value(plan).into());
    let count = targets.len();
    assert!(count > 0, "somebody has to put");
    let mut tasks: JoinSet<Result<T, Cow<'static, str>>> = JoinSet::new();
    for (number, mut target) in targets.into_iter().enumerate() {
        let (keys, value) = (Arc::clone(&keys), Arc::clone(&value));
        tasks.spawn(async move {
            for key in keys.iter().skip(number).step_by(count) {
                target.put(key, &value).await?;
            }
            Ok(target)
        });
    }
    let mut targets = Vec::with_capacity(count);
    while let Some(joined) = tasks.join_next().await {
        targets.push(unwound(joined)?);
    }
    Ok(targets)
}

/// Loads a store with one client for each target, and measures. `watch` is called now and then with the progress.
pub async fn run<T: Target>(targets: Vec<T>, plan: &Plan, mut watch: impl FnMut(Seen)) -> Measured {
    let clock = Clock::start();
    let counts_from = Time::ZERO + span(plan.warm_up);
    let end = counts_from + span(plan.duration);
    let pacer = plan.rate.map(|rate| Pacer::start(rate, end, clock));
    let shared = Arc::new(Shared {
        keys: keys(plan),
        value: value(plan),
        gets: plan.gets,
        seed: plan.seed,
        clock,
        counts_from,
        end,
        begun: AtomicU64::new(0),
        requests_max: plan.requests.unwrap_or(u64::MAX),
        pacer,
        stripes: Stripes::new(targets.len()),
    });
    let mut tasks = JoinSet::new();
    for (number, target) in targets.into_iter().enumerate() {
        tasks.spawn(work(target, number, Arc::clone(&shared)));
    }
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    loop {
        tokio::select! {
            joined = tasks.join_next() => match joined {
                Some(joined) => unwound(joined),
                None => break,
            },
            _ = ticks.tick() => {
                let (answered, errors) = shared.stripes.counts();
                watch(Seen { elapsed: Duration::from_nanos(clock.now().nanos()), answered, errors });
            }
        }
    }
    let (tallies, last) = shared.stripes.sum();
    let due = shared.pacer.as_ref().map_or(0, |pacer| pacer.due_between(counts_from, end).min(shared.requests_max));
    Measured {
        tallies,
        elapsed: Duration::from_nanos(last.since(counts_from).nanos()),
        unsent: due.saturating_sub(shared.begun.load(Ordering::Relaxed)),
    }
}

/// One client. Besides the calls it does only the work needed to measure them.
async fn work<T: Target>(mut target: T, number: usize, shared: Arc<Shared>) {
    let mut random = Stream::link(shared.seed, "bench", number as u64, 0);
    loop {
        let due = match &shared.pacer {
            None => shared.clock.now(),
            Some(pacer) => pacer.next().await,
        };
        // In the open loop a client may take a request that was due long ago. Requests that were due right before the
        // end may be late.
        if due >= shared.end || (shared.pacer.is_some() && shared.clock.now() >= shared.end + LATENESS_MAX) {
            return;
        }
        let counts = due >= shared.counts_from;
        if counts && shared.begun.fetch_add(1, Ordering::Relaxed) >= shared.requests_max {
            shared.begun.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let key = &shared.keys[random.below(shared.keys.len() as u64) as usize];
        let (kind, result) = if random.chance(shared.gets) {
            (Kind::Get, target.get(key).await)
        } else {
            (Kind::Put, target.put(key, &shared.value).await)
        };
        if counts {
            let now = shared.clock.now();
            shared.stripes.record(number, kind, now, now.since(due), result);
        }
    }
}

/// A panic of a task continues here.
fn unwound<T>(joined: Result<T, JoinError>) -> T {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => panic::resume_unwind(panic),
        Err(error) => panic!("nobody aborts these tasks: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers after some time; every tenth put fails.
    struct Slow {
        wait: Duration,
        puts: u64,
    }

    impl Target for Slow {
        async fn get(&mut self, _key: &str) -> Result<(), Cow<'static, str>> {
            tokio::time::sleep(self.wait).await;
            Ok(())
        }

        async fn put(&mut self, _key: &str, _value: &str) -> Result<(), Cow<'static, str>> {
            tokio::time::sleep(self.wait).await;
            self.puts += 1;
            if self.puts.is_multiple_of(10) { Err("unlucky".into()) } else { Ok(()) }
        }
    }

    fn slow(count: usize, millis: u64) -> Vec<Slow> {
        (0..count).map(|_| Slow { wait: Duration::from_millis(millis), puts: 0 }).collect()
    }

    fn plan() -> Plan {
        Plan {
            rate: None,
            gets: 0.5,
            keys: 10,
            value_bytes: 8,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(30),
            requests: Some(200),
            seed: 1,
        }
    }

    #[tokio::test]
    async fn the_closed_loop_sends_the_requested_number_of_requests_and_counts_errors_by_kind() {
        let mut seen = Vec::new();
        let measured = run(slow(4, 2), &plan(), |now| seen.push(now)).await;
        let all = measured.all();
        assert_eq!((all.requests(), measured.unsent), (200, 0));
        assert_eq!(measured.tallies[1].errors.keys().collect::<Vec<_>>(), ["unlucky"]);
        assert_eq!(measured.tallies[0].errors.len(), 0);
        let median = all.latency().expect("answers").p50;
        assert!(median >= Duration::from_millis(2), "{median:?}");
        assert!(measured.elapsed >= Duration::from_millis(100), "50 requests after one another: {measured:?}");
        assert!(!seen.is_empty());
    }

    #[tokio::test]
    async fn the_open_loop_measures_from_when_a_request_was_due() {
        // One client with 20 ms for each request can do 50 a second of the 100 that are due: half a second later
        // requests are a quarter of a second late.
        let plan = Plan { rate: Some(100.0), duration: Duration::from_millis(500), requests: None, ..plan() };
        let measured = run(slow(1, 20), &plan, |_| {}).await;
        let all = measured.all();
        assert_eq!(all.requests() + measured.unsent, 50, "{measured:?}");
        assert!(measured.unsent >= 15, "{measured:?}");
        assert!(all.latency().expect("answers").max >= Duration::from_millis(150), "{:?}", all.latency());
    }

    #[tokio::test]
    async fn requests_of_the_warm_up_do_not_count() {
        let times = (Duration::from_millis(100), Duration::from_millis(100));
        let plan = Plan { rate: Some(200.0), warm_up: times.0, duration: times.1, requests: None, ..plan() };
        let measured = run(slow(20, 1), &plan, |_| {}).await;
        let requests = measured.all().requests();
        assert_eq!(requests + measured.unsent, 20, "{measured:?}");
    }

    #[tokio::test]
    async fn each_key_is_put_once_at_the_start_and_the_first_error_ends_that() {
        let filled = fill(slow(3, 0), &plan()).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(filled.iter().map(|target| target.puts).sum::<u64>(), 10);
        assert_eq!(fill(slow(1, 0), &plan()).await.err().as_deref(), Some("unlucky"));
    }
}
