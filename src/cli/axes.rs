//! Options that change scenarios and replicas: one value each for a run, many for a sweep.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::command::{Words, quoted};
use super::error::CliError;
use super::output;
use super::program;
use crate::campaign::{AxisSpec, Base, EVENT, Grid, GridError, MATRIX, OnUnserved, PARTITION, together};
use crate::lab::{Protocol, SeedRange};
use crate::scenario::Scenario;

/// What is changed in scenarios and replicas.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Changes of the scenario")]
pub(super) struct AxisArgs {
    /// The probability that a message between replicas is lost
    #[arg(long, value_name = "VALUES", allow_hyphen_values = true)]
    drops: Option<String>,

    /// How many replicas there are
    #[arg(long, value_name = "VALUES", allow_hyphen_values = true)]
    replicas: Option<String>,

    /// The fraction of requests that are gets
    #[arg(long, value_name = "VALUES", allow_hyphen_values = true)]
    mix: Option<String>,

    /// How many requests clients send
    #[arg(long, value_name = "VALUES", allow_hyphen_values = true)]
    requests: Option<String>,

    /// Partitions in place of the scenario's own: none, easy, hard, flapping
    #[arg(long, value_name = "KINDS")]
    partition: Option<String>,

    /// Connectivity matrices in place of the scenario's own: JSON files with a list of rows
    #[arg(long, value_name = "FILES")]
    matrix: Option<String>,

    /// Whose rules count where the course's handout and its runner disagree: handout (the default), runner
    ///
    /// They differ in the default of `wait`, in what part_hard cuts, and in which replicas are drawn for partitions:
    /// see docs/live.md.
    #[arg(long, value_name = "RULES")]
    rules: Option<String>,

    /// Fault events besides the scenario's own: TYPE@SECONDS, as in kill_leader@5 or part_hard@5+part_end@8
    ///
    /// Some types need more: kill:REPLICA@5, isolate:REPLICA@5, set_link:FROM:TO:VALUE@5 and
    /// set_matrix:FILE@5. All types are in docs/scenarios.md. The option may be given several times, for
    /// several events. In a sweep, values are separated by commas, and kill_leader@5:25:5 is swept over
    /// its time.
    #[arg(long, value_name = "EVENTS")]
    event: Vec<String>,

    #[arg(long, value_name = "PATH=VALUES", allow_hyphen_values = true, help = program::help_of_set(), long_help = program::long_help_of_set())]
    set: Vec<String>,
}

/// The names that have an option of their own.
const OPTIONS: [&str; 8] = ["drops", "replicas", "mix", "requests", PARTITION, MATRIX, "rules", EVENT];

impl AxisArgs {
    /// What is changed, in order.
    pub fn specs(&self) -> Result<Vec<AxisSpec>, GridError> {
        let values =
            [&self.drops, &self.replicas, &self.mix, &self.requests, &self.partition, &self.matrix, &self.rules];
        let named = OPTIONS.into_iter().zip(values).filter_map(|(name, values)| Some((name, values.as_ref()?)));
        let named = named.map(|(name, values)| AxisSpec::of(name, values));
        let events = match &together(&self.event)?[..] {
            [] => None,
            events => Some(Ok(AxisSpec(vec![(EVENT.to_owned(), events.to_vec())]))),
        };
        named.chain(events).chain(self.set.iter().map(|text| AxisSpec::parse(text))).collect()
    }
}

/// The words of a command line that set these.
pub(super) fn words_of(words: Words, spec: &AxisSpec) -> Words {
    match &spec.0[..] {
        [(name, values)] if OPTIONS.contains(&name.as_str()) => {
            words.option(&format!("--{name}"), quoted(OsStr::new(&values.join(","))))
        }
        _ => words.option("--set", quoted(OsStr::new(&spec.to_string()))),
    }
}

/// The words of a command line that set each name to one value.
pub(super) fn words_of_values<'a>(words: Words, values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Words {
    values
        .into_iter()
        .fold(words, |words, (name, word)| words_of(words, &AxisSpec(vec![(name.to_owned(), vec![word.to_owned()])])))
}

/// Scenarios with changes of one value each, and the replicas that they are for.
pub(super) struct Changed {
    /// The scenarios, in the order of their files.
    pub scenarios: Vec<(PathBuf, Scenario)>,
    /// What the replicas run.
    pub protocol: Protocol,
    /// The words of a command line that change them so.
    pub words: Words,
    /// What is changed, for names of files.
    pub label: String,
    /// The files that were read besides the scenarios.
    pub files: Vec<PathBuf>,
}

impl Changed {
    /// Makes the changes in these scenarios. Says which of them are left out because the protocol does not serve their
    /// clients, if `unserved` allows that.
    pub fn new(
        args: &AxisArgs,
        scenarios: Vec<(PathBuf, Scenario)>,
        unserved: OnUnserved,
        protocol: &Protocol,
        broken: Option<&str>,
    ) -> Result<Changed, CliError> {
        let mut protocol = broken.map_or_else(|| Ok(protocol.clone()), |rule| protocol.without(rule))?;
        let specs = args.specs()?;
        if let Some((name, values)) = specs.iter().flat_map(|spec| &spec.0).find(|(_, values)| values.len() != 1) {
            return Err(CliError::ManyValues { name: name.clone(), count: values.len() });
        }
        let axes = specs.iter().map(|spec| spec.resolve(&[protocol.clone()])).collect::<Result<_, _>>()?;
        let bases =
            scenarios.into_iter().map(|(path, scenario)| Base::new(path, scenario).unserved(unserved)).collect();
        let grid = Grid::new(bases, axes, vec![protocol.clone()], SeedRange::only(0))?;
        output::left_out(grid.left_out());
        let mut scenarios = Vec::new();
        for number in 0..grid.cells() {
            let cell = grid.cell(number);
            let case = grid.case(&cell, 0)?;
            scenarios.push((cell.base.path.clone(), case.scenario));
            protocol = case.protocol;
        }
        let words = specs.iter().fold(Words::empty(), words_of).given("--without", broken);
        let label = specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let files = specs.iter().flat_map(AxisSpec::files).collect();
        Ok(Changed { scenarios, protocol, words, label, files })
    }
}
