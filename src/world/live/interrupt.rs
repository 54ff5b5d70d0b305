//! Signals that end a run.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Takes note of the signals that ask the program to end (SIGINT, SIGTERM, SIGHUP), so that runs can end in order and take
/// their processes along. Any number of runs can look at one.
#[derive(Debug)]
pub struct Interrupt {
    /// The number of the newest signal; 0 if there was none.
    signal: Arc<AtomicUsize>,
    /// Readable from the first signal on.
    waker: UnixStream,
}

impl Interrupt {
    /// Takes note of signals from now on, in place of what they would do else.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn install() -> io::Result<Interrupt> {
        let (waker, sender) = UnixStream::pair()?;
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            // First the number, then the wake-up: whoever wakes up knows why.
            signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)?;
            signal_hook::low_level::pipe::register(number, sender.try_clone()?)?;
        }
        Ok(Interrupt { signal, waker })
    }

    /// The number of the newest signal, if there was one.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            number => Some(number as i32),
        }
    }
}

impl AsFd for Interrupt {
    /// Readable from the first signal on. Nobody reads it, so that everybody sees it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}
