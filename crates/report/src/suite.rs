//! Many runs as the course's table.
//!
//! The table's shape follows from the scenarios alone, so that rows can be written as their runs finish.

use std::io::{self, Write};

use super::checkers::{first_findings, line};
use super::summary::{RunSummary, SuiteSummary};
use super::text::{BAD, FAIR, GOOD, too_busy};
use super::{advice, describe};
use seedbed_core::check::Checker;
use seedbed_core::check::course::Tier;
use seedbed_core::scenario::Scenario;
use seedbed_core::scenario::order::{GROUPS, group};

/// At most this many failed seeds of one scenario are listed with their commands.
const LISTED_MAX: usize = 10;

/// The table of a suite, its rows still without results.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    /// The heading above it, if it is the first of its group.
    heading: Option<String>,
    /// Name and description, padded to the width of their columns.
    label: String,
}

impl Table {
    /// A table with a row for each scenario, in this order.
    pub fn new(scenarios: &[&Scenario]) -> Table {
        let descriptions: Vec<String> = scenarios.iter().map(|scenario| describe(scenario)).collect();
        let width = |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
        let name_width = width(&mut scenarios.iter().map(|scenario| scenario.name.as_str()));
        let description_width = width(&mut descriptions.iter().map(String::as_str));
        let mut rows = Vec::with_capacity(scenarios.len());
        for group in scenarios.chunk_by(|left, right| group(&left.name) == group(&right.name)) {
            for (i, scenario) in group.iter().enumerate() {
                let (name, description) = (&scenario.name, &descriptions[rows.len()]);
                rows.push(Row {
                    heading: (i == 0).then(|| heading(group)),
                    label: format!("{name:name_width$}  {description:description_width$}"),
                });
            }
        }
        Table { rows }
    }

    /// Writes the row of one scenario, under its group's heading if it is the first there. `runs` has a run for each
    /// seed; `replays` has for each run the command that replays its repro file, if there is one. Each failure comes
    /// with the first error of each checker and the commands that repeat the run.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write_row(
        &self,
        out: &mut impl Write,
        row: usize,
        runs: &[RunSummary],
        replays: &[Option<String>],
    ) -> io::Result<()> {
        let Row { heading, label } = &self.rows[row];
        if let Some(heading) = heading {
            writeln!(out, "{heading}")?;
        }
        let passed: Vec<&RunSummary> = runs.iter().filter(|run| run.passed()).collect();
        write!(out, "{label}  ")?;
        if passed.len() == runs.len() {
            write!(out, "{GOOD}[PASS]{GOOD:#}")?;
        } else if runs.iter().all(|run| run.passed() || !run.judgement.is_judged()) {
            write!(out, "{FAIR}[BUSY]{FAIR:#}")?;
        } else {
            write!(out, "{BAD}[FAIL]{BAD:#}")?;
        }
        if runs.len() > 1 {
            write!(out, "  {:>width$}/{}", passed.len(), runs.len(), width = runs.len().to_string().len())?;
        }
        if !passed.is_empty() {
            write!(out, "     Performance Tiers: {}", tiers(&passed))?;
        }
        writeln!(out)?;
        let unfaithful = runs.iter().find_map(|run| run.judgement.opinion(&Checker::FAITHFULNESS));
        if let Some(opinion) = unfaithful {
            writeln!(out, "    {FAIR}Not faithful:{FAIR:#} {}", opinion.remark)?;
        }
        let failures = || runs.iter().zip(replays).filter(|(run, _)| !run.passed());
        for (run, replay) in failures().take(LISTED_MAX) {
            let seed = if runs.len() > 1 { format!("seed {}: ", run.seed) } else { String::new() };
            write_failure(out, run, &seed, replay.as_deref())?;
        }
        match failures().count().saturating_sub(LISTED_MAX) {
            0 => Ok(()),
            more => writeln!(out, "    ... and with {more} more seeds; --csv FILE has them all"),
        }
    }
}

/// The course's four tiers; of several runs the best and the worst of each, if they are not the same.
fn tiers(runs: &[&RunSummary]) -> String {
    let all: Vec<[u8; 4]> = runs.iter().map(|run| run.judgement.course.performance.tiers().map(Tier::number)).collect();
    let spread = |measure: usize| {
        let values = || all.iter().map(|tiers| tiers[measure]);
        match (values().min().unwrap_or_default(), values().max().unwrap_or_default()) {
            (best, worst) if best == worst => best.to_string(),
            (best, worst) => format!("{best}-{worst}"),
        }
    };
    [0, 1, 2, 3].map(spread).join(" ")
}

/// Writes what is below the row of a run that failed. `seed` begins each error.
fn write_failure(out: &mut impl Write, run: &RunSummary, seed: &str, replay: Option<&str>) -> io::Result<()> {
    if !run.judgement.is_judged() {
        writeln!(out, "    Not judged: {seed}{}", too_busy(run))?;
    }
    for finding in first_findings(&run.judgement) {
        writeln!(out, "    Error: {seed}{}", line(&finding))?;
    }
    if let Some(advice) = advice::in_table(run) {
        writeln!(out, "    Note: {advice}")?;
    }
    writeln!(out, "    Repeat: {}", run.command)?;
    run.output.iter().try_for_each(|path| writeln!(out, "    Output: {path}"))?;
    replay.map_or(Ok(()), |replay| writeln!(out, "    Replay: {replay}"))
}

/// Writes the line below the table of this many scenarios, each of which ran equally often. With several seeds, a line
/// before it explains ranges of tiers, if there are any.
///
/// # Errors
/// If writing fails.
pub fn write_total(out: &mut impl Write, suite: &SuiteSummary, scenarios: usize) -> io::Result<()> {
    let (passed, runs) = (suite.passed(), suite.runs.len());
    if passed > 0 {
        writeln!(
            out,
            "Tiers: messages, failures, duplicates, median latency; 0 bonus, 1 full, 2 partial, 3 no credit"
        )?;
    }
    match suite.not_judged() {
        0 => {}
        busy => writeln!(out, "Not judged because this machine was too busy: {busy}")?,
    }
    if runs <= scenarios {
        return writeln!(out, "Passed {passed} out of {runs} tests");
    }
    let rows = || suite.runs.chunks(runs / scenarios.max(1));
    let always = rows().filter(|runs| runs.iter().all(RunSummary::passed)).count();
    if rows().any(|runs| tiers(&runs.iter().filter(|run| run.passed()).collect::<Vec<_>>()).contains('-')) {
        writeln!(out, "Tiers such as 0-2 are the best and the worst of the runs that passed.")?;
    }
    writeln!(out, "Passed {passed} out of {runs} runs, and {always} out of {scenarios} tests with every seed")
}

/// The title of the group that a scenario of this name is in.
fn group_title(name: &str) -> &'static str {
    const TITLES: [&str; GROUPS.len()] =
        ["Basic tests", "Unreliable network tests", "Crash tests", "Partition tests", "Advanced tests"];
    TITLES.get(group(name)).copied().unwrap_or("Other tests")
}

fn heading(scenarios: &[&Scenario]) -> String {
    let title = group_title(&scenarios[0].name);
    let range = |value: &dyn Fn(&Scenario) -> f64| {
        let values = scenarios.iter().map(|scenario| value(scenario));
        let (min, max) = values.fold((f64::INFINITY, 0.0_f64), |(min, max), value| (min.min(value), max.max(value)));
        if min == max { format!("{min}") } else { format!("{min}-{max}") }
    };
    let replicas = range(&|scenario| scenario.replicas as f64);
    let seconds = range(&|scenario| scenario.lifetime.as_secs_f64());
    let requests = range(&|scenario| scenario.requests as f64);
    format!("{title} ({replicas} replicas, {seconds} seconds, {requests} requests):")
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedbed_core::chaos::{Fault, FaultEvent};
    use seedbed_core::check::fixture;
    use seedbed_core::record::RunRecord;
    use seedbed_core::scenario::Tests;
    use seedbed_core::time::{Span, Time};

    fn scenario(name: &str, requests: u64, faults: &[Fault]) -> Scenario {
        let events = faults.iter().map(|fault| FaultEvent { time: Time::ZERO, fault: fault.clone() }).collect();
        Scenario { name: name.to_owned(), requests, events, ..fixture::scenario() }
    }

    #[test]
    fn the_table_has_headings_aligned_columns_and_a_command_for_every_failure() {
        let slow = Scenario { lifetime: Span::from_secs_f64(60.5), replicas: 7, ..scenario("own", 10, &[]) };
        let scenarios = [
            scenario("simple-1", 100, &[]),
            scenario("crash-3", 100, &[Fault::KillLeader]),
            scenario("crash-10", 90, &[Fault::KillLeader, Fault::KillLeader]),
            slow,
        ];
        let records = [fixture::record(), fixture::failed_record(), fixture::record(), fixture::record()];
        let table = Table::new(&scenarios.iter().collect::<Vec<_>>());
        let mut out = anstream::StripStream::new(Vec::new());
        let mut runs = Vec::new();
        for (row, (scenario, record)) in scenarios.iter().zip(&records).enumerate() {
            runs.push(RunSummary::sample(scenario, record));
            table.write_row(&mut out, row, &runs[row..], &[None]).unwrap();
        }
        write_total(&mut out, &SuiteSummary { command: String::new(), runs }, scenarios.len()).unwrap();
        let expected = "\
Basic tests (5 replicas, 30 seconds, 100 requests):
simple-1  No drops, no failures, 60% read       [PASS]     Performance Tiers: 3 1 2 0
Crash tests (5 replicas, 30 seconds, 90-100 requests):
crash-3   No drops, 1 leader killed, 60% read   [FAIL]
    Error: >0 incorrect responses to get()
    Repeat: seedbed run crash-3.json --seed 7
crash-10  No drops, 2 leaders killed, 60% read  [PASS]     Performance Tiers: 3 1 2 0
Other tests (7 replicas, 60.5 seconds, 10 requests):
own       No drops, no failures, 60% read       [PASS]     Performance Tiers: 3 1 2 0
Tiers: messages, failures, duplicates, median latency; 0 bonus, 1 full, 2 partial, 3 no credit
Passed 3 out of 4 tests
";
        assert_eq!(String::from_utf8(out.into_inner()).unwrap(), expected);
    }

    /// A run with this seed; its record is changed first.
    fn run_with(scenario: &Scenario, seed: u64, change: impl FnOnce(&mut RunRecord)) -> RunSummary {
        let mut record = RunRecord { seed, ..fixture::record() };
        change(&mut record);
        RunSummary::sample(scenario, &record)
    }

    fn rows(scenarios: &[Scenario], runs: &[RunSummary], replays: &[Option<String>]) -> String {
        let table = Table::new(&scenarios.iter().collect::<Vec<_>>());
        let mut out = anstream::StripStream::new(Vec::new());
        let seeds = runs.len() / scenarios.len();
        for (row, (runs, replays)) in runs.chunks(seeds).zip(replays.chunks(seeds)).enumerate() {
            table.write_row(&mut out, row, runs, replays).unwrap();
        }
        let suite = SuiteSummary { command: String::new(), runs: runs.to_vec() };
        write_total(&mut out, &suite, scenarios.len()).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn several_seeds_are_one_row_with_best_and_worst_tiers_and_each_failed_seed_is_named() {
        let scenarios = [scenario("simple-1", 100, &[]), scenario("simple-2", 100, &[])];
        let fails = |record: &mut RunRecord| *record = RunRecord { seed: record.seed, ..fixture::failed_record() };
        let runs = [
            run_with(&scenarios[0], 4, |record| record.sent = 400),
            run_with(&scenarios[0], 5, |_| ()),
            run_with(&scenarios[1], 4, fails),
            run_with(&scenarios[1], 5, |_| ()),
        ];
        let replays = [None, None, Some("seedbed replay repros/simple-2-4.json".to_owned()), None];
        let expected = "\
Basic tests (5 replicas, 30 seconds, 100 requests):
simple-1  No drops, no failures, 60% read  [PASS]  2/2     Performance Tiers: 1-3 1 2 0
simple-2  No drops, no failures, 60% read  [FAIL]  1/2     Performance Tiers: 3 1 2 0
    Error: seed 4: >0 incorrect responses to get()
    Repeat: seedbed run simple-2.json --seed 4
    Replay: seedbed replay repros/simple-2-4.json
Tiers: messages, failures, duplicates, median latency; 0 bonus, 1 full, 2 partial, 3 no credit
Tiers such as 0-2 are the best and the worst of the runs that passed.
Passed 3 out of 4 runs, and 1 out of 2 tests with every seed
";
        assert_eq!(rows(&scenarios, &runs, &replays), expected);
    }

    #[test]
    fn of_many_failed_seeds_the_first_ten_are_listed() {
        let scenarios = [scenario("simple-1", 100, &[])];
        let runs: Vec<RunSummary> =
            (0..12).map(|seed| run_with(&scenarios[0], seed, |record| record.died = 1)).collect();
        let text = rows(&scenarios, &runs, &vec![None; 12]);
        assert!(text.contains("[FAIL]   0/12\n    Error: seed 0: >0 replicas died unexpectedly (1)\n"), "{text}");
        assert_eq!(text.matches("    Repeat: ").count(), 10);
        assert!(text.contains("    ... and with 2 more seeds; --csv FILE has them all\n"), "{text}");
        assert!(!text.contains("Tiers such as"), "there are none: {text}");
    }

    #[test]
    fn a_row_that_fails_by_chance_says_so() {
        let scenarios = [Scenario {
            tests: Tests { maximum_get_generation_fail_fraction: 0.0, ..fixture::scenario().tests },
            ..scenario("simple-1", 100, &[])
        }];
        let unlucky = |record: &mut RunRecord| {
            let answered = |generated| fixture::Answers { generated, ..fixture::Answers::default() };
            record.history = fixture::history(answered(60), answered(40));
            record.history.gets_not_generated = 1;
        };
        let runs = [run_with(&scenarios[0], 7, unlucky)];
        let text = rows(&scenarios, &runs, &[None]);
        assert!(
            text.contains(
                "[FAIL]\n    Error: insufficient get() requests generated (1 > 61 * 0.00)\n    Note: this is about the clients' random choices"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_run_that_is_not_judged_is_neither_a_pass_nor_a_failure() {
        let record = RunRecord { lag: Span::from_millis(312), ..fixture::failed_record() };
        let scenario = fixture::scenario();
        let run = RunSummary::sample(&scenario, &record);
        let mut out = anstream::StripStream::new(Vec::new());
        Table::new(&[&scenario]).write_row(&mut out, 0, std::slice::from_ref(&run), &[None]).unwrap();
        let suite = SuiteSummary { command: String::new(), runs: vec![run] };
        write_total(&mut out, &suite, 1).unwrap();
        let text = String::from_utf8(out.into_inner()).unwrap();
        assert!(
            text.contains("  [BUSY]\n    Not judged: this machine was too busy: seedbed was up to 312 ms late"),
            "{text}"
        );
        assert!(text.ends_with("too busy: 1\nPassed 0 out of 1 tests\n"), "{text}");
    }
}
