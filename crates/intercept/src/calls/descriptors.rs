//! Descriptors: close(2), dup(2), fcntl(2), ioctl(2) and their kin. The kernel does them; what is remembered of
//! descriptors follows.

use std::os::fd::RawFd;

use super::{Answer, Call, DONE, PROCEED, fail};

/// How long a lock is waited for before it is tried again.
const LOCK_RETRY: u64 = 1_000_000;

pub fn close(call: &mut Call<'_>) -> Answer {
    let fd = call.fd(0);
    if call.process().descriptors.libraries.contains(&fd) {
        call.host.patch_instructions(call.key);
    }
    call.process().descriptors.forget(fd);
    PROCEED
}

pub fn close_range(call: &mut Call<'_>) -> Answer {
    let [first, last, flags, ..] = call.args;
    if flags & libc::CLOSE_RANGE_CLOEXEC as u64 == 0 {
        let is_closed = |fd: &RawFd| (first..=last & 0xFFFF_FFFF).contains(&(*fd as u64));
        for fd in call.process().descriptors.remembered().into_iter().filter(is_closed) {
            call.process().descriptors.forget(fd);
        }
    }
    PROCEED
}

/// Also dup2 and dup3.
pub fn dup(call: &mut Call<'_>) -> Answer {
    let from = call.fd(0);
    let to = call.complete()?;
    if to >= 0 {
        call.process().descriptors.duplicate(from, to as RawFd);
    }
    PROCEED
}

pub fn fcntl(call: &mut Call<'_>) -> Answer {
    match call.int(1) {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => dup(call),
        libc::F_GETLK => holder(call),
        libc::F_SETLKW => lock(call, libc::F_SETLK),
        libc::F_OFD_SETLKW => lock(call, libc::F_OFD_SETLK),
        _ => PROCEED,
    }
}

/// Where `struct flock` has the process that holds a lock.
const HOLDER: u64 = 24;

/// The kernel knows the process that holds a lock by another number than programs do.
fn holder(call: &mut Call<'_>) -> Answer {
    if call.complete()? == 0 {
        let place = call.args[2].wrapping_add(HOLDER);
        let pid = call.tid().read_u32(place)? as i32;
        if pid > 0 {
            let known = call.host.processes.iter().rev().find(|process| process.pid.0 == pid);
            // Another host's, in the same folder: it is not of this machine.
            let shown = known.map_or(0, |process| process.shown);
            call.tid().write(place, &shown.to_le_bytes())?;
        }
    }
    PROCEED
}

/// Waiting for a lock of a file is trying again and again.
fn lock(call: &mut Call<'_>, attempt: i32) -> Answer {
    let asked = call.args[1];
    call.set_arg(1, attempt as u64)?;
    let result = call.complete()?;
    if result == -i64::from(libc::EAGAIN) || result == -i64::from(libc::EACCES) {
        return call.repeat(1, asked, LOCK_RETRY);
    }
    PROCEED
}

pub fn flock(call: &mut Call<'_>) -> Answer {
    let operation = call.int(1);
    if operation & libc::LOCK_NB != 0 {
        return PROCEED;
    }
    let asked = call.args[1];
    call.set_arg(1, (operation | libc::LOCK_NB) as u64)?;
    if call.complete()? == -i64::from(libc::EAGAIN) {
        return call.repeat(1, asked, LOCK_RETRY);
    }
    PROCEED
}

/// What a socket is asked. Interfaces of the machine are not shown.
pub fn ioctl(call: &mut Call<'_>) -> Answer {
    let Some(socket) = call.socket(call.fd(0)) else { return PROCEED };
    if call.args[1] as u32 != libc::FIONREAD as u32 {
        return fail(libc::ENOTTY);
    }
    let length = socket.borrow().front().map_or(0, |datagram| datagram.bytes.len() as u32);
    call.tid().write(call.args[2], &length.to_le_bytes())?;
    DONE
}
