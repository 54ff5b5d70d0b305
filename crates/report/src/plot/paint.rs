//! Plays a scene to the backends of `plotters`, which write SVG and fill pixels.
//!
//! These backends support whole pixels only. So they get a picture that is [`FINE`] times as large. An SVG is shown
//! smaller, and in a bitmap each [`SHRINK`] × [`SHRINK`] pixels become one, which also smooths all edges.

use plotters::prelude::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, DrawingErrorKind};

use super::font::{self, Style};
use super::scene::{At, Ink, Mark, Scene, Text, WHITE, WIDTH};

/// How many pixels of a backend are one pixel of a screen.
const FINE: f64 = 4.0;
/// How many pixels of the bitmap backend are one pixel of the PNG.
const SHRINK: usize = 2;
/// A PNG has twice as many pixels as a screen, for printing: 2 · 96 for an inch of 0.0254 m.
const PIXELS_PER_METRE: u32 = 7559;

/// The result of a backend. Backends that write to memory never fail.
type Painted<B> = Result<(), DrawingErrorKind<<B as DrawingBackend>::ErrorType>>;
/// How a backend draws a line of some width.
type Stroke<B> = fn(&mut B, Vec<BackendCoord>, &Pen) -> Painted<B>;

/// The picture as an SVG document.
pub fn svg(scene: &Scene) -> Vec<u8> {
    let (wide, high) = size(scene);
    let mut body = String::new();
    let mut backend = SVGBackend::with_string(&mut body, (wide, high));
    let painted = play(scene, &mut backend, SVGBackend::draw_path).and_then(|()| backend.present());
    painted.expect("a string takes all that is written");
    drop(backend);
    // The backend gives the size in which it drew. A viewer needs the size in which to show that.
    let shapes = body.split_once('\n').map_or("", |(_, shapes)| shapes);
    let (width, height) = (WIDTH, scene.height);
    let header = format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {wide} {high}\" stroke-linejoin=\"round\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n"
    );
    (header + shapes).into_bytes()
}

/// The picture as a PNG file.
pub fn png(scene: &Scene) -> Vec<u8> {
    let (wide, high) = size(scene);
    let mut fine = vec![u8::MAX; 3 * wide as usize * high as usize];
    let mut backend = BitMapBackend::with_buffer(&mut fine, (wide, high));
    let painted = play(scene, &mut backend, stroke).and_then(|()| backend.present());
    painted.expect("a buffer takes all that is drawn");
    drop(backend);
    let (wide, high) = (wide as usize / SHRINK, high as usize / SHRINK);
    encode(&shrink(&fine, wide, high), wide as u32, high as u32)
}

/// The size in which the backends draw, in their pixels.
fn size(scene: &Scene) -> (u32, u32) {
    ((WIDTH * FINE) as u32, (scene.height * FINE) as u32)
}

/// Each pixel is the mean of [`SHRINK`] × [`SHRINK`] finer ones.
fn shrink(fine: &[u8], wide: usize, high: usize) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(3 * wide * high);
    for row in fine.chunks_exact(3 * wide * SHRINK * SHRINK) {
        for x in 0..wide {
            for channel in 0..3 {
                let places = (0..SHRINK * SHRINK).map(|i| (i / SHRINK * wide + x) * SHRINK + i % SHRINK);
                let sum: usize = places.map(|place| usize::from(row[3 * place + channel])).sum();
                pixels.push(((sum + SHRINK * SHRINK / 2) / (SHRINK * SHRINK)) as u8);
            }
        }
    }
    pixels
}

fn encode(pixels: &[u8], wide: u32, high: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, wide, high);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let (xppu, yppu) = (PIXELS_PER_METRE, PIXELS_PER_METRE);
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu, yppu, unit: png::Unit::Meter }));
    let header = encoder.write_header();
    let written = header.and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.expect("a picture that is not empty goes into memory");
    file
}

/// Draws all shapes.
fn play<B: DrawingBackend>(scene: &Scene, backend: &mut B, stroke: Stroke<B>) -> Painted<B> {
    backend.draw_rect((0, 0), backend_size(backend), &Pen::fill(WHITE), true)?;
    for mark in &scene.marks {
        match mark {
            Mark::Line { points, width, ink } => {
                let pen = Pen { ink: *ink, width: (width * FINE).round().max(1.0) as u32 };
                stroke(backend, fine_all(points), &pen)?;
            }
            Mark::Area { points, ink } => backend.fill_polygon(fine_all(points), &Pen::fill(*ink))?,
            Mark::Box { from, to, ink } => backend.draw_rect(fine(*from), fine(*to), &Pen::fill(*ink), true)?,
            Mark::Disc { at, radius, ink } => {
                backend.draw_circle(fine(*at), (radius * FINE).round() as u32, &Pen::fill(*ink), true)?;
            }
            Mark::Text(text) => write(backend, text)?,
        }
    }
    Ok(())
}

fn backend_size<B: DrawingBackend>(backend: &B) -> BackendCoord {
    let (wide, high) = backend.get_size();
    (wide as i32, high as i32)
}

fn write<B: DrawingBackend>(backend: &mut B, text: &Text) -> Painted<B> {
    let size = text.size * FINE;
    let style = Style { size, color: text.ink.into(), anchor: text.anchor.into(), upwards: text.upwards };
    let (x, y) = fine(text.at);
    // A text is given by its baseline; `plotters` needs its upper edge.
    let up = (size * font::ASCENT).round() as i32;
    backend.draw_text(&text.text, &style, if text.upwards { (x - up, y) } else { (x, y - up) })
}

/// Draws a line of some width as a rectangle for each piece, and a disc for each joint. If `plotters` draws a whole
/// line, it has holes at sharp turns.
fn stroke<B: DrawingBackend>(backend: &mut B, points: Vec<BackendCoord>, pen: &Pen) -> Painted<B> {
    for pair in points.windows(2) {
        backend.draw_line(pair[0], pair[1], pen)?;
    }
    if pen.width >= 3 && points.len() > 2 {
        for joint in &points[1..points.len() - 1] {
            backend.draw_circle(*joint, pen.width / 2, &Pen::fill(pen.ink), true)?;
        }
    }
    Ok(())
}

fn fine((x, y): At) -> BackendCoord {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

fn fine_all(points: &[At]) -> Vec<BackendCoord> {
    points.iter().copied().map(fine).collect()
}

/// A colour and a width in pixels of a backend.
struct Pen {
    ink: Ink,
    width: u32,
}

impl Pen {
    fn fill(ink: Ink) -> Pen {
        Pen { ink, width: 1 }
    }
}

impl BackendStyle for Pen {
    fn color(&self) -> BackendColor {
        self.ink.into()
    }

    fn stroke_width(&self) -> u32 {
        self.width
    }
}
