//! Signals: kill(2), tgkill(2), sigsuspend(2), sigtimedwait(2), pause(2) and their kin.
//!
//! The kernel keeps and delivers them. What is done here: numbers that programs see become the kernel's, nothing outside
//! the host can be signalled, and a thread that waits is woken if a signal has come for it.

use super::{Answer, Call, Errno, Outcome, PROCEED, fail, refuse};
use crate::host::{Host, is_stop_signal};
use crate::obstacle::What;
use crate::process::ProcessKey;
use crate::thread::{Cause, Next, ThreadKey, Woken};
use crate::tracee::Tid;

/// Codes by which the kernel tells itself what becomes of an interrupted call (linux/errno.h): it is made again if no
/// handler runs or the handler asks for that; or only if no handler runs.
const ERESTARTSYS: i64 = -512;
const ERESTARTNOHAND: i64 = -514;

/// Where `siginfo_t` has its code, the number of the sender or of the child, and the time that the child has used.
const CODE: usize = 8;
/// As [`CODE`].
pub const SENDER: u64 = 16;
const USED: usize = 32;

/// What a thread's status says of signals (proc_pid_status(5)): sets of bits, signal 1 first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Signals {
    /// For this thread.
    pending: u64,
    /// For any thread of its process: the first to go on takes it.
    shared: u64,
    blocked: u64,
    ignored: u64,
    caught: u64,
}

/// Signals that do nothing unless there is a handler.
const HARMLESS: u64 = bit(libc::SIGCHLD) | bit(libc::SIGURG) | bit(libc::SIGWINCH) | bit(libc::SIGCONT);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

impl Signals {
    fn of(tid: Tid) -> Signals {
        let text = std::fs::read_to_string(format!("/proc/{0}/task/{0}/status", tid.0)).unwrap_or_default();
        Signals::parse(&text)
    }

    fn parse(status: &str) -> Signals {
        let mut signals = Signals::default();
        for line in status.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let set = u64::from_str_radix(value.trim(), 16).unwrap_or(0);
            match name {
                "SigPnd" => signals.pending = set,
                "ShdPnd" => signals.shared = set,
                "SigBlk" => signals.blocked = set,
                "SigIgn" => signals.ignored = set,
                "SigCgt" => signals.caught = set,
                _ => {}
            }
        }
        signals
    }

    /// The signals that wait and would do something, if these were blocked.
    fn acting(self, blocked: u64) -> u64 {
        let harmless = HARMLESS & !self.caught | self.ignored;
        (self.pending | self.shared) & !blocked & !harmless
    }

    /// The signals that wait and would end a wait for signals. One that is taken, not delivered, may be ignored otherwise.
    fn awaited(self, blocked: u64, takes: bool) -> u64 {
        let ignored = if takes { 0 } else { self.ignored };
        (self.pending | self.shared) & !blocked & !ignored
    }
}

impl Host {
    /// Whether a signal waits for a thread that would do something, if these were blocked. They are while its call waits.
    pub(crate) fn has_signal(&mut self, key: ThreadKey, blocked: u64) -> bool {
        let thread = self.thread(key);
        thread.mask = Some(blocked);
        Signals::of(thread.tid).acting(blocked) != 0
    }

    /// Whether a signal waits for a thread that would do something.
    pub(crate) fn is_signalled(&mut self, key: ThreadKey) -> bool {
        let signals = Signals::of(self.thread(key).tid);
        signals.acting(signals.blocked) != 0
    }

    /// Wakes the threads of a process for which a signal has come. Of those that wait for a signal of the process as a
    /// whole one is woken, as by the kernel. Those signals that the running thread will take wake none.
    pub(crate) fn notice_signals(&mut self, process: ProcessKey, mut taken: u64) {
        for key in self.threads_of(process) {
            let thread = self.thread(key);
            let Some(wait) = &thread.wait else { continue };
            let (tid, on, mask, nap) = (thread.tid, wait.on.clone(), thread.mask, wait.nap);
            if on == Cause::Offspring {
                continue;
            }
            let mut signals = Signals::of(tid);
            signals.shared &= !taken;
            let come = match on {
                Cause::Signal { blocked, takes } => signals.awaited(blocked, takes),
                _ => signals.acting(mask.unwrap_or(signals.blocked)),
            };
            if come == 0 {
                continue;
            }
            taken |= come;
            match on {
                // The kernel returns from these at once.
                Cause::Signal { .. } => self.wake(key, Next::Judge(Woken::Perhaps)),
                _ if mask.is_some() => self.wake(key, Next::Judge(Woken::Perhaps)),
                // Its call does not wait, so it is not interrupted: it has looked in vain.
                _ if nap => self.wake(key, Next::Judge(Woken::TimedOut)),
                _ => self.interrupt_wait(key),
            }
        }
    }

    fn interrupt_wait(&mut self, key: ThreadKey) {
        self.futexes.leave(key);
        let thread = self.thread(key);
        let number = thread.registers.map_or(0, |registers| registers.orig_rax as i64);
        let rest = thread.rest_of_sleep;
        let deadline = thread.wait.as_ref().and_then(|wait| wait.deadline);
        let written = thread.written;
        if written > 0 {
            // What was written counts.
            return self.wake(key, Next::Return(written as i64));
        }
        if let (Some(address), Some(deadline)) = (rest, deadline) {
            let left = deadline.saturating_sub(self.clock);
            let _ = self.thread(key).tid.write_words(address, &[left / 1_000_000_000, left % 1_000_000_000]);
        }
        let restarts = match number {
            libc::SYS_read | libc::SYS_readv | libc::SYS_write | libc::SYS_writev => true,
            libc::SYS_recvfrom | libc::SYS_recvmsg | libc::SYS_sendto | libc::SYS_sendmsg => deadline.is_none(),
            libc::SYS_wait4 | libc::SYS_waitid | libc::SYS_flock | libc::SYS_fcntl => true,
            libc::SYS_futex => deadline.is_none(),
            _ => false,
        };
        self.wake(key, Next::Interrupt(if restarts { ERESTARTSYS } else { ERESTARTNOHAND }));
    }

    /// The process that a program means by a number.
    pub(crate) fn process_of_number(&self, shown: i32) -> Option<ProcessKey> {
        let is_it = |process: &crate::process::Process| process.shown == shown && !process.reaped;
        self.processes.iter().position(is_it).map(ProcessKey)
    }

    /// The kernel's number of a process, given the one that programs see.
    pub(crate) fn real_number(&self, shown: i32) -> Option<i32> {
        self.process_of_number(shown).map(|key| self.processes[key.0].pid.0)
    }

    /// A signal that is about to be delivered to the thread that runs.
    pub(crate) fn handle_signal(&mut self, key: ThreadKey, signal: i32) {
        if self.answer_instruction(key, signal) {
            return self.resume(key, 0);
        }
        let tid = self.thread(key).tid;
        if let Ok(info) = tid.signal_info() {
            /// That the filter sends it (linux/signal.h, SYS_SECCOMP).
            const OF_FILTER: i32 = 1;
            if (signal, info.si_code) == (libc::SIGSYS, OF_FILTER) {
                return self.give_up(key, What::Foreign);
            }
            let mut bytes = [0; size_of::<libc::siginfo_t>()];
            // SAFETY: both are as long as this structure, which is all numbers.
            unsafe { std::ptr::copy_nonoverlapping(std::ptr::from_ref(&info).cast(), bytes.as_mut_ptr(), bytes.len()) };
            if self.hide_sender(&mut bytes) {
                // SAFETY: as above.
                tid.set_signal_info(&unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) });
            }
        }
        self.resume(key, signal);
    }

    /// Whose signal it is, in the numbers that programs see; and that a child has used no time. Returns whether that
    /// changes anything. Other signals carry numbers that programs or timers have chosen (sigaction(2)).
    fn hide_sender(&self, info: &mut [u8; size_of::<libc::siginfo_t>()]) -> bool {
        let number = |at: usize| i32::from_le_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        let is_of_child = number(0) == libc::SIGCHLD;
        if !is_of_child && !matches!(number(CODE), libc::SI_USER | libc::SI_TKILL) {
            return false;
        }
        let sender = number(SENDER as usize);
        let process = self
            .by_tid
            .get(&Tid(sender))
            .map(|key| self.threads[key.0].process)
            .or_else(|| self.processes.iter().rposition(|process| process.pid.0 == sender).map(ProcessKey));
        let shown = process.map_or(0, |process| self.processes[process.0].shown);
        info[SENDER as usize..][..4].copy_from_slice(&shown.to_le_bytes());
        if is_of_child {
            info[USED..USED + 16].fill(0);
        }
        true
    }
}

/// Whom kill(2) means.
enum Target {
    Process(ProcessKey),
    /// All processes of a group, or of the host except the caller's own.
    Several(Vec<ProcessKey>),
}

pub fn kill(call: &mut Call<'_>) -> Answer {
    let (wanted, signal) = (call.int(0), call.int(1));
    let own = call.host.thread(call.key).process;
    let group = call.host.processes[own.0].group;
    let living = |host: &Host, wanted: &dyn Fn(ProcessKey) -> bool| {
        let all = (0..host.processes.len()).map(ProcessKey);
        all.filter(|key| host.processes[key.0].ending.is_none() && wanted(*key)).collect::<Vec<_>>()
    };
    let target = match wanted {
        0 => Target::Several(living(call.host, &|key| call.host.processes[key.0].group == group)),
        -1 => Target::Several(living(call.host, &|key| key != own)),
        i32::MIN..0 => {
            let group = wanted.wrapping_neg();
            Target::Several(living(call.host, &|key| call.host.processes[key.0].group == group))
        }
        _ => Target::Process(call.host.process_of_number(wanted).ok_or(Errno(libc::ESRCH))?),
    };
    match target {
        Target::Process(process) => {
            let real = call.host.processes[process.0].pid.0;
            call.set_arg(0, real as u64)?;
            send(call, process, signal)
        }
        Target::Several(all) if all.is_empty() => fail(libc::ESRCH),
        Target::Several(all) => {
            if all.iter().any(|&process| stops(call.host, process, signal)) {
                return refuse(What::Stopped { signal });
            }
            // Itself last, because it may end.
            for &process in all.iter().filter(|&&process| process != own) {
                // SAFETY: the number is that of a tracee that was not waited for.
                unsafe { libc::kill(call.host.processes[process.0].pid.0, signal) };
                arrived(call.host, process, signal);
            }
            if !all.contains(&own) {
                return Ok(Outcome::Return(0));
            }
            let real = call.host.processes[own.0].pid.0;
            call.set_arg(0, real as u64)?;
            send(call, own, signal)
        }
    }
}

/// Whether a signal would stop a process, which nothing lets go on.
fn stops(host: &Host, target: ProcessKey, signal: i32) -> bool {
    if !is_stop_signal(signal) {
        return false;
    }
    let signals = Signals::of(host.processes[target.0].pid);
    signal == libc::SIGSTOP || (signals.ignored | signals.caught) & bit(signal) == 0
}

/// Whether a signal waits for a thread, or for its process.
pub fn is_pending(tid: Tid, signal: i32) -> bool {
    let signals = Signals::of(tid);
    (signals.pending | signals.shared) & bit(signal) != 0
}

/// Lets the kernel send a signal, and wakes whom it has come for.
fn send(call: &mut Call<'_>, target: ProcessKey, signal: i32) -> Answer {
    if stops(call.host, target, signal) {
        return refuse(What::Stopped { signal });
    }
    if signal == 0 || call.host.thread(call.key).process == target {
        // If it is for the thread itself, it comes as soon as the call is over; and others of the process are looked at.
        if signal != 0 {
            call.complete()?;
            let taken = !Signals::of(call.tid()).blocked;
            call.host.notice_signals(target, taken);
        }
        return PROCEED;
    }
    if call.complete()? == 0 {
        arrived(call.host, target, signal);
    }
    PROCEED
}

/// A signal has been sent to another process.
fn arrived(host: &mut Host, target: ProcessKey, signal: i32) {
    if signal == libc::SIGKILL {
        // It ends now, not at some later moment.
        host.kill_process(target);
    } else {
        host.notice_signals(target, 0);
    }
}

pub fn tkill(call: &mut Call<'_>) -> Answer {
    to_thread(call, 0, 1)
}

pub fn tgkill(call: &mut Call<'_>) -> Answer {
    let process = call.host.real_number(call.int(0)).ok_or(Errno(libc::ESRCH))?;
    call.set_arg(0, process as u64)?;
    to_thread(call, 1, 2)
}

/// rt_sigqueueinfo: the process, the signal, what its handler learns.
pub fn sigqueue(call: &mut Call<'_>) -> Answer {
    let target = call.host.process_of_number(call.int(0)).ok_or(Errno(libc::ESRCH))?;
    let (real, signal) = (call.host.processes[target.0].pid.0, call.int(1));
    call.set_arg(0, real as u64)?;
    send(call, target, signal)
}

/// rt_tgsigqueueinfo.
pub fn tgsigqueue(call: &mut Call<'_>) -> Answer {
    tgkill(call)
}

pub fn pidfd_send_signal(call: &mut Call<'_>) -> Answer {
    // Which process a descriptor is of is the kernel's knowledge; callers fall back to kill.
    let _ = call;
    fail(libc::ENOSYS)
}

fn to_thread(call: &mut Call<'_>, place: usize, signal: usize) -> Answer {
    let (wanted, signal) = (call.int(place), call.int(signal));
    let is_it = |thread: &crate::thread::Thread| thread.shown == wanted && !thread.gone;
    let Some(found) = call.host.threads.iter().position(is_it) else { return fail(libc::ESRCH) };
    let (real, process) = (call.host.threads[found].tid.0, call.host.threads[found].process);
    call.set_arg(place, real as u64)?;
    send(call, process, signal)
}

pub fn pause(call: &mut Call<'_>) -> Answer {
    let blocked = Signals::of(call.tid()).blocked;
    until_signal(call, blocked, false, None)
}

pub fn sigsuspend(call: &mut Call<'_>) -> Answer {
    let blocked = call.tid().read_u64(call.args[0])?;
    until_signal(call, blocked, false, None)
}

/// It waits for one of a set of signals, which are blocked otherwise.
pub fn sigtimedwait(call: &mut Call<'_>) -> Answer {
    if call.woken == Woken::TimedOut {
        return fail(libc::EAGAIN);
    }
    let wanted = call.tid().read_u64(call.args[0])?;
    let span = call.timespec(call.args[2])?;
    let deadline = call.deadline_after(span);
    let outcome = until_signal(call, !wanted, true, deadline)?;
    let info = call.args[1];
    if matches!(outcome, Outcome::Proceed) && call.complete()? > 0 && info != 0 {
        let mut bytes = [0; size_of::<libc::siginfo_t>()];
        call.tid().read(info, &mut bytes)?;
        if call.host.hide_sender(&mut bytes) {
            call.tid().write(info, &bytes)?;
        }
    }
    Ok(outcome)
}

fn until_signal(call: &mut Call<'_>, blocked: u64, takes: bool, deadline: Option<u64>) -> Answer {
    let signals = Signals::of(call.tid());
    if signals.awaited(blocked, takes) != 0 {
        return PROCEED;
    }
    Ok(Outcome::Wait { on: Cause::Signal { blocked, takes }, deadline, nap: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_acts_unless_it_is_blocked_ignored_or_harmless_without_a_handler() {
        let status = "Name:\tx\nSigPnd:\t0000000000000001\nShdPnd:\t0000000000010000\nSigBlk:\t0000000000000002\n\
                      SigIgn:\t0000000000000004\nSigCgt:\t0000000000000008\n";
        let signals = Signals::parse(status);
        assert_eq!(signals, Signals { pending: 1, shared: 0x10000, blocked: 2, ignored: 4, caught: 8 });
        assert_eq!(signals.acting(0), 1);
        assert_eq!(signals.acting(1), 0, "the other one is SIGCHLD, for which there is no handler");
        assert_eq!(Signals { caught: bit(libc::SIGCHLD), ..signals }.acting(1), 0x10000);
        assert_eq!(Signals { ignored: 1, ..signals }.acting(0), 0);
    }
}
