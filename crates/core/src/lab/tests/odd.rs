//! A protocol for tests: the machines of the built-in broadcast, under promises that can be chosen.

use crate::check::linear::{AnySpecification, by_name};
use crate::lab::{RecordOf, Subject, Timing};
use crate::machine::{Boot, Exit};
use crate::scenario::Scenario;
use crate::subjects::Broadcast;
use crate::time::Span;
use crate::workload;

/// Naive replication that says of itself what a test wants.
#[derive(Clone, Debug)]
pub struct Odd {
    pub timing: Timing,
    pub bound: Span,
    pub workload: workload::Kind,
    /// Which specification its answers follow, if any.
    pub specification: Option<&'static str>,
}

impl Default for Odd {
    fn default() -> Odd {
        let (timing, workload) = (Timing::default(), workload::Kind::COURSE);
        Odd { timing, bound: Span::ZERO, workload, specification: Some("register") }
    }
}

impl Subject for Odd {
    type Machine = <Broadcast as Subject>::Machine;

    fn name(&self) -> &'static str {
        "odd"
    }

    fn boot(&self, boot: Boot<RecordOf<Broadcast>>) -> Result<Self::Machine, Exit> {
        Broadcast.boot(boot)
    }

    fn workload(&self) -> workload::Kind {
        self.workload.clone()
    }

    fn specification(&self, _: &Scenario) -> Option<&'static dyn AnySpecification> {
        self.specification.map(|name| by_name(name).expect("a ready specification"))
    }

    fn timing(&self) -> Timing {
        self.timing
    }

    fn progress_bound(&self) -> Span {
        self.bound
    }
}
