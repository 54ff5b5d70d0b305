//! The replicated log.

use std::fmt::Debug;
use std::hash::Hash;
use std::vec::Drain;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::consensus::{Index, Term};
use crate::free::free;

/// The entries of one append. A few fit in without an allocation.
pub type Entries<C> = SmallVec<[Entry<C>; 3]>;

/// What Raft needs of a command that it replicates. It never looks inside.
pub trait Payload: Clone + Debug + Hash + Send + Sync + 'static {
    /// About how many bytes it takes in a message.
    fn bytes(&self) -> usize;
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry<C> {
    /// The term of the leader that appended it.
    pub term: Term,
    /// The command; none in the entry with which a leader begins its term (section 8 of the paper).
    pub command: Option<C>,
}

impl<C: Payload> Entry<C> {
    /// About how many bytes it takes in a message.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.command.as_ref().map_or(0, Payload::bytes) + ENTRY_BYTES
    }
}

/// The replicated log of one replica. Its beginning may have been dropped, up to an entry of which only the term is
/// kept (section 7).
///
/// Invariants:
/// - Terms never fall from one entry to the next.
/// - Entries are only added at the end, and only removed from the end, by [`Log::truncate`], which only a follower uses
///   and never on a committed entry (leader append-only, state-machine safety).
/// - Entries that [`Log::drop_to`] drops, or [`Log::restart`] skips, are committed.
#[derive(Clone, Debug)]
pub struct Log<C> {
    /// The index of the last entry that was dropped; 0 if none was.
    base: Index,
    base_term: Term,
    entries: Vec<Entry<C>>,
    truncations: u64,
}

impl<C> Log<C> {
    /// An empty log.
    pub const fn new() -> Log<C> {
        Log { base: 0, base_term: 0, entries: Vec::new(), truncations: 0 }
    }

    /// A log that has dropped all entries up to this index and term, and has these entries after it.
    pub fn continued((base, base_term): (Index, Term), entries: Vec<Entry<C>>) -> Log<C> {
        Log { base, base_term, entries, truncations: 0 }
    }

    /// The index of the first entry that has not been dropped; the index of the next entry if there is none.
    #[inline]
    pub fn first_index(&self) -> Index {
        self.base + 1
    }

    /// The index of the last entry; 0 if there never was one.
    #[inline]
    pub fn last_index(&self) -> Index {
        self.base + self.entries.len() as Index
    }

    /// The term of the last entry; 0 if there never was one.
    #[inline]
    pub fn last_term(&self) -> Term {
        self.entries.last().map_or(self.base_term, |entry| entry.term)
    }

    /// The term of the entry at this index; 0 at index 0 while no entry has been dropped, none beyond the last entry,
    /// and none for dropped entries except the last of them.
    #[inline]
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == self.base { Some(self.base_term) } else { self.get(index).map(|entry| entry.term) }
    }

    /// The entry at this index.
    #[inline]
    pub fn get(&self, index: Index) -> Option<&Entry<C>> {
        self.entries.get(usize::try_from(index.checked_sub(self.base + 1)?).ok()?)
    }

    /// The entries from this index to the last; without dropped ones.
    #[inline]
    pub fn from(&self, index: Index) -> &[Entry<C>] {
        let start = index.saturating_sub(self.base + 1);
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
        assert!(index > self.base, "what was dropped is committed");
        if index <= self.last_index() {
            self.entries.truncate((index - self.base) as usize - 1);
            self.truncations += 1;
        }
    }

    /// How often entries were removed.
    pub fn truncations(&self) -> u64 {
        self.truncations
    }

    /// The last index whose term is at most `term`; the index before the first remaining entry if there is none. Terms
    /// never fall, so halving finds it.
    pub fn last_up_to_term(&self, term: Term) -> Index {
        self.base + self.entries.partition_point(|entry| entry.term <= term) as Index
    }
}

impl<C: Payload> Log<C> {
    /// Drops all entries up to this index. The remaining entries are moved, so this should drop about as many as it
    /// leaves.
    pub fn drop_to(&mut self, index: Index) {
        if index > self.base {
            let term = self.term(index).expect("only entries that there are can be dropped");
            free_all(self.entries.drain(..(index - self.base) as usize));
            (self.base, self.base_term) = (index, term);
        }
    }

    /// Forgets all entries and continues after the entry of this index and term.
    pub fn restart(&mut self, index: Index, term: Term) {
        assert!(index > self.base, "a log never goes back behind what was dropped");
        self.truncations += u64::from(!self.entries.is_empty());
        free_all(self.entries.drain(..));
        (self.base, self.base_term) = (index, term);
    }

    /// The entries from this index on that fit in a message: at least one, if there is one, then up to `bytes_max`
    /// bytes.
    #[inline]
    pub fn batch(&self, index: Index, bytes_max: usize) -> Entries<C> {
        let mut bytes = 0;
        let fits = |entry: &&Entry<C>| {
            let first = bytes == 0;
            bytes += entry.bytes();
            first || bytes <= bytes_max
        };
        self.from(index).iter().take_while(fits).cloned().collect()
    }
}

/// More entries than this are freed elsewhere.
const FREED_HERE_MAX: usize = 16_384;

/// Frees entries that were taken out of a log.
fn free_all<C: Payload>(entries: Drain<'_, Entry<C>>) {
    if entries.len() > FREED_HERE_MAX {
        free(entries.collect::<Vec<_>>());
    }
}

/// The bytes of an entry in a message besides its command: its term and some punctuation.
pub(super) const ENTRY_BYTES: usize = 16;

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
    fn a_batch_has_at_least_one_entry_and_otherwise_respects_its_size() {
        let log = log(&[1; 10]);
        assert_eq!(log.batch(1, 1).len(), 1);
        assert_eq!(log.batch(1, 116).len(), 1);
        assert_eq!(log.batch(1, 3 * 116).len(), 3);
        assert_eq!(log.batch(9, 100_000).len(), 2);
        assert_eq!(log.batch(11, 100_000).len(), 0);
    }

    #[test]
    fn a_log_without_its_beginning_is_the_same_from_there_on() {
        let whole = log(&[1, 1, 3, 3, 3, 6]);
        for dropped in 0..=6 {
            let mut log = whole.clone();
            log.drop_to(dropped);
            log.drop_to(dropped / 2);
            assert_eq!((log.first_index(), log.last_index(), log.last_term()), (dropped + 1, 6, 6));
            for index in 0..8 {
                let known = index >= dropped;
                assert_eq!(log.term(index), whole.term(index).filter(|_| known), "{index} without {dropped}");
                assert_eq!(log.get(index), whole.get(index).filter(|_| index > dropped), "{index} without {dropped}");
                assert_eq!(log.from(index), whole.from(index.max(dropped + 1)));
                assert_eq!(log.last_up_to_term(index), whole.last_up_to_term(index).max(dropped));
            }
            log.append(Entry { term: 7, command: None });
            log.truncate(7);
            assert_eq!(log.from(1), whole.from(dropped + 1));
        }
    }

    #[test]
    fn a_log_continues_where_a_snapshot_ends() {
        let mut log = log(&[1, 1, 3]);
        log.restart(9, 5);
        assert_eq!((log.first_index(), log.last_index(), log.last_term(), log.truncations()), (10, 9, 5, 1));
        assert_eq!((log.term(3), log.term(9), log.term(10)), (None, Some(5), None));
        assert_eq!(log.append(Entry { term: 6, command: None }), 10);
        assert_eq!(log.term(10), Some(6));
    }
}
