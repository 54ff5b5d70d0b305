//! What replicas have in common that are built around the same Raft.

use std::sync::Arc;

use crate::consensus::Consensus;
use crate::kv::{Command, Store};
use crate::raft::{self, Raft, Rules};
use crate::replica::Replica;
use crate::server::{self, Server};
use crate::service::Service;

/// A machine around Raft and the key-value store.
pub(in crate::subjects) trait AroundRaft: Service + Consensus {
    /// The rules that its Raft keeps.
    type Rules: Rules;

    /// Its part in consensus.
    fn raft(&self) -> &Raft<Arc<Command>, Self::Rules>;

    /// Its store.
    fn store(&self) -> &Store;

    /// How many updates that were proposed here are not complete.
    fn open_updates(&self) -> usize;

    /// How many reads wait for this replica to be sure that it leads.
    fn open_reads(&self) -> usize;

    /// The bytes of the commands in its log that have been applied, and so may be dropped.
    fn applied_log_bytes(&self) -> usize;

    /// What a message is for Raft; none if it is not for Raft.
    fn for_raft(message: &Self::Message) -> Option<&raft::Message<Arc<Command>>>;
}

impl<R: Rules> AroundRaft for Replica<R> {
    type Rules = R;

    fn raft(&self) -> &Raft<Arc<Command>, R> {
        Replica::raft(self)
    }

    fn store(&self) -> &Store {
        Replica::store(self)
    }

    fn open_updates(&self) -> usize {
        self.waiting_puts()
    }

    fn open_reads(&self) -> usize {
        self.waiting_gets()
    }

    fn applied_log_bytes(&self) -> usize {
        Replica::applied_log_bytes(self)
    }

    fn for_raft(message: &Self::Message) -> Option<&raft::Message<Arc<Command>>> {
        Some(message)
    }
}

impl<R: Rules> AroundRaft for Server<R> {
    type Rules = R;

    fn raft(&self) -> &Raft<Arc<Command>, R> {
        Server::raft(self)
    }

    fn store(&self) -> &Store {
        Server::store(self)
    }

    fn open_updates(&self) -> usize {
        self.proposed_updates()
    }

    fn open_reads(&self) -> usize {
        self.waiting_reads()
    }

    fn applied_log_bytes(&self) -> usize {
        Server::applied_log_bytes(self)
    }

    fn for_raft(message: &Self::Message) -> Option<&raft::Message<Arc<Command>>> {
        match message {
            server::Message::Raft(message) => Some(message),
            _ => None,
        }
    }
}
