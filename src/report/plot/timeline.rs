//! One run over time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Unit;
use super::axis::{Axis, Kind, is_shown};
use super::color;
use super::font::{self, clean};
use super::frame::{Entry, Frame, LINE, MARGIN, Symbol, TO_BASELINE, apart, header, labels_width};
use super::scene::{Anchor, BLACK, GREY, Ink, SMALL, Scene, WHITE, WIDTH};

/// The height of the plot.
const HEIGHT: f64 = 280.0;
/// The height of a strip below the plot.
const STRIP: f64 = 20.0;
/// The labels of faults stand in so many rows at most. Those that find no room are left out.
const ROWS_MAX: usize = 6;
const ROW: f64 = 15.0;
/// A label is no longer than this.
const LABEL_MAX: f64 = 260.0;
/// With less room on the right of its line than this, a label is not shortened but stands on the left.
const ROOM_MIN: f64 = 90.0;
const RIGHT: f64 = 14.0;
const CUT: Ink = Ink::new(0x99_99_99).with_alpha(0.22);
const CUT_SYMBOL: Ink = Ink::new(0xE6_E6_E6);
const FAULT: Ink = Ink::new(0x55_55_55);
const UNANSWERED: Ink = Ink::new(0xB0_00_20);

/// One run over time: what the clients got when, and what happened to the replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// What the picture shows.
    pub title: String,
    /// More about it, in smaller letters.
    pub subtitle: String,
    /// Which time that is, as in `virtual time`.
    pub time: &'static str,
    /// When the run ended, in seconds.
    pub end: f64,
    /// What the clients got.
    pub answers: Vec<Answer>,
    /// What happened to the replicas at some time.
    pub faults: Vec<FaultMark>,
    /// What happened to the network for some time.
    pub cuts: Vec<CutSpan>,
    /// Who led.
    pub reigns: Vec<Reign>,
    /// When requests were sent that were never answered, in seconds.
    pub unanswered: Vec<f64>,
}

/// What a client got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// When, in seconds.
    pub time: f64,
    /// How long after the request, in seconds.
    pub latency: f64,
    /// What it was.
    pub kind: AnswerKind,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnswerKind {
    /// A value.
    Get,
    /// That a value was stored.
    Put,
    /// That another replica leads.
    Redirect,
    /// That the request failed.
    Fail,
}

impl AnswerKind {
    const ALL: [AnswerKind; 4] = [AnswerKind::Get, AnswerKind::Put, AnswerKind::Redirect, AnswerKind::Fail];

    fn name(self) -> &'static str {
        match self {
            AnswerKind::Get => "get",
            AnswerKind::Put => "put",
            AnswerKind::Redirect => "redirect",
            AnswerKind::Fail => "fail",
        }
    }

    /// The shape of its points and their colour.
    fn look(self) -> (usize, Ink) {
        match self {
            AnswerKind::Get => (0, color::SERIES[0]),
            AnswerKind::Put => (3, color::SERIES[1]),
            AnswerKind::Redirect => (2, color::SERIES[2]),
            AnswerKind::Fail => (5, BLACK),
        }
    }
}

/// Something that happened to the replicas: a thin vertical line with a label.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultMark {
    /// When, in seconds.
    pub time: f64,
    /// What, as in `kill 0002`.
    pub label: String,
}

/// A partition: a shaded band with a label.
#[derive(Clone, Debug, PartialEq)]
pub struct CutSpan {
    /// When it began, in seconds.
    pub from: f64,
    /// When it ended, in seconds.
    pub to: f64,
    /// Who was cut off.
    pub label: String,
}

/// The time for which a replica led: a coloured bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Reign {
    /// When it began, in seconds.
    pub from: f64,
    /// When it ended, in seconds.
    pub to: f64,
    /// Who led, as in `0002, term 3`. Labels that are the same up to the comma have the same colour.
    pub label: String,
}

impl Timeline {
    pub(super) fn scene(&self) -> Scene {
        let mut scene = Scene::new();
        let top = header(&mut scene, &self.title, &self.subtitle, &self.legend()) + 6.0;
        let latencies = self.answers.iter().filter(|answer| is_shown(answer.time)).map(|answer| answer.latency);
        let y = Axis::new(Unit::Seconds, Kind::Amount, latencies, 5);
        let left = MARGIN + LINE + 2.0 + labels_width(&y).max(self.strips_width());
        let right = WIDTH - MARGIN - RIGHT;
        let x = apart(Axis::time(self.end, 8), right - left);
        let mut frame = Frame { left, top, right, bottom: top + HEIGHT, x, y };
        let labels = self.labels(&frame);
        frame.top += labels.height();
        frame.bottom += labels.height();
        self.draw_plot(&mut scene, &frame, &labels, top);
        let bottom = self.draw_strips(&mut scene, &frame);
        let axis = Frame { top: bottom, bottom, ..frame };
        for tick in &axis.x.ticks {
            let x = axis.x_at(tick.value);
            scene.line(vec![(x, bottom), (x, bottom + 4.0)], 1.0, GREY);
            scene.label((x, bottom + SMALL + 6.0), Anchor::Middle, &tick.label);
        }
        axis.x_title(&mut scene, self.time, LINE + 5.0);
        scene.height = (bottom + 2.0 * LINE + MARGIN).ceil();
        scene
    }

    /// What there is in this run.
    fn legend(&self) -> Vec<Entry> {
        let mut legend = Vec::new();
        for kind in AnswerKind::ALL.into_iter().filter(|kind| self.answers.iter().any(|answer| answer.kind == *kind)) {
            let (shape, ink) = kind.look();
            legend.push(Entry { symbol: Symbol::Shape(shape, ink), name: kind.name().to_owned() });
        }
        if !self.faults.is_empty() {
            legend.push(Entry { symbol: Symbol::Moment(FAULT), name: "fault".to_owned() });
        }
        if !self.cuts.is_empty() {
            legend.push(Entry { symbol: Symbol::Band(CUT_SYMBOL), name: "partition".to_owned() });
        }
        legend
    }

    /// The room that the names of the strips need on the left.
    fn strips_width(&self) -> f64 {
        let name = |is_there: bool, name| if is_there { font::width(name, SMALL) + 6.0 - LINE } else { 0.0 };
        name(!self.reigns.is_empty(), "leader").max(name(!self.unanswered.is_empty(), "unanswered"))
    }

    /// Labels of faults and partitions, in rows above the plot.
    fn labels(&self, frame: &Frame) -> Labels {
        let mut texts: BTreeMap<u64, (f64, Vec<String>)> = BTreeMap::new();
        let faults = self.faults.iter().map(|fault| (fault.time, &fault.label));
        let cuts = self.cuts.iter().map(|cut| (cut.from.max(0.0), &cut.label));
        for (time, label) in faults.chain(cuts).filter(|(time, _)| self.is_in_run(*time)) {
            // What happens at the same time shares a label. Times are not negative, so their bits have their order.
            let (_, names) = texts.entry(time.to_bits()).or_insert((time, Vec::new()));
            let label = clean(label);
            if !label.is_empty() && !names.contains(&label) {
                names.push(label);
            }
        }
        let mut labels = Labels { rows: Vec::new() };
        for (time, names) in texts.into_values() {
            labels.add(frame, frame.x_at(time), &font::fit(&names.join(", "), SMALL, LABEL_MAX));
        }
        labels
    }

    fn is_in_run(&self, time: f64) -> bool {
        is_shown(time) && time >= 0.0 && time <= self.end.max(0.0)
    }

    fn draw_plot(&self, scene: &mut Scene, frame: &Frame, labels: &Labels, top: f64) {
        for cut in self.cuts.iter().filter(|cut| is_shown(cut.from) && cut.to > cut.from) {
            let to = cut.to.min(self.end);
            scene.fill((frame.x_at(cut.from), frame.top), (frame.x_at(to), frame.bottom), CUT);
        }
        frame.draw_y(scene, "latency", MARGIN);
        labels.draw(scene, frame, top);
        for fault in self.faults.iter().filter(|fault| self.is_in_run(fault.time)) {
            let x = frame.x_at(fault.time);
            scene.line(vec![(x, frame.top), (x, frame.bottom)], 1.0, FAULT);
        }
        frame.draw_edges(scene);
        self.draw_answers(scene, frame);
    }

    /// Each answer as a point; only one of those at the same pixel. What is rare covers what is usual.
    fn draw_answers(&self, scene: &mut Scene, frame: &Frame) {
        let count = |kind| self.answers.iter().filter(|answer| answer.kind == kind).count();
        let mut kinds = AnswerKind::ALL;
        kinds.sort_by_key(|kind| Reverse(count(*kind)));
        let is_there = |answer: &&Answer| self.is_in_run(answer.time) && is_shown(answer.latency);
        let mut drawn = BTreeSet::new();
        let by_kind = kinds.iter().flat_map(|kind| self.answers.iter().filter(|answer| answer.kind == *kind));
        for answer in by_kind.filter(is_there) {
            let (x, y) = frame.at(answer.time, answer.latency);
            if drawn.insert((x.round() as i64, y.round() as i64, answer.kind)) {
                let (shape, ink) = answer.kind.look();
                color::shape(scene, shape, (x, y), 2.6, ink);
            }
        }
        if drawn.is_empty() {
            frame.say_empty(scene);
        }
    }

    /// The strips below the plot; returns where they end.
    fn draw_strips(&self, scene: &mut Scene, frame: &Frame) -> f64 {
        let mut top = frame.bottom;
        let mut strip = |scene: &mut Scene, name: &str| {
            top += 4.0;
            let middle = top + STRIP / 2.0;
            scene.label((frame.left - 6.0, middle + TO_BASELINE), Anchor::End, name);
            top += STRIP;
            middle
        };
        if !self.unanswered.is_empty() {
            let middle = strip(scene, "unanswered");
            for time in self.unanswered.iter().filter(|time| self.is_in_run(**time)) {
                color::shape(scene, 5, (frame.x_at(*time), middle), 3.5, UNANSWERED);
            }
        }
        if !self.reigns.is_empty() {
            let middle = strip(scene, "leader");
            self.draw_reigns(scene, frame, middle);
        }
        if top > frame.bottom { top + 4.0 } else { top }
    }

    fn draw_reigns(&self, scene: &mut Scene, frame: &Frame, middle: f64) {
        let mut leaders: Vec<&str> = Vec::new();
        for reign in self.reigns.iter().filter(|reign| is_shown(reign.from) && reign.to > reign.from) {
            let leader = reign.label.split(',').next().unwrap_or_default();
            let place = leaders.iter().position(|other| *other == leader).unwrap_or_else(|| {
                leaders.push(leader);
                leaders.len() - 1
            });
            let ink = color::of_series(place);
            let (from, to) = (frame.x_at(reign.from), frame.x_at(reign.to.min(self.end)));
            scene.fill(
                (from, middle - STRIP / 2.0 + 1.0),
                ((to - 1.0).max(from + 0.5), middle + STRIP / 2.0 - 1.0),
                ink,
            );
            let (long, short) = (clean(&reign.label), clean(leader));
            let room = to - from - 8.0;
            if let Some(label) = [long, short].into_iter().find(|label| font::width(label, SMALL) <= room) {
                let letters = if color::is_dark(ink) { WHITE } else { BLACK };
                scene.text(((from + to) / 2.0, middle + TO_BASELINE), Anchor::Middle, SMALL, letters, &label);
            }
        }
    }
}

/// Labels that do not touch each other, in rows.
struct Labels {
    /// In each row, from left to right: what the label belongs to, where it begins, and the label.
    rows: Vec<Vec<(f64, f64, String)>>,
}

impl Labels {
    fn height(&self) -> f64 {
        self.rows.len() as f64 * ROW + 4.0
    }

    /// Adds a label on the right of its line, in the first row that has room down to the plot; if the picture ends
    /// there, on the left, where it must not hide earlier lines. They come from left to right.
    fn add(&mut self, frame: &Frame, x: f64, label: &str) {
        let room = WIDTH - MARGIN - (x + 3.0);
        let is_last = font::width(label, SMALL) > room && room < ROOM_MIN;
        let label = if is_last { label.to_owned() } else { font::fit(label, SMALL, room) };
        let width = font::width(&label, SMALL);
        let begin = if is_last { x - 4.0 - width } else { x + 3.0 };
        let crosses = is_last && self.rows.iter().flatten().any(|(line, ..)| *line >= begin - 2.0);
        let is_free = |row: &Vec<(f64, f64, String)>| {
            row.last().is_none_or(|(_, begun, last)| begun + font::width(last, SMALL) + 8.0 <= begin)
        };
        // Below the last row that is taken: this label's line goes down and must cross no label.
        let row = self.rows.iter().rposition(|row| !is_free(row)).map_or(0, |taken| taken + 1);
        if label.is_empty() || row == ROWS_MAX || crosses || begin < frame.left - 4.0 {
            return;
        }
        if row == self.rows.len() {
            self.rows.push(Vec::new());
        }
        self.rows[row].push((x, begin, label));
    }

    fn draw(&self, scene: &mut Scene, frame: &Frame, top: f64) {
        for (i, row) in self.rows.iter().enumerate() {
            let y = top + (i + 1) as f64 * ROW;
            for (x, begin, label) in row {
                scene.line(vec![(*x, y - SMALL + 2.0), (*x, frame.top)], 1.0, FAULT.with_alpha(0.5));
                scene.label((*begin, y - 2.0), Anchor::Start, label);
            }
        }
    }
}
