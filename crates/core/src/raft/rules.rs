//! The rules that Raft's safety and progress rest on, each by its name.
//!
//! They can be broken one at a time for one purpose: to find out whether a checker detects it (`seedbed zoo`, and
//! `--without` of `run`, `sweep` and `explore`). Which rules a Raft keeps is part of its type: [`Sound`] keeps all, so
//! the compiler removes every branch for a broken rule, and the released program has none. Only the laboratory builds a
//! Raft with [`Mutant`].

/// A rule that Raft's safety, or its progress, rests on.
///
/// "The paper" is Ongaro & Ousterhout 2014, "the thesis" Ongaro 2014; [`Rule::source`] has the section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A replica votes for at most one candidate in a term. So no two get a majority of the same term.
    VoteOnce,
    /// A replica votes only for candidates whose log is at least as up to date as its own. So every elected leader has
    /// all committed entries.
    VoteForUpToDateLogs,
    /// A candidate counts only the votes of its present campaign. Voters of an older one may have voted for another
    /// candidate since.
    CountCurrentVotes,
    /// A quorum is more than half of all replicas. So any two of them share a member.
    QuorumIsMajority,
    /// A follower votes for no candidate while it hears from a leader. The leader's lease relies on that.
    LoyalToLeader,
    /// A replica that receives a message of a newer term enters that term. So later messages of an older leader are
    /// refused.
    RaiseTerm,
    /// A leader that learns of a newer term steps down.
    StepDownForHigherTerm,
    /// An append is taken only if the entry before it is the leader's, by index and term. By induction, so are all
    /// earlier entries.
    MatchPreviousTerm,
    /// Entries that contradict the leader's are removed, with all that follow them.
    TruncateConflicts,
    /// No other entry is removed. A late append may be older than entries confirmed since.
    TruncateOnlyConflicts,
    /// A follower commits only up to the index that the present append confirms. Its later entries may come from
    /// another leader.
    CommitWhatMatches,
    /// A leader counts the entries that a follower has confirmed, not those that were sent to it.
    MatchWhatIsConfirmed,
    /// A quorum consists of different replicas: the few that thrifty replication asks count once each.
    CountFollowersOnce,
    /// A leader commits by counting only entries of its own term. One of an older term can be on a majority and still
    /// be replaced (figure 8).
    CommitOwnTerm,
    /// Every entry is applied once, in order, when it is committed.
    ApplyOnce,
    /// A put is answered when it is committed, no sooner.
    AnswerAfterCommit,
    /// A deposed leader's put is done only if its own entry was committed, not another one at that index.
    AnswerOwnEntries,
    /// A deposed leader redirects a put only when another entry was committed at its index, or one of a newer term before
    /// it. Until then the put may still take effect, and the client sends it a second time.
    RedirectWhatIsRuledOut,
    /// A read is answered only by a leader that holds a lease, or that a quorum has confirmed since the read came.
    ReadOnlyConfirmed,
    /// A new leader answers no read before it has committed an entry of its term. Until then it may not know all
    /// committed entries.
    ReadAfterOwnCommit,
    /// A lease is shorter than any election timeout. So it has ended before another replica can lead.
    LeaseEndsBeforeElections,
    /// A leader whose append was refused goes back in its log until the logs match.
    BackUpOnConflict,
    /// A candidate counts voters, not votes. A vote may come twice.
    CountVotersOnce,
    /// A lease is shorter than the shortest election timeout by as much as clocks may differ.
    LeaseAllowsForDrift,
    /// A vote is on the disk before a crash can make its replica vote again.
    PersistVote,
    /// The term is on the disk before a crash can make its replica forget it.
    PersistTerm,
    /// Neither a vote nor a request for one is sent before it is on the disk.
    SyncBeforeVoting,
    /// A follower acknowledges entries when they are on its disk.
    SyncBeforeAcknowledging,
    /// A leader counts itself for the entries on its own disk.
    CountOwnSync,
    /// Entries removed from the log are removed from the disk, too, before other entries replace them.
    PersistTruncations,
    /// On the disk, a snapshot replaces the entries that it covers in one step.
    ReplaceInOneStep,
    /// After a restart a replica learns the commit index again. A stored one may be ahead of its log.
    DeriveCommitIndex,
    /// After a restart only the snapshot is known to be committed. Later entries of the log may be replaced.
    ApplyOnlyCommitted,
    /// A replica with a damaged record does not start. Others rely on the promise that it has lost.
    RefuseDamage,
    /// After a restart a replica votes for no candidate for an election timeout. It may have promised that to a leader.
    LoyalAfterRestart,
    /// Every replica starts as a follower. Another one may lead by now.
    FollowAfterRestart,
    /// A replica whose disk is full ends. It must not promise what it cannot write.
    StopWhenDiskIsFull,
    /// A replica reads no message whose checksum is wrong. Raft survives lost messages, not false ones.
    CheckChecksums,
    /// An update with a name is applied once, however often it comes.
    ApplyRequestsOnce,
}

impl Rule {
    /// All of them, in the order in which a reader of the paper meets them.
    pub const ALL: [Rule; 39] = [
        Rule::VoteOnce,
        Rule::VoteForUpToDateLogs,
        Rule::CountCurrentVotes,
        Rule::QuorumIsMajority,
        Rule::LoyalToLeader,
        Rule::RaiseTerm,
        Rule::StepDownForHigherTerm,
        Rule::MatchPreviousTerm,
        Rule::TruncateConflicts,
        Rule::TruncateOnlyConflicts,
        Rule::CommitWhatMatches,
        Rule::MatchWhatIsConfirmed,
        Rule::CountFollowersOnce,
        Rule::CommitOwnTerm,
        Rule::ApplyOnce,
        Rule::AnswerAfterCommit,
        Rule::AnswerOwnEntries,
        Rule::RedirectWhatIsRuledOut,
        Rule::ReadOnlyConfirmed,
        Rule::ReadAfterOwnCommit,
        Rule::LeaseEndsBeforeElections,
        Rule::BackUpOnConflict,
        Rule::CountVotersOnce,
        Rule::LeaseAllowsForDrift,
        Rule::PersistVote,
        Rule::PersistTerm,
        Rule::SyncBeforeVoting,
        Rule::SyncBeforeAcknowledging,
        Rule::CountOwnSync,
        Rule::PersistTruncations,
        Rule::ReplaceInOneStep,
        Rule::DeriveCommitIndex,
        Rule::ApplyOnlyCommitted,
        Rule::RefuseDamage,
        Rule::LoyalAfterRestart,
        Rule::FollowAfterRestart,
        Rule::StopWhenDiskIsFull,
        Rule::CheckChecksums,
        Rule::ApplyRequestsOnce,
    ];

    /// Its name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Rule::VoteOnce => "vote-once",
            Rule::VoteForUpToDateLogs => "vote-for-up-to-date-logs",
            Rule::CountCurrentVotes => "count-current-votes",
            Rule::QuorumIsMajority => "quorum-is-majority",
            Rule::LoyalToLeader => "loyal-to-leader",
            Rule::RaiseTerm => "raise-term",
            Rule::StepDownForHigherTerm => "step-down-for-higher-term",
            Rule::MatchPreviousTerm => "match-previous-term",
            Rule::TruncateConflicts => "truncate-conflicts",
            Rule::TruncateOnlyConflicts => "truncate-only-conflicts",
            Rule::CommitWhatMatches => "commit-what-matches",
            Rule::MatchWhatIsConfirmed => "match-what-is-confirmed",
            Rule::CountFollowersOnce => "count-followers-once",
            Rule::CommitOwnTerm => "commit-own-term",
            Rule::ApplyOnce => "apply-once",
            Rule::AnswerAfterCommit => "answer-after-commit",
            Rule::AnswerOwnEntries => "answer-own-entries",
            Rule::RedirectWhatIsRuledOut => "redirect-what-is-ruled-out",
            Rule::ReadOnlyConfirmed => "read-only-confirmed",
            Rule::ReadAfterOwnCommit => "read-after-own-commit",
            Rule::LeaseEndsBeforeElections => "lease-ends-before-elections",
            Rule::BackUpOnConflict => "back-up-on-conflict",
            Rule::CountVotersOnce => "count-voters-once",
            Rule::LeaseAllowsForDrift => "lease-allows-for-drift",
            Rule::PersistVote => "persist-vote",
            Rule::PersistTerm => "persist-term",
            Rule::SyncBeforeVoting => "sync-before-voting",
            Rule::SyncBeforeAcknowledging => "sync-before-acknowledging",
            Rule::CountOwnSync => "count-own-sync",
            Rule::PersistTruncations => "persist-truncations",
            Rule::ReplaceInOneStep => "replace-in-one-step",
            Rule::DeriveCommitIndex => "derive-commit-index",
            Rule::ApplyOnlyCommitted => "apply-only-committed",
            Rule::RefuseDamage => "refuse-damage",
            Rule::LoyalAfterRestart => "loyal-after-restart",
            Rule::FollowAfterRestart => "follow-after-restart",
            Rule::StopWhenDiskIsFull => "stop-when-disk-is-full",
            Rule::CheckChecksums => "check-checksums",
            Rule::ApplyRequestsOnce => "apply-requests-once",
        }
    }

    /// The section of the paper or thesis that states it.
    pub const fn source(self) -> &'static str {
        match self {
            Rule::VoteOnce | Rule::CountCurrentVotes | Rule::QuorumIsMajority => "paper 5.2",
            Rule::VoteForUpToDateLogs => "paper 5.4.1",
            Rule::LoyalToLeader => "paper 6, thesis 4.2.3",
            Rule::RaiseTerm | Rule::StepDownForHigherTerm => "paper 5.1",
            Rule::MatchPreviousTerm | Rule::TruncateConflicts | Rule::BackUpOnConflict => "paper 5.3",
            Rule::TruncateOnlyConflicts | Rule::CommitWhatMatches => "paper figure 2, AppendEntries",
            Rule::MatchWhatIsConfirmed => "paper figure 2, leaders",
            Rule::CountFollowersOnce => "paper 5.3",
            Rule::CommitOwnTerm => "paper 5.4.2, figure 8",
            Rule::ApplyOnce => "paper 5.3, figure 2",
            Rule::AnswerAfterCommit | Rule::AnswerOwnEntries | Rule::RedirectWhatIsRuledOut => "paper 5.3, 8",
            Rule::ReadOnlyConfirmed | Rule::ReadAfterOwnCommit => "paper 8, thesis 6.4",
            Rule::LeaseEndsBeforeElections | Rule::LeaseAllowsForDrift | Rule::LoyalAfterRestart => "thesis 6.4.1",
            Rule::CountVotersOnce => "paper 5.2",
            Rule::PersistVote | Rule::PersistTerm | Rule::SyncBeforeVoting => "paper figure 2, thesis 3.8",
            Rule::SyncBeforeAcknowledging | Rule::StopWhenDiskIsFull => "paper figure 2, thesis 3.8",
            Rule::CountOwnSync => "thesis 10.2.1",
            Rule::PersistTruncations | Rule::RefuseDamage => "paper 5.3, thesis 3.8",
            Rule::ReplaceInOneStep => "paper 7, thesis 5.1",
            Rule::DeriveCommitIndex | Rule::ApplyOnlyCommitted => "paper 5.3, thesis 3.8",
            Rule::FollowAfterRestart => "paper 5.2",
            Rule::CheckChecksums => "paper 2",
            Rule::ApplyRequestsOnce => "paper 8, thesis 6.3",
        }
    }

    /// What a Raft without it does, in a few words.
    pub const fn broken(self) -> &'static str {
        match self {
            Rule::VoteOnce => "votes as often in a term as it is asked",
            Rule::VoteForUpToDateLogs => "votes for candidates with an older log",
            Rule::CountCurrentVotes => "counts pre-votes and votes of older campaigns",
            Rule::QuorumIsMajority => "takes half of the replicas, rounded down but two at least, for a quorum",
            Rule::LoyalToLeader => "votes although it hears from a leader",
            Rule::RaiseTerm => "obeys leaders of newer terms, keeps its own, and obeys older ones again",
            Rule::StepDownForHigherTerm => "goes on leading in a newer term",
            Rule::MatchPreviousTerm => "ignores the term of the previous entry",
            Rule::TruncateConflicts => "keeps entries that conflict with the leader's",
            Rule::TruncateOnlyConflicts => "cuts its log after every append, also a stale one",
            Rule::CommitWhatMatches => "commits beyond what the append confirmed, even if it is refused",
            Rule::MatchWhatIsConfirmed => "takes what was sent for received (next_index overrun)",
            Rule::CountFollowersOnce => "counts each of the thrifty set twice toward the quorum",
            Rule::CommitOwnTerm => "commits entries of older terms by counting (figure 8)",
            Rule::ApplyOnce => "applies entries when they come, and again when they are committed",
            Rule::AnswerAfterCommit => "acknowledges puts before they are committed",
            Rule::AnswerOwnEntries => "a deposed leader acknowledges puts that were replaced",
            Rule::RedirectWhatIsRuledOut => "a deposed leader redirects puts that may still take effect",
            Rule::ReadOnlyConfirmed => "reads without lease or quorum",
            Rule::ReadAfterOwnCommit => "reads before it knows what is committed",
            Rule::LeaseEndsBeforeElections => "holds leases longer than the election timeout",
            Rule::BackUpOnConflict => "never goes back when an append is refused",
            Rule::CountVotersOnce => "counts a vote that comes twice as two",
            Rule::LeaseAllowsForDrift => "holds leases as long as the shortest election timeout, whatever clocks do",
            Rule::PersistVote => "forgets its vote when it restarts",
            Rule::PersistTerm => "forgets its term and its vote when it restarts",
            Rule::SyncBeforeVoting => "votes, and asks for votes, before that is on its disk",
            Rule::SyncBeforeAcknowledging => "acknowledges entries before they are on its disk",
            Rule::CountOwnSync => "as leader, counts entries that are not on its own disk",
            Rule::PersistTruncations => "does not write down what it removes from its log",
            Rule::ReplaceInOneStep => "drops the log from its disk before the snapshot is there",
            Rule::DeriveCommitIndex => "writes its commit index down and believes it after a restart",
            Rule::ApplyOnlyCommitted => "takes all of its log for committed after a restart",
            Rule::RefuseDamage => "skips damaged records and starts",
            Rule::LoyalAfterRestart => "votes right after a restart, although a leader relies on its silence",
            Rule::FollowAfterRestart => "leads on after a restart, lease included",
            Rule::StopWhenDiskIsFull => "goes on in memory when its disk is full",
            Rule::CheckChecksums => "reads damaged messages",
            Rule::ApplyRequestsOnce => "applies an update with a name each time it comes",
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no rule has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown rule `{name}`; allowed is {}", allowed())]
pub struct UnknownRule {
    /// The name.
    pub name: String,
}

fn allowed() -> String {
    Rule::ALL.map(Rule::name).join(", ")
}

impl std::str::FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(name: &str) -> Result<Rule, UnknownRule> {
        let found = Rule::ALL.into_iter().find(|rule| rule.name() == name);
        found.ok_or_else(|| UnknownRule { name: name.to_owned() })
    }
}

/// The rules that a Raft keeps.
pub trait Rules: Copy + std::fmt::Debug + Send + Sync + 'static {
    /// Whether it keeps this one.
    fn keep(self, rule: Rule) -> bool;

    /// Whether it keeps all of them.
    fn keep_all(self) -> bool;
}

/// Keeps all rules: Raft.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sound;

impl Rules for Sound {
    #[inline(always)]
    fn keep(self, _: Rule) -> bool {
        true
    }

    #[inline(always)]
    fn keep_all(self) -> bool {
        true
    }
}

/// Keeps all rules but one: a known bad Raft, for the zoo.
#[derive(Clone, Copy, Debug)]
pub struct Mutant(pub Rule);

impl Rules for Mutant {
    fn keep(self, rule: Rule) -> bool {
        rule != self.0
    }

    fn keep_all(self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raft_without_a_rule_keeps_all_others() {
        for rule in Rule::ALL {
            assert!(Sound.keep(rule));
            for other in Rule::ALL {
                assert_eq!(Mutant(rule).keep(other), other != rule);
            }
        }
    }

    #[test]
    fn every_rule_is_found_by_its_name_and_no_other_is() {
        for rule in Rule::ALL {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        let unknown = "vote-twice".parse::<Rule>().unwrap_err().to_string();
        assert!(unknown.starts_with("unknown rule `vote-twice`; allowed is vote-once, vote-for-"), "{unknown}");
    }
}
