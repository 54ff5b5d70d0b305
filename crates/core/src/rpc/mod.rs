//! gRPC, as servers and clients share it: the services of `proto/`, and how connections are made and secured.
//!
//! Only with the feature `grpc`. Messages between servers are converted to Raft's messages in [`crate::node::grpc`].

mod address;
mod matrix;
mod tls;

use std::error::Error;
use std::time::Duration;

use tonic::Status;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::printable::printable;

pub use address::{AddressError, ServerAddress};
pub use tls::{TlsError, TlsFiles};

/// The code generated from `proto/`.
pub mod proto {
    #![allow(missing_docs, reason = "the files in proto/ document it")]

    /// The store, as clients see it.
    pub mod kvstore {
        tonic::include_proto!("kvstore");
    }
    /// The chaos monkey of one server.
    pub mod chaosmonkey {
        tonic::include_proto!("chaosmonkey");
    }
    /// The messages between servers.
    pub mod raft {
        tonic::include_proto!("seedbed.raft");
    }
    /// The status of a server.
    pub mod admin {
        tonic::include_proto!("seedbed.admin");
    }
    /// All of this, described for the reflection service.
    pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("descriptors");
}

/// The most bytes of a key.
pub const KEY_BYTES_MAX: usize = 1 << 10;

/// The most bytes of a value.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// The most bytes of a message that is read at all. It leaves room beyond the largest put, so that a put that is too
/// large gets an answer with the reason.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// The header that carries the bearer token.
pub const AUTHORIZATION: &str = "authorization";

/// How long it may take to connect.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the other side of a connection is pinged.
pub const PING_INTERVAL: Duration = Duration::from_secs(2);

/// How long the answer to a ping may take.
pub const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// How many bytes of one call may be in flight before the other side has received them. The default of HTTP/2, 64 KiB,
/// would make a large value wait for several round trips.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// The same for all calls of a connection together.
pub const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// How to connect to a server. Nothing happens before the first call; a connection that breaks is made again.
///
/// # Errors
/// If the address or the certificates cannot be used.
pub fn endpoint(address: &ServerAddress, tls: Option<&ClientTlsConfig>) -> Result<Endpoint, tonic::transport::Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .tcp_nodelay(true);
    match tls {
        Some(tls) => endpoint.tls_config(tls.clone()),
        None => Ok(endpoint),
    }
}

/// A connection that is made with the first call.
///
/// # Errors
/// As [`endpoint`].
pub fn channel(address: &ServerAddress, tls: Option<&ClientTlsConfig>) -> Result<Channel, tonic::transport::Error> {
    Ok(endpoint(address, tls)?.connect_lazy())
}

/// A readable description of a failed call: the server's message, or the root cause why it was not reached.
pub fn describe(status: &Status) -> String {
    let code = status.code();
    match status.source() {
        Some(source) => describe_causes(source),
        None if status.message().is_empty() => code.description().to_owned(),
        None => printable(status.message()).to_string(),
    }
}

/// A readable description of why there is no connection, down to the root cause.
pub fn describe_transport(error: &tonic::transport::Error) -> String {
    describe_causes(error)
}

/// The last of a chain of causes, which is the informative one, and the one before it if that says more than "error".
fn describe_causes(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    printable(&last.to_string()).to_string()
}
