//! What the checkers beside the course's say, as the last section of the report of one run.

use std::io::{self, Write};

use super::text::{BAD, FAIR, GOOD, heading};
use seedbed_core::check::{Checker, Finding, Judgement, linear, liveness};

/// Writes the section. Who reads it may meet linearizability for the first time, so each line says what was looked at.
///
/// # Errors
/// If writing fails.
pub(super) fn write(out: &mut impl Write, judgement: &Judgement) -> io::Result<()> {
    heading(out, "## What the Other Checkers Say")?;
    write_linearizability(out, &judgement.linear)?;
    match &judgement.invariants {
        None => writeln!(out, "Raft invariants: {FAIR}not watched{FAIR:#}, only simulated replicas of Raft can be")?,
        Some(verdict) => match &verdict.violation {
            None => {
                writeln!(
                    out,
                    "Raft invariants: {GOOD}ok{GOOD:#}, after each of {} changes of replicas",
                    verdict.changes
                )?;
            }
            Some(violation) => {
                let (name, time, text) = (violation.invariant.name(), violation.time, &violation.explanation);
                writeln!(out, "Raft invariants: {BAD}violated{BAD:#}, {name} at {time}: {text}")?;
            }
        },
    }
    match &judgement.liveness {
        liveness::Verdict::Live { after } => {
            let seconds = after.as_secs_f64();
            writeln!(out, "Liveness: {GOOD}ok{GOOD:#}, all faults over, a write was acknowledged after {seconds:.6} s")
        }
        liveness::Verdict::NotJudged(excuse) => writeln!(out, "Liveness: {FAIR}not judged{FAIR:#}, {excuse}"),
        liveness::Verdict::Stuck(stuck) => writeln!(out, "Liveness: {BAD}stuck{BAD:#}, {stuck}"),
        liveness::Verdict::CutShort(flood) => writeln!(out, "Liveness: {BAD}cut short{BAD:#}, {flood}"),
    }?;
    match judgement.lost_with_replicas {
        0 => Ok(()),
        lost => {
            let requests = if lost == 1 { "1 request was" } else { &format!("{lost} requests were") };
            writeln!(
                out,
                "Liveness does not judge this: {requests} lost, because the replica was dead or died before it answered \
                 (clients do not retry)"
            )
        }
    }
}

fn write_linearizability(out: &mut impl Write, verdict: &linear::Verdict) -> io::Result<()> {
    match verdict {
        linear::Verdict::Linearizable { operations, keys } => writeln!(
            out,
            "Linearizability: {GOOD}ok{GOOD:#}, an order of all {operations} operations on {keys} {} explains every \
             answer",
            if *keys == 1 { "key" } else { "keys" }
        ),
        linear::Verdict::Unknown { operations, .. } => writeln!(
            out,
            "Linearizability: {BAD}unknown{BAD:#}, so it is no pass: {operations} operations on one key have too many \
             orders to try"
        ),
        linear::Verdict::Violation(violation) => {
            writeln!(out, "Linearizability: {BAD}violated{BAD:#}, no order of the operations explains every answer")?;
            writeln!(out, "{violation}")
        }
    }
}

/// The first thing that each checker has found.
pub(super) fn first_findings(judgement: &Judgement) -> Vec<Finding> {
    let mut findings = judgement.findings();
    findings.dedup_by_key(|finding| finding.checker);
    findings
}

/// A finding in one line. The course's stand as they are in its own report.
pub(super) fn line(finding: &Finding) -> String {
    match finding.checker {
        Checker::Course => finding.text.clone(),
        _ => finding.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::check::liveness::{Excuse, Lack, Stuck};
    use seedbed_core::check::raft::{self, Invariant, Violation};
    use seedbed_core::check::{course, fixture};
    use seedbed_core::id::{ClientId, ReplicaId};
    use seedbed_core::record::{Attempt, History, Outcome};
    use seedbed_core::service::Operation;
    use seedbed_core::time::{Span, Time};

    fn judgement() -> Judgement {
        Judgement {
            course: course::judge(&fixture::scenario(), &fixture::record()),
            linear: linear::Verdict::Linearizable { operations: 500, keys: 171 },
            invariants: Some(raft::Verdict { changes: 4_321, terms_led: 1, violation: None }),
            liveness: liveness::Verdict::Live { after: Span::from_micros(387) },
            lost_with_replicas: 0,
            too_busy: None,
        }
    }

    fn text(judgement: &Judgement) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write(&mut out, judgement).unwrap();
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
        let explanation = "replica 0001 leads in term 2 without entry 1, which was committed in term 1".to_owned();
        let violation = Violation { invariant: Invariant::LeaderCompleteness, time, explanation };
        let stuck = Stuck { lack: Lack::Write, waited: (time, time + liveness::BOUND), replica: None, diagnosis: None };
        let failed = Judgement {
            linear: linear::check(&History { attempts, ..History::default() }),
            invariants: Some(raft::Verdict { changes: 7, terms_led: 2, violation: Some(violation) }),
            liveness: liveness::Verdict::Stuck(stuck),
            ..judgement()
        };
        let expected = "\
## What the Other Checkers Say
Linearizability: violated, no order of the operations explains every answer
client 0015 read old of key k at 2.001000 s, but new had been acknowledged at 1.501000 s
  1.000000s to 1.001000s  client 0015 at 0000  put old
  1.500000s to 1.501000s  client 0016 at 0000  put new
  2.000000s to 2.001000s  client 0015 at 0000  get -> old
Raft invariants: violated, leader completeness at 3.000000s: replica 0001 leads in term 2 without entry 1, which was \
committed in term 1
Liveness: stuck, no write was acknowledged from 3.000000s to 13.000000s, although all faults were over and a quorum was \
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
        let unjudged = Judgement {
            linear: linear::Verdict::Unknown { key: "k".into(), operations: 900 },
            invariants: None,
            liveness: liveness::Verdict::NotJudged(Excuse::NeverCalm),
            ..judgement()
        };
        let expected = "\
## What the Other Checkers Say
Linearizability: unknown, so it is no pass: 900 operations on one key have too many orders to try
Raft invariants: not watched, only simulated replicas of Raft can be
Liveness: not judged, at the end no quorum of sound replicas was connected
";
        assert_eq!(text(&unjudged), expected);
        assert!(!unjudged.passed());
        assert!(Judgement { linear: judgement().linear, ..unjudged }.passed());
    }
}
