//! The kinds of Raft's messages.

use crate::raft::{AppendEntries, Message, RequestVote};

/// The kinds of its messages, as places in [`KINDS`].
#[derive(Clone, Copy)]
pub(in crate::subjects) enum Kind {
    Append,
    Heartbeat,
    AppendReply,
    PreVote,
    RequestVote,
    Vote,
    Probe,
}

/// The name of each kind.
pub(in crate::subjects) const KINDS: &[&str] =
    &["append", "heartbeat", "append_reply", "pre_vote", "request_vote", "vote", "probe"];

impl Kind {
    /// The kind of a message.
    pub fn of<C>(message: &Message<C>) -> Kind {
        match message {
            Message::AppendEntries(AppendEntries { entries, .. }) if entries.is_empty() => Kind::Heartbeat,
            Message::AppendEntries(_) => Kind::Append,
            Message::AppendReply(_) => Kind::AppendReply,
            Message::RequestVote(RequestVote { pre: true, .. }) => Kind::PreVote,
            Message::RequestVote(_) => Kind::RequestVote,
            Message::Vote(_) => Kind::Vote,
            Message::Probe { .. } => Kind::Probe,
            // This replaces the election timeout of the replica that then asks for votes. No run of the testbed has
            // such a message.
            Message::TimeoutNow { .. } => Kind::RequestVote,
            // A chunk of a snapshot replaces the appends of many entries.
            Message::InstallSnapshot(_) => Kind::Append,
        }
    }
}
