//! The state of a replica in every role.

use super::hard_state::HardState;
use super::progress::RoundTrip;
use super::{AppendEntries, AppendOutcome, Config, Effects, Entries, Index, Payload, Rule, Rules, TERM_LEAD_MAX};
use super::{TERM_MAX, Term};
use crate::id::ReplicaId;
use crate::rng::Stream;
use crate::time::{Span, Time};

/// The state of a replica in every role (figure 2, "state on all servers").
///
/// Invariants, asserted where they could break:
/// - `commit_index` never falls and never passes the end of the log.
#[derive(Clone, Debug)]
pub(super) struct Server<C, R> {
    pub id: ReplicaId,
    pub replicas: usize,
    pub config: Config,
    pub rules: R,
    pub stream: Stream,
    pub hard: HardState<C, R>,
    commit_index: Index,
    /// When a leader was last heard from.
    pub contact: Option<Time>,
    /// It votes for no other leader before this time: the lease of the leader that it has heard from relies on that.
    pub loyal_until: Time,
    /// This replica's own draw between the shortest and the longest election timeout.
    pub election_timeout: Span,
    /// How often it has asked for votes since it last heard from a leader.
    pub rounds: u32,
    /// The round trip to each other replica, in order, as it was measured when this one led.
    pub round_trips: Vec<RoundTrip>,
    pub ignored: u64,
    pub given_up: u64,
}

impl<C: Payload, R: Rules> Server<C, R> {
    pub fn new(
        id: ReplicaId,
        replicas: usize,
        config: Config,
        stream: Stream,
        hard: HardState<C, R>,
        rules: R,
    ) -> Self {
        Server {
            id,
            replicas,
            rules,
            stream,
            hard,
            commit_index: 0,
            contact: None,
            loyal_until: Time::ZERO,
            election_timeout: Span::ZERO,
            rounds: 0,
            round_trips: vec![RoundTrip::guess(&config); replicas - 1],
            ignored: 0,
            given_up: 0,
            config,
        }
    }

    #[inline]
    pub fn term(&self) -> Term {
        self.hard.term()
    }

    #[inline]
    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// All entries up to this index are committed. Earlier entries may be committed already.
    #[inline]
    pub fn commit(&mut self, index: Index) {
        if index <= self.commit_index {
            return;
        }
        assert!(index <= self.hard.log().last_index(), "what is committed is in the log");
        self.commit_index = index;
    }

    /// Sets the commit index from the state that was read back.
    pub fn restore_commit(&mut self, index: Index) {
        self.commit_index = index;
    }

    /// How many replicas make a majority.
    #[inline]
    pub fn quorum(&self) -> usize {
        if self.rules.keep(Rule::QuorumIsMajority) { self.replicas / 2 + 1 } else { (self.replicas / 2).max(2) }
    }

    /// All replicas but this one.
    pub fn others(&self) -> impl Iterator<Item = ReplicaId> + use<C, R> {
        let id = self.id;
        ReplicaId::all(self.replicas).filter(move |&replica| replica != id)
    }

    /// The place of another replica among the others.
    #[inline]
    pub fn place(&self, other: ReplicaId) -> usize {
        other.index() - usize::from(other > self.id)
    }

    /// Whether a message's term is impossible.
    #[inline]
    pub fn is_absurd(&self, term: Term) -> bool {
        term > TERM_MAX && term - TERM_MAX > self.term().saturating_sub(TERM_MAX) + TERM_LEAD_MAX
    }

    /// Counts an invalid message.
    pub fn ignore(&mut self) {
        self.ignored += 1;
    }

    pub fn draw_election_timeout(&mut self) {
        let (min, max) = (self.config.election_timeout_min, self.config.election_timeout_max);
        self.election_timeout = Span(self.stream.between(min.nanos(), max.nanos()));
    }

    /// Records contact with a leader.
    #[inline]
    pub fn note_contact(&mut self, now: Time) {
        self.contact = Some(now);
        self.loyal_until = now + self.config.election_timeout_min;
        self.rounds = 0;
    }

    /// Whether it has heard from a leader so recently that it votes for no other. Newer terms that it has heard of
    /// since do not matter: the leader may not have heard of them, and its lease relies on this replica (thesis 6.4.1).
    pub fn is_loyal(&self, now: Time) -> bool {
        now < self.loyal_until && self.rules.keep(Rule::LoyalToLeader)
    }

    /// Whether the log has the entry before those sent. Dropped entries were committed, so all leaders have the same
    /// ones.
    #[inline]
    pub fn fits(&self, append: &AppendEntries<C>) -> bool {
        let log = self.hard.log();
        log.term(append.prev_index) == Some(append.prev_term)
            || append.prev_index + 1 < log.first_index()
            || (append.prev_index <= log.last_index() && !self.rules.keep(Rule::MatchPreviousTerm))
    }

    /// Takes the entries of an append that fits, and returns the index up to which the log is now the leader's. Returns
    /// none and changes nothing if a committed entry is contradicted.
    #[inline]
    pub fn take_append(&mut self, append: AppendEntries<C>, out: &mut impl Effects<C>) -> Option<Index> {
        let index = append.prev_index + append.entries.len() as Index;
        if !self.take_entries(append.prev_index, append.entries, out) {
            return None;
        }
        // Entries beyond those just confirmed may still differ from the leader's.
        self.commit(append.commit_index.min(index));
        Some(index)
    }

    /// Adds the missing entries, after removing own entries that contradict them. A delayed append removes nothing.
    /// Returns false and changes nothing if a committed entry is contradicted.
    fn take_entries(&mut self, prev_index: Index, entries: Entries<C>, out: &mut impl Effects<C>) -> bool {
        let log = self.hard.log();
        let index = |place: usize| prev_index + 1 + place as Index;
        let differs = |&place: &usize| log.term(index(place)) != Some(entries[place].term);
        // Of the dropped entries, only the last one's term is known. It must be the same if that entry is among those
        // sent.
        let unknown = (log.first_index() - 1).saturating_sub(prev_index + 1) as usize;
        let Some(mut known) = (unknown..entries.len()).find(differs) else {
            if !self.rules.keep(Rule::TruncateOnlyConflicts) {
                let end = index(entries.len()).max(self.commit_index + 1);
                self.hard.truncate(end, self.commit_index, out);
            }
            return true;
        };
        let first_new = index(known);
        if first_new <= self.commit_index {
            return false;
        }
        if self.rules.keep(Rule::TruncateConflicts) {
            self.hard.truncate(first_new, self.commit_index, out);
        } else {
            known = known.max(log.last_index().saturating_sub(prev_index) as usize);
        }
        for entry in entries.into_iter().skip(known) {
            self.hard.append(entry, out);
        }
        true
    }

    /// The index to which the leader should go back, so as to skip a whole term at a time.
    pub fn conflict_at(&self, prev_index: Index) -> AppendOutcome {
        let log = self.hard.log();
        match log.term(prev_index) {
            None => AppendOutcome::Conflict { index: log.last_index() + 1, term: None },
            Some(term) => {
                let before = log.last_up_to_term(term.saturating_sub(1));
                AppendOutcome::Conflict { index: before + 1, term: Some(term) }
            }
        }
    }
}
