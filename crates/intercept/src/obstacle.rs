//! What cannot be simulated, in words.

use std::fmt;

/// Why a host's programs cannot be simulated any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", self.place)]
pub struct Obstacle {
    /// What did it.
    pub place: Place,
    /// What it did, and what to do about it.
    pub what: What,
}

/// Which thread of which program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The program's file.
    pub program: String,
    /// Its process and its thread, by the numbers that the program sees.
    pub process: i32,
    /// As `process`.
    pub thread: i32,
}

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum What {
    /// A system call that is not supported.
    #[error("{call} is not supported in virtual time: {advice}")]
    Call {
        /// The call with its arguments.
        call: String,
        /// What to do.
        advice: String,
    },
    /// It computes without end and without a system call, so no virtual time passes.
    #[error(
        "it computed for {seconds} s without a system call, so no virtual time passed: it may wait for a variable to change; \
         use a lock, a condition or a short sleep"
    )]
    Spin {
        /// How long it was watched.
        seconds: u64,
    },
    /// A call blocks for real.
    #[error("{call} has not returned for {seconds} s of real time: it waits for something outside the simulation")]
    Blocked {
        /// The call.
        call: String,
        /// How long it was watched.
        seconds: u64,
    },
    /// It makes calls without end while time stands still.
    #[error("it made {calls} system calls within one second of virtual time, most of them {busiest}")]
    Storm {
        /// How many.
        calls: u64,
        /// The most frequent ones.
        busiest: String,
    },
    /// It makes more threads or processes than are allowed.
    #[error("it has {most} threads or processes, and makes one more; allowed are {most}")]
    Crowd {
        /// How many are allowed.
        most: usize,
    },
    /// It stops itself, or is stopped, by a signal.
    #[error("it stops a process by signal {signal}, and nothing here lets it go on")]
    Stopped {
        /// The signal.
        signal: i32,
    },
    /// It is a program of another kind of machine.
    #[error("it makes system calls for another kind of processor: only 64-bit programs can be simulated")]
    Foreign,
    /// The tracer lost sight of it.
    #[error("the system does not let it be watched any longer: {0}")]
    Lost(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {}", self.program, self.process)?;
        if self.thread != self.process {
            write!(f, ", thread {}", self.thread)?;
        }
        f.write_str(")")
    }
}
