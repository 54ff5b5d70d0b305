//! A picture of words, if there is nothing to draw.

use super::font::{self, clean};
use super::frame::{LINE, MARGIN, TO_BASELINE, header};
use super::scene::{Anchor, BLACK, SMALL, Scene, WIDTH};

/// Names take at most this part of the width.
const NAMES: f64 = 0.5;
/// The space between names and values.
const GAP: f64 = 16.0;

/// Some facts in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// The title of the picture.
    pub title: String,
    /// The subtitle, in smaller letters.
    pub subtitle: String,
    /// The facts: names and values.
    pub facts: Vec<(String, String)>,
}

impl Words {
    pub(super) fn scene(&self) -> Scene {
        let mut scene = Scene::new();
        let top = header(&mut scene, &self.title, &self.subtitle, &[]);
        let fit = |text: &str, room: f64| font::fit(&clean(text), SMALL, room);
        let names: Vec<String> = self.facts.iter().map(|(name, _)| fit(name, NAMES * WIDTH)).collect();
        let widest = names.iter().map(|name| font::width(name, SMALL)).fold(0.0, f64::max);
        let left = MARGIN + widest + GAP;
        for (i, (name, (_, value))) in names.iter().zip(&self.facts).enumerate() {
            let y = top + (i as f64 + 0.5) * LINE + TO_BASELINE;
            scene.label((MARGIN, y), Anchor::Start, name);
            scene.text((left, y), Anchor::Start, SMALL, BLACK, &fit(value, WIDTH - MARGIN - left));
        }
        scene.height = (top + self.facts.len() as f64 * LINE + MARGIN).ceil();
        scene
    }
}
