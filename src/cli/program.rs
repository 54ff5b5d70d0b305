//! What this program is: its name, and the protocols that it tests. It is said once, at the start of the process.

use std::borrow::Cow;
use std::sync::OnceLock;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::lab::{Protocol, Protocols};
use crate::report::rows::Columns;
use crate::subjects;

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// What a command line is about.
#[derive(Debug)]
pub(super) struct Program {
    /// How it is called, as reports show it in commands.
    pub name: String,
    /// What it can test, the default first.
    pub protocols: Protocols,
    /// Whether it is seedbed itself, and not the program of a user's crate.
    pub is_seedbed: bool,
}

impl Program {
    fn seedbed() -> Program {
        Program { name: "seedbed".to_owned(), protocols: subjects::builtin(), is_seedbed: true }
    }
}

/// Says what this program is. Only the first word counts.
pub(super) fn introduce(program: Program) {
    let _ = PROGRAM.set(program);
}

/// What this program is: seedbed, if nothing else was said.
pub(super) fn program() -> &'static Program {
    PROGRAM.get_or_init(Program::seedbed)
}

/// The protocols that it can test.
pub(super) fn protocols() -> &'static Protocols {
    &program().protocols
}

/// The protocol that is tested unless another one is named.
pub(super) fn default_protocol() -> Protocol {
    protocols().default_one().clone()
}

/// The names of the protocols, as the values of an option.
pub(super) fn protocol_names() -> impl TypedValueParser<Value = Protocol> {
    let value = |protocol: &Protocol| PossibleValue::new(protocol.name()).help(protocol.summary());
    let names = PossibleValuesParser::new(protocols().iter().map(value).collect::<Vec<_>>());
    names.try_map(|name| protocols().find(&name))
}

/// The names of the protocols' rules, as the values of an option; the help says what a mutant does that breaks one.
pub(super) fn rules() -> impl TypedValueParser<Value = String> {
    let value = |mutant: crate::lab::Mutant| PossibleValue::new(mutant.name).help(mutant.breaks);
    PossibleValuesParser::new(protocols().mutants().into_iter().map(value).collect::<Vec<_>>())
}

/// Words of examples that only seedbed itself can carry out: its protocols, their parameters and mutants, and repro files
/// of them.
const OF_SEEDBED: [&str; 10] = [
    "raft",
    "Raft",
    "broadcast",
    "3700kvstore",
    "--world",
    "--drawn",
    "commit-own-term",
    "figure-8",
    "stale-read",
    "elections",
];

/// A text that is about this program: its commands begin with its name, and examples that it cannot carry out are left
/// out. That of seedbed itself stays as it is.
pub(super) fn reworded(text: &str) -> Cow<'_, str> {
    let program = program();
    if program.is_seedbed { Cow::Borrowed(text) } else { Cow::Owned(reworded_for(text, &program.name)) }
}

fn reworded_for(text: &str, name: &str) -> String {
    const BEGIN: &str = "  seedbed ";
    let mut own = String::new();
    let mut is_left_out = false;
    for line in text.split_inclusive('\n') {
        // An example may go on in lines that are indented further.
        if line.starts_with(BEGIN) {
            is_left_out = OF_SEEDBED.iter().any(|word| line.contains(word));
        } else if !line.starts_with("   ") {
            is_left_out = false;
        }
        if !is_left_out {
            own += line;
        }
    }
    COMMANDS.iter().fold(own, |text, command| text.replace(&format!("seedbed {command}"), &format!("{name} {command}")))
}

/// The commands that help and messages mention.
const COMMANDS: [&str; 12] =
    ["run", "scenarios", "verify", "sweep", "merge", "check", "explore", "zoo", "replay", "shrink", "doctor", "help"];

/// The help of `--set`: what can be set.
pub(super) fn help_of_set() -> String {
    let parameters: Vec<(&'static str, f64)> = protocols().iter().flat_map(Protocol::parameters).collect();
    let example = match &parameters[..] {
        _ if program().is_seedbed => " (raft.heartbeat_ms=50)".to_owned(),
        [] => return "Any other key of the scenario (events[0].time=5)".to_owned(),
        [(name, value), ..] => format!(" ({name}={value})"),
    };
    format!("Any other key of the scenario (events[0].time=5) or parameter of replicas{example}")
}

/// The same at more length.
pub(super) fn long_help_of_set() -> String {
    let names: Vec<&str> = protocols().iter().flat_map(Protocol::parameters).map(|(name, _)| name).collect();
    let parameters = match program().is_seedbed {
        true => ", parameters of replicas in docs/sweeps.md".to_owned(),
        false if names.is_empty() => String::new(),
        false => format!("; parameters are {}", names.join(", ")),
    };
    format!(
        "{}\n\nKeys of scenarios are listed in docs/scenarios.md{parameters}. May be given several times.",
        help_of_set()
    )
}

/// The names of these protocols, as an option takes them.
pub(super) fn joined<'p>(protocols: impl IntoIterator<Item = &'p Protocol>) -> String {
    protocols.into_iter().map(Protocol::name).collect::<Vec<_>>().join(",")
}

/// The columns of rows: the messages of all protocols are counted by kind.
pub(super) fn columns() -> &'static Columns {
    static COLUMNS: OnceLock<Columns> = OnceLock::new();
    COLUMNS.get_or_init(|| Columns::of(protocols().iter().flat_map(|protocol| protocol.kinds().iter().copied())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_for_another_program_name_it_and_leave_out_what_it_cannot_do() {
        let text = "\
Examples:
  seedbed run crash-3 --seed 7      `seedbed help run` tells more
  seedbed run all --protocol raft,broadcast
                                    two protocols
  seedbed zoo

Exit codes: what seedbed returns.";
        let expected = "\
Examples:
  my-lock run crash-3 --seed 7      `my-lock help run` tells more
  my-lock zoo

Exit codes: what seedbed returns.";
        assert_eq!(reworded_for(text, "my-lock"), expected);
    }
}
