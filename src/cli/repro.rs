//! What the commands that write or read repro files share.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::CliError;
use super::output;
use crate::check::{Checker, linear};
use crate::scenario::Scenario;
use crate::sweep::{Case, Repro, Trial};

/// Reads a repro and passes its warnings on.
pub(super) fn load(path: &Path) -> Result<Repro, CliError> {
    let loaded = Repro::load(path)?;
    for warning in &loaded.warnings {
        output::warning(warning);
    }
    Ok(loaded.repro)
}

/// How much there is to a scenario, as in `3 replicas, 2 requests, 1 fault event, 0 losses`.
pub(super) fn amount(scenario: &Scenario) -> String {
    let count = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    [
        count(scenario.replicas, "replica", "replicas"),
        count(scenario.requests as usize, "request", "requests"),
        count(scenario.events.len(), "fault event", "fault events"),
        count(scenario.losses.len(), "loss", "losses"),
    ]
    .join(", ")
}

/// Writes what a case is, in a few lines.
pub(super) fn write_case(out: &mut impl Write, case: &Case) -> io::Result<()> {
    let Case { scenario, seed, subject } = case;
    writeln!(out, "Scenario: {}, seed {seed}: {}", scenario.name, amount(scenario))?;
    let mut protocol = subject.protocol.to_string();
    if let Some(rule) = subject.broken {
        let _ = write!(protocol, " without {rule} ({})", rule.broken());
    }
    for (name, value) in subject.config.changed_settings() {
        let _ = write!(protocol, ", {name} {value}");
    }
    writeln!(out, "Protocol: {protocol}")
}

/// Writes everything that was found, and for a history that is not linearizable the operations that show it.
pub(super) fn write_findings(out: &mut impl Write, trial: &Trial) -> io::Result<()> {
    for finding in &trial.findings {
        match trial.judged.as_ref().map(|judged| &judged.judgement.linear) {
            Some(linear::Verdict::Violation(violation)) if finding.checker == Checker::Linearizability => {
                writeln!(out, "{}: {violation}", finding.checker)?;
            }
            _ => writeln!(out, "{finding}")?,
        }
    }
    Ok(())
}

/// Compares a trial with what a repro says: whether it is the same, and one line about it.
pub(super) fn compare(repro: &Repro, trial: &Trial) -> (bool, String) {
    let trace = |trace: Option<u64>| trace.map_or("none, since a replica panicked".to_owned(), |t| format!("{t:016x}"));
    let found = trace(trial.trace());
    let (alike, same_trace) = (repro.is_like(trial), trial.trace() == repro.trace);
    let text = match (alike, same_trace) {
        (true, true) if trial.passed() => format!("No failure, as the file says: trace {found}"),
        (true, true) => format!("The same failure, to the bit: trace {found}"),
        (true, false) => {
            let what = if trial.passed() { "No failure, as the file says" } else { "The same failure" };
            format!("{what}, but another trace: {found}, not {}{}", trace(repro.trace), versions(repro))
        }
        (false, _) if trial.passed() => format!("No failure: trace {found}{}", versions(repro)),
        (false, _) => {
            let kinds: Vec<String> =
                repro.findings.iter().map(|finding| format!("{}: {}", finding.checker, finding.kind)).collect();
            let kinds = if kinds.is_empty() { "no failure".to_owned() } else { kinds.join("; ") };
            format!("Another failure: trace {found}; the file says: {kinds}{}", versions(repro))
        }
    };
    (alike && same_trace, text)
}

fn versions(repro: &Repro) -> String {
    format!(" (written by seedbed {}, this is {})", repro.version, env!("CARGO_PKG_VERSION"))
}

/// The folder unless told otherwise.
const DEFAULT_DIRECTORY: &str = "repros";

/// Where failed runs are written to.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Repros {
    /// Folder for repro files: a failed run is written there, and `seedbed replay` repeats it
    #[arg(long = "repros", value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    directory: PathBuf,
}

impl Repros {
    /// Writes a repro, under the scenario's name and the seed, and returns its path. An older one of that name is replaced,
    /// but never left half written.
    pub fn write(&self, repro: &Repro) -> Result<PathBuf, CliError> {
        let name = format!("{}-{}.json", plain(&repro.case.scenario.name), repro.case.seed);
        let path = self.directory.join(name);
        write_new(&path, repro).map_err(|source| CliError::File { path: path.clone(), source })?;
        Ok(path)
    }
}

/// Writes a repro file under another name first, so that there is a whole one or none.
pub(super) fn write_new(path: &Path, repro: &Repro) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension("json.unfinished");
    let mut out = BufWriter::new(File::create(&unfinished)?);
    repro.write(&mut out)?;
    out.flush()?;
    fs::rename(&unfinished, path)
}

/// A name that is a file's name everywhere.
fn plain(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).take(100).collect();
    if plain.trim_matches('.').is_empty() { "scenario".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_the_name_of_a_file() {
        assert_eq!(plain("crash-3"), "crash-3");
        assert_eq!(plain("../my file"), ".._my_file");
        assert_eq!(plain(".."), "scenario");
        assert_eq!(plain(""), "scenario");
        assert_eq!(plain(&"x".repeat(1_000)).len(), 100);
    }
}
