//! Reading and writing, sending and receiving: read(2), write(2), sendto(2), recvfrom(2), sendmsg(2), recvmsg(2) and
//! their kin.
//!
//! On a virtual socket they move datagrams between the program's memory and the simulation. On standard output and error
//! they print. On anything else the kernel does them, if they cannot block.

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;

use super::{Answer, Call, Errno, PROCEED, fail, refuse, returns};
use crate::calls::sockets::{bind_if_unbound, port_at, write_name};
use crate::launch::Datagram;
use crate::process::{Kind, is_nonblocking, ready};
use crate::socket::{DATAGRAM_MAX, Socket, Waiting, carrier};
use crate::thread::Woken;
use crate::tracee::{Address, buffers, gather, scatter};

/// Where buffers are in the program's memory.
type Buffers = Vec<(Address, usize)>;

/// The most that is printed by one call. The rest is left to the program, as on a full disk.
const PRINTED_MAX: usize = 1 << 20;

/// The most messages of one recvmmsg or sendmmsg (UIO_MAXIOV).
const MESSAGES_MAX: u64 = 1024;

/// How many bytes random devices give at once.
const RANDOM_MAX: usize = 1 << 20;

/// The size of `struct mmsghdr`, and where in it the length of its message is.
const MMSG: u64 = 64;
const MMSG_LENGTH: u64 = 56;

pub fn read(call: &mut Call<'_>) -> Answer {
    let buffers = vec![(call.args[1], call.args[2] as usize)];
    read_into(call, buffers)
}

pub fn readv(call: &mut Call<'_>) -> Answer {
    let buffers = buffers(call.tid(), call.args[1], call.args[2])?;
    read_into(call, buffers)
}

fn read_into(call: &mut Call<'_>, buffers: Buffers) -> Answer {
    let fd = call.fd(0);
    if let Some(socket) = call.socket(fd) {
        return match receive(call, &socket, 0)? {
            Received::Datagram(datagram) => returns(scatter(call.tid(), &buffers, &datagram.bytes)? as i64),
            Received::Not(answer) => answer,
        };
    }
    match call.process().kind(fd) {
        Kind::Plain => PROCEED,
        Kind::Random => {
            let length = buffers.iter().map(|(_, length)| length).sum::<usize>().min(RANDOM_MAX);
            let bytes = call.host.entropy.bytes(length);
            returns(scatter(call.tid(), &buffers, &bytes)? as i64)
        }
        Kind::Blocking => pass(call, fd, libc::POLLIN, false),
    }
}

/// Lets the kernel do it as soon as it cannot block.
fn pass(call: &mut Call<'_>, fd: RawFd, event: i16, at_once: bool) -> Answer {
    let Some(copy) = call.process().copy(fd) else { return PROCEED };
    if ready(copy, event) != 0 {
        call.succeed();
        return PROCEED;
    }
    if at_once || is_nonblocking(copy) {
        return call.look_in_vain(vec![(copy, event)], PROCEED);
    }
    call.wait_ready(vec![(copy, event)], None)
}

pub fn write(call: &mut Call<'_>) -> Answer {
    let buffers = vec![(call.args[1], call.args[2] as usize)];
    write_from(call, &buffers)
}

pub fn writev(call: &mut Call<'_>) -> Answer {
    let buffers = buffers(call.tid(), call.args[1], call.args[2])?;
    write_from(call, &buffers)
}

fn write_from(call: &mut Call<'_>, buffers: &Buffers) -> Answer {
    let fd = call.fd(0);
    if let Some(socket) = call.socket(fd) {
        return send(call, &socket, None, buffers);
    }
    if let Some(&output) = call.process().descriptors.outputs.get(&fd) {
        let bytes = gather(call.tid(), buffers, PRINTED_MAX)?;
        let now = call.now();
        call.host.printer.print(now, output, &bytes);
        return returns(bytes.len() as i64);
    }
    match call.process().kind(fd) {
        Kind::Plain | Kind::Random => PROCEED,
        Kind::Blocking => pass(call, fd, libc::POLLOUT, false),
    }
}

pub fn sendfile(call: &mut Call<'_>) -> Answer {
    let to = call.fd(0);
    if call.process().kind(to) == Kind::Plain && call.socket(to).is_none() {
        return PROCEED;
    }
    refuse(call.unsupported("use read and write"))
}

pub fn sendto(call: &mut Call<'_>) -> Answer {
    let Some(socket) = call.socket(call.fd(0)) else { return send_elsewhere(call, call.args[3]) };
    let to = port_at(call, call.args[4], call.args[5])?;
    let buffers = vec![(call.args[1], call.args[2] as usize)];
    send(call, &socket, to, &buffers)
}

/// On a socket of another kind.
fn send_elsewhere(call: &mut Call<'_>, flags: u64) -> Answer {
    let at_once = flags & libc::MSG_DONTWAIT as u64 != 0;
    pass(call, call.fd(0), libc::POLLOUT, at_once)
}

pub fn sendmsg(call: &mut Call<'_>) -> Answer {
    let Some(socket) = call.socket(call.fd(0)) else { return send_elsewhere(call, call.args[2]) };
    let message = Message::at(call, call.args[1])?;
    let to = port_at(call, message.name, message.name_length)?;
    send(call, &socket, to, &message.buffers)
}

pub fn sendmmsg(call: &mut Call<'_>) -> Answer {
    let Some(socket) = call.socket(call.fd(0)) else { return send_elsewhere(call, call.args[3]) };
    let count = call.args[2].min(MESSAGES_MAX);
    for place in 0..count {
        let header = call.args[1] + MMSG * place;
        let message = Message::at(call, header)?;
        let to = port_at(call, message.name, message.name_length)?;
        match send(call, &socket, to, &message.buffers) {
            Ok(super::Outcome::Return(length)) => {
                call.tid().write(header + MMSG_LENGTH, &(length as u32).to_le_bytes())?;
            }
            // What was sent counts; the error comes again with the next call.
            _ if place > 0 => return returns(place as i64),
            failed => return failed,
        }
    }
    returns(count as i64)
}

/// Sends a datagram to a port, or to the one that the socket is connected to.
fn send(call: &mut Call<'_>, socket: &Rc<RefCell<Socket>>, to: Option<u16>, buffers: &Buffers) -> Answer {
    let Some(to) = to.or(socket.borrow().peer) else { return fail(libc::EDESTADDRREQ) };
    let length: usize = buffers.iter().map(|(_, length)| length).sum();
    if length > DATAGRAM_MAX {
        return fail(libc::EMSGSIZE);
    }
    let bytes = gather(call.tid(), buffers, DATAGRAM_MAX)?;
    bind_if_unbound(call, socket)?;
    call.succeed();
    call.spend(call.host.model.send);
    let from = socket.borrow().port;
    if let Some(own) = call.host.ports.find(to) {
        // A socket of the same host: there is no network between them.
        own.borrow_mut().push(Waiting { from, bytes }, &call.host.kernel.tokens);
    } else {
        call.host.sent.push_back(Datagram { from, to, bytes });
    }
    returns(length as i64)
}

/// What came of looking for a datagram.
enum Received {
    Datagram(Waiting),
    Not(Answer),
}

/// Takes the oldest datagram of a socket, or waits for one.
fn receive(call: &mut Call<'_>, socket: &Rc<RefCell<Socket>>, flags: i32) -> Result<Received, Errno> {
    bind_if_unbound(call, socket)?;
    call.spend(call.host.model.receive);
    let datagram = if flags & libc::MSG_PEEK != 0 {
        socket.borrow().front().cloned()
    } else {
        socket.borrow_mut().pop(&call.host.kernel.tokens)
    };
    if let Some(datagram) = datagram {
        call.succeed();
        return Ok(Received::Datagram(datagram));
    }
    let carrier = carrier(socket);
    let again = fail(libc::EAGAIN);
    if flags & libc::MSG_DONTWAIT != 0 || is_nonblocking(carrier) {
        return Ok(Received::Not(call.look_in_vain(vec![(carrier, libc::POLLIN)], again)));
    }
    if call.woken == Woken::TimedOut {
        return Ok(Received::Not(again));
    }
    let patience = Some(socket.borrow().patience).filter(|&patience| patience > 0);
    let deadline = call.deadline_after(patience);
    Ok(Received::Not(call.wait_ready(vec![(carrier, libc::POLLIN)], deadline)))
}

/// On a socket of another kind.
fn receive_elsewhere(call: &mut Call<'_>, flags: u64) -> Answer {
    let at_once = flags & libc::MSG_DONTWAIT as u64 != 0;
    pass(call, call.fd(0), libc::POLLIN, at_once)
}

pub fn recvfrom(call: &mut Call<'_>) -> Answer {
    let flags = call.int(3);
    let Some(socket) = call.socket(call.fd(0)) else { return receive_elsewhere(call, call.args[3]) };
    let datagram = match receive(call, &socket, flags)? {
        Received::Datagram(datagram) => datagram,
        Received::Not(answer) => return answer,
    };
    let copied = datagram.bytes.len().min(call.args[2] as usize);
    call.tid().write(call.args[1], &datagram.bytes[..copied])?;
    let family = socket.borrow().family;
    write_name(call, (family, datagram.from, false), call.args[4], call.args[5])?;
    returns(if flags & libc::MSG_TRUNC != 0 { datagram.bytes.len() } else { copied } as i64)
}

pub fn recvmsg(call: &mut Call<'_>) -> Answer {
    let flags = call.int(2);
    let Some(socket) = call.socket(call.fd(0)) else { return receive_elsewhere(call, call.args[2]) };
    let message = Message::at(call, call.args[1])?;
    match receive(call, &socket, flags)? {
        Received::Datagram(datagram) => {
            let copied = message.fill(call, &socket, &datagram)?;
            returns(if flags & libc::MSG_TRUNC != 0 { datagram.bytes.len() } else { copied } as i64)
        }
        Received::Not(answer) => answer,
    }
}

/// Its own timeout is looked at only between datagrams (recvmmsg(2), BUGS), so it makes no difference here: what has come
/// is taken, and nothing is waited for once there is something.
pub fn recvmmsg(call: &mut Call<'_>) -> Answer {
    let flags = call.int(3);
    let Some(socket) = call.socket(call.fd(0)) else { return receive_elsewhere(call, call.args[3]) };
    let count = call.args[2].min(MESSAGES_MAX);
    for place in 0..count {
        let header = call.args[1] + MMSG * place;
        let message = Message::at(call, header)?;
        if place > 0 && socket.borrow().front().is_none() {
            return returns(place as i64);
        }
        match receive(call, &socket, flags)? {
            Received::Datagram(datagram) => {
                let copied = message.fill(call, &socket, &datagram)?;
                call.tid().write(header + MMSG_LENGTH, &(copied as u32).to_le_bytes())?;
            }
            Received::Not(answer) => return answer,
        }
    }
    returns(count as i64)
}

/// `struct msghdr`, as far as it matters for datagrams.
struct Message {
    header: Address,
    name: Address,
    name_length: u64,
    buffers: Buffers,
}

impl Message {
    fn at(call: &Call<'_>, header: Address) -> Result<Message, Errno> {
        let [name, name_length, vectors, count] = call.tid().read_words(header)?;
        let buffers = buffers(call.tid(), vectors, count)?;
        Ok(Message { header, name, name_length: name_length & 0xFFFF_FFFF, buffers })
    }

    /// Copies a datagram into the program's memory. Returns how much of it there was room for.
    fn fill(&self, call: &Call<'_>, socket: &Rc<RefCell<Socket>>, datagram: &Waiting) -> Result<usize, Errno> {
        let tid = call.tid();
        let copied = scatter(tid, &self.buffers, &datagram.bytes)?;
        let family = socket.borrow().family;
        write_name(call, (family, datagram.from, false), self.name, self.header + 8)?;
        // No control messages, and whether it was cut off.
        let flags = if copied < datagram.bytes.len() { libc::MSG_TRUNC } else { 0 };
        tid.write_words(self.header + 40, &[0])?;
        tid.write(self.header + 48, &flags.to_le_bytes())?;
        Ok(copied)
    }
}
