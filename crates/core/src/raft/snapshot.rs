//! Log compaction: section 7 of the paper, chapter 5 of the thesis.
//!
//! Raft drops entries when it is told to, and knows nothing of what has come of them. So whoever applies the commands
//! hands in a [`Snapshot`] when one is wanted, and takes one out that has come. It is a list of commands, and parts of
//! it are sent one at a time: each when the one before is acknowledged.

use super::log::ENTRY_BYTES;
use super::progress::Fetch;
use super::{AppendOutcome, AppendReply, Effects, Index, InstallSnapshot, Message, Payload, Raft, Role, Term};
use crate::id::{ReplicaId, ReplicaSet};
use crate::time::Time;

/// Snapshots up to this index are believed, for the same reason as terms.
const INDEX_MAX: Index = 1 << 60;

/// What all commands up to some entry have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<C> {
    /// Index of that entry.
    pub last_index: Index,
    /// A digest of the state ([`crate::consensus::applied_digest`]).
    pub digest: u64,
    /// The commands that make it.
    pub commands: Vec<C>,
}

/// What a Raft holds of snapshots: the leader the one that it sends, a follower the one that it receives.
#[derive(Clone, Debug)]
pub(super) struct Snapshots<C> {
    /// The leader's, with how many bytes it takes.
    sending: Option<(Snapshot<C>, usize)>,
    /// Who is to be sent the first part of one that does not exist yet.
    wanted: ReplicaSet,
    /// As much as has come of one. Only of the present term.
    incoming: Option<Snapshot<C>>,
    /// One that has come, and that is not taken out yet.
    installed: Option<Snapshot<C>>,
}

impl<C> Snapshots<C> {
    pub const fn new() -> Snapshots<C> {
        Snapshots { sending: None, wanted: ReplicaSet::EMPTY, incoming: None, installed: None }
    }

    /// A new term begins, or this replica leads no longer: what was under way is not continued.
    pub fn abandon(&mut self) {
        (self.sending, self.wanted, self.incoming) = (None, ReplicaSet::EMPTY, None);
    }
}

impl<C: Payload> Raft<C> {
    /// Drops all entries of the log up to this index, which must be committed. Followers that miss some of them are
    /// sent a snapshot.
    pub fn compact(&mut self, index: Index) {
        assert!(index <= self.commit_index, "what is dropped is committed");
        self.log.drop_to(index);
        self.let_go_of_snapshot();
    }

    /// Whether a snapshot is wanted of all that is applied, to be handed in by [`Raft::offer_snapshot`] before the next
    /// input.
    #[inline]
    pub fn wants_snapshot(&self) -> bool {
        !self.snapshots.wanted.is_empty()
    }

    /// Hands in a snapshot and sends its first part to those who need it.
    pub fn offer_snapshot(&mut self, now: Time, snapshot: Snapshot<C>, out: &mut impl Effects<C>) {
        let wanted = std::mem::replace(&mut self.snapshots.wanted, ReplicaSet::EMPTY);
        let useful = (self.log.first_index() - 1..=self.commit_index).contains(&snapshot.last_index);
        assert!(useful, "a snapshot ends where the log goes on");
        let bytes = snapshot.commands.iter().map(part_bytes).sum();
        self.snapshots.sending = Some((snapshot, bytes));
        for to in wanted.iter() {
            self.push_part(now, to, out);
        }
    }

    /// About how many bytes the snapshot takes that somebody is being sent; 0 if nobody is. As long as the log holds
    /// less than that beyond what it should, it is better not compacted: who gets the snapshot needs what comes after
    /// it.
    pub fn snapshot_bytes(&self) -> usize {
        let needed = self.followers.iter().any(|follower| follower.fetch.is_some());
        self.snapshots.sending.as_ref().filter(|_| needed).map_or(0, |(_, bytes)| *bytes)
    }

    /// Takes out a snapshot that has come. The log goes on after it, and everything up to there is committed.
    #[inline]
    pub fn take_snapshot(&mut self) -> Option<Snapshot<C>> {
        // This is asked after each input, and there mostly is none.
        self.snapshots.installed.as_ref()?;
        self.snapshots.installed.take()
    }

    /// Sends a follower the next part of the leader's state. If there is no snapshot from which the log goes on, one is
    /// wanted, and the part is sent when it is there.
    pub(super) fn send_part(&mut self, now: Time, to: ReplicaId, out: &mut impl Effects<C>) {
        let place = self.place(to);
        self.followers[place].handle_part_sent(now, &self.config);
        let base = self.log.first_index() - 1;
        if self.snapshots.sending.as_ref().is_some_and(|(snapshot, _)| snapshot.last_index >= base) {
            self.push_part(now, to, out);
        } else {
            self.snapshots.sending = None;
            self.snapshots.wanted.insert(to);
        }
    }

    fn push_part(&mut self, now: Time, to: ReplicaId, out: &mut impl Effects<C>) {
        let place = self.place(to);
        let Some((snapshot, _)) = &self.snapshots.sending else { return };
        let fetch = self.followers[place].fetch.get_or_insert_default();
        if fetch.index != snapshot.last_index {
            *fetch = Fetch { index: snapshot.last_index, count: 0 };
        }
        let left = &snapshot.commands[fetch.count.min(snapshot.commands.len())..];
        let mut bytes = 0;
        let fits = |command: &&C| {
            let first = bytes == 0;
            bytes += part_bytes(*command);
            first || bytes <= self.config.batch_bytes_max
        };
        let commands: Vec<C> = left.iter().take_while(fits).cloned().collect();
        let part = InstallSnapshot {
            term: self.term,
            last_index: snapshot.last_index,
            last_term: self.log.term(snapshot.last_index).expect("the log goes on after the snapshot"),
            digest: snapshot.digest,
            offset: fetch.count as u64,
            done: commands.len() == left.len(),
            sent: now,
            commands,
        };
        out.send(to, Message::InstallSnapshot(Box::new(part)));
    }

    /// A follower has so much of a snapshot, as it says in answer to the newest part: what comes next?
    pub(super) fn handle_received(
        &mut self,
        now: Time,
        from: ReplicaId,
        (index, count): (Index, u64),
        out: &mut impl Effects<C>,
    ) {
        let place = self.place(from);
        let known = self.snapshots.sending.as_ref().map_or(0, |(snapshot, _)| snapshot.commands.len());
        if let Some(fetch) = self.followers[place].fetch.as_mut().filter(|fetch| fetch.index == index) {
            fetch.count = usize::try_from(count).unwrap_or(known).min(known);
            self.send_part(now, from, out);
        }
    }

    /// The snapshot is kept only as long as somebody is being sent it.
    pub(super) fn let_go_of_snapshot(&mut self) {
        if self.followers.iter().all(|follower| follower.fetch.is_none()) {
            self.snapshots.sending = None;
        }
    }

    /// A leader sends a part of its state.
    pub(super) fn handle_part(
        &mut self,
        now: Time,
        from: ReplicaId,
        part: InstallSnapshot<C>,
        out: &mut impl Effects<C>,
    ) {
        if !is_well_formed(&part) {
            return self.ignore();
        }
        let (term, sent) = (part.term, part.sent);
        if !self.recognise_leader(now, from, term, sent, out) {
            return;
        }
        let outcome = self.take_part(part);
        out.send(from, Message::AppendReply(AppendReply { term, sent, outcome }));
    }

    fn take_part(&mut self, part: InstallSnapshot<C>) -> AppendOutcome {
        let (index, term) = (part.last_index, part.last_term);
        if index <= self.commit_index {
            return AppendOutcome::Matched { index };
        }
        if self.log.term(index) == Some(term) {
            // It has all that the state comprises, and learns that it is committed. What comes after it is kept.
            self.commit_index = index;
            return AppendOutcome::Matched { index };
        }
        let incoming = &mut self.snapshots.incoming;
        if incoming.as_ref().is_none_or(|known| known.last_index < index) {
            *incoming = Some(Snapshot { last_index: index, digest: part.digest, commands: Vec::new() });
        }
        let known = incoming.as_mut().expect("there is one now");
        let fits = known.last_index == index && known.commands.len() as u64 == part.offset;
        if fits {
            known.commands.extend(part.commands);
        }
        if !(fits && part.done) {
            // Late and repeated parts change nothing; of a part that came too early nothing is kept.
            return AppendOutcome::Received { index: known.last_index, count: known.commands.len() as u64 };
        }
        self.snapshots.installed = incoming.take();
        self.install(index, term)
    }

    /// Goes on after a snapshot. Whatever the log has contradicts it, or comes before its end.
    fn install(&mut self, index: Index, term: Term) -> AppendOutcome {
        debug_assert!(self.role == Role::Follower && index > self.commit_index);
        self.log.restart(index, term);
        self.commit_index = index;
        AppendOutcome::Matched { index: self.take_early(index) }
    }
}

fn part_bytes<C: Payload>(command: &C) -> usize {
    command.bytes() + ENTRY_BYTES
}

/// Whether a part is one that a leader could send at all.
fn is_well_formed<C>(part: &InstallSnapshot<C>) -> bool {
    let possible = (1..=INDEX_MAX).contains(&part.last_index) && (1..=part.term).contains(&part.last_term);
    possible && (part.done || !part.commands.is_empty())
}
