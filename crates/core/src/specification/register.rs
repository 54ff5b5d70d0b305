//! A register: a value that is read and written.

use super::{Call, Cas, Specification, Study, Timed};
use crate::service::{Operation, Text};

/// A value, "" at first, that clients get and put.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

impl Specification for Register {
    type State = Text;

    fn name(&self) -> &str {
        "register"
    }

    fn initial(&self) -> Text {
        Cas.initial()
    }

    fn knows(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::Get { .. } | Operation::Put { .. })
    }

    fn step(&self, state: &Text, call: &Call<'_>) -> Option<Text> {
        Cas.step(state, call)
    }

    fn minds_clients(&self) -> bool {
        false
    }

    fn study<'h>(&self, calls: &[Timed<'h>]) -> Study<'h, Text> {
        Cas.study(calls)
    }
}
