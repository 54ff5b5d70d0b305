//! Nodes in memory and in virtual time, on the course's LAN.

use std::collections::BTreeMap;

use seedbed::id::ReplicaId;
use seedbed::node::{Members, Node};
use seedbed::record::{RunRecord, World};
use seedbed::replica::{Config, Replica};
use seedbed::rng::Stream;
use seedbed::scenario::Scenario;
use seedbed::time::{Span, Time};
use seedbed::wire::{Address, DATAGRAM_BYTES_MAX};
use seedbed::world::lan::{Lan, Wires, address};

use super::hostile::Hostile;

/// A run: nodes, the LAN, and the datagrams between them.
pub struct Rig<'a> {
    pub nodes: Vec<Node<Replica>>,
    /// Every datagram that a replica has sent, in order.
    pub sent: Vec<String>,
    /// What the LAN found wrong.
    pub complaints: Vec<String>,
    lan: Lan<'a>,
    now: Time,
    under_way: UnderWay,
    hostile: Option<Hostile>,
    end: Time,
}

/// Datagrams by time of arrival; the second number keeps apart what arrives at once.
struct UnderWay {
    datagrams: BTreeMap<(Time, u64), Flight>,
    number: u64,
    delays: Stream,
}

enum Flight {
    ToLan(ReplicaId, Vec<u8>),
    ToNode(ReplicaId, Vec<u8>),
}

/// What the LAN wants done, until it is done.
struct Outbox<'r> {
    under_way: &'r mut UnderWay,
    killed: Vec<ReplicaId>,
    complaints: &'r mut Vec<String>,
}

impl UnderWay {
    fn push(&mut self, now: Time, flight: Flight) {
        let arrival = now + Span::from_micros(self.delays.between(20, 250));
        self.number += 1;
        self.datagrams.insert((arrival, self.number), flight);
    }
}

impl Wires for Outbox<'_> {
    fn send(&mut self, now: Time, to: ReplicaId, bytes: &[u8]) {
        self.under_way.push(now, Flight::ToNode(to, bytes.to_vec()));
    }

    fn kill(&mut self, _now: Time, replica: ReplicaId) {
        self.killed.push(replica);
    }

    fn complain(&mut self, _now: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        self.complaints.push(format!("{about}: {}", what()));
    }
}

impl<'a> Rig<'a> {
    /// The replicas of a scenario, with something hostile on the LAN, or not.
    pub fn new(scenario: &'a Scenario, seed: u64, hostile: Option<Hostile>) -> Rig<'a> {
        let addresses: Vec<Address> = ReplicaId::all(scenario.replicas).map(address).collect();
        let nodes = addresses.iter().map(|&own| {
            let mut others = addresses.clone();
            others.retain(|&other| other != own);
            // Each is told the others in another order.
            let shift = usize::from(own.0) % others.len();
            others.rotate_left(shift);
            let members = Members::new(own, &others).expect("a cluster");
            Node::new(members, seed, |identity| Replica::new(identity, Config::default()).expect("a replica"))
        });
        Rig {
            nodes: nodes.collect(),
            sent: Vec::new(),
            complaints: Vec::new(),
            lan: Lan::new(scenario, seed),
            now: Time::ZERO,
            under_way: UnderWay { datagrams: BTreeMap::new(), number: 0, delays: Stream::new(seed, "delays") },
            hostile,
            end: scenario.end(),
        }
    }

    /// Runs to the end.
    pub fn run(mut self) -> (RunRecord, Rig<'a>) {
        let mut dead = vec![false; self.nodes.len()];
        while !self.lan.is_over(self.now) {
            self.send_all(&dead);
            let arrival = self.under_way.datagrams.keys().next().map_or(Time::NEVER, |&(time, _)| time);
            let living = self.nodes.iter().zip(&dead).filter(|(_, dead)| !**dead);
            let timeout = living.map(|(node, _)| node.poll_timeout()).min().unwrap_or(Time::NEVER);
            let due = self.lan.poll_due();
            self.now = self.now.max(arrival.min(timeout).min(due)).min(self.end);
            if due <= self.now {
                self.on_lan(&mut dead, |lan, now, wires| lan.handle_due(now, wires));
            } else if arrival <= self.now {
                match self.under_way.datagrams.pop_first().expect("something arrives").1 {
                    Flight::ToLan(from, bytes) => {
                        self.on_lan(&mut dead, |lan, now, wires| lan.handle_datagram(now, from, &bytes, wires));
                    }
                    Flight::ToNode(to, bytes) if !dead[to.index()] => self.deliver(to, &bytes),
                    Flight::ToNode(..) => {}
                }
            } else {
                let now = self.now;
                let is_due = |(node, dead): &(&mut Node<Replica>, &bool)| !**dead && node.poll_timeout() <= now;
                let (node, _) = self.nodes.iter_mut().zip(&dead).find(is_due).expect("a node is due");
                node.handle_timeout(now);
            }
        }
        let record = self.lan.finish(World::Live, self.now);
        (record, self)
    }

    fn on_lan(&mut self, dead: &mut [bool], act: impl FnOnce(&mut Lan<'a>, Time, &mut Outbox<'_>)) {
        let mut wires = Outbox { under_way: &mut self.under_way, killed: Vec::new(), complaints: &mut self.complaints };
        act(&mut self.lan, self.now, &mut wires);
        for killed in wires.killed {
            dead[killed.index()] = true;
        }
    }

    fn deliver(&mut self, to: ReplicaId, bytes: &[u8]) {
        self.disturb(to, bytes);
        self.nodes[to.index()].handle_datagram(self.now, bytes);
        self.disturb(to, bytes);
    }

    /// Lets a node have hostile datagrams, which may resemble this honest one.
    fn disturb(&mut self, to: ReplicaId, honest: &[u8]) {
        let Some(hostile) = &mut self.hostile else { return };
        let node = &mut self.nodes[to.index()];
        let sent = node.outgoing().len();
        for _ in 0..3 {
            let bytes = hostile.datagram(address(to), honest);
            node.handle_datagram(self.now, &bytes);
            assert_eq!(node.outgoing().len(), sent, "{}", String::from_utf8_lossy(&bytes));
        }
    }

    fn send_all(&mut self, dead: &[bool]) {
        for (from, node) in ReplicaId::all(dead.len()).zip(&mut self.nodes) {
            for bytes in node.outgoing().iter().filter(|_| !dead[from.index()]) {
                assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
                self.sent.push(String::from_utf8(bytes.to_vec()).expect("text"));
                self.under_way.push(self.now, Flight::ToLan(from, bytes.to_vec()));
            }
            node.outgoing().clear();
        }
    }
}
