//! Arrival times of messages: the timing models.

use crate::id::{ClientId, ReplicaId};
use crate::rng::Stream;
use crate::scenario::{Delay, Network, Order, Scenario};
use crate::time::Time;
use crate::workload::CLIENTS;

/// The route of a message.
#[derive(Clone, Copy, Debug)]
pub enum Route {
    /// From replica to replica.
    Peer {
        /// The sender.
        from: ReplicaId,
        /// The receiver.
        to: ReplicaId,
    },
    /// From a client to a replica.
    Request {
        /// The sender.
        from: ClientId,
        /// The receiver.
        to: ReplicaId,
    },
    /// From a replica to a client.
    Answer {
        /// The sender.
        from: ReplicaId,
        /// The receiver.
        to: ClientId,
    },
}

/// Decides when a message that is sent now arrives.
#[derive(Clone, Debug)]
pub struct Transport {
    delay: Delay,
    manner: Manner,
    replicas: usize,
    /// The router alone; or replica to replica, then client to replica, then replica to client.
    links: Vec<Link>,
    /// The share of the messages between replicas that arrives twice.
    duplicate: f64,
    /// Row by row, as the matrix; made when it is first needed.
    copies: Vec<Stream>,
    seed: u64,
}

/// How messages share the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// All go through one router, which handles them one after another.
    Router,
    /// Each link carries any number at a time.
    Links(Order),
}

/// One direction between two parties, or the router.
#[derive(Clone, Debug)]
struct Link {
    stream: Stream,
    /// How long messages take, if this link differs from others.
    own: Option<Delay>,
    /// When the latest message so far arrives.
    latest: Time,
}

impl Link {
    fn new(seed: u64, purpose: &str, from: u64, to: u64) -> Link {
        Link { stream: Stream::link(seed, purpose, from, to), own: None, latest: Time::ZERO }
    }
}

impl Transport {
    /// The transport of a run with this seed.
    pub fn new(scenario: &Scenario, seed: u64) -> Transport {
        let mut transport = Transport::plain(&scenario.network, scenario.replicas, seed);
        for link in &scenario.links {
            transport.set_delay(link.from, link.to, Some(link.delay));
        }
        transport.set_duplicate(scenario.duplicate);
        transport
    }

    fn plain(network: &Network, replicas: usize, seed: u64) -> Transport {
        let (duplicate, copies) = (0.0, Vec::new());
        match *network {
            Network::Course { service } => {
                let links = vec![Link::new(seed, "router", 0, 0)];
                Transport { delay: service, manner: Manner::Router, replicas, links, duplicate, copies, seed }
            }
            Network::Links { delay, order } => {
                let (replica_count, client_count) = (replicas as u64, CLIENTS as u64);
                let kinds = [
                    ("delay", replica_count, replica_count),
                    ("request delay", client_count, replica_count),
                    ("answer delay", replica_count, client_count),
                ];
                let links = kinds.into_iter().flat_map(|(purpose, senders, receivers)| {
                    let pairs = (0..senders).flat_map(move |from| (0..receivers).map(move |to| (from, to)));
                    pairs.map(move |(from, to)| Link::new(seed, purpose, from, to))
                });
                let links = links.collect();
                Transport { delay, manner: Manner::Links(order), replicas, links, duplicate, copies, seed }
            }
        }
    }

    /// When a message that is sent now arrives. Called once for each message, in order of sending.
    #[inline]
    pub fn arrival(&mut self, now: Time, route: Route) -> Time {
        match self.manner {
            Manner::Router => {
                let router = &mut self.links[0];
                router.latest = router.latest.max(now) + self.delay.draw(&mut router.stream);
                router.latest
            }
            Manner::Links(order) => {
                let link = &mut self.links[link_index(route, self.replicas)];
                let arrival = now + link.own.as_ref().unwrap_or(&self.delay).draw(&mut link.stream);
                if order == Order::Any {
                    return arrival;
                }
                link.latest = link.latest.max(arrival);
                link.latest
            }
        }
    }

    /// From now on messages on this link take this long; as long as on other links if no delay is given. Does nothing
    /// if all messages go through one router.
    pub fn set_delay(&mut self, from: ReplicaId, to: ReplicaId, delay: Option<Delay>) {
        if self.manner != Manner::Router {
            self.links[link_index(Route::Peer { from, to }, self.replicas)].own = delay;
        }
    }

    /// From now on this share of the messages between replicas arrives twice.
    pub fn set_duplicate(&mut self, share: f64) {
        self.duplicate = share;
        if share > 0.0 && self.copies.is_empty() {
            let count = self.replicas as u64;
            let links = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
            self.copies = links.map(|(from, to)| Stream::link(self.seed, "duplicate", from, to)).collect();
        }
    }

    /// When a second copy of a message between replicas arrives, if there is one. Called once for each message, right
    /// after [`Transport::arrival`].
    #[inline]
    pub fn second_arrival(&mut self, now: Time, from: ReplicaId, to: ReplicaId) -> Option<Time> {
        if self.duplicate == 0.0 { None } else { self.copy(now, from, to) }
    }

    fn copy(&mut self, now: Time, from: ReplicaId, to: ReplicaId) -> Option<Time> {
        let copied = self.copies[from.index() * self.replicas + to.index()].chance(self.duplicate);
        copied.then(|| self.arrival(now, Route::Peer { from, to }))
    }
}

/// An answer to an address of no client is lost in the end; until then it shares the first client's link.
#[inline]
fn link_index(route: Route, replicas: usize) -> usize {
    let number = |client: ClientId| client.number(replicas).filter(|&number| number < CLIENTS).unwrap_or(0);
    match route {
        Route::Peer { from, to } => from.index() * replicas + to.index(),
        Route::Request { from, to } => (replicas + number(from)) * replicas + to.index(),
        Route::Answer { from, to } => (replicas + CLIENTS) * replicas + from.index() * CLIENTS + number(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    const MS: u64 = 1_000_000;

    fn between(from: u8, to: u8) -> Route {
        Route::Peer { from: ReplicaId(from), to: ReplicaId(to) }
    }

    fn links(order: Order) -> Transport {
        let delay = Delay::Uniform { min: Span::from_millis(1), max: Span::from_millis(10) };
        Transport::plain(&Network::Links { delay, order }, 5, 1)
    }

    #[test]
    fn the_router_takes_messages_one_after_another_whatever_their_sender() {
        let service = Delay::Constant(Span(100));
        let mut router = Transport::plain(&Network::Course { service }, 5, 1);
        assert_eq!(router.arrival(Time(1_000), between(0, 1)), Time(1_100));
        assert_eq!(router.arrival(Time(1_000), between(3, 4)), Time(1_200));
        let answer = Route::Answer { from: ReplicaId(0), to: ClientId(21) };
        assert_eq!(router.arrival(Time(1_150), answer), Time(1_300));
        assert_eq!(router.arrival(Time(2_000), between(0, 1)), Time(2_100));
    }

    #[test]
    fn links_reorder_unless_they_are_fifo() {
        let overtakes = |order| {
            let mut transport = links(order);
            let arrivals: Vec<Time> = (0..200).map(|i| transport.arrival(Time(i * MS), between(0, 1))).collect();
            arrivals.windows(2).filter(|pair| pair[1] < pair[0]).count()
        };
        assert!(overtakes(Order::Any) > 20);
        assert_eq!(overtakes(Order::Fifo), 0);
    }

    #[test]
    fn traffic_on_one_link_does_not_move_the_delays_of_another() {
        let (mut quiet, mut busy) = (links(Order::Any), links(Order::Any));
        for i in 0..100 {
            let now = Time(i * MS);
            busy.arrival(now, between(0, 2));
            busy.arrival(now, Route::Request { from: ClientId(21), to: ReplicaId(1) });
            assert_eq!(quiet.arrival(now, between(0, 1)), busy.arrival(now, between(0, 1)));
        }
    }

    #[test]
    fn every_route_has_a_link_of_its_own() {
        let replicas = 5;
        let mut seen = Vec::new();
        for from in ReplicaId::all(replicas) {
            seen.extend(ReplicaId::all(replicas).map(|to| link_index(Route::Peer { from, to }, replicas)));
            for client in (0..CLIENTS).map(|number| ClientId::numbered(number, replicas)) {
                seen.push(link_index(Route::Answer { from, to: client }, replicas));
                seen.push(link_index(Route::Request { from: client, to: from }, replicas));
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..links(Order::Any).links.len()).collect::<Vec<_>>());
    }
}
