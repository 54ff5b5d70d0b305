//! The result of reading a message with damaged bytes.

use super::{Address, Datagram, Datagrams, Envelope, PeerMessage};
use crate::id::ReplicaId;

/// What a node on the course's LAN reads when `flip` has changed a bit of the datagram of a message between replicas;
/// none if the node drops it. If `checks` is false, the node ignores checksums.
///
/// Of a message in several datagrams only the first one arrives, which is the damaged one. A simulated message arrives
/// as one, or not at all.
pub fn read_damaged<M: PeerMessage>(
    message: &M,
    [from, to]: [ReplicaId; 2],
    checks: bool,
    flip: &mut dyn FnMut(&mut [u8]),
) -> Option<M> {
    let [src, dst] = [from, to].map(|replica| Address(u16::from(replica.0)));
    let mut out = Datagrams::new();
    message.encode(&Envelope { src, dst, leader: Address::BROADCAST, mid: "1" }, &mut out);
    let mut bytes = out.iter().next()?.to_vec();
    flip(&mut bytes);
    let datagram = Datagram::parse(&bytes).ok()?;
    let is_addressed = datagram.src == src && (datagram.dst == dst || datagram.dst == Address::BROADCAST);
    let is_read = is_addressed && (!checks || datagram.is_intact());
    is_read.then(|| M::decode(&datagram)).flatten()
}
