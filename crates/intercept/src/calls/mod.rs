//! The system calls that stop, one file for each family.
//!
//! Each handler judges one call of one thread. It may look at the program's memory and at the kernel's objects behind its
//! descriptors, and it never blocks. The idea is that of a gate: a call that cannot block now is let through to the
//! kernel; one that would block waits here, and is judged again when something has happened. So pipes, event counters,
//! epoll and much else need no model of their own. Only what would tell the time, give randomness or leave the host is
//! answered here.

pub mod changes;
pub mod descriptors;
pub mod files;
pub mod futex;
pub mod identity;
pub mod limits;
pub mod proc;
pub mod processes;
pub mod random;
pub mod ready;
pub mod signals;
pub mod sockets;
pub mod threads;
pub mod time;
pub mod timers;
pub mod transfer;

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;

use crate::host::Host;
use crate::journal;
use crate::obstacle::What;
use crate::process::{Interest, Process};
use crate::socket::Socket;
use crate::table::{self, Rule};
use crate::thread::{Cause, ThreadKey, Woken};
use crate::tracee::{Address, Fault, Registers, Tid};

/// Judges a call.
pub type Handler = fn(&mut Call<'_>) -> Answer;

/// What becomes of a call, or the error that it fails with.
pub type Answer = Result<Outcome, Errno>;

/// A number of errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// What becomes of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The kernel makes it, or has made it already.
    Proceed,
    /// It is not made, and returns this.
    Return(i64),
    /// It waits, and is judged again then.
    Wait {
        /// What it waits for.
        on: Cause,
        /// How long at most: a time of the host's clock.
        deadline: Option<u64>,
        /// Whether it is only slowed down, because it looks for something again and again.
        nap: bool,
    },
    /// Other threads have their turn first. It returns 0 then.
    Yield,
    /// The thread ends, and the kernel tells of that only with the end of its process.
    Leave,
    /// It cannot be simulated.
    Refuse(Box<What>),
}

/// A call that is judged.
pub struct Call<'h> {
    /// The host.
    pub host: &'h mut Host,
    /// The thread that makes the call.
    pub key: ThreadKey,
    /// The number of the call.
    pub number: u64,
    /// Its arguments.
    pub args: [u64; 6],
    /// Whether it has waited.
    pub woken: Woken,
    /// When its wait would have ended.
    pub deadline: Option<u64>,
}

impl From<Fault> for Errno {
    fn from(Fault: Fault) -> Errno {
        Errno(libc::EFAULT)
    }
}

/// What a handler returns that has nothing more to say.
pub const DONE: Answer = Ok(Outcome::Return(0));

/// A call that is made as it is.
pub const PROCEED: Answer = Ok(Outcome::Proceed);

/// A call that fails.
pub fn fail(errno: i32) -> Answer {
    Err(Errno(errno))
}

/// A call that returns a number.
pub fn returns(value: impl TryInto<i64>) -> Answer {
    Ok(Outcome::Return(value.try_into().unwrap_or(i64::MAX)))
}

/// A call that cannot be simulated.
pub fn refuse(what: What) -> Answer {
    Ok(Outcome::Refuse(Box::new(what)))
}

impl Call<'_> {
    /// Judges the call that a thread has stopped for.
    pub fn judge(host: &mut Host, key: ThreadKey, woken: Woken) -> Outcome {
        let thread = host.thread(key);
        let Some(registers) = thread.registers else { return Outcome::Proceed };
        let deadline = std::mem::take(&mut thread.deadline_before);
        let number = registers.orig_rax;
        if registers.cs != USER_CODE || number >= X32 {
            return Outcome::Refuse(Box::new(What::Foreign));
        }
        let args = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
        if woken == Woken::Fresh && !time::is_clock_call(number) {
            host.reset_clock_cost(key);
        }
        let mut call = Call { host, key, number, args, woken, deadline };
        let answer = match table::rule(number) {
            Rule::Free => PROCEED,
            Rule::Asked(handler) => handler(&mut call),
            Rule::Fails(errno) => fail(errno),
            Rule::Refused(advice) => refuse(call.unsupported(advice)),
        };
        answer.unwrap_or_else(|Errno(errno)| Outcome::Return(-i64::from(errno)))
    }

    /// That this call is not supported, with its arguments.
    pub fn unsupported(&self, advice: &str) -> What {
        let thread = &self.host.threads[self.key.0];
        let call = match &thread.registers {
            Some(registers) => journal::describe(thread.tid, registers),
            None => table::name(self.number),
        };
        What::Call { call, advice: advice.to_owned() }
    }

    /// The thread.
    pub fn tid(&self) -> Tid {
        self.host.threads[self.key.0].tid
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        self.host.process_of(self.key)
    }

    /// An argument that is a number of 32 bits.
    pub fn int(&self, place: usize) -> i32 {
        self.args[place] as i32
    }

    /// An argument that is a descriptor.
    pub fn fd(&self, place: usize) -> RawFd {
        self.int(place)
    }

    /// The time on the host's clock.
    pub fn now(&self) -> u64 {
        self.host.clock
    }

    /// The call takes time, unless it is judged again.
    pub fn spend(&mut self, nanoseconds: u64) {
        if self.woken == Woken::Fresh {
            self.host.spend(nanoseconds);
        }
    }

    /// The virtual socket behind a descriptor.
    pub fn socket(&mut self, fd: RawFd) -> Option<Rc<RefCell<Socket>>> {
        self.process().descriptors.sockets.get(&fd).cloned()
    }

    /// Lets the kernel make the call, and returns what it returned. The call is over then: its answer is
    /// [`Outcome::Proceed`].
    pub fn complete(&mut self) -> Result<i64, Errno> {
        if !self.host.run_to_edge(self.key) {
            return Ok(-i64::from(libc::EINTR));
        }
        let result = self.tid().registers()?.rax as i64;
        self.host.thread(self.key).result = Some(result);
        Ok(result)
    }

    /// Has the kernel make another call in place of this one.
    pub fn replace(&mut self, number: i64, args: [u64; 2]) -> Result<(), Errno> {
        let thread = self.host.thread(self.key);
        let Some(mut registers) = thread.registers else { return Err(Errno(libc::EFAULT)) };
        registers.orig_rax = number as u64;
        [registers.rdi, registers.rsi] = args;
        thread.registers = Some(registers);
        Ok(thread.tid.set_registers(&registers)?)
    }

    /// Makes a completed call again after some time, with the argument that was changed as it was.
    pub fn repeat(&mut self, place: usize, argument: u64, after: u64) -> Answer {
        let tid = self.tid();
        let mut registers = tid.registers()?;
        // The instruction `syscall` has two bytes.
        registers.rip -= 2;
        registers.rax = self.number;
        *argument_of(&mut registers, place) = argument;
        tid.set_registers(&registers)?;
        // Nothing is judged when its time is over: the call is made anew.
        self.host.thread(self.key).registers = None;
        Ok(Outcome::Wait { on: Cause::Nothing, deadline: Some(self.now() + after), nap: false })
    }

    /// Changes what a completed call has returned.
    pub fn set_result(&mut self, value: i64) -> Result<(), Errno> {
        let tid = self.tid();
        let mut registers = tid.registers()?;
        registers.rax = value as u64;
        self.host.thread(self.key).result = Some(value);
        Ok(tid.set_registers(&registers)?)
    }

    /// Changes an argument before the kernel makes the call.
    pub fn set_arg(&mut self, place: usize, value: u64) -> Result<(), Errno> {
        self.args[place] = value;
        let thread = self.host.thread(self.key);
        let Some(mut registers) = thread.registers else { return Err(Errno(libc::EFAULT)) };
        *argument_of(&mut registers, place) = value;
        thread.registers = Some(registers);
        Ok(thread.tid.set_registers(&registers)?)
    }

    /// It waits until something can be done with these descriptors of the tracer's own.
    pub fn wait_ready(&self, events: Vec<Interest>, deadline: Option<u64>) -> Answer {
        Ok(Outcome::Wait { on: Cause::Ready(events), deadline, nap: false })
    }

    /// It looked for something in vain and does not want to wait. A thread that does so again and again is slowed down
    /// until something happens, or for a while; otherwise the answer is `at_once`.
    pub fn look_in_vain(&mut self, on: Cause, at_once: Answer) -> Answer {
        if self.woken == Woken::TimedOut {
            return at_once;
        }
        match self.host.thread(self.key).poller.look_in_vain() {
            Some(nap) => Ok(Outcome::Wait { on, deadline: Some(self.now() + nap), nap: true }),
            None => at_once,
        }
    }

    /// It has achieved something.
    pub fn succeed(&mut self) {
        self.host.progress += 1;
        self.host.thread(self.key).poller.succeed();
    }

    /// How long `struct timespec` says, in nanoseconds; none if there is no structure, which means for ever.
    pub fn timespec(&self, address: Address) -> Result<Option<u64>, Errno> {
        self.time_at(address, 1)
    }

    /// The same of `struct timeval`.
    pub fn timeval(&self, address: Address) -> Result<Option<u64>, Errno> {
        self.time_at(address, 1_000)
    }

    fn time_at(&self, address: Address, unit: u64) -> Result<Option<u64>, Errno> {
        if address == 0 {
            return Ok(None);
        }
        let [seconds, parts] = self.tid().read_words(address)?;
        if (seconds as i64) < 0 || parts >= 1_000_000_000 / unit {
            return Err(Errno(libc::EINVAL));
        }
        Ok(Some(seconds.saturating_mul(1_000_000_000).saturating_add(parts * unit)))
    }

    /// When a wait of this length ends that begins now; if it has begun before, when it was to end then.
    pub fn deadline_after(&self, span: Option<u64>) -> Option<u64> {
        if self.woken == Woken::Fresh { span.map(|span| self.now().saturating_add(span)) } else { self.deadline }
    }
}

/// The register that holds an argument of a system call.
fn argument_of(registers: &mut Registers, place: usize) -> &mut u64 {
    match place {
        0 => &mut registers.rdi,
        1 => &mut registers.rsi,
        2 => &mut registers.rdx,
        3 => &mut registers.r10,
        4 => &mut registers.r8,
        _ => &mut registers.r9,
    }
}

/// The code segment of 64-bit programs (arch/x86/include/asm/segment.h).
const USER_CODE: u64 = 0x33;

/// Calls of the x32 ABI have this bit in their numbers.
const X32: u64 = 0x4000_0000;
