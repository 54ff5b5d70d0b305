//! What is said of a repro: the case, what was found, whether a trial shows the same, and what it was shrunk to.

use std::fmt::Write as _;
use std::io::{self, Write};

use seedbed_core::check::Checker;
use seedbed_core::lab::shrink::{Shrunk, Size};
use seedbed_core::lab::{Case, Repro, Trial};
use seedbed_core::printable::plural;
use seedbed_core::scenario::Scenario;

/// How much there is to a scenario, as in `3 replicas, 2 requests, 1 fault event, 0 losses`.
pub fn amount(scenario: &Scenario) -> String {
    [
        plural(scenario.replicas as u64, "replica", "replicas"),
        plural(scenario.requests, "request", "requests"),
        plural(scenario.events.len() as u64, "fault event", "fault events"),
        plural(scenario.losses.len() as u64, "loss", "losses"),
    ]
    .join(", ")
}

/// Writes what a case is, in a few lines.
///
/// # Errors
/// If writing fails.
pub fn write_case(out: &mut impl Write, case: &Case) -> io::Result<()> {
    let Case { scenario, seed, protocol } = case;
    writeln!(out, "Scenario: {}, seed {seed}: {}", scenario.name, amount(scenario))?;
    let mut words = protocol.to_string();
    if let Some(rule) = protocol.broken() {
        let breaks =
            protocol.mutants().into_iter().find(|mutant| mutant.name == rule).map_or("", |mutant| mutant.breaks);
        let _ = write!(words, " without {rule} ({breaks})");
    }
    for (name, value) in protocol.changed_parameters() {
        let _ = write!(words, ", {name} {value}");
    }
    writeln!(out, "Protocol: {words}")
}

/// Writes everything that was found, and for a history that is not linearizable the operations that show it.
///
/// # Errors
/// If writing fails.
pub fn write_findings(out: &mut impl Write, trial: &Trial) -> io::Result<()> {
    for finding in &trial.findings {
        writeln!(out, "{finding}")?;
        let opinion = trial.judged.as_ref().and_then(|judged| judged.judgement.opinion(&finding.checker));
        if let Some(opinion) = opinion.filter(|_| finding.checker == Checker::LINEARIZABILITY) {
            // The first line is the finding itself.
            opinion.lines.iter().skip(1).try_for_each(|line| writeln!(out, "{line}"))?;
        }
    }
    Ok(())
}

/// Writes what a case was shrunk to, in at most `budget` runs.
///
/// # Errors
/// If writing fails.
pub fn write_shrunk(out: &mut impl Write, original: &Case, shrunk: &Shrunk, budget: u64) -> io::Result<()> {
    // The last run may count as several.
    writeln!(out, "\nShrunk, after {} of at most {budget} runs (--budget), to\n", shrunk.runs.min(budget))?;
    write_case(out, &shrunk.case)?;
    writeln!(out)?;
    write_findings(out, &shrunk.trial)?;
    let size = Size::of(&shrunk.case);
    if size.chance {
        writeln!(out, "\nSome messages are still lost by chance: no list of losses was found that does as well.")?;
    }
    if size >= Size::of(original) {
        writeln!(out, "\nNothing could be taken away.")?;
    }
    Ok(())
}

/// Compares a trial with what a repro says: whether it is the same, and one line about it.
pub fn compare(repro: &Repro, trial: &Trial) -> (bool, String) {
    let (found, told) = (trial.trace(), repro.trace);
    let (alike, same_trace) = (repro.is_like(trial), found == told);
    let trace = match found {
        Some(found) => format!("trace {found:016x}"),
        None => "no trace, since the run panicked".to_owned(),
    };
    let failure = if trial.passed() { "No failure, as the file says" } else { "The same failure" };
    let text = match (alike, found, told) {
        (true, Some(_), _) if same_trace && !trial.passed() => format!("{failure}, to the bit: {trace}"),
        (true, _, _) if same_trace => format!("{failure}: {trace}"),
        (true, Some(_), Some(told)) => format!("{failure}, but another trace: {trace}; the file says: {told:016x}"),
        (true, Some(_), None) => format!("{failure}, but there is a trace: {trace}; the file says: none"),
        (true, None, told) => format!("{failure}, but {trace}; the file says: {:016x}", told.unwrap_or_default()),
        (false, _, _) if trial.passed() => format!("No failure: {trace}"),
        (false, _, _) if repro.findings.is_empty() => {
            format!("A failure, but the file says that there is none: {trace}")
        }
        (false, _, _) => {
            let kinds: Vec<String> =
                repro.findings.iter().map(|finding| format!("{}: {}", finding.checker, finding.kind)).collect();
            format!("Another failure: {trace}; the file says: {}", kinds.join("; "))
        }
    };
    let same = alike && same_trace;
    (same, if same { text } else { text + &versions(repro) })
}

/// Which versions differ, if they do.
fn versions(repro: &Repro) -> String {
    let this = env!("CARGO_PKG_VERSION");
    match repro.version == this {
        true => String::new(),
        false => format!(" (written by version {}, this is {this})", repro.version),
    }
}
