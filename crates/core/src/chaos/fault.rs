//! What a scenario can do to a cluster.

use crate::chaos::{Act, ConnectivityMatrix, Reach, Target};
use crate::engine::Delay;
use crate::id::{ReplicaId, ReplicaSet};
use crate::time::Time;

/// One thing that a scenario does to a cluster: the course's five event types, then our own.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// `kill_leader`: the observed leader crash-fails; nothing happens while none is known.
    KillLeader,
    /// `kill_non_leader`: a random living replica other than the observed leader crash-fails.
    KillNonLeader,
    /// `part_easy`: a partition in which the leader's side keeps a living quorum.
    PartEasy,
    /// `part_hard`: a partition in which the leader's side has no quorum.
    PartHard,
    /// `part_end`: all partitions and isolations end.
    PartEnd,
    /// `partition`: the cluster splits into these groups. Replicas that no group names make up one more.
    Partition(Vec<ReplicaSet>),
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
    Isolate(Target),
    /// `heal`: all partitions and isolations end and the matrix is what it was at the start.
    Heal,
    /// `duplicate`: this share of the messages between replicas arrives twice from now on.
    Duplicate(f64),
    /// `damage`: from now on one bit is flipped on the way in this share of the messages between replicas.
    Damage(f64),
    /// `delay_link`: messages on this link take this long from now on; as long as on other links if no delay is given.
    DelayLink {
        /// The sender.
        from: ReplicaId,
        /// The receiver.
        to: ReplicaId,
        /// How long.
        delay: Option<Delay>,
    },
    /// An act on one host, or on all hosts that it can hit.
    Host {
        /// The host's replica; without one, every host that can be hit.
        at: Option<Target>,
        /// What happens.
        act: Act,
    },
}

impl Fault {
    /// `kill` of this replica.
    pub const fn kill(replica: ReplicaId) -> Fault {
        Fault::Host { at: Some(Target::Replica(replica)), act: Act::Kill }
    }

    /// `isolate` of this replica.
    pub const fn isolate(replica: ReplicaId) -> Fault {
        Fault::Isolate(Target::Replica(replica))
    }

    /// What it does to hosts; none if it is about the network.
    pub const fn act(&self) -> Option<Act> {
        match self {
            Fault::KillLeader | Fault::KillNonLeader => Some(Act::Kill),
            Fault::Host { act, .. } => Some(*act),
            _ => None,
        }
    }

    /// Whether it kills a replica for ever.
    pub const fn kills(&self) -> bool {
        matches!(self.act(), Some(Act::Kill))
    }

    /// In which worlds it can be played.
    pub fn reach(&self) -> Reach {
        match self {
            Fault::Duplicate(_) | Fault::DelayLink { .. } => Reach::VirtualTime,
            Fault::Damage(_) => Reach::Processes,
            Fault::Host { act, .. } => act.reach(),
            _ => Reach::Everywhere,
        }
    }

    /// Whether it is one of the course's five types.
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
            Fault::Partition(_) => "partition",
            Fault::SetMatrix(_) => "set_matrix",
            Fault::SetLink { .. } => "set_link",
            Fault::Isolate(_) => "isolate",
            Fault::Heal => "heal",
            Fault::Duplicate(_) => "duplicate",
            Fault::Damage(_) => "damage",
            Fault::DelayLink { .. } => "delay_link",
            Fault::Host { act, .. } => act.name(),
        }
    }
}

/// A fault and the time at which it is injected.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultEvent {
    /// Counted from the start of the run (not, as in the file, from the end of `wait`).
    pub time: Time,
    /// What happens.
    pub fault: Fault,
}
