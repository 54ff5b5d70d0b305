//! The first seed document's naive replication: broadcast every put, ignore failures.
//!
//! Any replica accepts a put, answers at once and tells all others; a get reads what this replica happens to have. It
//! is quick and cheap, and wrong as soon as a message is lost. The testbed must convict it.

use std::sync::Arc;

use crate::id::ReplicaId;
use crate::kv::{Command, Store};
use crate::protocol::{Identity, Input, Operation, Outbox, Protocol, Response};
use crate::time::Time;

/// One replica of the naive store.
#[derive(Clone, Debug)]
pub struct Broadcast {
    identity: Identity,
    store: Store,
}

impl Broadcast {
    /// A replica that has just started.
    pub fn new(identity: Identity) -> Broadcast {
        Broadcast { identity, store: Store::new() }
    }
}

impl Protocol for Broadcast {
    type Message = Arc<Command>;

    fn handle(&mut self, _: Time, input: Input<Self::Message>, out: &mut Outbox<Self::Message>) {
        match input {
            Input::Timeout => {}
            Input::Peer { message, .. } => self.store.apply(&message),
            Input::Client { from, request } => {
                let value = match request.operation {
                    Operation::Get { key } => Some(self.store.get(&key).cloned().unwrap_or_default()),
                    Operation::Put { key, value } => {
                        let command = Arc::new(Command::new(key, value));
                        self.store.apply(&command);
                        let others = ReplicaId::all(self.identity.replicas).filter(|&other| other != self.identity.id);
                        for other in others {
                            out.send(other, Arc::clone(&command));
                        }
                        None
                    }
                };
                out.reply(from, request.mid, Response::Ok { value });
            }
        }
    }

    fn poll_timeout(&self) -> Time {
        Time::NEVER
    }

    /// Nobody leads.
    fn leader(&self) -> Option<ReplicaId> {
        None
    }
}
