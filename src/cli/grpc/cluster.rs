//! `seedbed cluster`: all servers of a gRPC cluster on this machine.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::cli::error::CliError;
use crate::cli::output;
use crate::cli::{Outcome, command};
use crate::id::{REPLICAS_MAX, ReplicaId};
use crate::printable::printable;
use crate::time::Time;
use crate::world::grpc::{Launch, Session};
use crate::world::processes::{Interrupt, Spectator, describe_end};

/// Run a gRPC cluster on this machine, until Ctrl-C
///
/// It starts a `seedbed serve` for each server, with a chaos monkey, prints their addresses, and shows what they log.
/// No process is left of them afterwards, whatever way this program ends. With --data, everything is there when the same
/// command is given again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed cluster                       five servers, at 127.0.0.1:7001 to 7005
  seedbed cluster --data kv             the same; Ctrl-C, start again: everything is there
  seedbed cluster --replicas 3 --port 9001 -- --log warn --forward false
                                        what comes after `--` is for `seedbed serve`

Exit codes: 0 ended by SIGTERM or Ctrl-C, 1 all servers have ended by themselves, 2 bad usage or input.")]
pub(in crate::cli) struct Args {
    /// How many servers
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=REPLICAS_MAX as i64))]
    replicas: u8,

    /// The port of the first server; the others have the next ones
    #[arg(long, value_name = "PORT", default_value_t = 7001, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// The folder for the servers' data; without one, everything is in memory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Seed of the chaos monkeys; random by default
    #[arg(long, value_name = "SEED", allow_negative_numbers = true)]
    chaos_seed: Option<u64>,

    /// Without chaos monkeys
    #[arg(long, conflicts_with = "chaos_seed")]
    no_chaos: bool,

    /// Do not show what servers log
    #[arg(short, long)]
    silence: bool,

    /// Further options of `seedbed serve`, for all servers
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Shows the logs of servers, line by line.
struct Lines;

impl Spectator for Lines {
    fn progress(&self, _: Time) {}

    fn printed(&self, _: Time, replica: ReplicaId, line: &str) {
        // If standard error cannot be written, the error cannot be reported.
        let _ = writeln!(anstream::stderr(), "{} | {line}", replica.0);
    }

    fn complaint(&self, _: Time, replica: ReplicaId, complaint: &str) {
        output::warning(&format!("server {} {complaint}", replica.0));
    }
}

/// Carries out the command.
pub(in crate::cli) fn execute(args: Args) -> Result<Outcome, CliError> {
    let chaos_seed = match args.no_chaos {
        true => None,
        false => Some(args.chaos_seed.map_or_else(|| SysRng.try_next_u64().map_err(CliError::NoSeed), Ok)?),
    };
    let launch = Launch {
        first_port: Some(args.port),
        chaos_seed,
        arguments: args.options,
        data: args.data.clone(),
        silence: args.silence,
        ..Launch::own_program().map_err(CliError::Live)?
    };
    let interrupt = Interrupt::install().map_err(CliError::Signals)?;
    let session = Session::start(&launch, args.replicas.into(), Arc::new(Lines), &interrupt).map_err(CliError::Live)?;
    let mut out = output::stdout();
    let servers: Vec<String> = session.addresses().iter().map(ToString::to_string).collect();
    for (number, address) in servers.iter().enumerate() {
        writeln!(out, "server {number}: {address}")?;
    }
    let servers = servers.join(",");
    writeln!(out, "\nThe clients of these servers:\n  export SEEDBED_SERVERS={}", command::quoted(servers.as_ref()))?;
    writeln!(out, "  seedbed kv put name Ada\n  seedbed kv get name\n  seedbed status")?;
    match &args.data {
        None => writeln!(out, "\nEverything is in memory: if a majority of the servers stops, all data is lost.")?,
        Some(folder) => writeln!(out, "\nTheir data is in {}.", printable(&folder.to_string_lossy()))?,
    }
    if let Some(seed) = chaos_seed {
        writeln!(out, "\nThe chaos monkeys' dice have the seed {seed}.")?;
    }
    out.flush()?;
    let all_gone = session.wait(|replica, status| {
        output::warning(&format!("server {} has ended ({})", replica.0, describe_end(status)));
    });
    Ok(Outcome::of(!all_gone))
}
