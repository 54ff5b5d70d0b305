//! Subjects whose replicas stand on the course's LAN: the shipped node, or whole programs.

use std::sync::Arc;

use super::case::{Case, Judged};
use super::explore::{Flavour, Met, Seen, Tracker};
use super::panicked::Rerun;
use super::parameter::{Parameter, ParameterError};
use super::plays::{self, Played, Plays, judged};
use super::protocol::Mutant;
use super::shrink::Log;
use super::subject::{Timing, Tolerance};
use super::tested::{Runs, Tested, orderly, set, values};
use super::verify::{Agreement, Divergence, verify_played};
use crate::chaos::Director;
use crate::check::linear::{AnySpecification, of_kind};
use crate::check::promptness::Promptness;
use crate::check::{Check, liveness};
use crate::consensus::Consensus;
use crate::hash::StableHasher;
use crate::id::ReplicaSet;
use crate::machine::{Exit, Identity};
use crate::record::{Observer, RunRecord, Tally, Watcher, World};
use crate::rng::Stream;
use crate::scenario::Scenario;
use crate::time::{Span, Time};
use crate::wire::{Datagram, Datagrams, Envelope, Pulse};
use crate::workload;
use crate::world::Run;
use crate::world::lan::Station;
use crate::world::lan::virtual_time::LanSimulation;

/// A subject whose replicas are [stations](Station): machines that speak the datagrams of the course's LAN. Every
/// instrument takes it, as it takes a [`Subject`](super::Subject), by [`station`](fn@super::station).
///
/// A value of the type is the subject with some choice of parameters. Only [`name`](StationSubject::name) and
/// [`boot`](StationSubject::boot) have no default. Clients are those of the course, with shared keys or private ones,
/// because datagrams bring gets and puts only. Answers must be linearizable. Messages are all of one kind, as their types
/// are any text.
pub trait StationSubject: Clone + Send + Sync + 'static {
    /// One replica.
    type Machine: Station;

    /// What the replicas of one run share; `()` if nothing.
    type Premises;

    /// Its name on the command line, in reports and in files.
    fn name(&self) -> &'static str;

    /// What it is, in a few words.
    fn summary(&self) -> &'static str {
        ""
    }

    /// What the replicas of a run share. Called on the thread that plays the run, before its first replica starts.
    fn premises(&self, scenario: &Scenario, seed: u64) -> Self::Premises;

    /// Starts a replica, on the thread that plays its run. `incarnation` says how often it was started before: it has
    /// lost its memory each time. `now` is the time on its own clock.
    ///
    /// # Errors
    /// If the replica does not start. At a restart it then counts as died; at the first start, the run panics.
    fn boot(
        &self,
        premises: &Self::Premises,
        identity: Identity,
        incarnation: u32,
        now: Time,
    ) -> Result<Self::Machine, Exit>;

    /// Its parameters, in place, so that they can be read and changed by name.
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        Vec::new()
    }

    /// Whether all parameters together make sense.
    ///
    /// # Errors
    /// Names one that does not.
    fn validate(&self) -> Result<(), ParameterError> {
        Ok(())
    }

    /// Checkers that know the replicas, beside those that judge every run.
    fn checks(&self) -> Vec<Box<dyn Check<Self::Machine>>> {
        Vec::new()
    }

    /// The window into a replica that agrees with others on a log.
    fn window<'m>(&self, machine: &'m Self::Machine) -> Option<&'m dyn Consensus> {
        let _ = machine;
        None
    }

    /// How long a write or an answer may take once all faults are over. Less than [`liveness::BOUND`] counts as that.
    fn progress_bound(&self) -> Span {
        liveness::BOUND
    }

    /// How soon its replicas answer while nothing disturbs them ([`promptness`](crate::check::promptness)). By default they
    /// are not held to anything but [`progress_bound`](StationSubject::progress_bound).
    fn promptness(&self) -> Option<Promptness> {
        None
    }

    /// The code of its replicas that can have drawn mutants ([`crate::mutation`]): files and folders, from the folder of
    /// the sources of this package. By default none, which is right for every protocol of another package.
    fn mutated(&self) -> &'static [&'static str] {
        &[]
    }

    /// Which faults an exploration may inject. By default all but crashes, since a replica without a disk forgets
    /// everything, and faults that last. It never injects faults of disks.
    fn tolerates(&self) -> Tolerance {
        Tolerance { crashes: false, disks: false, lasting: false, wipes: false, ..Tolerance::ALL }
    }

    /// The times that an exploration measures its faults by.
    fn timing(&self) -> Timing {
        Timing::default()
    }

    /// Draws parameters for one explored run, as [`Subject::vary`](super::Subject::vary) does.
    fn vary(&mut self, seed: u64, random: &mut Stream, flavour: Flavour) {
        let _ = (seed, random, flavour);
    }
}

/// A subject of stations behind [`Tested`].
#[derive(Clone)]
pub(super) struct OnLan<S>(pub S);

impl<S: StationSubject> Plays for OnLan<S> {
    type Machine = S::Machine;

    fn begin<'r, O: Observer<S::Machine> + 'r>(
        &'r self,
        scenario: &'r Scenario,
        seed: u64,
        observer: O,
    ) -> impl Run<S::Machine> + 'r {
        let premises = self.0.premises(scenario, seed);
        LanSimulation::new(scenario, seed, observer, move |boot| {
            self.0.boot(&premises, boot.identity, boot.incarnation, boot.now)
        })
    }
}

impl<S: StationSubject> Played for OnLan<S> {
    fn window<'m>(&self, machine: &'m S::Machine) -> Option<&'m dyn Consensus> {
        self.0.window(machine)
    }

    fn kind(&self, _: &Box<[u8]>) -> usize {
        0
    }

    /// By the type of its datagram.
    fn sort(&self, message: &Box<[u8]>) -> u64 {
        Datagram::parse(message).map_or(0, |datagram| StableHasher::of(&*datagram.kind))
    }

    fn relation(&self, _: &S::Machine, _: &Box<[u8]>) -> u64 {
        0
    }

    /// The datagram as it is, or as the JSON that Python reads in it. One that is no JSON of the LAN is shown as text.
    fn write_message(&self, message: &Box<[u8]>, _: &Envelope<'_>, out: &mut Datagrams) {
        let mut rewritten = String::new();
        match Datagram::parse_as_python(message, &mut rewritten) {
            Ok((datagram, _)) => out.push_text(datagram.text()),
            Err(_) => out.push_text(&serde_json::Value::from(String::from_utf8_lossy(message)).to_string()),
        }
    }

    fn pulse(&self, _: &Box<[u8]>) -> Option<Pulse> {
        None
    }

    fn checks(&self) -> Vec<Box<dyn Check<S::Machine>>> {
        self.0.checks()
    }

    fn specification(&self, scenario: &Scenario) -> Option<&'static dyn AnySpecification> {
        of_kind(scenario.kind())
    }

    fn bound(&self) -> Span {
        self.progress_bound()
    }

    fn participants(&self, replicas: &[S::Machine], _: &Director) -> ReplicaSet {
        ReplicaSet::all(replicas.len())
    }

    fn promptness(&self) -> Option<Promptness> {
        self.0.promptness()
    }
}

impl<S: StationSubject> Tested for OnLan<S> {
    fn world(&self) -> World {
        World::Lan
    }

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn summary(&self) -> &'static str {
        self.0.summary()
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["message"]
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        values(&self.0.clone().parameters())
    }

    fn times(&self) -> Vec<bool> {
        self.0.clone().parameters().iter().map(Parameter::is_time).collect()
    }

    fn with(&self, name: &str, value: f64) -> Result<Arc<dyn Tested>, ParameterError> {
        let mut changed = self.clone();
        set(&mut changed.0.parameters(), name, value)?;
        Ok(Arc::new(changed))
    }

    fn validate(&self) -> Result<(), ParameterError> {
        self.0.validate()
    }

    fn mutants(&self) -> Vec<Mutant> {
        Vec::new()
    }

    fn mutated(&self) -> &'static [&'static str] {
        self.0.mutated()
    }

    fn progress_bound(&self) -> Span {
        self.0.progress_bound().max(liveness::BOUND)
    }

    fn tolerates(&self) -> Tolerance {
        Tolerance { disks: false, ..self.0.tolerates() }
    }

    fn timing(&self) -> Timing {
        orderly(self.0.timing())
    }

    fn varied(&self, seed: u64, random: &mut Stream, flavour: Flavour) -> Arc<dyn Tested> {
        let mut changed = self.clone();
        changed.0.vary(seed, random, flavour);
        Arc::new(changed)
    }

    fn situations(&self) -> &'static [&'static str] {
        &[]
    }

    fn workload(&self) -> workload::Kind {
        workload::Kind::COURSE
    }

    fn serves(&self, kind: &workload::Kind) -> bool {
        matches!(kind, workload::Kind::Kv { updates: false, .. })
    }

    fn judges_answers(&self, scenario: &Scenario) -> bool {
        self.specification(scenario).is_some()
    }

    fn simulate(&self, scenario: &Scenario, seed: u64, watcher: Option<&mut dyn Watcher>) -> RunRecord {
        plays::simulate(self, scenario, seed, watcher)
    }

    fn run(&self, case: &Case) -> Judged {
        judged(self, case, ())
    }

    fn run_watched(&self, case: &Case, watcher: &mut dyn Watcher, tally: &mut Tally) -> Judged {
        plays::watched(self, case, watcher, tally)
    }

    fn run_counted(&self, case: &Case, tally: &mut Tally) -> Judged {
        plays::counted(self, case, tally)
    }

    /// There are no situations to look for.
    fn run_surveyed(&self, case: &Case, _: &mut Seen) -> Judged {
        judged(self, case, ())
    }

    fn run_tracked(&self, case: &Case, met: &mut Met) -> Judged {
        judged(self, case, Tracker::new(self, &case.scenario, None, met))
    }

    fn log(&self, case: &Case, log: &mut Log) -> RunRecord {
        Log::watch(self.begin(&case.scenario, case.seed, log))
    }

    fn rerun(&self, case: &Case) -> Rerun {
        plays::rerun(self, case)
    }

    fn verify(&self, runs: Runs<'_, '_>, watch: &(dyn Fn(&Scenario) + Sync)) -> Result<Agreement, Box<Divergence>> {
        verify_played(runs, watch, self)
    }
}
