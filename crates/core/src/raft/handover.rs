//! Leadership transfer: section 3.10 of the thesis.

use super::{Effects, Index, Message, Payload, Raft, Role, Term};
use crate::id::ReplicaId;
use crate::time::Time;

/// How a leader hands over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handover {
    /// To whom.
    to: ReplicaId,
    /// If that one does not lead by then, this leader takes on requests again.
    until: Time,
    /// When the successor is told, or told again, to campaign; never before it has the whole log.
    tell: Time,
}

impl<C: Payload> Raft<C> {
    /// Hands leadership over to the follower that is the most up to date of those in contact, and says to which; none
    /// if this replica does not lead or nobody is in contact. If it is handing over already, that goes on.
    ///
    /// While [`Raft::is_handing_over`], nothing more should be proposed, so that the successor can catch up. If it does
    /// not lead after an election timeout, the leader goes on as before, but for the lease, which it has given up for
    /// the rest of its term.
    pub fn hand_over(&mut self, now: Time, out: &mut impl Effects<C>) -> Option<ReplicaId> {
        if self.role != Role::Leader {
            return None;
        }
        if let Some(under_way) = &self.handover {
            return Some(under_way.to);
        }
        let recent = |contact: Time| contact > Time::ZERO && now < contact + self.config.election_timeout_min;
        let candidates = self.followers.iter();
        let candidates = candidates.filter(|follower| recent(follower.acked) && !follower.suspect(&self.config));
        let to = candidates.max_by_key(|follower| (follower.matched, follower.acked))?.id;
        self.handover = Some(Handover { to, until: now + self.config.election_timeout_min, tell: Time::NEVER });
        self.advance_handover(now, out);
        self.drive(now, out);
        self.timeout = self.next_timeout();
        Some(to)
    }

    /// Whether this leader is handing over, so that it should take on nothing more.
    #[inline]
    pub fn is_handing_over(&self) -> bool {
        self.handover.is_some()
    }

    /// Sees to it that the successor gets the rest of the log, and then tells it to campaign.
    #[inline]
    pub(super) fn advance_handover(&mut self, now: Time, out: &mut impl Effects<C>) {
        if self.handover.is_some() {
            self.advance(now, out);
        }
    }

    fn advance(&mut self, now: Time, out: &mut impl Effects<C>) {
        let Some(mut handover) = self.handover else { return };
        if now >= handover.until {
            self.handover = None;
            return;
        }
        let last: Index = self.log.last_index();
        let follower = &self.followers[self.place(handover.to)];
        if follower.matched == last {
            if handover.tell == Time::NEVER || now >= handover.tell {
                // From now on the successor can be elected at any time, also by those who hear from this leader. So it
                // must not answer reads by itself any more (thesis 6.4.1). This message may arrive late, even after
                // this leader has given the handover up. So the lease does not come back in this term.
                self.lease_given_up = true;
                out.send(handover.to, Message::TimeoutNow { term: self.term });
                handover.tell = now + self.config.round_trip_guess;
            }
            self.handover = Some(handover);
        } else if !follower.covers(last) && follower.sendable(&self.config) {
            self.send_append(now, handover.to, out);
        }
    }

    /// When the handover has to be looked after again.
    pub(super) fn handover_wake(&self) -> Time {
        self.handover.map_or(Time::NEVER, |handover| handover.until.min(handover.tell))
    }

    /// The leader tells this follower to campaign at once. It asks nobody first whether it would be elected: the leader
    /// wants it.
    pub(super) fn handle_timeout_now(&mut self, now: Time, from: ReplicaId, term: Term, out: &mut impl Effects<C>) {
        if self.is_absurd(term) {
            return self.ignore();
        }
        // A late one, of a leader of an older term, has no meaning any more.
        if self.role == Role::Follower && term == self.term && self.leader == Some(from) {
            self.handed_over = Some(self.term + 1);
            self.become_candidate(now, out);
        }
    }
}
