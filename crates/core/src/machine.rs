//! The seam: a machine does no I/O of its own.
//!
//! A machine under test is a plain struct. It has no clock, socket, thread, file or global randomness. Its host hands
//! it the time with every input and carries out the effects that the machine leaves in an [`Outbox`]. Verbs carry
//! meaning: `handle` takes input, `poll_*` asks, bare nouns read.
//!
//! The contract between a machine and its host has four clauses:
//!
//! 1. Effects of one input happen in the order in which they were left.
//! 2. When `poll_timeout` is at or before the present, [`Input::Timeout`] is handed in before time moves on. A host
//!    with several inputs at hand may hand them all in first, so a machine that defers work to a timeout "now" gets
//!    batches at no cost. Early timeouts are harmless: the machine checks `now` and does only what is due.
//! 3. [`Outbox::persist`] appends a record to the disk's queue of writes and returns at once. [`Outbox::sync`] marks
//!    the end of that queue. Later effects of the same input wait until everything persisted so far, in this input or
//!    earlier ones, is on the disk. Earlier effects do not wait. A sync costs nothing if everything is on the disk
//!    already. Effects that wait keep their order among themselves, and hold back no effect that need not wait.
//!    [`Input::Synced`] says how far the disk has come.
//! 4. After a crash a machine is rebuilt from the records that the disk kept ([`Recovered`]): all synced records, in
//!    order, and perhaps some that were not synced. Effects behind a sync that never came have not happened.
//!
//! A machine without a disk never persists and pays nothing for disks.
//!
//! Randomness is a seed, given at construction ([`Identity`]).

mod gate;

use std::convert::Infallible;
use std::fmt::{self, Debug};
use std::hash::Hash;

use crate::id::{ClientId, Mid, ReplicaId};
use crate::time::Time;
pub use gate::{Gate, Writes, pass};

/// A replica of some protocol, as a deterministic state machine.
pub trait Machine: Sized {
    /// The messages between machines of one cluster. `Hash` feeds the run's trace hash, so it should cover every field;
    /// `Debug` shows the message to a person.
    type Message: Clone + Debug + Hash;

    /// A client's request.
    type Request: Debug;

    /// The answer to a client.
    type Response: Debug;

    /// What the machine writes to its disk; [`Infallible`] if it has none.
    type Record: Record;

    /// Takes one input at time `now` and leaves the effects in `out`. Never called with an earlier `now` than before.
    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>);

    /// When the machine wants [`Input::Timeout`] next; [`Time::NEVER`] if not at all.
    fn poll_timeout(&self) -> Time;
}

/// One record that a machine writes to its disk.
///
/// A *checkpoint* replaces all earlier records: it is a snapshot. A large one may be spread over many records, with
/// others between them. The disk drops what a checkpoint replaces as soon as the record that ends it is synced, in one
/// step that a crash cannot split. A checkpoint that was begun and not ended replaces nothing, and another may be begun
/// in its place.
pub trait Record: Clone + Debug {
    /// Whether this record begins a checkpoint that a later one ends: what comes before it will be replaced.
    fn begins_checkpoint(&self) -> bool {
        false
    }

    /// Whether this record ends a checkpoint; if none was begun, it is the whole of it.
    fn ends_checkpoint(&self) -> bool {
        false
    }
}

/// The record type of a machine without a disk: it has no values.
impl Record for Infallible {}

/// What a replica knows of itself when it starts.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Its own place in the cluster.
    pub id: ReplicaId,
    /// How many replicas the cluster has, itself included.
    pub replicas: usize,
    /// Seed of all its randomness. Replicas of one cluster may share it: streams are named with the replica's place.
    pub seed: u64,
}

/// What a machine is started with, for the first time or after a crash.
#[derive(Clone, Debug)]
pub struct Boot<R> {
    /// Which replica it is.
    pub identity: Identity,
    /// How often it was started before.
    pub incarnation: u32,
    /// The time on its clock.
    pub now: Time,
    /// What its disk has; none if the host has no disk, which is allowed for machines that are never restarted.
    pub disk: Option<Recovered<R>>,
}

/// What a disk kept, in the order in which it was persisted. No record precedes the beginning of the newest synced
/// checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered<R> {
    /// The records that are complete.
    pub records: Vec<Stored<R>>,
    /// Whether the file ends within one more record, which was never synced, and is lost.
    pub torn: bool,
}

/// One record as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored<R> {
    /// As it was written.
    Intact(R),
    /// Its checksum does not match: the disk has damaged it. It was complete once, so it may have been synced, and
    /// other machines may rely on it. A machine that continues without it forgets promises.
    Damaged,
}

impl<R> Recovered<R> {
    /// A disk on which nothing was ever written.
    pub const fn empty() -> Recovered<R> {
        Recovered { records: Vec::new(), torn: false }
    }
}

/// Why a machine ends, in words. It is down until its host starts it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{0}")]
pub struct Exit(pub Box<str>);

/// What a host hands to a machine.
pub enum Input<M: Machine> {
    /// The time that `poll_timeout` asked for has come (or an early call, which does nothing).
    Timeout,
    /// A message from another replica (or from itself) has arrived.
    Peer {
        /// The sender.
        from: ReplicaId,
        /// What it sent.
        message: M::Message,
    },
    /// A client's request has arrived.
    Client {
        /// The client.
        from: ClientId,
        /// Names this request among those of the client; the answer carries it back.
        mid: Mid,
        /// The request.
        request: M::Request,
    },
    /// More records are on the disk.
    Synced {
        /// How many of the records that this machine has persisted since its start are on the disk.
        up_to: u64,
    },
    /// The disk is full. Records persisted with this input, or from now on, are lost. A sync that is under way may
    /// still end.
    DiskFull,
    /// Its host asks it to give up its leadership, as before a planned stop. It may ignore this.
    StepDown,
}

/// One effect of a machine on the world.
pub enum Effect<M: Machine> {
    /// Something that leaves the machine.
    Emit(Emission<M>),
    /// Append a record to the disk's queue of writes.
    Persist(M::Record),
    /// Later effects wait until all persisted records are on the disk.
    Sync,
    /// The machine ends.
    Exit(Exit),
}

/// What leaves a machine.
pub enum Emission<M: Machine> {
    /// Send a message to a replica. It may be lost, and it may be late.
    Send {
        /// The receiver.
        to: ReplicaId,
        /// What to send.
        message: M::Message,
    },
    /// Answer a client's request.
    Reply {
        /// The client.
        to: ClientId,
        /// The request that this answers.
        mid: Mid,
        /// The answer.
        response: M::Response,
    },
}

/// The ordered list of effects that a machine leaves for its host. Hosts reuse one, so that it allocates nothing in the
/// steady state.
pub struct Outbox<M: Machine> {
    emissions: Vec<Emission<M>>,
    /// The effects that concern the host, each with the number of emissions before it. Mostly empty.
    concerns: Vec<(usize, Concern<M::Record>)>,
}

/// An effect that does not leave the machine's host.
#[derive(Debug)]
enum Concern<R> {
    /// [`Effect::Persist`].
    Persist(R),
    /// [`Effect::Sync`].
    Sync,
    /// [`Effect::Exit`].
    Exit(Exit),
}

impl<M: Machine> Outbox<M> {
    /// An empty outbox.
    pub const fn new() -> Outbox<M> {
        Outbox { emissions: Vec::new(), concerns: Vec::new() }
    }

    /// Leaves a message to be sent.
    #[inline]
    pub fn send(&mut self, to: ReplicaId, message: M::Message) {
        self.emissions.push(Emission::Send { to, message });
    }

    /// Leaves an answer to be given.
    #[inline]
    pub fn reply(&mut self, to: ClientId, mid: Mid, response: M::Response) {
        self.emissions.push(Emission::Reply { to, mid, response });
    }

    /// Appends a record to the disk's queue of writes.
    pub fn persist(&mut self, record: M::Record) {
        self.concern(Concern::Persist(record));
    }

    /// Holds later effects back until all records persisted so far are on the disk.
    pub fn sync(&mut self) {
        self.concern(Concern::Sync);
    }

    /// Ends the machine. Later effects never happen.
    pub fn exit(&mut self, why: Exit) {
        self.concern(Concern::Exit(why));
    }

    fn concern(&mut self, concern: Concern<M::Record>) {
        self.concerns.push((self.emissions.len(), concern));
    }

    /// Leaves an emission.
    pub fn emit(&mut self, emission: Emission<M>) {
        self.emissions.push(emission);
    }

    /// Takes all effects out, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = Effect<M>> + '_ {
        let mut concerns = self.concerns.drain(..).peekable();
        let mut emissions = self.emissions.drain(..);
        let mut place = 0;
        std::iter::from_fn(move || {
            if let Some((_, concern)) = concerns.next_if(|(at, _)| *at == place) {
                return Some(match concern {
                    Concern::Persist(record) => Effect::Persist(record),
                    Concern::Sync => Effect::Sync,
                    Concern::Exit(why) => Effect::Exit(why),
                });
            }
            place += 1;
            emissions.next().map(Effect::Emit)
        })
    }

    /// Takes all emissions out, in order. The other effects stay.
    #[inline]
    pub fn emissions(&mut self) -> std::vec::Drain<'_, Emission<M>> {
        self.emissions.drain(..)
    }

    /// Whether there is a record, a sync or an exit among the effects.
    #[inline]
    pub fn concerns_host(&self) -> bool {
        !self.concerns.is_empty()
    }

    /// Whether there is nothing to do.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.emissions.is_empty() && self.concerns.is_empty()
    }
}

impl<M: Machine> Default for Outbox<M> {
    fn default() -> Outbox<M> {
        Outbox::new()
    }
}

/// Lets an inner machine handle an input of the machine around it, which has the same messages.
pub fn delegate<Outer: Machine, Inner>(inner: &mut Inner, now: Time, input: Input<Outer>, out: &mut Outbox<Outer>)
where
    Inner:
        Machine<Message = Outer::Message, Request = Outer::Request, Response = Outer::Response, Record = Outer::Record>,
{
    let input = match input {
        Input::Timeout => Input::Timeout,
        Input::Peer { from, message } => Input::Peer { from, message },
        Input::Client { from, mid, request } => Input::Client { from, mid, request },
        Input::Synced { up_to } => Input::Synced { up_to },
        Input::DiskFull => Input::DiskFull,
        Input::StepDown => Input::StepDown,
    };
    let mut left = Outbox::new();
    inner.handle(now, input, &mut left);
    for effect in left.drain() {
        match effect {
            Effect::Emit(Emission::Send { to, message }) => out.send(to, message),
            Effect::Emit(Emission::Reply { to, mid, response }) => out.reply(to, mid, response),
            Effect::Persist(record) => out.persist(record),
            Effect::Sync => out.sync(),
            Effect::Exit(why) => out.exit(why),
        }
    }
}

// By hand, because a derived implementation would require the same of the machine itself.

impl<M: Machine> Debug for Input<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Timeout => f.write_str("Timeout"),
            Input::Peer { from, message } => {
                f.debug_struct("Peer").field("from", from).field("message", message).finish()
            }
            Input::Client { from, mid, request } => {
                f.debug_struct("Client").field("from", from).field("mid", mid).field("request", request).finish()
            }
            Input::Synced { up_to } => f.debug_struct("Synced").field("up_to", up_to).finish(),
            Input::DiskFull => f.write_str("DiskFull"),
            Input::StepDown => f.write_str("StepDown"),
        }
    }
}

impl<M: Machine> Debug for Effect<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Emit(emission) => emission.fmt(f),
            Effect::Persist(record) => f.debug_tuple("Persist").field(record).finish(),
            Effect::Sync => f.write_str("Sync"),
            Effect::Exit(why) => f.debug_tuple("Exit").field(why).finish(),
        }
    }
}

impl<M: Machine> Debug for Emission<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Emission::Send { to, message } => f.debug_struct("Send").field("to", to).field("message", message).finish(),
            Emission::Reply { to, mid, response } => {
                f.debug_struct("Reply").field("to", to).field("mid", mid).field("response", response).finish()
            }
        }
    }
}

impl<M: Machine> Debug for Outbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("emissions", &self.emissions).field("concerns", &self.concerns).finish()
    }
}
