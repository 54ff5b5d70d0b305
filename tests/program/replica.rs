//! The program, as a process over UDP.

#[cfg(target_os = "linux")]
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::panic;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::processes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use seedbed::node::{Members, Node};
use seedbed::service::{Operation, Response};
use seedbed::time::{Span, Time};
use seedbed::wire::{Address, Datagram, Datagrams, Envelope};
use seedbed_core::clock::Clock;
use seedbed_core::replica::{Config, Replica};
use serde_json::json;

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Span = Span::from_secs(30);

fn program() -> Command {
    let mut command = processes::kvstore();
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A replica's process, which ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(command: &mut Command) -> Process {
        Process(command.spawn().expect("the program starts"))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).expect("a signal that can be sent");
    }

    /// Waits for its end and returns the signal that ended it and what it printed.
    fn ended_by(&mut self) -> (Option<i32>, String) {
        let mut printed = String::new();
        let status = self.0.wait().expect("a child");
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        stdout.into_iter().for_each(|mut pipe| drop(pipe.read_to_string(&mut printed)));
        stderr.into_iter().for_each(|mut pipe| drop(pipe.read_to_string(&mut printed)));
        (status.signal(), printed)
    }
}

/// Waits, while others do something.
fn pause(millis: u64) {
    let clock = Clock::start();
    let end = Time::ZERO + Span::from_millis(millis);
    while clock.now() < end {
        let left = Timespec { tv_sec: 0, tv_nsec: end.since(clock.now()).nanos().min(100_000_000) as _ };
        // An interruption is no harm.
        let _ = poll(&mut [], Some(&left));
    }
}

/// A router's socket for one replica.
fn socket() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_nanos(PATIENCE.nanos()))).expect("a timeout");
    let port = socket.local_addr().expect("an address").port();
    (socket, port.to_string())
}

fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = [0; 1 << 16];
    let (length, from) = loop {
        match socket.recv_from(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => break received.expect("a datagram"),
        }
    };
    (String::from_utf8(buffer[..length].to_vec()).expect("text"), from)
}

const HELLO: &str = r#"{"src":"0A1F","dst":"FFFF","leader":"FFFF","type":"hello","MID":"1"}"#;

#[test]
fn a_replica_says_hello_and_sigterm_and_sigint_end_it_at_once() {
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2)] {
        let (router, port) = socket();
        let mut process = Process::start(program().args([&port, "0a1f", "0001", "F000"]));
        let (hello, from) = receive(&router);
        assert_eq!(hello, HELLO);
        assert!(from.ip().is_loopback());
        process.signal(signal);
        assert_eq!(process.ended_by(), (Some(number), String::new()));
    }
}

#[test]
fn bad_arguments_are_told_with_the_usage() {
    let too_many: Vec<String> = (0..102).map(|number| format!("{number:04}")).collect();
    let too_many: Vec<&str> = ["1"].into_iter().chain(too_many.iter().map(String::as_str)).collect();
    for (arguments, told) in [
        (&[][..], "required"),
        (&["1234"], "required"),
        (&["1234", "0000"], "required"),
        (&["0", "0000", "0001"], "0 is not in 1..=65535"),
        (&["65536", "0000", "0001"], "65536 is not in 1..=65535"),
        (&["port", "0000", "0001"], "invalid digit"),
        (&["1234", "000", "0001"], "an address is four hexadecimal digits"),
        (&["1234", "0000", "000G"], "an address is four hexadecimal digits"),
        (&["1234", "00aa", "00AA"], "00AA is this replica's own ID"),
        (&["1234", "0000", "0001", "0001"], "0001 is given twice"),
        (&["1234", "0000", "ffff"], "FFFF is everyone's address"),
        (&too_many, "there are 101 other replicas; allowed is 1 to 100"),
        (&["--colour", "1234", "0000", "0001"], "unexpected argument"),
    ] {
        let Output { status, stdout, stderr } = program().args(arguments).output().expect("the program starts");
        let stderr = String::from_utf8(stderr).expect("text");
        assert_eq!((status.code(), stdout.len()), (Some(2), 0), "{arguments:?}");
        assert!(stderr.contains(told) && stderr.contains("Usage: 3700kvstore"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn help_and_version_are_told_when_asked_for() {
    for (flag, told) in [("--help", "SEEDBED_SEED"), ("--version", concat!("3700kvstore ", env!("CARGO_PKG_VERSION")))]
    {
        let output = program().arg(flag).output().expect("the program starts");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
        assert!(String::from_utf8(output.stdout).expect("text").contains(told));
    }
}

#[test]
fn a_variable_that_makes_no_sense_is_named() {
    for (name, value, told) in [
        ("SEEDBED_LOG", "loud", "3700kvstore: SEEDBED_LOG is 'loud'; allowed is info, debug or off\n"),
        (
            "SEEDBED_SEED",
            "-1",
            "3700kvstore: SEEDBED_SEED is '-1'; allowed is a whole number from 0 to 18446744073709551615\n",
        ),
        (
            "SEEDBED_SEED",
            "",
            "3700kvstore: SEEDBED_SEED is ''; allowed is a whole number from 0 to 18446744073709551615\n",
        ),
        ("SEEDBED_DATA", "", "3700kvstore: SEEDBED_DATA is ''; allowed is a folder\n"),
    ] {
        let output = program().args(["1234", "0000", "0001"]).env(name, value).output().expect("the program starts");
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        assert_eq!((output.status.code(), &*printed), (Some(2), told));
    }
}

#[test]
fn a_folder_that_cannot_be_used_ends_the_replica_and_is_named() {
    let refused = |data: &Path, ids: [&str; 2]| {
        let output = program().arg("1234").args(ids).env("SEEDBED_DATA", data).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("text")
    };
    let told = refused(Path::new("/proc/none"), ["0A1F", "0001"]);
    let expected = "3700kvstore: SEEDBED_DATA: cannot create the folder /proc/none/0A1F: No such file or directory";
    assert!(told.starts_with(expected), "{told}");
    let folder = tempfile::tempdir().expect("a folder");
    let (_router, port) = socket();
    let mut first = Process::start(program().args([&port, "0A1F", "0001"]).env("SEEDBED_DATA", folder.path()));
    let file = folder.path().join("0A1F/seedbed.redb");
    while !file.exists() {
        assert!(first.0.try_wait().expect("a child").is_none(), "it has ended");
    }
    let told = refused(folder.path(), ["0A1F", "0001"]);
    assert!(told.contains("0A1F is in use; stop the server that uses it"), "{told}");
    drop(first);
    let told = refused(folder.path(), ["0A1F", "0002"]);
    let expected = "belongs to server 1 of the 2 of cluster \"0001 0A1F\" (3700kvstore) and not to server 1 of the 2 of \
                    cluster \"0002 0A1F\" (3700kvstore); name another folder";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_file_that_may_not_grow_ends_the_replica_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"ulimit -f 40; exec "$0" 1234 0A1F 0001"#, env!("CARGO_BIN_EXE_3700kvstore")]);
    let output = limited.env("SEEDBED_DATA", folder.path()).output().expect("a shell starts");
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("no room to write") && told.contains("make room on its file system"), "{told}");
}

#[test]
fn a_replica_outlives_its_router_for_a_while() {
    let (router, port) = socket();
    let mut process = Process::start(program().args([&port, "0A1F", "0001", "0002"]).env("SEEDBED_LOG", "info"));
    assert_eq!(receive(&router).0, HELLO);
    let address = router.local_addr().expect("an address");
    drop(router);
    let stderr = process.0.stderr.take().expect("a pipe");
    let lines = BufReader::new(stderr).lines();
    let told = lines.map(|line| line.expect("text")).find(|line| line.contains("the router's port is closed"));
    assert!(told.is_some(), "the program ended");
    // It still campaigns.
    let router = UdpSocket::bind(address).expect("the same port again");
    router.set_read_timeout(Some(Duration::from_nanos(PATIENCE.nanos()))).expect("a timeout");
    let hello_again = receive(&router).0;
    assert!(hello_again.contains(r#""type":"hello""#), "{hello_again}");
    assert!(receive(&router).0.contains("RequestVote"));
    assert!(process.0.try_wait().expect("a child").is_none());
}

#[test]
fn a_replica_says_hello_again_to_a_router_that_comes_late() {
    let (router, port) = socket();
    let address = router.local_addr().expect("an address");
    drop(router);
    let _process = Process::start(program().args([&port, "0A1F", "0001", "0002"]));
    pause(300);
    let router = UdpSocket::bind(address).expect("the same port again");
    router.set_read_timeout(Some(Duration::from_nanos(PATIENCE.nanos()))).expect("a timeout");
    let hello = receive(&router).0;
    assert!(hello.contains(r#""src":"0A1F","dst":"FFFF""#) && hello.contains(r#""type":"hello""#), "{hello}");
    // Once is enough for a router that is there.
    for _ in 0..4 {
        assert!(receive(&router).0.contains("RequestVote"));
    }
}

#[test]
fn a_replica_hears_only_its_router_and_nothing_damaged() {
    let (router, port) = socket();
    let (stranger, _) = socket();
    let _process = Process::start(program().args([&port, "0A1F", "0001"]));
    let (_, replica) = receive(&router);
    assert_eq!(replica.ip(), Ipv4Addr::LOCALHOST);
    // The reply brings the time of sending back, and so says whose append it answers.
    let append = |sent: u64| {
        let envelope = Envelope { src: Address(1), dst: Address(0x0A1F), leader: Address(1), mid: "1" };
        let body = json!({"t": 5, "pi": 0, "pt": 0, "c": 0, "s": sent, "e": []});
        let mut out = Datagrams::new();
        out.push(&envelope, "AppendEntries", &body);
        out.iter().next().expect("a datagram").to_vec()
    };
    // What was damaged on the way is not read either.
    let damaged = String::from_utf8(append(3)).expect("text").replace(r#""s":3"#, r#""s":1"#);
    router.send_to(damaged.as_bytes(), replica).expect("a datagram");
    stranger.send_to(&append(1), replica).expect("a datagram");
    router.send_to(&append(2), replica).expect("a datagram");
    let reply = loop {
        let (text, _) = receive(&router);
        if text.contains("AppendReply") {
            break text;
        }
    };
    assert!(reply.contains(r#""s":2"#), "{reply}");
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_replica_sleeps() {
    let (router, port) = socket();
    let process = Process::start(program().args([&port, "0A1F", "0001", "0002"]));
    receive(&router);
    let wakes = || {
        let path = format!("/proc/{}/status", process.0.id());
        let status = fs::read_to_string(path).expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).expect("a line");
        line.trim().parse::<u64>().expect("a number")
    };
    let before = wakes();
    pause(1_500);
    // It campaigns now and then, in vain.
    let woken = wakes() - before;
    assert!(woken < 100, "it woke {woken} times");
}

#[test]
fn a_replica_whose_standard_error_is_closed_goes_on() {
    let (router, port) = socket();
    let mut process = Process::start(program().args([&port, "0A1F", "0001", "0002"]).env("SEEDBED_LOG", "debug"));
    drop(process.0.stderr.take());
    let (hello, from) = receive(&router);
    assert_eq!(hello, HELLO);
    router.send_to(b"garbage", from).expect("a datagram");
    for _ in 0..4 {
        assert!(receive(&router).0.contains("RequestVote"));
    }
    assert!(process.0.try_wait().expect("a child").is_none());
}

#[test]
fn a_flood_of_garbage_does_not_stop_its_timers() {
    let (router, port) = socket();
    let _process = Process::start(program().args([&port, "0A1F", "0001", "0002"]));
    let (_, replica) = receive(&router);
    let dry = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !dry.load(Ordering::Relaxed) {
                // What does not fit in the replica's buffer is lost, which is as well.
                let _ = router.send_to(&[b'['; 1_000], replica);
            }
        });
        let campaign = panic::catch_unwind(|| receive(&router).0);
        dry.store(true, Ordering::Relaxed);
        assert!(campaign.expect("a campaign").contains("RequestVote"));
    });
}

#[test]
fn a_replica_with_a_seed_campaigns_when_the_seed_says() {
    let members = Members::new(Address(0x0A1F), &[Address(1)]).expect("a cluster");
    for seed in [0, u64::MAX] {
        let start = |identity| Replica::new(identity, Config::default()).expect("a replica");
        let due = Node::new(members.clone(), seed, start).poll_timeout().as_secs_f64();
        let (_router, port) = socket();
        let mut command = program();
        command.args([&port, "0A1F", "0001"]).env("SEEDBED_LOG", "info").env("SEEDBED_SEED", seed.to_string());
        let mut process = Process::start(&mut command);
        let stderr = BufReader::new(process.0.stderr.take().expect("a pipe"));
        let mut lines = stderr.lines().map(|line| line.expect("text"));
        let first = lines.next().expect("a line");
        assert!(first.ends_with(&format!("started as 0A1F of 2 replicas, seed {seed}")), "{first}");
        let line = lines.find(|line| line.contains("now candidate term 1, leader FFFF")).expect("a campaign");
        let time: f64 = line[1..].trim_start().split(' ').next().expect("a time").parse().expect("seconds");
        assert!((due - 1e-6..due + 10.0).contains(&time), "{line}: due at {due}");
    }
}

/// Processes and the router between them.
struct Cluster {
    processes: Vec<Process>,
    sockets: Vec<UdpSocket>,
    /// Where each replica is, once it has said hello.
    replicas: Vec<Option<SocketAddr>>,
    clock: Clock,
    out: Datagrams,
    /// Whom the client asks.
    to: Address,
    attempts: usize,
    /// How many appends with entries have been passed on.
    appends: usize,
}

const CLIENT: Address = Address(0x13);

/// How many puts are in a burst.
const PUTS: usize = 30;

impl Cluster {
    fn start(count: usize) -> Cluster {
        let ids: Vec<String> = (0..count).map(|place| Address(place as u16).to_string()).collect();
        let (mut processes, mut sockets) = (Vec::new(), Vec::new());
        for own in &ids {
            let (socket, port) = socket();
            socket.set_nonblocking(true).expect("a socket that does not block");
            sockets.push(socket);
            let others = ids.iter().filter(|other| *other != own);
            processes.push(Process::start(program().args([&port, own]).args(others)));
        }
        let replicas = vec![None; count];
        let (clock, out) = (Clock::start(), Datagrams::new());
        Cluster { processes, sockets, replicas, clock, out, to: Address(0), attempts: 0, appends: 0 }
    }

    /// Asks until the answer is `ok`, and returns the value. Redirects and failures are followed.
    fn ask(&mut self, operation: &Operation) -> Option<String> {
        self.await_hellos();
        loop {
            self.attempts += 1;
            let mid = format!("{} \"é\"", self.attempts);
            let envelope = Envelope { src: CLIENT, dst: self.to, leader: Address::BROADCAST, mid: &mid };
            self.out.clear();
            self.out.push_operation(&envelope, operation);
            self.pass_on(self.to, self.out.iter().next().expect("a request"));
            let answer = self.await_answer();
            let datagram = Datagram::parse(answer.as_bytes()).expect("an answer");
            assert_eq!(datagram.mid.as_deref(), Some(&*mid));
            match datagram.response().expect("an answer") {
                Response::Ok { value } => return value.map(|value| value.to_string()),
                _ if datagram.leader == Address::BROADCAST => {}
                _ => self.to = datagram.leader,
            }
        }
    }

    fn await_hellos(&mut self) {
        while self.replicas.iter().any(Option::is_none) {
            assert_eq!(self.route(), None, "nobody has asked");
        }
    }

    fn await_answer(&mut self) -> String {
        loop {
            if let Some(answer) = self.route() {
                return answer;
            }
        }
    }

    /// Sends a datagram to a replica, if it is there.
    fn pass_on(&self, to: Address, bytes: &[u8]) {
        if let Some(Some(address)) = self.replicas.get(usize::from(to.0)) {
            // One that has ended is no trouble of the router's.
            let _ = self.sockets[usize::from(to.0)].send_to(bytes, address);
        }
    }

    /// Waits for datagrams and passes them on, up to the first answer for the client.
    fn route(&mut self) -> Option<String> {
        assert!(self.clock.now() < Time::ZERO + PATIENCE, "it takes too long");
        let mut ready: Vec<PollFd<'_>> = self.sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        // However it ends, what waits is looked at.
        let _ = poll(&mut ready, Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
        let mut buffer = [0; 1 << 16];
        for place in 0..self.sockets.len() {
            while let Ok((length, from)) = self.sockets[place].recv_from(&mut buffer) {
                self.replicas[place] = Some(from);
                let datagram = Datagram::parse(&buffer[..length]).expect("JSON");
                assert_eq!(datagram.src, Address(place as u16));
                let is_heartbeat = buffer[..length].ends_with(br#""e":[]}"#);
                self.appends += usize::from(datagram.kind == "AppendEntries" && !is_heartbeat);
                match datagram.dst {
                    CLIENT => return Some(String::from_utf8(buffer[..length].to_vec()).expect("text")),
                    to => self.pass_on(to, &buffer[..length]),
                }
            }
        }
        None
    }
}

#[test]
fn three_processes_elect_a_leader_and_answer_also_after_it_has_died() {
    let mut cluster = Cluster::start(3);
    let put = |value: &str| Operation::Put { key: "name".into(), value: value.into() };
    let get = Operation::Get { key: "name".into() };
    assert_eq!(cluster.ask(&get).as_deref(), Some(""));
    for number in 0..50 {
        assert_eq!(cluster.ask(&put(&number.to_string())), None);
        assert_eq!(cluster.ask(&get), Some(number.to_string()));
    }
    let leader = usize::from(cluster.to.0);
    cluster.processes[leader].signal(Signal::KILL);
    assert_eq!(cluster.processes[leader].ended_by(), (Some(9), String::new()));
    cluster.to = Address((leader as u16 + 1) % 3);
    assert_eq!(cluster.ask(&get).as_deref(), Some("49"));
    assert_eq!(cluster.ask(&put("Christo Wilson \u{1F600}")), None);
    assert_eq!(cluster.ask(&get).as_deref(), Some("Christo Wilson \u{1F600}"));
    for place in (0..3).filter(|&place| place != leader) {
        cluster.processes[place].signal(Signal::TERM);
        assert_eq!(cluster.processes[place].ended_by(), (Some(15), String::new()), "silent by default");
    }
}

#[test]
fn requests_that_wait_together_share_their_appends() {
    let mut cluster = Cluster::start(5);
    let get = Operation::Get { key: "name".into() };
    cluster.ask(&get);
    let leader = usize::from(cluster.to.0);
    cluster.processes[leader].signal(Signal::STOP);
    cluster.out.clear();
    for number in 0..PUTS {
        let mid = format!("put {number}");
        let envelope = Envelope { src: CLIENT, dst: cluster.to, leader: Address::BROADCAST, mid: &mid };
        cluster.out.push_operation(&envelope, &Operation::Put { key: "name".into(), value: mid.as_str().into() });
    }
    for bytes in cluster.out.iter() {
        cluster.pass_on(cluster.to, bytes);
    }
    cluster.processes[leader].signal(Signal::CONT);
    let appends = cluster.appends;
    for _ in 0..PUTS {
        let answer = cluster.await_answer();
        let response = Datagram::parse(answer.as_bytes()).expect("an answer").response();
        assert_eq!(response, Some(Response::Ok { value: None }));
    }
    // Two of the four others make a quorum, so two appends would do. On a busy machine some are sent again. Without
    // batches it would be two for each put.
    let appends = cluster.appends - appends;
    println!("{appends} appends for {PUTS} puts");
    assert!((2..=PUTS / 3).contains(&appends), "{appends} appends for {PUTS} puts");
}
