//! Timers: alarm(2), setitimer(2), timer_create(2), timerfd_create(2) and their kin.
//!
//! A timer is an alarm of the host. When it rings, its program gets a signal from the tracer, or finds a number in its
//! descriptor: what a program takes for a timer's descriptor is an event counter (eventfd(2)), which is read in the same
//! way.

use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::{Rc, Weak};

use super::{Answer, Call, DONE, Errno, PROCEED, fail, refuse, returns};
use crate::calls::signals::is_pending;
use crate::calls::time::start_of;
use crate::host::{Alarm, Host};
use crate::process::{ProcessKey, ready};
use crate::thread::{Thread, ThreadKey};
use crate::tracee::{Address, Tid};

const SECOND: u64 = 1_000_000_000;

/// A timer rings at most this often, in nanoseconds. If it expires more often, each ring stands for several times, as on a
/// machine that is busy.
const RINGS_APART: u64 = 10_000;

/// Timers of a host, by their numbers.
#[derive(Debug, Default)]
pub struct Timers(Vec<Timer>);

#[derive(Debug)]
struct Timer {
    does: Does,
    /// What its clock shows at the host's time 0.
    clock_start: u64,
    /// When it expires next: its time and its alarm.
    next: Option<(u64, (u64, u64))>,
    /// After that it expires again and again; 0 means once.
    interval: u64,
    /// How often it had expired again before its newest signal was taken (timer_getoverrun(2)).
    overrun: u64,
    deleted: bool,
}

/// What a timer does when it expires.
#[derive(Debug)]
enum Does {
    /// A signal for a process.
    Signal(ProcessKey, Notice),
    /// A signal for one thread of it (SIGEV_THREAD_ID).
    SignalThread(ThreadKey, Notice),
    /// It counts in a descriptor, as long as a process has one.
    Count(OwnedFd, Weak<usize>),
    /// Nothing (SIGEV_NONE).
    Nothing,
}

/// A signal, and what its handler learns: the value that timer_create was given. None for the real-time timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Notice {
    signal: i32,
    value: Option<u64>,
}

impl Notice {
    /// `siginfo_t` of a timer (sigaction(2)).
    fn info(self, number: usize, value: u64) -> [u8; size_of::<libc::siginfo_t>()] {
        let mut info = [0; size_of::<libc::siginfo_t>()];
        info[..4].copy_from_slice(&self.signal.to_le_bytes());
        info[8..12].copy_from_slice(&libc::SI_TIMER.to_le_bytes());
        info[16..20].copy_from_slice(&(number as u32).to_le_bytes());
        info[24..32].copy_from_slice(&value.to_le_bytes());
        info
    }
}

/// When a timer expires: for the first time, and how long from one time to the next. Spans of nanoseconds; 0 is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Schedule {
    first: u64,
    interval: u64,
}

impl Host {
    fn add_timer(&mut self, does: Does, clock_start: u64) -> usize {
        self.forget_closed_timers();
        let timer = Timer { does, clock_start, next: None, interval: 0, overrun: 0, deleted: false };
        match self.timers.0.iter().position(|timer| timer.deleted) {
            Some(number) => {
                self.timers.0[number] = timer;
                number
            }
            None => {
                self.timers.0.push(timer);
                self.timers.0.len() - 1
            }
        }
    }

    /// Deletes timers of descriptors that are closed.
    fn forget_closed_timers(&mut self) {
        for number in 0..self.timers.0.len() {
            if matches!(&self.timers.0[number].does, Does::Count(_, holders) if holders.strong_count() == 0) {
                self.delete_timer(number);
            }
        }
    }

    fn delete_timer(&mut self, number: usize) {
        self.set_timer(number, None, 0);
        let timer = &mut self.timers.0[number];
        timer.deleted = true;
        timer.does = Does::Nothing;
    }

    /// How long until a timer expires, and its interval.
    fn schedule_of(&self, number: usize) -> Schedule {
        let timer = &self.timers.0[number];
        let first = timer.next.map_or(0, |(time, _)| time.saturating_sub(self.clock).max(1));
        Schedule { first, interval: timer.interval }
    }

    /// Sets a timer to this time of the host; 0 stops it. Returns how it was set before.
    fn set_timer(&mut self, number: usize, time: Option<u64>, interval: u64) -> Schedule {
        let before = self.schedule_of(number);
        if let Some((_, entry)) = self.timers.0[number].next.take() {
            self.unset_alarm(entry);
        }
        self.timers.0[number].interval = interval;
        if let Some(time) = time {
            let entry = self.set_alarm(time, Alarm::Timer(number));
            self.timers.0[number].next = Some((time, entry));
        }
        before
    }

    /// A timer's time has come.
    pub(crate) fn timer_expired(&mut self, number: usize) {
        let timer = &mut self.timers.0[number];
        let Some((time, _)) = timer.next.take() else { return };
        let interval = timer.interval;
        if matches!(&timer.does, Does::Count(_, holders) if holders.strong_count() == 0) {
            return self.delete_timer(number);
        }
        let mut times = 1_u64;
        if let Some(passed) = self.clock.saturating_sub(time).checked_div(interval) {
            // A program that is late gets one signal for all, as on a busy machine.
            times += passed;
            let next = time.saturating_add(times.saturating_mul(interval));
            // One of some nanoseconds would ring for ever while no time passes.
            let entry = self.set_alarm(next.max(self.clock + RINGS_APART), Alarm::Timer(number));
            self.timers.0[number].next = Some((next, entry));
        }
        match &self.timers.0[number].does {
            &Does::Signal(process, notice) => {
                let pid = self.processes[process.0].pid;
                if self.is_told(number, pid, notice, times) {
                    self.signal_process(process, number, notice);
                }
            }
            &Does::SignalThread(thread, notice) => {
                let tid = self.thread(thread).tid;
                if self.is_told(number, tid, notice, times) {
                    self.signal_thread(thread, number, notice);
                }
            }
            Does::Count(file, _) => {
                // SAFETY: a buffer of eight bytes.
                unsafe { libc::write(file.as_raw_fd(), (&raw const times).cast(), 8) };
            }
            Does::Nothing => {}
        }
    }

    /// Whether a timer sends its signal now. One whose signal has not been taken yet counts instead.
    fn is_told(&mut self, number: usize, target: Tid, notice: Notice, times: u64) -> bool {
        let waits = notice.value.is_some() && is_pending(target, notice.signal);
        let timer = &mut self.timers.0[number];
        timer.overrun = if waits { timer.overrun.saturating_add(times) } else { times - 1 };
        !waits
    }

    fn signal_process(&mut self, process: ProcessKey, number: usize, notice: Notice) {
        let target = &self.processes[process.0];
        if target.ending.is_some() {
            return self.delete_timer(number);
        }
        let (pid, signal) = (target.pid.0, notice.signal);
        // SAFETY: the number is that of a tracee that was not waited for; the structure is live.
        unsafe {
            match notice.value {
                None => libc::kill(pid, signal).into(),
                Some(value) => {
                    libc::syscall(libc::SYS_rt_sigqueueinfo, pid, signal, notice.info(number, value).as_ptr())
                }
            }
        };
        self.notice_signals(process, 0);
    }

    fn signal_thread(&mut self, key: ThreadKey, number: usize, notice: Notice) {
        let thread = self.thread(key);
        if thread.gone {
            return self.delete_timer(number);
        }
        let (tid, process, signal) = (thread.tid, thread.process, notice.signal);
        let pid = self.processes[process.0].pid.0;
        let info = notice.info(number, notice.value.unwrap_or(0));
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid.0, signal, info.as_ptr()) };
        self.notice_signals(process, 0);
    }
}

/// The real-time timer of a process, which alarm and setitimer share.
fn real_timer(call: &mut Call<'_>) -> usize {
    let process = call.host.thread(call.key).process;
    let is_it =
        |timer: &Timer| matches!(timer.does, Does::Signal(owner, _) if owner == process && timer.clock_start == 0);
    match call.host.timers.0.iter().position(is_it) {
        Some(number) => number,
        None => call.host.add_timer(Does::Signal(process, Notice { signal: libc::SIGALRM, value: None }), 0),
    }
}

pub fn alarm(call: &mut Call<'_>) -> Answer {
    let seconds = call.args[0] & 0xFFFF_FFFF;
    let timer = real_timer(call);
    let time = (seconds > 0).then(|| call.now() + seconds * SECOND);
    let before = call.host.set_timer(timer, time, 0);
    returns(before.first.div_ceil(SECOND) as i64)
}

pub fn setitimer(call: &mut Call<'_>) -> Answer {
    if call.int(0) != libc::ITIMER_REAL {
        return refuse(call.unsupported("only timers of real time are simulated (ITIMER_REAL)"));
    }
    let interval = call.timeval(call.args[1])?.ok_or(Errno(libc::EFAULT))?;
    let first = call.timeval(call.args[1].wrapping_add(16))?.unwrap_or(0);
    let timer = real_timer(call);
    let time = (first > 0).then(|| call.now().saturating_add(first));
    let before = call.host.set_timer(timer, time, interval);
    write_schedule(call, call.args[2], before, 1_000)?;
    DONE
}

pub fn getitimer(call: &mut Call<'_>) -> Answer {
    let schedule = if call.int(0) == libc::ITIMER_REAL {
        let timer = real_timer(call);
        call.host.schedule_of(timer)
    } else {
        Schedule::default()
    };
    write_schedule(call, call.args[1], schedule, 1_000)?;
    DONE
}

/// `struct itimerspec`, or `struct itimerval` with a unit of a microsecond: first the interval.
fn write_schedule(call: &Call<'_>, address: Address, schedule: Schedule, unit: u64) -> Result<(), Errno> {
    if address == 0 {
        return Ok(());
    }
    let Schedule { first, interval } = schedule;
    let words = [interval / SECOND, interval % SECOND / unit, first / SECOND, first % SECOND / unit];
    Ok(call.tid().write_words(address, &words)?)
}

/// Where `struct sigevent` says what to do.
pub fn timer_create(call: &mut Call<'_>) -> Answer {
    let Some(clock_start) = start_of(call.int(0)) else { return fail(libc::EINVAL) };
    let process = call.host.thread(call.key).process;
    let event = call.args[1];
    // Without an event it is SIGALRM, with the timer's number.
    let mut does = Does::Signal(process, Notice { signal: libc::SIGALRM, value: Some(0) });
    if event != 0 {
        // `struct sigevent`: the value, the signal and the way, the thread.
        let [value, signal_and_way, thread] = call.tid().read_words(event)?;
        let notice = Notice { signal: signal_and_way as i32, value: Some(value) };
        does = match (signal_and_way >> 32) as i32 {
            libc::SIGEV_NONE => Does::Nothing,
            _ if !(1..=64).contains(&notice.signal) => return fail(libc::EINVAL),
            libc::SIGEV_SIGNAL => Does::Signal(process, notice),
            libc::SIGEV_THREAD_ID => {
                let is_it = |known: &Thread| known.shown == thread as i32 && known.process == process && !known.gone;
                let found = call.host.threads.iter().position(is_it);
                Does::SignalThread(ThreadKey(found.ok_or(Errno(libc::EINVAL))?), notice)
            }
            _ => return fail(libc::EINVAL),
        };
    }
    // The real-time timer is the only one whose clock begins at 0.
    let number = call.host.add_timer(does, clock_start);
    if event == 0
        && let Does::Signal(_, notice) = &mut call.host.timers.0[number].does
    {
        notice.value = Some(number as u64);
    }
    call.tid().write(call.args[2], &(number as u32).to_le_bytes())?;
    DONE
}

/// The timer that a program means.
fn timer(call: &Call<'_>) -> Result<usize, Errno> {
    let number = call.args[0] as usize;
    let is_one = |timer: &Timer| !timer.deleted && timer.clock_start != 0 && !matches!(timer.does, Does::Count(..));
    call.host.timers.0.get(number).filter(|timer| is_one(timer)).map(|_| number).ok_or(Errno(libc::EINVAL))
}

pub fn timer_settime(call: &mut Call<'_>) -> Answer {
    let number = timer(call)?;
    settime(call, number)
}

/// Timer, flags, the new schedule, and where the old one is written: alike for both kinds.
fn settime(call: &mut Call<'_>, number: usize) -> Answer {
    let [_, flags, new, old, ..] = call.args;
    let interval = call.timespec(new)?.ok_or(Errno(libc::EFAULT))?;
    let first = call.timespec(new.wrapping_add(16))?.unwrap_or(0);
    let is_absolute = flags & libc::TIMER_ABSTIME as u64 != 0;
    let start = call.host.timers.0[number].clock_start;
    let time = match first {
        0 => None,
        _ if is_absolute => Some(first.saturating_sub(start)),
        _ => Some(call.now().saturating_add(first)),
    };
    let before = call.host.set_timer(number, time, interval);
    write_schedule(call, old, before, 1)?;
    DONE
}

pub fn timer_gettime(call: &mut Call<'_>) -> Answer {
    let number = timer(call)?;
    write_schedule(call, call.args[1], call.host.schedule_of(number), 1)?;
    DONE
}

pub fn timer_getoverrun(call: &mut Call<'_>) -> Answer {
    let number = timer(call)?;
    returns(call.host.timers.0[number].overrun.min(i32::MAX as u64))
}

pub fn timer_delete(call: &mut Call<'_>) -> Answer {
    let number = timer(call)?;
    call.host.delete_timer(number);
    DONE
}

pub fn timerfd_create(call: &mut Call<'_>) -> Answer {
    let Some(clock_start) = start_of(call.int(0)) else { return fail(libc::EINVAL) };
    let flags = call.args[1];
    if flags & !((libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) as u64) != 0 {
        return fail(libc::EINVAL);
    }
    // The flags of both calls have the same values.
    call.replace(libc::SYS_eventfd2, [0, flags])?;
    let fd = call.complete()? as i32;
    if fd >= 0 {
        call.process().descriptors.forget(fd);
        let file = call.process().fetch(fd).map_err(|_| Errno(libc::ENFILE))?;
        let number = call.host.add_timer(Does::Count(file, Weak::new()), clock_start);
        let holder = Rc::new(number);
        if let Does::Count(_, holders) = &mut call.host.timers.0[number].does {
            *holders = Rc::downgrade(&holder);
        }
        call.process().descriptors.timers.insert(fd, holder);
    }
    PROCEED
}

/// The timer of a descriptor.
fn timer_of_descriptor(call: &mut Call<'_>) -> Result<usize, Errno> {
    let fd = call.fd(0);
    call.process().descriptors.timers.get(&fd).map(|number| **number).ok_or(Errno(libc::EINVAL))
}

pub fn timerfd_settime(call: &mut Call<'_>) -> Answer {
    let number = timer_of_descriptor(call)?;
    if let Does::Count(file, _) = &call.host.timers.0[number].does {
        // What it has counted so far is forgotten.
        let mut count = 0_u64;
        if ready(file.as_raw_fd(), libc::POLLIN) != 0 {
            // SAFETY: a buffer of eight bytes.
            unsafe { libc::read(file.as_raw_fd(), (&raw mut count).cast(), 8) };
        }
    }
    settime(call, number)
}

pub fn timerfd_gettime(call: &mut Call<'_>) -> Answer {
    let number = timer_of_descriptor(call)?;
    write_schedule(call, call.args[1], call.host.schedule_of(number), 1)?;
    DONE
}
