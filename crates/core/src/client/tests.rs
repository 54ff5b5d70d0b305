//! Clients against servers that answer as a test wants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{ClientTlsConfig, Server};
use tonic::{Request, Response, Status};

use super::{Chaos, Error, Kv, Servers, Settings, Swap, status};
use crate::chaos::ConnectivityMatrix;
use crate::rpc::ServerAddress;
use crate::rpc::proto::admin::admin_server::{Admin, AdminServer};
use crate::rpc::proto::admin::{ServerStatus, StatusRequest};
use crate::rpc::proto::chaosmonkey::chaos_monkey_server::{ChaosMonkey, ChaosMonkeyServer};
use crate::rpc::proto::chaosmonkey::{self, ConnMatrix, GetMatrixRequest, MatValue, StatusCode};
use crate::rpc::proto::kvstore::key_value_store_server::{KeyValueStore, KeyValueStoreServer};
use crate::rpc::proto::kvstore::{
    CompareAndSwapRequest, CompareAndSwapResponse, DeleteRequest, GetRequest, GetResponse, PutRequest, PutResponse,
    ReturnCode,
};

/// How a server reacts to a request.
#[derive(Clone, Debug)]
enum Mood {
    /// Does it.
    Helpful,
    /// Names the leader.
    Follows(String),
    /// Answers with this code and these words, and does nothing.
    Says(ReturnCode, &'static str),
    /// Does it and never answers.
    Forgets,
    /// Does nothing and never answers.
    Hangs,
    /// Refuses with this status.
    Fails(Status),
}

/// A server on its own. It starts with the first mood, and each request takes it to the next one; the last one stays.
#[derive(Clone, Debug)]
struct Fake(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    moods: Vec<Mood>,
    /// The client and the number of each update, in order.
    updates: Vec<(u64, u64)>,
    requests: usize,
    store: BTreeMap<String, String>,
    members: Vec<String>,
    matrix: Option<ConnMatrix>,
}

impl Fake {
    fn new(moods: &[Mood]) -> Fake {
        Fake(Arc::new(Mutex::new(Inner {
            moods: moods.iter().rev().cloned().collect(),
            updates: Vec::new(),
            requests: 0,
            store: BTreeMap::new(),
            members: Vec::new(),
            matrix: None,
        })))
    }

    async fn start(&self) -> ServerAddress {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = ServerAddress::local(listener.local_addr().expect("an address").port());
        let server = Server::builder()
            .add_service(KeyValueStoreServer::new(self.clone()))
            .add_service(ChaosMonkeyServer::new(self.clone()))
            .add_service(AdminServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        address
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.0.lock().expect("no test panics with it"))
    }

    fn updates(&self) -> Vec<(u64, u64)> {
        self.with(|inner| inner.updates.clone())
    }

    fn requests(&self) -> usize {
        self.with(|inner| inner.requests)
    }

    /// Reacts as the mood says. `apply` carries the request out.
    async fn meet<T>(&self, id: Option<(u64, u64)>, apply: impl FnOnce(&mut Inner) -> T) -> Result<Answer<T>, Status> {
        let (mood, done) = self.with(|inner| {
            let mood =
                if inner.moods.len() > 1 { inner.moods.pop() } else { inner.moods.last().cloned() }.expect("a mood");
            inner.requests += 1;
            let done = matches!(mood, Mood::Helpful | Mood::Forgets).then(|| apply(inner));
            inner.updates.extend(id);
            (mood, done)
        });
        match (mood, done) {
            (Mood::Helpful, Some(done)) => Ok(Answer::Done(done)),
            (Mood::Follows(leader), _) => Ok(Answer::Else(ReturnCode::NotLeader, leader, String::new())),
            (Mood::Says(code, words), _) => Ok(Answer::Else(code, String::new(), words.to_owned())),
            (Mood::Fails(status), _) => Err(status),
            _ => std::future::pending().await,
        }
    }
}

enum Answer<T> {
    Done(T),
    Else(ReturnCode, String, String),
}

#[tonic::async_trait]
impl KeyValueStore for Fake {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let key = request.into_inner().key;
        Ok(Response::new(match self.meet(None, |inner| inner.store.get(&key).cloned()).await? {
            Answer::Done(Some(value)) => GetResponse { value, ..GetResponse::default() },
            Answer::Done(None) => GetResponse { ret: ReturnCode::NotFound.into(), ..GetResponse::default() },
            Answer::Else(code, leader, message) => {
                GetResponse { ret: code.into(), leader, message, value: String::new() }
            }
        }))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let PutRequest { key, value, id } = request.into_inner();
        let id = id.map(|id| (id.client, id.number));
        Ok(Response::new(match self.meet(id, |inner| drop(inner.store.insert(key, value))).await? {
            Answer::Done(()) => PutResponse::default(),
            Answer::Else(code, leader, message) => PutResponse { ret: code.into(), leader, message },
        }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<PutResponse>, Status> {
        let DeleteRequest { key, id } = request.into_inner();
        let id = id.map(|id| (id.client, id.number));
        Ok(Response::new(match self.meet(id, |inner| drop(inner.store.remove(&key))).await? {
            Answer::Done(()) => PutResponse::default(),
            Answer::Else(code, leader, message) => PutResponse { ret: code.into(), leader, message },
        }))
    }

    async fn compare_and_swap(
        &self,
        request: Request<CompareAndSwapRequest>,
    ) -> Result<Response<CompareAndSwapResponse>, Status> {
        let CompareAndSwapRequest { key, expected, value, id } = request.into_inner();
        let id = id.map(|id| (id.client, id.number));
        let swap = |inner: &mut Inner| {
            let found = inner.store.get(&key).cloned().unwrap_or_default();
            let fits = found == expected;
            if fits {
                inner.store.insert(key, value);
            }
            (!fits).then_some(found)
        };
        let answer = |ret: ReturnCode, found| CompareAndSwapResponse {
            ret: ret.into(),
            found,
            leader: String::new(),
            message: String::new(),
        };
        Ok(Response::new(match self.meet(id, swap).await? {
            Answer::Done(None) => answer(ReturnCode::Success, String::new()),
            Answer::Done(Some(found)) => answer(ReturnCode::Mismatch, found),
            Answer::Else(code, leader, message) => {
                CompareAndSwapResponse { leader, message, ..answer(code, String::new()) }
            }
        }))
    }
}

#[tonic::async_trait]
impl ChaosMonkey for Fake {
    async fn upload_matrix(&self, request: Request<ConnMatrix>) -> Result<Response<chaosmonkey::Status>, Status> {
        if request.metadata().get("authorization").is_none_or(|token| token != "Bearer sesame") {
            return Err(Status::unauthenticated("a token is wanted"));
        }
        self.with(|inner| inner.matrix = Some(request.into_inner()));
        Ok(Response::new(chaosmonkey::Status::default()))
    }

    async fn update_value(&self, request: Request<MatValue>) -> Result<Response<chaosmonkey::Status>, Status> {
        let MatValue { row, col, val } = request.into_inner();
        let changed = self.with(|inner| {
            let row = inner.matrix.as_mut().and_then(|matrix| matrix.rows.get_mut(row as usize));
            row.and_then(|row| row.vals.get_mut(col as usize)).map(|value| *value = val)
        });
        Ok(Response::new(match changed {
            Some(()) => chaosmonkey::Status::default(),
            None => chaosmonkey::Status { ret: StatusCode::Error.into(), message: "row 7 of 3".to_owned() },
        }))
    }

    async fn get_matrix(&self, _request: Request<GetMatrixRequest>) -> Result<Response<ConnMatrix>, Status> {
        Ok(Response::new(self.with(|inner| inner.matrix.clone()).unwrap_or_default()))
    }
}

#[tonic::async_trait]
impl Admin for Fake {
    async fn get_status(&self, _request: Request<StatusRequest>) -> Result<Response<ServerStatus>, Status> {
        let members = self.with(|inner| inner.members.clone());
        Ok(Response::new(ServerStatus { members, ..ServerStatus::default() }))
    }
}

/// A client that trusts no certificate.
fn tls() -> ClientTlsConfig {
    ClientTlsConfig::new()
}

/// An address at which no server listens.
async fn unused_address() -> ServerAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    ServerAddress::local(listener.local_addr().expect("an address").port())
}

fn kv(addresses: &[ServerAddress], timeout: u64, try_timeout: u64) -> Kv {
    let (timeout, try_timeout) = (Duration::from_millis(timeout), Duration::from_millis(try_timeout));
    let settings = Settings { timeout, try_timeout, seed: Some(7), ..Settings::default() };
    Kv::new(Servers::new(addresses, None).expect("servers"), settings).expect("a client")
}

#[tokio::test]
async fn a_put_value_can_be_read_swapped_and_deleted() {
    let fake = Fake::new(&[Mood::Helpful]);
    let mut kv = kv(&[fake.start().await], 5_000, 1_000);
    assert_eq!(kv.get("name", false).await, Ok(None));
    assert_eq!(kv.put("name", "Ada").await, Ok(()));
    assert_eq!(kv.get("name", true).await, Ok(Some("Ada".to_owned())));
    assert_eq!(kv.compare_and_swap("name", "Bob", "Eve").await, Ok(Swap::Found("Ada".to_owned())));
    assert_eq!(kv.compare_and_swap("name", "Ada", "Eve").await, Ok(Swap::Swapped));
    assert_eq!(kv.delete("name").await, Ok(()));
    assert_eq!(kv.get("name", false).await, Ok(None));
    let updates = fake.updates();
    assert_eq!(updates.iter().map(|&(_, number)| number).collect::<Vec<_>>(), [1, 2, 3, 4], "it counts upwards");
    assert!(updates.iter().all(|&(client, _)| client == updates[0].0));
}

#[tokio::test]
async fn a_hint_is_followed_also_to_a_server_that_was_not_named_and_then_remembered() {
    let leader = Fake::new(&[Mood::Helpful]);
    let hint = leader.start().await.to_string();
    let follower = Fake::new(&[Mood::Follows(hint)]);
    let mut kv = kv(&[follower.start().await], 5_000, 1_000);
    for _ in 0..10 {
        kv.put("k", "v").await.expect("the leader does it");
    }
    assert_eq!((follower.requests(), leader.requests()), (1, 10));
}

#[tokio::test]
async fn servers_that_point_at_each_other_and_at_nonsense_are_asked_until_the_time_runs_out() {
    let [one, other] = [Fake::new(&[Mood::Helpful]), Fake::new(&[Mood::Follows("no address".to_owned())])];
    let addresses = [one.start().await, other.start().await];
    one.with(|inner| inner.moods = vec![Mood::Follows(addresses[1].to_string())]);
    let error = kv(&addresses, 300, 100).put("k", "v").await.expect_err("no server leads");
    let Error::TimedOut { unknown: false, reasons, .. } = &error else { panic!("{error:?}") };
    assert!(reasons.0.iter().all(|(_, reason)| reason == "does not lead"), "{error}");
    let requests = one.requests() + other.requests();
    assert!((3..60).contains(&requests), "{requests} requests in 0.3 s: it waits more and more");
}

#[tokio::test]
async fn an_update_goes_under_one_name_however_often_it_is_sent() {
    let forgets = Fake::new(&[Mood::Forgets, Mood::Says(ReturnCode::Timeout, ""), Mood::Helpful]);
    let mut kv = kv(&[forgets.start().await], 5_000, 100);
    kv.put("k", "v").await.expect("at last");
    kv.put("k", "w").await.expect("at once");
    let updates = forgets.updates();
    assert_eq!(updates.iter().map(|&(_, number)| number).collect::<Vec<_>>(), [1, 1, 1, 2]);
    assert!(updates.iter().all(|&(client, _)| client == updates[0].0));
}

#[tokio::test]
async fn a_server_that_hangs_costs_one_try_and_is_passed_over_then() {
    let [hangs, helps] = [Fake::new(&[Mood::Hangs]), Fake::new(&[Mood::Helpful])];
    let mut kv = kv(&[hangs.start().await, helps.start().await], 5_000, 300);
    for _ in 0..20 {
        kv.put("k", "v").await.expect("the other one does it");
    }
    assert_eq!((hangs.requests(), helps.requests()), (1, 20));
}

#[tokio::test]
async fn an_update_that_timed_out_may_have_been_done_and_a_get_never_has() {
    let fake = Fake::new(&[Mood::Forgets]);
    let mut kv = kv(&[fake.start().await], 250, 100);
    let clock = crate::clock::Clock::start();
    let error = kv.put("k", "v").await.expect_err("no answer");
    let took = clock.now().as_secs_f64();
    assert!((0.25..1.0).contains(&took), "{took} s");
    assert!(matches!(error, Error::TimedOut { unknown: true, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("not done within 0.25 s: 127.0.0.1:"), "{text}");
    assert!(text.ends_with(": no answer in time; it is not known whether it was done, or will be"), "{text}");
    let error = kv.get("k", false).await.expect_err("no answer");
    assert!(matches!(error, Error::TimedOut { unknown: false, .. }), "{error:?}");
}

#[tokio::test]
async fn an_update_that_was_certainly_not_done_is_not_in_doubt() {
    for mood in [Mood::Says(ReturnCode::Failure, "out of ink"), Mood::Fails(Status::unimplemented("no such call"))] {
        let fake = Fake::new(std::slice::from_ref(&mood));
        let error = kv(&[fake.start().await], 100, 50).put("k", "v").await.expect_err("never done");
        assert!(matches!(error, Error::TimedOut { unknown: false, .. }), "{mood:?}: {error:?}");
    }
}

#[tokio::test]
async fn errors_name_the_server_and_the_last_of_their_causes() {
    let error = kv(&[unused_address().await], 200, 100).put("k", "v").await.expect_err("no server listens");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("no server could be reached within 0.2 s: 127.0.0.1:"), "{text}");
    assert!(text.contains("onnection refused"), "{text}");

    let unknown = "no-such-host.invalid:7001".parse().expect("an address");
    let text = kv(&[unknown], 2_000, 1_900).get("k", false).await.expect_err("no such host").to_string();
    assert!(text.contains("no-such-host.invalid:7001: failed to lookup"), "{text}");

    let secured = Servers::new(&[Fake::new(&[Mood::Helpful]).start().await], Some(tls())).expect("servers");
    let settings = Settings { timeout: Duration::from_millis(500), ..Settings::default() };
    let text = Kv::new(secured, settings).expect("a client").put("k", "v").await.expect_err("no TLS").to_string();
    assert!(text.ends_with("(does it speak TLS at all? without --tls-ca)"), "{text}");

    let fake = Fake::new(&[
        Mood::Says(ReturnCode::Invalid, "the key is\nodd"),
        Mood::Fails(Status::permission_denied("go away")),
    ]);
    let mut kv = kv(&[fake.start().await], 1_000, 500);
    assert_eq!(kv.put("k", "v").await, Err(Error::Invalid("the key is\\nodd".to_owned())));
    let denied = kv.put("k", "v").await.expect_err("denied");
    assert!(matches!(&denied, Error::Denied { message, .. } if message == "go away"), "{denied:?}");
}

#[tokio::test]
async fn keys_and_values_that_no_server_accepts_are_not_sent() {
    let fake = Fake::new(&[Mood::Helpful]);
    let mut kv = kv(&[fake.start().await], 1_000, 500);
    let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
    assert_eq!(kv.put("", "v").await, invalid("the key has 0 bytes; allowed is 1 to 1024"));
    assert_eq!(kv.delete(&"k".repeat(1_025)).await, invalid("the key has 1025 bytes; allowed is 1 to 1024"));
    let long = "v".repeat((1 << 20) + 1);
    assert_eq!(kv.put("k", &long).await, invalid("the value has 1048577 bytes; allowed is at most 1048576"));
    assert_eq!(kv.put("k", &long[1..]).await, Ok(()), "the longest value");
    assert_eq!(kv.get("k", false).await, Ok(Some(long[1..].to_owned())));
    assert_eq!(fake.requests(), 2);
}

#[tokio::test]
async fn a_matrix_goes_to_all_servers_and_a_server_that_refuses_it_is_named() {
    let [one, other] = [Fake::new(&[Mood::Helpful]), Fake::new(&[Mood::Helpful])];
    let addresses = [one.start().await, unused_address().await, other.start().await];
    let servers = Servers::new(&addresses, None).expect("servers");
    let timeout = Duration::from_secs(2);
    let matrix = ConnectivityMatrix::uniform(3, 0.1).expect("a matrix");

    let stranger = Chaos::new(servers.clone(), timeout, None).expect("a client");
    let answers = stranger.upload(&matrix).await.expect("addresses");
    assert_eq!(answers[0].1, Err("a token is wanted".to_owned()));

    let chaos = Chaos::new(servers.clone(), timeout, Some("sesame")).expect("a client");
    let answers = chaos.upload(&matrix).await.expect("addresses");
    assert_eq!(answers.iter().map(|(address, _)| address.clone()).collect::<Vec<_>>(), addresses);
    assert_eq!((&answers[0].1, &answers[2].1), (&Ok(()), &Ok(())));
    assert!(answers[1].1.as_ref().is_err_and(|reason| reason.contains("onnection refused")), "{answers:?}");

    let answers = chaos.set(0, 2, 1.0).await.expect("addresses");
    assert_eq!((&answers[0].1, &answers[2].1), (&Ok(()), &Ok(())));
    let shown = chaos.show().await.expect("addresses");
    let mut expected = matrix;
    expected.set(0, 2, 1.0).expect("a value");
    assert_eq!(shown[2].1, Ok(expected));
    assert_eq!(chaos.set(7, 0, 1.0).await.expect("addresses")[0].1, Err("row 7 of 3".to_owned()));
    assert!(matches!(Chaos::new(servers, timeout, Some("a\nb")), Err(Error::Invalid(_))));
}

#[tokio::test]
async fn the_members_come_from_the_first_answer() {
    let fake = Fake::new(&[Mood::Helpful]);
    fake.with(|inner| inner.members = vec!["10.0.0.1:7001".to_owned(), "kv-1:7001".to_owned()]);
    let addresses = [unused_address().await, fake.start().await];
    let servers = Servers::new(&addresses, None).expect("servers");
    let members = status::members(&servers, Duration::from_secs(2)).await.expect("addresses").expect("an answer");
    assert_eq!(members.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1:7001", "kv-1:7001"]);
    let silent = Servers::new(&addresses[..1], None).expect("servers");
    assert_eq!(status::members(&silent, Duration::from_secs(2)).await, Ok(None));
}
