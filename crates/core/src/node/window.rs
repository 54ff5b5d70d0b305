//! The window into a node is that of its protocol.

use super::Node;
use crate::consensus::{Consensus, consensus_of};
use crate::service::Service;

/// What datagrams promise is not visible: they are bytes. It matters only where replicas have disks, and a node has none.
impl<P: Service + Consensus> Consensus for Node<P> {
    consensus_of!(self => self.protocol);
}
