//! `--trace`: the events of a run, written to a file during the run.

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::error::CliError;
use super::output::{self, OutputFile, Stdout};
use crate::record::RunRecord;
use crate::report::trace::{Heading, TraceWriter};

/// Whether and where the events of a run are written.
#[derive(Debug, clap::Args)]
pub(super) struct TraceArgs {
    /// Write every event of the run as a line of JSON; `-` is standard output, in place of the text
    ///
    /// Only for a single scenario. docs/output.md lists all fields.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Leave heartbeats, and the answers to them, out of the trace
    #[arg(long, requires = "trace")]
    no_heartbeats: bool,

    /// Put the system calls of simulated programs into the trace, too
    ///
    /// Each that stops in the simulation, with its arguments and its result, much as strace shows them. The run stays the
    /// same, and so does its hash.
    #[arg(long, requires = "trace")]
    trace_calls: bool,
}

/// The destination of a trace.
#[derive(Debug)]
pub(super) struct TraceFile {
    file: OutputFile,
    heartbeats: bool,
}

impl TraceArgs {
    /// Checks the file, if a trace is asked for; its content stays until the run is over. Refuses, as
    /// [`Exports::open`](super::output::Exports::open) does, a path that would destroy `inputs` or another output.
    pub fn open(&self, outputs: Vec<(&'static str, &Path)>, inputs: &[&Path]) -> Result<Option<TraceFile>, CliError> {
        let Some(path) = &self.trace else { return Ok(None) };
        let mut outputs = outputs;
        outputs.push(("--trace", path));
        output::check(&outputs, inputs)?;
        Ok(Some(TraceFile { file: OutputFile::open(path)?, heartbeats: !self.no_heartbeats }))
    }

    /// Whether heartbeats are left out.
    pub fn leaves_heartbeats_out(&self) -> bool {
        self.no_heartbeats
    }

    /// Whether system calls are in the trace.
    pub fn tells_calls(&self) -> bool {
        self.trace_calls
    }

    /// Whether a trace is asked for.
    pub fn is_wanted(&self) -> bool {
        self.trace.is_some()
    }
}

impl TraceFile {
    /// Whether standard output is free for text.
    pub fn leaves_stdout(&self) -> bool {
        !self.file.is_stdout()
    }

    /// Runs a function and writes its trace, in pieces of `buffer` bytes. A run without a record, because it panicked,
    /// has a trace without an end. The run is worth reporting even if the trace could not be written.
    pub fn write<T>(
        self,
        heading: &Heading<'_>,
        stdout: &mut Stdout,
        buffer: usize,
        run: impl FnOnce(&mut TraceWriter<'_>) -> Result<(T, Option<RunRecord>), CliError>,
    ) -> Result<(T, Result<(), CliError>), CliError> {
        let mut writing = self.file.begin(stdout)?;
        let mut buffered = BufWriter::with_capacity(buffer, &mut writing);
        let mut writer = TraceWriter::new(&mut buffered, heading, self.heartbeats);
        let (result, record) = run(&mut writer)?;
        let written = record.map_or(Ok(()), |record| writer.finish(&record));
        drop(buffered);
        let written = writing.finish(written);
        Ok((result, written))
    }
}
