//! The messages between replicas.

use crate::raft::{Entries, Index, Term};
use crate::time::Time;

/// A message from one replica to another. The names are the paper's; replies are separate messages, because either may
/// be lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message<C> {
    /// A candidate asks for a vote, or asks whether it would get one.
    RequestVote(RequestVote),
    /// The answer to a [`RequestVote`].
    Vote(Vote),
    /// A leader replicates entries; without entries it is a heartbeat.
    AppendEntries(AppendEntries<C>),
    /// The answer to an [`AppendEntries`] or an [`InstallSnapshot`].
    AppendReply(AppendReply),
    /// A follower asks its leader to show that it still leads. The answer is an AppendEntries.
    Probe {
        /// The follower's term.
        term: Term,
    },
    /// A leader sends a chunk of its state to a follower that lacks dropped entries. In a box, so that it makes no
    /// other message larger. The answer is an AppendReply.
    InstallSnapshot(Box<InstallSnapshot<C>>),
    /// A leader tells a follower to campaign at once, because it wants to give up leadership (thesis 3.10).
    TimeoutNow {
        /// The leader's term.
        term: Term,
    },
}

impl<C> Message<C> {
    /// The message's name, for counters and messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Message::RequestVote(RequestVote { pre: true, .. }) => "PreVote",
            Message::RequestVote(_) => "RequestVote",
            Message::Vote(_) => "Vote",
            Message::AppendEntries(_) => "AppendEntries",
            Message::AppendReply(_) => "AppendReply",
            Message::Probe { .. } => "Probe",
            Message::InstallSnapshot(_) => "InstallSnapshot",
            Message::TimeoutNow { .. } => "TimeoutNow",
        }
    }
}

/// A candidate asks for a vote (section 5.2), or, before it campaigns at all, whether it would get one (pre-vote,
/// thesis 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestVote {
    /// The term in which the candidate campaigns, or would campaign.
    pub term: Term,
    /// Index of its last entry.
    pub last_index: Index,
    /// Term of its last entry.
    pub last_term: Term,
    /// This is a pre-vote: no term or vote changes.
    pub pre: bool,
    /// The leader of the term before has told the candidate to campaign. So followers that hear from that leader may
    /// vote (thesis 4.2.3).
    pub handed_over: bool,
}

/// The answer to a [`RequestVote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// The term that the vote is for, if it is granted; else the voter's own term.
    pub term: Term,
    /// Whether the vote is granted.
    pub granted: bool,
    /// It answers a pre-vote.
    pub pre: bool,
}

/// A leader replicates entries (section 5.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppendEntries<C> {
    /// The leader's term.
    pub term: Term,
    /// Index of the entry before the first one sent.
    pub prev_index: Index,
    /// Term of that entry.
    pub prev_term: Term,
    /// The leader's commit index.
    pub commit_index: Index,
    /// The leader's clock at sending. The follower only returns it: the lease, the confirmation of reads and the
    /// measured round trip all rest on it.
    pub sent: Time,
    /// The entries.
    pub entries: Entries<C>,
}

/// A leader sends a chunk of its state (section 7): some of the commands that, applied in order, produce it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstallSnapshot<C> {
    /// The leader's term.
    pub term: Term,
    /// Index of the last entry that the state covers. It is committed.
    pub last_index: Index,
    /// Term of that entry.
    pub last_term: Term,
    /// The digest of the state ([`crate::consensus::applied_digest`]).
    pub digest: u64,
    /// How many commands of the state precede these.
    pub offset: u64,
    /// These are the last commands.
    pub done: bool,
    /// The leader's clock at sending, as in an append.
    pub sent: Time,
    /// The commands.
    pub commands: Vec<C>,
}

/// The answer to an [`AppendEntries`] or an [`InstallSnapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppendReply {
    /// The follower's term. If it is the leader's, the follower recognises it as leader.
    pub term: Term,
    /// `sent` of the append that this answers.
    pub sent: Time,
    /// The outcome.
    pub outcome: AppendOutcome,
}

/// The outcome of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppendOutcome {
    /// The follower's log is the leader's up to this index.
    Matched {
        /// `prev_index` plus the number of entries.
        index: Index,
    },
    /// The follower's log has no entry, or one of another term, at `prev_index` (end of section 5.3).
    Conflict {
        /// The first index that the leader should try: that of the conflicting term's first entry, or the index after
        /// the follower's last entry.
        index: Index,
        /// Term of the conflicting entry, if there is one.
        term: Option<Term>,
    },
    /// The append was of an older term.
    Stale,
    /// The follower has this much of a leader's state, and needs the rest.
    Received {
        /// Index of the last entry that the state covers.
        index: Index,
        /// How many of its commands the follower has, from the first on.
        count: u64,
    },
}
