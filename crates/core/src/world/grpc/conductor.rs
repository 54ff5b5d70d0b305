//! A run on a cluster: clients send requests, faults are injected, and the servers are asked for their status.

use std::io;
use std::os::fd::AsFd;
use std::os::unix;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use super::calls::{self, Answer};
use super::counters::{Counters, Counts};
use super::servers::Cluster;
use crate::chaos::{Act, ConnectivityMatrix};
use crate::clock::Clock;
use crate::id::{ClientId, Mid, ReplicaId, ReplicaSet};
use crate::record::{RunRecord, World};
use crate::rpc::proto::admin::admin_client::AdminClient;
use crate::rpc::proto::admin::{Role, ServerStatus, StatusRequest};
use crate::rpc::proto::chaosmonkey::chaos_monkey_client::ChaosMonkeyClient;
use crate::rpc::proto::chaosmonkey::{ConnMatrix, StatusCode};
use crate::rpc::{self, ServerAddress};
use crate::scenario::Scenario;
use crate::service::Response;
use crate::time::{Span, Time};
use crate::workload::{Dispatch, Incorrect, Reaction};
use crate::world::processes::{Complaints, Console, Interrupt, PlayError, Teller, describe_end};
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

/// An event during a run.
enum News {
    /// A call of a client is over.
    Answer { from: ReplicaId, to: ClientId, mid: Mid, answer: Answer },
    /// This incarnation of a server has reported its status.
    Status { from: ReplicaId, incarnation: u64, status: Box<ServerStatus> },
    /// There is a complaint about a server.
    Complaint { about: ReplicaId, complaint: String },
}

/// A run in progress.
pub(super) struct Conductor<'a> {
    stage: Stage<'a>,
    clock: Clock,
    /// Until the cluster is up, no time passes in the run.
    begun: bool,
    addresses: Vec<ServerAddress>,
    /// The connections to all servers, and what is done on them all the time.
    lines: Vec<Line>,
    /// The servers that take part.
    joined: ReplicaSet,
    /// The servers that have been started again and do not take part yet.
    starting: ReplicaSet,
    /// The servers that have named a leader in their newest report.
    led: ReplicaSet,
    counters: Counters,
    /// The matrix that all chaos monkeys should have.
    matrix: watch::Sender<ConnMatrix>,
    sender: mpsc::UnboundedSender<News>,
    news: mpsc::UnboundedReceiver<News>,
    complaints: Complaints,
    teller: Teller,
    answers: u64,
}

/// The connection to one incarnation of a server. When it is dropped, nothing is sent on it any more.
struct Line {
    channel: Channel,
    tasks: Vec<JoinHandle<()>>,
}

impl Line {
    fn new(address: &ServerAddress) -> Result<Line, PlayError> {
        let channel = rpc::channel(address, None);
        let channel = channel.map_err(|error| PlayError::NoCluster(rpc::describe_transport(&error)))?;
        Ok(Line { channel, tasks: Vec::new() })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl<'a> Conductor<'a> {
    pub fn new(
        scenario: &'a Scenario,
        seed: u64,
        addresses: Vec<ServerAddress>,
        console: &Console,
    ) -> Result<Conductor<'a>, PlayError> {
        let stage = Stage::new(scenario, seed);
        let (sender, news) = mpsc::unbounded_channel();
        Ok(Conductor {
            matrix: watch::Sender::new(ConnMatrix::from(&effective_matrix(&stage))),
            stage,
            clock: Clock::start(),
            begun: false,
            lines: addresses.iter().map(Line::new).collect::<Result<_, _>>()?,
            joined: ReplicaSet::EMPTY,
            starting: ReplicaSet::EMPTY,
            led: ReplicaSet::EMPTY,
            counters: Counters::new(addresses.len()),
            sender,
            news,
            complaints: Complaints::new(addresses.len(), console.teller()),
            addresses,
            teller: console.teller(),
            answers: 0,
        })
    }

    /// Conducts the run until it is over.
    pub async fn conduct(mut self, cluster: &mut Cluster, interrupt: &Interrupt) -> Result<RunRecord, PlayError> {
        let refused = PlayError::system("to hear of interrupts");
        let interrupted = watched(interrupt).map_err(refused)?;
        ReplicaId::all(self.lines.len()).for_each(|replica| self.attend(replica));
        self.come_up(cluster, interrupt, &interrupted).await?;
        // The run begins when all servers take part.
        self.teller.begin();
        (self.clock, self.begun) = (Clock::start(), true);
        let mut watch_due = Time::ZERO;
        loop {
            let now = self.clock.now();
            if now >= watch_due {
                watch_due = now + WATCH_INTERVAL;
                self.watch(now, cluster);
            }
            let due = self.do_due(now, cluster).await?.min(watch_due);
            if self.stage.is_over(now) {
                // Servers that have died in the meantime count, too.
                self.watch(now, cluster);
                return Ok(self.finish(now).await);
            }
            self.wait(due, &interrupted).await;
            interrupt.check()?;
        }
    }

    /// Keeps a server's matrix up to date, and asks it for its status, as long as it is not replaced.
    fn attend(&mut self, replica: ReplicaId) {
        let incarnation = self.counters.incarnation(replica);
        let Line { channel, tasks } = &mut self.lines[replica.index()];
        let (matrices, sender) = (self.matrix.subscribe(), self.sender.clone());
        tasks.push(tokio::spawn(upload_matrices(replica, channel.clone(), matrices, sender.clone())));
        tasks.push(tokio::spawn(watch_server(replica, incarnation, channel.clone(), sender)));
    }

    /// Waits until all servers take part.
    async fn come_up(
        &mut self,
        cluster: &mut Cluster,
        interrupt: &Interrupt,
        interrupted: &UnixStream,
    ) -> Result<(), PlayError> {
        loop {
            let now = self.clock.now();
            let late = ReplicaSet::all(self.lines.len()).minus(self.joined);
            if late.is_empty() {
                return Ok(());
            }
            self.watch(now, cluster);
            if self.stage.died > 0 || now > Time::ZERO + START_PATIENCE {
                let late: Vec<String> = late.iter().map(|id| id.0.to_string()).collect();
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
    ///
    /// # Errors
    /// If a server cannot be restarted.
    async fn do_due(&mut self, now: Time, cluster: &mut Cluster) -> Result<Time, PlayError> {
        if self.stage.next_fault() <= now {
            // A server that has died by itself before is not killed now.
            self.watch(now, cluster);
            self.inject(now, cluster).await?;
        }
        while let Some(dispatch) = self.stage.workload.handle_due(now, self.stage.director.living()) {
            self.send_request(dispatch);
        }
        Ok(self.stage.next_due())
    }

    /// Injects all faults that are due. Servers that are hit at one time are hit at once, after they have all been asked for
    /// their counters.
    async fn inject(&mut self, now: Time, cluster: &mut Cluster) -> Result<(), PlayError> {
        let mut acts = Vec::new();
        while self.stage.next_fault() <= now {
            let (event, consequence) = self.stage.inject(now);
            if let Some(act) = self.stage.scenario.events[event].fault.act() {
                acts.extend(consequence.hit.iter().map(|replica| (replica, act)));
            }
        }
        let matrix = ConnMatrix::from(&effective_matrix(&self.stage));
        self.matrix.send_if_modified(|current| {
            let changed = *current != matrix;
            *current = matrix;
            changed
        });
        let ending = acts.iter().filter(|(_, act)| matches!(act, Act::Kill | Act::Crash));
        let ending = ending.fold(ReplicaSet::EMPTY, |set, &(replica, _)| set.with(replica));
        self.ask_for_the_last_time(ending).await;
        for (replica, act) in acts {
            self.perform(replica, act, cluster)?;
        }
        Ok(())
    }

    /// Does to a server's process what a fault does to its host.
    fn perform(&mut self, replica: ReplicaId, act: Act, cluster: &mut Cluster) -> Result<(), PlayError> {
        match act {
            Act::Kill => cluster.processes.destroy(replica),
            Act::Crash => {
                self.starting.remove(replica);
                cluster.processes.crash(self.now(), replica);
            }
            Act::Restart { .. } => self.restart(replica, cluster)?,
            Act::Pause => cluster.processes.pause(replica),
            Act::Resume => cluster.processes.resume(replica),
            Act::Clock { .. }
            | Act::SlowDisk { .. }
            | Act::FullDisk
            | Act::CorruptDisk
            | Act::LyingDisk
            | Act::MendDisk
            | Act::StepDown => unreachable!("{} is refused before the run", act.name()),
        }
        Ok(())
    }

    /// Starts a server again. It counts as down until it takes part.
    fn restart(&mut self, replica: ReplicaId, cluster: &mut Cluster) -> Result<(), PlayError> {
        self.stage.note_starting(replica);
        self.starting.insert(replica);
        self.led.remove(replica);
        self.counters.begin_anew(replica);
        // Replaced first, so that nothing that was meant for the old process reaches the new one.
        self.lines[replica.index()] = Line::new(&self.addresses[replica.index()])?;
        let matrix = effective_matrix(&self.stage);
        self.teller.listen(cluster.restart(replica, self.counters.incarnation(replica), &matrix)?);
        self.attend(replica);
        Ok(())
    }

    /// Checks the processes.
    fn watch(&mut self, now: Time, cluster: &mut Cluster) {
        self.teller.progress(now);
        let Conductor { stage, complaints, .. } = self;
        cluster.processes.watch(now, |replica, status| {
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
            News::Answer { from, to, mid, answer } => match answer {
                Answer::Response(response, leader) => {
                    let place = self.addresses.iter().position(|address| address.to_string() == leader);
                    self.take_answer(now, from, (to, mid), place.map(|place| ReplicaId(place as u8)), &response);
                }
                Answer::Refused(message) => {
                    self.complaints.tell(now, from, || format!("refuses a request, MID {mid}: {message}"));
                }
                // A lost call is like a lost datagram: a client that never gives up waits for ever.
                Answer::None => {}
            },
            News::Status { from, incarnation, status } => self.take_status(now, from, incarnation, &status),
            News::Complaint { about, complaint } => {
                let hosts = self.stage.director.hosts();
                // A server that is paused takes its time.
                if hosts.living.minus(hosts.paused).contains(about) {
                    self.complaints.tell(now, about, || complaint);
                }
            }
        }
    }

    fn take_answer(
        &mut self,
        now: Time,
        from: ReplicaId,
        (to, mid): (ClientId, Mid),
        leader: Option<ReplicaId>,
        response: &Response,
    ) {
        self.answers += 1;
        let Reaction { again, incorrect } = self.stage.answer(now, to, mid, leader, response);
        // The course's runner does not exist for this world, so it has no verdict about lawful reads.
        if let Some(incorrect) = incorrect.filter(|incorrect| *incorrect != Incorrect::Unacknowledged) {
            self.complaints.tell(now, from, || format!("incorrect answer, MID {mid}, {response:?}: {incorrect}"));
        }
        if let Some(dispatch) = again {
            self.send_request(dispatch);
        }
    }

    /// Takes a server's status, unless it is out of date.
    fn take_status(&mut self, now: Time, from: ReplicaId, incarnation: u64, status: &ServerStatus) {
        if !self.counters.take(from, incarnation, status) {
            return;
        }
        let leader = status.leader.and_then(|leader| u8::try_from(leader).ok().map(ReplicaId));
        let leader = leader.filter(|leader| leader.index() < self.addresses.len());
        // A server that has just started has heard of no leader yet, which says nothing about whether there is one.
        let is_news = leader.is_some() || self.led.contains(from);
        if is_news && self.stage.director.living().contains(from) {
            self.stage.observe_leader(now, from, leader);
        }
        if leader.is_some() {
            self.led.insert(from)
        } else {
            self.led.remove(from)
        };
        if status.role() != Role::Joining {
            self.joined.insert(from);
            if self.starting.contains(from) {
                self.starting.remove(from);
                self.stage.note_up(now, from);
            }
        }
        let Counts { sent, dropped, ignored } = self.counters.total();
        (self.stage.sent, self.stage.dropped, self.stage.malformed) = (sent, dropped, ignored);
    }

    /// Asks servers that are about to be killed for their counters, because they die with them.
    async fn ask_for_the_last_time(&mut self, servers: ReplicaSet) {
        let ask = |replica: ReplicaId| {
            let mut client = AdminClient::new(self.lines[replica.index()].channel.clone());
            let asked = tokio::spawn(async move {
                timeout(LAST_STATUS_TIMEOUT, client.get_status(StatusRequest {})).await.ok()?.ok()
            });
            (replica, asked)
        };
        let asked: Vec<_> = servers.iter().map(ask).collect();
        for (replica, asked) in asked {
            if let Ok(Some(status)) = asked.await {
                let incarnation = self.counters.incarnation(replica);
                self.take_status(self.now(), replica, incarnation, &status.into_inner());
            }
        }
    }

    /// Ends the run.
    async fn finish(mut self, now: Time) -> RunRecord {
        self.ask_for_the_last_time(self.stage.director.living()).await;
        self.stage.finish(World::Grpc, now, self.answers, None)
    }

    /// Sends a client's request, and passes the answer on when it comes.
    fn send_request(&self, dispatch: Dispatch) {
        let Dispatch { from: client, to, mid, operation, .. } = dispatch;
        if !self.stage.director.living().contains(to) {
            return;
        }
        let (channel, sender) = (self.lines[to.index()].channel.clone(), self.sender.clone());
        tokio::spawn(async move {
            let answer = calls::call(channel, &operation).await;
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
fn effective_matrix(stage: &Stage<'_>) -> ConnectivityMatrix {
    stage.director.monkey().effective_matrix()
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
async fn watch_server(replica: ReplicaId, incarnation: u64, channel: Channel, sender: mpsc::UnboundedSender<News>) {
    let mut client = AdminClient::new(channel);
    while !sender.is_closed() {
        // A server that does not answer may be dead.
        if let Ok(Ok(status)) = timeout(STATUS_TIMEOUT, client.get_status(StatusRequest {})).await {
            let _ = sender.send(News::Status { from: replica, incarnation, status: Box::new(status.into_inner()) });
        }
        sleep(STATUS_INTERVAL).await;
    }
}
