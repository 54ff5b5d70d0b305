//! Leaders that hear from no quorum and lead on.
//!
//! Such a leader can commit nothing and confirm no read. Raft allows it to stay, and its clients to wait; check-quorum
//! (thesis 6.2) makes it step down. No client sees the difference if the faults that cut it off end soon. So a replica
//! that promises to step down in time is watched for it.

use crate::check::opinion::Opinion;
use crate::check::panel::{Check, Evidence};
use crate::consensus::{Consensus, Role, Term};
use crate::engine::State;
use crate::id::{ReplicaId, ReplicaSet};
use crate::machine::Machine;
use crate::record::{Event, Observer, Scene};
use crate::time::{Span, Time};

/// The kind of the finding.
pub const LEADER_CONTACT: &str = "leader contact";

/// In one bound it looks this often, so a finding may come late by an eighth.
const LOOKS_PER_BOUND: u64 = 8;

/// Watches that no replica leads on without a message from a quorum, itself counted, for longer than a bound.
///
/// The time is that of the leader's own clock, or of the world's if that is shorter. It begins anew whenever a fault hits
/// the leader's host, because a process that was stopped, or whose clock has jumped, needs a moment to notice.
#[derive(Clone, Debug)]
pub struct LeaderContact {
    bound: Span,
    leaders: Vec<Led>,
    /// When each replica, a row, last got a message from each other one.
    heard: Vec<Time>,
    looked: Time,
    look_again: Time,
    looks: u64,
    broken: Option<(Time, String)>,
}

/// A replica when it was last looked at.
#[derive(Clone, Copy, Debug)]
struct Led {
    /// The term in which it led, if it did.
    term: Option<Term>,
    /// The time on its clock.
    local: Time,
    /// For how long it has led without a quorum.
    silent: Span,
}

impl LeaderContact {
    /// A watch for leaders without contact for longer than this, which is more than zero.
    pub fn new(bound: Span) -> LeaderContact {
        LeaderContact {
            bound,
            leaders: Vec::new(),
            heard: Vec::new(),
            looked: Time::ZERO,
            look_again: Time::ZERO,
            looks: 0,
            broken: None,
        }
    }

    fn begin_anew(&mut self, hit: ReplicaSet) {
        for replica in hit.iter() {
            if let Some(led) = self.leaders.get_mut(replica.index()) {
                led.term = None;
            }
        }
    }

    #[cold]
    fn look<P: Consensus>(&mut self, scene: &Scene<'_, P>) {
        let replicas = scene.replicas.len();
        if self.leaders.is_empty() {
            self.leaders = vec![Led { term: None, local: Time::ZERO, silent: Span::ZERO }; replicas];
            self.heard = vec![Time::ZERO; replicas * replicas];
        }
        for id in ReplicaId::all(replicas) {
            let before = self.leaders[id.index()];
            let now = self.led(scene, id, before);
            self.leaders[id.index()] = now;
            if now.silent > self.bound && self.broken.is_none() {
                let (term, silent) = (scene.replicas[id.index()].term(), now.silent.as_secs_f64());
                let text = format!("replica {id} leads in term {term}, but has heard from no quorum for {silent:.3} s");
                self.broken = Some((scene.now, text));
            }
        }
        self.looks += 1;
        self.looked = scene.now;
        self.look_again = scene.now + Span((self.bound.nanos() / LOOKS_PER_BOUND).max(1));
    }

    /// The state of a replica, given its earlier one.
    fn led<P: Consensus>(&self, scene: &Scene<'_, P>, id: ReplicaId, before: Led) -> Led {
        let replica = &scene.replicas[id.index()];
        let local = scene.local(id);
        let leads = replica.role() == Role::Leader && scene.conditions[id.index()].state == State::Up;
        let term = leads.then(|| replica.term());
        let goes_on = term.is_some() && term == before.term;
        let passed = scene.now.since(self.looked).min(local.since(before.local));
        // The members of a quorum are heard one after another, so the last contact may lie some looks back.
        let silent = self.contact(id, scene.replicas.len()).map_or(Span::ZERO, |contact| scene.now.since(contact));
        Led { term, local, silent: if goes_on { silent.min(before.silent + passed) } else { Span::ZERO } }
    }

    /// When a replica had last heard from a quorum, itself counted; none if it is a quorum by itself.
    fn contact(&self, id: ReplicaId, replicas: usize) -> Option<Time> {
        let others = (replicas / 2).checked_sub(1)?;
        let mut heard = self.heard[id.index() * replicas..][..replicas].to_vec();
        heard.sort_unstable_by(|one, other| other.cmp(one));
        heard.get(others).copied()
    }
}

impl<P: Machine + Consensus> Observer<P> for LeaderContact {
    #[inline]
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        if scene.now >= self.look_again {
            self.look(scene);
        }
        match *event {
            Event::Delivered { from, to, .. } => {
                self.heard[to.index() * scene.replicas.len() + from.index()] = scene.now;
            }
            Event::Struck { consequence, .. } => self.begin_anew(consequence.hit),
            Event::Started { replica, .. } => self.begin_anew(ReplicaSet::EMPTY.with(replica)),
            _ => {}
        }
    }
}

impl<P: Machine + Consensus> Check<P> for LeaderContact {
    fn judge(&mut self, _: &Evidence<'_>) -> Opinion {
        let broken = self.broken.as_ref();
        let broken = broken.map(|(time, what)| super::BrokenInvariant { name: LEADER_CONTACT, time: *time, what });
        super::opinion("Leader contact", self.looks, None, broken)
    }

    fn speaks_only_of_failures(&self) -> bool {
        true
    }
}
