//! `--trace`: the events of a run, written to a file while it goes on.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::cast::{Booking, Cast};
use super::error::CliError;
use super::output::{self, ExportArgs, Stdout};
use super::selection::Selected;
use crate::report::RunSummary;
use crate::report::trace::{Heading, TraceWriter};

/// Whether and where the events of a run are written.
#[derive(Debug, clap::Args)]
pub(super) struct TraceArgs {
    /// Write every event of the run as a line of JSON; `-` is standard output, in place of the text
    ///
    /// Only for a single scenario in the virtual world. docs/output.md lists all fields.
    #[arg(long, value_name = "FILE", conflicts_with = "replica")]
    trace: Option<PathBuf>,

    /// Leave heartbeats, and the answers to them, out of the trace
    #[arg(long, requires = "trace")]
    no_heartbeats: bool,
}

/// A trace that is to be written.
#[derive(Debug)]
pub(super) struct TraceFile {
    /// None is standard output.
    file: Option<(PathBuf, File)>,
    heartbeats: bool,
}

impl TraceFile {
    /// Creates the file, if a trace is asked for; what is in it stays until the run begins. Refuses what
    /// [`Exports::open`](super::output::Exports::open) does, and more than one scenario.
    pub fn open(args: &TraceArgs, exports: &ExportArgs, selected: &Selected) -> Result<Option<TraceFile>, CliError> {
        let Some(path) = &args.trace else { return Ok(None) };
        if selected.is_all() {
            return Err(CliError::TraceOfMany);
        }
        let mut options = exports.places();
        options.push(("--trace", path));
        output::check(&options, &selected.files())?;
        Ok(Some(TraceFile { file: output::create(path)?, heartbeats: !args.no_heartbeats }))
    }

    /// Whether standard output is free for people.
    pub fn leaves_stdout(&self) -> bool {
        self.file.is_some()
    }

    /// Plays a booking and writes its trace. The run is worth reporting even if the trace could not be written.
    pub fn play(
        self,
        cast: &Cast,
        booking: &Booking<'_>,
        stdout: &mut Stdout,
    ) -> Result<(RunSummary, Result<(), CliError>), CliError> {
        match self.file {
            None => {
                let (run, written) = play(cast, booking, stdout, self.heartbeats)?;
                Ok((run, written.map_err(CliError::Stdout)))
            }
            Some((path, file)) => {
                // Only regular files have a length.
                let _ = file.set_len(0);
                let (run, written) = play(cast, booking, BufWriter::new(file), self.heartbeats)?;
                Ok((run, written.map_err(|source| CliError::File { path, source })))
            }
        }
    }
}

/// Plays on this thread, since it is the one that may write to standard output.
fn play(
    cast: &Cast,
    booking: &Booking<'_>,
    out: impl Write,
    heartbeats: bool,
) -> Result<(RunSummary, io::Result<()>), CliError> {
    let &Booking { scenario, seed, ref command } = booking;
    let mut writer = TraceWriter::new(out, &Heading { scenario, seed, protocol: cast.name(), command }, heartbeats);
    let progress = cast.progress(std::slice::from_ref(booking));
    let (run, record) = cast.play_observed(booking, &progress, &mut writer)?;
    progress.clear();
    Ok((run, writer.finish(&record)))
}
