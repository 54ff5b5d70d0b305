//! The order in which mutants are drawn: by chance, from a fixed seed, and each file gets its share.
//!
//! The generator is written down here, so that a seed means the same sample under every version of any library.

use std::collections::BTreeMap;

/// The order in which the things of these files are drawn. Of every beginning of it, a file has the share that it has of
/// all, up to one thing more or less.
///
/// `files` says for each thing which file it is in.
pub fn order(files: &[&str], seed: u64) -> Vec<usize> {
    let mut by_file: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (thing, file) in files.iter().enumerate() {
        by_file.entry(file).or_default().push(thing);
    }
    let mut keys: Vec<(f64, &str, usize)> = Vec::new();
    for (file, things) in &mut by_file {
        let mut random = Random::new(seed, file);
        random.shuffle(things);
        // The files' things are spread evenly over one line, on which a file's first thing stands by chance.
        let offset = random.fraction();
        let count = things.len() as f64;
        keys.extend(things.iter().enumerate().map(|(nth, thing)| ((nth as f64 + offset) / count, *file, *thing)));
    }
    keys.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
    keys.into_iter().map(|(_, _, thing)| thing).collect()
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    /// A stream of its own for each seed and name.
    fn new(seed: u64, name: &str) -> Random {
        // FNV-1a.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut random = Random(seed);
        Random(random.next() ^ hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In 0..1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Fisher and Yates.
    fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_one_order_for_ever_and_another_seed_another_one() {
        let files = ["a", "a", "b", "a", "c", "b", "a", "a"];
        assert_eq!(order(&files, 1), order(&files, 1));
        insta::assert_snapshot!(format!("{:?}\n{:?}", order(&files, 1), order(&files, 2)));
    }

    #[test]
    fn every_beginning_of_the_order_has_each_files_share() {
        let files: Vec<&str> =
            [("a", 600), ("b", 300), ("c", 100)].iter().flat_map(|(file, n)| vec![*file; *n]).collect();
        let order = order(&files, 3);
        let mut all = order.clone();
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
        for length in [10, 80, 555] {
            let count = |name: &str| order[..length].iter().filter(|&&thing| files[thing] == name).count() as f64;
            for (name, share) in [("a", 0.6), ("b", 0.3), ("c", 0.1)] {
                assert!((count(name) - share * length as f64).abs() <= 1.0, "{name} of {length}: {}", count(name));
            }
        }
    }

    #[test]
    fn within_a_file_every_thing_comes_first_equally_often() {
        let files = ["a"; 4];
        let mut first = [0; 4];
        for seed in 0..4_000 {
            first[order(&files, seed)[0]] += 1;
        }
        // Five standard deviations: 137.
        assert!(first.iter().all(|count| (1_000_i32 - count).abs() < 137), "{first:?}");
    }
}
