//! The virtual world: a deterministic discrete-event simulation.
//!
//! A run is a pure function of the program, the scenario and the seed. Time is a number that jumps from event to event.
//! Events of one time happen in this order on every machine: faults of the scenario, arrivals in order of sending, the
//! clients' next request, timeouts of replicas in order of their numbers. All random numbers come from named streams of
//! the seed ([`crate::rng`]).
//!
//! A message takes some time ([`Network`](crate::scenario::Network)). When it arrives, the receiver's chaos monkey
//! decides whether it gets through. Clients' messages always do, unless the replica is dead.

use crate::chaos::{Act, Director, Fault, Flip};
use crate::engine::{Ahead, Carrier, Disk, Due, Engine};
use crate::id::{ClientId, Mid, ReplicaId};
use crate::machine::{Boot, Emission, Exit, Identity, Input, Record};
use crate::record::{Event, Observer, RunRecord, Scene, Trace, World};
use crate::scenario::Scenario;
use crate::service::{Response, Service};
use crate::time::Time;
use crate::workload::Dispatch;
use crate::world::quiet::note_panic;
use crate::world::stage::Stage;
use crate::world::{Route, Run, Transport};

/// Runs a scenario from beginning to end. `build` makes each replica.
///
/// # Panics
/// If the protocol panics, sends to a replica or names a leader that does not exist, or asks for timeouts without end
/// while time stands still. A note on standard error then names scenario, seed and time.
pub fn simulate<P: Service>(scenario: &Scenario, seed: u64, build: impl FnMut(Identity) -> P) -> RunRecord {
    simulate_observed(scenario, seed, (), build)
}

/// As [`simulate`], with an observer.
///
/// # Panics
/// As [`simulate`].
pub fn simulate_observed<P: Service, O: Observer<P>>(
    scenario: &Scenario,
    seed: u64,
    observer: O,
    build: impl FnMut(Identity) -> P,
) -> RunRecord {
    let mut simulation = Simulation::observed(scenario, seed, observer, build);
    while simulation.step() {}
    simulation.finish()
}

/// As [`simulate_observed`], with replicas that may be restarted ([`Simulation::booting`]).
///
/// # Panics
/// As [`simulate`], and if a replica refuses to start although its disk is empty.
pub fn simulate_booting<P: Service, O: Observer<P>>(
    scenario: &Scenario,
    seed: u64,
    observer: O,
    build: impl FnMut(Boot<P::Record>) -> Result<P, Exit>,
) -> RunRecord {
    let mut simulation = Simulation::booting(scenario, seed, observer, build);
    while simulation.step() {}
    simulation.finish()
}

/// A run in progress. [`simulate`] is the short way to a finished one.
#[derive(Debug)]
pub struct Simulation<'a, P: Service, O = ()> {
    stage: Stage<'a>,
    observer: O,
    engine: Engine<'a, P, Answer>,
    transport: Transport,
    trace: Trace,
}

/// Reports the state of a run when it panicked, so that a panic never comes without its seed.
impl<P: Service, O> Drop for Simulation<'_, P, O> {
    fn drop(&mut self) {
        note_panic(self.stage.scenario, self.stage.seed, self.engine.now());
    }
}

/// An answer on its way to a client.
#[derive(Clone, Debug)]
struct Answer {
    from: ReplicaId,
    to: ClientId,
    mid: Mid,
    leader: Option<ReplicaId>,
    response: Response,
}

impl<'a, P: Service> Simulation<'a, P> {
    /// A run at its start, without an observer.
    pub fn new(scenario: &'a Scenario, seed: u64, build: impl FnMut(Identity) -> P + 'a) -> Simulation<'a, P> {
        Simulation::observed(scenario, seed, (), build)
    }
}

impl<'a, P: Service, O: Observer<P>> Simulation<'a, P, O> {
    /// A run at its start, with replicas that remember nothing when they are restarted. Pass an observer as `&mut` to
    /// use it after the run.
    pub fn observed(
        scenario: &'a Scenario,
        seed: u64,
        observer: O,
        build: impl FnMut(Identity) -> P + 'a,
    ) -> Simulation<'a, P, O> {
        Simulation::around(scenario, seed, observer, Engine::new(scenario.replicas, seed, build))
    }

    /// The same with replicas that may be restarted, from their disks if the scenario gives them disks.
    ///
    /// # Panics
    /// If a replica refuses to start although its disk is empty.
    pub fn booting(
        scenario: &'a Scenario,
        seed: u64,
        observer: O,
        build: impl FnMut(Boot<P::Record>) -> Result<P, Exit> + 'a,
    ) -> Simulation<'a, P, O> {
        let engine = Engine::booting(scenario.replicas, seed, scenario.sync(), build);
        Simulation::around(scenario, seed, observer, engine)
    }

    fn around(scenario: &'a Scenario, seed: u64, observer: O, engine: Engine<'a, P, Answer>) -> Simulation<'a, P, O> {
        Simulation {
            stage: Stage::new(scenario, seed),
            observer,
            engine,
            transport: Transport::new(scenario, seed),
            trace: Trace::new(),
        }
    }

    /// Makes the next event happen. False if there is no event before the run's end, or the run was stopped.
    pub fn step(&mut self) -> bool {
        let fault = self.stage.next_fault();
        let arrival = self.engine.next_arrival();
        let request = self.stage.workload.poll_due();
        let timeout = self.engine.next_timeout();
        let next = fault.min(arrival).min(request).min(timeout);
        if next > self.stage.scenario.end() || self.stage.is_storm() {
            return false;
        }
        // A deadline in the past is due now. Such a replica wants to be called at its start, or was paused.
        self.engine.advance(next);
        if fault <= self.engine.now() {
            self.inject();
        } else if arrival == next {
            if self.stage.director.has_damage() { self.arrive_perhaps_damaged() } else { self.arrive() }
        } else if request == next {
            let dispatch = self.stage.workload.handle_due(self.engine.now(), self.stage.director.living());
            self.dispatch(dispatch);
        } else {
            let replica = self.engine.next_to_time_out();
            self.record(&Event::Timeout { replica });
            self.handle(replica, Input::Timeout);
        }
        true
    }

    /// Ends the run and returns its record.
    pub fn finish(mut self) -> RunRecord {
        let end = if self.stage.is_storm() { self.engine.now() } else { self.stage.scenario.end() };
        self.stage.finish(World::Virtual, end, self.trace.events(), Some(self.trace.hash()))
    }

    /// The time of the newest event.
    pub fn now(&self) -> Time {
        self.engine.now()
    }

    /// The replicas; a replica that is down is in the state in which it ended.
    pub fn replicas(&self) -> &[P] {
        self.engine.machines()
    }

    /// The living replicas, the observed leader, and which replicas can hear each other.
    pub fn director(&self) -> &Director {
        &self.stage.director
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.trace.events()
    }

    #[inline]
    fn record(&mut self, event: &Event<'_, P::Message>) {
        self.trace.record(self.engine.now(), event);
        self.observer.event(&scene(&self.engine, &self.stage), event);
    }

    /// Injects the next fault of the scenario.
    #[cold]
    fn inject(&mut self) {
        let now = self.engine.now();
        let (event, consequence) = self.stage.inject(now);
        self.record(&Event::Struck { event, consequence });
        match &self.stage.scenario.events[event].fault {
            Fault::Duplicate(share) => self.transport.set_duplicate(*share),
            &Fault::DelayLink { from, to, delay } => self.transport.set_delay(from, to, delay),
            fault => {
                if let Some(act) = fault.act() {
                    consequence.hit.iter().for_each(|replica| self.act(replica, act));
                }
            }
        }
    }

    /// Carries an act out on a host.
    #[cold]
    fn act(&mut self, replica: ReplicaId, act: Act) {
        match act {
            Act::Kill => drop(self.engine.fail_power(replica)),
            Act::Crash => {
                let failure = self.engine.fail_power(replica);
                self.record(&Event::Crashed { replica, failure });
            }
            Act::Restart { wipe } => self.restart(replica, wipe),
            Act::Pause => self.engine.pause(replica),
            Act::Resume => self.engine.resume(replica),
            Act::Clock { rate, jump } => self.engine.set_clock(replica, rate, jump),
            Act::StepDown => self.handle(replica, Input::StepDown),
            Act::SlowDisk { times } => self.engine.set_disk_slowness(replica, times),
            Act::FullDisk | Act::CorruptDisk | Act::LyingDisk | Act::MendDisk => {
                self.engine.disk_mut(replica).into_iter().for_each(|disk| meddle(disk, act));
                if act == Act::MendDisk {
                    self.engine.set_disk_slowness(replica, 1);
                }
            }
        }
    }

    #[cold]
    fn restart(&mut self, replica: ReplicaId, wipe: bool) {
        if wipe && let Some(disk) = self.engine.disk_mut(replica) {
            disk.wipe();
        }
        match self.engine.restart(replica) {
            Ok(()) => self.record(&Event::Started { replica, wiped: wipe }),
            Err(why) => {
                self.stage.refuse(self.engine.now(), replica);
                self.record(&Event::Ended { replica, why: &why });
            }
        }
    }

    /// The first message in flight arrives.
    fn arrive(&mut self) {
        let due = self.engine.take_arrival();
        self.take(due);
    }

    #[inline(always)]
    fn take(&mut self, due: Option<Due<P, Answer>>) {
        match due {
            Some(Due::Input { to, input }) => {
                let gets_through = self.reaches(to, &input);
                if gets_through {
                    self.handle(to, input);
                }
            }
            Some(Due::Event(Answer { from, to, mid, leader, response })) => {
                self.record(&Event::Answered { from, to, mid, leader, response: &response });
                let reaction = self.stage.answer(self.engine.now(), to, mid, leader, &response);
                self.dispatch(reaction.again);
            }
            Some(Due::Synced { to, .. }) => self.handle_synced(to),
            None => {}
        }
    }

    /// A sync of a replica's disk is done.
    #[cold]
    fn handle_synced(&mut self, id: ReplicaId) {
        self.record(&Event::Synced { replica: id });
        let mut carrier = wires(&mut self.stage, &mut self.transport, &mut self.observer);
        let exit = self.engine.handle_synced(id, &mut carrier);
        self.handled(id, exit);
    }

    /// As [`Simulation::arrive`], in a run in which messages are damaged.
    #[cold]
    fn arrive_perhaps_damaged(&mut self) {
        let (to, mut input) = match self.engine.take_arrival() {
            Some(Due::Input { to, input }) => (to, input),
            due => return self.take(due),
        };
        let flip = match input {
            Input::Peer { from, .. } if self.stage.director.living().contains(to) => {
                self.stage.director.damages(from, to)
            }
            _ => None,
        };
        let gets_through = match (&mut input, flip) {
            (Input::Peer { from, message }, Some(flip)) => self.reaches_damaged(*from, to, message, flip),
            (input, _) => self.reaches(to, input),
        };
        if gets_through {
            self.handle(to, input);
        }
    }

    /// Whether a message with a flipped bit gets through to a living replica. It then becomes the message that the
    /// replica reads.
    fn reaches_damaged(&mut self, from: ReplicaId, to: ReplicaId, message: &mut P::Message, flip: Flip) -> bool {
        if !self.stage.admits(self.engine.now(), from, to) {
            self.record(&Event::Dropped { from, to, message });
            return false;
        }
        let receiver = &self.engine.machines()[to.index()];
        let Some(read) = receiver.read_damaged(from, to, message, &mut |bytes| flip.apply(bytes)) else {
            self.stage.dropped += 1;
            self.record(&Event::Damaged { from, to, message });
            return false;
        };
        *message = read;
        self.record(&Event::Delivered { from, to, message });
        true
    }

    /// Whether an input that has arrived gets through to its replica.
    #[inline(always)]
    fn reaches(&mut self, to: ReplicaId, input: &Input<P>) -> bool {
        if !self.stage.director.living().contains(to) {
            self.record(&Event::Lost { to });
            return false;
        }
        match input {
            &Input::Peer { from, ref message } if self.stage.admits(self.engine.now(), from, to) => {
                self.record(&Event::Delivered { from, to, message });
            }
            &Input::Peer { from, ref message } => {
                self.record(&Event::Dropped { from, to, message });
                return false;
            }
            &Input::Client { from, mid, ref request } => self.record(&Event::Requested { from, to, mid, request }),
            Input::Timeout | Input::Synced { .. } | Input::DiskFull | Input::StepDown => {}
        }
        true
    }

    /// Hands one input to a replica and carries out its effects.
    #[inline]
    fn handle(&mut self, id: ReplicaId, input: Input<P>) {
        let mut carrier = wires(&mut self.stage, &mut self.transport, &mut self.observer);
        let exit = self.engine.handle(id, input, &mut carrier);
        self.handled(id, exit);
    }

    /// A replica has handled an input, and perhaps ended with it.
    #[inline(always)]
    fn handled(&mut self, id: ReplicaId, exit: Option<Exit>) {
        if let Some(why) = exit {
            self.end(id, &why);
        }
        self.observer.handled(&scene(&self.engine, &self.stage), id);
    }

    #[cold]
    fn end(&mut self, id: ReplicaId, why: &Exit) {
        // A replica that ends because the scenario has filled or emptied its disk behaves correctly.
        let was_wiped = self.stage.director.hosts().wiped.contains(id);
        if was_wiped || self.engine.disk(id).is_some_and(Disk::is_full) {
            self.stage.refuse(self.engine.now(), id);
        } else {
            self.stage.mark_dead(self.engine.now(), id);
        }
        self.record(&Event::Ended { replica: id, why });
    }

    /// Sends a client's request, if there is one.
    fn dispatch(&mut self, dispatch: Option<Dispatch>) {
        if let Some(Dispatch { from, to, mid, operation, .. }) = dispatch {
            let arrival = self.transport.arrival(self.engine.now(), Route::Request { from, to });
            self.engine.ahead().input(arrival, to, Input::Client { from, mid, request: operation });
        }
    }
}

impl<P: Service, O: Observer<P>> Run<P> for Simulation<'_, P, O> {
    fn step(&mut self) -> bool {
        Simulation::step(self)
    }

    fn finish(self) -> RunRecord {
        Simulation::finish(self)
    }

    fn replicas(&self) -> &[P] {
        Simulation::replicas(self)
    }

    fn director(&self) -> &Director {
        Simulation::director(self)
    }
}

#[inline]
fn scene<'s, P: Service>(engine: &'s Engine<'_, P, Answer>, stage: &'s Stage<'_>) -> Scene<'s, P> {
    Scene { now: engine.now(), replicas: engine.machines(), conditions: engine.conditions(), director: &stage.director }
}

fn meddle<R: Record>(disk: &mut Disk<R>, act: Act) {
    match act {
        Act::FullDisk => disk.set_full(true),
        Act::CorruptDisk => drop(disk.corrupt()),
        Act::LyingDisk => disk.set_lying(true),
        Act::MendDisk => {
            disk.set_full(false);
            disk.set_lying(false);
        }
        _ => {}
    }
}

/// The network between replicas and clients: counts messages, and decides when they arrive.
struct Wires<'w, 'a, O> {
    stage: &'w mut Stage<'a>,
    transport: &'w mut Transport,
    observer: &'w mut O,
    /// The leader that is stamped on all messages of one moment.
    stamp: Option<ReplicaId>,
}

impl<P: Service, O: Observer<P>> Carrier<P, Answer> for Wires<'_, '_, O> {
    #[inline]
    fn begin(&mut self, now: Time, from: ReplicaId, replica: &P) {
        let leader = replica.leader();
        let exists = leader.is_none_or(|leader| leader.index() < self.stage.scenario.replicas);
        assert!(exists, "replica {from} believes in a leader that does not exist");
        self.stage.observe_leader(now, from, leader);
        self.stamp = leader;
    }

    #[inline(always)]
    fn carry(&mut self, now: Time, from: ReplicaId, emission: Emission<P>, ahead: &mut Ahead<P, Answer>) {
        match emission {
            Emission::Send { to, message } => {
                assert!(
                    to.index() < self.stage.scenario.replicas,
                    "replica {from} sends to {to}, which does not exist"
                );
                self.stage.sent += 1;
                self.observer.sent(from, to, &message);
                let arrival = self.transport.arrival(now, Route::Peer { from, to });
                if let Some(second) = self.transport.second_arrival(now, from, to) {
                    ahead.input(second, to, Input::Peer { from, message: message.clone() });
                }
                ahead.input(arrival, to, Input::Peer { from, message });
            }
            Emission::Reply { to, mid, response } => {
                let arrival = self.transport.arrival(now, Route::Answer { from, to });
                ahead.event(arrival, Answer { from, to, mid, leader: self.stamp, response });
            }
        }
    }
}

#[inline]
fn wires<'w, 'a, O>(stage: &'w mut Stage<'a>, transport: &'w mut Transport, observer: &'w mut O) -> Wires<'w, 'a, O> {
    Wires { stage, transport, observer, stamp: None }
}
