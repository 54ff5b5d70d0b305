//! Whether this machine can simulate programs, and what is missing if not.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

use crate::filter;
use crate::host::Host;
use crate::kernel::Kernel;
use crate::launch::{Check, Ending, Launch, Setting, State};
use crate::model::{Interleaving, TimeModel, Unsupported};
use crate::process::owned;
use crate::spawn::is_without_programs;
use crate::tracee::{Fault, Tid};

/// The oldest kernel that has all system calls which are used: close_range is of 5.9.
const KERNEL: (u32, u32) = (5, 9);

/// What helps inside a container.
const CONTAINER: &str = "in a container, start it with `--cap-add SYS_PTRACE --security-opt seccomp=unconfined`";

/// What helps if tracing is forbidden.
const YAMA: &str = "if /proc/sys/kernel/yama/ptrace_scope is 3, no process may be traced before the next start of the system; in a \
                    container, start it with `--cap-add SYS_PTRACE --security-opt seccomp=unconfined`";

/// Where copies of programs are.
const BASE: &str = "/tmp/seedbed";

/// What helps if programs cannot be copied, or not be run there.
const TEMPORARY: &str = "make /tmp/seedbed writable for this user, on a file system that programs may be run from; in a container with a \
                         read-only root, start it with `--tmpfs /tmp:exec`";

/// Looks at everything that is needed, and at last simulates a small program.
pub fn examine() -> Vec<Check> {
    let check = |what, remedy, outcome: io::Result<()>| Check {
        what,
        problem: outcome.err().map(|error| error.to_string()),
        remedy,
    };
    vec![
        check("a kernel from 5.9 on", "update the system", kernel_version()),
        check("to trace a process (ptrace)", YAMA, in_child(&|| {}, trace)),
        check("to name a process (pidfd_open)", CONTAINER, pidfd().map(drop)),
        check("to share descriptors with a process (pidfd_getfd)", CONTAINER, in_child(&|| {}, share)),
        check(
            "to read and write the memory of a process (process_vm_readv, process_vm_writev)",
            CONTAINER,
            in_child(&|| {}, reach_memory),
        ),
        check("to fix addresses (personality with ADDR_NO_RANDOMIZE)", CONTAINER, tried(&fix_addresses)),
        check(
            "to hide the processor's clock (prctl with PR_SET_TSC)",
            "use a machine with an x86-64 processor",
            tried(&hide_clock),
        ),
        check("to filter system calls (seccomp)", CONTAINER, tried(&filter_calls)),
        check("to copy programs to /tmp/seedbed and run them there", TEMPORARY, temporary()),
        check("to simulate a small program", "the checks above say why", simulate()),
    ]
}

fn kernel_version() -> io::Result<()> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    let version: (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version >= KERNEL { Ok(()) } else { Err(io::Error::other(format!("this one is {}", text.trim()))) }
}

/// What a system call has returned.
fn result(value: i64) -> io::Result<()> {
    if value == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes a child that does something first and then waits, and looks at it.
fn in_child(first: &dyn Fn(), look: fn(i32) -> io::Result<()>) -> io::Result<()> {
    // SAFETY: the child calls what is async-signal-safe only: the closures make single system calls.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            first();
            // SAFETY: both never return.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                libc::pause();
                libc::_exit(0)
            }
        }
        _ => {}
    }
    let looked = look(pid);
    let mut status = 0;
    // SAFETY: the number is that of a child that was not waited for.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, &mut status, libc::__WALL);
    }
    looked
}

/// Whether something can be done, in a child, as it cannot be undone. It returns 0 or a number of errno(3).
fn tried(action: &dyn Fn() -> i32) -> io::Result<()> {
    // SAFETY: as above.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => return Err(io::Error::last_os_error()),
        // SAFETY: it never returns.
        0 => unsafe { libc::_exit(action()) },
        _ => {}
    }
    let mut status = 0;
    // SAFETY: the status is a live number.
    result(i64::from(unsafe { libc::waitpid(pid, &mut status, 0) }))?;
    match libc::WEXITSTATUS(status) {
        _ if !libc::WIFEXITED(status) => Err(io::Error::other("the process was killed")),
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

fn errno_of(value: i64) -> i32 {
    // SAFETY: it returns a pointer to a live number of this thread.
    if value == -1 { unsafe { *libc::__errno_location() } } else { 0 }
}

fn trace(pid: i32) -> io::Result<()> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the request takes no pointers.
    result(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, nothing, nothing) })
}

fn pidfd() -> io::Result<std::os::fd::OwnedFd> {
    // SAFETY: the calls take numbers only.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) })
}

fn share(pid: i32) -> io::Result<()> {
    // SAFETY: the calls take numbers only.
    let handle = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: as above.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, handle.as_raw_fd(), 0, 0) }).map(drop)
}

/// A word that the child has at the same place.
fn reach_memory(pid: i32) -> io::Result<()> {
    static WORD: AtomicU64 = AtomicU64::new(1);
    let (tid, address) = (Tid(pid), WORD.as_ptr() as u64);
    let reached = tid.read_u64(address).and_then(|word| tid.write_words(address, &[word + 1]));
    reached.map_err(|Fault| io::Error::last_os_error())
}

fn fix_addresses() -> i32 {
    // SAFETY: the call takes a number.
    errno_of(unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) }.into())
}

fn hide_clock() -> i32 {
    // SAFETY: the call takes numbers.
    errno_of(unsafe { libc::prctl(libc::PR_SET_TSC, libc::PR_TSC_SIGSEGV, 0, 0, 0) }.into())
}

fn filter_calls() -> i32 {
    // One that lets everything pass.
    let mut filter = [libc::sock_filter { code: filter::RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
    let program = libc::sock_fprog { len: 1, filter: filter.as_mut_ptr() };
    // SAFETY: the filter is live.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        errno_of(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &program))
    }
}

/// As runs do: a folder in one that all users share, which is made if it is not there.
fn temporary() -> io::Result<()> {
    match fs::create_dir(BASE) {
        // The mode of a new folder is reduced by the process's mask, so it is set afterwards.
        Ok(()) => fs::set_permissions(BASE, fs::Permissions::from_mode(0o1777))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    #[expect(clippy::disallowed_methods, reason = "two doctors at a time must not meet")]
    let folder = Path::new(BASE).join(format!("doctor-{}", std::process::id()));
    match fs::create_dir(&folder) {
        // One is left of a doctor that was killed.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::remove_dir(&folder)?,
    }
    if is_without_programs(Path::new(BASE)) {
        return Err(io::Error::other("it is mounted with `noexec`"));
    }
    Ok(())
}

/// A program that every system has runs to its end.
fn simulate() -> io::Result<()> {
    let candidates = ["/bin/true", "/usr/bin/true"].map(PathBuf::from);
    let program = candidates.into_iter().find(|path| path.exists());
    let program = program.ok_or_else(|| io::Error::other("there is no /bin/true"))?;
    let other = |error: crate::launch::StartError| io::Error::other(error.to_string());
    let kernel = Rc::new(Kernel::new().map_err(other)?);
    let launch = Launch {
        arguments: vec![program.clone().into()],
        program,
        environment: Vec::new(),
        folder: PathBuf::from("/"),
        writable: PathBuf::from("/"),
    };
    let setting = Setting {
        seed: 1,
        first_id: 1_000,
        model: TimeModel::default(),
        interleaving: Interleaving::Fifo,
        unsupported: Unsupported::Ends,
    };
    let mut host = Host::start(&kernel, &launch, &setting, 0).map_err(other)?;
    while let Some(now) = host.next_wake() {
        host.run(now);
    }
    match host.state() {
        State::Ended(Ending::Code(0)) if host.has_time_page() => Ok(()),
        State::Ended(Ending::Code(0)) => Err(io::Error::other("clocks are slow: their page could not be mapped")),
        state => Err(io::Error::other(format!("{state:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_says_what_it_is_about_and_a_failure_what_helps() {
        let checks = examine();
        assert_eq!(checks.len(), 10);
        assert!(checks.iter().all(|check| !check.what.is_empty() && !check.remedy.is_empty()));
        // This is where the other tests run programs, so all is there.
        assert!(checks.iter().all(|check| check.problem.is_none()), "{checks:?}");
    }

    #[test]
    fn what_is_refused_in_a_child_is_told_with_its_reason() {
        assert_eq!(tried(&|| libc::EPERM).unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}
