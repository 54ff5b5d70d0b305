//! What all hosts of one simulation share.

use std::cell::RefCell;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

use crate::launch::StartError;
use crate::socket::Tokens;
use crate::stop::Stops;
use crate::watchdog::{self, Watch};

/// The part of the tracer that is the same for all hosts of one simulation. It belongs to one thread: the kernel lets
/// only the thread that has begun to trace a program go on with it.
///
/// While it lives, its thread and all programs run on one processor of the machine. One of them runs at a time, so more
/// would only cost time.
#[derive(Debug)]
pub struct Kernel {
    pub(crate) stops: Stops,
    pub(crate) tokens: Tokens,
    pub(crate) watch: Arc<Watch>,
    /// When it was made, in nanoseconds of real time since 1970. What is newer was made during the run.
    pub(crate) real_start: u64,
    before: libc::cpu_set_t,
    /// Says to all kernels of this machine that its processor is taken.
    _claim: Option<UnixDatagram>,
}

thread_local! {
    static EXISTS: RefCell<bool> = const { RefCell::new(false) };
}

impl Kernel {
    /// A kernel for hosts of this thread.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    ///
    /// # Panics
    /// If this thread has one already.
    pub fn new() -> Result<Kernel, StartError> {
        own_descriptors();
        raise_limit();
        let tokens = Tokens::new().map_err(StartError::refused("to make a socket"))?;
        EXISTS.with_borrow_mut(|exists| assert!(!std::mem::replace(exists, true), "one simulation a thread"));
        let before = affinity().map_err(StartError::refused("to ask for its processors"))?;
        let watch = watchdog::register();
        let (cpu, claim) = take_cpu(&before);
        if let Some(cpu) = cpu {
            pin(cpu);
        }
        Ok(Kernel {
            stops: Stops::new(Arc::clone(&watch)),
            tokens,
            watch,
            real_start: real_now().saturating_sub(FILE_CLOCK_LAG),
            before,
            _claim: claim,
        })
    }
}

impl Kernel {
    /// How long a program may compute without a system call, in seconds of the processor's time, and how long one of its
    /// calls may wait outside the simulation, in seconds of real time. A program that exceeds either is ended. Without
    /// this it is 5 and 10; machines that are very slow need more.
    pub fn set_patience(&self, computing: u64, waiting: u64) {
        self.watch.set_limits(computing, waiting);
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        EXISTS.with_borrow_mut(|exists| *exists = false);
        // SAFETY: the set is live.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &self.before) };
    }
}

/// File systems take the time from a clock that is this late at most, in nanoseconds: it goes on once a tick.
const FILE_CLOCK_LAG: u64 = 10_000_000;

#[expect(clippy::disallowed_types, reason = "files have real times")]
fn real_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Which processors this thread may use.
fn affinity() -> io::Result<libc::cpu_set_t> {
    // SAFETY: a set of bits, for which zeros are valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is live.
    match unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) } {
        0 => Ok(set),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A processor that no other kernel of this machine has, and the claim to it; if all are taken, the one that this thread
/// runs on. A claim is a socket with a name of the abstract kind (unix(7)), which only one socket can have and which goes
/// with it, whatever ends this process.
fn take_cpu(allowed: &libc::cpu_set_t) -> (Option<usize>, Option<UnixDatagram>) {
    // SAFETY: the place is within the set.
    let is_allowed = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, allowed) };
    for cpu in (0..libc::CPU_SETSIZE as usize).filter(is_allowed) {
        let name = SocketAddr::from_abstract_name(format!("seedbed/processor/{cpu}"));
        match name.and_then(|name| UnixDatagram::bind_addr(&name)) {
            Ok(claim) => return (Some(cpu), Some(claim)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            // Without sockets no kernel has a claim.
            Err(_) => break,
        }
    }
    // SAFETY: it has no arguments.
    let current = unsafe { libc::sched_getcpu() };
    (usize::try_from(current).ok().filter(is_allowed), None)
}

/// Gives this thread a table of descriptors of its own.
///
/// The tracer has descriptors of the same pipes as its programs. A child that another thread of this process makes would
/// inherit them, and have them until it becomes a program. Meanwhile a pipe whose writers have all ended would not be at its
/// end. Where this is not allowed, programs that talk by pipes may differ if several simulations run at a time.
fn own_descriptors() {
    // SAFETY: the call takes numbers only. What this thread opens from now on it also closes itself.
    if unsafe { libc::unshare(libc::CLONE_FILES) } == 0 {
        close_pipes_of_others();
    }
}

/// The new table has copies of pipes by which other threads hear of their own children. As long as they are open, those
/// pipes are not at their end.
fn close_pipes_of_others() {
    let names = std::fs::read_dir("/proc/thread-self/fd").into_iter().flatten().flatten();
    let open: Vec<i32> = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in open {
        // SAFETY: a structure of numbers, for which zeros are valid, and calls that take numbers.
        unsafe {
            let mut status: libc::stat = std::mem::zeroed();
            let is_pipe = libc::fstat(fd, &mut status) == 0 && status.st_mode & libc::S_IFMT == libc::S_IFIFO;
            if is_pipe && libc::fcntl(fd, libc::F_GETFD) & libc::FD_CLOEXEC != 0 {
                libc::close(fd);
            }
        }
    }
}

/// Lets this process have as many descriptors as the system allows: it has some for each descriptor of its programs that was
/// waited for. Programs have limits of their own.
fn raise_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is live.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Programs inherit it.
fn pin(cpu: usize) {
    // SAFETY: the set is live, and the place is within it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}
