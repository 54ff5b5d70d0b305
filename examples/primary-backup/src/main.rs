//! The whole command line of seedbed, for this protocol.

use std::process::ExitCode;

use primary_backup::PrimaryBackup;

fn main() -> ExitCode {
    seedbed::cli::run_with([seedbed::subject(PrimaryBackup::default())])
}
