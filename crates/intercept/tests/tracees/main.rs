//! Each row of the table of system calls, tried out by small C programs. A program checks the answers itself: what calls
//! return, what they write, and how much virtual time they take. It prints `ok` and a name for each check. Each program
//! runs twice, and all that it did must be the same.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;

use std::path::PathBuf;
use std::rc::Rc;

use common::Linked::{self, Dynamically, Statically};
use common::{Run, compile, finish, launch, run, setting};
use seedbed_intercept::{Ending, Host, Interleaving, Kernel, Output, Setting, State};

/// Runs a program twice, each time in a fresh folder.
fn twice(name: &str, linked: Linked) -> Run {
    let program = compile(name, linked);
    let first = run(&program, &[], &setting(1));
    let second = run(&program, &[], &setting(1));
    assert_eq!(first, second, "two runs of {name} differ");
    first
}

/// A program prints exactly that these checks hold, and ends well.
fn holds(name: &str, linked: Linked, checks: &[&str]) {
    let run = twice(name, linked);
    let text: Vec<&str> = run.text();
    let expected: Vec<String> = checks.iter().map(|check| format!("ok {check}")).collect();
    assert_eq!(
        (text, &run.state),
        (expected.iter().map(String::as_str).collect(), &State::Ended(Ending::Code(0))),
        "{name}"
    );
}

/// What a program of random numbers prints, without what only says that calls have succeeded.
fn random_numbers(linked: Linked, seed: u64) -> Vec<String> {
    let program = compile("entropy", linked);
    let [first, second] = [(); 2].map(|()| run(&program, &[], &setting(seed)));
    assert_eq!(first, second, "two runs with seed {seed} differ");
    assert!(first.text().iter().all(|line| !line.starts_with("FAILED")), "{:#?}", first.text());
    first.text().into_iter().filter(|line| !line.starts_with("ok ")).map(str::to_owned).collect()
}

#[test]
fn whatever_looks_random_is_decided_by_the_seed() {
    for linked in [Statically, Dynamically] {
        let (one, other) = (random_numbers(linked, 1), random_numbers(linked, 2));
        assert_eq!(one.len(), other.len());
        for (one, other) in one.iter().zip(&other) {
            let is_random = one.starts_with("random ") && !one.ends_with(" none");
            assert_eq!(is_random, one != other, "{one} and {other}");
        }
        assert!(one.iter().any(|line| line == "numbers 100 100 1 100 100"), "{one:#?}");
    }
}

#[rustfmt::skip]
const CLOCKS: &[&str] = &[
    "wall clocks",
    "monotonic clocks",
    "monotonic clocks start at 1000 s",
    "time never goes back",
    "gettimeofday",
    "gettimeofday without the page",
    "time",
    "a clock that does not exist",
    "a bad address",
    "sleeping uses no processor",
    "getrusage",
    "times",
    "sysinfo",
    "nanosleep",
    "clock_nanosleep for a while",
    "clock_nanosleep until a time",
    "a time that is past",
    "usleep and sleep",
    "too many nanoseconds",
    "less than nothing",
    "no time at all",
    "a clock one cannot sleep by",
    "a loop that reads the time",
    "a loop that reads a clock",
    "a loop that yields",
    "a loop that polls",
    "a loop that receives",
];

#[test]
fn clocks_show_virtual_time_and_sleeps_take_it() {
    for linked in [Statically, Dynamically] {
        holds("clocks", linked, CLOCKS);
    }
}

#[rustfmt::skip]
const SOCKETS: &[&str] = &[
    "bind",
    "a taken port",
    "port 0",
    "bound twice",
    "a port is free again after close",
    "a copy keeps the port",
    "bind of IPv6",
    "getsockname of IPv6",
    "send over IPv6",
    "receive over IPv6",
    "a name with little room",
    "not a socket",
    "sendto",
    "recvfrom",
    "a port is given by the first send",
    "no address",
    "no peer",
    "connect",
    "getpeername",
    "write and read",
    "writev and readv",
    "sendmsg",
    "recvmsg",
    "the largest datagram",
    "a datagram that is too large",
    "an empty datagram",
    "a bad address",
    "a connection ends",
    "a closed socket",
    "SO_RCVTIMEO",
    "it can be read",
    "a receive that times out",
    "a receive in time",
    "MSG_DONTWAIT",
    "O_NONBLOCK",
    "SOCK_NONBLOCK",
    "SO_TYPE, SO_DOMAIN, SO_PROTOCOL",
    "SO_REUSEADDR",
    "FIONREAD of nothing",
    "MSG_PEEK",
    "FIONREAD",
    "MSG_PEEK with MSG_TRUNC",
    "recvmsg says what was cut",
    "the rest of a datagram is gone",
    "MSG_TRUNC",
    "fifty datagrams wait in order",
    "sendmmsg",
    "recvmmsg",
    "recvmmsg takes what there is",
    "recvmmsg of nothing",
    "to a socket of its own",
    "a connected socket hears its peer alone",
    "TCP leads nowhere",
];

#[test]
fn udp_sockets_answer_as_on_a_real_system() {
    for linked in [Statically, Dynamically] {
        holds("sockets", linked, SOCKETS);
    }
}

#[rustfmt::skip]
const READY: &[&str] = &[
    "poll for no time",
    "poll for 20 ms",
    "poll for ever",
    "poll of several",
    "read after poll",
    "sockets can be written",
    "poll of what is not open",
    "poll at a bad address",
    "ppoll",
    "poll of nothing sleeps",
    "select times out",
    "select",
    "select says what is left of the time",
    "select for writing",
    "select of what is not open",
    "pselect sleeps",
    "epoll_ctl",
    "epoll_wait for no time",
    "epoll_wait for 20 ms",
    "epoll by level",
    "nothing is left",
    "epoll by edge",
    "another edge",
    "epoll once",
    "armed again",
    "epoll of a counter",
    "epoll_pwait2",
    "poll of an epoll",
    "epoll of what is none",
];

#[test]
fn poll_select_and_epoll_agree_with_the_manual() {
    for linked in [Statically, Dynamically] {
        holds("ready", linked, READY);
    }
}

#[rustfmt::skip]
const DESCRIPTORS: &[&str] = &[
    "pipe",
    "a pipe is waited for",
    "an empty pipe that does not block",
    "a write larger than a pipe",
    "all of it is read",
    "writev of more than a pipe",
    "the end of a pipe",
    "a pipe without a reader",
    "a large write without a reader",
    "socketpair",
    "a write larger than a stream",
    "all of the stream is read",
    "a send larger than a stream",
    "SO_RCVTIMEO of a stream",
    "eventfd",
    "an event is waited for",
    "a semaphore",
    "dup",
    "dup2",
    "dup3",
    "dup2 onto itself",
    "F_DUPFD",
    "the last copy lives",
    "close_range",
    "printed",
    "complained",
    "a copy of the output",
    "standard input is empty",
    "a file",
    "sendfile leads to read and write",
    "a number that was something else before",
    "a socket lives in the next program",
    "another does not",
    "and its port is free",
    "a timer lives, too",
    "the next program has clocks",
];

#[test]
fn pipes_copies_and_counters_behave_across_programs() {
    for linked in [Statically, Dynamically] {
        holds("descriptors", linked, DESCRIPTORS);
    }
}

#[rustfmt::skip]
const THREADS: &[&str] = &[
    "join",
    "a mutex",
    "pthread_mutex_timedlock",
    "pthread_mutex_clocklock",
    "a condition by the wall clock",
    "a condition by the monotonic clock",
    "a broadcast wakes all",
    "a barrier",
    "a semaphore and a detached thread",
    "sem_timedwait",
    "sem_trywait",
    "FUTEX_WAIT times out",
    "another value",
    "nobody waits",
    "a crooked address",
    "a bad address",
    "no bits",
    "FUTEX_WAKE_BITSET",
    "FUTEX_CMP_REQUEUE of another value",
    "FUTEX_CMP_REQUEUE",
    "the others wait elsewhere",
    "FUTEX_WAKE_OP",
    "all were woken",
    "a thread has its own number",
    "the first thread can end first",
];

#[test]
fn threads_meet_and_wait_in_virtual_time() {
    for linked in [Statically, Dynamically] {
        holds("threads", linked, THREADS);
    }
}

#[rustfmt::skip]
const PROCESSES: &[&str] = &[
    "fork returns the number that the child sees",
    "the child's numbers",
    "clone tells the numbers",
    "a number that is none",
    "groups",
    "a group is waited for",
    "WNOHANG",
    "a child is waited for although another has ended",
    "the other is still there",
    "no children",
    "waitid without waiting",
    "waitid leaves a child",
    "waitid",
    "wait4",
    "a killed child",
    "many children one after another",
    "SIGCHLD ends a sleep",
    "and the child can be waited for",
    "ignored children leave nothing",
    "vfork and exec",
    "vfork and exit",
    "posix_spawn",
    "posix_spawn of nothing",
    "system",
    "popen",
    "a child writes to a pipe",
    "and ends",
    "a child that leaves a child",
    "is nobody's",
    "threads wait for their own children",
];

#[test]
fn processes_are_made_and_waited_for_by_virtual_numbers() {
    for linked in [Statically, Dynamically] {
        holds("processes", linked, PROCESSES);
    }
}

#[rustfmt::skip]
const SIGNALS: &[&str] = &[
    "nanosleep ends early",
    "and says what is left",
    "clock_nanosleep, too",
    "poll ends early",
    "what was left of a sleep is not written again",
    "select ends early",
    "epoll_wait ends early",
    "recv ends early",
    "read of a pipe ends early",
    "pause",
    "a signal at once",
    "SA_RESTART of recv",
    "SA_RESTART of read",
    "SA_RESTART of waitpid",
    "poll is never made again",
    "an ignored signal ends nothing",
    "a signal of the process ends one wait",
    "and not another",
    "a blocked signal ends nothing",
    "sigsuspend of one that is there",
    "sigsuspend",
    "ppoll with a mask",
    "pselect with a mask",
    "epoll_pwait with a mask",
    "sigwait",
    "sigtimedwait",
    "sigwaitinfo",
    "sigqueue",
    "sigpending",
    "an unblocked signal comes",
    "a signal of a child",
    "SIGTERM ends a child",
    "a child can be asked for",
    "sched_yield is not interrupted",
    "nor is a receive that does not wait",
];

#[test]
fn signals_end_waits_and_are_waited_for() {
    for linked in [Statically, Dynamically] {
        holds("signals", linked, SIGNALS);
    }
}

#[rustfmt::skip]
const TIMERS: &[&str] = &[
    "alarm says what was left",
    "alarm",
    "an alarm is taken back",
    "setitimer",
    "an interval",
    "getitimer",
    "setitimer says how it was",
    "a stopped timer",
    "a child has no alarm",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "a timer's signal",
    "an absolute time",
    "timer_delete",
    "a timer with a thread",
    "its function is called",
    "timerfd",
    "a period",
    "missed periods are counted",
    "timerfd_gettime",
    "a timer that does not block",
    "setting it forgets the count",
    "an absolute time of the wall clock",
    "poll of a timer",
    "what is no timer",
    "many timers one after another",
    "a closed timer is gone",
];

#[test]
fn timers_ring_in_virtual_time() {
    for linked in [Statically, Dynamically] {
        holds("timers", linked, TIMERS);
    }
}

#[rustfmt::skip]
const LOCKS: &[&str] = &[
    "flock does not wait",
    "flock waits",
    "flock lets go",
    "F_SETLK does not wait",
    "F_GETLK",
    "F_SETLKW",
    "unlocked",
    "a signal ends waiting for a lock",
    "a lock ends with its process",
    "a mutex of two processes",
    "a futex of two processes",
    "the other has woken one",
    "a condition of two processes",
];

#[test]
fn locks_and_memory_are_shared_by_two_processes() {
    for linked in [Statically, Dynamically] {
        holds("locks", linked, LOCKS);
    }
}

#[rustfmt::skip]
const EDGES: &[&str] = &[
    "pipe",
    "a pipe without a writer is no exception",
    "nor can it be written",
    "but it can be read to its end",
    "poll tells of it unasked",
    "timer_create",
    "one signal waits for all",
    "and is taken",
    "the others are counted",
    "a timer cannot be written",
    "flags of no timer",
    "a timer of a nanosecond",
    "has expired often",
    "recvmmsg waits for all",
    "shutdown ends a wait",
    "an option is what it was set to",
    "two that agree share a port",
    "port 0 is no address",
    "an address of another machine",
    "a pipe",
    "a child ends with its parent if it asked for that",
    "a stop that is ignored",
    "no room for events",
    "socketpair",
    "a long message",
    "arrives",
    "another program in a thread's place",
    "a socket after the first thread",
    "it can be read",
    "a pipe after the first thread",
];

#[test]
fn the_edges_of_calls_are_as_outside() {
    for linked in [Statically, Dynamically] {
        holds("edges", linked, EDGES);
    }
    // What is checked is what the kernel does.
    let output = std::process::Command::new(compile("edges", Dynamically)).output().expect("it starts");
    let expected: String = EDGES.iter().map(|check| format!("ok {check}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn what_one_thread_found_may_be_gone_when_its_turn_comes() {
    let program = compile("shared", Statically);
    for interleaving in [Interleaving::Fifo, Interleaving::Drawn] {
        for seed in 1..=3 {
            let run = run(&program, &[], &Setting { interleaving, ..setting(seed) });
            assert_eq!((run.text(), &run.state), (vec!["ok all is read"], &State::Ended(Ending::Code(0))), "{seed}");
        }
    }
}

#[test]
fn a_process_ends_whichever_thread_has_its_turn() {
    let program = compile("shared", Statically);
    // The end of a thread's turn comes with its 400th call.
    for calls in 380..=402 {
        let run = run(&program, &[&calls.to_string()], &setting(1));
        assert_eq!(run.state, State::Ended(Ending::Code(0)), "after {calls} calls");
    }
}

#[test]
fn files_change_as_outside_and_what_changes_beyond_the_folder_is_told() {
    let (own, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let beyond = outside.path().join("beyond");
    std::fs::create_dir(&beyond).expect("a folder");
    let kernel = Rc::new(Kernel::new().expect("a kernel"));
    let arguments = [beyond.to_str().expect("a path")];
    let launch = launch(&compile("changes", Statically), &arguments, own.path());
    let mut host = Host::start(&kernel, &launch, &setting(1), 0).expect("it starts");
    let run = finish(&mut host);
    let checks: Vec<&str> = run.text().into_iter().filter(|line| line.starts_with("FAILED")).collect();
    assert_eq!((checks, &run.state), (vec![], &State::Ended(Ending::Code(0))));
    let printed = |output| {
        let lines = run.lines.iter().filter(|(_, to, text)| *to == output && !text.starts_with("ok "));
        lines.map(|(_, _, text)| text.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(printed(Output::Out), ["out", "out again"]);
    assert_eq!(printed(Output::Error), ["error", "error again"]);
    let told: Vec<PathBuf> = ["folder", "link", "renamed", "new", "../new-too"]
        .iter()
        .map(
            |name| {
                if let Some(name) = name.strip_prefix("../") { outside.path().join(name) } else { beyond.join(name) }
            },
        )
        .collect();
    assert_eq!(host.written_outside(), told);
}
