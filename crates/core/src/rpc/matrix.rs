//! The connectivity matrix as the services carry it.

use super::proto::chaosmonkey::ConnMatrix;
use super::proto::chaosmonkey::conn_matrix::MatRow;
use crate::chaos::ConnectivityMatrix;

impl From<&ConnectivityMatrix> for ConnMatrix {
    fn from(matrix: &ConnectivityMatrix) -> ConnMatrix {
        let row = |row: &[f64]| MatRow { vals: row.iter().map(|&value| value as f32).collect() };
        ConnMatrix { rows: matrix.rows().map(row).collect() }
    }
}
