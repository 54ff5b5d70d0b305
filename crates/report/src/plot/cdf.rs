//! Distributions of latencies.

use super::Unit;
use super::axis::{Axis, Kind, is_shown};
use super::color::Look;
use super::frame::{Entry, Frame, LINE, MARGIN, PANEL_TITLE, Symbol, apart, header, labels_width};
use super::lines::mark_along;
use super::scene::{At, Scene, WIDTH};

/// The height of a plot, if panels are in one column, in two or in three.
const HEIGHTS: [f64; 3] = [360.0, 210.0, 150.0];
/// Up to this many panels are in two columns.
const TWO_COLUMNS_MAX: usize = 4;
/// The space between two columns of panels, and between two rows.
const GAP: f64 = 20.0;
/// Room for half of the last label.
const RIGHT: f64 = 16.0;

/// The share of answers that came within a time, on a logarithmic axis. Panels have the same axes, so they can be
/// compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Cdf {
    /// The title of the picture.
    pub title: String,
    /// The subtitle, in smaller letters.
    pub subtitle: String,
    /// Small multiples, or one panel.
    pub panels: Vec<CdfPanel>,
}

/// Some lines in their own frame.
#[derive(Clone, Debug, PartialEq)]
pub struct CdfPanel {
    /// The common values of its lines; empty if it is the only panel.
    pub title: String,
    /// The compared lines. Lines of the same name look the same in all panels, so that one legend serves them all.
    pub series: Vec<CdfSeries>,
}

/// One line of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct CdfSeries {
    /// Its name in the legend; empty if it needs none.
    pub name: String,
    /// Its colour, shape and dashes.
    pub look: Look,
    /// Latencies in seconds, each with the share of answers that came within it, from 0 to 1. In any order.
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
        let top = header(&mut scene, &self.title, &self.subtitle, &self.legend()) + 10.0;
        let columns = match self.panels.len() {
            0 | 1 => 1,
            2..=TWO_COLUMNS_MAX => 2,
            _ => 3,
        };
        let (height, y) = (HEIGHTS[columns - 1], Axis::fractions());
        let width = (WIDTH - 2.0 * MARGIN - GAP * (columns - 1) as f64) / columns as f64;
        let before = LINE + 2.0 + labels_width(&y);
        let x = apart(Axis::new(Unit::Seconds, Kind::Log, self.latencies(), 12), width - before - RIGHT);
        let title = if self.panels.iter().all(|panel| panel.title.is_empty()) { 0.0 } else { PANEL_TITLE };
        let row_height = title + height + 2.0 * LINE + GAP;
        for (i, panel) in self.panels.iter().enumerate() {
            let left = MARGIN + (i % columns) as f64 * (width + GAP);
            let top = top + (i / columns) as f64 * row_height + title;
            let (right, bottom) = (left + width - RIGHT, top + height);
            let frame = Frame { left: left + before, top, right, bottom, x: x.clone(), y: y.clone() };
            panel.draw(&mut scene, &frame, left);
        }
        scene.height = (top + self.panels.len().div_ceil(columns) as f64 * row_height - GAP + MARGIN).ceil();
        scene
    }

    fn latencies(&self) -> impl Iterator<Item = f64> {
        let series = self.panels.iter().flat_map(|panel| &panel.series);
        series.flat_map(CdfSeries::shown).map(|(latency, _)| latency)
    }

    /// The lines that have names, each once.
    fn legend(&self) -> Vec<Entry> {
        let mut named: Vec<&CdfSeries> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series).filter(|series| !series.name.is_empty()) {
            if !named.iter().any(|other| other.name == series.name && other.look == series.look) {
                named.push(series);
            }
        }
        let entry = |series: &CdfSeries| Entry { symbol: Symbol::Series(series.look), name: series.name.clone() };
        named.into_iter().map(entry).collect()
    }
}

impl CdfPanel {
    fn draw(&self, scene: &mut Scene, frame: &Frame, left: f64) {
        frame.title(scene, &self.title, left);
        frame.draw_y(scene, "share of answers", left);
        frame.draw_x(scene);
        frame.x_title(scene, "latency", LINE + 4.0);
        frame.draw_edges(scene);
        for (n, series) in self.series.iter().enumerate() {
            draw(scene, frame, n, series.look, &series.shown());
        }
        if self.series.iter().all(|series| series.shown().is_empty()) {
            frame.say_empty(scene);
        }
    }
}

/// A line that goes right and then up at each step. Steps of less than a pixel become one.
fn draw(scene: &mut Scene, frame: &Frame, n: usize, look: Look, steps: &[(f64, f64)]) {
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
    scene.dashed(thinned(points), look.dashes(), 2.0, look.ink());
    mark_along(scene, look, n, &corners);
}

/// Without points that are right next to the previous one.
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
