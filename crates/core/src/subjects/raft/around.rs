//! What replicas have in common that are built around the same Raft and store.

use std::sync::Arc;

use crate::consensus::Consensus;
use crate::kv::Command;
use crate::raft::{self, Raft, Rules};
use crate::replica::{self, Replica};
use crate::replicated::ReplicatedStore;
use crate::server::{self, Server};
use crate::service::Service;

/// A machine around Raft and the key-value store.
pub(in crate::subjects) trait AroundRaft: Service + Consensus {
    /// The rules that its Raft keeps.
    type Rules: Rules;

    /// What its store knows of requests.
    type Ticket: Copy;

    /// Its store, and its part in consensus.
    fn replicated(&self) -> &ReplicatedStore<Self::Ticket, Self::Rules>;

    /// What a message is for Raft; none if it is not for Raft.
    fn for_raft(message: &Self::Message) -> Option<&raft::Message<Arc<Command>>>;

    /// Its part in consensus.
    fn raft(&self) -> &Raft<Arc<Command>, Self::Rules> {
        self.replicated().raft()
    }
}

impl<R: Rules> AroundRaft for Replica<R> {
    type Rules = R;
    type Ticket = replica::Ticket;

    fn replicated(&self) -> &ReplicatedStore<replica::Ticket, R> {
        Replica::replicated(self)
    }

    fn for_raft(message: &Self::Message) -> Option<&raft::Message<Arc<Command>>> {
        Some(message)
    }
}

impl<R: Rules> AroundRaft for Server<R> {
    type Rules = R;
    type Ticket = server::Ticket;

    fn replicated(&self) -> &ReplicatedStore<server::Ticket, R> {
        Server::replicated(self)
    }

    fn for_raft(message: &Self::Message) -> Option<&raft::Message<Arc<Command>>> {
        match message {
            server::Message::Raft(message) => Some(message),
            _ => None,
        }
    }
}
