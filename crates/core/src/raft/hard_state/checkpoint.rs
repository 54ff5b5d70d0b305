//! Checkpoints: how a snapshot replaces the log on the disk.
//!
//! A snapshot may be large, and the disk has other work, so it is written in parts: the next one when the one before is on
//! the disk. Other records stand between them. The last part is in the [`Checkpoint`], which replaces all records before
//! the first part.
//!
//! A replica's own snapshot continues its log, so its first part has the rest of the state ([`Remembered`]), and the
//! records between the parts go on from there. A follower that receives a snapshot writes the chunks as they arrive. That
//! snapshot replaces its log, too, so the rest of the state is in the checkpoint, and the records between do not matter.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Effects, Entry, HardState, Index, Log, Payload, Record, Restored, Rule, Rules, Snapshot, Term};
use crate::id::ReplicaId;
use crate::machine::Stored;

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part<C> {
    /// The last index that the snapshot covers.
    pub last_index: Index,
    /// How many of its commands came before.
    pub offset: u64,
    /// The next ones.
    pub commands: Vec<C>,
    /// The rest of the state at this point; only in the first of several parts of a replica's own snapshot.
    pub remembered: Option<Remembered<C>>,
}

/// What ends a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint<C> {
    /// The term of the last entry that the snapshot covers.
    pub last_term: Term,
    /// The digest of the snapshot.
    pub digest: u64,
    /// The last part of the snapshot. It has the rest of the state at this point, unless the first one has it.
    pub part: Part<C>,
}

/// What a replica has to remember besides a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Remembered<C> {
    /// The current term.
    pub term: Term,
    /// The vote in it.
    pub vote: Option<ReplicaId>,
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
            let remembered = Some(self.remember(snapshot.last_index));
            let part = Part { last_index: snapshot.last_index, offset: 0, commands: Vec::new(), remembered };
            self.end_checkpoint(&Snapshot { digest: 0, ..snapshot.clone() }, part, out);
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
        let (snapshot, last_index) = (own.snapshot.clone(), *last_index);
        // A small state takes few steps, however small its parts would be.
        let few = (snapshot.contents.len() / 64 + 1).min(256);
        let commands = snapshot.chunk(*offset as usize, few, journal.part_bytes_max);
        let (first, next) = (*offset == 0, *offset + commands.len() as u64);
        let mut part = Part { last_index, offset: *offset, commands, remembered: None };
        (*offset, own.waits_for) = (next, journal.persisted + 1);
        if first {
            part.remembered = Some(self.remember(last_index));
        }
        if next < snapshot.contents.len() as u64 {
            self.persist(Record::Part(Box::new(part)), out);
        } else {
            self.give_up_writing();
            self.end_checkpoint(&snapshot, part, out);
        }
    }

    fn give_up_writing(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.writing = None;
        }
    }

    /// A leader sends a snapshot from its beginning. What another leader has sent is not part of it.
    pub fn give_up_received(&mut self) {
        if let Some(journal) = &mut self.journal
            && journal.writing.as_ref().is_some_and(|writing| writing.own.is_none())
        {
            journal.writing = None;
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
        let part = Part { last_index, offset, commands: commands.to_vec(), remembered: None };
        self.persist(Record::Part(Box::new(part)), out);
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
            let part = Part { last_index, offset: *offset, commands, remembered: None };
            *offset += part.commands.len() as u64;
            part
        };
        let mut next = part(&mut offset);
        while offset < snapshot.contents.len() as u64 {
            self.persist(Record::Part(Box::new(std::mem::replace(&mut next, part(&mut offset)))), out);
        }
        next.remembered = Some(self.remember(last_index));
        self.end_checkpoint(snapshot, next, out);
    }

    fn end_checkpoint(&mut self, snapshot: &Snapshot<C>, part: Part<C>, out: &mut impl Effects<C>) {
        let Snapshot { last_term, digest, .. } = *snapshot;
        self.persist(Record::Checkpoint(Box::new(Checkpoint { last_term, digest, part })), out);
        self.note_end();
    }

    /// What is to be remembered besides a snapshot up to this index, with some of the entries that it covers.
    fn remember(&self, last_index: Index) -> Remembered<C> {
        let log = &self.log;
        let first = log.first_index() - 1;
        assert!((first..=log.last_index()).contains(&last_index), "the log continues a checkpoint's snapshot");
        let mut bytes = 0;
        let kept = log.from(first + 1)[..(last_index - first) as usize].iter().rev().take_while(|entry| {
            bytes += entry.bytes();
            bytes <= KEPT_BYTES_MAX
        });
        let base = last_index - kept.count() as Index;
        Remembered {
            term: self.term,
            vote: self.vote.filter(|_| self.rules.keep(Rule::PersistVote)),
            base: (base, log.term(base).expect("the term of the last entry that was dropped is known")),
            entries: log.from(base + 1).to_vec(),
        }
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

/// Finds the record that has the rest of the newest checkpoint's state: its end, or its first part. Records before it are
/// replaced, and may be gone in part.
pub(super) fn newest<C>(records: &[Stored<Record<C>>]) -> Option<usize> {
    let end = records.iter().rposition(|stored| matches!(stored, Stored::Intact(Record::Checkpoint(_))))?;
    let begins = |stored: &Stored<Record<C>>| matches!(stored, Stored::Intact(Record::Part(part)) if part.offset == 0);
    match &records[end] {
        Stored::Intact(Record::Checkpoint(checkpoint)) if checkpoint.part.remembered.is_none() => {
            Some(records[..end].iter().rposition(begins).unwrap_or(end))
        }
        _ => Some(end),
    }
}

impl<C: Payload, R: Rules> Restored<C, R> {
    /// Takes a part of a snapshot. False if one is missing, or contradicts itself. `counts` says whether it is the one with
    /// the rest of the newest checkpoint's state.
    pub(super) fn take_part(&mut self, mut part: Part<C>, counts: bool, parts: &mut Received<C>) -> bool {
        let remembered = part.remembered.take().filter(|_| counts);
        let last_index = part.last_index;
        let fits = parts.take(part);
        let Some(Remembered { term, vote, base, entries }) = remembered else { return fits && !counts };
        let hard = &mut self.hard;
        let end = base.0 + entries.len() as Index;
        let fits = fits && term >= hard.term && (base.0..=end).contains(&last_index);
        (hard.term, hard.vote) = (term, vote);
        hard.log = Log::continued(base, entries);
        fits
    }

    /// Takes the end of a checkpoint. False if it contradicts itself, or a part is missing.
    pub(super) fn take_end(&mut self, checkpoint: Checkpoint<C>, counts: bool, parts: &mut Received<C>) -> bool {
        let Checkpoint { last_term, digest, part } = checkpoint;
        let last_index = part.last_index;
        let fits = self.take_part(part, counts, parts);
        self.commit_index = self.commit_index.max(last_index);
        let contents = Arc::new(std::mem::take(&mut parts.commands));
        self.snapshot = Some(Snapshot { last_index, last_term, digest, contents });
        fits
    }
}
