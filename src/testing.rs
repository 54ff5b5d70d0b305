//! Explorations and replays as tests: what `cargo test` of a crate with a protocol of its own runs.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use crate::check::UNKNOWN;
use crate::lab::explore::{Exploration, Failure, Learner, draw};
use crate::lab::folder::REPROS;
use crate::lab::shrink::shrink;
use crate::lab::{self, Case, Protocol, Protocols, Repro, ReproFolder, Subject, Trial};
use crate::report::repro::{compare, write_case, write_findings};

/// Runs a protocol in random scenarios, one a seed, on all cores, and judges each by all checkers.
///
/// ```no_run
/// # use seedbed::subjects::Broadcast as MyLock;
/// #[test]
/// fn no_two_clients_hold_the_lock() {
///     seedbed::explore(MyLock).seeds(0..2_000).check();
/// }
/// ```
pub fn explore(subject: impl Subject) -> Explore {
    explore_protocol(lab::subject(subject))
}

/// As [`explore`], of a protocol that has a handle already.
pub fn explore_protocol(protocol: Protocol) -> Explore {
    Explore { protocol, seeds: 0..1_000, repros: REPROS.into(), budget: BUDGET }
}

/// How many runs shrinking a failure may take, unless a test says otherwise: a tenth of what `seedbed shrink` takes
/// ([`shrink::BUDGET`](crate::lab::shrink::BUDGET)), since a test should end soon. The repro file can be shrunk further.
pub const BUDGET: u64 = crate::lab::shrink::BUDGET / 10;

/// An exploration before its start.
#[derive(Clone, Debug)]
#[must_use = "nothing is run before `check` or `find`"]
pub struct Explore {
    protocol: Protocol,
    seeds: Range<u64>,
    repros: PathBuf,
    budget: u64,
}

/// The first failure of an exploration. As text, it is all that one needs to repeat it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The case as it was drawn, and what came of it.
    pub failure: Failure,
    /// The smallest case that fails the same way, and what comes of it.
    pub case: Case,
    /// What comes of the smallest case.
    pub trial: Trial,
    /// The repro file of the smallest case, or why it could not be written.
    pub file: Result<PathBuf, String>,
}

impl Explore {
    /// The seeds that are run, from the first to the one before the last. Unless told otherwise, the first thousand.
    pub fn seeds(self, seeds: Range<u64>) -> Explore {
        Explore { seeds, ..self }
    }

    /// The folder for the repro file of a failure. Unless told otherwise, `repros` in the folder of the package.
    pub fn repros(self, folder: impl Into<PathBuf>) -> Explore {
        Explore { repros: folder.into(), ..self }
    }

    /// How many runs shrinking a failure may take ([`BUDGET`] unless told otherwise).
    pub fn budget(self, runs: u64) -> Explore {
        Explore { budget: runs, ..self }
    }

    /// Explores a mutant of the protocol.
    ///
    /// # Panics
    /// If the protocol has no mutant of this name.
    #[track_caller]
    pub fn without(self, rule: &str) -> Explore {
        let protocol = self.protocol.without(rule).unwrap_or_else(|error| panic!("{error}"));
        Explore { protocol, ..self }
    }

    /// Runs all seeds.
    ///
    /// # Panics
    /// At the first seed whose run does not pass: the message has the seed, what was found, the smallest case that fails
    /// the same way, and the repro file. Also as [`find`](Explore::find) does.
    #[track_caller]
    pub fn check(self) {
        if let Some(found) = self.find() {
            panic!("{found}");
        }
    }

    /// Runs seeds until one fails: the first failure in the order of the seeds, made small; none if all pass. Before a
    /// failure is made small, which takes time, a line on standard error says so.
    ///
    /// # Panics
    /// If there are no seeds, if the protocol's [`workload`](Subject::workload) makes no clients, or if neither a
    /// [`specification`](Subject::specification) nor [`checks`](Subject::checks) say which answers are right.
    #[track_caller]
    pub fn find(self) -> Option<Found> {
        let Explore { protocol, seeds, repros, budget } = self;
        assert!(!seeds.is_empty(), "no seeds: {seeds:?} is empty");
        protocol.check_explorable().unwrap_or_else(|error| panic!("{error}"));
        assert!(
            protocol.judges_answers(&draw(&protocol, seeds.start).scenario),
            "no checker judges the answers of {protocol}: it has neither `specification` nor `checks`"
        );
        let mut exploration = Exploration::new(Learner::new(protocol.clone()));
        let mut first = None;
        let take = |failure: Failure| {
            first.get_or_insert(failure);
            Ok::<(), Infallible>(())
        };
        let Ok(()) = exploration.explore(seeds.start..=seeds.end - 1, || {}, take, |so_far| so_far.failures == 0);
        let failure = first?;
        // Not by a macro: the harness of tests would keep it back until the test is over. It is no loss if it cannot be
        // written.
        let _ = writeln!(
            io::stderr(),
            "{protocol} fails with seed {}; shrinking it, in at most {budget} runs (Explore::budget)",
            failure.case.seed
        );
        let (case, trial) = smallest(&failure, budget);
        let folder = ReproFolder::new(repros, Protocols::new([protocol.plain()]));
        let file = folder.write(&Repro::of(&case, &trial), "");
        let file = file.map_err(|(path, error)| format!("{}: {error}", path.display()));
        Some(Found { failure, case, trial, file })
    }
}

/// The smallest case that fails like this one. One that nothing is known of stays as it is.
fn smallest(failure: &Failure, budget: u64) -> (Case, Trial) {
    let Failure { case, trial, .. } = failure;
    let finding = trial.findings.first().filter(|finding| finding.kind != UNKNOWN);
    let shrunk = finding.and_then(|finding| shrink(case, finding, budget, |_| ControlFlow::Continue(())));
    shrunk.map_or_else(|| (case.clone(), trial.clone()), |shrunk| (shrunk.case, shrunk.trial))
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = &self.failure.case.protocol;
        let without = protocol.broken().map(|rule| format!(" without {rule}")).unwrap_or_default();
        writeln!(f, "{protocol}{without} fails with seed {}:", self.failure.case.seed)?;
        self.failure.trial.findings.iter().try_for_each(|finding| writeln!(f, "  {finding}"))?;
        writeln!(f, "\nThe smallest case that fails the same way:\n")?;
        let mut text = Vec::new();
        let written = write_case(&mut text, &self.case).and_then(|()| write_findings(&mut text, &self.trial));
        written.map_err(|_| fmt::Error)?;
        writeln!(f, "{}", String::from_utf8_lossy(&text).trim_end())?;
        match &self.file {
            Ok(file) => {
                let file = file.display();
                writeln!(f, "\nRepro file: {file}")?;
                write!(
                    f,
                    "Replay: `replay {file}` of this crate's program, or seedbed::replay(..., \"{file}\").check()"
                )
            }
            Err(why) => write!(f, "\nThe repro file could not be written: {why}"),
        }
    }
}

/// A repro file of a protocol, to be run again: a test that a failure stays mended, or stays known.
///
/// # Panics
/// If the file cannot be read, or is not about this protocol.
#[track_caller]
pub fn replay(subject: impl Subject, file: impl AsRef<Path>) -> Replay {
    let loaded = Repro::load(file.as_ref(), &Protocols::new([lab::subject(subject)]));
    Replay(loaded.unwrap_or_else(|error| panic!("{error}")).repro)
}

/// A case to run again.
#[derive(Clone, Debug)]
#[must_use = "nothing is run before `check` or `fails_as_before`"]
pub struct Replay(Repro);

impl Replay {
    /// Runs the case, which should pass now.
    ///
    /// # Panics
    /// If it does not: the message has what was found.
    #[track_caller]
    pub fn check(self) {
        let trial = self.0.case.attempt();
        let findings: Vec<String> = trial.findings.iter().map(ToString::to_string).collect();
        assert!(trial.passed(), "{} fails:\n  {}", self.0.case.scenario.name, findings.join("\n  "));
    }

    /// Runs the case, and says whether it is the same run with the same failure, to the bit.
    pub fn fails_as_before(self) -> bool {
        let trial = self.0.case.attempt();
        !trial.passed() && compare(&self.0, &trial).0
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{self, AssertUnwindSafe};

    use super::*;
    use crate::check::linear::AnySpecification;
    use crate::lab::RecordOf;
    use crate::machine::{Boot, Exit};
    use crate::scenario::Scenario;
    use crate::subjects::Broadcast;

    /// What the panic says.
    fn panics(run: impl FnOnce()) -> String {
        let panic = panic::catch_unwind(AssertUnwindSafe(run)).expect_err("a panic");
        panic.downcast_ref::<String>().expect("a text").clone()
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "this is what is refused")]
    fn no_seeds_are_no_pass() {
        assert_eq!(panics(|| explore(Broadcast).seeds(5..5).check()), "no seeds: 5..5 is empty");
        assert_eq!(panics(|| drop(explore(Broadcast).seeds(7..5).find())), "no seeds: 7..5 is empty");
    }

    /// Broadcast, without a word on which answers are right.
    #[derive(Clone)]
    struct Unjudged;

    impl Subject for Unjudged {
        type Machine = <Broadcast as Subject>::Machine;

        fn name(&self) -> &'static str {
            "unjudged"
        }

        fn boot(&self, boot: Boot<RecordOf<Broadcast>>) -> Result<Self::Machine, Exit> {
            Broadcast.boot(boot)
        }

        fn specification(&self, _: &Scenario) -> Option<&'static dyn AnySpecification> {
            None
        }
    }

    #[test]
    fn a_protocol_whose_answers_no_checker_judges_does_not_pass() {
        let said = panics(|| explore(Unjudged).seeds(0..5).check());
        assert!(said.starts_with("no checker judges the answers of unjudged"), "{said}");
    }

    #[test]
    fn a_repro_file_that_cannot_be_written_is_named_with_the_reason() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let file = folder.path().join("there");
        std::fs::write(&file, "a file").expect("a file");
        let said = panics(|| explore(Broadcast).seeds(0..100).budget(1).repros(&file).check());
        let begin = format!("\nThe repro file could not be written: {}/explore-", file.display());
        let (_, why) = said.split_once(&begin).unwrap_or_else(|| panic!("{said}"));
        assert!(why.contains(".json: ") && why.contains("os error"), "{why}");
    }
}
