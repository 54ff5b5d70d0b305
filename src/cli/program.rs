//! What this program is: its name, and the protocols that it tests. It is said once, at the start of the process.

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

/// The names of these protocols, as an option takes them.
pub(super) fn joined<'p>(protocols: impl IntoIterator<Item = &'p Protocol>) -> String {
    protocols.into_iter().map(Protocol::name).collect::<Vec<_>>().join(",")
}

/// The columns of rows: the messages of all protocols are counted by kind.
pub(super) fn columns() -> &'static Columns {
    static COLUMNS: OnceLock<Columns> = OnceLock::new();
    COLUMNS.get_or_init(|| Columns::of(protocols().iter().flat_map(|protocol| protocol.kinds().iter().copied())))
}
