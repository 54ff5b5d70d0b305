//! The whole command line of seedbed, for this protocol.

use std::process::ExitCode;

use lease_lock::LeaseLock;

fn main() -> ExitCode {
    seedbed::cli::run_with([seedbed::subject(LeaseLock::default())])
}
