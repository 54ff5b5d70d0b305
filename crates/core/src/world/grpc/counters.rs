//! The messages that all servers of a run have counted.

use crate::id::ReplicaId;
use crate::rpc::proto::admin::ServerStatus;

/// What a server has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Messages to other servers.
    pub sent: u64,
    /// Messages of other servers that its chaos monkey dropped.
    pub dropped: u64,
    /// Messages that made no sense.
    pub ignored: u64,
}

impl Counts {
    fn of(status: &ServerStatus) -> Counts {
        Counts {
            sent: status.messages.iter().map(|count| count.sent).sum(),
            dropped: status.messages.iter().map(|count| count.dropped).sum(),
            ignored: status.ignored,
        }
    }

    fn plus(self, other: Counts) -> Counts {
        Counts {
            sent: self.sent + other.sent,
            dropped: self.dropped + other.dropped,
            ignored: self.ignored + other.ignored,
        }
    }
}

/// What one server has counted over all its incarnations.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// The incarnation that runs, or ran last, from 0.
    incarnation: u64,
    /// The sum of the earlier ones.
    earlier: Counts,
    /// The newest report of this one, and how long it had run by then.
    newest: Option<(u64, Counts)>,
}

/// The counters of all servers. A server begins at zero whenever it starts; the sums never go backwards.
#[derive(Debug)]
pub(super) struct Counters {
    accounts: Vec<Account>,
}

impl Counters {
    /// Nothing has been counted.
    pub fn new(servers: usize) -> Counters {
        Counters { accounts: vec![Account::default(); servers] }
    }

    /// The incarnation of a server that runs, or ran last.
    pub fn incarnation(&self, server: ReplicaId) -> u64 {
        self.accounts[server.index()].incarnation
    }

    /// A server starts again: what it counted before stays.
    pub fn begin_anew(&mut self, server: ReplicaId) {
        let Account { incarnation, earlier, newest } = self.accounts[server.index()];
        let earlier = newest.map_or(earlier, |(_, counts)| earlier.plus(counts));
        self.accounts[server.index()] = Account { incarnation: incarnation + 1, earlier, newest: None };
    }

    /// Takes a report of an incarnation. False if it is out of date: it comes from an earlier incarnation, or there is a newer
    /// one, which the answer to the last question before a kill may be.
    pub fn take(&mut self, server: ReplicaId, incarnation: u64, status: &ServerStatus) -> bool {
        let account = &mut self.accounts[server.index()];
        let is_news = account.newest.is_none_or(|(uptime, _)| uptime <= status.uptime_ms);
        if !is_news || incarnation != account.incarnation {
            return false;
        }
        account.newest = Some((status.uptime_ms, Counts::of(status)));
        true
    }

    /// All servers together.
    pub fn total(&self) -> Counts {
        let of = |account: &Account| account.newest.map_or(account.earlier, |(_, counts)| account.earlier.plus(counts));
        self.accounts.iter().map(of).fold(Counts::default(), Counts::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::proto::admin::MessageCount;

    fn status(uptime_ms: u64, sent: u64) -> ServerStatus {
        let messages = vec![
            MessageCount { sent, dropped: 1, ..MessageCount::default() },
            MessageCount { sent, ..MessageCount::default() },
        ];
        ServerStatus { uptime_ms, messages, ignored: 3, ..ServerStatus::default() }
    }

    #[test]
    fn the_counts_of_a_server_that_starts_again_are_added_to_those_before() {
        let (mut counters, [first, second]) = (Counters::new(2), [0, 1].map(ReplicaId));
        assert!(counters.take(first, 0, &status(100, 10)) && counters.take(second, 0, &status(100, 5)));
        assert_eq!(counters.total(), Counts { sent: 30, dropped: 2, ignored: 6 });

        counters.begin_anew(first);
        assert_eq!(counters.total(), Counts { sent: 30, dropped: 2, ignored: 6 }, "nothing goes backwards");
        assert_eq!((counters.incarnation(first), counters.incarnation(second)), (1, 0));
        assert!(counters.take(first, 1, &status(7, 1)));
        assert_eq!(counters.total(), Counts { sent: 32, dropped: 3, ignored: 9 });
    }

    #[test]
    fn reports_that_come_late_are_ignored() {
        let (mut counters, server) = (Counters::new(1), ReplicaId(0));
        assert!(counters.take(server, 0, &status(100, 10)));
        assert!(!counters.take(server, 0, &status(99, 9)), "there is a newer one");
        counters.begin_anew(server);
        assert!(!counters.take(server, 0, &status(200, 40)), "it comes from the incarnation before");
        assert_eq!(counters.total().sent, 20);
    }
}
