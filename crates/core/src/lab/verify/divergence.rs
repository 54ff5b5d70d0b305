//! Two runs that should have been the same and were not, for people.

use std::fmt;

use crate::printable::printable;
use crate::time::Time;

/// Two runs of a scenario with a seed that should have been the same and were not; or that both panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The scenario's name.
    pub scenario: String,
    /// The seed of both runs.
    pub seed: u64,
    /// How many events each of them had.
    pub events: [u64; 2],
    /// The first event that differs; none if all are the same. If the first two runs and two later ones parted at the
    /// same event, this is of the later ones, since more is known of them.
    pub sighting: Option<Sighting>,
    /// Where two later runs parted, if not where the first two did.
    pub again: Option<Sighting>,
    /// The messages of the panics that ended the first two runs, at any time.
    pub panics: [Option<String>; 2],
    /// Fields of the [`RunRecord`](crate::record::RunRecord) that differ, if all events are the same.
    pub fields: Vec<&'static str>,
}

/// Where two runs parted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Number of the first event that differs, or that only one of them has, counted from 1.
    pub number: u64,
    /// False if the event is this one or a later one: of very long runs not every event is kept.
    pub exact: bool,
    /// The runs were played in lockstep, so that everything is known of both. Else what events said is not kept, but
    /// for the second run's first one that differs.
    pub lockstep: bool,
    /// The last events that both have.
    pub context: Vec<Line>,
    /// How each of them went on.
    pub sides: [Side; 2],
}

/// How a run went on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// The event that differs; none if the run had ended.
    pub event: Option<Line>,
    /// What followed it.
    pub after: Vec<Line>,
    /// The message of the panic that ended the run, at once or later.
    pub panic: Option<String>,
}

/// An event and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it happened.
    pub time: Time,
    /// What happened, as [`Event`](crate::record::Event) shows it.
    pub text: String,
}

/// So many characters of an event are shown that is not the one that differs.
const SHOWN_CHARS_MAX: usize = 160;

/// The sides of a sighting.
const NAMES: [&str; 2] = ["first run", "second run"];

impl Divergence {
    /// Number of the first event that differs, counted from 1; none if all are the same.
    pub fn number(&self) -> Option<u64> {
        self.sighting.as_ref().map(|sighting| sighting.number)
    }

    /// Time of the first event that differs, in the run in which it was earlier; none if all are the same, or if none
    /// of the runs had another.
    pub fn time(&self) -> Option<Time> {
        self.sighting.as_ref().and_then(Sighting::time)
    }
}

impl Sighting {
    /// Time of the event, in the run in which it was earlier.
    pub fn time(&self) -> Option<Time> {
        self.sides.iter().filter_map(|side| Some(side.event.as_ref()?.time)).min()
    }

    /// Both runs ended here, and alike: with the same panic, or they would not be told of.
    pub(super) fn is_the_same(&self) -> bool {
        self.exact && self.sides[0] == self.sides[1] && self.sides[0].event.is_none()
    }
}

impl std::error::Error for Divergence {}

/// Several lines, the last without a line break.
impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with seed {}: ", self.scenario, self.seed)?;
        let Some(sighting) = &self.sighting else {
            let fields = self.fields.join(", ");
            return write!(f, "all {} events of two runs are the same, but not: {fields}", self.events[0]);
        };
        if sighting.is_the_same() {
            write!(f, "both runs panicked after event {}", self.events[0])?;
            return write!(f, "{sighting}");
        }
        let from = if sighting.exact { "at" } else { "at, or some time after," };
        write!(f, "two runs part {from} event {}", sighting.number)?;
        if let Some(time) = sighting.time() {
            write!(f, ", {} seconds after the start", Seconds(time))?;
        }
        write!(f, "{sighting}")?;
        if !sighting.lockstep {
            match &self.again {
                Some(again) => write!(f, "\nPlayed again in lockstep, two runs part at event {}{again}", again.number)?,
                None => write!(f, "\nPlayed again in lockstep, no two runs differ.")?,
            }
        } else if sighting.sides.iter().all(|side| side.panic.is_none()) {
            // Lockstep ends soon after the event.
            for (name, panic) in NAMES.iter().zip(&self.panics) {
                if let Some(panic) = panic {
                    write!(f, "\nPlayed to its end, the {name} panicked: {}", printable(panic))?;
                }
            }
        }
        Ok(())
    }
}

/// The last common events, and how each run went on, in lines that begin with a line break.
impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.exact {
            write!(f, "\n  (too many events to keep them all)")?;
            for (name, side) in NAMES.iter().zip(&self.sides) {
                if let Some(panic) = &side.panic {
                    write!(f, "\n  {name}: some time later it panicked: {}", printable(panic))?;
                }
            }
            return Ok(());
        }
        let first = self.number - self.context.len() as u64;
        for (number, line) in (first..).zip(&self.context) {
            write!(f, "\n{}", Row { number, line, odd: false })?;
        }
        for (name, side) in NAMES.iter().zip(&self.sides) {
            write!(f, "\n  {name}:")?;
            match &side.event {
                Some(line) => write!(f, "\n{}", Row { number: self.number, line, odd: true })?,
                None if side.panic.is_none() => write!(f, "\n> {:>7}  nothing: the run had ended", self.number)?,
                None => {}
            }
            for (number, line) in (self.number + 1..).zip(&side.after) {
                write!(f, "\n{}", Row { number, line, odd: false })?;
            }
            if let Some(panic) = &side.panic {
                let when = if side.event.is_none() { "" } else { "some time later " };
                write!(f, "\n  {when}the run panicked: {}", printable(panic))?;
            }
        }
        if let [Some(one), Some(other)] = self.sides.each_ref().map(|side| side.event.as_ref())
            && one == other
            && self.lockstep
        {
            write!(f, "\n  (the events are shown alike, but their hashes differ)")?;
        }
        Ok(())
    }
}

/// A numbered event. The odd one is marked, and shown in full.
struct Row<'a> {
    number: u64,
    line: &'a Line,
    odd: bool,
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { number, line, odd } = self;
        let (mark, text) = (if *odd { '>' } else { ' ' }, printable(&line.text));
        write!(f, "{mark} {number:>7}  {}  ", Seconds(line.time))?;
        match text.char_indices().nth(SHOWN_CHARS_MAX) {
            Some((end, _)) if !odd => write!(f, "{}...", &text[..end]),
            _ => f.write_str(&text),
        }
    }
}

/// To the nanosecond, since runs may part by as little.
struct Seconds(Time);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0.nanos() / 1_000_000_000, self.0.nanos() % 1_000_000_000)
    }
}
