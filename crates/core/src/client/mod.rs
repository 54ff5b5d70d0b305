//! Clients of a cluster of servers: they store and fetch, upload matrices, ask how servers are doing, and measure.
//!
//! Only with the feature `grpc`. All of them go through [`Servers`], which knows addresses and keeps connections.
//!
//! - [`Kv`] is the client of the store. It asks any server, tries again until its time has run out, and sends an update
//!   under the same name each time, so that it is carried out once.
//! - [`Chaos`] hands connectivity matrices to the chaos monkeys of all servers.
//! - [`status`] asks servers how they are doing.
//! - [`bench`](mod@bench) loads a store and measures it: this store through [`Kv`], any other store through its own
//!   [`bench::Target`].
//!
//! # What an update that failed may have done
//!
//! An answer can be lost after the server has carried out the request. So [`Error::TimedOut`] of an update says whether
//! that may have happened. The next update of the same [`Kv`] then has the next number. Once that is applied, the
//! cluster ignores the update that timed out.

pub mod bench;
mod chaos;
mod error;
mod kv;
mod servers;
pub mod status;
#[cfg(test)]
mod tests;

pub use chaos::Chaos;
pub use error::{Error, Reasons, reason};
pub use kv::{Kv, Routing, Settings, Swap};
pub use servers::{Each, Servers};
