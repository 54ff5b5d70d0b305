//! The common part of worlds of real processes: the processes themselves, their output, and early ends of a run.

mod complaints;
mod console;
mod group;
mod interrupt;
mod orphans;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::id::ReplicaId;
use crate::printable::printable;
use crate::record::World;
use crate::scenario::{Scenario, Unplayable};
use crate::time::Time;

pub(crate) use complaints::Complaints;
pub(crate) use console::Console;
pub(crate) use console::Teller;
pub use group::describe_end;
pub(crate) use group::{Outputs, Processes};
pub use interrupt::{Hold, Interrupt, is_ignored};

/// Watches a run in progress. All calls come from one thread, and no other thread waits for it.
pub trait Spectator: Send + Sync {
    /// The run has reached this time.
    fn progress(&self, now: Time);
    /// A replica printed a line, on standard output or standard error.
    fn printed(&self, now: Time, replica: ReplicaId, line: &str);
    /// There is a complaint about a replica.
    fn complaint(&self, now: Time, replica: ReplicaId, complaint: &str);
}

/// Advice if a program does not start, after a semicolon.
fn advice(program: &Path, source: &io::Error) -> &'static str {
    /// The system's error for a file that is neither a program nor begins with `#!`.
    const ENOEXEC: i32 = 8;
    let has_arguments = program.to_string_lossy().contains(' ');
    match (source.kind(), source.raw_os_error()) {
        (io::ErrorKind::NotFound, _) if has_arguments => {
            "; PROGRAM is one file without arguments: write a script that runs the rest with \"$@\" at its end"
        }
        (io::ErrorKind::NotFound, _) if program.exists() && has_carriage_return(program) => {
            "; its #! line ends in CR LF, as Windows writes it, so the interpreter's name ends in CR: save it with LF"
        }
        (io::ErrorKind::NotFound, _) if program.exists() => {
            "; the file is there, but not the interpreter that its #! line names"
        }
        (io::ErrorKind::PermissionDenied, _) if program.is_file() => "; chmod +x makes a file executable",
        (_, Some(ENOEXEC)) => "; has it a #! line? A script needs a first line like #!/usr/bin/env python3",
        _ => "",
    }
}

/// Whether the first line of a script ends in CR LF.
fn has_carriage_return(program: &Path) -> bool {
    let mut start = Vec::new();
    let read = std::fs::File::open(program).and_then(|file| file.take(1024).read_to_end(&mut start));
    let first = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    read.is_ok() && start.starts_with(b"#!") && first.ends_with(b"\r")
}

/// Why a scenario could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The program does not start.
    #[error("{}: cannot be started as a replica: {source}{}", printable(&program.to_string_lossy()), advice(program, source))]
    Program {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system refuses a resource that a run needs: sockets, or waiting for them.
    #[error("a run of processes needs {what}: {source}")]
    System {
        /// What the run needs.
        what: &'static str,
        /// Why it is refused.
        source: io::Error,
    },
    /// The scenario needs a feature that this world lacks.
    #[error("{scenario}: {what}")]
    Unplayable {
        /// The scenario.
        scenario: String,
        /// The feature.
        what: Unplayable,
    },
    /// A port is taken.
    #[cfg(feature = "grpc")]
    #[error("cannot listen{}: {source}", address.as_ref().map(|address| format!(" at {address}")).unwrap_or_default())]
    Port {
        /// Where.
        address: Option<crate::rpc::ServerAddress>,
        /// Why.
        source: io::Error,
    },
    /// The folder for the servers' data cannot be made.
    #[cfg(feature = "grpc")]
    #[error("--data {}: cannot be made: {source}", printable(&folder.to_string_lossy()))]
    Data {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The servers of a cluster do not come up.
    #[error("the cluster did not come up: {0}")]
    NoCluster(String),
    /// The run was interrupted by a signal.
    #[error("interrupted")]
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
    /// The run was ended because another one failed.
    #[error("another run failed")]
    Cancelled,
}

impl PlayError {
    /// Refuses a scenario that this world cannot play.
    pub(in crate::world) fn refuse_unplayable(scenario: &Scenario, world: World) -> Result<(), PlayError> {
        let refuse = |what| Err(PlayError::Unplayable { scenario: scenario.name.clone(), what });
        scenario.unplayable(world).map_or(Ok(()), refuse)
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> PlayError {
        move |source| PlayError::System { what, source }
    }
}

/// Checks that a program can be executed.
///
/// # Errors
/// If there is no such file, it is not a file, or it may not be executed.
pub(crate) fn check_executable(program: &Path) -> io::Result<()> {
    let file = fs::metadata(program)?;
    if !file.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    if file.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::other("it is not executable"));
    }
    Ok(())
}

/// The environment variables that programs inherit from this process: those by which interpreters and runtimes are found.
/// Others may hold secrets.
const INHERITED: [&str; 4] = ["PATH", "HOME", "USER", "LOGNAME"];

/// What programs inherit of this process's environment, and the language, which is fixed.
#[expect(clippy::disallowed_methods, reason = "programs do not start without a PATH")]
pub(crate) fn usual_environment() -> impl Iterator<Item = (OsString, OsString)> {
    let inherited = INHERITED.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    [("LANG".into(), "C.UTF-8".into())].into_iter().chain(inherited)
}
