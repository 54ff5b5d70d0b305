//! Edges: what a run has met, seen at the seam.
//!
//! Coverage-guided fuzzers instrument branches of a program. An exploration needs none of that, because all that a
//! machine does crosses the seam. An *edge* is a hash of one thing that has happened there:
//!
//! - a *step*: what arrived (a kind of message, a request, a timeout, a fault) at a machine of some role, how its
//!   sender's term and log stood to its own, and what came of it (its new role, how its term, log and commit index
//!   moved, which kinds of messages it sent);
//! - two steps of one machine in a row;
//! - the state of the cluster after a change: how many leaders and candidates, how far terms and logs are apart;
//! - a fault that hits a machine, a restart, the end of a machine, a lost message, or an answer, each with the roles and logs
//!   concerned;
//! - two situations ([`Survey`]) of which one occurred after the other;
//! - a finding.
//!
//! A machine without a window ([`Consensus`]) has no role, term and log. It is told by what it does: which kinds of messages it
//! has sent of late, and how many requests it has not answered (its [`Manner`]). So two primaries at one time are a state of the
//! cluster of their own, though only the protocol knows what a primary is.
//!
//! Unlike in those fuzzers, it does not count how often a run meets an edge: almost every run would be new by that.

use std::cmp::Ordering;
use std::hash::Hash;
use std::mem;

use super::{Seen, Survey};
use crate::check::Finding;
use crate::consensus::{Consensus, Index, Role, Term};
use crate::hash::StableHasher;
use crate::id::{ReplicaId, ReplicaSet};
use crate::lab::plays::{MessageIn, Played};
use crate::record::{Event, Observer, Scene};
use crate::scenario::Scenario;
use crate::service::{Operation, Response};
use crate::time::Time;

/// How many edges are told apart.
pub(super) const EDGES: usize = 1 << EDGE_BITS;

/// An edge is the first bits of a hash. A long exploration meets tens of thousands; few of these should share a number.
const EDGE_BITS: u32 = 18;

/// When and where something happened for the first time in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The edge.
    pub edge: u32,
    /// When.
    pub time: Time,
    /// The machine that it happened to.
    pub replica: ReplicaId,
    /// The machine whose message it was, or itself.
    pub from: ReplicaId,
}

/// The edges that a run has met.
#[derive(Clone, Debug, Default)]
pub struct Edges {
    /// A bit for each edge that was met. Empty if there is none.
    met: Vec<u64>,
    /// Where each was met first, in order of time.
    firsts: Vec<Moment>,
}

impl Edges {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    /// Where each edge was met first, in order of time.
    pub(super) fn into_moments(self) -> Vec<Moment> {
        self.firsts
    }

    #[inline]
    pub(super) fn meet(&mut self, hash: u64, now: Time, replica: ReplicaId, from: ReplicaId) {
        if self.met.is_empty() {
            self.met = vec![0; EDGES / 64];
        }
        let edge = (hash >> (u64::BITS - EDGE_BITS)) as u32;
        let (word, bit) = (&mut self.met[edge as usize / 64], 1 << (edge % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.firsts.push(Moment { edge, time: now, replica, from });
        }
    }
}

/// How a machine without a window stands, as far as its messages and answers tell.
#[derive(Clone, Copy, Debug, Default)]
struct Manner {
    /// The kinds of messages that it sent in each of the last two steps in which it sent some.
    sent: [u64; 2],
    /// How many requests it has not answered.
    open: u64,
}

impl Manner {
    /// The kinds that it has sent of late.
    fn kinds(self) -> u64 {
        self.sent[0] | self.sent[1]
    }

    /// One request that waits is like many.
    fn value(self) -> u64 {
        hash(Tag::Manner, [self.kinds(), self.open.min(1)])
    }
}

/// What of a machine's window edges are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    role: Role,
    /// The value of its [`Manner`]; 0 if it has a window.
    manner: u64,
    term: Term,
    first: Index,
    last: Index,
    last_term: Term,
    commit: Index,
    truncations: u64,
}

impl View {
    const NONE: View =
        View { role: Role::Follower, manner: 0, term: 0, first: 0, last: 0, last_term: 0, commit: 0, truncations: 0 };

    fn of(window: Option<&dyn Consensus>, manner: Manner) -> View {
        let Some(window) = window else { return View { manner: manner.value(), ..View::NONE } };
        let last = window.last_index();
        View {
            role: window.role(),
            manner: 0,
            term: window.term(),
            first: window.first_index(),
            last,
            last_term: window.entry(last).map_or(0, |entry| entry.term),
            commit: window.commit_index(),
            truncations: window.truncations(),
        }
    }

    /// Its role, or its manner if it has no window.
    fn standing(self) -> u64 {
        self.role as u64 ^ self.manner
    }

    /// How the machine has changed since `before`, in a few bits.
    fn change_since(self, before: View) -> u64 {
        let term = (self.term - before.term.min(self.term)).min(2);
        let log = order(self.last, before.last);
        let flags = [
            self.commit > before.commit,
            self.truncations > before.truncations,
            self.first > before.first,
            self.commit == self.last,
        ];
        flags.into_iter().fold(term << 2 | log, |bits, flag| bits << 1 | u64::from(flag))
    }

    /// How a sender stands to a receiver.
    fn relation_to(self, receiver: View) -> u64 {
        let parts = [
            order(self.term, receiver.term),
            order(self.last_term, receiver.last_term),
            order(self.last, receiver.last),
            order(self.commit, receiver.commit),
        ];
        parts.into_iter().fold(self.standing(), |bits, part| bits << 2 | part)
    }
}

/// 0 if less, 1 if equal, 2 if greater.
fn order(one: u64, other: u64) -> u64 {
    match one.cmp(&other) {
        Ordering::Less => 0,
        Ordering::Equal => 1,
        Ordering::Greater => 2,
    }
}

/// How far apart these are, roughly.
fn spread(values: impl Iterator<Item = u64> + Clone) -> u64 {
    let (least, most) = (values.clone().min().unwrap_or(0), values.max().unwrap_or(0));
    match most - least {
        apart @ 0..=2 => apart,
        3..=8 => 3,
        _ => 4,
    }
}

/// What is known of one machine between two of its steps.
#[derive(Clone, Copy, Debug)]
struct Known {
    view: View,
    /// The hash of what it handles now, exactly and roughly, and whose message it is.
    input: u64,
    rough: u64,
    from: ReplicaId,
    /// The kinds that it has sent since, a bit each; few share one.
    sent: u64,
    /// The step before, roughly.
    before: u64,
    manner: Manner,
}

impl Known {
    fn of(window: Option<&dyn Consensus>) -> Known {
        let manner = Manner::default();
        let view = View::of(window, manner);
        Known { view, input: 0, rough: 0, from: ReplicaId(0), sent: 0, before: 0, manner }
    }
}

/// Which kinds of messages at least one of some machines has sent of late, and which more than one; machines with windows do not
/// count.
fn company(known: &[Known]) -> u64 {
    let windowless = known.iter().filter(|known| known.view.manner != 0);
    let (one, more) = windowless.fold((0, 0), |(one, more), known| {
        let kinds = known.manner.kinds();
        (one | kinds, more | one & kinds)
    });
    hash(Tag::Company, [one, more])
}

/// What the first word of a hash says.
#[derive(Clone, Copy)]
enum Tag {
    Message,
    Request,
    Timeout,
    Synced,
    Started,
    Struck,
    Dropped,
    Answered,
    Ended,
    Step,
    Pair,
    Cluster,
    Situations,
    Found,
    Manner,
    Company,
}

fn hash<const N: usize>(tag: Tag, words: [u64; N]) -> u64 {
    let mut hasher = StableHasher::new();
    hasher.word(tag as u64);
    words.into_iter().for_each(|word| hasher.word(word));
    hasher.value()
}

/// A number for the variant of an enumeration; always the same for other types.
pub(in crate::lab) fn variant<T>(value: &T) -> u64 {
    let mut hasher = StableHasher::new();
    mem::discriminant(value).hash(&mut hasher);
    hasher.value()
}

/// Watches a run for its edges, and for situations.
pub(in crate::lab) struct Tracker<'t, P: Played> {
    played: &'t P,
    scenario: &'t Scenario,
    survey: Option<Box<dyn Survey<P::Machine>>>,
    met: &'t mut Met,
    known: Vec<Known>,
}

/// What was met in a run.
#[derive(Clone, Debug, Default)]
pub struct Met {
    /// The edges, if they were tracked.
    pub edges: Edges,
    /// The situations.
    pub seen: Seen,
}

impl Met {
    /// Adds what was found. A run of a broken protocol that violates an invariant is the best start for one in which
    /// clients notice it.
    pub(in crate::lab) fn add_findings(&mut self, findings: &[Finding]) {
        for finding in findings {
            let name = StableHasher::of(&(finding.checker.name(), &finding.kind));
            let time = finding.when.map_or(Time::ZERO, |(from, _)| from);
            self.edges.meet(hash(Tag::Found, [name]), time, ReplicaId(0), ReplicaId(0));
        }
    }
}

impl<'t, P: Played> Tracker<'t, P> {
    /// One of a run of this scenario. It writes to `met` as the run goes on, so that nothing is lost by a panic.
    pub fn new(
        played: &'t P,
        scenario: &'t Scenario,
        survey: Option<Box<dyn Survey<P::Machine>>>,
        met: &'t mut Met,
    ) -> Tracker<'t, P> {
        Tracker { played, scenario, survey, met, known: Vec::new() }
    }

    /// Looks at all machines before the first event.
    fn begin(&mut self, scene: &Scene<'_, P::Machine>) {
        if self.known.is_empty() {
            let known = |machine| Known::of(self.played.window(machine));
            self.known = scene.replicas.iter().map(known).collect();
        }
    }

    #[inline]
    fn meet(&mut self, hash: u64, now: Time, replica: ReplicaId, from: ReplicaId) {
        self.met.edges.meet(hash, now, replica, from);
    }

    /// Notes what a machine is about to handle.
    #[inline]
    fn takes(&mut self, to: ReplicaId, from: ReplicaId, rough: u64, exact: u64) {
        let known = &mut self.known[to.index()];
        (known.input, known.rough, known.from) = (exact, rough, from);
    }

    fn delivered(&mut self, scene: &Scene<'_, P::Machine>, from: ReplicaId, to: ReplicaId, message: &MessageIn<P>) {
        let sort = self.played.sort(message);
        let relation = self.known[from.index()].view.relation_to(self.known[to.index()].view);
        let own = self.played.relation(&scene.replicas[to.index()], message);
        self.takes(to, from, hash(Tag::Message, [sort]), hash(Tag::Message, [sort, relation, own]));
    }

    /// A fault hits some hosts, or the network while a replica is taken for the leader.
    fn struck(&mut self, scene: &Scene<'_, P::Machine>, event: usize, hit: ReplicaSet) {
        let fault = variant(&self.scenario.events[event].fault);
        let act = self.scenario.events[event].fault.act().map_or(0, |act| variant(&act));
        let network = || scene.director.believed_leader().into_iter().collect();
        let concerned: ReplicaSet = if hit.is_empty() { network() } else { hit };
        for replica in concerned.iter() {
            let input = hash(Tag::Struck, [fault, act]);
            self.takes(replica, replica, input, input);
            let known = self.known[replica.index()];
            let open = u64::from(known.view.commit < known.view.last);
            let words = [fault, act, known.view.standing(), open, known.before];
            self.meet(hash(Tag::Struck, words), scene.now, replica, replica);
        }
    }

    /// The situations that have occurred since, each after all those before.
    fn note_situations(&mut self, now: Time, replica: ReplicaId) {
        let Some(survey) = &self.survey else { return };
        let seen = survey.seen();
        let before = mem::replace(&mut self.met.seen, seen);
        for new in seen.without(before).iter() {
            for old in before.iter() {
                self.meet(hash(Tag::Situations, [old as u64, new as u64]), now, replica, replica);
            }
        }
    }

    /// The state of the whole cluster.
    fn note_cluster(&mut self, now: Time, replica: ReplicaId) {
        let views = || self.known.iter().map(|known| known.view);
        let with = |role: Role| views().filter(|view| view.role == role).count().min(3) as u64;
        let words = [
            with(Role::Leader),
            with(Role::Candidate),
            with(Role::PreCandidate),
            spread(views().map(|view| view.term)),
            spread(views().map(|view| view.last)),
            spread(views().map(|view| view.last_term)),
            spread(views().map(|view| view.commit)),
            company(&self.known),
        ];
        self.meet(hash(Tag::Cluster, words), now, replica, replica);
    }
}

impl<P: Played> Observer<P::Machine> for Tracker<'_, P> {
    fn event(&mut self, scene: &Scene<'_, P::Machine>, event: &Event<'_, MessageIn<P>>) {
        self.begin(scene);
        if let Some(survey) = &mut self.survey {
            survey.event(scene, event);
        }
        let plain = |tag| hash(tag, [0]);
        match *event {
            Event::Delivered { from, to, message } => self.delivered(scene, from, to, message),
            Event::Timeout { replica } => self.takes(replica, replica, plain(Tag::Timeout), plain(Tag::Timeout)),
            Event::Requested { to, request, .. } => {
                let input = hash(Tag::Request, [variant::<Operation>(request)]);
                self.known[to.index()].manner.open += 1;
                self.takes(to, to, input, input);
            }
            Event::Synced { replica } => self.takes(replica, replica, plain(Tag::Synced), plain(Tag::Synced)),
            Event::Started { replica, .. } => {
                let known = &mut self.known[replica.index()];
                let before = known.view;
                *known = Known::of(self.played.window(&scene.replicas[replica.index()]));
                let view = known.view;
                let words = [before.standing(), order(view.last, before.last), order(view.term, before.term)];
                let start = hash(Tag::Started, words);
                known.before = start;
                self.meet(start, scene.now, replica, replica);
            }
            Event::Struck { event, consequence } => self.struck(scene, event, consequence.hit),
            Event::Dropped { from, to, message } => {
                let (sender, receiver) = (self.known[from.index()].view, self.known[to.index()].view);
                let words = [self.played.sort(message), sender.standing(), receiver.standing()];
                self.meet(hash(Tag::Dropped, words), scene.now, to, from);
            }
            Event::Answered { from, response, .. } => {
                let known = &mut self.known[from.index()];
                known.manner.open = known.manner.open.saturating_sub(1);
                let view = known.view;
                let words = [variant::<Response>(response), view.standing(), order(view.commit, view.last)];
                self.meet(hash(Tag::Answered, words), scene.now, from, from);
            }
            Event::Ended { replica, .. } => {
                let standing = self.known[replica.index()].view.standing();
                self.meet(hash(Tag::Ended, [standing]), scene.now, replica, replica);
            }
            _ => {}
        }
    }

    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &MessageIn<P>) {
        if let Some(survey) = &mut self.survey {
            survey.sent(from, to, message);
        }
        let sort = self.played.sort(message);
        if let Some(known) = self.known.get_mut(from.index()) {
            known.sent |= 1 << (sort >> 58);
        }
    }

    fn handled(&mut self, scene: &Scene<'_, P::Machine>, id: ReplicaId) {
        self.begin(scene);
        if let Some(survey) = &mut self.survey {
            survey.handled(scene, id);
        }
        let known = &mut self.known[id.index()];
        if known.sent != 0 {
            known.manner.sent = [known.manner.sent[1], known.sent];
        }
        let after = View::of(self.played.window(&scene.replicas[id.index()]), known.manner);
        let (before, from) = (mem::replace(&mut known.view, after), known.from);
        let change = after.change_since(before);
        let (stood, stands) = (before.standing(), after.standing());
        let step = hash(Tag::Step, [known.input, stood, stands, change, known.sent]);
        let rough = hash(Tag::Step, [known.rough, stood, stands, change >> 1]);
        let pair = hash(Tag::Pair, [known.before, rough]);
        (known.before, known.sent) = (rough, 0);
        self.meet(step, scene.now, id, from);
        self.meet(pair, scene.now, id, from);
        if (stood, before.term) != (stands, after.term) || after.truncations > before.truncations {
            self.note_cluster(scene.now, id);
        }
        self.note_situations(scene.now, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine without a window that has sent these kinds in its last two steps.
    fn known(sent: [u64; 2]) -> Known {
        let manner = Manner { sent, open: 0 };
        Known { view: View::of(None, manner), manner, ..Known::of(None) }
    }

    #[test]
    fn two_machines_that_do_what_one_does_are_another_company() {
        let (silent, copies, joins) = (known([0, 0]), known([1, 0]), known([2, 2]));
        let one = company(&[copies, silent, joins]);
        assert_eq!(company(&[joins, silent, silent, copies]), one, "in any order, and with any number of silent ones");
        assert_ne!(company(&[copies, copies, joins]), one);
        assert_ne!(company(&[copies, joins, joins]), one);
        assert_ne!(company(&[copies]), one);
        assert_eq!(company(&[copies, copies, copies, joins]), company(&[copies, copies, joins]), "more than one");
    }

    #[test]
    fn a_machine_without_a_window_stands_as_what_it_does_tells() {
        let standing = |sent, open| View::of(None, Manner { sent, open }).standing();
        assert_eq!(standing([1, 2], 0), standing([2, 1], 0));
        assert_eq!(standing([1, 2], 1), standing([1, 2], 7));
        assert_ne!(standing([1, 2], 0), standing([1, 2], 1));
        assert_ne!(standing([1, 2], 0), standing([1, 1], 0));
    }
}
