//! What stands for the commands of the gRPC cluster in a program that was built without it.

use std::ffi::OsString;

use clap::Subcommand;

/// Commands that are known and not there. No help names them.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(hide = true)]
    Chaos(Anything),
    #[command(hide = true)]
    Cluster(Anything),
    #[command(hide = true)]
    Kv(Anything),
    #[command(hide = true)]
    Serve(Anything),
    #[command(hide = true)]
    Status(Anything),
}

/// Arguments that nobody looks at.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    _arguments: Vec<OsString>,
}
