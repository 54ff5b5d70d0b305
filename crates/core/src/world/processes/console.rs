//! The display of a run in progress: the replicas' output, complaints about them, and the progress of the run.
//!
//! It has its own thread. So a replica that prints megabytes, or a terminal that is slow or stopped, never delays the
//! routing, and the end of a run only by a bounded time.
//!
//! Lines and complaints come from different threads and have one clock, the run's. Each is held back for a moment
//! ([`HELD_BACK`]), so that all are shown in the order of their times.

use std::fs::File;
use std::io::Read;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::{Outputs, Spectator};
use crate::clock::{Clock, timespec};
use crate::id::{REPLICAS_MAX, ReplicaId};
use crate::time::{Span, Time};

/// How many bytes of one of a process's two streams are shown. The rest is read, so that the replica can continue, and
/// discarded.
const SHOWN_BYTES_MAX: usize = 1 << 20;

/// Longer lines are broken.
const LINE_BYTES_MAX: usize = 8 << 10;

/// How often complaints, progress and the request to stop are checked.
const LOOK_INTERVAL: Span = Span::from_millis(50);

/// How long lines and complaints are held back. A complaint reaches this thread well within this time.
const HELD_BACK: Span = Span::from_millis(50);

/// The time allowed at the end for output that has been printed and is not yet shown.
const LAST_WORDS: Span = Span::from_millis(500);

/// How much longer a run waits for its console before it abandons it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Room for all complaints about all replicas.
const COMPLAINTS_MAX: usize = 16 * REPLICAS_MAX;

/// The console of a run in progress. It is stopped when this is dropped.
pub(crate) struct Console {
    shared: Arc<Shared>,
    complaints: SyncSender<Entry>,
    outputs: Sender<(ReplicaId, OwnedFd)>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    clock: Clock,
    stopped: AtomicBool,
    /// The progress of the run, in nanoseconds.
    now: AtomicU64,
    /// When the run began on the console's clock, in nanoseconds; [`NOT_BEGUN`] before that.
    begun: AtomicU64,
}

impl Shared {
    fn new(clock: Clock, begun: u64) -> Shared {
        Shared { clock, stopped: AtomicBool::new(false), now: AtomicU64::new(0), begun: AtomicU64::new(begun) }
    }

    /// The run's time.
    fn run_time(&self) -> Time {
        let begun = self.begun.load(Ordering::Relaxed);
        if begun == NOT_BEGUN { Time::ZERO } else { Time::ZERO + self.clock.now().since(Time(begun)) }
    }
}

/// No run begins that late.
const NOT_BEGUN: u64 = u64::MAX;

/// Something to show.
struct Entry {
    time: Time,
    replica: ReplicaId,
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy)]
enum Kind {
    Printed,
    Complaint,
}

/// The router's handle to the console. It never waits.
pub(crate) struct Teller {
    shared: Arc<Shared>,
    complaints: SyncSender<Entry>,
    outputs: Sender<(ReplicaId, OwnedFd)>,
}

impl Teller {
    /// Reports a complaint about a replica.
    pub fn complain(&self, time: Time, replica: ReplicaId, text: String) {
        // There is room for all complaints that can ever be sent.
        let _ = self.complaints.try_send(Entry { time, replica, kind: Kind::Complaint, text });
    }

    /// From now on, shows these outputs as well: a process was restarted.
    pub fn listen(&self, outputs: Outputs) {
        // There are at most as many as restarts in the scenario. If the console is gone, nothing is shown.
        outputs.into_iter().for_each(|output| _ = self.outputs.send(output));
    }

    /// The run begins now: its time is counted from here on.
    pub fn begin(&self) {
        self.shared.begun.store(self.shared.clock.now().nanos(), Ordering::Relaxed);
    }

    /// The run has reached this time.
    pub fn progress(&self, now: Time) {
        self.shared.now.store(now.nanos(), Ordering::Relaxed);
    }
}

impl Console {
    /// Starts to show the replicas' outputs. The clock is the run's.
    #[cfg(feature = "grpc")]
    pub fn start(clock: Clock, outputs: Outputs, spectator: Arc<dyn Spectator>) -> Console {
        Console::start_with(Shared::new(clock, 0), outputs, spectator)
    }

    /// As [`Console::start`], before the run has begun: until [`Teller::begin`] its time is zero.
    pub fn start_early(clock: Clock, outputs: Outputs, spectator: Arc<dyn Spectator>) -> Console {
        Console::start_with(Shared::new(clock, NOT_BEGUN), outputs, spectator)
    }

    fn start_with(shared: Shared, outputs: Outputs, spectator: Arc<dyn Spectator>) -> Console {
        let shared = Arc::new(shared);
        let (complaints, incoming) = sync_channel(COMPLAINTS_MAX);
        let (sender, receiver) = channel();
        let (finished, done) = sync_channel(1);
        let mut screen = Screen {
            spectator,
            shared: Arc::clone(&shared),
            complaints: incoming,
            outputs: receiver,
            held: Vec::new(),
        };
        let thread = thread::spawn(move || {
            screen.show();
            let _ = finished.send(());
        });
        let console = Console { shared, complaints, outputs: sender, done, thread: Some(thread) };
        console.teller().listen(outputs);
        console
    }

    /// A handle to the console.
    pub fn teller(&self) -> Teller {
        Teller { shared: Arc::clone(&self.shared), complaints: self.complaints.clone(), outputs: self.outputs.clone() }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        let patience = Duration::from_nanos(LAST_WORDS.nanos()) + PATIENCE;
        let is_done = !matches!(self.done.recv_timeout(patience), Err(std::sync::mpsc::RecvTimeoutError::Timeout));
        // Otherwise it is stuck with a terminal or a pipe that accepts no more data, and the problem cannot be
        // reported.
        if let Some(thread) = self.thread.take().filter(|_| is_done) {
            let _ = thread.join();
        }
    }
}

/// The console's thread.
struct Screen {
    spectator: Arc<dyn Spectator>,
    shared: Arc<Shared>,
    complaints: Receiver<Entry>,
    /// Further outputs to read.
    outputs: Receiver<(ReplicaId, OwnedFd)>,
    /// The entries that are held back.
    held: Vec<Entry>,
}

impl Screen {
    /// Shows everything until it is asked to stop.
    fn show(&mut self) {
        let mut streams: Vec<Stream> = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        let mut end = None;
        loop {
            // Checked before reading, so that output from before the stop is still seen.
            if end.is_none() && self.shared.stopped.load(Ordering::Acquire) {
                end = Some(self.shared.clock.now() + LAST_WORDS);
            }
            streams.extend(self.outputs.try_iter().map(|(replica, fd)| Stream::new(replica, fd)));
            let quiet = !self.read(&mut streams, &mut buffer, if end.is_some() { Span::ZERO } else { LOOK_INTERVAL });
            let now = self.shared.run_time();
            self.held.extend(self.complaints.try_iter());
            self.show_until(|entry| entry.time + HELD_BACK <= now);
            self.spectator.progress(Time(self.shared.now.load(Ordering::Relaxed)));
            // A process that left its process group and prints after the end is not waited for.
            if end.is_some_and(|end| quiet || self.shared.clock.now() >= end) {
                break;
            }
        }
        for stream in &mut streams {
            stream.end_line(self);
        }
        self.held.extend(self.complaints.try_iter());
        self.show_until(|_| true);
    }

    /// Shows the held entries that are due, in the order of times. Entries of one time keep their order.
    fn show_until(&mut self, is_due: impl Fn(&Entry) -> bool) {
        self.held.sort_by_key(|entry| entry.time);
        let later = self.held.split_off(self.held.partition_point(is_due));
        for Entry { time, replica, kind, text } in mem::replace(&mut self.held, later) {
            match kind {
                Kind::Printed => self.spectator.printed(time, replica, &text),
                Kind::Complaint => self.spectator.complaint(time, replica, &text),
            }
        }
    }

    /// Shows a line that a replica has printed.
    fn print(&mut self, replica: ReplicaId, text: String) {
        let time = self.shared.run_time();
        self.held.push(Entry { time, replica, kind: Kind::Printed, text });
    }

    /// Waits for output, and reads it. False if there was none.
    fn read(&mut self, streams: &mut Vec<Stream>, buffer: &mut [u8], patience: Span) -> bool {
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

    /// Reads the available output. False at the end.
    fn read(&mut self, buffer: &mut [u8], screen: &mut Screen) -> bool {
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
            screen.print(self.replica, "(prints too much; the rest is not shown)".to_owned());
        }
        true
    }

    fn show_line(&mut self, screen: &mut Screen) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        screen.print(self.replica, String::from_utf8_lossy(line).into_owned());
        self.line.clear();
    }

    fn end_line(&mut self, screen: &mut Screen) {
        if !self.line.is_empty() {
            self.show_line(screen);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Records all entries that it gets.
    #[derive(Default)]
    struct Listener(Mutex<Vec<(Time, String)>>);

    impl Spectator for Listener {
        fn progress(&self, _: Time) {}

        fn printed(&self, now: Time, _: ReplicaId, line: &str) {
            self.0.lock().unwrap().push((now, line.to_owned()));
        }

        fn complaint(&self, now: Time, _: ReplicaId, complaint: &str) {
            self.0.lock().unwrap().push((now, format!("warning: {complaint}")));
        }
    }

    #[test]
    fn lines_and_complaints_are_shown_in_the_order_of_their_times_once_they_are_due() {
        let listener = Arc::new(Listener::default());
        let ((_, complaints), (_, outputs)) = (sync_channel(1), channel());
        let entry = |millis, kind, text: &str| Entry {
            time: Time::ZERO + Span::from_millis(millis),
            replica: ReplicaId(0),
            kind,
            text: text.to_owned(),
        };
        let mut screen = Screen {
            spectator: Arc::clone(&listener) as Arc<dyn Spectator>,
            shared: Arc::new(Shared::new(Clock::start(), 0)),
            complaints,
            outputs,
            held: vec![
                entry(16, Kind::Printed, "b"),
                entry(16, Kind::Printed, "c"),
                entry(90, Kind::Printed, "later"),
                entry(15, Kind::Complaint, "a"),
            ],
        };
        screen.show_until(|entry| entry.time < Time::ZERO + Span::from_millis(50));
        let shown = || listener.0.lock().unwrap().iter().map(|(_, text)| text.clone()).collect::<Vec<_>>();
        assert_eq!(shown(), ["warning: a", "b", "c"]);
        screen.show_until(|_| true);
        assert_eq!(shown().last().map(String::as_str), Some("later"));
    }

    #[test]
    fn a_run_that_has_not_begun_is_at_time_zero() {
        let clock = Clock::start();
        let console = Console::start_early(clock, Vec::new(), Arc::new(Listener::default()));
        while clock.now() == Time::ZERO {}
        assert_eq!(console.shared.run_time(), Time::ZERO);
        let begun = clock.now();
        console.teller().begin();
        while console.shared.run_time() == Time::ZERO {}
        assert!(console.shared.run_time() <= Time::ZERO + clock.now().since(begun), "it counts from the beginning");
    }
}
