//! A simulated host: its programs, its clock, and whose turn it is.
//!
//! One thread of one host runs at a time. It runs until it makes a system call that stops. Then the call is judged: it is
//! made, answered in the kernel's place, or made to wait. Between two calls no time passes, but calls cost some. A host
//! never runs ahead of the time that it was allowed: a call that is due later waits for the host's next turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;

use crate::calls::futex::Futexes;
use crate::calls::processes::Found;
use crate::calls::timers::Timers;
use crate::journal::Journal;
use crate::kernel::Kernel;
use crate::launch::{Datagram, Ending, Launch, Setting, StartError, State};
use crate::model::{Interleaving, TimeModel, Unsupported};
use crate::obstacle::{Obstacle, Place, What};
use crate::print::{Output, Printer};
use crate::process::Process;
use crate::random::Random;
use crate::socket::{Ports, Waiting};
use crate::spawn;
use crate::table;
use crate::thread::{Cause, Next, Thread, ThreadKey, Wait, Woken};
use crate::time_page::TimePage;
use crate::tracee::Tid;

/// After this many calls in a row another thread that is ready gets its turn.
const TURNS_MAX: u32 = 400;

/// A host with a program that was started on it.
pub struct Host {
    pub(crate) kernel: Rc<Kernel>,
    pub(crate) model: TimeModel,
    pub(crate) interleaving: Interleaving,
    /// The time on its clock.
    pub(crate) clock: u64,
    /// How much of it its programs have used.
    pub(crate) used: u64,
    /// How far it may run.
    pub(crate) limit: u64,
    /// Whether it has nothing to do.
    pub(crate) idle: bool,
    /// What its programs take for randomness.
    pub(crate) entropy: Random,
    /// How long it needs to wake up.
    pub(crate) wakes: Random,
    /// Whose turn it is, if that is drawn.
    pub(crate) turns: Random,
    pub(crate) next_id: i32,
    pub(crate) processes: Vec<Process>,
    pub(crate) threads: Vec<Thread>,
    /// The threads that have not ended, in the order in which they were made.
    pub(crate) alive: Vec<ThreadKey>,
    pub(crate) by_tid: BTreeMap<Tid, ThreadKey>,
    pub(crate) ready: VecDeque<ThreadKey>,
    pub(crate) alarms: BTreeMap<(u64, u64), Alarm>,
    pub(crate) alarms_set: u64,
    pub(crate) ports: Ports,
    pub(crate) futexes: Futexes,
    pub(crate) timers: Timers,
    pub(crate) page: TimePage,
    /// Whether the program that was started last has it.
    pub(crate) has_page: bool,
    /// When waiting threads are looked at again although one runs.
    pub(crate) next_look: u64,
    /// The thread that runs, and when its turn is over.
    pub(crate) turn: Option<(ThreadKey, u64)>,
    /// Whether anything has happened since waiting threads were last looked at.
    pub(crate) changed: bool,
    /// How often a thread has achieved something.
    pub(crate) progress: u64,
    pub(crate) sent: VecDeque<Datagram>,
    /// The folder that its programs may write to.
    pub(crate) folder: PathBuf,
    /// Files elsewhere that were written to.
    pub(crate) written_outside: Vec<PathBuf>,
    /// Numbers of files that were made during the run: device and number, and what programs see.
    pub(crate) inodes: BTreeMap<(u64, u64), u64>,
    /// Numbers of devices that files are on, and what programs see.
    pub(crate) devices: BTreeMap<u64, u32>,
    /// When the run began, in nanoseconds of real time since 1970.
    pub(crate) real_start: u64,
    pub(crate) printer: Printer,
    /// What its programs call, if that is to be told.
    pub(crate) journal: Option<Journal>,
    /// What becomes of calls that are not supported, and those that were made in spite of that.
    pub(crate) on_unsupported: Unsupported,
    pub(crate) unsupported: Vec<Obstacle>,
    pub(crate) unsupported_numbers: BTreeSet<u64>,
    pub(crate) state: State,
    pub(crate) counts: Counts,
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
pub(crate) struct Counts {
    pub(crate) by_number: BTreeMap<u64, u64>,
    /// Of this second of virtual time.
    pub(crate) recent: u64,
    pub(crate) second: u64,
    pub(crate) clock_reads: u64,
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
            alive: Vec::new(),
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
            written_outside: Vec::new(),
            inodes: BTreeMap::new(),
            devices: BTreeMap::new(),
            real_start: kernel.real_start,
            printer: Printer::default(),
            journal: None,
            on_unsupported: setting.unsupported,
            unsupported: Vec::new(),
            unsupported_numbers: BTreeSet::new(),
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

    /// Files outside its folder that its programs have written to, in order: later runs may find them.
    pub fn written_outside(&self) -> &[PathBuf] {
        &self.written_outside
    }

    /// Calls that are not supported, and failed therefore: the first of each kind, in order. Empty if such a call ends
    /// the run.
    pub fn unsupported(&self) -> &[Obstacle] {
        &self.unsupported
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
        self.state = State::Stuck(self.obstacle(key, what));
        self.destroy();
    }

    fn obstacle(&self, key: ThreadKey, what: What) -> Obstacle {
        let thread = &self.threads[key.0];
        let process = &self.processes[thread.process.0];
        let place = Place { program: process.program.clone(), process: process.shown, thread: thread.shown };
        Obstacle { place, what }
    }

    /// A thread does what cannot be simulated. Returns whether it may go on; its call has failed then.
    pub(crate) fn meet_obstacle(&mut self, key: ThreadKey, what: What) -> bool {
        let goes_on = self.on_unsupported == Unsupported::Fails && matches!(what, What::Call { .. });
        if !goes_on {
            self.give_up(key, what);
            return false;
        }
        let number = self.threads[key.0].registers.map_or(0, |registers| registers.orig_rax);
        if self.unsupported_numbers.insert(number) {
            self.unsupported.push(self.obstacle(key, what));
        }
        true
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
    pub(crate) fn look_around(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for place in 0..self.alive.len() {
            let key = self.alive[place];
            let thread = &self.threads[key.0];
            let Some(wait) = &thread.wait else { continue };
            if wait.nap && wait.progress != self.progress {
                self.wake(key, Next::Judge(Woken::TimedOut));
                continue;
            }
            let has_come = match &wait.on {
                Cause::Ready(events) => events.iter().any(|interest| interest.is_ready()),
                Cause::Child(wanted) => !matches!(self.find_child(thread.process, *wanted), Found::Living),
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
    pub(crate) fn is_turn_over(&mut self, key: ThreadKey) -> bool {
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
