//! The window into a node is that of its protocol.

use super::Node;
use crate::consensus::{Consensus, Index, LogEntry, Role, Term};
use crate::id::ReplicaId;
use crate::service::Service;
use crate::time::Time;

/// What datagrams promise is not visible: they are bytes. It matters only where replicas have disks, and a node has none.
impl<P: Service + Consensus> Consensus for Node<P> {
    fn role(&self) -> Role {
        self.protocol.role()
    }

    fn term(&self) -> Term {
        self.protocol.term()
    }

    fn voted_for(&self) -> Option<ReplicaId> {
        self.protocol.voted_for()
    }

    fn first_index(&self) -> Index {
        self.protocol.first_index()
    }

    fn last_index(&self) -> Index {
        self.protocol.last_index()
    }

    fn entry(&self, index: Index) -> Option<LogEntry> {
        self.protocol.entry(index)
    }

    fn truncations(&self) -> u64 {
        self.protocol.truncations()
    }

    fn commit_index(&self) -> Index {
        self.protocol.commit_index()
    }

    fn applied(&self) -> Index {
        self.protocol.applied()
    }

    fn state_digest(&self) -> u64 {
        self.protocol.state_digest()
    }

    fn holds_read_lease(&self, now: Time) -> bool {
        self.protocol.holds_read_lease(now)
    }

    fn is_durable(&self) -> bool {
        self.protocol.is_durable()
    }

    fn durable_index(&self) -> Index {
        self.protocol.durable_index()
    }
}
