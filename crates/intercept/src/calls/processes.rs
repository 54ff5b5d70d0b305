//! Waiting for the end of processes: wait4(2), waitid(2); and prctl(2).

use super::signals::SENDER;
use super::{Answer, Call, DONE, Errno, Outcome, PROCEED, fail};
use crate::host::Host;
use crate::process::{Process, ProcessKey};
use crate::thread::Cause;

/// Which children a call waits for, by the numbers that programs see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// All.
    All,
    /// This one.
    One(i32),
    /// Those of a process group.
    Group(i32),
}

/// What there is of the children that are waited for.
pub enum Found {
    /// The first one that has ended and was not asked about yet.
    Ended(ProcessKey),
    /// All of them live.
    Living,
    /// There are none.
    Nothing,
}

impl Host {
    /// Looks for children of a process that have ended, in the order in which they were made.
    pub(crate) fn find_child(&self, parent: ProcessKey, wanted: Children) -> Found {
        let is_wanted = |child: &Process| {
            let is_one = match wanted {
                Children::All => true,
                Children::One(number) => child.shown == number,
                Children::Group(group) => child.group == group,
            };
            is_one && child.parent == Some(parent) && !child.reaped
        };
        let mut found = Found::Nothing;
        for (place, child) in self.processes.iter().enumerate().filter(|(_, child)| is_wanted(child)) {
            if child.ending.is_some() {
                return Found::Ended(ProcessKey(place));
            }
            found = Found::Living;
        }
        found
    }
}

pub fn wait4(call: &mut Call<'_>) -> Answer {
    let [_, _, options, usage, ..] = call.args;
    let wanted = match call.int(0) {
        -1 => Children::All,
        0 => Children::Group(call.process().group),
        group @ i32::MIN..0 => Children::Group(group.wrapping_neg()),
        number => Children::One(number),
    };
    let child = match call.host.find_child(call.host.threads[call.key.0].process, wanted) {
        Found::Ended(child) => child,
        Found::Nothing => return fail(libc::ECHILD),
        Found::Living => return wait(call, wanted, options),
    };
    let pid = call.host.processes[child.0].pid.0;
    call.set_arg(0, pid as u64)?;
    if call.complete()? > 0 {
        let child = &mut call.host.processes[child.0];
        child.reaped = true;
        let shown = child.shown;
        call.set_result(shown.into())?;
        clear_usage(call, usage)?;
    }
    PROCEED
}

pub fn waitid(call: &mut Call<'_>) -> Answer {
    let [kind, _, info, options, usage, _] = call.args;
    let number = call.int(1);
    let wanted = match kind as u32 {
        libc::P_ALL => Children::All,
        libc::P_PID => Children::One(number),
        libc::P_PGID if number == 0 => Children::Group(call.process().group),
        libc::P_PGID => Children::Group(number),
        // As on systems that do not know P_PIDFD: which process a descriptor is of is the kernel's knowledge.
        _ => return fail(libc::EINVAL),
    };
    let child = match call.host.find_child(call.host.threads[call.key.0].process, wanted) {
        Found::Ended(child) => child,
        Found::Nothing => return fail(libc::ECHILD),
        Found::Living => {
            if options & libc::WNOHANG as u64 != 0 && info != 0 {
                // The signal and the process: none.
                call.tid().write(info, &[0; 4])?;
                call.tid().write(info.wrapping_add(SENDER), &[0; 4])?;
            }
            return wait(call, wanted, options);
        }
    };
    let pid = call.host.processes[child.0].pid.0;
    call.set_arg(0, libc::P_PID.into())?;
    call.set_arg(1, pid as u64)?;
    if call.complete()? == 0 {
        let child = &mut call.host.processes[child.0];
        child.reaped |= options & libc::WNOWAIT as u64 == 0;
        let shown = child.shown;
        if info != 0 {
            call.tid().write(info.wrapping_add(SENDER), &shown.to_le_bytes())?;
        }
        clear_usage(call, usage)?;
    }
    PROCEED
}

/// No child has ended yet. It waits for that, unless it does not want to wait.
fn wait(call: &mut Call<'_>, wanted: Children, options: u64) -> Answer {
    if options & libc::WNOHANG as u64 == 0 {
        return Ok(Outcome::Wait { on: Cause::Child(wanted), deadline: None, nap: false });
    }
    call.spend(call.host.model.poll);
    call.look_in_vain(Cause::Child(wanted), DONE)
}

/// What a child used is real time.
fn clear_usage(call: &Call<'_>, usage: u64) -> Result<(), Errno> {
    if usage != 0 {
        call.tid().write(usage, &[0; size_of::<libc::rusage>()])?;
    }
    Ok(())
}

/// Commands that change what the simulation relies on.
const PROTECTED: [i32; 7] = [
    libc::PR_SET_SECCOMP,
    libc::PR_SET_TSC,
    libc::PR_SET_DUMPABLE,
    libc::PR_SET_NO_NEW_PRIVS,
    libc::PR_SET_PTRACER,
    libc::PR_SET_CHILD_SUBREAPER,
    libc::PR_SET_MM,
];

pub fn prctl(call: &mut Call<'_>) -> Answer {
    let command = call.int(0);
    if PROTECTED.contains(&command) {
        return fail(libc::EPERM);
    }
    if command == libc::PR_SET_PDEATHSIG {
        // The kernel would send it where nothing here sees it.
        let signal = call.int(1);
        if !(0..=64).contains(&signal) {
            return fail(libc::EINVAL);
        }
        call.process().death_signal = signal;
        return DONE;
    }
    if command == libc::PR_GET_PDEATHSIG {
        let signal = call.process().death_signal;
        call.tid().write(call.args[1], &signal.to_le_bytes())?;
        return DONE;
    }
    PROCEED
}
