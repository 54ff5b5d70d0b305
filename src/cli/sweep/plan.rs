//! From arguments or a file to a grid.

use std::path::{Path, PathBuf};

use super::super::axes;
use super::super::command::{self, Words};
use super::super::error::CliError;
use super::super::output;
use super::super::program::{default_protocol, joined, protocols};
use super::super::selection;
use super::Args;
use crate::campaign::{AxisSpec, Base, Grid, SweepSpec};
use crate::lab::Protocol;

/// The runs that are to be.
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
            bases.extend(selection::load_target(target)?.into_iter().map(|(path, scenario)| Base::new(path, scenario)));
        }
        let mut inputs: Vec<PathBuf> = bases.iter().filter_map(|base| selection::file(&base.path)).collect();
        inputs.extend(file);
        inputs.extend(spec.axes.iter().flat_map(AxisSpec::files));
        let axes = spec.axes.iter().map(|axis| axis.resolve(&spec.protocols)).collect::<Result<_, _>>()?;
        let grid = Grid::new(bases, axes, spec.protocols.clone(), spec.seeds)?;
        Ok(Plan { command: command_of(&spec), spec, grid, inputs })
    }

    /// The files that are read.
    pub fn inputs(&self) -> Vec<&Path> {
        output::paths(&self.inputs)
    }
}

/// What the arguments say, and the sweep file if they name one. What stands on the command line counts more than what
/// stands in the file.
fn spec(args: &Args) -> Result<(SweepSpec, Option<PathBuf>), CliError> {
    let given = args.axes.specs()?;
    let mut found = None;
    // The word `all` is not a file of this name.
    let targets = args.scenarios.iter().filter(|target| *target != Path::new(selection::ALL));
    for path in targets.filter_map(|target| selection::file(target)).filter(|path| path.is_file()) {
        if let Some((spec, warnings)) = SweepSpec::load(&path, protocols())? {
            if args.scenarios.len() > 1 {
                return Err(CliError::SweepAmongFiles { path });
            }
            warnings.iter().for_each(|warning| output::warning(warning));
            found = Some((spec, path));
        }
    }
    let Some((mut spec, file)) = found else {
        let named = if args.protocol.is_empty() { vec![default_protocol()] } else { args.protocol.clone() };
        let (scenarios, protocols) = (args.targets(), without(named, args.without.as_deref())?);
        let seeds = args.seeds.unwrap_or(SweepSpec::DEFAULT_SEEDS);
        return Ok((SweepSpec { scenarios, axes: given, protocols, seeds }, None));
    };
    spec.seeds = args.seeds.unwrap_or(spec.seeds);
    let broken = args.without.as_deref().or(spec.protocols.iter().find_map(Protocol::broken));
    if !args.protocol.is_empty() {
        spec.protocols = args.protocol.clone();
    }
    spec.protocols = without(spec.protocols, broken)?;
    for axis in given {
        let names = |axis: &AxisSpec| axis.0.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        match spec.axes.iter_mut().find(|old| names(old) == names(&axis)) {
            Some(old) => *old = axis,
            None => spec.axes.push(axis),
        }
    }
    Ok((spec, Some(file)))
}

/// The protocols without a rule, if one is named.
fn without(protocols: Vec<Protocol>, rule: Option<&str>) -> Result<Vec<Protocol>, CliError> {
    let Some(rule) = rule else { return Ok(protocols) };
    Ok(protocols.iter().map(|protocol| protocol.without(rule)).collect::<Result<_, _>>()?)
}

/// The command that does all this again. Its words name everything, also what stood in a file.
fn command_of(spec: &SweepSpec) -> String {
    let words = spec.scenarios.iter().fold(Words::new("sweep"), |words, target| words.with(target_word(target)));
    let words = spec.axes.iter().fold(words, axes::words_of);
    let words = words.unless(joined([&default_protocol()]), "--protocol", joined(&spec.protocols));
    words.given("--without", spec.protocols.iter().find_map(Protocol::broken)).option("--seeds", spec.seeds).to_string()
}

fn target_word(target: &Path) -> String {
    // The word itself, not a file of this name.
    if target == Path::new(selection::ALL) { selection::ALL.to_owned() } else { command::quoted_path(target) }
}
