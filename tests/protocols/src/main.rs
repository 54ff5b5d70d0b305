//! Protocols that panic in one place each, and one without clients: the command line must survive them.

use std::convert::Infallible;
use std::process::ExitCode;

use seedbed::prelude::*;
use seedbed::workload::CustomKind;

fn main() -> ExitCode {
    let odd = [Panics::Never, Panics::InClients].map(|panics| Odd { panics, hold_ms: Span::from_millis(5) });
    let [fragile, teller] = odd.map(seedbed::subject);
    seedbed::cli::run_with([fragile, teller, seedbed::subject(Mute)])
}

/// Where it panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    Never,
    InReplica,
    AtStart,
    InChecker,
    InClients,
}

/// One server, to which all others redirect. It is right as long as nothing fails.
#[derive(Clone, Copy, Debug)]
struct Odd {
    panics: Panics,
    /// Does nothing: it is a parameter that can be misspelled.
    hold_ms: Span,
}

impl Subject for Odd {
    type Machine = Replica;

    fn name(&self) -> &'static str {
        if self.panics == Panics::InClients { "teller" } else { "fragile" }
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Replica, Exit> {
        assert!(self.panics != Panics::AtStart, "at the start, on purpose");
        Ok(Replica { me: boot.identity, panics: self.panics, store: Default::default(), requests: 0 })
    }

    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        vec![Parameter::millis("hold_ms", &mut self.hold_ms)]
    }

    fn workload(&self) -> workload::Kind {
        match self.panics {
            Panics::InClients => workload::Kind::custom("bank", |_| Teller),
            _ => workload::Kind::COURSE,
        }
    }

    fn checks(&self) -> Vec<Box<dyn Check<Replica>>> {
        match self.panics {
            Panics::InChecker => vec![invariant("calm", |_| panic!("in a checker, on purpose"))],
            _ => Vec::new(),
        }
    }

    fn mutants(&self) -> Vec<Mutant> {
        let mutant = |name, breaks, panics| Mutant::new(name, breaks, Odd { panics, ..*self });
        if self.panics == Panics::InClients {
            return Vec::new();
        }
        vec![
            mutant("calm-replica", "panics at its third request", Panics::InReplica),
            mutant("calm-start", "panics when it starts", Panics::AtStart),
            mutant("calm-checker", "is watched by a checker that panics", Panics::InChecker),
        ]
    }
}

struct Teller;

impl Generator for Teller {
    fn next(&mut self, _: &mut Turn) -> Option<Operation> {
        panic!("in a client, on purpose")
    }
}

struct Replica {
    me: Identity,
    panics: Panics,
    store: std::collections::BTreeMap<Text, Text>,
    requests: u64,
}

impl Machine for Replica {
    type Message = ();
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, _: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        let Input::Client { from, mid, request } = input else { return };
        self.requests += 1;
        assert!(self.panics != Panics::InReplica || self.requests < 3, "in a replica, on purpose");
        if self.me.id != ReplicaId(0) {
            return out.reply(from, mid, Response::Redirect);
        }
        let value = match request {
            Operation::Get { key } => Some(self.store.get(&key).cloned().unwrap_or_default()),
            Operation::Put { key, value } => {
                self.store.insert(key, value);
                None
            }
            _ => return out.reply(from, mid, Response::Fail),
        };
        out.reply(from, mid, Response::Ok { value });
    }

    fn poll_timeout(&self) -> Time {
        Time::NEVER
    }
}

impl Service for Replica {
    fn leader(&self) -> Option<ReplicaId> {
        Some(ReplicaId(0))
    }
}

/// Has a type of its own, and nothing that draws its operations.
#[derive(Clone, Copy, Debug)]
struct Mute;

impl Subject for Mute {
    type Machine = Replica;

    fn name(&self) -> &'static str {
        "mute"
    }

    fn boot(&self, boot: Boot<Infallible>) -> Result<Replica, Exit> {
        Odd { panics: Panics::Never, hold_ms: Span::ZERO }.boot(boot)
    }

    fn workload(&self) -> workload::Kind {
        workload::Kind::Custom(CustomKind::named("silence"))
    }
}
