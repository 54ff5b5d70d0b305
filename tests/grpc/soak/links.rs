//! Whether the chaos monkeys drop as many messages as the matrix says.
//!
//! Between two changes of the matrix, a link has one probability p. The counters of all servers are read after all of them
//! have acknowledged the one change, and once more before the next one is sent to any. What arrives at a server between
//! its two readings therefore has met exactly this p: what is on its way around a change is in no interval, and needs no
//! allowance. Of n messages n * p are expected to be dropped, with a variance of n * p * (1 - p); both add up over intervals.

use seedbed_core::rpc::proto::admin::ServerStatus;

use super::SERVERS;
use crate::cluster::received;

/// So many standard deviations may a link be off. Of 42 links in one soak of 40,000 one is.
const DEVIATIONS_MAX: f64 = 5.0;

/// And so many messages besides: where hardly any drop is expected, one or two are many standard deviations.
const MESSAGES_MAX: f64 = 3.0;

/// How many links are printed.
const PRINTED: usize = 5;

/// Received and dropped messages, by receiver and sender; none of receivers that are dead.
pub type Counters = [Option<[(u64, u64); SERVERS]>; SERVERS];

pub fn counters(statuses: &[Option<ServerStatus>]) -> Counters {
    std::array::from_fn(|to| statuses[to].as_ref().map(|status| std::array::from_fn(|from| received(status, from))))
}

/// One link, over all intervals.
#[derive(Clone, Copy, Default)]
struct Link {
    /// Where p is neither 0 nor 1.
    received: u64,
    dropped: u64,
    expected: f64,
    variance: f64,
    /// Where p is 0: all of them, and the dropped.
    open: (u64, u64),
    /// Where p is 1: the same.
    shut: (u64, u64),
}

impl Link {
    fn excess(&self) -> f64 {
        self.dropped as f64 - self.expected
    }

    /// By how many standard deviations it is off.
    fn z(&self) -> f64 {
        if self.variance > 0.0 { self.excess() / self.variance.sqrt() } else { 0.0 }
    }

    fn is_fair(&self) -> bool {
        self.excess().abs() <= DEVIATIONS_MAX * self.variance.sqrt() + MESSAGES_MAX
            && self.open.1 == 0
            && self.shut.1 == self.shut.0
    }
}

/// All links.
#[derive(Default)]
pub struct Links {
    intervals: usize,
    links: [[Link; SERVERS]; SERVERS],
}

impl Links {
    /// Takes in an interval in which this was the matrix of all servers.
    pub fn note(&mut self, matrix: &[[f32; SERVERS]; SERVERS], before: &Counters, after: &Counters) {
        self.intervals += 1;
        for to in 0..SERVERS {
            let (Some(before), Some(after)) = (&before[to], &after[to]) else { continue };
            for from in (0..SERVERS).filter(|&from| from != to) {
                let received = after[from].0 - before[from].0;
                let dropped = after[from].1 - before[from].1;
                let link = &mut self.links[from][to];
                // As the server takes it: the matrix is sent as `float`, and the dice are `double`.
                match f64::from(matrix[from][to]) {
                    0.0 => link.open = (link.open.0 + received, link.open.1 + dropped),
                    1.0 => link.shut = (link.shut.0 + received, link.shut.1 + dropped),
                    p => {
                        link.received += received;
                        link.dropped += dropped;
                        link.expected += received as f64 * p;
                        link.variance += received as f64 * p * (1.0 - p);
                    }
                }
            }
        }
    }

    /// The links, the worst first.
    fn sorted(&self) -> Vec<(usize, usize, &Link)> {
        let places = (0..SERVERS).flat_map(|from| (0..SERVERS).map(move |to| (from, to)));
        let links = places.filter(|(from, to)| from != to).map(|(from, to)| (from, to, &self.links[from][to]));
        let mut links: Vec<_> = links.collect();
        links.sort_by(|(_, _, one), (_, _, other)| other.z().abs().total_cmp(&one.z().abs()));
        links
    }

    pub fn print(&self) {
        let links = self.sorted();
        let sum = |number: fn(&Link) -> u64| links.iter().map(|(_, _, link)| number(link)).sum::<u64>();
        let tried = links.iter().filter(|(_, _, link)| link.variance > 0.0);
        let (count, squares) =
            tried.fold((0, 0.0), |(count, sum), (_, _, link)| (count + 1, sum + link.z() * link.z()));
        println!(
            "  messages        {} received in {} intervals between changes: {} of {} dropped where p is 0, {} of {} \
             where it is 1,",
            sum(|link| link.received + link.open.0 + link.shut.0),
            self.intervals,
            sum(|link| link.open.1),
            sum(|link| link.open.0),
            sum(|link| link.shut.1),
            sum(|link| link.shut.0)
        );
        let expected: f64 = links.iter().map(|(_, _, link)| link.expected).sum();
        println!(
            "                  {} of {} where it is between, {expected:.0} expected; worst z {:.2}, mean of z² {:.2}",
            sum(|link| link.dropped),
            sum(|link| link.received),
            links[0].2.z(),
            squares / f64::from(count.max(1))
        );
        println!("                  link    received  dropped  expected      z");
        for (from, to, link) in &links[..PRINTED] {
            let Link { received, dropped, expected, .. } = link;
            println!("                  {from} to {to}  {received:8} {dropped:8} {expected:9.1} {:6.2}", link.z());
        }
    }

    pub fn assert_fair(&self) {
        for (from, to, link) in self.sorted() {
            let Link { received, dropped, expected, open, shut, .. } = link;
            assert!(
                link.is_fair(),
                "from {from} to {to}: {dropped} of {received} dropped, {expected:.1} expected (z {:.2}); where p is 0 {} \
                 of {}, where it is 1 {} of {}",
                link.z(),
                open.1,
                open.0,
                shut.1,
                shut.0
            );
        }
    }
}

/// What has come to server 1 of server 0, and nothing else.
fn between(received: u64, dropped: u64) -> Counters {
    let mut counters = [None; SERVERS];
    counters[1] = Some([(0, 0); SERVERS]);
    counters[1].as_mut().expect("a server")[0] = (received, dropped);
    counters
}

#[test]
fn unfair_links_are_found_and_fair_ones_are_not() {
    for (p, received, dropped, fair) in [
        (0.0, 1_000, 0, true),
        (0.0, 1_000, 1, false),
        (1.0, 1_000, 1_000, true),
        (1.0, 1_000, 999, false),
        // A standard deviation is 9 here, and five of them with the allowance 48.
        (0.1, 900, 90 + 47, true),
        (0.1, 900, 90 - 47, true),
        (0.1, 900, 90 + 49, false),
        (0.1, 900, 90 - 49, false),
        (0.1, 0, 0, true),
    ] {
        let (mut links, mut matrix) = (Links::default(), [[0.0; SERVERS]; SERVERS]);
        matrix[0][1] = p;
        links.note(&matrix, &between(500, 50), &between(500 + received, 50 + dropped));
        assert_eq!(links.links[0][1].is_fair(), fair, "{dropped} of {received} dropped where p is {p}");
    }
}

#[test]
fn who_dies_between_two_readings_is_left_out() {
    let mut links = Links::default();
    links.note(&[[0.5; SERVERS]; SERVERS], &between(500, 50), &[None; SERVERS]);
    assert_eq!(links.links[0][1].received, 0);
}
