//! What the checkers say, as a part of a run in JSON.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::advice;
use super::summary::RunSummary;
use seedbed_core::check::{Checker, Finding, Opinion};

/// What all checkers say.
pub(super) struct Checkers<'a> {
    passed: bool,
    opinions: Vec<Said<'a>>,
    findings: Vec<Found<'a>>,
}

/// A verdict in a word, and figures.
struct Said<'a>(&'a Opinion);

#[derive(Serialize)]
struct Found<'a> {
    checker: &'a str,
    kind: &'a str,
    text: &'a str,
    advice: String,
}

impl<'a> From<&'a RunSummary> for Checkers<'a> {
    fn from(run: &'a RunSummary) -> Checkers<'a> {
        let (judgement, all) = (&run.judgement, run.judgement.findings());
        let found = |finding: &'a Finding| Found {
            checker: finding.checker.name(),
            kind: &finding.kind,
            text: &finding.text,
            advice: advice::on(finding, &all, run).text,
        };
        // The course's verdict stands by itself.
        let opinions = judgement.opinions.iter().filter(|opinion| opinion.checker != Checker::COURSE);
        Checkers {
            passed: all.is_empty(),
            opinions: by_name(opinions).into_iter().map(Said).collect(),
            findings: judgement.opinions.iter().flat_map(|opinion| &opinion.findings).map(found).collect(),
        }
    }
}

/// One opinion for each name of a checker, since a key stands in an object once: the first that found something, or else the
/// first. A protocol may have several invariants of its own.
fn by_name<'o>(opinions: impl Iterator<Item = &'o Opinion>) -> Vec<&'o Opinion> {
    let mut kept: Vec<&Opinion> = Vec::new();
    for opinion in opinions {
        match kept.iter_mut().find(|known| known.checker == opinion.checker) {
            Some(known) if known.findings.is_empty() && !opinion.findings.is_empty() => *known = opinion,
            Some(_) => {}
            None => kept.push(opinion),
        }
    }
    kept
}

impl Serialize for Checkers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("passed", &self.passed)?;
        for said in &self.opinions {
            map.serialize_entry(said.0.checker.name(), said)?;
        }
        map.serialize_entry("findings", &self.findings)?;
        map.end()
    }
}

impl Serialize for Said<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Opinion { word, figures, .. } = self.0;
        let mut map = serializer.serialize_map(Some(1 + figures.len()))?;
        map.serialize_entry("verdict", word)?;
        for (name, value) in figures {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_opinions_of_one_name_the_one_that_found_something_is_written() {
        let mut found = Opinion::new(Checker::INVARIANTS, "Invariants", "violation", "two owners");
        found.findings.push(Finding::new(Checker::INVARIANTS, "one owner", "two owners"));
        let ok = |checker| Opinion::new(checker, "Fine", "ok", "");
        let opinions = [ok(Checker::INVARIANTS), found, ok(Checker::LIVENESS), ok(Checker::INVARIANTS)];
        let words: Vec<&str> = by_name(opinions.iter()).iter().map(|opinion| opinion.word).collect();
        assert_eq!(words, ["violation", "ok"]);
    }
}
