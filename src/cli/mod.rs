//! The command line: arguments in, exit code out. Each command has a file of its own.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | everything ran and is correct; what is compared, played twice or repeated is the same; every mutant of the zoo is detected |
//! | 1 | a checker found something, or a run panicked; what is compared, played twice or repeated differs; a mutant of the zoo escapes |
//! | 2 | bad usage or input; an error on standard error says what |
//! | 101 | seedbed itself panicked |
//! | 130, 143, 129, 131 | interrupted (SIGINT, SIGTERM, SIGHUP, SIGQUIT) while processes played; none of them is left |
//! | 141 | standard output was closed before everything was written, as for a program that dies of SIGPIPE |

mod axes;
mod cast;
mod check;
mod command;
mod compare;
mod cores;
mod doctor;
mod error;
mod explore;
mod files;
#[cfg(feature = "grpc")]
mod grpc;
mod merge;
mod output;
mod program;
mod progress;
mod replay;
mod repro;
mod run;
mod scenarios;
mod selection;
mod shrink;
mod sweep;
mod tested;
mod trace;
mod verify;
#[cfg(not(feature = "grpc"))]
mod without_grpc;
mod zoo;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::lab::{Protocol, Protocols};
use error::CliError;
use program::Program;

/// A deterministic simulation testbed for replicated systems, with a built-in Raft key-value store.
#[derive(Debug, Parser)]
#[command(
    name = "seedbed",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 success, 1 a check failed, 2 bad usage or input.
`seedbed help run` tells more about a command."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Scenarios(scenarios::Args),
    Compare(compare::Args),
    Verify(verify::Args),
    Sweep(sweep::Args),
    Merge(merge::Args),
    Check(check::Args),
    Explore(explore::Args),
    Zoo(zoo::Args),
    Replay(replay::Args),
    Shrink(shrink::Args),
    Doctor(doctor::Args),
    #[cfg(feature = "grpc")]
    Serve(grpc::serve::Args),
    #[cfg(feature = "grpc")]
    Cluster(grpc::cluster::Args),
    #[cfg(feature = "grpc")]
    Kv(grpc::kv::Args),
    #[cfg(feature = "grpc")]
    Chaos(grpc::chaos::Args),
    #[cfg(feature = "grpc")]
    Status(grpc::status::Args),
    #[cfg(not(feature = "grpc"))]
    #[command(flatten)]
    WithoutGrpc(without_grpc::Command),
}

/// Whether everything is correct, or the same in both worlds or every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Correct,
    Incorrect,
}

impl Outcome {
    fn of(correct: bool) -> Outcome {
        if correct { Outcome::Correct } else { Outcome::Incorrect }
    }
}

/// Runs seedbed with the process's arguments.
pub fn main() -> ExitCode {
    ExitCode::from(execute(std::env::args_os()))
}

/// Runs the whole command line with the process's arguments, for these protocols: the first is the default. This is the
/// `main` of a crate with a protocol of its own:
///
/// ```no_run
/// # use seedbed::subjects::Broadcast as MyProtocol;
/// fn main() -> std::process::ExitCode {
///     seedbed::cli::run_with([seedbed::subject(MyProtocol)])
/// }
/// ```
///
/// The commands of the built-in store's cluster are left out.
///
/// # Panics
/// If there is no protocol, or two have the same name. [`subject`](crate::subject) refuses names that cannot be used.
#[track_caller]
pub fn run_with(protocols: impl IntoIterator<Item = Protocol>) -> ExitCode {
    let path = std::env::args_os().next().map(PathBuf::from);
    let stem = path.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let name = stem.unwrap_or_else(|| "seedbed".to_owned());
    program::introduce(Program { name, protocols: Protocols::new(protocols), is_seedbed: false });
    main()
}

/// The arguments that this program takes.
fn arguments_taken() -> clap::Command {
    let program = program::program();
    let command = Cli::command().name(program.name.as_str()).bin_name(program.name.as_str());
    if program.is_seedbed {
        return command;
    }
    let about =
        "Tests protocols of this crate with seedbed: a deterministic simulation testbed for replicated systems.";
    let has_mutants = !program.protocols.mutants().is_empty();
    let is_mutated = program.protocols.iter().any(Protocol::is_mutated);
    worded(command).about(about).mut_subcommands(|command| {
        let is_of_store = ["serve", "cluster", "kv", "chaos", "status", "compare"].contains(&command.get_name());
        let command = if is_of_store { command.hide(true) } else { command };
        command.mut_args(|argument| match argument.get_id().as_str() {
            // Its servers are those of the built-in store.
            "world" => argument.hide(true),
            "without" | "rules" if !has_mutants => argument.hide(true),
            "drawn" if !is_mutated => argument.hide(true),
            _ => argument,
        })
    })
}

/// A command and those below it, with texts about this program.
fn worded(command: clap::Command) -> clap::Command {
    let text = |text: Option<&StyledStr>| text.map(|text| program::reworded(&text.to_string()).into_owned());
    let (about, long_about) = (text(command.get_about()), text(command.get_long_about()));
    let (after, after_long) = (text(command.get_after_help()), text(command.get_after_long_help()));
    let argument = |argument: clap::Arg| {
        let (help, long) = (text(argument.get_help()), text(argument.get_long_help()));
        let argument = help.into_iter().fold(argument, clap::Arg::help);
        long.into_iter().fold(argument, clap::Arg::long_help)
    };
    let command = about.into_iter().fold(command, clap::Command::about);
    let command = long_about.into_iter().fold(command, clap::Command::long_about);
    let command = after.into_iter().fold(command, clap::Command::after_help);
    let command = after_long.into_iter().fold(command, clap::Command::after_long_help);
    command.mut_args(argument).mut_subcommands(worded)
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut taken = arguments_taken();
    let matches = taken.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut taken))
}

fn execute(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let result = match parse(arguments) {
        Ok(Cli { command: Command::Run(args) }) => run::execute(args),
        Ok(Cli { command: Command::Scenarios(args) }) => scenarios::execute(&args),
        Ok(Cli { command: Command::Compare(args) }) => compare::execute(args),
        Ok(Cli { command: Command::Verify(args) }) => verify::execute(args),
        Ok(Cli { command: Command::Sweep(args) }) => sweep::execute(&args),
        Ok(Cli { command: Command::Merge(args) }) => merge::execute(&args),
        Ok(Cli { command: Command::Check(args) }) => check::execute(&args),
        Ok(Cli { command: Command::Explore(args) }) => explore::execute(args),
        Ok(Cli { command: Command::Zoo(args) }) => zoo::execute(args),
        Ok(Cli { command: Command::Replay(args) }) => replay::execute(&args),
        Ok(Cli { command: Command::Shrink(args) }) => shrink::execute(&args),
        Ok(Cli { command: Command::Doctor(args) }) => doctor::execute(&args),
        #[cfg(feature = "grpc")]
        Ok(Cli { command: Command::Serve(args) }) => grpc::serve::execute(args),
        #[cfg(feature = "grpc")]
        Ok(Cli { command: Command::Cluster(args) }) => grpc::cluster::execute(args),
        #[cfg(feature = "grpc")]
        Ok(Cli { command: Command::Kv(args) }) => grpc::kv::execute(args),
        #[cfg(feature = "grpc")]
        Ok(Cli { command: Command::Chaos(args) }) => grpc::chaos::execute(args),
        #[cfg(feature = "grpc")]
        Ok(Cli { command: Command::Status(args) }) => grpc::status::execute(&args),
        #[cfg(not(feature = "grpc"))]
        Ok(Cli { command: Command::WithoutGrpc(_) }) => Err(CliError::WithoutGrpc),
        Err(error) => Err(CliError::Usage(without_wrong_tip(error))),
    };
    match result {
        Ok(Outcome::Correct) => 0,
        Ok(Outcome::Incorrect) => 1,
        Err(CliError::Usage(error)) => {
            // Help and version come this way, too. If they cannot be written, there is no place for a message.
            let _ = error.print();
            error.exit_code() as u8
        }
        Err(CliError::Stdout(error)) if error.kind() == io::ErrorKind::BrokenPipe => 128 + 13,
        Err(error) => {
            output::error(&error);
            match error {
                CliError::Interrupted { signal, .. } => 128_u8.wrapping_add(signal as u8),
                _ => 2,
            }
        }
    }
}

/// The same without the tip to write `-- --option`: no command takes a file that is named like an option by mistake.
fn without_wrong_tip(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::UnknownArgument {
        error.remove(ContextKind::Suggested);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
