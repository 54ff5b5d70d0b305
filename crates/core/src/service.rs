//! The operations of clients, and the answers of the machines that serve them.

use std::sync::Arc;

use crate::id::ReplicaId;
use crate::machine::Machine;

/// A machine that serves the key-value store to clients.
pub trait Service: Machine<Request = Operation, Response = Response> {
    /// The leader that this replica has observed. It is stamped on every message of this replica.
    fn leader(&self) -> Option<ReplicaId>;

    /// What this machine, `to`, reads when a message from `from` arrives with damaged bytes; none if the message is
    /// lost. `flip` damages bytes: it flips one bit of them.
    ///
    /// In a simulation messages are values, without bytes. A machine with a wire format writes the message, damages the
    /// bytes and reads them as it would read them from the network. It is only asked about messages that are damaged.
    /// By default such a message is lost, as on a network that detects and drops damaged messages.
    fn read_damaged(
        &self,
        from: ReplicaId,
        to: ReplicaId,
        message: &Self::Message,
        flip: &mut dyn FnMut(&mut [u8]),
    ) -> Option<Self::Message> {
        let _ = (from, to, message, flip);
        None
    }
}

/// Keys and values: immutable text that is cheap to share.
pub type Text = Arc<str>;

/// How many bytes a string takes in a message at most: as JSON in ASCII, without the quotes around it.
///
/// A router may read messages and encode them again, and then it may escape all characters outside ASCII, as Python's
/// `json.dumps` does. That makes an `é` of two bytes six bytes long. A bound in terms of this length holds in either
/// case.
pub fn text_bytes(text: &str) -> usize {
    let is_plain = |byte: u8| matches!(byte, 0x20..=0x7E) && byte != b'"' && byte != b'\\';
    // Without a branch for each byte, which is several times as fast. Most text is plain.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        return text.len();
    }
    let bytes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C => 2,
        0x20..=0x7E => 1,
        // The later bytes of a character; its first byte counts for all of them.
        0x80..0xC0 => 0,
        // Two escapes.
        0xF0.. => 12,
        _ => 6,
    });
    bytes.sum()
}

/// A client's operation.
///
/// Every operation is about one object, which its key names. The first three are those of the key-value store. Lists,
/// counters, queues and locks have operations of their own, and [`Operation::Custom`] is for all other types. A protocol
/// serves those that it knows and answers all others with [`Response::Fail`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Read the value of a key. For a list it is [`list_text`] of its values, for a counter a decimal number, and for
    /// either "" while nothing was added.
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
    /// Set the value of a key, perhaps on a condition, and exactly once. The course's clients have no such operation.
    ///
    /// The answer [`Response::Ok`] carries no value if the update is done. If it carries one, the condition did not
    /// hold: nothing was changed, and this is the key's value.
    Update(Arc<Update>),
    /// Add a value at the end of a list. The answer carries no value.
    Append {
        /// The list.
        key: Text,
        /// The value.
        value: Text,
    },
    /// Add to a counter. The answer carries no value.
    Add {
        /// The counter.
        key: Text,
        /// The amount, which may be negative.
        amount: i64,
    },
    /// Add a value at the end of a queue. The answer carries no value.
    Enqueue {
        /// The queue.
        key: Text,
        /// The value.
        value: Text,
    },
    /// Take the value at the front of a queue. The answer carries it; it carries no value if the queue is empty.
    Dequeue {
        /// The queue.
        key: Text,
    },
    /// Take a lock. The answer carries a value if the client has it now: any string, usually a fencing token. It
    /// carries none if some client has the lock already.
    Acquire {
        /// The lock.
        key: Text,
    },
    /// Release a lock. The answer carries no value if that is done. If it carries one, the client did not have the
    /// lock.
    Release {
        /// The lock.
        key: Text,
    },
    /// An operation of a type of your own.
    Custom(Arc<Custom>),
}

/// An operation of a type that this package does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Custom {
    /// The name of the operation.
    pub name: Text,
    /// The object that it is about.
    pub key: Text,
    /// Its argument, if it has one.
    pub argument: Option<Text>,
}

/// What a get of a list returns: its values as a JSON list of strings; "" for a list without values.
pub fn list_text<'t>(values: impl IntoIterator<Item = &'t Text>) -> Text {
    let values: Vec<&str> = values.into_iter().map(|value| &**value).collect();
    if values.is_empty() { "".into() } else { serde_json::to_string(&values).unwrap_or_default().into() }
}

/// Names one update of one client, so that it is applied once however often it is sent (section 8 of the paper, thesis
/// 6.3).
///
/// A client draws its own number at random, numbers its updates in ascending order and waits for the answer to one
/// before it sends the next. An update that is sent again under the same number is answered as the first time. One with
/// a number below the client's newest is not applied, and answered [`Response::Fail`] or [`Response::Outdated`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// The client.
    pub client: u64,
    /// The number of its update.
    pub number: u64,
}

/// A change of one key.
///
/// A key that was never put has the value "". So an update that expects "" creates the key, and one that puts ""
/// removes it.
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
            Operation::Get { key }
            | Operation::Put { key, .. }
            | Operation::Append { key, .. }
            | Operation::Add { key, .. }
            | Operation::Enqueue { key, .. }
            | Operation::Dequeue { key }
            | Operation::Acquire { key }
            | Operation::Release { key } => key,
            Operation::Update(update) => &update.key,
            Operation::Custom(custom) => &custom.key,
        }
    }

    /// The string that it carries besides the key: the value that it sets or adds, or its argument.
    pub fn value(&self) -> Option<&Text> {
        match self {
            Operation::Put { value, .. } | Operation::Append { value, .. } | Operation::Enqueue { value, .. } => {
                Some(value)
            }
            Operation::Update(update) => Some(&update.value),
            Operation::Custom(custom) => custom.argument.as_ref(),
            Operation::Get { .. }
            | Operation::Add { .. }
            | Operation::Dequeue { .. }
            | Operation::Acquire { .. }
            | Operation::Release { .. } => None,
        }
    }

    /// The same operation under other names: on this key, with other values, and another number for the client in the
    /// name of an update. The argument of a [`Custom`] one stays as it is, because it may name keys.
    pub fn renamed(
        &self,
        key: Text,
        mut value: impl FnMut(&Text) -> Text,
        client: impl FnOnce(u64) -> u64,
    ) -> Operation {
        match self {
            Operation::Get { .. } => Operation::Get { key },
            Operation::Put { value: old, .. } => Operation::Put { key, value: value(old) },
            Operation::Update(update) => Operation::Update(Arc::new(Update {
                key,
                value: value(&update.value),
                expected: update.expected.as_ref().map(value),
                request: update.request.map(|request| RequestId { client: client(request.client), ..request }),
            })),
            Operation::Append { value: old, .. } => Operation::Append { key, value: value(old) },
            &Operation::Add { amount, .. } => Operation::Add { key, amount },
            Operation::Enqueue { value: old, .. } => Operation::Enqueue { key, value: value(old) },
            Operation::Dequeue { .. } => Operation::Dequeue { key },
            Operation::Acquire { .. } => Operation::Acquire { key },
            Operation::Release { .. } => Operation::Release { key },
            Operation::Custom(custom) => Operation::Custom(Arc::new(Custom { key, ..Custom::clone(custom) })),
        }
    }

    /// Its name in scenarios, histories and reports.
    pub fn name(&self) -> &str {
        match self {
            Operation::Get { .. } => "get",
            Operation::Put { .. } => "put",
            Operation::Update(_) => "update",
            Operation::Append { .. } => "append",
            Operation::Add { .. } => "add",
            Operation::Enqueue { .. } => "enqueue",
            Operation::Dequeue { .. } => "dequeue",
            Operation::Acquire { .. } => "acquire",
            Operation::Release { .. } => "release",
            Operation::Custom(custom) => &custom.name,
        }
    }

    /// Whether it is a get. All others may change something, and are counted and judged like puts.
    pub fn is_get(&self) -> bool {
        matches!(self, Operation::Get { .. })
    }
}

/// A replica's answer to a request (the handout's `ok`, `fail` and `redirect`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Response {
    /// Done. A get carries the value, which is "" for a key that was never put; a put carries none. An update carries
    /// one if it was not done: the value found in place of the expected one. For other operations see [`Operation`].
    Ok {
        /// The value read, or found.
        value: Option<Text>,
    },
    /// Not done, as far as this replica knows; the client should try again.
    Fail,
    /// Not done here; the client should ask the leader that this answer is stamped with.
    Redirect,
    /// Not done now, and never will be: its client has had a later update carried out ([`RequestId`]). Whether this one was
    /// done before that is no longer known. Clients of the course are told that it has failed.
    Outdated,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The JSON of a string as Python's `json.dumps` writes it.
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
