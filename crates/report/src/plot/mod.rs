//! Plots of plain data as SVG and PNG.
//!
//! A [`Chart`] is plain data: it knows neither runs nor sweeps. [`Chart::render`] lays it out as a list of shapes and
//! plays this to a backend of `plotters`. The axes are our own, because they must show units and must not depend on the
//! platform's logarithm. So is the font, because letters must be the same on every machine. So a picture is as
//! repeatable as its data: the same bytes everywhere.
//!
//! Numbers that are not finite are left out. Text from outside is shortened to fit and made harmless.

mod axis;
mod bars;
mod cdf;
mod color;
mod font;
mod frame;
mod heat;
mod labels;
mod lines;
mod number;
mod paint;
mod scene;
mod timeline;
mod words;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use bars::{Bar, BarPart, Bars};
pub use cdf::{Cdf, CdfPanel, CdfSeries};
pub use color::{Color, DASHES_MAX, Look};
pub use heat::{HeatMaps, HeatPanel};
pub use lines::{Lines, Panel, Point, Series, XAxis};
pub use number::short;
pub use timeline::{Alarm, Answer, AnswerKind, CutSpan, FaultMark, Reign, Timeline, WrongAnswer};
pub use words::Words;

/// The file format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A vector graphic, 800 pixels wide.
    Svg,
    /// A bitmap with twice as many pixels, so that it is sharp on fine screens and in print.
    Png,
}

impl Format {
    /// The format that a file's extension names, in lower or upper case.
    pub fn of(path: &Path) -> Option<Format> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "svg" => Some(Format::Svg),
            "png" => Some(Format::Png),
            _ => None,
        }
    }
}

/// The unit of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things of this name, as in `messages`.
    Count(&'static str),
    /// A length of time, in seconds. It is shown in ns, µs, ms or s.
    Seconds,
    /// A fraction. It is shown in percent.
    Fraction,
    /// A number without a unit.
    Plain,
}

impl Unit {
    /// The title of an axis. The ticks show the unit of times and fractions, so the title says what they mean.
    fn title(self) -> &'static str {
        match self {
            Unit::Count(name) => name,
            Unit::Seconds => "time",
            Unit::Fraction => "share",
            Unit::Plain => "",
        }
    }
}

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Chart {
    /// Metrics over a swept value.
    Lines(Lines),
    /// Metrics over two swept values.
    HeatMaps(HeatMaps),
    /// Distributions of latencies.
    Cdf(Cdf),
    /// One run over time.
    Timeline(Timeline),
    /// Operations of clients.
    Bars(Bars),
    /// Facts in words, if there is nothing to compare.
    Words(Words),
}

impl Chart {
    /// Draws the picture. Equal charts give equal bytes on every machine.
    pub fn render(&self, format: Format) -> Vec<u8> {
        let scene = self.scene();
        match format {
            Format::Svg => paint::svg(&scene),
            Format::Png => paint::png(&scene),
        }
    }

    fn scene(&self) -> scene::Scene {
        match self {
            Chart::Lines(lines) => lines.scene(),
            Chart::HeatMaps(maps) => maps.scene(),
            Chart::Cdf(cdf) => cdf.scene(),
            Chart::Timeline(timeline) => timeline.scene(),
            Chart::Bars(bars) => bars.scene(),
            Chart::Words(words) => words.scene(),
        }
    }
}
