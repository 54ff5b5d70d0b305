//! Repro files: everything that repeats a failure, and what it should look like.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::{Case, ParameterError, Protocol, Protocols, Trial};
use crate::check::{Checker, Finding};
use crate::printable::printable;
use crate::scenario::library::{self, Kind};
use crate::scenario::pretty::write_pretty;
use crate::scenario::reader::{Field, Object, Source, read};
use crate::scenario::write::Plain;
use crate::scenario::{Scenario, ScenarioError};
use crate::world::program::{Program, Unsupported};

/// The version of the format that is written, and the only one that is read.
const FORMAT: u64 = 1;

/// The most characters of a finding's text and of the other words of a file.
const TEXT_CHARS_MAX: usize = 4_000;
const WORD_CHARS_MAX: usize = 1_000;

const KEYS: [&str; 11] = [
    "seedbed_repro",
    "version",
    "name",
    "protocol",
    "program",
    "broken_rule",
    "config",
    "seed",
    "trace",
    "findings",
    "scenario",
];

/// A case and what came of it: what a repro file holds. `docs/output.md` lists its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Repro {
    /// All that decides the run.
    pub case: Case,
    /// The version of the program that has seen what follows.
    pub version: String,
    /// The trace's hash; none, if the run panicked.
    pub trace: Option<u64>,
    /// Everything that was found, the most telling first; each text is one line.
    pub findings: Vec<Finding>,
}

/// A repro and what is odd about its file.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedRepro {
    /// The repro.
    pub repro: Repro,
    /// One line for each key that is ignored because it means nothing.
    pub warnings: Vec<String>,
}

impl Repro {
    /// The repro of a case that has been tried.
    pub fn of(case: &Case, trial: &Trial) -> Repro {
        Repro::new(case.clone(), trial.trace(), trial.findings.clone())
    }

    /// The repro of a case, of which this was found.
    pub fn new(case: Case, trace: Option<u64>, findings: Vec<Finding>) -> Repro {
        let in_one_line = |finding: Finding| {
            let text: String = printable(&finding.text).chars().take(TEXT_CHARS_MAX).collect();
            // A file has no place for the time, which stands in the text, nor for the shape.
            Finding::new(finding.checker, finding.kind, text)
        };
        let findings = findings.into_iter().map(in_one_line).collect();
        Repro { case, version: env!("CARGO_PKG_VERSION").to_owned(), trace, findings }
    }

    /// Writes the file. What is read from it is the same repro.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        write_pretty(&File::of(self), out)
    }

    /// Reads a file, about one of these protocols.
    ///
    /// # Errors
    /// If the file cannot be read, is not JSON in UTF-8, or holds anything but a valid repro.
    pub fn load(path: &Path, protocols: &Protocols) -> Result<LoadedRepro, ScenarioError> {
        let file = printable(&path.display().to_string());
        Repro::parse(&file, &read(path, &file)?, protocols)
    }

    /// As [`Repro::load`], of a name that leads to a file on disk or to a repro file that comes with the program
    /// ([`library`]).
    ///
    /// # Errors
    /// As [`Repro::load`], or if there is nothing of this name.
    ///
    /// [`library`]: crate::scenario::library
    pub fn find(name: &Path, protocols: &Protocols) -> Result<LoadedRepro, ScenarioError> {
        let found = library::load(Kind::Repro, name)?;
        Repro::parse(&found.file, &found.text, protocols)
    }

    /// Reads a repro from a text. `file` stands for the text's origin in messages.
    ///
    /// # Errors
    /// If the text is not JSON or holds anything but a valid repro.
    pub fn parse(file: &str, text: &str, protocols: &Protocols) -> Result<LoadedRepro, ScenarioError> {
        let source = Source::new(file);
        let json = source.parse(text)?;
        let repro = repro(&source, &mut source.top(&json)?, protocols)?;
        Ok(LoadedRepro { repro, warnings: source.into_warnings() })
    }

    /// Whether a trial shows the same failure: findings of the same checkers and kinds.
    pub fn is_like(&self, trial: &Trial) -> bool {
        let pairs = || self.findings.iter().zip(&trial.findings);
        self.findings.len() == trial.findings.len() && pairs().all(|(one, other)| one.is_like(other))
    }
}

fn repro(source: &Source, top: &mut Object<'_>, protocols: &Protocols) -> Result<Repro, ScenarioError> {
    if !top.holds(KEYS[0]) {
        if top.holds("lifetime") || top.holds("replicas") {
            let what = "a scenario, which `seedbed run` takes";
            return Err(ScenarioError::OtherKind { file: source.file(), what });
        }
        return Err(ScenarioError::Missing {
            file: source.file(),
            key: KEYS[0].to_owned(),
            allowed: "1, in a file that seedbed has written of a failed run".to_owned(),
            hint: None,
        });
    }
    top.expect(&KEYS, &[]);
    top.get("seedbed_repro").integer(FORMAT..=FORMAT, "1, the version of the format that this program reads")?;
    let word = |key| {
        let allowed = format!("a text of up to {WORD_CHARS_MAX} characters");
        top.get(key).text(0..=WORD_CHARS_MAX, &allowed).map(str::to_owned)
    };
    let name = if top.has("name") { word("name")? } else { String::new() };
    let version = word("version")?;
    let protocol = protocol(source, top, protocols)?;
    let whole = format!("a whole number from 0 to {}", u64::MAX);
    let seed = top.get("seed").integer(0..=u64::MAX, &whole)?;
    let trace = top.get("trace").nullable(trace)?;
    let findings = top.get("findings").list_up_to(WORD_CHARS_MAX, "findings")?;
    let findings = findings.iter().map(finding).collect::<Result<Vec<_>, _>>()?;
    let scenario = Scenario::from_object(&name, &mut top.get("scenario").object()?)?;
    let path_of = |key: &str| format!("{}.{key}", top.path_of("scenario"));
    let scenario = protocol.fit(scenario).map_err(|unserved| unserved.in_file(&source.file(), path_of))?;
    Ok(Repro { case: Case { scenario, seed, protocol }, version, trace, findings })
}

/// The program of a user that the replicas run. If it is not what it was, that is said.
fn program(source: &Source, field: &Field<'_>) -> Result<Protocol, ScenarioError> {
    let mut object = field.object()?;
    object.only(&["path", "files", "environment", "on_unsupported"])?;
    let path = object.get("path");
    let text = path.text(1..=WORD_CHARS_MAX, "the path of a program")?;
    let mut program = Program::open(Path::new(text))
        .map_err(|error| path.invalid(&format!("a program that can be run ({error})")))?;
    let was = object.get("files").text(32..=32, "32 hexadecimal digits")?;
    if was != program.files().digest() {
        source.warn(format!(
            "the files of {text} are no longer those that failed, so the run may be another one (they had the hash {was}, \
             and have {})",
            program.files().digest()
        ));
    }
    let variables = object.get("environment").optional(|field| field.list_up_to(WORD_CHARS_MAX, "variables"))?;
    for variable in variables.unwrap_or_default() {
        const ALLOWED: &str = "a variable, as in NAME=value";
        let text = variable.text(1..=TEXT_CHARS_MAX, ALLOWED)?;
        let (name, value) = text.split_once('=').ok_or_else(|| variable.invalid(ALLOWED))?;
        program = program.with_env(name, value);
    }
    if let Some(word) = object.get("on_unsupported").optional(|field| field.text(1..=WORD_CHARS_MAX, "\"warn\""))? {
        if word != WARN {
            return Err(object.get("on_unsupported").invalid("\"warn\""));
        }
        program = program.with_unsupported(Unsupported::Fails);
    }
    Ok(Protocol::of_program(program))
}

/// What `on_unsupported` says if calls that cannot be simulated do not end the run.
const WARN: &str = "warn";

/// What the replicas run, with its parameters.
fn protocol(source: &Source, top: &Object<'_>, protocols: &Protocols) -> Result<Protocol, ScenarioError> {
    if let Some(protocol) = top.get("program").optional(|field| program(source, field))? {
        return match ["protocol", "broken_rule", "config"].into_iter().find(|&key| top.has(key)) {
            Some(key) => Err(top.conflict("program", key, "one of them")),
            None => Ok(protocol),
        };
    }
    let named = top.get("protocol").optional(|field| field.word(&protocols.names()))?;
    let mut protocol = named.map_or_else(|| protocols.default_one().clone(), |name| protocols.expect(name));
    let mutants = protocol.mutants();
    if mutants.is_empty() && top.has("broken_rule") {
        return Err(top.conflict("protocol", "broken_rule", "a rule only of a protocol that has mutants"));
    }
    let rules: Vec<&'static str> = mutants.iter().map(|mutant| mutant.name).collect();
    if let Some(rule) = top.get("broken_rule").optional(|field| field.word(&rules))? {
        protocol = protocol.without(rule).expect("only names of mutants are read");
    }
    top.get("config").optional(|field| parameters(source, field, &mut protocol))?;
    Ok(protocol)
}

/// Sets what a file says of the parameters.
fn parameters(source: &Source, field: &Field<'_>, protocol: &mut Protocol) -> Result<(), ScenarioError> {
    let mut object = field.object()?;
    let names: Vec<&'static str> = protocol.parameters().into_iter().map(|(name, _)| name).collect();
    object.expect(&names, &[]);
    for name in names {
        let value = object.get(name).optional(|field| field.number(f64::MIN..=f64::MAX, "a number"))?;
        if let Some(value) = value {
            // The error shows the number as the file has it.
            protocol.set(name, value).map_err(|error| match error {
                ParameterError::Value { allowed, .. } => object.get(name).invalid(&allowed),
                ParameterError::Unknown { allowed, .. } => object.get(name).invalid(&allowed),
            })?;
        }
    }
    protocol.validate().map_err(|error| match error {
        ParameterError::Value { name, value, allowed } => {
            ScenarioError::Invalid { file: source.file(), key: object.path_of(&name), value, allowed, hint: None }
        }
        ParameterError::Unknown { allowed, .. } => field.invalid(&allowed),
    })
}

fn trace(field: &Field<'_>) -> Result<u64, ScenarioError> {
    const ALLOWED: &str = "16 hexadecimal digits, or null if the run panicked";
    let text = field.text(16..=16, ALLOWED)?;
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| digits).ok_or_else(|| field.invalid(ALLOWED))
}

fn finding(field: &Field<'_>) -> Result<Finding, ScenarioError> {
    let mut object = field.object()?;
    object.expect(&["checker", "kind", "text"], &[]);
    let text = |key, most| {
        let allowed = format!("a text of up to {most} characters");
        object.get(key).text(0..=most, &allowed).map(printable)
    };
    // A protocol may have checkers of its own.
    let checker = Checker::read(&text("checker", WORD_CHARS_MAX)?);
    Ok(Finding::new(checker, text("kind", WORD_CHARS_MAX)?, text("text", TEXT_CHARS_MAX)?))
}

#[derive(Serialize)]
struct File<'a> {
    seedbed_repro: u64,
    version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<ProgramFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken_rule: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Settings>,
    seed: u64,
    trace: Option<String>,
    findings: Vec<FindingFile<'a>>,
    scenario: &'a Scenario,
}

/// A program of a user: the command line that starts it, and a hash of its files.
#[derive(Serialize)]
struct ProgramFile<'a> {
    path: String,
    files: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environment: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_unsupported: Option<&'static str>,
}

impl<'a> ProgramFile<'a> {
    fn of(program: &'a Program) -> ProgramFile<'a> {
        let variable = |(name, value): &(OsString, OsString)| format!("{}={}", name.display(), value.display());
        ProgramFile {
            path: program.path().display().to_string(),
            files: program.files().digest(),
            environment: program.further().iter().map(variable).collect(),
            on_unsupported: (program.unsupported() == Unsupported::Fails).then_some(WARN),
        }
    }
}

/// The parameters that are not what they are by default.
struct Settings(Vec<(&'static str, f64)>);

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, &Plain(*value))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct FindingFile<'a> {
    checker: &'a str,
    kind: &'a str,
    text: &'a str,
}

impl<'a> File<'a> {
    fn of(repro: &'a Repro) -> File<'a> {
        let Case { scenario, seed, protocol } = &repro.case;
        let finding = |finding: &'a Finding| FindingFile {
            checker: finding.checker.name(),
            kind: &finding.kind,
            text: &finding.text,
        };
        File {
            seedbed_repro: FORMAT,
            version: &repro.version,
            name: &scenario.name,
            protocol: protocol.program().is_none().then(|| protocol.name()),
            program: protocol.program().map(ProgramFile::of),
            broken_rule: protocol.broken(),
            config: Some(protocol.changed_parameters()).filter(|changed| !changed.is_empty()).map(Settings),
            seed: *seed,
            trace: repro.trace.map(|trace| format!("{trace:016x}")),
            findings: repro.findings.iter().map(finding).collect(),
            scenario,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::explore;
    use crate::subjects;

    fn draw(seed: u64) -> Case {
        explore::draw(&subjects::raft(), seed)
    }

    fn text(repro: &Repro) -> String {
        let mut out = Vec::new();
        repro.write(&mut out).expect("a vector takes everything");
        String::from_utf8(out).expect("JSON is text")
    }

    fn read(repro: &Repro) -> LoadedRepro {
        let text = text(repro);
        Repro::parse("r.json", &text, &subjects::builtin()).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn sample() -> Repro {
        let finding = Finding::new(Checker::LIVENESS, "no answer", "none");
        Repro { case: draw(3), version: "0.1.0".to_owned(), trace: Some(0x12ab), findings: vec![finding] }
    }

    #[test]
    fn every_drawn_case_with_every_rule_is_read_as_it_was_written() {
        let raft = subjects::raft();
        let broken = raft.mutants().into_iter().map(|mutant| raft.without(mutant.name).expect("one of its mutants"));
        let protocols: Vec<Protocol> = broken.chain([raft.clone()]).collect();
        for (seed, protocol) in (0..2_000).zip(protocols.iter().cycle()) {
            let mut case = explore::draw(protocol, seed);
            case.protocol.set("held_time_max_ms", 1.0 + seed as f64 * 1.234_567).expect("a time");
            case.seed = u64::MAX - seed;
            let checkers = [Checker::LINEARIZABILITY, Checker::COURSE, Checker::named("of its own")];
            let finding = Finding::new(checkers[seed as usize % 3].clone(), "k", "\"t\" \\u{7f}é");
            let trace = (seed % 3 > 0).then_some(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let repro = Repro { case, version: "0.1.0".to_owned(), trace, findings: vec![finding; seed as usize % 3] };
            assert_eq!(read(&repro), LoadedRepro { repro, warnings: vec![] }, "seed {seed}");
        }
    }

    #[test]
    fn a_repro_of_a_trial_is_read_as_it_was_written_and_runs_alike() {
        let case = draw(1);
        let trial = case.attempt();
        let repro = Repro::of(&case, &trial);
        let again = read(&repro).repro;
        assert_eq!(again, repro);
        let trial = again.case.attempt();
        assert!(again.is_like(&trial) && trial.trace() == repro.trace);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        let whole = text(&Repro { case: Case { protocol: subjects::raft(), ..draw(3) }, ..sample() });
        let protocol = r#""protocol": "raft","#;
        let with = |line: &str| whole.replacen(protocol, &format!("{protocol} {line},"), 1);
        for (text, error) in [
            ("[]".to_owned(), "r.json: the file holds []; allowed is an object"),
            ("{\"lifetime\": 5, \"replicas\": 3}".to_owned(), "r.json: is a scenario, which `seedbed run` takes"),
            (
                "{}".to_owned(),
                "r.json: `seedbed_repro` is missing; allowed is 1, in a file that seedbed has written of a failed run",
            ),
            (
                whole.replacen("\"seedbed_repro\": 1", "\"seedbed_repro\": 2", 1),
                "r.json: `seedbed_repro` is 2; allowed is 1, the version of the format that this program reads",
            ),
            (
                whole.replacen("\"raft\"", "\"paxos\"", 1),
                "r.json: `protocol` is \"paxos\"; allowed is raft, broadcast, node, cluster",
            ),
            (
                with(r#""config": {"raft.heartbeat_ms": 800}"#),
                "r.json: `config.raft.heartbeat_ms` is 800 ms; allowed is 0.01 ms to less than election_timeout_min (800 ms)",
            ),
            (
                with(r#""config": {"raft.suspect_after": 0.5}"#),
                "r.json: `config.raft.suspect_after` is 0.5; allowed is a whole number from 0 up",
            ),
            (
                with(r#""config": {"held_requests_max": "1"}"#),
                "r.json: `config.held_requests_max` is \"1\"; allowed is a number; write it without quotes",
            ),
            (
                whole.replacen("00000000000012ab", "+0000000000012ab", 1),
                "r.json: `trace` is \"+0000000000012ab\"; allowed is 16 hexadecimal digits, or null if the run panicked",
            ),
        ] {
            assert_eq!(Repro::parse("r.json", &text, &subjects::builtin()).unwrap_err().to_string(), error);
        }
        let rule = Repro::parse("r.json", &with(r#""broken_rule": "vote-onc""#), &subjects::builtin())
            .unwrap_err()
            .to_string();
        assert!(rule.starts_with("r.json: `broken_rule` is \"vote-onc\"; allowed is vote-once, vote-for-"), "{rule}");
        assert!(rule.ends_with("; did you mean `vote-once`?"), "{rule}");
        let replicas = whole.replacen("\"replicas\": ", "\"replicas\": 1", 1);
        let error =
            Repro::parse("r.json", &replicas.replacen("\"replicas\": 1", "\"replicas\": 99", 1), &subjects::builtin())
                .unwrap_err();
        assert!(error.to_string().starts_with("r.json: `scenario.replicas` is 99"), "{error}");
    }

    #[test]
    fn unknown_keys_are_warnings() {
        let text = text(&sample()).replacen("\"seed\"", "\"sead\": 1, \"seed\"", 1);
        let text = text.replacen("\"config\": {", "\"config\": {\"raft.heartbeat\": 3, ", 1);
        let loaded = Repro::parse("r.json", &text, &subjects::builtin()).unwrap();
        assert!(loaded.warnings.contains(&"r.json: unknown key `sead` is ignored; did you mean `seed`?".to_owned()));
        assert_eq!(loaded.repro, sample());
    }
}
