//! The trace: every event of a run in order, and a hash over it.

use std::hash::Hash;

use crate::chaos::Consequence;
use crate::engine::PowerFailure;
use crate::hash::StableHasher;
use crate::id::{ClientId, Mid, ReplicaId};
use crate::machine::Exit;
use crate::service::{Operation, Response};
use crate::time::Time;

/// One event of a run, as the world saw it happen.
#[derive(Clone, Debug, Hash)]
pub enum Event<'a, M> {
    /// A message reached a replica, which handled it.
    Delivered {
        /// The sender.
        from: ReplicaId,
        /// The receiver.
        to: ReplicaId,
        /// The message.
        message: &'a M,
    },
    /// A message reached a replica and was dropped there, by the connectivity matrix, a partition or the scenario's
    /// list of losses.
    Dropped {
        /// The sender.
        from: ReplicaId,
        /// The receiver.
        to: ReplicaId,
        /// The message.
        message: &'a M,
    },
    /// A message or request arrived for a dead replica.
    Lost {
        /// The dead replica.
        to: ReplicaId,
    },
    /// A replica's timeout came.
    Timeout {
        /// The replica.
        replica: ReplicaId,
    },
    /// A client's request reached a replica.
    Requested {
        /// The client.
        from: ClientId,
        /// The replica.
        to: ReplicaId,
        /// Names the request.
        mid: Mid,
        /// The request.
        request: &'a Operation,
    },
    /// A replica's answer reached a client.
    Answered {
        /// The replica.
        from: ReplicaId,
        /// The client.
        to: ClientId,
        /// The request answered.
        mid: Mid,
        /// The leader that the answer is stamped with.
        leader: Option<ReplicaId>,
        /// The answer.
        response: &'a Response,
    },
    /// A fault of the scenario was injected.
    Struck {
        /// Its place in the scenario's list of events.
        event: usize,
        /// Its consequence.
        consequence: Consequence,
    },
    /// The power of a replica's host has failed.
    Crashed {
        /// The replica.
        replica: ReplicaId,
        /// The effect on its disk.
        failure: PowerFailure,
    },
    /// A replica was restarted.
    Started {
        /// The replica.
        replica: ReplicaId,
        /// Whether its disk was replaced by an empty one.
        wiped: bool,
    },
    /// A replica has ended by itself, or refused to start.
    Ended {
        /// The replica.
        replica: ReplicaId,
        /// Why.
        why: &'a Exit,
    },
    /// A sync of a replica's disk is done.
    Synced {
        /// The replica.
        replica: ReplicaId,
    },
    /// A message reached a replica with a flipped bit. In the virtual world the replica has detected the damage and
    /// dropped the message. In the live world it received the damaged bytes, and how it reacts is up to the program.
    Damaged {
        /// The sender.
        from: ReplicaId,
        /// The receiver.
        to: ReplicaId,
        /// The message as it was sent.
        message: &'a M,
    },
    /// A program has sent a datagram. Only the LAN in virtual time shows that, whatever the datagram says; a message in
    /// it is an event of its own when it arrives.
    Sent {
        /// The sender.
        from: ReplicaId,
        /// The datagram.
        message: &'a M,
    },
    /// A program has printed a line.
    Printed {
        /// The replica.
        replica: ReplicaId,
        /// The line, without its end.
        line: &'a str,
    },
    /// A program has made a system call, or one has ended for which it waited. Told only if that is asked for
    /// ([`Program::telling_calls`](crate::world::program::Program::telling_calls)); it is no part of a trace's hash.
    Called {
        /// The replica.
        replica: ReplicaId,
        /// The call, in one line.
        call: &'a str,
    },
    /// The course's LAN complains about a replica: what it did is allowed to no replica of the course.
    Complained {
        /// The replica.
        replica: ReplicaId,
        /// The complaint, in one line.
        what: &'a str,
    },
}

impl<'a, M> Event<'a, M> {
    /// The message that it concerns, if there is one.
    pub fn message(&self) -> Option<&'a M> {
        match *self {
            Event::Delivered { message, .. }
            | Event::Dropped { message, .. }
            | Event::Damaged { message, .. }
            | Event::Sent { message, .. } => Some(message),
            _ => None,
        }
    }

    /// The event without the message between replicas. It has the same type for all protocols.
    pub fn without_message(&self) -> Event<'a, ()> {
        match *self {
            Event::Delivered { from, to, .. } => Event::Delivered { from, to, message: &() },
            Event::Dropped { from, to, .. } => Event::Dropped { from, to, message: &() },
            Event::Lost { to } => Event::Lost { to },
            Event::Timeout { replica } => Event::Timeout { replica },
            Event::Requested { from, to, mid, request } => Event::Requested { from, to, mid, request },
            Event::Answered { from, to, mid, leader, response } => Event::Answered { from, to, mid, leader, response },
            Event::Struck { event, consequence } => Event::Struck { event, consequence },
            Event::Crashed { replica, failure } => Event::Crashed { replica, failure },
            Event::Started { replica, wiped } => Event::Started { replica, wiped },
            Event::Ended { replica, why } => Event::Ended { replica, why },
            Event::Synced { replica } => Event::Synced { replica },
            Event::Damaged { from, to, .. } => Event::Damaged { from, to, message: &() },
            Event::Sent { from, .. } => Event::Sent { from, message: &() },
            Event::Printed { replica, line } => Event::Printed { replica, line },
            Event::Called { replica, call } => Event::Called { replica, call },
            Event::Complained { replica, what } => Event::Complained { replica, what },
        }
    }
}

/// The growing trace of a run: how many events there were, and the hash over all of them.
///
/// Two runs have the same hash exactly if they had the same events at the same times in the same order (up to a chance
/// of 2^-64).
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hasher: StableHasher,
    events: u64,
}

impl Trace {
    /// An empty trace.
    pub const fn new() -> Trace {
        Trace { hasher: StableHasher::new(), events: 0 }
    }

    /// Adds one event.
    #[inline]
    pub fn record<M: Hash>(&mut self, now: Time, event: &Event<'_, M>) {
        self.events += 1;
        self.hasher.word(now.nanos());
        event.hash(&mut self.hasher);
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The hash over all of them.
    pub fn hash(&self) -> u64 {
        self.hasher.value()
    }
}
