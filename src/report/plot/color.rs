//! Colours that differ for colour-blind people and in grey, and shapes for those who see neither.

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

/// The colour of the n-th series.
pub fn of_series(n: usize) -> Ink {
    SERIES[n % SERIES.len()]
}

/// The shapes that mark points. There is one more than there are colours, so 56 series have pairs of their own.
const SHAPES: usize = 8;

/// Marks a point of the n-th series.
pub fn mark(scene: &mut Scene, n: usize, at: At, radius: f64) {
    shape(scene, n % SHAPES, at, radius, of_series(n));
}

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

/// The colour of a place on a scale from 0 to 1: the brighter, the more.
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
            mark(&mut scene, n, (0.0, 0.0), 3.0);
            assert!(looks.iter().all(|(_, other)| *other != scene.marks), "series {n} looks like another");
            looks.push((n.to_string(), scene.marks));
        }
    }

    #[test]
    fn the_scale_gets_brighter_and_keeps_to_its_ends() {
        let steps: Vec<f64> = (0..=100).map(|i| brightness(of_place(f64::from(i) / 100.0))).collect();
        assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]), "{steps:?}");
        assert_eq!((of_place(-1.0), of_place(2.0)), (of_place(0.0), of_place(1.0)));
        assert!(is_dark(of_place(0.0)) && !is_dark(of_place(1.0)));
    }
}
