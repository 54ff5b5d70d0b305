//! The course's LAN without I/O: which replicas can be reached, which datagrams are malformed or lost, and the clients'
//! requests and answers.
//!
//! A [`Lan`] takes datagrams of replicas as bytes, with their arrival times, and sends datagrams through [`Wires`]. The
//! live world puts sockets and processes under it. [`virtual_time`] puts machines in memory under it, on a virtual clock.
//! So the rules are the same in both. They are those of the course's runner (version 2, read and run), where the handout
//! is silent:
//!
//! - A replica can be reached from its first `hello` on. If a client or another replica sends it a message before that,
//!   it counts as died, although it keeps running and hears its peers later.
//! - An empty datagram, or bytes that are not UTF-8, close the replica that sent them. It counts as died.
//! - JSON is read as Python reads it ([`Datagram::parse_as_python`]). A datagram is incorrect if it is not an object
//!   with `src`, `dst`, `leader` and `type`, or if an address is not four hexadecimal digits. So is an unknown
//!   destination.
//! - `dst` is compared as a string, so it must be in upper case. `src` is not compared with the replica that sent the
//!   datagram.
//! - After a crash a replica is no longer heard, not even its earlier messages, and messages to it are lost. After a
//!   restart it gets no messages until it sends `hello` again. Messages to it before that are lost, too, and do not
//!   count it as died: the course's runner never restarts a replica, and has no rule for this.
//! - Clients' messages always get through. Messages between replicas are counted when they are sent. They pass the
//!   chaos monkey when they arrive.
//! - A message that the scenario damages is delivered with one bit flipped, anywhere in it. It counts as dropped,
//!   although a program may read it. The runner damages nothing.
//!
//! A datagram has two stages. It is *routed* when it is sent: read, counted, and given its destination. Later it
//! *arrives*: the chaos monkey, the receiver's state and damage decide what becomes of it. In the live world both are at
//! the same time, because sockets have delays of their own. In virtual time the scenario's network lies between the two.

mod outlets;
mod routed;
mod station;
pub mod virtual_time;

pub use outlets::{Inspector, Wires};
pub use station::Station;

use super::stage::Stage;
use crate::chaos::{Act, Rulebook};
use crate::engine::PowerFailure;
use crate::id::{ClientId, ReplicaId, ReplicaSet};
use crate::printable::Excerpt;
use crate::record::{Event, RunRecord, World};
use crate::rng::Stream;
use crate::scenario::Scenario;
use crate::service::Response;
use crate::time::{Span, Time};
use crate::wire::{Address, Datagram, Datagrams, Envelope, kind};
use crate::workload::{CLIENTS, Dispatch, Incorrect, Reaction};
use routed::{Answer, Fate, Nonsense, Recipients, Routed};

/// In real time, a run is cut short after this many messages of clients: a bound for memory (0.7 GB). Real routers and
/// replicas take time for each, so no run is known to reach the bound.
const ATTEMPTS_MAX: u64 = 5_000_000;

/// The shortest time after which there is a complaint that a restarted replica has not sent `hello`.
const HELLO_PATIENCE_MIN: Span = Span::from_secs(1);

/// A run on the course's LAN, apart from its replicas, its sockets and its clock.
#[derive(Debug)]
pub struct Lan<'a> {
    stage: Stage<'a>,
    ports: Vec<Port>,
    /// The replicas that do not run. One that only counts as died still runs.
    gone: ReplicaSet,
    requests: Datagrams,
    routed: u64,
}

/// One replica's connection to the LAN.
#[derive(Clone, Copy, Debug, Default)]
struct Port {
    /// It has sent hello since it was started.
    reachable: bool,
    /// Messages to it before its hello are lost, without counting it as died: it was restarted, or was paused.
    excused: bool,
    /// When its hello is late.
    hello_due: Time,
    /// Whether there was a complaint that it has not sent hello.
    silence_told: bool,
    /// Whether there was a complaint that its `src` is not its own.
    src_told: bool,
    /// Whether there was a complaint that its JSON is not strict.
    json_told: bool,
    /// Whether there was a complaint that it names a leader that does not exist.
    leader_told: bool,
}

impl<'a> Lan<'a> {
    /// The LAN before a run in real time. All replicas are about to start.
    pub fn new(scenario: &'a Scenario, seed: u64) -> Lan<'a> {
        let mut lan = Lan::with_usual_bounds(scenario, seed);
        lan.stage.workload.allow_attempts(ATTEMPTS_MAX);
        lan
    }

    /// As [`Lan::new`], but clients may send only as many messages as in the virtual world.
    fn with_usual_bounds(scenario: &'a Scenario, seed: u64) -> Lan<'a> {
        Lan {
            stage: Stage::new(scenario, seed),
            ports: vec![Port { hello_due: scenario.start(), ..Port::default() }; scenario.replicas],
            gone: ReplicaSet::EMPTY,
            requests: Datagrams::new(),
            routed: 0,
        }
    }

    /// When the next thing is due: a fault, a request, or the end.
    pub fn poll_due(&self) -> Time {
        self.stage.next_due()
    }

    /// Does everything that is due.
    pub fn handle_due(&mut self, now: Time, wires: &mut impl Wires) {
        while self.stage.next_fault() <= now {
            let (event, consequence) = self.stage.inject(now);
            wires.witness(now, &Event::Struck { event, consequence });
            if let Some(act) = self.stage.scenario.events[event].fault.act() {
                consequence.hit.iter().for_each(|replica| self.act(now, replica, act, wires));
            }
        }
        while let Some(dispatch) = self.stage.workload.handle_due(now, self.stage.director.living()) {
            self.send_request(now, &dispatch, wires);
        }
    }

    /// Takes a datagram that a replica has sent. It arrives at once.
    pub fn handle_datagram(&mut self, now: Time, from: ReplicaId, bytes: &[u8], wires: &mut impl Wires) {
        let mut rewritten = String::new();
        match self.route(now, from, bytes, &mut rewritten, wires) {
            Routed::Nowhere => {}
            Routed::Hello => wires.connect(from),
            Routed::Closed => wires.act(now, from, Act::Kill),
            Routed::Message { to, leader, text } => {
                for to in to.replicas(from, self.ports.len()) {
                    self.deliver(now, from, to, (bytes, text), wires);
                }
                self.stage.observe_leader(now, from, leader);
            }
            Routed::Answer(answer) => {
                let Answer { to, mid, leader, ref response, .. } = answer;
                wires.witness(now, &Event::Answered { from, to, mid, leader, response });
                if let Some(dispatch) = self.take_answer(now, &answer, wires) {
                    self.send_request(now, &dispatch, wires);
                }
                self.stage.observe_leader(now, from, leader);
            }
        }
    }

    /// A replica has ended by itself.
    pub fn note_end(&mut self, now: Time, replica: ReplicaId) {
        self.gone.insert(replica);
        if self.stage.director.living().contains(replica) {
            self.stage.mark_dead(now, replica);
        }
    }

    /// Whether all replicas that run have sent hello.
    pub fn all_have_said_hello(&self) -> bool {
        ReplicaId::all(self.ports.len()).zip(&self.ports).all(|(id, port)| port.reachable || self.gone.contains(id))
    }

    /// Complains about replicas that have not sent hello when clients begin, or an equal time after their restart.
    pub fn note_silence(&mut self, now: Time, inspector: &mut impl Inspector) {
        let hosts = self.stage.director.hosts();
        let expected = hosts.living.minus(hosts.paused);
        for (replica, port) in ReplicaId::all(self.ports.len()).zip(&mut self.ports) {
            let is_late = !port.reachable && now >= port.hello_due;
            if is_late && !port.silence_told && expected.contains(replica) {
                port.silence_told = true;
                let what = if port.excused { "is lost" } else { "counts it as died" };
                inspector.complain(now, replica, &|| {
                    format!("has not said hello yet: whatever is sent to it before {what}")
                });
            }
        }
    }

    /// Whether the run is over: at its end, cut short, or without replicas that count as living.
    pub fn is_over(&self, now: Time) -> bool {
        self.stage.is_over(now)
    }

    /// Notes that the driver is late by this much. The record has the longest delay.
    pub fn note_lag(&mut self, lag: Span) {
        self.stage.lag = self.stage.lag.max(lag);
    }

    /// Ends the run and returns its record.
    pub fn finish(&mut self, world: World, now: Time) -> RunRecord {
        self.stage.finish(world, now, self.routed, None)
    }

    /// The rules that the run follows.
    pub fn rules(&self) -> Rulebook {
        self.stage.scenario.rules
    }

    /// How many replicas there are.
    pub fn replicas(&self) -> usize {
        self.ports.len()
    }

    /// Carries a fault out on a replica. The stage has noted it already.
    fn act(&mut self, now: Time, replica: ReplicaId, act: Act, wires: &mut impl Wires) {
        self.note_act(now, replica, act);
        match act {
            // The operating system keeps running, and has everything that was written.
            Act::Crash => wires.witness(now, &Event::Crashed { replica, failure: PowerFailure::default() }),
            Act::Restart { wipe } => wires.witness(now, &Event::Started { replica, wiped: wipe }),
            _ => {}
        }
        wires.act(now, replica, act);
    }

    /// Records how an act changes who can be reached.
    fn note_act(&mut self, now: Time, replica: ReplicaId, act: Act) {
        let port = &mut self.ports[replica.index()];
        let hello_due = now + self.stage.scenario.wait().max(HELLO_PATIENCE_MIN);
        match act {
            Act::Kill | Act::Crash => self.gone.insert(replica),
            Act::Restart { .. } => {
                self.gone.remove(replica);
                self.stage.note_starting(replica);
                *port = Port { reachable: false, excused: true, hello_due, silence_told: false, ..*port };
            }
            Act::Pause | Act::Resume if !port.reachable => (port.excused, port.hello_due) = (true, hello_due),
            _ => {}
        }
    }

    /// Routes a datagram that a replica has sent: reads it as the course's runner does, counts it, and says where it goes.
    /// `rewritten` has room for the datagram as strict JSON. The leader that it names is for the caller to record.
    fn route<'d>(
        &mut self,
        now: Time,
        from: ReplicaId,
        bytes: &'d [u8],
        rewritten: &'d mut String,
        inspector: &mut impl Inspector,
    ) -> Routed<'d> {
        // A datagram that arrives after the replica's end was sent before it, or should not exist.
        if self.gone.contains(from) {
            return Routed::Nowhere;
        }
        self.routed += 1;
        if bytes.is_empty() || std::str::from_utf8(bytes).is_err() {
            self.close(now, from, bytes, inspector);
            return Routed::Closed;
        }
        self.read(now, from, bytes, rewritten, inspector).unwrap_or_else(|nonsense| {
            self.stage.malformed += 1;
            inspector.complain(now, from, &|| format!("{nonsense}: {}", Excerpt(bytes)));
            Routed::Nowhere
        })
    }

    /// The course's runner shuts a replica down whose datagram it cannot decode.
    fn close(&mut self, now: Time, from: ReplicaId, bytes: &[u8], inspector: &mut impl Inspector) {
        inspector.report_death(now, from, &|| match bytes {
            [] => "sent an empty datagram: the course's runner closes such a replica, and it counts as died".to_owned(),
            _ => format!(
                "sent bytes that are not UTF-8: the course's runner closes such a replica, and it counts as died: {}",
                Excerpt(bytes)
            ),
        });
        self.note_end(now, from);
    }

    fn read<'d>(
        &mut self,
        now: Time,
        from: ReplicaId,
        bytes: &'d [u8],
        rewritten: &'d mut String,
        inspector: &mut impl Inspector,
    ) -> Result<Routed<'d>, Nonsense> {
        let (datagram, oddity) = Datagram::parse_as_python(bytes, rewritten)?;
        let port = &mut self.ports[from.index()];
        if let Some(oddity) = oddity
            && !std::mem::replace(&mut port.json_told, true)
        {
            inspector
                .complain(now, from, &|| format!("sends JSON that only Python accepts ({oddity}): {}", Excerpt(bytes)));
        }
        if datagram.src != address(from) && !std::mem::replace(&mut port.src_told, true) {
            inspector.complain(now, from, &|| {
                format!(
                    "sends a src that is not its own, which the course's runner does not notice: {}",
                    Excerpt(bytes)
                )
            });
        }
        if datagram.kind == kind::HELLO {
            self.greet(now, from, inspector);
            return Ok(Routed::Hello);
        }
        let leader = self.replica(datagram.leader);
        let is_odd = leader.is_none() && datagram.leader != Address::BROADCAST;
        if is_odd && !std::mem::replace(&mut self.ports[from.index()].leader_told, true) {
            inspector.complain(now, from, &|| format!("believes in a leader that does not exist: {}", Excerpt(bytes)));
        }
        if !datagram.has_upper_case_dst() {
            return Err(Nonsense::LowerCase);
        }
        let client = ClientId(datagram.dst.0);
        let to = if datagram.dst == Address::BROADCAST {
            self.stage.sent += self.ports.len() as u64 - 1;
            Recipients::Others
        } else if let Some(to) = self.replica(datagram.dst) {
            self.stage.sent += 1;
            Recipients::One(to)
        } else if client.number(self.ports.len()).is_some_and(|number| number < CLIENTS) {
            return Answer::read(from, client, leader, &datagram).map(Routed::Answer);
        } else {
            return Err(Nonsense::UnknownDestination);
        };
        Ok(Routed::Message { to, leader, text: datagram.text() })
    }

    fn greet(&mut self, now: Time, from: ReplicaId, inspector: &mut impl Inspector) {
        let port = &mut self.ports[from.index()];
        if !std::mem::replace(&mut port.reachable, true) {
            if port.excused {
                // If it was restarted, its outage is over.
                self.stage.note_up(now, from);
            }
            if port.silence_told {
                inspector.complain(now, from, &|| "has said hello after all".to_owned());
            }
        }
    }

    /// The replica with this address.
    fn replica(&self, address: Address) -> Option<ReplicaId> {
        let place = u8::try_from(address.0).ok().filter(|&place| usize::from(place) < self.ports.len());
        place.map(ReplicaId)
    }

    /// A message from one replica has arrived at another: its bytes, and the same as strict JSON.
    fn deliver(
        &mut self,
        now: Time,
        from: ReplicaId,
        to: ReplicaId,
        (bytes, text): (&[u8], &str),
        wires: &mut impl Wires,
    ) {
        match self.fate(now, from, to, wires) {
            Fate::Lost => wires.witness(now, &Event::Lost { to }),
            Fate::Dropped => wires.witness(now, &Event::Dropped { from, to, message: &text }),
            Fate::Damaged(flip) => {
                wires.witness(now, &Event::Damaged { from, to, message: &text });
                let mut damaged = bytes.to_vec();
                flip.apply(&mut damaged);
                wires.send(now, to, &damaged);
            }
            Fate::Delivered => {
                wires.witness(now, &Event::Delivered { from, to, message: &text });
                wires.send(now, to, bytes);
            }
        }
    }

    /// What becomes of a message that has arrived.
    fn fate(&mut self, now: Time, from: ReplicaId, to: ReplicaId, inspector: &mut impl Inspector) -> Fate {
        if self.is_away(to) {
            return Fate::Lost;
        }
        // First the chaos monkey: a message that is dropped does not reach a replica before its hello either.
        let admitted = self.stage.admits(now, from, to);
        let flip = self.stage.director.damages(from, to);
        if !admitted {
            Fate::Dropped
        } else if !self.is_up(now, to, &|| format!("a message of replica {from}"), inspector) {
            Fate::Lost
        } else if let Some(flip) = flip {
            self.stage.dropped += 1;
            Fate::Damaged(flip)
        } else {
            Fate::Delivered
        }
    }

    /// Whether a replica gets no messages now: it does not run, or has not sent hello again.
    fn is_away(&self, replica: ReplicaId) -> bool {
        let port = &self.ports[replica.index()];
        self.gone.contains(replica) || (port.excused && !port.reachable)
    }

    /// Whether a replica gets messages now. One that has not sent hello counts as died from then on.
    fn is_up(&mut self, now: Time, to: ReplicaId, what: &dyn Fn() -> String, inspector: &mut impl Inspector) -> bool {
        if self.is_away(to) {
            return false;
        }
        if !self.ports[to.index()].reachable {
            if self.stage.director.living().contains(to) {
                inspector.report_death(now, to, &|| {
                    format!(
                        "was sent {} before it said hello: the course's runner takes it off the list of living \
                         replicas, and it counts as died",
                        what()
                    )
                });
                self.stage.mark_dead(now, to);
            }
            return false;
        }
        true
    }

    /// An answer has arrived at its client. Returns the client's next attempt, if it asks again.
    fn take_answer(&mut self, now: Time, answer: &Answer, inspector: &mut impl Inspector) -> Option<Dispatch> {
        let Answer { from, to, mid, leader, ref response, ref text } = *answer;
        let Reaction { again, incorrect } = self.stage.answer(now, to, mid, leader, response);
        let is_counted = incorrect != Some(Incorrect::Unacknowledged) || self.stage.scenario.is_of_course();
        if let Some(incorrect) = incorrect.filter(|_| is_counted) {
            inspector.complain(now, from, &|| {
                let mid = Excerpt(text.as_bytes());
                let value = match response {
                    Response::Ok { value: Some(value) } => format!(", value {}", Excerpt(value.as_bytes())),
                    Response::Ok { value: None } => ", no value".to_owned(),
                    Response::Fail | Response::Redirect | Response::Outdated => String::new(),
                };
                format!("incorrect answer to client {to}, MID {mid}{value}: {incorrect}")
            });
        }
        again
    }

    fn send_request(&mut self, now: Time, dispatch: &Dispatch, wires: &mut impl Wires) {
        let &Dispatch { from, to, mid, operation: ref request, .. } = dispatch;
        if !self.admits_request(now, dispatch, wires) {
            return wires.witness(now, &Event::Lost { to });
        }
        wires.witness(now, &Event::Requested { from, to, mid, request });
        for bytes in self.encode(dispatch).iter() {
            wires.send(now, to, bytes);
        }
    }

    /// Whether a request that has arrived gets through to its replica.
    fn admits_request(&mut self, now: Time, dispatch: &Dispatch, inspector: &mut impl Inspector) -> bool {
        self.is_up(now, dispatch.to, &|| format!("a request of client {}", dispatch.from), inspector)
    }

    /// A request as its replica gets it.
    fn encode(&mut self, dispatch: &Dispatch) -> &Datagrams {
        let Dispatch { from, to, leader, mid, operation } = dispatch;
        let mid = mid.to_string();
        let leader = leader.map_or(Address::BROADCAST, address);
        let envelope = Envelope { src: Address(from.0), dst: address(*to), leader, mid: &mid };
        self.requests.clear();
        self.requests.push_operation(&envelope, operation);
        &self.requests
    }
}

/// What the handout starts a replica with: the port of the router, its own address, and those of the others in random order.
pub fn command_line(seed: u64, own: ReplicaId, replicas: usize, port: u16) -> Vec<String> {
    let mut others: Vec<ReplicaId> = ReplicaId::all(replicas).filter(|&other| other != own).collect();
    Stream::link(seed, "peer lists", u64::from(own.0), 0).shuffle(&mut others);
    let addresses = [own].into_iter().chain(others).map(|replica| address(replica).to_string());
    [port.to_string()].into_iter().chain(addresses).collect()
}

/// The address of a replica: its place.
pub fn address(replica: ReplicaId) -> Address {
    Address(u16::from(replica.0))
}

#[cfg(test)]
mod tests;
