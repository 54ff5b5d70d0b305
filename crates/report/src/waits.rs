//! How long clients wait, over the runs of each cell of a sweep.

use hdrhistogram::Histogram;

use super::digest::histogram;
use super::rows::waits;
use seedbed_core::record::RunRecord;

/// The most cells whose latencies are kept: each takes up to 200 kB.
const CELLS_MAX: usize = 240;

/// How long clients waited, over all runs of a cell. The first 240 cells are kept.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    pub(crate) cells: Vec<Histogram<u64>>,
}

impl Waits {
    /// The waits of one run, in nanoseconds: those of gets and of puts together.
    pub fn of(record: &RunRecord) -> Vec<u64> {
        let (gets, puts) = waits(&record.history);
        gets.into_iter().chain(puts).map(|span| span.nanos()).collect()
    }

    /// Adds a run of this cell, counted from 0 in the order in which cells appear.
    pub fn add(&mut self, cell: usize, waits: &[u64]) {
        while self.cells.len() <= cell && self.cells.len() < CELLS_MAX {
            self.cells.push(histogram());
        }
        if let Some(histogram) = self.cells.get_mut(cell) {
            for wait in waits {
                histogram.record(*wait).expect("the histogram grows as far as it must");
            }
        }
    }
}
