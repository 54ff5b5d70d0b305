//! Elections: sections 5.2 and 5.4.1 of the paper, with pre-vote (thesis 9.6).

use super::role::{Campaign, Follower, Leader, State};
use super::server::Server;
use super::{Effects, Message, Payload, Raft, RequestVote, Role, Rule, Rules, Term, Vote};
use crate::id::{ReplicaId, ReplicaSet};
use crate::time::{Span, Time};

impl<C: Payload, R: Rules> Raft<C, R> {
    /// Campaigns, because no leader was heard from for too long. Before the first term there is no leader, so none
    /// could be disturbed and a pre-vote would only cost time and messages.
    pub(super) fn campaign(&mut self, now: Time, out: &mut impl Effects<C>) {
        if self.server.term() == 0 {
            self.become_candidate(now, false, out)
        } else {
            self.become_pre_candidate(now, out)
        }
    }

    /// Begins to ask whether it would be elected. Its term stays what it is.
    fn become_pre_candidate(&mut self, now: Time, out: &mut impl Effects<C>) {
        let campaign = Campaign::new(self.server.id, Time::NEVER, false);
        self.change_role(State::PreCandidate(campaign));
        self.ask_for_votes(now, out);
    }

    /// Begins a new term, votes for itself and asks to be elected.
    #[cold]
    pub(super) fn become_candidate(&mut self, now: Time, handed_over: bool, out: &mut impl Effects<C>) {
        let server = &mut self.server;
        server.hard.enter_term(server.term() + 1, out);
        server.hard.vote_for(server.id, out);
        server.draw_election_timeout();
        server.rounds = 0;
        let campaign = Campaign::new(server.id, now + server.election_timeout, handed_over);
        self.change_role(State::Candidate(campaign));
        self.ask_for_votes(now, out);
    }

    /// Becomes a follower: in a new term, or in the same one with its vote kept.
    pub(super) fn become_follower(
        &mut self,
        now: Time,
        term: Term,
        leader: Option<ReplicaId>,
        out: &mut impl Effects<C>,
    ) {
        if term > self.server.term() && self.server.rules.keep(Rule::RaiseTerm) {
            self.server.hard.enter_term(term, out);
            if let State::Leader(leader) = &mut self.role
                && !self.server.rules.keep(Rule::StepDownForHigherTerm)
            {
                leader.sending.abandon();
                return;
            }
        }
        self.server.draw_election_timeout();
        let deadline = now + self.server.election_timeout;
        self.change_role(State::Follower(Follower::new(leader, deadline)));
    }

    /// Becomes leader: begins the term with an empty entry and sends it to all.
    fn become_leader(&mut self, now: Time, out: &mut impl Effects<C>) {
        let State::Candidate(campaign) = self.role else { panic!("only a candidate is elected") };
        let server = &mut self.server;
        let elected = server.hard.vote() == Some(server.id) && campaign.votes.len() >= server.quorum();
        assert!(elected || !server.rules.keep_all(), "a leader is elected by a quorum, itself included");
        server.rounds = 0;
        let leader = Leader::elected(now, server, out);
        self.change_role(State::Leader(Box::new(leader)));
        for other in self.server.others() {
            self.send_append(now, other, out);
        }
        self.drive(now, out);
    }

    /// Changes role. A leader keeps its measurements for its next tenure.
    pub(super) fn change_role(&mut self, role: State<C>) {
        if let State::Leader(leader) = &self.role {
            let measured = leader.followers.iter().map(|follower| follower.round_trip);
            self.server.round_trips.clear();
            self.server.round_trips.extend(measured);
        }
        self.role = role;
    }

    /// Asks all replicas for the votes, or pre-votes, that it does not have. It repeats this with growing pauses,
    /// because the question or the answer may be lost, and a refused pre-vote may be granted later.
    #[cold]
    pub(super) fn ask_for_votes(&mut self, now: Time, out: &mut impl Effects<C>) {
        let server = &mut self.server;
        let (campaign, pre) = match &mut self.role {
            State::PreCandidate(campaign) => (campaign, true),
            State::Candidate(campaign) => (campaign, false),
            State::Follower(_) | State::Leader(_) => return,
        };
        let term = if pre { server.term() + 1 } else { server.term() };
        let (last_index, last_term) = (server.hard.log().last_index(), server.hard.log().last_term());
        let request = RequestVote { term, last_index, last_term, pre, handed_over: campaign.handed_over };
        // Its own vote must not be forgotten once others count on it.
        if server.rules.keep(Rule::SyncBeforeVoting) {
            server.hard.sync(out);
        }
        for other in server.others().filter(|&other| !campaign.votes.contains(other)) {
            out.send(other, Message::RequestVote(request));
        }
        // If all replicas campaign, each asks all others. A network that delivers one message after another then needs
        // time that grows with the square. Large clusters that ask again too soon keep it so busy that no answer comes
        // in time.
        let crowd = 1 + (server.replicas * server.replicas) as u64 / 1_024;
        let guess = server.config.round_trip_guess.nanos().saturating_mul(crowd);
        let pause = guess.saturating_mul(1 << server.rounds.min(20)).min(server.config.election_timeout_max.nanos());
        server.rounds = server.rounds.saturating_add(1);
        // Up to a quarter more, so that rivals do not stay in step.
        campaign.ask_again = now + Span(pause + server.stream.between(0, pause / 4));
    }

    /// A candidate asks for a vote, or whether it would get one: does this replica listen, does it follow the candidate
    /// into its term, does it grant the vote?
    #[cold]
    pub(super) fn handle_request_vote(
        &mut self,
        now: Time,
        from: ReplicaId,
        request: &RequestVote,
        out: &mut impl Effects<C>,
    ) {
        if self.server.is_absurd(request.term) || request.last_term >= request.term {
            return self.server.ignore();
        }
        if self.goes_on_leading(request) {
            // This replica still leads, or will notice by itself that it does not. The candidate has missed that it
            // leads.
            self.send_append(now, from, out);
            return self.drive(now, out);
        }
        if request.pre {
            return self.answer_pre_vote(now, from, request, out);
        }
        if !self.server.listens(now, request) {
            return;
        }
        if request.term > self.server.term() {
            self.become_follower(now, request.term, None, out);
        }
        let granted = self.server.grants(from, request);
        if granted {
            self.grant(now, from, out);
        }
        // The candidate counts on the vote: it must be on the disk first.
        if self.server.rules.keep(Rule::SyncBeforeVoting) {
            self.server.hard.sync(out);
        }
        out.send(from, Message::Vote(Vote { term: self.server.term(), granted, pre: false }));
    }

    /// Whether this leader keeps leading, despite the candidate's request. If it may have handed over to the candidate,
    /// its own vote may be needed.
    fn goes_on_leading(&self, request: &RequestVote) -> bool {
        let State::Leader(leader) = &self.role else { return false };
        let is_successor = leader.lease_given_up && request.handed_over && request.term > self.server.term();
        request.term >= self.server.term() && !is_successor
    }

    fn answer_pre_vote(&mut self, now: Time, from: ReplicaId, request: &RequestVote, out: &mut impl Effects<C>) {
        let server = &self.server;
        let granted = !server.is_loyal(now) && server.is_up_to_date(request) && request.term > server.term();
        let term = if granted { request.term } else { server.term() };
        server.hard.sync(out);
        out.send(from, Message::Vote(Vote { term, granted, pre: true }));
    }

    fn grant(&mut self, now: Time, candidate: ReplicaId, out: &mut impl Effects<C>) {
        self.server.hard.vote_for(candidate, out);
        if !self.server.rules.keep(Rule::RaiseTerm) {
            self.server.hard.forget_vote();
        }
        let deadline = now + self.server.election_timeout;
        match &mut self.role {
            State::Follower(follower) => follower.deadline = deadline,
            State::PreCandidate(campaign) | State::Candidate(campaign) => campaign.deadline = deadline,
            State::Leader(_) => {}
        }
    }

    /// Takes the answer to a request for a vote.
    #[cold]
    pub(super) fn handle_vote(&mut self, now: Time, from: ReplicaId, vote: Vote, out: &mut impl Effects<C>) {
        if self.server.is_absurd(vote.term) {
            return self.server.ignore();
        }
        let would_grant = vote.pre && vote.granted;
        if vote.term > self.server.term() && !would_grant {
            return self.become_follower(now, vote.term, None, out);
        }
        let server = &self.server;
        let (campaign, counts) = match &mut self.role {
            State::PreCandidate(campaign) => (campaign, vote.pre && vote.term == server.term() + 1),
            State::Candidate(campaign) => {
                let counts = !vote.pre && vote.term == server.term();
                (campaign, counts || !server.rules.keep(Rule::CountCurrentVotes))
            }
            State::Follower(_) | State::Leader(_) => return,
        };
        if !counts || !vote.granted {
            return;
        }
        campaign.votes.insert(from);
        campaign.count += 1;
        let votes = if server.rules.keep(Rule::CountVotersOnce) { campaign.votes.len() } else { campaign.count };
        if votes >= server.quorum() {
            match self.role() {
                Role::PreCandidate => self.become_candidate(now, false, out),
                _ => self.become_leader(now, out),
            }
        }
    }
}

impl Campaign {
    fn new(own: ReplicaId, deadline: Time, handed_over: bool) -> Campaign {
        let votes = ReplicaSet::EMPTY.with(own);
        Campaign { votes, count: 1, ask_again: Time::ZERO, deadline, handed_over }
    }
}

impl<C: Payload, R: Rules> Server<C, R> {
    /// Whether it considers a request for its vote at all. It does not while it hears from a leader.
    fn listens(&self, now: Time, request: &RequestVote) -> bool {
        let is_newer = request.term > self.term();
        let could_vote = is_newer || (request.term == self.term() && self.hard.vote().is_none());
        // The leader of the term before the candidate's gave up its lease before it handed over. Older leaders have no
        // lease, because that leader was elected after them. But the leader of the candidate's own term, if there is
        // one already, has released no replica.
        let is_released = request.handed_over && is_newer;
        !(self.is_loyal(now) && could_vote) || is_released
    }

    /// Whether the candidate's log is at least as up to date as its own (5.4.1).
    fn is_up_to_date(&self, request: &RequestVote) -> bool {
        let own = (self.hard.log().last_term(), self.hard.log().last_index());
        (request.last_term, request.last_index) >= own || !self.rules.keep(Rule::VoteForUpToDateLogs)
    }

    /// Whether it votes for this candidate in its own term.
    fn grants(&self, candidate: ReplicaId, request: &RequestVote) -> bool {
        if !self.rules.keep(Rule::RaiseTerm) {
            return request.term > self.term() && self.is_up_to_date(request);
        }
        let is_free = self.hard.vote().is_none_or(|other| other == candidate) || !self.rules.keep(Rule::VoteOnce);
        request.term == self.term() && is_free && self.is_up_to_date(request)
    }
}
