//! The gRPC world: a real cluster of servers on this machine, in real time.
//!
//! The servers are the program's own (`seedbed serve`), each in a process of its own, with its data in a folder of its
//! own. A death or a crash is a SIGKILL, a pause a SIGSTOP; a restart starts the program again, with the same port and
//! the same folder. Partitions, matrices and drops go through the servers' chaos monkeys, as any client could send them.
//! The clients are those of the other worlds; their requests are calls of the store's service. The servers themselves
//! report the leader and the number of messages, and are asked for this often.
//!
//! Some things differ from the other worlds. Every server passes requests on to the leader, so there are hardly any
//! redirects. The random streams of the links have the run's seed, but requests that are passed on take draws, too, and a
//! server that starts again has streams of its own. So other messages are lost here than in the virtual world. A server
//! that dies or crashes loses the counts since it was last asked. A server that is paused learns of a new matrix when it
//! is resumed, and may handle messages before that have waited in its sockets.

mod calls;
mod conductor;
mod counters;
mod servers;

use std::sync::Arc;

use crate::clock::Clock;
use crate::record::{RunRecord, World};
use crate::scenario::Scenario;
use crate::world::processes::{Console, Interrupt, PlayError, Spectator};
use conductor::Conductor;
pub(crate) use servers::Cluster;
pub use servers::{Launch, Session};

/// Plays a scenario on a cluster of its own, from beginning to end. The seed is that of the clients, the faults and the
/// chaos monkeys' random streams; replicas have seeds of their own. The servers' data are in a temporary folder, whatever
/// folder the launch names.
///
/// # Errors
/// If the scenario needs a feature that this world lacks, the cluster does not come up, the system refuses something,
/// or the run is interrupted.
pub fn play(
    scenario: &Scenario,
    seed: u64,
    launch: &Launch,
    spectator: Arc<dyn Spectator>,
    interrupt: &Interrupt,
) -> Result<RunRecord, PlayError> {
    PlayError::refuse_unplayable(scenario, World::Grpc)?;
    // It outlives the servers, and is gone afterwards however this ends.
    let folder = tempfile::Builder::new().prefix("seedbed-run-").tempdir();
    let folder = folder.map_err(PlayError::system("a temporary folder for the data of servers"))?;
    let data = Some(folder.path().to_owned());
    let launch = Launch { chaos_seed: Some(seed), data, deaf: true, ..launch.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(PlayError::system("threads and timers"))?;
    let _hold = interrupt.hold();
    let mut started = Cluster::start(&launch, scenario.replicas)?;
    // However this ends, also by a panic: first the processes are gone, then the console has shown their last words.
    let console = Console::start_early(Clock::start(), started.processes.take_outputs(), spectator);
    // Moved here, so that it is dropped before the console.
    let mut cluster = started;
    let result = runtime.block_on(async {
        let conductor = Conductor::new(scenario, seed, cluster.addresses(), &console)?;
        conductor.conduct(&mut cluster, interrupt).await
    });
    cluster.processes.shut_down();
    result
}
