//! A process of a simulated host, and what its descriptors are.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use crate::calls::limits::Limits;
use crate::instructions::Replaced;
use crate::launch::Ending;
use crate::print::Output;
use crate::socket::Socket;
use crate::thread::ThreadKey;
use crate::tracee::Tid;

/// A process of a host, by the order in which processes were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessKey(pub usize);

/// One process.
#[derive(Debug)]
pub struct Process {
    /// The kernel's number.
    pub pid: Tid,
    /// The number that programs see.
    pub shown: i32,
    /// Names it whatever becomes of its number, and gives access to its descriptors (pidfd_open(2)). None once it has
    /// ended, so that a program that starts thousands of others does not use up the tracer's descriptors.
    handle: Option<OwnedFd>,
    /// The same of one of its threads, once its first one has ended: the kernel shows no descriptors of that any more.
    thread: Option<OwnedFd>,
    /// The process that made it.
    pub parent: Option<ProcessKey>,
    /// The number of its process group, as programs see it.
    pub group: i32,
    /// How it has ended, once it has.
    pub ending: Option<Ending>,
    /// Whether its parent has learned of its end.
    pub reaped: bool,
    /// All its threads are about to end.
    pub dying: bool,
    /// The thread that made it by vfork, and waits.
    pub waiting_maker: Option<ThreadKey>,
    /// The signal that it gets when the process that made it ends (PR_SET_PDEATHSIG); 0 is none.
    pub death_signal: i32,
    /// What its descriptors are.
    pub descriptors: Descriptors,
    /// The program that it runs.
    pub program: String,
    /// How little it is preferred (nice(1)).
    pub niceness: i32,
    /// What it may use.
    pub limits: Limits,
    /// Where instructions of its code were replaced.
    pub replaced: Replaced,
}

/// What is known of a process's descriptors, by their numbers.
#[derive(Debug, Default)]
pub struct Descriptors {
    /// Virtual sockets.
    pub sockets: BTreeMap<RawFd, Rc<RefCell<Socket>>>,
    /// Those that lead to standard output or error.
    pub outputs: BTreeMap<RawFd, Output>,
    /// Timers (timerfd_create(2)): the number of the host's timer.
    pub timers: BTreeMap<RawFd, Rc<usize>>,
    /// Libraries that are being loaded: when the file is closed, the code is there.
    pub libraries: BTreeSet<RawFd>,
    /// The tracer's own descriptors of the same open files, made when they are first asked about.
    copies: BTreeMap<RawFd, OwnedFd>,
    kinds: BTreeMap<RawFd, Kind>,
}

/// What reading a descriptor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It never blocks: a file, a directory, most devices.
    Plain,
    /// It gives randomness: `/dev/urandom`, `/dev/random`.
    Random,
    /// It may block: a pipe, a socket, an event counter.
    Blocking,
}

impl Process {
    /// A process that has just been made.
    ///
    /// # Errors
    /// If there is no such process, or no descriptor left for it.
    pub fn new(pid: Tid, shown: i32, parent: Option<ProcessKey>) -> io::Result<Process> {
        // SAFETY: the call takes numbers only.
        let handle = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.0, 0) })?;
        Ok(Process {
            pid,
            shown,
            handle: Some(handle),
            thread: None,
            parent,
            group: shown,
            ending: None,
            reaped: false,
            dying: false,
            waiting_maker: None,
            death_signal: 0,
            descriptors: Descriptors::default(),
            program: String::new(),
            niceness: 0,
            limits: Limits::default(),
            replaced: Replaced::new(),
        })
    }

    /// The tracer's own descriptor of an open file of the process; none if it has no such descriptor.
    pub fn copy(&mut self, descriptor: RawFd) -> Option<RawFd> {
        if let Some(socket) = self.descriptors.sockets.get(&descriptor) {
            return Some(socket.borrow().carrier.as_raw_fd());
        }
        if let Some(copy) = self.descriptors.copies.get(&descriptor) {
            return Some(copy.as_raw_fd());
        }
        let copy = self.fetch(descriptor).ok()?;
        let number = copy.as_raw_fd();
        self.descriptors.copies.insert(descriptor, copy);
        Some(number)
    }

    /// A new descriptor of an open file of the process (pidfd_getfd(2)).
    ///
    /// # Errors
    /// If it has no such descriptor.
    pub fn fetch(&self, descriptor: RawFd) -> io::Result<OwnedFd> {
        let handle = self.thread.as_ref().or(self.handle.as_ref()).ok_or(io::ErrorKind::NotFound)?;
        // SAFETY: the call takes numbers only.
        owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, handle.as_raw_fd(), descriptor, 0) })
    }

    /// Its first thread has ended: descriptors are fetched from another one.
    ///
    /// # Errors
    /// If the kernel cannot do that: those before 6.9.
    pub fn look_through(&mut self, thread: Tid) -> io::Result<()> {
        /// PIDFD_THREAD of linux/pidfd.h.
        const OF_THREAD: i32 = libc::O_EXCL;
        // SAFETY: the call takes numbers only.
        self.thread = Some(owned(unsafe { libc::syscall(libc::SYS_pidfd_open, thread.0, OF_THREAD) })?);
        Ok(())
    }

    /// Whether its descriptors are seen by another thread than its first.
    pub fn is_seen_through_thread(&self) -> bool {
        self.thread.is_some()
    }

    /// Whether the kernel still knows of the process: it lives, or has ended and waits to be asked about.
    pub fn is_left(&self) -> bool {
        let Some(handle) = &self.handle else { return false };
        // SAFETY: a signal without a number is not sent, and no information goes with it.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), 0, 0, 0) == 0 }
    }

    /// It has ended. What was kept of it for its calls is dropped.
    pub fn end(&mut self, ending: Ending) {
        self.ending = Some(ending);
        self.descriptors = Descriptors::default();
        self.handle = None;
        self.thread = None;
    }

    /// What reading a descriptor does. A descriptor that is not open never blocks.
    pub fn kind(&mut self, descriptor: RawFd) -> Kind {
        if let Some(&kind) = self.descriptors.kinds.get(&descriptor) {
            return kind;
        }
        let Ok(copy) = self.fetch(descriptor) else { return Kind::Plain };
        let kind = kind_of(copy.as_raw_fd());
        self.descriptors.kinds.insert(descriptor, kind);
        kind
    }

    /// Drops what is known of descriptors that the process no longer has, after it became another program.
    pub fn forget_closed(&mut self) {
        self.thread = None;
        self.descriptors.copies.clear();
        self.descriptors.kinds.clear();
        let open: Vec<RawFd> = self.descriptors.known().into_iter().filter(|&fd| self.fetch(fd).is_ok()).collect();
        self.descriptors.sockets.retain(|fd, _| open.contains(fd));
        self.descriptors.outputs.retain(|fd, _| open.contains(fd));
        self.descriptors.timers.retain(|fd, _| open.contains(fd));
    }
}

impl Descriptors {
    /// Those that are something of the simulation's own.
    pub fn known(&self) -> Vec<RawFd> {
        let mut all: Vec<RawFd> =
            self.sockets.keys().chain(self.outputs.keys()).chain(self.timers.keys()).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Those of which anything is remembered.
    pub fn remembered(&self) -> Vec<RawFd> {
        let mut all = self.known();
        all.extend(self.copies.keys().chain(self.kinds.keys()));
        all
    }

    /// A descriptor was closed.
    pub fn forget(&mut self, descriptor: RawFd) {
        self.sockets.remove(&descriptor);
        self.outputs.remove(&descriptor);
        self.timers.remove(&descriptor);
        self.libraries.remove(&descriptor);
        self.copies.remove(&descriptor);
        self.kinds.remove(&descriptor);
    }

    /// A descriptor is now another number for an open file.
    pub fn duplicate(&mut self, from: RawFd, to: RawFd) {
        if from == to {
            return;
        }
        self.forget(to);
        if let Some(socket) = self.sockets.get(&from).cloned() {
            self.sockets.insert(to, socket);
        }
        if let Some(&output) = self.outputs.get(&from) {
            self.outputs.insert(to, output);
        }
        if let Some(timer) = self.timers.get(&from).cloned() {
            self.timers.insert(to, timer);
        }
    }

    /// What a child of the process has.
    pub fn inherited(&self) -> Descriptors {
        Descriptors {
            sockets: self.sockets.clone(),
            outputs: self.outputs.clone(),
            timers: self.timers.clone(),
            ..Descriptors::default()
        }
    }
}

/// The result of a call that returns a descriptor.
pub fn owned(result: i64) -> io::Result<OwnedFd> {
    match RawFd::try_from(result) {
        // SAFETY: the kernel has just made it for this process, and nothing else uses it.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The path by which a traced program opens a file that this thread has open: its descriptors are its own.
pub fn own_path(descriptor: RawFd) -> String {
    // SAFETY: it has no arguments.
    let own = unsafe { libc::gettid() };
    format!("/proc/{own}/fd/{descriptor}")
}

fn kind_of(descriptor: RawFd) -> Kind {
    // SAFETY: a structure of numbers, for which zeros are valid.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is live.
    if unsafe { libc::fstat(descriptor, &mut status) } != 0 {
        return Kind::Plain;
    }
    match status.st_mode & libc::S_IFMT {
        libc::S_IFCHR if libc::major(status.st_rdev) == 1 && matches!(libc::minor(status.st_rdev), 8 | 9) => {
            Kind::Random
        }
        // Terminals: /dev/tty and /dev/ptmx, and both kinds of pseudo-terminals.
        libc::S_IFCHR if matches!(libc::major(status.st_rdev), 4 | 5 | 136..=143) => Kind::Blocking,
        libc::S_IFREG | libc::S_IFDIR | libc::S_IFCHR | libc::S_IFBLK | libc::S_IFLNK => Kind::Plain,
        _ => Kind::Blocking,
    }
}

/// What is wanted of a descriptor of the tracer's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The descriptor.
    pub fd: RawFd,
    /// The events that are asked for (poll(2)).
    pub events: i16,
    /// The events that count. poll(2) tells of errors and of the other end's close even if they are not asked for.
    pub counts: i16,
}

impl Interest {
    /// Everything that poll(2) tells of counts.
    pub fn of(fd: RawFd, events: i16) -> Interest {
        Interest { fd, events, counts: !0 }
    }

    /// Whether there is something that counts.
    pub fn is_ready(self) -> bool {
        ready(self.fd, self.events) & self.counts != 0
    }
}

/// Which of these events a descriptor has now (poll(2)).
pub fn ready(descriptor: RawFd, events: i16) -> i16 {
    let mut poll = libc::pollfd { fd: descriptor, events, revents: 0 };
    // SAFETY: one live structure.
    if unsafe { libc::poll(&mut poll, 1, 0) } > 0 { poll.revents } else { 0 }
}

/// Whether reading or writing an open file returns at once with EAGAIN when it would block.
pub fn is_nonblocking(descriptor: RawFd) -> bool {
    // SAFETY: the call takes numbers only.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    flags & libc::O_NONBLOCK != 0
}
