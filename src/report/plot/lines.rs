//! Small multiples: one panel for each metric, all over the same swept value.

use super::Unit;
use super::axis::{Axis, Kind, Tick, is_shown};
use super::color;
use super::frame::{Entry, Frame, LINE, MARGIN, Names, PANEL_TITLE, Symbol, apart, header, labels_width};
use super::number;
use super::scene::{At, PALE, Scene, WIDTH};

/// The space between two columns of panels.
const GAP: f64 = 20.0;
/// The height of a panel's plot.
const HEIGHT: f64 = 170.0;
/// The same if there is one column.
const HEIGHT_WIDE: f64 = 240.0;
/// If there are more dots side by side than this, they need the whole width.
const DOTS_MAX: usize = 36;
/// So many swept values are all marked, if their labels fit.
const MARKED_MAX: usize = 12;
/// If points are nearer to each other than this, only some of them are marked.
const MARK_DISTANCE: f64 = 12.0;
/// Those are about so far apart.
const MARKS_APART: f64 = 60.0;
/// The radius of a mark.
const MARK: f64 = 3.5;
/// Room on the right for half of the last label.
const RIGHT: f64 = 8.0;
const TICKS: usize = 4;

/// Small multiples: one panel for each metric, all over the same swept value.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// What the picture shows.
    pub title: String,
    /// More about it, in smaller letters.
    pub subtitle: String,
    /// What is swept.
    pub x: XAxis,
    /// One for each metric. All have the same series in the same order, so that one legend serves them all.
    pub panels: Vec<Panel>,
}

/// What is swept.
#[derive(Clone, Debug, PartialEq)]
pub enum XAxis {
    /// A number. Medians are joined by a line.
    Numbers {
        /// What it is, with its unit.
        label: String,
    },
    /// Things with names. Each has a dot and an interval for each series.
    Names {
        /// What they are.
        label: String,
        /// Their names, from left to right.
        names: Vec<String>,
    },
}

/// A metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What it is.
    pub title: String,
    /// What it counts or measures.
    pub unit: Unit,
    /// The same ones in the same order as in all other panels.
    pub series: Vec<Series>,
}

/// One line of each panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// In any order.
    pub points: Vec<Point>,
}

/// What many runs with one swept value gave. A point with a number that is not finite is left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The swept number, or the place among the names, from 0.
    pub x: f64,
    /// 5 % of the runs are below.
    pub low: f64,
    /// Half of the runs are below.
    pub median: f64,
    /// 95 % of the runs are below.
    pub high: f64,
}

impl Point {
    fn is_shown(&self) -> bool {
        [self.x, self.low, self.median, self.high].into_iter().all(is_shown)
    }
}

impl Panel {
    /// Its points that can be shown, series by series, in the order of the swept value.
    fn shown(&self) -> Vec<Vec<Point>> {
        let shown = |series: &Series| {
            let mut points: Vec<Point> = series.points.iter().copied().filter(Point::is_shown).collect();
            points.sort_by(|one, two| one.x.total_cmp(&two.x));
            points
        };
        self.series.iter().map(shown).collect()
    }

    fn y(&self, ticks: usize) -> Axis {
        let values = self.shown().into_iter().flatten().flat_map(|point| [point.low, point.median, point.high]);
        Axis::new(self.unit, Kind::Amount, values, ticks)
    }

    /// Where the title of the vertical axis ends.
    fn title_width(&self) -> f64 {
        if self.unit.title().is_empty() { 0.0 } else { LINE + 2.0 }
    }
}

/// How the panels stand.
struct Grid {
    columns: usize,
    /// The width of a column.
    width: f64,
    height: f64,
    ticks: usize,
    /// What each column needs on its left for titles and labels.
    left: Vec<f64>,
}

impl Grid {
    fn new(lines: &Lines) -> Grid {
        let dots = match &lines.x {
            XAxis::Numbers { .. } => 0,
            XAxis::Names { names, .. } => names.len() * lines.panels.first().map_or(1, |panel| panel.series.len()),
        };
        let columns = if lines.panels.len() < 2 || dots > DOTS_MAX { 1 } else { 2 };
        let width = (WIDTH - 2.0 * MARGIN - GAP * (columns - 1) as f64) / columns as f64;
        let (height, ticks) = if columns == 1 { (HEIGHT_WIDE, TICKS + 1) } else { (HEIGHT, TICKS) };
        let mut left = vec![0.0_f64; columns];
        for (i, panel) in lines.panels.iter().enumerate() {
            let needed = panel.title_width() + labels_width(&panel.y(ticks));
            left[i % columns] = left[i % columns].max(needed);
        }
        Grid { columns, width, height, ticks, left }
    }

    /// The narrowest plot.
    fn length(&self) -> f64 {
        self.width - RIGHT - self.left.iter().copied().fold(0.0, f64::max)
    }
}

impl Lines {
    pub(super) fn scene(&self) -> Scene {
        let mut scene = Scene::new();
        let mut top = header(&mut scene, &self.title, &self.subtitle, &self.legend()) + 6.0;
        let grid = Grid::new(self);
        let (x, names) = self.x_axis(grid.length());
        let labels = names.as_ref().map_or(LINE, |names| names.height);
        for (i, panel) in self.panels.iter().enumerate() {
            let (row, column) = (i / grid.columns, i % grid.columns);
            let left = MARGIN + column as f64 * (grid.width + GAP);
            let y = top + row as f64 * (PANEL_TITLE + grid.height + labels + GAP);
            let frame = Frame {
                left: left + grid.left[column],
                top: y + PANEL_TITLE,
                right: left + grid.width - RIGHT,
                bottom: y + PANEL_TITLE + grid.height,
                x: x.clone(),
                y: panel.y(grid.ticks),
            };
            draw_panel(&mut scene, panel, &frame, left, names.as_ref());
            if i + grid.columns >= self.panels.len() {
                frame.x_title(&mut scene, self.x_label(), labels + 4.0);
            }
        }
        top += self.panels.len().div_ceil(grid.columns) as f64 * (PANEL_TITLE + grid.height + labels + GAP);
        scene.height = (top + MARGIN).ceil();
        scene
    }

    fn x_label(&self) -> &str {
        let (XAxis::Numbers { label } | XAxis::Names { label, .. }) = &self.x;
        label
    }

    fn legend(&self) -> Vec<Entry> {
        let series = self.panels.first().map_or(&[][..], |panel| &panel.series);
        let numbers = matches!(self.x, XAxis::Numbers { .. });
        let symbol = |n| if numbers { Symbol::Series(n) } else { Symbol::Dot(n) };
        let named = series.iter().enumerate().map(|(n, series)| Entry { symbol: symbol(n), name: series.name.clone() });
        let mut legend: Vec<Entry> = named.collect();
        if series.is_empty() {
            return legend;
        }
        let interval = if numbers {
            "line: median; band: 5 % to 95 % of the runs"
        } else {
            "dot: median; bar: 5 % to 95 % of the runs"
        };
        legend.push(Entry { symbol: Symbol::None, name: interval.to_owned() });
        legend
    }

    /// The horizontal axis if it is so long, and the names below it if it has names.
    fn x_axis(&self, length: f64) -> (Axis, Option<Names>) {
        let swept = || self.panels.iter().flat_map(Panel::shown).flatten().map(|point| point.x);
        match &self.x {
            XAxis::Names { names, .. } => {
                (Axis::slots(names), Some(Names::new(names, length / names.len().max(1) as f64)))
            }
            XAxis::Numbers { .. } => {
                let axis = Axis::new(Unit::Plain, Kind::Place, swept(), 5);
                let mut values: Vec<f64> = swept().collect();
                values.sort_by(f64::total_cmp);
                values.dedup();
                let marked = (1..=MARKED_MAX).contains(&values.len()).then(|| {
                    let tick = |value| Tick { value, label: number::short(Unit::Plain, value) };
                    axis.clone().with_ticks(values.into_iter().map(tick).collect())
                });
                let all_fit = |marked: &Axis| apart(marked.clone(), length).ticks.len() == marked.ticks.len();
                (marked.filter(all_fit).unwrap_or_else(|| apart(axis, length)), None)
            }
        }
    }
}

fn draw_panel(scene: &mut Scene, panel: &Panel, frame: &Frame, left: f64, names: Option<&Names>) {
    frame.title(scene, &panel.title, left);
    frame.draw_y(scene, panel.unit.title(), left);
    match names {
        None => frame.draw_x(scene),
        Some(names) => {
            frame.draw_names(scene, names);
            draw_borders(scene, frame);
        }
    }
    frame.draw_edges(scene);
    let shown = panel.shown();
    match names {
        None => draw_lines(scene, frame, &shown),
        Some(_) => draw_dots(scene, frame, &shown),
    }
    if shown.iter().all(Vec::is_empty) {
        frame.say_empty(scene);
    }
}

/// Bands first, then lines, so that no band hides a line.
fn draw_lines(scene: &mut Scene, frame: &Frame, series: &[Vec<Point>]) {
    let alpha = if series.len() > 4 { 0.10 } else { 0.18 };
    for (n, points) in series.iter().enumerate() {
        let ink = color::of_series(n);
        if let [point] = points[..] {
            let (low, high) = (frame.at(point.x, point.low), frame.at(point.x, point.high));
            scene.line(vec![low, high], 2.0, ink.with_alpha(0.5));
        } else if points.iter().any(|point| point.low < point.high) {
            let lows = points.iter().map(|point| frame.at(point.x, point.low));
            let highs = points.iter().rev().map(|point| frame.at(point.x, point.high));
            scene.area(lows.chain(highs).collect(), ink.with_alpha(alpha));
        }
    }
    for (n, points) in series.iter().enumerate() {
        let medians: Vec<At> = points.iter().map(|point| frame.at(point.x, point.median)).collect();
        scene.line(medians.clone(), 2.0, color::of_series(n));
        let crowded = medians.windows(2).any(|pair| pair[1].0 - pair[0].0 < MARK_DISTANCE);
        if crowded {
            mark_along(scene, n, &medians);
        } else {
            medians.into_iter().for_each(|at| color::mark(scene, n, at, MARK));
        }
    }
}

/// Marks some points of a line, about [`MARKS_APART`] from each other. Each series begins elsewhere, so that the marks
/// of lines that lie on each other do not hide each other.
pub(super) fn mark_along(scene: &mut Scene, n: usize, points: &[At]) {
    let mut way = (n % 5 + 1) as f64 * MARKS_APART / 5.0;
    let mut last = None;
    for &(x, y) in points {
        let (x_before, y_before) = last.replace((x, y)).unwrap_or((x, y));
        way += (x - x_before).abs() + (y - y_before).abs();
        if way >= MARKS_APART || points.len() == 1 {
            color::mark(scene, n, (x, y), MARK);
            way = 0.0;
        }
    }
}

/// The width of a name's place.
fn slot(frame: &Frame) -> f64 {
    (frame.right - frame.left) / frame.x.ticks.len().max(1) as f64
}

/// Lines between the places of names.
fn draw_borders(scene: &mut Scene, frame: &Frame) {
    for i in 1..frame.x.ticks.len() {
        let x = frame.left + i as f64 * slot(frame);
        scene.line(vec![(x, frame.top), (x, frame.bottom)], 1.0, PALE);
    }
}

/// A dot and an interval for each name and series, side by side.
fn draw_dots(scene: &mut Scene, frame: &Frame, series: &[Vec<Point>]) {
    let (slot, slots) = (slot(frame), frame.x.ticks.len());
    let step = (0.8 * slot / series.len().max(1) as f64).min(14.0);
    for (n, points) in series.iter().enumerate() {
        let shift = (n as f64 - (series.len() - 1) as f64 / 2.0) * step;
        for point in points.iter().filter(|point| point.x >= 0.0 && point.x < slots as f64) {
            let at = |value| (frame.x_at(point.x.round()) + shift, frame.y_at(value));
            scene.line(
                vec![at(point.low), at(point.high)],
                (0.4 * step).clamp(1.0, 4.0),
                color::of_series(n).with_alpha(0.45),
            );
            color::mark(scene, n, at(point.median), (0.4 * step).clamp(2.0, 3.5));
        }
    }
}
