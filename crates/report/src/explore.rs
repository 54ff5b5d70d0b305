//! An exploration: its failures while it goes on, and the table of situations at its end.

use std::io::{self, Write};

use super::text::{BAD, GOOD};
use seedbed_core::lab::explore::{Exploration, Failure, Origin, RUNS_FOR_COVERAGE};
use seedbed_core::printable::plural;

/// After a failure in fewer runs, the table of situations would say nothing.
const RUNS_FOR_TABLE: u64 = 1_000;

/// Writes which case failed and what was found.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_failure(out: &mut impl Write, failure: &Failure) -> io::Result<()> {
    match &failure.origin {
        Origin::Drawn { seed } => writeln!(out, "seed {seed} fails")?,
        Origin::Changed { seed } => writeln!(out, "seed {seed} fails (its case was changed from an earlier one)")?,
        Origin::Kept { path } => writeln!(out, "{} of the corpus fails", path.display())?,
    }
    failure.trial.findings.iter().try_for_each(|finding| writeln!(out, "    {finding}"))
}

/// Writes the result, the table of situations if there were enough runs, and the total.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_end(out: &mut impl Write, exploration: &Exploration) -> io::Result<()> {
    let Exploration { runs, kept, events, failures, .. } = exploration;
    match failures {
        0 => writeln!(out, "{GOOD}No failure in {}{GOOD:#}\n", plural(*runs, "run", "runs"))?,
        _ => writeln!(out, "{BAD}{failures} of {} failed{BAD:#}\n", plural(*runs, "run", "runs"))?,
    }
    if *runs >= RUNS_FOR_TABLE || *failures == 0 {
        write_situations(out, exploration)?;
        writeln!(out)?;
    }
    let learner = &exploration.learner;
    if learner.edges() > 0 {
        let cases = plural(learner.cases() as u64, "case", "cases");
        writeln!(out, "{} edges met; {cases} in the corpus", learner.edges())?;
    }
    let seeds = plural(runs - kept, "seed", "seeds");
    let kept = if *kept == 0 { String::new() } else { format!(" and {}", plural(*kept, "kept case", "kept cases")) };
    writeln!(out, "{seeds}{kept} explored, {events} events, {failures} failed")
}

fn write_situations(out: &mut impl Write, exploration: &Exploration) -> io::Result<()> {
    let situations = || exploration.coverage.iter();
    if situations().next().is_some() {
        writeln!(
            out,
            "How many runs had each situation that is difficult for {}; in {RUNS_FOR_COVERAGE} runs each occurs:",
            exploration.protocol()
        )?;
    }
    let width = situations().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, runs) in situations() {
        let share = 100.0 * runs as f64 / exploration.runs.max(1) as f64;
        writeln!(out, "  {name:width$}  {runs:>9}  {share:>5.1} %")?;
    }
    for gap in exploration.gaps() {
        writeln!(out, "{BAD}Error:{BAD:#} never in {RUNS_FOR_COVERAGE} seeds or more: {gap}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::lab::explore::Learner;
    use seedbed_core::subjects;

    fn end(runs: u64, failures: u64) -> String {
        let exploration = Exploration { runs, failures, events: 7, ..Exploration::new(Learner::new(subjects::raft())) };
        let mut out = anstream::StripStream::new(Vec::new());
        write_end(&mut out, &exploration).expect("memory");
        String::from_utf8(out.into_inner()).expect("text")
    }

    #[test]
    fn the_table_of_situations_is_left_out_after_a_failure_in_few_runs() {
        assert_eq!(end(999, 1), "1 of 999 runs failed\n\n999 seeds explored, 7 events, 1 failed\n");
        for (runs, failures) in [(1, 0), (1_000, 1)] {
            assert!(end(runs, failures).contains("each situation that is difficult for raft"), "{runs} {failures}");
        }
    }

    #[test]
    fn a_situation_that_never_occurred_is_an_error_only_after_enough_runs() {
        assert!(!end(RUNS_FOR_COVERAGE - 1, 0).contains("Error: never"));
        assert!(end(RUNS_FOR_COVERAGE, 0).contains("Error: never in 10000 seeds or more: "));
    }
}
