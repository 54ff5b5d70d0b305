//! `seedbed shrink`: a smaller case that fails the same way.

use std::ffi::OsString;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::Outcome;
use super::command::{self, Words, quoted_path};
use super::error::CliError;
use super::output::{self, OutputFile};
use super::progress::Progress;
use super::repro::{self, amount};
use crate::lab::Repro;
use crate::lab::shrink::{self, Step, shrink};
use crate::report::repro::write_shrunk;
use crate::world::processes::Interrupt;

/// Make a repro file smaller, with the same failure
///
/// The result has fewer requests, clients, replicas and faults, and takes less time, as far as the first
/// finding stays of the same checker and kind. Losses by chance become a list of single messages. It is
/// a repro file again. The same file and budget give the same result on every machine.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed shrink repros/crash-3-7.json                writes repros/crash-3-7-shrunk.json
  seedbed shrink stale-read -o small.json             a built-in one

Exit codes: 0 shrunk, 1 it does not fail as the file says, 2 bad usage or input.")]
pub(super) struct Args {
    /// A repro file, or the name of a built-in one: `seedbed scenarios` lists them
    ///
    /// It is also looked for in the folder `repros`, where failed runs are written to.
    #[arg(value_name = "REPRO")]
    file: PathBuf,

    /// Where the result is written; `-` is standard output, in place of the text
    ///
    /// Without it, the result goes beside the repro file, with `-shrunk` at the end of its name; that of a
    /// built-in one goes into the current folder.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// How many runs it may take; one of more than 1000 events counts as several
    #[arg(long, value_name = "RUNS", allow_negative_numbers = true, default_value_t = shrink::BUDGET, value_parser = parse_budget)]
    budget: u64,
}

/// Carries out the command.
pub(super) fn execute(args: &Args) -> Result<Outcome, CliError> {
    let repro = repro::load(&args.file)?;
    let Some(finding) = repro.findings.first() else {
        return Err(CliError::NothingToShrink { path: args.file.clone() });
    };
    let input = repro::file(&args.file);
    let path = args.output.clone().unwrap_or_else(|| shrunk_name(&args.file, input.as_deref()));
    output::check(&[("--output", &path)], &input.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    let target = OutputFile::open(&path)?;
    let with_text = !target.is_stdout();
    let interrupt = Interrupt::install().map_err(CliError::Signals)?;
    let hold = interrupt.hold();
    let mut out = output::stdout();
    if with_text {
        writeln!(out, "{}\n", command(args))?;
        repro::write_case(&mut out, &repro.case)?;
        out.flush()?;
    }
    let progress = Progress::in_search(args.budget);
    let shrunk = shrink(&repro.case, finding, args.budget, |step| {
        show(&progress, step);
        if interrupt.signal().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    progress.clear();
    drop(hold);
    let Some(shrunk) = shrunk else {
        let trial = repro.case.attempt();
        let (_, text) = repro::compare(&repro, &trial);
        if with_text {
            writeln!(out, "\n{text}")?;
            out.flush()?;
        } else {
            output::note(&text);
        }
        return Ok(Outcome::Incorrect);
    };
    let result = Repro::of(&shrunk.case, &shrunk.trial);
    // First of all, since standard output may be closed by now.
    let mut writing = target.begin(&mut out)?;
    let written = result.write(&mut writing);
    writing.finish(written)?;
    if with_text {
        write_shrunk(&mut out, &repro.case, &shrunk, args.budget)?;
        writeln!(out, "\nReplay: {}", command::replay(&path))?;
    }
    out.flush()?;
    match interrupt.signal() {
        Some(signal) => Err(CliError::Interrupted { signal, command: command(args), goes_on: false }),
        None => Ok(Outcome::Correct),
    }
}

/// The command that does this again.
fn command(args: &Args) -> String {
    let words = Words::new("shrink").with(quoted_path(&args.file)).output("-o", args.output.as_deref());
    words.unless(shrink::BUDGET, "--budget", args.budget).to_string()
}

fn parse_budget(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|&budget| budget > 0).ok_or_else(|| "allowed is a whole number, 1 or more".to_owned())
}

/// Shows how far it has come.
fn show(progress: &Progress, step: &Step<'_>) {
    /// More often than people can read would only take time.
    const RUNS_PER_LOOK: u64 = 64;
    if step.runs.is_multiple_of(RUNS_PER_LOOK) {
        progress.reach(step.runs, || amount(&step.case.scenario));
    }
}

/// Beside the file, under its name with `-shrunk` before the ending; in the current folder if the repro is built in.
fn shrunk_name(given: &Path, file: Option<&Path>) -> PathBuf {
    let mut name: OsString = file.unwrap_or(given).file_stem().unwrap_or_default().to_owned();
    name.push("-shrunk.json");
    file.map_or_else(|| PathBuf::from(&name), |file| file.with_file_name(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_goes_beside_the_repro() {
        for (path, expected) in
            [("a/b.json", "a/b-shrunk.json"), ("b", "b-shrunk.json"), ("./b.c.json", "./b.c-shrunk.json")]
        {
            assert_eq!(shrunk_name(Path::new("given"), Some(Path::new(path))), Path::new(expected));
        }
        assert_eq!(shrunk_name(Path::new("repros/stale-read"), None), Path::new("stale-read-shrunk.json"));
    }
}
