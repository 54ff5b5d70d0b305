//! The window through which checkers see a server's consensus.

use super::{Message, Server};
use crate::consensus::{Consensus, Promise, consensus_of};
use crate::machine::Machine;
use crate::raft::Rules;
use crate::replicated::promise;

impl<R: Rules> Consensus for Server<R> {
    consensus_of!(self => self.replicated);

    fn promise(message: &<Self as Machine>::Message) -> Option<Promise> {
        match message {
            Message::Raft(message) => promise(message),
            _ => None,
        }
    }
}
