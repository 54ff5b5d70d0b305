//! What a leader knows of one follower.

use std::collections::VecDeque;

use crate::id::ReplicaId;
use crate::raft::{Config, Index};
use crate::time::{Span, Time};

/// What a leader knows of one follower.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The follower.
    pub id: ReplicaId,
    /// The follower's log is known to be the leader's up to here.
    pub matched: Index,
    /// The next entry to send. Beyond `matched + 1` while appends are in flight (pipelining).
    pub next: Index,
    /// Where to start again when the appends in flight time out.
    pub resume: Index,
    /// The follower has confirmed that its log fits, so that appends may follow each other without waiting.
    pub pipelining: bool,
    /// The highest index sent so far, lost or not.
    pub asked: Index,
    /// When the newest append was sent.
    pub sent: Time,
    /// When the newest append that has been answered was sent: the follower recognised this leader after that.
    pub acked: Time,
    /// When it must be contacted at the latest, unless an append is in flight.
    pub contact_due: Time,
    /// When the oldest unanswered append times out; never, if all are answered.
    pub expires: Time,
    /// The newest append held fewer entries than there were to send, because a batch is limited.
    pub cut_short: bool,
    /// It lacks entries that the leader has dropped, so the leader sends it its state.
    pub fetch: Option<Fetch>,
    /// When the appends in flight were sent, in order.
    under_way: VecDeque<Time>,
    /// The number of appends in a row that timed out.
    pub silent: u32,
    pub round_trip: RoundTrip,
}

/// How much of the leader's state a follower has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fetch {
    /// The last index that the state covers; 0 while there is no snapshot yet.
    pub index: Index,
    /// How many of its commands the follower has.
    pub count: usize,
}

impl Progress {
    /// A follower of a new leader. The leader assumes that it has all entries before `next`.
    pub fn new(id: ReplicaId, next: Index, contact_due: Time, round_trip: RoundTrip) -> Progress {
        Progress {
            id,
            matched: 0,
            next,
            resume: next,
            pipelining: false,
            asked: 0,
            sent: Time::ZERO,
            acked: Time::ZERO,
            contact_due,
            expires: Time::NEVER,
            cut_short: false,
            fetch: None,
            under_way: VecDeque::new(),
            silent: 0,
            round_trip,
        }
    }

    /// When the leader has to act for this follower next.
    #[inline]
    pub fn wake(&self) -> Time {
        if self.waiting() { self.expires } else { self.contact_due }
    }

    /// Whether an append is in flight.
    #[inline]
    pub fn waiting(&self) -> bool {
        self.expires != Time::NEVER
    }

    /// Whether the follower has all entries up to `index`, counting those in flight.
    #[inline]
    pub fn covers(&self, index: Index) -> bool {
        // Here and below without branches, because no processor can predict them.
        (self.matched >= index) | (self.waiting() & (self.next > index) & self.fetch.is_none())
    }

    /// Whether the follower has confirmed, or is being asked to confirm, the leader's term at `time` or later.
    #[inline]
    pub fn confirms(&self, time: Time) -> bool {
        (self.acked >= time) | (self.waiting() & (self.sent >= time))
    }

    /// Whether another append, or chunk of the leader's state, may be sent now. Chunks are never sent ahead: each copy of one
    /// would be the newest, so that the answer to the newest never came.
    #[inline]
    pub fn sendable(&self, config: &Config) -> bool {
        let ahead = self.pipelining & self.fetch.is_none();
        if ahead { self.under_way.len() < config.inflight_max as usize } else { !self.waiting() }
    }

    /// Records an append that carries the entries before `next`; `last` is the last index of the log.
    #[inline]
    pub fn handle_sent(&mut self, now: Time, next: Index, last: Index, config: &Config) {
        self.next = next;
        self.cut_short = next <= last;
        self.asked = self.asked.max(next - 1);
        self.note_sent(now, config);
    }

    /// Records that a chunk of the leader's state was sent. The log follows when the follower has all chunks.
    pub fn handle_part_sent(&mut self, now: Time, config: &Config) {
        self.cut_short = true;
        self.note_sent(now, config);
    }

    #[inline]
    fn note_sent(&mut self, now: Time, config: &Config) {
        self.sent = now;
        self.under_way.push_back(now);
        if !self.waiting() {
            self.expires = now + self.patience(config);
        }
    }

    /// Whether the append that was sent at `sent` has been answered already. A copy of an answer must not make room for
    /// another append, because the network may copy that answer, too: messages would double with every round trip.
    #[inline]
    pub fn has_answered(&self, sent: Time) -> bool {
        sent <= self.acked && self.under_way.binary_search(&sent).is_err()
    }

    /// Records a new answer to the append that was sent at `sent`.
    #[inline]
    pub fn handle_answer(&mut self, now: Time, sent: Time, config: &Config) {
        self.silent = 0;
        if sent > self.acked {
            self.acked = sent;
            self.contact_due = sent + config.heartbeat;
        }
        self.round_trip.measure(now.since(sent));
        if sent >= self.sent {
            self.expires = Time::NEVER;
            self.under_way.clear();
        } else if self.waiting() {
            if let Ok(place) = self.under_way.binary_search(&sent) {
                self.under_way.remove(place);
            }
            self.expires = now + self.patience(config);
        }
    }

    /// Records that the follower's log is the leader's up to `index`. After a step back only the answer to the newest
    /// append starts the pipeline again; an older one must not rewind the appends in flight.
    #[inline]
    pub fn handle_match(&mut self, index: Index, newest: bool) {
        self.matched = self.matched.max(index);
        self.resume = self.matched + 1;
        if newest && !self.pipelining {
            self.pipelining = true;
            self.next = self.resume;
        }
        self.next = self.next.max(self.resume);
    }

    /// Goes back to `index`, the follower's hint, and probes from there.
    ///
    /// A follower that refuses entries that it has acknowledged has lost them: its disk was wiped, or has lied. The
    /// leader sends them again. The commit index stays.
    pub fn handle_conflict(&mut self, index: Index) {
        self.matched = self.matched.min(index.saturating_sub(1));
        self.resume = index.clamp(self.matched + 1, self.next.max(self.matched + 2) - 1);
        self.next = self.resume;
        self.give_up();
    }

    /// Drops the appends in flight if they have timed out, and returns whether they have. A follower that looks dead
    /// gets no more snapshot chunks until it answers again.
    #[inline]
    pub fn expire(&mut self, now: Time, config: &Config) -> bool {
        let overdue = now >= self.expires;
        if overdue {
            self.silent = self.silent.saturating_add(1);
            self.next = self.resume;
            self.give_up();
            if self.suspect(config) {
                self.fetch = None;
            }
        }
        overdue
    }

    fn give_up(&mut self) {
        self.pipelining = false;
        self.expires = Time::NEVER;
        self.under_way.clear();
    }

    /// Whether the follower looks dead.
    #[inline]
    pub fn suspect(&self, config: &Config) -> bool {
        self.silent >= config.suspect_after
    }

    /// How long to wait for an answer: by the measured round trip. For a suspect the time grows, up to the heartbeat
    /// interval, so a dead replica costs next to nothing.
    fn patience(&self, config: &Config) -> Span {
        let patience = self.round_trip.timeout(config.retry_min).nanos();
        let doublings = (self.silent + 1).saturating_sub(config.suspect_after).min(20);
        Span(patience.saturating_mul(1 << doublings).min(config.heartbeat.nanos().max(patience)))
    }
}

/// The round trip to a follower, as TCP measures it (Jacobson 1988, RFC 6298). No sample is ambiguous, because an
/// answer names its append.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoundTrip {
    /// Smoothed round trip, in nanoseconds.
    mean: u64,
    /// Smoothed deviation from it, in nanoseconds.
    deviation: u64,
    measured: bool,
}

impl RoundTrip {
    pub fn guess(config: &Config) -> RoundTrip {
        RoundTrip { mean: config.round_trip_guess.nanos(), deviation: 0, measured: false }
    }

    #[inline]
    fn measure(&mut self, sample: Span) {
        let sample = sample.nanos();
        if self.measured {
            self.deviation = (3 * self.deviation + self.mean.abs_diff(sample)) / 4;
            self.mean = (7 * self.mean + sample) / 8;
        } else {
            *self = RoundTrip { mean: sample, deviation: sample / 2, measured: true };
        }
    }

    /// When an answer times out. However steady a link is, its answers get at least `slack` more than the mean: an
    /// answer that takes exactly the mean is not late.
    #[inline]
    fn timeout(self, slack: Span) -> Span {
        Span(self.mean + (4 * self.deviation).max(slack.nanos()))
    }
}
