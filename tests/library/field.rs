//! Scenarios after kinds of public reports of Raft bugs: the sound Raft passes each, and the Raft that lacks the rule it is
//! about is detected by it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::common::scenario;
use seedbed::chaos::{Act, Fault, FaultEvent, Target};
use seedbed::engine::Rate;
use seedbed::id::ReplicaId;
use seedbed::lab::{Case, Trial};
use seedbed::subjects;
use seedbed::time::{Span, Time};
use seedbed_core::raft::Rule;

/// The sound Raft is tried with this many seeds, and the mutant with as many at most.
const SEEDS: u64 = 30;

/// Each scenario of `scenarios/field`, and the rule that it is about.
const FIELD: [(&str, Rule); 18] = [
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
    // Single replicas, majorities and all of them lose power again and again, with what was acknowledged too early.
    ("kill-nine", Rule::SyncBeforeAcknowledging),
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
    let raft = subjects::raft();
    let mut protocol = broken.map_or(raft.clone(), |rule| raft.without(rule.name()).expect("a rule"));
    if name == "early-snapshot" {
        // Short logs, so that they are compacted all the time.
        protocol.set("log_bytes_max", 100.0).expect("a parameter");
    }
    Case { scenario: scenario(format!("scenarios/field/{name}.json")), seed, protocol }
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

fn event((seconds, at, act): (u64, Option<u8>, Act)) -> FaultEvent {
    let at = at.map(|replica| Target::Replica(ReplicaId(replica)));
    FaultEvent { time: Time::ZERO + Span::from_secs(seconds), fault: Fault::Host { at, act } }
}

/// A run of a scenario of three replicas whose events are these. Their disks take 1 to 5 ms.
fn with_events(seed: u64, events: &[(u64, Option<u8>, Act)]) -> Trial {
    let mut case = case("slow-disk-of-the-leader", seed, None);
    case.scenario.events = events.iter().copied().map(event).collect();
    case.attempt()
}

const RESTART: Act = Act::Restart { wipe: false };

#[test]
fn puts_do_not_wait_for_the_disk_of_a_leader_that_is_slower_than_those_of_the_others() {
    for seed in 0..SEEDS {
        let trial = case("slow-disk-of-the-leader", seed, None).attempt();
        let history = trial.judged.expect("no replica panics").record.history;
        let slow = Time::ZERO + Span::from_secs(6)..Time::ZERO + Span::from_secs(12);
        let puts = history.attempts.iter().filter(|put| !put.operation.is_get() && slow.contains(&put.sent));
        let latencies: Vec<Span> = puts.filter_map(|put| Some(put.answer.as_ref()?.0.since(put.sent))).collect();
        let worst = latencies.iter().max().expect("puts were answered");
        let few = Span::from_millis(100);
        assert!(latencies.len() > 30 && *worst < few, "seed {seed}: {} puts, up to {worst:?}", latencies.len());
    }
}

#[test]
fn what_disks_that_lie_have_promised_is_lost_when_all_of_them_lose_power() {
    let lies = |lie: bool| {
        let lying = (0..3).filter(move |_| lie).map(|one| (3, Some(one), Act::LyingDisk));
        let crashes = (0..3).map(|one| (8, Some(one), Act::Crash));
        lying.chain(crashes).chain([(9, None, RESTART)]).collect::<Vec<_>>()
    };
    for seed in 0..SEEDS {
        let trial = with_events(seed, &lies(true));
        assert!(!trial.passed(), "seed {seed}: nothing was lost");
        assert_eq!(with_events(seed, &lies(false)).findings, [], "seed {seed}");
    }
}

#[test]
fn replicas_whose_disks_were_wiped_break_their_promises_and_the_more_the_more_often() {
    let forgotten = [1, 2].map(|replicas| {
        let crashes = (0..replicas).map(|one| (8, Some(one), Act::Crash));
        let events: Vec<_> = crashes.chain([(9, None, Act::Restart { wipe: true })]).collect();
        (0..SEEDS).filter(|&seed| !with_events(seed, &events).passed()).count() as u64
    });
    // One that has forgotten all helps to elect a replica that never had it. Mostly those that still have it are faster.
    assert!(forgotten[0] > 0 && forgotten[0] < forgotten[1] / 2 && forgotten[1] > SEEDS / 3, "{forgotten:?}");
}

#[test]
fn clocks_that_jump_end_promises_to_a_leader_early_and_let_its_reads_be_stale() {
    let stale = [Span::ZERO, Span::from_secs(2)].map(|jump| {
        let jumps = [1, 2].map(|one| (5, Some(one), Act::Clock { rate: Rate::EXACT, jump }));
        let is_stale = |&seed: &u64| {
            let mut case = case("slow-disk-of-the-leader", seed, None);
            case.scenario.requests = 3_000;
            case.scenario.events = jumps.map(event).to_vec();
            case.scenario
                .events
                .push(FaultEvent { time: Time::ZERO + Span::from_secs(5), fault: Fault::isolate(ReplicaId(0)) });
            !case.attempt().passed()
        };
        (0..SEEDS).filter(is_stale).count()
    });
    assert!(stale[0] == 0 && stale[1] > 0, "{stale:?}");
}

#[test]
fn every_file_of_the_field_is_about_a_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/field");
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let names: BTreeSet<String> =
        entries.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(names, FIELD.iter().map(|(name, _)| (*name).to_owned()).collect());
}
