//! What is done for each run, on any thread.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::axes;
use super::super::command::{self, Words};
use super::super::program::default_protocol;
use super::sheets::Kind;
use crate::campaign::{Cell, Grid};
use crate::lab::{Case, Repro};
use crate::report::figures::Waits;
use crate::report::rows::{Details, Key, Row, Schema, write_latencies, write_messages};

/// Does single runs of a sweep.
pub(super) struct Worker<'a> {
    grid: &'a Grid,
    schema: &'a Schema,
    /// What the sheets hold, in their order.
    kinds: Vec<Kind>,
    with_waits: bool,
    /// The cell that was worked on last: neighbours are of the same one, mostly.
    prepared: Mutex<Option<Arc<Prepared>>>,
}

/// What all runs of a cell have in common.
struct Prepared {
    cell: u64,
    /// With any seed.
    case: Case,
    values: Vec<String>,
    protocol: String,
    /// What is special about the cell's scenario.
    label: String,
    scenario_words: String,
    change_words: String,
}

/// What came of a run.
pub(super) struct Finished {
    pub row: Row,
    /// For each sheet, the lines of this run.
    pub lines: Vec<Vec<u8>>,
    pub waits: Option<Vec<u64>>,
    /// If the run failed, what repeats it.
    pub repro: Option<Box<Repro>>,
    pub label: String,
}

impl<'a> Worker<'a> {
    pub fn new(grid: &'a Grid, schema: &'a Schema, kinds: Vec<Kind>, with_waits: bool) -> Worker<'a> {
        Worker { grid, schema, kinds, with_waits, prepared: Mutex::new(None) }
    }

    /// The case of the run with this number, and what is special about its cell.
    pub fn case(&self, run: u64) -> (Case, String) {
        let (cell, seed) = self.grid.place(run);
        let prepared = self.prepare(cell);
        (Case { seed, ..prepared.case.clone() }, prepared.label.clone())
    }

    /// What says which run has this number.
    pub fn key(&self, run: u64) -> Key {
        let (cell, seed) = self.grid.place(run);
        self.prepare(cell).key(run, seed)
    }

    /// Does the run with this number.
    pub fn run(&self, run: u64) -> Finished {
        let (cell, seed) = self.grid.place(run);
        let prepared = self.prepare(cell);
        let case = Case { seed, ..prepared.case.clone() };
        let with_links = self.kinds.contains(&Kind::Details(Details::Messages));
        let (trial, tally) = case.attempt_counted(with_links);
        let judged = trial.judged.as_ref().map(|judged| (&case.scenario, &judged.record, &judged.judgement));
        let row = Row::new(
            prepared.key(run, seed),
            &self.schema.columns,
            judged,
            &trial.findings,
            &tally,
            prepared.command(seed),
        );
        let record = judged.map(|(_, record, _)| record);
        let lines = self.kinds.iter().map(|kind| {
            let mut lines = Vec::new();
            match (kind, record) {
                (Kind::Rows, _) => lines = self.schema.csv(&row),
                (Kind::Json, _) => lines = self.schema.json(&row),
                (Kind::Details(Details::Latencies), Some(record)) => write_latencies(&row.key, record, &mut lines),
                (Kind::Details(Details::Messages), Some(_)) => write_messages(&row.key, &tally, &mut lines),
                (Kind::Details(_), None) => {}
            }
            lines
        });
        Finished {
            lines: lines.collect(),
            waits: self.with_waits.then(|| record.map(Waits::of).unwrap_or_default()),
            repro: (!trial.passed()).then(|| Box::new(Repro::of(&case, &trial))),
            label: prepared.label.clone(),
            row,
        }
    }

    fn prepare(&self, number: u64) -> Arc<Prepared> {
        let newest = || self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = newest().as_ref().filter(|prepared| prepared.cell == number) {
            return Arc::clone(prepared);
        }
        // Not while the lock is held: where each run is of another cell, all threads would wait for one another.
        let prepared = Arc::new(Prepared::new(self.grid, &self.grid.cell(number)));
        *newest() = Some(Arc::clone(&prepared));
        prepared
    }
}

impl Prepared {
    fn new(grid: &Grid, cell: &Cell<'_>) -> Prepared {
        let case = grid.case(cell, 0).expect("all cells were built before the first run");
        let label = cell.values.iter().map(|(name, label, _)| format!("{name}={label}")).collect::<Vec<_>>().join(",");
        let broken = grid.broken();
        let own = cell.values.iter().filter(|(name, ..)| !cell.is_foreign(name));
        let changes = own.map(|(name, _, word)| (*name, *word));
        let words = axes::words_of_values(Words::empty(), changes);
        let words = words.unless(default_protocol().name(), "--protocol", cell.protocol.name());
        let words = words.given("--without", broken);
        Prepared {
            cell: cell.number,
            values: cell.values.iter().map(|(_, label, _)| (*label).to_owned()).collect(),
            protocol: match broken {
                Some(rule) => format!("{} without {rule}", cell.protocol),
                None => cell.protocol.to_string(),
            },
            label,
            scenario_words: command::file(&cell.base.path),
            change_words: words.to_string(),
            case,
        }
    }

    fn key(&self, run: u64, seed: u64) -> Key {
        let (scenario, protocol) = (self.case.scenario.name.clone(), self.protocol.clone());
        Key { run, scenario, values: self.values.clone(), protocol, seed }
    }

    /// The command that repeats a run of this cell.
    fn command(&self, seed: u64) -> String {
        let words = Words::new("run").with(&self.scenario_words).option("--seed", seed);
        let words = if self.change_words.is_empty() { words } else { words.with(&self.change_words) };
        words.to_string()
    }
}
