//! The judgement of all checkers on a run.

use super::linear::{AnySpecification, WrongRead};
use super::opinion::{Checker, Finding, NOT_WATCHED, Opinion};
use super::panel::{Evidence, Panel, Unseen};
use super::{course, linear, liveness};
use crate::machine::Machine;
use crate::record::{History, RunRecord};
use crate::scenario::Scenario;
use crate::specification::{Register, Specification};
use crate::time::Span;

/// If the machine is later than this with due work in a real-time world, it is too busy for a judgement on the program.
/// The bound is a third of the shortest election timeout in use, 150 ms (Raft paper, section 9.3). `docs/live.md` has
/// the measurements.
pub const LAG_MAX: Span = Span::from_millis(50);

/// The opinions of all checkers on one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The opinion of each checker, in the order of preference when one failure has to stand for the run.
    pub opinions: Vec<Opinion>,
    /// The course's verdict, with its performance measures.
    pub course: course::Verdict,
    /// Requests that went to a dead replica, or to one that died before it answered ([`liveness::lost_with_replicas`]).
    pub lost_with_replicas: u64,
    /// How late the machine was at most, if that is more than [`LAG_MAX`].
    pub too_busy: Option<Span>,
    /// The name of the specification that says which answers are right.
    pub specification: Option<&'static str>,
}

impl Judgement {
    /// Judges a run of replicas whose state is not visible. It uses the clients' history, the specification for their
    /// kind of operations, and the network's counters.
    pub fn of(scenario: &Scenario, record: &RunRecord) -> Judgement {
        let spec = linear::of_kind(scenario.kind());
        Judgement::by(&mut Panel::<Unseen>::new(Vec::new()), Evidence::of(scenario, record, spec))
    }

    /// Judges a run by all checkers of a panel, which have watched it.
    pub fn by<M: Machine>(panel: &mut Panel<M>, evidence: Evidence<'_>) -> Judgement {
        Judgement {
            opinions: panel.judge(&evidence),
            lost_with_replicas: liveness::lost_with_replicas(evidence.record),
            too_busy: Some(evidence.record.lag).filter(|lag| *lag > LAG_MAX),
            specification: evidence.spec.map(AnySpecification::name),
            course: evidence.course,
        }
    }

    /// Whether no checker has found anything.
    pub fn passed(&self) -> bool {
        self.findings().is_empty()
    }

    /// Whether the run says something about the program: false if something was found while the machine was too busy,
    /// because then the machine may be the cause. A run that passes counts, because it is not easier to pass on a busy
    /// machine.
    pub fn is_judged(&self) -> bool {
        self.too_busy.is_none() || self.passed()
    }

    /// Whether the run passes all checkers that exist in every world: all but the invariants. So the result can be
    /// compared between worlds.
    pub fn passed_outside(&self) -> bool {
        self.findings().iter().all(|finding| finding.checker == Checker::INVARIANTS)
    }

    /// The opinion of one of the checkers. Several may have the same name, as invariants of a protocol's own do: the
    /// first of them that found something then speaks for all.
    pub fn opinion(&self, checker: &Checker) -> Option<&Opinion> {
        let named = || self.opinions.iter().filter(|opinion| opinion.checker == *checker);
        named().find(|opinion| !opinion.findings.is_empty()).or_else(|| named().next())
    }

    /// The verdict of one of the checkers, in a word or two.
    pub fn word(&self, checker: &Checker) -> &'static str {
        self.opinion(checker).map_or(NOT_WATCHED, |opinion| opinion.word)
    }

    /// The gets of the judged run with wrong answers, each once, in order of sending. For types other than registers,
    /// only the operation that a violation names.
    pub fn wrong_reads(&self, history: &History) -> Vec<WrongRead> {
        let is_register = self.specification == Some(Specification::name(&Register));
        let mut wrong = if is_register { linear::wrong_reads(history) } else { Vec::new() };
        // The picture must show the operation that the violation's explanation names, so that one counts.
        for named in self.opinions.iter().filter_map(|opinion| opinion.wrong) {
            wrong.retain(|read| read.get != named.get);
            wrong.push(named);
        }
        wrong.sort_unstable();
        wrong
    }

    /// Everything that was found, the most telling first.
    pub fn findings(&self) -> Vec<Finding> {
        self.opinions.iter().flat_map(|opinion| &opinion.findings).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Shape;
    use crate::check::fixture::{self, with};
    use crate::check::liveness::{BOUND, Excuse, Lack, Stuck};
    use crate::check::opinion::UNKNOWN;
    use crate::record::{History, Outcome};
    use crate::time::{Span, Time};

    /// A run in which every checker finds something.
    fn bad() -> Judgement {
        let mut record = fixture::failed_record();
        let gets = record.history.attempts.iter_mut().filter(|attempt| attempt.operation.is_get());
        for attempt in gets {
            if let Some((_, Outcome::Ok(value))) = &mut attempt.answer {
                *value = Some("never put".into());
            }
        }
        let judgement = Judgement::of(&fixture::scenario(), &record);
        let judgement =
            with(judgement, fixture::invariants(5, 1, Some(("one vote per term", Time::ZERO, "it votes twice"))));
        let stuck = Stuck {
            lack: Lack::Write,
            waited: (Time::ZERO, Time::ZERO + BOUND),
            replica: None,
            diagnosis: None,
            shape: Shape::PLAIN,
        };
        with(judgement, liveness::opinion(&liveness::Verdict::Stuck(stuck), 0))
    }

    fn good() -> Judgement {
        let scenario = Scenario { requests: 0, ..fixture::scenario() };
        let record = RunRecord { history: History::default(), ..fixture::record() };
        let judgement = with(Judgement::of(&scenario, &record), fixture::invariants(5, 1, None));
        with(judgement, liveness::opinion(&liveness::Verdict::Live { after: Span::ZERO }, 0))
    }

    fn words(judgement: &Judgement) -> [&'static str; 4] {
        Checker::STANDARD.map(|checker| judgement.word(&checker))
    }

    #[test]
    fn findings_stand_in_the_order_of_preference_and_those_of_the_course_last() {
        let findings = bad().findings();
        let kinds: Vec<(Checker, &str)> =
            findings.iter().map(|finding| (finding.checker.clone(), finding.kind.as_str())).collect();
        let expected = [
            (Checker::LINEARIZABILITY, "not linearizable"),
            (Checker::INVARIANTS, "one vote per term"),
            (Checker::LIVENESS, "no write acknowledged"),
            (Checker::COURSE, "incorrect responses"),
            (Checker::COURSE, "gets unanswered"),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(findings[1].to_string(), "invariants: one vote per term violated at 0.000000s: it votes twice");
        assert!(findings.iter().all(|finding| finding.text.lines().count() == 1), "{findings:?}");
        assert_eq!(words(&bad()), ["violation", "violation", "stuck", "failed"]);
    }

    #[test]
    fn a_run_passes_only_if_no_checker_finds_anything() {
        assert_eq!((good().passed(), good().findings()), (true, vec![]));
        assert_eq!(words(&good()), ["ok"; 4]);
        for checker in Checker::STANDARD {
            let judgement = with(good(), bad().opinion(&checker).expect("one of all").clone());
            assert!(!judgement.passed());
            assert_eq!(judgement.passed_outside(), checker == Checker::INVARIANTS, "they are not seen from outside");
        }
    }

    #[test]
    fn of_several_checkers_with_one_name_the_first_that_found_something_speaks() {
        let of = |judgements: &[Judgement]| {
            let opinion = |judgement: &Judgement| judgement.opinion(&Checker::INVARIANTS).cloned();
            let opinions = judgements.iter().filter_map(opinion).collect();
            Judgement { opinions, ..good() }.word(&Checker::INVARIANTS)
        };
        let words = [of(&[good(), good()]), of(&[good(), bad()]), of(&[bad(), good()])];
        assert_eq!(words, ["ok", "violation", "violation"]);
    }

    #[test]
    fn not_judged_is_not_a_finding_but_unknown_is() {
        let unjudged = Judgement::of(&Scenario { requests: 0, ..fixture::scenario() }, &fixture::record());
        let unjudged = with(unjudged, liveness::opinion(&liveness::Verdict::NotJudged(Excuse::NoWrites), 0));
        assert!(unjudged.passed());
        assert_eq!(words(&unjudged), ["ok", "not watched", "not judged", "ok"]);
        let unknown = linear::opinion(&linear::Verdict::Unknown { key: "a\nb".into(), operations: 900 });
        let unknown = with(good(), unknown);
        assert!(!unknown.passed());
        let finding = &unknown.findings()[0];
        assert_eq!((&finding.checker, finding.kind.as_str()), (&Checker::LINEARIZABILITY, UNKNOWN));
        assert_eq!((finding.text.lines().count(), unknown.word(&Checker::LINEARIZABILITY)), (1, "unknown"));
    }

    #[test]
    fn findings_are_alike_if_checker_and_kind_are() {
        let [one, other] = [bad().findings(), bad().findings()].map(|findings| findings[3].clone());
        assert!(one.is_like(&Finding { text: "another text".to_owned(), ..other.clone() }));
        assert!(!one.is_like(&Finding { kind: "another kind".to_owned(), ..other.clone() }));
        assert!(!one.is_like(&Finding { checker: Checker::LIVENESS, ..other }));
    }

    #[test]
    fn a_finding_on_a_machine_later_than_the_bound_is_not_judged_but_a_pass_counts() {
        let of = |record: &RunRecord, lag| {
            Judgement::of(&fixture::scenario(), &RunRecord { lag, ..record.clone() }).is_judged()
        };
        let late = LAG_MAX + Span::from_micros(1);
        let (good, bad) = (fixture::record(), fixture::failed_record());
        assert_eq!([of(&good, late), of(&bad, LAG_MAX), of(&bad, late)], [true, true, false]);
    }
}
