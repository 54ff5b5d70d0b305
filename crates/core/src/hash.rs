//! A fast 64-bit hash that gives the same number on every machine.
//!
//! It serves the trace hash and the store's table. It is not keyed: it must be repeatable, and no adversary chooses
//! what a simulation hashes.

use std::hash::{Hash, Hasher};

/// Digits of pi, as an odd constant without structure.
const MULTIPLIER: u64 = 0x243F_6A88_85A3_08D3 | 1;
const START: u64 = 0x1319_8A2E_0370_7344;

/// A [`Hasher`] that takes in a 64-bit word by one multiplication and a rotation, and mixes once more at the end.
///
/// Each step maps different states to different states, so two different hashes stay different as long as they are fed
/// the same words: only a second difference that happens to undo the first can make them equal again.
///
/// All integers are widened to 64 bits and bytes are read in little-endian order. So the result does not depend on the
/// pointer width or the byte order of a machine.
#[derive(Clone, Copy, Debug)]
pub struct StableHasher(u64);

impl StableHasher {
    /// An empty hash.
    pub const fn new() -> StableHasher {
        StableHasher(START)
    }

    /// Folds one word in.
    #[inline]
    pub fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(MULTIPLIER).rotate_left(29);
    }

    /// The hash so far.
    pub const fn value(self) -> u64 {
        // The finalizer of MurmurHash3: every bit of the state reaches every bit of the hash.
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        mixed ^ (mixed >> 33)
    }

    /// Hash of one value.
    pub fn of<T: Hash + ?Sized>(value: &T) -> u64 {
        let mut hasher = StableHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }
}

impl Default for StableHasher {
    fn default() -> StableHasher {
        StableHasher::new()
    }
}

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        self.value()
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for chunk in &mut words {
            self.word(u64::from_le_bytes(chunk.try_into().expect("chunks of eight bytes")));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, i: u8) {
        self.word(u64::from(i));
    }

    fn write_u16(&mut self, i: u16) {
        self.word(u64::from(i));
    }

    fn write_u32(&mut self, i: u32) {
        self.word(u64::from(i));
    }

    fn write_u64(&mut self, i: u64) {
        self.word(i);
    }

    fn write_u128(&mut self, i: u128) {
        self.word(i as u64);
        self.word((i >> 64) as u64);
    }

    fn write_usize(&mut self, i: usize) {
        self.word(i as u64);
    }

    fn write_i8(&mut self, i: i8) {
        self.word(i as u64);
    }

    fn write_i16(&mut self, i: i16) {
        self.word(i as u64);
    }

    fn write_i32(&mut self, i: i32) {
        self.word(i as u64);
    }

    fn write_i64(&mut self, i: i64) {
        self.word(i as u64);
    }

    fn write_i128(&mut self, i: i128) {
        self.write_u128(i as u128);
    }

    fn write_isize(&mut self, i: isize) {
        self.word(i as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_same_number_everywhere() {
        // Written down once; a change here changes every golden trace hash.
        assert_eq!(StableHasher::of("seedbed"), 3_937_738_533_813_589_794);
        assert_eq!(StableHasher::of(&(1u8, 2u64)), StableHasher::of(&(1usize, 2u32)));
    }

    #[test]
    fn every_byte_and_every_boundary_counts() {
        let texts = ["", "a", "b", "ab", "ba", "abcdefgh", "abcdefgi", "abcdefgha"];
        for (i, left) in texts.iter().enumerate() {
            for right in &texts[i + 1..] {
                assert_ne!(StableHasher::of(left), StableHasher::of(right), "{left} and {right}");
            }
        }
        assert_ne!(StableHasher::of(&("ab", "c")), StableHasher::of(&("a", "bc")));
    }

    #[test]
    fn hashes_that_differ_stay_different() {
        let (mut one, mut two) = (StableHasher::new(), StableHasher::new());
        one.word(7);
        two.word(8);
        for word in 0..10_000 {
            assert_ne!(one.value(), two.value());
            one.word(word);
            two.word(word);
        }
    }

    #[test]
    fn one_bit_of_the_input_changes_half_of_the_hash() {
        let mut changed = 0;
        for bit in 0..64 {
            changed += (StableHasher::of(&(1u64, 1u64 << bit)) ^ StableHasher::of(&(1u64, 0u64))).count_ones();
        }
        assert!((28 * 64..=36 * 64).contains(&changed), "{changed} of {}", 64 * 64);
    }
}
