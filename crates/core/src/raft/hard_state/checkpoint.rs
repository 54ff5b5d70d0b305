//! Checkpoints: how a snapshot replaces the log on the disk.
//!
//! A snapshot may be large, and the disk has other work, so it is written in parts: the next one when the one before is on
//! the disk. Other records stand between them. The last part is in the [`Checkpoint`], which has all other state, too, and
//! replaces all records before the first part. A follower that receives a snapshot writes the chunks as they arrive.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Effects, Entry, HardState, Index, Log, Payload, Record, Restored, Rule, Rules, Snapshot, Term};
use crate::id::ReplicaId;

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part<C> {
    /// The last index that the snapshot covers.
    pub last_index: Index,
    /// How many of its commands came before.
    pub offset: u64,
    /// The next ones.
    pub commands: Vec<C>,
}

/// Everything that a replica has to remember.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint<C> {
    /// The current term.
    pub term: Term,
    /// The vote in it.
    pub vote: Option<ReplicaId>,
    /// The term of the last entry that the snapshot covers.
    pub last_term: Term,
    /// The digest of the snapshot.
    pub digest: u64,
    /// The last part of the snapshot.
    pub part: Part<C>,
    /// The index and the term of the last entry that the log has dropped.
    pub base: (Index, Term),
    /// The entries after that.
    pub entries: Vec<Entry<C>>,
}

/// A snapshot that is being written.
#[derive(Clone, Debug)]
pub(super) struct Writing<C> {
    last_index: Index,
    /// How many of its commands are written.
    offset: u64,
    /// The snapshot, if it is the replica's own. Otherwise a leader is sending it.
    own: Option<Own<C>>,
}

/// A snapshot of the replica's own state that is being written.
#[derive(Clone, Debug)]
struct Own<C> {
    snapshot: Snapshot<C>,
    /// The next part is written when this many records are on the disk.
    waits_for: u64,
}

/// About how many bytes of applied entries a checkpoint keeps at most: followers that are only a little behind are best
/// served from the log, also after a restart.
const KEPT_BYTES_MAX: usize = 1 << 20;

impl<C: Payload, R: Rules> HardState<C, R> {
    /// Whether a snapshot of the replica's own is being written.
    #[inline]
    pub fn is_writing(&self) -> bool {
        self.journal
            .as_ref()
            .is_some_and(|journal| journal.writing.as_ref().is_some_and(|writing| writing.own.is_some()))
    }

    /// Begins to write a snapshot of the replica's own state. One that is being received has to be written anew when it
    /// is complete.
    pub(super) fn begin_checkpoint(&mut self, snapshot: Snapshot<C>, out: &mut impl Effects<C>) {
        if !self.rules.keep(Rule::ReplaceInOneStep) {
            let part = Part { last_index: snapshot.last_index, offset: 0, commands: Vec::new() };
            self.persist_checkpoint(Snapshot { digest: 0, ..snapshot.clone() }, part, out);
        }
        let Some(journal) = &mut self.journal else { return };
        let last_index = snapshot.last_index;
        let own = Own { snapshot, waits_for: 0 };
        journal.writing = Some(Writing { last_index, offset: 0, own: Some(own) });
        self.write_on(out);
    }

    /// Writes the next part of the replica's own snapshot, if there is one and the one before is on the disk.
    pub(super) fn write_on(&mut self, out: &mut impl Effects<C>) {
        let Some(journal) = &mut self.journal else { return };
        let Some(Writing { last_index, offset, own: Some(own) }) = &mut journal.writing else { return };
        if journal.on_disk < own.waits_for {
            return;
        }
        let snapshot = own.snapshot.clone();
        // A small state takes few steps, however small its parts would be.
        let few = (snapshot.contents.len() / 64 + 1).min(256);
        let commands = snapshot.chunk(*offset as usize, few, journal.part_bytes_max);
        let part = Part { last_index: *last_index, offset: *offset, commands };
        *offset += part.commands.len() as u64;
        if *offset < snapshot.contents.len() as u64 {
            own.waits_for = journal.persisted + 1;
            self.persist(Record::Part(Box::new(part)), out);
        } else {
            journal.writing = None;
            self.persist_checkpoint(snapshot, part, out);
        }
    }

    /// Writes a chunk of a snapshot that a leader is sending, unless it is the last one. It is wanted only if all before
    /// it were written.
    pub fn write_chunk(&mut self, last_index: Index, offset: u64, commands: &[C], out: &mut impl Effects<C>) {
        let Some(journal) = &mut self.journal else { return };
        if offset == 0 {
            journal.writing = Some(Writing { last_index, offset, own: None });
        }
        let Some(writing) = journal.writing.as_mut().filter(|writing| writing.expects(last_index, offset)) else {
            return;
        };
        writing.offset += commands.len() as u64;
        self.persist(Record::Part(Box::new(Part { last_index, offset, commands: commands.to_vec() })), out);
    }

    /// Writes all of a received snapshot that has not been written yet.
    pub(super) fn write_all(&mut self, snapshot: &Snapshot<C>, out: &mut impl Effects<C>) {
        let Some(journal) = &mut self.journal else { return };
        let last_index = snapshot.last_index;
        let received =
            journal.writing.take().filter(|writing| writing.own.is_none() && writing.last_index == last_index);
        let (mut offset, bytes_max) = (received.map_or(0, |writing| writing.offset), journal.part_bytes_max);
        let part = |offset: &mut u64| {
            let commands = snapshot.chunk(*offset as usize, 1, bytes_max);
            let part = Part { last_index, offset: *offset, commands };
            *offset += part.commands.len() as u64;
            part
        };
        let mut next = part(&mut offset);
        while offset < snapshot.contents.len() as u64 {
            self.persist(Record::Part(Box::new(std::mem::replace(&mut next, part(&mut offset)))), out);
        }
        self.persist_checkpoint(snapshot.clone(), next, out);
    }

    fn persist_checkpoint(&mut self, snapshot: Snapshot<C>, part: Part<C>, out: &mut impl Effects<C>) {
        let log = &self.log;
        let first = log.first_index() - 1;
        assert!((first..=log.last_index()).contains(&snapshot.last_index), "the log continues a checkpoint's snapshot");
        let mut bytes = 0;
        let kept = log.from(first + 1)[..(snapshot.last_index - first) as usize].iter().rev().take_while(|entry| {
            bytes += entry.bytes();
            bytes <= KEPT_BYTES_MAX
        });
        let base = snapshot.last_index - kept.count() as Index;
        let checkpoint = Checkpoint {
            term: self.term,
            vote: self.vote.filter(|_| self.rules.keep(Rule::PersistVote)),
            last_term: snapshot.last_term,
            digest: snapshot.digest,
            part,
            base: (base, log.term(base).expect("the term of the last entry that was dropped is known")),
            entries: log.from(base + 1).to_vec(),
        };
        self.persist(Record::Checkpoint(Box::new(checkpoint)), out);
        self.note_end();
    }
}

impl<C> Writing<C> {
    /// Whether this is the next chunk of the snapshot that a leader is sending.
    fn expects(&self, last_index: Index, offset: u64) -> bool {
        self.own.is_none() && (self.last_index, self.offset) == (last_index, offset)
    }
}

/// The parts that were read back.
#[derive(Debug)]
pub(super) struct Received<C> {
    last_index: Index,
    commands: Vec<C>,
}

impl<C> Default for Received<C> {
    fn default() -> Received<C> {
        Received { last_index: 0, commands: Vec::new() }
    }
}

impl<C> Received<C> {
    /// Takes the next part. The first one of a snapshot drops those of an earlier one, which was given up. False if one
    /// is missing.
    pub fn take(&mut self, part: Part<C>) -> bool {
        if part.offset == 0 {
            self.last_index = part.last_index;
            self.commands.clear();
        }
        let fits = (self.last_index, self.commands.len() as u64) == (part.last_index, part.offset);
        if fits {
            self.commands.extend(part.commands);
        }
        fits
    }
}

impl<C: Payload, R: Rules> Restored<C, R> {
    /// Replaces all by a checkpoint. False if it contradicts itself, or a part is missing.
    pub(super) fn adopt(&mut self, checkpoint: Checkpoint<C>, parts: &mut Received<C>) -> bool {
        let Checkpoint { term, vote, last_term, digest, part, base, entries } = checkpoint;
        let last_index = part.last_index;
        let end = base.0 + entries.len() as Index;
        let hard = &mut self.hard;
        let fits = term >= hard.term && (base.0..=end).contains(&last_index) && parts.take(part);
        (hard.term, hard.vote) = (term, vote);
        hard.log = Log::continued(base, entries);
        self.commit_index = self.commit_index.max(last_index);
        let contents = Arc::new(std::mem::take(&mut parts.commands));
        self.snapshot = Some(Snapshot { last_index, last_term, digest, contents });
        fits
    }
}
