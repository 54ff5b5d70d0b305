//! Processes that replicas started and left behind.
//!
//! A replica's process group is killed with it. A process that left the group, by `setsid` for example, is not in it,
//! and when its parent is gone it would belong to the system's first process. So this process asks for such orphans
//! ([`adopt`], Linux's "child subreaper"). Each replica has a mark in its environment ([`MARK`]), which its descendants
//! inherit, so the replica of an orphan is known. An orphan that has wiped its environment is found when the last run
//! ends.

use std::fs;
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use crate::clock::Clock;
use crate::time::{Span, Time};

/// The environment variable that names the run and the replica from which a process came.
pub(super) const MARK: &str = "SEEDBED_REPLICA";

/// How long it may take until all orphans are gone. Only a process that this one may not kill, or many that fork all
/// the time, take longer.
const PATIENCE: Span = Span::from_secs(10);

/// The children that this process had before it started a replica: a shell may leave it some when it executes this
/// program.
static OTHERS: OnceLock<Vec<Pid>> = OnceLock::new();

/// From now on, descendants of this process that lose their parent become its children. Only Linux supports this. It
/// must be called before the first replica is started.
pub(super) fn adopt() {
    OTHERS.get_or_init(|| children().collect());
    #[cfg(target_os = "linux")]
    {
        // An old kernel refuses. Then such processes are out of reach, as on other systems.
        let _ = rustix::process::set_child_subreaper(Some(getpid()));
    }
}

/// Kills the orphans whose mark has this prefix, without waiting.
pub(super) fn kill_marked(mark: &str) {
    kill(|pid| is_marked(pid, mark));
}

/// Ends the orphans whose mark has this prefix, and their own orphans in turn. The marked replicas are gone.
pub(super) fn end_marked(mark: &str) {
    end(|pid| is_marked(pid, mark));
}

/// Ends all children of this process that replicas have left behind, and their own orphans in turn.
pub(super) fn end_all() {
    end(|_| true);
}

fn is_marked(pid: Pid, mark: &str) -> bool {
    let entry = format!("{MARK}={mark}");
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|variable| variable.starts_with(entry.as_bytes()))
}

/// Kills the selected children of this process until none is left. Their own children become this process's once they
/// are gone. It never pauses, because a process that forks and ends all the time can only be caught without a pause.
fn end(is_selected: impl Fn(Pid) -> bool) {
    let clock = Clock::start();
    while kill(&is_selected) && clock.now() < Time::ZERO + PATIENCE {}
}

/// Kills the selected children of this process, except those that it had before. Returns whether there was one.
fn kill(is_selected: impl Fn(Pid) -> bool) -> bool {
    let mut any = false;
    let is_other = |pid: &Pid| OTHERS.get().is_some_and(|others| others.contains(pid));
    for pid in children().filter(|pid| !is_other(pid) && is_selected(*pid)) {
        any = true;
        let _ = kill_process(pid, Signal::KILL);
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
    any
}

/// The children of this process, as `/proc` shows them; without `/proc`, none.
fn children() -> impl Iterator<Item = Pid> {
    let own = getpid().as_raw_nonzero().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(move |pid| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        // "pid (name) state parent ...", where the name may contain anything.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        parent == Some(own.as_str())
    })
}
