//! How threads and processes of a host come and go.

use std::io;

use crate::host::Host;
use crate::launch::{Ending, State};
use crate::obstacle::What;
use crate::process::{Process, ProcessKey};
use crate::stop::Stop;
use crate::thread::{Cause, Next, Offspring, Thread, ThreadKey};
use crate::tracee::Tid;

/// The most threads and processes that a host has at a time.
const CROWD_MAX: usize = 2_000;

/// The most processes at a time. They cost far more than threads: a program that forks for ever is to be found in seconds.
const PROCESSES_MAX: usize = 500;

impl Host {
    /// A process that has just been made.
    ///
    /// # Errors
    /// If the system has no descriptor left for it.
    pub(crate) fn add_process(&mut self, pid: Tid, parent: Option<ProcessKey>) -> io::Result<ProcessKey> {
        let shown = self.draw_id();
        let mut process = Process::new(pid, shown, parent)?;
        if let Some(parent) = parent {
            let parent = &self.processes[parent.0];
            process.descriptors = parent.descriptors.inherited();
            process.program.clone_from(&parent.program);
            process.group = parent.group;
            process.niceness = parent.niceness;
            process.limits = parent.limits.clone();
        }
        self.processes.push(process);
        Ok(ProcessKey(self.processes.len() - 1))
    }

    /// A thread that has just been made. The first of a process has the process's number.
    pub(crate) fn add_thread(&mut self, tid: Tid, process: ProcessKey) -> ThreadKey {
        let owner = &self.processes[process.0];
        let shown = if owner.pid == tid { owner.shown } else { self.draw_id() };
        self.threads.push(Thread::new(tid, shown, process));
        let key = ThreadKey(self.threads.len() - 1);
        self.alive.push(key);
        self.by_tid.insert(tid, key);
        self.enqueue(key);
        key
    }

    /// The threads of a process that have not ended, in the order in which they were made.
    pub(crate) fn threads_of(&self, process: ProcessKey) -> Vec<ThreadKey> {
        self.alive.iter().copied().filter(|key| self.threads[key.0].process == process).collect()
    }

    /// The next stop of the thread that runs. What other threads are told meanwhile is noted. None if it is not traced any
    /// more.
    pub(crate) fn next_stop(&mut self, key: ThreadKey) -> Option<Stop> {
        let tid = self.thread(key).tid;
        loop {
            if self.thread(key).gone {
                return None;
            }
            let (stopped, stop) = match self.kernel.stops.take(tid) {
                Some(stop) => (tid, stop),
                None => self.kernel.stops.next()?,
            };
            if stopped == tid {
                return Some(stop);
            }
            if stop == Stop::Executed && self.become_first(key, stopped) {
                return Some(stop);
            }
            self.note(stopped, stop);
        }
    }

    /// A thread that was not the first of its process has become another program: it has the first one's number from then
    /// on, whose end is not told (ptrace(2), "execve(2) under ptrace"). False if the number is not of its process.
    fn become_first(&mut self, key: ThreadKey, first: Tid) -> bool {
        let process = self.thread(key).process;
        let owner = &self.processes[process.0];
        if owner.pid != first {
            return false;
        }
        let shown = owner.shown;
        if let Some(&former) = self.by_tid.get(&first) {
            self.forget_thread(former);
        }
        let thread = self.thread(key);
        let before = std::mem::replace(&mut thread.tid, first);
        thread.shown = shown;
        self.by_tid.remove(&before);
        self.by_tid.insert(first, key);
        true
    }

    /// A stop of a thread that is not waited for.
    fn note(&mut self, tid: Tid, stop: Stop) {
        match (self.by_tid.get(&tid), stop) {
            (Some(&key), Stop::Ended(ending)) => self.ended(key, ending),
            // It was told to die, and says so on its way.
            (Some(_), _) => tid.resume(0),
            // A new thread, of which its maker has not told yet, or one of another host.
            (None, stop) => self.kernel.stops.keep(tid, stop),
        }
    }

    /// Ends of this host's threads that were seen while another host ran.
    pub(crate) fn note_early_ends(&mut self) {
        if self.kernel.stops.is_empty() {
            return;
        }
        for key in self.alive.clone() {
            let tid = self.threads[key.0].tid;
            if !self.threads[key.0].gone
                && let Some(Stop::Ended(ending)) = self.kernel.stops.take(tid)
            {
                self.ended(key, ending);
            }
        }
    }

    /// Lets a stopped thread run to the next edge of its call. False if it has ended on the way.
    pub(crate) fn run_to_edge(&mut self, key: ThreadKey) -> bool {
        let tid = self.thread(key).tid;
        let mut signal = 0;
        loop {
            self.page.set(self.clock);
            self.kernel.watch.begin(tid.0);
            tid.resume_to_edge(signal);
            let stop = self.next_stop(key);
            self.kernel.watch.end();
            signal = 0;
            match stop {
                Some(Stop::Edge) => return true,
                Some(Stop::Ended(ending)) => {
                    self.ended(key, ending);
                    return false;
                }
                Some(Stop::Signal(number)) => signal = number,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// The thread that runs has made another one.
    pub(crate) fn cloned(&mut self, key: ThreadKey) {
        let tid = Tid(self.thread(key).tid.event_message() as i32);
        if !self.admit(key, tid) {
            return;
        }
        let (process, offspring) = (self.thread(key).process, self.thread(key).offspring);
        if offspring.flags & libc::CLONE_THREAD as u64 == 0 {
            // A process that sends another signal than SIGCHLD at its end.
            self.begin_process(key, tid, offspring, false);
            return;
        }
        let new = self.add_thread(tid, process);
        self.tell_numbers(key, new, offspring);
        self.hand_over_number(key, new);
    }

    /// The thread that runs has made a process. Returns whether it runs on.
    pub(crate) fn forked(&mut self, key: ThreadKey, waits: bool) -> bool {
        let tid = Tid(self.thread(key).tid.event_message() as i32);
        if !self.admit(key, tid) {
            return false;
        }
        let offspring = self.thread(key).offspring;
        self.begin_process(key, tid, offspring, waits);
        self.state == State::Running && !waits
    }

    fn begin_process(&mut self, key: ThreadKey, tid: Tid, offspring: Offspring, waits: bool) {
        let parent = self.thread(key).process;
        let process = match self.add_process(tid, Some(parent)) {
            Ok(process) => process,
            Err(error) => {
                self.end_unknown(tid);
                return self.give_up(key, What::Lost(error.to_string()));
            }
        };
        let new = self.add_thread(tid, process);
        self.tell_numbers(key, new, offspring);
        if waits {
            // It goes on when the child has become a program or has ended; the kernel sees to that by itself.
            self.processes[process.0].waiting_maker = Some(key);
            self.park(key, Cause::Offspring, None, false);
        } else {
            self.hand_over_number(key, new);
        }
    }

    /// Waits for the first stop of a new thread. False if there are too many, or it is gone.
    fn admit(&mut self, key: ThreadKey, tid: Tid) -> bool {
        self.kernel.stops.next_of(tid);
        let crowd = self.alive.len();
        let processes = self.processes.iter().filter(|process| process.ending.is_none()).count();
        for (count, most) in [(crowd, CROWD_MAX), (processes, PROCESSES_MAX)] {
            if count >= most {
                self.end_unknown(tid);
                self.give_up(key, What::Crowd { most });
                return false;
            }
        }
        true
    }

    /// Ends a new thread or process that is in no list yet, and waits until it is gone.
    fn end_unknown(&mut self, tid: Tid) {
        // SAFETY: the number is that of a stopped tracee.
        unsafe { libc::kill(tid.0, libc::SIGKILL) };
        while let Some(stop) = self.kernel.stops.next_of(tid) {
            match stop {
                Stop::Ended(_) => break,
                _ => tid.resume(0),
            }
        }
    }

    /// The kernel has written its own number of the new thread into memory; programs see another one.
    fn tell_numbers(&mut self, maker: ThreadKey, new: ThreadKey, offspring: Offspring) {
        let shown = self.thread(new).shown.to_le_bytes();
        let (maker, new_tid) = (self.thread(maker).tid, self.thread(new).tid);
        let has = |flag: libc::c_int| offspring.flags & flag as u64 != 0;
        if has(libc::CLONE_PARENT_SETTID) {
            let _ = maker.write(offspring.parent_tid, &shown);
        }
        if has(libc::CLONE_CHILD_SETTID) {
            let _ = new_tid.write(offspring.child_tid, &shown);
        }
        if has(libc::CLONE_CHILD_CLEARTID) {
            self.thread(new).clear_tid = offspring.child_tid;
        }
    }

    /// Lets the call end that has made a thread, and makes it return the number that programs see.
    fn hand_over_number(&mut self, maker: ThreadKey, new: ThreadKey) {
        let shown = self.thread(new).shown;
        self.return_number(maker, shown);
    }

    /// Lets the call end that a thread is in, makes it return this number, and lets the thread run on.
    pub(crate) fn return_number(&mut self, maker: ThreadKey, shown: i32) {
        if self.run_to_edge(maker) {
            let tid = self.thread(maker).tid;
            if let Ok(mut registers) = tid.registers() {
                registers.rax = shown as u64;
                let _ = tid.set_registers(&registers);
            }
            self.resume(maker, 0);
        }
    }

    /// A process has become a program: only the thread is left that has made the call.
    pub(crate) fn replace_threads(&mut self, key: ThreadKey) {
        let process = self.thread(key).process;
        for other in self.threads_of(process) {
            if other != key {
                self.forget_thread(other);
            }
        }
        self.thread(key).clear_tid = 0;
        let tid = self.thread(key).tid;
        let owner = &mut self.processes[process.0];
        owner.forget_closed();
        owner.program = std::fs::read_link(format!("/proc/{}/exe", tid.0))
            .map(|path| path.display().to_string())
            .unwrap_or_else(|_| "a program".to_owned());
        let maker = owner.waiting_maker.take();
        if let Some(maker) = maker {
            self.release_maker(maker, process);
        }
    }

    /// The maker of a process by vfork goes on.
    fn release_maker(&mut self, maker: ThreadKey, process: ProcessKey) {
        let shown = self.processes[process.0].shown;
        self.wake(maker, Next::ReturnFromVfork(shown));
    }

    fn forget_thread(&mut self, key: ThreadKey) {
        self.remove_turn(key);
        self.futexes.leave(key);
        let thread = self.thread(key);
        thread.gone = true;
        let tid = thread.tid;
        self.alive.retain(|&living| living != key);
        self.by_tid.remove(&tid);
    }

    /// The first thread of a process ends before the others. The kernel does not tell of that, but shows it.
    pub(crate) fn leave(&mut self, key: ThreadKey) {
        let (tid, process, clear_tid) = {
            let thread = self.thread(key);
            (thread.tid, thread.process, thread.clear_tid)
        };
        tid.resume(0);
        while state_of(tid).is_some_and(|state| state != 'Z') {
            std::thread::yield_now();
        }
        self.forget_thread(key);
        // Its number still is that of the process.
        self.by_tid.insert(tid, key);
        self.look_through_another(process);
        if clear_tid != 0 {
            self.wake_futex(process, clear_tid);
        }
    }

    /// The thread is gone by which the descriptors of a process were seen.
    fn look_through_another(&mut self, process: ProcessKey) {
        let Some(&key) = self.threads_of(process).first() else { return };
        let tid = self.threads[key.0].tid;
        if self.processes[process.0].look_through(tid).is_err() {
            let why = "its first thread has ended, and kernels before 6.9 do not show the descriptors of the others";
            self.give_up(key, What::Lost(why.to_owned()));
        }
    }

    /// A thread has ended.
    pub(crate) fn ended(&mut self, key: ThreadKey, ending: Ending) {
        if self.thread(key).gone {
            return self.perhaps_ended(self.threads[key.0].process, ending);
        }
        let (process, clear_tid) = (self.thread(key).process, self.thread(key).clear_tid);
        // Before anything else is waited for: its end is told once.
        self.forget_thread(key);
        if let Some(what) = self.kernel.watch.take_verdict() {
            if self.threads_of(process).is_empty() {
                self.processes[process.0].ending = Some(ending);
            }
            return self.give_up(key, what);
        }
        if matches!(ending, Ending::Signal(_)) {
            // A signal that ends a thread ends all of its process.
            self.processes[process.0].dying = true;
        }
        if clear_tid != 0 && !self.processes[process.0].dying {
            // The kernel has written 0 there; this is the other half of CLONE_CHILD_CLEARTID.
            self.wake_futex(process, clear_tid);
        }
        if self.processes[process.0].dying {
            self.drain(process);
        } else if self.processes[process.0].is_seen_through_thread() {
            self.look_through_another(process);
        }
        self.perhaps_ended(process, ending);
    }

    /// Waits until all threads of a process that is about to end are gone.
    pub(crate) fn drain(&mut self, process: ProcessKey) {
        self.processes[process.0].dying = true;
        while !self.threads_of(process).is_empty() {
            let early = self.threads_of(process).into_iter().find_map(|key| {
                let tid = self.threads[key.0].tid;
                Some((tid, self.kernel.stops.take(tid)?))
            });
            match early.or_else(|| self.kernel.stops.next()) {
                Some((tid, Stop::Ended(ending))) if self.by_tid.contains_key(&tid) => {
                    let key = self.by_tid[&tid];
                    let owner = self.threads[key.0].process;
                    self.forget_thread(key);
                    self.perhaps_ended(owner, ending);
                }
                Some((tid, stop)) => self.note(tid, stop),
                None => self.threads_of(process).into_iter().for_each(|key| self.forget_thread(key)),
            }
        }
    }

    /// If that was the last thread of a process, the process has ended.
    fn perhaps_ended(&mut self, process: ProcessKey, ending: Ending) {
        if !self.threads_of(process).is_empty() || self.processes[process.0].ending.is_some() {
            return;
        }
        let has_parent = |host: &Host, place: usize| {
            host.processes[place].parent.is_some_and(|parent| host.processes[parent.0].ending.is_none())
        };
        let is_asked_about = has_parent(self, process.0);
        let owner = &mut self.processes[process.0];
        // Its parent does not ask about it if that is gone or ignores SIGCHLD; its real number may be another one's soon.
        owner.reaped = !is_asked_about || !owner.is_left();
        owner.end(ending);
        let (maker, parent) = (owner.waiting_maker.take(), owner.parent);
        let mut bereaved = Vec::new();
        for (place, child) in self.processes.iter_mut().enumerate().filter(|(_, child)| child.parent == Some(process)) {
            child.reaped |= child.ending.is_some();
            if child.ending.is_none() && child.death_signal != 0 {
                bereaved.push(ProcessKey(place));
            }
        }
        self.futexes.forget(process);
        if let Some(maker) = maker {
            self.release_maker(maker, process);
        }
        for child in bereaved {
            let (pid, signal) = (self.processes[child.0].pid.0, self.processes[child.0].death_signal);
            // SAFETY: the number is that of a tracee that was not waited for, so it is its own.
            unsafe { libc::kill(pid, signal) };
            self.notice_signals(child, 0);
        }
        match parent {
            // Its parent may wait for it, or for the signal that it ends with.
            Some(parent) => self.notice_signals(parent, 0),
            None => {
                if self.state == State::Running {
                    self.state = State::Ended(ending);
                }
                self.destroy();
            }
        }
    }

    /// Ends a process, and waits until it is gone.
    pub(crate) fn kill_process(&mut self, process: ProcessKey) {
        let target = &self.processes[process.0];
        if target.ending.is_none() {
            // SAFETY: the number is that of a tracee that was not waited for, so it is its own.
            unsafe { libc::kill(target.pid.0, libc::SIGKILL) };
            self.drain(process);
        }
    }

    /// Ends all processes of the host, and waits until they are gone.
    pub(crate) fn destroy(&mut self) {
        let live = |host: &Host, place: usize| host.processes[place].ending.is_none();
        let all: Vec<usize> = (0..self.processes.len()).filter(|&place| live(self, place)).collect();
        for &place in &all {
            self.processes[place].dying = true;
            // SAFETY: the number is that of a tracee that was not waited for, so it is its own.
            unsafe { libc::kill(self.processes[place].pid.0, libc::SIGKILL) };
        }
        for place in all {
            self.drain(ProcessKey(place));
        }
        self.printer.finish(self.clock);
    }
}

/// What a thread does, as proc_pid_stat(5) shows it in a letter; none if it is gone.
fn state_of(tid: Tid) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{0}/task/{0}/stat", tid.0)).ok()?;
    text.rsplit_once(')')?.1.trim_start().chars().next()
}
