//! The replicated log.

use std::fmt::Debug;
use std::hash::Hash;

use smallvec::SmallVec;

use crate::consensus::{Index, Term};

/// The entries of one append. A few fit in without an allocation.
pub type Entries<C> = SmallVec<[Entry<C>; 3]>;

/// What Raft needs of a command that it replicates. It never looks inside.
pub trait Payload: Clone + Debug + Hash {
    /// About how many bytes it takes in a message.
    fn bytes(&self) -> usize;
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry<C> {
    /// The term of the leader that appended it.
    pub term: Term,
    /// The command; none in the entry with which a leader begins its term (section 8 of the paper).
    pub command: Option<C>,
}

/// The replicated log of one replica.
///
/// Invariants:
/// - Terms never fall from one entry to the next.
/// - Entries are only added at the end, and only removed from the end, by [`Log::truncate`], which only a follower uses
///   and never on a committed entry (leader append-only, state-machine safety).
#[derive(Clone, Debug)]
pub struct Log<C> {
    entries: Vec<Entry<C>>,
    truncations: u64,
}

impl<C> Log<C> {
    /// An empty log.
    pub const fn new() -> Log<C> {
        Log { entries: Vec::new(), truncations: 0 }
    }

    /// The index of the last entry; 0 if there is none.
    #[inline]
    pub fn last_index(&self) -> Index {
        self.entries.len() as Index
    }

    /// The term of the last entry; 0 if there is none.
    #[inline]
    pub fn last_term(&self) -> Term {
        self.entries.last().map_or(0, |entry| entry.term)
    }

    /// The term of the entry at this index; 0 before the first entry, none beyond the last.
    #[inline]
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == 0 { Some(0) } else { self.get(index).map(|entry| entry.term) }
    }

    /// The entry at this index.
    #[inline]
    pub fn get(&self, index: Index) -> Option<&Entry<C>> {
        self.entries.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }

    /// The entries from this index to the last.
    #[inline]
    pub fn from(&self, index: Index) -> &[Entry<C>] {
        let start = index.max(1) - 1;
        self.entries.get(start as usize..).unwrap_or_default()
    }

    /// Adds an entry at the end and returns its index.
    #[inline]
    pub fn append(&mut self, entry: Entry<C>) -> Index {
        self.entries.push(entry);
        self.last_index()
    }

    /// Removes the entry at this index and all after it.
    pub fn truncate(&mut self, index: Index) {
        assert!(index > 0, "nothing comes before the first entry");
        if index <= self.last_index() {
            self.entries.truncate(index as usize - 1);
            self.truncations += 1;
        }
    }

    /// How often entries were removed.
    pub fn truncations(&self) -> u64 {
        self.truncations
    }

    /// The last index whose term is at most `term`, 0 if there is none. Terms never fall, so halving finds it.
    pub fn last_up_to_term(&self, term: Term) -> Index {
        self.entries.partition_point(|entry| entry.term <= term) as Index
    }
}

impl<C: Payload> Log<C> {
    /// The entries from this index on that fit in a message: at least one, if there is one, then up to so many bytes.
    #[inline]
    pub fn batch(&self, index: Index, bytes_max: usize) -> Entries<C> {
        let mut bytes = 0;
        let fits = |entry: &&Entry<C>| {
            let first = bytes == 0;
            bytes += entry.command.as_ref().map_or(0, Payload::bytes) + ENTRY_BYTES;
            first || bytes <= bytes_max
        };
        self.from(index).iter().take_while(fits).cloned().collect()
    }
}

/// What an entry takes in a message besides its command: its term and some punctuation.
const ENTRY_BYTES: usize = 16;

impl<C> Default for Log<C> {
    fn default() -> Log<C> {
        Log::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Payload for u32 {
        fn bytes(&self) -> usize {
            *self as usize
        }
    }

    fn log(terms: &[Term]) -> Log<u32> {
        let mut log = Log::new();
        for &term in terms {
            log.append(Entry { term, command: Some(100) });
        }
        log
    }

    #[test]
    fn terms_are_known_from_before_the_first_entry_to_the_last() {
        let log = log(&[1, 1, 3]);
        let terms: Vec<Option<Term>> = (0..5).map(|index| log.term(index)).collect();
        assert_eq!(terms, [Some(0), Some(1), Some(1), Some(3), None]);
        assert_eq!((log.last_index(), log.last_term()), (3, 3));
        assert_eq!(log.term(Index::MAX), None);
    }

    #[test]
    fn the_ends_of_a_term_are_found() {
        let log = log(&[1, 1, 3, 3, 3, 6]);
        let ends: Vec<Index> = (0..8).map(|term| log.last_up_to_term(term)).collect();
        assert_eq!(ends, [0, 2, 2, 5, 5, 5, 6, 6]);
    }

    #[test]
    fn a_batch_has_at_least_one_entry_and_otherwise_keeps_to_its_bytes() {
        let log = log(&[1; 10]);
        assert_eq!(log.batch(1, 1).len(), 1);
        assert_eq!(log.batch(1, 116).len(), 1);
        assert_eq!(log.batch(1, 3 * 116).len(), 3);
        assert_eq!(log.batch(9, 100_000).len(), 2);
        assert_eq!(log.batch(11, 100_000).len(), 0);
    }
}
