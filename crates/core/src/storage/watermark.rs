//! How many records are synced, in a small file of its own.
//!
//! A database falls back to the commit before the last one if the last one is damaged. That is right after a power
//! failure, because the commit was under way then and no sync of it had ended. It is wrong if the disk has damaged the
//! file later. This number tells the two apart: records that were synced are never missing without notice.
//!
//! The number is written after each sync and not synced itself, which would double the time of a commit. So it survives
//! the end of the program, however it ends, and of a power failure it may survive an older number, or nothing that can
//! be read. Then it claims less, never more.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::StorageError;
use super::folder::{Folder, cannot};
use crate::hash::StableHasher;

/// The number and its checksum.
const BYTES: usize = 16;

/// The open file.
#[derive(Debug)]
pub(super) struct Watermark {
    path: PathBuf,
    file: File,
}

impl Watermark {
    /// The number in a folder; none if there is none that can be read.
    pub(super) fn read(folder: &Folder) -> Result<Option<u64>, StorageError> {
        let path = folder.synced();
        match fs::read(&path) {
            Ok(bytes) => Ok(decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(cannot("read", &path, source)),
        }
    }

    /// Opens the file, or creates it, to write it.
    pub(super) fn open(folder: &Folder) -> Result<Watermark, StorageError> {
        let path = folder.synced();
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        Ok(Watermark { file: file.map_err(|source| cannot("open", &path, source))?, path })
    }

    /// Says that this many records are synced. The write is within one page, so it is whole however the program ends.
    pub(super) fn write(&self, synced: u64) -> Result<(), StorageError> {
        let written = self.file.write_all_at(&encode(synced), 0);
        written.map_err(|source| StorageError::of("write", self.path.clone(), source))
    }

    /// Removes the file: nothing is claimed any more.
    pub(super) fn remove(folder: &Folder) -> Result<(), StorageError> {
        let path = folder.synced();
        match fs::remove_file(&path) {
            Ok(()) => folder.sync_entries(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(cannot("remove", &path, source)),
        }
    }
}

fn encode(synced: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&synced.to_le_bytes());
    bytes[8..].copy_from_slice(&checksum(synced).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let (number, sum) = bytes.first_chunk::<BYTES>()?.split_first_chunk::<8>()?;
    let synced = u64::from_le_bytes(*number);
    (sum == checksum(synced).to_le_bytes()).then_some(synced)
}

fn checksum(synced: u64) -> u64 {
    StableHasher::of(&("synced", synced))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_cut_or_has_one_bit_flipped_is_not_read() {
        for number in [0, 1, 77, u64::MAX] {
            let bytes = encode(number);
            assert_eq!(decode(&bytes), Some(number));
            for length in 0..BYTES {
                assert_eq!(decode(&bytes[..length]), None);
            }
            for bit in 0..BYTES * 8 {
                let mut bytes = bytes;
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&bytes), None, "bit {bit}");
            }
        }
        assert_eq!(decode(&[0; BYTES]), None, "a torn page may be all zeros");
    }
}
