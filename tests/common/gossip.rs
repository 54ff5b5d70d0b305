//! A bare gossip protocol: what the simulator costs when the protocol costs next to nothing.

use seedbed::id::ReplicaId;
use seedbed::machine::{Identity, Input, Machine, Outbox};
use seedbed::rng::Stream;
use seedbed::service::{Operation, Response, Service};
use seedbed::time::Time;
use std::convert::Infallible;

/// Every replica starts a rumour for each other one; who hears a rumour passes it on to a random other replica.
#[derive(Debug)]
pub struct Gossip {
    identity: Identity,
    dice: Stream,
    started: bool,
}

impl Gossip {
    pub fn new(identity: Identity) -> Gossip {
        let dice = Stream::link(identity.seed, "gossip", u64::from(identity.id.0), 0);
        Gossip { identity, dice, started: false }
    }

    fn other(&mut self) -> ReplicaId {
        let others = self.identity.replicas as u64 - 1;
        let place = self.dice.below(others) as u8;
        ReplicaId(place + u8::from(place >= self.identity.id.0))
    }
}

impl Machine for Gossip {
    /// How often the rumour was passed on.
    type Message = u64;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, _: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        match input {
            Input::Peer { message, .. } => out.send(self.other(), message + 1),
            Input::Timeout if !self.started => {
                self.started = true;
                for other in ReplicaId::all(self.identity.replicas).filter(|&other| other != self.identity.id) {
                    out.send(other, 0);
                }
            }
            Input::Timeout | Input::Client { .. } | Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
        }
    }

    fn poll_timeout(&self) -> Time {
        if self.started { Time::NEVER } else { Time::ZERO }
    }
}

impl Service for Gossip {
    fn leader(&self) -> Option<ReplicaId> {
        None
    }
}
