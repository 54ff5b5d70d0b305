use std::sync::Arc;

use super::*;
use crate::raft::{Message, Sound};
use crate::rng::Stream;

type Hard = HardState<u32, Sound>;

const PART_BYTES_MAX: usize = 256 << 10;

/// The persisted records, and how often a sync was asked for.
#[derive(Default)]
struct Written {
    records: Vec<Record<u32>>,
    syncs: usize,
}

impl Effects<u32> for Written {
    fn send(&mut self, _: ReplicaId, message: Message<u32>) {
        panic!("the hard state sends {message:?}");
    }

    fn persist(&mut self, record: Record<u32>) {
        self.records.push(record);
    }

    fn sync(&mut self) {
        self.syncs += 1;
    }
}

fn restore(records: &[Record<u32>]) -> Result<Restored<u32, Sound>, Exit> {
    let records = records.iter().cloned().map(Stored::Intact).collect();
    HardState::restore(Recovered { records, torn: false }, Sound, PART_BYTES_MAX)
}

fn empty() -> Hard {
    restore(&[]).expect("nothing is damaged").hard
}

fn entry(term: Term, command: u32) -> Entry<u32> {
    Entry { term, command: Some(command) }
}

fn snapshot(last_index: Index, last_term: Term) -> Snapshot<u32> {
    Snapshot { last_index, last_term, digest: last_index, contents: Arc::new(vec![1]) }
}

/// Term, vote, the number of dropped entries, and the entries of the log.
type Facts = (Term, Option<ReplicaId>, Index, Vec<Entry<u32>>);

fn facts(hard: &Hard) -> Facts {
    let log = hard.log();
    (hard.term(), hard.vote(), log.first_index() - 1, log.from(log.first_index()).to_vec())
}

/// A random life: the records, and the facts of the hard state after certain numbers of records.
fn live(seed: u64) -> (Hard, Written, Vec<(usize, Facts)>) {
    let mut random = Stream::new(seed, "hard state");
    let (mut hard, mut written, mut commit_index) = (empty(), Written::default(), 0);
    let mut past = vec![(0, facts(&hard))];
    for step in 0..60 {
        let last = hard.log().last_index();
        match random.below(8) {
            0 => hard.enter_term(hard.term() + 1 + random.below(2), &mut written),
            1 if hard.vote().is_none() => hard.vote_for(ReplicaId(random.below(5) as u8), &mut written),
            2 => hard.truncate(commit_index + 1 + random.below(3), commit_index, &mut written),
            3 => commit_index += random.below(last - commit_index + 1),
            4 if commit_index > 0 => {
                let (index, term) = (commit_index, hard.log().term(commit_index).expect("it is not dropped"));
                let base = index.saturating_sub(random.below(2));
                hard.compact(base, commit_index, || snapshot(index, term), &mut written);
            }
            5 if random.chance(0.2) => {
                commit_index += 1 + random.below(5);
                let (index, term) = (commit_index, hard.term());
                hard.install(&snapshot(index, term), index - 1, &mut written);
            }
            _ => drop(hard.append(entry(hard.term(), step), &mut written)),
        }
        past.push((written.records.len(), facts(&hard)));
    }
    (hard, written, past)
}

#[test]
fn reading_back_any_number_of_records_restores_the_state_at_which_they_were_written() {
    for seed in 0..300 {
        let (_, written, past) = live(seed);
        for (records, was) in past {
            let restored = restore(&written.records[..records]).expect("every record fits");
            assert_eq!(facts(&restored.hard), was, "seed {seed}, {records} records");
            assert_eq!(restored.hard.durable_index(), restored.hard.log().last_index());
        }
    }
}

#[test]
fn a_state_that_was_read_back_continues_where_the_writer_stopped() {
    for seed in 0..100 {
        let (hard, mut written, _) = live(seed);
        let mut restored = restore(&written.records).expect("every record fits").hard;
        restored.enter_term(hard.term() + 1, &mut written);
        restored.append(entry(hard.term() + 1, 99), &mut written);
        assert_eq!(facts(&restore(&written.records).expect("every record fits").hard), facts(&restored));
    }
}

#[test]
fn the_durable_index_promises_only_entries_that_the_disk_would_return() {
    let mut behind = 0;
    for seed in 0..300 {
        let (mut hard, written, _) = live(seed);
        let mut random = Stream::new(seed, "syncs");
        let mut synced = 0;
        while synced < written.records.len() {
            synced += 1 + random.below((written.records.len() - synced) as u64) as usize;
            hard.handle_synced(synced as u64, &mut Written::default());
            let durable = hard.durable_index();
            let disk = restore(&written.records[..synced]).expect("every record fits").hard;
            behind += u64::from(durable < hard.log().last_index());
            let first = hard.log().first_index().max(disk.log().first_index());
            for index in first..=durable {
                assert_eq!(disk.log().get(index), hard.log().get(index), "seed {seed}, {synced} records, {index}");
            }
            assert!(
                durable <= disk.log().last_index().max(hard.log().first_index() - 1),
                "seed {seed}, {synced} records"
            );
        }
        assert_eq!(hard.durable_index(), hard.log().last_index(), "seed {seed}: all is on the disk");
    }
    assert!(behind > 100, "{behind}");
}

#[test]
fn a_sync_is_asked_for_as_long_as_something_is_not_on_the_disk_and_never_without_one() {
    let (mut hard, mut written) = (empty(), Written::default());
    hard.sync(&mut written);
    assert_eq!(written.syncs, 0);
    hard.enter_term(1, &mut written);
    hard.append(entry(1, 1), &mut written);
    hard.handle_synced(1, &mut Written::default());
    hard.sync(&mut written);
    hard.sync(&mut written);
    assert_eq!((written.syncs, hard.durable_index()), (2, 0));
    hard.handle_synced(2, &mut Written::default());
    hard.sync(&mut written);
    assert_eq!((written.syncs, hard.durable_index()), (2, 1));

    let mut without = HardState::new(Sound);
    without.enter_term(1, &mut written);
    without.append(entry(1, 1), &mut written);
    without.sync(&mut written);
    assert_eq!((written.syncs, written.records.len(), without.durable_index()), (2, 2, 1));
}

#[test]
fn a_damaged_record_and_one_that_does_not_fit_are_refused_by_their_number() {
    let append = |index, term| Record::Append { index, entry: entry(term, 0) };
    let vote = |term| Record::Vote { term, vote: None };
    let part = |last_index, offset| Part { last_index, offset, commands: vec![7], remembered: None };
    let with = |term, base, part| Part {
        remembered: Some(Remembered { term, vote: None, base, entries: vec![entry(1, 0)] }),
        ..part
    };
    let end = |part| Record::Checkpoint(Box::new(Checkpoint { last_term: 1, digest: 0, part }));
    let checkpoint = |term, base, part| end(with(term, base, part));
    let alone = |part| Record::Part(Box::new(part));
    for records in [
        vec![append(2, 1)],
        vec![append(1, 1), append(1, 1)],
        vec![append(1, 2), append(2, 1)],
        vec![vote(2), vote(1)],
        vec![append(1, 1), Record::Truncate { index: 2 }],
        vec![append(1, 1), Record::Truncate { index: 0 }],
        vec![vote(2), checkpoint(1, (3, 1), part(3, 0))],
        vec![checkpoint(1, (3, 1), part(5, 0))],
        vec![checkpoint(1, (3, 1), part(2, 0))],
        vec![checkpoint(1, (3, 1), part(3, 1))],
        vec![alone(part(3, 0)), checkpoint(1, (3, 1), part(3, 2))],
        vec![alone(part(2, 0)), checkpoint(1, (3, 1), part(3, 1))],
        vec![alone(part(3, 0)), alone(part(3, 2))],
        vec![alone(part(3, 1))],
        vec![end(part(3, 0))],
        vec![alone(with(1, (3, 1), part(3, 0))), end(part(3, 2))],
        vec![alone(with(1, (3, 1), part(3, 0))), append(6, 1)],
        vec![Record::Commit { index: 1 }],
    ] {
        let Err(Exit(why)) = restore(&records) else { panic!("{records:?} is believed") };
        let number = records.len();
        assert!(why.starts_with(&format!("record {number} on the disk does not fit")), "{records:?}: {why}");
    }
    let records = vec![Stored::Intact(append(1, 1)), Stored::Damaged, Stored::Intact(append(2, 1))];
    let Err(Exit(why)) = HardState::restore(Recovered { records, torn: false }, Sound, PART_BYTES_MAX) else {
        panic!("it starts")
    };
    assert!(why.starts_with("record 2 on the disk is damaged"), "{why}");
}

#[test]
fn a_torn_last_record_is_no_reason_to_refuse() {
    let records = vec![Stored::Intact(Record::Append { index: 1, entry: entry(1, 7) })];
    let restored = HardState::restore(Recovered { records, torn: true }, Sound, PART_BYTES_MAX).expect("it starts");
    assert_eq!(facts(&restored.hard), (1, None, 0, vec![entry(1, 7)]));
}

/// A state in term 3 with a vote and two entries.
fn grown() -> (Hard, Written) {
    let (mut hard, mut written) = (empty(), Written::default());
    hard.enter_term(3, &mut written);
    hard.vote_for(ReplicaId(1), &mut written);
    hard.append(entry(2, 1), &mut written);
    hard.append(entry(3, 2), &mut written);
    (hard, written)
}

#[test]
#[should_panic(expected = "the term never falls")]
fn no_term_is_entered_twice() {
    let (mut hard, mut written) = grown();
    hard.enter_term(3, &mut written);
}

#[test]
#[should_panic(expected = "votes once in a term")]
fn no_second_candidate_gets_a_vote() {
    let (mut hard, mut written) = grown();
    hard.vote_for(ReplicaId(1), &mut written);
    hard.vote_for(ReplicaId(2), &mut written);
}

#[test]
#[should_panic(expected = "terms never fall in a log")]
fn no_older_entry_follows_a_newer_one() {
    let (mut hard, mut written) = grown();
    hard.append(entry(2, 3), &mut written);
}

#[test]
#[should_panic(expected = "what is committed is never removed")]
fn nothing_committed_is_truncated() {
    let (mut hard, mut written) = grown();
    hard.truncate(1, 1, &mut written);
}

#[test]
#[should_panic(expected = "what is dropped is committed")]
fn nothing_uncommitted_is_dropped() {
    let (mut hard, mut written) = grown();
    hard.compact(2, 1, || snapshot(2, 3), &mut written);
}

#[test]
#[should_panic(expected = "a snapshot is never older than what is committed")]
fn no_old_snapshot_is_installed() {
    let (mut hard, mut written) = grown();
    hard.install(&snapshot(1, 2), 2, &mut written);
}

/// An entry that replaces one on the disk is not on the disk yet.
#[test]
fn a_truncation_takes_back_what_the_durable_index_promised() {
    let (mut hard, mut written) = (empty(), Written::default());
    hard.enter_term(2, &mut written);
    for command in 1..=3 {
        hard.append(entry(1, command), &mut written);
    }
    hard.handle_synced(written.records.len() as u64, &mut Written::default());
    assert_eq!(hard.durable_index(), 3);
    hard.truncate(2, 0, &mut written);
    hard.append(entry(2, 4), &mut written);
    assert_eq!(hard.durable_index(), 1);
    hard.handle_synced(written.records.len() as u64, &mut Written::default());
    assert_eq!(hard.durable_index(), 2);
}

/// A snapshot of several parts: two commands fit in one.
fn large(last_index: Index, last_term: Term) -> Snapshot<u32> {
    let contents = Arc::new(large_contents(last_index));
    Snapshot { last_index, last_term, digest: last_index, contents }
}

fn large_contents(last_index: Index) -> Vec<u32> {
    (0..last_index as u32 % 7).map(|place| 100_000 + place).collect()
}

/// What a disk has after this many records: a checkpoint drops what comes before its first part.
fn kept(records: &[Record<u32>]) -> &[Record<u32>] {
    let Some(last) = records.iter().rposition(machine::Record::ends_checkpoint) else { return records };
    let earlier = records[..last].iter().rposition(machine::Record::ends_checkpoint).map_or(0, |place| place + 1);
    let first = records[earlier..last].iter().rposition(machine::Record::begins_checkpoint);
    &records[first.map_or(last, |place| earlier + place)..]
}

/// A random life with snapshots of several parts, own ones and received ones, some of which are given up.
fn live_with_large_snapshots(seed: u64) -> (Written, Vec<(usize, Facts)>, [usize; 4]) {
    let mut random = Stream::new(seed, "large snapshots");
    let (mut hard, mut written, mut commit_index) = (empty(), Written::default(), 0);
    let mut incoming: Option<(Snapshot<u32>, usize)> = None;
    let (mut past, mut seen) = (Vec::new(), [0; 4]);
    for step in 0..150 {
        let last = hard.log().last_index();
        let had_own = hard.is_writing();
        match random.below(10) {
            0 => hard.enter_term(hard.term() + 1, &mut written),
            1 => hard.truncate(commit_index + 1 + random.below(3), commit_index, &mut written),
            2 => commit_index += random.below(last - commit_index + 1),
            3 if commit_index > 0 && !hard.is_writing() => {
                let term = hard.log().term(commit_index).expect("it is not dropped");
                hard.compact(commit_index, commit_index, || large(commit_index, term), &mut written);
                seen[0] += usize::from(hard.is_writing());
            }
            4 | 5 => {
                let synced = written.records.len() as u64 - random.below(2).min(written.records.len() as u64);
                hard.handle_synced(synced, &mut written);
            }
            6 | 7 if incoming.as_ref().is_some_and(|(snapshot, _)| snapshot.last_index > commit_index) => {
                let (snapshot, count) = incoming.as_mut().expect("a snapshot");
                let commands = snapshot.chunk(*count, 1, 100_000);
                let done = *count + commands.len() >= snapshot.contents.len();
                if done {
                    hard.install(snapshot, commit_index, &mut written);
                    commit_index = snapshot.last_index;
                    incoming = None;
                    seen[1] += 1;
                    seen[2] += usize::from(had_own);
                } else {
                    hard.write_chunk(snapshot.last_index, *count as u64, &commands, &mut written);
                    *count += commands.len();
                }
            }
            8 if hard.term() > 0 => {
                seen[3] += usize::from(incoming.is_some());
                incoming = Some((large(commit_index + 1 + random.below(9), hard.term()), 0));
            }
            _ => drop(hard.append(entry(hard.term(), step), &mut written)),
        }
        past.push((written.records.len(), facts(&hard)));
    }
    (written, past, seen)
}

#[test]
fn a_crash_at_any_record_of_a_large_snapshot_loses_nothing() {
    let mut seen = [0; 4];
    for seed in 0..400 {
        let (written, past, saw) = live_with_large_snapshots(seed);
        (0..4).for_each(|place| seen[place] += saw[place]);
        for count in 0..=written.records.len() {
            let restored = restore(kept(&written.records[..count])).expect("every record fits");
            let log = restored.hard.log();
            if let Some(snapshot) = &restored.snapshot {
                let contents: Vec<u32> = snapshot.contents.commands(0).collect();
                assert_eq!(contents, large_contents(snapshot.last_index), "seed {seed}, {count} records");
                assert!((log.first_index() - 1..=log.last_index()).contains(&snapshot.last_index));
            } else {
                assert_eq!(log.first_index(), 1, "seed {seed}, {count} records");
            }
        }
        for (records, (term, vote, base, entries)) in past {
            let hard = restore(kept(&written.records[..records])).expect("every record fits").hard;
            assert_eq!((hard.term(), hard.vote()), (term, vote), "seed {seed}, {records} records");
            assert_eq!(hard.log().last_index(), base + entries.len() as Index, "seed {seed}, {records} records");
            let first = hard.log().first_index().max(base + 1);
            assert_eq!(hard.log().from(first), &entries[(first - base - 1) as usize..]);
        }
    }
    assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
}

#[test]
fn the_parts_of_a_snapshot_wait_for_each_other_and_other_records_do_not_wait_for_them() {
    let (mut hard, mut written) = grown();
    let snapshot = Snapshot { last_index: 1, last_term: 2, digest: 0, contents: Arc::new(vec![200_000; 3]) };
    hard.compact(1, 1, || snapshot, &mut written);
    let before = written.records.len();
    assert!(matches!(written.records[before - 1], Record::Part(_)) && hard.is_writing());
    hard.append(entry(3, 9), &mut written);
    hard.handle_synced(before as u64 - 1, &mut written);
    assert_eq!(written.records.len(), before + 1, "the first part is not on the disk yet");
    hard.handle_synced(before as u64, &mut written);
    assert!(matches!(written.records[before + 1], Record::Part(_)) && hard.is_writing());
    hard.handle_synced(before as u64 + 2, &mut written);
    assert!(matches!(written.records[before + 2], Record::Checkpoint(_)) && !hard.is_writing());
    assert_eq!(restore(kept(&written.records)).expect("it fits").hard.log().last_index(), 3);
}

#[test]
fn a_received_snapshot_has_no_parts_of_an_earlier_one() {
    let (mut hard, mut written) = grown();
    hard.write_chunk(9, 0, &[1, 2], &mut written);
    hard.write_chunk(9, 2, &[3], &mut written);
    // Another leader's state up to the same entry, in another order, fits in one chunk.
    hard.give_up_received();
    let snapshot = Snapshot { last_index: 9, last_term: 3, digest: 0, contents: Arc::new(vec![3, 2, 1]) };
    hard.install(&snapshot, 0, &mut written);
    let restored = restore(kept(&written.records)).expect("it fits").snapshot.expect("a snapshot");
    assert_eq!(restored.contents.commands(0).collect::<Vec<_>>(), [3, 2, 1]);
}
