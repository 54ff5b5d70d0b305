//! The load: clients that put values which are all different, and get what others have put.

use std::collections::BTreeMap;
use std::time::Duration;

use seedbed::id::{ClientId, ReplicaId};
use seedbed::record::{Attempt, History, Outcome};
use seedbed::rng::Stream;
use seedbed::service::Operation;
use seedbed_core::client::{Kv, Servers, Settings};

use super::{SERVERS, Soak};
use crate::cluster::millis;

pub const CLIENTS: usize = 16;

/// Requests in a second, of all clients together, if the cluster is as fast as that.
const RATE: f64 = 300.0;

/// How long a request may take in all, and how long one server has for it.
const TIMEOUT: Duration = Duration::from_secs(4);
const TRY_TIMEOUT: Duration = Duration::from_millis(700);

/// The ring of keys, how many of them are in use at a time, and for how many seconds.
const KEYS: u64 = 64;
const KEYS_AT_A_TIME: u64 = 4;
const KEYS_SECONDS: f64 = 2.0;

/// How long values are: so long that the log of a server, which holds 64 MiB at most, is full after half a minute.
pub const VALUE_BYTES: usize = 24 << 10;

/// What became of all requests.
#[derive(Default)]
pub struct Tally {
    pub history: History,
    pub answered: u64,
    /// The others, by kind.
    pub errors: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// How many of the requests were answered, of 1.
    pub fn share(&self) -> f64 {
        self.answered as f64 / self.history.attempts.len() as f64
    }
}

/// Puts and gets until the time is over, and then until all requests have ended.
pub async fn load(soak: &Soak, servers: &Servers, seed: u64) -> Tally {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let client_seed = Some(Stream::link(seed, "routes", number as u64, 0).next_u64());
            let settings =
                Settings { timeout: TIMEOUT, try_timeout: TRY_TIMEOUT, seed: client_seed, ..Settings::default() };
            let kv = Kv::new(servers.clone(), settings).expect("a client");
            client(soak, number, kv, Stream::link(seed, "requests", number as u64, 0))
        })
        .collect();
    let mut tally = Tally::default();
    for (attempts, errors) in join_all(clients).await {
        tally.history.attempts.extend(attempts);
        errors.into_iter().for_each(|kind| *tally.errors.entry(kind).or_default() += 1);
    }
    tally.history.attempts.sort_by_key(|attempt| attempt.sent);
    tally.answered = tally.history.completed().total();
    tally
}

/// All of them at a time.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(ready) => *output = Some(ready),
                std::task::Poll::Pending => all = false,
            }
        }
        if all { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().map(|(_, output)| output.expect("all are ready")).collect()
}

async fn client(soak: &Soak, number: usize, mut kv: Kv, mut dice: Stream) -> (Vec<Attempt>, Vec<&'static str>) {
    let (mut attempts, mut errors) = (Vec::new(), Vec::new());
    let interval = 1e3 * CLIENTS as f64 / RATE;
    while !soak.is_over() {
        let sent = soak.clock.now();
        let place = (sent.as_secs_f64() / KEYS_SECONDS) as u64 * KEYS_AT_A_TIME + dice.below(KEYS_AT_A_TIME);
        let key = format!("key-{}", place % KEYS);
        let (operation, answer) = if dice.chance(0.5) {
            let tag = format!("{number}.{}", attempts.len());
            let answer = kv.put(&key, &long(&tag)).await.map(|()| Outcome::Ok(None));
            (Operation::Put { key: key.into(), value: tag.into() }, answer)
        } else {
            let answer = kv.get(&key, false).await.map(|value| Outcome::Ok(Some(short(value).into())));
            (Operation::Get { key: key.into() }, answer)
        };
        let answered = soak.clock.now();
        let answer = match answer {
            Ok(outcome) => Some((answered, outcome)),
            // Nobody knows what became of it.
            Err(
                error
                @ (seedbed_core::client::Error::TimedOut { .. } | seedbed_core::client::Error::Unreachable { .. }),
            ) => {
                errors.push(error.kind());
                None
            }
            Err(error) => panic!("{error}"),
        };
        // Whom it asked, the client does not say.
        let (client, replica) = (ClientId::numbered(number, SERVERS), ReplicaId(0));
        attempts.push(Attempt { client, replica, operation, sent, retry_of: None, answer });
        let took = answered.since(sent).nanos() as f64 / 1e6;
        // Not quite in step with others.
        tokio::time::sleep(millis((interval * (0.5 + dice.unit()) - took).max(1.0) as u64)).await;
    }
    (attempts, errors)
}

/// The value that this tag stands for. The history keeps the tag.
fn long(tag: &str) -> String {
    let piece = format!("{tag};");
    let mut value = piece.repeat(VALUE_BYTES / piece.len() + 1);
    value.truncate(VALUE_BYTES);
    value
}

/// The tag of a value that was got, all of which must be as it was put.
fn short(value: Option<String>) -> String {
    let Some(value) = value else { return String::new() };
    let tag = value.split(';').next().unwrap_or_default().to_owned();
    assert!(value == long(&tag), "the value that begins with {tag} is damaged");
    tag
}
