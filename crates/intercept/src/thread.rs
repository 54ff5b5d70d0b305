//! A thread of a simulated host: what it waits for, and what happens when its turn comes.

use crate::calls::processes::Children;
use crate::process::{Interest, ProcessKey};
use crate::tracee::{Address, Registers, Tid};

/// A thread of a host, by the order in which threads were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadKey(pub usize);

/// One thread.
#[derive(Debug)]
pub struct Thread {
    /// The kernel's number.
    pub tid: Tid,
    /// The number that programs see.
    pub shown: i32,
    /// Its process.
    pub process: ProcessKey,
    /// What happens when its turn comes.
    pub next: Next,
    /// Its registers as it stopped for the call that it is in.
    pub registers: Option<Registers>,
    /// What its call has returned, if that is known already.
    pub result: Option<i64>,
    /// What it waits for, if it does.
    pub wait: Option<Wait>,
    /// Where the rest of its sleep is written if a signal ends that.
    pub rest_of_sleep: Option<Address>,
    /// When the wait of its call would have ended, while that is judged again.
    pub deadline_before: Option<u64>,
    /// What it waited for before a signal came.
    pub interrupted: Option<Wait>,
    /// What is blocked while its call waits, if it said so (ppoll(2) and others).
    pub mask: Option<u64>,
    /// How many bytes its call has written so far, if that waits for room for the rest.
    pub written: usize,
    /// Whether it has ended.
    pub gone: bool,
    /// Where the kernel writes 0 when it ends (CLONE_CHILD_CLEARTID).
    pub clear_tid: Address,
    /// What it asked for when it last made a thread or a process.
    pub offspring: Offspring,
    /// How many calls it has made since another thread ran.
    pub turns: u32,
    /// How patient it is.
    pub poller: Poller,
}

/// What happens to a stopped thread when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on, with the call that it stopped for if there is one.
    Continue,
    /// Its call is not made, and returns this.
    Return(i64),
    /// Its call is interrupted by a signal. The kernel decides what comes of it by this code: an ERESTART number.
    Interrupt(i64),
    /// It has made a process and waited for it. Its call returns the number of that.
    ReturnFromVfork(i32),
    /// Its call is judged, for the first time or again.
    Judge(Woken),
}

/// Why a call that waited is judged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// It did not wait.
    Fresh,
    /// What it waited for may have come.
    Perhaps,
    /// Its time is over.
    TimedOut,
}

/// What a call waits for.
#[derive(Clone, Debug)]
pub struct Wait {
    /// What ends it.
    pub on: Cause,
    /// When it ends at the latest.
    pub deadline: Option<u64>,
    /// Its entry among the host's alarms.
    pub alarm: Option<(u64, u64)>,
    /// A poller that found nothing is made to sleep for a while, although it did not ask for it.
    pub nap: bool,
    /// How much the host's threads had achieved when it began.
    pub progress: u64,
}

/// What ends a wait, besides its deadline and signals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing.
    Nothing,
    /// One of these descriptors of the tracer's own has one of these events.
    Ready(Vec<Interest>),
    /// A wake-up of its futex.
    Futex,
    /// The end of one of these children.
    Child(Children),
    /// The child of a vfork runs another program, or has ended.
    Offspring,
    /// A signal that is not in this mask.
    Signal {
        /// The mask of blocked signals while it waits.
        blocked: u64,
        /// It is taken, and no handler runs (sigtimedwait(2)).
        takes: bool,
    },
}

/// What a thread asked for when it made another one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offspring {
    /// The flags of clone(2).
    pub flags: u64,
    /// Where the number of the new thread is written in its maker's memory.
    pub parent_tid: Address,
    /// The same in the new thread's memory; the kernel clears it when that ends.
    pub child_tid: Address,
}

/// How often a thread has looked for something in vain, one time after another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Poller {
    /// How often.
    pub vain: u32,
    /// How often it has read the clock since its call before.
    pub clock_reads: u64,
    /// How many clock calls it has made one after another.
    pub clock_calls: u32,
}

/// A poller that reads the clock is slowed down after this many looks in vain.
const PATIENCE: u32 = 12;

/// One that does not is slowed down after this many: no time passes for it.
const BLIND_PATIENCE: u32 = 2;

/// How long a poller sleeps that does not read the clock, if nothing wakes it.
const BLIND_NAP: u64 = 20_000_000;

const NAP_MIN: u64 = 20_000;
const NAP_MAX: u64 = 1_000_000;

impl Poller {
    /// Another look in vain. Returns how long the thread should sleep now, if at all. A datagram wakes it at once, so it
    /// is not later for that.
    pub fn look_in_vain(&mut self) -> Option<u64> {
        self.vain += 1;
        if self.clock_reads == 0 && self.vain > BLIND_PATIENCE {
            return Some(BLIND_NAP);
        }
        let beyond = self.vain.checked_sub(PATIENCE + 1)?;
        Some((NAP_MIN << (beyond / 2).min(6)).min(NAP_MAX))
    }

    /// It found something.
    pub fn succeed(&mut self) {
        self.vain = 0;
    }
}

impl Thread {
    /// A thread that has just been made, and goes on when its turn comes.
    pub fn new(tid: Tid, shown: i32, process: ProcessKey) -> Thread {
        Thread {
            tid,
            shown,
            process,
            next: Next::Continue,
            registers: None,
            result: None,
            wait: None,
            rest_of_sleep: None,
            deadline_before: None,
            interrupted: None,
            mask: None,
            written: 0,
            gone: false,
            clear_tid: 0,
            offspring: Offspring::default(),
            turns: 0,
            poller: Poller::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poller_is_slowed_down_step_by_step_and_sooner_if_it_never_looks_at_the_clock() {
        let naps = |clock_reads| {
            let mut poller = Poller { clock_reads, ..Poller::default() };
            (0..40).map(move |_| poller.look_in_vain()).collect::<Vec<_>>()
        };
        let seeing = naps(1);
        assert_eq!(seeing[..12], [None; 12]);
        assert_eq!(seeing[12..16], [Some(20_000), Some(20_000), Some(40_000), Some(40_000)]);
        assert_eq!(seeing[39], Some(1_000_000));
        let blind = naps(0);
        assert_eq!(blind[..3], [None, None, Some(20_000_000)]);
        let mut poller = Poller { vain: 30, ..Poller::default() };
        poller.succeed();
        assert_eq!(poller.look_in_vain(), None);
    }
}
