//! A thread's turn: it runs, stops, and what it stopped for is judged.

use crate::calls::{Call, Outcome};
use crate::exec;
use crate::host::{Alarm, Host, is_stop_signal};
use crate::launch::State;
use crate::obstacle::What;
use crate::stop::Stop;
use crate::thread::{Cause, Next, ThreadKey, Wait, Woken};
use crate::time_page::READS_MAX;

/// After so much time on the host's clock another thread that is ready gets its turn.
const TURN_SPAN: u64 = 1_000_000;

/// While a thread does not wait, the others are looked at this often.
const LOOK_SPAN: u64 = 100_000;

/// The most calls of a host within one second of virtual time.
const CALLS_MAX: u64 = 1_000_000;

/// Becoming another program counts like this many calls, because most of what it does stops nowhere.
const CALLS_OF_EXEC: u64 = 200;

/// A clock read that stops costs this much, in nanoseconds.
const STOPPED_CLOCK_READ: u64 = 200;

/// The longest time that one clock read may cost.
const CLOCK_READ_MAX: u64 = 100_000;

impl Host {
    /// Lets a thread run until it waits, ends, or its turn is over.
    pub(crate) fn step(&mut self, key: ThreadKey) {
        if self.turn.is_none_or(|(before, _)| before != key) {
            self.turn = Some((key, self.clock + TURN_SPAN));
        }
        let next = std::mem::replace(&mut self.thread(key).next, Next::Continue);
        match next {
            Next::Continue => self.resume(key, 0),
            Next::Return(value) => self.answer(key, value),
            Next::Interrupt(code) => {
                if !self.interrupt(key, code) {
                    return;
                }
            }
            Next::ReturnFromVfork(shown) => self.return_number(key, shown),
            Next::Judge(woken) => {
                if !self.judge(key, woken) {
                    return;
                }
            }
        }
        while self.state == State::Running && !self.thread(key).gone {
            let stop = self.next_stop(key);
            self.charge_clock_reads(key);
            if !self.handle_stop(key, stop) {
                return;
            }
        }
    }

    /// Lets the thread run on with its call.
    pub(crate) fn resume(&mut self, key: ThreadKey, signal: i32) {
        self.page.set(self.clock);
        let tid = self.thread(key).tid;
        self.kernel.watch.begin(tid.0);
        tid.resume(signal);
    }

    /// Lets the thread run on as if its call had returned this.
    pub(crate) fn answer(&mut self, key: ThreadKey, value: i64) {
        let thread = self.thread(key);
        if let Some(mut registers) = thread.registers {
            registers.orig_rax = u64::MAX;
            registers.rax = value as u64;
            let _ = thread.tid.set_registers(&registers);
        }
        self.resume(key, 0);
    }

    /// Lets the thread run on as if a signal had interrupted its call. The kernel itself decides whether a handler runs
    /// and whether the call is made again: the code says what kind of call it is. Returns whether the thread runs on.
    pub(crate) fn interrupt(&mut self, key: ThreadKey, code: i64) -> bool {
        let before = self.thread(key).interrupted.take();
        if let Some(Wait { on, deadline, .. }) = before
            && !self.is_signalled(key)
        {
            // Another thread of its process has taken the signal. It waits on; at a futex it may be woken for nothing.
            return if on == Cause::Futex {
                self.answer(key, 0);
                true
            } else {
                self.park(key, on, deadline, false);
                false
            };
        }
        let thread = self.thread(key);
        if thread.registers.is_none() {
            self.interrupt_repeated(key, code);
        } else if let Some(registers) = thread.registers {
            let tid = thread.tid;
            let skipped = crate::tracee::Registers { orig_rax: u64::MAX, rax: code as u64, ..registers };
            let _ = tid.set_registers(&skipped);
            if self.run_to_edge(key) {
                let number = registers.orig_rax;
                let _ =
                    tid.set_registers(&crate::tracee::Registers { orig_rax: number, rax: code as u64, ..registers });
            }
        }
        if !self.thread(key).gone {
            self.resume(key, 0);
        }
        true
    }

    /// The same for a call that is over and was to be made again.
    pub(crate) fn interrupt_repeated(&mut self, key: ThreadKey, code: i64) {
        let tid = self.thread(key).tid;
        if let Ok(mut registers) = tid.registers() {
            // Behind the instruction `syscall` again.
            registers.rip += 2;
            registers.orig_rax = registers.rax;
            registers.rax = code as u64;
            let _ = tid.set_registers(&registers);
        }
    }

    /// Judges the call that a thread has stopped for. Returns whether it runs on.
    pub(crate) fn judge(&mut self, key: ThreadKey, woken: Woken) -> bool {
        let draft = self.draft(key, woken);
        let outcome = Call::judge(self, key, woken);
        if let Some(draft) = draft {
            self.write_line(key, &draft, &outcome);
        }
        if self.state != State::Running || self.thread(key).gone {
            return false;
        }
        match outcome {
            Outcome::Proceed => self.resume(key, 0),
            Outcome::Return(value) => self.answer(key, value),
            Outcome::Refuse(what) => {
                if !self.meet_obstacle(key, *what) {
                    return false;
                }
                self.answer(key, -i64::from(libc::ENOSYS));
            }
            Outcome::Yield => {
                let thread = self.thread(key);
                thread.next = Next::Return(0);
                thread.turns = 0;
                self.ready.push_back(key);
                return false;
            }
            Outcome::Leave => {
                self.leave(key);
                return false;
            }
            Outcome::Wait { on, deadline, nap } => {
                self.park(key, on, deadline, nap);
                return false;
            }
        }
        true
    }

    /// A thread waits from now on.
    pub(crate) fn park(&mut self, key: ThreadKey, on: Cause, deadline: Option<u64>, nap: bool) {
        let alarm = deadline.map(|time| self.set_alarm(time.max(self.clock), Alarm::Thread(key)));
        let progress = self.progress;
        let thread = self.thread(key);
        thread.turns = 0;
        if !nap {
            thread.poller.succeed();
        }
        thread.wait = Some(Wait { on, deadline, alarm, nap, progress });
        // What it waits for may be there already.
        self.changed = true;
    }

    /// Takes the time of clock reads that did not stop.
    pub(crate) fn charge_clock_reads(&mut self, key: ThreadKey) {
        self.kernel.watch.end();
        let (reads, cost) = self.page.take_reads();
        self.counts.clock_reads += reads;
        self.thread(key).poller.clock_reads = reads;
        self.spend(cost);
    }

    /// Counts a call, and gives up if there are too many.
    pub(crate) fn count(&mut self, key: ThreadKey, number: u64) {
        *self.counts.by_number.entry(number).or_default() += 1;
        self.count_effort(key, 1);
    }

    pub(crate) fn count_effort(&mut self, key: ThreadKey, calls: u64) {
        let second = self.clock / 1_000_000_000;
        if second != self.counts.second {
            (self.counts.second, self.counts.recent) = (second, 0);
        }
        self.counts.recent += calls;
        if self.counts.recent > CALLS_MAX {
            let busiest: Vec<String> = self.counts().0.into_iter().take(3).map(|(name, _)| name).collect();
            self.give_up(key, What::Storm { calls: CALLS_MAX, busiest: busiest.join(", ") });
        }
    }

    /// A stop of the thread that runs. Returns whether it runs on.
    pub(crate) fn handle_stop(&mut self, key: ThreadKey, stop: Option<Stop>) -> bool {
        match stop {
            Some(Stop::Call) => return self.handle_call(key),
            Some(Stop::Cloned) => self.cloned(key),
            Some(Stop::Forked { waits }) => return self.forked(key, waits),
            Some(Stop::Executed) => {
                self.executed(key);
                self.count_effort(key, CALLS_OF_EXEC);
                if self.state == State::Running {
                    self.resume(key, 0);
                }
            }
            Some(Stop::Signal(signal)) => self.handle_signal(key, signal),
            Some(Stop::Halted(signal)) if is_stop_signal(signal) => self.give_up(key, What::Stopped { signal }),
            Some(Stop::Halted(_) | Stop::Edge | Stop::Exiting) => self.resume(key, 0),
            Some(Stop::Ended(ending)) => self.ended(key, ending),
            // It ended while the others of its process were waited for.
            None if self.state != State::Running || self.thread(key).gone => {}
            None => self.give_up(key, What::Lost("it is no longer traced".to_owned())),
        }
        self.state == State::Running && !self.thread(key).gone
    }

    pub(crate) fn handle_call(&mut self, key: ThreadKey) -> bool {
        let Ok(registers) = self.thread(key).tid.registers() else {
            // It was killed; the next stop says so.
            self.resume(key, 0);
            return true;
        };
        let thread = self.thread(key);
        thread.registers = Some(registers);
        // What an earlier call has left.
        thread.rest_of_sleep = None;
        thread.mask = None;
        thread.written = 0;
        self.count(key, registers.orig_rax);
        self.spend(self.model.call);
        if self.state != State::Running {
            return false;
        }
        if self.is_turn_over(key) {
            // It is judged when it is made: until then the others may change what it would find.
            self.thread(key).next = Next::Judge(Woken::Fresh);
            self.ready.push_back(key);
            return false;
        }
        if self.clock > self.limit {
            self.thread(key).next = Next::Judge(Woken::Fresh);
            self.ready.push_front(key);
            return false;
        }
        if self.clock >= self.next_look {
            self.next_look = self.clock + LOOK_SPAN;
            self.changed = true;
            self.look_around();
            // What the thread does from now on.
            self.changed = true;
        }
        self.judge(key, Woken::Fresh)
    }

    /// A clock read that stopped: after many of them, each costs more, so that a loop that waits for a time ends.
    pub(crate) fn charge_clock_call(&mut self, key: ThreadKey) {
        let cost = self.model.clock;
        let poller = &mut self.thread(key).poller;
        poller.clock_calls += 1;
        let (calls, is_due) = (poller.clock_calls, poller.clock_reads >= READS_MAX);
        if is_due {
            self.page.set_cost((cost << calls.min(11)).min(CLOCK_READ_MAX));
            self.spend(STOPPED_CLOCK_READ);
        } else {
            // A read that always stops: of a clock that the page does not have, or of a program without the page. It
            // does not make those of the page dearer.
            self.spend(STOPPED_CLOCK_READ << (calls.saturating_sub(200) / 40).min(9));
        }
    }

    /// Any other call: clock reads are cheap again.
    pub(crate) fn reset_clock_cost(&mut self, key: ThreadKey) {
        if std::mem::take(&mut self.thread(key).poller.clock_calls) > 0 {
            self.page.set_cost(self.model.clock);
        }
    }

    /// A thread's process has become a program.
    pub(crate) fn executed(&mut self, key: ThreadKey) {
        let tid = self.thread(key).tid;
        self.page.set(self.clock);
        self.replace_threads(key);
        let prepared = exec::prepare(tid, &self.kernel.stops, &mut self.entropy, &self.page);
        let Ok(has_page) = prepared else {
            // It was killed; the next stop says so.
            return;
        };
        self.has_page = has_page;
        self.patch_instructions(key);
    }
}
