//! How many messages of which kind, and on which links. A protocol defines its kinds.

use crate::id::ReplicaId;

/// Messages of one kind on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkCount {
    /// The sender.
    pub from: ReplicaId,
    /// The receiver.
    pub to: ReplicaId,
    /// The kind.
    pub kind: &'static str,
    /// How many were sent, lost ones included.
    pub sent: u64,
    /// How many of them were dropped when they arrived.
    pub dropped: u64,
}

/// Counts the messages between the replicas of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The kinds of messages.
    kinds: &'static [&'static str],
    /// Sent, by kind.
    sent: Vec<u64>,
    /// Sent and dropped by sender, receiver and kind; empty if links are not counted.
    links: Vec<[u64; 2]>,
    replicas: usize,
}

impl Tally {
    /// Counts messages of these kinds.
    pub fn of_kinds(kinds: &'static [&'static str]) -> Tally {
        Tally { kinds, sent: vec![0; kinds.len()], ..Tally::default() }
    }

    /// Counts each link of a cluster of `replicas`, too.
    pub fn of_links(kinds: &'static [&'static str], replicas: usize) -> Tally {
        Tally { links: vec![[0; 2]; replicas * replicas * kinds.len()], replicas, ..Tally::of_kinds(kinds) }
    }

    /// A message was sent. `kind` is a place among the kinds; a place beyond them counts nothing.
    #[inline]
    pub fn note_sent(&mut self, from: ReplicaId, to: ReplicaId, kind: usize) {
        if let Some(sent) = self.sent.get_mut(kind) {
            *sent += 1;
        }
        if let Some(link) = self.link(from, to, kind) {
            link[0] += 1;
        }
    }

    /// A message was dropped when it arrived.
    #[inline]
    pub fn note_dropped(&mut self, from: ReplicaId, to: ReplicaId, kind: usize) {
        if let Some(link) = self.link(from, to, kind) {
            link[1] += 1;
        }
    }

    fn link(&mut self, from: ReplicaId, to: ReplicaId, kind: usize) -> Option<&mut [u64; 2]> {
        let kinds = self.kinds.len();
        let place = (from.index() * self.replicas + to.index()) * kinds + kind;
        self.links.get_mut(place).filter(|_| kind < kinds)
    }

    /// How many messages of this kind were sent, lost ones included. None if there is no such kind.
    pub fn sent(&self, kind: &str) -> Option<u64> {
        self.kinds.iter().position(|known| *known == kind).map(|place| self.sent[place])
    }

    /// The links and kinds that had messages, by sender, receiver and kind; none if links are not counted.
    pub fn links(&self) -> impl Iterator<Item = LinkCount> {
        let kinds = self.kinds.len();
        self.links.iter().enumerate().filter(|(_, [sent, _])| *sent > 0).map(move |(place, &[sent, dropped])| {
            let (link, kind) = (place / kinds, self.kinds[place % kinds]);
            let [from, to] = [link / self.replicas, link % self.replicas].map(|place| ReplicaId(place as u8));
            LinkCount { from, to, kind, sent, dropped }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_always_counted_and_links_on_request() {
        const KINDS: &[&str] = &["append", "vote", "copy"];
        let (a, b) = (ReplicaId(0), ReplicaId(2));
        let [mut kinds, mut links] = [Tally::of_kinds(KINDS), Tally::of_links(KINDS, 3)];
        for tally in [&mut kinds, &mut links] {
            tally.note_sent(a, b, 0);
            tally.note_sent(a, b, 0);
            tally.note_sent(b, a, 2);
            tally.note_dropped(a, b, 0);
            // An unknown kind is not counted as another one.
            tally.note_sent(a, b, 3);
            tally.note_dropped(a, b, 3);
            assert_eq!(
                ["append", "vote", "copy", "other"].map(|kind| tally.sent(kind)),
                [Some(2), Some(0), Some(1), None]
            );
        }
        assert_eq!(kinds.links().count(), 0);
        let expected = [
            LinkCount { from: a, to: b, kind: "append", sent: 2, dropped: 1 },
            LinkCount { from: b, to: a, kind: "copy", sent: 1, dropped: 0 },
        ];
        assert_eq!(links.links().collect::<Vec<_>>(), expected);
    }
}
