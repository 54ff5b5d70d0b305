//! The course's LAN without I/O: which replicas can be reached, which datagrams are malformed or lost, and the clients'
//! requests and answers.
//!
//! A [`Lan`] takes datagrams of replicas as bytes, with their arrival times, and sends datagrams through [`Wires`]. The
//! live world puts sockets and processes under it, and a test can put replicas in memory under it. The rules are those
//! of the course's runner (version 2, read and run), where the handout is silent:
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
//!   chaos monkey when they arrive, which is at once.
//! - A message that the scenario damages is delivered with one bit flipped, anywhere in it. It counts as dropped,
//!   although a program may read it. The runner damages nothing.

use super::stage::Stage;
use crate::chaos::{Act, Rulebook};
use crate::engine::PowerFailure;
use crate::id::{ClientId, Mid, ReplicaId, ReplicaSet};
use crate::printable::Excerpt;
use crate::record::{Event, RunRecord, World};
use crate::scenario::Scenario;
use crate::service::Response;
use crate::time::{Span, Time};
use crate::wire::{Address, Datagram, Datagrams, Envelope, Malformed, kind};
use crate::workload::{CLIENTS, Dispatch, Incorrect, Reaction};

/// A run is cut short after this many messages of clients: a bound for memory (0.7 GB). Real routers and replicas take
/// time for each, so no run is known to reach the bound.
const ATTEMPTS_MAX: u64 = 5_000_000;

/// The shortest time after which there is a complaint that a restarted replica has not sent `hello`.
const HELLO_PATIENCE_MIN: Span = Span::from_secs(1);

/// What a [`Lan`] wants done.
pub trait Wires {
    /// Hand these bytes to a replica, which has sent `hello`.
    fn send(&mut self, now: Time, to: ReplicaId, bytes: &[u8]);

    /// A replica has sent `hello` in the datagram that is being received, so it can be reached from now on. If this is
    /// its first one since its start, the source of the datagram is its address.
    fn connect(&mut self, replica: ReplicaId) {
        let _ = replica;
    }

    /// Carry an act out on a replica: a fault of the scenario, or [`Act::Kill`] because of its messages. Before an
    /// [`Act::Restart`], all that is left of the old process must end, and its pending messages must be dropped.
    fn act(&mut self, now: Time, replica: ReplicaId, act: Act);

    /// There is a complaint about a replica. `what` returns one line; it is called only if the line is shown.
    fn complain(&mut self, now: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        let _ = (now, about, what);
    }

    /// An event for the trace has happened.
    fn witness(&mut self, now: Time, event: &Event<'_, &str>) {
        let _ = (now, event);
    }

    /// As [`Wires::complain`], about an event that counts the replica as died: it must always be shown.
    fn report_death(&mut self, now: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        self.complain(now, about, what);
    }
}

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

/// Why a datagram is incorrect.
#[derive(Debug, thiserror::Error)]
enum Nonsense {
    #[error("sent a malformed datagram ({0})")]
    Malformed(#[from] Malformed),
    #[error("sent to an unknown destination")]
    UnknownDestination,
    #[error("sent to a destination in lower case, which the course's runner does not know")]
    LowerCase,
    #[error("sent a client something that is no answer")]
    NoAnswer,
    #[error("answered a client without a MID")]
    NoMid,
}

impl<'a> Lan<'a> {
    /// The LAN before the run. All replicas are about to start.
    pub fn new(scenario: &'a Scenario, seed: u64) -> Lan<'a> {
        let mut stage = Stage::new(scenario, seed);
        stage.workload.allow_attempts(ATTEMPTS_MAX);
        Lan {
            stage,
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

    /// Takes a datagram that a replica has sent.
    pub fn handle_datagram(&mut self, now: Time, from: ReplicaId, bytes: &[u8], wires: &mut impl Wires) {
        // A datagram that arrives after the replica's end was sent before it, or should not exist.
        if self.gone.contains(from) {
            return;
        }
        self.routed += 1;
        if bytes.is_empty() || std::str::from_utf8(bytes).is_err() {
            return self.close(now, from, bytes, wires);
        }
        if let Err(nonsense) = self.route(now, from, bytes, wires) {
            self.stage.malformed += 1;
            wires.complain(now, from, &|| format!("{nonsense}: {}", Excerpt(bytes)));
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
    pub fn note_silence(&mut self, now: Time, wires: &mut impl Wires) {
        let hosts = self.stage.director.hosts();
        let expected = hosts.living.minus(hosts.paused);
        for (replica, port) in ReplicaId::all(self.ports.len()).zip(&mut self.ports) {
            let is_late = !port.reachable && now >= port.hello_due;
            if is_late && !port.silence_told && expected.contains(replica) {
                port.silence_told = true;
                let what = if port.excused { "is lost" } else { "counts it as died" };
                wires.complain(now, replica, &|| {
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

    /// The course's runner shuts a replica down whose datagram it cannot decode.
    fn close(&mut self, now: Time, from: ReplicaId, bytes: &[u8], wires: &mut impl Wires) {
        wires.report_death(now, from, &|| match bytes {
            [] => "sent an empty datagram: the course's runner closes such a replica, and it counts as died".to_owned(),
            _ => format!(
                "sent bytes that are not UTF-8: the course's runner closes such a replica, and it counts as died: {}",
                Excerpt(bytes)
            ),
        });
        self.note_end(now, from);
        wires.act(now, from, Act::Kill);
    }

    /// Carries a fault out on a replica. The stage has noted it already.
    fn act(&mut self, now: Time, replica: ReplicaId, act: Act, wires: &mut impl Wires) {
        let port = &mut self.ports[replica.index()];
        let hello_due = now + self.stage.scenario.wait().max(HELLO_PATIENCE_MIN);
        match act {
            Act::Kill => self.gone.insert(replica),
            Act::Crash => {
                self.gone.insert(replica);
                // The operating system keeps running, and has everything that was written.
                wires.witness(now, &Event::Crashed { replica, failure: PowerFailure::default() });
            }
            Act::Restart { wipe } => {
                self.gone.remove(replica);
                self.stage.note_starting(replica);
                *port = Port { reachable: false, excused: true, hello_due, silence_told: false, ..*port };
                wires.witness(now, &Event::Started { replica, wiped: wipe });
            }
            Act::Pause | Act::Resume if !port.reachable => (port.excused, port.hello_due) = (true, hello_due),
            _ => {}
        }
        wires.act(now, replica, act);
    }

    fn route(&mut self, now: Time, from: ReplicaId, bytes: &[u8], wires: &mut impl Wires) -> Result<(), Nonsense> {
        let mut rewritten = String::new();
        let (datagram, oddity) = Datagram::parse_as_python(bytes, &mut rewritten)?;
        let port = &mut self.ports[from.index()];
        if let Some(oddity) = oddity
            && !std::mem::replace(&mut port.json_told, true)
        {
            wires
                .complain(now, from, &|| format!("sends JSON that only Python accepts ({oddity}): {}", Excerpt(bytes)));
        }
        if datagram.src != address(from) && !std::mem::replace(&mut port.src_told, true) {
            wires.complain(now, from, &|| {
                format!(
                    "sends a src that is not its own, which the course's runner does not notice: {}",
                    Excerpt(bytes)
                )
            });
        }
        if datagram.kind == kind::HELLO {
            self.greet(now, from, wires);
            return Ok(());
        }
        let leader = self.replica(datagram.leader);
        let is_odd = leader.is_none() && datagram.leader != Address::BROADCAST;
        if is_odd && !std::mem::replace(&mut self.ports[from.index()].leader_told, true) {
            wires.complain(now, from, &|| format!("believes in a leader that does not exist: {}", Excerpt(bytes)));
        }
        if !datagram.has_upper_case_dst() {
            return Err(Nonsense::LowerCase);
        }
        let client = ClientId(datagram.dst.0);
        if datagram.dst == Address::BROADCAST {
            for to in ReplicaId::all(self.ports.len()).filter(|&to| to != from) {
                self.forward(now, from, to, bytes, datagram.text(), wires);
            }
        } else if let Some(to) = self.replica(datagram.dst) {
            self.forward(now, from, to, bytes, datagram.text(), wires);
        } else if client.number(self.ports.len()).is_some_and(|number| number < CLIENTS) {
            self.answer(now, from, client, leader, &datagram, wires)?;
        } else {
            return Err(Nonsense::UnknownDestination);
        }
        self.stage.observe_leader(now, from, leader);
        Ok(())
    }

    fn greet(&mut self, now: Time, from: ReplicaId, wires: &mut impl Wires) {
        wires.connect(from);
        let port = &mut self.ports[from.index()];
        if !std::mem::replace(&mut port.reachable, true) {
            if port.excused {
                // If it was restarted, its outage is over.
                self.stage.note_up(now, from);
            }
            if port.silence_told {
                wires.complain(now, from, &|| "has said hello after all".to_owned());
            }
        }
    }

    /// The replica with this address.
    fn replica(&self, address: Address) -> Option<ReplicaId> {
        let place = u8::try_from(address.0).ok().filter(|&place| usize::from(place) < self.ports.len());
        place.map(ReplicaId)
    }

    /// Passes a message from one replica to another. `text` is the bytes as strict JSON.
    fn forward(&mut self, now: Time, from: ReplicaId, to: ReplicaId, bytes: &[u8], text: &str, wires: &mut impl Wires) {
        self.stage.sent += 1;
        if self.is_away(to) {
            return wires.witness(now, &Event::Lost { to });
        }
        // First the chaos monkey: a message that is dropped does not reach a replica before its hello either.
        let admitted = self.stage.admits(now, from, to);
        let flip = self.stage.director.damages(from, to);
        if !admitted {
            wires.witness(now, &Event::Dropped { from, to, message: &text });
        } else if !self.is_up(now, to, &|| format!("a message of replica {from}"), wires) {
            wires.witness(now, &Event::Lost { to });
        } else if let Some(flip) = flip {
            self.stage.dropped += 1;
            wires.witness(now, &Event::Damaged { from, to, message: &text });
            let mut damaged = bytes.to_vec();
            flip.apply(&mut damaged);
            wires.send(now, to, &damaged);
        } else {
            wires.witness(now, &Event::Delivered { from, to, message: &text });
            wires.send(now, to, bytes);
        }
    }

    /// Whether a replica gets no messages now: it does not run, or has not sent hello again.
    fn is_away(&self, replica: ReplicaId) -> bool {
        let port = &self.ports[replica.index()];
        self.gone.contains(replica) || (port.excused && !port.reachable)
    }

    /// Whether a replica gets messages now. One that has not sent hello counts as died from then on.
    fn is_up(&mut self, now: Time, to: ReplicaId, what: &dyn Fn() -> String, wires: &mut impl Wires) -> bool {
        if self.is_away(to) {
            return false;
        }
        if !self.ports[to.index()].reachable {
            if self.stage.director.living().contains(to) {
                wires.report_death(now, to, &|| {
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

    /// Hands an answer to a client, and sends the client's next attempt.
    fn answer(
        &mut self,
        now: Time,
        from: ReplicaId,
        to: ClientId,
        leader: Option<ReplicaId>,
        datagram: &Datagram<'_>,
        wires: &mut impl Wires,
    ) -> Result<(), Nonsense> {
        let response = datagram.response().ok_or(Nonsense::NoAnswer)?;
        let text = datagram.mid.as_deref().ok_or(Nonsense::NoMid)?;
        // No request has the largest number.
        let mid = text.parse().unwrap_or(Mid(u64::MAX));
        wires.witness(now, &Event::Answered { from, to, mid, leader, response: &response });
        let Reaction { again, incorrect } = self.stage.answer(now, to, mid, leader, &response);
        let is_counted = incorrect != Some(Incorrect::Unacknowledged) || self.stage.scenario.is_of_course();
        if let Some(incorrect) = incorrect.filter(|_| is_counted) {
            wires.complain(now, from, &|| {
                let mid = Excerpt(text.as_bytes());
                let value = match &response {
                    Response::Ok { value: Some(value) } => format!(", value {}", Excerpt(value.as_bytes())),
                    Response::Ok { value: None } => ", no value".to_owned(),
                    Response::Fail | Response::Redirect => String::new(),
                };
                format!("incorrect answer to client {to}, MID {mid}{value}: {incorrect}")
            });
        }
        if let Some(dispatch) = again {
            self.send_request(now, &dispatch, wires);
        }
        Ok(())
    }

    fn send_request(&mut self, now: Time, dispatch: &Dispatch, wires: &mut impl Wires) {
        let Dispatch { from, to, leader, mid, operation } = dispatch;
        if !self.is_up(now, *to, &|| format!("a request of client {from}"), wires) {
            return wires.witness(now, &Event::Lost { to: *to });
        }
        wires.witness(now, &Event::Requested { from: *from, to: *to, mid: *mid, request: operation });
        let mid = mid.to_string();
        let leader = leader.map_or(Address::BROADCAST, address);
        let envelope = Envelope { src: Address(from.0), dst: address(*to), leader, mid: &mid };
        self.requests.push_operation(&envelope, operation);
        for bytes in self.requests.iter() {
            wires.send(now, *to, bytes);
        }
        self.requests.clear();
    }
}

/// The address of a replica: its place.
pub fn address(replica: ReplicaId) -> Address {
    Address(u16::from(replica.0))
}

#[cfg(test)]
mod tests;
