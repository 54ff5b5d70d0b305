//! What the columns are computed from.

use std::fmt::Write;

use super::Value;
use crate::checkers::line;
use seedbed_core::chaos::Fault;
use seedbed_core::check::course::{Tier, incorrect, percentile};
use seedbed_core::check::{Checker, Finding, Judgement};
use seedbed_core::id::ReplicaId;
use seedbed_core::record::{History, Outcome, PerKind, RunRecord, Tally};
use seedbed_core::scenario::Scenario;
use seedbed_core::time::{Span, Time};

/// What a run has come to; nothing but findings, if it panicked.
pub(super) struct Facts<'a> {
    pub known: Option<Known<'a>>,
    pub findings: &'a [Finding],
}

/// A run with its judgement, and what several columns need of it.
pub(super) struct Known<'a> {
    scenario: &'a Scenario,
    pub record: &'a RunRecord,
    pub judgement: &'a Judgement,
    tally: &'a Tally,
    pub requests: PerKind,
    pub gets: Latencies,
    pub puts: Latencies,
    /// How long the cluster was without a leader after each fault that took it away.
    pub failovers: Vec<Span>,
}

/// Durations in ascending order.
pub(super) struct Latencies(Vec<Span>);

impl Latencies {
    fn of(mut spans: Vec<Span>) -> Latencies {
        spans.sort_unstable();
        Latencies(spans)
    }

    /// The course's percentile, in seconds.
    pub fn at(&self, percent: usize) -> Option<f64> {
        percentile(&self.0, percent).map(Span::as_secs_f64)
    }

    /// The mean, in seconds.
    pub fn mean(&self) -> Option<f64> {
        let sum: u128 = self.0.iter().map(|span| u128::from(span.nanos())).sum();
        (!self.0.is_empty()).then(|| sum as f64 / self.0.len() as f64 / 1e9)
    }
}

impl Facts<'_> {
    /// `passed`, `failed`, or `not judged` if the machine was too busy.
    pub fn outcome(&self) -> Value {
        let is_judged = self.known.as_ref().is_none_or(|known| known.judgement.is_judged());
        let word = match (self.findings.is_empty(), is_judged) {
            (true, _) => "passed",
            (false, true) => "failed",
            (false, false) => "not judged",
        };
        word.into()
    }

    /// Everything that was found, in one line.
    pub fn findings(&self) -> Value {
        some(self.findings.iter().map(line).collect::<Vec<String>>().join("; ")).into()
    }
}

impl<'a> Known<'a> {
    pub fn new(scenario: &'a Scenario, record: &'a RunRecord, judgement: &'a Judgement, tally: &'a Tally) -> Known<'a> {
        let (gets, puts) = waits(&record.history);
        Known {
            scenario,
            requests: record.history.requests(),
            gets: Latencies::of(gets),
            puts: Latencies::of(puts),
            failovers: failovers(scenario, record),
            record,
            judgement,
            tally,
        }
    }

    pub fn word(&self, checker: &Checker) -> &'static str {
        self.judgement.word(checker)
    }

    /// What the checkers say that only this protocol has, as in `convergence ok; quota violation`; none without any.
    pub fn own_checkers(&self) -> Option<String> {
        let own = self.judgement.opinions.iter().filter(|opinion| !Checker::STANDARD.contains(&opinion.checker));
        some(own.map(|opinion| format!("{} {}", opinion.checker, opinion.word)).collect::<Vec<_>>().join("; "))
    }

    /// None if a check of the course failed.
    pub fn tier(&self, place: usize) -> Option<u64> {
        let course = &self.judgement.course;
        course.passed().then(|| Tier::number(course.performance.tiers()[place]).into())
    }

    pub fn sent(&self, kind: &str) -> Option<u64> {
        self.tally.sent(kind)
    }

    pub fn incorrect(&self) -> u64 {
        incorrect(self.scenario, self.record)
    }

    pub fn messages_per_put(&self) -> Option<f64> {
        (self.requests.puts > 0).then(|| self.record.sent as f64 / self.requests.puts as f64)
    }

    /// None if the replicas show no terms.
    pub fn elections(&self) -> Option<u64> {
        self.judgement.opinion(&Checker::INVARIANTS)?.figure("terms_led")?.as_u64()
    }

    pub fn first_leader(&self) -> Option<f64> {
        let first = self.record.leaders.iter().find(|belief| belief.leader.is_some())?;
        Some(first.since.as_secs_f64())
    }

    /// Fault events that did nothing.
    pub fn idle_faults(&self) -> u64 {
        self.record.struck.iter().filter(|struck| struck.idle.is_some()).count() as u64
    }

    /// The longest part of the time from the first put to the last, sent or acknowledged, in which none was
    /// acknowledged.
    pub fn write_gap(&self) -> Option<f64> {
        let puts = || self.record.history.attempts.iter().filter(|attempt| !attempt.operation.is_get());
        let (first, last) = (puts().next()?.sent, puts().next_back()?.sent);
        let acknowledged = puts().filter_map(|attempt| match attempt.answer {
            Some((time, Outcome::Ok(_))) => Some(time),
            _ => None,
        });
        let mut times: Vec<Time> = acknowledged.collect();
        times.sort_unstable();
        let mut gap = Span::ZERO;
        let mut before = first;
        // After the newest acknowledgement the last put adds nothing.
        for time in times.into_iter().chain([last]) {
            gap = gap.max(time.since(before));
            before = time;
        }
        Some(gap.as_secs_f64())
    }

    pub fn failovers_sorted(&self) -> Latencies {
        Latencies::of(self.failovers.clone())
    }

    /// In seconds, in the order in which they happened.
    pub fn failover_times(&self) -> Option<String> {
        let mut text = String::new();
        for (place, span) in self.failovers.iter().enumerate() {
            let _ = write!(text, "{}{}", if place == 0 { "" } else { ";" }, span.as_secs_f64());
        }
        some(text)
    }
}

/// The text, unless it is empty: a file cannot tell that from none.
fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// How long clients waited for each request that was done: from its first sending, whatever redirects and failures came
/// in between. Gets, then puts.
pub(crate) fn waits(history: &History) -> (Vec<Span>, Vec<Span>) {
    let requests = history.attempts.len();
    let (mut gets, mut puts) = (Vec::with_capacity(requests), Vec::with_capacity(requests));
    for attempt in &history.attempts {
        let Some((answered, Outcome::Ok(_))) = attempt.answer else { continue };
        let mut first = attempt;
        while let Some(earlier) = first.retry_of.and_then(|mid| history.attempt(mid)) {
            first = earlier;
        }
        let waits = if attempt.operation.is_get() { &mut gets } else { &mut puts };
        waits.push(answered.since(first.sent));
    }
    (gets, puts)
}

/// A leader that was taken away.
struct Lost {
    /// When, first.
    time: Time,
    leader: Option<ReplicaId>,
    /// What cut it off is over, so it may lead again.
    is_back: bool,
}

/// How long it took, after each fault that took the leader away, until another was believed in; or, once the cut is
/// over, any. If the cut ends before any replica has noticed it, the leader was never lost. If another such fault strikes
/// before the end, it belongs to the same failover.
///
/// That another one is believed in is demanded since followers that were cut off from a leader go on naming it for a
/// while, in turn with those that have given it up.
fn failovers(scenario: &Scenario, record: &RunRecord) -> Vec<Span> {
    let mut struck = record.struck.iter().peekable();
    let (mut leader, mut believed, mut lost, mut failovers) = (None, None, None::<Lost>, Vec::new());
    for belief in &record.leaders {
        while let Some(fault) = struck.next_if(|fault| fault.time <= belief.since) {
            if fault.consequence.leader_lost {
                lost = lost.or(Some(Lost { time: fault.time, leader, is_back: false }));
            }
            if matches!(scenario.events[fault.event].fault, Fault::PartEnd | Fault::Heal) {
                lost = lost.filter(|lost| believed.is_none() || believed != lost.leader);
                lost = lost.map(|lost| Lost { is_back: true, ..lost });
            }
        }
        believed = belief.leader;
        let Some(new) = belief.leader else { continue };
        if let Some(ended) = lost.take_if(|lost| lost.is_back || lost.leader != Some(new)) {
            failovers.push(belief.since.since(ended.time));
        }
        leader = Some(new);
    }
    failovers
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::chaos::{Consequence, FaultEvent};
    use seedbed_core::check::fixture;
    use seedbed_core::id::{ClientId, Mid};
    use seedbed_core::record::{Attempt, Belief, Struck};
    use seedbed_core::service::Operation;

    fn at(millis: u64) -> Time {
        Time::ZERO + Span::from_millis(millis)
    }

    fn attempt(get: bool, sent: u64, retry_of: Option<u64>, answer: Option<(u64, Outcome)>) -> Attempt {
        let operation = if get {
            Operation::Get { key: "k".into() }
        } else {
            Operation::Put { key: "k".into(), value: "v".into() }
        };
        let answer = answer.map(|(time, outcome)| (at(time), outcome));
        let (client, replica) = (ClientId(30), ReplicaId(0));
        Attempt { client, replica, operation, sent: at(sent), retry_of: retry_of.map(Mid), answer }
    }

    /// The scenario of the tests, with these faults.
    fn faults() -> Scenario {
        let event = |fault| FaultEvent { time: Time::ZERO, fault };
        let faults = [Fault::KillNonLeader, Fault::PartHard, Fault::PartEnd];
        Scenario { events: faults.map(event).to_vec(), ..fixture::scenario() }
    }

    fn with<T>(change: impl FnOnce(&mut RunRecord), read: impl FnOnce(&Known<'_>) -> T) -> T {
        let mut record = fixture::record();
        change(&mut record);
        let judgement = Judgement::of(&fixture::scenario(), &record);
        read(&Known::new(&faults(), &record, &judgement, &Tally::of_kinds(&[])))
    }

    #[test]
    fn clients_wait_from_the_first_sending_to_the_answer_that_says_done() {
        let ok = || Outcome::Ok(None);
        let attempts = vec![
            attempt(false, 0, None, Some((5, Outcome::Redirect))),
            attempt(false, 5, Some(0), Some((20, Outcome::Fail))),
            attempt(false, 20, Some(1), Some((100, ok()))),
            attempt(true, 30, None, Some((31, ok()))),
            attempt(true, 40, None, None),
            attempt(true, 50, None, Some((53, ok()))),
        ];
        with(
            |record| record.history.attempts = attempts,
            |known| {
                assert_eq!((known.puts.at(50), known.puts.mean()), (Some(0.1), Some(0.1)));
                assert_eq!(
                    (known.gets.at(50), known.gets.at(100), known.gets.mean()),
                    (Some(0.003), Some(0.003), Some(0.002))
                );
            },
        );
        with(
            |record| record.history.attempts.clear(),
            |known| assert_eq!((known.puts.at(50), known.puts.mean(), known.write_gap()), (None, None, None)),
        );
    }

    #[test]
    fn the_write_gap_begins_with_the_first_put_and_ends_with_the_last() {
        let put = |sent, answer: Option<u64>| attempt(false, sent, None, answer.map(|time| (time, Outcome::Ok(None))));
        let gap = |attempts: Vec<Attempt>| with(|record| record.history.attempts = attempts, |known| known.write_gap());
        assert_eq!(gap(vec![put(1_000, Some(1_001)), put(2_000, Some(2_001)), put(3_500, Some(3_501))]), Some(1.5));
        assert_eq!(gap(vec![put(1_000, None), put(2_000, None), put(3_500, Some(3_501))]), Some(2.501));
        assert_eq!(gap(vec![put(1_000, Some(1_001)), put(2_000, None), put(3_500, None)]), Some(2.499));
        assert_eq!(gap(vec![put(1_000, None), put(2_000, None)]), Some(1.0));
        let fail = attempt(false, 3_000, None, Some((9_000, Outcome::Fail)));
        assert_eq!(gap(vec![attempt(true, 0, None, None), put(1_000, Some(2_500)), fail]), Some(1.5));
    }

    #[test]
    fn a_leader_that_is_cut_off_is_replaced_when_another_is_believed_in_or_comes_back() {
        let struck = |time, event| Struck {
            time: at(time),
            event,
            consequence: Consequence { leader_lost: event == 1, ..Consequence::default() },
            idle: None,
        };
        let belief = |time, leader: Option<u8>| Belief { since: at(time), leader: leader.map(ReplicaId) };
        let failovers = |leaders: &[Belief], faults: &[Struck]| {
            let change = |record: &mut RunRecord| {
                (record.leaders, record.struck) = (leaders.to_vec(), faults.to_vec());
            };
            with(change, |known| known.failovers.clone())
        };
        let elected = [belief(0, None), belief(300, Some(1))];
        let flapping = [belief(5_800, None), belief(5_801, Some(1)), belief(5_802, None), belief(5_900, Some(2))];
        let cut = [struck(5_000, 1), struck(9_000, 2)];
        assert_eq!(failovers(&[&elected[..], &flapping].concat(), &cut), [Span::from_millis(900)]);
        // No replica has noticed, and much later the leader steps down for another reason.
        let late = [belief(20_000, None), belief(20_500, Some(2))];
        assert_eq!(failovers(&[&elected[..], &late].concat(), &cut), []);
        // The leader was given up, and is believed in again after the end of the cut.
        let again = [belief(8_900, None), belief(9_200, Some(1))];
        assert_eq!(failovers(&[&elected[..], &again].concat(), &cut), [Span::from_millis(4_200)]);
        let never = [belief(8_900, None)];
        assert_eq!(failovers(&[&elected[..], &never].concat(), &cut), []);
    }

    #[test]
    fn a_failover_lasts_from_the_first_fault_that_takes_the_leader_to_the_next_belief() {
        let struck = |time, leader_lost| Struck {
            time: at(time),
            event: 0,
            consequence: Consequence { leader_lost, ..Consequence::default() },
            idle: None,
        };
        let belief = |time, leader: Option<u8>| Belief { since: at(time), leader: leader.map(ReplicaId) };
        let leaders = vec![
            belief(0, None),
            belief(300, Some(1)),
            belief(5_000, None),
            belief(5_400, Some(2)),
            belief(7_000, Some(3)),
            belief(8_000, None),
            belief(9_100, Some(4)),
            belief(9_500, Some(3)),
            belief(10_000, None),
        ];
        let faults = vec![
            struck(4_000, false),
            struck(5_000, true),
            struck(8_000, true),
            struck(8_500, true),
            struck(10_000, true),
        ];
        with(
            |record| (record.leaders, record.struck) = (leaders, faults),
            |known| {
                assert_eq!(known.failovers, [400, 1_100].map(Span::from_millis));
                assert_eq!((known.failover_times().as_deref(), known.first_leader()), (Some("0.4;1.1"), Some(0.3)));
                assert_eq!((known.record.leader_changes(), known.failovers_sorted().at(100)), (8, Some(1.1)));
            },
        );
    }
}
