//! `seedbed shrink`: a smaller case that fails the same way.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Outcome;
use super::command::quoted_path;
use super::error::CliError;
use super::output::{self, Stdout, is_same};
use super::progress::Progress;
use super::repro::{self, amount};
use crate::sweep::Repro;
use crate::sweep::shrink::{self, Shrunk, Size, Step, shrink};

/// Make a repro file smaller, with the same failure
///
/// The result has fewer requests, clients, replicas and faults, and takes less time, as far as the first
/// finding stays of the same checker and kind. Losses by chance become a list of single messages. It is
/// a repro file again. The same file and budget give the same result on every machine.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
Examples:
  seedbed shrink results/failure.json                 writes results/failure-shrunk.json
  seedbed shrink results/failure.json -o small.json

Exit codes: 0 shrunk, 1 it does not fail as the file says, 2 bad usage or input."
)]
pub(super) struct Args {
    /// The repro file
    #[arg(value_name = "REPRO")]
    file: PathBuf,

    /// Where the result is written; `-` is standard output, in place of the text
    ///
    /// Without it, the result goes beside the repro file, with `-shrunk` at the end of its name.
    #[arg(short, long, value_name = "FILE", verbatim_doc_comment)]
    output: Option<PathBuf>,

    /// How many runs it may take; one of more than 1000 events counts as several
    #[arg(long, value_name = "RUNS", default_value_t = shrink::BUDGET, value_parser = clap::value_parser!(u64).range(1..))]
    budget: u64,
}

/// Where the result goes. What is there stays until there is something to write.
enum Target {
    Stdout,
    File {
        path: PathBuf,
        file: File,
        /// It was not there before.
        new: bool,
    },
}

/// Carries out the command.
pub(super) fn execute(args: &Args) -> Result<Outcome, CliError> {
    let repro = repro::load(&args.file)?;
    let Some(finding) = repro.findings.first() else {
        return Err(CliError::NothingToShrink { path: args.file.clone() });
    };
    let path = args.output.clone().unwrap_or_else(|| shrunk_name(&args.file));
    let target = Target::open(path, &args.file)?;
    let mut out = output::stdout();
    if target.leaves_stdout() {
        writeln!(out, "seedbed shrink {}\n", quoted_path(&args.file))?;
        repro::write_case(&mut out, &repro.case)?;
        out.flush()?;
    }
    let progress = Progress::in_runs(args.budget, false);
    let shrunk = shrink(&repro.case, finding, args.budget, |step| show(&progress, step));
    progress.clear();
    let Some(shrunk) = shrunk else {
        let trial = repro.case.attempt();
        let (_, text) = repro::compare(&repro, &trial);
        if target.leaves_stdout() {
            writeln!(out, "\n{text}")?;
            out.flush()?;
        } else {
            output::note(&text);
        }
        target.leave_alone();
        return Ok(Outcome::Incorrect);
    };
    report(&mut out, &repro, &shrunk, target)?;
    out.flush()?;
    Ok(Outcome::Correct)
}

fn report(out: &mut Stdout, repro: &Repro, shrunk: &Shrunk, target: Target) -> Result<(), CliError> {
    let result = Repro::of(&shrunk.case, &shrunk.trial);
    let Target::File { path, file, .. } = target else {
        return Ok(result.write(out)?);
    };
    // Only regular files have a length.
    let _ = file.set_len(0);
    let mut writer = BufWriter::new(file);
    let written = result.write(&mut writer).and_then(|()| writer.flush());
    written.map_err(|source| CliError::File { path: path.clone(), source })?;
    write_text(out, repro, shrunk, &path)?;
    Ok(())
}

fn write_text(out: &mut impl Write, repro: &Repro, shrunk: &Shrunk, path: &Path) -> io::Result<()> {
    writeln!(out, "Shrunk:   {} (after {} runs)\n", amount(&shrunk.case.scenario), shrunk.runs)?;
    repro::write_findings(out, &shrunk.trial)?;
    if Size::of(&shrunk.case).chance {
        writeln!(out, "\nSome messages are still lost by chance: no list of losses was found that does as well.")?;
    }
    if Size::of(&shrunk.case) >= Size::of(&repro.case) {
        writeln!(out, "\nNothing could be taken away.")?;
    }
    writeln!(out, "\nThis repeats it: seedbed replay {}", quoted_path(path))
}

/// Shows how far it has come.
fn show(progress: &Progress, step: &Step<'_>) {
    /// More often than people can read would only take time.
    const RUNS_PER_LOOK: u64 = 64;
    if step.runs.is_multiple_of(RUNS_PER_LOOK) {
        progress.reach(step.runs, || amount(&step.case.scenario));
    }
}

/// The file's name with `-shrunk` before its ending.
fn shrunk_name(path: &Path) -> PathBuf {
    let mut name: OsString = path.file_stem().unwrap_or_default().to_owned();
    name.push("-shrunk.json");
    path.with_file_name(name)
}

impl Target {
    fn open(path: PathBuf, input: &Path) -> Result<Target, CliError> {
        if path == Path::new("-") {
            return Ok(Target::Stdout);
        }
        if is_same(&path, input) {
            return Err(CliError::ReplacesInput { path });
        }
        let new = !path.exists();
        match File::options().write(true).create(true).truncate(false).open(&path) {
            Ok(file) => Ok(Target::File { path, file, new }),
            Err(source) => Err(CliError::File { path, source }),
        }
    }

    /// Whether standard output is free for people.
    fn leaves_stdout(&self) -> bool {
        matches!(self, Target::File { .. })
    }

    /// There is nothing to write.
    fn leave_alone(self) {
        if let Target::File { path, new: true, .. } = self {
            // It is empty. If it cannot be removed, it stays so.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_goes_beside_the_repro() {
        for (path, expected) in
            [("a/b.json", "a/b-shrunk.json"), ("b", "b-shrunk.json"), ("./b.c.json", "./b.c-shrunk.json")]
        {
            assert_eq!(shrunk_name(Path::new(path)), Path::new(expected));
        }
    }
}
