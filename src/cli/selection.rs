//! Which scenarios a command is about, and with which seed.

use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;

use super::axes::{AxisArgs, Changed};
use super::command::{self, CommandLine, DEFAULT_DIRECTORY};
use super::error::CliError;
use super::output;
use crate::campaign::{Base, OnUnserved};
use crate::lab::{Protocol, SeedRange};
use crate::scenario::library::{self, Kind, Place};
use crate::scenario::{Scenario, ScenarioError};

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
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_seed)]
    seed: Option<u64>,
}

/// What stands for all scenarios of a directory.
pub(super) const ALL: &str = "all";

/// Which scenarios a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct Files {
    /// A scenario file, a folder of them, the name of a built-in one, or `all` for the folder `scenarios`
    ///
    /// `seedbed scenarios` lists what is built in. A file or folder of the same name is used instead of a
    /// built-in one. Of a folder, every *.json directly in it is taken. One named `all` is `./all`.
    #[arg(value_name = "SCENARIO|DIR|all")]
    test: PathBuf,

    /// The folder that `all` stands for, on disk or built in
    #[arg(short, long, value_name = "DIR", alias = "config_directory", default_value = DEFAULT_DIRECTORY)]
    config_directory: PathBuf,
}

impl Files {
    /// Reads the scenarios and passes their warnings on. Each comes with what names it in any command.
    pub fn load(&self) -> Result<Vec<(PathBuf, Scenario)>, CliError> {
        let folder = &self.config_directory;
        load_all(if self.is_all() { library::scenarios_in(folder) } else { library::scenarios(&self.test) })
    }

    /// Reads the scenarios, with clients that this protocol serves. Says which of a folder are left out because it serves
    /// none of theirs.
    pub fn load_for(&self, protocol: &Protocol) -> Result<Vec<(PathBuf, Scenario)>, CliError> {
        let (scenarios, unserved) = (self.load()?, on_unserved(self.is_folder()));
        Ok(Changed::new(&AxisArgs::default(), scenarios, unserved, protocol, None)?.scenarios)
    }

    /// The words of a command line that name them.
    pub fn words(&self) -> String {
        if self.is_all() { command::directory(&self.config_directory) } else { command::file(&self.test) }
    }

    fn is_all(&self) -> bool {
        self.test == Path::new(ALL)
    }

    /// Whether they name a folder, which may hold any number of scenarios.
    fn is_folder(&self) -> bool {
        self.is_all() || is_folder(&self.test)
    }
}

/// The scenarios of a file, a folder or `all`. Each comes with what names it in any command.
pub(super) fn load_target(target: &Path) -> Result<Vec<Base>, CliError> {
    let is_all = target == Path::new(ALL);
    let names = if is_all { library::scenarios_in(Path::new(DEFAULT_DIRECTORY)) } else { library::scenarios(target) };
    let unserved = on_unserved(is_all || is_folder(target));
    Ok(load_all(names)?.into_iter().map(|(path, scenario)| Base::new(path, scenario).unserved(unserved)).collect())
}

/// Whether a name leads to a folder, which may hold any number of scenarios.
fn is_folder(name: &Path) -> bool {
    let is_folder = |place| matches!(place, Place::Folder(_) | Place::BuiltInFolder(_));
    library::find(Kind::Scenario, name).is_some_and(is_folder)
}

/// A scenario of a folder is left out where a protocol does not serve its clients. One that was named is not.
fn on_unserved(is_one_of_many: bool) -> OnUnserved {
    if is_one_of_many { OnUnserved::LeaveOut } else { OnUnserved::Refuse }
}

/// Reads the scenarios of these names, and passes their warnings on.
fn load_all(names: Result<Vec<PathBuf>, ScenarioError>) -> Result<Vec<(PathBuf, Scenario)>, CliError> {
    let mut scenarios = Vec::new();
    for name in names? {
        let loaded = Scenario::find(&name)?;
        loaded.warnings.iter().for_each(|warning| output::warning(warning));
        scenarios.push((name, loaded.scenario));
    }
    Ok(scenarios)
}

/// The file on disk that the name of a scenario leads to, if it leads to one.
pub(super) fn file(name: &Path) -> Option<PathBuf> {
    library::file(Kind::Scenario, name)
}

fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("allowed is a whole number from 0 to {}", u64::MAX))
}

/// The scenarios, read and checked, and the seeds.
#[derive(Debug)]
pub(super) struct Selected {
    /// Each scenario with what names it in any command.
    pub scenarios: Vec<(PathBuf, Scenario)>,
    /// Each scenario runs with each of them.
    pub seeds: SeedRange,
    /// The words of a command line that name the folder, if one was asked for.
    folder: Option<String>,
}

impl Selection {
    /// Reads the scenarios and passes their warnings on. Draws a seed if none is given.
    pub fn load(&self) -> Result<Selected, CliError> {
        self.load_with(None)
    }

    /// As [`Selection::load`], with these seeds if there are any.
    pub fn load_with(&self, seeds: Option<SeedRange>) -> Result<Selected, CliError> {
        let scenarios = self.files.load()?;
        let folder = self.files.is_folder().then(|| self.files.words());
        // The scenario's own seed counts only for itself.
        let own = if folder.is_none() { scenarios[0].1.seed } else { None };
        let one = || self.seed.or(own).map_or_else(draw_seed, Ok).map(SeedRange::only);
        Ok(Selected { scenarios, seeds: seeds.map_or_else(one, Ok)?, folder })
    }
}

impl Selected {
    /// The files that were read.
    pub fn files(&self) -> Vec<PathBuf> {
        self.scenarios.iter().filter_map(|(name, _)| file(name)).collect()
    }

    /// Whether all scenarios of a folder were asked for.
    pub fn is_all(&self) -> bool {
        self.folder.is_some()
    }

    /// What becomes of a scenario whose clients a protocol does not serve.
    pub fn on_unserved(&self) -> OnUnserved {
        on_unserved(self.is_all())
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
        match &self.folder {
            Some(words) => command::all(command, words, self.seeds),
            None => command::one(command, &self.scenarios[0].0, self.seeds),
        }
    }
}

/// A seed from the operating system, for a run that can be repeated because the seed is printed. It has 32 bits:
/// enough to draw from, short to type, and exact in every JSON reader.
pub(super) fn draw_seed() -> Result<u64, CliError> {
    SysRng.try_next_u32().map(u64::from).map_err(CliError::NoSeed)
}
