//! Messages between servers as `proto/raft.proto` describes them, and back.
//!
//! What comes in may be anything. What cannot be a message is none, and its sender is not asked again.

use std::sync::Arc;

use super::core::{Answer, PeerMessage};
use crate::kv::Command;
use crate::protocol::{Operation, RequestId, Update};
use crate::raft::{AppendEntries, AppendOutcome, AppendReply, Entry, Message, RequestVote, Vote};
use crate::rpc::proto::raft as proto;
use crate::rpc::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::time::Time;
use proto::forward::Operation as ForwardOperation;
use proto::forwarded::Answer as ForwardedAnswer;
use proto::message::Content;

impl PeerMessage {
    /// The message's name, for counting and for people.
    pub fn kind(&self) -> &'static str {
        match self {
            PeerMessage::Raft(message) => message.kind(),
            PeerMessage::Forward { .. } => "Forward",
            PeerMessage::Forwarded { .. } => "Forwarded",
        }
    }
}

impl From<&PeerMessage> for proto::Message {
    fn from(message: &PeerMessage) -> proto::Message {
        let content = match message {
            PeerMessage::Raft(message) => raft_content(message),
            PeerMessage::Forward { token, operation } => {
                let operation = match operation {
                    Operation::Get { key } => ForwardOperation::Get(key.to_string()),
                    Operation::Put { key, value } => ForwardOperation::Update(proto::Command {
                        key: key.to_string(),
                        value: value.to_string(),
                        expected: None,
                        id: None,
                    }),
                    Operation::Update(update) => ForwardOperation::Update(update_command(update)),
                };
                Content::Forward(proto::Forward { token: *token, operation: Some(operation) })
            }
            PeerMessage::Forwarded { token, answer } => {
                let answer = match answer {
                    Answer::Done => ForwardedAnswer::Done(true),
                    Answer::Value(value) => ForwardedAnswer::Value(value.to_string()),
                    Answer::Mismatch(value) => ForwardedAnswer::Mismatch(value.to_string()),
                    Answer::NotLeader => ForwardedAnswer::NotLeader(true),
                    Answer::Failed | Answer::TimedOut => ForwardedAnswer::Failed(true),
                };
                Content::Forwarded(proto::Forwarded { token: *token, answer: Some(answer) })
            }
        };
        proto::Message { content: Some(content) }
    }
}

fn raft_content(message: &Message<Arc<Command>>) -> Content {
    match message {
        Message::RequestVote(RequestVote { term, last_index, last_term, pre }) => {
            let (term, last_index, last_term, pre) = (*term, *last_index, *last_term, *pre);
            Content::RequestVote(proto::RequestVote { term, last_index, last_term, pre })
        }
        Message::Vote(Vote { term, granted, pre }) => {
            Content::Vote(proto::Vote { term: *term, granted: *granted, pre: *pre })
        }
        Message::AppendEntries(append) => Content::AppendEntries(proto::AppendEntries {
            term: append.term,
            prev_index: append.prev_index,
            prev_term: append.prev_term,
            commit_index: append.commit_index,
            sent: append.sent.nanos(),
            entries: append.entries.iter().map(proto::Entry::from).collect(),
        }),
        Message::AppendReply(AppendReply { term, sent, outcome }) => {
            let outcome = match *outcome {
                AppendOutcome::Matched { index } => Some(proto::append_reply::Outcome::Matched(index)),
                AppendOutcome::Conflict { index, term } => {
                    Some(proto::append_reply::Outcome::Conflict(proto::Conflict { index, term }))
                }
                AppendOutcome::Stale => None,
            };
            Content::AppendReply(proto::AppendReply { term: *term, sent: sent.nanos(), outcome })
        }
        Message::Probe { term } => Content::Probe(proto::Probe { term: *term }),
    }
}

impl From<&Entry<Arc<Command>>> for proto::Entry {
    fn from(entry: &Entry<Arc<Command>>) -> proto::Entry {
        proto::Entry { term: entry.term, command: entry.command.as_deref().map(proto::Command::from) }
    }
}

impl From<&Command> for proto::Command {
    fn from(command: &Command) -> proto::Command {
        proto::Command {
            key: command.key().to_string(),
            value: command.value().to_string(),
            expected: command.expected().map(|expected| expected.to_string()),
            id: command.request().map(proto::RequestId::from),
        }
    }
}

fn update_command(update: &Update) -> proto::Command {
    proto::Command {
        key: update.key.to_string(),
        value: update.value.to_string(),
        expected: update.expected.as_deref().map(str::to_owned),
        id: update.request.map(proto::RequestId::from),
    }
}

impl From<RequestId> for proto::RequestId {
    fn from(RequestId { client, number }: RequestId) -> proto::RequestId {
        proto::RequestId { client, number }
    }
}

impl From<proto::RequestId> for RequestId {
    fn from(proto::RequestId { client, number }: proto::RequestId) -> RequestId {
        RequestId { client, number }
    }
}

/// What a message says; none if it cannot be one.
pub(super) fn read(message: proto::Message) -> Option<PeerMessage> {
    Some(match message.content? {
        Content::RequestVote(proto::RequestVote { term, last_index, last_term, pre }) => {
            PeerMessage::Raft(Message::RequestVote(RequestVote { term, last_index, last_term, pre }))
        }
        Content::Vote(proto::Vote { term, granted, pre }) => {
            PeerMessage::Raft(Message::Vote(Vote { term, granted, pre }))
        }
        Content::AppendEntries(append) => PeerMessage::Raft(Message::AppendEntries(AppendEntries {
            term: append.term,
            prev_index: append.prev_index,
            prev_term: append.prev_term,
            commit_index: append.commit_index,
            sent: Time(append.sent),
            entries: append.entries.into_iter().map(read_entry).collect::<Option<_>>()?,
        })),
        Content::AppendReply(proto::AppendReply { term, sent, outcome }) => {
            let outcome = match outcome {
                Some(proto::append_reply::Outcome::Matched(index)) => AppendOutcome::Matched { index },
                Some(proto::append_reply::Outcome::Conflict(proto::Conflict { index, term })) => {
                    AppendOutcome::Conflict { index, term }
                }
                None => AppendOutcome::Stale,
            };
            PeerMessage::Raft(Message::AppendReply(AppendReply { term, sent: Time(sent), outcome }))
        }
        Content::Probe(proto::Probe { term }) => PeerMessage::Raft(Message::Probe { term }),
        Content::Forward(proto::Forward { token, operation }) => {
            let operation = match operation? {
                ForwardOperation::Get(key) => Operation::Get { key: key.into() },
                // One without a name could be carried out twice.
                ForwardOperation::Update(command) => {
                    Operation::Update(Arc::new(read_update(command).filter(|update| update.request.is_some())?))
                }
            };
            Some(()).filter(|()| operation.key().len() <= KEY_BYTES_MAX)?;
            PeerMessage::Forward { token, operation }
        }
        Content::Forwarded(proto::Forwarded { token, answer }) => {
            let answer = match answer? {
                ForwardedAnswer::Done(_) => Answer::Done,
                ForwardedAnswer::Value(value) => Answer::Value(value.into()),
                ForwardedAnswer::Mismatch(value) => Answer::Mismatch(value.into()),
                ForwardedAnswer::NotLeader(_) => Answer::NotLeader,
                ForwardedAnswer::Failed(_) => Answer::Failed,
            };
            PeerMessage::Forwarded { token, answer }
        }
    })
}

fn read_entry(entry: proto::Entry) -> Option<Entry<Arc<Command>>> {
    let command = match entry.command {
        Some(command) => Some(Arc::new(read_command(command)?)),
        None => None,
    };
    Some(Entry { term: entry.term, command })
}

fn read_command(command: proto::Command) -> Option<Command> {
    Some(Command::from(&read_update(command)?))
}

/// An update, if it is not too large: no server takes one from a client that is.
fn read_update(command: proto::Command) -> Option<Update> {
    let proto::Command { key, value, expected, id } = command;
    let fits = key.len() <= KEY_BYTES_MAX
        && value.len() <= VALUE_BYTES_MAX
        && expected.as_ref().is_none_or(|expected| expected.len() <= VALUE_BYTES_MAX);
    fits.then(|| Update {
        key: key.into(),
        value: value.into(),
        expected: expected.map(Into::into),
        request: id.map(RequestId::from),
    })
}
