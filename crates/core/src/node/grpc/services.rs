//! The services that a server offers. They check requests, ask the server, and encode its answers.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use tonic_health::ServingStatus;

use super::links::{self, FRAME_BYTES_LIMIT, Outgoing};
use super::metrics::Metrics;
use super::{Event, Limits, ServeError, Settings, Shared, Ticket, listener};
use crate::chaos::ConnectivityMatrix;
use crate::consensus::Role;
use crate::id::ReplicaId;
use crate::rpc::proto::admin::admin_server::{Admin, AdminServer};
use crate::rpc::proto::admin::{Disk, MessageCount, Role as RoleName, ServerStatus, StatusRequest};
use crate::rpc::proto::chaosmonkey::chaos_monkey_server::{ChaosMonkey, ChaosMonkeyServer};
use crate::rpc::proto::chaosmonkey::{self, ConnMatrix, GetMatrixRequest, MatValue, StatusCode};
use crate::rpc::proto::kvstore::key_value_store_server::{KeyValueStore, KeyValueStoreServer};
use crate::rpc::proto::kvstore::{
    CompareAndSwapRequest, CompareAndSwapResponse, DeleteRequest, GetRequest, GetResponse, PutRequest, PutResponse,
    RequestId, ReturnCode,
};
use crate::rpc::proto::raft::Frame;
use crate::rpc::proto::raft::raft_server::{Raft, RaftServer};
use crate::rpc::{self, KEY_BYTES_MAX, MESSAGE_BYTES_MAX, VALUE_BYTES_MAX};
use crate::service::{self, Operation, Response as Answer, Text, Update};
use crate::time::{Span, Time};

/// The unit in which the memory of waiting requests is counted. No request is free.
const BUDGET_UNIT_BYTES: usize = 1 << 10;

/// The largest headers of a call.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// The name by which load balancers ask whether the store is available.
const STORE_NAME: &str = "kvstore.KeyValueStore";

/// How often the current leader is checked.
const HEALTH_INTERVAL: Duration = Duration::from_millis(100);

/// Serves until the server ends.
pub(super) async fn serve(
    settings: Settings,
    tls: Option<ServerTlsConfig>,
    listener: TcpListener,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
) -> Result<(), ServeError> {
    let system = |source| ServeError::System { what: "its socket", source };
    listener.set_nonblocking(true).map_err(system)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(system)?;
    let limits = &settings.limits;
    let mut server = Server::builder()
        // A request must also arrive within a bound, or it could hold memory for ever. A stream counts as answered once
        // it is open.
        .timeout(limits.request_time.saturating_mul(2))
        .max_concurrent_streams(limits.streams)
        .http2_keepalive_interval(Some(rpc::PING_INTERVAL))
        .http2_keepalive_timeout(Some(rpc::PING_TIMEOUT))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(rpc::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(rpc::CONNECTION_WINDOW_BYTES);
    if let Some(tls) = tls {
        server = server.tls_config(tls).map_err(ServeError::Certificates)?;
    }
    let incoming = listener::incoming(listener, limits.connections, limits.silence);
    let routes = routes(&settings, &shared, metrics);
    let ending = Arc::clone(&shared);
    let serving =
        server.add_routes(routes).serve_with_incoming_shutdown(incoming, async move { ending.ending().await });
    let result = serving.await.map_err(ServeError::Broken);
    // If it has ended by itself, the server has ended, too.
    shared.end(super::End::Asked);
    result
}

/// All services.
fn routes(settings: &Settings, shared: &Arc<Shared>, metrics: Arc<Metrics>) -> Routes {
    let store = Store {
        shared: Arc::clone(shared),
        metrics,
        request_time: Span(u64::try_from(settings.limits.request_time.as_nanos()).unwrap_or(u64::MAX)),
        budget: budget(&settings.limits),
    };
    let guard = Guard { certificate: settings.tls.ca.is_some(), token: None };
    let monkey =
        Monkey { shared: Arc::clone(shared), guard: Guard { token: settings.chaos_token.clone(), ..guard.clone() } };
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(rpc::proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    let watched = Arc::clone(shared);
    tokio::spawn(async move {
        let mut told = None;
        while !watched.is_ending() {
            let healthy = watched.leader().is_some();
            if told != Some(healthy) {
                told = Some(healthy);
                let status = if healthy { ServingStatus::Serving } else { ServingStatus::NotServing };
                for name in ["", STORE_NAME] {
                    health.set_service_status(name, status).await;
                }
            }
            watched.unless_ending(tokio::time::sleep(HEALTH_INTERVAL)).await;
        }
        for name in ["", STORE_NAME] {
            health.set_service_status(name, ServingStatus::NotServing).await;
        }
    });
    Routes::new(KeyValueStoreServer::new(store).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(ChaosMonkeyServer::new(monkey).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(
            RaftServer::new(Peers { shared: Arc::clone(shared), guard })
                .max_decoding_message_size(FRAME_BYTES_LIMIT)
                .max_encoding_message_size(FRAME_BYTES_LIMIT),
        )
        .add_service(AdminServer::new(Administration { shared: Arc::clone(shared) }))
        .add_service(health_service)
        .add_service(reflection().build_v1().expect("the descriptors are sound"))
        .add_service(reflection().build_v1alpha().expect("the descriptors are sound"))
}

fn budget(limits: &Limits) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((limits.waiting_bytes / BUDGET_UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS)))
}

/// Decides which callers are allowed.
#[derive(Clone, Debug)]
struct Guard {
    /// Only callers with a certificate. It was checked when the connection was made.
    certificate: bool,
    /// Only callers that know this token.
    token: Option<String>,
}

impl Guard {
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        if self.certificate && request.peer_certs().is_none_or(|certs| certs.is_empty()) {
            return Err(Status::unauthenticated("a certificate is needed, as --tls-cert and --tls-key give one"));
        }
        let Some(token) = &self.token else { return Ok(()) };
        let given = request.metadata().get(rpc::AUTHORIZATION).map(|value| value.as_bytes());
        let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
        if given.is_some_and(|given| is_same(given, token.as_bytes())) {
            return Ok(());
        }
        Err(Status::unauthenticated("the chaos monkey wants its token, as --token gives it"))
    }
}

/// Whether two strings are the same, in a time that does not reveal where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// The key-value store.
struct Store {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    request_time: Span,
    /// Memory for requests that wait.
    budget: Arc<Semaphore>,
}

/// What came of a request.
struct Asked {
    answer: Answer,
    /// It failed because its time was over.
    is_late: bool,
}

/// The parts of an answer besides the value.
struct Told {
    code: ReturnCode,
    leader: String,
    message: String,
}

impl Store {
    /// Asks the server, within the time that the client gives.
    async fn ask(&self, metadata: &MetadataMap, operation: Operation) -> Result<Asked, String> {
        let room = self.room(&operation)?;
        let now = self.shared.clock.now();
        // A little less, so that the client receives the error before its time runs out.
        let patience = client_patience(metadata).map(|patience| Span(patience.nanos() - patience.nanos() / 20));
        let patience = patience.map_or(self.request_time, |patience| patience.min(self.request_time));
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket { reply, _room: room };
        let deadline = now + patience;
        self.shared.tell(Event::Request { operation, deadline, ticket }).await;
        // The server answers in time, unless it is gone.
        let answer = answer.await.map_err(|_| "the server ends".to_owned())?;
        Ok(Asked { is_late: answer == Answer::Fail && self.shared.clock.now() >= deadline, answer })
    }

    /// Memory for a request, if there is some.
    fn room(&self, operation: &Operation) -> Result<OwnedSemaphorePermit, String> {
        let expected = match operation {
            Operation::Update(update) => update.expected.as_ref().map_or(0, |expected| expected.len()),
            _ => 0,
        };
        let bytes = operation.key().len() + operation.value().map_or(0, |value| value.len()) + expected;
        let units = 1 + bytes / BUDGET_UNIT_BYTES;
        let permit = Arc::clone(&self.budget).try_acquire_many_owned(units as u32);
        permit.map_err(|_| "too many requests wait here already".to_owned())
    }

    fn told(&self, code: ReturnCode, message: impl Into<String>) -> Told {
        let leader = self.shared.leader().map(|leader| self.shared.members[leader.index()].to_string());
        Told { code, leader: leader.unwrap_or_default(), message: message.into() }
    }

    /// An answer that is not a success, in words.
    fn failure(&self, asked: Result<Asked, String>) -> Told {
        match asked {
            Ok(Asked { answer: Answer::Redirect, .. }) => {
                self.told(ReturnCode::NotLeader, "this server does not lead")
            }
            Ok(Asked { answer: Answer::Outdated, .. }) => self.told(
                ReturnCode::Invalid,
                "a later update of this client is done already, so this one is not carried out now, and whether it was before is no \
                 longer known; allowed is a higher number in `id`",
            ),
            Ok(Asked { is_late: true, .. }) => self.told(ReturnCode::Timeout, "no answer from a majority in time"),
            Ok(_) if !self.shared.is_member() => self
                .told(ReturnCode::Unavailable, "this server does not take part yet: too few others have welcomed it"),
            Ok(_) => self.told(ReturnCode::Unavailable, "there is no leader, or it could not do it"),
            Err(message) => self.told(ReturnCode::Unavailable, message),
        }
    }

    async fn get(&self, request: Request<GetRequest>) -> GetResponse {
        let (metadata, _, GetRequest { key, stale }) = request.into_parts();
        let respond = |value: Text, told: Told| GetResponse {
            value: value.to_string(),
            ret: told.code as i32,
            leader: told.leader,
            message: told.message,
        };
        let nothing = || Text::from("");
        if let Err(wrong) = check_key(&key) {
            return respond(nothing(), self.told(ReturnCode::Invalid, wrong));
        }
        let answer = if stale {
            let (reply, value) = oneshot::channel();
            self.shared.tell(Event::Stale { key: key.into(), reply }).await;
            let read = |value| Asked { answer: Answer::Ok { value: Some(value) }, is_late: false };
            value.await.map(read).map_err(|_| "the server ends".to_owned())
        } else {
            self.ask(&metadata, Operation::Get { key: key.into() }).await
        };
        match answer {
            Ok(Asked { answer: Answer::Ok { value }, .. }) => {
                let value = value.unwrap_or_default();
                let code = if value.is_empty() { ReturnCode::NotFound } else { ReturnCode::Success };
                respond(value, self.told(code, ""))
            }
            other => respond(nothing(), self.failure(other)),
        }
    }

    /// Makes a change. If another value than the expected one was found, returns that value.
    async fn update(&self, metadata: &MetadataMap, change: Change) -> (Told, Text) {
        let nothing = || Text::from("");
        if let Err(wrong) = change.check() {
            return (self.told(ReturnCode::Invalid, wrong), nothing());
        }
        let operation = Operation::Update(Arc::new(change.into()));
        match self.ask(metadata, operation).await {
            Ok(Asked { answer: Answer::Ok { value: None }, .. }) => (self.told(ReturnCode::Success, ""), nothing()),
            Ok(Asked { answer: Answer::Ok { value: Some(found) }, .. }) => {
                (self.told(ReturnCode::Mismatch, "the key has another value"), found)
            }
            other => (self.failure(other), nothing()),
        }
    }

    /// Counts a request that has been answered.
    fn note(&self, method: &'static str, ret: i32, began: Time) {
        let result = ReturnCode::try_from(ret).map_or("?", |code| code.as_str_name());
        self.metrics.note_request(method, result, self.shared.clock.now().since(began));
    }
}

/// A change of the store, as a client wants it.
struct Change {
    key: String,
    value: String,
    expected: Option<String>,
    id: Option<RequestId>,
}

impl Change {
    fn check(&self) -> Result<(), String> {
        check_key(&self.key)?;
        check_value("value", &self.value)?;
        // A name left at its default would be shared by all updates, and only the first of them would be carried out.
        if self.id.is_some_and(|id| id.client == 0) {
            return Err("the client in `id` is 0; allowed is a number that was drawn at random, or no `id`".to_owned());
        }
        self.expected.as_deref().map_or(Ok(()), |expected| check_value("expected value", expected))
    }
}

impl From<Change> for Update {
    fn from(Change { key, value, expected, id }: Change) -> Update {
        Update {
            key: key.into(),
            value: value.into(),
            expected: expected.map(Into::into),
            request: id.map(|RequestId { client, number }| service::RequestId { client, number }),
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    match key.len() {
        1..=KEY_BYTES_MAX => Ok(()),
        found => Err(format!("the key has {found} bytes; allowed is 1 to {KEY_BYTES_MAX}")),
    }
}

fn check_value(what: &str, value: &str) -> Result<(), String> {
    match value.len() {
        0..=VALUE_BYTES_MAX => Ok(()),
        found => Err(format!("the {what} has {found} bytes; allowed is up to {VALUE_BYTES_MAX}")),
    }
}

/// How long a client waits for its answer, if it says so: up to eight digits and a unit, as in gRPC.
fn client_patience(metadata: &MetadataMap) -> Option<Span> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    let nanos: u64 = match unit {
        "H" => 3_600_000_000_000,
        "M" => 60_000_000_000,
        "S" => 1_000_000_000,
        "m" => 1_000_000,
        "u" => 1_000,
        "n" => 1,
        _ => return None,
    };
    Some(Span(number.saturating_mul(nanos)))
}

#[tonic::async_trait]
impl KeyValueStore for Store {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let began = self.shared.clock.now();
        let response = Store::get(self, request).await;
        self.note("get", response.ret, began);
        Ok(Response::new(response))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let began = self.shared.clock.now();
        let (metadata, _, PutRequest { key, value, id }) = request.into_parts();
        let (Told { code, leader, message }, _) =
            self.update(&metadata, Change { key, value, expected: None, id }).await;
        self.note("put", code as i32, began);
        Ok(Response::new(PutResponse { ret: code as i32, leader, message }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<PutResponse>, Status> {
        let began = self.shared.clock.now();
        let (metadata, _, DeleteRequest { key, id }) = request.into_parts();
        let (Told { code, leader, message }, _) =
            self.update(&metadata, Change { key, value: String::new(), expected: None, id }).await;
        self.note("delete", code as i32, began);
        Ok(Response::new(PutResponse { ret: code as i32, leader, message }))
    }

    async fn compare_and_swap(
        &self,
        request: Request<CompareAndSwapRequest>,
    ) -> Result<Response<CompareAndSwapResponse>, Status> {
        let began = self.shared.clock.now();
        let (metadata, _, CompareAndSwapRequest { key, expected, value, id }) = request.into_parts();
        let (Told { code, leader, message }, found) =
            self.update(&metadata, Change { key, value, expected: Some(expected), id }).await;
        self.note("compare_and_swap", code as i32, began);
        Ok(Response::new(CompareAndSwapResponse { ret: code as i32, found: found.to_string(), leader, message }))
    }
}

/// The service of the chaos monkey.
struct Monkey {
    shared: Arc<Shared>,
    guard: Guard,
}

/// The answer of a server without a monkey.
const NO_MONKEY: &str = "this server carries no chaos monkey; --chaos gives it one";

impl Monkey {
    /// Makes a change, or describes the error if it cannot be made.
    fn change(
        &self,
        change: impl FnOnce(&mut crate::chaos::ChaosMonkey) -> Result<(), String>,
    ) -> Response<chaosmonkey::Status> {
        let changed =
            self.shared.chaos().ok_or_else(|| NO_MONKEY.to_owned()).and_then(|mut monkey| change(&mut monkey));
        let (ret, message) = match changed {
            Ok(()) => (StatusCode::Ok, String::new()),
            Err(message) => (StatusCode::Error, message),
        };
        tracing::info!(ret = ret.as_str_name(), message, "the chaos monkey was told what to do");
        Response::new(chaosmonkey::Status { ret: ret as i32, message })
    }
}

#[tonic::async_trait]
impl ChaosMonkey for Monkey {
    async fn upload_matrix(&self, request: Request<ConnMatrix>) -> Result<Response<chaosmonkey::Status>, Status> {
        self.guard.admit(&request)?;
        let rows: Vec<Vec<f64>> =
            request.into_inner().rows.into_iter().map(|row| row.vals.into_iter().map(f64::from).collect()).collect();
        let matrix = ConnectivityMatrix::from_rows(self.shared.members.len(), &rows);
        Ok(self.change(|monkey| {
            monkey.set_matrix(matrix.map_err(|error| format!("the matrix {error}"))?);
            Ok(())
        }))
    }

    async fn update_value(&self, request: Request<MatValue>) -> Result<Response<chaosmonkey::Status>, Status> {
        self.guard.admit(&request)?;
        let MatValue { row, col, val } = request.into_inner();
        Ok(self.change(|monkey| {
            let place = |number: i32, what| {
                usize::try_from(number)
                    .map_err(|_| format!("the {what} is {number}; allowed is 0 to {}", self.shared.members.len() - 1))
            };
            monkey
                .set_link(place(row, "row")?, place(col, "column")?, f64::from(val))
                .map_err(|error| error.to_string())
        }))
    }

    async fn get_matrix(&self, request: Request<GetMatrixRequest>) -> Result<Response<ConnMatrix>, Status> {
        self.guard.admit(&request)?;
        let monkey = self.shared.chaos().ok_or_else(|| Status::failed_precondition(NO_MONKEY))?;
        Ok(Response::new(ConnMatrix::from(monkey.matrix())))
    }
}

/// The service for streams of other servers.
struct Peers {
    shared: Arc<Shared>,
    guard: Guard,
}

#[tonic::async_trait]
impl Raft for Peers {
    type ExchangeStream = Outgoing;

    async fn exchange(&self, request: Request<Streaming<Frame>>) -> Result<Response<Outgoing>, Status> {
        self.guard.admit(&request)?;
        Ok(Response::new(links::accept(Arc::clone(&self.shared), request.into_inner())))
    }
}

/// The service that reports the server's state.
struct Administration {
    shared: Arc<Shared>,
}

#[tonic::async_trait]
impl Admin for Administration {
    async fn get_status(&self, _: Request<StatusRequest>) -> Result<Response<ServerStatus>, Status> {
        let shared = &self.shared;
        let report = shared.report().await.ok_or_else(|| Status::unavailable("the server ends"))?;
        let role = match report.role {
            None => RoleName::Joining,
            Some(Role::Follower) => RoleName::Follower,
            Some(Role::PreCandidate) => RoleName::PreCandidate,
            Some(Role::Candidate) => RoleName::Candidate,
            Some(Role::Leader) => RoleName::Leader,
        };
        let traffic = shared.traffic().clone();
        let messages = traffic.links().map(|(peer, kind, passed)| MessageCount {
            peer: peer.0.into(),
            kind: kind.to_owned(),
            sent: passed.sent,
            received: passed.received,
            dropped: passed.dropped,
        });
        let connected = ReplicaId::all(shared.links.len()).filter(|peer| shared.links[peer.index()].is_up());
        Ok(Response::new(ServerStatus {
            id: shared.id.0.into(),
            members: shared.members.iter().map(ToString::to_string).collect(),
            cluster: shared.cluster.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: role as i32,
            term: report.term,
            leader: shared.leader().map(|leader| leader.0.into()),
            last_index: report.last_index,
            commit_index: report.commit_index,
            applied: report.applied,
            keys: report.keys,
            uptime_ms: shared.clock.now().nanos() / 1_000_000,
            messages: messages.collect(),
            ignored: traffic.malformed + report.ignored,
            overflowed: traffic.unsent,
            connected: connected.map(|peer| peer.0.into()).collect(),
            chaos: shared.chaos.is_some(),
            disk: report.disk.map(|disk| Disk {
                file_bytes: disk.usage.file_bytes,
                syncs: disk.usage.syncs,
                written_bytes: disk.usage.bytes_written,
                snapshots: disk.snapshots,
                is_writing_snapshot: disk.is_writing_snapshot,
            }),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_a_client_gives_is_read_as_grpc_writes_it() {
        let patience = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().expect("a header"));
            client_patience(&metadata)
        };
        assert_eq!(patience("250m"), Some(Span::from_millis(250)));
        assert_eq!(patience("99999999H"), Some(Span(99_999_999_u64.saturating_mul(3_600_000_000_000))));
        assert_eq!(patience("7u"), Some(Span(7_000)));
        for text in ["", "m", "250", "2.5S", "-1S", "123456789n", "1é", "1 S"] {
            assert_eq!(patience(text), None, "{text}");
        }
        assert_eq!(client_patience(&MetadataMap::new()), None);
    }

    #[test]
    fn keys_and_values_have_bounds() {
        assert!(check_key("k").is_ok() && check_key(&"k".repeat(KEY_BYTES_MAX)).is_ok());
        assert_eq!(check_key("").unwrap_err(), "the key has 0 bytes; allowed is 1 to 1024");
        assert_eq!(check_key(&"é".repeat(513)).unwrap_err(), "the key has 1026 bytes; allowed is 1 to 1024");
        assert!(check_value("value", "").is_ok() && check_value("value", &"v".repeat(VALUE_BYTES_MAX)).is_ok());
        assert!(check_value("value", &"v".repeat(VALUE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_name_that_the_client_left_at_its_default_is_none() {
        let check = |id| Change { key: "k".to_owned(), value: "v".to_owned(), expected: None, id }.check();
        assert!(check(None).is_ok() && check(Some(RequestId { client: 1, number: 0 })).is_ok());
        for number in [0, 1] {
            assert!(check(Some(RequestId { client: 0, number })).unwrap_err().starts_with("the client in `id` is 0"));
        }
    }

    #[test]
    fn a_token_is_compared_in_full() {
        assert!(is_same(b"secret", b"secret") && is_same(b"", b""));
        for other in ["secre", "secrets", "Secret", ""] {
            assert!(!is_same(other.as_bytes(), b"secret"), "{other}");
        }
    }
}
