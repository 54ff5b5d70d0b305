//! A picture as a list of shapes, in pixels of a screen: what layouts make and the painter plays.

use plotters_backend::{BackendColor, text_anchor::HPos};

/// The width of every picture, in pixels of a screen.
pub const WIDTH: f64 = 800.0;
/// The smallest letters.
pub const SMALL: f64 = 12.0;

/// A colour, and how much of what is below it covers (1: all).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ink {
    /// Red, green, blue.
    pub rgb: (u8, u8, u8),
    /// From 0 to 1.
    pub alpha: f64,
}

impl Ink {
    /// An opaque colour, as in `0x0072B2`.
    pub const fn new(rgb: u32) -> Ink {
        Ink { rgb: ((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8), alpha: 1.0 }
    }

    /// The same colour, translucent.
    pub const fn with_alpha(self, alpha: f64) -> Ink {
        Ink { alpha, ..self }
    }
}

impl From<Ink> for BackendColor {
    fn from(ink: Ink) -> BackendColor {
        BackendColor { alpha: ink.alpha, rgb: ink.rgb }
    }
}

/// Text, titles.
pub const BLACK: Ink = Ink::new(0x22_22_22);
/// Text of less weight, axes.
pub const GREY: Ink = Ink::new(0x59_59_59);
/// Lines to read a value by.
pub const PALE: Ink = Ink::new(0xE4_E4_E4);
/// The paper.
pub const WHITE: Ink = Ink::new(0xFF_FF_FF);

/// A point: pixels from the left and from the top.
pub type At = (f64, f64);

/// A shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// Lines from point to point.
    Line {
        /// At least two.
        points: Vec<At>,
        /// In pixels.
        width: f64,
        /// Its colour.
        ink: Ink,
    },
    /// A filled polygon.
    Area {
        /// At least three.
        points: Vec<At>,
        /// Its colour.
        ink: Ink,
    },
    /// A filled rectangle.
    Box {
        /// The upper left corner.
        from: At,
        /// The lower right corner.
        to: At,
        /// Its colour.
        ink: Ink,
    },
    /// A filled circle.
    Disc {
        /// Its middle.
        at: At,
        /// In pixels.
        radius: f64,
        /// Its colour.
        ink: Ink,
    },
    /// One line of text.
    Text(Text),
}

/// One line of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// A point of its baseline.
    pub at: At,
    /// Which one.
    pub anchor: Anchor,
    /// The size of the font in pixels.
    pub size: f64,
    /// Its colour.
    pub ink: Ink,
    /// Whether it is written upwards.
    pub upwards: bool,
    /// What is written.
    pub text: String,
}

/// Which point of a text's baseline is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Anchor {
    /// Where it begins.
    Start,
    /// Its middle.
    Middle,
    /// Where it ends.
    End,
}

impl From<Anchor> for HPos {
    fn from(anchor: Anchor) -> HPos {
        match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        }
    }
}

/// A picture: [`WIDTH`] wide and as high as it has to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// In pixels.
    pub height: f64,
    /// Later ones cover earlier ones.
    pub marks: Vec<Mark>,
}

impl Scene {
    /// An empty picture without height.
    pub const fn new() -> Scene {
        Scene { height: 0.0, marks: Vec::new() }
    }

    /// Draws lines from point to point; nothing if there is only one point.
    pub fn line(&mut self, points: Vec<At>, width: f64, ink: Ink) {
        if points.len() >= 2 {
            self.marks.push(Mark::Line { points, width, ink });
        }
    }

    /// Fills a polygon.
    pub fn area(&mut self, points: Vec<At>, ink: Ink) {
        if points.len() >= 3 {
            self.marks.push(Mark::Area { points, ink });
        }
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, from: At, to: At, ink: Ink) {
        self.marks.push(Mark::Box { from, to, ink });
    }

    /// Fills a circle.
    pub fn disc(&mut self, at: At, radius: f64, ink: Ink) {
        self.marks.push(Mark::Disc { at, radius, ink });
    }

    /// Writes from left to right, in the smallest letters.
    pub fn label(&mut self, at: At, anchor: Anchor, text: &str) {
        self.text(at, anchor, SMALL, GREY, text);
    }

    /// Writes from left to right.
    pub fn text(&mut self, at: At, anchor: Anchor, size: f64, ink: Ink, text: &str) {
        self.write(Text { at, anchor, size, ink, upwards: false, text: text.to_owned() });
    }

    /// Writes upwards, in the smallest letters.
    pub fn label_upwards(&mut self, at: At, anchor: Anchor, text: &str) {
        self.write(Text { at, anchor, size: SMALL, ink: GREY, upwards: true, text: text.to_owned() });
    }

    fn write(&mut self, text: Text) {
        if !text.text.trim().is_empty() {
            self.marks.push(Mark::Text(text));
        }
    }
}
