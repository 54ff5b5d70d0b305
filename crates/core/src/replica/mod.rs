//! The Raft key-value replica: consensus, store and the clients' requests behind the [`Machine`] seam.
//!
//! A put, or any other update, is proposed to the log and answered when it has been applied here, so never before it is
//! committed. The store ensures that a repeated update is not applied again. A get is answered from the store when the
//! leader is sure that it leads, by lease or by confirmation, so the answer is never stale.
//!
//! A follower redirects to the leader, but only once it has heard from the leader *after* the request came, because a
//! leader that has just died would lose the request. So the follower holds the request, and probes the leader if it is
//! silent. While no leader is known, it holds requests, too. Held requests are bounded in number and in time; beyond
//! that the answer is `fail`.
//!
//! The log is compacted by size ([`Config::log_bytes_max`]). A follower that lacks dropped entries gets the store,
//! including its memory of clients. If such a follower had proposed puts itself when it led, the snapshot may or may
//! not contain them; they are answered with `fail`.
//!
//! A deposed leader keeps the puts that it has not answered until their fate is known: applied after all (`ok`), ruled
//! out because another entry was committed at their index, or one of a newer term before it (`redirect`), or undecided
//! for too long (`fail`). The loss of the entry from its own log rules nothing out, because another replica may hold
//! it, be elected and commit it. So `redirect` always means that the request has not taken effect and never will. In no
//! case is a request answered twice.

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
use crate::raft::{
    self, ConfigError, Entry, Index, Message, Payload, Raft, Record, Rule, Rules, Snapshot, Sound, Term,
};
use crate::service::{Operation, Response, Service, Update};
use crate::time::Time;
use crate::wire::read_damaged;

pub use config::Config;
use seen::SeenRequests;

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

impl Payload for Arc<Command> {
    fn bytes(&self) -> usize {
        Command::bytes(self)
    }
}

/// One replica of the Raft key-value store.
///
/// Invariants:
/// - `applied` never passes the commit index.
/// - `puts` are in ascending order of index, and for one index of term; every put in it was proposed by this replica and has
///   not been answered. The index of the first one is above `applied`.
/// - The log begins no later than after `applied`, and `applied_bytes` is the size of its entries up to there.
#[derive(Clone, Debug)]
pub struct Replica<R = Sound> {
    raft: Raft<Arc<Command>, R>,
    store: Store,
    applied: Index,
    /// When it last applied an entry.
    applied_at: Time,
    applied_bytes: usize,
    /// The size of the newest snapshot on the disk. The log is compacted when it is larger, so a byte of the state is
    /// written at most about as often as a byte of the log.
    snapshot_bytes: usize,
    config: Config,
    /// Puts proposed here that have no answer yet.
    puts: VecDeque<ProposedPut>,
    /// Gets that wait for this leader to be confirmed.
    gets: VecDeque<Held>,
    /// Requests that wait until a leader is known.
    held: VecDeque<Held>,
    seen: SeenRequests,
    ignored: u64,
}

/// A request that waits.
#[derive(Clone, Debug)]
struct Held {
    arrived: Time,
    from: ClientId,
    mid: Mid,
    operation: Operation,
}

/// A put in the log.
#[derive(Clone, Copy, Debug)]
struct ProposedPut {
    index: Index,
    term: Term,
    arrived: Time,
    from: ClientId,
    mid: Mid,
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
        Ok(Replica::around(raft, config))
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
        let mut replica = Replica::around(Raft::boot(boot, config.raft.clone(), rules)?, config);
        if let Some(snapshot) = replica.raft.take_snapshot() {
            replica.restore(&snapshot);
            let log = replica.raft.log();
            let kept = log.from(log.first_index()).iter().take((replica.applied + 1 - log.first_index()) as usize);
            replica.applied_bytes = kept.map(Entry::bytes).sum();
        }
        Ok(replica)
    }

    fn around(raft: Raft<Arc<Command>, R>, config: Config) -> Replica<R> {
        Replica {
            raft,
            store: Store::new(),
            applied: 0,
            applied_at: Time::ZERO,
            applied_bytes: 0,
            snapshot_bytes: 0,
            puts: VecDeque::new(),
            gets: VecDeque::new(),
            held: VecDeque::new(),
            seen: SeenRequests::new(config.remembered_requests),
            ignored: 0,
            config,
        }
    }

    /// Its part in consensus.
    pub fn raft(&self) -> &Raft<Arc<Command>, R> {
        &self.raft
    }

    /// Its store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The index up to which the log has been applied to the store.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// How many puts that were proposed here have no answer yet.
    pub fn waiting_puts(&self) -> usize {
        self.puts.len()
    }

    /// How many gets wait for this replica to be sure that it leads.
    pub fn waiting_gets(&self) -> usize {
        self.gets.len()
    }

    /// How many requests have no answer yet: those it has proposed, and those it holds.
    pub fn waiting_requests(&self) -> usize {
        self.waiting()
    }

    /// When the oldest request without an answer came, on its own clock.
    pub fn oldest_request(&self) -> Option<Time> {
        (self.waiting() > 0).then(|| self.patience() - self.config.held_time_max)
    }

    /// The bytes of the commands in its log that have been applied, and so may be dropped.
    pub fn applied_log_bytes(&self) -> usize {
        self.applied_bytes
    }

    /// How many messages of peers and clients were invalid or repeated, and were ignored.
    pub fn ignored(&self) -> u64 {
        self.ignored + self.raft.ignored()
    }

    /// Hands leadership over to the follower that is the most up to date, so that this replica can be stopped without a
    /// pause. Returns that follower; none if this replica does not lead, or hears from no follower. See
    /// [`Raft::hand_over`].
    ///
    /// Until the follower leads, requests wait as they do while no leader is known. [`Service::leader`] shows when it
    /// does.
    pub fn hand_over(&mut self, now: Time, out: &mut Outbox<Self>) -> Option<ReplicaId> {
        let successor = self.raft.hand_over(now, out);
        self.settle(now, out);
        self.raft.flush(out);
        successor
    }

    /// Forgets the matching requests that wait for a leader, or for this one to be confirmed. They get no answer,
    /// because no client waits for them any more. Entries in the log stay there.
    pub fn withdraw(&mut self, is_one: impl Fn(Mid) -> bool) {
        for queue in [&mut self.gets, &mut self.held] {
            queue.retain(|held| !is_one(held.mid));
        }
    }

    /// Whether it leads and accepts requests.
    #[inline]
    fn takes_on(&self) -> bool {
        self.raft.is_leader() && !self.raft.is_handing_over()
    }

    fn handle_request(&mut self, now: Time, from: ClientId, mid: Mid, operation: Operation, out: &mut Outbox<Self>) {
        if !self.seen.is_first(from, mid) {
            self.ignored += 1;
            return;
        }
        if self.waiting() >= self.config.held_requests_max {
            return out.reply(from, mid, Response::Fail);
        }
        let held = Held { arrived: now, from, mid, operation };
        if self.takes_on() { self.lead(now, held, out) } else { self.held.push_back(held) }
    }

    /// How many requests have no answer yet.
    fn waiting(&self) -> usize {
        self.puts.len() + self.gets.len() + self.held.len()
    }

    /// Accepts a request as the leader.
    fn lead(&mut self, now: Time, held: Held, out: &mut Outbox<Self>) {
        let command = match held.operation {
            Operation::Get { .. } => {
                if !self.raft.may_read(now, held.arrived) {
                    self.raft.confirm_for_read(held.arrived);
                }
                return self.gets.push_back(held);
            }
            Operation::Put { key, value } => Arc::new(Command::new(key, value)),
            Operation::Update(update) if !self.raft.rules().keep(Rule::ApplyRequestsOnce) => {
                Arc::new(Command::from(&Update { request: None, ..(*update).clone() }))
            }
            Operation::Update(update) => Arc::new(Command::from(&*update)),
            _ => return out.reply(held.from, held.mid, Response::Fail),
        };
        if !self.raft.rules().keep(Rule::ApplyOnce) {
            self.store.apply(&command);
        }
        let index = self.raft.propose(command, out).expect("a leader can propose");
        let (arrived, from, mid) = (held.arrived, held.from, held.mid);
        if !self.raft.rules().keep(Rule::AnswerAfterCommit) {
            return out.reply(from, mid, Response::Ok { value: None });
        }
        self.note_put(ProposedPut { index, term: self.raft.term(), arrived, from, mid });
    }

    /// Puts of an earlier tenure may wait for entries that another leader has removed from this log. Their indices are
    /// used again.
    fn note_put(&mut self, put: ProposedPut) {
        let place = self.puts.partition_point(|other| (other.index, other.term) < (put.index, put.term));
        self.puts.insert(place, put);
    }

    /// Answers all requests that can be answered now.
    fn settle(&mut self, now: Time, out: &mut Outbox<Self>) {
        if let Some(snapshot) = self.raft.take_snapshot() {
            self.install(&snapshot, out);
        }
        // Entries applied now stay in the log until time has advanced, so that observers can see them.
        if self.applied_bytes > self.config.log_bytes_max && now > self.applied_at {
            self.compact(out);
        }
        self.apply_committed(now, out);
        if self.raft.wants_snapshot() {
            let snapshot = snapshot(&self.raft, self.applied, &self.store);
            self.raft.offer_snapshot(now, snapshot, out);
        }
        if self.raft.is_leader() {
            while self.takes_on()
                && let Some(held) = self.held.pop_front()
            {
                self.lead(now, held, out);
            }
            self.answer_gets(now, out);
        } else if self.waiting() > 0 {
            self.redirect_held(now, out);
        }
        if self.waiting() > 0 && now >= self.patience() {
            self.fail_overdue(now, out);
        }
    }

    /// Applies committed entries in order, and answers the puts among them.
    fn apply_committed(&mut self, now: Time, out: &mut Outbox<Self>) {
        while self.applied < self.raft.commit_index() {
            self.applied_at = now;
            self.applied += 1;
            let entry = self.raft.log().get(self.applied).expect("what is committed is in the log");
            self.applied_bytes += entry.bytes();
            let mut done = Response::Ok { value: None };
            if let Some(command) = &entry.command {
                match self.store.apply(command) {
                    Applied::Done => {}
                    Applied::Found(value) => done = Response::Ok { value: Some(value) },
                    Applied::Outdated => done = Response::Fail,
                }
            }
            while let Some(put) = self.puts.front().copied().filter(|put| put.index == self.applied) {
                self.puts.pop_front();
                let applied = put.term == entry.term || !self.raft.rules().keep(Rule::AnswerOwnEntries);
                out.reply(put.from, put.mid, if applied { done.clone() } else { Response::Redirect });
            }
            // A leader's first entry has no command.
            if entry.command.is_none() && !self.puts.is_empty() {
                let term = entry.term;
                self.redirect_before(term, out);
            }
        }
    }

    /// An entry of this term is committed, so every later leader has it, and no entry of an older term can come after
    /// it in any log: terms never fall along a log. So puts of older terms, which would come after it, are ruled out.
    fn redirect_before(&mut self, term: Term, out: &mut Outbox<Self>) {
        self.puts.retain(|put| {
            let ruled_out = put.term < term;
            if ruled_out {
                out.reply(put.from, put.mid, Response::Redirect);
            }
            !ruled_out
        });
    }

    /// Drops the oldest applied entries, but keeps about half of the log's limit, because followers that are only a
    /// little behind are best served from the log.
    #[cold]
    fn compact(&mut self, out: &mut Outbox<Self>) {
        let most = self.config.log_bytes_max.max(self.snapshot_bytes);
        if self.applied_bytes <= most.saturating_add(self.raft.snapshot_bytes()) {
            return;
        }
        let mut first = self.raft.log().first_index();
        for entry in self.raft.log().from(first) {
            if first > self.applied || self.applied_bytes <= self.config.log_bytes_max / 2 {
                break;
            }
            self.applied_bytes -= entry.bytes();
            first += 1;
        }
        // The log is about to lose entries, perhaps including the last applied one.
        let last_term = self.raft.log().term(self.applied).expect("what is applied is in the log");
        let (last_index, store, bytes) = (self.applied, &self.store, &mut self.snapshot_bytes);
        let make = || {
            let commands = store.snapshot();
            *bytes = commands.iter().map(|command| command.bytes()).sum();
            Snapshot { last_index, last_term, digest: store.digest(), commands }
        };
        self.raft.compact(first - 1, make, out);
    }

    /// Installs the state of a leader.
    #[cold]
    fn install(&mut self, snapshot: &Snapshot<Arc<Command>>, out: &mut Outbox<Self>) {
        self.restore(snapshot);
        // This replica's puts up to there may have been committed, or other entries in their place: that is unknown.
        while let Some(put) = self.puts.front().copied().filter(|put| put.index <= self.applied) {
            out.reply(put.from, put.mid, Response::Fail);
            self.puts.pop_front();
        }
        if let Some(term) = self.raft.log().term(self.applied) {
            self.redirect_before(term, out);
        }
    }

    /// Replaces its state by a snapshot's.
    fn restore(&mut self, snapshot: &Snapshot<Arc<Command>>) {
        self.store = Store::restored(&snapshot.commands, snapshot.digest);
        (self.applied, self.applied_bytes) = (snapshot.last_index, 0);
        self.snapshot_bytes =
            if self.raft.is_durable() { snapshot.commands.iter().map(|command| command.bytes()).sum() } else { 0 };
    }

    /// Without [`Rule::ApplyOnce`]: applies the entries of an append before they are committed.
    fn apply_early(&mut self, message: &Message<Arc<Command>>) {
        if let Message::AppendEntries(append) = message {
            append
                .entries
                .iter()
                .filter_map(|entry| entry.command.as_ref())
                .for_each(|command| drop(self.store.apply(command)));
        }
    }

    /// Answers gets from the store, while this replica is sure to lead.
    fn answer_gets(&mut self, now: Time, out: &mut Outbox<Self>) {
        while let Some(get) = self.gets.front().filter(|get| self.raft.may_read(now, get.arrived)) {
            let value = self.store.get(get.operation.key()).cloned().unwrap_or_default();
            out.reply(get.from, get.mid, Response::Ok { value: Some(value) });
            self.gets.pop_front();
        }
    }

    /// Not leading: redirects the requests that another leader can serve, once one is known to be alive.
    fn redirect_held(&mut self, now: Time, out: &mut Outbox<Self>) {
        if !self.raft.rules().keep(Rule::AnswerOwnEntries) {
            self.answer_replaced(out);
        }
        if !self.raft.rules().keep(Rule::RedirectWhatIsRuledOut) {
            self.puts.drain(..).for_each(|put| out.reply(put.from, put.mid, Response::Redirect));
        }
        // Any leader can answer gets; they came before all held requests.
        while let Some(get) = self.gets.pop_back() {
            self.held.push_front(get);
        }
        if self.held.is_empty() || self.raft.leader().is_none() {
            return;
        }
        let Some(contact) = self.raft.leader_contact() else { return };
        while let Some(held) = self.held.front().filter(|held| held.arrived <= contact) {
            out.reply(held.from, held.mid, Response::Redirect);
            self.held.pop_front();
        }
        if now >= self.probe_due() {
            self.raft.probe_leader(now, out);
        }
    }

    /// Without [`Rule::AnswerOwnEntries`]: answers `ok` to puts that another leader's entries have replaced in this
    /// log. They are the newest ones.
    fn answer_replaced(&mut self, out: &mut Outbox<Self>) {
        while let Some(put) = self.puts.back().copied().filter(|put| self.raft.log().term(put.index) != Some(put.term))
        {
            out.reply(put.from, put.mid, Response::Ok { value: None });
            self.puts.pop_back();
        }
    }

    /// When the leader is asked to show that it is alive.
    #[inline]
    fn probe_due(&self) -> Time {
        match self.held.front() {
            Some(held) if self.raft.can_probe() => held.arrived + self.config.probe_after,
            _ => Time::NEVER,
        }
    }

    /// When the first request has waited for too long.
    #[inline]
    fn patience(&self) -> Time {
        // The first put is the oldest, unless it has the index of an older put from before the log was cut; then the
        // older put is the last.
        let arrived = |put: Option<&ProposedPut>| put.map_or(Time::NEVER, |put| put.arrived);
        let put = arrived(self.puts.front()).min(arrived(self.puts.back()));
        let get = self.gets.front().map_or(Time::NEVER, |get| get.arrived);
        let held = self.held.front().map_or(Time::NEVER, |held| held.arrived);
        put.min(get).min(held) + self.config.held_time_max
    }

    /// Answers `fail` to all requests that have waited for too long. A put among them may still take effect.
    #[cold]
    fn fail_overdue(&mut self, now: Time, out: &mut Outbox<Self>) {
        let overdue = |arrived: Time| now >= arrived + self.config.held_time_max;
        self.puts.retain(|put| {
            let fails = overdue(put.arrived);
            if fails {
                out.reply(put.from, put.mid, Response::Fail);
            }
            !fails
        });
        for queue in [&mut self.gets, &mut self.held] {
            queue.retain(|held| {
                let fails = overdue(held.arrived);
                if fails {
                    out.reply(held.from, held.mid, Response::Fail);
                }
                !fails
            });
        }
    }
}

/// The state of a store up to the last entry that it has applied.
fn snapshot<R: Rules>(raft: &Raft<Arc<Command>, R>, applied: Index, store: &Store) -> Snapshot<Arc<Command>> {
    let last_term = raft.log().term(applied).expect("the log goes on after what is applied");
    Snapshot { last_index: applied, last_term, digest: store.digest(), commands: store.snapshot() }
}

/// `{}` shows role, term, last index and commit index, as in `leader term 3 index 120 commit 118`; `{:#}` shows only
/// the part that changes with an election, as in `leader term 3`.
impl<R: Rules> fmt::Display for Replica<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} term {}", self.raft.role().name(), self.raft.term())?;
        if !f.alternate() {
            write!(f, " index {} commit {}", self.raft.log().last_index(), self.raft.commit_index())?;
        }
        Ok(())
    }
}

impl<R: Rules> Machine for Replica<R> {
    type Message = Message<Arc<Command>>;
    type Request = Operation;
    type Response = Response;
    type Record = Record<Arc<Command>>;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        match input {
            Input::Timeout => self.raft.handle_timeout(now, out),
            Input::Peer { from, message } => {
                if !self.raft.rules().keep(Rule::ApplyOnce) {
                    self.apply_early(&message);
                }
                self.raft.handle_message(now, from, message, out);
            }
            Input::Client { from, mid, request } => self.handle_request(now, from, mid, request, out),
            Input::Synced { up_to } => self.raft.handle_synced(now, up_to, out),
            Input::DiskFull => {
                if let Some(why) = self.raft.handle_full_disk() {
                    return out.exit(why);
                }
            }
            Input::StepDown => drop(self.raft.hand_over(now, out)),
        }
        self.settle(now, out);
        self.raft.flush(out);
    }

    #[inline]
    fn poll_timeout(&self) -> Time {
        let due = self.raft.poll_timeout();
        if self.waiting() == 0 { due } else { due.min(self.patience()).min(self.probe_due()) }
    }
}

impl<R: Rules> Service for Replica<R> {
    fn leader(&self) -> Option<ReplicaId> {
        self.raft.leader()
    }

    /// As on the course's LAN.
    fn read_damaged(
        &self,
        from: ReplicaId,
        to: ReplicaId,
        message: &Self::Message,
        flip: &mut dyn FnMut(&mut [u8]),
    ) -> Option<Self::Message> {
        read_damaged(message, [from, to], self.raft.rules().keep(Rule::CheckChecksums), flip)
    }
}
