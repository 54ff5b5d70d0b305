//! Files that were changed while they were closed.

use std::fs;

use super::*;

/// A folder with some records, its file's bytes, and the records.
fn filled() -> (tempfile::TempDir, Vec<u8>, Vec<Line>) {
    let folder = folder();
    let (mut storage, _) = open(folder.path()).expect("a folder");
    let all = lines(0, "......[..]....");
    for commit in all.chunks(3) {
        storage.write(commit).expect("room");
    }
    drop(storage);
    let bytes = fs::read(folder.path().join("seedbed.redb")).expect("a file");
    let counting = all[first_of(&all) as usize..].to_vec();
    (folder, bytes, counting)
}

/// What is read if the file has these bytes instead.
fn read_instead(folder: &Path, bytes: Vec<u8>) -> Result<Vec<Line>, StorageError> {
    let synced = fs::read(folder.join("synced")).expect("a file");
    let memory = Box::new(Memory::of(bytes));
    let result = Storage::<Line>::open_on(folder, &owner(), Sync::Always, |_| memory);
    let result = result.map(|(_, recovered)| intact(recovered));
    // What was opened in memory may have claimed more, or less.
    fs::write(folder.join("synced"), synced).expect("room");
    result
}

fn check(folder: &Path, bytes: Vec<u8>, expected: &[Line], what: &str) -> bool {
    match read_instead(folder, bytes) {
        Ok(read) => {
            assert_eq!(read, expected, "{what}: less is read than was synced");
            true
        }
        Err(StorageError::Damaged { .. } | StorageError::Newer { .. } | StorageError::Foreign { .. }) => false,
        Err(other) => panic!("{what}: {other}"),
    }
}

#[test]
fn a_byte_that_is_changed_anywhere_never_makes_synced_records_vanish() {
    let (folder, bytes, expected) = filled();
    // Killed and closed files are opened in different ways.
    let (mut storage, _) = open(folder.path()).expect("a folder");
    storage.write(&lines(14, "...")).expect("room");
    let killed = copy(folder.path());
    drop(storage);
    let killed_bytes = fs::read(killed.path().join("seedbed.redb")).expect("a file");
    fs::write(folder.path().join("seedbed.redb"), &bytes).expect("room");
    fs::write(folder.path().join("synced"), claim_of(14)).expect("room");
    let mut longer = expected.clone();
    longer.extend(lines(14, "..."));
    for (folder, bytes, expected) in [(&folder, bytes, expected), (&killed, killed_bytes, longer)] {
        let last = [expected.last().expect("records").0 as u8; 10];
        let place = bytes.windows(10).rposition(|window| window == last).expect("the last record is in the file");
        let mut read = [0, 0];
        let places = (0..512).chain(place - 100..place + 100).chain((0..bytes.len()).step_by(bytes.len() / 300));
        for place in places {
            let mut bytes = bytes.clone();
            bytes[place] ^= 0x41;
            let is_read = check(folder.path(), bytes, &expected, &format!("byte {place}"));
            read[usize::from(is_read)] += 1;
        }
        assert!(read[0] > 100 && read[1] > 100, "{read:?}");
    }
}

/// What `synced` has if this many records are synced.
fn claim_of(synced: u64) -> Vec<u8> {
    let folder = folder();
    let place = Folder::open(folder.path()).expect("a folder");
    Watermark::open(&place).and_then(|file| file.write(synced)).expect("room");
    fs::read(place.synced()).expect("a file")
}

#[test]
fn a_file_that_is_cut_anywhere_is_read_whole_or_refused() {
    let (folder, bytes, expected) = filled();
    let end = bytes.len();
    let lengths =
        (0..end).step_by(end / 200).chain((end.saturating_sub(3 * 4_096)..end).step_by(61)).chain([0, 1, end - 1]);
    let mut read = [0, 0];
    for length in lengths {
        let is_read = check(folder.path(), bytes[..length].to_vec(), &expected, &format!("cut to {length} bytes"));
        read[usize::from(is_read)] += 1;
    }
    assert!(read[0] > 100, "{read:?}");
}

#[test]
fn records_that_were_synced_and_are_missing_are_named() {
    let (folder, bytes, _) = filled();
    let file = folder.path().join("seedbed.redb");
    fs::write(folder.path().join("synced"), claim_of(15)).expect("room");
    let message = read_back(folder.path()).expect_err("one is missing").to_string();
    assert_eq!(
        message,
        format!(
            "{} is damaged: its records end before number 14, and 15 were synced; remove this server from the cluster, \
             and start it anew in an empty folder; an older copy of this folder would not help, because it lacks what \
             the server has promised since",
            file.display()
        )
    );
    fs::remove_file(&file).expect("a file");
    let message = read_back(folder.path()).expect_err("all are missing").to_string();
    assert!(message.contains("it is missing, and 15 records of it were synced"), "{message}");
    assert!(!file.exists(), "no new one is created");
    fs::write(&file, bytes).expect("room");
    assert!(read_back(folder.path()).is_err(), "one is missing still");
}

#[test]
fn a_claim_that_cannot_be_read_claims_nothing() {
    let (folder, _, expected) = filled();
    for claim in [&b""[..], &b"123456789012345"[..], &[0xFF; 16][..], &[0; 4_096][..]] {
        fs::write(folder.path().join("synced"), claim).expect("room");
        assert_eq!(read_back(folder.path()).expect("the records are whole"), expected);
        assert_eq!(fs::read(folder.path().join("synced")).expect("a file")[..16], claim_of(14));
    }
    fs::remove_file(folder.path().join("synced")).expect("a file");
    assert_eq!(read_back(folder.path()).expect("the records are whole"), expected);
}

#[test]
fn a_gap_between_records_is_found() {
    let (folder, ..) = filled();
    for (number, message) in [(9, "record 9 is missing"), (6, "record 6 is missing")] {
        let (storage, _) = open(folder.path()).expect("a folder");
        let transaction = storage.database.begin_write().expect("the only one");
        let value = transaction
            .open_table(RECORDS)
            .expect("a table")
            .remove(number)
            .expect("room")
            .map(|value| value.value().to_vec());
        let value = value.expect("a value begins there");
        transaction.commit().expect("room");
        drop(storage);
        let found = read_back(folder.path()).expect_err("there is a gap").to_string();
        assert!(found.contains(message), "{found}");
        // What was removed is put back, past all checks.
        let database = Database::create(folder.path().join("seedbed.redb")).expect("a database");
        let transaction = database.begin_write().expect("the only one");
        transaction.open_table(RECORDS).expect("a table").insert(number, value.as_slice()).expect("room");
        transaction.commit().expect("room");
    }
    read_back(folder.path()).expect("all are back");
}

/// Bytes overwritten with zeros, ones or rubbish, and pages in each other's place, one to three times.
fn damage(bytes: &mut [u8], stream: &mut Stream) {
    const PAGE: u64 = 4_096;
    let (end, pages) = (bytes.len() as u64, bytes.len() as u64 / PAGE);
    for _ in 0..1 + stream.below(3) {
        // The first pages are hit more often: they say what all others are.
        let reach = if stream.chance(0.5) { end } else { 8 * PAGE };
        let start = stream.below(reach) as usize;
        let length = [1, 8, 64, SECTOR as u64, PAGE][stream.below(5) as usize] as usize;
        let hit = start..(start + length).min(bytes.len());
        match stream.below(4) {
            0 => bytes[hit].fill(0),
            1 => bytes[hit].fill(0xFF),
            2 => bytes[hit].iter_mut().for_each(|byte| *byte = stream.below(256) as u8),
            _ => {
                let (from, to) = (stream.below(pages) * PAGE, stream.below(pages) * PAGE);
                bytes.copy_within(from as usize..(from + PAGE) as usize, to as usize);
            }
        }
    }
}

#[test]
fn damage_of_any_kind_never_makes_synced_records_vanish() {
    let (folder, bytes, expected) = filled();
    let mut stream = Stream::new(1, "damage");
    let mut read = [0, 0];
    for round in 0..DAMAGES {
        let mut damaged = bytes.clone();
        damage(&mut damaged, &mut stream);
        let is_read = check(folder.path(), damaged, &expected, &format!("round {round}"));
        read[usize::from(is_read)] += 1;
    }
    assert!(read.iter().all(|&count| count > DAMAGES / 10), "{read:?}");
}

const DAMAGES: u64 = 1_000;

/// A file that panics when it is read.
#[derive(Debug)]
struct Panicking;

impl Medium for Panicking {
    fn len(&self) -> std::io::Result<u64> {
        Ok(1 << 20)
    }

    fn read(&self, _: u64, _: &mut [u8]) -> std::io::Result<()> {
        panic!("a fault of the library")
    }

    fn write(&self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_of_the_library_becomes_an_error_that_names_the_file() {
    let (folder, ..) = filled();
    let opened = Storage::<Line>::open_on(folder.path(), &owner(), Sync::Always, |_| Box::new(Panicking));
    let message = opened.expect_err("it panics").to_string();
    assert!(message.contains("seedbed.redb is damaged: redb panicked: a fault of the library"), "{message}");
}
