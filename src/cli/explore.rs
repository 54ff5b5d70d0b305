//! `seedbed explore`: random scenarios on all cores, each judged by all checkers.

use std::io::Write;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::Outcome;
use super::command::{self, Words};
use super::cores::Cores;
use super::error::CliError;
use super::output::{self, Stdout, plural};
use super::program;
use super::progress::Progress;
use super::repro::Repros;
use super::selection::draw_seed;
use super::tested::{self, Tested};
use crate::clock::Clock;
use crate::lab::explore::{Choice, CorpusFolder, Exploration, Failure, Learner, draw};
use crate::lab::{Protocol, Repro, SeedRange};
use crate::report::explore as report;
use crate::time::{Span, Time};
use crate::world::processes::Interrupt;

/// Run random scenarios, one a seed, on all cores, and judge each by all checkers
///
/// Every seed draws a whole scenario: 2 to 31 replicas, their parameters, losses, delays, partitions,
/// kills, crashes, broken links and bursts of requests. Or it changes an earlier one whose run reached
/// something new. At the end a table says how many runs had each of the situations that make the protocol
/// difficult. A failure is written to a file that `seedbed replay` repeats and `seedbed shrink` makes small.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("extent").required(true),
    after_long_help = "\
Examples:
  seedbed explore --seeds 0..10000
  seedbed explore --for 10m --keep-going     from a random seed on, which is printed
  seedbed explore --seeds 0..1000 --without commit-own-term
                                             a broken Raft, which must be detected
  seedbed explore --seeds 0..200 -r ./3700kvstore
                                             a program of yours, simulated

Exit codes: 0 no failure, 1 a run failed or a situation never occurred in 10,000 seeds,
2 bad usage or input."
)]
pub(super) struct Args {
    /// The seeds: one, or a range without (A..B) or with (A..=B) its end
    #[arg(long, value_name = "A..B", allow_hyphen_values = true, group = "extent")]
    seeds: Option<SeedRange>,

    /// How long to explore, as in 90s, 10m or 8h
    #[arg(long = "for", id = "time", value_name = "TIME", allow_hyphen_values = true, value_parser = parse_span, group = "extent")]
    time: Option<Span>,

    /// The first seed, with --for; a random one if it is not given
    #[arg(long, value_name = "N", allow_negative_numbers = true, requires = "time", conflicts_with = "seeds")]
    from: Option<u64>,

    #[command(flatten)]
    tested: Tested,

    /// Explore a mutant, without this rule: one of those of `seedbed zoo`
    #[arg(long, value_name = "RULE", value_parser = program::rules(), conflicts_with = "replica")]
    without: Option<String>,

    /// Draw each case from its seed alone, and learn nothing from those before
    #[arg(long)]
    no_learning: bool,

    /// A folder of cases that reached something new before: they are run first, and at the end the folder has few
    /// cases that together reach all of it
    #[arg(long, value_name = "DIR", conflicts_with = "no_learning")]
    corpus: Option<PathBuf>,

    /// Do not stop at the first failure
    #[arg(short, long)]
    keep_going: bool,

    #[command(flatten)]
    cores: Cores,

    #[command(flatten)]
    repros: Repros,
}

/// The seeds that are explored, and for how long.
struct Extent {
    seeds: RangeInclusive<u64>,
    time: Option<Span>,
}

/// What an exploration begins with.
struct Start {
    learner: Learner,
    corpus: Vec<Choice>,
}

/// Carries out the command.
pub(super) fn execute(args: Args) -> Result<Outcome, CliError> {
    let extent = args.extent()?;
    let sound = &args.tested.open()?;
    sound.check_explorable()?;
    let protocol = args.without.as_ref().map_or_else(|| Ok(sound.clone()), |rule| sound.without(rule))?;
    args.cores.use_them()?;
    if !protocol.judges_answers(&draw(&protocol, *extent.seeds.start()).scenario) {
        output::warning(&format!(
            "no checker judges the answers of {protocol}: it has neither a specification nor checks"
        ));
    }
    let corpus = match args.folder() {
        None => Vec::new(),
        Some(folder) => {
            let cases = folder.read(&protocol, output::warning)?;
            // Not after hours.
            folder.check_writable()?;
            cases
        }
    };
    let learner = if args.no_learning { Learner::drawing(protocol) } else { Learner::new(protocol) };
    let kept = corpus.len() as u64;
    let start = Start { learner, corpus };
    let interrupt = Interrupt::install().map_err(CliError::Signals)?;
    let hold = interrupt.hold();
    let mut out = output::stdout();
    let command = args.command(&extent, sound);
    writeln!(out, "{command}\n")?;
    out.flush()?;
    let progress = match extent.time {
        None => Progress::in_seeds(Some((extent.seeds.end() - extent.seeds.start()).saturating_add(1))),
        Some(_) => Progress::in_seeds(None),
    };
    let clock = Clock::start();
    let exploration = explore(&args, start, &extent, clock, &interrupt, &progress, &mut out);
    progress.clear();
    drop(hold);
    let exploration = exploration?;
    let seconds = clock.now().as_secs_f64();
    let rate = exploration.runs as f64 / seconds.max(1e-3);
    output::note(&format!("{} runs in {seconds:.1} s, {rate:.0} a second", exploration.runs));
    // What is finished is not lost, however it ended.
    report::write_end(&mut out, &exploration)?;
    out.flush()?;
    if let Some(folder) = args.folder() {
        let cases = folder.write(&exploration.learner, exploration.kept == kept)?;
        output::note(&format!("{}: {}", folder.directory().display(), plural(cases as u64, "case", "cases")));
    }
    match interrupt.signal() {
        Some(signal) => {
            let command = args.repros.words(Words::empty().with(command)).to_string();
            Err(CliError::Interrupted { signal, command, goes_on: false })
        }
        None => Ok(Outcome::of(exploration.failures == 0 && exploration.gaps().is_empty())),
    }
}

impl Args {
    fn folder(&self) -> Option<CorpusFolder> {
        self.corpus.as_ref().map(|directory| CorpusFolder::new(directory, program::protocols().clone()))
    }

    fn extent(&self) -> Result<Extent, CliError> {
        if let Some(seeds) = self.seeds {
            return Ok(Extent { seeds: seeds.iter(), time: None });
        }
        let first = self.from.map_or_else(draw_seed, Ok)?;
        Ok(Extent { seeds: first..=u64::MAX, time: self.time })
    }

    /// The command that does this again.
    fn command(&self, extent: &Extent, protocol: &Protocol) -> String {
        let words = Words::new("explore");
        let words = match (self.seeds, extent.time) {
            (Some(seeds), _) => words.option("--seeds", seeds),
            (None, time) => {
                let seconds = time.unwrap_or_default().as_secs_f64();
                words.option("--for", format!("{seconds}s")).option("--from", extent.seeds.start())
            }
        };
        let words = tested::words_of(words, protocol, None);
        let words = words.given("--without", self.without.as_deref());
        let words = words.path("--corpus", self.corpus.as_deref());
        let words = if self.no_learning { words.with("--no-learning") } else { words };
        let words = if self.keep_going { words.with("--keep-going") } else { words };
        words.to_string()
    }
}

fn explore(
    args: &Args,
    start: Start,
    extent: &Extent,
    clock: Clock,
    interrupt: &Interrupt,
    progress: &Progress,
    out: &mut Stdout,
) -> Result<Exploration, CliError> {
    let in_time = || extent.time.is_none_or(|time| clock.now().since(Time::ZERO) < time);
    let goes_on =
        |so_far: &Exploration| in_time() && interrupt.signal().is_none() && (args.keep_going || so_far.failures == 0);
    let mut exploration = Exploration::new(start.learner);
    let mut failed = |failure: Failure| progress.suspend(|| report_failure(args, &failure, out));
    if !start.corpus.is_empty() {
        exploration.begin_with(&start.corpus, || {}, &mut failed, goes_on)?;
    }
    if goes_on(&exploration) {
        exploration.explore(extent.seeds.clone(), || progress.end(), failed, goes_on)?;
    }
    exploration.finish();
    Ok(exploration)
}

/// Reports a failure and writes its repro file. The exploration is worth more than the file, so one that cannot be
/// written is only warned of.
fn report_failure(args: &Args, failure: &Failure, out: &mut Stdout) -> Result<(), CliError> {
    if let Some(obstacle) = failure.trial.judged.as_ref().and_then(|judged| judged.record.obstacle.clone()) {
        return Err(CliError::Obstacle(obstacle));
    }
    report::write_failure(out, failure)?;
    match args.repros.write(&Repro::of(&failure.case, &failure.trial)) {
        Ok(path) => {
            writeln!(out, "    Replay: {}", command::replay(&path))?;
            writeln!(out, "    Shrink: {}", command::shrink(&path))?;
        }
        Err(error) => output::warning(&error.to_string()),
    }
    writeln!(out)?;
    Ok(out.flush()?)
}

/// A time as in `90s`, `10m` or `8h`.
fn parse_span(text: &str) -> Result<Span, String> {
    const ALLOWED: &str = "allowed is a number with s, m or h, as in 10m, from 0.001s to 1000h";
    let unit = |unit: char| match unit {
        's' => Some(1.0),
        'm' => Some(60.0),
        'h' => Some(3_600.0),
        _ => None,
    };
    let seconds = text.char_indices().last().and_then(|(place, last)| {
        let number: f64 = text[..place].parse().ok()?;
        Some(number * unit(last)?)
    });
    match seconds {
        Some(seconds) if (0.001..=3_600_000.0).contains(&seconds) => Ok(Span::from_secs_f64(seconds)),
        _ => Err(ALLOWED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("90s", 90.0), ("10m", 600.0), ("0.5h", 1_800.0), ("1000h", 3_600_000.0)] {
            assert_eq!(parse_span(text).unwrap().as_secs_f64(), seconds);
        }
        for text in ["", "s", "10", "10 minutes", "-1s", "0s", "1e-12s", "NaNs", "infs", "1001h", "1é"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }
}
