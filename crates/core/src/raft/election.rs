//! Elections: sections 5.2 and 5.4.1 of the paper, with pre-vote (thesis 9.6).

use super::{AppendOutcome, AppendReply, Effects, Message, Payload, Raft, RequestVote, Role, Rule, Term, Vote};
use crate::id::{ReplicaId, ReplicaSet};
use crate::time::{Span, Time};

impl<C: Payload> Raft<C> {
    /// Campaigns, since no leader was heard from for too long. Before the first term nobody can lead, so nobody could
    /// be disturbed and a pre-vote would only cost time and messages.
    pub(super) fn campaign(&mut self, now: Time, out: &mut impl Effects<C>) {
        if self.term == 0 { self.become_candidate(now, out) } else { self.become_pre_candidate(now, out) }
    }

    /// Begins to ask whether it would be elected. Its term stays what it is.
    fn become_pre_candidate(&mut self, now: Time, out: &mut impl Effects<C>) {
        self.role = Role::PreCandidate;
        self.leader = None;
        self.votes = ReplicaSet::EMPTY;
        self.votes.insert(self.id);
        self.ask_for_votes(now, out);
    }

    /// Begins a new term and asks to be elected in it.
    pub(super) fn become_candidate(&mut self, now: Time, out: &mut impl Effects<C>) {
        self.role = Role::Candidate;
        self.leader = None;
        self.term += 1;
        self.early.clear();
        self.snapshots.abandon();
        self.voted_for = Some(self.id);
        self.votes = ReplicaSet::EMPTY;
        self.votes.insert(self.id);
        self.draw_election_timeout();
        self.election_deadline = now + self.election_timeout;
        self.rounds = 0;
        self.ask_for_votes(now, out);
    }

    /// Asks all whose vote, or pre-vote, it does not have; again and again, ever more rarely, since the question or the
    /// answer may be lost and since a refused pre-vote may be granted later.
    pub(super) fn ask_for_votes(&mut self, now: Time, out: &mut impl Effects<C>) {
        let pre = self.role == Role::PreCandidate;
        let term = if pre { self.term + 1 } else { self.term };
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        let handed_over = !pre && self.handed_over == Some(term);
        let asked = self.others().filter(|&other| !self.votes.contains(other));
        for other in asked {
            out.send(other, Message::RequestVote(RequestVote { term, last_index, last_term, pre, handed_over }));
        }
        // Where all campaign, all ask all others. A network that takes one message after another needs time with the
        // square then. Large clusters that ask again too soon keep it so busy that no answer comes in time.
        let crowd = 1 + (self.replicas * self.replicas) as u64 / 1_024;
        let guess = self.config.round_trip_guess.nanos().saturating_mul(crowd);
        let pause = guess.saturating_mul(1 << self.rounds.min(20)).min(self.config.election_timeout_max.nanos());
        self.rounds = self.rounds.saturating_add(1);
        // Up to a quarter more, so that rivals do not stay in step.
        self.ask_again = now + Span(pause + self.dice.between(0, pause / 4));
    }

    /// A candidate asks for a vote, or whether it would get one.
    pub(super) fn handle_request_vote(
        &mut self,
        now: Time,
        from: ReplicaId,
        request: &RequestVote,
        out: &mut impl Effects<C>,
    ) {
        if self.is_absurd(request.term) || request.last_term >= request.term {
            return self.ignore();
        }
        // This leader may have handed over to the candidate; then its own vote may be needed.
        let successor = self.lease_given_up && request.handed_over && request.term > self.term;
        if self.role == Role::Leader && request.term >= self.term && !successor {
            // It still leads, or will notice by itself that it does not; the candidate has missed that.
            self.send_append(now, from, out);
            return self.drive(now, out);
        }
        let loyal = self.is_loyal(now);
        let newer = (request.last_term, request.last_index) >= (self.log.last_term(), self.log.last_index())
            || !self.rules.keep(Rule::VoteForUpToDateLogs);
        if request.pre {
            let granted = !loyal && newer && request.term > self.term;
            let term = if granted { request.term } else { self.term };
            return out.send(from, Message::Vote(Vote { term, granted, pre: true }));
        }
        let has_vote = request.term > self.term || (request.term == self.term && self.voted_for.is_none());
        // The leader of the term before the candidate's has given its lease up before it has handed over. Older leaders
        // have no lease, since that one was elected. But nobody has spoken for the leader of the candidate's own term,
        // if there is one already.
        let released = request.handed_over && request.term > self.term;
        if loyal && has_vote && !released {
            // The leader's lease rests on this silence (thesis 6.4.1).
            return;
        }
        if request.term > self.term {
            self.become_follower(now, request.term, None);
        }
        let free = self.voted_for.is_none_or(|candidate| candidate == from) || !self.rules.keep(Rule::VoteOnce);
        let granted = if self.rules.keep(Rule::RaiseTerm) {
            request.term == self.term && free && newer
        } else {
            request.term > self.term && newer
        };
        if granted {
            self.voted_for = Some(from).filter(|_| self.rules.keep(Rule::RaiseTerm));
            self.election_deadline = now + self.election_timeout;
        }
        out.send(from, Message::Vote(Vote { term: self.term, granted, pre: false }));
    }

    /// Whether it has heard from a leader so recently that it votes for nobody else. What it has heard of newer terms
    /// since does not matter: the leader may not have, and its lease counts on this replica.
    fn is_loyal(&self, now: Time) -> bool {
        let heard = self.contact.is_some_and(|contact| now < contact + self.config.election_timeout_min);
        heard && self.rules.keep(Rule::LoyalToLeader)
    }

    /// A replica answers a request for its vote.
    pub(super) fn handle_vote(&mut self, now: Time, from: ReplicaId, vote: Vote, out: &mut impl Effects<C>) {
        if self.is_absurd(vote.term) {
            return self.ignore();
        }
        let would_grant = vote.pre && vote.granted;
        if vote.term > self.term && !would_grant {
            return self.become_follower(now, vote.term, None);
        }
        let wanted = match self.role {
            Role::PreCandidate => vote.pre && vote.term == self.term + 1,
            Role::Candidate if !self.rules.keep(Rule::CountCurrentVotes) => true,
            Role::Candidate => !vote.pre && vote.term == self.term,
            Role::Follower | Role::Leader => false,
        };
        if !wanted || !vote.granted {
            return;
        }
        self.votes.insert(from);
        if self.votes.len() >= self.quorum() {
            match self.role {
                Role::PreCandidate => self.become_candidate(now, out),
                _ => self.become_leader(now, out),
            }
        }
    }

    /// Recognises the sender of an append as the leader of its term.
    ///
    /// False if the append is of an older term, which the sender is told, or cannot be right.
    pub(super) fn recognise_leader(
        &mut self,
        now: Time,
        from: ReplicaId,
        term: Term,
        sent: Time,
        out: &mut impl Effects<C>,
    ) -> bool {
        if term < self.term {
            let outcome = AppendOutcome::Stale;
            out.send(from, Message::AppendReply(AppendReply { term: self.term, sent, outcome }));
            return false;
        }
        // A second line of defence: where a rule is broken it would hide what follows from that.
        let other_leads = self.leader.is_some_and(|known| known != from) && self.rules.keep_all();
        let usurped = term == self.term && (self.role == Role::Leader || other_leads);
        if usurped || self.is_absurd(term) {
            // Two leaders in one term: not from a sound replica.
            self.ignore();
            return false;
        }
        if term > self.term || self.role != Role::Follower {
            self.become_follower(now, term, Some(from));
            if self.role == Role::Leader {
                return false;
            }
        }
        self.leader = Some(from);
        self.contact = Some(now);
        self.rounds = 0;
        self.election_deadline = now + self.election_timeout;
        true
    }

    /// Asks the leader, once after each contact, to show that it still leads.
    pub fn probe_leader(&mut self, now: Time, out: &mut impl Effects<C>) {
        if let Some(leader) = self.leader.filter(|_| self.can_probe()) {
            self.probed = Some(now);
            out.send(leader, Message::Probe { term: self.term });
        }
    }

    /// Whether [`Raft::probe_leader`] would do anything.
    #[inline]
    pub fn can_probe(&self) -> bool {
        let leader_elsewhere = self.leader.is_some_and(|leader| leader != self.id);
        leader_elsewhere && (self.probed.is_none() || self.probed < self.contact)
    }
}
