//! The memory of named requests: the newest of each client, and its outcome.

use hashbrown::HashTable;

use super::{Applied, Command, REQUEST_BYTES};
use crate::hash::StableHasher;
use crate::service::{RequestId, Text, text_bytes};

/// At most this many clients are remembered. Beyond that, the client with the oldest newest request in the log is
/// forgotten; its repeated requests are then applied again. A client takes about a hundred bytes. If the condition of
/// its newest request did not hold, it also takes the value that was found.
pub const CLIENTS_MAX: usize = 65_536;

/// The value for "no place".
const NONE: u32 = u32::MAX;

/// The memory of one client. Clients are a list, linked by places, in the order of their newest requests.
#[derive(Clone, Debug)]
struct Session {
    newest: RequestId,
    found: Option<Text>,
    older: u32,
    newer: u32,
}

/// The memory of named requests.
///
/// Invariant: `found_bytes` is the total [`text_bytes`] of all values that were found.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    /// Places in `list`, by client.
    table: HashTable<u32>,
    list: Vec<Session>,
    found_bytes: usize,
    oldest: u32,
    newest: u32,
    max: usize,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions::new(CLIENTS_MAX)
    }
}

impl Sessions {
    /// A memory of at most this many clients.
    pub const fn new(max: usize) -> Sessions {
        Sessions { table: HashTable::new(), list: Vec::new(), found_bytes: 0, oldest: NONE, newest: NONE, max }
    }

    /// How many clients are remembered.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The known outcome of a request; none if it is new, and the caller must then note its outcome. Its client counts
    /// as active now.
    pub fn look_up(&mut self, request: RequestId) -> Option<Applied> {
        let place = self.place(request.client)?;
        self.unlink(place);
        self.link(place);
        let known = &self.list[place as usize];
        match request.number.cmp(&known.newest.number) {
            std::cmp::Ordering::Less => Some(Applied::Outdated),
            std::cmp::Ordering::Equal => Some(known.found.clone().map_or(Applied::Done, Applied::Found)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Notes the outcome of the newest request of a client: done, unless a value other than the expected one was found.
    pub fn note(&mut self, newest: RequestId, found: Option<Text>) {
        let session = Session { newest, found, older: NONE, newer: NONE };
        self.found_bytes += session.found_bytes();
        let hash = StableHasher::of(&newest.client);
        let place = match self.place(newest.client) {
            Some(known) => {
                self.unlink(known);
                self.found_bytes -= self.list[known as usize].found_bytes();
                self.list[known as usize] = session;
                known
            }
            None => {
                let place = if self.list.len() < self.max {
                    self.list.push(session);
                    self.list.len() as u32 - 1
                } else {
                    let oldest = self.oldest;
                    self.forget(oldest);
                    self.list[oldest as usize] = session;
                    oldest
                };
                let list = &self.list;
                self.table.insert_unique(hash, place, |&other| hash_at(list, other));
                place
            }
        };
        self.link(place);
    }

    /// The sum of [`Command::bytes`] of all that is remembered, each as a command.
    pub fn bytes(&self) -> usize {
        self.list.len() * REQUEST_BYTES + self.found_bytes
    }

    /// All that is remembered now.
    pub fn remembered(&self) -> Remembered {
        // Room is made once: growing step by step would take several times as long.
        let mut all = Vec::with_capacity(self.len());
        all.extend(self.iter().cloned());
        Remembered(all)
    }

    /// All that is remembered, beginning with the client whose newest request is the oldest.
    fn iter(&self) -> impl Iterator<Item = &Session> + '_ {
        let first = self.list.get(self.oldest as usize);
        std::iter::successors(first, |session| self.list.get(session.newer as usize))
    }

    fn place(&self, client: u64) -> Option<u32> {
        let same = |&place: &u32| self.list[place as usize].newest.client == client;
        self.table.find(StableHasher::of(&client), same).copied()
    }

    /// Removes the session at a place from table and list.
    fn forget(&mut self, place: u32) {
        self.unlink(place);
        self.found_bytes -= self.list[place as usize].found_bytes();
        if let Ok(entry) = self.table.find_entry(hash_at(&self.list, place), |&other| other == place) {
            entry.remove();
        }
    }

    fn unlink(&mut self, place: u32) {
        let Session { older, newer, .. } = self.list[place as usize];
        match self.list.get_mut(older as usize) {
            Some(session) => session.newer = newer,
            None => self.oldest = newer,
        }
        match self.list.get_mut(newer as usize) {
            Some(session) => session.older = older,
            None => self.newest = older,
        }
    }

    /// Puts the session at a place at the end of the list, as the newest.
    fn link(&mut self, place: u32) {
        let older = std::mem::replace(&mut self.newest, place);
        match self.list.get_mut(older as usize) {
            Some(session) => session.newer = place,
            None => self.oldest = place,
        }
        let session = &mut self.list[place as usize];
        (session.older, session.newer) = (older, NONE);
    }
}

impl Session {
    fn found_bytes(&self) -> usize {
        self.found.as_deref().map_or(0, text_bytes)
    }
}

/// What was remembered at one moment, beginning with the client whose newest request is the oldest.
pub(super) struct Remembered(Vec<Session>);

impl Remembered {
    /// How many clients there were.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The memory of the client at this place, as a command.
    pub fn command(&self, place: usize) -> Command {
        let Session { newest, found, .. } = &self.0[place];
        Command::of_session(*newest, found.clone())
    }
}

fn hash_at(list: &[Session], place: u32) -> u64 {
    StableHasher::of(&list[place as usize].newest.client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn id(client: u64, number: u64) -> RequestId {
        RequestId { client, number }
    }

    #[test]
    fn the_client_that_was_silent_for_the_longest_is_forgotten_first() {
        let mut sessions = Sessions::new(3);
        for client in 1..=3 {
            assert_eq!(sessions.look_up(id(client, 5)), None);
            sessions.note(id(client, 5), None);
        }
        assert_eq!(sessions.look_up(id(1, 5)), Some(Applied::Done), "heard of, though nothing was applied");
        sessions.note(id(4, 1), Some("v".into()));
        assert_eq!(sessions.look_up(id(2, 5)), None, "forgotten");
        assert_eq!(sessions.look_up(id(1, 4)), Some(Applied::Outdated));
        assert_eq!(sessions.look_up(id(4, 1)), Some(Applied::Found("v".into())));
        let order: Vec<u64> = sessions.iter().map(|session| session.newest.client).collect();
        assert_eq!((order, sessions.len()), (vec![3, 1, 4], 3));
    }

    #[test]
    fn it_remembers_what_a_plain_list_remembers() {
        let mut random = Stream::new(1, "sessions");
        for max in [1, 2, 7, 50] {
            let (mut sessions, mut plain) = (Sessions::new(max), Vec::<(RequestId, Option<Text>)>::new());
            for _ in 0..5_000 {
                let request = id(random.below(60), random.below(30));
                let known = plain.iter().position(|(other, _)| other.client == request.client);
                let known = known.map(|place| plain.remove(place));
                let expected = known.as_ref().and_then(|(newest, found)| match request.number.cmp(&newest.number) {
                    std::cmp::Ordering::Less => Some(Applied::Outdated),
                    std::cmp::Ordering::Equal => Some(found.clone().map_or(Applied::Done, Applied::Found)),
                    std::cmp::Ordering::Greater => None,
                });
                assert_eq!(sessions.look_up(request), expected);
                if let Some(known) = known.filter(|_| expected.is_some()) {
                    plain.push(known);
                } else {
                    let found = random.chance(0.5).then(|| Text::from(random.below(9).to_string()));
                    sessions.note(request, found.clone());
                    plain.push((request, found));
                    if plain.len() > max {
                        plain.remove(0);
                    }
                }
                let remembered = sessions.iter().map(|session| (session.newest, session.found.clone()));
                assert!(remembered.eq(plain.iter().cloned()));
                let bytes = |found: &Option<Text>| REQUEST_BYTES + found.as_deref().map_or(0, text_bytes);
                assert_eq!(sessions.bytes(), plain.iter().map(|(_, found)| bytes(found)).sum::<usize>());
                assert_eq!(sessions.table.len(), plain.len());
            }
        }
    }
}
