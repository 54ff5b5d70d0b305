//! The course's verdict: correctness first, then four performance measures.
//!
//! The handout's edge cases, decided:
//!
//! - Answers that name no open attempt of their client count as incorrect, like gets with a wrong value; so does, on the
//!   course's LAN, every datagram of a replica that makes no sense.
//! - A get is incorrect here, as in the course's runner, if it returns a put of the client's own that was not
//!   acknowledged yet. Linearizability allows such a get
//!   ([`unacknowledged_reads`](crate::record::History::unacknowledged_reads)). In scenarios that the course's runner
//!   could not play ([`Scenario::is_of_course`]) it is correct.
//! - The limits are fractions of the requests that were *drawn* as gets and as puts
//!   ([`drawn`](crate::record::History::drawn)). Attempts that repeat a request do not count.
//! - A scenario without requests stores nothing and needs no messages; it passes, with a median latency of infinity.
//! - A packet storm ends a run early but is not an error by itself, as in the course's runner. A run that was cut short
//!   because clients asked too often is a separate error ([`CourseError::CutShort`]), because the course's runner has
//!   no such bound; so is one in which a program did what cannot be simulated ([`CourseError::Obstacle`]). Without one
//!   acknowledged put, nothing was stored.

use super::opinion::{CUT_SHORT, Checker, Finding, OBSTACLE, OK, Opinion};
use super::panel::{Check, Evidence};
use crate::machine::Machine;
use crate::record::{Observer, RunRecord, World};
use crate::scenario::Scenario;
use crate::time::Span;

/// What the course says about a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The correctness checks that failed, in the order of the checks.
    pub errors: Vec<CourseError>,
    /// The performance measures. They count only for a run without errors.
    pub performance: Performance,
}

impl Verdict {
    /// Whether all correctness checks passed.
    pub fn passed(&self) -> bool {
        self.errors.is_empty()
    }
}

/// A correctness check that failed, in the handout's wording.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CourseError {
    /// The run did not reach its end, because a program did what cannot be simulated. The course's runner simulates
    /// nothing, so what it would say is not known.
    #[error("the run was cut short, because a program did what cannot be simulated")]
    Obstacle,
    /// The run did not reach its end, because clients had to ask again too often. The course's runner has no such bound,
    /// so what it would say is not known.
    #[error("the run was cut short at {attempts} messages of clients, which were redirected or failed too often")]
    CutShort {
        /// How many messages the clients had sent.
        attempts: u64,
    },
    /// A get with a wrong value, or an answer that names no open request.
    #[error(">0 incorrect responses to get()")]
    IncorrectResponses,
    /// Replicas died that the scenario did not kill.
    #[error(">0 replicas died unexpectedly ({died})")]
    ReplicasDied {
        /// How many.
        died: u64,
    },
    /// There were requests, and not one put was acknowledged.
    #[error("no state stored at all (0 put() requests acknowledged)")]
    NothingStored,
    /// Too many gets stayed unanswered.
    #[error("insufficient get() requests answered ({unanswered} > {drawn} * {allowed:.2})")]
    UnansweredGets {
        /// Gets without an answer.
        unanswered: u64,
        /// Requests drawn as gets.
        drawn: u64,
        /// The largest fraction that may stay unanswered.
        allowed: f64,
    },
    /// Too many puts stayed unanswered.
    #[error("insufficient put() requests answered ({unanswered} > {drawn} * {allowed:.2})")]
    UnansweredPuts {
        /// Puts without an answer.
        unanswered: u64,
        /// Requests drawn as puts.
        drawn: u64,
        /// The largest fraction that may stay unanswered.
        allowed: f64,
    },
    /// Too many gets could not be generated, for want of acknowledged keys.
    #[error("insufficient get() requests generated ({failed} > {drawn} * {allowed:.2})")]
    UngeneratedGets {
        /// Gets that could not be generated.
        failed: u64,
        /// Requests drawn as gets.
        drawn: u64,
        /// The largest fraction that may fail.
        allowed: f64,
    },
    /// Fewer messages than honest replication needs, whatever it batches.
    #[error("too few messages between replicas, too many appends batched ({sent} < {needed:.2})")]
    TooFewMessages {
        /// Messages sent between replicas.
        sent: u64,
        /// The fewest allowed: requests * replicas * (1 - mix) * (1 - maximum_appends_batched_fraction).
        needed: f64,
    },
}

impl CourseError {
    /// The kind of failure, without the figures.
    pub const fn kind(&self) -> &'static str {
        match self {
            CourseError::Obstacle => OBSTACLE,
            CourseError::CutShort { .. } => CUT_SHORT,
            CourseError::IncorrectResponses => "incorrect responses",
            CourseError::ReplicasDied { .. } => "replicas died",
            CourseError::NothingStored => "nothing stored",
            CourseError::UnansweredGets { .. } => "gets unanswered",
            CourseError::UnansweredPuts { .. } => "puts unanswered",
            CourseError::UngeneratedGets { .. } => "gets not generated",
            CourseError::TooFewMessages { .. } => "too few messages",
        }
    }
}

/// The four performance measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Performance {
    /// Messages sent between replicas, lost ones included.
    pub messages: Measure,
    /// `fail` answers plus requests without an answer.
    pub failures: Measure,
    /// Answers to requests that had been answered before.
    pub duplicates: Measure,
    /// Median time to an answer, in seconds; infinite if nothing was answered.
    pub median_latency: Measure,
}

impl Performance {
    /// The tiers in the course's order: messages, failures, duplicates, median latency.
    pub fn tiers(&self) -> [Tier; 4] {
        [&self.messages, &self.failures, &self.duplicates, &self.median_latency].map(Measure::tier)
    }
}

/// One performance measure. Lower is better.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// What was measured.
    pub value: f64,
    /// Below the first is a bonus, below the second full credit, below the third partial credit.
    pub thresholds: [f64; 3],
}

impl Measure {
    /// How good the value is.
    pub fn tier(&self) -> Tier {
        match self.thresholds {
            [bonus, _, _] if self.value < bonus => Tier::Bonus,
            [_, full, _] if self.value < full => Tier::Passed,
            [_, _, partial] if self.value < partial => Tier::NeedsImprovement,
            _ => Tier::Failed,
        }
    }
}

/// How good a measure is; its number is the course's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Extra credit.
    Bonus = 0,
    /// Full credit.
    Passed = 1,
    /// Partial credit.
    NeedsImprovement = 2,
    /// No credit.
    Failed = 3,
}

impl Tier {
    /// The course's number for it, 0 to 3.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// The course's verdict as one of the checkers of a run.
#[derive(Clone, Copy, Debug)]
pub struct Course;

impl<M: Machine> Observer<M> for Course {}

impl<M: Machine> Check<M> for Course {
    fn judge(&mut self, evidence: &Evidence<'_>) -> Opinion {
        let errors = &evidence.course.errors;
        let word = if errors.is_empty() { OK } else { "failed" };
        let finding = |error: &CourseError| Finding::new(Checker::COURSE, error.kind(), error.to_string());
        let findings = errors.iter().map(finding).collect();
        Opinion { findings, ..Opinion::new(Checker::COURSE, "Course", word, "") }
    }
}

/// Judges a run as the course does.
pub fn judge(scenario: &Scenario, record: &RunRecord) -> Verdict {
    Verdict { errors: errors(scenario, record), performance: performance(scenario, record) }
}

/// What the course calls incorrect: gets whose value is not the newest one that was acknowledged, answers that name no
/// open request of their client, and malformed datagrams of replicas.
pub fn incorrect(scenario: &Scenario, record: &RunRecord) -> u64 {
    let history = &record.history;
    let counts = scenario.is_of_course() && record.world != World::Grpc;
    let unacknowledged = if counts { history.unacknowledged_reads } else { 0 };
    history.incorrect_gets + unacknowledged + history.unknown + record.malformed
}

/// The element at this percentage of sorted latencies; 50 gives the course's median, the element n/2. None if there
/// are none.
pub fn percentile(sorted: &[Span], percent: usize) -> Option<Span> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[(sorted.len() * percent / 100).min(last)])
}

fn errors(scenario: &Scenario, record: &RunRecord) -> Vec<CourseError> {
    let (tests, history) = (&scenario.tests, &record.history);
    let (drawn, unanswered) = (history.drawn(), history.unanswered());
    let gets = CourseError::UnansweredGets {
        unanswered: unanswered.gets,
        drawn: drawn.gets,
        allowed: tests.maximum_get_fail_fraction,
    };
    let puts = CourseError::UnansweredPuts {
        unanswered: unanswered.puts,
        drawn: drawn.puts,
        allowed: tests.maximum_put_fail_fraction,
    };
    let ungenerated = CourseError::UngeneratedGets {
        failed: history.gets_not_generated,
        drawn: drawn.gets,
        allowed: tests.maximum_get_generation_fail_fraction,
    };
    let needed = messages_needed(scenario);
    // The runner cannot be told to expect nothing. A scenario of our own can allow all puts to fail.
    let may_fail = tests.maximum_put_fail_fraction >= 1.0 && !scenario.is_of_course();
    let expects_puts = scenario.requests > 0 && !may_fail;
    let checks = [
        (record.obstacle.is_some(), CourseError::Obstacle),
        (record.request_storm, CourseError::CutShort { attempts: history.attempts.len() as u64 }),
        (incorrect(scenario, record) > 0, CourseError::IncorrectResponses),
        (record.died > 0, CourseError::ReplicasDied { died: record.died }),
        (expects_puts && history.completed().puts == 0, CourseError::NothingStored),
        (exceeds(unanswered.gets, drawn.gets, tests.maximum_get_fail_fraction), gets),
        (exceeds(unanswered.puts, drawn.puts, tests.maximum_put_fail_fraction), puts),
        (exceeds(history.gets_not_generated, drawn.gets, tests.maximum_get_generation_fail_fraction), ungenerated),
        ((record.sent as f64) < needed, CourseError::TooFewMessages { sent: record.sent, needed }),
    ];
    checks.into_iter().filter_map(|(failed, error)| failed.then_some(error)).collect()
}

fn exceeds(count: u64, of: u64, fraction: f64) -> bool {
    count as f64 > of as f64 * fraction
}

fn messages_needed(scenario: &Scenario) -> f64 {
    let appends = scenario.requests as f64 * scenario.replicas as f64 * (1.0 - scenario.mix);
    appends * (1.0 - scenario.tests.maximum_appends_batched_fraction)
}

fn performance(scenario: &Scenario, record: &RunRecord) -> Performance {
    let (benchmarks, history) = (&scenario.tests.benchmarks, &record.history);
    let failures = history.failures().total() + history.unanswered().total();
    let median = percentile(&history.latencies(), 50).map_or(f64::INFINITY, Span::as_secs_f64);
    Performance {
        messages: Measure { value: record.sent as f64, thresholds: benchmarks.total_msgs },
        failures: Measure { value: failures as f64, thresholds: benchmarks.failures },
        duplicates: Measure { value: history.duplicates as f64, thresholds: benchmarks.duplicates },
        median_latency: Measure { value: median, thresholds: benchmarks.median_latency },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::{self, Answers};
    use crate::record::History;

    /// The errors of the handout's passing run after a change.
    fn errors_after(spoil: impl FnOnce(&mut Scenario, &mut RunRecord)) -> Vec<String> {
        let (mut scenario, mut record) = (fixture::scenario(), fixture::record());
        spoil(&mut scenario, &mut record);
        judge(&scenario, &record).errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_handouts_good_run_has_no_errors_and_its_four_tiers() {
        let verdict = judge(&fixture::scenario(), &fixture::record());
        assert!(verdict.passed());
        let tiers = verdict.performance.tiers();
        assert_eq!(tiers, [Tier::Failed, Tier::Passed, Tier::NeedsImprovement, Tier::Bonus]);
        assert_eq!(tiers.map(Tier::number), [3, 1, 2, 0]);
    }

    #[test]
    fn wrong_values_unacknowledged_reads_and_answers_to_no_request_are_incorrect() {
        let expected = [">0 incorrect responses to get()"];
        assert_eq!(errors_after(|_, record| record.history.incorrect_gets = 1), expected);
        assert_eq!(errors_after(|_, record| record.history.unknown = 1), expected);
        assert_eq!(errors_after(|_, record| record.malformed = 1), expected);
        assert_eq!(errors_after(|_, record| record.history.unacknowledged_reads = 1), expected);
        // The course's runner could not play this.
        let errors = errors_after(|scenario, record| {
            (scenario.burst, record.history.unacknowledged_reads) = (2, 1);
        });
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn a_replica_that_dies_by_itself_is_an_error_and_a_kill_is_not() {
        assert_eq!(errors_after(|_, record| record.died = 2), [">0 replicas died unexpectedly (2)"]);
        assert!(errors_after(|_, record| record.killed = 4).is_empty());
    }

    #[test]
    fn unanswered_requests_are_errors_only_above_the_allowed_fraction() {
        let unanswered = |gets, puts| {
            errors_after(|_, record| {
                let gets = Answers { generated: 60, unanswered: gets, ..Answers::default() };
                let puts = Answers { generated: 40, unanswered: puts, ..Answers::default() };
                record.history = fixture::history(gets, puts);
            })
        };
        assert!(unanswered(30, 20).is_empty());
        assert_eq!(unanswered(33, 20), ["insufficient get() requests answered (33 > 60 * 0.50)"]);
        assert_eq!(unanswered(30, 21), ["insufficient put() requests answered (21 > 40 * 0.50)"]);
    }

    #[test]
    fn gets_that_fail_to_be_generated_are_errors_only_above_the_allowed_fraction() {
        // 60 gets were sent; those that became puts were drawn besides.
        assert!(errors_after(|_, record| record.history.gets_not_generated = 6).is_empty());
        let expected = ["insufficient get() requests generated (7 > 67 * 0.10)"];
        assert_eq!(errors_after(|_, record| record.history.gets_not_generated = 7), expected);
    }

    #[test]
    fn a_run_that_was_cut_short_because_clients_asked_too_often_never_passes_and_a_packet_storm_may() {
        assert!(errors_after(|_, record| record.packet_storm = true).is_empty());
        let cut = errors_after(|_, record| record.request_storm = true);
        assert!(cut[0].starts_with("the run was cut short at "), "{cut:?}");
    }

    #[test]
    fn fewer_messages_than_replication_needs_are_an_error() {
        // 100 requests * 5 replicas * 0.4 puts * 0.5
        assert!(errors_after(|_, record| record.sent = 100).is_empty());
        let expected = ["too few messages between replicas, too many appends batched (99 < 100.00)"];
        assert_eq!(errors_after(|_, record| record.sent = 99), expected);
        assert!(errors_after(|scenario, record| (scenario.mix, record.sent) = (1.0, 0)).is_empty());
    }

    #[test]
    fn a_run_that_answers_nothing_stores_nothing() {
        let silent = |requests| {
            errors_after(|scenario, record| {
                scenario.requests = requests;
                record.history = History::default();
            })
        };
        assert_eq!(silent(100), ["no state stored at all (0 put() requests acknowledged)"]);
        assert!(silent(0).is_empty());
    }

    #[test]
    fn errors_come_in_the_order_of_the_checks() {
        let errors = errors_after(|_, record| {
            (record.sent, record.died, record.history.unknown, record.history.gets_not_generated) = (0, 1, 1, 20);
        });
        let first_words: Vec<&str> = errors.iter().map(|error| &error[..7]).collect();
        assert_eq!(first_words, [">0 inco", ">0 repl", "insuffi", "too few"]);
    }

    #[test]
    fn every_tier_ends_exactly_below_its_threshold() {
        let tier = |value| Measure { value, thresholds: [1_000.0, 3_000.0, 5_000.0] }.tier();
        for (value, expected) in [
            (0.0, Tier::Bonus),
            (999.0, Tier::Bonus),
            (1_000.0, Tier::Passed),
            (2_999.0, Tier::Passed),
            (3_000.0, Tier::NeedsImprovement),
            (4_999.0, Tier::NeedsImprovement),
            (5_000.0, Tier::Failed),
            (f64::INFINITY, Tier::Failed),
        ] {
            assert_eq!(tier(value), expected, "{value}");
        }
        // The published thresholds start at 0: no failure at all is then full credit, not a bonus.
        assert_eq!(Measure { value: 0.0, thresholds: [0.0, 1.0, 2.0] }.tier(), Tier::Passed);
        assert_eq!(Measure { value: 0.0, thresholds: [0.0; 3] }.tier(), Tier::Failed);
    }

    #[test]
    fn failures_are_fail_answers_plus_unanswered_requests() {
        let performance = judge(&fixture::scenario(), &fixture::record()).performance;
        assert_eq!(performance.failures.value, (15 + 31 + 3) as f64);
    }

    #[test]
    fn the_median_is_the_element_half_way_and_infinite_without_answers() {
        let spans = |nanos: &[u64]| nanos.iter().map(|&nanos| Span(nanos)).collect::<Vec<_>>();
        assert_eq!(percentile(&spans(&[1, 2, 3, 4]), 50), Some(Span(3)));
        assert_eq!(percentile(&spans(&[1, 2, 3]), 50), Some(Span(2)));
        assert_eq!(percentile(&spans(&[1, 2, 3]), 100), Some(Span(3)));
        assert_eq!(percentile(&[], 50), None);
        let (mut scenario, mut record) = (fixture::scenario(), fixture::record());
        (scenario.requests, record.history) = (0, History::default());
        let latency = judge(&scenario, &record).performance.median_latency;
        assert_eq!((latency.value, latency.tier()), (f64::INFINITY, Tier::Failed));
    }
}
