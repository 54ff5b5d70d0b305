//! Programs of users as subjects: what no instrument knows of a program, and each can do with it.

use std::sync::Arc;

use super::Protocol;
use super::station::{OnLan, StationSubject};
use super::subject::{Timing, Tolerance};
use crate::machine::{Exit, Identity};
use crate::scenario::Scenario;
use crate::time::{Span, Time};
use crate::world::program::{Premises, Program, ProgramStation};

/// How long a program may take until it makes progress again. Its timeouts are not known: students' elections take up to
/// several seconds.
const BOUND: Span = Span::from_secs(15);

/// A program whose replicas are simulated.
#[derive(Clone, Debug)]
struct Simulated {
    program: Arc<Program>,
    /// Its path.
    name: &'static str,
}

impl Protocol {
    /// The protocol that this program speaks. Its runs are in virtual time, like those of others.
    pub fn of_program(program: Program) -> Protocol {
        // A command tests one program, so what is never freed is small.
        let name = Box::leak(program.path().display().to_string().into_boxed_str());
        let program = Arc::new(program);
        Protocol::unnamed(Arc::new(OnLan(Simulated { program: Arc::clone(&program), name })), program)
    }

    /// The same; runs of a program tell of its system calls, too. They are the same runs.
    #[must_use]
    pub fn telling_calls(&self) -> Protocol {
        match self.program() {
            Some(program) => Protocol::of_program(program.clone().telling_calls()),
            None => self.clone(),
        }
    }
}

impl StationSubject for Simulated {
    type Machine = ProgramStation;
    type Premises = Result<Premises, String>;

    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        "a program of yours"
    }

    fn premises(&self, scenario: &Scenario, seed: u64) -> Result<Premises, String> {
        Premises::new(&self.program, scenario.process, seed)
    }

    fn boot(
        &self,
        premises: &Result<Premises, String>,
        identity: Identity,
        incarnation: u32,
        now: Time,
    ) -> Result<ProgramStation, Exit> {
        Ok(match premises {
            Ok(premises) => ProgramStation::start(&self.program, premises, identity, incarnation, now),
            Err(why) => ProgramStation::unable(format!("cannot be simulated here: {why}")),
        })
    }

    fn progress_bound(&self) -> Span {
        BOUND
    }

    /// What the course asks of programs: they survive losses, partitions and the death of a minority. What they have not
    /// promised is not held against them: a crash, after which they would have to remember; messages that come twice or
    /// damaged; clocks that run at other rates.
    fn tolerates(&self) -> Tolerance {
        Tolerance { losses: true, kills: true, pauses: true, ..Tolerance::NONE }
    }

    fn timing(&self) -> Timing {
        Timing::default()
    }
}
