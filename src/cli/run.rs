//! `seedbed run`: one scenario, or all of a directory, in the virtual world or with real processes.

use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::axes::{AxisArgs, Changed};
use super::cast::{self, Booking, Cast, Played, WorldName};
use super::command::{self, CommandLine, Words};
use super::error::{CliError, RUNS_SHOWN_MAX};
use super::output::{self, ExportArgs, Exports, OutputFile, Report, Stdout};
use super::program::{self, default_protocol, protocols};
use super::repro::Repros;
use super::selection::{Selected, Selection};
use super::sweep::{draw, picture};
use super::trace::{TraceArgs, TraceFile};
use crate::campaign::OnUnserved;
use crate::chaos::Rulebook;
use crate::check::Checker;
use crate::lab::{Protocol, SeedRange};
use crate::printable::printable;
use crate::record::Reigns;
use crate::report::suite::{self, Table};
use crate::report::trace::Heading;
use crate::report::{RunSummary, SuiteSummary, text};
use crate::report::{figures, history};

/// Run one scenario, or all of a directory, and judge it by all checkers
///
/// A run passes if the course's checks pass and the other checkers find nothing: linearizability (do
/// all answers fit together?), the protocol's invariants (watched after each event, in the virtual world
/// only), liveness (do writes go through again once all faults are over?), and two that are shown only
/// if they found something: answers (is there one for each request?) and promptness (do answers come
/// soon while nothing disturbs the replicas?).
///
/// In the virtual world, a run is a simulation: it takes no real time, and is a pure function of the
/// program, the scenario and the seed. The first line of the report is the command that repeats the
/// run to the bit; the last is the hash of its trace, which two runs share exactly if they had the
/// same events.
///
/// With `-r`, a run is played by real processes in real time. The seed then decides the random choices
/// of clients, links and faults, but not when things happen.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed run crash-3                            a built-in scenario; the random seed is printed
  seedbed run crash-3 --seed 7                   the same run every time
  seedbed run my.json                            a scenario file
  seedbed run all --seed 7                       the course's suite as a table
  seedbed run all --seeds 0..3                   each scenario with the seeds 0, 1 and 2
  seedbed run chaos                              all scenarios of a folder, here a built-in one
  seedbed run unreliable-1 --protocol broadcast  naive replication, which must fail
  seedbed run crash-3 -r ./3700kvstore           real processes, in real time
  seedbed run partition-3 --world grpc           a gRPC cluster, in real time
  seedbed run simple-1 --event kill_leader@5     one more fault
  seedbed run all --json - | jq '.runs[].latency'
  seedbed run crash-3 --seed 7 --drops 0.2 --timeline crash-3.svg
                                                 a change, and a picture of what happened when
  seedbed run crash-3 --seed 7 --trace - | jq 'select(.type == \"fault\")'

Exit codes: 0 all correct, 1 a checker found something or a run is not judged, 2 bad usage or input.")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,

    /// Run each scenario with each of these seeds: a range without (A..B) or with (A..=B) its end
    ///
    /// The table then says for each scenario how many runs passed, and with which seeds it failed.
    #[arg(long, value_name = "A..B", allow_hyphen_values = true, conflicts_with = "seed")]
    seeds: Option<SeedRange>,

    /// What the replicas run in the virtual world
    #[arg(long, value_name = "NAME", default_value_t = default_protocol(), value_parser = program::protocol_names())]
    protocol: Protocol,

    /// Run a mutant, without this rule; `seedbed help explore` lists them
    #[arg(long, value_name = "RULE", value_parser = program::rules(), hide_possible_values = true)]
    without: Option<String>,

    /// Run processes of this program instead, in real time, over UDP on this machine
    ///
    /// Any program that speaks the course's protocol will do, in any language. It is started once for
    /// each replica, as `PROGRAM <UDP port> <its ID> <ID> <ID>...`.
    #[arg(short, long, value_name = "PROGRAM", conflicts_with_all = ["protocol", "without"])]
    replica: Option<PathBuf>,

    /// In which world to run
    ///
    /// With `grpc`, a run is played by a cluster of `seedbed serve` servers, which is started for it on
    /// this machine: servers are really killed, and their chaos monkeys make partitions and losses. The
    /// seed decides as much as with `-r`.
    #[arg(long, value_name = "WORLD", default_value = "virtual", hide_default_value = true, conflicts_with_all = ["replica", "protocol", "without", "trace"])]
    world: WorldName,

    #[command(flatten)]
    staging: cast::Staging,

    #[command(flatten)]
    repros: Repros,

    #[command(flatten)]
    exports: ExportArgs,

    #[command(flatten)]
    trace: TraceArgs,

    /// Write the requests of clients and their answers as lines of JSON; `-` is standard output, in place of the text
    ///
    /// Only for a single scenario, in any world. docs/output.md lists all fields.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// Draw a single run over time: answers, wrong ones too, faults, leaders (.svg or .png)
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,

    #[command(flatten)]
    axes: AxisArgs,
}

/// Carries out the command.
pub(super) fn execute(args: Args) -> Result<Outcome, CliError> {
    let mut selected = args.selection.load_with(args.seeds)?;
    if selected.runs() > RUNS_SHOWN_MAX {
        return Err(CliError::TooManyRuns { runs: selected.runs() });
    }
    // No protocol of this program stands for the replicas of another one.
    let unserved = if args.plays_processes() { OnUnserved::Keep } else { selected.on_unserved() };
    let scenarios = mem::take(&mut selected.scenarios);
    let changed = Changed::new(&args.axes, scenarios, unserved, &args.protocol, args.without.as_deref())?;
    selected.scenarios = changed.scenarios;
    let alone = args.of_one_run();
    if let Some(option) = alone.filter(|_| selected.is_many()) {
        return Err(CliError::OfMany { option });
    }
    let inputs = [selected.files(), changed.files.clone(), args.replica.iter().cloned().collect()].concat();
    let Outputs { trace, history, exports } = args.open_outputs(&inputs)?;
    let cast = args.cast(changed.protocol)?;
    let words = args.staging.words(changed.words).to_string();
    let (program, changes) = (args.replica.as_deref(), words.as_str());
    let line = CommandLine { verb: "run", protocol: args.protocol.name(), program, changes, grpc: args.plays_grpc() };
    let command = selected.command(&line);
    let mut out = output::stdout();
    let with_text = exports.leaves_stdout()
        && trace.as_ref().is_none_or(TraceFile::leaves_stdout)
        && !history.as_ref().is_some_and(OutputFile::is_stdout);
    if with_text {
        // Before the run, so that it is there whatever happens.
        write_begin(&mut out, &command, &selected)?;
    }
    let mut suite = SuiteSummary { command, runs: Vec::with_capacity(selected.scenarios.len()) };
    let mut watched = Ok(());
    let bookings = Booking::all(&selected, &line);
    let played = match alone {
        Some(_) => {
            let wanted = Wanted { trace, history, timeline: args.timeline.as_deref(), label: &changed.label };
            play_watched(wanted, &cast, &bookings[0], &mut out).map(|(played, written)| {
                watched = written;
                let (run, replay) = keep(&args.repros, &changed.label, &cast, &bookings[0], played, with_text);
                suite.runs.push(run);
                replay
            })
        }
        None => {
            let table = with_text.then_some(&mut out);
            play(&args, &changed.label, &cast, &selected, &bookings, table, &mut suite.runs)
        }
    };
    let replay = match played {
        Ok(replay) => replay,
        Err(error) => {
            // What is finished is not lost.
            if selected.is_many() && !suite.runs.is_empty() {
                exports.write(Report::Many(&suite), &mut out)?;
                out.flush()?;
            }
            return Err(error.of(&args.outputs(Words::empty().with(&suite.command)).to_string()));
        }
    };
    let one = if selected.is_many() { None } else { Some(&suite.runs[0]) };
    exports.write(one.map_or(Report::Many(&suite), Report::One), &mut out)?;
    match one {
        Some(run) if with_text => {
            write_one(&mut out, run, replay.as_deref())?;
            write_picture(&mut out, args.timeline.as_deref())?;
        }
        None if with_text => write_end(&mut out, &suite, selected.scenarios.len())?,
        _ => {}
    }
    out.flush()?;
    watched?;
    Ok(Outcome::of(suite.passed() == suite.runs.len()))
}

impl Args {
    fn plays_grpc(&self) -> bool {
        self.world == WorldName::Grpc
    }

    fn plays_processes(&self) -> bool {
        self.plays_grpc() || self.replica.is_some()
    }

    /// The first option that is for a single run only.
    fn of_one_run(&self) -> Option<&'static str> {
        let wanted = [
            ("--trace", self.trace.is_wanted()),
            ("--history", self.history.is_some()),
            ("--timeline", self.timeline.is_some()),
        ];
        wanted.into_iter().find_map(|(option, is_wanted)| is_wanted.then_some(option))
    }

    /// Opens the files for results, before anything is played.
    fn open_outputs(&self, inputs: &[PathBuf]) -> Result<Outputs, CliError> {
        let inputs = output::paths(inputs);
        let mut places = self.exports.places();
        let mut history = None;
        if let Some(path) = &self.history {
            places.push(("--history", path));
            output::check(&places, &inputs)?;
            history = Some(OutputFile::open(path)?);
        }
        if let Some(path) = &self.timeline {
            picture(path)?;
            places.push(("--timeline", path));
            output::check(&places, &inputs)?;
            output::check_writable(path)?;
        }
        if self.replica.is_some() && self.trace.leaves_heartbeats_out() {
            return Err(CliError::Heartbeats);
        }
        let trace = self.trace.open(places, &inputs)?;
        Ok(Outputs { trace, history, exports: Exports::open(&self.exports, &inputs)? })
    }

    /// What the replicas are. Those of another program have no parameters that a command could change.
    fn cast(&self, protocol: Protocol) -> Result<Cast, CliError> {
        if self.plays_processes()
            && let Some(&(name, _)) = protocol.changed_parameters().first()
        {
            return Err(CliError::ForeignReplicas { name });
        }
        if self.trace.tells_calls() {
            return match &self.replica {
                Some(program) => Cast::of_program(program, &self.staging)?.telling_calls(),
                None => Err(CliError::Calls),
            };
        }
        match &self.replica {
            Some(program) => Cast::of_program(program, &self.staging),
            None if self.plays_grpc() => Cast::grpc(&self.staging),
            None => Ok(Cast::simulated(protocol)),
        }
    }

    /// With the options that say where results go. They change no run, so reports do not show them.
    fn outputs(&self, words: Words) -> Words {
        let words = self.exports.words(words).output("--history", self.history.as_deref());
        let words = words.output("--timeline", self.timeline.as_deref());
        self.repros.words(words)
    }
}

/// Plays everything that is selected, and adds the runs as they finish. If there is an `out`, the rows of a table go
/// there, each once its scenario has run with all seeds. Returns the command that replays the last run, if it failed.
fn play(
    args: &Args,
    label: &str,
    cast: &Cast,
    selected: &Selected,
    bookings: &[Booking<'_>],
    mut out: Option<&mut Stdout>,
    runs: &mut Vec<RunSummary>,
) -> Result<Option<String>, CliError> {
    let table = Table::new(&selected.scenarios.iter().map(|(_, scenario)| scenario).collect::<Vec<_>>());
    let seeds = bookings.len() / selected.scenarios.len();
    let mut replays = Vec::with_capacity(bookings.len());
    cast.play_all(bookings, args.staging.jobs(), |place, played, progress| {
        // The bar makes way, as all that is written may go to the same terminal.
        let kept = || keep(&args.repros, label, cast, &bookings[place], played, out.is_some());
        let (run, replay) = progress.suspend(kept);
        replays.push(replay);
        runs.push(run);
        let is_whole = (place + 1).is_multiple_of(seeds);
        if let Some(out) = out.as_mut().filter(|_| selected.is_many() && is_whole) {
            let first = place + 1 - seeds;
            progress.suspend(|| {
                table.write_row(out, place / seeds, &runs[first..], &replays[first..])?;
                out.flush()
            })?;
        }
        Ok(())
    })?;
    Ok(replays.pop().flatten())
}

/// The trace of a live run is kept back up to this many bytes, so that a slow disk or reader does not hold the router up.
const LIVE_TRACE_BUFFER: usize = 64 << 20;

/// The files for results.
struct Outputs {
    trace: Option<TraceFile>,
    history: Option<OutputFile>,
    exports: Exports,
}

/// What is wanted of a single run, besides its report.
struct Wanted<'a> {
    trace: Option<TraceFile>,
    history: Option<OutputFile>,
    timeline: Option<&'a Path>,
    /// What the command changes in the scenario.
    label: &'a str,
}

/// Plays one run that is watched, on this thread, since it is the one that may write to standard output. The run is
/// worth reporting even if what was seen could not be written.
fn play_watched(
    wanted: Wanted<'_>,
    cast: &Cast,
    booking: &Booking<'_>,
    stdout: &mut Stdout,
) -> Result<(Played, Result<(), CliError>), CliError> {
    let Wanted { trace, history, timeline, label } = wanted;
    let &Booking { scenario, seed, ref command, .. } = booking;
    let heading = Heading { scenario, seed, protocol: cast.name(), command };
    let mut reigns = Reigns::default();
    let progress = cast.progress(std::slice::from_ref(booking));
    let buffer = if matches!(cast, Cast::Virtual { .. }) { 0 } else { LIVE_TRACE_BUFFER };
    let ((played, record), written) = match trace {
        Some(trace) => trace.write(&heading, stdout, buffer, |writer| {
            let (played, record) = cast.play_observed(booking, &progress, &mut (writer, &mut reigns))?;
            // The trace of a run that panicked has no end.
            let whole = Some(record.clone()).filter(|_| !played.run.panicked());
            Ok(((played, record), whole))
        })?,
        None => (cast.play_observed(booking, &progress, &mut reigns)?, Ok(())),
    };
    progress.clear();
    let kept = history.map_or(Ok(()), |file| {
        let mut writing = file.begin(stdout)?;
        let written = history::write(&mut writing, &heading, &record);
        writing.finish(written)
    });
    let drawn = timeline.map_or(Ok(()), |path| {
        let protocol = if let Cast::Virtual { protocol, .. } = cast { Some(protocol) } else { None };
        let mut title = title_of_picture(&scenario.name, seed, label, protocol);
        if played.run.judgement.opinion(&Checker::FAITHFULNESS).is_some() {
            title += ", not faithful";
        }
        let heading = (title.as_str(), played.run.description.as_str());
        let chart = figures::timeline(scenario, &record, &played.run.judgement, &reigns.into_vec(), heading);
        draw(path, &chart)
    });
    Ok((played, written.and(kept).and(drawn)))
}

/// What a picture shows: the run, what the command changed, and what the replicas ran if that is not the default.
pub(super) fn title_of_picture(name: &str, seed: u64, changes: &str, protocol: Option<&Protocol>) -> String {
    let mut title = format!("{name} with seed {seed}");
    let broken = protocol.and_then(Protocol::broken);
    let protocol = protocol.filter(|protocol| protocol.name() != protocols().default_one().name());
    let parts = [
        Some(changes.to_owned()).filter(|changes| !changes.is_empty()),
        protocol.map(|protocol| format!("protocol {protocol}")),
        broken.map(|rule| format!("without {rule}")),
    ];
    parts.into_iter().flatten().for_each(|part| title += &format!(", {part}"));
    title
}

/// Keeps what a failed run leaves: a repro file, or what its replicas printed. Returns the run, and the command that
/// replays it if there is one.
fn keep(
    repros: &Repros,
    label: &str,
    cast: &Cast,
    booking: &Booking<'_>,
    played: Played,
    with_text: bool,
) -> (RunSummary, Option<String>) {
    let Played { mut run, output } = played;
    if let Some(output) = output {
        match repros.write_output(&run, label, &output) {
            Ok(path) => run.output = Some(printable(&path.to_string_lossy())),
            Err(error) => output::warning(&error.to_string()),
        }
    }
    let replay = write_repro(repros, label, cast, booking, &run, with_text);
    (run, replay)
}

/// Writes a repro file of a run that failed, if there can be one, and returns the command that replays it. Where no
/// text shows that, a note does. Reports are worth more than this file, so if it cannot be written, that is only warned
/// of.
fn write_repro(
    repros: &Repros,
    label: &str,
    cast: &Cast,
    booking: &Booking<'_>,
    run: &RunSummary,
    with_text: bool,
) -> Option<String> {
    let repro = if run.passed() { None } else { cast.repro(booking, run) }?;
    match repros.write_of(&repro, label) {
        Ok(path) => {
            let replay = command::replay(&path);
            if !with_text {
                output::note(&format!("{} with seed {} failed; this repeats it: {replay}", run.scenario, run.seed));
            }
            Some(replay)
        }
        Err(error) => {
            output::warning(&error.to_string());
            None
        }
    }
}

/// Writes the command, and what all rows of a table have in common.
fn write_begin(out: &mut Stdout, command: &str, selected: &Selected) -> io::Result<()> {
    writeln!(out, "{command}\n")?;
    if selected.is_many() && selected.scenarios.iter().any(|(_, scenario)| scenario.rules == Rulebook::Runner) {
        writeln!(out, "{}\n", text::RUNNER)?;
    }
    out.flush()
}

/// Says where a picture is.
pub(super) fn write_picture(out: &mut impl Write, path: Option<&Path>) -> io::Result<()> {
    path.map_or(Ok(()), |path| writeln!(out, "Picture: {}", printable(&path.to_string_lossy())))
}

/// Writes the report of one run.
fn write_one(out: &mut impl Write, run: &RunSummary, replay: Option<&str>) -> io::Result<()> {
    text::write(out, run)?;
    if !run.passed() {
        writeln!(out, "\nRepeat: {}", run.command)?;
        run.output.iter().try_for_each(|path| writeln!(out, "Output of its replicas: {path}"))?;
        replay.iter().try_for_each(|replay| writeln!(out, "Replay: {replay}"))?;
    } else if run.trace.is_some() {
        writeln!(out)?;
    }
    text::write_trace(out, run.trace)
}

/// Writes what comes below the table of many runs.
fn write_end(out: &mut impl Write, suite: &SuiteSummary, scenarios: usize) -> io::Result<()> {
    writeln!(out)?;
    suite::write_total(out, suite, scenarios)?;
    text::write_trace(out, suite.trace())
}
