//! Operations that are listed instead of drawn.

use crate::chaos::Target;
use crate::record::History;
use crate::service::Operation;
use crate::time::Span;
use crate::workload::{CLIENTS, Plan};

/// One listed request: which client sends which operation, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedOperation {
    /// When it is sent, counted from the time at which clients start.
    pub time: Span,
    /// The client that sends it, from 0 to [`CLIENTS`] - 1.
    pub client: usize,
    /// The replica that its first attempt goes to, whatever the client remembers; none if the client chooses as usual.
    ///
    /// The leader is the observed one, and a follower any other living replica. If it aims at the leader while none is
    /// known, the client chooses as usual.
    pub aim: Option<Target>,
    /// The operation. The value of a put is not "", which means "never put".
    pub operation: Operation,
}

impl Plan {
    /// The requests of a run of this plan, in order of sending: the requests that clients began, not their repeated
    /// attempts.
    ///
    /// A run of these operations with the same seed, and everything else unchanged, is the same run. But all its keys
    /// count as shared: a get that was judged by its own client's value is then judged by all puts of its key.
    ///
    /// In real time requests are sent a little late; those sent after the end of the lifetime are moved to it.
    pub fn script(&self, history: &History) -> Vec<ScriptedOperation> {
        let first = history.attempts.iter().filter(|attempt| attempt.retry_of.is_none());
        let written = self.operations.as_deref().unwrap_or_default();
        let operations = first.enumerate().filter_map(|(number, attempt)| {
            let client = attempt.client.number(self.replicas).filter(|&client| client < CLIENTS)?;
            let time = attempt.sent.since(self.start).min(self.lifetime);
            let aim = written.get(number).and_then(|scripted| scripted.aim);
            Some(ScriptedOperation { time, client, aim, operation: attempt.operation.clone() })
        });
        operations.collect()
    }
}
