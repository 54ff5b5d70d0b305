//! Runs as CSV: a header and one row for each run. New columns may be added at the end.
//!
//! What a run does not have is empty: tiers of an incorrect run, latencies of a run without answers. Latencies are in
//! seconds of the world's clock; errors are those of all checkers, joined by `; `.

use std::io::{self, Write};

use serde::Serialize;

use super::checkers::line;
use super::summary::RunSummary;
use seedbed_core::check::Checker;
use seedbed_core::check::course::Tier;

/// Writes the header and one row for each run.
///
/// # Errors
/// If writing fails.
pub fn write<'a>(out: &mut impl Write, runs: impl IntoIterator<Item = &'a RunSummary>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for run in runs {
        writer.serialize(Row::from(run)).map_err(into_io)?;
    }
    writer.flush()
}

/// The error of the stream below, with its kind: whoever writes to a closed pipe has to know it.
pub(super) fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// One row; the names of the fields are the header.
#[derive(Serialize)]
struct Row<'a> {
    scenario: &'a str,
    protocol: &'a str,
    seed: u64,
    passed: bool,
    errors: String,
    tier_messages: Option<u8>,
    tier_failures: Option<u8>,
    tier_duplicates: Option<u8>,
    tier_latency: Option<u8>,
    messages_sent: u64,
    messages_dropped: u64,
    failures: u64,
    unanswered: u64,
    duplicates: u64,
    redirects: u64,
    incorrect: u64,
    latency_median: Option<f64>,
    latency_p90: Option<f64>,
    latency_p99: Option<f64>,
    latency_max: Option<f64>,
    leader_changes: u64,
    seconds: f64,
    events: u64,
    trace: Option<String>,
    world: &'static str,
    malformed: u64,
    linearizability: &'static str,
    invariants: &'static str,
    liveness: &'static str,
    idle_faults: usize,
    outcome: &'static str,
    lag: f64,
    lost_with_replicas: u64,
}

impl<'a> From<&'a RunSummary> for Row<'a> {
    fn from(run: &'a RunSummary) -> Row<'a> {
        let (judgement, statistics) = (&run.judgement, &run.statistics);
        let course = &judgement.course;
        let tiers = course.performance.tiers().map(|tier| course.passed().then_some(Tier::number(tier)));
        let [tier_messages, tier_failures, tier_duplicates, tier_latency] = tiers;
        let findings = judgement.findings();
        let errors: Vec<String> = findings.iter().map(line).collect();
        Row {
            scenario: &run.scenario,
            protocol: &run.protocol,
            seed: run.seed,
            passed: findings.is_empty(),
            errors: errors.join("; "),
            tier_messages,
            tier_failures,
            tier_duplicates,
            tier_latency,
            messages_sent: statistics.messages_sent,
            messages_dropped: statistics.messages_dropped,
            failures: statistics.failed_gets + statistics.failed_puts,
            unanswered: statistics.unanswered_gets + statistics.unanswered_puts,
            duplicates: statistics.duplicates,
            redirects: statistics.redirects,
            incorrect: statistics.incorrect,
            latency_median: run.latency.map(|latency| latency.median),
            latency_p90: run.latency.map(|latency| latency.p90),
            latency_p99: run.latency.map(|latency| latency.p99),
            latency_max: run.latency.map(|latency| latency.max),
            leader_changes: statistics.leader_changes,
            seconds: run.seconds,
            events: run.events,
            trace: run.trace.map(|trace| format!("{trace:016x}")),
            world: run.world,
            malformed: statistics.malformed,
            linearizability: judgement.word(&Checker::LINEARIZABILITY),
            invariants: judgement.word(&Checker::INVARIANTS),
            liveness: judgement.word(&Checker::LIVENESS),
            idle_faults: statistics.idle_faults.len(),
            outcome: run.outcome(),
            lag: run.lag,
            lost_with_replicas: judgement.lost_with_replicas,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::check::fixture;

    #[test]
    fn each_run_is_a_row_and_what_it_does_not_have_is_empty() {
        let runs = [fixture::record(), fixture::failed_record()]
            .map(|record| RunSummary::sample(&fixture::scenario(), &record));
        let mut out = Vec::new();
        write(&mut out, &runs).unwrap();
        let expected = "\
scenario,protocol,seed,passed,errors,tier_messages,tier_failures,tier_duplicates,tier_latency,messages_sent,\
messages_dropped,failures,unanswered,duplicates,redirects,incorrect,latency_median,latency_p90,latency_p99,\
latency_max,leader_changes,seconds,events,trace,world,malformed,linearizability,\
invariants,liveness,idle_faults,outcome,lag,lost_with_replicas
sample,raft,7,true,,3,1,2,0,6370,183,46,3,3,19,0,0.0001,0.0001,0.0001,0.0001,3,34.0,12345,0123456789abcdef,virtual,0,ok,\
not watched,not judged,0,passed,0.0,0
sample,raft,7,false,>0 incorrect responses to get(); insufficient get() requests answered (33 > 60 * 0.50),,,,,6370,\
183,46,36,3,19,7,0.0001,0.0001,0.0001,0.0001,3,34.0,12345,0123456789abcdef,virtual,0,ok,not watched,not judged,0,failed,0.0,0
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
