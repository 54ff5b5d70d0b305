//! The replicas on the LAN.

use crate::id::{REPLICAS_MAX, ReplicaId};
use crate::machine::Identity;
use crate::wire::Address;

/// The replicas of a cluster by address, and which of them this one is.
///
/// Places go by ascending address, so that all replicas agree on them, whatever the order of their arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    addresses: Vec<Address>,
    own: ReplicaId,
}

/// Addresses that make no cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// `FFFF` is among them.
    #[error("FFFF is everyone's address and cannot be a replica's")]
    Broadcast,
    /// The own address is among the others'.
    #[error("{0} is this replica's own ID and cannot be another's, too")]
    Own(Address),
    /// An address appears twice.
    #[error("{0} is given twice")]
    Twice(Address),
    /// Too few or too many others.
    #[error("there are {0} other replicas; allowed is 1 to {max}", max = REPLICAS_MAX - 1)]
    Count(usize),
}

impl Members {
    /// The cluster of the replica at `own` and those at `others`, in any order.
    ///
    /// # Errors
    /// If the addresses are not all different, one of them is `FFFF`, or there are none or too many others.
    pub fn new(own: Address, others: &[Address]) -> Result<Members, MembersError> {
        if !(1..REPLICAS_MAX).contains(&others.len()) {
            return Err(MembersError::Count(others.len()));
        }
        if others.contains(&own) {
            return Err(MembersError::Own(own));
        }
        let mut addresses = [&[own], others].concat();
        addresses.sort_unstable();
        if let Some(pair) = addresses.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(MembersError::Twice(pair[0]));
        }
        if addresses.contains(&Address::BROADCAST) {
            return Err(MembersError::Broadcast);
        }
        let own = addresses.iter().position(|&address| address == own).expect("it is among them");
        Ok(Members { own: ReplicaId(own as u8), addresses })
    }

    /// The identity of this replica.
    pub fn identity(&self, seed: u64) -> Identity {
        Identity { id: self.own, replicas: self.addresses.len(), seed }
    }

    /// The address of this replica.
    pub fn own(&self) -> Address {
        self.address(self.own)
    }

    /// The address of a replica of the cluster.
    ///
    /// # Panics
    /// If the replica is not in the cluster.
    pub fn address(&self, replica: ReplicaId) -> Address {
        self.addresses[replica.index()]
    }

    /// The replica at an address, if there is one.
    pub fn replica(&self, address: Address) -> Option<ReplicaId> {
        self.addresses.binary_search(&address).ok().map(|place| ReplicaId(place as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_by_ascending_address() {
        let members = Members::new(Address(0x20), &[Address(0xFFFE), Address(3), Address(0x30)]).unwrap();
        assert_eq!(members.own(), Address(0x20));
        let identity = members.identity(7);
        assert_eq!((identity.id, identity.replicas, identity.seed), (ReplicaId(1), 4, 7));
        let places: Vec<Address> = ReplicaId::all(4).map(|replica| members.address(replica)).collect();
        assert_eq!(places, [Address(3), Address(0x20), Address(0x30), Address(0xFFFE)]);
        assert_eq!(members.replica(Address(0x30)), Some(ReplicaId(2)));
        assert_eq!(members.replica(Address(0x31)), None);
    }

    #[test]
    fn addresses_that_make_no_cluster_are_refused() {
        let told = |own: u16, others: &[u16]| {
            let others: Vec<Address> = others.iter().copied().map(Address).collect();
            Members::new(Address(own), &others).map_err(|error| error.to_string())
        };
        for (own, others, message) in [
            (1, vec![], "there are 0 other replicas; allowed is 1 to 100"),
            (200, (0..101).collect(), "there are 101 other replicas; allowed is 1 to 100"),
            (1, vec![0, 1], "0001 is this replica's own ID and cannot be another's, too"),
            (1, vec![0x2A, 3, 0x2A], "002A is given twice"),
            (1, vec![2, 0xFFFF], "FFFF is everyone's address and cannot be a replica's"),
            (0xFFFF, vec![2], "FFFF is everyone's address and cannot be a replica's"),
        ] {
            assert_eq!(told(own, &others), Err(message.to_owned()));
        }
        assert!(told(200, &(0..100).collect::<Vec<u16>>()).is_ok() && told(0, &[1]).is_ok());
    }
}
