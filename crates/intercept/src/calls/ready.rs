//! Which descriptors are ready: poll(2), select(2), epoll_wait(2) and their kin.
//!
//! The kernel answers all of them itself, once something is ready or the time is over. So nothing here knows how epoll
//! works: an epoll descriptor is itself ready exactly if epoll_wait would find something.

use std::os::fd::RawFd;

use super::{Answer, Call, DONE, Errno, Outcome, PROCEED, fail};
use crate::process::Interest;
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
    events: Vec<Interest>,
    /// How long; none means for ever.
    span: Option<u64>,
}

/// A descriptor that the program does not have. The kernel says so.
struct NotOpen;

/// Waits until something is ready. When the time is over, `expire` makes the answer of that.
fn wait(call: &mut Call<'_>, watched: Watched, expire: fn(&mut Call<'_>) -> Answer) -> Answer {
    call.spend(call.host.model.poll);
    let Watched { events, span } = watched;
    if events.iter().any(|interest| interest.is_ready()) {
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
    let answer = poll_for(call, span, |call| now(call, 2))?;
    tell_rest(call, &answer, 2, span)?;
    Ok(answer)
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
fn polled(call: &mut Call<'_>) -> Result<Result<Vec<Interest>, NotOpen>, Errno> {
    let mut events = Vec::new();
    for entry in call.tid().bytes(call.args[0], 8 * call.args[1] as usize)?.chunks_exact(8) {
        let fd = RawFd::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        if fd >= 0 {
            let Some(copy) = call.process().copy(fd) else { return Ok(Err(NotOpen)) };
            events.push(Interest::of(copy, i16::from_le_bytes([entry[4], entry[5]])));
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
            tell_rest(call, &answer, 4, span)?;
            Ok(answer)
        }
        Err(NotOpen) => PROCEED,
    }
}

/// If something is ready, the kernel would write the remaining time, measured in real time. So it is given no time, and the
/// rest in virtual time is written here. A call that does not wait has nothing left, and must keep its zero: perhaps
/// nothing is ready.
fn tell_rest(call: &mut Call<'_>, answer: &Outcome, place: usize, span: Option<u64>) -> Result<(), Errno> {
    if !matches!(answer, Outcome::Proceed) || call.woken == Woken::TimedOut || span == Some(0) {
        return Ok(());
    }
    let Some(end) = call.deadline_after(span) else { return Ok(()) };
    let unit = if call.number as i64 == libc::SYS_select { 1_000 } else { 1 };
    let rest = end.saturating_sub(call.now());
    call.tid().write_words(call.args[place], &[rest / SECOND, rest % SECOND / unit])?;
    call.set_arg(place, 0)
}

/// The sets of select(2): their place among the arguments, the event that is asked for, and what counts as that. So says
/// select(2), "Correspondence between select() and poll() notifications".
const SETS: [(usize, i16, i16); 3] = [
    (1, libc::POLLIN, libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND | libc::POLLHUP | libc::POLLERR),
    (2, libc::POLLOUT, libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND | libc::POLLERR),
    (3, libc::POLLPRI, libc::POLLPRI),
];

/// The descriptors of three sets of bits.
fn selected(call: &mut Call<'_>) -> Result<Result<Vec<Interest>, NotOpen>, Errno> {
    let count = call.args[0].min(SELECTED_MAX);
    let length = count.div_ceil(64) as usize * 8;
    let mut events = Vec::new();
    for (place, wanted, counts) in SETS {
        if call.args[place] == 0 {
            continue;
        }
        let set = call.tid().bytes(call.args[place], length)?;
        for fd in (0..count as usize).filter(|fd| set[fd / 8] >> (fd % 8) & 1 == 1) {
            let Some(copy) = call.process().copy(fd as RawFd) else { return Ok(Err(NotOpen)) };
            events.push(Interest { fd: copy, events: wanted, counts });
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
    if call.int(2) <= 0 {
        // The kernel refuses it.
        return PROCEED;
    }
    let events = vec![Interest::of(copy, libc::POLLIN)];
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
