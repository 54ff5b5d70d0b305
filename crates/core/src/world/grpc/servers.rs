//! The servers of a cluster on this machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};

use crate::clock::{Clock, timespec};
use crate::id::ReplicaId;
use crate::rpc::ServerAddress;
use crate::time::Span;
use crate::world::processes::{Console, Hold, Interrupt, Outputs, PlayError, Processes, Spectator};

/// How often the processes are checked.
const WATCH_INTERVAL: Span = Span::from_millis(200);

/// How the servers of a cluster on this machine are started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program: `seedbed`, with the feature `grpc`.
    pub program: PathBuf,
    /// The first server listens on this port, the next one on the next and so on; without one, they listen on free
    /// ports.
    pub first_port: Option<u16>,
    /// The seed of the chaos monkeys' random streams; none if there are no monkeys.
    pub chaos_seed: Option<u64>,
    /// Further arguments of `seedbed serve`, for all servers.
    pub arguments: Vec<String>,
    /// The folder for their data: each server has one of its own in it, named with its number. Without one, everything is
    /// in memory.
    pub data: Option<PathBuf>,
    /// Whether their output is discarded.
    pub silence: bool,
    /// Whether they ignore environment variables of this program. Some that are meant for clients (`SEEDBED_TLS_CA`) or
    /// for other servers would keep them from starting, or change their settings.
    pub deaf: bool,
}

/// The prefix of environment variables that replace options of servers.
const VARIABLES: &str = "SEEDBED_";

impl Launch {
    /// Servers that run this very program.
    ///
    /// # Errors
    /// If the system does not reveal the program's path.
    pub fn own_program() -> Result<Launch, PlayError> {
        let program = env::current_exe().map_err(PlayError::system("to know its own program"))?;
        Ok(Launch {
            program,
            first_port: None,
            chaos_seed: None,
            arguments: Vec::new(),
            data: None,
            silence: false,
            deaf: false,
        })
    }

    /// Starts this many servers. Each gets a socket that listens already, so no other program can take its port. Each
    /// dies with this process.
    ///
    /// # Errors
    /// If a port is taken, the folder for the data cannot be made, or the program does not start.
    pub(crate) fn spawn(&self, replicas: usize) -> Result<Cluster, PlayError> {
        if let Some(folder) = &self.data {
            fs::create_dir_all(folder).map_err(|source| PlayError::Data { folder: folder.clone(), source })?;
        }
        let listeners = (0..replicas).map(|place| self.listen(place)).collect::<Result<Vec<_>, _>>()?;
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
        let ports = listeners.iter().map(port).collect::<io::Result<Vec<u16>>>();
        let ports = ports.map_err(PlayError::system("the ports of its sockets"))?;
        let addresses: Vec<ServerAddress> = ports.into_iter().map(ServerAddress::local).collect();
        let peers = addresses.iter().map(ServerAddress::to_string).collect::<Vec<_>>().join(",");
        let mut processes = Processes::new();
        // A listener that is handed over is closed here, so that no process listens in place of a server that has died.
        for (replica, listener) in ReplicaId::all(replicas).zip(listeners) {
            let mut command = self.command(replica, &peers);
            command.stdin(Stdio::from(OwnedFd::from(listener)));
            processes.spawn(command).map_err(|source| PlayError::Program { program: self.program.clone(), source })?;
        }
        let outputs = processes.take_outputs();
        Ok(Cluster { processes, outputs, addresses })
    }

    fn listen(&self, place: usize) -> Result<TcpListener, PlayError> {
        let port = match self.first_port {
            None => Some(0),
            Some(first) => u16::try_from(usize::from(first) + place).ok(),
        };
        let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = port.ok_or_else(|| io::Error::other("there are no ports above 65535")).and_then(listen);
        listener.map_err(|source| PlayError::Port { address: port.map(ServerAddress::local), source })
    }

    fn command(&self, replica: ReplicaId, peers: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["serve", "--listen-stdin", "--with-parent", "--peers", peers]);
        command.args(["--id", &replica.0.to_string()]);
        if let Some(seed) = self.chaos_seed {
            command.args(["--chaos", "true", "--chaos-seed", &seed.to_string()]);
        }
        if let Some(folder) = &self.data {
            command.arg("--data").arg(folder.join(replica.0.to_string()));
        }
        if self.deaf {
            take_out(&mut command, env::vars_os().map(|(name, _)| name));
        }
        let output = || if self.silence { Stdio::null() } else { Stdio::piped() };
        command.args(&self.arguments).stdout(output()).stderr(output());
        command
    }
}

/// Removes the variables from a command's environment that a server would use.
fn take_out(command: &mut Command, names: impl Iterator<Item = OsString>) {
    for name in names.filter(|name| name.as_bytes().starts_with(VARIABLES.as_bytes())) {
        command.env_remove(name);
    }
}

/// Servers that have been started. All have ended when `processes` is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub processes: Processes,
    /// Their output.
    pub outputs: Outputs,
    /// Where they listen, in order.
    pub addresses: Vec<ServerAddress>,
}

/// A cluster that runs until it is interrupted.
pub struct Session<'a> {
    // Dropped in this order: first the processes are gone, then their last output has been shown.
    processes: Processes,
    _console: Console,
    addresses: Vec<ServerAddress>,
    interrupt: &'a Interrupt,
    _hold: Hold<'a>,
}

impl<'a> Session<'a> {
    /// Starts this many servers. Their output goes to the spectator.
    ///
    /// # Errors
    /// If a port is taken, or the program does not start.
    pub fn start(
        launch: &Launch,
        replicas: usize,
        spectator: Arc<dyn Spectator>,
        interrupt: &'a Interrupt,
    ) -> Result<Session<'a>, PlayError> {
        let hold = interrupt.hold();
        let Cluster { processes, outputs, addresses } = launch.spawn(replicas)?;
        let console = Console::start(Clock::start(), outputs, spectator);
        Ok(Session { processes, _console: console, addresses, interrupt, _hold: hold })
    }

    /// Where the servers listen, in order.
    pub fn addresses(&self) -> &[ServerAddress] {
        &self.addresses
    }

    /// Waits for an interrupt, or until all servers have ended by themselves; returns true in the second case. No
    /// server is left.
    pub fn wait(mut self, mut ended: impl FnMut(ReplicaId, ExitStatus)) -> bool {
        let clock = Clock::start();
        let mut living = self.addresses.len();
        while self.interrupt.check().is_ok() && living > 0 {
            self.processes.watch(clock.now(), |replica, status| {
                living -= 1;
                ended(replica, status);
            });
            let mut fds = [PollFd::new(self.interrupt, PollFlags::IN)];
            // If the system refuses to wait, this just checks again sooner.
            let _ = rustix::event::poll(&mut fds, Some(&timespec(WATCH_INTERVAL)));
        }
        self.processes.shut_down();
        living == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_meant_for_other_programs_are_removed_from_the_environment() {
        let mut command = Command::new("seedbed");
        take_out(
            &mut command,
            ["SEEDBED_TLS_CA", "PATH", "SEEDBED_FORWARD", "RUST_LOG"].map(OsString::from).into_iter(),
        );
        let taken: Vec<_> = command.get_envs().map(|(name, value)| (name.to_str(), value)).collect();
        assert_eq!(taken, [(Some("SEEDBED_FORWARD"), None), (Some("SEEDBED_TLS_CA"), None)]);
    }
}
