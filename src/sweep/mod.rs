//! Many runs of shipped protocols, and of others.

mod runner;
pub mod verify;

pub use runner::{ProtocolName, UnknownProtocol};
