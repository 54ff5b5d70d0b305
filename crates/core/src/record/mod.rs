//! The record of a run: its history, its counters and its trace.
//!
//! A record is plain data. Worlds and the clients fill it; checks and reports read it, and never a world.

mod history;
mod observer;
mod outline;
mod stray;
mod tally;
mod trace;
mod watcher;

use std::fmt;

use crate::chaos::{Consequence, Idle};
use crate::consensus::Term;
use crate::id::{ReplicaId, ReplicaSet};
use crate::time::{Span, Time};

pub use history::{Attempt, History, Outcome, PerKind};
pub use observer::{Observer, Scene};
pub use outline::Outline;
pub use stray::{Astray, StrayAnswer, StrayAnswers};
pub use tally::{LinkCount, Tally};
pub use trace::{Event, Trace};
pub use watcher::{Reigns, Said, View, Watcher, Windows};

/// Which world a run was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Simulated machines, whose messages are values.
    Virtual,
    /// Machines whose messages are datagrams, on the course's LAN, in virtual time.
    Lan,
    /// Real processes on a simulated LAN, in real time.
    Live,
    /// Servers of a gRPC cluster, in real time.
    Grpc,
}

impl RunRecord {
    /// How often the observed leader changed: to another one, to none and from none.
    pub fn leader_changes(&self) -> u64 {
        self.leaders.len().saturating_sub(1) as u64
    }

    /// The observed leaders, in order; one replica may appear several times.
    pub fn believed_leaders(&self) -> impl Iterator<Item = ReplicaId> {
        self.leaders.iter().filter_map(|belief| belief.leader)
    }
}

impl World {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            World::Virtual => "virtual",
            World::Lan => "lan",
            World::Live => "live",
            World::Grpc => "grpc",
        }
    }

    /// Which time its clock shows: simulated time, which costs nothing, or real time.
    pub const fn time(self) -> &'static str {
        match self {
            World::Virtual | World::Lan => "virtual time",
            World::Live | World::Grpc => "real time",
        }
    }

    /// Whether its clock shows simulated time, so that the same seed gives the same run.
    pub const fn is_simulated(self) -> bool {
        matches!(self, World::Virtual | World::Lan)
    }
}

/// The observed leader from some time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// Since when.
    pub since: Time,
    /// The leader; none if no leader is known.
    pub leader: Option<ReplicaId>,
}

/// A tenure: a replica led for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reign {
    /// The leader.
    pub leader: ReplicaId,
    /// The term.
    pub term: Term,
    /// When it learned that it leads.
    pub from: Time,
    /// When it stepped down; none if it led until it died or the run ended.
    pub until: Option<Time>,
}

/// A fault of the scenario that was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Struck {
    /// When.
    pub time: Time,
    /// Its place in the scenario's list of events.
    pub event: usize,
    /// Its consequence.
    pub consequence: Consequence,
    /// Why it did nothing; none if it did something.
    pub idle: Option<Idle>,
}

/// A replica was down, and may have been restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The replica.
    pub replica: ReplicaId,
    /// Since when.
    pub from: Time,
    /// When it was restarted; never, if it was not.
    pub until: Time,
}

/// A complaint of the course's LAN about a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// When.
    pub time: Time,
    /// The replica.
    pub replica: ReplicaId,
    /// What is wrong, in one line that begins with a verb, as in `quit unexpectedly`.
    pub what: String,
}

/// Why a run could not continue: a program did what cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Obstacle {
    /// When.
    pub time: Time,
    /// The replica whose program it was.
    pub replica: ReplicaId,
    /// What it did, in words.
    pub what: String,
}

/// As in `replica 0001 at 2.500000s: opens a TCP socket`.
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {} at {}: {}", self.replica, self.time, self.what)
    }
}

/// Everything that is known of one run after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// The world of the run.
    pub world: World,
    /// The seed of the run.
    pub seed: u64,
    /// Each change of the observed leader. The first entry is "none".
    pub leaders: Vec<Belief>,
    /// The scenario's faults that were injected, in order.
    pub struck: Vec<Struck>,
    /// Replicas that died by themselves.
    pub died: u64,
    /// Replicas killed by the scenario.
    pub killed: u64,
    /// Messages that replicas sent each other, lost ones included.
    pub sent: u64,
    /// Messages lost to the connectivity matrix, to a partition or to damage. On the course's LAN damaged messages are
    /// delivered, but counted here all the same.
    pub dropped: u64,
    /// Malformed datagrams of replicas: not JSON, a key missing, an unknown destination, an answer of no known type
    /// (only on the course's LAN).
    pub malformed: u64,
    /// What the LAN in virtual time found wrong with replicas, in order, up to a number for each. The live world shows
    /// complaints while it runs.
    pub complaints: Vec<Complaint>,
    /// The clients' requests and their answers.
    pub history: History,
    /// The first answers that no client waited for.
    pub stray_answers: StrayAnswers,
    /// The run was stopped early, because replicas sent as many messages as the scenario's `max_packets`.
    pub packet_storm: bool,
    /// The run was stopped early, because clients had to send too many messages for each request.
    pub request_storm: bool,
    /// Why the run was stopped early, if a program did what cannot be simulated. Such a run never passes.
    pub obstacle: Option<Obstacle>,
    /// What programs did that cannot be simulated, although the run went on: calls that failed therefore. Such a run says
    /// little about the program outside.
    pub unfaithful: Vec<Obstacle>,
    /// The most by which the world was late with due work: zero in virtual time.
    pub lag: Span,
    /// When the run ended.
    pub end: Time,
    /// The replicas that lived then.
    pub living: ReplicaSet,
    /// The living replicas of which work can be expected: not paused, with a sound disk and an exact clock.
    pub able: ReplicaSet,
    /// The able replicas that belong to a quorum whose members could all hear each other, perhaps to different ones. A
    /// protocol can make progress if there are any, but it need not serve requests to each of them.
    pub connected: ReplicaSet,
    /// The able replicas that were surely connected with every replica that could lead: requests to them must be served
    /// ([`Director::served`](crate::chaos::Director::served)).
    pub served: ReplicaSet,
    /// The times in which replicas were down that may have been restarted, in order of their ends.
    pub outages: Vec<Outage>,
    /// Since when all faults were over and a quorum of living replicas was connected; none, if that never came.
    pub calm: Option<Time>,
    /// How many events the run had: in virtual time the trace's length, in the live world the number of routed
    /// datagrams.
    pub events: u64,
    /// The trace's hash. Only runs in virtual time have one, because no others can be repeated.
    pub trace: Option<u64>,
}
