//! The contract between a machine and its disk, clause 4 of `machine`, holds for the simulated disk and for the real
//! one: drawn sequences of records, checkpoints, syncs and crashes.

use std::fs;

use seedbed_core::engine::{Delay, Disk};
use seedbed_core::id::ReplicaId;
use seedbed_core::machine::{Record, Recovered, Stored};
use seedbed_core::rng::Stream;
use seedbed_core::storage::{Owner, Storage, Sync};
use seedbed_core::time::Span;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// A number, and its part in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line(u64, Mark);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Mark {
    Plain,
    Begins,
    Ends,
}

impl Record for Line {
    fn begins_checkpoint(&self) -> bool {
        self.1 == Mark::Begins
    }

    fn ends_checkpoint(&self) -> bool {
        self.1 == Mark::Ends
    }
}

/// A disk under test.
trait Kept {
    fn persist(&mut self, line: Line);
    fn sync(&mut self);
    /// Synced records and a prefix of the others survive. Returns what the next incarnation reads.
    fn crash(&mut self, stream: &mut Stream) -> Recovered<Line>;
}

impl Kept for Disk<Line> {
    fn persist(&mut self, line: Line) {
        assert!(Disk::persist(self, line));
    }

    fn sync(&mut self) {
        if self.want_sync() {
            self.begin_sync().expect("one is wanted");
            self.finish_sync();
        }
    }

    fn crash(&mut self, _: &mut Stream) -> Recovered<Line> {
        let failure = self.fail_power();
        self.read(failure.torn)
    }
}

/// The real disk. Its program is killed: files stay as they are.
struct Real {
    folder: TempDir,
    storage: Storage<Line>,
    waiting: Vec<Line>,
}

impl Real {
    fn new() -> Real {
        let folder = TempDir::new().expect("a temporary folder");
        let (storage, recovered) = Real::open(&folder);
        assert_eq!(recovered, Recovered::empty());
        Real { folder, storage, waiting: Vec::new() }
    }

    fn open(folder: &TempDir) -> (Storage<Line>, Recovered<Line>) {
        let (program, cluster) = ("test".to_owned(), "blue".to_owned());
        let owner = Owner { program, cluster, replica: ReplicaId(0), replicas: 3 };
        Storage::open(folder.path(), &owner, Sync::Always).expect("a folder that is whole")
    }
}

impl Kept for Real {
    fn persist(&mut self, line: Line) {
        self.waiting.push(line);
    }

    fn sync(&mut self) {
        self.storage.write(&self.waiting).expect("room");
        self.waiting.clear();
    }

    fn crash(&mut self, stream: &mut Stream) -> Recovered<Line> {
        let written = stream.between(0, self.waiting.len() as u64) as usize;
        self.storage.write(&self.waiting[..written]).expect("room");
        self.waiting.clear();
        let left = TempDir::new().expect("a temporary folder");
        for name in ["seedbed.redb", "synced"] {
            fs::copy(self.folder.path().join(name), left.path().join(name)).expect("room");
        }
        self.folder = left;
        let (storage, recovered) = Real::open(&self.folder);
        self.storage = storage;
        recovered
    }
}

/// What clause 4 allows.
#[derive(Default)]
struct Model {
    records: Vec<Line>,
    synced: usize,
}

impl Model {
    /// What counts if this many records survive.
    fn counting(&self, kept: usize) -> &[Line] {
        let mut first = 0;
        let mut begun = None;
        for (place, line) in self.records[..kept].iter().enumerate() {
            match line.1 {
                Mark::Plain => {}
                Mark::Begins => begun = Some(place),
                Mark::Ends => first = begun.take().unwrap_or(place),
            }
        }
        &self.records[first..kept]
    }

    /// A checkpoint was begun and not ended.
    fn is_begun(&self) -> bool {
        self.records.iter().rev().find(|line| line.1 != Mark::Plain).is_some_and(|line| line.1 == Mark::Begins)
    }
}

fn obeys_clause_four(mut disk: impl Kept, seed: u64, steps: u64) -> u64 {
    let mut stream = Stream::new(seed, "disks");
    let mut model = Model::default();
    let mut number = 0;
    let mut lost = 0;
    // A machine forgets at a restart what it has begun, and begins anew.
    let mut must_begin = false;
    for step in 0..steps {
        match stream.below(10) {
            0 => {
                let Recovered { records, torn } = disk.crash(&mut stream);
                let intact =
                    |stored| if let Stored::Intact(line) = stored { line } else { panic!("nothing is damaged") };
                let read: Vec<Line> = records.into_iter().map(intact).collect();
                let all = model.records.len();
                let kept = (model.synced..=all).find(|&kept| model.counting(kept) == read);
                let kept = kept.unwrap_or_else(|| {
                    panic!("seed {seed}, step {step}: {read:?}, {} synced of {:?}", model.synced, model.records)
                });
                assert!(!torn || kept < all, "seed {seed}, step {step}: only what is lost is torn");
                lost += (all - kept) as u64;
                model.records.truncate(kept);
                model.synced = kept;
                must_begin = model.is_begun();
            }
            1..4 => {
                disk.sync();
                model.synced = model.records.len();
            }
            draw => {
                let mark = match draw {
                    4 => Mark::Begins,
                    5 if !must_begin => Mark::Ends,
                    _ => Mark::Plain,
                };
                must_begin &= mark != Mark::Begins;
                let line = Line(number, mark);
                number += 1;
                disk.persist(line.clone());
                model.records.push(line);
            }
        }
    }
    lost
}

#[test]
fn the_simulated_disk_keeps_what_is_synced_and_a_prefix_of_the_rest() {
    let disk = |seed| Disk::new(Delay::Constant(Span(1)), Stream::new(seed, "disk"));
    let lost: u64 = (0..500).map(|seed| obeys_clause_four(disk(seed), seed, 100)).sum();
    assert!(lost > 500, "{lost}");
}

#[test]
fn the_real_disk_keeps_what_is_synced_and_a_prefix_of_the_rest() {
    let lost: u64 = (0..10).map(|seed| obeys_clause_four(Real::new(), seed, 100)).sum();
    assert!(lost > 10, "{lost}");
}
