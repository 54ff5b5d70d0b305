//! How clients find and reach servers: options that all of them share.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::cli::error::CliError;
use crate::client::{Servers, status};
use crate::node::grpc::ServeError;
use crate::rpc::{ServerAddress, TlsFiles};

/// The ports of this machine that are tried by default: those of `seedbed cluster`.
const DEFAULT_PORTS: std::ops::RangeInclusive<u16> = 7001..=7005;

/// The largest timeout that may be given for a request.
const TIMEOUT_SECONDS_MAX: f64 = 86_400.0;

/// Above these options in the help.
const CONNECTION: &str = "Connection";

/// Which servers a command is about, and how to reach them.
#[derive(Debug, clap::Args)]
pub(super) struct ConnectionArgs {
    /// The servers to ask; by default 127.0.0.1:7001 to 7005, or the members that the first of these to answer names
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',', env = "SEEDBED_SERVERS", global = true, help_heading = CONNECTION)]
    servers: Vec<String>,

    /// The authority whose certificates servers must show (PEM); without it, there is no TLS
    #[arg(long, value_name = "FILE", env = "SEEDBED_TLS_CA", global = true, help_heading = CONNECTION)]
    tls_ca: Option<PathBuf>,

    /// The certificate to show to servers (PEM)
    #[arg(long, value_name = "FILE", env = "SEEDBED_TLS_CERT", global = true, help_heading = CONNECTION)]
    tls_cert: Option<PathBuf>,

    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE", env = "SEEDBED_TLS_KEY", global = true, help_heading = CONNECTION)]
    tls_key: Option<PathBuf>,

    /// How long a request may take in all
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, allow_negative_numbers = true, global = true, help_heading = CONNECTION)]
    timeout: Duration,
}

impl ConnectionArgs {
    /// How long a request may take in all.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long one server has to answer.
    pub fn try_timeout(&self) -> Duration {
        self.timeout.min(Duration::from_secs(1))
    }

    /// The servers, without calling the named ones first.
    pub async fn servers(&self) -> Result<Servers, CliError> {
        let files = TlsFiles { cert: self.tls_cert.clone(), key: self.tls_key.clone(), ca: self.tls_ca.clone() };
        let tls = files.client().map_err(CliError::Tls)?;
        // An empty variable counts as unset.
        let named: Vec<&str> =
            self.servers.iter().map(|server| server.trim()).filter(|name| !name.is_empty()).collect();
        if !named.is_empty() {
            let parse = |name: &&str| name.parse::<ServerAddress>();
            let addresses: Result<Vec<ServerAddress>, _> = named.iter().map(parse).collect();
            let addresses = addresses.map_err(|error| CliError::Address { option: "--servers", error })?;
            return Ok(Servers::new(&addresses, tls)?);
        }
        let addresses: Vec<ServerAddress> = DEFAULT_PORTS.map(ServerAddress::local).collect();
        let servers = Servers::new(&addresses, tls)?;
        Ok(match status::members(&servers, self.try_timeout()).await? {
            Some(members) => servers.with_addresses(&members)?,
            None => servers,
        })
    }
}

/// The token that callers of the chaos monkey send, if it requires one.
#[derive(Debug, clap::Args)]
pub(super) struct TokenArgs {
    /// The token of the chaos monkey (better in the environment or a file than here)
    #[arg(long, value_name = "TOKEN", env = "SEEDBED_CHAOS_TOKEN", hide_env_values = true, global = true, help_heading = CONNECTION)]
    token: Option<String>,

    /// A file with the token of the chaos monkey; takes precedence over --token
    #[arg(long, value_name = "FILE", global = true, help_heading = CONNECTION)]
    token_file: Option<PathBuf>,
}

impl TokenArgs {
    /// The token, if there is one.
    pub fn load(&self) -> Result<Option<String>, CliError> {
        let text = match &self.token_file {
            Some(path) => fs::read_to_string(path)
                .map_err(|source| CliError::Unreadable { path: path.clone(), source })?
                .trim()
                .to_owned(),
            None => self.token.clone().unwrap_or_default(),
        };
        Ok(Some(text).filter(|token| !token.is_empty()))
    }
}

/// Runs the work of a command on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    runtime(Builder::new_current_thread())?.block_on(work)
}

/// A runtime.
pub(super) fn runtime(mut builder: Builder) -> Result<Runtime, CliError> {
    let refused = |source| ServeError::System { what: "threads and timers", source };
    Ok(builder.enable_all().build().map_err(refused)?)
}

/// A time in seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..=TIMEOUT_SECONDS_MAX).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("allowed is a number of seconds from 0.001 to {TIMEOUT_SECONDS_MAX}"))
}
