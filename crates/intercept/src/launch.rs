//! What a host is started with, and what it hands out.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::model::{Interleaving, TimeModel, Unsupported};
use crate::obstacle::Obstacle;

/// A program with all that it is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its file.
    pub program: PathBuf,
    /// What it is told its own name is, and its arguments.
    pub arguments: Vec<OsString>,
    /// All variables of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The folder that it starts in.
    pub folder: PathBuf,
    /// The folder that it may write to: [`Host::written_outside`](crate::Host::written_outside) lists what it writes
    /// elsewhere.
    pub writable: PathBuf,
}

/// A program was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A path, an argument or a variable has a zero byte in it.
    #[error("{0:?} has a zero byte in it")]
    Zero(OsString),
    /// The system refuses one of the preparations.
    #[error("the system does not allow it {step}: {error}; `seedbed doctor` says more")]
    Refused {
        /// What it refuses: `to ...`.
        step: &'static str,
        /// Why.
        error: io::Error,
    },
    /// This machine is of another kind.
    #[error("programs can be simulated on Linux with an x86-64 processor only")]
    Elsewhere,
    /// There is no such program, or it cannot be run.
    #[error("{program} cannot be started: {error}")]
    Program {
        /// Its file.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// There is such a file, but what its first line names is missing.
    #[error("{program} cannot be started: its interpreter `{interpreter}`, named in its first line, is missing")]
    Interpreter {
        /// The program's file.
        program: String,
        /// The interpreter.
        interpreter: String,
    },
}

impl StartError {
    pub(crate) fn refused(step: &'static str) -> impl FnOnce(io::Error) -> StartError {
        move |error| StartError::Refused { step, error }
    }
}

/// What a host is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The seed of all its randomness.
    pub seed: u64,
    /// The number of its first process, as programs see it. Later processes and threads have the numbers that follow.
    pub first_id: i32,
    /// How much time things take.
    pub model: TimeModel,
    /// Which thread runs next.
    pub interleaving: Interleaving,
    /// What becomes of calls that cannot be simulated.
    pub unsupported: Unsupported,
}

/// A datagram that a program has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The port of its socket.
    pub from: u16,
    /// The port that it is for. All ports are on the loopback interface.
    pub to: u16,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// A system call that a program has made, or one that ends after it has waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLine {
    /// The time on its host's clock.
    pub time: u64,
    /// Process, call, arguments and result, as in `1000: openat(-100, "/etc/hosts", 0x80000) = 3`. A thread that is not
    /// the first of its process is named, too: `1000/1001`.
    pub text: String,
}

/// Whether a host's program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or waits.
    Running,
    /// Its first process has ended, and with it all others.
    Ended(Ending),
    /// It has done what cannot be simulated, and was ended.
    Stuck(Obstacle),
}

/// How a thread or a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Code(code) => write!(f, "exit code {code}"),
            Ending::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// One thing that simulating programs needs of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is: a noun, or `to ...`.
    pub what: &'static str,
    /// Why it is not there; none if it is.
    pub problem: Option<String>,
    /// What helps then.
    pub remedy: &'static str,
}
