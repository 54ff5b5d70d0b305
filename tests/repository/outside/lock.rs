//! A lock without a server: a replica grants it when it knows of no holder, and tells the others.

use std::convert::Infallible;

use seedbed::prelude::*;

#[derive(Clone)]
struct Locks;

struct Replica {
    me: Identity,
    holder: Option<ClientId>,
}

impl Subject for Locks {
    type Machine = Replica;

    fn name(&self) -> &'static str {
        "locks"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Replica, Exit> {
        Ok(Replica { me: boot.identity, holder: None })
    }

    fn workload(&self) -> &'static str {
        "lock"
    }
}

impl Machine for Replica {
    type Message = Option<ClientId>;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, _: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        let (from, mid, holder) = match input {
            Input::Peer { message, .. } => return self.holder = message,
            Input::Client { from, mid, request: Operation::Acquire { .. } } => (from, mid, Some(from)),
            Input::Client { from, mid, .. } => (from, mid, None),
            Input::Timeout | Input::Synced { .. } | Input::DiskFull => return,
        };
        // A client may hold the lock, or give it up, only if no other client has it.
        let is_free = self.holder.is_none_or(|other| other == from);
        if is_free {
            self.holder = holder;
            ReplicaId::all(self.me.replicas).filter(|&to| to != self.me.id).for_each(|to| out.send(to, holder));
        }
        let is_granted = is_free == holder.is_some();
        out.reply(from, mid, Response::Ok { value: is_granted.then(|| "token".into()) });
    }

    fn poll_timeout(&self) -> Time {
        Time::NEVER
    }
}

impl Service for Replica {
    fn leader(&self) -> Option<ReplicaId> {
        None
    }
}

#[test]
fn no_two_clients_hold_the_lock() {
    seedbed::explore(Locks).seeds(0..2_000).check();
}
