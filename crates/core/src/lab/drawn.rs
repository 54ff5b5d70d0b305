//! Drawn mutants ([`crate::mutation`]) as protocols: every run of one goes with its small fault.

use std::sync::Arc;

use super::case::{Case, Judged};
use super::explore::{Flavour, Met, Seen};
use super::panicked::Rerun;
use super::parameter::ParameterError;
use super::protocol::Mutant;
use super::shrink::Log;
use super::subject::{Timing, Tolerance};
use super::tested::{Runs, Tested};
use super::verify::{Agreement, Divergence};
use crate::mutation::{self, DrawnMutant};
use crate::record::{RunRecord, Tally, Watcher, World};
use crate::rng::Stream;
use crate::scenario::Scenario;
use crate::time::Span;
use crate::workload;

/// The drawn mutants of a build that are in these files and folders of the sources.
pub(super) fn drawn_in(code: &[&str]) -> impl Iterator<Item = &'static DrawnMutant> {
    mutation::DRAWN.iter().filter(move |drawn| code.iter().any(|part| drawn.place.starts_with(part)))
}

/// A protocol with a drawn mutant. What it is, its parameters and its bounds are those of the sound one: an instrument
/// measures by what should be.
pub(super) struct Drawn {
    pub number: u32,
    pub inner: Arc<dyn Tested>,
}

impl Drawn {
    fn with<T>(&self, run: impl FnOnce(&dyn Tested) -> T) -> T {
        mutation::with(self.number, || run(&*self.inner))
    }

    fn around(&self, inner: Arc<dyn Tested>) -> Arc<dyn Tested> {
        Arc::new(Drawn { number: self.number, inner })
    }
}

impl Tested for Drawn {
    fn world(&self) -> World {
        self.inner.world()
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn summary(&self) -> &'static str {
        self.inner.summary()
    }

    fn kinds(&self) -> &'static [&'static str] {
        self.inner.kinds()
    }

    fn parameters(&self) -> Vec<(&'static str, f64)> {
        self.inner.parameters()
    }

    fn times(&self) -> Vec<bool> {
        self.inner.times()
    }

    fn with(&self, name: &str, value: f64) -> Result<Arc<dyn Tested>, ParameterError> {
        Ok(self.around(self.inner.with(name, value)?))
    }

    fn validate(&self) -> Result<(), ParameterError> {
        self.inner.validate()
    }

    fn mutants(&self) -> Vec<Mutant> {
        self.inner.mutants()
    }

    fn mutated(&self) -> &'static [&'static str] {
        self.inner.mutated()
    }

    fn progress_bound(&self) -> Span {
        self.inner.progress_bound()
    }

    fn tolerates(&self) -> Tolerance {
        self.inner.tolerates()
    }

    fn timing(&self) -> Timing {
        self.inner.timing()
    }

    fn varied(&self, seed: u64, random: &mut Stream, flavour: Flavour) -> Arc<dyn Tested> {
        self.around(self.inner.varied(seed, random, flavour))
    }

    fn situations(&self) -> &'static [&'static str] {
        self.inner.situations()
    }

    fn workload(&self) -> workload::Kind {
        self.inner.workload()
    }

    fn serves(&self, kind: &workload::Kind) -> bool {
        self.inner.serves(kind)
    }

    fn judges_answers(&self, scenario: &Scenario) -> bool {
        self.inner.judges_answers(scenario)
    }

    fn simulate(&self, scenario: &Scenario, seed: u64, watcher: Option<&mut dyn Watcher>) -> RunRecord {
        self.with(|inner| inner.simulate(scenario, seed, watcher))
    }

    fn run(&self, case: &Case) -> Judged {
        self.with(|inner| inner.run(case))
    }

    fn run_watched(&self, case: &Case, watcher: &mut dyn Watcher, tally: &mut Tally) -> Judged {
        self.with(|inner| inner.run_watched(case, watcher, tally))
    }

    fn run_counted(&self, case: &Case, tally: &mut Tally) -> Judged {
        self.with(|inner| inner.run_counted(case, tally))
    }

    fn run_surveyed(&self, case: &Case, seen: &mut Seen) -> Judged {
        self.with(|inner| inner.run_surveyed(case, seen))
    }

    fn run_tracked(&self, case: &Case, met: &mut Met) -> Judged {
        self.with(|inner| inner.run_tracked(case, met))
    }

    fn log(&self, case: &Case, log: &mut Log) -> RunRecord {
        self.with(|inner| inner.log(case, log))
    }

    fn rerun(&self, case: &Case) -> Rerun {
        self.with(|inner| inner.rerun(case))
    }

    fn verify(&self, runs: Runs<'_, '_>, watch: &(dyn Fn(&Scenario) + Sync)) -> Result<Agreement, Box<Divergence>> {
        self.with(|inner| inner.verify(runs, watch))
    }
}
