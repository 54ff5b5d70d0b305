//! A cluster of three servers on this machine, and beside it one of etcd, under the same load by the same clients.
//!
//!     cargo bench --features grpc --bench cluster
//!
//! Each round starts one cluster after the other, fills it, and measures puts and linearizable gets with 1, 16 and 64
//! clients, each of which has one request at a time and asks any server. Both sync what they write before they answer
//! (the default of both), first to the file system of the target folder, then to /dev/shm, where a sync costs next to
//! nothing. Where there is no `etcd`, only seedbed is measured, and that is said.
//!
//! `--seconds N` and `--rounds N` change how long and how often.

use std::borrow::Cow;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use seedbed::id::ReplicaId;
use seedbed::rng::Stream;
use seedbed::time::Time;
use seedbed::world::grpc::{Launch, Session};
use seedbed::world::processes::{Interrupt, Spectator};
use seedbed_core::client::bench::{self, Kind, Measured, Plan, Target};
use seedbed_core::client::{Kv, Servers, Settings};
use seedbed_core::rpc::{ServerAddress, channel};
use tempfile::TempDir;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

const SERVERS: usize = 3;
const CLIENTS: [usize; 3] = [1, 16, 64];
const KEYS: u32 = 1_000;
const VALUE_BYTES: usize = 100;

/// Where the servers' data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Disk,
    Memory,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Disk => "disk",
            Place::Memory => "tmpfs",
        }
    }

    /// A new folder there.
    fn folder(self) -> TempDir {
        let parent = match self {
            Place::Disk => Path::new(env!("CARGO_TARGET_TMPDIR")),
            Place::Memory => Path::new("/dev/shm"),
        };
        tempfile::tempdir_in(parent).expect("a folder for data")
    }
}

/// One measurement.
struct Row {
    place: Place,
    system: &'static str,
    kind: Kind,
    clients: usize,
    rate: f64,
    p50: f64,
    p99: f64,
}

fn main() {
    let (mut seconds, mut rounds) = (5, 3);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).expect("a number after the option");
        match argument.as_str() {
            "--seconds" => seconds = number(),
            "--rounds" => rounds = number(),
            // Cargo adds this.
            "--bench" => {}
            other => panic!("{other}: allowed is --seconds N and --rounds N"),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let etcd = find("etcd");
    if etcd.is_none() {
        println!("There is no etcd on the path, so only seedbed is measured.");
    }
    let mut rows = Vec::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for place in [Place::Disk, Place::Memory] {
            runtime.block_on(measure_seedbed(place, seconds, &mut rows));
            if let Some(program) = &etcd {
                runtime.block_on(measure_etcd(program, place, seconds, &mut rows));
            }
        }
    }
    print_table(&rows);
}

/// Where a program is, if it is on the path.
fn find(name: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "which programs there are is the environment's matter")]
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

struct Nobody;

impl Spectator for Nobody {
    fn progress(&self, _: Time) {}
    fn printed(&self, _: Time, _: ReplicaId, _: &str) {}
    fn complaint(&self, _: Time, _: ReplicaId, _: &str) {}
}

async fn measure_seedbed(place: Place, seconds: u64, rows: &mut Vec<Row>) {
    let interrupt = Interrupt::install().expect("signals");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_seedbed"));
    let folder = place.folder();
    let launch = Launch {
        program,
        data: Some(folder.path().to_owned()),
        silence: true,
        deaf: true,
        ..Launch::own_program().expect("its own path")
    };
    let session = Session::start(&launch, SERVERS, Arc::new(Nobody), &interrupt).expect("a cluster");
    let servers = Servers::new(session.addresses(), None).expect("servers");
    let target = |number: usize| {
        let settings = Settings { seed: Some(number as u64), timeout: Duration::from_secs(20), ..Settings::default() };
        Kv::new(servers.clone(), settings).expect("a client")
    };
    measure(("seedbed", place), seconds, target, rows).await;
}

/// Starts etcd as its own documents do, but for ports that are free.
async fn measure_etcd(program: &Path, place: Place, seconds: u64, rows: &mut Vec<Row>) {
    let folder = place.folder();
    let ports: Vec<(u16, u16)> = (0..SERVERS).map(|_| (free_port(), free_port())).collect();
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let cluster: Vec<String> =
        ports.iter().enumerate().map(|(number, &(_, peer))| format!("s{number}={}", url(peer))).collect();
    let start = |(number, &(client, peer)): (usize, &(u16, u16))| {
        let mut command = Command::new(program);
        command.args(["--name", &format!("s{number}"), "--initial-cluster", &cluster.join(",")]);
        command.arg("--data-dir").arg(folder.path().join(number.to_string()));
        for (option, port) in [
            ("--listen-client-urls", client),
            ("--advertise-client-urls", client),
            ("--listen-peer-urls", peer),
            ("--initial-advertise-peer-urls", peer),
        ] {
            command.args([option, &url(port)]);
        }
        command.args(["--log-level", "error"]).stdout(Stdio::null()).stderr(Stdio::null());
        Guard(command.spawn().expect("etcd starts"))
    };
    let servers: Vec<Guard> = ports.iter().enumerate().map(start).collect();
    let channels: Vec<Channel> =
        ports.iter().map(|&(client, _)| channel(&ServerAddress::local(client), None).expect("an address")).collect();
    let target = |number: usize| Etcd {
        clients: channels.iter().cloned().map(Grpc::new).collect(),
        dice: Stream::link(7, "etcd", number as u64, 0),
    };
    measure(("etcd", place), seconds, target, rows).await;
    drop(servers);
}

/// A process that ends with this.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Waits for a cluster, fills it and measures it.
async fn measure<T: Target>(
    (system, place): (&'static str, Place),
    seconds: u64,
    target: impl Fn(usize) -> T,
    rows: &mut Vec<Row>,
) {
    let mut first = target(1_000);
    for _ in 0..200 {
        if first.put("ready", "yes").await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let plan = |kind| Plan {
        rate: None,
        gets: if kind == Kind::Get { 1.0 } else { 0.0 },
        keys: KEYS,
        value_bytes: VALUE_BYTES,
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs(seconds),
        requests: None,
        seed: 7,
    };
    let targets: Vec<T> = (0..16).map(&target).collect();
    drop(bench::fill(targets, &plan(Kind::Put)).await.expect("a cluster that takes puts"));
    for clients in CLIENTS {
        for kind in [Kind::Put, Kind::Get] {
            let targets: Vec<T> = (0..clients).map(&target).collect();
            let measured = bench::run(targets, &plan(kind), |_| {}).await;
            rows.push(row((system, place), kind, clients, &measured));
        }
    }
}

fn row((system, place): (&'static str, Place), kind: Kind, clients: usize, measured: &Measured) -> Row {
    let tally = measured.all();
    assert_eq!(tally.failed(), 0, "{system}: {}", tally.reasons());
    let latency = tally.latency().expect("there were requests");
    let rate = tally.answered() as f64 / measured.elapsed.as_secs_f64();
    Row { place, system, kind, clients, rate, p50: latency.p50.as_secs_f64(), p99: latency.p99.as_secs_f64() }
}

/// The median of all rounds, with the smallest and the largest rate.
fn print_table(rows: &[Row]) {
    println!("| data on | | clients | system | requests/s | (spread) | p50 | p99 |");
    println!("|---|---|---|---|---|---|---|---|");
    for place in [Place::Disk, Place::Memory] {
        for (kind, clients) in
            [Kind::Put, Kind::Get].into_iter().flat_map(|kind| CLIENTS.map(|clients| (kind, clients)))
        {
            for system in ["seedbed", "etcd"] {
                let of = |row: &&Row| (row.place, row.system, row.clients, row.kind) == (place, system, clients, kind);
                let rows: Vec<&Row> = rows.iter().filter(of).collect();
                if !rows.is_empty() {
                    print_median(&rows);
                }
            }
        }
    }
}

fn print_median(rows: &[&Row]) {
    let sorted = |value: fn(&Row) -> f64| {
        let mut values: Vec<f64> = rows.iter().map(|row| value(row)).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (rates, p50, p99) = (sorted(|row| row.rate), sorted(|row| row.p50), sorted(|row| row.p99));
    let (middle, Row { place, system, kind, clients, .. }) = (rates.len() / 2, rows[0]);
    println!(
        "| {} | {} | {clients} | {system} | {:.0} | {:.0} to {:.0} | {:.2} ms | {:.2} ms |",
        place.name(),
        if *kind == Kind::Get { "gets" } else { "puts" },
        rates[middle],
        rates[0],
        rates[rates.len() - 1],
        p50[middle] * 1e3,
        p99[middle] * 1e3,
    );
}

/// A client of etcd, with what of its API is needed (etcd's `rpc.proto`).
struct Etcd {
    clients: Vec<Grpc<Channel>>,
    dice: Stream,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EtcdPut {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// Neither response is looked into, but for the number of keys found.
#[derive(Clone, PartialEq, prost::Message)]
struct EtcdDone {}

#[derive(Clone, PartialEq, prost::Message)]
struct EtcdRange {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    /// False: the read is linearizable.
    #[prost(bool, tag = "7")]
    serializable: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EtcdFound {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<EtcdKeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EtcdKeyValue {
    #[prost(bytes = "vec", tag = "5")]
    value: Vec<u8>,
}

impl Etcd {
    async fn call<A, B>(&mut self, path: &'static str, message: A) -> Result<B, Cow<'static, str>>
    where
        A: prost::Message + Send + Sync + 'static,
        B: prost::Message + Default + Send + Sync + 'static,
    {
        let place = self.dice.below(self.clients.len() as u64) as usize;
        let client = &mut self.clients[place];
        client.ready().await.map_err(|error| Cow::Owned(error.to_string()))?;
        let mut request = Request::new(message);
        request.set_timeout(Duration::from_secs(20));
        let codec: ProstCodec<A, B> = ProstCodec::default();
        let response = client.unary(request, PathAndQuery::from_static(path), codec).await;
        response.map(tonic::Response::into_inner).map_err(|status| Cow::Owned(status.to_string()))
    }
}

impl Target for Etcd {
    async fn get(&mut self, key: &str) -> Result<(), Cow<'static, str>> {
        let range = EtcdRange { key: key.as_bytes().to_vec(), serializable: false };
        let found: EtcdFound = self.call("/etcdserverpb.KV/Range", range).await?;
        found.kvs.first().map(|_| ()).ok_or(Cow::Borrowed("not found"))
    }

    async fn put(&mut self, key: &str, value: &str) -> Result<(), Cow<'static, str>> {
        let put = EtcdPut { key: key.as_bytes().to_vec(), value: value.as_bytes().to_vec() };
        self.call::<_, EtcdDone>("/etcdserverpb.KV/Put", put).await.map(drop)
    }
}
