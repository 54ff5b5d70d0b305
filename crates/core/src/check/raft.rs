//! The invariants of Raft (figure 3 of the paper), checked against replicas while a run is in progress.
//!
//! [`Invariants`] watches a simulation of any protocol that opens the window [`Consensus`]. The work follows what has
//! changed: an input that changes nothing costs a comparison, a new entry a hash.
//!
//! Logs are compared by *prefix digests*: the digest of an entry covers all entries before it. Two logs are the same up
//! to an index if their digests there are equal (up to a chance of 2^-64). So one comparison covers a log.
//!
//! A log may lose its beginning. The digests seen before are kept here, so the comparison stays as strict. If a log
//! begins after entries that it never had, its replica has installed a snapshot. The snapshot must end at a committed
//! entry, and must be the state of everything up to there.

mod contact;
mod invariant;
mod mirror;
mod opinion;

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::consensus::{Consensus, Index, LogEntry, Promise, Term, applied_digest};
use crate::hash::StableHasher;
use crate::id::{ReplicaId, ReplicaSet};
use crate::machine::Machine;
use crate::record::{Event, Observer, Scene};
use crate::time::Time;

pub use contact::{LEADER_CONTACT, LeaderContact};
use invariant::Broken;
pub use invariant::{Invariant, Violation};
use mirror::{Mirror, Seen};
pub(super) use opinion::{Broken as BrokenInvariant, opinion, unwatched};

/// The result of watching a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many changes of replicas were checked.
    pub changes: u64,
    /// How many terms had a leader.
    pub terms_led: usize,
    /// The first violation, if there was one. Nothing after it was checked.
    pub violation: Option<Violation>,
}

/// Watches the replicas of a run. After the first violation it checks no further: the consequences of a broken log
/// would only hide the cause.
#[derive(Clone, Debug, Default)]
pub struct Invariants {
    replicas: Vec<Mirror>,
    /// The leader of each term.
    leaders: BTreeMap<Term, ReplicaId>,
    /// The replicas that consider themselves leaders now.
    leading: ReplicaSet,
    /// By index: every entry that any log has ever had there, by term and prefix digest.
    entries: Vec<SmallVec<[(Term, u64); 1]>>,
    /// By index: what was committed.
    committed: Vec<Committed>,
    violation: Option<Violation>,
    changes: u64,
    /// Whether replicas have disks, so that their promises are recorded.
    durable: bool,
    /// Whether a replica whose disk was wiped never takes part again.
    refuses_wiped: bool,
    /// The replicas whose disks were wiped, and those among them that had made promises and must not make any others.
    wiped: ReplicaSet,
    forgetful: ReplicaSet,
    /// Promises that were sent with the input that is being handled.
    promises: SmallVec<[(ReplicaId, ReplicaId, Promise); 4]>,
}

/// What was committed at an index.
#[derive(Clone, Copy, Debug)]
struct Committed {
    /// The term in which it was first seen to be.
    term: Term,
    /// The prefix digest.
    prefix: u64,
    /// The digest of a state machine that has applied everything up to here.
    state: u64,
}

impl Invariants {
    /// A watch that has seen nothing yet.
    pub fn new() -> Invariants {
        Invariants::default()
    }

    /// For replicas that never take part again once their disks were wiped. One that had made promises must make no others
    /// then. And an entry is safe if every majority of the others has a replica with it on its disk.
    #[must_use]
    pub fn refusing_wiped(self) -> Invariants {
        Invariants { refuses_wiped: true, ..self }
    }

    /// The first violation, if there was one.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// How many changes of replicas were checked.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Ends the watch.
    pub fn into_verdict(self) -> Verdict {
        Verdict { changes: self.changes, terms_led: self.leaders.len(), violation: self.violation }
    }

    /// Checks a replica that may have changed.
    pub fn look<P: Consensus>(&mut self, now: Time, replicas: &[P], living: ReplicaSet, id: ReplicaId) {
        self.look_by(now, replicas, living, id, |_| now);
    }

    /// Checks a replica that has just restarted: it must still know its promises.
    pub fn look_again<P: Consensus>(&mut self, now: Time, replicas: &[P], id: ReplicaId) {
        if self.violation.is_none() {
            self.make_room(replicas.len());
            self.changes += 1;
            let result = self.look_at_start(id, replicas);
            self.note(now, result);
        }
    }

    /// The same as [`Invariants::look`] where each replica has a clock of its own.
    fn look_by<P: Consensus>(
        &mut self,
        now: Time,
        replicas: &[P],
        living: ReplicaSet,
        id: ReplicaId,
        local: impl Fn(ReplicaId) -> Time,
    ) {
        if self.violation.is_some() {
            return;
        }
        self.make_room(replicas.len());
        let replica = &replicas[id.index()];
        let seen = Seen::of(replica);
        let mut result = Ok(());
        if seen != self.replicas[id.index()].seen {
            self.changes += 1;
            result = self.compare(id, replicas, seen);
        }
        if result.is_ok() && self.leading.len() > 1 && seen.leads {
            result = self.look_at_leases(replicas, living, id, local);
        }
        self.note(now, result);
    }

    fn note(&mut self, now: Time, result: Result<(), Broken>) {
        if let Err((invariant, explanation)) = result {
            self.violation.get_or_insert(Violation { invariant, time: now, explanation });
        }
    }

    fn make_room(&mut self, replicas: usize) {
        if self.replicas.len() < replicas {
            self.replicas.resize_with(replicas, Mirror::default);
        }
    }

    /// Checks the promises that were sent with the input that was handled just now.
    #[cold]
    fn look_at_promises(&mut self, now: Time) {
        for (from, to, promise) in std::mem::take(&mut self.promises) {
            let result = self.look_at_promise(from, to, promise);
            self.note(now, result);
        }
    }

    /// Checks a promise that one replica has sent to another.
    fn look_at_promise(&mut self, from: ReplicaId, to: ReplicaId, promise: Promise) -> Result<(), Broken> {
        if self.forgetful.contains(from) {
            let text =
                format!("replica {from} promises something, although it lost its disk after it had made promises");
            return Err((Invariant::Durability, text));
        }
        let Mirror { seen, log, promised, vote, kept } = &mut self.replicas[from.index()];
        let to = if matches!(promise, Promise::Candidacy { .. }) { from } else { to };
        match promise {
            Promise::Vote { term } | Promise::Candidacy { term } => {
                *promised = term.max(*promised);
                match *vote {
                    Some((before, other)) if before == term && other != to => {
                        let text =
                            format!("in term {term} replica {from} sent a vote to replica {other} and one to {to}");
                        return Err((Invariant::VoteOnce, text));
                    }
                    Some((before, _)) if before > term => {}
                    _ => *vote = Some((term, to)),
                }
            }
            // Entries promised in an older term may have been replaced since.
            Promise::Kept { term, index } if term == seen.term => {
                *promised = term.max(*promised);
                *kept = index.min(log.len() as Index).max(*kept);
            }
            Promise::Kept { .. } => {}
        }
        Ok(())
    }

    /// Checks a replica that has restarted: it must still know its promises. Its commit index may be lower.
    fn look_at_start<P: Consensus>(&mut self, id: ReplicaId, replicas: &[P]) -> Result<(), Broken> {
        let seen = Seen::of(&replicas[id.index()]);
        let Mirror { log: before, promised, vote, kept, .. } = std::mem::take(&mut self.replicas[id.index()]);
        self.leading.remove(id);
        if seen.term < promised {
            let text =
                format!("replica {id} restarted in term {}, but has made promises in term {promised}", seen.term);
            return Err((Invariant::TermMonotonic, text));
        }
        if let Some((term, candidate)) = vote.filter(|(term, _)| *term == seen.term)
            && seen.voted_for != Some(candidate)
        {
            let text = format!("replica {id} restarted without its vote for replica {candidate} in term {term}");
            return Err((Invariant::VoteOnce, text));
        }
        let dropped = seen.dropped as usize;
        let Some(taken) = self.committed.get(..dropped) else {
            let text = format!("replica {id} restarted with a state up to entry {dropped}, which was never committed");
            return Err((Invariant::StateMachineSafety, text));
        };
        let log = taken.iter().map(|known| known.prefix).collect();
        self.replicas[id.index()] = Mirror { seen, log, promised, vote, kept };
        self.look_at_new_entries(id, &replicas[id.index()], seen)?;
        let log = &self.replicas[id.index()].log;
        if let Some(last) = (kept as usize).checked_sub(1)
            && log.get(last) != before.get(last)
        {
            let text = format!("replica {id} restarted without entry {kept}, which it had acknowledged");
            return Err((Invariant::Durability, text));
        }
        self.look_at_commit(id, replicas, Seen::default(), seen)?;
        self.look_at_state(id, seen)?;
        if seen.leads {
            self.leading.insert(id);
            self.look_at_leader(id, seen)?;
        }
        Ok(())
    }

    /// Compares a replica with its earlier state.
    fn compare<P: Consensus>(&mut self, id: ReplicaId, replicas: &[P], seen: Seen) -> Result<(), Broken> {
        let replica = &replicas[id.index()];
        let before = std::mem::replace(&mut self.replicas[id.index()].seen, seen);
        if seen.term < before.term {
            let text = format!("replica {id} went from term {} back to {}", before.term, seen.term);
            return Err((Invariant::TermMonotonic, text));
        }
        if let Some(vote) = before.voted_for.filter(|_| seen.term == before.term && seen.voted_for != before.voted_for)
        {
            let other = seen.voted_for.map_or("nobody".to_owned(), |id| format!("replica {id}"));
            let text = format!("in term {} replica {id} voted for replica {vote} and then for {other}", seen.term);
            return Err((Invariant::VoteOnce, text));
        }
        if seen.dropped != before.dropped {
            self.look_at_beginning(id, before, seen)?;
        }
        if seen.truncations != before.truncations || seen.dropped != before.dropped {
            self.look_at_truncation(id, replica, before, seen)?;
        }
        self.look_at_new_entries(id, replica, seen)?;
        if seen.commit_index != before.commit_index {
            self.look_at_commit(id, replicas, before, seen)?;
        }
        self.look_at_state(id, seen)?;
        if seen.leads {
            self.leading.insert(id)
        } else {
            self.leading.remove(id)
        }
        if seen.leads && (!before.leads || seen.term != before.term) {
            self.look_at_leader(id, seen)?;
        }
        Ok(())
    }

    /// A log has lost its beginning: either only entries that were applied before, or a snapshot of committed entries
    /// has replaced it.
    fn look_at_beginning(&mut self, id: ReplicaId, before: Seen, seen: Seen) -> Result<(), Broken> {
        let dropped = seen.dropped;
        if dropped < before.dropped {
            let text = format!("replica {id} had dropped entries up to {}, and now up to {dropped}", before.dropped);
            return Err((Invariant::CommitMonotonic, text));
        }
        if dropped > seen.applied {
            let text = format!("replica {id} dropped entries up to {dropped}, but applied only up to {}", seen.applied);
            return Err((Invariant::StateMachineSafety, text));
        }
        if dropped <= before.applied {
            return Ok(());
        }
        let Some(taken) = self.committed.get(..dropped as usize) else {
            let text = format!("replica {id} took over a state up to entry {dropped}, which was never committed");
            return Err((Invariant::StateMachineSafety, text));
        };
        let Mirror { log, kept, .. } = &mut self.replicas[id.index()];
        if log.get(dropped as usize - 1) != taken.last().map(|known| &known.prefix) {
            // Entries that it had acknowledged to an older leader may be replaced now.
            let common = log.iter().zip(taken).take_while(|(own, known)| **own == known.prefix).count();
            *kept = (common as Index).min(*kept);
            log.clear();
            log.extend(taken.iter().map(|known| known.prefix));
        }
        Ok(())
    }

    /// Entries were removed: a leader must not remove any, and no committed entry may be removed.
    fn look_at_truncation<P: Consensus>(
        &mut self,
        id: ReplicaId,
        replica: &P,
        before: Seen,
        seen: Seen,
    ) -> Result<(), Broken> {
        let log = &mut self.replicas[id.index()].log;
        let dropped = seen.dropped as usize;
        let mut prefix = dropped.checked_sub(1).map_or(0, |last| log[last]);
        let kept = log[dropped..].iter().zip(seen.dropped + 1..=seen.last_index).take_while(|&(&known, index)| {
            prefix = extended(prefix, replica.entry(index));
            prefix == known
        });
        let kept = dropped + kept.count();
        if (kept as Index) < before.commit_index {
            let index = kept + 1;
            let text = format!("replica {id} removed entry {index}, which it knew to be committed");
            return Err((Invariant::CommitMonotonic, text));
        }
        if before.leads && seen.leads && before.term == seen.term && kept < log.len() {
            let text = format!("replica {id}, leader of term {}, removed entry {} of its log", seen.term, kept + 1);
            return Err((Invariant::LeaderAppendOnly, text));
        }
        log.truncate(kept);
        let promised = &mut self.replicas[id.index()].kept;
        *promised = (kept as Index).min(*promised);
        Ok(())
    }

    /// Entries were added: an entry of an index and a term has the same past in all logs.
    fn look_at_new_entries<P: Consensus>(&mut self, id: ReplicaId, replica: &P, seen: Seen) -> Result<(), Broken> {
        let log = &mut self.replicas[id.index()].log;
        for index in log.len() as Index + 1..=seen.last_index {
            let Some(entry) = replica.entry(index) else {
                let text = format!("replica {id} has no entry {index}, although its last is {}", seen.last_index);
                return Err((Invariant::LogMatching, text));
            };
            let prefix = extended(log.last().copied().unwrap_or(0), Some(entry));
            log.push(prefix);
            let place = index as usize - 1;
            if self.entries.len() <= place {
                self.entries.push(SmallVec::new());
            }
            match self.entries[place].iter().find(|known| known.0 == entry.term) {
                Some(known) if known.1 != prefix => {
                    let text = format!(
                        "replica {id} has an entry {index} of term {}, and so has another log that differs up to there",
                        entry.term
                    );
                    return Err((Invariant::LogMatching, text));
                }
                Some(_) => {}
                None => self.entries[place].push((entry.term, prefix)),
            }
        }
        Ok(())
    }

    /// The commit index has changed: it may only rise, and only to entries on which all replicas agree.
    fn look_at_commit<P: Consensus>(
        &mut self,
        id: ReplicaId,
        replicas: &[P],
        before: Seen,
        seen: Seen,
    ) -> Result<(), Broken> {
        let replica = &replicas[id.index()];
        if seen.commit_index < before.commit_index {
            let text = format!(
                "replica {id} took its commit index from {} back to {}",
                before.commit_index, seen.commit_index
            );
            return Err((Invariant::CommitMonotonic, text));
        }
        if seen.commit_index > seen.last_index {
            let text =
                format!("replica {id} committed up to {}, but its last is {}", seen.commit_index, seen.last_index);
            return Err((Invariant::StateMachineSafety, text));
        }
        for index in before.commit_index + 1..=seen.commit_index {
            let place = index as usize - 1;
            let prefix = self.replicas[id.index()].log[place];
            match self.committed.get(place) {
                Some(known) if known.prefix != prefix => {
                    let text = format!(
                        "replica {id} committed another entry {index} in term {} than was committed in term {}",
                        seen.term, known.term
                    );
                    return Err((Invariant::StateMachineSafety, text));
                }
                Some(_) => {}
                None => {
                    let before = place.checked_sub(1).map_or(0, |last| self.committed[last].state);
                    let command = replica.entry(index).and_then(|entry| entry.command);
                    let state = command.map_or(before, |command| applied_digest(before, command));
                    self.committed.push(Committed { term: seen.term, prefix, state });
                    self.look_at_later_leaders(place, seen.term, prefix)?;
                    if replica.is_durable() {
                        self.look_at_disks(place, prefix, replicas)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// An entry is committed in a term: leaders of later terms, if there are any already, must have it, too.
    fn look_at_later_leaders(&self, place: usize, term: Term, prefix: u64) -> Result<(), Broken> {
        let lacks = |id: &ReplicaId| {
            let Mirror { seen, log, .. } = &self.replicas[id.index()];
            seen.term > term && log.get(place) != Some(&prefix)
        };
        match self.leading.iter().find(lacks) {
            Some(id) => {
                let (index, later) = (place + 1, self.replicas[id.index()].seen.term);
                let text = format!(
                    "replica {id} leads in term {later} without entry {index}, which was committed in term {term}"
                );
                Err((Invariant::LeaderCompleteness, text))
            }
            None => Ok(()),
        }
    }

    /// An entry is committed: it must be on the disks of a majority.
    fn look_at_disks<P: Consensus>(&self, place: usize, prefix: u64, replicas: &[P]) -> Result<(), Broken> {
        let has = |(replica, mirror): &(&P, &Mirror)| {
            replica.durable_index() > place as Index && mirror.log.get(place) == Some(&prefix)
        };
        let holders = replicas.iter().zip(&self.replicas).filter(has).count();
        let is_out = |id: &ReplicaId| self.refuses_wiped && replicas[id.index()].durable_index() == 0;
        if holders + self.wiped.iter().filter(is_out).count() > replicas.len() / 2 {
            return Ok(());
        }
        let (index, all) = (place + 1, replicas.len());
        let text = format!("entry {index} was committed while it was on the disks of only {holders} of {all} replicas");
        Err((Invariant::Durability, text))
    }

    /// The state machine must equal all committed entries up to there, applied once and in order.
    fn look_at_state(&self, id: ReplicaId, seen: Seen) -> Result<(), Broken> {
        if seen.applied > seen.commit_index {
            let text =
                format!("replica {id} applied up to {}, but knows {} to be committed", seen.applied, seen.commit_index);
            return Err((Invariant::StateMachineSafety, text));
        }
        let expected = match seen.applied {
            0 => 0,
            applied => self.committed[applied as usize - 1].state,
        };
        if seen.state != expected {
            let text = format!("replica {id} applied other commands than those up to {}, each once", seen.applied);
            return Err((Invariant::StateMachineSafety, text));
        }
        Ok(())
    }

    /// A replica leads: it must be alone in its term, and have all entries committed before.
    fn look_at_leader(&mut self, id: ReplicaId, seen: Seen) -> Result<(), Broken> {
        let leader = *self.leaders.entry(seen.term).or_insert(id);
        if leader != id {
            let text = format!("replicas {leader} and {id} both lead in term {}", seen.term);
            return Err((Invariant::ElectionSafety, text));
        }
        let log = &self.replicas[id.index()].log;
        let newest = self.committed.len();
        if newest == 0 || log.get(newest - 1) == Some(&self.committed[newest - 1].prefix) {
            return Ok(());
        }
        let lacks = |&(place, committed): &(usize, &Committed)| {
            committed.term < seen.term && log.get(place) != Some(&committed.prefix)
        };
        match self.committed.iter().enumerate().find(lacks) {
            Some((place, committed)) => {
                let text = format!(
                    "replica {id} leads in term {} without entry {}, which was committed in term {}",
                    seen.term,
                    place + 1,
                    committed.term
                );
                Err((Invariant::LeaderCompleteness, text))
            }
            None => Ok(()),
        }
    }

    /// Several replicas consider themselves leaders: only one of them may serve reads by itself.
    fn look_at_leases<P: Consensus>(
        &self,
        replicas: &[P],
        living: ReplicaSet,
        id: ReplicaId,
        local: impl Fn(ReplicaId) -> Time,
    ) -> Result<(), Broken> {
        let serves = |id: ReplicaId| living.contains(id) && replicas[id.index()].holds_read_lease(local(id));
        if !serves(id) {
            return Ok(());
        }
        match self.leading.without(id).iter().find(|&other| serves(other)) {
            Some(other) => {
                let terms = (replicas[other.index()].term(), replicas[id.index()].term());
                let text = format!(
                    "replicas {other} (term {}) and {id} (term {}) both hold a lease for reads",
                    terms.0, terms.1
                );
                Err((Invariant::LeaseSafety, text))
            }
            None => Ok(()),
        }
    }
}

/// The prefix digest after one more entry.
#[inline]
fn extended(prefix: u64, entry: Option<LogEntry>) -> u64 {
    let mut hasher = StableHasher::new();
    hasher.word(prefix);
    if let Some(entry) = entry {
        hasher.word(entry.term);
        hasher.word(u64::from(entry.command.is_some()));
        hasher.word(entry.command.unwrap_or(0));
    }
    hasher.value()
}

impl<P: Machine + Consensus> Observer<P> for Invariants {
    #[inline]
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        if self.replicas.is_empty() {
            self.make_room(scene.replicas.len());
            self.durable = scene.replicas.iter().any(Consensus::is_durable);
        }
        match *event {
            Event::Crashed { replica, .. } | Event::Ended { replica, .. } => self.leading.remove(replica),
            Event::Started { replica, wiped } => {
                if wiped {
                    // The scenario has wiped its disk.
                    let before = std::mem::take(&mut self.replicas[replica.index()]);
                    self.wiped.insert(replica);
                    if self.refuses_wiped && before.promised > 0 {
                        self.forgetful.insert(replica);
                    }
                }
                self.look_again(scene.now, scene.replicas, replica);
            }
            _ => {}
        }
    }

    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &P::Message) {
        if self.durable
            && let Some(promise) = P::promise(message)
        {
            self.promises.push((from, to, promise));
        }
    }

    #[inline]
    fn handled(&mut self, scene: &Scene<'_, P>, replica: ReplicaId) {
        self.look_by(scene.now, scene.replicas, scene.director.living(), replica, |id| scene.local(id));
        if !self.promises.is_empty() {
            self.look_at_promises(scene.now);
        }
    }
}

#[cfg(test)]
mod tests;
