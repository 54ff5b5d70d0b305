//! Metrics over two swept values.

use super::Unit;
use super::axis::{Axis, Kind, is_shown};
use super::color;
use super::font::{self, clean};
use super::frame::{Entry, Frame, LINE, MARGIN, Names, PANEL_TITLE, Symbol, TO_BASELINE, header, labels_width};
use super::number;
use super::scene::{Anchor, BLACK, GREY, Ink, SMALL, Scene, WHITE, WIDTH};

/// The space between two columns of panels, and between two rows.
const GAP: f64 = 24.0;
/// The free space beside the number of a tile.
const NUMBER_GAP: f64 = 6.0;
/// The height of a tile if there are few rows.
const TILE_MAX: f64 = 34.0;
/// The height of a tile if there are many rows.
const TILE_MIN: f64 = 17.0;
/// The approximate height of all tiles together.
const HEIGHT: f64 = 230.0;
/// The width of the colour bar.
const BAR: f64 = 10.0;
/// The largest width of names of rows.
const ROW_MAX: f64 = 110.0;
/// Written below the colour bar if it is logarithmic.
const LOG: &str = "log scale";
/// A tile without a value.
const EMPTY: Ink = Ink::new(0xEE_EE_EE);

/// Small multiples: one map for each metric, all over the same two swept values.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMaps {
    /// The title of the picture.
    pub title: String,
    /// The subtitle, in smaller letters.
    pub subtitle: String,
    /// The label of the columns.
    pub x_label: String,
    /// The label of the rows.
    pub y_label: String,
    /// From left to right.
    pub columns: Vec<String>,
    /// From top to bottom.
    pub rows: Vec<String>,
    /// One for each metric.
    pub panels: Vec<HeatPanel>,
}

/// A metric.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatPanel {
    /// Its name.
    pub title: String,
    /// Its unit.
    pub unit: Unit,
    /// Rows of values, one for each column. A missing value, or one that is not finite, is shown as no value.
    pub values: Vec<Vec<Option<f64>>>,
}

impl HeatPanel {
    fn value(&self, row: usize, column: usize) -> Option<f64> {
        let value = *self.values.get(row)?.get(column)?;
        value.filter(|value| is_shown(*value))
    }

    fn number(&self, row: usize, column: usize) -> Option<String> {
        self.value(row, column).map(|value| number::short(self.unit, value))
    }

    /// The width of its longest number.
    fn longest(&self, maps: &HeatMaps) -> f64 {
        let numbers = maps.places().filter_map(|(row, column)| self.number(row, column));
        numbers.map(|text| font::width(&text, SMALL)).fold(0.0, f64::max)
    }

    /// Whether all its numbers fit in their tiles.
    fn has_room(&self, maps: &HeatMaps, grid: &Grid) -> bool {
        self.longest(maps) + NUMBER_GAP <= grid.tile_width(maps)
    }

    /// Its name and, if its tiles show no numbers, the range of its values.
    fn title(&self, with_numbers: bool) -> String {
        let values = self.values.iter().flatten().flatten().copied().filter(|value| is_shown(*value));
        let ends = values.fold(None, |ends: Option<(f64, f64)>, value| {
            let (low, high) = ends.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        });
        let range = ends.filter(|_| !with_numbers).map_or(String::new(), |(low, high)| {
            format!(", {} to {}", number::short(self.unit, low), number::short(self.unit, high))
        });
        format!("{}{range}", self.title)
    }

    /// From dark to bright.
    fn scale(&self) -> Axis {
        let values = self.values.iter().flatten().flatten().copied();
        Axis::new(self.unit, Kind::Color, values, 4)
    }
}

/// The arrangement of the panels.
struct Grid {
    columns: usize,
    width: f64,
    tile: f64,
    rows: Vec<String>,
    /// The space needed on the left of the tiles, and on the right.
    left: f64,
    right: f64,
}

impl Grid {
    /// Two columns if all numbers then fit in their tiles. Two columns, too, if they would not fit in one column
    /// either, because tiles without numbers can be small.
    fn new(maps: &HeatMaps) -> Grid {
        let (one, two) = (Grid::with_columns(maps, 1, TILE_MAX), Grid::with_columns(maps, 2, TILE_MAX));
        let longest = maps.panels.iter().map(|panel| panel.longest(maps)).fold(0.0, f64::max);
        let fits = |grid: &Grid| longest + NUMBER_GAP <= grid.tile_width(maps);
        match maps.panels.len() {
            2.. if fits(&two) => two,
            2.. if !fits(&one) => Grid::with_columns(maps, 2, TILE_MIN),
            _ => one,
        }
    }

    fn with_columns(maps: &HeatMaps, columns: usize, tile_max: f64) -> Grid {
        let rows: Vec<String> = maps.rows.iter().map(|name| font::fit(&clean(name), SMALL, ROW_MAX)).collect();
        let names = rows.iter().map(|name| font::width(name, SMALL)).fold(0.0, f64::max);
        let title = if maps.y_label.is_empty() { 0.0 } else { LINE + 2.0 };
        // High enough for the label of the rows, within reason.
        let needed = (font::width(&clean(&maps.y_label), SMALL) - LINE).min(HEIGHT) / rows.len().max(3) as f64;
        let labels = maps.panels.iter().map(|panel| labels_width(&panel.scale())).fold(0.0, f64::max);
        Grid {
            columns,
            width: (WIDTH - 2.0 * MARGIN - GAP * (columns - 1) as f64) / columns as f64,
            tile: (HEIGHT / rows.len().max(1) as f64).clamp(TILE_MIN, tile_max).max(needed.ceil()),
            left: title + names + 6.0,
            right: 10.0 + (BAR + labels).max(font::width(LOG, SMALL)),
            rows,
        }
    }

    fn tile_width(&self, maps: &HeatMaps) -> f64 {
        (self.width - self.left - self.right) / maps.columns.len().max(1) as f64
    }

    fn height(&self) -> f64 {
        self.tile * self.rows.len().max(3) as f64
    }
}

impl HeatMaps {
    pub(super) fn scene(&self) -> Scene {
        let mut scene = Scene::new();
        let top = header(&mut scene, &self.title, &self.subtitle, &self.legend()) + 6.0;
        let grid = Grid::new(self);
        let names = Names::new(&self.columns, grid.tile_width(self));
        let row_height = PANEL_TITLE + grid.height() + names.height + LINE + GAP;
        for (i, panel) in self.panels.iter().enumerate() {
            let (row, column) = (i / grid.columns, i % grid.columns);
            let left = MARGIN + column as f64 * (grid.width + GAP);
            let top = top + row as f64 * row_height + PANEL_TITLE;
            let frame = Frame {
                left: left + grid.left,
                top,
                right: left + grid.width - grid.right,
                bottom: top + grid.height(),
                x: Axis::slots(&self.columns),
                y: panel.scale(),
            };
            let title = panel.title(panel.has_room(self, &grid));
            frame.title_until(&mut scene, &title, (left, left + grid.width));
            self.draw_rows(&mut scene, &frame, &grid, left);
            frame.draw_names(&mut scene, &names);
            frame.x_title(&mut scene, &self.x_label, names.height + 4.0);
            self.draw_tiles(&mut scene, &frame, &grid, panel);
            if !frame.y.ticks.is_empty() {
                draw_bar(&mut scene, &frame);
            }
        }
        scene.height = (top + self.panels.len().div_ceil(grid.columns) as f64 * row_height - GAP / 2.0).ceil() + MARGIN;
        scene
    }

    /// All tiles: row and column.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let columns = self.columns.len();
        (0..self.rows.len()).flat_map(move |row| (0..columns).map(move |column| (row, column)))
    }

    /// The meaning of a grey tile, if there is one.
    fn legend(&self) -> Vec<Entry> {
        let is_empty = |panel: &HeatPanel| self.places().any(|(row, column)| panel.value(row, column).is_none());
        if self.panels.iter().any(is_empty) {
            vec![Entry { symbol: Symbol::Band(EMPTY), name: "no value".to_owned() }]
        } else {
            Vec::new()
        }
    }

    fn draw_rows(&self, scene: &mut Scene, frame: &Frame, grid: &Grid, left: f64) {
        for (i, name) in grid.rows.iter().enumerate() {
            let middle = frame.top + (i as f64 + 0.5) * grid.tile;
            scene.label((frame.left - 6.0, middle + TO_BASELINE), Anchor::End, name);
        }
        // There is room for a little more above and below.
        let title = font::fit(&clean(&self.y_label), SMALL, frame.bottom - frame.top + LINE);
        scene.label_upwards((left + SMALL, (frame.top + frame.bottom) / 2.0), Anchor::Middle, &title);
    }

    /// Draws each tile, and its number if all numbers of the panel fit.
    fn draw_tiles(&self, scene: &mut Scene, frame: &Frame, grid: &Grid, panel: &HeatPanel) {
        let wide = grid.tile_width(self);
        let has_room = panel.has_room(self, grid);
        for (row, column) in self.places() {
            let from = (frame.left + column as f64 * wide, frame.top + row as f64 * grid.tile);
            let ink = panel.value(row, column).map_or(EMPTY, |value| color::of_place(frame.y.place(value)));
            scene.fill(from, (from.0 + wide - 1.0, from.1 + grid.tile - 1.0), ink);
            if let Some(text) = panel.number(row, column).filter(|_| has_room) {
                let middle = (from.0 + wide / 2.0 - 0.5, from.1 + grid.tile / 2.0 - 0.5 + TO_BASELINE);
                let letters = if color::is_dark(ink) { WHITE } else { BLACK };
                scene.text(middle, Anchor::Middle, SMALL, letters, &text);
            }
        }
    }
}

/// Draws the colours from the smallest value to the largest, on the right of a panel.
fn draw_bar(scene: &mut Scene, frame: &Frame) {
    const STEPS: usize = 64;
    let (left, high) = (frame.right + 10.0, (frame.bottom - frame.top) / STEPS as f64);
    for step in 0..STEPS {
        let ink = color::of_place((step as f64 + 0.5) / STEPS as f64);
        let bottom = frame.bottom - step as f64 * high;
        // Each covers a little of the next one, so that there are no seams.
        let top = if step + 1 == STEPS { frame.top } else { bottom - high - 0.5 };
        scene.fill((left, top), (left + BAR, bottom), ink);
    }
    if frame.y.is_log() {
        scene.label((left, frame.bottom + SMALL + 5.0), Anchor::Start, LOG);
    }
    let mut below = f64::INFINITY;
    for tick in &frame.y.ticks {
        let y = frame.y_at(tick.value);
        // A low map has no room for every label.
        if y > below - SMALL - 2.0 {
            continue;
        }
        below = y;
        scene.line(vec![(left + BAR, y), (left + BAR + 3.0, y)], 1.0, GREY);
        scene.label((left + BAR + 6.0, y + TO_BASELINE), Anchor::Start, &tick.label);
    }
}
