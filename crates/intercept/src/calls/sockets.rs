//! Sockets: socket(2), bind(2), connect(2), getsockname(2), setsockopt(2) and their kin.
//!
//! A UDP socket of the internet is [virtual](crate::socket). Sockets of other kinds stay within the host (unix(7)), or are
//! refused: nothing leaves the simulation. A TCP socket can be made, because runtimes make one to see what the system can
//! do, but it can neither connect nor listen.

use std::cell::RefCell;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use super::{Answer, Call, DONE, Errno, PROCEED, fail, refuse};
use crate::socket::Socket;
use crate::tracee::{Address, Fault, Tid};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

const NO_TCP: &str = "there is no other network in virtual time than UDP on 127.0.0.1";

const NO_STREAMS: &str = "there is no other network in virtual time than UDP on 127.0.0.1; processes of a program can use pipes or \
                          socketpair";

pub fn socket(call: &mut Call<'_>) -> Answer {
    let (family, kind) = (call.int(0), call.int(1) & 0xF);
    match (family, kind) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => udp_socket(call, family),
        // A socket of the host's own, which leads nowhere.
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) => {
            carry(call)?;
            PROCEED
        }
        (libc::AF_UNIX, _) => PROCEED,
        _ => fail(libc::EAFNOSUPPORT),
    }
}

/// Makes a socket of unix(7) in place of the one that was asked for. Returns its descriptor, or an error below 0.
fn carry(call: &mut Call<'_>) -> Result<RawFd, Errno> {
    call.set_arg(0, libc::AF_UNIX as u64)?;
    call.set_arg(2, 0)?;
    let fd = call.complete()? as RawFd;
    if fd >= 0 {
        call.process().descriptors.forget(fd);
    }
    Ok(fd)
}

fn udp_socket(call: &mut Call<'_>, family: i32) -> Answer {
    let fd = carry(call)?;
    if fd >= 0 {
        let lost = |_| Errno(libc::ENFILE);
        let carrier = call.process().fetch(fd).map_err(lost)?;
        let socket = Socket::new(carrier, family).map_err(lost)?;
        call.process().descriptors.sockets.insert(fd, Rc::new(RefCell::new(socket)));
    }
    PROCEED
}

/// The port of an address of the internet; none of any other address.
pub fn port_at(call: &Call<'_>, address: Address, length: u64) -> Result<Option<u16>, Errno> {
    Ok(port_of(call.tid(), address, length)?)
}

/// The same, outside a call.
pub fn port_of(tid: Tid, address: Address, length: u64) -> Result<Option<u16>, Fault> {
    if address == 0 || length < 4 {
        return Ok(None);
    }
    let mut bytes = [0; 4];
    tid.read(address, &mut bytes)?;
    let family = i32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    let is_internet = matches!(family, libc::AF_INET | libc::AF_INET6);
    Ok(is_internet.then(|| u16::from_be_bytes([bytes[2], bytes[3]])))
}

/// As [`port_at`], for whom a datagram is sent to. There are no addresses but those of the loopback interface, as on a
/// machine without another one.
pub fn target_at(call: &Call<'_>, address: Address, length: u64) -> Result<Option<u16>, Errno> {
    let port = port_at(call, address, length)?;
    match port {
        Some(0) => Err(Errno(libc::EINVAL)),
        Some(_) if !is_own(call, address, length)? => Err(Errno(libc::ENETUNREACH)),
        _ => Ok(port),
    }
}

/// Whether an address of the internet is this host's: a loopback address, or none in particular.
fn is_own(call: &Call<'_>, address: Address, length: u64) -> Result<bool, Errno> {
    let mut name = [0; 28];
    let length = (length as usize).min(name.len());
    call.tid().read(address, &mut name[..length])?;
    let is_own_v4 = |bytes: &[u8]| bytes[0] == 127 || bytes == [0; 4];
    Ok(match i32::from(u16::from_le_bytes([name[0], name[1]])) {
        libc::AF_INET => is_own_v4(&name[4..8]),
        _ => match name[8..24] {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 | 1] => true,
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, ..] => is_own_v4(&name[20..24]),
            _ => false,
        },
    })
}

/// An address of this host as the kernel writes it: `sockaddr_in` (ip(7)) or `sockaddr_in6` (ipv6(7)).
fn name(family: i32, port: u16, any: bool) -> Vec<u8> {
    let address = if any { [0; 4] } else { LOOPBACK };
    let mut name = vec![family as u8, 0];
    name.extend(port.to_be_bytes());
    if family == libc::AF_INET {
        name.extend(address);
        name.extend([0; 8]);
    } else {
        name.extend([0; 4]);
        name.extend([0; 10]);
        // An IPv4 address among those of IPv6; the unspecified one is the same in both.
        name.extend(if any { [0, 0] } else { [0xFF, 0xFF] });
        name.extend(address);
        name.extend([0; 4]);
    }
    name
}

/// Writes an address where a call wants it: as much of it as there is room for, and its whole length.
pub fn write_name(
    call: &Call<'_>,
    (family, port, any): (i32, u16, bool),
    address: Address,
    length: Address,
) -> Result<(), Errno> {
    if address == 0 || length == 0 {
        return Ok(());
    }
    let name = name(family, port, any);
    let room = call.tid().read_u32(length)? as usize;
    call.tid().write(address, &name[..name.len().min(room)])?;
    Ok(call.tid().write(length, &(name.len() as u32).to_le_bytes())?)
}

/// Gives a socket a port if it has none.
pub fn bind_if_unbound(call: &mut Call<'_>, socket: &Rc<RefCell<Socket>>) -> Result<(), Errno> {
    if socket.borrow().port != 0 || call.host.ports.bind(socket, 0).is_some() {
        Ok(())
    } else {
        Err(Errno(libc::EADDRINUSE))
    }
}

pub fn bind(call: &mut Call<'_>) -> Answer {
    let (address, length) = (call.args[1], call.args[2]);
    let Some(socket) = call.socket(call.fd(0)) else {
        // A socket of another kind that is tried out; one of unix(7) is the host's own affair.
        return if port_at(call, address, length)?.is_some() { DONE } else { PROCEED };
    };
    let Some(port) = port_at(call, address, length)? else { return fail(libc::EAFNOSUPPORT) };
    if socket.borrow().port != 0 {
        return fail(libc::EINVAL);
    }
    if !is_own(call, address, length)? {
        return fail(libc::EADDRNOTAVAIL);
    }
    let is_any = length >= 8 && call.tid().read_u32(address.wrapping_add(4))? == 0;
    if call.host.ports.bind(&socket, port).is_none() {
        return fail(libc::EADDRINUSE);
    }
    socket.borrow_mut().any_address = is_any;
    DONE
}

pub fn connect(call: &mut Call<'_>) -> Answer {
    let port = port_at(call, call.args[1], call.args[2])?;
    match (call.socket(call.fd(0)), port) {
        (Some(_), Some(_)) if !is_own(call, call.args[1], call.args[2])? => fail(libc::ENETUNREACH),
        (Some(socket), port) => {
            // An address without a family ends a connection.
            socket.borrow_mut().peer = port;
            if port.is_some() {
                bind_if_unbound(call, &socket)?;
            }
            DONE
        }
        (None, Some(_)) => refuse(call.unsupported(NO_TCP)),
        // Services of the machine: their answers are not the simulation's.
        (None, None) => fail(libc::ECONNREFUSED),
    }
}

pub fn listen(call: &mut Call<'_>) -> Answer {
    refuse(call.unsupported(NO_STREAMS))
}

pub fn accept(call: &mut Call<'_>) -> Answer {
    refuse(call.unsupported(NO_STREAMS))
}

pub fn shutdown(call: &mut Call<'_>) -> Answer {
    let Some(socket) = call.socket(call.fd(0)) else { return PROCEED };
    if call.int(1) != libc::SHUT_WR {
        let mut socket = socket.borrow_mut();
        socket.is_shut = true;
        // A thread that waits for something to read is woken.
        // SAFETY: the call takes numbers only.
        unsafe { libc::shutdown(socket.carrier.as_raw_fd(), libc::SHUT_RD) };
        call.host.changed = true;
    }
    // The kernel says so although it has done it.
    if socket.borrow().peer.is_none() { fail(libc::ENOTCONN) } else { DONE }
}

pub fn getsockname(call: &mut Call<'_>) -> Answer {
    let Some(socket) = call.socket(call.fd(0)) else { return PROCEED };
    let socket = socket.borrow();
    let any = socket.port == 0 || (socket.any_address && socket.peer.is_none());
    write_name(call, (socket.family, socket.port, any), call.args[1], call.args[2])?;
    DONE
}

pub fn getpeername(call: &mut Call<'_>) -> Answer {
    let Some(socket) = call.socket(call.fd(0)) else { return PROCEED };
    let socket = socket.borrow();
    let Some(peer) = socket.peer else { return fail(libc::ENOTCONN) };
    write_name(call, (socket.family, peer, false), call.args[1], call.args[2])?;
    DONE
}

pub fn setsockopt(call: &mut Call<'_>) -> Answer {
    let Some(socket) = call.socket(call.fd(0)) else { return set_other(call) };
    if (call.int(1), call.int(2)) == (libc::SOL_SOCKET, libc::SO_RCVTIMEO) {
        let patience = call.timeval(call.args[3])?.unwrap_or(0);
        socket.borrow_mut().patience = patience;
    }
    if call.int(1) == libc::SOL_SOCKET && matches!(call.int(2), libc::SO_REUSEADDR | libc::SO_REUSEPORT) {
        socket.borrow_mut().shares_port = call.tid().read_u32(call.args[3])? != 0;
    }
    // Whatever else is set makes no difference on this network.
    DONE
}

/// Options of a socket that only tries out what the system can do.
fn set_other(call: &Call<'_>) -> Answer {
    if call.int(1) == libc::SOL_SOCKET { PROCEED } else { DONE }
}

pub fn getsockopt(call: &mut Call<'_>) -> Answer {
    let Some(socket) = call.socket(call.fd(0)) else { return PROCEED };
    let socket = socket.borrow();
    let value = match (call.int(1), call.int(2)) {
        (libc::SOL_SOCKET, libc::SO_DOMAIN) => socket.family,
        (libc::SOL_SOCKET, libc::SO_PROTOCOL) => libc::IPPROTO_UDP,
        (libc::SOL_SOCKET, libc::SO_REUSEADDR | libc::SO_REUSEPORT) => i32::from(socket.shares_port),
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO) => {
            let (seconds, rest) = (socket.patience / 1_000_000_000, socket.patience % 1_000_000_000);
            call.tid().write_words(call.args[3], &[seconds, rest / 1_000])?;
            call.tid().write(call.args[4], &16_u32.to_le_bytes())?;
            return DONE;
        }
        (libc::SOL_SOCKET, _) => return PROCEED,
        _ => 0,
    };
    call.tid().write(call.args[3], &value.to_le_bytes())?;
    call.tid().write(call.args[4], &4_u32.to_le_bytes())?;
    DONE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_layout_of_their_family() {
        let v4 = name(libc::AF_INET, 0x1234, false);
        assert_eq!(v4, [2, 0, 0x12, 0x34, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let v6 = name(libc::AF_INET6, 80, false);
        assert_eq!((v6.len(), &v6[..4], &v6[18..24]), (28, &[10, 0, 0, 80][..], &[0xFF, 0xFF, 127, 0, 0, 1][..]));
        assert_eq!(name(libc::AF_INET6, 80, true)[8..24], [0; 16]);
    }
}
