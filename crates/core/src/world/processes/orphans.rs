//! Processes that replicas started and left behind.
//!
//! A replica's process group is killed with it. A process that left the group, by `setsid` for example, is not in it, and
//! when its parent is gone it would belong to the system's first process. So this process asks for such orphans
//! ([`adopt`], Linux's "child subreaper"). Each replica finds a name in its environment ([`MARK`]), which its descendants
//! inherit, so it is known which replica an orphan came from. One that has wiped its environment is found with the last run.

use std::fs;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use super::group::pause;
use crate::clock::Clock;
use crate::time::{Span, Time};

/// The environment variable that tells which replica of which run a process came from.
pub(super) const MARK: &str = "SEEDBED_REPLICA";

/// How long it may take until all orphans are gone. Longer takes only one that may not be killed.
const PATIENCE: Span = Span::from_secs(2);

/// From now on, descendants of this process that lose their parent become its children. Only Linux can do that.
pub(super) fn adopt() {
    #[cfg(target_os = "linux")]
    {
        // An old kernel refuses. Then such processes are out of reach, as they are elsewhere.
        let _ = rustix::process::set_child_subreaper(Some(getpid()));
    }
}

/// Ends the orphans that have this mark, and what they leave behind in turn. The marked replica itself is gone.
pub(super) fn end_marked(mark: &str) {
    let entry = format!("{MARK}={mark}");
    end(|pid| {
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == entry.as_bytes())
    });
}

/// Ends all children of this process, and what they leave behind in turn.
pub(super) fn end_all() {
    end(|_| true);
}

/// Kills and waits for those of this process's children that are meant, until none is left. Their own children are
/// this process's once they are gone.
fn end(is_meant: impl Fn(Pid) -> bool) {
    let clock = Clock::start();
    loop {
        let mut is_clear = true;
        for pid in children().filter(|&pid| is_meant(pid)) {
            is_clear = false;
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        if is_clear || clock.now() >= Time::ZERO + PATIENCE {
            return;
        }
        pause();
    }
}

/// The children of this process, as `/proc` shows them; without `/proc`, none.
fn children() -> impl Iterator<Item = Pid> {
    let own = getpid().as_raw_nonzero().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(move |pid| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        // "pid (name) state parent ...", where the name may hold anything.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        parent == Some(own.as_str())
    })
}
