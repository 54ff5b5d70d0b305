//! The settings of a server.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use super::{ServeError, listener};
use crate::chaos::ConnectivityMatrix;
use crate::id::{REPLICAS_MAX, ReplicaId};
use crate::raft::ConfigError;
use crate::rpc::{ServerAddress, TlsFiles};
use crate::server;
use crate::storage::Sync;
use crate::time::Span;

/// The settings of a server.
#[derive(Debug)]
pub struct Settings {
    /// Its place among the members, and in the connectivity matrix.
    pub id: ReplicaId,
    /// All members in order, itself included.
    pub members: Vec<ServerAddress>,
    /// Where it listens.
    pub listen: ServerAddress,
    /// A socket that listens there already.
    pub listener: Option<TcpListener>,
    /// The cluster's name: servers of other clusters are refused.
    pub cluster: String,
    /// The seed of the chaos monkey's random streams; none if it carries no monkey.
    pub chaos_seed: Option<u64>,
    /// The matrix that the chaos monkey begins with; without one, it drops nothing before it is told to.
    pub chaos_matrix: Option<ConnectivityMatrix>,
    /// The token that callers of the chaos monkey must send.
    pub chaos_token: Option<String>,
    /// Certificates and keys.
    pub tls: TlsFiles,
    /// Whether it may be reached from other machines without encryption.
    pub insecure: bool,
    /// Where it exports metrics for Prometheus.
    pub metrics: Option<ServerAddress>,
    /// The bounds on its load.
    pub limits: Limits,
    /// The parameters of the server, but for how long a request may take: that is one of the limits.
    pub server: server::Config,
    /// Where it keeps what it must not forget; none if everything is in memory.
    pub data: Option<Data>,
    /// The seed of all its other randomness.
    pub seed: u64,
}

/// Where a server keeps what it must not forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The folder. It is made if it is missing.
    pub folder: PathBuf,
    /// Whether what is written is synced.
    pub sync: Sync,
}

/// The bounds on the load of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Calls at a time on one connection.
    pub streams: u32,
    /// Bytes of requests that wait for their answers, all together.
    pub waiting_bytes: usize,
    /// How long a request may take, if its client would wait longer.
    pub request_time: Duration,
    /// How long a connection may be silent. Clients that are alive answer pings.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 1_024,
            streams: 128,
            waiting_bytes: 256 << 20,
            request_time: Duration::from_secs(5),
            silence: Duration::from_secs(20),
        }
    }
}

/// Why settings make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// Too few or too many members.
    #[error("--peers: has {0} of the cluster's servers; allowed is 2 to {REPLICAS_MAX}, this one included")]
    Members(usize),
    /// A member appears twice.
    #[error("--peers: {0} comes twice")]
    Twice(ServerAddress),
    /// The number is not that of a member.
    #[error("--id: is {id}; allowed is 0 to {}, its place in --peers", members - 1)]
    Id {
        /// The number.
        id: u8,
        /// How many members there are.
        members: usize,
    },
    /// Others could listen in.
    #[error(
        "--listen {0}: other machines could reach this, so it needs --tls-cert, --tls-key and --tls-ca; or --insecure, if \
         the network is trusted"
    )]
    Open(ServerAddress),
    /// Others could take the cluster down.
    #[error(
        "--chaos: other machines could reach {0} and take the cluster down, so it needs --chaos-token or --tls-ca; or \
         --insecure, if the network is trusted"
    )]
    OpenChaos(ServerAddress),
    /// The matrix is for another number of servers.
    #[error("--chaos-matrix: is for {rows} servers; the cluster has {members}")]
    Matrix {
        /// How many rows it has.
        rows: usize,
        /// How many members there are.
        members: usize,
    },
    /// Certificates without an authority to check those of other servers.
    #[error("--tls-cert needs --tls-ca, too: servers of a cluster check each other's certificates")]
    NoAuthority,
    /// The server's parameters make no sense.
    #[error(transparent)]
    Server(ConfigError),
}

impl Settings {
    /// Checks that the settings make sense together.
    ///
    /// # Errors
    /// Names the option that does not make sense, and what is allowed.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let members = self.members.len();
        if !(2..=REPLICAS_MAX).contains(&members) {
            return Err(SettingsError::Members(members));
        }
        if let Some((_, twice)) =
            self.members.iter().enumerate().find(|(n, member)| self.members[..*n].contains(member))
        {
            return Err(SettingsError::Twice(twice.clone()));
        }
        if self.id.index() >= members {
            return Err(SettingsError::Id { id: self.id.0, members });
        }
        if let Some(rows) = self.chaos_matrix.as_ref().map(|matrix| matrix.rows().count())
            && rows != members
        {
            return Err(SettingsError::Matrix { rows, members });
        }
        if self.tls.cert.is_some() && self.tls.ca.is_none() {
            return Err(SettingsError::NoAuthority);
        }
        let open = !self.listen.is_loopback() && !self.insecure;
        if open && self.tls.is_empty() {
            return Err(SettingsError::Open(self.listen.clone()));
        }
        if open && self.chaos_seed.is_some() && self.chaos_token.is_none() && self.tls.ca.is_none() {
            return Err(SettingsError::OpenChaos(self.listen.clone()));
        }
        self.server_config().validate().map_err(SettingsError::Server)
    }

    /// The parameters of the server.
    pub(super) fn server_config(&self) -> server::Config {
        let request_time_max = Span(u64::try_from(self.limits.request_time.as_nanos()).unwrap_or(u64::MAX));
        server::Config { request_time_max, ..self.server.clone() }
    }

    /// The socket on which it listens.
    pub(super) fn bind(&self) -> Result<TcpListener, ServeError> {
        match &self.listener {
            Some(listener) => listener
                .try_clone()
                .map_err(|source| ServeError::System { what: "the socket that it was given", source }),
            None => listener::bind("--listen", &self.listen),
        }
    }
}
