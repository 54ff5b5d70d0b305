//! A replica on the course's LAN.
//!
//! [`Node`] puts a protocol behind the handout's datagrams, still without I/O: datagrams and the time go in, datagrams
//! come out. So a fuzzer, or a test in virtual time, drives exactly the code that the program `3700kvstore` runs.
//! [`udp`] is the loop that connects a node to a socket and a clock, [`log`] its log output. For the discrete-event
//! engine a node is a [`Machine`], whose messages are datagrams.
//!
//! No input is trusted. An invalid datagram is counted ([`Ignored`]) and changes nothing else.

pub mod disk;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod log;
mod members;
mod mids;
pub mod udp;
mod window;

use std::convert::Infallible;
use std::fmt;

use md5::{Digest, Md5};

use crate::id::{ClientId, Mid, ReplicaId};
use crate::machine::{Emission, Exit, Identity, Input, Machine, Outbox, pass};
use crate::service::{Operation, Response, Service, text_bytes};
use crate::time::Time;
use crate::wire::{Address, DATAGRAM_BYTES_MAX, Datagram, Datagrams, Envelope, PeerMessage, kind};

use disk::Disk;
pub use members::{Members, MembersError};
use mids::MidTexts;

/// The most bytes of a request's MID. Longer ones are ignored.
pub const MID_BYTES_MAX: usize = 256;

/// The most bytes of a put's key and value, as JSON in ASCII ([`text_bytes`]). A larger put might not fit in a datagram
/// between replicas, beside its other fields and however a router re-encodes it. Such a put is ignored.
pub const PUT_BYTES_MAX: usize = 63_000;

/// How many requests may wait for their answers. It is well above the number that a replica holds
/// ([`crate::replica::Config::held_requests_max`]). The reason: a request that is repeated after its answer gets no
/// second one, but is remembered here until this many newer ones have come.
const OPEN_REQUESTS_MAX: usize = 16_384;

/// A protocol on the course's LAN, without I/O.
///
/// It must be called like a [`Machine`]: with times that never fall, and with [`Node::handle_timeout`] when
/// [`Node::poll_timeout`] has come, but first with all datagrams at hand. After each call, [`Node::outgoing`] holds the
/// datagrams to send.
///
/// A log shows the protocol's state by its `Display`; `{:#}` shows only the part that changes with an election.
#[derive(Debug)]
pub struct Node<P: Service> {
    members: Members,
    protocol: P,
    seed: u64,
    /// None if everything is in memory.
    disk: Option<Disk<P>>,
    /// The effects of one input.
    outbox: Outbox<P>,
    /// Those that need not wait for the disk.
    passed: Outbox<P>,
    exit: Option<Exit>,
    outgoing: Datagrams,
    mids: MidTexts,
    /// How many datagrams to other replicas have been named.
    sent: u64,
    mid: String,
    ignored: Ignored,
}

/// How many datagrams were ignored, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Not UTF-8, not a JSON object, or without an envelope that makes sense.
    pub malformed: u64,
    /// Addressed to another replica.
    pub misdirected: u64,
    /// With this replica's own address as the source.
    pub own: u64,
    /// Neither from a replica of this cluster nor a client's request, or from `FFFF`.
    pub strange: u64,
    /// From a replica, with a wrong checksum or none: damaged on the way.
    pub damaged: u64,
    /// Of a type that is unknown here, or without the keys that the type needs.
    pub senseless: u64,
    /// Requests without a MID, or with one of more than [`MID_BYTES_MAX`] bytes.
    pub nameless: u64,
    /// Puts of more than [`PUT_BYTES_MAX`] bytes, which no message between replicas could carry.
    pub oversized: u64,
    /// Answers that could not be given, because too many requests have come after the one that they answer.
    pub forgotten: u64,
}

impl Ignored {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Ignored { malformed, misdirected, own, strange, damaged, senseless, nameless, oversized, forgotten } =
            *self;
        malformed + misdirected + own + strange + damaged + senseless + nameless + oversized + forgotten
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ignored { malformed, misdirected, own, strange, damaged, senseless, nameless, oversized, forgotten } =
            *self;
        write!(f, "malformed {malformed}, misdirected {misdirected}, own {own}, strange {strange}, ")?;
        write!(
            f,
            "damaged {damaged}, senseless {senseless}, nameless {nameless}, oversized {oversized}, forgotten {forgotten}"
        )
    }
}

impl<P: Service<Message: PeerMessage> + fmt::Display> Node<P> {
    /// A node that has just started, with its `hello` to be sent. `start` makes its protocol.
    pub fn new(members: Members, seed: u64, start: impl FnOnce(Identity) -> P) -> Node<P> {
        let protocol = start(members.identity(seed));
        Node::around(members, seed, protocol, None)
    }

    /// A node around this protocol, which writes to this disk, if there is one, what it must not forget.
    pub fn around(members: Members, seed: u64, protocol: P, disk: Option<Disk<P>>) -> Node<P> {
        let mut node = Node {
            members,
            protocol,
            seed,
            disk,
            outbox: Outbox::new(),
            passed: Outbox::new(),
            exit: None,
            outgoing: Datagrams::new(),
            mids: MidTexts::new(OPEN_REQUESTS_MAX),
            sent: 0,
            mid: String::new(),
            ignored: Ignored::default(),
        };
        node.say_hello();
        node
    }

    /// Sends `hello` again, for a router that may not have received the first one.
    pub fn say_hello(&mut self) {
        self.name_datagram();
        let envelope =
            Envelope { src: self.members.own(), dst: Address::BROADCAST, leader: self.leader(), mid: &self.mid };
        self.outgoing.push_hello(&envelope);
    }

    /// Takes a datagram that has come in.
    pub fn handle_datagram(&mut self, now: Time, bytes: &[u8]) {
        let Ok(datagram) = Datagram::parse(bytes) else {
            self.ignored.malformed += 1;
            return;
        };
        let own = self.members.own();
        if datagram.src == own {
            self.ignored.own += 1;
        } else if datagram.dst != own && datagram.dst != Address::BROADCAST {
            self.ignored.misdirected += 1;
        } else if let Some(from) = self.members.replica(datagram.src) {
            self.handle_peer(now, from, &datagram);
        } else if datagram.src != Address::BROADCAST && [kind::GET, kind::PUT].contains(&&*datagram.kind) {
            self.handle_request(now, &datagram);
        } else {
            self.ignored.strange += 1;
        }
    }

    /// Hands the protocol the timeout that it asked for. Harmless if it comes early.
    pub fn handle_timeout(&mut self, now: Time) {
        self.hand_in(now, Input::Timeout);
    }

    /// When [`Node::handle_timeout`] must be called next; [`Time::NEVER`] if not at all.
    pub fn poll_timeout(&self) -> Time {
        self.protocol.poll_timeout()
    }

    /// Hears what the disk has to tell, if there is one.
    pub fn hear_of_disk(&mut self, now: Time) {
        while self.exit.is_none()
            && let Some(news) = self.disk.as_mut().and_then(|disk| disk.news(now, &mut self.passed))
        {
            match news {
                Ok(input) => self.hand_in(now, input),
                Err(why) => self.exit = Some(why),
            }
        }
    }

    /// Has the disk write what this turn has left for it.
    pub fn flush_disk(&mut self, now: Time) {
        if let Some(disk) = &mut self.disk {
            disk.flush(now);
        }
    }

    /// Why the protocol has ended, if it has. Nothing more must be handed in or sent then.
    pub fn exit(&self) -> Option<Exit> {
        let why = self.exit.clone()?;
        Some(match &self.disk {
            Some(disk) => disk.explain(why),
            None => why,
        })
    }

    /// The datagrams to send, in order. The caller clears them when they are sent.
    pub fn outgoing(&mut self) -> &mut Datagrams {
        &mut self.outgoing
    }

    /// The protocol.
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// The replicas of the cluster.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The leader that this replica has observed; [`Address::BROADCAST`] means that there is none.
    pub fn leader(&self) -> Address {
        self.protocol.leader().map_or(Address::BROADCAST, |leader| self.members.address(leader))
    }

    /// The counts of ignored datagrams.
    pub fn ignored(&self) -> Ignored {
        self.ignored
    }

    fn handle_peer(&mut self, now: Time, from: ReplicaId, datagram: &Datagram<'_>) {
        // All replicas know each other from the start.
        if datagram.kind == kind::HELLO {
            return;
        }
        if !datagram.is_intact() {
            self.ignored.damaged += 1;
            return;
        }
        match P::Message::decode(datagram) {
            Some(message) => self.hand_in(now, Input::Peer { from, message }),
            None => self.ignored.senseless += 1,
        }
    }

    fn handle_request(&mut self, now: Time, datagram: &Datagram<'_>) {
        let Some(text) = datagram.mid.as_deref().filter(|mid| mid.len() <= MID_BYTES_MAX) else {
            self.ignored.nameless += 1;
            return;
        };
        let Ok(Some(operation)) = datagram.operation() else {
            self.ignored.senseless += 1;
            return;
        };
        if is_too_large(&operation) {
            // There is no `fail`, because clients would try again at once, and it would fail for ever.
            self.ignored.oversized += 1;
            return;
        }
        let (from, mid) = (ClientId(datagram.src.0), self.mid_of(text));
        self.mids.insert(from, mid, text);
        self.hand_in(now, Input::Client { from, mid, request: operation });
    }

    /// A number for a MID, which is any string on the wire. Two strings with the same number would be one request, and
    /// the second would never be answered. Some clients count their MIDs up, so only a cryptographic hash keeps such
    /// strings apart. It is keyed with the seed, so a client that does not know the seed cannot look for collisions.
    fn mid_of(&self, text: &str) -> Mid {
        let digest = Md5::new().chain_update(self.seed.to_le_bytes()).chain_update(text).finalize();
        let first = digest[..8].try_into().expect("a digest has sixteen bytes");
        Mid(u64::from_le_bytes(first))
    }

    /// Hands an input in and writes the effects at once, so that they bear the leader of that moment.
    fn hand_in(&mut self, now: Time, input: Input<P>) {
        self.protocol.handle(now, input, &mut self.outbox);
        let exit = match &mut self.disk {
            Some(disk) => disk.sort_out(&mut self.outbox, &mut self.passed),
            None => pass(&mut self.outbox, &mut self.passed),
        };
        if exit.is_some() {
            self.exit = exit;
        }
        let mut passed = std::mem::take(&mut self.passed);
        for emission in passed.emissions() {
            match emission {
                Emission::Send { to, message } => {
                    self.name_datagram();
                    let envelope = self.envelope(self.members.address(to), &self.mid);
                    message.encode(&envelope, &mut self.outgoing);
                }
                Emission::Reply { to, mid, response } => self.reply(to, mid, &response),
            }
        }
        self.passed = passed;
    }

    fn reply(&mut self, to: ClientId, mid: Mid, response: &Response) {
        let Some(text) = self.mids.take(to, mid) else {
            self.ignored.forgotten += 1;
            return;
        };
        let envelope = self.envelope(Address(to.0), &text);
        if self.outgoing.push_response(&envelope, response) > DATAGRAM_BYTES_MAX {
            // A broken replica has put a value in the log that no client may put.
            self.outgoing.pop();
            self.outgoing.push_response(&envelope, &Response::Fail);
        }
    }

    fn envelope<'a>(&self, dst: Address, mid: &'a str) -> Envelope<'a> {
        Envelope { src: self.members.own(), dst, leader: self.leader(), mid }
    }

    /// Makes `mid` the name of the next datagram to other replicas.
    fn name_datagram(&mut self) {
        use fmt::Write;
        self.sent += 1;
        self.mid.clear();
        write!(self.mid, "{:x}", self.sent).expect("memory takes any text");
    }
}

/// A node among others on an engine, with a driver that acts as the LAN's router.
///
/// A message is a datagram. All datagrams go to the router and come from it; the addresses are inside. The router is
/// not a replica, so the node's own place stands for it: the node sends to that, and ignores the sender of a message.
/// Clients' requests and answers are datagrams, too.
impl<P: Service<Message: PeerMessage> + fmt::Display> Machine for Node<P> {
    type Message = Box<[u8]>;
    type Request = Infallible;
    type Response = Infallible;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Node<P>>, out: &mut Outbox<Node<P>>) {
        match input {
            Input::Timeout => self.handle_timeout(now),
            Input::Peer { message, .. } => self.handle_datagram(now, &message),
            Input::Client { request, .. } => match request {},
            // It has no disk here.
            Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
        }
        if let Some(why) = self.exit.take() {
            out.exit(why);
        }
        let router = self.members.identity(self.seed).id;
        for bytes in self.outgoing.iter() {
            out.send(router, bytes.into());
        }
        self.outgoing.clear();
    }

    /// As [`Node::poll_timeout`], but at once while there is something to send. Only `handle` hands that over, and the
    /// first `hello` is there before the first input.
    fn poll_timeout(&self) -> Time {
        if self.outgoing.is_empty() { self.protocol.poll_timeout() } else { Time::ZERO }
    }
}

/// Whether a request cannot be passed on to other replicas.
fn is_too_large(operation: &Operation) -> bool {
    // Datagrams bring gets and puts only.
    operation.value().is_some_and(|value| text_bytes(operation.key()) + text_bytes(value) > PUT_BYTES_MAX)
}

#[cfg(test)]
mod tests;
