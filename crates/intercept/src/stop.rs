//! Waiting for tracees: which thread stopped, and why.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::launch::Ending;
use crate::tracee::Tid;
use crate::watchdog::Watch;

/// Why a thread has stopped, or that it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is about to make a system call that the filter sends to the tracer (PTRACE_EVENT_SECCOMP).
    Call,
    /// The kernel is about to begin a system call, or has just ended it.
    Edge,
    /// It has made a thread.
    Cloned,
    /// It has made a process.
    Forked {
        /// It waits until that has ended, or runs another program.
        waits: bool,
    },
    /// Its process has become another program. All other threads of the process are gone.
    Executed,
    /// It is about to end (PTRACE_EVENT_EXIT).
    Exiting,
    /// It is about to receive a signal.
    Signal(i32),
    /// It has just been attached, or its whole process was stopped by a signal.
    Halted(i32),
    /// It has ended.
    Ended(Ending),
}

impl Stop {
    /// What a status of wait(2) means.
    pub fn of(status: i32) -> Stop {
        if libc::WIFEXITED(status) {
            return Stop::Ended(Ending::Code(libc::WEXITSTATUS(status)));
        }
        if libc::WIFSIGNALED(status) {
            return Stop::Ended(Ending::Signal(libc::WTERMSIG(status)));
        }
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            libc::PTRACE_EVENT_SECCOMP => Stop::Call,
            libc::PTRACE_EVENT_CLONE => Stop::Cloned,
            libc::PTRACE_EVENT_FORK => Stop::Forked { waits: false },
            libc::PTRACE_EVENT_VFORK => Stop::Forked { waits: true },
            libc::PTRACE_EVENT_EXEC => Stop::Executed,
            libc::PTRACE_EVENT_EXIT => Stop::Exiting,
            libc::PTRACE_EVENT_STOP => Stop::Halted(signal),
            // PTRACE_O_TRACESYSGOOD marks these stops.
            _ if signal == libc::SIGTRAP | 0x80 => Stop::Edge,
            _ => Stop::Signal(signal),
        }
    }
}

/// What the tracing thread has been told of threads that were not waited for yet.
#[derive(Debug)]
pub struct Stops {
    early: RefCell<BTreeMap<Tid, VecDeque<Stop>>>,
    watch: Arc<Watch>,
}

impl Stops {
    /// Nothing was told yet.
    pub fn new(watch: Arc<Watch>) -> Stops {
        Stops { early: RefCell::default(), watch }
    }

    /// Waits for the next stop of a tracee of this thread, whichever it is. None if there are no tracees left.
    pub fn next(&self) -> Option<(Tid, Stop)> {
        loop {
            let mut status = 0;
            // Only tracees and children of this very thread: other threads may run simulations, or have children that
            // are none of our business.
            self.watch.turn_to_wait();
            // SAFETY: the status is a live number.
            let tid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
            self.watch.turn_to_wait();
            if tid > 0 {
                return Some((Tid(tid), Stop::of(status)));
            }
            if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
                return None;
            }
        }
    }

    /// Keeps a stop for whoever waits for that thread.
    pub fn keep(&self, tid: Tid, stop: Stop) {
        self.early.borrow_mut().entry(tid).or_default().push_back(stop);
    }

    /// Whether nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.early.borrow().is_empty()
    }

    /// A stop that was kept.
    pub fn take(&self, tid: Tid) -> Option<Stop> {
        let mut early = self.early.borrow_mut();
        let stops = early.get_mut(&tid)?;
        let stop = stops.pop_front();
        if stops.is_empty() {
            early.remove(&tid);
        }
        stop
    }

    /// Waits for the next stop of one thread, and keeps those of others. None if it is no tracee any more.
    pub fn next_of(&self, tid: Tid) -> Option<Stop> {
        if let Some(stop) = self.take(tid) {
            return Some(stop);
        }
        loop {
            match self.next()? {
                (other, stop) if other == tid => return Some(stop),
                (other, stop) => self.keep(other, stop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_wait_says_why_a_thread_stopped() {
        let stopped = |signal: i32, event: i32| 0x7F | signal << 8 | event << 16;
        for (status, meaning) in [
            (3 << 8, Stop::Ended(Ending::Code(3))),
            (libc::SIGSEGV, Stop::Ended(Ending::Signal(libc::SIGSEGV))),
            (stopped(libc::SIGTRAP, libc::PTRACE_EVENT_SECCOMP), Stop::Call),
            (stopped(libc::SIGTRAP | 0x80, 0), Stop::Edge),
            (stopped(libc::SIGTRAP, 0), Stop::Signal(libc::SIGTRAP)),
            (stopped(libc::SIGUSR1, 0), Stop::Signal(libc::SIGUSR1)),
            (stopped(libc::SIGSTOP, libc::PTRACE_EVENT_STOP), Stop::Halted(libc::SIGSTOP)),
            (stopped(libc::SIGTRAP, libc::PTRACE_EVENT_VFORK), Stop::Forked { waits: true }),
        ] {
            assert_eq!(Stop::of(status), meaning, "{status:#x}");
        }
    }
}
