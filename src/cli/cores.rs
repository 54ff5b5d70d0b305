//! How many cores a command uses.

use super::error::CliError;

/// How many cores a command uses.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Cores {
    /// How many runs go on at a time; as many as there are cores if it is not given
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

impl Cores {
    /// From now on, whatever the process does in parallel uses this many cores.
    pub fn use_them(self) -> Result<(), CliError> {
        let threads = self.jobs.map_or(0, usize::from);
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(CliError::Threads)
    }
}
