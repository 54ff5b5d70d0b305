//! How servers introduce themselves when they connect: they must be of one cluster, and agree on their numbers. Who of
//! them may take part is for the [server](crate::server::admission) to decide.

use std::fmt;

use crate::hash::StableHasher;
use crate::id::ReplicaId;
use crate::rpc::ServerAddress;
use crate::rpc::proto::raft::refusal::Reason;
use crate::rpc::proto::raft::{Hello, Refusal};

/// What a server says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Introduction {
    cluster: u64,
    id: ReplicaId,
    members: usize,
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

impl Introduction {
    /// That of a server with this number in a cluster with this number and this many members.
    pub fn new(cluster: u64, id: ReplicaId, members: usize) -> Introduction {
        Introduction { cluster, id, members }
    }

    /// The hello of this server to another.
    pub fn hello(&self, to: ReplicaId) -> Hello {
        Hello { cluster: self.cluster, from: u32::from(self.id.0), to: u32::from(to.0) }
    }

    /// Returns the sender of a hello.
    ///
    /// # Errors
    /// If its sender is not welcome.
    pub fn judge(&self, hello: &Hello) -> Result<ReplicaId, Unwelcome> {
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
        let sender = sender.filter(|sender| sender.index() < self.members && *sender != own);
        sender.ok_or_else(|| stranger(format!("server {from} cannot exist beside server {} (--id)", own.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: u64 = 77;

    #[test]
    fn strangers_are_told_why() {
        let introduction = |id| Introduction::new(CLUSTER, ReplicaId(id), 3);
        let hello = introduction(1).hello(ReplicaId(0));
        let told =
            |hello: Hello| introduction(0).judge(&hello).map_err(|unwelcome| (unwelcome.reason, unwelcome.message));
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
