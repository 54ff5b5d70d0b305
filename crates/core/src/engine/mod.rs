//! The discrete-event engine: hosts, events in flight, and what happens next.
//!
//! An [`Engine`] keeps a host for each machine: whether it is up, paused or down, its incarnation, its clock and its
//! disk. It knows nothing of clients, scenarios or networks. A *driver* owns it, decides what happens next, and handles
//! the emissions of machines through [`Carrier`]. The virtual world is one driver; tests that drive machines by hand
//! are others.

mod clock;
mod delay;
mod disk;
mod host;
mod queue;

use std::fmt;

use crate::id::ReplicaId;
use crate::machine::{Boot, Emission, Exit, Identity, Input, Machine, Outbox, Recovered, pass};
use crate::rng::Stream;
use crate::time::{Span, Time};

pub use clock::{Clock, Rate};
pub use delay::Delay;
pub use disk::{Disk, PowerFailure};
use host::Storage;
pub use host::{Condition, State};
pub use queue::{Queue, Wakeups};

/// How many timeouts a machine may ask for in a row while time stands still. A machine that asks for more is taken to
/// loop forever.
const IMMEDIATE_TIMEOUTS_MAX: usize = 1_000;

/// How many syncs a machine may ask for while time stands still, each in answer to the one before.
const IMMEDIATE_SYNCS_MAX: usize = 100;

/// How a machine is started.
pub type Build<'b, M> = dyn FnMut(Boot<<M as Machine>::Record>) -> Result<M, Exit> + 'b;

/// Takes what machines emit, and decides what happens to it. `E` is the type of the driver's own later events.
pub trait Carrier<M: Machine, E> {
    /// A machine's emissions follow.
    #[inline]
    fn begin(&mut self, now: Time, from: ReplicaId, machine: &M) {
        let _ = (now, from, machine);
    }

    /// A machine emits something now. Later consequences are queued in `ahead`.
    fn carry(&mut self, now: Time, from: ReplicaId, emission: Emission<M>, ahead: &mut Ahead<M, E>);
}

/// What is under way: inputs of machines, and events of the driver, by time.
pub struct Ahead<M: Machine, E> {
    queue: Queue<Due<M, E>>,
}

/// Something in flight, or just arrived.
pub enum Due<M: Machine, E> {
    /// An input for a machine that is up or down. The driver decides whether it gets through, and hands it in.
    Input {
        /// The machine.
        to: ReplicaId,
        /// The input.
        input: Input<M>,
    },
    /// A sync of this machine's disk is done: the driver calls [`Engine::handle_synced`].
    Synced {
        /// The machine.
        to: ReplicaId,
        /// Which sync of that disk it is.
        number: u64,
    },
    /// An event of the driver's own.
    Event(E),
}

/// Hosts, and the events in flight to them.
pub struct Engine<'b, M: Machine, E> {
    now: Time,
    build: Box<Build<'b, M>>,
    seed: u64,
    machines: Vec<M>,
    conditions: Vec<Condition>,
    /// Empty if no machine has a disk.
    storages: Vec<Storage<M>>,
    /// Inputs that have arrived for paused machines, in order.
    parked: Vec<(ReplicaId, Due<M, E>)>,
    /// How many machines are paused.
    paused: usize,
    ahead: Ahead<M, E>,
    wakeups: Wakeups,
    outbox: Outbox<M>,
    /// Effects that concern the host, until the host has handled them.
    concerns: Outbox<M>,
    /// How many syncs that took no time are being answered, nested in one another.
    immediate_syncs: usize,
}

impl<'b, M: Machine, E> Engine<'b, M, E> {
    /// Machines without disks, at time zero.
    pub fn new(replicas: usize, seed: u64, mut build: impl FnMut(Identity) -> M + 'b) -> Engine<'b, M, E> {
        Engine::with_storages(replicas, seed, Vec::new(), Box::new(move |boot: Boot<_>| Ok(build(boot.identity))))
    }

    /// Machines that may be restarted, at time zero. They have disks if a sync latency is given, even zero.
    ///
    /// # Panics
    /// If a machine refuses to start although its disk is empty.
    pub fn booting(
        replicas: usize,
        seed: u64,
        sync: Option<Delay>,
        build: impl FnMut(Boot<M::Record>) -> Result<M, Exit> + 'b,
    ) -> Engine<'b, M, E> {
        let disk = |sync, id: ReplicaId| Disk::new(sync, Stream::link(seed, "disk", u64::from(id.0), 0));
        let all = |sync| ReplicaId::all(replicas).map(move |id| Storage::new(disk(sync, id)));
        let storages = sync.into_iter().flat_map(all).collect();
        Engine::with_storages(replicas, seed, storages, Box::new(build))
    }

    fn with_storages(
        replicas: usize,
        seed: u64,
        storages: Vec<Storage<M>>,
        mut build: Box<Build<'b, M>>,
    ) -> Engine<'b, M, E> {
        let has_disks = !storages.is_empty();
        let boot = |id| Boot {
            identity: Identity { id, replicas, seed },
            incarnation: 0,
            now: Time::ZERO,
            disk: has_disks.then_some(Recovered::empty()),
        };
        let start = |id| build(boot(id)).unwrap_or_else(|why| panic!("replica {id} refuses to start: {why}"));
        let machines: Vec<M> = ReplicaId::all(replicas).map(start).collect();
        let mut wakeups = Wakeups::new(replicas);
        for (id, machine) in ReplicaId::all(replicas).zip(&machines) {
            wakeups.set(id, machine.poll_timeout());
        }
        Engine {
            now: Time::ZERO,
            build,
            seed,
            machines,
            conditions: vec![Condition::FIRST; replicas],
            storages,
            parked: Vec::new(),
            paused: 0,
            ahead: Ahead { queue: Queue::new() },
            wakeups,
            outbox: Outbox::new(),
            concerns: Outbox::new(),
            immediate_syncs: 0,
        }
    }

    /// The time.
    #[inline]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Advances time; never moves it back.
    #[inline]
    pub fn advance(&mut self, to: Time) {
        self.now = self.now.max(to);
    }

    /// All machines; a machine that is down is in the state in which it ended.
    #[inline]
    pub fn machines(&self) -> &[M] {
        &self.machines
    }

    /// A machine, to be told what is no input, or asked for what is no effect.
    pub fn machine_mut(&mut self, id: ReplicaId) -> &mut M {
        &mut self.machines[id.index()]
    }

    /// The state of each host.
    #[inline]
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// A machine's disk; none if machines have none.
    pub fn disk(&self, id: ReplicaId) -> Option<&Disk<M::Record>> {
        self.storages.get(id.index()).map(|storage| &storage.writes.disk)
    }

    /// The same, to be changed.
    pub fn disk_mut(&mut self, id: ReplicaId) -> Option<&mut Disk<M::Record>> {
        self.storages.get_mut(id.index()).map(|storage| &mut storage.writes.disk)
    }

    /// What is under way.
    pub fn ahead(&mut self) -> &mut Ahead<M, E> {
        &mut self.ahead
    }

    /// When the first thing under way arrives; never, if nothing is.
    #[inline]
    pub fn next_arrival(&self) -> Time {
        self.ahead.queue.next_time()
    }

    /// When the first machine wants its timeout.
    #[inline]
    pub fn next_timeout(&self) -> Time {
        self.wakeups.next_time()
    }

    /// The replica whose timeout that is; of several at one time, the one with the lowest number.
    #[inline]
    pub fn next_to_time_out(&self) -> ReplicaId {
        self.wakeups.next_replica()
    }

    /// Takes out the first thing under way. None if there is nothing, or nothing for the driver to do. That is an input
    /// for a paused machine, which waits until the machine is resumed, or a sync of an earlier incarnation.
    #[inline(always)]
    pub fn take_arrival(&mut self) -> Option<Due<M, E>> {
        if self.storages.is_empty() && self.paused == 0 {
            self.ahead.queue.pop()
        } else {
            self.take_what_need_not_wait()
        }
    }

    #[cold]
    fn take_what_need_not_wait(&mut self) -> Option<Due<M, E>> {
        let due = self.ahead.queue.pop()?;
        match due {
            Due::Input { to, .. } if self.conditions[to.index()].state == State::Paused => self.park(to, due),
            Due::Synced { to, number } if !self.storages[to.index()].writes.disk.is_syncing(number) => None,
            Due::Synced { to, .. } if self.conditions[to.index()].state == State::Paused => self.park(to, due),
            due => Some(due),
        }
    }

    fn park(&mut self, to: ReplicaId, due: Due<M, E>) -> Option<Due<M, E>> {
        self.parked.push((to, due));
        None
    }

    /// Keeps an event of the driver's that concerns a paused machine, until that machine is resumed: it then arrives
    /// again. If the host loses its power first, the event is lost, as inputs are.
    ///
    /// # Panics
    /// If the machine is not paused.
    pub fn park_event(&mut self, to: ReplicaId, event: E) {
        assert_eq!(self.conditions[to.index()].state, State::Paused, "only a paused machine is resumed");
        self.parked.push((to, Due::Event(event)));
    }

    /// Hands one input to a machine that is up and carries out its effects. Repeats this with a timeout as long as the
    /// machine wants one now. Returns the reason if the machine ends.
    ///
    /// # Panics
    /// If the machine asks for timeouts or syncs without end while time stands still.
    #[inline(always)]
    pub fn handle(&mut self, id: ReplicaId, input: Input<M>, carrier: &mut impl Carrier<M, E>) -> Option<Exit> {
        let now = self.conditions[id.index()].clock.local(self.now);
        self.machines[id.index()].handle(now, input, &mut self.outbox);
        self.carry_out(id, now, carrier)
    }

    /// The same for any other call that makes a machine act.
    ///
    /// # Panics
    /// If the machine asks for timeouts or syncs without end while time stands still.
    #[inline]
    pub fn act<T>(
        &mut self,
        id: ReplicaId,
        carrier: &mut impl Carrier<M, E>,
        act: impl FnOnce(&mut M, Time, &mut Outbox<M>) -> T,
    ) -> (T, Option<Exit>) {
        let now = self.conditions[id.index()].clock.local(self.now);
        let done = act(&mut self.machines[id.index()], now, &mut self.outbox);
        (done, self.carry_out(id, now, carrier))
    }

    /// Carries out the effects of a machine, and hands in timeouts as long as it wants one now.
    #[inline(always)]
    fn carry_out(&mut self, id: ReplicaId, now: Time, carrier: &mut impl Carrier<M, E>) -> Option<Exit> {
        let mut deadline = self.machines[id.index()].poll_timeout();
        if deadline <= now || self.outbox.concerns_host() {
            match self.settle(id, now, carrier) {
                Ok(later) => deadline = later,
                Err(exit) => return Some(exit),
            }
        }
        self.wakeups.set(id, self.conditions[id.index()].clock.world(deadline));
        self.emit(id, carrier);
        None
    }

    /// Handles the effects that concern the host, and hands in timeouts as long as the machine wants one now. Returns
    /// when it wants the next one; its last emissions are still in the outbox.
    fn settle(&mut self, id: ReplicaId, now: Time, carrier: &mut impl Carrier<M, E>) -> Result<Time, Exit> {
        for _ in 0..=IMMEDIATE_TIMEOUTS_MAX {
            // A sync holds back only effects of its own input.
            if self.outbox.concerns_host()
                && let Some(exit) = self.attend(id, carrier)
            {
                return Err(exit);
            }
            let machine = &mut self.machines[id.index()];
            let deadline = machine.poll_timeout();
            if deadline > now {
                return Ok(deadline);
            }
            machine.handle(now, Input::Timeout, &mut self.outbox);
        }
        panic!("replica {id} asks for timeouts at {} without end", self.now);
    }

    /// As [`Engine::act`], but a timeout that is due afterwards is left to the driver. This is for drivers that move
    /// machines by hand, and let one machine be slower than another.
    pub fn act_once<T>(
        &mut self,
        id: ReplicaId,
        carrier: &mut impl Carrier<M, E>,
        act: impl FnOnce(&mut M, Time, &mut Outbox<M>) -> T,
    ) -> (T, Option<Exit>) {
        let clock = &self.conditions[id.index()].clock;
        let machine = &mut self.machines[id.index()];
        let done = act(machine, clock.local(self.now), &mut self.outbox);
        self.wakeups.set(id, clock.world(machine.poll_timeout()));
        if self.outbox.concerns_host() {
            return (done, self.attend(id, carrier));
        }
        self.emit(id, carrier);
        (done, None)
    }

    /// Carries out what a machine emits.
    #[inline(always)]
    fn emit(&mut self, id: ReplicaId, carrier: &mut impl Carrier<M, E>) {
        if !self.outbox.is_empty() {
            carrier.begin(self.now, id, &self.machines[id.index()]);
            for emission in self.outbox.emissions() {
                carrier.carry(self.now, id, emission, &mut self.ahead);
            }
        }
    }

    /// Deals with records, syncs and exits, and carries out the emissions that need not wait for them.
    #[cold]
    fn attend(&mut self, id: ReplicaId, carrier: &mut impl Carrier<M, E>) -> Option<Exit> {
        let had = self.storages.get(id.index()).map_or(0, |storage| storage.writes.disk.synced());
        let exit = self.sort_out(id);
        self.emit(id, carrier);
        if exit.is_some() {
            self.fail_power(id);
            return exit;
        }
        let storage = self.storages.get_mut(id.index())?;
        match storage.writes.disk.begin_sync() {
            Some((_, Span::ZERO)) => {
                storage.writes.disk.finish_sync();
            }
            Some((number, span)) => self.ahead.queue.push(self.now + span, Due::Synced { to: id, number }),
            None => {}
        }
        if storage.writes.refused && !storage.told_full {
            storage.told_full = true;
            if let Some(exit) = self.handle(id, Input::DiskFull, carrier) {
                return Some(exit);
            }
        }
        if self.storages[id.index()].writes.disk.synced() == had {
            return None;
        }
        // This sync took no time, and what the machine does next may want another one.
        self.immediate_syncs += 1;
        assert!(self.immediate_syncs <= IMMEDIATE_SYNCS_MAX, "replica {id} asks for syncs at {} without end", self.now);
        let exit = self.release(id, carrier);
        self.immediate_syncs -= 1;
        exit
    }

    /// Gives the disk its records, and leaves in the outbox the emissions that need not wait.
    fn sort_out(&mut self, id: ReplicaId) -> Option<Exit> {
        std::mem::swap(&mut self.outbox, &mut self.concerns);
        match self.storages.get_mut(id.index()) {
            Some(Storage { writes, gate, .. }) => gate.sort_out(&mut self.concerns, writes, &mut self.outbox),
            None => pass(&mut self.concerns, &mut self.outbox),
        }
    }

    /// A sync of this machine's disk is done: the effects that waited for it happen, and the machine is notified.
    /// Returns the reason if the machine ends.
    pub fn handle_synced(&mut self, id: ReplicaId, carrier: &mut impl Carrier<M, E>) -> Option<Exit> {
        self.storages.get_mut(id.index())?.writes.disk.finish_sync();
        self.release(id, carrier)
    }

    fn release(&mut self, id: ReplicaId, carrier: &mut impl Carrier<M, E>) -> Option<Exit> {
        let storage = self.storages.get_mut(id.index())?;
        let synced = storage.writes.disk.synced();
        storage.gate.open(synced, &mut self.outbox);
        let up_to = synced - storage.before;
        self.emit(id, carrier);
        let exit = self.handle(id, Input::Synced { up_to }, carrier);
        if exit.is_some() {
            return exit;
        }
        // Records that were persisted while the disk was busy are next.
        self.attend(id, carrier)
    }

    /// The power of a host fails, or its machine ends: its memory is gone, and records that were not synced may be
    /// lost. Does nothing to a host that is down.
    pub fn fail_power(&mut self, id: ReplicaId) -> PowerFailure {
        self.fail(id, Disk::fail_power)
    }

    /// The same, with a choice of what the disk keeps.
    ///
    /// # Panics
    /// As [`Disk::fail_power_after`].
    pub fn fail_power_after(&mut self, id: ReplicaId, kept: u64, torn: bool) -> PowerFailure {
        self.fail(id, |disk| disk.fail_power_after(kept, torn))
    }

    fn fail(&mut self, id: ReplicaId, fail: impl FnOnce(&mut Disk<M::Record>) -> PowerFailure) -> PowerFailure {
        let condition = &mut self.conditions[id.index()];
        if condition.state == State::Down {
            return PowerFailure::default();
        }
        self.paused -= usize::from(condition.state == State::Paused);
        condition.state = State::Down;
        self.wakeups.set(id, Time::NEVER);
        self.parked.retain(|(to, _)| *to != id);
        let Some(storage) = self.storages.get_mut(id.index()) else { return PowerFailure::default() };
        let failure = fail(&mut storage.writes.disk);
        storage.gate.clear();
        storage.torn = failure.torn;
        failure
    }

    /// Starts the machine of a host that is down, from the records that its disk kept, or from nothing if there is no
    /// disk. Does nothing to a host that is not down.
    ///
    /// # Errors
    /// If the machine refuses to start. The host stays down.
    pub fn restart(&mut self, id: ReplicaId) -> Result<(), Exit> {
        let condition = &mut self.conditions[id.index()];
        if condition.state != State::Down {
            return Ok(());
        }
        condition.incarnation += 1;
        let storage = self.storages.get_mut(id.index());
        let boot = Boot {
            identity: Identity { id, replicas: self.machines.len(), seed: self.seed },
            incarnation: condition.incarnation,
            now: condition.clock.local(self.now),
            disk: storage.map(|storage| {
                storage.before = storage.writes.disk.persisted();
                (storage.writes.refused, storage.told_full) = (false, false);
                storage.writes.disk.read(std::mem::take(&mut storage.torn))
            }),
        };
        let machine = (self.build)(boot)?;
        condition.state = State::Up;
        self.wakeups.set(id, condition.clock.world(machine.poll_timeout()));
        self.machines[id.index()] = machine;
        Ok(())
    }

    /// Stops a machine that is up: it handles nothing until it is resumed.
    pub fn pause(&mut self, id: ReplicaId) {
        let condition = &mut self.conditions[id.index()];
        if condition.state == State::Up {
            condition.state = State::Paused;
            self.paused += 1;
            self.wakeups.set(id, Time::NEVER);
        }
    }

    /// Resumes a paused machine. A timeout that is due comes first, as in a process that checks its clock before its
    /// socket. The inputs that came meanwhile arrive now, in order, before any others of this time.
    pub fn resume(&mut self, id: ReplicaId) {
        let condition = &mut self.conditions[id.index()];
        if condition.state != State::Paused {
            return;
        }
        condition.state = State::Up;
        self.paused -= 1;
        self.wakeups.set(id, condition.clock.world(self.machines[id.index()].poll_timeout()));
        for (_, due) in self.parked.extract_if(.., |(to, _)| *to == id) {
            self.ahead.queue.push_early(self.now, due);
        }
    }

    /// From now on syncs of this host's disk take this many times as long; the one under way restarts.
    pub fn set_disk_slowness(&mut self, id: ReplicaId, times: u64) {
        let Some(storage) = self.storages.get_mut(id.index()) else { return };
        storage.writes.disk.set_slowness(times);
        if let Some((number, span)) = storage.writes.disk.restart_sync() {
            self.ahead.queue.push(self.now + span, Due::Synced { to: id, number });
        }
    }

    /// From now on this host's clock runs at this rate, and it jumps ahead first.
    pub fn set_clock(&mut self, id: ReplicaId, rate: Rate, jump: Span) {
        let condition = &mut self.conditions[id.index()];
        condition.clock.set(self.now, rate, jump);
        if condition.state == State::Up {
            self.wakeups.set(id, condition.clock.world(self.machines[id.index()].poll_timeout()));
        }
    }
}

impl<M: Machine, E> Ahead<M, E> {
    /// An input that arrives at a machine at this time.
    #[inline]
    pub fn input(&mut self, at: Time, to: ReplicaId, input: Input<M>) {
        self.queue.push(at, Due::Input { to, input });
    }

    /// An event of the driver's own at this time.
    #[inline]
    pub fn event(&mut self, at: Time, event: E) {
        self.queue.push(at, Due::Event(event));
    }

    /// How much is under way.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl<M: Machine, E> fmt::Debug for Engine<'_, M, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Engine");
        shown.field("now", &self.now).field("conditions", &self.conditions).field("under_way", &self.ahead.len());
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
