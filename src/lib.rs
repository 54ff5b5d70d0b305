//! seedbed: a deterministic simulation testbed for replicated systems, with a built-in Raft key-value store.
//!
//! One idea carries everything: *one scenario, one replica, many worlds*. A [`scenario`] says what happens to a
//! cluster; a replica is a state machine without I/O behind the [`machine`] seam; a [`world`] runs the one on the
//! other and leaves a [`record`]; a [`check`] judges the record and a [`report`] shows it.
//!
//! A protocol of your own is an implementation of [`machine::Machine`] in a crate of yours; run it with
//! [`world::simulation::simulate`]:
//!
//! ```
//! use seedbed::broadcast::Broadcast;
//! use seedbed::check::Judgement;
//! use seedbed::scenario::Scenario;
//! use seedbed::world::simulation::simulate;
//!
//! let scenario = Scenario::builtin("unreliable-1").expect("it comes with seedbed");
//! let record = simulate(&scenario, 7, Broadcast::new);
//! let findings = Judgement::of(&scenario, &record).findings();
//! assert!(!findings.is_empty(), "naive replication loses updates");
//! println!("{}", findings[0]); // linearizability: client 0019 read ...
//! ```
//!
//! `docs/ARCHITECTURE.md` is the map of the modules; `tests/repository/layers.rs` holds them to it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

// Three packages, so that what a run executes is optimised and the rest is built fast (docs/performance.md).
#[cfg(feature = "cli")]
pub mod cli;
pub mod prelude;
pub mod testing;

pub use seedbed_core::lab::subject;
pub use testing::{explore, replay};
pub use seedbed_core::*;
pub use seedbed_report as report;
