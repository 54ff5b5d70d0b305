//! What a scenario can do to a cluster.

use crate::chaos::ConnectivityMatrix;
use crate::id::ReplicaId;
use crate::time::Time;

/// One thing that a scenario does to a cluster: the course's five event types, then our own.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// `kill_leader`: the believed leader crash-fails; nothing happens while none is believed in.
    KillLeader,
    /// `kill_non_leader`: a random living replica other than the believed leader crash-fails.
    KillNonLeader,
    /// `part_easy`: a partition in which the leader's side keeps a living quorum.
    PartEasy,
    /// `part_hard`: a partition in which the leader's side has no quorum.
    PartHard,
    /// `part_end`: all partitions and isolations end.
    PartEnd,
    /// `kill`: this replica crash-fails, whoever it is; nothing happens if it is dead already.
    Kill(ReplicaId),
    /// `set_matrix`: a new connectivity matrix.
    SetMatrix(ConnectivityMatrix),
    /// `set_link`: a new value for one entry of the matrix.
    SetLink {
        /// The sender, the matrix's row.
        from: ReplicaId,
        /// The receiver, the matrix's column.
        to: ReplicaId,
        /// The probability that the receiver drops a message.
        value: f64,
    },
    /// `isolate`: one replica is cut off from all others.
    Isolate(ReplicaId),
    /// `heal`: all partitions and isolations end and the matrix is what it was at the start.
    Heal,
}

impl Fault {
    /// Whether it is one of the course's five.
    pub const fn is_of_course(&self) -> bool {
        matches!(self, Fault::KillLeader | Fault::KillNonLeader | Fault::PartEasy | Fault::PartHard | Fault::PartEnd)
    }

    /// Its name in scenario files.
    pub const fn name(&self) -> &'static str {
        match self {
            Fault::KillLeader => "kill_leader",
            Fault::KillNonLeader => "kill_non_leader",
            Fault::PartEasy => "part_easy",
            Fault::PartHard => "part_hard",
            Fault::PartEnd => "part_end",
            Fault::Kill(_) => "kill",
            Fault::SetMatrix(_) => "set_matrix",
            Fault::SetLink { .. } => "set_link",
            Fault::Isolate(_) => "isolate",
            Fault::Heal => "heal",
        }
    }
}

/// A fault and the time at which it strikes.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultEvent {
    /// Counted from the start of the run (not, as in the file, from the end of `wait`).
    pub time: Time,
    /// What happens.
    pub fault: Fault,
}
