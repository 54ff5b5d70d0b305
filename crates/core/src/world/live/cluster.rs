//! The replicas' processes.

use std::process::{Command, Stdio};

use super::router::Port;
use super::{Setup, as_file};
use crate::id::ReplicaId;
use crate::rng::Stream;
use crate::world::lan::address;
use crate::world::processes::{Outputs, PlayError, Processes};

/// The processes, and how they are started. When it is dropped, no process is left.
pub(super) struct Cluster<'a> {
    setup: &'a Setup,
    seed: u64,
    ports: &'a [Port],
    pub processes: Processes,
}

impl<'a> Cluster<'a> {
    /// Starts a process for each port.
    pub fn start(setup: &'a Setup, seed: u64, ports: &'a [Port]) -> Result<Cluster<'a>, PlayError> {
        let mut cluster = Cluster { setup, seed, ports, processes: Processes::new() };
        for replica in ReplicaId::all(ports.len()) {
            let command = cluster.command(replica)?;
            cluster.processes.spawn(command).map_err(|source| cluster.error(source))?;
        }
        Ok(cluster)
    }

    /// Restarts a replica's process with the same command. First ends all that is left of the old one, and drops its
    /// pending messages. Returns the output of the new one.
    pub fn restart(&mut self, replica: ReplicaId) -> Result<Outputs, PlayError> {
        self.processes.clear(replica);
        self.ports[replica.index()].discard();
        let command = self.command(replica)?;
        self.processes.respawn(replica, command).map_err(|source| self.error(source))?;
        Ok(self.processes.take_outputs())
    }

    fn error(&self, source: std::io::Error) -> PlayError {
        PlayError::Program { program: self.setup.program.clone(), source }
    }

    /// The handout's command line: port, own address, the others' addresses in random order.
    fn command(&self, replica: ReplicaId) -> Result<Command, PlayError> {
        let mut others: Vec<ReplicaId> = ReplicaId::all(self.ports.len()).filter(|&other| other != replica).collect();
        Stream::link(self.seed, "peer lists", u64::from(replica.0), 0).shuffle(&mut others);
        let mut command = Command::new(as_file(&self.setup.program));
        command.arg(self.ports[replica.index()].number()?.to_string()).arg(address(replica).to_string());
        command.args(others.into_iter().map(|other| address(other).to_string()));
        command.env_clear().envs(self.setup.environment());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}
