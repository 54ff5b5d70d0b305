//! `seedbed sweep`: a grid of runs on all cores, to rows, statistics, pictures and one verdict.

mod plan;
mod shard;
mod summary;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::axes::AxisArgs;
use super::command::{self, Words};
use super::cores::Cores;
use super::error::{CliError, RUNS_MAX};
use super::output::{self, Stdout, plural};
use super::program::{self, columns, protocols};
use super::progress::Progress;
use super::repro::Repros;
use super::selection::ALL;
use super::tested::Conditions;
use crate::clock::Clock;
use crate::lab::{Protocol, SeedRange};
use crate::report::rows::{Details, Shard};
use crate::report::sweep::{Kind, Observer, Results, Sweep, part_of};
use crate::world::processes::Interrupt;
use plan::Plan;
use shard::ShardChoice;
pub(in crate::cli) use summary::{SummaryArgs, draw, picture};

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
  seedbed sweep all -r ./3700kvstore --virtual --seeds 0..50 --csv rows.csv
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

    #[arg(long, value_name = "NAMES", value_delimiter = ',', help = format!("What the replicas run; several are compared [default: {}]", program::default_protocol()), value_parser = program::protocol_names())]
    protocol: Vec<Protocol>,

    /// Sweep a mutant, without this rule; `seedbed help explore` lists them
    #[arg(long, value_name = "RULE", value_parser = program::rules(), hide_possible_values = true)]
    without: Option<String>,

    /// Sweep this program instead, simulated (with --virtual)
    ///
    /// Any program that speaks the course's protocol will do, in any language. It is started once for each replica, as
    /// `PROGRAM <UDP port> <its ID> <ID> <ID>...`.
    #[arg(short, long, value_name = "PROGRAM", requires = "simulates", conflicts_with_all = ["protocol", "without", "save"])]
    replica: Option<PathBuf>,

    /// Simulate the program of -r in virtual time; sweeps can do nothing else
    #[arg(long = "virtual", requires = "replica")]
    simulates: bool,

    #[command(flatten)]
    conditions: Conditions,

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
    let sweep = args.sweep(&plan, shard)?;
    let mut out = output::stdout();
    let results = args.play(sweep, &plan.command, &mut out)?;
    args.show(&results, &mut out)
}

impl Args {
    /// What is compared: protocols, or a program. Empty if the arguments do not say.
    fn protocols(&self) -> Result<Vec<Protocol>, CliError> {
        match &self.replica {
            Some(program) => Ok(vec![self.conditions.simulate(program)?]),
            None => Ok(self.protocol.clone()),
        }
    }

    /// The scenarios, with the folder that `all` stands for in its place if one is given.
    fn targets(&self) -> Vec<PathBuf> {
        let target = |target: &PathBuf| match &self.config_directory {
            Some(folder) if target == Path::new(ALL) => folder.clone(),
            _ => target.clone(),
        };
        self.scenarios.iter().map(target).collect()
    }

    /// Refuses files that are the same as others or cannot be written, before anything is touched.
    fn check_files(&self, plan: &Plan) -> Result<(), CliError> {
        let rows = self.rows.places();
        // Until they are whole, files of rows have names of their own.
        let parts: Vec<_> = rows.iter().map(|(option, _, path)| (*option, part_of(path))).collect();
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

    /// What the library is asked to do.
    fn sweep<'a>(&self, plan: &'a Plan, shard: Shard) -> Result<Sweep<'a>, CliError> {
        let sweep = Sweep::new(&plan.grid, columns().clone()).shard(shard).commands(&plan::command_of);
        let digest = self.summary.digest(sweep.schema())?;
        let sweep = sweep.digest(digest).waits(self.cdf.is_some()).repros(self.repros.folder());
        Ok(self.rows.places().into_iter().fold(sweep, |sweep, (_, kind, path)| sweep.sheet(kind, path)))
    }

    /// Does all runs and completes the files of rows.
    fn play(&self, sweep: Sweep<'_>, command: &str, out: &mut Stdout) -> Result<Results, CliError> {
        let interrupt = Interrupt::install().map_err(CliError::Signals)?;
        let hold = interrupt.hold();
        let attempt = if self.rows.resume { sweep.resume(out)? } else { sweep.begin(self.force, out)? };
        if self.with_text()
            && let Err(error) = writeln!(out, "{command}\n").and_then(|()| out.flush())
        {
            attempt.discard();
            return Err(error.into());
        }
        let runs = attempt.runs();
        let progress = Progress::in_seeds(Some(runs));
        let clock = Clock::start();
        let played = attempt.play(out, &mut Watch { interrupt: &interrupt, progress: &progress });
        progress.clear();
        drop(hold);
        let Some(results) = played? else {
            let signal = interrupt.signal().expect("only a signal ends a sweep early");
            return Err(self.interrupted(signal, command));
        };
        let seconds = clock.now().as_secs_f64();
        let (runs, rate) = (plural(runs, "run", "runs"), runs as f64 / seconds.max(1e-3));
        output::note(&format!("{runs} in {seconds:.1} s, {rate:.0} a second"));
        Ok(results)
    }

    /// Writes everything that is made of the statistics.
    fn show(&self, Results { digest, waits, repros }: &Results, out: &mut Stdout) -> Result<Outcome, CliError> {
        let replay = |run: u64| repros.get(&run).map(|path| command::replay(path));
        self.summary.write(digest, self.with_text(), replay, out)?;
        if let (Some(path), Some(waits)) = (&self.cdf, waits) {
            draw(path, &waits.chart(digest))?;
        }
        let failed = digest.failed();
        if !self.with_text() && failed > 0 {
            let first = digest.cells.iter().flat_map(|cell| &cell.failures).next();
            let command = first.map(|failure| failure.command.as_str()).unwrap_or_default();
            output::note(&format!("{failed} runs failed; this repeats the first of them: {command}"));
        }
        Ok(Outcome::of(failed == 0))
    }

    /// Whether standard output is free for people.
    fn with_text(&self) -> bool {
        self.rows.places().iter().all(|(_, _, path)| *path != Path::new("-"))
    }

    /// The error of an interrupt. It names the command that continues the files that there are, or begins again if there
    /// are none.
    fn interrupted(&self, signal: i32, command: &str) -> CliError {
        let goes_on = self.rows.csv.as_deref().is_some_and(|path| path != Path::new("-"));
        let rows = self.rows.places().into_iter().map(|(option, _, path)| (option, path));
        let words = Words::empty().with(command);
        let words =
            rows.chain(self.summary.files()).fold(words, |words, (option, path)| words.output(option, Some(path)));
        let words = self.summary.words(words);
        let words = self.repros.words(words.given("--shard", self.rows.shard));
        let words = if self.yes { words.with("--yes") } else { words };
        let words = if goes_on {
            words.with("--resume")
        } else {
            let words = if self.force { words.with("--force") } else { words };
            words.path("--cdf", self.cdf.as_deref())
        };
        if goes_on && self.cdf.is_some() {
            output::note("--cdf is left out below, since the latencies of finished runs are not kept");
        }
        CliError::Interrupted { signal, command: words.to_string(), goes_on }
    }
}

/// Shows how far a sweep has come, and ends it at a signal.
struct Watch<'a> {
    interrupt: &'a Interrupt,
    progress: &'a Progress,
}

impl Observer for Watch<'_> {
    fn poll(&mut self) -> ControlFlow<()> {
        if self.interrupt.signal().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn recorded(&mut self) {
        self.progress.end();
    }

    fn repro_failed(&mut self, path: PathBuf, source: io::Error) {
        self.progress.suspend(|| output::warning(&CliError::Repro { path, source }.to_string()));
    }
}
