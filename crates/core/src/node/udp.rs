//! The loop between a node, a UDP socket and a clock.
//!
//! One thread, one socket on the loopback interface, connected to the port of the LAN's router, so that no other
//! program can send to it. Each turn of the loop takes in all waiting datagrams, lets the node do the due work, and
//! sends its datagrams. Then it sleeps until the next datagram or the node's next deadline. So a burst of requests
//! becomes one batch, and an idle replica costs next to nothing.
//!
//! If the router's port is closed, `hello` is sent again before the next datagrams. A router that starts late, or comes
//! back, learns this replica's port from it.
//!
//! A thread of its own writes to the disk, if there is one, and wakes the loop.
//!
//! SIGTERM and SIGINT end the program by their default action: there is nothing to clean up. What the disk had no time to
//! write has not been promised.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use smallvec::SmallVec;

use super::disk::Disk;
use super::log::{Level, Log};
use super::{Members, Node};
use crate::clock::{Clock, timespec};
use crate::id::ReplicaId;
use crate::machine::{Boot, Exit, Identity};
use crate::raft::Sound;
use crate::replica::{Config, Replica};
use crate::service::Service;
use crate::storage::{Owner, Storage, StorageError, Sync};
use crate::time::{Span, Time};
use crate::wire::{PeerMessage, UDP_BYTES_MAX};

/// A replica whose router has been gone without a break for this long is an orphan, and ends.
pub const ORPHAN_AFTER: Span = Span::from_secs(60);

/// Refusals further apart than this count as a break: the datagrams sent in between were accepted.
const REFUSAL_GAP_MAX: Span = Span::from_secs(5);

/// The most datagrams that are taken in before the node does its due work, so that a flood stops no timers.
const DATAGRAMS_PER_TURN_MAX: usize = 1_024;

/// How many times in a row the node may do work that is due at once.
const TIMEOUTS_PER_TURN_MAX: usize = 64;

/// Once this many datagrams wait to be sent, they are sent, however many more wait to be taken in. This bounds memory.
const OUTGOING_MAX: usize = 64;

/// However urgent the node's next deadline seems after all that, the loop sleeps for at least this long.
const WAIT_MIN: Span = Span::from_micros(100);

/// However far away the next deadline is, the loop takes a turn this often.
const WAIT_MAX: Span = Span::from_secs(60);

/// This many turns in a row with an unexpected error mean that the socket is broken.
const ERRORS_MAX: u32 = 100;

/// How long the loop pauses after an unexpected error, so that a lasting one neither keeps the processor busy nor ends
/// the program within an instant.
const ERROR_PAUSE: Span = Span::from_millis(20);

/// The limit of the log of a replica with a folder, in bytes.
const LOG_BYTES_MAX: usize = 64 << 20;

/// The buffer for datagrams that wait, in bytes. The system may grant less.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// A node on a socket.
struct Loop<'a, P: Service> {
    node: &'a mut Node<P>,
    socket: UdpSocket,
    /// Rung by the disk, if there is one.
    bell: Option<&'a Bell>,
    clock: Clock,
    log: &'a mut Log,
    refusals: Refusals,
    /// The router may not have received this replica's `hello`.
    unheard: bool,
    /// Unexpected errors, since the last turn without one.
    errors: u32,
}

/// Why the loop ends.
enum End {
    /// The router is gone for good.
    Orphan,
    /// The socket is broken.
    Broken(io::Error),
    /// The protocol has ended.
    Exited(Exit),
}

/// Why a program of a replica ends, besides the end of its router.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The socket cannot be made, or is broken.
    #[error("the UDP socket: {0}")]
    Socket(#[from] io::Error),
    /// Its folder cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The system refuses something else.
    #[error("the replica needs {what}: {source}")]
    System {
        /// What it needs.
        what: &'static str,
        /// Why it is refused.
        source: io::Error,
    },
    /// The replica has ended, or refuses to start.
    #[error("{0}")]
    Exited(Exit),
}

/// Runs a Raft replica in its default configuration on the LAN whose router listens on this port: as the program
/// `3700kvstore` does. With a folder for the data of all replicas it has one of its own in it, named with its ID, for
/// what it must not forget, and can be restarted.
///
/// # Errors
/// As [`run`], and if the folder cannot be used, or the replica refuses to start from what is in it.
pub fn run_raft(port: u16, members: Members, seed: u64, level: Level, data: Option<&Path>) -> Result<(), RunError> {
    let identity = members.identity(seed);
    let (storage, disk) = match data {
        None => (None, None),
        Some(data) => {
            let folder = data.join(members.own().to_string());
            let (storage, recovered) = Storage::open(&folder, &owner(&members, identity), Sync::Always)?;
            (Some(storage), Some(recovered))
        }
    };
    let incarnation = storage.as_ref().map_or(0, Storage::starts);
    let boot = Boot { identity, incarnation, now: Time::ZERO, disk };
    // A run of the course is too short to gain from a shorter log, but a folder must not grow for ever.
    let log_bytes_max = if storage.is_some() { LOG_BYTES_MAX } else { usize::MAX };
    let config = Config { log_bytes_max, ..Config::default() };
    let replica = Replica::boot(boot, config, Sound).map_err(RunError::Exited)?;
    let refused = |source| RunError::System { what: "a thread that writes to the disk, and wakes it", source };
    let start = |storage| {
        let bell = Bell::new()?;
        Ok((Disk::start(storage, bell.ringer())?, bell))
    };
    let (disk, bell) = storage.map(start).transpose().map_err(refused)?.unzip();
    let mut node = Node::around(members, seed, replica, disk);
    let (clock, mut log) = (Clock::start(), Log::new(level));
    log.started(clock.now(), &node, seed);
    run_with(port, &mut node, clock, &mut log, bell.as_ref())
}

/// Whose records a replica's folder has.
fn owner(members: &Members, identity: Identity) -> Owner {
    let all: Vec<String> =
        ReplicaId::all(identity.replicas).map(|replica| members.address(replica).to_string()).collect();
    Owner {
        program: "3700kvstore".to_owned(),
        cluster: all.join(" "),
        replica: identity.id,
        replicas: identity.replicas,
    }
}

/// Runs a node on the LAN whose router listens on this port of the loopback interface. Returns only when the router has
/// been gone for [`ORPHAN_AFTER`].
///
/// # Errors
/// If a socket cannot be made, or it breaks, or the node's protocol ends.
pub fn run<P>(port: u16, node: &mut Node<P>, clock: Clock, log: &mut Log) -> Result<(), RunError>
where
    P: Service<Message: PeerMessage> + Display,
{
    run_with(port, node, clock, log, None)
}

fn run_with<P>(port: u16, node: &mut Node<P>, clock: Clock, log: &mut Log, bell: Option<&Bell>) -> Result<(), RunError>
where
    P: Service<Message: PeerMessage> + Display,
{
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nonblocking(true)?;
    // An optimisation only: without it a burst may lose a few more datagrams.
    let _ = set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER_BYTES);
    let refusals = Refusals::default();
    let mut turns = Loop { node, socket, bell, clock, log, refusals, unheard: false, errors: 0 };
    let mut buffer = vec![0; UDP_BYTES_MAX];
    loop {
        match turns.turn(&mut buffer) {
            Ok(()) => {}
            Err(End::Orphan) => return Ok(()),
            Err(End::Broken(error)) => return Err(RunError::Socket(error)),
            Err(End::Exited(why)) => return Err(RunError::Exited(why)),
        }
    }
}

/// Wakes the loop when the disk has news.
struct Bell(Arc<OwnedFd>);

impl Bell {
    fn new() -> io::Result<Bell> {
        Ok(Bell(Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)))
    }

    /// Rings it, from any thread.
    fn ringer(&self) -> impl Fn() + Send + use<> {
        let bell = Arc::clone(&self.0);
        move || {
            // It can only fail if it rings already.
            let _ = rustix::io::write(&*bell, &1_u64.to_ne_bytes());
        }
    }

    /// From now on it can be rung again.
    fn silence(&self) {
        // It fails if it has not rung.
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }
}

impl<P> Loop<'_, P>
where
    P: Service<Message: PeerMessage> + Display,
{
    fn turn(&mut self, buffer: &mut [u8]) -> Result<(), End> {
        let errors = self.errors;
        if let Some(bell) = self.bell {
            bell.silence();
        }
        self.node.hear_of_disk(self.clock.now());
        self.take_in(buffer)?;
        let mut now = self.clock.now();
        for _ in 0..TIMEOUTS_PER_TURN_MAX {
            if self.node.poll_timeout() > now {
                break;
            }
            self.node.handle_timeout(now);
            now = self.clock.now();
        }
        self.log.look(now, self.node);
        self.node.flush_disk(now);
        self.send()?;
        if let Some(why) = self.node.exit() {
            return Err(End::Exited(why));
        }
        self.wait(self.errors > errors)?;
        if self.errors == errors {
            self.errors = 0;
        }
        Ok(())
    }

    /// Takes in the datagrams that wait, up to a bound.
    fn take_in(&mut self, buffer: &mut [u8]) -> Result<(), End> {
        for _ in 0..DATAGRAMS_PER_TURN_MAX {
            if self.node.exit().is_some() {
                break;
            }
            match self.socket.recv(buffer) {
                Ok(length) => {
                    let now = self.clock.now();
                    self.refusals = Refusals::default();
                    self.log.datagram(now, self.node, "<--", &buffer[..length]);
                    self.node.handle_datagram(now, &buffer[..length]);
                    if self.node.outgoing().len() >= OUTGOING_MAX {
                        self.send()?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.note_refusal()?,
                Err(error) => {
                    self.note_error(error)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Sends the node's datagrams, after another `hello` if a refusal may have swallowed the last one.
    fn send(&mut self) -> Result<(), End> {
        if self.unheard && !self.node.outgoing().is_empty() {
            self.unheard = false;
            let outgoing = std::mem::take(self.node.outgoing());
            self.node.say_hello();
            self.send_outgoing()?;
            *self.node.outgoing() = outgoing;
        }
        self.send_outgoing()
    }

    /// Sends the node's datagrams. Those that cannot be sent now are lost, as datagrams may be.
    fn send_outgoing(&mut self) -> Result<(), End> {
        let mut now = self.clock.now();
        let outgoing = std::mem::take(self.node.outgoing());
        for bytes in outgoing.iter() {
            self.log.datagram(now, self.node, "-->", bytes);
            match self.socket.send(bytes) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    self.note_refusal()?;
                    now = self.clock.now();
                }
                Err(error) => self.log.trouble(now, self.node, format_args!("a datagram was not sent: {error}")),
                Ok(_) => {}
            }
        }
        // Returned, so that its memory is reused.
        *self.node.outgoing() = outgoing;
        self.node.outgoing().clear();
        Ok(())
    }

    /// Sleeps until there is a datagram or the node's next deadline; after an error only for a moment, whatever comes.
    fn wait(&mut self, after_error: bool) -> Result<(), End> {
        let longest = if after_error { ERROR_PAUSE } else { WAIT_MAX };
        let wait = timespec(self.node.poll_timeout().since(self.clock.now()).clamp(WAIT_MIN, longest));
        // A socket with a lasting error would be ready all the time.
        let socket = (!after_error).then(|| PollFd::new(&self.socket, PollFlags::IN));
        let bell = self.bell.map(|bell| PollFd::from_borrowed_fd(bell.0.as_fd(), PollFlags::IN));
        let mut fds: SmallVec<[PollFd<'_>; 2]> = socket.into_iter().chain(bell).collect();
        let woken = poll(&mut fds, Some(&wait));
        drop(fds);
        match woken {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => self.note_error(error.into()),
        }
    }

    /// Records that the router's port is closed.
    fn note_refusal(&mut self) -> Result<(), End> {
        self.unheard = true;
        let now = self.clock.now();
        let gone = self.refusals.note(now);
        if gone == Span::ZERO {
            self.log.trouble(now, self.node, "the router's port is closed");
        }
        if gone >= ORPHAN_AFTER { Err(End::Orphan) } else { Ok(()) }
    }

    fn note_error(&mut self, error: io::Error) -> Result<(), End> {
        self.errors += 1;
        self.log.trouble(self.clock.now(), self.node, format_args!("the socket: {error}"));
        if self.errors >= ERRORS_MAX { Err(End::Broken(error)) } else { Ok(()) }
    }
}

/// For how long the router's port has been closed.
#[derive(Clone, Copy, Debug, Default)]
struct Refusals {
    /// The first and the newest refusal without a break in between.
    seen: Option<(Time, Time)>,
}

impl Refusals {
    /// Records a refusal and returns how long refusals have lasted.
    fn note(&mut self, now: Time) -> Span {
        let first =
            self.seen.filter(|&(_, newest)| now.since(newest) <= REFUSAL_GAP_MAX).map_or(now, |(first, _)| first);
        self.seen = Some((first, now));
        now.since(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_last_until_there_is_a_break() {
        let mut refusals = Refusals::default();
        let mut note = |seconds: u64| refusals.note(Time::ZERO + Span::from_secs(seconds));
        assert_eq!([10, 14, 14, 19].map(&mut note).map(Span::as_secs_f64), [0.0, 4.0, 4.0, 9.0]);
        assert_eq!([25, 26].map(&mut note).map(Span::as_secs_f64), [0.0, 1.0]);
    }
}
