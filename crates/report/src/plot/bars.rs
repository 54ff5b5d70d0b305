//! Operations of clients as bars over the order of their events.

use super::Unit;
use super::axis::{Axis, Kind, Tick};
use super::color;
use super::font::{self, clean};
use super::frame::{Entry, Frame, LINE, MARGIN, Symbol, TO_BASELINE, header_with_verdict};
use super::scene::{Anchor, BLACK, GREY, Ink, PALE, RED, SMALL, Scene, WIDTH};

/// The height of a lane: a label and a bar below it.
const LANE: f64 = 32.0;
/// The height of a bar.
const BAR: f64 = 10.0;
/// The free space above the bars of a client.
const GAP: f64 = 6.0;
/// The largest width of a label.
const LABEL_MAX: f64 = 330.0;
/// The largest width of a client's name.
const NAME_MAX: f64 = 150.0;
/// The free space between a label and the next bar.
const APART: f64 = 8.0;
/// A bar is at least this long, so that it can be seen.
const BAR_MIN: f64 = 4.0;
const PLAIN: Ink = Ink::new(0x9A_A5_B1);
const NAMED: Ink = color::SERIES[0];

/// Operations of clients, from the invocation to the answer. Events are at equal distances in their order, because only
/// their order counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// The title of the picture.
    pub title: String,
    /// The subtitle, in smaller letters.
    pub subtitle: String,
    /// The error, in red.
    pub verdict: String,
    /// The operations.
    pub bars: Vec<Bar>,
}

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its client. Clients are shown below each other in the order of their first operations.
    pub client: String,
    /// The request and the answer.
    pub label: String,
    /// When it began, in nanoseconds.
    pub from: u64,
    /// When it ended; none if it may take effect at any later time.
    pub to: Option<u64>,
    /// Its part in the violation.
    pub part: BarPart,
}

/// The part of an operation in a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarPart {
    /// Its answer is wrong.
    Wrong,
    /// It shows that the answer is wrong.
    Named,
    /// It was open at the same time.
    Other,
}

impl BarPart {
    fn ink(self) -> Ink {
        match self {
            BarPart::Wrong => RED,
            BarPart::Named => NAMED,
            BarPart::Other => PLAIN,
        }
    }
}

/// A bar with its place.
struct Placed<'b> {
    bar: &'b Bar,
    label: String,
    /// From the left.
    from: f64,
    to: f64,
    /// Where its label begins.
    label_at: f64,
    /// The lane, among those of all clients.
    lane: usize,
}

impl Bars {
    pub(super) fn scene(&self) -> Scene {
        let mut scene = Scene::new();
        let top = header_with_verdict(&mut scene, &self.title, &self.subtitle, &self.verdict, &self.legend()) + GAP;
        let names: Vec<String> = self.clients().iter().map(|name| font::fit(&clean(name), SMALL, NAME_MAX)).collect();
        let widest = names.iter().map(|name| font::width(name, SMALL)).fold(0.0, f64::max);
        let mut frame = self.frame(MARGIN + widest + 12.0, top);
        let (placed, lanes) = self.place(&frame);
        frame.bottom = top + lanes.iter().sum::<usize>() as f64 * LANE + lanes.len() as f64 * GAP + GAP;
        for tick in &frame.x.ticks {
            let x = frame.x_at(tick.value);
            scene.line(vec![(x, frame.top), (x, frame.bottom)], 1.0, PALE);
        }
        frame.draw_edges(&mut scene);
        let mut y = frame.top + GAP;
        let mut lane_tops = Vec::new();
        for (name, &count) in names.iter().zip(&lanes) {
            scene.label((frame.left - 8.0, y + LANE - BAR / 2.0 + TO_BASELINE - 4.0), Anchor::End, name);
            lane_tops.extend((0..count).map(|lane| y + lane as f64 * LANE));
            y += count as f64 * LANE + GAP;
        }
        for placed in &placed {
            placed.draw(&mut scene, lane_tops[placed.lane], frame.right);
        }
        for tick in self.labelled(&frame) {
            let x = frame.x_at(tick.value);
            scene.line(vec![(x, frame.bottom), (x, frame.bottom + 4.0)], 1.0, GREY);
            scene.label((x, frame.bottom + SMALL + 6.0), Anchor::Middle, &tick.label);
        }
        frame.x_title(&mut scene, "time of each invocation and answer, in order, not to scale", LINE + 5.0);
        scene.height = (frame.bottom + 2.0 * LINE + MARGIN).ceil();
        scene
    }

    /// The ticks whose labels do not touch, from the last on: the wrong answer mostly came last.
    fn labelled<'f>(&self, frame: &'f Frame) -> Vec<&'f Tick> {
        let mut end = f64::INFINITY;
        let mut shown = Vec::new();
        for tick in frame.x.ticks.iter().rev() {
            let (middle, half) = (frame.x_at(tick.value), font::width(&tick.label, SMALL) / 2.0);
            if middle + half <= end {
                end = middle - half - 2.0 * APART;
                shown.push(tick);
            }
        }
        shown
    }

    fn legend(&self) -> Vec<Entry> {
        let parts =
            [(BarPart::Wrong, "wrong answer"), (BarPart::Named, "what shows it"), (BarPart::Other, "other operations")];
        let there = parts.into_iter().filter(|(part, _)| self.bars.iter().any(|bar| bar.part == *part));
        let mut legend: Vec<Entry> =
            there.map(|(part, name)| Entry { symbol: Symbol::Band(part.ink()), name: name.to_owned() }).collect();
        if self.bars.iter().any(|bar| bar.to.is_none()) {
            let name = "dashed: may take effect at any later time, or never".to_owned();
            legend.push(Entry { symbol: Symbol::None, name });
        }
        legend
    }

    /// Clients in the order of their first operations.
    fn clients(&self) -> Vec<&str> {
        let mut first: Vec<&Bar> = self.bars.iter().collect();
        first.sort_by_key(|bar| bar.from);
        let mut clients: Vec<&str> = Vec::new();
        for bar in first {
            if !clients.contains(&bar.client.as_str()) {
                clients.push(&bar.client);
            }
        }
        clients
    }

    /// All times of events in order.
    fn times(&self) -> Vec<u64> {
        let mut times: Vec<u64> = self.bars.iter().flat_map(|bar| std::iter::once(bar.from).chain(bar.to)).collect();
        times.sort_unstable();
        times.dedup();
        times
    }

    /// A frame whose horizontal axis has a place for each event, and one after the last for operations that do not end.
    fn frame(&self, left: f64, top: f64) -> Frame {
        let times = self.times();
        let last = times.len().max(2) as f64 - 1.0;
        let tick =
            |(place, time): (usize, &u64)| Tick { value: place as f64, label: format!("{:.6} s", *time as f64 / 1e9) };
        let ticks = times.iter().enumerate().map(tick).collect();
        let x = Axis::new(Unit::Plain, Kind::Place, [0.0, last], 2).with_ticks(ticks).with_inset(0.02);
        let y = Axis::new(Unit::Plain, Kind::Place, [], 1);
        Frame { left, top, right: WIDTH - MARGIN - 24.0, bottom: top, x, y }
    }

    /// Places the bars in the lanes of their clients, so that neither bars nor labels overlap. Also returns the number
    /// of lanes of each client.
    fn place(&self, frame: &Frame) -> (Vec<Placed<'_>>, Vec<usize>) {
        let times = self.times();
        let x_at = |time: u64| frame.x_at(times.partition_point(|&other| other < time) as f64);
        let (mut placed, mut lanes): (Vec<Placed<'_>>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut first_lane = 0;
        for client in self.clients() {
            let mut bars: Vec<&Bar> = self.bars.iter().filter(|bar| bar.client == client).collect();
            bars.sort_by_key(|bar| bar.from);
            // How far each lane is occupied.
            let mut taken: Vec<f64> = Vec::new();
            for bar in bars {
                let from = x_at(bar.from);
                let to = bar.to.map_or(frame.right, |to| x_at(to).max(from + BAR_MIN));
                let label = font::fit(&clean(&bar.label), SMALL, LABEL_MAX);
                let width = font::width(&label, SMALL);
                // A label that does not fit on the right is moved to the left.
                let label_at = from.min(frame.right - width).max(frame.left + 2.0);
                let free = taken.iter().position(|&end| end <= label_at.min(from));
                let lane = free.unwrap_or(taken.len());
                if free.is_none() {
                    taken.push(0.0);
                }
                taken[lane] = to.max(label_at + width) + APART;
                placed.push(Placed { bar, label, from, to, label_at, lane: first_lane + lane });
            }
            first_lane += taken.len();
            lanes.push(taken.len());
        }
        (placed, lanes)
    }
}

impl Placed<'_> {
    fn draw(&self, scene: &mut Scene, top: f64, right: f64) {
        let ink = self.bar.part.ink();
        let (upper, lower) = (top + LANE - BAR - 4.0, top + LANE - 4.0);
        let middle = (upper + lower) / 2.0;
        if self.bar.to.is_some() {
            scene.fill((self.from, upper), (self.to, lower), ink);
        } else {
            scene.fill((self.from, upper), (self.from + BAR_MIN, lower), ink);
            scene.dashed(vec![(self.from, middle), (right, middle)], &[6.0, 4.0], 2.0, ink);
        }
        let letters = if self.bar.part == BarPart::Other { GREY } else { BLACK };
        let letters = if self.bar.part == BarPart::Wrong { RED } else { letters };
        scene.text((self.label_at, upper - 4.0), Anchor::Start, SMALL, letters, &self.label);
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::Mark;
    use super::*;

    fn bar(client: &str, label: &str, from: u64, to: Option<u64>) -> Bar {
        Bar { client: client.to_owned(), label: label.to_owned(), from, to, part: BarPart::Other }
    }

    fn picture(bars: Vec<Bar>) -> Bars {
        Bars { title: "t".to_owned(), subtitle: String::new(), verdict: String::new(), bars }
    }

    /// The labels with the places of their beginnings and ends.
    fn labels(scene: &Scene, bars: &[Bar]) -> Vec<(f64, f64, f64)> {
        let texts = scene.marks.iter().filter_map(|mark| if let Mark::Text(text) = mark { Some(text) } else { None });
        let of_bars = texts.filter(|text| {
            bars.iter().any(|bar| {
                text.text.trim_end_matches('…').len() > 1 && bar.label.starts_with(text.text.trim_end_matches('…'))
            })
        });
        of_bars.map(|text| (text.at.1, text.at.0, text.at.0 + font::width(&text.text, SMALL))).collect()
    }

    #[test]
    fn no_two_labels_overlap_and_none_leaves_the_picture() {
        let long = "enqueue ".to_owned() + &"x".repeat(300);
        let bars: Vec<Bar> = (0..12)
            .map(|n| bar(&format!("client {}", n % 3), &long, n * 10, (n % 4 != 0).then_some(n * 10 + 15)))
            .collect();
        let scene = picture(bars.clone()).scene();
        let mut labels = labels(&scene, &bars);
        assert_eq!(labels.len(), 12);
        labels.sort_by(|one, other| one.partial_cmp(other).expect("numbers"));
        for pair in labels.windows(2) {
            assert!(pair[0].0 != pair[1].0 || pair[0].2 < pair[1].1, "{pair:?}");
        }
        assert!(labels.iter().all(|&(y, from, to)| y < scene.height && from > 0.0 && to < WIDTH), "{labels:?}");
    }

    #[test]
    fn a_picture_without_operations_is_drawn_too() {
        assert!(picture(Vec::new()).scene().height > 0.0);
        assert!(picture(vec![bar("a", "", u64::MAX, None)]).scene().height > 0.0);
    }
}
