//! The first seed document's naive replication: broadcast every put, ignore failures.
//!
//! Any replica accepts a put, answers at once and tells all others; a get reads the value that this replica happens to
//! have. It is quick and cheap, and wrong as soon as a message is lost. The testbed must detect that.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::ReplicaId;
use crate::kv::{Command, Store};
use crate::machine::{Identity, Input, Machine, Outbox};
use crate::service::{Operation, Response, Service};
use crate::time::Time;
use crate::wire::{Datagram, Datagrams, Envelope, PeerMessage, read_damaged};

/// One replica of the naive store.
#[derive(Clone, Debug)]
pub struct Broadcast {
    identity: Identity,
    store: Store,
}

impl Broadcast {
    /// A replica that has just started.
    pub fn new(identity: Identity) -> Broadcast {
        Broadcast { identity, store: Store::new() }
    }
}

impl Machine for Broadcast {
    type Message = Arc<Command>;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, _: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        match input {
            Input::Timeout | Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
            Input::Peer { message, .. } => drop(self.store.apply(&message)),
            Input::Client { from, mid, request } => {
                let value = match request {
                    Operation::Get { key } => Some(self.store.get(&key).cloned().unwrap_or_default()),
                    Operation::Put { key, value } => {
                        let command = Arc::new(Command::new(key, value));
                        self.store.apply(&command);
                        let others = ReplicaId::all(self.identity.replicas).filter(|&other| other != self.identity.id);
                        for other in others {
                            out.send(other, Arc::clone(&command));
                        }
                        None
                    }
                    // Without agreement no operation can be done exactly once, or on a condition.
                    _ => return out.reply(from, mid, Response::Fail),
                };
                out.reply(from, mid, Response::Ok { value });
            }
        }
    }

    fn poll_timeout(&self) -> Time {
        Time::NEVER
    }
}

impl Service for Broadcast {
    /// There is no leader.
    fn leader(&self) -> Option<ReplicaId> {
        None
    }

    /// As on the course's LAN.
    fn read_damaged(
        &self,
        from: ReplicaId,
        to: ReplicaId,
        message: &Arc<Command>,
        flip: &mut dyn FnMut(&mut [u8]),
    ) -> Option<Arc<Command>> {
        read_damaged(message, [from, to], true, flip)
    }
}

/// Shows how many keys it has.
impl fmt::Display for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broadcast")?;
        if f.alternate() { Ok(()) } else { write!(f, " {} keys", self.store.len()) }
    }
}

/// The type of the datagrams that carry puts from replica to replica.
const COPY: &str = "copy";

/// A `copy` with the `key` and the `value` of a put.
#[derive(Serialize, Deserialize)]
struct CopyBody<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

impl PeerMessage for Arc<Command> {
    fn encode(&self, envelope: &Envelope<'_>, out: &mut Datagrams) {
        out.push(envelope, COPY, &CopyBody { key: (&**self.key()).into(), value: (&**self.value()).into() });
    }

    fn decode(datagram: &Datagram<'_>) -> Option<Arc<Command>> {
        let CopyBody { key, value } = (datagram.kind == COPY).then(|| datagram.body().ok())??;
        Some(Arc::new(Command::new((&*key).into(), (&*value).into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Address;

    #[test]
    fn a_copy_with_a_flipped_bit_is_never_accepted() {
        let identity = Identity { id: ReplicaId(1), replicas: 2, seed: 1 };
        let (replica, command) = (Broadcast::new(identity), Arc::new(Command::new("k\"".into(), "é".into())));
        let (mut bit, mut bits) = (0, usize::MAX);
        while bit < bits {
            let mut flip = |bytes: &mut [u8]| {
                bits = bytes.len() * 8;
                bytes[bit / 8] ^= 1 << (bit % 8);
            };
            let read = replica.read_damaged(ReplicaId(0), ReplicaId(1), &command, &mut flip);
            assert_eq!(read, None, "bit {bit}");
            bit += 1;
        }
        assert!(bits > 800);
        let read = replica.read_damaged(ReplicaId(0), ReplicaId(1), &command, &mut |_| {});
        assert_eq!(read, Some(command));
    }

    #[test]
    fn a_copy_is_read_as_it_was_written() {
        let command = Arc::new(Command::new("k\"\n".into(), "é".into()));
        let envelope = Envelope { src: Address(0), dst: Address(1), leader: Address::BROADCAST, mid: "1" };
        let mut out = Datagrams::new();
        command.encode(&envelope, &mut out);
        let written: Vec<&[u8]> = out.iter().collect();
        let [written] = written[..] else { panic!("one datagram: {written:?}") };
        let text = std::str::from_utf8(written).unwrap();
        let content =
            r#"{"src":"0000","dst":"0001","leader":"FFFF","type":"copy","MID":"1","key":"k\"\n","value":"é","sum":"#;
        assert!(text.starts_with(content), "{text}");
        let datagram = Datagram::parse(written).unwrap();
        assert!(datagram.is_intact());
        assert_eq!(Arc::decode(&datagram), Some(command));
        let other = text.replace("copy", "put");
        assert_eq!(<Arc<Command>>::decode(&Datagram::parse(other.as_bytes()).unwrap()), None);
    }
}
