//! Small multiples: one panel for each metric, all over the same swept value.

use super::Unit;
use super::axis::{Axis, Kind, Tick, is_shown};
use super::color::Look;
use super::frame::{Entry, Frame, LINE, MARGIN, Names, PANEL_TITLE, Symbol, apart, header, labels_width, marked};
use super::number;
use super::scene::{At, PALE, Scene, WIDTH};

/// The space between two columns of panels.
const GAP: f64 = 20.0;
/// The height of a panel's plot.
const HEIGHT: f64 = 170.0;
/// The same if there is one column.
const HEIGHT_WIDE: f64 = 240.0;
/// If more dots than this are side by side, they need the whole width.
const DOTS_MAX: usize = 36;
/// Up to this many swept values are all marked on their axis.
const MARKED_MAX: usize = 30;
/// If points are nearer to each other than this, only some of them are marked.
const MARK_DISTANCE: f64 = 12.0;
/// Series are side by side, at most this far apart, so that their intervals do not hide each other.
const SHIFT_MAX: f64 = 6.0;
/// Series are at least this far apart; if that is impossible, bands replace intervals.
const SHIFT_MIN: f64 = 2.5;
/// Side by side they take at most this part of the distance between two swept values.
const SHIFTED: f64 = 0.6;
/// Half of the width of the short lines at the ends of an interval.
const CAP: f64 = 2.5;
/// The approximate distance between marks on a line.
const MARKS_APART: f64 = 60.0;
/// The radius of a mark.
const MARK: f64 = 3.5;
/// Room on the right for half of the last label.
const RIGHT: f64 = 8.0;
const TICKS: usize = 4;

/// Small multiples: one panel for each metric, all over the same swept value.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// The title of the picture.
    pub title: String,
    /// The subtitle, in smaller letters.
    pub subtitle: String,
    /// The swept value.
    pub x: XAxis,
    /// One for each metric. All have the same series in the same order, so that one legend serves them all.
    pub panels: Vec<Panel>,
}

/// The swept value.
#[derive(Clone, Debug, PartialEq)]
pub enum XAxis {
    /// A number. Medians are joined by a line, and each has its interval; if values are close to each other, the
    /// intervals form one band.
    Numbers {
        /// Its name, with its unit.
        label: String,
    },
    /// Things with names. Each has a dot and an interval for each series.
    Names {
        /// The kind of things.
        label: String,
        /// Their names, from left to right.
        names: Vec<String>,
    },
}

/// A metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Its name.
    pub title: String,
    /// Its unit.
    pub unit: Unit,
    /// The same ones in the same order as in all other panels.
    pub series: Vec<Series>,
}

/// One line of each panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its colour, shape and dashes.
    pub look: Look,
    /// In any order.
    pub points: Vec<Point>,
}

/// The results of many runs with one swept value. A point with a number that is not finite is left out.
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
    /// Its visible points, series by series, in the order of the swept value.
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

/// The arrangement of the panels.
struct Grid {
    columns: usize,
    /// The width of a column.
    width: f64,
    height: f64,
    ticks: usize,
    /// The space that each column needs on its left for titles and labels.
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
        let grid = Grid::new(self);
        let (x, place) = self.x_axis(grid.length());
        let mut top = header(&mut scene, &self.title, &self.subtitle, &self.legend(&place)) + 6.0;
        let labels = if let Place::Names(names) = &place { names.height } else { LINE };
        let row_height = PANEL_TITLE + grid.height + labels + LINE + GAP;
        for (i, panel) in self.panels.iter().enumerate() {
            let (row, column) = (i / grid.columns, i % grid.columns);
            let left = MARGIN + column as f64 * (grid.width + GAP);
            let y = top + row as f64 * row_height;
            let frame = Frame {
                left: left + grid.left[column],
                top: y + PANEL_TITLE,
                right: left + grid.width - RIGHT,
                bottom: y + PANEL_TITLE + grid.height,
                x: x.clone(),
                y: panel.y(grid.ticks),
            };
            draw_panel(&mut scene, panel, &frame, left, &place);
            frame.x_title(&mut scene, self.x_label(), labels + 4.0);
        }
        top += self.panels.len().div_ceil(grid.columns) as f64 * row_height;
        scene.height = (top + MARGIN - GAP / 2.0).ceil();
        scene
    }

    fn x_label(&self) -> &str {
        let (XAxis::Numbers { label } | XAxis::Names { label, .. }) = &self.x;
        label
    }

    fn series(&self) -> &[Series] {
        self.panels.first().map_or(&[][..], |panel| &panel.series)
    }

    fn legend(&self, place: &Place) -> Vec<Entry> {
        let is_line = !matches!(place, Place::Names(_));
        let symbol = |look| if is_line { Symbol::Series(look) } else { Symbol::Dot(look) };
        let named = |series: &Series| Entry { symbol: symbol(series.look), name: series.name.clone() };
        let mut legend: Vec<Entry> = self.series().iter().map(named).collect();
        let interval = match place {
            Place::Names(_) => "dot: median; bar: 5 % to 95 % of the runs",
            Place::Bars { .. } => "line: median; bar: 5 % to 95 % of the runs",
            Place::Bands => "line: median; band: 5 % to 95 % of the runs",
        };
        if !legend.is_empty() {
            legend.push(Entry { symbol: Symbol::None, name: interval.to_owned() });
        }
        legend
    }

    /// The horizontal axis of this length, and how points are placed on it.
    fn x_axis(&self, length: f64) -> (Axis, Place) {
        match &self.x {
            XAxis::Names { names, .. } => {
                let shown = Names::new(names, length / names.len().max(1) as f64);
                (Axis::slots(names), Place::Names(shown))
            }
            XAxis::Numbers { .. } => self.x_of_numbers(length),
        }
    }

    fn x_of_numbers(&self, length: f64) -> (Axis, Place) {
        let mut values: Vec<f64> = self.panels.iter().flat_map(Panel::shown).flatten().map(|point| point.x).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let axis = Axis::new(Unit::Plain, Kind::Place, values.iter().copied(), 5);
        let count = self.series().len().max(1) as f64;
        // Outermost series keep their distance from the ends.
        let reach = |step: f64| (count - 1.0) / 2.0 * step + CAP + 1.0;
        let places = |axis: &Axis| values.iter().map(|value| axis.place(*value) * length).collect::<Vec<f64>>();
        let gap = |axis: &Axis| places(axis).windows(2).map(|pair| pair[1] - pair[0]).fold(length, f64::min);
        let step = |axis: &Axis| (SHIFTED * gap(axis) / count).min(SHIFT_MAX);
        let inset = axis.clone().with_inset((reach(step(&axis)) / length).min(0.25));
        let has_room = gap(&inset) >= MARK_DISTANCE && (count == 1.0 || step(&inset) >= SHIFT_MIN);
        let (axis, place) =
            if has_room { (inset.clone(), Place::Bars { step: step(&inset) }) } else { (axis, Place::Bands) };
        let tick = |value: &f64| Tick { value: *value, label: number::short(Unit::Plain, *value) };
        let ticks: Vec<Tick> = values.iter().map(tick).collect();
        let axis = if ticks.len() <= MARKED_MAX { marked(axis, &ticks, length) } else { apart(axis, length) };
        (axis, place)
    }
}

/// How points are placed on the horizontal axis.
enum Place {
    /// At names.
    Names(Names),
    /// At numbers, each point with an interval; series are shifted by this from one to the next.
    Bars { step: f64 },
    /// At numbers that are so close that intervals make a band.
    Bands,
}

fn draw_panel(scene: &mut Scene, panel: &Panel, frame: &Frame, left: f64, place: &Place) {
    frame.title(scene, &panel.title, left);
    frame.draw_y(scene, panel.unit.title(), left);
    if let Place::Names(names) = place {
        frame.draw_names(scene, names);
        draw_borders(scene, frame);
    } else {
        frame.draw_x(scene);
    }
    frame.draw_edges(scene);
    let shown = panel.shown();
    let series: Vec<(Look, &[Point])> =
        panel.series.iter().zip(&shown).map(|(series, points)| (series.look, points.as_slice())).collect();
    match place {
        Place::Names(_) => draw_dots(scene, frame, &series),
        Place::Bars { step } => draw_bars(scene, frame, &series, *step),
        Place::Bands => draw_bands(scene, frame, &series),
    }
    if shown.iter().all(Vec::is_empty) {
        frame.say_empty(scene);
    }
}

/// Draws a line through the medians of each series, and an interval at each of them.
fn draw_bars(scene: &mut Scene, frame: &Frame, series: &[(Look, &[Point])], step: f64) {
    for (n, (look, points)) in series.iter().enumerate() {
        let shift = (n as f64 - (series.len() - 1) as f64 / 2.0) * step;
        let at = |point: &Point, value| (frame.x_at(point.x) + shift, frame.y_at(value));
        for point in points.iter().filter(|point| point.low < point.high) {
            let (low, high) = (at(point, point.low), at(point, point.high));
            let ink = look.ink().with_alpha(0.6);
            scene.line(vec![low, high], 1.5, ink);
            for (x, y) in [low, high] {
                scene.line(vec![(x - CAP, y), (x + CAP, y)], 1.5, ink);
            }
        }
        let medians: Vec<At> = points.iter().map(|point| at(point, point.median)).collect();
        scene.dashed(medians.clone(), look.dashes(), 2.0, look.ink());
        medians.into_iter().for_each(|at| look.mark(scene, at, MARK));
    }
}

/// Bands first, then lines, so that no band hides a line.
fn draw_bands(scene: &mut Scene, frame: &Frame, series: &[(Look, &[Point])]) {
    let alpha = if series.len() > 4 { 0.10 } else { 0.18 };
    for (look, points) in series {
        if points.len() > 1 && points.iter().any(|point| point.low < point.high) {
            let lows = points.iter().map(|point| frame.at(point.x, point.low));
            let highs = points.iter().rev().map(|point| frame.at(point.x, point.high));
            scene.area(lows.chain(highs).collect(), look.ink().with_alpha(alpha));
        }
    }
    for (n, (look, points)) in series.iter().enumerate() {
        let medians: Vec<At> = points.iter().map(|point| frame.at(point.x, point.median)).collect();
        scene.dashed(medians.clone(), look.dashes(), 2.0, look.ink());
        mark_along(scene, *look, n, &medians);
    }
}

/// Marks some points of a line, about [`MARKS_APART`] from each other. Each series begins at another place, so that the
/// marks of coinciding lines do not hide each other.
pub(super) fn mark_along(scene: &mut Scene, look: Look, n: usize, points: &[At]) {
    let mut way = (n % 5 + 1) as f64 * MARKS_APART / 5.0;
    let mut last = None;
    for &(x, y) in points {
        let (x_before, y_before) = last.replace((x, y)).unwrap_or((x, y));
        way += (x - x_before).abs() + (y - y_before).abs();
        if way >= MARKS_APART || points.len() == 1 {
            look.mark(scene, (x, y), MARK);
            way = 0.0;
        }
    }
}

/// The width of a name's place.
fn slot(frame: &Frame) -> f64 {
    (frame.right - frame.left) / frame.x.ticks.len().max(1) as f64
}

/// Draws lines between the places of names.
fn draw_borders(scene: &mut Scene, frame: &Frame) {
    for i in 1..frame.x.ticks.len() {
        let x = frame.left + i as f64 * slot(frame);
        scene.line(vec![(x, frame.top), (x, frame.bottom)], 1.0, PALE);
    }
}

/// Draws a dot and an interval for each name and series, side by side.
fn draw_dots(scene: &mut Scene, frame: &Frame, series: &[(Look, &[Point])]) {
    let (slot, slots) = (slot(frame), frame.x.ticks.len());
    let step = (0.8 * slot / series.len().max(1) as f64).min(14.0);
    for (n, (look, points)) in series.iter().enumerate() {
        let shift = (n as f64 - (series.len() - 1) as f64 / 2.0) * step;
        for point in points.iter().filter(|point| point.x >= 0.0 && point.x < slots as f64) {
            let at = |value| (frame.x_at(point.x.round()) + shift, frame.y_at(value));
            let width = (0.4 * step).clamp(1.0, 4.0);
            scene.line(vec![at(point.low), at(point.high)], width, look.ink().with_alpha(0.45));
            look.mark(scene, at(point.median), (0.4 * step).clamp(2.0, 3.5));
        }
    }
}
