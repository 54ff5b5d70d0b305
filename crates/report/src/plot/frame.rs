//! The common parts of all pictures: title, legend, and the frame of a panel with its axes.

use super::axis::{Axis, Tick};
use super::color::{self, Look};
use super::font::{self, clean};
use super::scene::{Anchor, At, BLACK, GREY, Ink, PALE, RED, SMALL, Scene, WIDTH};

/// The empty margin around a picture, in pixels.
pub const MARGIN: f64 = 16.0;
/// From the middle of small letters to their baseline.
pub const TO_BASELINE: f64 = 0.36 * SMALL;
/// From one line of small letters to the next.
pub const LINE: f64 = 18.0;
/// The height of a panel's title.
pub const PANEL_TITLE: f64 = 30.0;
/// The free space between an axis and the labels of its ticks.
const TICK_GAP: f64 = 6.0;
/// The free space between two labels of a horizontal axis.
const LABEL_GAP: f64 = 10.0;
/// The same if each label is below its own line.
const MARKED_GAP: f64 = 7.0;
/// The largest width of names below an axis.
const NAME_MAX: f64 = 110.0;
/// The largest width of names in a legend.
const ENTRY_MAX: f64 = 330.0;
/// Room for a symbol of the legend.
const SYMBOL: f64 = 36.0;
/// The length of a line in the legend: enough to see its dashes on both sides of its mark.
const STROKE: f64 = 30.0;
const TITLE: f64 = 17.0;
const SUBTITLE: f64 = 13.0;
/// A verdict takes at most this many lines.
const VERDICT_LINES_MAX: usize = 3;
const PANEL: f64 = 14.0;

/// A line of the legend.
pub struct Entry {
    /// Its symbol.
    pub symbol: Symbol,
    /// Its meaning.
    pub name: String,
}

/// The look of something in a picture.
#[derive(Clone, Copy)]
pub enum Symbol {
    /// A line with its marks.
    Series(Look),
    /// Only the marks of a series.
    Dot(Look),
    /// A shape of this number and colour.
    Shape(usize, Ink),
    /// A shaded area.
    Band(Ink),
    /// A vertical line.
    Moment(Ink),
    /// A circle.
    Ring(Ink),
    /// A thin horizontal line.
    Way(Ink),
    /// No symbol: only words.
    None,
}

/// Writes title, subtitle and legend, and returns the height at which they end.
pub fn header(scene: &mut Scene, title: &str, subtitle: &str, legend: &[Entry]) -> f64 {
    header_with_verdict(scene, title, subtitle, "", legend)
}

/// The same with a verdict in red, if there is one.
pub fn header_with_verdict(scene: &mut Scene, title: &str, subtitle: &str, verdict: &str, legend: &[Entry]) -> f64 {
    let mut y = MARGIN;
    let room = WIDTH - 2.0 * MARGIN;
    for (text, size, ink) in [(title, TITLE, BLACK), (subtitle, SUBTITLE, GREY)] {
        let text = font::fit(&clean(text), size, room);
        if !text.trim().is_empty() {
            scene.text((MARGIN, y + size * 0.9), Anchor::Start, size, ink, &text);
            y += size * 1.5;
        }
    }
    for line in font::wrap(&clean(verdict), SUBTITLE, room, VERDICT_LINES_MAX) {
        if !line.trim().is_empty() {
            scene.text((MARGIN, y + SUBTITLE * 0.9), Anchor::Start, SUBTITLE, RED, &line);
            y += SUBTITLE * 1.5;
        }
    }
    write_legend(scene, y + 2.0, legend)
}

/// Writes the legend in as many rows as it needs.
fn write_legend(scene: &mut Scene, top: f64, legend: &[Entry]) -> f64 {
    if legend.is_empty() {
        return top + 4.0;
    }
    let (mut x, mut y) = (MARGIN, top + LINE / 2.0);
    for entry in legend {
        let name = font::fit(&clean(&entry.name), SMALL, ENTRY_MAX);
        let symbol = if matches!(entry.symbol, Symbol::None) { 0.0 } else { SYMBOL };
        let width = symbol + font::width(&name, SMALL);
        if x > MARGIN && x + width > WIDTH - MARGIN {
            (x, y) = (MARGIN, y + LINE);
        }
        draw_symbol(scene, entry.symbol, (x, y));
        scene.label((x + symbol, y + TO_BASELINE), Anchor::Start, &name);
        x += width + if name.is_empty() { 4.0 } else { 20.0 };
    }
    y + LINE
}

fn draw_symbol(scene: &mut Scene, symbol: Symbol, (x, y): At) {
    let middle = (x + STROKE / 2.0, y);
    match symbol {
        Symbol::Series(look) => {
            scene.dashed(vec![(x, y), (x + STROKE, y)], look.dashes(), 2.0, look.ink());
            look.mark(scene, middle, 3.5);
        }
        Symbol::Dot(look) => look.mark(scene, middle, 3.5),
        Symbol::Shape(n, ink) => color::shape(scene, n, middle, 3.5, ink),
        Symbol::Band(ink) => scene.fill((x + 2.0, y - 6.0), (x + STROKE - 2.0, y + 6.0), ink),
        Symbol::Moment(ink) => scene.line(vec![(middle.0, y - 7.0), (middle.0, y + 7.0)], 1.0, ink),
        Symbol::Ring(ink) => scene.ring(middle, 5.0, 1.5, ink),
        Symbol::Way(ink) => scene.line(vec![(x, y), (x + STROKE, y)], 1.0, ink),
        Symbol::None => {}
    }
}

/// A rectangle in which values are drawn, with its axes.
pub struct Frame {
    /// The left edge in pixels.
    pub left: f64,
    /// The upper edge.
    pub top: f64,
    /// The right edge.
    pub right: f64,
    /// The lower edge.
    pub bottom: f64,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
}

impl Frame {
    /// The point of two values.
    pub fn at(&self, x: f64, y: f64) -> At {
        (self.x_at(x), self.y_at(y))
    }

    /// The distance of a value from the left.
    pub fn x_at(&self, x: f64) -> f64 {
        self.left + self.x.place(x) * (self.right - self.left)
    }

    /// The distance of a value from the top.
    pub fn y_at(&self, y: f64) -> f64 {
        self.bottom - self.y.place(y) * (self.bottom - self.top)
    }

    /// Writes a title above the frame, from `left` to the right edge.
    pub fn title(&self, scene: &mut Scene, title: &str, left: f64) {
        self.title_until(scene, title, (left, self.right));
    }

    /// Writes a title above the frame, from `left` to `right`.
    pub fn title_until(&self, scene: &mut Scene, title: &str, (left, right): (f64, f64)) {
        let title = font::fit(&clean(title), PANEL, right - left);
        scene.text((left, self.top - 14.0), Anchor::Start, PANEL, BLACK, &title);
    }

    /// Draws the lines of the vertical axis and writes its labels, and the axis's title upwards at `left`.
    pub fn draw_y(&self, scene: &mut Scene, title: &str, left: f64) {
        for tick in &self.y.ticks {
            let y = self.y_at(tick.value);
            scene.line(vec![(self.left, y), (self.right, y)], 1.0, PALE);
            scene.label((self.left - TICK_GAP, y + TO_BASELINE), Anchor::End, &tick.label);
        }
        let title = font::fit(&clean(title), SMALL, self.bottom - self.top);
        scene.label_upwards((left + SMALL, (self.top + self.bottom) / 2.0), Anchor::Middle, &title);
    }

    /// Draws the lines of a horizontal axis of numbers and writes its labels.
    pub fn draw_x(&self, scene: &mut Scene) {
        for tick in &self.x.ticks {
            let x = self.x_at(tick.value);
            scene.line(vec![(x, self.top), (x, self.bottom)], 1.0, PALE);
            scene.label((x, self.bottom + TICK_GAP + SMALL - 1.0), Anchor::Middle, &tick.label);
        }
    }

    /// Draws the edges along the axes.
    pub fn draw_edges(&self, scene: &mut Scene) {
        let corners = vec![(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)];
        scene.line(corners, 1.0, GREY);
    }

    /// Writes names below the frame, each in the middle of its place.
    pub fn draw_names(&self, scene: &mut Scene, names: &Names) {
        for (i, name) in names.shown.iter().enumerate() {
            let x = self.x_at(i as f64);
            if names.upwards {
                scene.label_upwards((x + TO_BASELINE, self.bottom + TICK_GAP), Anchor::End, name);
            } else {
                scene.label((x, self.bottom + TICK_GAP + SMALL - 1.0), Anchor::Middle, name);
            }
        }
    }

    /// Writes the title of the horizontal axis, this far below the frame.
    pub fn x_title(&self, scene: &mut Scene, title: &str, below: f64) {
        let title = font::fit(&clean(title), SMALL, self.right - self.left);
        let middle = (self.left + self.right) / 2.0;
        scene.label((middle, self.bottom + below + SMALL), Anchor::Middle, &title);
    }

    /// Writes that there is no data.
    pub fn say_empty(&self, scene: &mut Scene) {
        let middle = ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0 + TO_BASELINE);
        scene.label(middle, Anchor::Middle, "no data");
    }
}

/// How much room the labels of a vertical axis take, with the gap to the axis.
pub fn labels_width(axis: &Axis) -> f64 {
    axis.ticks.iter().map(|tick| font::width(&tick.label, SMALL)).fold(0.0, f64::max) + TICK_GAP
}

/// The axis with those ticks whose labels do not touch, if it is horizontal and of this length.
pub fn apart(axis: Axis, length: f64) -> Axis {
    let shown = ticks_apart(&axis, &axis.ticks, length, LABEL_GAP);
    axis.with_ticks(shown)
}

/// An axis of this length with a line at each of these values, which come in rising order. Labels that would touch are
/// left out: for values at equal distances, all but every second one, or every third, and so on.
pub fn marked(axis: Axis, ticks: &[Tick], length: f64) -> Axis {
    let every = |n: usize| ticks.iter().step_by(n).cloned().collect::<Vec<Tick>>();
    let places: Vec<f64> = ticks.iter().map(|tick| axis.place(tick.value)).collect();
    let gaps = || places.windows(2).map(|pair| pair[1] - pair[0]);
    let (least, most) = (gaps().fold(f64::INFINITY, f64::min), gaps().fold(0.0, f64::max));
    let fits = |labels: &Vec<Tick>| ticks_apart(&axis, labels, length, MARKED_GAP).len() == labels.len();
    let regular = (most < 1.01 * least).then(|| (1..=ticks.len()).map(every).find(fits)).flatten();
    let labelled = regular.unwrap_or_else(|| ticks_apart(&axis, ticks, length, MARKED_GAP));
    let shown = ticks.iter().map(|tick| {
        let label = if labelled.contains(tick) { tick.label.clone() } else { String::new() };
        Tick { value: tick.value, label }
    });
    let shown = shown.collect();
    axis.with_ticks(shown)
}

/// The ticks, from the left, whose labels keep this gap to the previous one.
fn ticks_apart(axis: &Axis, ticks: &[Tick], length: f64, gap: f64) -> Vec<Tick> {
    let mut end = f64::NEG_INFINITY;
    let mut shown: Vec<Tick> = Vec::new();
    for tick in ticks {
        let (middle, half) = (axis.place(tick.value) * length, font::width(&tick.label, SMALL) / 2.0);
        if middle - half >= end {
            end = middle + half + gap;
            shown.push(tick.clone());
        }
    }
    shown
}

/// Names below a horizontal axis.
pub struct Names {
    shown: Vec<String>,
    upwards: bool,
    /// How much room they take, with the gap to the axis.
    pub height: f64,
}

impl Names {
    /// Names for places of this width. If they do not fit they are written upwards. Names for which there is no room at
    /// all are left out.
    pub fn new(names: &[String], place: f64) -> Names {
        let clean: Vec<String> = names.iter().map(|name| clean(name)).collect();
        let width = |names: &[String]| names.iter().map(|name| font::width(name, SMALL)).fold(0.0, f64::max);
        if width(&clean) <= place - LABEL_GAP {
            return Names { shown: clean, upwards: false, height: TICK_GAP + SMALL + 2.0 };
        }
        let every = ((SMALL + 1.0) / place).ceil().max(1.0) as usize;
        let short = clean.iter().enumerate().map(|(i, name)| match i % every {
            0 => font::fit(name, SMALL, NAME_MAX),
            _ => String::new(),
        });
        let shown: Vec<String> = short.collect();
        let height = TICK_GAP + width(&shown) + 2.0;
        Names { shown, upwards: true, height }
    }
}
