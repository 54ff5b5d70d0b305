//! Limits of what a process may use: getrlimit(2), setrlimit(2), prlimit(2).
//!
//! Who starts the simulation has limits of its own (`ulimit`), which programs would see and hand on. So each program
//! starts with the same ones. Where the kernel allows it, they are real: a process without privileges may not raise its
//! hard limits, so where these are lower than here the program still sees the numbers of here, and the kernel enforces
//! the lower ones.

use std::fmt;
use std::ptr;

use super::{Answer, Call, DONE, Errno};
use crate::process::Process;
use crate::tracee::Tid;

/// No limit.
const UNLIMITED: u64 = libc::RLIM_INFINITY;

/// The largest file that a program may write: 1 GiB.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// One limit: what holds now, and how far it may be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

const fn limit(soft: u64, hard: u64) -> Limit {
    Limit { soft, hard }
}

/// How `/proc/self/limits` names a limit, its unit, and how a program starts; by the numbers of the kernel.
const START: [(&str, &str, Limit); 16] = [
    ("Max cpu time", "seconds", limit(UNLIMITED, UNLIMITED)),
    ("Max file size", "bytes", limit(FILE_BYTES_MAX, FILE_BYTES_MAX)),
    ("Max data size", "bytes", limit(UNLIMITED, UNLIMITED)),
    ("Max stack size", "bytes", limit(8 << 20, UNLIMITED)),
    ("Max core file size", "bytes", limit(0, 0)),
    ("Max resident set", "bytes", limit(UNLIMITED, UNLIMITED)),
    ("Max processes", "processes", limit(UNLIMITED, UNLIMITED)),
    ("Max open files", "files", limit(1_024, 4_096)),
    ("Max locked memory", "bytes", limit(8 << 20, 8 << 20)),
    ("Max address space", "bytes", limit(UNLIMITED, UNLIMITED)),
    ("Max file locks", "locks", limit(UNLIMITED, UNLIMITED)),
    ("Max pending signals", "signals", limit(32_768, 32_768)),
    ("Max msgqueue size", "bytes", limit(819_200, 819_200)),
    ("Max nice priority", "", limit(0, 0)),
    ("Max realtime priority", "", limit(0, 0)),
    ("Max realtime timeout", "us", limit(UNLIMITED, UNLIMITED)),
];

/// Those that a program may change for real. The others count what the kernel measures in its own time, or for all
/// processes of a user: they are only kept.
const ENFORCED: [u32; 5] =
    [libc::RLIMIT_FSIZE, libc::RLIMIT_DATA, libc::RLIMIT_STACK, libc::RLIMIT_NOFILE, libc::RLIMIT_AS];

/// The limits of a process, as programs see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits([Limit; 16]);

impl Default for Limits {
    fn default() -> Limits {
        Limits(START.map(|(_, _, limit)| limit))
    }
}

impl Limits {
    fn get(&self, resource: u64) -> Result<Limit, Errno> {
        self.0.get(resource as usize).copied().ok_or(Errno(libc::EINVAL))
    }

    fn set(&mut self, resource: u64, new: Limit) -> Result<(), Errno> {
        let old = self.get(resource)?;
        if new.soft > new.hard {
            return Err(Errno(libc::EINVAL));
        }
        // Also for root, so that all users see the same.
        if new.hard > old.hard {
            return Err(Errno(libc::EPERM));
        }
        self.0[resource as usize] = new;
        Ok(())
    }
}

/// As proc_pid_limits(5) has it.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: u64| if value == UNLIMITED { "unlimited".to_owned() } else { value.to_string() };
        writeln!(f, "{:<25} {:<20} {:<20} {:<10}", "Limit", "Soft Limit", "Hard Limit", "Units")?;
        for ((name, unit, _), limit) in START.iter().zip(&self.0) {
            writeln!(f, "{name:<25} {:<20} {:<20} {unit:<10}", text(limit.soft), text(limit.hard))?;
        }
        Ok(())
    }
}

/// Gives this process the limits that programs start with, as far as the kernel allows it.
///
/// # Safety
/// Only for a child that becomes a program. It does nothing but single system calls.
pub unsafe fn start() {
    for (resource, (_, _, Limit { soft, hard })) in START.iter().enumerate() {
        let wanted = libc::rlimit { rlim_cur: *soft, rlim_max: *hard };
        let mut own = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: both structures are live.
        unsafe {
            if libc::setrlimit(resource as u32, &wanted) != 0 && libc::getrlimit(resource as u32, &mut own) == 0 {
                own.rlim_cur = own.rlim_max.min(*soft);
                libc::setrlimit(resource as u32, &own);
            }
        }
    }
}

pub fn getrlimit(call: &mut Call<'_>) -> Answer {
    let resource = call.args[0];
    let Limit { soft, hard } = call.process().limits.get(resource)?;
    call.tid().write_words(call.args[1], &[soft, hard])?;
    DONE
}

pub fn setrlimit(call: &mut Call<'_>) -> Answer {
    let [soft, hard] = call.tid().read_words(call.args[1])?;
    let resource = call.args[0];
    change(call.process(), resource, Limit { soft, hard })?;
    DONE
}

pub fn prlimit(call: &mut Call<'_>) -> Answer {
    let [_, resource, new, old, ..] = call.args;
    let key = match call.int(0) {
        0 => call.host.thread(call.key).process,
        number => call.host.process_of_number(number).ok_or(Errno(libc::ESRCH))?,
    };
    let before = call.host.processes[key.0].limits.get(resource)?;
    if new != 0 {
        let [soft, hard] = call.tid().read_words(new)?;
        change(&mut call.host.processes[key.0], resource, Limit { soft, hard })?;
    }
    if old != 0 {
        call.tid().write_words(old, &[before.soft, before.hard])?;
    }
    DONE
}

fn change(process: &mut Process, resource: u64, new: Limit) -> Result<(), Errno> {
    process.limits.set(resource, new)?;
    if ENFORCED.iter().any(|&enforced| u64::from(enforced) == resource) {
        enforce(process.pid, resource as u32, new.soft);
    }
    Ok(())
}

/// The kernel's own hard limit stays: it may be lower than what programs see.
fn enforce(Tid(pid): Tid, resource: u32, soft: u64) {
    let mut own = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structures are live, or there is none.
    unsafe {
        if libc::prlimit(pid, resource, ptr::null(), &mut own) == 0 {
            own.rlim_cur = own.rlim_max.min(soft);
            libc::prlimit(pid, resource, &own, ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: u64 = libc::RLIMIT_NOFILE as u64;

    #[test]
    fn a_hard_limit_can_be_lowered_and_never_raised_again() {
        let mut limits = Limits::default();
        assert_eq!(limits.set(FILES, limit(4_096, 4_096)), Ok(()));
        assert_eq!(limits.set(FILES, limit(10, 20)), Ok(()));
        assert_eq!(limits.set(FILES, limit(10, 21)), Err(Errno(libc::EPERM)));
        assert_eq!(limits.set(FILES, limit(11, 10)), Err(Errno(libc::EINVAL)));
        assert_eq!(limits.get(FILES), Ok(limit(10, 20)));
        assert_eq!(limits.get(16), Err(Errno(libc::EINVAL)));
    }

    #[test]
    fn limits_are_shown_as_the_kernel_shows_its_own() {
        let text = Limits::default().to_string();
        let own = std::fs::read_to_string("/proc/self/limits").expect("a file");
        let names = |text: &str| text.lines().map(|line| line[..26].to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&text), names(&own));
        let line = "Max open files            1024                 4096                 files     \n";
        assert!(text.contains(line), "{text}");
    }
}
