//! The course's LAN: datagrams of JSON, as replicas, clients and the router between them write and read them.
//!
//! A datagram is one JSON object. Five keys are the envelope: `src`, `dst` and `leader` are addresses (four hexadecimal
//! digits, `FFFF` is everyone as `dst` and nobody as `leader`), `type` says what it is, and `MID` is a text that names
//! it. What else there is depends on the type:
//!
//! | type | from, to | further keys |
//! |---|---|---|
//! | `hello` | replica, `FFFF` | |
//! | `get` | client, replica | `key` |
//! | `put` | client, replica | `key`, `value` |
//! | `ok` | replica, client | `value`, if it answers a get |
//! | `fail`, `redirect` | replica, client | |
//! | any other | replica, replica | whatever the protocol wants ([`PeerMessage`]), and `sum` |
//!
//! `sum` is a checksum over all other keys ([`Datagram::is_intact`]): a replica reads no damaged message of another one.
//! The other types are the course's, and have none.
//!
//! Reading never fails worse than with a [`Malformed`]: whatever comes in, it is safe to try.

mod address;
mod checksum;
mod damage;
mod datagram;
mod python;

pub use address::{Address, AddressError};
pub use damage::read_damaged;
pub use datagram::{Datagram, Datagrams, Envelope, Malformed};
pub use python::Oddity;

/// The most bytes of a datagram that is sent. UDP carries a little more than 65,500.
pub const DATAGRAM_BYTES_MAX: usize = 65_000;

/// No UDP datagram is larger than this, in bytes: room to receive any.
pub const UDP_BYTES_MAX: usize = 1 << 16;

/// Types of datagrams.
pub mod kind {
    /// A replica is there.
    pub const HELLO: &str = "hello";
    /// A client reads.
    pub const GET: &str = "get";
    /// A client writes.
    pub const PUT: &str = "put";
    /// A request is done.
    pub const OK: &str = "ok";
    /// A request is not done; try again.
    pub const FAIL: &str = "fail";
    /// A request is not done; ask the leader.
    pub const REDIRECT: &str = "redirect";
}

/// What replicas of a protocol send each other, as datagrams ([`Datagrams::push`]). Its types must not be those of
/// [`kind`], and its keys neither those of the envelope nor `sum`.
pub trait PeerMessage: Sized {
    /// Adds the message to what is to be sent: mostly one datagram, several if it is too large for one.
    fn encode(&self, envelope: &Envelope<'_>, out: &mut Datagrams);

    /// The message in a datagram from another replica, which is intact; none if there is none.
    fn decode(datagram: &Datagram<'_>) -> Option<Self>;

    /// Whether the message only shows that its sender lives, or answers one that may. A trace can leave such out.
    fn pulse(&self) -> Option<Pulse> {
        None
    }
}

/// A part of what protocols keep saying while nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// A heartbeat, with a number that its answer brings back.
    Beat(u64),
    /// An answer to the message with this number. Whether that was a heartbeat the answer alone need not tell.
    Answer(u64),
}
