//! Labels of moments above a plot, in rows.

use super::font;
use super::frame::{Frame, MARGIN};
use super::scene::{Anchor, Ink, SMALL, Scene, WIDTH};

/// Labels are in at most this many rows. Those that find no room are left out.
const ROWS_MAX: usize = 6;
const ROW: f64 = 15.0;
/// With less room than this on the right of its line, a label is not shortened but moved to the left.
const ROOM_MIN: f64 = 90.0;

/// Labels that do not touch each other, in rows.
pub struct Labels {
    /// In each row, from left to right.
    rows: Vec<Vec<Label>>,
}

struct Label {
    /// The distance of its line from the left.
    x: f64,
    /// Where the text begins.
    begin: f64,
    text: String,
    ink: Ink,
}

impl Labels {
    /// No labels yet.
    pub fn new() -> Labels {
        Labels { rows: Vec::new() }
    }

    /// The height of all rows.
    pub fn height(&self) -> f64 {
        self.rows.len() as f64 * ROW + 4.0
    }

    /// Adds a label on the right of its line, in the first row that has room down to the plot. If the picture ends
    /// there, the label goes to the left, where it must not hide earlier lines. Labels must be added from left to
    /// right. Returns whether there was room.
    pub fn add(&mut self, frame: &Frame, x: f64, text: &str, ink: Ink) -> bool {
        let room = WIDTH - MARGIN - (x + 3.0);
        let is_last = font::width(text, SMALL) > room && room < ROOM_MIN;
        let text = if is_last { text.to_owned() } else { font::fit(text, SMALL, room) };
        let width = font::width(&text, SMALL);
        let begin = if is_last { x - 4.0 - width } else { x + 3.0 };
        let crosses = is_last && self.rows.iter().flatten().any(|label| label.x >= begin - 2.0);
        let is_free =
            |row: &Vec<Label>| row.last().is_none_or(|last| last.begin + font::width(&last.text, SMALL) + 8.0 <= begin);
        // Below the last row that is taken: this label's line goes down and must cross no label.
        let row = self.rows.iter().rposition(|row| !is_free(row)).map_or(0, |taken| taken + 1);
        if text.is_empty() || row == ROWS_MAX || crosses || begin < frame.left - 4.0 {
            return false;
        }
        if row == self.rows.len() {
            self.rows.push(Vec::new());
        }
        self.rows[row].push(Label { x, begin, text, ink });
        true
    }

    /// Draws them from `top` down to the frame.
    pub fn draw(&self, scene: &mut Scene, frame: &Frame, top: f64) {
        for (i, row) in self.rows.iter().enumerate() {
            let y = top + (i + 1) as f64 * ROW;
            for label in row {
                scene.line(vec![(label.x, y - SMALL + 2.0), (label.x, frame.top)], 1.0, label.ink.with_alpha(0.5));
                scene.text((label.begin, y - 2.0), Anchor::Start, SMALL, label.ink, &label.text);
            }
        }
    }
}
