//! Virtual UDP sockets.
//!
//! What a program takes for a UDP socket is a datagram socket of the kernel's own kind (unix(7)), its *carrier*. It has
//! no port, and nothing is sent from it. Its only purpose is that select, poll, epoll and all that builds on them see whether
//! there is something to read: for each datagram that waits, the carrier holds a *token* of one byte. The datagrams
//! themselves never enter the kernel. They wait here, and are copied into the program's memory when it receives.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use crate::process::owned;

/// The most bytes of a UDP datagram over IPv4.
pub const DATAGRAM_MAX: usize = 65_507;

/// How many datagrams wait at a socket. More are lost, as with real ones.
const WAITING_MAX: usize = 4_096;

/// The first port that is given to a socket that asks for none, as on Linux.
pub const EPHEMERAL: u16 = 32_768;

/// A datagram at a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The port of its sender.
    pub from: u16,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// A virtual UDP socket.
#[derive(Debug)]
pub struct Socket {
    /// The tracer's own descriptor of the carrier.
    pub carrier: OwnedFd,
    /// The name of the carrier in the kernel: where tokens are sent.
    name: libc::sockaddr_un,
    name_length: libc::socklen_t,
    /// AF_INET or AF_INET6.
    pub family: i32,
    /// Its port; 0 before it has one.
    pub port: u16,
    /// Whether it was bound to all addresses.
    pub any_address: bool,
    /// Whether its port may be shared with others that allow that, too (SO_REUSEADDR, SO_REUSEPORT).
    pub shares_port: bool,
    /// Whether nothing more is received (shutdown(2)).
    pub is_shut: bool,
    /// The port that it is connected to.
    pub peer: Option<u16>,
    /// How long receiving waits at most (SO_RCVTIMEO), in nanoseconds; 0 means for ever.
    pub patience: u64,
    waiting: VecDeque<Waiting>,
    tokens: usize,
}

/// What sends tokens to carriers. There is one for all hosts.
#[derive(Debug)]
pub struct Tokens(OwnedFd);

impl Tokens {
    /// A sender.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    pub fn new() -> io::Result<Tokens> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes numbers only.
        owned(unsafe { libc::socket(libc::AF_UNIX, kind, 0) }.into()).map(Tokens)
    }
}

impl Socket {
    /// A socket whose carrier a program has just made. `carrier` is the tracer's own descriptor of it.
    ///
    /// # Errors
    /// If the carrier gets no name.
    pub fn new(carrier: OwnedFd, family: i32) -> io::Result<Socket> {
        // SAFETY: a structure of numbers, for which zeros are valid.
        let mut name: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        name.sun_family = libc::AF_UNIX as u16;
        let mut name_length = std::mem::size_of_val(&name) as libc::socklen_t;
        // A name that says nothing but the family makes the kernel choose one.
        let family_length = std::mem::size_of_val(&name.sun_family) as libc::socklen_t;
        // SAFETY: name and length are live, and the length is that of what is used.
        let bound = unsafe { libc::bind(carrier.as_raw_fd(), std::ptr::from_ref(&name).cast(), family_length) };
        // SAFETY: as above; the kernel writes no more than the length allows.
        let named =
            unsafe { libc::getsockname(carrier.as_raw_fd(), std::ptr::from_mut(&mut name).cast(), &mut name_length) };
        if bound != 0 || named != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Socket {
            carrier,
            name,
            name_length,
            family,
            port: 0,
            any_address: false,
            shares_port: false,
            is_shut: false,
            peer: None,
            patience: 0,
            waiting: VecDeque::new(),
            tokens: 0,
        })
    }

    /// A datagram arrives. Returns whether there was room, and whether it is from whom the socket wants to hear.
    pub fn push(&mut self, datagram: Waiting, tokens: &Tokens) -> bool {
        if self.waiting.len() >= WAITING_MAX || self.peer.is_some_and(|peer| peer != datagram.from) {
            return false;
        }
        self.waiting.push_back(datagram);
        self.refill(tokens);
        true
    }

    /// The oldest datagram.
    pub fn front(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// Takes out the oldest datagram.
    pub fn pop(&mut self, tokens: &Tokens) -> Option<Waiting> {
        let datagram = self.waiting.pop_front()?;
        let mut token = 0_u8;
        // SAFETY: a buffer of one byte.
        let taken = unsafe { libc::recv(self.carrier.as_raw_fd(), (&raw mut token).cast(), 1, libc::MSG_DONTWAIT) };
        self.tokens -= usize::from(taken == 1 && self.tokens > 0);
        self.refill(tokens);
        Some(datagram)
    }

    /// Sends tokens until there is one for each datagram, or no room: the kernel queues about ten.
    fn refill(&mut self, tokens: &Tokens) {
        while self.tokens < self.waiting.len() {
            let token = 1_u8;
            // SAFETY: a buffer of one byte, and a name that the kernel itself has made.
            let sent = unsafe {
                libc::sendto(
                    tokens.0.as_raw_fd(),
                    (&raw const token).cast(),
                    1,
                    libc::MSG_DONTWAIT,
                    std::ptr::from_ref(&self.name).cast(),
                    self.name_length,
                )
            };
            if sent != 1 {
                break;
            }
            self.tokens += 1;
        }
    }
}

/// The sockets of a host that have a port.
#[derive(Debug, Default)]
pub struct Ports {
    bound: Vec<Rc<RefCell<Socket>>>,
    next: u16,
}

impl Ports {
    /// The socket of a port: the one that was bound last, if several share it.
    pub fn find(&mut self, port: u16) -> Option<Rc<RefCell<Socket>>> {
        self.forget_closed();
        self.bound.iter().rev().find(|socket| socket.borrow().port == port).cloned()
    }

    /// Gives a socket a port: the one that it asks for, or any if that is 0. None if it is taken.
    pub fn bind(&mut self, socket: &Rc<RefCell<Socket>>, port: u16) -> Option<u16> {
        let port = match port {
            0 => self.free_port()?,
            _ if self.is_taken(socket, port) => return None,
            _ => port,
        };
        socket.borrow_mut().port = port;
        self.bound.push(Rc::clone(socket));
        Some(port)
    }

    /// Whether a port has a socket that does not share it with this one.
    fn is_taken(&mut self, socket: &Rc<RefCell<Socket>>, port: u16) -> bool {
        self.forget_closed();
        let shares = socket.borrow().shares_port;
        self.bound.iter().any(|other| {
            let other = other.borrow();
            other.port == port && !(shares && other.shares_port)
        })
    }

    fn free_port(&mut self) -> Option<u16> {
        const COUNT: u16 = u16::MAX - EPHEMERAL;
        for _ in 0..COUNT {
            let port = EPHEMERAL + self.next;
            self.next = (self.next + 1) % COUNT;
            if self.find(port).is_none() {
                return Some(port);
            }
        }
        None
    }

    /// A socket is closed when no process has a descriptor of it any more.
    fn forget_closed(&mut self) {
        self.bound.retain(|socket| Rc::strong_count(socket) > 1);
    }
}

/// The raw number of a carrier.
pub fn carrier(socket: &Rc<RefCell<Socket>>) -> RawFd {
    socket.borrow().carrier.as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ready;

    fn socket() -> Rc<RefCell<Socket>> {
        // SAFETY: the call takes numbers only.
        let carrier = owned(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0) }.into()).expect("a socket");
        Rc::new(RefCell::new(Socket::new(carrier, libc::AF_INET).expect("a name")))
    }

    fn datagram(from: u16, number: u8) -> Waiting {
        Waiting { from, bytes: vec![number] }
    }

    #[test]
    fn a_carrier_can_be_read_exactly_while_datagrams_wait() {
        let (socket, tokens) = (socket(), Tokens::new().expect("a sender"));
        let mut socket = socket.borrow_mut();
        let is_ready = |socket: &Socket| ready(socket.carrier.as_raw_fd(), libc::POLLIN) != 0;
        assert!(!is_ready(&socket));
        // More than the kernel queues.
        for number in 0..50 {
            assert!(socket.push(datagram(9, number), &tokens));
        }
        for number in 0..50 {
            assert!(is_ready(&socket), "{number}");
            assert_eq!(socket.pop(&tokens), Some(datagram(9, number)));
        }
        assert!(!is_ready(&socket));
        assert_eq!(socket.pop(&tokens), None);
    }

    #[test]
    fn a_connected_socket_hears_its_peer_alone_and_a_full_one_loses_datagrams() {
        let (socket, tokens) = (socket(), Tokens::new().expect("a sender"));
        let mut socket = socket.borrow_mut();
        socket.peer = Some(7);
        assert!(!socket.push(datagram(8, 0), &tokens) && socket.push(datagram(7, 1), &tokens));
        let taken = (0..2 * WAITING_MAX).filter(|_| socket.push(datagram(7, 2), &tokens)).count();
        assert_eq!(taken, WAITING_MAX - 1);
    }

    #[test]
    fn a_port_is_taken_until_its_socket_is_closed() {
        let mut ports = Ports::default();
        let (one, other) = (socket(), socket());
        assert_eq!(ports.bind(&one, 5_000), Some(5_000));
        assert_eq!(ports.bind(&other, 5_000), None);
        assert_eq!(ports.bind(&other, 0), Some(EPHEMERAL));
        drop(one);
        let third = socket();
        assert_eq!(ports.bind(&third, 5_000), Some(5_000));
        assert!(ports.find(6_000).is_none());
    }
}
