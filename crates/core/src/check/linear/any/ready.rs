//! Specifications that are chosen at run time.

use std::fmt;

use super::{Stranger, check_against};
use crate::check::linear::{Budget, Checker, Verdict};
use crate::hint::{did_you_mean, nearest};
use crate::id::{ClientId, Mid};
use crate::record::History;
use crate::service::Operation;
use crate::specification::{Answer, Call, Cas, Counter, List, Lock, Queue, Register, Specification};
use crate::workload::Kind;

/// A [`Specification`] without the type of its states.
pub trait AnySpecification: Send + Sync {
    /// Its name, as `--spec` takes it.
    fn name(&self) -> &str;

    /// Whether it has such an operation.
    fn knows(&self, operation: &Operation) -> bool;

    /// Whether such an operation only looks, whatever its answer is ([`Specification::is_read`]).
    fn reads(&self, operation: &Operation) -> bool;

    /// Checks a history against it.
    ///
    /// # Errors
    /// If the history has an operation that it does not know.
    fn check(&self, history: &History, budget: Budget) -> Result<Verdict, Stranger>;
}

impl fmt::Debug for dyn AnySpecification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnySpecification").field(&self.name()).finish()
    }
}

impl<S: Specification> AnySpecification for S {
    fn name(&self) -> &str {
        Specification::name(self)
    }

    fn knows(&self, operation: &Operation) -> bool {
        Specification::knows(self, operation)
    }

    fn reads(&self, operation: &Operation) -> bool {
        self.is_read(&Call { client: ClientId::numbered(0, 1), operation, answer: Answer::Unknown })
    }

    fn check(&self, history: &History, budget: Budget) -> Result<Verdict, Stranger> {
        check_against(self, history, budget)
    }
}

/// A register, judged by its zones: fast, with the same verdicts as [`Register`].
struct Zoned;

impl AnySpecification for Zoned {
    fn name(&self) -> &str {
        Specification::name(&Register)
    }

    fn knows(&self, operation: &Operation) -> bool {
        Specification::knows(&Register, operation)
    }

    fn reads(&self, operation: &Operation) -> bool {
        operation.is_get()
    }

    fn check(&self, history: &History, budget: Budget) -> Result<Verdict, Stranger> {
        let stranger = history.attempts.iter().enumerate().find(|(_, attempt)| !self.knows(&attempt.operation));
        if let Some((number, attempt)) = stranger {
            let (specification, operation) = (self.name().to_owned(), attempt.operation.name().to_owned());
            return Err(Stranger { specification, operation, mid: Mid(number as u64) });
        }
        Ok(Checker::new(budget).check(history))
    }
}

/// The specifications that come with seedbed.
pub const READY: [&dyn AnySpecification; 6] = [&Zoned, &Cas, &List, &Counter, &Queue, &Lock];

/// No ready specification has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no specification is called `{name}`; {hint}")]
pub struct UnknownSpecification {
    /// The name.
    pub name: String,
    /// What may be meant, or what is allowed.
    hint: String,
}

/// The ready specification of this name.
///
/// # Errors
/// If there is none.
pub fn by_name(name: &str) -> Result<&'static dyn AnySpecification, UnknownSpecification> {
    READY.into_iter().find(|spec| spec.name() == name).ok_or_else(|| {
        let near = nearest(name, READY.iter().map(|spec| spec.name()));
        let names: Vec<&str> = READY.iter().map(|spec| spec.name()).collect();
        let hint = near.map_or_else(|| format!("allowed are {}", names.join(", ")), did_you_mean);
        UnknownSpecification { name: crate::printable::printable(name), hint }
    })
}

/// The ready specification of what clients of this kind ask. None for a type of your own, even if it has the name of a ready
/// one: only its protocol says what its answers must be.
pub fn of_kind(kind: &Kind) -> Option<&'static dyn AnySpecification> {
    match kind {
        Kind::Custom(_) => None,
        kind => by_name(kind.specification_name()).ok(),
    }
}

/// The first ready specification that knows all operations of a history. Operations of your own are known to none, whatever
/// they are called.
pub fn fitting(history: &History) -> Option<&'static dyn AnySpecification> {
    READY.into_iter().find(|spec| history.attempts.iter().all(|attempt| spec.knows(&attempt.operation)))
}
