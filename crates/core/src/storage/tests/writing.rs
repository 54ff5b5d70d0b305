//! The thread that writes.

use std::sync::mpsc;

use super::*;

fn up_to(progress: Progress) -> u64 {
    if let Progress::Synced { up_to } = progress { up_to } else { panic!("{progress:?}") }
}

#[test]
fn all_records_that_wait_while_a_commit_is_under_way_are_in_the_next_one() {
    let folder = folder();
    let (storage, _) = open(folder.path()).expect("a folder");
    let (told, progress) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let writer = Writer::spawn(storage, move |progress| {
        told.send(progress).expect("it is read");
        gate.recv().expect("the test opens the gate");
    });
    let writer = writer.expect("a thread");
    let all = lines(0, &".".repeat(501));
    writer.persist(all[0].clone());
    writer.sync();
    assert_eq!(up_to(progress.recv().expect("progress")), 1);
    let before = writer.usage();
    // The first commit lasts until the gate is opened.
    for line in &all[1..] {
        writer.persist(line.clone());
        writer.sync();
    }
    go.send(()).expect("it waits");
    assert_eq!(up_to(progress.recv().expect("progress")), 501);
    let after = writer.usage();
    assert!(after.syncs - before.syncs <= 2, "{before:?} {after:?}");
    assert_eq!(after.records, 501);
    go.send(()).expect("it waits");
    drop(writer);
    assert_eq!(read_back(folder.path()).expect("a folder"), all);
}

#[test]
fn a_writer_that_is_dropped_has_written_all_and_counts_from_its_own_start() {
    let folder = folder();
    let mut all = Vec::new();
    for start in 0..3 {
        let (storage, _) = open(folder.path()).expect("a folder");
        let (told, progress) = mpsc::channel();
        let writer =
            Writer::spawn(storage, move |progress| told.send(progress).expect("it is read")).expect("a thread");
        let new = lines(all.len() as u64, &".".repeat(10 + start));
        new.iter().for_each(|line| writer.persist(line.clone()));
        drop(writer);
        let counts: Vec<u64> = progress.iter().map(up_to).collect();
        assert_eq!(counts, [10 + start as u64]);
        all.extend(new);
        assert_eq!(read_back(folder.path()).expect("a folder"), all);
    }
}

#[test]
fn many_records_are_written_in_bounded_commits_also_without_a_request() {
    let folder = folder();
    let (storage, _) = open(folder.path()).expect("a folder");
    let (told, progress) = mpsc::channel();
    let writer = Writer::spawn(storage, move |progress| told.send(progress).expect("it is read")).expect("a thread");
    writer.sync();
    for number in 0..2_000 {
        writer.persist(Line(number, '.', vec![1; 10_000]));
    }
    assert!(up_to(progress.recv().expect("progress")) <= 500, "a commit has some 4 MiB");
    drop(writer);
    assert_eq!(progress.iter().map(up_to).last(), Some(2_000));
    assert_eq!(read_back(folder.path()).expect("a folder").len(), 2_000);
}

#[test]
fn a_writer_without_work_removes_what_a_checkpoint_has_replaced() {
    let folder = folder();
    let (mut storage, _) = open(folder.path()).expect("a folder");
    for number in 0..300 {
        storage.write(&lines(number, ".")).expect("room");
    }
    storage.write(&lines(300, "]")).expect("room");
    assert!(storage.has_replaced);
    let writer = Writer::spawn(storage, |_| ()).expect("a thread");
    let before = writer.usage().syncs;
    // Five commits of 64 values each.
    while writer.usage().syncs < before + 4 {
        std::thread::yield_now();
    }
    drop(writer);
    let (storage, recovered) = open(folder.path()).expect("a folder");
    assert_eq!(numbers(&intact(recovered)), [300]);
    assert!(!storage.has_replaced);
}
