//! Who gets which datagram, and what clients make of answers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use super::cluster::address;
use crate::clock::Clock;
use crate::id::{ClientId, Mid, ReplicaId};
use crate::printable::Excerpt;
use crate::protocol::Response;
use crate::record::{RunRecord, World};
use crate::scenario::Scenario;
use crate::time::Time;
use crate::wire::{Address, Datagram, Datagrams, Envelope, Malformed, UDP_BYTES_MAX, kind};
use crate::workload::{CLIENTS, Dispatch};
use crate::world::processes::{Complaints, Console, PlayError, Processes, Teller, describe_end};
use crate::world::stage::{Oddity, Stage};

/// So many datagrams of one replica are taken before others, faults and clients get their turn.
const DRAINED_MAX: usize = 64;

/// Everything between replicas, and the clients.
pub(super) struct Router<'a> {
    stage: Stage<'a>,
    clock: Clock,
    ports: Vec<Port<'a>>,
    complaints: Complaints,
    teller: Teller,
    buffer: Box<[u8]>,
    requests: Datagrams,
    routed: u64,
}

/// One replica's connection to the LAN.
struct Port<'a> {
    socket: &'a UdpSocket,
    /// It has said hello, so the socket is connected to it.
    reachable: bool,
    /// It was said that it has not said hello.
    silence_told: bool,
    /// It was said that it has closed its socket.
    refusal_told: bool,
}

/// What is wrong with a datagram.
#[derive(Debug, thiserror::Error)]
enum Nonsense {
    #[error("sent a malformed datagram ({0})")]
    Malformed(#[from] Malformed),
    #[error("sent a datagram with another's src")]
    AnothersSrc,
    #[error("sent to an unknown destination")]
    UnknownDestination,
    #[error("sent a client something that is no answer")]
    NoAnswer,
    #[error("answered a client without a MID")]
    NoMid,
}

/// A socket that a replica can talk to.
pub(super) fn socket() -> Result<UdpSocket, PlayError> {
    let bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| {
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    bound.map_err(PlayError::system("UDP sockets on the loopback interface"))
}

impl<'a> Router<'a> {
    pub fn new(
        scenario: &'a Scenario,
        seed: u64,
        clock: Clock,
        sockets: &'a [UdpSocket],
        console: &Console,
    ) -> Router<'a> {
        let port = |socket| Port { socket, reachable: false, silence_told: false, refusal_told: false };
        let ports = sockets.iter().map(port).collect();
        Router {
            stage: Stage::new(scenario, seed),
            clock,
            ports,
            complaints: Complaints::new(scenario.replicas, console.teller()),
            teller: console.teller(),
            buffer: vec![0; UDP_BYTES_MAX].into_boxed_slice(),
            requests: Datagrams::new(),
            routed: 0,
        }
    }

    /// The time since the replicas were started.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Makes everything happen that is due. Returns when the next thing is.
    pub fn do_due(&mut self, now: Time, cluster: &mut Processes) -> Time {
        if self.stage.next_fault() <= now {
            // Who has died by itself before is not killed now.
            self.watch(now, cluster);
        }
        while self.stage.next_fault() <= now {
            let (_, consequence) = self.stage.strike(now);
            if let Some(killed) = consequence.killed {
                cluster.kill(now, killed);
            }
        }
        while let Some(dispatch) = self.stage.workload.handle_due(now, self.stage.director.living()) {
            self.send_request(&dispatch);
        }
        self.stage.next_due()
    }

    /// Looks after the processes.
    pub fn watch(&mut self, now: Time, cluster: &mut Processes) {
        self.teller.progress(now);
        let Router { stage, complaints, ports, .. } = self;
        cluster.watch(now, |replica, status| {
            complaints.tell(now, replica, || format!("quit unexpectedly ({})", describe_end(status)));
            stage.bury(now, replica);
        });
        let past_wait = now >= Time::ZERO + stage.scenario.wait;
        for (replica, port) in ReplicaId::all(ports.len()).zip(ports) {
            if past_wait && !port.reachable && !port.silence_told && stage.director.living().contains(replica) {
                port.silence_told = true;
                complaints.tell(now, replica, || "has not said hello yet, so nothing can be sent to it".to_owned());
            }
        }
    }

    /// Whether the run is over.
    pub fn is_over(&self, now: Time) -> bool {
        self.stage.is_over(now)
    }

    /// Ends the run.
    pub fn finish(&mut self, now: Time) -> RunRecord {
        self.stage.finish(World::Live, now, self.routed, None)
    }

    /// Takes what a replica has sent.
    pub fn drain(&mut self, from: ReplicaId) {
        // The buffer is lent out, so that what is in it can be routed.
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..DRAINED_MAX {
            match self.ports[from.index()].socket.recv_from(&mut buffer) {
                Ok((length, source)) => self.route(from, source, &buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => self.note_refusal(from),
                Err(_) => break,
            }
        }
        self.buffer = buffer;
    }

    /// Routes one datagram of a replica.
    fn route(&mut self, from: ReplicaId, source: SocketAddr, bytes: &[u8]) {
        // What comes after its death was sent before it, or never should have been.
        if !self.stage.director.living().contains(from) {
            return;
        }
        self.routed += 1;
        if let Err(nonsense) = self.deliver(from, source, bytes) {
            self.stage.malformed += 1;
            let now = self.now();
            self.complaints.tell(now, from, || format!("{nonsense}: {}", Excerpt(bytes)));
        }
    }

    fn deliver(&mut self, from: ReplicaId, source: SocketAddr, bytes: &[u8]) -> Result<(), Nonsense> {
        let datagram = Datagram::parse(bytes)?;
        if datagram.src != address(from) {
            return Err(Nonsense::AnothersSrc);
        }
        if datagram.kind == kind::HELLO {
            let port = &mut self.ports[from.index()];
            let was_reachable = port.reachable;
            // Connected, so that nobody else is heard, and so that a closed socket shows.
            port.reachable = port.reachable || port.socket.connect(source).is_ok();
            if port.reachable && !was_reachable && port.silence_told {
                let now = self.now();
                self.complaints
                    .tell(now, from, || "has said hello after all, so it is reachable from now on".to_owned());
            }
            return Ok(());
        }
        let leader = self.replica(datagram.leader);
        if leader.is_none() && datagram.leader != Address::BROADCAST {
            let now = self.now();
            self.complaints.tell(now, from, || format!("believes in a leader that does not exist: {}", Excerpt(bytes)));
        }
        let client = ClientId(datagram.dst.0);
        if datagram.dst == Address::BROADCAST {
            for to in ReplicaId::all(self.ports.len()).filter(|&to| to != from) {
                self.forward(from, to, bytes);
            }
        } else if let Some(to) = self.replica(datagram.dst) {
            self.forward(from, to, bytes);
        } else if client.number(self.ports.len()).is_some_and(|number| number < CLIENTS) {
            self.answer(from, client, leader, &datagram)?;
        } else {
            return Err(Nonsense::UnknownDestination);
        }
        self.stage.observe_leader(self.now(), from, leader);
        Ok(())
    }

    /// The replica with this address.
    fn replica(&self, address: Address) -> Option<ReplicaId> {
        let place = u8::try_from(address.0).ok().filter(|&place| usize::from(place) < self.ports.len());
        place.map(ReplicaId)
    }

    /// Hands a message from one replica on to another.
    fn forward(&mut self, from: ReplicaId, to: ReplicaId, bytes: &[u8]) {
        self.stage.sent += 1;
        if self.stage.director.living().contains(to) && self.stage.admits(self.now(), from, to) {
            self.send(to, bytes);
        }
    }

    /// Sends bytes to a replica. If its buffers are full they are lost, as on any network of datagrams.
    fn send(&mut self, to: ReplicaId, bytes: &[u8]) {
        let port = &self.ports[to.index()];
        if port.reachable
            && let Err(error) = port.socket.send(bytes)
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            // The error is that of an earlier datagram; this one was not sent.
            self.note_refusal(to);
            let _ = self.ports[to.index()].socket.send(bytes);
        }
    }

    fn note_refusal(&mut self, replica: ReplicaId) {
        let now = self.now();
        let port = &mut self.ports[replica.index()];
        if !std::mem::replace(&mut port.refusal_told, true) {
            self.complaints.tell(now, replica, || "has closed its socket".to_owned());
        }
    }

    /// Hands an answer to a client, and sends what the client asks next.
    fn answer(
        &mut self,
        from: ReplicaId,
        to: ClientId,
        leader: Option<ReplicaId>,
        datagram: &Datagram<'_>,
    ) -> Result<(), Nonsense> {
        let response = datagram.response().ok_or(Nonsense::NoAnswer)?;
        let text = datagram.mid.as_deref().ok_or(Nonsense::NoMid)?;
        let now = self.now();
        // No request has the largest number.
        let mid = text.parse().unwrap_or(Mid(u64::MAX));
        let (again, odd) = self.stage.answer(now, to, mid, leader, &response);
        let mid = Excerpt(text.as_bytes());
        match odd {
            Some(Oddity::UnknownMid) => {
                self.complaints.tell(now, from, || format!("answered client {to} a MID that it does not know: {mid}"));
            }
            Some(Oddity::WrongGet) => {
                let value = match &response {
                    Response::Ok { value: Some(value) } => value.as_bytes(),
                    _ => b"(no value)",
                };
                self.complaints.tell(now, from, || format!("answered a get wrong, MID {mid}: {}", Excerpt(value)));
            }
            None => {}
        }
        if let Some(dispatch) = again {
            self.send_request(&dispatch);
        }
        Ok(())
    }

    fn send_request(&mut self, dispatch: &Dispatch) {
        let Dispatch { from, to, leader, request } = dispatch;
        if !self.stage.director.living().contains(*to) {
            return;
        }
        let mid = request.mid.to_string();
        let leader = leader.map_or(Address::BROADCAST, address);
        let envelope = Envelope { src: Address(from.0), dst: address(*to), leader, mid: &mid };
        let mut requests = std::mem::take(&mut self.requests);
        requests.push_operation(&envelope, &request.operation);
        for bytes in requests.iter() {
            self.send(*to, bytes);
        }
        requests.clear();
        self.requests = requests;
    }
}
