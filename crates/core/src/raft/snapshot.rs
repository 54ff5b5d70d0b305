//! Log compaction: section 7 of the paper, chapter 5 of the thesis.
//!
//! Raft drops entries on the caller's request, and does not know the state that they produced. So the caller, which
//! applies the commands, hands in a [`Snapshot`] when one is wanted, and takes out a received one. It is a list of
//! commands, and chunks of it are sent one at a time: each when the one before is acknowledged. Nor is it written to the
//! disk at once (`hard_state::checkpoint`).

use std::fmt::Debug;
use std::sync::Arc;

use super::log::ENTRY_BYTES;
use super::progress::Fetch;
use super::role::{Leader, State};
use super::server::Server;
use super::{Effects, Index, InstallSnapshot, Message, Payload, Raft, Rules, Term};
use crate::id::{ReplicaId, ReplicaSet};
use crate::time::Time;

/// The result of all commands up to some entry. A clone shares the state.
#[derive(Clone, Debug)]
pub struct Snapshot<C> {
    /// Index of that entry.
    pub last_index: Index,
    /// Term of that entry.
    pub last_term: Term,
    /// A digest of the state ([`crate::consensus::applied_digest`]).
    pub digest: u64,
    /// The state.
    pub contents: Arc<dyn Contents<C>>,
}

/// The state in a snapshot, as the commands that produce it, in an order that is the same in all replicas. It may be
/// large, so nothing asks for all of it at once.
pub trait Contents<C>: Debug + Send + Sync {
    /// How many commands there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes the commands take in messages.
    fn bytes(&self) -> usize;

    /// The commands after the first `from`.
    fn commands(&self, from: usize) -> Box<dyn Iterator<Item = C> + '_>;
}

impl<C: Payload> Contents<C> for Vec<C> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn bytes(&self) -> usize {
        self.iter().map(Payload::bytes).sum()
    }

    fn commands(&self, from: usize) -> Box<dyn Iterator<Item = C> + '_> {
        Box::new(self.get(from..).unwrap_or_default().iter().cloned())
    }
}

impl<C: Payload> Snapshot<C> {
    /// About how many bytes all chunks of it take.
    pub fn bytes(&self) -> usize {
        self.contents.bytes() + self.contents.len() * ENTRY_BYTES
    }

    /// The chunk after the first `from` commands: up to `bytes_max` bytes, but always at least `count_min` commands, if
    /// there are any more.
    pub(super) fn chunk(&self, from: usize, count_min: usize, bytes_max: usize) -> Vec<C> {
        let (mut bytes, mut count) = (0, 0);
        let fits = |command: &C| {
            bytes += command.bytes() + ENTRY_BYTES;
            count += 1;
            count <= count_min || bytes <= bytes_max
        };
        self.contents.commands(from).take_while(fits).collect()
    }
}

/// The snapshot that a leader sends.
#[derive(Clone, Debug)]
pub(super) struct Sending<C> {
    snapshot: Option<Snapshot<C>>,
    /// The followers that wait for the first chunk of a snapshot that does not exist yet.
    wanted: ReplicaSet,
}

impl<C> Sending<C> {
    pub const fn new() -> Sending<C> {
        Sending { snapshot: None, wanted: ReplicaSet::EMPTY }
    }

    /// Drops the transfers in progress.
    pub fn abandon(&mut self) {
        *self = Sending::new();
    }
}

impl<C: Payload, R: Rules> Raft<C, R> {
    /// Drops all entries of the log up to this index, which must be committed. Followers that lack some of them get a
    /// snapshot. If there is a disk, `snapshot` makes one of the applied state, which replaces them there, and is
    /// written little by little. Not to be called while one is being written.
    #[cold]
    pub fn compact(&mut self, index: Index, snapshot: impl FnOnce() -> Snapshot<C>, out: &mut impl Effects<C>) {
        self.server.hard.compact(index, self.server.commit_index(), snapshot, out);
        if let State::Leader(leader) = &mut self.role {
            leader.let_go_of_snapshot();
        }
    }

    /// Whether a snapshot is being written to the disk.
    #[inline]
    pub fn is_writing_snapshot(&self) -> bool {
        self.server.hard.is_writing()
    }

    /// Whether a snapshot of the applied state is wanted, to be handed in by [`Raft::offer_snapshot`] before the next
    /// input.
    #[inline]
    pub fn wants_snapshot(&self) -> bool {
        matches!(&self.role, State::Leader(leader) if !leader.sending.wanted.is_empty())
    }

    /// Hands in a snapshot and sends its first chunk to the followers that need it.
    #[cold]
    pub fn offer_snapshot(&mut self, now: Time, snapshot: Snapshot<C>, out: &mut impl Effects<C>) {
        let State::Leader(leader) = &mut self.role else { return };
        let wanted = std::mem::replace(&mut leader.sending.wanted, ReplicaSet::EMPTY);
        let base = self.server.hard.log().first_index() - 1;
        let useful = (base..=self.server.commit_index()).contains(&snapshot.last_index);
        assert!(useful, "a snapshot ends where the log goes on");
        leader.sending.snapshot = Some(snapshot);
        for to in wanted.iter() {
            leader.push_part(&self.server, now, to, out);
        }
    }

    /// The approximate size in bytes of the snapshot that is being sent to some follower; 0 if there is none. The log
    /// may exceed its limit by this much before it is compacted, because the follower needs the entries after the
    /// snapshot.
    pub fn snapshot_bytes(&self) -> usize {
        let State::Leader(leader) = &self.role else { return 0 };
        let needed = leader.followers.iter().any(|follower| follower.fetch.is_some());
        leader.sending.snapshot.as_ref().filter(|_| needed).map_or(0, Snapshot::bytes)
    }

    /// Takes out a received snapshot. The log continues after it, and everything up to there is committed.
    #[inline]
    pub fn take_snapshot(&mut self) -> Option<Snapshot<C>> {
        // This is called after each input, and mostly there is none.
        self.installed.as_ref()?;
        self.installed.take()
    }
}

impl<C: Payload> Leader<C> {
    /// Sends a follower the next chunk of the leader's state. If there is no snapshot that the log continues, one is
    /// requested, and the chunk is sent when it is there.
    pub fn send_part<R: Rules>(&mut self, server: &Server<C, R>, now: Time, to: ReplicaId, out: &mut impl Effects<C>) {
        self.followers[server.place(to)].handle_part_sent(now, &server.config);
        let base = server.hard.log().first_index() - 1;
        if self.sending.snapshot.as_ref().is_some_and(|snapshot| snapshot.last_index >= base) {
            self.push_part(server, now, to, out);
        } else {
            self.sending.snapshot = None;
            self.sending.wanted.insert(to);
        }
    }

    fn push_part<R: Rules>(&mut self, server: &Server<C, R>, now: Time, to: ReplicaId, out: &mut impl Effects<C>) {
        let Some(snapshot) = &self.sending.snapshot else { return };
        let fetch = self.followers[server.place(to)].fetch.get_or_insert_default();
        if fetch.index != snapshot.last_index {
            *fetch = Fetch { index: snapshot.last_index, count: 0 };
        }
        let commands = snapshot.chunk(fetch.count, 1, server.config.batch_bytes_max);
        let part = InstallSnapshot {
            term: server.term(),
            last_index: snapshot.last_index,
            last_term: snapshot.last_term,
            digest: snapshot.digest,
            offset: fetch.count as u64,
            done: fetch.count + commands.len() == snapshot.contents.len(),
            sent: now,
            commands,
        };
        out.send(to, Message::InstallSnapshot(Box::new(part)));
    }

    /// A follower has answered the newest chunk with the number of commands that it has. Sends the next chunk.
    #[cold]
    pub fn handle_received<R: Rules>(
        &mut self,
        server: &Server<C, R>,
        now: Time,
        from: ReplicaId,
        (index, count): (Index, u64),
        out: &mut impl Effects<C>,
    ) {
        let known = self.sending.snapshot.as_ref().map_or(0, |snapshot| snapshot.contents.len());
        let fetch = &mut self.followers[server.place(from)].fetch;
        if let Some(fetch) = fetch.as_mut().filter(|fetch| fetch.index == index) {
            fetch.count = usize::try_from(count).unwrap_or(known).min(known);
            self.send_part(server, now, from, out);
        }
    }

    /// The snapshot is kept only as long as it is being sent to some follower.
    pub fn let_go_of_snapshot(&mut self) {
        if self.followers.iter().all(|follower| follower.fetch.is_none()) {
            self.sending.snapshot = None;
        }
    }
}
