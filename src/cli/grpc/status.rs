//! `seedbed status`: the status of the servers of a gRPC cluster.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::connection::{self, ConnectionArgs, seconds};
use crate::cli::error::CliError;
use crate::cli::{Outcome, output};
use crate::client::{Servers, status};
use crate::report::status::Overview;

/// Clears a terminal and moves to its top.
const CLEAR_SCREEN: &str = "\x1b[2J\x1b[H";

/// Show how the servers of a gRPC cluster are doing
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
`lag` is how many entries a server has yet to apply of those that the leader has committed. `sent` and `dropped` count
messages between servers: those that it sent, and those that its chaos monkey dropped when they arrived. `disk` is the
size of the file of a server's data, with --data.

Exit codes: 0 all servers answer and one leads, 1 one does not answer or none leads, 2 bad usage or input.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// Print JSON in place of the table
    #[arg(long)]
    json: bool,

    /// Ask again at this interval, in seconds, until Ctrl-C
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    watch: Option<Duration>,
}

/// Carries out the command.
pub(in crate::cli) fn execute(args: &Args) -> Result<Outcome, CliError> {
    connection::block_on(async {
        let servers = args.connection.servers().await?;
        let Some(interval) = args.watch else { return look(args, &servers, "").await };
        let before = if io::stdout().is_terminal() && !args.json { CLEAR_SCREEN } else { "" };
        loop {
            look(args, &servers, before).await?;
            tokio::time::sleep(interval).await;
        }
    })
}

/// Asks all servers once and shows their answers.
async fn look(args: &Args, servers: &Servers, before: &str) -> Result<Outcome, CliError> {
    let overview = Overview::of(&status::of_each(servers, args.connection.try_timeout()).await?);
    let mut out = output::stdout();
    out.write_all(before.as_bytes())?;
    if args.json {
        // One line each time, so that programs can read a stream.
        let in_one_line = args.watch.is_some();
        overview.write_json(&mut out, in_one_line)?;
    } else {
        overview.write_text(&mut out)?;
    }
    out.flush()?;
    Ok(Outcome::of(overview.is_well()))
}
