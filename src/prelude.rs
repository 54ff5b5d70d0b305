//! The names that a protocol and its tests need: `use seedbed::prelude::*;`.

pub use crate::check::linear::AnySpecification;
pub use crate::check::{Check, Checker, Evidence, Finding, Judgement, Opinion, invariant};
pub use crate::consensus::Consensus;
pub use crate::id::{ClientId, Mid, ReplicaId, ReplicaSet};
pub use crate::lab::{
    Case, MessageOf, Mutant, Parameter, ParameterError, Protocol, Subject, Timing, Tolerance, subject,
};
pub use crate::machine::{Boot, Exit, Identity, Input, Machine, Outbox, Record, Recovered, Stored};
pub use crate::record::{Attempt, Event, Observer, Outcome, RunRecord, Scene};
pub use crate::rng::Stream;
pub use crate::scenario::Scenario;
pub use crate::service::{Custom, Operation, Response, Service, Text, list_text};
pub use crate::specification::{Answer, Call, Specification};
pub use crate::time::{Span, Time};
pub use crate::workload::{self, Generator, Lesson, Turn};
