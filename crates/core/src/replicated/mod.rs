//! The key-value store on a replicated log: consensus, the store that the log drives, and what becomes of updates and
//! reads.
//!
//! It knows no clients. A *desk* around it decides how requests reach it, and how they are answered: the course's
//! ([`replica`](crate::replica)), and that of the cluster's servers ([`server`](crate::server)). Each hands in updates
//! and reads under tickets of its own, and is told once what became of each.
//!
//! An update is proposed to the log and is done when it has been applied here, so never before it is committed. The
//! store ensures that a repeated update is not applied again. A read is answered from the store when the leader is sure
//! that it leads, by lease or by confirmation, so the answer is never stale.
//!
//! A deposed leader keeps the updates that it has not completed until their fate is known: applied after all, or ruled
//! out, because another entry was committed at their index, or one of a newer term before it. The loss of the entry from
//! its own log rules nothing out, because another replica may hold it, be elected and commit it.
//!
//! The log is compacted by size. A follower that lacks dropped entries gets the store, including its memory of clients. If
//! such a follower had proposed updates itself when it led, the snapshot may or may not contain them.

mod window;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::free::free;
use crate::id::ReplicaId;
use crate::kv::{Applied, Command, Frozen, Store};
use crate::machine::{Boot, Exit};
use crate::raft::{self, Contents, Entry, Index, Message, Payload, Raft, Record, Rule, Rules, Snapshot, Sound, Term};
use crate::service::{Operation, Text, Update};
use crate::time::Time;

pub use window::promise;

impl Payload for Arc<Command> {
    fn bytes(&self) -> usize {
        Command::bytes(self)
    }
}

impl Contents<Arc<Command>> for Frozen {
    fn len(&self) -> usize {
        Frozen::len(self)
    }

    fn bytes(&self) -> usize {
        Frozen::bytes(self)
    }

    fn commands(&self, from: usize) -> Box<dyn Iterator<Item = Arc<Command>> + '_> {
        Box::new(Frozen::commands(self, from))
    }
}

/// What became of an update or a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The update was applied.
    Applied(Applied),
    /// The key has this value, "" if it has none.
    Read(Text),
    /// The update has not taken effect, and never will.
    RuledOut,
    /// The update may have taken effect, or may yet. A read was given up.
    Unknown,
    /// It is no operation of this store.
    Unserved,
}

/// Takes the effects of a [`ReplicatedStore`]: those of its consensus, and what becomes of updates and reads.
pub trait Effects<T>: raft::Effects<Arc<Command>> {
    /// What was handed in under this ticket has come to its end.
    fn complete(&mut self, ticket: T, outcome: Outcome);
}

/// The store of one replica, and its part in consensus. `T` is a desk's ticket for an update or a read.
///
/// Invariants:
/// - `applied` never passes the commit index.
/// - `proposals` are in ascending order of index, and for one index of term; each was proposed by this replica and has not
///   been completed. The index of the first one is above `applied`.
/// - The log begins no later than after `applied`, and `applied_bytes` is the size of its entries up to there.
#[derive(Clone, Debug)]
pub struct ReplicatedStore<T, R = Sound> {
    raft: Raft<Arc<Command>, R>,
    store: Store,
    applied: Index,
    /// When it last applied an entry.
    applied_at: Time,
    applied_bytes: usize,
    /// The size of the newest snapshot on the disk. The log is compacted when it is larger, so a byte of the state is
    /// written at most about as often as a byte of the log.
    snapshot_bytes: usize,
    log_bytes_max: usize,
    /// Updates proposed here that have not been completed.
    proposals: VecDeque<Proposal<T>>,
    /// Reads that wait for this leader to be confirmed.
    reads: VecDeque<Read<T>>,
}

/// An update in the log.
#[derive(Clone, Copy, Debug)]
struct Proposal<T> {
    index: Index,
    term: Term,
    arrived: Time,
    ticket: T,
}

/// A read that waits.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// When it came. What was done before must be seen by it.
    pub arrived: Time,
    /// The desk's ticket.
    pub ticket: T,
    /// The key.
    pub key: Text,
}

impl<T: Copy, R: Rules> ReplicatedStore<T, R> {
    /// An empty store around this consensus, whose log is compacted when its applied part takes more bytes than this.
    pub fn new(raft: Raft<Arc<Command>, R>, log_bytes_max: usize) -> ReplicatedStore<T, R> {
        ReplicatedStore {
            raft,
            store: Store::new(),
            applied: 0,
            applied_at: Time::ZERO,
            applied_bytes: 0,
            snapshot_bytes: 0,
            log_bytes_max,
            proposals: VecDeque::new(),
            reads: VecDeque::new(),
        }
    }

    /// One that starts, for the first time or again, from what its disk has.
    ///
    /// # Errors
    /// If it refuses to start, because a record on the disk is damaged.
    ///
    /// # Panics
    /// If the configuration makes no sense: the caller has validated it.
    pub fn boot(
        boot: Boot<Record<Arc<Command>>>,
        config: raft::Config,
        rules: R,
        log_bytes_max: usize,
    ) -> Result<ReplicatedStore<T, R>, Exit> {
        let mut replicated = ReplicatedStore::new(Raft::boot(boot, config, rules)?, log_bytes_max);
        if let Some(snapshot) = replicated.raft.take_snapshot() {
            replicated.restore(&snapshot);
            let log = replicated.raft.log();
            let kept = log.from(log.first_index()).iter().take((replicated.applied + 1 - log.first_index()) as usize);
            replicated.applied_bytes = kept.map(Entry::bytes).sum();
        }
        Ok(replicated)
    }

    /// Its part in consensus.
    #[inline]
    pub fn raft(&self) -> &Raft<Arc<Command>, R> {
        &self.raft
    }

    /// The same, for inputs that concern consensus alone. [`settle`](ReplicatedStore::settle) must follow.
    #[inline]
    pub fn raft_mut(&mut self) -> &mut Raft<Arc<Command>, R> {
        &mut self.raft
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The index up to which the log has been applied to the store.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// How many updates that were proposed here are not complete.
    #[inline]
    pub fn open_updates(&self) -> usize {
        self.proposals.len()
    }

    /// How many reads wait for this replica to be sure that it leads.
    #[inline]
    pub fn open_reads(&self) -> usize {
        self.reads.len()
    }

    /// The bytes of the commands in its log that have been applied, and so may be dropped.
    pub fn applied_log_bytes(&self) -> usize {
        self.applied_bytes
    }

    /// Whether it leads and takes on updates and reads.
    #[inline]
    pub fn takes_on(&self) -> bool {
        self.raft.is_leader() && !self.raft.is_handing_over()
    }

    /// Takes a message of another replica. [`settle`](ReplicatedStore::settle) must follow.
    #[inline]
    pub fn handle_message(
        &mut self,
        now: Time,
        from: ReplicaId,
        message: Message<Arc<Command>>,
        out: &mut impl Effects<T>,
    ) {
        if !self.raft.rules().keep(Rule::ApplyOnce) {
            self.apply_early(&message);
        }
        self.raft.handle_message(now, from, message, out);
    }

    /// Takes on an operation that came at `arrived`. It must [lead](ReplicatedStore::takes_on).
    pub fn take_on(&mut self, now: Time, arrived: Time, ticket: T, operation: Operation, out: &mut impl Effects<T>) {
        let command = match operation {
            Operation::Get { key } => {
                if !self.raft.may_read(now, arrived) {
                    self.raft.confirm_for_read(arrived);
                }
                return self.reads.push_back(Read { arrived, ticket, key });
            }
            Operation::Put { key, value } => Arc::new(Command::new(key, value)),
            Operation::Update(update) if !self.raft.rules().keep(Rule::ApplyRequestsOnce) => {
                Arc::new(Command::from(&Update { request: None, ..(*update).clone() }))
            }
            Operation::Update(update) => Arc::new(Command::from(&*update)),
            _ => return out.complete(ticket, Outcome::Unserved),
        };
        if !self.raft.rules().keep(Rule::ApplyOnce) {
            self.store.apply(&command);
        }
        let index = self.raft.propose(command, out).expect("a leader can propose");
        if !self.raft.rules().keep(Rule::AnswerAfterCommit) {
            return out.complete(ticket, Outcome::Applied(Applied::Done));
        }
        self.note_proposal(Proposal { index, term: self.raft.term(), arrived, ticket });
    }

    /// Proposals of an earlier tenure may wait for entries that another leader has removed from this log. Their indices are
    /// used again.
    fn note_proposal(&mut self, proposal: Proposal<T>) {
        let place = (proposal.index, proposal.term);
        let place = self.proposals.partition_point(|other| (other.index, other.term) < place);
        self.proposals.insert(place, proposal);
    }

    /// Does what has become possible, but for reads: applies what is committed, completes updates, installs and makes
    /// snapshots. Called after each input.
    #[inline]
    pub fn settle(&mut self, now: Time, out: &mut impl Effects<T>) {
        if let Some(snapshot) = self.raft.take_snapshot() {
            self.install(&snapshot, out);
        }
        // Entries applied now stay in the log until time has advanced, so that observers can see them.
        if self.applied_bytes > self.log_bytes_max && now > self.applied_at {
            self.compact(out);
        }
        self.apply_committed(now, out);
        if self.raft.wants_snapshot() {
            let snapshot = snapshot(&self.raft, self.applied, &self.store);
            self.raft.offer_snapshot(now, snapshot, out);
        }
    }

    /// Applies committed entries in order, and completes the updates among them.
    fn apply_committed(&mut self, now: Time, out: &mut impl Effects<T>) {
        while self.applied < self.raft.commit_index() {
            self.applied_at = now;
            self.applied += 1;
            let entry = self.raft.log().get(self.applied).expect("what is committed is in the log");
            self.applied_bytes += entry.bytes();
            let done = match &entry.command {
                Some(command) => self.store.apply(command),
                None => Applied::Done,
            };
            while let Some(proposal) = self.proposals.front().copied().filter(|first| first.index == self.applied) {
                self.proposals.pop_front();
                let is_own = proposal.term == entry.term || !self.raft.rules().keep(Rule::AnswerOwnEntries);
                let outcome = if is_own { Outcome::Applied(done.clone()) } else { Outcome::RuledOut };
                out.complete(proposal.ticket, outcome);
            }
            // A leader's first entry has no command.
            if entry.command.is_none() && !self.proposals.is_empty() {
                let term = entry.term;
                self.rule_out_before(term, out);
            }
        }
    }

    /// An entry of this term is committed, so every later leader has it, and no entry of an older term can come after
    /// it in any log: terms never fall along a log. So proposals of older terms, which would come after it, are ruled
    /// out.
    fn rule_out_before(&mut self, term: Term, out: &mut impl Effects<T>) {
        self.proposals.retain(|proposal| {
            let is_ruled_out = proposal.term < term;
            if is_ruled_out {
                out.complete(proposal.ticket, Outcome::RuledOut);
            }
            !is_ruled_out
        });
    }

    /// Answers reads from the store, while this replica is sure to lead.
    pub fn answer_reads(&mut self, now: Time, out: &mut impl Effects<T>) {
        while let Some(read) = self.reads.front().filter(|read| self.raft.may_read(now, read.arrived)) {
            let value = self.store.get(&read.key).cloned().unwrap_or_default();
            out.complete(read.ticket, Outcome::Read(value));
            self.reads.pop_front();
        }
    }

    /// Takes out the reads that it can no longer answer, because it does not lead: any leader can.
    pub fn yield_reads(&mut self, out: &mut impl Effects<T>) -> VecDeque<Read<T>> {
        if !self.raft.rules().keep(Rule::AnswerOwnEntries) {
            self.answer_replaced(out);
        }
        if !self.raft.rules().keep(Rule::RedirectWhatIsRuledOut) {
            self.proposals.drain(..).for_each(|proposal| out.complete(proposal.ticket, Outcome::RuledOut));
        }
        std::mem::take(&mut self.reads)
    }

    /// Without [`Rule::AnswerOwnEntries`]: calls updates done that another leader's entries have replaced in this log. They
    /// are the newest ones.
    fn answer_replaced(&mut self, out: &mut impl Effects<T>) {
        let is_replaced = |put: &Proposal<T>| self.raft.log().term(put.index) != Some(put.term);
        while let Some(proposal) = self.proposals.back().copied().filter(is_replaced) {
            out.complete(proposal.ticket, Outcome::Applied(Applied::Done));
            self.proposals.pop_back();
        }
    }

    /// Without [`Rule::ApplyOnce`]: applies the entries of an append before they are committed.
    fn apply_early(&mut self, message: &Message<Arc<Command>>) {
        if let Message::AppendEntries(append) = message {
            let commands = append.entries.iter().filter_map(|entry| entry.command.as_ref());
            commands.for_each(|command| drop(self.store.apply(command)));
        }
    }

    /// When the oldest update or read came; [`Time::NEVER`] if there is none.
    #[inline]
    pub fn oldest(&self) -> Time {
        // The first proposal is the oldest, unless it has the index of an older one from before the log was cut; then
        // the older one is the last.
        let arrived = |proposal: Option<&Proposal<T>>| proposal.map_or(Time::NEVER, |proposal| proposal.arrived);
        let proposal = arrived(self.proposals.front()).min(arrived(self.proposals.back()));
        proposal.min(self.reads.front().map_or(Time::NEVER, |read| read.arrived))
    }

    /// Gives up all updates and reads that came when this says so. They may still take effect.
    #[cold]
    pub fn give_up(&mut self, is_overdue: impl Fn(Time) -> bool, out: &mut impl Effects<T>) {
        let mut goes = |arrived: Time, ticket: T| {
            let goes = is_overdue(arrived);
            if goes {
                out.complete(ticket, Outcome::Unknown);
            }
            goes
        };
        self.proposals.retain(|proposal| !goes(proposal.arrived, proposal.ticket));
        self.reads.retain(|read| !goes(read.arrived, read.ticket));
    }

    /// Forgets matching reads: their desk needs no answer any more.
    pub fn withdraw_reads(&mut self, is_one: impl Fn(T) -> bool) {
        self.reads.retain(|read| !is_one(read.ticket));
    }

    /// Drops the oldest applied entries, but keeps about half of the log's limit, because followers that are only a
    /// little behind are best served from the log.
    #[cold]
    fn compact(&mut self, out: &mut impl Effects<T>) {
        let most = self.log_bytes_max.max(self.snapshot_bytes);
        if self.raft.is_writing_snapshot() || self.applied_bytes <= most.saturating_add(self.raft.snapshot_bytes()) {
            return;
        }
        let mut first = self.raft.log().first_index();
        for entry in self.raft.log().from(first) {
            if first > self.applied || self.applied_bytes <= self.log_bytes_max / 2 {
                break;
            }
            self.applied_bytes -= entry.bytes();
            first += 1;
        }
        // The log is about to lose entries, perhaps including the last applied one.
        let last_term = self.raft.log().term(self.applied).expect("what is applied is in the log");
        let (last_index, store, bytes) = (self.applied, &self.store, &mut self.snapshot_bytes);
        let make = || {
            *bytes = store.bytes();
            Snapshot { last_index, last_term, digest: store.digest(), contents: Arc::new(store.freeze()) }
        };
        self.raft.compact(first - 1, make, out);
    }

    /// Installs the state of a leader.
    #[cold]
    fn install(&mut self, snapshot: &Snapshot<Arc<Command>>, out: &mut impl Effects<T>) {
        self.restore(snapshot);
        // Updates proposed here up to there may have been committed, or other entries in their place.
        while let Some(proposal) = self.proposals.front().copied().filter(|first| first.index <= self.applied) {
            out.complete(proposal.ticket, Outcome::Unknown);
            self.proposals.pop_front();
        }
        if let Some(term) = self.raft.log().term(self.applied) {
            self.rule_out_before(term, out);
        }
    }

    /// Replaces its state by a snapshot's.
    fn restore(&mut self, snapshot: &Snapshot<Arc<Command>>) {
        let old = std::mem::replace(&mut self.store, Store::restored(snapshot.contents.commands(0), snapshot.digest));
        if old.len() > KEYS_FREED_HERE_MAX {
            free(old);
        }
        (self.applied, self.applied_bytes) = (snapshot.last_index, 0);
        self.snapshot_bytes = if self.raft.is_durable() { snapshot.contents.bytes() } else { 0 };
    }
}

/// A store of more keys than this is freed elsewhere.
const KEYS_FREED_HERE_MAX: usize = 16_384;

/// The state of a store up to the last entry that it has applied.
fn snapshot<R: Rules>(raft: &Raft<Arc<Command>, R>, applied: Index, store: &Store) -> Snapshot<Arc<Command>> {
    let last_term = raft.log().term(applied).expect("the log goes on after what is applied");
    Snapshot { last_index: applied, last_term, digest: store.digest(), contents: Arc::new(store.freeze()) }
}

/// `{}` shows role, term, last index and commit index, as in `leader term 3 index 120 commit 118`; `{:#}` shows only
/// the part that changes with an election, as in `leader term 3`.
impl<T: Copy, R: Rules> fmt::Display for ReplicatedStore<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} term {}", self.raft.role().name(), self.raft.term())?;
        if !f.alternate() {
            write!(f, " index {} commit {}", self.raft.log().last_index(), self.raft.commit_index())?;
        }
        Ok(())
    }
}
