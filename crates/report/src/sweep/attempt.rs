//! One attempt at a sweep, from its first file to its last.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::error::SweepError;
use super::sheets::{self, Earlier, Frame, Kind, Sheet};
use super::worker::{Finished, Worker};
use super::{Observer, Sweep};
use crate::digest::Digest;
use crate::rows::{Key, read_line};
use crate::waits::Waits;
use seedbed_core::lab::{Repro, in_order};

/// The number of failed runs that leave a repro file. The others are in the rows, with the command that repeats them.
const REPROS_MAX: usize = 1_000;

/// Rows are handed to the system after this many runs, and at the end.
const RUNS_PER_FLUSH: u64 = 256;

/// A sweep whose files are open.
pub struct Attempt<'a> {
    sweep: Sweep<'a>,
    frame: Frame,
    sheets: Vec<Sheet>,
    /// It continues files that were there before.
    is_resumed: bool,
    /// The place of the first run to do, in this part of the sweep.
    first: u64,
    waits: Waits,
    /// By run: the repro files of those that failed.
    repros: BTreeMap<u64, PathBuf>,
    /// A repro file could not be written, and no other one is tried.
    has_lost_repros: bool,
}

/// What a sweep comes to, besides its files.
#[derive(Debug)]
pub struct Results {
    /// The statistics of all runs, also of those that earlier attempts did.
    pub digest: Digest,
    /// How long clients waited in the runs of this attempt, if it was kept.
    pub waits: Option<Waits>,
    /// By run: the repro files of those that failed.
    pub repros: BTreeMap<u64, PathBuf>,
}

impl<'a> Attempt<'a> {
    pub(super) fn begin(sweep: Sweep<'a>, force: bool, stream: &mut dyn Write) -> Result<Attempt<'a>, SweepError> {
        let mut attempt = Attempt::new(sweep);
        if !force {
            attempt.check_replaced()?;
        }
        match attempt.create_sheets(force, stream) {
            Ok(()) => Ok(attempt),
            Err(error) => {
                attempt.discard();
                Err(error)
            }
        }
    }

    pub(super) fn resume(sweep: Sweep<'a>, stream: &mut dyn Write) -> Result<Attempt<'a>, SweepError> {
        let mut attempt = Attempt { is_resumed: true, ..Attempt::new(sweep) };
        let earlier = |(kind, path)| Earlier::find(kind, path, &attempt.frame);
        let found: Vec<Option<Earlier>> = attempt.sweep.places().map(earlier).collect::<Result<_, _>>()?;
        let runs = found.iter().map(|earlier| earlier.as_ref().map_or(0, |earlier| earlier.runs)).min().unwrap_or(0);
        let is_done = found.iter().flatten().all(Earlier::is_done) && runs == attempt.frame.runs;
        attempt.first = if is_done { runs } else { runs.saturating_sub(1) };
        // Before any file is touched.
        attempt.check_last(&found)?;
        attempt.read_rows(&found)?;
        if !is_done {
            attempt.continue_sheets(found, stream)?;
        }
        Ok(attempt)
    }

    fn new(sweep: Sweep<'a>) -> Attempt<'a> {
        let runs = sweep.shard.share(sweep.grid.runs());
        let frame = Frame { schema: sweep.schema.clone(), mark: sweep.mark(), shard: sweep.shard, runs };
        Attempt {
            sweep,
            frame,
            sheets: Vec::new(),
            is_resumed: false,
            first: 0,
            waits: Waits::default(),
            repros: BTreeMap::new(),
            has_lost_repros: false,
        }
    }

    /// How many runs are left to do.
    pub fn runs(&self) -> u64 {
        self.frame.runs - self.first
    }

    /// Gives up before the first run: removes the new files. Files that earlier attempts began stay.
    pub fn discard(self) {
        if !self.is_resumed {
            self.sheets.into_iter().for_each(Sheet::discard);
        }
    }

    /// Does all runs that are left, on as many threads as the present pool has, writes their results and completes all
    /// files. None if the observer ended it: [`Sweep::resume`] can continue the files then, as after an error.
    ///
    /// # Errors
    /// If a file or `stream` cannot be written.
    ///
    /// # Panics
    /// If the cell of a run cannot be built, which [`Grid::new`](seedbed_core::campaign::Grid::new) rules out.
    pub fn play(mut self, stream: &mut dyn Write, observer: &mut dyn Observer) -> Result<Option<Results>, SweepError> {
        let played = self.play_all(stream, observer);
        if let Ok(ControlFlow::Continue(())) = played {
            return self.finish(stream).map(Some);
        }
        // What is finished is not lost.
        let kept = self.sheets.iter_mut().try_for_each(Sheet::flush);
        stream.flush().map_err(SweepError::Stream)?;
        kept?;
        played.map(|_| None)
    }

    /// Completes all files.
    fn finish(mut self, stream: &mut dyn Write) -> Result<Results, SweepError> {
        for sheet in self.sheets.drain(..) {
            sheet.finish(&self.frame, stream)?;
        }
        let Attempt { sweep: Sweep { mut digest, keeps_waits, .. }, waits, repros, .. } = self;
        digest.finish();
        Ok(Results { digest, waits: keeps_waits.then_some(waits), repros })
    }

    /// Refuses to replace the files of other sweeps.
    fn check_replaced(&self) -> Result<(), SweepError> {
        let worker = self.worker(Vec::new());
        let key = |nth| worker.key(self.frame.shard.run(nth));
        self.sweep.places().try_for_each(|(kind, path)| sheets::check_replaced(kind, path, &self.frame, key))
    }

    fn create_sheets(&mut self, force: bool, stream: &mut dyn Write) -> Result<(), SweepError> {
        for (kind, path) in self.sweep.places() {
            self.sheets.push(Sheet::create(kind, path, &self.frame, force, stream)?);
        }
        Ok(())
    }

    fn continue_sheets(&mut self, found: Vec<Option<Earlier>>, stream: &mut dyn Write) -> Result<(), SweepError> {
        for ((kind, path), earlier) in self.sweep.places().zip(found) {
            self.sheets.push(match earlier {
                Some(earlier) => earlier.resume(&self.frame, self.first)?,
                None => Sheet::create(kind, path, &self.frame, false, stream)?,
            });
        }
        Ok(())
    }

    /// Repeats the last run that all files of an earlier attempt hold: they must hold the same result, or they belong to
    /// another sweep, or to a scenario that was changed since.
    fn check_last(&self, found: &[Option<Earlier>]) -> Result<(), SweepError> {
        let with_runs = || {
            found.iter().zip(self.sweep.places()).filter_map(|(earlier, (kind, path))| {
                let earlier = earlier.as_ref().filter(|earlier| earlier.runs > 0)?;
                Some((earlier, kind, path))
            })
        };
        let Some(last) = with_runs().map(|(earlier, ..)| earlier.runs - 1).min() else { return Ok(()) };
        let run = self.frame.shard.run(last);
        let finished = self.worker(with_runs().map(|(_, kind, _)| kind).collect()).run(run);
        for ((earlier, _, path), expected) in with_runs().zip(&finished.lines) {
            let mut lines = Vec::new();
            earlier.read(&self.frame, last + 1, |nth, line| {
                if nth == last {
                    lines.extend_from_slice(line);
                }
                Ok(())
            })?;
            if lines != *expected {
                return Err(another_run(path, run));
            }
        }
        Ok(())
    }

    /// Adds up the rows of an earlier attempt. Each must be of the run that it names, and the last one of each scenario
    /// must be the same again.
    fn read_rows(&mut self, found: &[Option<Earlier>]) -> Result<(), SweepError> {
        let (path, rows) = match self.sweep.places().zip(found).find(|((kind, _), _)| *kind == Kind::Rows) {
            Some(((_, path), Some(rows))) => (path.to_owned(), rows),
            None if self.first > 0 => return Err(SweepError::ResumeWithoutRows),
            Some(_) | None => return Ok(()),
        };
        let worker = Worker::new(self.sweep.grid, &self.frame.schema, self.sweep.command_of, vec![Kind::Rows]);
        let (digest, repros, folder) = (&mut self.sweep.digest, &mut self.repros, self.sweep.repros.as_ref());
        let schema = &self.frame.schema;
        let mut newest: Option<(Key, Vec<u8>)> = None;
        rows.read(&self.frame, self.first, |nth, line| {
            let record =
                read_line(line).ok_or_else(|| resume_error(&path, format!("row {} is not a row of CSV", nth + 1)))?;
            let row = schema.read_csv(&record, nth + 1).map_err(|error| resume_error(&path, error.to_string()))?;
            let run = row.key.run;
            if row.key != worker.key(run) {
                return Err(another_run(&path, run));
            }
            let of_another = newest.take_if(|(key, _)| key.scenario != row.key.scenario);
            if let Some((key, _)) = of_another.filter(|(key, line)| worker.run(key.run).lines[0] != *line) {
                return Err(another_run(&path, key.run));
            }
            newest = Some((row.key.clone(), line.to_vec()));
            digest.add(&row);
            if let Some(folder) = folder.filter(|_| !row.passed() && repros.len() < REPROS_MAX) {
                let (case, label) = worker.case(run);
                repros.extend(folder.find(&case, &label).map(|path| (run, path)));
            }
            Ok(())
        })
    }

    fn play_all(&mut self, stream: &mut dyn Write, observer: &mut dyn Observer) -> Result<ControlFlow<()>, SweepError> {
        let (schema, shard, places) = (self.frame.schema.clone(), self.frame.shard, self.first..self.frame.runs);
        let kinds = self.sheets.iter().map(|sheet| sheet.kind).collect();
        let worker = Worker::new(self.sweep.grid, &schema, self.sweep.command_of, kinds);
        let worker = worker.with_waits(self.sweep.keeps_waits);
        let played = in_order(
            places,
            |nth| worker.run(shard.run(nth)),
            |nth, finished| match observer.poll() {
                ControlFlow::Continue(()) => self.record(nth, &finished, stream, observer).map_err(Some),
                ControlFlow::Break(()) => Err(None),
            },
        );
        match played {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(None) => Ok(ControlFlow::Break(())),
            Err(Some(error)) => Err(error),
        }
    }

    /// Writes the result of a run, and adds it up.
    fn record(
        &mut self,
        nth: u64,
        finished: &Finished,
        stream: &mut dyn Write,
        observer: &mut dyn Observer,
    ) -> Result<(), SweepError> {
        for (sheet, lines) in self.sheets.iter_mut().zip(&finished.lines) {
            sheet.write(lines, stream)?;
            if (nth + 1).is_multiple_of(RUNS_PER_FLUSH) {
                sheet.flush()?;
            }
        }
        self.sweep.digest.add(&finished.row);
        if let Some(waits) = &finished.waits {
            self.waits.add(self.sweep.digest.cells.len() - 1, waits);
        }
        if let Some(repro) = &finished.repro {
            self.keep_repro(finished.row.key.run, repro, &finished.label, observer);
        }
        observer.recorded();
        Ok(())
    }

    fn keep_repro(&mut self, run: u64, repro: &Repro, label: &str, observer: &mut dyn Observer) {
        let Some(folder) = &self.sweep.repros else { return };
        if self.has_lost_repros || self.repros.len() >= REPROS_MAX {
            return;
        }
        match folder.write(repro, label) {
            Ok(path) => _ = self.repros.insert(run, path),
            Err((path, error)) => {
                self.has_lost_repros = true;
                observer.repro_failed(path, error);
            }
        }
    }

    fn worker(&self, kinds: Vec<Kind>) -> Worker<'_> {
        Worker::new(self.sweep.grid, &self.frame.schema, self.sweep.command_of, kinds)
    }
}

fn another_run(path: &Path, run: u64) -> SweepError {
    resume_error(path, format!("run {run} has another result now"))
}

fn resume_error(path: &Path, problem: String) -> SweepError {
    SweepError::Resume { path: path.to_owned(), problem }
}
