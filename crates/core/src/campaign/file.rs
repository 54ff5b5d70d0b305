//! A sweep as it is written down: on a command line, or in a file.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{AxisSpec, Base, Grid, GridError};
use crate::lab::{Protocol, Protocols, SeedRange, UnknownMutant};
use crate::printable::printable;
use crate::scenario::ScenarioError;
use crate::scenario::reader::{Field, Source, read};

/// The version of the format that is written, and the only one that is read.
const FORMAT: u64 = 1;

/// The key that tells a sweep file from a scenario file.
const MARK: &str = "seedbed_sweep";

const KEYS: [&str; 6] = [MARK, "scenarios", "seeds", "protocols", "without", "axes"];

const PATH_CHARS_MAX: usize = 4_096;
const LIST_MAX: usize = 10_000;

/// Everything that says which runs a sweep has. `docs/sweeps.md` lists the keys of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepSpec {
    /// Scenario files, folders of them, or `all`.
    pub scenarios: Vec<PathBuf>,
    /// What is varied, the slowest first.
    pub axes: Vec<AxisSpec>,
    /// What the replicas run.
    pub protocols: Vec<Protocol>,
    /// The seeds of each cell.
    pub seeds: SeedRange,
}

/// Values that replace those of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Each replaces the axis of the same names; an axis with new names comes after the others.
    pub axes: Vec<AxisSpec>,
    /// What the replicas run; empty to keep the sweep's protocols.
    pub protocols: Vec<Protocol>,
    /// The rule that all protocols lack. Without it, they lack the one that the sweep names, if it names one.
    pub broken: Option<String>,
    /// The seeds of each cell.
    pub seeds: Option<SeedRange>,
}

/// The file of a sweep. Its keys stay in this order.
#[derive(Serialize)]
struct File<'a> {
    seedbed_sweep: u64,
    scenarios: Vec<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    axes: &'a [AxisSpec],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    protocols: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    without: Option<&'static str>,
    seeds: String,
}

impl SweepSpec {
    /// The seeds of a sweep that names none.
    pub const DEFAULT_SEEDS: SeedRange = SeedRange::first_of(100);

    /// Reads a file about some of these protocols; none if the file is not a sweep. The warnings name keys that mean
    /// nothing.
    ///
    /// # Errors
    /// If the file cannot be read or holds a sweep that makes no sense.
    pub fn load(path: &Path, protocols: &Protocols) -> Result<Option<(SweepSpec, Vec<String>)>, GridError> {
        let file = printable(&path.display().to_string());
        let text = read(path, &file)?;
        SweepSpec::parse(&file, &text, protocols)
    }

    /// As [`SweepSpec::load`], from a string.
    ///
    /// # Errors
    /// If the text holds a sweep that makes no sense.
    pub fn parse(file: &str, text: &str, protocols: &Protocols) -> Result<Option<(SweepSpec, Vec<String>)>, GridError> {
        let source = Source::new(file);
        let json = source.parse(text)?;
        let Some(spec) = read_spec(&source, &json, protocols)? else { return Ok(None) };
        Ok(Some((spec, source.into_warnings())))
    }

    /// The same sweep with these values in place of its own.
    ///
    /// # Errors
    /// If a protocol has no such rule.
    pub fn with(mut self, overrides: Overrides) -> Result<SweepSpec, UnknownMutant> {
        let Overrides { axes, protocols, broken, seeds } = overrides;
        let broken = broken.or_else(|| self.protocols.iter().find_map(Protocol::broken).map(str::to_owned));
        if !protocols.is_empty() {
            self.protocols = protocols;
        }
        if let Some(rule) = broken {
            self.protocols = self.protocols.iter().map(|protocol| protocol.without(&rule)).collect::<Result<_, _>>()?;
        }
        for axis in axes {
            let names = |axis: &AxisSpec| axis.0.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            match self.axes.iter_mut().find(|old| names(old) == names(&axis)) {
                Some(old) => *old = axis,
                None => self.axes.push(axis),
            }
        }
        self.seeds = seeds.unwrap_or(self.seeds);
        Ok(self)
    }

    /// The grid of its runs, given its scenarios.
    ///
    /// # Errors
    /// If it is empty or too large, or has a cell that makes no sense.
    pub fn grid(&self, bases: Vec<Base>) -> Result<Grid, GridError> {
        let axes = self.axes.iter().map(|axis| axis.resolve(&self.protocols)).collect::<Result<_, _>>()?;
        Grid::new(bases, axes, self.protocols.clone(), self.seeds)
    }

    /// The sweep as a file. The first of the `known` protocols need not be named.
    pub fn to_json(&self, known: &Protocols) -> String {
        let mut protocols: Vec<&'static str> = self.protocols.iter().map(Protocol::name).collect();
        if protocols == [known.default_one().name()] {
            protocols.clear();
        }
        let file = File {
            seedbed_sweep: FORMAT,
            scenarios: self.scenarios.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            axes: &self.axes,
            protocols,
            without: self.protocols.iter().find_map(Protocol::broken),
            seeds: self.seeds.to_string(),
        };
        serde_json::to_string_pretty(&file).expect("all keys are texts") + "\n"
    }
}

fn read_spec(
    source: &Source,
    json: &crate::scenario::reader::Json,
    known: &Protocols,
) -> Result<Option<SweepSpec>, GridError> {
    let mut top = source.top(json)?;
    if !top.holds(MARK) {
        return Ok(None);
    }
    top.expect(&KEYS, &[]);
    top.get(MARK).integer(FORMAT..=FORMAT, &format!("the whole number {FORMAT}"))?;
    let path = |field: &Field<'_>| field.text(1..=PATH_CHARS_MAX, "a path as text").map(PathBuf::from);
    let scenarios = list(&top.get("scenarios"), "paths", path)?;
    let protocols = top.get("protocols").optional(|field| {
        list(field, "protocols", |item| {
            let name = item.word(&known.names())?;
            known.find(name).map_err(|error| item.invalid(&error.to_string()))
        })
    })?;
    let mut protocols = protocols.unwrap_or_else(|| vec![known.default_one().clone()]);
    if top.has("without") {
        for protocol in &mut protocols {
            let rules: Vec<&'static str> = protocol.mutants().iter().map(|mutant| mutant.name).collect();
            let rule = top.get("without").word(&rules)?;
            *protocol = protocol.without(rule).map_err(|error| top.get("without").invalid(&error.to_string()))?;
        }
    }
    let seeds = top.get("seeds").optional(|field| {
        let allowed = "a text as in \"0..1000\", or a whole number";
        field.number_or_text(allowed)?.parse().map_err(|_| field.invalid(allowed))
    })?;
    let mut axes = Vec::new();
    for item in top.get("axes").optional(|field| field.list_up_to(LIST_MAX, "axes"))?.unwrap_or_default() {
        axes.push(axis(&item)?);
    }
    Ok(Some(SweepSpec { scenarios, axes, protocols, seeds: seeds.unwrap_or(SweepSpec::DEFAULT_SEEDS) }))
}

/// An object with a list of values, or a string as on a command line, under each name.
fn axis(item: &Field<'_>) -> Result<AxisSpec, GridError> {
    let mut names = Vec::new();
    for (name, field) in item.object()?.entries() {
        let allowed = "a list of numbers and texts, or a text as in \"0:0.5:0.05\"";
        let text = if field.is_list() {
            let words = list(&field, "values", |word| word.number_or_text("a number or a text"))?;
            if let Some(word) = words.iter().find(|word| word.contains(',')) {
                return Err(GridError::Values {
                    name: name.to_owned(),
                    problem: super::ValuesError::Comma(word.clone()),
                });
            }
            words.join(",")
        } else {
            field.number_or_text(allowed)?
        };
        names.extend(AxisSpec::of(name, &text)?.0);
    }
    if names.is_empty() {
        return Err(GridError::Empty { what: "value" });
    }
    Ok(AxisSpec(names))
}

fn list<T>(
    field: &Field<'_>,
    things: &str,
    read: impl Fn(&Field<'_>) -> Result<T, ScenarioError>,
) -> Result<Vec<T>, ScenarioError> {
    field.list_up_to(LIST_MAX, things)?.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects;

    fn parse(text: &str) -> Result<Option<(SweepSpec, Vec<String>)>, String> {
        SweepSpec::parse("s.json", text, &subjects::builtin()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_sweep_is_read_as_it_was_written() {
        let spec = SweepSpec {
            scenarios: ["scenarios/a.json", "all"].map(PathBuf::from).to_vec(),
            axes: vec![
                AxisSpec::of("drops", "0:0.2:0.1").unwrap(),
                AxisSpec::parse("raft.heartbeat_ms=50,100+network.order=any,fifo").unwrap(),
            ],
            protocols: subjects::builtin().iter().cloned().collect(),
            seeds: "5..9".parse().unwrap(),
        };
        let text = spec.to_json(&subjects::builtin());
        assert_eq!(parse(&text), Ok(Some((spec, Vec::new()))));
        let plain = SweepSpec {
            scenarios: vec!["b.json".into()],
            axes: Vec::new(),
            protocols: vec![subjects::raft().without("vote-once").expect("a rule")],
            seeds: SweepSpec::DEFAULT_SEEDS,
        };
        assert_eq!(parse(&plain.to_json(&subjects::builtin())), Ok(Some((plain, Vec::new()))));
    }

    #[test]
    fn an_override_replaces_the_axis_of_the_same_name_and_keeps_the_broken_rule() {
        let spec = SweepSpec {
            scenarios: vec!["b.json".into()],
            axes: vec![AxisSpec::of("drops", "0,0.1").unwrap(), AxisSpec::of("mix", "0.5").unwrap()],
            protocols: vec![subjects::raft().without("vote-once").expect("a rule")],
            seeds: SweepSpec::DEFAULT_SEEDS,
        };
        assert_eq!(spec.clone().with(Overrides::default()).unwrap(), spec);
        let overrides = Overrides {
            axes: vec![AxisSpec::of("replicas", "3").unwrap(), AxisSpec::of("drops", "0.2").unwrap()],
            protocols: vec![subjects::raft()],
            broken: None,
            seeds: Some("0..5".parse().unwrap()),
        };
        let changed = spec.clone().with(overrides).unwrap();
        let words: Vec<String> = changed.axes.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["drops=0.2", "mix=0.5", "replicas=3"]);
        assert_eq!((changed.protocols, changed.seeds.to_string().as_str()), (spec.protocols.clone(), "0..5"));
        let unknown = Overrides { broken: Some("no-such-rule".to_owned()), ..Overrides::default() };
        assert!(spec.with(unknown).is_err());
    }

    #[test]
    fn ranges_may_be_strings_and_missing_keys_have_defaults() {
        let text = r#"{"seedbed_sweep": 1, "scenarios": ["a.json"], "axes": [{"drops": "0:0.2:0.1"}, {"mix": 0.5}]}"#;
        let (spec, warnings) = parse(text).unwrap().unwrap();
        let words: Vec<String> = spec.axes.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["drops=0,0.1,0.2", "mix=0.5"]);
        assert_eq!((spec.seeds.to_string().as_str(), spec.protocols.len(), warnings.len()), ("0..100", 1, 0));
    }

    #[test]
    fn a_scenario_is_not_a_sweep_and_a_wrong_sweep_is_refused_by_name() {
        assert_eq!(parse(r#"{"replicas": 5}"#), Ok(None));
        for (keys, error) in [
            (r#""scenarios": "a""#, "s.json: `scenarios` is \"a\"; allowed is a list of at most 10000 paths"),
            (r#""scenarios": [], "seeds": "9..2""#, "s.json: `seeds` is \"9..2\"; allowed is a text"),
            (r#""scenarios": [], "protocols": ["paxos"]"#, "s.json: `protocols[0]` is \"paxos\"; allowed is raft"),
            (r#""scenarios": [], "without": "x""#, "s.json: `without` is \"x\"; allowed is vote-once"),
            (r#""scenarios": [], "axes": [{"drops": true}]"#, "s.json: `axes[0].drops` is true; allowed is a list"),
            (r#""scenarios": [], "axes": [{"drops": ["a,b"]}]"#, "values of `drops`: `a,b` holds a comma"),
            (r#""scenarios": [], "axes": [{}]"#, "the grid is empty: it has no value"),
        ] {
            let found = parse(&format!(r#"{{"seedbed_sweep": 1, {keys}}}"#)).unwrap_err();
            assert!(found.starts_with(error), "{found}");
        }
        assert!(
            parse(r#"{"seedbed_sweep": 2, "scenarios": []}"#).unwrap_err().contains("allowed is the whole number 1")
        );
        let (_, warnings) = parse(r#"{"seedbed_sweep": 1, "scenarios": [], "sedes": 3}"#).unwrap().unwrap();
        assert_eq!(warnings, ["s.json: unknown key `sedes` is ignored; did you mean `seeds`?"]);
    }
}
