//! How many messages of which kind, and on which links.

use crate::id::ReplicaId;

/// What a message between replicas is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// AppendEntries with entries.
    Append,
    /// AppendEntries without entries.
    Heartbeat,
    /// The answer to either.
    AppendReply,
    /// A candidate asks whether it would be elected.
    PreVote,
    /// A candidate asks to be elected.
    RequestVote,
    /// The answer to either.
    Vote,
    /// A follower asks its leader to show that it still leads.
    Probe,
    /// A put that is passed on, in protocols without a log.
    Copy,
}

impl MessageKind {
    /// All of them.
    pub const ALL: [MessageKind; 8] = [
        MessageKind::Append,
        MessageKind::Heartbeat,
        MessageKind::AppendReply,
        MessageKind::PreVote,
        MessageKind::RequestVote,
        MessageKind::Vote,
        MessageKind::Probe,
        MessageKind::Copy,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            MessageKind::Append => "append",
            MessageKind::Heartbeat => "heartbeat",
            MessageKind::AppendReply => "append_reply",
            MessageKind::PreVote => "pre_vote",
            MessageKind::RequestVote => "request_vote",
            MessageKind::Vote => "vote",
            MessageKind::Probe => "probe",
            MessageKind::Copy => "copy",
        }
    }
}

/// Messages of one kind on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkCount {
    /// The sender.
    pub from: ReplicaId,
    /// The receiver.
    pub to: ReplicaId,
    /// The kind.
    pub kind: MessageKind,
    /// How many were sent, lost ones included.
    pub sent: u64,
    /// How many of them were dropped when they arrived.
    pub dropped: u64,
}

const KINDS: usize = MessageKind::ALL.len();

/// Counts the messages between the replicas of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    sent: [u64; KINDS],
    /// Sent and dropped by sender, receiver and kind; empty if links are not counted.
    links: Vec<[u64; 2]>,
    replicas: usize,
}

impl Tally {
    /// Counts kinds only.
    pub fn of_kinds() -> Tally {
        Tally::default()
    }

    /// Counts each link of a cluster of `replicas`, too.
    pub fn of_links(replicas: usize) -> Tally {
        Tally { links: vec![[0; 2]; replicas * replicas * KINDS], replicas, ..Tally::default() }
    }

    /// A message was sent.
    #[inline]
    pub fn note_sent(&mut self, from: ReplicaId, to: ReplicaId, kind: MessageKind) {
        self.sent[kind as usize] += 1;
        if let Some(link) = self.link(from, to, kind) {
            link[0] += 1;
        }
    }

    /// A message was dropped when it arrived.
    #[inline]
    pub fn note_dropped(&mut self, from: ReplicaId, to: ReplicaId, kind: MessageKind) {
        if let Some(link) = self.link(from, to, kind) {
            link[1] += 1;
        }
    }

    fn link(&mut self, from: ReplicaId, to: ReplicaId, kind: MessageKind) -> Option<&mut [u64; 2]> {
        self.links.get_mut((from.index() * self.replicas + to.index()) * KINDS + kind as usize)
    }

    /// How many messages of this kind were sent, lost ones included.
    pub fn sent(&self, kind: MessageKind) -> u64 {
        self.sent[kind as usize]
    }

    /// The links and kinds that had messages, by sender, receiver and kind; none if links are not counted.
    pub fn links(&self) -> impl Iterator<Item = LinkCount> {
        self.links.iter().enumerate().filter(|(_, [sent, _])| *sent > 0).map(|(place, &[sent, dropped])| {
            let (link, kind) = (place / KINDS, MessageKind::ALL[place % KINDS]);
            let [from, to] = [link / self.replicas, link % self.replicas].map(|place| ReplicaId(place as u8));
            LinkCount { from, to, kind, sent, dropped }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_always_and_links_if_they_are_asked_for() {
        let (a, b) = (ReplicaId(0), ReplicaId(2));
        let [mut kinds, mut links] = [Tally::of_kinds(), Tally::of_links(3)];
        for tally in [&mut kinds, &mut links] {
            tally.note_sent(a, b, MessageKind::Append);
            tally.note_sent(a, b, MessageKind::Append);
            tally.note_sent(b, a, MessageKind::Copy);
            tally.note_dropped(a, b, MessageKind::Append);
            assert_eq!(MessageKind::ALL.map(|kind| tally.sent(kind)), [2, 0, 0, 0, 0, 0, 0, 1]);
        }
        assert_eq!(kinds.links().count(), 0);
        let expected = [
            LinkCount { from: a, to: b, kind: MessageKind::Append, sent: 2, dropped: 1 },
            LinkCount { from: b, to: a, kind: MessageKind::Copy, sent: 1, dropped: 0 },
        ];
        assert_eq!(links.links().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_kind_has_its_own_place() {
        for (place, kind) in MessageKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
