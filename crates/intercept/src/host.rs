//! A simulated host: its programs, its clock, and whose turn it is.
//!
//! One thread of one host runs at a time. It runs until it makes a system call that stops. Then the call is judged: it is
//! made, answered in the kernel's place, or made to wait. Between two calls no time passes, but calls cost some. A host
//! never runs ahead of the time that it was allowed: a call that is due later waits for the host's next turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::calls::futex::Futexes;
use crate::calls::processes::Found;
use crate::calls::timers::Timers;
use crate::calls::{Call, Outcome};
use crate::exec;
use crate::kernel::Kernel;
use crate::launch::{Datagram, Ending, Launch, Setting, StartError, State};
use crate::model::{Interleaving, TimeModel};
use crate::obstacle::{Obstacle, Place, What};
use crate::print::{Output, Printer};
use crate::process::Process;
use crate::random::Random;
use crate::socket::{Ports, Waiting};
use crate::spawn;
use crate::stop::Stop;
use crate::table;
use crate::thread::{Cause, Next, Thread, ThreadKey, Wait, Woken};
use crate::time_page::{READS_MAX, TimePage};
use crate::tracee::Tid;

/// After so many calls in a row another thread that is ready gets its turn.
const TURNS_MAX: u32 = 400;

/// And after so much time on the host's clock.
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

/// A host with a program that was started on it.
pub struct Host {
    pub(crate) kernel: Rc<Kernel>,
    pub(crate) model: TimeModel,
    interleaving: Interleaving,
    /// The time on its clock.
    pub(crate) clock: u64,
    /// How much of it its programs have used.
    pub(crate) used: u64,
    /// How far it may run.
    limit: u64,
    /// Whether it has nothing to do.
    idle: bool,
    /// What its programs take for randomness.
    pub(crate) entropy: Random,
    /// How long it needs to wake up.
    wakes: Random,
    /// Whose turn it is, if that is drawn.
    turns: Random,
    next_id: i32,
    pub(crate) processes: Vec<Process>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) by_tid: BTreeMap<Tid, ThreadKey>,
    ready: VecDeque<ThreadKey>,
    alarms: BTreeMap<(u64, u64), Alarm>,
    alarms_set: u64,
    pub(crate) ports: Ports,
    pub(crate) futexes: Futexes,
    pub(crate) timers: Timers,
    pub(crate) page: TimePage,
    /// Whether the program that was started last has it.
    has_page: bool,
    /// When waiting threads are looked at again although one runs.
    next_look: u64,
    /// The thread that runs, and when its turn is over.
    turn: Option<(ThreadKey, u64)>,
    /// Whether anything has happened since waiting threads were last looked at.
    changed: bool,
    /// How often a thread has achieved something.
    pub(crate) progress: u64,
    pub(crate) sent: VecDeque<Datagram>,
    /// The folder that its programs may write to.
    pub(crate) folder: PathBuf,
    /// Files elsewhere that were written to.
    pub(crate) written_outside: BTreeSet<PathBuf>,
    /// Numbers of files that were made during the run: device and number, and what programs see.
    pub(crate) inodes: BTreeMap<(u64, u64), u64>,
    /// When the run began, in nanoseconds of real time since 1970.
    pub(crate) real_start: u64,
    pub(crate) printer: Printer,
    pub(crate) state: State,
    counts: Counts,
}

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A thread has waited long enough.
    Thread(ThreadKey),
    /// A timer of a program.
    Timer(usize),
}

/// How many calls there were.
#[derive(Debug, Default)]
struct Counts {
    by_number: BTreeMap<u64, u64>,
    /// Of this second of virtual time.
    recent: u64,
    second: u64,
    clock_reads: u64,
}

impl Host {
    /// Starts a program on a new host. It has not run yet.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(kernel: &Rc<Kernel>, launch: &Launch, setting: &Setting, now: u64) -> Result<Host, StartError> {
        let page = TimePage::new(setting.model.clock).map_err(StartError::refused("to share memory with a program"))?;
        let tid = spawn::spawn(launch, &kernel.stops)?;
        let stream = |purpose| Random::new(setting.seed, purpose);
        let mut host = Host {
            kernel: Rc::clone(kernel),
            model: setting.model,
            interleaving: setting.interleaving,
            clock: now,
            used: 0,
            limit: now,
            idle: true,
            entropy: stream(1),
            wakes: stream(2),
            turns: stream(3),
            next_id: setting.first_id,
            processes: Vec::new(),
            threads: Vec::new(),
            by_tid: BTreeMap::new(),
            ready: VecDeque::new(),
            alarms: BTreeMap::new(),
            alarms_set: 0,
            ports: Ports::default(),
            futexes: Futexes::default(),
            timers: Timers::default(),
            page,
            has_page: false,
            next_look: now,
            turn: None,
            changed: true,
            progress: 0,
            sent: VecDeque::new(),
            folder: launch.writable.canonicalize().unwrap_or_else(|_| launch.writable.clone()),
            written_outside: BTreeSet::new(),
            inodes: BTreeMap::new(),
            real_start: kernel.real_start,
            printer: Printer::default(),
            state: State::Running,
            counts: Counts::default(),
        };
        let process = host.add_process(tid, None).map_err(StartError::refused("to name a process (pidfd_open)"))?;
        let descriptors = &mut host.processes[process.0].descriptors;
        descriptors.outputs.extend([(1, Output::Out), (2, Output::Error)]);
        let key = host.add_thread(tid, process);
        host.executed(key);
        Ok(host)
    }

    /// Lets the programs run up to this time on the host's clock, or until all of them wait. Never called with an earlier
    /// time than before.
    pub fn run(&mut self, now: u64) {
        self.limit = now;
        self.clock = self.clock.max(now);
        self.note_early_ends();
        while self.state == State::Running {
            self.ring_alarms();
            if self.ready.is_empty() {
                self.look_around();
            }
            if self.ready.is_empty() {
                self.idle = true;
                return;
            }
            if std::mem::take(&mut self.idle) {
                let (least, most) = self.model.wake;
                let needed = least + self.wakes.below(most.saturating_sub(least) + 1);
                self.spend(needed);
            }
            if self.clock > self.limit {
                return;
            }
            let key = self.choose();
            self.changed = true;
            self.step(key);
        }
    }

    /// When it wants to run next on its own; none if only a datagram can make it.
    pub fn next_wake(&self) -> Option<u64> {
        if self.state != State::Running {
            return None;
        }
        let first_alarm = self.alarms.keys().next().map(|&(time, _)| time.max(self.clock));
        if self.ready.is_empty() && !(self.idle && self.changed) { first_alarm } else { Some(self.clock) }
    }

    /// Hands a datagram to the socket of a port. Returns whether there is one that takes it.
    pub fn deliver(&mut self, to: u16, from: u16, bytes: &[u8]) -> bool {
        let Some(socket) = self.ports.find(to) else { return false };
        let datagram = Waiting { from, bytes: bytes.to_vec() };
        self.changed = true;
        socket.borrow_mut().push(datagram, &self.kernel.tokens)
    }

    /// The oldest datagram that was sent and not taken yet.
    pub fn take_sent(&mut self) -> Option<Datagram> {
        self.sent.pop_front()
    }

    /// What was printed since this was last asked.
    pub fn printer(&mut self) -> &mut Printer {
        &mut self.printer
    }

    /// Whether its program runs.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether clock reads need no system call.
    pub(crate) fn has_time_page(&self) -> bool {
        self.has_page
    }

    /// How often each system call was made that stopped, by name, and how many clock reads there were that did not.
    pub fn counts(&self) -> (Vec<(String, u64)>, u64) {
        let mut calls: Vec<(String, u64)> =
            self.counts.by_number.iter().map(|(&number, &count)| (table::name(number), count)).collect();
        calls.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        (calls, self.counts.clock_reads)
    }

    /// Files outside its folder that its programs have written to: later runs may find them.
    pub fn written_outside(&self) -> impl Iterator<Item = &Path> {
        self.written_outside.iter().map(PathBuf::as_path)
    }

    /// Ends all its processes, as a power failure does.
    pub fn kill(&mut self) {
        if self.state == State::Running {
            self.state = State::Ended(Ending::Signal(libc::SIGKILL));
        }
        self.destroy();
    }

    /// Its programs spend time.
    pub(crate) fn spend(&mut self, nanoseconds: u64) {
        self.clock += nanoseconds;
        self.used += nanoseconds;
    }

    /// A number for a new process or thread.
    pub(crate) fn draw_id(&mut self) -> i32 {
        self.next_id += 1;
        self.next_id - 1
    }

    pub(crate) fn thread(&mut self, key: ThreadKey) -> &mut Thread {
        &mut self.threads[key.0]
    }

    pub(crate) fn process_of(&mut self, key: ThreadKey) -> &mut Process {
        let process = self.threads[key.0].process;
        &mut self.processes[process.0]
    }

    /// The program can be simulated no further.
    pub(crate) fn give_up(&mut self, key: ThreadKey, what: What) {
        let thread = &self.threads[key.0];
        let process = &self.processes[thread.process.0];
        let place = Place { program: process.program.clone(), process: process.shown, thread: thread.shown };
        self.state = State::Stuck(Obstacle { place, what });
        self.destroy();
    }

    /// Sets an alarm. Returns its entry.
    pub(crate) fn set_alarm(&mut self, time: u64, alarm: Alarm) -> (u64, u64) {
        self.alarms_set += 1;
        let entry = (time, self.alarms_set);
        self.alarms.insert(entry, alarm);
        entry
    }

    pub(crate) fn unset_alarm(&mut self, entry: (u64, u64)) {
        self.alarms.remove(&entry);
    }

    /// Whether a thread waits for its turn.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn ring_alarms(&mut self) {
        while let Some((&entry, &alarm)) = self.alarms.first_key_value()
            && entry.0 <= self.clock
        {
            self.alarms.remove(&entry);
            // A timer that counts in a descriptor wakes those who wait for that.
            self.changed = true;
            match alarm {
                Alarm::Thread(key) => {
                    if let Some(wait) = &mut self.thread(key).wait {
                        wait.alarm = None;
                    }
                    self.wake(key, Next::Judge(Woken::TimedOut));
                }
                Alarm::Timer(number) => self.timer_expired(number),
            }
        }
    }

    /// A thread that waited gets its turn.
    pub(crate) fn wake(&mut self, key: ThreadKey, next: Next) {
        let thread = self.thread(key);
        if thread.gone {
            return;
        }
        let Some(wait) = thread.wait.take() else { return };
        thread.next = next;
        thread.deadline_before = wait.deadline.filter(|_| !wait.nap);
        if let Some(entry) = wait.alarm {
            self.unset_alarm(entry);
        }
        if !wait.nap {
            self.progress += 1;
        }
        if matches!(next, Next::Interrupt(_)) {
            self.thread(key).interrupted = Some(wait);
        }
        self.ready.push_back(key);
    }

    /// Takes a thread from those that are ready, or that wait.
    pub(crate) fn remove_turn(&mut self, key: ThreadKey) {
        self.ready.retain(|&ready| ready != key);
        if let Some(Wait { alarm: Some(entry), .. }) = self.thread(key).wait.take() {
            self.unset_alarm(entry);
        }
    }

    /// A thread gets its turn after all that are ready.
    pub(crate) fn enqueue(&mut self, key: ThreadKey) {
        self.ready.push_back(key);
    }

    /// Wakes waiting threads whose reason has come.
    fn look_around(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for place in 0..self.threads.len() {
            let key = ThreadKey(place);
            let Some(wait) = &self.threads[place].wait else { continue };
            if wait.nap && wait.progress != self.progress {
                self.wake(key, Next::Judge(Woken::TimedOut));
                continue;
            }
            let has_come = match &wait.on {
                Cause::Ready(events) => events.iter().any(|&(fd, events)| crate::process::ready(fd, events) != 0),
                Cause::Child(wanted) => !matches!(self.find_child(self.threads[place].process, *wanted), Found::Living),
                Cause::Nothing | Cause::Futex | Cause::Offspring | Cause::Signal { .. } => false,
            };
            if has_come {
                self.wake(key, Next::Judge(Woken::Perhaps));
            }
        }
    }

    /// Whose turn it is.
    fn choose(&mut self) -> ThreadKey {
        let place = match self.interleaving {
            Interleaving::Fifo => 0,
            Interleaving::Drawn => self.turns.below(self.ready.len() as u64) as usize,
        };
        self.ready.remove(place).expect("a thread is ready")
    }

    /// Whether a thread has had its share.
    fn is_turn_over(&mut self, key: ThreadKey) -> bool {
        let most = match self.interleaving {
            Interleaving::Fifo => TURNS_MAX,
            Interleaving::Drawn if self.turns.below(8) == 0 => 0,
            Interleaving::Drawn => TURNS_MAX,
        };
        let others_wait = !self.ready.is_empty();
        let thread = self.thread(key);
        thread.turns += 1;
        let is_late = self.turn.is_some_and(|(_, end)| self.clock > end);
        if !others_wait || (self.thread(key).turns <= most && !is_late) {
            return false;
        }
        self.thread(key).turns = 0;
        self.turn = None;
        true
    }

    /// Lets a thread run until it waits, ends, or its turn is over.
    fn step(&mut self, key: ThreadKey) {
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
    fn answer(&mut self, key: ThreadKey, value: i64) {
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
    fn interrupt(&mut self, key: ThreadKey, code: i64) -> bool {
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
    fn interrupt_repeated(&mut self, key: ThreadKey, code: i64) {
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
    fn judge(&mut self, key: ThreadKey, woken: Woken) -> bool {
        let outcome = Call::judge(self, key, woken);
        if self.state != State::Running || self.thread(key).gone {
            return false;
        }
        if woken == Woken::Fresh
            && !matches!(outcome, Outcome::Wait { .. } | Outcome::Yield | Outcome::Leave | Outcome::Refuse(_))
            && self.is_turn_over(key)
        {
            self.thread(key).next = match outcome {
                Outcome::Return(value) => Next::Return(value),
                _ => Next::Continue,
            };
            self.ready.push_back(key);
            return false;
        }
        match outcome {
            Outcome::Proceed => self.resume(key, 0),
            Outcome::Return(value) => self.answer(key, value),
            Outcome::Refuse(what) => {
                self.give_up(key, *what);
                return false;
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
    fn charge_clock_reads(&mut self, key: ThreadKey) {
        self.kernel.watch.end();
        let (reads, cost) = self.page.take_reads();
        self.counts.clock_reads += reads;
        self.thread(key).poller.clock_reads = reads;
        self.spend(cost);
    }

    /// Counts a call, and gives up if there are too many.
    fn count(&mut self, key: ThreadKey, number: u64) {
        *self.counts.by_number.entry(number).or_default() += 1;
        self.count_effort(key, 1);
    }

    fn count_effort(&mut self, key: ThreadKey, calls: u64) {
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
    fn handle_stop(&mut self, key: ThreadKey, stop: Option<Stop>) -> bool {
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

    fn handle_call(&mut self, key: ThreadKey) -> bool {
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

/// Signals that stop a process until another one lets it go on.
pub(crate) fn is_stop_signal(signal: i32) -> bool {
    matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("clock", &self.clock).field("state", &self.state).finish_non_exhaustive()
    }
}
