//! Complaints about replicas, without flooding the listener.

use super::console::Teller;
use crate::id::ReplicaId;
use crate::time::Time;

/// How many complaints about one replica are passed on.
const TOLD_MAX: u32 = 10;

/// Passes complaints on, up to a number for each replica.
pub(crate) struct Complaints {
    teller: Teller,
    told: Vec<u32>,
}

impl Complaints {
    pub fn new(replicas: usize, teller: Teller) -> Complaints {
        Complaints { teller, told: vec![0; replicas] }
    }

    /// Passes on an important complaint, however many there were about the replica already.
    pub fn insist(&self, now: Time, replica: ReplicaId, what: String) {
        self.teller.complain(now, replica, what);
    }

    /// Passes on a complaint about a replica, unless there were too many already. `what` is called only if the
    /// complaint is passed on.
    pub fn tell(&mut self, now: Time, replica: ReplicaId, what: impl FnOnce() -> String) {
        let told = &mut self.told[replica.index()];
        *told = told.saturating_add(1);
        if *told <= TOLD_MAX {
            self.teller.complain(now, replica, what());
        }
        if *told == TOLD_MAX {
            self.teller.complain(now, replica, "further complaints about this replica are only counted".to_owned());
        }
    }
}
