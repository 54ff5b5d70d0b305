//! Programs of a user, unmodified, in virtual time.
//!
//! A [`Program`] is a file that speaks the course's protocol, in any language. Its processes run for real, but their clocks,
//! their randomness, their network and the order of their threads come from the simulation (package
//! `seedbed-intercept`). So a run is a pure function of program, scenario and seed, as a run of machines is. Each run has
//! a copy of the program's folder ([`Scratch`]); what it changes there is gone afterwards.

mod files;
mod scratch;
mod station;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::processes::{check_executable, usual_environment};

pub use files::{Extent, Files};
pub use scratch::Scratch;
pub use seedbed_intercept::{Unsupported, examine};
pub use station::{Premises, ProgramStation};

/// A user's program, as it was when it was opened: its files are read once, so all runs of a command play the same one.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    files: Arc<Files>,
    /// Variables of the environment besides the usual ones.
    further: Vec<(OsString, OsString)>,
    unsupported: Unsupported,
    tells_calls: bool,
}

/// A program cannot be simulated.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", program.display())]
pub struct ProgramError {
    /// Its file.
    program: PathBuf,
    /// Why.
    source: io::Error,
}

/// Environment variables with a fixed value, beside the usual ones: no compiled files beside sources; and no random
/// instructions of the processor in OpenSSL, because nothing could answer them.
const FIXED: [(&str, &str); 4] = [
    // Not the zone of this machine.
    ("TZ", "UTC"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("OPENSSL_ia32cap", "~0x4000000000000000:~0x40000"),
    // It cannot look for leaks in a process that is traced.
    ("LSAN_OPTIONS", "detect_leaks=0"),
];

impl Program {
    /// The program of this file. Its folder is read, too ([`Files::of`]).
    ///
    /// # Errors
    /// If there is no such file, it cannot be executed, or its folder cannot be read.
    pub fn open(path: &Path) -> Result<Program, ProgramError> {
        let error = |source| ProgramError { program: path.to_owned(), source };
        check_executable(path).map_err(error)?;
        let files = Files::of(path).map_err(error)?;
        Ok(Program {
            path: path.to_owned(),
            files: Arc::new(files),
            further: Vec::new(),
            unsupported: Unsupported::Ends,
            tells_calls: false,
        })
    }

    /// With one more variable in its environment.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Program {
        self.further.push((name.into(), value.into()));
        self
    }

    /// With other consequences of system calls that cannot be simulated: they end the run unless this says something else.
    #[must_use]
    pub fn with_unsupported(self, unsupported: Unsupported) -> Program {
        Program { unsupported, ..self }
    }

    /// Its runs tell of system calls, too ([`Event::Called`](crate::record::Event::Called)). They are the same runs.
    #[must_use]
    pub fn telling_calls(self) -> Program {
        Program { tells_calls: true, ..self }
    }

    /// What becomes of system calls that cannot be simulated.
    pub fn unsupported(&self) -> Unsupported {
        self.unsupported
    }

    /// Its file, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The variables that were added to its environment.
    pub fn further(&self) -> &[(OsString, OsString)] {
        &self.further
    }

    /// All variables of its environment. `temporary` is the folder for temporary files.
    fn environment(&self, temporary: &Path) -> Vec<(OsString, OsString)> {
        let fixed = FIXED.into_iter().map(|(name, value)| (name.into(), value.into()));
        let temporary = [("TMPDIR".into(), temporary.into())];
        usual_environment().chain(fixed).chain(temporary).chain(self.further.iter().cloned()).collect()
    }
}
