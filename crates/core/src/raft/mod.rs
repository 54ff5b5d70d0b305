//! Raft: how replicas agree on one log, although messages are lost and replicas die.
//!
//! This is standard Raft ("the paper": Ongaro & Ousterhout 2014, *In Search of an Understandable Consensus Algorithm*;
//! "the thesis": Ongaro 2014, *Consensus: Bridging Theory and Practice*) as a state machine without I/O. [`Raft`] takes
//! messages and timeouts and leaves messages in an outbox; it knows log entries, but never what their commands mean.
//!
//! # How it works, in the order in which things happen
//!
//! **Nobody leads.** Time is cut into *terms*, each with at most one leader. All replicas start as followers. A
//! follower that has heard from no leader for its *election timeout*, which everyone draws at random, suspects that
//! there is none. It first asks all others whether they would vote for it (*pre-vote*, thesis 9.6): a replica that
//! still hears from a leader says no, so a replica that merely lost its connection disturbs nobody. (Before the first
//! term there is nobody to disturb, so it does not ask.) With a majority of friendly answers it becomes a candidate: it
//! begins a new term, votes for itself and asks for votes. A replica votes at most once in a term, and only for a
//! candidate whose log is at least as up to date as its own (5.4.1). Whoever gets a majority, a *quorum*, leads.
//!
//! **The leader replicates.** It appends each command to its log, after an empty entry with which every term begins,
//! and sends it to followers as AppendEntries, along with the index and term of the entry before. A follower whose log
//! does not have that entry refuses, with a hint where to go back to; the leader follows the hint until the logs meet
//! and overwrites what differs after that. When a quorum, itself included, has an entry *of its own term*, the entry
//! and all before it are *committed* (5.4.2): no later leader can lack them.
//!
//! *Thrifty*: an entry needs a quorum, not everyone. The leader asks only as many followers as it needs, those whose
//! last contact is the longest ago, so that in turn all get what they missed, and all stay in contact without
//! heartbeats. If one of them stays silent for longer than its measured round trip explains, the leader at once asks
//! another.
//!
//! **Contact.** The leader sees to it that every follower is in acknowledged contact every *heartbeat* interval. Every
//! append carries the time of its sending, and the answer brings it back. From the newest such times of a quorum the
//! leader knows that at that moment it still led:
//!
//! - If a quorum has confirmed nothing for the longest election timeout, it steps down (*check-quorum*, thesis 6.2).
//! - Followers refuse votes for the shortest election timeout after an append. So for a little less than that after the
//!   sending of an append that a quorum has acknowledged, nobody else can lead, and the leader may answer reads from
//!   its
//!   own state: the *lease* (thesis 6.4.1). It relies on clocks that run at nearly the same speed
//!   ([`Config::clock_drift_max`]).
//! - A read that comes when the lease has lapsed waits until a quorum has acknowledged an append sent after the read
//!   came (*ReadIndex*, thesis 6.4).
//!
//! **The log is compacted.** Whoever applies the commands may have the beginning of the log dropped, as far as it is
//! applied (section 7). A follower that still misses some of that, which it shows by refusing an append right after it,
//! is sent the leader's state in its place, part by part ([`Snapshot`]), and then what comes after. A follower that
//! seems dead is sent none until it answers again.
//!
//! **The leader goes.** A leader that is to be stopped hands over (thesis 3.10): it takes on nothing more, brings a
//! follower up to date and tells it to campaign at once. That one asks for votes in the leader's name, so those who
//! hear from the leader vote, too. From then on the leader has no lease.
//!
//! **The leader dies.** Followers hear nothing more and it all begins again.
//!
//! # Caveats: what is not here, and why
//!
//! - No persistence, so no restarts: in the course a replica that dies stays dead. A replica that came back without its
//!   memory could vote twice in a term.
//! - No membership changes.
//! - A lying peer is not guarded against, only a broken one: what cannot be right is counted and ignored.

mod config;
mod election;
mod handover;
mod log;
mod message;
mod progress;
mod replication;
mod rules;
mod snapshot;

use crate::id::{ReplicaId, ReplicaSet};
use crate::machine::Identity;
use crate::rng::Stream;
use crate::time::{Span, Time};

pub use crate::consensus::{Index, Role, Term};
pub use config::{Config, ConfigError};
use handover::Handover;
pub use log::{Entries, Entry, Log, Payload};
pub use message::{AppendEntries, AppendOutcome, AppendReply, InstallSnapshot, Message, RequestVote, Vote};
use progress::Progress;
pub use rules::{Rule, Rules, UnknownRule};
pub use snapshot::Snapshot;
use snapshot::Snapshots;

/// Terms up to here are believed. No sound cluster comes near: at an election every millisecond it would take thirty
/// million years.
const TERM_MAX: Term = 1 << 60;

/// Beyond [`TERM_MAX`], only terms that are not further ahead than this are believed. So a broken message cannot bring
/// a cluster to the end of the numbers, and a cluster that was brought to `TERM_MAX` still goes on.
const TERM_LEAD_MAX: Term = 1 << 32;

/// Takes the effects of a [`Raft`]. It talks to other replicas, never to clients.
pub trait Effects<C> {
    /// Sends a message to a replica.
    fn send(&mut self, to: ReplicaId, message: Message<C>);
}

/// One replica's part in consensus.
///
/// Invariants (figure 3 of the paper):
/// - Election safety: at most one leader is elected in a term. Hence `voted_for` changes at most once in a term, and a
///   candidate has voted for itself.
/// - Leader append-only: a leader never overwrites or removes entries of its log.
/// - Log matching: if two logs have an entry of the same index and term, they are the same up to there.
/// - Leader completeness: an entry committed in one term is in the logs of the leaders of all later ones.
/// - State-machine safety: no two replicas apply different entries at one index. Hence `commit_index` never falls, and
///   nothing at or below it is ever truncated. Nothing above it is ever dropped from the log's beginning.
/// - The term never falls.
#[derive(Clone, Debug)]
pub struct Raft<C> {
    id: ReplicaId,
    replicas: usize,
    config: Config,
    rules: Rules,
    dice: Stream,

    term: Term,
    voted_for: Option<ReplicaId>,
    log: Log<C>,
    commit_index: Index,

    role: Role,
    leader: Option<ReplicaId>,
    /// When a leader was last heard from.
    contact: Option<Time>,
    /// This replica's own draw between the shortest and the longest election timeout.
    election_timeout: Span,
    /// A follower campaigns, and a candidate gives up, at this time.
    election_deadline: Time,
    /// Appends of the current leader that overtook the ones before them, as datagrams do.
    early: Vec<AppendEntries<C>>,
    snapshots: Snapshots<C>,
    /// When the leader was last probed.
    probed: Option<Time>,

    /// Who has granted a vote, or a pre-vote, in this campaign.
    votes: ReplicaSet,
    /// How often votes were asked for in this term, or since a leader was last heard from.
    rounds: u32,
    /// When a (pre-)candidate asks again those who have not granted theirs.
    ask_again: Time,

    /// What a leader knows of each other replica, in order.
    followers: Vec<Progress>,
    elected: Time,
    /// Index of the empty entry with which this leader's term began.
    term_start: Index,
    /// A quorum, the leader included, has recognised the leader of this term at this time or later.
    quorum_contact: Option<Time>,
    /// The newest read that waits for `quorum_contact` to reach it.
    read_asked: Option<Time>,
    handover: Option<Handover>,
    /// Somebody else may have been told to campaign, so the lease is worth nothing for the rest of the term.
    lease_given_up: bool,
    /// The term in which this replica campaigns since the leader before has told it to.
    handed_over: Option<Term>,
    /// There is something to send that the next timeout is to look after, so that several proposals share an append.
    unsent: bool,

    /// When a leader has to look after its followers again.
    leader_wake: Time,
    /// When to wake up; worked out at the end of every input.
    timeout: Time,
    ignored: u64,
    given_up: u64,
}

impl<C: Payload> Raft<C> {
    /// A replica that has just started, at time zero of its clock.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(identity: Identity, config: Config) -> Result<Raft<C>, ConfigError> {
        Raft::with_rules(identity, config, Rules::ALL)
    }

    /// The same, keeping only some of the rules: a known bad Raft, for those who want to know whether a test finds it.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn with_rules(identity: Identity, config: Config, rules: Rules) -> Result<Raft<C>, ConfigError> {
        config.validate()?;
        let mut raft = Raft {
            id: identity.id,
            replicas: identity.replicas,
            dice: Stream::link(identity.seed, "election", u64::from(identity.id.0), 0),
            term: 0,
            voted_for: None,
            log: Log::new(),
            commit_index: 0,
            role: Role::Follower,
            leader: None,
            contact: None,
            election_timeout: Span::ZERO,
            election_deadline: Time::ZERO,
            early: Vec::new(),
            snapshots: Snapshots::new(),
            probed: None,
            votes: ReplicaSet::EMPTY,
            rounds: 0,
            ask_again: Time::NEVER,
            followers: others(identity.id, identity.replicas).map(|id| Progress::new(id, &config)).collect(),
            elected: Time::ZERO,
            term_start: 0,
            quorum_contact: None,
            read_asked: None,
            handover: None,
            lease_given_up: false,
            handed_over: None,
            unsent: false,
            leader_wake: Time::NEVER,
            timeout: Time::ZERO,
            ignored: 0,
            given_up: 0,
            config,
            rules,
        };
        raft.draw_election_timeout();
        raft.election_deadline = Time::ZERO + raft.election_timeout;
        raft.timeout = raft.next_timeout();
        Ok(raft)
    }

    /// Takes a message from another replica.
    pub fn handle_message(&mut self, now: Time, from: ReplicaId, message: Message<C>, out: &mut impl Effects<C>) {
        if from == self.id || from.index() >= self.replicas {
            self.ignored += 1;
            return;
        }
        match message {
            Message::RequestVote(request) => self.handle_request_vote(now, from, &request, out),
            Message::Vote(vote) => self.handle_vote(now, from, vote, out),
            Message::AppendEntries(append) => self.handle_append(now, from, append, out),
            Message::AppendReply(reply) => self.handle_append_reply(now, from, &reply, out),
            Message::Probe { term } => self.handle_probe(now, from, term, out),
            Message::InstallSnapshot(part) => self.handle_part(now, from, *part, out),
            Message::TimeoutNow { term } => self.handle_timeout_now(now, from, term, out),
        }
        self.timeout = self.next_timeout();
    }

    /// Does what is due by now, and nothing if nothing is.
    pub fn handle_timeout(&mut self, now: Time, out: &mut impl Effects<C>) {
        match self.role {
            Role::Leader => self.drive(now, out),
            Role::Follower | Role::Candidate if now >= self.election_deadline => self.campaign(now, out),
            Role::PreCandidate | Role::Candidate if now >= self.ask_again => self.ask_for_votes(now, out),
            _ => {}
        }
        self.timeout = self.next_timeout();
    }

    /// When [`Raft::handle_timeout`] wants to be called next.
    #[inline]
    pub fn poll_timeout(&self) -> Time {
        self.timeout
    }

    #[inline]
    fn next_timeout(&self) -> Time {
        match self.role {
            Role::Follower => self.election_deadline,
            Role::PreCandidate => self.ask_again,
            Role::Candidate => self.ask_again.min(self.election_deadline),
            Role::Leader if self.unsent => Time::ZERO,
            Role::Leader => self.leader_wake,
        }
    }

    /// What this replica is.
    #[inline]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether this replica leads, as far as it knows.
    #[inline]
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }

    /// Who leads, as far as this replica knows.
    #[inline]
    pub fn leader(&self) -> Option<ReplicaId> {
        self.leader
    }

    /// When this replica last heard from a leader.
    #[inline]
    pub fn leader_contact(&self) -> Option<Time> {
        self.contact
    }

    /// The current term.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Whom this replica voted for in the current term.
    pub fn voted_for(&self) -> Option<ReplicaId> {
        self.voted_for
    }

    /// The log.
    #[inline]
    pub fn log(&self) -> &Log<C> {
        &self.log
    }

    /// All entries up to this index are committed.
    #[inline]
    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// The rules that it keeps.
    #[inline]
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// How many times followers were given up as too slow, so that others were asked in their place.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// How many messages could not be right and were ignored.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// How many replicas make a majority.
    fn quorum(&self) -> usize {
        if self.rules.keep(Rule::QuorumIsMajority) { self.replicas / 2 + 1 } else { (self.replicas / 2).max(2) }
    }

    /// All replicas but this one.
    fn others(&self) -> impl Iterator<Item = ReplicaId> + use<C> {
        others(self.id, self.replicas)
    }

    /// Where another replica stands among the followers.
    #[inline]
    fn place(&self, other: ReplicaId) -> usize {
        other.index() - usize::from(other > self.id)
    }

    /// Whether a message's term cannot be right.
    #[inline]
    fn is_absurd(&self, term: Term) -> bool {
        term > TERM_MAX && term - TERM_MAX > self.term.saturating_sub(TERM_MAX) + TERM_LEAD_MAX
    }

    /// Takes note of a message that cannot be right.
    fn ignore(&mut self) {
        self.ignored += 1;
    }

    /// Follows: in a new term, or in the same one with its vote kept.
    fn become_follower(&mut self, now: Time, term: Term, leader: Option<ReplicaId>) {
        assert!(term >= self.term, "the term never falls");
        if term > self.term && self.rules.keep(Rule::RaiseTerm) {
            self.term = term;
            self.voted_for = None;
            self.early.clear();
            self.snapshots.abandon();
            if self.role == Role::Leader && !self.rules.keep(Rule::StepDownForHigherTerm) {
                return;
            }
        }
        if self.role == Role::Leader {
            self.snapshots.abandon();
        }
        self.role = Role::Follower;
        self.leader = leader;
        self.read_asked = None;
        self.handover = None;
        self.unsent = false;
        self.draw_election_timeout();
        self.election_deadline = now + self.election_timeout;
    }

    fn draw_election_timeout(&mut self) {
        let (min, max) = (self.config.election_timeout_min, self.config.election_timeout_max);
        self.election_timeout = Span(self.dice.between(min.nanos(), max.nanos()));
    }
}

fn others(id: ReplicaId, replicas: usize) -> impl Iterator<Item = ReplicaId> {
    ReplicaId::all(replicas).filter(move |&replica| replica != id)
}
