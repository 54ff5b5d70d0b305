//! Restarts of servers that have their data, as docs/deploy.md describes them.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use rustix::process::Signal;
use seedbed::rng::Stream;
use seedbed::time::Time;
use seedbed_core::client::{Kv, Servers, Settings};
use seedbed_core::clock::Clock;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, millis, pause};

const SIZE: usize = 3;

/// The number of clients that write and read all the time.
const CLIENTS: u64 = 3;

/// How often a condition is checked, a tenth of a second apart.
const TRIES: usize = 300;

/// The puts that must be acknowledged in each phase, so that every client meets it.
const PUTS_PER_PHASE: u64 = 20;

#[test]
fn a_rolling_restart_fails_no_request_and_loses_nothing() {
    let mut site = Site::start();
    let load = Load::start(&site.cluster, Failures::Fatal);
    for server in 0..SIZE {
        load.wait_for_puts(PUTS_PER_PHASE);
        site.cluster.signal(server, Signal::TERM);
        let status = site.cluster.servers[server].wait().expect("it ends");
        assert!(status.success(), "server {server}: {status}");
        // The others serve meanwhile, however long the new program takes to start.
        load.wait_for_puts(PUTS_PER_PHASE);
        site.start_again(server);
        site.wait_until_caught_up();
    }
    load.wait_for_puts(PUTS_PER_PHASE);
    load.end(&site.cluster);
}

#[test]
fn a_kill_of_all_servers_at_once_loses_no_acknowledged_put() {
    let mut site = Site::start();
    let load = Load::start(&site.cluster, Failures::Expected);
    // The second time, the servers have what they read at a start, too.
    for _ in 0..2 {
        load.wait_for_puts(PUTS_PER_PHASE);
        // All get the signal before the first of them is waited for.
        (0..SIZE).for_each(|server| site.cluster.signal(server, Signal::KILL));
        for server in 0..SIZE {
            site.cluster.servers[server].wait().expect("it dies");
        }
        (0..SIZE).for_each(|server| site.start_again(server));
        site.wait_until_caught_up();
    }
    load.wait_for_puts(PUTS_PER_PHASE);
    load.end(&site.cluster);
}

/// Three servers with a folder each.
struct Site {
    /// Before the folder, so that the servers end before it is removed.
    cluster: Cluster,
    folder: TempDir,
}

impl Site {
    fn start() -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let cluster = Cluster::start_each(SIZE, |server| data(&folder, server));
        Site { cluster, folder }
    }

    /// Starts a server on its data, as a service manager does.
    fn start_again(&mut self, server: usize) {
        self.cluster.servers[server] = self.spawn(server);
    }

    fn spawn(&self, server: usize) -> Child {
        let serve = format!("serve --with-parent --id {server} --peers {}", self.cluster.list());
        let mut command = self.cluster.command(&serve);
        command.args(data(&self.folder, server)).stderr(Stdio::null()).spawn().expect("a server starts")
    }

    /// Waits until all servers answer, one leads, and none lags. This is what an operator waits for between two servers
    /// of a rolling restart.
    fn wait_until_caught_up(&mut self) {
        let mut shown = String::new();
        for _ in 0..TRIES {
            for server in 0..SIZE {
                // While a server is down, a connection of another program may get its port. Service managers try again.
                if self.cluster.servers[server].try_wait().expect("its state").is_some() {
                    self.start_again(server);
                }
            }
            let output = self.cluster.run("status --json");
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("status is JSON");
            let servers = status["servers"].as_array().expect("a list of servers");
            // Entries that were committed while the status was asked for are no lag.
            let caught_up = |server: &serde_json::Value| server["lag"].as_u64().is_some_and(|lag| lag <= CLIENTS);
            if output.status.success() && servers.len() == SIZE && servers.iter().all(caught_up) {
                return;
            }
            shown = status.to_string();
            pause(100);
        }
        panic!("the servers do not catch up: {shown}");
    }
}

/// The arguments that say where a server's data is.
fn data(folder: &TempDir, server: usize) -> Vec<String> {
    let folder = folder.path().join(server.to_string());
    vec!["--data".to_owned(), folder.to_str().expect("a path in UTF-8").to_owned()]
}

/// What it means if a request fails although it was tried again until its time had run out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failures {
    /// A majority was there all the time.
    Fatal,
    /// There was no majority for a while.
    Expected,
}

/// Clients that write and read until they are told to end.
struct Load {
    runtime: Runtime,
    clients: Vec<JoinHandle<Acknowledged>>,
    progress: Arc<Progress>,
}

/// What the clients have done so far.
#[derive(Default)]
struct Progress {
    puts: AtomicU64,
    gets: AtomicU64,
    is_over: AtomicBool,
}

/// The numbers of a client's puts that were acknowledged, in order.
type Acknowledged = Vec<u64>;

impl Load {
    fn start(cluster: &Cluster, failures: Failures) -> Load {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let progress = Arc::new(Progress::default());
        let entered = runtime.enter();
        let clients = (0..CLIENTS).map(|number| {
            let client = Client { number, kv: kv(cluster, number), failures, progress: Arc::clone(&progress) };
            runtime.spawn(client.run())
        });
        let clients = clients.collect();
        drop(entered);
        Load { runtime, clients, progress }
    }

    /// Waits until this many more puts are acknowledged.
    fn wait_for_puts(&self, count: u64) {
        let goal = self.progress.puts.load(SeqCst) + count;
        for _ in 0..TRIES {
            if self.progress.puts.load(SeqCst) >= goal {
                return;
            }
            assert!(!self.clients.iter().any(JoinHandle::is_finished), "a client has failed");
            pause(100);
        }
        panic!("only {} of {goal} puts are acknowledged", self.progress.puts.load(SeqCst));
    }

    /// Ends the clients, and reads all that was acknowledged.
    fn end(self, cluster: &Cluster) {
        let Load { runtime, clients, progress } = self;
        progress.is_over.store(true, SeqCst);
        let gets = progress.gets.load(SeqCst);
        runtime.block_on(async {
            let mut reader = kv(cluster, CLIENTS);
            for (client, handle) in (0..).zip(clients) {
                let acknowledged = handle.await.expect("a client that does not panic");
                for number in acknowledged {
                    expect(&mut reader, client, number).await.expect("an answer");
                }
            }
        });
        println!("{} puts acknowledged, and {gets} gets", progress.puts.load(SeqCst));
        assert!(gets > 0, "no get was answered");
    }
}

fn kv(cluster: &Cluster, seed: u64) -> Kv {
    let settings = Settings { seed: Some(seed), ..Settings::default() };
    Kv::new(Servers::new(&cluster.addresses, None).expect("servers"), settings).expect("a client")
}

/// A client. Each of its puts is to a key of its own, so that a lost one cannot be hidden by the next.
struct Client {
    number: u64,
    kv: Kv,
    failures: Failures,
    progress: Arc<Progress>,
}

impl Client {
    async fn run(mut self) -> Acknowledged {
        let (mut random, clock) = (Stream::link(1, "restarts", self.number, 0), Clock::start());
        let mut acknowledged = Acknowledged::new();
        let mut longest = Duration::ZERO;
        for number in 0.. {
            if self.progress.is_over.load(SeqCst) {
                break;
            }
            let began = clock.now();
            if self.put(number).await {
                acknowledged.push(number);
            }
            longest = longest.max(since(&clock, began));
            if let Some(last) = acknowledged.len().checked_sub(1) {
                self.get(acknowledged[random.below(last as u64 + 1) as usize]).await;
            }
            tokio::time::sleep(millis(5)).await;
        }
        println!("client {}: the longest put took {longest:?}", self.number);
        acknowledged
    }

    /// Puts, and says whether that was acknowledged.
    async fn put(&mut self, number: u64) -> bool {
        let outcome = self.kv.put(&key(self.number, number), &number.to_string()).await;
        self.judge(&outcome);
        self.progress.puts.fetch_add(u64::from(outcome.is_ok()), SeqCst);
        outcome.is_ok()
    }

    /// Reads what was acknowledged, perhaps a moment ago and perhaps before several restarts.
    async fn get(&mut self, number: u64) {
        let outcome = expect(&mut self.kv, self.number, number).await;
        self.judge(&outcome);
        self.progress.gets.fetch_add(u64::from(outcome.is_ok()), SeqCst);
    }

    fn judge<T>(&self, outcome: &Result<T, seedbed_core::client::Error>) {
        if let (Err(error), Failures::Fatal) = (outcome, self.failures) {
            panic!("client {}: {error}", self.number);
        }
    }
}

fn key(client: u64, number: u64) -> String {
    format!("client-{client}-{number}")
}

/// Reads a value that was acknowledged.
async fn expect(kv: &mut Kv, client: u64, number: u64) -> Result<(), seedbed_core::client::Error> {
    let value = kv.get(&key(client, number), false).await?;
    assert_eq!(value, Some(number.to_string()), "put {number} of client {client} was acknowledged");
    Ok(())
}

fn since(clock: &Clock, began: Time) -> Duration {
    Duration::from_nanos(clock.now().since(began).nanos())
}
