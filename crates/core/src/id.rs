//! Names of the parties of a run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most replicas one cluster can have, in every world. The course's limit is [`COURSE_REPLICAS_MAX`].
pub const REPLICAS_MAX: usize = 101;

/// The most replicas of a cluster in the course, which the defaults of its files are made for.
pub const COURSE_REPLICAS_MAX: usize = 21;

/// The fewest replicas one cluster can have. The course has three or more.
pub const REPLICAS_MIN: usize = 2;

/// A replica: its place in the cluster, counted from 0.
///
/// In the simulator this is also its address, printed as four hex digits. A program with arbitrary addresses numbers
/// them in ascending order, so that all replicas of the cluster agree on each other's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaId(pub u8);

impl ReplicaId {
    /// The place as an index into per-replica arrays.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All replicas of a cluster of `count`, in order.
    pub fn all(count: usize) -> impl DoubleEndedIterator<Item = ReplicaId> + Clone {
        debug_assert!(count <= REPLICAS_MAX);
        (0..count as u8).map(ReplicaId)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

/// A client's address on the simulated LAN, printed as four hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u16);

/// Client addresses start this far above the number of replicas.
const FIRST_CLIENT: usize = 16;

impl ClientId {
    /// The address of a run's n-th client, counted from 0.
    pub const fn numbered(number: usize, replicas: usize) -> ClientId {
        ClientId((replicas + FIRST_CLIENT + number) as u16)
    }

    /// The client's number, if it is above all replicas and the gap after them.
    pub fn number(self, replicas: usize) -> Option<usize> {
        usize::from(self.0).checked_sub(replicas + FIRST_CLIENT)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

/// A message ID: names one request of one client, and the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mid(pub u64);

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012X}", self.0)
    }
}

/// A string that is not a message ID of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a MID of this run")]
pub struct MidError;

impl FromStr for Mid {
    type Err = MidError;

    /// Reads a MID exactly as it is shown, so that every MID has one spelling.
    fn from_str(text: &str) -> Result<Mid, MidError> {
        let mid = u64::from_str_radix(text, 16).map(Mid).map_err(|_| MidError)?;
        if mid.to_string() == text { Ok(mid) } else { Err(MidError) }
    }
}

/// A set of replicas of one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ReplicaSet(u128);

const _: () = assert!(REPLICAS_MAX <= u128::BITS as usize, "a set has a bit for each replica");

impl ReplicaSet {
    /// The empty set.
    pub const EMPTY: ReplicaSet = ReplicaSet(0);

    /// All replicas of a cluster of `count`.
    pub fn all(count: usize) -> ReplicaSet {
        ReplicaId::all(count).collect()
    }

    /// How many replicas are in it.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether no replica is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this replica is in it.
    #[inline]
    pub const fn contains(self, replica: ReplicaId) -> bool {
        // A shift of 64 bits is one instruction, one of 128 is six. Worlds ask this several times for each message.
        let half = if replica.0 < 64 { self.0 as u64 } else { (self.0 >> 64) as u64 };
        (replica.0 as usize) < REPLICAS_MAX && half >> (replica.0 & 63) & 1 == 1
    }

    /// Puts a replica in.
    pub const fn insert(&mut self, replica: ReplicaId) {
        self.0 |= 1 << replica.0;
    }

    /// Takes a replica out.
    pub const fn remove(&mut self, replica: ReplicaId) {
        self.0 &= !(1 << replica.0);
    }

    /// The replicas that are in this set and not in the other.
    #[must_use]
    pub const fn minus(self, other: ReplicaSet) -> ReplicaSet {
        ReplicaSet(self.0 & !other.0)
    }

    /// The replicas that are in both sets.
    #[must_use]
    pub const fn and(self, other: ReplicaSet) -> ReplicaSet {
        ReplicaSet(self.0 & other.0)
    }

    /// The set with this replica, too.
    #[must_use]
    pub const fn with(mut self, replica: ReplicaId) -> ReplicaSet {
        self.insert(replica);
        self
    }

    /// The set without this replica.
    #[must_use]
    pub const fn without(mut self, replica: ReplicaId) -> ReplicaSet {
        self.remove(replica);
        self
    }

    /// The replica with the lowest number.
    pub const fn first(self) -> Option<ReplicaId> {
        if self.is_empty() { None } else { Some(ReplicaId(self.0.trailing_zeros() as u8)) }
    }

    /// Its replicas in ascending order.
    pub fn iter(self) -> impl Iterator<Item = ReplicaId> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let lowest = rest.first()?;
            rest.0 &= rest.0 - 1;
            Some(lowest)
        })
    }
}

impl FromIterator<ReplicaId> for ReplicaSet {
    fn from_iter<I: IntoIterator<Item = ReplicaId>>(replicas: I) -> ReplicaSet {
        let mut set = ReplicaSet::EMPTY;
        for replica in replicas {
            set.insert(replica);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_its_replicas_in_order_once_each() {
        let mut set: ReplicaSet = [5, 0, 100, 63, 64, 5].into_iter().map(ReplicaId).collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 5, 63, 64, 100].map(ReplicaId));
        set.remove(ReplicaId(5));
        assert_eq!((set.len(), set.contains(ReplicaId(5)), set.contains(ReplicaId(100))), (4, false, true));
    }

    #[test]
    fn a_set_holds_the_largest_cluster_and_no_replica_beyond_it() {
        let all = ReplicaSet::all(REPLICAS_MAX);
        assert_eq!(all.len(), REPLICAS_MAX);
        assert!((0..=u8::MAX).all(|number| all.contains(ReplicaId(number)) == (usize::from(number) < REPLICAS_MAX)));
        for replica in ReplicaId::all(REPLICAS_MAX) {
            let alone: ReplicaSet = std::iter::once(replica).collect();
            assert!(ReplicaId::all(REPLICAS_MAX).all(|other| alone.contains(other) == (other == replica)));
            assert_eq!((all.without(replica).len(), all.minus(alone)), (REPLICAS_MAX - 1, all.without(replica)));
            assert_eq!((all.and(alone), alone.iter().collect::<Vec<_>>()), (alone, vec![replica]));
        }
        assert!(ReplicaSet::EMPTY.is_empty() && ReplicaId::all(REPLICAS_MAX).all(|r| !ReplicaSet::EMPTY.contains(r)));
    }

    #[test]
    fn a_mid_is_read_only_as_it_is_shown() {
        for mid in [Mid(0), Mid(0x4D61_ACF8_3027), Mid(u64::MAX)] {
            assert_eq!(mid.to_string().parse(), Ok(mid));
        }
        for text in ["", "0", "4D61ACF8302", "04D61ACF83027", "4d61acf83027", "+00000000001", "x", "10000000000000000"]
        {
            assert_eq!(text.parse::<Mid>(), Err(MidError), "{text}");
        }
    }

    #[test]
    fn addresses_print_as_four_hex_digits() {
        assert_eq!((ReplicaId(20).to_string(), ClientId(26).to_string()), ("0014".to_string(), "001A".to_string()));
    }
}
