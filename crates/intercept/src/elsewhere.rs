//! What there is on machines of other kinds: the same names, and an error that says why.

use std::rc::Rc;

use crate::launch::{CallLine, Check, Datagram, Launch, Setting, StartError, State};
use crate::obstacle::Obstacle;
use crate::print::Printer;

/// Nothing: programs cannot be simulated here.
#[derive(Debug)]
pub struct Kernel(());

impl Kernel {
    /// Never a kernel.
    ///
    /// # Errors
    /// Always.
    pub fn new() -> Result<Kernel, StartError> {
        Err(StartError::Elsewhere)
    }
}

/// A host that cannot be made, because there is no [`Kernel`].
#[derive(Debug)]
pub struct Host {
    never: std::convert::Infallible,
}

#[expect(missing_docs, reason = "as on Linux")]
#[expect(clippy::missing_errors_doc, reason = "as on Linux")]
impl Host {
    pub fn start(_: &Rc<Kernel>, _: &Launch, _: &Setting, _: u64) -> Result<Host, StartError> {
        Err(StartError::Elsewhere)
    }

    pub fn run(&mut self, _: u64) {
        match self.never {}
    }

    pub fn next_wake(&self) -> Option<u64> {
        match self.never {}
    }

    pub fn deliver(&mut self, _: u16, _: u16, _: &[u8]) -> bool {
        match self.never {}
    }

    pub fn take_sent(&mut self) -> Option<Datagram> {
        match self.never {}
    }

    pub fn printer(&mut self) -> &mut Printer {
        match self.never {}
    }

    pub fn state(&self) -> &State {
        match self.never {}
    }

    pub fn counts(&self) -> (Vec<(String, u64)>, u64) {
        match self.never {}
    }

    pub fn written_outside(&self) -> &[std::path::PathBuf] {
        match self.never {}
    }

    pub fn unsupported(&self) -> &[Obstacle] {
        match self.never {}
    }

    pub fn keep_journal(&mut self, _: &std::path::Path, _: &std::path::Path) {
        match self.never {}
    }

    pub fn take_call(&mut self) -> Option<CallLine> {
        match self.never {}
    }

    pub fn kill(&mut self) {
        match self.never {}
    }
}

/// What this machine lacks.
pub fn examine() -> Vec<Check> {
    vec![Check {
        what: "Linux with an x86-64 processor",
        problem: Some("this machine is of another kind".to_owned()),
        remedy: "use such a machine, or a virtual one; `-r` without `--virtual` plays programs in real time",
    }]
}
