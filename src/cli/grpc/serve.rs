//! `seedbed serve`: one server of a gRPC cluster.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgAction;
use rand::TryRng;
use rand::rngs::SysRng;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::error::CliError;
use crate::cli::{Outcome, output};
use crate::id::ReplicaId;
use crate::node::grpc::{self, Data, Limits, ServeError, Settings};
use crate::rpc::{ServerAddress, TlsFiles};
use crate::scenario::load_matrix;
use crate::server;
use crate::storage::Sync;

/// The most threads of a server. More would only share the cores.
const THREADS_MAX: u16 = 1_024;

/// Run one server of a gRPC cluster
///
/// It keeps a copy of the key-value store, agrees with the others on every change by Raft, and answers
/// clients, whichever server they ask. With --data it keeps what it must not forget in a folder, and can
/// be started again after any end, also by `kill -9` or a power failure. Without, everything is in memory:
/// a server that was stopped cannot take part again under its old number, and the others refuse it.
///
/// Every option can also be a key of the file of --config, written `like-this`, and most can be
/// variables of the environment, written `SEEDBED_LIKE_THIS`. Options go before variables, and both
/// before the file.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed serve --id 0 --peers 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003
                                    the first of three servers on one machine
  seedbed serve --id 0 --peers 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003 --data kv-0
                                    the same, with its data in the folder kv-0
  seedbed serve --config kv-0.toml  what is needed is in a file
  seedbed serve --id 2 --listen 0.0.0.0:7001 --peers kv-0:7001,kv-1:7001,kv-2:7001 \\
      --tls-cert kv-2.pem --tls-key kv-2.key --tls-ca ca.pem
                                    one of three machines

Exit codes: 0 ended by SIGTERM or SIGINT, 1 refused by the cluster or ended by its disk, 2 bad usage or input.")]
pub(in crate::cli) struct Args {
    /// Read options from this file (TOML)
    #[arg(long, value_name = "FILE", env = "SEEDBED_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    options: Options,

    /// Listen on the socket that is standard input
    #[arg(long, hide = true)]
    listen_stdin: bool,

    /// The matrix that its chaos monkey begins with, a file as for `seedbed chaos upload`
    #[arg(long, value_name = "FILE", requires = "chaos", hide = true)]
    chaos_matrix: Option<PathBuf>,

    /// Die with the process that started this one
    #[arg(long, hide = true)]
    with_parent: bool,
}

/// The settings that can be an option, a variable or a key of the file.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Options {
    /// Its place among --peers, counted from 0, and in the connectivity matrix
    #[arg(long, value_name = "N", env = "SEEDBED_ID", allow_negative_numbers = true)]
    id: Option<u8>,

    /// All servers of the cluster in order, this one included
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',', env = "SEEDBED_PEERS")]
    peers: Option<Vec<String>>,

    /// Where to listen; its own place in --peers by default
    #[arg(long, value_name = "HOST:PORT", env = "SEEDBED_LISTEN")]
    listen: Option<String>,

    /// The cluster's name (by default `seedbed`): servers of other clusters are refused
    #[arg(long, value_name = "NAME", env = "SEEDBED_CLUSTER")]
    cluster: Option<String>,

    /// The folder for what it must not forget; without one, everything is in memory
    #[arg(long, value_name = "DIR", env = "SEEDBED_DATA")]
    data: Option<PathBuf>,

    /// Whether to wait for the disk (by default) before anything is promised; with `never`, a power failure may lose
    /// what was acknowledged
    #[arg(long, value_name = "always|never", env = "SEEDBED_SYNC")]
    sync: Option<SyncOption>,

    /// Whether to pass requests on to the leader (by default) or to name the leader
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, env = "SEEDBED_FORWARD")]
    forward: Option<bool>,

    /// Carry a chaos monkey, which can take the cluster down on request
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, env = "SEEDBED_CHAOS")]
    chaos: Option<bool>,

    /// The seed of the chaos monkey; random by default
    #[arg(long, value_name = "SEED", env = "SEEDBED_CHAOS_SEED", allow_negative_numbers = true)]
    chaos_seed: Option<u64>,

    /// The token that callers of the chaos monkey must send (better in the environment or the file than here)
    #[arg(long, value_name = "TOKEN", env = "SEEDBED_CHAOS_TOKEN", hide_env_values = true)]
    chaos_token: Option<String>,

    /// Its certificate (PEM)
    #[arg(long, value_name = "FILE", env = "SEEDBED_TLS_CERT")]
    tls_cert: Option<PathBuf>,

    /// The key of its certificate (PEM)
    #[arg(long, value_name = "FILE", env = "SEEDBED_TLS_KEY")]
    tls_key: Option<PathBuf>,

    /// The authority whose certificates other servers, and callers of the chaos monkey, must show (PEM)
    #[arg(long, value_name = "FILE", env = "SEEDBED_TLS_CA")]
    tls_ca: Option<PathBuf>,

    /// Listen to other machines without TLS
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, env = "SEEDBED_INSECURE")]
    insecure: Option<bool>,

    /// Where to serve metrics for Prometheus, at /metrics; nowhere by default
    #[arg(long, value_name = "HOST:PORT", env = "SEEDBED_METRICS")]
    metrics: Option<String>,

    /// What is logged, as in `warn` or `seedbed=debug` (by default `info`)
    #[arg(long, value_name = "FILTER", env = "RUST_LOG")]
    log: Option<String>,

    /// How logs are written: as lines of text (by default) or of JSON
    #[arg(long, value_name = "text|json", env = "SEEDBED_LOG_FORMAT")]
    log_format: Option<LogFormat>,

    /// Connections at a time (by default 1024)
    #[arg(long, value_name = "N", env = "SEEDBED_CONNECTIONS_MAX", allow_negative_numbers = true)]
    connections_max: Option<u32>,

    /// How long a request may take, in milliseconds, if its client would wait longer (by default 5000)
    #[arg(long, value_name = "MS", env = "SEEDBED_REQUEST_TIMEOUT_MS", allow_negative_numbers = true)]
    request_timeout_ms: Option<u32>,

    /// Threads that move bytes (by default 1); one that decides is enough for any number of them
    #[arg(long, value_name = "N", env = "SEEDBED_THREADS", allow_negative_numbers = true)]
    threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SyncOption {
    #[default]
    Always,
    Never,
}

impl From<SyncOption> for Sync {
    fn from(option: SyncOption) -> Sync {
        match option {
            SyncOption::Always => Sync::Always,
            SyncOption::Never => Sync::Never,
        }
    }
}

/// Carries out the command.
pub(in crate::cli) fn execute(args: Args) -> Result<Outcome, CliError> {
    if args.with_parent {
        die_with_parent()?;
    }
    let options = match &args.config {
        Some(path) => args.options.over(Options::read(path)?),
        None => args.options,
    };
    let (filter, format) = (log_filter(options.log.as_deref())?, options.log_format.unwrap_or_default());
    let threads = options.threads.unwrap_or(1);
    check("--threads", threads.into(), THREADS_MAX.into())?;
    check("--connections-max", options.connections_max.unwrap_or(1), u32::MAX)?;
    check("--request-timeout-ms", options.request_timeout_ms.unwrap_or(1), u32::MAX)?;
    let chaos_matrix = args.chaos_matrix.as_deref().map(load_matrix).transpose()?;
    let settings = Settings { chaos_matrix, ..options.settings(args.listen_stdin)? };
    start_logs(filter, format);
    match runtime(threads)?.block_on(run(settings)) {
        Ok(()) => Ok(Outcome::Correct),
        Err(error @ (ServeError::Exited(_) | ServeError::Broken(_))) => {
            output::error(&error);
            Ok(Outcome::Incorrect)
        }
        Err(error) => Err(CliError::Serve(error)),
    }
}

/// Checks a number that can be an option, a variable or a key of the file: none of them may be 0.
fn check(option: &'static str, value: u32, most: u32) -> Result<(), CliError> {
    match value {
        found if (1..=most).contains(&found) => Ok(()),
        found => Err(CliError::Option { option, value: found.to_string(), allowed: format!("1 to {most}") }),
    }
}

/// Runs the server until a signal asks it to end.
async fn run(settings: Settings) -> Result<(), ServeError> {
    let refused = |source| ServeError::System { what: "to hear of signals", source };
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    grpc::serve(settings, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

/// The runtime for a server's tasks. With one thread no work moves from one core to another, which is fastest for the
/// small messages of a store.
fn runtime(threads: u16) -> Result<tokio::runtime::Runtime, CliError> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads.into());
    }
    let refused = |source| ServeError::System { what: "threads and timers", source };
    Ok(builder.enable_all().build().map_err(refused)?)
}

/// The filter of the logs.
fn log_filter(text: Option<&str>) -> Result<EnvFilter, CliError> {
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    builder.parse(text.unwrap_or("")).map_err(|_| CliError::Option {
        option: "--log (RUST_LOG)",
        value: format!("'{}'", text.unwrap_or("")),
        allowed: "off, error, warn, info, debug, trace, or a list of TARGET=LEVEL".to_owned(),
    })
}

/// Logs go to standard error.
fn start_logs(filter: EnvFilter, format: LogFormat) {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        // It would report a failure of standard error on standard error, and panic.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    // If this is called a second time, the first logger stays in use.
    let _ = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
}

/// If the process that started this one dies, however that happens, so does this one.
fn die_with_parent() -> Result<(), ServeError> {
    let refused =
        |source: rustix::io::Errno| ServeError::System { what: "to die with its parent", source: source.into() };
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(refused)
}

impl Options {
    /// Reads the file of `--config`.
    fn read(path: &Path) -> Result<Options, CliError> {
        let text = fs::read_to_string(path).map_err(|source| CliError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| CliError::Toml { path: path.to_owned(), error: Box::new(error), text })
    }

    /// These options, with the other ones where these are not set.
    fn over(self, below: Options) -> Options {
        // All by name, so that no new option is forgotten.
        let Options {
            id,
            peers,
            listen,
            cluster,
            data,
            sync,
            forward,
            chaos,
            chaos_seed,
            chaos_token,
            tls_cert,
            tls_key,
            tls_ca,
            insecure,
            metrics,
            log,
            log_format,
            connections_max,
            request_timeout_ms,
            threads,
        } = self;
        Options {
            id: id.or(below.id),
            peers: peers.or(below.peers),
            listen: listen.or(below.listen),
            cluster: cluster.or(below.cluster),
            data: data.or(below.data),
            sync: sync.or(below.sync),
            forward: forward.or(below.forward),
            chaos: chaos.or(below.chaos),
            chaos_seed: chaos_seed.or(below.chaos_seed),
            chaos_token: chaos_token.or(below.chaos_token),
            tls_cert: tls_cert.or(below.tls_cert),
            tls_key: tls_key.or(below.tls_key),
            tls_ca: tls_ca.or(below.tls_ca),
            insecure: insecure.or(below.insecure),
            metrics: metrics.or(below.metrics),
            log: log.or(below.log),
            log_format: log_format.or(below.log_format),
            connections_max: connections_max.or(below.connections_max),
            request_timeout_ms: request_timeout_ms.or(below.request_timeout_ms),
            threads: threads.or(below.threads),
        }
    }

    fn settings(self, listen_stdin: bool) -> Result<Settings, CliError> {
        let peers = self.peers.ok_or(CliError::Missing { option: "--peers" })?;
        let id = self.id.ok_or(CliError::Missing { option: "--id" })?;
        let members = peers.iter().map(|peer| address("--peers", peer)).collect::<Result<Vec<_>, _>>()?;
        let listen = match &self.listen {
            Some(text) => address("--listen", text)?,
            None => members.get(usize::from(id)).cloned().unwrap_or_else(|| ServerAddress::local(0)),
        };
        let listener = match listen_stdin {
            true => Some(
                grpc::inherited_listener()
                    .map_err(|source| ServeError::System { what: "a socket as its standard input", source })?,
            ),
            false => None,
        };
        if self.sync.is_some() && self.data.is_none() {
            return Err(CliError::Missing { option: "--data, because --sync is about it," });
        }
        let sync = self.sync.unwrap_or_default().into();
        let mut draw = || SysRng.try_next_u64().map_err(CliError::NoSeed);
        let chaos_seed = match self.chaos.unwrap_or(false) {
            true => Some(self.chaos_seed.map_or_else(&mut draw, Ok)?),
            false => None,
        };
        let defaults = Limits::default();
        Ok(Settings {
            id: ReplicaId(id),
            members,
            listen,
            listener,
            cluster: self.cluster.unwrap_or_else(|| "seedbed".to_owned()),
            chaos_seed,
            chaos_matrix: None,
            chaos_token: self.chaos_token.filter(|token| !token.is_empty()),
            tls: TlsFiles { cert: self.tls_cert, key: self.tls_key, ca: self.tls_ca },
            insecure: self.insecure.unwrap_or(false),
            metrics: self.metrics.map(|text| address("--metrics", &text)).transpose()?,
            limits: Limits {
                connections: self.connections_max.map_or(defaults.connections, |most| most as usize),
                request_time: self
                    .request_timeout_ms
                    .map_or(defaults.request_time, |millis| Duration::from_millis(millis.into())),
                ..defaults
            },
            server: server::Config { forward: self.forward.unwrap_or(true), ..server::Config::default() },
            data: self.data.map(|folder| Data { folder, sync }),
            seed: draw()?,
        })
    }
}

/// Reads an address that is the value of an option.
fn address(option: &'static str, text: &str) -> Result<ServerAddress, CliError> {
    text.trim().parse().map_err(|error| CliError::Address { option, error })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn parse(text: &str) -> Options {
        toml::from_str(text).expect("options")
    }

    #[test]
    fn options_go_before_the_file() {
        let file = parse("id = 1\npeers = ['a:1', 'b:2']\nchaos = true\nforward = false");
        let given = Options { id: Some(0), forward: Some(true), ..Options::default() };
        let both = given.over(file);
        assert_eq!(both, parse("id = 0\npeers = ['a:1', 'b:2']\nchaos = true\nforward = true"));
    }

    #[test]
    fn options_that_no_file_can_hold_go_before_it_all_the_same() {
        let path = PathBuf::from(OsStr::from_bytes(b"\xff.pem"));
        let given = Options { chaos_seed: Some(u64::MAX), tls_ca: Some(path), ..Options::default() };
        assert_eq!(given.clone().over(parse("")), given);
    }

    #[test]
    fn every_option_of_the_file_has_its_words() {
        let full = "id = 1\npeers = ['a:1']\nlisten = 'a:1'\ncluster = 'c'\ndata = 'd'\nsync = 'never'\nforward = true\nchaos = true\nchaos-seed = 7\n\
                    chaos-token = 't'\ntls-cert = 'c'\ntls-key = 'k'\ntls-ca = 'a'\ninsecure = true\nmetrics = 'a:2'\n\
                    log = 'warn'\nlog-format = 'json'\nconnections-max = 5\nrequest-timeout-ms = 6\nthreads = 2\n";
        let text = format!("{:?}", parse(full));
        assert!(!text.contains("None"), "{text}");
        assert!(toml::from_str::<Options>("idd = 1").is_err());
    }

    #[test]
    fn a_server_listens_at_its_own_place_by_default() {
        let settings = |text: &str| parse(text).settings(false).expect("settings");
        let text = "id = 1\npeers = ['a:1', 'b:2', 'c:3']";
        assert_eq!(settings(text).listen.to_string(), "b:2");
        assert_eq!(settings(&format!("{text}\nlisten = '0.0.0.0:9'")).listen.to_string(), "0.0.0.0:9");
        assert!(parse("id = 1").settings(false).is_err());
    }
}
