//! What all tests of the storage use: records, owners, and media that fail, lose and damage.

mod damage;
mod failing;
mod folders;
mod killed;
mod power;
mod writing;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::backend::Medium;
use super::*;
use crate::id::ReplicaId;
use crate::rng::Stream;

/// A record: its number, and its part in a checkpoint: `[` begins one, `]` ends one, `.` is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line(u64, char, Vec<u8>);

impl Record for Line {
    fn begins_checkpoint(&self) -> bool {
        self.1 == '['
    }

    fn ends_checkpoint(&self) -> bool {
        self.1 == ']'
    }
}

/// Records with these marks, numbered from `number` on, of some ten bytes each.
fn lines(number: u64, marks: &str) -> Vec<Line> {
    marks.chars().zip(number..).map(|(mark, number)| Line(number, mark, vec![number as u8; 10])).collect()
}

fn owner() -> Owner {
    Owner { program: "test".to_owned(), cluster: "blue".to_owned(), replica: ReplicaId(2), replicas: 5 }
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn open(folder: &Path) -> Result<(Storage<Line>, Recovered<Line>), StorageError> {
    Storage::open(folder, &owner(), Sync::Always)
}

/// The records that a folder has, which must be open nowhere.
fn read_back(folder: &Path) -> Result<Vec<Line>, StorageError> {
    open(folder).map(|(_, recovered)| intact(recovered))
}

fn intact(recovered: Recovered<Line>) -> Vec<Line> {
    assert!(!recovered.torn);
    let line = |stored| if let Stored::Intact(line) = stored { line } else { panic!("only intact records are read") };
    recovered.records.into_iter().map(line).collect()
}

fn numbers(lines: &[Line]) -> Vec<u64> {
    lines.iter().map(|line| line.0).collect()
}

/// The first number that counts after these records.
fn first_of(records: &[Line]) -> u64 {
    let (mut first, mut begun) = (0, None);
    for line in records {
        match line.1 {
            '[' => begun = Some(line.0),
            ']' => first = begun.take().unwrap_or(line.0),
            _ => {}
        }
    }
    first
}

/// Copies the files of a folder as they are, also while it is open: what a kill would leave.
fn copy(from: &Path) -> TempDir {
    let to = folder();
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.path().join(entry.file_name())).expect("room");
    }
    to
}

/// A file in memory, with what is synced and what the system has only promised. Clones share it.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    /// What a reader sees.
    cached: Vec<u8>,
    /// What the disk has for certain.
    durable: Vec<u8>,
    /// What it may have besides, in order.
    pending: Vec<Change>,
    /// How many changes and syncs there were.
    steps: u64,
    /// The power fails before this step: the pages are as they were then.
    fails_at: Option<u64>,
    failed: Option<(Vec<u8>, Vec<Change>)>,
}

#[derive(Clone, Debug)]
enum Change {
    Bytes(u64, Vec<u8>),
    Length(u64),
}

/// A disk writes this many bytes whole or not at all.
const SECTOR: usize = 512;

impl Memory {
    fn of(bytes: Vec<u8>) -> Memory {
        Memory(Arc::new(Mutex::new(Pages { cached: bytes.clone(), durable: bytes, ..Pages::default() })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Pages) -> T) -> T {
        work(&mut self.0.lock().expect("no test panics while it holds this"))
    }

    /// What the disk has after the power failure: of what was not synced, each sector with this probability.
    fn after_failure(&self, kept: f64, stream: &mut Stream) -> Vec<u8> {
        let (mut image, pending) = self.with(|pages| pages.failed.clone().expect("the power has failed"));
        for change in pending {
            match change {
                Change::Length(length) if stream.chance(kept) => image.resize(length as usize, 0),
                Change::Length(_) => {}
                Change::Bytes(offset, bytes) => {
                    for (place, sector) in bytes.chunks(SECTOR).enumerate() {
                        let start = offset as usize + place * SECTOR;
                        if stream.chance(kept) {
                            image.resize(image.len().max(start + sector.len()), 0);
                            image[start..start + sector.len()].copy_from_slice(sector);
                        }
                    }
                }
            }
        }
        image
    }

    fn has_failed(&self) -> bool {
        self.with(|pages| pages.failed.is_some())
    }
}

impl Pages {
    fn step(&mut self) {
        if self.fails_at == Some(self.steps) {
            self.failed = Some((self.durable.clone(), self.pending.clone()));
        }
        self.steps += 1;
    }
}

impl Medium for Memory {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.with(|pages| pages.cached.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.with(|pages| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = pages.cached.get(start..start.saturating_add(out.len()));
            out.copy_from_slice(bytes.ok_or(std::io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.with(|pages| {
            pages.step();
            let start = offset as usize;
            let length = pages.cached.len().max(start + bytes.len());
            pages.cached.resize(length, 0);
            pages.cached[start..start + bytes.len()].copy_from_slice(bytes);
            pages.pending.push(Change::Bytes(offset, bytes.to_vec()));
        });
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.with(|pages| {
            pages.step();
            pages.cached.resize(len as usize, 0);
            pages.pending.push(Change::Length(len));
        });
        Ok(())
    }

    fn sync(&self) -> std::io::Result<()> {
        self.with(|pages| {
            pages.step();
            pages.durable.clone_from(&pages.cached);
            pages.pending.clear();
        });
        Ok(())
    }
}
