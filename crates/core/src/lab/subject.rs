//! What is tested: everything that the instruments need to know of a protocol.

use crate::chaos::Director;
use crate::check::linear::{AnySpecification, of_kind};
use crate::check::promptness::Promptness;
use crate::check::{Check, liveness};
use crate::consensus::Consensus;
use crate::id::ReplicaSet;
use crate::lab::explore::{Flavour, Survey};
use crate::lab::parameter::{Parameter, ParameterError};
use crate::lab::protocol::Mutant;
use crate::machine::{Boot, Exit, Machine};
use crate::rng::Stream;
use crate::scenario::Scenario;
use crate::service::Service;
use crate::time::Span;
use crate::wire::{Datagrams, Envelope, Pulse};
use crate::workload;

/// A protocol with its parameters: what every instrument takes, from a single run to the command line.
///
/// A value of the type is the protocol with some choice of parameters. Only [`name`](Subject::name) and
/// [`boot`](Subject::boot) have no default.
pub trait Subject: Clone + Send + Sync + 'static {
    /// One replica.
    type Machine: Service;

    /// Its name on the command line, in reports and in files.
    fn name(&self) -> &'static str;

    /// What it is, in a few words.
    fn summary(&self) -> &'static str {
        ""
    }

    /// Starts a replica, for the first time or from what its disk kept.
    ///
    /// # Errors
    /// If the replica refuses to start, because its disk is damaged.
    fn boot(&self, boot: Boot<RecordOf<Self>>) -> Result<Self::Machine, Exit>;

    /// Its parameters, in place, so that they can be read and changed by name. A protocol without any has none to list.
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        Vec::new()
    }

    /// Whether all parameters together make sense.
    ///
    /// # Errors
    /// Names one that does not.
    fn validate(&self) -> Result<(), ParameterError> {
        Ok(())
    }

    /// What clients ask in explored runs, and in scenarios that name no workload if the protocol does not serve the clients
    /// of the course. Those are the default.
    fn workload(&self) -> workload::Kind {
        workload::Kind::COURSE
    }

    /// Whether its replicas know what clients of this kind ask. By default they know that of [`workload`](Subject::workload)
    /// alone, of any number of keys. A run with another kind is refused.
    ///
    /// [`Kind::is_like`](workload::Kind::is_like) looks at the name of the type only: a protocol without named updates
    /// must also refuse a kind that [has them](workload::Kind::has_updates).
    fn serves(&self, kind: &workload::Kind) -> bool {
        let own = self.workload();
        kind.is_like(&own) && (own.has_updates() || !kind.has_updates())
    }

    /// What answers are right: an order of all operations must exist by which this specification explains them. None if
    /// nothing of that kind is promised, and [`checks`](Subject::checks) say what is. By default the ready specification
    /// of the clients' kind, and none for a type of your own, whatever its name is.
    fn specification(&self, scenario: &Scenario) -> Option<&'static dyn AnySpecification> {
        of_kind(scenario.kind())
    }

    /// Checkers that know the protocol, beside those that judge every run: [`invariant`](crate::check::invariant) makes
    /// one of a closure, and [`Invariants`](crate::check::raft::Invariants) is for machines that implement [`Consensus`].
    fn checks(&self) -> Vec<Box<dyn Check<Self::Machine>>> {
        Vec::new()
    }

    /// The window into a machine that agrees with others on a log: pictures then show terms, and a run without progress
    /// says what the replicas were like.
    fn window<'m>(&self, machine: &'m Self::Machine) -> Option<&'m dyn Consensus> {
        let _ = machine;
        None
    }

    /// The replicas that take part at the end of a run, or could: of these alone progress is demanded, and only if they
    /// are a majority. By default all. A protocol may have rules that keep a replica out, such as one that has lost its
    /// memory.
    fn participants(&self, replicas: &[Self::Machine], director: &Director) -> ReplicaSet {
        let _ = director;
        ReplicaSet::all(replicas.len())
    }

    /// How long a write or an answer may take once all faults are over. Less than [`liveness::BOUND`] counts as that.
    /// Explored runs last as long as this after their last request, and a second more.
    fn progress_bound(&self) -> Span {
        liveness::BOUND
    }

    /// How soon its replicas answer while nothing disturbs them ([`promptness`](crate::check::promptness)). By default they
    /// are not held to anything but [`progress_bound`](Subject::progress_bound).
    fn promptness(&self) -> Option<Promptness> {
        None
    }

    /// What its messages are for, as columns of a sweep count them.
    fn kinds(&self) -> &'static [&'static str] {
        &["message"]
    }

    /// The kind of a message, as a place in [`kinds`](Subject::kinds).
    fn kind(&self, message: &MessageOf<Self>) -> usize {
        let _ = message;
        0
    }

    /// Writes what a message says for a trace: one JSON object. By default its kind and its `Debug` text.
    fn write_message(&self, message: &MessageOf<Self>, envelope: &Envelope<'_>, out: &mut Datagrams) {
        let kind = self.kinds().get(self.kind(message)).copied().unwrap_or("message");
        out.push(envelope, kind, &Text { text: format!("{message:?}") });
    }

    /// Whether a message only shows that its sender lives, or answers one that may. A trace can leave such out.
    fn pulse(&self, message: &MessageOf<Self>) -> Option<Pulse> {
        let _ = message;
        None
    }

    /// Variants that are known to be wrong, each without one rule. The zoo measures how soon checkers detect them.
    fn mutants(&self) -> Vec<Mutant> {
        Vec::new()
    }

    /// The code of its replicas that can have drawn mutants ([`crate::mutation`]): files and folders, from the folder of
    /// the sources of this package. By default none, which is right for every protocol of another package.
    fn mutated(&self) -> &'static [&'static str] {
        &[]
    }

    /// Which faults an exploration may inject.
    fn tolerates(&self) -> Tolerance {
        Tolerance::of::<RecordOf<Self>>()
    }

    /// The times that an exploration measures its faults by.
    fn timing(&self) -> Timing {
        Timing::default()
    }

    /// Draws parameters for one explored run. `seed` is the run's, `random` the stream that the rest of the run is drawn
    /// from after this. By default nothing is changed.
    fn vary(&mut self, seed: u64, random: &mut Stream, flavour: Flavour) {
        let _ = (seed, random, flavour);
    }

    /// Situations that an exploration counts, and that it should meet in 10,000 runs. What sees them is
    /// [`survey`](Subject::survey).
    fn situations(&self) -> &'static [&'static str] {
        &[]
    }

    /// How a message that has arrived stands to the machine that will handle it, as a number with few values: whether
    /// its term is an older one, whether it grants or refuses, whether its entries are new. An exploration tells these
    /// apart when it looks for what is new ([`explore`](crate::lab::explore)). It knows the message's variant, and the
    /// [`window`](Subject::window) of both machines, without this.
    fn relation(&self, machine: &Self::Machine, message: &MessageOf<Self>) -> u64 {
        let _ = (machine, message);
        0
    }

    /// Watches one run for situations; none if there is nothing to count.
    fn survey(&self) -> Option<Box<dyn Survey<Self::Machine>>> {
        None
    }
}

/// What machines of a subject send each other.
pub type MessageOf<S> = <<S as Subject>::Machine as Machine>::Message;

/// What machines of a subject write to their disks.
pub type RecordOf<S> = <<S as Subject>::Machine as Machine>::Record;

#[derive(serde::Serialize)]
struct Text {
    text: String,
}

/// Which faults a protocol must survive: an exploration injects no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// Messages are lost, by links or by partitions.
    pub losses: bool,
    /// Replicas are killed for ever, less than half of them.
    pub kills: bool,
    /// Replicas crash, lose what was not synced, and start again from their disks.
    pub crashes: bool,
    /// Disks become slow, full or damaged.
    pub disks: bool,
    /// Replicas stop for a while, and go on.
    pub pauses: bool,
    /// Clocks run fast or slow, within [`Timing::clock_drift_max`].
    pub clocks: bool,
    /// Messages come twice, late or out of order.
    pub duplicates: bool,
    /// Bits of messages are flipped.
    pub damage: bool,
    /// Some of all that lasts until the end, as long as a quorum hears each other both ways: the rest is cut off or down, and
    /// clients must still be served. Only protocols that decide by majorities can.
    pub lasting: bool,
    /// Replicas start again without their disks, less than half of them. They need not take part any more, but must do no
    /// harm.
    pub wipes: bool,
}

impl Tolerance {
    /// All of them.
    pub const ALL: Tolerance = Tolerance {
        losses: true,
        kills: true,
        crashes: true,
        disks: true,
        pauses: true,
        clocks: true,
        duplicates: true,
        damage: true,
        lasting: true,
        wipes: true,
    };

    /// None of them.
    pub const NONE: Tolerance = Tolerance {
        losses: false,
        kills: false,
        crashes: false,
        disks: false,
        pauses: false,
        clocks: false,
        duplicates: false,
        damage: false,
        lasting: false,
        wipes: false,
    };

    /// All that machines with such records can stand, but faults that last: without a disk, a crash makes a machine forget
    /// everything.
    pub fn of<R: 'static>() -> Tolerance {
        use std::any::TypeId;
        let has_disk = TypeId::of::<R>() != TypeId::of::<std::convert::Infallible>();
        Tolerance { crashes: has_disk, disks: has_disk, lasting: false, wipes: false, ..Tolerance::ALL }
    }
}

/// The shortest timeouts that an exploration measures its faults by.
pub const TIMEOUT_LEAST: Span = Span::from_millis(1);

/// The times that an exploration measures its faults by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// The shortest time after which a replica acts by itself, such as an election timeout. Less than 1 ms
    /// counts as that.
    pub timeout_min: Span,
    /// The longest one. Less than the shortest one counts as that.
    pub timeout_max: Span,
    /// By how much clocks may run fast or slow: a share of the time.
    pub clock_drift_max: f64,
    /// Whether replicas send what they have in small batches, so that they need quick links to catch up.
    pub small_batches: bool,
    /// Whether there must be few clients, because a replica refuses requests beyond a few, or soon. Clients that are refused
    /// ask again at once, and in a time without a leader many of them would send more messages than a run may have.
    pub wants_few_clients: bool,
}

/// As the built-in Raft has them.
impl Default for Timing {
    fn default() -> Timing {
        Timing {
            timeout_min: Span::from_millis(800),
            timeout_max: Span::from_millis(1_200),
            clock_drift_max: 0.1,
            small_batches: false,
            wants_few_clients: false,
        }
    }
}
