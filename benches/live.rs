//! How long answers take in the live world, against the floor: an answer that is given at once, without replication.
//!
//! Both are measured in one run, in the same processes, under the same router: the replicas are `3700kvstore` but for one
//! thing, that they answer every second request at once and leave Raft out of it. What a put costs beyond the floor is
//! then what Raft costs, whatever the machine's cores do when they have nothing to do.
//!
//! ```sh
//! cargo bench --bench live                 # 5 rounds
//! cargo bench --bench live -- 20           # 20 rounds
//! ```

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use seedbed::check::course;
use seedbed::id::ReplicaId;
use seedbed::machine::{Input, Machine, Outbox, delegate};
use seedbed::node::log::{Level, Log};
use seedbed::node::{Members, Node, udp};
use seedbed::record::{History, Outcome};
use seedbed::scenario::Scenario;
use seedbed::service::{Operation, Response, Service, Text};
use seedbed::time::{Span, Time};
use seedbed::wire::Address;
use seedbed::world::live::{Setup, play};
use seedbed::world::processes::{Interrupt, Spectator};
use seedbed_core::clock::Clock;
use seedbed_core::replica::{Config, Replica};

/// Twelve seconds with 600 requests: about as many replicated puts a second as in the course's suite.
const SCENARIO: &str = r#"{
    "lifetime": 12, "replicas": 5, "requests": 600, "mix": 0.5, "wait": 2, "end_wait": 0.2,
    "tests": {"benchmarks": {
        "total_msgs": [0, 0, 0], "failures": [0, 0, 0], "duplicates": [0, 0, 0], "median_latency": [0, 0, 0]
    }}
}"#;

/// The value of all answers that are given at once.
const AT_ONCE: &str = "at once";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [] => measure(5),
        [rounds] => measure(rounds.parse().expect("a number of rounds")),
        [port, own, others @ ..] => be_replica(port, own, others),
    }
}

fn measure(rounds: u64) -> ExitCode {
    let scenario = Scenario::parse("latency", "latency", SCENARIO).expect("the scenario is valid").scenario;
    let program = std::env::current_exe().expect("the path of this program");
    let setup = Setup::new(&program).expect("a program");
    let interrupt = Interrupt::install().expect("signals");
    println!("medians in microseconds   at once: get   put   replicated: get   put   ratio: get   put");
    let (mut gets, mut puts) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let history =
            play(&scenario, round, &setup, Arc::new(Nobody), &mut (), &interrupt).expect("the run is played").history;
        let median = |at_once, gets| median(&history, at_once, gets) * 1e6;
        let [floor_get, floor_put] = [true, false].map(|gets| median(true, gets));
        let [get, put] = [true, false].map(|gets| median(false, gets));
        gets.push(get / floor_get);
        puts.push(put / floor_put);
        println!(
            "round {round:3} {floor_get:29.0} {floor_put:5.0} {get:17.0} {put:5.0} {:12.2} {:5.2}",
            get / floor_get,
            put / floor_put
        );
    }
    for (name, ratios) in [("get", &mut gets), ("put", &mut puts)] {
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
        println!("{name}: median ratio {:.2}, lowest {low:.2}, highest {high:.2}", ratios[ratios.len() / 2]);
    }
    ExitCode::SUCCESS
}

/// The median time to an `ok`, in seconds.
fn median(history: &History, at_once: bool, gets: bool) -> f64 {
    let wanted = history.attempts.iter().filter(|attempt| attempt.operation.is_get() == gets);
    let mut latencies: Vec<Span> = wanted
        .filter_map(|attempt| match &attempt.answer {
            Some((time, Outcome::Ok(value))) if (value.as_deref() == Some(AT_ONCE)) == at_once => {
                Some(time.since(attempt.sent))
            }
            _ => None,
        })
        .collect();
    latencies.sort_unstable();
    course::percentile(&latencies, 50).map_or(f64::NAN, Span::as_secs_f64)
}

/// A replica that answers every second request at once.
struct Half {
    replica: Replica,
    requests: u64,
}

impl Machine for Half {
    type Message = <Replica as Machine>::Message;
    type Request = Operation;
    type Response = Response;
    type Record = <Replica as Machine>::Record;

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Outbox<Self>) {
        if let Input::Client { from, mid, .. } = &input {
            self.requests += 1;
            if self.requests.is_multiple_of(2) {
                return out.reply(*from, *mid, Response::Ok { value: Some(Text::from(AT_ONCE)) });
            }
        }
        delegate(&mut self.replica, now, input, out);
    }

    fn poll_timeout(&self) -> Time {
        self.replica.poll_timeout()
    }
}

impl Service for Half {
    fn leader(&self) -> Option<ReplicaId> {
        self.replica.leader()
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.replica.fmt(f)
    }
}

fn be_replica(port: &str, own: &str, others: &[String]) -> ExitCode {
    let address = |text: &str| text.parse::<Address>().expect("an address");
    let others: Vec<Address> = others.iter().map(|other| address(other)).collect();
    let members = Members::new(address(own), &others).expect("a cluster");
    let start = |identity| {
        let replica = Replica::new(identity, Config::default()).expect("the default configuration is valid");
        Half { replica, requests: 0 }
    };
    let mut node = Node::new(members, u64::from(address(own).0), start);
    udp::run(port.parse().expect("a port"), &mut node, Clock::start(), &mut Log::new(Level::default())).expect("a LAN");
    ExitCode::SUCCESS
}

struct Nobody;

impl Spectator for Nobody {
    fn progress(&self, _: Time) {}
    fn printed(&self, _: Time, _: ReplicaId, _: &str) {}
    /// What is answered at once is mostly wrong.
    fn complaint(&self, _: Time, _: ReplicaId, _: &str) {}
}
