//! seedbed: a deterministic simulation testbed for replicated systems, with a built-in Raft key-value store.
//!
//! A protocol is tested as a plain struct, in a crate of yours, on a virtual clock and a hostile network. Every run is a
//! pure function of the program, the scenario and the seed: a failure repeats to the bit, and shrinks to the few requests
//! and faults that show it.
//!
//! # From a protocol to its first failure
//!
//! A replica is a [`Machine`](machine::Machine): it takes one input at a time (a timeout, a message of a peer, a request
//! of a client) and leaves its effects in an outbox. It has no clock, socket, thread or file. [`Service`](service::Service)
//! names the leader that it has observed. A [`Subject`](lab::Subject) is all that the testbed needs to know besides: a
//! name, and how a replica starts. This one is a store that tells the others of each put and does not wait for them:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::convert::Infallible;
//!
//! use seedbed::prelude::*;
//!
//! struct Replica {
//!     me: Identity,
//!     store: BTreeMap<Text, Text>,
//! }
//!
//! impl Machine for Replica {
//!     type Message = (Text, Text);
//!     type Request = Operation;
//!     type Response = Response;
//!     type Record = Infallible; // It has no disk.
//!
//!     fn handle(&mut self, _: Time, input: Input<Self>, out: &mut Outbox<Self>) {
//!         match input {
//!             Input::Peer { message: (key, value), .. } => drop(self.store.insert(key, value)),
//!             Input::Client { from, mid, request: Operation::Get { key } } => {
//!                 let value = self.store.get(&key).cloned().unwrap_or_default();
//!                 out.reply(from, mid, Response::Ok { value: Some(value) });
//!             }
//!             Input::Client { from, mid, request: Operation::Put { key, value } } => {
//!                 for other in ReplicaId::all(self.me.replicas).filter(|&other| other != self.me.id) {
//!                     out.send(other, (key.clone(), value.clone()));
//!                 }
//!                 self.store.insert(key, value);
//!                 out.reply(from, mid, Response::Ok { value: None });
//!             }
//!             Input::Client { from, mid, .. } => out.reply(from, mid, Response::Fail),
//!             Input::Timeout | Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
//!         }
//!     }
//!
//!     fn poll_timeout(&self) -> Time {
//!         Time::NEVER
//!     }
//! }
//!
//! impl Service for Replica {
//!     fn leader(&self) -> Option<ReplicaId> {
//!         None
//!     }
//! }
//!
//! #[derive(Clone)]
//! struct Gossip;
//!
//! impl Subject for Gossip {
//!     type Machine = Replica;
//!
//!     fn name(&self) -> &'static str {
//!         "gossip"
//!     }
//!
//!     fn boot(&self, boot: Boot<Infallible>) -> Result<Replica, Exit> {
//!         Ok(Replica { me: boot.identity, store: BTreeMap::new() })
//!     }
//! }
//!
//! // In a test: `seedbed::explore(Gossip).seeds(0..2_000).check();`, which panics. Here the failure is looked at.
//! # let folder = std::env::temp_dir().join("seedbed-tutorial");
//! let found = seedbed::explore(Gossip).seeds(0..2_000).repros(folder).find().expect("a lost message is a lost write");
//! assert!(found.case.scenario.requests <= 3);
//! assert!(found.to_string().starts_with("gossip fails with seed "), "{found}");
//! ```
//!
//! The whole command line for it is one call: `seedbed::cli::run_with([seedbed::subject(Gossip)])` in the crate's `main`.
//! `docs/protocols.md` starts from an empty folder, and `examples/` has larger protocols, wrong and mended.
//!
//! # What is where
//!
//! | for | look at |
//! |---|---|
//! | writing a protocol | [`machine`], [`service`], [`id`], [`time`], [`rng`]; [`consensus`], if it agrees on a log |
//! | tests of it | [`explore`], [`replay`], [`lab`]: cases, exploring, shrinking, verifying, mutants |
//! | what clients ask, and what is right | [`workload`], [`specification`], [`check`] |
//! | what happens to a cluster | [`scenario`], [`chaos`], [`campaign`]: grids of scenarios |
//! | many runs | [`campaign`]: grids; [`report::sweep`]: their runs on all cores, as rows and statistics |
//! | single runs | [`world`], [`engine`], [`record`]: what a run leaves; [`report`]: how it is shown |
//! | a real program of it | [`wire`], [`node`] |
//!
//! `docs/ARCHITECTURE.md` is the map of the modules; `tests/repository/layers.rs` holds them to it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

// Three packages, so that what a run executes is optimised and the rest is built fast (docs/performance.md). This one
// shows what others may build on; the rest of the two below it may change at any time.
#[cfg(feature = "cli")]
pub mod cli;
pub mod prelude;
pub mod testing;

pub use seedbed_core::lab::subject;
pub use seedbed_core::{
    campaign, chaos, check, consensus, engine, id, lab, machine, node, record, rng, scenario, service, specification,
    subjects, time, wire, workload, world,
};
pub use seedbed_report as report;
pub use testing::{explore, replay};

#[cfg(feature = "grpc")]
use seedbed_core::{client, rpc, server, storage};
#[cfg(feature = "cli")]
use seedbed_core::{clock, files, printable};
