//! Whether each request is answered once, by an answer that was asked for.
//!
//! Linearizability looks at the first answer to each attempt. What comes after it is judged here:
//!
//! - a second answer to one attempt, which the client has no use for and may take for another one,
//! - one that contradicts the first: another value, or `ok` after "not me and never will be",
//! - an answer to a request that the client did not send.
//!
//! The simulated network never repeats what goes to clients, and hands each attempt to a replica once. So in the
//! simulated world each of these is a fault of the machines. On the course's LAN, and with real processes, a second answer
//! counts as a duplicate and one that was not asked for as incorrect ([`course`](super::course)). There only a
//! contradiction is found here.
//!
//! Most runs have no such answer. The checker has an opinion on the others only.

use serde_json::json;

use super::opinion::{Checker, Finding, Opinion};
use crate::record::{Astray, Outcome, RunRecord, StrayAnswer, World};

/// The kind of the finding that a request was answered twice.
pub const ANSWERED_TWICE: &str = "answered twice";

/// The kind of the finding that two answers to one request cannot both be true.
pub const CONTRADICTION: &str = "contradictory answers";

/// The kind of the finding that an answer was not asked for.
pub const UNASKED: &str = "answer not asked for";

/// The opinion on a run in which an answer was one too many; none on all others. There is one finding of each kind, the
/// contradictions first.
pub fn opinion(record: &RunRecord) -> Option<Opinion> {
    let first = |astray| record.stray_answers.iter().find(move |stray| stray.astray == astray);
    let is_judged = |stray: &&StrayAnswer| stray.astray == Astray::Contradiction || record.world == World::Virtual;
    let kinds = [Astray::Contradiction, Astray::Again, Astray::Unasked];
    let findings: Vec<Finding> = kinds.into_iter().filter_map(first).filter(is_judged).map(finding).collect();
    let most_telling = findings.first()?;
    let mut opinion = Opinion::new(Checker::ANSWERS, "Answers", "violation", most_telling.text.clone());
    let time = most_telling.when.map(|(time, _)| time.as_secs_f64());
    opinion.figures =
        vec![("kind", json!(most_telling.kind)), ("time", json!(time)), ("explanation", json!(most_telling.text))];
    opinion.findings = findings;
    Some(opinion)
}

fn finding(stray: &StrayAnswer) -> Finding {
    let StrayAnswer { time, client, mid, .. } = stray;
    let kind = match stray.astray {
        Astray::Contradiction => CONTRADICTION,
        Astray::Again => ANSWERED_TWICE,
        Astray::Unasked => UNASKED,
    };
    let said = words(&stray.outcome);
    let text = match (&stray.before, stray.replica) {
        (Some((before, first)), Some(replica)) => format!(
            "request {mid} of client {client} to replica {replica} was answered {} at {before} and {said} at {time}",
            words(first)
        ),
        _ => format!("at {time} client {client} was answered {said} to request {mid}, which it had not sent"),
    };
    Finding::new(Checker::ANSWERS, kind, text).during(*time, *time)
}

/// As in `ok with "a"`.
fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(Some(value)) => format!("{} with {:?}", outcome.name(), &**value),
        _ => outcome.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture;
    use crate::check::{Judgement, OK};
    use crate::id::{ClientId, Mid};
    use crate::record::StrayAnswers;
    use crate::time::{Span, Time};

    /// The handout's sample run, after one more answer: to the first attempt, which failed, or to another one.
    fn after(world: World, mid: u64, client: u16, outcome: Outcome) -> RunRecord {
        let mut record = RunRecord { world, ..fixture::record() };
        let mut strays = StrayAnswers::default();
        let now = Time::ZERO + Span::from_secs(1);
        strays.look(now, &record.history, ClientId(client), Mid(mid), || outcome);
        record.stray_answers = strays;
        record
    }

    fn kinds(record: &RunRecord) -> Vec<String> {
        let findings = opinion(record).map(|opinion| opinion.findings).unwrap_or_default();
        findings.into_iter().map(|finding| finding.kind).collect()
    }

    /// The first attempt of the sample that was answered like this.
    fn answered(outcome: &Outcome) -> u64 {
        let attempts = fixture::record().history.attempts;
        let is_one = |answer: &Option<(Time, Outcome)>| answer.as_ref().is_some_and(|(_, own)| own == outcome);
        attempts.iter().position(|attempt| is_one(&attempt.answer)).expect("one of them") as u64
    }

    #[test]
    fn a_run_in_which_each_request_is_answered_once_at_most_has_no_opinion() {
        assert_eq!(opinion(&fixture::record()), None);
        let open = fixture::record().history.attempts.iter().position(|attempt| attempt.answer.is_none());
        let open = open.expect("an unanswered one") as u64;
        assert_eq!(kinds(&after(World::Virtual, open, 21, Outcome::Fail)), [""; 0], "it is its first answer");
        let judgement = Judgement::of(&fixture::scenario(), &fixture::record());
        assert_eq!((judgement.passed(), judgement.word(&Checker::LINEARIZABILITY)), (true, OK));
    }

    #[test]
    fn a_second_answer_is_reported_of_simulated_machines_and_left_to_the_course_elsewhere() {
        let failed = answered(&Outcome::Fail);
        let again = |world| kinds(&after(world, failed, 21, Outcome::Fail));
        assert_eq!(again(World::Virtual), [ANSWERED_TWICE]);
        for world in [World::Lan, World::Live, World::Grpc] {
            assert_eq!(again(world), [""; 0], "{world:?}");
        }
        assert_eq!(
            kinds(&after(World::Virtual, failed, 21, Outcome::Ok(None))),
            [ANSWERED_TWICE],
            "it was done after all"
        );
    }

    #[test]
    fn two_answers_that_cannot_both_be_true_are_reported_in_every_world() {
        let (redirected, done) = (answered(&Outcome::Redirect), answered(&Outcome::Ok(Some("value".into()))));
        for world in [World::Virtual, World::Lan, World::Live, World::Grpc] {
            assert_eq!(kinds(&after(world, redirected, 21, Outcome::Ok(None))), [CONTRADICTION], "{world:?}");
            assert_eq!(kinds(&after(world, done, 21, Outcome::Ok(Some("other".into())))), [CONTRADICTION]);
        }
        let record = after(World::Virtual, done, 21, Outcome::Ok(Some("other".into())));
        let judgement = Judgement::of(&fixture::scenario(), &record);
        let findings = judgement.findings();
        assert_eq!((findings.len(), &findings[0].checker), (1, &Checker::ANSWERS));
        let expected = "request 00000000001B of client 0015 to replica 0000 was answered ok with \"value\" at 0.000100s \
                        and ok with \"other\" at 1.000000s";
        assert_eq!(findings[0].text, expected);
        assert!(!judgement.passed_outside(), "clients see it");
    }

    #[test]
    fn an_answer_that_was_not_asked_for_is_reported_of_simulated_machines() {
        for (mid, client) in [(u64::MAX, 21), (9_999, 21), (0, 22), (0, 60_000)] {
            assert_eq!(kinds(&after(World::Virtual, mid, client, Outcome::Fail)), [UNASKED], "{mid} to {client}");
            assert_eq!(kinds(&after(World::Lan, mid, client, Outcome::Fail)), [""; 0]);
        }
    }
}
