//! The cells of a sweep as JUnit.

use std::io::{self, Write};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::label;
use crate::digest::{CellDigest, Digest};

/// Writes a JUnit file: a suite for each scenario, a test case for each cell, which fails if one of its runs does. The
/// commands that repeat the first of these are in it. The name of a case is complete: scenario, axes, protocol.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_junit(
    out: &mut impl Write,
    digest: &Digest,
    name: &str,
    replay: impl Fn(u64) -> Option<String>,
) -> io::Result<()> {
    let mut report = Report::new(name);
    let mut suite: Option<TestSuite> = None;
    for cell in &digest.cells {
        if suite.as_ref().is_none_or(|suite| suite.name.as_str() != cell.scenario) {
            report.add_test_suites(suite.replace(TestSuite::new(cell.scenario.as_str())));
        }
        if let Some(suite) = &mut suite {
            suite.add_test_case(test_case(digest, cell, &replay));
        }
    }
    report.add_test_suites(suite);
    report.serialize(&mut *out).map_err(io::Error::other)?;
    out.flush()
}

fn test_case(digest: &Digest, cell: &CellDigest, replay: &impl Fn(u64) -> Option<String>) -> TestCase {
    let status = match cell.failed() {
        0 => TestCaseStatus::success(),
        failed => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(format!("{failed} of {} runs failed", cell.runs));
            let mut text = String::new();
            for failure in &cell.failures {
                text += &format!("seed {}: {}\n  {}\n", failure.seed, failure.findings, failure.command);
                text.extend(replay(failure.run).map(|replay| format!("  {replay}\n")));
            }
            status.set_description(text);
            status
        }
    };
    // With the scenario: many viewers show a case without its suite.
    let mut case = TestCase::new(format!("{}, {}", cell.scenario, label(digest, cell)), status);
    case.set_classname(cell.scenario.as_str());
    case
}
