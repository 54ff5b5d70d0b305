//! Waiting for the end of processes: wait4(2), waitid(2); and prctl(2).

use super::{Answer, Call, Errno, Outcome, PROCEED, fail};
use crate::process::ProcessKey;
use crate::thread::Cause;
use crate::tracee::Tid;

pub fn wait4(call: &mut Call<'_>) -> Answer {
    let [_, status, options, usage, ..] = call.args;
    if let Some(answer) = wait_first(call, options) {
        return answer;
    }
    translate_group_or_process(call, 0)?;
    let result = call.complete()?;
    if result > 0 {
        let shown = reap(call, Tid(result as i32));
        call.set_result(shown.into())?;
        let _ = status;
    }
    if usage != 0 && result > 0 {
        // What it used is real time.
        call.tid().write(usage, &[0; 144])?;
    }
    PROCEED
}

pub fn waitid(call: &mut Call<'_>) -> Answer {
    let [_, _, info, options, ..] = call.args;
    if let Some(answer) = wait_first(call, options) {
        return answer;
    }
    if matches!(call.args[0] as u32, libc::P_PID | libc::P_PGID) {
        translate_group_or_process(call, 1)?;
    }
    if call.complete()? == 0 && info != 0 {
        // si_pid
        let pid = call.tid().read_u32(info + 12)?;
        if pid != 0 {
            let leaves = options & libc::WNOWAIT as u64 != 0;
            let shown = if leaves { shown(call, Tid(pid as i32)) } else { reap(call, Tid(pid as i32)) };
            call.tid().write(info + 12, &shown.to_le_bytes())?;
        }
    }
    PROCEED
}

/// It waits until a child has ended, unless it does not want to wait. None if the kernel can answer now.
fn wait_first(call: &mut Call<'_>, options: u64) -> Option<Answer> {
    let process = call.host.thread(call.key).process;
    if options & libc::WNOHANG as u64 != 0 || call.host.has_dead_child(process) {
        return None;
    }
    Some(Ok(Outcome::Wait { on: Cause::Child, deadline: None, nap: false }))
}

/// Programs name processes by the numbers that they see.
fn translate_group_or_process(call: &mut Call<'_>, place: usize) -> Result<(), Errno> {
    let wanted = call.int(place);
    let real = match wanted {
        0 | -1 => return Ok(()),
        _ => call.host.real_number(wanted).ok_or(Errno(libc::ECHILD))?,
    };
    call.set_arg(place, real as u64)
}

fn find(call: &Call<'_>, pid: Tid) -> Option<ProcessKey> {
    call.host.processes.iter().rposition(|process| process.pid == pid).map(ProcessKey)
}

fn shown(call: &Call<'_>, pid: Tid) -> i32 {
    find(call, pid).map_or(0, |key| call.host.processes[key.0].shown)
}

/// The parent has learned of the end of a child. Returns the number that programs know the child by.
fn reap(call: &mut Call<'_>, pid: Tid) -> i32 {
    if let Some(key) = find(call, pid) {
        call.host.processes[key.0].reaped = true;
    }
    shown(call, pid)
}

/// Commands that change what the simulation relies on.
const PROTECTED: [i32; 6] = [
    libc::PR_SET_SECCOMP,
    libc::PR_SET_TSC,
    libc::PR_SET_DUMPABLE,
    libc::PR_SET_NO_NEW_PRIVS,
    libc::PR_SET_PTRACER,
    libc::PR_SET_CHILD_SUBREAPER,
];

/// PR_SET_MM and PR_GET_TSC.
const SET_MM: i32 = 35;

pub fn prctl(call: &mut Call<'_>) -> Answer {
    let command = call.int(0);
    if PROTECTED.contains(&command) || command == SET_MM {
        return fail(libc::EPERM);
    }
    PROCEED
}
