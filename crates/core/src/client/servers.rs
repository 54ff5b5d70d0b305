//! The servers that clients ask, and the connections to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Channel, ClientTlsConfig};

use super::error::{Error, foreign};
use crate::rpc::{self, ServerAddress};

/// The most servers to which connections are kept, besides those that were named. A server that names ever more servers
/// is not a leader.
const STRANGERS_MAX: usize = crate::id::REPLICAS_MAX;

/// Addresses of servers, with connections that all clients share. Clones share them, too.
#[derive(Clone, Debug)]
pub struct Servers {
    addresses: Arc<[ServerAddress]>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tls: Option<ClientTlsConfig>,
    /// Per server.
    connections: usize,
    channels: Mutex<BTreeMap<ServerAddress, Vec<Channel>>>,
}

impl Servers {
    /// These servers, with one connection to each. Nothing is connected before the first call.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are none, or if the certificates cannot be used.
    pub fn new(addresses: &[ServerAddress], tls: Option<ClientTlsConfig>) -> Result<Servers, Error> {
        let first = addresses.first().ok_or_else(|| Error::Invalid("there is no server to ask".to_owned()))?;
        let mut listed: Vec<ServerAddress> = Vec::with_capacity(addresses.len());
        for address in addresses {
            if !listed.contains(address) {
                listed.push(address.clone());
            }
        }
        let shared = Shared { tls, connections: 1, channels: Mutex::default() };
        let servers = Servers { addresses: listed.into(), shared: Arc::new(shared) };
        // An error in the certificates concerns all servers.
        let tried = rpc::endpoint(first, servers.shared.tls.as_ref());
        tried.map(|_| servers).map_err(|error| Error::Invalid(format!("{first}: {}", rpc::describe_transport(&error))))
    }

    /// The same, with this many connections to each server, which clients take in turn.
    #[must_use]
    pub fn with_connections(self, connections: usize) -> Servers {
        let shared =
            Shared { tls: self.shared.tls.clone(), connections: connections.max(1), channels: Mutex::default() };
        Servers { shared: Arc::new(shared), ..self }
    }

    /// The same connections, to these servers.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are none.
    pub fn with_addresses(self, addresses: &[ServerAddress]) -> Result<Servers, Error> {
        if addresses.is_empty() {
            return Err(Error::Invalid("there is no server to ask".to_owned()));
        }
        Ok(Servers { addresses: addresses.into(), ..self })
    }

    /// The addresses, each once.
    pub fn addresses(&self) -> &[ServerAddress] {
        &self.addresses
    }

    /// A connection to a server, named above or not. `turn` chooses among several.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the address does not allow a connection.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn channel(&self, address: &ServerAddress, turn: usize) -> Result<Channel, Error> {
        let mut channels = self.shared.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channels) = channels.get(address) {
            return Ok(channels[turn % channels.len()].clone());
        }
        if channels.len() >= self.addresses.len() + STRANGERS_MAX {
            return Err(Error::Invalid(format!("{address}: is one server too many")));
        }
        let connect = || rpc::channel(address, self.shared.tls.as_ref());
        let made: Result<Vec<Channel>, _> = (0..self.shared.connections).map(|_| connect()).collect();
        let made = made.map_err(|error| Error::Invalid(format!("{address}: {}", rpc::describe_transport(&error))))?;
        let channel = made[turn % made.len()].clone();
        channels.insert(address.clone(), made);
        Ok(channel)
    }
}

/// What each of several servers answered, or why it did not.
pub type Each<T> = Vec<(ServerAddress, Result<T, String>)>;

/// Asks all servers at once, each once.
pub(super) async fn ask_each<T, F>(
    servers: &Servers,
    timeout: Duration,
    ask: impl Fn(Channel) -> F,
) -> Result<Each<T>, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>> + Send + 'static,
{
    let mut asked = Vec::with_capacity(servers.addresses().len());
    for address in servers.addresses() {
        let answer = tokio::time::timeout(timeout, ask(servers.channel(address, 0)?));
        asked.push((address.clone(), tokio::spawn(answer)));
    }
    let mut answers = Vec::with_capacity(asked.len());
    for (address, task) in asked {
        let answer = match task.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("no answer in time".to_owned()),
            // The runtime is shutting down.
            Err(error) => Err(foreign(&error.to_string())),
        };
        answers.push((address, answer));
    }
    Ok(answers)
}
