//! Replication: sections 5.3 and 5.4.2 of the paper; contact with followers, leases and reads (thesis 6.2 and 6.4).

use super::progress::Progress;
use super::{
    AppendEntries, AppendOutcome, AppendReply, Effects, Entry, Index, Message, Payload, Raft, Role, Rule, Term,
};
use crate::id::ReplicaId;
use crate::time::Time;

/// Up to so many followers beside the leader, a quorum's values are found by insertion, which is the fastest then.
const SMALL_QUORUM_MAX: usize = 10;

impl<C: Payload> Raft<C> {
    /// Leads from now on: begins the term with an empty entry and tells everyone.
    pub(super) fn become_leader(&mut self, now: Time, out: &mut impl Effects<C>) {
        let voted = self.voted_for == Some(self.id) || !self.rules.keep_all();
        assert!(voted && self.votes.len() >= self.quorum(), "a leader is elected");
        self.role = Role::Leader;
        self.leader = Some(self.id);
        self.elected = now;
        self.quorum_contact = None;
        self.read_asked = None;
        (self.handover, self.lease_given_up) = (None, false);
        self.rounds = 0;
        let next = self.log.last_index() + 1;
        for follower in &mut self.followers {
            follower.reset(now, next, &self.config);
        }
        self.term_start = self.log.append(Entry { term: self.term, command: None });
        for other in self.others() {
            self.send_append(now, other, out);
        }
        self.drive(now, out);
    }

    /// Appends a command to the log, if this replica leads, and returns its index. It is sent with the next timeout,
    /// which is due at once, so that several proposals share an append.
    pub fn propose(&mut self, command: C) -> Option<Index> {
        if self.role != Role::Leader {
            return None;
        }
        let index = self.log.append(Entry { term: self.term, command: Some(command) });
        self.unsent = true;
        self.timeout = Time::ZERO;
        Some(index)
    }

    /// Whether a read that came at `asked` may be answered now from all that is committed: this replica leads, knows
    /// what is committed (thesis 6.4, step 1), and either holds a lease or has been confirmed since the read came.
    #[inline]
    pub fn may_read(&self, now: Time, asked: Time) -> bool {
        let leads = self.role == Role::Leader;
        let informed = self.commit_index >= self.term_start || !self.rules.keep(Rule::ReadAfterOwnCommit);
        let confirmed = self.holds_lease(now) || self.quorum_contact >= Some(asked);
        leads && informed && (confirmed || !self.rules.keep(Rule::ReadOnlyConfirmed))
    }

    /// Whether a read would be answered now because of the lease.
    #[inline]
    pub fn holds_read_lease(&self, now: Time) -> bool {
        self.holds_lease(now) && self.may_read(now, now)
    }

    /// Sees to it that a quorum confirms this leader after `asked`, with the next timeout, which is due at once.
    pub fn confirm_for_read(&mut self, asked: Time) {
        if self.role == Role::Leader {
            self.read_asked = self.read_asked.max(Some(asked));
            self.unsent = true;
            self.timeout = Time::ZERO;
        }
    }

    /// Whether nobody else can lead now: a quorum recognised this leader so recently that it elects nobody else yet,
    /// and nobody was told to campaign nevertheless.
    #[inline]
    fn holds_lease(&self, now: Time) -> bool {
        self.is_recognised(now) && !self.lease_given_up
    }

    /// Whether a quorum recognised this leader recently.
    #[inline]
    fn is_recognised(&self, now: Time) -> bool {
        let lease = if self.rules.keep(Rule::LeaseEndsBeforeElections) {
            self.config.lease()
        } else {
            self.config.election_timeout_max
        };
        self.quorum_contact.is_some_and(|contact| now < contact + lease)
    }

    /// A leader sends what has to be sent by now:
    ///
    /// 1. what is not committed, and questions for confirmation, to as many followers as a quorum needs;
    /// 2. something to every follower whose last acknowledged contact is a heartbeat interval ago.
    ///
    /// It steps down if a quorum has been silent for too long.
    pub(super) fn drive(&mut self, now: Time, out: &mut impl Effects<C>) {
        self.unsent = false;
        if now >= self.quorum_deadline() {
            return self.become_follower(now, self.term, None);
        }
        self.advance_handover(now, out);
        let last = self.log.last_index();
        let asked = self.read_asked.filter(|&asked| Some(asked) > self.quorum_contact).unwrap_or(Time::ZERO);
        let (mut covered, mut wake) = (0, Time::NEVER);
        for follower in &mut self.followers {
            self.given_up += u64::from(follower.expire(now, &self.config));
            covered += usize::from(follower.covers(last) && follower.confirms(asked));
            wake = wake.min(follower.wake());
        }
        let missing = (self.quorum() - 1).saturating_sub(covered);
        let unsettled = self.commit_index < last || asked > Time::ZERO;
        if (missing > 0 && unsettled) || now >= wake {
            if unsettled {
                self.ask_more(now, last, asked, missing, out);
            }
            for place in 0..self.followers.len() {
                let follower = &self.followers[place];
                if now >= follower.contact_due && !follower.waiting() {
                    self.send_append(now, follower.id, out);
                }
            }
            wake = self.followers.iter().map(Progress::wake).min().unwrap_or(Time::NEVER);
        }
        self.leader_wake = wake.min(self.quorum_deadline()).min(self.handover_wake());
    }

    /// Asks so many followers more for everything up to `last`, and to confirm this leader since `asked`. First those
    /// that seem alive, and among these the one whose last contact is the longest ago.
    fn ask_more(&mut self, now: Time, last: Index, asked: Time, missing: usize, out: &mut impl Effects<C>) {
        for _ in 0..missing {
            let candidates = self.followers.iter().filter(|follower| {
                !(follower.covers(last) && follower.confirms(asked)) && follower.sendable(&self.config)
            });
            // Whoever has been asked for this already is asked again only after all others.
            let best = candidates.min_by_key(|follower| {
                let asked_already = follower.asked >= last && follower.sent >= asked;
                let behind = follower.fetch.is_some();
                (follower.suspect(&self.config), behind, follower.waiting(), asked_already, follower.acked)
            });
            // If a batch is too small for everything, the rest follows with the answer.
            let Some(best) = best.map(|follower| follower.id) else { return };
            self.send_append(now, best, out);
        }
    }

    /// Sends a follower what comes next for it, which may be nothing but a heartbeat.
    pub(super) fn send_append(&mut self, now: Time, to: ReplicaId, out: &mut impl Effects<C>) {
        let place = self.place(to);
        let follower = &mut self.followers[place];
        if follower.fetch.is_some() {
            return self.send_part(now, to, out);
        }
        let first = self.log.first_index();
        let entries = if follower.next < first {
            // It misses what was dropped, unless it has caught up elsewhere. The answer to a heartbeat tells.
            follower.next = first;
            super::Entries::new()
        } else {
            self.log.batch(follower.next, self.config.batch_bytes_max)
        };
        let prev_index = follower.next - 1;
        follower.handle_sent(now, follower.next + entries.len() as Index, self.log.last_index(), &self.config);
        let prev_term = self.log.term(prev_index).expect("a leader has what it has sent");
        let append = AppendEntries {
            term: self.term,
            prev_index,
            prev_term,
            commit_index: self.commit_index,
            sent: now,
            entries,
        };
        out.send(to, Message::AppendEntries(append));
    }

    /// A leader sends entries, or a heartbeat.
    pub(super) fn handle_append(
        &mut self,
        now: Time,
        from: ReplicaId,
        append: AppendEntries<C>,
        out: &mut impl Effects<C>,
    ) {
        if !is_well_formed(&append) {
            return self.ignore();
        }
        let (term, sent, prev_index) = (append.term, append.sent, append.prev_index);
        if !self.recognise_leader(now, from, term, sent, out) {
            return;
        }
        if !self.rules.keep(Rule::CommitWhatMatches) {
            self.commit_index = self.commit_index.max(append.commit_index.min(self.log.last_index()));
        }
        let outcome = if self.fits(&append) {
            let Some(index) = self.take_append(append) else { return self.ignore() };
            AppendOutcome::Matched { index: self.take_early(index) }
        } else {
            let outcome = self.conflict_at(prev_index);
            let gap = prev_index > self.log.last_index();
            if gap && self.early.len() < self.config.inflight_max as usize {
                self.early.push(append);
            }
            outcome
        };
        out.send(from, Message::AppendReply(AppendReply { term, sent, outcome }));
    }

    /// Whether the log has the entry before those sent. What was dropped was committed, so all leaders have the same
    /// there.
    #[inline]
    fn fits(&self, append: &AppendEntries<C>) -> bool {
        self.log.term(append.prev_index) == Some(append.prev_term)
            || append.prev_index + 1 < self.log.first_index()
            || (append.prev_index <= self.log.last_index() && !self.rules.keep(Rule::MatchPreviousTerm))
    }

    /// Takes the entries of an append that fits and returns the index up to which the log is the leader's now. None,
    /// and nothing is changed, if a committed entry is contradicted.
    #[inline]
    fn take_append(&mut self, append: AppendEntries<C>) -> Option<Index> {
        let index = append.prev_index + append.entries.len() as Index;
        if !self.take_entries(append.prev_index, append.entries) {
            return None;
        }
        // Entries beyond those just confirmed may still differ from the leader's.
        self.commit_index = self.commit_index.max(append.commit_index.min(index));
        Some(index)
    }

    /// Takes those early appends of this leader for which the gap has closed now: they are as good as late ones.
    /// Returns the index up to which the log is the leader's then, which is known to be so up to `index`.
    #[inline]
    pub(super) fn take_early(&mut self, mut index: Index) -> Index {
        while let Some(place) = self.early.iter().position(|append| self.fits(append)) {
            let append = self.early.swap_remove(place);
            index = index.max(self.take_append(append).unwrap_or(index));
        }
        index
    }

    /// Adds those entries that it does not have, after removing those of its own that contradict them. A delayed append
    /// removes nothing. False, and nothing is changed, if a committed entry is contradicted.
    fn take_entries(&mut self, prev_index: Index, entries: super::Entries<C>) -> bool {
        let index = |place: usize| prev_index + 1 + place as Index;
        let differs = |&place: &usize| self.log.term(index(place)) != Some(entries[place].term);
        // Of what was dropped, only the last term is known. It must be the same, if it is among those sent.
        let unknown = (self.log.first_index() - 1).saturating_sub(prev_index + 1) as usize;
        let Some(mut known) = (unknown..entries.len()).find(differs) else {
            if !self.rules.keep(Rule::TruncateOnlyConflicts) {
                self.log.truncate(index(entries.len()).max(self.commit_index + 1));
            }
            return true;
        };
        let first_new = index(known);
        if first_new <= self.commit_index {
            return false;
        }
        if self.rules.keep(Rule::TruncateConflicts) {
            self.log.truncate(first_new);
        } else {
            known = known.max(self.log.last_index().saturating_sub(prev_index) as usize);
        }
        for entry in entries.into_iter().skip(known) {
            debug_assert!(entry.term >= self.log.last_term() || !self.rules.keep_all(), "terms never fall in a log");
            self.log.append(entry);
        }
        true
    }

    /// Where the leader should go back to, so as to skip a whole term at a time.
    fn conflict_at(&self, prev_index: Index) -> AppendOutcome {
        match self.log.term(prev_index) {
            None => AppendOutcome::Conflict { index: self.log.last_index() + 1, term: None },
            Some(term) => {
                let before = self.log.last_up_to_term(term.saturating_sub(1));
                AppendOutcome::Conflict { index: before + 1, term: Some(term) }
            }
        }
    }

    /// A follower answers an append.
    pub(super) fn handle_append_reply(
        &mut self,
        now: Time,
        from: ReplicaId,
        reply: &AppendReply,
        out: &mut impl Effects<C>,
    ) {
        if self.is_absurd(reply.term) {
            return self.ignore();
        }
        if reply.term > self.term {
            return self.become_follower(now, reply.term, None);
        }
        // A follower's late answer to a leader before may be of the very term in which this replica leads now.
        if self.role != Role::Leader || reply.term < self.term || reply.outcome == AppendOutcome::Stale {
            return;
        }
        let last = self.log.last_index();
        let possible = match reply.outcome {
            AppendOutcome::Matched { index } => index <= last,
            AppendOutcome::Conflict { index, term } => {
                (1..=last).contains(&index) && term.is_none_or(|term| (1..=self.term).contains(&term))
            }
            AppendOutcome::Received { index, .. } => (1..=last).contains(&index),
            AppendOutcome::Stale => false,
        };
        if !possible || reply.sent < self.elected || reply.sent > now {
            return self.ignore();
        }
        let place = self.place(from);
        let follower = &mut self.followers[place];
        // Appends that overtook each other are refused one after another. Only the answer to the newest one says that
        // nothing under way will fill the gap; to step back at each would send everything again and again.
        let newest = reply.sent >= follower.sent;
        follower.handle_answer(now, reply.sent, &self.config);
        let mut matched_next = None;
        match reply.outcome {
            AppendOutcome::Matched { index } => {
                let index = if self.rules.keep(Rule::MatchWhatIsConfirmed) { index } else { follower.asked.max(index) };
                follower.handle_match(index, newest);
                matched_next = Some(follower.next);
                if follower.fetch.is_some() && follower.matched + 1 >= self.log.first_index() {
                    follower.fetch = None;
                    self.let_go_of_snapshot();
                }
                self.advance_commit(index);
            }
            AppendOutcome::Conflict { index, term } if newest && self.rules.keep(Rule::BackUpOnConflict) => {
                let back = self.index_before_conflict(index, term);
                let follower = &mut self.followers[place];
                follower.handle_conflict(back);
                if follower.next < self.log.first_index() {
                    // It cannot be served from the log any more.
                    follower.fetch.get_or_insert_default();
                }
                self.send_append(now, from, out);
            }
            AppendOutcome::Received { index, count } if newest => self.handle_received(now, from, (index, count), out),
            _ => {}
        }
        if Some(reply.sent) > self.quorum_contact {
            let contact = Time(self.quorum_value(|follower| follower.acked.nanos()));
            self.quorum_contact = Some(contact).filter(|&contact| contact >= self.elected);
        }
        self.drive(now, out);
        if let Some(next) = matched_next {
            self.continue_batches(now, place, next, out);
        }
    }

    /// Sends a follower its next batch if the last one was cut short. One that is behind by more than a batch gets one
    /// after another, whether a quorum needs it or not: with a batch per heartbeat it might never catch up. What has
    /// been proposed since the newest append is no reason to send another. If it has been sent something beyond `next`
    /// already, that will do.
    fn continue_batches(&mut self, now: Time, place: usize, next: Index, out: &mut impl Effects<C>) {
        let follower = &self.followers[place];
        let more = follower.cut_short && follower.next == next && next <= self.log.last_index();
        if self.role == Role::Leader && more && follower.sendable(&self.config) {
            self.send_append(now, follower.id, out);
            self.leader_wake = self.leader_wake.min(self.followers[place].wake());
        }
    }

    /// Where to try next: after the last entry of the conflicting term, if the leader has some of that term too; else
    /// where that term begins in the follower's log (end of section 5.3).
    fn index_before_conflict(&self, index: Index, term: Option<Term>) -> Index {
        let Some(term) = term else { return index };
        let last = self.log.last_up_to_term(term);
        if self.log.term(last) == Some(term) { last + 1 } else { index }
    }

    /// Commits what a quorum has, if it is of this term (5.4.2); earlier entries are committed along with it.
    fn advance_commit(&mut self, matched: Index) {
        let counts = |index| self.log.term(index) == Some(self.term) || !self.rules.keep(Rule::CommitOwnTerm);
        if matched <= self.commit_index || !counts(matched) {
            return;
        }
        let index = self.quorum_value(|follower| follower.matched);
        if index > self.commit_index && counts(index) {
            self.commit_index = index;
        }
    }

    /// The highest value that so many followers have reached that, with the leader, they are a quorum.
    #[inline]
    fn quorum_value(&self, value: impl Fn(&Progress) -> u64) -> u64 {
        let times = if self.rules.keep(Rule::CountFollowersOnce) { 1 } else { 2 };
        let values = self.followers.iter().flat_map(|follower| std::iter::repeat_n(value(follower), times));
        nth_highest(self.quorum() - 1, values)
    }

    /// A follower asks this replica to show that it leads. It does, if it can be sure of that.
    pub(super) fn handle_probe(&mut self, now: Time, from: ReplicaId, term: Term, out: &mut impl Effects<C>) {
        if self.is_absurd(term) {
            return self.ignore();
        }
        if self.role == Role::Leader && self.is_recognised(now) {
            self.send_append(now, from, out);
            self.drive(now, out);
        }
    }

    /// When the leader steps down unless a quorum is heard from.
    fn quorum_deadline(&self) -> Time {
        self.quorum_contact.unwrap_or(self.elected) + self.config.election_timeout_max
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

/// The n-th highest of these values, of which there are so many; 0 if n is.
#[inline]
fn nth_highest(n: usize, values: impl Iterator<Item = u64>) -> u64 {
    let mut highest = [0; SMALL_QUORUM_MAX];
    let Some(highest) = highest.get_mut(..n) else {
        let mut values: Vec<u64> = values.collect();
        return *values.select_nth_unstable_by(n - 1, |one, other| other.cmp(one)).1;
    };
    // The highest so far, in descending order.
    for mut candidate in values {
        for slot in &mut *highest {
            if candidate > *slot {
                std::mem::swap(slot, &mut candidate);
            }
        }
    }
    highest.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::REPLICAS_MAX;
    use crate::rng::Stream;

    #[test]
    fn what_a_quorum_has_reached_is_found_in_clusters_of_all_sizes() {
        let mut dice = Stream::new(1, "quorums");
        for followers in 1..REPLICAS_MAX {
            let values: Vec<u64> = (0..followers).map(|_| dice.between(0, 40)).collect();
            let mut sorted = values.clone();
            sorted.sort_unstable_by(|one, other| other.cmp(one));
            for n in 1..=followers {
                assert_eq!(nth_highest(n, values.iter().copied()), sorted[n - 1], "{n} of {values:?}");
            }
        }
    }
}
