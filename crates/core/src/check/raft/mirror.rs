//! What is known of a replica between two looks at it.

use crate::consensus::{Consensus, Index, Role, Term};
use crate::id::ReplicaId;

/// The state of a replica when it was last checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirror {
    pub seen: Seen,
    /// The prefix digests of its log, including the dropped beginning.
    pub log: Vec<u64>,
    /// The newest term in which it has promised anything.
    pub promised: Term,
    /// The newest vote that it has sent.
    pub vote: Option<(Term, ReplicaId)>,
    /// The index up to which it has promised to keep its log.
    pub kept: Index,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub leads: bool,
    pub term: Term,
    pub voted_for: Option<ReplicaId>,
    /// How many entries at the beginning of the log are gone.
    pub dropped: Index,
    pub last_index: Index,
    pub truncations: u64,
    pub commit_index: Index,
    pub applied: Index,
    pub state: u64,
}

impl Seen {
    #[inline]
    pub fn of(replica: &impl Consensus) -> Seen {
        Seen {
            leads: replica.role() == Role::Leader,
            term: replica.term(),
            voted_for: replica.voted_for(),
            dropped: replica.first_index().saturating_sub(1),
            last_index: replica.last_index(),
            truncations: replica.truncations(),
            commit_index: replica.commit_index(),
            applied: replica.applied(),
            state: replica.state_digest(),
        }
    }
}
