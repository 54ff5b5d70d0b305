//! Reading and writing, sending and receiving: read(2), write(2), sendto(2), recvfrom(2), sendmsg(2), recvmsg(2) and
//! their kin.
//!
//! On a virtual socket they move datagrams between the program's memory and the simulation. On standard output and error
//! they print. On anything else the kernel does them, if they cannot block.

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;

use super::{Answer, Call, Errno, PROCEED, fail, refuse, returns};
use crate::calls::sockets::{bind_if_unbound, target_at, write_name};
use crate::launch::Datagram;
use crate::process::{Interest, Kind, is_nonblocking, ready};
use crate::socket::{DATAGRAM_MAX, Socket, Waiting, carrier};
use crate::thread::{Cause, Woken};
use crate::tracee::{Address, buffers, gather, scatter};

/// Where buffers are in the program's memory.
type Buffers = Vec<(Address, usize)>;

/// The most that is printed by one call. The rest is left to the program, as on a full disk.
const PRINTED_MAX: usize = 1 << 20;

/// The most messages of one recvmmsg or sendmmsg (UIO_MAXIOV).
const MESSAGES_MAX: u64 = 1024;

/// The most that one call reads or writes (MAX_RW_COUNT).
const MOVED_MAX: usize = 0x7FFF_F000;

/// A pipe or a stream that can be written at all has room for this many bytes (PIPE_BUF).
const PIECE: usize = 4096;

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
        Kind::Random => read_random(call, &buffers),
        Kind::Blocking => pass(call, fd, libc::POLLIN, false),
    }
}

fn read_random(call: &mut Call<'_>, buffers: &Buffers) -> Answer {
    let length = total(buffers).min(RANDOM_MAX);
    let bytes = call.host.entropy.bytes(length);
    returns(scatter(call.tid(), buffers, &bytes)? as i64)
}

/// pread64: it never blocks, but random devices can be read with it.
pub fn pread(call: &mut Call<'_>) -> Answer {
    let fd = call.fd(0);
    if call.process().kind(fd) != Kind::Random {
        return PROCEED;
    }
    read_random(call, &vec![(call.args[1], call.args[2] as usize)])
}

pub fn preadv(call: &mut Call<'_>) -> Answer {
    let fd = call.fd(0);
    if call.process().kind(fd) != Kind::Random {
        return PROCEED;
    }
    let buffers = buffers(call.tid(), call.args[1], call.args[2])?;
    read_random(call, &buffers)
}

/// How many bytes buffers have together. A program may say anything.
fn total(buffers: &Buffers) -> usize {
    buffers.iter().fold(0, |sum, (_, length)| sum.saturating_add(*length))
}

/// Lets the kernel do it as soon as it cannot block.
fn pass(call: &mut Call<'_>, fd: RawFd, event: i16, at_once: bool) -> Answer {
    let Some(copy) = call.process().copy(fd) else { return PROCEED };
    if ready(copy, event) != 0 {
        call.succeed();
        return PROCEED;
    }
    if at_once || is_nonblocking(copy) {
        return call.look_in_vain(Cause::Ready(vec![Interest::of(copy, event)]), PROCEED);
    }
    if call.woken == Woken::TimedOut {
        return fail(libc::EAGAIN);
    }
    let option = if event == libc::POLLIN { libc::SO_RCVTIMEO } else { libc::SO_SNDTIMEO };
    let deadline = call.deadline_after(patience(copy, option));
    call.wait_ready(vec![Interest::of(copy, event)], deadline)
}

/// How long a socket waits at most; none for ever, as all that are no sockets do.
fn patience(descriptor: RawFd, option: i32) -> Option<u64> {
    let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut length = size_of::<libc::timeval>() as libc::socklen_t;
    let place = std::ptr::from_mut(&mut time).cast();
    // SAFETY: the structure is live and as long as it says.
    let known = unsafe { libc::getsockopt(descriptor, libc::SOL_SOCKET, option, place, &mut length) } == 0;
    let nanoseconds = time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    (known && nanoseconds > 0).then_some(nanoseconds)
}

/// Writes to something that may have less room than the call needs. The kernel would let the thread wait for more, where
/// nothing here sees it. So the tracer writes piece by piece, and the thread waits here in between.
fn pass_large(call: &mut Call<'_>, fd: RawFd, buffers: &Buffers) -> Answer {
    let wanted = total(buffers).min(MOVED_MAX);
    let Some(copy) = call.process().copy(fd) else { return PROCEED };
    if wanted <= PIECE || !is_stream(copy) || is_nonblocking(copy) {
        return pass(call, fd, libc::POLLOUT, false);
    }
    loop {
        let written = call.host.thread(call.key).written;
        if written == wanted {
            call.succeed();
            return returns(written as i64);
        }
        match ready(copy, libc::POLLOUT) {
            0 => return call.wait_ready(vec![Interest::of(copy, libc::POLLOUT)], None),
            libc::POLLOUT => {}
            // Nobody reads any more. The kernel knows what comes of that, and does not wait.
            _ if written == 0 => return PROCEED,
            _ => return returns(written as i64),
        }
        let piece = gather(call.tid(), &from(buffers, written), PIECE)?;
        match write_piece(copy, &piece) {
            Some(length) => call.host.thread(call.key).written += length,
            None if written == 0 => return PROCEED,
            None => return returns(written as i64),
        }
        call.host.progress += 1;
    }
}

/// Whether what is written may be read in other pieces: a pipe, or a socket without messages. What else is no socket and
/// may block is an event counter, which takes eight bytes and no more.
fn is_stream(descriptor: RawFd) -> bool {
    socket_type(descriptor).is_none_or(|kind| kind == libc::SOCK_STREAM)
}

/// The type of a socket; none for what is no socket.
fn socket_type(descriptor: RawFd) -> Option<i32> {
    let (mut kind, mut length) = (0_i32, size_of::<i32>() as libc::socklen_t);
    let place = std::ptr::from_mut(&mut kind).cast();
    // SAFETY: the number is live and as long as it says.
    let result = unsafe { libc::getsockopt(descriptor, libc::SOL_SOCKET, libc::SO_TYPE, place, &mut length) };
    (result == 0).then_some(kind)
}

/// Writes to something that can be written. Returns how much; none if that fails.
fn write_piece(descriptor: RawFd, bytes: &[u8]) -> Option<usize> {
    let (place, flags) = (bytes.as_ptr().cast(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
    // SAFETY: the buffer is live and as long as it says.
    let mut sent = unsafe { libc::send(descriptor, place, bytes.len(), flags) };
    if sent < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOTSOCK) {
        // SAFETY: as above. There is room for a piece, so it does not block; and there is a reader, so no signal comes.
        sent = unsafe { libc::write(descriptor, place, bytes.len()) };
    }
    usize::try_from(sent).ok().filter(|&sent| sent > 0)
}

/// Whether a call is about a socket. If not, the kernel says so at once.
fn is_socket(call: &mut Call<'_>) -> bool {
    let fd = call.fd(0);
    call.process().copy(fd).is_some_and(|copy| socket_type(copy).is_some())
}

/// What of buffers comes after this many bytes.
fn from(buffers: &Buffers, mut skipped: usize) -> Buffers {
    let rest = |&(address, length): &(Address, usize)| {
        let passed = skipped.min(length);
        skipped -= passed;
        (address.wrapping_add(passed as u64), length - passed)
    };
    buffers.iter().map(rest).collect()
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
    if call.process().descriptors.timers.contains_key(&fd) {
        return fail(libc::EINVAL);
    }
    match call.process().kind(fd) {
        Kind::Plain | Kind::Random => PROCEED,
        Kind::Blocking => pass_large(call, fd, buffers),
    }
}

/// Between files the kernel does it. Elsewhere callers have to read and write, as sendfile(2) says of this error.
pub fn sendfile(call: &mut Call<'_>) -> Answer {
    let to = call.fd(0);
    let prints = call.process().descriptors.outputs.contains_key(&to);
    let ends = [to, call.fd(1)];
    let is_plain = ends.into_iter().all(|fd| call.process().kind(fd) == Kind::Plain);
    if prints || !is_plain { fail(libc::EINVAL) } else { PROCEED }
}

pub fn sendto(call: &mut Call<'_>) -> Answer {
    let buffers = vec![(call.args[1], call.args[2] as usize)];
    let Some(socket) = call.socket(call.fd(0)) else {
        if call.args[4] != 0 && is_socket(call) {
            return fail(ELSEWHERE);
        }
        return match call.int(3) & libc::MSG_DONTWAIT {
            0 if is_socket(call) => pass_large(call, call.fd(0), &buffers),
            _ => send_elsewhere(call, call.args[3]),
        };
    };
    let to = target_at(call, call.args[4], call.args[5])?;
    send(call, &socket, to, &buffers)
}

/// What a datagram to a name of unix(7) fails with: it could be a socket of the machine's.
const ELSEWHERE: i32 = libc::ECONNREFUSED;

/// On a socket of another kind.
fn send_elsewhere(call: &mut Call<'_>, flags: u64) -> Answer {
    if !is_socket(call) {
        return PROCEED;
    }
    let at_once = flags & libc::MSG_DONTWAIT as u64 != 0;
    pass(call, call.fd(0), libc::POLLOUT, at_once)
}

pub fn sendmsg(call: &mut Call<'_>) -> Answer {
    let message = Message::at(call, call.args[1])?;
    let Some(socket) = call.socket(call.fd(0)) else {
        let (waits, is_plain) = (call.int(2) & libc::MSG_DONTWAIT == 0, message.control == 0);
        return match is_socket(call) {
            true if message.name != 0 => fail(ELSEWHERE),
            true if waits && is_plain => pass_large(call, call.fd(0), &message.buffers),
            _ => send_elsewhere(call, call.args[2]),
        };
    };
    let to = target_at(call, message.name, message.name_length)?;
    send(call, &socket, to, &message.buffers)
}

pub fn sendmmsg(call: &mut Call<'_>) -> Answer {
    let count = call.args[2].min(MESSAGES_MAX);
    let Some(socket) = call.socket(call.fd(0)) else {
        if is_socket(call) && count > 0 && Message::at(call, call.args[1])?.name != 0 {
            return fail(ELSEWHERE);
        }
        return send_elsewhere(call, call.args[3]);
    };
    for place in 0..count {
        let header = call.args[1].wrapping_add(MMSG * place);
        let message = Message::at(call, header)?;
        let to = target_at(call, message.name, message.name_length)?;
        match send(call, &socket, to, &message.buffers) {
            Ok(super::Outcome::Return(length)) => {
                call.tid().write(header.wrapping_add(MMSG_LENGTH), &(length as u32).to_le_bytes())?;
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
    let length = total(buffers);
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
    if socket.borrow().is_shut {
        return Ok(Received::Not(returns(0)));
    }
    let carrier = carrier(socket);
    let again = fail(libc::EAGAIN);
    if flags & libc::MSG_DONTWAIT != 0 || is_nonblocking(carrier) {
        return Ok(Received::Not(call.look_in_vain(Cause::Ready(vec![Interest::of(carrier, libc::POLLIN)]), again)));
    }
    if call.woken == Woken::TimedOut {
        return Ok(Received::Not(again));
    }
    let patience = Some(socket.borrow().patience).filter(|&patience| patience > 0);
    let deadline = call.deadline_after(patience);
    Ok(Received::Not(call.wait_ready(vec![Interest::of(carrier, libc::POLLIN)], deadline)))
}

/// On a socket of another kind.
fn receive_elsewhere(call: &mut Call<'_>, flags: u64) -> Answer {
    if !is_socket(call) {
        return PROCEED;
    }
    let at_once = flags & libc::MSG_DONTWAIT as u64 != 0;
    if flags & libc::MSG_WAITALL as u64 != 0 && !at_once {
        return refuse(call.unsupported("MSG_WAITALL may wait where the simulation cannot see it; receive in a loop"));
    }
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

/// Its own timeout is looked at only between datagrams (recvmmsg(2), BUGS). With one, nothing is waited for here once there
/// is something.
pub fn recvmmsg(call: &mut Call<'_>) -> Answer {
    let flags = call.int(3);
    let Some(socket) = call.socket(call.fd(0)) else { return receive_elsewhere(call, call.args[3]) };
    let count = call.args[2].min(MESSAGES_MAX);
    let is_enough = flags & (libc::MSG_WAITFORONE | libc::MSG_DONTWAIT) != 0 || call.args[4] != 0;
    for place in call.host.thread(call.key).written as u64..count {
        let header = call.args[1].wrapping_add(MMSG * place);
        let message = Message::at(call, header)?;
        if place > 0 && is_enough && socket.borrow().front().is_none() {
            return returns(place as i64);
        }
        call.host.thread(call.key).written = place as usize;
        match receive(call, &socket, flags)? {
            Received::Datagram(datagram) => {
                let copied = message.fill(call, &socket, &datagram)?;
                call.tid().write(header.wrapping_add(MMSG_LENGTH), &(copied as u32).to_le_bytes())?;
            }
            Received::Not(answer) if place == 0 || matches!(answer, Ok(super::Outcome::Wait { .. })) => return answer,
            // What has come counts.
            Received::Not(_) => return returns(place as i64),
        }
    }
    returns(count as i64)
}

/// `struct msghdr`, as far as it matters for datagrams.
struct Message {
    header: Address,
    name: Address,
    name_length: u64,
    /// Where control messages are; 0 if there are none.
    control: Address,
    buffers: Buffers,
}

impl Message {
    fn at(call: &Call<'_>, header: Address) -> Result<Message, Errno> {
        let [name, name_length, vectors, count, control] = call.tid().read_words(header)?;
        let buffers = buffers(call.tid(), vectors, count)?;
        Ok(Message { header, name, name_length: name_length & 0xFFFF_FFFF, control, buffers })
    }

    /// Copies a datagram into the program's memory. Returns how much of it there was room for.
    fn fill(&self, call: &Call<'_>, socket: &Rc<RefCell<Socket>>, datagram: &Waiting) -> Result<usize, Errno> {
        let tid = call.tid();
        let copied = scatter(tid, &self.buffers, &datagram.bytes)?;
        let family = socket.borrow().family;
        write_name(call, (family, datagram.from, false), self.name, self.header.wrapping_add(8))?;
        // No control messages, and whether it was cut off.
        let flags = if copied < datagram.bytes.len() { libc::MSG_TRUNC } else { 0 };
        tid.write_words(self.header.wrapping_add(40), &[0])?;
        tid.write(self.header.wrapping_add(48), &flags.to_le_bytes())?;
        Ok(copied)
    }
}
