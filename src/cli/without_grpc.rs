//! What stands for the commands of the gRPC cluster in a program that was built without it.

use std::ffi::OsString;

use clap::Subcommand;

/// Commands that are known and not there. The help says what they need.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Change how likely the servers of a gRPC cluster are to lose each other's messages (needs a build with --features grpc)
    Chaos(Anything),
    /// Run a gRPC cluster on this machine (needs a build with --features grpc)
    Cluster(Anything),
    /// Get and put keys of a gRPC cluster, and measure it (needs a build with --features grpc)
    Kv(Anything),
    /// Run one server of a gRPC cluster (needs a build with --features grpc)
    Serve(Anything),
    /// Show who leads a gRPC cluster (needs a build with --features grpc)
    Status(Anything),
}

/// Arguments that nobody looks at.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    _arguments: Vec<OsString>,
}
