//! Messages as text, and back. `4@2` is the entry with index 4 and term 2; `4@2 a=1` says what it puts.

use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;

use goldenscript::ArgumentConsumer;
use seedbed::id::ReplicaId;
use seedbed::service::{Operation, RequestId, Response};
use seedbed::time::{Span, Time};
use seedbed_core::kv::Command;
use seedbed_core::raft::{
    self, AppendEntries, AppendOutcome, AppendReply, Entries, Index, InstallSnapshot, Log, RequestVote, Term, Vote,
};
use seedbed_core::replica::Replica;

pub type Message = raft::Message<Arc<Command>>;
pub type Entry = raft::Entry<Arc<Command>>;
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

pub fn show_message(message: &Message) -> String {
    let kind = message.kind();
    match message {
        Message::RequestVote(request) => {
            let handed_over = if request.handed_over { " handed_over" } else { "" };
            format!("{kind} term={} last={}@{}{handed_over}", request.term, request.last_index, request.last_term)
        }
        Message::Vote(vote) => {
            let granted = if vote.granted { "granted" } else { "refused" };
            format!("{kind} term={} {granted}{}", vote.term, if vote.pre { " pre" } else { "" })
        }
        Message::AppendEntries(append) => {
            let AppendEntries { term, prev_index, prev_term, commit_index, entries, .. } = append;
            let mut text = format!("{kind} term={term} prev={prev_index}@{prev_term} commit={commit_index}");
            if !entries.is_empty() {
                text += &format!(" entries={}", show_entries(prev_index.wrapping_add(1), entries));
            }
            text
        }
        Message::AppendReply(AppendReply { term, outcome, .. }) => match outcome {
            AppendOutcome::Matched { index } => format!("{kind} term={term} matched={index}"),
            AppendOutcome::Conflict { index, term: None } => format!("{kind} term={term} conflict={index}"),
            AppendOutcome::Conflict { index, term: Some(other) } => {
                format!("{kind} term={term} conflict={index}@{other}")
            }
            AppendOutcome::Stale => format!("{kind} term={term} stale"),
            AppendOutcome::Received { index, count } => format!("{kind} term={term} received={index} count={count}"),
        },
        Message::Probe { term } | Message::TimeoutNow { term } => format!("{kind} term={term}"),
        Message::InstallSnapshot(part) => {
            let InstallSnapshot { term, last_index, last_term, offset, done, commands, .. } = &**part;
            let commands: Vec<String> = commands.iter().map(|command| show_command(command)).collect();
            let done = if *done { " done" } else { "" };
            format!("{kind} term={term} last={last_index}@{last_term} offset={offset} [{}]{done}", commands.join(", "))
        }
    }
}

pub fn show_entries(first: Index, entries: &[Entry]) -> String {
    let show = |(index, entry): (Index, &Entry)| match &entry.command {
        Some(command) => format!("{index}@{} {}", entry.term, show_command(command)),
        None => format!("{index}@{}", entry.term),
    };
    let entries: Vec<String> = indexes(first).zip(entries).map(show).collect();
    format!("[{}]", entries.join(", "))
}

/// As in `[1@1, 2@1 a=1]`, or `9@2 [10@2 b=1]` if all up to 9 was dropped.
fn show_log(log: &Log<Arc<Command>>) -> String {
    let (first, entries) = (log.first_index(), show_entries(log.first_index(), log.from(1)));
    match log.term(first - 1) {
        Some(term) if first > 1 => format!("{}@{term} {entries}", first - 1),
        _ => entries,
    }
}

pub fn show_operation(operation: &Operation) -> String {
    match operation {
        Operation::Get { key } => format!("get {key}"),
        Operation::Put { key, value } => format!("put {key}={value}"),
        Operation::Update(update) => format!("update {}", show_command(&Command::from(&**update))),
        other => format!("{other:?}"),
    }
}

/// As in `a=1 if "2" id=7/1`.
fn show_command(command: &Command) -> String {
    let mut text = format!("{}={}", command.key(), command.value());
    if let Some(expected) = command.expected() {
        text += &format!(" if {expected:?}");
    }
    if let Some(RequestId { client, number }) = command.request() {
        text += &format!(" id={client}/{number}");
    }
    text
}

pub fn show_response(response: &Response, leader: Option<ReplicaId>) -> String {
    match response {
        Response::Ok { value: None } => "ok".to_string(),
        Response::Ok { value: Some(value) } => format!("{value:?}"),
        Response::Fail => "fail".to_string(),
        Response::Outdated => "outdated".to_string(),
        Response::Redirect => {
            let leader = leader.map_or("nobody".to_string(), |leader| leader.0.to_string());
            format!("redirect to {leader}")
        }
    }
}

pub fn show_status(replica: &Replica) -> String {
    let raft = replica.raft();
    let name = |id: Option<seedbed::id::ReplicaId>| id.map_or("-".to_string(), |id| id.0.to_string());
    let mut text = format!(
        "{:?} term={} leader={} voted={} log={} commit={} applied={}",
        raft.role(),
        raft.term(),
        name(raft.leader()),
        name(raft.voted_for()),
        show_log(raft.log()),
        raft.commit_index(),
        replica.applied()
    );
    if replica.ignored() > 0 {
        text += &format!(" ignored={}", replica.ignored());
    }
    text
}

/// A message as `show_message` writes it. Unless `sent` is given, an append is sent now, and a reply answers the append
/// that was sent at `answered`.
pub fn read_message(args: &mut ArgumentConsumer<'_>, now: Time, answered: Time) -> Result<Message> {
    let kind = args.next_pos().ok_or("the message's kind is missing")?;
    let term = number(args.take_key("term").ok_or("the message's term is missing")?)?;
    let sent = if kind == "AppendEntries" || kind == "InstallSnapshot" { now } else { answered };
    let sent = args.take_key("sent").map_or(Ok(sent), |at| number(at).map(millis))?;
    let mut flags: Vec<&str> = std::iter::from_fn(|| args.next_pos()).collect();
    let mut flag = |name: &str| {
        let place = flags.iter().position(|&flag| flag == name);
        place.map(|place| flags.remove(place)).is_some()
    };
    let message = match kind {
        "PreVote" | "RequestVote" => {
            let (last_index, last_term) = place(args.take_key("last").unwrap_or("0@0"))?;
            let (pre, handed_over) = (kind == "PreVote", flag("handed_over"));
            Message::RequestVote(RequestVote { term, last_index, last_term, pre, handed_over })
        }
        "Vote" => {
            let granted = flag("granted");
            if !granted && !flag("refused") {
                return Err("a vote is granted or refused".into());
            }
            Message::Vote(Vote { term, granted, pre: flag("pre") })
        }
        "AppendEntries" => {
            let (prev_index, prev_term) = place(args.take_key("prev").unwrap_or("0@0"))?;
            let commit_index = args.take_key("commit").map_or(Ok(0), number)?;
            let mut entries = read_entries(prev_index, args.take_key("entries").unwrap_or_default())?;
            for term in args.take_key("terms").unwrap_or_default().split_whitespace() {
                entries.push(Entry { term: number(term)?, command: None });
            }
            Message::AppendEntries(AppendEntries { term, prev_index, prev_term, commit_index, sent, entries })
        }
        "AppendReply" => {
            let outcome = if let Some(index) = args.take_key("matched") {
                AppendOutcome::Matched { index: number(index)? }
            } else if let Some(hint) = args.take_key("conflict") {
                match place(hint) {
                    Ok((index, term)) => AppendOutcome::Conflict { index, term: Some(term) },
                    Err(_) => AppendOutcome::Conflict { index: number(hint)?, term: None },
                }
            } else if let Some(index) = args.take_key("received") {
                let count = args.take_key("count").map_or(Ok(0), number)?;
                AppendOutcome::Received { index: number(index)?, count }
            } else if flag("stale") {
                AppendOutcome::Stale
            } else {
                return Err("an append is matched, in conflict, received or stale".into());
            };
            Message::AppendReply(AppendReply { term, sent, outcome })
        }
        "Probe" => Message::Probe { term },
        "TimeoutNow" => Message::TimeoutNow { term },
        "InstallSnapshot" => {
            let (last_index, last_term) = place(args.take_key("last").ok_or("which entry is the last?")?)?;
            let offset = args.take_key("offset").map_or(Ok(0), number)?;
            let puts =
                args.take_key("puts").unwrap_or_default().split_whitespace().filter_map(|put| put.split_once('='));
            let commands = puts.map(|(key, value)| Arc::new(Command::new(key.into(), value.into()))).collect();
            // The checker of invariants is told the digest of what is committed; the script cannot know it.
            let (digest, done) = (0, flag("done"));
            let part = InstallSnapshot { term, last_index, last_term, digest, offset, done, sent, commands };
            Message::InstallSnapshot(Box::new(part))
        }
        other => return Err(format!("no message is called {other}").into()),
    };
    args.reject_next()?;
    if flags.is_empty() { Ok(message) } else { Err(format!("not understood: {flags:?}").into()) }
}

fn read_entries(prev_index: Index, text: &str) -> Result<Entries<Arc<Command>>> {
    let read = |(index, entry): (Index, &str)| {
        let (at, put) = entry.split_once(' ').unwrap_or((entry, ""));
        let (given, term) = place(at)?;
        if given != index {
            return Err(format!("entry {entry:?} comes at {index}").into());
        }
        let command = put.split_once('=').map(|(key, value)| Arc::new(Command::new(key.into(), value.into())));
        Ok(Entry { term, command })
    };
    let entries = text.split(", ").filter(|entry| !entry.is_empty());
    indexes(prev_index.wrapping_add(1)).zip(entries).map(read).collect()
}

/// The indexes from this one on, even at the end of the numbers.
fn indexes(first: Index) -> impl Iterator<Item = Index> {
    (0..).map(move |place| first.wrapping_add(place))
}

fn place(text: &str) -> Result<(Index, Term)> {
    let (index, term) = text.split_once('@').ok_or_else(|| format!("{text:?} is no index@term"))?;
    Ok((number(index)?, number(term)?))
}

/// A number; `max` is the largest there is.
pub fn number<N: FromStr + TryFrom<u64>>(text: &str) -> Result<N> {
    let number = if text == "max" { N::try_from(u64::MAX).ok() } else { text.parse().ok() };
    number.ok_or_else(|| format!("{text:?} is no number that fits").into())
}

pub fn millis(millis: u64) -> Time {
    Time::ZERO + Span::from_millis(millis)
}
