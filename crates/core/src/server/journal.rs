//! How far the disk has come, for Raft: its records are among others.

use std::collections::VecDeque;

/// Counts the records of a server since its start.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal {
    persisted: u64,
    /// The places of records that are not Raft's, among all, and are not known to be on the disk.
    others: VecDeque<u64>,
    /// How many records that are not Raft's are on the disk.
    others_on_disk: u64,
}

impl Journal {
    /// A record of Raft's was persisted.
    pub fn note_raft(&mut self) {
        self.persisted += 1;
    }

    /// Another record was persisted.
    pub fn note_other(&mut self) {
        self.persisted += 1;
        self.others.push_back(self.persisted);
    }

    /// All records up to this one, counted from 1, are on the disk. Returns how many of Raft's are.
    pub fn on_disk(&mut self, up_to: u64) -> u64 {
        while self.others.front().is_some_and(|&place| place <= up_to) {
            self.others.pop_front();
            self.others_on_disk += 1;
        }
        up_to - self.others_on_disk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rafts_records_are_counted() {
        let mut journal = Journal::default();
        journal.note_other();
        journal.note_raft();
        journal.note_other();
        journal.note_raft();
        journal.note_raft();
        let counts: Vec<u64> = (0..=5).map(|up_to| journal.on_disk(up_to)).collect();
        assert_eq!(counts, [0, 0, 1, 1, 2, 3]);
    }
}
