//! The course's LAN without I/O: who can be reached, what is malformed, what is lost, what clients ask and are told.
//!
//! A [`Lan`] takes datagrams of replicas as bytes, with the time at which they came, and says through [`Wires`] what goes
//! where. The live world puts sockets and processes under it, and a test can put replicas in memory under it. The rules
//! are those of the course's runner (version 2, read and run), where the handout is silent:
//!
//! - A replica can be reached from its first `hello` on. If a client or another replica sends it something before, it
//!   counts as died, although it runs on and hears its peers later.
//! - An empty datagram, or bytes that are not UTF-8, close the replica that sent them. It counts as died.
//! - JSON is read as Python reads it ([`Datagram::parse_as_python`]). What is not an object with `src`, `dst`, `leader` and
//!   `type`, or has an address that is not four hexadecimal digits, is incorrect. So is an unknown destination.
//! - `dst` is compared as text, so it must be in upper case. `src` is not compared with the replica that sent the datagram.
//! - A replica that crashes is not heard any more, even with what it sent before, and what is sent to it is lost. When it is
//!   started again it takes nothing until it says `hello` again. What is sent to it before is lost, too, and does not count
//!   it as died: the course's runner starts no replica twice, and has no rule for this.
//! - Clients' messages always get through. Those between replicas are counted when they are sent, and meet the chaos
//!   monkey when they arrive, which is at once.
//! - A message that the scenario damages is handed on with one bit flipped, anywhere in it. It counts as dropped, although a
//!   program may read it. The runner damages nothing.

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

/// A run is cut short after this many messages of clients: a bound for memory (0.7 GB). Real routers and replicas take time
/// for each, so none is known to get there.
const ATTEMPTS_MAX: u64 = 5_000_000;

/// The shortest time after which it is said of a replica that was started again that it has not said `hello`.
const HELLO_PATIENCE_MIN: Span = Span::from_secs(1);

/// What a [`Lan`] wants done.
pub trait Wires {
    /// Hand these bytes to a replica, which has said `hello`.
    fn send(&mut self, now: Time, to: ReplicaId, bytes: &[u8]);

    /// A replica has said `hello`, in the datagram that is being received: it can be reached from now on, there if this is
    /// the first one since it was started.
    fn connect(&mut self, replica: ReplicaId) {
        let _ = replica;
    }

    /// Something is to happen to a replica: a fault of the scenario, or [`Act::Kill`] because of what it sent. Before an
    /// [`Act::Restart`], whatever is left of it has to end, and what it has sent has to be forgotten.
    fn act(&mut self, now: Time, replica: ReplicaId, act: Act);

    /// Something is wrong with a replica. `what` is one line; it is only asked for if it is shown.
    fn complain(&mut self, now: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        let _ = (now, about, what);
    }

    /// Something has happened that a trace has.
    fn witness(&mut self, now: Time, event: &Event<'_, &str>) {
        let _ = (now, event);
    }

    /// As [`Wires::complain`], about something that counts the replica as died: to be shown in any case.
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
    /// It has said hello since it was started.
    reachable: bool,
    /// What is sent to it before its hello is lost, without counting it as died: it was started again, or was paused.
    excused: bool,
    /// When its hello is late.
    hello_due: Time,
    /// It was said that it has not said hello.
    silence_told: bool,
    /// It was said that its `src` is not its own.
    src_told: bool,
    /// It was said that its JSON is not strict.
    json_told: bool,
    /// It was said that it names a leader that does not exist.
    leader_told: bool,
}

/// What is incorrect about a datagram.
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

    /// Makes everything happen that is due.
    pub fn handle_due(&mut self, now: Time, wires: &mut impl Wires) {
        while self.stage.next_fault() <= now {
            let (event, consequence) = self.stage.strike(now);
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
        // What comes after its end was sent before it, or never should have been.
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
            self.stage.bury(now, replica);
        }
    }

    /// Whether all replicas that run have said hello.
    pub fn all_have_said_hello(&self) -> bool {
        ReplicaId::all(self.ports.len()).zip(&self.ports).all(|(id, port)| port.reachable || self.gone.contains(id))
    }

    /// Complains about replicas that have not said hello when clients begin, or as long after they were started again.
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

    /// The driver comes this much later than it should. The record has the longest time.
    pub fn note_lag(&mut self, lag: Span) {
        self.stage.lag = self.stage.lag.max(lag);
    }

    /// Ends the run: what is known of it.
    pub fn finish(&mut self, world: World, now: Time) -> RunRecord {
        self.stage.finish(world, now, self.routed, None)
    }

    /// Whose rules the run follows.
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

    /// A fault happens to a replica. The stage knows already.
    fn act(&mut self, now: Time, replica: ReplicaId, act: Act, wires: &mut impl Wires) {
        let port = &mut self.ports[replica.index()];
        let hello_due = now + self.stage.scenario.wait().max(HELLO_PATIENCE_MIN);
        match act {
            Act::Kill => self.gone.insert(replica),
            Act::Crash => {
                self.gone.insert(replica);
                // The system that it ran on goes on, and has all that was written.
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
                // If it was started again, its outage is over.
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

    /// Hands a message from one replica on to another. `text` is what the bytes say.
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

    /// Whether a replica takes nothing of what is sent to it now: it does not run, or has not said hello again.
    fn is_away(&self, replica: ReplicaId) -> bool {
        let port = &self.ports[replica.index()];
        self.gone.contains(replica) || (port.excused && !port.reachable)
    }

    /// Whether a replica takes what is sent to it now. One that has not said hello counts as died from then on.
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
                self.stage.bury(now, to);
            }
            return false;
        }
        true
    }

    /// Hands an answer to a client, and sends what the client asks next.
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
