//! What all checkers together say of a run.

use std::fmt;

use super::linear::WrongRead;
use super::{course, linear, liveness, raft};
use crate::printable::printable;
use crate::record::{History, RunRecord};
use crate::scenario::Scenario;
use crate::time::Span;

/// Who judges. The order is that of preference when one failure has to stand for a run: what a user of the store can
/// see and prove comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checker {
    /// Whether the answers fit together ([`linear`]).
    Linearizability,
    /// Whether the replicas keep Raft's invariants ([`raft`]).
    Invariants,
    /// Whether there is progress ([`liveness`]).
    Liveness,
    /// What the course's runner says ([`course`]).
    Course,
}

impl Checker {
    /// All of them.
    pub const ALL: [Checker; 4] = [Checker::Linearizability, Checker::Invariants, Checker::Liveness, Checker::Course];

    /// Its name in reports and files.
    pub const fn name(self) -> &'static str {
        match self {
            Checker::Linearizability => "linearizability",
            Checker::Invariants => "invariants",
            Checker::Liveness => "liveness",
            Checker::Course => "course",
        }
    }
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One reason why a run did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Who found it.
    pub checker: Checker,
    /// What kind of failure it is. Two runs fail the same way if checker and kind are the same.
    pub kind: String,
    /// What happened, in one line.
    pub text: String,
}

impl Finding {
    /// Whether it is the same failure as another one, apart from the circumstances.
    pub fn is_like(&self, other: &Finding) -> bool {
        self.checker == other.checker && self.kind == other.kind
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.text)
    }
}

/// The kind of a finding when the budget of the search did not suffice: neither right nor wrong.
pub const UNKNOWN: &str = "unknown";

/// The kind of a finding about a run that did not reach its end.
pub const CUT_SHORT: &str = "cut short";

/// A machine that is later than this with what is due in a real-time world is too busy to judge a program by: a third of
/// the shortest election timeouts in use, 150 ms (Raft paper, section 9.3). `docs/live.md` has what was measured.
pub const LAG_MAX: Span = Span::from_millis(50);

/// What was seen of replicas by those who could look into them.
#[derive(Clone, Debug)]
pub struct Inside {
    /// Whether they kept the invariants of Raft.
    pub invariants: raft::Verdict,
    /// How long progress may take with their parameters: [`liveness::BOUND`] or more.
    pub bound: Span,
    /// What they were like at the end ([`liveness::diagnose`]).
    pub diagnosis: String,
}

/// What all checkers say of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The course's verdict.
    pub course: course::Verdict,
    /// Whether the answers fit together.
    pub linear: linear::Verdict,
    /// The invariants of Raft, if the replicas could be watched.
    pub invariants: Option<raft::Verdict>,
    /// Whether there was progress.
    pub liveness: liveness::Verdict,
    /// Requests that went to a dead replica, or to one that died before it answered ([`liveness::lost_with_replicas`]).
    pub lost_with_replicas: u64,
    /// How late the machine was at most, if that is more than [`LAG_MAX`].
    pub too_busy: Option<Span>,
}

impl Judgement {
    /// Judges a run. `inside` is what was seen of the replicas themselves, if they could be looked into.
    pub fn of(scenario: &Scenario, record: &RunRecord, inside: Option<Inside>) -> Judgement {
        let bound = inside.as_ref().map_or(liveness::BOUND, |inside| inside.bound);
        let (invariants, diagnosis) = inside.map(|inside| (inside.invariants, inside.diagnosis)).unzip();
        Judgement {
            course: course::judge(scenario, record),
            linear: linear::check(&record.history),
            invariants,
            liveness: liveness::judge(record, bound, diagnosis),
            lost_with_replicas: liveness::lost_with_replicas(record),
            too_busy: Some(record.lag).filter(|lag| *lag > LAG_MAX),
        }
    }

    /// Whether nobody has found anything.
    pub fn passed(&self) -> bool {
        self.findings().is_empty()
    }

    /// Whether the run says something about the program: false if something was found while the machine was too busy, so
    /// that it may be the machine's doing. To pass on a busy machine is no easier than on an idle one.
    pub fn is_judged(&self) -> bool {
        self.too_busy.is_none() || self.passed()
    }

    /// Whether all checkers pass the run, the invariants left out. The others exist in every world, so this can be
    /// compared between worlds.
    pub fn passed_outside(&self) -> bool {
        self.findings().iter().all(|finding| finding.checker == Checker::Invariants)
    }

    /// What one of the checkers says, in a word or two.
    pub fn word(&self, checker: Checker) -> &'static str {
        match checker {
            Checker::Linearizability => match self.linear {
                linear::Verdict::Linearizable { .. } => "ok",
                linear::Verdict::Unknown { .. } => UNKNOWN,
                linear::Verdict::Violation(_) => "violation",
            },
            Checker::Invariants => match &self.invariants {
                None => "not watched",
                Some(raft::Verdict { violation: None, .. }) => "ok",
                Some(_) => "violation",
            },
            Checker::Liveness => match self.liveness {
                liveness::Verdict::Live { .. } => "ok",
                liveness::Verdict::NotJudged(_) => "not judged",
                liveness::Verdict::Stuck(_) => "stuck",
                liveness::Verdict::CutShort(_) => CUT_SHORT,
            },
            Checker::Course if self.course.passed() => "ok",
            Checker::Course => "failed",
        }
    }

    /// The gets of the judged run with wrong answers, each once, in order of sending.
    pub fn wrong_reads(&self, history: &History) -> Vec<WrongRead> {
        let mut wrong = linear::wrong_reads(history);
        // The violation's explanation speaks of the same operation as the picture, so its word counts.
        if let linear::Verdict::Violation(violation) = &self.linear {
            wrong.retain(|read| read.get != violation.read.get);
            wrong.push(violation.read);
        }
        wrong.sort_unstable();
        wrong
    }

    /// Everything that was found, in the order of [`Checker::ALL`].
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |checker, kind: &str, text| findings.push(Finding { checker, kind: kind.to_owned(), text });
        match &self.linear {
            linear::Verdict::Linearizable { .. } => {}
            linear::Verdict::Unknown { key, .. } => {
                let key = printable(key);
                let text = format!("nothing could be said of key {key} within the budget of the search");
                add(Checker::Linearizability, UNKNOWN, text);
            }
            linear::Verdict::Violation(violation) => {
                add(Checker::Linearizability, "not linearizable", violation.explanation.clone());
            }
        }
        if let Some(violation) = self.invariants.as_ref().and_then(|verdict| verdict.violation.as_ref()) {
            add(Checker::Invariants, violation.invariant.name(), violation.to_string());
        }
        match &self.liveness {
            liveness::Verdict::Live { .. } | liveness::Verdict::NotJudged(_) => {}
            liveness::Verdict::Stuck(stuck) => add(Checker::Liveness, stuck.lack.name(), stuck.to_string()),
            liveness::Verdict::CutShort(flood) => add(Checker::Liveness, CUT_SHORT, flood.to_string()),
        }
        for error in &self.course.errors {
            add(Checker::Course, error.kind(), error.to_string());
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture;
    use crate::check::liveness::{BOUND, Excuse, Lack, Stuck};
    use crate::check::raft::{Invariant, Violation};
    use crate::record::{History, Outcome};
    use crate::time::{Span, Time};

    /// A run in which everybody finds something.
    fn bad() -> Judgement {
        let mut record = fixture::failed_record();
        let gets = record.history.attempts.iter_mut().filter(|attempt| attempt.operation.is_get());
        for attempt in gets {
            if let Some((_, Outcome::Ok(value))) = &mut attempt.answer {
                *value = Some("nobody put this".into());
            }
        }
        let violation =
            Violation { invariant: Invariant::VoteOnce, time: Time::ZERO, explanation: "it votes twice".to_owned() };
        let invariants = raft::Verdict { changes: 5, terms_led: 1, violation: Some(violation) };
        let stuck =
            Stuck { lack: Lack::Write, waited: (Time::ZERO, Time::ZERO + BOUND), replica: None, diagnosis: None };
        let judgement = Judgement::of(&fixture::scenario(), &record, Some(inside(invariants)));
        Judgement { liveness: liveness::Verdict::Stuck(stuck), ..judgement }
    }

    fn inside(invariants: raft::Verdict) -> Inside {
        Inside { invariants, bound: BOUND, diagnosis: String::new() }
    }

    fn good() -> Judgement {
        let scenario = Scenario { requests: 0, ..fixture::scenario() };
        let record = RunRecord { history: History::default(), ..fixture::record() };
        let live = liveness::Verdict::Live { after: Span::ZERO };
        let watched = inside(raft::Verdict { changes: 5, terms_led: 1, violation: None });
        Judgement { liveness: live, ..Judgement::of(&scenario, &record, Some(watched)) }
    }

    #[test]
    fn findings_stand_in_the_order_of_preference_and_those_of_the_course_last() {
        let findings = bad().findings();
        let kinds: Vec<(Checker, &str)> =
            findings.iter().map(|finding| (finding.checker, finding.kind.as_str())).collect();
        let expected = [
            (Checker::Linearizability, "not linearizable"),
            (Checker::Invariants, "one vote per term"),
            (Checker::Liveness, "no write acknowledged"),
            (Checker::Course, "incorrect responses"),
            (Checker::Course, "gets unanswered"),
        ];
        assert_eq!(kinds, expected);
        assert!(findings.is_sorted_by_key(|finding| finding.checker));
        assert_eq!(findings[1].to_string(), "invariants: one vote per term violated at 0.000000s: it votes twice");
        assert!(findings.iter().all(|finding| finding.text.lines().count() == 1), "{findings:?}");
        assert_eq!(Checker::ALL.map(|checker| bad().word(checker)), ["violation", "violation", "stuck", "failed"]);
    }

    #[test]
    fn a_run_passes_only_if_nobody_finds_anything() {
        assert_eq!((good().passed(), good().findings()), (true, vec![]));
        assert_eq!(Checker::ALL.map(|checker| good().word(checker)), ["ok"; 4]);
        for judgement in [
            Judgement { linear: bad().linear, ..good() },
            Judgement { invariants: bad().invariants, ..good() },
            Judgement { liveness: bad().liveness, ..good() },
            Judgement { course: bad().course, ..good() },
        ] {
            assert!(!judgement.passed());
            let outside = judgement.invariants.as_ref().is_some_and(|verdict| verdict.violation.is_none());
            assert_eq!(judgement.passed_outside(), !outside, "invariants are not seen from outside");
        }
    }

    #[test]
    fn what_nobody_could_judge_is_no_finding_but_unknown_is() {
        let liveness = liveness::Verdict::NotJudged(Excuse::NoWrites);
        let unjudged = Judgement { invariants: None, liveness, ..good() };
        assert!(unjudged.passed());
        let words = Checker::ALL.map(|checker| unjudged.word(checker));
        assert_eq!(words, ["ok", "not watched", "not judged", "ok"]);
        let linear = linear::Verdict::Unknown { key: "a\nb".into(), operations: 900 };
        let unknown = Judgement { linear, ..good() };
        assert!(!unknown.passed());
        let finding = &unknown.findings()[0];
        assert_eq!((finding.checker, finding.kind.as_str()), (Checker::Linearizability, UNKNOWN));
        assert_eq!((finding.text.lines().count(), unknown.word(Checker::Linearizability)), (1, "unknown"));
    }

    #[test]
    fn findings_are_alike_if_checker_and_kind_are() {
        let [one, other] = [bad().findings(), bad().findings()].map(|findings| findings[3].clone());
        assert!(one.is_like(&Finding { text: "another text".to_owned(), ..other.clone() }));
        assert!(!one.is_like(&Finding { kind: "another kind".to_owned(), ..other.clone() }));
        assert!(!one.is_like(&Finding { checker: Checker::Liveness, ..other }));
    }

    #[test]
    fn what_is_found_on_a_machine_that_is_later_than_the_bound_is_not_judged_and_what_passes_has_passed() {
        let of = |record: &RunRecord, lag| {
            Judgement::of(&fixture::scenario(), &RunRecord { lag, ..record.clone() }, None).is_judged()
        };
        let late = LAG_MAX + Span::from_micros(1);
        let (good, bad) = (fixture::record(), fixture::failed_record());
        assert_eq!([of(&good, late), of(&bad, LAG_MAX), of(&bad, late)], [true, true, false]);
    }
}
