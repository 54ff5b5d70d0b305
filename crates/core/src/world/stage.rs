//! The part of a run that all worlds share: the scenario's faults, which replicas live or are cut off, the clients, and
//! the counters.
//!
//! A world adds the source of time and the transport of bytes.

use std::mem;

use crate::chaos::{Act, Consequence, Director, FaultEvent};
use crate::id::{ClientId, Mid, ReplicaId};
use crate::record::{Belief, Outage, Outcome, RunRecord, StrayAnswers, Struck, World};
use crate::scenario::Scenario;
use crate::service::Response;
use crate::time::{Span, Time};
use crate::workload::{Reaction, Workload};

/// A run in progress, apart from its replicas and its network.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub scenario: &'a Scenario,
    pub seed: u64,
    pub director: Director,
    pub workload: Workload,
    /// Messages that replicas sent each other.
    pub sent: u64,
    /// Messages that the chaos monkey dropped, or that were damaged.
    pub dropped: u64,
    /// Malformed datagrams of replicas.
    pub malformed: u64,
    /// Replicas that died by themselves.
    pub died: u64,
    killed: u64,
    /// The changes of the observed leader.
    leaders: Vec<Belief>,
    /// The faults of the scenario that were injected.
    struck: Vec<Struck>,
    outages: Vec<Outage>,
    strays: StrayAnswers,
    calm: Option<Time>,
    /// How many messages had been lost by number when a message was last dropped.
    lost: u64,
    /// How late the world was, at most.
    pub lag: Span,
}

impl<'a> Stage<'a> {
    /// The stage before the run.
    pub fn new(scenario: &'a Scenario, seed: u64) -> Stage<'a> {
        let mut director = Director::new(scenario.matrix.clone(), &scenario.losses, scenario.rules, seed);
        director.set_damage(scenario.damage);
        if !scenario.syncs_take_time() {
            director.set_instant_syncs();
        }
        Stage {
            scenario,
            seed,
            calm: (scenario.events.is_empty() && director.has_connected_quorum()).then_some(Time::ZERO),
            director,
            workload: Workload::new(scenario.plan(), seed),
            sent: 0,
            dropped: 0,
            malformed: 0,
            died: 0,
            killed: 0,
            leaders: vec![Belief { since: Time::ZERO, leader: None }],
            struck: Vec::with_capacity(scenario.events.len()),
            outages: Vec::new(),
            strays: StrayAnswers::default(),
            lost: 0,
            lag: Span::ZERO,
        }
    }

    /// When the next fault is injected; never, if all have been.
    #[inline]
    pub fn next_fault(&self) -> Time {
        self.scenario.events.get(self.struck.len()).map_or(Time::NEVER, |event| event.time)
    }

    /// Injects the next fault of the scenario. Returns its place in the list of events and what the world has to do;
    /// the clients have been notified already.
    pub fn inject(&mut self, now: Time) -> (usize, Consequence) {
        let event = self.struck.len();
        let fault = &self.scenario.events[event].fault;
        let idle = self.director.idle(fault);
        let consequence = self.director.apply(fault);
        self.struck.push(Struck { time: now, event, consequence, idle });
        self.note_belief(now);
        match fault.act() {
            Some(Act::Crash | Act::Kill) => consequence.hit.iter().for_each(|replica| self.note_down(now, replica)),
            Some(Act::Restart { .. }) => consequence.hit.iter().for_each(|replica| self.note_up(now, replica)),
            _ => {}
        }
        self.killed += u64::from(consequence.killed.is_some());
        if consequence.leader_lost {
            self.workload.forget_leaders();
        }
        if self.struck.len() == self.scenario.events.len() && self.director.has_connected_quorum() {
            self.calm = Some(self.scenario.events[event].time);
        }
        (event, consequence)
    }

    /// Records the leader that is stamped on a replica's message.
    #[inline]
    pub fn observe_leader(&mut self, now: Time, from: ReplicaId, leader: Option<ReplicaId>) {
        if leader != self.director.believed_leader() {
            self.director.observe_leader(from, leader);
            self.note_belief(now);
        }
    }

    /// Records the observed leader, if it has changed.
    fn note_belief(&mut self, now: Time) {
        let leader = self.director.believed_leader();
        if self.leaders.last().is_some_and(|belief| belief.leader != leader) {
            self.leaders.push(Belief { since: now, leader });
            self.workload.observe_leader(leader);
        }
    }

    fn note_down(&mut self, now: Time, replica: ReplicaId) {
        if self.outage(replica).is_none_or(|outage| outage.until != Time::NEVER) {
            self.outages.push(Outage { replica, from: now, until: Time::NEVER });
        }
    }

    /// A replica that was down gets messages from now on.
    pub fn note_up(&mut self, now: Time, replica: ReplicaId) {
        if let Some(outage) = self.outage(replica).filter(|outage| outage.until == Time::NEVER) {
            outage.until = now;
        }
    }

    /// A replica that has just restarted gets no messages before [`Stage::note_up`].
    pub fn note_starting(&mut self, replica: ReplicaId) {
        if let Some(outage) = self.outage(replica) {
            outage.until = Time::NEVER;
        }
    }

    /// The newest outage of a replica.
    fn outage(&mut self, replica: ReplicaId) -> Option<&mut Outage> {
        self.outages.iter_mut().rev().find(|outage| outage.replica == replica)
    }

    /// Records that a replica died by itself.
    pub fn mark_dead(&mut self, now: Time, replica: ReplicaId) {
        self.died += 1;
        self.note_down(now, replica);
        self.director.mark_dead(replica);
        self.note_belief(now);
        // A death is a fault like any other.
        self.calm = self.calm.filter(|_| self.director.has_connected_quorum()).map(|_| now);
    }

    /// A replica that was down has refused to start, and stays down.
    pub fn refuse(&mut self, now: Time, replica: ReplicaId) {
        self.note_down(now, replica);
        self.director.mark_dead(replica);
        self.note_belief(now);
        self.calm = self.calm.filter(|_| self.director.has_connected_quorum()).map(|_| now);
    }

    /// Whether a message that has arrived gets through. Counts it as dropped if not.
    #[inline]
    pub fn admits(&mut self, now: Time, from: ReplicaId, to: ReplicaId) -> bool {
        let admitted = self.director.admits(from, to);
        if !admitted {
            self.dropped += 1;
            // A loss by number is a fault. The stable period begins after the last one.
            let lost = self.director.monkey().lost_by_number();
            if lost > self.lost {
                self.lost = lost;
                self.calm = self.calm.map(|_| now);
            }
        }
        admitted
    }

    /// When the next thing is due: a fault, a request, or the end.
    pub fn next_due(&self) -> Time {
        self.next_fault().min(self.workload.poll_due()).min(self.scenario.end())
    }

    /// Whether the run has reached its end, is stopped, or is deserted.
    pub fn is_over(&self, now: Time) -> bool {
        now >= self.scenario.end() || self.is_storm() || self.is_deserted()
    }

    /// Whether all replicas are lost, some by themselves, and no restart is to come.
    pub fn is_deserted(&self) -> bool {
        let starts = |event: &FaultEvent| matches!(event.fault.act(), Some(Act::Restart { .. }));
        self.died > 0
            && self.director.living().is_empty()
            && !self.scenario.events[self.struck.len()..].iter().any(starts)
    }

    /// Hands an answer to a client. Returns the client's reaction.
    pub fn answer(
        &mut self,
        now: Time,
        to: ClientId,
        mid: Mid,
        leader: Option<ReplicaId>,
        response: &Response,
    ) -> Reaction {
        self.strays.look(now, self.workload.history(), to, mid, || Outcome::from(response));
        self.workload.handle_answer(now, to, mid, leader, response, self.director.living())
    }

    /// Whether replicas or clients have sent too many messages, so that the run is stopped.
    #[inline]
    pub fn is_storm(&self) -> bool {
        self.is_packet_storm() || self.workload.is_storm()
    }

    fn is_packet_storm(&self) -> bool {
        self.sent >= self.scenario.max_packets.max(1)
    }

    /// Ends the run at `end` and returns its record. `events` and `trace` are the world's own.
    pub fn finish(&mut self, world: World, end: Time, events: u64, trace: Option<u64>) -> RunRecord {
        RunRecord {
            world,
            seed: self.seed,
            leaders: mem::take(&mut self.leaders),
            struck: mem::take(&mut self.struck),
            died: self.died,
            killed: self.killed,
            sent: self.sent,
            dropped: self.dropped,
            malformed: self.malformed,
            complaints: Vec::new(),
            packet_storm: self.is_packet_storm(),
            request_storm: self.workload.is_storm(),
            obstacle: None,
            unfaithful: Vec::new(),
            history: self.workload.take_history(),
            stray_answers: mem::take(&mut self.strays),
            lag: self.lag,
            end,
            living: self.director.living(),
            able: self.director.hosts().sound(),
            connected: self.director.connected(),
            served: self.director.served(),
            outages: mem::take(&mut self.outages),
            calm: self.calm,
            events,
            trace,
        }
    }
}
