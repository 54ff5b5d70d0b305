//! A replica of the Raft key-value store as the course's clients know it: the desk at which they ask, in front of the
//! [replicated store](crate::replicated), behind the [`Machine`] seam.
//!
//! A put, or any other update, is answered when it is done, and a get when this replica is sure that it leads.
//!
//! A follower redirects to the leader, but only once it has heard from the leader *after* the request came, because a
//! leader that has just died would lose the request. So the follower holds the request, and probes the leader if it is
//! silent. While no leader is known, it holds requests, too. Held requests are bounded in number and in time; beyond
//! that the answer is `fail`.
//!
//! An update that a deposed leader has proposed is answered when its fate is known: `ok` if it was done after all,
//! `redirect` if it is ruled out, and `fail` if neither is known for too long, or a snapshot hides it. So `redirect`
//! always means that the request has not taken effect and never will. In no case is a request answered twice.

mod config;
mod seen;
mod window;
mod wire;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::id::{ClientId, Mid, ReplicaId};
use crate::kv::{Applied, Command, Store};
use crate::machine::{Boot, Exit, Identity, Input, Machine, Outbox};
use crate::raft::{self, ConfigError, Index, Message, Raft, Record, Rule, Rules, Sound};
use crate::replicated::{self, Outcome, Read, ReplicatedStore};
use crate::service::{Operation, Response, Service};
use crate::time::Time;
use crate::wire::read_damaged;

pub use config::Config;
use seen::SeenRequests;

/// A client's request, by the client and its name for it.
pub(crate) type Ticket = (ClientId, Mid);

impl<R: Rules> raft::Effects<Arc<Command>> for Outbox<Replica<R>> {
    #[inline]
    fn send(&mut self, to: ReplicaId, message: Message<Arc<Command>>) {
        Outbox::send(self, to, message);
    }

    fn persist(&mut self, record: Record<Arc<Command>>) {
        Outbox::persist(self, record);
    }

    fn sync(&mut self) {
        Outbox::sync(self);
    }
}

impl<R: Rules> replicated::Effects<Ticket> for Outbox<Replica<R>> {
    #[inline]
    fn complete(&mut self, (from, mid): Ticket, outcome: Outcome) {
        self.reply(from, mid, answer(outcome));
    }
}

/// What a client is told.
fn answer(outcome: Outcome) -> Response {
    match outcome {
        Outcome::Applied(Applied::Done) => Response::Ok { value: None },
        Outcome::Applied(Applied::Found(value)) | Outcome::Read(value) => Response::Ok { value: Some(value) },
        Outcome::RuledOut => Response::Redirect,
        Outcome::Applied(Applied::Outdated) | Outcome::Unknown | Outcome::Unserved => Response::Fail,
    }
}

/// One replica of the Raft key-value store.
///
/// Invariants:
/// - A request that was accepted is in the replicated store or is held, and leaves it with an answer.
#[derive(Clone, Debug)]
pub struct Replica<R = Sound> {
    replicated: ReplicatedStore<Ticket, R>,
    config: Config,
    /// Requests that wait until a leader is known.
    held: VecDeque<Held>,
    seen: SeenRequests,
    ignored: u64,
}

/// A request that waits.
#[derive(Clone, Debug)]
struct Held {
    arrived: Time,
    ticket: Ticket,
    operation: Operation,
}

impl Replica {
    /// A replica without a disk that has just started, at time zero of its clock.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(identity: Identity, config: Config) -> Result<Replica, ConfigError> {
        Replica::with_rules(identity, config, Sound)
    }
}

impl<R: Rules> Replica<R> {
    /// The same, keeping only some of Raft's rules: a known bad replica, to find out whether a test detects it.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn with_rules(identity: Identity, config: Config, rules: R) -> Result<Replica<R>, ConfigError> {
        config.validate()?;
        let raft = Raft::new(identity, config.raft.clone(), rules)?;
        Ok(Replica::around(ReplicatedStore::new(raft, config.log_bytes_max), config))
    }

    /// A replica that starts, for the first time or again, from what its disk has.
    ///
    /// # Errors
    /// If it refuses to start, because a record on the disk is damaged.
    ///
    /// # Panics
    /// If the configuration makes no sense: the caller has validated it.
    pub fn boot(boot: Boot<Record<Arc<Command>>>, config: Config, rules: R) -> Result<Replica<R>, Exit> {
        config.validate().expect("the configuration was validated");
        let replicated = ReplicatedStore::boot(boot, config.raft.clone(), rules, config.log_bytes_max)?;
        Ok(Replica::around(replicated, config))
    }

    fn around(replicated: ReplicatedStore<Ticket, R>, config: Config) -> Replica<R> {
        let (held, seen) = (VecDeque::new(), SeenRequests::new(config.remembered_requests));
        Replica { replicated, held, seen, ignored: 0, config }
    }

    /// Its store, and its part in consensus.
    pub(crate) fn replicated(&self) -> &ReplicatedStore<Ticket, R> {
        &self.replicated
    }

    /// Its part in consensus.
    pub fn raft(&self) -> &Raft<Arc<Command>, R> {
        self.replicated.raft()
    }

    /// Its store.
    pub fn store(&self) -> &Store {
        self.replicated.store()
    }

    /// The index up to which the log has been applied to the store.
    pub fn applied(&self) -> Index {
        self.replicated.applied()
    }

    /// How many puts that were proposed here have no answer yet.
    pub fn waiting_puts(&self) -> usize {
        self.replicated.open_updates()
    }

    /// How many gets wait for this replica to be sure that it leads.
    pub fn waiting_gets(&self) -> usize {
        self.replicated.open_reads()
    }

    /// How many requests have no answer yet: those it has proposed, and those it holds.
    #[inline]
    pub fn waiting_requests(&self) -> usize {
        self.waiting_puts() + self.waiting_gets() + self.held.len()
    }

    /// When the oldest request without an answer came, on its own clock.
    pub fn oldest_request(&self) -> Option<Time> {
        (self.waiting_requests() > 0).then(|| self.oldest())
    }

    /// How many messages of peers and clients were invalid or repeated, and were ignored.
    pub fn ignored(&self) -> u64 {
        self.ignored + self.raft().ignored()
    }

    /// Hands leadership over to the follower that is the most up to date, so that this replica can be stopped without a
    /// pause. Returns that follower; none if this replica does not lead, or hears from no follower. See
    /// [`Raft::hand_over`].
    ///
    /// Until the follower leads, requests wait as they do while no leader is known. [`Service::leader`] shows when it
    /// does.
    pub fn hand_over(&mut self, now: Time, out: &mut Outbox<Self>) -> Option<ReplicaId> {
        let successor = self.replicated.raft_mut().hand_over(now, out);
        self.settle(now, out);
        self.raft().flush(out);
        successor
    }

    fn handle_request(&mut self, now: Time, ticket: Ticket, operation: Operation, out: &mut Outbox<Self>) {
        let (from, mid) = ticket;
        if !self.seen.is_first(from, mid) {
            self.ignored += 1;
            return;
        }
        if self.waiting_requests() >= self.config.held_requests_max {
            return out.reply(from, mid, Response::Fail);
        }
        if self.replicated.takes_on() {
            self.replicated.take_on(now, now, ticket, operation, out);
        } else {
            self.held.push_back(Held { arrived: now, ticket, operation });
        }
    }

    /// Answers all requests that can be answered now.
    fn settle(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.replicated.settle(now, out);
        if self.raft().is_leader() {
            while self.replicated.takes_on()
                && let Some(Held { arrived, ticket, operation }) = self.held.pop_front()
            {
                self.replicated.take_on(now, arrived, ticket, operation, out);
            }
            self.replicated.answer_reads(now, out);
        } else if self.waiting_requests() > 0 {
            self.redirect_held(now, out);
        }
        if self.waiting_requests() > 0 && now >= self.patience() {
            self.fail_overdue(now, out);
        }
    }

    /// Not leading: redirects the requests that another leader can serve, once one is known to be alive.
    fn redirect_held(&mut self, now: Time, out: &mut Outbox<Self>) {
        // They came before all held requests.
        for Read { arrived, ticket, key } in self.replicated.yield_reads(out).into_iter().rev() {
            self.held.push_front(Held { arrived, ticket, operation: Operation::Get { key } });
        }
        if self.held.is_empty() || self.raft().leader().is_none() {
            return;
        }
        let Some(contact) = self.raft().leader_contact() else { return };
        while let Some(Held { ticket: (from, mid), .. }) = self.held.front().filter(|held| held.arrived <= contact) {
            out.reply(*from, *mid, Response::Redirect);
            self.held.pop_front();
        }
        if now >= self.probe_due() {
            self.replicated.raft_mut().probe_leader(now, out);
        }
    }

    /// When the leader is asked to show that it is alive.
    #[inline]
    fn probe_due(&self) -> Time {
        match self.held.front() {
            Some(held) if self.raft().can_probe() => held.arrived + self.config.probe_after,
            _ => Time::NEVER,
        }
    }

    /// When the oldest request came; [`Time::NEVER`] if there is none.
    #[inline]
    fn oldest(&self) -> Time {
        self.replicated.oldest().min(self.held.front().map_or(Time::NEVER, |held| held.arrived))
    }

    /// When the first request has waited for too long.
    #[inline]
    fn patience(&self) -> Time {
        self.oldest() + self.config.held_time_max
    }

    /// Answers `fail` to all requests that have waited for too long. A put among them may still take effect.
    #[cold]
    fn fail_overdue(&mut self, now: Time, out: &mut Outbox<Self>) {
        let held_time_max = self.config.held_time_max;
        let is_overdue = |arrived: Time| now >= arrived + held_time_max;
        self.replicated.give_up(is_overdue, out);
        self.held.retain(|&Held { arrived, ticket: (from, mid), .. }| {
            let fails = is_overdue(arrived);
            if fails {
                out.reply(from, mid, Response::Fail);
            }
            !fails
        });
    }
}

/// As that of its [`ReplicatedStore`].
impl<R: Rules> fmt::Display for Replica<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.replicated.fmt(f)
    }
}

impl<R: Rules> Machine for Replica<R> {
    type Message = Message<Arc<Command>>;
    type Request = Operation;
    type Response = Response;
    type Record = Record<Arc<Command>>;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        match input {
            Input::Timeout => self.replicated.raft_mut().handle_timeout(now, out),
            Input::Peer { from, message } => self.replicated.handle_message(now, from, message, out),
            Input::Client { from, mid, request } => self.handle_request(now, (from, mid), request, out),
            Input::Synced { up_to } => self.replicated.raft_mut().handle_synced(now, up_to, out),
            Input::DiskFull => {
                if let Some(why) = self.replicated.raft_mut().handle_full_disk() {
                    return out.exit(why);
                }
            }
            Input::StepDown => drop(self.replicated.raft_mut().hand_over(now, out)),
        }
        self.settle(now, out);
        self.raft().flush(out);
    }

    #[inline]
    fn poll_timeout(&self) -> Time {
        let due = self.raft().poll_timeout();
        if self.waiting_requests() == 0 { due } else { due.min(self.patience()).min(self.probe_due()) }
    }
}

impl<R: Rules> Service for Replica<R> {
    fn leader(&self) -> Option<ReplicaId> {
        self.raft().leader()
    }

    /// As on the course's LAN.
    fn read_damaged(
        &self,
        from: ReplicaId,
        to: ReplicaId,
        message: &Self::Message,
        flip: &mut dyn FnMut(&mut [u8]),
    ) -> Option<Self::Message> {
        read_damaged(message, [from, to], self.raft().rules().keep(Rule::CheckChecksums), flip)
    }
}
