//! One dimension of a grid: what is varied, and through which values.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::event::{self, EVENT, parse_events};
use super::path::Path;
use super::values::{ValuesError, parse_values};
use super::{GridError, parameter_names};
use crate::lab::Protocol;
use crate::scenario::library::{self, Kind};
use crate::scenario::load_matrix;

/// The name of the dimension whose values are [`Partition`]s.
pub const PARTITION: &str = "partition";

/// The name of the dimension whose values are files with connectivity matrices.
pub const MATRIX: &str = "matrix";

/// One dimension of a sweep as it is written down: names, each with its values. Several names are varied together:
/// the first values of all, then the second ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisSpec(pub Vec<(String, Vec<String>)>);

/// One dimension of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What is varied: paths in scenario files, parameters of replicas, `partition` or `matrix`.
    pub names: Vec<String>,
    /// The values, one point after another.
    pub points: Vec<Point>,
}

/// One value of each name of an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// As they are shown: a matrix by its file's name without folder and ending.
    pub labels: Vec<String>,
    /// As they are written on a command line.
    pub words: Vec<String>,
    pub(super) changes: Vec<Change>,
}

/// What a point does to a case.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// A key of the scenario.
    Key { path: Path, value: Value },
    /// A parameter of the replicas.
    Setting { name: String, value: f64 },
    /// The scenario's partitions.
    Partition(Partition),
    /// More events.
    Events(Vec<Value>),
}

impl Change {
    /// Changes with lower numbers come first, whatever the order of the axes: a command line has an order of its own,
    /// and the command of a row must make the same scenario.
    pub(super) fn turn(&self) -> u8 {
        match self {
            // Times of ready-made partitions are parts of the lifetime.
            Change::Key { path, .. } if path.first() == "lifetime" => 0,
            Change::Key { path, .. } if path.first() == "drops" => 1,
            Change::Partition(_) => 2,
            // After the partitions that replace the scenario's, and before changes of single events.
            Change::Events(_) => 3,
            // In place of `drops`, if both are there.
            Change::Key { path, .. } if path.first() == MATRIX && path.is_key() => 3,
            // Paths lead into the result of all changes above.
            Change::Key { .. } | Change::Setting { .. } => 4,
        }
    }
}

/// Ready-made partitions, in place of the scenario's own. Times are parts of the scenario's lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// None.
    None,
    /// One that leaves the leader its quorum, from 0.3 to 0.6.
    Easy,
    /// One that takes the leader its quorum, from 0.3 to 0.6.
    Hard,
    /// Eight of them from 0.1 to 0.85, hard and easy in turn, each half of the time.
    Flapping,
}

impl Partition {
    /// All of them.
    pub const ALL: [Partition; 4] = [Partition::None, Partition::Easy, Partition::Hard, Partition::Flapping];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Partition::None => "none",
            Partition::Easy => "easy",
            Partition::Hard => "hard",
            Partition::Flapping => "flapping",
        }
    }

    /// Its events in a scenario of this lifetime, in seconds.
    fn events(self, lifetime: f64) -> Vec<Value> {
        let between = |kind: &str, from: f64, to: f64| {
            [json!({"type": kind, "time": from * lifetime}), json!({"type": "part_end", "time": to * lifetime})]
        };
        match self {
            Partition::None => Vec::new(),
            Partition::Easy => between("part_easy", 0.3, 0.6).to_vec(),
            Partition::Hard => between("part_hard", 0.3, 0.6).to_vec(),
            Partition::Flapping => (0..8_u8)
                .flat_map(|i| {
                    let from = 0.1 * f64::from(i + 1);
                    between(if i % 2 == 0 { "part_hard" } else { "part_easy" }, from, from + 0.05)
                })
                .collect(),
        }
    }

    /// Puts them in place of those that a scenario has. Its other events stay.
    pub(super) fn apply(self, scenario: &mut Value) {
        let lifetime = scenario["lifetime"].as_f64().unwrap_or(0.0);
        let old = scenario["events"].as_array().cloned().unwrap_or_default();
        let is_partition =
            |event: &Value| matches!(event["type"].as_str(), Some("part_easy" | "part_hard" | "part_end"));
        let others = old.into_iter().filter(|event| !is_partition(event));
        scenario["events"] = others.chain(self.events(lifetime)).collect();
    }
}

impl AxisSpec {
    /// One name and its values, as in `50,100,200` or `0:0.5:0.05`.
    ///
    /// # Errors
    /// If the text is not a list of values.
    pub fn of(name: &str, values: &str) -> Result<AxisSpec, GridError> {
        if name == "events" {
            return Err(GridError::Events);
        }
        if name == EVENT {
            return Ok(AxisSpec(vec![(name.to_owned(), parse_events(values)?)]));
        }
        let problem = |problem| GridError::Values { name: name.to_owned(), problem };
        Ok(AxisSpec(vec![(name.to_owned(), parse_values(values).map_err(problem)?)]))
    }

    /// Names and values as in `raft.heartbeat_ms=50,100` or, varied together, `a=1,2+b=3,4`.
    ///
    /// # Errors
    /// If the text is not written like that.
    pub fn parse(text: &str) -> Result<AxisSpec, GridError> {
        let mut names = Vec::new();
        for assignment in assignments(text) {
            let Some((name, values)) = assignment.split_once('=') else {
                return Err(GridError::Assignment { text: assignment.chars().take(200).collect() });
            };
            names.extend(AxisSpec::of(name.trim(), values)?.0);
        }
        Ok(AxisSpec(names))
    }

    /// The files on disk that its values name.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let files = |name: &str, word: &String| match name {
            MATRIX => library::file(Kind::Matrix, word.as_ref()).into_iter().collect(),
            EVENT => event::files(word),
            _ => Vec::new(),
        };
        self.0.iter().flat_map(move |(name, words)| words.iter().flat_map(move |word| files(name, word)))
    }

    /// Makes a dimension of it for these protocols: looks whether the names and values can mean something, and reads files
    /// of matrices.
    ///
    /// # Errors
    /// If there is no such parameter, a path is malformed, a value appears twice, or a matrix cannot be read.
    pub fn resolve(&self, protocols: &[Protocol]) -> Result<Axis, GridError> {
        let parameters = parameter_names(protocols);
        let names: Vec<String> = self.0.iter().map(|(name, _)| name.clone()).collect();
        let counts: Vec<usize> = self.0.iter().map(|(_, values)| values.len()).collect();
        if let Some(place) = counts.iter().position(|&count| count != counts[0]) {
            let (first, other) = (names[0].clone(), names[place].clone());
            return Err(GridError::Uneven { first, other, counts: [counts[0], counts[place]] });
        }
        let points = (0..counts.first().copied().unwrap_or(0)).map(|place| {
            let mut point = Point { labels: Vec::new(), words: Vec::new(), changes: Vec::new() };
            for (name, values) in &self.0 {
                point.add(name, &values[place], &parameters)?;
            }
            Ok(point)
        });
        let points: Vec<Point> = points.collect::<Result<_, GridError>>()?;
        let mut labels: Vec<&[String]> = points.iter().map(|point| &point.labels[..]).collect();
        labels.sort_unstable();
        if let Some(pair) = labels.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(GridError::Values { name: names.join("+"), problem: ValuesError::Twice(pair[0].join("+")) });
        }
        Ok(Axis { points, names })
    }
}

/// The parts of a text between those `+` that begin a new name. Those of a number like `1e+3` do not.
fn assignments(text: &str) -> Vec<&str> {
    let begins = |(place, _): &(usize, &str)| {
        let rest = &text[place + 1..];
        let name = rest.split(['=', ',', '+']).next().unwrap_or("");
        rest[name.len()..].starts_with('=') && name.starts_with(|c: char| c.is_ascii_alphabetic())
    };
    let mut parts = Vec::new();
    let mut from = 0;
    for (place, _) in text.match_indices('+').filter(begins) {
        parts.push(&text[from..place]);
        from = place + 1;
    }
    parts.push(&text[from..]);
    parts
}

/// As it is written on a command line, in one word of a shell: `name=values`, several joined by `+`.
impl fmt::Display for AxisSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, values)) in self.0.iter().enumerate() {
            let join = if place == 0 { "" } else { "+" };
            write!(f, "{join}{name}={}", values.join(","))?;
        }
        Ok(())
    }
}

/// As sweep files have it: an object, with a list of values under each name, in their order.
impl Serialize for AxisSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0.iter().map(|(name, words)| (name, words.iter().map(|word| value(word)).collect::<Vec<Value>>())),
        )
    }
}

impl Point {
    fn add(&mut self, name: &str, word: &str, parameters: &[&str]) -> Result<(), GridError> {
        let mut label = word.to_owned();
        let change = match name {
            PARTITION => Change::Partition(partition(word)?),
            EVENT => Change::Events(event::events(word)?),
            MATRIX => {
                let file = PathBuf::from(word);
                label = file.file_stem().map_or_else(|| label.clone(), |stem| stem.to_string_lossy().into_owned());
                let matrix = load_matrix(&file)?;
                let rows: Vec<&[f64]> = matrix.rows().collect();
                Change::Key { path: MATRIX.parse()?, value: json!(rows) }
            }
            "seed" => return Err(GridError::Seed),
            "events" => return Err(GridError::Events),
            _ if is_parameter(name, parameters) => {
                let value = word
                    .parse()
                    .map_err(|_| GridError::NotANumber { name: name.to_owned(), value: word.to_owned() })?;
                // Its name is checked when it is set.
                Change::Setting { name: name.to_owned(), value }
            }
            _ => Change::Key { path: name.parse()?, value: value(word) },
        };
        self.labels.push(label);
        self.words.push(word.to_owned());
        self.changes.push(change);
        Ok(())
    }
}

/// Whether a name is that of a parameter, or begins like one: then it is a misspelled parameter, because no key of a
/// scenario begins like that.
fn is_parameter(name: &str, parameters: &[&str]) -> bool {
    let group = |name: &str| name.split_once('.').map(|(group, _)| group.to_owned());
    let groups: Vec<String> = parameters.iter().filter_map(|parameter| group(parameter)).collect();
    parameters.contains(&name) || group(name).is_some_and(|own| groups.contains(&own))
}

fn partition(word: &str) -> Result<Partition, GridError> {
    let found = Partition::ALL.into_iter().find(|partition| partition.name() == word);
    found.ok_or_else(|| GridError::Partition { value: word.to_owned() })
}

/// A number if it is one, else a string.
fn value(word: &str) -> Value {
    match serde_json::from_str(word) {
        Ok(Value::Number(number)) => Value::Number(number),
        _ => Value::from(word),
    }
}
