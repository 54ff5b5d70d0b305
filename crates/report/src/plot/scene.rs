//! A picture as a list of shapes, in pixels of a screen: layouts make it and the painter draws it.

use plotters_backend::{BackendColor, text_anchor::HPos};

/// The width of every picture, in pixels of a screen.
pub const WIDTH: f64 = 800.0;
/// The smallest letters.
pub const SMALL: f64 = 12.0;

/// A colour and its opacity.
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
/// Less important text, axes.
pub const GREY: Ink = Ink::new(0x59_59_59);
/// Grid lines.
pub const PALE: Ink = Ink::new(0xE4_E4_E4);
/// Errors.
pub const RED: Ink = Ink::new(0xD0_02_1B);
/// The background.
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
    /// The position of that point in the text.
    pub anchor: Anchor,
    /// The size of the font in pixels.
    pub size: f64,
    /// Its colour.
    pub ink: Ink,
    /// Whether it is written upwards.
    pub upwards: bool,
    /// The text.
    pub text: String,
}

/// The point of a text's baseline that is given.
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

/// A picture: [`WIDTH`] wide and as high as needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// In pixels.
    pub height: f64,
    /// Later marks cover earlier ones.
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

    /// Draws a dashed line: dashes and gaps of these lengths in turn, in pixels. Without any lengths it is solid.
    pub fn dashed(&mut self, points: Vec<At>, dashes: &[f64], width: f64, ink: Ink) {
        if dashes.is_empty() {
            return self.line(points, width, ink);
        }
        let mut turn = 0;
        let mut left = dashes[0];
        let mut dash: Vec<At> = points.first().copied().into_iter().collect();
        for pair in points.windows(2) {
            let (mut from, to) = (pair[0], pair[1]);
            loop {
                let (dx, dy) = (to.0 - from.0, to.1 - from.1);
                let way = (dx * dx + dy * dy).sqrt();
                if way < left {
                    left -= way;
                    dash.push(to);
                    break;
                }
                from = (from.0 + dx * left / way, from.1 + dy * left / way);
                dash.push(from);
                if turn % 2 == 0 {
                    self.line(std::mem::take(&mut dash), width, ink);
                }
                turn += 1;
                left = dashes[turn % dashes.len()];
                dash = vec![from];
            }
        }
        if turn % 2 == 0 {
            self.line(dash, width, ink);
        }
    }

    /// Draws a circle that is not filled.
    pub fn ring(&mut self, (x, y): At, radius: f64, width: f64, ink: Ink) {
        const CORNERS: u32 = 24;
        let corner = |i: u32| {
            let angle = f64::from(i) * std::f64::consts::TAU / f64::from(CORNERS);
            (x + radius * libm::cos(angle), y + radius * libm::sin(angle))
        };
        self.line((0..=CORNERS).map(corner).collect(), width, ink);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashed_line_goes_round_corners_and_ends_at_the_right_point() {
        let mut scene = Scene::new();
        scene.dashed(vec![(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)], &[8.0, 4.0], 1.0, BLACK);
        let dashes: Vec<Vec<At>> = scene
            .marks
            .iter()
            .map(|mark| if let Mark::Line { points, .. } = mark { points.clone() } else { panic!("{mark:?}") })
            .collect();
        assert_eq!(dashes, [vec![(0.0, 0.0), (8.0, 0.0)], vec![(10.0, 2.0), (10.0, 10.0)]]);
        let mut whole = Scene::new();
        whole.dashed(vec![(0.0, 0.0), (9.0, 0.0)], &[], 1.0, BLACK);
        assert_eq!(whole.marks, [Mark::Line { points: vec![(0.0, 0.0), (9.0, 0.0)], width: 1.0, ink: BLACK }]);
    }

    #[test]
    fn equal_points_do_not_make_a_dashed_line_endless() {
        let mut scene = Scene::new();
        scene.dashed(vec![(1.0, 1.0); 3], &[8.0, 4.0], 1.0, BLACK);
        assert_eq!(scene.marks.len(), 1);
        scene.dashed(Vec::new(), &[8.0, 4.0], 1.0, BLACK);
        assert_eq!(scene.marks.len(), 1);
    }
}
