//! Sockets and processes under the course's LAN.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::cluster::Cluster;
use crate::chaos::{Act, Rulebook};
use crate::clock::Clock;
use crate::id::ReplicaId;
use crate::record::{Event, RunRecord, Said, View, Watcher, World};
use crate::scenario::Scenario;
use crate::time::{Span, Time};
use crate::wire::UDP_BYTES_MAX;
use crate::world::lan::{Inspector, Lan, Wires};
use crate::world::processes::{Complaints, Console, PlayError, Teller, describe_end};

/// At most this many datagrams of one replica are taken before other replicas, faults and clients get their turn.
const DRAINED_MAX: usize = 64;

/// More datagrams than the buffer of a socket has room for.
const DISCARDED_MAX: usize = 100_000;

/// The network between replicas, and the clients.
pub(super) struct Router<'a> {
    lan: Lan<'a>,
    /// The run's clock. Until it is started the time is zero.
    clock: Option<Clock>,
    cables: Cables<'a>,
    teller: Teller,
    buffer: Box<[u8]>,
}

/// The ports of all replicas, and the receiver of complaints about them.
struct Cables<'a> {
    ports: &'a [Port],
    /// Whether each replica has sent hello since its start, so that its second socket is connected.
    connected: Vec<bool>,
    /// Whether there was a complaint that each replica's socket is closed.
    refusal_told: Vec<bool>,
    /// Where the datagram that is being received came from.
    source: Option<SocketAddr>,
    complaints: Complaints,
    watcher: &'a mut dyn Watcher,
    /// The acts that must be carried out on the processes.
    acts: VecDeque<(ReplicaId, Act)>,
}

/// A replica's port: two sockets on it.
///
/// It accepts datagrams from any socket, like the port of the course's runner. The second socket is connected to the
/// source of the replica's first `hello`, and receives all later datagrams from there. The reason: only a connected
/// socket notices that the other end is closed. Until then the system chooses one of the two for each sender. A
/// restarted program is heard through the first socket until its own `hello` connects the second one to its source.
#[derive(Debug)]
pub(super) struct Port {
    any: UdpSocket,
    own: UdpSocket,
}

impl Port {
    /// A free port.
    pub fn open() -> Result<Port, PlayError> {
        // The port may be shared only once the first socket has it: among sockets with shared ports, the system would
        // assign the same free port twice.
        let open = || {
            let any = UdpSocket::from(udp_socket()?);
            rustix::net::bind(&any, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            sockopt::set_socket_reuseport(&any, true)?;
            let own = UdpSocket::from(udp_socket()?);
            sockopt::set_socket_reuseport(&own, true)?;
            rustix::net::bind(&own, &any.local_addr()?)?;
            Ok(Port { any, own })
        };
        open().map_err(PlayError::system("UDP sockets on the loopback interface"))
    }

    /// Its number.
    pub fn number(&self) -> Result<u16, PlayError> {
        Ok(self.any.local_addr().map_err(PlayError::system("the port of a socket"))?.port())
    }

    /// Drops everything received so far: datagrams, and notices of a closed socket.
    pub fn discard(&self) {
        let is_empty = |socket: &UdpSocket| {
            // Bytes that do not fit are cut off.
            socket.recv(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        for socket in self.sockets() {
            // Only a process that this one may not kill, or that has hidden, could keep sending.
            let _ = (0..DISCARDED_MAX).any(|_| is_empty(socket));
        }
    }

    /// Its sockets.
    pub fn sockets(&self) -> [&UdpSocket; 2] {
        [&self.any, &self.own]
    }
}

/// A socket without a port, which waits for nothing and which no replica inherits.
fn udp_socket() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

impl<'a> Router<'a> {
    pub fn new(
        scenario: &'a Scenario,
        seed: u64,
        ports: &'a [Port],
        console: &Console,
        watcher: &'a mut dyn Watcher,
    ) -> Router<'a> {
        let cables = Cables {
            ports,
            connected: vec![false; ports.len()],
            refusal_told: vec![false; ports.len()],
            source: None,
            complaints: Complaints::new(scenario.replicas, console.teller()),
            watcher,
            acts: VecDeque::new(),
        };
        Router {
            lan: Lan::new(scenario, seed),
            clock: None,
            cables,
            teller: console.teller(),
            buffer: vec![0; UDP_BYTES_MAX].into_boxed_slice(),
        }
    }

    /// The run's time.
    pub fn now(&self) -> Time {
        self.clock.map_or(Time::ZERO, |clock| clock.now())
    }

    /// Starts the run's clock, once all replicas have sent hello, or if the waiting time is over.
    pub fn begin(&mut self, patience_is_over: bool) {
        if self.clock.is_none() && (patience_is_over || self.lan.all_have_said_hello()) {
            self.clock = Some(Clock::start());
            self.teller.begin();
        }
    }

    /// Notes that the router woke up late by this much. This counts before the run has begun, too, because replicas
    /// then start late.
    pub fn note_lag(&mut self, lag: Span) {
        self.lan.note_lag(lag);
    }

    /// Does everything that is due. Returns when the next thing is, in the run's time; never, before it has begun.
    ///
    /// # Errors
    /// If a program cannot be restarted.
    pub fn do_due(&mut self, now: Time, cluster: &mut Cluster<'_>) -> Result<Time, PlayError> {
        if self.clock.is_none() {
            return Ok(Time::NEVER);
        }
        if self.lan.poll_due() <= now {
            self.lan.note_lag(now.since(self.lan.poll_due()));
            // A replica that has died by itself before is not killed now.
            self.watch(now, cluster)?;
        }
        self.lan.handle_due(now, &mut self.cables);
        self.perform(now, cluster)?;
        Ok(if self.cables.acts.is_empty() { self.lan.poll_due() } else { now })
    }

    /// Carries out the LAN's acts on the processes, up to the first restart: that takes milliseconds, in which no
    /// message is delivered. The rest is done after the datagrams that have arrived meanwhile.
    fn perform(&mut self, now: Time, cluster: &mut Cluster<'_>) -> Result<(), PlayError> {
        while let Some((replica, act)) = self.cables.acts.pop_front() {
            match act {
                Act::Kill => cluster.processes.kill(now, replica),
                Act::Crash => cluster.processes.crash(now, replica),
                Act::Restart { .. } => {
                    self.teller.listen(cluster.restart(replica)?);
                    break;
                }
                Act::Pause => cluster.processes.pause(replica),
                Act::Resume => cluster.processes.resume(replica),
                Act::Clock { .. }
                | Act::SlowDisk { .. }
                | Act::FullDisk
                | Act::CorruptDisk
                | Act::LyingDisk
                | Act::MendDisk
                | Act::StepDown => unreachable!("{} is refused before the run", act.name()),
            }
        }
        Ok(())
    }

    /// Checks the processes.
    ///
    /// # Errors
    /// As [`Router::do_due`].
    pub fn watch(&mut self, now: Time, cluster: &mut Cluster<'_>) -> Result<(), PlayError> {
        self.teller.progress(now);
        self.perform(now, cluster)?;
        let Router { lan, cables, .. } = self;
        cluster.processes.watch(now, |replica, status| {
            cables.complaints.tell(now, replica, || format!("quit unexpectedly ({})", describe_end(status)));
            lan.note_end(now, replica);
        });
        if self.clock.is_some() {
            lan.note_silence(now, cables);
        }
        Ok(())
    }

    /// The rules that the run follows.
    pub fn rules(&self) -> Rulebook {
        self.lan.rules()
    }

    /// Whether the run is over.
    pub fn is_over(&self, now: Time) -> bool {
        self.lan.is_over(now)
    }

    /// Ends the run.
    pub fn finish(&mut self, now: Time) -> RunRecord {
        self.lan.finish(World::Live, now)
    }

    /// Takes the datagrams that a replica has sent to one of the two sockets of its port.
    pub fn drain(&mut self, from: ReplicaId, place: usize) {
        let now = || self.clock.map_or(Time::ZERO, |clock| clock.now());
        for _ in 0..DRAINED_MAX {
            match self.cables.ports[from.index()].sockets()[place].recv_from(&mut self.buffer) {
                Ok((length, source)) => {
                    self.cables.source = Some(source);
                    self.lan.handle_datagram(now(), from, &self.buffer[..length], &mut self.cables);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.cables.note_refusal(now(), from);
                }
                Err(_) => break,
            }
        }
    }
}

impl Cables<'_> {
    /// A replica's socket is closed. If the replica was ended, or has not sent hello yet, the socket is that of an
    /// earlier process.
    fn note_refusal(&mut self, now: Time, replica: ReplicaId) {
        let is_news = self.connected[replica.index()] && !self.refusal_told[replica.index()];
        if is_news {
            self.refusal_told[replica.index()] = true;
            self.complaints.tell(now, replica, || "has closed its socket".to_owned());
        }
    }
}

impl Wires for Cables<'_> {
    /// If its buffers are full, datagrams are lost, as on any such network.
    fn send(&mut self, now: Time, to: ReplicaId, bytes: &[u8]) {
        let Port { own, .. } = &self.ports[to.index()];
        if let Err(error) = own.send(bytes)
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            // The error is that of an earlier datagram; this one was not sent.
            self.note_refusal(now, to);
            let _ = self.ports[to.index()].own.send(bytes);
        }
    }

    /// Everything is sent to the source of its first `hello` since its start.
    fn connect(&mut self, replica: ReplicaId) {
        let (connected, Port { own, .. }) = (&mut self.connected[replica.index()], &self.ports[replica.index()]);
        *connected = *connected || self.source.is_some_and(|source| own.connect(source).is_ok());
    }

    fn act(&mut self, _now: Time, replica: ReplicaId, act: Act) {
        if act.is_of_power() {
            (self.connected[replica.index()], self.refusal_told[replica.index()]) = (false, false);
        }
        self.acts.push_back((replica, act));
    }

    fn witness(&mut self, now: Time, event: &Event<'_, &str>) {
        let said = event.message().map(|message| message as &dyn Said);
        self.watcher.event(&View { now, windows: &() }, &event.without_message(), said);
    }
}

impl Inspector for Cables<'_> {
    fn complain(&mut self, now: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        self.complaints.tell(now, about, what);
    }

    fn report_death(&mut self, now: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        self.complaints.insist(now, about, what());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_replicas_get_the_same_port() {
        for _ in 0..20 {
            let ports: Vec<Port> = (0..101).map(|_| Port::open().expect("a port")).collect();
            let numbers: BTreeSet<u16> = ports.iter().map(|port| port.number().expect("a number")).collect();
            assert_eq!(numbers.len(), ports.len());
        }
    }

    #[test]
    fn a_cleared_port_has_nothing_of_the_earlier_program_and_accepts_the_next_one() {
        let port = Port::open().expect("a port");
        let number = port.number().expect("a number");
        let program = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            socket.connect((Ipv4Addr::LOCALHOST, number)).expect("a port");
            socket
        };
        let before = program();
        port.own.connect(before.local_addr().expect("an address")).expect("connected");
        for _ in 0..50 {
            before.send(b"stale").expect("sent");
        }
        drop(before);
        // The notice that the other end is closed waits for the next call.
        let _ = port.own.send(b"to a closed port");
        port.discard();

        let next = program();
        next.send(b"hello").expect("sent");
        let mut buffer = [0; 16];
        assert_eq!(
            (port.any.recv(&mut buffer).expect("it comes to the first socket"), &buffer[..5]),
            (5, &b"hello"[..])
        );
        port.own.connect(next.local_addr().expect("an address")).expect("connected again");
        assert_eq!(port.own.send(b"request").expect("no old notice"), 7);
        assert_eq!(next.recv(&mut buffer).expect("it is reached"), 7);
        next.send(b"answer").expect("sent");
        assert_eq!(port.own.recv(&mut buffer).expect("it comes to the second socket"), 6);
    }
}
