//! Raft: how replicas agree on one log, although messages are lost and replicas die.
//!
//! This is standard Raft ("the paper": Ongaro & Ousterhout 2014, *In Search of an Understandable Consensus Algorithm*;
//! "the thesis": Ongaro 2014, *Consensus: Bridging Theory and Practice*) as a state machine without I/O. [`Raft`] takes
//! messages and timeouts and leaves messages in an outbox; it knows log entries, but never what their commands mean.
//!
//! # How it works, in the order in which things happen
//!
//! **There is no leader.** Time is divided into *terms*, each with at most one leader. All replicas start as followers.
//! A follower that has heard from no leader for its *election timeout*, which each replica draws at random, suspects
//! that there is no leader. It first asks all others whether they would vote for it (*pre-vote*, thesis 9.6): a replica
//! that still hears from a leader refuses, so a replica that merely lost its connection disturbs no leader. (Before the
//! first term there is no leader to disturb, so it does not ask.) With a majority of positive answers it becomes a
//! candidate: it begins a new term, votes for itself and asks for votes. A replica votes at most once in a term, and
//! only for a candidate whose log is at least as up to date as its own (5.4.1). The candidate that gets a majority, a
//! *quorum*, leads.
//!
//! **The leader replicates.** It appends each command to its log, in which every term begins with an empty entry. It
//! sends the command to followers as AppendEntries, along with the index and term of the entry before. A follower whose
//! log does not have that entry refuses, with a hint where the leader should try next. The leader follows the hints
//! until the logs match, and overwrites the entries that differ after that. When a quorum, itself included, has an
//! entry *of its own term*, the entry and all before it are *committed* (5.4.2): no later leader can lack them.
//!
//! *Thrifty*: an entry needs a quorum, not all replicas. The leader asks only as many followers as it needs, those
//! whose last contact is the longest ago. So all followers catch up in turn, and all stay in contact without
//! heartbeats. If one of them stays silent for longer than its measured round trip explains, the leader at once asks
//! another.
//!
//! **Contact.** The leader ensures that every follower is in acknowledged contact every *heartbeat* interval. Every
//! append carries the time of its sending, and the answer returns it. From the newest such times of a quorum the leader
//! knows that at that moment it still led:
//!
//! - If a quorum has confirmed nothing for the longest election timeout, it steps down (*check-quorum*, thesis 6.2).
//! - Followers refuse votes for the shortest election timeout after an append. So once a quorum has acknowledged an
//!   append, no other replica can lead for a little less than that time after its sending. Until then the leader may
//!   answer reads from its own state: the *lease* (thesis 6.4.1). It relies on clocks that run at nearly the same speed
//!   ([`Config::clock_drift_max`]).
//! - A read that comes when the lease has lapsed waits until a quorum has acknowledged an append sent after the read
//!   came (*ReadIndex*, thesis 6.4).
//!
//! **The log is compacted.** The state machine may have the applied beginning of the log dropped (section 7). A
//! follower that still lacks some of these entries refuses the append right after them. Then the leader sends it its
//! state instead, in chunks ([`Snapshot`]), and then the later entries. A follower that looks dead gets no chunks until
//! it answers again.
//!
//! **The leader goes.** A leader that will be stopped hands over (thesis 3.10): it accepts no more commands, brings a
//! follower up to date and tells it to campaign at once. The follower asks for votes in the leader's name, so replicas
//! that hear from the leader vote, too. From then on the leader has no lease.
//!
//! **The leader dies.** Followers hear nothing more, and the next election begins.
//!
//! **A replica restarts** from its disk. Term, vote and log are persisted as they change ([`Record`]), and promises are
//! sent only when they are on the disk: a vote, an acknowledgement. A leader sends entries while its own disk still
//! writes, and counts itself when they are there (thesis 10.2.1). The replica learns the commit index again. For an
//! election timeout it votes for no candidate, because it may have heard from a leader just before it crashed.
//!
//! # Caveats: what is not here, and why
//!
//! - A replica without a disk must not be restarted: it could vote twice in a term. In the course a replica that dies
//!   stays dead, so it needs no disk there.
//! - No membership changes.
//! - There is no defence against a lying peer, only against a broken one: an invalid message is counted and ignored.

mod config;
mod election;
mod follower;
mod handover;
mod hard_state;
mod leader;
mod log;
mod message;
mod progress;
mod role;
mod rules;
mod server;
mod snapshot;

use crate::id::ReplicaId;
use crate::machine::{Boot, Exit, Identity};
use crate::rng::Stream;
use crate::time::Time;

pub use crate::consensus::{Index, Role, Term};
pub use config::{Config, ConfigError};
pub use hard_state::{Checkpoint, Part, Record, Remembered};
use hard_state::{HardState, Restored};
pub use log::{Entries, Entry, Log, Payload};
pub use message::{AppendEntries, AppendOutcome, AppendReply, InstallSnapshot, Message, RequestVote, Vote};
use role::{Follower, State};
pub use rules::{Mutant, Rule, Rules, Sound, UnknownRule};
use server::Server;
pub use snapshot::{Contents, Snapshot};

/// Terms up to here are accepted. No sound cluster gets near: at an election every millisecond it would take thirty
/// million years.
const TERM_MAX: Term = 1 << 60;

/// Beyond [`TERM_MAX`], only terms at most this far ahead are accepted. So a broken message cannot exhaust the numbers,
/// and a cluster whose term was pushed to `TERM_MAX` still works.
const TERM_LEAD_MAX: Term = 1 << 32;

/// Takes the effects of a [`Raft`]: it talks to other replicas and to its disk, never to clients.
pub trait Effects<C> {
    /// Sends a message to a replica.
    fn send(&mut self, to: ReplicaId, message: Message<C>);

    /// Appends a record to the disk's queue of writes.
    fn persist(&mut self, record: Record<C>);

    /// Holds back later messages until all persisted records are on the disk.
    fn sync(&mut self);
}

/// One replica's part in consensus. `R` says which rules it keeps; all of them, unless a test wants to see one broken.
///
/// Invariants (figure 3 of the paper):
/// - Election safety: at most one leader is elected in a term. Hence a replica votes at most once in a term, and a
///   leader was elected by a quorum, itself included.
/// - Leader append-only: a leader never overwrites or removes entries of its log. Only a follower has the code for it.
/// - Log matching: if two logs have an entry of the same index and term, they are the same up to there.
/// - Leader completeness: an entry committed in one term is in the logs of the leaders of all later ones.
/// - State-machine safety: no two replicas apply different entries at one index. Hence the commit index never falls, and
///   nothing at or below it is ever truncated. Nothing above it is ever dropped from the log's beginning.
/// - The term never falls.
#[derive(Clone, Debug)]
pub struct Raft<C, R = Sound> {
    server: Server<C, R>,
    role: State<C>,
    /// A snapshot that was received or read back, and has not been taken out yet.
    installed: Option<Snapshot<C>>,
    /// When to wake up; computed at the end of every input.
    timeout: Time,
}

impl<C: Payload, R: Rules> Raft<C, R> {
    /// A replica without a disk that has just started, at time zero of its clock.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(identity: Identity, config: Config, rules: R) -> Result<Raft<C, R>, ConfigError> {
        config.validate()?;
        let stream = Stream::link(identity.seed, "election", u64::from(identity.id.0), 0);
        let server = Server::new(identity.id, identity.replicas, config, stream, HardState::new(rules), rules);
        Ok(Raft::start(server, Time::ZERO))
    }

    /// A replica that starts, for the first time or again, from what its disk has. [`Raft::take_snapshot`] returns the
    /// compacted state.
    ///
    /// # Errors
    /// If a record is damaged, or does not fit those before it.
    ///
    /// # Panics
    /// If the configuration makes no sense: the caller has validated it.
    pub fn boot(boot: Boot<Record<C>>, config: Config, rules: R) -> Result<Raft<C, R>, Exit> {
        config.validate().expect("the configuration was validated");
        let Boot { identity, incarnation, now, disk } = boot;
        let stream = Stream::link(identity.seed, "election", u64::from(identity.id.0), u64::from(incarnation));
        let is_new = disk.as_ref().is_none_or(|disk| disk.records.is_empty());
        let restored = match disk {
            Some(recovered) => HardState::restore(recovered, rules, config.batch_bytes_max)?,
            None => Restored { hard: HardState::new(rules), snapshot: None, commit_index: 0 },
        };
        let mut server = Server::new(identity.id, identity.replicas, config, stream, restored.hard, rules);
        if !is_new && rules.keep(Rule::LoyalAfterRestart) {
            server.loyal_until = now + server.config.election_timeout_min;
        }
        server.restore_commit(if rules.keep(Rule::ApplyOnlyCommitted) {
            restored.commit_index
        } else {
            server.hard.log().last_index()
        });
        let mut raft = Raft::start(server, now);
        raft.installed = restored.snapshot;
        if !is_new && !rules.keep(Rule::FollowAfterRestart) {
            raft.lead_on(now);
            raft.timeout = raft.next_timeout();
        }
        Ok(raft)
    }

    fn start(mut server: Server<C, R>, now: Time) -> Raft<C, R> {
        server.draw_election_timeout();
        let deadline = now + server.election_timeout;
        Raft { server, role: State::Follower(Follower::new(None, deadline)), installed: None, timeout: deadline }
    }

    /// Takes a message from another replica.
    pub fn handle_message(&mut self, now: Time, from: ReplicaId, message: Message<C>, out: &mut impl Effects<C>) {
        if from == self.server.id || from.index() >= self.server.replicas {
            return self.server.ignore();
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

    /// Does the work that is due, if there is any.
    pub fn handle_timeout(&mut self, now: Time, out: &mut impl Effects<C>) {
        match &self.role {
            State::Leader(_) => self.drive(now, out),
            State::Follower(follower) if now >= follower.deadline => self.campaign(now, out),
            State::Candidate(campaign) if now >= campaign.deadline => self.campaign(now, out),
            State::PreCandidate(campaign) | State::Candidate(campaign) if now >= campaign.ask_again => {
                self.ask_for_votes(now, out);
            }
            _ => {}
        }
        self.timeout = self.next_timeout();
    }

    /// Waits for a leader for an election timeout from now on, as a replica does that has just started.
    pub fn wait_anew(&mut self, now: Time) {
        if let State::Follower(follower) = &mut self.role {
            follower.deadline = now + self.server.election_timeout;
            self.timeout = self.next_timeout();
        }
    }

    /// This many of the records that were persisted are on the disk now.
    #[cold]
    pub fn handle_synced(&mut self, now: Time, up_to: u64, out: &mut impl Effects<C>) {
        self.server.hard.handle_synced(up_to, out);
        self.count_own_disk(now, out);
        self.timeout = self.next_timeout();
    }

    /// Has a leader's disk write what the leader has appended, and any disk the parts of a snapshot. Called at the end of
    /// each input, after all other effects: no message waits for this sync, because followers may form a quorum without
    /// the leader (thesis 10.2.1).
    #[inline]
    pub fn flush(&self, out: &mut impl Effects<C>) {
        if self.is_leader() || self.is_writing_snapshot() {
            self.server.hard.sync(out);
        }
    }

    /// The disk is full. Returns the reason if the replica has to end: it must not promise what it cannot write.
    pub fn handle_full_disk(&mut self) -> Option<Exit> {
        if self.server.rules.keep(Rule::StopWhenDiskIsFull) {
            return Some(Exit("the disk is full".into()));
        }
        self.server.hard.abandon_disk();
        None
    }

    /// When [`Raft::handle_timeout`] wants to be called next.
    #[inline]
    pub fn poll_timeout(&self) -> Time {
        self.timeout
    }

    #[inline]
    fn next_timeout(&self) -> Time {
        match &self.role {
            State::Follower(follower) => follower.deadline,
            State::PreCandidate(campaign) => campaign.ask_again,
            State::Candidate(campaign) => campaign.ask_again.min(campaign.deadline),
            State::Leader(leader) if leader.unsent => Time::ZERO,
            State::Leader(leader) => leader.wake,
        }
    }

    /// What this replica is.
    #[inline]
    pub fn role(&self) -> Role {
        self.role.role()
    }

    /// Whether this replica leads, as far as it knows.
    #[inline]
    pub fn is_leader(&self) -> bool {
        matches!(self.role, State::Leader(_))
    }

    /// The leader, as far as this replica knows.
    #[inline]
    pub fn leader(&self) -> Option<ReplicaId> {
        match &self.role {
            State::Follower(follower) => follower.leader,
            State::PreCandidate(_) | State::Candidate(_) => None,
            State::Leader(_) => Some(self.server.id),
        }
    }

    /// When this replica last heard from a leader.
    #[inline]
    pub fn leader_contact(&self) -> Option<Time> {
        self.server.contact
    }

    /// The current term.
    pub fn term(&self) -> Term {
        self.server.term()
    }

    /// The candidate that this replica voted for in the current term.
    pub fn voted_for(&self) -> Option<ReplicaId> {
        self.server.hard.vote()
    }

    /// The log.
    #[inline]
    pub fn log(&self) -> &Log<C> {
        self.server.hard.log()
    }

    /// The log is on the disk up to here; all of it if there is no disk.
    pub fn durable_index(&self) -> Index {
        self.server.hard.durable_index()
    }

    /// Whether it has a disk.
    pub fn is_durable(&self) -> bool {
        self.server.hard.is_durable()
    }

    /// All entries up to this index are committed.
    #[inline]
    pub fn commit_index(&self) -> Index {
        self.server.commit_index()
    }

    /// The rules that it keeps.
    #[inline]
    pub fn rules(&self) -> R {
        self.server.rules
    }

    /// How many appends to followers timed out, so that others were asked in their place.
    pub fn given_up(&self) -> u64 {
        self.server.given_up
    }

    /// How many invalid messages were ignored.
    pub fn ignored(&self) -> u64 {
        self.server.ignored
    }
}
