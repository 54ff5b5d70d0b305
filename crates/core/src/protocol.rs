//! The seam: a replica is a state machine without I/O.
//!
//! A protocol under test is a plain struct. It has no clock, socket, thread, file or global randomness; a world hands
//! it the time with every input and carries out the effects that it leaves in an [`Outbox`]. Verbs carry meaning:
//! `handle` takes input, `poll_*` asks, bare nouns read.
//!
//! Three things are the whole contract between a protocol and a world:
//!
//! - Effects happen in the order in which they were left.
//! - When `poll_timeout` is at or before the present, the world hands in [`Input::Timeout`] before time moves on. A
//!   world that has several inputs at hand may hand them all in first, so that a protocol which puts work off to a
//!   timeout "now" gets batches for nothing.
//! - Early timeouts are harmless: the protocol looks at `now` and does only what is due.
//!
//! Randomness is a seed, given at construction ([`Identity`]).

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use crate::id::{ClientId, Mid, ReplicaId};
use crate::time::Time;

/// Keys and values: immutable text that is cheap to share.
pub type Text = Arc<str>;

/// How many bytes a text takes in a message at most: as JSON in ASCII, without the quotes around it.
///
/// What carries messages may read them and write them anew, and then it may escape whatever is not ASCII, as Python's
/// `json.dumps` does. That makes an `é` of two bytes six bytes long. Whoever bounds messages by this length is safe.
pub fn text_bytes(text: &str) -> usize {
    let is_plain = |byte: u8| matches!(byte, 0x20..=0x7E) && byte != b'"' && byte != b'\\';
    // Without a branch for each byte, which is several times as fast. Most text is plain.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        return text.len();
    }
    let bytes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C => 2,
        0x20..=0x7E => 1,
        // The bytes after the first of a character, which stands for them all.
        0x80..0xC0 => 0,
        // Two escapes.
        0xF0.. => 12,
        _ => 6,
    });
    bytes.sum()
}

/// A replicated protocol, as a deterministic state machine.
pub trait Protocol {
    /// What replicas of this protocol send each other. `Hash` feeds the run's trace hash, so it should cover every
    /// field; `Debug` shows the message to a person.
    type Message: Clone + Debug + Hash;

    /// Takes one input at time `now` and leaves the effects in `out`. Never called with an earlier `now` than before.
    fn handle(&mut self, now: Time, input: Input<Self::Message>, out: &mut Outbox<Self::Message>);

    /// When the protocol wants [`Input::Timeout`] next; [`Time::NEVER`] if not at all.
    fn poll_timeout(&self) -> Time;

    /// The replica that this one believes to be the leader. It is stamped on everything this replica sends.
    fn leader(&self) -> Option<ReplicaId>;
}

/// What a replica is told of itself when it starts.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Its own place in the cluster.
    pub id: ReplicaId,
    /// How many replicas the cluster has, itself included.
    pub replicas: usize,
    /// Seed of all its randomness. Replicas of one cluster may share it: streams are named with the replica's place.
    pub seed: u64,
}

/// What a world hands to a protocol.
#[derive(Clone, Debug)]
pub enum Input<M> {
    /// The time that `poll_timeout` asked for has come (or an early call, which does nothing).
    Timeout,
    /// A message from another replica (or from itself) has arrived.
    Peer {
        /// The sender.
        from: ReplicaId,
        /// What it sent.
        message: M,
    },
    /// A client's request has arrived.
    Client {
        /// The client.
        from: ClientId,
        /// What it asks.
        request: Request,
    },
}

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Names this request; the answer carries it back.
    pub mid: Mid,
    /// What the client wants done.
    pub operation: Operation,
}

/// What a client wants done with the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read the value of a key.
    Get {
        /// The key.
        key: Text,
    },
    /// Set the value of a key.
    Put {
        /// The key.
        key: Text,
        /// Its new value.
        value: Text,
    },
    /// Set the value of a key, perhaps on a condition, and exactly once. The course's clients know no such thing.
    ///
    /// The answer [`Response::Ok`] carries no value if that is done. If it carries one, the condition did not hold:
    /// nothing was changed, and this is what the key has.
    Update(Arc<Update>),
}

/// Names one update of one client, so that it is applied once however often it is sent (section 8 of the paper, thesis
/// 6.3).
///
/// A client draws its own number at random, numbers its updates in ascending order and waits for the answer to one
/// before it sends the next. An update that is sent again under the same number is answered as the first time. One with
/// a number below the client's newest is not applied, and answered [`Response::Fail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    /// The client.
    pub client: u64,
    /// The number of its update.
    pub number: u64,
}

/// A change of one key.
///
/// A key that was never put has the value "". So whoever expects "" creates, and whoever puts "" removes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Update {
    /// The key.
    pub key: Text,
    /// Its new value.
    pub value: Text,
    /// Compare-and-swap: change it only if the key has this value.
    pub expected: Option<Text>,
    /// Apply it only once; none if it may be applied as often as it is sent.
    pub request: Option<RequestId>,
}

impl Operation {
    /// The key it is about.
    pub fn key(&self) -> &Text {
        match self {
            Operation::Get { key } | Operation::Put { key, .. } => key,
            Operation::Update(update) => &update.key,
        }
    }

    /// The value that it sets; none if it only reads.
    pub fn value(&self) -> Option<&Text> {
        match self {
            Operation::Get { .. } => None,
            Operation::Put { value, .. } => Some(value),
            Operation::Update(update) => Some(&update.value),
        }
    }

    /// Whether it is a get.
    pub fn is_get(&self) -> bool {
        matches!(self, Operation::Get { .. })
    }
}

/// A replica's answer to a request (the handout's `ok`, `fail` and `redirect`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Response {
    /// Done. A get carries the value, which is "" for a key that was never put; a put carries none. An update carries
    /// one if it was not done: the value that was there in place of the expected one.
    Ok {
        /// The value read, or found.
        value: Option<Text>,
    },
    /// Not done, as far as this replica knows; the client should try again.
    Fail,
    /// Not done here; the client should ask the leader that this answer is stamped with.
    Redirect,
}

/// One effect of a protocol on the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<M> {
    /// Send a message to a replica. It may be lost, and it may be late.
    Send {
        /// The receiver.
        to: ReplicaId,
        /// What to send.
        message: M,
    },
    /// Answer a client's request.
    Reply {
        /// The client.
        to: ClientId,
        /// The request that this answers.
        mid: Mid,
        /// The answer.
        response: Response,
    },
}

/// The ordered list of effects that a protocol leaves for its world. Worlds reuse one, so that it allocates nothing
/// in the steady state.
#[derive(Clone, Debug)]
pub struct Outbox<M> {
    effects: Vec<Effect<M>>,
}

impl<M> Outbox<M> {
    /// An empty outbox.
    pub const fn new() -> Outbox<M> {
        Outbox { effects: Vec::new() }
    }

    /// Leaves a message to be sent.
    #[inline]
    pub fn send(&mut self, to: ReplicaId, message: M) {
        self.effects.push(Effect::Send { to, message });
    }

    /// Leaves an answer to be given.
    #[inline]
    pub fn reply(&mut self, to: ClientId, mid: Mid, response: Response) {
        self.effects.push(Effect::Reply { to, mid, response });
    }

    /// Takes all effects out, in order.
    #[inline]
    pub fn drain(&mut self) -> impl Iterator<Item = Effect<M>> + '_ {
        self.effects.drain(..)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }
}

impl<M> Default for Outbox<M> {
    fn default() -> Outbox<M> {
        Outbox::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The JSON of a text as Python's `json.dumps` writes it.
    fn in_ascii(text: &str) -> String {
        let mut escaped = String::new();
        for c in serde_json::to_string(text).expect("text can be written").chars() {
            if matches!(c, ' '..='~') {
                escaped.push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    escaped += &format!("\\u{unit:04x}");
                }
            }
        }
        escaped
    }

    #[test]
    fn text_is_measured_as_json_in_ascii() {
        assert_eq!(in_ascii("é\u{7f}\u{1F600}\n"), r#""\u00e9\u007f\ud83d\ude00\n""#);
        let first_characters: String = ('\0'..'\u{3000}').collect();
        for text in ["", "plain", "\"\\/", "\n\r\t\u{8}\u{c}", "\u{FFFF}\u{10000}\u{10FFFF}", &first_characters] {
            assert_eq!(text_bytes(text) + "\"\"".len(), in_ascii(text).len(), "{text:?}");
        }
        for c in '\0'..'\u{3000}' {
            assert_eq!(text_bytes(&c.to_string()) + "\"\"".len(), in_ascii(&c.to_string()).len(), "{c:?}");
        }
    }
}
