//! Whose records a folder has.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::ReplicaId;

/// Whose records a folder has. A folder of another owner is refused: records of one replica are lies in the mouth of
/// another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The program, which determines what records mean.
    pub program: String,
    /// The cluster's name.
    pub cluster: String,
    /// The replica's place in it.
    pub replica: ReplicaId,
    /// How many replicas the cluster had when the folder was created: quorums depend on it.
    pub replicas: usize,
}

impl Owner {
    /// As it is kept in the file.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers have a form in JSON")
    }

    pub(super) fn from_json(text: &[u8]) -> Result<Owner, serde_json::Error> {
        serde_json::from_slice(text)
    }
}

/// As in `server 2 of the 5 of cluster "blue" (seedbed)`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Owner { program, cluster, replica, replicas } = self;
        write!(f, "server {} of the {replicas} of cluster {cluster:?} ({program})", replica.0)
    }
}
