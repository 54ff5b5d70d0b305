//! What the tests of intercepted programs share: compiling them, running them on a host with a small network, and
//! comparing what two runs did.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use seedbed_intercept::{Datagram, Host, Interleaving, Kernel, Launch, Output, Setting, State, TimeModel, Unsupported};

/// One millisecond of virtual time.
pub const MILLISECOND: u64 = 1_000_000;

/// One second of virtual time.
pub const SECOND: u64 = 1_000 * MILLISECOND;

/// The most turns of a host in one run. A run that needs more never ends.
const TURNS_MAX: usize = 200_000;

/// The time by which a run must be over.
const TIME_MAX: u64 = 10_000 * SECOND;

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Linked {
    /// It contains the C library.
    Statically,
    /// The loader finds the C library when it starts.
    Dynamically,
}

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What it printed: when, where and what.
    pub lines: Vec<(u64, Output, String)>,
    /// What it sent, and when that was seen.
    pub sent: Vec<(u64, Datagram)>,
    /// How it ended.
    pub state: State,
    /// When it ended.
    pub time: u64,
    /// The calls that stopped, by name.
    pub calls: BTreeMap<String, u64>,
}

impl Run {
    /// What it printed to both outputs, without times.
    pub fn text(&self) -> Vec<&str> {
        self.lines.iter().map(|(_, _, text)| text.as_str()).collect()
    }

    /// How many of its calls stopped.
    pub fn calls_total(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// Takes a mutex, also after a test that held it has failed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compiles a program of `tests/programs`, once for each way of linking it. Returns its file.
pub fn compile(name: &str, linked: Linked) -> PathBuf {
    type Compiled = Mutex<BTreeMap<(String, Linked), PathBuf>>;
    static COMPILED: OnceLock<Compiled> = OnceLock::new();
    let mut compiled = lock(COMPILED.get_or_init(Compiled::default));
    let key = (name.to_owned(), linked);
    if let Some(program) = compiled.get(&key) {
        return program.clone();
    }
    let program = run_compiler(name, linked);
    compiled.insert(key, program.clone());
    program
}

fn run_compiler(name: &str, linked: Linked) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(format!("{name}.c"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("intercepted");
    std::fs::create_dir_all(&folder).expect("a folder for programs");
    let (suffix, flag) = match linked {
        Linked::Statically => ("static", "-static"),
        Linked::Dynamically => ("dynamic", "-rdynamic"),
    };
    let program = folder.join(format!("{name}-{suffix}"));
    let output = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", flag, "-o"])
        .args([&program, &source])
        .output()
        .unwrap_or_else(|error| panic!("these tests compile C programs, but `cc` cannot be run: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cc cannot compile {}:\n{complaints}", source.display());
    program
}

/// A program with arguments and a small environment, in a folder.
pub fn launch(program: &Path, arguments: &[&str], folder: &Path) -> Launch {
    let name = program.file_name().expect("a file").to_owned();
    Launch {
        program: program.to_owned(),
        arguments: std::iter::once(name).chain(arguments.iter().map(OsString::from)).collect(),
        environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()), ("HOME".into(), "/".into())],
        folder: folder.to_owned(),
        writable: folder.to_owned(),
    }
}

/// The setting of a seed.
pub fn setting(seed: u64) -> Setting {
    Setting {
        seed,
        first_id: 100,
        model: TimeModel::default(),
        interleaving: Interleaving::Fifo,
        unsupported: Unsupported::Ends,
    }
}

/// Runs a program in a fresh folder until its end.
pub fn run(program: &Path, arguments: &[&str], setting: &Setting) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let kernel = Rc::new(Kernel::new().expect("a kernel"));
    run_on(&kernel, &launch(program, arguments, folder.path()), setting)
}

/// Runs a program until its end.
pub fn run_on(kernel: &Rc<Kernel>, launch: &Launch, setting: &Setting) -> Run {
    let mut host = Host::start(kernel, launch, setting, 0).unwrap_or_else(|error| panic!("{error}"));
    finish(&mut host)
}

/// Runs a host until its end.
pub fn finish(host: &mut Host) -> Run {
    let mut network = Network::default();
    let (mut run, mut now, mut turns) = (Run::nothing(), 0, 0);
    while *host.state() == State::Running {
        let next = host.next_wake().into_iter().chain(network.next_arrival()).min();
        let Some(next) = next else { panic!("it waits for ever, after {now} ns: {run:#?}") };
        now = next.max(now);
        turns += 1;
        assert!(turns < TURNS_MAX && now < TIME_MAX, "it does not end, after {now} ns: {run:#?}");
        network.deliver(now, host);
        host.run(now);
        run.collect(now, host, &mut network);
    }
    run.time = now;
    run.state = host.state().clone();
    run.calls = host.counts().0.into_iter().collect();
    run
}

impl Run {
    fn nothing() -> Run {
        Run { lines: Vec::new(), sent: Vec::new(), state: State::Running, time: 0, calls: BTreeMap::new() }
    }

    fn collect(&mut self, now: u64, host: &mut Host, network: &mut Network) {
        while let Some(line) = host.printer().take() {
            self.lines.push((line.time, line.output, String::from_utf8_lossy(&line.bytes).into_owned()));
        }
        while let Some(datagram) = host.take_sent() {
            network.receive(now, &datagram);
            self.sent.push((now, datagram));
        }
    }
}

/// What is at the other end of a program's sockets. Each port answers in its own way: 7000 sends everything back after
/// 1 ms; 7001 sends N datagrams of one byte for a datagram that begins with the byte N; 7050 sends everything back after
/// 50 ms. Others never answer.
#[derive(Debug, Default)]
struct Network {
    /// In the order of their arrival.
    underway: VecDeque<(u64, Datagram)>,
}

impl Network {
    fn receive(&mut self, now: u64, datagram: &Datagram) {
        let answer = |bytes: Vec<u8>| Datagram { from: datagram.to, to: datagram.from, bytes };
        match datagram.to {
            7000 => self.add(now + MILLISECOND, answer(datagram.bytes.clone())),
            7001 => (0..datagram.bytes[0]).for_each(|number| self.add(now + MILLISECOND, answer(vec![number]))),
            7050 => self.add(now + 50 * MILLISECOND, answer(datagram.bytes.clone())),
            _ => {}
        }
    }

    fn add(&mut self, time: u64, datagram: Datagram) {
        let place = self.underway.partition_point(|(other, _)| *other <= time);
        self.underway.insert(place, (time, datagram));
    }

    fn next_arrival(&self) -> Option<u64> {
        self.underway.front().map(|(time, _)| *time)
    }

    fn deliver(&mut self, now: u64, host: &mut Host) {
        while self.next_arrival().is_some_and(|time| time <= now)
            && let Some((_, datagram)) = self.underway.pop_front()
        {
            host.deliver(datagram.to, datagram.from, &datagram.bytes);
        }
    }
}

/// Processes that this one has started or traces, and that have not ended or were not waited for.
pub fn left_behind() -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "it looks for its own children")]
    let own = std::process::id().to_string();
    let number = |text: &str, field: &str| {
        text.lines().find_map(|line| Some(line.strip_prefix(field)?.trim().to_owned())).unwrap_or_default()
    };
    let entries = std::fs::read_dir("/proc").expect("the list of processes").flatten();
    let statuses = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
    statuses
        .filter(|status| {
            number(status, "PPid:") == own
                || number(status, "Tgid:") != own && is_own_thread(&number(status, "TracerPid:"))
        })
        .map(|status| status.lines().take(3).collect::<Vec<_>>().join(" "))
        .collect()
}

fn is_own_thread(number: &str) -> bool {
    number != "0" && Path::new("/proc/self/task").join(number).exists()
}

/// How many descriptors this thread has. Once it has simulated something they are its own.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/thread-self/fd").expect("the list of descriptors").count()
}
