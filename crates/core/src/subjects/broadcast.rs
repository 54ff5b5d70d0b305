//! Naive replication by broadcast as a subject.

use std::convert::Infallible;
use std::sync::Arc;

use crate::broadcast;
use crate::kv::Command;
use crate::lab::Subject;
use crate::machine::{Boot, Exit};
use crate::wire::{Datagrams, Envelope, PeerMessage};

/// Naive replication by broadcast ([`broadcast::Broadcast`]).
#[derive(Clone, Copy, Debug)]
pub struct Broadcast;

impl Subject for Broadcast {
    type Machine = broadcast::Broadcast;

    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn summary(&self) -> &'static str {
        "Naive replication by broadcast: fast, and wrong when a message is lost"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<broadcast::Broadcast, Exit> {
        Ok(broadcast::Broadcast::new(boot.identity))
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["copy"]
    }

    fn write_message(&self, message: &Arc<Command>, envelope: &Envelope<'_>, out: &mut Datagrams) {
        message.encode(envelope, out);
    }
}
