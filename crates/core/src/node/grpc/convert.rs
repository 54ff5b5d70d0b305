//! Messages between servers as `proto/raft.proto` describes them, and back.
//!
//! Incoming bytes may be anything. A malformed message is dropped without an answer.

use std::sync::Arc;

use crate::kv::Command;
use crate::raft::{AppendEntries, AppendOutcome, AppendReply, Entry, InstallSnapshot, Message, RequestVote, Vote};
use crate::rpc::proto::raft as proto;
use crate::rpc::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::server::Message as PeerMessage;
use crate::server::admission::Memory;
use crate::service::{Operation, RequestId, Response, Text, Update};
use crate::time::{Span, Time};
use proto::admission::Kind as AdmissionKind;
use proto::forward::Operation as ForwardOperation;
use proto::forwarded::Answer as ForwardedAnswer;
use proto::message::Content;

/// A message's name, for counters and messages.
pub(super) fn kind(message: &PeerMessage) -> &'static str {
    match message {
        PeerMessage::Raft(message) => message.kind(),
        PeerMessage::Forward { .. } => "Forward",
        PeerMessage::Forwarded { .. } => "Forwarded",
        PeerMessage::Hello { .. } | PeerMessage::Welcome { .. } | PeerMessage::Forgotten { .. } => "Admission",
    }
}

impl From<&PeerMessage> for proto::Message {
    fn from(message: &PeerMessage) -> proto::Message {
        let content = match message {
            PeerMessage::Raft(message) => raft_content(message),
            PeerMessage::Forward { token, operation, relay, patience } => {
                let operation = match operation {
                    Operation::Get { key } => Some(ForwardOperation::Get(key.to_string())),
                    Operation::Put { key, value } => Some(ForwardOperation::Update(command(key, value, None, None))),
                    Operation::Update(update) => {
                        let Update { key, value, expected, request } = &**update;
                        Some(ForwardOperation::Update(command(key, value, expected.as_ref(), *request)))
                    }
                    // No client of the store asks for anything else.
                    _ => None,
                };
                Content::Forward(proto::Forward { token: *token, operation, relay: *relay, patience: patience.nanos() })
            }
            PeerMessage::Forwarded { token, response } => {
                let answer = match response {
                    Response::Ok { value: None } => ForwardedAnswer::Done(true),
                    Response::Ok { value: Some(value) } => ForwardedAnswer::Value(value.to_string()),
                    Response::Redirect => ForwardedAnswer::NotLeader(true),
                    Response::Fail => ForwardedAnswer::Failed(true),
                    Response::Outdated => ForwardedAnswer::Outdated(true),
                };
                Content::Forwarded(proto::Forwarded { token: *token, answer: Some(answer) })
            }
            PeerMessage::Hello { memory } => admission(AdmissionKind::Hello, *memory),
            PeerMessage::Welcome { memory } => admission(AdmissionKind::Welcome, *memory),
            PeerMessage::Forgotten { memory } => admission(AdmissionKind::Forgotten, *memory),
        };
        proto::Message { content: Some(content) }
    }
}

fn admission(kind: AdmissionKind, Memory(memory): Memory) -> Content {
    Content::Admission(proto::Admission { kind: kind as i32, memory })
}

fn raft_content(message: &Message<Arc<Command>>) -> Content {
    match message {
        Message::RequestVote(request) => {
            let RequestVote { term, last_index, last_term, pre, handed_over } = *request;
            Content::RequestVote(proto::RequestVote { term, last_index, last_term, pre, handed_over })
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
                AppendOutcome::Received { index, count } => {
                    Some(proto::append_reply::Outcome::Received(proto::Received { index, count }))
                }
                AppendOutcome::Stale => None,
            };
            Content::AppendReply(proto::AppendReply { term: *term, sent: sent.nanos(), outcome })
        }
        Message::Probe { term } => Content::Probe(proto::Probe { term: *term }),
        Message::TimeoutNow { term } => Content::TimeoutNow(proto::TimeoutNow { term: *term }),
        Message::InstallSnapshot(part) => Content::InstallSnapshot(proto::InstallSnapshot {
            term: part.term,
            last_index: part.last_index,
            last_term: part.last_term,
            digest: part.digest,
            offset: part.offset,
            done: part.done,
            sent: part.sent.nanos(),
            commands: part.commands.iter().map(|command| proto::Command::from(&**command)).collect(),
        }),
    }
}

impl From<&Entry<Arc<Command>>> for proto::Entry {
    fn from(entry: &Entry<Arc<Command>>) -> proto::Entry {
        proto::Entry { term: entry.term, command: entry.command.as_deref().map(proto::Command::from) }
    }
}

impl From<&Command> for proto::Command {
    fn from(written: &Command) -> proto::Command {
        command(written.key(), written.value(), written.expected(), written.request())
    }
}

fn command(key: &Text, value: &Text, expected: Option<&Text>, request: Option<RequestId>) -> proto::Command {
    proto::Command {
        key: key.to_string(),
        value: value.to_string(),
        expected: expected.map(ToString::to_string),
        id: request.map(proto::RequestId::from),
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

/// The content of a message; none if it is malformed.
pub(super) fn read(message: proto::Message) -> Option<PeerMessage> {
    Some(match message.content? {
        Content::RequestVote(proto::RequestVote { term, last_index, last_term, pre, handed_over }) => {
            PeerMessage::Raft(Message::RequestVote(RequestVote { term, last_index, last_term, pre, handed_over }))
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
                Some(proto::append_reply::Outcome::Received(proto::Received { index, count })) => {
                    AppendOutcome::Received { index, count }
                }
                None => AppendOutcome::Stale,
            };
            PeerMessage::Raft(Message::AppendReply(AppendReply { term, sent: Time(sent), outcome }))
        }
        Content::Probe(proto::Probe { term }) => PeerMessage::Raft(Message::Probe { term }),
        Content::TimeoutNow(proto::TimeoutNow { term }) => PeerMessage::Raft(Message::TimeoutNow { term }),
        Content::InstallSnapshot(part) => PeerMessage::Raft(Message::InstallSnapshot(Box::new(InstallSnapshot {
            term: part.term,
            last_index: part.last_index,
            last_term: part.last_term,
            digest: part.digest,
            offset: part.offset,
            done: part.done,
            sent: Time(part.sent),
            commands: part.commands.into_iter().map(read_shared_command).collect::<Option<_>>()?,
        }))),
        Content::Forward(proto::Forward { token, operation, relay, patience }) => {
            let operation = match operation? {
                ForwardOperation::Get(key) => Operation::Get { key: key.into() },
                // An update without a name could be carried out twice.
                ForwardOperation::Update(command) => {
                    Operation::Update(Arc::new(read_update(command).filter(|update| update.request.is_some())?))
                }
            };
            Some(()).filter(|()| operation.key().len() <= KEY_BYTES_MAX)?;
            PeerMessage::Forward { token, operation, relay, patience: Span(patience) }
        }
        Content::Forwarded(proto::Forwarded { token, answer }) => {
            let response = match answer? {
                ForwardedAnswer::Done(_) => Response::Ok { value: None },
                ForwardedAnswer::Value(value) => Response::Ok { value: Some(value.into()) },
                ForwardedAnswer::NotLeader(_) => Response::Redirect,
                ForwardedAnswer::Failed(_) => Response::Fail,
                ForwardedAnswer::Outdated(_) => Response::Outdated,
            };
            PeerMessage::Forwarded { token, response }
        }
        Content::Admission(proto::Admission { kind, memory }) => {
            let memory = Memory(memory);
            match AdmissionKind::try_from(kind).ok()? {
                AdmissionKind::Unknown => return None,
                AdmissionKind::Hello => PeerMessage::Hello { memory },
                AdmissionKind::Welcome => PeerMessage::Welcome { memory },
                AdmissionKind::Forgotten => PeerMessage::Forgotten { memory },
            }
        }
    })
}

fn read_entry(entry: proto::Entry) -> Option<Entry<Arc<Command>>> {
    let command = match entry.command {
        Some(command) => Some(read_shared_command(command)?),
        None => None,
    };
    Some(Entry { term: entry.term, command })
}

fn read_shared_command(command: proto::Command) -> Option<Arc<Command>> {
    let Update { key, value, expected, request } = read_update(command)?;
    Some(Arc::new(Command::on_terms(key, value, expected, request)))
}

/// An update, if it is not too large: no server accepts a larger one from a client.
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

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::raft::Entries;
    use crate::rng::Stream;

    /// Random messages of all kinds, with numbers from small to the largest.
    fn message(random: &mut Stream) -> PeerMessage {
        fn number(random: &mut Stream) -> u64 {
            let shift = random.below(64);
            random.next_u64() >> shift
        }
        fn text(random: &mut Stream) -> String {
            let letters = ["a", "é", "\u{1F600}", "\0", "\"", ""];
            (0..random.below(5)).filter_map(|_| random.pick(&letters).copied()).collect()
        }
        fn update(random: &mut Stream) -> Update {
            let request = RequestId { client: number(random), number: number(random) };
            Update {
                key: text(random).into(),
                value: text(random).into(),
                expected: random.chance(0.5).then(|| text(random).into()),
                request: random.chance(0.5).then_some(request),
            }
        }
        fn command(random: &mut Stream) -> Arc<Command> {
            Arc::new(Command::from(&update(random)))
        }
        fn entry(random: &mut Stream) -> Entry<Arc<Command>> {
            Entry { term: number(random), command: random.chance(0.8).then(|| command(random)) }
        }
        let term = number(random);
        PeerMessage::Raft(match random.below(13) {
            0 => Message::RequestVote(RequestVote {
                term,
                last_index: number(random),
                last_term: number(random),
                pre: random.chance(0.5),
                handed_over: random.chance(0.5),
            }),
            1 => Message::Vote(Vote { term, granted: random.chance(0.5), pre: random.chance(0.5) }),
            2 | 3 => Message::AppendEntries(AppendEntries {
                term,
                prev_index: number(random),
                prev_term: number(random),
                commit_index: number(random),
                sent: Time(number(random)),
                entries: (0..random.below(4)).map(|_| entry(random)).collect::<Entries<_>>(),
            }),
            4 | 5 => {
                let outcome = match random.below(4) {
                    0 => AppendOutcome::Matched { index: number(random) },
                    1 => AppendOutcome::Conflict {
                        index: number(random),
                        term: Some(number(random)).filter(|term| term % 2 == 0),
                    },
                    2 => AppendOutcome::Received { index: number(random), count: number(random) },
                    _ => AppendOutcome::Stale,
                };
                Message::AppendReply(AppendReply { term, sent: Time(number(random)), outcome })
            }
            6 => Message::Probe { term },
            12 => Message::TimeoutNow { term },
            7 => Message::InstallSnapshot(Box::new(InstallSnapshot {
                term,
                last_index: number(random),
                last_term: number(random),
                digest: number(random),
                offset: number(random),
                done: random.chance(0.5),
                sent: Time(number(random)),
                commands: (0..random.below(4)).map(|_| command(random)).collect(),
            })),
            8 | 9 => {
                let request = Some(RequestId { client: number(random), number: number(random) });
                let operation = match random.chance(0.5) {
                    true => Operation::Get { key: text(random).into() },
                    false => Operation::Update(Arc::new(Update { request, ..update(random) })),
                };
                let (relay, patience) = (random.chance(0.5), Span(number(random)));
                return PeerMessage::Forward { token: term, operation, relay, patience };
            }
            10 => {
                let memory = Memory(number(random));
                return match random.below(3) {
                    0 => PeerMessage::Hello { memory },
                    1 => PeerMessage::Welcome { memory },
                    _ => PeerMessage::Forgotten { memory },
                };
            }
            _ => {
                let response = match random.below(5) {
                    0 => Response::Ok { value: None },
                    1 => Response::Ok { value: Some(text(random).into()) },
                    2 => Response::Redirect,
                    3 => Response::Outdated,
                    _ => Response::Fail,
                };
                return PeerMessage::Forwarded { token: term, response };
            }
        })
    }

    #[test]
    fn a_written_message_is_read_unchanged() {
        let mut random = Stream::new(1, "messages");
        let mut kinds = std::collections::BTreeSet::new();
        for _ in 0..5_000 {
            let message = message(&mut random);
            kinds.insert(kind(&message));
            let bytes = proto::Message::from(&message).encode_to_vec();
            let read = read(proto::Message::decode(&*bytes).expect("what was written"));
            assert_eq!(read.as_ref(), Some(&message));
        }
        assert!(kinds.len() >= 10, "{kinds:?}");
    }

    #[test]
    fn a_malformed_message_is_none_and_never_panics() {
        let mut random = Stream::new(2, "noise");
        for _ in 0..20_000 {
            let mut bytes = proto::Message::from(&message(&mut random)).encode_to_vec();
            for _ in 0..random.between(1, 4) {
                if bytes.is_empty() {
                    break;
                }
                let place = random.below(bytes.len() as u64) as usize;
                bytes[place] = random.next_u64() as u8;
            }
            if let Ok(message) = proto::Message::decode(&*bytes) {
                let _ = read(message);
            }
        }
        let forward = |operation| {
            read(proto::Message {
                content: Some(Content::Forward(proto::Forward { token: 1, operation, relay: false, patience: 1 })),
            })
        };
        let command = || proto::Command { key: "k".to_owned(), ..proto::Command::default() };
        assert_eq!(read(proto::Message { content: None }), None);
        assert_eq!(forward(None), None);
        assert_eq!(forward(Some(ForwardOperation::Update(command()))), None, "it has no name");
        let large = "k".repeat(KEY_BYTES_MAX + 1);
        assert_eq!(forward(Some(ForwardOperation::Get(large.clone()))), None);
        let entry = |key| proto::Entry { term: 1, command: Some(proto::Command { key, ..command() }) };
        let append = |entry| {
            let append = proto::AppendEntries { term: 1, entries: vec![entry], ..proto::AppendEntries::default() };
            read(proto::Message { content: Some(Content::AppendEntries(append)) })
        };
        assert!(append(entry("k".to_owned())).is_some() && append(entry(large)).is_none());
    }
}
