//! The invariants by name, and the first one that did not hold.

use std::fmt;

use crate::time::Time;

/// What must hold at every moment of every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// At most one leader is elected in a term (5.2).
    ElectionSafety,
    /// A leader never overwrites or removes entries of its log (5.3).
    LeaderAppendOnly,
    /// If two logs have an entry of the same index and term, they are the same up to there (5.3).
    LogMatching,
    /// What was committed in one term is in the logs of the leaders of all later ones (5.4).
    LeaderCompleteness,
    /// No two replicas commit, or apply, different entries at one index, and each applies every entry once (5.4.3).
    StateMachineSafety,
    /// A commit index never falls, and nothing at or below it is ever removed.
    CommitMonotonic,
    /// A term never falls (5.1).
    TermMonotonic,
    /// A replica votes at most once in a term (5.2).
    VoteOnce,
    /// No two replicas serve reads from a lease at one time (thesis 6.4.1).
    LeaseSafety,
    /// Entries that a replica has acknowledged survive a crash, and committed entries are on the disks of a majority.
    Durability,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Invariant; 10] = [
        Invariant::ElectionSafety,
        Invariant::LeaderAppendOnly,
        Invariant::LogMatching,
        Invariant::LeaderCompleteness,
        Invariant::StateMachineSafety,
        Invariant::CommitMonotonic,
        Invariant::TermMonotonic,
        Invariant::VoteOnce,
        Invariant::LeaseSafety,
        Invariant::Durability,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Invariant::ElectionSafety => "election safety",
            Invariant::LeaderAppendOnly => "leader append-only",
            Invariant::LogMatching => "log matching",
            Invariant::LeaderCompleteness => "leader completeness",
            Invariant::StateMachineSafety => "state-machine safety",
            Invariant::CommitMonotonic => "commit monotonic",
            Invariant::TermMonotonic => "term monotonic",
            Invariant::VoteOnce => "one vote per term",
            Invariant::LeaseSafety => "lease safety",
            Invariant::Durability => "durability",
        }
    }
}

/// A broken invariant and what happened.
pub(super) type Broken = (Invariant, String);

/// The first time that an invariant did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub invariant: Invariant,
    /// When.
    pub time: Time,
    /// What happened, in plain words.
    pub explanation: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violated at {}: {}", self.invariant.name(), self.time, self.explanation)
    }
}
