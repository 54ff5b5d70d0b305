//! The gRPC world: a real cluster of servers on this machine, in real time.
//!
//! The servers are the program's own (`seedbed serve`), each in a process of its own. A death is a SIGKILL. Partitions,
//! matrices and drops go through the servers' chaos monkeys, as any client could send them. The clients are those of
//! the other worlds; their requests are calls of the store's service. The servers themselves report the leader and the
//! number of messages, and are asked for this often.
//!
//! Three things differ from the other worlds. Every server passes requests on to the leader, so there are hardly any
//! redirects. The random streams of the links have the run's seed, but requests that are passed on take draws, too. So
//! other messages are lost here than in the virtual world. And a server that dies loses the counts since it was last
//! asked.

mod conductor;
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
/// chaos monkeys' random streams; replicas have seeds of their own.
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
    let launch = Launch { chaos_seed: Some(seed), deaf: true, ..launch.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(PlayError::system("threads and timers"))?;
    let _hold = interrupt.hold();
    let Cluster { processes, outputs, addresses } = launch.spawn(scenario.replicas)?;
    // However this ends, also by a panic: first the processes are gone, then the console has shown their last words.
    let clock = Clock::start();
    let console = Console::start_early(clock, outputs, spectator);
    // Moved here, so that it is dropped before the console.
    let mut processes = processes;
    let result = runtime.block_on(async {
        let conductor = Conductor::new(scenario, seed, &addresses, &console)?;
        conductor.conduct(&mut processes, interrupt).await
    });
    processes.shut_down();
    result
}
