//! Unmodified programs in virtual time.
//!
//! A [`Host`] runs a program, in any language, with all its threads and child processes. To the program it looks like a
//! Linux machine with one processor and a UDP network. In truth its clocks show the time that the caller hands in, its
//! randomness comes from a seed, and its datagrams go to the caller. So what it does is a function of the program, of the
//! seed and of the datagrams that it gets: it can be repeated to the bit.
//!
//! # How it works
//!
//! Linux lets one process hold another one (ptrace(2)), and lets it say which system calls are to stop
//! (seccomp(2), SECCOMP_RET_TRACE). A program can learn of the world outside its memory only by system calls, and by a few
//! instructions of the processor. Each call that could tell the time, give randomness, block or reach beyond the host
//! stops its thread before it begins; `table` lists what becomes of each. Of all threads of all hosts one runs at a time,
//! and it changes only where a thread stops. So neither the kernel's scheduler nor the load of the machine has a part in
//! what happens.
//!
//! - `table`, `filter`: which calls stop.
//! - `spawn`, `exec`: how a program is started, and what is changed in it before its first instruction.
//! - `stop`, `tracee`: waiting for threads, and reading and writing their registers and memory.
//! - `host`, `turn`, `life`: whose turn it is; what happens in it; how threads and processes come and go.
//! - `calls`: what becomes of each call, one file for each family.
//! - `socket`: UDP sockets without a network. `time_page`, `instructions`: clocks and randomness that need no call.
//! - `journal`: which calls were made, in words. `watchdog`: programs that never stop.
//!
//! The mechanism is that of Shadow, Hermit and rr in parts; what differs is said where it does.
//!
//! It needs Linux on x86-64. Elsewhere [`Kernel::new`] says so.

#![warn(missing_docs)]

mod launch;
mod model;
mod obstacle;
mod print;
mod random;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod calls;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod doctor;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod exec;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod filter;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod host;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod instructions;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod journal;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kernel;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod life;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod process;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod socket;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod spawn;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod stop;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod table;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod thread;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod time_page;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracee;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod turn;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod watchdog;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod elsewhere;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use doctor::examine;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub use elsewhere::{Host, Kernel, examine};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use host::Host;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use kernel::Kernel;
pub use launch::{CallLine, Check, Datagram, Ending, Launch, Setting, StartError, State};
pub use model::{Interleaving, MONOTONIC_START, TimeModel, Unsupported, WALL_START};
pub use obstacle::{Obstacle, Place, What};
pub use print::{Line, Output, Printer};
