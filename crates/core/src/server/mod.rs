//! A server of the cluster without I/O: the desk at which its clients ask, in front of the
//! [replicated store](crate::replicated), behind the [`Machine`] seam.
//!
//! Every server answers clients. The leader takes requests on; every other server passes them on to the leader and returns
//! the answer (`requests`). A server takes part only if others can rely on its memory ([`admission`]). What ships is this
//! machine: tasks, sockets and files around it only move bytes.

pub mod admission;
mod config;
mod journal;
mod message;
mod names;
mod requests;
mod window;

use std::fmt;
use std::sync::Arc;

use crate::id::ReplicaId;
use crate::kv::{CLIENTS_MAX, Command, Store};
use crate::machine::{Boot, Exit, Input, Machine, Outbox, Record as _, Recovered, Stored};
use crate::raft::{self, Raft, Rules, Sound};
use crate::replicated::{self, Outcome, ReplicatedStore};
use crate::rng::Stream;
use crate::service::{Operation, Response, Service};
use crate::time::{Span, Time};

use admission::{Admission, Fact, Greeting};
pub use config::Config;
use journal::Journal;
pub use message::{Message, Record};
use names::Names;
pub(crate) use requests::Ticket;
use requests::{Origin, Requests};

/// How often a server that does not take part yet asks the others.
const GREETING_INTERVAL: Span = Span::from_millis(100);

/// A server of the cluster. `R` says which of Raft's rules it keeps.
#[derive(Clone, Debug)]
pub struct Server<R = Sound> {
    id: ReplicaId,
    servers: usize,
    config: Config,
    replicated: ReplicatedStore<Ticket, R>,
    requests: Requests,
    ledger: Ledger,
    /// When it asks the others next whether it may take part.
    greets: Time,
    ignored: u64,
}

/// What is between the replicated store and the outbox.
#[derive(Clone, Debug)]
struct Ledger {
    admission: Admission,
    /// None if there is no disk.
    journal: Option<Journal>,
    /// What became of requests, and has not been told yet.
    completed: Vec<(Ticket, Outcome)>,
}

impl Ledger {
    /// Takes the effects of the replicated store.
    fn exits<'e, R: Rules>(&'e mut self, out: &'e mut Outbox<Server<R>>) -> Exits<'e, R> {
        Exits { ledger: self, out }
    }

    /// Writes a fact down, if there is a disk.
    fn note<R: Rules>(&mut self, fact: Fact, out: &mut Outbox<Server<R>>) {
        if let Some(journal) = &mut self.journal {
            journal.note_other();
            out.persist(Record::Fact(fact));
        }
    }
}

struct Exits<'e, R: Rules> {
    ledger: &'e mut Ledger,
    out: &'e mut Outbox<Server<R>>,
}

impl<R: Rules> raft::Effects<Arc<Command>> for Exits<'_, R> {
    #[inline]
    fn send(&mut self, to: ReplicaId, message: raft::Message<Arc<Command>>) {
        self.out.send(to, Message::Raft(message));
    }

    fn persist(&mut self, record: raft::Record<Arc<Command>>) {
        if let Some(journal) = &mut self.ledger.journal {
            journal.note_raft();
        }
        self.out.persist(if record.ends_checkpoint() {
            Record::Checkpoint { raft: record, facts: self.ledger.admission.facts() }
        } else {
            Record::Raft(record)
        });
    }

    fn sync(&mut self) {
        self.out.sync();
    }
}

impl<R: Rules> replicated::Effects<Ticket> for Exits<'_, R> {
    #[inline]
    fn complete(&mut self, ticket: Ticket, outcome: Outcome) {
        self.ledger.completed.push((ticket, outcome));
    }
}

impl<R: Rules> Server<R> {
    /// A server that starts, for the first time or again, from what its disk has. Without a disk it has forgotten
    /// everything.
    ///
    /// # Errors
    /// If it refuses to start, because a record on the disk is damaged.
    ///
    /// # Panics
    /// If the configuration makes no sense: the caller has validated it.
    pub fn boot(boot: Boot<Record>, config: Config, rules: R) -> Result<Server<R>, Exit> {
        config.validate().expect("the configuration was validated");
        let Boot { identity, incarnation, now, disk } = boot;
        let (id, servers) = (identity.id, identity.replicas);
        let stream = |purpose| Stream::link(identity.seed, purpose, u64::from(identity.id.0), u64::from(incarnation));
        let (disk, facts) = match disk {
            None => (None, Vec::new()),
            Some(recovered) => {
                let (records, facts) = split(recovered);
                (Some(records), facts)
            }
        };
        let journal = disk.is_some().then(Journal::default);
        let boot = Boot { identity, incarnation, now, disk };
        let replicated = ReplicatedStore::boot(boot, config.raft.clone(), rules, config.log_bytes_max)?;
        let admission = Admission::new(id, servers, &facts, &mut stream("memory"));
        let ledger = Ledger { admission, journal, completed: Vec::new() };
        // However all of these are used at one time, no store forgets one of them meanwhile.
        let names = Names::new(stream("names"), CLIENTS_MAX / servers.max(1) / 2);
        let requests = Requests::new(names, stream("tokens").next_u64(), now);
        Ok(Server { id, servers, config, replicated, requests, ledger, greets: now, ignored: 0 })
    }

    /// Its store, and its part in consensus.
    pub(crate) fn replicated(&self) -> &ReplicatedStore<Ticket, R> {
        &self.replicated
    }

    /// Its part in consensus.
    pub fn raft(&self) -> &Raft<Arc<Command>, R> {
        self.replicated.raft()
    }

    /// Its store.
    pub fn store(&self) -> &Store {
        self.replicated.store()
    }

    /// Who may take part, as far as it knows.
    pub fn admission(&self) -> &Admission {
        &self.ledger.admission
    }

    /// How many messages of other servers were invalid, and were ignored.
    pub fn ignored(&self) -> u64 {
        self.ignored + self.raft().ignored()
    }

    /// Whether it takes part.
    #[inline]
    fn is_admitted(&self) -> bool {
        self.ledger.admission.is_admitted()
    }

    /// Asks the others whether it may take part, but not before its memory is written down.
    fn greet(&mut self, now: Time, out: &mut Outbox<Self>) {
        if now < self.greets {
            return;
        }
        self.greets = now + GREETING_INTERVAL;
        if let Some(fact) = self.ledger.admission.take_new() {
            self.ledger.note(fact, out);
        }
        // It may have been written down with an earlier greeting, and not be on the disk yet.
        out.sync();
        let memory = self.ledger.admission.own();
        self.ledger.admission.strangers().for_each(|other| out.send(other, Message::Hello { memory }));
    }

    fn handle_message(&mut self, now: Time, from: ReplicaId, message: Message, out: &mut Outbox<Self>) {
        if from == self.id || from.index() >= self.servers {
            self.ignored += 1;
            return;
        }
        match message {
            Message::Hello { memory } => {
                let greeting = self.ledger.admission.handle_hello(from, memory);
                if let Greeting::New(fact) = greeting {
                    self.ledger.note(fact, out);
                }
                // That of an earlier hello may not be on the disk yet either.
                out.sync();
                out.send(
                    from,
                    match greeting {
                        Greeting::New(_) | Greeting::Welcome => Message::Welcome { memory },
                        Greeting::Forgotten => Message::Forgotten { memory },
                    },
                );
            }
            Message::Welcome { memory } => {
                if self.ledger.admission.handle_welcome(from, memory) {
                    self.ledger.note(Fact::Admitted, out);
                    // If it forgot this, it would need all those welcomes again.
                    out.sync();
                    self.replicated.raft_mut().wait_anew(now);
                }
            }
            Message::Forgotten { memory } if self.ledger.admission.is_forgotten(memory) => {
                out.exit(Exit(
                    format!(
                        "refused by the cluster: server {} was a member of this cluster before it was started again, and has \
                         lost its memory with all votes that it gave, so it cannot take part any more. The cluster goes on \
                         without it for as long as a majority lives",
                        self.id.0
                    )
                    .into(),
                ));
            }
            Message::Forgotten { .. } => {}
            // Messages that come before it takes part count as lost.
            _ if !self.is_admitted() => {}
            Message::Raft(message) => {
                self.replicated.handle_message(now, from, message, &mut self.ledger.exits(out));
            }
            Message::Forward { token, operation, relay, patience } => {
                self.take_foreign(now, Origin::Server { from, token, relay }, operation, patience, out);
            }
            Message::Forwarded { token, response } => self.handle_forwarded(from, token, response, out),
        }
    }

    /// Does all work that has become possible.
    fn settle(&mut self, now: Time, out: &mut Outbox<Self>) {
        self.replicated.settle(now, &mut self.ledger.exits(out));
        loop {
            if self.raft().is_leader() {
                self.replicated.answer_reads(now, &mut self.ledger.exits(out));
            } else if self.replicated.open_updates() + self.replicated.open_reads() > 0 {
                self.yield_reads(now, out);
            }
            self.follow_leader(now, out);
            if self.ledger.completed.is_empty() {
                break;
            }
            self.tell_completed(now, out);
        }
        self.replicated.raft().flush(&mut self.ledger.exits(out));
    }
}

/// The records of Raft's on a disk, and the facts. A damaged record counts as one of Raft's, which refuses it.
fn split(recovered: Recovered<Record>) -> (Recovered<raft::Record<Arc<Command>>>, Vec<Fact>) {
    let (mut records, mut facts) = (Vec::new(), Vec::new());
    for stored in recovered.records {
        match stored {
            Stored::Damaged => records.push(Stored::Damaged),
            Stored::Intact(Record::Raft(record)) => records.push(Stored::Intact(record)),
            Stored::Intact(Record::Fact(fact)) => facts.push(fact),
            Stored::Intact(Record::Checkpoint { raft, facts: all }) => {
                records.push(Stored::Intact(raft));
                facts = all.into_vec();
            }
        }
    }
    (Recovered { records, torn: recovered.torn }, facts)
}

/// As that of its [`ReplicatedStore`].
impl<R: Rules> fmt::Display for Server<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.replicated.fmt(f)
    }
}

impl<R: Rules> Machine for Server<R> {
    type Message = Message;
    type Request = Operation;
    type Response = Response;
    type Record = Record;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        match input {
            Input::Timeout => {
                if self.is_admitted() {
                    self.replicated.raft_mut().handle_timeout(now, &mut self.ledger.exits(out));
                } else {
                    self.greet(now, out);
                }
                self.look_through(now, out);
            }
            Input::Peer { from, message } => self.handle_message(now, from, message, out),
            Input::Client { from, mid, request } => {
                let deadline = now + self.config.request_time_max;
                return self.handle_request(now, (from, mid), request, deadline, out);
            }
            Input::Synced { up_to } => {
                let up_to = self.ledger.journal.as_mut().map_or(0, |journal| journal.on_disk(up_to));
                self.replicated.raft_mut().handle_synced(now, up_to, &mut self.ledger.exits(out));
            }
            Input::DiskFull => {
                if let Some(why) = self.replicated.raft_mut().handle_full_disk() {
                    return out.exit(why);
                }
            }
            Input::StepDown => drop(self.replicated.raft_mut().hand_over(now, &mut self.ledger.exits(out))),
        }
        if self.is_admitted() {
            self.settle(now, out);
        }
    }

    #[inline]
    fn poll_timeout(&self) -> Time {
        let due = if self.is_admitted() { self.raft().poll_timeout() } else { self.greets };
        due.min(self.requests.look())
    }
}

impl<R: Rules> Service for Server<R> {
    fn leader(&self) -> Option<ReplicaId> {
        self.raft().leader()
    }
}

#[cfg(test)]
mod tests;
