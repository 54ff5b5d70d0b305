//! The messages of Raft as datagrams.
//!
//! A datagram's type is the message's name. Its further keys are short, because most datagrams are small:
//!
//! | type | keys |
//! |---|---|
//! | `RequestVote`, `PreVote` | `t` term, `li` and `lt` index and term of the last entry, `h` if it was handed over |
//! | `Vote` | `t` term, `g` granted, `p` it answers a pre-vote |
//! | `AppendEntries` | `t` term, `pi` and `pt` index and term of the entry before, `c` commit, `s` sent, `e` entries |
//! | `AppendReply` | `t` term, `s` sent, and what came of it: see below |
//! | `Probe`, `TimeoutNow` | `t` term |
//! | `InstallSnapshot` | `t`, `li`, `lt` and `s` as above, `d` digest, `o` offset, `f` finished, `e` commands |
//!
//! The outcome of an append is one of these: `m`, the matched index; `x` (and `xt`), the index (and term) of a
//! conflict; `r` and `n`, the index of a state and the number of its commands received; or none of these keys, which
//! means stale.
//!
//! An entry is `[term,"key","value"]`, or `[term]` if it has no command. A conditional or named update adds the value
//! that it expects, or `null`. If it must be done only once, it also adds the client and the number of the request:
//! `[term,"key","value","expected"]`, `[term,"key","value",null,client,number]`. A command of a state is the same
//! without the term. All numbers are unsigned integers; `s` is in nanoseconds of the leader's own clock.
//!
//! Every datagram ends with `sum`, its checksum ([`crate::wire::Datagram::is_intact`]).
//!
//! Appends are batched by the largest length of their text in ASCII ([`crate::service::text_bytes`]), so one fits in a
//! datagram with room to spare. As a backstop, for a configuration with larger batches, an append that does not fit is
//! split into several, each of them a valid append.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::kv::Command;
use crate::raft::{
    AppendEntries, AppendOutcome, AppendReply, Entries, Entry, Index, InstallSnapshot, Message, RequestVote, Term, Vote,
};
use crate::service::{RequestId, Text};
use crate::time::Time;
use crate::wire::{DATAGRAM_BYTES_MAX, Datagram, Datagrams, Envelope, PeerMessage, Pulse};

impl PeerMessage for Message<Arc<Command>> {
    fn encode(&self, envelope: &Envelope<'_>, out: &mut Datagrams) {
        let kind = self.kind();
        match self {
            Message::RequestVote(request) => {
                let RequestVote { term, last_index, last_term, pre: _, handed_over } = *request;
                out.push(envelope, kind, &RequestVoteBody { term, last_index, last_term, handed_over });
            }
            Message::Vote(Vote { term, granted, pre }) => {
                out.push(envelope, kind, &VoteBody { term: *term, granted: *granted, pre: *pre });
            }
            Message::AppendEntries(append) => {
                encode_append(append, (append.prev_index, append.prev_term), &append.entries, envelope, out);
            }
            Message::AppendReply(reply) => {
                out.push(envelope, kind, &AppendReplyBody::from(*reply));
            }
            Message::Probe { term } | Message::TimeoutNow { term } => {
                out.push(envelope, kind, &ProbeBody { term: *term });
            }
            Message::InstallSnapshot(part) => encode_part(part, part.offset, &part.commands, envelope, out),
        }
    }

    fn decode(datagram: &Datagram<'_>) -> Option<Self> {
        Some(match &*datagram.kind {
            kind @ ("RequestVote" | "PreVote") => {
                let RequestVoteBody { term, last_index, last_term, handed_over } = datagram.body().ok()?;
                let pre = kind == "PreVote";
                Message::RequestVote(RequestVote { term, last_index, last_term, pre, handed_over })
            }
            "Vote" => {
                let VoteBody { term, granted, pre } = datagram.body().ok()?;
                Message::Vote(Vote { term, granted, pre })
            }
            "AppendEntries" => Message::AppendEntries(datagram.body::<AppendBody<EntriesRead>>().ok()?.into()),
            "AppendReply" => Message::AppendReply(datagram.body::<AppendReplyBody>().ok()?.reply()?),
            "InstallSnapshot" => {
                Message::InstallSnapshot(Box::new(datagram.body::<PartBody<CommandsRead>>().ok()?.into()))
            }
            "TimeoutNow" => Message::TimeoutNow { term: datagram.body::<ProbeBody>().ok()?.term },
            "Probe" => Message::Probe { term: datagram.body::<ProbeBody>().ok()?.term },
            _ => return None,
        })
    }

    /// An append without entries is a heartbeat.
    fn pulse(&self) -> Option<Pulse> {
        match self {
            Message::AppendEntries(append) if append.entries.is_empty() => Some(Pulse::Beat(append.sent.nanos())),
            Message::AppendReply(reply) => Some(Pulse::Answer(reply.sent.nanos())),
            _ => None,
        }
    }
}

/// Writes entries of an append in as many datagrams as needed: one, unless batches are configured to be larger than a
/// datagram. `prev` is the index and term of the entry before them. A single entry that does not fit is left out: a
/// node accepts no such entry from clients.
fn encode_append(
    append: &AppendEntries<Arc<Command>>,
    prev: (Index, Term),
    entries: &[Entry<Arc<Command>>],
    envelope: &Envelope<'_>,
    out: &mut Datagrams,
) {
    let body = AppendBody {
        term: append.term,
        prev_index: prev.0,
        prev_term: prev.1,
        commit_index: append.commit_index,
        sent: append.sent.nanos(),
        entries: EntriesWritten(entries),
    };
    if out.push(envelope, "AppendEntries", &body) <= DATAGRAM_BYTES_MAX {
        return;
    }
    out.pop();
    let (first, second) = entries.split_at(entries.len() / 2);
    if let Some(last) = first.last() {
        encode_append(append, prev, first, envelope, out);
        encode_append(append, (prev.0.saturating_add(first.len() as Index), last.term), second, envelope, out);
    }
}

/// Writes the commands of a chunk of a state in as many datagrams as needed. `offset` is the number of commands before
/// them. Each datagram is a valid chunk.
fn encode_part(
    part: &InstallSnapshot<Arc<Command>>,
    offset: u64,
    commands: &[Arc<Command>],
    envelope: &Envelope<'_>,
    out: &mut Datagrams,
) {
    let InstallSnapshot { term, last_index, last_term, digest, sent, .. } = *part;
    let end = part.offset.saturating_add(part.commands.len() as u64);
    let done = part.done && offset.saturating_add(commands.len() as u64) == end;
    let written = CommandsWritten(commands);
    let body = PartBody { term, last_index, last_term, digest, offset, done, sent: sent.nanos(), commands: written };
    if out.push(envelope, "InstallSnapshot", &body) <= DATAGRAM_BYTES_MAX {
        return;
    }
    out.pop();
    let (first, second) = commands.split_at(commands.len() / 2);
    if !first.is_empty() {
        encode_part(part, offset, first, envelope, out);
        encode_part(part, offset.saturating_add(first.len() as u64), second, envelope, out);
    }
}

#[derive(Serialize, Deserialize)]
struct RequestVoteBody {
    #[serde(rename = "t")]
    term: Term,
    #[serde(rename = "li")]
    last_index: Index,
    #[serde(rename = "lt")]
    last_term: Term,
    #[serde(rename = "h", default, skip_serializing_if = "std::ops::Not::not")]
    handed_over: bool,
}

#[derive(Serialize, Deserialize)]
struct VoteBody {
    #[serde(rename = "t")]
    term: Term,
    #[serde(rename = "g")]
    granted: bool,
    #[serde(rename = "p")]
    pre: bool,
}

#[derive(Serialize, Deserialize)]
struct AppendBody<E> {
    #[serde(rename = "t")]
    term: Term,
    #[serde(rename = "pi")]
    prev_index: Index,
    #[serde(rename = "pt")]
    prev_term: Term,
    #[serde(rename = "c")]
    commit_index: Index,
    #[serde(rename = "s")]
    sent: u64,
    #[serde(rename = "e")]
    entries: E,
}

#[derive(Serialize, Deserialize)]
struct AppendReplyBody {
    #[serde(rename = "t")]
    term: Term,
    #[serde(rename = "s")]
    sent: u64,
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    matched: Option<Index>,
    #[serde(rename = "x", skip_serializing_if = "Option::is_none")]
    conflict: Option<Index>,
    #[serde(rename = "xt", skip_serializing_if = "Option::is_none")]
    conflict_term: Option<Term>,
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    received: Option<Index>,
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct PartBody<E> {
    #[serde(rename = "t")]
    term: Term,
    #[serde(rename = "li")]
    last_index: Index,
    #[serde(rename = "lt")]
    last_term: Term,
    #[serde(rename = "d")]
    digest: u64,
    #[serde(rename = "o")]
    offset: u64,
    #[serde(rename = "f")]
    done: bool,
    #[serde(rename = "s")]
    sent: u64,
    #[serde(rename = "e")]
    commands: E,
}

#[derive(Serialize, Deserialize)]
struct ProbeBody {
    #[serde(rename = "t")]
    term: Term,
}

impl From<AppendBody<EntriesRead>> for AppendEntries<Arc<Command>> {
    fn from(body: AppendBody<EntriesRead>) -> AppendEntries<Arc<Command>> {
        let AppendBody { term, prev_index, prev_term, commit_index, sent, entries } = body;
        AppendEntries { term, prev_index, prev_term, commit_index, sent: Time(sent), entries: entries.0 }
    }
}

impl From<AppendReply> for AppendReplyBody {
    fn from(AppendReply { term, sent, outcome }: AppendReply) -> AppendReplyBody {
        let sent = sent.nanos();
        let none = None;
        let mut body = AppendReplyBody {
            term,
            sent,
            matched: none,
            conflict: none,
            conflict_term: none,
            received: none,
            count: none,
        };
        match outcome {
            AppendOutcome::Matched { index } => body.matched = Some(index),
            AppendOutcome::Conflict { index, term } => (body.conflict, body.conflict_term) = (Some(index), term),
            AppendOutcome::Received { index, count } => (body.received, body.count) = (Some(index), Some(count)),
            AppendOutcome::Stale => {}
        }
        body
    }
}

impl From<PartBody<CommandsRead>> for InstallSnapshot<Arc<Command>> {
    fn from(body: PartBody<CommandsRead>) -> InstallSnapshot<Arc<Command>> {
        let PartBody { term, last_index, last_term, digest, offset, done, sent, commands } = body;
        let (sent, commands) = (Time(sent), commands.0.into_iter().map(|CommandRead(command)| command).collect());
        InstallSnapshot { term, last_index, last_term, digest, offset, done, sent, commands }
    }
}

impl AppendReplyBody {
    /// The reply, if it has only one outcome.
    fn reply(&self) -> Option<AppendReply> {
        let outcome = match (self.matched, self.conflict, self.conflict_term, self.received, self.count) {
            (Some(index), None, None, None, None) => AppendOutcome::Matched { index },
            (None, Some(index), term, None, None) => AppendOutcome::Conflict { index, term },
            (None, None, None, Some(index), Some(count)) => AppendOutcome::Received { index, count },
            (None, None, None, None, None) => AppendOutcome::Stale,
            _ => return None,
        };
        Some(AppendReply { term: self.term, sent: Time(self.sent), outcome })
    }
}

/// Entries, for writing.
struct EntriesWritten<'a>(&'a [Entry<Arc<Command>>]);

impl Serialize for EntriesWritten<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(EntryWritten))
    }
}

struct EntryWritten<'a>(&'a Entry<Arc<Command>>);

impl Serialize for EntryWritten<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_seq(None)?;
        parts.serialize_element(&self.0.term)?;
        if let Some(command) = &self.0.command {
            write_command(command, &mut parts)?;
        }
        parts.end()
    }
}

/// Commands, for writing.
struct CommandsWritten<'a>(&'a [Arc<Command>]);

impl Serialize for CommandsWritten<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|command| CommandWritten(command)))
    }
}

struct CommandWritten<'a>(&'a Command);

impl Serialize for CommandWritten<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_seq(None)?;
        write_command(self.0, &mut parts)?;
        parts.end()
    }
}

/// Writes a command as the last elements of a list.
fn write_command<S: SerializeSeq>(command: &Command, parts: &mut S) -> Result<(), S::Error> {
    parts.serialize_element(&**command.key())?;
    parts.serialize_element(&**command.value())?;
    let (expected, request) = (command.expected(), command.request());
    if expected.is_some() || request.is_some() {
        parts.serialize_element(&expected.map(|text| &**text))?;
    }
    if let Some(RequestId { client, number }) = request {
        parts.serialize_element(&client)?;
        parts.serialize_element(&number)?;
    }
    Ok(())
}

/// A string that is copied only if it is escaped.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads the rest of a list as a command; none if the list has ended. `before` is the number of elements already read.
fn read_command<'de, A: SeqAccess<'de>>(
    list: &mut A,
    before: usize,
    expected: &dyn de::Expected,
) -> Result<Option<Arc<Command>>, A::Error> {
    let Some(Borrowed(key)) = list.next_element::<Borrowed<'de>>()? else { return Ok(None) };
    let too_short = |length| de::Error::invalid_length(before + length, expected);
    let Borrowed(value) = list.next_element()?.ok_or_else(|| too_short(1))?;
    let (key, value) = (Text::from(&*key), Text::from(&*value));
    let Some(condition) = list.next_element::<Option<Borrowed<'de>>>()? else {
        return Ok(Some(Arc::new(Command::new(key, value))));
    };
    let condition = condition.map(|Borrowed(text)| Text::from(&*text));
    let request = match list.next_element()? {
        Some(client) => Some(RequestId { client, number: list.next_element()?.ok_or_else(|| too_short(4))? }),
        // A put has only one valid form.
        None if condition.is_none() => return Err(too_short(3)),
        None => None,
    };
    Ok(Some(Arc::new(Command::on_terms(key, value, condition, request))))
}

/// Entries, as they are read.
struct EntriesRead(Entries<Arc<Command>>);

impl<'de> Deserialize<'de> for EntriesRead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EntriesRead, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = EntriesRead;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<EntriesRead, A::Error> {
                let mut entries = Entries::new();
                while let Some(EntryRead(entry)) = list.next_element()? {
                    entries.push(entry);
                }
                Ok(EntriesRead(entries))
            }
        }
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

/// Commands, as they are read.
#[derive(Deserialize)]
struct CommandsRead(Vec<CommandRead>);

struct CommandRead(Arc<Command>);

impl<'de> Deserialize<'de> for CommandRead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CommandRead, D::Error> {
        struct CommandVisitor;
        impl<'de> Visitor<'de> for CommandVisitor {
            type Value = CommandRead;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[key, value], or that with an expected value, a client and a number")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<CommandRead, A::Error> {
                let command = read_command(&mut list, 0, &self)?;
                command.map(CommandRead).ok_or_else(|| de::Error::invalid_length(0, &self))
            }
        }
        deserializer.deserialize_seq(CommandVisitor)
    }
}

struct EntryRead(Entry<Arc<Command>>);

impl<'de> Deserialize<'de> for EntryRead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EntryRead, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = EntryRead;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[term], [term, key, value], or that with an expected value, a client and a number")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<EntryRead, A::Error> {
                let term = list.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let command = read_command(&mut list, 1, &self)?;
                // A list that is longer is refused by the deserializer.
                Ok(EntryRead(Entry { term, command }))
            }
        }
        deserializer.deserialize_seq(EntryVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ReplicaId;
    use crate::wire::{Address, read_damaged};

    const ENVELOPE: Envelope<'static> =
        Envelope { src: Address(1), dst: Address(0xF29A), leader: Address::BROADCAST, mid: "2f" };

    fn entry(term: Term, key: &str, value: &str) -> Entry<Arc<Command>> {
        Entry { term, command: Some(Arc::new(Command::new(key.into(), value.into()))) }
    }

    fn on_terms(term: Term, expected: Option<&str>, request: Option<(u64, u64)>) -> Entry<Arc<Command>> {
        let request = request.map(|(client, number)| RequestId { client, number });
        let command = Command::on_terms("k".into(), "v".into(), expected.map(Text::from), request);
        Entry { term, command: Some(Arc::new(command)) }
    }

    fn append(entries: impl IntoIterator<Item = Entry<Arc<Command>>>) -> AppendEntries<Arc<Command>> {
        let entries = entries.into_iter().collect();
        AppendEntries { term: 9, prev_index: 4, prev_term: 2, commit_index: 3, sent: Time(1_000_007), entries }
    }

    fn part(entries: impl IntoIterator<Item = Entry<Arc<Command>>>) -> InstallSnapshot<Arc<Command>> {
        let commands = entries.into_iter().filter_map(|entry| entry.command).collect();
        let sent = Time(7);
        InstallSnapshot { term: 9, last_index: 4, last_term: 2, digest: 11, offset: 3, done: true, sent, commands }
    }

    fn encode(message: &Message<Arc<Command>>) -> Datagrams {
        let mut out = Datagrams::new();
        message.encode(&ENVELOPE, &mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Message<Arc<Command>>> {
        Message::decode(&Datagram::parse(bytes).unwrap())
    }

    fn reply(term: Term, sent: u64, outcome: AppendOutcome) -> Message<Arc<Command>> {
        Message::AppendReply(AppendReply { term, sent: Time(sent), outcome })
    }

    #[test]
    fn messages_are_written_with_short_keys() {
        let request = RequestVote { term: 3, last_index: 2, last_term: 1, pre: false, handed_over: false };
        let text = "\"é\n";
        for (message, body) in [
            (Message::RequestVote(request), r#""RequestVote","MID":"2f","t":3,"li":2,"lt":1}"#),
            (
                Message::RequestVote(RequestVote { handed_over: true, ..request }),
                r#""RequestVote","MID":"2f","t":3,"li":2,"lt":1,"h":true}"#,
            ),
            (Message::TimeoutNow { term: 3 }, r#""TimeoutNow","MID":"2f","t":3}"#),
            (
                Message::RequestVote(RequestVote { pre: true, ..request }),
                r#""PreVote","MID":"2f","t":3,"li":2,"lt":1}"#,
            ),
            (
                Message::Vote(Vote { term: 3, granted: true, pre: false }),
                r#""Vote","MID":"2f","t":3,"g":true,"p":false}"#,
            ),
            (
                Message::AppendEntries(append([Entry { term: 2, command: None }, entry(9, "k", text)])),
                r#""AppendEntries","MID":"2f","t":9,"pi":4,"pt":2,"c":3,"s":1000007,"e":[[2],[9,"k","\"é\n"]]}"#,
            ),
            (
                Message::AppendEntries(append([
                    on_terms(9, Some("w"), None),
                    on_terms(9, Some(""), Some((1, 2))),
                    on_terms(9, None, Some((u64::MAX, 3))),
                ])),
                concat!(
                    r#""AppendEntries","MID":"2f","t":9,"pi":4,"pt":2,"c":3,"s":1000007,"e":[[9,"k","v","w"],"#,
                    r#"[9,"k","v","",1,2],[9,"k","v",null,18446744073709551615,3]]}"#
                ),
            ),
            (reply(3, 7, AppendOutcome::Matched { index: 5 }), r#""AppendReply","MID":"2f","t":3,"s":7,"m":5}"#),
            (
                reply(3, 7, AppendOutcome::Conflict { index: 5, term: Some(2) }),
                r#""AppendReply","MID":"2f","t":3,"s":7,"x":5,"xt":2}"#,
            ),
            (
                reply(3, 7, AppendOutcome::Conflict { index: 5, term: None }),
                r#""AppendReply","MID":"2f","t":3,"s":7,"x":5}"#,
            ),
            (reply(3, 7, AppendOutcome::Stale), r#""AppendReply","MID":"2f","t":3,"s":7}"#),
            (
                reply(3, 7, AppendOutcome::Received { index: 5, count: 2 }),
                r#""AppendReply","MID":"2f","t":3,"s":7,"r":5,"n":2}"#,
            ),
            (Message::Probe { term: 3 }, r#""Probe","MID":"2f","t":3}"#),
            (
                Message::InstallSnapshot(Box::new(part([entry(1, "k", "v"), on_terms(1, None, Some((7, 8)))]))),
                concat!(
                    r#""InstallSnapshot","MID":"2f","t":9,"li":4,"lt":2,"d":11,"o":3,"f":true,"s":7,"#,
                    r#""e":[["k","v"],["k","v",null,7,8]]}"#
                ),
            ),
        ] {
            let out = encode(&message);
            let written: Vec<&str> = out.iter().map(|bytes| str::from_utf8(bytes).unwrap()).collect();
            let [written] = written[..] else { panic!("one datagram: {written:?}") };
            let (content, sum) = written.rsplit_once(r#","sum":"#).expect("a checksum");
            assert_eq!(
                format!("{content}}}"),
                r#"{"src":"0001","dst":"F29A","leader":"FFFF","type":"#.to_owned() + body
            );
            assert!(sum.strip_suffix('}').is_some_and(|sum| sum.parse::<u64>().is_ok()), "{sum}");
        }
    }

    #[test]
    fn every_written_message_is_read_unchanged() {
        let mut messages = Vec::new();
        for number in [0, 1, 1 << 53, u64::MAX] {
            let (term, index) = (number, u64::MAX - number);
            for flag in [false, true] {
                let handed_over = flag && number > 1;
                let request = RequestVote { term, last_index: index, last_term: number, pre: flag, handed_over };
                messages.push(Message::RequestVote(request));
                messages.push(Message::Vote(Vote { term, granted: flag, pre: !flag }));
                messages.push(reply(term, index, AppendOutcome::Conflict { index, term: flag.then_some(number) }));
            }
            messages.push(reply(term, index, AppendOutcome::Matched { index }));
            messages.push(reply(term, index, AppendOutcome::Stale));
            messages.push(Message::Probe { term });
            messages.push(Message::TimeoutNow { term });
            let terms = [(Some("é\""), None), (Some(""), Some((number, index))), (None, Some((index, number)))];
            let updates = terms.map(|(expected, request)| on_terms(term, expected, request)).to_vec();
            for entries in [vec![], vec![entry(term, "", "")], vec![Entry { term, command: None }; 7], updates] {
                let sent = Time(number);
                let numbers = AppendEntries { term, prev_index: index, prev_term: number, sent, ..append(entries) };
                messages.push(Message::AppendEntries(numbers));
            }
            messages.push(reply(term, index, AppendOutcome::Received { index, count: number }));
            for entries in [vec![], vec![entry(term, "", ""), on_terms(term, Some(""), Some((number, index)))]] {
                let (digest, offset, done) = (index, number, number > 1);
                let numbers = InstallSnapshot { term, last_index: index, digest, offset, done, ..part(entries) };
                messages.push(Message::InstallSnapshot(Box::new(numbers)));
            }
        }
        for message in messages {
            let out = encode(&message);
            let read: Vec<_> = out.iter().map(decode).collect();
            assert_eq!(read, [Some(message)]);
        }
    }

    /// A dozen messages, at least one of each kind.
    fn of_each_kind() -> Vec<Message<Arc<Command>>> {
        let request = RequestVote { term: 3, last_index: 2, last_term: 1, pre: false, handed_over: false };
        vec![
            Message::RequestVote(request),
            Message::RequestVote(RequestVote { pre: true, handed_over: true, ..request }),
            Message::Vote(Vote { term: 3, granted: true, pre: false }),
            Message::AppendEntries(append([])),
            Message::AppendEntries(append([Entry { term: 2, command: None }, entry(9, "k", "\"é\n\u{1f}")])),
            Message::AppendEntries(append([on_terms(9, Some("w"), Some((1, 2))), on_terms(9, None, Some((7, 3)))])),
            reply(3, 7, AppendOutcome::Matched { index: 5 }),
            reply(3, 7, AppendOutcome::Conflict { index: 5, term: Some(2) }),
            reply(3, 7, AppendOutcome::Received { index: 5, count: 2 }),
            reply(3, 7, AppendOutcome::Stale),
            Message::Probe { term: 3 },
            Message::TimeoutNow { term: 3 },
            Message::InstallSnapshot(Box::new(part([entry(1, "k", "v"), on_terms(1, None, Some((7, 8)))]))),
        ]
    }

    /// The results of reading a message with one of its bits flipped, for each bit.
    fn after_flips(message: &Message<Arc<Command>>, checks: bool) -> Vec<Option<Message<Arc<Command>>>> {
        let (mut read, mut bits) = (Vec::new(), usize::MAX);
        while read.len() < bits {
            let bit = read.len();
            let mut flip = |bytes: &mut [u8]| {
                bits = bytes.len() * 8;
                bytes[bit / 8] ^= 1 << (bit % 8);
            };
            read.push(read_damaged(message, [ReplicaId(0), ReplicaId(1)], checks, &mut flip));
        }
        read
    }

    #[test]
    fn a_message_with_a_flipped_bit_is_never_accepted() {
        for message in of_each_kind() {
            let read = after_flips(&message, true);
            assert!(read.len() > 800, "{message:?}");
            for (bit, read) in read.into_iter().enumerate() {
                // The case of an escape's hexadecimal digits may change.
                assert!(read.is_none_or(|read| read == message), "bit {bit} of {message:?}");
            }
            // Without the checksum a damaged message would be accepted.
            assert!(after_flips(&message, false).into_iter().flatten().any(|read| read != message), "{message:?}");
        }
    }

    #[test]
    fn a_checksum_takes_less_than_thirty_bytes() {
        for message in of_each_kind() {
            let (sealed, mut bare) = (encode(&message), Datagrams::bare());
            message.encode(&ENVELOPE, &mut bare);
            let envelope = r#""src":"0001","dst":"F29A","leader":"FFFF","MID":"2f","#.len();
            let length = |out: &Datagrams| out.iter().map(<[u8]>::len).sum::<usize>();
            assert!(length(&sealed) - length(&bare) - envelope < 30);
        }
    }

    #[test]
    fn an_append_that_is_too_large_is_split_into_datagrams_that_fit() {
        let nasty = "\u{1}\"\\\u{1F600}".repeat(100);
        for count in [1, 2, 3, 100, 1_000, 3_001] {
            let whole = append((0..count).map(|i| entry(2 + i / 100, &format!("key {i}"), &nasty)));
            let whole = AppendEntries { term: 100, ..whole };
            let out = encode(&Message::AppendEntries(whole.clone()));
            assert!(count < 100 || out.len() > 1);
            let (mut prev_index, mut prev_term) = (whole.prev_index, whole.prev_term);
            let mut entries = Vec::new();
            for bytes in out.iter() {
                assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
                let Some(Message::AppendEntries(part)) = decode(bytes) else { panic!("an append") };
                assert_eq!((part.prev_index, part.prev_term), (prev_index, prev_term));
                assert_eq!((part.term, part.commit_index, part.sent), (100, whole.commit_index, whole.sent));
                assert!(!part.entries.is_empty());
                prev_index += part.entries.len() as Index;
                prev_term = part.entries.last().unwrap().term;
                entries.extend(part.entries);
            }
            assert_eq!(entries[..], whole.entries[..]);
        }
    }

    #[test]
    fn a_chunk_of_a_state_that_is_too_large_is_split_into_datagrams_that_fit() {
        for done in [false, true] {
            let whole = part((0..500).map(|i| entry(1, &format!("key {i}"), &"\u{1}".repeat(200))));
            let whole = InstallSnapshot { done, ..whole };
            let out = encode(&Message::InstallSnapshot(Box::new(whole.clone())));
            assert!(out.len() > 1);
            let mut commands = Vec::new();
            for (i, bytes) in out.iter().enumerate() {
                assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
                let Some(Message::InstallSnapshot(part)) = decode(bytes) else { panic!("a part") };
                assert_eq!(part.offset, whole.offset + commands.len() as u64);
                assert_eq!(part.done, done && i + 1 == out.len());
                commands.extend(part.commands);
            }
            assert_eq!(commands, whole.commands);
        }
    }

    #[test]
    fn an_entry_too_large_for_a_datagram_is_left_out() {
        let out = encode(&Message::AppendEntries(append([entry(9, "k", &"v".repeat(DATAGRAM_BYTES_MAX))])));
        assert!(out.is_empty());
    }

    #[test]
    fn malformed_bodies_are_not_read_as_messages() {
        for body in [
            r#""Probe""#,
            r#""Probe","t":-1"#,
            r#""Probe","t":1.0"#,
            r#""Probe","t":1e3"#,
            r#""Probe","t":18446744073709551616"#,
            r#""Probe","t":null"#,
            r#""Probe","t":"1""#,
            r#""Probe","t":1,"t":1"#,
            r#""probe","t":1"#,
            r#""RequestVote","t":1,"li":0"#,
            r#""PreVote","t":1,"lt":0"#,
            r#""Vote","t":1,"g":1,"p":false"#,
            r#""Vote","t":1,"g":true"#,
            r#""AppendReply","t":1"#,
            r#""AppendReply","t":1,"s":1,"m":1,"x":1"#,
            r#""AppendReply","t":1,"s":1,"m":1,"xt":1"#,
            r#""AppendReply","t":1,"s":1,"xt":1"#,
            r#""AppendReply","t":1,"s":1,"m":[]"#,
            r#""AppendReply","t":1,"s":1,"r":1"#,
            r#""AppendReply","t":1,"s":1,"n":1"#,
            r#""AppendReply","t":1,"s":1,"m":1,"r":1,"n":1"#,
            r#""InstallSnapshot","t":1,"li":1,"lt":1,"d":1,"o":0,"f":true,"s":0"#,
            r#""InstallSnapshot","t":1,"li":1,"lt":1,"d":1,"o":0,"f":true,"s":0,"e":[[]]"#,
            r#""InstallSnapshot","t":1,"li":1,"lt":1,"d":1,"o":0,"f":true,"s":0,"e":[["k"]]"#,
            r#""InstallSnapshot","t":1,"li":1,"lt":1,"d":1,"o":0,"f":true,"s":0,"e":[["k","v",null]]"#,
            r#""InstallSnapshot","t":1,"li":1,"lt":1,"d":1,"o":0,"f":1,"s":0,"e":[]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":{}"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":null"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[[]]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[1]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[[1,"k"]]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[[1,"k",2]]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[[1,null,"v"]]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[[1,"k","v",1]]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[[1,"k","v",null]]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[[1,"k","v","w",1]]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[[1,"k","v","w",-1,1]]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[[1,"k","v","w",1,null]]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[[1,"k","v","w",1,1,1]]"#,
            r#""AppendEntries","t":1,"pi":0,"pt":0,"c":0,"s":0,"e":[["1"]]"#,
        ] {
            let text = format!(r#"{{"src":"0000","dst":"0001","leader":"FFFF","type":{body}}}"#);
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
