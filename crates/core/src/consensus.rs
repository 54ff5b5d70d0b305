//! The window through which a checker sees a replica that agrees with others on a log.
//!
//! The window does not depend on how agreement is reached, and it is read-only. This package's Raft has it
//! ([`crate::replica::Replica`]). If your own Raft implements it, [`crate::check::raft`] checks the same invariants.

use crate::hash::StableHasher;
use crate::id::ReplicaId;
use crate::machine::Machine;
use crate::time::Time;

/// A term: a period with at most one leader, counted from 1. 0 is before the first.
pub type Term = u64;

/// A place in the log, counted from 1. 0 is before the first entry.
pub type Index = u64;

/// What a replica currently is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It follows a leader or waits for one.
    Follower,
    /// It asks whether it would be elected.
    PreCandidate,
    /// It asks to be elected.
    Candidate,
    /// It leads.
    Leader,
}

impl Role {
    /// Its name, in words.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Follower => "follower",
            Role::PreCandidate => "pre-candidate",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        }
    }
}

/// One entry of a log, as far as a checker cares: two entries are the same if these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogEntry {
    /// The term of the leader that appended it.
    pub term: Term,
    /// A digest of its command; none if it has no command.
    pub command: Option<u64>,
}

/// What a message promises its receiver. The sender must keep it, whatever crashes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// In this term the sender votes for the receiver, and for no other.
    Vote {
        /// The term.
        term: Term,
    },
    /// The sender campaigns in this term, so it votes for itself.
    Candidacy {
        /// The term.
        term: Term,
    },
    /// The sender keeps its log, as it is in this term, up to this index.
    Kept {
        /// The term.
        term: Term,
        /// The index.
        index: Index,
    },
}

/// A replica's consensus, read-only.
///
/// A log changes at its end: entries are appended, and a suffix may be removed. Its beginning may be dropped, but only
/// entries that were applied at an earlier time, so that an observer sees each one. Or a snapshot from another replica
/// is installed, and the log begins after it. The data structure promises this, not the protocol, and checkers rely on
/// it.
pub trait Consensus {
    /// What the replica is.
    fn role(&self) -> Role;

    /// Its current term.
    fn term(&self) -> Term;

    /// The replica that it voted for in this term.
    fn voted_for(&self) -> Option<ReplicaId>;

    /// The index of the first entry that its log still has; the index of the next entry if it has none.
    fn first_index(&self) -> Index {
        1
    }

    /// The index of the last entry that its log has, or had before it was dropped; 0 if there is none.
    fn last_index(&self) -> Index;

    /// The entry at an index; none before the first and after the last.
    fn entry(&self, index: Index) -> Option<LogEntry>;

    /// How often entries were removed from the end of the log.
    fn truncations(&self) -> u64;

    /// All entries up to here are committed, as far as it knows.
    fn commit_index(&self) -> Index;

    /// All entries up to here have been applied to its state machine.
    fn applied(&self) -> Index;

    /// The digest of the history of its state machine: [`applied_digest`] of every command, in the order in which they
    /// were applied, from 0.
    fn state_digest(&self) -> u64;

    /// Whether it would answer a read now by itself, because it holds a lease. `now` is the time on its own clock.
    fn holds_read_lease(&self, now: Time) -> bool;

    /// Whether it has a disk.
    fn is_durable(&self) -> bool {
        false
    }

    /// Its log is on its disk up to here, as far as it knows.
    fn durable_index(&self) -> Index {
        self.last_index()
    }

    /// What a message of its promises, if anything.
    fn promise(message: &Self::Message) -> Option<Promise>
    where
        Self: Machine,
    {
        let _ = message;
        None
    }
}

/// The functions of [`Consensus`] as those of a field or method, for machines around one that has them.
macro_rules! consensus_of {
    ($self:ident => $inner:expr) => {
        fn role(&$self) -> $crate::consensus::Role {
            $inner.role()
        }

        fn term(&$self) -> $crate::consensus::Term {
            $inner.term()
        }

        fn voted_for(&$self) -> Option<$crate::id::ReplicaId> {
            $inner.voted_for()
        }

        fn first_index(&$self) -> $crate::consensus::Index {
            $inner.first_index()
        }

        fn last_index(&$self) -> $crate::consensus::Index {
            $inner.last_index()
        }

        fn entry(&$self, index: $crate::consensus::Index) -> Option<$crate::consensus::LogEntry> {
            $inner.entry(index)
        }

        fn truncations(&$self) -> u64 {
            $inner.truncations()
        }

        fn commit_index(&$self) -> $crate::consensus::Index {
            $inner.commit_index()
        }

        fn applied(&$self) -> $crate::consensus::Index {
            $inner.applied()
        }

        fn state_digest(&$self) -> u64 {
            $inner.state_digest()
        }

        fn holds_read_lease(&$self, now: $crate::time::Time) -> bool {
            $inner.holds_read_lease(now)
        }

        fn is_durable(&$self) -> bool {
            $inner.is_durable()
        }

        fn durable_index(&$self) -> $crate::consensus::Index {
            $inner.durable_index()
        }
    };
}
pub(crate) use consensus_of;

/// The digest of a state machine that has applied one more command.
#[inline]
pub fn applied_digest(before: u64, command: u64) -> u64 {
    let mut hasher = StableHasher::new();
    hasher.word(before);
    hasher.word(command);
    hasher.value()
}
