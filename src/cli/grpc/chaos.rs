//! `seedbed chaos`: a client of the chaos monkeys.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use super::connection::{self, ConnectionArgs, TokenArgs};
use super::play;
use crate::chaos::ConnectivityMatrix;
use crate::cli::error::CliError;
use crate::cli::{Outcome, output};
use crate::client::{Chaos, Each, Servers, status};
use crate::report::chaos as report;
use crate::scenario::load_matrix;

/// Tell the chaos monkeys of a gRPC cluster how likely servers are to lose each other's messages
///
/// Every server that was started with --chaos looks at a connectivity matrix whenever it receives a
/// message of another server: the value in row i, column j is the probability that server j drops what
/// it receives from server i. Each server has a copy of its own, and these commands change all of them.
/// Requests of clients are never dropped.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed chaos upload matrices/isolate-3.json    server 3 hears nobody, and nobody hears it
  seedbed chaos set 0 1 0.5                       half of what 0 sends to 1 is lost
  seedbed chaos show                              the matrix as it is
  seedbed chaos clear                             nothing is lost any more
  seedbed chaos play partition-1                  all that happens in a scenario, in real time

Exit codes: 0 done, 1 a server did not do it or has another matrix than the others, 2 bad usage or input.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(flatten)]
    token: TokenArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give all servers this matrix
    Upload {
        /// A JSON file with a matrix, or the name of a built-in one
        ///
        /// The file holds a list of rows, or an object with one under `matrix`. `seedbed scenarios` lists
        /// the built-in matrices.
        file: PathBuf,
    },
    /// Change one value: how likely TO is to drop a message of FROM
    Set {
        /// The sender's number, the matrix's row
        #[arg(allow_negative_numbers = true)]
        from: u8,
        /// The receiver's number, the matrix's column
        #[arg(allow_negative_numbers = true)]
        to: u8,
        /// A probability, from 0 to 1
        #[arg(value_parser = super::bench::share, allow_negative_numbers = true)]
        value: f64,
    },
    /// Show the matrix of all servers, and whether they have the same
    Show,
    /// Give all servers a matrix of zeros
    Clear,
    Play(play::Args),
}

/// Carries out the command.
pub(in crate::cli) fn execute(args: Args) -> Result<Outcome, CliError> {
    let token = args.token.load()?;
    let work = async {
        let Args { connection, command, .. } = args;
        // Errors in a file are found before any server is asked.
        let command = match command {
            Command::Upload { file } => Todo::Upload(load_matrix(&file)?),
            Command::Set { from, to, value } => Todo::Set(from.into(), to.into(), value),
            Command::Show => Todo::Show,
            Command::Clear => Todo::Clear,
            Command::Play(args) => Todo::Play(Box::new(play::Plot::load(&args)?)),
        };
        let servers = connection.servers().await?;
        // A play continues, whether a server answers or not.
        let timeout = if matches!(command, Todo::Play(_)) { connection.try_timeout() } else { connection.timeout() };
        let chaos = Chaos::new(servers.clone(), timeout, token.as_deref())?;
        match command {
            Todo::Upload(matrix) => Ok(told(&chaos.upload(&matrix).await?)),
            Todo::Set(from, to, value) => Ok(told(&chaos.set(from, to, value).await?)),
            Todo::Show => show(&chaos.show().await?),
            Todo::Clear => {
                let count = members(&servers, connection.timeout()).await?;
                Ok(told(&chaos.upload(&healthy(count)).await?))
            }
            Todo::Play(plot) => plot.play(&chaos, &servers, timeout).await,
        }
    };
    connection::block_on(work)
}

/// A command that has been read.
enum Todo {
    Upload(ConnectivityMatrix),
    Set(usize, usize, f64),
    Show,
    Clear,
    Play(Box<play::Plot>),
}

/// A matrix that drops no message.
pub(super) fn healthy(servers: usize) -> ConnectivityMatrix {
    let rows = vec![vec![0.0; servers]; servers];
    ConnectivityMatrix::from_rows(servers, &rows).expect("zeros are probabilities")
}

/// Warns of servers that did not make the change.
fn told(answers: &Each<()>) -> Outcome {
    Outcome::of(complain(answers) == 0)
}

/// Warns of servers that did not make the change, and counts them.
pub(super) fn complain<T>(answers: &Each<T>) -> usize {
    let failed = answers.iter().filter_map(|(server, answer)| Some((server, answer.as_ref().err()?)));
    failed.inspect(|(server, reason)| output::warning(&format!("{server}: {reason}"))).count()
}

/// Shows the matrix, once if all servers have the same.
fn show(answers: &Each<ConnectivityMatrix>) -> Result<Outcome, CliError> {
    let failed = complain(answers);
    let mut out = output::stdout();
    let kinds = report::write_matrices(&mut out, answers)?;
    out.flush()?;
    if kinds > 1 {
        output::warning("servers have different matrices");
    }
    Ok(Outcome::of(failed == 0 && kinds == 1))
}

/// How many servers the cluster has, according to one of them; if no server answers, how many were named.
async fn members(servers: &Servers, timeout: Duration) -> Result<usize, CliError> {
    let members = status::members(servers, timeout).await?;
    Ok(members.map_or(servers.addresses().len(), |members| members.len()))
}
