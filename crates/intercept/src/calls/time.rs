//! Clocks and sleeping: clock_gettime(2), gettimeofday(2), time(2), nanosleep(2), clock_nanosleep(2), getrusage(2),
//! times(2), sysinfo(2).
//!
//! Wall clocks show a fixed date plus the host's time, monotonic ones a fixed start plus the host's time, and clocks of
//! processes and threads what the host's programs have used. Most reads never come here, because programs read the
//! [time page](crate::time_page).

use super::{Answer, Call, DONE, Errno, Outcome, PROCEED, fail, returns};
use crate::model::{MONOTONIC_START, WALL_START};
use crate::thread::{Cause, Woken};
use crate::time_page::{MONOTONIC_CLOCKS, WALL_CLOCKS};
use crate::tracee::Address;

const SECOND: u64 = 1_000_000_000;

/// The shortest sleep. The kernel adds its slack (50 us) to real ones.
const SLEEP_MIN: u64 = 1_000;

/// Ticks of times(2): 100 a second.
const TICK: u64 = SECOND / 100;

/// Whether a call reads a clock.
pub fn is_clock_call(number: u64) -> bool {
    matches!(number as i64, libc::SYS_clock_gettime | libc::SYS_gettimeofday | libc::SYS_time)
}

/// What a clock shows when the host's time is 0; none for clocks that show what was used.
pub fn start_of(clock: i32) -> Option<u64> {
    let is_in = |set: u32| (0..32).contains(&clock) && set & (1 << clock) != 0;
    if is_in(WALL_CLOCKS) {
        Some(WALL_START)
    } else if is_in(MONOTONIC_CLOCKS) || matches!(clock, libc::CLOCK_BOOTTIME_ALARM) {
        Some(MONOTONIC_START)
    } else if clock == libc::CLOCK_REALTIME_ALARM {
        Some(WALL_START)
    } else {
        None
    }
}

pub fn clock_gettime(call: &mut Call<'_>) -> Answer {
    call.host.charge_clock_call(call.key);
    let clock = call.int(0);
    // Clocks of processors have negative numbers: of any process or thread (clock_getcpuclockid(3)).
    let shown = match start_of(clock) {
        Some(start) => start + call.now(),
        None if clock < 0 || matches!(clock, libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID) => {
            call.host.used
        }
        None => return fail(libc::EINVAL),
    };
    call.tid().write_words(call.args[1], &[shown / SECOND, shown % SECOND])?;
    DONE
}

pub fn gettimeofday(call: &mut Call<'_>) -> Answer {
    call.host.charge_clock_call(call.key);
    let shown = WALL_START + call.now();
    if call.args[0] != 0 {
        call.tid().write_words(call.args[0], &[shown / SECOND, shown % SECOND / 1_000])?;
    }
    if call.args[1] != 0 {
        // The time zone: none.
        call.tid().write(call.args[1], &[0; 8])?;
    }
    DONE
}

pub fn time(call: &mut Call<'_>) -> Answer {
    call.host.charge_clock_call(call.key);
    let seconds = (WALL_START + call.now()) / SECOND;
    if call.args[0] != 0 {
        call.tid().write_words(call.args[0], &[seconds])?;
    }
    returns(seconds)
}

pub fn nanosleep(call: &mut Call<'_>) -> Answer {
    let span = call.timespec(call.args[0])?.ok_or(Errno(libc::EFAULT))?;
    sleep(call, |now| now.saturating_add(span.max(SLEEP_MIN)), Some(call.args[1]))
}

pub fn clock_nanosleep(call: &mut Call<'_>) -> Answer {
    let is_absolute = call.args[1] & libc::TIMER_ABSTIME as u64 != 0;
    let time = call.timespec(call.args[2])?.ok_or(Errno(libc::EFAULT))?;
    let Some(start) = start_of(call.int(0)) else { return fail(libc::EINVAL) };
    if is_absolute {
        sleep(call, |_| time.saturating_sub(start), None)
    } else {
        sleep(call, |now| now.saturating_add(time.max(SLEEP_MIN)), Some(call.args[3]))
    }
}

/// Sleeps until a time. What is left of the sleep, if a signal ends it, is written to `rest`.
fn sleep(call: &mut Call<'_>, until: impl FnOnce(u64) -> u64, rest: Option<Address>) -> Answer {
    match call.woken {
        Woken::TimedOut => DONE,
        Woken::Perhaps => fail(libc::EINTR),
        Woken::Fresh => {
            let deadline = until(call.now());
            call.host.thread(call.key).rest_of_sleep = rest.filter(|&address| address != 0);
            Ok(Outcome::Wait { on: Cause::Nothing, deadline: Some(deadline), nap: false })
        }
    }
}

pub fn getrusage(call: &mut Call<'_>) -> Answer {
    let mut words = [0; 18];
    let used = call.host.used;
    (words[0], words[1]) = (used / SECOND, used % SECOND / 1_000);
    call.tid().write_words(call.args[1], &words)?;
    DONE
}

pub fn times(call: &mut Call<'_>) -> Answer {
    if call.args[0] != 0 {
        let used = call.host.used / TICK;
        call.tid().write_words(call.args[0], &[used, 0, 0, 0])?;
    }
    returns((MONOTONIC_START + call.now()) / TICK)
}

/// The memory and the load of the machine are not shown: they change from one moment to the next.
pub fn sysinfo(call: &mut Call<'_>) -> Answer {
    if call.complete()? < 0 {
        return PROCEED;
    }
    const GIB: u64 = 1 << 30;
    let uptime = (MONOTONIC_START + call.now()) / SECOND;
    // uptime, loads of 1, 5 and 15 minutes, and memory: total, free, shared, in buffers, swap: total and free.
    call.tid().write_words(call.args[0], &[uptime, 0, 0, 0, 8 * GIB, 4 * GIB, 0, 0, 0, 0])?;
    // The number of processes.
    call.tid().write(call.args[0].wrapping_add(80), &1_u16.to_le_bytes())?;
    PROCEED
}
