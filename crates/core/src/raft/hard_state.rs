//! What survives a crash: term, vote and log (figure 2, "persistent state on all servers").
//!
//! Each change goes through a setter, which checks it and persists it as a [`Record`]. With [`HardState::sync`] the
//! caller holds back later messages until it is on the disk.

mod checkpoint;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Effects, Entry, Index, Log, Payload, Rule, Rules, Snapshot, Term};
use crate::id::ReplicaId;
use crate::machine::{self, Exit, Recovered, Stored};
pub use checkpoint::{Checkpoint, Part, Remembered};
use checkpoint::{Received, Writing};

/// One change of the hard state, as it is written to the disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record<C> {
    /// The current term, and the vote in it.
    Vote {
        /// The term.
        term: Term,
        /// The candidate, if the replica has voted.
        vote: Option<ReplicaId>,
    },
    /// An entry at the end of the log.
    Append {
        /// Its index.
        index: Index,
        /// The entry.
        entry: Entry<C>,
    },
    /// The entry at this index and all after it are removed.
    Truncate {
        /// The index.
        index: Index,
    },
    /// A part of a snapshot that a checkpoint will end. In a box, so that it makes no other record larger.
    Part(Box<Part<C>>),
    /// All of the state, which replaces all records before the first part of its snapshot.
    Checkpoint(Box<Checkpoint<C>>),
    /// A commit index. Only a Raft that breaks [`Rule::DeriveCommitIndex`] writes it.
    Commit {
        /// The index.
        index: Index,
    },
}

impl<C: Payload> machine::Record for Record<C> {
    fn begins_checkpoint(&self) -> bool {
        matches!(self, Record::Part(part) if part.offset == 0)
    }

    fn ends_checkpoint(&self) -> bool {
        matches!(self, Record::Checkpoint(_))
    }
}

/// Term, vote and log of one replica.
///
/// Invariants, each asserted in the setter that could break it:
/// - The term never falls.
/// - A replica votes at most once in a term (5.2).
/// - Terms never fall along the log, and no entry has a newer term than the replica.
/// - No committed entry is truncated (state-machine safety), and no uncommitted entry is dropped.
#[derive(Clone, Debug)]
pub(super) struct HardState<C, R> {
    term: Term,
    vote: Option<ReplicaId>,
    log: Log<C>,
    rules: R,
    /// None if there is no disk.
    journal: Option<Journal<C>>,
}

/// The progress of the disk.
#[derive(Clone, Debug)]
struct Journal<C> {
    /// How many records were persisted since the start.
    persisted: u64,
    /// How many of them are on the disk.
    on_disk: u64,
    /// Ends of the log, in order, each with the number of records that must be on the disk for it.
    pending: VecDeque<(u64, Index)>,
    /// The log is on the disk up to here.
    synced: Index,
    /// The snapshot that is being written.
    writing: Option<Writing<C>>,
    /// How many bytes of commands a part of a snapshot has at most, unless a single one takes more.
    part_bytes_max: usize,
}

impl<C> Journal<C> {
    /// That of a disk on which the log ends at this index.
    const fn new(synced: Index, part_bytes_max: usize) -> Journal<C> {
        Journal { persisted: 0, on_disk: 0, pending: VecDeque::new(), synced, writing: None, part_bytes_max }
    }
}

/// The state that was read back.
pub(super) struct Restored<C, R> {
    pub hard: HardState<C, R>,
    /// The state that the log continues; none if nothing was ever dropped.
    pub snapshot: Option<Snapshot<C>>,
    /// A commit index that was written; only a broken Raft uses it.
    pub commit_index: Index,
}

impl<C: Payload, R: Rules> HardState<C, R> {
    /// The hard state of a replica without a disk.
    pub fn new(rules: R) -> HardState<C, R> {
        HardState { term: 0, vote: None, log: Log::new(), rules, journal: None }
    }

    /// Reads the records back that a disk kept. A torn last record was never synced, so no promise rests on it. Snapshots
    /// will be written in parts of up to this many bytes.
    ///
    /// # Errors
    /// If a record is damaged, or does not fit the earlier ones: a replica that started without it would forget
    /// promises.
    pub fn restore(recovered: Recovered<Record<C>>, rules: R, part_bytes_max: usize) -> Result<Restored<C, R>, Exit> {
        let mut restored = Restored { hard: HardState::new(rules), snapshot: None, commit_index: 0 };
        let (newest, mut parts) = (checkpoint::newest(&recovered.records), Received::default());
        for (place, stored) in recovered.records.into_iter().enumerate() {
            let fits = match stored {
                Stored::Intact(record) => restored.replay(place, record, newest, &mut parts),
                Stored::Damaged if !rules.keep(Rule::RefuseDamage) => true,
                Stored::Damaged => return Err(refusal(place, "is damaged")),
            };
            if !fits {
                return Err(refusal(place, "does not fit those before it"));
            }
        }
        let hard = &mut restored.hard;
        // Without records of the term, the log still knows one.
        hard.term = hard.term.max(hard.log.last_term());
        hard.journal = Some(Journal::new(hard.log.last_index(), part_bytes_max));
        Ok(restored)
    }

    pub fn term(&self) -> Term {
        self.term
    }

    pub fn vote(&self) -> Option<ReplicaId> {
        self.vote
    }

    #[inline]
    pub fn log(&self) -> &Log<C> {
        &self.log
    }

    /// Whether there is a disk.
    pub fn is_durable(&self) -> bool {
        self.journal.is_some()
    }

    /// Enters a newer term, without a vote.
    pub fn enter_term(&mut self, term: Term, out: &mut impl Effects<C>) {
        assert!(term > self.term, "the term never falls");
        (self.term, self.vote) = (term, None);
        self.persist_vote(out);
    }

    /// Votes in the current term.
    pub fn vote_for(&mut self, candidate: ReplicaId, out: &mut impl Effects<C>) {
        let is_free = self.vote.is_none_or(|other| other == candidate);
        assert!(is_free || !self.rules.keep(Rule::VoteOnce), "a replica votes once in a term");
        if self.vote != Some(candidate) {
            self.vote = Some(candidate);
            self.persist_vote(out);
        }
    }

    /// Forgets a vote, which only a broken Raft does.
    pub fn forget_vote(&mut self) {
        self.vote = None;
    }

    /// Adds an entry at the end of the log and returns its index.
    #[inline(always)]
    pub fn append(&mut self, entry: Entry<C>, out: &mut impl Effects<C>) -> Index {
        let ordered = entry.term >= self.log.last_term() && entry.term <= self.term;
        assert!(ordered || !self.rules.keep_all(), "terms never fall in a log, nor pass the replica's own");
        let index = self.log.append(entry);
        if self.journal.is_some() {
            self.persist_last(index, out);
        }
        index
    }

    /// Persists the entry that was just added.
    fn persist_last(&mut self, index: Index, out: &mut impl Effects<C>) {
        let entry = self.log.get(index).expect("an entry was just added").clone();
        self.persist(Record::Append { index, entry }, out);
        self.note_end();
    }

    /// Removes the entry at this index and all after it. Only a follower does that, and never to a committed entry.
    pub fn truncate(&mut self, index: Index, commit_index: Index, out: &mut impl Effects<C>) {
        assert!(index > commit_index, "what is committed is never removed");
        if index > self.log.last_index() {
            return;
        }
        if self.rules.keep(Rule::PersistTruncations) {
            self.persist(Record::Truncate { index }, out);
        }
        self.log.truncate(index);
        if let Some(journal) = &mut self.journal {
            journal.pending.retain(|(_, end)| *end < index);
            journal.synced = journal.synced.min(index - 1);
        }
    }

    /// Drops all entries up to this index, which must be applied. On the disk a snapshot of the state replaces them, in
    /// one step, as soon as all of it is written.
    pub fn compact(
        &mut self,
        index: Index,
        commit_index: Index,
        snapshot: impl FnOnce() -> Snapshot<C>,
        out: &mut impl Effects<C>,
    ) {
        assert!(index <= commit_index, "what is dropped is committed");
        if index < self.log.first_index() {
            return;
        }
        self.log.drop_to(index);
        if self.journal.is_some() {
            self.begin_checkpoint(snapshot(), out);
        }
    }

    /// Forgets all entries and continues after a snapshot. All entries of the log contradict the snapshot, or come
    /// before its end.
    pub fn install(&mut self, snapshot: &Snapshot<C>, commit_index: Index, out: &mut impl Effects<C>) {
        assert!(snapshot.last_index > commit_index, "a snapshot is never older than what is committed");
        self.log.restart(snapshot.last_index, snapshot.last_term);
        if let Some(journal) = &mut self.journal {
            journal.pending.clear();
            journal.synced = 0;
            self.write_all(snapshot, out);
        }
    }

    /// Persists a commit index, which only a broken Raft does.
    pub fn persist_commit(&mut self, index: Index, out: &mut impl Effects<C>) {
        self.persist(Record::Commit { index }, out);
    }

    /// Later messages must not be sent before all persisted records are on the disk.
    #[inline]
    pub fn sync(&self, out: &mut impl Effects<C>) {
        if self.journal.as_ref().is_some_and(|journal| journal.persisted > journal.on_disk) {
            out.sync();
        }
    }

    /// The log is on the disk up to here; all of it if there is no disk.
    #[inline]
    pub fn durable_index(&self) -> Index {
        self.journal.as_ref().map_or(self.log.last_index(), |journal| journal.synced)
    }

    /// Takes the number of records that are on the disk.
    pub fn handle_synced(&mut self, up_to: u64, out: &mut impl Effects<C>) {
        let Some(journal) = &mut self.journal else { return };
        journal.on_disk = up_to;
        while let Some(&(_, end)) = journal.pending.front().filter(|(records, _)| *records <= up_to) {
            journal.synced = end;
            journal.pending.pop_front();
        }
        self.write_on(out);
    }

    /// Continues in memory, which only a broken Raft does.
    pub fn abandon_disk(&mut self) {
        self.journal = None;
    }

    fn persist_vote(&mut self, out: &mut impl Effects<C>) {
        if self.rules.keep(Rule::PersistTerm) {
            let vote = self.vote.filter(|_| self.rules.keep(Rule::PersistVote));
            self.persist(Record::Vote { term: self.term, vote }, out);
        }
    }

    fn persist(&mut self, record: Record<C>, out: &mut impl Effects<C>) {
        if let Some(journal) = &mut self.journal {
            journal.persisted += 1;
            out.persist(record);
        }
    }

    /// Notes that the log's current end is that of the newest record.
    fn note_end(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.pending.push_back((journal.persisted, self.log.last_index()));
        }
    }
}

impl<C: Payload, R: Rules> Restored<C, R> {
    /// Replays a record. False if it does not fit the earlier ones. Of records before the place of the newest checkpoint
    /// ([`checkpoint::newest`]), only terms and parts matter: those before them may be gone.
    fn replay(&mut self, place: usize, record: Record<C>, newest: Option<usize>, parts: &mut Received<C>) -> bool {
        let (is_replaced, counts) = (newest.is_some_and(|newest| place < newest), newest == Some(place));
        let hard = &mut self.hard;
        let lenient = !hard.rules.keep_all();
        match record {
            Record::Part(part) => self.take_part(*part, counts, parts),
            Record::Checkpoint(checkpoint) => self.take_end(*checkpoint, counts, parts),
            Record::Vote { term, vote } => {
                let fits = term >= hard.term;
                (hard.term, hard.vote) = (term, vote);
                fits || lenient
            }
            _ if is_replaced => true,
            Record::Append { index, entry } if index == hard.log.last_index() + 1 => {
                let fits = entry.term >= hard.log.last_term();
                hard.log.append(entry);
                fits || lenient
            }
            // A broken Raft did not record its truncations; the entries that it finds stay.
            Record::Append { .. } => lenient,
            Record::Truncate { index } => {
                let fits = (hard.log.first_index()..=hard.log.last_index()).contains(&index);
                if fits {
                    hard.log.truncate(index);
                }
                fits || lenient
            }
            Record::Commit { index } => {
                self.commit_index = self.commit_index.max(index);
                lenient
            }
        }
    }
}

fn refusal(place: usize, what: &str) -> Exit {
    let number = place + 1;
    Exit(
        format!("record {number} on the disk {what}: other replicas may rely on it, so this one does not start").into(),
    )
}

#[cfg(test)]
mod tests;
