//! The data of a run that reports show.

use serde::Serialize;

use super::describe;
use super::rows::{Columns, Key, Row};
use seedbed_core::chaos::Rulebook;
use seedbed_core::check::{Checker, Finding, Judgement, course};
use seedbed_core::hash::StableHasher;
use seedbed_core::id::ReplicaId;
use seedbed_core::lab::PANIC;
use seedbed_core::record::{Belief, RunRecord, Tally, World};
use seedbed_core::scenario::Scenario;
use seedbed_core::time::{Span, Time};
use seedbed_core::workload::CLIENTS;

/// The data of one run that reports show: everything except single requests, so it stays small.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// The scenario's name.
    pub scenario: String,
    /// The scenario in a few words.
    pub description: String,
    /// What the replicas ran: the protocol's name, or the program's path.
    pub protocol: String,
    /// The world in which it was.
    pub world: World,
    /// The rules by which it was played.
    pub rules: Rulebook,
    /// The seed of the run.
    pub seed: u64,
    /// The command that repeats the run.
    pub command: String,
    /// The run's counters.
    pub statistics: Statistics,
    /// How long answers took; none if nothing was answered.
    pub latency: Option<Latency>,
    /// The judgement of all checkers.
    pub judgement: Judgement,
    /// The most by which the machine was late with due work, in seconds; zero in virtual time.
    pub lag: f64,
    /// The file with the output of the replicas, if it was kept.
    pub output: Option<String>,
    /// The most messages that the scenario allows before it stops a run.
    pub max_packets: u64,
    /// Seconds from one request of a client to its next, on average; infinite if there are no requests.
    pub client_interval: f64,
    /// When the run ended, in seconds of its world's clock.
    pub seconds: f64,
    /// How many events the run had.
    pub events: u64,
    /// The trace's hash, if the run can be repeated to the bit.
    pub trace: Option<u64>,
    /// The run as a row of a sweep without swept values, whose number is 0.
    pub row: Row,
}

/// The counters of a run. The names of the fields are those of the JSON report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Each change of the observed leader, as addresses. `FFFF` means none, and comes first.
    pub leaders: Vec<String>,
    /// How often the observed leader changed.
    pub leader_changes: u64,
    /// Replicas that died by themselves.
    pub replicas_died: u64,
    /// Replicas killed by the scenario.
    pub replicas_killed: u64,
    /// Messages sent between replicas, lost ones included.
    pub messages_sent: u64,
    /// Messages lost to the connectivity matrix or a partition.
    pub messages_dropped: u64,
    /// Gets that clients generated, attempts that repeat one not counted.
    pub gets: u64,
    /// Puts that clients generated, attempts that repeat one not counted.
    pub puts: u64,
    /// Gets that could not be generated, for want of an acknowledged key.
    pub gets_not_generated: u64,
    /// Answers to requests that had been answered `ok` before.
    pub duplicates: u64,
    /// Gets without an answer.
    pub unanswered_gets: u64,
    /// Puts without an answer.
    pub unanswered_puts: u64,
    /// Answers `redirect`.
    pub redirects: u64,
    /// Gets answered with `fail`.
    pub failed_gets: u64,
    /// Puts answered with `fail`.
    pub failed_puts: u64,
    /// Gets with another value than the newest acknowledged one, answers that name no open request of their client, and
    /// all that `malformed` counts.
    pub incorrect: u64,
    /// Malformed datagrams of replicas.
    pub malformed: u64,
    /// Gets that returned a put of the client's own that was not acknowledged (yet).
    pub unacknowledged_reads: u64,
    /// Fault events that did nothing, in order.
    pub idle_faults: Vec<IdleFault>,
    /// Whether the run was stopped because of too many messages.
    pub packet_storm: bool,
    /// Whether the run was cut short because clients had to ask again too often.
    pub request_storm: bool,
    /// What the LAN in virtual time found wrong with replicas, in order, up to a number for each.
    pub complaints: Vec<Remark>,
    /// Why the run was cut short, if a program did what cannot be simulated.
    pub obstacle: Option<Remark>,
}

/// What is to be said of a replica.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Remark {
    /// Its address.
    pub replica: String,
    /// When, in seconds from the start of the run.
    pub time: f64,
    /// What it did, in one line that begins with a verb.
    pub what: String,
}

impl Remark {
    fn new(replica: ReplicaId, time: Time, what: &str) -> Remark {
        Remark { replica: replica.to_string(), time: time.as_secs_f64(), what: what.to_owned() }
    }
}

/// A fault event that did nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IdleFault {
    /// Its type, as in `kill_leader`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When it happened, in seconds from the start of the run.
    pub time: f64,
    /// Why it did nothing.
    pub reason: String,
}

/// How long answers took, in seconds of the world's clock, over all attempts that were answered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// The course's median: the element n/2.
    pub median: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

/// Whether these are the findings of a run that panicked.
fn is_panic(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.checker == Checker::INVARIANTS && finding.kind == PANIC)
}

impl RunSummary {
    /// Summarises a run of a scenario and the judgement of its checkers. `command` is the command line that repeats it.
    /// `columns` are those of its row, with the counts of its messages by kind.
    pub fn new(
        scenario: &Scenario,
        record: &RunRecord,
        judgement: Judgement,
        protocol: &str,
        command: String,
        (columns, tally): (&Columns, &Tally),
    ) -> RunSummary {
        let (values, seed) = (Vec::new(), record.seed);
        let key = Key { run: 0, scenario: scenario.name.clone(), values, protocol: protocol.to_owned(), seed };
        let (judged, findings) = ((scenario, record, &judgement), judgement.findings());
        // As in the rows of a sweep: figures of half a run would be taken for those of a whole one.
        let judged = Some(judged).filter(|_| !is_panic(&findings));
        let row = Row::new(key, columns, judged, &findings, tally, command.clone());
        RunSummary {
            row,
            scenario: scenario.name.clone(),
            description: describe(scenario),
            protocol: protocol.to_owned(),
            world: record.world,
            rules: scenario.rules,
            seed: record.seed,
            command,
            statistics: Statistics::of(scenario, record),
            latency: Latency::of(&record.history.latencies()),
            judgement,
            lag: record.lag.as_secs_f64(),
            output: None,
            max_packets: scenario.max_packets,
            client_interval: scenario.lifetime.as_secs_f64() * CLIENTS as f64 / scenario.requests as f64,
            seconds: record.end.as_secs_f64(),
            events: record.events,
            trace: record.trace,
        }
    }

    /// Whether the run ended in a panic. Its figures are those up to there.
    pub fn panicked(&self) -> bool {
        is_panic(&self.judgement.findings())
    }

    /// Whether no checker has found anything.
    pub fn passed(&self) -> bool {
        self.judgement.passed()
    }

    /// `passed`, `failed` or `not judged`: the machine was too busy.
    pub fn outcome(&self) -> &'static str {
        match self.passed() {
            true => "passed",
            false if self.judgement.is_judged() => "failed",
            false => "not judged",
        }
    }
}

#[cfg(test)]
impl RunSummary {
    /// A run with replicas that no observer watched, for tests of reports.
    pub(super) fn sample(scenario: &Scenario, record: &RunRecord) -> RunSummary {
        let command = format!("seedbed run {}.json --seed {}", scenario.name, record.seed);
        let (columns, tally) = (Columns::of(["append"]), Tally::of_kinds(&["append"]));
        RunSummary::new(scenario, record, Judgement::of(scenario, record), "raft", command, (&columns, &tally))
    }
}

impl Statistics {
    fn of(scenario: &Scenario, record: &RunRecord) -> Statistics {
        let history = &record.history;
        let idle_faults = record.struck.iter().filter_map(|struck| {
            let (kind, time) = (scenario.events[struck.event].fault.name(), struck.time.as_secs_f64());
            Some(IdleFault { kind, time, reason: struck.idle?.to_string() })
        });
        let (requests, unanswered, failures) = (history.requests(), history.unanswered(), history.failures());
        let address = |belief: &Belief| belief.leader.map_or_else(|| "FFFF".to_owned(), |id| format!("{id}"));
        Statistics {
            leaders: record.leaders.iter().map(address).collect(),
            leader_changes: record.leader_changes(),
            replicas_died: record.died,
            replicas_killed: record.killed,
            messages_sent: record.sent,
            messages_dropped: record.dropped,
            gets: requests.gets,
            puts: requests.puts,
            gets_not_generated: history.gets_not_generated,
            duplicates: history.duplicates,
            unanswered_gets: unanswered.gets,
            unanswered_puts: unanswered.puts,
            redirects: history.redirects().total(),
            failed_gets: failures.gets,
            failed_puts: failures.puts,
            incorrect: course::incorrect(scenario, record),
            malformed: record.malformed,
            unacknowledged_reads: history.unacknowledged_reads,
            idle_faults: idle_faults.collect(),
            packet_storm: record.packet_storm,
            request_storm: record.request_storm,
            complaints: record.complaints.iter().map(|told| Remark::new(told.replica, told.time, &told.what)).collect(),
            obstacle: record.obstacle.as_ref().map(|one| Remark::new(one.replica, one.time, &one.what)),
        }
    }
}

impl Latency {
    fn of(sorted: &[Span]) -> Option<Latency> {
        let at = |percent| course::percentile(sorted, percent).map(Span::as_secs_f64);
        Some(Latency { median: at(50)?, p90: at(90)?, p99: at(99)?, max: at(100)? })
    }
}

/// The data of many runs that reports show.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteSummary {
    /// The command that repeats them all.
    pub command: String,
    /// The runs in order.
    pub runs: Vec<RunSummary>,
}

impl SuiteSummary {
    /// How many runs passed: no checker has found anything.
    pub fn passed(&self) -> usize {
        self.runs.iter().filter(|run| run.passed()).count()
    }

    /// How many runs are not judged, because the machine was too busy.
    pub fn not_judged(&self) -> usize {
        self.runs.iter().filter(|run| !run.judgement.is_judged()).count()
    }

    /// One hash over the hashes of all runs, in order, if all have one.
    pub fn trace(&self) -> Option<u64> {
        let mut hasher = StableHasher::new();
        for run in &self.runs {
            hasher.word(run.trace?);
        }
        Some(hasher.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::check::fixture;

    #[test]
    fn latencies_are_elements_of_the_sorted_list() {
        let sorted: Vec<Span> = (1..=1_000).map(Span::from_millis).collect();
        let expected = Latency { median: 0.501, p90: 0.901, p99: 0.991, max: 1.0 };
        assert_eq!(Latency::of(&sorted), Some(expected));
        assert_eq!(Latency::of(&[]), None);
    }

    #[test]
    fn the_hash_of_a_suite_depends_on_every_run_and_on_their_order() {
        let run =
            |trace| RunSummary { trace: Some(trace), ..RunSummary::sample(&fixture::scenario(), &fixture::record()) };
        let trace = |runs: &[u64]| {
            SuiteSummary { command: String::new(), runs: runs.iter().copied().map(run).collect() }.trace()
        };
        assert_eq!(trace(&[1, 2]), trace(&[1, 2]));
        assert_ne!(trace(&[1, 2]), trace(&[2, 1]));
        assert_ne!(trace(&[1, 2]), trace(&[1]));
        let live = RunSummary { trace: None, ..run(1) };
        assert_eq!(SuiteSummary { command: String::new(), runs: vec![run(1), live] }.trace(), None);
    }
}
