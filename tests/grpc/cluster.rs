//! A cluster of servers, each a process, for the length of a test.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::event::poll;
use rustix::process::{Pid, Signal, kill_process};
use seedbed::time::Span;
use seedbed_core::client::{Servers, status};
use seedbed_core::clock::timespec;
use seedbed_core::rpc::proto::admin::ServerStatus;
use seedbed_core::rpc::proto::kvstore::key_value_store_client::KeyValueStoreClient;
use seedbed_core::rpc::{ServerAddress, channel};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Channel;

use crate::common::processes;

/// So often it is looked whether a cluster is up, a tenth of a second apart.
const START_TRIES: usize = 200;

pub struct Cluster {
    pub servers: Vec<Child>,
    pub addresses: Vec<ServerAddress>,
}

impl Cluster {
    /// Starts so many servers with these further arguments, and waits until all answer and one leads.
    pub fn start(count: usize, arguments: &[&str]) -> Cluster {
        Cluster::start_secured(count, arguments, "")
    }

    /// The same, with servers that want clients to have these arguments.
    pub fn start_secured(count: usize, arguments: &[&str], clients: &str) -> Cluster {
        let cluster = Cluster::spawn(count, |_| arguments.iter().map(ToString::to_string).collect());
        cluster.come_up(clients);
        cluster
    }

    /// The same, with arguments for each server.
    pub fn start_each(count: usize, arguments: impl Fn(usize) -> Vec<String>) -> Cluster {
        let cluster = Cluster::spawn(count, arguments);
        cluster.come_up("");
        cluster
    }

    /// So many servers whose standard error nobody reads any more.
    pub fn start_unheard(count: usize) -> Cluster {
        let mut cluster = Cluster::spawn_with(count, |_| Vec::new(), Stdio::piped);
        cluster.servers.iter_mut().for_each(|server| drop(server.stderr.take()));
        cluster.come_up("");
        cluster
    }

    fn spawn(count: usize, arguments: impl Fn(usize) -> Vec<String>) -> Cluster {
        Cluster::spawn_with(count, arguments, Stdio::null)
    }

    fn spawn_with(count: usize, arguments: impl Fn(usize) -> Vec<String>, stderr: fn() -> Stdio) -> Cluster {
        let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a port");
        let listeners: Vec<TcpListener> = (0..count).map(bind).collect();
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let addresses: Vec<ServerAddress> =
            listeners.iter().map(|listener| ServerAddress::local(port(listener))).collect();
        let peers = list(&addresses);
        let serve = |(id, listener): (usize, TcpListener)| {
            let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
            command.args(["serve", "--listen-stdin", "--with-parent", "--peers", &peers, "--id", &id.to_string()]);
            let command = command.args(arguments(id)).stdin(OwnedFd::from(listener)).stderr(stderr());
            command.spawn().expect("a server starts")
        };
        let servers = listeners.into_iter().enumerate().map(serve).collect();
        Cluster { servers, addresses }
    }

    /// Waits until all servers answer and one leads.
    fn come_up(&self, clients: &str) {
        let status = format!("status {clients}");
        for _ in 0..START_TRIES {
            if self.run(&status).status.code() == Some(0) {
                return;
            }
            pause(100);
        }
        panic!("the cluster does not come up: {}", told(&self.run(&status)));
    }

    /// The addresses as `--servers` takes them.
    pub fn list(&self) -> String {
        list(&self.addresses)
    }

    /// A command that is about these servers.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = seedbed(Path::new(env!("CARGO_MANIFEST_DIR")));
        command.args(arguments.split_whitespace()).env("SEEDBED_SERVERS", self.list());
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("seedbed starts")
    }

    /// Runs a command that ends with this code, and hands out what it printed.
    pub fn expect(&self, arguments: &str, code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {}", told(&output));
        text(&output.stdout)
    }

    /// The number of the server that leads.
    pub fn leader(&self) -> usize {
        self.leader_with("")
    }

    /// The same, of servers that want clients to have these arguments.
    pub fn leader_with(&self, clients: &str) -> usize {
        for _ in 0..START_TRIES {
            let status = self.run(&format!("status --json {clients}")).stdout;
            let status: serde_json::Value = serde_json::from_slice(&status).expect("status is JSON");
            if let Some(leader) = status["leader"].as_u64() {
                return leader as usize;
            }
            pause(100);
        }
        panic!("nobody leads: {}", told(&self.run("status")));
    }

    pub fn signal(&self, server: usize, signal: Signal) {
        kill_process(Pid::from_child(&self.servers[server]), signal).expect("the server is there");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // It may be dead already.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// The program in this folder.
pub fn seedbed(folder: &Path) -> Command {
    let mut command = processes::seedbed();
    command.current_dir(folder);
    command
}

pub fn pause(millis: u64) {
    let _ = poll(&mut [], Some(&timespec(Span::from_millis(millis))));
}

/// Waits until this is so, for ten seconds at most.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..200 {
        if is_so() {
            return;
        }
        pause(50);
    }
    panic!("it does not come true that {what}");
}

/// A pause in a test whose clients run beside it.
pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// All that a command printed.
pub fn told(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// For clients within the test.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The store as this one server offers it.
pub fn store(address: &ServerAddress) -> KeyValueStoreClient<Channel> {
    KeyValueStoreClient::new(channel(address, None).expect("an address")).max_encoding_message_size(64 << 20)
}

/// How each server says that it is doing, in order; none of one that does not answer in this time.
pub async fn statuses(servers: &Servers, timeout: Duration) -> Vec<Option<ServerStatus>> {
    let answers = status::of_each(servers, timeout).await.expect("addresses");
    answers.into_iter().map(|(_, answer)| answer.ok()).collect()
}

/// How many messages of a server have come to the one whose status this is, and how many of those were dropped.
pub fn received(status: &ServerStatus, from: usize) -> (u64, u64) {
    let counts = status.messages.iter().filter(|count| count.peer as usize == from);
    counts.fold((0, 0), |(received, dropped), count| (received + count.received, dropped + count.dropped))
}

fn list(addresses: &[ServerAddress]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
