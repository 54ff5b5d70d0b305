//! `seedbed kv`: a client of the store.

use std::io::{self, Read, Write};

use clap::Subcommand;

use super::bench;
use super::connection::{self, ConnectionArgs};
use crate::cli::error::CliError;
use crate::cli::{Outcome, output};
use crate::client::{Kv, Settings, Swap};
use crate::printable::printable;
use crate::rpc::VALUE_BYTES_MAX;

/// Store and fetch values in a gRPC cluster
///
/// Any server will do: it passes requests on to the leader, or names the leader. A server that does not answer is
/// passed over for another one, until --timeout is over. An update is carried out once, however often it has to be
/// sent.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  seedbed kv put name Ada              set a key
  seedbed kv get name                  print its value
  seedbed kv cas name Ada Grace        set it if it is still Ada
  seedbed kv get name --stale-reads    whatever the server that is asked happens to know
  seedbed kv put page - < page.html    a value from standard input, as it is
  seedbed kv bench --servers 10.0.0.1:7001,10.0.0.2:7001,10.0.0.3:7001 --rate 1000

Exit codes: 0 done, 1 the key has no value or another one than expected, 2 bad usage or not done.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the value of a key
    Get {
        /// The key, of 1 to 1,024 bytes
        key: String,
        /// Accept the value that the asked server happens to have, however old it is
        #[arg(long)]
        stale_reads: bool,
    },
    /// Set the value of a key
    Put {
        /// The key, of 1 to 1,024 bytes
        key: String,
        /// The value; `-` reads it from standard input, and an empty value removes the key
        #[arg(allow_negative_numbers = true)]
        value: String,
    },
    /// Remove a key
    Delete {
        /// The key; a missing key is not an error
        key: String,
    },
    /// Set the value of a key if it has the expected one (compare and swap)
    Cas {
        /// The key, of 1 to 1,024 bytes
        key: String,
        /// The value that the key must have; an empty one means no value
        #[arg(allow_negative_numbers = true)]
        expected: String,
        /// The new value; an empty one removes the key
        #[arg(allow_negative_numbers = true)]
        value: String,
    },
    Bench(Box<bench::Args>),
}

/// Carries out the command.
pub(in crate::cli) fn execute(args: Args) -> Result<Outcome, CliError> {
    let Args { connection, command } = args;
    match command {
        Command::Bench(args) => bench::execute(&connection, &args),
        command => connection::block_on(carry_out(&connection, command)),
    }
}

async fn carry_out(connection: &ConnectionArgs, command: Command) -> Result<Outcome, CliError> {
    let settings =
        Settings { timeout: connection.timeout(), try_timeout: connection.try_timeout(), ..Settings::default() };
    let mut kv = Kv::new(connection.servers().await?, settings)?;
    match command {
        Command::Get { key, stale_reads } => match kv.get(&key, stale_reads).await? {
            Some(value) => {
                let mut out = io::stdout().lock();
                writeln!(out, "{value}").and_then(|()| out.flush())?;
            }
            None => {
                output::note(&format!("`{}` has no value", printable(&key)));
                return Ok(Outcome::Incorrect);
            }
        },
        Command::Put { key, value } if value == "-" => kv.put(&key, &standard_input()?).await?,
        Command::Put { key, value } => kv.put(&key, &value).await?,
        Command::Delete { key } => kv.delete(&key).await?,
        Command::Cas { key, expected, value } => {
            if let Swap::Found(found) = kv.compare_and_swap(&key, &expected, &value).await? {
                let (key, found) = (printable(&key), printable(&found));
                let is = if found.is_empty() { "has no value".to_owned() } else { format!("is `{found}`") };
                output::note(&format!("`{key}` {is}; nothing has changed"));
                return Ok(Outcome::Incorrect);
            }
        }
        Command::Bench(_) => unreachable!("it has been carried out"),
    }
    Ok(Outcome::Correct)
}

/// The content of standard input, with a bound, because it may be endless.
fn standard_input() -> Result<String, CliError> {
    let refused = |source| CliError::Unreadable { path: "standard input".into(), source };
    let mut bytes = Vec::new();
    io::stdin().lock().take(VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() > VALUE_BYTES_MAX {
        let message = format!("is too long; allowed is a value of at most {VALUE_BYTES_MAX} bytes");
        return Err(refused(io::Error::new(io::ErrorKind::InvalidData, message)));
    }
    String::from_utf8(bytes)
        .map_err(|_| refused(io::Error::new(io::ErrorKind::InvalidData, "is no text; allowed is a value in UTF-8")))
}
