//! Scenarios: the cluster of a run, the faults and clients that it meets, and the expected results.
//!
//! A scenario file is a course configuration file (JSON), with a few optional keys of our own. [`Scenario::load`] reads
//! one and checks everything in it, so a loaded scenario is valid. Code that changes or builds one must keep to the
//! ranges given at the fields. A scenario can be written to a file again ([`Scenario::write_json`]). Some files are
//! built in: see [`library`] and [`Scenario::builtin`]. `docs/scenarios.md` lists all keys.

mod error;
mod events;
mod json;
pub mod library;
mod matrix_file;
mod network;
mod operations;
pub mod order;
mod parse;
pub(crate) mod pretty;
mod process;
pub(crate) mod reader;
mod workload;
pub(crate) mod write;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::chaos::{Act, ConnectivityMatrix, FaultEvent, Loss, Reach, Rulebook};
use crate::id::COURSE_REPLICAS_MAX;
use crate::record::World;
use crate::service::Operation;
use crate::time::{Span, Time};
use crate::workload::{Kind, Patience, Plan, ScriptedOperation};

pub use crate::engine::Delay;
pub use error::ScenarioError;
pub(crate) use events::{event_type, event_types};
pub use matrix_file::{builtin_matrix, load_matrix};
pub use network::{LinkDelay, Network, Order};
pub use parse::Loaded;
pub(crate) use parse::{TOP_KEYS, packets_default, packets_max};
pub use process::ProcessModel;

/// One validated scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The file's name without folder and ending.
    pub name: String,
    /// The rules by which it is played.
    pub rules: Rulebook,
    /// How many replicas run, 2 to 101.
    pub replicas: usize,
    /// Time before the first client request (`wait`, also spelt `start_wait`), if the file sets it. [`Scenario::wait`]
    /// has the default.
    pub wait: Option<Span>,
    /// Time during which clients send requests, at even intervals or when `operations` says.
    pub lifetime: Span,
    /// Time after the last request before the run is judged.
    pub end_wait: Span,
    /// How many requests the clients generate.
    pub requests: u64,
    /// How many of them are sent at one time, 1 to 1,000.
    pub burst: u64,
    /// The fraction of requests that are gets, or dequeues.
    pub mix: f64,
    /// The seed that the file asks for.
    pub seed: Option<u64>,
    /// The loss on each link (`matrix`, or `drops` for all).
    pub matrix: ConnectivityMatrix,
    /// How messages travel.
    pub network: Network,
    /// Links between replicas that take another time. Allowed only if each link has its own delay ([`Network::Links`]).
    pub links: Vec<LinkDelay>,
    /// The share of the messages between replicas that arrives twice.
    pub duplicate: f64,
    /// The share of the messages between replicas that have one bit flipped on the way.
    pub damage: f64,
    /// How long a sync of a replica's disk takes, if the file sets it. [`Scenario::sync`] has the default.
    pub disk: Option<Delay>,
    /// How long what simulated programs do takes. It concerns no other replicas.
    pub process: ProcessModel,
    /// What the clients use, and how, if the file says. [`Scenario::kind`] knows what it is if not, and a protocol that
    /// does not serve those clients then has its own in their place ([`Protocol::fit`](crate::lab::Protocol::fit)).
    pub kind: Option<Kind>,
    /// When clients give up. The course's never do.
    pub patience: Option<Patience>,
    /// The clients' operations in order of time, if the file lists them. [`Scenario::with_operations`] adapts the four
    /// fields on which drawn requests depend (`requests`, `burst`, `mix`, `kind`).
    pub operations: Option<Arc<[ScriptedOperation]>>,
    /// The run stops early when replicas have sent each other more messages than this.
    pub max_packets: u64,
    /// What happens to the cluster, in order of time; events of one time stay in the file's order.
    pub events: Vec<FaultEvent>,
    /// Messages between replicas that are lost whatever the matrix says, none of them twice.
    pub losses: Vec<Loss>,
    /// The expectations of the replicas.
    pub tests: Tests,
}

impl Scenario {
    /// How long a sync of a replica's disk takes; none if replicas have no disks. They have disks if the file sets how
    /// long syncs take, or if an event concerns disks. If the file does not set it, syncs take no time.
    pub fn sync(&self) -> Option<Delay> {
        let needs = |event: &FaultEvent| event.fault.act().is_some_and(|act| act.row().needs_disks);
        let instant = || self.events.iter().any(needs).then_some(Delay::Constant(Span::ZERO));
        self.disk.or_else(instant)
    }

    /// Whether syncs of disks take any time.
    pub fn syncs_take_time(&self) -> bool {
        self.disk.is_some_and(|delay| delay != Delay::Constant(Span::ZERO))
    }

    /// The first element of this scenario that this world cannot play; none if it can play everything. What only says how
    /// fast something is does not count where that is real: the delays of `network`, and of `disk` where servers have
    /// disks.
    pub fn unplayable(&self, world: World) -> Option<Unplayable> {
        let is_in_reach = |reach| match world {
            World::Grpc => matches!(reach, Reach::Everywhere | Reach::Servers),
            World::Live => matches!(reach, Reach::Everywhere | Reach::Processes),
            World::Lan => matches!(reach, Reach::Everywhere | Reach::Processes | Reach::VirtualTime),
            World::Virtual => true,
        };
        let kind = match self.kind() {
            Kind::Kv { .. } => Reach::Everywhere,
            Kind::Cas { .. } => Reach::Servers,
            _ => Reach::Simulated,
        };
        let keys = [
            (self.duplicate > 0.0, "duplicate", Reach::VirtualTime),
            (self.damage > 0.0, "damage", Reach::Processes),
            (!self.links.is_empty(), "links", Reach::VirtualTime),
            (self.syncs_take_time(), "disk.sync_ms", Reach::Servers),
            (!self.losses.is_empty(), "losses", Reach::Processes),
            (true, self.kind().name(), kind),
            (self.has_updates(), "update", Reach::Servers),
        ];
        let keys = keys.into_iter().filter(|key| key.0).map(|(_, what, reach)| Unplayable { what, reach });
        let events = self.events.iter().map(|FaultEvent { fault, .. }| match fault.act() {
            Some(Act::Restart { wipe: true }) => Unplayable { what: "wipe", reach: fault.reach() },
            _ => Unplayable { what: fault.name(), reach: fault.reach() },
        });
        keys.chain(events).find(|one| !is_in_reach(one.reach))
    }

    /// The name of the specification for judging a history of this scenario.
    pub fn specification_name(&self) -> &str {
        self.kind().specification_name()
    }

    /// Whether clients send updates: compare-and-swap, deletes, or writes that must be applied exactly once. A protocol
    /// may serve the kind `kv` without supporting them.
    pub fn has_updates(&self) -> bool {
        let is_update = |scripted: &ScriptedOperation| matches!(scripted.operation, Operation::Update(_));
        match &self.operations {
            Some(operations) => operations.iter().any(is_update),
            None => self.kind().has_updates() || matches!(self.kind(), Kind::Cas { .. }),
        }
    }

    /// What the clients use, and how: those of the course if the file does not say.
    pub fn kind(&self) -> &Kind {
        self.kind.as_ref().unwrap_or(&Kind::COURSE)
    }

    /// Time before the first client request.
    pub fn wait(&self) -> Span {
        self.wait.unwrap_or(self.rules.default_wait())
    }

    /// Changes the time before the first client request. Events keep their absolute times.
    pub fn set_wait(&mut self, wait: Span) {
        if self.wait() != wait {
            self.wait = Some(wait);
        }
    }

    /// When clients may send their first request. The times of events in files count from here.
    pub fn start(&self) -> Time {
        Time::ZERO + self.wait()
    }

    /// When the run ends.
    pub fn end(&self) -> Time {
        self.start() + self.lifetime + self.end_wait
    }

    /// The plan of the clients.
    pub fn plan(&self) -> Plan {
        Plan {
            replicas: self.replicas,
            start: self.start(),
            lifetime: self.lifetime,
            requests: self.requests,
            burst: self.burst,
            mix: self.mix,
            kind: self.kind().clone(),
            patience: self.patience,
            operations: self.operations.clone(),
        }
    }

    /// Whether the course's own runner could play it: up to 21 replicas, the same loss on every link, its network, its
    /// five events, and clients with keys of their own. Only then does the runner's verdict exist.
    pub fn is_of_course(&self) -> bool {
        self.replicas <= COURSE_REPLICAS_MAX
            && self.burst == 1
            && *self.kind() == Kind::COURSE
            && self.patience.is_none()
            && self.operations.is_none()
            && self.losses.is_empty()
            && self.duplicate == 0.0
            && self.damage == 0.0
            && self.disk.is_none()
            && matches!(self.network, Network::Course { .. })
            && self.events.iter().all(|event| event.fault.is_of_course())
            && self.matrix.uniform_loss().is_some()
    }

    /// The same scenario with these operations in place of drawn ones. [`Plan::script`] makes such a list from a run's
    /// history.
    ///
    /// The operations are sorted by time; those of one time stay in order. `requests` is their number then, and `mix`
    /// the share of reads. `kind` keeps its name if it has these operations; otherwise it becomes the kind that has
    /// them. Its keys are shared. `max_packets` stays the same, within its limits.
    pub fn with_operations(mut self, mut operations: Vec<ScriptedOperation>) -> Scenario {
        operations.sort_by_key(|scripted| scripted.time);
        let gets = operations.iter().filter(|scripted| is_read(&scripted.operation)).count();
        let keys: BTreeSet<_> = operations.iter().map(|scripted| scripted.operation.key()).collect();
        self.kind = Some(self.kind().clone().with_operations(&operations, keys.len() as u32));
        self.burst = 1;
        self.requests = operations.len() as u64;
        self.mix = if operations.is_empty() { 0.0 } else { gets as f64 / operations.len() as f64 };
        self.max_packets = self.max_packets.clamp(self.requests, packets_max(self.requests, self.replicas));
        self.operations = Some(operations.into());
        self
    }
}

/// Whether an operation counts as a read in `mix`.
fn is_read(operation: &Operation) -> bool {
    operation.is_get() || matches!(operation, Operation::Dequeue { .. })
}

/// An element of a scenario that a world cannot play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unplayable {
    /// The name of a fault, or a key of the file.
    pub what: &'static str,
    /// The worlds in which it can be played.
    pub reach: Reach,
}

impl fmt::Display for Unplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` happens in {} only", self.what, self.reach)
    }
}

/// The expectations of the replicas: the file's `tests`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tests {
    /// The largest fraction of gets that may stay unanswered.
    pub maximum_get_fail_fraction: f64,
    /// The largest fraction of puts that may stay unanswered.
    pub maximum_put_fail_fraction: f64,
    /// The largest fraction of gets that may fail to be generated, for want of acknowledged keys.
    pub maximum_get_generation_fail_fraction: f64,
    /// The largest fraction of puts whose appends may share a message.
    pub maximum_appends_batched_fraction: f64,
    /// The performance thresholds.
    pub benchmarks: Benchmarks,
}

/// Thresholds of the four performance tests: below the first is a bonus, below the second full credit, below the third
/// partial credit.
#[derive(Clone, Debug, PartialEq)]
pub struct Benchmarks {
    /// Messages sent between replicas.
    pub total_msgs: [f64; 3],
    /// `fail` answers plus requests without an answer.
    pub failures: [f64; 3],
    /// Answers to requests that had been answered before.
    pub duplicates: [f64; 3],
    /// Median time to an answer, in seconds.
    pub median_latency: [f64; 3],
}

#[cfg(test)]
mod tests;
