//! The font: the width of a text, and its letters as coverage of pixels.
//!
//! One font is part of the program, so that a picture has the same bytes on every machine. It is also one of the widest
//! that browsers use, so a text that fits in it fits in any font that a browser chooses for an SVG.

use std::convert::Infallible;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, point};
use plotters_backend::{
    BackendColor, BackendCoord, BackendTextStyle, FontFamily, FontTransform,
    text_anchor::{HPos, Pos, VPos},
};

use seedbed_core::printable::printable;

/// The families that an SVG asks for: the font itself, one of the same width, and any other one.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";
/// `plotters` writes a font's size divided by this into an SVG.
const PLOTTERS_SIZE: f64 = 1.24;
/// From the top of a text to its baseline, in sizes: where `plotters` puts it in an SVG.
pub const ASCENT: f64 = 0.76;
const ELLIPSIS: char = '…';

static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(dejavu::sans::regular()).expect("the font that comes with the crate"));

/// Text from outside, made fit for a picture: without characters that XML forbids, and without marks that change the
/// direction of writing.
pub fn clean(text: &str) -> String {
    let is_hostile = |c: char| matches!(c, '\u{FFFE}' | '\u{FFFF}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}');
    printable(text).chars().map(|c| if is_hostile(c) { '\u{FFFD}' } else { c }).collect()
}

/// The width of a text of this size, both in pixels.
pub fn width(text: &str, size: f64) -> f64 {
    let mut last = None;
    text.chars().map(|c| advance(&mut last, c)).sum::<f64>() * size
}

/// The text if it is no wider than this, or its beginning and an ellipsis. Empty if not even that fits.
pub fn fit(text: &str, size: f64, width_max: f64) -> String {
    let mut last = None;
    let (mut wide, room) = (0.0, width_max / size);
    let with_ellipsis = room - advance(&mut None, ELLIPSIS);
    // The end of the longest beginning that leaves room for the ellipsis.
    let mut end = 0;
    for (at, c) in text.char_indices() {
        wide += advance(&mut last, c);
        if wide > room {
            let beginning = text[..end].trim_end();
            return if with_ellipsis < 0.0 { String::new() } else { format!("{beginning}{ELLIPSIS}") };
        }
        if wide <= with_ellipsis {
            end = at + c.len_utf8();
        }
    }
    text.to_owned()
}

/// The text in lines that are no wider than this, broken at spaces; the rest ends the last line.
pub fn wrap(text: &str, size: f64, width_max: f64, lines_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_last = lines.len() >= lines_max;
        match lines.last_mut() {
            Some(line) if is_last || width(&format!("{line} {word}"), size) <= width_max => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| fit(line, size, width_max)).collect()
}

/// By how much a letter moves the next one, in sizes. A letter that the font lacks counts as a full size wide, because
/// a browser shows it in another font.
fn advance(last: &mut Option<GlyphId>, c: char) -> f64 {
    let glyph = FONT.glyph_id(c);
    let kern = last.replace(glyph).map_or(0.0, |last| FONT.kern_unscaled(last, glyph));
    let missing = glyph == GlyphId(0);
    if missing { 1.0 } else { f64::from(FONT.h_advance_unscaled(glyph) + kern) / units_per_em() }
}

fn units_per_em() -> f64 {
    f64::from(FONT.units_per_em().expect("the font says it"))
}

/// A text's look, in the form that the backends of `plotters` require.
pub struct Style {
    /// The size of the font in pixels.
    pub size: f64,
    /// Its colour.
    pub color: BackendColor,
    /// The point of the text that its position gives.
    pub anchor: HPos,
    /// Whether it is written upwards.
    pub upwards: bool,
}

impl BackendTextStyle for Style {
    type FontError = Infallible;

    fn color(&self) -> BackendColor {
        self.color
    }

    fn size(&self) -> f64 {
        self.size * PLOTTERS_SIZE
    }

    fn transform(&self) -> FontTransform {
        if self.upwards { FontTransform::Rotate270 } else { FontTransform::None }
    }

    fn anchor(&self) -> Pos {
        Pos::new(self.anchor, VPos::Top)
    }

    fn family(&self) -> FontFamily<'_> {
        FontFamily::Name(FAMILY)
    }

    fn layout_box(&self, text: &str) -> Result<((i32, i32), (i32, i32)), Infallible> {
        Ok(((0, 0), (width(text, self.size).round() as i32, self.size.round() as i32)))
    }

    fn draw<E, DrawFunc: FnMut(i32, i32, BackendColor) -> Result<(), E>>(
        &self,
        text: &str,
        (left, top): BackendCoord,
        mut draw: DrawFunc,
    ) -> Result<Result<(), E>, Infallible> {
        let scale = PxScale::from((self.size * f64::from(FONT.height_unscaled()) / units_per_em()) as f32);
        let baseline = f64::from(top) + self.size * ASCENT;
        let (mut last, mut x) = (None, f64::from(left));
        for c in text.chars() {
            let before = last;
            let wide = advance(&mut last, c);
            let kern = before.map_or(0.0, |before| f64::from(FONT.kern_unscaled(before, FONT.glyph_id(c))));
            let start = point((x + kern / units_per_em() * self.size) as f32, baseline as f32);
            if let Some(glyph) = FONT.outline_glyph(FONT.glyph_id(c).with_scale_and_position(scale, start)) {
                let corner = glyph.px_bounds().min;
                let mut result = Ok(());
                glyph.draw(|x, y, coverage| {
                    if result.is_ok() && coverage > 0.0 {
                        let alpha = self.color.alpha * f64::from(coverage.min(1.0));
                        let color = BackendColor { alpha, ..self.color };
                        result = draw(corner.x as i32 + x as i32, corner.y as i32 + y as i32, color);
                    }
                });
                if result.is_err() {
                    return Ok(result);
                }
            }
            x += wide * self.size;
        }
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_grows_with_its_letters_and_its_size() {
        assert_eq!(width("", 12.0), 0.0);
        assert!(width("mm", 12.0) > width("m", 12.0) + width("i", 12.0));
        assert!((width("seedbed", 24.0) - 2.0 * width("seedbed", 12.0)).abs() < 1e-9);
        // 1303 of 2048 units: the width of an x of DejaVu Sans is 1212, of a zero 1303.
        assert!((width("0", 2048.0) - 1303.0).abs() < 1e-9);
    }

    #[test]
    fn a_text_that_is_too_wide_ends_with_an_ellipsis() {
        assert_eq!(fit("partition-3", 12.0, 200.0), "partition-3");
        let short = fit("partition-3 of five replicas", 12.0, 80.0);
        assert!(short.ends_with('…') && short.starts_with("partit"), "{short}");
        assert!(width(&short, 12.0) <= 80.0);
        assert_eq!(fit("partition-3", 12.0, 1.0), "");
        assert_eq!(fit("", 12.0, 0.0), "");
    }

    #[test]
    fn the_longest_text_that_fits_is_left_alone() {
        let exactly = width("partition-3", 12.0);
        assert_eq!(fit("partition-3", 12.0, exactly + 1e-6), "partition-3");
        assert!(fit("partition-3", 12.0, exactly - 0.5).ends_with('…'));
    }

    #[test]
    fn a_long_text_is_broken_at_spaces_and_its_last_line_shortened() {
        let wide = width("one two", 12.0) + 1e-6;
        assert_eq!(wrap("one two six ten", 12.0, wide, 9), ["one two", "six ten"]);
        assert_eq!(wrap("one", 12.0, wide, 9), ["one"]);
        let short = wrap("one two three four five", 12.0, wide, 2);
        assert_eq!((short.len(), short[0].as_str()), (2, "one two"));
        assert!(short[1].ends_with('…') && width(&short[1], 12.0) <= wide, "{short:?}");
    }

    #[test]
    fn characters_that_xml_forbids_are_removed() {
        assert_eq!(clean("a\u{0}\u{1b}b\u{FFFF}c\u{202E}d é ≤ µ"), "a\\u{0}\\u{1b}b\u{FFFD}c\u{FFFD}d é ≤ µ");
    }
}
