//! The client of the chaos monkeys.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};

use super::error::{Error, foreign, reason};
use super::kv::timed;
use super::servers::{Each, Servers, ask_each};
use crate::chaos::ConnectivityMatrix;
use crate::id::REPLICAS_MAX;
use crate::rpc::AUTHORIZATION;
use crate::rpc::proto::chaosmonkey::chaos_monkey_client::ChaosMonkeyClient;
use crate::rpc::proto::chaosmonkey::{self, ConnMatrix, GetMatrixRequest, MatValue, StatusCode};

/// Hands matrices to the chaos monkeys of all servers.
///
/// Each server has a copy of its own, and uses only its own column. While some have a new matrix and others an old one,
/// each link follows its receiver's copy.
#[derive(Clone, Debug)]
pub struct Chaos {
    servers: Servers,
    timeout: Duration,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Chaos {
    /// A client of these servers, with a timeout for each answer, and a token if the servers want one.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the token cannot be sent.
    pub fn new(servers: Servers, timeout: Duration, token: Option<&str>) -> Result<Chaos, Error> {
        let authorization = token.map(|token| {
            let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {token}").parse();
            let mut value = value.map_err(|_| {
                Error::Invalid("the token cannot be sent; allowed is one line of printable ASCII characters".to_owned())
            })?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Chaos { servers, timeout, authorization: authorization.transpose()? })
    }

    /// Gives all servers this matrix, in place of the one that they have.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a server's address does not allow a connection. Errors of servers are in the answer.
    pub async fn upload(&self, matrix: &ConnectivityMatrix) -> Result<Each<()>, Error> {
        let message = ConnMatrix::from(matrix);
        ask_each(&self.servers, self.timeout, |channel| {
            let request = self.request(message.clone());
            async move { done(ChaosMonkeyClient::new(channel).upload_matrix(request).await) }
        })
        .await
    }

    /// Changes one value of the matrix of all servers: how likely `to` is to drop a message of `from`.
    ///
    /// # Errors
    /// As [`Chaos::upload`].
    pub async fn set(&self, from: usize, to: usize, value: f64) -> Result<Each<()>, Error> {
        let place = |place: usize| i32::try_from(place).unwrap_or(i32::MAX);
        let message = MatValue { row: place(from), col: place(to), val: value as f32 };
        ask_each(&self.servers, self.timeout, |channel| {
            let request = self.request(message);
            async move { done(ChaosMonkeyClient::new(channel).update_value(request).await) }
        })
        .await
    }

    /// The matrix of each server.
    ///
    /// # Errors
    /// As [`Chaos::upload`].
    pub async fn show(&self) -> Result<Each<ConnectivityMatrix>, Error> {
        ask_each(&self.servers, self.timeout, |channel| {
            let request = self.request(GetMatrixRequest {});
            async move {
                let response = ChaosMonkeyClient::new(channel).get_matrix(request).await;
                read(&response.map_err(|status| reason(&status))?.into_inner())
            }
        })
        .await
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = timed(message, self.timeout);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert(AUTHORIZATION, authorization.clone());
        }
        request
    }
}

/// Whether a change was made.
fn done(response: Result<tonic::Response<chaosmonkey::Status>, Status>) -> Result<(), String> {
    let status = response.map_err(|status| reason(&status))?.into_inner();
    match StatusCode::try_from(status.ret) {
        Ok(StatusCode::Ok) => Ok(()),
        _ if status.message.is_empty() => Err("refuses it".to_owned()),
        _ => Err(foreign(&status.message)),
    }
}

/// The matrix that a server returned. Its values have few digits, so the nearest short number is meant: 0.1, not
/// 0.10000000149.
fn read(matrix: &ConnMatrix) -> Result<ConnectivityMatrix, String> {
    let wide = |value: &f32| value.to_string().parse().unwrap_or(f64::NAN);
    let rows: Vec<Vec<f64>> = matrix.rows.iter().map(|row| row.vals.iter().map(wide).collect()).collect();
    if rows.len() > REPLICAS_MAX {
        return Err(format!("sent a matrix with {} rows; allowed is at most {REPLICAS_MAX}", rows.len()));
    }
    ConnectivityMatrix::from_rows(rows.len(), &rows).map_err(|error| format!("sent what is no matrix: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::proto::chaosmonkey::conn_matrix::MatRow;

    #[test]
    fn values_come_back_as_they_were_meant() {
        let vals = vec![0.1, 1.0, 0.333];
        let matrix = read(&ConnMatrix { rows: vec![MatRow { vals }; 3] }).expect("a matrix");
        assert_eq!(matrix.rows().next(), Some(&[0.1, 1.0, 0.333][..]));
    }

    #[test]
    fn a_malformed_matrix_does_not_cause_a_panic() {
        for rows in [vec![vec![0.5; 2]; 3], vec![vec![2.0]], vec![vec![f32::NAN]], vec![vec![0.0; 200]; 200]] {
            let rows = rows.into_iter().map(|vals| MatRow { vals }).collect();
            assert!(read(&ConnMatrix { rows }).is_err());
        }
    }
}
