//! How a program is started under the eyes of the tracer.
//!
//! A child process is forked and waits. The tracer seizes it, then lets it go on: it gives up what it has of this
//! process, fixes what could differ between runs, installs the [filter](crate::filter), and becomes the program.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use libc::{c_char, c_int, sock_fprog};

use crate::calls::limits;
use crate::filter;
use crate::launch::{Ending, Launch, StartError};
use crate::process::owned;
use crate::stop::{Stop, Stops};
use crate::tracee::{Fault, Tid};

/// What the child does before it becomes the program: each with the words for its failure.
const STEPS: [&str; 7] = [
    "to open /dev/null",
    "to enter the program's folder",
    "to fix addresses (personality with ADDR_NO_RANDOMIZE)",
    "to hide the processor's clock (prctl with PR_SET_TSC)",
    "to give up new privileges (prctl with PR_SET_NO_NEW_PRIVS)",
    "to filter system calls (seccomp)",
    "to run it",
];

/// The descriptor by which the child reports what has failed, once it has given up all others.
const REPORT: c_int = 3;

/// In nanoseconds.
const TIMER_SLACK: libc::c_ulong = 50_000;

/// The tracer is told of all that makes threads, processes and programs, and what it traces ends with it.
const OPTIONS: c_int = libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_EXITKILL;

/// Everything that the child needs, made before the fork: between fork and exec it must not allocate.
struct Prepared {
    program: CString,
    folder: CString,
    /// The pointers into the texts end with a null.
    arguments: (Vec<CString>, Vec<*const c_char>),
    environment: (Vec<CString>, Vec<*const c_char>),
    filter: Vec<libc::sock_filter>,
    /// The child waits until there is a byte to read here. It must not wait for the other end to be closed: children of
    /// other simulations, forked at the same time, may have that, too.
    gate: OwnedFd,
    /// The child writes here what has failed.
    failures: OwnedFd,
}

/// Starts a program. It is stopped at the beginning of its own code (PTRACE_EVENT_EXEC).
///
/// # Errors
/// If it cannot be started.
pub fn spawn(launch: &Launch, stops: &Stops) -> Result<Tid, StartError> {
    let (gate, opener) = pipe().map_err(StartError::refused("to make a pipe"))?;
    let (failed, failures) = pipe().map_err(StartError::refused("to make a pipe"))?;
    let prepared = Prepared::new(launch, gate, failures)?;
    // SAFETY: the child calls nothing but async-signal-safe functions, and never returns from `become_program`.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => return Err(StartError::refused("to make a process")(io::Error::last_os_error())),
        // SAFETY: this is the child of a fork.
        0 => unsafe { prepared.become_program() },
        _ => {}
    }
    let tid = Tid(pid);
    drop(prepared);
    if let Err(error) = tid.seize(OPTIONS) {
        // SAFETY: the number is that of a child that was not waited for.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        stops.next_of(tid);
        return Err(StartError::refused("to trace a process (ptrace)")(error));
    }
    // SAFETY: a buffer of one byte. A pipe has room for it.
    unsafe { libc::write(opener.as_raw_fd(), [1_u8].as_ptr().cast(), 1) };
    loop {
        match stops.next_of(tid) {
            Some(Stop::Executed) => {
                return reach(tid).map(|()| tid).inspect_err(|_| {
                    // SAFETY: the call takes numbers only; the process was not waited for.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                    stops.next_of(tid);
                });
            }
            Some(Stop::Ended(ending)) => return Err(failure(launch, &failed, ending)),
            None => return Err(failure(launch, &failed, Ending::Signal(libc::SIGKILL))),
            Some(Stop::Signal(signal)) => tid.resume(signal),
            Some(_) => tid.resume(0),
        }
    }
}

/// Whether the memory and the descriptors of a process can be reached. Some containers allow tracing, and not this; it
/// would show only later, as odd behaviour of the program.
fn reach(tid: Tid) -> Result<(), StartError> {
    // SAFETY: the calls take numbers only.
    let handle = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, tid.0, 0) });
    let handle = handle.map_err(StartError::refused("to name a process (pidfd_open)"))?;
    // SAFETY: as above. Standard input is always open.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, handle.as_raw_fd(), 0, 0) })
        .map_err(StartError::refused("to share descriptors with a process (pidfd_getfd)"))?;
    let refused = |Fault| {
        let step = "to read and write the memory of a process (process_vm_readv, process_vm_writev)";
        StartError::refused(step)(io::Error::last_os_error())
    };
    let stack = tid.registers().map_err(refused)?.rsp;
    let word = tid.read_u64(stack).map_err(refused)?;
    tid.write_words(stack, &[word]).map_err(refused)
}

/// What the child has written before it ended.
fn failure(launch: &Launch, failed: &OwnedFd, ending: Ending) -> StartError {
    let mut report = [0_u8; 2];
    // The other end may still be open in children of other simulations.
    // SAFETY: the call takes numbers only.
    unsafe { libc::fcntl(failed.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    // SAFETY: the buffer is live and as long as it says.
    let length = unsafe { libc::read(failed.as_raw_fd(), report.as_mut_ptr().cast(), report.len()) };
    let program = launch.program.display().to_string();
    if length != 2 {
        let error = io::Error::other(format!("it ended before it began ({ending})"));
        return StartError::Program { program, error };
    }
    let error = io::Error::from_raw_os_error(i32::from(report[1]));
    let step = usize::from(report[0]);
    if step + 1 < STEPS.len() {
        return StartError::Refused { step: STEPS[step], error };
    }
    if error.kind() == io::ErrorKind::PermissionDenied && is_without_programs(&launch.folder) {
        return StartError::Refused { step: "to run programs from that folder (it is mounted with noexec)", error };
    }
    match interpreter(launch) {
        Some(interpreter) if error.kind() == io::ErrorKind::NotFound => {
            StartError::Interpreter { program, interpreter }
        }
        _ => StartError::Program { program, error },
    }
}

/// Whether no program may be run from a folder's file system.
pub fn is_without_programs(folder: &Path) -> bool {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else { return false };
    // SAFETY: a structure of numbers, for which zeros are valid.
    let mut status: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the text ends with a zero, and the structure is live.
    unsafe { libc::statvfs(path.as_ptr(), &mut status) == 0 && status.f_flag & libc::ST_NOEXEC != 0 }
}

/// What the first line of a script names.
fn interpreter(launch: &Launch) -> Option<String> {
    let text = std::fs::read(launch.folder.join(&launch.program)).ok()?;
    let line = text.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    line.split_whitespace().next().map(str::to_owned)
}

impl Prepared {
    fn new(launch: &Launch, gate: OwnedFd, failures: OwnedFd) -> Result<Prepared, StartError> {
        let variable = |(name, value): &(OsString, OsString)| {
            let mut text = name.clone();
            text.push("=");
            text.push(value);
            text
        };
        let environment: Vec<OsString> = launch.environment.iter().map(variable).collect();
        Ok(Prepared {
            program: c_text(launch.program.as_os_str())?,
            folder: c_text(launch.folder.as_os_str())?,
            arguments: c_texts(&launch.arguments)?,
            environment: c_texts(&environment)?,
            filter: filter::program(),
            gate,
            failures,
        })
    }

    /// The child's part. Never returns.
    ///
    /// # Safety
    /// Only for the child of a fork.
    unsafe fn become_program(&self) -> ! {
        // SAFETY: all pointers lead into `self`, whose texts end with zeros; nothing here allocates.
        unsafe {
            let mut byte = 0_u8;
            // If the tracer ends before it has seized this process.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            libc::read(self.gate.as_raw_fd(), (&raw mut byte).cast(), 1);
            self.step(0, self.replace_descriptors());
            self.step(1, libc::chdir(self.folder.as_ptr()) == 0);
            // A session of its own has no terminal, wherever this process was started.
            libc::setsid();
            libc::umask(0o022);
            reset_signals();
            limits::start();
            // How late timers may be, which is inherited: the kernel's usual value.
            libc::prctl(libc::PR_SET_TIMERSLACK, TIMER_SLACK, 0, 0, 0);
            self.step(2, libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) != -1);
            self.step(3, libc::prctl(libc::PR_SET_TSC, libc::PR_TSC_SIGSEGV, 0, 0, 0) == 0);
            self.step(4, libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
            let filter = sock_fprog { len: self.filter.len() as u16, filter: self.filter.as_ptr().cast_mut() };
            let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
            self.step(5, libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &filter) == 0);
            libc::execve(self.program.as_ptr(), self.arguments.1.as_ptr(), self.environment.1.as_ptr());
            self.step(6, false);
            libc::_exit(127)
        }
    }

    /// Reports a step that has failed, and ends.
    unsafe fn step(&self, number: u8, succeeded: bool) {
        if !succeeded {
            // SAFETY: as `become_program`.
            unsafe {
                let report = [number, *libc::__errno_location() as u8];
                // If the first step fails, the report may still be where it was.
                for descriptor in [REPORT, self.failures.as_raw_fd()] {
                    if libc::write(descriptor, report.as_ptr().cast(), report.len()) > 0 {
                        break;
                    }
                }
                libc::_exit(127);
            }
        }
    }

    /// Nothing can be read, what is printed is seen by the tracer, and nothing else is open.
    unsafe fn replace_descriptors(&self) -> bool {
        // SAFETY: as `become_program`.
        unsafe {
            let failures = self.failures.as_raw_fd();
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            let replaced = null >= 0 && (0..3).all(|fd| libc::dup2(null, fd) == fd);
            // The report of failures gets the next number, and is closed by exec.
            let kept = failures == REPORT || libc::dup3(failures, REPORT, libc::O_CLOEXEC) == REPORT;
            libc::syscall(libc::SYS_close_range, REPORT + 1, u32::MAX, 0);
            replaced && kept
        }
    }
}

/// No signal is blocked, and none is ignored: what is ignored stays so when a process becomes another program.
unsafe fn reset_signals() {
    // SAFETY: the set is live; signals that cannot be changed are refused.
    unsafe {
        // The C library does not let two signals be changed that it uses itself. They may be ignored all the same.
        let default = [0_u64; 4];
        for signal in 1..65 {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null_mut::<u64>(), 8);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

/// A pipe that no program inherits: the end to read and the end to write.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: room for two numbers.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made both.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

fn c_text(text: &OsStr) -> Result<CString, StartError> {
    CString::new(text.as_bytes()).map_err(|_| StartError::Zero(text.to_owned()))
}

fn c_texts(texts: &[OsString]) -> Result<(Vec<CString>, Vec<*const c_char>), StartError> {
    let texts: Vec<CString> = texts.iter().map(|text| c_text(text)).collect::<Result<_, _>>()?;
    let pointers = texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect();
    Ok((texts, pointers))
}
