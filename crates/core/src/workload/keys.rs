//! The keys and values that clients use.

use std::collections::BTreeMap;
use std::sync::Arc;

use md5::{Digest, Md5};

use crate::id::Mid;
use crate::rng::Stream;
use crate::service::{Operation, Text};
use crate::workload::{CLIENTS, ScriptedOperation};

/// Which keys clients use: the scenario's `workload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Each client has its own keys, as in the course.
    Private,
    /// All clients use the same keys.
    Shared {
        /// How many keys there are.
        count: u32,
    },
}

/// The random part of a request, drawn in advance, so that one request's use of its draws never moves the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// A put wants a fresh key.
    pub fresh: bool,
    /// Chooses among keys: a uniform 64-bit number.
    pub pick: u64,
}

/// A key by its place in the key space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    owner: usize,
    key: usize,
}

/// One key and what clients did to it.
#[derive(Clone, Debug)]
pub(super) struct Key {
    name: Text,
    /// The value of the newest acknowledgement.
    pub held: Option<Text>,
    /// Every attempt to put it, in order of sending.
    pub puts: Vec<Mid>,
}

/// All keys. With private keys each client owns some; with shared ones the first owner owns all.
#[derive(Clone, Debug)]
pub(super) struct KeySpace {
    shared: bool,
    owners: Vec<Owner>,
}

#[derive(Clone, Debug)]
struct Owner {
    fresh: Stream,
    keys: Vec<Key>,
    /// The keys that a get can ask for: those with an acknowledged put, or all if they are shared.
    known: Vec<usize>,
}

impl KeySpace {
    pub fn new(keys: Keys, seed: u64) -> KeySpace {
        match keys {
            Keys::Private => {
                let owners = (0..CLIENTS as u64).map(|client| Owner::new(Stream::link(seed, "keys", client, 0)));
                KeySpace { shared: false, owners: owners.collect() }
            }
            Keys::Shared { count } => {
                let mut owner = Owner::new(Stream::new(seed, "shared keys"));
                owner.known = (0..count).map(|_| owner.add_key()).collect();
                KeySpace { shared: true, owners: vec![owner] }
            }
        }
    }

    /// The keys of these operations, which count as shared, and the place of each operation's key.
    pub fn scripted(operations: &[ScriptedOperation], seed: u64) -> (KeySpace, Vec<Place>) {
        let mut owner = Owner::new(Stream::new(seed, "shared keys"));
        let mut found = BTreeMap::<Text, usize>::new();
        let place = |scripted: &ScriptedOperation| {
            let name = scripted.operation.key();
            let key = *found.entry(name.clone()).or_insert_with(|| owner.add(name.clone()));
            Place { owner: 0, key }
        };
        let places = operations.iter().map(place).collect();
        (KeySpace { shared: true, owners: vec![owner] }, places)
    }

    /// Whether all clients use the same keys.
    pub fn shared(&self) -> bool {
        self.shared
    }

    /// A get, unless the client has no key to ask for.
    pub fn get(&self, client: usize, choice: &Choice) -> Option<(Operation, Place)> {
        let owner = self.owner(client);
        let key = self.owners[owner].pick(choice)?;
        Some((Operation::Get { key: self.owners[owner].keys[key].name.clone() }, Place { owner, key }))
    }

    /// A put, to be sent under this MID.
    #[inline]
    pub fn put(&mut self, client: usize, choice: &Choice, mid: Mid) -> (Operation, Place) {
        let (owner, shared) = (self.owner(client), self.shared);
        let keys = &mut self.owners[owner];
        let known = if choice.fresh && !shared { None } else { keys.pick(choice) };
        let place = known.unwrap_or_else(|| keys.add_key());
        let key = &keys.keys[place];
        let value = if shared { hex(&mid.0.to_be_bytes()) } else { md5_hex(key.held.as_ref().unwrap_or(&key.name)) };
        (Operation::Put { key: key.name.clone(), value }, Place { owner, key: place })
    }

    /// Records that a put of this key is sent under this MID.
    pub fn note_put(&mut self, place: Place, mid: Mid) {
        self.owners[place.owner].keys[place.key].puts.push(mid);
    }

    /// Records that a put of this value was acknowledged.
    pub fn acknowledge(&mut self, place: Place, value: &Text) {
        let owner = &mut self.owners[place.owner];
        let held = &mut owner.keys[place.key].held;
        if held.is_none() && !self.shared {
            owner.known.push(place.key);
        }
        *held = Some(value.clone());
    }

    /// The key at a place.
    pub fn key(&self, place: Place) -> &Key {
        &self.owners[place.owner].keys[place.key]
    }

    fn owner(&self, client: usize) -> usize {
        if self.shared { 0 } else { client }
    }
}

impl Owner {
    fn new(fresh: Stream) -> Owner {
        Owner { fresh, keys: Vec::new(), known: Vec::new() }
    }

    fn add_key(&mut self) -> usize {
        let name = fresh_key(&mut self.fresh);
        self.add(name)
    }

    fn add(&mut self, name: Text) -> usize {
        self.keys.push(Key { name, held: None, puts: Vec::new() });
        self.keys.len() - 1
    }

    fn pick(&self, choice: &Choice) -> Option<usize> {
        let place = (u128::from(choice.pick) * self.known.len() as u128) >> 64;
        self.known.get(place as usize).copied()
    }
}

/// A random key of 32 characters.
fn fresh_key(stream: &mut Stream) -> Text {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut key = [0; 32];
    // Six bits per letter, ten letters per draw.
    for letters in key.chunks_mut(10) {
        let mut bits = stream.next_u64();
        for letter in letters {
            *letter = LETTERS[(bits & 63) as usize];
            bits >>= 6;
        }
    }
    ascii_text(&key)
}

/// The MD5 of a string, in lower-case hex.
pub(super) fn md5_hex(text: &str) -> Text {
    hex(&Md5::digest(text.as_bytes()))
}

/// Up to sixteen bytes in lower-case hex.
fn hex(bytes: &[u8]) -> Text {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    ascii_text(&digits[..2 * bytes.len()])
}

fn ascii_text(bytes: &[u8]) -> Text {
    Arc::from(std::str::from_utf8(bytes).expect("only ASCII was put in"))
}
