//! Who a program is and where it runs: numbers of processes, the processor, the machine's name; getpid(2), getppid(2),
//! gettid(2), getpgid(2), uname(2), getpriority(2), sched_getaffinity(2), getcpu(2) and their kin.
//!
//! Numbers of processes and threads are small and count from a fixed one, so they are the same in every run. There is one
//! processor.

use super::{Answer, Call, DONE, Errno, PROCEED, fail, returns};
use crate::process::ProcessKey;

/// The number of the process that started the program, as the program sees it.
const OUTSIDE: i32 = 1;

/// What uname(2) says the machine is called.
const NAME: &[u8] = b"seedbed";

/// The length of a field of `struct utsname`.
const FIELD: u64 = 65;

pub fn getpid(call: &mut Call<'_>) -> Answer {
    returns(call.process().shown)
}

pub fn gettid(call: &mut Call<'_>) -> Answer {
    returns(call.host.thread(call.key).shown)
}

pub fn getppid(call: &mut Call<'_>) -> Answer {
    let parent = call.process().parent.map(|parent| &call.host.processes[parent.0]);
    returns(parent.filter(|parent| parent.ending.is_none()).map_or(OUTSIDE, |parent| parent.shown))
}

pub fn getpgrp(call: &mut Call<'_>) -> Answer {
    returns(call.process().group)
}

/// Also getsid: sessions are groups here.
pub fn getpgid(call: &mut Call<'_>) -> Answer {
    let wanted = call.int(0);
    if wanted == 0 {
        return getpgrp(call);
    }
    let process = call.host.process_of_number(wanted).ok_or(Errno(libc::ESRCH))?;
    returns(call.host.processes[process.0].group)
}

/// Groups are kept here. For the kernel all processes of a host stay in one.
pub fn setpgid(call: &mut Call<'_>) -> Answer {
    let (wanted, group) = (call.int(0), call.int(1));
    let process = match wanted {
        0 => call.host.thread(call.key).process,
        _ => call.host.process_of_number(wanted).ok_or(Errno(libc::ESRCH))?,
    };
    let process = &mut call.host.processes[process.0];
    process.group = if group == 0 { process.shown } else { group };
    DONE
}

pub fn setsid(call: &mut Call<'_>) -> Answer {
    let process = call.process();
    process.group = process.shown;
    returns(process.shown)
}

pub fn uname(call: &mut Call<'_>) -> Answer {
    if call.complete()? == 0 {
        let mut field = [0; FIELD as usize];
        field[..NAME.len()].copy_from_slice(NAME);
        call.tid().write(call.args[0] + FIELD, &field)?;
    }
    PROCEED
}

pub fn personality(call: &mut Call<'_>) -> Answer {
    // To ask is allowed.
    if call.args[0] as u32 == u32::MAX { PROCEED } else { fail(libc::EPERM) }
}

pub fn getcpu(call: &mut Call<'_>) -> Answer {
    for place in [0, 1] {
        if call.args[place] != 0 {
            call.tid().write(call.args[place], &[0; 4])?;
        }
    }
    DONE
}

pub fn sched_setaffinity(_: &mut Call<'_>) -> Answer {
    DONE
}

/// One processor: the first.
pub fn sched_getaffinity(call: &mut Call<'_>) -> Answer {
    /// What the kernel writes on machines with up to 64 processors.
    const LENGTH: usize = 8;
    if (call.args[1] as usize) < LENGTH {
        return fail(libc::EINVAL);
    }
    call.tid().write_words(call.args[2], &[1])?;
    returns(LENGTH as i64)
}

/// By nice(1), the caller may have made the process of the simulation a less preferred one. Programs begin as others do,
/// and may change that for themselves. It has no effect: one thread runs at a time.
pub fn getpriority(call: &mut Call<'_>) -> Answer {
    let key = prioritised(call)?;
    // The kernel does so, too, so that no priority looks like an error.
    returns(20 - call.host.processes[key.0].niceness)
}

pub fn setpriority(call: &mut Call<'_>) -> Answer {
    let key = prioritised(call)?;
    let wanted = call.int(2).clamp(-20, 19);
    let process = &mut call.host.processes[key.0];
    if wanted < process.niceness {
        return fail(libc::EACCES);
    }
    process.niceness = wanted;
    DONE
}

/// The process whose priority is asked for. Of a group, or of all of a user, it is the one that asks.
fn prioritised(call: &mut Call<'_>) -> Result<ProcessKey, Errno> {
    let wanted = call.int(1);
    if call.args[0] as u32 == libc::PRIO_PROCESS && wanted != 0 {
        return call.host.process_of_number(wanted).ok_or(Errno(libc::ESRCH));
    }
    Ok(call.host.thread(call.key).process)
}

/// The usual policy, for the same reason.
pub fn sched_getscheduler(_: &mut Call<'_>) -> Answer {
    returns(libc::SCHED_OTHER)
}

/// It has no priority of its own.
pub fn sched_getparam(call: &mut Call<'_>) -> Answer {
    call.tid().write(call.args[1], &[0; 4])?;
    DONE
}

pub fn pidfd_open(call: &mut Call<'_>) -> Answer {
    let real = call.host.real_number(call.int(0)).ok_or(Errno(libc::ESRCH))?;
    call.set_arg(0, real as u64)?;
    PROCEED
}
