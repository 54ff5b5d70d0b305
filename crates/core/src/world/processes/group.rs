//! Replicas as processes, each in a process group of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, kill_process_group, waitid};

use super::orphans;
use crate::clock::{Clock, timespec};
use crate::id::ReplicaId;
use crate::time::{Span, Time};

/// How long a replica may take to end after SIGTERM before it is killed.
const GRACE: Span = Span::from_millis(500);

/// How long it may take until a killed process is gone. Only a process that this one may not kill takes longer.
const KILL_PATIENCE: Span = Span::from_secs(2);

/// How often processes that should end are checked.
const LOOK_INTERVAL: Span = Span::from_millis(5);

/// The outputs of replicas: the replica, and the read end of the pipe.
pub(crate) type Outputs = Vec<(ReplicaId, OwnedFd)>;

/// The processes of all replicas, in order, each in a process group of its own. When this is dropped, neither they nor
/// any process that they have started are left.
#[derive(Debug)]
pub(crate) struct Processes {
    /// A number that distinguishes the runs of this process.
    run: u64,
    processes: Vec<Process>,
}

/// How many runs have had processes.
static RUNS: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Process {
    replica: ReplicaId,
    child: Child,
    state: State,
    /// Its mark in the environment, which its descendants inherit.
    mark: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// It was asked to end, and is killed at this time.
    Ending(Time),
    /// It has ended and been waited for, and its group is empty.
    Gone,
}

impl Processes {
    /// No process yet.
    pub fn new() -> Processes {
        orphans::adopt();
        Processes { run: RUNS.fetch_add(1, Ordering::Relaxed), processes: Vec::new() }
    }

    /// Starts the process of the next replica.
    ///
    /// # Errors
    /// If it does not start.
    pub fn spawn(&mut self, command: Command) -> io::Result<()> {
        let replica = ReplicaId(self.processes.len() as u8);
        let mark = format!("{}{replica}", self.mark());
        self.processes.push(Process::start(replica, mark, command)?);
        Ok(())
    }

    /// Restarts a replica's process. The old one must be gone completely ([`Processes::clear`]).
    ///
    /// # Errors
    /// If it does not start, or the old one is still there.
    pub fn respawn(&mut self, replica: ReplicaId, command: Command) -> io::Result<()> {
        let process = &mut self.processes[replica.index()];
        if !matches!(process.child.try_wait(), Ok(Some(_))) {
            return Err(io::Error::other("the process that it replaces cannot be ended"));
        }
        *process = Process::start(replica, process.mark.clone(), command)?;
        Ok(())
    }

    /// The read ends of the replicas' outputs, as far as they are pipes and were not taken before.
    pub fn take_outputs(&mut self) -> Outputs {
        let mut outputs = Outputs::new();
        for Process { replica, child, .. } in &mut self.processes {
            outputs.extend(child.stdout.take().map(|pipe| (*replica, OwnedFd::from(pipe))));
            outputs.extend(child.stderr.take().map(|pipe| (*replica, OwnedFd::from(pipe))));
        }
        outputs
    }

    /// A replica crash-fails at once, and is gone.
    #[cfg(feature = "grpc")]
    pub fn destroy(&mut self, replica: ReplicaId) {
        self.processes[replica.index()].destroy();
    }

    /// A replica crash-fails at once. Its processes are waited for later, by [`Processes::watch`] or
    /// [`Processes::clear`], so that many can crash at one time.
    pub fn crash(&mut self, now: Time, replica: ReplicaId) {
        let process = &mut self.processes[replica.index()];
        process.signal(Signal::KILL);
        if process.state == State::Running {
            process.state = State::Ending(now + GRACE);
        }
    }

    /// A replica crash-fails: its group is asked to end, and killed if it does not.
    pub fn kill(&mut self, now: Time, replica: ReplicaId) {
        self.processes[replica.index()].end(now);
    }

    /// Ends whatever is left of a replica, and waits until it is gone.
    pub fn clear(&mut self, replica: ReplicaId) {
        let process = &mut self.processes[replica.index()];
        process.destroy();
        orphans::end_marked(&process.mark);
    }

    /// Stops a replica's group: it does nothing until it is resumed. A process that has left the group keeps running.
    pub fn pause(&mut self, replica: ReplicaId) {
        self.processes[replica.index()].signal(Signal::STOP);
    }

    /// Resumes a replica's group.
    pub fn resume(&mut self, replica: ReplicaId) {
        self.processes[replica.index()].signal(Signal::CONT);
    }

    /// Checks all processes. Calls `died` for each replica that has ended by itself.
    pub fn watch(&mut self, now: Time, mut died: impl FnMut(ReplicaId, ExitStatus)) {
        for process in &mut self.processes {
            let was_running = process.state == State::Running;
            if let Some(status) = process.look(now).filter(|_| was_running) {
                died(process.replica, status);
            }
        }
    }

    /// Ends all processes: asks them to end, and kills those that do not.
    pub fn shut_down(&mut self) {
        let clock = Clock::start();
        for process in &mut self.processes {
            process.end(clock.now());
        }
        loop {
            let now = clock.now();
            for process in &mut self.processes {
                process.look(now);
            }
            if self.processes.iter().all(|process| process.state == State::Gone) {
                break;
            }
            pause();
        }
        orphans::end_marked(&self.mark());
    }

    /// The prefix of the marks of this run's replicas.
    fn mark(&self) -> String {
        format!("{}-{}-", getpid().as_raw_nonzero(), self.run)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in &mut self.processes {
            process.destroy();
        }
        orphans::end_marked(&self.mark());
    }
}

impl Process {
    fn start(replica: ReplicaId, mark: String, mut command: Command) -> io::Result<Process> {
        let child = command.env(orphans::MARK, &mark).process_group(0).spawn()?;
        Ok(Process { replica, child, state: State::Running, mark })
    }

    /// Signals the group, and the process itself in case it has left the group.
    fn signal(&self, signal: Signal) {
        // Until the process has been waited for, its number and that of its group belong to no other process.
        if let Some(pid) = self.pid().filter(|_| self.state != State::Gone) {
            let _ = kill_process_group(pid, signal);
            let _ = kill_process(pid, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn end(&mut self, now: Time) {
        if self.state == State::Running {
            self.signal(Signal::TERM);
            // A stopped process ends only when it is resumed.
            self.signal(Signal::CONT);
            self.state = State::Ending(now + GRACE);
        }
    }

    /// Checks whether it has ended, and kills it if its time is over. Returns its status when it has just ended.
    fn look(&mut self, now: Time) -> Option<ExitStatus> {
        let overdue = matches!(self.state, State::Ending(deadline) if now >= deadline);
        if self.state == State::Gone || !(overdue || self.has_ended()) {
            return None;
        }
        self.destroy()
    }

    /// Whether its first process has ended. It is not waited for yet: until then its number, and its group's, are its own.
    fn has_ended(&self) -> bool {
        let Some(pid) = self.pid() else { return true };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
    }

    /// Kills the rest of its group and waits for it, and kills processes that have left the group.
    fn destroy(&mut self) -> Option<ExitStatus> {
        if self.state == State::Gone {
            return None;
        }
        self.signal(Signal::KILL);
        self.state = State::Gone;
        let clock = Clock::start();
        let status = loop {
            match self.child.try_wait() {
                Ok(None) if clock.now() < Time::ZERO + KILL_PATIENCE => pause(),
                // A process that this one may not kill, because it runs under another user, is left.
                result => break result.ok().flatten(),
            }
        };
        // Checked only once, because the router may be waiting. The end of the run does the rest.
        orphans::kill_marked(&self.mark);
        status
    }
}

/// Waits for some time. If the system refuses even that, the caller just checks again sooner.
fn pause() {
    let _ = rustix::event::poll(&mut [], Some(&timespec(LOOK_INTERVAL)));
}

/// How a process ended, in words.
pub fn describe_end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
