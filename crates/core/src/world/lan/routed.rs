//! What becomes of a datagram on the course's LAN: where it goes, and how it fares when it arrives.

use crate::chaos::Flip;
use crate::id::{ClientId, Mid, ReplicaId};
use crate::service::Response;
use crate::wire::{Datagram, Malformed};

/// Where a datagram goes that a replica has sent.
pub(super) enum Routed<'d> {
    /// It is not heard, or makes no sense and is counted.
    Nowhere,
    /// It is a `hello`.
    Hello,
    /// The replica is to be shut down, and counts as died.
    Closed,
    /// It is for replicas.
    Message {
        to: Recipients,
        leader: Option<ReplicaId>,
        /// The datagram as strict JSON.
        text: &'d str,
    },
    /// It answers a client's request.
    Answer(Answer),
}

/// The replicas that get a message.
#[derive(Clone, Copy)]
pub(super) enum Recipients {
    One(ReplicaId),
    /// All but the sender.
    Others,
}

impl Recipients {
    /// The replicas, in order, when this one of so many is the sender.
    pub fn replicas(self, from: ReplicaId, replicas: usize) -> impl Iterator<Item = ReplicaId> {
        ReplicaId::all(replicas).filter(move |&to| match self {
            Recipients::One(only) => to == only,
            Recipients::Others => to != from,
        })
    }
}

/// What becomes of a message that has arrived at a replica.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// The replica gets no messages.
    Lost,
    /// The chaos monkey drops it.
    Dropped,
    /// The replica gets it with a bit flipped.
    Damaged(Flip),
    /// The replica gets it.
    Delivered,
}

/// An answer on its way to a client.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub from: ReplicaId,
    pub to: ClientId,
    pub mid: Mid,
    pub leader: Option<ReplicaId>,
    pub response: Response,
    /// The MID as it was written, which may be any text.
    pub text: Box<str>,
}

impl Answer {
    /// The answer in a datagram for a client.
    pub fn read(
        from: ReplicaId,
        to: ClientId,
        leader: Option<ReplicaId>,
        datagram: &Datagram<'_>,
    ) -> Result<Answer, Nonsense> {
        let response = datagram.response().ok_or(Nonsense::NoAnswer)?;
        let text: Box<str> = datagram.mid.as_deref().ok_or(Nonsense::NoMid)?.into();
        // No request has the largest number.
        let mid = text.parse().unwrap_or(Mid(u64::MAX));
        Ok(Answer { from, to, mid, leader, response, text })
    }
}

/// Why a datagram is incorrect.
#[derive(Debug, thiserror::Error)]
pub(super) enum Nonsense {
    #[error("sent a malformed datagram ({0})")]
    Malformed(#[from] Malformed),
    #[error("sent to an unknown destination")]
    UnknownDestination,
    #[error("sent to a destination in lower case, which the course's runner does not know")]
    LowerCase,
    #[error("sent a client something that is no answer")]
    NoAnswer,
    #[error("answered a client without a MID")]
    NoMid,
}
