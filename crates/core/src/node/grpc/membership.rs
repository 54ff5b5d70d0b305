//! The identity of the servers in a cluster, and which of them may take part.
//!
//! Servers keep everything in memory. A restarted server has forgotten its votes and the entries that it acknowledged,
//! and others rely on both: if it voted twice in a term, there could be two leaders. So a server that lost its memory
//! must not come back under its old identity. Two rules ensure that.
//!
//! 1. Every start draws an *incarnation*. Servers remember each other's first one and refuse any other.
//! 2. A server takes part only once it was welcomed by about three quarters of the others. Any two such groups share as
//!    many servers as a cluster can lose. So if an earlier incarnation ever took part, some server whose welcome the
//!    next one needs remembers it. This holds even if as many servers as a cluster can lose, this one included, have
//!    lost their memory.
//!
//! So at the start a cluster of three needs all three servers, one of five needs four and one of seven needs six. From
//! then on a majority suffices. A cluster whose servers have all been restarted is a new one.

use std::fmt;

use crate::hash::StableHasher;
use crate::id::{ReplicaId, ReplicaSet};
use crate::rpc::ServerAddress;
use crate::rpc::proto::raft::refusal::Reason;
use crate::rpc::proto::raft::{Hello, Refusal};

/// One server's knowledge of all members.
///
/// Invariants:
/// - `known` changes at most once for each other server.
/// - Every server in `welcomed` has welcomed this incarnation.
#[derive(Clone, Debug)]
pub struct Membership {
    cluster: u64,
    id: ReplicaId,
    incarnation: u64,
    /// The first incarnation of each server that has sent its hello; this server's place holds its own.
    known: Vec<Option<u64>>,
    /// The servers that have welcomed this one.
    welcomed: ReplicaSet,
}

/// Why a hello is not welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwelcome {
    /// The kind of reason.
    pub reason: Reason,
    /// The reason in words.
    pub message: String,
}

impl fmt::Display for Unwelcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Unwelcome> for Refusal {
    fn from(Unwelcome { reason, message }: Unwelcome) -> Refusal {
        Refusal { reason: reason as i32, message }
    }
}

/// The number of a cluster: servers that differ in its name, or in its members and their order, are strangers.
pub fn cluster_number(name: &str, members: &[ServerAddress]) -> u64 {
    let members: Vec<String> = members.iter().map(ServerAddress::to_string).collect();
    StableHasher::of(&(name, members.join(",").as_str()))
}

impl Membership {
    /// The knowledge of a server that has just started.
    pub fn new(cluster: u64, id: ReplicaId, members: usize, incarnation: u64) -> Membership {
        let mut known = vec![None; members];
        known[id.index()] = Some(incarnation);
        Membership { cluster, id, incarnation, known, welcomed: ReplicaSet::EMPTY }
    }

    /// The hello of this server to another.
    pub fn hello(&self, to: ReplicaId) -> Hello {
        let (from, to) = (u32::from(self.id.0), u32::from(to.0));
        Hello { cluster: self.cluster, from, to, incarnation: self.incarnation }
    }

    /// Takes a hello and returns its sender.
    ///
    /// # Errors
    /// If its sender is not welcome.
    pub fn handle_hello(&mut self, hello: &Hello) -> Result<ReplicaId, Unwelcome> {
        let (own, from) = (self.id, hello.from);
        let stranger = |message| Unwelcome { reason: Reason::Stranger, message };
        if hello.cluster != self.cluster {
            return Err(stranger(format!(
                "server {from} is of another cluster than server {own}, or has another list of members (--cluster, --peers)",
                own = own.0
            )));
        }
        if hello.to != u32::from(own.0) {
            return Err(stranger(format!(
                "server {from} expects server {} here, but this is {} (--id)",
                hello.to, own.0
            )));
        }
        let sender = u8::try_from(from).ok().map(ReplicaId);
        let sender = sender.filter(|sender| sender.index() < self.known.len() && *sender != own);
        let Some(sender) = sender else {
            return Err(stranger(format!("server {from} cannot exist beside server {} (--id)", own.0)));
        };
        let known = self.known[sender.index()].get_or_insert(hello.incarnation);
        if *known == hello.incarnation {
            return Ok(sender);
        }
        Err(Unwelcome {
            reason: Reason::Amnesia,
            message: format!(
                "server {from} was a member of this cluster before it was started again, and has lost its memory with all \
                 votes that it gave, so it cannot take part any more. The cluster goes on without it for as long as a \
                 majority lives. To have all {} servers again, stop all and start them anew, which begins with an empty store",
                self.known.len()
            ),
        })
    }

    /// Another server has welcomed this one. True if that makes it a member.
    pub fn handle_welcome(&mut self, from: ReplicaId) -> bool {
        let before = self.is_member();
        self.welcomed.insert(from);
        self.is_member() && !before
    }

    /// Whether enough others have welcomed this server, so that it takes part.
    pub fn is_member(&self) -> bool {
        let (welcomed, needed) = self.welcomes();
        welcomed >= needed
    }

    /// How many others have welcomed this server, and how many are needed.
    ///
    /// Two groups of `needed` share at least `2 * needed - others`. This server has lost its memory, and so may others,
    /// one fewer than a cluster can lose. At least one more server must be left that remembers.
    pub fn welcomes(&self) -> (usize, usize) {
        let others = self.known.len() - 1;
        let losses = others / 2;
        (self.welcomed.len(), (others + losses.max(1)).div_ceil(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: u64 = 77;

    fn cluster(members: usize) -> Vec<Membership> {
        ReplicaId::all(members).map(|id| Membership::new(CLUSTER, id, members, 100 + u64::from(id.0))).collect()
    }

    /// Two servers exchange their hellos and the answers.
    fn meet(servers: &mut [Membership], a: usize, b: usize) -> [Result<(), Reason>; 2] {
        [(a, b), (b, a)].map(|(from, to)| {
            let hello = servers[from].hello(ReplicaId(to as u8));
            let sender = servers[to].handle_hello(&hello).map_err(|unwelcome| unwelcome.reason)?;
            assert_eq!(sender.index(), from);
            servers[from].handle_welcome(ReplicaId(to as u8));
            Ok(())
        })
    }

    #[test]
    fn a_server_takes_part_once_enough_others_have_welcomed_it() {
        for (members, needed) in [(2, 1), (3, 2), (4, 2), (5, 3), (6, 4), (7, 5), (9, 6)] {
            let mut servers = cluster(members);
            for other in 1..members {
                assert_eq!(servers[0].is_member(), other > needed, "{members} members, {} met", other - 1);
                assert_eq!(meet(&mut servers, 0, other), [Ok(()), Ok(())]);
            }
            assert!(servers[0].is_member());
        }
    }

    #[test]
    fn a_repeated_hello_changes_nothing_and_one_of_a_new_incarnation_is_refused() {
        let mut servers = cluster(3);
        assert_eq!(meet(&mut servers, 0, 1), [Ok(()), Ok(())]);
        assert_eq!(meet(&mut servers, 0, 1), [Ok(()), Ok(())]);
        assert!(!servers[0].is_member(), "one welcome counts once");
        servers[0] = Membership::new(CLUSTER, ReplicaId(0), 3, 999);
        // The server that forgot welcomes the other as new, but is not welcomed back.
        assert_eq!(meet(&mut servers, 0, 1), [Err(Reason::Amnesia), Ok(())]);
    }

    #[test]
    fn no_server_that_took_part_can_do_so_again_whichever_servers_it_had_met() {
        // Whichever servers welcomed the first incarnation, too few welcome the second. This holds even if as many
        // servers as a cluster can lose, this one among them, have lost their memory.
        for members in 3..=9_usize {
            let (others, losses) = (members - 1, (members - 1) / 2);
            let (_, needed) = cluster(members)[0].welcomes();
            let groups = |size: usize| (0_u32..1 << others).filter(move |group| group.count_ones() as usize == size);
            for met in groups(needed) {
                for lost in groups(losses - 1) {
                    let mut servers = cluster(members);
                    for other in (0..others).filter(|other| met >> other & 1 == 1) {
                        assert_eq!(meet(&mut servers, 0, other + 1), [Ok(()), Ok(())]);
                    }
                    assert!(servers[0].is_member());
                    for place in (0..others).filter(|other| lost >> other & 1 == 1).map(|other| other + 1).chain([0]) {
                        servers[place] = Membership::new(CLUSTER, ReplicaId(place as u8), members, 999);
                    }
                    let welcomes = (1..members).filter(|&other| meet(&mut servers, 0, other)[0].is_ok()).count();
                    assert!(welcomes < needed && !servers[0].is_member(), "{met:b} {lost:b}");
                }
            }
        }
    }

    #[test]
    fn strangers_are_told_why() {
        let mut server = cluster(3).remove(0);
        let hello = Hello { cluster: CLUSTER, from: 1, to: 0, incarnation: 5 };
        let mut told =
            |hello: Hello| server.handle_hello(&hello).map_err(|unwelcome| (unwelcome.reason, unwelcome.message));
        for (hello, words) in [
            (Hello { cluster: 1, ..hello }, "server 1 is of another cluster"),
            (Hello { to: 2, ..hello }, "server 1 expects server 2 here, but this is 0"),
            (Hello { from: 0, ..hello }, "server 0 cannot exist beside server 0"),
            (Hello { from: 3, ..hello }, "server 3 cannot exist"),
            (Hello { from: 256, ..hello }, "server 256 cannot exist"),
        ] {
            let (reason, message) = told(hello).unwrap_err();
            assert!(reason == Reason::Stranger && message.starts_with(words), "{message}");
        }
        assert_eq!(told(hello), Ok(ReplicaId(1)));
    }

    #[test]
    fn name_and_members_and_their_order_make_a_cluster() {
        let members = |ports: &[u16]| ports.iter().map(|&port| ServerAddress::local(port)).collect::<Vec<_>>();
        let number = cluster_number("a", &members(&[1, 2]));
        assert_eq!(number, cluster_number("a", &members(&[1, 2])));
        for other in [cluster_number("b", &members(&[1, 2])), cluster_number("a", &members(&[2, 1]))] {
            assert_ne!(number, other);
        }
    }
}
