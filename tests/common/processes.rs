//! The programs under test, as processes.

use std::path::Path;
use std::process::{Child, Command, Output};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use seedbed::world::processes::is_ignored;

/// Longer than any process here takes to end, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What could change what a program does or prints, besides its arguments.
const VARIABLES: [&str; 17] = [
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "JOB_COMPLETION_INDEX",
    "NO_COLOR",
    "RUST_BACKTRACE",
    "SEEDBED_CHAOS_TOKEN",
    "SEEDBED_DATA",
    "SEEDBED_LOG",
    "SEEDBED_SEED",
    "SEEDBED_SERVERS",
    "SEEDBED_SYNC",
    "SEEDBED_TLS_CA",
    "SEEDBED_TLS_CERT",
    "SEEDBED_TLS_KEY",
    "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_MIN",
];

/// The program `seedbed`.
pub fn seedbed() -> Command {
    program(env!("CARGO_BIN_EXE_seedbed"))
}

/// The program `3700kvstore`.
pub fn kvstore() -> Command {
    program(env!("CARGO_BIN_EXE_3700kvstore"))
}

/// Any program, started as from a terminal: nothing in the environment changes it, and signals end it.
pub fn program(path: impl AsRef<Path>) -> Command {
    restore_signals();
    let mut command = Command::new(path.as_ref());
    VARIABLES.iter().for_each(|name| _ = command.env_remove(name));
    command
}

/// Lets the processes of this test program start with the default action of each signal.
///
/// A process inherits the signals that its parent ignores, and seedbed keeps them ignored. `nohup cargo test &` ignores
/// some, so tests that send one would wait in vain. A signal with a handler has its default action again in a program
/// that is executed (execve(2)), so handlers that do nothing are installed for those that are ignored.
fn restore_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT].map(Signal::as_raw) {
            if is_ignored(signal) {
                let unread = Arc::new(AtomicBool::new(false));
                signal_hook::flag::register(signal, unread).expect("a handler can be installed");
            }
        }
    });
}

/// Sends a signal to a process and collects what it printed. A process that does not end is killed.
#[track_caller]
pub fn end_with(signal: Signal, child: Child) -> Output {
    let pid = Pid::from_child(&child);
    kill_process(pid, signal).expect("the process runs");
    let (ended, watch) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let late = watch.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
        // It has not been waited for, so the number is still its own.
        late && kill_process(pid, Signal::KILL).is_ok()
    });
    let output = child.wait_with_output().expect("what it printed");
    drop(ended);
    assert!(!watchdog.join().expect("no panic"), "killed {PATIENCE:?} after signal {signal:?}: {output:?}");
    output
}
