//! Runs a case and records what happened: what a case with less left to chance is made of.

use crate::chaos::{ConnectivityMatrix, Fault, Loss};
use crate::id::{ReplicaId, ReplicaSet};
use crate::lab::Case;
use crate::machine::Machine;
use crate::record::{Event, History, Observer, RunRecord, Scene};
use crate::scenario::Scenario;
use crate::time::Time;
use crate::world::{Run, catch_quietly};

/// What happened in a run, up to its end or up to the panic of a replica.
#[derive(Debug, Default)]
pub(in crate::lab) struct Log {
    pub history: History,
    /// All messages that were dropped, damaged ones included.
    pub drops: Vec<Drop>,
    /// What came of each event that struck, in order.
    pub strikes: Vec<Strike>,
    /// When the run ended, and since when all faults were over.
    pub end: Time,
    pub calm: Option<Time>,
    /// How many events there were.
    pub events: u64,
    arrived: Vec<u64>,
}

/// A message that was dropped.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Drop {
    pub loss: Loss,
    pub time: Time,
    /// The probability with which it was.
    pub probability: f64,
    /// Whether a partition or an isolation did it, whatever the matrix says.
    pub cut: bool,
}

/// What came of a fault.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Strike {
    pub hit: ReplicaSet,
    /// The believed leader before anything else happened.
    pub leader: Option<ReplicaId>,
}

impl Log {
    /// Runs a case and records what happens.
    pub fn of(case: &Case) -> Log {
        let mut log = Log::default();
        let end = case.protocol.subject.log(case, &mut log);
        (log.history, log.end, log.calm, log.events) = (end.history, end.end, end.calm, end.events);
        log
    }

    /// Takes a run to its end or to a panic, whose observer is a log.
    pub(in crate::lab) fn watch<M: Machine>(mut run: impl Run<M>) -> RunRecord {
        // What a panic leaves of the run is good for what has happened before.
        let _ = catch_quietly(|| while run.step() {});
        run.finish()
    }
}

impl<P: Machine> Observer<P> for Log {
    fn event(&mut self, scene: &Scene<'_, P>, event: &Event<'_, P::Message>) {
        let count = scene.replicas.len();
        match *event {
            Event::Delivered { from, to, .. } | Event::Dropped { from, to, .. } | Event::Damaged { from, to, .. } => {
                self.arrived.resize(count * count, 0);
                let nth = &mut self.arrived[from.index() * count + to.index()];
                *nth += 1;
                if !matches!(event, Event::Delivered { .. }) {
                    let monkey = scene.director.monkey();
                    let probability = monkey.loss(from, to);
                    let cut = probability > monkey.matrix().loss(from, to);
                    self.drops.push(Drop { loss: Loss { from, to, nth: *nth }, time: scene.now, probability, cut });
                }
            }
            Event::Struck { consequence, .. } => {
                let (hit, leader) = (consequence.hit, scene.director.believed_leader());
                self.strikes.push(Strike { hit, leader });
            }
            _ => {}
        }
    }
}

/// Which losses are to be written down one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those by chance; links that lose everything stay as they are.
    Chance,
    /// Those by chance, and those of the matrix and its changes; partitions and isolations stay.
    Matrix,
    /// All of them; of the events only kills stay.
    All,
}

impl Scope {
    pub const ALL: [Scope; 3] = [Scope::Chance, Scope::Matrix, Scope::All];
}

/// The same run, with the losses that happened up to a time as a list.
pub(super) fn explicit(case: &Case, log: &Log, scope: Scope, until: Time) -> Case {
    let sure = |loss: f64| if scope == Scope::Chance && loss == 1.0 { 1.0 } else { 0.0 };
    let matrix = |matrix: &ConnectivityMatrix| {
        let rows: Vec<Vec<f64>> = matrix.rows().map(|row| row.iter().map(|&loss| sure(loss)).collect()).collect();
        ConnectivityMatrix::from_rows(matrix.replicas(), &rows).expect("as many rows as before")
    };
    let mut scenario: Scenario = case.scenario.clone();
    scenario.matrix = matrix(&scenario.matrix);
    scenario.events.retain(|event| match event.fault {
        Fault::KillLeader | Fault::KillNonLeader | Fault::Host { .. } => true,
        Fault::Duplicate(_) | Fault::Damage(_) | Fault::DelayLink { .. } => true,
        Fault::SetMatrix(_) | Fault::SetLink { .. } => scope == Scope::Chance,
        _ => scope != Scope::All,
    });
    for event in &mut scenario.events {
        match &mut event.fault {
            Fault::SetMatrix(other) => *other = matrix(other),
            Fault::SetLink { value, .. } => *value = sure(*value),
            _ => {}
        }
    }
    let is_listed = |drop: &&Drop| match scope {
        Scope::Chance => drop.probability < 1.0,
        Scope::Matrix => !drop.cut,
        Scope::All => true,
    };
    scenario.losses =
        log.drops.iter().filter(|drop| drop.time <= until).filter(is_listed).map(|drop| drop.loss).collect();
    Case { scenario, ..case.clone() }
}
