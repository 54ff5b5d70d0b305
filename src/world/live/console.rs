//! What replicas print.
//!
//! A thread of its own reads it, so that a replica that prints megabytes, or a terminal that is slow, never holds up the
//! routing.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags};

use super::{Spectator, timespec};
use crate::clock::Clock;
use crate::id::ReplicaId;
use crate::time::Span;

/// How many bytes of one replica are shown. The rest is read, so that the replica can go on, and thrown away.
const SHOWN_BYTES_MAX: usize = 1 << 20;

/// Longer lines are broken.
const LINE_BYTES_MAX: usize = 8 << 10;

/// How long it may take until the reader sees that it is to stop.
const STOP_DELAY: Span = Span::from_millis(50);

/// The replicas' standard output and standard error.
pub(super) struct Console {
    clock: Clock,
    outputs: Vec<(ReplicaId, OwnedFd)>,
    stopped: AtomicBool,
}

/// Stops the console when it is dropped.
pub(super) struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Console {
    pub fn new(clock: Clock, outputs: Vec<(ReplicaId, OwnedFd)>) -> Console {
        Console { clock, outputs, stopped: AtomicBool::new(false) }
    }

    /// The console stops when what this gives is dropped.
    pub fn stop_at_end(&self) -> StopAtEnd<'_> {
        StopAtEnd(&self.stopped)
    }

    /// Shows all output until every replica has closed its ends, or the console is stopped.
    pub fn show(&self, spectator: &dyn Spectator) {
        let mut streams: Vec<Stream<'_>> =
            self.outputs.iter().filter_map(|(replica, fd)| Stream::new(*replica, fd)).collect();
        let mut buffer = vec![0; 64 << 10];
        while !streams.is_empty() {
            // Asked before looking, so that what was printed before the stop is still seen.
            let stopped = self.stopped.load(Ordering::Acquire);
            let mut fds: Vec<PollFd<'_>> =
                streams.iter().map(|stream| PollFd::from_borrowed_fd(stream.fd, PollFlags::IN)).collect();
            let patience = if stopped { Span::ZERO } else { STOP_DELAY };
            let ready = rustix::event::poll(&mut fds, Some(&timespec(patience))).unwrap_or(0);
            let readable: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready > 0 {
                let mut readable = readable.into_iter();
                streams.retain_mut(|stream| {
                    !readable.next().unwrap_or(false) || stream.read(&mut buffer, &self.clock, spectator)
                });
            }
            // Who prints on after the end, from beyond its process group, is not waited for.
            if stopped && (ready == 0 || streams.iter().all(|stream| stream.shown >= SHOWN_BYTES_MAX)) {
                break;
            }
        }
        for stream in &mut streams {
            stream.end_line(&self.clock, spectator);
        }
    }
}

/// One end of one pipe.
struct Stream<'a> {
    replica: ReplicaId,
    fd: std::os::fd::BorrowedFd<'a>,
    file: File,
    line: Vec<u8>,
    shown: usize,
}

impl<'a> Stream<'a> {
    fn new(replica: ReplicaId, fd: &'a OwnedFd) -> Option<Stream<'a>> {
        let file = File::from(fd.try_clone().ok()?);
        Some(Stream { replica, fd: fd.as_fd(), file, line: Vec::new(), shown: 0 })
    }

    /// Reads what is there. False at the end.
    fn read(&mut self, buffer: &mut [u8], clock: &Clock, spectator: &dyn Spectator) -> bool {
        let length = match self.file.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return true,
            Err(_) => 0,
        };
        if length == 0 {
            self.end_line(clock, spectator);
            return false;
        }
        if self.shown >= SHOWN_BYTES_MAX {
            return true;
        }
        for &byte in &buffer[..length] {
            if byte == b'\n' {
                self.show_line(clock, spectator);
            } else {
                self.line.push(byte);
                if self.line.len() >= LINE_BYTES_MAX {
                    self.show_line(clock, spectator);
                }
            }
        }
        self.shown += length;
        if self.shown >= SHOWN_BYTES_MAX {
            self.end_line(clock, spectator);
            spectator.printed(clock.now(), self.replica, "(prints too much; the rest is not shown)");
        }
        true
    }

    fn show_line(&mut self, clock: &Clock, spectator: &dyn Spectator) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        spectator.printed(clock.now(), self.replica, &String::from_utf8_lossy(line));
        self.line.clear();
    }

    fn end_line(&mut self, clock: &Clock, spectator: &dyn Spectator) {
        if !self.line.is_empty() {
            self.show_line(clock, spectator);
        }
    }
}
