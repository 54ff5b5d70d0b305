//! Scenarios after kinds of public reports of Raft bugs: the sound Raft passes each, and the Raft that lacks the rule it is
//! about is detected by it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::common::scenario;
use seedbed::raft::Rule;
use seedbed::sweep::{Case, Subject};

/// The sound Raft is tried with this many seeds, and the mutant with as many at most.
const SEEDS: u64 = 30;

/// Each scenario of `scenarios/field`, and the rule that it is about.
const FIELD: [(&str, Rule); 17] = [
    // A follower takes all of its log for committed when it restarts, and applies what another leader replaces.
    ("all-of-the-log", Rule::ApplyOnlyCommitted),
    // A damaged record is skipped at the start, and an acknowledged entry with it.
    ("damaged-record", Rule::RefuseDamage),
    // A snapshot is announced before it is on the disk, and the log before it is gone.
    ("early-snapshot", Rule::ReplaceInOneStep),
    // A vote is kept in memory only.
    ("forgotten-vote", Rule::PersistVote),
    // Writes fail, and the replica goes on in memory.
    ("full-disk", Rule::StopWhenDiskIsFull),
    // A leader counts itself before its own disk has the entry.
    ("leader-ahead-of-its-disk", Rule::CountOwnSync),
    // An old append comes a second time and truncates the log.
    ("old-appends-that-come-twice", Rule::TruncateOnlyConflicts),
    // Entries are acknowledged from the page cache, and several replicas lose power at once.
    ("page-cache", Rule::SyncBeforeAcknowledging),
    // A paused leader wakes up and answers reads, although another one leads.
    ("paused-leader-reads", Rule::LeaseEndsBeforeElections),
    // A restarted cluster serves reads before the new leader has committed anything.
    ("restarted-cluster-reads", Rule::ReadAfterOwnCommit),
    // Replicas restart one after another under load, and forget their term.
    ("rolling-restart", Rule::PersistTerm),
    // A slow clock makes a lease last too long.
    ("slow-clock-lease", Rule::LeaseAllowsForDrift),
    // The disk of the leader is a thousand times as slow as others.
    ("slow-disk-of-the-leader", Rule::CountOwnSync),
    // The commit index that was written down is ahead of the log.
    ("torn-commit-index", Rule::DeriveCommitIndex),
    // What was removed from the log is back after a restart.
    ("truncation-forgotten", Rule::PersistTruncations),
    // A vote is sent before it is on the disk.
    ("vote-before-sync", Rule::SyncBeforeVoting),
    // A vote comes twice and is counted twice.
    ("votes-that-come-twice", Rule::CountVotersOnce),
];

fn case(name: &str, seed: u64, broken: Option<Rule>) -> Case {
    let mut subject = Subject { broken, ..Subject::default() };
    if name == "early-snapshot" {
        // Short logs, so that they are compacted all the time.
        subject.config.log_bytes_max = 100;
    }
    Case { scenario: scenario(format!("scenarios/field/{name}.json")), seed, subject }
}

#[test]
fn the_sound_raft_passes_every_scenario_of_the_field() {
    for (name, _) in FIELD {
        for seed in 0..SEEDS {
            let trial = case(name, seed, None).attempt();
            assert_eq!(trial.findings, [], "{name} with seed {seed}");
        }
    }
}

#[test]
fn every_scenario_of_the_field_detects_the_raft_that_lacks_its_rule() {
    for (name, rule) in FIELD {
        let detects = |seed: &u64| !case(name, *seed, Some(rule)).attempt().passed();
        assert!((0..SEEDS).any(|seed| detects(&seed)), "{name} does not detect a Raft without {rule}");
    }
}

#[test]
fn every_file_of_the_field_is_about_a_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/field");
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let names: BTreeSet<String> =
        entries.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(names, FIELD.iter().map(|(name, _)| (*name).to_owned()).collect());
}
