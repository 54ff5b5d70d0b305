//! How many complaints about a replica are passed on.

use crate::id::ReplicaId;

/// How many complaints about one replica are passed on.
const TOLD_MAX: u32 = 10;

/// Counts complaints about replicas, so that none floods the listener.
#[derive(Debug)]
pub(super) struct Quota {
    told: Vec<u32>,
}

impl Quota {
    /// No complaint so far about any of so many replicas.
    pub fn new(replicas: usize) -> Quota {
        Quota { told: vec![0; replicas] }
    }

    /// Hands a complaint about a replica to `tell`, unless there were too many already. `what` is called only if it is
    /// told. The last one that is told is followed by a note.
    pub fn pass(&mut self, replica: ReplicaId, what: impl FnOnce() -> String, mut tell: impl FnMut(String)) {
        let told = &mut self.told[replica.index()];
        *told = told.saturating_add(1);
        if *told <= TOLD_MAX {
            tell(what());
        }
        if *told == TOLD_MAX {
            tell("further complaints about this replica are only counted".to_owned());
        }
    }
}
