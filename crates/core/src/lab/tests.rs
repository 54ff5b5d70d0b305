//! What tests of the laboratory share, and tests that need a protocol of their own.

mod judges;
mod lasting;
pub mod odd;
mod promptness;
mod stations;

use std::collections::VecDeque;
use std::convert::Infallible;

use super::{Case, Protocol, Subject, subject};
use crate::check::Checker;
use crate::id::{ClientId, Mid, ReplicaId};
use crate::machine::{Boot, Exit, Input, Machine, Outbox};
use crate::scenario::Scenario;
use crate::service::{Operation, Response, Service};
use crate::time::{Span, Time};

/// A cluster that fails every request, a second after it came.
#[derive(Clone)]
struct Refusing;

#[derive(Default)]
struct Refuser(VecDeque<(Time, ClientId, Mid)>);

impl Subject for Refusing {
    type Machine = Refuser;

    fn name(&self) -> &'static str {
        "refusing"
    }

    fn boot(&self, _: Boot<Infallible>) -> Result<Refuser, Exit> {
        Ok(Refuser::default())
    }
}

impl Machine for Refuser {
    type Message = ();
    type Request = Operation;
    type Response = Response;
    type Record = Infallible;

    fn handle(&mut self, now: Time, input: Input<Refuser>, out: &mut Outbox<Refuser>) {
        if let Input::Client { from, mid, .. } = input {
            self.0.push_back((now + Span::from_secs(1), from, mid));
        }
        let due = self.0.partition_point(|(due, ..)| *due <= now);
        for (_, from, mid) in self.0.drain(..due) {
            out.reply(from, mid, Response::Fail);
        }
    }

    fn poll_timeout(&self) -> Time {
        self.0.front().map_or(Time::NEVER, |(due, ..)| *due)
    }
}

impl Service for Refuser {
    fn leader(&self) -> Option<ReplicaId> {
        None
    }
}

/// What liveness says of a protocol whose clients give up half a second after they have asked.
fn liveness_with_impatient_clients(protocol: Protocol) -> &'static str {
    let text = r#"{"lifetime": 30, "replicas": 3, "requests": 60, "mix": 0.5, "end_wait": 15,
        "clients": {"timeout_ms": 500, "retries": 0},
        "tests": {"benchmarks": {"total_msgs": [0, 0, 0], "failures": [0, 0, 0], "duplicates": [0, 0, 0],
            "median_latency": [0, 0, 0]}}}"#;
    let scenario = Scenario::parse("s", "s.json", text).expect("a scenario").scenario;
    Case { scenario, seed: 1, protocol }.run().judgement.word(&Checker::LIVENESS)
}

#[test]
fn a_cluster_that_fails_all_requests_is_stuck_though_its_clients_have_given_up_before() {
    assert_eq!(liveness_with_impatient_clients(subject(Refusing)), "stuck");
    assert_eq!(liveness_with_impatient_clients(crate::subjects::raft()), "ok");
}
