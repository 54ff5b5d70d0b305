//! `seedbed check`: whether histories are linearizable, from a run of seedbed or from another program.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::Outcome;
use super::error::CliError;
use super::output::{self, OutputFile};
use super::progress::Progress;
use super::sweep::{draw, picture};
use crate::check::linear::{AnySpecification, Budget, by_name, fitting};
use crate::printable::printable;
use crate::record::{self, Attempt};
use crate::report::figures;
use crate::report::history::{self, CheckedHistory, ReadHistory, verdicts};

/// Check histories for linearizability
///
/// A history lists what clients requested, how they were answered, and when. It is linearizable if some
/// order of the operations, in line with time, explains every answer. The command reads files of
/// `seedbed run --history` and histories of Jepsen: EDN with a map for each event, or logs with lines of
/// `jepsen.util`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed run crash-3 --history crash.jsonl
  seedbed check crash.jsonl                        a register for each key
  seedbed check history.edn --spec queue           values leave in the order in which they came
  seedbed check history.edn --picture wrong.svg    the operations around the first wrong answer

Exit codes: 0 all are linearizable, 1 some are not or are undecided within the budget, 2 bad usage or input.")]
pub(super) struct Args {
    /// Files with histories; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The type of the objects: register, cas, list, counter, queue or lock
    ///
    /// The default is the first of these that has all operations of the history. register: get, put. cas:
    /// get, put, and update, which is compare-and-swap. list: append, get. counter: add, get. queue:
    /// enqueue, dequeue. lock: acquire, release. docs/checking.md describes each.
    #[arg(long, value_name = "NAME")]
    spec: Option<String>,

    /// Stop searching after this many steps; the verdict is then unknown
    ///
    /// A step takes about 10 to 300 ns, so the default lasts up to a minute.
    #[arg(long, value_name = "STEPS", default_value_t = 200_000_000)]
    budget: u64,

    /// Draw the operations around the first wrong answer (.svg or .png); only for a single file
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,

    /// Write the verdicts as JSON; `-` is standard output, in place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Carries out the command.
pub(super) fn execute(args: &Args) -> Result<Outcome, CliError> {
    let spec = args.spec.as_deref().map(by_name).transpose()?;
    if args.files.iter().filter(|path| is_stdin(path)).count() > 1 {
        let problem = "can be read only once; pass `-` once".to_owned();
        return Err(CliError::History { path: "-".into(), problem });
    }
    let inputs: Vec<&Path> = output::paths(&args.files).into_iter().filter(|path| !is_stdin(path)).collect();
    let options = [("--picture", args.picture.as_deref()), ("--json", args.json.as_deref())];
    let places: Vec<_> = options.into_iter().filter_map(|(option, path)| Some((option, path?))).collect();
    output::check(&places, &inputs)?;
    if let Some(path) = &args.picture {
        if args.files.len() > 1 {
            return Err(CliError::PictureOfMany);
        }
        picture(path)?;
        output::check_writable(path)?;
    }
    let json = args.json.as_deref().map(OutputFile::open).transpose()?;
    let with_text = !json.as_ref().is_some_and(OutputFile::is_stdout);
    let mut out = output::stdout();
    let mut checked = Vec::new();
    for path in &args.files {
        let file = check(args, spec, path)?;
        if with_text {
            verdicts::write_text(&mut out, &file)?;
            out.flush()?;
        }
        if let Some(place) = &args.picture {
            draw_violation(&file, place)?;
        }
        checked.push(file);
    }
    if let Some(json) = json {
        let mut writing = json.begin(&mut out)?;
        let written = verdicts::write_json(&mut writing, &checked);
        writing.finish(written)?;
    }
    out.flush()?;
    Ok(Outcome::of(checked.iter().all(|file| file.verdict.is_linearizable())))
}

fn check(args: &Args, spec: Option<&'static dyn AnySpecification>, path: &Path) -> Result<CheckedHistory, CliError> {
    let name = if is_stdin(path) { "standard input".to_owned() } else { printable(&path.to_string_lossy()) };
    let problem = |problem: String| CliError::History { path: path.to_owned(), problem };
    let ReadHistory { history, skipped, .. } = read(path)?;
    let spec = match spec {
        Some(spec) => spec,
        None => fitting(&history).ok_or_else(|| problem(verdicts::no_fit(&history)))?,
    };
    let budget = Budget { steps: args.budget, ..Budget::default() };
    let verdict = spec
        .check(&history, budget)
        .map_err(|stranger| problem(format!("{stranger} (operation {}); --spec takes another one", stranger.mid)))?;
    let is_done = |attempt: &Attempt| matches!(attempt.answer, Some((_, record::Outcome::Ok(_))));
    if verdict.is_linearizable() && !history.attempts.iter().any(is_done) {
        // To pass would look like a verdict on the program that was tested.
        return Err(problem(verdicts::NOTHING_TO_JUDGE.to_owned()));
    }
    Ok(CheckedHistory { name, spec, skipped, verdict })
}

fn read(path: &Path) -> Result<ReadHistory, CliError> {
    let problem = |problem: String| CliError::History { path: path.to_owned(), problem };
    let unreadable = |source: io::Error| match is_stdin(path) {
        true => problem(format!("cannot be read: {source}")),
        false => CliError::Unreadable { path: path.to_owned(), source },
    };
    let (mut input, bytes): (Box<dyn Read>, Option<u64>) = match is_stdin(path) {
        true => (Box::new(io::stdin().lock()), None),
        false => {
            let file = File::open(path).map_err(unreadable)?;
            let found = fs::metadata(path).map_err(unreadable)?;
            if found.is_dir() {
                return Err(unreadable(io::ErrorKind::IsADirectory.into()));
            }
            (Box::new(file), found.is_file().then_some(found.len()))
        }
    };
    let progress = Progress::in_bytes(bytes);
    let read = history::read(&mut input, &mut |bytes| progress.reach(bytes, || "read".to_owned()));
    progress.clear();
    read.map_err(|error| match error {
        history::ReadError::Read(source) => unreadable(source),
        error => problem(error.to_string()),
    })
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Draws what is wrong, if anything is.
fn draw_violation(file: &CheckedHistory, path: &Path) -> Result<(), CliError> {
    match file.violation() {
        Some(violation) => {
            let title = format!("{}: not linearizable as {}", file.name, file.spec.name());
            draw(path, &figures::violation(&title, violation))
        }
        None => {
            output::note(&format!(
                "nothing is known to be wrong, so {} is not drawn",
                printable(&path.to_string_lossy())
            ));
            Ok(())
        }
    }
}
