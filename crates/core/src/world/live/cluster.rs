//! The replicas' processes.

use std::process::{Command, Stdio};

use super::router::Port;
use super::{Setup, as_file};
use crate::id::ReplicaId;
use crate::world::lan::command_line;
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

    fn command(&self, replica: ReplicaId) -> Result<Command, PlayError> {
        let mut command = Command::new(as_file(&self.setup.program));
        let port = self.ports[replica.index()].number()?;
        command.args(command_line(self.seed, replica, self.ports.len(), port));
        command.env_clear().envs(self.setup.environment());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}
