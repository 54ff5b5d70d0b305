//! The rows of a sweep: one for each run, tidy, without anything that depends on the machine.
//!
//! A [`Schema`] knows the header and writes and reads rows as CSV and as JSON lines, always in one line. What is read
//! is what was written, so a summary of a file says the same as one of the runs themselves.

mod columns;
mod details;
mod facts;
mod part;

use std::io;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use seedbed_core::check::{Finding, Judgement};
use seedbed_core::record::{RunRecord, Tally};
use seedbed_core::scenario::Scenario;

pub use columns::{Column, Columns, FEW, MAIN, Unit, UnknownMetric};
pub use details::{Details, write_latencies, write_messages};
pub(super) use facts::waits;
use facts::{Facts, Known};
pub use part::{Merge, MergeError, Part, PartMark, Shard, ShardError, read_line, run_of};

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The run does not have it.
    Missing,
    /// True or false.
    Flag(bool),
    /// A whole number.
    Count(u64),
    /// Any number.
    Number(f64),
    /// A word or a text.
    Text(String),
}

/// What says which run it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The run's number in its sweep.
    pub run: u64,
    /// The scenario's name.
    pub scenario: String,
    /// The label of each swept value.
    pub values: Vec<String>,
    /// What the replicas ran.
    pub protocol: String,
    /// The seed.
    pub seed: u64,
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which run it is.
    pub key: Key,
    /// The columns that it has.
    pub columns: Columns,
    /// A value for each of them.
    pub measures: Vec<Value>,
    /// The command that repeats the run.
    pub command: String,
}

/// A file that is not a file of rows, or not of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The header is that of no rows.
    #[error("its first line is not the header of a sweep's rows")]
    Header,
    /// A row has not as many values as the header, or a value of the wrong kind.
    #[error("row {row}: `{column}` is {value:?}, which no sweep writes")]
    Value {
        /// The number of the row, from 1.
        row: u64,
        /// The column.
        column: String,
        /// What it holds.
        value: String,
    },
    /// A row is not a line of CSV with as many values as the header.
    #[error("row {row}: is not a row of {columns} values")]
    Shape {
        /// The number of the row, from 1.
        row: u64,
        /// How many values it should have.
        columns: usize,
    },
}

impl From<u64> for Value {
    fn from(count: u64) -> Value {
        Value::Count(count)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Missing, Into::into)
    }
}

impl Value {
    /// As a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Value::Count(count) => Some(count as f64),
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn csv(&self) -> String {
        match self {
            Value::Missing => String::new(),
            Value::Flag(flag) => flag.to_string(),
            Value::Count(count) => count.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text.clone(),
        }
    }

    fn read(text: &str, unit: Unit) -> Option<Value> {
        Some(match unit {
            _ if text.is_empty() => Value::Missing,
            Unit::Text => Value::Text(text.to_owned()),
            Unit::Flag => Value::Flag(text.parse().ok()?),
            Unit::Count(_) => Value::Count(text.parse().ok()?),
            Unit::Seconds | Unit::Ratio(_) => {
                Value::Number(text.parse().ok().filter(|number: &f64| number.is_finite())?)
            }
        })
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Missing => serializer.serialize_none(),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::Count(count) => serializer.serialize_u64(*count),
            Value::Number(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl Row {
    /// The row of a run. `judged` is none if the run panicked.
    pub fn new(
        key: Key,
        columns: &Columns,
        judged: Option<(&Scenario, &RunRecord, &Judgement)>,
        findings: &[Finding],
        tally: &Tally,
        command: String,
    ) -> Row {
        let known = judged.map(|(scenario, record, judgement)| Known::new(scenario, record, judgement, tally));
        let facts = Facts { known, findings };
        let measures = columns.iter().map(|column| column.value(&facts)).collect();
        Row { key, columns: columns.clone(), measures, command }
    }

    /// The value of a column.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn measure(&self, name: &str) -> &Value {
        &self.measures[self.columns.find(name).expect("a column")]
    }

    /// Whether no checker has found anything.
    pub fn passed(&self) -> bool {
        *self.measure("passed") == Value::Flag(true)
    }
}

/// What rows of one sweep have in common: the names of the swept values, and the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The swept names, each a column after `scenario`.
    pub names: Vec<String>,
    /// The columns that measure a run.
    pub columns: Columns,
}

/// The columns before the swept values, those after, and the last.
const BEFORE: [&str; 2] = ["run", "scenario"];
const AFTER: [&str; 2] = ["protocol", "seed"];
const LAST: &str = "command";

impl Schema {
    /// The columns that say which run a row is of.
    pub fn key_columns(&self) -> impl Iterator<Item = &str> {
        BEFORE.into_iter().chain(self.names.iter().map(String::as_str)).chain(AFTER)
    }

    /// All columns.
    pub fn header(&self) -> Vec<&str> {
        self.key_columns().chain(self.columns.iter().map(|column| &*column.name)).chain([LAST]).collect()
    }

    /// The header as a line of CSV.
    pub fn csv_header(&self) -> Vec<u8> {
        csv_line(self.header())
    }

    /// The row as a line of CSV.
    pub fn csv(&self, row: &Row) -> Vec<u8> {
        let measures = row.measures.iter().map(Value::csv);
        csv_line(row.key.cells().into_iter().chain(measures).chain([row.command.clone()]))
    }

    /// The row as a line of JSON.
    pub fn json(&self, row: &Row) -> Vec<u8> {
        let mut line = serde_json::to_vec(&JsonRow { schema: self, row }).expect("all keys are texts");
        line.push(b'\n');
        line
    }

    /// How each line of CSV of a run begins, whatever the file holds.
    pub fn csv_start(&self, key: &Key) -> Vec<u8> {
        let mut start = csv_line(key.cells());
        if let Some(end) = start.last_mut() {
            *end = b',';
        }
        start
    }

    /// How the line of JSON of a run begins.
    pub fn json_start(&self, key: &Key) -> Vec<u8> {
        let mut start = serde_json::to_vec(&JsonKey { schema: self, key }).expect("all keys are texts");
        if let Some(end) = start.last_mut() {
            *end = b',';
        }
        start
    }

    /// The schema of a file whose first record this is.
    ///
    /// # Errors
    /// If it is no header of rows.
    pub fn read_header(record: &csv::StringRecord) -> Result<Schema, RowError> {
        let all: Vec<&str> = record.iter().collect();
        let columns = Columns::read(&all).ok_or(RowError::Header)?;
        let tail = AFTER.len() + columns.len() + 1;
        let end = all.len().checked_sub(tail).filter(|end| *end >= BEFORE.len()).ok_or(RowError::Header)?;
        let names = all[BEFORE.len()..end].iter().map(|name| (*name).to_owned()).collect();
        let schema = Schema { names, columns };
        if schema.header() == all { Ok(schema) } else { Err(RowError::Header) }
    }

    /// Reads what [`Schema::csv`] wrote. `number` is that of the row, for messages.
    ///
    /// # Errors
    /// If it is not a row of this schema.
    pub fn read_csv(&self, record: &csv::StringRecord, number: u64) -> Result<Row, RowError> {
        let columns = self.header();
        if record.len() != columns.len() {
            return Err(RowError::Shape { row: number, columns: columns.len() });
        }
        let wrong = |place: usize| RowError::Value {
            row: number,
            column: columns[place].to_owned(),
            value: record[place].chars().take(60).collect(),
        };
        let values = BEFORE.len()..BEFORE.len() + self.names.len();
        let seed = values.end + 1;
        let key = Key {
            run: record[0].parse().map_err(|_| wrong(0))?,
            scenario: record[1].to_owned(),
            values: values.clone().map(|place| record[place].to_owned()).collect(),
            protocol: record[values.end].to_owned(),
            seed: record[seed].parse().map_err(|_| wrong(seed))?,
        };
        let measures = self.columns.iter().enumerate().map(|(place, column)| {
            let place = seed + 1 + place;
            Value::read(&record[place], column.unit).ok_or_else(|| wrong(place))
        });
        let measures = measures.collect::<Result<_, _>>()?;
        let command = record[columns.len() - 1].to_owned();
        Ok(Row { key, columns: self.columns.clone(), measures, command })
    }
}

impl Key {
    /// As cells of CSV.
    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.run.to_string(), self.scenario.clone()];
        cells.extend_from_slice(&self.values);
        cells.extend([self.protocol.clone(), self.seed.to_string()]);
        cells
    }

    /// As entries of a JSON object; swept values that are numbers are numbers there, too.
    fn serialize_entries<M: SerializeMap>(&self, schema: &Schema, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(BEFORE[0], &self.run)?;
        map.serialize_entry(BEFORE[1], &self.scenario)?;
        for (name, value) in schema.names.iter().zip(&self.values) {
            match serde_json::from_str::<serde_json::Number>(value) {
                Ok(number) => map.serialize_entry(name, &number)?,
                Err(_) => map.serialize_entry(name, value)?,
            }
        }
        map.serialize_entry(AFTER[0], &self.protocol)?;
        map.serialize_entry(AFTER[1], &self.seed)
    }
}

struct JsonKey<'a> {
    schema: &'a Schema,
    key: &'a Key,
}

impl Serialize for JsonKey<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.key.serialize_entries(self.schema, &mut map)?;
        map.end()
    }
}

struct JsonRow<'a> {
    schema: &'a Schema,
    row: &'a Row,
}

impl Serialize for JsonRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.row.key.serialize_entries(self.schema, &mut map)?;
        for (column, value) in self.row.columns.iter().zip(&self.row.measures) {
            map.serialize_entry(&column.name, value)?;
        }
        map.serialize_entry(LAST, &self.row.command)?;
        map.end()
    }
}

/// One line of CSV.
fn csv_line<T: AsRef<[u8]>>(cells: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().buffer_capacity(1_024).from_writer(Vec::new());
    writer.write_record(cells).expect("memory takes everything");
    writer.into_inner().map_err(|error| io::Error::other(error.to_string())).expect("memory takes everything")
}

#[cfg(test)]
mod tests;
