//! Nodes in memory and in virtual time, on the course's LAN. It is a driver of the engine, as the virtual world is.

use seedbed::chaos::Act;
use seedbed::engine::{Ahead, Carrier, Due, Engine, State};
use seedbed::id::ReplicaId;
use seedbed::machine::{Emission, Identity, Input, Machine};
use seedbed::node::{Members, Node};
use seedbed::record::{RunRecord, World};
use seedbed::rng::Stream;
use seedbed::scenario::Scenario;
use seedbed::time::{Span, Time};
use seedbed::wire::{Address, DATAGRAM_BYTES_MAX};
use seedbed::world::lan::{Inspector, Lan, Wires, address};
use seedbed_core::replica::{Config, Replica};

use super::hostile::Hostile;

/// A run: nodes, the LAN, and the datagrams between them.
pub struct Rig<'a> {
    engine: Engine<'static, Node<Replica>, ToLan>,
    lan: Lan<'a>,
    pub cables: Cables,
    hostile: Option<Hostile>,
}

/// A datagram arrives at the LAN's router.
struct ToLan {
    from: ReplicaId,
    bytes: Box<[u8]>,
}

/// What lies between the nodes and the LAN's router.
pub struct Cables {
    /// Every datagram that a replica has sent, in order.
    pub sent: Vec<String>,
    /// What the LAN found wrong.
    pub complaints: Vec<String>,
    delays: Stream,
}

impl Cables {
    fn arrival(&mut self, now: Time) -> Time {
        now + Span::from_micros(self.delays.between(20, 250))
    }
}

impl Carrier<Node<Replica>, ToLan> for Cables {
    fn carry(
        &mut self,
        now: Time,
        from: ReplicaId,
        emission: Emission<Node<Replica>>,
        ahead: &mut Ahead<Node<Replica>, ToLan>,
    ) {
        match emission {
            Emission::Send { message: bytes, .. } => {
                assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
                self.sent.push(String::from_utf8(bytes.to_vec()).expect("text"));
                ahead.event(self.arrival(now), ToLan { from, bytes });
            }
            Emission::Reply { response, .. } => match response {},
        }
    }
}

/// The way from the LAN's router to the nodes.
struct Downlink<'r> {
    engine: &'r mut Engine<'static, Node<Replica>, ToLan>,
    cables: &'r mut Cables,
}

impl Wires for Downlink<'_> {
    fn send(&mut self, now: Time, to: ReplicaId, bytes: &[u8]) {
        let arrival = self.cables.arrival(now);
        // To a node, the router is its own place.
        self.engine.ahead().input(arrival, to, Input::Peer { from: to, message: bytes.into() });
    }

    fn act(&mut self, _now: Time, replica: ReplicaId, act: Act) {
        match act {
            Act::Kill | Act::Crash => drop(self.engine.fail_power(replica)),
            Act::Restart { .. } => self.engine.restart(replica).expect("nodes without disks always start"),
            other => panic!("{} is played by no test", other.name()),
        }
    }
}

impl Inspector for Downlink<'_> {
    fn complain(&mut self, _now: Time, about: ReplicaId, what: &dyn Fn() -> String) {
        self.cables.complaints.push(format!("{about}: {}", what()));
    }
}

impl<'a> Rig<'a> {
    /// The replicas of a scenario, with something hostile on the LAN, or not.
    pub fn new(scenario: &'a Scenario, seed: u64, hostile: Option<Hostile>) -> Rig<'a> {
        let start = |Identity { id, replicas, seed }| {
            let own = address(id);
            let mut others: Vec<Address> =
                ReplicaId::all(replicas).map(address).filter(|&other| other != own).collect();
            // Each is told the others in another order.
            let shift = usize::from(own.0) % others.len();
            others.rotate_left(shift);
            let members = Members::new(own, &others).expect("a cluster");
            Node::new(members, seed, |identity| Replica::new(identity, Config::default()).expect("a replica"))
        };
        Rig {
            engine: Engine::new(scenario.replicas, seed, start),
            lan: Lan::new(scenario, seed),
            cables: Cables { sent: Vec::new(), complaints: Vec::new(), delays: Stream::new(seed, "delays") },
            hostile,
        }
    }

    pub fn nodes(&self) -> &[Node<Replica>] {
        self.engine.machines()
    }

    /// Runs to the end.
    pub fn run(mut self) -> (RunRecord, Rig<'a>) {
        while !self.lan.is_over(self.engine.now()) {
            self.step();
        }
        let record = self.lan.finish(World::Live, self.engine.now());
        (record, self)
    }

    /// Makes the next thing happen: at one time first what the LAN does, then what arrives, then what nodes do.
    fn step(&mut self) {
        let (due, arrival, timeout) = (self.lan.poll_due(), self.engine.next_arrival(), self.engine.next_timeout());
        self.engine.advance(due.min(arrival).min(timeout));
        let now = self.engine.now();
        if due <= now {
            self.on_lan(|lan, wires| lan.handle_due(now, wires));
        } else if arrival <= now {
            match self.engine.take_arrival() {
                Some(Due::Event(ToLan { from, bytes })) => {
                    self.on_lan(|lan, wires| lan.handle_datagram(now, from, &bytes, wires));
                }
                Some(Due::Input { to, input }) => self.deliver(to, input),
                // Nodes have no disks, and none is paused.
                Some(Due::Synced { .. }) | None => {}
            }
        } else {
            let exit = self.engine.handle(self.engine.next_to_time_out(), Input::Timeout, &mut self.cables);
            assert_eq!(exit, None);
        }
    }

    fn on_lan(&mut self, act: impl FnOnce(&mut Lan<'a>, &mut Downlink<'_>)) {
        act(&mut self.lan, &mut Downlink { engine: &mut self.engine, cables: &mut self.cables });
    }

    fn deliver(&mut self, to: ReplicaId, input: Input<Node<Replica>>) {
        let Input::Peer { message: honest, .. } = input else { panic!("{input:?} comes from no LAN") };
        if self.engine.conditions()[to.index()].state == State::Down {
            return;
        }
        self.disturb(to, &honest);
        let message = honest.clone();
        let exit = self.engine.handle(to, Input::Peer { from: to, message }, &mut self.cables);
        assert_eq!(exit, None);
        self.disturb(to, &honest);
    }

    /// Lets a node have hostile datagrams, which may resemble this honest one.
    fn disturb(&mut self, to: ReplicaId, honest: &[u8]) {
        let Some(hostile) = &mut self.hostile else { return };
        let sent = self.cables.sent.len();
        for _ in 0..3 {
            let message: Box<[u8]> = hostile.datagram(address(to), honest).into();
            let text = String::from_utf8_lossy(&message).into_owned();
            // A timeout that is due now is not its doing.
            self.engine.act_once(to, &mut self.cables, |node, now, out| {
                Machine::handle(node, now, Input::Peer { from: to, message }, out);
            });
            assert_eq!(self.cables.sent.len(), sent, "{text}");
        }
    }
}
