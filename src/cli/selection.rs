//! Which scenarios a command is about, and with which seed.

use std::fs;
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;

use super::command::{self, CommandLine, DEFAULT_DIRECTORY};
use super::error::CliError;
use super::output;
use crate::report::suite;
use crate::scenario::Scenario;
use crate::sweep::SeedRange;

/// Which scenarios a command is about, and with which seed.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    #[command(flatten)]
    files: Files,

    /// Seed of all randomness in the run
    ///
    /// Without it, a single scenario runs with the `seed` of its file, if it has one, and else with a
    /// random seed. `all` runs every scenario with the same seed, this one or a random one, and does
    /// not use the `seed` of any file. Whatever the seed is, it is printed.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_seed, verbatim_doc_comment)]
    seed: Option<u64>,
}

/// What stands for all scenarios of a directory.
pub(super) const ALL: &str = "all";

/// Which scenarios a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct Files {
    /// A scenario file, or `all` for every *.json in the directory of scenarios
    ///
    /// A file that is itself named `all` is `./all`.
    #[arg(value_name = "FILE|all")]
    test: PathBuf,

    /// Directory of scenarios, only used with `all`
    #[arg(short, long, value_name = "DIR", alias = "config_directory", default_value = DEFAULT_DIRECTORY)]
    config_directory: PathBuf,
}

impl Files {
    /// Reads the scenarios and passes their warnings on. Each comes with its file.
    pub fn load(&self) -> Result<Vec<(PathBuf, Scenario)>, CliError> {
        if self.is_all() {
            return load_all(&self.config_directory);
        }
        Ok(vec![(self.test.clone(), load(&self.test)?)])
    }

    /// The words of a command line that name them.
    pub fn words(&self) -> String {
        if self.is_all() { command::directory(&self.config_directory) } else { command::file(&self.test) }
    }

    fn is_all(&self) -> bool {
        self.test == Path::new(ALL)
    }
}

/// The scenarios of a file, a folder or `all`.
pub(super) fn load_target(target: &Path) -> Result<Vec<(PathBuf, Scenario)>, CliError> {
    if target == Path::new(ALL) {
        return load_all(Path::new(DEFAULT_DIRECTORY));
    }
    if target.is_dir() { load_all(target) } else { Ok(vec![(target.to_owned(), load(target)?)]) }
}

fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("allowed is a whole number from 0 to {}", u64::MAX))
}

/// The scenarios, read and checked, and the seeds.
#[derive(Debug)]
pub(super) struct Selected {
    /// Each scenario with its file.
    pub scenarios: Vec<(PathBuf, Scenario)>,
    /// Each scenario runs with each of them.
    pub seeds: SeedRange,
    /// The directory, if `all` of it was asked for.
    directory: Option<PathBuf>,
}

impl Selection {
    /// Reads the scenarios and passes their warnings on. Draws a seed if none is given.
    pub fn load(&self) -> Result<Selected, CliError> {
        self.load_with(None)
    }

    /// As [`Selection::load`], with these seeds if there are any.
    pub fn load_with(&self, seeds: Option<SeedRange>) -> Result<Selected, CliError> {
        let scenarios = self.files.load()?;
        let directory = self.files.is_all().then(|| self.files.config_directory.clone());
        // The scenario's own seed counts only for itself.
        let own = if directory.is_none() { scenarios[0].1.seed } else { None };
        let one = || self.seed.or(own).map_or_else(draw_seed, Ok).map(SeedRange::only);
        Ok(Selected { scenarios, seeds: seeds.map_or_else(one, Ok)?, directory })
    }
}

impl Selected {
    /// The files that were read.
    pub fn files(&self) -> Vec<&Path> {
        self.scenarios.iter().map(|(path, _)| path.as_path()).collect()
    }

    /// Whether `all` scenarios of a directory were asked for.
    pub fn is_all(&self) -> bool {
        self.directory.is_some()
    }

    /// Whether there is more than one run: several scenarios, or one with several seeds.
    pub fn is_many(&self) -> bool {
        self.is_all() || self.seeds.count() > 1
    }

    /// How many runs there are.
    pub fn runs(&self) -> u64 {
        self.seeds.count().saturating_mul(self.scenarios.len() as u64)
    }

    /// The command line that does all this again.
    pub fn command(&self, command: &CommandLine<'_>) -> String {
        match &self.directory {
            Some(directory) => command::all(command, directory, self.seeds),
            None => command::one(command, &self.scenarios[0].0, self.seeds),
        }
    }
}

/// Reads a scenario and passes its warnings on.
fn load(path: &Path) -> Result<Scenario, CliError> {
    let loaded = Scenario::load(path)?;
    for warning in &loaded.warnings {
        output::warning(warning);
    }
    Ok(loaded.scenario)
}

/// Reads all scenarios directly in a directory, in the course's order.
fn load_all(directory: &Path) -> Result<Vec<(PathBuf, Scenario)>, CliError> {
    let unreadable = |source| CliError::Directory { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") && !path.is_dir() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(CliError::NoScenarios { path: directory.to_owned() });
    }
    // The order in which a directory lists its files is not the same everywhere.
    let name = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    paths.sort();
    paths.sort_by(|left, right| suite::course_order(&name(left), &name(right)));
    paths.into_iter().map(|path| load(&path).map(|scenario| (path, scenario))).collect()
}

/// A seed from the operating system, for a run that anybody can repeat because the seed is printed. It has 32 bits:
/// enough to draw from, short to type, and exact in every JSON reader.
pub(super) fn draw_seed() -> Result<u64, CliError> {
    SysRng.try_next_u32().map(u64::from).map_err(CliError::NoSeed)
}
