//! The connectivity matrix of the first seed document.

use crate::id::{REPLICAS_MAX, ReplicaId};

/// How likely each replica is to drop a message from each other replica.
///
/// The entry in row i and column j is the probability that replica j drops a message which it receives from replica i.
/// 0 never drops and 1 always does. The diagonal counts, for a message that a replica sends to itself.
///
/// Invariants, held by every constructor and setter: square, at most [`REPLICAS_MAX`] wide, every entry in `0..=1`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectivityMatrix {
    replicas: usize,
    /// Row by row.
    entries: Vec<f64>,
}

/// Why something is not a connectivity matrix, or not an entry of one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MatrixError {
    /// The number of rows is not the number of replicas.
    #[error("has {found} rows; allowed is one for each of the {replicas} replicas")]
    Rows {
        /// Rows found.
        found: usize,
        /// Rows wanted.
        replicas: usize,
    },
    /// A row is too short or too long.
    #[error("row {row} has {found} values; allowed is one for each of the {replicas} replicas")]
    Columns {
        /// The row, from 0.
        row: usize,
        /// Values found in it.
        found: usize,
        /// Values wanted.
        replicas: usize,
    },
    /// An entry is not a probability.
    #[error("the value from {from} to {to} is {value}; allowed is 0 to 1")]
    Value {
        /// The row, from 0.
        from: usize,
        /// The column, from 0.
        to: usize,
        /// What stands there.
        value: f64,
    },
    /// A replica that the cluster does not have.
    #[error("replica {found} does not exist; allowed is 0 to {}", replicas - 1)]
    Replica {
        /// The replica named.
        found: usize,
        /// How many there are.
        replicas: usize,
    },
}

impl ConnectivityMatrix {
    /// The same loss on every link, which is what the course's `drops` means.
    ///
    /// # Errors
    /// If `loss` is not a probability.
    pub fn uniform(replicas: usize, loss: f64) -> Result<ConnectivityMatrix, MatrixError> {
        check(0, 0, loss)?;
        debug_assert!(replicas <= REPLICAS_MAX);
        Ok(ConnectivityMatrix { replicas, entries: vec![loss; replicas * replicas] })
    }

    /// A matrix from its rows.
    ///
    /// # Errors
    /// If it is not a square of `replicas` x `replicas` probabilities.
    pub fn from_rows(replicas: usize, rows: &[Vec<f64>]) -> Result<ConnectivityMatrix, MatrixError> {
        if rows.len() != replicas {
            return Err(MatrixError::Rows { found: rows.len(), replicas });
        }
        for (from, row) in rows.iter().enumerate() {
            if row.len() != replicas {
                return Err(MatrixError::Columns { row: from, found: row.len(), replicas });
            }
            for (to, &value) in row.iter().enumerate() {
                check(from, to, value)?;
            }
        }
        Ok(ConnectivityMatrix { replicas, entries: rows.concat() })
    }

    /// Changes one entry; on an error nothing is changed.
    ///
    /// # Errors
    /// If the replicas do not exist or the value is not a probability.
    pub fn set(&mut self, from: usize, to: usize, value: f64) -> Result<(), MatrixError> {
        for replica in [from, to] {
            if replica >= self.replicas {
                return Err(MatrixError::Replica { found: replica, replicas: self.replicas });
            }
        }
        check(from, to, value)?;
        self.entries[from * self.replicas + to] = value;
        Ok(())
    }

    /// The probability that `to` drops a message from `from`.
    #[inline]
    pub fn loss(&self, from: ReplicaId, to: ReplicaId) -> f64 {
        self.entries[from.index() * self.replicas + to.index()]
    }

    /// The loss on every link, the diagonal included, if it is the same on all.
    pub fn uniform_loss(&self) -> Option<f64> {
        let first = *self.entries.first()?;
        self.entries.iter().all(|loss| *loss == first).then_some(first)
    }

    /// How many replicas it is for.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// Its rows.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.entries.chunks_exact(self.replicas)
    }
}

/// NaN is not in the range either.
fn check(from: usize, to: usize, value: f64) -> Result<(), MatrixError> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(MatrixError::Value { from, to, value }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_that_is_not_square_is_refused_with_the_row_that_is_wrong() {
        let short = ConnectivityMatrix::from_rows(2, &[vec![0.0, 1.0]]);
        assert_eq!(short, Err(MatrixError::Rows { found: 1, replicas: 2 }));
        let ragged = ConnectivityMatrix::from_rows(2, &[vec![0.0, 1.0], vec![0.5]]);
        assert_eq!(ragged, Err(MatrixError::Columns { row: 1, found: 1, replicas: 2 }));
    }

    #[test]
    fn values_outside_zero_to_one_are_refused_and_change_nothing() {
        let mut matrix = ConnectivityMatrix::uniform(3, 0.25).unwrap();
        let before = matrix.clone();
        for value in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            assert!(matrix.set(0, 1, value).is_err(), "{value}");
            assert!(ConnectivityMatrix::uniform(3, value).is_err(), "{value}");
        }
        assert!(matrix.set(0, 3, 0.5).is_err() && matrix.set(3, 0, 0.5).is_err());
        assert_eq!(matrix, before);
        matrix.set(0, 2, 1.0).unwrap();
        assert_eq!(matrix.loss(ReplicaId(0), ReplicaId(2)), 1.0);
        assert_eq!(matrix.loss(ReplicaId(2), ReplicaId(0)), 0.25);
    }
}
