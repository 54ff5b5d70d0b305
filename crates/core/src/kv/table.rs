//! The newest put of each key, in shards that frozen copies share.
//!
//! A large store must be copied while it serves. So its puts lie in shards of some hundred keys, each behind an [`Arc`]:
//! a frozen copy takes the list of shards and no key. A later put first copies its own shard if a frozen copy holds it.
//!
//! The top bits of a key's hash choose its shard, through a directory of shard numbers (extendible hashing: Fagin,
//! Nievergelt, Pippenger and Strong, 1979). A shard that grows too large splits in two by its next bit, and the directory
//! doubles if it has no place for both. So no put moves more than the keys of one shard, however many there are. The
//! shards in the order of the directory are in the order of their keys' hashes.
//!
//! A table of few keys is a single shard by value, without a directory. Every simulated run has such a one, and its puts
//! are the fastest path of the explorer.
//!
//! Caveats:
//! - The hash is not keyed. Keys that were chosen to share many top bits stay in one large shard, because the directory
//!   does not grow for a few shards alone. Copying that shard takes longer, and so does each chunk of a snapshot from it.
//! - The directory never shrinks before all keys are in one shard again. It takes about a thirtieth of a byte for each
//!   key of the largest number that there was.

use std::sync::Arc;

use hashbrown::HashTable;

use super::Command;

/// A shard of more keys than this splits. It bounds the keys that a put moves or copies.
const SHARD_KEYS_MAX: usize = 512;

/// Two siblings with at most this many keys in total become one shard. It is a quarter of what makes a shard split, so
/// each split or merge follows hundreds of puts or removals.
const MERGED_KEYS_MAX: usize = SHARD_KEYS_MAX / 4;

/// The shards of a restored table have this many keys on average at most, so that few are above [`SHARD_KEYS_MAX`].
const RESTORED_KEYS_MAX: usize = 384;

/// The directory doubles only while it has fewer places than this for each shard. Hashes without structure need about 3.
const PLACES_PER_SHARD: usize = 8;

/// A shard with room for at most this many keys is never made smaller.
const SPARE_MIN: usize = 64;

/// The newest put of each key.
///
/// Invariants:
/// - `len` and `bytes` are the number and the total [`Command::bytes`] of all puts.
/// - While there is a directory, it has at least two shards, and `few` is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// All puts, while they fit into one shard.
    few: Shard,
    many: Option<Box<Directory>>,
    len: usize,
    bytes: usize,
}

impl Table {
    /// An empty table with the shards for this many keys. Keys that come in the order of their hashes would split the
    /// first shards again and again, and leave them too large.
    pub fn for_keys(keys: usize) -> Table {
        let many = (keys > SHARD_KEYS_MAX).then(|| Box::new(Directory::for_keys(keys)));
        Table { many, ..Table::default() }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The sum of [`Command::bytes`] of all puts.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The newest put of a key.
    #[inline]
    pub fn find(&self, key_hash: u64, key: &str) -> Option<&Arc<Command>> {
        match &self.many {
            None => &self.few,
            Some(many) => &many.entries[many.number(key_hash)].shard,
        }
        .find(key_hash, key)
    }

    /// Keeps this put in place of the last one of its key.
    #[inline]
    pub fn put(&mut self, command: &Arc<Command>) {
        let shard = match &mut self.many {
            None => &mut self.few,
            Some(many) => many.shard_mut(command.key_hash),
        };
        self.bytes += command.bytes;
        match shard.put(command) {
            Some(replaced) => self.bytes -= replaced,
            None => {
                self.len += 1;
                if shard.len() > SHARD_KEYS_MAX {
                    self.split(command.key_hash);
                }
            }
        }
    }

    #[cold]
    fn split(&mut self, key_hash: u64) {
        match &mut self.many {
            None => self.many = Some(Box::new(Directory::of(std::mem::take(&mut self.few)))),
            Some(many) => many.split(key_hash),
        }
    }

    /// Removes the put of a key, if there is one.
    pub fn remove(&mut self, key_hash: u64, key: &str) {
        // Looked up first, because a removal of nothing must not copy a shard.
        let Some(bytes) = self.find(key_hash, key).map(|command| command.bytes) else { return };
        self.len -= 1;
        self.bytes -= bytes;
        match &mut self.many {
            None => self.few.remove(key_hash, key),
            Some(many) => {
                many.shard_mut(key_hash).remove(key_hash, key);
                if let Some(last) = many.merge(key_hash) {
                    self.few = last;
                    self.many = None;
                }
            }
        }
    }

    /// All shards as they are now, in the order of their keys' hashes, each with the number of keys in those before it.
    /// Later puts do not change them.
    pub fn shards(&self) -> Vec<(usize, Arc<Shard>)> {
        let Some(many) = &self.many else { return vec![(0, Arc::new(self.few.clone()))] };
        // Room is made once: growing step by step would take several times as long.
        let mut shards = Vec::with_capacity(many.entries.len());
        let mut keys = 0;
        for shard in many.in_order() {
            shards.push((keys, Arc::clone(shard)));
            keys += shard.len();
        }
        shards
    }

    /// How many keys there is room for.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.shards().iter().map(|(_, shard)| shard.puts.capacity()).sum()
    }
}

/// The shards of many keys.
///
/// Invariants:
/// - `places` has a power of two of shard numbers, two at least. The top bits of a hash are its place; `shift` is how
///   far a hash is shifted to the right to get them.
/// - A shard of depth d has all keys whose hashes begin with the same d bits as `from`, which ends in zeros. All the
///   places of these hashes have its number.
/// - Each number below `entries.len()` is in use.
#[derive(Clone, Debug)]
struct Directory {
    places: Vec<u32>,
    shift: u32,
    entries: Vec<Entry>,
}

/// A shard, and the hashes that belong to it.
#[derive(Clone, Debug)]
struct Entry {
    shard: Arc<Shard>,
    from: u64,
    depth: u32,
}

impl Directory {
    /// The two halves of a shard that has all keys.
    fn of(shard: Shard) -> Directory {
        let bit = 1 << 63;
        let (low, high) = shard.split(bit);
        let entries = vec![
            Entry { shard: Arc::new(low), from: 0, depth: 1 },
            Entry { shard: Arc::new(high), from: bit, depth: 1 },
        ];
        Directory { places: vec![0, 1], shift: 63, entries }
    }

    /// Empty shards for this many keys, which are more than fit into one.
    fn for_keys(keys: usize) -> Directory {
        let count = keys.div_ceil(RESTORED_KEYS_MAX).next_power_of_two();
        let depth = count.trailing_zeros();
        let shift = u64::BITS - depth;
        let entry =
            |number: u64| Entry { shard: Arc::new(Shard::with_capacity(keys / count)), from: number << shift, depth };
        Directory { places: (0..count as u32).collect(), shift, entries: (0..count as u64).map(entry).collect() }
    }

    fn place(&self, key_hash: u64) -> usize {
        (key_hash >> self.shift) as usize
    }

    fn number(&self, key_hash: u64) -> usize {
        self.places[self.place(key_hash)] as usize
    }

    /// The shard of a hash, copied first if a frozen copy holds it.
    fn shard_mut(&mut self, key_hash: u64) -> &mut Shard {
        let number = self.number(key_hash);
        Arc::make_mut(&mut self.entries[number].shard)
    }

    /// Splits the shard of this hash in two. One half may have all keys; then the next put splits it again.
    fn split(&mut self, key_hash: u64) {
        let number = self.number(key_hash);
        if self.places.len() >> self.entries[number].depth == 1 {
            if self.places.len() >= PLACES_PER_SHARD * self.entries.len() {
                return;
            }
            self.places = self.places.iter().flat_map(|&number| [number, number]).collect();
            self.shift -= 1;
        }
        let entry = &mut self.entries[number];
        entry.depth += 1;
        let bit = 1 << (u64::BITS - entry.depth);
        let shard = Arc::make_mut(&mut entry.shard);
        let (low, high) = std::mem::take(shard).split(bit);
        *shard = low;
        let high = Entry { shard: Arc::new(high), from: entry.from | bit, depth: entry.depth };
        self.entries.push(high);
        self.enter(self.entries.len() - 1);
    }

    /// Merges the shard of this hash with its sibling if both are small. Returns the shard that has all keys if only one
    /// is left.
    fn merge(&mut self, key_hash: u64) -> Option<Shard> {
        let Entry { ref shard, from, depth } = self.entries[self.number(key_hash)];
        if shard.len() > MERGED_KEYS_MAX {
            return None;
        }
        let bit = 1 << (u64::BITS - depth);
        let sibling = &self.entries[self.number(from ^ bit)];
        if sibling.depth != depth || shard.len() + sibling.shard.len() > MERGED_KEYS_MAX {
            return None;
        }
        let merged = Shard::merged(shard, &sibling.shard);
        if self.entries.len() == 2 {
            return Some(merged);
        }
        let goes = self.number(from | bit);
        self.entries.swap_remove(goes);
        if goes < self.entries.len() {
            self.enter(goes);
        }
        // Looked up only now, because its number may just have changed.
        let stays = self.number(from & !bit);
        self.entries[stays] = Entry { shard: Arc::new(merged), from: from & !bit, depth: depth - 1 };
        self.enter(stays);
        None
    }

    /// Writes the number of a shard to all its places.
    fn enter(&mut self, number: usize) {
        let Entry { from, depth, .. } = self.entries[number];
        let (first, count) = (self.place(from), self.places.len() >> depth);
        self.places[first..first + count].fill(number as u32);
    }

    /// All shards in the order of their keys' hashes.
    fn in_order(&self) -> impl Iterator<Item = &Arc<Shard>> {
        let mut place = 0;
        std::iter::from_fn(move || {
            let entry = &self.entries[*self.places.get(place)? as usize];
            place += self.places.len() >> entry.depth;
            Some(&entry.shard)
        })
    }
}

/// The puts of some keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Shard {
    puts: HashTable<Arc<Command>>,
}

/// The hash for the table of a shard. Such a table chooses a place by the low bits and tells keys apart by the top seven
/// bits. Those of the whole hash would tell nothing here, because they have chosen the shard.
fn inner_hash(key_hash: u64) -> u64 {
    key_hash.rotate_left(32)
}

fn inner_hash_of(command: &Arc<Command>) -> u64 {
    inner_hash(command.key_hash)
}

impl Shard {
    fn with_capacity(keys: usize) -> Shard {
        Shard { puts: HashTable::with_capacity(keys) }
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.puts.len()
    }

    /// Its puts, sorted by hash of the key and then by key. The table's own order is not the same on every machine.
    pub fn sorted(&self) -> Vec<Arc<Command>> {
        let mut sorted: Vec<(u64, &Arc<Command>)> = self.puts.iter().map(|put| (put.key_hash, put)).collect();
        sorted.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| one.1.key.cmp(&other.1.key)));
        sorted.into_iter().map(|(_, put)| Arc::clone(put)).collect()
    }

    #[inline]
    fn find(&self, key_hash: u64, key: &str) -> Option<&Arc<Command>> {
        self.puts.find(inner_hash(key_hash), |put| *put.key == *key)
    }

    /// Returns the bytes of the put that this one replaces.
    #[inline]
    fn put(&mut self, command: &Arc<Command>) -> Option<usize> {
        let hash = inner_hash(command.key_hash);
        // Equal keys are mostly the same string in memory, too.
        let is_same = |other: &Arc<Command>| {
            other.key_hash == command.key_hash && (Arc::ptr_eq(&other.key, &command.key) || other.key == command.key)
        };
        match self.puts.find_mut(hash, is_same) {
            Some(put) => {
                let replaced = put.bytes;
                put.clone_from(command);
                Some(replaced)
            }
            None => {
                self.puts.insert_unique(hash, Arc::clone(command), inner_hash_of);
                None
            }
        }
    }

    /// Removes a key, and frees memory when most have been removed. This happens rarely, so a removal has a constant
    /// average cost.
    fn remove(&mut self, key_hash: u64, key: &str) {
        if let Ok(entry) = self.puts.find_entry(inner_hash(key_hash), |put| *put.key == *key) {
            entry.remove();
        }
        if self.puts.capacity() > SPARE_MIN && self.puts.len() < self.puts.capacity() / 8 {
            self.puts.shrink_to(2 * self.puts.len(), inner_hash_of);
        }
    }

    /// The keys whose hash has not this bit, and those whose hash has it.
    fn split(self, bit: u64) -> (Shard, Shard) {
        let half = self.len() / 2;
        let (mut low, mut high) = (Shard::with_capacity(half), Shard::with_capacity(half));
        for put in self.puts {
            let shard = if put.key_hash & bit == 0 { &mut low } else { &mut high };
            shard.puts.insert_unique(inner_hash(put.key_hash), put, inner_hash_of);
        }
        (low, high)
    }

    /// The keys of both, which have no key in common.
    fn merged(one: &Shard, other: &Shard) -> Shard {
        let mut merged = Shard::with_capacity(one.len() + other.len());
        for put in one.puts.iter().chain(&other.puts) {
            merged.puts.insert_unique(inner_hash(put.key_hash), Arc::clone(put), inner_hash_of);
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rng::Stream;

    fn command(key: &str, value: &str) -> Arc<Command> {
        Arc::new(Command::new(key.into(), value.into()))
    }

    /// A put of a key that has this hash, whatever its name.
    fn hashed(key_hash: u64) -> Arc<Command> {
        Arc::new(Command { key_hash, ..Command::new(format!("{key_hash:x}").into(), "v".into()) })
    }

    fn sorted(table: &Table) -> Vec<Arc<Command>> {
        table.shards().iter().flat_map(|(_, shard)| shard.sorted()).collect()
    }

    /// Checks all invariants.
    fn check(table: &Table) {
        let all = sorted(table);
        assert_eq!(table.len(), all.len());
        assert_eq!(table.bytes(), all.iter().map(|put| put.bytes).sum::<usize>());
        assert!(all.is_sorted_by(|one, other| (one.key_hash, &one.key) < (other.key_hash, &other.key)));
        let Some(many) = &table.many else { return };
        assert_eq!(table.few.len(), 0);
        assert!(many.entries.len() >= 2);
        assert_eq!(many.places.len(), 1 << (u64::BITS - many.shift));
        assert!(many.places.len() <= 2 * PLACES_PER_SHARD * many.entries.len(), "unless shards have merged");
        assert_eq!(many.in_order().count(), many.entries.len());
        for (place, &number) in many.places.iter().enumerate() {
            let Entry { shard, from, depth } = &many.entries[number as usize];
            let belongs = |hash: u64| (hash ^ from) >> (u64::BITS - depth) == 0;
            assert!(belongs((place as u64) << many.shift));
            assert!(shard.puts.iter().all(|put| belongs(put.key_hash)));
        }
    }

    #[test]
    fn shards_split_and_merge_as_keys_come_and_go() {
        let mut table = Table::default();
        for i in 0..20_000 {
            table.put(&command(&i.to_string(), "v"));
            if i % 1_000 == 999 {
                check(&table);
            }
        }
        let many = table.many.as_ref().expect("a directory");
        assert!((40..100).contains(&many.entries.len()), "{}", many.entries.len());
        assert!(many.in_order().all(|shard| shard.len() <= SHARD_KEYS_MAX));
        for i in 0..20_000 {
            let gone = command(&i.to_string(), "");
            table.remove(gone.key_hash, &gone.key);
            assert!(table.find(gone.key_hash, &gone.key).is_none());
            assert_eq!(table.len(), 19_999 - i);
        }
        assert!(table.many.is_none(), "one shard is left");
        check(&table);
        assert!(table.capacity() <= 2 * MERGED_KEYS_MAX, "{}", table.capacity());
    }

    #[test]
    fn a_table_of_few_keys_has_one_shard_and_no_directory() {
        let mut table = Table::default();
        for i in 0..SHARD_KEYS_MAX {
            table.put(&command(&i.to_string(), "v"));
            assert!(table.many.is_none());
        }
        table.put(&command("one more", "v"));
        assert!(table.many.is_some());
    }

    #[test]
    fn keys_in_the_order_of_their_hashes_fill_a_restored_table_evenly() {
        let mut hashes = Stream::new(3, "hashes");
        let mut puts: Vec<_> = (0..50_000).map(|_| hashed(hashes.next_u64())).collect();
        puts.sort_unstable_by_key(|put| put.key_hash);
        let mut table = Table::for_keys(puts.len());
        puts.iter().for_each(|put| table.put(put));
        check(&table);
        assert_eq!(sorted(&table), puts);
        assert!(table.shards().iter().all(|(_, shard)| shard.len() <= SHARD_KEYS_MAX));
    }

    #[test]
    fn keys_that_share_the_top_bits_of_their_hashes_do_not_inflate_the_directory() {
        let mut table = Table::default();
        let puts: Vec<_> = (0..5_000).map(hashed).collect();
        puts.iter().for_each(|put| table.put(put));
        check(&table);
        let places = table.many.as_ref().map(|many| many.places.len());
        assert!(places <= Some(2 * PLACES_PER_SHARD * 10), "{places:?}");
        assert_eq!(sorted(&table), puts);
        for put in &puts {
            assert_eq!(table.find(put.key_hash, &put.key), Some(put));
            table.remove(put.key_hash, &put.key);
        }
        assert_eq!((table.len(), table.bytes(), table.many.is_none()), (0, 0, true));
    }

    #[test]
    fn two_keys_with_the_same_hash_are_two_keys() {
        let mut table = Table::default();
        let puts = ["a", "b", "c"].map(|key| Arc::new(Command { key_hash: 7, ..Command::new(key.into(), "v".into()) }));
        puts.iter().rev().for_each(|put| table.put(put));
        assert_eq!(sorted(&table), puts);
        table.remove(7, "b");
        assert_eq!(sorted(&table), [Arc::clone(&puts[0]), Arc::clone(&puts[2])]);
    }

    #[test]
    fn no_put_and_no_removal_copies_more_than_one_shard() {
        let mut random = Stream::new(1, "table");
        let mut table = Table::default();
        for growing in [true, false, true, false] {
            for _ in 0..12_000 {
                let put = command(&random.below(6_000).to_string(), "v");
                let before = table.shards();
                if random.chance(if growing { 0.9 } else { 0.1 }) {
                    table.put(&put);
                } else {
                    table.remove(put.key_hash, &put.key);
                }
                let after: BTreeMap<_, _> =
                    table.shards().iter().map(|(_, shard)| (Arc::as_ptr(shard), shard.len())).collect();
                let replaced = before.iter().filter(|(_, shard)| !after.contains_key(&Arc::as_ptr(shard)));
                // A table of few keys is not behind an `Arc`, so it always counts.
                let (shards, keys) =
                    replaced.fold((0, 0), |(shards, keys), (_, shard)| (shards + 1, keys + shard.len()));
                assert!(keys <= SHARD_KEYS_MAX && (shards <= 1 || keys <= MERGED_KEYS_MAX + 1), "{shards} {keys}");
            }
        }
    }

    #[test]
    fn a_removal_of_nothing_copies_nothing() {
        let mut table = Table::default();
        (0..2_000).for_each(|i| table.put(&command(&i.to_string(), "v")));
        let before = table.shards();
        for i in 2_000..3_000 {
            let gone = command(&i.to_string(), "");
            table.remove(gone.key_hash, &gone.key);
        }
        assert!(before.iter().zip(&table.shards()).all(|(one, other)| Arc::ptr_eq(&one.1, &other.1)));
    }
}
