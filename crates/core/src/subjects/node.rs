//! The replica of `3700kvstore` as a subject: the key-value store behind the course's datagrams, as it ships.

use super::raft::{Raft, config, contact, holds, log_bytes_max, parameters};
use crate::check::growth::Growth;
use crate::check::promptness::Promptness;
use crate::check::raft::Invariants;
use crate::check::{Both, Check, Evidence, Opinion};
use crate::consensus::Consensus;
use crate::id::ReplicaId;
use crate::lab::explore::Flavour;
use crate::lab::{Parameter, ParameterError, StationSubject, Subject, Timing, Tolerance};
use crate::machine::{Boot, Exit, Identity};
use crate::node::{self, Members};
use crate::raft::Sound;
use crate::record::{Event, Observer, Scene};
use crate::replica::{Config, Replica};
use crate::rng::Stream;
use crate::scenario::Scenario;
use crate::time::{Span, Time};
use crate::wire::Address;
use crate::world::lan::address;

/// The replica of `3700kvstore` with some parameters. It is the code that the program runs between its socket and its
/// clock: every message is written as a datagram and read again, and has its checksum.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The parameters of its replicas, which are valid together.
    pub config: Config,
}

impl Node {
    /// The same replicas behind typed messages.
    fn as_raft(&self) -> Raft {
        Raft { config: self.config.clone(), rules: Sound }
    }
}

impl StationSubject for Node {
    type Machine = node::Node<Replica>;
    type Premises = ();

    fn name(&self) -> &'static str {
        "node"
    }

    fn summary(&self) -> &'static str {
        "The replica of 3700kvstore as it ships, on the course's LAN"
    }

    fn premises(&self, _: &Scenario, _: u64) {}

    /// # Panics
    /// If the configuration makes no sense.
    fn boot(&self, (): &(), identity: Identity, incarnation: u32, now: Time) -> Result<node::Node<Replica>, Exit> {
        let own = address(identity.id);
        let all = ReplicaId::all(identity.replicas).map(address);
        let others: Vec<Address> = all.filter(|&other| other != own).collect();
        let members = Members::new(own, &others).map_err(|error| Exit(error.to_string().into()))?;
        // Its program starts its clock anew. A clock that continues is the same to it: it looks at differences only.
        let start = |identity| {
            let boot = Boot { identity, incarnation, now, disk: None };
            Replica::boot(boot, self.config.clone(), Sound).expect("without a disk there is nothing to refuse")
        };
        Ok(node::Node::new(members, identity.seed, start))
    }

    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        parameters::parameters(&mut self.config)
    }

    fn validate(&self) -> Result<(), ParameterError> {
        parameters::validate(&self.config)
    }

    fn checks(&self) -> Vec<Box<dyn Check<node::Node<Replica>>>> {
        let config = self.config.clone();
        // How many datagrams replicas may send is for the scenarios to say.
        let growth = Growth::new(None, move |now, node: &node::Node<Replica>| holds(&config, now, node.protocol()));
        vec![Box::new(Both(Forgetful(Invariants::new()), Both(contact(&self.config.raft), growth)))]
    }

    fn window<'m>(&self, machine: &'m node::Node<Replica>) -> Option<&'m dyn Consensus> {
        Some(machine)
    }

    fn mutated(&self) -> &'static [&'static str] {
        &[
            "raft/",
            "replicated/",
            "replica/",
            "kv/",
            "node/mod.rs",
            "node/log.rs",
            "node/members.rs",
            "node/mids.rs",
            "node/window.rs",
        ]
    }

    fn progress_bound(&self) -> Span {
        self.as_raft().progress_bound()
    }

    fn promptness(&self) -> Option<Promptness> {
        self.as_raft().promptness()
    }

    fn tolerates(&self) -> Tolerance {
        Tolerance { crashes: false, disks: false, wipes: false, ..Tolerance::ALL }
    }

    fn timing(&self) -> Timing {
        self.as_raft().timing()
    }

    fn vary(&mut self, seed: u64, random: &mut Stream, flavour: Flavour) {
        self.config = config(random, flavour);
        self.config.log_bytes_max = log_bytes_max(seed);
    }
}

/// The invariants of Raft, for replicas without disks: one that starts again is a new one, which has promised nothing.
/// What that breaks shows in the others.
struct Forgetful(Invariants);

impl Observer<node::Node<Replica>> for Forgetful {
    fn event(&mut self, scene: &Scene<'_, node::Node<Replica>>, event: &Event<'_, Box<[u8]>>) {
        match *event {
            Event::Started { replica, .. } => self.0.event(scene, &Event::Started { replica, wiped: true }),
            _ => self.0.event(scene, event),
        }
    }

    fn handled(&mut self, scene: &Scene<'_, node::Node<Replica>>, replica: ReplicaId) {
        self.0.handled(scene, replica);
    }
}

impl Check<node::Node<Replica>> for Forgetful {
    fn judge(&mut self, evidence: &Evidence<'_>) -> Opinion {
        Check::<node::Node<Replica>>::judge(&mut self.0, evidence)
    }
}
