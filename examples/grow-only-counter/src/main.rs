//! The whole command line of seedbed, for this protocol.

use std::process::ExitCode;

use grow_only_counter::GrowOnlyCounter;

fn main() -> ExitCode {
    seedbed::cli::run_with([seedbed::subject(GrowOnlyCounter::default())])
}
