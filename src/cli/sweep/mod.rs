//! `seedbed sweep`: a grid of runs on all cores, to rows, statistics, pictures and one verdict.

mod plan;
mod shard;
mod sheets;
mod summary;
mod work;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::axes::AxisArgs;
use super::command::{self, Words};
use super::cores::Cores;
use super::error::{CliError, RUNS_MAX};
use super::output::{self, Stdout, plural};
use super::program::{self, protocols};
use super::progress::Progress;
use super::repro::Repros;
use super::selection::ALL;
use crate::campaign::Grid;
use crate::clock::Clock;
use crate::lab::{Protocol, SeedRange, in_order};
use crate::report::digest::Digest;
use crate::report::figures::Waits;
use crate::report::rows::{Details, Key, PartMark, Schema, Shard, read_line};
use crate::world::processes::Interrupt;
use plan::Plan;
use shard::ShardChoice;
use sheets::{Earlier, Frame, Kind, Sheet};
pub(in crate::cli) use summary::{SummaryArgs, draw, picture};
use work::{Finished, Worker};

/// Run a grid of scenarios, values and seeds on all cores, and judge each run by all checkers
///
/// Everything can be swept: --drops, --replicas, --mix and --requests, ready-made partitions and
/// matrices, and with --set any other key of a scenario and any parameter of the replicas. Values are
/// lists (50,100,200) or ranges START:STOP:STEP (0:0.5:0.05, with its end). Names that are joined
/// with + are varied together: --set a=1,2+b=10,20 has two cells, not four.
///
/// A cell is a combination of all but the seed. The same seed draws the same keys and losses in every
/// cell, so cells can be compared pairwise. Rows come in the order of their runs and hold nothing of
/// the machine: the file is the same, byte for byte, however many cores, processes and attempts it
/// took.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed sweep simple-2 --drops 0:0.5:0.05 --seeds 0..1000 --csv drops.csv --plot drops.svg
  seedbed sweep all --seeds 0..1000
  seedbed sweep all --protocol raft,broadcast --junit junit.xml
  seedbed sweep crash-3 --set raft.heartbeat_ms=50,100,200 --set events[0].time=5:25:5
  seedbed sweep simple-1 --partition none,easy,hard,flapping
  seedbed sweep all --seeds 0..1000 --csv rows.csv --shard 3/8     then: seedbed merge
  seedbed sweep all --drops 0,0.1 --save mine.json                 then: seedbed sweep mine.json

Exit codes: 0 all runs passed, 1 a run failed, 2 bad usage or input.")]
pub(super) struct Args {
    /// Scenario files, folders of them, names of built-in ones, `all` for the folder `scenarios`, or one
    /// sweep file
    ///
    /// `seedbed scenarios` lists what is built in. A file or folder of the same name is used instead of a
    /// built-in one. Of a folder, every *.json directly in it is taken. One named `all` is `./all`.
    #[arg(value_name = "SCENARIO|DIR|all", required = true)]
    scenarios: Vec<PathBuf>,

    /// The folder that `all` stands for, on disk or built in [default: scenarios]
    #[arg(short, long, value_name = "DIR", alias = "config_directory")]
    config_directory: Option<PathBuf>,

    /// The seeds of each cell: one, or a range without (A..B) or with (A..=B) its end [default: 0..100]
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    seeds: Option<SeedRange>,

    /// What the replicas run; several are compared [default: raft]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = program::protocol_names())]
    protocol: Vec<Protocol>,

    /// Sweep a broken Raft, without this rule; `seedbed help explore` lists them
    #[arg(long, value_name = "RULE", value_parser = program::rules(), hide_possible_values = true)]
    without: Option<String>,

    /// Write the sweep as a JSON file, which `seedbed sweep` takes, and run nothing
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Begin also if there are more than a billion runs
    #[arg(long)]
    yes: bool,

    /// Replace the files of other sweeps, and what is left of an interrupted one
    #[arg(long, conflicts_with = "resume")]
    force: bool,

    #[command(flatten)]
    cores: Cores,

    #[command(flatten)]
    axes: AxisArgs,

    #[command(flatten)]
    rows: RowArgs,

    #[command(flatten)]
    summary: SummaryArgs,

    /// Draw the distribution of the latency in each cell (.svg or .png)
    #[arg(long, value_name = "FILE", conflicts_with = "resume", help_heading = "Statistics")]
    cdf: Option<PathBuf>,

    #[command(flatten)]
    repros: Repros,
}

/// The files that grow with the runs.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Rows")]
struct RowArgs {
    /// Write a CSV file with a row for each run; `-` is standard output, in place of the text
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Write the same rows as lines of JSON; `-` is standard output, in place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a CSV file with a row for each answer to a client; `-` is standard output
    #[arg(long, value_name = "FILE")]
    latencies: Option<PathBuf>,

    /// Write a CSV file with a row for each link and kind of message; `-` is standard output
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,

    /// Only do the K-th of N parts of the runs; `seedbed merge` puts parts together
    ///
    /// `auto` takes K and N from SLURM_ARRAY_TASK_ID, _MIN and _COUNT. `auto/N` takes K from
    /// SLURM_ARRAY_TASK_ID, counted from 1, or from JOB_COMPLETION_INDEX of Kubernetes, from 0.
    #[arg(long, value_name = "K/N|auto")]
    shard: Option<ShardChoice>,

    /// Go on with the files of an attempt that was interrupted; begin if there is none
    #[arg(long, requires = "csv")]
    resume: bool,
}

impl RowArgs {
    /// The options that are there, with what they are to hold and their files.
    fn places(&self) -> Vec<(&'static str, Kind, &Path)> {
        let options = [
            ("--csv", Kind::Rows, &self.csv),
            ("--json", Kind::Json, &self.json),
            ("--latencies", Kind::Details(Details::Latencies), &self.latencies),
            ("--messages", Kind::Details(Details::Messages), &self.messages),
        ];
        options.into_iter().filter_map(|(option, kind, path)| Some((option, kind, path.as_deref()?))).collect()
    }

    fn shard(&self) -> Result<Shard, CliError> {
        #[expect(clippy::disallowed_methods, reason = "which part of a sweep is done here changes no run")]
        let environment = |name: &str| std::env::var(name).ok();
        self.shard.map_or(Ok(Shard::WHOLE), |choice| choice.resolve(environment))
    }
}

/// Carries out the command.
pub(super) fn execute(args: &Args) -> Result<Outcome, CliError> {
    let plan = Plan::new(args)?;
    if let Some(path) = &args.save {
        output::check(&[("--save", path)], &plan.inputs())?;
        let text = plan.spec.to_json(protocols());
        output::check_writable(path)?;
        return output::write_file(path, |out| out.write_all(text.as_bytes())).map(|()| Outcome::Correct);
    }
    let runs = plan.grid.runs();
    if runs > RUNS_MAX && !args.yes {
        return Err(CliError::ManyRuns { runs });
    }
    let shard = args.rows.shard()?;
    args.check_files(&plan)?;
    args.cores.use_them()?;
    let names: Vec<String> = plan.grid.names().into_iter().map(str::to_owned).collect();
    let mark = (shard != Shard::WHOLE).then(|| PartMark { shard, runs, sweep: plan.grid.fingerprint() });
    let schema = Schema { names, columns: program::columns().clone() };
    let digest = args.summary.digest(&schema);
    let frame = Frame { schema, mark, shard, runs: shard.share(runs) };
    let mut out = output::stdout();
    let sweep = Sweep {
        args,
        digest,
        waits: args.cdf.is_some().then(Waits::default),
        replays: BTreeMap::new(),
        without_repros: false,
        sheets: Vec::new(),
        frame,
        grid: &plan.grid,
    };
    sweep.run(&plan.command, &mut out)
}

impl Args {
    /// The scenarios, with the folder that `all` stands for in its place if one is given.
    fn targets(&self) -> Vec<PathBuf> {
        let target = |target: &PathBuf| match &self.config_directory {
            Some(folder) if target == Path::new(ALL) => folder.clone(),
            _ => target.clone(),
        };
        self.scenarios.iter().map(target).collect()
    }

    /// The command that goes on after an interrupt with the files that there are, or begins again if there are none;
    /// and whether it goes on.
    fn again(&self, command: &str) -> (String, bool) {
        let goes_on = self.rows.csv.as_deref().is_some_and(|path| path != Path::new("-"));
        let rows = self.rows.places().into_iter().map(|(option, _, path)| (option, path));
        let words = Words::empty().with(command);
        let words =
            rows.chain(self.summary.files()).fold(words, |words, (option, path)| words.output(option, Some(path)));
        let words = self.summary.words(words);
        let words = self.repros.words(words.given("--shard", self.rows.shard));
        let words = if self.yes { words.with("--yes") } else { words };
        if !goes_on {
            let words = if self.force { words.with("--force") } else { words };
            return (words.path("--cdf", self.cdf.as_deref()).to_string(), false);
        }
        (words.with("--resume").to_string(), true)
    }

    /// Refuses files that are the same as others or cannot be written, before anything is touched.
    fn check_files(&self, plan: &Plan) -> Result<(), CliError> {
        let rows = self.rows.places();
        // Until they are whole, files of rows have names of their own.
        let parts: Vec<_> = rows.iter().map(|(option, _, path)| (*option, sheets::part_of(path))).collect();
        let mut places: Vec<(&'static str, &Path)> = rows.iter().map(|(option, _, path)| (*option, *path)).collect();
        places.extend(parts.iter().map(|(option, path)| (*option, path.as_path())));
        places.extend(self.summary.places());
        places.extend(self.cdf.as_deref().map(|path| ("--cdf", path)));
        output::check(&places, &plan.inputs())?;
        self.summary.check()?;
        if let Some(path) = &self.cdf {
            picture(path)?;
            output::check_writable(path)?;
        }
        Ok(())
    }
}

/// A sweep under way.
struct Sweep<'a> {
    args: &'a Args,
    grid: &'a Grid,
    frame: Frame,
    sheets: Vec<Sheet>,
    digest: Digest,
    waits: Option<Waits>,
    /// By run: the repro files of those that failed.
    replays: BTreeMap<u64, PathBuf>,
    /// A repro file could not be written. Others are not tried: the warning would come once for each run.
    without_repros: bool,
}

/// So many failed runs leave a repro file. The others are in the rows, with the command that repeats them.
const REPROS_MAX: usize = 1_000;

/// Rows are handed to the system after so many runs, and at the end.
const RUNS_PER_FLUSH: u64 = 256;

impl Sweep<'_> {
    fn run(mut self, command: &str, out: &mut Stdout) -> Result<Outcome, CliError> {
        let interrupt = Interrupt::install().map_err(CliError::Signals)?;
        let hold = interrupt.hold();
        let begin = self.open(out)?;
        let with_text = !self.sheets.iter().any(Sheet::is_stdout);
        if with_text && let Err(error) = writeln!(out, "{command}\n").and_then(|()| out.flush()) {
            if !self.args.rows.resume {
                self.sheets.drain(..).for_each(Sheet::discard);
            }
            return Err(error.into());
        }
        let progress = Progress::in_seeds(Some(self.frame.runs - begin));
        let clock = Clock::start();
        let played = self.play(begin, &interrupt, &progress, out);
        progress.clear();
        drop(hold);
        if let Err(error) = played {
            // What is finished is not lost.
            let kept = self.sheets.iter_mut().try_for_each(Sheet::flush);
            out.flush()?;
            kept?;
            return Err(match error {
                CliError::Interrupted { signal, .. } => {
                    let (command, goes_on) = self.args.again(command);
                    if goes_on && self.args.cdf.is_some() {
                        output::note("--cdf is left out below, since the latencies of finished runs are not kept");
                    }
                    CliError::Interrupted { signal, command, goes_on }
                }
                other => other,
            });
        }
        let seconds = clock.now().as_secs_f64();
        let fresh = self.frame.runs - begin;
        let (runs, rate) = (plural(fresh, "run", "runs"), fresh as f64 / seconds.max(1e-3));
        output::note(&format!("{runs} in {seconds:.1} s, {rate:.0} a second"));
        self.finish(with_text, out)
    }

    /// Opens all sheets, and reads what an earlier attempt has left. Returns the place of the first run to do.
    fn open(&mut self, out: &mut Stdout) -> Result<u64, CliError> {
        let places = self.args.rows.places();
        if self.args.rows.resume {
            return self.resume(&places, out);
        }
        self.check_replaced(&places)?;
        for (_, kind, path) in places {
            match Sheet::create(kind, path, &self.frame, self.args.force, out) {
                Ok(sheet) => self.sheets.push(sheet),
                Err(error) => {
                    self.sheets.drain(..).for_each(Sheet::discard);
                    return Err(error);
                }
            }
        }
        Ok(0)
    }

    /// Refuses to replace the files of other sweeps.
    fn check_replaced(&self, places: &[(&str, Kind, &Path)]) -> Result<(), CliError> {
        if self.args.force {
            return Ok(());
        }
        let worker = Worker::new(self.grid, &self.frame.schema, Vec::new(), false);
        let key = |nth| worker.key(self.frame.shard.run(nth));
        places.iter().try_for_each(|(_, kind, path)| sheets::check_replaced(*kind, path, &self.frame, key))
    }

    fn resume(&mut self, places: &[(&str, Kind, &Path)], out: &mut Stdout) -> Result<u64, CliError> {
        let found: Vec<Option<Earlier>> =
            places.iter().map(|(_, kind, path)| Earlier::find(*kind, path, &self.frame)).collect::<Result<_, _>>()?;
        let runs = found.iter().map(|earlier| earlier.as_ref().map_or(0, |earlier| earlier.runs)).min().unwrap_or(0);
        let is_done = found.iter().flatten().all(Earlier::is_done) && runs == self.frame.runs;
        let begin = if is_done { runs } else { runs.saturating_sub(1) };
        // Before any file is touched.
        self.check_last(places, &found)?;
        if let Some(rows) = found.first().and_then(Option::as_ref) {
            self.read_rows(places[0].2, rows, begin)?;
        }
        if is_done {
            return Ok(begin);
        }
        for ((_, kind, path), earlier) in places.iter().zip(found) {
            let sheet = match earlier {
                Some(earlier) => earlier.resume(&self.frame, begin)?,
                None => Sheet::create(*kind, path, &self.frame, false, out)?,
            };
            self.sheets.push(sheet);
        }
        Ok(begin)
    }

    /// Takes note of the rows of an earlier attempt. Each must be of the run that it says, and the last one of each
    /// scenario must come out as it is there.
    fn read_rows(&mut self, path: &Path, rows: &Earlier, begin: u64) -> Result<(), CliError> {
        let worker = Worker::new(self.grid, &self.frame.schema, vec![Kind::Rows], false);
        let (digest, replays, schema) = (&mut self.digest, &mut self.replays, &self.frame.schema);
        let mut newest: Option<(Key, Vec<u8>)> = None;
        rows.read(&self.frame, begin, |nth, line| {
            let record = read_line(line).ok_or_else(|| resume_error(path, format!("row {} is none", nth + 1)))?;
            let row = schema.read_csv(&record, nth + 1).map_err(|error| resume_error(path, error.to_string()))?;
            let run = row.key.run;
            if row.key != worker.key(run) {
                return Err(another_run(path, run));
            }
            let of_another = newest.take_if(|(key, _)| key.scenario != row.key.scenario);
            if let Some((key, _)) = of_another.filter(|(key, line)| worker.run(key.run).lines[0] != *line) {
                return Err(another_run(path, key.run));
            }
            newest = Some((row.key.clone(), line.to_vec()));
            digest.add(&row);
            if !row.passed() && replays.len() < REPROS_MAX {
                let (case, label) = worker.case(run);
                replays.extend(self.args.repros.find(&case, &label).map(|path| (run, path)));
            }
            Ok(())
        })
    }

    /// Does the last run that files of an earlier attempt have in common once more: it must come out as it is there, or
    /// they are of another sweep, or of a scenario that was changed since.
    fn check_last(&self, places: &[(&str, Kind, &Path)], found: &[Option<Earlier>]) -> Result<(), CliError> {
        let with_runs = || {
            found.iter().zip(places).filter_map(|(earlier, (_, kind, path))| {
                let earlier = earlier.as_ref().filter(|earlier| earlier.runs > 0)?;
                Some((earlier, *kind, *path))
            })
        };
        let Some(last) = with_runs().map(|(earlier, ..)| earlier.runs - 1).min() else { return Ok(()) };
        let run = self.frame.shard.run(last);
        let kinds = with_runs().map(|(_, kind, _)| kind).collect();
        let finished = Worker::new(self.grid, &self.frame.schema, kinds, false).run(run);
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

    /// Does all runs from this place on.
    fn play(
        &mut self,
        begin: u64,
        interrupt: &Interrupt,
        progress: &Progress,
        out: &mut Stdout,
    ) -> Result<(), CliError> {
        let kinds: Vec<Kind> = self.sheets.iter().map(|sheet| sheet.kind).collect();
        let (schema, shard) = (self.frame.schema.clone(), self.frame.shard);
        let worker = Worker::new(self.grid, &schema, kinds, self.waits.is_some());
        in_order(
            begin..self.frame.runs,
            |nth| worker.run(shard.run(nth)),
            |nth, finished| {
                if let Some(signal) = interrupt.signal() {
                    return Err(CliError::Interrupted { signal, command: String::new(), goes_on: false });
                }
                self.take(nth, finished, progress, out)
            },
        )
    }

    /// Takes note of what came of a run.
    fn take(&mut self, nth: u64, finished: Finished, progress: &Progress, out: &mut Stdout) -> Result<(), CliError> {
        for (sheet, lines) in self.sheets.iter_mut().zip(&finished.lines) {
            sheet.write(lines, out)?;
            if (nth + 1).is_multiple_of(RUNS_PER_FLUSH) {
                sheet.flush()?;
            }
        }
        self.digest.add(&finished.row);
        if let (Some(waits), Some(of_run)) = (&mut self.waits, &finished.waits) {
            waits.add(self.digest.cells.len() - 1, of_run);
        }
        if let Some(repro) = &finished.repro
            && self.replays.len() < REPROS_MAX
            && !self.without_repros
        {
            match self.args.repros.write_of(repro, &finished.label) {
                Ok(path) => _ = self.replays.insert(finished.row.key.run, path),
                Err(error) => {
                    self.without_repros = true;
                    progress.suspend(|| output::warning(&error.to_string()));
                }
            }
        }
        progress.end();
        Ok(())
    }

    /// Completes all files and writes the statistics.
    fn finish(mut self, with_text: bool, out: &mut Stdout) -> Result<Outcome, CliError> {
        for sheet in self.sheets.drain(..) {
            sheet.finish(&self.frame, out)?;
        }
        self.digest.finish();
        let replay = |run: u64| self.replays.get(&run).map(|path| command::replay(path));
        self.args.summary.write(&self.digest, with_text, replay, out)?;
        if let (Some(path), Some(waits)) = (&self.args.cdf, &self.waits) {
            draw(path, &waits.chart(&self.digest))?;
        }
        let failed = self.digest.failed();
        if !with_text && failed > 0 {
            let first = self.digest.cells.iter().flat_map(|cell| &cell.failures).next();
            let command = first.map(|failure| failure.command.as_str()).unwrap_or_default();
            output::note(&format!("{failed} runs failed; this repeats the first of them: {command}"));
        }
        Ok(Outcome::of(failed == 0))
    }
}

fn another_run(path: &Path, run: u64) -> CliError {
    resume_error(path, format!("run {run} is another one now"))
}

fn resume_error(path: &Path, problem: String) -> CliError {
    CliError::Resume { path: path.to_owned(), problem }
}
