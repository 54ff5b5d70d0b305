//! The disk behind the seam, on real files.
//!
//! [`Storage`] keeps the records of one machine in a folder, under the contract of [`crate::machine`] that the
//! simulated disk obeys, too. [`Writer`] writes them on a thread of its own, one commit for all records that wait.
//!
//! # What is in the folder
//!
//! `seedbed.redb` is a database of two tables, written with [redb](https://www.redb.org). `records` has, under the
//! number of the first, the bytes of one or more consecutive records (`batch`). Numbers start at 0 and continue over
//! restarts. `meta` has the format's version, the [`Owner`], and the number of the first record that counts. A commit
//! is atomic whatever a power failure leaves of it, and redb has a checksum for every page.
//!
//! `synced` says how many records are synced (`watermark`).
//!
//! # Checkpoints
//!
//! The commit with the end of a checkpoint moves the number of the first record that counts, so earlier records stop
//! to count in one step. They are removed by later commits, a few at a time, because a commit that removes a million
//! records would keep all others waiting.
//!
//! # What is checked
//!
//! Opening verifies the checksum of every page, also if the program ended as planned. Then the records must be without
//! gaps, and must not end before what `synced` claims. A folder that fails is refused as a whole: a machine that
//! continues without a record forgets promises. What is read is therefore always [`Stored::Intact`], and never `torn`:
//! a commit that was cut off is not there.
//!
//! # Caveats
//!
//! - After a failed sync, Linux may show pages that are not on the disk. They are dropped from memory where the system
//!   allows it; other programs that have the file mapped may prevent that.
//! - `synced` is not synced itself. If a power failure takes it away *and* the disk damages the newest commit, then the
//!   records of that commit are missing without notice.
//! - The file keeps its size while records are removed, until the program ends as planned. The room is used again.

mod backend;
mod batch;
mod error;
mod folder;
mod owner;
#[cfg(test)]
mod tests;
mod watermark;
mod writer;

use std::fmt;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

use self::backend::{Backend, Medium, Shared};
use self::batch::Batch;
pub use self::error::StorageError;
use self::folder::Folder;
pub use self::owner::Owner;
use self::watermark::Watermark;
pub use self::writer::{Progress, Writer};
use crate::machine::{Record, Recovered, Stored};

/// The newest format that this program writes and reads.
const FORMAT: u32 = 1;

const RECORDS: TableDefinition<u64, &[u8]> = TableDefinition::new("records");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// The keys of `meta`: the format, four bytes; the owner, JSON; the number of the first record, eight bytes; how often the
/// folder was opened, four bytes, or nothing before the first time. Numbers are little-endian.
const KEY_FORMAT: &str = "format";
const KEY_OWNER: &str = "owner";
const KEY_FIRST: &str = "first";
const KEY_STARTS: &str = "starts";

/// Memory for pages of the file, in bytes. Records are written once and read only at a start, so more would bring
/// nothing.
const CACHE_BYTES: usize = 16 << 20;

/// A commit removes at most this many values that no longer count, or twice as many as it adds.
const REMOVED_VALUES_MAX: usize = 64;
/// A commit removes values until they have this many bytes, or twice as many as it adds.
const REMOVED_BYTES_MAX: usize = 1 << 20;

/// Whether what is written is synced, so that it survives a power failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Every commit.
    #[default]
    Always,
    /// Nothing. Records survive the end of the program, however it ends. After a power failure the folder may be
    /// empty or damaged: a server that took part has then lost its promises and must not start again.
    Never,
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sync::Always => "always",
            Sync::Never => "never",
        })
    }
}

/// A string that is not a [`Sync`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("allowed is always or never")]
pub struct SyncError;

impl FromStr for Sync {
    type Err = SyncError;

    fn from_str(text: &str) -> Result<Sync, SyncError> {
        match text {
            "always" => Ok(Sync::Always),
            "never" => Ok(Sync::Never),
            _ => Err(SyncError),
        }
    }
}

/// How much a storage holds and has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many records a start would read.
    pub records: u64,
    /// How often the file was synced.
    pub syncs: u64,
    /// How many bytes were written to the file: what a record takes with all that surrounds it.
    pub bytes_written: u64,
    /// How long the file is, in bytes.
    pub file_bytes: u64,
}

impl Usage {
    fn of(shared: &Shared) -> Usage {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            records: read(&shared.records),
            syncs: read(&shared.syncs),
            bytes_written: read(&shared.bytes_written),
            file_bytes: read(&shared.file_bytes),
        }
    }
}

/// The records of one machine, in a folder that no other program can open meanwhile.
///
/// Invariants:
/// - The table has all records from `first` to `next`, without gaps, and `first` is the first of a value.
/// - `begun`, if there is one, is the first of a value, too.
/// - What `synced` claims is at most `next`.
#[derive(Debug)]
pub struct Storage<R> {
    database: Database,
    file: PathBuf,
    shared: Arc<Shared>,
    /// None if nothing is ever synced.
    watermark: Option<Watermark>,
    /// How often the folder was opened before.
    starts: u32,
    /// The number of the first record that counts.
    first: u64,
    /// The number of the next record.
    next: u64,
    /// The record that began a checkpoint that has not ended, by number. A restart forgets it, as the machine does.
    begun: Option<u64>,
    /// Whether there are records before `first`.
    has_replaced: bool,
    records: PhantomData<fn(R) -> R>,
}

impl<R: Record + Serialize + DeserializeOwned> Storage<R> {
    /// Opens a folder, or creates it (in a folder that exists), and reads its records.
    ///
    /// All that is read is synced then, because the machine will rely on it.
    ///
    /// # Errors
    /// If the folder is in use, belongs to another owner, is damaged, or cannot be read and written.
    pub fn open(folder: &Path, owner: &Owner, sync: Sync) -> Result<(Storage<R>, Recovered<R>), StorageError> {
        Storage::open_on(folder, owner, sync, |file| Box::new(file))
    }

    /// Tests put something else in the place of the file.
    fn open_on(
        folder: &Path,
        owner: &Owner,
        sync: Sync,
        medium: impl FnOnce(File) -> Box<dyn Medium>,
    ) -> Result<(Storage<R>, Recovered<R>), StorageError> {
        hear_of_long_files();
        let folder = Folder::open(folder)?;
        let claimed = Watermark::read(&folder)?;
        let file = folder.records();
        if let Some(claimed) = claimed.filter(|&claimed| claimed > 0 && !file.exists()) {
            return Err(damaged(&file, format!("it is missing, and {claimed} records of it were synced")));
        }
        let opened = folder.open_records(|empty, path| create(Box::new(empty), path, owner, sync))?;
        let medium = medium(opened);
        if sync == Sync::Always {
            // After a kill, the last commits may be in the memory of the system alone, and the machine relies on all
            // that it reads.
            medium.sync().map_err(|source| StorageError::of("sync", file.clone(), source))?;
        }
        let shared = Arc::new(Shared::default());
        let (database, contents) = guarded(&file, &shared, || {
            let database = open_database(medium, &file, sync, &shared)?;
            let contents = read(&database, &folder, owner)?;
            Ok((database, contents))
        })?;
        let Contents { first, next, has_replaced, records } = contents;
        if let Some(claimed) = claimed.filter(|&claimed| claimed > next) {
            return Err(damaged(&file, format!("its records end before number {next}, and {claimed} were synced")));
        }
        let starts = guarded(&file, &shared, || count_start(&database).map_err(|error| fault(&file, &shared, error)))?;
        shared.records.store(next - first, Ordering::Relaxed);
        let watermark = match sync {
            Sync::Never => Watermark::remove(&folder).map(|()| None)?,
            Sync::Always => Some(claim(&folder, next)?),
        };
        let (begun, records_of) = (None, PhantomData);
        let storage = Storage {
            database,
            file,
            shared,
            watermark,
            starts,
            first,
            next,
            begun,
            has_replaced,
            records: records_of,
        };
        Ok((storage, Recovered { records, torn: false }))
    }

    /// Appends records, in order, as one commit. They are synced when this returns, unless nothing is.
    ///
    /// # Errors
    /// If they cannot be written. They may or may not be read at the next start then, and nothing more is written.
    pub fn write(&mut self, records: &[R]) -> Result<(), StorageError> {
        self.write_some(records, usize::MAX).map(|_| ())
    }

    /// As [`Storage::write`], with records from the first on until they have this many bytes. Returns how many.
    fn write_some(&mut self, records: &[R], bytes_max: usize) -> Result<usize, StorageError> {
        if records.is_empty() {
            return Ok(0);
        }
        let batch = Batch::encode(records, self.next, self.begun, bytes_max).map_err(|fault| {
            self.shared.stop();
            StorageError::Unencodable { file: self.file.clone(), number: fault.number, what: fault.what }
        })?;
        self.commit(&batch)?;
        self.next += batch.records;
        self.begun = batch.begun;
        self.shared.records.store(self.next - self.first, Ordering::Relaxed);
        if let Some(watermark) = &self.watermark {
            watermark.write(self.next).inspect_err(|_| self.shared.stop())?;
        }
        Ok(batch.records as usize)
    }

    /// Removes some of the records that a checkpoint has replaced, for a time when there is nothing else to do.
    /// Returns whether more are left.
    ///
    /// # Errors
    /// As [`Storage::write`].
    pub fn tidy(&mut self) -> Result<bool, StorageError> {
        if self.has_replaced {
            let nothing = Batch { values: Vec::new(), records: 0, bytes: 0, first: None, begun: self.begun };
            self.commit(&nothing)?;
        }
        Ok(self.has_replaced)
    }

    /// How often the folder was opened before: which incarnation of its machine this is
    /// ([`Boot::incarnation`](crate::machine::Boot::incarnation)).
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// How much it holds and has done.
    pub fn usage(&self) -> Usage {
        Usage::of(&self.shared)
    }

    /// The error for a panic while it wrote.
    fn broken(&self) -> StorageError {
        self.shared.stop();
        let source = io::Error::other("the thread that writes has panicked");
        StorageError::Failed { action: "write", file: self.file.clone(), source }
    }

    /// Adds values, moves the first record that counts, and removes some of those that no longer do.
    fn commit(&mut self, batch: &Batch) -> Result<(), StorageError> {
        if self.shared.is_stopped() {
            return Err(StorageError::Stopped { file: self.file.clone() });
        }
        let first = batch.first.unwrap_or(self.first);
        let has_replaced = self.has_replaced || first > self.first;
        let done = guarded(&self.file, &self.shared, || {
            transact(&self.database, batch, first, has_replaced).map_err(|error| self.fault(error))
        });
        self.has_replaced = done.inspect_err(|_| self.shared.stop())?;
        self.first = first;
        Ok(())
    }

    fn fault(&self, error: redb::Error) -> StorageError {
        fault(&self.file, &self.shared, error)
    }
}

/// One commit. Returns whether values before `first` are left.
fn transact(database: &Database, batch: &Batch, first: u64, has_replaced: bool) -> Result<bool, redb::Error> {
    let transaction = database.begin_write()?;
    let is_left = {
        let mut table = transaction.open_table(RECORDS)?;
        for (number, value) in &batch.values {
            table.insert(number, value.as_slice())?;
        }
        if batch.first.is_some() {
            transaction.open_table(META)?.insert(KEY_FIRST, first.to_le_bytes().as_slice())?;
        }
        has_replaced && remove_replaced(&mut table, batch, first)?
    };
    transaction.commit()?;
    Ok(is_left)
}

/// Removes values before `first`, in bounds. Returns whether some are left. It removes more than the commit adds, so
/// that it ends.
fn remove_replaced(
    table: &mut redb::Table<'_, u64, &'static [u8]>,
    batch: &Batch,
    first: u64,
) -> Result<bool, redb::Error> {
    let values_max = REMOVED_VALUES_MAX.max(2 * batch.values.len());
    let bytes_max = REMOVED_BYTES_MAX.max(2 * batch.bytes);
    let (mut values, mut bytes) = (0, 0);
    loop {
        if table.first()?.is_none_or(|(number, _)| number.value() >= first) {
            return Ok(false);
        }
        if values >= values_max || bytes >= bytes_max {
            return Ok(true);
        }
        let removed = table.pop_first()?;
        values += 1;
        bytes += removed.map_or(0, |(_, value)| value.value().len());
    }
}

/// What a folder has.
struct Contents<R> {
    first: u64,
    next: u64,
    has_replaced: bool,
    records: Vec<Stored<R>>,
}

/// Fills an empty file: no records, and its owner.
fn create(medium: Box<dyn Medium>, file: &Path, owner: &Owner, sync: Sync) -> Result<(), StorageError> {
    let shared = Arc::new(Shared::default());
    guarded(file, &shared, || {
        let database = open_database(medium, file, sync, &shared)?;
        let fill = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                transaction.open_table(RECORDS)?;
                let mut meta = transaction.open_table(META)?;
                meta.insert(KEY_FORMAT, FORMAT.to_le_bytes().as_slice())?;
                meta.insert(KEY_OWNER, owner.to_json().as_bytes())?;
                meta.insert(KEY_FIRST, 0_u64.to_le_bytes().as_slice())?;
            }
            Ok(transaction.commit()?)
        };
        fill().map_err(|error| fault(file, &shared, error))?;
        database.close().map_err(|error| fault(file, &shared, error.into()))
    })
}

/// Counts that the folder is opened. Returns how often it was before.
fn count_start(database: &Database) -> Result<u32, redb::Error> {
    let transaction = database.begin_write()?;
    let before = {
        let mut meta = transaction.open_table(META)?;
        let known = meta.get(KEY_STARTS)?.and_then(|value| value.value().first_chunk().copied());
        let before = known.map_or(0, u32::from_le_bytes);
        meta.insert(KEY_STARTS, before.saturating_add(1).to_le_bytes().as_slice())?;
        before
    };
    transaction.commit()?;
    Ok(before)
}

/// Opens the database and verifies every page.
fn open_database(
    medium: Box<dyn Medium>,
    file: &Path,
    sync: Sync,
    shared: &Arc<Shared>,
) -> Result<Database, StorageError> {
    let backend = Backend::new(medium, sync, shared.clone());
    let backend = backend.map_err(|error| StorageError::of("read", file.to_owned(), error))?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder.create_with_backend(backend).map_err(|error| fault(file, shared, error.into()))
}

fn read<R: DeserializeOwned>(database: &Database, folder: &Folder, owner: &Owner) -> Result<Contents<R>, StorageError> {
    let file = folder.records();
    let reads = |error: redb::Error| damaged(&file, error.to_string());
    let transaction = database.begin_read().map_err(|error| reads(error.into()))?;
    let meta = transaction.open_table(META).map_err(|error| reads(error.into()))?;
    let get = |key: &str| -> Result<Vec<u8>, StorageError> {
        let value = meta.get(key).map_err(|error| reads(error.into()))?;
        Ok(value.ok_or_else(|| damaged(&file, format!("it has no {key}")))?.value().to_vec())
    };
    let number = |key: &str, bytes: &[u8]| damaged(&file, format!("its {key} has {} bytes", bytes.len()));
    let format = get(KEY_FORMAT)?;
    let found = u32::from_le_bytes(format.as_slice().try_into().map_err(|_| number(KEY_FORMAT, &format))?);
    if found > FORMAT {
        return Err(StorageError::Newer { file, found, known: FORMAT });
    }
    let found = Owner::from_json(&get(KEY_OWNER)?).map_err(|error| damaged(&file, format!("its owner: {error}")))?;
    if found != *owner {
        let (found, given) = (Box::new(found), Box::new(owner.clone()));
        return Err(StorageError::Foreign { folder: folder.path().to_owned(), found, given });
    }
    let first = get(KEY_FIRST)?;
    let first = u64::from_le_bytes(first.as_slice().try_into().map_err(|_| number(KEY_FIRST, &first))?);
    let table = transaction.open_table(RECORDS).map_err(|error| reads(error.into()))?;
    read_records(&table, &file, first)
}

/// Reads the records from `first` on.
fn read_records<R: DeserializeOwned>(
    table: &redb::ReadOnlyTable<u64, &'static [u8]>,
    file: &Path,
    first: u64,
) -> Result<Contents<R>, StorageError> {
    let reads = |error: redb::StorageError| damaged(file, error.to_string());
    let mut records = Vec::new();
    let mut next = first;
    for entry in table.range(first..).map_err(reads)? {
        let (number, value) = entry.map_err(reads)?;
        if number.value() != next {
            let found = number.value();
            return Err(damaged(file, format!("record {next} is missing, and the next one is number {found}")));
        }
        let count = batch::decode(value.value(), |record| records.push(Stored::Intact(record)));
        next += count.map_err(|what| damaged(file, format!("the records from number {next} on: {what}")))?;
    }
    // Only a checkpoint moves the first record, and it is in the commit that does.
    if first > 0 && next == first {
        return Err(damaged(file, format!("record {first} is missing, which begins the newest checkpoint")));
    }
    let has_replaced = table.first().map_err(reads)?.is_some_and(|(number, _)| number.value() < first);
    Ok(Contents { first, next, has_replaced, records })
}

/// Without a handler, the signal that a file may not grow any more would end the program before it sees the error.
fn hear_of_long_files() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(flag::register(SIGXFSZ, Arc::default())));
}

/// Opens the file `synced`, says what is synced, and makes its name survive.
fn claim(folder: &Folder, synced: u64) -> Result<Watermark, StorageError> {
    let watermark = Watermark::open(folder)?;
    watermark.write(synced)?;
    folder.sync_entries()?;
    Ok(watermark)
}

fn damaged(file: &Path, what: String) -> StorageError {
    StorageError::Damaged { file: file.to_owned(), what }
}

/// What an error of redb means: an operation of the system that failed, or else a file that is not as it was written.
fn fault(file: &Path, shared: &Shared, error: redb::Error) -> StorageError {
    match shared.take_failure() {
        Some(failure) => StorageError::of(failure.action, file.to_owned(), failure.error),
        None => damaged(file, error.to_string()),
    }
}

/// Turns a panic of redb into an error. redb says that it may panic on a file that was changed from outside, in places
/// that no checksum covers, and a server must tell its operator which file it is.
fn guarded<T>(file: &Path, shared: &Shared, work: impl FnOnce() -> Result<T, StorageError>) -> Result<T, StorageError> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        shared.stop();
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for an unknown reason");
        Err(damaged(file, format!("redb panicked: {text}")))
    })
}
