//! `3700kvstore`: one replica of the Raft key-value store, as the course's graders run it.
//!
//! It speaks the handout's protocol with the router that listens on a UDP port of this machine. The work is done by
//! [`seedbed_core::replica`]; [`seedbed::node`] puts it on the LAN. This file reads arguments and environment.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | the router has been gone for a minute |
//! | 1 | the socket, the disk or the system's source of randomness is of no use, or a record on the disk is damaged |
//! | 2 | bad arguments, or a variable that makes no sense |

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use rand::TryRng;
use rand::rngs::SysRng;

use seedbed::node::Members;
use seedbed::node::log::Level;
use seedbed::node::udp::{self, RunError};
use seedbed::wire::Address;

/// One replica of a Raft key-value store, on the LAN of a course's router.
#[derive(Debug, Parser)]
#[command(
    name = "3700kvstore",
    version,
    max_term_width = 100,
    after_help = "\
Environment:
  SEEDBED_LOG   off (default), info or debug: what it tells on standard error
  SEEDBED_SEED  seed of its randomness, a whole number; drawn by the system by default
  SEEDBED_DATA  folder for what the replicas must not forget, each in a folder with its ID; without
                it everything is in memory, and a replica that was stopped must not be started again"
)]
struct Args {
    /// The UDP port of the router, on this machine
    #[arg(value_name = "UDP port", value_parser = RangedU64ValueParser::<u16>::new().range(1..=65_535))]
    port: u16,

    /// This replica's ID, four hexadecimal digits
    #[arg(value_name = "own ID")]
    own: Address,

    /// The IDs of all other replicas
    #[arg(value_name = "other IDs", required = true)]
    others: Vec<Address>,
}

fn main() -> ExitCode {
    let arguments = Args::try_parse().and_then(|args| {
        let members = Members::new(args.own, &args.others);
        let usage = |error| Args::command().error(ErrorKind::ValueValidation, error);
        members.map(|members| (args.port, members)).map_err(usage)
    });
    match arguments {
        Ok((port, members)) => ExitCode::from(run(port, members)),
        Err(error) => ExitCode::from(explain(&error)),
    }
}

/// Explains what is wrong with the arguments, or prints help if they ask for it, and returns the exit code. If standard
/// error cannot be written, the error cannot be reported.
fn explain(error: &clap::Error) -> u8 {
    let _ = error.print();
    let text = error.to_string();
    if error.use_stderr() && !text.contains("Usage:") {
        let _ = writeln!(io::stderr(), "{}", Args::command().render_usage());
    }
    error.exit_code() as u8
}

/// Runs the replica and returns the exit code.
fn run(port: u16, members: Members) -> u8 {
    let settings = match Settings::read() {
        Ok(settings) => settings,
        Err(message) => return fail(2, &message),
    };
    let seed = match settings.seed.map_or_else(|| SysRng.try_next_u64(), Ok) {
        Ok(seed) => seed,
        Err(error) => return fail(1, &format!("the system gives no seed: {error}")),
    };
    match udp::run_raft(port, members, seed, settings.level, settings.data.as_deref()) {
        Ok(()) => 0,
        Err(RunError::Storage(error)) => fail(1, &format!("SEEDBED_DATA: {error}")),
        Err(error) => fail(1, &error.to_string()),
    }
}

/// What the environment says.
struct Settings {
    level: Level,
    seed: Option<u64>,
    data: Option<PathBuf>,
}

impl Settings {
    fn read() -> Result<Settings, String> {
        let level = read_variable("SEEDBED_LOG", |text| text.parse::<Level>().map_err(|error| error.to_string()))?;
        let seed = read_variable("SEEDBED_SEED", parse_seed)?;
        let data = variable("SEEDBED_DATA").map(PathBuf::from);
        if data.as_ref().is_some_and(|data| data.as_os_str().is_empty()) {
            return Err("SEEDBED_DATA is ''; allowed is a folder".to_owned());
        }
        Ok(Settings { level: level.unwrap_or_default(), seed, data })
    }
}

fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("allowed is a whole number from 0 to {}", u64::MAX))
}

/// Reads a variable of the environment, if it is set.
fn read_variable<T>(name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    let Some(value) = variable(name) else { return Ok(None) };
    let value = value.to_string_lossy();
    parse(&value).map(Some).map_err(|allowed| format!("{name} is '{}'; {allowed}", value.escape_debug()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a real replica is told by its environment how to log, to draw and to keep"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Writes the error to standard error, if possible.
fn fail(code: u8, message: &str) -> u8 {
    let _ = writeln!(io::stderr(), "3700kvstore: {message}");
    code
}
