//! Errors of a client's calls.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};

use crate::printable::{Excerpt, printable};
use crate::rpc::{self, ServerAddress};

/// The error of a client's call. Each message is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request can never be done. The string says why.
    #[error("{0}")]
    Invalid(String),
    /// A server does not let this client do it, or wants a token or a certificate.
    #[error("{server}: {message}")]
    Denied {
        /// The server.
        server: ServerAddress,
        /// Its message.
        message: String,
    },
    /// The time has run out, and no server could be reached.
    #[error("no server could be reached within {} s: {reasons}", after.as_secs_f64())]
    Unreachable {
        /// How long it was tried.
        after: Duration,
        /// Why, for each server that was tried.
        reasons: Reasons,
    },
    /// The time has run out.
    #[error("not done within {} s: {reasons}{}", after.as_secs_f64(), doubt(*unknown))]
    TimedOut {
        /// How long it was tried.
        after: Duration,
        /// The request is an update that may have been done, or may still be done.
        unknown: bool,
        /// Why, for each server that was tried.
        reasons: Reasons,
    },
}

fn doubt(unknown: bool) -> &'static str {
    if unknown { "; it is not known whether it was done, or will be" } else { "" }
}

impl Error {
    /// The kind, for counting errors.
    pub const fn kind(&self) -> &'static str {
        match self {
            Error::Invalid(_) => "invalid",
            Error::Denied { .. } => "denied",
            Error::Unreachable { .. } => "unreachable",
            Error::TimedOut { .. } => "timed out",
        }
    }
}

/// The last error of each server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons(pub Vec<(ServerAddress, String)>);

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (server, reason)) in self.0.iter().enumerate() {
            let join = if place == 0 { "" } else { "; " };
            write!(f, "{join}{server}: {reason}")?;
        }
        Ok(())
    }
}

/// The messages seen when only one side speaks TLS, and the likely causes.
const ONE_SIDED_TLS: [(&str, &str); 2] = [
    ("frame with invalid size", " (does it want TLS? --tls-ca)"),
    ("InvalidContentType", " (does it speak TLS at all? without --tls-ca)"),
];

/// The message of a failed call, or the last of its causes, in one line.
pub fn reason(status: &Status) -> String {
    match status.code() {
        // The two sides have different messages for this.
        Code::DeadlineExceeded => return "no answer in time".to_owned(),
        Code::Cancelled if find::<tonic::TimeoutExpired>(status).is_some() => return "no answer in time".to_owned(),
        Code::Cancelled if status.message() == tonic::TimeoutExpired(()).to_string() => {
            return "no answer in time".to_owned();
        }
        _ => {}
    }
    let reason = foreign(&rpc::describe(status));
    let hint = ONE_SIDED_TLS.into_iter().find(|(words, _)| reason.contains(words)).map_or("", |(_, hint)| hint);
    reason + hint
}

/// Whether the call cannot have reached any server.
pub(super) fn is_unsent(status: &Status) -> bool {
    find::<tonic::ConnectError>(status).is_some()
}

/// The first cause of this type.
fn find<T: StdError + 'static>(status: &Status) -> Option<&T> {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// A message from outside, made harmless and not too long.
pub(super) fn foreign(text: &str) -> String {
    printable(&Excerpt(text.trim().as_bytes()).to_string())
}
