//! What can happen to a host: crash, restart, pause, clocks and disks.
//!
//! This is the table of such faults. A new fault needs a variant here, with its name, the hosts that it can hit and its
//! values, and a line in `scenario/events.rs`, which reads and writes its keys.

use crate::chaos::{Idle, Reach};
use crate::engine::Rate;
use crate::id::{ReplicaId, ReplicaSet};
use crate::rng::Stream;
use crate::time::Span;

/// What happens to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// `kill`: it is down for ever, as in the course.
    Kill,
    /// `crash`: the power fails. Its disk keeps all synced records, and perhaps more.
    Crash,
    /// `restart`: its machine starts again, from its disk.
    Restart {
        /// Its disk is replaced by an empty one first. No Raft cluster survives this on all of its replicas.
        wipe: bool,
    },
    /// `pause`: it handles nothing, like a stopped process.
    Pause,
    /// `resume`: it continues.
    Resume,
    /// `clock`: its clock jumps ahead, and runs at this rate from now on.
    Clock {
        /// Local seconds a second.
        rate: Rate,
        /// How far it jumps first.
        jump: Span,
    },
    /// `slow_disk`: syncs take this many times as long.
    SlowDisk {
        /// How many times.
        times: u64,
    },
    /// `full_disk`: its disk accepts no more data.
    FullDisk,
    /// `corrupt_disk`: one record that was synced is damaged.
    CorruptDisk,
    /// `lying_disk`: its disk reports syncs that it has not done. No Raft cluster survives a majority of these.
    LyingDisk,
    /// `mend_disk`: its disk is as fast, as roomy and as honest as it was; damaged records stay.
    MendDisk,
    /// `step_down`: its machine is asked to give up its leadership ([`Input::StepDown`](crate::machine::Input::StepDown)).
    StepDown,
}

/// One row of the table: how a scenario file describes such a fault.
#[derive(Debug)]
pub struct HostFault {
    /// Its name.
    pub name: &'static str,
    /// Its keys besides `type` and `time`, those that may be left out last.
    pub keys: &'static [&'static str],
    /// How many of them must be there. Without `replica`, the fault hits every eligible host.
    pub required: usize,
    /// Whether replicas need disks for it.
    pub needs_disks: bool,
    /// In which worlds it can be played. [`Act::reach`] knows more.
    pub reach: Reach,
}

/// All of them.
pub static HOST_FAULTS: [HostFault; 12] = [
    HostFault { name: "kill", keys: &["replica"], required: 1, needs_disks: false, reach: Reach::Everywhere },
    HostFault { name: "crash", keys: &["replica"], required: 1, needs_disks: true, reach: Reach::Everywhere },
    HostFault { name: "restart", keys: &["replica", "wipe"], required: 0, needs_disks: true, reach: Reach::Everywhere },
    HostFault { name: "pause", keys: &["replica"], required: 1, needs_disks: false, reach: Reach::Everywhere },
    HostFault { name: "resume", keys: &["replica"], required: 0, needs_disks: false, reach: Reach::Everywhere },
    HostFault {
        name: "clock",
        keys: &["replica", "rate", "jump_ms"],
        required: 1,
        needs_disks: false,
        reach: Reach::VirtualTime,
    },
    HostFault {
        name: "slow_disk",
        keys: &["replica", "times"],
        required: 2,
        needs_disks: true,
        reach: Reach::Simulated,
    },
    HostFault { name: "full_disk", keys: &["replica"], required: 1, needs_disks: true, reach: Reach::Simulated },
    HostFault { name: "corrupt_disk", keys: &["replica"], required: 1, needs_disks: true, reach: Reach::Simulated },
    HostFault { name: "lying_disk", keys: &["replica"], required: 1, needs_disks: true, reach: Reach::Simulated },
    HostFault { name: "mend_disk", keys: &["replica"], required: 0, needs_disks: true, reach: Reach::Simulated },
    HostFault { name: "step_down", keys: &["replica"], required: 1, needs_disks: false, reach: Reach::Simulated },
];

impl Act {
    /// Its name in scenario files.
    pub const fn name(&self) -> &'static str {
        match self {
            Act::Kill => "kill",
            Act::Crash => "crash",
            Act::Restart { .. } => "restart",
            Act::Pause => "pause",
            Act::Resume => "resume",
            Act::Clock { .. } => "clock",
            Act::SlowDisk { .. } => "slow_disk",
            Act::FullDisk => "full_disk",
            Act::CorruptDisk => "corrupt_disk",
            Act::LyingDisk => "lying_disk",
            Act::MendDisk => "mend_disk",
            Act::StepDown => "step_down",
        }
    }

    /// Whether it is a kill, a crash or a restart.
    pub const fn is_of_power(&self) -> bool {
        matches!(self, Act::Kill | Act::Crash | Act::Restart { .. })
    }

    /// Its row of the table.
    pub fn row(&self) -> &'static HostFault {
        let is_own = |row: &&HostFault| row.name == self.name();
        HOST_FAULTS.iter().find(is_own).expect("every act has a row")
    }

    /// In which worlds it can be played. Only the simulated world knows where a program keeps its files.
    pub fn reach(&self) -> Reach {
        match self {
            Act::Restart { wipe: true } => Reach::Simulated,
            _ => self.row().reach,
        }
    }

    /// Acts of the same kind that are easier to follow.
    pub fn simpler(&self) -> Vec<Act> {
        match *self {
            Act::Restart { wipe: true } => vec![Act::Restart { wipe: false }],
            Act::Clock { rate, jump } if jump > Span::ZERO && rate != Rate::EXACT => {
                vec![Act::Clock { rate, jump: Span::ZERO }, Act::Clock { rate: Rate::EXACT, jump }]
            }
            _ => Vec::new(),
        }
    }

    /// How many values of it a reader has to keep in mind.
    pub fn riddles(&self) -> usize {
        match *self {
            Act::Clock { rate, jump } => 1 + usize::from(rate != Rate::EXACT && jump > Span::ZERO),
            Act::Restart { wipe } => 1 + usize::from(wipe),
            _ => 1,
        }
    }

    /// What happens to this replica, in words.
    pub fn label(&self, whom: &str) -> String {
        match *self {
            Act::Kill => format!("kill {whom}"),
            Act::Crash => format!("crash {whom}"),
            Act::Restart { wipe: false } => format!("restart {whom}"),
            Act::Restart { wipe: true } => format!("restart {whom}, wiped"),
            Act::Pause => format!("pause {whom}"),
            Act::Resume => format!("resume {whom}"),
            Act::Clock { rate, jump } if jump == Span::ZERO => format!("clock {whom} at {}", rate.get()),
            Act::Clock { rate: Rate::EXACT, jump } => format!("clock {whom} ahead {} ms", jump.nanos() as f64 / 1e6),
            Act::Clock { rate, jump } => {
                format!("clock {whom} ahead {} ms at {}", jump.nanos() as f64 / 1e6, rate.get())
            }
            Act::SlowDisk { times } => format!("disk {whom} slower by {times}"),
            Act::FullDisk => format!("disk {whom} full"),
            Act::CorruptDisk => format!("disk {whom} corrupt"),
            Act::LyingDisk => format!("disk {whom} lies"),
            Act::MendDisk => format!("disk {whom} mended"),
            Act::StepDown => format!("{whom} steps down"),
        }
    }
}

/// On which host a fault acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// This replica's host.
    Replica(ReplicaId),
    /// `leader`: the observed leader's.
    Leader,
    /// `follower`: the host of a random eligible replica other than the observed leader.
    Follower,
}

/// The state of all hosts, as far as faults go.
#[derive(Clone, Copy, Debug)]
pub struct Hosts {
    /// Hosts that are up or paused.
    pub living: ReplicaSet,
    /// Hosts that will never be up again.
    pub dead: ReplicaSet,
    /// Hosts that are paused.
    pub paused: ReplicaSet,
    /// Hosts with a slow, full or lying disk.
    pub bad_disks: ReplicaSet,
    /// Hosts with a clock that runs at another rate than the world's.
    pub bad_clocks: ReplicaSet,
    /// Hosts that were started without what was on their disks. A machine that notices may end.
    pub wiped: ReplicaSet,
    /// Whether syncs take no time, so that no disk can be slow.
    pub syncs_are_instant: bool,
    all: ReplicaSet,
}

impl Hosts {
    /// All are up.
    pub fn new(replicas: usize) -> Hosts {
        let (all, none) = (ReplicaSet::all(replicas), ReplicaSet::EMPTY);
        Hosts {
            living: all,
            dead: none,
            paused: none,
            bad_disks: none,
            bad_clocks: none,
            wiped: none,
            syncs_are_instant: false,
            all,
        }
    }

    /// The hosts to which this act would do something.
    pub fn eligible(&self, act: &Act) -> ReplicaSet {
        match act {
            Act::Kill => self.all.minus(self.dead),
            Act::Crash => self.living,
            Act::Restart { .. } => self.all.minus(self.living).minus(self.dead),
            Act::Pause | Act::StepDown => self.living.minus(self.paused),
            Act::Resume => self.paused,
            Act::MendDisk => self.bad_disks.minus(self.dead),
            Act::SlowDisk { .. } if self.syncs_are_instant => ReplicaSet::EMPTY,
            Act::Clock { .. } | Act::SlowDisk { .. } | Act::FullDisk | Act::CorruptDisk | Act::LyingDisk => {
                self.all.minus(self.dead)
            }
        }
    }

    /// Why an act does nothing to this host.
    pub fn why_not(&self, act: &Act, replica: ReplicaId) -> Idle {
        match act {
            _ if self.dead.contains(replica) => Idle::Dead(replica),
            Act::Restart { .. } => Idle::Up(replica),
            Act::Resume => Idle::NotPaused(replica),
            Act::Pause | Act::StepDown if self.paused.contains(replica) => Idle::Paused(replica),
            Act::MendDisk => Idle::GoodDisk(replica),
            _ => Idle::Down(replica),
        }
    }

    /// Records that an act has hit these hosts.
    pub fn note(&mut self, act: &Act, hit: ReplicaSet) {
        let without = |set: ReplicaSet| set.minus(hit);
        let with = |set: ReplicaSet| hit.iter().fold(set, ReplicaSet::with);
        match *act {
            Act::Kill => {
                (self.living, self.paused, self.dead) = (without(self.living), without(self.paused), with(self.dead));
            }
            Act::Crash => (self.living, self.paused) = (without(self.living), without(self.paused)),
            Act::Restart { wipe } => {
                self.living = with(self.living);
                if wipe {
                    (self.bad_disks, self.wiped) = (without(self.bad_disks), with(self.wiped));
                }
            }
            Act::Pause => self.paused = with(self.paused),
            Act::Resume => self.paused = without(self.paused),
            Act::Clock { rate, .. } => {
                self.bad_clocks = if rate == Rate::EXACT { without(self.bad_clocks) } else { with(self.bad_clocks) };
            }
            Act::SlowDisk { .. } | Act::FullDisk | Act::LyingDisk => self.bad_disks = with(self.bad_disks),
            Act::MendDisk => self.bad_disks = without(self.bad_disks),
            Act::CorruptDisk | Act::StepDown => {}
        }
    }

    /// Records that a host is down without a fault, because its machine has ended.
    pub fn note_end(&mut self, replica: ReplicaId) {
        self.living.remove(replica);
        self.paused.remove(replica);
    }

    /// The hosts that can be expected to do their work.
    pub fn sound(&self) -> ReplicaSet {
        self.living.minus(self.paused).minus(self.bad_disks).minus(self.bad_clocks)
    }
}

/// Draws a rate within the bound that Raft's leases allow for: clocks may differ by this fraction. Mostly it is one of
/// the two ends.
pub fn rate_within(stream: &mut Stream, drift_max: f64) -> Rate {
    match stream.below(10) {
        0..3 => rate_at(drift_max, stream.unit()),
        place => extreme_rate(drift_max, place % 2 == 0),
    }
}

/// The fastest or the slowest of these rates.
pub fn extreme_rate(drift_max: f64, is_fast: bool) -> Rate {
    rate_at(drift_max, f64::from(u8::from(is_fast)))
}

/// The rate at a place between the slowest, 0, and the fastest, 1.
fn rate_at(drift_max: f64, place: f64) -> Rate {
    // Half of the bound above 1, half below: the fastest and the slowest differ by less than it.
    Rate::new(1.0 + drift_max * 0.45 * (2.0 * place - 1.0)).expect("a rate near 1")
}
