//! Descriptors: close(2), dup(2), fcntl(2), ioctl(2) and their kin. The kernel does them; what is remembered of
//! descriptors follows.

use std::os::fd::RawFd;

use super::{Answer, Call, DONE, PROCEED, fail, refuse};
use crate::filter::{F_SETOWN, F_SETOWN_EX, OWNERS};

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
        F_SETOWN => set_owner(call, call.int(2)),
        F_SETOWN_EX => {
            // `struct f_owner_ex`: a kind, and a number.
            let owner = call.tid().read_u32(call.args[2].wrapping_add(4))? as i32;
            set_owner(call, owner)
        }
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

const NO_ASYNC: &str = "signals about descriptors (O_ASYNC) are not simulated; use poll, select or epoll";

/// Who gets a signal when a descriptor can be read. The kernel would take the number for one of its own.
fn set_owner(call: &mut Call<'_>, owner: i32) -> Answer {
    match owner {
        // No process, as from the beginning.
        0 => PROCEED,
        _ if call.host.real_number(owner.saturating_abs()).is_none() => fail(libc::ESRCH),
        _ => refuse(call.unsupported(NO_ASYNC)),
    }
}

/// What a socket is asked. Interfaces of the machine are not shown.
pub fn ioctl(call: &mut Call<'_>) -> Answer {
    if OWNERS.contains(&(call.args[1] as u32)) {
        let owner = call.tid().read_u32(call.args[2])? as i32;
        return set_owner(call, owner);
    }
    let Some(socket) = call.socket(call.fd(0)) else { return PROCEED };
    if call.args[1] as u32 != libc::FIONREAD as u32 {
        return fail(libc::ENOTTY);
    }
    let length = socket.borrow().front().map_or(0, |datagram| datagram.bytes.len() as u32);
    call.tid().write(call.args[2], &length.to_le_bytes())?;
    DONE
}
