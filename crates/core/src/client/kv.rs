//! The client of the store.

use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::error::{Error, Reasons, foreign, is_unsent, reason};
use super::servers::Servers;
use crate::clock::Clock;
use crate::rng::Stream;
use crate::rpc::proto::kvstore::key_value_store_client::KeyValueStoreClient;
use crate::rpc::proto::kvstore::{
    CompareAndSwapRequest, DeleteRequest, GetRequest, PutRequest, PutResponse, RequestId, ReturnCode,
};
use crate::rpc::{KEY_BYTES_MAX, MESSAGE_BYTES_MAX, ServerAddress, VALUE_BYTES_MAX};
use crate::time::{Span, Time};

/// The first wait before a request is sent again. Each further wait is twice as long, up to [`PAUSE_MAX`]. Half of each
/// wait is random, so that clients do not come all at once.
const PAUSE_MIN: Span = Span::from_millis(5);

/// The longest wait before a request is sent again.
const PAUSE_MAX: Span = Span::from_millis(500);

/// How long a server is passed over after it gave no answer for the first time. The time doubles with each further
/// silence in a row, up to [`SHUN_MAX`].
const SHUN_MIN: Span = Span::from_millis(500);

/// The longest time for which a server is passed over.
const SHUN_MAX: Span = Span::from_secs(8);

/// At most this many hints are followed without a pause. After that the servers disagree on the leader and need time.
const HOPS_MAX: u32 = 2;

/// The most servers that a client knows, those named in hints included.
const PEERS_MAX: usize = 2 * crate::id::REPLICAS_MAX;

/// How a client chooses the server that it asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// Any, at random, for each request. Servers pass requests on to the leader. A server that does not names the
    /// leader, which is then asked until it fails.
    #[default]
    Any,
    /// The leader, as the last answer named it: this saves the way from server to server.
    Leader,
}

/// How a client sends its requests.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a request may take in all.
    pub timeout: Duration,
    /// How long one server has to answer before another one is asked.
    pub try_timeout: Duration,
    /// Which server to ask.
    pub routing: Routing,
    /// The seed for the choice of servers and for the waits. Without one, the operating system draws it.
    pub seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            timeout: Duration::from_secs(5),
            try_timeout: Duration::from_secs(1),
            routing: Routing::default(),
            seed: None,
        }
    }
}

/// The outcome of a compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The key had the value that was expected, and has the new one.
    Swapped,
    /// The key has this value, and keeps it; "" means no value.
    Found(String),
}

/// One client of the store, with one request at a time.
///
/// Invariants:
/// - `client` is drawn by the operating system, whatever the seed: two clients with one number would be taken for one.
/// - No two updates go under the same `number`, and one update goes under the same however often it is sent.
#[derive(Debug)]
pub struct Kv {
    servers: Servers,
    settings: Settings,
    peers: Vec<Peer>,
    /// The server to ask first, as a place in `peers`.
    leader: Option<usize>,
    client: u64,
    number: u64,
    random: Stream,
    clock: Clock,
    /// Which connection to take where there are several.
    turn: usize,
}

/// A server, and how it has answered lately.
#[derive(Debug)]
struct Peer {
    address: ServerAddress,
    /// The address as servers write it.
    name: String,
    client: KeyValueStoreClient<Channel>,
    /// How many times in a row it gave no answer.
    silences: u32,
    shunned_until: Time,
}

/// A request, as it is sent in each try.
#[derive(Clone, Copy, Debug)]
enum Call<'a> {
    Get { key: &'a str, stale: bool },
    Put { key: &'a str, value: &'a str, id: RequestId },
    Delete { key: &'a str, id: RequestId },
    Swap { key: &'a str, expected: &'a str, value: &'a str, id: RequestId },
}

/// A response, whatever the request was.
#[derive(Debug)]
struct Response {
    ret: ReturnCode,
    /// The value read, or found in place of the one expected.
    value: String,
    leader: String,
    message: String,
}

/// The outcome of one try that was not the last.
#[derive(Debug)]
struct Failure {
    reason: String,
    /// The request never reached a server.
    unsent: bool,
    /// The request may have been done.
    unknown: bool,
    /// The server gave no answer.
    silent: bool,
    /// The leader that the server names: a place in `peers`.
    hint: Option<usize>,
}

impl Kv {
    /// A client of these servers.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the operating system draws no numbers, or if an address does not allow a connection.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, which the connections need.
    pub fn new(servers: Servers, settings: Settings) -> Result<Kv, Error> {
        let draw = || SysRng.try_next_u64();
        let no_numbers = |error| Error::Invalid(format!("the operating system draws no numbers: {error}"));
        let client = draw().map_err(no_numbers)?;
        let seed = settings.seed.map_or_else(draw, Ok).map_err(no_numbers)?;
        let mut random = Stream::new(seed, "client");
        let turn = random.below(1 << 16) as usize;
        let mut kv = Kv {
            peers: Vec::with_capacity(servers.addresses().len()),
            leader: None,
            client,
            number: 0,
            random,
            clock: Clock::start(),
            turn,
            settings,
            servers,
        };
        for address in kv.servers.clone().addresses() {
            kv.add(address)?;
        }
        Ok(kv)
    }

    /// The value of a key as of some moment between call and answer; with `stale`, the value that the asked server
    /// happens to have. None if the key has no value.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&mut self, key: &str, stale: bool) -> Result<Option<String>, Error> {
        check_key(key)?;
        let response = self.ask(Call::Get { key, stale }).await?;
        Ok(Some(response.value).filter(|value| !value.is_empty()))
    }

    /// Sets the value of a key; an empty value removes the key.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put(&mut self, key: &str, value: &str) -> Result<(), Error> {
        check_key(key)?;
        check_value("value", value)?;
        let id = self.next_id();
        self.ask(Call::Put { key, value, id }).await.map(drop)
    }

    /// Removes a key. A missing key is not an error.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(&mut self, key: &str) -> Result<(), Error> {
        check_key(key)?;
        let id = self.next_id();
        self.ask(Call::Delete { key, id }).await.map(drop)
    }

    /// Sets the value of a key if it has the expected one; "" means no value.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn compare_and_swap(&mut self, key: &str, expected: &str, value: &str) -> Result<Swap, Error> {
        check_key(key)?;
        check_value("expected value", expected)?;
        check_value("value", value)?;
        let id = self.next_id();
        let response = self.ask(Call::Swap { key, expected, value, id }).await?;
        Ok(if response.ret == ReturnCode::Mismatch { Swap::Found(response.value) } else { Swap::Swapped })
    }

    fn next_id(&mut self) -> RequestId {
        self.number += 1;
        RequestId { client: self.client, number: self.number }
    }

    /// Sends a request until there is an answer or the time has run out.
    async fn ask(&mut self, call: Call<'_>) -> Result<Response, Error> {
        let end = self.clock.now() + span(self.settings.timeout);
        let mut reasons: Vec<(usize, String)> = Vec::new();
        let (mut unknown, mut came_through) = (false, false);
        let (mut last, mut hops, mut pause) = (None, 0, PAUSE_MIN);
        loop {
            let now = self.clock.now();
            if now >= end {
                return Err(self.give_up(call.is_update() && unknown, came_through, reasons));
            }
            let place = self.choose(now, last);
            let budget = self.settings.try_timeout.min(Duration::from_nanos(end.since(now).nanos()));
            let failure = match self.attempt(place, call, budget).await? {
                Ok(response) => {
                    self.note_answer(place, &response.leader);
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            unknown |= failure.unknown;
            came_through |= !failure.unsent;
            last = Some(place);
            self.note_failure(place, &failure);
            reasons.retain(|(other, _)| *other != place);
            reasons.push((place, failure.reason));
            if failure.hint.is_some_and(|hint| self.leader == Some(hint)) && hops < HOPS_MAX {
                hops += 1;
            } else if !failure.silent {
                hops = 0;
                let half = pause.nanos() / 2;
                let wait = Span(half + self.random.below(half.max(1))).nanos().min(end.since(self.clock.now()).nanos());
                tokio::time::sleep(Duration::from_nanos(wait)).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }

    /// The server to ask next. This is the leader, if it is known and not passed over. Otherwise it is any server that
    /// is neither passed over nor the one just asked. If there is none, it is the server that will be available again
    /// first.
    fn choose(&mut self, now: Time, last: Option<usize>) -> usize {
        if let Some(leader) = self.leader.filter(|&leader| self.peers[leader].shunned_until <= now) {
            return leader;
        }
        let only = self.peers.len() == 1;
        let other = |&place: &usize| only || last != Some(place);
        let open = |&place: &usize| self.peers[place].shunned_until <= now;
        let count = (0..self.peers.len()).filter(other).filter(open).count();
        if count > 0 {
            let nth = self.random.below(count as u64) as usize;
            return (0..self.peers.len()).filter(other).filter(open).nth(nth).unwrap_or(0);
        }
        (0..self.peers.len()).filter(other).min_by_key(|&place| self.peers[place].shunned_until).unwrap_or(0)
    }

    /// Sends a request to one server. The outer error is final.
    async fn attempt(
        &mut self,
        place: usize,
        call: Call<'_>,
        budget: Duration,
    ) -> Result<Result<Response, Failure>, Error> {
        let client = &mut self.peers[place].client;
        // The server gets the deadline, too. The timeout here also includes the time to connect.
        let Ok(answered) = tokio::time::timeout(budget, call.send(client, budget)).await else {
            let reason = "no answer in time".to_owned();
            return Ok(Err(Failure { reason, unsent: false, unknown: true, silent: true, hint: None }));
        };
        let response = match answered {
            Ok(response) => response,
            Err(status) => return self.failed(place, &status).map(Err),
        };
        let (unknown, words) = match response.ret {
            ReturnCode::Success | ReturnCode::NotFound | ReturnCode::Mismatch => return Ok(Ok(response)),
            ReturnCode::Invalid => return Err(Error::Invalid(foreign(&response.message))),
            ReturnCode::NotLeader => (false, "does not lead"),
            ReturnCode::Failure => (false, "failed"),
            // As far as that server knows, the request is not done. It may have passed it on.
            ReturnCode::Unavailable => (true, "is not available"),
            ReturnCode::Timeout => (true, "not known in time"),
        };
        let hint = if response.ret == ReturnCode::NotLeader { self.find(&response.leader, place) } else { None };
        let reason = if response.message.is_empty() { words.to_owned() } else { foreign(&response.message) };
        Ok(Err(Failure { reason, unsent: false, unknown, silent: false, hint }))
    }

    /// The meaning of a failed call.
    fn failed(&self, place: usize, status: &Status) -> Result<Failure, Error> {
        let message = reason(status);
        let not_done = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                return Err(Error::Denied { server: self.peers[place].address.clone(), message });
            }
            Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => true,
            _ => false,
        };
        let unsent = is_unsent(status);
        let silent = matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled);
        Ok(Failure { reason: message, unsent, unknown: !unsent && !not_done, silent, hint: None })
    }

    /// The server that a hint names, unless that is the server that sent the hint.
    fn find(&mut self, hint: &str, from: usize) -> Option<usize> {
        let known = self.peers.iter().position(|peer| peer.name == hint);
        let place = known.or_else(|| {
            let address: ServerAddress = hint.parse().ok()?;
            if self.peers.len() >= PEERS_MAX {
                return None;
            }
            self.add(&address).ok()?;
            Some(self.peers.len() - 1)
        })?;
        (place != from).then_some(place)
    }

    fn add(&mut self, address: &ServerAddress) -> Result<(), Error> {
        let client = KeyValueStoreClient::new(self.servers.channel(address, self.turn)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (address, name) = (address.clone(), address.to_string());
        self.peers.push(Peer { address, name, client, silences: 0, shunned_until: Time::ZERO });
        Ok(())
    }

    #[inline]
    fn note_answer(&mut self, place: usize, leader: &str) {
        self.peers[place].silences = 0;
        self.peers[place].shunned_until = Time::ZERO;
        if self.settings.routing == Routing::Leader && !leader.is_empty() {
            self.leader = if self.peers[place].name == leader { Some(place) } else { self.find(leader, place) };
        }
    }

    fn note_failure(&mut self, place: usize, failure: &Failure) {
        if self.leader == Some(place) {
            self.leader = None;
        }
        let now = self.clock.now();
        let peer = &mut self.peers[place];
        if failure.silent || failure.unsent {
            let shun = (SHUN_MIN * (1 << peer.silences.min(8))).min(SHUN_MAX);
            peer.silences += 1;
            peer.shunned_until = now + shun;
        } else {
            (peer.silences, peer.shunned_until) = (0, Time::ZERO);
        }
        if let Some(hint) = failure.hint.filter(|&hint| self.peers[hint].shunned_until <= now) {
            self.leader = Some(hint);
        }
    }

    fn give_up(&self, unknown: bool, came_through: bool, mut reasons: Vec<(usize, String)>) -> Error {
        reasons.sort_by_key(|&(place, _)| place);
        let named = |(place, reason): (usize, String)| (self.peers[place].address.clone(), reason);
        let (after, reasons) = (self.settings.timeout, Reasons(reasons.into_iter().map(named).collect()));
        if came_through { Error::TimedOut { after, unknown, reasons } } else { Error::Unreachable { after, reasons } }
    }
}

impl Call<'_> {
    fn is_update(self) -> bool {
        !matches!(self, Call::Get { .. })
    }

    async fn send(self, client: &mut KeyValueStoreClient<Channel>, budget: Duration) -> Result<Response, Status> {
        let of_put = |response: PutResponse| Response {
            ret: code(response.ret),
            value: String::new(),
            leader: response.leader,
            message: response.message,
        };
        match self {
            Call::Get { key, stale } => {
                let request = GetRequest { key: key.to_owned(), stale };
                let response = client.get(timed(request, budget)).await?.into_inner();
                Ok(Response {
                    ret: code(response.ret),
                    value: response.value,
                    leader: response.leader,
                    message: response.message,
                })
            }
            Call::Put { key, value, id } => {
                let request = PutRequest { key: key.to_owned(), value: value.to_owned(), id: Some(id) };
                Ok(of_put(client.put(timed(request, budget)).await?.into_inner()))
            }
            Call::Delete { key, id } => {
                let request = DeleteRequest { key: key.to_owned(), id: Some(id) };
                Ok(of_put(client.delete(timed(request, budget)).await?.into_inner()))
            }
            Call::Swap { key, expected, value, id } => {
                let (key, expected, value) = (key.to_owned(), expected.to_owned(), value.to_owned());
                let request = CompareAndSwapRequest { key, expected, value, id: Some(id) };
                let response = client.compare_and_swap(timed(request, budget)).await?.into_inner();
                Ok(Response {
                    ret: code(response.ret),
                    value: response.found,
                    leader: response.leader,
                    message: response.message,
                })
            }
        }
    }
}

/// A server's return code. A code that this client does not know is a failure, not the default, which would be success.
fn code(ret: i32) -> ReturnCode {
    ReturnCode::try_from(ret).unwrap_or(ReturnCode::Failure)
}

/// A request that tells the server how long it has.
pub(super) fn timed<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

pub(super) fn span(duration: Duration) -> Span {
    Span(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

fn check_key(key: &str) -> Result<(), Error> {
    let bytes = key.len();
    if (1..=KEY_BYTES_MAX).contains(&bytes) {
        return Ok(());
    }
    Err(Error::Invalid(format!("the key has {bytes} bytes; allowed is 1 to {KEY_BYTES_MAX}")))
}

fn check_value(what: &str, value: &str) -> Result<(), Error> {
    let bytes = value.len();
    if bytes <= VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(Error::Invalid(format!("the {what} has {bytes} bytes; allowed is at most {VALUE_BYTES_MAX}")))
}
