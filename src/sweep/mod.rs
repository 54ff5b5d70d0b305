//! Many runs of shipped protocols.

mod runner;

pub use runner::{ProtocolName, UnknownProtocol};
