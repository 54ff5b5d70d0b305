//! How long clients wait, as distributions.

use super::dimension::{Dimension, dimensions, distinct, looks, name_of, title};
use crate::digest::Digest;
use crate::plot::{Cdf, CdfPanel, CdfSeries, Chart, DASHES_MAX, Look};
use crate::waits::Waits;

/// The most panels of one picture.
const PANELS_MAX: usize = 24;
/// Up to this many lines share one panel if they differ in two things.
const LINES_OF_TWO_MAX: usize = 7;
/// The most lines of a panel if they differ in a number, whose colours have an order.
const LINES_OF_NUMBERS_MAX: usize = 30;
/// The most lines of a panel if they differ in names.
const LINES_OF_NAMES_MAX: usize = 12;

/// How cells are distributed among panels.
struct Plan<'a> {
    /// The dimensions in which all lines of a panel agree.
    panels: Vec<&'a Dimension>,
    /// The dimensions in which they differ.
    lines: Vec<&'a Dimension>,
}

impl<'a> Plan<'a> {
    /// One panel if its lines can be told apart. Otherwise its lines differ in one dimension: the one with the most
    /// values that one panel can still distinguish. Each combination of the other dimensions then has its own panel.
    fn new(dimensions: &'a [Dimension], cells: usize) -> Plan<'a> {
        let fits = |dimension: &&Dimension| {
            let most = if dimension.is_numeric() { LINES_OF_NUMBERS_MAX } else { LINES_OF_NAMES_MAX };
            dimension.labels.len() <= most
        };
        // Among equals the first one wins, so they come in reverse order.
        let Some(lines) = dimensions.iter().rev().filter(fits).max_by_key(|dimension| dimension.labels.len()) else {
            return Plan { panels: dimensions.iter().collect(), lines: Vec::new() };
        };
        let others: Vec<&Dimension> = dimensions.iter().filter(|dimension| dimension.name != lines.name).collect();
        let styles = others.iter().map(|dimension| dimension.labels.len()).product::<usize>();
        if cells <= LINES_OF_TWO_MAX && styles <= DASHES_MAX {
            return Plan { panels: Vec::new(), lines: std::iter::once(lines).chain(others).collect() };
        }
        Plan { panels: others, lines: vec![lines] }
    }
}

impl Waits {
    /// The picture of the waits. The digest covers the same runs, and knows in which dimensions their cells differ.
    pub fn chart(&self, digest: &Digest) -> Chart {
        let dimensions = dimensions(digest);
        let cells = self.cells.len().min(digest.cells.len());
        let plan = Plan::new(&dimensions, cells);
        let (titles, panel_of) = distinct((0..cells).map(|cell| name_of(cell, &plan.panels)));
        let looks = looks(cells, &plan.lines, false);
        let mut panels: Vec<CdfPanel> =
            titles.into_iter().take(PANELS_MAX).map(|title| CdfPanel { title, series: Vec::new() }).collect();
        let mut drawn = 0;
        for cell in 0..cells {
            if let Some(panel) = panels.get_mut(panel_of[cell]) {
                panel.series.push(self.curve(cell, name_of(cell, &plan.lines), looks[cell]));
                drawn += 1;
            }
        }
        let more = digest.cells.len() - drawn;
        let left_out = if more > 0 { format!("; {more} more cells are not drawn") } else { String::new() };
        Chart::Cdf(Cdf {
            title: format!("How long clients wait in {}", title(digest, &dimensions)),
            subtitle: format!(
                "From a request's first sending to its answer, redirects included; {} runs{left_out}",
                digest.runs()
            ),
            panels,
        })
    }

    fn curve(&self, cell: usize, name: String, look: Look) -> CdfSeries {
        let histogram = &self.cells[cell];
        let mut below = 0;
        let steps = histogram.iter_recorded().map(|step| {
            below += step.count_since_last_iteration();
            (step.value_iterated_to() as f64 / 1e9, below as f64 / histogram.len() as f64)
        });
        CdfSeries { name, look, steps: steps.collect() }
    }
}
