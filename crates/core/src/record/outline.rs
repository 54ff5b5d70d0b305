//! Events in a readable line of text. Without their messages they are small enough to keep many.

use std::fmt;

use crate::engine::PowerFailure;
use crate::id::{ClientId, ReplicaId};
use crate::record::Event;

/// An [`Event`] without its message: its kind, and the replicas or clients that it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outline {
    /// [`Event::Delivered`], from and to.
    Delivered(ReplicaId, ReplicaId),
    /// [`Event::Dropped`], from and to.
    Dropped(ReplicaId, ReplicaId),
    /// [`Event::Lost`], to.
    Lost(ReplicaId),
    /// [`Event::Timeout`].
    Timeout(ReplicaId),
    /// [`Event::Requested`], from and to.
    Requested(ClientId, ReplicaId),
    /// [`Event::Answered`], from and to.
    Answered(ReplicaId, ClientId),
    /// [`Event::Struck`], the fault's place in the scenario.
    Struck(u32),
    /// [`Event::Crashed`].
    Crashed(ReplicaId),
    /// [`Event::Started`].
    Started(ReplicaId),
    /// [`Event::Ended`].
    Ended(ReplicaId),
    /// [`Event::Synced`].
    Synced(ReplicaId),
    /// [`Event::Damaged`], from and to.
    Damaged(ReplicaId, ReplicaId),
    /// [`Event::Sent`], from.
    Sent(ReplicaId),
    /// [`Event::Printed`].
    Printed(ReplicaId),
    /// [`Event::Called`].
    Called(ReplicaId),
    /// [`Event::Complained`].
    Complained(ReplicaId),
}

impl<M> Event<'_, M> {
    /// The event without its message.
    pub fn outline(&self) -> Outline {
        match *self {
            Event::Delivered { from, to, .. } => Outline::Delivered(from, to),
            Event::Dropped { from, to, .. } => Outline::Dropped(from, to),
            Event::Lost { to } => Outline::Lost(to),
            Event::Timeout { replica } => Outline::Timeout(replica),
            Event::Requested { from, to, .. } => Outline::Requested(from, to),
            Event::Answered { from, to, .. } => Outline::Answered(from, to),
            Event::Struck { event, .. } => Outline::Struck(event as u32),
            Event::Crashed { replica, .. } => Outline::Crashed(replica),
            Event::Started { replica, .. } => Outline::Started(replica),
            Event::Ended { replica, .. } => Outline::Ended(replica),
            Event::Synced { replica } => Outline::Synced(replica),
            Event::Damaged { from, to, .. } => Outline::Damaged(from, to),
            Event::Sent { from, .. } => Outline::Sent(from),
            Event::Printed { replica, .. } => Outline::Printed(replica),
            Event::Called { replica, .. } => Outline::Called(replica),
            Event::Complained { replica, .. } => Outline::Complained(replica),
        }
    }
}

/// As in `deliver 0000 -> 0002`.
impl fmt::Display for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outline::Delivered(from, to) => write!(f, "deliver {from} -> {to}"),
            Outline::Dropped(from, to) => write!(f, "drop {from} -> {to}"),
            Outline::Lost(to) => write!(f, "lost -> {to}"),
            Outline::Timeout(replica) => write!(f, "timeout {replica}"),
            Outline::Requested(from, to) => write!(f, "request {from} -> {to}"),
            Outline::Answered(from, to) => write!(f, "answer {from} -> {to}"),
            Outline::Struck(place) => write!(f, "fault {place}"),
            Outline::Crashed(replica) => write!(f, "crash {replica}"),
            Outline::Started(replica) => write!(f, "start {replica}"),
            Outline::Ended(replica) => write!(f, "end {replica}"),
            Outline::Synced(replica) => write!(f, "synced {replica}"),
            Outline::Damaged(from, to) => write!(f, "damage {from} -> {to}"),
            Outline::Sent(from) => write!(f, "send {from}"),
            Outline::Printed(replica) => write!(f, "print {replica}"),
            Outline::Called(replica) => write!(f, "call {replica}"),
            Outline::Complained(replica) => write!(f, "complaint {replica}"),
        }
    }
}

/// The outline and the event's content, as in `deliver 0000 -> 0002: Probe { term: 1 }`.
impl<M: fmt::Debug> fmt::Display for Event<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.outline())?;
        match self {
            Event::Delivered { message, .. }
            | Event::Dropped { message, .. }
            | Event::Damaged { message, .. }
            | Event::Sent { message, .. } => write!(f, ": {message:?}"),
            Event::Requested { mid, request, .. } => write!(f, ": {mid} {request:?}"),
            Event::Answered { mid, leader, response, .. } => {
                write!(f, ": {mid} {response:?}, ")?;
                match leader {
                    Some(leader) => write!(f, "{leader} leads"),
                    None => f.write_str("nobody leads"),
                }
            }
            Event::Struck { consequence, .. } => match consequence.killed {
                Some(killed) => write!(f, ": {killed} is killed"),
                None => Ok(()),
            },
            Event::Crashed { failure: PowerFailure { lost, torn }, .. } => {
                write!(f, ": {lost} records lost{}", if *torn { ", one torn" } else { "" })
            }
            Event::Ended { why, .. } => write!(f, ": {why}"),
            Event::Printed { line: text, .. }
            | Event::Called { call: text, .. }
            | Event::Complained { what: text, .. } => write!(f, ": {text}"),
            Event::Lost { .. } | Event::Timeout { .. } | Event::Started { .. } | Event::Synced { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::Consequence;
    use crate::id::Mid;
    use crate::service::{Operation, Response};

    #[test]
    fn an_event_is_shown_in_a_line_with_its_content() {
        let (one, two, client) = (ReplicaId(1), ReplicaId(2), ClientId(26));
        let (mid, request) = (Mid(7), &Operation::Get { key: "k".into() });
        let consequence = Consequence { killed: Some(two), leader_lost: true, ..Consequence::default() };
        for (event, text) in [
            (Event::Delivered { from: one, to: two, message: &3 }, "deliver 0001 -> 0002: 3"),
            (Event::Dropped { from: one, to: two, message: &3 }, "drop 0001 -> 0002: 3"),
            (Event::Damaged { from: one, to: two, message: &3 }, "damage 0001 -> 0002: 3"),
            (Event::Sent { from: one, message: &3 }, "send 0001: 3"),
            (Event::Printed { replica: one, line: "elected" }, "print 0001: elected"),
            (Event::Called { replica: one, call: "getpid() = 7" }, "call 0001: getpid() = 7"),
            (Event::Complained { replica: one, what: "has quit" }, "complaint 0001: has quit"),
            (Event::Lost { to: two }, "lost -> 0002"),
            (Event::Timeout { replica: two }, "timeout 0002"),
            (
                Event::Requested { from: client, to: one, mid, request },
                "request 001A -> 0001: 000000000007 Get { key: \"k\" }",
            ),
            (
                Event::Answered { from: one, to: client, mid: Mid(7), leader: None, response: &Response::Fail },
                "answer 0001 -> 001A: 000000000007 Fail, nobody leads",
            ),
            (
                Event::Answered {
                    from: one,
                    to: client,
                    mid: Mid(7),
                    leader: Some(two),
                    response: &Response::Redirect,
                },
                "answer 0001 -> 001A: 000000000007 Redirect, 0002 leads",
            ),
            (Event::Struck { event: 4, consequence }, "fault 4: 0002 is killed"),
            (Event::Struck { event: 4, consequence: Consequence::default() }, "fault 4"),
        ] {
            assert_eq!(event.to_string(), text);
        }
    }

    #[test]
    fn an_outline_is_small() {
        assert!(size_of::<Outline>() <= 8);
    }
}
