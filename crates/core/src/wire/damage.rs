//! What arrives of a message whose bytes are damaged on the way.

use super::{Address, Datagram, Datagrams, Envelope, PeerMessage};
use crate::id::ReplicaId;

/// What a node on the course's LAN reads of a message from one replica to another, of whose datagram `flip` has changed
/// a bit; none if it does not read it. If `checks` is false, the node looks at no checksum.
///
/// A message that takes several datagrams is lost but for the first one, which is the damaged one. A simulated message
/// arrives as one, or not at all.
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
