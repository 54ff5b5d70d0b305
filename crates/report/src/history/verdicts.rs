//! Whether histories are linearizable: as text, and as JSON.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::Serialize;

use super::read::{Skipped, excerpt};
use seedbed_core::check::linear::{AnySpecification, Verdict, Violation};
use seedbed_core::printable::{plural, printable};
use seedbed_core::record::History;

/// The verdict on a history from elsewhere.
pub struct CheckedHistory {
    /// Its name for reports.
    pub name: String,
    /// What its objects were taken for.
    pub spec: &'static dyn AnySpecification,
    /// What the file had besides operations.
    pub skipped: Skipped,
    /// The verdict.
    pub verdict: Verdict,
}

impl CheckedHistory {
    /// What is wrong, if anything is.
    pub fn violation(&self) -> Option<&Violation> {
        if let Verdict::Violation(violation) = &self.verdict { Some(violation) } else { None }
    }
}

/// Writes a verdict, with the operations around the first wrong answer if there is one. Before it stands what of the file
/// was skipped, if anything was.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_text(out: &mut impl Write, history: &CheckedHistory) -> io::Result<()> {
    let (name, spec) = (&history.name, history.spec.name());
    if let Some(words) = history.skipped.words() {
        writeln!(out, "{name}: skipped {words}")?;
    }
    match &history.verdict {
        Verdict::Linearizable { operations, keys } => {
            let operations = plural(*operations as u64, "operation", "operations");
            let objects = plural(*keys as u64, "object", "objects");
            writeln!(out, "{name}: linearizable as {spec} ({operations} on {objects})")
        }
        Verdict::Unknown { key, operations } => writeln!(
            out,
            "{name}: unknown as {spec}: the budget was spent on {} ({})",
            printable(key),
            plural(*operations as u64, "operation", "operations"),
        ),
        Verdict::Violation(violation) => {
            let answers = match violation.answers {
                1 => "answer".to_owned(),
                answers => format!("{answers} answers"),
            };
            writeln!(out, "{name}: not linearizable as {spec}: no order explains the first {answers}")?;
            writeln!(out, "{violation}")
        }
    }
}

/// Writes a list of verdicts. `docs/checking.md` lists its keys.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_json(out: &mut impl Write, histories: &[CheckedHistory]) -> io::Result<()> {
    let files: Vec<FileJson<'_>> = histories.iter().map(FileJson::of).collect();
    serde_json::to_writer_pretty(&mut *out, &files)?;
    writeln!(out)
}

/// Says that no operation of a history shows anything.
pub const NOTHING_TO_JUDGE: &str = "has nothing to judge: no operation has the answer `ok`";

/// A message has the names of at most this many operations.
const NAMES_MAX: usize = 12;

/// Says that no ready specification fits a history.
pub fn no_fit(history: &History) -> String {
    let names: BTreeSet<&str> = history.attempts.iter().map(|attempt| attempt.operation.name()).collect();
    let mut what: Vec<String> = names.iter().take(NAMES_MAX).map(|name| excerpt(name)).collect();
    if let Some(more) = names.len().checked_sub(NAMES_MAX).filter(|more| *more > 0) {
        what.push(format!("{more} more"));
    }
    let what = what.join(", ");
    format!("no specification has all of these operations: {what}; `seedbed help check` lists what each has")
}

/// The verdict on a file.
#[derive(Serialize)]
struct FileJson<'a> {
    file: &'a str,
    specification: &'a str,
    #[serde(skip_serializing_if = "Skipped::is_nothing")]
    skipped: Skipped,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(flatten)]
    violation: Option<ViolationJson<'a>>,
}

#[derive(Serialize)]
struct ViolationJson<'a> {
    at: f64,
    answers: usize,
    minimal: bool,
    explanation: &'a str,
    wrong: String,
    around: Vec<String>,
}

impl<'a> FileJson<'a> {
    fn of(file: &'a CheckedHistory) -> FileJson<'a> {
        let json = FileJson {
            file: &file.name,
            specification: file.spec.name(),
            skipped: file.skipped,
            verdict: "linearizable",
            operations: None,
            objects: None,
            key: None,
            violation: None,
        };
        match &file.verdict {
            Verdict::Linearizable { operations, keys } => {
                FileJson { operations: Some(*operations), objects: Some(*keys), ..json }
            }
            Verdict::Unknown { key, operations } => {
                FileJson { verdict: "unknown", operations: Some(*operations), key: Some(key), ..json }
            }
            Verdict::Violation(violation) => {
                let shown = ViolationJson {
                    at: violation.at.as_secs_f64(),
                    answers: violation.answers,
                    minimal: violation.minimal,
                    explanation: &violation.explanation,
                    wrong: violation.read.get.to_string(),
                    around: violation.around_mids.iter().map(ToString::to_string).collect(),
                };
                FileJson { verdict: "violation", key: Some(&violation.key), violation: Some(shown), ..json }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::check::linear::by_name;

    #[test]
    fn a_verdict_counts_operations_and_objects_and_a_key_is_safe_to_print() {
        let of = |verdict| {
            let spec = by_name("register").expect("it is ready");
            let checked = CheckedHistory { name: "h.jsonl".to_owned(), spec, skipped: Skipped::default(), verdict };
            let (mut text, mut json) = (Vec::new(), Vec::new());
            write_text(&mut text, &checked).expect("memory");
            write_json(&mut json, &[checked]).expect("memory");
            let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
            (String::from_utf8(text).expect("text"), json)
        };
        let (text, json) = of(Verdict::Linearizable { operations: 1, keys: 2 });
        assert_eq!(text, "h.jsonl: linearizable as register (1 operation on 2 objects)\n");
        assert_eq!((&json[0]["verdict"], &json[0]["objects"]), (&"linearizable".into(), &2.into()));
        let (text, json) = of(Verdict::Unknown { key: "a\nb".into(), operations: 3 });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!((&json[0]["verdict"], &json[0]["key"]), (&"unknown".into(), &"a\nb".into()));
    }
}
