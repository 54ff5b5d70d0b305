//! What a replica is, with all that belongs to being it. A change of role drops the rest.

use super::handover::Handover;
use super::progress::Progress;
use super::snapshot::Sending;
use super::{AppendEntries, Index, Role, Snapshot};
use crate::id::{ReplicaId, ReplicaSet};
use crate::time::Time;

/// What a replica is.
#[derive(Clone, Debug)]
pub(super) enum State<C> {
    Follower(Follower<C>),
    /// It asks whether it would be elected.
    PreCandidate(Campaign),
    /// It asks to be elected.
    Candidate(Campaign),
    /// In a box, since it is large and the others are not.
    Leader(Box<Leader<C>>),
}

impl<C> State<C> {
    #[inline]
    pub fn role(&self) -> Role {
        match self {
            State::Follower(_) => Role::Follower,
            State::PreCandidate(_) => Role::PreCandidate,
            State::Candidate(_) => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }
}

/// What a follower knows.
#[derive(Clone, Debug)]
pub(super) struct Follower<C> {
    /// The leader of its term, once it has heard from it.
    pub leader: Option<ReplicaId>,
    /// It campaigns at this time.
    pub deadline: Time,
    /// Appends of this leader that overtook the ones before them, as datagrams do.
    pub early: Vec<AppendEntries<C>>,
    /// As much as has come of this leader's state.
    pub incoming: Option<Snapshot<C>>,
    /// When the leader was last probed.
    pub probed: Option<Time>,
}

impl<C> Follower<C> {
    pub const fn new(leader: Option<ReplicaId>, deadline: Time) -> Follower<C> {
        Follower { leader, deadline, early: Vec::new(), incoming: None, probed: None }
    }
}

/// What a candidate, or a pre-candidate, knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Campaign {
    /// The replicas that have granted a vote, or a pre-vote.
    pub votes: ReplicaSet,
    /// How many votes have come, for a Raft that counts them so.
    pub count: usize,
    /// When it asks again those that have not granted theirs.
    pub ask_again: Time,
    /// A candidate gives up at this time, and campaigns anew.
    pub deadline: Time,
    /// The leader of the term before has told it to campaign.
    pub handed_over: bool,
}

/// What a leader knows.
#[derive(Clone, Debug)]
pub(super) struct Leader<C> {
    /// What it knows of each other replica, in order.
    pub followers: Vec<Progress>,
    pub elected: Time,
    /// Index of the empty entry with which its term began.
    pub term_start: Index,
    /// A quorum, the leader included, has recognised it at this time or later.
    pub quorum_contact: Option<Time>,
    /// The newest read that waits for `quorum_contact` to reach it.
    pub read_asked: Option<Time>,
    pub handover: Option<Handover>,
    /// Another replica may have been told to campaign, so the lease is worth nothing for the rest of the term.
    pub lease_given_up: bool,
    /// There is something to send with the next timeout, so that several proposals share an append.
    pub unsent: bool,
    /// When its own disk is late with the end of the log, so that a quorum is better found without it; never while it is
    /// not behind.
    pub disk_due: Time,
    /// How far its own disk had come when that was last looked at.
    pub disk_reached: Index,
    /// When it has to look after its followers again.
    pub wake: Time,
    /// The snapshot that it sends.
    pub sending: Sending<C>,
}
