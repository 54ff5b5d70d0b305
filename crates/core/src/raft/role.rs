//! The role of a replica, with the state that belongs to it. A change of role drops that state.

use super::handover::Handover;
use super::progress::Progress;
use super::snapshot::Sending;
use super::{AppendEntries, Index, Role};
use crate::id::{ReplicaId, ReplicaSet};
use crate::time::Time;

/// The role of a replica.
#[derive(Clone, Debug)]
pub(super) enum State<C> {
    Follower(Follower<C>),
    /// It asks whether it would be elected.
    PreCandidate(Campaign),
    /// It asks to be elected.
    Candidate(Campaign),
    /// In a box, because it is large and the others are not.
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

/// The state of a follower.
#[derive(Clone, Debug)]
pub(super) struct Follower<C> {
    /// The leader of its term, once it has heard from it.
    pub leader: Option<ReplicaId>,
    /// It campaigns at this time.
    pub deadline: Time,
    /// Appends of this leader that overtook earlier ones, as datagrams may.
    pub early: Vec<AppendEntries<C>>,
    /// The chunks of this leader's state that have arrived.
    pub incoming: Option<Incoming<C>>,
    /// When the leader was last probed.
    pub probed: Option<Time>,
}

/// A snapshot that is arriving.
#[derive(Clone, Debug)]
pub(super) struct Incoming<C> {
    /// The last index that it covers.
    pub last_index: Index,
    /// The commands that have arrived.
    pub commands: Vec<C>,
}

impl<C> Follower<C> {
    pub const fn new(leader: Option<ReplicaId>, deadline: Time) -> Follower<C> {
        Follower { leader, deadline, early: Vec::new(), incoming: None, probed: None }
    }
}

/// The state of a candidate or a pre-candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Campaign {
    /// The replicas that have granted a vote, or a pre-vote.
    pub votes: ReplicaSet,
    /// How many votes have come, for a mutant that counts votes instead of voters.
    pub count: usize,
    /// When it asks again the replicas that have not granted their votes.
    pub ask_again: Time,
    /// A candidate gives up at this time, and starts a new campaign.
    pub deadline: Time,
    /// The leader of the term before has told it to campaign.
    pub handed_over: bool,
}

/// The state of a leader.
#[derive(Clone, Debug)]
pub(super) struct Leader<C> {
    /// The progress of each other replica, in order.
    pub followers: Vec<Progress>,
    pub elected: Time,
    /// Index of the empty entry with which its term began.
    pub term_start: Index,
    /// A quorum, the leader included, has recognised it at this time or later.
    pub quorum_contact: Option<Time>,
    /// The newest read that waits for `quorum_contact` to reach it.
    pub read_asked: Option<Time>,
    pub handover: Option<Handover>,
    /// This leader may have told another replica to campaign, so there is no lease for the rest of the term.
    pub lease_given_up: bool,
    /// There is something to send on the next timeout, so that several proposals share an append.
    pub unsent: bool,
    /// When its own disk counts as late with the end of the log, so that a quorum must be found without it; never while
    /// it is not behind.
    pub disk_due: Time,
    /// The index that its own disk had reached when that was last checked.
    pub disk_reached: Index,
    /// When it has to act for its followers again.
    pub wake: Time,
    /// The snapshot that it sends.
    pub sending: Sending<C>,
}
