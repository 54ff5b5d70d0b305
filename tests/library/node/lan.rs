//! A LAN in memory and in virtual time, with one client.

use std::collections::BTreeMap;

use seedbed::node::{Members, Node};
use seedbed::protocol::{Operation, Response};
use seedbed::replica::{Config, Replica};
use seedbed::rng::Stream;
use seedbed::time::{Span, Time};
use seedbed::wire::{Address, DATAGRAM_BYTES_MAX, Datagram, Datagrams, Envelope};

use super::hostile::Hostile;

/// The client's address.
pub const CLIENT: Address = Address(0x1A0);

/// A replica's address.
pub fn address(place: usize) -> Address {
    Address(3 * place as u16 + 1)
}

pub struct Lan {
    pub nodes: Vec<Node<Replica>>,
    pub client: Client,
    /// Every datagram that a replica or the client has sent, in order.
    pub sent: Vec<String>,
    now: Time,
    /// By time of arrival; the second number keeps apart what arrives at once.
    under_way: BTreeMap<(Time, usize), Vec<u8>>,
    loss: f64,
    dice: Stream,
    hostile: Option<Hostile>,
}

/// Puts and gets one after another; follows redirects; knows what each get must find.
pub struct Client {
    pub answered: usize,
    pub failures: usize,
    number: usize,
    attempt: usize,
    values: BTreeMap<String, String>,
    out: Datagrams,
}

impl Lan {
    /// So many replicas; so many of their datagrams to each other get lost; something hostile on the LAN, or not.
    pub fn new(replicas: usize, loss: f64, hostile: Option<Hostile>) -> Lan {
        let addresses: Vec<Address> = (0..replicas).map(address).collect();
        let nodes = addresses.iter().map(|&own| {
            let mut others = addresses.clone();
            others.retain(|&other| other != own);
            // Everyone is told the others in another order.
            let shift = usize::from(own.0) % others.len();
            others.rotate_left(shift);
            let members = Members::new(own, &others).expect("a cluster");
            Node::new(members, 7, |identity| Replica::new(identity, Config::default()).expect("a replica"))
        });
        let values = BTreeMap::new();
        let client = Client { answered: 0, failures: 0, number: 0, attempt: 0, values, out: Datagrams::new() };
        let mut lan = Lan {
            nodes: nodes.collect(),
            client,
            sent: Vec::new(),
            now: Time::ZERO,
            under_way: BTreeMap::new(),
            loss,
            dice: Stream::new(7, "lan"),
            hostile,
        };
        lan.ask(address(0));
        lan
    }

    pub fn run(&mut self, until: Time) {
        loop {
            self.send_all();
            let arrival = self.under_way.keys().next().map_or(Time::NEVER, |&(time, _)| time);
            let timeout = self.nodes.iter().map(Node::poll_timeout).min().expect("nodes");
            let next = arrival.min(timeout);
            if next > until {
                return;
            }
            self.now = self.now.max(next);
            if arrival <= timeout {
                let (_, bytes) = self.under_way.pop_first().expect("something arrives");
                self.deliver(&bytes);
            } else {
                let node = self.nodes.iter_mut().find(|node| node.poll_timeout() == timeout).expect("one is due");
                node.handle_timeout(self.now);
            }
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let datagram = Datagram::parse(bytes).expect("honest datagrams can be read");
        if datagram.dst == CLIENT {
            return self.answer(&datagram);
        }
        for place in 0..self.nodes.len() {
            if datagram.dst == address(place) || (datagram.dst == Address::BROADCAST && datagram.src != address(place))
            {
                self.disturb(place, bytes);
                self.nodes[place].handle_datagram(self.now, bytes);
                self.disturb(place, bytes);
            }
        }
    }

    /// Lets a node have hostile datagrams, which may resemble this honest one.
    fn disturb(&mut self, place: usize, honest: &[u8]) {
        let Some(hostile) = &mut self.hostile else { return };
        let sent = self.nodes[place].outgoing().len();
        for _ in 0..3 {
            let bytes = hostile.datagram(address(place), honest);
            self.nodes[place].handle_datagram(self.now, &bytes);
            assert_eq!(self.nodes[place].outgoing().len(), sent, "{}", String::from_utf8_lossy(&bytes));
        }
    }

    fn send_all(&mut self) {
        let mut sent: Vec<Vec<u8>> = Vec::new();
        for out in self.nodes.iter_mut().map(Node::outgoing).chain([&mut self.client.out]) {
            sent.extend(out.iter().map(<[u8]>::to_vec));
            out.clear();
        }
        for bytes in sent {
            assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
            let datagram = Datagram::parse(&bytes).expect("honest datagrams can be read");
            // The client waits a moment before it asks again.
            let delay = if datagram.src == CLIENT { 20_000 } else { self.dice.between(50, 500) };
            let between_replicas = datagram.src != CLIENT && datagram.dst != CLIENT;
            self.sent.push(String::from_utf8(bytes.clone()).expect("text"));
            if !(between_replicas && self.dice.chance(self.loss)) {
                self.under_way.insert((self.now + Span::from_micros(delay), self.sent.len()), bytes);
            }
        }
    }

    /// The client takes an answer and asks on.
    fn answer(&mut self, datagram: &Datagram<'_>) {
        let mid = self.client.mid();
        assert_eq!(datagram.mid.as_deref(), Some(&*mid), "each request is answered once");
        let leader = datagram.leader;
        match datagram.response().expect("an answer") {
            Response::Ok { value } => {
                self.client.take_value(value.as_deref());
                self.client.answered += 1;
                self.client.number += 1;
            }
            Response::Fail => self.client.failures += 1,
            Response::Redirect => assert!(leader != datagram.src && leader != Address::BROADCAST),
        }
        let known = leader != Address::BROADCAST && !self.client.number.is_multiple_of(10);
        let random = address(self.dice.below(self.nodes.len() as u64) as usize);
        self.ask(if known { leader } else { random });
    }

    fn ask(&mut self, to: Address) {
        let client = &mut self.client;
        client.attempt += 1;
        let mid = client.mid();
        let envelope = Envelope { src: CLIENT, dst: to, leader: Address::BROADCAST, mid: &mid };
        client.out.push_operation(&envelope, &client.operation());
    }
}

impl Client {
    fn mid(&self) -> String {
        format!("\"{}\" né", self.attempt)
    }

    fn key(&self) -> String {
        format!("key {}", self.number % 7)
    }

    fn value(&self) -> Option<String> {
        (!self.number.is_multiple_of(3)).then(|| format!("value {}\n", self.number))
    }

    fn operation(&self) -> Operation {
        let key = self.key().into();
        match self.value() {
            Some(value) => Operation::Put { key, value: value.into() },
            None => Operation::Get { key },
        }
    }

    /// What an `ok` brings is what the request asked for.
    fn take_value(&mut self, value: Option<&str>) {
        match self.value() {
            Some(put) => {
                assert_eq!(value, None);
                self.values.insert(self.key(), put);
            }
            None => assert_eq!(value, Some(self.values.get(&self.key()).map_or("", |value| value))),
        }
    }
}
