//! One run over time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Unit;
use super::axis::{Axis, Kind, is_shown};
use super::color;
use super::font::{self, clean};
use super::frame::{
    Entry, Frame, LINE, MARGIN, Symbol, TO_BASELINE, apart, header_with_verdict as header, labels_width,
};
use super::labels::Labels;
use super::scene::{Anchor, At, BLACK, GREY, Ink, RED, SMALL, Scene, WHITE, WIDTH};

/// The height of the plot.
const HEIGHT: f64 = 280.0;
/// The height of a strip below the plot.
const STRIP: f64 = 20.0;
/// Leaders that overlap in time are in at most this many strips.
const LANES_MAX: usize = 3;
/// The lines of more faults than this are translucent.
const FAULTS_MAX: usize = 12;
/// The largest width of a label.
const LABEL_MAX: f64 = 260.0;
/// The radius of a point.
const POINT: f64 = 2.6;
/// Points are translucent, so that many at one place are darker than one; more than this many show no difference.
const POINTS_MAX: u32 = 3;
const POINT_ALPHA: f64 = 0.7;
/// Waits that are shorter than this, in pixels, have no line.
const WAIT_MIN: f64 = 4.0;
const WAIT_ALPHA: f64 = 0.28;
/// At most this many wrong answers have a line to the answer that they missed. More lines would hide the picture.
const MISSED_MAX: usize = 25;
const RIGHT: f64 = 14.0;
const CUT: Ink = Ink::new(0x99_99_99).with_alpha(0.22);
const CUT_SYMBOL: Ink = Ink::new(0xE6_E6_E6);
const FAULT: Ink = Ink::new(0x55_55_55);
const UNANSWERED: Ink = BLACK;
/// The colour of the time in which a checker waited in vain.
const ALARM: Ink = RED.with_alpha(0.10);
const ALARM_SYMBOL: Ink = Ink::new(0xFA_E6_E8);
/// Leaders differ in brightness only: colours are for kinds of answers.
const LEADERS: [Ink; 4] = [Ink::new(0xB4_B4_B4), Ink::new(0x5E_5E_5E), Ink::new(0xDA_DA_DA), Ink::new(0x8C_8C_8C)];

/// One run over time: the answers to the clients, the faults of the replicas, and the errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// The title of the picture.
    pub title: String,
    /// The subtitle, in smaller letters.
    pub subtitle: String,
    /// The errors of the run, in red; empty if there are none.
    pub verdict: String,
    /// The title of the horizontal axis, as in `virtual time`.
    pub clock: &'static str,
    /// When the run ended, in seconds.
    pub end: f64,
    /// The answers that the clients got.
    pub answers: Vec<Answer>,
    /// Faults at a moment.
    pub faults: Vec<FaultMark>,
    /// Partitions of the network, over some time.
    pub cuts: Vec<CutSpan>,
    /// The tenures of leaders.
    pub reigns: Vec<Reign>,
    /// When the requests without an answer were sent, in seconds.
    pub unanswered: Vec<f64>,
    /// Wrong answers.
    pub wrong: Vec<WrongAnswer>,
    /// The times of other errors.
    pub alarms: Vec<Alarm>,
}

/// A wrong answer: a red ring, and a thin line to the answer of the write that it should have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongAnswer {
    /// Its place among the answers.
    pub answer: usize,
    /// The place of the answer that shows that it is wrong, if there is one.
    pub missed: Option<usize>,
}

/// A finding of a checker at a moment or over some time: a red line or a red band, with a label.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// When, in seconds.
    pub from: f64,
    /// Until when; the same time if it was a moment.
    pub to: f64,
    /// Its label, as in `no write acknowledged`.
    pub label: String,
}

/// An answer that a client got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// When, in seconds.
    pub time: f64,
    /// How long after the request, in seconds.
    pub latency: f64,
    /// Its kind.
    pub kind: AnswerKind,
}

/// The kind of an answer.
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

/// A fault of replicas: a thin vertical line with a label.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultMark {
    /// When, in seconds.
    pub time: f64,
    /// Its label, as in `kill 0002`.
    pub label: String,
}

/// A partition: a shaded band with a label.
#[derive(Clone, Debug, PartialEq)]
pub struct CutSpan {
    /// When it began, in seconds.
    pub from: f64,
    /// When it ended, in seconds.
    pub to: f64,
    /// The replicas that were cut off.
    pub label: String,
}

/// The time for which a replica led: a grey bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Reign {
    /// When it began, in seconds.
    pub from: f64,
    /// When it ended, in seconds.
    pub to: f64,
    /// The leader and its term, as in `0002, term 3`. Labels that are the same up to the comma have the same
    /// brightness.
    pub label: String,
}

impl Timeline {
    pub(super) fn scene(&self) -> Scene {
        let mut scene = Scene::new();
        let latencies = self.answers.iter().filter(|answer| is_shown(answer.time)).map(|answer| answer.latency);
        let y = Axis::new(Unit::Seconds, Kind::Amount, latencies, 5);
        let left = MARGIN + LINE + 2.0 + labels_width(&y).max(self.strips_width());
        let right = WIDTH - MARGIN - RIGHT;
        let x = apart(Axis::time(self.end, 8), right - left);
        let mut frame = Frame { left, top: 0.0, right, bottom: HEIGHT, x, y };
        // The legend says how many labels found no room, so they come first.
        let (labels, labelled) = self.labels(&frame);
        let top = header(&mut scene, &self.title, &self.subtitle, &self.verdict, &self.legend(&frame, labelled)) + 6.0;
        frame.top = top + labels.height();
        frame.bottom = frame.top + HEIGHT;
        self.draw_plot(&mut scene, &frame, &labels, top);
        let bottom = self.draw_strips(&mut scene, &frame);
        let axis = Frame { top: bottom, bottom, ..frame };
        for tick in &axis.x.ticks {
            let x = axis.x_at(tick.value);
            scene.line(vec![(x, bottom), (x, bottom + 4.0)], 1.0, GREY);
            scene.label((x, bottom + SMALL + 6.0), Anchor::Middle, &tick.label);
        }
        axis.x_title(&mut scene, self.clock, LINE + 5.0);
        scene.height = (bottom + 2.0 * LINE + MARGIN).ceil();
        scene
    }

    /// The kinds of marks in this run, with the number of faults that have labels.
    fn legend(&self, frame: &Frame, labelled: usize) -> Vec<Entry> {
        let mut legend = Vec::new();
        let mut add = |symbol, name: String| legend.push(Entry { symbol, name });
        for kind in AnswerKind::ALL.into_iter().filter(|kind| self.answers.iter().any(|answer| answer.kind == *kind)) {
            let (shape, ink) = kind.look();
            add(Symbol::Shape(shape, ink), kind.name().to_owned());
        }
        if self.answers.iter().any(|answer| self.has_line(frame, answer)) {
            add(Symbol::Way(GREY), "wait since the request".to_owned());
        }
        if self.wrong.iter().any(|wrong| self.place_of(wrong.answer).is_some()) {
            let lines = match self.wrong.iter().filter(|wrong| wrong.missed.is_some()).count() {
                0 => String::new(),
                lines if lines > MISSED_MAX => format!(", lines of the first {MISSED_MAX} to what they missed"),
                _ => ", with a line to what it missed".to_owned(),
            };
            add(Symbol::Ring(RED), format!("wrong answer{lines}"));
        }
        match self.faults.iter().filter(|fault| self.is_in_run(fault.time)).count() {
            0 => {}
            faults if labelled < faults => {
                add(Symbol::Moment(FAULT), format!("fault ({} of {faults} without a label)", faults - labelled));
            }
            _ => add(Symbol::Moment(FAULT), "fault".to_owned()),
        }
        if !self.cuts.is_empty() {
            add(Symbol::Band(CUT_SYMBOL), "partition".to_owned());
        }
        if self.alarms.iter().any(|alarm| alarm.to > alarm.from) {
            add(Symbol::Band(ALARM_SYMBOL), "no progress".to_owned());
        }
        legend
    }

    /// The room that the names of the strips need on the left.
    fn strips_width(&self) -> f64 {
        let name = |is_there: bool, name| if is_there { font::width(name, SMALL) + 6.0 - LINE } else { 0.0 };
        name(!self.reigns.is_empty(), "leader").max(name(!self.unanswered.is_empty(), "unanswered"))
    }

    /// Labels of alarms, faults and partitions, in rows above the plot; and how many faults have one.
    fn labels(&self, frame: &Frame) -> (Labels, usize) {
        /// Events of the same time share a label.
        struct Moment {
            time: f64,
            names: Vec<String>,
            faults: usize,
            ink: Ink,
        }
        let mut moments: BTreeMap<(u64, bool), Moment> = BTreeMap::new();
        let alarms = self.alarms.iter().map(|alarm| (alarm.from, &alarm.label, RED, 0));
        let faults = self.faults.iter().map(|fault| (fault.time, &fault.label, GREY, 1));
        let cuts = self.cuts.iter().map(|cut| (cut.from.max(0.0), &cut.label, GREY, 0));
        for (time, label, ink, faults) in alarms.chain(faults).chain(cuts).filter(|(time, ..)| self.is_in_run(*time)) {
            // Times are not negative, so their bits have their order.
            let key = (time.to_bits(), ink != RED);
            let moment = moments.entry(key).or_insert(Moment { time, names: Vec::new(), faults: 0, ink });
            let label = clean(label);
            moment.faults += faults;
            if !label.is_empty() && !moment.names.contains(&label) {
                moment.names.push(label);
            }
        }
        let (mut labels, mut labelled) = (Labels::new(), 0);
        for moment in moments.into_values() {
            let text = font::fit(&moment.names.join(", "), SMALL, LABEL_MAX);
            if labels.add(frame, frame.x_at(moment.time), &text, moment.ink) {
                labelled += moment.faults;
            }
        }
        (labels, labelled)
    }

    fn is_in_run(&self, time: f64) -> bool {
        is_shown(time) && time >= 0.0 && time <= self.end.max(0.0)
    }

    fn draw_plot(&self, scene: &mut Scene, frame: &Frame, labels: &Labels, top: f64) {
        for cut in self.cuts.iter().filter(|cut| is_shown(cut.from) && cut.to > cut.from) {
            let to = cut.to.min(self.end);
            scene.fill((frame.x_at(cut.from), frame.top), (frame.x_at(to), frame.bottom), CUT);
        }
        for alarm in self.alarms.iter().filter(|alarm| is_shown(alarm.from) && alarm.to > alarm.from) {
            let to = alarm.to.min(self.end);
            scene.fill((frame.x_at(alarm.from), frame.top), (frame.x_at(to), frame.bottom), ALARM);
        }
        frame.draw_y(scene, "latency", MARGIN);
        labels.draw(scene, frame, top);
        // Many lines would hide the points between them.
        let ink = if self.faults.len() > FAULTS_MAX { FAULT.with_alpha(0.4) } else { FAULT };
        let faults = self.faults.iter().map(|fault| (fault.time, 1.0, ink));
        let alarms = self.alarms.iter().map(|alarm| (alarm.from, 1.5, RED));
        for (time, width, ink) in faults.chain(alarms).filter(|(time, ..)| self.is_in_run(*time)) {
            let x = frame.x_at(time);
            scene.line(vec![(x, frame.top), (x, frame.bottom)], width, ink);
        }
        frame.draw_edges(scene);
        self.draw_answers(scene, frame);
        self.draw_wrong(scene, frame);
    }

    /// An answer that the picture can show.
    fn place_of(&self, answer: usize) -> Option<&Answer> {
        self.answers.get(answer).filter(|answer| self.is_in_run(answer.time) && is_shown(answer.latency))
    }

    /// Whether the wait for an answer is long enough to be visible.
    fn has_line(&self, frame: &Frame, answer: &Answer) -> bool {
        let (from, to) = (answer.time - answer.latency, answer.time);
        self.is_in_run(to) && is_shown(answer.latency) && frame.x_at(to) - frame.x_at(from) >= WAIT_MIN
    }

    /// Draws each answer as a point, and its latency as a line back to its request. Rare kinds of answers cover usual
    /// ones.
    fn draw_answers(&self, scene: &mut Scene, frame: &Frame) {
        let count = |kind| self.answers.iter().filter(|answer| answer.kind == kind).count();
        let mut kinds = AnswerKind::ALL;
        kinds.sort_by_key(|kind| Reverse(count(*kind)));
        let shown = || (0..self.answers.len()).filter_map(|answer| self.place_of(answer));
        let by_kind = || kinds.iter().flat_map(|kind| shown().filter(move |answer| answer.kind == *kind));
        for answer in by_kind() {
            if self.has_line(frame, answer) {
                let (x, y) = frame.at(answer.time, answer.latency);
                let begin = frame.x_at(answer.time - answer.latency);
                scene.line(vec![(begin, y), (x, y)], 1.0, answer.kind.look().1.with_alpha(WAIT_ALPHA));
            }
        }
        let mut drawn: BTreeMap<(i64, i64, AnswerKind), u32> = BTreeMap::new();
        for answer in by_kind() {
            let (x, y) = frame.at(answer.time, answer.latency);
            let count = drawn.entry((x.round() as i64, y.round() as i64, answer.kind)).or_default();
            if *count < POINTS_MAX {
                let (shape, ink) = answer.kind.look();
                color::shape(scene, shape, (x, y), POINT, ink.with_alpha(POINT_ALPHA));
            }
            *count += 1;
        }
        if drawn.is_empty() {
            frame.say_empty(scene);
        }
    }

    /// Draws a ring around each wrong answer. Lines come first, so that they hide no ring.
    fn draw_wrong(&self, scene: &mut Scene, frame: &Frame) {
        let at = |answer: usize| -> Option<At> {
            let answer = self.place_of(answer)?;
            Some(frame.at(answer.time, answer.latency))
        };
        for wrong in self.wrong.iter().filter(|wrong| wrong.missed.is_some()).take(MISSED_MAX) {
            if let (Some(from), Some(to)) = (at(wrong.answer), wrong.missed.and_then(at)) {
                scene.line(vec![from, to], 1.0, RED.with_alpha(0.7));
            }
        }
        for place in self.wrong.iter().filter_map(|wrong| at(wrong.answer)) {
            scene.ring(place, 2.0 * POINT, 1.5, RED);
        }
    }

    /// Draws the strips below the plot, and returns the height at which they end.
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
        let lanes = self.lanes();
        let count = lanes.iter().map(|(lane, _)| lane + 1).max().unwrap_or(0);
        let middles: Vec<f64> = (0..count).map(|lane| strip(scene, if lane == 0 { "leader" } else { "" })).collect();
        self.draw_reigns(scene, frame, &lanes, &middles);
        if top > frame.bottom { top + 4.0 } else { top }
    }

    /// The strip of each tenure. If two leaders overlap in time, they are in different strips.
    fn lanes(&self) -> Vec<(usize, &Reign)> {
        let mut ends: Vec<f64> = Vec::new();
        let mut lanes = Vec::new();
        for reign in self.reigns.iter().filter(|reign| is_shown(reign.from) && reign.to > reign.from) {
            let free = ends.iter().position(|end| *end <= reign.from).unwrap_or(ends.len()).min(LANES_MAX - 1);
            if free == ends.len() {
                ends.push(reign.to);
            }
            ends[free] = ends[free].max(reign.to);
            lanes.push((free, reign));
        }
        lanes
    }

    fn draw_reigns(&self, scene: &mut Scene, frame: &Frame, lanes: &[(usize, &Reign)], middles: &[f64]) {
        let mut leaders: Vec<&str> = Vec::new();
        for (lane, reign) in lanes {
            let middle = middles[*lane];
            let leader = reign.label.split(',').next().unwrap_or_default();
            let place = leaders.iter().position(|other| *other == leader).unwrap_or_else(|| {
                leaders.push(leader);
                leaders.len() - 1
            });
            let ink = LEADERS[place % LEADERS.len()];
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
