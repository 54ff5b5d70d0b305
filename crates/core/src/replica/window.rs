//! The window through which checkers see a replica's consensus.

use super::Replica;
use crate::consensus::{Consensus, Promise, consensus_of};
use crate::machine::Machine;
use crate::raft::Rules;
use crate::replicated::promise;

impl<R: Rules> Consensus for Replica<R> {
    consensus_of!(self => self.replicated);

    fn promise(message: &<Self as Machine>::Message) -> Option<Promise> {
        promise(message)
    }
}
