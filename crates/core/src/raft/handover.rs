//! Leadership transfer: section 3.10 of the thesis.

use super::role::{Leader, State};
use super::server::Server;
use super::{Effects, Index, Message, Payload, Raft, Rules, Term};
use crate::id::ReplicaId;
use crate::time::Time;

/// How a leader hands over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handover {
    /// The successor.
    to: ReplicaId,
    /// If the successor does not lead by then, this leader takes on requests again.
    until: Time,
    /// When to tell the successor to campaign, for the first time or again; never before it has the whole log.
    tell: Time,
}

impl<C: Payload, R: Rules> Raft<C, R> {
    /// Hands leadership over to the most up-to-date follower in contact, and returns it. None if this replica does not
    /// lead, or no follower is in contact. A handover that is under way continues.
    ///
    /// While [`Raft::is_handing_over`], nothing more should be proposed, so that the successor can catch up. If the
    /// successor does not lead after an election timeout, the leader continues as before, but without the lease, which
    /// it has given up for the rest of its term.
    pub fn hand_over(&mut self, now: Time, out: &mut impl Effects<C>) -> Option<ReplicaId> {
        let State::Leader(leader) = &mut self.role else { return None };
        if let Some(under_way) = &leader.handover {
            return Some(under_way.to);
        }
        let config = &self.server.config;
        let recent = |contact: Time| contact > Time::ZERO && now < contact + config.election_timeout_min;
        let candidates = leader.followers.iter();
        let candidates = candidates.filter(|follower| recent(follower.acked) && !follower.suspect(config));
        let to = candidates.max_by_key(|follower| (follower.matched, follower.acked))?.id;
        leader.handover = Some(Handover { to, until: now + config.election_timeout_min, tell: Time::NEVER });
        leader.advance_handover(&mut self.server, now, out);
        self.drive(now, out);
        self.timeout = self.next_timeout();
        Some(to)
    }

    /// Whether this leader is handing over, so that it should take on nothing more.
    #[inline]
    pub fn is_handing_over(&self) -> bool {
        matches!(&self.role, State::Leader(leader) if leader.handover.is_some())
    }

    /// The leader tells this follower to campaign at once. The follower skips the pre-vote, because the leader wants it
    /// to campaign.
    #[cold]
    pub(super) fn handle_timeout_now(&mut self, now: Time, from: ReplicaId, term: Term, out: &mut impl Effects<C>) {
        if self.server.is_absurd(term) {
            return self.server.ignore();
        }
        // A late message of an older term's leader is void.
        if let State::Follower(follower) = &self.role
            && term == self.server.term()
            && follower.leader == Some(from)
        {
            self.become_candidate(now, true, out);
        }
    }
}

impl<C: Payload> Leader<C> {
    /// Gives the successor the rest of the log, and then tells it to campaign.
    #[inline]
    pub fn advance_handover<R: Rules>(&mut self, server: &mut Server<C, R>, now: Time, out: &mut impl Effects<C>) {
        if self.handover.is_some() {
            self.advance(server, now, out);
        }
    }

    fn advance<R: Rules>(&mut self, server: &mut Server<C, R>, now: Time, out: &mut impl Effects<C>) {
        let Some(mut handover) = self.handover else { return };
        if now >= handover.until {
            self.handover = None;
            return;
        }
        let last: Index = server.hard.log().last_index();
        let follower = &self.followers[server.place(handover.to)];
        if follower.matched == last {
            if handover.tell == Time::NEVER || now >= handover.tell {
                // From now on the successor can be elected at any time, also by replicas that hear from this leader. So
                // this leader must no longer answer reads by itself (thesis 6.4.1). The message may arrive late, even
                // after this leader has abandoned the handover. So the lease does not come back in this term.
                self.lease_given_up = true;
                out.send(handover.to, Message::TimeoutNow { term: server.term() });
                handover.tell = now + server.config.round_trip_guess;
            }
            self.handover = Some(handover);
            return;
        }
        // Its log may turn out to be shorter than it seemed, because an older refusal comes late. The leader tells it again once it has
        // the whole log; to wake up for that before would be in vain.
        self.handover = Some(Handover { tell: Time::NEVER, ..handover });
        if !follower.covers(last) && follower.sendable(&server.config) {
            self.send_append(server, now, handover.to, out);
        }
    }

    /// When the handover must be checked again.
    pub fn handover_wake(&self) -> Time {
        self.handover.map_or(Time::NEVER, |handover| handover.until.min(handover.tell))
    }
}
