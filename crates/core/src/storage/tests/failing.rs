//! Disks that are full or fail.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;

use super::*;

/// Linux's numbers of these errors.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

/// A file whose n-th write or sync fails, and all later ones.
#[derive(Debug)]
struct Failing {
    file: File,
    writes: AtomicI64,
    syncs: AtomicI64,
    code: i32,
}

impl Failing {
    fn count(&self, counter: &AtomicI64) -> io::Result<()> {
        if counter.fetch_sub(1, Ordering::Relaxed) > 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(self.code)) }
    }
}

impl Medium for Failing {
    fn len(&self) -> io::Result<u64> {
        Medium::len(&self.file)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        Medium::read(&self.file, offset, out)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.count(&self.writes)?;
        Medium::write(&self.file, offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.count(&self.writes)?;
        Medium::set_len(&self.file, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.count(&self.syncs)?;
        Medium::sync(&self.file)
    }
}

const NEVER: i64 = i64::MAX;

fn open_failing(folder: &Path, writes: i64, syncs: i64, code: i32) -> Result<Storage<Line>, StorageError> {
    let failing = |file| -> Box<dyn Medium> {
        Box::new(Failing { file, writes: AtomicI64::new(writes), syncs: AtomicI64::new(syncs), code })
    };
    Storage::open_on(folder, &owner(), Sync::Always, failing).map(|(storage, _)| storage)
}

/// Opens and writes until something fails. Returns how many records were acknowledged, and the error.
fn write_until_failure(folder: &Path, writes: i64, syncs: i64, code: i32) -> (u64, StorageError) {
    let mut storage = match open_failing(folder, writes, syncs, code) {
        Ok(storage) => storage,
        Err(error) => return (0, error),
    };
    for number in 0.. {
        if let Err(error) = storage.write(&lines(number, ".")) {
            for _ in 0..2 {
                let later = storage.write(&lines(number, "."));
                assert!(matches!(later, Err(StorageError::Stopped { .. })), "{later:?}");
            }
            return (number, error);
        }
    }
    unreachable!("something fails");
}

#[test]
fn any_write_or_sync_that_fails_ends_all_writing_and_loses_nothing_that_was_acknowledged() {
    for code in [EIO, ENOSPC, EDQUOT] {
        for place in (0..60).step_by(if code == EIO { 1 } else { 7 }) {
            for (writes, syncs) in [(place, NEVER), (NEVER, place / 2)] {
                let folder = folder();
                let (acknowledged, error) = write_until_failure(folder.path(), writes, syncs, code);
                let is_full = matches!(error, StorageError::Full { .. });
                let is_failed = matches!(error, StorageError::Failed { .. });
                assert_eq!((is_full, is_failed), (code != EIO, code == EIO), "{error}");
                assert!(error.to_string().contains("seedbed.redb"), "{error}");
                let read = read_back(folder.path()).expect("the disk works again");
                let kept = read.len() as u64;
                assert!((acknowledged..=acknowledged + 1).contains(&kept), "{acknowledged} acknowledged, {kept} kept");
                assert_eq!(numbers(&read), (0..kept).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn messages_of_a_full_and_of_a_failed_disk_say_what_to_do() {
    let folder = folder();
    let (_, error) = write_until_failure(folder.path(), 30, NEVER, ENOSPC);
    let message = error.to_string();
    assert!(message.starts_with("no room to write ") && message.contains("make room"), "{message}");
    let (_, error) = write_until_failure(folder.path(), NEVER, 3, EIO);
    let message = error.to_string();
    assert!(message.starts_with("cannot sync ") && message.contains("the server must end"), "{message}");
}

/// Writes with a writer until it tells something else than progress.
fn tell_until_failure(code: i32) -> (u64, Progress) {
    let folder = folder();
    let storage = open_failing(folder.path(), 60, NEVER, code).expect("it fails later");
    let (sender, receiver) = mpsc::channel();
    let writer = Writer::spawn(storage, move |progress| sender.send(progress).expect("it is read")).expect("a thread");
    let mut synced = 0;
    for number in 0.. {
        lines(number, ".").into_iter().for_each(|line| writer.persist(line));
        writer.sync();
        match receiver.recv().expect("progress") {
            Progress::Synced { up_to } => synced = up_to,
            other => {
                writer.persist(Line(0, '.', Vec::new()));
                writer.sync();
                drop(writer);
                assert!(receiver.recv().is_err(), "nothing is told after that");
                return (synced, other);
            }
        }
    }
    unreachable!("something fails");
}

#[test]
fn a_writer_tells_that_its_disk_is_full_or_has_failed_and_nothing_after_that() {
    let (synced, told) = tell_until_failure(ENOSPC);
    assert!(synced > 0 && matches!(told, Progress::Full(_)), "{synced} {told:?}");
    let (synced, told) = tell_until_failure(EIO);
    assert!(synced > 0 && matches!(told, Progress::Failed(StorageError::Failed { .. })), "{synced} {told:?}");
}

/// What none of the bytes can hold.
#[derive(Clone, Debug)]
struct Formless;

impl Record for Formless {}

impl Serialize for Formless {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no form"))
    }
}

impl<'de> Deserialize<'de> for Formless {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Formless, D::Error> {
        Ok(Formless)
    }
}

#[test]
fn a_record_without_a_form_in_bytes_is_an_error_and_ends_all_writing() {
    let folder = folder();
    let (mut storage, _) = Storage::open(folder.path(), &owner(), Sync::Always).expect("a folder");
    let error = storage.write(&[Formless]).expect_err("it has no form").to_string();
    assert!(error.starts_with("cannot encode record 0 for "), "{error}");
    assert!(storage.write(&[Formless]).is_err());
}
