//! Threads and processes as they are made and end: clone(2), clone3(2), fork(2), vfork(2), exit(2), sched_yield(2),
//! set_tid_address(2).

use super::{Answer, Call, DONE, Outcome, PROCEED, fail};
use crate::thread::{Cause, Offspring, Woken};

/// Flags of clone that would take a process out of what is simulated.
const ESCAPES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_UNTRACED) as u64;

pub fn clone(call: &mut Call<'_>) -> Answer {
    let [flags, _, parent_tid, child_tid, ..] = call.args;
    begin(call, Offspring { flags, parent_tid, child_tid })
}

/// The C library falls back to clone(2) where this is missing, but some programs do not. Its arguments are in memory.
pub fn clone3(call: &mut Call<'_>) -> Answer {
    let [flags, _, child_tid, parent_tid] = call.tid().read_words(call.args[0])?;
    begin(call, Offspring { flags, parent_tid, child_tid })
}

pub fn fork(call: &mut Call<'_>) -> Answer {
    begin(call, Offspring::default())
}

fn begin(call: &mut Call<'_>, offspring: Offspring) -> Answer {
    if offspring.flags & ESCAPES != 0 {
        return fail(libc::EPERM);
    }
    if offspring.flags & libc::CLONE_PIDFD as u64 != 0 {
        // Where it is not known, callers do without.
        return fail(libc::EINVAL);
    }
    call.host.thread(call.key).offspring = offspring;
    PROCEED
}

/// Also exit_group.
pub fn exit(call: &mut Call<'_>) -> Answer {
    let process = call.host.thread(call.key).process;
    let others = call.host.threads_of(process).len() > 1;
    if call.number as i64 == libc::SYS_exit_group {
        call.host.processes[process.0].dying = true;
    } else if others && call.tid() == call.host.processes[process.0].pid {
        // The kernel does not tell of the end of a process's first thread before the others have ended, too.
        return Ok(Outcome::Leave);
    }
    PROCEED
}

pub fn sched_yield(call: &mut Call<'_>) -> Answer {
    if call.woken != Woken::Fresh {
        return DONE;
    }
    call.spend(call.host.model.poll);
    if call.host.has_ready() { Ok(Outcome::Yield) } else { call.look_in_vain(Cause::Nothing, DONE) }
}

pub fn set_tid_address(call: &mut Call<'_>) -> Answer {
    let address = call.args[0];
    call.complete()?;
    let thread = call.host.thread(call.key);
    thread.clear_tid = address;
    let shown = thread.shown;
    call.set_result(shown.into())?;
    PROCEED
}
