//! What the commands that write or read repro files share.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::command::Words;
use super::error::CliError;
use super::output::{self, plural};
use super::program::{program, protocols};
use crate::check::Checker;
use crate::hash::StableHasher;
use crate::lab::{Case, Repro, Trial};
use crate::report::RunSummary;
use crate::scenario::Scenario;
use crate::scenario::library::{self, Kind};

/// Reads the repro that a name leads to, and passes its warnings on.
pub(super) fn load(name: &Path) -> Result<Repro, CliError> {
    let loaded = Repro::find(name, protocols())?;
    for warning in &loaded.warnings {
        output::warning(warning);
    }
    Ok(loaded.repro)
}

/// The file on disk that the name of a repro leads to, if it leads to one.
pub(super) fn file(name: &Path) -> Option<PathBuf> {
    library::file(Kind::Repro, name)
}

/// How much there is to a scenario, as in `3 replicas, 2 requests, 1 fault event, 0 losses`.
pub(super) fn amount(scenario: &Scenario) -> String {
    [
        plural(scenario.replicas as u64, "replica", "replicas"),
        plural(scenario.requests, "request", "requests"),
        plural(scenario.events.len() as u64, "fault event", "fault events"),
        plural(scenario.losses.len() as u64, "loss", "losses"),
    ]
    .join(", ")
}

/// Writes what a case is, in a few lines.
pub(super) fn write_case(out: &mut impl Write, case: &Case) -> io::Result<()> {
    let Case { scenario, seed, protocol } = case;
    writeln!(out, "Scenario: {}, seed {seed}: {}", scenario.name, amount(scenario))?;
    let mut words = protocol.to_string();
    if let Some(rule) = protocol.broken() {
        let breaks =
            protocol.mutants().into_iter().find(|mutant| mutant.name == rule).map_or("", |mutant| mutant.breaks);
        let _ = write!(words, " without {rule} ({breaks})");
    }
    for (name, value) in protocol.changed_parameters() {
        let _ = write!(words, ", {name} {value}");
    }
    writeln!(out, "Protocol: {words}")
}

/// Writes everything that was found, and for a history that is not linearizable the operations that show it.
pub(super) fn write_findings(out: &mut impl Write, trial: &Trial) -> io::Result<()> {
    for finding in &trial.findings {
        writeln!(out, "{finding}")?;
        let opinion = trial.judged.as_ref().and_then(|judged| judged.judgement.opinion(&finding.checker));
        if let Some(opinion) = opinion.filter(|_| finding.checker == Checker::LINEARIZABILITY) {
            // The first line is the finding itself.
            opinion.lines.iter().skip(1).try_for_each(|line| writeln!(out, "{line}"))?;
        }
    }
    Ok(())
}

/// Compares a trial with what a repro says: whether it is the same, and one line about it.
pub(super) fn compare(repro: &Repro, trial: &Trial) -> (bool, String) {
    let (found, told) = (trial.trace(), repro.trace);
    let (alike, same_trace) = (repro.is_like(trial), found == told);
    let trace = match found {
        Some(found) => format!("trace {found:016x}"),
        None => "no trace, since a replica panicked".to_owned(),
    };
    let failure = if trial.passed() { "No failure, as the file says" } else { "The same failure" };
    let text = match (alike, found, told) {
        (true, Some(_), _) if same_trace && !trial.passed() => format!("{failure}, to the bit: {trace}"),
        (true, _, _) if same_trace => format!("{failure}: {trace}"),
        (true, Some(_), Some(told)) => format!("{failure}, but another trace: {trace}; the file says: {told:016x}"),
        (true, Some(_), None) => format!("{failure}, but there is a trace: {trace}; the file says: none"),
        (true, None, told) => format!("{failure}, but {trace}; the file says: {:016x}", told.unwrap_or_default()),
        (false, _, _) if trial.passed() => format!("No failure: {trace}"),
        (false, _, _) if repro.findings.is_empty() => {
            format!("A failure, but the file says that there is none: {trace}")
        }
        (false, _, _) => {
            let kinds: Vec<String> =
                repro.findings.iter().map(|finding| format!("{}: {}", finding.checker, finding.kind)).collect();
            format!("Another failure: {trace}; the file says: {}", kinds.join("; "))
        }
    };
    let same = alike && same_trace;
    (same, if same { text } else { text + &versions(repro) })
}

/// Which versions differ, if they do.
fn versions(repro: &Repro) -> String {
    let this = env!("CARGO_PKG_VERSION");
    match repro.version == this {
        true => String::new(),
        false => format!(" (written by {} {}, this is {this})", program().name, repro.version),
    }
}

/// The folder unless told otherwise.
const DEFAULT_DIRECTORY: &str = "repros";

/// Where failed runs are written to.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Repros {
    /// Folder for repro files: a failed run is written there, and `seedbed replay` repeats it
    #[arg(long = "repros", visible_alias = "failures", value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    directory: PathBuf,
}

impl Repros {
    /// Writes a repro and returns its path. The name says which scenario, seed, protocol and broken rule it is of. An
    /// older repro of all these is replaced, but never left half written; any other file stays, and a number makes the
    /// name new.
    pub fn write(&self, repro: &Repro) -> Result<PathBuf, CliError> {
        self.write_of(repro, "")
    }

    /// As [`Repros::write`], for a run whose scenario is changed as `label` says, which then is in the name.
    pub fn write_of(&self, repro: &Repro, label: &str) -> Result<PathBuf, CliError> {
        let path = place(&self.directory, &stem(&repro.case, label), |old| is_of(&repro.case, &old.case));
        fs::create_dir_all(&self.directory)
            .and_then(|()| write_new(&path, repro))
            .map_err(|source| CliError::Repro { path: path.clone(), source })?;
        Ok(path)
    }

    /// Writes what the replicas of a failed run printed and returns the path. The name says which scenario, changes, seed and
    /// program it is of; the file of an earlier run of the same is replaced.
    pub fn write_output(&self, run: &RunSummary, label: &str, output: &[u8]) -> Result<PathBuf, CliError> {
        let program = Path::new(&run.protocol).file_name().unwrap_or_default();
        let (name, program) = (changed_name(&run.scenario, label), plain(&program.to_string_lossy()));
        let path = self.directory.join(format!("{name}-{}-{program}.log", run.seed));
        fs::create_dir_all(&self.directory)
            .and_then(|()| output::write_whole(&path, |out| out.write_all(output)))
            .map_err(|source| CliError::Repro { path: path.clone(), source })?;
        Ok(path)
    }

    /// With the option that names the folder, if it is not the usual one.
    pub fn words(&self, words: Words) -> Words {
        let is_usual = self.directory == Path::new(DEFAULT_DIRECTORY);
        words.path("--repros", (!is_usual).then_some(&*self.directory))
    }

    /// Where an earlier attempt has written this case, if it has.
    pub fn find(&self, case: &Case, label: &str) -> Option<PathBuf> {
        let path = place(&self.directory, &stem(case, label), |old| is_of(case, &old.case));
        Repro::load(&path, protocols()).is_ok_and(|old| old.repro.case == *case).then_some(path)
    }
}

/// What is written of a case that must not be taken for another.
fn is_of(case: &Case, other: &Case) -> bool {
    let key = |case: &Case| (case.protocol.name(), case.protocol.broken(), case.seed);
    case.scenario.name == other.scenario.name && key(case) == key(other)
}

/// The name of a case's file, without its ending. The label says what is special about its scenario.
fn stem(case: &Case, label: &str) -> String {
    let mut stem = changed_name(&case.scenario.name, label);
    // Scenarios that are drawn are named after their seed.
    if stem != format!("explore-{}", case.seed) {
        let _ = write!(stem, "-{}", case.seed);
    }
    if case.protocol.name() != protocols().default_one().name() {
        let _ = write!(stem, "-{}", case.protocol);
    }
    if let Some(rule) = case.protocol.broken() {
        let _ = write!(stem, "-{rule}");
    }
    stem
}

/// A scenario's name and what is changed in it, as a part of a file's name.
fn changed_name(scenario: &str, label: &str) -> String {
    let join = if label.is_empty() { "" } else { "-" };
    let name = format!("{scenario}{join}{label}");
    let mut stem = plain(&name);
    if !label.is_empty() && name.chars().count() > CHARS_MAX {
        // What is cut off may be all that tells two cells apart.
        let _ = write!(stem, "-{:016x}", StableHasher::of(label));
    }
    stem
}

/// A file of this name that is not there yet, or is a repro that may be replaced. If others have the name, the next has
/// the number 2.
pub(super) fn place(folder: &Path, stem: &str, replaceable: impl Fn(&Repro) -> bool) -> PathBuf {
    let numbers = std::iter::once(String::new()).chain((2_u64..).map(|number| format!("-{number}")));
    let mut paths = numbers.map(|number| folder.join(format!("{stem}{number}.json")));
    let is_free = |path: &PathBuf| match fs::symlink_metadata(path) {
        Ok(file) => file.is_file() && Repro::load(path, protocols()).is_ok_and(|old| replaceable(&old.repro)),
        // If it cannot be looked at, writing it tells why.
        Err(_) => true,
    };
    paths.find(is_free).expect("there are more names than files")
}

/// Writes a repro file under another name first, so that there is a whole one or none.
pub(super) fn write_new(path: &Path, repro: &Repro) -> io::Result<()> {
    output::write_whole(path, |out| repro.write(out))
}

/// The most characters of a scenario in a file's name.
const CHARS_MAX: usize = 100;

/// A name that is a file's name everywhere.
fn plain(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .take(CHARS_MAX)
        .collect();
    if plain.trim_matches('.').is_empty() { "scenario".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects;

    /// A repro without findings, of a scenario of this name.
    fn repro(name: &str, seed: u64) -> Repro {
        let mut case = crate::lab::explore::draw(&subjects::raft(), seed);
        case.scenario.name = name.to_owned();
        case.protocol = subjects::raft();
        Repro::new(case, None, Vec::new())
    }

    #[test]
    fn a_files_name_says_what_decides_the_run_once_each() {
        let mut case = repro("crash 3", 7).case;
        assert_eq!(stem(&case, ""), "crash_3-7");
        case.protocol = subjects::builtin().find("broadcast").expect("it is built in");
        assert_eq!(stem(&case, ""), "crash_3-7-broadcast");
        let mut case = repro("explore-17", 17).case;
        case.protocol = case.protocol.without("vote-once").expect("a rule");
        assert_eq!(stem(&case, ""), "explore-17-vote-once");
        assert_eq!(stem(&repro("a", 7).case, "drops=0.1"), "a-drops_0.1-7");
        let long = |last: &str| stem(&repro("a", 7).case, &format!("{}{last}", "x".repeat(100)));
        assert_ne!(long("1"), long("2"), "what is cut off counts");
    }

    #[test]
    fn a_repro_replaces_one_of_the_same_case_and_no_other_file() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let repros = Repros { directory: folder.path().join("a/b") };
        let write = |repro: &Repro| {
            let path = repros.write(repro).expect("it can be written");
            assert_eq!(Repro::load(&path, protocols()).expect("a repro").repro, *repro);
            path.file_name().expect("a name").to_str().expect("text").to_owned()
        };
        assert_eq!(write(&repro("a b", 7)), "a_b-7.json");
        assert_eq!(write(&repro("a_b", 7)), "a_b-7-2.json", "another scenario");
        assert_eq!(write(&repro("a b", 7)), "a_b-7.json");
        assert_eq!(write(&repro("a_b", 7)), "a_b-7-2.json");
        fs::write(repros.directory.join("c-7.json"), "{}").expect("a file");
        assert_eq!(write(&repro("c", 7)), "c-7-2.json", "not a repro");
        assert_eq!(fs::read_to_string(repros.directory.join("c-7.json")).expect("a file"), "{}");
        assert_eq!(fs::read_dir(&repros.directory).expect("a folder").count(), 4, "nothing unfinished is left");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_unfinished() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("there");
        fs::create_dir(&path).expect("a folder");
        assert!(write_new(&path, &repro("a", 1)).is_err(), "a folder is no file");
        fs::write(folder.path().join(".new.json.unfinished"), "of another program").expect("a file");
        output::probe(&folder.path().join("new.json")).expect("it can be written");
        write_new(&folder.path().join("new.json"), &repro("a", 1)).expect("it can be written");
        let names = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, [".new.json.unfinished", "new.json", "there"]);
    }

    #[test]
    fn any_name_becomes_the_name_of_a_file() {
        assert_eq!(plain("crash-3"), "crash-3");
        assert_eq!(plain("../my file"), ".._my_file");
        assert_eq!(plain(".."), "scenario");
        assert_eq!(plain(""), "scenario");
        assert_eq!(plain(&"x".repeat(1_000)).len(), 100);
    }
}
