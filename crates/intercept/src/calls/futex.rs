//! Waiting for a number in memory to change: futex(2), on which all locks and conditions are built.
//!
//! Only one thread runs at a time, so the kernel has no part in this. Waiting threads stand in queues here, first come,
//! first served.

use std::collections::{BTreeMap, VecDeque};

use super::{Answer, Call, Errno, Outcome, fail, refuse, returns};
use crate::calls::time::start_of;
use crate::host::Host;
use crate::process::ProcessKey;
use crate::thread::{Cause, Next, ThreadKey, Woken};
use crate::tracee::Address;

const WAIT: i32 = 0;
const WAKE: i32 = 1;
const REQUEUE: i32 = 3;
const CMP_REQUEUE: i32 = 4;
const WAKE_OP: i32 = 5;
const WAIT_BITSET: i32 = 9;
const WAKE_BITSET: i32 = 10;

/// Flags beside the operation: the memory is not shared with other processes; the deadline is one of the wall clock.
const PRIVATE: i32 = 128;
const CLOCK_REALTIME: i32 = 256;

const ALL: u32 = u32::MAX;

/// Which futex: an address of a process, or a place in a file that several processes map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FutexKey {
    /// Of one process.
    Own(ProcessKey, Address),
    /// Of all processes that map this: the device, the file's number on it, and the place in the file.
    Shared((u64, u64), u64),
}

/// A thread that waits, and for which wake-ups.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    key: ThreadKey,
    bits: u32,
}

/// Threads that wait at futexes.
#[derive(Debug, Default)]
pub struct Futexes {
    queues: BTreeMap<FutexKey, VecDeque<Waiter>>,
}

impl Futexes {
    fn join(&mut self, futex: FutexKey, waiter: Waiter) {
        self.queues.entry(futex).or_default().push_back(waiter);
    }

    /// Takes out the first thread whose bits are among these.
    fn take(&mut self, futex: FutexKey, bits: u32) -> Option<Waiter> {
        let queue = self.queues.get_mut(&futex)?;
        let place = queue.iter().position(|waiter| waiter.bits & bits != 0)?;
        let waiter = queue.remove(place);
        if queue.is_empty() {
            self.queues.remove(&futex);
        }
        waiter
    }

    /// A thread waits no longer.
    pub fn leave(&mut self, key: ThreadKey) {
        self.queues.retain(|_, queue| {
            queue.retain(|waiter| waiter.key != key);
            !queue.is_empty()
        });
    }

    /// A process has ended.
    pub fn forget(&mut self, process: ProcessKey) {
        self.queues.retain(|futex, _| !matches!(futex, FutexKey::Own(owner, _) if *owner == process));
    }
}

impl Host {
    /// Wakes up to this many threads. Returns how many.
    fn wake_waiters(&mut self, futex: FutexKey, most: i32, bits: u32) -> i64 {
        let mut woken = 0;
        while woken < i64::from(most)
            && let Some(waiter) = self.futexes.take(futex, bits)
        {
            self.wake(waiter.key, Next::Return(0));
            woken += 1;
        }
        woken
    }

    /// All threads that wait at an address of a process, which a thread that has ended has cleared.
    pub(crate) fn wake_futex(&mut self, process: ProcessKey, address: Address) {
        self.wake_waiters(FutexKey::Own(process, address), i32::MAX, ALL);
    }
}

pub fn futex(call: &mut Call<'_>) -> Answer {
    let operation = call.int(1) & !(PRIVATE | CLOCK_REALTIME);
    match operation {
        WAIT => wait(call, ALL),
        WAIT_BITSET => wait(call, call.args[5] as u32),
        WAKE => wake(call, ALL),
        WAKE_BITSET => wake(call, call.args[5] as u32),
        REQUEUE | CMP_REQUEUE => requeue(call, operation == CMP_REQUEUE),
        WAKE_OP => wake_op(call),
        _ => refuse(call.unsupported("futexes with priority inheritance are not simulated; use ordinary mutexes")),
    }
}

/// The futex at an address.
fn key(call: &mut Call<'_>, address: Address) -> Result<FutexKey, Errno> {
    if !address.is_multiple_of(4) {
        return Err(Errno(libc::EINVAL));
    }
    let process = call.host.thread(call.key).process;
    let own = FutexKey::Own(process, address);
    if call.int(1) & PRIVATE != 0 {
        return Ok(own);
    }
    Ok(shared(call.tid().0, address).unwrap_or(own))
}

/// What an address is of, if several processes may map it (proc_pid_maps(5)).
fn shared(tid: i32, address: Address) -> Option<FutexKey> {
    let maps = std::fs::read_to_string(format!("/proc/{tid}/maps")).ok()?;
    maps.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let start = hex(from)?;
        if !(start..hex(to)?).contains(&address) || !fields.next()?.ends_with('s') {
            return None;
        }
        let offset = hex(fields.next()?)?;
        let (major, minor) = fields.next()?.split_once(':')?;
        let device = hex(major)? << 32 | hex(minor)?;
        Some(FutexKey::Shared((device, fields.next()?.parse().ok()?), offset + address - start))
    })
}

fn wait(call: &mut Call<'_>, bits: u32) -> Answer {
    match call.woken {
        Woken::TimedOut => {
            call.host.futexes.leave(call.key);
            return fail(libc::ETIMEDOUT);
        }
        // Only a wake-up ends it, and that answers it.
        Woken::Perhaps => return returns(0),
        Woken::Fresh => {}
    }
    if bits == 0 {
        return fail(libc::EINVAL);
    }
    let futex = key(call, call.args[0])?;
    if call.tid().read_u32(call.args[0])? != call.args[2] as u32 {
        return fail(libc::EAGAIN);
    }
    let time = call.timespec(call.args[3])?;
    let operation = call.int(1);
    let deadline = match time {
        None => None,
        Some(span) if operation & !(PRIVATE | CLOCK_REALTIME) == WAIT => Some(call.now().saturating_add(span)),
        Some(time) => {
            let clock = if operation & CLOCK_REALTIME != 0 { libc::CLOCK_REALTIME } else { libc::CLOCK_MONOTONIC };
            Some(time.saturating_sub(start_of(clock).unwrap_or(0)))
        }
    };
    call.host.futexes.join(futex, Waiter { key: call.key, bits });
    Ok(Outcome::Wait { on: Cause::Futex, deadline, nap: false })
}

fn wake(call: &mut Call<'_>, bits: u32) -> Answer {
    if bits == 0 {
        return fail(libc::EINVAL);
    }
    let futex = key(call, call.args[0])?;
    let most = call.int(2);
    returns(call.host.wake_waiters(futex, most, bits))
}

/// Wakes some threads, and lets others wait at another futex from now on.
fn requeue(call: &mut Call<'_>, compares: bool) -> Answer {
    let (from, to) = (key(call, call.args[0])?, key(call, call.args[4])?);
    if compares && call.tid().read_u32(call.args[0])? != call.args[5] as u32 {
        return fail(libc::EAGAIN);
    }
    let most = call.int(2);
    let woken = call.host.wake_waiters(from, most, ALL);
    let mut moved = 0;
    while moved < i64::from(call.int(3))
        && let Some(waiter) = call.host.futexes.take(from, ALL)
    {
        call.host.futexes.join(to, waiter);
        moved += 1;
    }
    returns(if compares { woken + moved } else { woken })
}

/// Changes a number, wakes threads at one futex, and those at the number's own if it was such and such before.
fn wake_op(call: &mut Call<'_>) -> Answer {
    let (first, second) = (key(call, call.args[0])?, key(call, call.args[4])?);
    let code = call.args[5] as u32;
    let signed = |value: u32| ((value << 20) as i32) >> 20;
    let (argument, compared) = (signed(code >> 12 & 0xFFF), signed(code & 0xFFF));
    let argument = if code >> 31 & 1 == 1 { 1_i32.wrapping_shl(argument as u32) } else { argument };
    let old = call.tid().read_u32(call.args[4])? as i32;
    let new = match code >> 28 & 7 {
        0 => argument,
        1 => old.wrapping_add(argument),
        2 => old | argument,
        3 => old & !argument,
        4 => old ^ argument,
        _ => return fail(libc::ENOSYS),
    };
    let holds = match code >> 24 & 0xF {
        0 => old == compared,
        1 => old != compared,
        2 => old < compared,
        3 => old <= compared,
        4 => old > compared,
        5 => old >= compared,
        _ => return fail(libc::ENOSYS),
    };
    call.tid().write(call.args[4], &new.to_le_bytes())?;
    let (most, most_there) = (call.int(2), call.int(3));
    let mut woken = call.host.wake_waiters(first, most, ALL);
    if holds {
        woken += call.host.wake_waiters(second, most_there, ALL);
    }
    returns(woken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thread_with_matching_bits_is_woken_and_one_that_left_never_is() {
        let futex = FutexKey::Own(ProcessKey(0), 4096);
        let mut futexes = Futexes::default();
        for (number, bits) in [(0, 1), (1, 2), (2, 3), (3, 2)] {
            futexes.join(futex, Waiter { key: ThreadKey(number), bits });
        }
        futexes.leave(ThreadKey(2));
        let mut take = |bits| futexes.take(futex, bits).map(|waiter| waiter.key.0);
        assert_eq!([take(2), take(2), take(2), take(ALL), take(ALL)], [Some(1), Some(3), None, Some(0), None]);
        assert!(futexes.queues.is_empty());
    }
}
