//! How runs of a protocol are played in virtual time, whatever its machines speak: what every instrument shares.

use std::marker::PhantomData;

use super::case::{Case, Judged};
use super::panicked::{Newest, Rerun};
use crate::chaos::Director;
use crate::check::linear::AnySpecification;
use crate::check::promptness::Promptness;
use crate::check::{Check, Evidence, Judgement, Panel, liveness};
use crate::consensus::Consensus;
use crate::id::{ReplicaId, ReplicaSet};
use crate::machine::{Boot, Exit, Machine};
use crate::record::{Event, Observer, RunRecord, Said, Scene, Tally, View, Watcher, Windows};
use crate::scenario::Scenario;
use crate::service::Service;
use crate::specification::{Register, Specification};
use crate::time::Span;
use crate::wire::{Datagrams, Envelope, Pulse};
use crate::world::simulation::Simulation;
use crate::world::{Run, catch_quietly};

/// What begins runs, in a world in virtual time.
pub(in crate::lab) trait Plays: Sync {
    /// One replica.
    type Machine: Machine;

    /// A run at its start.
    fn begin<'r, O: Observer<Self::Machine> + 'r>(
        &'r self,
        scenario: &'r Scenario,
        seed: u64,
        observer: O,
    ) -> impl Run<Self::Machine> + 'r;
}

/// What the instruments must know of runs beyond that. [`Subject`](super::Subject) says what the functions mean.
pub(in crate::lab) trait Played: Plays {
    fn window<'m>(&self, machine: &'m Self::Machine) -> Option<&'m dyn Consensus>;
    fn kind(&self, message: &MessageIn<Self>) -> usize;
    /// A number for what sort of message this is.
    fn sort(&self, message: &MessageIn<Self>) -> u64;
    fn relation(&self, machine: &Self::Machine, message: &MessageIn<Self>) -> u64;
    fn write_message(&self, message: &MessageIn<Self>, envelope: &Envelope<'_>, out: &mut Datagrams);
    fn pulse(&self, message: &MessageIn<Self>) -> Option<Pulse>;
    fn checks(&self) -> Vec<Box<dyn Check<Self::Machine>>>;
    fn specification(&self, scenario: &Scenario) -> Option<&'static dyn AnySpecification>;
    fn participants(&self, replicas: &[Self::Machine], director: &Director) -> ReplicaSet;
    /// At least [`liveness::BOUND`].
    fn bound(&self) -> Span;
    fn promptness(&self) -> Option<Promptness>;
}

/// What the machines send each other.
pub(in crate::lab) type MessageIn<P> = <<P as Plays>::Machine as Machine>::Message;

/// Machines of the virtual world, made by a function.
pub(in crate::lab) struct Booting<P, F>(F, PhantomData<fn() -> P>);

impl<P, F> Booting<P, F> {
    /// Machines that this function makes.
    pub fn new(build: F) -> Booting<P, F> {
        Booting(build, PhantomData)
    }
}

impl<P: Service, F: Fn(Boot<P::Record>) -> Result<P, Exit> + Sync> Plays for Booting<P, F> {
    type Machine = P;

    fn begin<'r, O: Observer<P> + 'r>(&'r self, scenario: &'r Scenario, seed: u64, observer: O) -> impl Run<P> + 'r {
        Simulation::booting(scenario, seed, observer, &self.0)
    }
}

/// Takes a run to its end.
pub(in crate::lab) fn whole<M: Machine>(mut run: impl Run<M>) -> RunRecord {
    while run.step() {}
    run.finish()
}

/// Runs a scenario without checkers.
pub(super) fn simulate<P: Played>(
    played: &P,
    scenario: &Scenario,
    seed: u64,
    watcher: Option<&mut dyn Watcher>,
) -> RunRecord {
    match watcher {
        None => whole(played.begin(scenario, seed, ())),
        Some(watcher) => whole(played.begin(scenario, seed, Looking { played, watcher })),
    }
}

/// Runs a case with all checkers and an observer.
pub(super) fn judged<P: Played>(played: &P, case: &Case, observer: impl Observer<P::Machine>) -> Judged {
    let mut panel = Panel::new(played.checks());
    let mut run = played.begin(&case.scenario, case.seed, (&mut panel, observer));
    while run.step() {}
    let (machines, living) = (run.replicas(), run.director().living());
    let diagnosis = liveness::diagnose(living, |id| played.window(&machines[id.index()]));
    let participants = played.participants(machines, run.director());
    let mut record = run.finish();
    demand_only_of(participants, case.scenario.replicas, &mut record);
    let spec = played.specification(&case.scenario);
    if spec.is_none_or(|spec| spec.name() != Specification::name(&Register)) {
        // The course's clients judge values as those of registers, and this protocol does not promise registers.
        (record.history.incorrect_gets, record.history.unacknowledged_reads) = (0, 0);
    }
    let evidence = Evidence {
        bound: played.bound(),
        promptness: played.promptness(),
        diagnosis: diagnosis.as_ref(),
        ..Evidence::of(&case.scenario, &record, spec)
    };
    let judgement = Judgement::by(&mut panel, evidence);
    Judged { record, judgement }
}

/// Progress is demanded of these replicas alone, if they are enough.
fn demand_only_of(participants: ReplicaSet, replicas: usize, record: &mut RunRecord) {
    record.connected = record.connected.and(participants);
    record.served = record.served.and(participants);
    if record.connected.len() <= replicas / 2 {
        (record.connected, record.served, record.calm) = (ReplicaSet::EMPTY, ReplicaSet::EMPTY, None);
    }
}

/// The same, watched; counts its messages, too.
pub(super) fn watched<P: Played>(played: &P, case: &Case, watcher: &mut dyn Watcher, tally: &mut Tally) -> Judged {
    judged(played, case, (Looking { played, watcher }, Counter { played, tally }))
}

/// The same, and counts its messages.
pub(super) fn counted<P: Played>(played: &P, case: &Case, tally: &mut Tally) -> Judged {
    judged(played, case, Counter { played, tally })
}

/// Runs a case without checkers, up to its end or a panic, and says which event was the newest.
pub(super) fn rerun(plays: &impl Plays, case: &Case) -> Rerun {
    let mut newest = Newest::default();
    let ended = catch_quietly(|| {
        let mut run = plays.begin(&case.scenario, case.seed, &mut newest);
        // What a panic leaves of the run is good for what has happened before.
        let panicked = catch_quietly(|| while run.step() {}).is_err();
        (run.finish(), panicked)
    });
    match ended {
        Ok((record, panicked)) => Rerun { record: Some(record), newest, panicked },
        // A replica may panic as soon as it starts, and what makes the clients may, too.
        Err(_) => Rerun { record: None, newest, panicked: true },
    }
}

/// Shows a run to a watcher that knows no machine.
struct Looking<'p, 'w, P> {
    played: &'p P,
    watcher: &'w mut dyn Watcher,
}

/// The machines of a scene, seen through their windows.
struct Behind<'p, 'm, P: Played> {
    played: &'p P,
    machines: &'m [P::Machine],
}

impl<P: Played> Windows for Behind<'_, '_, P> {
    fn window(&self, replica: ReplicaId) -> Option<&dyn Consensus> {
        self.played.window(&self.machines[replica.index()])
    }
}

/// A message with what can say what it means.
struct Message<'p, 'm, P: Played> {
    played: &'p P,
    message: &'m MessageIn<P>,
}

impl<P: Played> Said for Message<'_, '_, P> {
    fn write(&self, envelope: &Envelope<'_>, out: &mut Datagrams) {
        self.played.write_message(self.message, envelope, out);
    }

    fn pulse(&self) -> Option<Pulse> {
        self.played.pulse(self.message)
    }
}

impl<P: Played> Observer<P::Machine> for Looking<'_, '_, P> {
    fn event(&mut self, scene: &Scene<'_, P::Machine>, event: &Event<'_, MessageIn<P>>) {
        let behind = Behind { played: self.played, machines: scene.replicas };
        let view = View { now: scene.now, windows: &behind };
        let said = event.message().map(|message| Message { played: self.played, message });
        self.watcher.event(&view, &event.without_message(), said.as_ref().map(|said| said as &dyn Said));
    }

    fn handled(&mut self, scene: &Scene<'_, P::Machine>, replica: ReplicaId) {
        let behind = Behind { played: self.played, machines: scene.replicas };
        self.watcher.handled(&View { now: scene.now, windows: &behind }, replica);
    }
}

/// Counts the messages of a run while it goes on.
struct Counter<'p, 't, P> {
    played: &'p P,
    tally: &'t mut Tally,
}

impl<P: Played> Observer<P::Machine> for Counter<'_, '_, P> {
    #[inline]
    fn event(&mut self, _: &Scene<'_, P::Machine>, event: &Event<'_, MessageIn<P>>) {
        if let Event::Dropped { from, to, message } | Event::Damaged { from, to, message } = event {
            self.tally.note_dropped(*from, *to, self.played.kind(message));
        }
    }

    #[inline]
    fn sent(&mut self, from: ReplicaId, to: ReplicaId, message: &MessageIn<P>) {
        self.tally.note_sent(from, to, self.played.kind(message));
    }
}
