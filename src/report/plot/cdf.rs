//! Distributions of latencies.

use super::Unit;
use super::axis::{Axis, Kind, is_shown};
use super::color;
use super::frame::{Entry, Frame, LINE, MARGIN, Symbol, apart, header, labels_width};
use super::lines::mark_along;
use super::scene::{At, Scene, WIDTH};

/// The height of the plot.
const HEIGHT: f64 = 360.0;
/// Room for half of the last label.
const RIGHT: f64 = 16.0;

/// Which part of the answers came within which time, on a logarithmic axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Cdf {
    /// What the picture shows.
    pub title: String,
    /// More about it, in smaller letters.
    pub subtitle: String,
    /// What is compared.
    pub series: Vec<CdfSeries>,
}

/// One line of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct CdfSeries {
    /// Its name in the legend.
    pub name: String,
    /// Latencies in seconds, and which part of the answers came until then, from 0 to 1. In any order.
    pub steps: Vec<(f64, f64)>,
}

impl CdfSeries {
    fn shown(&self) -> Vec<(f64, f64)> {
        let is_step = |(latency, fraction): &(f64, f64)| is_shown(*latency) && is_shown(*fraction);
        let mut steps: Vec<(f64, f64)> = self.steps.iter().copied().filter(is_step).collect();
        steps.sort_by(|one, two| one.0.total_cmp(&two.0).then(one.1.total_cmp(&two.1)));
        steps
    }
}

impl Cdf {
    pub(super) fn scene(&self) -> Scene {
        let mut scene = Scene::new();
        // A single curve without a name needs no legend.
        let named = self.series.iter().enumerate().filter(|(_, series)| !series.name.is_empty());
        let legend: Vec<Entry> = named.map(entry).collect();
        let top = header(&mut scene, &self.title, &self.subtitle, &legend) + 10.0;
        let latencies = self.series.iter().flat_map(CdfSeries::shown).map(|(latency, _)| latency);
        let y = Axis::fractions();
        let left = MARGIN + LINE + 2.0 + labels_width(&y);
        let right = WIDTH - MARGIN - RIGHT;
        let x = apart(Axis::new(Unit::Seconds, Kind::Log, latencies, 12), right - left);
        let frame = Frame { left, top, right, bottom: top + HEIGHT, x, y };
        frame.draw_y(&mut scene, "fraction of answers", MARGIN);
        frame.draw_x(&mut scene);
        frame.x_title(&mut scene, "latency", LINE + 4.0);
        frame.draw_edges(&mut scene);
        for (n, series) in self.series.iter().enumerate() {
            draw(&mut scene, &frame, n, &series.shown());
        }
        if self.series.iter().all(|series| series.shown().is_empty()) {
            frame.say_empty(&mut scene);
        }
        scene.height = (frame.bottom + 2.0 * LINE + MARGIN).ceil();
        scene
    }
}

fn entry((n, series): (usize, &CdfSeries)) -> Entry {
    Entry { symbol: Symbol::Series(n), name: series.name.clone() }
}

/// A line that goes right and then up at each step. Steps of less than a pixel become one.
fn draw(scene: &mut Scene, frame: &Frame, n: usize, steps: &[(f64, f64)]) {
    let Some(&(first, _)) = steps.first() else { return };
    let mut points: Vec<At> = vec![frame.at(first, 0.0)];
    let mut corners: Vec<At> = Vec::new();
    for &(latency, fraction) in steps {
        let (x, y) = frame.at(latency, fraction);
        let below = points[points.len() - 1];
        points.push((x, below.1));
        points.push((x, y));
        corners.push((x, y));
    }
    points.push((frame.right, points[points.len() - 1].1));
    scene.line(thinned(points), 2.0, color::of_series(n));
    mark_along(scene, n, &corners);
}

/// Without points that are next to the one before.
fn thinned(points: Vec<At>) -> Vec<At> {
    let mut kept: Vec<At> = Vec::new();
    let last = points.len() - 1;
    for (i, point) in points.into_iter().enumerate() {
        let is_near = |kept: &At| (kept.0 - point.0).abs() < 0.5 && (kept.1 - point.1).abs() < 0.5;
        if i == last || !kept.last().is_some_and(is_near) {
            kept.push(point);
        }
    }
    kept
}
