//! Following: how a replica handles a leader's entries (section 5.3) and chunks of its state (section 7).

use std::sync::Arc;

use super::role::{Follower, Incoming, State};
use super::server::Server;
use super::{AppendEntries, AppendOutcome, AppendReply, Effects, Index, InstallSnapshot, Message, Payload, Raft, Role};
use super::{Rule, Rules, Snapshot, Term};
use crate::id::ReplicaId;
use crate::time::Time;

/// Snapshots up to this index are accepted, with the same bound for the same reason as for terms.
const INDEX_MAX: Index = 1 << 60;

impl<C: Payload, R: Rules> Raft<C, R> {
    /// A leader sends entries, or a heartbeat.
    pub(super) fn handle_append(
        &mut self,
        now: Time,
        from: ReplicaId,
        append: AppendEntries<C>,
        out: &mut impl Effects<C>,
    ) {
        if !is_well_formed(&append) {
            return self.server.ignore();
        }
        let (term, sent, prev_index) = (append.term, append.sent, append.prev_index);
        if !self.recognise_leader(now, from, term, sent, out) {
            return;
        }
        let State::Follower(follower) = &mut self.role else { return };
        let server = &mut self.server;
        if !server.rules.keep(Rule::CommitWhatMatches) {
            server.commit(append.commit_index.min(server.hard.log().last_index()));
        }
        if !server.rules.keep(Rule::DeriveCommitIndex) {
            server.hard.persist_commit(append.commit_index, out);
        }
        let outcome = if server.fits(&append) {
            let Some(index) = server.take_append(append, out) else { return server.ignore() };
            AppendOutcome::Matched { index: follower.take_early(server, index, out) }
        } else {
            let outcome = server.conflict_at(prev_index);
            let gap = prev_index > server.hard.log().last_index();
            if gap && follower.early.len() < server.config.inflight_max as usize {
                follower.early.push(append);
            }
            outcome
        };
        // The leader relies on acknowledged entries: they must be on the disk first.
        if server.rules.keep(Rule::SyncBeforeAcknowledging) {
            server.hard.sync(out);
        }
        out.send(from, Message::AppendReply(AppendReply { term, sent, outcome }));
    }

    /// Recognises the sender of an append as the leader of its term, and follows it.
    ///
    /// False if the append has an older term, in which case the sender is notified, or invalid.
    fn recognise_leader(
        &mut self,
        now: Time,
        from: ReplicaId,
        term: Term,
        sent: Time,
        out: &mut impl Effects<C>,
    ) -> bool {
        let own_term = self.server.term();
        if term < own_term {
            self.server.hard.sync(out);
            let outcome = AppendOutcome::Stale;
            out.send(from, Message::AppendReply(AppendReply { term: own_term, sent, outcome }));
            return false;
        }
        // A second line of defence: where a rule is broken, it would hide the consequences.
        let other_leads = self.leader().is_some_and(|known| known != from) && self.server.rules.keep_all();
        let usurped = term == own_term && (self.role() == Role::Leader || other_leads);
        if usurped || self.server.is_absurd(term) {
            // Two leaders in one term: not from a sound replica.
            self.server.ignore();
            return false;
        }
        if term > own_term || self.role() != Role::Follower {
            self.become_follower(now, term, Some(from), out);
        }
        let State::Follower(follower) = &mut self.role else { return false };
        follower.leader = Some(from);
        self.server.note_contact(now);
        follower.deadline = now + self.server.election_timeout;
        true
    }

    /// A leader sends a chunk of its state.
    pub(super) fn handle_part(
        &mut self,
        now: Time,
        from: ReplicaId,
        part: InstallSnapshot<C>,
        out: &mut impl Effects<C>,
    ) {
        if !is_possible(&part) {
            return self.server.ignore();
        }
        let (term, sent) = (part.term, part.sent);
        if !self.recognise_leader(now, from, term, sent, out) {
            return;
        }
        let State::Follower(follower) = &mut self.role else { return };
        let (outcome, installed) = follower.take_part(&mut self.server, part, out);
        if installed.is_some() {
            self.installed = installed;
        }
        self.server.hard.sync(out);
        out.send(from, Message::AppendReply(AppendReply { term, sent, outcome }));
    }

    /// Asks the leader, once after each contact, to show that it still leads.
    pub fn probe_leader(&mut self, now: Time, out: &mut impl Effects<C>) {
        if !self.can_probe() {
            return;
        }
        if let State::Follower(follower) = &mut self.role
            && let Some(leader) = follower.leader
        {
            follower.probed = Some(now);
            out.send(leader, Message::Probe { term: self.server.term() });
        }
    }

    /// Whether [`Raft::probe_leader`] would do anything.
    #[inline]
    pub fn can_probe(&self) -> bool {
        let State::Follower(follower) = &self.role else { return false };
        follower.leader.is_some() && (follower.probed.is_none() || follower.probed < self.server.contact)
    }
}

impl<C: Payload> Follower<C> {
    /// Takes the early appends of this leader whose gap has closed now: they are as good as late ones. The log is known
    /// to match the leader's up to `index`. Returns the index up to which it matches afterwards.
    #[inline]
    fn take_early<R: Rules>(
        &mut self,
        server: &mut Server<C, R>,
        mut index: Index,
        out: &mut impl Effects<C>,
    ) -> Index {
        while let Some(place) = self.early.iter().position(|append| server.fits(append)) {
            let append = self.early.swap_remove(place);
            index = index.max(server.take_append(append, out).unwrap_or(index));
        }
        index
    }

    /// Takes a chunk of the leader's state. Returns the state, too, when it is complete and the log continues it.
    fn take_part<R: Rules>(
        &mut self,
        server: &mut Server<C, R>,
        part: InstallSnapshot<C>,
        out: &mut impl Effects<C>,
    ) -> (AppendOutcome, Option<Snapshot<C>>) {
        let (index, term) = (part.last_index, part.last_term);
        if index <= server.commit_index() {
            return (AppendOutcome::Matched { index }, None);
        }
        if server.hard.log().term(index) == Some(term) {
            // The log has all entries that the state covers, and now knows that they are committed. Later entries are
            // kept.
            server.commit(index);
            return (AppendOutcome::Matched { index }, None);
        }
        if self.incoming.as_ref().is_none_or(|known| known.last_index < index) {
            self.incoming = Some(Incoming { last_index: index, commands: Vec::new() });
        }
        let known = self.incoming.as_mut().expect("there is one now");
        let fits = known.last_index == index && known.commands.len() as u64 == part.offset;
        if fits {
            if part.offset == 0 {
                server.hard.give_up_received();
            }
            if !part.done {
                server.hard.write_chunk(index, part.offset, &part.commands, out);
            }
            known.commands.extend(part.commands);
        }
        let received = AppendOutcome::Received { index: known.last_index, count: known.commands.len() as u64 };
        // Late and repeated chunks change nothing; a chunk that came too early is dropped.
        let Some(incoming) = self.incoming.take_if(|_| fits && part.done) else { return (received, None) };
        let contents = Arc::new(incoming.commands);
        let snapshot = Snapshot { last_index: index, last_term: term, digest: part.digest, contents };
        server.hard.install(&snapshot, server.commit_index(), out);
        server.commit(index);
        (AppendOutcome::Matched { index: self.take_early(server, index, out) }, Some(snapshot))
    }
}

/// Whether an append is one that a leader could send at all.
fn is_well_formed<C>(append: &AppendEntries<C>) -> bool {
    let fits = append.prev_index.checked_add(append.entries.len() as Index).is_some_and(|last| last < Index::MAX);
    let mut newest = append.prev_term;
    let ordered = append.entries.iter().all(|entry| {
        let rises = entry.term >= newest.max(1);
        newest = entry.term;
        rises
    });
    let rooted = (append.prev_index == 0) == (append.prev_term == 0);
    fits && ordered && rooted && newest <= append.term && append.term > 0
}

/// Whether a chunk of a state is one that a leader could send at all.
fn is_possible<C>(part: &InstallSnapshot<C>) -> bool {
    let possible = (1..=INDEX_MAX).contains(&part.last_index) && (1..=part.term).contains(&part.last_term);
    possible && (part.done || !part.commands.is_empty())
}
