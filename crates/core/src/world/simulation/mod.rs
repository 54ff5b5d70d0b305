//! The virtual world: a deterministic discrete-event simulation.
//!
//! A run is a pure function of the program, the scenario and the seed. Time is a number that jumps from event to event;
//! what happens at one time happens in this order, whatever the machine: faults of the scenario, arrivals in order of
//! sending, the clients' next request, timeouts of replicas in order of their numbers. All dice are named streams of
//! the seed ([`crate::rng`]).
//!
//! A message is sent, takes its time ([`Network`](crate::scenario::Network)), and when it arrives the receiver's chaos
//! monkey decides whether it gets through. Clients' messages always do, unless the replica is dead.

mod queue;
mod transport;

use crate::chaos::Director;
use crate::id::{ClientId, Mid, ReplicaId};
use crate::protocol::{Effect, Identity, Input, Outbox, Protocol, Response};
use crate::record::{Event, Observer, RunRecord, Scene, Trace, World};
use crate::scenario::Scenario;
use crate::time::Time;
use crate::workload::Dispatch;
use crate::world::quiet::is_quiet;
use crate::world::stage::Stage;

pub use queue::{Queue, Wakeups};
pub use transport::{Route, Transport};

/// A protocol may ask for so many timeouts in a row without time moving on; more would never end.
const IMMEDIATE_TIMEOUTS_MAX: usize = 1_000;

/// Runs a scenario from beginning to end. `build` makes each replica.
///
/// # Panics
/// If the protocol panics, sends to or believes in a replica that does not exist, or asks for timeouts at one time
/// without end. A note on standard error then names scenario, seed and time.
pub fn simulate<P: Protocol>(scenario: &Scenario, seed: u64, build: impl FnMut(Identity) -> P) -> RunRecord {
    simulate_observed(scenario, seed, (), build)
}

/// As [`simulate`], with somebody who watches.
///
/// # Panics
/// As [`simulate`].
pub fn simulate_observed<P: Protocol, O: Observer<P>>(
    scenario: &Scenario,
    seed: u64,
    observer: O,
    build: impl FnMut(Identity) -> P,
) -> RunRecord {
    let mut simulation = Simulation::observed(scenario, seed, observer, build);
    while simulation.step() {}
    simulation.finish()
}

/// A run under way. [`simulate`] is the short way to a finished one.
#[derive(Debug)]
pub struct Simulation<'a, P: Protocol, O = ()> {
    stage: Stage<'a>,
    observer: O,
    now: Time,
    replicas: Vec<P>,
    transport: Transport,
    queue: Queue<Arrival<P::Message>>,
    wakeups: Wakeups,
    outbox: Outbox<P::Message>,
    trace: Trace,
}

/// Says where a run was when it panicked, so that nobody is left with a panic and no seed.
impl<P: Protocol, O> Drop for Simulation<'_, P, O> {
    fn drop(&mut self) {
        if std::thread::panicking() && !is_quiet() {
            eprintln!(
                "note: scenario {} with seed {} panicked at {}",
                self.stage.scenario.name, self.stage.seed, self.now
            );
        }
    }
}

/// Something under way to someone.
#[derive(Clone, Debug)]
enum Arrival<M> {
    /// A message or a request, in the form in which a replica takes it, so that it need not be moved about.
    Replica { to: ReplicaId, input: Input<M> },
    /// An answer.
    Client { from: ReplicaId, to: ClientId, mid: Mid, leader: Option<ReplicaId>, response: Response },
}

impl<'a, P: Protocol> Simulation<'a, P> {
    /// A run at its beginning, that nobody watches.
    pub fn new(scenario: &'a Scenario, seed: u64, build: impl FnMut(Identity) -> P) -> Simulation<'a, P> {
        Simulation::observed(scenario, seed, (), build)
    }
}

impl<'a, P: Protocol, O: Observer<P>> Simulation<'a, P, O> {
    /// A run at its beginning. An observer that is to be asked afterwards is lent, as `&mut`.
    pub fn observed(
        scenario: &'a Scenario,
        seed: u64,
        observer: O,
        mut build: impl FnMut(Identity) -> P,
    ) -> Simulation<'a, P, O> {
        let count = scenario.replicas;
        let replicas: Vec<P> = ReplicaId::all(count).map(|id| build(Identity { id, replicas: count, seed })).collect();
        let mut wakeups = Wakeups::new(count);
        for (id, replica) in ReplicaId::all(count).zip(&replicas) {
            wakeups.set(id, replica.poll_timeout());
        }
        Simulation {
            stage: Stage::new(scenario, seed),
            observer,
            now: Time::ZERO,
            replicas,
            transport: Transport::new(&scenario.network, count, seed),
            queue: Queue::new(),
            wakeups,
            outbox: Outbox::new(),
            trace: Trace::new(),
        }
    }

    /// Makes the next event happen. False if there is none before the run's end, or the run was stopped.
    pub fn step(&mut self) -> bool {
        let fault = self.stage.next_fault();
        let arrival = self.queue.next_time();
        let request = self.stage.workload.poll_due();
        let wakeup = self.wakeups.next_time();
        let next = fault.min(arrival).min(request).min(wakeup);
        if next > self.stage.scenario.end() || self.stage.is_storm() {
            return false;
        }
        // A deadline in the past (of a replica that wants to be called at its start) is due now.
        self.now = self.now.max(next);
        if fault == next {
            self.strike();
        } else if arrival == next {
            self.arrive();
        } else if request == next {
            let dispatch = self.stage.workload.handle_due(self.now, self.stage.director.living());
            self.dispatch(dispatch);
        } else {
            let replica = self.wakeups.next_replica();
            self.record(&Event::Timeout { replica });
            self.handle(replica, Input::Timeout);
        }
        true
    }

    /// Ends the run: what is known of it.
    pub fn finish(mut self) -> RunRecord {
        let end = if self.stage.is_storm() { self.now } else { self.stage.scenario.end() };
        self.stage.finish(World::Virtual, end, self.trace.events(), Some(self.trace.hash()))
    }

    /// The time of the newest event.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The replicas, dead ones included.
    pub fn replicas(&self) -> &[P] {
        &self.replicas
    }

    /// Who lives, who is believed to lead and who can hear whom.
    pub fn director(&self) -> &Director {
        &self.stage.director
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.trace.events()
    }

    #[inline]
    fn record(&mut self, event: &Event<'_, P::Message>) {
        self.trace.record(self.now, event);
        let scene = Scene { now: self.now, replicas: &self.replicas, director: &self.stage.director };
        self.observer.event(&scene, event);
    }

    /// The next fault of the scenario strikes.
    fn strike(&mut self) {
        let (event, consequence) = self.stage.strike(self.now);
        self.record(&Event::Struck { event, consequence });
        if let Some(killed) = consequence.killed {
            self.wakeups.set(killed, Time::NEVER);
        }
    }

    /// The first message under way arrives.
    fn arrive(&mut self) {
        match self.queue.pop() {
            Some(Arrival::Replica { to, input }) => {
                let gets_through = self.reaches(to, &input);
                if gets_through {
                    self.handle(to, input);
                }
            }
            Some(Arrival::Client { from, to, mid, leader, response }) => {
                self.record(&Event::Answered { from, to, mid, leader, response: &response });
                let reaction = self.stage.answer(self.now, to, mid, leader, &response);
                self.dispatch(reaction.again);
            }
            None => {}
        }
    }

    /// Whether what has arrived for a replica gets through to it.
    #[inline]
    fn reaches(&mut self, to: ReplicaId, input: &Input<P::Message>) -> bool {
        if !self.stage.director.living().contains(to) {
            self.record(&Event::Lost { to });
            return false;
        }
        match input {
            &Input::Peer { from, ref message } if self.stage.admits(self.now, from, to) => {
                self.record(&Event::Delivered { from, to, message });
            }
            &Input::Peer { from, ref message } => {
                self.record(&Event::Dropped { from, to, message });
                return false;
            }
            &Input::Client { from, ref request } => self.record(&Event::Requested { from, to, request }),
            Input::Timeout => {}
        }
        true
    }

    /// Hands one input to a replica and carries out what it leaves; again with a timeout as long as it wants one now.
    fn handle(&mut self, id: ReplicaId, input: Input<P::Message>) {
        let replica = &mut self.replicas[id.index()];
        replica.handle(self.now, input, &mut self.outbox);
        let mut timeouts = 0;
        let deadline = loop {
            let deadline = replica.poll_timeout();
            if deadline > self.now {
                break deadline;
            }
            timeouts += 1;
            assert!(timeouts <= IMMEDIATE_TIMEOUTS_MAX, "replica {id} asks for timeouts at {} without end", self.now);
            replica.handle(self.now, Input::Timeout, &mut self.outbox);
        };
        self.wakeups.set(id, deadline);
        if !self.outbox.is_empty() {
            self.carry_out(id);
        }
        let scene = Scene { now: self.now, replicas: &self.replicas, director: &self.stage.director };
        self.observer.handled(&scene, id);
    }

    /// Carries out what a replica has left in the outbox.
    fn carry_out(&mut self, from: ReplicaId) {
        let leader = self.replicas[from.index()].leader();
        let exists = leader.is_none_or(|leader| leader.index() < self.replicas.len());
        assert!(exists, "replica {from} believes in a leader that does not exist");
        self.stage.observe_leader(self.now, from, leader);
        for effect in self.outbox.drain() {
            match effect {
                Effect::Send { to, message } => {
                    assert!(to.index() < self.replicas.len(), "replica {from} sends to {to}, which does not exist");
                    self.stage.sent += 1;
                    self.observer.sent(from, to, &message);
                    let arrival = self.transport.arrival(self.now, Route::Peer { from, to });
                    self.queue.push(arrival, Arrival::Replica { to, input: Input::Peer { from, message } });
                }
                Effect::Reply { to, mid, response } => {
                    let arrival = self.transport.arrival(self.now, Route::Answer { from, to });
                    self.queue.push(arrival, Arrival::Client { from, to, mid, leader, response });
                }
            }
        }
    }

    /// Sends a client's request, if there is one.
    fn dispatch(&mut self, dispatch: Option<Dispatch>) {
        if let Some(Dispatch { from, to, request, .. }) = dispatch {
            let arrival = self.transport.arrival(self.now, Route::Request { from, to });
            self.queue.push(arrival, Arrival::Replica { to, input: Input::Client { from, request } });
        }
    }
}
