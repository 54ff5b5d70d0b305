//! The key-value store: the state machine that the log drives. It knows keys and values, and nothing of Raft.
//!
//! A command may carry a condition (compare-and-swap) and the name of a request. The store remembers the newest named
//! request of each client and its outcome. A repeated request is answered and not applied again (section 8 of the
//! paper). This memory changes only with applied commands, so it is the same in all replicas.

mod encoding;
mod frozen;
mod sessions;
mod table;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::consensus::applied_digest;
use crate::hash::StableHasher;
use crate::service::{RequestId, Text, Update, text_bytes};
pub use frozen::Frozen;
pub use sessions::CLIENTS_MAX;
use sessions::Sessions;
use table::Table;

/// A change of the store: set one key to one value, perhaps on a condition and only once.
///
/// A command is made once, by the replica that received the request, and shared by all logs and stores of a process. So
/// its hashes and its length are computed once, too.
#[derive(Debug)]
pub struct Command {
    key: Text,
    value: Text,
    key_hash: u64,
    digest: u64,
    bytes: usize,
    /// None in a put. In a box, because most commands are puts.
    terms: Option<Box<Terms>>,
}

/// On which terms a command is applied.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Terms {
    expected: Option<Text>,
    request: Option<RequestId>,
}

/// How many bytes a request's name, and that of no expected value, take in a message at most.
const REQUEST_BYTES: usize = 48;

impl Command {
    /// A put of this value to this key.
    pub fn new(key: Text, value: Text) -> Command {
        let key_hash = StableHasher::of(&*key);
        let digest = StableHasher::of(&(key_hash, &*value));
        let bytes = text_bytes(&key) + text_bytes(&value);
        Command { key, value, key_hash, digest, bytes, terms: None }
    }

    /// A put that is done only if the key has the expected value (if one is given), and only once (if the request has a
    /// name).
    pub fn on_terms(key: Text, value: Text, expected: Option<Text>, request: Option<RequestId>) -> Command {
        let put = Command::new(key, value);
        if expected.is_none() && request.is_none() {
            return put;
        }
        let terms = Box::new(Terms { expected, request });
        let digest = StableHasher::of(&(put.digest, &terms));
        let bytes = put.bytes + terms.expected.as_deref().map_or(0, text_bytes) + REQUEST_BYTES;
        Command { digest, bytes, terms: Some(terms), ..put }
    }

    /// A store's memory of a client, as a command of a snapshot.
    fn of_session(request: RequestId, found: Option<Text>) -> Command {
        Command::on_terms(Text::default(), Text::default(), found, Some(request))
    }

    /// The key to set.
    pub fn key(&self) -> &Text {
        &self.key
    }

    /// Its new value.
    pub fn value(&self) -> &Text {
        &self.value
    }

    /// The command is applied only if the key has this value.
    pub fn expected(&self) -> Option<&Text> {
        self.terms.as_ref()?.expected.as_ref()
    }

    /// The request that it is applied for, once.
    pub fn request(&self) -> Option<RequestId> {
        self.terms.as_ref()?.request
    }

    /// A digest of all of it.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many bytes it takes in a message at most, as [`text_bytes`] measures key and value.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl PartialEq for Command {
    fn eq(&self, other: &Command) -> bool {
        self.digest == other.digest && self.key == other.key && self.value == other.value && self.terms == other.terms
    }
}

impl From<&Update> for Command {
    fn from(update: &Update) -> Command {
        let Update { key, value, expected, request } = update.clone();
        Command::on_terms(key, value, expected, request)
    }
}

impl Eq for Command {}

impl Hash for Command {
    /// Feeds the digest, which is cheaper than the strings and as distinctive.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

/// The outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was done, now or at its first arrival.
    Done,
    /// The key had this value in place of the expected one, so nothing was changed.
    Found(Text),
    /// Its client has had a later request applied, so nothing was changed. The outcome of this one is no longer known.
    Outdated,
}

/// The result of all applied commands.
///
/// Invariants:
/// - Each key keeps the newest put that set it; nothing is copied and nothing depends on the table's order. No key has
///   the value "", which means no value.
/// - For each of the last [`CLIENTS_MAX`] active clients, the newest request and its outcome are known.
#[derive(Clone, Debug, Default)]
pub struct Store {
    table: Table,
    sessions: Sessions,
    digest: u64,
}

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store::default()
    }

    /// Applies the next command of the log, and returns the outcome.
    #[inline]
    pub fn apply(&mut self, command: &Arc<Command>) -> Applied {
        self.digest = applied_digest(self.digest, command.digest);
        match &command.terms {
            None => self.set(command),
            Some(terms) => return self.apply_on(terms, command),
        }
        Applied::Done
    }

    fn apply_on(&mut self, terms: &Terms, command: &Command) -> Applied {
        if let Some(known) = terms.request.and_then(|request| self.sessions.look_up(request)) {
            return known;
        }
        let found = terms.expected.as_ref().and_then(|expected| {
            let found = self.find(command.key_hash, &command.key).cloned().unwrap_or_default();
            Some(found).filter(|found| found != expected)
        });
        if found.is_none() {
            // The stored put no longer needs its terms.
            self.set(&Arc::new(Command::new(command.key.clone(), command.value.clone())));
        }
        if let Some(request) = terms.request {
            self.sessions.note(request, found.clone());
        }
        found.map_or(Applied::Done, Applied::Found)
    }

    #[inline]
    fn set(&mut self, command: &Arc<Command>) {
        if command.value.is_empty() {
            self.table.remove(command.key_hash, &command.key);
        } else {
            self.table.put(command);
        }
    }

    /// The digest of all commands so far, in order ([`applied_digest`]).
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The value of a key; none if it was never put, or was removed.
    pub fn get(&self, key: &str) -> Option<&Text> {
        self.find(StableHasher::of(key), key)
    }

    fn find(&self, key_hash: u64, key: &str) -> Option<&Text> {
        self.table.find(key_hash, key).map(|command| &command.value)
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many clients are remembered.
    pub fn clients(&self) -> usize {
        self.sessions.len()
    }

    /// The sum of [`Command::bytes`] of all commands from which [`Store::restored`] rebuilds this store.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.sessions.bytes()
    }

    /// The store as it is now, to be read while this one goes on. It copies no keys but for those of a small store, only
    /// the list of their shards, and the memory of clients.
    pub fn freeze(&self) -> Frozen {
        Frozen::new(self.table.shards(), self.len(), self.sessions.remembered(), self.bytes(), self.digest)
    }

    /// The store of these [commands](Frozen::commands), with the digest that it had.
    pub fn restored(commands: impl IntoIterator<Item = Arc<Command>>, digest: u64) -> Store {
        // Counted first, because keys that come in order need the right number of shards from the beginning.
        let commands: Vec<Arc<Command>> = commands.into_iter().collect();
        let keys = commands.iter().filter(|command| command.request().is_none()).count();
        let mut store = Store { table: Table::for_keys(keys), digest, ..Store::default() };
        for command in commands {
            match command.request() {
                Some(request) => store.sessions.note(request, command.expected().cloned()),
                None => store.set(&command),
            }
        }
        store
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &mut Store, key: &str, value: &str) {
        assert_eq!(store.apply(&Arc::new(Command::new(key.into(), value.into()))), Applied::Done);
    }

    fn update(store: &mut Store, key: &str, value: &str, expected: Option<&str>, id: Option<(u64, u64)>) -> Applied {
        let request = id.map(|(client, number)| RequestId { client, number });
        let update = Update { key: key.into(), value: value.into(), expected: expected.map(Text::from), request };
        store.apply(&Arc::new(Command::from(&update)))
    }

    fn all(store: &Store) -> Vec<Arc<Command>> {
        store.freeze().commands(0).collect()
    }

    #[test]
    fn a_repeated_update_is_applied_once_and_answered_as_the_first_time() {
        let mut store = Store::new();
        assert_eq!(update(&mut store, "k", "a", None, Some((7, 1))), Applied::Done);
        put(&mut store, "k", "b");
        assert_eq!(update(&mut store, "k", "a", None, Some((7, 1))), Applied::Done);
        assert_eq!(store.get("k").map(|value| &**value), Some("b"));
        let found = Applied::Found("b".into());
        assert_eq!(update(&mut store, "k", "c", Some("a"), Some((7, 2))), found);
        put(&mut store, "k", "a");
        assert_eq!(update(&mut store, "k", "c", Some("a"), Some((7, 2))), found, "also if it would be done now");
        assert_eq!(update(&mut store, "k", "x", None, Some((7, 1))), Applied::Outdated);
        assert_eq!(update(&mut store, "k", "c", Some("a"), Some((8, 1))), Applied::Done, "clients do not mix");
        assert_eq!((store.get("k").map(|value| &**value), store.clients()), (Some("c"), 2));
    }

    #[test]
    fn an_update_that_expects_no_value_creates_a_key_and_one_that_puts_none_removes_it() {
        let mut store = Store::new();
        assert_eq!(update(&mut store, "k", "a", Some(""), None), Applied::Done);
        assert_eq!(update(&mut store, "k", "b", Some(""), None), Applied::Found("a".into()));
        assert_eq!(update(&mut store, "k", "", Some("a"), None), Applied::Done);
        assert_eq!((store.get("k"), store.len()), (None, 0));
        assert_eq!(update(&mut store, "k", "b", Some("a"), None), Applied::Found("".into()));
        put(&mut store, "k", "c");
        put(&mut store, "k", "");
        put(&mut store, "never put", "");
        assert!(store.is_empty());
    }

    #[test]
    fn removed_keys_free_their_memory() {
        let mut store = Store::new();
        (0..100_000).for_each(|i| put(&mut store, &i.to_string(), "v"));
        (0..100_000).filter(|i| i % 100 > 0).for_each(|i| put(&mut store, &i.to_string(), ""));
        assert_eq!(store.len(), 1_000);
        assert!(store.table.capacity() < 10_000, "{}", store.table.capacity());
        (0..100_000).for_each(|i| assert_eq!(store.get(&i.to_string()).is_some(), i % 100 == 0, "{i}"));
    }

    #[test]
    fn a_restored_snapshot_equals_the_store_whatever_its_history() {
        let (mut one, mut other) = (Store::new(), Store::new());
        for i in 0..2_000_u64 {
            update(&mut one, &format!("key {}", i % 300), &format!("value {i}"), Some(""), Some((i % 10, i)));
            put(&mut one, &format!("key {}", i % 7), "");
        }
        // Other insertions and another size of table, but the same content.
        (0..5_000).for_each(|i| put(&mut other, &format!("other {i}"), "v"));
        (0..5_000).for_each(|i| put(&mut other, &format!("other {i}"), ""));
        for command in all(&one).iter().rev().filter(|command| command.request().is_none()) {
            other.apply(command);
        }
        other.sessions = one.sessions.clone();
        assert_eq!(all(&one), all(&other));
        let mut again = Store::restored(all(&one), one.digest());
        assert_eq!((again.digest(), again.len(), again.clients()), (one.digest(), one.len(), 10));
        assert_eq!(all(&again), all(&one));
        for i in 1_990..2_000 {
            let first = update(&mut one, "k", "x", None, Some((i % 10, i)));
            assert_eq!(update(&mut again, "k", "x", None, Some((i % 10, i))), first);
        }
        assert_eq!(again.get("k"), None);
    }

    #[test]
    fn a_command_on_terms_differs_from_the_put() {
        let command = |expected: Option<&str>, number: Option<u64>| {
            let request = number.map(|number| RequestId { client: 1, number });
            Command::on_terms("k".into(), "v".into(), expected.map(Text::from), request)
        };
        let put = Command::new("k".into(), "v".into());
        assert_eq!(command(None, None), put);
        let all =
            [put, command(Some(""), None), command(Some("a"), None), command(None, Some(1)), command(None, Some(2))];
        for (i, one) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|other| one != other && one.digest() != other.digest()), "{one:?}");
        }
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
