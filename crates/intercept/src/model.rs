//! How much time what a program does takes.

/// How much virtual time a host's programs spend, in nanoseconds.
///
/// A host has one virtual processor, which its threads share. Computing costs nothing; what costs is listed here. So a
/// program's time is a function of what it does, not of the machine that it is simulated on. It says nothing about how
/// fast the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeModel {
    /// A host that had nothing to do needs this long before a thread runs: the least and the most, drawn evenly.
    pub wake: (u64, u64),
    /// Sending a datagram.
    pub send: u64,
    /// Receiving one, or finding that there is none.
    pub receive: u64,
    /// Asking which descriptors are ready.
    pub poll: u64,
    /// Reading a clock.
    pub clock: u64,
    /// Any other call that stops.
    pub call: u64,
}

/// The figures of a small server, as a prototype used them.
impl Default for TimeModel {
    fn default() -> TimeModel {
        TimeModel { wake: (10_000, 40_000), send: 3_000, receive: 2_000, poll: 1_000, clock: 50, call: 0 }
    }
}

/// Which of the threads of a host that could run runs next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interleaving {
    /// The one that has waited longest; it runs until it waits, or has made some hundred calls.
    #[default]
    Fifo,
    /// A drawn one, which runs for a drawn number of calls: finds races. The seed repeats it.
    Drawn,
}

/// What becomes of a system call that is not supported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsupported {
    /// The program can be simulated no further ([`State::Stuck`](crate::State::Stuck)).
    #[default]
    Ends,
    /// It fails as a call does that the kernel does not know, with ENOSYS. The first of each kind is noted
    /// ([`Host::unsupported`](crate::Host::unsupported)): from then on the program may do what it never does outside.
    Fails,
}

/// When a host's first moment is on its wall clock: 14 November 2023, 22:13:20 UTC, in nanoseconds since 1970.
pub const WALL_START: u64 = 1_700_000_000_000_000_000;

/// What its monotonic clock shows then.
pub const MONOTONIC_START: u64 = 1_000_000_000_000;
