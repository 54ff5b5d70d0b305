//! The messages under way, in the script's hands.

use seedbed::id::{ReplicaId, ReplicaSet};

use super::notation::Message;

#[derive(Clone)]
pub struct Packet {
    pub from: ReplicaId,
    pub to: ReplicaId,
    pub message: Message,
}

#[derive(Default)]
pub struct Network {
    /// In the order of sending.
    pub under_way: Vec<Packet>,
    /// Held back until they are released.
    pub held: Vec<Packet>,
    /// One side of a partition.
    pub cut_off: ReplicaSet,
    pub dead: ReplicaSet,
}

/// Which messages a command is about.
#[derive(Default)]
pub struct Filter {
    pub from: Option<ReplicaId>,
    pub to: Option<ReplicaId>,
    pub kind: Option<String>,
    /// Only the oldest of them.
    pub first: bool,
}

impl Network {
    /// Whether what is sent now is lost.
    pub fn loses(&self, from: ReplicaId, to: ReplicaId) -> bool {
        self.dead.contains(to) || self.cut_off.contains(from) != self.cut_off.contains(to)
    }

    /// Takes out the messages that a filter is about; there must be some.
    pub fn take(&mut self, filter: &Filter) -> Result<Vec<Packet>, String> {
        let fits = |packet: &Packet| {
            filter.from.is_none_or(|from| packet.from == from)
                && filter.to.is_none_or(|to| packet.to == to)
                && filter.kind.as_ref().is_none_or(|kind| packet.message.kind() == kind)
        };
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for packet in self.under_way.drain(..) {
            let enough = filter.first && !taken.is_empty();
            if fits(&packet) && !enough { taken.push(packet) } else { left.push(packet) }
        }
        self.under_way = left;
        if taken.is_empty() { Err("no such message is under way".to_string()) } else { Ok(taken) }
    }
}
