//! Coverage: the situations that occurred.
//!
//! A million runs without a failure prove little if nothing difficult happened in them. So an exploration counts in how
//! many runs each of these situations occurred. A situation that never occurred is a gap in the tests.

use std::sync::Arc;

use super::around::AroundRaft;
use crate::consensus::{Index, Role, Term};
use crate::engine::{PowerFailure, Rate, State};
use crate::id::{ReplicaId, ReplicaSet};
use crate::kv::Command;
use crate::lab::explore::{Seen, Survey};
use crate::raft::{AppendEntries, AppendOutcome, AppendReply, Message, RequestVote, Vote};
use crate::record::{Event, Observer, Scene};
use crate::service::Response;
use crate::time::Time;

/// Lists the situations once: the meaning of each, its name in the code, and its name in reports.
macro_rules! situations {
    ($($(#[$meaning:meta])* $situation:ident: $name:literal,)*) => {
        /// A situation that is difficult for Raft.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Situation { $($(#[$meaning])* $situation),* }

        /// The name of each situation, in order.
        pub(in crate::subjects) const NAMES: &[&str] = &[$($name),*];
    };
}

situations! {
    /// Two replicas were candidates in one term.
    RivalCandidates: "two candidates in one term",
    /// A term had candidates and no leader.
    SplitVote: "split vote",
    /// A candidate followed another one that was elected in its term.
    CandidateYields: "candidate yields to a leader of its term",
    /// A pre-vote was refused.
    PreVoteRefused: "pre-vote refused",
    /// A vote was refused.
    VoteRefused: "vote refused",
    /// A follower that had just heard from its leader left a candidate without an answer.
    CandidateIgnored: "candidate ignored, since a leader is heard",
    /// Two living replicas considered themselves leaders at one time.
    TwoLeaders: "two leaders at one time",
    /// A leader stepped down because it learned of a newer term.
    LeaderOvertaken: "leader steps down for a newer term",
    /// A leader stepped down because it heard from no quorum.
    LeaderWithoutQuorum: "leader steps down for want of a quorum",
    /// A leader was killed while it had entries that were not committed.
    LeaderKilledWithUncommitted: "leader killed with uncommitted entries",
    /// A leader was cut off from its quorum while it had entries that were not committed.
    LeaderCutOffWithUncommitted: "leader cut off with uncommitted entries",
    /// Kills left just a quorum alive.
    LastQuorum: "just a quorum left alive",
    /// A log was truncated.
    LogTruncated: "log truncated",
    /// An append was refused because of an entry of another term.
    Conflict: "append refused for a conflict",
    /// An append came before the one that it follows.
    AppendOvertaken: "append overtakes the one before",
    /// An append brought only entries that its receiver had already.
    AppendRepeated: "append brings nothing new",
    /// An append of an older term came.
    StaleAppend: "append of an older term",
    /// A majority had an entry of an older term that the leader could not commit yet (5.4.2).
    OldEntryOnMajority: "entry of an old term on a majority, not committed",
    /// A leader committed entries of older terms along with one of its own.
    OldEntryCommitted: "entries of old terms committed with a new one",
    /// A follower was too slow and another was asked: thrifty replication was widened.
    ThriftyWidened: "thrifty set widened",
    /// Reads waited for a leader whose lease had lapsed.
    LeaseLapsedWithReads: "lease lapsed with reads waiting",
    /// Such reads were answered after a quorum had confirmed the leader.
    ReadsConfirmed: "reads confirmed by a quorum",
    /// A leader was asked to show that it still leads.
    LeaderProbed: "leader asked to show itself",
    /// A deposed leader learned the fate of a put that it had proposed.
    PutDecidedAfterDeposition: "deposed leader learns the fate of a put",
    /// An answer that belongs to an older term came to a leader.
    OldAnswer: "answer of an older term comes to a leader",
    /// A follower that was told to campaign by a leader that hands over asked for a vote.
    HandedOver: "leader hands over",
    /// A put was replaced by another leader's entry.
    PutReplaced: "put replaced by another leader's entry",
    /// A request was answered `fail`.
    RequestFailed: "request failed",
    /// A log was compacted.
    LogCompacted: "log compacted",
    /// A replica installed the state of a leader.
    SnapshotInstalled: "snapshot installed",
    /// A chunk of a state came to a replica that no longer needed it.
    SnapshotRepeated: "snapshot repeated",
    /// A replica that had installed a snapshot led.
    SnapshotLed: "leader that has installed a snapshot",
    /// A crash lost records that were not synced.
    CrashedUnsynced: "crash loses unsynced records",
    /// A crash tore the last record.
    RecordTorn: "last record torn",
    /// A replica crashed between two parts of a snapshot that it wrote.
    CrashedInSnapshot: "crash while a snapshot is being written",
    /// A leader crashed.
    LeaderCrashed: "leader crashes",
    /// A replica crashed after it had voted, before it heard from the leader of that term.
    VotedThenCrashed: "replica crashes after it has voted",
    /// All replicas were down at one time.
    AllDown: "all replicas down",
    /// A replica restarted with fewer entries than it had.
    RestartedShorter: "restarted with fewer entries",
    /// A replica restarted from a snapshot.
    RestartedFromSnapshot: "restarted from a snapshot",
    /// A replica refused to start because a record was damaged.
    DamageRefused: "refuses to start, since a record is damaged",
    /// A leader was paused, and stepped down when it was resumed.
    PausedLeaderDeposed: "paused leader steps down",
    /// A replica with a clock at another rate than the world's led.
    LeaderDrifts: "leader with a fast or slow clock",
    /// A replica did not read a damaged message.
    DamagedMessageRefused: "damaged message refused",
}

use Situation::*;

/// The place of the situation that no server of the cluster is in: its followers pass requests on, and do not ask whether
/// the leader is alive.
pub(in crate::subjects) const PROBED: usize = LeaderProbed as usize;

/// Watches one run for situations.
#[derive(Clone, Debug, Default)]
pub(in crate::subjects) struct Watch {
    seen: Seen,
    known: Vec<Known>,
    leading: ReplicaSet,
    /// The newest term that had candidates, these candidates, and whether a replica was elected in it.
    newest: (Term, ReplicaSet, bool),
    /// The term of a request for a vote that is being handled.
    asked: Option<Term>,
    /// The replicas that have installed a snapshot.
    installed: ReplicaSet,
    /// Leaders that are paused, or were paused while they led.
    paused: ReplicaSet,
}

/// The state of a replica when it was last looked at.
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
    fn of<M: AroundRaft>(replica: &M, now: Time) -> Known {
        let raft = replica.raft();
        let gets = replica.replicated().open_reads();
        Known {
            role: raft.role(),
            term: raft.term(),
            first_index: raft.log().first_index(),
            last_index: raft.log().last_index(),
            commit_index: raft.commit_index(),
            applied: replica.applied(),
            truncations: raft.log().truncations(),
            given_up: raft.given_up(),
            puts: replica.replicated().open_updates(),
            gets,
            lapsed: gets > 0 && raft.is_leader() && !replica.holds_read_lease(now),
        }
    }
}

impl Watch {
    /// Notes a situation, if it occurs now.
    #[inline]
    fn note(&mut self, situation: Situation, occurs: bool) {
        self.seen.insert(situation as usize, occurs);
    }

    /// Looks at a message that is about to be handled.
    fn look_at_message<M: AroundRaft>(&mut self, to: &M, message: &Message<Arc<Command>>) {
        let raft = to.raft();
        match message {
            Message::RequestVote(RequestVote { term, pre: false, handed_over, .. }) => {
                self.asked = Some(*term);
                self.note(HandedOver, *handed_over);
            }
            Message::RequestVote(_) | Message::TimeoutNow { .. } => {}
            Message::Vote(Vote { granted, pre, .. }) => {
                self.note(if *pre { PreVoteRefused } else { VoteRefused }, !granted);
            }
            Message::AppendEntries(append) => self.look_at_append(to, append),
            Message::AppendReply(AppendReply { term, outcome, .. }) => {
                let conflict = matches!(outcome, AppendOutcome::Conflict { term: Some(_), .. });
                self.note(Conflict, conflict && *term == raft.term());
                self.note(OldAnswer, *term < raft.term() && raft.is_leader());
            }
            Message::Probe { .. } => self.note(LeaderProbed, raft.is_leader()),
            Message::InstallSnapshot(part) => {
                let repeated = part.last_index <= raft.commit_index() && part.term == raft.term();
                self.note(SnapshotRepeated, repeated);
            }
        }
    }

    fn look_at_append<M: AroundRaft>(&mut self, to: &M, append: &AppendEntries<Arc<Command>>) {
        let log = to.raft().log();
        self.note(StaleAppend, append.term < to.raft().term());
        self.note(AppendOvertaken, append.prev_index > log.last_index());
        if let Some(last) = append.entries.last() {
            let index = append.prev_index + append.entries.len() as Index;
            self.note(AppendRepeated, log.term(index) == Some(last.term));
        }
    }

    fn look_at_crash<M: AroundRaft>(&mut self, scene: &Scene<'_, M>, id: ReplicaId, failure: PowerFailure) {
        let raft = scene.replicas[id.index()].raft();
        self.note(CrashedUnsynced, failure.lost > 0);
        self.note(RecordTorn, failure.torn);
        self.note(CrashedInSnapshot, raft.is_writing_snapshot());
        self.note(LeaderCrashed, raft.is_leader());
        let has_voted = raft.voted_for().is_some_and(|candidate| candidate != id);
        self.note(VotedThenCrashed, has_voted && raft.leader().is_none());
        self.note(AllDown, scene.director.living().is_empty());
        self.leading.remove(id);
    }

    fn look_at_start<M: AroundRaft>(&mut self, scene: &Scene<'_, M>, id: ReplicaId) {
        let replica = &scene.replicas[id.index()];
        if let Some(known) = self.known.get_mut(id.index()) {
            let after = Known::of(replica, scene.local(id));
            let before = std::mem::replace(known, after);
            self.note(RestartedShorter, after.last_index < before.last_index);
        }
        self.note(RestartedFromSnapshot, replica.raft().log().first_index() > 1);
        self.installed.remove(id);
        self.paused.remove(id);
    }

    /// Notes the leaders that are paused now.
    fn note_paused<M: AroundRaft>(&mut self, scene: &Scene<'_, M>) {
        let is_paused = |id: &ReplicaId| scene.conditions[id.index()].state == State::Paused;
        self.leading.iter().filter(is_paused).for_each(|id| self.paused.insert(id));
    }

    /// Compares a replica with its earlier state.
    fn compare<M: AroundRaft>(&mut self, scene: &Scene<'_, M>, id: ReplicaId, before: Known, after: Known) {
        let led = before.role == Role::Leader;
        let leads = after.role == Role::Leader;
        self.note(LeaderDrifts, leads && scene.conditions[id.index()].clock.rate() != Rate::EXACT);
        if led && !leads {
            self.note(PausedLeaderDeposed, self.paused.contains(id));
            self.paused.remove(id);
            self.note(if after.term > before.term { LeaderOvertaken } else { LeaderWithoutQuorum }, true);
        }
        if before.role == Role::Candidate && after.role == Role::Follower && after.term == before.term {
            self.note(CandidateYields, true);
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
            self.note(TwoLeaders, living.len() > 1);
        }
        if after.first_index > before.first_index {
            // Entries that were merely dropped have been applied before.
            let installed = after.first_index > before.applied + 1;
            self.note(if installed { SnapshotInstalled } else { LogCompacted }, true);
            if installed {
                self.installed.insert(id);
            }
        }
        self.note(SnapshotLed, leads && self.installed.contains(id));
        self.note(LogTruncated, after.truncations > before.truncations);
        self.note(ThriftyWidened, after.given_up > before.given_up);
        self.note(LeaseLapsedWithReads, after.lapsed);
        self.note(ReadsConfirmed, before.lapsed && leads && after.gets == 0);
        if !led && !leads && after.puts < before.puts {
            self.note(PutDecidedAfterDeposition, true);
            self.note(PutReplaced, after.truncations > before.truncations);
        }
        let log = scene.replicas[id.index()].raft().log();
        if leads && after.commit_index > before.commit_index {
            self.note(OldEntryCommitted, log.term(before.commit_index + 1) < Some(after.term));
        }
        if after.last_index != before.last_index && !self.seen.contains(OldEntryOnMajority as usize) {
            let stuck = self.leading.iter().any(|leader| has_old_entry_on_majority(scene.replicas, leader));
            self.note(OldEntryOnMajority, stuck);
        }
    }

    fn note_candidate(&mut self, id: ReplicaId, term: Term) {
        let (newest, candidates, elected) = self.newest;
        if term > newest {
            // The newest term that had candidates is over, and no replica was elected in it.
            self.note(SplitVote, candidates.len() > 1 && !elected);
            self.newest = (term, ReplicaSet::EMPTY, false);
        }
        if term == self.newest.0 {
            self.newest.1.insert(id);
            self.note(RivalCandidates, self.newest.1.len() > 1);
        }
    }
}

/// Whether the first entry that a leader has not committed is of an older term, and on a majority.
fn has_old_entry_on_majority<M: AroundRaft>(replicas: &[M], leader: ReplicaId) -> bool {
    let raft = replicas[leader.index()].raft();
    let index = raft.commit_index() + 1;
    let Some(entry) = raft.log().get(index).filter(|entry| entry.term < raft.term()) else { return false };
    let holders = replicas.iter().filter(|replica| replica.raft().log().get(index) == Some(entry));
    holders.count() > replicas.len() / 2
}

impl<M: AroundRaft> Observer<M> for Watch {
    fn event(&mut self, scene: &Scene<'_, M>, event: &Event<'_, M::Message>) {
        match *event {
            Event::Delivered { to, message, .. } => {
                if let Some(message) = M::for_raft(message) {
                    self.look_at_message(&scene.replicas[to.index()], message);
                }
            }
            Event::Damaged { .. } => self.note(DamagedMessageRefused, true),
            Event::Answered { response, .. } => self.note(RequestFailed, *response == Response::Fail),
            Event::Crashed { replica, failure } => self.look_at_crash(scene, replica, failure),
            Event::Started { replica, .. } => self.look_at_start(scene, replica),
            Event::Ended { replica, .. } if scene.conditions[replica.index()].state == State::Down => {
                self.leading.remove(replica);
                // A replica that runs when its disk fills up has handled inputs before.
                self.note(DamageRefused, scene.conditions[replica.index()].incarnation > 0);
            }
            Event::Struck { consequence, .. } => {
                self.note_paused(scene);
                let uncommitted = |id: ReplicaId| {
                    let raft = scene.replicas[id.index()].raft();
                    raft.is_leader() && raft.commit_index() < raft.log().last_index()
                };
                let living = scene.director.living();
                if let Some(killed) = consequence.killed {
                    self.note(LeaderKilledWithUncommitted, uncommitted(killed));
                    self.note(LastQuorum, living.len() == scene.replicas.len() / 2 + 1);
                    self.leading.remove(killed);
                } else if consequence.leader_lost {
                    let cut_off = self.leading.and(living).iter().any(uncommitted);
                    self.note(LeaderCutOffWithUncommitted, cut_off);
                }
            }
            _ => {}
        }
    }

    fn handled(&mut self, scene: &Scene<'_, M>, id: ReplicaId) {
        if self.known.is_empty() {
            let start = |replica: &M| Known {
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
            self.note(CandidateIgnored, asked > after.term && after.role == Role::Follower);
        }
        self.compare(scene, id, before, after);
    }
}

impl<M: AroundRaft> Survey<M> for Watch {
    fn seen(&self) -> Seen {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_situation_has_a_name_of_its_own() {
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
        assert_eq!(NAMES[OldEntryOnMajority as usize], "entry of an old term on a majority, not committed");
    }
}
