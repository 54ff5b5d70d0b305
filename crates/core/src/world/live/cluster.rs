//! The replicas' processes.

use std::process::{Command, Stdio};

use super::router::Port;
use super::{Setup, as_file};
use crate::id::ReplicaId;
use crate::rng::Stream;
use crate::world::lan::address;
use crate::world::processes::{Outputs, PlayError, Processes};

/// Starts a process for each port.
pub(super) fn spawn(setup: &Setup, seed: u64, ports: &[Port]) -> Result<(Processes, Outputs), PlayError> {
    let mut processes = Processes::new();
    for (replica, port) in ReplicaId::all(ports.len()).zip(ports) {
        let command = command(setup, seed, replica, ports.len(), port.number()?);
        processes.spawn(command).map_err(|source| PlayError::Program { program: setup.program.clone(), source })?;
    }
    let outputs = processes.take_outputs();
    Ok((processes, outputs))
}

/// The handout's command line: port, own address, the others' addresses in random order.
fn command(setup: &Setup, seed: u64, replica: ReplicaId, replicas: usize, port: u16) -> Command {
    let mut others: Vec<ReplicaId> = ReplicaId::all(replicas).filter(|&other| other != replica).collect();
    Stream::link(seed, "peer lists", u64::from(replica.0), 0).shuffle(&mut others);
    let mut command = Command::new(as_file(&setup.program));
    command.arg(port.to_string()).arg(address(replica).to_string());
    command.args(others.into_iter().map(|other| address(other).to_string()));
    command.env_clear().envs(setup.environment());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
