//! Replicas that answer at once without replicating, and replicas that misbehave.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use seedbed::service::{Operation, Response, Text};
use seedbed::wire::{Address, DATAGRAM_BYTES_MAX, Datagram, Datagrams, Envelope};

use super::primary::{self, Variant};

/// A way to play a replica.
type Play = fn(Lan) -> ExitCode;

/// All programs by name.
pub const PROGRAMS: &[(&str, Play)] = &[
    ("stub", stub),
    ("quits", |_| ExitCode::from(3)),
    ("mute", |_| idle()),
    ("late", late),
    ("protester", protester),
    ("garbage", garbage),
    ("unknown-mid", unknown_mid),
    ("no-mid", no_mid),
    ("odd-type", odd_type),
    ("wrong-destination", wrong_destination),
    ("anothers-src", anothers_src),
    ("storm", storm),
    ("closes", closes),
    ("chatter", chatter),
    ("stubborn", stubborn),
    ("dies-of-requests", dies_of_requests),
    ("twice", twice),
    ("fails", fails),
    ("lies", lies),
    ("no-value", no_value),
    ("mortal", mortal),
    ("ghost", ghost),
    ("deserter", deserter),
    ("tells-leader", tells_leader),
    ("odd-leader", odd_leader),
    ("redirects-twice", redirects_twice),
    ("plain", |lan| primary::play(lan, Variant::Plain)),
    ("slow", |lan| primary::play(lan, Variant::Slow)),
    ("early", |lan| primary::play(lan, Variant::Early)),
    ("nan", |lan| primary::play(lan, Variant::NaN)),
    ("key-twice", |lan| primary::play(lan, Variant::Twice)),
    ("surrogate", |lan| primary::play(lan, Variant::Surrogate)),
    ("latin", |lan| primary::play(lan, Variant::Latin)),
    ("empty", |lan| primary::play(lan, Variant::Empty)),
    ("bom", |lan| primary::play(lan, Variant::Bom)),
    ("lower", |lan| primary::play(lan, Variant::Lower)),
    ("wrong-src", |lan| primary::play(lan, Variant::WrongSrc)),
    ("many-sockets", |lan| primary::play(lan, Variant::ManySockets)),
    ("talk", |lan| primary::play(lan, Variant::Talk)),
    ("durable", durable),
    ("arguments", arguments),
    ("vanishes", vanishes),
    ("stale", |lan| primary::play(lan, Variant::Stale)),
];

/// Where programs leave their process IDs, if the environment names a file.
pub const PIDS: &str = "SEEDBED_TEST_PIDS";

/// The environment variable that names a folder for files of replicas.
pub const FOLDER: &str = "SEEDBED_TEST_FOLDER";

/// Plays a replica: name of the program, then the handout's arguments.
pub fn main(arguments: &[String]) -> ExitCode {
    let [name, port, own, others @ ..] = arguments else { panic!("a program and its arguments") };
    let (_, play) = PROGRAMS.iter().find(|(known, _)| known == name).expect("a known program");
    #[expect(clippy::disallowed_methods, reason = "a test asks a process of its own for its ID")]
    leave_pid(std::process::id());
    play(Lan::new(port.parse().expect("a port"), own, others))
}

#[expect(clippy::disallowed_methods, reason = "a test asks a process of its own for its ID")]
fn leave_pid(pid: u32) {
    if let Some(path) = std::env::var_os(PIDS) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("a file for process IDs");
        file.write_all(format!("{pid}\n").as_bytes()).expect("a process ID is written");
    }
}

/// A replica's place on the LAN.
pub struct Lan {
    socket: UdpSocket,
    own: Address,
    others: Vec<Address>,
    /// Whom the newest request names as the leader.
    told: Address,
    out: Datagrams,
    buffer: Vec<u8>,
}

impl Lan {
    fn new(port: u16, own: &str, others: &[String]) -> Lan {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.connect((Ipv4Addr::LOCALHOST, port)).expect("a port");
        Lan {
            socket,
            own: own.parse().expect("an address"),
            others: others.iter().map(|other| other.parse().expect("an address")).collect(),
            told: Address::BROADCAST,
            out: Datagrams::new(),
            buffer: vec![0; DATAGRAM_BYTES_MAX],
        }
    }

    /// The lowest address leads, without asking anybody.
    fn leader(&self) -> Address {
        self.others.iter().copied().fold(self.own, Address::min)
    }

    /// Its own address.
    pub fn own(&self) -> Address {
        self.own
    }

    /// The addresses of the others.
    pub fn others(&self) -> &[Address] {
        &self.others
    }

    /// From now on, [`Lan::receive`] waits no longer than this.
    pub fn wait_at_most(&self, time: Duration) {
        self.socket.set_read_timeout(Some(time)).expect("a timeout");
    }

    /// The length of the next datagram, if one comes in time.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        self.socket.recv(buffer).ok()
    }

    pub fn hello(&mut self) {
        let leader = Address::BROADCAST;
        self.out.push_hello(&Envelope { src: self.own, dst: Address::BROADCAST, leader, mid: "hello" });
        self.flush();
    }

    fn flush(&mut self) {
        for bytes in self.out.iter() {
            let _ = self.socket.send(bytes);
        }
        self.out.clear();
    }

    /// Sends this from a socket of its own, as programs do that open one for each message.
    pub fn raw_from_elsewhere(&self, bytes: &[u8]) {
        let port = self.socket.peer_addr().expect("a port");
        let _ = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket").send_to(bytes, port);
    }

    pub fn raw(&self, bytes: &[u8]) {
        let _ = self.socket.send(bytes);
    }

    /// Answers all requests for ever: what to answer, to which MIDs.
    fn serve(mut self, mut answer: impl FnMut(&mut Self, Address, &str, Operation)) -> ExitCode {
        self.hello();
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let Ok(length) = self.socket.recv(&mut buffer) else { continue };
            let Ok(datagram) = Datagram::parse(&buffer[..length]) else { continue };
            if let (Ok(Some(operation)), Some(mid)) = (datagram.operation(), &datagram.mid) {
                self.told = datagram.leader;
                answer(&mut self, datagram.src, mid, operation);
                self.flush();
            }
        }
    }

    fn reply(&mut self, to: Address, mid: &str, response: &Response) {
        let leader = self.leader();
        self.out.push_response(&Envelope { src: self.own, dst: to, leader, mid }, response);
    }
}

/// A store that forgets nothing and tells nobody.
#[derive(Default)]
struct Store(BTreeMap<Text, Text>);

impl Store {
    fn execute(&mut self, operation: Operation) -> Response {
        match operation {
            Operation::Get { key } => Response::Ok { value: Some(self.0.get(&key).cloned().unwrap_or_default()) },
            Operation::Put { key, value } => {
                self.0.insert(key, value);
                Response::Ok { value: None }
            }
            _ => Response::Fail,
        }
    }
}

/// The floor of all latencies: the leader answers at once, and nobody replicates.
fn stub(lan: Lan) -> ExitCode {
    let mut store = Store::default();
    lan.serve(move |lan, from, mid, operation| {
        let leads = lan.leader() == lan.own;
        let response = if leads { store.execute(operation) } else { Response::Redirect };
        lan.reply(from, mid, &response);
    })
}

/// As the stub, with a file that has all that was ever stored.
fn durable(lan: Lan) -> ExitCode {
    let path = folder().join(lan.own.to_string());
    let kept: BTreeMap<String, String> =
        fs::read(&path).map(|bytes| serde_json::from_slice(&bytes).expect("a store")).unwrap_or_default();
    let mut store = Store(kept.into_iter().map(|(key, value)| (Text::from(&*key), Text::from(&*value))).collect());
    let next = path.with_extension("next");
    lan.serve(move |lan, from, mid, operation| {
        let leads = lan.leader() == lan.own;
        let response = if leads { store.execute(operation) } else { Response::Redirect };
        let all: BTreeMap<&str, &str> = store.0.iter().map(|(key, value)| (&**key, &**value)).collect();
        fs::write(&next, serde_json::to_vec(&all).expect("JSON")).expect("a file");
        fs::rename(&next, &path).expect("a file is replaced");
        lan.reply(from, mid, &response);
    })
}

#[expect(clippy::disallowed_methods, reason = "a test tells a process of its own where files go")]
fn folder() -> PathBuf {
    std::env::var_os(FOLDER).expect("a folder").into()
}

/// As the stub. Prints what it was started with.
fn arguments(lan: Lan) -> ExitCode {
    let others: Vec<String> = lan.others.iter().map(Address::to_string).collect();
    let port = lan.socket.peer_addr().expect("a port").port();
    println!("started with {port} {} {} in {}", lan.own, others.join(" "), folder().display());
    stub(lan)
}

/// As the stub. The first request of all has it remove its program.
fn vanishes(lan: Lan) -> ExitCode {
    let program = folder().with_file_name("vanishes");
    lan.serve(move |lan, from, mid, _| {
        let _ = fs::remove_file(&program);
        lan.reply(from, mid, &Response::Fail);
    })
}

#[expect(clippy::disallowed_methods, reason = "a process that does nothing, in real time")]
fn idle() -> ExitCode {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Says hello a second after it was started.
fn late(lan: Lan) -> ExitCode {
    pause(Duration::from_millis(1_200));
    stub(lan)
}

/// Prints a line before and after each datagram that makes no sense.
fn protester(mut lan: Lan) -> ExitCode {
    lan.hello();
    for number in 0..8 {
        println!("before {number}");
        lan.raw(format!("nonsense {number}").as_bytes());
        pause(Duration::from_millis(15));
        println!("after {number}");
    }
    stub(lan)
}

#[expect(clippy::disallowed_methods, reason = "a process that waits, in real time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn garbage(mut lan: Lan) -> ExitCode {
    lan.hello();
    for bytes in [&b"not json"[..], b"{\"src\":\"0000\"}", b"[]", b"\x1b[2J{", &[b'['; 60_000]] {
        lan.raw(bytes);
    }
    stub(lan)
}

fn unknown_mid(lan: Lan) -> ExitCode {
    lan.serve(|lan, from, mid, _| lan.reply(from, &format!("not {mid}"), &Response::Ok { value: None }))
}

fn no_mid(lan: Lan) -> ExitCode {
    lan.serve(|lan, from, _, _| {
        let own = lan.own;
        lan.raw(format!(r#"{{"src":"{own}","dst":"{from}","leader":"FFFF","type":"ok"}}"#).as_bytes());
    })
}

fn odd_type(lan: Lan) -> ExitCode {
    lan.serve(|lan, from, mid, _| {
        let own = lan.own;
        lan.raw(format!(r#"{{"src":"{own}","dst":"{from}","leader":"FFFF","type":"okay","MID":"{mid}"}}"#).as_bytes());
    })
}

fn wrong_destination(mut lan: Lan) -> ExitCode {
    lan.hello();
    let own = lan.own;
    for to in ["ABCD", "0015", "FFFE"] {
        lan.raw(format!(r#"{{"src":"{own}","dst":"{to}","leader":"FFFF","type":"x","MID":"1"}}"#).as_bytes());
    }
    stub(lan)
}

fn anothers_src(mut lan: Lan) -> ExitCode {
    lan.hello();
    let other = lan.others[0];
    // Until all have said hello.
    pause(Duration::from_millis(500));
    lan.raw(format!(r#"{{"src":"{other}","dst":"FFFF","leader":"{other}","type":"x","MID":"1"}}"#).as_bytes());
    stub(lan)
}

fn storm(mut lan: Lan) -> ExitCode {
    lan.hello();
    let own = lan.own;
    let message = format!(r#"{{"src":"{own}","dst":"FFFF","leader":"FFFF","type":"storm","MID":"1"}}"#);
    loop {
        lan.raw(message.as_bytes());
    }
}

fn closes(mut lan: Lan) -> ExitCode {
    lan.hello();
    drop(lan);
    idle()
}

fn chatter(lan: Lan) -> ExitCode {
    std::thread::spawn(|| {
        let line = "lorem ipsum ".repeat(1_000) + "\n";
        for _ in 0..1_000 {
            let _ = std::io::stdout().write_all(line.as_bytes());
        }
    });
    stub(lan)
}

/// Ignores SIGTERM, and has a child that does, too.
fn stubborn(lan: Lan) -> ExitCode {
    let ignored = std::sync::Arc::default();
    signal_hook::flag::register(signal_hook::consts::SIGTERM, ignored).expect("a handler");
    let script = "trap '' TERM; while :; do sleep 1; done";
    #[expect(clippy::zombie_processes, reason = "whoever tests it has to end it")]
    let child = Command::new("/bin/sh").args(["-c", script]).spawn().expect("a child");
    leave_pid(child.id());
    stub(lan)
}

fn dies_of_requests(lan: Lan) -> ExitCode {
    lan.serve(|_, _, _, _| std::process::abort())
}

fn twice(lan: Lan) -> ExitCode {
    let mut store = Store::default();
    lan.serve(move |lan, from, mid, operation| {
        let response = if lan.leader() == lan.own { store.execute(operation) } else { Response::Redirect };
        lan.reply(from, mid, &response);
        if matches!(response, Response::Ok { .. }) {
            lan.reply(from, mid, &response);
        }
    })
}

/// The leader answers; the others redirect each request twice.
fn redirects_twice(lan: Lan) -> ExitCode {
    let mut store = Store::default();
    lan.serve(move |lan, from, mid, operation| {
        let leads = lan.leader() == lan.own;
        let response = if leads { store.execute(operation) } else { Response::Redirect };
        for _ in 0..if leads { 1 } else { 2 } {
            lan.reply(from, mid, &response);
        }
    })
}

fn fails(lan: Lan) -> ExitCode {
    lan.serve(|lan, from, mid, _| lan.reply(from, mid, &Response::Fail))
}

fn lies(lan: Lan) -> ExitCode {
    lan.serve(|lan, from, mid, operation| {
        let value = operation.is_get().then(|| Text::from("a lie"));
        lan.reply(from, mid, &Response::Ok { value });
    })
}

fn no_value(lan: Lan) -> ExitCode {
    lan.serve(|lan, from, mid, _| lan.reply(from, mid, &Response::Ok { value: None }))
}

/// Calls `act` as soon as it is told to end.
#[expect(clippy::disallowed_methods, reason = "it looks again and again, in real time")]
fn at_sigterm(act: impl FnOnce() + Send + 'static) {
    let told = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    signal_hook::flag::register(signal_hook::consts::SIGTERM, std::sync::Arc::clone(&told)).expect("a handler");
    std::thread::spawn(move || {
        while !told.load(std::sync::atomic::Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(2));
        }
        act();
    });
}

fn mortal(lan: Lan) -> ExitCode {
    at_sigterm(|| {
        println!("last words");
        std::process::exit(0);
    });
    stub(lan)
}

/// Says nothing to its peers until it is told to end, and then much.
fn ghost(lan: Lan) -> ExitCode {
    let (own, socket) = (lan.own, lan.socket.try_clone().expect("a socket"));
    at_sigterm(move || {
        let message = format!(r#"{{"src":"{own}","dst":"FFFF","leader":"{own}","type":"boo","MID":"1"}}"#);
        loop {
            let _ = socket.send(message.as_bytes());
            #[expect(clippy::disallowed_methods, reason = "it haunts in real time")]
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    stub(lan)
}

/// Leaves its process group for its parent's.
fn deserter(lan: Lan) -> ExitCode {
    let parents = rustix::process::getpgid(rustix::process::getppid()).expect("a parent's group");
    rustix::process::setpgid(None, Some(parents)).expect("another group");
    stub(lan)
}

fn tells_leader(lan: Lan) -> ExitCode {
    let mut store = Store::default();
    lan.serve(move |lan, from, mid, operation| {
        println!("was told that {} leads", lan.told);
        let response = if lan.leader() == lan.own { store.execute(operation) } else { Response::Redirect };
        lan.reply(from, mid, &response);
    })
}

fn odd_leader(lan: Lan) -> ExitCode {
    lan.serve(|lan, from, mid, _| {
        let own = lan.own;
        lan.raw(format!(r#"{{"src":"{own}","dst":"{from}","leader":"ABCD","type":"ok","MID":"{mid}"}}"#).as_bytes());
    })
}
