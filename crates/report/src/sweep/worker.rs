//! One run of a sweep, on any thread: from its number to the lines of each sheet.

use std::sync::{Arc, Mutex, PoisonError};

use super::sheets::Kind;
use super::{CellCommand, CommandOf};
use crate::rows::{Details, Key, Row, Schema, write_latencies, write_messages};
use crate::waits::Waits;
use seedbed_core::campaign::{Cell, Grid};
use seedbed_core::lab::{Case, Repro};

/// Does single runs of a sweep.
pub(super) struct Worker<'a> {
    grid: &'a Grid,
    schema: &'a Schema,
    command_of: Option<&'a CommandOf<'a>>,
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
    /// The cell's swept values, for names of files.
    label: String,
    command: Option<CellCommand>,
}

/// The result of a run.
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
    /// For runs whose results go to these sheets.
    pub fn new(
        grid: &'a Grid,
        schema: &'a Schema,
        command_of: Option<&'a CommandOf<'a>>,
        kinds: Vec<Kind>,
    ) -> Worker<'a> {
        Worker { grid, schema, command_of, kinds, with_waits: false, prepared: Mutex::new(None) }
    }

    /// Also with how long clients waited, if they are wanted.
    pub fn with_waits(self, with_waits: bool) -> Worker<'a> {
        Worker { with_waits, ..self }
    }

    /// The case of the run with this number, and the label of its cell.
    pub fn case(&self, run: u64) -> (Case, String) {
        let (cell, seed) = self.grid.place(run);
        let prepared = self.prepare(cell);
        (Case { seed, ..prepared.case.clone() }, prepared.label.clone())
    }

    /// The key of the run with this number.
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
        let prepared = Arc::new(Prepared::new(self.grid, &self.grid.cell(number), self.command_of));
        *newest() = Some(Arc::clone(&prepared));
        prepared
    }
}

impl Prepared {
    fn new(grid: &Grid, cell: &Cell<'_>, command_of: Option<&CommandOf<'_>>) -> Prepared {
        let case = grid.case(cell, 0).expect("all cells were built before the first run");
        let label = cell.values.iter().map(|(name, label, _)| format!("{name}={label}")).collect::<Vec<_>>().join(",");
        Prepared {
            cell: cell.number,
            values: cell.values.iter().map(|(_, label, _)| (*label).to_owned()).collect(),
            protocol: match grid.broken() {
                Some(rule) => format!("{} without {rule}", cell.protocol),
                None => cell.protocol.to_string(),
            },
            label,
            command: command_of.map(|command_of| command_of(cell)),
            case,
        }
    }

    fn key(&self, run: u64, seed: u64) -> Key {
        let (scenario, protocol) = (self.case.scenario.name.clone(), self.protocol.clone());
        Key { run, scenario, values: self.values.clone(), protocol, seed }
    }

    /// The command that repeats the run of this cell with this seed.
    fn command(&self, seed: u64) -> String {
        self.command.as_ref().map(|command| command.with_seed(seed)).unwrap_or_default()
    }
}
