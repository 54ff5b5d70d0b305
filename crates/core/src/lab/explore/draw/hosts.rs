//! Draws what happens to hosts: crashes and restarts, pauses, clocks, disks, and what the network does besides losing.
//!
//! All of it comes from a stream of its own, so what a seed draws otherwise does not depend on it. Nothing is drawn that
//! no Raft survives: no wiped and no lying disks, no jumps of clocks, and no rates beyond the bound of its leases.

use super::switches::{Switch, Switches};
use crate::chaos::{Act, Fault, FaultEvent, Target, extreme_rate, rate_within};
use crate::engine::Delay;
use crate::id::{ReplicaId, ReplicaSet};
use crate::rng::Stream;
use crate::time::{Span, Time};

/// A kind of host fault, with its share of all draws.
const KINDS: [(Kind, u64); 11] = [
    (Kind::CrashOne, 5),
    (Kind::CrashSome, 3),
    (Kind::CrashAll, 2),
    (Kind::Blink, 4),
    (Kind::Pause, 4),
    (Kind::Clocks, 4),
    (Kind::SlowDisk, 2),
    (Kind::FullDisk, 3),
    (Kind::CorruptDisk, 2),
    (Kind::SlowLink, 2),
    (Kind::Groups, 2),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// One replica crashes, and restarts soon.
    CrashOne,
    /// A majority loses its power at one time.
    CrashSome,
    /// All replicas do.
    CrashAll,
    /// Two replicas do not hear each other, and a third one, on which both depend, restarts again and again.
    Blink,
    Pause,
    /// Each clock gets another rate.
    Clocks,
    SlowDisk,
    /// A disk has no room, until its host crashes.
    FullDisk,
    /// A record is damaged, and its replica crashes.
    CorruptDisk,
    SlowLink,
    /// The cluster falls apart into groups of any size.
    Groups,
}

/// What is known of a run when its host faults are drawn.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab::explore) struct Frame {
    pub replicas: usize,
    /// From when to when faults are injected.
    pub span: (Time, Time),
    /// The mean time from fault to fault.
    pub gap: Span,
    /// The shortest election timeout.
    pub timeout: Span,
    /// The bound on clocks.
    pub drift_max: f64,
    /// Whether each link has a delay of its own.
    pub has_links: bool,
    /// Whether most requests are reads, so that leases matter.
    pub is_about_leases: bool,
    /// Whether appends carry so little that slow disks would keep them from ever catching up.
    pub has_small_batches: bool,
    /// Whether replicas may start again without their disks.
    pub may_wipe: bool,
}

/// What a seed draws for its hosts.
#[derive(Clone, Debug, Default)]
pub(in crate::lab::explore) struct HostFaults {
    pub disk: Option<Delay>,
    pub duplicate: f64,
    pub events: Vec<FaultEvent>,
    /// How many replicas are lost for ever.
    pub lost: usize,
    /// Clients ask little: then logs stay equal for long, and elections are decided by votes alone.
    pub quiet: bool,
}

impl HostFaults {
    /// Those that the switches of a run ask for.
    pub fn draw(switches: &Switches, frame: Frame) -> HostFaults {
        let mut drawn = HostFaults::default();
        if let Some(mut stream) = switches.stream(Switch::Duplicates) {
            drawn.duplicate = *stream.pick(&[0.05, 0.3, 1.0]).expect("shares");
        }
        let Some(mut stream) = switches.stream(Switch::Hosts) else { return drawn };
        drawn.quiet = stream.chance(0.4);
        drawn.disk = disk(&mut stream, frame);
        let repertoire: Vec<Kind> = if frame.is_about_leases && stream.chance(0.9) {
            vec![*stream.pick(&[Kind::Clocks, Kind::Clocks, Kind::Clocks, Kind::Blink]).expect("kinds")]
        } else {
            (0..stream.between(1, 3)).map(|_| stream.weighted(&KINDS)).collect()
        };
        let (mut now, end) = (frame.span.0 + Span(stream.below(frame.gap.nanos())), frame.span.1);
        while now < end && drawn.events.len() < 30 {
            let kind = *stream.pick(&repertoire).expect("a repertoire");
            let until = now + Span(1 + stream.below(2 * frame.timeout.nanos()));
            drawn.inject(&mut stream, frame, kind, now, until);
            now += Span(1 + stream.below(2 * frame.gap.nanos()));
        }
        drawn.events.retain(|event| event.time < end);
        drawn.events.sort_by_key(|event| event.time);
        drawn
    }

    /// One fault of any kind, and what ends it, at a time within the frame.
    pub(in crate::lab::explore) fn one(stream: &mut Stream, frame: Frame) -> Vec<FaultEvent> {
        let mut drawn = HostFaults::default();
        let now = frame.span.0 + Span(stream.below(frame.span.1.since(frame.span.0).nanos().max(1)));
        let until = now + Span(1 + stream.below(2 * frame.timeout.nanos()));
        let kind = stream.weighted(&KINDS);
        drawn.inject(stream, frame, kind, now, until);
        drawn.events
    }

    fn inject(&mut self, stream: &mut Stream, frame: Frame, kind: Kind, now: Time, until: Time) {
        let any = |stream: &mut Stream| ReplicaId(stream.below(frame.replicas as u64) as u8);
        let target = |stream: &mut Stream| match stream.below(4) {
            0 | 1 => Target::Leader,
            2 => Target::Follower,
            _ => Target::Replica(any(stream)),
        };
        let host = |at, act| Fault::Host { at, act };
        match kind {
            Kind::CrashOne => {
                self.add(now, host(Some(target(stream)), Act::Crash));
                self.add(until, host(None, Act::Restart { wipe: false }));
            }
            Kind::CrashSome | Kind::CrashAll => {
                let mut all: Vec<ReplicaId> = ReplicaId::all(frame.replicas).collect();
                stream.shuffle(&mut all);
                let count = if kind == Kind::CrashAll { frame.replicas } else { frame.replicas / 2 + 1 };
                for replica in all.into_iter().take(count) {
                    self.add(now, host(Some(Target::Replica(replica)), Act::Crash));
                }
                self.add(until, host(None, Act::Restart { wipe: false }));
            }
            Kind::Blink if frame.replicas > 2 => {
                let mut all: Vec<ReplicaId> = ReplicaId::all(frame.replicas).collect();
                stream.shuffle(&mut all);
                let (one, other, third) = (all[0], all[1], all[2]);
                for (from, to) in [(one, other), (other, one)] {
                    self.add(now, Fault::SetLink { from, to, value: 1.0 });
                    self.add(until, Fault::SetLink { from, to, value: 0.0 });
                }
                let pause = Span(frame.timeout.nanos() / 8);
                for round in 2..10 {
                    let down = now + pause * round;
                    self.add(down, host(Some(Target::Replica(third)), Act::Crash));
                    self.add(
                        down + Span::from_millis(1),
                        host(Some(Target::Replica(third)), Act::Restart { wipe: false }),
                    );
                }
            }
            Kind::Pause => {
                self.add(now, host(Some(target(stream)), Act::Pause));
                self.add(until, host(None, Act::Resume));
            }
            Kind::Clocks => {
                // One slow clock among fast ones is the worst for a leader that reads by its lease.
                let slow = stream.chance(0.7).then(|| any(stream));
                for replica in ReplicaId::all(frame.replicas) {
                    let rate = match slow {
                        Some(slow) => extreme_rate(frame.drift_max, replica != slow),
                        None => rate_within(stream, frame.drift_max),
                    };
                    self.add(now, host(Some(Target::Replica(replica)), Act::Clock { rate, jump: Span::ZERO }));
                }
            }
            Kind::SlowDisk => {
                let times = *stream.pick(&[3, 30, 1_000]).expect("numbers");
                self.add(now, host(Some(target(stream)), Act::SlowDisk { times }));
                self.add(until, host(None, Act::MendDisk));
            }
            Kind::FullDisk => {
                // One that has gone on in memory forgets when its power fails.
                let at = Some(Target::Replica(any(stream)));
                self.add(now, host(at, Act::FullDisk));
                self.add(until, host(at, Act::Crash));
                self.add(until, host(None, Act::MendDisk));
                self.add(until + Span::from_millis(5), host(None, Act::Restart { wipe: false }));
            }
            Kind::CorruptDisk if self.lost == 0 && frame.replicas > 2 => {
                self.lost = 1;
                let at = Some(Target::Replica(any(stream)));
                if frame.may_wipe && stream.chance(0.5) {
                    self.add(now, host(at, Act::Crash));
                    self.add(until, host(at, Act::Restart { wipe: true }));
                    return;
                }
                self.add(now, host(at, Act::CorruptDisk));
                self.add(now, host(at, Act::Crash));
                self.add(until, host(None, Act::Restart { wipe: false }));
            }
            Kind::SlowLink if frame.has_links => {
                let from = any(stream);
                let step = 1 + stream.below(frame.replicas as u64 - 1) as usize;
                let to = ReplicaId(((from.index() + step) % frame.replicas) as u8);
                let delay = Some(Delay::Constant(Span(1 + stream.below(frame.timeout.nanos()))));
                self.add(now, Fault::DelayLink { from, to, delay });
                self.add(until, Fault::DelayLink { from, to, delay: None });
            }
            Kind::Groups => {
                let mut groups = [ReplicaSet::EMPTY; 3];
                for replica in ReplicaId::all(frame.replicas) {
                    groups[stream.below(3) as usize].insert(replica);
                }
                let groups = groups.into_iter().filter(|group| !group.is_empty()).collect();
                self.add(now, Fault::Partition(groups));
                self.add(until, Fault::PartEnd);
            }
            Kind::Blink | Kind::CorruptDisk | Kind::SlowLink => {}
        }
    }

    fn add(&mut self, time: Time, fault: Fault) {
        self.events.push(FaultEvent { time, fault });
    }
}

/// No time at all, a few milliseconds, or long enough to matter against elections.
fn disk(stream: &mut Stream, frame: Frame) -> Option<Delay> {
    let millis = Span::from_millis;
    match stream.below(5) {
        0 => None,
        1 => Some(Delay::Constant(millis(stream.between(1, 5)))),
        2 => Some(Delay::Uniform { min: millis(1), max: millis(stream.between(1, 5)) }),
        _ if frame.has_small_batches => Some(Delay::Constant(millis(1))),
        3 => Some(Delay::Uniform { min: millis(1), max: millis(1) + Span(frame.timeout.nanos() / 8) }),
        _ => Some(Delay::Exponential { floor: millis(1), mean: Span(frame.timeout.nanos() / 20) }),
    }
}
