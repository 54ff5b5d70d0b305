//! A server of the gRPC cluster: a [`Server`] behind the services of `proto/`.
//!
//! The [`Server`] does no I/O. One task owns it, feeds it the events, and carries out its effects; all other tasks only
//! move bytes:
//!
//! ```text
//! clients ──► services ──┐                        ┌──► services ──► clients
//!                        ├──► events ──► server ──┤
//! other servers ► links ─┘         (one task)     └──► links ──► other servers
//! ```
//!
//! Every queue is bounded in number; those to other servers, and the requests that wait, in bytes, too. When there is
//! no room, a client is told to try again later, and a message between servers is lost, as Raft expects of a network.

mod convert;
mod introduction;
mod links;
mod listener;
mod metrics;
mod services;
mod settings;
mod turns;

use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::chaos::{ChaosMonkey, ConnectivityMatrix};
use crate::clock::Clock;
use crate::consensus::{Consensus as _, Index, Role, Term};
use crate::id::ReplicaId;
use crate::machine::{Boot, Exit, Identity, Recovered};
use crate::node::disk::Disk;
use crate::raft::Sound;
use crate::rng::Stream;
use crate::rpc::{ServerAddress, TlsError};
use crate::server::{Message, Record, Server};
use crate::service::{Operation, Response, Text};
use crate::storage::{Owner, Storage, StorageError, Sync, Usage};
use crate::time::Time;

use introduction::{Introduction, cluster_number};
use links::Link;
use metrics::{Metrics, Traffic};
pub use settings::{Data, Limits, Settings, SettingsError};

/// How many events wait for the server at most.
const EVENTS_MAX: usize = 4_096;

/// How long a server that ends waits for its successor to lead and for its requests to be answered.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long connections may take to end after that.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Why a server cannot serve, or can no longer serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings make no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Certificates and keys are unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Certificates and keys can be read, but not used.
    #[error("--tls-cert, --tls-key, --tls-ca: {}", crate::rpc::describe_transport(.0))]
    Certificates(tonic::transport::Error),
    /// It cannot listen.
    #[error("{option} {address}: cannot listen: {source}")]
    Listen {
        /// The option.
        option: &'static str,
        /// Where.
        address: ServerAddress,
        /// Why.
        source: io::Error,
    },
    /// The system refuses something else.
    #[error("the server needs {what}: {source}")]
    System {
        /// What it needs.
        what: &'static str,
        /// Why it is refused.
        source: io::Error,
    },
    /// Its folder cannot be used.
    #[error("--data: {0}")]
    Storage(#[from] StorageError),
    /// It must not take part.
    #[error("{0}")]
    Exited(Exit),
    /// The connections cannot be served any more.
    #[error("the server has broken: {}", crate::rpc::describe_transport(.0))]
    Broken(tonic::transport::Error),
}

/// What happens to a server.
#[derive(Debug)]
enum Event {
    /// A client asks, and listens until the deadline.
    Request { operation: Operation, deadline: Time, ticket: Ticket },
    /// A client asks for the value of a key as far as this server knows it.
    Stale { key: Text, reply: oneshot::Sender<Text> },
    /// Another server has sent a message, and the chaos monkey has let it through.
    Peer { from: ReplicaId, message: Message },
    /// A caller wants a report.
    Report { reply: oneshot::Sender<Report> },
    /// The server will end: it should give up leadership, and answer the requests that it can.
    Farewell { reply: oneshot::Sender<()> },
}

/// Delivers the answer to a client.
#[derive(Debug)]
struct Ticket {
    reply: oneshot::Sender<Response>,
    /// The memory of the request. It stays reserved as long as the server has the request, even if the client has gone.
    _room: OwnedSemaphorePermit,
}

impl Ticket {
    fn answer(self, response: Response) {
        // The client may no longer listen.
        let _ = self.reply.send(response);
    }
}

/// How the server is doing.
#[derive(Clone, Copy, Debug)]
struct Report {
    /// None while it does not take part yet.
    role: Option<Role>,
    term: Term,
    last_index: Index,
    commit_index: Index,
    applied: Index,
    keys: u64,
    open: u64,
    ignored: u64,
    /// None if everything is in memory.
    disk: Option<DiskReport>,
}

/// How the server's disk is doing.
#[derive(Clone, Copy, Debug)]
struct DiskReport {
    usage: Usage,
    snapshots: u64,
    is_writing_snapshot: bool,
}

/// Why a server ends.
#[derive(Clone, Debug)]
enum End {
    /// It was asked to end.
    Asked,
    /// The machine has ended.
    Exited(Exit),
}

/// The state that all tasks of a server share.
#[derive(Debug)]
struct Shared {
    id: ReplicaId,
    members: Vec<ServerAddress>,
    cluster: String,
    clock: Clock,
    events: mpsc::Sender<Event>,
    introduction: Introduction,
    /// Whether it takes part.
    is_member: AtomicBool,
    links: Vec<Link>,
    chaos: Option<Mutex<ChaosMonkey>>,
    traffic: Mutex<Traffic>,
    /// There may be news of the disk.
    disk_news: Arc<Notify>,
    /// The leader that this server has observed; [`NO_LEADER`] if there is none.
    leader: AtomicU32,
    /// Set once.
    end: watch::Sender<Option<End>>,
}

/// A number that no server has.
const NO_LEADER: u32 = u32::MAX;

impl Shared {
    fn is_member(&self) -> bool {
        self.is_member.load(Ordering::Relaxed)
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chaos(&self) -> Option<MutexGuard<'_, ChaosMonkey>> {
        self.chaos.as_ref().map(|chaos| chaos.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The other server of this number, if there is one.
    fn member(&self, number: u32) -> Option<ReplicaId> {
        let id = u8::try_from(number).ok().map(ReplicaId)?;
        (id.index() < self.members.len() && id != self.id).then_some(id)
    }

    /// Whether a message that has arrived gets through. Counts it.
    fn admits(&self, from: ReplicaId, kind: &'static str) -> bool {
        let admitted = self.chaos().is_none_or(|mut chaos| chaos.admits(from, self.id));
        self.traffic().note_received(from, kind, !admitted);
        admitted
    }

    /// Counts malformed messages of another server.
    fn ignore(&self, from: ReplicaId, count: u64) {
        self.traffic().malformed += count;
        tracing::debug!(peer = from.0, "sent what makes no sense");
    }

    /// Passes an event to the server, once there is room.
    async fn tell(&self, event: Event) {
        // If the machine is gone, so is the program.
        let _ = self.events.send(event).await;
    }

    fn leader(&self) -> Option<ReplicaId> {
        match self.leader.load(Ordering::Relaxed) {
            NO_LEADER => None,
            number => Some(ReplicaId(number as u8)),
        }
    }

    fn note_leader(&self, leader: Option<ReplicaId>) {
        self.leader.store(leader.map_or(NO_LEADER, |leader| u32::from(leader.0)), Ordering::Relaxed);
    }

    /// How the server is doing; none if it is gone.
    async fn report(&self) -> Option<Report> {
        let (reply, report) = oneshot::channel();
        self.tell(Event::Report { reply }).await;
        report.await.ok()
    }

    fn end(&self, end: End) {
        self.end.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(end);
            first
        });
    }

    fn is_ending(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// Returns when the server ends.
    async fn ending(&self) {
        // The sender lives as long as this.
        let _ = self.end.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits for something, but no longer than the server lives.
    async fn unless_ending(&self, something: impl Future<Output = ()>) {
        tokio::select! {
            () = something => {}
            () = self.ending() => {}
        }
    }
}

/// Runs a server until `stop` is ready; then it hands its leadership over, answers the requests that it can and
/// returns.
///
/// # Errors
/// If it cannot serve, or is refused by its cluster.
pub fn serve(settings: Settings, stop: impl Future<Output = ()> + 'static) -> Serving {
    begin(settings, Box::pin(stop))
}

/// A server that runs.
pub type Serving = Pin<Box<dyn Future<Output = Result<(), ServeError>>>>;

/// Not generic, so that all of the server is compiled in this package, with its optimisation settings.
fn begin(settings: Settings, stop: Pin<Box<dyn Future<Output = ()>>>) -> Serving {
    Box::pin(serve_until(settings, stop))
}

async fn serve_until(settings: Settings, stop: Pin<Box<dyn Future<Output = ()>>>) -> Result<(), ServeError> {
    settings.validate()?;
    let (server_tls, client_tls) = (settings.tls.server()?, settings.tls.client()?);
    let listener = settings.bind()?;
    let metrics_listener = match &settings.metrics {
        Some(address) => Some(listener::bind("--metrics", address)?),
        None => None,
    };
    let (id, members) = (settings.id, settings.members.clone());
    let (events, queue) = mpsc::channel(EVENTS_MAX);
    let mut random = Stream::new(settings.seed, "server");
    let number = cluster_number(&settings.cluster, &members);
    let shared = Arc::new(Shared {
        id,
        cluster: settings.cluster.clone(),
        clock: Clock::start(),
        events,
        introduction: Introduction::new(number, id, members.len()),
        is_member: AtomicBool::new(false),
        links: members.iter().map(|_| Link::default()).collect(),
        chaos: settings.chaos_seed.map(|seed| Mutex::new(monkey(&settings, seed))),
        traffic: Mutex::new(Traffic::default()),
        disk_news: Arc::default(),
        leader: AtomicU32::new(NO_LEADER),
        end: watch::Sender::new(None),
        members,
    });
    let identity = Identity { id, replicas: shared.members.len(), seed: random.next_u64() };
    let (disk, recovered, incarnation) = match open_disk(&settings, &shared)? {
        Some((disk, recovered, starts)) => (Some(disk), Some(recovered), starts),
        None => (None, None, 0),
    };
    let boot = Boot { identity, incarnation, now: shared.clock.now(), disk: recovered };
    let server = Server::boot(boot, settings.server_config(), Sound).map_err(ServeError::Exited)?;
    greet(&settings, &shared, &server);
    let metrics = Arc::new(Metrics::new());
    let (finish, finished) = oneshot::channel();
    let mut turns = tokio::spawn(turns::run(server, disk, queue, Arc::clone(&shared), finished));
    for to in ReplicaId::all(shared.members.len()).filter(|&to| to > id) {
        tokio::spawn(links::keep_connected(Arc::clone(&shared), to, client_tls.clone(), random.next_u64()));
    }
    if let Some(listener) = metrics_listener {
        tokio::spawn(metrics::serve(listener, Arc::clone(&metrics), Arc::clone(&shared)));
    }
    let serving = tokio::spawn(services::serve(settings, server_tls, listener, Arc::clone(&shared), metrics));
    tokio::select! {
        () = stop => farewell(&shared).await,
        () = shared.ending() => {}
        // It returns only after it has said why it ends.
        ended = &mut turns => if ended.is_err() {
            shared.end(End::Exited(Exit("the server has broken: see above".into())));
        }
    }
    shared.end(End::Asked);
    // Connections that are still open by then are dropped.
    let served = tokio::time::timeout(LAST_CALL, serving).await;
    // If the turns have ended already, there is nothing left to finish.
    let _ = finish.send(());
    let disk = if turns.is_finished() { None } else { turns.await.ok().flatten() };
    let closed = disk.map_or(Ok(()), Disk::close);
    if let Some(End::Exited(why)) = &*shared.end.borrow() {
        return Err(ServeError::Exited(why.clone()));
    }
    closed.map_err(ServeError::Exited)?;
    tracing::info!("ended");
    match served {
        Ok(Ok(Err(error))) => Err(error),
        _ => Ok(()),
    }
}

/// A disk, what it has, and how often it was opened before.
type Opened = (Disk<Server>, Recovered<Record>, u32);

/// Opens the folder of a server's records, if it has one.
fn open_disk(settings: &Settings, shared: &Shared) -> Result<Option<Opened>, ServeError> {
    let Some(data) = &settings.data else { return Ok(None) };
    let owner = Owner {
        program: "seedbed serve".to_owned(),
        cluster: settings.cluster.clone(),
        replica: settings.id,
        replicas: settings.members.len(),
    };
    let (storage, recovered) = Storage::open(&data.folder, &owner, data.sync)?;
    let starts = storage.starts();
    let refused = |source| ServeError::System { what: "a thread that writes to the disk", source };
    let news = Arc::clone(&shared.disk_news);
    let disk = Disk::start(storage, move || news.notify_one()).map_err(refused)?;
    Ok(Some((disk, recovered, starts)))
}

/// Logs what the server starts with, and what it gives up.
fn greet(settings: &Settings, shared: &Shared, server: &Server) {
    tracing::info!(
        id = settings.id.0,
        listen = %settings.listen,
        cluster = shared.cluster,
        members = shared.members.len(),
        chaos = shared.chaos.is_some(),
        tls = !settings.tls.is_empty(),
        data = settings.data.as_ref().map(|data| data.folder.display().to_string()),
        "started, and waits for the others"
    );
    match &settings.data {
        None => tracing::warn!(
            "everything is in memory (no --data): if a majority of the servers stops, all data is lost, and a server that \
             is started again is refused"
        ),
        Some(data) => {
            tracing::info!(term = server.term(), last_index = server.last_index(), "recovered");
            if data.sync == Sync::Never {
                tracing::warn!(
                    "--sync never: after a power failure, what this server has acknowledged may be lost, and it must not \
                     start again"
                );
            }
        }
    }
}

/// Gives up leadership, and waits a short time until open requests are answered.
async fn farewell(shared: &Shared) {
    tracing::info!("asked to end");
    let (reply, done) = oneshot::channel();
    shared.tell(Event::Farewell { reply }).await;
    let _ = tokio::time::timeout(FAREWELL, done).await;
}

/// The chaos monkey as it is at the start. Unless it is told otherwise, it drops nothing yet.
fn monkey(settings: &Settings, seed: u64) -> ChaosMonkey {
    let calm = || ConnectivityMatrix::uniform(settings.members.len(), 0.0).expect("zero is a probability");
    ChaosMonkey::new(settings.chaos_matrix.clone().unwrap_or_else(calm), &[], seed)
}

/// A listener that the parent of this process passes as its standard input, as `inetd` does.
///
/// # Errors
/// If standard input is not a socket.
pub fn inherited_listener() -> io::Result<TcpListener> {
    use std::os::fd::AsFd;
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.local_addr()?;
    Ok(listener)
}
