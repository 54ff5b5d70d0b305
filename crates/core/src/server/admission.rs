//! Which servers may take part.
//!
//! A server relies on what others remember: their votes, and the entries that they have acknowledged. If one lost that and
//! came back under its old number, it could vote twice in a term, and there could be two leaders. So a server's *memory* has
//! a name, a random number: one that is drawn at its first start and kept on its disk, or at each start if it has no disk.
//! Two rules keep one with a new memory out.
//!
//! 1. Servers remember each other's first memory, and welcome no other.
//! 2. A server takes part only once its memory was welcomed by about three quarters of the others. Any two such groups share
//!    as many servers as a cluster can lose. So if an earlier memory ever took part, some server whose welcome the next one
//!    needs knows that. This holds even if as many servers as a cluster can lose, this one included, have lost their
//!    memory.
//!
//! So at its first start a cluster of three needs all three servers, one of five needs four and one of seven needs six. From
//! then on a majority suffices, and a server that still has its memory takes part at once.

use serde::{Deserialize, Serialize};

use crate::id::{ReplicaId, ReplicaSet};
use crate::rng::Stream;

/// The name of a server's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Memory(pub u64);

/// Something that a server must not forget about who may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fact {
    /// Its own memory has this name.
    Own(Memory),
    /// The first memory of another server that it has met.
    Met(ReplicaId, Memory),
    /// Enough others have welcomed it.
    Admitted,
}

/// What a server knows of who may take part.
///
/// Invariants:
/// - `known` changes at most once for each other server.
/// - Every server in `welcomed` has welcomed this memory.
#[derive(Clone, Debug)]
pub struct Admission {
    id: ReplicaId,
    own: Memory,
    /// The first memory of each server; this one's place holds its own.
    known: Vec<Option<Memory>>,
    welcomed: ReplicaSet,
    /// Whether it takes part.
    is_admitted: bool,
    /// Whether its memory must still be written down.
    is_new: bool,
}

/// How a hello is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It is welcome, and was before.
    Welcome,
    /// It is welcome. It must not be told so before this fact is written down.
    New(Fact),
    /// Its sender has lost its memory.
    Forgotten,
}

impl Admission {
    /// What a server knows that starts with these facts from its disk. Without its own memory among them, it draws a new one.
    pub fn new(id: ReplicaId, servers: usize, facts: &[Fact], random: &mut Stream) -> Admission {
        let mut known = vec![None; servers];
        let (mut own, mut is_admitted) = (None, false);
        for fact in facts {
            match *fact {
                Fact::Own(memory) => own = Some(memory),
                Fact::Met(other, memory) if other.index() < servers => known[other.index()] = Some(memory),
                Fact::Met(..) => {}
                Fact::Admitted => is_admitted = true,
            }
        }
        let is_new = own.is_none();
        let own = own.unwrap_or_else(|| Memory(random.next_u64()));
        known[id.index()] = Some(own);
        Admission { id, own, known, welcomed: ReplicaSet::EMPTY, is_admitted, is_new }
    }

    /// Its own memory.
    pub fn own(&self) -> Memory {
        self.own
    }

    /// Whether it takes part.
    #[inline]
    pub fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// The name of its memory, if that must still be written down. Asked once.
    pub fn take_new(&mut self) -> Option<Fact> {
        std::mem::take(&mut self.is_new).then_some(Fact::Own(self.own))
    }

    /// All that it must not forget.
    pub fn facts(&self) -> Box<[Fact]> {
        let others = ReplicaId::all(self.known.len()).filter(|&other| other != self.id);
        let met = others.filter_map(|other| Some(Fact::Met(other, self.known[other.index()]?)));
        [Fact::Own(self.own)].into_iter().chain(met).chain(self.is_admitted.then_some(Fact::Admitted)).collect()
    }

    /// The others that have not welcomed it yet.
    pub fn strangers(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        let (own, welcomed) = (self.id, self.welcomed);
        ReplicaId::all(self.known.len()).filter(move |&other| other != own && !welcomed.contains(other))
    }

    /// Takes a hello of another server.
    pub fn handle_hello(&mut self, from: ReplicaId, memory: Memory) -> Greeting {
        match self.known[from.index()] {
            None => {
                self.known[from.index()] = Some(memory);
                Greeting::New(Fact::Met(from, memory))
            }
            Some(known) if known == memory => Greeting::Welcome,
            Some(_) => Greeting::Forgotten,
        }
    }

    /// Another server has welcomed this memory. True if that admits it.
    pub fn handle_welcome(&mut self, from: ReplicaId, memory: Memory) -> bool {
        // A welcome may be late, and meant for an earlier memory.
        if memory == self.own && from != self.id {
            self.welcomed.insert(from);
        }
        let (welcomed, needed) = self.welcomes();
        let is_enough = !self.is_admitted && welcomed >= needed;
        self.is_admitted |= is_enough;
        is_enough
    }

    /// Whether another server's message that this memory is not the one it knows is about this server as it is.
    pub fn is_forgotten(&self, memory: Memory) -> bool {
        memory == self.own && !self.is_admitted
    }

    /// How many others have welcomed it, and how many are needed.
    ///
    /// Two groups of `needed` share at least `2 * needed - others`. This server may have lost its memory, and so may
    /// others, one fewer than a cluster can lose. At least one more server must be left that remembers.
    pub fn welcomes(&self) -> (usize, usize) {
        let others = self.known.len() - 1;
        let losses = others / 2;
        (self.welcomed.len(), (others + losses.max(1)).div_ceil(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(id: usize, servers: usize, facts: &[Fact], seed: u64) -> Admission {
        Admission::new(ReplicaId(id as u8), servers, facts, &mut Stream::new(seed, "test"))
    }

    fn cluster(servers: usize) -> Vec<Admission> {
        (0..servers).map(|id| started(id, servers, &[], id as u64)).collect()
    }

    /// One server says hello to another, and hears the answer. Whether it was welcome.
    fn greet(servers: &mut [Admission], from: usize, to: usize) -> bool {
        let memory = servers[from].own();
        let is_welcome = servers[to].handle_hello(ReplicaId(from as u8), memory) != Greeting::Forgotten;
        if is_welcome {
            servers[from].handle_welcome(ReplicaId(to as u8), memory);
        }
        is_welcome
    }

    #[test]
    fn a_server_takes_part_once_enough_others_have_welcomed_it() {
        for (servers, needed) in [(2, 1), (3, 2), (4, 2), (5, 3), (6, 4), (7, 5), (9, 6)] {
            let mut all = cluster(servers);
            for other in 1..servers {
                assert_eq!(all[0].is_admitted(), other > needed, "{servers} servers, {} met", other - 1);
                assert!(greet(&mut all, 0, other));
            }
            assert!(all[0].is_admitted());
        }
    }

    #[test]
    fn a_repeated_hello_changes_nothing_and_one_with_another_memory_is_refused() {
        let mut servers = cluster(3);
        assert!(greet(&mut servers, 0, 1) && greet(&mut servers, 0, 1));
        assert!(!servers[0].is_admitted(), "one welcome counts once");
        servers[0] = started(0, 3, &[], 999);
        assert!(!greet(&mut servers, 0, 1));
        assert!(greet(&mut servers, 1, 0), "the server that forgot welcomes the other as new");
    }

    #[test]
    fn a_server_that_still_has_its_memory_takes_part_at_once() {
        let mut servers = cluster(3);
        for (from, to) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
            assert!(greet(&mut servers, from, to));
        }
        let facts = servers[0].facts();
        let again = started(0, 3, &facts, 999);
        assert!(again.is_admitted() && again.own() == servers[0].own() && again.facts() == facts);
        servers[0] = again;
        servers[1] = started(1, 3, &[], 998);
        assert!(!greet(&mut servers, 1, 0), "it has not forgotten whom it knows");
    }

    #[test]
    fn a_welcome_to_an_earlier_memory_does_not_count() {
        let mut servers = cluster(2);
        assert!(!servers[0].handle_welcome(ReplicaId(1), Memory(5)) && !servers[0].is_forgotten(Memory(5)));
        let own = servers[0].own();
        assert!(servers[0].is_forgotten(own));
        assert!(servers[0].handle_welcome(ReplicaId(1), own), "it is admitted");
        assert!(!servers[0].handle_welcome(ReplicaId(1), own), "once");
        assert!(!servers[0].is_forgotten(own), "a server that took part has not lost its memory");
    }

    #[test]
    fn no_server_that_took_part_can_do_so_again_without_its_memory_whichever_servers_it_had_met() {
        // Whichever servers welcomed the first memory, too few welcome the second. This holds even if as many servers as
        // a cluster can lose, this one among them, have lost their memory.
        for servers in 3..=9_usize {
            let (others, losses) = (servers - 1, (servers - 1) / 2);
            let (_, needed) = cluster(servers)[0].welcomes();
            let groups = |size: usize| (0_u32..1 << others).filter(move |group| group.count_ones() as usize == size);
            for met in groups(needed) {
                for lost in groups(losses - 1) {
                    let mut all = cluster(servers);
                    for other in (0..others).filter(|other| met >> other & 1 == 1) {
                        assert!(greet(&mut all, 0, other + 1));
                    }
                    assert!(all[0].is_admitted());
                    for place in (0..others).filter(|other| lost >> other & 1 == 1).map(|other| other + 1).chain([0]) {
                        all[place] = started(place, servers, &[], 999);
                    }
                    let welcomes = (1..servers).filter(|&other| greet(&mut all, 0, other)).count();
                    assert!(welcomes < needed && !all[0].is_admitted(), "{met:b} {lost:b}");
                }
            }
        }
    }
}
