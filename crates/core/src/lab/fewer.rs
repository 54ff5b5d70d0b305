//! A scenario with fewer replicas.

use crate::chaos::{ConnectivityMatrix, Fault, FaultEvent, Loss, Target};
use crate::id::{ReplicaId, ReplicaSet};
use crate::scenario::{LinkDelay, Scenario, packets_max};

/// The replicas that stay. The first of them becomes replica 0, the next replica 1, and so on.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Kept(Vec<ReplicaId>);

impl Kept {
    /// All of this many replicas but some.
    pub fn without(replicas: usize, gone: &[ReplicaId]) -> Kept {
        Kept(ReplicaId::all(replicas).filter(|id| !gone.contains(id)).collect())
    }

    /// The new name of a replica, if it stays.
    fn replica(&self, old: ReplicaId) -> Option<ReplicaId> {
        self.0.iter().position(|&kept| kept == old).map(|place| ReplicaId(place as u8))
    }

    /// What a fault or a request is aimed at, if it stays.
    pub fn target(&self, old: Target) -> Option<Target> {
        match old {
            Target::Replica(replica) => self.replica(replica).map(Target::Replica),
            role => Some(role),
        }
    }

    fn matrix(&self, old: &ConnectivityMatrix) -> ConnectivityMatrix {
        let row = |from: &ReplicaId| self.0.iter().map(|&to| old.loss(*from, to)).collect();
        let rows: Vec<Vec<f64>> = self.0.iter().map(row).collect();
        ConnectivityMatrix::from_rows(self.0.len(), &rows).expect("a square of what was there")
    }

    /// The same fault, unless it was one of a replica that goes.
    fn fault(&self, old: Fault) -> Option<Fault> {
        Some(match old {
            Fault::Isolate(target) => Fault::Isolate(self.target(target)?),
            Fault::Host { at: Some(target), act } => Fault::Host { at: Some(self.target(target)?), act },
            Fault::DelayLink { from, to, delay } => {
                Fault::DelayLink { from: self.replica(from)?, to: self.replica(to)?, delay }
            }
            Fault::Partition(groups) => {
                let members = |group: ReplicaSet| group.iter().filter_map(|id| self.replica(id)).collect();
                let groups = groups.into_iter().map(members).filter(|group: &ReplicaSet| !group.is_empty());
                let groups: Vec<ReplicaSet> = groups.collect();
                (!groups.is_empty()).then_some(Fault::Partition(groups))?
            }
            Fault::SetLink { from, to, value } => {
                Fault::SetLink { from: self.replica(from)?, to: self.replica(to)?, value }
            }
            Fault::SetMatrix(matrix) => Fault::SetMatrix(self.matrix(&matrix)),
            other => other,
        })
    }

    /// The same faults, but those of replicas that go.
    pub fn faults(&self, old: Vec<FaultEvent>) -> Vec<FaultEvent> {
        let kept = |FaultEvent { time, fault }| Some(FaultEvent { time, fault: self.fault(fault)? });
        old.into_iter().filter_map(kept).collect()
    }

    /// Leaves only these replicas in a scenario.
    pub fn shrink(&self, scenario: &mut Scenario) {
        scenario.matrix = self.matrix(&scenario.matrix);
        scenario.events = self.faults(std::mem::take(&mut scenario.events));
        let losses = scenario.losses.drain(..);
        let loss = |loss: Loss| Some(Loss { from: self.replica(loss.from)?, to: self.replica(loss.to)?, ..loss });
        scenario.losses = losses.filter_map(loss).collect();
        let links = scenario.links.drain(..);
        let link =
            |link: LinkDelay| Some(LinkDelay { from: self.replica(link.from)?, to: self.replica(link.to)?, ..link });
        scenario.links = links.filter_map(link).collect();
        scenario.replicas = self.0.len();
        scenario.max_packets = scenario.max_packets.min(packets_max(scenario.requests, self.0.len()));
    }
}
