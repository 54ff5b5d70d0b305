//! Whose turn it is, and when: hosts under the control of a caller.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;

use std::path::Path;
use std::rc::Rc;

use common::Linked::Statically;
use common::{MILLISECOND, Run, compile, finish, launch, run, setting};
use seedbed_intercept::{Ending, Host, Interleaving, Kernel, Setting, State};

fn start(kernel: &Rc<Kernel>, what: &str) -> Host {
    let program = compile("turns", Statically);
    Host::start(kernel, &launch(&program, &[what], Path::new("/")), &setting(1), 0).expect("it starts")
}

fn kernel() -> Rc<Kernel> {
    Rc::new(Kernel::new().expect("a kernel"))
}

fn lines(host: &mut Host) -> Vec<u64> {
    std::iter::from_fn(|| host.printer().take()).map(|line| line.time).collect()
}

fn yielding(interleaving: Interleaving, seed: u64) -> Run {
    run(&compile("turns", Statically), &["yield"], &Setting { interleaving, ..setting(seed) })
}

#[test]
fn a_drawn_interleaving_differs_from_seed_to_seed_and_repeats_with_its_own() {
    let orders: Vec<Run> = (1..=6).map(|seed| yielding(Interleaving::Drawn, seed)).collect();
    for (seed, order) in (1..=6).zip(&orders) {
        assert_eq!(order, &yielding(Interleaving::Drawn, seed), "seed {seed}");
    }
    let distinct: std::collections::BTreeSet<Vec<&str>> = orders.iter().map(Run::text).collect();
    assert!(distinct.len() >= 5, "{} orders of six seeds", distinct.len());
}

#[test]
fn nothing_happens_before_the_next_wake_and_nothing_later_than_now() {
    let kernel = kernel();
    let mut host = start(&kernel, "sleep");
    host.run(0);
    let mut seen = Vec::new();
    while let Some(wake) = host.next_wake() {
        host.run(wake - 1);
        assert_eq!(lines(&mut host), [], "something happened before {wake}");
        assert_eq!(host.next_wake(), Some(wake));
        host.run(wake);
        let times = lines(&mut host);
        assert!(times.iter().all(|&time| time <= wake), "{times:?} at {wake}");
        seen.extend(times);
    }
    assert_eq!((seen.len(), host.state()), (3, &State::Ended(Ending::Code(0))));
}

#[test]
fn a_datagram_wakes_at_once_and_a_pause_is_a_jump_of_time() {
    let kernel = kernel();
    let mut host = start(&kernel, "echo");
    while let Some(wake) = host.next_wake() {
        host.run(wake);
    }
    // It was paused until a second later.
    for arrival in [5 * MILLISECOND, 7 * MILLISECOND, 1_000 * MILLISECOND] {
        assert!(host.deliver(5000, 9000, b"x"));
        host.run(arrival);
        while host.take_sent().is_none() {
            host.run(host.next_wake().expect("it runs"));
        }
        let times = lines(&mut host);
        assert!(times.len() == 1 && (arrival..arrival + MILLISECOND).contains(&times[0]), "{times:?} after {arrival}");
    }
}

#[test]
fn a_poller_is_woken_by_a_datagram_not_by_its_nap() {
    let kernel = kernel();
    let mut host = start(&kernel, "poll");
    host.run(MILLISECOND);
    while host.next_wake().is_some_and(|wake| wake < 30 * MILLISECOND) {
        host.run(host.next_wake().expect("it runs"));
    }
    host.deliver(5000, 9000, b"x");
    host.run(30 * MILLISECOND);
    while let Some(wake) = host.next_wake() {
        host.run(wake);
    }
    let times = lines(&mut host);
    assert!(times.len() == 1 && times[0] < 30 * MILLISECOND + 100_000, "{times:?}");
}

#[test]
fn a_thread_that_never_waits_does_not_starve_the_others() {
    let run = run(&compile("turns", Statically), &["starve"], &setting(1));
    assert_eq!(run.text(), ["ok found"]);
    assert!(run.time < 10 * MILLISECOND, "{}", run.time);
}

#[test]
fn a_killed_host_is_over() {
    let kernel = kernel();
    let mut host = start(&kernel, "echo");
    host.run(MILLISECOND);
    host.kill();
    assert_eq!((host.state(), host.next_wake()), (&State::Ended(Ending::Signal(libc::SIGKILL)), None));
    assert!(!host.deliver(5000, 9000, b"x"));
}

/// Several hosts on one kernel, each in turn.
fn several() -> Vec<Vec<u64>> {
    let kernel = kernel();
    let mut hosts: Vec<Host> = ["sleep", "yield", "sleep", "yield"].iter().map(|what| start(&kernel, what)).collect();
    let mut seen = vec![Vec::new(); hosts.len()];
    while let Some((wake, place)) =
        hosts.iter().enumerate().filter_map(|(place, host)| Some((host.next_wake()?, place))).min()
    {
        hosts[place].run(wake);
        seen[place].extend(lines(&mut hosts[place]));
    }
    seen
}

#[test]
fn several_hosts_and_several_kernels_do_not_disturb_each_other_even_on_a_busy_machine() {
    let alone = several();
    assert_eq!(alone.iter().map(Vec::len).collect::<Vec<_>>(), [3, 60, 3, 60]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let others: Vec<_> = (0..4).map(|_| scope.spawn(several)).collect();
        let results: Vec<_> = others.into_iter().map(|other| other.join()).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for result in results {
            assert_eq!(result.expect("it ends"), alone);
        }
    });
}

/// What a host's program did and called.
fn told(
    kernel: &Rc<Kernel>,
    program: &str,
    arguments: &[&str],
    setting: &Setting,
    journal: bool,
) -> (Run, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let launch = launch(&compile(program, Statically), arguments, folder.path());
    let mut host = Host::start(kernel, &launch, setting, 0).expect("it starts");
    if journal {
        host.keep_journal(folder.path(), Path::new("/run"));
    }
    let run = finish(&mut host);
    (run, std::iter::from_fn(|| host.take_call()).map(|line| line.text).collect())
}

#[test]
fn a_journal_of_calls_changes_nothing_of_a_run() {
    let kernel = kernel();
    for (program, arguments) in [
        ("turns", &["yield"][..]),
        ("turns", &["sleep"]),
        ("sockets", &[]),
        ("signals", &[]),
        ("threads", &[]),
        ("processes", &[]),
    ] {
        for interleaving in [Interleaving::Fifo, Interleaving::Drawn] {
            let setting = Setting { interleaving, ..setting(5) };
            let (plain, silence) = told(&kernel, program, arguments, &setting, false);
            let (same, calls) = told(&kernel, program, arguments, &setting, true);
            assert_eq!(same, plain, "{program} {arguments:?}");
            assert!(silence.is_empty() && !calls.is_empty(), "{program} {arguments:?}");
            assert_eq!(told(&kernel, program, arguments, &setting, true).1, calls, "{program} {arguments:?}");
        }
    }
}

#[test]
fn clocks_need_no_call_whichever_thread_simulates() {
    let reads = || {
        let mut host = start(&kernel(), "starve");
        finish(&mut host);
        host.counts().1
    };
    let own = reads();
    assert!(own > 0, "clocks are read from their page");
    assert_eq!(std::thread::spawn(reads).join().expect("it simulates, too"), own);
}
