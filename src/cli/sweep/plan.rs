//! From arguments or a file to a grid.

use std::path::{Path, PathBuf};

use super::super::axes;
use super::super::command::{self, Words};
use super::super::error::CliError;
use super::super::output;
use super::super::program::{default_protocol, joined, protocols};
use super::super::selection;
use super::super::tested;
use super::Args;
use crate::campaign::{AxisSpec, Cell, Grid, Overrides, SweepSpec};
use crate::lab::Protocol;
use crate::report::sweep::CellCommand;

/// The runs of a sweep, before their start.
pub(super) struct Plan {
    pub spec: SweepSpec,
    pub grid: Grid,
    /// The command that does all this again.
    pub command: String,
    /// The files that are read.
    inputs: Vec<PathBuf>,
}

impl Plan {
    pub fn new(args: &Args) -> Result<Plan, CliError> {
        let (spec, file) = spec(args)?;
        let mut bases = Vec::new();
        for target in &spec.scenarios {
            bases.extend(selection::load_target(target)?);
        }
        let mut inputs: Vec<PathBuf> = bases.iter().filter_map(|base| selection::file(&base.path)).collect();
        inputs.extend(file);
        inputs.extend(spec.axes.iter().flat_map(AxisSpec::files));
        let grid = spec.grid(bases)?;
        output::left_out(grid.left_out());
        Ok(Plan { command: command(&spec), spec, grid, inputs })
    }

    /// The files that are read.
    pub fn inputs(&self) -> Vec<&Path> {
        output::paths(&self.inputs)
    }
}

/// What the arguments say, and the sweep file if they name one. What stands on the command line counts more than what
/// stands in the file.
fn spec(args: &Args) -> Result<(SweepSpec, Option<PathBuf>), CliError> {
    let axes = args.axes.specs()?;
    let overrides =
        Overrides { axes: Vec::new(), protocols: args.protocols()?, broken: args.without.clone(), seeds: args.seeds };
    if let Some((spec, file)) = sweep_file(args)? {
        return Ok((spec.with(Overrides { axes, ..overrides })?, Some(file)));
    }
    let (scenarios, protocols) = (args.targets(), vec![default_protocol()]);
    let spec = SweepSpec { scenarios, axes, protocols, seeds: SweepSpec::DEFAULT_SEEDS };
    Ok((spec.with(overrides)?, None))
}

/// The sweep file that the arguments name, if they do.
fn sweep_file(args: &Args) -> Result<Option<(SweepSpec, PathBuf)>, CliError> {
    // The word `all` is not a file of this name.
    let targets = args.scenarios.iter().filter(|target| *target != Path::new(selection::ALL));
    for path in targets.filter_map(|target| selection::file(target)).filter(|path| path.is_file()) {
        if let Some((spec, warnings)) = SweepSpec::load(&path, protocols())? {
            if args.scenarios.len() > 1 {
                return Err(CliError::SweepAmongFiles { path });
            }
            warnings.iter().for_each(|warning| output::warning(warning));
            return Ok(Some((spec, path)));
        }
    }
    Ok(None)
}

/// The command that does all this again. Its words name everything, also what stood in a file.
fn command(spec: &SweepSpec) -> String {
    let words = spec.scenarios.iter().fold(Words::new("sweep"), |words, target| words.with(target_word(target)));
    let words = spec.axes.iter().fold(words, axes::words_of);
    let words = match &spec.protocols[..] {
        [protocol] => tested::words_of(words, protocol, Some("--virtual")),
        protocols => words.unless(joined([&default_protocol()]), "--protocol", joined(protocols)),
    };
    words.given("--without", spec.protocols.iter().find_map(Protocol::broken)).option("--seeds", spec.seeds).to_string()
}

/// The command that repeats a run of this cell.
pub(super) fn command_of(cell: &Cell<'_>) -> CellCommand {
    let own = cell.values.iter().filter(|(name, ..)| !cell.is_foreign(name));
    let words = axes::words_of_values(Words::empty(), own.map(|(name, _, word)| (*name, *word)));
    let words = tested::words_of(words, cell.protocol, Some("--virtual"));
    CellCommand {
        before: Words::new("run").with(command::file(&cell.base.path)).with("--seed").to_string(),
        after: words.given("--without", cell.protocol.broken()).to_string(),
    }
}

fn target_word(target: &Path) -> String {
    // The word itself, not a file of this name.
    if target == Path::new(selection::ALL) { selection::ALL.to_owned() } else { command::quoted_path(target) }
}
