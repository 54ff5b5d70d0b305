//! The one task that owns the server. Each turn takes in all waiting events, lets the server do the due work, and carries
//! out its effects. Then it sleeps until the next event. So requests that come together share their way through the
//! log.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::{DiskReport, End, Event, Report, Shared, Ticket, convert};
use crate::consensus::{Consensus, Role, Term};
use crate::id::{ClientId, Mid, ReplicaId};
use crate::machine::{Emission, Exit, Input, Machine, Outbox, pass};
use crate::node::disk::Disk;
use crate::server::{Message, Server};
use crate::service::Service;
use crate::time::{Span, Time};

/// The most events of one turn, so that a flood stops no timers.
const EVENTS_PER_TURN_MAX: usize = 1_024;

/// How many times in a row the server may do work that is due at once.
const TIMEOUTS_PER_TURN_MAX: usize = 64;

/// How often a server that does not take part yet reports this.
const JOINING_INTERVAL: Span = Span::from_secs(5);

/// However far away the next deadline is, there is a turn this often.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// A disk that has not answered for this long hangs.
const DISK_PATIENCE: Span = Span::from_secs(3);

/// Clients are told apart by the numbers of their requests.
const CLIENT: ClientId = ClientId(0);

/// Runs the server until it is told to finish, or it ends. Returns its disk.
pub(super) async fn run(
    server: Server,
    disk: Option<Disk<Server>>,
    mut queue: mpsc::Receiver<Event>,
    shared: Arc<Shared>,
    mut finish: oneshot::Receiver<()>,
) -> Option<Disk<Server>> {
    let mut turns = Turns {
        outgoing: shared.members.iter().map(|_| Vec::new()).collect(),
        server,
        disk,
        out: Outbox::new(),
        passed: Outbox::new(),
        tickets: BTreeMap::new(),
        next_ticket: 0,
        told: None,
        joining: shared.clock.now() + JOINING_INTERVAL,
        complains: Time::ZERO,
        farewells: Vec::new(),
        shared,
    };
    let mut events = Vec::with_capacity(EVENTS_PER_TURN_MAX);
    loop {
        let wait = turns.wait();
        if wait.is_zero() {
            while let Some(event) = queue.try_recv().ok().filter(|_| events.len() < EVENTS_PER_TURN_MAX) {
                events.push(event);
            }
            // Other tasks share this thread.
            yield_now().await;
        } else {
            tokio::select! {
                biased;
                _ = &mut finish => return turns.disk,
                () = turns.shared.disk_news.notified() => {}
                count = queue.recv_many(&mut events, EVENTS_PER_TURN_MAX) => if count == 0 { return turns.disk },
                () = sleep(wait) => {}
            }
        }
        if turns.turn(&mut events).is_break() {
            return turns.disk;
        }
    }
}

struct Turns {
    server: Server,
    disk: Option<Disk<Server>>,
    /// The effects of one input.
    out: Outbox<Server>,
    /// The effects of this turn that need not wait for the disk.
    passed: Outbox<Server>,
    shared: Arc<Shared>,
    /// The clients that wait, by the numbers of their requests.
    tickets: BTreeMap<Mid, Ticket>,
    next_ticket: u64,
    /// The role, term and leader that were reported last.
    told: Option<(Role, Term, Option<ReplicaId>)>,
    /// When a server that does not take part reports this next.
    joining: Time,
    /// When a disk that does not answer is reported next.
    complains: Time,
    /// The messages to each server in this turn.
    outgoing: Vec<Vec<Message>>,
    /// The callers that wait until the server has no more work.
    farewells: Vec<oneshot::Sender<()>>,
}

impl Turns {
    /// How long until something is due.
    fn wait(&self) -> Duration {
        let wait = self.server.poll_timeout().since(self.shared.clock.now());
        Duration::from_nanos(wait.nanos()).min(SLEEP_MAX)
    }

    fn turn(&mut self, events: &mut Vec<Event>) -> ControlFlow<()> {
        let mut now = self.shared.clock.now();
        self.hear_of_disk(now)?;
        for event in events.drain(..) {
            self.handle(now, event)?;
        }
        for _ in 0..TIMEOUTS_PER_TURN_MAX {
            if self.server.poll_timeout() > now {
                break;
            }
            self.tell(now, Input::Timeout)?;
            now = self.shared.clock.now();
        }
        if let Some(disk) = &mut self.disk {
            disk.flush(now);
        }
        self.perform();
        self.yield_if_disk_hangs(now)?;
        self.tell_changes(now);
        if self.server.open_requests() == 0 && self.server.role() != Role::Leader {
            self.farewells.drain(..).for_each(|reply| reply.send(()).unwrap_or_default());
        }
        ControlFlow::Continue(())
    }

    fn hear_of_disk(&mut self, now: Time) -> ControlFlow<()> {
        while let Some(news) = self.disk.as_mut().and_then(|disk| disk.news(now, &mut self.passed)) {
            match news {
                Ok(input) => self.tell(now, input)?,
                Err(why) => return self.exit(why),
            }
        }
        ControlFlow::Continue(())
    }

    fn handle(&mut self, now: Time, event: Event) -> ControlFlow<()> {
        match event {
            Event::Request { operation, deadline, ticket } => {
                let mid = Mid(self.next_ticket);
                self.next_ticket += 1;
                self.tickets.insert(mid, ticket);
                self.server.handle_request(now, (CLIENT, mid), operation, deadline, &mut self.out);
                return self.sort_out();
            }
            Event::Stale { key, reply } => {
                let value = self.server.store().get(&key).cloned().unwrap_or_default();
                drop(reply.send(value));
            }
            Event::Peer { from, message } => return self.tell(now, Input::Peer { from, message }),
            Event::Report { reply } => drop(reply.send(self.report())),
            Event::Farewell { reply } => {
                let led = self.server.role() == Role::Leader;
                tracing::info!(led, "hands over if it leads");
                self.farewells.push(reply);
                return self.tell(now, Input::StepDown);
            }
        }
        ControlFlow::Continue(())
    }

    /// Hands the server an input.
    fn tell(&mut self, now: Time, input: Input<Server>) -> ControlFlow<()> {
        self.server.handle(now, input, &mut self.out);
        self.sort_out()
    }

    /// Separates the effects of one input that wait for the disk from those that need not: what one input has to wait for
    /// holds no other up.
    fn sort_out(&mut self) -> ControlFlow<()> {
        let exit = match &mut self.disk {
            Some(disk) => disk.sort_out(&mut self.out, &mut self.passed),
            None => pass(&mut self.out, &mut self.passed),
        };
        exit.map_or(ControlFlow::Continue(()), |why| self.exit(why))
    }

    /// A leader whose disk hangs would lead on as long as its followers are a quorum without it, and keep all records in
    /// memory.
    fn yield_if_disk_hangs(&mut self, now: Time) -> ControlFlow<()> {
        let waits = self.disk.as_ref().map_or(Span::ZERO, |disk| disk.waits(now));
        if waits < DISK_PATIENCE || now < self.complains {
            return ControlFlow::Continue(());
        }
        self.complains = now + DISK_PATIENCE;
        let leads = self.server.role() == Role::Leader;
        tracing::warn!(seconds = waits.as_secs_f64(), leads, "the disk does not answer; a leader hands over");
        if leads { self.tell(now, Input::StepDown) } else { ControlFlow::Continue(()) }
    }

    /// The server ends. What it has left before happens first.
    fn exit(&mut self, why: Exit) -> ControlFlow<()> {
        self.perform();
        let why = match &self.disk {
            Some(disk) => disk.explain(why),
            None => why,
        };
        tracing::error!("ends: {why}");
        self.shared.end(End::Exited(why));
        ControlFlow::Break(())
    }

    fn report(&self) -> Report {
        let server = &self.server;
        Report {
            role: server.admission().is_admitted().then(|| server.role()),
            term: server.term(),
            last_index: server.last_index(),
            commit_index: server.commit_index(),
            applied: server.applied(),
            keys: server.store().len() as u64,
            open: server.open_requests() as u64,
            ignored: server.ignored(),
            disk: self.disk.as_ref().map(|disk| DiskReport {
                usage: disk.usage(),
                snapshots: disk.snapshots(),
                is_writing_snapshot: server.raft().is_writing_snapshot(),
            }),
        }
    }

    /// Carries out the server's effects. All messages for one server travel together.
    fn perform(&mut self) {
        if self.passed.is_empty() {
            return;
        }
        let mut traffic = self.shared.traffic();
        for emission in self.passed.emissions() {
            match emission {
                Emission::Send { to, message } => {
                    traffic.note_sent(to, convert::kind(&message));
                    self.outgoing[to.index()].push(message);
                }
                Emission::Reply { mid, response, .. } => {
                    if let Some(ticket) = self.tickets.remove(&mid) {
                        ticket.answer(response);
                    }
                }
            }
        }
        // Messages may be large, and other users of the counters must not wait until they are encoded.
        drop(traffic);
        let links = self.shared.links.iter().zip(&mut self.outgoing).filter(|(_, messages)| !messages.is_empty());
        let unsent: usize = links.map(|(link, messages)| link.send(messages)).sum();
        if unsent > 0 {
            self.shared.traffic().unsent += unsent as u64;
        }
    }

    fn tell_changes(&mut self, now: Time) {
        let admission = self.server.admission();
        if !admission.is_admitted() {
            if now >= self.joining {
                self.joining = now + JOINING_INTERVAL;
                let (welcomed, needed) = admission.welcomes();
                tracing::warn!(welcomed, needed, "still waits for others to welcome it");
            }
            return;
        }
        if !self.shared.is_member.swap(true, Ordering::Relaxed) {
            tracing::info!("welcomed by enough others, takes part");
        }
        let state = (self.server.role(), self.server.term(), self.server.leader());
        if self.told != Some(state) {
            self.told = Some(state);
            self.shared.note_leader(state.2);
            let leader = state.2.map(|leader| leader.0);
            tracing::info!(role = state.0.name(), term = state.1, leader, "state");
        }
    }
}
