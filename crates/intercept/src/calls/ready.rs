//! Which descriptors are ready: poll(2), select(2), epoll_wait(2) and their kin.
//!
//! The kernel answers all of them itself, once something is ready or the time is over. So nothing here knows how epoll
//! works: an epoll descriptor is itself ready exactly if epoll_wait would find something.

use std::os::fd::RawFd;

use super::{Answer, Call, DONE, Errno, Outcome, PROCEED, fail};
use crate::process::ready;
use crate::thread::{Cause, Woken};

/// The most descriptors of one poll.
const POLLED_MAX: u64 = 65_536;

/// The most descriptors of one select (FD_SETSIZE).
const SELECTED_MAX: u64 = 1024;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// What a call waits for.
struct Watched {
    /// Descriptors of the tracer's own, with what is wanted of them.
    events: Vec<(RawFd, i16)>,
    /// How long; none means for ever.
    span: Option<u64>,
}

/// A descriptor that the program does not have. The kernel says so.
struct NotOpen;

/// Waits until something is ready. When the time is over, `expire` makes the answer of that.
fn wait(call: &mut Call<'_>, watched: Watched, expire: fn(&mut Call<'_>) -> Answer) -> Answer {
    call.spend(call.host.model.poll);
    let Watched { events, span } = watched;
    if events.iter().any(|&(fd, events)| ready(fd, events) != 0) {
        return PROCEED;
    }
    if span == Some(0) {
        return call.look_in_vain(Cause::Ready(events), PROCEED);
    }
    if call.woken == Woken::TimedOut {
        return expire(call);
    }
    let deadline = call.deadline_after(span);
    call.wait_ready(events, deadline)
}

pub fn poll(call: &mut Call<'_>) -> Answer {
    let span = milliseconds(call.int(2));
    poll_for(call, span, |call| {
        for place in 0..call.args[1].min(POLLED_MAX) {
            // No event of any descriptor.
            call.tid().write(call.args[0].wrapping_add(8 * place + 6), &[0; 2])?;
        }
        DONE
    })
}

pub fn ppoll(call: &mut Call<'_>) -> Answer {
    if has_signal(call, 3)? {
        return PROCEED;
    }
    let span = call.timespec(call.args[2])?;
    poll_for(call, span, |call| now(call, 2))
}

fn poll_for(call: &mut Call<'_>, span: Option<u64>, expire: fn(&mut Call<'_>) -> Answer) -> Answer {
    if call.args[1] > POLLED_MAX {
        return fail(libc::EINVAL);
    }
    match polled(call)? {
        Ok(events) => wait(call, Watched { events, span }, expire),
        Err(NotOpen) => PROCEED,
    }
}

/// The descriptors of `struct pollfd`.
fn polled(call: &mut Call<'_>) -> Result<Result<Vec<(RawFd, i16)>, NotOpen>, Errno> {
    let mut events = Vec::new();
    for entry in call.tid().bytes(call.args[0], 8 * call.args[1] as usize)?.chunks_exact(8) {
        let fd = RawFd::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        if fd >= 0 {
            let Some(copy) = call.process().copy(fd) else { return Ok(Err(NotOpen)) };
            events.push((copy, i16::from_le_bytes([entry[4], entry[5]])));
        }
    }
    Ok(Ok(events))
}

pub fn select(call: &mut Call<'_>) -> Answer {
    let span = call.timeval(call.args[4])?;
    select_for(call, span)
}

pub fn pselect6(call: &mut Call<'_>) -> Answer {
    if call.args[5] != 0 {
        // Where the mask is, and how long it is.
        let [mask, _] = call.tid().read_words(call.args[5])?;
        if mask != 0 && call.host.has_signal(call.key, call.tid().read_u64(mask)?) {
            return PROCEED;
        }
    }
    let span = call.timespec(call.args[4])?;
    select_for(call, span)
}

fn select_for(call: &mut Call<'_>, span: Option<u64>) -> Answer {
    match selected(call)? {
        Ok(events) => {
            let answer = wait(call, Watched { events, span }, |call| now(call, 4))?;
            // A call that does not wait has nothing left, and must keep its zero: perhaps nothing is ready.
            if matches!(answer, Outcome::Proceed) && call.woken != Woken::TimedOut && span != Some(0) {
                tell_rest(call, span)?;
            }
            Ok(answer)
        }
        Err(NotOpen) => PROCEED,
    }
}

/// Something is ready. The kernel would write what is left of the time, in real time; so it is given none, and the rest
/// in virtual time is written here.
fn tell_rest(call: &mut Call<'_>, span: Option<u64>) -> Result<(), Errno> {
    let Some(end) = call.deadline_after(span) else { return Ok(()) };
    let unit = if call.number as i64 == libc::SYS_select { 1_000 } else { 1 };
    let rest = end.saturating_sub(call.now());
    call.tid().write_words(call.args[4], &[rest / SECOND, rest % SECOND / unit])?;
    call.set_arg(4, 0)
}

/// The descriptors of three sets of bits.
fn selected(call: &mut Call<'_>) -> Result<Result<Vec<(RawFd, i16)>, NotOpen>, Errno> {
    let count = call.args[0].min(SELECTED_MAX);
    let length = count.div_ceil(64) as usize * 8;
    let mut events = Vec::new();
    for (place, event) in [(1, libc::POLLIN), (2, libc::POLLOUT), (3, libc::POLLPRI)] {
        if call.args[place] == 0 {
            continue;
        }
        let set = call.tid().bytes(call.args[place], length)?;
        for fd in (0..count as usize).filter(|fd| set[fd / 8] >> (fd % 8) & 1 == 1) {
            let Some(copy) = call.process().copy(fd as RawFd) else { return Ok(Err(NotOpen)) };
            events.push((copy, event));
        }
    }
    Ok(Ok(events))
}

/// Also epoll_pwait.
pub fn epoll_wait(call: &mut Call<'_>) -> Answer {
    if call.number as i64 == libc::SYS_epoll_pwait && has_signal(call, 4)? {
        return PROCEED;
    }
    let span = milliseconds(call.int(3));
    epoll_for(call, span)
}

pub fn epoll_pwait2(call: &mut Call<'_>) -> Answer {
    if has_signal(call, 4)? {
        return PROCEED;
    }
    let span = call.timespec(call.args[3])?;
    epoll_for(call, span)
}

fn epoll_for(call: &mut Call<'_>, span: Option<u64>) -> Answer {
    let fd = call.fd(0);
    let Some(copy) = call.process().copy(fd) else { return PROCEED };
    let events = vec![(copy, libc::POLLIN)];
    // Nothing is ready, so nothing is written.
    wait(call, Watched { events, span }, |_| DONE)
}

/// Makes the kernel answer at once: the time that the call gives is over.
fn now(call: &mut Call<'_>, place: usize) -> Answer {
    call.tid().write_words(call.args[place], &[0, 0])?;
    PROCEED
}

fn milliseconds(span: i32) -> Option<u64> {
    u64::try_from(span).ok().map(|span| span * MILLISECOND)
}

/// Whether a signal waits that the mask of this argument lets through. The kernel delivers it then.
fn has_signal(call: &mut Call<'_>, place: usize) -> Result<bool, Errno> {
    if call.args[place] == 0 {
        return Ok(false);
    }
    let blocked = call.tid().read_u64(call.args[place])?;
    Ok(call.host.has_signal(call.key, blocked))
}
