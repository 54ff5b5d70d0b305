//! Names of updates: every write of a client becomes one that must be applied exactly once.

use std::sync::Arc;

use crate::rng::Stream;
use crate::service::{Operation, RequestId, Update};

/// The numbers that clients draw for themselves are below this, so that every JSON reader can represent them.
const NUMBERS: u64 = 1 << 53;

/// The names of one client's updates.
#[derive(Clone, Debug)]
struct Session {
    random: Stream,
    newest: RequestId,
    /// Whether the newest update has no answer yet, or never got one.
    open: bool,
}

/// The names of all clients' updates.
///
/// A client numbers its updates in ascending order and has one of them under way at a time, as [`RequestId`] demands.
/// If the next one is due before the newest is answered, or after that was abandoned, the client draws a new number for
/// itself and counts from 1 again. So the newest may still take effect at any time, but only once.
#[derive(Clone, Debug)]
pub(super) struct Names {
    sessions: Vec<Session>,
}

impl Names {
    pub fn new(clients: usize, seed: u64) -> Names {
        let session = |client| {
            let mut random = Stream::link(seed, "names", client, 0);
            let newest = RequestId { client: random.below(NUMBERS), number: 0 };
            Session { random, newest, open: false }
        };
        Names { sessions: (0..clients as u64).map(session).collect() }
    }

    /// The same operation with a name, if it is a write.
    pub fn name(&mut self, client: usize, operation: Operation) -> Operation {
        let update = match operation {
            Operation::Put { key, value } => Update { key, value, expected: None, request: None },
            Operation::Update(update) => Arc::unwrap_or_clone(update),
            other => return other,
        };
        Operation::Update(Arc::new(Update { request: Some(self.sessions[client].next()), ..update }))
    }

    /// Records that an update was answered.
    pub fn settle(&mut self, client: usize, operation: &Operation) {
        let session = &mut self.sessions[client];
        if matches!(operation, Operation::Update(update) if update.request == Some(session.newest)) {
            session.open = false;
        }
    }
}

impl Session {
    fn next(&mut self) -> RequestId {
        if self.open {
            self.newest = RequestId { client: self.random.below(NUMBERS), number: 0 };
        }
        self.open = true;
        self.newest.number += 1;
        self.newest
    }
}
