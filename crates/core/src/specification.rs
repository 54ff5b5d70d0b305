//! What a type of objects is: a specification says how one object, used by one client at a time, behaves.
//!
//! A history is linearizable if some order of its operations, in line with time, is one that the specification allows
//! (Herlihy & Wing 1990). The checker of [`check::linear`](crate::check::linear) looks for that order.

use std::fmt::Debug;
use std::hash::Hash;

use crate::id::ClientId;
use crate::service::{Operation, Text};

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
    /// The state of one object. Equal states must behave alike from then on.
    type State: Clone + Debug + Eq + Hash;

    /// Its name, as `--spec` takes it.
    fn name(&self) -> &str;

    /// The state of an object that no client has used.
    fn initial(&self) -> Self::State;

    /// Whether this type has such an operation. A history with any other operation cannot be judged.
    fn knows(&self, operation: &Operation) -> bool;

    /// The state after an operation, and none if the operation cannot have had this answer in this state.
    fn step(&self, state: &Self::State, call: &Call<'_>) -> Option<Self::State>;

    /// The object that an operation is about. Objects are judged one by one, since a history is linearizable exactly if
    /// the history of each object is (locality; Herlihy & Wing 1990). A type whose operations reach several keys returns
    /// the same name for all.
    fn object<'o>(&self, operation: &'o Operation) -> &'o str {
        operation.key()
    }

    /// Whether an operation leaves every state as it is. If such a one has no answer, it counts for nothing.
    fn is_read(&self, operation: &Operation) -> bool {
        operation.is_get()
    }
}
