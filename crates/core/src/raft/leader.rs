//! Leading: replication (sections 5.3 and 5.4.2), contact with followers, leases and reads (thesis 6.2 and 6.4).

use super::progress::Progress;
use super::role::{Leader, State};
use super::server::Server;
use super::snapshot::Sending;
use super::{AppendEntries, AppendOutcome, AppendReply, Effects, Entries, Entry, Index, Message, Payload, Raft};
use super::{Rule, Rules, Term};
use crate::id::ReplicaId;
use crate::time::Time;

/// Up to this many followers beside the leader, a quorum's values are found by insertion, which is the fastest then.
const SMALL_QUORUM_MAX: usize = 10;

impl<C: Payload, R: Rules> Raft<C, R> {
    /// Appends a command to the log, if this replica leads, and returns its index. It is sent on the next timeout,
    /// which is due at once, so that several proposals share an append.
    pub fn propose(&mut self, command: C, out: &mut impl Effects<C>) -> Option<Index> {
        let State::Leader(leader) = &mut self.role else { return None };
        let term = self.server.term();
        let index = self.server.hard.append(Entry { term, command: Some(command) }, out);
        leader.unsent = true;
        self.timeout = Time::ZERO;
        Some(index)
    }

    /// Whether a read that came at `asked` may be answered now from all that is committed: this replica leads, knows
    /// what is committed (thesis 6.4, step 1), and either holds a lease or has been confirmed since the read came.
    #[inline]
    pub fn may_read(&self, now: Time, asked: Time) -> bool {
        let State::Leader(leader) = &self.role else { return false };
        let server = &self.server;
        let informed = server.commit_index() >= leader.term_start || !server.rules.keep(Rule::ReadAfterOwnCommit);
        let confirmed = leader.holds_lease(server, now) || leader.quorum_contact >= Some(asked);
        informed && (confirmed || !server.rules.keep(Rule::ReadOnlyConfirmed))
    }

    /// Whether a read would be answered now because of the lease.
    #[inline]
    pub fn holds_read_lease(&self, now: Time) -> bool {
        let State::Leader(leader) = &self.role else { return false };
        leader.holds_lease(&self.server, now) && self.may_read(now, now)
    }

    /// Has a quorum confirm this leader after `asked`, on the next timeout, which is due at once.
    pub fn confirm_for_read(&mut self, asked: Time) {
        if let State::Leader(leader) = &mut self.role {
            leader.read_asked = leader.read_asked.max(Some(asked));
            leader.unsent = true;
            self.timeout = Time::ZERO;
        }
    }

    /// A leader sends the messages that are due. It steps down if a quorum has been silent for too long.
    pub(super) fn drive(&mut self, now: Time, out: &mut impl Effects<C>) {
        let State::Leader(leader) = &mut self.role else { return };
        if now >= leader.quorum_deadline(&self.server) {
            return self.become_follower(now, self.server.term(), None, out);
        }
        leader.drive(&mut self.server, now, out);
    }

    /// Sends a follower its next entries, if this replica leads.
    pub(super) fn send_append(&mut self, now: Time, to: ReplicaId, out: &mut impl Effects<C>) {
        if let State::Leader(leader) = &mut self.role {
            leader.send_append(&mut self.server, now, to, out);
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
        let term = self.server.term();
        if self.server.is_absurd(reply.term) {
            return self.server.ignore();
        }
        if reply.term > term {
            return self.become_follower(now, reply.term, None, out);
        }
        // A follower's late answer to an earlier leader may be of the very term in which this replica leads now.
        let State::Leader(leader) = &mut self.role else { return };
        if reply.term < term || reply.outcome == AppendOutcome::Stale {
            return;
        }
        if !leader.is_possible(&self.server, now, reply) {
            return self.server.ignore();
        }
        let matched_next = leader.take_reply(&mut self.server, now, from, reply, out);
        self.drive(now, out);
        if let State::Leader(leader) = &mut self.role
            && let Some(next) = matched_next
        {
            leader.continue_batches(&mut self.server, now, from, next, out);
        }
    }

    /// A follower asks this replica to show that it leads. It answers only if it is sure of that.
    #[cold]
    pub(super) fn handle_probe(&mut self, now: Time, from: ReplicaId, term: Term, out: &mut impl Effects<C>) {
        if self.server.is_absurd(term) {
            return self.server.ignore();
        }
        let State::Leader(leader) = &self.role else { return };
        if leader.is_recognised(&self.server, now) {
            self.send_append(now, from, out);
            self.drive(now, out);
        }
    }

    /// More entries are on the leader's own disk: it counts itself for them.
    pub(super) fn count_own_disk(&mut self, now: Time, out: &mut impl Effects<C>) {
        let State::Leader(leader) = &mut self.role else { return };
        leader.advance_commit(&mut self.server, Index::MAX);
        self.drive(now, out);
    }

    /// Keeps leading after a restart as if nothing had happened, which only a broken Raft does.
    pub(super) fn lead_on(&mut self, now: Time) {
        if self.server.hard.vote() == Some(self.server.id) {
            let mut leader = Leader::new(now, &self.server, self.server.hard.log().last_index());
            leader.quorum_contact = Some(now);
            leader.wake = now;
            self.role = State::Leader(Box::new(leader));
        }
    }
}

impl<C: Payload> Leader<C> {
    /// A leader that has just been elected: its term begins with an empty entry.
    pub fn elected<R: Rules>(now: Time, server: &mut Server<C, R>, out: &mut impl Effects<C>) -> Leader<C> {
        let term = server.term();
        let next = server.hard.log().last_index() + 1;
        let mut leader = Leader::new(now, server, next);
        leader.term_start = server.hard.append(Entry { term, command: None }, out);
        leader
    }

    fn new<R: Rules>(now: Time, server: &Server<C, R>, next: Index) -> Leader<C> {
        let next = next.max(1);
        let progress = |(id, round_trip)| Progress::new(id, next, now + server.config.heartbeat, round_trip);
        Leader {
            followers: server.others().zip(server.round_trips.iter().copied()).map(progress).collect(),
            elected: now,
            term_start: next,
            quorum_contact: None,
            read_asked: None,
            handover: None,
            lease_given_up: false,
            unsent: false,
            disk_due: Time::NEVER,
            disk_reached: 0,
            wake: Time::NEVER,
            sending: Sending::new(),
        }
    }

    /// Whether no other replica can lead now: a quorum recognised this leader so recently that it elects no other yet,
    /// and this leader has not told any follower to campaign.
    #[inline]
    fn holds_lease<R: Rules>(&self, server: &Server<C, R>, now: Time) -> bool {
        self.is_recognised(server, now) && !self.lease_given_up
    }

    /// Whether a quorum recognised this leader recently.
    #[inline]
    fn is_recognised<R: Rules>(&self, server: &Server<C, R>, now: Time) -> bool {
        let lease = if !server.rules.keep(Rule::LeaseEndsBeforeElections) {
            server.config.election_timeout_max
        } else if !server.rules.keep(Rule::LeaseAllowsForDrift) {
            server.config.election_timeout_min
        } else {
            server.config.lease()
        };
        self.quorum_contact.is_some_and(|contact| now < contact + lease)
    }

    /// When the leader steps down unless a quorum is heard from (check-quorum, thesis 6.2).
    fn quorum_deadline<R: Rules>(&self, server: &Server<C, R>) -> Time {
        self.quorum_contact.unwrap_or(self.elected) + server.config.election_timeout_max
    }

    /// Sends the messages that are due:
    ///
    /// 1. uncommitted entries, and requests for confirmation, to as many followers as a quorum needs;
    /// 2. something to every follower whose last acknowledged contact is a heartbeat interval ago.
    fn drive<R: Rules>(&mut self, server: &mut Server<C, R>, now: Time, out: &mut impl Effects<C>) {
        self.unsent = false;
        self.advance_handover(server, now, out);
        let last = server.hard.log().last_index();
        let asked = self.read_asked.filter(|&asked| Some(asked) > self.quorum_contact).unwrap_or(Time::ZERO);
        let (mut covered, mut wake) = (0, Time::NEVER);
        for follower in &mut self.followers {
            server.given_up += u64::from(follower.expire(now, &server.config));
            covered += usize::from(follower.covers(last) & follower.confirms(asked));
            wake = wake.min(follower.wake());
        }
        let needed = if server.hard.is_durable() && self.is_disk_late(server, now, last) {
            server.quorum()
        } else {
            server.quorum() - 1
        };
        let missing = needed.saturating_sub(covered);
        let unsettled = server.commit_index() < last || asked > Time::ZERO;
        if (missing > 0 && unsettled) || now >= wake {
            if unsettled {
                self.ask_more(server, now, last, asked, missing, out);
            }
            for place in 0..self.followers.len() {
                let follower = &self.followers[place];
                if now >= follower.contact_due && !follower.waiting() {
                    self.send_append(server, now, follower.id, out);
                }
            }
            wake = self.followers.iter().map(Progress::wake).min().unwrap_or(Time::NEVER);
        }
        let disk = if now < self.disk_due { self.disk_due } else { Time::NEVER };
        self.wake = wake.min(self.quorum_deadline(server)).min(self.handover_wake()).min(disk);
    }

    /// Whether its own disk is behind the log and has made no progress for too long. Then the leader should not wait
    /// for it.
    fn is_disk_late<R: Rules>(&mut self, server: &Server<C, R>, now: Time, last: Index) -> bool {
        let reached = server.hard.durable_index();
        if reached > self.disk_reached || reached >= last {
            (self.disk_reached, self.disk_due) = (reached, Time::NEVER);
        }
        if reached < last && self.disk_due == Time::NEVER {
            self.disk_due = now + server.config.round_trip_guess;
        }
        now >= self.disk_due
    }

    /// Asks this many more followers to acknowledge everything up to `last`, and to confirm this leader since `asked`.
    /// Followers that seem alive come first, and among these the one whose last contact is the longest ago.
    fn ask_more<R: Rules>(
        &mut self,
        server: &mut Server<C, R>,
        now: Time,
        last: Index,
        asked: Time,
        missing: usize,
        out: &mut impl Effects<C>,
    ) {
        for _ in 0..missing {
            let candidates = self.followers.iter().filter(|follower| {
                !(follower.covers(last) && follower.confirms(asked)) && follower.sendable(&server.config)
            });
            // A follower that has been asked already is asked again only after all others.
            let best = candidates.min_by_key(|follower| {
                let asked_already = follower.asked >= last && follower.sent >= asked;
                let behind = follower.fetch.is_some();
                (follower.suspect(&server.config), behind, follower.waiting(), asked_already, follower.acked)
            });
            // If a batch is too small for everything, the rest follows with the answer.
            let Some(best) = best.map(|follower| follower.id) else { return };
            self.send_append(server, now, best, out);
        }
    }

    /// Sends a follower its next entries, or only a heartbeat.
    pub fn send_append<R: Rules>(
        &mut self,
        server: &mut Server<C, R>,
        now: Time,
        to: ReplicaId,
        out: &mut impl Effects<C>,
    ) {
        let follower = &mut self.followers[server.place(to)];
        if follower.fetch.is_some() {
            return self.send_part(server, now, to, out);
        }
        let log = server.hard.log();
        let first = log.first_index();
        let entries = if follower.next < first {
            // The follower misses dropped entries, unless it has caught up elsewhere. The answer to a heartbeat shows
            // that.
            follower.next = first;
            Entries::new()
        } else {
            log.batch(follower.next, server.config.batch_bytes_max)
        };
        let prev_index = follower.next - 1;
        follower.handle_sent(now, follower.next + entries.len() as Index, log.last_index(), &server.config);
        let append = AppendEntries {
            term: server.term(),
            prev_index,
            prev_term: log.term(prev_index).expect("a leader has what it has sent"),
            commit_index: server.commit_index(),
            sent: now,
            entries,
        };
        out.send(to, Message::AppendEntries(append));
    }

    /// Whether a follower of this leader could send this reply.
    fn is_possible<R: Rules>(&self, server: &Server<C, R>, now: Time, reply: &AppendReply) -> bool {
        let last = server.hard.log().last_index();
        let possible = match reply.outcome {
            AppendOutcome::Matched { index } => index <= last,
            AppendOutcome::Conflict { index, term } => {
                (1..=last).contains(&index) && term.is_none_or(|term| (1..=server.term()).contains(&term))
            }
            AppendOutcome::Received { index, .. } => (1..=last).contains(&index),
            AppendOutcome::Stale => false,
        };
        possible && (self.elected..=now).contains(&reply.sent)
    }

    /// Takes a follower's answer in. If its log matches, returns its next index.
    fn take_reply<R: Rules>(
        &mut self,
        server: &mut Server<C, R>,
        now: Time,
        from: ReplicaId,
        reply: &AppendReply,
        out: &mut impl Effects<C>,
    ) -> Option<Index> {
        let follower = &mut self.followers[server.place(from)];
        // Appends that overtook each other are refused one after another. Only the answer to the newest one shows that
        // no append in flight will fill the gap. A step back at each refusal would send everything again and again.
        let newest = reply.sent >= follower.sent;
        let repeated = follower.has_answered(reply.sent);
        if !repeated {
            follower.handle_answer(now, reply.sent, &server.config);
        }
        let mut matched_next = None;
        match reply.outcome {
            AppendOutcome::Matched { index } => {
                let confirmed = server.rules.keep(Rule::MatchWhatIsConfirmed);
                let index = if confirmed { index } else { follower.asked.max(index) };
                follower.handle_match(index, newest);
                matched_next = Some(follower.next).filter(|_| !repeated);
                if follower.fetch.is_some() && follower.matched + 1 >= server.hard.log().first_index() {
                    follower.fetch = None;
                    self.let_go_of_snapshot();
                }
                self.advance_commit(server, index);
            }
            _ if repeated => {}
            AppendOutcome::Conflict { index, term } if newest && server.rules.keep(Rule::BackUpOnConflict) => {
                follower.handle_conflict(index_before_conflict(server, index, term));
                if follower.next < server.hard.log().first_index() {
                    // It can no longer be served from the log.
                    follower.fetch.get_or_insert_default();
                }
                self.send_append(server, now, from, out);
            }
            AppendOutcome::Received { index, count } if newest => {
                self.handle_received(server, now, from, (index, count), out);
            }
            _ => {}
        }
        if Some(reply.sent) > self.quorum_contact {
            let contact = Time(self.quorum_value(server, server.quorum() - 1, |follower| follower.acked.nanos()));
            self.quorum_contact = Some(contact).filter(|&contact| contact >= self.elected).or(self.quorum_contact);
        }
        matched_next
    }

    /// Sends a follower its next batch if the last one was cut short. A follower that is behind by more than a batch
    /// gets one batch after another, whether a quorum needs it or not: with one batch per heartbeat it might never
    /// catch up. Commands proposed since the newest append are no reason to send another. Nothing is sent if entries
    /// beyond `next` are in flight already.
    fn continue_batches<R: Rules>(
        &mut self,
        server: &mut Server<C, R>,
        now: Time,
        to: ReplicaId,
        next: Index,
        out: &mut impl Effects<C>,
    ) {
        let place = server.place(to);
        let follower = &self.followers[place];
        let more = follower.cut_short && follower.next == next && next <= server.hard.log().last_index();
        if more && follower.sendable(&server.config) {
            self.send_append(server, now, to, out);
            self.wake = self.wake.min(self.followers[place].wake());
        }
    }

    /// Commits the entries that a quorum has on its disks, if the last of them has this term (5.4.2); earlier entries
    /// are committed along with it. `matched` bounds the new commit index: a follower has confirmed it just now.
    fn advance_commit<R: Rules>(&mut self, server: &mut Server<C, R>, matched: Index) {
        let matched = matched.min(server.hard.log().last_index());
        let of_term = |server: &Server<C, R>, index| {
            server.hard.log().term(index) == Some(server.term()) || !server.rules.keep(Rule::CommitOwnTerm)
        };
        if matched <= server.commit_index() || !of_term(server, matched) {
            return;
        }
        let index = self.reached_by_quorum(server);
        if index > server.commit_index() && of_term(server, index) {
            server.commit(index);
        }
    }

    /// The highest index up to which a quorum has the log. This leader counts for the entries on its own disk.
    fn reached_by_quorum<R: Rules>(&self, server: &Server<C, R>) -> Index {
        let others = server.quorum() - 1;
        let with_own = self.quorum_value(server, others, |follower| follower.matched);
        let own = server.hard.durable_index();
        if own >= with_own || !server.rules.keep(Rule::CountOwnSync) {
            return with_own;
        }
        // Its disk is behind: either enough others have more, or it is its own disk that decides.
        own.max(self.quorum_value(server, others + 1, |follower| follower.matched))
    }

    /// The highest value that this many followers have reached.
    #[inline]
    fn quorum_value<R: Rules>(&self, server: &Server<C, R>, count: usize, value: impl Fn(&Progress) -> u64) -> u64 {
        if !server.rules.keep(Rule::CountFollowersOnce) {
            let twice = self.followers.iter().flat_map(|follower| [value(follower); 2]);
            return nth_highest(count, twice);
        }
        nth_highest(count, self.followers.iter().map(value))
    }
}

/// Where to try next: after the last entry of the conflicting term, if the leader has some of that term too; else
/// where that term begins in the follower's log (end of section 5.3).
fn index_before_conflict<C: Payload, R: Rules>(server: &Server<C, R>, index: Index, term: Option<Term>) -> Index {
    let Some(term) = term else { return index };
    let log = server.hard.log();
    let last = log.last_up_to_term(term);
    if log.term(last) == Some(term) { last + 1 } else { index }
}

/// The same for large clusters.
#[cold]
fn nth_highest_of_many(n: usize, mut values: Vec<u64>) -> u64 {
    if n > values.len() { 0 } else { *values.select_nth_unstable_by(n - 1, |one, other| other.cmp(one)).1 }
}

/// The n-th highest of these values; 0 if n is 0, or if there are fewer.
#[inline]
fn nth_highest(n: usize, values: impl Iterator<Item = u64>) -> u64 {
    let mut highest = [0; SMALL_QUORUM_MAX];
    let Some(highest) = highest.get_mut(..n) else {
        return nth_highest_of_many(n, values.collect());
    };
    // The highest so far, in descending order. Without branches, because no processor could predict them.
    for mut candidate in values {
        for slot in &mut *highest {
            (*slot, candidate) = (candidate.max(*slot), candidate.min(*slot));
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
    fn the_index_that_a_quorum_has_reached_is_found_in_clusters_of_all_sizes() {
        let mut stream = Stream::new(1, "quorums");
        for followers in 1..REPLICAS_MAX {
            let values: Vec<u64> = (0..followers).map(|_| stream.between(0, 40)).collect();
            let mut sorted = values.clone();
            sorted.sort_unstable_by(|one, other| other.cmp(one));
            for n in 1..=followers {
                assert_eq!(nth_highest(n, values.iter().copied()), sorted[n - 1], "{n} of {values:?}");
            }
            assert_eq!(nth_highest(followers + 1, values.iter().copied()), 0);
        }
    }
}
