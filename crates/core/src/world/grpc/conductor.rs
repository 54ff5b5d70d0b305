//! A run on a cluster: clients send requests, faults are injected, and the servers are asked for their status.

use std::io;
use std::os::fd::AsFd;
use std::os::unix;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use crate::clock::Clock;
use crate::id::{ClientId, Mid, ReplicaId};
use crate::record::{RunRecord, World};
use crate::rpc::proto::admin::admin_client::AdminClient;
use crate::rpc::proto::admin::{Role, ServerStatus, StatusRequest};
use crate::rpc::proto::chaosmonkey::chaos_monkey_client::ChaosMonkeyClient;
use crate::rpc::proto::chaosmonkey::{ConnMatrix, StatusCode};
use crate::rpc::proto::kvstore::key_value_store_client::KeyValueStoreClient;
use crate::rpc::proto::kvstore::{GetRequest, PutRequest, ReturnCode};
use crate::rpc::{self, ServerAddress};
use crate::scenario::Scenario;
use crate::service::{Operation, Response};
use crate::time::{Span, Time};
use crate::workload::{Dispatch, Incorrect, Reaction};
use crate::world::processes::{Complaints, Console, Interrupt, PlayError, Processes, Teller, describe_end};
use crate::world::stage::Stage;

/// How long a cluster may take to come up.
const START_PATIENCE: Span = Span::from_secs(20);

/// How often each server is asked for its status.
const STATUS_INTERVAL: Duration = Duration::from_millis(50);

/// How long a server may take to report its status, and to accept a matrix.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a server that is about to be killed may take to report its counters.
const LAST_STATUS_TIMEOUT: Duration = Duration::from_millis(20);

/// How often the processes are checked.
const WATCH_INTERVAL: Span = Span::from_millis(100);

/// How long clients wait for an answer. Servers answer in half this time, with or without success.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// An event during a run.
enum News {
    /// A call of a client has been answered. None: the connection broke, or there was no answer in time.
    Answer { from: ReplicaId, to: ClientId, mid: Mid, answer: Option<(Response, Option<ReplicaId>)> },
    /// A server has reported its status.
    Status { from: ReplicaId, status: Box<ServerStatus> },
    /// There is a complaint about a server.
    Complaint { about: ReplicaId, complaint: String },
}

/// A run in progress.
pub(super) struct Conductor<'a> {
    stage: Stage<'a>,
    clock: Clock,
    /// Until the cluster is up, no time passes in the run.
    begun: bool,
    addresses: &'a [ServerAddress],
    channels: Vec<Channel>,
    /// The last status of each server.
    statuses: Vec<Option<ServerStatus>>,
    /// The matrix that all chaos monkeys should have.
    matrix: watch::Sender<ConnMatrix>,
    sender: mpsc::UnboundedSender<News>,
    news: mpsc::UnboundedReceiver<News>,
    complaints: Complaints,
    teller: Teller,
    answers: u64,
}

impl<'a> Conductor<'a> {
    pub fn new(
        scenario: &'a Scenario,
        seed: u64,
        addresses: &'a [ServerAddress],
        console: &Console,
    ) -> Result<Conductor<'a>, PlayError> {
        let stage = Stage::new(scenario, seed);
        let (sender, news) = mpsc::unbounded_channel();
        let channels = addresses.iter().map(|address| rpc::channel(address, None)).collect::<Result<Vec<_>, _>>();
        Ok(Conductor {
            matrix: watch::Sender::new(effective_matrix(&stage)),
            stage,
            clock: Clock::start(),
            begun: false,
            addresses,
            channels: channels.map_err(|error| PlayError::NoCluster(rpc::describe_transport(&error)))?,
            statuses: vec![None; addresses.len()],
            sender,
            news,
            complaints: Complaints::new(addresses.len(), console.teller()),
            teller: console.teller(),
            answers: 0,
        })
    }

    /// Conducts the run until it is over.
    pub async fn conduct(mut self, processes: &mut Processes, interrupt: &Interrupt) -> Result<RunRecord, PlayError> {
        let refused = PlayError::system("to hear of interrupts");
        let interrupted = watched(interrupt).map_err(refused)?;
        for (replica, channel) in ReplicaId::all(self.channels.len()).zip(&self.channels) {
            tokio::spawn(upload_matrices(replica, channel.clone(), self.matrix.subscribe(), self.sender.clone()));
            tokio::spawn(watch_server(replica, channel.clone(), self.sender.clone()));
        }
        self.come_up(processes, interrupt, &interrupted).await?;
        // The run begins when all servers take part.
        self.teller.begin();
        (self.clock, self.begun) = (Clock::start(), true);
        let mut watch_due = Time::ZERO;
        loop {
            let now = self.clock.now();
            if now >= watch_due {
                watch_due = now + WATCH_INTERVAL;
                self.watch(now, processes);
            }
            let due = self.do_due(now, processes).await.min(watch_due);
            if self.stage.is_over(now) {
                // Servers that have died in the meantime count, too.
                self.watch(now, processes);
                return Ok(self.finish(now).await);
            }
            self.wait(due, &interrupted).await;
            interrupt.check()?;
        }
    }

    /// Waits until all servers take part.
    async fn come_up(
        &mut self,
        processes: &mut Processes,
        interrupt: &Interrupt,
        interrupted: &UnixStream,
    ) -> Result<(), PlayError> {
        loop {
            let now = self.clock.now();
            let joined = |status: &Option<ServerStatus>| status.as_ref().is_some_and(|one| one.role() != Role::Joining);
            if self.statuses.iter().all(joined) {
                return Ok(());
            }
            self.watch(now, processes);
            if self.stage.died > 0 || now > Time::ZERO + START_PATIENCE {
                let late = ReplicaId::all(self.statuses.len()).filter(|id| !joined(&self.statuses[id.index()]));
                let late: Vec<String> = late.map(|id| id.0.to_string()).collect();
                return Err(PlayError::NoCluster(format!("these servers do not take part: {}", late.join(", "))));
            }
            self.wait(now + WATCH_INTERVAL, interrupted).await;
            interrupt.check()?;
        }
    }

    /// Takes in events until something is due, or a signal comes.
    async fn wait(&mut self, due: Time, interrupted: &UnixStream) {
        let wait = Duration::from_nanos(due.since(self.clock.now()).nanos());
        tokio::select! {
            biased;
            // It is never read, so that every run sees it.
            _ = interrupted.readable() => {}
            news = self.news.recv() => if let Some(news) = news { self.take_in(news) },
            () = sleep(wait) => return,
        }
        // Further events that have come meanwhile.
        while let Ok(news) = self.news.try_recv() {
            self.take_in(news);
        }
    }

    /// Does everything that is due. Returns when the next thing is.
    async fn do_due(&mut self, now: Time, processes: &mut Processes) -> Time {
        if self.stage.next_fault() <= now {
            // A server that has died by itself before is not killed now.
            self.watch(now, processes);
        }
        while self.stage.next_fault() <= now {
            let (_, consequence) = self.stage.inject(now);
            if let Some(killed) = consequence.killed {
                self.ask_for_the_last_time(killed).await;
                processes.destroy(killed);
            }
            let matrix = effective_matrix(&self.stage);
            self.matrix.send_if_modified(|current| {
                let changed = *current != matrix;
                *current = matrix;
                changed
            });
        }
        while let Some(dispatch) = self.stage.workload.handle_due(now, self.stage.director.living()) {
            self.send_request(dispatch);
        }
        self.stage.next_due()
    }

    /// Checks the processes.
    fn watch(&mut self, now: Time, processes: &mut Processes) {
        self.teller.progress(now);
        let Conductor { stage, complaints, .. } = self;
        processes.watch(now, |replica, status| {
            complaints.tell(now, replica, || format!("quit unexpectedly ({})", describe_end(status)));
            stage.mark_dead(now, replica);
        });
    }

    /// The time since the run has begun.
    fn now(&self) -> Time {
        if self.begun { self.clock.now() } else { Time::ZERO }
    }

    fn take_in(&mut self, news: News) {
        let now = self.now();
        match news {
            News::Answer { from, to, mid, answer } => {
                // A lost call is like a lost datagram: the course's clients wait for ever.
                let Some((response, leader)) = answer else { return };
                self.answers += 1;
                let Reaction { again, incorrect } = self.stage.answer(now, to, mid, leader, &response);
                // The course's runner does not exist for this world, so it has no verdict about lawful reads.
                if let Some(incorrect) = incorrect.filter(|incorrect| *incorrect != Incorrect::Unacknowledged) {
                    self.complaints
                        .tell(now, from, || format!("incorrect answer, MID {mid}, {response:?}: {incorrect}"));
                }
                if let Some(dispatch) = again {
                    self.send_request(dispatch);
                }
            }
            News::Status { from, status } => self.take_status(now, from, *status),
            News::Complaint { about, complaint } => {
                if self.stage.director.living().contains(about) {
                    self.complaints.tell(now, about, || complaint);
                }
            }
        }
    }

    /// Stores a server's status, unless there is a newer one: the answer to the last question before a kill may
    /// overtake earlier answers.
    fn take_status(&mut self, now: Time, from: ReplicaId, status: ServerStatus) {
        if self.statuses[from.index()].as_ref().is_some_and(|known| known.uptime_ms > status.uptime_ms) {
            return;
        }
        if self.stage.director.living().contains(from) {
            let leader = status.leader.and_then(|leader| u8::try_from(leader).ok().map(ReplicaId));
            self.stage.observe_leader(now, from, leader.filter(|leader| leader.index() < self.addresses.len()));
        }
        self.statuses[from.index()] = Some(status);
        let statuses = || self.statuses.iter().flatten();
        let messages = || statuses().flat_map(|status| &status.messages);
        self.stage.sent = messages().map(|count| count.sent).sum();
        self.stage.dropped = messages().map(|count| count.dropped).sum();
        self.stage.malformed = statuses().map(|status| status.ignored).sum();
    }

    /// Asks a server that is about to be killed for its counters, because they die with it.
    async fn ask_for_the_last_time(&mut self, replica: ReplicaId) {
        let mut client = AdminClient::new(self.channels[replica.index()].clone());
        if let Ok(Ok(status)) = timeout(LAST_STATUS_TIMEOUT, client.get_status(StatusRequest {})).await {
            self.take_status(self.now(), replica, status.into_inner());
        }
    }

    /// Ends the run.
    async fn finish(mut self, now: Time) -> RunRecord {
        for replica in self.stage.director.living().iter() {
            self.ask_for_the_last_time(replica).await;
        }
        self.stage.finish(World::Grpc, now, self.answers, None)
    }

    /// Sends a client's request, and passes the answer on when it comes.
    fn send_request(&self, dispatch: Dispatch) {
        let Dispatch { from: client, to, mid, operation, .. } = dispatch;
        if !self.stage.director.living().contains(to) {
            return;
        }
        let mut store = KeyValueStoreClient::new(self.channels[to.index()].clone());
        let (sender, addresses) = (self.sender.clone(), self.addresses.to_vec());
        tokio::spawn(async move {
            let answer = match operation {
                Operation::Get { key } => {
                    let mut call = tonic::Request::new(GetRequest { key: key.to_string(), stale: false });
                    call.set_timeout(CLIENT_TIMEOUT);
                    let answer = store.get(call).await.map(tonic::Response::into_inner);
                    answer.map(|answer| (answer.ret(), Some(answer.value.into()), answer.leader))
                }
                operation => {
                    let value = operation.value().map(ToString::to_string).unwrap_or_default();
                    let put = PutRequest { key: operation.key().to_string(), value, id: None };
                    let mut call = tonic::Request::new(put);
                    call.set_timeout(CLIENT_TIMEOUT);
                    let answer = store.put(call).await.map(tonic::Response::into_inner);
                    answer.map(|answer| (answer.ret(), None, answer.leader))
                }
            };
            let answer = answer.ok().map(|(code, value, leader)| {
                let response = match code {
                    ReturnCode::Success | ReturnCode::NotFound => Response::Ok { value },
                    ReturnCode::NotLeader => Response::Redirect,
                    _ => Response::Fail,
                };
                let place = addresses.iter().position(|address| address.to_string() == leader);
                (response, place.map(|place| ReplicaId(place as u8)))
            });
            // The run may be over.
            let _ = sender.send(News::Answer { from: to, to: client, mid, answer });
        });
    }
}

/// The interrupt, in a form for waiting.
fn watched(interrupt: &Interrupt) -> io::Result<UnixStream> {
    let stream = unix::net::UnixStream::from(interrupt.as_fd().try_clone_to_owned()?);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// The matrix as the chaos monkeys should have it, with partitions and isolations.
fn effective_matrix(stage: &Stage<'_>) -> ConnMatrix {
    ConnMatrix::from(&stage.director.monkey().effective_matrix())
}

/// Ensures that a server has the newest matrix.
async fn upload_matrices(
    replica: ReplicaId,
    channel: Channel,
    mut matrices: watch::Receiver<ConnMatrix>,
    sender: mpsc::UnboundedSender<News>,
) {
    let mut client = ChaosMonkeyClient::new(channel);
    matrices.mark_changed();
    while matrices.changed().await.is_ok() {
        let matrix = matrices.borrow_and_update().clone();
        loop {
            let complaint = match timeout(STATUS_TIMEOUT, client.upload_matrix(matrix.clone())).await {
                Ok(Ok(status)) if status.get_ref().ret() == StatusCode::Ok => break,
                Ok(Ok(status)) => status.into_inner().message,
                Ok(Err(status)) => rpc::describe(&status),
                Err(_) => "takes too long".to_owned(),
            };
            let complaint = format!("does not take a connectivity matrix: {complaint}");
            if sender.send(News::Complaint { about: replica, complaint }).is_err() {
                return;
            }
            sleep(STATUS_INTERVAL).await;
            if matrices.has_changed().unwrap_or(true) {
                break;
            }
        }
    }
}

/// Asks a server for its status at regular intervals.
async fn watch_server(replica: ReplicaId, channel: Channel, sender: mpsc::UnboundedSender<News>) {
    let mut client = AdminClient::new(channel);
    while !sender.is_closed() {
        // A server that does not answer may be dead.
        if let Ok(Ok(status)) = timeout(STATUS_TIMEOUT, client.get_status(StatusRequest {})).await {
            let _ = sender.send(News::Status { from: replica, status: Box::new(status.into_inner()) });
        }
        sleep(STATUS_INTERVAL).await;
    }
}
