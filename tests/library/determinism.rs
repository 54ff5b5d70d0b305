//! A run is a pure function of program, scenario and seed.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::gossip::Gossip;
use crate::common::processes::seedbed;
use crate::common::{SUITE, scenario, suite};
use seedbed::id::ReplicaId;
use seedbed::machine::{Identity, Input, Machine, Outbox, delegate};
use seedbed::service::{Operation, Response, Service};
use seedbed::subjects;
use seedbed::time::Time;
use seedbed::world::simulation::simulate;

/// Trace hashes, written down. A change of behaviour shows here; then say why in the commit and write the new ones
/// down.
const GOLDEN: [(&str, &str, u64, u64); 11] = [
    ("scenarios/simple-1.json", "raft", 1, 0x8456_e28c_4119_c5bd),
    ("scenarios/unreliable-3.json", "raft", 1, 0x81d9_6e84_f171_fd13),
    ("scenarios/crash-4.json", "raft", 7, 0xfefa_3d14_b93a_39b1),
    ("scenarios/partition-4.json", "raft", 7, 0xa70f_fa22_e44b_4ac3),
    ("scenarios/advanced-4.json", "raft", 42, 0xd078_6946_0fd6_9b7d),
    ("scenarios/chaos/seed-example.json", "raft", 1, 0x4335_8d31_4f35_9413),
    ("scenarios/harsh/flapping-links.json", "raft", 1, 0x95ba_9f79_6513_2caa),
    ("scenarios/harsh/large-21.json", "raft", 1, 0x29d4_06b4_19e3_dced),
    ("scenarios/harsh/large-101.json", "raft", 1, 0xfff4_c74f_98ba_8961),
    ("scenarios/harsh/shared-keys.json", "raft", 1, 0xe3f1_d0cd_8496_dc95),
    ("scenarios/unreliable-3.json", "broadcast", 1, 0xde76_03db_34b7_31f2),
];

#[test]
fn traces_are_the_same_on_every_machine_and_in_every_version() {
    let seen = GOLDEN.map(|(path, protocol, seed, _)| {
        let protocols = subjects::builtin();
        let trace =
            protocols.find(protocol).expect("it is built in").simulate(&scenario(path), seed).trace.expect("a trace");
        (path, protocol, seed, format!("{trace:016x}"))
    });
    let expected = GOLDEN.map(|(path, protocol, seed, trace)| (path, protocol, seed, format!("{trace:016x}")));
    assert_eq!(seen, expected);
}

#[test]
fn the_same_seed_gives_the_same_run_twice_in_one_process_and_in_another_thread() {
    for name in SUITE {
        let scenario = suite(name);
        let first = subjects::raft().simulate(&scenario, 11);
        // Something else in between, and another thread: neither may show.
        subjects::broadcast().simulate(&scenario, 12);
        let second = std::thread::scope(|scope| {
            scope.spawn(|| subjects::raft().simulate(&scenario, 11)).join().expect("the run ends")
        });
        assert_eq!((first.trace, first.events, first.history), (second.trace, second.events, second.history), "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_two_processes_whatever_their_environment() {
    let run = |variables: &[(&str, &str)]| {
        let mut command = seedbed();
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "all", "--seed", "5"]);
        let output = command.envs(variables.iter().copied()).output().expect("seedbed starts");
        assert!(output.status.success());
        output.stdout
    };
    let plain = run(&[]);
    let other = run(&[("TZ", "Asia/Tokyo"), ("LC_ALL", "de_DE.UTF-8"), ("RUST_BACKTRACE", "1"), ("HOME", "/nowhere")]);
    assert_eq!(plain, other);
}

#[test]
fn another_seed_gives_another_run() {
    for name in SUITE {
        let scenario = suite(name);
        let mut traces: Vec<u64> =
            (0..20).map(|seed| subjects::raft().simulate(&scenario, seed).trace.expect("a trace")).collect();
        traces.sort_unstable();
        traces.dedup();
        assert_eq!(traces.len(), 20, "{name}");
    }
}

/// A gossip that lets something from outside the run in.
struct Leaky {
    gossip: Gossip,
    outside: &'static AtomicU64,
}

impl Machine for Leaky {
    type Message = u64;
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        let leak = self.outside.fetch_add(1, Ordering::Relaxed);
        let input = match input {
            Input::Peer { from, message } if leak == 5_000 => Input::Peer { from, message: message + 1 },
            other => other,
        };
        delegate(&mut self.gossip, now, input, out);
    }

    fn poll_timeout(&self) -> Time {
        self.gossip.poll_timeout()
    }
}

impl Service for Leaky {
    fn leader(&self) -> Option<ReplicaId> {
        self.gossip.leader()
    }
}

#[test]
fn a_single_message_changed_from_outside_changes_the_trace() {
    static OUTSIDE: AtomicU64 = AtomicU64::new(0);
    let scenario = suite("simple-1");
    let leaky = |identity: Identity| Leaky { gossip: Gossip::new(identity), outside: &OUTSIDE };
    let traces = [1, 2].map(|_| simulate(&scenario, 1, leaky).trace);
    assert_ne!(traces[0], traces[1]);
    // Without the leak they are the same.
    let sound = [1, 2].map(|_| simulate(&scenario, 1, Gossip::new).trace);
    assert_eq!(sound[0], sound[1]);
}
