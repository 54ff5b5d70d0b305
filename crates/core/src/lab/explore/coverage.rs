//! Which situations ever occurred.
//!
//! A million runs without a failure say little if nothing ever happened in them. So an exploration counts in how many
//! runs each situation occurred that the protocol names, and one that never did is a gap in what was tested.

use crate::machine::Machine;
use crate::record::Observer;

/// Watches one run for situations.
pub trait Survey<M: Machine>: Observer<M> {
    /// What has occurred so far, by places in the subject's list of situations.
    fn seen(&self) -> Seen;
}

/// The situations that occurred in one run, as places in a list of up to 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u64);

impl Seen {
    /// Whether a situation occurred.
    #[inline]
    pub const fn contains(self, place: usize) -> bool {
        place < u64::BITS as usize && self.0 >> place & 1 == 1
    }

    /// A situation occurred, if it did. A place beyond the list is ignored.
    #[inline]
    pub fn insert(&mut self, place: usize, occurred: bool) {
        self.0 |= u64::from(occurred).checked_shl(place as u32).unwrap_or(0);
    }

    /// Those that are not among `others`.
    pub(super) const fn without(self, others: Seen) -> Seen {
        Seen(self.0 & !others.0)
    }

    /// The places of all, in order.
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..u64::BITS as usize).filter(move |&place| self.contains(place))
    }
}

/// In how many runs each situation occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    names: &'static [&'static str],
    runs: Vec<u64>,
}

impl Coverage {
    /// None of these has occurred yet.
    pub fn of(names: &'static [&'static str]) -> Coverage {
        Coverage { names, runs: vec![0; names.len()] }
    }

    /// Adds what occurred in one run.
    pub fn add(&mut self, seen: Seen) {
        for (place, runs) in self.runs.iter_mut().enumerate() {
            *runs += u64::from(seen.contains(place));
        }
    }

    /// Each situation, and in how many runs it occurred.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.names.iter().copied().zip(self.runs.iter().copied())
    }

    /// In how many runs a situation of this name occurred.
    pub fn runs(&self, name: &str) -> u64 {
        self.iter().find(|(known, _)| *known == name).map_or(0, |(_, runs)| runs)
    }

    /// The situations that never occurred.
    pub fn missing(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.iter().filter(|(_, runs)| *runs == 0).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_occurred_is_missing() {
        let mut seen = Seen::default();
        seen.insert(1, true);
        seen.insert(2, false);
        seen.insert(64, true);
        let mut coverage = Coverage::of(&["one", "two", "three"]);
        coverage.add(seen);
        coverage.add(seen);
        assert_eq!((coverage.runs("two"), coverage.runs("three"), coverage.runs("four")), (2, 0, 0));
        assert_eq!(coverage.missing().collect::<Vec<_>>(), ["one", "three"]);
        assert!(!seen.contains(64));
    }
}
