//! The display during runs: a bar, and the replicas' output and complaints about them.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::output;
use crate::id::ReplicaId;
use crate::time::{Span, Time};
use crate::world::processes::Spectator;

/// A bar on standard error, if that is a terminal: scenarios in the virtual world, seconds in the live one.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// In the live world, how many nanoseconds of all runs have passed.
    passed: Option<Arc<AtomicU64>>,
    /// Standard error is not a terminal, so there is no bar to suspend. The bar knows this, too, but asking it may have
    /// to wait for another thread that writes.
    hidden: bool,
    /// There are several runs, so lines of replicas name their run.
    several: bool,
}

impl Progress {
    /// A bar over this many runs. `several`: of more than one scenario.
    pub fn in_runs(runs: u64, several: bool) -> Progress {
        Progress::new(runs, "{bar:40} {pos}/{len} {msg}", None, several)
    }

    /// A bar over this many seeds, or over any number of them, with the rate.
    pub fn in_seeds(seeds: Option<u64>) -> Progress {
        match seeds {
            Some(seeds) => Progress::new(seeds, "{bar:40} {pos}/{len} {rate} {eta}", None, false),
            None => Progress::new(u64::MAX, "{spinner} {pos} seeds {rate} {elapsed}", None, false),
        }
    }

    /// A bar over this many hunts of the zoo, each of any number of runs.
    pub fn in_hunts(hunts: u64) -> Progress {
        Progress::new(hunts, "{bar:40} {pos}/{len} hunts {elapsed}", None, false)
    }

    /// A search that may end long before its budget; the message shows its progress.
    pub fn in_search(budget: u64) -> Progress {
        Progress::new(budget, "{spinner} {pos} of at most {len} {wide_msg}", None, false)
    }

    /// A bar over the bytes of a file, if it is known how many there are.
    pub fn in_bytes(bytes: Option<u64>) -> Progress {
        match bytes {
            Some(bytes) => Progress::new(bytes, "{bar:40} {bytes}/{total_bytes} {msg}", None, false),
            None => Progress::new(u64::MAX, "{spinner} {bytes} {msg}", None, false),
        }
    }

    /// A bar over this many requests.
    #[cfg(feature = "grpc")]
    pub fn in_requests(requests: u64) -> Progress {
        Progress::new(requests, "{bar:40} {pos}/{len} {msg}", None, false)
    }

    /// A bar over this much time of all runs together.
    pub fn in_time(span: Span, several: bool) -> Progress {
        let seconds = span.as_secs_f64().round() as u64;
        Progress::new(seconds, "{bar:40} {pos}/{len} s {msg}", Some(Arc::default()), several)
    }

    fn new(length: u64, template: &str, passed: Option<Arc<AtomicU64>>, several: bool) -> Progress {
        let style = ProgressStyle::with_template(template).expect("the template is valid");
        let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            // A bar without a rate is acceptable.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        });
        let bar = ProgressBar::new(length).with_style(style);
        Progress { hidden: bar.is_hidden(), bar, passed, several }
    }

    /// A run begins.
    pub fn begin(&self, name: &str) {
        if !self.hidden {
            self.bar.set_message(name.to_owned());
        }
    }

    /// A run has ended.
    pub fn end(&self) {
        if self.passed.is_none() && !self.hidden {
            self.bar.inc(1);
        }
    }

    /// This many runs are over; `message` describes their outcomes.
    pub fn reach(&self, runs: u64, message: impl FnOnce() -> String) {
        if !self.hidden {
            self.bar.set_position(runs);
            self.bar.set_message(message());
        }
    }

    /// This much time of a run has passed.
    fn pass(&self, span: Span) {
        if let Some(passed) = &self.passed {
            let nanos = passed.fetch_add(span.nanos(), Ordering::Relaxed) + span.nanos();
            if !self.hidden {
                self.bar.set_position(nanos / 1_000_000_000);
            }
        }
    }

    /// Runs code that writes to the terminal; the bar is hidden meanwhile.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.hidden { write() } else { self.bar.suspend(write) }
    }

    /// Removes the bar.
    pub fn clear(&self) {
        if !self.hidden {
            self.bar.finish_and_clear();
        }
    }
}

/// Shows the events of one run of the live world.
pub(super) struct Screen {
    progress: Progress,
    /// The name of the run.
    name: String,
    end: Time,
    /// The run's time, in nanoseconds, up to which progress has been shown.
    shown: AtomicU64,
    /// The output of replicas, if it is kept and not shown.
    kept: Option<Mutex<Vec<u8>>>,
}

/// The most bytes that are kept of the output of all replicas of a run.
const KEPT_BYTES_MAX: usize = 16 << 20;

impl Screen {
    /// A screen for a run of this name that ends at this time. With `silence`, the output of replicas is kept and not
    /// shown.
    pub fn new(progress: &Progress, name: &str, end: Time, silence: bool) -> Screen {
        let kept = silence.then(Mutex::default);
        Screen { progress: progress.clone(), name: name.to_owned(), end, shown: AtomicU64::new(0), kept }
    }

    /// The output of replicas and the complaints about them, if they were kept.
    pub fn take_kept(&self) -> Option<Vec<u8>> {
        let kept = self.kept.as_ref()?;
        Some(std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn keep(&self, line: &str) {
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let before = kept.len();
            if before < KEPT_BYTES_MAX {
                kept.extend(line.bytes().chain(*b"\n"));
            }
            if before < KEPT_BYTES_MAX && kept.len() >= KEPT_BYTES_MAX {
                kept.extend(b"(the rest is not kept)\n");
            }
        }
    }

    /// The run has ended, early or not.
    pub fn finish(&self) {
        self.progress(self.end);
    }

    fn prefix(&self, now: Time, replica: ReplicaId) -> String {
        let seconds = now.as_secs_f64();
        match self.progress.several {
            true => format!("[{seconds:.3}  {}  Replica {replica}]", self.name),
            false => format!("[{seconds:.3}  Replica {replica}]"),
        }
    }
}

impl Spectator for Screen {
    fn progress(&self, now: Time) {
        let shown = self.shown.fetch_max(now.nanos(), Ordering::Relaxed);
        self.progress.pass(now.since(Time(shown)));
    }

    fn printed(&self, now: Time, replica: ReplicaId, line: &str) {
        let prefix = self.prefix(now, replica);
        if self.kept.is_some() {
            return self.keep(&format!("{prefix} {line}"));
        }
        // If standard error cannot be written, the error cannot be reported.
        self.progress.suspend(|| _ = writeln!(io::stderr(), "{prefix} {line}"));
    }

    fn complaint(&self, now: Time, replica: ReplicaId, complaint: &str) {
        let prefix = self.prefix(now, replica);
        self.keep(&format!("{prefix} warning: {complaint}"));
        self.progress.suspend(|| output::warning(&format!("{prefix} {complaint}")));
    }
}
