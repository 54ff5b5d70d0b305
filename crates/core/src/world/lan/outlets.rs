//! What the course's LAN acts through: its wires, and an ear for complaints.

use crate::chaos::Act;
use crate::id::ReplicaId;
use crate::record::Event;
use crate::time::Time;

/// Hears what a [`Lan`](super::Lan) finds wrong with replicas.
pub trait Inspector {
    /// There is a complaint about a replica. `what` returns one line; it is called only if the line is shown.
    fn complain(&mut self, now: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        let _ = (now, about, what);
    }

    /// As [`Inspector::complain`], about an event that counts the replica as died: it must always be shown.
    fn report_death(&mut self, now: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        self.complain(now, about, what);
    }
}

/// What a [`Lan`](super::Lan) wants done.
pub trait Wires: Inspector {
    /// Hand these bytes to a replica, which has sent `hello`.
    fn send(&mut self, now: Time, to: ReplicaId, bytes: &[u8]);

    /// A replica has sent `hello` in the datagram that is being received, so it can be reached from now on. If this is
    /// its first one since its start, the source of the datagram is its address.
    fn connect(&mut self, replica: ReplicaId) {
        let _ = replica;
    }

    /// Carry an act out on a replica: a fault of the scenario, or [`Act::Kill`] because of its messages. Before an
    /// [`Act::Restart`], all that is left of the old process must end, and its pending messages must be dropped.
    fn act(&mut self, now: Time, replica: ReplicaId, act: Act);

    /// An event for the trace has happened.
    fn witness(&mut self, now: Time, event: &Event<'_, &str>) {
        let _ = (now, event);
    }
}
