//! The whole command line of seedbed, for this protocol.

use std::process::ExitCode;

use chain_replication::Chain;

fn main() -> ExitCode {
    seedbed::cli::run_with([seedbed::subject(Chain::default())])
}
