//! From runs and their statistics to pictures.

mod dimension;
mod timeline;
mod violation;
mod waits;

use super::cells::shown_metrics;
use super::digest::{CellDigest, Digest, Spread};
use super::plot::{
    Chart, HeatMaps, HeatPanel, Lines, Look, Panel, Point, Series, Unit as PlotUnit, Words, XAxis, short,
};
use super::rows::Unit;
use dimension::{Dimension, SCENARIO, dimensions, distinct, looks, name_of, title};

pub use timeline::timeline;
pub use violation::violation;

/// The most series in one panel of a sweep's picture.
pub const SERIES_MAX: usize = 12;

/// The most metrics in one picture.
pub const METRICS_MAX: usize = 12;

/// The picture of a sweep: two swept numbers as heat maps, everything else as lines or intervals over the first swept
/// value, with a series for each combination of the others. A single cell is described in words. There is no picture if
/// there is no run.
pub fn chart(digest: &Digest) -> Option<Chart> {
    match &digest.cells[..] {
        [] => return None,
        [only] => return Some(Chart::Words(words(digest, only))),
        _ => {}
    }
    let mut dimensions = dimensions(digest);
    let title = title(digest, &dimensions);
    let is_map = |dimension: &Dimension| dimension.is_numeric() && dimension.labels.len() > 2;
    if let [x, y] = &dimensions[..]
        && is_map(x)
        && is_map(y)
    {
        return Some(Chart::HeatMaps(heat_maps(digest, x, y, title)));
    }
    let x = dimensions
        .iter()
        .position(|dimension| dimension.is_numeric() && dimension.labels.len() > 2)
        .or_else(|| dimensions.iter().position(Dimension::is_numeric))
        .unwrap_or(0);
    let x = match dimensions.len() {
        0 => Dimension::of(SCENARIO, digest.cells.iter().map(|cell| &cell.scenario).collect()),
        _ => dimensions.remove(x),
    };
    Some(Chart::Lines(lines(digest, &x, &dimensions, title)))
}

fn plot_unit(unit: Unit) -> PlotUnit {
    match unit {
        Unit::Seconds => PlotUnit::Seconds,
        Unit::Count(things) | Unit::Ratio(things) => PlotUnit::Count(things),
        Unit::Flag | Unit::Text => PlotUnit::Plain,
    }
}

/// One thing to draw from a digest: a metric, or the share of runs that pass.
#[derive(Clone, Copy)]
enum Drawn {
    Metric(usize),
    Passed,
}

impl Drawn {
    /// The share of passing runs if not all pass, and the metrics that are shown, as far as they fit.
    fn all(digest: &Digest) -> Vec<Drawn> {
        let passed = (digest.failed() > 0).then_some(Drawn::Passed);
        passed.into_iter().chain(shown_metrics(digest).into_iter().take(METRICS_MAX).map(Drawn::Metric)).collect()
    }

    fn title(self, digest: &Digest) -> String {
        match self {
            Drawn::Metric(place) => digest.column(place).title.to_string(),
            Drawn::Passed => "Runs that pass, with 95 % interval".to_owned(),
        }
    }

    fn unit(self, digest: &Digest) -> PlotUnit {
        match self {
            Drawn::Metric(place) => plot_unit(digest.column(place).unit),
            Drawn::Passed => PlotUnit::Fraction,
        }
    }

    fn spread(self, cell: &CellDigest) -> Option<Spread> {
        match self {
            Drawn::Metric(place) => cell.spreads[place],
            Drawn::Passed => {
                let (low, high) = cell.pass_interval();
                Some(Spread { low, median: cell.pass_rate(), high })
            }
        }
    }
}

/// How many runs there are in each cell, and which metrics are not drawn.
fn subtitle(digest: &Digest, series: usize) -> String {
    let runs = digest.cells.iter().map(|cell| cell.runs).max().unwrap_or(0);
    let mut text = format!("{runs} {} in each cell", if runs == 1 { "run" } else { "runs" });
    if series > SERIES_MAX {
        text += &format!("; {} more series are not drawn", series - SERIES_MAX);
    }
    let left_out: Vec<&str> =
        shown_metrics(digest).iter().skip(METRICS_MAX).map(|place| &*digest.column(*place).name).collect();
    if !left_out.is_empty() {
        text += &format!("; not drawn: {}", left_out.join(", "));
    }
    text
}

/// A single cell in words: if nothing differs, there is nothing to compare.
fn words(digest: &Digest, cell: &CellDigest) -> Words {
    let values = digest.names.iter().zip(&cell.values).map(|(name, value)| format!(", {name} {value}"));
    let fact = |drawn: Drawn| {
        let unit = drawn.unit(digest);
        let value = drawn.spread(cell).map_or("no run has it".to_owned(), |spread| {
            let things = if let PlotUnit::Count(things) = unit { format!(" {things}") } else { String::new() };
            let [low, median, high] = [spread.low, spread.median, spread.high].map(|number| short(unit, number));
            format!("{median}{things} ({low} to {high})")
        });
        (drawn.title(digest), value)
    };
    Words {
        title: format!("{}{}", cell.scenario, values.collect::<String>()),
        subtitle: format!(
            "One cell, in which {} of {} runs passed. Of each metric the median, and where 90 % of the runs are.",
            cell.passed, cell.runs
        ),
        facts: Drawn::all(digest).into_iter().map(fact).collect(),
    }
}

fn lines(digest: &Digest, x: &Dimension, others: &[Dimension], title: String) -> Lines {
    // The combinations of the other values, in the order of their first appearance.
    let cells = digest.cells.len();
    let others: Vec<&Dimension> = others.iter().collect();
    let (names, series_of) = distinct((0..cells).map(|cell| name_of(cell, &others)));
    let numbers = x.numbers.as_ref();
    let looks = looks(cells, &others, numbers.is_none());
    let panel = |drawn: Drawn| {
        let series = names.iter().take(SERIES_MAX).enumerate().map(|(place, name)| {
            let cells = digest.cells.iter().enumerate().filter(|(cell, _)| series_of[*cell] == place);
            let points = cells.filter_map(|(number, cell)| {
                let spread = drawn.spread(cell)?;
                let place = x.places[number];
                let x = numbers.map_or(place as f64, |numbers| numbers[place]);
                Some(Point { x, low: spread.low, median: spread.median, high: spread.high })
            });
            let mut points: Vec<Point> = points.collect();
            points.sort_by(|one, other| one.x.total_cmp(&other.x));
            let first = series_of.iter().position(|series| *series == place);
            Series { name: name.clone(), look: first.map_or(Look::nth(0), |cell| looks[cell]), points }
        });
        Panel { title: drawn.title(digest), unit: drawn.unit(digest), series: series.collect() }
    };
    let label = x.name.clone();
    Lines {
        title,
        subtitle: subtitle(digest, names.len()),
        x: match numbers {
            Some(_) => XAxis::Numbers { label },
            None => XAxis::Names { label, names: x.labels.clone() },
        },
        panels: Drawn::all(digest).into_iter().map(panel).collect(),
    }
}

fn heat_maps(digest: &Digest, x: &Dimension, y: &Dimension, title: String) -> HeatMaps {
    let panel = |drawn: Drawn| {
        let mut values = vec![vec![None; x.labels.len()]; y.labels.len()];
        for (number, cell) in digest.cells.iter().enumerate() {
            values[y.places[number]][x.places[number]] = drawn.spread(cell).map(|spread| spread.median);
        }
        // The first value is the lowest one, as on an axis.
        values.reverse();
        HeatPanel { title: drawn.title(digest), unit: drawn.unit(digest), values }
    };
    HeatMaps {
        title,
        subtitle: format!("Median; {}", subtitle(digest, 1)),
        x_label: x.name.clone(),
        y_label: y.name.clone(),
        columns: x.labels.clone(),
        rows: y.labels.iter().rev().cloned().collect(),
        panels: Drawn::all(digest).into_iter().map(panel).collect(),
    }
}

#[cfg(test)]
mod tests;
