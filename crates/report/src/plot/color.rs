//! Colours that differ for colour-blind people and in grey, and shapes for readers who cannot tell colours apart at
//! all.

use super::scene::{At, Ink, Scene, WHITE};

/// Okabe and Ito's palette without its yellow, which is faint on white. Neighbours differ in brightness, too.
pub const SERIES: [Ink; 7] = [
    Ink::new(0x00_72_B2),
    Ink::new(0xE6_9F_00),
    Ink::new(0x00_9E_73),
    Ink::new(0xD5_5E_00),
    Ink::new(0x56_B4_E9),
    Ink::new(0xCC_79_A7),
    Ink::new(0x33_33_33),
];

/// How many shapes of marks there are: one more than colours, so 56 series have pairs of their own.
const SHAPES: usize = 8;
/// The part of the scale from dark to bright that is visible on white.
const ON_WHITE: f64 = 0.85;
/// Lengths of dashes and gaps in pixels. The first line is not broken.
const DASHES: [&[f64]; 4] = [&[], &[8.0, 4.0], &[2.0, 3.0], &[10.0, 3.0, 2.0, 3.0]];

/// The look that distinguishes a series from the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Its colour.
    pub color: Color,
    /// The shape of its marks, by number.
    pub shape: usize,
    /// The dashes of its line, by number.
    pub dash: usize,
}

/// The colour of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Color {
    /// The n-th of a palette whose neighbours differ much: for things without an order.
    Nth(usize),
    /// A place on a scale from 0 (dark) to 1 (bright): for numbers.
    Place(f64),
}

impl Look {
    /// The n-th of several things without an order.
    pub const fn nth(n: usize) -> Look {
        Look { color: Color::Nth(n), shape: n, dash: n / SERIES.len() }
    }

    /// The n-th of `count` numbers in rising order.
    pub fn ordered(n: usize, count: usize) -> Look {
        let place = n as f64 / count.saturating_sub(1).max(1) as f64;
        Look { color: Color::Place(place), shape: n, dash: 0 }
    }

    /// The same colour and shape, and a line with the n-th dashes.
    #[must_use]
    pub const fn dashed(self, n: usize) -> Look {
        Look { dash: n, ..self }
    }

    /// The same colour, and marks of the n-th shape.
    #[must_use]
    pub const fn shaped(self, n: usize) -> Look {
        Look { shape: n, ..self }
    }

    pub(super) fn ink(self) -> Ink {
        match self.color {
            Color::Nth(n) => SERIES[n % SERIES.len()],
            Color::Place(place) => of_place(ON_WHITE * place),
        }
    }

    pub(super) fn dashes(self) -> &'static [f64] {
        DASHES[self.dash % DASHES.len()]
    }

    /// Draws a mark.
    pub(super) fn mark(self, scene: &mut Scene, at: At, radius: f64) {
        shape(scene, self.shape % SHAPES, at, radius, self.ink());
    }
}

/// How many kinds of dashes there are.
pub const DASHES_MAX: usize = DASHES.len();

/// Draws the n-th shape around a point.
pub fn shape(scene: &mut Scene, n: usize, (x, y): At, radius: f64, ink: Ink) {
    let r = radius;
    let polygon = |corners: &[At]| corners.iter().map(|(dx, dy)| (x + dx * r, y + dy * r)).collect::<Vec<_>>();
    match n {
        0 => scene.disc((x, y), r, ink),
        1 => scene.fill((x - 0.9 * r, y - 0.9 * r), (x + 0.9 * r, y + 0.9 * r), ink),
        2 => scene.area(polygon(&[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)]), ink),
        3 => scene.area(polygon(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]), ink),
        4 => scene.area(polygon(&[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)]), ink),
        5 => {
            scene.line(polygon(&[(-1.0, -1.0), (1.0, 1.0)]), 0.55 * r, ink);
            scene.line(polygon(&[(-1.0, 1.0), (1.0, -1.0)]), 0.55 * r, ink);
        }
        6 => {
            scene.disc((x, y), 1.1 * r, ink);
            scene.disc((x, y), 0.55 * r, WHITE);
        }
        _ => {
            scene.line(polygon(&[(-1.3, 0.0), (1.3, 0.0)]), 0.6 * r, ink);
            scene.line(polygon(&[(0.0, -1.3), (0.0, 1.3)]), 0.6 * r, ink);
        }
    }
}

/// Viridis, at equal distances.
const VIRIDIS: [u32; 9] =
    [0x44_01_54, 0x47_2D_7B, 0x3B_52_8B, 0x2C_72_8E, 0x21_91_8C, 0x28_AE_80, 0x5E_C9_62, 0xAD_DC_30, 0xFD_E7_25];

/// The colour of a place on a scale from 0 to 1: the larger, the brighter.
pub fn of_place(place: f64) -> Ink {
    let place = place.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let below = (place.floor() as usize).min(VIRIDIS.len() - 2);
    let part = place - below as f64;
    let (from, to) = (Ink::new(VIRIDIS[below]).rgb, Ink::new(VIRIDIS[below + 1]).rgb);
    let mix = |from: u8, to: u8| (f64::from(from) + part * (f64::from(to) - f64::from(from))).round() as u8;
    Ink { rgb: (mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2)), alpha: 1.0 }
}

/// Whether white letters are easier to read on this colour than black ones.
pub fn is_dark(ink: Ink) -> bool {
    let (red, green, blue) = ink.rgb;
    0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue) < 105.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brightness(ink: Ink) -> f64 {
        0.299 * f64::from(ink.rgb.0) + 0.587 * f64::from(ink.rgb.1) + 0.114 * f64::from(ink.rgb.2)
    }

    #[test]
    fn no_two_of_many_series_look_alike() {
        let mut looks: Vec<(String, Vec<super::super::scene::Mark>)> = Vec::new();
        for n in 0..SHAPES * SERIES.len() {
            let mut scene = Scene::new();
            Look::nth(n).mark(&mut scene, (0.0, 0.0), 3.0);
            assert!(looks.iter().all(|(_, other)| *other != scene.marks), "series {n} looks like another");
            looks.push((n.to_string(), scene.marks));
        }
    }

    #[test]
    fn no_two_of_a_dozen_numbers_have_the_same_colour_and_all_can_be_seen_on_white() {
        let inks: Vec<Ink> = (0..12).map(|n| Look::ordered(n, 12).ink()).collect();
        assert!(inks.windows(2).all(|pair| brightness(pair[0]) < brightness(pair[1])), "{inks:?}");
        assert!(inks.iter().all(|ink| brightness(*ink) < 200.0), "{inks:?}");
        assert_eq!(Look::ordered(0, 1).ink(), inks[0], "a single one causes no division by zero");
    }

    #[test]
    fn the_scale_gets_brighter_and_keeps_to_its_ends() {
        let steps: Vec<f64> = (0..=100).map(|i| brightness(of_place(f64::from(i) / 100.0))).collect();
        assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]), "{steps:?}");
        assert_eq!((of_place(-1.0), of_place(2.0)), (of_place(0.0), of_place(1.0)));
        assert!(is_dark(of_place(0.0)) && !is_dark(of_place(1.0)));
    }
}
