//! Early ends of runs: signals, and the failure of another run.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{PlayError, orphans};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// Records the signals that ask the program to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT), so that runs can end in order
/// and end their processes. Any number of runs can share one.
#[derive(Debug)]
pub struct Interrupt {
    /// The number of the newest signal; 0 if there was none.
    signal: Arc<AtomicUsize>,
    cancelled: AtomicBool,
    /// How many runs have processes.
    runs: Mutex<usize>,
    /// No run has processes: signals have their default action.
    released: Arc<AtomicBool>,
    /// Readable from the first signal on, or when cancelled.
    waker: UnixStream,
    sender: UnixStream,
}

impl Interrupt {
    /// Records signals from now on, in place of their default action. Signals that are ignored at the start of the
    /// program, as with `nohup`, stay ignored.
    ///
    /// This is for a program that starts no processes but replicas. When no run has processes any more, all its
    /// children count as orphans of replicas and are killed, except those from before the first run.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn install() -> io::Result<Interrupt> {
        let (waker, sender) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        let (signal, released) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT].into_iter().filter(|&number| !is_ignored(number)) {
            signal_hook::flag::register_conditional_default(number, Arc::clone(&released))?;
            // First the number, then the wake-up: a thread that wakes up then finds the reason.
            signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)?;
            signal_hook::low_level::pipe::register(number, sender.try_clone()?)?;
        }
        Ok(Interrupt { signal, cancelled: AtomicBool::new(false), runs: Mutex::new(0), released, waker, sender })
    }

    /// The number of the newest signal, if there was one.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            number => Some(number as i32),
        }
    }

    /// Ends all runs that share this.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        // If there is no more room, it is readable already.
        let _ = (&self.sender).write(&[0]);
    }

    /// Whether all runs must end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Checks whether runs may continue.
    ///
    /// # Errors
    /// If a signal has come, or all runs must end.
    pub fn check(&self) -> Result<(), PlayError> {
        match self.signal() {
            Some(signal) => Err(PlayError::Interrupted { signal }),
            None if self.is_cancelled() => Err(PlayError::Cancelled),
            None => Ok(()),
        }
    }

    /// Until this is dropped, a run has processes, and signals are recorded. While no run has processes, a signal has
    /// its default action. So a second signal always ends the program, once the processes are gone.
    pub fn hold(&self) -> Hold<'_> {
        self.count(1);
        Hold(self)
    }

    fn count(&self, change: isize) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        *runs = runs.saturating_add_signed(change);
        if *runs == 0 {
            // No other run begins meanwhile. Signals are still only recorded.
            orphans::end_all();
        }
        self.released.store(*runs == 0, Ordering::SeqCst);
    }
}

/// A run has processes.
pub struct Hold<'a>(&'a Interrupt);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.count(-1);
    }
}

impl AsFd for Interrupt {
    /// Readable from the first signal on, or when cancelled. It is never read, so that every run sees it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

/// Whether this process ignores the signal of this number, as `/proc` shows. Without `/proc`, false.
pub fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // Bit n-1 is signal n.
    (1..=64).contains(&signal) && mask >> (signal - 1) & 1 == 1
}
