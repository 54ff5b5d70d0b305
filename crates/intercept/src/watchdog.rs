//! Watches for programs that run without ever stopping.
//!
//! The tracer waits for the thread that it has let run. If that computes for ever, or waits in the kernel for something
//! that the simulation does not know of, the tracer would wait for ever, too. So one thread of this process looks once a
//! second whether each tracer has seen a stop. After some seconds without one it kills the traced process, and the tracer
//! finds the reason here. It also looks whether a tracer waits for threads of which none runs: that is an error of this
//! package, and ends the run, not in silence.

use std::fs;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, Weak};
use std::time::Duration;

use crate::obstacle::What;
use crate::table;

/// How long a thread may compute, in seconds of its processor's time.
pub const SPIN_MAX: u64 = 5;

/// How long a call may wait in the kernel, in seconds of real time. It may be a slow disk.
pub const BLOCKED_MAX: u64 = 10;

/// How long a tracer may wait for a stop while none of its threads runs, in seconds. It never waits long for one that is
/// about to end.
const TRACER_MAX: u64 = 30;

/// What one tracer lets the watchdog see.
#[derive(Debug)]
pub struct Watch {
    /// The limits, in seconds: [`SPIN_MAX`] and [`BLOCKED_MAX`] unless they were changed.
    spin_max: AtomicU64,
    blocked_max: AtomicU64,
    /// The thread that runs; 0 if none does.
    running: AtomicI32,
    /// How many stops there were.
    stops: AtomicU64,
    /// The tracer's own thread.
    tracer: i32,
    /// How often it has begun or ended to wait for a stop: an odd number if it waits.
    waits: AtomicU64,
    verdict: Mutex<Option<What>>,
}

static WATCHES: Mutex<Vec<Weak<Watch>>> = Mutex::new(Vec::new());
static STARTED: Once = Once::new();

/// A new watch, which the watchdog looks at from now on.
pub fn register() -> Arc<Watch> {
    let watch = Arc::new(Watch {
        spin_max: AtomicU64::new(SPIN_MAX),
        blocked_max: AtomicU64::new(BLOCKED_MAX),
        running: AtomicI32::default(),
        stops: AtomicU64::default(),
        // SAFETY: it has no arguments.
        tracer: unsafe { libc::gettid() },
        waits: AtomicU64::default(),
        verdict: Mutex::default(),
    });
    lock(&WATCHES).push(Arc::downgrade(&watch));
    STARTED.call_once(|| {
        // Without it a program that spins is not found; that is no reason to refuse all others.
        let _ = std::thread::Builder::new().name("watchdog".to_owned()).spawn(guard);
    });
    watch
}

impl Watch {
    /// How long a thread may compute, and how long a call may wait in the kernel; in seconds.
    pub fn set_limits(&self, spin: u64, blocked: u64) {
        self.spin_max.store(spin, Ordering::Relaxed);
        self.blocked_max.store(blocked, Ordering::Relaxed);
    }

    /// A thread runs from now on.
    pub fn begin(&self, tid: i32) {
        self.running.store(tid, Ordering::Relaxed);
    }

    /// It has stopped.
    pub fn end(&self) {
        self.running.store(0, Ordering::Relaxed);
        self.stops.fetch_add(1, Ordering::Relaxed);
    }

    /// The tracer begins or ends to wait for a stop.
    pub fn turn_to_wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// Why the thread was killed that has just ended, if the watchdog did it.
    pub fn take_verdict(&self) -> Option<What> {
        lock(&self.verdict).take()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A thread that was seen running, and when: in ticks of its processor's time, and in looks.
struct Suspect {
    watch: Weak<Watch>,
    tid: i32,
    stops: u64,
    ticks: u64,
    looks: u64,
}

#[expect(clippy::disallowed_methods, reason = "it watches real time")]
fn guard() {
    let mut suspects: Vec<Suspect> = Vec::new();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let mut watches = lock(&WATCHES);
        watches.retain(|watch| watch.strong_count() > 0);
        let live: Vec<Arc<Watch>> = watches.iter().filter_map(Weak::upgrade).collect();
        drop(watches);
        suspects = live.iter().filter_map(|watch| look(watch, &suspects)).collect();
    }
}

/// Looks at one tracer. Returns whom to suspect at the next look.
fn look(watch: &Arc<Watch>, suspects: &[Suspect]) -> Option<Suspect> {
    let (tid, stops) = (watch.running.load(Ordering::Relaxed), watch.stops.load(Ordering::Relaxed));
    if tid == 0 {
        return look_at_tracer(watch, suspects);
    }
    let is_same = |suspect: &&Suspect| {
        suspect.watch.as_ptr() == Arc::as_ptr(watch) && (suspect.tid, suspect.stops) == (tid, stops)
    };
    let ticks = processor_ticks(tid)?;
    let fresh = Suspect { watch: Arc::downgrade(watch), tid, stops, ticks, looks: 0 };
    let Some(before) = suspects.iter().find(is_same) else { return Some(fresh) };
    let suspect = Suspect { ticks: before.ticks, looks: before.looks + 1, ..fresh };
    // SAFETY: the call takes a number.
    let ticks_a_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100);
    let (spin_max, blocked_max) = (watch.spin_max.load(Ordering::Relaxed), watch.blocked_max.load(Ordering::Relaxed));
    let verdict = if ticks.saturating_sub(suspect.ticks) >= spin_max.saturating_mul(ticks_a_second) {
        What::Spin { seconds: spin_max }
    } else if suspect.looks >= blocked_max && ticks == suspect.ticks {
        // A thread that gets no processor looks alike, but is not in a call.
        let call = current_call(tid)?;
        What::Blocked { call, seconds: suspect.looks }
    } else {
        return Some(suspect);
    };
    *lock(&watch.verdict) = Some(verdict);
    // SAFETY: the call takes numbers. The thread is still traced, so its number is its own.
    unsafe { libc::kill(tid, libc::SIGKILL) };
    None
}

/// Looks at a tracer that lets no thread run. If it waits for a stop all the same, all that it traces is killed.
fn look_at_tracer(watch: &Arc<Watch>, suspects: &[Suspect]) -> Option<Suspect> {
    let waits = watch.waits.load(Ordering::Relaxed);
    if waits.is_multiple_of(2) {
        return None;
    }
    let is_same =
        |suspect: &&Suspect| suspect.watch.as_ptr() == Arc::as_ptr(watch) && (suspect.tid, suspect.stops) == (0, waits);
    let looks = suspects.iter().find(is_same).map_or(0, |before| before.looks + 1);
    if looks < TRACER_MAX {
        return Some(Suspect { watch: Arc::downgrade(watch), tid: 0, stops: waits, ticks: 0, looks });
    }
    let why = format!(
        "none of its threads has stopped for {looks} s; this is an error of the simulation, not of the program"
    );
    *lock(&watch.verdict) = Some(What::Lost(why));
    for pid in traced_by(watch.tracer) {
        // SAFETY: the call takes numbers. The process is traced by this one, so its number is its own.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    None
}

/// The processes that a thread traces (proc_pid_status(5)).
fn traced_by(tracer: i32) -> Vec<i32> {
    let line = format!("TracerPid:\t{tracer}");
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_traced = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|text| text == line)
    };
    numbers.filter(is_traced).collect()
}

/// How long a thread has computed, in clock ticks (proc_pid_stat(5)).
fn processor_ticks(tid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{tid}/task/{tid}/stat")).ok()?;
    // The name of the program, in parentheses, may contain anything.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// The system call that a thread waits in (proc_pid_syscall(5)); none if it computes.
fn current_call(tid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{tid}/syscall")).ok()?;
    let number = text.split_whitespace().next()?.parse::<u64>().ok()?;
    Some(table::name(number))
}
