//! Which situations ever occurred.
//!
//! A million runs without a failure say little if nothing ever happened in them. So an exploration counts in how many
//! runs each of these situations came up, and one that never did is a gap in what was tested.

use std::sync::Arc;

use crate::consensus::{Consensus, Index, Role, Term};
use crate::engine::{PowerFailure, Rate, State};
use crate::id::{ReplicaId, ReplicaSet};
use crate::kv::Command;
use crate::raft::{AppendEntries, AppendOutcome, AppendReply, Message, RequestVote, Rules, Vote};
use crate::record::{Event, Observer, Scene};
use crate::replica::Replica;
use crate::service::Response;
use crate::time::Time;

/// Something that makes Raft difficult.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Situation {
    /// Two replicas were candidates in one term.
    RivalCandidates,
    /// A term had candidates and no leader.
    SplitVote,
    /// A candidate followed another one that was elected in its term.
    CandidateYields,
    /// A pre-vote was refused.
    PreVoteRefused,
    /// A vote was refused.
    VoteRefused,
    /// A follower that had just heard from its leader left a candidate without an answer.
    CandidateIgnored,
    /// Two living replicas led at one time, as far as they knew.
    TwoLeaders,
    /// A leader stepped down since it learned of a newer term.
    LeaderOvertaken,
    /// A leader stepped down since it heard from no quorum.
    LeaderWithoutQuorum,
    /// A leader was killed while it had entries that were not committed.
    LeaderKilledWithUncommitted,
    /// A leader was cut off from its quorum while it had entries that were not committed.
    LeaderCutOffWithUncommitted,
    /// Kills left just a quorum alive.
    LastQuorum,
    /// A log was truncated.
    LogTruncated,
    /// An append was refused since an entry of another term stood in its way.
    Conflict,
    /// An append came before the one that it follows.
    AppendOvertaken,
    /// An append brought only what its receiver had already.
    AppendRepeated,
    /// An append of an older term came.
    StaleAppend,
    /// A majority had an entry of an older term that the leader could not commit yet (5.4.2).
    OldEntryOnMajority,
    /// A leader committed entries of older terms along with one of its own.
    OldEntryCommitted,
    /// A follower was given up as too slow and another was asked: thrifty replication was widened.
    ThriftyWidened,
    /// Reads waited for a leader whose lease had lapsed.
    LeaseLapsedWithReads,
    /// Such reads were answered after a quorum had confirmed the leader.
    ReadsConfirmed,
    /// A leader was asked to show that it still leads.
    LeaderProbed,
    /// A deposed leader learned the fate of a put that it had proposed.
    PutDecidedAfterDeposition,
    /// A put was replaced by another leader's entry.
    PutReplaced,
    /// A request was answered `fail`.
    RequestFailed,
    /// A log was compacted.
    LogCompacted,
    /// A replica installed the state of a leader.
    SnapshotInstalled,
    /// A part of a state came to a replica that had no need of it any more.
    SnapshotRepeated,
    /// A replica led that had installed a state.
    SnapshotLed,
    /// A crash lost records that were not synced.
    CrashedUnsynced,
    /// A crash tore the last record.
    RecordTorn,
    /// A leader crashed.
    LeaderCrashed,
    /// A replica crashed after it had voted, before it heard from the leader of that term.
    VotedThenCrashed,
    /// All replicas were down at one time.
    AllDown,
    /// A replica restarted with fewer entries than it had.
    RestartedShorter,
    /// A replica restarted from a snapshot.
    RestartedFromSnapshot,
    /// A replica refused to start, since a record was damaged.
    DamageRefused,
    /// A leader was paused, and stepped down when it was resumed.
    PausedLeaderDeposed,
    /// A replica led whose clock ran at another rate than the world's.
    LeaderDrifts,
    /// A replica did not read a damaged message.
    DamagedMessageRefused,
}

use Situation::*;

impl Situation {
    /// All of them.
    pub const ALL: [Situation; 41] = [
        RivalCandidates,
        SplitVote,
        CandidateYields,
        PreVoteRefused,
        VoteRefused,
        CandidateIgnored,
        TwoLeaders,
        LeaderOvertaken,
        LeaderWithoutQuorum,
        LeaderKilledWithUncommitted,
        LeaderCutOffWithUncommitted,
        LastQuorum,
        LogTruncated,
        Conflict,
        AppendOvertaken,
        AppendRepeated,
        StaleAppend,
        OldEntryOnMajority,
        OldEntryCommitted,
        ThriftyWidened,
        LeaseLapsedWithReads,
        ReadsConfirmed,
        LeaderProbed,
        PutDecidedAfterDeposition,
        PutReplaced,
        RequestFailed,
        LogCompacted,
        SnapshotInstalled,
        SnapshotRepeated,
        SnapshotLed,
        CrashedUnsynced,
        RecordTorn,
        LeaderCrashed,
        VotedThenCrashed,
        AllDown,
        RestartedShorter,
        RestartedFromSnapshot,
        DamageRefused,
        PausedLeaderDeposed,
        LeaderDrifts,
        DamagedMessageRefused,
    ];

    /// What it is, in a few words.
    pub const fn name(self) -> &'static str {
        match self {
            RivalCandidates => "two candidates in one term",
            SplitVote => "split vote",
            CandidateYields => "candidate yields to a leader of its term",
            PreVoteRefused => "pre-vote refused",
            VoteRefused => "vote refused",
            CandidateIgnored => "candidate ignored, since a leader is heard",
            TwoLeaders => "two leaders at one time",
            LeaderOvertaken => "leader steps down for a newer term",
            LeaderWithoutQuorum => "leader steps down for want of a quorum",
            LeaderKilledWithUncommitted => "leader killed with uncommitted entries",
            LeaderCutOffWithUncommitted => "leader cut off with uncommitted entries",
            LastQuorum => "just a quorum left alive",
            LogTruncated => "log truncated",
            Conflict => "append refused for a conflict",
            AppendOvertaken => "append overtakes the one before",
            AppendRepeated => "append brings nothing new",
            StaleAppend => "append of an older term",
            OldEntryOnMajority => "entry of an old term on a majority, not committed",
            OldEntryCommitted => "entries of old terms committed with a new one",
            ThriftyWidened => "thrifty set widened",
            LeaseLapsedWithReads => "lease lapsed with reads waiting",
            ReadsConfirmed => "reads confirmed by a quorum",
            LeaderProbed => "leader asked to show itself",
            PutDecidedAfterDeposition => "deposed leader learns the fate of a put",
            PutReplaced => "put replaced by another leader's entry",
            RequestFailed => "request failed",
            LogCompacted => "log compacted",
            SnapshotInstalled => "snapshot installed",
            SnapshotRepeated => "snapshot repeated",
            SnapshotLed => "leader that has installed a snapshot",
            CrashedUnsynced => "crash loses unsynced records",
            RecordTorn => "last record torn",
            LeaderCrashed => "leader crashes",
            VotedThenCrashed => "replica crashes after it has voted",
            AllDown => "all replicas down",
            RestartedShorter => "restarted with fewer entries",
            RestartedFromSnapshot => "restarted from a snapshot",
            DamageRefused => "refuses to start, since a record is damaged",
            PausedLeaderDeposed => "paused leader steps down",
            LeaderDrifts => "leader with a fast or slow clock",
            DamagedMessageRefused => "damaged message refused",
        }
    }
}

/// In how many runs each situation occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    runs: [u64; Situation::ALL.len()],
}

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage { runs: [0; Situation::ALL.len()] }
    }
}

impl Coverage {
    /// Adds what occurred in one run.
    pub fn add(&mut self, seen: Seen) {
        for (runs, situation) in self.runs.iter_mut().zip(Situation::ALL) {
            *runs += u64::from(seen.contains(situation));
        }
    }

    /// In how many runs a situation occurred.
    pub fn runs(&self, situation: Situation) -> u64 {
        self.runs[situation as usize]
    }

    /// The situations that never occurred.
    pub fn missing(&self) -> impl Iterator<Item = Situation> + '_ {
        Situation::ALL.into_iter().filter(|&situation| self.runs(situation) == 0)
    }
}

/// The situations that occurred in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u64);

impl Seen {
    /// Whether a situation occurred.
    #[inline]
    pub const fn contains(self, situation: Situation) -> bool {
        self.0 >> situation as u32 & 1 == 1
    }

    #[inline]
    fn insert(&mut self, situation: Situation, occurs: bool) {
        self.0 |= u64::from(occurs) << situation as u32;
    }
}

/// Watches one run for situations.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    seen: Seen,
    known: Vec<Known>,
    leading: ReplicaSet,
    /// Who was a candidate in the newest term that had one, and whether somebody was elected in it.
    newest: (Term, ReplicaSet, bool),
    /// The term of a request for a vote that is being handled.
    asked: Option<Term>,
    /// Who has installed a snapshot.
    installed: ReplicaSet,
    /// Leaders that are paused, or were when they led.
    paused: ReplicaSet,
}

/// What a replica was like when it was last looked at.
#[derive(Clone, Copy, Debug)]
struct Known {
    role: Role,
    term: Term,
    first_index: Index,
    last_index: Index,
    commit_index: Index,
    applied: Index,
    truncations: u64,
    given_up: u64,
    puts: usize,
    gets: usize,
    lapsed: bool,
}

impl Known {
    fn of<R: Rules>(replica: &Replica<R>, now: Time) -> Known {
        let raft = replica.raft();
        let gets = replica.waiting_gets();
        Known {
            role: raft.role(),
            term: raft.term(),
            first_index: raft.log().first_index(),
            last_index: raft.log().last_index(),
            commit_index: raft.commit_index(),
            applied: replica.applied(),
            truncations: raft.log().truncations(),
            given_up: raft.given_up(),
            puts: replica.waiting_puts(),
            gets,
            lapsed: gets > 0 && raft.is_leader() && !replica.holds_read_lease(now),
        }
    }
}

impl Watch {
    /// A watch that has seen nothing yet.
    pub fn new() -> Watch {
        Watch::default()
    }

    /// What occurred.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// A message is about to be handled.
    fn look_at_message<R: Rules>(&mut self, to: &Replica<R>, message: &Message<Arc<Command>>) {
        let raft = to.raft();
        match message {
            Message::RequestVote(RequestVote { term, pre: false, .. }) => self.asked = Some(*term),
            Message::RequestVote(_) | Message::TimeoutNow { .. } => {}
            Message::Vote(Vote { granted, pre, .. }) => {
                self.seen.insert(if *pre { PreVoteRefused } else { VoteRefused }, !granted);
            }
            Message::AppendEntries(append) => self.look_at_append(to, append),
            Message::AppendReply(AppendReply { term, outcome, .. }) => {
                let conflict = matches!(outcome, AppendOutcome::Conflict { term: Some(_), .. });
                self.seen.insert(Conflict, conflict && *term == raft.term());
            }
            Message::Probe { .. } => self.seen.insert(LeaderProbed, raft.is_leader()),
            Message::InstallSnapshot(part) => {
                let repeated = part.last_index <= raft.commit_index() && part.term == raft.term();
                self.seen.insert(SnapshotRepeated, repeated);
            }
        }
    }

    fn look_at_append<R: Rules>(&mut self, to: &Replica<R>, append: &AppendEntries<Arc<Command>>) {
        let log = to.raft().log();
        self.seen.insert(StaleAppend, append.term < to.raft().term());
        self.seen.insert(AppendOvertaken, append.prev_index > log.last_index());
        if let Some(last) = append.entries.last() {
            let index = append.prev_index + append.entries.len() as Index;
            self.seen.insert(AppendRepeated, log.term(index) == Some(last.term));
        }
    }

    fn look_at_crash<R: Rules>(&mut self, scene: &Scene<'_, Replica<R>>, id: ReplicaId, failure: PowerFailure) {
        let raft = scene.replicas[id.index()].raft();
        self.seen.insert(CrashedUnsynced, failure.lost > 0);
        self.seen.insert(RecordTorn, failure.torn);
        self.seen.insert(LeaderCrashed, raft.is_leader());
        let has_voted = raft.voted_for().is_some_and(|candidate| candidate != id);
        self.seen.insert(VotedThenCrashed, has_voted && raft.leader().is_none());
        self.seen.insert(AllDown, scene.director.living().is_empty());
        self.leading.remove(id);
    }

    fn look_at_start<R: Rules>(&mut self, scene: &Scene<'_, Replica<R>>, id: ReplicaId) {
        let replica = &scene.replicas[id.index()];
        if let Some(known) = self.known.get_mut(id.index()) {
            let after = Known::of(replica, scene.local(id));
            self.seen.insert(RestartedShorter, after.last_index < known.last_index);
            *known = after;
        }
        self.seen.insert(RestartedFromSnapshot, replica.raft().log().first_index() > 1);
        self.installed.remove(id);
        self.paused.remove(id);
    }

    /// Leaders that are paused now.
    fn note_paused<R: Rules>(&mut self, scene: &Scene<'_, Replica<R>>) {
        let is_paused = |id: &ReplicaId| scene.conditions[id.index()].state == State::Paused;
        self.leading.iter().filter(is_paused).for_each(|id| self.paused.insert(id));
    }

    /// A replica has changed.
    fn compare<R: Rules>(&mut self, scene: &Scene<'_, Replica<R>>, id: ReplicaId, before: Known, after: Known) {
        let led = before.role == Role::Leader;
        let leads = after.role == Role::Leader;
        self.seen.insert(LeaderDrifts, leads && scene.conditions[id.index()].clock.rate() != Rate::EXACT);
        if led && !leads {
            self.seen.insert(PausedLeaderDeposed, self.paused.contains(id));
            self.paused.remove(id);
            self.seen.insert(if after.term > before.term { LeaderOvertaken } else { LeaderWithoutQuorum }, true);
        }
        if before.role == Role::Candidate && after.role == Role::Follower && after.term == before.term {
            self.seen.insert(CandidateYields, true);
        }
        if after.role == Role::Candidate && (before.role != Role::Candidate || after.term != before.term) {
            self.note_candidate(id, after.term);
        }
        if leads {
            self.leading.insert(id)
        } else {
            self.leading.remove(id)
        }
        if leads && !led {
            self.newest.2 |= after.term == self.newest.0;
            let living = self.leading.and(scene.director.living());
            self.seen.insert(TwoLeaders, living.len() > 1);
        }
        if after.first_index > before.first_index {
            // What is only dropped has been applied before.
            let installed = after.first_index > before.applied + 1;
            self.seen.insert(if installed { SnapshotInstalled } else { LogCompacted }, true);
            if installed {
                self.installed.insert(id);
            }
        }
        self.seen.insert(SnapshotLed, leads && self.installed.contains(id));
        self.seen.insert(LogTruncated, after.truncations > before.truncations);
        self.seen.insert(ThriftyWidened, after.given_up > before.given_up);
        self.seen.insert(LeaseLapsedWithReads, after.lapsed);
        self.seen.insert(ReadsConfirmed, before.lapsed && leads && after.gets == 0);
        if !led && !leads && after.puts < before.puts {
            self.seen.insert(PutDecidedAfterDeposition, true);
            self.seen.insert(PutReplaced, after.truncations > before.truncations);
        }
        let log = scene.replicas[id.index()].raft().log();
        if leads && after.commit_index > before.commit_index {
            self.seen.insert(OldEntryCommitted, log.term(before.commit_index + 1) < Some(after.term));
        }
        if after.last_index != before.last_index && !self.seen.contains(OldEntryOnMajority) {
            let stuck = self.leading.iter().any(|leader| has_old_entry_on_majority(scene.replicas, leader));
            self.seen.insert(OldEntryOnMajority, stuck);
        }
    }

    fn note_candidate(&mut self, id: ReplicaId, term: Term) {
        let (newest, candidates, elected) = &mut self.newest;
        if term > *newest {
            // The newest term that had candidates is over, and nobody was elected in it.
            self.seen.insert(SplitVote, candidates.len() > 1 && !*elected);
            (*newest, *candidates, *elected) = (term, ReplicaSet::EMPTY, false);
        }
        if term == *newest {
            candidates.insert(id);
            self.seen.insert(RivalCandidates, candidates.len() > 1);
        }
    }
}

/// Whether the first entry that a leader has not committed is of an older term, and on a majority.
fn has_old_entry_on_majority<R: Rules>(replicas: &[Replica<R>], leader: ReplicaId) -> bool {
    let raft = replicas[leader.index()].raft();
    let index = raft.commit_index() + 1;
    let Some(entry) = raft.log().get(index).filter(|entry| entry.term < raft.term()) else { return false };
    let holders = replicas.iter().filter(|replica| replica.raft().log().get(index) == Some(entry));
    holders.count() > replicas.len() / 2
}

impl<R: Rules> Observer<Replica<R>> for Watch {
    fn event(&mut self, scene: &Scene<'_, Replica<R>>, event: &Event<'_, Message<Arc<Command>>>) {
        match *event {
            Event::Delivered { to, message, .. } => self.look_at_message(&scene.replicas[to.index()], message),
            Event::Damaged { .. } => self.seen.insert(DamagedMessageRefused, true),
            Event::Answered { response, .. } => self.seen.insert(RequestFailed, *response == Response::Fail),
            Event::Crashed { replica, failure } => self.look_at_crash(scene, replica, failure),
            Event::Started { replica, .. } => self.look_at_start(scene, replica),
            Event::Ended { replica, .. } if scene.conditions[replica.index()].state == State::Down => {
                self.leading.remove(replica);
                // One that runs when its disk fills up has handled inputs before.
                self.seen.insert(DamageRefused, scene.conditions[replica.index()].incarnation > 0);
            }
            Event::Struck { consequence, .. } => {
                self.note_paused(scene);
                let uncommitted = |id: ReplicaId| {
                    let raft = scene.replicas[id.index()].raft();
                    raft.is_leader() && raft.commit_index() < raft.log().last_index()
                };
                let living = scene.director.living();
                if let Some(killed) = consequence.killed {
                    self.seen.insert(LeaderKilledWithUncommitted, uncommitted(killed));
                    self.seen.insert(LastQuorum, living.len() == scene.replicas.len() / 2 + 1);
                    self.leading.remove(killed);
                } else if consequence.leader_lost {
                    let cut_off = self.leading.and(living).iter().any(uncommitted);
                    self.seen.insert(LeaderCutOffWithUncommitted, cut_off);
                }
            }
            _ => {}
        }
    }

    fn handled(&mut self, scene: &Scene<'_, Replica<R>>, id: ReplicaId) {
        if self.known.is_empty() {
            let start = |replica: &Replica<R>| Known {
                role: Role::Follower,
                term: 0,
                first_index: 1,
                last_index: 0,
                commit_index: 0,
                applied: 0,
                ..Known::of(replica, scene.local(id))
            };
            self.known = scene.replicas.iter().map(start).collect();
        }
        let replica = &scene.replicas[id.index()];
        let after = Known::of(replica, scene.local(id));
        let before = std::mem::replace(&mut self.known[id.index()], after);
        if let Some(asked) = self.asked.take() {
            self.seen.insert(CandidateIgnored, asked > after.term && after.role == Role::Follower);
        }
        self.compare(scene, id, before, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::explore::draw;

    #[test]
    fn every_situation_has_its_place_and_a_name_of_its_own() {
        let mut names: Vec<&str> = Situation::ALL.iter().map(|situation| situation.name()).collect();
        for (place, situation) in Situation::ALL.into_iter().enumerate() {
            assert_eq!(situation as usize, place);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Situation::ALL.len());
    }

    #[test]
    fn what_never_occurred_is_missing() {
        let mut seen = Seen::default();
        seen.insert(SplitVote, true);
        seen.insert(LogTruncated, false);
        let mut coverage = Coverage::default();
        coverage.add(seen);
        coverage.add(seen);
        assert_eq!((coverage.runs(SplitVote), coverage.runs(LogTruncated)), (2, 0));
        assert_eq!(coverage.missing().count(), Situation::ALL.len() - 1);
    }

    #[test]
    fn a_watch_does_not_change_the_run() {
        for seed in 0..20 {
            let case = draw(seed);
            let mut watch = Watch::new();
            let watched = case.run_raft(&mut watch);
            assert_eq!(watched.record.trace, case.run().record.trace);
            assert_ne!(watch.seen(), Seen::default());
        }
    }
}
