//! A grid: scenarios, swept values, protocols and seeds. Each combination is a run with a number of its own.
//!
//! A *cell* is a combination of everything but the seed. Runs are numbered cell by cell: the scenario changes slowest,
//! then the axes in their order, then the protocol, and the seed fastest. So a run's number says everything about it,
//! and any machine can work on any part of a sweep.
//!
//! Cells can be compared pairwise: one seed draws the same clients' keys, the same timeouts and the same losses on each
//! link in all of them ("common random numbers"; see [`crate::rng`]).

mod axis;
mod event;
mod file;
mod path;
mod values;

use std::collections::BTreeMap;
use std::hash::Hash;
use std::path::PathBuf;

use serde_json::Value;

use crate::hash::StableHasher;
use crate::hint::{did_you_mean, nearest};
use crate::lab::{Case, ParameterError, Protocol, SeedRange};
use crate::printable::printable;
use crate::scenario::reader::{Source, UnknownKey, WITHOUT_QUOTES};
use crate::scenario::{Scenario, ScenarioError};
use axis::Change;

pub use axis::{Axis, AxisSpec, MATRIX, PARTITION, Partition, Point};
pub use event::{EVENT, together};
pub use file::{Overrides, SweepSpec};
pub use path::{Path, PathError};
pub use values::{VALUES_MAX, ValuesError, parse_values};

/// The most cells of a grid: all of them are looked at before the first run.
pub const CELLS_MAX: u64 = 100_000;

/// Why a grid cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// Values are malformed.
    #[error("values of `{name}`: {problem}")]
    Values {
        /// What is swept.
        name: String,
        /// What is wrong.
        problem: ValuesError,
    },
    /// An assignment has no `=`.
    #[error("`{text}` sets nothing; allowed is PATH=VALUES, as in raft.heartbeat_ms=50,100")]
    Assignment {
        /// The text.
        text: String,
    },
    /// Names that are varied together have different numbers of values.
    #[error("`{first}` has {} values and `{other}` has {}; allowed is the same number for what is varied together", counts[0], counts[1])]
    Uneven {
        /// One name.
        first: String,
        /// Another one.
        other: String,
        /// How many values they have.
        counts: [usize; 2],
    },
    /// One name is in two axes.
    #[error("`{name}` is swept twice; allowed is once")]
    Repeated {
        /// The name.
        name: String,
    },
    /// No kind of partition has this name.
    #[error("`partition` is {value}; allowed is none, easy, hard, flapping")]
    Partition {
        /// The name.
        value: String,
    },
    /// An event is malformed.
    #[error("event `{word}`: {problem}")]
    Event {
        /// The event.
        word: String,
        /// What is wrong, or what is allowed.
        problem: String,
    },
    /// Two scenarios that rows could not tell apart.
    #[error(
        "{other}: is named `{name}`, and so is {one}; allowed is each name once, as rows tell scenarios apart by it"
    )]
    SameName {
        /// The name.
        name: String,
        /// A scenario's file.
        one: String,
        /// Another one's.
        other: String,
    },
    /// The seed is not an axis.
    #[error("`seed` cannot be swept; the seeds of a sweep are given with --seeds")]
    Seed,
    /// The list of events is not a value.
    #[error("`events` is a list; --event TYPE@SECONDS adds to it, and --set events[0].time=5 changes one")]
    Events,
    /// A parameter of replicas is a number.
    #[error("`{name}` is {value}; allowed is a number")]
    NotANumber {
        /// The parameter.
        name: String,
        /// What it should be.
        value: String,
    },
    /// A protocol does not serve the clients of a scenario.
    #[error(transparent)]
    Unserved(Box<ScenarioError>),
    /// A protocol serves the clients of none of the scenarios.
    #[error("all scenarios are left out ({count}); the first one: {first}")]
    NoneServed {
        /// How many scenarios there were.
        count: usize,
        /// Why the first of them is left out.
        first: String,
    },
    /// A path is none, or leads nowhere.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A path leads nowhere in a scenario.
    #[error("{file}: {problem}")]
    Nowhere {
        /// The scenario's file.
        file: String,
        /// Where it ends.
        problem: PathError,
    },
    /// A scenario has no such key.
    #[error("unknown path `{path}`; {hint}")]
    Unknown {
        /// The path.
        path: String,
        /// What may be meant, or what is allowed.
        hint: String,
    },
    /// A parameter of replicas that cannot have this value.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// All parameters of the replicas together make no sense.
    #[error("{cell}: `{name}` is {value}; allowed is {allowed}")]
    Parameters {
        /// The cell.
        cell: String,
        /// A parameter that is wrong.
        name: String,
        /// Its value.
        value: String,
        /// What it can be.
        allowed: String,
    },
    /// A file is wrong, or a value in it.
    #[error(transparent)]
    Scenario(Box<ScenarioError>),
    /// Too many cells.
    #[error("the grid has {cells} cells; allowed is up to {CELLS_MAX}, with any number of seeds each")]
    TooManyCells {
        /// How many.
        cells: u128,
    },
    /// The grid has no runs.
    #[error("the grid is empty: it has no {what}")]
    Empty {
        /// What is missing.
        what: &'static str,
    },
}

impl From<ScenarioError> for GridError {
    fn from(error: ScenarioError) -> GridError {
        GridError::Scenario(Box::new(error))
    }
}

/// A scenario of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    /// Its file.
    pub path: PathBuf,
    /// What the file says.
    pub scenario: Scenario,
    /// What becomes of it if a protocol does not serve its clients.
    pub unserved: OnUnserved,
    /// The same as its keys.
    json: Value,
}

/// What a grid does with a scenario whose clients a protocol does not serve ([`Protocol::fit`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnserved {
    /// There is no such grid: the scenario was asked for by name.
    Refuse,
    /// It is left out, in all cells: it is one of a folder.
    LeaveOut,
    /// It stays as it is: the replicas are those of a program that no protocol stands for.
    Keep,
}

impl Base {
    /// A scenario that was read from this file. It must be served.
    pub fn new(path: PathBuf, scenario: Scenario) -> Base {
        Base { path, json: scenario.to_json(), scenario, unserved: OnUnserved::Refuse }
    }

    /// The same, where something else becomes of it if it is not served.
    #[must_use]
    pub fn unserved(self, unserved: OnUnserved) -> Base {
        Base { unserved, ..self }
    }
}

/// A grid of runs, all of which are valid.
#[derive(Clone, Debug)]
pub struct Grid {
    bases: Vec<Base>,
    axes: Vec<Axis>,
    protocols: Vec<Protocol>,
    seeds: SeedRange,
    left_out: Vec<String>,
}

/// A combination of everything but the seed.
#[derive(Clone, Debug)]
pub struct Cell<'g> {
    /// Its number, from 0.
    pub number: u64,
    /// The scenario as its file has it.
    pub base: &'g Base,
    /// The swept names, each with its point's label and its word on a command line.
    pub values: Vec<(&'g str, &'g str, &'g str)>,
    /// The point of each axis.
    points: Vec<&'g Point>,
    /// What the replicas run.
    pub protocol: &'g Protocol,
}

impl Grid {
    /// The grid of these dimensions. Builds each of its cells once, to see that it can be run. A scenario that a protocol
    /// does not serve in some cell may be [left out](OnUnserved).
    ///
    /// # Errors
    /// If it is empty or too large, or has a cell that makes no sense.
    pub fn new(
        bases: Vec<Base>,
        axes: Vec<Axis>,
        protocols: Vec<Protocol>,
        seeds: SeedRange,
    ) -> Result<Grid, GridError> {
        let mut grid = Grid { bases, axes, protocols, seeds, left_out: Vec::new() };
        grid.check_shape()?;
        let (mut left_out, mut places) = (Vec::new(), Vec::new());
        for place in 0..grid.bases.len() {
            match grid.check_base(place) {
                Ok(()) => places.push(place),
                Err(GridError::Unserved(why)) if grid.bases[place].unserved == OnUnserved::LeaveOut => {
                    left_out.push(why.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        if let (true, Some(first)) = (places.is_empty(), left_out.first()) {
            return Err(GridError::NoneServed { count: grid.bases.len(), first: first.clone() });
        }
        grid.bases = places.into_iter().map(|place| grid.bases[place].clone()).collect();
        Ok(Grid { left_out, ..grid })
    }

    /// Builds each cell of a scenario.
    fn check_base(&self, place: usize) -> Result<(), GridError> {
        // The scenario changes slowest.
        let each = self.cells() / self.bases.len() as u64;
        let first = place as u64 * each;
        (first..first + each).try_for_each(|number| self.case(&self.cell(number), self.seeds.first()).map(drop))
    }

    /// What is said of each scenario that is left out because a protocol does not serve its clients: one line that names
    /// the file, the key, the value and what is allowed.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    fn check_shape(&self) -> Result<(), GridError> {
        let names = self.names();
        for (place, name) in names.iter().enumerate() {
            if names[..place].contains(name) {
                return Err(GridError::Repeated { name: (*name).to_owned() });
            }
        }
        for (place, protocol) in self.protocols.iter().enumerate() {
            if self.protocols[..place].iter().any(|other| other.name() == protocol.name()) {
                return Err(GridError::Repeated { name: protocol.to_string() });
            }
        }
        let mut files = BTreeMap::new();
        for base in &self.bases {
            let file = printable(&base.path.to_string_lossy());
            if let Some(one) = files.insert(&base.scenario.name, file.clone()) {
                return Err(GridError::SameName { name: printable(&base.scenario.name), one, other: file });
            }
        }
        let mut what = [("scenario", self.bases.len()), ("protocol", self.protocols.len())].into_iter();
        if let Some((what, _)) = what.find(|(_, count)| *count == 0) {
            return Err(GridError::Empty { what });
        }
        if self.axes.iter().any(|axis| axis.points.is_empty()) {
            return Err(GridError::Empty { what: "value" });
        }
        let cells = self.sizes().fold(1_u128, |cells, size| cells.saturating_mul(size as u128));
        if cells > u128::from(CELLS_MAX) { Err(GridError::TooManyCells { cells }) } else { Ok(()) }
    }

    /// How many choices there are in each dimension, from the one that changes slowest.
    fn sizes(&self) -> impl DoubleEndedIterator<Item = usize> {
        let axes = self.axes.iter().map(|axis| axis.points.len());
        [self.bases.len()].into_iter().chain(axes).chain([self.protocols.len()])
    }

    /// The swept names, in order.
    pub fn names(&self) -> Vec<&str> {
        self.axes.iter().flat_map(|axis| &axis.names).map(String::as_str).collect()
    }

    /// The rule that the replicas break, if they do.
    pub fn broken(&self) -> Option<&'static str> {
        self.protocols.iter().find_map(Protocol::broken)
    }

    /// How many cells there are.
    pub fn cells(&self) -> u64 {
        self.sizes().product::<usize>() as u64
    }

    /// How many runs there are; the largest number if they are more.
    pub fn runs(&self) -> u64 {
        self.cells().saturating_mul(self.seeds.count())
    }

    /// A hash of everything that says which runs there are, and of the program's version: parts of one sweep have the
    /// same.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = StableHasher::new();
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        for base in &self.bases {
            (base.path.to_string_lossy(), &base.scenario.name, base.json.to_string()).hash(&mut hasher);
        }
        for axis in &self.axes {
            axis.names.hash(&mut hasher);
            for point in &axis.points {
                (&point.labels, &point.words).hash(&mut hasher);
                // The content of matrix files counts, too.
                format!("{:?}", point.changes).hash(&mut hasher);
            }
        }
        for protocol in &self.protocols {
            (protocol.name(), protocol.broken()).hash(&mut hasher);
        }
        self.seeds.to_string().hash(&mut hasher);
        hasher.value()
    }

    /// The cell and the seed of a run.
    pub fn place(&self, run: u64) -> (u64, u64) {
        let seeds = self.seeds.count();
        (run / seeds, self.seeds.first() + run % seeds)
    }

    /// A cell by its number.
    ///
    /// # Panics
    /// If there is no such cell.
    pub fn cell(&self, number: u64) -> Cell<'_> {
        let mut rest = number as usize;
        let mut places: Vec<usize> = self
            .sizes()
            .rev()
            .map(|size| {
                let place = rest % size;
                rest /= size;
                place
            })
            .collect();
        assert_eq!(rest, 0, "there is no cell {number}");
        places.reverse();
        let points: Vec<&Point> =
            self.axes.iter().zip(&places[1..]).map(|(axis, &place)| &axis.points[place]).collect();
        let mut values = Vec::new();
        for (axis, point) in self.axes.iter().zip(&points) {
            let names = axis.names.iter().zip(&point.labels).zip(&point.words);
            values.extend(names.map(|((name, label), word)| (name.as_str(), label.as_str(), word.as_str())));
        }
        let protocol = &self.protocols[places[places.len() - 1]];
        Cell { number, base: &self.bases[places[0]], values, points, protocol }
    }

    /// The case of a cell with this seed.
    ///
    /// # Errors
    /// If the cell makes no sense. A grid that was made has no such cell.
    pub fn case(&self, cell: &Cell<'_>, seed: u64) -> Result<Case, GridError> {
        let mut protocol = cell.protocol.clone();
        let mut json = None;
        for change in cell.changes() {
            match change {
                Change::Setting { name, value } => self.set(&mut protocol, name, *value)?,
                change => edit(json.get_or_insert_with(|| cell.base.json.clone()), change)
                    .map_err(|problem| GridError::Nowhere { file: cell.base.path.display().to_string(), problem })?,
            }
        }
        protocol.validate().map_err(|error| match error {
            ParameterError::Value { name, value, allowed } => {
                GridError::Parameters { cell: cell.to_string(), name, value, allowed }
            }
            unknown @ ParameterError::Unknown { .. } => unknown.into(),
        })?;
        let scenario = match json {
            None => cell.base.scenario.clone(),
            Some(json) => self.read(cell, &json)?,
        };
        if cell.base.unserved == OnUnserved::Keep {
            return Ok(Case { scenario, seed, protocol });
        }
        let in_file = |error: crate::lab::Unserved| error.in_file(&printable(&cell.to_string()), str::to_owned);
        let scenario = protocol.fit(scenario).map_err(|error| GridError::Unserved(Box::new(in_file(error))))?;
        Ok(Case { scenario, seed, protocol })
    }

    /// Sets a parameter. A protocol that does not have it stays as it is, if another one of the grid has it.
    fn set(&self, protocol: &mut Protocol, name: &str, value: f64) -> Result<(), GridError> {
        match protocol.set(name, value) {
            Ok(()) => Ok(()),
            Err(error @ ParameterError::Value { .. }) => Err(error.into()),
            Err(ParameterError::Unknown { .. }) if parameter_names(&self.protocols).contains(&name) => Ok(()),
            Err(ParameterError::Unknown { .. }) => Err(self.unknown(name, None)),
        }
    }

    /// The error of a path that is neither a parameter nor a key. `hint` names the key that may be meant.
    fn unknown(&self, path: &str, hint: Option<String>) -> GridError {
        let names = parameter_names(&self.protocols);
        let meant = nearest(path, names.iter().copied()).map(did_you_mean);
        let all = || {
            let of = self.protocols.iter().map(Protocol::name).collect::<Vec<_>>().join(" or ");
            match &names[..] {
                [] => format!("allowed is a key of scenario files (docs/scenarios.md), as {of} has no parameters"),
                names => format!(
                    "allowed is a key of scenario files (docs/scenarios.md) or a parameter of {of}: {}",
                    names.join(", ")
                ),
            }
        };
        GridError::Unknown { path: path.to_owned(), hint: meant.or(hint).unwrap_or_else(all) }
    }

    /// Reads the edited keys as a scenario. What the file itself had is known to be right, so a key that means nothing
    /// comes from an axis.
    fn read(&self, cell: &Cell<'_>, json: &Value) -> Result<Scenario, GridError> {
        let source = Source::new(&cell.to_string());
        let json = source.parse(&json.to_string())?;
        // A string here was not a string on the command line, so a hint about quotes would be wrong.
        let without_hint = |error| match error {
            ScenarioError::Invalid { file, key, value, allowed, hint } if hint.as_deref() == Some(WITHOUT_QUOTES) => {
                ScenarioError::Invalid { file, key, value, allowed, hint: None }
            }
            other => other,
        };
        let scenario =
            Scenario::from_object(&cell.base.scenario.name, &mut source.top(&json)?).map_err(without_hint)?;
        match source.first_unknown() {
            Some(UnknownKey { path, hint }) => Err(self.unknown(&path, hint.strip_prefix("; ").map(str::to_owned))),
            None => Ok(scenario),
        }
    }
}

impl Cell<'_> {
    /// Whether a swept name is a parameter that this cell's protocol does not have: another one of the grid does.
    pub fn is_foreign(&self, name: &str) -> bool {
        let sets = |change: &&Change| matches!(change, Change::Setting { name: set, .. } if set == name);
        let is_parameter = self.points.iter().flat_map(|point| &point.changes).any(|change| sets(&change));
        is_parameter && self.protocol.parameters().iter().all(|(own, _)| *own != name)
    }

    /// What its points do to a case, in the order in which it is done.
    fn changes(&self) -> Vec<&Change> {
        let mut changes: Vec<&Change> = self.points.iter().flat_map(|point| &point.changes).collect();
        changes.sort_by_key(|change| change.turn());
        changes
    }
}

/// The names of the parameters that any of these protocols has.
fn parameter_names(protocols: &[Protocol]) -> Vec<&'static str> {
    protocols.iter().flat_map(Protocol::parameters).map(|(name, _)| name).collect()
}

/// Makes a change in the keys of a scenario. A matrix and a uniform loss describe the same links: the one that is
/// changed last counts.
fn edit(json: &mut Value, change: &Change) -> Result<(), PathError> {
    match change {
        Change::Key { path, value } => {
            let other = match path.first() {
                "drops" => Some(MATRIX),
                MATRIX if path.is_key() => Some("drops"),
                _ => None,
            };
            if let (Some(other), Value::Object(entries)) = (other, &mut *json) {
                entries.remove(other);
            }
            path.set(json, value.clone())
        }
        Change::Partition(partition) => {
            partition.apply(json);
            Ok(())
        }
        Change::Events(events) => {
            let mut all = json["events"].as_array().cloned().unwrap_or_default();
            all.extend_from_slice(events);
            json["events"] = all.into();
            Ok(())
        }
        Change::Setting { .. } => Ok(()),
    }
}

/// The scenario's file and what is changed, as in `scenarios/simple-2.json with drops=0.3`.
impl std::fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.base.path.display())?;
        for (place, (name, label, _)) in self.values.iter().enumerate() {
            write!(f, "{} {name}={label}", if place == 0 { " with" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
