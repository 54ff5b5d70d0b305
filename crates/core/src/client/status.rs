//! How servers are doing.

use std::time::Duration;

use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::error::{Error, reason};
use super::kv::timed;
use super::servers::{Each, Servers, ask_each};
use crate::rpc::ServerAddress;
use crate::rpc::proto::admin::admin_client::AdminClient;
use crate::rpc::proto::admin::{Role, ServerStatus, StatusRequest};

/// How each server is doing.
///
/// # Errors
/// [`Error::Invalid`] if a server's address does not allow a connection. Errors of servers are in the answer.
///
/// # Panics
/// Outside of a Tokio runtime.
pub async fn of_each(servers: &Servers, timeout: Duration) -> Result<Each<ServerStatus>, Error> {
    ask_each(servers, timeout, |channel| of_one(channel, timeout)).await
}

/// The members of the cluster, as the first server that answers lists them; none if no server answers.
///
/// # Errors
/// As [`of_each`].
pub async fn members(servers: &Servers, timeout: Duration) -> Result<Option<Vec<ServerAddress>>, Error> {
    let mut asked = JoinSet::new();
    for address in servers.addresses() {
        asked.spawn(tokio::time::timeout(timeout, of_one(servers.channel(address, 0)?, timeout)));
    }
    while let Some(answer) = asked.join_next().await {
        if let Ok(Ok(Ok(status))) = answer
            && let Some(members) = addresses(&status)
        {
            return Ok(Some(members));
        }
    }
    Ok(None)
}

async fn of_one(channel: Channel, timeout: Duration) -> Result<ServerStatus, String> {
    let response = AdminClient::new(channel).get_status(timed(StatusRequest {}, timeout)).await;
    response.map(tonic::Response::into_inner).map_err(|status| reason(&status))
}

/// The addresses in a status, if all are addresses.
fn addresses(status: &ServerStatus) -> Option<Vec<ServerAddress>> {
    let addresses: Option<Vec<ServerAddress>> = status.members.iter().map(|member| member.parse().ok()).collect();
    addresses.filter(|addresses| !addresses.is_empty())
}

/// The leader among servers: the one with the highest term among the servers that report themselves as leaders.
pub fn leader<'a>(statuses: impl IntoIterator<Item = &'a ServerStatus>) -> Option<&'a ServerStatus> {
    statuses.into_iter().filter(|status| status.role() == Role::Leader).max_by_key(|status| status.term)
}
