//! The states that a search has been in, in full: one taken for another could make a wrong verdict.

use std::hash::Hash;

use hashbrown::HashTable;

use crate::hash::StableHasher;

/// What a search has left to do, as numbers, and the state of the object by its number.
pub(super) struct Memo<S> {
    /// The states of the object.
    states: Vec<S>,
    state_table: HashTable<u32>,
    words: Vec<u32>,
    /// Begin and end of each entry in `words`.
    table: HashTable<(u32, u32)>,
    /// What everything together may take, in words of 8 bytes.
    words_max: usize,
}

/// What an entry of the table takes, in words.
const ENTRY_WORDS: usize = 2;

/// What a state takes, in words, beside itself: its place in the table, and what a sequence shares with no other.
const STATE_WORDS: usize = 14;

impl<S: Clone + Eq + Hash> Memo<S> {
    pub fn new(words_max: usize) -> Memo<S> {
        Memo {
            states: Vec::new(),
            state_table: HashTable::new(),
            words: Vec::new(),
            table: HashTable::new(),
            words_max: words_max.min(u32::MAX as usize / 2),
        }
    }

    fn size(&self) -> usize {
        let state = STATE_WORDS + size_of::<S>().div_ceil(8);
        self.words.len() / 2 + ENTRY_WORDS * self.table.len() + state * self.states.len()
    }

    /// Whether this is new, as far as the memo knows. It is known from now on, if it is to be kept and there is room.
    pub fn is_new(&mut self, state: &S, rest: impl Iterator<Item = u32>, keep: bool, steps: &mut u64) -> Option<bool> {
        let is_full = self.size() >= self.words_max;
        let Some(number) = self.number(state, keep && !is_full) else { return Some(true) };
        let start = self.words.len();
        self.words.push(number);
        self.words.extend(rest);
        *steps = steps.checked_sub((self.words.len() - start) as u64)?;
        let (known, entry) = self.words.split_at(start);
        let hash = hash(entry);
        let is_known = self.table.find(hash, |&(start, end)| known[start as usize..end as usize] == *entry).is_some();
        if is_known || !keep || is_full {
            self.words.truncate(start);
            return Some(!is_known);
        }
        let (words, end) = (&self.words, self.words.len());
        let rehash = |&(start, end): &(u32, u32)| self::hash(&words[start as usize..end as usize]);
        self.table.insert_unique(hash, (start as u32, end as u32), rehash);
        Some(true)
    }

    /// The number of a state; none if it is not known and there is no room for it.
    fn number(&mut self, state: &S, keep: bool) -> Option<u32> {
        let hash = StableHasher::of(state);
        let states = &mut self.states;
        if let Some(&known) = self.state_table.find(hash, |&other| states[other as usize] == *state) {
            return Some(known);
        }
        if !keep {
            return None;
        }
        let new = states.len() as u32;
        states.push(state.clone());
        self.state_table.insert_unique(hash, new, |&other| StableHasher::of(&states[other as usize]));
        Some(new)
    }
}

fn hash(words: &[u32]) -> u64 {
    let mut hasher = StableHasher::new();
    for &word in words {
        hasher.word(word.into());
    }
    hasher.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memo_knows_what_it_kept_and_never_grows_much_above_its_bound() {
        let mut memo: Memo<u64> = Memo::new(1_000);
        let mut steps = u64::MAX;
        let mut kept = 0;
        for state in 0..1_000 {
            assert_eq!(memo.is_new(&state, [1, 2, 3].into_iter(), false, &mut steps), Some(true), "not kept");
            assert_eq!(memo.is_new(&state, [1, 2, 3].into_iter(), true, &mut steps), Some(true));
            kept += u64::from(memo.is_new(&state, [1, 2, 3].into_iter(), true, &mut steps) == Some(false));
            assert_eq!(memo.is_new(&state, [1, 2].into_iter(), false, &mut steps), Some(true), "something else");
        }
        assert!((30..100).contains(&kept), "{kept}");
        assert!(memo.size() < 1_100, "{}", memo.size());
        assert_eq!(memo.is_new(&0, [1, 2, 3].into_iter(), true, &mut 2), None, "too few steps");
    }
}
