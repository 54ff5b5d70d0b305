//! The key-value store: the state machine that the log drives. It knows keys and values, and nothing of Raft.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashTable;

use crate::consensus::applied_digest;
use crate::hash::StableHasher;
use crate::protocol::{Text, text_bytes};

/// A change of the store: set one key to one value.
///
/// A command is made once, by the replica that a client asked, and shared by all logs and stores of a process. So its
/// hashes and its length are computed once, too.
#[derive(Debug)]
pub struct Command {
    key: Text,
    value: Text,
    key_hash: u64,
    digest: u64,
    bytes: usize,
}

impl Command {
    /// A put of this value to this key.
    pub fn new(key: Text, value: Text) -> Command {
        let key_hash = StableHasher::of(&*key);
        let digest = StableHasher::of(&(key_hash, &*value));
        let bytes = text_bytes(&key) + text_bytes(&value);
        Command { key, value, key_hash, digest, bytes }
    }

    /// The key to set.
    pub fn key(&self) -> &Text {
        &self.key
    }

    /// Its new value.
    pub fn value(&self) -> &Text {
        &self.value
    }

    /// A digest of key and value.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many bytes key and value take in a message at most, as [`text_bytes`] measures them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl PartialEq for Command {
    fn eq(&self, other: &Command) -> bool {
        self.digest == other.digest && self.key == other.key && self.value == other.value
    }
}

impl Eq for Command {}

impl Hash for Command {
    /// Feeds the digest of key and value, which is cheaper than the text and as telling.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

/// What all applied commands have come to.
///
/// Each key keeps the newest command that set it; nothing is copied and nothing depends on the table's order.
#[derive(Clone, Debug, Default)]
pub struct Store {
    table: HashTable<Arc<Command>>,
    digest: u64,
}

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store::default()
    }

    /// Applies the next command of the log.
    #[inline]
    pub fn apply(&mut self, command: &Arc<Command>) {
        self.digest = applied_digest(self.digest, command.digest);
        // The same key is mostly the same text in memory, too.
        let same = |other: &Arc<Command>| {
            other.key_hash == command.key_hash && (Arc::ptr_eq(&other.key, &command.key) || other.key == command.key)
        };
        match self.table.find_mut(command.key_hash, same) {
            Some(slot) => slot.clone_from(command),
            None => {
                self.table.insert_unique(command.key_hash, Arc::clone(command), |other| other.key_hash);
            }
        }
    }

    /// The digest of all commands so far, in order ([`applied_digest`]).
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The value of a key; none if it was never put.
    pub fn get(&self, key: &str) -> Option<&Text> {
        self.table.find(StableHasher::of(key), |command| *command.key == *key).map(|command| &command.value)
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &mut Store, key: &str, value: &str) {
        store.apply(&Arc::new(Command::new(key.into(), value.into())));
    }

    #[test]
    fn a_get_finds_the_newest_put_of_its_key_and_nothing_for_others() {
        let mut store = Store::new();
        for i in 0..1_000 {
            put(&mut store, &format!("key {}", i % 100), &format!("value {i}"));
        }
        assert_eq!(store.len(), 100);
        for i in 0..100 {
            assert_eq!(store.get(&format!("key {i}")).map(|value| &**value), Some(&*format!("value {}", 900 + i)));
        }
        assert_eq!(store.get("never put"), None);
    }

    #[test]
    fn a_command_is_as_long_as_its_text_in_ascii() {
        assert_eq!(Command::new("key".into(), "value".into()).bytes(), 8);
        assert_eq!(Command::new("é".into(), "\u{1F600}\n".into()).bytes(), 6 + 12 + 2);
    }

    #[test]
    fn the_digest_of_a_command_tells_keys_from_values() {
        let digest = |key: &str, value: &str| StableHasher::of(&Command::new(key.into(), value.into()));
        assert_ne!(digest("a", "bc"), digest("ab", "c"));
        assert_ne!(digest("a", "b"), digest("b", "a"));
        assert_eq!(digest("a", "b"), digest("a", "b"));
    }
}
