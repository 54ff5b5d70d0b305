//! What servers send each other, and write to their disks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::admission::{Fact, Memory};
use crate::kv::Command;
use crate::machine;
use crate::raft;
use crate::service::{Operation, Response};
use crate::time::Span;

/// A message between servers of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// A message of Raft's.
    Raft(raft::Message<Arc<Command>>),
    /// A client's request, for the leader.
    Forward {
        /// Names the request among those of the sender.
        token: u64,
        /// The client's operation. An update has a name.
        operation: Operation,
        /// Whether a receiver that does not lead should pass it on, since the sender does not hear from the leader.
        relay: bool,
        /// How long the client will still wait for the answer.
        patience: Span,
    },
    /// The answer to a request that was passed on.
    Forwarded {
        /// The token of the request.
        token: u64,
        /// The answer.
        response: Response,
    },
    /// The sender asks to take part with this memory.
    Hello {
        /// Its memory.
        memory: Memory,
    },
    /// The receiver's hello with this memory is welcome.
    Welcome {
        /// The receiver's memory.
        memory: Memory,
    },
    /// The sender knows another memory of the receiver's than this one, so the receiver has lost its own.
    Forgotten {
        /// The memory that the receiver has now.
        memory: Memory,
    },
}

/// What a server writes to its disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Record {
    /// A change of its Raft state.
    Raft(raft::Record<Arc<Command>>),
    /// A fact about who may take part.
    Fact(Fact),
    /// All of its Raft state, and all such facts: they replace all earlier records.
    Checkpoint {
        /// A checkpoint of Raft's.
        raft: raft::Record<Arc<Command>>,
        /// All facts.
        facts: Box<[Fact]>,
    },
}

impl machine::Record for Record {
    fn begins_checkpoint(&self) -> bool {
        matches!(self, Record::Raft(record) if record.begins_checkpoint())
    }

    fn ends_checkpoint(&self) -> bool {
        matches!(self, Record::Checkpoint { .. })
    }
}
