//! What the checkers beside the course's say, as the last section of the report of one run.

use std::io::{self, Write};

use super::summary::RunSummary;
use super::text::{BAD, FAIR, GOOD, heading};
use seedbed_core::check::{Checker, Finding, Judgement, NOT_JUDGED, NOT_WATCHED, OK, Opinion};

/// Writes the section. Its reader may meet linearizability for the first time, so each line says what was looked at.
///
/// # Errors
/// If writing fails.
pub(super) fn write(out: &mut impl Write, run: &RunSummary) -> io::Result<()> {
    write_opinions(out, &run.judgement, run.world.is_simulated())
}

/// In virtual time, replicas that are not watched have no invariants, so nothing is to be said of them.
fn write_opinions(out: &mut impl Write, judgement: &Judgement, is_simulated: bool) -> io::Result<()> {
    heading(out, "## What the Other Checkers Say")?;
    let is_shown = |opinion: &&Opinion| {
        opinion.checker != Checker::COURSE
            && !(is_simulated && opinion.checker == Checker::INVARIANTS && opinion.word == NOT_WATCHED)
    };
    for opinion in judgement.opinions.iter().filter(is_shown) {
        let color = match opinion.word {
            OK => GOOD,
            NOT_WATCHED | NOT_JUDGED => FAIR,
            _ => BAD,
        };
        let word = if opinion.word == "violation" { "violated" } else { opinion.word };
        writeln!(out, "{}: {color}{word}{color:#}, {}", opinion.title, opinion.remark)?;
        for line in &opinion.lines {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// The first thing that each checker has found.
pub(super) fn first_findings(judgement: &Judgement) -> Vec<Finding> {
    let mut findings = judgement.findings();
    findings.dedup_by(|one, other| one.checker == other.checker);
    findings
}

/// A finding in one line. The course's stand as they are in its own report.
pub(super) fn line(finding: &Finding) -> String {
    if finding.checker == Checker::COURSE { finding.text.clone() } else { finding.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::check::fixture::{self, with};
    use seedbed_core::check::liveness::{self, Excuse, Lack, Stuck};
    use seedbed_core::check::{Shape, linear};
    use seedbed_core::id::{ClientId, ReplicaId};
    use seedbed_core::record::{Attempt, History, Outcome};
    use seedbed_core::service::Operation;
    use seedbed_core::time::{Span, Time};

    fn judgement() -> Judgement {
        let judgement = Judgement::of(&fixture::scenario(), &fixture::record());
        let judgement = with(judgement, linear::opinion(&linear::Verdict::Linearizable { operations: 500, keys: 171 }));
        let judgement = with(judgement, fixture::invariants(4_321, 1, None));
        with(judgement, liveness::opinion(&liveness::Verdict::Live { after: Span::from_micros(387) }, 0))
    }

    fn text(judgement: &Judgement) -> String {
        text_in(judgement, false)
    }

    fn text_in(judgement: &Judgement, is_simulated: bool) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write_opinions(&mut out, judgement, is_simulated).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    fn attempt(client: u16, operation: Operation, millis: (u64, u64), value: Option<&str>) -> Attempt {
        let time = |millis| Time::ZERO + Span::from_millis(millis);
        let answer = Some((time(millis.1), Outcome::Ok(value.map(Into::into))));
        Attempt {
            client: ClientId(client),
            replica: ReplicaId(0),
            operation,
            sent: time(millis.0),
            retry_of: None,
            answer,
        }
    }

    #[test]
    fn a_run_that_passes_says_what_was_looked_at() {
        let expected = "\
## What the Other Checkers Say
Linearizability: ok, an order of all 500 operations on 171 keys explains every answer
Raft invariants: ok, after each of 4321 changes of replicas
Liveness: ok, all faults over, a write was acknowledged after 0.000387 s
";
        assert_eq!(text(&judgement()), expected);
        assert!(judgement().passed());
    }

    #[test]
    fn a_run_that_fails_shows_the_operations_and_what_happened() {
        let put = |value: &str| Operation::Put { key: "k".into(), value: value.into() };
        let attempts = vec![
            attempt(21, put("old"), (1_000, 1_001), None),
            attempt(22, put("new"), (1_500, 1_501), None),
            attempt(21, Operation::Get { key: "k".into() }, (2_000, 2_001), Some("old")),
        ];
        let time = Time::ZERO + Span::from_secs(3);
        let violation = (
            "leader completeness",
            time,
            "replica 0001 leads in term 2 without entry 1, which was committed in term 1",
        );
        let stuck = Stuck {
            lack: Lack::Write,
            waited: (time, time + liveness::BOUND),
            replica: None,
            diagnosis: None,
            shape: Shape::PLAIN,
        };
        let failed = with(judgement(), linear::opinion(&linear::check(&History { attempts, ..History::default() })));
        let failed = with(failed, fixture::invariants(7, 2, Some(violation)));
        let failed = with(failed, liveness::opinion(&liveness::Verdict::Stuck(stuck), 0));
        let expected = "\
## What the Other Checkers Say
Linearizability: violated, no order of the operations explains every answer
client 0015 read old of key k at 2.001000 s, but new had been acknowledged at 1.501000 s
  1.000000s to 1.001000s  client 0015 at 0000  put old
  1.500000s to 1.501000s  client 0016 at 0000  put new
  2.000000s to 2.001000s  client 0015 at 0000  get -> old
Raft invariants: violated, leader completeness at 3.000000s: replica 0001 leads in term 2 without entry 1, which was \
committed in term 1
Liveness: stuck, no write was acknowledged from 3.000000s to 13.000000s, although the last fault was over and a quorum was \
connected
";
        assert_eq!(text(&failed), expected);
        let lines: Vec<String> = first_findings(&failed).iter().map(line).collect();
        assert!(lines[0].starts_with("linearizability: client 0015 read old"), "{lines:?}");
        assert!(lines[1].starts_with("invariants: leader completeness violated at 3.000000s"), "{lines:?}");
        assert!(lines[2].starts_with("liveness: no write was acknowledged"), "{lines:?}");
    }

    #[test]
    fn what_could_not_be_judged_says_why_and_what_is_unknown_is_no_pass() {
        let unknown = linear::Verdict::Unknown { key: "k".into(), operations: 900 };
        let unjudged = Judgement::of(&fixture::scenario(), &fixture::record());
        let unjudged = with(unjudged, liveness::opinion(&liveness::Verdict::NotJudged(Excuse::NeverCalm), 0));
        let unknown = with(unjudged.clone(), linear::opinion(&unknown));
        let expected = "\
## What the Other Checkers Say
Linearizability: unknown, so the run does not pass: 900 operations on one key have too many orders to try
Raft invariants: not watched, only simulated replicas of Raft can be
Liveness: not judged, at the end no quorum of sound replicas was connected
";
        assert_eq!(text(&unknown), expected);
        // A protocol without invariants, in the virtual world: there is nothing to watch.
        let without: String =
            expected.lines().filter(|line| !line.contains("Raft")).map(|line| format!("{line}\n")).collect();
        assert_eq!(text_in(&unknown, true), without);
        assert!(!unknown.passed());
        assert!(unjudged.passed());
    }
}
