//! The course's LAN: datagrams of JSON, as replicas, clients and the router between them write and read them.
//!
//! A datagram is one JSON object. Five keys are the envelope: `src`, `dst` and `leader` are addresses (four hexadecimal
//! digits, `FFFF` is every program as `dst` and no replica as `leader`), `type` names its kind, and `MID` is a string
//! that identifies it. The further keys depend on the type:
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
//! `sum` is a checksum over all other keys ([`Datagram::is_intact`]): a replica does not accept a damaged message of
//! another one. The other types are the course's, and have none.
//!
//! Reading any bytes is safe: the worst result is a [`Malformed`].

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
    /// A replica announces itself.
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

/// A message between replicas of a protocol, as datagrams ([`Datagrams::push`]). Its types must not be those of
/// [`kind`], and its keys neither those of the envelope nor `sum`.
pub trait PeerMessage: Sized {
    /// Adds the message to `out`: mostly one datagram, several if it is too large for one.
    fn encode(&self, envelope: &Envelope<'_>, out: &mut Datagrams);

    /// The message in an intact datagram from another replica; none if there is none.
    fn decode(datagram: &Datagram<'_>) -> Option<Self>;

    /// Whether the message is only a sign of life, or the answer to a message that may be one. A trace can omit these.
    fn pulse(&self) -> Option<Pulse> {
        None
    }
}

/// One of the messages that protocols repeat while nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// A heartbeat, with a number that its answer returns.
    Beat(u64),
    /// An answer to the message with this number. The answer alone need not show whether that was a heartbeat.
    Answer(u64),
}
