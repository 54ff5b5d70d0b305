//! The course's LAN in virtual time: stations, clients and faults on a virtual clock.
//!
//! A run is a pure function of the program, the scenario and the seed, as in the virtual world
//! ([`simulation`](crate::world::simulation)). Events of one time happen in the same order: faults of the scenario,
//! arrivals in order of sending, the clients' next request, timeouts of stations in order of their numbers. Datagrams take
//! as long as messages do there, by the same draws: each has its turn at the course's router, or its own delay. What the
//! stations send is read, counted and judged by the rules of the [LAN](super).
//!
//! There are three differences to the virtual world. A station can be reached from its `hello` on, not before. A damaged
//! message is handed to it, whatever it makes of the bytes. And the trace has what programs send, print and are
//! complained about, but none of their timeouts: a program has one for every system call.

use std::convert::Infallible;

use super::routed::{Answer, Fate, Recipients, Routed};
use super::{Inspector, Lan, Station};
use crate::chaos::{Act, Director, Fault};
use crate::engine::{Ahead, Carrier, Due, Engine, State};
use crate::id::ReplicaId;
use crate::machine::{Boot, Emission, Exit, Input};
use crate::printable::printable;
use crate::record::{Complaint, Event, Observer, Obstacle, RunRecord, Scene, Trace, World};
use crate::scenario::Scenario;
use crate::time::Time;
use crate::workload::Dispatch;
use crate::world::quiet::note_panic;
use crate::world::quota::Quota;
use crate::world::{Route, Run, Transport};

/// Plays a scenario from beginning to end. `build` makes each station, at its first start and after each crash.
///
/// # Panics
/// As [`LanSimulation::new`] and [`LanSimulation::step`].
pub fn simulate_stations<M: Station, O: Observer<M>>(
    scenario: &Scenario,
    seed: u64,
    observer: O,
    build: impl FnMut(Boot<Infallible>) -> Result<M, Exit>,
) -> RunRecord {
    let mut simulation = LanSimulation::new(scenario, seed, observer, build);
    while simulation.step() {}
    simulation.finish()
}

/// A run in progress. [`simulate_stations`] is the short way to a finished one.
#[derive(Debug)]
pub struct LanSimulation<'a, M: Station, O = ()> {
    lan: Lan<'a>,
    observer: O,
    engine: Engine<'a, M, Arrival>,
    transport: Transport,
    trace: Trace,
    outgoing: Outgoing,
    found: Found,
    /// Room for the lines that a station has printed.
    lines: Vec<String>,
    complaints: Vec<Complaint>,
    obstacle: Option<Obstacle>,
    unfaithful: Vec<Obstacle>,
}

/// Something that arrives, other than a message from station to station.
#[derive(Debug)]
enum Arrival {
    /// At the station.
    Request(Dispatch),
    /// At the client.
    Answer(Answer),
}

/// The datagrams that a station has sent with one input, in order.
#[derive(Debug, Default)]
struct Outgoing(Vec<Box<[u8]>>);

impl<M: Station, E> Carrier<M, E> for Outgoing {
    fn carry(&mut self, _: Time, _: ReplicaId, emission: Emission<M>, _: &mut Ahead<M, E>) {
        match emission {
            Emission::Send { message, .. } => self.0.push(message),
            Emission::Reply { response, .. } => match response {},
        }
    }
}

/// The complaints of the LAN that are not in the trace yet.
#[derive(Debug)]
struct Found {
    quota: Quota,
    fresh: Vec<(ReplicaId, String)>,
}

impl Inspector for Found {
    fn complain(&mut self, _: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        let Found { quota, fresh } = self;
        quota.pass(about, what, |what| fresh.push((about, what)));
    }

    fn report_death(&mut self, _: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        self.fresh.push((about, what()));
    }
}

/// Reports the state of a run when it panicked, so that a panic never comes without its seed.
impl<M: Station, O> Drop for LanSimulation<'_, M, O> {
    fn drop(&mut self) {
        note_panic(self.lan.stage.scenario, self.lan.stage.seed, self.engine.now());
    }
}

impl<'a, M: Station, O: Observer<M>> LanSimulation<'a, M, O> {
    /// A run at its start. `build` makes each station, at its first start and after each crash. Pass an observer as `&mut`
    /// to use it after the run.
    ///
    /// # Panics
    /// If the scenario has something that cannot be played on a LAN ([`Scenario::unplayable`]), or if a station refuses
    /// its first start.
    pub fn new(
        scenario: &'a Scenario,
        seed: u64,
        observer: O,
        build: impl FnMut(Boot<Infallible>) -> Result<M, Exit> + 'a,
    ) -> LanSimulation<'a, M, O> {
        if let Some(what) = scenario.unplayable(World::Lan) {
            panic!("{}: {what}", scenario.name);
        }
        LanSimulation {
            lan: Lan::with_usual_bounds(scenario, seed),
            observer,
            engine: Engine::booting(scenario.replicas, seed, None, build),
            transport: Transport::new(scenario, seed),
            trace: Trace::new(),
            outgoing: Outgoing::default(),
            found: Found { quota: Quota::new(scenario.replicas), fresh: Vec::new() },
            lines: Vec::new(),
            complaints: Vec::new(),
            obstacle: None,
            unfaithful: Vec::new(),
        }
    }

    /// Makes the next event happen. False if there is no event before the run's end, or the run was stopped.
    ///
    /// # Panics
    /// If a station panics, or asks for timeouts without end while time stands still.
    pub fn step(&mut self) -> bool {
        let fault = self.lan.stage.next_fault();
        let arrival = self.engine.next_arrival();
        let request = self.lan.stage.workload.poll_due();
        let next = fault.min(arrival).min(request).min(self.engine.next_timeout());
        if next > self.lan.stage.scenario.end() || self.is_cut_short() {
            return false;
        }
        // A deadline in the past is due now. Such a station wants to be called at its start, or was paused.
        self.engine.advance(next);
        if fault <= self.engine.now() {
            self.inject();
        } else if arrival == next {
            self.arrive();
        } else if request == next {
            let dispatch = self.lan.stage.workload.handle_due(self.engine.now(), self.lan.stage.director.living());
            self.note_silence();
            self.send_request(dispatch);
        } else {
            self.handle(self.engine.next_to_time_out(), Input::Timeout);
        }
        true
    }

    /// Ends the run and returns its record.
    pub fn finish(mut self) -> RunRecord {
        let end = if self.is_cut_short() { self.engine.now() } else { self.lan.stage.scenario.end() };
        let record = self.lan.stage.finish(World::Lan, end, self.trace.events(), Some(self.trace.hash()));
        let (complaints, obstacle) = (std::mem::take(&mut self.complaints), self.obstacle.take());
        RunRecord { complaints, obstacle, unfaithful: std::mem::take(&mut self.unfaithful), ..record }
    }

    /// The time of the newest event.
    pub fn now(&self) -> Time {
        self.engine.now()
    }

    /// The stations; a station that is down is in the state in which it ended.
    pub fn stations(&self) -> &[M] {
        self.engine.machines()
    }

    /// The living replicas, the observed leader, and which replicas can hear each other.
    pub fn director(&self) -> &Director {
        &self.lan.stage.director
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.trace.events()
    }

    /// Whether the run does not reach its end.
    fn is_cut_short(&self) -> bool {
        self.obstacle.is_some() || self.lan.stage.is_storm() || self.lan.stage.is_deserted()
    }

    #[inline]
    fn record(&mut self, event: &Event<'_, Box<[u8]>>) {
        self.trace.record(self.engine.now(), event);
        self.observer.event(&scene(&self.engine, &self.lan), event);
    }

    /// Puts what the LAN has found wrong into the trace and the record.
    #[inline]
    fn tell(&mut self) {
        if !self.found.fresh.is_empty() {
            self.tell_all();
        }
    }

    #[cold]
    fn tell_all(&mut self) {
        let time = self.engine.now();
        for (replica, what) in std::mem::take(&mut self.found.fresh) {
            self.record(&Event::Complained { replica, what: &what });
            self.complaints.push(Complaint { time, replica, what });
        }
    }

    /// Notes which stations should have said hello by now.
    fn note_silence(&mut self) {
        self.lan.note_silence(self.engine.now(), &mut self.found);
        self.tell();
    }

    /// Injects the next fault of the scenario.
    #[cold]
    fn inject(&mut self) {
        self.note_silence();
        let (event, consequence) = self.lan.stage.inject(self.engine.now());
        self.record(&Event::Struck { event, consequence });
        match &self.lan.stage.scenario.events[event].fault {
            Fault::Duplicate(share) => self.transport.set_duplicate(*share),
            &Fault::DelayLink { from, to, delay } => self.transport.set_delay(from, to, delay),
            fault => {
                if let Some(act) = fault.act() {
                    consequence.hit.iter().for_each(|replica| self.act(replica, act));
                }
            }
        }
    }

    /// Carries an act out on a station's host.
    #[cold]
    fn act(&mut self, replica: ReplicaId, act: Act) {
        self.lan.note_act(self.engine.now(), replica, act);
        match act {
            Act::Kill => self.power_off(replica),
            Act::Crash => {
                let failure = self.engine.fail_power(replica);
                self.power_off(replica);
                self.record(&Event::Crashed { replica, failure });
            }
            Act::Restart { wipe } => self.restart(replica, wipe),
            Act::Pause => self.engine.pause(replica),
            Act::Resume => self.engine.resume(replica),
            Act::Clock { rate, jump } => self.engine.set_clock(replica, rate, jump),
            Act::SlowDisk { .. }
            | Act::FullDisk
            | Act::CorruptDisk
            | Act::LyingDisk
            | Act::MendDisk
            | Act::StepDown => {
                unreachable!("{} is refused before the run", act.name())
            }
        }
    }

    /// Nothing of a station runs any longer.
    fn power_off(&mut self, replica: ReplicaId) {
        self.engine.fail_power(replica);
        self.engine.machine_mut(replica).power_off();
    }

    #[cold]
    fn restart(&mut self, replica: ReplicaId, wiped: bool) {
        match self.engine.restart(replica) {
            Ok(()) => self.record(&Event::Started { replica, wiped }),
            Err(why) => {
                self.record(&Event::Ended { replica, why: &why });
                self.found
                    .complain(self.engine.now(), replica, &|| format!("did not start again ({})", printable(&why.0)));
                self.tell();
                self.lan.note_end(self.engine.now(), replica);
            }
        }
    }

    /// The first thing under way arrives.
    fn arrive(&mut self) {
        match self.engine.take_arrival() {
            Some(Due::Input { to, input: Input::Peer { from, message } }) => self.deliver(from, to, message),
            Some(Due::Event(Arrival::Request(dispatch))) => {
                if self.engine.conditions()[dispatch.to.index()].state == State::Paused {
                    self.engine.park_event(dispatch.to, Arrival::Request(dispatch));
                } else {
                    self.deliver_request(&dispatch);
                }
            }
            Some(Due::Event(Arrival::Answer(answer))) => self.take_answer(&answer),
            // A paused station's message waits. Stations have no disks, and hear of clients by datagrams only.
            Some(Due::Input { .. } | Due::Synced { .. }) | None => {}
        }
    }

    /// A message of a station has arrived at another one, which is not paused.
    fn deliver(&mut self, from: ReplicaId, to: ReplicaId, mut message: Box<[u8]>) {
        let fate = self.lan.fate(self.engine.now(), from, to, &mut self.found);
        self.tell();
        match fate {
            Fate::Lost => return self.record(&Event::Lost { to }),
            Fate::Dropped => return self.record(&Event::Dropped { from, to, message: &message }),
            Fate::Damaged(flip) => {
                self.record(&Event::Damaged { from, to, message: &message });
                flip.apply(&mut message);
            }
            Fate::Delivered => self.record(&Event::Delivered { from, to, message: &message }),
        }
        self.hand_in(to, message);
    }

    /// A client's request has arrived at a station, which is not paused.
    fn deliver_request(&mut self, dispatch: &Dispatch) {
        let is_admitted = self.lan.admits_request(self.engine.now(), dispatch, &mut self.found);
        self.tell();
        let &Dispatch { from, to, mid, operation: ref request, .. } = dispatch;
        if !is_admitted {
            return self.record(&Event::Lost { to });
        }
        self.record(&Event::Requested { from, to, mid, request });
        let datagrams: Vec<Box<[u8]>> = self.lan.encode(dispatch).iter().map(Box::from).collect();
        for bytes in datagrams {
            self.hand_in(to, bytes);
        }
    }

    /// An answer has arrived at its client.
    fn take_answer(&mut self, answer: &Answer) {
        let &Answer { from, to, mid, leader, ref response, .. } = answer;
        self.record(&Event::Answered { from, to, mid, leader, response });
        let again = self.lan.take_answer(self.engine.now(), answer, &mut self.found);
        self.tell();
        self.send_request(again);
    }

    /// Sends a client's request, if there is one.
    fn send_request(&mut self, dispatch: Option<Dispatch>) {
        if let Some(dispatch) = dispatch {
            let route = Route::Request { from: dispatch.from, to: dispatch.to };
            let arrival = self.transport.arrival(self.engine.now(), route);
            self.engine.ahead().event(arrival, Arrival::Request(dispatch));
        }
    }

    /// Hands a datagram to a station. Its own place stands for the router.
    fn hand_in(&mut self, to: ReplicaId, message: Box<[u8]>) {
        self.handle(to, Input::Peer { from: to, message });
    }

    /// Hands one input to a station, and carries out its effects.
    fn handle(&mut self, id: ReplicaId, input: Input<M>) {
        let exit = self.engine.handle(id, input, &mut self.outgoing);
        let mut outgoing = std::mem::take(&mut self.outgoing.0);
        for bytes in outgoing.drain(..) {
            self.send(id, bytes);
        }
        self.outgoing.0 = outgoing;
        self.print(id);
        if let Some(why) = exit {
            self.end(id, &why);
        }
        let time = self.engine.now();
        let obstacle = self.engine.machines()[id.index()].obstacle();
        self.obstacle = obstacle.map(|what| Obstacle { time, replica: id, what: printable(&what) });
        self.observer.handled(&scene(&self.engine, &self.lan), id);
    }

    /// A station has sent a datagram.
    fn send(&mut self, from: ReplicaId, bytes: Box<[u8]>) {
        let now = self.engine.now();
        self.record(&Event::Sent { from, message: &bytes });
        let mut rewritten = String::new();
        let routed = self.lan.route(now, from, &bytes, &mut rewritten, &mut self.found);
        match routed {
            Routed::Nowhere | Routed::Hello => self.tell(),
            Routed::Closed => {
                self.tell();
                self.power_off(from);
            }
            Routed::Message { to, leader, .. } => {
                self.tell();
                self.lan.stage.observe_leader(now, from, leader);
                self.post(from, to, bytes);
            }
            Routed::Answer(answer) => {
                self.tell();
                self.lan.stage.observe_leader(now, from, answer.leader);
                let arrival = self.transport.arrival(now, Route::Answer { from, to: answer.to });
                self.engine.ahead().event(arrival, Arrival::Answer(answer));
            }
        }
    }

    /// Sends a message on its way to other stations.
    fn post(&mut self, from: ReplicaId, recipients: Recipients, bytes: Box<[u8]>) {
        match recipients {
            Recipients::One(to) => self.post_one(from, to, bytes),
            Recipients::Others => {
                for to in recipients.replicas(from, self.lan.replicas()) {
                    self.post_one(from, to, bytes.clone());
                }
            }
        }
    }

    fn post_one(&mut self, from: ReplicaId, to: ReplicaId, message: Box<[u8]>) {
        let now = self.engine.now();
        self.observer.sent(from, to, &message);
        let arrival = self.transport.arrival(now, Route::Peer { from, to });
        if let Some(second) = self.transport.second_arrival(now, from, to) {
            self.engine.ahead().input(second, to, Input::Peer { from, message: message.clone() });
        }
        self.engine.ahead().input(arrival, to, Input::Peer { from, message });
    }

    /// Puts what a station has printed into the trace, and what else it has to tell.
    #[inline]
    fn print(&mut self, replica: ReplicaId) {
        let mut lines = std::mem::take(&mut self.lines);
        self.engine.machine_mut(replica).called(&mut |line| lines.push(line.to_owned()));
        for call in lines.drain(..) {
            // With calls and without, the run is the same one.
            self.observer.event(&scene(&self.engine, &self.lan), &Event::Called { replica, call: &call });
        }
        self.engine.machine_mut(replica).printed(&mut |line| lines.push(line.to_owned()));
        for line in lines.drain(..) {
            self.record(&Event::Printed { replica, line: &line });
        }
        self.engine.machine_mut(replica).unfaithful(&mut |what| lines.push(printable(what)));
        for what in lines.drain(..) {
            self.record(&Event::Complained { replica, what: &format!("did what cannot be simulated: {what}") });
            self.unfaithful.push(Obstacle { time: self.engine.now(), replica, what });
        }
        self.lines = lines;
    }

    /// A station has ended by itself.
    #[cold]
    fn end(&mut self, replica: ReplicaId, why: &Exit) {
        self.power_off(replica);
        self.record(&Event::Ended { replica, why });
        self.found.complain(self.engine.now(), replica, &|| format!("quit unexpectedly ({})", printable(&why.0)));
        self.tell();
        self.lan.note_end(self.engine.now(), replica);
    }
}

impl<M: Station, O: Observer<M>> Run<M> for LanSimulation<'_, M, O> {
    fn step(&mut self) -> bool {
        LanSimulation::step(self)
    }

    fn finish(self) -> RunRecord {
        LanSimulation::finish(self)
    }

    fn replicas(&self) -> &[M] {
        self.stations()
    }

    fn director(&self) -> &Director {
        LanSimulation::director(self)
    }
}

#[inline]
fn scene<'s, M: Station>(engine: &'s Engine<'_, M, Arrival>, lan: &'s Lan<'_>) -> Scene<'s, M> {
    let (now, director) = (engine.now(), &lan.stage.director);
    Scene { now, replicas: engine.machines(), conditions: engine.conditions(), director }
}

#[cfg(test)]
mod tests;
