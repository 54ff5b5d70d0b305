//! Complaints about replicas, without flooding the listener.

use super::console::Teller;
use crate::id::ReplicaId;
use crate::time::Time;
use crate::world::quota::Quota;

/// Passes complaints on, up to a number for each replica.
pub(crate) struct Complaints {
    teller: Teller,
    quota: Quota,
}

impl Complaints {
    pub fn new(replicas: usize, teller: Teller) -> Complaints {
        Complaints { teller, quota: Quota::new(replicas) }
    }

    /// Passes on an important complaint, however many there were about the replica already.
    pub fn insist(&self, now: Time, replica: ReplicaId, what: String) {
        self.teller.complain(now, replica, what);
    }

    /// Passes on a complaint about a replica, unless there were too many already. `what` is called only if the
    /// complaint is passed on.
    pub fn tell(&mut self, now: Time, replica: ReplicaId, what: impl FnOnce() -> String) {
        self.quota.pass(replica, what, |what| self.teller.complain(now, replica, what));
    }
}
