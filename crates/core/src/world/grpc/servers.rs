//! The servers of a cluster on this machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType, sockopt};

use crate::chaos::ConnectivityMatrix;
use crate::clock::{Clock, timespec};
use crate::id::ReplicaId;
use crate::rng::Stream;
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

    fn command(&self, replica: ReplicaId, peers: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["serve", "--listen-stdin", "--with-parent", "--peers", peers]);
        command.args(["--id", &replica.0.to_string()]);
        // Both are meant for another program: no two servers can use one folder.
        command.env_remove("SEEDBED_DATA");
        if self.data.is_none() {
            command.env_remove("SEEDBED_SYNC");
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

/// A port of this machine that stays reserved while no server listens there.
///
/// A server that is down has left its port. The system would give it to the next connection that needs a free one, and the
/// server could not start again. So a socket that never listens is bound to it all the time. It shares the port, since
/// every socket that listens asks for that, and no connection is ever made to it.
#[derive(Debug)]
struct Port {
    _reservation: OwnedFd,
    number: u16,
}

impl Port {
    /// Reserves this port, or a free one.
    fn reserve(wanted: Option<u16>) -> io::Result<Port> {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        // Connections of an earlier cluster may not be over at a port that is wanted. A free port is shared only once this
        // socket has it: among sockets that share, the system would assign one port twice.
        sockopt::set_socket_reuseaddr(&socket, wanted.is_some())?;
        rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, wanted.unwrap_or(0))))?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        let address = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
        Ok(Port { _reservation: socket, number: address.port() })
    }

    fn address(&self) -> ServerAddress {
        ServerAddress::local(self.number)
    }

    /// A socket that listens there.
    fn listen(&self) -> Result<TcpListener, PlayError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.number));
        listener.map_err(|source| PlayError::Port { address: Some(self.address()), source })
    }
}

/// Servers that have been started, and how that is done. When it is dropped, none is left.
#[derive(Debug)]
pub(crate) struct Cluster {
    launch: Launch,
    ports: Vec<Port>,
    /// All addresses, as the servers take them.
    peers: String,
    pub processes: Processes,
}

impl Cluster {
    /// Starts this many servers. Each gets a socket that listens already, so no other program can take its port. Each dies
    /// with this process.
    ///
    /// # Errors
    /// If a port is taken, the folder for the data cannot be made, or the program does not start.
    pub fn start(launch: &Launch, replicas: usize) -> Result<Cluster, PlayError> {
        if let Some(folder) = &launch.data {
            fs::create_dir_all(folder).map_err(|source| PlayError::Data { folder: folder.clone(), source })?;
        }
        let ports = (0..replicas).map(|place| reserve(launch.first_port, place)).collect::<Result<Vec<_>, _>>()?;
        let peers = ports.iter().map(|port| port.address().to_string()).collect::<Vec<_>>().join(",");
        let listeners = ports.iter().map(Port::listen).collect::<Result<Vec<_>, _>>()?;
        let mut cluster = Cluster { launch: launch.clone(), ports, peers, processes: Processes::new() };
        for (replica, listener) in ReplicaId::all(replicas).zip(listeners) {
            let mut command = cluster.command(replica, listener);
            if let Some(seed) = cluster.launch.chaos_seed {
                command.args(["--chaos", "true", "--chaos-seed", &seed.to_string()]);
            }
            cluster.processes.spawn(command).map_err(|source| cluster.error(source))?;
        }
        Ok(cluster)
    }

    /// Restarts a server with the same port and the same data. First ends all that is left of the old process. The new
    /// one drops messages by this matrix from its first one on. Returns its output.
    ///
    /// # Errors
    /// If its port is taken, its folder cannot be written, or the program does not start.
    pub fn restart(
        &mut self,
        replica: ReplicaId,
        incarnation: u64,
        matrix: &ConnectivityMatrix,
    ) -> Result<Outputs, PlayError> {
        self.processes.clear(replica);
        let mut command = self.command(replica, self.ports[replica.index()].listen()?);
        if let (Some(seed), Some(folder)) = (self.launch.chaos_seed, &self.launch.data) {
            let path = folder.join(format!("{}.matrix.json", replica.0));
            let rows = serde_json::to_string(&matrix.rows().collect::<Vec<_>>()).expect("numbers can be written");
            fs::write(&path, rows).map_err(PlayError::system("a file for a connectivity matrix"))?;
            // With the seed of the first start, it would throw the same dice again.
            let seed = Stream::link(seed, "incarnations", u64::from(replica.0), incarnation).next_u64();
            command.args(["--chaos", "true", "--chaos-seed", &seed.to_string()]).arg("--chaos-matrix").arg(path);
        }
        self.processes.respawn(replica, command).map_err(|source| self.error(source))?;
        Ok(self.processes.take_outputs())
    }

    /// Where the servers listen, in order.
    pub fn addresses(&self) -> Vec<ServerAddress> {
        self.ports.iter().map(Port::address).collect()
    }

    /// A listener that is handed over is closed here, so that no process listens in place of a server that has died.
    fn command(&self, replica: ReplicaId, listener: TcpListener) -> Command {
        let mut command = self.launch.command(replica, &self.peers);
        command.stdin(Stdio::from(OwnedFd::from(listener)));
        command
    }

    fn error(&self, source: io::Error) -> PlayError {
        PlayError::Program { program: self.launch.program.clone(), source }
    }
}

/// Reserves the port of the server at this place.
fn reserve(first: Option<u16>, place: usize) -> Result<Port, PlayError> {
    let wanted = first.map(|first| u16::try_from(usize::from(first) + place));
    let port = match wanted {
        Some(Err(_)) => Err(io::Error::other("there are no ports above 65535")),
        Some(Ok(port)) => Port::reserve(Some(port)),
        None => Port::reserve(None),
    };
    let address = wanted.and_then(Result::ok).map(ServerAddress::local);
    port.map_err(|source| PlayError::Port { address, source })
}

/// A cluster that runs until it is interrupted.
pub struct Session<'a> {
    // Dropped in this order: first the processes are gone, then their last output has been shown.
    cluster: Cluster,
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
        let mut started = Cluster::start(launch, replicas)?;
        let console = Console::start(Clock::start(), started.processes.take_outputs(), spectator);
        let addresses = started.addresses();
        Ok(Session { cluster: started, _console: console, addresses, interrupt, _hold: hold })
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
            self.cluster.processes.watch(clock.now(), |replica, status| {
                living -= 1;
                ended(replica, status);
            });
            let mut fds = [PollFd::new(self.interrupt, PollFlags::IN)];
            // If the system refuses to wait, this just checks again sooner.
            let _ = rustix::event::poll(&mut fds, Some(&timespec(WATCH_INTERVAL)));
        }
        self.cluster.processes.shut_down();
        living == 0
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

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
    #[test]
    fn a_port_stays_reserved_while_its_server_is_down() {
        let port = Port::reserve(None).expect("a port");
        for _ in 0..3 {
            let listener = port.listen().expect("it is free");
            let address = listener.local_addr().expect("an address");
            let client = TcpStream::connect(address).expect("it listens");
            let server = listener.accept().expect("a connection");
            // The server's end is closed first, as that of a process that is killed.
            drop((listener, server));
            drop(client);
            assert!(TcpStream::connect(address).is_err(), "no socket listens now");
        }
        let others: Vec<u16> = (0..100).map(|_| Port::reserve(None).expect("a port").number).collect();
        assert!(!others.contains(&port.number), "{others:?}");
    }

    #[test]
    fn a_port_that_another_program_has_taken_meanwhile_is_an_error_that_names_it() {
        let port = Port::reserve(None).expect("a port");
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number)).expect("it shares");
        let error = port.listen().expect_err("it is taken").to_string();
        let address = other.local_addr().expect("an address");
        assert_eq!(error, format!("cannot listen at {address}: Address already in use (os error 98)"));
    }
}
