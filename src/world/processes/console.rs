//! What is shown of a run while it goes on: what replicas print, what is wrong with them, how far the run is.
//!
//! A thread of its own does it. So a replica that prints megabytes, or a terminal that is slow or stopped, never holds up the
//! routing; nor, beyond a little patience, the end of a run.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::Spectator;
use crate::clock::{Clock, timespec};
use crate::id::{REPLICAS_MAX, ReplicaId};
use crate::time::{Span, Time};

/// How many bytes of one of a replica's two streams are shown. The rest is read, so that the replica can go on, and thrown
/// away.
const SHOWN_BYTES_MAX: usize = 1 << 20;

/// Longer lines are broken.
const LINE_BYTES_MAX: usize = 8 << 10;

/// How often complaints, progress and the wish to stop are looked at.
const LOOK_INTERVAL: Span = Span::from_millis(50);

/// So much time is given at the end to what has been printed and is not yet shown.
const LAST_WORDS: Span = Span::from_millis(500);

/// So much longer a run waits for its console before it leaves it alone.
const PATIENCE: Duration = Duration::from_secs(1);

/// Room for all complaints that are told of all replicas.
const COMPLAINTS_MAX: usize = 16 * REPLICAS_MAX;

/// The console of a run under way. It is stopped when this is dropped.
pub(crate) struct Console {
    shared: Arc<Shared>,
    complaints: SyncSender<Complaint>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    /// How far the run is, in nanoseconds.
    now: AtomicU64,
}

struct Complaint {
    time: Time,
    replica: ReplicaId,
    text: String,
}

/// The router's way to the console. It never waits.
pub(crate) struct Teller {
    shared: Arc<Shared>,
    complaints: SyncSender<Complaint>,
}

impl Teller {
    /// Something is wrong with a replica.
    pub fn complain(&self, time: Time, replica: ReplicaId, text: String) {
        // There is room for all that is ever told.
        let _ = self.complaints.try_send(Complaint { time, replica, text });
    }

    /// The run has come to this time.
    pub fn progress(&self, now: Time) {
        self.shared.now.store(now.nanos(), Ordering::Relaxed);
    }
}

impl Console {
    /// Starts to show what comes from the replicas' ends.
    pub fn start(clock: Clock, outputs: Vec<(ReplicaId, OwnedFd)>, spectator: Arc<dyn Spectator>) -> Console {
        let shared = Arc::new(Shared::default());
        let (complaints, incoming) = sync_channel(COMPLAINTS_MAX);
        let (finished, done) = sync_channel(1);
        let screen = Screen { clock, spectator, shared: Arc::clone(&shared), complaints: incoming };
        let thread = thread::spawn(move || {
            screen.show(outputs);
            let _ = finished.send(());
        });
        Console { shared, complaints, done, thread: Some(thread) }
    }

    /// A way to it.
    pub fn teller(&self) -> Teller {
        Teller { shared: Arc::clone(&self.shared), complaints: self.complaints.clone() }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        let patience = Duration::from_nanos(LAST_WORDS.nanos()) + PATIENCE;
        let is_done = !matches!(self.done.recv_timeout(patience), Err(std::sync::mpsc::RecvTimeoutError::Timeout));
        // Else it is stuck with a terminal or a pipe that takes nothing more. Nobody can be told.
        if let Some(thread) = self.thread.take().filter(|_| is_done) {
            let _ = thread.join();
        }
    }
}

/// The console's thread.
struct Screen {
    clock: Clock,
    spectator: Arc<dyn Spectator>,
    shared: Arc<Shared>,
    complaints: Receiver<Complaint>,
}

impl Screen {
    /// Shows everything until it is to stop.
    fn show(&self, outputs: Vec<(ReplicaId, OwnedFd)>) {
        let mut streams: Vec<Stream> = outputs.into_iter().map(|(replica, fd)| Stream::new(replica, fd)).collect();
        let mut buffer = vec![0; 64 << 10];
        let mut end = None;
        loop {
            // Asked before looking, so that what was printed before the stop is still seen.
            if end.is_none() && self.shared.stopped.load(Ordering::Acquire) {
                end = Some(self.clock.now() + LAST_WORDS);
            }
            let quiet = !self.read(&mut streams, &mut buffer, if end.is_some() { Span::ZERO } else { LOOK_INTERVAL });
            for Complaint { time, replica, text } in self.complaints.try_iter() {
                self.spectator.complaint(time, replica, &text);
            }
            self.spectator.progress(Time(self.shared.now.load(Ordering::Relaxed)));
            // Who prints on after the end, from beyond its process group, is not waited for.
            if end.is_some_and(|end| quiet || self.clock.now() >= end) {
                break;
            }
        }
        for stream in &mut streams {
            stream.end_line(self);
        }
    }

    /// Waits for output, and reads what there is. False if there was none.
    fn read(&self, streams: &mut Vec<Stream>, buffer: &mut [u8], patience: Span) -> bool {
        let mut fds: Vec<PollFd<'_>> = streams.iter().map(|stream| PollFd::new(&stream.file, PollFlags::IN)).collect();
        let ready = rustix::event::poll(&mut fds, Some(&timespec(patience))).unwrap_or(0);
        let readable: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut readable = readable.into_iter();
        streams.retain_mut(|stream| !readable.next().unwrap_or(false) || stream.read(buffer, self));
        ready > 0
    }
}

/// One end of one pipe.
struct Stream {
    replica: ReplicaId,
    file: File,
    line: Vec<u8>,
    shown: usize,
}

impl Stream {
    fn new(replica: ReplicaId, fd: OwnedFd) -> Stream {
        Stream { replica, file: File::from(fd), line: Vec::new(), shown: 0 }
    }

    /// Reads what is there. False at the end.
    fn read(&mut self, buffer: &mut [u8], screen: &Screen) -> bool {
        let length = match self.file.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return true,
            Err(_) => 0,
        };
        if length == 0 {
            self.end_line(screen);
            return false;
        }
        if self.shown >= SHOWN_BYTES_MAX {
            return true;
        }
        for &byte in &buffer[..length] {
            if byte == b'\n' {
                self.show_line(screen);
            } else {
                self.line.push(byte);
                if self.line.len() >= LINE_BYTES_MAX {
                    self.show_line(screen);
                }
            }
        }
        self.shown += length;
        if self.shown >= SHOWN_BYTES_MAX {
            self.end_line(screen);
            let now = screen.clock.now();
            screen.spectator.printed(now, self.replica, "(prints too much; the rest is not shown)");
        }
        true
    }

    fn show_line(&mut self, screen: &Screen) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        screen.spectator.printed(screen.clock.now(), self.replica, &String::from_utf8_lossy(line));
        self.line.clear();
    }

    fn end_line(&mut self, screen: &Screen) {
        if !self.line.is_empty() {
            self.show_line(screen);
        }
    }
}
