//! A sweep: all runs of a grid on all cores, as files of rows and as statistics.
//!
//! A [`Sweep`] says which runs there are and where their rows go. [`Sweep::begin`] opens its files, [`Sweep::resume`]
//! continues those of an attempt that was interrupted, and both return an [`Attempt`]. [`Attempt::play`] does the runs
//! and completes the files.
//!
//! Rows come in the order of their runs and hold nothing of the machine. A file is therefore the same, byte for byte,
//! however many threads, parts and attempts it took. Until a file is whole, `.part` is at the end of its name
//! ([`part_of`]).
//!
//! ```
//! use std::io;
//! use std::path::PathBuf;
//!
//! use seedbed_core::campaign::{AxisSpec, Base, Grid};
//! use seedbed_core::scenario::Scenario;
//! use seedbed_core::subjects;
//! use seedbed_report::rows::Columns;
//! use seedbed_report::sweep::{Kind, Sweep};
//!
//! # let folder = std::env::temp_dir().join(format!("seedbed-sweep-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("rows.csv");
//! let scenario = Scenario::builtin("simple-1").expect("it is built in");
//! let base = Base::new(PathBuf::from("simple-1"), scenario);
//! let protocols = vec![subjects::raft()];
//! let drops = AxisSpec::of("drops", "0,0.1")?.resolve(&protocols)?;
//! let columns = Columns::of(protocols[0].kinds().iter().copied());
//! let grid = Grid::new(vec![base], vec![drops], protocols, "0..3".parse()?)?;
//!
//! let attempt = Sweep::new(&grid, columns).sheet(Kind::Rows, &path).begin(false, &mut io::sink())?;
//! let results = attempt.play(&mut io::sink(), &mut ())?.expect("this observer lets it end");
//! assert_eq!((results.digest.cells.len(), results.digest.runs()), (2, 6));
//! assert_eq!(std::fs::read_to_string(&path)?.lines().count(), 1 + 6);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attempt;
mod error;
mod sheets;
mod worker;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::rows::{Columns, PartMark, Schema, Shard};
use seedbed_core::campaign::{Cell, Grid};
use seedbed_core::lab::ReproFolder;

pub use crate::waits::Waits;
pub use attempt::{Attempt, Results};
pub use error::SweepError;
pub use sheets::{Kind, part_of};

/// All runs of a grid or a part of them, and what is written of them.
#[derive(Clone)]
pub struct Sweep<'a> {
    grid: &'a Grid,
    schema: Schema,
    shard: Shard,
    sheets: Vec<(Kind, PathBuf)>,
    digest: Digest,
    keeps_waits: bool,
    repros: Option<ReproFolder>,
    command_of: Option<&'a CommandOf<'a>>,
}

/// Writes the command that repeats the runs of a cell.
pub type CommandOf<'a> = dyn Fn(&Cell<'_>) -> CellCommand + Sync + 'a;

/// The command that repeats a run of a cell: its words before and after the seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellCommand {
    /// The words before the seed.
    pub before: String,
    /// The words after the seed, if there are any.
    pub after: String,
}

/// What follows a sweep while its runs are done.
pub trait Observer {
    /// Asked before the result of each run is written. `Break` ends the attempt, without this result.
    fn poll(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// The result of a run is written.
    fn recorded(&mut self) {}

    /// A repro file cannot be written. The rows are worth more than the file, so the sweep goes on; but it writes no
    /// other repro file, since each would fail like this one.
    fn repro_failed(&mut self, _path: PathBuf, _error: io::Error) {}
}

/// Follows nothing.
impl Observer for () {}

impl<'a> Sweep<'a> {
    /// All runs of a grid, with rows of these columns and the usual metrics.
    pub fn new(grid: &'a Grid, columns: Columns) -> Sweep<'a> {
        let schema = Schema { names: grid.names().into_iter().map(str::to_owned).collect(), columns };
        let digest = Digest::usual(&schema);
        let (shard, sheets) = (Shard::WHOLE, Vec::new());
        Sweep { grid, schema, shard, sheets, digest, keeps_waits: false, repros: None, command_of: None }
    }

    /// Only this part of the runs.
    pub fn shard(self, shard: Shard) -> Sweep<'a> {
        Sweep { shard, ..self }
    }

    /// Also writes a file with lines of this kind; `-` is the stream that the attempt is given.
    pub fn sheet(mut self, kind: Kind, path: impl Into<PathBuf>) -> Sweep<'a> {
        self.sheets.push((kind, path.into()));
        self
    }

    /// Adds the rows up in this digest, which is one of [`Sweep::schema`].
    pub fn digest(self, digest: Digest) -> Sweep<'a> {
        Sweep { digest, ..self }
    }

    /// Also keeps how long clients waited, if `keeps`.
    pub fn waits(self, keeps: bool) -> Sweep<'a> {
        Sweep { keeps_waits: keeps, ..self }
    }

    /// Also writes repro files of the first 1,000 runs that fail.
    pub fn repros(self, folder: ReproFolder) -> Sweep<'a> {
        Sweep { repros: Some(folder), ..self }
    }

    /// Rows name the commands that repeat their runs. Without this, they name none.
    pub fn commands(self, command_of: &'a CommandOf<'a>) -> Sweep<'a> {
        Sweep { command_of: Some(command_of), ..self }
    }

    /// What all rows have in common.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Opens new files. With `force` they replace those of other sweeps and of attempts that were interrupted. `stream`
    /// receives what goes to `-`.
    ///
    /// # Errors
    /// If a file cannot be written or must not be replaced. No file is changed or left then.
    pub fn begin(self, force: bool, stream: &mut dyn Write) -> Result<Attempt<'a>, SweepError> {
        Attempt::begin(self, force, stream)
    }

    /// Continues the files of an attempt that was interrupted, or begins if there are none. Checks that they belong to this
    /// sweep, and that it still has the same results. `stream` is not written to.
    ///
    /// # Errors
    /// If a file cannot be read, continued or written, or is not of this sweep. No file is changed then.
    pub fn resume(self, stream: &mut dyn Write) -> Result<Attempt<'a>, SweepError> {
        Attempt::resume(self, stream)
    }

    /// What each part says about itself; none if the sweep is not divided.
    fn mark(&self) -> Option<PartMark> {
        let mark = || PartMark { shard: self.shard, runs: self.grid.runs(), sweep: self.grid.fingerprint() };
        (self.shard != Shard::WHOLE).then(mark)
    }

    /// The sheets, by kind and path.
    fn places(&self) -> impl Iterator<Item = (Kind, &Path)> {
        self.sheets.iter().map(|(kind, path)| (*kind, path.as_path()))
    }
}

impl CellCommand {
    fn with_seed(&self, seed: u64) -> String {
        let CellCommand { before, after } = self;
        let join = if after.is_empty() { "" } else { " " };
        format!("{before} {seed}{join}{after}")
    }
}

#[cfg(test)]
mod tests;
