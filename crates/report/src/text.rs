//! One run in the layout of the course's runner, and below it a section on the checkers that the course does not have.
//!
//! The heading `# Simulation Finished` is the course's in every world, because programs read it. A line above it says
//! if the run was not one of the virtual world: real processes in real time, or the course's LAN in virtual time.
//!
//! The writers here use ANSI colours; use a stream that strips these where they do not belong (`anstream`).

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::summary::{IdleFault, Remark, RunSummary, Statistics};
use super::{advice, checkers};
use seedbed_core::chaos::Rulebook;
use seedbed_core::check::course::{Measure, Performance, Tier, Verdict};
use seedbed_core::check::{Checker, LAG_MAX};
use seedbed_core::record::World;

/// The style of errors.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// The style of success.
pub const GOOD: Style = AnsiColor::Green.on_default();
const BONUS: Style = AnsiColor::Green.on_default().bold();
pub(super) const FAIR: Style = AnsiColor::Yellow.on_default();
const HEADING: Style = Style::new().bold();

/// The note that a run, or many, did not follow the handout's rules.
pub const RUNNER: &str = "Played by the rules of the course's runner, where they are not the handout's (rules: runner)";

/// Why a run is not judged.
pub(super) fn too_busy(run: &RunSummary) -> String {
    let (lag, bound) = (run.lag * 1e3, LAG_MAX.as_secs_f64() * 1e3);
    format!(
        "this machine was too busy: seedbed was up to {lag:.0} ms late (allowed: {bound:.0} ms). What was found may be the \
         machine's doing. Run it again with fewer programs beside it"
    )
}

/// Writes the report of one run.
///
/// # Errors
/// If writing fails.
pub fn write(out: &mut impl Write, run: &RunSummary) -> io::Result<()> {
    let (world, seconds, clock) = (run.world.name(), run.seconds, run.world.time());
    match run.world {
        World::Virtual => {}
        World::Lan => writeln!(out, "Played on the course's LAN, in {seconds:.1} s of {clock}\n")?,
        World::Live | World::Grpc => {
            writeln!(out, "Played with real processes, in {seconds:.1} s of {clock} ({world} world)\n")?;
        }
    }
    if !run.judgement.is_judged() {
        writeln!(out, "{BAD}Not judged:{BAD:#} {}\n", too_busy(run))?;
    }
    if run.rules == Rulebook::Runner {
        writeln!(out, "{RUNNER}\n")?;
    }
    heading(out, if run.panicked() { "# Simulation Panicked" } else { "# Simulation Finished" })?;
    writeln!(out)?;
    write_statistics(out, &run.statistics)?;
    for IdleFault { kind, time, reason } in &run.statistics.idle_faults {
        writeln!(out, "{FAIR}Warning:{FAIR:#} {kind} at {time:.6} s did nothing: {reason}")?;
    }
    if run.statistics.packet_storm {
        let (sent, max) = (run.statistics.messages_sent, run.max_packets);
        writeln!(
            out,
            "{FAIR}Warning:{FAIR:#} packet storm, stopped early after {sent} messages between replicas (limit: {max})"
        )?;
    }
    if run.statistics.request_storm {
        writeln!(out, "{FAIR}Warning:{FAIR:#} request storm, cut short because clients had to ask again too often")?;
    }
    for Remark { replica, time, what } in &run.statistics.complaints {
        writeln!(out, "{FAIR}Warning:{FAIR:#} replica {replica} at {time:.6} s {what}")?;
    }
    if let Some(Remark { replica, time, what }) = &run.statistics.obstacle {
        writeln!(out, "{BAD}Cut short:{BAD:#} replica {replica} at {time:.6} s did what cannot be simulated: {what}")?;
    }
    if run.judgement.opinion(&Checker::FAITHFULNESS).is_some() {
        writeln!(
            out,
            "{BAD}Not faithful:{BAD:#} a system call could not be simulated, and failed; the last section says which"
        )?;
    }
    writeln!(out)?;
    if run.panicked() {
        // The checks of the course are about whole runs.
        checkers::write(out, run)?;
        return advice::write(out, run);
    }
    let course = &run.judgement.course;
    write_correctness(out, course)?;
    writeln!(out)?;
    if course.passed() {
        write_performance(out, &course.performance)?;
    } else {
        heading(out, "## Correctness Checks Failed, Skipping Performance Tests")?;
    }
    writeln!(out)?;
    checkers::write(out, run)?;
    advice::write(out, run)
}

/// Writes the last line of a report: the trace's hash, if there is one.
///
/// # Errors
/// If writing fails.
pub fn write_trace(out: &mut impl Write, trace: Option<u64>) -> io::Result<()> {
    trace.map_or(Ok(()), |trace| writeln!(out, "Trace: {trace:016x}"))
}

pub(super) fn heading(out: &mut impl Write, text: &str) -> io::Result<()> {
    writeln!(out, "{HEADING}{text}{HEADING:#}")
}

fn write_statistics(out: &mut impl Write, s: &Statistics) -> io::Result<()> {
    heading(out, "## Useful Information and Statistics")?;
    writeln!(out, "Leaders: {}", s.leaders.join(" "))?;
    writeln!(out, "Replicas that died/were killed: {}/{}", s.replicas_died, s.replicas_killed)?;
    writeln!(out, "Total messages sent: {}", s.messages_sent)?;
    writeln!(out, "Total messages dropped: {}", s.messages_dropped)?;
    writeln!(out, "Total client get()/put() requests: {}/{}", s.gets, s.puts)?;
    writeln!(out, "Total duplicate responses: {}", s.duplicates)?;
    writeln!(out, "Total unanswered get()/put() requests: {}/{}", s.unanswered_gets, s.unanswered_puts)?;
    writeln!(out, "Total redirects: {}", s.redirects)?;
    writeln!(out, "Total get()/put() failures: {}/{}", s.failed_gets, s.failed_puts)?;
    writeln!(out, "Total get() with incorrect response: {}", s.incorrect)?;
    if s.unacknowledged_reads > 0 {
        writeln!(
            out,
            "Total get() that returned the client's own unacknowledged put(): {} (lawful, but the course's runner \
             counts it as incorrect)",
            s.unacknowledged_reads
        )?;
    }
    Ok(())
}

fn write_correctness(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    heading(out, "## Correctness Checks")?;
    if verdict.passed() {
        return writeln!(out, "{GOOD}All correctness tests passed{GOOD:#}");
    }
    for error in &verdict.errors {
        writeln!(out, "{BAD}Error:{BAD:#} {error}")?;
    }
    Ok(())
}

fn write_performance(out: &mut impl Write, performance: &Performance) -> io::Result<()> {
    heading(out, "## Performance Tests")?;
    heading(out, "## <test metric>: <your score> <benchmark score>, <test result>")?;
    write_measure(out, "Total Messages Between Replicas", &performance.messages)?;
    write_measure(out, "Total Failures and Unanswered Requests", &performance.failures)?;
    write_measure(out, "Duplicate Responses to Clients", &performance.duplicates)?;
    write_measure(out, "Median Response Latency to Clients", &performance.median_latency)
}

/// Numbers are written with as many digits as they have, so that the comparison is always true as written.
fn write_measure(out: &mut impl Write, name: &str, measure: &Measure) -> io::Result<()> {
    let [bonus, full, partial] = measure.thresholds;
    let (comparison, style, result) = match measure.tier() {
        Tier::Bonus => (format!("< {bonus}"), BONUS, "Bonus!"),
        Tier::Passed => (format!("< {full}"), GOOD, "Passed"),
        Tier::NeedsImprovement => (format!("< {partial}"), FAIR, "Partial credit, needs improvement"),
        Tier::Failed => (format!(">= {partial}"), BAD, "Failed"),
    };
    writeln!(out, "{name}: {} {comparison}, {style}{result}{style:#}", measure.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::check::fixture;
    use seedbed_core::id::ReplicaId;
    use seedbed_core::record::{Complaint, History, Obstacle, RunRecord};
    use seedbed_core::time::{Span, Time};

    /// The handout's first sample.
    const FAILED: &str = "\
# Simulation Finished

## Useful Information and Statistics
Leaders: FFFF 0001 FFFF 0003
Replicas that died/were killed: 0/2
Total messages sent: 6370
Total messages dropped: 183
Total client get()/put() requests: 60/40
Total duplicate responses: 3
Total unanswered get()/put() requests: 33/3
Total redirects: 19
Total get()/put() failures: 15/31
Total get() with incorrect response: 7

## Correctness Checks
Error: >0 incorrect responses to get()
Error: insufficient get() requests answered (33 > 60 * 0.50)

## Correctness Checks Failed, Skipping Performance Tests
";

    /// The handout's second sample, with the blank lines of the first, which it lacks.
    const PASSED: &str = "\
# Simulation Finished

## Useful Information and Statistics
Leaders: FFFF 0001 FFFF 0003
Replicas that died/were killed: 0/2
Total messages sent: 6370
Total messages dropped: 183
Total client get()/put() requests: 60/40
Total duplicate responses: 3
Total unanswered get()/put() requests: 0/3
Total redirects: 19
Total get()/put() failures: 15/31
Total get() with incorrect response: 0

## Correctness Checks
All correctness tests passed

## Performance Tests
## <test metric>: <your score> <benchmark score>, <test result>
Total Messages Between Replicas: 6370 >= 1000, Failed
Total Failures and Unanswered Requests: 49 < 60, Passed
Duplicate Responses to Clients: 3 < 4, Partial credit, needs improvement
Median Response Latency to Clients: 0.0001 < 0.0002, Bonus!
";

    /// The section below the course's report: in these samples clients get no answer that could be wrong.
    fn others(operations: u64) -> String {
        format!(
            "
## What the Other Checkers Say
Linearizability: ok, an order of all {operations} operations on 1 key explains every answer
Liveness: not judged, at the end no quorum of sound replicas was connected
"
        )
    }

    fn plain(record: &RunRecord) -> String {
        let run = RunSummary::sample(&fixture::scenario(), record);
        let mut out = anstream::StripStream::new(Vec::new());
        write(&mut out, &run).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn the_handouts_failing_sample_is_reproduced_to_the_letter() {
        let text = plain(&fixture::failed_record());
        let below = text.strip_prefix(&format!("{FAILED}{}", others(98))).unwrap_or_else(|| panic!("{text}"));
        assert!(below.starts_with("\n## What to Look at First\n1. incorrect responses: "), "{below}");
    }

    #[test]
    fn the_handouts_passing_sample_is_reproduced_to_the_letter() {
        assert_eq!(plain(&fixture::record()), format!("{PASSED}{}", others(131)));
    }

    #[test]
    fn a_run_in_real_time_says_so_above_the_courses_heading() {
        let text = plain(&RunRecord { world: World::Live, ..fixture::record() });
        let begin = "Played with real processes, in 34.0 s of real time (live world)\n\n# Simulation Finished\n";
        assert!(text.starts_with(begin), "{text}");
    }

    #[test]
    fn a_fault_that_did_nothing_is_a_warning_below_the_statistics() {
        use seedbed_core::chaos::{Consequence, Fault, FaultEvent, Idle};
        use seedbed_core::record::Struck;
        use seedbed_core::time::{Span, Time};
        let time = Time::ZERO + Span::from_secs(11);
        let mut scenario = fixture::scenario();
        scenario.events = vec![FaultEvent { time, fault: Fault::KillLeader }];
        let struck = Struck { time, event: 0, consequence: Consequence::default(), idle: Some(Idle::NoLeader) };
        let record = RunRecord { struck: vec![struck], ..fixture::record() };
        let mut out = anstream::StripStream::new(Vec::new());
        write(&mut out, &RunSummary::sample(&scenario, &record)).unwrap();
        let text = String::from_utf8(out.into_inner()).unwrap();
        let warning = "incorrect response: 0\nWarning: kill_leader at 11.000000 s did nothing: no leader was known\n";
        assert!(text.contains(warning), "{text}");
    }

    #[test]
    fn a_packet_storm_is_a_warning_below_the_statistics() {
        let text = plain(&RunRecord { packet_storm: true, sent: 20_001, ..fixture::record() });
        let warning = "incorrect response: 0\nWarning: packet storm, stopped early after 20001 messages between \
                       replicas (limit: 20000)\n\n## Correctness";
        assert!(text.contains(warning), "{text}");
    }

    #[test]
    fn a_run_on_the_lan_is_in_virtual_time_and_shows_complaints_and_what_cut_it_short() {
        let time = Time::ZERO + Span::from_millis(2_500);
        let complaint =
            Complaint { time, replica: ReplicaId(1), what: "sent to an unknown destination: {\"a".to_owned() };
        let obstacle = Obstacle { time, replica: ReplicaId(2), what: "opens a TCP socket".to_owned() };
        let record =
            RunRecord { world: World::Lan, complaints: vec![complaint], obstacle: Some(obstacle), ..fixture::record() };
        let text = plain(&record);
        assert!(
            text.starts_with("Played on the course's LAN, in 34.0 s of virtual time\n\n# Simulation Finished\n"),
            "{text}"
        );
        assert!(!text.contains("with real processes, in"), "{text}");
        let warnings = "Warning: replica 0001 at 2.500000 s sent to an unknown destination: {\"a\n\
                        Cut short: replica 0002 at 2.500000 s did what cannot be simulated: opens a TCP socket\n";
        assert!(text.contains(warnings), "{text}");
        assert!(text.contains("Correctness Checks Failed"), "{text}");
        assert!(
            text.contains("Liveness: cut short, the run was cut short, because a program did what cannot be simulated")
        );
        assert!(text.contains("\n1. obstacle: This does not say that the program is wrong"), "{text}");
        assert!(!text.contains("invariants"), "nobody could watch a program: {text}");
    }

    #[test]
    fn a_request_storm_is_a_warning_below_the_statistics() {
        let text = plain(&RunRecord { request_storm: true, ..fixture::record() });
        let warning = "incorrect response: 0\nWarning: request storm, cut short because clients had to ask again too \
                       often\n\n## Correctness";
        assert!(text.contains(warning), "{text}");
    }

    #[test]
    fn unacknowledged_reads_fail_as_in_the_course_and_the_report_says_that_linearizability_allows_them() {
        let mut record = fixture::record();
        record.history.unacknowledged_reads = 2;
        let text = plain(&record);
        let line = "Total get() that returned the client's own unacknowledged put(): 2 (lawful, but the \
                    course's runner counts it as incorrect)\n";
        assert!(text.contains(line) && text.contains("Error: >0 incorrect responses to get()"), "{text}");
    }

    #[test]
    fn a_run_without_answers_has_an_infinite_latency() {
        let mut scenario = fixture::scenario();
        scenario.requests = 0;
        let record = RunRecord { history: History::default(), ..fixture::record() };
        let run = RunSummary::sample(&scenario, &record);
        let mut out = anstream::StripStream::new(Vec::new());
        write(&mut out, &run).unwrap();
        let text = String::from_utf8(out.into_inner()).unwrap();
        assert!(text.contains("\nMedian Response Latency to Clients: inf >= 0.05, Failed\n"), "{text}");
    }

    #[test]
    fn results_are_coloured() {
        let run = RunSummary::sample(&fixture::scenario(), &fixture::record());
        let mut out = Vec::new();
        write(&mut out, &run).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("\u{1b}[1m\u{1b}[31mFailed\u{1b}[0m"));
    }
}
