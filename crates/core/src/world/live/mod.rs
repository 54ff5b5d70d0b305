//! The live world: real processes over real UDP, in real time, as the course's grader runs them.
//!
//! Any program that speaks the handout's protocol can play, in any language. Each replica is a process in its own
//! process group, and gets the port of the one socket that is its LAN. One thread routes: it sleeps until a datagram
//! comes or something is due. It passes on the replicas' messages that the chaos monkey lets through, plays the
//! clients, and injects the scenario's faults. Faults, clients, matrix and counters are those of the virtual world. A
//! crash is a SIGKILL, a pause a SIGSTOP; a restart starts the program again.
//!
//! A replica may misbehave in any way: its malformed datagrams are counted ([`RunRecord::malformed`]) and reported to a
//! [`Spectator`], and the run continues. However a run ends, no process that a replica has started is left.

mod cluster;
mod router;

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};

use super::processes::{Console, Interrupt, PlayError, Spectator, check_executable, usual_environment};
use crate::chaos::Rulebook;
use crate::clock::{Clock, timespec};
use crate::id::ReplicaId;
use crate::record::{RunRecord, Watcher, World};
use crate::scenario::Scenario;
use crate::time::{Span, Time};
use cluster::Cluster;
use router::{Port, Router};

/// The run's clock starts when all replicas have sent hello, but at the latest this long after they were started: a
/// program whose runtime starts slowly, or a busy machine, is not the replicas' fault. The course's runner does not
/// wait.
const HELLO_PATIENCE: Span = Span::from_secs(10);

/// How often the processes are checked.
const WATCH_INTERVAL: Span = Span::from_millis(100);

/// The router wakes up at least this often, to notice when the machine is too busy to wake it up in time.
const BEAT: Span = Span::from_millis(20);

/// How a run in the live world is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    program: PathBuf,
    /// Variables of the environment besides the usual ones.
    further: Vec<(OsString, OsString)>,
}

impl Setup {
    /// Every replica runs this program, which is a file: a bare name is looked up in the current folder. Its environment is
    /// small: `PATH`, `HOME`, `USER`, `LOGNAME` and `TMPDIR` of this process, and `LANG=C.UTF-8`.
    ///
    /// # Errors
    /// If there is no such program, or it cannot be executed.
    pub fn new(program: &Path) -> Result<Setup, PlayError> {
        let error = |source| PlayError::Program { program: program.to_owned(), source };
        check_executable(program).map_err(error)?;
        Ok(Setup { program: program.to_owned(), further: Vec::new() })
    }

    /// With one more variable in the replicas' environment.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Setup {
        self.further.push((name.into(), value.into()));
        self
    }

    /// The replicas' environment.
    #[expect(clippy::disallowed_methods, reason = "temporary files go where those of this process go")]
    fn environment(&self) -> impl Iterator<Item = (OsString, OsString)> {
        let temporary = std::env::var_os("TMPDIR").map(|folder| ("TMPDIR".into(), folder));
        usual_environment().chain(temporary).chain(self.further.iter().cloned())
    }
}

/// Plays a scenario with real processes, from beginning to end. The seed is that of the clients, the faults and the
/// random streams of the network; replicas have seeds of their own. The watcher sees each event on the router's thread:
/// a slow watcher delays it.
///
/// # Errors
/// If the scenario needs a feature that this world lacks, the program does not start, the system refuses something, or
/// the run is interrupted.
pub fn play(
    scenario: &Scenario,
    seed: u64,
    setup: &Setup,
    spectator: Arc<dyn Spectator>,
    watcher: &mut dyn Watcher,
    interrupt: &Interrupt,
) -> Result<RunRecord, PlayError> {
    PlayError::refuse_unplayable(scenario, World::Live)?;
    let ports: Vec<Port> = (0..scenario.replicas).map(|_| Port::open()).collect::<Result<_, _>>()?;
    let clock = Clock::start();
    let _hold = interrupt.hold();
    let mut started = Cluster::start(setup, seed, &ports)?;
    // However this ends, also by a panic: first the processes are gone, then the console has shown their last words.
    let console = Console::start_early(clock, started.processes.take_outputs(), spectator);
    // Moved here, so that it is dropped before the console.
    let mut cluster = started;
    let router = Router::new(scenario, seed, &ports, &console, watcher);
    let result = route(router, clock, &mut cluster, &ports, interrupt);
    cluster.processes.shut_down();
    result
}

/// Routes until the run is over. The clock was started with the processes.
fn route(
    mut router: Router<'_>,
    clock: Clock,
    cluster: &mut Cluster<'_>,
    ports: &[Port],
    interrupt: &Interrupt,
) -> Result<RunRecord, PlayError> {
    let sockets = ports.iter().flat_map(Port::sockets).map(AsFd::as_fd);
    let mut fds: Vec<PollFd<'_>> = std::iter::once(interrupt.as_fd())
        .chain(sockets)
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    let mut watch_due = Time::ZERO;
    let patience = match router.rules() {
        Rulebook::Handout => Time::ZERO + HELLO_PATIENCE,
        Rulebook::Runner => Time::ZERO,
    };
    loop {
        router.begin(clock.now() >= patience);
        let now = router.now();
        if clock.now() >= watch_due {
            watch_due = clock.now() + WATCH_INTERVAL;
            router.watch(now, cluster)?;
        }
        let due = router.do_due(now, cluster)?;
        if router.is_over(now) {
            // Replicas that have died in the meantime count, too.
            router.watch(now, cluster)?;
            return Ok(router.finish(now));
        }
        let span = due.since(router.now()).min(watch_due.since(clock.now())).min(BEAT);
        let wanted = clock.now() + span;
        wait(&mut fds, span)?;
        router.note_lag(clock.now().since(wanted));
        interrupt.check()?;
        for (place, pair) in ReplicaId::all(ports.len()).zip(fds[1..].chunks(2)) {
            for (socket, _) in pair.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty()) {
                router.drain(place, socket);
            }
        }
    }
}

/// Sleeps until something can be read, or for this long.
fn wait(fds: &mut [PollFd<'_>], span: Span) -> Result<(), PlayError> {
    match rustix::event::poll(fds, Some(&timespec(span))) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(PlayError::system("to wait for sockets")(error.into())),
    }
}

/// A path that always names a file, never a command to be looked up.
pub(super) fn as_file(program: &Path) -> PathBuf {
    if program.components().count() == 1 { Path::new(".").join(program) } else { program.to_owned() }
}
