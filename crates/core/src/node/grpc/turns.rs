//! The one task that owns the core. Each turn takes in all waiting events, lets the core do the due work, and carries
//! out its effects. Then it sleeps until the next event. So requests that come together share their way through the
//! log.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::core::{Answer, Core, Effect, PeerMessage};
use super::{Event, Report, Shared, Ticket};
use crate::consensus::{Consensus, Role, Term};
use crate::id::ReplicaId;
use crate::service::Service;
use crate::time::Time;

/// The most events of one turn, so that a flood stops no timers.
const EVENTS_PER_TURN_MAX: usize = 1_024;

/// How many times in a row the core may do work that is due at once.
const TIMEOUTS_PER_TURN_MAX: usize = 64;

/// How often a server that does not take part yet reports this.
const JOINING_INTERVAL: Duration = Duration::from_secs(5);

/// However far away the next deadline is, there is a turn this often.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Runs the core until all senders of events are gone.
pub(super) async fn run(core: Core<Ticket>, mut queue: mpsc::Receiver<Event>, shared: Arc<Shared>) {
    let mut turns = Turns {
        outgoing: shared.members.iter().map(|_| Vec::new()).collect(),
        core,
        member: false,
        told: None,
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
                count = queue.recv_many(&mut events, EVENTS_PER_TURN_MAX) => if count == 0 { return },
                () = sleep(wait) => turns.tell_joining(),
            }
        }
        turns.turn(&mut events);
    }
}

struct Turns {
    core: Core<Ticket>,
    shared: Arc<Shared>,
    /// Whether it takes part.
    member: bool,
    /// The role, term and leader that were reported last.
    told: Option<(Role, Term, Option<ReplicaId>)>,
    /// The messages to each server in this turn.
    outgoing: Vec<Vec<PeerMessage>>,
    /// The callers that wait until the core has no more work.
    farewells: Vec<oneshot::Sender<()>>,
}

impl Turns {
    /// How long until something is due.
    fn wait(&self) -> Duration {
        if !self.member {
            return JOINING_INTERVAL;
        }
        let wait = self.core.poll_timeout().since(self.shared.clock.now());
        Duration::from_nanos(wait.nanos()).min(SLEEP_MAX)
    }

    fn turn(&mut self, events: &mut Vec<Event>) {
        let mut now = self.shared.clock.now();
        for event in events.drain(..) {
            self.handle(now, event);
        }
        if self.member {
            for _ in 0..TIMEOUTS_PER_TURN_MAX {
                if self.core.poll_timeout() > now {
                    break;
                }
                self.core.handle_timeout(now);
                now = self.shared.clock.now();
            }
        }
        self.perform();
        self.tell_changes();
        if self.core.open() == 0 && self.core.replica().role() != Role::Leader {
            self.farewells.drain(..).for_each(|reply| reply.send(()).unwrap_or_default());
        }
    }

    fn handle(&mut self, now: Time, event: Event) {
        match event {
            Event::Request { operation, deadline, ticket } if self.member => {
                self.core.handle_request(now, ticket, operation, deadline);
            }
            Event::Request { ticket, .. } => ticket.answer(Answer::Failed),
            Event::Stale { key, reply } => {
                let value = self.core.replica().store().get(&key).cloned().unwrap_or_default();
                drop(reply.send(value));
            }
            Event::Peer { from, message } if self.member => self.core.handle_message(now, from, message),
            // A message that comes before the server takes part counts as lost.
            Event::Peer { .. } => {}
            Event::Member => {
                tracing::info!("welcomed by enough others, takes part");
                self.member = true;
            }
            Event::Report { reply } => drop(reply.send(self.report())),
            Event::Farewell { reply } => {
                let heir = self.core.hand_over(now);
                tracing::info!(heir = heir.map(|heir| heir.0), "leads no longer, if it did");
                self.farewells.push(reply);
            }
        }
    }

    fn report(&self) -> Report {
        let replica = self.core.replica();
        Report {
            role: self.member.then(|| replica.role()),
            term: replica.term(),
            last_index: replica.last_index(),
            commit_index: replica.commit_index(),
            applied: replica.applied(),
            keys: replica.store().len() as u64,
            open: self.core.open() as u64,
            ignored: replica.ignored(),
        }
    }

    /// Carries out the core's effects. All messages for one server travel together.
    fn perform(&mut self) {
        let effects = self.core.effects();
        if effects.is_empty() {
            return;
        }
        let mut traffic = self.shared.traffic();
        for effect in effects.drain(..) {
            match effect {
                Effect::Send { to, message } => {
                    traffic.note_sent(to, message.kind());
                    self.outgoing[to.index()].push(message);
                }
                Effect::Answer { ticket, answer } => ticket.answer(answer),
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

    /// Reports what a server that does not take part waits for.
    fn tell_joining(&self) {
        if !self.member {
            let (welcomed, needed) = self.shared.membership().welcomes();
            tracing::warn!(welcomed, needed, "still waits for others to welcome it");
        }
    }

    fn tell_changes(&mut self) {
        let replica = self.core.replica();
        let state = (replica.role(), replica.term(), replica.leader());
        if self.told != Some(state) {
            self.told = Some(state);
            self.shared.note_leader(replica.leader());
            let leader = replica.leader().map(|leader| leader.0);
            tracing::info!(role = replica.role().name(), term = replica.term(), leader, "state");
        }
    }
}
