//! What must not grow without bound: the messages that replicas send each other, and what they hold.
//!
//! A cluster that sends ten times as many messages as it needs, or never drops what it no longer needs, passes every other
//! check. How much is too much only the protocol can say. So a subject that gives bounds is watched for them, and others
//! are not. A bound should lie far above what sound machines were seen to do, because this checker is there to find what
//! grows and does not stop.

use std::fmt;

use super::opinion::Opinion;
use super::panel::{Check, Evidence};
use super::raft;
use crate::engine::State;
use crate::id::ReplicaId;
use crate::machine::Machine;
use crate::record::{Event, Observer, Scene};
use crate::time::{Span, Time};

/// The kind of the finding that replicas sent too many messages.
pub const TOO_MANY_MESSAGES: &str = "too many messages";

/// The kind of the finding that a replica holds more than it should.
pub const HOLDS_TOO_MUCH: &str = "holds too much";

/// Machines are looked at this often.
const PERIOD: Span = Span::from_millis(500);

/// How many messages replicas may send each other until some time:
/// `links * per_link_second * (seconds + 1) + replicas * per_replica_request * requests`, where there are
/// `replicas * (replicas - 1)` links.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MessageBound {
    /// Messages on each link, in one direction, in each second.
    pub per_link_second: f64,
    /// Messages for each request that reached a replica, and each replica.
    pub per_replica_request: f64,
}

impl MessageBound {
    /// How many messages this many replicas may have sent after this time and as many requests.
    pub fn messages(&self, replicas: usize, after: Span, requests: u64) -> f64 {
        let links = (replicas * (replicas - 1)) as f64;
        let by_time = links * self.per_link_second * (after.as_secs_f64() + 1.0);
        by_time + replicas as f64 * self.per_replica_request * requests as f64
    }
}

/// What one machine holds. It is called with the time on the machine's own clock, and returns what is too much, if
/// anything.
type Holds<M> = Box<dyn Fn(Time, &M) -> Result<(), String>>;

/// Watches that replicas send each other no more messages than a bound, and hold no more than they should.
pub struct Growth<M> {
    messages: Option<MessageBound>,
    holds: Holds<M>,
    sent: u64,
    requests: u64,
    look_again: Time,
    looks: u64,
    broken: Option<(&'static str, Time, String)>,
}

impl<M> Growth<M> {
    /// A watch for too many messages, if there is a bound, and for machines of which `holds` says that they hold too
    /// much. Only those that run are asked.
    pub fn new(messages: Option<MessageBound>, holds: impl Fn(Time, &M) -> Result<(), String> + 'static) -> Growth<M> {
        Growth {
            messages,
            holds: Box::new(holds),
            sent: 0,
            requests: 0,
            look_again: Time::ZERO,
            looks: 0,
            broken: None,
        }
    }

    #[cold]
    fn look(&mut self, scene: &Scene<'_, M>) {
        self.look_again = scene.now + PERIOD;
        if self.broken.is_some() {
            return;
        }
        self.looks += 1;
        let excess = self.excess_of_messages(scene).map(|what| (TOO_MANY_MESSAGES, what));
        let excess = excess.or_else(|| self.excess_of_machines(scene).map(|what| (HOLDS_TOO_MUCH, what)));
        self.broken = excess.map(|(name, what)| (name, scene.now, what));
    }

    fn excess_of_messages(&self, scene: &Scene<'_, M>) -> Option<String> {
        let most = self.messages?.messages(scene.replicas.len(), scene.now.since(Time::ZERO), self.requests);
        let (sent, requests) = (self.sent, self.requests);
        (sent as f64 > most).then(|| format!("{sent} messages after {requests} requests, of at most {most:.0}"))
    }

    fn excess_of_machines(&self, scene: &Scene<'_, M>) -> Option<String> {
        let is_up = |id: &ReplicaId| scene.conditions[id.index()].state == State::Up;
        let excess =
            |id: ReplicaId| (self.holds)(scene.local(id), &scene.replicas[id.index()]).err().map(|what| (id, what));
        let (id, what) = ReplicaId::all(scene.replicas.len()).filter(is_up).find_map(excess)?;
        Some(format!("replica {id} {what}"))
    }
}

impl<M> fmt::Debug for Growth<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Growth").field("messages", &self.messages).field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl<M: Machine> Observer<M> for Growth<M> {
    #[inline]
    fn event(&mut self, scene: &Scene<'_, M>, event: &Event<'_, M::Message>) {
        self.requests += u64::from(matches!(event, Event::Requested { .. }));
        if scene.now >= self.look_again {
            self.look(scene);
        }
    }

    #[inline]
    fn sent(&mut self, _: ReplicaId, _: ReplicaId, _: &M::Message) {
        self.sent += 1;
    }
}

impl<M: Machine> Check<M> for Growth<M> {
    fn judge(&mut self, _: &Evidence<'_>) -> Opinion {
        let broken = self.broken.as_ref();
        let broken = broken.map(|(name, time, what)| raft::BrokenInvariant { name, time: *time, what });
        raft::opinion("Growth", self.looks, None, broken)
    }

    fn speaks_only_of_failures(&self) -> bool {
        true
    }
}
