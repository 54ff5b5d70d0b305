//! What a type of objects is: a specification says how one object, used by one client at a time, behaves.
//!
//! A history is linearizable if some order of its operations, in line with time, is one that the specification allows
//! (Herlihy & Wing 1990). The checker of [`check::linear`](crate::check::linear) looks for that order.
//!
//! [`Specification::step`] says all that is needed for a verdict. [`Specification::study`] is for types that are used
//! much: it sees all calls on an object at once, and may save the checker a search or give a reason in words.
//!
//! Ready for use are [`Register`], [`Cas`], [`List`], [`Counter`], [`Queue`] and [`Lock`].

mod cas;
mod counter;
mod list;
mod lock;
mod queue;
mod register;
mod sequence;
mod study;

use std::fmt::Debug;
use std::hash::Hash;

use crate::id::ClientId;
use crate::service::{Operation, Text};

pub use cas::Cas;
pub use counter::Counter;
pub use list::List;
pub use lock::Lock;
pub use queue::Queue;
pub use register::Register;
pub use sequence::Sequence;
pub use study::{Part, Reason, Study, Timed};

/// One operation of a history and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'h> {
    /// The client.
    pub client: ClientId,
    /// What it asked.
    pub operation: &'h Operation,
    /// What it was told.
    pub answer: Answer<'h>,
}

/// What a client was told about an operation that takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'h> {
    /// It was done, and this value came with the answer, if one did.
    Done(Option<&'h Text>),
    /// Nothing that counts: there was no answer, or `fail`. It may have been done with any answer.
    Unknown,
}

/// A sequential type.
pub trait Specification: Send + Sync {
    /// The state of one object. Equal states must behave alike from then on. It is cloned and compared at every step of
    /// a search, so it should be small, or share what it is made of ([`Sequence`]).
    type State: Clone + Debug + Eq + Hash;

    /// Its name, as `--spec` takes it.
    fn name(&self) -> &str;

    /// The state of an object that no client has used.
    fn initial(&self) -> Self::State;

    /// Whether this type has such an operation. A history with any other operation cannot be judged.
    fn knows(&self, operation: &Operation) -> bool;

    /// The state after an operation, and none if the operation cannot have had this answer in this state.
    ///
    /// An operation with [`Answer::Unknown`] may take effect wherever this returns a state.
    fn step(&self, state: &Self::State, call: &Call<'_>) -> Option<Self::State>;

    /// The object that an operation is about. Objects are judged one by one, since a history is linearizable exactly if
    /// the history of each object is (locality; Herlihy & Wing 1990). A type whose operations reach several keys returns
    /// the same name for all.
    fn object<'o>(&self, operation: &'o Operation) -> &'o str {
        operation.key()
    }

    /// Whether a call leaves every state as it is in which it can have its answer: it only looks. If such a one has no
    /// answer, it counts for nothing. To say no of a call that only looks is allowed, but costs time.
    fn is_read(&self, call: &Call<'_>) -> bool {
        call.operation.is_get()
    }

    /// Whether it matters which client calls. If not, equal operations of different clients are interchangeable.
    fn minds_clients(&self) -> bool {
        true
    }

    /// What a look at all calls on one object shows before they are put in order. By default nothing.
    ///
    /// It changes no verdict, only how soon it is reached: everything that it returns must follow from
    /// [`Specification::step`].
    fn study<'h>(&self, calls: &[Timed<'h>]) -> Study<'h, Self::State> {
        Study::nothing(calls.len())
    }
}
