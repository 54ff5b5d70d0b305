//! From a [`Scenario`] to the text of a file.
//!
//! A file written here is read as the same scenario, to the bit. Times are integers of at most 10^15 nanoseconds. So a
//! division by 10^9 and the multiplication on reading are off by less than half a nanosecond together. Keys that have
//! their default value are left out.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::operations::OperationFile;
use super::parse::{
    APPENDS_BATCHED_DEFAULT, END_WAIT_SECS_DEFAULT, GET_FAIL_DEFAULT, GET_GENERATION_FAIL_DEFAULT, PUT_FAIL_DEFAULT,
    packets_default,
};
use super::pretty::write_pretty;
use super::process::ProcessFile;
use super::workload::{ClientsFile, WorkloadFile, mix_default};
use super::{Benchmarks, Delay, LinkDelay, Network, Order, Scenario, Tests};
use crate::chaos::{Act, ConnectivityMatrix, Fault, FaultEvent, Loss, Rulebook, Target};
use crate::id::ReplicaSet;
use crate::time::{Span, Time};

impl Scenario {
    /// The scenario as its file has it, without its name.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("the keys of a scenario are texts")
    }

    /// Writes the scenario's file: keys in the order of `docs/scenarios.md`, one line for each event, loss, operation
    /// and row of the matrix. The name is not part of it.
    ///
    /// # Errors
    /// If writing to `out` fails.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        write_pretty(self, out)
    }
}

/// As an object that has the keys of a scenario file, so that it can be part of other files.
impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        File::from(self).serialize(serializer)
    }
}

/// A number without a decimal point if it is an integer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plain(pub(crate) f64);

impl Plain {
    pub(super) fn seconds(span: Span) -> Plain {
        Plain(span.nanos() as f64 / 1e9)
    }

    pub(super) fn millis(span: Span) -> Plain {
        Plain(span.nanos() as f64 / 1e6)
    }
}

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Up to here, every integer is a float.
        const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
        if self.0.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(&self.0) {
            serializer.serialize_u64(self.0 as u64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// The value, unless it is the default.
pub(super) fn unless<T: PartialEq>(default: T, value: T) -> Option<T> {
    (value != default).then_some(value)
}

#[derive(Serialize)]
struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<&'static str>,
    lifetime: Plain,
    replicas: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burst: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mix: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_wait: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drops: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matrix: Option<Vec<Vec<Plain>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_packets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<NetworkFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<DiskFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<WorkloadFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<ClientsFile>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventFile>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    losses: Vec<LossFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<Vec<OperationFile<'a>>>,
    tests: TestsFile,
}

impl<'a> From<&'a Scenario> for File<'a> {
    fn from(scenario: &'a Scenario) -> File<'a> {
        // Values that follow from the operations are not written.
        let drawn = scenario.operations.is_none();
        let start = scenario.start();
        let drops = scenario.matrix.uniform_loss();
        File {
            rules: unless(Rulebook::default(), scenario.rules).map(Rulebook::name),
            lifetime: Plain::seconds(scenario.lifetime),
            replicas: scenario.replicas,
            requests: drawn.then_some(scenario.requests),
            burst: unless(1, scenario.burst).filter(|_| drawn),
            mix: unless(Plain(mix_default(scenario.kind())), Plain(scenario.mix)).filter(|_| drawn),
            wait: scenario.wait.map(Plain::seconds),
            end_wait: unless(Plain(END_WAIT_SECS_DEFAULT), Plain::seconds(scenario.end_wait)),
            seed: scenario.seed,
            drops: drops.and_then(|loss| unless(Plain(0.0), Plain(loss))),
            matrix: drops.is_none().then(|| rows(&scenario.matrix)),
            max_packets: unless(packets_default(scenario.requests, scenario.replicas), scenario.max_packets),
            network: NetworkFile::unless_default(scenario),
            disk: scenario.disk.map(|sync| DiskFile { sync_ms: sync.into() }),
            process: ProcessFile::unless_default(&scenario.process),
            workload: scenario.kind.as_ref().and_then(|kind| WorkloadFile::new(kind, scenario.operations.as_deref())),
            clients: scenario.patience.map(ClientsFile::from),
            events: scenario.events.iter().map(|event| EventFile::new(event, start)).collect(),
            losses: scenario.losses.iter().map(LossFile::from).collect(),
            operations: scenario.operations.as_ref().map(|list| list.iter().map(OperationFile::from).collect()),
            tests: TestsFile::from(&scenario.tests),
        }
    }
}

fn rows(matrix: &ConnectivityMatrix) -> Vec<Vec<Plain>> {
    matrix.rows().map(|row| row.iter().copied().map(Plain).collect()).collect()
}

#[derive(Serialize)]
#[serde(tag = "model", rename_all = "lowercase")]
enum NetworkFile {
    Course {
        #[serde(skip_serializing_if = "Option::is_none")]
        service: Option<DelayFile>,
        #[serde(skip_serializing_if = "Option::is_none")]
        duplicate: Option<Plain>,
        #[serde(skip_serializing_if = "Option::is_none")]
        damage: Option<Plain>,
    },
    Links {
        delay: DelayFile,
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<&'static str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        links: Vec<LinkFile>,
        #[serde(skip_serializing_if = "Option::is_none")]
        duplicate: Option<Plain>,
        #[serde(skip_serializing_if = "Option::is_none")]
        damage: Option<Plain>,
    },
}

#[derive(Serialize)]
struct LinkFile {
    from: u8,
    to: u8,
    delay: DelayFile,
}

#[derive(Serialize)]
struct DiskFile {
    sync_ms: DelayFile,
}

impl NetworkFile {
    fn unless_default(scenario: &Scenario) -> Option<NetworkFile> {
        let [duplicate, damage] = [scenario.duplicate, scenario.damage].map(|share| unless(Plain(0.0), Plain(share)));
        let link = |link: &LinkDelay| LinkFile { from: link.from.0, to: link.to.0, delay: link.delay.into() };
        match scenario.network {
            network if network == Network::default() && duplicate.is_none() && damage.is_none() => None,
            network if network == Network::default() => Some(NetworkFile::Course { service: None, duplicate, damage }),
            Network::Course { service } => {
                Some(NetworkFile::Course { service: Some(service.into()), duplicate, damage })
            }
            Network::Links { delay, order } => Some(NetworkFile::Links {
                delay: delay.into(),
                order: (order == Order::Fifo).then_some("fifo"),
                links: scenario.links.iter().map(link).collect(),
                duplicate,
                damage,
            }),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum DelayFile {
    Constant { ms: Plain },
    Uniform { min_ms: Plain, max_ms: Plain },
    Exponential { floor_ms: Plain, mean_ms: Plain },
    HeavyTail { floor_ms: Plain, median_ms: Plain },
}

impl From<Delay> for DelayFile {
    fn from(delay: Delay) -> DelayFile {
        let ms = Plain::millis;
        match delay {
            Delay::Constant(span) => DelayFile::Constant { ms: ms(span) },
            Delay::Uniform { min, max } => DelayFile::Uniform { min_ms: ms(min), max_ms: ms(max) },
            Delay::Exponential { floor, mean } => DelayFile::Exponential { floor_ms: ms(floor), mean_ms: ms(mean) },
            Delay::HeavyTail { floor, median } => DelayFile::HeavyTail { floor_ms: ms(floor), median_ms: ms(median) },
        }
    }
}

#[derive(Serialize)]
struct EventFile {
    #[serde(rename = "type")]
    kind: &'static str,
    time: Plain,
    #[serde(flatten)]
    further: Option<Further>,
}

/// The keys that only some events have.
#[derive(Serialize)]
#[serde(untagged)]
enum Further {
    Replica {
        replica: TargetFile,
    },
    Link {
        from: u8,
        to: u8,
        value: Plain,
    },
    Delay {
        from: u8,
        to: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        delay: Option<DelayFile>,
    },
    Share {
        value: Plain,
    },
    Matrix {
        matrix: Vec<Vec<Plain>>,
    },
    Groups {
        groups: Vec<Vec<u8>>,
    },
    Host(HostFile),
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum TargetFile {
    Number(u8),
    Role(&'static str),
}

#[derive(Serialize, Default)]
struct HostFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<TargetFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wipe: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jump_ms: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
}

impl From<Target> for TargetFile {
    fn from(target: Target) -> TargetFile {
        match target {
            Target::Replica(replica) => TargetFile::Number(replica.0),
            Target::Leader => TargetFile::Role("leader"),
            Target::Follower => TargetFile::Role("follower"),
        }
    }
}

impl HostFile {
    fn new(at: Option<Target>, act: Act) -> HostFile {
        let mut file = HostFile { replica: at.map(TargetFile::from), ..HostFile::default() };
        match act {
            Act::Restart { wipe } => file.wipe = wipe.then_some(true),
            Act::Clock { rate, jump } => {
                file.rate = unless(Plain(1.0), Plain(rate.get()));
                file.jump_ms = unless(Plain(0.0), Plain::millis(jump));
            }
            Act::SlowDisk { times } => file.times = Some(times),
            Act::Kill
            | Act::Crash
            | Act::Pause
            | Act::Resume
            | Act::FullDisk
            | Act::CorruptDisk
            | Act::LyingDisk
            | Act::MendDisk
            | Act::StepDown => {}
        }
        file
    }
}

impl EventFile {
    fn new(event: &FaultEvent, start: Time) -> EventFile {
        let further = match &event.fault {
            Fault::Isolate(target) => Some(Further::Replica { replica: (*target).into() }),
            Fault::SetLink { from, to, value } => Some(Further::Link { from: from.0, to: to.0, value: Plain(*value) }),
            Fault::DelayLink { from, to, delay } => {
                Some(Further::Delay { from: from.0, to: to.0, delay: delay.map(DelayFile::from) })
            }
            Fault::Duplicate(value) | Fault::Damage(value) => Some(Further::Share { value: Plain(*value) }),
            Fault::SetMatrix(matrix) => Some(Further::Matrix { matrix: rows(matrix) }),
            Fault::Partition(groups) => {
                let members = |group: &ReplicaSet| group.iter().map(|replica| replica.0).collect();
                Some(Further::Groups { groups: groups.iter().map(members).collect() })
            }
            Fault::Host { at, act } => Some(Further::Host(HostFile::new(*at, *act))),
            Fault::KillLeader
            | Fault::KillNonLeader
            | Fault::PartEasy
            | Fault::PartHard
            | Fault::PartEnd
            | Fault::Heal => None,
        };
        EventFile { kind: event.fault.name(), time: Plain::seconds(event.time.since(start)), further }
    }
}

#[derive(Serialize)]
struct LossFile {
    from: u8,
    to: u8,
    nth: u64,
}

impl From<&Loss> for LossFile {
    fn from(loss: &Loss) -> LossFile {
        LossFile { from: loss.from.0, to: loss.to.0, nth: loss.nth }
    }
}

#[derive(Serialize)]
struct TestsFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_get_fail_fraction: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_put_fail_fraction: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_get_generation_fail_fraction: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_appends_batched_fraction: Option<Plain>,
    benchmarks: BenchmarksFile,
}

impl From<&Tests> for TestsFile {
    fn from(tests: &Tests) -> TestsFile {
        let limit = |default, value| unless(Plain(default), Plain(value));
        TestsFile {
            maximum_get_fail_fraction: limit(GET_FAIL_DEFAULT, tests.maximum_get_fail_fraction),
            maximum_put_fail_fraction: limit(PUT_FAIL_DEFAULT, tests.maximum_put_fail_fraction),
            maximum_get_generation_fail_fraction: limit(
                GET_GENERATION_FAIL_DEFAULT,
                tests.maximum_get_generation_fail_fraction,
            ),
            maximum_appends_batched_fraction: limit(APPENDS_BATCHED_DEFAULT, tests.maximum_appends_batched_fraction),
            benchmarks: BenchmarksFile::from(&tests.benchmarks),
        }
    }
}

#[derive(Serialize)]
struct BenchmarksFile {
    total_msgs: [Plain; 3],
    failures: [Plain; 3],
    duplicates: [Plain; 3],
    median_latency: [Plain; 3],
}

impl From<&Benchmarks> for BenchmarksFile {
    fn from(benchmarks: &Benchmarks) -> BenchmarksFile {
        BenchmarksFile {
            total_msgs: benchmarks.total_msgs.map(Plain),
            failures: benchmarks.failures.map(Plain),
            duplicates: benchmarks.duplicates.map(Plain),
            median_latency: benchmarks.median_latency.map(Plain),
        }
    }
}
