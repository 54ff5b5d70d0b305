//! Which replicas a command tests in virtual time: those of a protocol, or those of a program.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::command::{self, Words};
use super::error::CliError;
use super::program::{self, default_protocol};
use crate::lab::Protocol;
use crate::world::program::{Extent, Program, Unsupported};

/// The replicas that a command tests.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Tested {
    /// What the replicas run
    #[arg(long, value_name = "NAME", default_value_t = default_protocol(), value_parser = program::protocol_names())]
    protocol: Protocol,

    /// Test this program instead, simulated in virtual time
    ///
    /// Any program that speaks the course's protocol will do, in any language. It is started once for each replica, as
    /// `PROGRAM <UDP port> <its ID> <ID> <ID>...`. docs/programs.md says what is simulated.
    #[arg(short, long, value_name = "PROGRAM", conflicts_with = "protocol")]
    replica: Option<PathBuf>,

    #[command(flatten)]
    conditions: Conditions,
}

/// What a simulated program finds beside its files.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Conditions {
    /// Set an environment variable for replicas of -r; without a value, this process's own
    #[arg(long, value_name = "NAME[=VALUE]", requires = "replica")]
    env: Vec<String>,

    /// What becomes of system calls of -r that cannot be simulated
    #[arg(long, value_name = "WHAT", requires = "replica", default_value = "end", hide_default_value = true)]
    on_unsupported: OnUnsupported,
}

/// What becomes of a system call that cannot be simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnUnsupported {
    /// It ends the run, and nothing is said about the program
    #[default]
    End,
    /// It fails, the run goes on, and is marked as not faithful
    Warn,
}

impl OnUnsupported {
    /// With the option for it, unless that is the default.
    pub fn words(self, words: Words) -> Words {
        if self == OnUnsupported::Warn { words.with("--on-unsupported warn") } else { words }
    }
}

impl From<OnUnsupported> for Unsupported {
    fn from(choice: OnUnsupported) -> Unsupported {
        match choice {
            OnUnsupported::End => Unsupported::Ends,
            OnUnsupported::Warn => Unsupported::Fails,
        }
    }
}

impl Conditions {
    /// The protocol that a program speaks under these conditions.
    pub fn simulate(&self, program: &Path) -> Result<Protocol, CliError> {
        simulated(program, &self.env, self.on_unsupported)
    }
}

impl Tested {
    /// The protocol, or that of the program.
    pub fn open(&self) -> Result<Protocol, CliError> {
        match &self.replica {
            Some(program) => self.conditions.simulate(program),
            None => Ok(self.protocol.clone()),
        }
    }
}

/// The protocol that a program speaks whose replicas are simulated.
pub(super) fn simulated(program: &Path, env: &[String], on_unsupported: OnUnsupported) -> Result<Protocol, CliError> {
    let opened = Program::open(program).map_err(CliError::Program)?;
    if opened.files().extent() == Extent::Program {
        super::output::note(&format!(
            "the folder of {} is large, so replicas have a copy of the program alone; if it needs more, put both into a folder of \
             their own",
            program.display()
        ));
    }
    let with = variables(env)?.into_iter().fold(opened, |program, (name, value)| program.with_env(name, value));
    Ok(Protocol::of_program(with.with_unsupported(on_unsupported.into())))
}

/// With the words that name what is tested: nothing for the default protocol. `choice` is a word that must stand beside a
/// program, if any.
pub(super) fn words_of(words: Words, protocol: &Protocol, choice: Option<&str>) -> Words {
    let Some(program) = protocol.program() else {
        return words.unless(default_protocol().name(), "--protocol", protocol.name());
    };
    let words = choice.into_iter().fold(words, Words::with).path("-r", Some(program.path()));
    let choice = if program.unsupported() == Unsupported::Fails { OnUnsupported::Warn } else { OnUnsupported::End };
    program.further().iter().fold(choice.words(words), |words, (name, value)| {
        let variable = [name.as_os_str(), OsStr::new("="), value].into_iter().collect::<OsString>();
        words.option("--env", command::quoted(&variable))
    })
}

/// What `--env` says: the variables of the environment that replicas have besides the usual ones.
#[expect(clippy::disallowed_methods, reason = "the user asks for it")]
pub(super) fn variables(env: &[String]) -> Result<Vec<(OsString, OsString)>, CliError> {
    let variable = |text: &String| match text.split_once('=') {
        Some(("", _)) => Err(CliError::Variable { text: text.clone(), problem: "has no name" }),
        None if text.is_empty() => Err(CliError::Variable { text: text.clone(), problem: "has no name" }),
        Some((name, value)) => Ok((name.into(), value.into())),
        None => match std::env::var_os(text) {
            Some(value) => Ok((text.into(), value)),
            None => Err(CliError::Variable { text: text.clone(), problem: "is not set here" }),
        },
    };
    env.iter().map(variable).collect()
}
