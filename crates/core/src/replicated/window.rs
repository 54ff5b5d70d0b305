//! The window through which checkers see consensus and store.

use super::ReplicatedStore;
use crate::consensus::{Consensus, LogEntry, Promise, Role};
use crate::id::ReplicaId;
use crate::raft::{AppendOutcome, AppendReply, Index, Message, RequestVote, Rules, Term, Vote};
use crate::time::Time;

impl<T: Copy, R: Rules> Consensus for ReplicatedStore<T, R> {
    fn role(&self) -> Role {
        self.raft.role()
    }

    fn term(&self) -> Term {
        self.raft.term()
    }

    fn voted_for(&self) -> Option<ReplicaId> {
        self.raft.voted_for()
    }

    fn first_index(&self) -> Index {
        self.raft.log().first_index()
    }

    fn last_index(&self) -> Index {
        self.raft.log().last_index()
    }

    fn entry(&self, index: Index) -> Option<LogEntry> {
        let entry = self.raft.log().get(index)?;
        Some(LogEntry { term: entry.term, command: entry.command.as_ref().map(|command| command.digest()) })
    }

    fn truncations(&self) -> u64 {
        self.raft.log().truncations()
    }

    fn commit_index(&self) -> Index {
        self.raft.commit_index()
    }

    fn applied(&self) -> Index {
        self.applied
    }

    fn state_digest(&self) -> u64 {
        self.store.digest()
    }

    fn holds_read_lease(&self, now: Time) -> bool {
        self.raft.holds_read_lease(now)
    }

    fn is_durable(&self) -> bool {
        self.raft.is_durable()
    }

    fn durable_index(&self) -> Index {
        self.raft.durable_index()
    }
}

/// What a message of Raft's promises its receiver.
pub fn promise<C>(message: &Message<C>) -> Option<Promise> {
    match *message {
        Message::Vote(Vote { term, granted: true, pre: false }) => Some(Promise::Vote { term }),
        Message::RequestVote(RequestVote { term, pre: false, .. }) => Some(Promise::Candidacy { term }),
        Message::AppendReply(AppendReply { term, outcome: AppendOutcome::Matched { index }, .. }) => {
            Some(Promise::Kept { term, index })
        }
        _ => None,
    }
}
