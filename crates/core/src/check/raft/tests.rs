use super::*;
use crate::consensus::Role;

/// A replica in any state that a test needs.
#[derive(Clone, Debug, Default)]
struct Fake {
    leads: bool,
    term: Term,
    vote: Option<ReplicaId>,
    log: Vec<LogEntry>,
    /// How many entries at its beginning are no longer shown.
    dropped: Index,
    truncations: u64,
    commit: Index,
    applied: Index,
    state: u64,
    lease: bool,
    /// How much of its log is on its disk, if it has one.
    disk: Option<Index>,
}

impl Consensus for Fake {
    fn role(&self) -> Role {
        if self.leads { Role::Leader } else { Role::Follower }
    }

    fn term(&self) -> Term {
        self.term
    }

    fn voted_for(&self) -> Option<ReplicaId> {
        self.vote
    }

    fn first_index(&self) -> Index {
        self.dropped + 1
    }

    fn last_index(&self) -> Index {
        self.log.len() as Index
    }

    fn entry(&self, index: Index) -> Option<LogEntry> {
        self.log.get((index as usize).checked_sub(1)?).copied().filter(|_| index > self.dropped)
    }

    fn truncations(&self) -> u64 {
        self.truncations
    }

    fn commit_index(&self) -> Index {
        self.commit
    }

    fn applied(&self) -> Index {
        self.applied
    }

    fn state_digest(&self) -> u64 {
        self.state
    }

    fn holds_read_lease(&self, _: Time) -> bool {
        self.lease
    }

    fn is_durable(&self) -> bool {
        self.disk.is_some()
    }

    fn durable_index(&self) -> Index {
        self.disk.unwrap_or(self.last_index())
    }
}

impl Fake {
    fn follow(&mut self, term: Term) {
        (self.leads, self.term, self.vote) = (false, term, None);
    }

    fn lead(&mut self, term: Term) {
        (self.leads, self.term) = (true, term);
    }

    fn append(&mut self, term: Term, command: u64) {
        self.log.push(LogEntry { term, command: Some(command) });
    }

    /// Keeps this many entries.
    fn keep(&mut self, entries: usize) {
        self.log.truncate(entries);
        self.truncations += 1;
    }

    /// Commits entries up to this index, and applies them.
    fn commit(&mut self, index: Index) {
        self.commit = index;
        while self.applied < index.min(self.last_index()) {
            self.apply();
        }
    }

    /// Installs the state of another replica up to its last applied entry.
    fn take_over(&mut self, other: &Fake) {
        let index = other.applied;
        if self.log.get(..index as usize) != other.log.get(..index as usize) {
            self.truncations += 1;
            self.log = other.log[..index as usize].to_vec();
        }
        (self.dropped, self.commit, self.applied, self.state) = (index, index, index, other.state);
    }

    fn apply(&mut self) {
        self.applied += 1;
        let command = self.entry(self.applied).and_then(|entry| entry.command);
        self.state = command.map_or(self.state, |command| applied_digest(self.state, command));
    }
}

/// Three replicas under watch.
struct Stage {
    replicas: [Fake; 3],
    living: ReplicaSet,
    invariants: Invariants,
}

impl Stage {
    fn new() -> Stage {
        Stage { replicas: Default::default(), living: ReplicaId::all(3).collect(), invariants: Invariants::new() }
    }

    /// Changes a replica in a way that must be allowed.
    fn good(&mut self, id: u8, change: impl FnOnce(&mut Fake)) {
        self.change(id, change);
        assert_eq!(self.invariants.violation(), None);
    }

    /// Changes a replica so that it breaks an invariant, and returns the reported violation.
    fn bad(&mut self, id: u8, change: impl FnOnce(&mut Fake)) -> (Invariant, String) {
        self.change(id, change);
        let verdict = self.invariants.clone().into_verdict();
        let Violation { invariant, time, explanation } = verdict.violation.expect("a violation");
        assert_eq!(time, Time(7));
        (invariant, explanation)
    }

    fn change(&mut self, id: u8, change: impl FnOnce(&mut Fake)) {
        change(&mut self.replicas[usize::from(id)]);
        self.invariants.look(Time(7), &self.replicas, self.living, ReplicaId(id));
    }
}

fn found(invariant: Invariant, explanation: &str) -> (Invariant, String) {
    (invariant, explanation.to_owned())
}

#[test]
fn a_term_has_one_leader() {
    let mut stage = Stage::new();
    stage.good(0, |replica| replica.lead(1));
    stage.good(1, |replica| replica.lead(2));
    stage.good(0, |replica| replica.follow(2));
    stage.good(0, |replica| replica.lead(3));
    let text = "replicas 0001 and 0002 both lead in term 2";
    assert_eq!(stage.bad(2, |replica| replica.lead(2)), found(Invariant::ElectionSafety, text));
}

#[test]
fn a_leader_only_appends_and_a_follower_may_remove_uncommitted_entries() {
    let mut stage = Stage::new();
    stage.good(0, |replica| replica.lead(1));
    stage.good(0, |replica| (0..4).for_each(|command| replica.append(1, command)));
    stage.good(0, |replica| replica.follow(2));
    stage.good(0, |replica| replica.keep(3));
    // Several changes at once: it was deposed in between.
    stage.good(0, |replica| replica.lead(3));
    stage.good(0, |replica| {
        replica.keep(2);
        replica.lead(4);
    });
    let text = "replica 0000, leader of term 4, removed entry 2 of its log";
    assert_eq!(stage.bad(0, |replica| replica.keep(1)), found(Invariant::LeaderAppendOnly, text));
}

#[test]
fn entries_of_one_index_and_term_have_the_same_predecessors_in_all_logs() {
    let mut stage = Stage::new();
    stage.good(0, |replica| replica.append(1, 10));
    stage.good(1, |replica| replica.append(1, 10));
    stage.good(2, |replica| replica.append(2, 20));
    stage.good(0, |replica| replica.append(3, 30));
    let text = "replica 0002 has an entry 2 of term 3, and so has another log that differs up to there";
    assert_eq!(stage.bad(2, |replica| replica.append(3, 30)), found(Invariant::LogMatching, text));

    let mut stage = Stage::new();
    stage.good(0, |replica| replica.append(1, 10));
    let text = "replica 0001 has an entry 1 of term 1, and so has another log that differs up to there";
    assert_eq!(stage.bad(1, |replica| replica.append(1, 11)), found(Invariant::LogMatching, text));
}

#[test]
fn leaders_of_later_terms_have_all_committed_entries() {
    let committed = || {
        let mut stage = Stage::new();
        stage.good(0, |replica| replica.lead(2));
        stage.good(0, |replica| replica.append(2, 10));
        stage.good(1, |replica| replica.append(2, 10));
        stage.good(0, |replica| replica.commit(1));
        stage
    };
    let mut stage = committed();
    stage.good(1, |replica| replica.lead(3));
    // It leads an older term than that of the committed entry, so it need not have it.
    stage.good(2, |replica| replica.lead(1));

    let text = "replica 0002 leads in term 3 without entry 1, which was committed in term 2";
    assert_eq!(committed().bad(2, |replica| replica.lead(3)), found(Invariant::LeaderCompleteness, text));
    let mut stage = committed();
    stage.good(2, |replica| replica.append(1, 10));
    assert_eq!(stage.bad(2, |replica| replica.lead(3)), found(Invariant::LeaderCompleteness, text));
}

#[test]
fn no_two_replicas_commit_different_entries() {
    let mut stage = Stage::new();
    stage.good(0, |replica| replica.append(1, 10));
    stage.good(1, |replica| replica.append(1, 10));
    stage.good(2, |replica| replica.append(2, 20));
    stage.good(0, |replica| {
        replica.follow(1);
        replica.commit(1);
    });
    stage.good(1, |replica| replica.commit(1));
    let text = "replica 0002 committed another entry 1 in term 2 than was committed in term 1";
    let commit = |replica: &mut Fake| {
        replica.follow(2);
        replica.commit(1);
    };
    assert_eq!(stage.bad(2, commit), found(Invariant::StateMachineSafety, text));

    let mut stage = Stage::new();
    stage.good(0, |replica| replica.append(1, 10));
    let text = "replica 0000 committed up to 2, but its last is 1";
    assert_eq!(stage.bad(0, |replica| replica.commit = 2), found(Invariant::StateMachineSafety, text));
}

#[test]
fn each_committed_entry_is_applied_once_and_no_other_entry_is() {
    let stage = || {
        let mut stage = Stage::new();
        stage.good(0, |replica| {
            replica.append(1, 10);
            replica.log.push(LogEntry { term: 1, command: None });
            replica.append(1, 11);
        });
        stage.good(0, |replica| replica.commit(2));
        stage
    };
    // A replica may commit first and apply later.
    let mut later = stage();
    later.good(0, |replica| replica.commit = 3);
    later.good(0, Fake::apply);
    let early = "replica 0000 applied up to 3, but knows 2 to be committed";
    assert_eq!(stage().bad(0, Fake::apply), found(Invariant::StateMachineSafety, early));
    let other = "replica 0000 applied other commands than those up to 2, each once";
    let twice = |replica: &mut Fake| replica.state = applied_digest(replica.state, 10);
    assert_eq!(stage().bad(0, twice), found(Invariant::StateMachineSafety, other));
}

#[test]
fn a_commit_index_never_falls() {
    let stage = || {
        let mut stage = Stage::new();
        stage.good(0, |replica| (0..3).for_each(|command| replica.append(1, command)));
        stage.good(0, |replica| replica.commit(2));
        stage.good(0, |replica| replica.keep(2));
        stage
    };
    let text = "replica 0000 removed entry 2, which it knew to be committed";
    assert_eq!(stage().bad(0, |replica| replica.keep(1)), found(Invariant::CommitMonotonic, text));
    let replaced = |replica: &mut Fake| {
        replica.keep(1);
        replica.append(2, 9);
    };
    assert_eq!(stage().bad(0, replaced), found(Invariant::CommitMonotonic, text));
    let text = "replica 0000 took its commit index from 2 back to 1";
    assert_eq!(stage().bad(0, |replica| replica.commit = 1), found(Invariant::CommitMonotonic, text));
}

#[test]
fn a_term_never_falls() {
    let mut stage = Stage::new();
    stage.good(0, |replica| replica.follow(3));
    stage.good(0, |replica| replica.follow(5));
    let text = "replica 0000 went from term 5 back to 4";
    assert_eq!(stage.bad(0, |replica| replica.follow(4)), found(Invariant::TermMonotonic, text));
}

#[test]
fn a_replica_votes_once_in_a_term() {
    let stage = || {
        let mut stage = Stage::new();
        for term in 1..=2 {
            stage.good(0, |replica| replica.follow(term));
            stage.good(0, |replica| replica.vote = Some(ReplicaId(term as u8)));
        }
        stage
    };
    let text = "in term 2 replica 0000 voted for replica 0002 and then for replica 0001";
    assert_eq!(stage().bad(0, |replica| replica.vote = Some(ReplicaId(1))), found(Invariant::VoteOnce, text));
    let text = "in term 2 replica 0000 voted for replica 0002 and then for nobody";
    assert_eq!(stage().bad(0, |replica| replica.vote = None), found(Invariant::VoteOnce, text));
}

#[test]
fn no_two_living_replicas_hold_leases() {
    let stage = || {
        let mut stage = Stage::new();
        stage.good(0, |replica| {
            replica.lead(1);
            replica.lease = true;
        });
        stage.good(1, |replica| replica.lead(2));
        stage
    };
    let hold = |replica: &mut Fake| replica.lease = true;
    let text = "replicas 0000 (term 1) and 0001 (term 2) both hold a lease for reads";
    assert_eq!(stage().bad(1, hold), found(Invariant::LeaseSafety, text));
    let mut dead = stage();
    dead.living.remove(ReplicaId(0));
    dead.good(1, hold);
    let mut lapsed = stage();
    lapsed.good(0, |replica| replica.lease = false);
    lapsed.good(1, hold);
}

#[test]
fn checking_an_unchanged_replica_costs_nothing_and_nothing_is_checked_after_a_violation() {
    let mut stage = Stage::new();
    stage.good(0, |_| {});
    assert_eq!(stage.invariants.changes(), 0);
    stage.good(0, |replica| replica.append(1, 10));
    (0..9).for_each(|_| stage.good(0, |_| {}));
    assert_eq!(stage.invariants.changes(), 1, "an entry is looked at once");
    stage.good(1, |replica| replica.lead(1));
    stage.bad(1, |replica| replica.follow(0));
    let before = stage.invariants.clone().into_verdict();
    stage.change(2, |replica| replica.lead(1));
    let after = stage.invariants.into_verdict();
    assert_eq!(after, before, "what follows from a violation would hide it");
    assert_eq!((after.changes, after.terms_led), (3, 1));
}

#[test]
fn every_invariant_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<&str> = Invariant::ALL.map(Invariant::name).into_iter().collect();
    assert_eq!(names.len(), Invariant::ALL.len());
}

/// Three entries of term 1 in the log of replica 0, which leads and has applied them; replica 1 has none.
fn stage_with_three() -> Stage {
    let mut stage = Stage::new();
    stage.good(0, |fake| fake.lead(1));
    for command in 1..=3 {
        stage.good(0, |fake| fake.append(1, command));
    }
    stage.good(0, |fake| fake.commit(3));
    stage
}

#[test]
fn logs_may_drop_applied_entries_and_followers_may_install_snapshots() {
    let mut stage = stage_with_three();
    stage.good(0, |fake| fake.dropped = 2);
    let leader = stage.replicas[0].clone();
    stage.good(1, |fake| {
        fake.follow(1);
        fake.take_over(&leader);
    });
}

#[test]
fn a_snapshot_may_replace_entries_that_it_contradicts() {
    let mut stage = Stage::new();
    stage.good(2, |fake| fake.lead(1));
    (0..5).for_each(|command| stage.good(2, |fake| fake.append(1, command)));
    stage.good(0, |fake| fake.lead(2));
    (0..3).for_each(|command| stage.good(0, |fake| fake.append(2, command)));
    stage.good(0, |fake| fake.commit(3));
    let leader = stage.replicas[0].clone();
    stage.good(2, |fake| {
        fake.follow(2);
        fake.take_over(&leader);
    });
    assert_eq!(stage.replicas[2].last_index(), 3);
}

#[test]
fn a_leader_must_not_install_a_snapshot_in_place_of_its_entries() {
    let mut stage = Stage::new();
    stage.good(2, |fake| fake.lead(3));
    (0..5).for_each(|command| stage.good(2, |fake| fake.append(3, command)));
    stage.good(0, |fake| fake.lead(2));
    (0..3).for_each(|command| stage.good(0, |fake| fake.append(2, command)));
    let mut other = stage.replicas[0].clone();
    other.commit(3);
    let (invariant, text) = stage.bad(2, |fake| fake.take_over(&other));
    assert_eq!(invariant, Invariant::StateMachineSafety, "{text}");
}

#[test]
fn entries_after_a_snapshot_are_still_compared() {
    let mut stage = stage_with_three();
    let leader = stage.replicas[0].clone();
    stage.good(1, |fake| {
        fake.follow(1);
        fake.take_over(&leader);
    });
    stage.good(0, |fake| fake.append(1, 4));
    stage.good(1, |fake| fake.append(1, 4));
    stage.good(0, |fake| fake.append(1, 5));
    let (invariant, text) = stage.bad(1, |fake| fake.append(1, 6));
    assert_eq!(invariant, Invariant::LogMatching, "{text}");
}

#[test]
fn entries_that_are_not_applied_must_not_be_dropped() {
    let mut stage = stage_with_three();
    stage.good(0, |fake| fake.append(1, 4));
    let (invariant, text) = stage.bad(0, |fake| fake.dropped = 4);
    assert_eq!(invariant, Invariant::StateMachineSafety);
    assert_eq!(text, "replica 0000 dropped entries up to 4, but applied only up to 3");
}

#[test]
fn dropped_entries_must_not_come_back() {
    let mut stage = stage_with_three();
    stage.good(0, |fake| fake.dropped = 2);
    let (invariant, text) = stage.bad(0, |fake| fake.dropped = 1);
    assert_eq!(
        (invariant, &*text),
        (Invariant::CommitMonotonic, "replica 0000 had dropped entries up to 2, and now up to 1")
    );
}

#[test]
fn a_snapshot_of_uncommitted_entries_is_reported() {
    let mut stage = stage_with_three();
    let mut forged = stage.replicas[0].clone();
    forged.append(1, 4);
    forged.commit(4);
    let (invariant, text) = stage.bad(1, |fake| fake.take_over(&forged));
    assert_eq!(invariant, Invariant::StateMachineSafety);
    assert_eq!(text, "replica 0001 took over a state up to entry 4, which was never committed");
}

#[test]
fn a_snapshot_with_a_different_state_is_reported() {
    let mut stage = stage_with_three();
    let mut forged = stage.replicas[0].clone();
    forged.state ^= 1;
    let (invariant, text) = stage.bad(1, |fake| fake.take_over(&forged));
    assert_eq!(invariant, Invariant::StateMachineSafety);
    assert_eq!(text, "replica 0001 applied other commands than those up to 3, each once");
}

/// Three replicas with disks; the first one leads in term 1 and has an entry that the second one has acknowledged.
fn acknowledged() -> (Invariants, Vec<Fake>) {
    let mut fakes = vec![Fake { disk: Some(0), ..Fake::default() }; 3];
    let mut invariants = Invariants::new();
    for (place, fake) in fakes.iter_mut().enumerate().take(2) {
        fake.follow(1);
        fake.append(1, 7);
        fake.disk = Some(1);
        (fake.leads, fake.vote) = (place == 0, Some(ReplicaId(0)));
    }
    for id in 0..2 {
        invariants.look(Time::ZERO, &fakes, ReplicaSet::all(3), ReplicaId(id));
    }
    for promise in [Promise::Vote { term: 1 }, Promise::Kept { term: 1, index: 1 }] {
        assert_eq!(invariants.look_at_promise(ReplicaId(1), ReplicaId(0), promise), Ok(()));
    }
    (invariants, fakes)
}

#[test]
fn a_replica_that_restarts_keeps_its_promises() {
    let broken = |change: fn(&mut Fake)| {
        let (mut invariants, mut fakes) = acknowledged();
        change(&mut fakes[1]);
        invariants.look_at_start(ReplicaId(1), &fakes).err().map(|(invariant, _)| invariant)
    };
    assert_eq!(broken(|_| {}), None);
    assert_eq!(broken(|fake| fake.vote = None), Some(Invariant::VoteOnce));
    assert_eq!(broken(|fake| fake.term = 0), Some(Invariant::TermMonotonic));
    assert_eq!(broken(|fake| fake.keep(0)), Some(Invariant::Durability));
    assert_eq!(broken(|fake| fake.append(1, 8)), None, "more than was promised is no harm");
}

#[test]
fn entries_that_a_newer_leader_has_replaced_may_be_missing_after_a_restart() {
    let (mut invariants, mut fakes) = acknowledged();
    fakes[1].follow(2);
    fakes[1].keep(0);
    fakes[1].append(2, 9);
    fakes[1].truncations += 1;
    invariants.look(Time::ZERO, &fakes, ReplicaSet::all(3), ReplicaId(1));
    assert_eq!(invariants.violation(), None);
    // The new entry was not synced, and not acknowledged.
    fakes[1].keep(0);
    assert_eq!(invariants.look_at_start(ReplicaId(1), &fakes), Ok(()));
}

#[test]
fn a_vote_is_sent_to_one_candidate_only_and_a_candidate_votes_for_itself() {
    let (mut invariants, _) = acknowledged();
    let mut sends = |to, promise| invariants.look_at_promise(ReplicaId(1), ReplicaId(to), promise).is_ok();
    assert!(sends(0, Promise::Vote { term: 1 }), "the same one again");
    assert!(!sends(2, Promise::Vote { term: 1 }));
    assert!(!sends(2, Promise::Candidacy { term: 1 }));
    assert!(sends(2, Promise::Candidacy { term: 2 }) && sends(0, Promise::Candidacy { term: 2 }));
    assert!(!sends(0, Promise::Vote { term: 2 }));
}

#[test]
fn committed_entries_are_on_the_disks_of_a_majority() {
    for (disks, holds) in [([1, 1], true), ([0, 1], false), ([1, 0], false)] {
        let (mut invariants, mut fakes) = acknowledged();
        (fakes[0].disk, fakes[1].disk) = (Some(disks[0]), Some(disks[1]));
        fakes[0].commit = 1;
        invariants.look(Time::ZERO, &fakes, ReplicaSet::all(3), ReplicaId(0));
        let found = invariants.violation().map(|violation| violation.invariant);
        assert_eq!(found, (!holds).then_some(Invariant::Durability), "{disks:?}");
    }
}
