//! A store as it was at one moment.

use std::fmt;
use std::sync::Arc;

use super::Command;
use super::sessions::Remembered;
use super::table::Shard;
use crate::free::free;

/// A store as it was at one moment, read while the store goes on. It is cheap to clone, and any thread may read it.
///
/// As long as it lives, the store copies a part of its keys before it changes them for the first time. So a copy that is
/// no longer needed should be dropped. The last drop frees what has changed since; if that may be much, a thread of its
/// own does it, because a server has other work.
#[derive(Clone)]
pub struct Frozen(Arc<State>);

struct State {
    /// Each shard with the place of its first command, in the order of the places, from 0 on.
    shards: Vec<(usize, Arc<Shard>)>,
    keys: usize,
    sessions: Remembered,
    bytes: usize,
    digest: u64,
}

/// A copy of at most this many shards is freed by the thread that drops it.
const SHARDS_AT_ONCE_MAX: usize = 64;

impl Drop for State {
    fn drop(&mut self) {
        if self.shards.len() > SHARDS_AT_ONCE_MAX {
            free(std::mem::take(&mut self.shards));
        }
    }
}

impl Frozen {
    /// `shards` and `keys` are those of the store's table.
    pub(super) fn new(
        shards: Vec<(usize, Arc<Shard>)>,
        keys: usize,
        sessions: Remembered,
        bytes: usize,
        digest: u64,
    ) -> Frozen {
        Frozen(Arc::new(State { shards, keys, sessions, bytes, digest }))
    }

    /// How many commands it has: one for each key and one for each remembered client.
    pub fn len(&self) -> usize {
        self.0.keys + self.0.sessions.len()
    }

    /// Whether it has no commands.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sum of [`Command::bytes`] of all its commands.
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// The digest of all commands that the store had applied, as [`Store::digest`](super::Store::digest).
    pub fn digest(&self) -> u64 {
        self.0.digest
    }

    /// The commands from which [`Store::restored`](super::Store::restored) rebuilds the store, from this place on: a put
    /// for each key, and then the memory of each client, as a command with the name of its request. Their order is the
    /// same in all replicas.
    ///
    /// It begins with a binary search, and sorts some hundred keys at a time.
    pub fn commands(&self, from: usize) -> impl ExactSizeIterator<Item = Arc<Command>> + '_ {
        let State { shards, keys, sessions, .. } = &*self.0;
        let first = shards.partition_point(|&(first, _)| first <= from).saturating_sub(1);
        let mut later = shards[first..].iter();
        let mut sorted = Vec::new().into_iter();
        if let Some((first, shard)) = later.next().filter(|_| from < *keys) {
            sorted = shard.sorted().into_iter();
            sorted.by_ref().take(from - first).for_each(drop);
        }
        (from..self.len()).map(move |place| {
            if place >= *keys {
                return Arc::new(sessions.command(place - keys));
            }
            loop {
                if let Some(command) = sorted.next() {
                    return command;
                }
                let (_, shard) = later.next().expect("the shards have all keys");
                sorted = shard.sorted().into_iter();
            }
        })
    }
}

/// Its size, without its contents.
impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { keys, bytes, digest, .. } = &*self.0;
        f.debug_struct("Frozen")
            .field("keys", keys)
            .field("clients", &self.0.sessions.len())
            .field("bytes", bytes)
            .field("digest", digest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::hash::StableHasher;
    use crate::kv::{Store, Update};
    use crate::rng::Stream;
    use crate::service::{RequestId, Text};

    /// What a store must keep: values by key, and the newest request of each client with what was found, in order.
    #[derive(Clone, Default)]
    struct Model {
        values: BTreeMap<(u64, Text), Text>,
        clients: Vec<(RequestId, Option<Text>)>,
    }

    impl Model {
        fn apply(&mut self, update: &Update) {
            let place = (StableHasher::of(&*update.key), update.key.clone());
            let found = update.expected.as_ref().and_then(|expected| {
                let found = self.values.get(&place).cloned().unwrap_or_default();
                Some(found).filter(|found| found != expected)
            });
            if found.is_none() {
                if update.value.is_empty() {
                    self.values.remove(&place);
                } else {
                    self.values.insert(place, update.value.clone());
                }
            }
            if let Some(request) = update.request {
                self.clients.retain(|(other, _)| other.client != request.client);
                self.clients.push((request, found));
            }
        }

        fn commands(&self) -> Vec<Arc<Command>> {
            let puts = self.values.iter().map(|((_, key), value)| Command::new(key.clone(), value.clone()));
            let clients = self.clients.iter().map(|(request, found)| Command::of_session(*request, found.clone()));
            puts.chain(clients).map(Arc::new).collect()
        }
    }

    /// Any update of one of these many keys. Each request of a client is new.
    fn any_update(random: &mut Stream, keys: u64, removals: f64, number: u64) -> Update {
        let request = random.chance(0.1).then(|| RequestId { client: random.below(40), number });
        let value = if random.chance(removals) { String::new() } else { format!("vä{}", random.below(3)) };
        let expected = random.chance(0.1).then(|| Text::from(format!("vä{}", random.below(3))));
        Update { key: random.below(keys).to_string().into(), value: value.into(), expected, request }
    }

    fn check(frozen: &Frozen, expected: &[Arc<Command>]) {
        assert!(frozen.commands(0).eq(expected.iter().cloned()));
        assert_eq!((frozen.len(), frozen.is_empty()), (expected.len(), expected.is_empty()));
        assert_eq!(frozen.bytes(), expected.iter().map(|command| command.bytes()).sum::<usize>());
    }

    #[test]
    fn a_frozen_copy_stays_as_it_is_while_the_store_changes() {
        let mut random = Stream::new(1, "frozen");
        for keys in [3, 300, 5_000] {
            let (mut store, mut model) = (Store::new(), Model::default());
            let mut alive: Vec<(Frozen, u64, Vec<Arc<Command>>)> = Vec::new();
            for number in 0..40_000 {
                let removals = if number / 10_000 % 2 == 0 { 0.05 } else { 0.9 };
                let update = any_update(&mut random, keys, removals, number);
                store.apply(&Arc::new(Command::from(&update)));
                model.apply(&update);
                if random.chance(0.002) {
                    check(&store.freeze(), &model.commands());
                    alive.push((store.freeze(), store.digest(), model.commands()));
                }
                if alive.len() > 5 {
                    let (frozen, digest, expected) = alive.swap_remove(random.below(6) as usize);
                    check(&frozen, &expected);
                    assert_eq!(frozen.digest(), digest);
                }
            }
            alive.iter().for_each(|(frozen, _, expected)| check(frozen, expected));
            assert_eq!(store.bytes(), store.freeze().bytes());
        }
    }

    #[test]
    fn commands_begin_at_any_place() {
        let mut random = Stream::new(2, "frozen");
        for updates in [0, 1, 700, 4_000] {
            let mut store = Store::new();
            for number in 0..updates {
                store.apply(&Arc::new(Command::from(&any_update(&mut random, 3_000, 0.0, number))));
            }
            let frozen = store.freeze();
            let all: Vec<_> = frozen.commands(0).collect();
            for from in 0..=all.len() {
                let few = frozen.commands(from).take(3);
                assert!(few.eq(all[from..].iter().take(3).cloned()), "{from}");
                assert_eq!(frozen.commands(from).len(), all.len() - from);
            }
            for from in (0..all.len()).step_by(97) {
                assert!(frozen.commands(from).eq(all[from..].iter().cloned()), "{from}");
            }
            assert_eq!(frozen.commands(all.len() + 1).count(), 0);
        }
    }

    #[test]
    fn the_order_does_not_depend_on_history() {
        let mut store = Store::new();
        let mut random = Stream::new(3, "frozen");
        let mut keys: Vec<u64> = (0..6_000).collect();
        for size in [6_000, 20, 5_000, 600, 3_000] {
            let size = size as usize;
            random.shuffle(&mut keys);
            for (i, key) in keys.iter().enumerate() {
                let value = if i < size { "v" } else { "" };
                store.apply(&Arc::new(Command::new(key.to_string().into(), value.into())));
            }
            let frozen = store.freeze();
            let mut expected: Vec<_> =
                keys[..size].iter().map(|key| Arc::new(Command::new(key.to_string().into(), "v".into()))).collect();
            expected.sort_unstable_by(|one, other| (one.key_hash, &one.key).cmp(&(other.key_hash, &other.key)));
            check(&frozen, &expected);
            random.shuffle(&mut expected);
            let restored = Store::restored(expected, store.digest());
            assert!(restored.freeze().commands(0).eq(frozen.commands(0)));
            assert_eq!((restored.digest(), restored.bytes()), (store.digest(), store.bytes()));
        }
    }

    #[test]
    fn a_frozen_copy_can_be_read_by_another_thread_and_shows_no_contents() {
        let mut store = Store::new();
        store.apply(&Arc::new(Command::new("secret".into(), "value".into())));
        let frozen = store.freeze();
        let other = frozen.clone();
        let read = std::thread::spawn(move || other.commands(0).count());
        assert_eq!(read.join().ok(), Some(1));
        let shown = format!("{frozen:?}");
        assert!(shown.starts_with("Frozen { keys: 1, clients: 0, bytes: 11") && !shown.contains("secret"), "{shown}");
    }
}
