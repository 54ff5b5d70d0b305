//! How a message of Raft stands to the replica that will handle it.

use std::cmp::Ordering;

use crate::raft::{AppendEntries, AppendOutcome, Index, InstallSnapshot, Message, Payload, Raft, Rules, Term};

/// A number with few values, which differs where Raft has to decide differently.
pub(in crate::subjects) fn relation<C: Payload, R: Rules>(raft: &Raft<C, R>, message: &Message<C>) -> u64 {
    let (term, rest) = match message {
        Message::RequestVote(request) => {
            let log = raft.log();
            let newer = (request.last_term, request.last_index).cmp(&(log.last_term(), log.last_index()));
            (request.term, word([order(newer), u64::from(request.pre), u64::from(request.handed_over)]))
        }
        Message::Vote(vote) => (vote.term, word([u64::from(vote.granted), u64::from(vote.pre)])),
        Message::AppendEntries(append) => (append.term, of_append(raft, append)),
        Message::AppendReply(reply) => (reply.term, of_outcome(raft, reply.outcome)),
        Message::InstallSnapshot(chunk) => (chunk.term, of_snapshot(raft, chunk)),
        Message::Probe { term } | Message::TimeoutNow { term } => (*term, 0),
    };
    rest << 2 | age(term, raft.term())
}

fn of_append<C: Payload, R: Rules>(raft: &Raft<C, R>, append: &AppendEntries<C>) -> u64 {
    let log = raft.log();
    let known = |index: Index, term: Term| match log.term(index) {
        Some(own) => 1 + order(own.cmp(&term)),
        None => u64::from(index > log.last_index()) << 2,
    };
    let last = append.entries.last().map_or(0, |entry| {
        let index = append.prev_index + append.entries.len() as Index;
        known(index, entry.term) << 1 | u64::from(append.entries.len() > 1)
    });
    let commit = order(append.commit_index.cmp(&raft.commit_index()));
    word([known(append.prev_index, append.prev_term), last, commit])
}

fn of_outcome<C: Payload, R: Rules>(raft: &Raft<C, R>, outcome: AppendOutcome) -> u64 {
    let (last, commit) = (raft.log().last_index(), raft.commit_index());
    match outcome {
        AppendOutcome::Matched { index } => word([0, order(index.cmp(&last)), order(index.cmp(&commit))]),
        AppendOutcome::Conflict { index, term } => word([1, order(index.cmp(&commit)), u64::from(term.is_some())]),
        AppendOutcome::Stale => 2,
        AppendOutcome::Received { index, count } => word([3, order(index.cmp(&commit)), u64::from(count > 0)]),
    }
}

fn of_snapshot<C: Payload, R: Rules>(raft: &Raft<C, R>, chunk: &InstallSnapshot<C>) -> u64 {
    let flags = [chunk.offset > 0, chunk.done, chunk.last_index > raft.log().last_index()];
    word([
        order(chunk.last_index.cmp(&raft.commit_index())),
        flags.into_iter().fold(0, |all, flag| all << 1 | u64::from(flag)),
    ])
}

/// How much older a term is than this replica's: 0 if it is newer, 1 if the same, 2 if one term older, 3 if more.
fn age(term: Term, own: Term) -> u64 {
    match own.checked_sub(term) {
        None => 0,
        Some(apart) => 1 + apart.min(2),
    }
}

const fn order(ordering: Ordering) -> u64 {
    match ordering {
        Ordering::Less => 0,
        Ordering::Equal => 1,
        Ordering::Greater => 2,
    }
}

/// Numbers below 256, as the digits of one.
fn word<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0, |all, part| all << 8 | part)
}
