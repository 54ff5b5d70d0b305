//! Named streams of random numbers.
//!
//! A run has one seed and many streams: one for each purpose and, where it matters, one for each link. A stream's key
//! is the seed, the hash of its purpose's name and two numbers, so streams are independent: a message dropped on one
//! link never changes the random stream of another link, nor the keys that clients choose. Two runs that differ in one
//! thing stay comparable in all others.
//!
//! The generator is ChaCha8. All draws go through the few functions here, so that no dependency's change of sampling
//! algorithm can shift them.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::hash::StableHasher;

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of this purpose in the run with this seed.
    pub fn new(seed: u64, purpose: &str) -> Stream {
        Stream::link(seed, purpose, 0, 0)
    }

    /// The stream of this purpose that belongs to the link from one party to another (or to any pair of numbers).
    pub fn link(seed: u64, purpose: &str, from: u64, to: u64) -> Stream {
        let mut key = [0; 32];
        let words = [seed, StableHasher::of(purpose), from, to];
        for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Stream(ChaCha8Rng::from_seed(key))
    }

    /// A uniform 64-bit number.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform number in `[0, 1)`, a multiple of 2^-53.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// True with this probability: draws u in `[0, 1)` and returns u < p, strictly. So 0 is never true and 1 always is.
    #[inline]
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A uniform number below `bound`, without bias (Lemire 2019, "Fast Random Integer Generation in an Interval").
    ///
    /// # Panics
    /// If `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below zero");
        let mut product = u128::from(self.next_u64()) * u128::from(bound);
        if (product as u64) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// A uniform number in `low..=high`.
    ///
    /// # Panics
    /// If `low` is above `high`.
    #[inline]
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "an empty range has no numbers");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.next_u64(),
        }
    }

    /// One of the items; none if the list is empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len() as u64) as usize) }
    }

    /// One of several things, each as often as its weight says.
    ///
    /// # Panics
    /// If all weights are 0.
    pub fn weighted<T: Copy>(&mut self, things: &[(T, u64)]) -> T {
        let mut place = self.below(things.iter().map(|(_, weight)| weight).sum());
        let chosen = things.iter().find(|(_, weight)| match place.checked_sub(*weight) {
            Some(rest) => {
                place = rest;
                false
            }
            None => true,
        });
        chosen.expect("the place is below the sum of all weights").0
    }

    /// Puts the items in a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_link_and_repeat_exactly() {
        let draw = |seed, purpose, from, to| Stream::link(seed, purpose, from, to).next_u64();
        let base = draw(1, "loss", 0, 1);
        assert_eq!(base, draw(1, "loss", 0, 1));
        for other in [draw(2, "loss", 0, 1), draw(1, "delay", 0, 1), draw(1, "loss", 1, 0), draw(1, "loss", 0, 2)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn draws_are_the_same_numbers_everywhere() {
        let mut stream = Stream::new(7, "golden");
        let draws: Vec<u64> = (0..3).map(|_| stream.below(1_000_000)).collect();
        assert_eq!(draws, [562_745, 733_248, 901_100]);
    }

    #[test]
    fn chance_is_exact_at_zero_and_one() {
        let mut stream = Stream::new(1, "exact");
        assert!((0..100_000).all(|_| !stream.chance(0.0)));
        assert!((0..100_000).all(|_| stream.chance(1.0)));
    }

    #[test]
    fn below_reaches_every_number_evenly() {
        let mut stream = Stream::new(3, "even");
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        // Each count is binomial with mean 10,000 and a standard deviation of 93.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 500), "{counts:?}");
    }

    #[test]
    fn between_covers_both_ends_and_the_whole_range() {
        let mut stream = Stream::new(4, "ends");
        let draws: Vec<u64> = (0..200).map(|_| stream.between(5, 8)).collect();
        assert!((5..=8).all(|wanted| draws.contains(&wanted)) && draws.iter().all(|draw| (5..=8).contains(draw)));
        assert_eq!(stream.between(9, 9), 9);
        stream.between(0, u64::MAX);
    }

    #[test]
    fn a_shuffle_keeps_all_items_and_moves_some() {
        let mut items: Vec<u32> = (0..50).collect();
        Stream::new(5, "shuffle").shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
